"""Functions of one element, activations among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.core.card import Grad, Lowered, Sample, composite, op
from pynn.core.graph import execute
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import DTypeError, ShapeError, unknown_name
from pynn.ops.common import Rng, as_tensor, elementwise
from pynn.ops.math import maximum
from pynn.ops.softmax import log_softmax, softmax

SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


def _plain(r: Rng) -> Iterator[Sample]:
    yield Sample((r.away(3, 5),))
    yield Sample((r.away(257),))
    yield Sample((r(0, 4),))
    yield Sample((r.away(1, 1),))
    yield Sample((r.away(),))


def _positive(r: Rng) -> Iterator[Sample]:
    for s in _plain(r):
        yield Sample((np.abs(s.inputs[0]) + 0.1,))


def _needs_float(r: Rng) -> Iterator[Any]:
    yield (np.arange(3),), {}, DTypeError, r"float32 or float64.*Received: dtype=int64.*astype"


@op("neg", "neg_fwd", inplace=True)
class _Neg:
    """y = -x."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("neg", x)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (neg(dy),)

    ref = np.negative
    samples = _plain
    errors = _needs_float


@op("abs", "abs_fwd", bwd="abs_bwd", saves="in", inplace=True)
class _Abs:
    """y = |x|; the slope at 0 is 0."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("abs", x)

    ref = np.abs
    samples = _plain
    errors = _needs_float


@op("exp", "exp_fwd", bwd="exp_bwd", inplace=True)
class _Exp:
    """y = e**x; dx = dy * y."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("exp", x)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (dy * g.outs[0],)

    ref = np.exp
    samples = _plain
    errors = _needs_float


@op("log", "log_fwd", bwd="log_bwd", saves="in", inplace=True)
class _Log:
    """y = log(x); dx = dy / x."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("log", x)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (dy / g.inputs[0],)

    ref = np.log
    samples = _positive
    errors = _needs_float


@op("sqrt", "sqrt_fwd", bwd="sqrt_bwd", inplace=True)
class _Sqrt:
    """y = sqrt(x); dx = dy / (2 y)."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("sqrt", x)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (dy * 0.5 / g.outs[0],)

    ref = np.sqrt
    samples = _positive
    errors = _needs_float


@op("sin", "sin_fwd", bwd="sin_bwd", saves="in", inplace=True)
class _Sin:
    """y = sin(x), x in radians; dx = dy cos(x)."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("sin", x)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (dy * cos(g.inputs[0]),)

    ref = np.sin
    samples = _plain
    errors = _needs_float


@op("cos", "cos_fwd", bwd="cos_bwd", saves="in", inplace=True)
class _Cos:
    """y = cos(x), x in radians; dx = -dy sin(x)."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("cos", x)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (-(dy * sin(g.inputs[0])),)

    ref = np.cos
    samples = _plain
    errors = _needs_float


@op("square", "square_fwd", bwd="square_bwd", saves="in", inplace=True)
class _Square:
    """y = x * x; dx = 2 x dy."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("square", x)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (dy * g.inputs[0] * 2.0,)

    ref = np.square
    samples = _plain
    errors = _needs_float


@op("sigmoid", "sigmoid_fwd", bwd="sigmoid_bwd", inplace=True)
class _Sigmoid:
    """y = 1 / (1 + e**-x); dx = dy * y * (1 - y)."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("sigmoid", x)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        y = g.outs[0]
        return (dy * y * (1.0 - y),)

    def ref(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    samples = _plain
    errors = _needs_float


@op("tanh", "tanh_fwd", bwd="tanh_bwd", inplace=True)
class _Tanh:
    """y = tanh(x); dx = dy * (1 - y*y)."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("tanh", x)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (dy * (1.0 - square(g.outs[0])),)

    ref = np.tanh
    samples = _plain
    errors = _needs_float


@op("relu", "relu_fwd", bwd="relu_bwd", inplace=True)
class _Relu:
    """y = max(x, 0); the slope at 0 is 0."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("relu", x)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (dy * step_above(g.inputs[0]),)

    def ref(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0)

    samples = _plain
    errors = _needs_float


@op("leaky_relu", "leaky_relu_fwd", bwd="leaky_relu_bwd", inplace=True)
class _LeakyRelu:
    """y = x for x > 0, else slope * x."""

    def infer(x: Tensor, slope: float = 0.1) -> Lowered:
        if not 0 <= slope < np.inf:
            raise ValueError(f"[leaky_relu] expected a slope of at least 0. Received: slope={slope}.")
        return elementwise("leaky_relu", x, slope)

    def ref(x: np.ndarray, slope: float = 0.1) -> np.ndarray:
        return np.where(x > 0, x, slope * x)

    def samples(r: Rng) -> Iterator[Sample]:
        yield from _plain(r)
        yield Sample((r.away(3, 7),), {"slope": 0.3})

    def errors(r: Rng) -> Iterator[Any]:
        yield from _needs_float(r)
        yield (r(3),), {"slope": -1.0}, ValueError, "slope of at least 0"


@op("elu", "elu_fwd", bwd="elu_bwd", inplace=True)
class _Elu:
    """y = x for x > 0, else alpha * (e**x - 1)."""

    def infer(x: Tensor, alpha: float = 1.0) -> Lowered:
        if not 0 <= alpha < np.inf:
            raise ValueError(f"[elu] expected an alpha of at least 0. Received: alpha={alpha}.")
        return elementwise("elu", x, alpha)

    def ref(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
        return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))

    def samples(r: Rng) -> Iterator[Sample]:
        yield from _plain(r)
        yield Sample((r.away(3, 7),), {"alpha": 0.5})

    errors = _needs_float


