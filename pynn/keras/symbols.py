"""Symbols: what layers return for inputs that have no values yet, the calls that made them, and their order."""

from __future__ import annotations

import contextlib
import itertools
import operator
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from pynn import ops
from pynn._blocks import Held
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import DataError, ShapeError, unknown_name
from pynn.train.own_steps import flat, mapped


class _Finders(threading.local):
    """Where calls that are under way find the values of symbols that they were not given, of this thread."""

    all: tuple[Any, ...] = ()


_finders = _Finders()


@contextlib.contextmanager
def known(find):
    """Let calls inside a ``with`` use symbols from outside, as functions use what stands around them."""
    before = _finders.all
    _finders.all = (find, *before)
    try:
        yield
    finally:
        _finders.all = before


def resolved(nested):
    """Return a structure with values in the place of those symbols that have one now."""
    return mapped(_resolved, nested) if _finders.all else nested


def _resolved(x):
    if isinstance(x, KerasTensor):
        for find in _finders.all:
            value = find(x)
            if value is not None:
                return value
    return x


class Untracked(RuntimeError):
    """A derivative of tensors is asked for where nobody keeps track of what they were computed from."""


class Call:
    """One call of a layer with symbols."""

    def __init__(self, layer, args, kwargs):
        self.layer, self.args, self.kwargs = layer, args, kwargs
        self.outputs = ()
        self.structure = None
        self.captured = []  # symbols that the layer took from around it

    @property
    def parents(self) -> list[KerasTensor]:
        """The symbols that it was given."""
        return [*symbols_in((self.args, self.kwargs)), *self.captured]

    @property
    def input(self):
        """What it was given first; of an input, its own symbol."""
        if not self.args and not self.kwargs:
            return self.structure
        return self.args[0] if self.args else next(iter(self.kwargs.values()))


class Nodes:
    """The calls of a layer; no part of what it computes with."""

    def __init__(self):
        self.calls = []

    def first(self, layer) -> Call:
        """Return the first call.

        Raises
        ------
        AttributeError
            If there was none with symbols.
        """
        if not self.calls:
            raise AttributeError(f"layer {layer.name!r} has never been called with an Input: it has no symbols.")
        return self.calls[0]


def symbols_in(nested) -> Iterator[KerasTensor]:
    """Yield the symbols in a structure."""
    return (x for x in flat(nested) if isinstance(x, KerasTensor))


_numbers = itertools.count()


class KerasTensor:
    """The output of a layer for an input that has no values yet.

    Parameters
    ----------
    shape : tuple of int or None
        With the batch; None for sizes that are not known.
    dtype : str, default "float32"
    sparse : bool, default False
        Refused.
    name : str, optional

    Examples
    --------
    >>> from pynn import keras
    >>> x = keras.Input((3,))
    >>> (x * 2 + 1).shape
    (None, 3)
    """

    lifted: Callable[..., Any]
    __array_priority__ = 1000
    __array_ufunc__ = None

    def __init__(self, shape, dtype="float32", sparse=False, name=None):
        self.shape = tuple(shape)
        self.dtype = str(dtype)
        self.name = name or "keras_tensor"
        self.masked = False
        self.call = None
        self.index = 0
        self.number = next(_numbers)

    @classmethod
    def of(cls, call: Call, index: int, one, two, _=None) -> KerasTensor:
        """Return the symbol of an output that was seen for two sizes of what is not known."""
        if not hasattr(one, "shape"):
            raise TypeError(
                f"[{call.layer.name}] expected tensors as outputs. Received: {type(one).__name__}. "
                "help: compute with the layer's inputs."
            )
        shape = tuple(a if a == b else None for a, b in zip(one.shape, two.shape, strict=True))
        made = cls(shape, np.dtype(one.dtype).name, name=call.layer.name)
        made.call, made.index = call, index
        made.masked = getattr(one, "lengths", None) is not None
        return made

    @property
    def ndim(self):
        """The number of axes."""
        return len(self.shape)

    rank = ndim

    @property
    def _keras_shape(self):
        return self.shape

    @property
    def _keras_history(self):
        return self.call.layer, 0, self.index

    def get_shape(self):
        """Return the shape."""
        return self.shape

    def set_shape(self, shape):
        """Say the shape where it is not known."""
        self.shape = tuple(a if b is None else b for a, b in zip(self.shape, shape, strict=True))

    def __repr__(self):
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def __len__(self):
        raise TypeError(f"{self!r} has no length: its rows are not known. help: x.shape gives the sizes.")

    def __iter__(self):
        if not self.shape or self.shape[0] is None:
            raise TypeError(f"{self!r} cannot be iterated over. help: x[:, i] takes parts of it.")
        return (self[i] for i in range(self.shape[0]))

    def __bool__(self):
        raise TypeError(f"{self!r} has no value yet: it cannot decide anything.")

    def stands_for(self):
        """Return the tensor that has the symbol's place in the call that is under way."""
        found = resolved(self)
        return found if isinstance(found, Tensor) else self.__array__()

    def __array__(self, *_, **__):
        raise TypeError(f"{self!r} has no values: NumPy cannot compute with it. help: keras.ops, or a Lambda layer.")


