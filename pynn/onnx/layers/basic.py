"""Export of dense layers, activations, shapes and merges; of what does nothing at inference; and of models."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pynn import nn
from pynn.onnx.builder import Builder, Wire, channels_first, converter, refuse
from pynn.ops.activation import named

Emit = Callable[[Builder, str, int], str]  # (builder, value, its axis of features) -> value


def _op(name: str, **attributes: Any) -> Emit:
    return lambda b, x, axis: b.node(name, [x], **attributes)


def _silu(b: Builder, x: str, axis: int) -> str:
    return b.node("Mul", [x, b.node("Sigmoid", [x])])


def _gelu(b: Builder, x: str, axis: int) -> str:
    inner = b.node("Erf", [b.node("Mul", [x, b.number(math.sqrt(0.5))])])
    return b.node("Mul", [b.node("Mul", [x, b.number(0.5)]), b.node("Add", [inner, b.number(1.0)])])


def _gelu_tanh(b: Builder, x: str, axis: int) -> str:
    cube = b.node("Mul", [b.node("Mul", [b.node("Mul", [x, x]), x]), b.number(0.044715)])
    inner = b.node("Tanh", [b.node("Mul", [b.node("Add", [x, cube]), b.number(math.sqrt(2 / math.pi))])])
    return b.node("Mul", [b.node("Mul", [x, b.number(0.5)]), b.node("Add", [inner, b.number(1.0)])])


def _step(b: Builder, x: str, axis: int) -> str:
    at_least = b.node("GreaterOrEqual", [x, b.number(0.0)])
    return b.node("Cast", [at_least], to=b.helper.np_dtype_to_tensor_dtype(b.dtype))


def _along(name: str) -> Emit:
    return lambda b, x, axis: b.node(name, [x], axis=axis)


EMIT: dict[str, Emit] = {
    "linear": lambda b, x, axis: x,
    "relu": _op("Relu"),
    "leaky_relu": _op("LeakyRelu", alpha=0.1),
    "elu": _op("Elu", alpha=1.0),
    "selu": _op("Selu", alpha=1.6732632423543772, gamma=1.0507009873554805),
    "tanh": _op("Tanh"),
    "sigmoid": _op("Sigmoid"),
    "softplus": _op("Softplus"),
    "abs": _op("Abs"),
    "exp": _op("Exp"),
    "square": lambda b, x, axis: b.node("Mul", [x, x]),
    "silu": _silu,
    "swish": _silu,
    "gelu": _gelu,
    "step": _step,
    "hard_step": _step,
    "softmax": _along("Softmax"),
    "log_softmax": _along("LogSoftmax"),
}


def activated(b: Builder, layer: Any, x: Wire, **options: Any) -> Wire:
    """Return a layer's activation of x.

    Raises
    ------
    DataError
        If it is a function of one's own.
    """
    name = layer.activation
    if name not in EMIT or layer._function is not named(name):
        raise refuse(layer, f"has the activation {name!r}, which is not written in ONNX.", "use one of pynn's own.")
    emit = EMIT[name]
    if name == "leaky_relu" and "slope" in options:
        emit = _op("LeakyRelu", alpha=float(options.pop("slope")))
    elif name == "elu" and "alpha" in options:
        emit = _op("Elu", alpha=float(options.pop("alpha")))
    elif name == "gelu" and options.pop("approximate", False):
        emit = _gelu_tanh
    if options:
        raise refuse(layer, f"has the options {sorted(options)}, which are not written in ONNX.")
    perm, value = x.at_hand
    return x.like(perm, emit(b, value, perm.index(x.ndim - 1)))


@converter(nn.Activation)
def _activation(b: Builder, layer: Any, x: Wire) -> Wire:
    return activated(b, layer, x, **layer._options)


def affine(b: Builder, x: Wire, w: Any, bias: Any) -> Wire:
    """Return x w + b over the last axis."""
    weight = b.weight(w, "w")
    if x.ndim == 2:
        y = b.node("Gemm", [b.plain(x), weight, *([] if bias is None else [b.weight(bias, "b")])])
    else:
        y = b.node("MatMul", [b.plain(x), weight])
        y = y if bias is None else b.node("Add", [y, b.weight(bias, "b")])
    return Wire((*x.shape[:-1], w.shape[1]), {x.plain_perm: y}, x.lengths)


@converter(nn.Dense)
def _dense(b: Builder, layer: Any, x: Wire) -> Wire:
    return activated(b, layer, affine(b, x, layer.w, layer.b if layer.use_bias else None))


@converter(nn.Maxout)
def _maxout(b: Builder, layer: Any, x: Wire) -> Wire:
    z = affine(b, x, layer.w, layer.b)
    shape = (*x.shape[:-1], layer.units, layer.pieces)
    parts = b.node("Reshape", [b.plain(z), b.ints([-1, *shape[1:]])])
    return Wire(shape[:-1], {x.plain_perm: b.reduce("ReduceMax", parts, [len(shape) - 1], False)})


@converter(nn.Dropout, nn.SpatialDropout2D, nn.RandomAffine, nn.RandomShift, nn.RandomRotation, nn.RandomZoom)
@converter(nn.RandomShear, nn.RandomFlip, nn.RandomErasing, nn.ElasticDeformation)
def _nothing(b: Builder, layer: Any, x: Wire) -> Wire:
    return Wire(b.shape_of(layer, x), dict(x.forms), x.lengths)


@converter(nn.Flatten)
def _flatten(b: Builder, layer: Any, x: Wire) -> Wire:
    shape = b.shape_of(layer, x)
    if x.ndim == 2:
        return Wire(shape, dict(x.forms))
    return Wire(shape, {(0, 1): b.node("Flatten", [b.plain(x)], axis=1)})


@converter(nn.Reshape)
def _reshape(b: Builder, layer: Any, x: Wire) -> Wire:
    return reshaped(b, x, b.shape_of(layer, x))


def reshaped(b: Builder, x: Wire, shape: tuple[Any, ...]) -> Wire:
    """Return x with another shape of samples."""
    y = b.node("Reshape", [b.plain(x), b.ints([-1, *shape[1:]])])
    return Wire(shape, {tuple(range(len(shape))): y})


def _meeting(b: Builder, xs: tuple[Wire, ...]) -> tuple[tuple[int, ...], list[str]]:
    """Return a form that costs few transposes, and the values in it."""
    first = channels_first(xs[0].ndim)
    here = [sum(perm in x.forms for x in xs) for perm in (xs[0].plain_perm, first)]
    perm = first if here[1] > here[0] else xs[0].plain_perm
    return perm, [b.form(x, perm) for x in xs]


@converter(nn.Concatenate)
def _concatenate(b: Builder, layer: Any, *xs: Wire) -> Wire:
    perm, names = _meeting(b, xs)
    axis = perm.index(layer.axis % xs[0].ndim)
    return Wire(b.shape_of(layer, *xs), {perm: b.node("Concat", names, axis=axis)})


@converter(nn.Add, nn.Multiply)
def _merge(b: Builder, layer: Any, *xs: Wire) -> Wire:
    perm, (y, *names) = _meeting(b, xs)
    for name in names:
        y = b.node("Add" if isinstance(layer, nn.Add) else "Mul", [y, name])
    return Wire(b.shape_of(layer, *xs), {perm: y})


@converter(nn.Sequential)
def _sequential(b: Builder, layer: Any, x: Wire) -> Wire:
    for inner in layer.layers:
        x = b.layer(inner, x)
    return x


@converter(nn.Model)
def _model(b: Builder, layer: Any, *xs: Wire) -> Wire:
    values = dict(enumerate(xs))
    for at, step in enumerate(layer._plan, start=len(xs)):
        if any(k is None for k in step.inputs):
            raise refuse(step.module, "is called with None.")
        values[at] = b.layer(step.module, *(values[k] for k in step.inputs))
    return values[at]


@converter(nn.TimeDistributed)
def _time_distributed(b: Builder, layer: Any, x: Wire) -> Wire:
    steps = reshaped(b, x, (None, *x.shape[2:]))
    y = b.layer(layer.layer, steps)
    return reshaped(b, y, (None, x.shape[1], *y.shape[1:]))
