"""Losses element by element, averaged per sample, and the weighted mean over samples. Predictions come first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pynn.checks import number
from pynn.core.card import Card, Grad, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops.common import Rng, as_tensor, need_float, size
from pynn.ops.reduce import expand

EPS = 1e-7  # the least probability whose logarithm is taken (csrc/kernels/loss.h)


# Element by element: l[n] is the mean over the other axes


def _mean_rest(f: np.ndarray) -> np.ndarray:
    return f.reshape(len(f), -1).mean(1) if f.size else np.zeros(f.shape[0], f.dtype)


def _elementwise_lower(name: str, y: Tensor, t: Tensor, par: float) -> Lowered:
    need_float(name, y, t)
    if y.shape != t.shape:
        raise ShapeError(
            f"[{name}] expected predictions and targets of one shape. Received: {y.shape} and {t.shape}. "
            "help: reshape one of them; (N,) and (N, 1) differ."
        )
    if y.ndim == 0 or size(y.shape[1:]) == 0:
        raise ShapeError(f"[{name}] expected predictions [N, ...] with at least one each. Received: shape={y.shape}.")
    return Lowered((Spec(y.shape[:1], y.dtype),), (y.shape[0], size(y.shape[1:])), (par,))


def _elementwise(
    name: str,
    kernel: str,
    doc: str,
    ref: Callable[..., np.ndarray],
    make: Callable[[Rng, tuple[int, ...]], tuple[np.ndarray, np.ndarray]],
    par: Callable[..., float] = lambda: 1.0,
    attrs: dict[str, Any] | None = None,
    slope: Callable[[Tensor, Tensor], Tensor] | None = None,
    errors: Callable[[Rng], Iterator[Any]] | None = None,
) -> Card:
    """Register the card of l[n] = mean over d of f(y[n, d], t[n, d]) and that of its gradient."""

    def infer(y: Tensor, t: Tensor, **given: Any) -> Lowered:
        return _elementwise_lower(name, y, t, par(**given))

    def grad_infer(y: Tensor, t: Tensor, dl: Tensor, needs: tuple[bool, ...], **given: Any) -> Lowered:
        outs = tuple(Spec(x.shape, x.dtype) if need else None for x, need in zip((y, t), needs, strict=True))
        return Lowered(outs, (y.shape[0], size(y.shape[1:])), (par(**given),), y.dtype)

    grad = register(Card(f"{name}.grad", grad_infer, f"{kernel}_loss_bwd", inplace=True))

    def vjp(g: Grad, dl: Tensor) -> tuple[Tensor | None, ...]:
        return execute(grad, (*g.inputs, dl), {**g.attrs, "needs": g.needs}, out=g.dest)

    def smooth_vjp(g: Grad, dl: Tensor) -> tuple[Tensor | None, ...]:
        if g.needs[1]:
            return vjp(g, dl)
        y, t = g.inputs
        each = (dl * (1.0 / size(y.shape[1:]))).reshape((y.shape[0], *(1,) * (y.ndim - 1)))
        return slope(y, t) * each, None

    def samples(r: Rng) -> Iterator[Sample]:
        for shape in ((5,), (37, 1), (5, 3), (3, 10), (4, 2, 17), (1, 1), (0, 3)):
            yield Sample(make(r, shape))
        yield Sample(make(r, (3, 2500)), smooth=False)
        if attrs:
            yield Sample(make(r, (4, 5)), attrs)

    def all_errors(r: Rng) -> Iterator[Any]:
        yield (r(3, 1), r(3)), {}, ShapeError, rf"\[{name}\].*one shape.*\(3, 1\) and \(3,\)"
        yield (np.arange(3), r(3)), {}, DTypeError, r"float32 or float64"
        yield (r(3, 0), r(3, 0)), {}, ShapeError, "at least one each"
        if errors:
            yield from errors(r)

    return register(
        Card(
            name,
            infer,
            f"{kernel}_loss_fwd",
            vjp=vjp,
            smooth_vjp=smooth_vjp if slope else None,
            ref=lambda y, t, **given: _mean_rest(ref(y, t, **given)),
            samples=samples,
            errors=all_errors,
            doc=doc,
        )
    )


def _apart(r: Rng, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and targets whose difference keeps away from the kinks at 0 and at deltas of 0.5 and 1."""
    t = r(*shape)
    return t + r.away(*shape, kinks=(-1.0, -0.5, 0.0, 0.5, 1.0), gap=0.02), t


