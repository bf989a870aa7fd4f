"""Export of functions of single elements, and of what joins elements with elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.export.binary import BINARY
from pynn.export.trace import Op, Value
from pynn.onnx.builder import Builder, Perm, converter
from pynn.ops.activation import ELEMENTWISE

__all__ = ["meeting", "unary"]


@converter(*ELEMENTWISE)
def _unary(b: Builder, op: Op) -> None:
    perm, x = b.at_hand(op.x)
    row, parameters = ELEMENTWISE[op.name].chosen(op.attrs)
    b.put(op.y, perm, row.onnx.write(b, x, **parameters))


def unary(b: Builder, name: str, x: str) -> str:
    """Return a function of one element, by name, of a value; linear too."""
    return x if name == "linear" else ELEMENTWISE[name].onnx.write(b, x)


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

    def fitted(array: np.ndarray) -> np.ndarray:
        array = array.reshape((1,) * (y.ndim - array.ndim) + array.shape).transpose(perm)
        while array.ndim and array.shape[0] == 1:
            array = array[0]
        return array

    names = []
    for x in xs:
        own = perm if x.ndim == y.ndim else tuple(range(x.ndim))
        names.append(b.laid_out(x, (perm, "operand"), fitted) if x.constant else b.form(x, own))
    return perm, names


@converter(*BINARY, "where")
def _joined(b: Builder, op: Op) -> None:
    perm, names = meeting(b, op.inputs, op.y)
    y = b.node("Where" if op.name == "where" else BINARY[op.name].onnx, names)
    b.put(op.y, perm, b.node("Not", [y]) if op.name == "not_equal" else y)
