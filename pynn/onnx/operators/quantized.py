"""Numbers of eight bits: what makes them and takes them back, and products and convolutions of them.

Sums of products are whole numbers. Where weights are known, kernels of bytes compute them (byte_weights.py). Elsewhere,
and where what runs is noted for an export, they are computed in float32 if no sum can leave the numbers that it holds
exactly, which depends on the weights, and else in float64: so they are exact, as the integers of ONNX are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from pynn import ops
from pynn.core.state import state
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import DataError, ShapeError
from pynn.onnx.operators.byte_weights import conv_of_bytes, has_bytes, matmul_of_bytes
from pynn.onnx.operators.convolution import conv
from pynn.onnx.operators.elementwise import INT32, broadcast, mapped, reshaped
from pynn.onnx.operators.products import matmul
from pynn.onnx.operators.registry import Node, floating, operator
from pynn.onnx.operators.shapes import axis_of
from pynn.onnx.value import Value
from pynn.ops.byte_products import dynamic_bytes, static_bytes

UINT8, INT8, UINT16, INT16 = 2, 3, 4, 5
LIMITS = {UINT8: (0, 255), INT8: (-128, 127), UINT16: (0, 65535), INT16: (-32768, 32767)}
SINGLE, DOUBLE = np.dtype("float32"), np.dtype("float64")
EXACT = 2**24  # float32 holds all whole numbers up to here


def kind_of(node: Node, at: int, default: int) -> int:
    """Return the type that an input has in the file."""
    types = node.attributes.get("types") or []
    return types[at] if at < len(types) and types[at] else default


def _real(x: Value) -> Value:
    """Return whole numbers as float32."""
    return mapped(x, lambda t: t if t.dtype in FLOATS else t.astype(SINGLE))


def _spread(node: Node, p: Value, x: Value, dtype: Any = None) -> Tensor:
    """Return scales or zero points so that they broadcast: one for all, one for each place of an axis, or of blocks."""
    block, dtype = node.integer("block_size", 0), dtype or p.dtype

    def shaped(tensor: Tensor) -> Tensor:
        if p.size == 1:
            return ops.reshape(tensor, ())
        axis = axis_of(node, node.integer("axis", 1), x.ndim)
        if block:
            if p.ndim != x.ndim or p.shape[axis] * block < x.shape[axis] or block < 0:
                raise ShapeError(
                    f"expected one number for each {block} of axis {axis}. Received: {p.shape} for {x.shape}."
                )
            each = np.repeat(np.arange(p.shape[axis], dtype=np.int64), block)[: x.shape[axis]]
            return ops.gather(tensor, Tensor.state(each), axis)
        if p.shape != (x.shape[axis],):
            raise ShapeError(f"expected one number for each place of axis {axis}. Received: {p.shape} for {x.shape}.")
        return ops.reshape(tensor, (x.shape[axis], *(1,) * (x.ndim - 1 - axis)))

    return shaped(p.plain if p.dtype == dtype else p.plain.astype(dtype))


def _bytes(x: Tensor, kind: int) -> Tensor:
    """Return rounded numbers within the limits of a type of ONNX, in the dtype that holds it; for exports in floats."""
    low, high = LIMITS[kind]
    y = ops.clip(x, float(low), float(high))
    return y if state.tape is not None else y.astype("uint8" if kind == UINT8 else "int32")


@operator("QuantizeLinear", inputs=(2, 3), typed=True)
def quantize(node: Node, x: Value, scale: Value, zero: Value | None = None) -> Value:
    """Return round(x / scale) + zero, within the limits of its type."""
    kind = kind_of(node, 2, UINT8) if zero is not None else node.integer("output_dtype", 0) or UINT8
    if kind not in LIMITS:
        raise DataError(f"expected to quantize to 8 or 16 bits. Received: the type {kind}.")
    if kind == UINT8 and has_bytes() and scale.size == 1 and x.dtype == scale.dtype == SINGLE:
        unsigned = zero is None or zero.dtype == np.dtype("uint8")
        if unsigned and (zero is None or zero.size == 1):
            parts = [None if v is None else ops.reshape(v.plain, (1,)) for v in (scale, zero)]
            return mapped(x, lambda t: static_bytes(t, *parts))  # type: ignore[arg-type]
    t = x.plain if x.dtype in FLOATS else x.plain.astype(SINGLE)
    y = ops.rint(ops.div(t, _spread(node, scale, x, t.dtype)))
    return Value.of(_bytes(y if zero is None else ops.add(y, _spread(node, zero, x, t.dtype)), kind))


@operator("DequantizeLinear", inputs=(2, 3))
def dequantize(node: Node, x: Value, scale: Value, zero: Value | None = None) -> Value:
    """Return (x - zero) scale."""
    dtype = scale.dtype if scale.dtype in FLOATS else SINGLE
    t = x.plain.astype(dtype)
    t = t if zero is None else ops.sub(t, _spread(node, zero, x, dtype))
    return Value.of(ops.mul(t, _spread(node, scale, x, dtype)))


def _dynamic(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return x in steps of its scale, within 0 to 255 and still in floats; the scale and the zero point."""
    flat = ops.reshape(floating(x), (x.size,))
    low, high = ops.minimum(ops.min(flat, 0), 0.0), ops.maximum(ops.max(flat, 0), 0.0)
    scale = ops.div(ops.sub(high, low), 255.0)
    scale = ops.where(ops.equal(scale, 0.0), 1.0, scale)
    zero = ops.clip(ops.rint(ops.div(ops.neg(low), scale)), 0.0, 255.0)
    y = ops.clip(ops.add(ops.rint(ops.div(x, scale)), zero), 0.0, 255.0)
    return y, scale, zero


