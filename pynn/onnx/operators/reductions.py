"""Reductions over axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import ops
from pynn.core.tensor import FLOATS, Tensor
from pynn.onnx.operators.registry import Node, full, operator
from pynn.onnx.operators.shapes import axes_of
from pynn.onnx.value import Value

REDUCE: dict[str, Any] = {
    "ReduceSum": ops.sum,
    "ReduceMean": ops.mean,
    "ReduceMax": ops.max,
    "ReduceMin": ops.min,
}


def _product(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """Return the product over axes, by pairs: few ops, and a gradient that knows of zeros."""
    rest = tuple(a for a in range(x.ndim) if a not in axes)
    kept = tuple(1 if a in axes else d for a, d in enumerate(x.shape))
    line = ops.reshape(ops.transpose(x, (*rest, *axes)), (int(np.prod([x.shape[a] for a in rest], dtype=np.int64)), -1))
    while line.shape[1] > 1:
        half, odd = divmod(line.shape[1], 2)
        part = ops.mul(line[:, :half], line[:, half : 2 * half])
        line = ops.concat([part, line[:, 2 * half :]], 1) if odd else part
    return ops.reshape(line, kept if keepdims else tuple(x.shape[a] for a in rest))


def _log_sum_exp(x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    top = ops.max(x, axes, True)
    top = ops.where(ops.equal(ops.abs(top), np.inf), 0.0, top)
    y = ops.log(ops.sum(ops.exp(ops.sub(x, top)), axes, keepdims))
    return ops.add(y, top if keepdims else ops.reshape(top, y.shape))


REDUCE |= {
    "ReduceProd": _product,
    "ReduceL1": lambda x, axes, keep: ops.sum(ops.abs(x), axes, keep),
    "ReduceL2": lambda x, axes, keep: ops.sqrt(ops.sum(ops.square(x), axes, keep)),
    "ReduceSumSquare": lambda x, axes, keep: ops.sum(ops.square(x), axes, keep),
    "ReduceLogSum": lambda x, axes, keep: ops.log(ops.sum(x, axes, keep)),
    "ReduceLogSumExp": _log_sum_exp,
}
REAL = ("ReduceMean", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp")  # computed in floats, whatever comes
OF_NOTHING = {"ReduceProd": 1, "ReduceLogSum": -np.inf, "ReduceLogSumExp": -np.inf}


def _empty(op: str, shape: tuple[int, ...], dtype: np.dtype) -> Tensor:
    """Return what a reduction of nothing gives."""
    if op in OF_NOTHING:
        return full(shape, OF_NOTHING[op], dtype)
    if op in ("ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare"):
        return ops.zeros(shape, dtype)
    if dtype == np.bool_:
        return full(shape, op == "ReduceMin", dtype)
    if op == "ReduceMean":
        return full(shape, np.nan, dtype)
    low = op == "ReduceMax"
    if dtype in FLOATS:
        return full(shape, -np.inf if low else np.inf, dtype)
    ends = np.iinfo(dtype)
    return full(shape, ends.min if low else ends.max, dtype)


@operator(*REDUCE, inputs=(1, 2))
def reduction(node: Node, x: Value, axes: Value | None = None) -> Value:
    """Return the sum, mean, product, maximum, minimum or a norm over axes."""
    given = node.integers("axes") if axes is None else node.static_ints(axes, "axes")
    if not given:
        if node.integer("noop_with_empty_axes", 0):
            return x
        given = list(range(x.ndim))
    along = sorted(axes_of(node, given, x.ndim))
    keep = bool(node.integer("keepdims", 1))
    if x.ndim == 0:
        return x
    perm, tensor = x.at_hand
    if not keep and perm != x.plain_perm:
        perm, tensor = x.plain_perm, x.plain
    if x.size == 0:
        kept = tuple(1 if i in along else d for i, d in enumerate(x.shape))
        y = _empty(node.op, kept if keep else tuple(d for i, d in enumerate(x.shape) if i not in along), x.dtype)
        return Value.of(y)
    places = tuple(perm.index(a) for a in along)
    narrow = x.dtype.itemsize == 1
    whole = node.op in REAL and x.dtype not in FLOATS
    wide = tensor.astype("int32") if narrow else tensor.astype("float64") if whole else tensor
    y = REDUCE[node.op](wide, places, keep)
    return Value.of(y.astype(x.dtype) if narrow or whole else y, perm if keep else None)
