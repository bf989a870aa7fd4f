"""The base of metrics, and the variables that they gather in."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

import pynn.metrics as own
from pynn.core.state import no_grad
from pynn.core.tensor import Tensor, tensor
from pynn.keras.tree import snake_case

__all__ = ["Metric", "Value", "as_array"]


def as_array(x: Any) -> Any:
    """Return a tensor, or what is like an array, as an array."""
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)


class Value:
    """A number, or an array of them, that a metric gathers in."""

    def __init__(self, shape: Any = (), first: Any = 0.0, dtype: Any = None):
        self.first = np.broadcast_to(np.asarray(first, "float64"), shape).copy()
        self.now = self.first.copy()

    def assign(self, value):
        """Set it."""
        self.now = np.broadcast_to(np.asarray(as_array(value), "float64"), self.now.shape).copy()
        return self

    def assign_add(self, value):
        """Add to it."""
        return self.assign(self.now + as_array(value))

    def assign_sub(self, value):
        """Subtract from it."""
        return self.assign(self.now - as_array(value))

    def numpy(self):
        """Return the value."""
        return self.now.astype("float32")

    @property
    def value(self):
        """The value."""
        return self.now

    @property
    def shape(self):
        """Its shape."""
        return self.now.shape

    def __array__(self, dtype=None, copy=None):
        return self.now.astype(dtype or "float64")

    def __float__(self):
        return float(self.now)

    def __add__(self, other):
        return self.now + as_array(other)

    def __sub__(self, other):
        return self.now - as_array(other)

    def __mul__(self, other):
        return self.now * as_array(other)

    def __truediv__(self, other):
        return self.now / as_array(other)

    __radd__, __rmul__ = __add__, __mul__


class Metric(own.Metric):
    """The base of metrics: write ``update_state(y_true, y_pred, sample_weight=None)`` and ``result()``."""

    def __init__(self, dtype=None, name=None, **kwargs):
        self._values: list[Value] = []
        self._made = False  # a class of one's own has no variables yet
        super().__init__(name or snake_case(type(self).__name__))
        self._made = True

    def add_weight(self, *args, shape=(), initializer="zeros", dtype=None, name=None, **kwargs):
        """Return a variable to gather in; it is 0, or what the initializer says, after reset_state()."""
        if args and not isinstance(args[0], str):
            shape = args[0]
        kind = initializer if isinstance(initializer, str) else type(initializer).__name__.lower()
        self._values.append(Value(shape, 1.0 if kind in ("ones", "one") else 0.0))
        return self._values[-1]

    add_variable = add_weight

    @property
    def variables(self):
        """The variables."""
        return self._values

    def update_state(self, y_true, y_pred=None, sample_weight=None):
        """Take in a batch."""
        raise NotImplementedError(f"[{self.name}] a metric must define update_state(y_true, y_pred, sample_weight).")

    def reset_state(self):
        """Forget all batches."""
        for value in self._values:
            value.assign(value.first)

    reset_states = reset_state

    def result(self):
        """Return the result of all batches."""
        raise NotImplementedError(f"[{self.name}] a metric must define result().")

    def __call__(self, *args, **kwargs):
        """Take in a batch, and return the result."""
        self.update_state(*args, **kwargs)
        return self.result()

    # What training calls

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        if self._made:
            self.reset_state()

    def add(self, y_true: Any, y_pred: Any, weight: Any) -> None:
        """Take in a batch of arrays."""
        with no_grad():
            given = {} if weight is None else {"sample_weight": tensor(weight)}
            self.update_state(tensor(y_true), tensor(y_pred), **given)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"

    def get_config(self):
        """Return the settings."""
        names = inspect.signature(type(self).__init__).parameters
        return {key: getattr(self, key, None) for key in list(names)[1:] if key not in ("kwargs", "dtype", "fn")}

    @classmethod
    def from_config(cls, config):
        """Return the metric of these settings."""
        return cls(**config)
