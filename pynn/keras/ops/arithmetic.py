"""Arithmetic, sums, activations, convolutions, cross-entropies and random numbers, in Keras's names."""

from __future__ import annotations

import numpy as np

from pynn import ops as of
from pynn import random as draws
from pynn.core.tensor import FLOATS, Tensor
from pynn.keras.config import epsilon, floatx, image_data_format
from pynn.keras.ops.arrays import both, dtype_of, moveaxis, op, sizes, tensor_of

__all__ = []


def _real(x):
    x = tensor_of(x)
    return x if x.dtype in FLOATS else tensor_of(x, floatx())


def _one(name, function, real=True):
    def call(x):
        return function(_real(x) if real else tensor_of(x))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Return {name}(x), element by element."
    return op(call)


def _two(name, function):
    def call(x1, x2):
        return function(*both(x1, x2))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Return {name}(x1, x2), element by element, with NumPy's broadcasting."
    return op(call)


def _logical(x):
    x = tensor_of(x)
    return x if x.dtype == np.bool_ else of.not_equal(x, 0)


def _trigonometric(name):
    return _one(name, getattr(of, name))


abs = absolute = _one("abs", lambda x: of.abs(x) if x.dtype in FLOATS else of.where(x < 0, 0 - x, x), real=False)
exp = _one("exp", of.exp)
expm1 = _one("expm1", lambda x: of.exp(x) - 1.0)
log = _one("log", of.log)
log1p = _one("log1p", lambda x: of.log(x + 1.0))
log2 = _one("log2", lambda x: of.log(x) * (1 / np.log(2.0)))
log10 = _one("log10", lambda x: of.log(x) * (1 / np.log(10.0)))
sqrt = _one("sqrt", of.sqrt)
rsqrt = _one("rsqrt", lambda x: 1.0 / of.sqrt(x))
square = _one("square", lambda x: of.square(x) if x.dtype in FLOATS else x * x, real=False)
negative = _one("negative", lambda x: of.neg(x) if x.dtype in FLOATS else 0 - x, real=False)
reciprocal = _one("reciprocal", lambda x: 1.0 / x)
sin, cos = _trigonometric("sin"), _trigonometric("cos")
tan = _one("tan", lambda x: of.sin(x) / of.cos(x))
sinh = _one("sinh", lambda x: (of.exp(x) - of.exp(0.0 - x)) * 0.5)
cosh = _one("cosh", lambda x: (of.exp(x) + of.exp(0.0 - x)) * 0.5)
floor = _one("floor", of.floor)
ceil = _one("ceil", lambda x: of.neg(of.floor(of.neg(x))))
round = _one("round", of.rint)
sign = _one("sign", lambda x: tensor_of(of.less(0.0, x), x.dtype) - tensor_of(of.less(x, 0.0), x.dtype))
isnan = _one("isnan", lambda x: of.not_equal(x, x))
isfinite = _one("isfinite", lambda x: of.less(of.abs(x), np.inf))
isinf = _one("isinf", lambda x: of.equal(of.abs(x), np.inf))
logical_not = _one("logical_not", lambda x: of.equal(tensor_of(_logical(x), "int32"), 0), real=False)

add = _two("add", of.add)
subtract = _two("subtract", of.sub)
multiply = _two("multiply", of.mul)
power = _two("power", of.pow)
maximum = _two("maximum", of.maximum)
minimum = _two("minimum", of.minimum)
equal = _two("equal", of.equal)
not_equal = _two("not_equal", of.not_equal)
less = _two("less", of.less)
less_equal = _two("less_equal", of.less_equal)
greater = _two("greater", lambda a, b: of.less(b, a))
greater_equal = _two("greater_equal", lambda a, b: of.less_equal(b, a))
logical_and = _two("logical_and", lambda a, b: of.equal(_count(a) + _count(b), 2))
logical_or = _two("logical_or", lambda a, b: of.less(0, _count(a) + _count(b)))
logical_xor = _two("logical_xor", lambda a, b: of.equal(_count(a) + _count(b), 1))
squared_difference = _two("squared_difference", lambda a, b: of.square(_real(of.sub(a, b))))


