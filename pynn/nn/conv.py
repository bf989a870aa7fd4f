"""Convolutional layers for images [N, H, W, C] and sequences [N, T, C]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pynn import init, ops, regularizers
from pynn.errors import ShapeError
from pynn.graph import state
from pynn.nn.layers import Activated, _positive, init_pair
from pynn.nn.module import Module
from pynn.ops.activation import FUSED, named
from pynn.ops.conv import Pair, Window, need_images, output_size, pair, resolve_padding, same_padding
from pynn.tensor import Tensor

__all__ = ["Conv1D", "Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "LocallyConnected2D", "SeparableConv2D"]


def _channels(place: str, input_shape: tuple[int, ...], ndim: int = 4) -> int:
    wanted = {3: "[N, T, C]", 4: "[N, H, W, C]"}[ndim]
    if len(input_shape) != ndim:
        hint = " help: add the axis of channels with x[..., None]." if len(input_shape) == ndim - 1 else ""
        raise ShapeError(f"[{place}] expected a batch of shape {wanted}. Received: x.shape={input_shape}.{hint}")
    return input_shape[-1]


class _Convolution(Activated, Module):
    """What convolutional layers share: settings, weights, and the activation, fused where it can be."""

    place = "conv"

    def __init__(
        self,
        kernel_size: int | Pair,
        strides: int | Pair,
        padding: Any,
        dilation_rate: int | Pair,
        activation: str | Callable[..., Any] | None,
        use_bias: bool,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        name: str | None,
        seed: int | None,
    ):
        super().__init__(name, seed)
        self.kernel_size = pair(self.place, "kernel_size", kernel_size)
        self.strides = pair(self.place, "strides", strides)
        self.dilation_rate = pair(self.place, "dilation_rate", dilation_rate)
        self.padding = padding
        resolve_padding(self.place, padding, (1, 1, 1, 1), self.kernel_size, self.strides, self.dilation_rate)
        self.activation = activation
        self.use_bias = use_bias
        self._initializers = init_pair(kernel_initializer, bias_initializer)
        self._penalties = regularizers.get(kernel_regularizer), regularizers.get(bias_regularizer)
        self._kernel_constraint = kernel_constraint

    def _add_weights(self, shape: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        kernel, bias = self._initializers
        self.add_weight("w", shape, kernel, regularizer=self._penalties[0], constraint=self._kernel_constraint)
        if self.use_bias:
            self.add_weight("b", outputs, bias, regularizer=self._penalties[1])

    @property
    def _bias(self) -> Tensor | None:
        return self.b if self.use_bias else None

    def _activated(self, compute: Callable[[str], Tensor]) -> Tensor:
        """Return compute(activation to fuse), with what is left of the activation applied."""
        if state.logits_of is self:  # the loss takes logits: it applies the last activation itself
            return compute("linear")
        if self.activation in FUSED and self._function is named(self.activation):
            return compute(self.activation)
        return self._function(compute("linear"))

    def window(self) -> tuple[Pair, Pair]:
        """Return how many pixels an output sees, and how far the next one is (rows, columns): for receptive fields."""
        extent = tuple((k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True))
        return extent, self.strides  # type: ignore[return-value]

    def _settings(self) -> str:
        text = f"{self.kernel_size}"
        if self.strides != (1, 1):
            text += f", strides={self.strides}"
        if self.padding != "valid":
            text += f", padding={self.padding!r}"
        return f"{text}, activation={self.activation!r}"


class Conv2D(_Convolution):
    """y = act(x * w + b): filters that walk over images, with the activation fused.

    y[n,i,j,f] = act(sum over r,s,c of x[n, i sh + r dh - top, j sw + s dw - left, c] w[r,s,c,f] + b[f])

    Parameters
    ----------
    filters : int
        Number of outputs per pixel.
    kernel_size : int or (rows, columns)
    strides : int or (rows, columns), default 1
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
        "same" gives ceil(size / stride) outputs.
    dilation_rate : int or (rows, columns), default 1
    groups : int, default 1
        Each group of filters sees its own group of channels.
    activation : str or callable, optional
        As for Dense.
    use_bias : bool, default True
    kernel_initializer, bias_initializer : str or initializer
        By default "glorot_uniform" and "zeros".
    kernel_regularizer, bias_regularizer : regularizer, optional
    kernel_constraint : constraint, optional
    name : str, optional
    seed : int, optional

    Notes
    -----
    Input [N, H, W, C], output [N, OH, OW, filters]; weights ``w`` [rows, columns, C / groups, filters] and ``b``
    [filters].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.Conv2D(8, 3, padding="same", activation="relu")
    >>> layer(np.ones((2, 28, 28, 1), "float32")).shape, layer.w.shape
    ((2, 28, 28, 8), (3, 3, 1, 8))
    """

    place = "conv2d"

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = 1,
        padding: Any = "valid",
        dilation_rate: int | Pair = 1,
        groups: int = 1,
        activation: str | Callable[..., Any] | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(
            kernel_size, strides, padding, dilation_rate, activation, use_bias, kernel_initializer, bias_initializer,
            kernel_regularizer, bias_regularizer, kernel_constraint, name, seed,
        )  # fmt: skip
        self.filters = _positive(self.place, "filters", filters)
        self.groups = _positive(self.place, "groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"[{self.place}] expected groups that divide the filters. Received: groups={groups}, filters={filters}."
            )

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = _channels(self.place, input_shape)
        if channels % self.groups:
            raise ShapeError(
                f"[{self.place}] expected groups that divide the channels of input and output. "
                f"Received: groups={self.groups} for {channels} channels."
            )
        self._add_weights((*self.kernel_size, channels // self.groups, self.filters), (self.filters,))

    def forward(self, x: Tensor) -> Tensor:
        return self._activated(
            lambda act: ops.conv2d(
                x, self.w, self._bias, self.strides, self.padding, self.dilation_rate, self.groups, act
            )
        )

    def extra_repr(self) -> str:
        return f"{self.filters}, {self._settings()}"


class Conv1D(_Convolution):
    """Conv2D for sequences: y[n,t,f] = act(sum over r,c of x[n, t s + r d - before, c] w[r,c,f] + b[f]).

    Parameters
    ----------
    filters : int
    kernel_size : int
    strides : int, default 1
    padding : {"valid", "same", "causal"}, int or (before, after), default "valid"
        "causal" pads before only, so that no output sees a later input.
    dilation_rate : int, default 1
    groups, activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, \
