"""Looking token ids up, and how long padded sequences are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import pynn.core.kernels.lengths  # noqa: F401  (registers its kernels)
from pynn.checks import MOST_SIZE, is_integer, written
from pynn.core.card import Call, Card, Fan, Grad, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import DataError, DTypeError, ShapeError
from pynn.ops.common import INT64, INTS, Rng, as_tensor, need_float, need_rank
from pynn.ops.parts import concat
from pynn.ops.shape import _TAKE_GRAD, cast, reshape

INT32 = np.dtype("int32")
PAIR = Spec((2,), INT64)  # where a kernel says what it refused


class TouchedRows:
    """Which rows of a gradient of a table are not 0: what ``rows`` of the gradient's tensor tells.

    Attributes
    ----------
    marked : Tensor, int32 [V]
        1 where a row was touched.
    rows, count : Tensor, int32 [V] and int64 [1]
        The touched rows in order of first touch, and how many they are.
    sparse : bool
        Whether an optimizer is to leave the other rows alone.
    live : bool
        Whether all this describes the gradient of the last backward pass.
    known : Tensor, int64 [2]
        Whether only the listed rows may be other than 0, so that the others need not be cleared, and how often the
        gradient's memory had been written to when that was so.
    """

    def __init__(self, gradient: Tensor, sparse: bool):
        self.marked = Tensor.state(np.zeros(gradient.shape[0], INT32))
        self.rows = Tensor.state(np.zeros(gradient.shape[0], INT32))
        self.count = Tensor.state(np.zeros(1, INT64))
        self.sparse = sparse
        self.live = False
        self.known = Tensor.state(np.zeros(2, INT64))
        self._begun = False

    def begin(self, gradient: Tensor) -> None:
        """See whether anybody wrote to the gradient since the last step, before this one does."""
        known, self.live, self._begun = self.known.view(), False, True
        known[0] = known[0] and gradient.buffer.writes == known[1]

    def write(self, dy: Tensor, ids: Tensor, gradient: Tensor) -> None:
        """Write the gradient, and which rows it has."""
        if state.rng is None or not self._begun:
            self.known.view()[0] = 0
        out = gradient, self.marked, self.rows, self.count, self.known
        execute(_ROWS_GRAD, (dy, ids), {"shape": gradient.shape}, out=out)
        self.live, self._begun = True, False

    def settle(self, gradient: Tensor) -> None:
        """Say that nobody has written to the gradient since write() but to scale it, at the end of a step."""
        known, writes = self.known.view(), gradient.buffer.writes
        known[:] = known[0] and writes >= 0, writes


def _range_text(rows: int, at: tuple[int, ...], value: float) -> str:
    return (
        f"expected token ids from 0 to {rows - 1}. Received: x{list(at)} = {value}. "
        f"help: the vocabulary has input_dim={rows} entries; replace rarer words by the id of unknown ones"
    )


def check_ids(ids: np.ndarray, rows: int, place: str) -> None:
    """Raise DataError with the place of the first id outside [0, rows)."""
    if ids.size and not (ids.min() >= 0 and ids.max() < rows):  # nor NaN
        at = tuple(int(i) for i in np.argwhere(~((ids >= 0) & (ids < rows)))[0])
        raise DataError(f"[{place}] {_range_text(rows, at, ids[at].item())}.")


def _found(instr: Any, k: int) -> tuple[tuple[int, ...], int]:
    """Return the place in its input k, and the value, that a kernel left in its second output."""
    at, value = (int(i) for i in instr.buffers[1].array(INT64, (2,)))
    shape = instr.info.inputs[k][0]
    return tuple(int(i) for i in np.unravel_index(at, shape)), value


def _outside(instr: Any) -> str:
    return _range_text(instr.info.inputs[0][0][0], *_found(instr, 1))


def _pulled_back(g: Grad, dy: Tensor) -> Tensor:
    """Return the gradient of the table of a lookup, with a list of the rows that are not 0 where that helps."""
    (table, ids), dest = g.inputs, g.dest[0]
    sparse = bool(g.attrs.get("sparse")) and table.node is None
    alone = g.alone and g.alone[0]  # another use of the table has rows of its own
    if alone and (sparse or (dest is not None and state.rng is not None)):
        gradient = Tensor.state(np.zeros(table.shape, table.dtype)) if dest is None else dest
        if gradient.rows is None:
            gradient.rows = TouchedRows(gradient, sparse)
        gradient.rows.sparse = sparse
        gradient.rows.write(dy, ids, gradient)
        return gradient
    if sparse and state.rng is not None:
        raise ValueError(
            "[embedding] expected a table with sparse=True to be used by lookups alone. Received: another use of it. "
            "help: leave sparse=False."
        )
    return execute(_TAKE_GRAD, (dy, ids, table), {"axis": 0}, out=(dest,))[0]


def _together(calls: list[Call], place: Tensor | None, alone: bool) -> Tensor:
    """Return the gradient of a table that was looked up several times, as if all ids had been looked up at once."""
    table = calls[0][0].inputs[0]
    wide = len({g.inputs[1].dtype for g, _ in calls}) > 1
    ids = [cast(g.inputs[1], "int64") if wide else g.inputs[1] for g, _ in calls]
    all_ids = concat([reshape(i, (-1,)) for i in ids])
    dy = concat([reshape(dy, (-1, table.shape[1])) for _, dy in calls])
    sparse = any(g.attrs.get("sparse") for g, _ in calls)  # the table is one: it moves where it was looked up
    g = Grad((table, all_ids), (), {"sparse": sparse}, (True, False), (place,), alone=(alone, False))
    return _pulled_back(g, dy)


@op("embedding", "lookup", hidden=(1,), failure=_outside, together=_together)
class _Embedding:
    """y[i, :] = w[ids[i], :]; dw adds up the rows that were looked up more than once, in the order of i."""

    def infer(w: Tensor, ids: Tensor, sparse: bool = False) -> Lowered:
        need_float("embedding", w)
        if ids.dtype not in INTS:
            raise DTypeError(
                f"[embedding] expected token ids, int32 or int64. Received: dtype={ids.dtype}. "
                "help: pass an integer array, x.astype('int32')."
            )
        if w.ndim != 2:
            raise ShapeError(f"[embedding] expected a table [V, D]. Received: w.shape={w.shape}.")
        shape = (*ids.shape, w.shape[1])
        need_rank("embedding", shape)
        dims = (w.shape[0], ids.size, w.shape[1] * w.dtype.itemsize, int(ids.dtype == INT32))
        return Lowered((Spec(shape, w.dtype), PAIR), dims)

    def vjp(g: Grad, dy: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        return _pulled_back(g, dy), None

    def ref(w: np.ndarray, ids: np.ndarray, sparse: bool = False) -> tuple[Any, ...]:
        return w[ids], None

    def samples(r: Rng) -> Iterator[Sample]:
        for n, (v, d), dtype in ((7, (5, 3), "int32"), (1, (1, 1), "int64"), (40, (9, 17), "int64")):
            yield Sample((r(v, d), Tensor.state(r.integers(v, n, dtype=dtype))))
        yield Sample((r(6, 130), Tensor.state(r.integers(6, 4, 3, dtype="int32"))))
        yield Sample((r(6, 4), Tensor.state(np.zeros((0, 3), "int32"))))

    def fan(inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: Any) -> Fan:
        return Fan(outs[0].size, outs[0].size, 0)  # each is one number of the table, looked up

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(5, 3), np.array([[0, 4], [5, 0]])), {}, DataError, r"from 0 to 4\. Received: x\[1, 0\] = 5\. help"
        yield (r(5, 3), np.array([0, -1], "int32")), {}, DataError, r"x\[1\] = -1"
        yield (r(5, 3), r(2)), {}, DTypeError, "int32 or int64"
        yield (r(5), np.array([1])), {}, ShapeError, r"a table \[V, D\]"


def _rows_grad_infer(dy: Tensor, ids: Tensor, shape: tuple[int, int]) -> Lowered:
    need_float("embedding.rows", dy)
    if not (isinstance(shape, tuple) and len(shape) == 2 and all(is_integer(n, 0, MOST_SIZE) for n in shape)):
        raise ShapeError(f"[embedding.rows] expected the shape [V, D] of a table. Received: {written(shape)}.")
    if ids.dtype not in INTS or dy.size != ids.size * shape[1]:
        raise ShapeError(
            f"[embedding.rows] expected ids as int32 or int64, and {shape[1]} numbers for each. "
            f"Received: {ids.dtype} {ids.shape} and {dy.shape}."
        )
    rows = Spec(shape[:1], INT32)
    dims = shape[0], ids.size, shape[1], int(ids.dtype == INT32)
    return Lowered((Spec(shape, dy.dtype), rows, rows, Spec((1,), INT64), PAIR), dims)


def _rows_grad_ref(
    dy: np.ndarray, ids: np.ndarray, dw: np.ndarray, marked: np.ndarray, rows: np.ndarray, count: np.ndarray,
    known: np.ndarray, shape: tuple[int, int],
) -> tuple[Any, ...]:  # fmt: skip
    new = np.zeros(shape, dy.dtype)
    np.add.at(new, ids.ravel(), dy.reshape(-1, shape[1]))
    order = list(dict.fromkeys(ids.ravel().tolist()))
    listed = rows.copy()
    listed[: len(order)] = order
    marked = np.isin(np.arange(shape[0]), order).astype(INT32)
    return new, marked, listed, np.array([len(order)]), np.array([1, known[1]])


def _rows_grad_samples(r: Rng) -> Iterator[Sample]:
    for v, d, n in ((5, 3, 7), (9, 130, 40), (1, 1, 1)):
        ids = Tensor.state(r.integers(v, n, dtype="int32"))
        marks = np.zeros(v, INT32)
        known = [Tensor.state(np.array([one, 0])) for one in (0, 1)]
        fresh = (r(v, d), Tensor.state(marks), Tensor.state(marks), Tensor.state(np.zeros(1, INT64)), known[0])
        yield Sample((r(n, d), ids), {"shape": (v, d)}, state=fresh)
        before = np.zeros((v, d))
        before[v - 1], marks[v - 1] = 7.0, 1  # what the step before left: the last row
        listed = np.zeros(v, INT32)
        listed[0] = v - 1
        left = (before, Tensor.state(marks), Tensor.state(listed), Tensor.state(np.ones(1, INT64)), known[1])
        yield Sample((r(n, d), ids), {"shape": (v, d)}, state=left)


_ROWS_GRAD = register(
    Card(
        "embedding.rows",
        _rows_grad_infer,
        "lookup_bwd",
        mutates=True,
        extra={"failure": "expected ids and a list of rows that the table has"},
        differentiable=False,
        left=(0, 4),
        ref=_rows_grad_ref,
        samples=_rows_grad_samples,
        doc="dw[ids[i]] += dy[i]; marked, rows, count: which rows of dw are touched.",
    )
)


def embedding(ids: Any, w: Any, sparse: bool = False) -> Tensor:
    """Return the rows w[ids].

    Parameters
    ----------
    ids : int32 or int64 Tensor [...]
        In [0, V).
    w : Tensor [V, D]
    sparse : bool, default False
        Whether an optimizer that holds w updates only the rows with a gradient (see :class:`pynn.nn.Embedding`).

    Returns
    -------
    Tensor [..., D]

    Raises
    ------
    DataError
        Naming the place and the value of an id out of range, while a program is replayed too.

    Examples
    --------
    >>> import pynn
    >>> pynn.ops.embedding([2, 0], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).numpy()
    array([[5., 6.],
           [1., 2.]], dtype=float32)
    """
    w, ids = as_tensor(w), as_tensor(ids)
    note = Tensor.state(np.zeros(2, INT64))  # stays in place while a program is replayed, so that it can be read
    return execute(_Embedding, (w, ids), {"sparse": sparse}, out=(None, note))[0]  # type: ignore[arg-type]


def _ended(ids: np.ndarray) -> np.ndarray:
    return np.where(ids != 0, np.arange(1, ids.shape[1] + 1), 0).max(1, initial=0)


def _early_padding(instr: Any) -> str:
    at, _ = _found(instr, 0)
    return (
        f"expected padding (id 0) at the end of a sequence alone. Received: x{list(at)} = 0 before other ids. "
        "help: nn.Embedding(..., mask_zero=True, padding='any') takes it anywhere"
    )


@op("sequence_lengths", "sequence_lengths", hidden=(1,), differentiable=False, failure=_early_padding)
class _SequenceLengths:
    """lengths[n] = the number of ids before the padding (0) at the end."""

    def infer(ids: Tensor) -> Lowered:
        if ids.dtype not in INTS:
            raise DTypeError(f"[sequence_lengths] expected int32 or int64. Received: dtype={ids.dtype}.")
        if ids.ndim != 2:
            raise ShapeError(f"[sequence_lengths] expected ids [N, T]. Received: shape={ids.shape}.")
        return Lowered((Spec((ids.shape[0],), INT32), PAIR), (*ids.shape, int(ids.dtype == INT32)))

    def ref(ids: np.ndarray) -> tuple[Any, ...]:
        return _ended(ids).astype(INT32), None

    def samples(r: Rng) -> Iterator[Sample]:
        for ids in ([[3, 1, 0, 0], [2, 2, 2, 2], [0, 0, 0, 0]], [[5], [0]], np.zeros((0, 4))):
            for dtype in INTS:  # as tensors: repeated along time, padding would no longer stand at the end
                yield Sample((Tensor.state(np.array(ids, dtype)),))

    def errors(r: Rng) -> Iterator[Any]:
        yield (np.array([[1, 2], [0, 2]]),), {}, DataError, r"at the end.*x\[1, 0\] = 0.*any"
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
        If padding stands before or inside a sequence, naming the place, while a program is replayed too.
    """
    note = Tensor.state(np.zeros(2, INT64))
    return execute(_SequenceLengths, (as_tensor(ids),), out=(None, note))[0]  # type: ignore[arg-type]


