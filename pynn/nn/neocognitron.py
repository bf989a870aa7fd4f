"""The two kinds of cells of the neocognitron: S-cells find features, C-cells make little of their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn import ops
from pynn.checks import number, pair, positive
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.nn.conv import need_channels
from pynn.nn.field import Field
from pynn.nn.module import Module
from pynn.ops.common import as_tensor
from pynn.ops.window import Four, Pair, Window, need_images, output_size, resolve_padding

__all__ = ["CCells", "SCells"]

TINY = 1e-12  # under the root, whose slope at 0 has no bound


class _Cells(Module, base=True):
    """What S- and C-cells share: the area that a cell sees, and how its fixed inputs fade with the distance."""

    place = "cells"

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: Any,
        decay: float,
        name: str | None,
    ):
        super().__init__(name)
        self.kernel_size = pair(self.place, "kernel_size", kernel_size)
        self.strides = pair(self.place, "strides", strides)
        self.padding = padding
        resolve_padding(self.place, padding, (1, 1, 1, 1), self.kernel_size, self.strides, (1, 1))
        self.decay = number(self.place, "decay", decay, 0, 1, open_low=True)

    def window(self) -> Field:
        """Return how many pixels an output sees, and how far the next one is (rows, columns)."""
        return self.kernel_size, self.strides

    def sides(self, shape: Sequence[int]) -> Four:
        """Return the zeros round images of a shape: (top, bottom, left, right)."""
        return resolve_padding(self.place, self.padding, shape, self.kernel_size, self.strides, (1, 1))

    def _channels(self, input_shape: tuple[int, ...]) -> int:
        """Return the planes below; raise ShapeError where the cells' area is larger than the images."""
        channels = need_channels(self.place, input_shape)
        window = Window(self.strides, padding=self.sides(input_shape))
        output_size(self.place, (1, *input_shape[1:]), self.kernel_size, window)
        return channels

    def _faded(self) -> np.ndarray:
        """Return decay ** |v| over the area, v from its middle."""
        return self.decay ** _distances(self.kernel_size)