@op("selu", "selu_fwd", bwd="selu_bwd", inplace=True)
class _Selu:
    """y = scale * elu(x, alpha) with the constants of Klambauer and others (2017)."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("selu", x)

    def ref(x: np.ndarray) -> np.ndarray:
        return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))

    samples = _plain
    errors = _needs_float


@op("softplus", "softplus_fwd", bwd="softplus_bwd", saves="in", inplace=True)
class _Softplus:
    """y = log(1 + e**x)."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("softplus", x)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (dy * sigmoid(g.inputs[0]),)

    def ref(x: np.ndarray) -> np.ndarray:
        return np.logaddexp(x, 0)

    samples = _plain
    errors = _needs_float


@op("silu", "silu_fwd", bwd="silu_bwd", saves="in", inplace=True)
class _Silu:
    """y = x * sigmoid(x) (swish)."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("silu", x)

    def ref(x: np.ndarray) -> np.ndarray:
        return x / (1 + np.exp(-x))

    samples = _plain
    errors = _needs_float


def _erf(x: np.ndarray) -> np.ndarray:
    from math import erf

    return np.vectorize(erf, otypes=[np.float64])(x)


@op("gelu", "gelu_fwd", bwd="gelu_bwd", saves="in", inplace=True)
class _Gelu:
    """y = x * Phi(x) with the normal distribution Phi, or its tanh approximation (Hendrycks and Gimpel 2016)."""

    def infer(x: Tensor, approximate: bool = False) -> Lowered:
        return elementwise("gelu", x, float(approximate))

    def ref(x: np.ndarray, approximate: bool = False) -> np.ndarray:
        if approximate:
            return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        return 0.5 * x * (1 + _erf(x / np.sqrt(2)))

    def samples(r: Rng) -> Iterator[Sample]:
        yield from _plain(r)
        yield Sample((r(3, 7),), {"approximate": True})

    errors = _needs_float


@op("step", "step_fwd", differentiable=False)
class _Step:
    """y = 1 for x >= 0, else 0: the threshold of a perceptron. It has no gradient."""

    def infer(x: Tensor) -> Lowered:
        return elementwise("step", x)

    def ref(x: np.ndarray) -> np.ndarray:
        return (x >= 0).astype(x.dtype)

    samples = _plain
    errors = _needs_float


@op("clip", "clip_fwd", bwd="clip_bwd", saves="in", inplace=True)
class _Clip:
    """y = x limited to [low, high]; the gradient passes inside, borders included."""

    def infer(x: Tensor, low: float, high: float) -> Lowered:
        if not low <= high:
            raise ValueError(f"[clip] expected low <= high. Received: low={low}, high={high}.")
        return elementwise("clip", x, low, high)

    def ref(x: np.ndarray, low: float, high: float) -> np.ndarray:
        return np.clip(x, low, high)

    def samples(r: Rng) -> Iterator[Sample]:
        yield Sample((r.away(6, 7, kinks=(-0.5, 1.0)),), {"low": -0.5, "high": 1.0})
        yield Sample((r.away(0, 7),), {"low": -np.inf, "high": 1.0})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(3),), {"low": 1.0, "high": 0.0}, ValueError, "low <= high"


def _one(card: Any, x: Any, **attrs: Any) -> Tensor:
    return execute(card, (as_tensor(x),), attrs)[0]


def neg(x: Any) -> Tensor:
    """Return -x."""
    x = as_tensor(x)
    return _one(_Neg, x) if x.dtype in FLOATS else 0 - x


def abs(x: Any) -> Tensor:
    """Return |x|; the gradient at 0 is 0."""
    x = as_tensor(x)
    return _one(_Abs, x) if x.dtype in FLOATS else maximum(x, neg(x))


def exp(x: Any) -> Tensor:
    """Return e**x."""
    return _one(_Exp, x)


def log(x: Any) -> Tensor:
    """Return the natural logarithm of x."""
    return _one(_Log, x)


def sqrt(x: Any) -> Tensor:
    """Return the square root of x."""
    return _one(_Sqrt, x)


def sin(x: Any) -> Tensor:
    """Return the sine of x, which is in radians."""
    return _one(_Sin, x)


def cos(x: Any) -> Tensor:
    """Return the cosine of x, which is in radians."""
    return _one(_Cos, x)


def square(x: Any) -> Tensor:
    """Return x * x."""
    x = as_tensor(x)
    return _one(_Square, x) if x.dtype in FLOATS else x * x


def sigmoid(x: Any) -> Tensor:
    """Return 1 / (1 + e**-x)."""
    return _one(_Sigmoid, x)


def tanh(x: Any) -> Tensor:
    """Return the hyperbolic tangent of x."""
    return _one(_Tanh, x)


def relu(x: Any) -> Tensor:
    """Return max(x, 0)."""
    return _one(_Relu, x)


def leaky_relu(x: Any, slope: float = 0.1) -> Tensor:
    """Return x where it is positive, else slope * x."""
    return _one(_LeakyRelu, x, slope=slope)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return x where it is positive, else alpha * (e**x - 1)."""
    return _one(_Elu, x, alpha=alpha)


