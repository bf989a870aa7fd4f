"""Operators on elements: arithmetic with broadcasting, activations."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from pynn import ops
from pynn.core.graph import execute
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.onnx.operators.registry import OPERATORS, Node, floating, operator
from pynn.onnx.value import Perm, Value
from pynn.ops.activation import ELEMENTWISE
from pynn.ops.elementwise import Elementwise

BYTES = (np.dtype("uint8"), np.dtype("bool"))
INT32, INT64 = np.dtype("int32"), np.dtype("int64")


def mapped(x: Value, function: Callable[[Tensor], Tensor]) -> Value:
    """Return function(x) for a function of elements, in the form that is at hand."""
    perm, tensor = x.at_hand
    return Value(x.shape, {perm: function(tensor)})


def _common(xs: tuple[Value, ...], shape: tuple[int, ...]) -> Perm:
    """Return the order of axes in which operands meet: that of the largest one that has none as in ONNX."""
    plain = tuple(range(len(shape)))
    full = [x for x in xs if x.shape == shape and x.forms and x.plain_perm not in x.forms]
    return next(iter(full[0].forms)) if full else plain


def _aligned(x: Value, rank: int, perm: Perm) -> Tensor:
    """Return x with as many axes as the result, in its order; a single number stays one."""
    if x.ndim == rank:
        return x.form(perm)
    if x.size == 1:
        return ops.reshape(x.plain, ())
    if perm == tuple(range(rank)):
        return x.plain
    wide = ops.reshape(x.plain, (1,) * (rank - x.ndim) + x.shape)
    return Value.of(wide).form(perm)


def broadcast(node: Node, function: Callable[..., Tensor], *xs: Value) -> Value:
    """Return function(*xs) with NumPy's broadcasting; bytes are computed as int32 and wrap round."""
    try:
        shape = np.broadcast_shapes(*(x.shape for x in xs))
    except ValueError:
        raise ShapeError(
            f"expected shapes that broadcast. Received: {' and '.join(str(x.shape) for x in xs)}."
        ) from None
    node.room(shape, xs[0].dtype)
    perm = _common(xs, shape)
    tensors = [_aligned(x, len(shape), perm) for x in xs]
    dtype = tensors[0].dtype
    if any(t.dtype != dtype for t in tensors):
        raise DTypeError(f"expected operands of one dtype. Received: {', '.join(str(t.dtype) for t in tensors)}.")
    if dtype in BYTES:
        tensors = [t.astype(INT32) for t in tensors]
    y = function(*tensors)
    return Value(shape, {perm: y.astype(dtype) if dtype in BYTES else y})


def _by_axis(node: Node, xs: tuple[Value, ...]) -> tuple[Value, ...]:
    """Return operands as operator sets before 7 had them: the second one lies at `axis` of the first."""
    if node.version >= 7 or not node.integer("broadcast", 0):
        return xs
    a, b = xs
    axis = node.integer("axis", a.ndim - b.ndim)
    axis += a.ndim if axis < 0 else 0
    behind = a.ndim - axis - b.ndim
    if behind < 0 or axis < 0:
        raise ShapeError(f"expected the second operand to fit in at axis {axis}. Received: {a.shape} and {b.shape}.")
    return a, reshaped(b, b.shape + (1,) * behind)


def reshaped(x: Value, shape: tuple[int, ...]) -> Value:
    """Return a value with another shape."""
    y = Value.of(ops.reshape(x.plain, shape)) if x.constant is None else Value.known(x.constant.reshape(shape))
    y.names = x.names
    return y


def _divide(a: Tensor, b: Tensor) -> Tensor:
    """Return a / b; integers are rounded towards zero, exactly below 2**53."""
    if a.dtype in FLOATS:
        return ops.div(a, b)
    return ops.div(a.astype("float64"), b.astype("float64")).astype(a.dtype)


_TRAINED = {0: None, 1: None}


@operator("Add", inputs=(2, 2), weights=_TRAINED)
def add(node: Node, a: Value, b: Value) -> Value:
    """Return a + b."""
    return broadcast(node, ops.add, *_by_axis(node, (a, b)))


@operator("Mul", inputs=(2, 2), weights=_TRAINED)
def mul(node: Node, a: Value, b: Value) -> Value:
    """Return a * b."""
    return broadcast(node, ops.mul, *_by_axis(node, (a, b)))


