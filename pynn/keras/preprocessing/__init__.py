"""``keras.preprocessing``: images, sequences and texts, as scripts before Keras 3 prepare them."""

from __future__ import annotations

import importlib
from typing import Any

from pynn.keras.names import missing

_MODULES = ("image", "sequence", "text")
_HOMES = {
    "image_dataset_from_directory": "pynn.keras.utils", "text_dataset_from_directory": "pynn.keras.utils",
    "timeseries_dataset_from_array": "pynn.keras.utils",
}  # fmt: skip
__all__ = [*_MODULES, *_HOMES]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"pynn.keras.preprocessing.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    missing("pynn.keras.preprocessing", name, __all__)
