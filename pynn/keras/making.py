"""How layers are made: spellings of their arguments, what they keep, tensors for symbols, and weights."""

from __future__ import annotations

import functools
import inspect
import random as of_python
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn import ops, random
from pynn.core.state import no_grad, state
from pynn.core.tensor import Tensor, tensor
from pynn.keras import initializers
from pynn.keras.names import defaults, known_to, modern
from pynn.keras.symbols import KerasTensor
from pynn.nn.module import created
from pynn.ops.steps import assign


class seeding:
    """The seed of weights that are still to be drawn; ``keras.utils.set_random_seed`` sets it.

    Layers are counted from there on: what was made before changes nothing.
    """

    value = 0
    since = 0


_given = [None, 0]


def set_random_seed(seed: int):
    """Set where the random numbers of Python, NumPy and pynn begin.

    Parameters
    ----------
    seed : int
    """
    if not isinstance(seed, (int, np.integer)):
        raise ValueError(f"[set_random_seed] expected an integer. Received: seed={seed!r}.")
    of_python.seed(int(seed))
    np.random.seed(int(seed) % 2**32)
    random.seed(int(seed))
    seeding.value, seeding.since = int(seed), next(created)
    _given[:] = int(seed), 0


def next_seed() -> list[int] | None:
    """Return another seed with each call, if set_random_seed() was called."""
    if _given[0] is None:
        return None
    _given[1] = turn = (_given[1] or 0) + 1
    return [_given[0], turn]


class Spelling(type):
    """Classes whose constructors take the spellings of the past."""

    def __call__(cls, *args, **kwargs):
        """Make an object."""
        known = known_to(cls.__init__)
        if not kwargs.keys() <= known.keys():
            kwargs = modern(known, kwargs)
        if old := defaults(cls.__name__):
            placed = [*known][1 : len(args) + 1]  # the first is self
            kwargs = {**{key: value for key, value in old.items() if key not in placed}, **kwargs}
        return super().__call__(*args, **kwargs)

    @property
    def __signature__(cls):
        """The signature of the constructor, for those who look at the class."""
        told = inspect.signature(cls.__init__)
        return told.replace(parameters=list(told.parameters.values())[1:])


class Given:
    """What a constructor of the library was given, by name; get_config() tells it."""

    __slots__ = ("values",)

    def __init__(self, values):
        self.values = values


def noted(init):
    """Return a constructor that keeps what it is given, if it is the outermost one of the library's."""
    signature = inspect.signature(init)

    @functools.wraps(init)
    def __init__(self, *args, **kwargs):
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


def mapped_shapes(function: Callable[[Any], Any], shapes):
    """Return function(shape) for a shape, or for every shape of a list or dict of them."""
    if isinstance(shapes, dict):
        return {key: mapped_shapes(function, value) for key, value in shapes.items()}
    if isinstance(shapes, (list, tuple)) and shapes and isinstance(shapes[0], (list, tuple)):
        return [mapped_shapes(function, shape) for shape in shapes]
    return function(tuple(shapes))


def mask_of(x):
    """Return the mask [N, T] of a tensor, or None."""
    if not isinstance(x, Tensor) or x.lengths is None:
        return None
    from pynn.ops.masked import as_mask_of

    return ops.not_equal(as_mask_of(x.lengths, x.shape[1]), 0)


# As scripts ask for it.
Tensor._keras_mask = property(mask_of)
KerasTensor._keras_mask = property(lambda x: x.lifted(mask_of, x) if x.masked else None)


def as_lengths(mask) -> Tensor:
    """Return a mask of true steps as pynn carries it: int32."""
    t = mask if isinstance(mask, Tensor) else tensor(np.asarray(mask))
    return t.astype("int32")


def shape_for_build(x):
    """Return the shape that build() is told: None for the batch."""
    return (None, *x.shape[1:]) if isinstance(x, Tensor) and x.ndim else ()


def stand_in(value, rows: int, steps: int):
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


class Variable(Tensor):
    """A tensor of state: what layers hold, and what is assigned to in the course of a computation."""

    __slots__ = ()

    def __init__(self, initializer, shape=None, dtype=None, trainable=True, autocast=True, aggregation="none",
                 name=None, **kwargs):  # fmt: skip
        if callable(initializer) or isinstance(initializer, str):
            initializer = initializers.for_layer(initializer)(tuple(shape or ()), dtype or "float32", [0, 1])
        elif isinstance(initializer, Tensor):
            initializer = initializer.numpy()
        values = np.asarray(initializer)
        kind = (
            np.dtype(dtype)
            if dtype is not None
            else np.dtype("float32")
            if values.dtype == np.float64
            else values.dtype
        )
        held = Tensor.state(values.astype(kind))
        Tensor.__init__(self, held.buffer, held.shape, held.dtype, bool(trainable) and kind.kind == "f")
        self.name = name or "variable"

    @classmethod
    def of(cls, weight: Tensor) -> Variable:
        """Let a weight be assigned to."""
        weight.__class__ = cls
        return weight

    def assign(self, value):
        """Write values; inside a step that is recorded, at every step."""
        if state.trial or state.shapes:
            return self
        if isinstance(value, Tensor):
            with no_grad():
                value = value.detach().astype(self.dtype) if value.dtype != self.dtype else value.detach()
                if value.shape != self.shape:
                    value = value.reshape(self.shape) if value.size == self.size else value + self.detach() * 0
                assign(value, self)
        elif state.recorder is not None:
            assign(Tensor.state(np.broadcast_to(np.asarray(value, self.dtype), self.shape)), self)
        else:
            self.view()[...] = np.asarray(value, self.dtype)
        return self

    def assign_add(self, value):
        """Add to the values."""
        return self.assign(self.detach() + value)

    def assign_sub(self, value):
        """Subtract from the values."""
        return self.assign(self.detach() - value)

    @property
    def value(self):
        """The tensor itself."""
        return self

    @property
    def trainable(self):
        """Whether training updates it."""
        return self.requires_grad

    @property
    def path(self):
        """Its name."""
        return self.name