def _count(x):
    return tensor_of(_logical(x), "int32")


@op
def divide(x1, x2) -> Tensor:
    """Return x1 / x2, real."""
    a, b = both(x1, x2)
    return of.div(_real(a) if isinstance(a, Tensor) else a, _real(b) if isinstance(b, Tensor) else b)


true_divide = divide


@op
def divide_no_nan(x1, x2) -> Tensor:
    """Return x1 / x2, and 0 where x2 is 0."""
    a, b = _real(x1), _real(x2)
    none = of.equal(b, 0.0)
    return of.where(none, 0.0, of.div(a, of.where(none, 1.0, b)))


@op
def floor_divide(x1, x2) -> Tensor:
    """Return the floor of x1 / x2, in the dtype of the operands."""
    a, b = both(x1, x2)
    dtype = a.dtype if isinstance(a, Tensor) else b.dtype
    return tensor_of(of.floor(divide(a, b)), dtype)


@op
def mod(x1, x2) -> Tensor:
    """Return x1 - x2 floor(x1 / x2), which has the sign of x2."""
    a, b = both(x1, x2)
    return of.sub(a, of.mul(floor_divide(a, b), b))


@op
def clip(x, x_min, x_max) -> Tensor:
    """Return x limited to [x_min, x_max]."""
    x = tensor_of(x)
    if x.dtype in FLOATS and isinstance(x_min, (int, float)) and isinstance(x_max, (int, float)):
        return of.clip(x, x_min, x_max)
    return minimum(maximum(x, x_min), x_max)


@op
def where(condition, x1=None, x2=None):
    """Return x1 where the condition holds, x2 elsewhere; without both, the places where it holds."""
    if x1 is None and x2 is None:
        return tuple(map(tensor_of, np.nonzero(tensor_of(condition).numpy())))
    return of.where(_logical(condition), *both(x1, x2))


@op
def matmul(x1, x2) -> Tensor:
    """Return the product of the last two axes; stacks of matrices are broadcast."""
    a, b = both(x1, x2)
    if a.ndim > 2 and b.ndim > 2 and a.shape[:-2] != b.shape[:-2]:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = of.expand(a, (*lead, *a.shape[-2:])), of.expand(b, (*lead, *b.shape[-2:]))
    return of.matmul(a, b)


@op
def dot(x1, x2) -> Tensor:
    """Return the sums of products over the last axis of x1 and the last but one of x2."""
    a, b = both(x1, x2)
    if a.ndim == 0 or b.ndim == 0:
        return of.mul(a, b)
    if b.ndim <= 2:
        return of.matmul(a, b)
    order = (b.ndim - 2, *range(b.ndim - 2), b.ndim - 1)
    flat = of.matmul(a, b.transpose(order).reshape((b.shape[-2], -1)))
    return flat.reshape((*a.shape[:-1], *b.shape[:-2], b.shape[-1]))


@op
def outer(x1, x2) -> Tensor:
    """Return the product of each element of x1 with each of x2."""
    a, b = both(x1, x2)
    return of.mul(a.reshape((-1, 1)), b.reshape((1, -1)))


@op
def tensordot(x1, x2, axes=2) -> Tensor:
    """Return the sums of products over the axes of x1 and of x2; a number means the last and the first so many."""
    a, b = both(x1, x2)
    if isinstance(axes, int):
        axes = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    left, right = ([x % t.ndim for x in ([axis] if isinstance(axis, int) else axis)]
                   for axis, t in zip(axes, (a, b), strict=True))  # fmt: skip
    kept_a = [i for i in range(a.ndim) if i not in left]
    kept_b = [i for i in range(b.ndim) if i not in right]
    n = int(np.prod([a.shape[i] for i in left]))
    flat = of.matmul(a.transpose(*kept_a, *left).reshape((-1, n)), b.transpose(*right, *kept_b).reshape((n, -1)))
    return flat.reshape((*(a.shape[i] for i in kept_a), *(b.shape[i] for i in kept_b)))


