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


def _empty(op: str, shape: tuple[int, ...], dtype: np.dtype) -> Tensor:
    """Return what a reduction of nothing gives."""
    if op == "ReduceSum":
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
    """Return the sum, mean, maximum or minimum over axes."""
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
    whole = node.op == "ReduceMean" and x.dtype not in FLOATS
    wide = tensor.astype("int32") if narrow else tensor.astype("float64") if whole else tensor
    y = REDUCE[node.op](wide, places, keep)
    return Value.of(y.astype(x.dtype) if narrow or whole else y, perm if keep else None)
