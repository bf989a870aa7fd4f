"""Operators that move, cut and repeat."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from pynn import ops
from pynn.core.tensor import Tensor
from pynn.errors import DataError, DTypeError, ShapeError
from pynn.onnx.operators.elementwise import reshaped
from pynn.onnx.operators.registry import Node, full, operator
from pynn.onnx.tensors import DTYPES
from pynn.onnx.value import Value

NUMBERS = {name: number for number, name in DTYPES.items()}
ENDLESS = 2**31  # more steps than any axis has


def axes_of(node: Node, axes: list[int], rank: int) -> list[int]:
    """Return axes as numbers from 0, each once."""
    found = [a + rank if a < 0 else a for a in axes]
    if any(not 0 <= a < rank for a in found) or len(set(found)) < len(found):
        raise ShapeError(f"expected different axes of {rank} dimensions. Received: axes={axes}.")
    return found


def axis_of(node: Node, axis: int, rank: int) -> int:
    """Return an axis as a number from 0."""
    return axes_of(node, [axis], rank)[0]


@operator("Identity", texts=True)
def identity(node: Node, x: Value) -> Value:
    """Return x."""
    return x


@operator("Shape")
def shape(node: Node, x: Value) -> Value:
    """Return the sizes of x."""
    return Value.known(np.array(x.shape[node.integer("start", 0) : node.integer("end", ENDLESS)], np.int64))


@operator("Size")
def size(node: Node, x: Value) -> Value:
    """Return the number of elements of x."""
    return Value.known(np.array(x.size, np.int64))


# The dtypes that hold what Cast makes; integers of other widths wrap round first.
CASTS = {
    1: "float32", 10: "float32", 16: "float32", 11: "float64", 6: "int32", 7: "int64", 2: "uint8", 9: "bool",
    3: "int32", 5: "int32", 4: "int32", 12: "int64", 13: "int64",
}  # fmt: skip
WRAPPED = {3: (8, True), 5: (16, True), 4: (16, False), 12: (32, False)}  # type -> bits, and whether they have a sign
TEXT = 8


def converted(x: Value, to: int) -> Value:
    """Return x in another dtype, by the number of its type in ONNX; half precision is held, and not rounded."""
    if to == TEXT and x.names is not None:
        return x
    if to not in CASTS:
        raise DTypeError(f"expected to convert to {', '.join(sorted(set(CASTS.values())))}. Received: to={to}.")
    if x.names is not None:
        raise DTypeError("expected numbers to convert. Received: texts.")
    if x.dtype == CASTS[to] and to not in WRAPPED:
        return x
    if x.constant is not None and to in WRAPPED and x.dtype.kind in "iu":
        kind = np.dtype(DTYPES[to])
        return Value.known(x.constant.astype(kind).astype(CASTS[to]))
    perm, tensor = x.at_hand
    tensor = tensor if tensor.dtype == CASTS[to] else tensor.astype(CASTS[to])
    if to in WRAPPED and x.dtype.kind in "iu" and x.dtype.itemsize > 1:
        tensor = _wrapped(tensor, *WRAPPED[to])
    return Value(x.shape, {perm: tensor})


def _wrapped(x: Tensor, bits: int, signed: bool) -> Tensor:
    """Return integers as if they had so many bits; exact below 2**53."""
    low = 2 ** (bits - 1) if signed else 0
    wide = ops.add(x.astype("float64"), float(low))
    rest = ops.sub(wide, ops.mul(ops.floor(ops.div(wide, float(2**bits))), float(2**bits)))
    return ops.sub(rest, float(low)).astype(x.dtype)


@operator("Cast", texts=True)
def cast(node: Node, x: Value) -> Value:
    """Return x in another dtype."""
    return converted(x, node.integer("to", 1))


@operator("CastLike", inputs=(2, 2), typed=True)
def cast_like(node: Node, x: Value, like: Value) -> Value:
    """Return x in the dtype of another value."""
    types = node.attributes.get("types") or []
    kind = types[1] if len(types) == 2 and types[1] else NUMBERS.get(like.dtype.name, 0)
    return converted(x, kind)


@operator("Transpose")
def transpose(node: Node, x: Value) -> Value:
    """Return x with permuted axes."""
    perm = node.integers("perm", list(range(x.ndim))[::-1])
    if sorted(perm) != list(range(x.ndim)):
        raise ShapeError(f"expected perm to be a permutation of {x.ndim} axes. Received: perm={perm}.")
    return x.transposed(tuple(perm))


@operator("Flatten", texts=True)
def flatten(node: Node, x: Value) -> Value:
    """Return x as a matrix: the axes before `axis`, and the others."""
    axis = node.integer("axis", 1)
    if not -x.ndim <= axis <= x.ndim:
        raise ShapeError(f"expected an axis of the input. Received: axis={axis}, x.shape={x.shape}.")
    axis += x.ndim if axis < 0 else 0
    return reshaped(x, tuple(int(np.prod(part, dtype=np.int64)) for part in (x.shape[:axis], x.shape[axis:])))


@operator("Reshape", inputs=(1, 2), texts=True)
def reshape(node: Node, x: Value, target: Value | None = None) -> Value:
    """Return x with another shape; 0 copies a size (unless allowzero), -1 is what is left."""
    sizes = node.integers("shape") if target is None else node.static_ints(target, "the shape")
    if sizes is None:
        raise DataError("expected a shape.")
    if not node.integer("allowzero", 0):
        if any(d == 0 and i >= x.ndim for i, d in enumerate(sizes)):
            raise ShapeError(f"the shape copies a size that the input lacks. Received: {sizes} for {x.shape}.")
        sizes = [x.shape[i] if d == 0 else d for i, d in enumerate(sizes)]
    if -1 in sizes:
        known = int(np.prod([d for d in sizes if d != -1], dtype=np.int64))
        if sizes.count(-1) > 1 or known == 0 or x.size % known:
            raise ShapeError(f"expected a shape with {x.size} elements. Received: {sizes} for {x.shape}.")
        sizes = [x.size // known if d == -1 else d for d in sizes]
    if min(sizes, default=0) < 0 or int(np.prod(sizes, dtype=np.int64)) != x.size:
        raise ShapeError(f"expected a shape with {x.size} elements. Received: {sizes} for {x.shape}.")
    node.room(sizes, x.dtype)
    return reshaped(x, tuple(sizes))


def _axes(node: Node, axes: Value | None) -> list[int] | None:
    return node.integers("axes") if axes is None else node.static_ints(axes, "axes")


@operator("Squeeze", inputs=(1, 2), texts=True)
def squeeze(node: Node, x: Value, axes: Value | None = None) -> Value:
    """Return x without axes of size 1."""
    given = _axes(node, axes)
    drop = [i for i, d in enumerate(x.shape) if d == 1] if given is None else axes_of(node, given, x.ndim)
    if any(x.shape[i] != 1 for i in drop):
        raise ShapeError(f"expected axes of size 1. Received: axes={drop} for {x.shape}.")
    return reshaped(x, tuple(d for i, d in enumerate(x.shape) if i not in drop))


@operator("ReverseSequence", inputs=(2, 2))
def reverse_sequence(node: Node, x: Value, lengths: Value) -> Value:
    """Return the first steps of every sequence in reverse, the rest as it is."""
    batch, time = node.integer("batch_axis", 1), node.integer("time_axis", 0)
    if {batch, time} != {0, 1} or lengths.shape != (x.shape[batch],):
        raise ShapeError(
            f"expected the axes 0 and 1, and a length for each sequence. Received: batch_axis={batch}, "
            f"time_axis={time}, lengths of shape {lengths.shape} for {x.shape}."
        )
    perm = (batch, time, *range(2, x.ndim))
    line = ops.with_lengths(x.form(perm), lengths.plain.astype("int32"))
    return Value.of(ops.without_lengths(ops.reverse_steps(line)), perm)


@operator("Unsqueeze", inputs=(1, 2), texts=True)
def unsqueeze(node: Node, x: Value, axes: Value | None = None) -> Value:
    """Return x with new axes of size 1."""
    given = _axes(node, axes)
    if given is None:
        raise DataError("expected axes.")
    new = axes_of(node, given, x.ndim + len(given))
    rest = iter(x.shape)
    return reshaped(x, tuple(1 if i in new else next(rest) for i in range(x.ndim + len(given))))


@operator("Concat", inputs=(1, 2**31))
def concat(node: Node, *xs: Value) -> Value:
    """Return the inputs one after the other along an axis."""
    axis = axis_of(node, node.integer("axis", 1), xs[0].ndim)
    if any(x.ndim != xs[0].ndim for x in xs):
        raise ShapeError(f"expected inputs of one rank. Received: {[x.shape for x in xs][:4]}.")
    if len(xs) == 1:
        return xs[0]
    perm = xs[0].at_hand[0]
    if any(perm not in x.forms and x.constant is None for x in xs):
        perm = xs[0].plain_perm
    return Value.of(ops.concat([x.form(perm) for x in xs], perm.index(axis)), perm)


def cut(x: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
    """Return x[start:stop:step] along an axis, in the form that is at hand."""
    perm, tensor = x.at_hand
    key = tuple(slice(start, stop, step) if a == axis else slice(None) for a in perm)
    return Value.of(ops.slice(tensor, key), perm)


@operator("Split", inputs=(1, 2))
def split(node: Node, x: Value, sizes: Value | None = None) -> tuple[Value, ...]:
    """Return the parts of x along an axis."""
    axis = axis_of(node, node.integer("axis", 0), x.ndim)
    given = node.integers("split") if sizes is None else node.static_ints(sizes, "the sizes of parts")
    if given is None:
        parts = len(node.outputs)
        if node.integer("num_outputs", parts) != parts:
            raise DataError(f"expected {parts} parts. Received: num_outputs={node.integer('num_outputs', parts)}.")
        each = -(-x.shape[axis] // parts)
        given = [max(min(each, x.shape[axis] - i * each), 0) for i in range(parts)]
    if sum(given) != x.shape[axis] or min(given, default=0) < 0 or len(given) != len(node.outputs):
        raise ShapeError(f"expected {len(node.outputs)} parts of axis {axis}. Received: {given} for {x.shape}.")
    edges = np.cumsum([0, *given]).tolist()
    return tuple(cut(x, axis, a, b) for a, b in pairwise(edges))


@operator("Slice", inputs=(1, 5))
def slice_(node: Node, x: Value, *more: Value | None) -> Value:
    """Return x[start:end:step] along axes."""
    if node.version < 10:
        starts, ends, axes, steps = node.integers("starts"), node.integers("ends"), node.integers("axes"), None
    else:
        operands = [*more, None, None, None, None][:4]
        lists = zip(operands, ("starts", "ends", "axes", "steps"), strict=True)
        starts, ends, axes, steps = (node.static_ints(value, what) for value, what in lists)
    if starts is None or ends is None:
        raise DataError("expected starts and ends.")
    along = axes_of(node, list(range(len(starts))) if axes is None else axes, x.ndim)
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(along) == len(steps) or 0 in steps:
        raise DataError("expected as many starts as ends, axes and steps, and steps other than 0.")
    keys = {a: _span(x.shape[a], b, e, s) for a, b, e, s in zip(along, starts, ends, steps, strict=True)}
    perm, tensor = x.at_hand
    return Value.of(ops.slice(tensor, tuple(keys.get(a, slice(None)) for a in perm)), perm)


def _span(n: int, start: int, stop: int, step: int) -> slice:
    """Return a Python slice for numbers that are clamped as ONNX has it."""
    start, stop = (v + n if v < 0 else v for v in (start, stop))
    if step > 0:
        return slice(min(max(start, 0), n), min(max(stop, 0), n), step)
    stop = min(max(stop, -1), n - 1)
    return slice(min(max(start, 0), max(n - 1, 0)), None if stop < 0 else stop, step)


@operator("Gather", inputs=(2, 2), weights={0: None})
def gather(node: Node, x: Value, index: Value) -> Value:
    """Return the slices of x that integers name, along an axis."""
    axis = axis_of(node, node.integer("axis", 0), x.ndim)
    node.room(x.shape[:axis] + index.shape + x.shape[axis + 1 :], x.dtype)
    return Value.of(ops.gather(x.plain, index.plain, axis))


@operator("Expand", inputs=(2, 2))
def expand(node: Node, x: Value, target: Value) -> Value:
    """Return x repeated by NumPy's broadcasting."""
    wanted = node.static_ints(target, "the shape") or []
    sizes = np.broadcast_shapes(x.shape, tuple(wanted))
    node.room(sizes, x.dtype)
    return Value.of(ops.expand(x.plain, sizes))


