"""Pooling by the root of the mean square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pynn import ops
from pynn.checks import number
from pynn.core.tensor import Tensor
from pynn.nn.pool import _Pool2D

__all__ = ["L2Pool2D"]


class L2Pool2D(_Pool2D):
    """The root of the mean square of each window, per channel: y = sqrt(epsilon + mean of x**2).

    It grows with what any pixel of the window holds, of whichever sign, so that it changes less than they do when the
    image moves a little. Padding is left out of the mean. The root of the sum of squares is this times the root of the
    window's pixels.

    Parameters
    ----------
    pool_size : int or (rows, columns), default 2
    strides : int or (rows, columns), optional
        By default pool_size.
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
    epsilon : float, default 1e-6
        Above 0: the root has no derivative at 0.
    name : str, optional

    Raises
    ------
    ValueError
        If `pool_size` or `strides` is not one or two positive integers, or `padding` is not "valid", "same" or
        integers, or `epsilon` is not above 0.
    ShapeError
        If the input is not images of shape [N, H, W, C].

    References
    ----------
    Hyvarinen, Hoyer, Inki: Topographic independent component analysis (Neural Computation 2001). Le et al.: Building
    high-level features using large scale unsupervised learning (ICML 2012).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.L2Pool2D(5, strides=1)(np.ones((2, 27, 27, 8), "float32")).shape
    (2, 23, 23, 8)
    """

    place = "l2_pool2d"

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str | int | Sequence[Any] = "valid",
        *,
        epsilon: float = 1e-6,
        name: str | None = None,
    ):
        super().__init__(pool_size, strides, padding, name=name)
        self.epsilon = number(self.place, "epsilon", epsilon, 0, open_low=True)

    def forward(self, x: Tensor) -> Tensor:
        return ops.l2_pool2d(x, self.pool_size, self.strides, self.padding, self.epsilon)
