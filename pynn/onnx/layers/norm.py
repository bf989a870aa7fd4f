"""Export of normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import nn
from pynn.onnx.builder import Builder, Wire, channels_first, converter
from pynn.onnx.layers.image import outputs_first
from pynn.ops.local_norm import _coverage, _gaussian


def _parameter(b: Builder, layer: Any, key: str, size: int, default: float) -> str:
    if key in layer._weights:
        return b.weight(layer._weights[key], key)
    return b.constant(np.full(size, default, b.dtype), key)


@converter(nn.BatchNormalization)
def _batch(b: Builder, layer: Any, x: Wire) -> Wire:
    perm, c = channels_first(x.ndim), x.shape[-1]
    parameters = [_parameter(b, layer, "gamma", c, 1.0), _parameter(b, layer, "beta", c, 0.0)]
    moving = [b.weight(layer.moving_mean, "moving_mean"), b.weight(layer.moving_variance, "moving_variance")]
    inputs = [b.form(x, perm), *parameters, *moving]
    y = b.node("BatchNormalization", inputs, epsilon=float(layer.epsilon), momentum=float(layer.momentum))
    return x.like(perm, y)


def normalized(b: Builder, name: str, axes: list[int], epsilon: float) -> str:
    """Return (x - mean) / sqrt(var + epsilon) over axes, of plain operators."""
    centred = b.node("Sub", [name, b.reduce("ReduceMean", name, axes, True)])
    variance = b.reduce("ReduceMean", b.node("Mul", [centred, centred]), axes, True)
    return b.node("Div", [centred, b.node("Sqrt", [b.node("Add", [variance, b.number(epsilon)])])])


def scaled(b: Builder, layer: Any, y: str) -> str:
    """Return gamma y + beta, as far as the layer has them."""
    if layer.scale:
        y = b.node("Mul", [y, b.weight(layer.gamma, "gamma")])
    return b.node("Add", [y, b.weight(layer.beta, "beta")]) if layer.center else y


@converter(nn.LayerNormalization)
def _layer(b: Builder, layer: Any, x: Wire) -> Wire:
    count = len(layer.axis)
    if b.opset >= 17 and layer.scale:
        inputs = [b.plain(x), b.weight(layer.gamma, "gamma")]
        inputs += [b.weight(layer.beta, "beta")] if layer.center else []
        return x.like(x.plain_perm, b.node("LayerNormalization", inputs, axis=-count, epsilon=float(layer.epsilon)))
    y = normalized(b, b.plain(x), list(range(x.ndim - count, x.ndim)), layer.epsilon)
    return x.like(x.plain_perm, scaled(b, layer, y))


@converter(nn.GroupNormalization)
def _group(b: Builder, layer: Any, x: Wire) -> Wire:
    c = x.shape[-1]
    groups = c if layer.groups == -1 else layer.groups
    places = int(np.prod(x.shape[1:-1], dtype=np.int64))
    parts = b.node("Reshape", [b.plain(x), b.ints([-1, places, groups, c // groups])])
    y = b.node("Reshape", [normalized(b, parts, [1, 3], layer.epsilon), b.ints([-1, *x.shape[1:]])])
    return x.like(x.plain_perm, scaled(b, layer, y))


@converter(nn.LocalResponseNormalization)
def _response(b: Builder, layer: Any, x: Wire) -> Wire:
    perm, size = channels_first(x.ndim), 2 * layer.depth_radius + 1
    alpha, beta, bias = float(layer.alpha) * size, float(layer.beta), float(layer.bias)
    if x.ndim == 4:
        return x.like(perm, b.node("LRN", [b.form(x, perm)], size=size, alpha=alpha, beta=beta, bias=bias))
    # Readers want images: the places become the columns of one.
    places = int(np.prod(x.shape[1:-1], dtype=np.int64))
    image = b.node("Reshape", [b.plain(x), b.ints([-1, 1, places, x.shape[-1]])])
    image = b.node("Transpose", [image], perm=[0, 3, 1, 2])
    y = b.node("Transpose", [b.node("LRN", [image], size=size, alpha=alpha, beta=beta, bias=bias)], perm=[0, 2, 3, 1])
    return x.like(x.plain_perm, b.node("Reshape", [y, b.ints([-1, *x.shape[1:]])]))


@converter(nn.LocalContrastNormalization)
def _contrast(b: Builder, layer: Any, x: Wire) -> Wire:
    h, w, c = x.shape[1:]
    window, half = layer.window_size, (layer.window_size - 1) // 2
    cover = b.constant(np.moveaxis(_coverage(h, w, window, b.dtype), 3, 1), "coverage")
    kernel = b.constant(outputs_first(_gaussian(window, c, b.dtype)), "gaussian")

    def blurred(name: str) -> str:
        return b.node("Div", [b.node("Conv", [name, kernel], pads=[half] * 4), cover])

    image = b.first(x)
    v = b.node("Sub", [image, blurred(image)])
    sigma = b.node("Sqrt", [b.node("Add", [blurred(b.node("Mul", [v, v])), b.number(layer.epsilon)])])
    least = b.reduce("ReduceMean", sigma, [1, 2, 3], True)
    return x.like(channels_first(4), b.node("Div", [v, b.node("Max", [sigma, least])]))
