"""Keras's names over pynn: scripts of 2016, 2019 and 2024 run as they are.

``import pynn.keras as keras``, or ``python -m pynn.keras script.py`` for a script whose imports stay as they are.
Classes and functions have Keras's names, arguments, defaults and return types; what computes is pynn. Spellings of the
past (``Convolution2D``, ``nb_filter``, ``nb_epoch``, ``lr``) are taken too. A name that is not here is an error that
gives the nearest one and the line that asks for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pynn.keras.names import missing

if TYPE_CHECKING:
    from pynn.keras.layer import Input as Input
    from pynn.keras.layer import KerasTensor as KerasTensor
    from pynn.keras.layer import Layer as Layer
    from pynn.keras.models import Model as Model
    from pynn.keras.models import Sequential as Sequential

# Modules, loaded when first used.
_MODULES = (
    "activations", "applications", "backend", "callbacks", "config", "constraints", "datasets", "initializers",
    "layers", "losses", "metrics", "models", "ops", "optimizers", "preprocessing", "random", "regularizers", "saving",
    "utils", "wrappers",
)  # fmt: skip
_HOMES = {"Input": "layer", "KerasTensor": "layer", "Layer": "layer", "Model": "models", "Sequential": "models"}
_BASES = {
    "Loss": "losses", "Metric": "metrics", "Optimizer": "optimizers", "Initializer": "initializers",
    "Regularizer": "regularizers", "Variable": "making",
}  # fmt: skip
# Modules that Keras has and pynn does not, and why.
_NOT_HERE = {
    "estimator": "TensorFlow's estimators are not there",
    "mixed_precision": "pynn.set_precision() chooses the precision of products",
}
# The library's own files, which refer to each other by name: layers tell their configs, and configs make layers.
_INSIDE = ("serial", "wrappers")
_OLD = {"legacy": "layers", "engine": "layers", "objectives": "losses"}

__version__ = "3.12.0"  # what scripts that ask are answered: the Keras whose names these are

__all__ = sorted({*_MODULES, *_HOMES})


def __getattr__(name):
    if name in _HOMES or name in _BASES:
        return getattr(importlib.import_module(f"pynn.keras.{(_HOMES | _BASES)[name]}"), name)
    if name in _MODULES or name in _OLD or name in _INSIDE:
        where = f"pynn.keras.{_OLD.get(name, name)}"
        try:
            return importlib.import_module(where)
        except ModuleNotFoundError as error:
            if error.name != where:
                raise
    if name in _NOT_HERE:
        from pynn.keras.names import refused

        refused(f"keras.{name}", _NOT_HERE[name])
    missing("pynn.keras", name, __all__)


def version() -> str:
    """Return the version of Keras whose names these are."""
    return __version__


def __dir__():
    return __all__


def load_ipython_extension(shell):
    """Do what ``%load_ext pynn.keras`` asks for."""
    importlib.import_module("pynn.keras.__main__").load_ipython_extension(shell)
