"""Networks with branches, written as calls of layers."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.core.context import training
from pynn.core.state import no_grad, state, trial
from pynn.core.tensor import Tensor
from pynn.errors import DataError, DTypeError, ShapeError
from pynn.io import fields
from pynn.io.config import encode
from pynn.nn.layers import Input
from pynn.nn.module import Module, holders
from pynn.nn.sequential import _name_apart
from pynn.nn.symbol import Symbol, spread
from pynn.train.building import unbuilt_if_it_fails
from pynn.train.data import by_input

if TYPE_CHECKING:
    from pynn.nn.module import AnyModule

__all__ = ["Model"]


@dataclass(frozen=True)
class _Step:
    """One call of a layer. Values are numbered: first the inputs, then the results of the steps."""

    module: Any
    inputs: tuple[int | None, ...]
    done: tuple[int, ...]  # what no later step reads
    training: bool | None = None  # False if the call said so; None as the call of the whole model


class Model(Module):
    """A network that is written as calls of layers, from one or more Inputs to one or more outputs.

    A layer that is called with an :class:`Input`, or with what another layer made of one, returns a symbol; Model
    follows the outputs' symbols back to the inputs. A layer that is called at several places shares its weights.

    Parameters
    ----------
    inputs : Input, sequence of Input, or dict of str to Input
        Data are given in this order, as a tuple of arrays if there are several; or as a dict of arrays by the Inputs'
        names. The keys of a dict are names of Inputs that have none.
    outputs : symbol, sequence of symbols, or dict of str to symbol
        What layers returned. Of several, the model returns a list or a dict; each is trained with a loss of its own,
        which is found by its name: the key, or the name of the layer.
    name : str, optional
    seed : int, optional
        Seeds the initial weights; 0 by default.

    Raises
    ------
    TypeError
        If something else than Inputs and a layer's output is given.
    ValueError
        If an output needs an Input that is not given, or if an Input is not used.

    Examples
    --------
    >>> from pynn import nn
    >>> image = nn.Input((28, 28, 1))
    >>> fine = nn.Conv2D(8, 3, padding="same", activation="relu")(image)
    >>> coarse = nn.Conv2D(8, 7, padding="same", activation="relu")(image)
    >>> both = nn.GlobalAvgPool()(nn.Concatenate()([fine, coarse]))
    >>> model = nn.Model(image, nn.Dense(10)(both))
    >>> [layer.name for layer in model.layers]
    ['conv2d', 'conv2d_1', 'concatenate', 'globalavgpool', 'dense']
    >>> model.count_parameters()
    650

    Two outputs, each with a loss:

    >>> size, kind = nn.Dense(1, name="size")(both), nn.Dense(10, name="kind")(both)
    >>> two = nn.Model(image, [size, kind])
    >>> two.compile(loss={"size": "mse", "kind": "cross_entropy"}, loss_weights={"size": 0.1})
    >>> two.output_names
    ['size', 'kind']
    """

    _of_layers = True

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, *, seed: int | None = None):
        super().__init__(name, seed)
        given, self._input_names = _inputs(inputs)
        self._shapes = [x.shape for x in given]
        ends, self._form = _outputs(outputs)
        self._plan, self._ends = _plan(given, ends)
        self._layers: list[Any] = []
        for step in self._plan:
            if not any(step.module is layer for layer in self._layers):
                _name_apart(step.module, [other.name for other in self._layers])
                self._layers.append(step.module)
                holders[step.module] = weakref.ref(self)

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """The shape of a sample of each input."""
        return list(self._shapes)

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs: those of the Inputs, or input_1, input_2 ..."""
        return list(self._input_names)

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs: the keys that were given, or the names of the layers that return them."""
        if isinstance(self._form, list):
            return list(self._form)
        found: list[str] = []
        for end in self._ends:
            name, k = self._plan[end - len(self._shapes)].module.name, 0
            while (numbered := f"{name}_{k}" if k else name) in found:
                k += 1
            found.append(numbered)
        return found

    @property
    def layers(self) -> list[AnyModule]:
        """The layers, built, in the order of their first calls."""
        self._build_unless_recording()
        return list(self._layers)

    def build(self, input_shape: Any = None) -> None:
        """Build every layer; the Inputs say for which shapes."""
        if self.built:
            return
        with unbuilt_if_it_fails(self), no_grad(), training(False), trial():
            self._build_now(())
            self.forward(*self.examples())

    def examples(self) -> list[Tensor]:
        """Return inputs of zeros for one sample, of the dtypes that the model takes."""
        return [
            Tensor.state(np.zeros((1, *shape), np.int32 if self._looked_up(i) else self.dtype))
            for i, shape in enumerate(self._shapes)
        ]

    if not TYPE_CHECKING:  # which know what Module says

        def __call__(self, *inputs: Any, training: bool | None = None) -> Any:
            """Compute the output for a batch of every input; see :class:`Module`."""
            if len(inputs) == 1 and isinstance(inputs[0], Mapping):
                given = by_input(inputs[0], self, self.name)
                inputs = given if isinstance(given, tuple) else (given,)
            return super().__call__(*spread(inputs), training=training)

    def forward(self, *inputs: Tensor) -> Any:
        self._check_shapes(inputs, self.name)
        values: dict[int, Any] = dict(enumerate(inputs))
        found: dict[int, Tensor] = {}
        for i, step in enumerate(self._plan, start=len(inputs)):
            y = step.module(*(None if k is None else values[k] for k in step.inputs), training=step.training)
            if not isinstance(y, Tensor):
                raise TypeError(
                    f"[{self.name}] expected layers that return one tensor. "
                    f"Received: {type(y).__name__} from layer {step.module.name!r}."
                )
            values[i] = y
            if i in self._ends:
                found[i] = y
            for k in step.done:
                del values[k]
        if self._form is None:
            return y
        ends = [found[end] for end in self._ends]
        return dict(zip(self._form, ends, strict=True)) if isinstance(self._form, list) else ends

    def check_inputs(self, xs: list[np.ndarray], place: str) -> None:
        """Refuse a data set of other shapes than the Inputs', or with ids that a layer cannot look up."""
        self._check_shapes(xs, place)
        for i, x in enumerate(xs):
            if self.takes_integers and x.dtype.kind == "i" and not self._looked_up(i):
                raise DTypeError(
                    f"[{place}] expected floating-point numbers for input {i}, as another one is looked up. "
                    f"Received: dtype={x.dtype}. help: x.astype('float32'), and / 255 for images."
                )
            for step in self._plan:
                if i in step.inputs and hasattr(step.module, "check_ids"):
                    step.module.check_ids(x, place)

    def takes_bytes(self, i: int = 0) -> bool:
        """Tell whether all layers that read an input take bytes as numbers."""
        readers = [step.module.takes_bytes(step.inputs.index(i)) for step in self._plan if i in step.inputs]
        return bool(readers) and all(readers)

    def _looked_up(self, i: int) -> bool:
        return any(i in step.inputs and step.module.takes_integers for step in self._plan)

    def _check_shapes(self, xs: Sequence[Any], place: str) -> None:
        """Raise if an input has another rank than Input said, or another last axis: layers judge those between."""
        if len(xs) != len(self._shapes):
            raise ShapeError(
                f"[{place}] expected {len(self._shapes)} inputs. Received: {len(xs)}. "
                "help: give the inputs as a tuple of arrays, in the order of Model(inputs, ...)."
            )
        for i, (x, shape) in enumerate(zip(xs, self._shapes, strict=True)):
            ids = len(shape) > 0 and self._looked_up(i)  # whose last axis is that of steps
            if x is None or len(x.shape) != len(shape) + 1 or (x.shape[-1:] != shape[-1:] and shape and not ids):
                hint = ""
                if x is not None and shape[-1:] == (1,) and x.shape[1:] == shape[:-1]:
                    hint = " help: add the axis of channels with x[..., None]."
                raise ShapeError(
                    f"[{place}] expected input {i} of shape (N, {', '.join(map(str, shape))}). "
                    f"Received: {None if x is None else x.shape}.{hint}"
                )

    def _build_now(self, xs: tuple[Any, ...]) -> None:
        if self._seed is self._unseeded:  # inside another model, that model decided already
            self.assign_seeds(self._seed[0])
        object.__setattr__(self, "built", True)

    def _build_unless_recording(self) -> None:
        if not self.built and state.recorder is None:
            self.build()

    def _no_rows(self) -> list[Tensor]:
        return [
            Tensor.state(np.zeros((0, *shape), np.int32 if self._looked_up(i) else self.dtype))
            for i, shape in enumerate(self._shapes)
        ]

    def _declare(self, input_shape: tuple[int, ...]) -> None:
        pass

    def _record(self, scribe: Any, place: str) -> dict[str, Any]:
        if type(self) is not Model:  # a subclass has a constructor of its own
            return super()._record(scribe, place)
        return {
            "name": self.name,
            "seed": encode(self._given_seed, place),
            "inputs": [list(shape) for shape in self._shapes],
            **self._names_and_ends(),
            "calls": [
                {"layer": scribe.record(step.module, f"{place}.{step.module.name}"), "inputs": list(step.inputs)}
                | ({} if step.training is None else {"training": step.training})
                for step in self._plan
            ],
        }

    def _names_and_ends(self) -> dict[str, Any]:
        """Return what a record has of a model with named inputs or several outputs."""
        found: dict[str, Any] = {}
        if self._input_names != _numbered(len(self._shapes)):
            found["input_names"] = self.input_names
        if self._form is not None:
            found["outputs"] = [self._ends, self._form if isinstance(self._form, list) else None]
        return found

    @classmethod
    def _of_record(cls, assembler: Any, record: dict[str, Any], place: str) -> Any:
        if cls is not Model:
            return super()._of_record(assembler, record, place)
        more = set(record) & {"input_names", "outputs"}
        fields.table(record, {"class", "id", "name", "seed", "inputs", "calls"} | more, place)
        shapes = fields.items(record["inputs"], f"{place}.inputs")
        names = fields.items(record.get("input_names", [None] * len(shapes)), f"{place}.input_names")
        if len(names) != len(shapes):
            raise DataError(f"[load] {place}.input_names: expected a name for each input.")
        inputs = [
            assembler.made(Input, f"{place}.inputs[{i}]", fields.shape(s, f"{place}.inputs[{i}]"), name=name)
            for i, (s, name) in enumerate(zip(shapes, names, strict=True))
        ]
        values: list[Symbol] = list(inputs)
        for i, item in enumerate(fields.items(record["calls"], f"{place}.calls")):
            here = f"{place}.calls[{i}]"
            said = {"training"} if isinstance(item, dict) and "training" in item else set()
            call = fields.table(item, {"layer", "inputs"} | said, here)
            if said and call["training"] is not False:
                raise DataError(f"[load] {here}.training: expected false. Received: {str(call['training'])[:60]}.")
            layer = assembler.module(call["layer"], here)
            slots = fields.items(call["inputs"], f"{here}.inputs")
            if not slots or not all(s is None or (type(s) is int and 0 <= s < len(values)) for s in slots):
                raise DataError(f"[load] {here}: expected inputs that come before it. Received: {str(slots)[:60]}.")
            given = [None if s is None else values[s] for s in slots]
            values.append(Symbol(layer, given, call.get("training")))
        ends: Any = values[-1]
        if "outputs" in record:
            ends = _ends_of(record["outputs"], values, len(inputs), f"{place}.outputs")
        model = assembler.made(cls, place, inputs=inputs, outputs=ends, name=record["name"], seed=record["seed"])
        if len(model._plan) != len(values) - len(inputs):
            raise DataError(f"[load] {place}.calls: expected that the output needs every call.")
        return model

    def _require_built(self, place: str) -> None:
        self._build_unless_recording()
        super()._require_built(place)

    def count_parameters(self) -> int:
        self._build_unless_recording()
        return super().count_parameters()

    def __repr__(self) -> str:
        inside = "".join(f"\n  {layer!r}," for layer in self._layers)
        heads = "".join(f"\n  Input({shape})," for shape in self._shapes)
        return f"Model([{heads}{inside}\n])"