@operator("DynamicQuantizeLinear")
def dynamic_quantize(node: Node, x: Value) -> tuple[Any, ...]:
    """Return x as bytes, with the scale and the zero point that fit its smallest and its largest value."""
    perm, tensor = x.at_hand
    if has_bytes() and tensor.dtype == SINGLE:
        y, scale, zero = dynamic_bytes(tensor)
        return Value(x.shape, {perm: y}), ops.reshape(scale, ()), ops.reshape(zero, ())
    y, scale, zero = _dynamic(tensor)
    return Value(x.shape, {perm: y.astype("uint8")}), scale, zero.astype("uint8")


def _centred(node: Node, key: str, x: Value, zero: Value | None, axis: int) -> tuple[Value, float]:
    """Return x - zero as floats, and how large its absolute values may be.

    Weights are made floats once; of them, it is the largest sum of absolute values that one result adds up, for the
    axis of results, from which on a product with them is exact.
    """
    if zero is not None and zero.size > 1 and zero.ndim == 1:
        zero = reshaped(zero, (-1 if zero.constant is not None else zero.size, *(1,) * (x.ndim - 1 - axis % x.ndim)))
    if x.constant is not None and (zero is None or zero.constant is not None):
        if key not in node.cache:
            shift = 0 if zero is None else zero.constant.astype(np.int64)
            node.cache[key] = Tensor.state((x.constant.astype(np.int64) - shift).astype(SINGLE))  # bytes would wrap
        return Value.of(node.cache[key]), 0.0
    y = _real(x)
    if zero is not None:
        plain = zero.plain.astype(SINGLE)
        y = mapped(y, lambda t: ops.sub(t, plain)) if zero.size == 1 else Value.of(ops.sub(y.plain, plain))
    return y, 255.0 + 128.0 * (x.dtype != np.uint8)


def _most(node: Node, key: str, axis: int, terms: int, each: float) -> float:
    """Return the largest sum of absolute values of weights that a result adds up: along an axis, or all others."""
    if key not in node.cache:
        return terms * each
    if "most" not in node.attributes:
        table = np.abs(node.cache[key].view().astype(DOUBLE))
        sums = table.reshape(len(table), -1).sum(1) if axis == 0 else table.sum(axis) if table.ndim > 1 else table.sum()
        node.attributes["most"] = float(np.max(sums, initial=0))
    return node.attributes["most"]


def _exactly(node: Node, function: Any, a: Value, b: Value, most: float) -> Value:
    """Return a product of whole numbers, in float32 if no sum can leave what that holds exactly.

    What follows the product is not the product's here.
    """
    if most >= EXACT:
        a, b = (mapped(v, lambda t: t.astype(DOUBLE)) for v in (a, b))
    return function(replace(node, then="linear"), a, b)


def _integers(y: Value) -> Value:
    return y if state.tape is not None else mapped(y, lambda t: t.astype(INT32))


def _scaled(node: Node, y: Value, ends: Sequence[Value]) -> Value:
    """Return sums as floats, times the factors, with the bias added, and activated, as the nodes that do it alone."""
    y = mapped(y, lambda t: t.astype(SINGLE)) if ends else y
    for function, value in zip((ops.mul, ops.add), ends, strict=False):
        y = broadcast(node, function, y, value)
    return y if node.then == "linear" else mapped(y, ops.relu)


def _product(node: Node, a: Value, b: Value, za: Value | None, zb: Value | None) -> Value:
    """Return (a - za)(b - zb), as int32 or as floats that hold whole numbers."""
    whole = matmul_of_bytes(node, a, b, za, zb)
    if whole is not None:
        return whole
    if za is not None and za.size > 1 and za.ndim == 1:  # one for each row
        za = Value.of(ops.reshape(za.plain, (-1, 1)))
    x, most_a = _centred(node, "a", a, za, -1)
    w, most_b = _centred(node, "b", b, zb, -1)
    if not most_a:  # of constants too
        most_a = float(np.abs(node.cache["a"].view()).max(initial=0))
    return _exactly(node, matmul, x, w, most_a * _most(node, "b", -2, a.shape[-1], most_b))


