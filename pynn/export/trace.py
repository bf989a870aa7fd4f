"""The ops that a forward pass ran, with the axis of every value that follows the number of samples.

A module is run on batches of two and of three samples. What differs between the two recordings is what follows the
batch: a size of 2 k and 3 k stands for k rows per sample (k is more than 1 inside TimeDistributed). All that does not
depend on the inputs is a constant, computed here once.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from pynn.core.card import Card
from pynn.core.tape import Entry
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.export.binary import BINARY
from pynn.export.runs import Run, Samples, described
from pynn.nn.module import Module

__all__ = ["Op", "Trace", "Value", "described", "plain", "trace"]

RANDOM = ("bernoulli", "dropout", "uniform", "normal")
SPREADS = (*BINARY, "where", "crop")  # ops that repeat a constant for every sample by themselves
_numbers = itertools.count()


@dataclass(eq=False)
class Value:
    """A tensor of the forward pass.

    Attributes
    ----------
    shape : tuple of int
        For one sample.
    axis : int or None
        The axis that follows the batch: it has shape[axis] rows per sample.
    dtype : numpy.dtype
    array : ndarray or None
        Of a constant: a weight, or what is computed of weights alone.
    owner, key : str
        Of a weight: the name of its layer, and its own.
    number : int
        Tells values apart.
    open : dict of int to tuple of int
        Axes whose sizes are left open, with what they were in several runs: equal tuples stand for equal sizes.
    """

    shape: tuple[int, ...]
    axis: int | None
    dtype: np.dtype
    array: np.ndarray | None = None
    owner: str = ""
    key: str = ""
    number: int = field(default_factory=lambda: next(_numbers))
    open: dict[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def constant(self) -> bool:
        """Whether it does not depend on the inputs."""
        return self.array is not None

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def extent(self, axis: int) -> Any:
        """Return the size of an axis, or what stands for one that is left open."""
        return self.open.get(axis, self.shape[axis])

    @property
    def size(self) -> int:
        """Number of elements, for one sample."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(eq=False)
class Op:
    """An op that ran; its attributes are those for one sample.

    Attributes
    ----------
    name : str
        Of the card.
    inputs, outs : tuple of Value or None
        Without what is kept for gradients.
    attrs : dict
        With those that have their defaults.
    layer, place : str
        The innermost layer, as comments show it, and as messages name it.
    path : str
        The names of the layers around it, from the outermost on.
    module : Module
        The innermost layer.
    varied : dict of str to tuple
        Attributes that follow a size that is left open, with what they were in several runs.
    """

    name: str
    inputs: tuple[Any, ...]
    outs: tuple[Any, ...]
    attrs: dict[str, Any]
    layer: str = ""
    place: str = ""
    path: str = ""
    module: Any = None
    varied: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def x(self) -> Any:
        """The first input."""
        return self.inputs[0] if self.inputs else None

    @property
    def y(self) -> Any:
        """The first output; None where nobody reads it."""
        return self.outs[0]

    def like(self, name: str, inputs: Sequence[Value | None], outs: Sequence[Value | None], **attrs: Any) -> Op:
        """Return another op of the same layer."""
        return Op(name, tuple(inputs), tuple(outs), attrs, self.layer, self.place, self.path, self.module)

    def refused(self, text: str, help: str = "") -> DataError:
        """Return the error for an op that cannot be written."""
        return DataError(
            f"[export] {self.place}: the op {self.name!r} {text}. Nothing was written."
            + (f" help: {help}" * bool(help))
        )


@dataclass
class Trace:
    """What a forward pass computes: the inputs, the ops in order, and the outputs; `form` is a dict's keys, or None."""

    inputs: list[Value]
    ops: list[Op]
    outputs: list[Value]
    dtype: np.dtype
    form: list[str] | None = None

    @property
    def output(self) -> Value:
        """The output, for targets that have one.

        Raises
        ------
        DataError
            If there are several.
        """
        if len(self.outputs) != 1:
            raise DataError(
                f"[export] expected a model that returns one tensor. Received: one that returns {len(self.outputs)}. "
                "Nothing was written. help: nn.Model(inputs, output) of each output shares the layers, and is written "
                "on its own; ONNX and NumPy take several."
            )
        return self.outputs[0]


