"""A chain of layers."""

from __future__ import annotations

from typing import Any

from pynn import keras
from pynn.keras.graph import Graph
from pynn.keras.layer import Input, InputLayer, KerasTensor, Layer, Operation
from pynn.keras.model import Model
from pynn.keras.tree import snake_case, unique_name

__all__ = ["Sequential"]


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

    def _begin_at(self, symbol: Any) -> None:
        self._set_graph(symbol, symbol)

    def _set_graph(self, start: Any, end: Any) -> None:
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

    def _follow(self, start: Any) -> None:
        """Make the symbols of every layer's output."""
        end = start
        for layer in self._layers:
            end = layer(end)
        self._set_graph(start, end)

    def _need_graph(self, what: str) -> Any:
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
        return keras.records.chain_config(self)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return the model of an architecture."""
        return keras.records.chain_of(cls, config, custom_objects)


def _base(layer: Any) -> str:
    return snake_case(type(layer).__name__)
