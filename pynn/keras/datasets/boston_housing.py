"""``keras.datasets.boston_housing``, where its file is there."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.keras.datasets.common import cut, found, read_npz

__all__ = ["load_data"]


def load_data(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> Any:
    """Return (x, y), (xt, yt): 13 columns of each of 506 towns, and prices of houses.

    The set has a column that scores towns by the race of who lives there; ``california_housing`` is the better choice.

    Parameters
    ----------
    path : str, default "boston_housing.npz"
        Keras's file, in PYNN_DATA or in ``~/.keras/datasets``; pynn does not distribute it.
    test_split : float, default 0.2
        The part that is for the test.
    seed : int, default 113
        Of the order.
    """
    file = found("boston_housing", path, (path, f"boston_housing/{path}"), "boston_housing.npz of Keras")
    arrays = read_npz(file, ("x", "y"))
    rows = np.random.RandomState(seed).permutation(len(arrays["x"]))
    x, y = arrays["x"][rows], arrays["y"][rows]
    end = int(len(x) * (1 - test_split))
    return cut(((x[:end], y[:end]), (x[end:], y[end:])))
