"""Convolutions, pooling, and what gives images another size."""

from __future__ import annotations

from pynn import nn, ops
from pynn.errors import ShapeError
from pynn.keras import config
from pynn.keras.layer import Layer
from pynn.keras.layers.core import Activated

__all__ = [
    "AveragePooling1D", "AveragePooling2D", "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Convolution1D",
    "Convolution2D", "Cropping1D", "Cropping2D", "DepthwiseConv2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "LocallyConnected2D", "MaxPooling1D", "MaxPooling2D", "SeparableConv1D",
    "SeparableConv2D", "UpSampling1D", "UpSampling2D", "ZeroPadding1D", "ZeroPadding2D",
]  # fmt: skip


def one(value):
    """Return the number in a tuple of one."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


def sides(value):
    """Return a padding as pynn takes it: a number, (rows, columns) or ((top, bottom), (left, right))."""
    return tuple(tuple(v) if isinstance(v, (list, tuple)) else (v, v) for v in value) if isinstance(
        value, (list, tuple)) else value  # fmt: skip


class Placed(Layer):
    """A layer for images or sequences whose channels stand last or first."""

    _base = None
    _reads_lengths = True

    def _set_format(self, data_format):
        self.data_format = config.image_data_format() if data_format in (None, "default") else data_format
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(f"[{self.name}] expected data_format 'channels_last' or 'channels_first'. "
                             f"Received: {data_format!r}.")  # fmt: skip

    def build(self, input_shape=None):
        """Declare the weights."""
        if self.data_format == "channels_first":
            input_shape = (input_shape[0], *input_shape[2:], input_shape[1])
        if input_shape[-1] is None:
            raise ShapeError(f"[{self.name}] expected a known number of channels. Received: {input_shape}.")
        self._base.build(self, input_shape)

    def call(self, inputs):
        """Compute the output."""
        return self._placed(lambda x: self._base.forward(self, x), inputs)

    def _placed(self, function, x):
        if self.data_format != "channels_first" or x.ndim < 3:
            return function(x)
        y = function(ops.transpose(x, (0, *range(2, x.ndim), 1)))
        return y if y.ndim < 3 else ops.transpose(y, (0, y.ndim - 1, *range(1, y.ndim - 1)))


class _Conv(Activated, Placed):
    build, call = Placed.build, Placed.call

    def _conv(self, given, **changed):
        if isinstance(given["padding"], str):
            changed["padding"] = given["padding"].lower()
        self._make_of(self._base, given, **changed)
        self._set_format(given["data_format"])
        self.activation = given["activation"]


class Conv2D(_Conv, nn.Conv2D):
    """A convolution of images."""

    _base, _aliases = nn.Conv2D, {"kernel": "w", "bias": "b"}

    def __init__(self, filters, kernel_size, strides=(1, 1), padding="valid", data_format=None, dilation_rate=(1, 1),
                 groups=1, activation=None, use_bias=True, kernel_initializer="glorot_uniform",
                 bias_initializer="zeros", kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None,
                 kernel_constraint=None, bias_constraint=None, **kwargs):  # fmt: skip
        self._conv(locals())


def Convolution2D(filters=None, *args, **kwargs):
    """Return a convolution of images as Keras 1 had it: filters, rows, columns."""
    filters = kwargs.pop("nb_filter", filters)
    rows, columns = kwargs.pop("nb_row", None), kwargs.pop("nb_col", None)
    if len(args) > 1 and all(isinstance(a, int) for a in args[:2]):
        (rows, columns), args = args[:2], args[2:]
        old = ("kernel_initializer", "activation", "weights", "padding", "strides", "data_format")
        kwargs.update(zip(old, args, strict=False))
        args = ()
    if rows is not None:
        kwargs["kernel_size"] = (rows, columns)
    return Conv2D(filters, *args, **kwargs)


class Conv1D(_Conv, nn.Conv1D):
    """A convolution of sequences."""

    _base, _aliases = nn.Conv1D, {"kernel": "w", "bias": "b"}

    def __init__(self, filters, kernel_size, strides=1, padding="valid", data_format=None, dilation_rate=1, groups=1,
                 activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
                 kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
                 bias_constraint=None, **kwargs):  # fmt: skip
        sizes = {"kernel_size": one(kernel_size), "strides": one(strides), "dilation_rate": one(dilation_rate)}
        self._conv(locals(), **sizes)


Convolution1D = Conv1D


class Conv2DTranspose(_Conv, nn.Conv2DTranspose):
    """The transposed convolution of images."""

    _base, _aliases = nn.Conv2DTranspose, {"kernel": "w", "bias": "b"}

    def __init__(self, filters, kernel_size, strides=(1, 1), padding="valid", output_padding=None, data_format=None,
                 dilation_rate=(1, 1), activation=None, use_bias=True, kernel_initializer="glorot_uniform",
                 bias_initializer="zeros", kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None,
                 kernel_constraint=None, bias_constraint=None, **kwargs):  # fmt: skip
        self._conv(locals())


class DepthwiseConv2D(_Conv, nn.DepthwiseConv2D):
    """A convolution of each channel by itself."""

    _base, _aliases = nn.DepthwiseConv2D, {"depthwise_kernel": "w", "kernel": "w", "bias": "b"}

    def __init__(self, kernel_size, strides=(1, 1), padding="valid", depth_multiplier=1, data_format=None,
                 dilation_rate=(1, 1), activation=None, use_bias=True, depthwise_initializer="glorot_uniform",
                 bias_initializer="zeros", depthwise_regularizer=None, bias_regularizer=None, activity_regularizer=None,
                 depthwise_constraint=None, bias_constraint=None, **kwargs):  # fmt: skip
        self._conv(locals())


class SeparableConv2D(_Conv, nn.SeparableConv2D):
    """A convolution of each channel by itself, then one of all with windows of 1."""

    _base = nn.SeparableConv2D
    _aliases = {"depthwise_kernel": "w", "pointwise_kernel": "pointwise", "bias": "b"}
    _order = ("w", "pointwise", "b")

    def __init__(self, filters, kernel_size, strides=(1, 1), padding="valid", data_format=None, dilation_rate=(1, 1),
                 depth_multiplier=1, activation=None, use_bias=True, depthwise_initializer="glorot_uniform",
                 pointwise_initializer="glorot_uniform", bias_initializer="zeros", depthwise_regularizer=None,
                 pointwise_regularizer=None, bias_regularizer=None, activity_regularizer=None,
                 depthwise_constraint=None, pointwise_constraint=None, bias_constraint=None, **kwargs):  # fmt: skip
        self._conv(locals())


class _Line:
    """Sequences as images of one row, for what pynn has for images alone."""

    def build(self, input_shape=None):
        if self.data_format == "channels_first":
            input_shape = (input_shape[0], input_shape[2], input_shape[1])
        self._base.build(self, (input_shape[0], 1, *input_shape[1:]))

    def call(self, inputs):
        def row(x):
            y = self._base.forward(self, ops.reshape(x, (x.shape[0], 1, *x.shape[1:])))
            return ops.reshape(y, (y.shape[0], *y.shape[2:]))

        return self._placed(row, inputs)

    @property
    def w(self):
        return ops.reshape(self._weights["w"], (1, *self._weights["w"].shape))

    @property
    def pointwise(self):
        return ops.reshape(self._weights["pointwise"], (1, *self._weights["pointwise"].shape))

    def add_weight(self, *args, **kwargs):
        """Make a weight without the axis of the row."""
        weight = super().add_weight(*args, **kwargs)
        if weight.ndim == 4:
            weight.shape = weight.shape[1:]
        return weight


class Conv1DTranspose(_Line, Conv2DTranspose):
    """The transposed convolution of sequences."""

    def __init__(self, filters, kernel_size, strides=1, padding="valid", output_padding=None, data_format=None,
                 dilation_rate=1, activation=None, use_bias=True, kernel_initializer="glorot_uniform",
                 bias_initializer="zeros", kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None,
                 kernel_constraint=None, bias_constraint=None, **kwargs):  # fmt: skip
        more = None if output_padding is None else (0, one(output_padding))
        super().__init__(filters, (1, one(kernel_size)), (1, one(strides)), padding, more, data_format,
                         (1, one(dilation_rate)), activation, use_bias, kernel_initializer, bias_initializer,
                         kernel_regularizer, bias_regularizer, activity_regularizer, kernel_constraint,
                         bias_constraint, **kwargs)  # fmt: skip


class SeparableConv1D(_Line, SeparableConv2D):
    """A separable convolution of sequences."""

    def __init__(self, filters, kernel_size, strides=1, padding="valid", data_format=None, dilation_rate=1,
                 depth_multiplier=1, activation=None, use_bias=True, depthwise_initializer="glorot_uniform",
                 pointwise_initializer="glorot_uniform", bias_initializer="zeros", depthwise_regularizer=None,
                 pointwise_regularizer=None, bias_regularizer=None, activity_regularizer=None,
                 depthwise_constraint=None, pointwise_constraint=None, bias_constraint=None, **kwargs):  # fmt: skip
        super().__init__(filters, (1, one(kernel_size)), (1, one(strides)), padding, data_format,
                         (1, one(dilation_rate)), depth_multiplier, activation, use_bias, depthwise_initializer,
                         pointwise_initializer, bias_initializer, depthwise_regularizer, pointwise_regularizer,
                         bias_regularizer, activity_regularizer, depthwise_constraint, pointwise_constraint,
                         bias_constraint, **kwargs)  # fmt: skip


class LocallyConnected2D(_Conv, nn.LocallyConnected2D):
    """A convolution of images with weights of its own at every place, as Keras 2 had it."""

    _base, _aliases = nn.LocallyConnected2D, {"kernel": "w", "bias": "b"}

    def __init__(self, filters, kernel_size, strides=(1, 1), padding="valid", data_format=None, activation=None,
                 use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros", kernel_regularizer=None,
                 bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None,
                 **kwargs):  # fmt: skip
        self._conv(locals())


class _Pool(Placed):
    build = Layer.build

    def _pool(self, kwargs, data_format, *args):
        size, strides, padding = args
        self._make(self._base, kwargs, size, strides, padding.lower())
        self._set_format(data_format)


class MaxPooling2D(_Pool, nn.MaxPool2D):
    """The largest of each window of an image."""

    _base = nn.MaxPool2D

    def __init__(self, pool_size=(2, 2), strides=None, padding="valid", data_format=None, name=None, **kwargs):
        self._pool({"name": name, **kwargs}, data_format, pool_size, strides, padding)


class AveragePooling2D(_Pool, nn.AvgPool2D):
    """The mean of each window of an image."""

    _base = nn.AvgPool2D

    def __init__(self, pool_size=(2, 2), strides=None, padding="valid", data_format=None, name=None, **kwargs):
        self._pool({"name": name, **kwargs}, data_format, pool_size, strides, padding)


class MaxPooling1D(_Pool, nn.MaxPool1D):
    """The largest of each window of a sequence."""

    _base = nn.MaxPool1D

    def __init__(self, pool_size=2, strides=None, padding="valid", data_format=None, name=None, **kwargs):
        self._pool({"name": name, **kwargs}, data_format, one(pool_size), one(strides), padding)


class AveragePooling1D(_Pool, nn.AvgPool1D):
    """The mean of each window of a sequence."""

    _base = nn.AvgPool1D

    def __init__(self, pool_size=2, strides=None, padding="valid", data_format=None, name=None, **kwargs):
        self._pool({"name": name, **kwargs}, data_format, one(pool_size), one(strides), padding)


class _GlobalPool(Placed):
    build, axes = Layer.build, 2

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        self._make(self._base, kwargs, keepdims=bool(keepdims))
        self._set_format(data_format)

    def call(self, inputs):
        """Compute the output."""
        if inputs.ndim != self.axes + 2:
            raise ShapeError(f"[{self.name}] expected {self.axes + 2} axes. Received: x.shape={inputs.shape}.")
        return ops.without_lengths(Placed.call(self, inputs))


class GlobalAveragePooling2D(_GlobalPool, nn.GlobalAvgPool):
    """The mean of an image."""

    _base = nn.GlobalAvgPool


class GlobalMaxPooling2D(_GlobalPool, nn.GlobalMaxPool):
    """The largest of an image."""

    _base = nn.GlobalMaxPool


class GlobalAveragePooling1D(_GlobalPool, nn.GlobalAvgPool):
    """The mean of a sequence's real steps."""

    _base, axes = nn.GlobalAvgPool, 1


