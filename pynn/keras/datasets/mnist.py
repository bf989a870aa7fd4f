"""``keras.datasets.mnist``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pynn import datasets
from pynn.keras.datasets.common import cut

__all__ = ["load_data"]


def load_data(path: str | None = None) -> Any:
    """Return (x, y), (xt, yt): images uint8 [n, 28, 28] and labels uint8 [n]; see :func:`pynn.datasets.mnist`.

    Parameters
    ----------
    path : str, optional
        A folder of the files, if there is one of this name.
    """
    folder = path if path is not None and Path(path).is_dir() else None
    return cut(tuple((x, y.astype(np.uint8)) for x, y in datasets.mnist(folder)))
