"""A long text as batches that continue one another."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.checks import positive
from pynn.errors import DataError, DTypeError

__all__ = ["as_ids", "bptt_windows"]


def as_ids(place: str, name: str, ids: Any) -> np.ndarray:
    """Return token ids [tokens] as int32, checked."""
    array = np.asarray(ids)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise DTypeError(
            f"[{place}] expected {name} to be integer token ids [tokens]. "
            f"Received: {array.dtype} {list(array.shape)}. help: Tokenizer.encode(text) makes them."
        )
    if array.size and not -(2**31) <= int(array.min()) <= int(array.max()) < 2**31:
        raise DataError(f"[{place}] expected {name} to fit into int32. Received: {array.min()} to {array.max()}.")
    return array.astype(np.int32)


def bptt_windows(ids: Any, batch_size: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut one long sequence into windows for truncated backpropagation through time.

    x[k B + b, t] = ids[b L + k T + t] and y the id after it, with B = batch_size, T = steps and streams of
    L = T floor((tokens - 1) / (B T)) ids: batch k + 1 goes on in each row where batch k ended.

    Parameters
    ----------
    ids : int array_like [tokens]
    batch_size : int
        Streams that run beside each other: the batch size to pass to fit(), with shuffle=False.
    steps : int
        Length of a window: how far the gradient reaches back.

    Returns
    -------
    x, y : ndarray
        int32 [windows * batch_size, steps]. Fewer than batch_size * steps + 1 ids at the end are left out.

    Raises
    ------
    DataError
        If the text is empty or too short for one batch.

    Notes
    -----
    A model with stateful layers starts an epoch in the state that the epoch before left: call
    :func:`pynn.nn.reset_states` when it begins.

    References
    ----------
    R. J. Williams and J. Peng, "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories", Neural Computation 2, 1990.

    Examples
    --------
    >>> x, y = bptt_windows(range(13), batch_size=2, steps=3)
    >>> x.tolist()
    [[0, 1, 2], [6, 7, 8], [3, 4, 5], [9, 10, 11]]
    >>> y.tolist()
    [[1, 2, 3], [7, 8, 9], [4, 5, 6], [10, 11, 12]]
    """
    place = "bptt_windows"
    batch_size, steps = positive(place, "batch_size", batch_size), positive(place, "steps", steps)
    array = as_ids(place, "ids", ids)
    windows = (len(array) - 1) // (batch_size * steps)
    if windows < 1:
        fits = (len(array) - 1) // batch_size
        if fits > 0:
            remedy = f"help: pass steps={fits} or less, or a smaller batch_size."
        elif len(array) > 1:
            remedy = f"help: pass batch_size={len(array) - 1} or less, and fewer steps."
        else:
            remedy = "help: the text is empty, or has one token alone."
        raise DataError(
            f"[{place}] expected at least {batch_size * steps + 1} tokens: {batch_size} streams of {steps}, and the "
            f"one after. Received: {len(array)}. {remedy}"
        )

    def cut(start: int) -> np.ndarray:
        streams = array[start : start + windows * batch_size * steps].reshape(batch_size, windows, steps)
        return np.ascontiguousarray(streams.transpose(1, 0, 2)).reshape(windows * batch_size, steps)

    return cut(0), cut(1)
