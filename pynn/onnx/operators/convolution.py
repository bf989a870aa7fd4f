"""Convolutions over one, two and three axes, and their transposes."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import ops
from pynn.core.tensor import Tensor
from pynn.errors import DataError, ShapeError
from pynn.onnx.operators.registry import Node, floating, operator
from pynn.onnx.operators.shapes import padded
from pynn.onnx.operators.window import Walk, auto_pad, positive, same_pads, walk
from pynn.onnx.value import Value, channels_last
from pynn.ops.elementwise import activated


def kernel_last(node: Node, rank: int) -> tuple[int, ...]:
    """Return the order of axes of pynn's kernels: [size, ..., channels, outputs] of ONNX's [outputs, channels, ...]."""
    return (*range(2, rank), 1, 0)


def _operands(node: Node, x: Value, w: Value) -> tuple[Tensor, Tensor, int]:
    """Return images and kernel with channels last, over two or three axes, and the rank that was given."""
    if x.ndim not in (3, 4, 5) or w.ndim != x.ndim:
        raise ShapeError(f"expected a kernel over one, two or three axes. Received: x {x.shape}, w {w.shape}.")
    shape = node.integers("kernel_shape")
    if shape is not None and tuple(shape) != w.shape[2:]:
        raise ShapeError(f"expected a kernel of size {shape}. Received: w.shape={w.shape}.")
    if min(*w.shape, *x.shape[2:]) < 1:
        raise ShapeError(f"expected images and a kernel that are not empty. Received: x {x.shape}, w {w.shape}.")
    images, kernel = floating(x.last), floating(w.form(kernel_last(node, w.ndim)), "the kernel")
    if x.ndim == 3:
        images = ops.reshape(images, (images.shape[0], 1, *images.shape[1:]))
        kernel = ops.reshape(kernel, (1, *kernel.shape))
    return images, kernel, x.ndim


def _line(values: list[int], rest: int) -> tuple[int, int]:
    """Return what holds for rows and columns, if there are columns alone."""
    return (rest, values[0]) if len(values) == 1 else (values[0], values[1])


def _four(before: list[int], after: list[int]) -> tuple[int, int, int, int]:
    (top, left), (bottom, right) = _line(before, 0), _line(after, 0)
    return top, bottom, left, right


@operator("Conv", inputs=(2, 3), weights={1: kernel_last, 2: None})
def conv(node: Node, x: Value, w: Value, b: Value | None = None, algorithm: str | None = None) -> Value:
    """Return the correlation of images [N, C, ...] with a kernel [outputs, C / group, ...]."""
    images, kernel, rank = _operands(node, x, w)
    groups = node.integer("group", 1)
    if groups < 1 or x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise ShapeError(f"expected images of {w.shape[1]} x group channels. Received: {x.shape}, group={groups}.")
    way = walk(node, list(x.shape[2:]), list(w.shape[2:]))
    wide = [d + p + q for d, p, q in zip(x.shape[2:], way.before, way.after, strict=True)]
    node.room((x.shape[0], x.shape[1], *wide), x.dtype)
    node.room((x.shape[0], w.shape[0], *way.out), x.dtype)
    bias = None if b is None else b.plain
    if rank == 5:
        return Value.of(activated(node.then, None, _conv3d(images, kernel, bias, way, groups)), channels_last(5))
    options: dict[str, Any] = {"activation": node.then, **({"algorithm": algorithm} if algorithm else {})}
    if rank == 4 and x.shape[3] == kernel.shape[1] == 1 and not (way.before[1] or way.after[1]):  # one column: as a row
        row, taps = (ops.reshape(t, _turned(t.shape, at)) for t, at in ((images, 1), (kernel, 0)))
        line = (0, 0, way.before[0], way.after[0])
        y = ops.conv2d(row, taps, bias, (1, way.strides[0]), line, (1, way.dilations[0]), groups, **options)
        return Value.of(ops.reshape(y, (y.shape[0], y.shape[2], 1, y.shape[3])), channels_last(4))
    pads = _four(way.before, way.after)
    y = ops.conv2d(images, kernel, bias, _line(way.strides, 1), pads, _line(way.dilations, 1), groups, **options)
    return _flat(y, rank)


def _turned(shape: tuple[int, ...], at: int) -> tuple[int, ...]:
    return (*shape[:at], shape[at + 1], shape[at], *shape[at + 2 :])


def _flat(y: Tensor, rank: int) -> Value:
    return Value.of(y if rank == 4 else ops.reshape(y, (y.shape[0], *y.shape[2:])), channels_last(rank))


def _conv3d(x: Tensor, w: Tensor, b: Tensor | None, way: Walk, groups: int) -> Tensor:
    """Return the sum of two-dimensional convolutions, one for each plane of the kernel."""
    x = padded(x, [0, way.before[0], 0, 0, 0], [0, way.after[0], 0, 0, 0])
    n, step, depth, y = x.shape[0], way.strides[0], way.out[0], None
    pads = _four(way.before[1:], way.after[1:])
    for k in range(w.shape[0]):
        start = k * way.dilations[0]
        planes = x[:, start : start + (depth - 1) * step + 1 : step]
        planes = ops.reshape(planes, (n * depth, *x.shape[2:]))
        part = ops.conv2d(planes, w[k], None, way.strides[1:], pads, way.dilations[1:], groups)
        y = part if y is None else ops.add(y, part)
    assert y is not None
    y = ops.reshape(y, (n, depth, *y.shape[1:]))
    return y if b is None else ops.add(y, b)


@operator("ConvTranspose", inputs=(2, 3), weights={1: kernel_last, 2: None})
def conv_transpose(node: Node, x: Value, w: Value, b: Value | None = None) -> Value:
    """Return the transpose of the convolution with a kernel [C, outputs / group, ...]."""
    images, kernel, rank = _operands(node, x, w)
    groups, axes = node.integer("group", 1), rank - 2
    if groups < 1 or x.shape[1] != w.shape[0] or w.shape[0] % groups:
        raise ShapeError(f"expected images of {w.shape[0]} channels. Received: {x.shape}, group={groups}.")
    strides, dilations = positive(node, "strides", axes), positive(node, "dilations", axes)
    sizes, before, full = _transposed_sizes(node, list(x.shape[2:]), list(w.shape[2:]), strides, dilations)
    outputs = w.shape[1] * groups
    node.room((x.shape[0], outputs, *(max(pair) for pair in zip(sizes, full, strict=True))), x.dtype)
    after = [f - s - p for f, s, p in zip(full, sizes, before, strict=True)]
    if min(sizes) < 1:
        raise ShapeError(f"the output would be empty. Received: x.shape={x.shape}, output {sizes}.")
    if rank == 5:
        y = _conv_transpose3d(images, kernel, strides, dilations, groups, full)
        y = padded(y, [0, *(-p for p in before), 0], [0, *(-p for p in after), 0])
    else:
        steps, gaps = _line(strides, 1), _line(dilations, 1)
        if min(*before, *after) >= 0:
            size, pads = _line(sizes, 1), _four(before, after)
            y = ops.conv2d_transpose(images, kernel, size, steps, pads, gaps, groups)
        else:  # zeros join the output
            y = ops.conv2d_transpose(images, kernel, _line(full, 1), steps, 0, gaps, groups)
            top, bottom, left, right = _four(before, after)
            y = padded(y, [0, -top, -left, 0], [0, -bottom, -right, 0])
    y = y if b is None else ops.add(y, b.plain)
    return _flat(y, rank) if rank < 5 else Value.of(y, channels_last(5))


def _transposed_sizes(
    node: Node, sizes: list[int], kernel: list[int], strides: list[int], dilations: list[int]
) -> tuple[list[int], list[int], list[int]]:
    """Return the sizes of the output, how much is cut off before it, and what all of it would be."""
    axes, mode = len(sizes), auto_pad(node)
    extra = positive(node, "output_padding", axes, 0, 0)
    wanted = node.integers("output_shape")
    wanted = None if wanted is None else wanted[-axes:]
    pads = positive(node, "pads", 2 * axes, 0, 0) if mode == "NOTSET" else [0] * 2 * axes
    out, before, full = [], pads[:axes], []
    walked = zip(sizes, kernel, list(strides), list(dilations), strict=True)
    for i, (n, k, s, d) in enumerate(walked):
        all_of_it = (n - 1) * s + (k - 1) * d + 1
        size = all_of_it + extra[i] - pads[i] - pads[i + axes]
        if wanted is not None or mode.startswith("SAME"):
            size = n * s if wanted is None else wanted[i]
            if not 1 <= size < 2**31:
                raise DataError(f"expected positive sizes as output_shape. Received: {wanted}.")
            # An odd row is cut off after, and before for all but SAME_UPPER where the size is given.
            total = all_of_it + extra[i] - size
            before[i] = same_pads(total, "SAME_UPPER" if mode == "SAME_UPPER" else "SAME_LOWER")[0]
        if before[i] >= all_of_it:
            raise ShapeError(f"the output would lie beside all that is computed. Received: output_padding={extra}.")
        out.append(size)
        full.append(all_of_it)
        strides[i] = 1 if n == 1 else s  # between one pixel and the next: scratch memory grows with both
        dilations[i] = 1 if k == 1 else d
    return out, before, full


def _conv_transpose3d(
    x: Tensor, w: Tensor, strides: list[int], dilations: list[int], groups: int, full: list[int]
) -> Tensor:
    """Return the sum over planes of the kernel, each spread over the depth."""
    n, depth = x.shape[:2]
    planes = ops.reshape(x, (n * depth, *x.shape[2:]))
    step, y = strides[0], None
    for k in range(w.shape[0]):
        part: Any = ops.conv2d_transpose(planes, w[k], (full[1], full[2]), strides[1:], 0, dilations[1:], groups)
        part = ops.reshape(part, (n, depth, 1, *part.shape[1:]))
        if step > 1:
            part = padded(part, [0] * 6, [0, 0, step - 1, 0, 0, 0])
        part = ops.reshape(part, (n, depth * step, *part.shape[3:]))
        start = k * dilations[0]
        part = padded(part, [0, start, 0, 0, 0], [0, full[0] - start - depth * step, 0, 0, 0])
        y = part if y is None else ops.add(y, part)
    assert y is not None
    return y


@operator("DepthToSpace", "SpaceToDepth")
def blocks(node: Node, x: Value) -> Value:
    """Return images whose channels become blocks of pixels, or the other way round."""
    size = node.integer("blocksize", 0)
    if x.ndim != 4 or size < 1:
        raise ShapeError(f"expected images [N, C, H, W] and a block size. Received: {x.shape}, blocksize={size}.")
    n, c, h, w = x.shape
    mode = node.text("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise DataError(f"expected the mode DCR or CRD. Received: {mode!r}.")
    if node.op == "SpaceToDepth":
        if h % size or w % size:
            raise ShapeError(f"expected sizes that blocks of {size} fill. Received: {x.shape}.")
        y = ops.reshape(x.plain, (n, c, h // size, size, w // size, size))
        order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
        return Value.of(ops.reshape(ops.transpose(y, order), (n, c * size * size, h // size, w // size)))
    if c % (size * size):
        raise ShapeError(f"expected channels that fill blocks of {size}. Received: {x.shape}.")
    rest = c // (size * size)
    split = (n, size, size, rest, h, w) if mode == "DCR" else (n, rest, size, size, h, w)
    order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    y = ops.transpose(ops.reshape(x.plain, split), order)
    return Value.of(ops.reshape(y, (n, rest, h * size, w * size)))


@operator("Resize", "Upsample", inputs=(1, 4))
def resize(node: Node, x: Value, *more: Value | None) -> Value:
    """Return images enlarged by whole factors: each pixel repeated, or linearly between the centres of pixels."""
    operands = [*more, None, None, None]
    given = operands[0] if node.op == "Upsample" or node.version < 11 else operands[1]
    factors = node.attributes.get("scales") if node.version < 9 else node.static(given, "the scales")
    if factors is None or len(factors) == 0:
        sizes = node.static_ints(operands[2], "the sizes") if node.op == "Resize" and node.version >= 11 else None
        if sizes is None or len(sizes) != x.ndim or min(x.shape) < 1:
            raise DataError("expected scales or sizes.")
        factors = [a / b for a, b in zip(sizes, x.shape, strict=True)]
    scales = [float(f) for f in factors]
    mode = node.text("mode", "nearest")
    where = node.text("coordinate_transformation_mode", "half_pixel" if node.version >= 11 else "asymmetric")
    if x.ndim != 4 or len(scales) != 4 or scales[:2] != [1, 1] or any(s < 1 or s % 1 or s > 1024 for s in scales[2:]):
        raise DataError(f"expected images enlarged by whole factors. Received: x.shape={x.shape}, scales={scales}.")
    rounding = node.text("nearest_mode", "round_prefer_floor")
    repeating = [("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil"), ("asymmetric", "floor")]
    repeats = mode == "nearest" and (node.version < 11 or (where, rounding) in repeating)
    if not repeats and (mode, where) != ("linear", "half_pixel"):
        raise DataError(f"the mode {mode!r} with coordinates {where!r} and {rounding!r} is not supported.")
    shape = (x.shape[0], x.shape[1], *(int(d * s) for d, s in zip(x.shape[2:], scales[2:], strict=True)))
    node.room(shape, np.float64)
    y = ops.upsample2d(
        floating(x.last), (int(scales[2]), int(scales[3])), "nearest" if mode == "nearest" else "bilinear"
    )
    return Value.of(y, channels_last(4))
