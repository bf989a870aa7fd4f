"""What Keras calls each layer, in which order it counts them, and which weights they have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pynn import nn
from pynn.errors import DataError
from pynn.export.runs import described

__all__ = ["in_keras_order", "keras_name", "parallel", "weights_of"]

# Classes that Keras calls otherwise; the rest have its names.
_RENAMED: dict[type, str] = {
    nn.Model: "Functional", nn.MaxPool1D: "MaxPooling1D", nn.MaxPool2D: "MaxPooling2D",
    nn.AvgPool1D: "AveragePooling1D", nn.AvgPool2D: "AveragePooling2D",
}  # fmt: skip

_KERNEL = ("w", "b")
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_WEIGHTS: dict[type, tuple[str, ...]] = {
    nn.Dense: _KERNEL, nn.Conv1D: _KERNEL, nn.Conv2D: _KERNEL, nn.Conv2DTranspose: _KERNEL,
    nn.DepthwiseConv2D: _KERNEL, nn.SeparableConv2D: ("w", "pointwise", "b"), nn.Embedding: ("w",),
    nn.PReLU: ("alpha",), nn.BatchNormalization: _NORM, nn.LayerNormalization: _NORM, nn.GroupNormalization: _NORM,
}  # fmt: skip
_RECURRENT = ("w", "u", "b")


def keras_name(layer: Any) -> str:
    """Return what Keras counts a layer as in files.

    Examples
    --------
    >>> keras_name(nn.SimpleRNN(3)), keras_name(nn.Conv2DTranspose(1, 2)), keras_name(nn.MaxPool2D())
    ('simple_rnn', 'conv2d_transpose', 'max_pooling2d')
    """
    name = _RENAMED.get(type(layer), type(layer).__name__)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def weights_of(layer: Any, place: str) -> Iterator[tuple[Any, tuple[str, str], list[str]]]:
    """Yield (layer or inner layer, (attribute of it, its place below the layer's in a file), weights in Keras's order).

    Raises
    ------
    DataError
        If Keras has no such layer.
    """
    if type(layer) is nn.Bidirectional:
        for attribute in ("forward_layer", "backward_layer"):
            for inner, _, names in weights_of(getattr(layer, attribute), place):
                yield inner, (attribute, f"{attribute}/cell/"), names
    elif type(layer) in (nn.SimpleRNN, nn.LSTM, nn.GRU) and "p" not in layer._weights:
        yield layer, ("", "cell/"), [name for name in _RECURRENT if name in layer._weights]
    elif type(layer) in _WEIGHTS:
        yield layer, ("", ""), [name for name in _WEIGHTS[type(layer)] if name in layer._weights]
    else:
        raise DataError(f"[{place}] {described(layer)} has no counterpart in Keras.")


def in_keras_order(model: Any) -> list[Any]:
    """Return the layers in the order in which Keras counts them.

    A functional model lists those first that are farthest from the outputs; of equally far ones, those that a search
    from one output after the other, in depth, meets first.
    """
    if type(model) is not nn.Model:
        return list(dict.fromkeys(model._layers))
    plan, inputs = model._plan, len(model.input_shapes)
    met: dict[int, int] = {}  # layer: when it was met
    finished: list[int] = []
    stack = [(end - inputs, False) for end in reversed(model._ends)]
    while stack:
        at, left = stack.pop()
        if left:
            if at not in finished:
                finished.append(at)
            continue
        if at in finished:
            continue
        met.setdefault(id(plan[at].module), len(met))
        stack.append((at, True))
        stack += [(k - inputs, False) for k in reversed(plan[at].inputs) if k is not None and k >= inputs]
    depths = [0] * len(plan)
    of_layer: dict[int, int] = {}
    for at in reversed(finished):
        key = id(plan[at].module)
        depths[at] = of_layer[key] = max(depths[at], of_layer.get(key, 0))
        for k in plan[at].inputs:
            if k is not None and k >= inputs:
                depths[k - inputs] = max(depths[k - inputs], depths[at] + 1)
    return sorted(model._layers, key=lambda layer: (-of_layer[id(layer)], met[id(layer)]))


def parallel(model: Any) -> Iterator[tuple[Any, Any]]:
    """Yield pairs of layers with weights of equal shapes, neither of which is behind the other."""
    if type(model) is not nn.Model:
        return
    inputs = len(model.input_shapes)
    before: list[set[int]] = []  # all layers on the way to a call
    for step in model._plan:
        above = [before[k - inputs] for k in step.inputs if k is not None and k >= inputs]
        before.append(set().union({id(step.module)}, *above))
    behind: dict[int, set[int]] = {}
    for step, ways in zip(model._plan, before, strict=True):
        behind.setdefault(id(step.module), set()).update(ways)
    shapes = {id(m): [weight.shape for _, weight in m.named_parameters()] for m in model._layers}
    for i, one in enumerate(model._layers):
        for two in model._layers[i + 1 :]:
            related = id(one) in behind[id(two)] or id(two) in behind[id(one)]
            if not related and shapes[id(one)] and shapes[id(one)] == shapes[id(two)]:
                yield one, two
