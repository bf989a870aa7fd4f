"""Models: functions of symbols, chains of layers, classes of one's own; made, read from files and copied."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from pynn import keras
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import unknown_name
from pynn.keras.history import printed
from pynn.keras.layer import Input, InputLayer, KerasTensor, Layer, Operation, mapped_shapes
from pynn.keras.names import missing, snake_case, unique_name, used_by
from pynn.keras.saving import load_model, save_model
from pynn.keras.serial import deserialized, own_class
from pynn.keras.symbols import Graph, flat
from pynn.keras.training import Training

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


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
    _graph = None
    _loss_graph = None  # with the terms that add_loss() was given
    _input_keys = None

    def __init__(self, *args, **kwargs):
        old = {"input": "inputs", "output": "outputs"}
        kwargs = {old.get(key, key): value for key, value in kwargs.items()}
        kwargs.update(zip(("inputs", "outputs", "name"), args, strict=False))
        inputs, outputs = kwargs.pop("inputs", None), kwargs.pop("outputs", None)
        if kwargs.get("name") is None and type(self) is Model and inputs is not None:
            kwargs["name"] = unique_name("functional")
        super().__init__(**kwargs)
        self._layers = []
        if outputs is not None:
            self._use(Graph(inputs, outputs))

    def _use(self, graph):
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

    def __call__(self, *args, **kwargs):
        """Compute the outputs, or return symbols of them for symbols."""
        if len(args) > 1 and all(isinstance(x, Tensor) for x in args) and _one_input(type(self)):
            keys = self._input_keys
            args = (list(args) if keys is None else dict(zip(keys, args, strict=True)),)
        elif args and isinstance(args[0], Tensor) and self._input_keys is not None and self._graph is None:
            args = ({self._input_keys[0]: args[0]}, *args[1:])
        return super().__call__(*args, **kwargs)

    def _build_now(self, xs):
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

    def check_inputs(self, xs: list[np.ndarray], place: str):
        """Refuse a data set that does not fit the inputs."""
        if self._graph is not None:
            self._graph.check(xs, place)

    def __getattr__(self, key):
        graph = self.__dict__.get("_graph")
        if graph is not None:
            if key == "input_shapes":
                return [x.shape[1:] for x in graph.inputs]
            if key in ("input_names", "output_names"):
                return getattr(graph, key)
        return super().__getattr__(key)

    def _no_rows(self):
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
        found = {}
        for _, child in self.children():
            if isinstance(child, Layer):
                found.setdefault(id(child), child)
        return list(found.values())

    def _need_graph(self, what):
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
        return keras.serial.graph_config(self)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return the model of an architecture."""
        if "layers" in config and "output_layers" in config:
            return keras.serial.graph_of(cls, config, custom_objects)
        return cls(**{key: value for key, value in config.items() if key not in ("dtype",)})

    def __reduce__(self):
        if self._graph is None and not hasattr(self, "_chain"):
            return super().__reduce__()
        config, weights = self.get_config(), self.get_weights() if self.built else None
        return rebuilt, (type(self), config, weights, self._compiled_with)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def rebuilt(cls, config, weights, told):
    """Return a copy of a model, of its architecture and weights; its training begins anew."""
    model = cls.from_config(config)
    if weights is not None:
        model.set_weights(weights)
    if told is not None:
        model.compile(**told)
    return model


def _is_plain(cls):
    return cls.__module__.startswith("pynn.keras.")


@functools.cache
def _one_input(cls):
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    own = [p for p in list(inspect.signature(cls.call).parameters.values())[1:] if p.kind in kinds]
    return len([p for p in own if p.default is p.empty]) <= 1