def plain(text: str) -> str:
    """Return a text that can stand in a comment of any language: names come from model files, which may be hostile.

    Examples
    --------
    >>> plain("dense */ system()")
    'dense ? system()'
    """
    return re.sub(r"[^\x20-\x7e]+|\\|\*/|/\*|\?\?", "?", text)


def trace(model: Any, input_shape: Any = None) -> Trace:
    """Run a module on a few samples and return what it computed; see :func:`pynn.export.lower` for the parameters.

    Raises
    ------
    DataError
        If samples are not computed each by itself, if a value is read while the model runs, if state changes, or if
        something else than tensors, or a tuple, list or dict of them, is returned.
    RuntimeError
        If the model is not built.

    Examples
    --------
    >>> from pynn import nn
    >>> found = trace(nn.Sequential([nn.Input((4, 6)), nn.Flatten(), nn.Dense(3)]))
    >>> [(op.name, op.y.shape, op.y.axis) for op in found.ops]
    [('reshape', (1, 24), 0), ('dense', (1, 3), 0)]
    """
    if not isinstance(model, Module):
        raise TypeError(f"[export] expected a model. Received: {model!r} of type {type(model).__name__}.")
    samples = Samples(model, input_shape)
    three = samples.first(model)
    base = samples.draw(2)
    two = Run(model, base)
    aligned = _Aligned(model, two, three)
    found = aligned.trace()
    for row in (0, 1):
        _check_sample(model, two, Run(model, samples.other(base, row)), 1 - row, aligned, found.outputs)
    return found


