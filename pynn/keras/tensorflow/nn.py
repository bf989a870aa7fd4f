"""``tf.nn``: activations, cross-entropies, convolutions, with the arguments that TensorFlow has for them."""

from __future__ import annotations

from pynn import ops as of
from pynn.core.tensor import Tensor
from pynn.keras import ops
from pynn.keras.names import absent
from pynn.keras.ops import arithmetic
from pynn.keras.ops.arithmetic import l2_loss
from pynn.keras.ops.arrays import op, tensor_of
from pynn.keras.tensorflow.functions import _axes


def _named(function, title):
    def call(features=None, name=None, **options):
        x = options.pop("x", features)
        if options:
            raise TypeError(f"[{title}] unknown keyword argument. Received: {next(iter(options))}=. Known: x, name.")
        return function(x)

    call.__name__, call.__doc__ = title, f"Return {title}, element by element."
    return call


relu = _named(ops.relu, "relu")
relu6 = _named(ops.relu6, "relu6")
elu = _named(ops.elu, "elu")
selu = _named(ops.selu, "selu")
sigmoid = _named(ops.sigmoid, "sigmoid")
tanh = _named(ops.tanh, "tanh")
softplus = _named(ops.softplus, "softplus")
softsign = _named(ops.softsign, "softsign")
swish = silu = _named(ops.silu, "swish")
gelu = _named(ops.gelu, "gelu")


def leaky_relu(features, alpha: float = 0.2, name: str | None = None):
    """Return x where it is positive, a part of it elsewhere."""
    return ops.leaky_relu(features, alpha)


def softmax(logits, axis=None, name: str | None = None, dim=None):
    """Return exp(x) / sum(exp(x)) along an axis, the last by default."""
    axis = dim if axis is None else axis
    return ops.softmax(logits, -1 if axis is None else axis)


def log_softmax(logits, axis=None, name: str | None = None, dim=None):
    """Return the logarithm of softmax."""
    axis = dim if axis is None else axis
    return ops.log_softmax(logits, -1 if axis is None else axis)


def _told(place, labels, logits):
    if labels is None or logits is None:
        raise ValueError(f"[{place}] expected labels and logits, by name. Received: {place}(labels, logits).")


def softmax_cross_entropy_with_logits(_sentinel=None, labels=None, logits=None, dim: int = -1, axis=None,
                                      name: str | None = None):  # fmt: skip
    """Return the cross-entropy of each row between distributions and logits."""
    if _sentinel is not None and labels is not None and logits is None:  # TensorFlow 0.x: (logits, labels)
        labels, logits = labels, _sentinel
    _told("softmax_cross_entropy_with_logits", labels, logits)
    return ops.categorical_crossentropy(labels, logits, True, dim if axis is None else axis)


softmax_cross_entropy_with_logits_v2 = softmax_cross_entropy_with_logits


def sparse_softmax_cross_entropy_with_logits(_sentinel=None, labels=None, logits=None, name: str | None = None):
    """Return the cross-entropy of each row between a class and logits."""
    _told("sparse_softmax_cross_entropy_with_logits", labels, logits)
    return ops.sparse_categorical_crossentropy(labels, logits, True)


def sigmoid_cross_entropy_with_logits(_sentinel=None, labels=None, logits=None, name: str | None = None):
    """Return the cross-entropy, element by element."""
    _told("sigmoid_cross_entropy_with_logits", labels, logits)
    return ops.binary_crossentropy(labels, logits, True)


def bias_add(value, bias, data_format=None, name: str | None = None):
    """Return a number for each channel added."""
    return ops.add(value, bias)


def _two(sizes):
    """Return (rows, columns) of what is told for all four axes."""
    if isinstance(sizes, (list, tuple)) and len(sizes) == 4:
        return tuple(sizes[1:3])
    return sizes[0] if isinstance(sizes, (list, tuple)) and len(sizes) == 1 else sizes


def conv2d(input, filters=None, strides=1, padding: str = "VALID", data_format: str = "NHWC", dilations=1,
           name: str | None = None, **options):  # fmt: skip
    """Return the convolution of images; strides may be told for all four axes."""
    kernel = options.pop("filter", filters)
    options.pop("use_cudnn_on_gpu", None)
    if options or data_format != "NHWC":
        raise TypeError(f"[conv2d] expected images NHWC. Received: data_format={data_format!r}, {list(options)}.")
    return ops.conv(input, kernel, _two(strides), padding.lower(), "channels_last", _two(dilations))


def max_pool(input=None, ksize=2, strides=None, padding: str = "VALID", data_format: str = "NHWC",
             name: str | None = None, value=None):  # fmt: skip
    """Return the largest value of each window."""
    x = value if input is None else input
    return ops.max_pool(x, _two(ksize), _two(strides), padding.lower(), "channels_last")


max_pool2d = max_pool


def avg_pool(input=None, ksize=2, strides=None, padding: str = "VALID", data_format: str = "NHWC",
             name: str | None = None, value=None):  # fmt: skip
    """Return the mean of each window."""
    x = value if input is None else input
    return ops.average_pool(x, _two(ksize), _two(strides), padding.lower(), "channels_last")


avg_pool2d = avg_pool


def dropout(x, keep_prob=None, noise_shape=None, seed=None, name: str | None = None, rate=None):
    """Return x with a part of it 0: each value is kept with chance keep_prob, or 1 - rate."""
    if keep_prob is None:
        keep_prob = 1.0 if rate is None else ops.subtract(1.0, rate)
    return _dropped(x, keep_prob)


@op
def _dropped(x, keep):
    keep = float(keep.item() if isinstance(keep, Tensor) else keep)
    return tensor_of(x) if keep >= 1 else arithmetic.dropout(x, 1 - keep)


def embedding_lookup(params, ids, name: str | None = None, **options):
    """Return the rows that ids name."""
    return ops.take(params, ids, 0)


def in_top_k(predictions, targets, k: int, name: str | None = None):
    """Tell of each row whether the value of its class is among the k largest."""
    return ops.in_top_k(targets, predictions, k)


def l2_normalize(x, axis=None, epsilon: float = 1e-12, name: str | None = None, dim=None):
    """Return x / its length along an axis."""
    return arithmetic.l2_normalize(x, dim if axis is None else axis, epsilon)


def moments(x, axes, shift=None, keepdims: bool = False, name=None, **old):
    """Return mean and variance over the axes."""
    axes, keepdims = _axes(old, axes, keepdims)
    return ops.mean(x, axes, keepdims), ops.var(x, axes, keepdims)


def batch_normalization(x, mean, variance, offset, scale, variance_epsilon: float, name=None):
    """Return (x - mean) / sqrt(variance + epsilon) * scale + offset."""
    y = ops.divide(ops.subtract(x, mean), ops.sqrt(ops.add(variance, variance_epsilon)))
    y = y if scale is None else ops.multiply(y, scale)
    return y if offset is None else ops.add(y, offset)


@op
def lrn(input, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5, name=None) -> Tensor:
    """Return images divided by the energy of their channels round about."""
    return of.local_response_norm(tensor_of(input), 2 * depth_radius + 1, alpha * (2 * depth_radius + 1), beta, bias)


_names = sorted(n for n, x in globals().items() if getattr(x, "__module__", "").startswith("pynn.keras.tensorflow.nn"))
__all__ = [n for n in _names if not n.startswith("_")] + ["l2_loss"]

__getattr__ = absent("tensorflow.nn", __all__)