@operator("Sub", inputs=(2, 2))
def sub(node: Node, a: Value, b: Value) -> Value:
    """Return a - b."""
    return broadcast(node, ops.sub, *_by_axis(node, (a, b)))


@operator("Div", inputs=(2, 2))
def div(node: Node, a: Value, b: Value) -> Value:
    """Return a / b."""
    return broadcast(node, _divide, *_by_axis(node, (a, b)))


@operator("Pow", inputs=(2, 2))
def power(node: Node, a: Value, b: Value) -> Value:
    """Return a ** b, of the dtype of a."""
    a, b = _by_axis(node, (a, b))
    dtype = a.dtype
    once = b.constant.reshape(-1)[0].item() if b.constant is not None and b.size == 1 else None
    if once is not None and b.ndim <= a.ndim and dtype in FLOATS:
        return mapped(a, lambda x: ops.pow(x, once))
    if dtype == b.dtype and dtype in FLOATS:
        return broadcast(node, ops.pow, a, b)
    wide = dtype if dtype in FLOATS else np.dtype("float64")  # whole numbers are exact up to 2**53
    a, b = (mapped(x, lambda t: t if t.dtype == wide else t.astype(wide)) for x in (a, b))
    y = broadcast(node, ops.pow, a, b)
    return y if wide == dtype else mapped(y, lambda t: t.astype(dtype))


def _all(function: Callable[..., Tensor]) -> Callable[..., Value]:
    def run(node: Node, *xs: Value) -> Value:
        if len(xs) == 1:
            return xs[0]
        return broadcast(node, lambda *tensors: reduce(function, tensors), *xs)

    return run


operator("Sum", inputs=(1, 2**31))(_all(ops.add))
operator("Max", inputs=(1, 2**31))(_all(ops.maximum))
operator("Min", inputs=(1, 2**31))(_all(ops.minimum))


def _simple(function: Callable[[Tensor], Tensor]) -> Callable[..., Value]:
    return lambda node, x: mapped(x, function)


operator("Reciprocal")(_simple(lambda x: ops.div(1.0, x)))


@operator("LeakyRelu")
def leaky_relu(node: Node, x: Value) -> Value:
    """Return x where it is positive, else alpha x."""
    alpha = node.number("alpha", 0.01)
    if alpha >= 0:
        return mapped(x, lambda t: ops.leaky_relu(t, alpha))
    return mapped(x, lambda t: ops.where(ops.less(t, 0.0), ops.mul(t, alpha), t))


@operator("Selu")
def selu(node: Node, x: Value) -> Value:
    """Return gamma elu(x, alpha)."""
    standard = ELEMENTWISE["selu"].onnx.attributes  # in float32, as in ONNX
    alpha, gamma = (node.number(key, float(np.float32(standard[key]))) for key in ("alpha", "gamma"))
    return mapped(x, lambda t: ops.mul(ops.elu(t, alpha), gamma))


def _erf(x: Tensor) -> Tensor:
    """Return erf(x) = 2 Phi(z) - 1 with z = x sqrt(2), where gelu(z) = z Phi(z); 1 beyond 7, to the last bit."""
    z = ops.clip(ops.mul(floating(x), 2**0.5), -10.0, 10.0)
    z = ops.where(ops.less(ops.abs(z), 1e-20), 1e-20, z)
    return ops.sub(ops.mul(ops.div(ops.gelu(z), z), 2.0), 1.0)


operator("Erf")(_simple(_erf))


@operator("Gelu")
def gelu(node: Node, x: Value) -> Value:
    """Return x Phi(x), or its approximation by tanh."""
    kind = node.text("approximate", "none")
    if kind not in ("none", "tanh"):
        raise ValueError(f"expected approximate to be 'none' or 'tanh'. Received: {kind!r}.")
    return mapped(x, lambda t: ops.gelu(t, approximate=kind == "tanh"))


@operator("HardSigmoid")
def hard_sigmoid(node: Node, x: Value) -> Value:
    """Return alpha x + beta, limited to [0, 1]."""
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    return mapped(x, lambda t: ops.clip(ops.add(ops.mul(t, alpha), beta), 0.0, 1.0))


