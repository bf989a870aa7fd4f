"""Arithmetic element by element, products of matrices, sums and other reductions, in Keras's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn import ops as of
from pynn.core.tensor import FLOATS, Tensor
from pynn.keras.config import epsilon, floatx
from pynn.keras.ops.calls import both, op, tensor_of


def _real(x: Any) -> Tensor:
    x = tensor_of(x)
    return x if x.dtype in FLOATS else tensor_of(x, floatx())


def _one(name: str, function: Callable[[Any], Any], real: bool = True) -> Any:
    def call(x: Any) -> Any:
        return function(_real(x) if real else tensor_of(x))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Return {name}(x), element by element."
    return op(call)


def _two(name: str, function: Callable[[Any, Any], Any]) -> Any:
    def call(x1: Any, x2: Any) -> Any:
        return function(*both(x1, x2))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Return {name}(x1, x2), element by element, with NumPy's broadcasting."
    return op(call)


def _logical(x: Any) -> Tensor:
    x = tensor_of(x)
    return x if x.dtype == np.bool_ else of.not_equal(x, 0)


def _trigonometric(name: str) -> Any:
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


def _count(x: Any) -> Tensor:
    return tensor_of(_logical(x), "int32")


@op
def divide(x1: Any, x2: Any) -> Tensor:
    """Return x1 / x2, real."""
    a, b = both(x1, x2)
    return of.div(_real(a) if isinstance(a, Tensor) else a, _real(b) if isinstance(b, Tensor) else b)


true_divide = divide


@op
def divide_no_nan(x1: Any, x2: Any) -> Tensor:
    """Return x1 / x2, and 0 where x2 is 0."""
    a, b = _real(x1), _real(x2)
    none = of.equal(b, 0.0)
    return of.where(none, 0.0, of.div(a, of.where(none, 1.0, b)))


@op
def floor_divide(x1: Any, x2: Any) -> Tensor:
    """Return the floor of x1 / x2, in the dtype of the operands."""
    a, b = both(x1, x2)
    dtype = a.dtype if isinstance(a, Tensor) else b.dtype
    return tensor_of(of.floor(divide(a, b)), dtype)


@op
def mod(x1: Any, x2: Any) -> Tensor:
    """Return x1 - x2 floor(x1 / x2), which has the sign of x2."""
    a, b = both(x1, x2)
    return of.sub(a, of.mul(floor_divide(a, b), b))


@op
def clip(x: Any, x_min: Any, x_max: Any) -> Tensor:
    """Return x limited to [x_min, x_max]."""
    x = tensor_of(x)
    if x.dtype in FLOATS and isinstance(x_min, (int, float)) and isinstance(x_max, (int, float)):
        return of.clip(x, x_min, x_max)
    return minimum(maximum(x, x_min), x_max)


@op
def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """Return x1 where the condition holds, x2 elsewhere; without both, the places where it holds."""
    if x1 is None and x2 is None:
        return tuple(map(tensor_of, np.nonzero(tensor_of(condition).numpy())))
    return of.where(_logical(condition), *both(x1, x2))


@op
def matmul(x1: Any, x2: Any) -> Tensor:
    """Return the product of the last two axes; stacks of matrices are broadcast."""
    a, b = both(x1, x2)
    if a.ndim > 2 and b.ndim > 2 and a.shape[:-2] != b.shape[:-2]:
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = of.expand(a, (*lead, *a.shape[-2:])), of.expand(b, (*lead, *b.shape[-2:]))
    return of.matmul(a, b)


@op
def dot(x1: Any, x2: Any) -> Tensor:
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
def outer(x1: Any, x2: Any) -> Tensor:
    """Return the product of each element of x1 with each of x2."""
    a, b = both(x1, x2)
    return of.mul(a.reshape((-1, 1)), b.reshape((1, -1)))


@op
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Tensor:
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
def einsum(subscripts: str, *operands: Any) -> Tensor:
    """Return the sums of products that letters tell: "ij,jk->ik" is a product of matrices."""
    return of.einsum(subscripts, *(_real(x) for x in operands))


def _reduction(name: str, function: Callable[..., Any], real: bool = False) -> Any:
    def call(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
        return function(_real(x) if real else tensor_of(x), tuple(axis) if isinstance(axis, list) else axis, keepdims)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Return the {name} over the axes (all by default)."
    return op(call)


def _sum(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    return of.sum(tensor_of(x, "int32") if x.dtype == np.bool_ else x, axis, keepdims)


def _prod(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    for a in sorted((a % x.ndim for a in axes), reverse=True):
        parts = [x[(slice(None),) * a + (slice(i, i + 1),)] for i in range(x.shape[a])]
        y = parts[0]
        for part in parts[1:]:
            y = of.mul(y, part)
        x = y if keepdims else y.reshape((*y.shape[:a], *y.shape[a + 1 :]))
    return x


def _logsumexp(x: Tensor, axis: Any, keepdims: bool) -> Tensor:
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
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the first largest value along an axis, of all values by default."""
    x = tensor_of(x)
    if axis is None:
        return of.argmax(x.reshape((-1,)), 0)
    y = of.argmax(x, axis)
    return y.reshape([1 if i == axis % x.ndim else d for i, d in enumerate(x.shape)]) if keepdims else y


@op
def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """Return the index of the first smallest value along an axis, of all values by default."""
    return argmax(negative(x), axis, keepdims)


@op
def moments(x: Any, axes: Any, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """Return mean and variance over the axes."""
    return mean(x, axes, keepdims), var(x, axes, keepdims)


@op
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Return the norm of order `ord` over the axes: the root of the sum of squares by default."""
    if ord == 1:
        return sum(abs(x), axis, keepdims)
    if ord in (np.inf, "inf"):
        return max(abs(x), axis, keepdims)
    if ord in (None, 2, "euclidean", "fro"):
        return sqrt(sum(square(x), axis, keepdims))
    raise ValueError(f"[norm] expected ord to be None, 1, 2 or inf. Received: ord={ord!r}.")


@op
def normalize(x: Any, axis: int = -1, order: int = 2, epsilon: float = epsilon()) -> Tensor:
    """Return x / max(its norm along an axis, epsilon)."""
    size = norm(x, order, axis, True)
    return divide(x, of.maximum(size, epsilon))
