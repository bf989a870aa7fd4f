"""The bookkeeping of a training step: fetch a batch, log the loss, count hits, store predictions, advance."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.flat import Slots
from pynn.graph import execute
from pynn.ops.card import Card, Lowered, Spec, register
from pynn.ops.common import size
from pynn.tensor import Tensor

ARGMAX_LABELS, ARGMAX_ROWS, THRESHOLD = 0, 1, 2


def _rows_infer(x: Tensor, perm: Tensor, offset: Tensor, n: int) -> Lowered:
    row = size(x.shape[1:]) * x.dtype.itemsize
    return Lowered((Spec((n, *x.shape[1:]), x.dtype),), (n, row))


def _rows_ref(x: np.ndarray, perm: np.ndarray, offset: np.ndarray, n: int) -> np.ndarray:
    return x[perm[offset[0] : offset[0] + n]]


def _scaled_infer(x: Tensor, perm: Tensor, offset: Tensor, n: int, dtype: np.dtype, scale: float) -> Lowered:
    return Lowered((Spec((n, *x.shape[1:]), dtype),), (n, size(x.shape[1:])), (scale,), dtype)


def _scaled_ref(
    x: np.ndarray, perm: np.ndarray, offset: np.ndarray, n: int, dtype: np.dtype, scale: float
) -> np.ndarray:
    return (x[perm[offset[0] : offset[0] + n]] * scale).astype(dtype)


_ROWS = register(Card("batch_rows", _rows_infer, "batch_rows", differentiable=False, ref=_rows_ref))
_SCALED = register(Card("batch_scaled", _scaled_infer, "batch_scaled", differentiable=False, ref=_scaled_ref))


def _log_infer(loss: Tensor, cursor: Tensor, n: int, check: bool) -> Lowered:
    f64 = np.dtype("float64")
    return Lowered((Spec((2,), f64), Spec((1,), f64)), (n, int(check)), dtype=loss.dtype)


_LOG = register(Card("log_loss", _log_infer, "log_loss", mutates=True, differentiable=False))


def _count_infer(z: Tensor, t: Tensor, w: Tensor | None, kind: int, threshold: float) -> Lowered:
    n = z.shape[0]
    return Lowered((Spec((2,), np.dtype("float64")),), (n, size(z.shape[1:]), kind), (threshold,), z.dtype)


_COUNT = register(Card("count_correct", _count_infer, "count_correct", mutates=True, differentiable=False))


def _store_infer(x: Tensor, offset: Tensor, rows: int) -> Lowered:
    row = size(x.shape[1:]) * x.dtype.itemsize
    return Lowered((Spec((rows, *x.shape[1:]), x.dtype),), (x.shape[0], row))


_STORE = register(Card("store_rows", _store_infer, "store_rows", mutates=True, differentiable=False))


def _advance_infer(steps: int, n: int) -> Lowered:
    i64 = Spec((1,), np.dtype("int64"))
    return Lowered((i64, i64, i64), (steps, n))


_ADVANCE = register(Card("advance", _advance_infer, "advance", mutates=True, differentiable=False))


def batch(x: Tensor, perm: Tensor, slots: Slots, n: int, dtype: Any) -> Tensor:
    """Return rows perm[offset : offset + n] of x; uint8 images become `dtype` in 0..1 on the way."""
    inputs = (x, perm, slots.offset)
    if x.dtype == np.uint8:
        return execute(_SCALED, inputs, {"n": n, "dtype": np.dtype(dtype), "scale": 1 / 255})[0]
    return execute(_ROWS, inputs, {"n": n})[0]


def log_loss(loss: Tensor, n: int, slots: Slots, sums: Tensor, losses: Tensor, check: bool) -> None:
    """Add n * loss to the epoch's sums and keep it as losses[cursor]; stop the program if it is not finite."""
    execute(_LOG, (loss, slots.cursor), {"n": n, "check": check}, out=(sums, losses))


def count_correct(z: Tensor, t: Tensor, w: Tensor | None, sums: Tensor, kind: int, threshold: float) -> None:
    """Add the (weighted) number of right predictions and of samples to `sums`."""
    execute(_COUNT, (z, t, w), {"kind": kind, "threshold": threshold}, out=(sums,))


def store_rows(x: Tensor, slots: Slots, to: Tensor) -> None:
    """Copy x to rows offset, offset + 1, ... of `to`."""
    execute(_STORE, (x, slots.offset), {"rows": to.shape[0]}, out=(to,))


def advance(slots: Slots, steps: int, n: int) -> None:
    """Move on to the next batch of n; `steps` is 1 when parameters were updated."""
    execute(_ADVANCE, (), {"steps": steps, "n": n}, out=(slots.step, slots.cursor, slots.offset))