def _named(x: Any) -> str:
    return repr(x) if isinstance(x, Symbol) else f"a value of type {type(x).__name__}"


def _numbered(count: int) -> list[str]:
    return [f"input_{i + 1}" for i in range(count)]


def _ends_of(told: Any, values: list[Symbol], inputs: int, place: str) -> Any:
    """Return the symbols that a record says are the outputs, in a list or a dict."""
    ends, names = told if isinstance(told, list) and len(told) == 2 else (None, None)
    slots = fields.items(ends, place)
    if not slots or not all(type(slot) is int and inputs <= slot < len(values) for slot in slots):
        raise DataError(f"[load] {place}: expected outputs of calls. Received: {str(slots)[:60]}.")
    found = [values[slot] for slot in slots]
    if names is None:
        return found
    if not (isinstance(names, list) and len(names) == len(found) and all(isinstance(n, str) for n in names)):
        raise DataError(f"[load] {place}: expected a name for each output.")
    return dict(zip(names, found, strict=True))


def _inputs(inputs: Any) -> tuple[list[Input], list[str]]:
    """Return the Inputs, and what each is called."""
    keys = list(inputs) if isinstance(inputs, Mapping) else None
    given = list(inputs.values() if keys is not None else inputs if isinstance(inputs, (list, tuple)) else [inputs])
    for x in given:
        if not isinstance(x, Input):
            raise TypeError(
                f"[model] expected inputs made by nn.Input. Received: {_named(x)}."
                + (" help: a model begins at its Inputs, not in the middle." if isinstance(x, Symbol) else "")
            )
    if not given:
        raise ValueError("[model] expected at least one input. Received: none.")
    if len({id(x) for x in given}) < len(given):
        raise ValueError(f"[model] expected every Input once. Received: {given}.")
    names = [x.name for x in given]
    if keys is not None:
        names = [key if name is None else name for key, name in zip(keys, names, strict=True)]
    found = [other if name is None else name for name, other in zip(names, _numbered(len(given)), strict=True)]
    if len(set(found)) < len(found):
        raise ValueError(f"[model] expected Inputs of different names. Received: {', '.join(found)}.")
    return given, found


