"""Export of functions of single elements, and of what joins elements with elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pynn.export.trace import Op, Value
from pynn.onnx.builder import Builder, Perm, converter, held

__all__ = ["UNARY", "meeting"]

Emit = Callable[..., str]  # (builder, value, **attributes of the op) -> value


def _op(name: str, **attributes: Any) -> Emit:
    return lambda b, x: b.node(name, [x], **attributes)


def _gelu(b: Builder, x: str, approximate: bool = False) -> str:
    if approximate:
        cube = b.node("Mul", [b.node("Mul", [b.node("Mul", [x, x]), x]), b.number(0.044715)])
        inner = b.node("Tanh", [b.node("Mul", [b.node("Add", [x, cube]), b.number(math.sqrt(2 / math.pi))])])
    else:
        inner = b.node("Erf", [b.node("Mul", [x, b.number(math.sqrt(0.5))])])
    return b.node("Mul", [b.node("Mul", [x, b.number(0.5)]), b.node("Add", [inner, b.number(1.0)])])


UNARY: dict[str, Emit] = {
    "linear": lambda b, x: x,
    "relu": _op("Relu"),
    "leaky_relu": lambda b, x, slope=0.1: b.node("LeakyRelu", [x], alpha=float(slope)),
    "elu": lambda b, x, alpha=1.0: b.node("Elu", [x], alpha=float(alpha)),
    "selu": _op("Selu", alpha=1.6732632423543772, gamma=1.0507009873554805),
    "tanh": _op("Tanh"),
    "sigmoid": _op("Sigmoid"),
    "softplus": _op("Softplus"),
    "abs": _op("Abs"),
    "neg": _op("Neg"),
    "exp": _op("Exp"),
    "log": _op("Log"),
    "sqrt": _op("Sqrt"),
    "sin": _op("Sin"),
    "cos": _op("Cos"),
    "square": lambda b, x: b.node("Mul", [x, x]),
    "silu": lambda b, x: b.node("Mul", [x, b.node("Sigmoid", [x])]),
    "gelu": _gelu,
    "step": lambda b, x: b.cast(b.node("GreaterOrEqual", [x, b.number(0.0)]), b.dtype),
    "clip": lambda b, x, low, high: b.node("Clip", [x, b.number(low), b.number(high)]),
}


@converter(*UNARY)
def _unary(b: Builder, op: Op) -> None:
    perm, x = b.at_hand(op.x)
    b.put(op.y, perm, UNARY[op.name](b, x, **op.attrs))


@converter("softmax", "log_softmax")
def _rows(b: Builder, op: Op) -> None:
    x = op.x
    perm, name = b.at_hand(x)
    kind = "Softmax" if op.name == "softmax" else "LogSoftmax"
    b.put(op.y, perm, b.node(kind, [name], axis=perm.index(x.ndim - 1)))


def meeting(b: Builder, xs: tuple[Any, ...], y: Value) -> tuple[Perm, list[str]]:
    """Return a form that costs few transposes, and the operands in it; NumPy's rules fit them to y."""
    live = [x for x in xs if not x.constant]
    plain = tuple(range(y.ndim))
    counts: dict[Perm, int] = {plain: 0}
    for x in live:
        for perm in b.forms[x.number]:
            if len(perm) == y.ndim:
                counts[perm] = counts.get(perm, 0) + 1
    perm = max(counts, key=lambda p: (counts[p], p == plain)) if all(x.ndim == y.ndim for x in live) else plain
    names = []
    for x in xs:
        if x.array is None:
            names.append(b.form(x, perm if x.ndim == y.ndim else tuple(range(x.ndim))))
            continue
        array = held(x.array)
        array = array.reshape((1,) * (y.ndim - x.ndim) + x.shape).transpose(perm)
        while array.ndim and array.shape[0] == 1:
            array = array[0]
        key = (x.number, perm, "operand") if x.owner or array.size >= 64 else None
        names.append(b.constant(array, x.key or ("number" if array.size == 1 else "values"), key))
    return perm, names


BINARY = {
    "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow", "maximum": "Max", "minimum": "Min",
    "equal": "Equal", "not_equal": "Equal", "less": "Less", "less_equal": "LessOrEqual", "where": "Where",
}  # fmt: skip


@converter(*BINARY)
def _joined(b: Builder, op: Op) -> None:
    perm, names = meeting(b, op.inputs, op.y)
    y = b.node(BINARY[op.name], names)
    b.put(op.y, perm, b.node("Not", [y]) if op.name == "not_equal" else y)