def _bad_length(instr: Any) -> str:
    at, value = _found(instr, 0)
    return f"expected lengths from 1 to {instr.info.inputs[1][0][1]}. Received: lengths[{at[0]}] = {value}"


@op("check_lengths", "check_lengths", hidden=(1,), differentiable=False, failure=_bad_length)
class _CheckLengths:
    """y = lengths, each from 1 to the steps of x."""

    def infer(lengths: Tensor, x: Tensor) -> Lowered:
        if lengths.dtype != INT32:
            raise DTypeError(f"[check_lengths] expected lengths of dtype int32. Received: {lengths.dtype}.")
        if lengths.shape != x.shape[:1]:
            raise ShapeError(
                f"[check_lengths] expected lengths of shape {x.shape[:1]}. Received: {lengths.shape}. "
                "help: one number per sequence."
            )
        return Lowered((Spec(lengths.shape, INT32), PAIR), x.shape[:2], dtype=INT32)

    def ref(lengths: np.ndarray, x: np.ndarray) -> tuple[Any, ...]:
        return lengths, None

    def samples(r: Rng) -> Iterator[Sample]:
        yield Sample((Tensor.state(np.array([1, 4, 2], INT32)), r(3, 4, 2)))

    def errors(r: Rng) -> Iterator[Any]:
        yield (np.array([1, 5, 0], INT32), r(3, 4, 2)), {}, DataError, r"from 1 to 4\. Received: lengths\[1\] = 5"
        yield (np.array([1], INT32), r(3, 4, 2)), {}, ShapeError, r"shape \(3,\)"
        yield (r(3), r(3, 4, 2)), {}, DTypeError, "int32"


def check_lengths(lengths: Tensor, x: Tensor) -> Tensor:
    """Return lengths that come as data, checked at every replay of a program too.

    Raises
    ------
    DataError
        Naming the first that is not from 1 to the steps of x [N, T, ...].
    """
    note = Tensor.state(np.zeros(2, INT64))
    return execute(_CheckLengths, (lengths, x), out=(None, note))[0]  # type: ignore[arg-type]


__all__ = ["check_lengths", "embedding", "sequence_lengths"]
