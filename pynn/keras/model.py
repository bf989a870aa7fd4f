"""Models: functions of symbols, or classes of one's own with call()."""

from __future__ import annotations

import functools
import inspect
import json
from typing import Any

import numpy as np

from pynn import keras
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import unknown_name
from pynn.keras.graph import Graph
from pynn.keras.layer import KerasTensor, Layer, mapped_shapes
from pynn.keras.missing import used_by
from pynn.keras.summary import printed
from pynn.keras.training import Training
from pynn.keras.tree import flat, mapped, unique_name

__all__ = ["Model"]


class Model(Training, Layer):
    """Layers between inputs and outputs, or a class of one's own whose call() uses layers.

    Parameters
    ----------
    **kwargs : object
        ``inputs``, ``outputs`` and ``name``, also by position; a class of one's own takes none but the name.

    Examples
    --------
    >>> from pynn import keras
    >>> x = keras.Input((4,))
    >>> model = keras.Model(x, keras.layers.Dense(3)(x))
    >>> model.output_shape, model.count_params()
    ((None, 3), 15)
    """

    _unwatched = frozenset(
        {"_graph", "_loss_graph", "history", "_compiled_with", "_flags", "_extra_losses", "_input_keys"}
    )
    _of_layers = True
    _reads_lengths = True
    _graph: Graph | None = None
    _loss_graph: Graph | None = None  # with the terms that add_loss() was given
    _input_keys: tuple[str, ...] | None = None

    def __init__(self, *args, **kwargs):
        old = {"input": "inputs", "output": "outputs"}
        kwargs = {old.get(key, key): value for key, value in kwargs.items()}
        kwargs.update(zip(("inputs", "outputs", "name"), args, strict=False))
        inputs, outputs = kwargs.pop("inputs", None), kwargs.pop("outputs", None)
        if kwargs.get("name") is None and type(self) is Model and inputs is not None:
            kwargs["name"] = unique_name("functional")
        super().__init__(**kwargs)
        self._layers: list[Any] = []
        if outputs is not None:
            self._use(Graph(inputs, outputs))

    def _use(self, graph: Graph) -> None:
        object.__setattr__(self, "_graph", graph)
        self._layers = list(graph.layers)
        self.built = all(layer.built for layer in self._layers)
        if graph.inputs:
            object.__setattr__(self, "_built_for", tuple(1 if d is None else d for d in graph.inputs[0].shape))

    def call(self, inputs, training=None, mask=None):
        """Compute the outputs."""
        if self._graph is None:
            raise NotImplementedError(f"[{self.name}] write call(self, inputs) in class {type(self).__name__}.")
        if self._loss_graph is None or state.losses is None:
            return self._graph.run(inputs, self.name)
        out, *terms = self._loss_graph.run(inputs, self.name)
        for term in terms:
            super().add_loss(term)
        return out

    def add_loss(self, loss, inputs=None):
        """Add a term to what is minimized: a tensor computed in call(), or a symbol computed from the inputs."""
        terms = [term for term in flat(loss) if isinstance(term, KerasTensor)]
        if not terms:
            super().add_loss(loss)
            return
        graph = self._need_graph("symbols")
        before = () if self._loss_graph is None else self._loss_graph.structure[1:]
        made = Graph(graph.given, [graph.structure, *before, *terms])
        object.__setattr__(self, "_loss_graph", made)
        self._layers += [layer for layer in made.layers if not any(layer is own for own in self._layers)]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs, or return symbols of them for symbols."""
        if len(args) > 1 and all(isinstance(x, Tensor) for x in args) and _one_input(type(self)):
            keys = self._input_keys
            args = (list(args) if keys is None else dict(zip(keys, args, strict=True)),)
        elif args and isinstance(args[0], Tensor) and self._input_keys is not None and self._graph is None:
            args = ({self._input_keys[0]: args[0]}, *args[1:])
        return super().__call__(*args, **kwargs)

    def _build_now(self, xs: tuple[Any, ...]) -> None:
        if type(self).build is Model.build:  # call() builds what it uses
            first = next((tuple(x.shape) for x in flat(xs) if isinstance(x, Tensor)), ())
            object.__setattr__(self, "_built_for", first)
            object.__setattr__(self, "built", True)
        else:
            super()._build_now(xs)

    def build(self, input_shape=None):
        """Build every layer for inputs of a shape."""
        if self._graph is None and input_shape is not None and not self.built:
            symbols = mapped_shapes(lambda shape: KerasTensor(shape), input_shape)
            self._symbolic((symbols,), {}, note=False)

    # What fit and predict ask

    def check_inputs(self, xs: list[np.ndarray], place: str) -> None:
        """Refuse a data set that does not fit the inputs."""
        if self._graph is not None:
            self._graph.check(xs, place)

    def __getattr__(self, key: str) -> Any:
        graph = self.__dict__.get("_graph")
        if graph is not None:
            if key == "input_shapes":
                return [x.shape[1:] for x in graph.inputs]
            if key in ("input_names", "output_names"):
                return getattr(graph, key)
        return super().__getattr__(key)

    def _no_rows(self) -> list[Tensor]:
        if self._graph is None:
            return super()._no_rows()
        kinds = [np.int32 if any(r.takes_integers for r in self._graph.reads[i]) else self.dtype
                 for i in range(len(self._graph.inputs))]  # fmt: skip
        shapes = [tuple(8 if d is None else d for d in x.shape[1:]) for x in self._graph.inputs]
        return [Tensor.state(np.zeros((0, *s), kind)) for s, kind in zip(shapes, kinds, strict=True)]

    # What people ask of a model

    @property
    def layers(self):
        """The layers, in Keras's order; Inputs among them."""
        if self._graph is not None:
            return list(self._layers)
        found: dict[int, Any] = {}
        for _, child in self.children():
            if isinstance(child, Layer):
                found.setdefault(id(child), child)
        return list(found.values())

    def _need_graph(self, what: str) -> Graph:
        if self._graph is None:
            raise AttributeError(
                f"[{self.name}] a model of one's own class has no {what}: it is known to call() alone."
            )
        return self._graph

    @property
    def inputs(self):
        """The symbols of the inputs."""
        return list(self._need_graph("inputs").inputs)

    @property
    def outputs(self):
        """The symbols of the outputs."""
        return list(self._need_graph("outputs").outputs)

    @property
    def input(self):
        """The symbol of the input, or all of them."""
        given = self._need_graph("input").given
        return given[0] if isinstance(given, (list, tuple)) and len(given) == 1 else given

    @property
    def output(self):
        """The symbol of the output, or all of them."""
        structure = self._need_graph("output").structure
        return structure[0] if isinstance(structure, (list, tuple)) and len(structure) == 1 else structure

    @property
    def input_shape(self):
        """The shape of the input, or of each."""
        return mapped(lambda t: t.shape, self.input)

    @property
    def output_shape(self):
        """The shape of the output, or of each."""
        return mapped(lambda t: t.shape, self.output)

    def get_layer(self, name=None, index=None):
        """Return a layer by name or by index.

        Raises
        ------
        ValueError
            If there is none; the message gives the nearest name.
        """
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"[get_layer] expected an index below {len(layers)}. Received: {index}.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(
            f"[get_layer] {unknown_name('layer', name, [layer.name for layer in layers])[:-1]}{used_by()}."
        )

    def summary(self, line_length=None, positions=None, print_fn=None, expand_nested=False, show_trainable=False,
                layer_range=None):  # fmt: skip
        """Print the layers with their output shapes and weights."""
        if not self.built and self._graph is None:
            raise ValueError(
                f"[summary] the model {self.name!r} is not built: the input's shape is not known yet. "
                "help: call build(input_shape), or fit, first."
            )
        printed(self, line_length, print_fn, expand_nested, show_trainable)

    def reset_states(self):
        """Set the states of stateful layers back to zero."""
        for module in self.modules():
            states = getattr(type(module), "reset_states", None)
            if states is not None and states is not Model.reset_states:
                module.reset_states()

    reset_state = reset_states

    def save(self, filepath, overwrite=True, include_optimizer=True, zipped=None, save_format=None, **kwargs):
        """Write the model into a .keras or an .h5 file."""
        keras.saving.save(self, filepath, overwrite, include_optimizer, save_format)

    def save_weights(self, filepath, overwrite=True, save_format=None, **kwargs):
        """Write the weights into a .weights.h5 or .h5 file."""
        keras.saving.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath, skip_mismatch=False, by_name=False, **options):
        """Read weights from a file that save_weights or Keras wrote."""
        keras.saving.load_weights(self, filepath, by_name=by_name, skip_mismatch=skip_mismatch)

    def to_json(self, **kwargs):
        """Return the architecture as JSON."""
        return json.dumps({**keras.serial.serialized(self), "keras_version": "3.12.0", "backend": "pynn"}, **kwargs)

    def get_config(self):
        """Return the architecture, as plain data."""
        if self._graph is None or not _is_plain(type(self)):
            return super().get_config()
        return keras.records.graph_config(self)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return the model of an architecture."""
        if "layers" in config and "output_layers" in config:
            return keras.records.graph_of(cls, config, custom_objects)
        return cls(**{key: value for key, value in config.items() if key not in ("dtype",)})

    def __reduce__(self) -> tuple[Any, ...]:
        if self._graph is None and not hasattr(self, "_chain"):
            return super().__reduce__()
        config, weights = self.get_config(), self.get_weights() if self.built else None
        return rebuilt, (type(self), config, weights, self._compiled_with)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def rebuilt(cls: Any, config: Any, weights: Any, told: Any) -> Any:
    """Return a copy of a model, of its architecture and weights; its training begins anew."""
    model = cls.from_config(config)
    if weights is not None:
        model.set_weights(weights)
    if told is not None:
        model.compile(**told)
    return model


def _is_plain(cls: type) -> bool:
    return cls.__module__.startswith("pynn.keras.")


@functools.cache
def _one_input(cls: Any) -> bool:
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    own = [p for p in list(inspect.signature(cls.call).parameters.values())[1:] if p.kind in kinds]
    return len([p for p in own if p.default is p.empty]) <= 1