def _positive(r: Rng, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return r(*shape, low=0.1, high=3), r(*shape, low=0, high=4)


def _signs(r: Rng, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return r.away(*shape, kinks=(-1.0, 1.0)), np.where(r(*shape) > 0, 1.0, -1.0)


def _shares(r: Rng, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return r(*shape) * 3, r(*shape, low=0, high=1)


def _two_shares(r: Rng, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return r(*shape, low=0.02, high=0.98), r(*shape, low=0, high=1)


def _delta(delta: float = 1.0) -> float:
    return number("huber", "delta", delta, 0, open_low=True)


def _huber_ref(y: np.ndarray, t: np.ndarray, delta: float = 1.0) -> np.ndarray:
    a = np.abs(y - t)
    return np.where(a <= delta, a * a / 2, delta * (a - delta / 2))


def _huber_errors(r: Rng) -> Iterator[Any]:
    yield (r(3), r(3)), {"delta": 0.0}, ValueError, "delta to be a finite number above 0"


def _bce_slope(y: Tensor, t: Tensor) -> Tensor:
    return y.sigmoid() - t


def _bce_probs_ref(y: np.ndarray, t: np.ndarray) -> np.ndarray:
    q = np.clip(y, EPS, 1 - EPS)
    return -(t * np.log(q) + (1 - t) * np.log(1 - q))


_MSE = _elementwise(
    "mse", "square", "l = mean of (y - t)**2.", lambda y, t: (y - t) ** 2, _apart, slope=lambda y, t: (y - t) * 2.0
)
_MSE_HALF = _elementwise(
    "mse_half", "square", "l = mean of (y - t)**2 / 2.", lambda y, t: (y - t) ** 2 / 2, _apart,
    par=lambda: 0.5, slope=lambda y, t: y - t,
)  # fmt: skip
_MAE = _elementwise("mae", "absolute", "l = mean of |y - t|; the slope at 0 is 0.", lambda y, t: np.abs(y - t), _apart)
_HUBER = _elementwise(
    "huber", "huber", "l = mean of r**2 / 2 where |r| <= delta, else of delta * (|r| - delta / 2); r = y - t.",
    _huber_ref, _apart, par=_delta, attrs={"delta": 0.5}, errors=_huber_errors,
)  # fmt: skip
_POISSON = _elementwise(
    "poisson", "poisson", "l = mean of y - t * log(y + 1e-7).", lambda y, t: y - t * np.log(y + EPS), _positive
)
_HINGE = _elementwise(
    "hinge", "hinge", "l = mean of max(0, 1 - t * y), t of -1 and 1.", lambda y, t: np.maximum(0, 1 - t * y), _signs
)
_SQUARED_HINGE = _elementwise(
    "squared_hinge", "squared_hinge", "l = mean of max(0, 1 - t * y)**2, t of -1 and 1.",
    lambda y, t: np.maximum(0, 1 - t * y) ** 2, _signs,
)  # fmt: skip
_BCE = _elementwise(
    "bce", "bce", "l = mean of max(z, 0) - z * t + log(1 + exp(-|z|)).",
    lambda z, t: np.logaddexp(0, z) - z * t, _shares, slope=_bce_slope,
)  # fmt: skip
_BCE_PROBS = _elementwise(
    "bce_probs", "bce_probs", "l = mean of -t * log(q) - (1 - t) * log(1 - q), q limited to [1e-7, 1 - 1e-7].",
    _bce_probs_ref, _two_shares,
)  # fmt: skip


# The mean over samples


@op("weighted_mean", "weighted_mean_fwd")
class _WeightedMean:
    """y = sum(l * w) / N, summed in double; dl = dy * w / N, dw = dy * l / N."""

    def infer(losses: Tensor, w: Tensor | None) -> Lowered:
        need_float("weighted_mean", losses, w)
        if losses.ndim != 1 or losses.size == 0:
            raise ShapeError(
                f"[weighted_mean] expected the losses of at least one sample. Received: shape={losses.shape}."
            )
        if w is not None and w.shape != losses.shape:
            raise ShapeError(
                f"[weighted_mean] expected one weight per sample, {losses.shape}. Received: weights of shape {w.shape}."
            )
        return Lowered((Spec((), losses.dtype),), (losses.size,), (1.0 / losses.size,))

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        losses, w = g.inputs
        dl = execute(_WEIGHTED_MEAN_GRAD, (dy, w, losses), out=g.dest[:1])[0] if g.needs[0] else None
        dw = execute(_WEIGHTED_MEAN_GRAD, (dy, losses, losses), out=g.dest[1:])[0] if g.needs[1] else None
        return dl, dw

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        losses, w = g.inputs
        each = expand(dy * (1.0 / losses.size), losses.shape)
        return each if w is None else each * w, each * losses if g.needs[1] else None

    def ref(losses: np.ndarray, w: np.ndarray | None) -> np.ndarray:
        return (losses if w is None else losses * w).sum() / len(losses)

    def samples(r: Rng) -> Iterator[Sample]:
        for n in (1, 32, 37, 1003):
            yield Sample((r(n), None))
            yield Sample((r(n), r(n)))

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(0), None), {}, ShapeError, "at least one sample"
        yield (r(3, 1), None), {}, ShapeError, r"\(3, 1\)"
        yield (r(3), r(4)), {}, ShapeError, r"one weight per sample, \(3,\)"


def _weighted_mean_grad_infer(dy: Tensor, w: Tensor | None, losses: Tensor) -> Lowered:
    return Lowered((Spec(losses.shape, losses.dtype),), (losses.size,), (1.0 / losses.size,), args=(dy, w))


_WEIGHTED_MEAN_GRAD = register(Card("weighted_mean.grad", _weighted_mean_grad_infer, "weighted_mean_bwd"))


def _each(card: Card, y: Any, t: Any, **attrs: Any) -> Tensor:
    y = as_tensor(y)
    return execute(card, (y, as_tensor(t, y)), attrs)[0]


def mse(y: Any, t: Any) -> Tensor:
    """Return the mean of (y - t)**2 of every sample, [N]."""
    return _each(_MSE, y, t)


def mse_half(y: Any, t: Any) -> Tensor:
    """Return the mean of (y - t)**2 / 2 of every sample, [N]."""
    return _each(_MSE_HALF, y, t)


def mae(y: Any, t: Any) -> Tensor:
    """Return the mean of |y - t| of every sample, [N]; the gradient at 0 is 0."""
    return _each(_MAE, y, t)


def huber(y: Any, t: Any, delta: float = 1.0) -> Tensor:
    """Return the Huber loss of every sample, [N]: quadratic up to a distance of delta, linear beyond.

    Parameters
    ----------
    y : array_like
        Predictions.
    t : array_like
        Targets.
    delta : float, default 1.0
        Where the parabola becomes a line.
    """
    return _each(_HUBER, y, t, delta=delta)


def poisson(y: Any, t: Any) -> Tensor:
    """Return the mean of y - t * log(y + 1e-7) of every sample, [N], for counts t and rates y > 0."""
    return _each(_POISSON, y, t)


def hinge(y: Any, t: Any) -> Tensor:
    """Return the mean of max(0, 1 - t * y) of every sample, [N], for labels t of -1 and 1."""
    return _each(_HINGE, y, t)


def squared_hinge(y: Any, t: Any) -> Tensor:
    """Return the mean of max(0, 1 - t * y)**2 of every sample, [N], for labels t of -1 and 1."""
    return _each(_SQUARED_HINGE, y, t)


def binary_cross_entropy(y: Any, t: Any, from_logits: bool = True) -> Tensor:
    """Return the binary cross-entropy of every sample, [N], from logits or from probabilities.

    Parameters
    ----------
    y : array_like
    t : array_like
    from_logits : bool, default True
        Whether y are logits instead of probabilities.
    """
    return _each(_BCE if from_logits else _BCE_PROBS, y, t)


def weighted_mean(losses: Any, w: Any = None) -> Tensor:
    """Return sum(losses * w) / N, the mean of the losses [N] of N samples with weights [N] (1 by default).

    Parameters
    ----------
    losses : array_like
    w : array_like, optional
        Weights; 1 by default.
    """
    losses = as_tensor(losses)
    return execute(_WeightedMean, (losses, None if w is None else as_tensor(w, losses)))[0]  # type: ignore[arg-type]


__all__ = [
    "binary_cross_entropy",
    "hinge",
    "huber",
    "mae",
    "mse",
    "mse_half",
    "poisson",
    "squared_hinge",
    "weighted_mean",
]