kernel_constraint, name, seed
        As for Conv2D.

    Notes
    -----
    Input [N, T, C], output [N, OT, filters]; weights ``w`` [size, C / groups, filters] and ``b`` [filters].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Conv1D(4, 3, padding="causal")(np.ones((2, 10, 5), "float32")).shape
    (2, 10, 4)
    """

    place = "conv1d"

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: Any = "valid",
        dilation_rate: int = 1,
        groups: int = 1,
        activation: str | Callable[..., Any] | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        name: str | None = None,
        seed: int | None = None,
    ):
        size = _positive(self.place, "kernel_size", kernel_size)
        step = _positive(self.place, "strides", strides)
        dilation = _positive(self.place, "dilation_rate", dilation_rate)
        if padding == "causal":
            given: Any = (0, 0, (size - 1) * dilation, 0)
        elif isinstance(padding, str):
            given = padding
        else:
            given = (0, 0, padding, padding) if isinstance(padding, int) else (0, 0, *padding)
        super().__init__(
            (1, size), (1, step), given, (1, dilation), activation, use_bias, kernel_initializer, bias_initializer,
            kernel_regularizer, bias_regularizer, kernel_constraint, name, seed,
        )  # fmt: skip
        self.filters = _positive(self.place, "filters", filters)
        self.groups = _positive(self.place, "groups", groups)

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = _channels(self.place, input_shape, 3)
        if channels % self.groups or self.filters % self.groups:
            raise ShapeError(
                f"[conv1d] expected groups that divide the channels of input and output. "
                f"Received: groups={self.groups} for {channels} and {self.filters} channels."
            )
        self._add_weights((self.kernel_size[1], channels // self.groups, self.filters), (self.filters,))

    def forward(self, x: Tensor) -> Tensor:
        _channels(self.place, x.shape, 3)
        line = ops.reshape(x, (x.shape[0], 1, *x.shape[1:]))
        w = ops.reshape(self.w, (1, *self.w.shape))
        y = self._activated(
            lambda act: ops.conv2d(
                line, w, self._bias, self.strides, self.padding, self.dilation_rate, self.groups, act
            )
        )
        return ops.reshape(y, (y.shape[0], *y.shape[2:]))

    def extra_repr(self) -> str:
        return f"{self.filters}, {self.kernel_size[1]}, activation={self.activation!r}"


class DepthwiseConv2D(_Convolution):
    """A convolution of each channel by itself: output c * multiplier + q sees channel c alone.

    Parameters
    ----------
    kernel_size : int or (rows, columns)
    strides, padding, dilation_rate, activation, use_bias, bias_initializer, bias_regularizer, name, seed
        As for Conv2D.
    depth_multiplier : int, default 1
        Outputs per channel.
    depthwise_initializer, depthwise_regularizer, depthwise_constraint
        Of the weights.

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
        kernel_size: int | Pair,
        strides: int | Pair = 1,
        padding: Any = "valid",
        depth_multiplier: int = 1,
        dilation_rate: int | Pair = 1,
        activation: str | Callable[..., Any] | None = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        depthwise_constraint: Any = None,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(
            kernel_size, strides, padding, dilation_rate, activation, use_bias, depthwise_initializer,
            bias_initializer, depthwise_regularizer, bias_regularizer, depthwise_constraint, name, seed,
        )  # fmt: skip
        self.depth_multiplier = _positive(self.place, "depth_multiplier", depth_multiplier)

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = _channels(self.place, input_shape)
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


