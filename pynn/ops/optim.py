"""What goes with an optimizer: gradient clipping, max-norm and weight penalties, all in place but the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pynn.checks import number
from pynn.core.card import Card, Grad, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.common import Rng, as_tensor, need_float, need_held, size

FLOAT64 = np.dtype("float64")
CHUNK_OF_SUMS = 16384  # elements per partial sum (csrc/kernels/optim.h)


def _clip_value_infer(g: Tensor, limit: float) -> Lowered:
    need_float("clip_value", g)
    return Lowered((Spec(g.shape, g.dtype),), (g.size,), (-limit, limit))


def _in_place(reference: Any) -> dict[str, Any]:
    """Return what cards share that change one tensor: its samples, and a NumPy reference of the new value."""

    def samples(r: Rng) -> Iterator[Sample]:
        for shape in ((5, 7), (33, 2), (1, 1), (3, 4, 5), (200, 170)):  # the last one is more than a chunk
            for limit in (0.7, 1e3):
                x = r(*shape)
                yield Sample((x,), {"limit": limit}, state=(x,))

    return {
        "mutates": True,
        "differentiable": False,
        "samples": samples,
        "ref": lambda x, _, limit: (reference(x, limit),),
    }


CLIP_VALUE = register(
    Card(
        "clip_value",
        _clip_value_infer,
        "clip_fwd",
        doc="g limited to +-limit.",
        **_in_place(lambda g, limit: np.clip(g, -limit, limit)),
    )
)


def _sums(n: int, each: int) -> int:
    return 8 * each * max(-(-n // CHUNK_OF_SUMS), 1)


def _clip_norm_infer(g: Tensor, limit: float) -> Lowered:
    need_float("clip_norm", g)
    return Lowered((Spec(g.shape, g.dtype),), (g.size,), (limit,), scratch=_sums(g.size, 1))


CLIP_NORM = register(
    Card(
        "clip_norm",
        _clip_norm_infer,
        "clip_norm",
        doc="g min(1, limit / |g|), the norm in double; a norm that is not finite leaves g as it is.",
        **_in_place(lambda g, limit: g * min(1.0, limit / np.sqrt(np.square(g).sum()))),
    )
)


def _sums_infer(g: Tensor) -> Lowered:
    need_float("norm_sums", g)
    return Lowered((Spec((_sums(g.size, 1) // 8,), FLOAT64),), (g.size,), dtype=g.dtype)


def _sums_ref(g: np.ndarray, _: Any) -> tuple[np.ndarray]:
    parts = np.split(g.ravel(), range(CHUNK_OF_SUMS, g.size, CHUNK_OF_SUMS))
    return (np.array([np.square(part).sum() for part in parts]),)


def _sums_samples(r: Rng) -> Iterator[Sample]:
    for n in (1, 33, 34000):
        yield Sample((r(n),), state=(Tensor.state(np.zeros(_sums(n, 1) // 8)),))


NORM_SUMS = register(
    Card(
        "norm_sums",
        _sums_infer,
        "norm_sums",
        mutates=True,
        differentiable=False,
        ref=_sums_ref,
        samples=_sums_samples,
        doc="The sums of squares of which a norm is the root, in double, each of 16384 elements.",
    )
)


def _by_sums_infer(g: Tensor, sums: Tensor, limit: float) -> Lowered:
    need_float("clip_by_sums", g)
    need_held("clip_by_sums", "sums", sums, FLOAT64, (_sums(g.size, 1) // 8,))
    return Lowered((Spec(g.shape, g.dtype),), (g.size,), (limit,))


def _by_sums_samples(r: Rng) -> Iterator[Sample]:
    for n in (33, 34000):
        for limit in (0.7, 1e3):
            x, sums = r(n), Tensor.state(np.abs(r(_sums(n, 1) // 8)) + 1)
            yield Sample((x, sums), {"limit": limit}, state=(x,))


CLIP_BY_SUMS = register(
    Card(
        "clip_by_sums",
        _by_sums_infer,
        "clip_by_sums",
        mutates=True,
        differentiable=False,
        ref=lambda x, sums, _, limit: (x * min(1.0, limit / np.sqrt(sums.sum())),),
        samples=_by_sums_samples,
        doc="g min(1, limit / |g|), of which norm_sums gives the squares; a norm that is not finite leaves g as it is.",
    )
)


def _max_norm_infer(w: Tensor, limit: float) -> Lowered:
    need_float("max_norm", w)
    if w.ndim < 2:
        raise ShapeError(f"[max_norm] expected weights [in, out] (or more axes). Received: w.shape={w.shape}.")
    return Lowered((Spec(w.shape, w.dtype),), (size(w.shape[:-1]), w.shape[-1]), (limit,))


MAX_NORM = register(
    Card(
        "max_norm",
        _max_norm_infer,
        "max_norm",
        doc="Columns (all axes but the last) of w whose norm exceeds the limit are scaled down to it.",
        **_in_place(lambda w, limit: w * np.minimum(1.0, limit / np.sqrt(np.square(w).sum(tuple(range(w.ndim - 1)))))),
    )
)


@op("penalty", "penalty_fwd", late=True)
class _Penalty:
    """y = l1 * sum|w| + l2 * sum(w**2); dw = dy * (l1 * sign(w) + 2 * l2 * w)."""

    def infer(w: Tensor, l1: float, l2: float) -> Lowered:
        need_float("penalty", w)
        return Lowered((Spec((), w.dtype),), (w.size,), (l1, l2), scratch=_sums(w.size, 2))

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        sofar = g.sofar[0] if g.adds else None
        return execute(_PENALTY_GRAD, (dy, g.inputs[0], sofar), g.attrs, out=g.dest)

    def ref(w: np.ndarray, l1: float, l2: float) -> np.ndarray:
        return np.asarray(l1 * np.abs(w).sum() + l2 * np.square(w).sum())

    def samples(r: Rng) -> Iterator[Sample]:
        for shape in ((5, 7), (37,), (1, 1), (0, 3)):
            yield Sample((r.away(*shape),), {"l1": 0.3, "l2": 0.7})
        yield Sample((r(200, 170),), {"l1": 0.01, "l2": 0.02}, smooth=False)


def _penalty_grad_infer(dy: Tensor, w: Tensor, sofar: Tensor | None, l1: float, l2: float) -> Lowered:
    return Lowered((Spec(w.shape, w.dtype),), (w.size,), (l1, l2))


_PENALTY_GRAD = register(Card("penalty.grad", _penalty_grad_infer, "penalty_bwd"))


def penalty(w: Any, l1: float = 0.0, l2: float = 0.0) -> Tensor:
    """Return l1 * sum(|w|) + l2 * sum(w**2), summed in double; the slope of |w| at 0 is 0.

    Parameters
    ----------
    w : array_like
    l1 : float, default 0.0
        At least 0.
    l2 : float, default 0.0
        At least 0.
    """
    return execute(_Penalty, (as_tensor(w),), {"l1": number("penalty", "l1", l1), "l2": number("penalty", "l2", l2)})[0]  # type: ignore[arg-type]


def clip_value(g: Tensor, limit: float) -> None:
    """Limit every element of g to [-limit, limit], in place."""
    execute(CLIP_VALUE, (g,), {"limit": limit}, out=(g,))


def clip_norm(g: Tensor, limit: float, share: tuple[Tensor, Callable[[], None]] | None = None) -> None:
    """Scale g in place so that its Euclidean norm is at most `limit`.

    Parameters
    ----------
    g : Tensor
    limit : float
    share : (Tensor float64 [k], callable), optional
        Where the sums of squares go of each 16384 elements, and what puts those of others there, where this process
        knows a part of g alone.
    """
    if share is None:
        execute(CLIP_NORM, (g,), {"limit": limit}, out=(g,))
        return
    sums, put = share
    execute(NORM_SUMS, (g,), out=(sums,))
    put()
    execute(CLIP_BY_SUMS, (g, sums), {"limit": limit}, out=(g,))


def max_norm(w: Tensor, limit: float) -> None:
    """Scale columns of w in place so that the norm of each is at most `limit`."""
    execute(MAX_NORM, (w,), {"limit": limit}, out=(w,))


__all__ = ["clip_norm", "clip_value", "max_norm", "penalty"]
