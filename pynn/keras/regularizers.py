"""Penalties on weights and outputs, in Keras's names."""

from __future__ import annotations

import pynn.regularizers as own
from pynn import ops
from pynn.keras.names import Configured, Named, absent

__all__ = ["L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "serialize"]


class Regularizer(Configured):
    """The base of regularizers: ``__call__(x)`` returns the penalty."""

    def __call__(self, x):
        """Return the penalty of a tensor."""
        return 0.0


class L1L2(Regularizer):
    """penalty = l1 * sum(|x|) + l2 * sum(x**2)."""

    def __init__(self, l1=0.0, l2=0.0):
        self.l1, self.l2 = float(l1 or 0.0), float(l2 or 0.0)
        own.L1L2(self.l1, self.l2)  # refuses what is out of range

    def __call__(self, x):
        return ops.penalty(x, self.l1, self.l2)


class L1(L1L2):
    """penalty = l1 * sum(|x|)."""

    def __init__(self, l1=0.01):
        super().__init__(l1=0.01 if l1 is None else l1)

    def get_config(self):
        return {"l1": self.l1}


class L2(L1L2):
    """penalty = l2 * sum(x**2)."""

    def __init__(self, l2=0.01):
        super().__init__(l2=0.01 if l2 is None else l2)

    def get_config(self):
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """factor * mean of |cosine| between the rows, or the columns, of a matrix."""

    def __init__(self, factor=0.01, mode="rows"):
        if mode not in ("rows", "columns"):
            raise ValueError(f"[OrthogonalRegularizer] expected mode 'rows' or 'columns'. Received: {mode!r}.")
        self.factor, self.mode = factor, mode

    def __call__(self, x):
        x = x if self.mode == "rows" else ops.transpose(x)
        norm = ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=1, keepdims=True), 1e-12))
        x, size = x / norm, x.shape[0]
        cosines = ops.abs(ops.matmul(x, ops.transpose(x)))
        # The diagonal is 1: what is left is that of different rows.
        return (ops.sum(cosines) - float(size)) * (0.5 * self.factor / (size * (size - 1) / 2))


def l1_l2(l1=0.01, l2=0.01):
    """Return the regularizer of both."""
    return L1L2(l1=l1, l2=l2)


_NAMES = Named(
    "regularizer", Regularizer, [L1, L2, L1L2, OrthogonalRegularizer],
    {"l1_l2": l1_l2, "l1": L1, "l2": L2, "l1l2": l1_l2, "orthogonal_regularizer": OrthogonalRegularizer},
)  # fmt: skip
l1, l2, orthogonal_regularizer, WeightRegularizer = L1, L2, OrthogonalRegularizer, L1L2


def l1l2(l1=0.01, l2=0.01):
    """Return the regularizer of both, as Keras 1 called it."""
    return L1L2(l1=l1, l2=l2)


activity_l1, activity_l2 = L1, L2


def get(identifier):
    """Return a regularizer of a name, a class, a config, or the object itself; None for None."""
    found = _NAMES.get(l1_l2() if identifier in ("l1_l2", "l1l2") else identifier)
    return found


def serialize(regularizer):
    """Return a config of a regularizer."""
    return _NAMES.serialize(regularizer)


def deserialize(config, custom_objects=None):
    """Return the regularizer of a config."""
    return _NAMES.deserialize(config, custom_objects)


__getattr__ = absent(__name__, __all__)