def _places(kernel: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of an area, from its middle."""
    rows, columns = (np.arange(size) - (size - 1) / 2 for size in kernel)
    return rows[:, None], columns[None]


def _distances(kernel: Pair) -> np.ndarray:
    return np.hypot(*_places(kernel))


class SCells(_Cells):
    """y = r max(0, (1 + a * x) / (1 + 2 r / (1 + r) b v) - 1), v = sqrt(c * x**2): cells that find a feature each.

    All cells of a plane have the same weights, so ``*`` is a correlation, as in Conv2D. The inhibition v is the
    root of the mean square of what a cell sees, weighted by c, which fades as decay**|v| from the middle of the area
    and sums to 1 over area and planes. A plane that has learnt a feature answers by how far the cosine of what it sees
    to that feature exceeds r / (1 + r): a larger r makes it choosier.

    Nothing here is learnt by gradients: :func:`self_organize` reinforces ``a`` and ``b``. At first ``b`` is 0 and ``a``
    small, with a weak preference for one orientation in each plane.

    Parameters
    ----------
    planes : int
        Number of outputs per pixel: the features.
    kernel_size : int or (rows, columns)
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
    selectivity : float, default 1.5
        r.
    decay : float, default 0.9
        In (0, 1].
    initial : float, default 0.001
        Of what order the first weights are.
    name : str, optional

    Raises
    ------
    ValueError
        If `planes` is not a positive integer, or `kernel_size` not one or two positive integers, or `padding` is not
        "valid", "same" or integers, or `selectivity` is not above 0, `decay` not in (0, 1] or `initial` below 0.
    ShapeError
        If the input is not a batch of shape [N, H, W, C], or a cell's area is larger than the padded images.

    Notes
    -----
    Input [N, H, W, C] of numbers of at least 0, output [N, OH, OW, planes]; weights ``a`` [rows, columns, C, planes],
    ``b`` [planes], which no optimizer trains.

    References
    ----------
    Fukushima, "Neocognitron: a self-organizing neural network model for a mechanism of pattern recognition unaffected
    by shift in position", Biological Cybernetics 36, 1980: equations 1 to 3.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.SCells(24, 5, padding="same")(np.ones((1, 16, 16, 1), "float32")).shape
    (1, 16, 16, 24)
    """

    a: Tensor
    b: Tensor

    place = "s_cells"

    def __init__(
        self,
        planes: int,
        kernel_size: int | Sequence[int],
        padding: str | int | Sequence[Any] = "valid",
        *,
        selectivity: float = 1.5,
        decay: float = 0.9,
        initial: float = 1e-3,
        name: str | None = None,
    ):
        super().__init__(kernel_size, 1, padding, decay, name)
        self.planes = positive(self.place, "planes", planes)
        self.selectivity = number(self.place, "selectivity", selectivity, 0, open_low=True)
        self.initial = number(self.place, "initial", initial, 0)

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = self._channels(input_shape)
        first = self.inhibition(channels)[..., None] * self._preferences(channels)
        self.add_weight("a", first.shape, lambda shape, dtype, seed: first, trainable=False)
        self.add_weight("b", (self.planes,), "zeros", trainable=False)

    def inhibition(self, channels: int) -> np.ndarray:
        """Return c [rows, columns, channels], by which the mean square of what a cell sees is weighted."""
        faded = self._faded() / (channels * self._faded().sum())
        return np.repeat(faded[:, :, None], channels, 2)

    def _preferences(self, channels: int) -> np.ndarray:
        """Return first weights by c [rows, columns, C, planes]: a line's direction, and some planes below, for each."""
        rows, columns = _places(self.kernel_size)
        angle = np.arctan2(rows, columns)[:, :, None, None]
        plane = np.arange(self.planes) / self.planes
        below = np.arange(channels)[:, None] / channels
        along = 1 + np.cos(2 * angle - 2 * np.pi * plane)
        near = 1 + np.cos(2 * np.pi * (below - plane)) if channels > 1 else 1.0
        return self.initial * along * near

    def forward(self, x: Tensor) -> Tensor:
        x = as_tensor(x)
        need_images(self.place, x)
        if x.shape[3] != self.a.shape[2]:
            raise ShapeError(
                f"[{self.place}] expected images of {self.a.shape[2]} planes, for which the layer was built. "
                f"Received: x.shape={x.shape}."
            )
        sides, r = self.sides(x.shape), self.selectivity
        c = Tensor.state(self.inhibition(x.shape[3])[..., None].astype(x.dtype))
        excited = ops.conv2d(x, self.a, padding=sides)
        inhibited = (ops.conv2d(x * x, c, padding=sides) + TINY).sqrt() * self.b
        return ops.relu((excited + 1.0) / (inhibited * (2 * r / (1 + r)) + 1.0) - 1.0) * r

    def extra_repr(self) -> str:
        return f"{self.planes}, {self.kernel_size}, padding={self.padding!r}, selectivity={self.selectivity}"


class CCells(_Cells):
    """y = psi((1 + d * x) / (1 + v) - 1), psi(z) = z / (alpha + z) of z > 0: cells that answer to a feature near by.

    d fades as decay**|v| from the middle of a cell's area, which lies in the plane of its own feature alone; v is the
    mean of d * x over all planes, so that the planes inhibit each other. A feature that moves within the area still
    drives the cell: that is where the tolerance to shifts comes from. Nothing is learnt.

    Parameters
    ----------
    kernel_size : int or (rows, columns)
    strides : int or (rows, columns), default 1
        How much thinner than the S-cells the C-cells lie.
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
    saturation : float, default 0.5
        alpha: the input that half drives a cell.
    decay : float, default 0.8
        In (0, 1].
    name : str, optional

    Raises
    ------
    ValueError
        If `kernel_size` or `strides` is not one or two positive integers, or `padding` is not "valid", "same" or
        integers, or `saturation` is not above 0, or `decay` not in (0, 1].
    ShapeError
        If the input is not a batch of shape [N, H, W, C], or a cell's area is larger than the padded images.

    Notes
    -----
    Input [N, H, W, C] of numbers of at least 0, output [N, OH, OW, C] from 0 to below 1.

    References
    ----------
    Fukushima, "Neocognitron: a self-organizing neural network model for a mechanism of pattern recognition unaffected
    by shift in position", Biological Cybernetics 36, 1980: equations 4 to 6.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.CCells(5, strides=2)(np.ones((1, 16, 16, 24), "float32")).shape
    (1, 6, 6, 24)
    """

    place = "c_cells"
    fixed_weights = True

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence[Any] = "valid",
        *,
        saturation: float = 0.5,
        decay: float = 0.8,
        name: str | None = None,
    ):
        super().__init__(kernel_size, strides, padding, decay, name)
        self.saturation = number(self.place, "saturation", saturation, 0, open_low=True)

    def build(self, input_shape: tuple[int, ...]) -> None:
        self._channels(input_shape)

    def forward(self, x: Tensor) -> Tensor:
        x = as_tensor(x)
        need_images(self.place, x)
        planes = x.shape[3]
        d = Tensor.state(np.repeat(self._faded()[:, :, None, None], planes, 3).astype(x.dtype))
        own = ops.conv2d(x, d, None, self.strides, self.sides(x.shape), groups=planes)
        z = ops.relu((own + 1.0) / (own.mean(3, keepdims=True) + 1.0) - 1.0)
        return z / (z + self.saturation)

    def extra_repr(self) -> str:
        return f"{self.kernel_size}, strides={self.strides}, padding={self.padding!r}, saturation={self.saturation}"
