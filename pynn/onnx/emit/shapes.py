"""Export of products, reductions, and of what moves and joins axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pynn.export.trace import Op, Value
from pynn.onnx.builder import Builder, Perm, channels_first, converter
from pynn.onnx.emit.elementwise import meeting

LAST = 2**31 - 1


@converter("dense")
def _dense(b: Builder, op: Op) -> None:
    x, w, bias = op.inputs
    perm, name = b.at_hand(x)
    if perm[-1] != x.ndim - 1:
        perm, name = tuple(range(x.ndim)), b.plain(x)
    if x.ndim == 2:
        y = b.node("Gemm", [name, b.plain(w), *([] if bias is None else [b.plain(bias)])])
    else:
        y = b.node("MatMul", [name, b.plain(w)])
        y = y if bias is None else b.node("Add", [y, b.plain(bias)])
    b.put(op.y, perm, y)


@converter("matmul")
def _matmul(b: Builder, op: Op) -> None:
    names = []
    for x, key in zip(op.inputs, ("ta", "tb"), strict=True):
        perm = list(range(x.ndim))
        if op.attrs[key]:
            perm[-2:] = perm[:-3:-1]
        names.append(b.form(x, tuple(perm)))
    y = op.y
    b.put(y, tuple(range(y.ndim)), b.node("MatMul", names))


@converter("sum", "max", "min", "argmax")
def _reduce(b: Builder, op: Op) -> None:
    x, (start, stop) = op.x, (op.attrs["axis"], op.attrs["stop"])
    perm, name = b.at_hand(x)
    axes = sorted(perm.index(a) for a in range(start, stop))
    kept = tuple(a if a < start else a - (stop - start) for a in perm if not start <= a < stop)
    scale = op.attrs["scale"] if op.name == "sum" else 1.0
    if op.name == "argmax":
        y = b.node("ArgMax", [name], axis=axes[0], keepdims=0)
    elif op.name == "sum" and scale == 1.0 / math.prod(x.shape[start:stop]):
        y = b.reduce("ReduceMean", name, axes, False)
    else:
        y = b.reduce({"sum": "ReduceSum", "max": "ReduceMax", "min": "ReduceMin"}[op.name], name, axes, False)
        if "scale" in op.varied:
            raise op.refused("divides by a part of the size that is left open", "give the size in input_shape.")
        y = y if scale == 1.0 else b.node("Mul", [y, b.number(scale)])
    b.put(op.y, kept, y)


@converter("reshape")
def _reshape(b: Builder, op: Op) -> None:
    x, y = op.x, op.y
    have, name = b.at_hand(x)
    perm = _kept_form(x, y, have)
    if perm is None:
        perm, name = tuple(range(y.ndim)), b.plain(x)
    b.put(y, perm, b.node("Reshape", [name, b.sizes(y, perm)]))


def _kept_form(x: Value, y: Value, have: Perm) -> Perm | None:
    """Return the form of y that a form of x becomes, where axes of one element come or go and no others."""
    real = [[a for a in range(v.ndim) if a == v.axis or v.shape[a] != 1] for v in (x, y)]
    same = [x.extent(a) for a in real[0]] == [y.extent(a) for a in real[1]]
    if not same or [a == x.axis for a in real[0]] != [a == y.axis for a in real[1]]:
        return None
    where = dict(zip(*real, strict=True))
    order = [where[a] for a in have if a in where]
    for perm in (channels_first(y.ndim), tuple(range(y.ndim))):
        if [a for a in perm if a in real[1]] == order:
            return perm
    return None


@converter("transpose")
def _transpose(b: Builder, op: Op) -> None:
    x, axes = op.x, op.attrs["axes"]
    perm, name = b.at_hand(x)  # no node: it is the same value in another form
    b.put(op.y, tuple(axes.index(a) for a in perm), name)


@converter("expand")
def _expand(b: Builder, op: Op) -> None:
    x, y = op.x, op.y
    before = y.ndim - x.ndim  # an axis that has its size already may stand as 1
    sizes: list[Any] = [
        1 if a == y.axis or (a in y.open and a >= before and a - before in x.open) else y.extent(a)
        for a in range(y.ndim)
    ]
    shape = b.shape(sizes)
    if x.axis is None and y.axis is not None:
        rows = b.batch
        if y.shape[y.axis] != 1:
            rows = b.node("Mul", [rows, b.ints([y.shape[y.axis]])])
        ends = [b.shape(part) for part in (sizes[: y.axis], sizes[y.axis + 1 :]) if part]
        shape = b.node("Concat", [*ends[: int(y.axis > 0)], rows, *ends[int(y.axis > 0) :]], axis=0)
    b.put(y, tuple(range(y.ndim)), b.node("Expand", [b.plain(x), shape]))


@converter("slice")
def _slice(b: Builder, op: Op) -> None:
    x, y = op.x, op.y
    perm, name = b.at_hand(x)
    parts = []
    for axis, (start, step, size) in enumerate(zip(*(op.attrs[k] for k in ("starts", "steps", "sizes")), strict=True)):
        if (start, step, size) == (0, 1, x.shape[axis]) and x.open.get(axis) == y.open.get(axis):
            continue
        if axis == x.axis:
            raise op.refused("cuts the axis of the samples")
        end = start + size * step
        if axis in x.open:
            start, end = _ends(op, axis, start, step)
        if end < 0 and axis not in x.open:
            end = -LAST
        parts.append((start, end, perm.index(axis), step))
    b.put(op.y, perm, b.node("Slice", [name, *(b.ints(values) for values in zip(*parts, strict=True))]))


def _ends(op: Op, axis: int, start: int, step: int) -> tuple[int, int]:
    """Return where a slice begins and ends, of an axis whose size is left open: at a place, or so far from the end."""
    whole = op.x.open[axis]
    starts = [each[axis] for each in op.varied["starts"]] if "starts" in op.varied else [start] * len(whole)
    sizes = op.y.open.get(axis, (op.y.shape[axis],) * len(whole))
    stops = [a + m * step for a, m in zip(starts, sizes, strict=True)]
    if step > 0 and all(-(-(n - a) // step) == m for n, a, m in zip(whole, starts, sizes, strict=True)):
        stops = [LAST] * len(whole)
    elif step < 0 and all(a + (m - 1) * step < -step for a, m in zip(starts, sizes, strict=True)):
        stops = [-LAST] * len(whole)
    ends = []
    for places in (starts, stops):
        from_end = {a - n for n, a in zip(whole, places, strict=True)}
        if len(set(places)) == 1:
            ends.append(places[0])
        elif len(from_end) == 1 and max(from_end) < 0:
            ends.append(from_end.pop())
        else:
            raise op.refused("cuts the size that is left open at places that follow it", "give it in input_shape.")
    return ends[0], ends[1]


@converter("concat")
def _concat(b: Builder, op: Op) -> None:
    y = op.y
    live = [x for x in op.inputs if x is not None and not x.constant]
    perm, _ = meeting(b, tuple(live), y)
    names = [b.form(x, perm) for x in op.inputs if x is not None]
    b.put(y, perm, b.node("Concat", names, axis=perm.index(op.attrs["axis"])))


@converter("cast")
def _cast(b: Builder, op: Op) -> None:
    perm, name = b.at_hand(op.x)
    dtype = np.dtype(op.attrs["dtype"])
    b.put(op.y, perm, b.cast(name, np.int64 if dtype.kind in "iu" else dtype))


@converter("take")
def _take(b: Builder, op: Op) -> None:
    x, index = op.inputs
    axis = op.attrs["axis"]
    perm, name = b.at_hand(x)
    if index.ndim != 1:
        perm, name = tuple(range(x.ndim)), b.plain(x)
    y = b.node("Gather", [name, b.plain(index)], axis=perm.index(axis))
    b.put(op.y, perm if index.ndim == 1 else tuple(range(op.y.ndim)), y)


@converter("copy", "check_lengths")
def _same(b: Builder, op: Op) -> None:
    b.put(op.y, *b.at_hand(op.x))