# What arithmetic with symbols is called in files of Keras 3.
RECORDED = {}


def _recorded(name, function):
    RECORDED[name] = function
    function.recorded = name  # type: ignore[attr-defined]
    return function


def _two(name, function):
    def two(a, b):
        return function(a, b)

    two.__name__ = name.lower()
    return _recorded(name, two)


_FILES = {
    "add": "Add", "sub": "Subtract", "mul": "Multiply", "truediv": "TrueDivide", "pow": "Power", "matmul": "Matmul",
    "lt": "Less", "le": "LessEqual", "gt": "Greater", "ge": "GreaterEqual",
}  # fmt: skip
for _name, _told in _FILES.items():
    _made = _two(_told, getattr(operator, _name))
    setattr(KerasTensor, f"__{_name}__", lambda self, other, f=_made: KerasTensor.lifted(f, self, other))
    if _name not in ("lt", "le", "gt", "ge"):
        setattr(KerasTensor, f"__r{_name}__", lambda self, other, f=_made: KerasTensor.lifted(f, other, self))


def _taken(x, key):
    return x[tuple(key) if isinstance(key, list) else key]


def _negative(x):
    return -x


def _absolute(x):
    return abs(x)


_taken.__name__, _negative.__name__, _absolute.__name__ = "get_item", "negative", "absolute"
for _name, _told, _made in (
    ("getitem", "GetItem", _taken), ("neg", "Negative", _negative), ("abs", "Absolute", _absolute)
):  # fmt: skip
    _recorded(_told, _made)
    setattr(KerasTensor, f"__{_name}__", lambda self, *rest, f=_made: KerasTensor.lifted(f, self, *rest))


def _tracked(x):
    if not isinstance(x, Tensor) or x.dtype.kind != "f":
        return x
    x = x.detach()
    x.requires_grad = True
    return x


