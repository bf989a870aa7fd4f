"""Softmax and its logarithm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.core.card import Card, Grad, Lowered, Sample, Spec, op
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops.common import Rng, as_tensor, need_float, normal_axes, size
from pynn.ops.lengths import FAR, mask_steps


def _lower(name: str, x: Tensor) -> Lowered:
    need_float(name, x)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ShapeError(f"[{name}] expected at least one element on the last axis. Received: shape={x.shape}.")
    return Lowered((Spec(x.shape, x.dtype),), (size(x.shape[:-1]), x.shape[-1]))


def _samples(r: Rng) -> Iterator[Sample]:
    for shape in ((5, 3), (3, 1), (17, 8), (4, 10), (3, 16), (2, 3, 37), (7,), (0, 4)):
        yield Sample((r(*shape),))
    yield Sample((r(600, 5),), smooth=False)
    yield Sample((r(9, 5000),), smooth=False)
    yield Sample((r(4, 10) * 1000,), smooth=False)
    yield Sample((np.where(r(6, 10) > 1, -np.inf, r(6, 10)),), smooth=False)


def _errors(r: Rng) -> Iterator[Any]:
    yield (np.arange(3),), {}, DTypeError, r"float32 or float64.*Received: dtype=int64"
    yield (r(3, 0),), {}, ShapeError, r"at least one element.*\(3, 0\)"


@op("softmax", "softmax_fwd", bwd="softmax_bwd", inplace=True)
class _Softmax:
    """y = exp(x) / sum of exp(x) over the last axis; dx = y * (dy - sum(dy * y))."""

    def infer(x: Tensor) -> Lowered:
        return _lower("softmax", x)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        y = g.outs[0]
        return (y * (dy - (dy * y).sum(-1, keepdims=True)),)

    def ref(x: np.ndarray) -> np.ndarray:
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    samples = _samples
    errors = _errors


@op("log_softmax", "log_softmax_fwd", bwd="log_softmax_bwd", inplace=True)
class _LogSoftmax:
    """y = x - log(sum of exp(x)) over the last axis; dx = dy - exp(y) * sum(dy)."""

    def infer(x: Tensor) -> Lowered:
        return _lower("log_softmax", x)

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (dy - g.outs[0].exp() * dy.sum(-1, keepdims=True),)

    def ref(x: np.ndarray) -> np.ndarray:
        shifted = x - x.max(-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))

    samples = _samples
    errors = _errors


def _along(card: Card, x: Any, axis: int) -> Tensor:
    x = as_tensor(x)
    if x.ndim == 0:
        raise ShapeError(f"[{card.name}] expected at least one dimension. Received: shape=().")
    (a,) = normal_axes(card.name, axis, x.ndim)
    if a == 1 and x.lengths is not None:  # over the real steps of padded sequences
        y = _along(card, mask_steps(x, FAR), a)
        y = mask_steps(y, 0.0, x.lengths) if card.name == "softmax" else y
        y.lengths = x.lengths
        return y
    if a == x.ndim - 1:
        return execute(card, (x,))[0]
    swap = list(range(x.ndim))
    swap[a], swap[-1] = swap[-1], swap[a]
    return execute(card, (x.transpose(swap),))[0].transpose(swap)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """Return exp(x) / sum(exp(x)) along an axis, computed without overflow.

    Parameters
    ----------
    x : Tensor, float32 or float64
    axis : int, default -1
        Other axes than the last cost two transposes. Over the time of padded sequences, padding gets 0.

    Returns
    -------
    Tensor
        Of x's shape. A row with NaN or +inf, or with nothing but -inf, is NaN.

    Raises
    ------
    DTypeError, ShapeError

    Examples
    --------
    >>> import pynn
    >>> pynn.ops.softmax([[0.0, 0.0]]).numpy()
    array([[0.5, 0.5]], dtype=float32)
    """
    return _along(_Softmax, x, axis)  # type: ignore[arg-type]


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """Return x - log(sum(exp(x))) along an axis, computed without overflow.

    Parameters
    ----------
    x : Tensor, float32 or float64
    axis : int, default -1
        Other axes than the last cost two transposes.

    Returns
    -------
    Tensor
        Of x's shape.

    Raises
    ------
    DTypeError, ShapeError

    Examples
    --------
    >>> import pynn
    >>> pynn.ops.log_softmax([[0.0, 0.0]]).exp().numpy()
    array([[0.5, 0.5]], dtype=float32)
    """
    return _along(_LogSoftmax, x, axis)  # type: ignore[arg-type]


__all__ = ["log_softmax", "softmax"]
