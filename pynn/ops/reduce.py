"""Reductions over axes: sum, mean, max, min, var, argmax; and expand, which goes the other way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pynn.checks import written
from pynn.core.card import Card, Grad, Lowered, Sample, Spec, composite, op
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops.common import (
    INT64,
    Rng,
    as_tensor,
    broadcast_shape,
    contiguous_strides,
    need_float,
    need_rank,
    normal_axes,
    size,
)
from pynn.ops.lengths import ALL, EACH, mask_steps, walk_lengths
from pynn.ops.masks import is_mask, step_order
from pynn.ops.shape import strided


def _lower(name: str, x: Tensor, axis: int, stop: int, *pars: float, out: np.dtype | None = None) -> Lowered:
    """Lower a reduction over the neighbouring axes [axis, stop)."""
    if x.dtype.itemsize == 1:
        raise DTypeError(f"[{name}] is not defined for {x.dtype}. help: convert it first, x.astype('float32').")
    if not 0 <= axis <= stop <= x.ndim:
        raise ShapeError(f"[{name}] expected axes of {x.shape}. Received: {axis} to {written(stop)}.")
    outer, middle, inner = size(x.shape[:axis]), size(x.shape[axis:stop]), size(x.shape[stop:])
    if middle == 0 and name != "sum":
        raise ShapeError(f"[{name}] expected at least one element to reduce. Received: shape={x.shape}.")
    return Lowered((Spec(x.shape[:axis] + x.shape[stop:], out or x.dtype),), (outer, middle, inner), pars, x.dtype)


def _samples(r: Rng) -> Iterator[Sample]:
    yield Sample((r(4, 5),), {"axis": 1, "stop": 2})
    yield Sample((r(3, 37, 5),), {"axis": 1, "stop": 2})
    yield Sample((r(3, 4, 5),), {"axis": 0, "stop": 2})
    yield Sample((r(4, 71),), {"axis": 1, "stop": 2})
    yield Sample((r(2, 3, 71),), {"axis": 1, "stop": 2})
    yield Sample((r(9001),), {"axis": 0, "stop": 1})
    yield Sample((r(1, 1),), {"axis": 0, "stop": 2})
    yield Sample((r(0, 3),), {"axis": 1, "stop": 2})


def _numpy(function: Any) -> Any:
    def ref(x: np.ndarray, axis: int, stop: int, scale: float = 1.0) -> np.ndarray:
        y = function(x, axis=tuple(range(axis, stop)))
        return np.asarray(y) * scale if scale != 1.0 else np.asarray(y)

    return ref


@op("sum", "sum_fwd")
class _Sum:
    """y = scale * sum of x over neighbouring axes; dx = scale * dy, repeated."""

    def infer(x: Tensor, axis: int, stop: int, scale: float = 1.0) -> Lowered:
        if scale != 1.0:
            need_float("mean", x)
        return _lower("sum", x, axis, stop, scale)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, axis, stop, scale = g.inputs[0], g.attrs["axis"], g.attrs["stop"], g.attrs.get("scale", 1.0)
        kept = (*x.shape[:axis], *(1,) * (stop - axis), *x.shape[stop:])
        dy = (dy * scale if scale != 1.0 else dy).reshape(kept)
        return (expand(dy, x.shape),)

    ref = _numpy(np.sum)

    def samples(r: Rng) -> Iterator[Sample]:
        yield from _samples(r)
        yield Sample((r(4, 6),), {"axis": 1, "stop": 2, "scale": 1 / 6})
        yield Sample((r(4, 0),), {"axis": 1, "stop": 2})


@op("expand", "strided_copy")
class _Expand:
    """y = x repeated along axes of size 1, as NumPy's broadcasting would; dx sums over them."""

    def infer(x: Tensor, shape: tuple[int, ...]) -> Lowered:
        need_rank("expand", shape)
        if broadcast_shape("expand", x.shape, shape) != tuple(shape):
            raise ShapeError(f"[expand] expected a shape that {x.shape} broadcasts to. Received: {tuple(shape)}.")
        full = (1,) * (len(shape) - x.ndim) + x.shape
        own = contiguous_strides(full)
        strides = [0 if d == 1 else s for d, s in zip(full, own, strict=True)]
        return Lowered((Spec(tuple(shape), x.dtype),), strided(x.dtype, shape, strides, 0, x.size))

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (sum_to(dy, g.inputs[0].shape, g.dest[0]),)

    ref = np.broadcast_to

    def samples(r: Rng) -> Iterator[Sample]:
        yield Sample((r(5),), {"shape": (4, 5)})
        yield Sample((r(4, 1),), {"shape": (3, 4, 5)})
        yield Sample((r(),), {"shape": (2, 2)})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(3),), {"shape": (4,)}, ShapeError, "broadcast"


