"""Operators that search, and those that take and set elements which integers name."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import ops
from pynn.core.graph import execute
from pynn.core.state import state
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import DataError, ShapeError
from pynn.onnx.operators.elementwise import INT64, reshaped
from pynn.onnx.operators.registry import Node, full, operator
from pynn.onnx.operators.shapes import axis_of
from pynn.onnx.value import Value
from pynn.ops.common import INTS
from pynn.ops.masks import permute_steps
from pynn.ops.shape import _TAKE_GRAD

LOOPS = 32  # so many largest values are found one after the other; more are sorted, outside of programs
COMPARED = 1024  # up to so many whole numbers are sorted in programs, each compared with each


def _last(x: Value, axis: int) -> tuple[Tensor, tuple[int, ...]]:
    """Return x with an axis at the end, and that order of axes."""
    perm = (*(i for i in range(x.ndim) if i != axis), axis)
    return x.form(perm), perm


def _ordered(x: Tensor, largest: bool) -> Tensor:
    """Return numbers of which the largest is looked for."""
    wide = x.astype("int32") if x.dtype.itemsize == 1 else x
    return wide if largest else ops.neg(wide)


@operator("ArgMax", "ArgMin")
def argmax(node: Node, x: Value) -> Value:
    """Return where the largest or smallest value of an axis stands."""
    axis = axis_of(node, node.integer("axis", 0), x.ndim)
    perm, tensor = x.at_hand
    if perm != x.plain_perm and not node.integer("keepdims", 1):
        perm, tensor = x.plain_perm, x.plain
    at, n = perm.index(axis), x.shape[axis]
    values = _ordered(tensor, node.op == "ArgMax")
    if node.integer("select_last_index", 0):
        back = [slice(None)] * x.ndim
        back[at] = slice(None, None, -1)
        y = ops.sub(n - 1, ops.argmax(ops.slice(values, tuple(back)), at))
    else:
        y = ops.argmax(values, at)
    if not node.integer("keepdims", 1):
        return Value.of(y)
    return Value.of(ops.reshape(y, tuple(1 if i == at else d for i, d in enumerate(values.shape))), perm)


@operator("TopK", inputs=(1, 2))
def top_k(node: Node, x: Value, k: Value | None = None) -> tuple[Value, Value]:
    """Return the k largest (or smallest) values of an axis in order, and where they stand."""
    axis = axis_of(node, node.integer("axis", -1), x.ndim)
    count = node.integer("k", 1) if k is None else (node.static_ints(k, "k") or [0])[0]
    largest = bool(node.integer("largest", 1))
    if not 0 <= count <= x.shape[axis]:
        raise DataError(f"expected at most as many as the axis has. Received: k={count} for {x.shape}, axis={axis}.")
    line, perm = _last(x, axis)
    n, shape = x.shape[axis], (*line.shape[:-1], count)
    rows = ops.reshape(line, (line.size // max(n, 1), n))
    if count <= min(LOOPS, n) and count and x.dtype in FLOATS:
        at = _one_by_one(_ordered(rows, largest), count)
    elif state.recorder is not None and x.dtype in INTS and n <= COMPARED and count:
        node.room((rows.shape[0], n, n), np.float32)
        at = _each_with_each(_ordered(rows, not largest), count)
    else:
        array = node.read(Value.of(rows), "the order of the values")
        keys = array if not largest else (-array.astype(np.float64 if x.dtype in FLOATS else np.int64))
        at = Tensor.state(np.argsort(keys, axis=1, kind="stable")[:, :count].astype(np.int64))
    found = _picked(rows, at)
    if found is None:
        start = Tensor.state((np.arange(rows.shape[0], dtype=np.int64) * n)[:, None])
        found = ops.gather(ops.reshape(rows, (rows.size,)), ops.add(at, start))
    return Value.of(ops.reshape(found, shape), perm), Value.of(ops.reshape(at, shape), perm)


def _one_by_one(rows: Tensor, count: int) -> Tensor:
    places = Tensor.state(np.arange(rows.shape[1], dtype=np.int64)[None])
    found = []
    for _ in range(count):
        at = ops.reshape(ops.argmax(rows, 1), (rows.shape[0], 1))
        found.append(at)
        rows = ops.where(ops.equal(places, at), -np.inf, rows)
    return ops.concat(found, 1)


def _picked(x: Tensor, at: Tensor) -> Tensor | None:
    """Return x[n, at[n, k]] where there are as many places as steps and no gradients: each sample for itself."""
    if state.grad_enabled or x.ndim < 2 or at.shape != x.shape[:2]:
        return None
    order = at if at.dtype == np.int32 else at.astype("int32")
    return permute_steps(x, order, order)


def _each_with_each(rows: Tensor, count: int) -> Tensor:
    """Return where the smallest values of each row stand, in order; equal ones as they come."""
    m, n = rows.shape
    mine, others = ops.reshape(rows, (m, n, 1)), ops.reshape(rows, (m, 1, n))
    first = Tensor.state(np.tri(n, k=-1, dtype=np.float32)[None])  # [t, s]: 1 if s stands before t
    before = ops.where(ops.less(others, mine), 1.0, ops.where(ops.equal(others, mine), first, 0.0))
    place = ops.reshape(ops.sum(before, axis=2), (m, 1, n))
    wanted = Tensor.state(np.arange(count, dtype=np.float32)[None, :, None])
    return ops.argmax(ops.equal(wanted, place).astype("float32"), 2).astype(INT64)


def counted(index: Tensor, sizes: Any) -> Tensor:
    """Return indices as int64 from 0: negative ones count from the end of the axis."""
    index = index if index.dtype == INT64 else index.astype(INT64)
    return ops.where(ops.less(index, 0), ops.add(index, sizes), index)


def checked(index: Tensor, size: int) -> Tensor:
    """Return the same; an index beyond the axis stops the run, as nothing that writes checks it."""
    return ops.gather(Tensor.state(np.arange(size, dtype=np.int64)), index)


def _along(x: Value, index: Value, axis: int) -> Tensor:
    """Return the places in x, counted through, of elements that differ from their own places along one axis."""
    if index.ndim != x.ndim or any(
        i > d for a, (i, d) in enumerate(zip(index.shape, x.shape, strict=True)) if a != axis
    ):
        raise ShapeError(f"expected indices that fit into x. Received: {index.shape} for {x.shape}, axis={axis}.")
    strides = np.array([int(np.prod(x.shape[a + 1 :], dtype=np.int64)) for a in range(x.ndim)], np.int64)
    grids = np.meshgrid(*(np.arange(n) for n in index.shape), indexing="ij", sparse=True)
    base = sum(
        (g * s for a, (g, s) in enumerate(zip(grids, strides, strict=True)) if a != axis), np.zeros((), np.int64)
    )
    base = np.broadcast_to(base, index.shape).astype(np.int64)
    at = checked(index.plain, x.shape[axis])
    return ops.add(ops.mul(at, int(strides[axis])), Tensor.state(np.ascontiguousarray(base)))


def _flat(x: Value) -> Tensor:
    return ops.reshape(x.plain, (x.size,))


@operator("GatherElements", inputs=(2, 2))
def gather_elements(node: Node, x: Value, index: Value) -> Value:
    """Return y[i, j] = x[index[i, j], j], for axis 0."""
    axis = axis_of(node, node.integer("axis", 0), x.ndim)
    return Value.of(ops.gather(_flat(x), _along(x, index, axis)))


def _places(node: Node, shape: tuple[int, ...], index: Value, batch: int = 0) -> tuple[Tensor, tuple[int, ...]]:
    """Return which rows of x (of the axes behind those that are indexed) tuples of indices name, and a row's shape."""
    depth = index.shape[-1] if index.ndim else 0
    if not 1 <= depth <= len(shape) - batch:
        raise ShapeError(
            f"expected tuples of at most {len(shape) - batch} indices. Received: {index.shape} for {shape}."
        )
    inner, sizes = shape[batch + depth :], shape[batch : batch + depth]
    strides = [int(np.prod(sizes[a + 1 :], dtype=np.int64)) for a in range(depth)]
    rows = None
    for a, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        part = ops.reshape(index.plain[..., a : a + 1], index.shape[:-1])
        part = ops.mul(checked(part, size), stride)
        rows = part if rows is None else ops.add(rows, part)
    assert rows is not None
    if batch:
        count = int(np.prod(shape[:batch], dtype=np.int64))
        if index.shape[:batch] != shape[:batch]:
            raise ShapeError(f"expected equal sizes of the first {batch} axes. Received: {index.shape} for {shape}.")
        start = np.arange(count, dtype=np.int64).reshape(*shape[:batch], *(1,) * (index.ndim - 1 - batch))
        rows = ops.add(rows, Tensor.state(start * int(np.prod(sizes, dtype=np.int64))))
    return rows, inner