@op
def einsum(subscripts: str, *operands) -> Tensor:
    """Return the sums of products that letters tell: "ij,jk->ik" is a product of matrices."""
    return of.einsum(subscripts, *(_real(x) for x in operands))


def _reduction(name, function, real=False):
    def call(x, axis=None, keepdims=False):
        return function(_real(x) if real else tensor_of(x), tuple(axis) if isinstance(axis, list) else axis, keepdims)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Return the {name} over the axes (all by default)."
    return op(call)


def _sum(x, axis, keepdims):
    return of.sum(tensor_of(x, "int32") if x.dtype == np.bool_ else x, axis, keepdims)


def _prod(x, axis, keepdims):
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    for a in sorted((a % x.ndim for a in axes), reverse=True):
        parts = [x[(slice(None),) * a + (slice(i, i + 1),)] for i in range(x.shape[a])]
        y = parts[0]
        for part in parts[1:]:
            y = of.mul(y, part)
        x = y if keepdims else y.reshape((*y.shape[:a], *y.shape[a + 1 :]))
    return x


def _logsumexp(x, axis, keepdims):
    top = of.max(x, axis, True).detach()
    y = of.log(of.sum(of.exp(x - top), axis, True)) + top
    return y if keepdims else of.sum(y, axis, False)


sum = _reduction("sum", _sum)
mean = _reduction("mean", of.mean, real=True)
max = amax = _reduction("max", of.max)
min = amin = _reduction("min", of.min)
var = _reduction("var", of.var, real=True)
std = _reduction("std", lambda x, axis, keepdims: of.sqrt(of.var(x, axis, keepdims)), real=True)
prod = _reduction("prod", _prod)
logsumexp = _reduction("logsumexp", _logsumexp, real=True)
any = _reduction("any", lambda x, axis, keepdims: of.less(0, of.sum(_count(x), axis, keepdims)))
all = _reduction(
    "all", lambda x, axis, keepdims: of.equal(of.sum(tensor_of(logical_not(x), "int32"), axis, keepdims), 0)
)
count_nonzero = _reduction("count_nonzero", lambda x, axis, keepdims: of.sum(_count(x), axis, keepdims))


