"""Activations, in Keras's names."""

from __future__ import annotations

import numpy as np

from pynn import keras, ops
from pynn.keras.layer import lifted
from pynn.keras.names import Named, absent
from pynn.ops import activation as own

__all__ = [
    "celu", "deserialize", "elu", "exponential", "gelu", "get", "glu", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu",
    "serialize", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "squareplus",
    "swish", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip


def _tensor(x):
    return ops.copy(x) if not hasattr(x, "shape") else np.asarray(x, "float32") if isinstance(x, np.ndarray) else x


def _lifts(function):
    import functools

    @functools.wraps(function)
    def wrapped(x, *args, **kwargs):
        return lifted(function, _tensor(x), *args, **kwargs)

    return wrapped


@_lifts
def relu(x, negative_slope=0.0, max_value=None, threshold=0.0, alpha=None):
    """Return max(x, 0), with a slope below, an upper bound and a threshold if asked for."""
    slope = negative_slope if alpha is None else alpha
    if threshold:
        y = ops.where(ops.less(x, float(threshold)), (x - float(threshold)) * float(slope), x)
    elif slope:
        y = ops.leaky_relu(x, slope)
    elif max_value == 6:
        return ops.relu6(x)
    else:
        y = ops.relu(x)
    return y if max_value is None else ops.minimum(y, float(max_value))


@_lifts
def leaky_relu(x, negative_slope=0.2):
    """Return x where it is positive, else negative_slope * x."""
    return ops.leaky_relu(x, negative_slope)


@_lifts
def elu(x, alpha=1.0):
    """Return x where it is positive, else alpha * (e**x - 1)."""
    return ops.elu(x, alpha)


@_lifts
def celu(x, alpha=1.0):
    """Return max(x, 0) + min(0, alpha * (e**(x / alpha) - 1))."""
    return ops.maximum(x, 0.0) + ops.minimum(ops.exp(ops.minimum(x, 0.0) / alpha) * alpha - alpha, 0.0)


@_lifts
def gelu(x, approximate=False):
    """Return x * P(X <= x) for a standard normal X."""
    return ops.gelu(x, approximate)


@_lifts
def softmax(x, axis=-1):
    """Return e**x / sum(e**x)."""
    return _over(ops.softmax, x, axis)


@_lifts
def log_softmax(x, axis=-1):
    """Return log(softmax(x))."""
    return _over(ops.log_softmax, x, axis)


def _over(function, x, axis):
    if isinstance(axis, (list, tuple)) and len(axis) == 1:
        [axis] = axis
    if axis in (-1, x.ndim - 1):
        return function(x)
    axes = [i for i in range(x.ndim) if i != axis % x.ndim] + [axis % x.ndim]
    return ops.transpose(function(ops.transpose(x, axes)), [axes.index(i) for i in range(x.ndim)])


@_lifts
def glu(x, axis=-1):
    """Return a * sigmoid(b) for the halves of x."""
    half = x.shape[axis] // 2
    at = axis % x.ndim
    a, b = (x[(slice(None),) * at + (part,)] for part in (slice(None, half), slice(half, None)))
    return a * ops.sigmoid(b)


def _plain(name, function, text):
    def plain(x):
        return function(x)

    plain.__name__ = plain.__qualname__ = name
    plain.__doc__ = text
    made = _lifts(plain)
    return made


def _clipped(low, high):
    return lambda x: ops.clip(x, low, high)


tanh = _plain("tanh", ops.tanh, "Return the hyperbolic tangent.")
sigmoid = _plain("sigmoid", ops.sigmoid, "Return 1 / (1 + e**-x).")
linear = _plain("linear", ops.linear, "Return x.")
selu = _plain("selu", ops.selu, "Return the self-normalizing ELU.")
softplus = _plain("softplus", ops.softplus, "Return log(1 + e**x).")
softsign = _plain("softsign", ops.softsign, "Return x / (1 + |x|).")
silu = _plain("silu", ops.silu, "Return x * sigmoid(x).")
relu6 = _plain("relu6", ops.relu6, "Return min(max(x, 0), 6).")
mish = _plain("mish", ops.mish, "Return x * tanh(softplus(x)).")
exponential = _plain("exponential", ops.exp, "Return e**x.")
hard_sigmoid = _plain("hard_sigmoid", ops.hardsigmoid, "Return min(max(x / 6 + 1/2, 0), 1).")
hard_silu = _plain("hard_silu", ops.hardswish, "Return x * hard_sigmoid(x).")
hard_tanh = _plain("hard_tanh", _clipped(-1.0, 1.0), "Return x between -1 and 1.")
log_sigmoid = _plain("log_sigmoid", lambda x: -ops.softplus(-x), "Return log(sigmoid(x)).")
tanh_shrink = _plain("tanh_shrink", lambda x: x - ops.tanh(x), "Return x - tanh(x).")
sparse_plus = _plain(
    "sparse_plus",
    lambda x: ops.where(ops.less(x, 1.0), ops.square(ops.maximum(x, -1.0) + 1.0) * 0.25, x),
    "Return 0 up to -1, (x + 1)**2 / 4 up to 1, then x.",
)
sparse_sigmoid = _plain("sparse_sigmoid", lambda x: ops.clip(x * 0.5 + 0.5, 0.0, 1.0), "Return (x + 1) / 2 in 0..1.")
hard_sigmoid_2 = _plain("hard_sigmoid_2", lambda x: ops.clip(x * 0.2 + 0.5, 0.0, 1.0),
                        "Return min(max(0.2 x + 0.5, 0), 1), the hard sigmoid of Keras 2.")  # fmt: skip
swish, hard_swish = silu, hard_silu


@_lifts
def squareplus(x, b=4):
    """Return (x + sqrt(x**2 + b)) / 2."""
    return (x + ops.sqrt(ops.square(x) + float(b))) * 0.5


@_lifts
def hard_shrink(x, threshold=0.5):
    """Return x where |x| is above the threshold, else 0."""
    return ops.where(ops.less(float(threshold), ops.abs(x)), x, 0.0)


@_lifts
def soft_shrink(x, threshold=0.5):
    """Return x moved towards 0 by the threshold."""
    return ops.relu(x - float(threshold)) - ops.relu(-x - float(threshold))


@_lifts
def threshold(x, threshold, default_value):
    """Return x where it is above the threshold, else default_value."""
    return ops.where(ops.less(float(threshold), x), x, float(default_value))


_FUNCTIONS = [
    relu, leaky_relu, elu, celu, gelu, softmax, log_softmax, glu, tanh, sigmoid, linear, selu, softplus, softsign, silu,
    relu6, mish, exponential, hard_sigmoid, hard_silu, hard_tanh, log_sigmoid, tanh_shrink, sparse_plus, sparse_sigmoid,
    hard_sigmoid_2, squareplus, hard_shrink, soft_shrink,
]  # fmt: skip
_NAMES = Named("activation", None, _FUNCTIONS, {"swish": silu, "hard_swish": hard_silu})
# What pynn's layers compute together with their products.
_FUSED = {
    relu: "relu", tanh: "tanh", sigmoid: "sigmoid", linear: "linear", softmax: "softmax", elu: "elu", selu: "selu",
    softplus: "softplus", silu: "silu", relu6: "relu6", hard_sigmoid: "hardsigmoid", hard_silu: "hardswish",
    softsign: "softsign", mish: "mish", exponential: "exp", gelu: "gelu", log_softmax: "log_softmax",
}  # fmt: skip


def get(identifier):
    """Return the function of a name, or the function itself; linear for None."""
    if isinstance(identifier, type):
        identifier = identifier()
    return linear if identifier is None else _NAMES.get(identifier)


def serialize(activation):
    """Return the name of an activation."""
    if hasattr(activation, "get_config"):
        return keras.serial.serialized(activation)
    return getattr(activation, "__name__", activation)


def deserialize(config, custom_objects=None):
    """Return the activation of a name."""
    return _NAMES.deserialize(config, custom_objects)


def for_layer(identifier):
    """Return what pynn's layers take of an activation: a name where they have it, else a function."""
    found = get(identifier)
    return _FUSED.get(found, found)


def kind_of(function):
    """Return the activation of Keras that a function of pynn's stands for."""
    for mine, name in _FUSED.items():
        if own.get(name) is function:
            return mine
    return function


__getattr__ = absent(__name__, __all__)
