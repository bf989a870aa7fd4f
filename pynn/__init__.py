"""pynn: neural networks that train fast on an ordinary CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynn import ops
from pynn._version import __version__
from pynn.core import config
from pynn.core.config import get_num_threads, get_precision, set_num_threads, set_precision
from pynn.core.gradients import grad, jacobian
from pynn.core.graph import graph
from pynn.core.state import no_grad
from pynn.core.tensor import Tensor, tensor

if TYPE_CHECKING:  # editors and type checkers see what is loaded when first used
    from pynn import (
        audio,
        datasets,
        estimators,
        export,
        init,
        io,
        losses,
        metrics,
        nn,
        onnx,
        optim,
        random,
        recipes,
        regularizers,
        schedules,
        testing,
        text,
        train,
        viz,
    )
    from pynn.io.registry import register
    from pynn.models import load

# Loaded when first used, so that `import pynn` stays quick.
_LAZY = (
    "audio",
    "datasets",
    "estimators",
    "export",
    "init",
    "io",
    "losses",
    "metrics",
    "nn",
    "onnx",
    "optim",
    "random",
    "recipes",
    "regularizers",
    "schedules",
    "testing",
    "text",
    "train",
    "viz",
)

# Single names, by the module that has them.
_HOMES = {"load": "models", "register": "io.registry"}

__all__ = [
    "Tensor",
    "__version__",
    "config",
    "get_num_threads",
    "get_precision",
    "grad",
    "graph",
    "jacobian",
    "no_grad",
    "ops",
    "set_num_threads",
    "set_precision",
    "tensor",
    *_LAZY,
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    if name in _LAZY or name in _HOMES:
        import importlib

        home = importlib.import_module(f"pynn.{_HOMES.get(name, name)}")
        return getattr(home, name) if name in _HOMES else home
    raise AttributeError(f"module 'pynn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
