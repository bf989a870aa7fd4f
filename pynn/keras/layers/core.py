"""Dense, Embedding, layers of another shape, normalization, noise, and activations with settings."""

from __future__ import annotations

import numpy as np

from pynn import nn, ops, random
from pynn.errors import ShapeError
from pynn.keras import activations, regularizers
from pynn.keras.layer import Layer
from pynn.keras.names import older, refused

__all__ = [
    "ELU", "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dense", "Dropout",
    "Embedding", "Flatten", "GaussianDropout", "GaussianNoise", "GroupNormalization", "Identity", "Lambda",
    "LayerNormalization", "LeakyReLU", "Masking", "PReLU", "Permute", "RMSNormalization", "ReLU", "RepeatVector",
    "Reshape", "Softmax", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "ThresholdedReLU",
    "UnitNormalization",
]  # fmt: skip


class Activated(Layer):
    """A layer with an activation."""

    _reads_lengths = True

    @property
    def activation(self):
        """The activation, a function."""
        return activations.kind_of(self._function)

    @activation.setter
    def activation(self, value):
        nn.layers.Activated.activation.fset(self, activations.for_layer(value))


class Dense(Activated, nn.Dense):
    """y = act(x kernel + bias)."""

    _aliases = {"kernel": "w", "bias": "b"}
    build, call = nn.Dense.build, nn.Dense.forward

    def __init__(self, units, activation=None, use_bias=True, kernel_initializer="glorot_uniform",
                 bias_initializer="zeros", kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None,
                 kernel_constraint=None, bias_constraint=None, **kwargs):  # fmt: skip
        self._make_of(nn.Dense, locals())
        self.activation = activation


class Activation(Activated, nn.Activation):
    """y = act(x), element by element."""

    call = nn.Activation.forward

    def __init__(self, activation, **kwargs):
        self._make(nn.Activation, kwargs, "linear")
        self.activation = activation


class Dropout(Layer, nn.Dropout):
    """While training, set each value to 0 with probability `rate` and scale the others by 1 / (1 - rate)."""

    _reads_lengths = True

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        self._make(nn.Dropout, kwargs, rate, seed=seed)
        self.noise_shape = noise_shape

    def call(self, inputs, training=False):
        """Drop values while training."""
        if self.noise_shape is None or not training or self.rate == 0:
            return nn.Dropout.forward(self, inputs)
        shape = tuple(inputs.shape[i] if d is None else d for i, d in enumerate(self.noise_shape))
        return inputs * nn.Dropout.forward(self, ops.ones(shape, inputs.dtype))


class Flatten(Layer, nn.Flatten):
    """Give each sample one axis."""

    def __init__(self, data_format=None, **kwargs):
        self._make(nn.Flatten, kwargs)
        self.data_format = data_format

    def call(self, inputs):
        """Join all axes but the first."""
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = ops.transpose(inputs, (0, *range(2, inputs.ndim), 1))
        if inputs.ndim == 1:
            return ops.reshape(inputs, (inputs.shape[0], 1))
        return ops.without_lengths(nn.Flatten.forward(self, inputs))


class Reshape(Layer, nn.Reshape):
    """Give each sample another shape."""

    call = nn.Reshape.forward

    def __init__(self, target_shape, **kwargs):
        self._make(nn.Reshape, kwargs, target_shape)


class Permute(Layer):
    """Exchange the axes of each sample; they are counted from 1."""

    def __init__(self, dims, **kwargs):
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"[permute] expected dims to be an order of 1 to {len(self.dims)}. Received: {self.dims}.")

    def call(self, inputs):
        """Exchange axes."""
        return ops.transpose(inputs, (0, *self.dims))


