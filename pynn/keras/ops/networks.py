"""Activations, convolutions, cross-entropies and random numbers, in Keras's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import ops as of
from pynn import random as draws
from pynn.core.tensor import FLOATS, Tensor
from pynn.keras.config import epsilon, floatx, image_data_format
from pynn.keras.ops.arithmetic import clip, divide, mean, norm, sum
from pynn.keras.ops.arrays import moveaxis, sizes
from pynn.keras.ops.calls import dtype_of, op, tensor_of


def _real(x: Any) -> Tensor:
    x = tensor_of(x)
    return x if x.dtype in FLOATS else tensor_of(x, floatx())


def _activation(name: str, function: Any) -> Any:
    def call(x: Any) -> Tensor:
        return function(_real(x))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Return {name}(x), element by element."
    return op(call)


tanh = _activation("tanh", of.tanh)
sigmoid = _activation("sigmoid", of.sigmoid)
softplus = _activation("softplus", of.softplus)
softsign = _activation("softsign", of.softsign)
relu6 = _activation("relu6", of.relu6)
selu = _activation("selu", of.selu)
silu = swish = _activation("silu", of.silu)
mish = _activation("mish", of.mish)
hard_sigmoid = _activation("hard_sigmoid", of.hardsigmoid)
hard_swish = _activation("hard_swish", of.hardswish)
log_sigmoid = _activation("log_sigmoid", lambda x: of.neg(of.softplus(of.neg(x))))


@op
def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Return max(x, 0), with a slope below the threshold and a limit above where they are given."""
    x = _real(x)
    y = of.relu(x) if threshold == 0 else of.where(of.less(threshold, x), x, 0.0)
    if alpha:
        y = of.where(of.less(x, threshold), (x - threshold) * alpha, y)
    return y if max_value is None else of.minimum(y, float(max_value))


@op
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Tensor:
    """Return x where it is positive, a part of it elsewhere."""
    return relu(x, negative_slope)