@operator("GatherND", inputs=(2, 2))
def gather_nd(node: Node, x: Value, index: Value) -> Value:
    """Return the slices of x that tuples of indices name."""
    batch = node.integer("batch_dims", 0)
    if not 0 <= batch < max(min(x.ndim, index.ndim), 1):
        raise ShapeError(f"expected batch_dims below the ranks. Received: {batch} for {x.shape} and {index.shape}.")
    if batch == 1 and index.shape == (*x.shape[:2], 1):
        found = _picked(x.plain, checked(ops.reshape(index.plain, x.shape[:2]), x.shape[1]))
        if found is not None:
            return Value.of(found)
    rows, inner = _places(node, x.shape, index, batch)
    size = int(np.prod(inner, dtype=np.int64))
    node.room((*index.shape[:-1], *inner), x.dtype)
    table = ops.reshape(x.plain, (x.size // max(size, 1), *inner))
    return Value.of(ops.gather(table, rows))


def _scattered(node: Node, x: Tensor, rows: Tensor, updates: Tensor) -> Tensor:
    """Return a table [rows, size] with rows set, or joined with what was there, as the attribute says."""
    how = node.text("reduction", "none")
    if x.dtype != updates.dtype:
        raise DataError(f"expected updates of dtype {x.dtype}. Received: {updates.dtype}.")
    if how in ("none", "add"):
        wide = np.dtype("float64") if x.dtype not in FLOATS else x.dtype  # whole numbers are exact up to 2**53
        table, more = (t if t.dtype == wide else t.astype(wide) for t in (x, updates))
        total = _summed(more, rows, table)
        if how == "add":
            y = ops.add(table, total)
        else:
            ones = full((updates.shape[0], 1), 1.0, wide)
            count = _summed(ones, rows, Tensor.state(np.zeros((x.shape[0], 1), wide)))
            y = ops.where(ops.less(0.0, count), total, table)
        return y if y.dtype == x.dtype else y.astype(x.dtype)
    joined = {"mul": np.multiply, "max": np.maximum, "min": np.minimum}.get(how)
    if joined is None:
        raise DataError(f"expected the reduction none, add, mul, max or min. Received: {how!r}.")
    array, at, values = (node.read(Value.of(t), f"the reduction {how!r}") for t in (x, rows, updates))
    array = array.copy()
    joined.at(array, at, values)
    return Tensor.state(array)


def _summed(updates: Tensor, rows: Tensor, like: Tensor) -> Tensor:
    return execute(_TAKE_GRAD, (updates, rows, like), {"axis": 0})[0]


@operator("ScatterElements", "Scatter", inputs=(3, 3))
def scatter_elements(node: Node, x: Value, index: Value, updates: Value) -> Value:
    """Return x with y[index[i, j], j] = updates[i, j], for axis 0; of indices that come twice, the sum."""
    axis = axis_of(node, node.integer("axis", 0), x.ndim)
    if updates.shape != index.shape:
        raise ShapeError(f"expected one update per index. Received: {updates.shape} for {index.shape}.")
    at = ops.reshape(_along(x, index, axis), (index.size,))
    y = _scattered(node, ops.reshape(x.plain, (x.size, 1)), at, ops.reshape(updates.plain, (updates.size, 1)))
    return Value.of(ops.reshape(y, x.shape))


@operator("ScatterND", inputs=(3, 3))
def scatter_nd(node: Node, x: Value, index: Value, updates: Value) -> Value:
    """Return x with the slices that tuples of indices name set to the updates."""
    rows, inner = _places(node, x.shape, index)
    if updates.shape != (*index.shape[:-1], *inner):
        raise ShapeError(f"expected updates of {(*index.shape[:-1], *inner)}. Received: {updates.shape}.")
    size = int(np.prod(inner, dtype=np.int64))
    table = ops.reshape(x.plain, (x.size // max(size, 1), size))
    y = _scattered(node, table, ops.reshape(rows, (rows.size,)), ops.reshape(updates.plain, (rows.size, size)))
    return Value.of(ops.reshape(y, x.shape))


@operator("OneHot", inputs=(3, 3))
def one_hot(node: Node, index: Value, depth: Value, values: Value) -> Value:
    """Return values[1] where an index stands along a new axis, elsewhere values[0]."""
    count = int(node.read(depth, "the depth").reshape(-1)[0])
    axis = axis_of(node, node.integer("axis", -1), index.ndim + 1)
    node.room((*index.shape, count), values.dtype)
    at = counted(index.plain, count)
    at = ops.reshape(at, (*index.shape[:axis], 1, *index.shape[axis:]))
    places = np.arange(count, dtype=np.int64).reshape((count,) + (1,) * (index.ndim - axis))
    on = ops.equal(Tensor.state(places), at)
    wide = values.plain if values.dtype.itemsize > 1 else values.plain.astype("int32")
    y = ops.where(on, wide[1:2], wide[0:1]) if index.ndim else ops.where(on, wide[1], wide[0])
    return Value.of(y if y.dtype == values.dtype else y.astype(values.dtype))


@operator("Trilu", inputs=(1, 2))
def trilu(node: Node, x: Value, k: Value | None = None) -> Value:
    """Return the upper or the lower triangle of matrices, elsewhere 0."""
    if x.ndim < 2:
        raise ShapeError(f"expected matrices. Received: x.shape={x.shape}.")
    shift = (node.static_ints(k, "k") or [0])[0] if k is not None else 0
    shift = max(min(shift, 2**31 - 1), -(2**31))
    ones = np.ones(x.shape[-2:], bool)
    kept = np.triu(ones, shift) if node.integer("upper", 1) else np.tril(ones, shift)
    wide = x.plain.astype("int32") if x.dtype.itemsize == 1 else x.plain
    y = ops.where(Tensor.state(kept), wide, 0 if wide.dtype not in FLOATS else 0.0)
    return Value.of(y if y.dtype == x.dtype else y.astype(x.dtype))


@operator("EyeLike", typed=True)
def eye_like(node: Node, x: Value) -> Value:
    """Return ones on a diagonal, elsewhere 0."""
    from pynn.onnx.tensors import DTYPES, held

    if x.ndim != 2:
        raise ShapeError(f"expected a matrix. Received: x.shape={x.shape}.")
    dtype = DTYPES.get(node.integer("dtype", 0), x.dtype)
    node.room(x.shape, np.float64)
    return Value.known(held(np.eye(x.shape[0], x.shape[1], k=node.integer("k", 0), dtype=dtype), "EyeLike"))


@operator("CumSum", inputs=(2, 2))
def cum_sum(node: Node, x: Value, axis: Value) -> Value:
    """Return the sums of the first elements along an axis."""
    at = axis_of(node, (node.static_ints(axis, "the axis") or [0])[0], x.ndim)
    n, dtype = x.shape[at], x.dtype
    node.room((n, n), np.float64)
    line, perm = _last(x, at)
    wide = line if dtype in FLOATS else line.astype("float64")
    ones = np.triu(np.ones((n, n), wide.dtype), 1 if node.integer("exclusive", 0) else 0)
    y = ops.matmul(
        ops.reshape(wide, (wide.size // max(n, 1), n)), Tensor.state(ones.T if node.integer("reverse", 0) else ones)
    )
    y = ops.reshape(y, line.shape)
    return Value.of(y if dtype in FLOATS else y.astype(dtype), perm)


@operator("NonZero")
def non_zero(node: Node, x: Value) -> Value:
    """Return where x is not 0, a column for each place; no program can hold it, as its size depends on the data."""
    found = node.read(x, "how many values are not 0")
    return Value.known(np.array(np.nonzero(found), np.int64).reshape(x.ndim or 1, -1))


@operator("Compress", inputs=(2, 2))
def compress(node: Node, x: Value, condition: Value) -> Value:
    """Return the slices of x for which the condition holds."""
    chosen = np.flatnonzero(node.read(condition, "how many slices are kept"))
    axis = node.attributes.get("axis")
    flat = reshaped(x, (x.size,)) if axis is None else x
    at = axis_of(node, node.integer("axis", 0), flat.ndim)
    chosen = chosen[chosen < flat.shape[at]]
    return Value.of(ops.gather(flat.plain, Tensor.state(chosen.astype(np.int64)), at))
