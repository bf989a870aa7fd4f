"""Symbols: what layers return for inputs that have no values yet, and the calls that made them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pynn.keras.tree import flat

__all__ = ["Call", "KerasTensor", "Nodes", "symbols_in"]


class Call:
    """One call of a layer with symbols."""

    def __init__(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]):
        self.layer, self.args, self.kwargs = layer, args, kwargs
        self.outputs: tuple[KerasTensor, ...] = ()
        self.structure: Any = None

    @property
    def parents(self) -> list[KerasTensor]:
        """The symbols that it was given."""
        return list(symbols_in((self.args, self.kwargs)))

    @property
    def input(self) -> Any:
        """What it was given first; of an input, its own symbol."""
        if not self.args and not self.kwargs:
            return self.structure
        return self.args[0] if self.args else next(iter(self.kwargs.values()))


class Nodes:
    """The calls of a layer; no part of what it computes with."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def first(self, layer: Any) -> Call:
        """Return the first call.

        Raises
        ------
        AttributeError
            If there was none with symbols.
        """
        if not self.calls:
            raise AttributeError(f"layer {layer.name!r} has never been called with an Input: it has no symbols.")
        return self.calls[0]


def symbols_in(nested: Any) -> Iterator[KerasTensor]:
    """Yield the symbols in a structure."""
    return (x for x in flat(nested) if isinstance(x, KerasTensor))


class KerasTensor:
    """The output of a layer for an input that has no values yet.

    Parameters
    ----------
    shape : tuple of int or None
        With the batch; None for sizes that are not known.
    dtype : str, default "float32"
    sparse : bool, default False
        Refused.
    name : str, optional

    Examples
    --------
    >>> from pynn import keras
    >>> x = keras.Input((3,))
    >>> (x * 2 + 1).shape
    (None, 3)
    """

    lifted: Callable[..., Any]
    __array_priority__ = 1000
    __array_ufunc__ = None

    def __init__(self, shape, dtype="float32", sparse=False, name=None):
        self.shape = tuple(shape)
        self.dtype = str(dtype)
        self.name = name or "keras_tensor"
        self.masked = False
        self.call: Any = None
        self.index = 0

    @classmethod
    def of(cls, call: Call, index: int, one: Any, two: Any, _: Any = None) -> KerasTensor:
        """Return the symbol of an output that was seen for two sizes of what is not known."""
        if not hasattr(one, "shape"):
            raise TypeError(
                f"[{call.layer.name}] expected tensors as outputs. Received: {type(one).__name__}. "
                "help: compute with the layer's inputs."
            )
        shape = tuple(a if a == b else None for a, b in zip(one.shape, two.shape, strict=True))
        made = cls(shape, np.dtype(one.dtype).name, name=call.layer.name)
        made.call, made.index = call, index
        made.masked = getattr(one, "lengths", None) is not None
        return made

    @property
    def ndim(self):
        """The number of axes."""
        return len(self.shape)

    rank = ndim

    @property
    def _keras_shape(self):
        return self.shape

    @property
    def _keras_history(self):
        return self.call.layer, 0, self.index

    def get_shape(self):
        """Return the shape."""
        return self.shape

    def set_shape(self, shape):
        """Say the shape where it is not known."""
        self.shape = tuple(a if b is None else b for a, b in zip(self.shape, shape, strict=True))

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def __len__(self):
        raise TypeError(f"{self!r} has no length: its rows are not known. help: x.shape gives the sizes.")

    def __iter__(self):
        if not self.shape or self.shape[0] is None:
            raise TypeError(f"{self!r} cannot be iterated over. help: x[:, i] takes parts of it.")
        return (self[i] for i in range(self.shape[0]))

    def __bool__(self):
        raise TypeError(f"{self!r} has no value yet: it cannot decide anything.")

    def __array__(self, *_, **__):
        raise TypeError(f"{self!r} has no values: NumPy cannot compute with it. help: keras.ops, or a Lambda layer.")


# What arithmetic with symbols is called in files of Keras 3.
RECORDED: dict[str, Callable[..., Any]] = {}


def _recorded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    RECORDED[name] = function
    function.recorded = name  # type: ignore[attr-defined]
    return function


def _two(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def two(a: Any, b: Any) -> Any:
        return function(a, b)

    two.__name__ = name.lower()
    return _recorded(name, two)


_FILES = {
    "add": "Add", "sub": "Subtract", "mul": "Multiply", "truediv": "TrueDivide", "pow": "Power", "matmul": "Matmul",
    "lt": "Less", "le": "LessEqual", "gt": "Greater", "ge": "GreaterEqual",
}  # fmt: skip
for _name, _told in _FILES.items():
    _made = _two(_told, getattr(operator, _name))
    setattr(KerasTensor, f"__{_name}__", lambda self, other, f=_made: KerasTensor.lifted(f, self, other))
    if _name not in ("lt", "le", "gt", "ge"):
        setattr(KerasTensor, f"__r{_name}__", lambda self, other, f=_made: KerasTensor.lifted(f, other, self))


def _taken(x: Any, key: Any) -> Any:
    return x[tuple(key) if isinstance(key, list) else key]


def _negative(x: Any) -> Any:
    return -x


def _absolute(x: Any) -> Any:
    return abs(x)


_taken.__name__, _negative.__name__, _absolute.__name__ = "get_item", "negative", "absolute"
for _name, _told, _made in (
    ("getitem", "GetItem", _taken), ("neg", "Negative", _negative), ("abs", "Absolute", _absolute)
):  # fmt: skip
    _recorded(_told, _made)
    setattr(KerasTensor, f"__{_name}__", lambda self, *rest, f=_made: KerasTensor.lifted(f, self, *rest))
