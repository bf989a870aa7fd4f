"""``keras.datasets.cifar10``."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import datasets
from pynn.keras.config import image_data_format
from pynn.keras.datasets.common import cut

__all__ = ["load_data"]


def load_data() -> Any:
    """Return (x, y), (xt, yt): images uint8 [n, 32, 32, 3] and labels uint8 [n, 1]; see :func:`pynn.datasets.cifar10`.

    With ``channels_first`` images are [n, 3, 32, 32].
    """
    first = image_data_format() == "channels_first"
    return cut(
        tuple(
            (x.transpose(0, 3, 1, 2) if first else x, y.reshape(-1, 1).astype(np.uint8)) for x, y in datasets.cifar10()
        )
    )
