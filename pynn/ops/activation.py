"""The functions of one element, a row each (see elementwise), and the names that layers know activations by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.core.card import Sample, composite
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.names import Registry
from pynn.ops.common import Rng, as_tensor
from pynn.ops.elementwise import ELEMENTWISE, Onnx, elementwise, linear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772

# Activations


@elementwise(c="v < 0 ? 0 : v", onnx=Onnx("Relu"), slope=lambda x, y: step_above(x), bounds=(0.0, np.inf))
def relu(x: Any) -> Any:
    """Return max(x, 0); the gradient at 0 is 0."""
    return np.maximum(x, 0)


@elementwise(
    c="v > 0 ? v : slope * v",
    onnx=Onnx("LeakyRelu", {"alpha": "slope"}),
    slope=lambda x, y, slope: slope + (1.0 - slope) * step_above(x),
    least={"slope": 0},
    cases=({}, {"slope": 0.3}),
    errors=(({"slope": -1.0}, "slope to be a finite number of at least 0"),),
)
def leaky_relu(x: Any, slope: float = 0.1) -> Any:
    """Return x where it is positive, else slope * x.

    Parameters
    ----------
    x : array_like
    slope : float, default 0.1
        At least 0.
    """
    return np.where(x > 0, x, slope * x)


@elementwise(c="TANH(v)", onnx=Onnx("Tanh"), slope=lambda x, y: 1.0 - y * y, kinks=(), bounds=(-1.0, 1.0))
def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent of x."""
    return np.tanh(x)


