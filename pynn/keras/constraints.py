"""What weights are held to after every update, in Keras's names."""

from __future__ import annotations

from pynn import ops
from pynn.core.state import no_grad
from pynn.keras.names import Configured, Named, absent
from pynn.ops.steps import assign

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "serialize"]


class Constraint(Configured):
    """The base of constraints: ``__call__(w)`` returns what a weight is to be."""

    def __call__(self, w):
        """Return the weight within its bounds."""
        return w

    def apply(self, w):
        """Write into a weight what it is to be."""
        with no_grad():
            assign(self(w.detach()), w)


class _Function(Constraint):
    def __init__(self, function):
        self.function = function

    def __call__(self, w):
        return self.function(w)


def _norms(w, axis):
    return ops.sqrt(ops.sum(ops.square(w), axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=True))


class MaxNorm(Constraint):
    """The norm of a unit's incoming weights is at most max_value."""

    def __init__(self, max_value=2, axis=0):
        self.max_value, self.axis = max_value, axis

    def __call__(self, w):
        norms = _norms(w, self.axis)
        return w * (ops.clip(norms, 0.0, float(self.max_value)) / (norms + 1e-7))


class NonNeg(Constraint):
    """No weight is below 0."""

    def __call__(self, w):
        return ops.relu(w)


class UnitNorm(Constraint):
    """The norm of a unit's incoming weights is 1."""

    def __init__(self, axis=0):
        self.axis = axis

    def __call__(self, w):
        return w / (_norms(w, self.axis) + 1e-7)


class MinMaxNorm(Constraint):
    """The norm of a unit's incoming weights lies between two numbers."""

    def __init__(self, min_value=0.0, max_value=1.0, rate=1.0, axis=0):
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w):
        norms = _norms(w, self.axis)
        wanted = ops.clip(norms, float(self.min_value), float(self.max_value)) * float(self.rate)
        return w * ((wanted + norms * (1.0 - self.rate)) / (norms + 1e-7))


_NAMES = Named("constraint", Constraint, [MaxNorm, NonNeg, UnitNorm, MinMaxNorm],
               {"maxnorm": MaxNorm, "nonneg": NonNeg, "unitnorm": UnitNorm})  # fmt: skip
max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm
maxnorm, nonneg, unitnorm = MaxNorm, NonNeg, UnitNorm


def get(identifier):
    """Return a constraint of a name, a class, a config, a function, or the object itself; None for None."""
    found = _NAMES.get(identifier)
    return found if found is None or hasattr(found, "apply") else _Function(found)


def serialize(constraint):
    """Return a config of a constraint."""
    return _NAMES.serialize(constraint)


def deserialize(config, custom_objects=None):
    """Return the constraint of a config."""
    return _NAMES.deserialize(config, custom_objects)


__getattr__ = absent(__name__, __all__)
