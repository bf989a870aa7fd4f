"""Dense, Embedding, and the layers that give values another shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import nn, ops
from pynn.errors import ShapeError
from pynn.keras import activations, regularizers
from pynn.keras.initializers import for_layer
from pynn.keras.layer import Layer
from pynn.keras.missing import refused

__all__ = [
    "Activation", "ActivityRegularization", "Dense", "Dropout", "Embedding", "Flatten", "Identity", "Lambda", "Masking",
    "Permute", "RepeatVector", "Reshape",
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
        kwargs["activity_regularizer"] = activity_regularizer
        self._make(nn.Dense, kwargs, units, None, use_bias, for_layer(kernel_initializer), for_layer(bias_initializer))
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
        """Compute the function."""
        return self.function(inputs, **self.arguments)

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

    def _mask(self, out: Any, args: Any, kwargs: Any) -> None:
        pass  # call() has said it


class Embedding(Layer, nn.Embedding):
    """y = embeddings[x]: the vector of each token id."""

    _aliases = {"embeddings": "w"}
    _reads_lengths = True

    def __init__(self, input_dim, output_dim, embeddings_initializer="uniform", embeddings_regularizer=None,
                 embeddings_constraint=None, mask_zero=False, weights=None, **kwargs):  # fmt: skip
        drop = kwargs.pop("rate", 0)  # Keras 1 had a dropout of words here
        if drop:
            refused("Embedding(dropout=)", "put SpatialDropout1D behind it")
        self._make(
            nn.Embedding, {**kwargs, "weights": weights}, input_dim, output_dim, for_layer(embeddings_initializer),
            mask_zero=mask_zero, padding="any" if mask_zero else "auto",
        )  # fmt: skip

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

    def _mask(self, out: Any, args: Any, kwargs: Any) -> None:
        pass  # call() has said it


class ActivityRegularization(Layer):
    """Add a penalty on the values that pass."""

    def __init__(self, l1=0.0, l2=0.0, **kwargs):
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1, self.l2 = l1, l2

    def call(self, inputs):
        """Return the input."""
        return inputs
