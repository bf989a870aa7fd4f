"""``keras.datasets``: real data, found as :mod:`pynn.datasets` finds them, in the shapes that Keras gives them."""

from __future__ import annotations

import importlib
from typing import Any

from pynn.keras.missing import missing, refused

_MODULES = (
    "boston_housing", "california_housing", "cifar10", "cifar100", "fashion_mnist", "imdb", "mnist", "reuters",
)  # fmt: skip
_NOT_HERE: dict[str, str] = {}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"pynn.keras.datasets.{name}")
    if name in _NOT_HERE:
        refused(f"keras.datasets.{name}", _NOT_HERE[name])
    missing("pynn.keras.datasets", name, __all__)
