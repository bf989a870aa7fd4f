"""Convolutional layers that see each channel by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pynn import init, ops, regularizers
from pynn.checks import positive
from pynn.core.tensor import Tensor
from pynn.nn.conv import Convolution, need_channels

__all__ = ["DepthwiseConv2D", "SeparableConv2D"]


class DepthwiseConv2D(Convolution):
    """A convolution of each channel by itself: output c * multiplier + q sees channel c alone.

    Parameters
    ----------
    kernel_size : int or (rows, columns)
    strides : int or (rows, columns), default 1
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
    depth_multiplier : int, default 1
        Outputs per channel.
    dilation_rate : int or (rows, columns), default 1
    activation : str or callable, optional
        As for :class:`Dense`.
    depthwise_initializer : str or initializer, default "glorot_uniform"
        First values of ``w``.
    depthwise_regularizer : regularizer, optional
        Penalty on ``w``.
    depthwise_constraint : constraint, optional
        Of ``w``.
    use_bias : bool, default True
    bias_initializer : str or initializer, default "zeros"
        First values of ``b``.
    bias_regularizer : regularizer, optional
        Penalty on ``b``.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `kernel_size`, `strides` or `dilation_rate` is not one or two positive integers, or `padding` is not
        "valid", "same" or integers, or `depth_multiplier` is not a positive integer, or the name of an activation,
        initializer, regularizer or constraint is not known.
    ShapeError
        If the input is not a batch of shape [N, H, W, C].

    Notes
    -----
    Input [N, H, W, C], output [N, OH, OW, C * depth_multiplier]; weights ``w`` [rows, columns, C, depth_multiplier].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.DepthwiseConv2D(3)(np.ones((1, 8, 8, 16), "float32")).shape
    (1, 6, 6, 16)
    """

    place = "depthwise_conv2d"

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence[Any] = "valid",
        depth_multiplier: int = 1,
        *,
        dilation_rate: int | Sequence[int] = 1,
        activation: str | Callable[..., Any] | None = None,
        depthwise_initializer: str | Callable[..., Any] = "glorot_uniform",
        depthwise_regularizer: str | Callable[..., Any] | None = None,
        depthwise_constraint: Any = None,
        use_bias: bool = True,
        bias_initializer: str | Callable[..., Any] = "zeros",
        bias_regularizer: str | Callable[..., Any] | None = None,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(
            kernel_size,
            strides,
            padding,
            dilation_rate,
            activation,
            kernel_initializer=depthwise_initializer,
            kernel_regularizer=depthwise_regularizer,
            kernel_constraint=depthwise_constraint,
            use_bias=use_bias,
            bias_initializer=bias_initializer,
            bias_regularizer=bias_regularizer,
            name=name,
            seed=seed,
        )
        self.depth_multiplier = positive(self.place, "depth_multiplier", depth_multiplier)

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = need_channels(self.place, input_shape)
        outputs = channels * self.depth_multiplier
        self._add_weights((*self.kernel_size, channels, self.depth_multiplier), (outputs,))

    def forward(self, x: Tensor) -> Tensor:
        channels, multiplier = self.w.shape[2:]
        w = ops.reshape(self.w, (*self.kernel_size, 1, channels * multiplier))
        return self._activated(
            lambda act: ops.conv2d(x, w, self._bias, self.strides, self.padding, self.dilation_rate, channels, act)
        )

    def extra_repr(self) -> str:
        return self._settings()


class SeparableConv2D(Convolution):
    """A depthwise convolution, then a 1x1 convolution that mixes the channels.

    Parameters
    ----------
    filters : int
    kernel_size : int or (rows, columns)
    strides : int or (rows, columns), default 1
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
    dilation_rate : int or (rows, columns), default 1
    depth_multiplier : int, default 1
    activation : str or callable, optional
        As for :class:`Dense`.
    depthwise_initializer : str or initializer, default "glorot_uniform"
        First values of ``w``.
    pointwise_initializer : str or initializer, default "glorot_uniform"
        First values of ``pointwise``.
    depthwise_regularizer : regularizer, optional
        Penalty on ``w``.
    pointwise_regularizer : regularizer, optional
        Penalty on ``pointwise``.
    use_bias : bool, default True
    bias_initializer : str or initializer, default "zeros"
        First values of ``b``.
    bias_regularizer : regularizer, optional
        Penalty on ``b``.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `filters` or `depth_multiplier` is not a positive integer, or `kernel_size`, `strides` or `dilation_rate`
        is not one or two positive integers, or `padding` is not "valid", "same" or integers, or the name of an
        activation, initializer or regularizer is not known.
    ShapeError
        If the input is not a batch of shape [N, H, W, C].

    Notes
    -----
    Weights ``w`` [rows, columns, C, depth_multiplier], ``pointwise`` [1, 1, C * depth_multiplier, filters], ``b``.

    References
    ----------
    Chollet: Xception, deep learning with depthwise separable convolutions (CVPR 2017).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.SeparableConv2D(8, 3)(np.ones((1, 8, 8, 4), "float32")).shape
    (1, 6, 6, 8)
    """

    pointwise: Tensor

    place = "separable_conv2d"

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence[Any] = "valid",
        *,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: str | Callable[..., Any] | None = None,
        depthwise_initializer: str | Callable[..., Any] = "glorot_uniform",
        pointwise_initializer: str | Callable[..., Any] = "glorot_uniform",
        depthwise_regularizer: str | Callable[..., Any] | None = None,
        pointwise_regularizer: str | Callable[..., Any] | None = None,
        use_bias: bool = True,
        bias_initializer: str | Callable[..., Any] = "zeros",
        bias_regularizer: str | Callable[..., Any] | None = None,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(
            kernel_size,
            strides,
            padding,
            dilation_rate,
            activation,
            kernel_initializer=depthwise_initializer,
            kernel_regularizer=depthwise_regularizer,
            use_bias=use_bias,
            bias_initializer=bias_initializer,
            bias_regularizer=bias_regularizer,
            name=name,
            seed=seed,
        )
        self.filters = positive(self.place, "filters", filters)
        self.depth_multiplier = positive(self.place, "depth_multiplier", depth_multiplier)
        self._pointwise = init.get(pointwise_initializer), regularizers.get(pointwise_regularizer)

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = need_channels(self.place, input_shape)
        initializer, penalty = self._pointwise
        self._add_weights((*self.kernel_size, channels, self.depth_multiplier), (self.filters,))
        inner = channels * self.depth_multiplier
        self.add_weight("pointwise", (1, 1, inner, self.filters), initializer, regularizer=penalty)

    def forward(self, x: Tensor) -> Tensor:
        channels, multiplier = self.w.shape[2:]
        w = ops.reshape(self.w, (*self.kernel_size, 1, channels * multiplier))
        z = ops.conv2d(x, w, None, self.strides, self.padding, self.dilation_rate, channels)
        return self._activated(lambda act: ops.conv2d(z, self.pointwise, self._bias, activation=act))

    def extra_repr(self) -> str:
        return f"{self.filters}, {self._settings()}"