class GlobalMaxPooling1D(_GlobalPool, nn.GlobalMaxPool):
    """The largest of a sequence's real steps."""

    _base, axes = nn.GlobalMaxPool, 1


class ZeroPadding2D(_Pool, nn.ZeroPadding2D):
    """Zeros around an image."""

    _base = nn.ZeroPadding2D

    def __init__(self, padding=(1, 1), data_format=None, **kwargs):
        self._make(self._base, kwargs, sides(padding))
        self._set_format(data_format)


class Cropping2D(_Pool, nn.Cropping2D):
    """An image without its border."""

    _base = nn.Cropping2D

    def __init__(self, cropping=((0, 0), (0, 0)), data_format=None, **kwargs):
        self._make(self._base, kwargs, sides(cropping))
        self._set_format(data_format)


class UpSampling2D(_Pool, nn.UpSampling2D):
    """An image enlarged."""

    _base = nn.UpSampling2D

    def __init__(self, size=(2, 2), data_format=None, interpolation="nearest", **kwargs):
        self._make(self._base, kwargs, size, interpolation=interpolation)
        self._set_format(data_format)


def _rows(x, function):
    y = function(ops.reshape(x, (x.shape[0], 1, *x.shape[1:])))
    return ops.reshape(y, (y.shape[0], *y.shape[2:]))


class ZeroPadding1D(Placed):
    """Zeros around a sequence."""

    build = Layer.build

    def __init__(self, padding=1, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.padding = (padding, padding) if isinstance(padding, int) else tuple(padding)
        self._set_format(data_format)

    def call(self, inputs):
        """Add zeros."""
        left, right = self.padding
        return self._placed(lambda x: _rows(x, lambda y: ops.pad2d(y, (0, 0, left, right))), inputs)


class Cropping1D(Layer):
    """A sequence without its ends."""

    def __init__(self, cropping=(1, 1), **kwargs):
        super().__init__(**kwargs)
        self.cropping = (cropping, cropping) if isinstance(cropping, int) else tuple(cropping)

    def call(self, inputs):
        """Cut."""
        left, right = self.cropping
        return inputs[:, left : inputs.shape[1] - right]


class UpSampling1D(Layer):
    """Every step of a sequence `size` times."""

    def __init__(self, size=2, **kwargs):
        super().__init__(**kwargs)
        self.size = int(size)

    def call(self, inputs):
        """Repeat steps."""
        return _rows(inputs, lambda y: ops.upsample2d(y, (1, self.size)))