class SeparableConv2D(_Convolution):
    """A depthwise convolution, then a 1x1 convolution that mixes the channels.

    Parameters
    ----------
    filters : int
    kernel_size : int or (rows, columns)
    strides, padding, dilation_rate, activation, use_bias, bias_initializer, bias_regularizer, name, seed
        As for Conv2D.
    depth_multiplier : int, default 1
    depthwise_initializer, pointwise_initializer, depthwise_regularizer, pointwise_regularizer
        Of the two weights.

    Notes
    -----
    Weights ``w`` [rows, columns, C, depth_multiplier], ``pointwise`` [1, 1, C * depth_multiplier, filters], ``b``.

    References
    ----------
    Chollet: Xception, deep learning with depthwise separable convolutions (CVPR 2017).
    """

    place = "separable_conv2d"

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = 1,
        padding: Any = "valid",
        dilation_rate: int | Pair = 1,
        depth_multiplier: int = 1,
        activation: str | Callable[..., Any] | None = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(
            kernel_size, strides, padding, dilation_rate, activation, use_bias, depthwise_initializer,
            bias_initializer, depthwise_regularizer, bias_regularizer, None, name, seed,
        )  # fmt: skip
        self.filters = _positive(self.place, "filters", filters)
        self.depth_multiplier = _positive(self.place, "depth_multiplier", depth_multiplier)
        self._pointwise = init.get(pointwise_initializer), regularizers.get(pointwise_regularizer)

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = _channels(self.place, input_shape)
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


class Conv2DTranspose(_Convolution):
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
    dilation_rate, activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, \
name, seed
        As for Conv2D.

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
        kernel_size: int | Pair,
        strides: int | Pair = 1,
        padding: Any = "valid",
        output_padding: int | Pair | None = None,
        dilation_rate: int | Pair = 1,
        activation: str | Callable[..., Any] | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(
            kernel_size, strides, padding, dilation_rate, activation, use_bias, kernel_initializer, bias_initializer,
            kernel_regularizer, bias_regularizer, None, name, seed,
        )  # fmt: skip
        self.filters = _positive(self.place, "filters", filters)
        more = (output_padding, output_padding) if isinstance(output_padding, int) else output_padding
        if more is not None and not all(0 <= m < s for m, s in zip(more, self.strides, strict=True)):
            raise ValueError(
                f"[{self.place}] expected an output_padding of at least 0 and below the strides {self.strides}. "
                f"Received: output_padding={output_padding!r}."
            )
        self.output_padding = more

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = _channels(self.place, input_shape)
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
        return y if state.logits_of is self else self._function(y)

    def window(self) -> tuple[Pair, Pair]:
        """Return how many pixels an output sees at most; the step between outputs is below one pixel."""
        sizes = (-(-k // s) for k, s in zip(self.kernel_size, self.strides, strict=True))
        return tuple(sizes), (1, 1)  # type: ignore[return-value]

    def extra_repr(self) -> str:
        return f"{self.filters}, {self._settings()}"


class LocallyConnected2D(_Convolution):
    """A convolution whose weights are not shared: every output pixel has its own kernel.

    y[n,i,j,:] = act(patch(n,i,j) w[i,j] + b[i,j])

    Parameters
    ----------
    filters : int
    kernel_size : int or (rows, columns)
    strides, padding, activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer, \
bias_regularizer, name, seed
        As for Conv2D.

    Notes
    -----
    Input [N, H, W, C], output [N, OH, OW, filters]; weights ``w`` [OH * OW, rows * columns * C, filters] and ``b``
    [OH, OW, filters]. The patches of the whole batch are made, so the memory is that of rows * columns images.
    """

    place = "locally_connected2d"

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = 1,
        padding: Any = "valid",
        activation: str | Callable[..., Any] | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(
            kernel_size, strides, padding, 1, activation, use_bias, kernel_initializer, bias_initializer,
            kernel_regularizer, bias_regularizer, None, name, seed,
        )  # fmt: skip
        self.filters = _positive(self.place, "filters", filters)

    def _out(self, shape: tuple[int, ...]) -> tuple[Pair, Window]:
        four = resolve_padding(self.place, self.padding, shape, self.kernel_size, self.strides, (1, 1))
        window = Window(self.strides, padding=four)
        return output_size(self.place, shape, self.kernel_size, window), window

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = _channels(self.place, input_shape)
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
        patches = ops.patches2d(x, self.kernel_size, self.strides, window.padding)
        rows = ops.transpose(ops.reshape(patches, (x.shape[0], oh * ow, self.w.shape[1])), (1, 0, 2))
        y = ops.transpose(ops.matmul(rows, self.w), (1, 0, 2))
        y = ops.reshape(y, (x.shape[0], oh, ow, self.filters))
        if self.use_bias:
            y = y + self.b
        return y if state.logits_of is self else self._function(y)

    def extra_repr(self) -> str:
        return f"{self.filters}, {self._settings()}"
