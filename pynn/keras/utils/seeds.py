"""Where random numbers begin."""

from __future__ import annotations

import random as of_python

import numpy as np

from pynn import random

__all__ = ["next_seed", "set_random_seed"]

_given: list[int | None] = [None, 0]


def set_random_seed(seed: int) -> None:
    """Set where the random numbers of Python, NumPy and pynn begin.

    Parameters
    ----------
    seed : int
    """
    from pynn.keras.layer import seeding

    if not isinstance(seed, (int, np.integer)):
        raise ValueError(f"[set_random_seed] expected an integer. Received: seed={seed!r}.")
    of_python.seed(int(seed))
    np.random.seed(int(seed) % 2**32)
    random.seed(int(seed))
    seeding.value = int(seed)
    _given[:] = int(seed), 0


def next_seed() -> list[int] | None:
    """Return another seed with each call, if set_random_seed() was called."""
    if _given[0] is None:
        return None
    _given[1] = turn = (_given[1] or 0) + 1
    return [_given[0], turn]
