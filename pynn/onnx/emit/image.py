"""Export of convolutions, pooling, padding and enlarging."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.export.trace import Op
from pynn.onnx.builder import Builder, channels_first, converter
from pynn.ops.window import Four

FIRST = channels_first(4)


def pads(four: Four) -> list[int]:
    """Return (top, bottom, left, right) as ONNX wants it: befores, then afters."""
    top, bottom, left, right = four
    return [top, left, bottom, right]


def walked(op: Op, kernel: Any) -> dict[str, Any]:
    """Return the padding of a window; one that follows a size that is left open is what fills up the last step."""
    window = op.attrs["window"]
    if "window" not in op.varied:
        return {"pads": pads(window.padding)}
    for k, walk in enumerate(op.varied["window"]):
        sizes = [op.x.extent(a)[k] if a in op.x.open else op.x.shape[a] for a in (1, 2)]
        full = []
        for n, size, step, gap in zip(sizes, kernel, walk.strides, walk.dilation, strict=True):
            total = max((-(-n // step) - 1) * step + (size - 1) * gap + 1 - n, 0)
            full += [total // 2, total - total // 2]
        if tuple(full) != tuple(walk.padding):
            raise op.refused("has a padding that follows the size that is left open", "give the size in input_shape.")
    return {"auto_pad": "SAME_UPPER"}


@converter("conv2d")
def _conv(b: Builder, op: Op) -> None:
    x, w, bias = op.inputs
    window = op.attrs["window"]
    inputs = [b.first(x), b.form(w, (3, 2, 0, 1)), *([] if bias is None else [b.plain(bias)])]
    y = b.node(
        "Conv", inputs, kernel_shape=list(w.shape[:2]), strides=list(window.strides),
        dilations=list(window.dilation), group=op.attrs["groups"], **walked(op, w.shape[:2]),
    )  # fmt: skip
    b.put(op.y, FIRST, y)


@converter("conv2d_transpose")
def _transposed(b: Builder, op: Op) -> None:
    x, w, bias = op.inputs
    strides, dilation, (top, bottom, left, right) = op.attrs["window"]
    sizes = op.varied.get("size", (op.attrs["size"],))
    extra = []
    for axis, (before, after) in enumerate(((top, bottom), (left, right))):
        extent = (w.shape[axis] - 1) * dilation[axis] + 1
        own = x.open.get(axis + 1, (x.shape[axis + 1],) * len(sizes))
        found = {
            size[axis] - ((n - 1) * strides[axis] + extent) + before + after
            for size, n in zip(sizes, own, strict=False)
        }
        if len(found) != 1:
            raise op.refused("makes sizes that follow no rule", "give the size in input_shape.")
        extra.append(found.pop())
    # ONNX takes what is missing as output_padding if it is less than a stride; the rest becomes padding or is cut.
    ends = [bottom - min(extra[0], 0), right - min(extra[1], 0)]
    some = [min(max(e, 0), s - 1) for e, s in zip(extra, strides, strict=True)]
    y = b.node(
        "ConvTranspose", [b.first(x), b.form(w, (3, 2, 0, 1))], kernel_shape=list(w.shape[:2]), strides=list(strides),
        pads=[top, left, *ends], dilations=list(dilation), output_padding=some, group=op.attrs["groups"],
    )  # fmt: skip
    rest = [max(e, 0) - s for e, s in zip(extra, some, strict=True)]
    if any(rest):
        y = b.node("Pad", [y, b.ints([0, 0, 0, 0, 0, 0, *rest])])
    if bias is not None:
        y = b.node("Add", [y, b.weight(op, 2, lambda w: w.reshape(-1, 1, 1))])
    b.put(op.y, FIRST, y)


@converter("locally_connected2d")
def _local(b: Builder, op: Op) -> None:
    """Patches by a convolution whose kernel is the identity, then a product for every place."""
    x, w, bias = op.inputs
    y = op.y
    (rows, columns), c, window = op.attrs["kernel"], x.shape[3], op.attrs["window"]
    terms = rows * columns * c
    identity = np.eye(terms, dtype=b.dtype).reshape(rows, columns, c, terms).transpose(3, 2, 0, 1)
    kernel = b.constant(identity, "patch")
    patches = b.node("Conv", [b.first(x), kernel], strides=list(window.strides), pads=pads(window.padding))
    places = b.node("Reshape", [patches, b.ints([0, terms, y.shape[1] * y.shape[2]])])
    product = b.node("MatMul", [b.node("Transpose", [places], perm=[2, 0, 1]), b.plain(w)])
    name = b.node("Reshape", [b.node("Transpose", [product], perm=[1, 0, 2]), b.sizes(y)])
    b.put(y, (0, 1, 2, 3), name if bias is None else b.node("Add", [name, b.plain(bias)]))


@converter("locally_connected2d_transpose")
def _local_transposed(b: Builder, op: Op) -> None:
    """Write a product for every place, whose rows a transposed convolution with the identity spreads."""
    x, w = op.inputs
    y, (rows, columns), (strides, _, (top, bottom, left, right)) = op.y, op.attrs["kernel"], op.attrs["window"]
    (_, h, width, filters), c = x.shape, y.shape[3]
    terms = rows * columns * c
    flat = b.node("Reshape", [b.plain(x), b.ints([0, h * width, filters])])
    turned = b.form(w, (0, 2, 1))
    product = b.node("MatMul", [b.node("Transpose", [flat], perm=[1, 0, 2]), turned])
    places = b.node("Reshape", [b.node("Transpose", [product], perm=[1, 2, 0]), b.ints([0, terms, h, width])])
    identity = np.eye(terms, dtype=b.dtype).reshape(rows, columns, c, terms).transpose(3, 2, 0, 1)
    extra = [
        y.shape[1] + top + bottom - (h - 1) * strides[0] - rows,
        y.shape[2] + left + right - (width - 1) * strides[1] - columns,
    ]
    spread = b.node(
        "ConvTranspose", [places, b.constant(identity, "spread")], strides=list(strides),
        pads=pads((top, bottom, left, right)), output_padding=extra,
    )  # fmt: skip
    b.put(y, FIRST, spread)


@converter("max_pool2d", "avg_pool2d")
def _pool(b: Builder, op: Op) -> None:
    window, kind = op.attrs["window"], "MaxPool" if op.name == "max_pool2d" else "AveragePool"
    settings: dict[str, Any] = {"kernel_shape": list(op.attrs["kernel"]), "strides": list(window.strides)}
    b.put(op.y, FIRST, b.node(kind, [b.first(op.x)], **walked(op, op.attrs["kernel"]), **settings))


@converter("pad2d")
def _padding(b: Builder, op: Op) -> None:
    perm, name = b.at_hand(op.x)
    top, bottom, left, right = op.attrs["padding"]
    before, after = ([(0, a, c, 0)[axis] for axis in perm] for a, c in ((top, left), (bottom, right)))
    b.put(op.y, perm, b.node("Pad", [name, b.ints([*before, *after])]))


@converter("upsample2d")
def _upsampling(b: Builder, op: Op) -> None:
    scales = b.constant(np.array([1, 1, *op.attrs["size"]], np.float32), "scales")
    nearest = op.attrs["interpolation"] == "nearest"
    y = b.node(
        "Resize", [b.first(op.x), "", scales], mode="nearest" if nearest else "linear",
        coordinate_transformation_mode="asymmetric" if nearest else "half_pixel", nearest_mode="floor",
    )  # fmt: skip
    b.put(op.y, FIRST, y)
