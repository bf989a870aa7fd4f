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


def arctangent(x: Tensor) -> Tensor:
    """Return the angle whose tangent is x: one near it, and what its tangent lacks, by the rule for differences.

    The near angle is that of a quotient of two quadratic functions, 0.003 off at most.
    """
    x = ops.clip(x, -1e15, 1e15)  # whose squares are numbers, and whose angles are right ones
    size = ops.abs(x)
    top, below = ops.mul(x, ops.add(size, 0.596227)), ops.add(ops.mul(size, ops.add(size, 1.192454)), 1.0)
    near = ops.mul(ops.div(top, below), np.pi / 2)
    sin, cos = ops.sin(near), ops.cos(near)
    r = ops.div(ops.sub(ops.mul(x, cos), sin), ops.add(ops.mul(x, sin), cos))
    square = ops.square(r)
    return ops.add(near, ops.mul(r, ops.add(ops.mul(square, ops.add(ops.mul(square, 0.2), -1 / 3)), 1.0)))


def arcsine(x: Tensor) -> Tensor:
    """Return the angle whose sine is x."""
    return arctangent(ops.div(x, ops.sqrt(ops.mul(ops.add(1.0, x), ops.sub(1.0, x)))))


def signed_log(x: Tensor, function: Any) -> Tensor:
    """Return log(1 + f(|x|)) with the sign of x; where that is all but log 1, with what the sum of 1 and f lost."""
    f = function(ops.abs(x))
    w = ops.add(f, 1.0)
    gained = ops.where(ops.equal(w, 1.0), 1.0, ops.sub(w, 1.0))
    y = ops.where(
        ops.less(f, 1.0), ops.mul(ops.where(ops.equal(w, 1.0), 1.0, ops.log(w)), ops.div(f, gained)), ops.log(w)
    )
    return ops.where(ops.less(x, 0.0), ops.neg(y), y)


INVERSE: dict[str, Any] = {
    "Atan": arctangent,
    "Asin": arcsine,
    "Acos": lambda t: ops.sub(np.pi / 2, arcsine(t)),
    "Asinh": lambda t: signed_log(
        t, lambda s: ops.add(s, ops.div(ops.square(s), ops.add(1.0, ops.sqrt(ops.add(ops.square(s), 1.0)))))
    ),
    "Acosh": lambda t: ops.log(ops.add(t, ops.sqrt(ops.mul(ops.add(t, 1.0), ops.sub(t, 1.0))))),
    "Atanh": lambda t: ops.mul(signed_log(t, lambda s: ops.div(ops.mul(s, 2.0), ops.sub(1.0, s))), 0.5),
}
for name, function in INVERSE.items():
    operator(name)(lambda node, x, function=function: mapped(x, lambda t: function(floating(t))))


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