@op
def argmax(x, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the first largest value along an axis, of all values by default."""
    x = tensor_of(x)
    if axis is None:
        return of.argmax(x.reshape((-1,)), 0)
    y = of.argmax(x, axis)
    return y.reshape([1 if i == axis % x.ndim else d for i, d in enumerate(x.shape)]) if keepdims else y


@op
def argmin(x, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the first smallest value along an axis, of all values by default."""
    return argmax(negative(x), axis, keepdims)


@op
def moments(x, axes, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """Return mean and variance over the axes."""
    return mean(x, axes, keepdims), var(x, axes, keepdims)


@op
def norm(x, ord=None, axis=None, keepdims: bool = False) -> Tensor:
    """Return the norm of order `ord` over the axes: the root of the sum of squares by default."""
    if ord == 1:
        return sum(abs(x), axis, keepdims)
    if ord in (np.inf, "inf"):
        return max(abs(x), axis, keepdims)
    if ord in (None, 2, "euclidean", "fro"):
        return sqrt(sum(square(x), axis, keepdims))
    raise ValueError(f"[norm] expected ord to be None, 1, 2 or inf. Received: ord={ord!r}.")


@op
def normalize(x, axis: int = -1, order: int = 2, epsilon: float = epsilon()) -> Tensor:
    """Return x / max(its norm along an axis, epsilon)."""
    size = norm(x, order, axis, True)
    return divide(x, of.maximum(size, epsilon))


def _activation(name, function):
    def call(x):
        return function(_real(x))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Return {name}(x), element by element."
    return op(call)


tanh = _activation("tanh", of.tanh)
sigmoid = _activation("sigmoid", of.sigmoid)
softplus = _activation("softplus", of.softplus)
softsign = _activation("softsign", of.softsign)
relu6 = _activation("relu6", of.relu6)
selu = _activation("selu", of.selu)
silu = swish = _activation("silu", of.silu)
mish = _activation("mish", of.mish)
hard_sigmoid = _activation("hard_sigmoid", of.hardsigmoid)
hard_swish = _activation("hard_swish", of.hardswish)
log_sigmoid = _activation("log_sigmoid", lambda x: of.neg(of.softplus(of.neg(x))))


@op
def relu(x, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Return max(x, 0), with a slope below the threshold and a limit above where they are given."""
    x = _real(x)
    y = of.relu(x) if threshold == 0 else of.where(of.less(threshold, x), x, 0.0)
    if alpha:
        y = of.where(of.less(x, threshold), (x - threshold) * alpha, y)
    return y if max_value is None else of.minimum(y, float(max_value))


@op
def leaky_relu(x, negative_slope: float = 0.2) -> Tensor:
    """Return x where it is positive, a part of it elsewhere."""
    return relu(x, negative_slope)


@op
def elu(x, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, alpha (exp(x) - 1) elsewhere."""
    x = _real(x)
    return of.elu(x) if alpha == 1 else of.where(of.less(0.0, x), x, (of.exp(of.minimum(x, 0.0)) - 1.0) * alpha)


@op
def gelu(x, approximate: bool = True) -> Tensor:
    """Return x times the chance that a normal number is below x."""
    return (of.gelu_tanh if approximate else of.gelu)(_real(x))


@op
def softmax(x, axis: int = -1) -> Tensor:
    """Return exp(x) / sum(exp(x)) along an axis."""
    return of.softmax(_real(x), axis)


@op
def log_softmax(x, axis: int = -1) -> Tensor:
    """Return the logarithm of softmax."""
    return of.log_softmax(_real(x), axis)


@op
def l2_normalize(x, axis=-1, epsilon: float = 1e-12) -> Tensor:
    """Return x / its length along an axis."""
    return divide(x, of.maximum(norm(x, 2, axis, True), float(np.sqrt(epsilon))))


def _images(x, data_format):
    """Return x with its channels last, and whether they stood first."""
    first = (data_format or image_data_format()) == "channels_first"
    x = _real(x)
    return (moveaxis(x, 1, -1) if first else x), first


def _back(y, first):
    return moveaxis(y, -1, 1) if first else y


@op
def conv(inputs, kernel, strides=1, padding: str = "valid", data_format: str | None = None, dilation_rate=1) -> Tensor:
    """Return the convolution of sequences [N, T, C] or images [N, H, W, C] with a kernel [..., C, K]."""
    x, first = _images(inputs, data_format)
    w = _real(kernel)
    if x.ndim == 3:
        y = of.conv2d(
            x.reshape((x.shape[0], 1, *x.shape[1:])), w.reshape((1, *w.shape)), None,
            (1, *sizes(strides)), padding.lower(), (1, *sizes(dilation_rate)),
        )  # fmt: skip
        return _back(y.reshape((y.shape[0], *y.shape[2:])), first)
    return _back(of.conv2d(x, w, None, strides, padding.lower(), dilation_rate), first)


def _pool(function, inputs, pool_size, strides, padding, data_format):
    x, first = _images(inputs, data_format)
    return _back(function(x, pool_size, pool_size if strides is None else strides, padding.lower()), first)


@op
def max_pool(inputs, pool_size=2, strides=None, padding: str = "valid", data_format: str | None = None) -> Tensor:
    """Return the largest value of each window of images."""
    return _pool(of.max_pool2d, inputs, pool_size, strides, padding, data_format)


@op
def average_pool(inputs, pool_size=2, strides=None, padding: str = "valid", data_format: str | None = None) -> Tensor:
    """Return the mean of each window of images."""
    return _pool(of.avg_pool2d, inputs, pool_size, strides, padding, data_format)


@op
def binary_crossentropy(target, output, from_logits: bool = False) -> Tensor:
    """Return -t log(y) - (1 - t) log(1 - y), element by element."""
    y = _real(output)
    t = tensor_of(target, y.dtype)
    if from_logits:
        return of.maximum(y, 0.0) - y * t + of.softplus(of.neg(of.abs(y)))
    y = clip(y, epsilon(), 1 - epsilon())
    return of.neg(t * of.log(y) + (1.0 - t) * of.log(1.0 - y))


@op
def categorical_crossentropy(target, output, from_logits: bool = False, axis: int = -1) -> Tensor:
    """Return -sum(t log(y)) over an axis."""
    y = _real(output)
    t = tensor_of(target, y.dtype)
    if from_logits:
        return of.neg(of.sum(t * of.log_softmax(y, axis), axis))
    y = clip(y / of.sum(y, axis, True), epsilon(), 1 - epsilon())
    return of.neg(of.sum(t * of.log(y), axis))


@op
def sparse_categorical_crossentropy(target, output, from_logits: bool = False, axis: int = -1) -> Tensor:
    """Return -log(y) at the class that the target names."""
    y, t = _real(output), tensor_of(target, "int32")
    if t.ndim == y.ndim and t.shape[-1] == 1:
        t = t.reshape(t.shape[:-1])
    rows = of.eye_rows(t.reshape((-1,)), y.shape[-1], y.dtype).reshape(y.shape)
    return categorical_crossentropy(rows, y, from_logits, axis)


@op
def in_top_k(targets, predictions, k: int) -> Tensor:
    """Tell of each row whether the value of its class is among the k largest."""
    y, t = _real(predictions), tensor_of(targets, "int32")
    own = of.sum(y * of.eye_rows(t, y.shape[-1], y.dtype), 1, True)
    larger = of.sum(tensor_of(of.less(own, y), "int32"), 1)
    return of.less(larger, int(k))


@op
def dropout(inputs, rate: float, noise_shape=None, seed=None) -> Tensor:
    """Return inputs with a part of them 0 and the others larger in turn."""
    x = _real(inputs)
    kept = draws.bernoulli(sizes(noise_shape or x.shape), 1 - rate, x.dtype)
    return of.mul(x, kept) * (1 / (1 - rate))


def random_normal(shape, mean: float = 0.0, stddev: float = 1.0, dtype=None, seed=None) -> Tensor:
    """Return normal random numbers; they are others in every step."""
    return draws.normal(sizes(shape), mean, stddev, dtype=dtype_of(dtype or floatx()))


def random_uniform(shape, minval: float = 0.0, maxval: float = 1.0, dtype=None, seed=None) -> Tensor:
    """Return random numbers that are equally likely between two; whole ones for a dtype of whole numbers."""
    kind = dtype_of(dtype or floatx())
    if kind.kind == "i":
        return tensor_of(of.floor(draws.uniform(sizes(shape), minval, maxval)), kind)
    return draws.uniform(sizes(shape), minval, maxval, dtype=kind)


def random_binomial(shape, p: float = 0.5, dtype=None, seed=None) -> Tensor:
    """Return 1 with chance p, else 0."""
    return draws.bernoulli(sizes(shape), p, dtype_of(dtype or floatx()))


def truncated_normal(shape, mean: float = 0.0, stddev: float = 1.0, dtype=None, seed=None) -> Tensor:
    """Return normal random numbers within two standard deviations; drawn once, for first values of weights."""
    from pynn import init

    values = init.TruncatedNormal(0.0, stddev)(sizes(shape), dtype_of(dtype or floatx()), [_seed(seed), 0])
    return tensor_of(values + np.asarray(mean, values.dtype))


_drawn = [0]


def _seed(seed):
    _drawn[0] += 1
    return int(seed) if isinstance(seed, (int, np.integer)) else _drawn[0]


@op
def mean_squared(x) -> Tensor:
    """Return the mean of squares over the last axis."""
    return mean(_real(x).square(), -1)


@op
def l2_loss(t) -> Tensor:
    """Return half the sum of squares."""
    return sum(_real(t).square()) * 0.5
