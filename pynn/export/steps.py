"""A network as a list of plain steps, which every target writes in its own language."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite, prod
from typing import Any

import numpy as np

from pynn import nn
from pynn.errors import DataError
from pynn.export.walk import ENTER, EXIT, Call, Value, described, walk
from pynn.ops.activation import named

__all__ = ["Builder", "Plan", "Step", "lower", "lowers", "plain", "unsupported"]

# Activations that are computed element by element, with their parameters' defaults.
ELEMENTWISE: dict[str, dict[str, Any]] = {
    "relu": {}, "leaky_relu": {"slope": 0.1}, "elu": {"alpha": 1.0}, "selu": {}, "sigmoid": {}, "tanh": {},
    "softplus": {}, "silu": {}, "gelu": {"approximate": False}, "abs": {}, "exp": {}, "square": {}, "step": {},
}  # fmt: skip


@dataclass(eq=False)
class Step:
    """One thing to compute.

    Attributes
    ----------
    op : str
        What; "reshape" gives a value another shape and computes nothing.
    inputs : tuple of Value
    output : Value
    settings : dict
        Numbers, tuples of them, and texts.
    weights : dict of str to ndarray or None
        None for one that a layer does without.
    layer : str
        The layer that it belongs to, in words.
    name : str
        The layer's name.
    """

    op: str
    inputs: tuple[Value, ...]
    output: Value
    settings: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, np.ndarray | None] = field(default_factory=dict)
    layer: str = ""
    name: str = ""


@dataclass
class Plan:
    """A network as steps.

    Attributes
    ----------
    inputs : list of Value
    steps : list of Step
    output : Value
    dtype : dtype
        float32 or float64.
    """

    inputs: list[Value]
    steps: list[Step]
    output: Value
    dtype: np.dtype


Handler = Callable[..., Value]
HANDLERS: dict[type, Handler] = {}
PADDED = (nn.GlobalAvgPool, nn.GlobalMaxPool, nn.SimpleRNN, nn.LSTM, nn.GRU)
ALONE = (
    "which is exported for recurrent layers and pooling over all steps alone. help: pool before it, or leave out "
    "mask_zero=True"
)


def lowers(*kinds: type) -> Callable[[Handler], Handler]:
    """Register the function (builder, layer, inputs...) -> output that writes layers of some classes as steps."""

    def decorate(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return decorate


def unsupported(module: Any, why: str = "") -> DataError:
    """Return the error for a layer that cannot be exported."""
    if not why:
        known = ", ".join(sorted(kind.__name__ for kind in HANDLERS))
        why = f"expected layers out of {known}"
    return DataError(f"[export] {described(module)}: {why}. Nothing was written.")


def plain(text: str) -> str:
    """Return a text that can stand in a comment of any language: names come from model files, which may be hostile.

    Examples
    --------
    >>> plain("dense */ system()")
    'dense ? system()'
    """
    return re.sub(r"[^\x20-\x7e]+|\\|\*/|/\*|\?\?", "?", text)


def lower(model: Any) -> Plan:
    """Return a built network as steps.

    Raises
    ------
    DataError
        If a layer, or a setting of it, cannot be exported; it is named.

    Examples
    --------
    >>> from pynn import nn
    >>> plan = lower(nn.Sequential([nn.Input((4,)), nn.Dense(3, activation="tanh"), nn.Dropout(0.5)]))
    >>> [step.op for step in plan.steps], plan.output.shape
    (['dense', 'tanh'], (3,))
    """
    found = walk(model)
    builder = Builder(found.inputs)
    done = {value.number: value for value in builder.inputs}
    for call in found.calls:
        xs = [done[x.number] for x in call.inputs]
        done[call.output.number] = builder.call(call, xs)
    return Plan(builder.inputs, builder.steps, done[found.output.number], model.dtype)


class Builder:
    """Collects steps; what a handler is given.

    Attributes
    ----------
    lengths : int or None
        Which lengths hold for the input of the layer at hand.
    out_shape : tuple of int
        The shape of a sample of the layer's output.
    """

    def __init__(self, inputs: list[Value]):
        self.inputs = [self._new(i, x.shape, 1, x.integer) for i, x in enumerate(inputs)]
        self.steps: list[Step] = []
        self.lengths: int | None = None
        self.out_shape: tuple[int, ...] = ()
        self.out_lengths: int | None = None
        self._layer = self._name = ""
        self._found: set[int] = set()
        self._count = len(inputs)

    @staticmethod
    def _new(number: int, shape: tuple[int, ...], repeat: int, integer: bool = False) -> Value:
        return Value(number, tuple(shape), repeat, integer)

    def call(self, call: Call, xs: list[Value]) -> Value:
        """Add the steps of a call and return its output."""
        module = call.module
        # A subclass may compute something else, so only the very class counts.
        if call.role not in (ENTER, EXIT) and type(module) not in HANDLERS:
            raise unsupported(module)
        if call.reads and not isinstance(module, PADDED):
            raise unsupported(module, f"it depends on where padding begins, {ALONE}")
        self._name = module.name
        self._layer = plain(f"{module.name}: {module!r}")
        self.lengths, self.out_lengths = call.inputs[0].lengths, call.output.lengths
        self.out_shape = call.output.shape
        if call.role in (ENTER, EXIT):
            return self.reshape(xs[0], call.output.shape, call.output.repeat)
        y = HANDLERS[type(module)](self, module, *xs)
        if (y.shape, y.repeat) != (call.output.shape, call.output.repeat):
            raise RuntimeError(f"[export] {described(module)}: {y.shape} instead of {call.output.shape}.")
        return y

    def add(
        self,
        op: str,
        inputs: Value | list[Value],
        shape: tuple[int, ...],
        weights: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Value:
        """Add a step and return its output; weights may be tensors."""
        xs = tuple(inputs) if isinstance(inputs, list) else (inputs,)
        if op == "lengths":
            self._found.add(settings["which"])
        elif settings.get("lengths") is not None and settings["lengths"] not in self._found:
            raise DataError(f"[export] {self._layer}: the lengths of padded sequences changed before it, {ALONE}.")
        for key, value in settings.items():
            if isinstance(value, float) and not isfinite(value):
                raise DataError(f"[export] {self._layer}: expected a finite {key}. Received: {value}.")
        arrays = {k: w if w is None or isinstance(w, np.ndarray) else w.numpy() for k, w in (weights or {}).items()}
        y = self._new(self._count, shape, xs[0].repeat)
        self._count += 1
        self.steps.append(Step(op, xs, y, settings, arrays, self._layer, self._name))
        return y

    def reshape(self, x: Value, shape: tuple[int, ...], repeat: int | None = None) -> Value:
        """Give a value another shape."""
        repeat = x.repeat if repeat is None else repeat
        if (tuple(shape), repeat) == (x.shape, x.repeat):
            return x
        if prod(shape) * repeat != prod(x.shape) * x.repeat:
            raise RuntimeError(f"[export] {self._layer}: {x.shape} cannot become {shape}.")
        y = self._new(self._count, shape, repeat, x.integer)
        self._count += 1
        self.steps.append(Step("reshape", (x,), y, layer=self._layer))
        return y

    def activation(self, layer: Any, x: Value, options: dict[str, Any] | None = None) -> Value:
        """Apply a layer's activation.

        Raises
        ------
        DataError
            If it is a function of the program's own, or one that cannot be exported.
        """
        name, function = layer.activation, layer._function
        options = dict(options or {})
        if name == "linear":
            return x
        if name in ("swish", "hard_step"):
            name = {"swish": "silu", "hard_step": "step"}[name]
        try:
            known = named(name) is function
        except ValueError:
            known = False
        if not known or not (name in ELEMENTWISE or name in ("softmax", "log_softmax")):
            raise unsupported(layer, f"its activation {name!r} is not one of {', '.join(ELEMENTWISE)}, softmax, linear")
        if name in ELEMENTWISE:
            settings: dict[str, Any] = ELEMENTWISE[name] | options
            if name == "gelu":
                name = "gelu_tanh" if settings.pop("approximate") else "gelu"
            numbers: dict[str, Any] = {k: float(v) for k, v in settings.items()}
            return self.add(name, x, x.shape, None, **numbers)
        if options.get("axis", -1) not in (-1, len(x.shape)) or not x.shape:
            raise unsupported(layer, f"{name} is exported along the last axis alone")
        return self.add(name, x, x.shape)
