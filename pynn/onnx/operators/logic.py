"""Operators that ask: of truth values, of what is no number; and those of whole numbers and signs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np

from pynn import ops
from pynn.core.state import state
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import DTypeError
from pynn.onnx.operators.elementwise import INT32, broadcast, mapped
from pynn.onnx.operators.registry import Node, floating, full, operator
from pynn.onnx.value import Value

TRUTH = np.dtype("bool")


def _joined(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Value]:
    def run(node: Node, a: Value, b: Value) -> Value:
        if not a.dtype == b.dtype == TRUTH:
            raise DTypeError(f"expected truth values. Received: {a.dtype} and {b.dtype}.")
        a, b = (mapped(x, lambda t: t.astype(INT32)) for x in (a, b))
        return broadcast(node, function, a, b)

    return run


operator("And", inputs=(2, 2))(_joined(lambda a, b: ops.equal(ops.add(a, b), 2)))
operator("Or", inputs=(2, 2))(_joined(lambda a, b: ops.less(0, ops.add(a, b))))
operator("Xor", inputs=(2, 2))(_joined(ops.not_equal))


@operator("Not")
def negate(node: Node, x: Value) -> Value:
    """Return whether x is false."""
    return mapped(x, lambda t: ops.equal(t.astype(INT32), 0))


@operator("IsNaN")
def is_nan(node: Node, x: Value) -> Value:
    """Return whether x is no number."""
    return mapped(x, lambda t: ops.not_equal(floating(t), t))


@operator("IsInf")
def is_inf(node: Node, x: Value) -> Value:
    """Return whether x is infinite, of the signs that the attributes name."""
    high, low = bool(node.integer("detect_positive", 1)), bool(node.integer("detect_negative", 1))
    if high and low:
        return mapped(x, lambda t: ops.equal(ops.abs(floating(t)), np.inf))
    if not (high or low):
        return Value.of(full(x.shape, False, TRUTH))
    return mapped(x, lambda t: ops.equal(floating(t), np.inf if high else -np.inf))


@operator("Sign")
def sign(node: Node, x: Value) -> Value:
    """Return -1, 0 or 1."""

    def function(t: Tensor) -> Tensor:
        wide = t.astype(INT32) if t.dtype.itemsize == 1 else t
        y = ops.sub(ops.less(0, wide).astype(INT32), ops.less(wide, 0).astype(INT32)).astype(t.dtype)
        return y if t.dtype not in FLOATS else ops.where(ops.equal(t, t), y, t)

    return mapped(x, function)


@operator("Ceil")
def ceil(node: Node, x: Value) -> Value:
    """Return the smallest whole number that is not below x."""
    return mapped(x, lambda t: ops.neg(ops.floor(ops.neg(floating(t)))))


def whole(x: Tensor) -> Tensor:
    """Return x without what stands behind the point."""
    return ops.where(ops.less(x, 0.0), ops.neg(ops.floor(ops.neg(x))), ops.floor(x))


def modulo(a: Tensor, b: Tensor, truncated: bool = False) -> Tensor:
    """Return a - b q, where q is a / b rounded down, or towards zero; exact below 2**53."""
    dtype = a.dtype
    a, b = (t.astype("float64") if t.dtype != np.float64 else t for t in (a, b))
    q = ops.div(a, b)
    r = ops.sub(a, ops.mul(b, whole(q) if truncated else ops.floor(q)))
    if dtype in FLOATS:  # an infinite b leaves a, or is what is left where the signs differ
        rest = a if truncated else ops.where(ops.less(ops.mul(a, b), 0.0), b, a)
        finite = ops.less(ops.abs(a), np.inf).astype(INT32)
        endless = ops.equal(ops.abs(b), np.inf).astype(INT32)
        r = ops.where(ops.less(1, ops.add(finite, endless)), rest, r)
    return r if dtype == np.float64 else r.astype(dtype)


@operator("Mod", inputs=(2, 2))
def mod(node: Node, a: Value, b: Value) -> Value:
    """Return the rest of a / b, with the sign of b, or that of a with fmod."""
    truncated = bool(node.integer("fmod", 0))
    return broadcast(node, lambda x, y: modulo(x, y, truncated), a, b)


operator("Sinh")(lambda node, x: mapped(x, lambda t: ops.mul(ops.sub(ops.exp(t), ops.exp(ops.neg(t))), 0.5)))
operator("Cosh")(lambda node, x: mapped(x, lambda t: ops.mul(ops.add(ops.exp(t), ops.exp(ops.neg(t))), 0.5)))
operator("Tan")(lambda node, x: mapped(x, lambda t: ops.div(ops.sin(t), ops.cos(t))))


@operator("Mean", inputs=(1, 2**31))
def mean(node: Node, *xs: Value) -> Value:
    """Return the mean of the inputs, which broadcast."""

    def function(*tensors: Tensor) -> Tensor:
        y = tensors[0]
        for t in tensors[1:]:
            y = ops.add(y, t)
        return ops.div(y, float(len(tensors)))

    return xs[0] if len(xs) == 1 else broadcast(node, function, *xs)


@operator("Celu")
def celu(node: Node, x: Value) -> Value:
    """Return x where it is positive, else alpha (exp(x / alpha) - 1)."""
    alpha = node.number("alpha", 1.0)
    return mapped(x, lambda t: ops.mul(ops.elu(ops.div(t, alpha), 1.0), alpha))


@operator("ThresholdedRelu")
def thresholded_relu(node: Node, x: Value) -> Value:
    """Return x where it is above alpha, else 0."""
    alpha = node.number("alpha", 1.0)
    return mapped(x, lambda t: ops.where(ops.less(alpha, t), t, 0.0))


@operator("Shrink")
def shrink(node: Node, x: Value) -> Value:
    """Return x moved by bias towards 0 where it is beyond lambd, else 0."""
    edge, bias = node.number("lambd", 0.5), node.number("bias", 0.0)

    def function(t: Tensor) -> Tensor:
        dtype = t.dtype
        t = t if dtype in FLOATS else t.astype("float64")
        y = ops.where(ops.less(t, -edge), ops.add(t, bias), ops.where(ops.less(edge, t), ops.sub(t, bias), 0.0))
        return y if y.dtype == dtype else y.astype(dtype)

    return mapped(x, function)


@operator("Swish")
def swish(node: Node, x: Value) -> Value:
    """Return x / (1 + exp(-alpha x))."""
    alpha = node.number("alpha", 1.0)
    return mapped(x, lambda t: ops.silu(t) if alpha == 1 else ops.mul(t, ops.sigmoid(ops.mul(t, alpha))))


# Random numbers: other ones in every step of training, and the same in every other pass.


def _drawn(node: Node, shape: Any, dtype: np.dtype) -> Value:
    node.room(shape, dtype)
    if dtype not in FLOATS:
        raise DTypeError(f"expected to draw floating numbers. Received: {dtype}.")
    rng = state.rng
    options: dict[str, Any] = {"dtype": dtype}
    if rng is not None and state.training:
        options |= {"seed": rng.seed, "step": rng.step, "salt": rng.salt()}
    else:
        options |= {"seed": abs(int(node.number("seed", 0))), "salt": crc32(node.outputs[0].encode()) >> 1}
    if node.op.startswith("RandomNormal"):
        y = ops.normal(shape, node.number("mean", 0.0), node.number("scale", 1.0), **options)
    else:
        y = ops.uniform(shape, node.number("low", 0.0), node.number("high", 1.0), **options)
    return Value.of(y)


KINDS: dict[int, np.dtype] = {1: np.dtype("float32"), 10: np.dtype("float32"), 11: np.dtype("float64")}


def _kind(node: Node, default: np.dtype) -> np.dtype:
    number = node.attributes.get("dtype")
    if number is not None and number not in KINDS:
        raise DTypeError(f"expected a floating dtype. Received: dtype={number}.")
    return default if number is None else KINDS[number]


@operator("RandomNormalLike", "RandomUniformLike", varies=True)
def random_like(node: Node, x: Value) -> Value:
    """Return random numbers in the shape of x."""
    return _drawn(node, x.shape, _kind(node, x.dtype))


@operator("RandomNormal", "RandomUniform", inputs=(0, 0), varies=True)
def random(node: Node) -> Value:
    """Return random numbers."""
    return _drawn(node, tuple(node.integers("shape", [])), _kind(node, KINDS[1]))
