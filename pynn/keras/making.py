"""How layers are made: spellings of their arguments, what they keep of them, and tensors in the place of symbols."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn import ops
from pynn.core.tensor import Tensor, tensor
from pynn.keras import dialect
from pynn.keras.spelling import known_to, modern
from pynn.keras.symbols import KerasTensor

__all__ = ["Given", "Spelling", "as_lengths", "known_shape", "mapped_shapes", "mask_of", "noted", "seeding",
           "shape_for_build", "stand_in"]  # fmt: skip


class seeding:
    """The seed of weights that are still to be drawn; ``keras.utils.set_random_seed`` sets it."""

    value = 0


class Spelling(type):
    """Classes whose constructors take the spellings of the past."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make an object."""
        known = known_to(cls.__init__)
        if not kwargs.keys() <= known.keys():
            kwargs = modern(known, kwargs)
        if old := dialect.defaults(cls.__name__):
            placed = [*known][1 : len(args) + 1]  # the first is self
            kwargs = {**{key: value for key, value in old.items() if key not in placed}, **kwargs}
        return super().__call__(*args, **kwargs)

    @property
    def __signature__(cls) -> inspect.Signature:
        """The signature of the constructor, for those who look at the class."""
        told = inspect.signature(cls.__init__)
        return told.replace(parameters=list(told.parameters.values())[1:])


class Given:
    """What a constructor of the library was given, by name; get_config() tells it."""

    __slots__ = ("values",)

    def __init__(self, values: dict[str, Any]):
        self.values = values


def noted(init: Any) -> Any:
    """Return a constructor that keeps what it is given, if it is the outermost one of the library's."""
    signature = inspect.signature(init)

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        outer = "_given" not in self.__dict__
        if outer:
            self.__dict__["_given"] = None
        init(self, *args, **kwargs)
        if outer:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            values = dict(list(bound.arguments.items())[1:])
            values.update(values.pop("kwargs", {}))
            self.__dict__["_given"] = Given(values)

    return __init__


def mapped_shapes(function: Callable[[Any], Any], shapes: Any) -> Any:
    """Return function(shape) for a shape, or for every shape of a list or dict of them."""
    if isinstance(shapes, dict):
        return {key: mapped_shapes(function, value) for key, value in shapes.items()}
    if isinstance(shapes, (list, tuple)) and shapes and isinstance(shapes[0], (list, tuple)):
        return [mapped_shapes(function, shape) for shape in shapes]
    return function(tuple(shapes))


def mask_of(x: Any) -> Any:
    """Return the mask [N, T] of a tensor, or None."""
    if not isinstance(x, Tensor) or x.lengths is None:
        return None
    from pynn.ops.masked import as_mask_of

    return ops.not_equal(as_mask_of(x.lengths, x.shape[1]), 0)


def as_lengths(mask: Any) -> Tensor:
    """Return a mask of true steps as pynn carries it: int32."""
    t = mask if isinstance(mask, Tensor) else tensor(np.asarray(mask))
    return t.astype("int32")


def shape_for_build(x: Any) -> Any:
    """Return the shape that build() is told: None for the batch."""
    return (None, *x.shape[1:]) if isinstance(x, Tensor) and x.ndim else ()


def stand_in(value: Any, rows: int, steps: int) -> Any:
    """Return a tensor without memory in the place of a symbol."""
    if not isinstance(value, KerasTensor):
        return tensor(value) if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" else value
    sizes = [(steps if i else rows) if d is None else d for i, d in enumerate(value.shape)]
    t = Tensor.empty(tuple(sizes), np.dtype(value.dtype))
    if value.masked and len(sizes) > 1:
        t.lengths = Tensor.empty((sizes[0], sizes[1]), np.dtype("int32"))
    return t


def known_shape(given: dict[str, Any], cls: str) -> tuple[int | None, ...] | None:
    """Return the shape, batch first, that a first layer's options tell; None if they tell none."""
    batch = given.pop("batch_size", None)
    whole = given.pop("batch_input_shape", None) or given.pop("batch_shape", None)
    shape, dim, length = given.pop("input_shape", None), given.pop("input_dim", None), given.pop("input_length", None)
    if whole is not None:
        return tuple(whole)
    if shape is not None:
        return (batch, *(shape if isinstance(shape, (list, tuple)) else (shape,)))
    if cls == "Embedding":
        return (batch, *(length if isinstance(length, (list, tuple)) else (length,)))
    if dim is not None:
        sequence = length is not None or "RNN" in cls or "LSTM" in cls or "GRU" in cls or "1D" in cls
        return (batch, length, dim) if sequence else (batch, dim)
    return None