@operator("Tile", inputs=(2, 3))
def tile(node: Node, x: Value, repeats: Value, axis: Value | None = None) -> Value:
    """Return x repeated along every axis."""
    counts = node.static_ints(repeats, "the repeats") or []
    if axis is not None:  # operator set 1
        at = (node.static_ints(axis, "the axis") or [0])[0]
        counts = [counts[0] if i == axis_of(node, at, x.ndim) else 1 for i in range(x.ndim)]
    if len(counts) != x.ndim or min(counts, default=0) < 0:
        raise DataError(f"expected one repeat per axis. Received: {counts} for {x.shape}.")
    node.room([d * r for d, r in zip(x.shape, counts, strict=True)], x.dtype)
    y, sizes = x.plain, list(x.shape)
    for a, r in enumerate(counts):
        if r != 1:
            outer, inner = int(np.prod(sizes[:a], dtype=np.int64)), int(np.prod(sizes[a:], dtype=np.int64))
            y = ops.expand(ops.reshape(y, (outer, 1, inner)), (outer, r, inner))
            sizes[a] *= r
            y = ops.reshape(y, sizes)
    return Value.of(y)


@operator("ConstantOfShape")
def constant_of_shape(node: Node, target: Value) -> Value:
    """Return a tensor of one value."""
    sizes = node.static_ints(target, "the shape") or []
    given = node.attributes.get("value", np.zeros(1, np.float32))
    if not isinstance(given, np.ndarray) or given.size != 1:
        raise DataError("expected the attribute value to be a tensor of one element.")
    node.room(sizes, given.dtype)
    return Value.of(full(sizes, given.reshape(())[()], given.dtype))