@operator("MatMulInteger", inputs=(2, 4))
def matmul_integer(
    node: Node, a: Value, b: Value, za: Value | None = None, zb: Value | None = None, ends: Sequence[Value] = ()
) -> Value:  # fmt: skip
    """Return the products of stacks of matrices of bytes, as int32; with ends, scaled."""
    if ends and (y := matmul_of_bytes(node, a, b, za, zb, ends)) is not None:
        return y
    return _scaled(node, _integers(_product(node, a, b, za, zb)), ends)


@operator("com.microsoft::MatMulIntegerToFloat", inputs=(4, 7))
def matmul_to_float(node: Node, a: Value, b: Value, scale_a: Value, scale_b: Value, *more: Value | None) -> Value:
    """Return the product of matrices of bytes, times both scales, and a bias added."""
    za, zb, bias = [*more, None, None, None][:3]
    y = _product(node, a, b, za, zb).plain.astype(SINGLE)
    y = ops.mul(y, ops.mul(scale_a.plain, scale_b.plain))
    return Value.of(y if bias is None else ops.add(y, bias.plain))


@operator("com.microsoft::DynamicQuantizeMatMul", inputs=(3, 5))
def dynamic_matmul(node: Node, a: Value, b: Value, scale_b: Value, *more: Value | None) -> Value:
    """Return the product of a, made bytes as DynamicQuantizeLinear does, with a matrix of bytes; a bias is added."""
    zb, bias = [*more, None, None][:2]
    x, scale, zero = (v if isinstance(v, Value) else Value.of(v) for v in dynamic_quantize(node, a))
    y = _product(node, x, b, zero, zb).plain.astype(SINGLE)
    y = ops.mul(y, ops.mul(scale.plain, scale_b.plain))
    return Value.of(y if bias is None else ops.add(y, bias.plain))


def _convolved(node: Node, x: Value, w: Value, zx: Value | None, zw: Value | None) -> Value:
    whole = conv_of_bytes(node, x, w, zx, zw)
    if whole is not None:
        return whole
    image, most_x = _centred(node, "x", x, zx, -1)
    kernel, most_w = _centred(node, "w", w, zw, 0)
    if not most_x:
        most_x = float(np.abs(node.cache["x"].view()).max(initial=0))
    most = _most(node, "w", 0, int(np.prod(w.shape[1:], dtype=np.int64)), most_w)
    return _exactly(
        node, partial(conv, algorithm="direct"), image, kernel, most_x * most
    )  # Winograd's sums are not whole


@operator("ConvInteger", inputs=(2, 4))
def conv_integer(
    node: Node, x: Value, w: Value, zx: Value | None = None, zw: Value | None = None, ends: Sequence[Value] = ()
) -> Value:  # fmt: skip
    """Return the correlation of images and a kernel of bytes, as int32; padding has the value of the zero point."""
    if ends and (y := conv_of_bytes(node, x, w, zx, zw, ends)) is not None:
        return y
    return _scaled(node, _integers(_convolved(node, x, w, zx, zw)), ends)


def _requantized(node: Node, y: Value, factor: Tensor, zero: Value, kind: int) -> Value:
    """Return round(y factor) + zero, within the limits of its type."""

    def function(t: Tensor) -> Tensor:
        t = t if t.dtype == SINGLE else t.astype(SINGLE)
        return _bytes(ops.add(ops.rint(ops.mul(t, factor)), zero.plain.astype(SINGLE)), kind)

    return mapped(y, function) if factor.size == 1 else Value.of(function(y.plain))


@operator("QLinearMatMul", inputs=(8, 8), typed=True)
def qlinear_matmul(
    node: Node, a: Value, sa: Value, za: Value, b: Value, sb: Value, zb: Value, sy: Value, zy: Value
) -> Value:
    """Return the product of matrices of bytes, as bytes of another scale."""
    y = _product(node, a, b, za, zb)
    scales = [s.plain.astype(SINGLE) for s in (sa, sb, sy)]
    rows = ops.reshape(scales[0], (-1, 1)) if sa.ndim == 1 and sa.size > 1 else scales[0]
    factor = ops.div(ops.mul(rows, scales[1]), scales[2])
    factor = ops.reshape(factor, ()) if factor.size == 1 else factor
    return _requantized(node, y, factor, zy, kind_of(node, 7, UINT8))


@operator("QLinearConv", inputs=(8, 9), typed=True)
def qlinear_conv(
    node: Node, x: Value, sx: Value, zx: Value, w: Value, sw: Value, zw: Value, sy: Value, zy: Value,
    b: Value | None = None,
) -> Value:  # fmt: skip
    """Return the correlation of images and a kernel of bytes, as bytes of another scale."""
    y = _convolved(node, x, w, zx, zw)
    if b is not None:
        y = Value.of(ops.add(y.plain, ops.reshape(b.plain.astype(y.dtype), (-1, *(1,) * (x.ndim - 2)))))
    factor = ops.div(ops.mul(sx.plain.astype(SINGLE), sw.plain.astype(SINGLE)), sy.plain.astype(SINGLE))
    factor = ops.reshape(factor, () if factor.size == 1 else (-1, *(1,) * (x.ndim - 2)))
    return _requantized(node, y, factor, zy, kind_of(node, 7, UINT8))
