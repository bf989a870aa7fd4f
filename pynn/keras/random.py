"""``keras.random``: random numbers in Keras's names; they are others in every step."""

from __future__ import annotations

import numpy as np

from pynn import random as draws
from pynn.keras.names import absent
from pynn.keras.ops import arithmetic
from pynn.keras.ops.arrays import sizes, take, tensor_of

__all__ = [
    "SeedGenerator", "binomial", "dropout", "normal", "randint", "shuffle", "truncated_normal", "uniform",
]  # fmt: skip

normal, uniform, dropout = arithmetic.random_normal, arithmetic.random_uniform, arithmetic.dropout
truncated_normal = arithmetic.truncated_normal


class SeedGenerator:
    """A seed that layers keep; the numbers that pynn draws go on by themselves.

    Parameters
    ----------
    seed : int, optional
    """

    def __init__(self, seed=None, name=None, **kwargs):
        self.seed, self.name = seed, name

    def next(self, ordered: bool = True) -> int | None:
        """Return the seed."""
        return self.seed


def randint(shape, minval: int, maxval: int, dtype="int32", seed=None):
    """Return whole numbers from minval to maxval - 1."""
    return draws.integers(sizes(shape), minval, maxval, dtype)


def binomial(shape, counts, probabilities, dtype=None, seed=None):
    """Return how often something of a chance happens in so many trials."""
    y = arithmetic.random_binomial(shape, probabilities, dtype)
    for _ in range(int(counts) - 1):
        y = y + arithmetic.random_binomial(shape, probabilities, dtype)
    return y


def shuffle(x, axis: int = 0, seed=None):
    """Return the slices along an axis in another order."""
    x = tensor_of(x)
    order = np.random.default_rng(seed if isinstance(seed, int) else None).permutation(x.shape[axis])
    return take(x, order, axis)


__getattr__ = absent("pynn.keras.random", __all__)