@operator("Range", inputs=(3, 3))
def range_(node: Node, *ends: Value) -> Value:
    """Return start, start + step, ... below the limit."""
    start, limit, step = (node.static(value, "a range").reshape(())[()] for value in ends)  # type: ignore[union-attr]
    if step == 0 or not np.isfinite([float(start), float(limit), float(step)]).all():
        raise DataError(f"expected a finite range with a step other than 0. Received: {start}, {limit}, {step}.")
    count = max(int(np.ceil((float(limit) - float(start)) / float(step))), 0)
    node.room([count], np.float64)
    return Value.known((start + np.arange(count, dtype=start.dtype) * step).astype(start.dtype))


def padded(x: Tensor, before: list[int], after: list[int], value: Any = 0) -> Tensor:
    """Return x with `value` round it; negative numbers cut."""
    keys = tuple(slice(max(-b, 0), d - max(-a, 0)) for b, a, d in zip(before, after, x.shape, strict=True))
    if min(*before, *after, 0) < 0:
        x = ops.slice(x, keys)
    for axis, (b, a) in enumerate(zip(before, after, strict=True)):
        parts = [full((*x.shape[:axis], n, *x.shape[axis + 1 :]), value, x.dtype) if n > 0 else None for n in (b, a)]
        if any(part is not None for part in parts):
            x = ops.concat([t for t in (parts[0], x, parts[1]) if t is not None], axis)
    return x


