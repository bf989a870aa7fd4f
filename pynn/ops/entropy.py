"""Cross-entropy and Kullback-Leibler divergence over the last axis, one loss per row. Predictions come first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pynn.core.card import Card, Grad, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops.common import INTS, Rng, as_tensor, need_float, size
from pynn.ops.loss import EPS
from pynn.ops.shape import eye_rows
from pynn.ops.softmax import log_softmax, softmax


def _rows(z: Tensor) -> tuple[int, int]:
    return size(z.shape[:-1]), z.shape[-1]


def _labels_lower(name: str, z: Tensor, t: Tensor, save: bool) -> Lowered:
    need_float(name, z)
    if t.dtype not in INTS:
        raise DTypeError(f"[{name}] expected int32 or int64 labels. Received: dtype={t.dtype}.")
    if z.ndim == 0 or z.shape[-1] == 0 or t.shape != z.shape[:-1]:
        raise ShapeError(
            f"[{name}] expected predictions [..., classes] and labels [...]. Received: {z.shape} and {t.shape}."
        )
    outs = (Spec((size(t.shape),), z.dtype), *([Spec(z.shape, z.dtype)] if save else []))
    return Lowered(outs, (*_rows(z), t.dtype.itemsize))


def _soft_lower(name: str, z: Tensor, t: Tensor, save: bool, divergence: bool) -> Lowered:
    need_float(name, z, t)
    if z.ndim == 0 or z.shape[-1] == 0 or t.shape != z.shape:
        raise ShapeError(
            f"[{name}] expected predictions and targets [..., classes] of one shape. Received: {z.shape} and {t.shape}."
        )
    outs = (Spec((size(z.shape[:-1]),), z.dtype), *([Spec(z.shape, z.dtype)] if save else []))
    return Lowered(outs, (*_rows(z), int(divergence)))


def _grad_card(name: str, kernel: str) -> Card:
    """Register the gradient to the predictions, from (probabilities, targets, dl)."""

    def infer(p: Tensor, t: Tensor, dl: Tensor) -> Lowered:
        return Lowered((Spec(p.shape, p.dtype),), (*_rows(p), t.dtype.itemsize))

    return register(Card(f"{name}.grad", infer, kernel, inplace=kernel != "cross_entropy_probs_bwd"))


def _per_row(dl: Tensor, z: Tensor) -> Tensor:
    return dl.reshape((*z.shape[:-1], 1))


def _one_hot(t: Tensor, z: Tensor) -> Tensor:
    return eye_rows(t, z.shape[-1], z.dtype)


def _soft_dt(log_p: Tensor, g: Grad, dl: Tensor) -> Tensor:
    """Return the gradient to soft targets: -log p, and log t + 1 more for a divergence."""
    dt = -log_p
    if g.attrs.get("divergence"):
        dt = dt + (g.inputs[1].clip(EPS, np.inf).log() + 1.0)
    return dt * _per_row(dl, g.inputs[0])


def _np_log_softmax(z: np.ndarray) -> np.ndarray:
    shifted = z - z.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _np_pick(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return np.take_along_axis(x, t[..., None].astype(np.int64), -1).reshape(-1)


def _np_soft(log_p: np.ndarray, t: np.ndarray, divergence: bool) -> np.ndarray:
    positive = t > 0
    losses = -np.where(positive, t * np.where(positive, log_p, 0), 0).sum(-1)
    if divergence:
        losses = losses + np.where(positive, t * np.log(np.where(positive, t, 1)), 0).sum(-1)
    return losses.reshape(-1)


def _simplex(r: Rng, *shape: int) -> np.ndarray:
    x = r(*shape, low=0.1, high=1)
    return x / x.sum(-1, keepdims=True)


SHAPES = ((32, 3), (3, 10), (5, 1), (17, 8), (4, 16), (2, 3, 5), (3, 40), (0, 4))


def _label_samples(make: Callable[..., np.ndarray]) -> Callable[[Rng], Iterator[Sample]]:
    def samples(r: Rng) -> Iterator[Sample]:
        for i, shape in enumerate(SHAPES):
            t = r.integers(shape[-1], *shape[:-1], dtype=("int32", "int64")[i % 2])
            yield Sample((make(r, *shape), t))
        yield Sample((make(r, 1500, 10), r.integers(10, 1500, dtype="int32")), smooth=False)

    return samples


def _soft_samples(make: Callable[..., np.ndarray]) -> Callable[[Rng], Iterator[Sample]]:
    def samples(r: Rng) -> Iterator[Sample]:
        for shape in SHAPES:
            yield Sample((make(r, *shape), _simplex(r, *shape)))
        yield Sample((make(r, 4, 5), _simplex(r, 4, 5)), {"divergence": True})
        yield Sample((make(r, 4, 19), r(4, 19, low=0.1, high=2)), {"divergence": True})
        yield Sample((make(r, 6, 7), np.eye(7)[r.integers(7, 6)]), {"divergence": True}, smooth=False)
        yield Sample((make(r, 700, 10), np.eye(10)[r.integers(10, 700)]), smooth=False)

    return samples


def _label_errors(r: Rng) -> Iterator[Any]:
    yield (r(3, 4), np.array([0, 4, 1])), {}, IndexError, "outside the table"
    yield (r(3, 4), np.array([0, -1, 1], "int32")), {}, IndexError, "outside the table"
    yield (r(3, 4), np.array([0, 1])), {}, ShapeError, r"labels.*\(3, 4\) and \(2,\)"
    yield (r(3, 4), r(3)), {}, DTypeError, "int32 or int64 labels"


def _soft_errors(r: Rng) -> Iterator[Any]:
    yield (r(3, 4), r(3, 5)), {}, ShapeError, r"one shape.*\(3, 4\) and \(3, 5\)"
    yield (r(3, 4), np.eye(4, dtype=int)[:3]), {}, DTypeError, "float32 or float64"


@op("cross_entropy", "cross_entropy_fwd", hidden=(1,))
class _CrossEntropy:
    """l = -log(softmax(z)[t]) for labels t; the second output is softmax(z). dz = dl * (softmax(z) - one_hot(t))."""

    def infer(z: Tensor, t: Tensor) -> Lowered:
        return _labels_lower("cross_entropy", z, t, True)

    def vjp(g: Grad, dl: Tensor, dp: None) -> tuple[Tensor | None, ...]:
        return (*execute(_CROSS_ENTROPY_GRAD, (g.outs[1], g.inputs[1], dl), out=g.dest[:1]), None)

    def smooth_vjp(g: Grad, dl: Tensor, dp: None) -> tuple[Tensor | None, ...]:
        z, t = g.inputs
        return (softmax(z) - _one_hot(t, z)) * _per_row(dl, z), None

    def ref(z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        log_p = _np_log_softmax(z)
        return -_np_pick(log_p, t), np.exp(log_p)

    samples = _label_samples(lambda r, *shape: r(*shape) * 2)
    errors = _label_errors


@op("soft_cross_entropy", "soft_entropy_fwd", hidden=(1,))
class _SoftCrossEntropy:
    """l = -sum(t * log(softmax(z))), with divergence also + sum(t * log(t)); the second output is softmax(z)."""

    def infer(z: Tensor, t: Tensor, divergence: bool = False) -> Lowered:
        return _soft_lower("soft_cross_entropy", z, t, True, divergence)

    def vjp(g: Grad, dl: Tensor, dp: None) -> tuple[Tensor | None, ...]:
        z, t = g.inputs
        dz = execute(_SOFT_CROSS_ENTROPY_GRAD, (g.outs[1], t, dl), out=g.dest[:1])[0] if g.needs[0] else None
        return dz, _soft_dt(log_softmax(z), g, dl) if g.needs[1] else None

    def smooth_vjp(g: Grad, dl: Tensor, dp: None) -> tuple[Tensor | None, ...]:
        z, t = g.inputs
        dz = (softmax(z) * t.sum(-1, keepdims=True) - t) * _per_row(dl, z)
        return dz, _soft_dt(log_softmax(z), g, dl) if g.needs[1] else None

    def ref(z: np.ndarray, t: np.ndarray, divergence: bool = False) -> tuple[np.ndarray, np.ndarray]:
        log_p = _np_log_softmax(z)
        return _np_soft(log_p, t, divergence), np.exp(log_p)

    samples = _soft_samples(lambda r, *shape: r(*shape) * 2)
    errors = _soft_errors


@op("cross_entropy_probs", "cross_entropy_probs_fwd")
class _CrossEntropyProbs:
    """l = -log(max(q[t], 1e-7)) for labels t and probabilities q."""

    def infer(q: Tensor, t: Tensor) -> Lowered:
        return _labels_lower("cross_entropy_probs", q, t, False)

    def vjp(g: Grad, dl: Tensor) -> tuple[Tensor | None, ...]:
        return (*execute(_CROSS_ENTROPY_PROBS_GRAD, (*g.inputs, dl), out=g.dest[:1]), None)

    def ref(q: np.ndarray, t: np.ndarray) -> np.ndarray:
        return -np.log(np.maximum(_np_pick(q, t), EPS))

    samples = _label_samples(_simplex)
    errors = _label_errors


@op("soft_cross_entropy_probs", "soft_entropy_probs_fwd")
class _SoftCrossEntropyProbs:
    """l = -sum(t * log(max(q, 1e-7))), with divergence also + sum(t * log(t)), for probabilities q."""

    def infer(q: Tensor, t: Tensor, divergence: bool = False) -> Lowered:
        return _soft_lower("soft_cross_entropy_probs", q, t, False, divergence)

    def vjp(g: Grad, dl: Tensor) -> tuple[Tensor | None, ...]:
        q, t = g.inputs
        dq = execute(_SOFT_CROSS_ENTROPY_PROBS_GRAD, (q, t, dl), out=g.dest[:1])[0] if g.needs[0] else None
        return dq, _soft_dt(q.clip(EPS, np.inf).log(), g, dl) if g.needs[1] else None

    def ref(q: np.ndarray, t: np.ndarray, divergence: bool = False) -> np.ndarray:
        return _np_soft(np.log(np.maximum(q, EPS)), t, divergence)

    samples = _soft_samples(_simplex)
    errors = _soft_errors


_CROSS_ENTROPY_GRAD = _grad_card("cross_entropy", "cross_entropy_bwd")
_SOFT_CROSS_ENTROPY_GRAD = _grad_card("soft_cross_entropy", "soft_entropy_bwd")
_CROSS_ENTROPY_PROBS_GRAD = _grad_card("cross_entropy_probs", "cross_entropy_probs_bwd")
_SOFT_CROSS_ENTROPY_PROBS_GRAD = _grad_card("soft_cross_entropy_probs", "soft_entropy_probs_bwd")


def cross_entropy(y: Any, t: Any, from_logits: bool = True) -> Tensor:
    """Return the cross-entropy over the last axis, one entry per row (leading axes are flattened).

    Parameters
    ----------
    y : Tensor, shape [..., C]
        Logits, or probabilities.
    t : Tensor
        Labels, int32 or int64 [...], or distributions like y, to which gradients flow too.
    from_logits : bool, default True
    """
    y = as_tensor(y)
    t = t if isinstance(t, Tensor) else as_tensor(np.asarray(t))
    labels, soft = (_CrossEntropy, _SoftCrossEntropy) if from_logits else (_CrossEntropyProbs, _SoftCrossEntropyProbs)
    return execute(labels if t.dtype in INTS else soft, (y, t))[0]  # type: ignore[arg-type]


def kl_divergence(y: Any, t: Any, from_logits: bool = False) -> Tensor:
    """Return sum(t * log(t / y)) over the last axis, one entry per row; gradients flow to both.

    Parameters
    ----------
    y : Tensor, shape [..., C]
        Probabilities, or logits.
    t : Tensor
        Distributions like y.
    from_logits : bool, default False
    """
    y = as_tensor(y)
    card = _SoftCrossEntropy if from_logits else _SoftCrossEntropyProbs
    return execute(card, (y, as_tensor(t, y)), {"divergence": True})[0]  # type: ignore[arg-type]


__all__ = ["cross_entropy", "kl_divergence"]
