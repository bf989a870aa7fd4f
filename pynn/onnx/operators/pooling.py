"""Pooling over windows, and over whole images."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from pynn import ops
from pynn.core.graph import execute
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import DataError, ShapeError
from pynn.onnx.operators.registry import Node, floating, operator
from pynn.onnx.operators.window import Walk, positive, reduced, walk
from pynn.onnx.value import Value, channels_last
from pynn.ops.window import Window


def _walk(node: Node, x: Value) -> Walk:
    if x.ndim not in (3, 4, 5):
        raise ShapeError(f"expected images over one, two or three axes. Received: x.shape={x.shape}.")
    if node.integers("kernel_shape") is None:
        raise DataError("expected the attribute kernel_shape.")
    way = walk(node, list(x.shape[2:]), positive(node, "kernel_shape", x.ndim - 2))
    wide = (d + b + a for d, b, a in zip(x.shape[2:], way.before, way.after, strict=True))
    node.room((x.shape[0], x.shape[1], *wide), x.dtype)
    return way


def _plain(x: Value, way: Walk) -> Window | None:
    """Return the walk for pynn's pooling kernels, which want two axes, no gaps, and some of the image in every window.

    None if they cannot walk it.
    """
    seen = all(way.inside(a, 0, x.shape[a + 2]).min(initial=1) > 0 for a in range(x.ndim - 2))
    if x.ndim == 5 or any(d != 1 for d in way.dilations) or not seen:
        return None
    if any(b >= k for b, k in zip(way.before, way.kernel, strict=True)):
        return None
    rows = [0] * (4 - x.ndim)
    ones = [1] * (4 - x.ndim)
    (top, left), (bottom, right) = [*rows, *way.before], [*rows, *way.after]
    step: Any = tuple([*ones, *way.strides])
    return Window(step, (1, 1), (top, bottom, left, right))


def _images(x: Value) -> Tensor:
    images = x.last if x.dtype in FLOATS else x.last.astype("float64")
    return images if x.ndim == 4 else ops.reshape(images, (x.shape[0], 1, *images.shape[1:]))


def _back(y: Tensor, x: Value) -> Value:
    y = y if x.ndim == 4 else ops.reshape(y, (y.shape[0], *y.shape[2:]))
    return Value.of(y if y.dtype == x.dtype else y.astype(x.dtype), channels_last(x.ndim))


@operator("MaxPool")
def max_pool(node: Node, x: Value) -> Any:
    """Return the largest value of each window, and where it lies if that is wanted."""
    way = _walk(node, x)
    window = _plain(x, way)
    wants_places = len(node.outputs) > 1
    if window is None:
        if wants_places:
            raise DataError(
                "the indices of windows with dilations, over three axes or in the padding are not supported."
            )
        images = x.last if x.dtype in FLOATS else x.last.astype("float64")
        y = reduced(node, images, way, -np.inf, ops.maximum)
        return Value.of(y if y.dtype == x.dtype else y.astype(x.dtype), channels_last(x.ndim))
    kernel: Any = (1, *way.kernel) if x.ndim == 3 else tuple(way.kernel)
    images = _images(x)
    if not wants_places:
        return _back(ops.max_pool2d(images, kernel, window.strides, window.padding), x)
    y, at = execute(ops.pool._MaxPool, (images,), {"kernel": kernel, "window": window})  # type: ignore[arg-type]
    return _back(y, x), _places(node, x, at, kernel, window)


def _places(node: Node, x: Value, at: Tensor, kernel: tuple[int, ...], window: Window) -> Value:
    """Return the places of maxima in the whole tensor, counted as ONNX does, from those in the windows."""
    n, oh, ow, c = at.shape
    h, w = (1, x.shape[2]) if x.ndim == 3 else x.shape[2:]
    by_column = bool(node.integer("storage_order", 0))
    down, right = (1, h) if by_column else (w, 1)
    top, left = window.padding[0], window.padding[2]
    taps_at = np.add.outer(np.arange(kernel[0]) * down, np.arange(kernel[1]) * right).astype(np.int64).ravel()
    rows, columns = (np.arange(k) * s - p for k, s, p in zip((oh, ow), window.strides, (top, left), strict=True))
    corner = np.add.outer(rows * down, columns * right)[None, :, :, None]
    image = np.add.outer(np.arange(n) * c, np.arange(c))[:, None, None, :] * (h * w)
    start = Tensor.state(np.asarray(corner + image, np.int64))
    y = ops.add(ops.gather(Tensor.state(taps_at), at.astype("int32")), start)
    y = y if x.ndim == 4 else ops.reshape(y, (y.shape[0], *y.shape[2:]))
    return Value.of(y, channels_last(x.ndim))


@operator("AveragePool")
def average_pool(node: Node, x: Value) -> Value:
    """Return the mean of each window; padding counts if count_include_pad says so."""
    way, axes = _walk(node, x), range(x.ndim - 2)
    floating(x.at_hand[1])
    seen = [way.inside(a, 0, x.shape[a + 2]) for a in axes]
    counted = seen
    if node.integer("count_include_pad", 0):
        counted = [way.inside(a, -way.before[a], x.shape[a + 2] + way.after[a] - way.past[a]) for a in axes]
    window = _plain(x, way)
    if window is None:
        total = reduced(node, x.last, way, 0, ops.add)
        return Value.of(ops.mul(total, _grid([1 / np.maximum(c, 1) for c in counted], x.dtype)), channels_last(x.ndim))
    kernel: Any = (1, *way.kernel) if x.ndim == 3 else tuple(way.kernel)
    y = _back(ops.avg_pool2d(_images(x), kernel, window.strides, window.padding), x)
    if all((s == c).all() for s, c in zip(seen, counted, strict=True)):
        return y
    shares = _grid([s / c for s, c in zip(seen, counted, strict=True)], x.dtype)
    return Value.of(ops.mul(y.last, shares), channels_last(x.ndim))


def _grid(lines: list[np.ndarray], dtype: np.dtype) -> Tensor:
    """Return the products of one number per row, column ...: [1, rows, columns, ..., 1]."""
    return Tensor.state(np.asarray(reduce(np.multiply.outer, lines), dtype)[None, ..., None])


@operator("GlobalAveragePool", "GlobalMaxPool")
def global_pool(node: Node, x: Value) -> Value:
    """Return the mean or the maximum of each channel, [N, C, 1, ...]."""
    if x.ndim < 3:
        raise ShapeError(f"expected images [N, C, ...]. Received: x.shape={x.shape}.")
    function = ops.mean if node.op == "GlobalAveragePool" else ops.max
    return Value.of(function(floating(x.last), tuple(range(1, x.ndim - 1)), True), channels_last(x.ndim))