def _sources(n: int, before: int, after: int, mode: str) -> np.ndarray:
    """Return from where along an axis of n values those of a padded one come."""
    if n < 1 or (mode == "reflect" and n == 1 and max(before, after) > 0):
        raise ShapeError(f"expected an axis that can be continued by {mode!r}. Received: one of {n}.")
    at = np.arange(-before, n + after)
    if mode == "edge":
        return np.clip(at, 0, n - 1)
    if mode == "wrap":
        return at % n
    period = max(2 * (n - 1), 1)
    at = at % period
    return np.minimum(at, period - at)


@operator("Pad", inputs=(1, 4))
def pad(node: Node, x: Value, *more: Value | None) -> Value:
    """Return x with values round it: a constant, or as reflect, edge and wrap continue it."""
    value: Any = 0
    axes = None
    if node.version < 11:
        pads, value = node.integers("pads", node.integers("paddings")), node.number("value", 0.0)
    else:
        amounts, filling, along = [*more, None, None, None][:3]
        pads, axes = node.static_ints(amounts, "pads"), node.static_ints(along, "axes")
        if filling is not None:
            value = node.static(filling, "the value").reshape(-1)[0]  # type: ignore[union-attr]
    mode = node.text("mode", "constant")
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise DataError(f"expected the mode constant, reflect, edge or wrap. Received: {mode!r}.")
    chosen = list(range(x.ndim)) if axes is None else axes_of(node, axes, x.ndim)
    if pads is None or len(pads) != 2 * len(chosen):
        raise DataError(f"expected {2 * len(chosen)} pads. Received: {pads}.")
    before, after = [0] * x.ndim, [0] * x.ndim
    for i, axis in enumerate(chosen):
        before[axis], after[axis] = pads[i], pads[i + len(chosen)]
    sizes = [d + b + a for d, b, a in zip(x.shape, before, after, strict=True)]
    node.room(sizes, x.dtype)
    perm, y = x.at_hand
    if mode == "constant":
        return Value.of(padded(y, [before[a] for a in perm], [after[a] for a in perm], value), perm)
    for axis, (b, a) in enumerate(zip(before, after, strict=True)):
        if b or a:
            sources = Tensor.state(_sources(x.shape[axis], b, a, mode).astype(np.int64))
            y = ops.gather(y, sources, perm.index(axis))
    return Value.of(y, perm)
