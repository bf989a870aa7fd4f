"""Networks with branches, written as calls of layers."""

from __future__ import annotations

from collections.abc import Sequence
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
from pynn.nn.module import Module
from pynn.nn.sequential import _name_apart
from pynn.nn.symbol import Symbol, spread
from pynn.train.building import unbuilt_if_it_fails

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
    """A network that is written as calls of layers, from one or more Inputs to one output.

    A layer that is called with an :class:`Input`, or with what another layer made of one, returns a symbol; Model
    follows the output's symbol back to the inputs. A layer that is called at several places shares its weights.

    Parameters
    ----------
    inputs : Input or sequence of Input
        Data are given in this order, as a tuple of arrays if there are several.
    outputs : symbol
        What a layer returned (or a list of one).
    name : str, optional
    seed : int, default 0
        Seeds the initial weights.

    Raises
    ------
    TypeError
        If something else than Inputs and a layer's output is given.
    ValueError
        If there is not exactly one output, if it needs an Input that is not given, or if an Input is not used.

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
    """

    _of_layers = True

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, *, seed: int | None = None):
        super().__init__(name, seed)
        given = _inputs(inputs)
        self._shapes = [x.shape for x in given]
        self._plan = _plan(given, _output(outputs))
        self._layers: list[Any] = []
        for step in self._plan:
            if not any(step.module is layer for layer in self._layers):
                _name_apart(step.module, [other.name for other in self._layers])
                self._layers.append(step.module)

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """The shape of a sample of each input."""
        return list(self._shapes)

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
            return super().__call__(*spread(inputs), training=training)

    def forward(self, *inputs: Tensor) -> Tensor:
        self._check_shapes(inputs, self.name)
        values: dict[int, Any] = dict(enumerate(inputs))
        for i, step in enumerate(self._plan, start=len(inputs)):
            y = step.module(*(None if k is None else values[k] for k in step.inputs), training=step.training)
            if not isinstance(y, Tensor):
                raise TypeError(
                    f"[{self.name}] expected layers that return one tensor. "
                    f"Received: {type(y).__name__} from layer {step.module.name!r}."
                )
            values[i] = y
            for k in step.done:
                del values[k]
        return y

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
        if len(xs) != len(self._shapes):
            raise ShapeError(
                f"[{place}] expected {len(self._shapes)} inputs. Received: {len(xs)}. "
                "help: give the inputs as a tuple of arrays, in the order of Model(inputs, ...)."
            )
        for i, (x, shape) in enumerate(zip(xs, self._shapes, strict=True)):
            if x is None or x.shape[1:] != shape:
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
            "calls": [
                {"layer": scribe.record(step.module, f"{place}.{step.module.name}"), "inputs": list(step.inputs)}
                | ({} if step.training is None else {"training": step.training})
                for step in self._plan
            ],
        }

    @classmethod
    def _of_record(cls, assembler: Any, record: dict[str, Any], place: str) -> Any:
        if cls is not Model:
            return super()._of_record(assembler, record, place)
        fields.table(record, {"class", "id", "name", "seed", "inputs", "calls"}, place)
        shapes = fields.items(record["inputs"], f"{place}.inputs")
        inputs = [Input(fields.shape(shape, f"{place}.inputs[{i}]")) for i, shape in enumerate(shapes)]
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
            found = [None if s is None else values[s] for s in slots]
            values.append(Symbol(layer, found, call.get("training")))
        model = assembler.made(cls, place, inputs=inputs, outputs=values[-1], name=record["name"], seed=record["seed"])
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


def _inputs(inputs: Any) -> list[Input]:
    given = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
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
    return given


def _output(outputs: Any) -> Symbol:
    given = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    if len(given) != 1:
        raise ValueError(
            f"[model] expected exactly one output. Received: {len(given) or 'none'}. "
            "help: join outputs with nn.Concatenate, or make a model of each; they share their layers."
        )
    if not isinstance(given[0], Symbol) or isinstance(given[0], Input):
        raise TypeError(
            f"[model] expected outputs to be what a layer returned for an Input. Received: {_named(given[0])}."
        )
    return given[0]


def _plan(inputs: list[Input], output: Symbol) -> list[_Step]:
    """Return the calls that the output needs, in the order in which they were written."""
    found: dict[int, Symbol] = {}
    stack = [output]
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
    return [
        _Step(
            call.module,
            tuple(None if x is None else slots[x.number] for x in call.inputs),
            tuple(slot for slot, at in last.items() if at == k),
            call.training,
        )
        for k, call in enumerate(calls)
    ]
