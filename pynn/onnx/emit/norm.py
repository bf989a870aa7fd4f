"""Export of normalization."""

from __future__ import annotations

import math

import numpy as np

from pynn.export.trace import Op
from pynn.onnx.builder import Builder, channels_first, converter


@converter("norm_apply")
def _batch(b: Builder, op: Op) -> None:
    x, mean = op.inputs[:2]
    perm = channels_first(x.ndim)
    gamma, beta = (
        b.constant(np.full(mean.shape, fill, b.dtype), key) if p is None else b.plain(p)
        for p, fill, key in zip(op.inputs[3:], (1.0, 0.0), ("gamma", "beta"), strict=True)
    )
    inputs = [b.form(x, perm), gamma, beta, b.plain(mean), b.plain(op.inputs[2])]
    momentum = float(getattr(op.module, "momentum", 0.9))  # for who trains the network further
    y = b.node("BatchNormalization", inputs, epsilon=float(op.attrs["epsilon"]), momentum=momentum)
    b.put(op.y, perm, y)


def normalized(b: Builder, name: str, axes: list[int], epsilon: float) -> str:
    """Return (x - mean) / sqrt(var + epsilon) over axes, of plain operators."""
    centred = b.node("Sub", [name, b.reduce("ReduceMean", name, axes, True)])
    variance = b.reduce("ReduceMean", b.node("Mul", [centred, centred]), axes, True)
    return b.node("Div", [centred, b.node("Sqrt", [b.node("Add", [variance, b.number(epsilon)])])])


def scaled(b: Builder, y: str, gamma: str, beta: str) -> str:
    """Return gamma y + beta, as far as they are given."""
    y = b.node("Mul", [y, gamma]) if gamma else y
    return b.node("Add", [y, beta]) if beta else y


def layer_normalized(b: Builder, x: str, axis: int, epsilon: float, gamma: str, beta: str) -> str:
    """Return a normalization along the last axis."""
    if b.opset >= 17 and gamma:
        inputs = [x, gamma, beta] if beta else [x, gamma]
        return b.node("LayerNormalization", inputs, axis=-1, epsilon=epsilon)
    return scaled(b, normalized(b, x, [axis], epsilon), gamma, beta)


@converter("layer_norm")
def _layer(b: Builder, op: Op) -> None:
    x, *affine = op.inputs
    y = layer_normalized(b, b.plain(x), x.ndim - 1, float(op.attrs["epsilon"]), *map(b.optional, affine))
    b.put(op.y, tuple(range(x.ndim)), y)


@converter("group_norm")
def _group(b: Builder, op: Op) -> None:
    x, groups = op.x, op.attrs["groups"]
    if not op.attrs["per_sample"]:
        raise op.refused("takes its statistics from the whole batch")
    places, c = math.prod(x.shape[1:-1]), x.shape[-1]
    shape = [0, -1, groups, c // groups] if x.open else [-1, places, groups, c // groups]
    parts = b.node("Reshape", [b.plain(x), b.ints(shape)])
    y = b.node("Reshape", [normalized(b, parts, [1, 3], float(op.attrs["epsilon"])), b.sizes(x)])
    b.put(op.y, tuple(range(x.ndim)), scaled(b, y, *map(b.optional, op.inputs[1:])))


@converter("local_response_norm")
def _response(b: Builder, op: Op) -> None:
    x, size = op.x, 2 * op.attrs["radius"] + 1
    settings = {"alpha": float(op.attrs["alpha"]) * size, "beta": float(op.attrs["beta"]), "size": size}
    settings["bias"] = float(op.attrs["bias"])
    if x.ndim == 4:
        b.put(op.y, channels_first(4), b.node("LRN", [b.first(x)], **settings))
        return
    # Readers want images: the places become the columns of one.
    places = math.prod(x.shape[1:-1])
    shape = [0, 1, -1, x.shape[-1]] if x.open else [-1, 1, places, x.shape[-1]]
    image = b.node("Reshape", [b.plain(x), b.ints(shape)])
    y = b.node("LRN", [b.node("Transpose", [image], perm=[0, 3, 1, 2])], **settings)
    y = b.node("Reshape", [b.node("Transpose", [y], perm=[0, 2, 3, 1]), b.sizes(x)])
    b.put(op.y, tuple(range(x.ndim)), y)