class Graph:
    """What lies between inputs and outputs.

    Parameters
    ----------
    inputs : KerasTensor, or a list, tuple or dict of them
    outputs : the same

    Raises
    ------
    ValueError
        If an output needs an Input that is not among the inputs.
    """

    def __init__(self, inputs, outputs):
        self.given, self.structure = inputs, outputs
        self.inputs = list(flat(inputs))
        self.outputs = list(flat(outputs))
        for what, found in (("inputs", self.inputs), ("outputs", self.outputs)):
            for x in found:
                if not isinstance(x, KerasTensor):
                    raise TypeError(f"[model] expected {what} that are symbols. Received: {type(x).__name__}.")
        self.calls = []
        self._order()
        self.reads = [[c.layer for c in self.calls if any(x is p for p in c.parents)] for x in self.inputs]

    def _order(self):
        known = {id(x) for x in self.inputs}
        met = {}
        done = set()
        stack = [(x, False) for x in reversed(self.outputs)]
        finished = []
        while stack:
            symbol, left = stack.pop()
            call = symbol.call
            if left:
                if id(call) not in done:
                    done.add(id(call))
                    finished.append(call)
                continue
            if id(call) in done:
                continue
            met.setdefault(id(call.layer), len(met))
            if id(symbol) in known:
                continue
            if not call.parents and getattr(call.layer, "fixed", None) is None:
                raise ValueError(
                    f"[model] the outputs are not connected to the inputs alone: they need {symbol!r} too. "
                    "help: give every Input to Model(inputs=[...], outputs=...)."
                )
            stack.append((symbol, True))
            stack += [(p, False) for p in reversed(call.parents)]
        self.calls = finished
        depth = {}
        of_layer = {}
        layers = {}
        for call in reversed(finished):
            key = id(call.layer)
            layers[key] = call.layer
            depth[id(call)] = of_layer[key] = max(depth.get(id(call), 0), of_layer.get(key, 0))
            for p in call.parents:
                at = id(p.call)
                depth[at] = max(depth.get(at, 0), depth[id(call)] + 1)
        for x in self.inputs:
            key = id(x.call.layer)
            if key not in layers:
                layers[key] = x.call.layer
                of_layer[key] = depth.get(id(x.call), 0)
                met.setdefault(key, -1)
        self.layers = sorted(layers.values(), key=lambda layer: (-of_layer[id(layer)], met[id(layer)]))

    @property
    def input_names(self) -> list[str]:
        """What inputs are called: keys of a dict, or the names of the Inputs."""
        return list(self.given) if isinstance(self.given, Mapping) else [x.call.layer.name for x in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """What outputs are called: keys of a dict, or the names of the layers that return them, each once."""
        if isinstance(self.structure, Mapping):
            return list(self.structure)
        found = []
        for x in self.outputs:
            base, k = x.call.layer.name, 0
            name = base
            while name in found:
                k += 1
                name = f"{base}_{k}"
            found.append(name)
        return found

    def in_order(self, given, place: str) -> list[Any]:
        """Return values for the inputs in their order, of a dict, a list or one value."""
        if isinstance(given, Mapping):
            names = self.input_names
            own = [x.call.layer.name for x in self.inputs]
            for key in given:
                if key not in names and key not in own:
                    raise DataError(f"[{place}] {unknown_name('input', key, names)}")
            found = [given.get(name, given.get(other)) for name, other in zip(names, own, strict=True)]
            for name, value in zip(names, found, strict=True):
                if value is None:
                    raise DataError(f"[{place}] expected an array for each of the inputs {', '.join(names)}. "
                                    f"Received: none for {name!r}.")  # fmt: skip
            return found
        values = list(flat(given)) if isinstance(given, (list, tuple)) else [given]
        if len(values) != len(self.inputs):
            raise ShapeError(f"[{place}] expected {len(self.inputs)} inputs. Received: {len(values)}.")
        return values

    def run(self, given, name: str):
        """Compute the outputs for tensors."""
        try:
            return self._run(given, name)
        except Untracked:  # once more, with the graph of the computation
            given = mapped(_tracked, given)
        with Held(state, grad_enabled=True):
            found = self._run(given, name)
        return mapped(lambda x: x.detach() if isinstance(x, Tensor) else x, found)

    def _run(self, given, name: str):
        values = {}
        for i, (x, t) in enumerate(zip(self.inputs, self.in_order(given, name), strict=True)):
            values[id(x)] = self._fitted(i, x, t)
        for call in self.calls:
            args, kwargs = (mapped(lambda v: values.get(id(v), v), part) for part in (call.args, call.kwargs))
            with known(lambda x: values.get(id(x))) if call.captured else contextlib.nullcontext():
                out = call.layer(*args, **kwargs)
            values.update((id(s), t) for s, t in zip(call.outputs, flat(out), strict=True))
        return mapped(lambda x: values[id(x)], self.structure)

    def _fitted(self, i, x, t):
        if not isinstance(t, Tensor):
            return t
        if t.ndim == len(x.shape) - 1 and x.shape[-1] == 1:
            t = ops.reshape(t, (*t.shape, 1))
        if t.ndim == len(x.shape) + 1 and t.shape[-1] == 1 and len(x.shape) > 1 and x.shape[-1] != 1:
            t = ops.reshape(t, t.shape[:-1])
        wanted = np.dtype(x.dtype).kind if x.dtype != "string" else "f"
        if t.dtype.kind == "f" and wanted == "i":
            return t.astype("int32")
        if t.dtype.kind in "iub" and wanted == "f" and not any(layer.takes_integers for layer in self.reads[i]):
            return t.astype(self.reads[i][0].dtype if self.reads[i] else "float32")
        return t

    def check(self, xs: list[np.ndarray], place: str):
        """Refuse arrays of other shapes than the inputs', or with ids that a layer cannot look up."""
        if len(xs) != len(self.inputs):
            raise ShapeError(f"[{place}] expected {len(self.inputs)} inputs. Received: {len(xs)}.")
        for i, (x, a) in enumerate(zip(self.inputs, xs, strict=True)):
            wanted = x.shape[1:]
            came = a.shape[1:]
            short = len(came) < len(wanted) and wanted[-1] == 1
            long = len(came) > len(wanted) and came[-1] == 1
            cut, fit = (came if not long else came[:-1]), (wanted if not short else wanted[:-1])
            if len(cut) != len(fit) or any(w is not None and w != d for w, d in zip(fit, cut, strict=True)):
                shown = ", ".join("?" if d is None else str(d) for d in wanted)
                raise ShapeError(
                    f"[{place}] expected input {self.input_names[i]!r} of shape (N, {shown}). Received: {a.shape}."
                )
            for layer in self.reads[i]:
                if hasattr(layer, "check_ids") and a.dtype.kind in "iu":
                    layer.check_ids(a, place)
