"""Convolutions and pooling of volumes [N, D, H, W, C], made of those of images, and a recurrent convolution."""

from __future__ import annotations

from pynn import ops
from pynn.errors import ShapeError
from pynn.keras import activations
from pynn.keras.layer import Layer
from pynn.keras.layers.recurrent import stacked
from pynn.keras.names import refused

__all__ = ["AveragePooling3D", "Conv3D", "ConvLSTM2D", "GlobalAveragePooling3D", "GlobalMaxPooling3D", "MaxPooling3D",
           "UpSampling3D"]  # fmt: skip


def three(value) -> tuple[int, int, int]:
    """Return a size for each of three axes."""
    return (value,) * 3 if isinstance(value, int) else tuple(value)


def _refuse_first(data_format):
    if data_format == "channels_first":
        refused("volumes with channels_first", "put channels last")


class Conv3D(Layer):
    """A convolution of volumes: the sum of those of their slices."""

    _aliases = {"kernel": "kernel", "bias": "bias"}

    def __init__(self, filters, kernel_size, strides=(1, 1, 1), padding="valid", data_format=None,
                 dilation_rate=(1, 1, 1), groups=1, activation=None, use_bias=True, kernel_initializer="glorot_uniform",
                 bias_initializer="zeros", kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None,
                 kernel_constraint=None, bias_constraint=None, **kwargs):  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        _refuse_first(data_format)
        self.filters, self.kernel_size, self.strides = filters, three(kernel_size), three(strides)
        self.padding, self.dilation_rate, self.groups = padding.lower(), three(dilation_rate), groups
        self.activation, self.use_bias = activations.get(activation), use_bias
        self.kernel_initializer, self.bias_initializer = kernel_initializer, bias_initializer

    def build(self, input_shape=None):
        """Declare the weights."""
        shape = (*self.kernel_size, input_shape[-1] // self.groups, self.filters)
        self.add_weight("kernel", shape, initializer=self.kernel_initializer)
        if self.use_bias:
            self.add_weight("bias", (self.filters,), initializer=self.bias_initializer)

    def call(self, inputs):
        """Compute the convolution."""
        if inputs.ndim != 5:
            raise ShapeError(f"[{self.name}] expected volumes [N, D, H, W, C]. Received: x.shape={inputs.shape}.")
        depth, step, apart = self.kernel_size[0], self.strides[0], self.dilation_rate[0]
        x, reach = inputs, (depth - 1) * apart + 1
        if self.padding == "same":
            count = -(-x.shape[1] // step)
            more = max(0, (count - 1) * step + reach - x.shape[1])
            x = padded(x, more // 2, more - more // 2)
        count = (x.shape[1] - reach) // step + 1
        total = None
        for k in range(depth):
            part = x[:, k * apart : k * apart + (count - 1) * step + 1 : step]
            flat = ops.reshape(part, (-1, *part.shape[2:]))
            bias = self.bias if self.use_bias and k == 0 else None
            y = ops.conv2d(flat, self.kernel[k], bias, self.strides[1:], self.padding, self.dilation_rate[1:],
                           self.groups)  # fmt: skip
            total = y if total is None else total + y
        return self.activation(ops.reshape(total, (inputs.shape[0], count, *total.shape[1:])))


def padded(x, before: int, after: int):
    """Return volumes with zeros before and after along their first axis."""
    parts = [ops.zeros((x.shape[0], n, *x.shape[2:]), x.dtype) for n in (before, after)]
    return ops.concat([p for p in (parts[0], x, parts[1]) if p.shape[1]], 1)


class _Pool3D(Layer):
    pool = None
    along = None

    def __init__(self, pool_size=(2, 2, 2), strides=None, padding="valid", data_format=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        _refuse_first(data_format)
        self.pool_size = three(pool_size)
        self.strides, self.padding = three(strides or pool_size), padding.lower()
        if self.strides[0] != self.pool_size[0] or self.padding != "valid":
            refused(f"{type(self).__name__} with strides or padding along the first axis", "pool whole windows")

    def call(self, inputs):
        """Pool."""
        n, d, h, w, c = inputs.shape
        flat = type(self).pool(ops.reshape(inputs, (n * d, h, w, c)), self.pool_size[1:], self.strides[1:])
        size = self.pool_size[0]
        y = ops.reshape(flat, (n, d, *flat.shape[1:]))[:, : d // size * size]
        return type(self).along(ops.reshape(y, (n, d // size, size, *flat.shape[1:])), axis=2)


class MaxPooling3D(_Pool3D):
    """The largest of each window of a volume."""

    pool, along = staticmethod(ops.max_pool2d), staticmethod(ops.max)


class AveragePooling3D(_Pool3D):
    """The mean of each window of a volume."""

    pool, along = staticmethod(ops.avg_pool2d), staticmethod(ops.mean)


class GlobalAveragePooling3D(Layer):
    """The mean of a volume."""

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(**kwargs)
        _refuse_first(data_format)
        self.data_format, self.keepdims = data_format, keepdims

    def call(self, inputs):
        """Pool."""
        return ops.mean(inputs, axis=(1, 2, 3), keepdims=self.keepdims)


class GlobalMaxPooling3D(GlobalAveragePooling3D):
    """The largest of a volume."""

    def call(self, inputs):
        """Pool."""
        return ops.max(inputs, axis=(1, 2, 3), keepdims=self.keepdims)


class UpSampling3D(Layer):
    """A volume enlarged."""

    def __init__(self, size=(2, 2, 2), data_format=None, **kwargs):
        super().__init__(**kwargs)
        _refuse_first(data_format)
        self.size, self.data_format = three(size), data_format

    def call(self, inputs):
        """Enlarge."""
        n, d, h, w, c = inputs.shape
        flat = ops.upsample2d(ops.reshape(inputs, (n * d, h, w, c)), self.size[1:])
        k = self.size[0]
        wide = ops.expand(ops.reshape(flat, (n, d, 1, *flat.shape[1:])), (n, d, k, *flat.shape[1:]))
        return ops.reshape(wide, (n, d * k, *flat.shape[1:]))


class ConvLSTM2D(Layer):
    """An LSTM whose products are convolutions (Shi and others 2015)."""

    _cell_path = "cell/"
    _aliases = {"kernel": "kernel", "recurrent_kernel": "recurrent_kernel", "bias": "bias"}

    def __init__(self, filters, kernel_size, strides=1, padding="valid", data_format=None, dilation_rate=1,
                 activation="tanh", recurrent_activation="sigmoid", use_bias=True, kernel_initializer="glorot_uniform",
                 recurrent_initializer="orthogonal", bias_initializer="zeros", unit_forget_bias=True,
                 kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None,
                 kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0,
                 recurrent_dropout=0.0, seed=None, return_sequences=False, return_state=False, go_backwards=False,
                 stateful=False, **kwargs):  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        _refuse_first(data_format)
        if stateful or dropout or recurrent_dropout:
            refused("ConvLSTM2D with stateful, dropout or recurrent_dropout", "leave them out")
        self.filters, self.kernel_size = filters, (kernel_size,) * 2 if isinstance(kernel_size, int) else kernel_size
        self.strides, self.padding, self.dilation_rate = strides, padding.lower(), dilation_rate
        self.activation, self.recurrent_activation = activations.get(activation), activations.get(recurrent_activation)
        self.use_bias, self.unit_forget_bias = use_bias, unit_forget_bias
        self.kernel_initializer, self.recurrent_initializer = kernel_initializer, recurrent_initializer
        self.bias_initializer, self.return_sequences, self.return_state = (
            bias_initializer,
            return_sequences,
            return_state,
        )
        self.go_backwards = go_backwards

    def build(self, input_shape=None):
        """Declare the weights."""
        wide = 4 * self.filters
        self.add_weight("kernel", (*self.kernel_size, input_shape[-1], wide), initializer=self.kernel_initializer)
        self.add_weight("recurrent_kernel", (*self.kernel_size, self.filters, wide),
                        initializer=self.recurrent_initializer)  # fmt: skip
        if self.use_bias:
            b = self.add_weight("bias", (wide,), initializer=self.bias_initializer)
            if self.unit_forget_bias:
                b.view()[self.filters : 2 * self.filters] = 1.0

    def call(self, inputs, initial_state=None, mask=None, training=False):
        """Walk along time."""
        n, steps = inputs.shape[:2]
        flat = ops.reshape(inputs, (n * steps, *inputs.shape[2:]))
        bias = self.bias if self.use_bias else None
        z = ops.conv2d(flat, self.kernel, bias, self.strides, self.padding, self.dilation_rate)
        z = ops.reshape(z, (n, steps, *z.shape[1:]))
        zeros = ops.zeros((n, *z.shape[2:4], self.filters), inputs.dtype)
        h, c = (zeros, zeros) if initial_state is None else initial_state
        gate, act, found = self.recurrent_activation, self.activation, []
        for t in reversed(range(steps)) if self.go_backwards else range(steps):
            total = z[:, t] + ops.conv2d(h, self.recurrent_kernel, None, 1, "same")
            i, f, g, o = (total[..., k * self.filters : (k + 1) * self.filters] for k in range(4))
            c = gate(f) * c + gate(i) * act(g)
            h = gate(o) * act(c)
            found.append(h)
        y = stacked(found) if self.return_sequences else h
        return (y, h, c) if self.return_state else y
