"""Normalization of batches, layers and groups of channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.core.card import Card, Grad, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.common import Rng, as_tensor, need_float, need_held, size
from pynn.ops.reduce import sum_to

__all__ = ["batch_norm", "channel_dims", "channel_scratch", "check_channels", "group_norm", "layer_norm", "track"]

CHUNK, PARTS = 8192, 16  # NORM_CHUNK and NORM_PARTS of csrc/kernels/norm.h


def channel_dims(x: Tensor, groups: int, per_sample: bool) -> tuple[int, int, int, int]:
    """Return A, P, C, G of csrc/kernels/norm.h."""
    c = x.shape[-1]
    if per_sample:
        return x.shape[0], size(x.shape[1:-1]), c, groups
    return 1, size(x.shape[:-1]), c, groups


def channel_scratch(dims: tuple[int, int, int, int], itemsize: int) -> int:
    """Return the bytes of scratch memory that the kernels need."""
    a, p, c, _ = dims
    rows = max(8, min(CHUNK // max(c, 1), p)) if CHUNK // max(c, 1) >= 8 else 8
    chunks = -(-p // rows)
    return 16 * c + itemsize * a * c * (4 + 2 * chunks)


def check_channels(place: str, x: Tensor, *parameters: Tensor | None, shape: tuple[int, ...] | None = None) -> None:
    """Raise unless x is a batch with channels last, and the parameters have the shape of its channels."""
    need_float(place, x, *parameters)
    wanted = x.shape[-1:] if shape is None else shape
    if x.ndim < 2 or 0 in wanted:
        raise ShapeError(f"[{place}] expected a batch with channels last, [N, ..., C]. Received: x.shape={x.shape}.")
    for p in parameters:
        if p is not None and p.shape != wanted:
            raise ShapeError(f"[{place}] expected parameters of shape {wanted}. Received: {p.shape}.")


def _norm_ref(x: np.ndarray, gamma: Any, beta: Any, axes: tuple[int, ...], epsilon: float) -> tuple[np.ndarray, ...]:
    m, v = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - m) / np.sqrt(v + epsilon), m, v


def _affine(y: np.ndarray, gamma: Any, beta: Any) -> np.ndarray:
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


def _channel_samples(r: Rng) -> Iterator[tuple[np.ndarray, np.ndarray | None, np.ndarray | None]]:
    yield r(4, 3, 5, 6), r(6), r(6)
    yield r(7, 18), r(18), None
    yield r(3, 2, 2, 6), None, r(6)
    yield r(2, 1, 6), None, None


@op("group_norm", "norm_fwd", hidden=(1, 2))
class _GroupNorm:
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta, over groups of channels of one sample or of a batch."""

    def infer(
        x: Tensor, gamma: Tensor | None, beta: Tensor | None, groups: int, epsilon: float, per_sample: bool = True
    ) -> Lowered:
        place = "group_norm" if per_sample else "batch_norm"
        check_channels(place, x, gamma, beta)
        if groups < 1 or x.shape[-1] % groups:
            raise ShapeError(
                f"[{place}] expected groups that divide the channels. Received: groups={groups}, x.shape={x.shape}."
            )
        dims = channel_dims(x, groups, per_sample)
        if dims[1] == 0:
            raise ShapeError(f"[{place}] expected at least one value per channel. Received: x.shape={x.shape}.")
        stats = Spec((dims[0] * groups,), x.dtype)
        return Lowered(
            (Spec(x.shape, x.dtype), stats, stats), dims, (epsilon,), scratch=channel_scratch(dims, x.dtype.itemsize)
        )

    def vjp(g: Grad, dy: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, gamma, _beta = g.inputs
        inputs = (dy, x, g.outs[1], g.outs[2], gamma)
        return execute(_NORM_GRAD, inputs, {**g.attrs, "needs": g.needs}, out=g.dest)

    def ref(
        x: np.ndarray, gamma: Any, beta: Any, groups: int, epsilon: float, per_sample: bool = True
    ) -> tuple[np.ndarray, ...]:
        a = x.shape[0] if per_sample else 1
        y, m, v = _norm_ref(x.reshape(a, -1, groups, x.shape[-1] // groups), None, None, (1, 3), epsilon)
        return _affine(y.reshape(x.shape), gamma, beta), m.ravel(), v.ravel()

    def samples(r: Rng) -> Iterator[Sample]:
        for x, gamma, beta in _channel_samples(r):
            for groups in (1, 3):
                yield Sample((x, gamma, beta), {"groups": groups, "epsilon": 1e-2})
            yield Sample((x, gamma, beta), {"groups": x.shape[-1], "epsilon": 1e-3, "per_sample": False})
        yield Sample((r(3, 2, 70), r(70), r(70)), {"groups": 70, "epsilon": 1e-2, "per_sample": False})
        yield Sample((r(2, 9, 138), r(138), r(138)), {"groups": 2, "epsilon": 1e-2})
        yield Sample((r(2, 60, 61, 5), r(5), r(5)), {"groups": 5, "epsilon": 1e-3, "per_sample": False}, smooth=False)
        yield Sample((r(9, 1500), r(1500), r(1500)), {"groups": 3, "epsilon": 1e-3}, smooth=False)

    def errors(r: Rng) -> Iterator[Any]:
        attrs = {"groups": 3, "epsilon": 1e-3}
        yield (r(2, 4, 4), None, None), attrs, ShapeError, r"\[group_norm\] expected groups that divide.*groups=3"
        yield (r(2, 4, 3), r(4), None), attrs, ShapeError, r"parameters of shape \(3,\)"
        yield (r(3), None, None), attrs, ShapeError, r"channels last"


def _norm_grad_infer(
    dy: Tensor, x: Tensor, m: Tensor, v: Tensor, gamma: Tensor | None, needs: Any, groups: int, epsilon: float,
    per_sample: bool = True,
) -> Lowered:  # fmt: skip
    dims = channel_dims(x, groups, per_sample)
    channels = Spec(x.shape[-1:], x.dtype)
    outs = (Spec(x.shape, x.dtype) if needs[0] else None, *(channels if n else None for n in needs[1:]))
    scratch = channel_scratch(dims, x.dtype.itemsize)
    return Lowered(outs, dims, (epsilon,), x.dtype, scratch, args=(dy, x, m, v, gamma))


_NORM_GRAD = register(Card("group_norm.grad", _norm_grad_infer, "norm_bwd"))
_GROUP_NORM: Card = _GroupNorm  # type: ignore[assignment]


@op("norm_apply", "norm_apply")
class _NormApply:
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta, with the statistics given."""

    def infer(x: Tensor, m: Tensor, v: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float) -> Lowered:
        check_channels("batch_norm", x, m, v, gamma, beta)
        dims = channel_dims(x, x.shape[-1], False)
        scratch = channel_scratch(dims, x.dtype.itemsize)
        return Lowered((Spec(x.shape, x.dtype),), dims, (epsilon,), scratch=scratch)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, m, v, gamma, _ = g.inputs
        need = g.needs
        rstd = 1.0 / (v + g.attrs["epsilon"]).sqrt()
        scale = rstd if gamma is None else rstd * gamma
        dx = dy * scale if need[0] or need[1] else None
        dhat = sum_to(dy * (x - m), m.shape) if need[2] or need[3] else None
        dv = dhat * (scale * rstd * rstd * -0.5) if need[2] and dhat is not None else None
        return (
            dx if need[0] else None,
            -sum_to(dx, m.shape) if need[1] and dx is not None else None,
            dv,
            dhat * rstd if need[3] and dhat is not None else None,
            sum_to(dy, m.shape, g.dest[4]) if need[4] else None,
        )

    def ref(x: np.ndarray, m: np.ndarray, v: np.ndarray, gamma: Any, beta: Any, epsilon: float) -> np.ndarray:
        return _affine((x - m) / np.sqrt(v + epsilon), gamma, beta)

    def samples(r: Rng) -> Iterator[Sample]:
        for x, gamma, beta in _channel_samples(r):
            c = x.shape[-1]
            yield Sample((x, r(c), np.abs(r(c)) + 0.1, gamma, beta), {"epsilon": 1e-3})
        yield Sample((r(0, 2, 3), r(3), np.abs(r(3)), None, None), {"epsilon": 1e-3})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(2, 4), r(4), r(3), None, None), {"epsilon": 1e-3}, ShapeError, r"\[batch_norm\].*shape \(4,\)"


def _track_infer(m: Tensor, v: Tensor, momentum: float) -> Lowered:
    need_float("norm_track", m, v)
    need_held("norm_track", "variances", v, m.dtype, m.shape)
    return Lowered((Spec(m.shape, m.dtype), Spec(v.shape, v.dtype)), (m.size,), (momentum,))


def _track_ref(m: np.ndarray, v: np.ndarray, mean: np.ndarray, var: np.ndarray, momentum: float) -> tuple[Any, ...]:
    return momentum * mean + (1 - momentum) * m, momentum * var + (1 - momentum) * v


def _track_samples(r: Rng) -> Iterator[Sample]:
    for c in (5, 1, 0):
        yield Sample((r(c), np.abs(r(c))), {"momentum": 0.9}, state=(r(c), np.abs(r(c))))


_TRACK = register(
    Card(
        "norm_track",
        _track_infer,
        "norm_track",
        mutates=True,
        differentiable=False,
        ref=_track_ref,
        samples=_track_samples,
        doc="mean and variance, momentum parts of what they were and 1 - momentum parts of the batch's.",
    )
)


@op("layer_norm", "layer_norm_fwd", hidden=(1, 2))
class _LayerNorm:
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta, mean and var of each row (the last axis)."""

    def infer(x: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float) -> Lowered:
        check_channels("layer_norm", x, gamma, beta)
        rows = Spec((size(x.shape[:-1]),), x.dtype)
        dims = (rows.shape[0], x.shape[-1])
        return Lowered((Spec(x.shape, x.dtype), rows, rows), dims, (epsilon,))

    def vjp(g: Grad, dy: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, gamma, _beta = g.inputs
        inputs = (dy, x, g.outs[1], g.outs[2], gamma)
        return execute(_LAYER_GRAD, inputs, {**g.attrs, "needs": g.needs}, out=g.dest)

    def ref(x: np.ndarray, gamma: Any, beta: Any, epsilon: float) -> tuple[np.ndarray, ...]:
        y, m, v = _norm_ref(x, None, None, (-1,), epsilon)
        return _affine(y, gamma, beta), m.ravel(), 1 / np.sqrt(v.ravel() + epsilon)

    def samples(r: Rng) -> Iterator[Sample]:
        for x, gamma, beta in _channel_samples(r):
            yield Sample((x, gamma, beta), {"epsilon": 1e-2})
        yield Sample((r(30, 77), r(77), r(77)), {"epsilon": 1e-3})
        yield Sample((r(0, 3), r(3), r(3)), {"epsilon": 1e-3})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(2, 4), r(3), None), {"epsilon": 1e-3}, ShapeError, r"\[layer_norm\].*shape \(4,\)"


def _layer_grad_infer(
    dy: Tensor, x: Tensor, m: Tensor, rstd: Tensor, gamma: Tensor | None, needs: Any, epsilon: float
) -> Lowered:
    rows, c = size(x.shape[:-1]), x.shape[-1]
    channels = Spec((c,), x.dtype)
    outs = (Spec(x.shape, x.dtype) if needs[0] else None, *(channels if n else None for n in needs[1:]))
    scratch = min(rows, PARTS) * 2 * c * x.dtype.itemsize
    return Lowered(outs, (rows, c), (epsilon,), x.dtype, scratch, args=(dy, x, m, rstd, gamma))


_LAYER_GRAD = register(Card("layer_norm.grad", _layer_grad_infer, "layer_norm_bwd"))


def batch_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
) -> Tensor:
    """Return (x - mean) / sqrt(var + epsilon) * gamma + beta, per channel.

    Parameters
    ----------
    x : Tensor, shape [N, ..., C]
    gamma : array_like [C], optional
        Factors; 1 by default.
    beta : array_like [C], optional
        Terms; 0 by default.
    running_mean : Tensor, shape [C], optional
        State. While training, the batch's own statistics normalize, and these move towards them:
        running = momentum * running + (1 - momentum) * batch (variances are divided by the number of values, as in
        Keras). Otherwise these normalize. Padding of sequences does not count.
    running_var : Tensor, shape [C], optional
        State. While training, the batch's own statistics normalize, and these move towards them:
        running = momentum * running + (1 - momentum) * batch (variances are divided by the number of values, as in
        Keras). Otherwise these normalize. Padding of sequences does not count.
    training : bool, default False
    momentum : float, default 0.99
    epsilon : float, default 1e-3

    References
    ----------
    Ioffe and Szegedy: Batch normalization (ICML 2015).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> ops.batch_norm(np.array([[1.0], [3.0]]), training=True, epsilon=0.0).numpy().ravel()
    array([-1.,  1.])
    """
    x = as_tensor(x)
    gamma, beta = (None if p is None else as_tensor(p, x) for p in (gamma, beta))
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("[batch_norm] expected running_mean and running_var, or training=True. Received: neither.")
        return execute(_NormApply, (x, running_mean, running_var, gamma, beta), {"epsilon": epsilon})[0]  # type: ignore[arg-type]
    attrs: dict[str, Any] = {"groups": x.shape[-1] if x.ndim else 1, "epsilon": epsilon, "per_sample": False}
    if x.lengths is not None and x.ndim > 2:
        y, m, v = _of_real_steps(x, gamma, beta, **attrs)
    else:
        y, m, v = execute(_GROUP_NORM, (x, gamma, beta), attrs)
    if running_mean is not None and running_var is not None:
        track(m.detach(), v.detach(), running_mean, running_var, momentum)
    return y


def track(m: Tensor, v: Tensor, running_mean: Tensor, running_var: Tensor, momentum: float) -> None:
    """Let running statistics move towards those of a batch."""
    execute(_TRACK, (m, v), {"momentum": momentum}, out=(running_mean, running_var))


def layer_norm(x: Any, gamma: Any = None, beta: Any = None, epsilon: float = 1e-3) -> Tensor:
    """Return (x - mean) / sqrt(var + epsilon) * gamma + beta, with the mean and variance of the last axis.

    Parameters
    ----------
    x : array_like
    gamma : array_like [C], optional
        Factors; 1 by default.
    beta : array_like [C], optional
        Terms; 0 by default.
    epsilon : float, default 0.001
        Added to the variance.

    References
    ----------
    Ba, Kiros, Hinton: Layer normalization (2016).
    """
    x = as_tensor(x)
    inputs = (x, *(None if p is None else as_tensor(p, x) for p in (gamma, beta)))
    return execute(_LayerNorm, inputs, {"epsilon": epsilon})[0]  # type: ignore[arg-type]


def group_norm(x: Any, groups: int, gamma: Any = None, beta: Any = None, epsilon: float = 1e-3) -> Tensor:
    """Return (x - mean) / sqrt(var + epsilon) * gamma + beta, with the statistics of each group of channels.

    Parameters
    ----------
    x : array_like
    groups : int
        How many groups the channels are divided into.
    gamma : array_like [C], optional
        Factors; 1 by default.
    beta : array_like [C], optional
        Terms; 0 by default.
    epsilon : float, default 0.001
        Added to the variance.

    References
    ----------
    Wu and He: Group normalization (ECCV 2018).
    """
    x = as_tensor(x)
    inputs = (x, *(None if p is None else as_tensor(p, x) for p in (gamma, beta)))
    if x.lengths is not None and x.ndim > 2:
        return _of_real_steps(*inputs, groups=groups, epsilon=epsilon)[0]
    return execute(_GROUP_NORM, inputs, {"groups": groups, "epsilon": epsilon})[0]


def _of_real_steps(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, groups: int, epsilon: float, per_sample: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the op group_norm does, with statistics of the real steps of padded sequences alone."""
    _GROUP_NORM.infer(x, gamma, beta, groups, epsilon, per_sample)  # raises as it does
    n, t, c = x.shape[0], x.shape[1], x.shape[-1]
    z = x.reshape((n, t, size(x.shape[2:-1]), groups, c // groups))
    axes = (1, 2, 4) if per_sample else (0, 1, 2, 4)
    m = z.mean(axes, keepdims=True)
    d = z - m
    v = (d * d).mean(axes, keepdims=True)
    y = (d / (v + epsilon).sqrt()).reshape(x.shape)
    if gamma is not None:
        y = y * gamma
    return y if beta is None else y + beta, m.reshape((-1,)), v.reshape((-1,))