@operator("Clip", inputs=(1, 3))
def clip(node: Node, x: Value, low: Value | None = None, high: Value | None = None) -> Value:
    """Return x limited to [low, high]; each may be left out."""
    if node.version < 11:
        edges = [node.number("min", -np.inf), node.number("max", np.inf)]
    else:
        if low is None and high is None:
            return x
        known = [side is None or (side.constant is not None and side.size == 1) for side in (low, high)]
        if x.dtype in FLOATS and all(known):
            edges = [
                default if side is None else float(side.constant.reshape(()))
                for side, default in ((low, -np.inf), (high, np.inf))
            ]
        else:
            y = x if low is None else broadcast(node, ops.maximum, x, low)
            return y if high is None else broadcast(node, ops.minimum, y, high)
    least, most = edges
    if least <= most:
        return mapped(x, lambda t: ops.clip(t, least, most))
    return mapped(x, lambda t: ops.minimum(ops.maximum(t, least), most))


@operator("PRelu", inputs=(2, 2), weights={1: None})
def prelu(node: Node, x: Value, slope: Value) -> Value:
    """Return x where it is positive, else slope x."""
    if node.version < 7 and slope.ndim == 1 and slope.size > 1 and x.ndim > 2:  # one slope per channel
        slope = reshaped(slope, slope.shape + (1,) * (x.ndim - 2))

    def function(t: Tensor, s: Tensor) -> Tensor:
        return ops.add(ops.relu(t), ops.mul(s, ops.minimum(t, 0.0)))

    if x.dtype not in FLOATS:
        raise DTypeError(f"expected a floating dtype. Received: {x.dtype}.")
    return broadcast(node, function, x, slope)


@operator("Where", inputs=(3, 3))
def where(node: Node, condition: Value, a: Value, b: Value) -> Value:
    """Return a where the condition holds, else b."""
    node.room(np.broadcast_shapes(condition.shape, a.shape, b.shape), a.dtype)
    narrow = a.dtype.itemsize == 1
    x, y = (v.plain.astype(INT32) if narrow else v.plain for v in (a, b))
    z = ops.where(condition.plain, x, y)
    return Value.of(z.astype(a.dtype) if narrow else z)


def _compare(function: Callable[..., Tensor]) -> Callable[..., Value]:
    def run(node: Node, a: Value, b: Value) -> Value:
        node.room(np.broadcast_shapes(a.shape, b.shape), a.dtype)
        x, y = a.plain, b.plain
        if x.dtype in BYTES:
            x, y = x.astype(INT32), y.astype(INT32)
        return Value.of(function(x, y))

    return run


for _name, _compared in {
    "Equal": ops.equal,
    "Less": ops.less,
    "LessOrEqual": ops.less_equal,
    "Greater": lambda a, b: ops.less(b, a),
    "GreaterOrEqual": lambda a, b: ops.less_equal(b, a),
}.items():
    operator(_name, inputs=(2, 2))(_compare(_compared))


@operator("Softmax", "LogSoftmax")
def softmax(node: Node, x: Value) -> Value:
    """Return softmax or its logarithm along an axis; before operator set 13, over all axes from it on."""
    function: Any = ops.softmax if node.op == "Softmax" else ops.log_softmax
    rank = x.ndim
    axis = node.integer("axis", 1 if node.version < 13 else -1)
    if not -rank <= axis < max(rank, 1):
        raise ShapeError(f"expected an axis of the input. Received: axis={axis}, x.shape={x.shape}.")
    axis %= max(rank, 1)
    if node.version < 13 and axis != rank - 1:
        rows = int(np.prod(x.shape[:axis], dtype=np.int64))
        flat = ops.reshape(floating(x.plain), (rows, x.size // max(rows, 1)))
        return Value.of(ops.reshape(function(flat), x.shape))
    perm = (*(i for i in range(rank) if i != axis), axis)
    return Value.of(function(floating(x.form(perm))), perm)


def _of_row(row: Elementwise) -> Callable[..., Value]:
    """Return what runs an operator that one row is; its attributes are the row's parameters."""

    def run(node: Node, x: Value) -> Value:
        if x.dtype not in FLOATS and row.name in ("abs", "floor", "neg", "rint"):
            return mapped(x, getattr(ops, row.name))
        given = {p: node.number(key, row.parameters[p] or 0.0) for key, p in row.onnx.attributes.items()}
        return mapped(x, lambda t: execute(row.card, (t,), given)[0])

    return run


for _row in ELEMENTWISE.values():  # operators with constant attributes, or with more than the row knows, stand above
    if _row.onnx.op and _row.onnx.op not in OPERATORS and set(_row.onnx.attributes.values()) <= set(_row.parameters):
        operator(_row.onnx.op)(_of_row(_row))
