"""Windows that walk over padded sequences: what they see, and how many of their outputs are real."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pynn.core.tensor import Tensor
from pynn.ops.lengths import mask_steps, walk_lengths, without_lengths
from pynn.ops.masks import is_mask
from pynn.ops.math import maximum
from pynn.ops.shape import ones

__all__ = ["Walk"]


class Walk:
    """How windows walk over padded sequences: what they see of x, and how many of their outputs are real.

    Parameters
    ----------
    x : Tensor [N, T, ...]
    extent, stride : int
        Of a window.
    before, after : int
        Padding by the layer itself.
    same : bool
        Whether the layer gives ceil(T / stride) outputs.
    """

    def __init__(self, x: Tensor, extent: int, stride: int, before: int, after: int, same: bool):
        self.source, self.extent, self.stride = x, extent, stride
        self.add = -1 if same else before + after - extent
        self.over = same or after > 0  # whether a window that counts may reach beyond the end
        self.lengths: Tensor | None = None
        self.masked = x.lengths is not None
        every = stride == 1 and self.add == -1  # an output for every step
        if is_mask(x.lengths):
            self.over = True  # padding may stand in front
            self.lengths = x.lengths if every else None
            if not every:
                from pynn.ops.carry import forget

                forget("a window that walks over a mask with strides or without padding", x)
        elif x.lengths is not None:
            self.lengths = x.lengths if every else walk_lengths(x.lengths, 1, self.add, stride)

    def seen(self, value: float = 0.0) -> Tensor:
        """Return x as the windows see it, without lengths: padding is `value` where they may reach it."""
        if not self.masked:
            return self.source
        return mask_steps(self.source, value) if self.over else without_lengths(self.source)

    def done(self, y: Tensor, clean: bool = False) -> Tensor:
        """Return the outputs with their lengths; `clean` sets the others to 0."""
        if self.lengths is None:
            return y
        if clean and self.over:
            y = mask_steps(y, 0.0, self.lengths)
        y.lengths = self.lengths
        return y

    def largest(self, pool: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the largest real value of each window."""
        return self.done(pool(self.seen(-np.inf)), clean=True)

    def average(self, pool: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the mean of the real values of each window."""
        y = pool(self.seen())
        if self.masked and self.over:
            x = self.source
            there = ones((*x.shape[:2], *(1,) * (x.ndim - 2)), x.dtype)
            y = y / maximum(pool(mask_steps(there, 0.0, x.lengths)), 1e-6)
        return self.done(y)
