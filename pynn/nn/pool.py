"""Layers that shrink, enlarge and summarize images and sequences."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from pynn import ops
from pynn.checks import pair, positive
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.nn.field import WHOLE, Field
from pynn.nn.module import Module
from pynn.ops.walk import Walk
from pynn.ops.window import Four, resolve_padding

__all__ = [
    "AvgPool1D", "AvgPool2D", "Cropping2D", "GlobalAvgPool", "GlobalMaxPool", "MaxPool1D", "MaxPool2D", "UpSampling2D",
    "ZeroPadding2D",
]  # fmt: skip


class _Pool2D(Module):
    """Pooling over windows."""

    place = "pool"

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str | int | Sequence[Any] = "valid",
        *,
        name: str | None = None,
    ):
        super().__init__(name)
        self.pool_size = pair(self.place, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else pair(self.place, "strides", strides)
        self.padding = padding
        resolve_padding(self.place, padding, (1, 1, 1, 1), self.pool_size, self.strides, (1, 1))

    def window(self) -> Field:
        """Return how many pixels an output sees, and how far the next one is (rows, columns)."""
        return self.pool_size, self.strides

    def extra_repr(self) -> str:
        more = "" if self.padding == "valid" else f", padding={self.padding!r}"
        return f"{self.pool_size}, strides={self.strides}{more}"


class MaxPool2D(_Pool2D):
    """The largest value of each window, per channel. Windows may overlap.

    Parameters
    ----------
    pool_size : int or (rows, columns), default 2
    strides : int or (rows, columns), optional
        By default the pool size.
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
    name : str, optional

    Raises
    ------
    ValueError
        If `pool_size` or `strides` is not one or two positive integers, or `padding` is not "valid", "same" or
        integers.
    ShapeError
        If the input is not images of shape [N, H, W, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.MaxPool2D(3, strides=2)(np.ones((2, 7, 7, 4), "float32")).shape
    (2, 3, 3, 4)
    """

    place = "max_pool2d"

    def forward(self, x: Tensor) -> Tensor:
        return ops.max_pool2d(x, self.pool_size, self.strides, self.padding)


class AvgPool2D(_Pool2D):
    """The mean of each window, per channel; padding is left out of it.

    Parameters
    ----------
    pool_size : int or (rows, columns), default 2
    strides : int or (rows, columns), optional
        By default pool_size.
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
        Padding is left out of the mean.
    name : str, optional

    Raises
    ------
    ValueError
        If `pool_size` or `strides` is not one or two positive integers, or `padding` is not "valid", "same" or
        integers.
    ShapeError
        If the input is not images of shape [N, H, W, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.AvgPool2D(3, padding="same")(np.ones((2, 6, 6, 4), "float32")).shape
    (2, 2, 2, 4)
    """

    place = "avg_pool2d"

    def forward(self, x: Tensor) -> Tensor:
        return ops.avg_pool2d(x, self.pool_size, self.strides, self.padding)


class _Pool1D(Module):
    """Pooling over spans of a sequence."""

    place = "pool"

    def __init__(
        self,
        pool_size: int = 2,
        strides: int | None = None,
        padding: str | int | Sequence[Any] = "valid",
        *,
        name: str | None = None,
    ):
        super().__init__(name)
        self.pool_size = positive(self.place, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else positive(self.place, "strides", strides)
        self.padding = padding if isinstance(padding, str) else (0, 0, *pair(self.place, "padding", padding, 0))
        resolve_padding(self.place, self.padding, (1, 1, 1, 1), (1, self.pool_size), (1, self.strides), (1, 1))

    def window(self) -> Field:
        """Return how many places of the sequence an output sees, and how far the next one is."""
        return (1, self.pool_size), (1, self.strides)

    def _line(self, x: Tensor, pool: Any) -> Tensor:
        if x.ndim != 3:
            raise ShapeError(f"[{self.place}] expected sequences of shape [N, T, C]. Received: x.shape={x.shape}.")
        size, strides = (1, self.pool_size), (1, self.strides)
        four = resolve_padding(self.place, self.padding, (1, 1, *x.shape[1:]), size, strides, (1, 1))

        def pooled(seen: Tensor) -> Tensor:
            y = pool(ops.reshape(seen, (seen.shape[0], 1, *seen.shape[1:])), size, strides, four)
            return ops.reshape(y, (y.shape[0], *y.shape[2:]))

        walk = Walk(x, self.pool_size, self.strides, *four[2:], same=self.padding == "same")
        return walk.largest(pooled) if pool is ops.max_pool2d else walk.average(pooled)

    def extra_repr(self) -> str:
        return f"{self.pool_size}, strides={self.strides}"


class MaxPool1D(_Pool1D):
    """The largest value of each span of a sequence [N, T, C], per channel.

    Parameters
    ----------
    pool_size : int, default 2
    strides : int, optional
        By default the pool size.
    padding : {"valid", "same"}, int or (before, after), default "valid"
    name : str, optional

    Raises
    ------
    ValueError
        If `pool_size` or `strides` is not a positive integer, or `padding` is not "valid", "same" or integers.
    ShapeError
        If the input is not sequences of shape [N, T, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.MaxPool1D(3)(np.ones((2, 6, 3), "float32")).shape
    (2, 2, 3)
    """

    place = "max_pool1d"

    def forward(self, x: Tensor) -> Tensor:
        return self._line(x, ops.max_pool2d)


class AvgPool1D(_Pool1D):
    """The mean of each span of a sequence [N, T, C], per channel; padding is left out of it.

    Parameters
    ----------
    pool_size : int, default 2
    strides : int, optional
        By default pool_size.
    padding : {"valid", "same"}, int or (before, after), default "valid"
        Padding is left out of the mean.
    name : str, optional

    Raises
    ------
    ValueError
        If `pool_size` or `strides` is not a positive integer, or `padding` is not "valid", "same" or integers.
    ShapeError
        If the input is not sequences of shape [N, T, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.AvgPool1D()(np.ones((2, 6, 3), "float32")).shape
    (2, 3, 3)
    """

    place = "avg_pool1d"

    def forward(self, x: Tensor) -> Tensor:
        return self._line(x, ops.avg_pool2d)


class _Global(Module):
    pools = True

    def __init__(self, *, keepdims: bool = False, name: str | None = None):
        super().__init__(name)
        self.keepdims = keepdims

    def window(self) -> Field:
        """Return that an output sees everything."""
        return WHOLE

    def _axes(self, x: Tensor) -> tuple[int, ...]:
        if x.ndim < 3:
            raise ShapeError(
                f"[{self.name}] expected images [N, H, W, C] or sequences [N, T, C]. Received: x.shape={x.shape}."
            )
        return tuple(range(1, x.ndim - 1))


class GlobalAvgPool(_Global):
    """The mean of each channel over the whole image (or sequence): [N, ..., C] becomes [N, C].

    Parameters
    ----------
    keepdims : bool, default False
        Keep the axes that are summed over, with size 1.
    name : str, optional

    Raises
    ------
    ShapeError
        If the input is not images [N, H, W, C] or sequences [N, T, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.GlobalAvgPool()(np.ones((2, 6, 6, 4), "float32")).shape
    (2, 4)
    """

    def forward(self, x: Tensor) -> Tensor:
        return ops.mean(x, self._axes(x), self.keepdims)


class GlobalMaxPool(_Global):
    """The largest value of each channel over the whole image (or sequence): [N, ..., C] becomes [N, C].

    Parameters
    ----------
    keepdims : bool, default False
    name : str, optional

    Raises
    ------
    ShapeError
        If the input is not images [N, H, W, C] or sequences [N, T, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.GlobalMaxPool()(np.ones((2, 10, 4), "float32")).shape
    (2, 4)
    """

    def forward(self, x: Tensor) -> Tensor:
        return ops.max(x, self._axes(x), self.keepdims)


class ZeroPadding2D(Module):
    """Zeros round every image.

    Parameters
    ----------
    padding : int, (rows, columns) or ((top, bottom), (left, right)), default 1
    name : str, optional

    Raises
    ------
    ValueError
        If `padding` is not "valid", "same" or integers.
    ShapeError
        If the input is not images [N, H, W, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.ZeroPadding2D(2)(np.ones((1, 8, 8, 3), "float32")).shape
    (1, 12, 12, 3)
    """

    def __init__(self, padding: int | Sequence[Any] = 1, *, name: str | None = None):
        super().__init__(name)
        self.padding: Four = resolve_padding("zero_padding2d", padding, (1, 1, 1, 1), (1, 1), (1, 1), (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return ops.pad2d(x, self.padding)

    def extra_repr(self) -> str:
        return str(self.padding)


class Cropping2D(Module):
    """Every image without its outer rows and columns.

    Parameters
    ----------
    cropping : int, (rows, columns) or ((top, bottom), (left, right)), default 0
    name : str, optional

    Raises
    ------
    ValueError
        If `cropping` is not made of integers.
    ShapeError
        If the input is not images [N, H, W, C] that are larger than the cropping.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Cropping2D(2)(np.ones((1, 8, 8, 3), "float32")).shape
    (1, 4, 4, 3)
    """

    def __init__(self, cropping: int | Sequence[Any] = 0, *, name: str | None = None):
        super().__init__(name)
        self.cropping: Four = resolve_padding("cropping2d", cropping, (1, 1, 1, 1), (1, 1), (1, 1), (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return ops.crop2d(x, self.cropping)

    def extra_repr(self) -> str:
        return str(self.cropping)


class UpSampling2D(Module):
    """Images enlarged by whole factors.

    Parameters
    ----------
    size : int or (rows, columns), default 2
    interpolation : {"nearest", "bilinear"}, default "nearest"
    name : str, optional

    Raises
    ------
    ValueError
        If `size` is not one or two positive integers, or `interpolation` is not known.
    ShapeError
        If the input is not images of shape [N, H, W, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.UpSampling2D(2)(np.ones((1, 4, 4, 3), "float32")).shape
    (1, 8, 8, 3)
    """

    def __init__(self, size: int | Sequence[int] = 2, *, interpolation: str = "nearest", name: str | None = None):
        super().__init__(name)
        self.size = pair("up_sampling2d", "size", size)
        if interpolation not in ("nearest", "bilinear"):
            raise ValueError(
                "[up_sampling2d] expected interpolation 'nearest' or 'bilinear'. "
                f"Received: interpolation={interpolation!r}."
            )
        self.interpolation = interpolation

    def window(self) -> Field:
        """Return how many pixels an output sees, and the step between outputs, which is a part of a pixel."""
        rows, columns = (2 if n > 1 and self.interpolation == "bilinear" else 1 for n in self.size)
        return (rows, columns), (Fraction(1, self.size[0]), Fraction(1, self.size[1]))

    def forward(self, x: Tensor) -> Tensor:
        return ops.upsample2d(x, self.size, self.interpolation)

    def extra_repr(self) -> str:
        return f"{self.size}, {self.interpolation!r}"
