"""How weights begin, in Keras's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn import init
from pynn.keras.names import Configured, Named, absent

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "Initializer", "LecunNormal",
    "LecunUniform", "Ones", "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling",
    "Zeros", "deserialize", "get", "serialize",
]  # fmt: skip

_drawn = iter(range(1 << 62))  # numbers calls that nobody seeds, so that no two draw the same


class Initializer(Configured):
    """The base of initializers: ``__call__(shape, dtype=None)`` returns an array."""

    def __call__(self, shape, dtype=None, **kwargs):
        """Draw the first values of a weight."""
        seed = kwargs.get("seed")
        if getattr(self, "seed", None) is not None:
            seed = [int(self.seed)]
        elif seed is None:
            seed = [1, next(_drawn)]
        kind = np.dtype(getattr(dtype, "name", dtype) or "float32")
        return np.asarray(self.draw(tuple(shape), kind, seed), kind)

    def draw(self, shape, dtype, seed):
        """Draw with a seed; what classes here define."""
        raise NotImplementedError(f"[{type(self).__name__}] an initializer must define __call__(shape, dtype).")

    @classmethod
    def from_config(cls, config):
        """Return the initializer of these settings; those of which the newest Keras alone speaks are left out."""
        return cls(**{key: value for key, value in config.items() if key not in ("input_axes", "output_axes")})

    def clone(self):
        """Return another one of the same settings."""
        return type(self).from_config(self.get_config())


class Zeros(Initializer):
    """All zeros."""

    def draw(self, shape, dtype, seed):
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """All ones."""

    def draw(self, shape, dtype, seed):
        return np.ones(shape, dtype)


class Constant(Initializer):
    """A number, or an array of the weight's shape."""

    def __init__(self, value=0.0):
        self.value = value

    def draw(self, shape, dtype, seed):
        return np.broadcast_to(np.asarray(self.value, dtype), shape).copy()


class RandomNormal(Initializer):
    """Normally distributed."""

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def draw(self, shape, dtype, seed):
        return init.Normal(std=self.stddev)(shape, dtype, seed) + dtype.type(self.mean)


class RandomUniform(Initializer):
    """Equally distributed between two numbers."""

    def __init__(self, minval=-0.05, maxval=0.05, seed=None):
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def draw(self, shape, dtype, seed):
        return init.Uniform(self.minval, self.maxval)(shape, dtype, seed)


class TruncatedNormal(Initializer):
    """Normally distributed; what lies beyond two standard deviations is drawn again."""

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def draw(self, shape, dtype, seed):
        return init.TruncatedNormal(std=self.stddev)(shape, dtype, seed) + dtype.type(self.mean)


class VarianceScaling(Initializer):
    """A variance of scale / fan."""

    def __init__(self, scale=1.0, mode="fan_in", distribution="truncated_normal", seed=None):
        self.scale, self.mode, self.seed = scale, mode, seed
        self.distribution = "truncated_normal" if distribution == "normal" else distribution

    def draw(self, shape, dtype, seed):
        kind = {"untruncated_normal": "normal"}.get(self.distribution, self.distribution)
        return init.VarianceScaling(self.scale, self.mode, kind)(shape, dtype, seed)


class _Preset(VarianceScaling):
    preset = (1.0, "fan_in", "uniform")

    def __init__(self, seed=None):
        super().__init__(*self.preset, seed=seed)

    def get_config(self):
        return {"seed": self.seed}


class GlorotUniform(_Preset):
    """Uniform, for layers with tanh or sigmoid (Glorot and Bengio 2010)."""

    preset = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Preset):
    """Normal, for layers with tanh or sigmoid (Glorot and Bengio 2010)."""

    preset = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Preset):
    """Uniform, for layers with relu (He and others 2015)."""

    preset = (2.0, "fan_in", "uniform")


class HeNormal(_Preset):
    """Normal, for layers with relu (He and others 2015)."""

    preset = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Preset):
    """Uniform, with a variance of 1 / fan_in."""

    preset = (1.0, "fan_in", "uniform")


class LecunNormal(_Preset):
    """Normal, with a variance of 1 / fan_in."""

    preset = (1.0, "fan_in", "truncated_normal")


class Orthogonal(Initializer):
    """A matrix with orthonormal rows or columns."""

    def __init__(self, gain=1.0, seed=None):
        self.gain, self.seed = gain, seed

    def draw(self, shape, dtype, seed):
        return init.Orthogonal(self.gain)(shape, dtype, seed)


class Identity(Initializer):
    """The identity matrix times a number."""

    def __init__(self, gain=1.0):
        self.gain = gain

    def draw(self, shape, dtype, seed):
        return self.gain * np.eye(*shape, dtype=dtype)


_NAMES = Named(
    "initializer",
    Initializer,
    [Zeros, Ones, Constant, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling, GlorotUniform, GlorotNormal,
     HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal, Identity],
    {"zero": Zeros, "one": Ones, "uniform": RandomUniform, "normal": RandomNormal, "random": RandomUniform},
)  # fmt: skip
zeros, ones, constant, normal, uniform, orthogonal, identity = (
    Zeros, Ones, Constant, RandomNormal, RandomUniform, Orthogonal, Identity,
)  # fmt: skip
glorot_normal, glorot_uniform, he_normal, he_uniform = GlorotNormal, GlorotUniform, HeNormal, HeUniform
lecun_normal, lecun_uniform, random_normal, random_uniform = LecunNormal, LecunUniform, RandomNormal, RandomUniform
truncated_normal, variance_scaling = TruncatedNormal, VarianceScaling
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal


def get(identifier):
    """Return an initializer of a name, a class, a config, or the object itself."""
    return _NAMES.get(identifier)


def serialize(initializer):
    """Return a config of an initializer."""
    return _NAMES.serialize(initializer)


def deserialize(config, custom_objects=None):
    """Return the initializer of a config."""
    return _NAMES.deserialize(config, custom_objects)


class _Drawn:
    """An initializer as pynn's layers take it: (shape, dtype, seed) -> array."""

    def __init__(self, made):
        self.made = made

    def __call__(self, shape, dtype, seed=None):
        made, kind = self.made, np.dtype(dtype)
        if isinstance(made, Initializer) and type(made).__call__ is Initializer.__call__:
            own = getattr(made, "seed", None)
            return np.asarray(made.draw(tuple(shape), kind, seed if own is None else [int(own)]), kind)
        try:
            values = made(tuple(shape), dtype=kind.name)
        except TypeError:
            values = made(tuple(shape))
        return np.asarray(values, kind)


def for_layer(identifier) -> Callable[..., Any]:
    """Return what pynn's layers take, (shape, dtype, seed) -> array, of an initializer or a function (shape, dtype)."""
    if isinstance(identifier, (_Drawn, init.Initializer)):
        return identifier
    return _Drawn(get(identifier))


__getattr__ = absent(__name__, __all__)
