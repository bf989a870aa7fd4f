"""The layer with a kernel for every pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pynn import ops
from pynn.checks import positive
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.nn.conv import Convolution, need_channels
from pynn.ops.window import Pair, Window, need_images, output_size, resolve_padding

__all__ = ["LocallyConnected2D"]


class LocallyConnected2D(Convolution):
    """A convolution whose weights are not shared: every output pixel has its own kernel.

    y[n,i,j,:] = act(patch(n,i,j) w[i,j] + b[i,j])

    Parameters
    ----------
    filters : int
    kernel_size : int or (rows, columns)
    strides : int or (rows, columns), default 1
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
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
        If `filters` is not a positive integer, or `kernel_size` or `strides` is not one or two positive integers,
        or `padding` is not "valid", "same" or integers, or the name of an activation, initializer, regularizer or
        constraint is not known.
    ShapeError
        If the input is not a batch of shape [N, H, W, C].

    Notes
    -----
    Input [N, H, W, C], output [N, OH, OW, filters]; weights ``w`` [OH * OW, rows * columns * C, filters] and ``b``
    [OH, OW, filters]: the layer fits images of one size.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.LocallyConnected2D(4, 3)(np.ones((1, 8, 8, 2), "float32")).shape
    (1, 6, 6, 4)
    """

    place = "locally_connected2d"

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence[Any] = "valid",
        *,
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
            1,
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

    def _out(self, shape: tuple[int, ...]) -> tuple[Pair, Window]:
        four = resolve_padding(self.place, self.padding, shape, self.kernel_size, self.strides, (1, 1))
        window = Window(self.strides, padding=four)
        return output_size(self.place, shape, self.kernel_size, window), window

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = need_channels(self.place, input_shape)
        (oh, ow), _ = self._out(input_shape)
        terms = self.kernel_size[0] * self.kernel_size[1] * channels
        self._add_weights((oh * ow, terms, self.filters), (oh, ow, self.filters))

    def forward(self, x: Tensor) -> Tensor:
        need_images(self.place, x)
        (oh, ow), window = self._out(x.shape)
        if (oh * ow, self.kernel_size[0] * self.kernel_size[1] * x.shape[3]) != self.w.shape[:2]:
            raise ShapeError(
                f"[{self.place}] expected images of the size that the layer was built for. Received: x.shape={x.shape}."
            )
        y = ops.locally_connected2d(x, self.w, self._bias, self.kernel_size, self.strides, window.padding)
        return self._function(y)

    def transpose(self, y: Tensor) -> Tensor:
        """Return the transpose of the layer's product, applied to outputs: the decoder that is tied to the layer.

        Every value of `y` spreads the kernel of its pixel and filter over the window that this pixel sees. The weights
        are those of the layer, so that both ways learn them; bias and activation take no part.

        Parameters
        ----------
        y : Tensor, shape [N, OH, OW, filters]

        Returns
        -------
        Tensor, shape [N, H, W, C]
            Of the size that the layer was built for.

        Raises
        ------
        ShapeError
            If the layer has not been built, or `y` is not of its outputs' size.

        Examples
        --------
        >>> import numpy as np
        >>> from pynn import nn
        >>> layer = nn.LocallyConnected2D(4, 3)
        >>> y = layer(np.ones((1, 8, 8, 2), "float32"))
        >>> layer.transpose(y).shape
        (1, 8, 8, 2)
        """
        if not self.built:
            raise ShapeError(
                f"[{self.place}] expected a layer that has seen images before transpose(). Received: none."
            )
        _, window = self._out(self._built_for)
        size = self._built_for[1], self._built_for[2]
        return ops.locally_connected2d_transpose(y, self.w, size, self.kernel_size, window.strides, window.padding)

    def extra_repr(self) -> str:
        return f"{self.filters}, {self._settings()}"