def _extreme(name: str, function: Any) -> Card:
    @op(name, f"{name}_fwd")
    class _Extreme:
        """The extreme over neighbouring axes; equal values share the gradient."""

        def infer(x: Tensor, axis: int, stop: int) -> Lowered:
            return _lower(name, x, axis, stop)

        def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
            x, axis, stop = g.inputs[0], g.attrs["axis"], g.attrs["stop"]
            kept = (*x.shape[:axis], *(1,) * (stop - axis), *x.shape[stop:])
            chosen = (x == g.outs[0].reshape(kept)).astype(x.dtype)
            count = execute(_Sum, (chosen,), {"axis": axis, "stop": stop})[0].reshape(kept)  # type: ignore[arg-type]
            return (chosen / count * dy.reshape(kept),)

        ref = _numpy(function)
        samples = _samples

        def errors(r: Rng) -> Iterator[Any]:
            yield (r(3, 0),), {"axis": 1, "stop": 2}, ShapeError, "at least one element"

    return _Extreme  # type: ignore[return-value]


_MAX = _extreme("max", np.max)
_MIN = _extreme("min", np.min)


@op("argmax", "argmax_fwd", differentiable=False)
class _Argmax:
    """The index of the first largest value along an axis, as int64."""

    def infer(x: Tensor, axis: int, stop: int) -> Lowered:
        return _lower("argmax", x, axis, stop, out=INT64)

    def ref(x: np.ndarray, axis: int, stop: int) -> np.ndarray:
        return np.argmax(x, axis=axis)

    def samples(r: Rng) -> Iterator[Sample]:
        for s in _samples(r):
            if s.attrs["stop"] == s.attrs["axis"] + 1:
                yield s


def _runs(axes: Sequence[int]) -> list[tuple[int, int]]:
    """Return axes as [start, stop) runs of neighbours, last first, so that removing one leaves the others in place."""
    runs: list[tuple[int, int]] = []
    for a in axes:
        if runs and runs[-1][1] == a:
            runs[-1] = (runs[-1][0], a + 1)
        else:
            runs.append((a, a + 1))
    return runs[::-1]


def _reduce(card: Any, x: Any, axis: Any, keepdims: bool, **attrs: Any) -> Tensor:
    x = y = as_tensor(x)
    axes = normal_axes(card.name, axis, x.ndim)
    for i, (start, stop) in enumerate(_runs(axes)):
        y = execute(card, (y,), {"axis": start, "stop": stop, **(attrs if i == 0 else {})})[0]
    if keepdims:
        y = y.reshape(tuple(1 if i in axes else d for i, d in enumerate(x.shape)))
    return y


