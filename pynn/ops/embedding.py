"""Looking token ids up, and how long padded sequences are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import pynn._kernels.rnn  # noqa: F401  (registers sequence_lengths)
from pynn.errors import DataError, DTypeError, ShapeError
from pynn.graph import execute
from pynn.ops.card import Lowered, Sample, Spec, op
from pynn.ops.common import INTS, Rng, as_tensor
from pynn.ops.shape import gather
from pynn.tensor import Tensor

INT32 = np.dtype("int32")
LEFT_PADDED = "expected padding (id 0) at the end of a sequence alone, not before or inside it"


def check_ids(ids: np.ndarray, rows: int, place: str) -> None:
    """Raise DataError with the place of the first id outside [0, rows)."""
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= rows):
        at = tuple(int(i) for i in np.argwhere((ids < 0) | (ids >= rows))[0])
        raise DataError(
            f"[{place}] expected token ids from 0 to {rows - 1}. Received: x{list(at)} = {ids[at]}. "
            f"help: the vocabulary has input_dim={rows} entries; replace rarer words by the id of unknown ones."
        )


def embedding(ids: Any, w: Any) -> Tensor:
    """Return the rows w[ids].

    Parameters
    ----------
    ids : int32 or int64 Tensor [...]
        In [0, V).
    w : Tensor [V, D]

    Returns
    -------
    Tensor [..., D]

    Raises
    ------
    DataError
        Naming the place of an id out of range.
    """
    w, ids = as_tensor(w), as_tensor(ids)
    if ids.dtype not in INTS:
        raise DTypeError(
            f"[embedding] expected token ids, int32 or int64. Received: dtype={ids.dtype}. "
            "help: pass an integer array, x.astype('int32')."
        )
    if w.ndim != 2:
        raise ShapeError(f"[embedding] expected a table [V, D]. Received: w.shape={w.shape}.")
    check_ids(ids.view(), w.shape[0], "embedding")
    return gather(w, ids)


def _ended(ids: np.ndarray) -> np.ndarray:
    return np.where(ids != 0, np.arange(1, ids.shape[1] + 1), 0).max(1, initial=0)


@op("sequence_lengths", "sequence_lengths", differentiable=False, failure=LEFT_PADDED)
class _SequenceLengths:
    """lengths[n] = the number of ids before the padding (0) at the end."""

    def infer(ids: Tensor) -> Lowered:
        if ids.dtype not in INTS:
            raise DTypeError(f"[sequence_lengths] expected int32 or int64. Received: dtype={ids.dtype}.")
        if ids.ndim != 2:
            raise ShapeError(f"[sequence_lengths] expected ids [N, T]. Received: shape={ids.shape}.")
        return Lowered((Spec((ids.shape[0],), INT32),), (*ids.shape, int(ids.dtype == INT32)))

    def ref(ids: np.ndarray) -> np.ndarray:
        return _ended(ids).astype(INT32)

    def samples(r: Rng) -> Iterator[Sample]:
        for ids in ([[3, 1, 0, 0], [2, 2, 2, 2], [0, 0, 0, 0]], [[5], [0]], np.zeros((0, 4))):
            for dtype in INTS:  # as tensors: repeated along time, padding would no longer stand at the end
                yield Sample((Tensor.state(np.array(ids, dtype)),))

    def errors(r: Rng) -> Iterator[Any]:
        yield (np.array([[1, 2], [0, 2]]),), {}, DataError, "at the end"
        yield (np.array([1, 2]),), {}, ShapeError, r"ids \[N, T\]"
        yield (r(2, 3),), {}, DTypeError, "int32 or int64"


def sequence_lengths(ids: Any) -> Tensor:
    """Return the number of steps before the padding of each sequence, int32 [N].

    Parameters
    ----------
    ids : int32 or int64 Tensor [N, T]
        Token ids (or a mask) in which 0 is padding, at the end alone.

    Raises
    ------
    DataError
        If padding stands before or inside a sequence.
    """
    return execute(_SequenceLengths, (as_tensor(ids),))[0]  # type: ignore[arg-type]


__all__ = ["embedding", "sequence_lengths"]
