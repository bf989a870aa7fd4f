"""How a function of ``keras.ops`` is called: at once for values; for what has no value yet, it is remembered.

What has no value yet says so by a method ``_deferred(function, args, kwargs)``, which returns the same kind of thing.
Symbols of a functional model and nodes of a graph of TensorFlow 1 are such things.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from pynn.core.tensor import FLOATS, Tensor, as_dtype
from pynn.errors import DTypeError
from pynn.keras.config import floatx
from pynn.keras.symbols import KerasTensor
from pynn.keywords import spelled
from pynn.ops import cast as cast_to
from pynn.ops import concat as join

__all__ = ["FUNCTIONS", "both", "dtype_of", "op", "replaced", "tensor_of", "value"]

FUNCTIONS: dict[str, Callable[..., Any]] = {}
F = TypeVar("F", bound=Callable[..., Any])
BEYOND = {"float": "float32", "int": "int32", "float16": "float32", "bfloat16": "float32", "half": "float32",
          "int8": "int32", "int16": "int32",
          "uint16": "int32", "uint32": "int64", "uint64": "int64", "string": None, "complex64": None}  # fmt: skip


def op(function: F) -> F:
    """Return a function that takes symbols, too, and whose error for an unknown argument has the nearest name."""
    told = spelled(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for x in _flat((*args, *kwargs.values())):
            later = getattr(type(x), "_deferred", None)
            if later is not None:
                return later(x, call, args, kwargs)
            if isinstance(x, KerasTensor):
                return KerasTensor.lifted(call, *args, **kwargs)
        return told(*args, **kwargs)

    FUNCTIONS[function.__name__] = call
    return call  # type: ignore[return-value]


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for x in values:
        if isinstance(x, (list, tuple)):
            yield from _flat(x)
        elif isinstance(x, dict):
            yield from _flat(x.values())
        else:
            yield x


def replaced(value: Any, wanted: Callable[[Any], Any]) -> Any:
    """Return a structure of lists, tuples and dicts with each leaf as wanted(leaf)."""
    if isinstance(value, (list, tuple)):
        return type(value)(replaced(x, wanted) for x in value)
    if isinstance(value, dict):
        return {key: replaced(x, wanted) for key, x in value.items()}
    return wanted(value)


def value(x: Any) -> Any:
    """Return what a variable holds, and anything else as it is."""
    held = getattr(x, "_tensor", None)
    return held if isinstance(held, Tensor) else x


def dtype_of(dtype: Any) -> np.dtype:
    """Return the dtype of pynn for a name of Keras's or TensorFlow's; the narrower ones widen."""
    name = getattr(dtype, "name", dtype)
    if isinstance(name, str) and name in BEYOND:
        if BEYOND[name] is None:
            raise DTypeError(f"[cast] expected a dtype of numbers. Received: {name}.")
        name = BEYOND[name]
    return as_dtype(name if isinstance(name, str) else dtype)


def tensor_of(x: Any, dtype: Any = None) -> Tensor:
    """Return a tensor; arrays of double precision become those of floatx(), as Keras's layers would have it."""
    x = value(x)
    if not isinstance(x, Tensor):
        for kind in ("RaggedTensor", "SparseTensor"):
            if type(x).__name__ == kind:
                raise DTypeError(
                    f"[ops] expected a dense tensor. Received: a {kind}. help: pad it to one length first."
                )
        if isinstance(x, (list, tuple)) and any(isinstance(value(part), Tensor) for part in _flat(x)):
            parts = [tensor_of(part) for part in x]
            return tensor_of(join([part.reshape((1, *part.shape)) for part in parts], 0), dtype)
        array = np.asarray(x)
        if array.dtype.kind not in "fiub":
            raise DTypeError(f"[ops] expected numbers. Received: {array.dtype} {str(x)[:40]!r}.")
        wanted = floatx() if array.dtype.kind == "f" else None
        narrow = array.dtype.kind in "iu" and array.dtype.itemsize < 4 and array.dtype != np.uint8
        x = Tensor.state(array.astype(wanted or ("int32" if narrow else array.dtype)))
    return x if dtype is None or x.dtype == dtype_of(dtype) else cast_to(x, dtype_of(dtype))


def both(a: Any, b: Any) -> tuple[Any, Any]:
    """Return two operands of one dtype: whole numbers become real beside real ones."""
    a, b = value(a), value(b)
    plain = isinstance(a, (bool, int, float)), isinstance(b, (bool, int, float))
    if plain == (True, True):
        return tensor_of(a), tensor_of(b)
    if plain[0] or plain[1]:
        x = tensor_of(b if plain[0] else a)
        number = a if plain[0] else b
        if isinstance(number, float) and x.dtype not in FLOATS:
            x = cast_to(x, floatx())
        return (number, x) if plain[0] else (x, number)
    x, y = tensor_of(a), tensor_of(b)
    if x.dtype != y.dtype:
        wide = np.result_type(x.dtype, y.dtype)
        if wide.kind == "f":
            reals = [t.dtype for t in (x, y) if t.dtype in FLOATS]
            wide = max(reals, key=lambda d: d.itemsize)
        x, y = tensor_of(x, wide), tensor_of(y, wide)
    return x, y