class _Aligned:
    """Two recordings of one model, on two and on three samples, put side by side."""

    def __init__(self, model: Any, two: Run, three: Run):
        self.model, self.two, self.three = model, two, three
        self.known: tuple[dict[Any, Value], dict[Any, Value]] = ({}, {})
        self.constants: dict[Any, Value] = {}
        self.spread: dict[int, Value] = {}
        self.ops: list[Op] = []
        self.owners = {
            id(w.buffer): (module.name, key) for module in model.modules() for key, w in module._weights.items()
        }

    def trace(self) -> Trace:
        """Return the ops."""
        for module, _ in self.two.done:
            if getattr(module, "stateful", False):
                raise DataError(
                    f"[export] {described(module)}: it is stateful, and what is exported keeps nothing. "
                    "Nothing was written. help: set stateful=False."
                )
        inputs = []
        for a, b in zip(self.two.inputs, self.three.inputs, strict=True):
            inputs.append(self._new((a, b), self.model))
        for one, other in zip_longest(self.two.ops, self.three.ops):
            if one is None or other is None:
                raise self._differs(self.model, "runs other ops")
            self._op(one, other, one.module or self.model)
        outputs = [self._output(a, b) for a, b in zip(self._outs(self.two), self._outs(self.three), strict=True)]
        form = list(self.two.out) if isinstance(self.two.out, dict) else None
        return Trace(inputs, self.ops, outputs, self.model.dtype, form)

    def _differs(self, layer: Any, what: str) -> DataError:
        return DataError(
            f"[export] {described(layer)}: it {what} when the number of samples changes, so that samples are not "
            "computed each by itself. Nothing was written. help: leave the first axis to the batch, and take no number "
            "from its size."
        )

    def _outs(self, run: Run) -> list[Tensor]:
        out = run.out
        several = list(out.values()) if isinstance(out, dict) else [out] if isinstance(out, Tensor) else out
        if not (isinstance(several, (tuple, list)) and several and all(isinstance(y, Tensor) for y in several)):
            at = next((module for module, made in run.done if made is out), self.model)
            raise DataError(
                "[export] expected a model that returns a tensor, or a tuple, list or dict of them. Received: a "
                f"{type(out).__name__} of something else from {described(at)}. Nothing was written."
            )
        return list(several)

    def _output(self, a: Tensor, b: Tensor) -> Value:
        y = self.known[0].get(_key(a))
        if y is None or y.constant or y is not self.known[1].get(_key(b)):
            raise DataError(
                f"[export] expected a model that computes something of its input. Received: {described(self.model)}, "
                "whose output does not depend on it. Nothing was written."
            )
        if y.axis != 0 or y.shape[0] != 1:
            raise self._differs(self.model, f"returns {a.shape} for 2 samples and {b.shape} for 3")
        return y

    def _op(self, a: Entry, b: Entry, layer: Any) -> None:
        if a.card is not b.card or len(a.inputs) != len(b.inputs):
            raise self._differs(layer, "runs other ops")
        name, place = a.card.name, described(layer)
        if isinstance(a.card, Card) and a.card.mutates:
            raise DataError(
                f"[export] {place}: the op {name!r} changes state that outlives a call. Nothing was written. "
                "help: what is exported keeps nothing from call to call."
            )
        if name in RANDOM:
            raise DataError(
                f"[export] {place}: the op {name!r} draws random numbers. Nothing was written. "
                "help: draw them while training alone (pynn.nn.Dropout does nothing in predict)."
            )
        if all(x is None or (_key(x) not in self.known[0] and _key(y) not in self.known[1]) for x, y in _pairs(a, b)):
            names = [self.owners[id(x.buffer)] for x in a.inputs if x is not None and id(x.buffer) in self.owners]
            for y in a.outs if names else ():  # of weights and numbers alone: computed already
                if y is not None:
                    self.owners.setdefault(id(y.buffer), names[0])
            return
        if not getattr(a.card, "kernel", name) and self._seen((a.outs[0], b.outs[0])):
            return  # reshaped and shaped back
        op = Op(name, (), (), {}, plain(f"{layer.name}: {' '.join(repr(layer).split())}"), place, a.scope, layer)
        xs = [None if x is None else self._input(x, y, layer) for x, y in _pairs(a, b)]
        moving = [x for x in xs if x is not None and x.axis is not None and not x.constant]
        if not (name in SPREADS and moving):
            xs = [x if x is None else self._whole(op, x) for x in xs]
        op.inputs = tuple(xs)
        given = {key: self._same(v, b.attrs.get(key), layer) for key, v in a.attrs.items()}
        op.attrs = {**_defaults(a.card), **given}
        hidden = getattr(a.card, "hidden", ())
        pairs = [pair for i, pair in enumerate(zip(a.outs, b.outs, strict=True)) if i not in hidden]
        while pairs[-1][0] is None:  # a gru has no cell state
            pairs.pop()
        op.outs = tuple(None if x is None else self._new((x, y), layer) for x, y in pairs)
        self.ops.append(op)

    def _input(self, x: Tensor, y: Tensor, layer: Any) -> Value:
        seen = self._seen((x, y))
        if seen is None and (_key(x) in self.known[0] or _key(y) in self.known[1]):
            raise self._differs(layer, "takes other values")
        return self._constant(x, y, layer) if seen is None else seen

    def _constant(self, x: Tensor, y: Tensor, layer: Any) -> Value:
        """Return a constant; of one with rows for every sample, which must be equal, one row."""
        if _key(x) in self.constants:
            return self.constants[_key(x)]
        a, b = x.view(), y.view()
        shape, axis = self._shape(x, y, layer)
        if axis is not None:
            row = a.take([0], axis)
            if not _equal(a, row):
                raise self._differs(layer, "has numbers that are not the same for every sample, or other ones")
            a, b = row, b.take([0], axis)
        if not _equal(a, b):
            raise self._differs(layer, "has other numbers from call to call, or")
        value = self.constants[_key(x)] = Value(a.shape, None, x.dtype, a.copy(), *self.owners.get(id(x.buffer), ()))
        if axis is not None:
            self.spread[value.number] = Value(shape, axis, x.dtype)
        return value

    def _whole(self, op: Op, x: Value) -> Value:
        """Return a constant with a row for every sample."""
        if x.number not in self.spread:
            return x
        wide = self.spread[x.number]
        if not any(wide in other.outs for other in self.ops):
            self.ops.append(op.like("expand", (x,), (wide,), shape=wide.shape))
        return wide

    def _seen(self, pair: tuple[Tensor, Tensor]) -> Value | None:
        """Return the value that both are, if they were there before."""
        one, two = (known.get(_key(t)) for t, known in zip(pair, self.known, strict=True))
        return one if one is two else None

    def _new(self, pair: tuple[Tensor, Tensor], layer: Any) -> Value:
        """Return the value of an input or a result."""
        shape, axis = self._shape(*pair, layer)
        value = Value(shape, axis, pair[0].dtype)
        for tensor, known in zip(pair, self.known, strict=True):
            known[_key(tensor)] = value
        return value

    def _shape(self, x: Tensor, y: Tensor, layer: Any) -> tuple[tuple[int, ...], int | None]:
        if x.ndim != y.ndim:
            raise self._differs(layer, "makes other shapes")
        moving = [i for i, (p, q) in enumerate(zip(x.shape, y.shape, strict=True)) if p != q]
        shape = tuple(self._same(p, q, layer) for p, q in zip(x.shape, y.shape, strict=True))
        if len(moving) > 1:
            raise self._differs(layer, f"makes {x.shape} of 2 samples and {y.shape} of 3, two sizes that change")
        return shape, moving[0] if moving else None

    def _same(self, a: Any, b: Any, layer: Any) -> Any:
        """Return an attribute for one sample."""
        if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
            parts = [self._same(p, q, layer) for p, q in zip(a, b, strict=True)]
            return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
        if a == b or (isinstance(a, float) and a != a and b != b):
            return a
        if isinstance(a, int) and isinstance(b, int) and not isinstance(a, bool) and a * 3 == b * 2 and a % 2 == 0:
            return a // 2
        raise self._differs(layer, f"computes with {a} for 2 samples and {b} for 3")