@op
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, alpha (exp(x) - 1) elsewhere."""
    x = _real(x)
    return of.elu(x) if alpha == 1 else of.where(of.less(0.0, x), x, (of.exp(of.minimum(x, 0.0)) - 1.0) * alpha)


@op
def gelu(x: Any, approximate: bool = True) -> Tensor:
    """Return x times the chance that a normal number is below x."""
    return (of.gelu_tanh if approximate else of.gelu)(_real(x))


@op
def softmax(x: Any, axis: int = -1) -> Tensor:
    """Return exp(x) / sum(exp(x)) along an axis."""
    return of.softmax(_real(x), axis)


@op
def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """Return the logarithm of softmax."""
    return of.log_softmax(_real(x), axis)


@op
def l2_normalize(x: Any, axis: Any = -1, epsilon: float = 1e-12) -> Tensor:
    """Return x / its length along an axis."""
    return divide(x, of.maximum(norm(x, 2, axis, True), float(np.sqrt(epsilon))))


def _images(x: Any, data_format: str | None) -> tuple[Tensor, bool]:
    """Return x with its channels last, and whether they stood first."""
    first = (data_format or image_data_format()) == "channels_first"
    x = _real(x)
    return (moveaxis(x, 1, -1) if first else x), first


def _back(y: Tensor, first: bool) -> Tensor:
    return moveaxis(y, -1, 1) if first else y


@op
def conv(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Tensor:  # fmt: skip
    """Return the convolution of sequences [N, T, C] or images [N, H, W, C] with a kernel [..., C, K]."""
    x, first = _images(inputs, data_format)
    w = _real(kernel)
    if x.ndim == 3:
        y = of.conv2d(
            x.reshape((x.shape[0], 1, *x.shape[1:])), w.reshape((1, *w.shape)), None,
            (1, *sizes(strides)), padding.lower(), (1, *sizes(dilation_rate)),
        )  # fmt: skip
        return _back(y.reshape((y.shape[0], *y.shape[2:])), first)
    return _back(of.conv2d(x, w, None, strides, padding.lower(), dilation_rate), first)


def _pool(function: Any, inputs: Any, pool_size: Any, strides: Any, padding: str, data_format: str | None) -> Tensor:
    x, first = _images(inputs, data_format)
    return _back(function(x, pool_size, pool_size if strides is None else strides, padding.lower()), first)


@op
def max_pool(
    inputs: Any, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Tensor:
    """Return the largest value of each window of images."""
    return _pool(of.max_pool2d, inputs, pool_size, strides, padding, data_format)


@op
def average_pool(
    inputs: Any, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = None
) -> Tensor:
    """Return the mean of each window of images."""
    return _pool(of.avg_pool2d, inputs, pool_size, strides, padding, data_format)


@op
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Tensor:
    """Return -t log(y) - (1 - t) log(1 - y), element by element."""
    y = _real(output)
    t = tensor_of(target, y.dtype)
    if from_logits:
        return of.maximum(y, 0.0) - y * t + of.softplus(of.neg(of.abs(y)))
    y = clip(y, epsilon(), 1 - epsilon())
    return of.neg(t * of.log(y) + (1.0 - t) * of.log(1.0 - y))


@op
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    """Return -sum(t log(y)) over an axis."""
    y = _real(output)
    t = tensor_of(target, y.dtype)
    if from_logits:
        return of.neg(of.sum(t * of.log_softmax(y, axis), axis))
    y = clip(y / of.sum(y, axis, True), epsilon(), 1 - epsilon())
    return of.neg(of.sum(t * of.log(y), axis))


@op
def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    """Return -log(y) at the class that the target names."""
    y, t = _real(output), tensor_of(target, "int32")
    if t.ndim == y.ndim and t.shape[-1] == 1:
        t = t.reshape(t.shape[:-1])
    rows = of.eye_rows(t.reshape((-1,)), y.shape[-1], y.dtype).reshape(y.shape)
    return categorical_crossentropy(rows, y, from_logits, axis)


@op
def in_top_k(targets: Any, predictions: Any, k: int) -> Tensor:
    """Tell of each row whether the value of its class is among the k largest."""
    y, t = _real(predictions), tensor_of(targets, "int32")
    own = of.sum(y * of.eye_rows(t, y.shape[-1], y.dtype), 1, True)
    larger = of.sum(tensor_of(of.less(own, y), "int32"), 1)
    return of.less(larger, int(k))


@op
def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Tensor:
    """Return inputs with a part of them 0 and the others larger in turn."""
    x = _real(inputs)
    kept = draws.bernoulli(sizes(noise_shape or x.shape), 1 - rate, x.dtype)
    return of.mul(x, kept) * (1 / (1 - rate))


def random_normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Return normal random numbers; they are others in every step."""
    return draws.normal(sizes(shape), mean, stddev, dtype=dtype_of(dtype or floatx()))


def random_uniform(shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Return random numbers that are equally likely between two; whole ones for a dtype of whole numbers."""
    kind = dtype_of(dtype or floatx())
    if kind.kind == "i":
        return tensor_of(of.floor(draws.uniform(sizes(shape), minval, maxval)), kind)
    return draws.uniform(sizes(shape), minval, maxval, dtype=kind)


def random_binomial(shape: Any, p: float = 0.5, dtype: Any = None, seed: Any = None) -> Tensor:
    """Return 1 with chance p, else 0."""
    return draws.bernoulli(sizes(shape), p, dtype_of(dtype or floatx()))


def truncated_normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Return normal random numbers within two standard deviations; drawn once, for first values of weights."""
    from pynn import init

    values = init.TruncatedNormal(0.0, stddev)(sizes(shape), dtype_of(dtype or floatx()), [_seed(seed), 0])
    return tensor_of(values + np.asarray(mean, values.dtype))


_drawn = [0]


def _seed(seed: Any) -> int:
    _drawn[0] += 1
    return int(seed) if isinstance(seed, (int, np.integer)) else _drawn[0]


@op
def mean_squared(x: Any) -> Tensor:
    """Return the mean of squares over the last axis."""
    return mean(_real(x).square(), -1)


@op
def l2_loss(t: Any) -> Tensor:
    """Return half the sum of squares."""
    return sum(_real(t).square()) * 0.5
