"""How a kernel walks over the axes of an image, as the attributes of a node say."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from pynn.core.tensor import Tensor
from pynn.errors import DataError, ShapeError
from pynn.onnx.operators.registry import Node

MOST = 2**31  # no stride, dilation or padding may be larger: sizes stay far below 2**63
MOST_TAPS = 4096


class Walk(NamedTuple):
    """The walk of a kernel along each axis.

    `after` may reach further than the padding that the file gives (see `past`), where sizes are rounded up.
    """

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    before: list[int]
    after: list[int]
    out: list[int]
    past: list[int]

    def starts(self, axis: int) -> np.ndarray:
        """Return where the windows along an axis begin; the image begins at 0."""
        return np.arange(self.out[axis]) * self.strides[axis] - self.before[axis]

    def inside(self, axis: int, low: int, high: int) -> np.ndarray:
        """Return how many taps of each window along an axis lie in [low, high)."""
        step, starts = self.dilations[axis], self.starts(axis)
        first, end = (np.clip(-((starts - edge) // step), 0, self.kernel[axis]) for edge in (low, high))
        return end - first


def positive(node: Node, key: str, rank: int, default: int = 1, least: int = 1) -> list[int]:
    """Return an attribute of one integer per axis."""
    found = node.integers(key)
    found = [default] * rank if found is None else list(found)
    if len(found) != rank or not all(least <= v < MOST for v in found):
        raise DataError(f"expected {key} to be {rank} integers of at least {least}. Received: {found}.")
    return found


def same_pads(total: int, mode: str) -> tuple[int, int]:
    """Return zeros before and after; the odd one comes after, or before for SAME_LOWER."""
    total = max(total, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if mode == "SAME_LOWER" else (small, large)


def auto_pad(node: Node) -> str:
    """Return the attribute auto_pad."""
    mode = node.text("auto_pad", "NOTSET") or "NOTSET"
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise DataError(f"expected auto_pad to be NOTSET, VALID, SAME_UPPER or SAME_LOWER. Received: {mode!r}.")
    return mode


def walk(node: Node, sizes: list[int], kernel: list[int]) -> Walk:
    """Return how a kernel walks over axes of the given sizes.

    Raises
    ------
    ShapeError
        If nothing would come out.
    """
    rank = len(sizes)
    strides, dilations = positive(node, "strides", rank), positive(node, "dilations", rank)
    mode, up = auto_pad(node), bool(node.integer("ceil_mode", 0))
    pads = positive(node, "pads", 2 * rank, 0, 0) if mode == "NOTSET" else [0] * 2 * rank
    before, after, out, past = pads[:rank], pads[rank:], [], []
    for i, (n, k, s, d) in enumerate(zip(sizes, kernel, list(strides), list(dilations), strict=True)):
        extent = (k - 1) * d + 1
        if mode.startswith("SAME"):
            before[i], after[i] = same_pads((-(-n // s) - 1) * s + extent - n, mode)
        room = n + before[i] + after[i] - extent
        if room < 0 or n < 1:
            raise ShapeError(
                f"the kernel does not fit into the padded image. Received: sizes {sizes}, kernel {kernel}, "
                f"dilations {dilations}, pads {before} and {after}."
            )
        steps = room // s + 1
        if up and room % s and steps * s < n + before[i]:  # a window that begins in the padding after does not count
            steps += 1
        if steps == 1:
            strides[i] = min(s, room + 1)  # no second step is made; scratch memory grows with strides
        if k == 1:
            dilations[i] = 1
        reach = max((steps - 1) * s + extent - (n + before[i] + after[i]), 0)
        out.append(steps)
        past.append(reach)
        after[i] += reach
    return Walk(kernel, strides, dilations, before, after, out, past)


def reduced(node: Node, x: Tensor, way: Walk, value: float, function: Callable[[Any, Any], Tensor]) -> Tensor:
    """Return function(tap, tap, ...) of every window: x [N, ..., C] is padded with `value`, then one axis at a time."""
    from pynn.onnx.operators.shapes import padded

    if sum(way.kernel) > MOST_TAPS:
        raise DataError(f"expected a window of at most {MOST_TAPS} rows and columns. Received: {way.kernel}.")
    wide = [d + b + a for d, b, a in zip(x.shape[1:-1], way.before, way.after, strict=True)]
    node.room((x.shape[0], *wide, x.shape[-1]), x.dtype)
    x = padded(x, [0, *way.before, 0], [0, *way.after, 0], value)
    for axis, (k, s, d, n) in enumerate(zip(way.kernel, way.strides, way.dilations, way.out, strict=True), start=1):
        key = [slice(None)] * axis
        x = reduce(function, (x[(*key, slice(i * d, i * d + (n - 1) * s + 1, s))] for i in range(k)))
    return x