@functools.cache
def _defaults(card: Any) -> dict[str, Any]:
    """Return the attributes that a call need not give; those of a composite are all given."""
    parameters = inspect.signature(card.infer).parameters if isinstance(card, Card) else {}
    return {key: p.default for key, p in parameters.items() if p.default is not p.empty}


def _pairs(a: Entry, b: Entry) -> list[tuple[Any, Any]]:
    return list(zip(a.inputs, b.inputs, strict=True))


def _key(t: Tensor) -> tuple[int, tuple[int, ...]]:
    return id(t.buffer), t.shape


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    a, b = np.broadcast_arrays(a, b)
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))


def _block(x: Tensor, value: Value, row: int) -> np.ndarray:
    """Return the part of a value, of two samples, that belongs to one of them."""
    if value.axis is None:
        return x.view()
    return np.split(x.view(), 2, value.axis)[row]


def _check_sample(model: Any, run: Run, other: Run, kept: int, aligned: _Aligned, outputs: list[Value]) -> None:
    """Raise DataError if an output of a sample differs by a bit where only the other sample does."""
    if all(
        _equal(_block(x, value, kept), _block(y, value, kept))
        for x, y, value in zip(aligned._outs(run), aligned._outs(other), outputs, strict=True)
    ):
        return
    for a, b in zip(run.ops, other.ops, strict=False):
        for x, y in zip(a.outs, b.outs, strict=False):
            value = None if x is None else aligned.known[0].get(_key(x))
            if value is not None and not _equal(_block(x, value, kept), _block(y, value, kept)):
                raise DataError(
                    f"[export] {described(a.module or model)}: its op {a.card.name!r} mixes samples, and an exported "
                    "network computes each by itself. Nothing was written. help: reduce, sort and normalize along "
                    "other axes than the first, the batch."
                )
    raise DataError(f"[export] {described(model)} mixes samples. Nothing was written.")
