"""The bookkeeping of a training step: fetch a batch, log the loss, count hits, store predictions, advance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.checks import is_integer, written
from pynn.core.card import Card, Lowered, Sample, Spec, register
from pynn.core.flat import Slots
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops.common import Rng, need_float, need_held, size

ARGMAX_LABELS, ARGMAX_ROWS, THRESHOLD = 0, 1, 2


OUTSIDE = "expected rows that exist: the batch reaches beyond the data, or beyond the memory for its results"


def _rows_infer(x: Tensor, perm: Tensor, offset: Tensor, n: int) -> Lowered:
    if not x.ndim or perm.dtype != np.int64:
        raise ShapeError(f"[batch_rows] expected rows, and their order as int64. Received: {x.shape} and {perm.dtype}.")
    need_held("batch_rows", "its place in the rows", offset, np.int64)
    row = size(x.shape[1:]) * x.dtype.itemsize
    return Lowered((Spec((n, *x.shape[1:]), x.dtype),), (n, row, x.nbytes, perm.nbytes))


def _rows_ref(x: np.ndarray, perm: np.ndarray, offset: np.ndarray, n: int) -> np.ndarray:
    return x[perm[offset[0] : offset[0] + n]]


def _scaled_infer(x: Tensor, perm: Tensor, offset: Tensor, n: int, dtype: np.dtype, scale: float) -> Lowered:
    if not x.ndim or x.dtype != np.uint8 or perm.dtype != np.int64:
        raise DTypeError(
            "[batch_scaled] expected rows of uint8, and their order as int64. "
            f"Received: {x.dtype} {x.shape} and {perm.dtype}."
        )
    need_held("batch_scaled", "its place in the rows", offset, np.int64)
    return Lowered((Spec((n, *x.shape[1:]), dtype),), (n, size(x.shape[1:]), x.nbytes, perm.nbytes), (scale,), dtype)


def _scaled_ref(
    x: np.ndarray, perm: np.ndarray, offset: np.ndarray, n: int, dtype: np.dtype, scale: float
) -> np.ndarray:
    return (x[perm[offset[0] : offset[0] + n]] * scale).astype(dtype)


def _rows_samples(r: Rng) -> Iterator[Sample]:
    perm = r.generator.permutation(40)
    yield Sample((r(40, 3, 5), perm, np.array([7])), {"n": 20})
    yield Sample((r(40), perm, np.array([0])), {"n": 40})
    yield Sample((r.integers(9, 40, 2), perm, np.array([39])), {"n": 1})


def _scaled_samples(r: Rng) -> Iterator[Sample]:
    attrs = {"dtype": np.dtype("float32"), "scale": 1 / 255}
    for n, start in ((20, 7), (40, 0), (1, 39)):
        images = r.integers(256, 40, 5, 7, dtype="uint8")
        yield Sample((images, r.generator.permutation(40), np.array([start])), {"n": n, **attrs})


_ROWS = register(
    Card(
        "batch_rows",
        _rows_infer,
        "batch_rows",
        differentiable=False,
        ref=_rows_ref,
        samples=_rows_samples,
        extents={1: 2, 2: 3},
        extra={"failure": OUTSIDE},
        doc="y[i] = x[perm[offset + i]]: the rows of a batch.",
    )
)
_SCALED = register(
    Card(
        "batch_scaled",
        _scaled_infer,
        "batch_scaled",
        differentiable=False,
        ref=_scaled_ref,
        samples=_scaled_samples,
        extents={1: 2, 2: 3},
        extra={"failure": OUTSIDE},
        doc="y[i] = scale * x[perm[offset + i]]: the rows of a batch of bytes, as real numbers.",
    )
)


def _log_infer(loss: Tensor, cursor: Tensor, n: int, check: bool) -> Lowered:
    need_float("log_loss", loss)
    need_held("log_loss", "a loss", loss, loss.dtype)
    need_held("log_loss", "the number of the step", cursor, np.int64)
    f64 = np.dtype("float64")
    return Lowered((Spec((2,), f64), Spec((1,), f64)), (n, int(check)), dtype=loss.dtype)


def _log_ref(
    loss: np.ndarray, cursor: np.ndarray, sums: np.ndarray, losses: np.ndarray, n: int, check: bool
) -> tuple[np.ndarray, np.ndarray]:
    return np.add(sums, [n * float(loss), n]), np.full(1, loss)


def _log_samples(r: Rng) -> Iterator[Sample]:
    state = (Tensor.state(np.array([1.5, 4.0])), Tensor.state(np.zeros(1)))
    yield Sample((r(), np.array([0])), {"n": 3, "check": True}, state=state)


_LOG = register(
    Card(
        "log_loss",
        _log_infer,
        "log_loss",
        mutates=True,
        differentiable=False,
        ref=_log_ref,
        samples=_log_samples,
        places=((1, 1),),
        doc="sums += (n * loss, n); losses[cursor] = loss; a loss that is not finite stops the program if asked to.",
    )
)


def _count_infer(z: Tensor, t: Tensor, w: Tensor | None, kind: int, threshold: float) -> Lowered:
    need_float("count_correct", z)
    if kind not in (ARGMAX_LABELS, ARGMAX_ROWS, THRESHOLD) or not z.ndim or not size(z.shape[1:]):
        raise ShapeError(
            f"[count_correct] expected rows of at least one number, and a kind of 0, 1 or 2. "
            f"Received: {z.shape} and {written(kind)}."
        )
    n = z.shape[0]
    labels = kind == ARGMAX_LABELS
    fits = t.size == (n if labels else z.size) and t.dtype == (np.int32 if labels else z.dtype)
    if not fits or (w is not None and (w.shape != (n,) or w.dtype != z.dtype)):
        raise ShapeError(
            f"[count_correct] expected a target for each of {n} rows of {z.shape[1:]}, and a weight or none. "
            f"Received: {t.shape} of {t.dtype} and {'none' if w is None else w.shape}."
        )
    return Lowered((Spec((2,), np.dtype("float64")),), (n, size(z.shape[1:]), kind), (threshold,), z.dtype)


def _count_errors(r: Rng) -> Iterator[Any]:
    attrs = {"kind": THRESHOLD, "threshold": 0.5}
    yield (r(4, 3), r(4, 2), None), attrs, ShapeError, r"target for each of 4 rows"
    yield (r(4, 3), r(4, 3), r(3)), attrs, ShapeError, r"a weight or none"
    yield (r(4, 3), r.integers(3, 2, dtype="int32"), None), {**attrs, "kind": ARGMAX_LABELS}, ShapeError, r"4 rows"


def _count_ref(
    z: np.ndarray, t: np.ndarray, w: np.ndarray | None, sums: np.ndarray, kind: int, threshold: float
) -> tuple[np.ndarray]:
    if kind == THRESHOLD:
        right = np.mean((z > threshold) == (t > 0.5), axis=-1)
    else:
        right = z.argmax(-1) == (t if kind == ARGMAX_LABELS else t.argmax(-1))
    weights = np.ones(len(z)) if w is None else w
    return (np.add(sums, [np.sum(right * weights), np.sum(weights)]),)


def _count_samples(r: Rng) -> Iterator[Sample]:
    state = (Tensor.state(np.array([2.0, 3.0])),)
    for w in (None, np.abs(r(20))):
        labels = r.integers(4, 20, dtype="int32")
        yield Sample((r(20, 4), labels, w), {"kind": ARGMAX_LABELS, "threshold": 0.0}, state=state)
        yield Sample((r(20, 4), np.eye(4)[labels], w), {"kind": ARGMAX_ROWS, "threshold": 0.0}, state=state)
        for columns in (1, 3):
            hits = np.round(np.abs(r(20, columns)) / 2)
            yield Sample((r(20, columns), hits, w), {"kind": THRESHOLD, "threshold": 0.3}, state=state)


_COUNT = register(
    Card(
        "count_correct",
        _count_infer,
        "count_correct",
        mutates=True,
        differentiable=False,
        ref=_count_ref,
        samples=_count_samples,
        errors=_count_errors,
        doc="sums += (weight of the right predictions, weight of all).",
    )
)


def _store_infer(x: Tensor, offset: Tensor, rows: int) -> Lowered:
    need_held("store_rows", "its place in the rows", offset, np.int64)
    if not x.ndim or not is_integer(rows, x.shape[0]):
        raise ShapeError(
            f"[store_rows] expected rows, and room for as many. Received: {x.shape} and room for {written(rows)}."
        )
    row = size(x.shape[1:]) * x.dtype.itemsize
    return Lowered((Spec((rows, *x.shape[1:]), x.dtype),), (x.shape[0], row, rows * row))


def _store_ref(x: np.ndarray, offset: np.ndarray, y: np.ndarray, rows: int) -> tuple[np.ndarray]:
    y = y.copy()
    y[offset[0] : offset[0] + len(x)] = x
    return (y,)


def _store_samples(r: Rng) -> Iterator[Sample]:
    yield Sample((r(3, 5), np.array([4])), {"rows": 7}, state=(r(7, 5),))
    yield Sample((r(3), np.array([0])), {"rows": 3}, state=(r(3),))


_STORE = register(
    Card(
        "store_rows",
        _store_infer,
        "store_rows",
        mutates=True,
        differentiable=False,
        ref=_store_ref,
        samples=_store_samples,
        extents={0: 2},
        extra={"failure": OUTSIDE},
        doc="y[offset + i] = x[i].",
    )
)


def _advance_infer(steps: int, n: int) -> Lowered:
    i64 = Spec((1,), np.dtype("int64"))
    return Lowered((i64, i64, i64), (steps, n))


def _advance_ref(
    step: np.ndarray, cursor: np.ndarray, offset: np.ndarray, steps: int, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return step + steps, cursor + 1, offset + n


def _advance_samples(r: Rng) -> Iterator[Sample]:
    for steps in (0, 1):
        yield Sample((), {"steps": steps, "n": 32}, state=(np.array([5]), np.array([2]), np.array([64])))


_ADVANCE = register(
    Card(
        "advance",
        _advance_infer,
        "advance",
        mutates=True,
        differentiable=False,
        ref=_advance_ref,
        samples=_advance_samples,
        doc="step += steps, cursor += 1, offset += n.",
    )
)


def _assign_infer(x: Tensor) -> Lowered:
    return Lowered((Spec(x.shape, x.dtype),), (x.nbytes,))


def _assign_samples(r: Rng) -> Iterator[Sample]:
    yield Sample((r(3, 5),), state=(r(3, 5),))


_ASSIGN = register(
    Card(
        "assign",
        _assign_infer,
        "copy",
        mutates=True,
        differentiable=False,
        ref=lambda x, y: (x,),
        samples=_assign_samples,
        doc="y = x, where y is state.",
    )
)


def assign(x: Tensor, to: Tensor) -> None:
    """Write the values of x to a state tensor."""
    execute(_ASSIGN, (x,), out=(to,))


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


def store_rows(x: Tensor, slots: Slots, to: Tensor, n: int) -> None:
    """Copy x, the outputs for n rows, to rows offset, offset + 1, ... of `to`.

    Raises
    ------
    ShapeError
        If x is not what `to` has for n rows: a module may give one shape for one row and another for many.
    """
    if x.shape != (n, *to.shape[1:]) or x.dtype != to.dtype:
        raise ShapeError(
            f"[forward] expected outputs of shape {(n, *to.shape[1:])}, {to.dtype}, for {n} rows. "
            f"Received: {x.shape}, {x.dtype}. help: the first axis of a model's output is that of the samples; "
            "the other axes must not depend on how many there are."
        )
    execute(_STORE, (x, slots.offset), {"rows": to.shape[0]}, out=(to,))


def advance(slots: Slots, steps: int, n: int) -> None:
    """Move on to the next batch of n; `steps` is 1 when parameters were updated."""
    execute(_ADVANCE, (), {"steps": steps, "n": n}, out=(slots.step, slots.cursor, slots.offset))
