"""Optimizers and their names.

The rules are PyTorch's where both have one, with the same place for eps. weight_decay is decoupled in all of them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from pynn.names import Registry
from pynn.optim.adam import Adam as Adam
from pynn.optim.adam import AdaMax as AdaMax
from pynn.optim.adam import AdamW as AdamW
from pynn.optim.adam import AMSGrad as AMSGrad
from pynn.optim.adam import Nadam as Nadam
from pynn.optim.adaptive import Adadelta as Adadelta
from pynn.optim.adaptive import Adagrad as Adagrad
from pynn.optim.adaptive import RMSprop as RMSprop
from pynn.optim.base import Optimizer as Optimizer
from pynn.optim.sgd import SGD as SGD

# A line above is all that a new one needs.
_RULES = {
    rule.name: rule
    for rule in list(globals().values())
    if isinstance(rule, type) and issubclass(rule, Optimizer) and rule is not Optimizer
}

__all__ = ["NAMES", "Optimizer", "get", *sorted(rule.__name__ for rule in _RULES.values())]

#: name -> what makes the optimizer with its default settings
NAMES: Registry[Optimizer] = Registry(
    "optimizer",
    Optimizer,
    {
        **_RULES,
        "momentum": partial(SGD, momentum=0.9),
        "nesterov": partial(SGD, momentum=0.9, nesterov=True),
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
