"""Functions of two elements as targets write them, a row each."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BINARY", "Binary"]


class Binary(NamedTuple):
    """What targets call a function of elements p and q.

    Attributes
    ----------
    name : str
        Of the C function, which must not be one of the standard library's.
    c, numpy : str
        The value.
    onnx : str
        The operator.
    """

    name: str
    c: str
    numpy: str
    onnx: str


BINARY = {
    "add": Binary("add", "p + q", "{} + {}", "Add"),
    "sub": Binary("subtract", "p - q", "{} - {}", "Sub"),
    "mul": Binary("multiply", "p * q", "{} * {}", "Mul"),
    "div": Binary("divide", "p / q", "{} / {}", "Div"),
    "pow": Binary("power", "POW(p, q)", "{} ** {}", "Pow"),
    "maximum": Binary("larger", "p > q || p != p ? p : q", "np.maximum({}, {})", "Max"),
    "minimum": Binary("smaller", "p < q || p != p ? p : q", "np.minimum({}, {})", "Min"),
    "equal": Binary("equal", "p == q", "{} == {}", "Equal"),
    "not_equal": Binary("differs", "p != q", "{} != {}", "Equal"),  # and then Not
    "less": Binary("less", "p < q", "{} < {}", "Less"),
    "less_equal": Binary("at_most", "p <= q", "{} <= {}", "LessOrEqual"),
}
