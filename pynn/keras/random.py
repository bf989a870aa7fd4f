"""``keras.random``: random numbers in Keras's names; they are others in every step."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import random as draws
from pynn.keras.missing import missing
from pynn.keras.ops import networks
from pynn.keras.ops.arrays import sizes, take
from pynn.keras.ops.calls import tensor_of

__all__ = [
    "SeedGenerator",
    "binomial",
    "dropout",
    "normal",
    "randint",
    "shuffle",
    "truncated_normal",
    "uniform",
]

normal, uniform, dropout = networks.random_normal, networks.random_uniform, networks.dropout
truncated_normal = networks.truncated_normal


class SeedGenerator:
    """A seed that layers keep; the numbers that pynn draws go on by themselves.

    Parameters
    ----------
    seed : int, optional
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any):
        self.seed, self.name = seed, name

    def next(self, ordered: bool = True) -> int | None:
        """Return the seed."""
        return self.seed


def randint(shape: Any, minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """Return whole numbers from minval to maxval - 1."""
    return draws.integers(sizes(shape), minval, maxval, dtype)


def binomial(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Any:
    """Return how often something of a chance happens in so many trials."""
    y = networks.random_binomial(shape, probabilities, dtype)
    for _ in range(int(counts) - 1):
        y = y + networks.random_binomial(shape, probabilities, dtype)
    return y


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
    """Return the slices along an axis in another order."""
    x = tensor_of(x)
    order = np.random.default_rng(seed if isinstance(seed, int) else None).permutation(x.shape[axis])
    return take(x, order, axis)


def __getattr__(name: str) -> Any:
    missing("pynn.keras.random", name, __all__)