@elementwise(c="1 / (1 + EXP(-v))", onnx=Onnx("Sigmoid"), slope=lambda x, y: y * (1.0 - y), kinks=(), bounds=(0.0, 1.0))
def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e**-x)."""
    return 0.5 * (1 + np.tanh(0.5 * x))


@elementwise(
    c="v > 0 ? v : alpha * EXPM1(v)",
    onnx=Onnx("Elu", {"alpha": "alpha"}),
    slope=lambda x, y, alpha: _where(step_above(x) > 0, 1.0, y + alpha),
    least={"alpha": 0},
    cases=({}, {"alpha": 0.5}),
    errors=(({"alpha": -1.0}, "alpha to be a finite number of at least 0"),),
)
def elu(x: Any, alpha: float = 1.0) -> Any:
    """Return x where it is positive, else alpha * (e**x - 1).

    Parameters
    ----------
    x : array_like
    alpha : float, default 1.0
        At least 0.
    """
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


@elementwise(
    c=f"(real){SELU_SCALE} * (v > 0 ? v : (real){SELU_ALPHA} * EXPM1(v))",
    onnx=Onnx("Selu", {"alpha": SELU_ALPHA, "gamma": SELU_SCALE}),
    slope=lambda x, y: _where(step_above(x) > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA),
)
def selu(x: Any) -> Any:
    """Return the self-normalizing ELU of x, with the constants of Klambauer and others (2017)."""
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))


@elementwise(
    c="(v > 0 ? v : 0) + LOG1P(EXP(-FABS(v)))",
    onnx=Onnx("Softplus"),
    slope=lambda x, y: sigmoid(x),
    kinks=(),
    bounds=(0.0, np.inf),
)
def softplus(x: Any) -> Any:
    """Return log(1 + e**x)."""
    return np.logaddexp(x, x.dtype.type(0))


@elementwise(
    c="v / (1 + EXP(-v))",
    onnx=Onnx(compose=lambda b, x: b.node("Mul", [x, b.node("Sigmoid", [x])])),
    slope=lambda x, y: sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))),
    aliases=("swish",),
    kinks=(),
)
def silu(x: Any) -> Any:
    """Return x * sigmoid(x)."""
    return 0.5 * x * (1 + np.tanh(0.5 * x))


@elementwise(
    c="FABS(v)",
    onnx=Onnx("Abs"),
    slope=lambda x, y: step_above(x) - step_above(-x),
    integers=lambda x: _maximum(x, -x),
    bounds=(0.0, np.inf),
)
def abs(x: Any) -> Any:
    """Return |x|; the gradient at 0 is 0."""
    return np.abs(x)


def _between(x: Tensor, low: float, high: float, slope: Any) -> Tensor:
    """Return a slope between two borders, else 0."""
    return step_above(x - low) * step_above(high - x) * slope


@elementwise(
    c="v < 0 ? 0 : v > 6 ? 6 : v",
    onnx=Onnx(compose=lambda b, x: b.node("Clip", [x, b.number(0.0), b.number(6.0)])),
    slope=lambda x, y: _between(x, 0.0, 6.0, 1.0),
    kinks=(0.0, 6.0),
    bounds=(0.0, 6.0),
)
def relu6(x: Any) -> Any:
    """Return min(max(x, 0), 6)."""
    return np.clip(x, 0, 6)


@elementwise(
    c="v <= -3 ? 0 : v >= 3 ? 1 : v / 6 + (real)0.5",
    onnx=Onnx("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    slope=lambda x, y: _between(x, -3.0, 3.0, 1 / 6),
    aliases=("hard_sigmoid",),
    kinks=(-3.0, 3.0),
    bounds=(0.0, 1.0),
)
def hardsigmoid(x: Any) -> Any:
    """Return min(max(x / 6 + 1/2, 0), 1)."""
    return np.clip(x / 6 + 0.5, 0, 1)


@elementwise(
    c="v <= -3 ? 0 : v >= 3 ? v : v * (v / 6 + (real)0.5)",
    onnx=Onnx(
        "HardSwish",
        since=14,
        compose=lambda b, x: b.node("Mul", [x, b.node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)]),
    ),
    slope=lambda x, y: _where(step_above(x - 3.0) > 0, 1.0, step_above(x + 3.0) * (x / 3.0 + 0.5)),
    aliases=("hard_swish", "hard_silu"),
    kinks=(-3.0, 3.0),
)
def hardswish(x: Any) -> Any:
    """Return x * min(max(x / 6 + 1/2, 0), 1) (Howard and others 2019)."""
    return x * np.clip(x / 6 + 0.5, 0, 1)


@elementwise(
    c="v / (1 + FABS(v))",
    onnx=Onnx("Softsign"),
    slope=lambda x, y: (1.0 - abs(y)) * (1.0 - abs(y)),
    kinks=(),
    bounds=(-1.0, 1.0),
)
def softsign(x: Any) -> Any:
    """Return x / (1 + |x|)."""
    return x / (1 + np.abs(x))


def _mish_slope(x: Tensor, y: Tensor) -> Tensor:
    t = tanh(softplus(x))
    return t + x * (1.0 - t * t) * sigmoid(x)


@elementwise(
    c="v * TANH((v > 0 ? v : 0) + LOG1P(EXP(-FABS(v))))",
    onnx=Onnx("Mish", since=18, compose=lambda b, x: b.node("Mul", [x, b.node("Tanh", [b.node("Softplus", [x])])])),
    slope=_mish_slope,
    kinks=(),
)
def mish(x: Any) -> Any:
    """Return x * tanh(log(1 + e**x)) (Misra 2019)."""
    return x * np.tanh(np.logaddexp(x, x.dtype.type(0)))


def _gelu_of(b: Any, x: str, inner: str) -> str:
    half = b.node("Mul", [x, b.number(0.5)])
    return b.node("Mul", [half, b.node("Add", [inner, b.number(1.0)])])


def _gelu_tanh(b: Any, x: str) -> str:
    cube = b.node("Mul", [b.node("Mul", [b.node("Mul", [x, x]), x]), b.number(0.044715)])
    inside = b.node("Mul", [b.node("Add", [x, cube]), b.number(0.7978845608028654)])
    return _gelu_of(b, x, b.node("Tanh", [inside]))


def _gelu_tanh_slope(x: Tensor, y: Tensor) -> Tensor:
    t = tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 0.134145 * x * x)


@elementwise(
    c="(real)0.5 * v * (1 + TANH((real)0.7978845608028654 * (v + (real)0.044715 * v * v * v)))",
    onnx=Onnx("Gelu", {"approximate": "tanh"}, since=20, compose=_gelu_tanh),
    slope=_gelu_tanh_slope,
    kinks=(),
)
def gelu_tanh(x: Any) -> Any:
    """Return x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2, which is near gelu(x)."""
    return 0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


@elementwise(
    c="(real)0.5 * v * (1 + ERF(v * (real)0.7071067811865476))",
    onnx=Onnx(
        "Gelu",
        since=20,
        compose=lambda b, x: _gelu_of(b, x, b.node("Erf", [b.node("Mul", [x, b.number(0.7071067811865476)])])),
    ),
    instead={"approximate": gelu_tanh},
    kinks=(),
)
def gelu(x: Any, approximate: bool = False) -> Any:
    """Return x * Phi(x) with the normal distribution Phi, or its approximation by tanh (Hendrycks and Gimpel 2016).

    Parameters
    ----------
    x : array_like
    approximate : bool, default False
        Use tanh instead of the error function.
    """
    from math import erf

    return 0.5 * x * (1 + np.vectorize(erf, otypes=[x.dtype])(x * 0.7071067811865476))


@elementwise(
    c="v >= 0 ? 1 : 0",
    onnx=Onnx(compose=lambda b, x: b.cast(b.node("GreaterOrEqual", [x, b.number(0.0)]), b.dtype)),
    aliases=("hard_step",),
    bounds=(0.0, 1.0),
)
def step(x: Any) -> Any:
    """Return 1 where x >= 0, else 0: the threshold of a perceptron. It has no gradient."""
    return (x >= 0).astype(x.dtype)


@elementwise(c="EXP(v)", onnx=Onnx("Exp"), slope=lambda x, y: y, kinks=(), bounds=(0.0, np.inf))
def exp(x: Any) -> Any:
    """Return e**x."""
    return np.exp(x)


@elementwise(
    c="v * v",
    onnx=Onnx(compose=lambda b, x: b.node("Mul", [x, x])),
    slope=lambda x, y: x * 2.0,
    kinks=(),
    integers=lambda x: x * x,
    bounds=(0.0, np.inf),
)
def square(x: Any) -> Any:
    """Return x * x."""
    return np.square(x)


# Other functions


@elementwise(c="-v", onnx=Onnx("Neg"), layer=False, kinks=(), integers=lambda x: 0 - x, vjp=lambda g, dy: (-dy,))
def neg(x: Any) -> Any:
    """Return -x."""
    return np.negative(x)


@elementwise(c="FLOOR(v)", onnx=Onnx("Floor"), layer=False, integers=lambda x: x)
def floor(x: Any) -> Any:
    """Return the largest whole number that is not above x. It has no gradient."""
    return np.floor(x)


@elementwise(c="RINT(v)", onnx=Onnx("Round"), layer=False, integers=lambda x: x)
def rint(x: Any) -> Any:
    """Return the nearest whole number; of two that are equally near, the even one. It has no gradient."""
    return np.rint(x)


@elementwise(c="LOG(v)", onnx=Onnx("Log"), slope=lambda x, y: 1.0 / x, layer=False, kinks=(), positive=True)
def log(x: Any) -> Any:
    """Return the natural logarithm of x."""
    return np.log(x)


@elementwise(
    c="SQRT(v)",
    onnx=Onnx("Sqrt"),
    slope=lambda x, y: 0.5 / y,
    layer=False,
    kinks=(),
    positive=True,
    bounds=(0.0, np.inf),
)
def sqrt(x: Any) -> Any:
    """Return the square root of x."""
    return np.sqrt(x)


@elementwise(c="SIN(v)", onnx=Onnx("Sin"), slope=lambda x, y: x.cos(), layer=False, kinks=(), bounds=(-1.0, 1.0))
def sin(x: Any) -> Any:
    """Return the sine of x, which is in radians."""
    return np.sin(x)


@elementwise(c="COS(v)", onnx=Onnx("Cos"), slope=lambda x, y: -x.sin(), layer=False, kinks=(), bounds=(-1.0, 1.0))
def cos(x: Any) -> Any:
    """Return the cosine of x, which is in radians."""
    return np.cos(x)


def _in_order(low: float, high: float) -> None:
    if not low <= high:
        raise ValueError(f"[clip] expected low <= high. Received: low={low}, high={high}.")


@elementwise(
    c="v < low ? low : v > high ? high : v",
    onnx=Onnx(compose=lambda b, x, low, high: b.node("Clip", [x, b.number(low), b.number(high)])),
    layer=False,
    check=_in_order,
    kinks=(-0.5, 1.0),
    cases=({"low": -0.5, "high": 1.0}, {"low": -np.inf, "high": 1.0}),
    errors=(({"low": 1.0, "high": 0.0}, "low <= high"),),
)
def clip(x: Any, low: float, high: float) -> Any:
    """Return x limited to [low, high]; the gradient passes inside, borders included."""
    return np.clip(x, low, high)


def step_above(x: Tensor) -> Tensor:
    """Return 1 where x > 0, else 0, as a float tensor without gradient."""
    from pynn.ops.math import less

    return less(0.0, x).astype(x.dtype)


def _where(condition: Tensor, a: Any, b: Any) -> Tensor:
    """Return a where the condition holds, else b; for slopes."""
    from pynn.ops.math import where

    return where(condition, a, b)


def _maximum(a: Tensor, b: Tensor) -> Tensor:
    """Return the larger of two; for integers."""
    from pynn.ops.math import maximum

    return maximum(a, b)


def _maxout_ref(x: np.ndarray, pieces: int) -> np.ndarray:
    return x.reshape(*x.shape[:-1], -1, pieces).max(-1)


def _maxout_samples(r: Rng) -> Iterator[Sample]:
    yield Sample((r(3, 6),), {"pieces": 2})
    yield Sample((r(2, 3, 6),), {"pieces": 3})


@composite(ref=_maxout_ref, samples=_maxout_samples)
def maxout(x: Any, pieces: int) -> Tensor:
    """Return the largest of each group of `pieces` neighbours on the last axis (Goodfellow and others 2013)."""
    from pynn.ops.reduce import max
    from pynn.ops.shape import reshape

    x = as_tensor(x)
    if x.ndim == 0 or pieces < 1 or x.shape[-1] % pieces:
        raise ShapeError(f"[maxout] expected a last axis that {pieces} divides. Received: shape={x.shape}.")
    return max(reshape(x, (*x.shape[:-1], x.shape[-1] // pieces, pieces)), axis=-1)


# Names


def _softmax() -> Callable[..., Tensor]:
    from pynn.ops.softmax import softmax

    return softmax


def _log_softmax() -> Callable[..., Tensor]:
    from pynn.ops.softmax import log_softmax

    return log_softmax


def _function(given: Any) -> Callable[..., Tensor] | None:
    return given if callable(given) else None


def _of(name: str) -> Callable[[], Callable[..., Tensor]]:
    return lambda: globals()[name]


#: name -> what returns the function; those of layers
NAMES: Registry[Callable[..., Tensor]] = Registry(
    "activation",
    (),
    {name: _of(name) for name, row in ELEMENTWISE.items() if row.layer}
    | {"linear": _of("linear"), "softmax": _softmax, "log_softmax": _log_softmax},
    {alias: name for name, row in ELEMENTWISE.items() if row.layer for alias in row.aliases},
    convert=_function,
    expected="a name or a function of a tensor",
)


def named(name: str) -> Any:
    """Return the activation function of a name.

    Raises
    ------
    ValueError
        If there is none, with the nearest known name.
    """
    return NAMES.maker(name)()


def get(activation: Any) -> Any:
    """Return the activation function of a name or a class, the function itself, or linear for None.

    Raises
    ------
    ValueError
        If no activation has the name; the nearest known name is given.
    TypeError
        If it is neither a name nor a function.
    """
    return linear if activation is None else NAMES.resolve(activation)


if not TYPE_CHECKING:  # what pynn.ops takes over; checkers read it off the definitions above
    __all__ = [*ELEMENTWISE, "linear", "maxout"]
