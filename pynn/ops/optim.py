"""The updates of the optimizers, gradient clipping, max-norm and weight penalties.

An update mutates (parameters, slot, slot, slot, counts, numbers), given as `out`; what a rule does not use is None. Its
inputs are the gradients and the slots `rate` and `cursor` of :class:`pynn.core.flat.Slots`, all read by pointer. For
the table of an embedding, `marked`, `rows` and `count` of :class:`pynn.ops.embedding.TouchedRows` follow: the gradient
of other rows is 0 and is not read, and with `lazy` those rows are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.core.card import Card, Grad, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.tensor import Tensor, tensor
from pynn.errors import ShapeError
from pynn.ops.common import Rng, as_tensor, need_float, size

CHUNK_OF_SUMS = 16384  # elements per partial sum (csrc/kernels/optim.h)
DOUBLE, INT64 = np.dtype("float64"), np.dtype("int64")


def _update(
    g: Tensor, slots: tuple[bool, ...], pars: tuple[float, ...], flag: int = 0, number: bool = False
) -> Lowered:
    like = Spec(g.shape, g.dtype)
    one = (Spec((1,), INT64), Spec((1,), DOUBLE) if number else None)
    return Lowered((like, *(like if s else None for s in slots), *one), (g.size, flag), pars)


def _sgd(g: Tensor, decay: float, momentum: float, nesterov: bool) -> Lowered:
    return _update(g, (momentum > 0, False, False), (decay, momentum), int(nesterov))


def _adagrad(g: Tensor, decay: float, eps: float) -> Lowered:
    return _update(g, (True, False, False), (decay, eps))


def _adadelta(g: Tensor, decay: float, rho: float, eps: float) -> Lowered:
    return _update(g, (True, True, False), (decay, rho, eps))


def _rmsprop(
    g: Tensor, decay: float, rho: float, eps: float, momentum: float,
    centered: bool,
) -> Lowered:  # fmt: skip
    return _update(g, (True, momentum > 0, centered), (decay, rho, eps, momentum))


def _adam(
    g: Tensor, decay: float, beta_1: float, beta_2: float, eps: float,
    amsgrad: bool,
) -> Lowered:  # fmt: skip
    return _update(g, (True, True, amsgrad), (decay, beta_1, beta_2, eps))


def _adamax(g: Tensor, decay: float, beta_1: float, beta_2: float, eps: float) -> Lowered:
    return _update(g, (True, True, False), (decay, beta_1, beta_2, eps))


def _nadam(
    g: Tensor, decay: float, beta_1: float, beta_2: float, eps: float,
    momentum_decay: float,
) -> Lowered:  # fmt: skip
    return _update(g, (True, True, False), (decay, beta_1, beta_2, eps, momentum_decay), number=True)


def _updating(name: str, rule: Any, doc: str, *variants: dict[str, Any]) -> Card:
    """Register an update; the variants are the attributes that it is tested with."""

    def infer(g: Tensor, rate: Tensor, cursor: Tensor, *touched: Tensor, lazy: bool = False, k: int = 1,
              **attrs: Any) -> Lowered:  # fmt: skip
        low = rule(g, **attrs)
        rows = touched[0].shape[0] if touched else 0
        if rows and g.size % rows:
            raise ShapeError(f"[{name}] expected a table of {rows} rows. Received: {g.size} numbers.")
        return low._replace(dims=(*low.dims, rows, g.size // rows if rows else 0, int(lazy), k))

    def samples(r: Rng) -> Iterator[Sample]:
        rate, counts = Tensor.state(np.array([0.5, 0.01])), np.array([4, 4])
        for attrs in variants:
            for n, k in ((70, 2), (1, 1)):
                yield Sample((r(n), rate, np.array([1])), {**attrs, "k": k}, state=_state(r, n, counts[:k], attrs))
            touched = (Tensor.state(np.array(x, "int32")) for x in ([0, 1, 1, 0, 1, 0, 0], [4, 1, 2]))
            inputs = (r(70), rate, np.array([1]), *touched, Tensor.state(np.array([3])))
            for more in ({}, {"lazy": True}):
                yield Sample(inputs, {**attrs, **more}, state=_state(r, 70, counts[:1], attrs))

    def _state(r: Rng, n: int, counts: np.ndarray, attrs: dict[str, Any]) -> tuple[Any, ...]:
        outs = infer(tensor(r(n)), *[tensor(0.0)] * 2, **attrs).outs
        number = Tensor.state(np.full(len(counts), 0.9)) if outs[5] else None
        return (r(n), *(None if s is None else np.abs(r(n)) + 5 for s in outs[1:4]), counts, number)

    return register(Card(name, infer, f"{name}_step", mutates=True, differentiable=False, samples=samples, doc=doc))


_EPS = {"decay": 0.1, "eps": 1e-3}
_BETAS = {**_EPS, "beta_1": 0.9, "beta_2": 0.99}


SGD = _updating(
    "sgd", _sgd, "p -= lr g, or with momentum v = mu v + g; p -= lr v, or Nesterov's p -= lr (g + mu v).",
    {"decay": 0.0, "momentum": 0.0, "nesterov": False},
    {"decay": 0.1, "momentum": 0.9, "nesterov": False},
    {"decay": 0.1, "momentum": 0.9, "nesterov": True},
)  # fmt: skip
ADAGRAD = _updating("adagrad", _adagrad, "s += g**2; p -= lr g / (sqrt(s) + eps).", _EPS)
ADADELTA = _updating(
    "adadelta", _adadelta, "p -= lr g sqrt(u + eps) / sqrt(s + eps), moving averages of squares s, u.",
    {**_EPS, "rho": 0.9},
)  # fmt: skip
RMSPROP = _updating(
    "rmsprop", _rmsprop, "s = rho s + (1 - rho) g**2; p -= lr g / (sqrt(s) + eps).",
    {**_EPS, "rho": 0.9, "momentum": 0.0, "centered": False},
    {**_EPS, "rho": 0.9, "momentum": 0.9, "centered": False},
    {**_EPS, "rho": 0.01, "momentum": 0.0, "centered": True},
    {**_EPS, "rho": 0.01, "momentum": 0.9, "centered": True},
)  # fmt: skip
ADAM = _updating(
    "adam", _adam, "p -= lr m' / (sqrt(v') + eps), with bias-corrected moving averages m', v'.",
    {**_BETAS, "amsgrad": False},
    {**_BETAS, "amsgrad": True},
)  # fmt: skip
ADAMAX = _updating("adamax", _adamax, "u = max(b2 u, |g| + eps); p -= lr m' / u.", _BETAS)
NADAM = _updating("nadam", _nadam, "Adam with Nesterov's momentum.", {**_BETAS, "momentum_decay": 0.004})


def _clip_value_infer(g: Tensor, limit: float) -> Lowered:
    need_float("clip_value", g)
    return Lowered((Spec(g.shape, g.dtype),), (g.size,), (-limit, limit))


def _in_place(reference: Any) -> dict[str, Any]:
    """Return what cards share that change one tensor: its samples, and a NumPy reference of the new value."""

    def samples(r: Rng) -> Iterator[Sample]:
        for shape in ((5, 7), (33, 2), (1, 1), (3, 4, 5)):
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
    """Return l1 * sum(|w|) + l2 * sum(w**2), summed in double; the slope of |w| at 0 is 0."""
    return execute(_Penalty, (as_tensor(w),), {"l1": float(l1), "l2": float(l2)})[0]  # type: ignore[arg-type]


def clip_value(g: Tensor, limit: float) -> None:
    """Limit every element of g to [-limit, limit], in place."""
    execute(CLIP_VALUE, (g,), {"limit": limit}, out=(g,))


def clip_norm(g: Tensor, limit: float) -> None:
    """Scale g in place so that its Euclidean norm is at most `limit`."""
    execute(CLIP_NORM, (g,), {"limit": limit}, out=(g,))


def max_norm(w: Tensor, limit: float) -> None:
    """Scale columns of w in place so that the norm of each is at most `limit`."""
    execute(MAX_NORM, (w,), {"limit": limit}, out=(w,))


__all__ = ["clip_norm", "clip_value", "max_norm", "penalty"]
