"""The layer that enlarges images by a transposed convolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from pynn import ops
from pynn.checks import pair, positive
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.nn.conv import Convolution, need_channels
from pynn.nn.field import Field
from pynn.ops.window import Pair, Window, need_images, resolve_padding, same_padding

__all__ = ["Conv2DTranspose"]


class Conv2DTranspose(Convolution):
    """The transpose of a convolution: each pixel spreads over a window, and strides enlarge the image.

    Parameters
    ----------
    filters : int
    kernel_size : int or (rows, columns)
    strides : int or (rows, columns), default 1
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
        Of the convolution that this transposes: "same" gives size * stride outputs.
    output_padding : int or (rows, columns), optional
        Rows and columns added to the output where several sizes are possible.
    dilation_rate : int or (rows, columns), default 1
    activation : str or callable, optional
        As for :class:`Dense`.
    use_bias : bool, default True
    kernel_initializer : str or initializer, default "glorot_uniform"
        First values of ``w``; see :mod:`pynn.init`.
    bias_initializer : str or initializer, default "zeros"
        First values of ``b``.
    kernel_regularizer : regularizer, optional
        Penalty on ``w``; see :mod:`pynn.regularizers`.
    bias_regularizer : regularizer, optional
        Penalty on ``b``.
    kernel_constraint : constraint, optional
        What ``w`` is brought back to after each update, such as "max_norm".
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `filters` is not a positive integer, or `kernel_size`, `strides` or `dilation_rate` is not one or two
        positive integers, or `padding` is not "valid", "same" or integers, or `output_padding` is not one or two
        integers of at least 0, or the name of an activation, initializer, regularizer or constraint is not known.
    ShapeError
        If the input is not a batch of shape [N, H, W, C].

    Notes
    -----
    Input [N, H, W, C], output [N, OH, OW, filters]; weights ``w`` [rows, columns, filters, C] and ``b`` [filters].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Conv2DTranspose(4, 3, strides=2, padding="same")(np.ones((1, 7, 7, 8), "float32")).shape
    (1, 14, 14, 4)
    """

    place = "conv2d_transpose"

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence[Any] = "valid",
        *,
        output_padding: int | Sequence[int] | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: str | Callable[..., Any] | None = None,
        use_bias: bool = True,
        kernel_initializer: str | Callable[..., Any] = "glorot_uniform",
        bias_initializer: str | Callable[..., Any] = "zeros",
        kernel_regularizer: str | Callable[..., Any] | None = None,
        bias_regularizer: str | Callable[..., Any] | None = None,
        kernel_constraint: Any = None,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(
            kernel_size,
            strides,
            padding,
            dilation_rate,
            activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            name=name,
            seed=seed,
        )
        self.filters = positive(self.place, "filters", filters)
        more = None if output_padding is None else pair(self.place, "output_padding", output_padding, 0)
        if more is not None and not all(m < s for m, s in zip(more, self.strides, strict=True)):
            raise ValueError(
                f"[{self.place}] expected an output_padding of at least 0 and below the strides {self.strides}. "
                f"Received: output_padding={output_padding!r}."
            )
        self.output_padding = more

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = need_channels(self.place, input_shape)
        self._add_weights((*self.kernel_size, self.filters, channels), (self.filters,))

    def _geometry(self, shape: tuple[int, ...]) -> tuple[Pair, Window]:
        """Return the output's size and the walk of the convolution that is transposed."""
        sizes, pads = [], []
        for axis in (0, 1):
            n, k, s, d = shape[axis + 1], self.kernel_size[axis], self.strides[axis], self.dilation_rate[axis]
            extent = (k - 1) * d + 1
            more = None if self.output_padding is None else self.output_padding[axis]
            if self.padding == "same":
                size = n * s if more is None else (n - 1) * s + extent - 2 * (extent // 2) + more
                before, after = same_padding(size, k, s, d)
            else:
                four = resolve_padding(self.place, self.padding, shape, self.kernel_size, self.strides, (1, 1))
                before, after = four[2 * axis : 2 * axis + 2]
                size = (n - 1) * s + extent - before - after + (max(s - extent, 0) if more is None else more)
            sizes.append(size)
            pads += [before, after]
        if min(sizes) < 1:
            raise ShapeError(
                f"[{self.place}] the output would be empty. Received: x.shape={shape}, padding={self.padding!r}."
            )
        return (sizes[0], sizes[1]), Window(self.strides, self.dilation_rate, tuple(pads))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        need_images(self.place, x)
        size, window = self._geometry(x.shape)
        y = ops.conv2d_transpose(x, self.w, size, window.strides, window.padding, window.dilation)
        if self.use_bias:
            y = y + self.b
        return self._function(y)

    def window(self) -> Field:
        """Return how many pixels an output sees, and the step between outputs: both in parts of a pixel."""
        extent = ((k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True))
        rows, columns = map(Fraction, extent, self.strides)
        return (rows, columns), (Fraction(1, self.strides[0]), Fraction(1, self.strides[1]))

    def extra_repr(self) -> str:
        return f"{self.filters}, {self._settings()}"
