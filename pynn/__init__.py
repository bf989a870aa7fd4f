"""pynn: neural networks that train fast on an ordinary CPU.

>>> import numpy as np
>>> import pynn
>>> from pynn import nn
>>> x, y = pynn.datasets.moons(n=200)
>>> model = nn.Sequential([nn.Input((2,)), nn.Dense(16, activation="tanh"), nn.Dense(2)])
>>> model.compile(optimizer="adam", loss="cross_entropy", metrics=["accuracy"], seed=0)
>>> history = model.fit(x, y, epochs=2, verbose=0)
>>> model.predict(x).shape
(200, 2)

What is where, each with a ``help()`` of its own:

===================  ==============================================================================================
Models
pynn.nn              layers; Sequential, Model, and Module, whose methods are compile, fit, evaluate, predict, save
pynn.losses          what training makes small
pynn.metrics         what is measured
pynn.optim           optimizers
pynn.schedules       learning rates that change
pynn.init            first values of weights
pynn.regularizers    penalties and constraints on weights
pynn.train           callbacks, History
pynn.load            reads what ``model.save(path)`` wrote; pynn.io has more on files

Tensors
pynn.Tensor          what pynn.tensor(data) makes: operators, ``backward()``, ``grad``
pynn.ops             functions of tensors
pynn.grad, jacobian  derivatives of functions; pynn.no_grad() leaves the graph out
pynn.random          random numbers for layers of one's own

Data
pynn.datasets        digits, clothes, reviews, planes of points
pynn.text            tokens, padded sequences, word vectors, generation
pynn.audio           sound files and their features

Around them
pynn.viz             pictures of training, weights, graphs, mistakes
pynn.estimators      networks as scikit-learn has them
pynn.export          models as C, and as Python that needs NumPy alone
pynn.onnx            ONNX, both ways
pynn.distributed     training by several processes, on one machine or on many, over MPI
pynn.recipes         named experiments, which ``pynn run`` runs; ``pynn list`` shows them
pynn.keras           Keras's names, for scripts that are there already
pynn.io              files; weights of Keras and PyTorch
pynn.testing         checks of ops and gradients
pynn.config          threads, precision, instruction sets; pynn.set_num_threads, set_precision, set_device
===================  ==============================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    import pynn.core._core
except ImportError as error:
    from pynn.core.missing import explained

    said = explained(error, __path__[0])
    if said is None:
        raise
    raise ImportError(said) from None

from pynn import ops
from pynn._version import __version__
from pynn.core import config
from pynn.core.config import get_device, get_num_threads, get_precision, set_num_threads, set_precision
from pynn.core.device import set_device
from pynn.core.gradients import grad, jacobian
from pynn.core.graph import graph
from pynn.core.state import no_grad
from pynn.core.tensor import Tensor, tensor

if TYPE_CHECKING:  # editors and type checkers see what is loaded when first used
    from pynn import (
        audio,
        datasets,
        distributed,
        estimators,
        export,
        init,
        io,
        keras,
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
    from pynn.io.registry import register as register
    from pynn.models import load as load

# Loaded when first used, so that `import pynn` stays quick.
_LAZY = (
    "audio",
    "datasets",
    "distributed",
    "estimators",
    "export",
    "init",
    "io",
    "keras",
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
    "get_device",
    "get_num_threads",
    "get_precision",
    "grad",
    "graph",
    "jacobian",
    "no_grad",
    "ops",
    "set_device",
    "set_num_threads",
    "set_precision",
    "tensor",
    *_LAZY,
    *_HOMES,
]


def _loaded(name: str) -> Any:
    if name in _LAZY or name in _HOMES:
        import importlib

        home = importlib.import_module(f"pynn.{_HOMES.get(name, name)}")
        return getattr(home, name) if name in _HOMES else home
    raise AttributeError(f"module 'pynn' has no attribute {name!r}." + ("" if name.startswith("_") else _hint(name)))


def _hint(name: str) -> str:
    """Return what may be meant by a name that is not here: one of a module, or the nearest one."""
    from pynn.errors import nearest

    if name[0].isupper():
        for place in ("nn", "optim", "train", "losses", "metrics"):
            if name in getattr(_loaded(place), "__all__", ()):
                return f" help: did you mean pynn.{place}.{name}?"
    near = nearest(name, __all__)
    return f" help: did you mean {near!r}?" if near else ""


if not TYPE_CHECKING:  # type checkers find slips in names
    __getattr__ = _loaded


def __dir__() -> list[str]:
    return sorted(__all__)
