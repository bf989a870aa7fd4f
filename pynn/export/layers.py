"""How layers become steps: all but the recurrent ones."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Any

import numpy as np

from pynn import nn
from pynn.export.steps import Builder, lowers, unsupported
from pynn.export.walk import Value
from pynn.ops.window import Window, output_size, resolve_padding

# Simple layers


@lowers(nn.Dense)
def _dense(b: Builder, layer: Any, x: Value) -> Value:
    weights = {"w": layer.w, "b": layer.b if layer.use_bias else None}
    return b.activation(layer, b.add("dense", x, (*x.shape[:-1], layer.units), weights))


@lowers(nn.Maxout)
def _maxout(b: Builder, layer: Any, x: Value) -> Value:
    z = b.add("dense", x, (*x.shape[:-1], layer.units * layer.pieces), {"w": layer.w, "b": layer.b})
    return b.add("maxout", z, b.out_shape, pieces=layer.pieces)


@lowers(nn.Activation)
def _activation(b: Builder, layer: Any, x: Value) -> Value:
    return b.activation(layer, x, layer._options)


@lowers(
    nn.Dropout, nn.SpatialDropout2D, nn.RandomAffine, nn.RandomShift, nn.RandomRotation, nn.RandomZoom, nn.RandomShear,
    nn.RandomFlip, nn.RandomErasing, nn.ElasticDeformation,
)  # fmt: skip
def _identity(b: Builder, layer: Any, x: Value) -> Value:
    return x


@lowers(nn.RandomCrop)
def _middle(b: Builder, layer: Any, x: Value) -> Value:
    (h, w), (height, width) = x.shape[:2], b.out_shape[:2]
    if height > h or width > w:
        raise unsupported(layer, f"expected a window inside the image of {h} x {w}. Received: {height} x {width}")
    top, left = (h - height + 1) // 2, (w - width + 1) // 2
    return _cropped(b, x, (top, h - height - top, left, w - width - left))


@lowers(nn.Flatten, nn.Reshape)
def _reshape(b: Builder, layer: Any, x: Value) -> Value:
    return b.reshape(x, b.out_shape)


@lowers(nn.Embedding)
def _embedding(b: Builder, layer: Any, x: Value) -> Value:
    if layer.mask_zero:
        if x.repeat > 1 or len(x.shape) != 1:
            raise unsupported(layer, "mask_zero is exported for sequences of ids alone, outside TimeDistributed")
        b.add("lengths", x, (), which=b.out_lengths)
    return b.add("embedding", x, (*x.shape, layer.output_dim), {"w": layer.w})


# Layers of several inputs


@lowers(nn.Concatenate)
def _concatenate(b: Builder, layer: Any, *xs: Value) -> Value:
    rank = len(xs[0].shape) + 1
    return b.add("concat", list(xs), b.out_shape, axis=layer.axis % rank)


def _elementwise(b: Builder, op: str, xs: tuple[Value, ...]) -> Value:
    def two(p: Value, q: Value) -> Value:
        shape = tuple(max(s, t) if 0 not in (s, t) else 0 for s, t in zip(p.shape, q.shape, strict=True))
        return b.add(op, [_expanded(b, p, shape), _expanded(b, q, shape)], shape)

    return reduce(two, xs)


def _expanded(b: Builder, x: Value, shape: tuple[int, ...]) -> Value:
    for axis, size in enumerate(shape):
        if x.shape[axis] != size:
            x = _repeated(b, x, axis, size)
    return x


def _repeated(b: Builder, x: Value, axis: int, times: int) -> Value:
    if times == 1:
        return x
    shape = (*x.shape[:axis], x.shape[axis] * times, *x.shape[axis + 1 :])
    return b.add("repeat", x, shape, axis=axis + 1, times=times)


@lowers(nn.Add)
def _add(b: Builder, layer: Any, *xs: Value) -> Value:
    return _elementwise(b, "add", xs)


@lowers(nn.Multiply)
def _multiply(b: Builder, layer: Any, *xs: Value) -> Value:
    return _elementwise(b, "multiply", xs)


# Windows that walk over images; sequences are images of one row.


def _image(b: Builder, x: Value) -> Value:
    """Return [..., C] as [rows, columns, C]."""
    shape = x.shape if len(x.shape) == 3 else (1, prod(x.shape[:-1]), x.shape[-1])
    return b.reshape(x, shape)


def _geometry(layer: Any, x: Value, kernel: tuple[int, int], strides: Any, padding: Any, dilation: Any) -> Any:
    shape = (1, *x.shape)
    four = resolve_padding("export", padding, shape, kernel, strides, dilation)
    return output_size("export", shape, kernel, Window(strides, dilation, four)), four


def _convolved(b: Builder, layer: Any, x: Value, w: np.ndarray, bias: Any, groups: int) -> Value:
    line = _image(b, x)
    size, four = _geometry(layer, line, layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate)
    return b.add(
        "conv2d", line, (*size, w.shape[3]), {"w": w, "b": bias},
        strides=layer.strides, dilation=layer.dilation_rate, padding=four, groups=groups,
    )  # fmt: skip


@lowers(nn.Conv2D, nn.Conv1D)
def _conv(b: Builder, layer: Any, x: Value) -> Value:
    w = layer.w.numpy()
    w = w if w.ndim == 4 else w[None]
    y = _convolved(b, layer, x, w, layer._bias, layer.groups)
    return b.reshape(b.activation(layer, y), b.out_shape)


def _depthwise(b: Builder, layer: Any, x: Value, bias: Any) -> Value:
    w = layer.w.numpy()
    return _convolved(b, layer, x, w.reshape(*w.shape[:2], 1, -1), bias, w.shape[2])


@lowers(nn.DepthwiseConv2D)
def _depthwise_conv(b: Builder, layer: Any, x: Value) -> Value:
    return b.activation(layer, _depthwise(b, layer, x, layer._bias))


@lowers(nn.SeparableConv2D)
def _separable_conv(b: Builder, layer: Any, x: Value) -> Value:
    z = _depthwise(b, layer, x, None)
    w = layer.pointwise.numpy()[0, 0]
    return b.activation(layer, b.add("dense", z, (*z.shape[:2], layer.filters), {"w": w, "b": layer._bias}))


@lowers(nn.Conv2DTranspose)
def _conv_transpose(b: Builder, layer: Any, x: Value) -> Value:
    size, window = layer._geometry((1, *x.shape))
    y = b.add(
        "conv2d_transpose", x, (*size, layer.filters), {"w": layer.w, "b": layer._bias},
        size=size, strides=window.strides, dilation=window.dilation, padding=window.padding,
    )  # fmt: skip
    return b.activation(layer, y)


@lowers(nn.LocallyConnected2D)
def _local(b: Builder, layer: Any, x: Value) -> Value:
    (oh, ow), four = _geometry(layer, x, layer.kernel_size, layer.strides, layer.padding, (1, 1))
    y = b.add(
        "local2d", x, (oh, ow, layer.filters), {"w": layer.w, "b": layer._bias},
        kernel=layer.kernel_size, strides=layer.strides, padding=four,
    )  # fmt: skip
    return b.activation(layer, y)


def _pooled(b: Builder, op: str, x: Value, kernel: tuple[int, int], strides: tuple[int, int], padding: Any) -> Value:
    size, four = _geometry(None, x, kernel, strides, padding, (1, 1))
    return b.add(op, x, (*size, x.shape[2]), kernel=kernel, strides=strides, padding=four)


@lowers(nn.MaxPool2D, nn.AvgPool2D, nn.MaxPool1D, nn.AvgPool1D)
def _pool(b: Builder, layer: Any, x: Value) -> Value:
    op = "max_pool2d" if isinstance(layer, (nn.MaxPool2D, nn.MaxPool1D)) else "avg_pool2d"
    kernel, strides = layer.pool_size, layer.strides
    if isinstance(kernel, int):
        kernel, strides = (1, kernel), (1, strides)
    return b.reshape(_pooled(b, op, _image(b, x), kernel, strides, layer.padding), b.out_shape)


@lowers(nn.GlobalAvgPool, nn.GlobalMaxPool)
def _global_pool(b: Builder, layer: Any, x: Value) -> Value:
    if b.lengths is not None:
        average = isinstance(layer, nn.GlobalAvgPool)
        return b.reshape(b.add("pool_steps", x, (x.shape[-1],), average=average, lengths=b.lengths), b.out_shape)
    op = "max_pool2d" if isinstance(layer, nn.GlobalMaxPool) else "avg_pool2d"
    line = _image(b, x)
    return b.reshape(_pooled(b, op, line, line.shape[:2], (1, 1), "valid"), b.out_shape)  # type: ignore[arg-type]


@lowers(nn.ZeroPadding2D)
def _padded(b: Builder, layer: Any, x: Value) -> Value:
    return b.add("pad2d", x, b.out_shape, padding=layer.padding) if any(layer.padding) else x


def _cropped(b: Builder, x: Value, four: tuple[int, int, int, int]) -> Value:
    top, bottom, left, right = four
    shape = (x.shape[0] - top - bottom, x.shape[1] - left - right, x.shape[2])
    return b.add("crop2d", x, shape, top=top, left=left) if any(four) else x


@lowers(nn.Cropping2D)
def _crop(b: Builder, layer: Any, x: Value) -> Value:
    return _cropped(b, x, layer.cropping)


@lowers(nn.UpSampling2D)
def _upsample(b: Builder, layer: Any, x: Value) -> Value:
    rows, columns = layer.size
    if layer.interpolation == "nearest":
        return _repeated(b, _repeated(b, x, 0, rows), 1, columns)
    for axis, factor in enumerate((rows, columns)):
        if factor > 1:
            shape = (*x.shape[:axis], x.shape[axis] * factor, *x.shape[axis + 1 :])
            x = b.add("stretch", x, shape, axis=axis + 1, factor=factor)
    return x


# Normalization


def _affine(layer: Any) -> dict[str, Any]:
    gamma, beta = layer._affine
    return {"gamma": gamma, "beta": beta}


@lowers(nn.BatchNormalization)
def _batch_norm(b: Builder, layer: Any, x: Value) -> Value:
    dtype = layer.moving_mean.dtype
    scale = 1 / np.sqrt(layer.moving_variance.numpy().astype(np.float64) + layer.epsilon)
    if layer.scale:
        scale = scale * layer.gamma.numpy()
    shift = layer.beta.numpy() if layer.center else np.zeros(scale.shape, dtype)
    return b.add("scale_shift", x, x.shape, {"m": layer.moving_mean, "s": scale.astype(dtype), "b": shift})


@lowers(nn.LayerNormalization)
def _layer_norm(b: Builder, layer: Any, x: Value) -> Value:
    keep = len(x.shape) - len(layer.axis)
    weights = {k: None if w is None else w.numpy().ravel() for k, w in _affine(layer).items()}
    flat = b.reshape(x, (*x.shape[:keep], prod(x.shape[keep:])))
    return b.reshape(b.add("layer_norm", flat, flat.shape, weights, epsilon=float(layer.epsilon)), x.shape)


@lowers(nn.GroupNormalization)
def _group_norm(b: Builder, layer: Any, x: Value) -> Value:
    groups = x.shape[-1] if layer.groups == -1 else layer.groups
    return b.add("group_norm", x, x.shape, _affine(layer), groups=groups, epsilon=float(layer.epsilon))


@lowers(nn.LocalResponseNormalization)
def _response_norm(b: Builder, layer: Any, x: Value) -> Value:
    bias, alpha, beta = float(layer.bias), float(layer.alpha), float(layer.beta)
    return b.add("response_norm", x, x.shape, radius=int(layer.depth_radius), bias=bias, alpha=alpha, beta=beta)
