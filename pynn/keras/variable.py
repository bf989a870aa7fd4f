"""Weights that can be assigned to."""

from __future__ import annotations

import numpy as np

from pynn.core.state import no_grad, state
from pynn.core.tensor import Tensor
from pynn.keras import initializers
from pynn.ops.steps import assign

__all__ = ["Variable"]


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
