"""Optimizers, each one fused pass over all parameters, and their names.

The rules are PyTorch's where both have one, with the same place for eps. weight_decay is decoupled in all of them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from pynn.names import Registry
from pynn.optim.adam import Adam, AdaMax, AdamW, AMSGrad, Nadam
from pynn.optim.adaptive import Adadelta, Adagrad, RMSprop
from pynn.optim.base import Optimizer
from pynn.optim.sgd import SGD

__all__ = [
    "NAMES",
    "SGD",
    "AMSGrad",
    "AdaMax",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "get",
]

#: name -> what makes the optimizer with its default settings
NAMES: Registry[Optimizer] = Registry(
    "optimizer",
    Optimizer,
    {
        "sgd": SGD,
        "momentum": partial(SGD, momentum=0.9),
        "nesterov": partial(SGD, momentum=0.9, nesterov=True),
        "adagrad": Adagrad,
        "adadelta": Adadelta,
        "rmsprop": RMSprop,
        "adam": Adam,
        "amsgrad": AMSGrad,
        "adamax": AdaMax,
        "nadam": Nadam,
        "adamw": AdamW,
    },
    expected="a name or a pynn.optim.Optimizer",
)


def get(optimizer: Any) -> Optimizer:
    """Return an optimizer of a name or a class, with its default settings, or the optimizer itself.

    Raises
    ------
    ValueError
        If no optimizer has the name; the nearest known name is given.
    TypeError
        If it is neither a name nor an optimizer.

    Examples
    --------
    >>> get("momentum")
    SGD(learning_rate=0.01, momentum=0.9, nesterov=False)
    """
    return NAMES.resolve(optimizer)