def _outputs(outputs: Any) -> tuple[list[Symbol], Any]:
    """Return the symbols of the outputs, and in what they are returned: None for one, names for a dict, else ()."""
    form: Any = ()
    if isinstance(outputs, Mapping):
        form, given = list(map(str, outputs)), list(outputs.values())
    else:
        given = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        form = None if len(given) == 1 else ()
    if not given:
        raise ValueError("[model] expected at least one output. Received: none.")
    for x in given:
        if not isinstance(x, Symbol) or isinstance(x, Input):
            raise TypeError(
                f"[model] expected outputs to be what a layer returned for an Input. Received: {_named(x)}."
            )
    return given, form


def _plan(inputs: list[Input], outputs: list[Symbol]) -> tuple[list[_Step], list[int]]:
    """Return the calls that the outputs need, in the order in which they were written, and where the outputs are."""
    found: dict[int, Symbol] = {}
    stack = list(outputs)
    while stack:
        symbol = stack.pop()
        if symbol.number not in found:
            found[symbol.number] = symbol
            stack += [x for x in symbol.inputs if x is not None]
    own = {x.number for x in inputs}
    missing = [x for x in found.values() if isinstance(x, Input) and x.number not in own]
    if missing:
        raise ValueError(
            f"[model] the output is not connected to the inputs alone: it needs {missing[0]} too. "
            "help: pass every Input that was used, Model([a, b], output)."
        )
    for i, x in enumerate(inputs):
        if x.number not in found:
            raise ValueError(
                f"[model] the output does not depend on inputs[{i}], {x}. help: leave it out, or use it in a layer."
            )
    calls = [found[number] for number in sorted(found) if number not in own]
    slots = {x.number: i for i, x in enumerate([*inputs, *calls])}
    last: dict[int, int] = {}
    for k, call in enumerate(calls):
        last.update({slots[x.number]: k for x in call.inputs if x is not None})
    steps = [
        _Step(
            call.module,
            tuple(None if x is None else slots[x.number] for x in call.inputs),
            tuple(slot for slot, at in last.items() if at == k),
            call.training,
        )
        for k, call in enumerate(calls)
    ]
    return steps, [slots[output.number] for output in outputs]