def _over_time(name: str, x: Tensor, axis: Any) -> tuple[int, ...]:
    """Return the axes of a reduction over the time of padded sequences, else ()."""
    axes = normal_axes(name, axis, x.ndim) if x.lengths is not None else ()
    return axes if 1 in axes else ()


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Return the sum over the axes (all by default), of real steps alone for padded sequences.

    Parameters
    ----------
    x : array_like
    axis : int or sequence of int, optional
        All axes by default.
    keepdims : bool, default False
        Keep reduced axes, with size 1.
    """
    x = as_tensor(x)
    return _reduce(_Sum, mask_steps(x) if _over_time("sum", x, axis) else x, axis, keepdims)


def expand(x: Any, shape: Sequence[int]) -> Tensor:
    """Return x repeated so that it has a shape that it broadcasts to."""
    return execute(_Expand, (as_tensor(x),), {"shape": tuple(shape)})[0]  # type: ignore[arg-type]


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Return the mean over the axes (all by default), of real steps alone for padded sequences (0 without any).

    Parameters
    ----------
    x : array_like
    axis : int or sequence of int, optional
        All axes by default.
    keepdims : bool, default False
        Keep reduced axes, with size 1.
    """
    x = as_tensor(x)
    need_float("mean", x)
    axes = _over_time("mean", x, axis)
    if axes:
        x = mask_steps(x, scale=ALL if 0 in axes else EACH)
    n = size([x.shape[a] for a in normal_axes("mean", axis, x.ndim)])
    if n == 0:
        raise ShapeError(f"[mean] expected at least one element. Received: shape={x.shape}.")
    return _reduce(_Sum, x, axis, keepdims, scale=1.0 / n)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Return the maximum over the axes (all by default), of real steps alone for padded sequences (0 without any).

    Parameters
    ----------
    x : array_like
    axis : int or sequence of int, optional
        All axes by default.
    keepdims : bool, default False
        Keep reduced axes, with size 1.
    """
    return _extreme_of(_MAX, x, axis, keepdims, -np.inf)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Return the minimum over the axes (all by default), of real steps alone for padded sequences (0 without any).

    Parameters
    ----------
    x : array_like
    axis : int or sequence of int, optional
        All axes by default.
    keepdims : bool, default False
        Keep reduced axes, with size 1.
    """
    return _extreme_of(_MIN, x, axis, keepdims, np.inf)


def _extreme_of(card: Any, x: Any, axis: Any, keepdims: bool, never: float) -> Tensor:
    x = as_tensor(x)
    axes = _over_time(card.name, x, axis)
    if not axes:
        return _reduce(card, x, axis, keepdims)
    y = _reduce(card, mask_steps(x, never), axis, keepdims)
    if 0 in axes:
        return y
    line = y.reshape(y.shape[0], 1, *y.shape[1:])  # a sequence without a real step has 0
    return mask_steps(line, 0.0, _any_real(x.lengths)).reshape(*y.shape)


def _any_real(lengths: Tensor) -> Tensor:
    """Return 1 for sequences with a real step, else 0."""
    return walk_lengths(step_order(lengths)[2] if is_mask(lengths) else lengths, most=1)


def _var_samples(r: Rng) -> Iterator[Sample]:
    yield Sample((r(4, 5),), {"axis": 1})
    yield Sample((r(3, 4, 5),), {"axis": (0, 2)})
    yield Sample((r(3, 4, 5),), {"axis": (0, 2), "keepdims": True})
    yield Sample((r(6),), {})


@composite(ref=lambda x, axis=None, keepdims=False: np.var(x, axis, keepdims=keepdims), samples=_var_samples)
def var(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Return the population variance over the axes (all by default).

    Parameters
    ----------
    x : array_like
    axis : int or sequence of int, optional
        All axes by default.
    keepdims : bool, default False
        Keep reduced axes, with size 1.
    """
    x = as_tensor(x)
    return mean((x - mean(x, axis, keepdims=True)).square(), axis, keepdims)


def argmax(x: Any, axis: int = -1) -> Tensor:
    """Return the index of the first largest value along an axis, as int64; over time, of a real step.

    Parameters
    ----------
    x : array_like
    axis : int, default -1
    """
    x = as_tensor(x)
    (a,) = normal_axes("argmax", axis, x.ndim)
    if a == 1:
        x = mask_steps(x, -np.inf)
    return execute(_Argmax, (x,), {"axis": a, "stop": a + 1})[0]  # type: ignore[arg-type]


def sum_to(x: Tensor, shape: tuple[int, ...], out: Tensor | None = None) -> Tensor:
    """Return the sum over the axes along which `shape` was broadcast to x's shape (the gradient of broadcasting)."""
    if x.shape == shape:
        return x
    lead = x.ndim - len(shape)
    axes = tuple(i for i in range(x.ndim) if i < lead or (shape[i - lead] == 1 and x.shape[i] != 1))
    if not axes:
        return x.reshape(shape)
    runs = _runs(axes)
    y = x
    for i, (start, stop) in enumerate(runs):
        last = out if out is not None and i == len(runs) - 1 else None
        view = None if last is None else Tensor(last.buffer, y.shape[:start] + y.shape[stop:], y.dtype)
        y = execute(_Sum, (y,), {"axis": start, "stop": stop}, out=(view,))[0]  # type: ignore[arg-type]
    return y.reshape(shape)
