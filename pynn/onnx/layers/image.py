"""Export of convolutions, pooling, padding and enlarging."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import nn
from pynn.onnx.builder import Builder, Wire, channels_first, converter
from pynn.onnx.layers.basic import activated
from pynn.ops.window import resolve_padding

Four = tuple[int, int, int, int]


def _pads(four: Four, rank: int) -> list[int]:
    """Return (top, bottom, left, right) as ONNX wants it: befores, then afters."""
    top, bottom, left, right = four
    return [left, right] if rank == 3 else [top, left, bottom, right]


def _pair(value: Any, rank: int) -> list[int]:
    return [value[1]] if rank == 3 else list(value)


def _four(layer: Any, x: Wire, kernel: Any, strides: Any, dilation: Any = (1, 1)) -> Four:
    shape = (1, 1, *x.shape[1:]) if x.ndim == 3 else (1, *x.shape[1:])
    return resolve_padding(layer.place, layer.padding, shape, kernel, strides, dilation)


def outputs_first(w: np.ndarray) -> np.ndarray:
    """Return a kernel [rows, columns, channels, outputs] as [outputs, channels, rows, columns]."""
    return np.moveaxis(w, (-1, -2), (0, 1))


def each_channel(w: np.ndarray) -> np.ndarray:
    """Return a depthwise kernel [rows, columns, C, multiplier] as [C * multiplier, 1, rows, columns]."""
    return outputs_first(w.reshape(*w.shape[:2], 1, -1))


def _conv(b: Builder, layer: Any, x: Wire, w: str, bias: Any, groups: int) -> Wire:
    rank = x.ndim
    four = _four(layer, x, layer.kernel_size, layer.strides, layer.dilation_rate)
    inputs = [b.first(x), w, *([] if bias is None else [b.weight(bias, "b")])]
    y = b.node(
        "Conv", inputs, kernel_shape=_pair(layer.kernel_size, rank), strides=_pair(layer.strides, rank),
        pads=_pads(four, rank), dilations=_pair(layer.dilation_rate, rank), group=groups,
    )  # fmt: skip
    return Wire(b.shape_of(layer, x), {channels_first(rank): y})


@converter(nn.Conv2D, nn.Conv1D)
def _convolution(b: Builder, layer: Any, x: Wire) -> Wire:
    return activated(b, layer, _conv(b, layer, x, b.weight(layer.w, "w", outputs_first), layer._bias, layer.groups))


@converter(nn.DepthwiseConv2D)
def _depthwise(b: Builder, layer: Any, x: Wire) -> Wire:
    w = b.weight(layer.w, "w", each_channel)
    return activated(b, layer, _conv(b, layer, x, w, layer._bias, layer.w.shape[2]))


@converter(nn.SeparableConv2D)
def _separable(b: Builder, layer: Any, x: Wire) -> Wire:
    z = _conv(b, layer, x, b.weight(layer.w, "w", each_channel), None, layer.w.shape[2])
    inputs = [b.first(z), b.weight(layer.pointwise, "pointwise", outputs_first)]
    y = b.node("Conv", inputs + ([] if layer._bias is None else [b.weight(layer._bias, "b")]))
    return activated(b, layer, Wire(z.shape, {channels_first(4): y}))


def channels_outputs(w: np.ndarray) -> np.ndarray:
    """Return a kernel [rows, columns, outputs, C] as [C, outputs, rows, columns]."""
    return np.moveaxis(w, (3, 2), (0, 1))


@converter(nn.Conv2DTranspose)
def _transposed(b: Builder, layer: Any, x: Wire) -> Wire:
    size, window = layer._geometry((1, *x.shape[1:]))
    top, bottom, left, right = window.padding
    extra = []
    for axis, (before, after) in enumerate(((top, bottom), (left, right))):
        extent = (layer.kernel_size[axis] - 1) * layer.dilation_rate[axis] + 1
        full = (x.shape[axis + 1] - 1) * layer.strides[axis] + extent
        extra.append(size[axis] - full + before + after)
    # ONNX takes what is missing as output_padding if it is less than a stride; the rest becomes padding or is cut.
    ends = [bottom - min(extra[0], 0), right - min(extra[1], 0)]
    some = [min(max(e, 0), s - 1) for e, s in zip(extra, layer.strides, strict=True)]
    inputs = [b.first(x), b.weight(layer.w, "w", channels_outputs)]
    y = b.node(
        "ConvTranspose", inputs, kernel_shape=list(layer.kernel_size), strides=list(layer.strides),
        pads=[top, left, *ends], dilations=list(layer.dilation_rate), output_padding=some,
    )  # fmt: skip
    rest = [max(e, 0) - s for e, s in zip(extra, some, strict=True)]
    if any(rest):
        y = b.node("Pad", [y, b.ints([0, 0, 0, 0, 0, 0, *rest])])
    if layer.use_bias:
        y = b.node("Add", [y, b.weight(layer.b, "b", each_plane)])
    return activated(b, layer, Wire(b.shape_of(layer, x), {channels_first(4): y}))


def each_plane(bias: np.ndarray) -> np.ndarray:
    """Return numbers per channel as [C, 1, 1]."""
    return bias.reshape(-1, 1, 1)


@converter(nn.LocallyConnected2D)
def _local(b: Builder, layer: Any, x: Wire) -> Wire:
    """Patches by a convolution whose kernel is the identity, then a product for every place."""
    shape = b.shape_of(layer, x)
    (rows, columns), c = layer.kernel_size, x.shape[3]
    terms = rows * columns * c
    identity = outputs_first(np.eye(terms, dtype=b.dtype).reshape(rows, columns, c, terms))
    pads = _pads(_four(layer, x, layer.kernel_size, layer.strides), 4)
    kernel = b.constant(identity, "patch")
    patches = b.node("Conv", [b.first(x), kernel], strides=list(layer.strides), pads=pads)
    places = b.node("Reshape", [patches, b.ints([0, terms, shape[1] * shape[2]])])
    rowwise = b.node("Transpose", [places], perm=[2, 0, 1])
    product = b.node("MatMul", [rowwise, b.weight(layer.w, "w")])
    y = b.node("Reshape", [b.node("Transpose", [product], perm=[1, 0, 2]), b.ints([-1, *shape[1:]])])
    y = b.node("Add", [y, b.weight(layer.b, "b")]) if layer.use_bias else y
    return activated(b, layer, Wire(shape, {(0, 1, 2, 3): y}))


@converter(nn.MaxPool2D, nn.AvgPool2D, nn.MaxPool1D, nn.AvgPool1D)
def _pool(b: Builder, layer: Any, x: Wire) -> Wire:
    line = x.ndim == 3
    kernel, strides = (((1, v) if line else v) for v in (layer.pool_size, layer.strides))
    op = "MaxPool" if isinstance(layer, (nn.MaxPool2D, nn.MaxPool1D)) else "AveragePool"
    pads = _pads(_four(layer, x, kernel, strides), x.ndim)
    y = b.node(op, [b.first(x)], kernel_shape=_pair(kernel, x.ndim), strides=_pair(strides, x.ndim), pads=pads)
    return Wire(b.shape_of(layer, x), {channels_first(x.ndim): y})


@converter(nn.GlobalAvgPool, nn.GlobalMaxPool)
def _global(b: Builder, layer: Any, x: Wire) -> Wire:
    average = isinstance(layer, nn.GlobalAvgPool)
    if x.lengths:
        return _global_padded(b, layer, x, average)
    y = b.node("GlobalAveragePool" if average else "GlobalMaxPool", [b.first(x)])
    shape = b.shape_of(layer, x)
    if layer.keepdims:
        return Wire(shape, {channels_first(x.ndim): y})
    return Wire(shape, {(0, 1): b.node("Flatten", [y], axis=1)})


def _global_padded(b: Builder, layer: Any, x: Wire, average: bool) -> Wire:
    """Pool over the real steps of padded sequences; without any the output is 0."""
    steps = b.constant(np.arange(x.shape[1], dtype=np.int32).reshape(1, -1, *(1,) * (x.ndim - 2)), "steps")
    on = b.node("Less", [steps, b.node("Reshape", [x.lengths or "", b.ints([-1, *(1,) * (x.ndim - 1)])])])
    axes = list(range(1, x.ndim - 1))
    count = b.node("Reshape", [x.lengths or "", b.ints([-1, *(1,) * (x.ndim - 1 if layer.keepdims else 1)])])
    if average:
        total = b.reduce("ReduceSum", b.node("Where", [on, b.plain(x), b.number(0.0)]), axes, layer.keepdims)
        count = b.node("Cast", [count], to=b.helper.np_dtype_to_tensor_dtype(b.dtype))
        count = b.node("Max", [count, b.number(1.0)])
        y = b.node("Div", [total, b.node("Mul", [count, b.number(float(np.prod(x.shape[2:-1])))])])
    else:
        seen = b.node("Where", [on, b.plain(x), b.number(float(np.finfo(b.dtype).min))])
        y = b.reduce("ReduceMax", seen, axes, layer.keepdims)
        y = b.node("Where", [b.node("Less", [count, b.constant(np.array(1, np.int32), "one")]), b.number(0.0), y])
    return Wire(b.shape_of(layer, x), {tuple(range(x.ndim if layer.keepdims else 2)): y})


@converter(nn.ZeroPadding2D)
def _padding(b: Builder, layer: Any, x: Wire) -> Wire:
    perm, name = x.at_hand
    top, bottom, left, right = layer.padding
    before, after = ([(0, a, c, 0)[axis] for axis in perm] for a, c in ((top, left), (bottom, right)))
    return Wire(b.shape_of(layer, x), {perm: b.node("Pad", [name, b.ints([*before, *after])])})


@converter(nn.Cropping2D)
def _cropping(b: Builder, layer: Any, x: Wire) -> Wire:
    perm, name = x.at_hand
    top, bottom, left, right = layer.padding if hasattr(layer, "padding") else layer.cropping
    starts, ends = [top, left], [x.shape[1] - bottom, x.shape[2] - right]
    axes = [perm.index(1), perm.index(2)]
    y = b.node("Slice", [name, b.ints(starts), b.ints(ends), b.ints(axes)])
    return Wire(b.shape_of(layer, x), {perm: y})


@converter(nn.UpSampling2D)
def _upsampling(b: Builder, layer: Any, x: Wire) -> Wire:
    scales = b.constant(np.array([1, 1, *layer.size], np.float32), "scales")
    nearest = layer.interpolation == "nearest"
    y = b.node(
        "Resize", [b.first(x), "", scales], mode="nearest" if nearest else "linear",
        coordinate_transformation_mode="asymmetric" if nearest else "half_pixel", nearest_mode="floor",
    )  # fmt: skip
    return Wire(b.shape_of(layer, x), {channels_first(4): y})


@converter(nn.RandomCrop)
def _middle(b: Builder, layer: Any, x: Wire) -> Wire:
    """At inference the window is cut out of the middle; a larger one is filled up."""
    if layer.size is None:
        return x
    perm, name = x.at_hand
    more = [size - n for size, n in zip(layer.size, x.shape[1:3], strict=True)]
    before = [-((1 - m) // 2) for m in more]
    after = [m - p for m, p in zip(more, before, strict=True)]
    pads = [(0, *(max(n, 0) for n in side), 0)[axis] for side in (before, after) for axis in perm]
    if any(pads):
        name = b.node("Pad", [name, b.ints(pads)], mode="constant" if layer.fill == "constant" else "edge")
    starts = [max(-p, 0) for p in before]
    ends = [start + size for start, size in zip(starts, layer.size, strict=True)]
    cut = b.node("Slice", [name, b.ints(starts), b.ints(ends), b.ints([perm.index(1), perm.index(2)])])
    return Wire(b.shape_of(layer, x), {perm: cut})
