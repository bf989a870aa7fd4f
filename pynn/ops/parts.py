"""Parts of tensors: slice and concat, each the other's gradient.

A loop that takes a sequence apart, ``x[:, t]`` for every t, gets dx from T parts. They are joined when all have come
(:func:`_together`), which writes each element once; T tensors of zeros with a part each, added up, would write T times
the sequence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pynn.checks import is_integer, written
from pynn.core.card import CARDS, Call, Card, Grad, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops.common import Rng, as_tensor, contiguous_strides, need_held, size
from pynn.ops.shape import gather, reshape, strided, zeros

__all__ = ["concat", "slice"]


Part = tuple[int, int, Tensor]  # start and stop along an axis, and dy


def _together(calls: list[Call], place: Tensor | None, alone: bool) -> Tensor:
    """Return dx of all slices of one tensor: neighbours are joined, and what overlaps is added."""
    x = calls[0][0].inputs[0]
    axis = _varying([g.attrs for g, _ in calls])
    alike: dict[Any, list[Part]] = defaultdict(list)
    for g, dy in calls:
        box = list(zip(g.attrs["starts"], g.attrs["steps"], g.attrs["sizes"], strict=True))
        start, step, n = box.pop(axis)
        apart = n > 1 and step != 1  # every second element, or backwards: a row of its own
        alike[tuple(box), step if apart else 1, len(alike) if apart else -1].append((start, start + n, dy))
    rows = [(box, step, row) for (box, step, _), parts in alike.items() for row in _rows(parts)]
    found: list[Tensor] = []
    for box, step, row in rows:
        dy = _joined(row, axis)
        if dy.shape != x.shape or step != 1:
            whole = [*box[:axis], (row[0][0], step, dy.shape[axis]), *box[axis:]]
            starts, steps, sizes = zip(*whole, strict=True)
            to = place if len(rows) == 1 else None
            dy = execute(_PLACE, (dy, x), {"starts": starts, "steps": steps, "sizes": sizes}, out=(to,))[0]
        found.append(dy)
    dx = found[0]
    for k, dy in enumerate(found[1:], 2):
        dx = execute(CARDS["add"], (dx, dy), out=(place if k == len(found) else None,))[0]
    return dx


def _varying(boxes: list[dict[str, tuple[int, ...]]]) -> int:
    """Return the first axis along which boxes differ, 0 if none."""
    first = boxes[0]
    differ = (
        i
        for i in range(len(first["starts"]))
        if any(b["starts"][i] != first["starts"][i] or b["sizes"][i] != first["sizes"][i] for b in boxes)
    )
    return next(differ, 0)


def _rows(parts: list[Part]) -> list[list[Part]]:
    """Deal parts into rows in which none overlaps another, in the order of their starts."""
    rows: list[list[Part]] = []
    for part in sorted(parts, key=lambda part: part[:2]):
        row = next((row for row in rows if row[-1][1] <= part[0]), None)
        if row is None:
            rows.append(row := [])
        row.append(part)
    return rows


def _joined(row: list[Part], axis: int) -> Tensor:
    """Return the parts of a row one after the other, with zeros between those that are apart."""
    pieces: list[Tensor] = []
    between: dict[int, Tensor] = {}
    end = row[0][0]
    for start, stop, dy in row:
        if gap := start - end:
            if gap not in between:
                between[gap] = zeros((*dy.shape[:axis], gap, *dy.shape[axis + 1 :]), dy.dtype)
            pieces.append(between[gap])
        pieces.append(dy)
        end = stop
    return concat(pieces, axis)


def _slice_dims(x: Tensor, starts: tuple[int, ...], steps: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[int, ...]:
    own = contiguous_strides(x.shape)
    if not len(starts) == len(steps) == len(sizes) == x.ndim or any(
        n and not (0 <= start < d and 0 <= start + (n - 1) * step < d)
        for d, start, step, n in zip(x.shape, starts, steps, sizes, strict=True)
    ):
        raise ShapeError(
            f"[slice] expected a part of {x.shape}. Received: starts={written(starts)}, steps={written(steps)}, "
            f"sizes={written(sizes)}."
        )
    offset = sum(s * o for s, o in zip(starts, own, strict=True))
    return strided(x.dtype, sizes, [s * o for s, o in zip(steps, own, strict=True)], offset, x.size)


@op("slice", "strided_copy", together=_together)
class _Slice:
    """y = x[start : : step] along each axis, as a copy; dx is zero outside."""

    def infer(x: Tensor, starts: tuple[int, ...], steps: tuple[int, ...], sizes: tuple[int, ...]) -> Lowered:
        return Lowered((Spec(sizes, x.dtype),), _slice_dims(x, starts, steps, sizes))

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return execute(_PLACE, (dy, g.inputs[0]), g.attrs, out=(g.dest[0],))

    def ref(x: np.ndarray, starts: Any, steps: Any, sizes: Any) -> np.ndarray:
        index = tuple(start + step * np.arange(n) for start, step, n in zip(starts, steps, sizes, strict=True))
        return x[np.ix_(*index)] if index else x

    def samples(r: Rng) -> Iterator[Sample]:
        yield Sample((r(5, 6),), {"starts": (1, 0), "steps": (1, 1), "sizes": (3, 6)})
        yield Sample((r(5, 6),), {"starts": (4, 1), "steps": (-2, 2), "sizes": (3, 2)})
        yield Sample((r(5),), {"starts": (0,), "steps": (1,), "sizes": (0,)})


def _place_infer(dy: Tensor, x: Tensor, starts: Any, steps: Any, sizes: Any) -> Lowered:
    dims = _slice_dims(x, starts, steps, sizes)
    need_held("slice.grad", "a gradient", dy, x.dtype, sizes)
    return Lowered((Spec(x.shape, x.dtype),), dims, args=(dy,))


def _place_vjp(g: Grad, dz: Tensor) -> tuple[Tensor | None, ...]:
    return (*execute(_Slice, (dz,), g.attrs), None)  # type: ignore[arg-type]


_PLACE = register(Card("slice.grad", _place_infer, "strided_place", vjp=_place_vjp))


@op("concat", "concat")
class _Concat:
    """y = the inputs one after the other along an axis."""

    def infer(*xs: Tensor, axis: int) -> Lowered:
        first = xs[0]
        for x in xs:
            if x.dtype != first.dtype:
                raise DTypeError(f"[concat] expected one dtype. Received: {first.dtype} and {x.dtype}.")
            if x.ndim != first.ndim or any(
                a != b for i, (a, b) in enumerate(zip(x.shape, first.shape, strict=True)) if i != axis
            ):
                raise ShapeError(
                    f"[concat] expected shapes that agree but for axis {axis}. Received: {first.shape} and {x.shape}."
                )
        shape = (*first.shape[:axis], sum(x.shape[axis] for x in xs), *first.shape[axis + 1 :])
        inner = size(first.shape[axis + 1 :]) * first.dtype.itemsize
        dims = (size(first.shape[:axis]), inner, len(xs), *(x.shape[axis] for x in xs))
        return Lowered((Spec(shape, first.dtype),), dims)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        axis, at, grads = g.attrs["axis"], 0, []
        for x, needed in zip(g.inputs, g.needs, strict=True):
            starts = tuple(at if i == axis else 0 for i in range(x.ndim))
            at += x.shape[axis]
            attrs = {"starts": starts, "steps": (1,) * x.ndim, "sizes": x.shape}
            grads.append(execute(_Slice, (dy,), attrs)[0] if needed else None)  # type: ignore[arg-type]
        return tuple(grads)

    def ref(*xs: np.ndarray, axis: int) -> np.ndarray:
        return np.concatenate(xs, axis)

    def samples(r: Rng) -> Iterator[Sample]:
        yield Sample((r(2, 3), r(4, 3)), {"axis": 0})
        yield Sample((r(2, 3, 2), r(2, 1, 2), r(2, 0, 2)), {"axis": 1})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(2, 3), r(2, 4)), {"axis": 0}, ShapeError, "agree but for axis 0"


def slice(x: Any, key: Any) -> Tensor:
    """Return x[key] for integers, slices, an ellipsis and new axes, as a copy; an integer tensor gathers rows."""
    x = as_tensor(x)
    if isinstance(key, (Tensor, np.ndarray, list)):
        return gather(x, key, axis=0)
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(isinstance(k, (Tensor, np.ndarray, list)) for k in keys):
        raise ShapeError("[slice] arrays of indices can only stand alone. help: use pynn.ops.gather(x, index, axis).")
    ellipses = [i for i, k in enumerate(keys) if k is Ellipsis]
    if len(ellipses) > 1:
        raise ShapeError("[slice] expected at most one ellipsis (...) in the index.")
    if ellipses:
        at = ellipses[0]
        used = sum(k is not None and k is not Ellipsis for k in keys)
        keys[at : at + 1] = [np.s_[:]] * (x.ndim - used)
    if sum(k is not None for k in keys) > x.ndim:
        raise ShapeError(f"[slice] too many indices. Received: {len(keys)} for a tensor of shape {x.shape}.")
    starts, steps, sizes, shape = [], [], [], []
    axis = 0
    for k in keys + [np.s_[:]] * (x.ndim - sum(k is not None for k in keys)):
        if k is None:
            shape.append(1)
            continue
        n = x.shape[axis]
        if isinstance(k, np.s_[:].__class__):
            start, stop, step = k.indices(n)
            count = len(range(start, stop, step))
            shape.append(count)
        elif is_integer(k):
            if not -n <= k < n:
                raise IndexError(f"[slice] index {k} is out of range for axis {axis} with size {n}")
            start, step, count = int(k) % n, 1, 1
        else:
            raise TypeError(f"[slice] expected integers and slices. Received: {k!r}.")
        starts.append(start if count else 0)
        steps.append(step)
        sizes.append(count)
        axis += 1
    y = execute(_Slice, (x,), {"starts": tuple(starts), "steps": tuple(steps), "sizes": tuple(sizes)})[0]  # type: ignore[arg-type]
    return reshape(y, shape) if tuple(shape) != y.shape else y


CONCAT_AT_ONCE = 12


def concat(xs: Sequence[Any], axis: int = 0) -> Tensor:
    """Return the tensors one after the other along an axis.

    Parameters
    ----------
    xs : sequence of array_like
    axis : int, default 0
    """
    parts = [as_tensor(x) for x in xs]
    if not parts:
        raise ShapeError("[concat] expected at least one tensor. Received: none.")
    if not -parts[0].ndim <= axis < parts[0].ndim:
        raise ShapeError(f"[concat] axis out of range. Received: axis={axis} for {parts[0].ndim} dimensions.")
    axis %= parts[0].ndim
    while len(parts) > 1:
        parts = [
            execute(_Concat, tuple(parts[i : i + CONCAT_AT_ONCE]), {"axis": axis})[0]  # type: ignore[arg-type]
            for i in range(0, len(parts), CONCAT_AT_ONCE)
        ]
    return parts[0]