def selu(x: Any) -> Tensor:
    """Return the self-normalizing ELU of x."""
    return _one(_Selu, x)


def softplus(x: Any) -> Tensor:
    """Return log(1 + e**x)."""
    return _one(_Softplus, x)


def silu(x: Any) -> Tensor:
    """Return x * sigmoid(x)."""
    return _one(_Silu, x)


def gelu(x: Any, approximate: bool = False) -> Tensor:
    """Return x * Phi(x), exactly or by the tanh approximation."""
    return _one(_Gelu, x, approximate=approximate)


def step(x: Any) -> Tensor:
    """Return 1 where x >= 0, else 0; without gradient."""
    return _one(_Step, x)


def step_above(x: Tensor) -> Tensor:
    """Return 1 where x > 0, else 0, as a float tensor without gradient."""
    return (x > 0.0).astype(x.dtype)


def clip(x: Any, low: float, high: float) -> Tensor:
    """Return x limited to [low, high]."""
    return _one(_Clip, x, low=float(low), high=float(high))


def _maxout_ref(x: np.ndarray, pieces: int) -> np.ndarray:
    return x.reshape(*x.shape[:-1], -1, pieces).max(-1)


def _maxout_samples(r: Rng) -> Iterator[Sample]:
    yield Sample((r(3, 6),), {"pieces": 2})
    yield Sample((r(2, 3, 6),), {"pieces": 3})


@composite(ref=_maxout_ref, samples=_maxout_samples)
def maxout(x: Any, pieces: int) -> Tensor:
    """Return the largest of each group of `pieces` neighbours on the last axis (Goodfellow and others 2013)."""
    x = as_tensor(x)
    if x.ndim == 0 or pieces < 1 or x.shape[-1] % pieces:
        raise ShapeError(f"[maxout] expected a last axis that {pieces} divides. Received: shape={x.shape}.")
    return x.reshape((*x.shape[:-1], x.shape[-1] // pieces, pieces)).max(axis=-1)


# The activations that dense and its like fuse, by the codes of csrc/act.h; the value is the parameter's default.
FUSED = {
    "linear": (0, None, 0.0),
    "relu": (1, None, 0.0),
    "leaky_relu": (2, "slope", 0.1),
    "tanh": (3, None, 0.0),
    "sigmoid": (4, None, 0.0),
    "elu": (5, "alpha", 1.0),
    "selu": (6, None, 0.0),
}


def linear(x: Any) -> Tensor:
    """Return x."""
    return as_tensor(x)


def named(name: str) -> Any:
    """Return the activation function of a name.

    Raises
    ------
    ValueError
        If there is none, with the nearest known name.
    """
    known = {
        f.__name__: f
        for f in (
            abs, elu, exp, gelu, leaky_relu, linear, relu, selu, sigmoid, silu, softplus, square, step, tanh,
            softmax, log_softmax,
        )
    } | {"swish": silu, "hard_step": step}  # fmt: skip
    if name not in known:
        raise ValueError(unknown_name("activation", name, known))
    return known[name]
