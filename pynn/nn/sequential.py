"""A chain of layers."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.checks import written
from pynn.core.context import training
from pynn.core.state import no_grad, state, trial
from pynn.core.tensor import Tensor
from pynn.errors import CaptureError, ShapeError
from pynn.io.config import encode
from pynn.io.fields import items, shape, table
from pynn.nn.layers import Input
from pynn.nn.module import Module, holders
from pynn.train.building import told_of_shape, unbuilt_if_it_fails

if TYPE_CHECKING:
    from pynn.nn.module import AnyModule

__all__ = ["Sequential"]


class Sequential(Module):
    """Layers one after the other.

    Parameters
    ----------
    layers : iterable of Module, default ()
        The first one may be an Input.
    name : str, optional
    seed : int, optional
        Seeds the initial weights; 0 by default.

    Raises
    ------
    TypeError
        If something else than layers is given, a class instead of an instance for example.
    ValueError
        If an Input is not the first, or not the only one.
    ShapeError
        If a layer does not fit the output of the one before, or the data are not what Input says.

    Examples
    --------
    >>> from pynn import nn
    >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(8, activation="tanh"), nn.Dense(3)])
    >>> model.layers[0].w.shape
    (4, 8)
    """

    _of_layers = True

    def __init__(self, layers: Iterable[Any] = (), *, name: str | None = None, seed: int | None = None):
        super().__init__(name, seed)
        self._input: tuple[int, ...] | None = None
        self._layers: list[Any] = []
        for layer in layers:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Append a layer (or, first, an Input)."""
        if state.recorder is not None:
            raise CaptureError(f"[{self.name}] a layer was added while a step was being recorded.")
        if isinstance(layer, Input):
            if self._layers or self._input is not None:
                raise ValueError("[sequential] Input must come first, and once.")
            self._input = layer.shape
            return
        if not isinstance(layer, Module):
            raise TypeError(
                f"[sequential] expected layers. Received: {written(layer)} of type {type(layer).__name__}."
                + (" help: write nn.Dense(...), an instance." if isinstance(layer, type) else "")
            )
        if layer not in self._layers:
            _name_apart(layer, [other.name for other in self._layers])
        self._layers.append(layer)
        holders[layer] = weakref.ref(self)
        self.built = False

    @property
    def layers(self) -> list[AnyModule]:
        """The layers; built, if the input's shape is known."""
        if not self.built and self._input is not None and state.recorder is None:
            self.build((1, *self._input))
        return list(self._layers)

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Build every layer for batches of a shape (the batch axis included; its size does not matter)."""
        if self.built:
            return
        with told_of_shape(input_shape), unbuilt_if_it_fails(self), no_grad(), training(False), trial():
            self.assign_seeds(self._seed[0])
            object.__setattr__(self, "_built_for", (1, *input_shape[1:]))
            object.__setattr__(self, "built", True)
            self.forward(self.example((1, *input_shape[1:])))

    def _build_now(self, xs: tuple[Any, ...]) -> None:
        self._check_shape(xs[0].shape, self.name)
        if self._seed is self._unseeded:  # inside another model, that model decided already
            self.assign_seeds(self._seed[0])
        object.__setattr__(self, "_built_for", xs[0].shape if self._input is None else (1, *self._input))
        object.__setattr__(self, "built", True)
        if self._built_for[1:] != xs[0].shape[1:]:  # Input says how large the weights are, not the first batch
            with no_grad(), training(False), trial():
                self.forward(self.example(self._built_for))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self._layers:
            x = layer(x)
        return x

    def check_inputs(self, xs: list[np.ndarray], place: str) -> None:
        """Refuse a data set of another shape than Input's, or with ids that the first layer cannot look up."""
        if len(xs) != 1:
            raise ShapeError(
                f"[{place}] expected one input, as Sequential has one. Received: {len(xs)}. "
                "help: nn.Model takes several inputs."
            )
        self._check_shape(xs[0].shape, place)
        if self._layers and hasattr(self._layers[0], "check_ids"):
            self._layers[0].check_ids(xs[0], place)

    def takes_bytes(self, i: int = 0) -> bool:
        """Tell what the first layer does."""
        return bool(self._layers) and self._layers[0].takes_bytes()

    def _check_shape(self, shape: tuple[int, ...], place: str) -> None:
        """Raise if a batch has another rank than Input said, or another last axis: layers judge those between."""
        if self._input is None or (len(shape) == len(self._input) + 1 and shape[1:][-1:] == self._input[-1:]):
            return
        if self._input[-1:] == (1,) and shape[1:] == self._input[:-1]:
            help = "x[..., None] adds the last axis."
        elif shape == self._input:
            help = "x[None] is a batch of one sample."
        elif len(self._input) == 1 and math.prod(shape[1:]) == self._input[0]:
            help = f"x.reshape(len(x), -1), or put nn.Input({shape[1:]}) and nn.Flatten() before Dense."
        elif len(shape) == 4 and (*shape[2:], shape[1]) == self._input:
            help = "channels stand last here: np.moveaxis(x, 1, -1)."
        elif len(shape) > 1:
            help = f"make it nn.Input({shape[1:]}), or give x as Input says."
        else:
            help = "a batch has an axis of samples first."
        wanted = "".join(f", {d}" for d in self._input)
        raise ShapeError(
            f"[{place}] expected inputs of shape (N{wanted}), as nn.Input says. Received: x.shape={shape}. help: {help}"
        )

    def _no_rows(self) -> list[Tensor]:
        return [self.example((0, *(self._built_for[1:] if self._input is None else self._input)))]

    def _declare(self, input_shape: tuple[int, ...]) -> None:
        pass

    def _record(self, scribe: Any, place: str) -> dict[str, Any]:
        if type(self) is not Sequential:  # a subclass has a constructor of its own
            return super()._record(scribe, place)
        return {
            "name": self.name,
            "seed": encode(self._given_seed, place),
            "input": None if self._input is None else list(self._input),
            "layers": [scribe.record(layer, f"{place}.layers[{i}]") for i, layer in enumerate(self._layers)],
        }

    @classmethod
    def _of_record(cls, assembler: Any, record: dict[str, Any], place: str) -> Any:
        if cls is not Sequential:
            return super()._of_record(assembler, record, place)
        table(record, {"class", "id", "name", "seed", "input", "layers"}, place)
        layers: list[Any] = [] if record["input"] is None else [Input(shape(record["input"], f"{place}.input"))]
        for i, item in enumerate(items(record["layers"], f"{place}.layers")):
            layers.append(assembler.module(item, f"{place}.layers[{i}]"))
        return assembler.made(cls, place, layers=layers, name=record["name"], seed=record["seed"])

    def _require_built(self, place: str) -> None:
        self.layers  # noqa: B018  (builds them if it can)
        super()._require_built(place)

    def named_parameters(self, trainable_only: bool = False) -> Iterator[tuple[str, Tensor]]:
        """Yield (path, tensor) of every weight; of a model that begins with Input, also before it is used."""
        self.layers  # noqa: B018
        return super().named_parameters(trainable_only)

    def __repr__(self) -> str:
        inside = "".join(f"\n  {layer!r}," for layer in self._layers)
        head = f"\n  Input({self._input})," if self._input else ""
        return f"Sequential([{head}{inside}\n])"


def _name_apart(layer: Module, taken: list[str]) -> None:
    base, k = layer.name, 0
    while layer.name in taken:
        k += 1
        object.__setattr__(layer, "name", f"{base}_{k}")
