"""Defaults that Keras has changed: those of the time when a script was written."""

from __future__ import annotations

import ast
from typing import Any

__all__ = ["VERSIONS", "defaults", "guess", "use"]

VERSIONS = ("2.2", "2.3", "3")

_RATES = {"Adadelta": 1.0, "Adagrad": 0.01, "Adamax": 0.002, "Nadam": 0.002}  # up to 2.3; today 0.001
_OLD: dict[str, dict[str, dict[str, Any]]] = {
    "3": {},
    "2.3": {name: {"learning_rate": rate} for name, rate in _RATES.items()} | {"GRU": {"reset_after": False}},
}
_HARD = {"recurrent_activation": "hard_sigmoid_2"}
_OLD["2.2"] = _OLD["2.3"] | {"LSTM": _HARD, "GRU": {"reset_after": False, **_HARD}, "ConvLSTM2D": _HARD}

# What is written as it was before Keras 3, and mostly before TensorFlow 2.
_MODULES = (
    "advanced_activations", "convolutional", "core", "embeddings", "local", "merge", "noise", "normalization",
    "np_utils", "pooling", "recurrent", "visualize_util", "wrappers",
)  # fmt: skip
_KEYWORDS = frozenset({
    "border_mode", "dim_ordering", "init", "input_dtype", "nb_col", "nb_epoch", "nb_filter", "nb_row", "nb_val_samples",
    "output_dim", "samples_per_epoch", "subsample", "W_regularizer",
})  # fmt: skip
_NAMES = frozenset({
    "Convolution1D", "Convolution2D", "fit_generator", "image_data_format", "image_dim_ordering", "np_utils",
    "print_function",
})  # fmt: skip
_version = "3"


def use(version: str) -> str:
    """Take the defaults of a version of Keras from now on; returns the one before."""
    global _version
    before, _version = _version, version
    return before


def defaults(name: str) -> dict[str, Any]:
    """Return the defaults of a class that were others in the version in use."""
    return _OLD[_version].get(name, {})


def guess(tree: ast.AST) -> str:
    """Return the version whose defaults a script counts on: by the modules, names and arguments that it spells.

    Examples
    --------
    >>> guess(ast.parse("from keras.layers.core import Dense")), guess(ast.parse("import keras"))
    ('2.3', '3')
    """
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)) if "keras" in module and module.split(".")[-1] in _MODULES:
                return "2.3"
            case ast.alias(name=name) | ast.Attribute(attr=name) if name.split(".")[-1] in _NAMES:
                return "2.3"
            case ast.keyword(arg=str(name)) if name in _KEYWORDS:
                return "2.3"
    return "3"
