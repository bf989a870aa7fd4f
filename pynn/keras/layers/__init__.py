"""Layers, in Keras's names."""

from __future__ import annotations

from typing import Any

from pynn.keras.layer import Input, InputLayer, Layer
from pynn.keras.layers.core import (
    Activation,
    ActivityRegularization,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Identity,
    Lambda,
    Masking,
    Permute,
    RepeatVector,
    Reshape,
)
from pynn.keras.layers.text import IntegerLookup, StringLookup, TextVectorization

CLASSES: dict[str, Any] = {
    name: thing for name, thing in globals().items() if isinstance(thing, type) and issubclass(thing, Layer)
}
__all__ = sorted({*CLASSES, "Input", "IntegerLookup", "StringLookup", "TextVectorization"})


def __getattr__(name: str) -> Any:
    from pynn.keras.missing import missing

    missing(__name__, name, __all__)
