"""How a kernel walks over images [N, H, W, C]: strides, dilation, padding, and the size of what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pynn.checks import MOST_SIZE, is_integer
from pynn.core.tensor import MOST_BYTES, Tensor
from pynn.errors import ShapeError

Pair = tuple[int, int]
Four = tuple[int, int, int, int]


class Window(NamedTuple):
    """How a kernel walks over an image: steps, gaps, and padding (top, bottom, left, right)."""

    strides: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Four = (0, 0, 0, 0)


PLAIN = Window()


def need_images(place: str, x: Tensor) -> None:
    """Raise ShapeError unless x is [N, H, W, C]."""
    if x.ndim == 4:
        return
    hint = ""
    if x.ndim == 3:
        hint = " help: grey images lack the axis of channels, add it with x[..., None]; one colour image wants x[None]."
    elif x.ndim == 2:
        hint = " help: one grey image wants x[None, ..., None]."
    raise ShapeError(f"[{place}] expected images of shape [N, H, W, C]. Received: x.shape={x.shape}.{hint}")


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """Return the zeros before and after an axis that give ceil(size / stride) outputs (the odd one comes after)."""
    extent = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def resolve_padding(
    place: str, padding: Any, shape: Sequence[int], kernel: Pair, strides: Pair, dilation: Pair
) -> Four:
    """Return padding as (top, bottom, left, right).

    Parameters
    ----------
    padding : {"valid", "same"}, int, (rows, columns), or ((top, bottom), (left, right)), or four integers
    shape : of the images, [N, H, W, C]
    """
    if isinstance(padding, str):
        if padding.lower() == "valid":
            return (0, 0, 0, 0)
        if padding.lower() == "same":
            top = same_padding(shape[1], kernel[0], strides[0], dilation[0])
            return (*top, *same_padding(shape[2], kernel[1], strides[1], dilation[1]))
        raise ValueError(f"[{place}] expected padding 'valid', 'same' or integers. Received: padding={padding!r}.")
    values = (padding,) if np.ndim(padding) == 0 else tuple(padding)
    if len(values) == 1:
        values = values * 4
    elif len(values) == 2 and all(map(is_integer, values)):
        values = (values[0], values[0], values[1], values[1])
    elif len(values) == 2 and all(np.ndim(v) == 1 for v in values):
        values = (*values[0], *values[1])
    if len(values) != 4 or not all(is_integer(v, most=MOST_SIZE) for v in values):
        raise ValueError(f"[{place}] expected padding 'valid', 'same' or integers. Received: padding={padding!r}.")
    if min(values) < 0:
        raise ValueError(
            f"[{place}] expected padding of at least 0. Received: padding={padding!r}. help: crop with ops.crop2d."
        )
    return tuple(int(v) for v in values)  # type: ignore[return-value]


def output_size(place: str, shape: Sequence[int], kernel: Sequence[int], window: Window) -> Pair:
    """Return the rows and columns of a walk over images; raise if the kernel does not fit."""
    check_window(place, window)
    out, padded = [], 4 * shape[0] * shape[3]
    for axis, size in enumerate(shape[1:3]):
        before, after = window.padding[2 * axis : 2 * axis + 2]
        extent = (kernel[axis] - 1) * window.dilation[axis] + 1
        room = size + before + after
        padded *= room
        if extent > room:
            name = ("rows", "columns")[axis]
            dilated = f" ({extent} with its dilation)" if extent != kernel[axis] else ""
            raise ShapeError(
                f"[{place}] the kernel does not fit into the padded image: it has {kernel[axis]} {name}{dilated}, the "
                f"image {room}, so the output would be empty. Received: x.shape={tuple(shape)}, kernel={kernel}, "
                f"padding={window.padding}. help: use padding='same', a smaller kernel, or fewer pooling layers before."
            )
        out.append((room - extent) // window.strides[axis] + 1)
    if padded > MOST_BYTES:
        raise ShapeError(
            f"[{place}] expected padded images that fit into memory. Received: x.shape={tuple(shape)}, "
            f"padding={window.padding}."
        )
    return out[0], out[1]


def check_window(place: str, window: Window) -> None:
    """Raise ValueError for strides, dilations and paddings that make no sense, or that leave 64 bits in the kernels."""
    for name, values, least in (("strides", window.strides, 1), ("dilation", window.dilation, 1),
                                ("padding", window.padding, 0)):  # fmt: skip
        if min(values) < least:
            raise ValueError(f"[{place}] expected {name} of at least {least}. Received: {name}={values}.")
        if max(values) > MOST_SIZE:
            raise ValueError(f"[{place}] expected {name} of at most {MOST_SIZE}. Received: {name}={values}.")
