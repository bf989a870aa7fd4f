"""``keras.datasets.california_housing``, where a file of it is there."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.checks import choice
from pynn.errors import DataError
from pynn.keras.datasets.common import cut, found, read_npz

__all__ = ["load_data"]

COLUMNS = ("longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms", "population", "households",
           "median_income", "median_house_value")  # fmt: skip
SMALL = 600


def load_data(
    version: str = "large", path: str = "california_housing.npz", test_split: float = 0.2, seed: int = 113
) -> Any:
    """Return (x, y), (xt, yt): 8 columns of each of 20,640 districts, and median prices of houses.

    Parameters
    ----------
    version : {"large", "small"}, default "large"
        "small": 600 districts.
    path : str, default "california_housing.npz"
        Keras's file, or else a table ``california_housing.csv`` of the same columns, in PYNN_DATA (also in its folder
        ``tabular``) or in ``~/.keras/datasets``.
    test_split : float, default 0.2
        The part that is for the test.
    seed : int, default 113
        Of the order.
    """
    choice("california_housing", "version", version, ("large", "small"))
    names = (path, f"california_housing/{path}", "tabular/california_housing.csv", "california_housing.csv")
    file = found("california_housing", path, names, "california_housing.npz of Keras")
    if file.suffix == ".csv":
        with open(file, encoding="utf-8") as lines:
            head = [name.strip().strip('"') for name in lines.readline().split(",")]
            if not set(COLUMNS) <= set(head):
                raise DataError(f"{file}: expected the columns {', '.join(COLUMNS)}. Received: {', '.join(head)}.")
            table = np.genfromtxt(lines, delimiter=",", usecols=[head.index(name) for name in COLUMNS])
        table = table[np.isfinite(table).all(axis=1)]
        x, y = table[:, :-1], table[:, -1]
    else:
        arrays = read_npz(file, ("x", "y"))
        x, y = arrays["x"], arrays["y"]
    x, y = x.astype(np.float32), y.astype(np.float32)
    rows = np.random.RandomState(seed).permutation(len(x))
    rows = rows[:SMALL] if version == "small" else rows
    x, y = x[rows], y[rows]
    end = int(len(x) * (1 - test_split))
    return cut(((x[:end], y[:end]), (x[end:], y[end:])))
