"""Batch normalization of a batch that is computed in segments, with the statistics of all of them.

The segments are computed side by side. Each gives what the statistics are made of and waits; what all gave is joined,
over the ranks too, and each goes on with that. See pynn/train/abreast.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.core.card import CARDS, Card, Grad, Lowered, Sample, Spec, register
from pynn.core.graph import execute
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.common import Rng, need_float
from pynn.ops.norm import channel_dims, channel_scratch, check_channels
from pynn.ops.segments import in_order

__all__ = ["shared_batch_norm"]

FLOAT64 = np.dtype("float64")


def _part_infer(x: Tensor) -> Lowered:
    check_channels("batch_norm", x)
    dims = channel_dims(x, x.shape[-1], False)
    if dims[1] == 0:
        raise ShapeError(f"[batch_norm] expected at least one value per channel. Received: x.shape={x.shape}.")
    stats = Spec(x.shape[-1:], x.dtype)
    return Lowered((stats, stats), dims, (0.0,), scratch=channel_scratch(dims, x.dtype.itemsize))


def _part_samples(r: Rng) -> Iterator[Sample]:
    yield Sample((r(4, 3, 5, 6),))
    yield Sample((r(1, 70),))


_PART = register(
    Card(
        "norm_part",
        _part_infer,
        "norm_part",
        differentiable=False,
        ref=lambda x: (x.mean(tuple(range(x.ndim - 1))), x.var(tuple(range(x.ndim - 1)))),
        samples=_part_samples,
        doc="Mean and variance of each channel.",
    )
)


def _join_infer(parts: Tensor, counts: Tensor, sums: bool) -> Lowered:
    need_float("norm_join_parts", parts)
    if parts.ndim != 3 or parts.shape[1] != 2 or not 1 <= parts.shape[0] < 1 << 30:
        raise ShapeError(f"[norm_join_parts] expected parts [segments, 2, channels]. Received: {parts.shape}.")
    if counts.dtype != FLOAT64 or counts.shape != parts.shape[:1]:
        raise ShapeError(
            f"[norm_join_parts] expected float64 counts, one for each segment. Received: {counts.dtype} {counts.shape}."
        )
    stats = Spec(parts.shape[2:], parts.dtype)
    return Lowered((stats, stats), (parts.shape[2], parts.shape[0], int(sums)), dtype=parts.dtype)


def _join_ref(parts: np.ndarray, counts: np.ndarray, sums: bool) -> tuple[np.ndarray, ...]:
    if sums:
        both = in_order([part if n else None for part, n in zip(parts.astype(float), counts, strict=True)])
        return both[0], both[1]
    share = (counts / counts.sum())[:, None]
    mean = (share * parts[:, 0]).sum(0)
    return mean, (share * (parts[:, 1] + (parts[:, 0] - mean) ** 2)).sum(0)


def _join_samples(r: Rng) -> Iterator[Sample]:
    for counts in ([3.0, 0.0, 5.0], [1.0], [0.0, 2.0, 2.0, 7.0, 1.0]):
        parts = np.abs(r(len(counts), 2, 5))
        for sums in (False, True):
            yield Sample((parts, Tensor.state(np.array(counts))), {"sums": sums})


_JOIN = register(
    Card(
        "norm_join_parts",
        _join_infer,
        "norm_join_parts",
        differentiable=False,
        ref=_join_ref,
        samples=_join_samples,
        needed=(0, 1),
        doc="The mean and variance, or the two sums, of all segments, of those of each, joined in their order.",
    )
)


def _apply_infer(
    x: Tensor, m: Tensor, v: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float, count: float
) -> Lowered:
    check_channels("batch_norm", x, m, v, gamma, beta)
    dims = channel_dims(x, x.shape[-1], False)
    return Lowered((Spec(x.shape, x.dtype),), dims, (epsilon,), scratch=channel_scratch(dims, x.dtype.itemsize))


def _apply_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
    x, m, v, gamma, _ = g.inputs
    epsilon, count = g.attrs["epsilon"], g.attrs["count"]
    own: list[Tensor] = []

    def give(first: Tensor, second: Tensor) -> None:
        attrs = {"groups": x.shape[-1], "epsilon": epsilon, "per_sample": False, "needs": (False, True, True)}
        own.extend(execute(CARDS["group_norm.grad"], (dy, x, m, v, gamma), attrs, out=(None, first, second))[1:])

    sums = state.shared.together(x, give, lambda parts, n: execute(_JOIN, (parts, n), {"sums": True}))
    dx = None
    if g.needs[0]:
        dx = execute(_DX, (dy, x, m, v, gamma, *sums), {"epsilon": epsilon, "count": count}, out=g.dest[:1])[0]
    found = [
        execute(CARDS["copy"], (t,), out=(to,))[0] if need else None
        for t, to, need in zip(own, g.dest[3:], g.needs[3:], strict=True)
    ]
    return dx, None, None, *found


# No op of the table: its gradient is that of the batch, whose other segments must take their turns meanwhile.
_APPLY = Card("norm_shared", _apply_infer, "norm_apply", vjp=_apply_vjp)


def _dx_infer(
    dy: Tensor, x: Tensor, m: Tensor, v: Tensor, gamma: Tensor | None, dgamma: Tensor, dbeta: Tensor, epsilon: float,
    count: float,
) -> Lowered:  # fmt: skip
    check_channels("batch_norm", x, m, v, gamma, dgamma, dbeta)
    check_channels("batch_norm", dy, shape=x.shape[-1:])
    if dy.shape != x.shape or dy.dtype != x.dtype:
        raise ShapeError(f"[batch_norm] expected dy like x, {x.shape} {x.dtype}. Received: {dy.shape} {dy.dtype}.")
    dims = channel_dims(x, x.shape[-1], False)
    return Lowered(
        (Spec(x.shape, x.dtype),), dims, (epsilon, count), x.dtype, channel_scratch(dims, x.dtype.itemsize),
        args=(dy, x, m, v, gamma, dgamma, dbeta),
    )  # fmt: skip


def _dx_ref(
    dy: np.ndarray, x: np.ndarray, m: np.ndarray, v: np.ndarray, gamma: Any, dgamma: np.ndarray, dbeta: np.ndarray,
    epsilon: float, count: float,
) -> np.ndarray:  # fmt: skip
    rstd = 1 / np.sqrt(v + epsilon)
    dx: np.ndarray = rstd * (dy - dbeta / count - (x - m) * rstd * dgamma / count)
    return dx if gamma is None else gamma * dx


def _dx_samples(r: Rng) -> Iterator[Sample]:
    for shape in ((4, 3, 6), (1, 70)):
        for gamma in (None, r(shape[-1])):
            channels = (r(shape[-1]), np.abs(r(shape[-1])) + 0.1, gamma, r(shape[-1]), r(shape[-1]))
            yield Sample((r(*shape), r(*shape), *channels), {"epsilon": 1e-3, "count": 24.0})


_DX = register(
    Card(
        "norm_shared_dx",
        _dx_infer,
        "norm_shared_bwd",
        differentiable=False,
        ref=_dx_ref,
        samples=_dx_samples,
        needed=(0, 1, 2, 3, 5, 6),
        doc="The gradient by x of batch normalization, of a segment, with the sums of dgamma and dbeta of all.",
    )
)


def shared_batch_norm(x: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float, track: Any) -> Tensor:
    """Return (x - mean) / sqrt(var + epsilon) * gamma + beta, with the statistics of all segments of the batch.

    Parameters
    ----------
    x : Tensor [N, ..., C]
        Of the segment under way.
    gamma, beta : Tensor [C], optional
    epsilon : float
    track : callable (mean, var)
        Called once for all segments.
    """
    check_channels("batch_norm", x, gamma, beta)

    def give(first: Tensor, second: Tensor) -> None:
        execute(_PART, (x.detach(),), out=(first, second))

    def finish(parts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, float]:
        m, v = execute(_JOIN, (parts, counts), {"sums": False})
        track(m, v)
        return m, v, float(counts.view().sum())

    m, v, count = state.shared.together(x, give, finish)
    return execute(_APPLY, (x, m, v, gamma, beta), {"epsilon": epsilon, "count": count})[0]
