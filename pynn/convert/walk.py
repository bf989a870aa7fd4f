"""The calls that a network makes, one after the other, with the shapes of what goes in and comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pynn import ops
from pynn.core.context import training
from pynn.core.state import no_grad, trial
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.export.runs import described, examples
from pynn.nn.functional import Model
from pynn.nn.sequence import TimeDistributed
from pynn.nn.sequential import Sequential

__all__ = ["ENTER", "EXIT", "Call", "Value", "walk"]

ENTER, EXIT = "enter", "exit"


@dataclass(frozen=True)
class Value:
    """A tensor on its way through the network: inputs come first, the shape is that of one sample."""

    number: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """A layer that is called.

    Attributes
    ----------
    module : Module
    inputs : tuple of Value
    output : Value
    role : str
        "", or ENTER and EXIT where a TimeDistributed begins and ends: what lies between sees single steps.
    """

    module: Any
    inputs: tuple[Value, ...]
    output: Value
    role: str = ""


def walk(model: Any, place: str) -> list[Call]:
    """Run a built network on zeros, for one sample, and return what it called.

    Sequential, Model and TimeDistributed are entered; every other module is one call.

    Raises
    ------
    DataError
        If a layer returns something else than one tensor, or is called without one.
    RuntimeError
        If the model is not built.

    Examples
    --------
    >>> from pynn import nn
    >>> calls = walk(nn.Sequential([nn.Input((4, 6)), nn.Flatten(), nn.Dense(3)]), "walk")
    >>> [(call.module.name, call.output.shape) for call in calls]
    [('flatten', (24,)), ('dense', (3,))]
    """
    model._require_built(place)
    walker = _Walker(place)
    with no_grad(), training(False), trial():
        walker.expand(model, [walker.value(x) for x in examples(model)])
    return walker.calls


class _Walker:
    def __init__(self, place: str):
        self.place = place
        self.calls: list[Call] = []
        self.tensors: list[Tensor] = []

    def value(self, tensor: Tensor) -> Value:
        self.tensors.append(tensor)
        return Value(len(self.tensors) - 1, tensor.shape[1:])

    def expand(self, module: Any, xs: list[Value]) -> Value:
        if type(module) is Sequential:
            for layer in module._layers:
                xs = [self.expand(layer, xs)]
            return xs[0]
        if type(module) is Model:
            values = list(xs)
            for step in module._plan:
                given = [values[k] for k in step.inputs if k is not None]
                if None in step.inputs[: len(given)]:  # at the end it means the default
                    raise DataError(f"[{self.place}] {described(step.module)} is called with None.")
                values.append(self.expand(step.module, given))
            return values[-1]
        if type(module) is TimeDistributed:
            return self._each_step(module, xs[0])
        out = module(*(self.tensors[x.number] for x in xs))
        if not isinstance(out, Tensor):
            raise DataError(
                f"[{self.place}] expected layers that return one tensor. Received: {len(out)} from {described(module)}."
            )
        return self._called(module, xs, out)

    def _called(self, module: Any, xs: list[Value], out: Tensor, role: str = "") -> Value:
        y = self.value(out)
        self.calls.append(Call(module, tuple(xs), y, role))
        return y

    def _each_step(self, module: Any, x: Value) -> Value:
        tensor = self.tensors[x.number]
        n, t = tensor.shape[:2]
        plain = ops.without_lengths(tensor)
        inner = self._called(module, [x], ops.reshape(plain, (n * t, *tensor.shape[2:])), ENTER)
        y = self.expand(module.layer, [inner])
        out = ops.reshape(self.tensors[y.number], (n, t, *y.shape))
        out.lengths = tensor.lengths
        return self._called(module, [y], out, EXIT)
