"""The calls that a network makes, one after the other, with the shapes of what goes in and comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pynn import ops
from pynn.core.context import training
from pynn.core.state import no_grad, trial
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.nn.functional import Model
from pynn.nn.module import Module
from pynn.nn.sequence import TimeDistributed
from pynn.nn.sequential import Sequential

__all__ = ["ENTER", "EXIT", "Call", "Value", "Walk", "described", "walk"]

ENTER, EXIT = "enter", "exit"


@dataclass(frozen=True)
class Value:
    """A tensor on its way through the network.

    Attributes
    ----------
    number : int
        Inputs come first.
    shape : tuple of int
        Of one sample.
    repeat : int
        So many of them belong to one sample of the network: more than 1 inside TimeDistributed.
    integer : bool
        Whether it holds token ids.
    lengths : int or None
        Which lengths say where its padding begins: those that the Embedding of this number found.
    """

    number: int
    shape: tuple[int, ...]
    repeat: int = 1
    integer: bool = False
    lengths: int | None = None


@dataclass(frozen=True)
class Call:
    """A layer that is called.

    Attributes
    ----------
    module : Module
    path : str
        As in named_modules(), or of the second call of a layer that is shared, its place there.
    inputs : tuple of Value
    output : Value
    role : str
        "", or ENTER and EXIT where a TimeDistributed begins and ends: what lies between sees single steps.
    """

    module: Any
    path: str
    inputs: tuple[Value, ...]
    output: Value
    role: str = ""


@dataclass
class Walk:
    """What :func:`walk` returns: the inputs, the calls in order, and the output."""

    inputs: list[Value]
    calls: list[Call]
    output: Value


def walk(model: Any, place: str = "export") -> Walk:
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
    >>> found = walk(nn.Sequential([nn.Input((4, 6)), nn.Flatten(), nn.Dense(3)]))
    >>> [(call.module.name, call.output.shape) for call in found.calls]
    [('flatten', (24,)), ('dense', (3,))]
    """
    if not isinstance(model, Module):
        raise TypeError(f"[{place}] expected a model. Received: {model!r} of type {type(model).__name__}.")
    model._require_built(place)
    if isinstance(model, Model):
        examples = model.examples()
    else:
        shape = model._input if type(model) is Sequential and model._input is not None else model._built_for[1:]
        examples = [model.example((1, *shape))]
    walker = _Walker(place)
    with no_grad(), training(False), trial():
        inputs = [walker.value(x) for x in examples]
        output = walker.expand(model, "", inputs)
    return Walk(inputs, walker.calls, output)


def described(module: Any) -> str:
    """Return a layer's name and class, for messages.

    Examples
    --------
    >>> from pynn import nn
    >>> described(nn.Dense(3, name="head"))
    "layer 'head' (Dense)"
    """
    return f"layer {module.name!r} ({type(module).__name__})"


class _Walker:
    def __init__(self, place: str):
        self.place = place
        self.calls: list[Call] = []
        self.tensors: list[Tensor] = []
        self.lengths: list[Tensor] = []

    def value(self, tensor: Tensor) -> Value:
        self.tensors.append(tensor)
        return Value(
            len(self.tensors) - 1, tensor.shape[1:], tensor.shape[0], tensor.dtype.kind in "iu", self._lengths(tensor)
        )

    def _lengths(self, tensor: Tensor) -> int | None:
        if tensor.lengths is None:
            return None
        for i, known in enumerate(self.lengths):
            if known is tensor.lengths:
                return i
        self.lengths.append(tensor.lengths)
        return len(self.lengths) - 1

    def expand(self, module: Any, path: str, xs: list[Value]) -> Value:
        if type(module) is Sequential:
            for i, layer in enumerate(module._layers):
                xs = [self.expand(layer, _below(path, f"layers.{i}"), xs)]
            return xs[0]
        if type(module) is Model:
            values = list(xs)
            for step in module._plan:
                at = next(i for i, layer in enumerate(module._layers) if layer is step.module)
                given = [values[k] for k in step.inputs if k is not None]
                if None in step.inputs[: len(given)]:  # at the end it means the default
                    raise DataError(f"[{self.place}] {described(step.module)} is called with None.")
                values.append(self.expand(step.module, _below(path, f"layers.{at}"), given))
            return values[-1]
        if type(module) is TimeDistributed:
            return self._each_step(module, path, xs[0])
        out = module(*(self.tensors[x.number] for x in xs))
        if not isinstance(out, Tensor):
            raise DataError(
                f"[{self.place}] expected layers that return one tensor. Received: {len(out)} from {described(module)}."
            )
        return self._called(module, path, xs, out)

    def _called(self, module: Any, path: str, xs: list[Value], out: Tensor, role: str = "") -> Value:
        y = self.value(out)
        self.calls.append(Call(module, path, tuple(xs), y, role))
        return y

    def _each_step(self, module: Any, path: str, x: Value) -> Value:
        tensor = self.tensors[x.number]
        n, t = tensor.shape[:2]
        plain = ops.without_lengths(tensor)
        inner = self._called(module, path, [x], ops.reshape(plain, (n * t, *tensor.shape[2:])), ENTER)
        y = self.expand(module.layer, _below(path, "layer"), [inner])
        out = ops.reshape(self.tensors[y.number], (n, t, *y.shape))
        out.lengths = tensor.lengths
        return self._called(module, path, [y], out, EXIT)


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