class Sequential(Model):
    """Layers one after the other.

    Parameters
    ----------
    layers : list of Layer, optional
        The first one may be an Input, or tell its input's shape.
    trainable : bool, default True
    name : str, optional
    **kwargs : object
        None that Keras's do not take.

    Examples
    --------
    >>> from pynn import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="relu")])
    >>> model.add(keras.layers.Dense(3))
    >>> model.count_params()
    67
    """

    def __init__(self, layers=None, trainable=True, name=None, **kwargs):
        super().__init__(name=name or unique_name("sequential"), trainable=trainable, **kwargs)
        self._chain = True
        for layer in layers or ():
            self.add(layer)

    def add(self, layer, rebuild=True):
        """Append a layer."""
        if isinstance(layer, KerasTensor) and isinstance(layer.call.layer, InputLayer):
            layer = layer.call.layer
        if isinstance(layer, InputLayer):
            if self._layers:
                raise ValueError("[sequential] an Input must come first, and once.")
            self._begin_at(layer._nodes.calls[0].outputs[0])
            return
        if callable(layer) and not isinstance(layer, (Layer, type)):
            layer = Operation(layer)
        if not isinstance(layer, Layer):
            raise TypeError(
                f"[sequential] expected a layer. Received: {layer!r} of type {type(layer).__name__}."
                + (" help: write Dense(...), an instance." if isinstance(layer, type) else "")
            )
        if any(layer.name == other.name and layer is not other for other in self._layers):
            if layer.name.startswith(_base(layer)):
                object.__setattr__(layer, "name", unique_name(_base(layer)))
            else:
                raise ValueError(f"[sequential] expected layers of different names. Received: {layer.name!r} twice.")
        if not self._layers and self._graph is None:
            shape = layer._known_shape
            inner = getattr(layer, "_graph", None)
            if inner is not None:
                self._begin_at(Input(batch_shape=inner.inputs[0].shape, dtype=inner.inputs[0].dtype))
            elif shape is not None:
                self._begin_at(Input(batch_shape=shape))
        if self._graph is not None:
            [end] = self._graph.outputs
            out = layer(end)
            self._layers.append(layer)
            self._set_graph(self._graph.inputs[0], out)
        else:
            self._layers.append(layer)
            self.built = False

    def pop(self, rebuild=True):
        """Take the last layer off, and return it."""
        if not self._layers:
            raise TypeError("[sequential] expected a layer to take off. Received: an empty model.")
        layer = self._layers.pop()
        if self._graph is not None:
            [end] = self._graph.outputs
            self._set_graph(self._graph.inputs[0], end.call.args[0])
        self._prepared = None
        return layer

    def _begin_at(self, symbol):
        self._set_graph(symbol, symbol)

    def _set_graph(self, start, end):
        object.__setattr__(self, "_graph", Graph(start, end))
        object.__setattr__(self, "_built_for", tuple(1 if d is None else d for d in start.shape))
        self.built = bool(self._layers)

    def call(self, inputs, training=None, mask=None):
        """Compute the layers one after the other."""
        if self._graph is not None:
            x = self._graph._fitted(0, self._graph.inputs[0], self._graph.in_order(inputs, self.name)[0])
        else:
            x = inputs[0] if isinstance(inputs, (list, tuple)) and len(inputs) == 1 else inputs
        for layer in self._layers:
            x = layer(x)
        return x

    def build(self, input_shape=None):
        """Build every layer for batches of a shape."""
        if self._graph is None and input_shape is not None:
            self._follow(Input(batch_shape=input_shape))

    def _follow(self, start):
        """Make the symbols of every layer's output."""
        end = start
        for layer in self._layers:
            end = layer(end)
        self._set_graph(start, end)

    def _need_graph(self, what):
        if self._graph is None and self.built and self._built_for:
            self._follow(Input(batch_shape=(None, *self._built_for[1:])))
        if self._graph is None:
            raise AttributeError(f"[{self.name}] has no {what} yet: the shape of its input is not known.")
        return self._graph

    @property
    def layers(self):
        """The layers; an Input is none of them."""
        return list(self._layers)

    def get_config(self):
        """Return the architecture, as plain data."""
        return keras.serial.chain_config(self)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return the model of an architecture."""
        return keras.serial.chain_of(cls, config, custom_objects)


def _base(layer):
    return snake_case(type(layer).__name__)


def class_of(name: str, record: Mapping[str, Any], custom: Mapping[str, Any]):
    """Return the class that a record names: the library's own, or one of the program's."""
    for key in (record.get("registered_name"), name):
        if key and key in custom:
            return custom[key]
        if key and key.rpartition(">")[2] in custom:
            return custom[key.rpartition(">")[2]]
    table = {"Functional": Model, "Model": Model, "Sequential": Sequential}
    found = table.get(name) or own_class(name)
    if found is None:
        text = unknown_name("layer", name, [*keras.layers.CLASSES, *custom])
        raise ValueError(
            f"[load_model] {text.partition(' Known')[0]} help: pass custom_objects={{{name!r}: {name}}}{used_by()}."
        )
    return found


def clone_model(model, input_tensors=None, clone_function=None, call_function=None, recursive=False, **kwargs):
    """Return a model of the same layers with weights of its own."""
    config = model.get_config()
    return type(model).from_config(config)


def model_from_json(json_string, custom_objects=None):
    """Return the model of an architecture that to_json() wrote."""
    import json

    return deserialized(json.loads(json_string), custom_objects)


def model_from_config(config, custom_objects=None):
    """Return the model of an architecture."""
    return deserialized(config, custom_objects)


def __getattr__(name):
    if name == "Input":
        return Input
    missing(__name__, name, __all__)
