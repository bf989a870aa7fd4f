"""``keras.wrappers``: models for scikit-learn."""

from __future__ import annotations

from typing import Any

from pynn.keras.missing import missing
from pynn.keras.wrappers import scikit_learn

__all__ = ["scikit_learn"]


def __getattr__(name: str) -> Any:
    if name in ("SKLearnClassifier", "SKLearnRegressor"):
        return getattr(scikit_learn, name.replace("SKLearn", "Keras"))
    missing("pynn.keras.wrappers", name, __all__)