class RepeatVector(Layer):
    """Give each sample n times: [N, D] becomes [N, n, D]."""

    def __init__(self, n, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(n, (int, np.integer)):
            raise TypeError(f"[repeat_vector] expected n to be an integer. Received: {n!r}.")
        self.n = int(n)

    def call(self, inputs):
        """Repeat."""
        if inputs.ndim != 2:
            raise ShapeError(f"[repeat_vector] expected vectors [N, D]. Received: x.shape={inputs.shape}.")
        rows, size = inputs.shape
        return ops.expand(ops.reshape(inputs, (rows, 1, size)), (rows, self.n, size))


class Identity(Layer):
    """y = x."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def call(self, inputs):
        """Return the input."""
        return inputs


class Lambda(Layer):
    """A function as a layer. It is not read from files: no code is."""

    def __init__(self, function, output_shape=None, mask=None, arguments=None, **kwargs):
        super().__init__(**kwargs)
        self.function, self.arguments = function, dict(arguments or {})

    def call(self, inputs, mask=None, training=None):
        """Compute the function; a list with one tensor is that tensor, as before Keras 3."""
        out = self.function(inputs, **self.arguments)
        return out[0] if older() and isinstance(out, list) and len(out) == 1 else out

    def get_config(self):
        """Refuse: a function cannot be told as data."""
        return refused("the config of a Lambda layer", "its code is not written to files; write a Layer with call()")

    @classmethod
    def from_config(cls, config):
        """Refuse."""
        return refused("a Lambda layer from a file", "code of files is never run; build the model, then load_weights()")


class Masking(Layer, nn.Masking):
    """Steps all of whose features are mask_value are padding."""

    _reads_lengths = supports_masking = True
    call = nn.Masking.forward

    def __init__(self, mask_value=0.0, **kwargs):
        self._make(nn.Masking, kwargs, mask_value)

    def compute_mask(self, inputs, mask=None):
        """Return which steps are real."""
        differs = ops.not_equal(inputs, self.mask_value).astype("float32")
        return ops.not_equal(ops.max(differs, axis=-1), 0)

    def _mask(self, out, args, kwargs):
        pass  # call() has said it


class Embedding(Layer, nn.Embedding):
    """y = embeddings[x]: the vector of each token id."""

    _aliases = {"embeddings": "w"}
    _reads_lengths = True

    def __init__(self, input_dim, output_dim, embeddings_initializer="uniform", embeddings_regularizer=None,
                 embeddings_constraint=None, mask_zero=False, weights=None, **kwargs):  # fmt: skip
        if kwargs.pop("rate", 0):  # Keras 1 had a dropout of words here
            refused("Embedding(dropout=)", "put SpatialDropout1D behind it")
        kwargs["weights"] = weights
        self._make_of(nn.Embedding, locals(), padding="any" if mask_zero else "auto")

    def build(self, input_shape=None):
        """Make the table."""
        nn.Embedding.build(self, input_shape)

    def call(self, inputs):
        """Look ids up; real numbers are taken as whole ones."""
        if inputs.dtype.kind == "f":
            inputs = inputs.astype("int32")
        return nn.Embedding.forward(self, inputs)

    def compute_mask(self, inputs, mask=None):
        """Return which ids are not 0."""
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def _mask(self, out, args, kwargs):
        pass  # call() has said it


class ActivityRegularization(Layer):
    """Add a penalty on the values that pass."""

    def __init__(self, l1=0.0, l2=0.0, **kwargs):
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1, self.l2 = l1, l2

    def call(self, inputs):
        """Return the input."""
        return inputs


class BatchNormalization(Layer, nn.BatchNormalization):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta, with the statistics of the batch while training."""

    _reads_lengths = True

    def __init__(self, axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True, beta_initializer="zeros",
                 gamma_initializer="ones", moving_mean_initializer="zeros", moving_variance_initializer="ones",
                 beta_regularizer=None, gamma_regularizer=None, beta_constraint=None, gamma_constraint=None,
                 synchronized=False, **kwargs):  # fmt: skip
        for old in ("mode", "renorm", "renorm_clipping", "renorm_momentum", "fused", "virtual_batch_size"):
            kwargs.pop(old, None)
        given = {"axis": -1, "center": bool(center), "scale": bool(scale), "sync": bool(synchronized)}
        self._make_of(nn.BatchNormalization, locals(), **given)
        self.axis = axis[0] if isinstance(axis, (list, tuple)) else axis

    def build(self, input_shape=None):
        """Declare the weights."""
        nn.BatchNormalization.build(self, _last(input_shape, self.axis))

    def call(self, inputs, training=False, mask=None):
        """Normalize."""
        return _at_last(lambda x: nn.BatchNormalization.forward(self, x), inputs, self.axis)


def _last(shape, axis):
    axis %= len(shape)
    return (*shape[:axis], *shape[axis + 1 :], shape[axis])


def _at_last(function, x, axis):
    """Return function(x) with an axis moved to the end and back."""
    axis %= x.ndim
    if axis == x.ndim - 1:
        return function(x)
    there = [i for i in range(x.ndim) if i != axis] + [axis]
    return ops.transpose(function(ops.transpose(x, there)), [there.index(i) for i in range(x.ndim)])


class LayerNormalization(Layer, nn.LayerNormalization):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta, with the statistics of each sample's last axes."""

    _reads_lengths = True
    build, call = nn.LayerNormalization.build, nn.LayerNormalization.forward

    def __init__(self, axis=-1, epsilon=0.001, center=True, scale=True, beta_initializer="zeros",
                 gamma_initializer="ones", beta_regularizer=None, gamma_regularizer=None, beta_constraint=None,
                 gamma_constraint=None, **kwargs):  # fmt: skip
        kwargs.pop("rms_scaling", None)
        self._make_of(nn.LayerNormalization, locals(), center=bool(center), scale=bool(scale))


class GroupNormalization(Layer, nn.GroupNormalization):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta, with the statistics of groups of channels."""

    build, call = nn.GroupNormalization.build, nn.GroupNormalization.forward

    def __init__(self, groups=32, axis=-1, epsilon=0.001, center=True, scale=True, beta_initializer="zeros",
                 gamma_initializer="ones", beta_regularizer=None, gamma_regularizer=None, beta_constraint=None,
                 gamma_constraint=None, **kwargs):  # fmt: skip
        self._make_of(nn.GroupNormalization, locals(), center=bool(center), scale=bool(scale))


class UnitNormalization(Layer):
    """Each sample divided by its norm."""

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs):
        """Normalize."""
        axis = tuple(self.axis) if isinstance(self.axis, (list, tuple)) else self.axis
        return inputs / ops.sqrt(ops.maximum(ops.sum(ops.square(inputs), axis=axis, keepdims=True), 1e-12))


class RMSNormalization(Layer):
    """y = x / sqrt(mean(x**2) + epsilon) * scale."""

    def __init__(self, axis=-1, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.axis, self.epsilon = axis, epsilon

    def build(self, input_shape=None):
        """Declare the scale."""
        self.scale = self.add_weight(name="scale", shape=(input_shape[self.axis],), initializer="ones")

    def call(self, inputs):
        """Normalize."""
        return _at_last(
            lambda x: x / ops.sqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + self.epsilon) * self.scale,
            inputs, self.axis,
        )  # fmt: skip


class GaussianNoise(Layer):
    """While training, add normally distributed numbers."""

    def __init__(self, stddev, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.stddev, self.seed = stddev, seed

    def call(self, inputs, training=False):
        """Add noise while training."""
        return inputs + random.normal(inputs.shape, 0.0, float(self.stddev)) if training else inputs


class GaussianDropout(Layer):
    """While training, multiply by normally distributed numbers of mean 1."""

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.seed = rate, seed

    def call(self, inputs, training=False):
        """Multiply by noise while training."""
        if not training or not self.rate:
            return inputs
        return inputs * random.normal(inputs.shape, 1.0, float((self.rate / (1.0 - self.rate)) ** 0.5))


class AlphaDropout(Layer):
    """Dropout that keeps mean and variance of what comes from selu (Klambauer and others 2017)."""

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.noise_shape, self.seed = rate, noise_shape, seed

    def call(self, inputs, training=False):
        """Drop values while training."""
        if not training or not self.rate:
            return inputs
        low = -1.7580993408473766
        shape = inputs.shape if self.noise_shape is None else tuple(
            inputs.shape[i] if d is None else d for i, d in enumerate(self.noise_shape))  # fmt: skip
        kept = random.bernoulli(shape, 1.0 - self.rate)
        a = ((1 - self.rate) * (1 + self.rate * low**2)) ** -0.5
        return (inputs * kept + (1.0 - kept) * low) * a - a * low * self.rate


class _SpatialDropout(Dropout):
    axes = 1

    def call(self, inputs, training=False):
        """Drop whole channels while training."""
        if not training or not self.rate:
            return inputs
        n, c = inputs.shape[0], inputs.shape[-1]
        shape = (n, *(1,) * (inputs.ndim - 2), c)
        if getattr(self, "data_format", None) == "channels_first":
            shape = (n, inputs.shape[1], *(1,) * (inputs.ndim - 2))
        return inputs * nn.Dropout.forward(self, ops.ones(shape, inputs.dtype))


class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole channels of sequences."""

    def __init__(self, rate, seed=None, name=None, dtype=None):
        super().__init__(rate, seed=seed, name=name, dtype=dtype)


class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of images."""

    def __init__(self, rate, data_format=None, seed=None, name=None, dtype=None):
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = data_format


class SpatialDropout3D(SpatialDropout2D):
    """Dropout of whole channels of volumes."""


class _Function(Layer):
    _reads_lengths = True


class LeakyReLU(_Function):
    """x where it is positive, else negative_slope * x."""

    def __init__(self, negative_slope=0.3, **kwargs):
        super().__init__(**kwargs)
        self.negative_slope = float(negative_slope)

    def call(self, inputs):
        """Compute the function."""
        return ops.leaky_relu(inputs, self.negative_slope)


class ELU(_Function):
    """x where it is positive, else alpha * (e**x - 1)."""

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = float(alpha)

    def call(self, inputs):
        """Compute the function."""
        return ops.elu(inputs, self.alpha)


class ReLU(_Function):
    """max(x, 0), with a slope below, an upper bound and a threshold if asked for."""

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        super().__init__(**kwargs)
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def call(self, inputs):
        """Compute the function."""
        return activations.relu(inputs, self.negative_slope or 0.0, self.max_value, self.threshold or 0.0)


class ThresholdedReLU(_Function):
    """x where it is above theta, else 0."""

    def __init__(self, theta=1.0, **kwargs):
        super().__init__(**kwargs)
        self.theta = float(theta)

    def call(self, inputs):
        """Compute the function."""
        return ops.where(ops.less(self.theta, inputs), inputs, 0.0)


class Softmax(_Function):
    """e**x / sum(e**x) along an axis."""

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs, mask=None):
        """Compute the function; where a mask is false the result is 0."""
        if mask is not None:
            inputs = inputs + (1.0 - mask.astype(inputs.dtype)) * -3e4
        return activations.softmax(inputs, self.axis)


class PReLU(Layer):
    """x where it is positive, else alpha * x with a learnt alpha."""

    _reads_lengths = True

    def __init__(self, alpha_initializer="Zeros", alpha_regularizer=None, alpha_constraint=None, shared_axes=None,
                 **kwargs):  # fmt: skip
        super().__init__(**kwargs)
        self.alpha_initializer = alpha_initializer
        self.shared_axes = None if shared_axes is None else list(shared_axes)

    def build(self, input_shape=None):
        """Declare alpha."""
        shape = [1 if i in (self.shared_axes or ()) else d for i, d in enumerate(input_shape)][1:]
        self.alpha = self.add_weight(name="alpha", shape=shape, initializer=self.alpha_initializer)

    def call(self, inputs):
        """Compute the function."""
        return ops.relu(inputs) - self.alpha * ops.relu(-inputs)
