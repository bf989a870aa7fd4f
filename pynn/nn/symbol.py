"""Symbols: what layers return when they are called before there are data."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from pynn.checks import flag
from pynn.core.tensor import Tensor
from pynn.keywords import Spelled

__all__ = ["Symbol", "spread"]

_created = itertools.count()


class Symbol(Spelled):
    """The output of a module for inputs that are symbols themselves; :class:`pynn.nn.Model` computes it.

    Attributes
    ----------
    module : Module or None
        None for an Input.
    inputs : tuple of Symbol or None
        None where the module is called with None.
    number : int
        Grows in the order of creation, so that inputs come before what is made of them.
    training : bool or None
        False if the call is one of a network that is only used; None leaves it to the call of the whole model.
    """

    structural = True  # see pynn.io.recorded

    def __init__(self, module: Any = None, inputs: Sequence[Any] = (), training: bool | None = None):
        self.module = module
        self.inputs = tuple(inputs)
        self.training = training
        self.number = next(_created)

    @classmethod
    def of_call(cls, module: Any, inputs: Sequence[Any], training: bool | None) -> Symbol:
        """Return the symbol of a call.

        Raises
        ------
        TypeError
            If some inputs are values, or if `training` is neither False nor None.
        """
        for x in inputs:
            if x is not None and not isinstance(x, Symbol):
                raise TypeError(
                    f"[{module.name}] expected symbols alone (nn.Input and what layers make of it) or values alone. "
                    f"Received: a symbol and a value of type {type(x).__name__}. "
                    "help: make the value an nn.Input too, and give it to the model with the data."
                )
        if training is not None and flag(module.name, "training", training):
            raise TypeError(
                f"[{module.name}] the call of the whole model decides whether to train. Received: a symbol and "
                "training=True. help: leave training out; training=False uses a network as it is; a Module of one's "
                "own may call layer(x, training=True) in its forward()."
            )
        return cls(module, inputs, None if training is None else False)

    def __repr__(self) -> str:
        return f"<output of {self.module.name}>"

    def _no_values(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(
            f"[symbol] {self!r} has no values yet: only layers can be called with it. "
            "help: use nn.Add, nn.Multiply, nn.Concatenate or nn.Activation, or a Module of one's own whose forward() "
            "computes this."
        )

    __array__ = __iter__ = __len__ = __getitem__ = _no_values
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _no_values
    __matmul__ = __rmatmul__ = __pow__ = __neg__ = _no_values


def spread(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the inputs of a call, which may also be given as one list."""
    if len(inputs) == 1 and isinstance(inputs[0], (list, tuple)):
        items = tuple(inputs[0])
        if not items or all(isinstance(x, (Symbol, Tensor, np.ndarray)) for x in items):
            return items
    return inputs
