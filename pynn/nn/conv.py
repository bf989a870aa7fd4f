"""Convolutional layers for images [N, H, W, C] and sequences [N, T, C]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pynn import ops, regularizers
from pynn.checks import pair, positive
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.nn.field import Field
from pynn.nn.layers import Activated, init_pair
from pynn.nn.module import Module
from pynn.ops.conv_cards import check_algorithm
from pynn.ops.elementwise import fused_name
from pynn.ops.walk import Walk
from pynn.ops.window import resolve_padding

__all__ = ["Conv1D", "Conv2D"]


def need_channels(place: str, input_shape: tuple[int, ...], ndim: int = 4) -> int:
    """Return the channels of images, or of sequences if ndim is 3; raise ShapeError for other shapes."""
    wanted = {3: "[N, T, C]", 4: "[N, H, W, C]"}[ndim]
    if len(input_shape) != ndim:
        hint = " help: add the axis of channels with x[..., None]." if len(input_shape) == ndim - 1 else ""
        raise ShapeError(f"[{place}] expected a batch of shape {wanted}. Received: x.shape={input_shape}.{hint}")
    return input_shape[-1]


class Convolution(Activated, Module, base=True):
    """What convolutional layers share: settings, weights, and the activation, fused where it can be."""

    w: Tensor
    b: Tensor

    place = "conv"

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: Any,
        dilation_rate: int | Sequence[int],
        activation: str | Callable[..., Any] | None,
        *,
        use_bias: bool,
        kernel_initializer: str | Callable[..., Any] = "glorot_uniform",
        bias_initializer: str | Callable[..., Any] = "zeros",
        kernel_regularizer: str | Callable[..., Any] | None = None,
        bias_regularizer: str | Callable[..., Any] | None = None,
        kernel_constraint: Any = None,
        name: str | None = None,
        seed: int | None = None,
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
        self._kernel_constraint = regularizers.constraint(kernel_constraint)

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
        if (fused := fused_name(self._function)) is not None:
            return compute(fused)
        return self._function(compute("linear"))

    def window(self) -> Field:
        """Return how many pixels an output sees, and how far the next one is (rows, columns)."""
        extent = tuple((k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True))
        return extent, self.strides  # type: ignore[return-value]

    def _settings(self) -> str:
        text = f"{self.kernel_size}"
        if self.strides != (1, 1):
            text += f", strides={self.strides}"
        if self.padding != "valid":
            text += f", padding={self.padding!r}"
        return f"{text}, activation={self.activation!r}"


class Conv2D(Convolution):
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
    algorithm : {"auto", "direct", "winograd"}, default "auto"
        "winograd" computes the layer and its gradients faster, and less exactly, if it has a 3 x 3 kernel, stride 1 and
        many channels; other layers it leaves as they are. "auto" does so where its error is at most 4 times that of
        "direct". See ``ops.conv2d`` and :func:`pynn.config.set_convolution`.
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
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `filters` or `groups` is not a positive integer, or `kernel_size`, `strides` or `dilation_rate` is not
        one or two positive integers, or `padding` is not "valid", "same" or integers, or the name of an activation,
        algorithm, initializer, regularizer or constraint is not known.
    ShapeError
        If the input is not a batch of shape [N, H, W, C].

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
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | int | Sequence[Any] = "valid",
        *,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: str | Callable[..., Any] | None = None,
        algorithm: str = "auto",
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
        self.algorithm = check_algorithm(self.place, algorithm)
        self.filters = positive(self.place, "filters", filters)
        self.groups = positive(self.place, "groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"[{self.place}] expected groups that divide the filters. Received: groups={groups}, filters={filters}."
            )

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = need_channels(self.place, input_shape)
        if channels % self.groups:
            raise ShapeError(
                f"[{self.place}] expected groups that divide the channels of input and output. "
                f"Received: groups={self.groups} for {channels} channels."
            )
        self._add_weights((*self.kernel_size, channels // self.groups, self.filters), (self.filters,))

    def forward(self, x: Tensor) -> Tensor:
        walk = {"strides": self.strides, "padding": self.padding, "dilation": self.dilation_rate, "groups": self.groups}
        return self._activated(
            lambda act: ops.conv2d(x, self.w, self._bias, activation=act, algorithm=self.algorithm, **walk)
        )

    def extra_repr(self) -> str:
        text = f"{self.filters}, {self._settings()}"
        return text if self.algorithm == "auto" else f"{text}, algorithm={self.algorithm!r}"


class Conv1D(Convolution):
    """Conv2D for sequences: y[n,t,f] = act(sum over r,c of x[n, t s + r d - before, c] w[r,c,f] + b[f]).

    Parameters
    ----------
    filters : int
    kernel_size : int
    strides : int, default 1
    padding : {"valid", "same", "causal"}, int or (before, after), default "valid"
        "causal" pads before only, so that no output sees a later input.
    dilation_rate : int, default 1
    groups : int, default 1
        Each group of filters sees its own group of channels.
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
        If `filters`, `kernel_size`, `strides`, `dilation_rate` or `groups` is not a positive integer, or `padding`
        is not "valid", "same" or integers, or the name of an activation, initializer, regularizer or constraint is
        not known.
    ShapeError
        If the input is not a batch of shape [N, T, C].

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
        padding: str | int | Sequence[Any] = "valid",
        *,
        dilation_rate: int = 1,
        groups: int = 1,
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
        size = positive(self.place, "kernel_size", kernel_size)
        step = positive(self.place, "strides", strides)
        dilation = positive(self.place, "dilation_rate", dilation_rate)
        if padding == "causal":
            given: Any = (0, 0, (size - 1) * dilation, 0)
        elif isinstance(padding, str):
            given = padding
        else:
            given = (0, 0, *pair(self.place, "padding", padding, 0))
        super().__init__(
            (1, size),
            (1, step),
            given,
            (1, dilation),
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
        self.groups = positive(self.place, "groups", groups)

    def build(self, input_shape: tuple[int, ...]) -> None:
        channels = need_channels(self.place, input_shape, 3)
        if channels % self.groups or self.filters % self.groups:
            raise ShapeError(
                f"[conv1d] expected groups that divide the channels of input and output. "
                f"Received: groups={self.groups} for {channels} and {self.filters} channels."
            )
        self._add_weights((self.kernel_size[1], channels // self.groups, self.filters), (self.filters,))

    def forward(self, x: Tensor) -> Tensor:
        need_channels(self.place, x.shape, 3)
        shape, dilation = (1, 1, *x.shape[1:]), self.dilation_rate
        four = resolve_padding(self.place, self.padding, shape, self.kernel_size, self.strides, dilation)
        extent = (self.kernel_size[1] - 1) * dilation[1] + 1
        walk = Walk(x, extent, self.strides[1], *four[2:], same=self.padding == "same")
        line = ops.reshape(walk.seen(), (x.shape[0], 1, *x.shape[1:]))
        w = ops.reshape(self.w, (1, *self.w.shape))
        y = self._activated(lambda act: ops.conv2d(line, w, self._bias, self.strides, four, dilation, self.groups, act))
        return walk.done(ops.reshape(y, (y.shape[0], *y.shape[2:])))

    def extra_repr(self) -> str:
        return f"{self.filters}, {self.kernel_size[1]}, activation={self.activation!r}"
