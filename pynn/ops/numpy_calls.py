"""NumPy's functions called with tensors: what has an op is recorded, what would lose a gradient is refused.

``array * tensor`` comes here too, as the ufunc ``np.multiply``. Where no gradient is asked for and nothing is recorded,
a function that is no operator gives an array, as for anything that NumPy can read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn.core.state import state
from pynn.core.tensor import FUNCTIONS, Tensor
from pynn.ops import activation, math, reduce, shape

__all__ = ["call_function", "call_ufunc"]

OPERATORS: dict[str, Callable[..., Any]] = {
    "add": math.add,
    "divide": math.div,
    "equal": math.equal,
    "greater": lambda a, b: math.less(b, a),
    "greater_equal": lambda a, b: math.less_equal(b, a),
    "less": math.less,
    "less_equal": math.less_equal,
    "matmul": math.matmul,
    "multiply": math.mul,
    "not_equal": math.not_equal,
    "power": math.pow,
    "subtract": math.sub,
}
RECORDED: dict[str, Callable[..., Any]] = OPERATORS | {
    "absolute": activation.abs,
    "cos": activation.cos,
    "exp": activation.exp,
    "floor": activation.floor,
    "log": activation.log,
    "maximum": math.maximum,
    "minimum": math.minimum,
    "negative": activation.neg,
    "rint": activation.rint,
    "sin": activation.sin,
    "sqrt": activation.sqrt,
    "square": activation.square,
    "tanh": activation.tanh,
}
FLAT = {  # their gradient is 0 or none at all, so none is lost
    "ceil", "isfinite", "isinf", "isnan", "logical_and", "logical_not", "logical_or", "logical_xor",
    "sign", "signbit", "spacing", "trunc",
}  # fmt: skip
FUNCTIONS_RECORDED: dict[str, Callable[..., Any]] = {
    "amax": reduce.max,
    "amin": reduce.min,
    "max": reduce.max,
    "mean": reduce.mean,
    "min": reduce.min,
    "reshape": shape.reshape,
    "sum": reduce.sum,
    "transpose": shape.transpose,
    "var": reduce.var,
}
LOSING = {
    "average", "clip", "concatenate", "convolve", "cumprod", "cumsum", "diff", "dot", "einsum", "hstack", "inner",
    "interp", "kron", "linalg.norm", "norm", "outer", "pad", "prod", "repeat", "stack", "std", "tensordot", "tile",
    "trace", "vdot", "vstack", "where", *FUNCTIONS_RECORDED,
}  # fmt: skip

# What some of these are called among pynn's ops; the rest of those that exist have NumPy's name.
OPS = {
    "absolute": "abs",
    "concatenate": "concat",
    "divide": "div",
    "dot": "matmul",
    "multiply": "mul",
    "std": "var",
} | {name: name for name in ("clip", "matmul", "max", "mean", "min", "sum", "tanh", "var", "where")}


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Compute what ``ufunc(*inputs)`` asks for; see :meth:`numpy.ufunc.__call__` for method and options.

    Raises
    ------
    TypeError
        If a gradient would be lost.
    """
    inputs = tuple(x[()] if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in inputs)  # numbers take any dtype
    name, plain = ufunc.__name__, method == "__call__" and not options
    if plain and name in OPERATORS:
        return OPERATORS[name](*inputs)
    if _is_followed(inputs) and name not in FLAT:
        if plain and name in RECORDED:
            return RECORDED[name](*inputs)
        _refuse(name if method == "__call__" else f"{name}.{method}", name)
    return getattr(ufunc, method)(*map(_array, inputs), **{k: _array(v) for k, v in options.items()})


def call_function(function: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Compute what one of NumPy's functions that is no ufunc asks for.

    Raises
    ------
    TypeError
        If a gradient would be lost.
    """
    name = function.__name__
    if name in LOSING and _is_followed((*args, *options.values())):
        if name in FUNCTIONS_RECORDED and set(options) <= {"axis", "keepdims"}:
            return FUNCTIONS_RECORDED[name](*args, **options)
        _refuse(name, name)
    return function(*map(_array, args), **{k: _array(v) for k, v in options.items()})


def _is_followed(values: tuple[Any, ...]) -> bool:
    """Tell whether one of the values, or of what lists and tuples hold, has a gradient or is inside a forward pass."""
    for value in values:
        if isinstance(value, (list, tuple)):
            if _is_followed(tuple(value)):
                return True
        elif isinstance(value, Tensor) and (value.requires_grad or state.recorder is not None or state.scope):
            return True
    return False


def _array(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(map(_array, value)) if type(value) in (list, tuple) else value
    return value.numpy() if isinstance(value, Tensor) else value


def _refuse(called: str, name: str) -> None:
    own = f"pynn.ops.{OPS[name]}, or " if name in OPS else ""
    raise TypeError(
        f"[np.{called}] expected arrays, or tensors without a gradient: NumPy would lose it. Received: a tensor that "
        f"requires one. help: {own}the values alone, t.numpy()."
    )


FUNCTIONS.ufunc = call_ufunc
FUNCTIONS.array_function = call_function
