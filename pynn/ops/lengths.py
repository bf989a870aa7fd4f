"""Padded sequences [N, T, ...]: tensors that carry lengths, and the ops that read them.

A tensor with ``lengths`` holds real steps up to each length and padding after, or, where it carries a mask, wherever
that is not 0 (see pynn.ops.masks). Ops that reduce, contract or normalize over time (axis 1) see real steps alone; see
pynn.ops.carry for what the others do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import pynn.core.kernels.lengths  # noqa: F401  (registers its kernels)
from pynn.checks import number
from pynn.core.card import Card, Grad, Lowered, Sample, Spec, op
from pynn.core.graph import execute
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import DataError, DTypeError, ShapeError
from pynn.ops.common import Rng, as_tensor, need_float, size
from pynn.ops.shape import _Reshape

INT32 = np.dtype("int32")
PLAIN, EACH, ALL = 0, 1, 2  # how mask_steps scales what is real, so that a mean over all is one over real steps
FAR = -1e30  # less than any score, and finite
NO_LIMIT = 2**31 - 1


def _need_lengths(name: str, x: Tensor, lengths: Tensor) -> None:
    if lengths.dtype != INT32:
        raise DTypeError(f"[{name}] expected lengths of dtype int32. Received: {lengths.dtype}.")
    if x.ndim < 2 or lengths.shape != x.shape[:1]:
        raise ShapeError(
            f"[{name}] expected sequences [N, T, ...] and a length for each, [N]. Received: x.shape={x.shape}, "
            f"lengths.shape={lengths.shape}."
        )


def _bad_lengths(name: str) -> Callable[[Rng], Iterator[Any]]:
    def errors(r: Rng) -> Iterator[Any]:
        attrs: dict[str, Any] = {"value": 0.0} if name == "mask_steps" else {}
        yield (r(3, 4), np.ones(2, INT32)), attrs, ShapeError, r"a length for each.*\(3, 4\).*\(2,\)"
        yield (r(3, 4), r(3)), attrs, DTypeError, "int32"

    return errors


def _fixed(*lengths: int) -> Tensor:
    return Tensor.state(np.array(lengths, INT32))


@op("walked_lengths", "walked_lengths", differentiable=False)
class _Walked:
    """y[n] = floor((lengths[n] * mul + add) / step) + 1, not below 0 or above `most`: the steps of a walk."""

    def infer(lengths: Tensor, mul: int, add: int, step: int, most: int) -> Lowered:
        if lengths.dtype != INT32 or lengths.ndim != 1:
            raise DTypeError(f"[walked_lengths] expected int32 [N]. Received: {lengths.dtype} {lengths.shape}.")
        return Lowered((Spec(lengths.shape, INT32),), (lengths.size, mul, add, step, most))

    def ref(lengths: np.ndarray, mul: int, add: int, step: int, most: int) -> np.ndarray:
        return np.clip((lengths.astype(np.int64) * mul + add) // step + 1, 0, most).astype(INT32)

    def samples(r: Rng) -> Iterator[Sample]:
        for attrs in ((1, -1, 2, 9), (1, -3, 2, 9), (2, -1, 1, 9), (1, 3, 1, 5), (-1, 2, 1, 9)):
            names = ("mul", "add", "step", "most")
            yield Sample((_fixed(0, 1, 2, 3, 4, 7),), dict(zip(names, attrs, strict=True)))

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(3),), {"mul": 1, "add": -1, "step": 1, "most": 9}, DTypeError, r"int32 \[N\]"


@op("mask_steps", "mask_steps", inplace=True)
class _MaskSteps:
    """y[n, t] = x[n, t] * scale where t < lengths[n], else `value`; scale 1, T / lengths[n] or N T / sum(lengths)."""

    def infer(x: Tensor, lengths: Tensor, value: float, scale: int = PLAIN) -> Lowered:
        need_float("mask_steps", x)
        _need_lengths("mask_steps", x, lengths)
        return Lowered((Spec(x.shape, x.dtype),), (*x.shape[:2], size(x.shape[2:]), scale), (value,))

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        attrs = {**g.attrs, "value": 0.0}
        return execute(_MASK, (dy, g.inputs[1]), attrs, out=g.dest[:1])[0], None

    def ref(x: np.ndarray, lengths: np.ndarray, value: float, scale: int = PLAIN) -> np.ndarray:
        n, t = x.shape[:2]
        on = (np.arange(t) < lengths[:, None]).reshape(n, t, *(1,) * (x.ndim - 2))
        by = np.ones(n) if scale == PLAIN else t / np.maximum(lengths, 1)
        by = np.full(n, n * t / max(lengths.sum(), 1)) if scale == ALL else by
        return np.where(on, x * by.reshape(n, *(1,) * (x.ndim - 1)), value)

    def samples(r: Rng) -> Iterator[Sample]:
        for shape in ((4, 5), (4, 5, 3), (4, 1, 2, 2), (4, 17, 7)):
            t = shape[1]
            for scale in (PLAIN, EACH, ALL):
                ends = _fixed(t, 0, (t + 1) // 2, 1)
                yield Sample((r(*shape), ends), {"value": 0.5 * scale, "scale": scale})
        yield Sample((r(0, 3, 2), _fixed()), {"value": 0.0})

    errors = _bad_lengths("mask_steps")


_MASK: Card = _MaskSteps  # type: ignore[assignment]


@op("reverse_steps", "reverse_steps")
class _ReverseSteps:
    """y[n, t] = x[n, lengths[n] - 1 - t] for real steps t, x[n, t] for the padding after them."""

    def infer(x: Tensor, lengths: Tensor) -> Lowered:
        _need_lengths("reverse_steps", x, lengths)
        return Lowered((Spec(x.shape, x.dtype),), (*x.shape[:2], size(x.shape[2:]) * x.dtype.itemsize))

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return execute(_REVERSE, (dy, g.inputs[1]), out=g.dest[:1])[0], None

    def ref(x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        t = np.arange(x.shape[1])
        at = np.where(t < lengths[:, None], lengths[:, None] - 1 - t, t)
        return np.take_along_axis(x, at.reshape(*at.shape, *(1,) * (x.ndim - 2)), 1)

    def samples(r: Rng) -> Iterator[Sample]:
        yield Sample((r(4, 5, 3), _fixed(5, 0, 3, 1)))
        yield Sample((r(2, 4), _fixed(4, 2)))

    errors = _bad_lengths("reverse_steps")


_REVERSE: Card = _ReverseSteps  # type: ignore[assignment]


# Functions for layers, and for forward() of one's own


def with_lengths(x: Any, lengths: Any) -> Tensor:
    """Return x [N, T, ...] as padded sequences of the given lengths, or with a mask.

    Parameters
    ----------
    x : Tensor or array_like [N, T, ...]
    lengths : int Tensor or array_like [N], or a mask [N, T]
        The number of real steps of each sequence; padding stands after them. A mask is not 0 for real steps, wherever
        they stand.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> x = ops.with_lengths(np.array([[[1.0], [3.0], [9.0]]]), [2])
    >>> ops.mean(x, axis=1).numpy()
    array([[2.]])
    """
    y = without_lengths(as_tensor(x))
    if (lengths.ndim if isinstance(lengths, Tensor) else np.ndim(lengths)) == 2:
        mask = lengths if isinstance(lengths, Tensor) else Tensor.state((np.asarray(lengths) != 0).astype(INT32))
        if mask.shape != y.shape[:2]:
            raise ShapeError(f"[with_lengths] expected a mask of shape {y.shape[:2]}. Received: {mask.shape}.")
        y.lengths = mask if mask.dtype == INT32 else mask.astype(INT32)
        return y
    if not isinstance(lengths, Tensor):
        array = np.asarray(lengths)
        if array.size and array.dtype.kind not in "iu":
            raise DTypeError(f"[with_lengths] expected whole numbers as lengths. Received: {array.dtype}.")
        bad = np.flatnonzero((array < 0) | (array > y.shape[1])) if y.ndim > 1 else array[:0]
        if bad.size:
            raise DataError(
                f"[with_lengths] expected lengths from 0 to {y.shape[1]}. "
                f"Received: lengths[{bad[0]}] = {array.ravel()[bad[0]]}."
            )
        lengths = Tensor.state(array.astype(INT32))
    _need_lengths("with_lengths", y, lengths)
    y.lengths = lengths
    return y


def without_lengths(x: Any) -> Tensor:
    """Return the same values as sequences without padding: every step counts as real."""
    x = as_tensor(x)
    if x.node is None and x.requires_grad:  # a leaf is found by its identity: an op stands between
        return execute(_Reshape, (x,), {"shape": x.shape}, carries=False)[0]  # type: ignore[arg-type]
    y = Tensor(x.buffer, x.shape, x.dtype, x.requires_grad)
    y.node, y.index = x.node, x.index
    return y


_by_mask: list[Callable[[Tensor, Tensor, float, int], Tensor]] = []  # which is made of ops that need these here


def set_by_mask(function: Callable[[Tensor, Tensor, float, int], Tensor]) -> None:
    """Say what mask_steps does with a mask."""
    _by_mask[:] = [function]


def mask_steps(x: Any, value: float = 0.0, lengths: Any = None, scale: int = PLAIN) -> Tensor:
    """Return x with `value` at its padded steps; the result carries no lengths.

    Parameters
    ----------
    x : Tensor, shape [N, T, ...]
    value : float, default 0.0
    lengths : int32 Tensor [N], or a mask [N, T], optional
        By default those that x carries; without any, x is returned as it is.
    scale : int, default 0
        As in :func:`with_lengths`.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> ops.mask_steps(ops.with_lengths(np.ones((2, 3)), [1, 3]), -1.0).numpy()
    array([[ 1., -1., -1.],
           [ 1.,  1.,  1.]])
    """
    x = as_tensor(x)
    lengths = x.lengths if lengths is None else lengths
    if lengths is None:
        return x
    if not isinstance(lengths, Tensor):
        lengths = with_lengths(x, lengths).lengths
    if type(value) is not float:  # one that is may be infinite
        value = number("mask_steps", "value", value)
    if lengths.ndim == 2:
        return _by_mask[0](without_lengths(x), lengths, value, scale)
    attrs = {"value": value, "scale": scale}
    return execute(_MASK, (without_lengths(x), lengths), attrs)[0]


def reverse_steps(x: Any) -> Tensor:
    """Return the steps of each sequence [N, T, ...] in reverse; padding stays at the end, with a mask it turns too."""
    x = as_tensor(x)
    if x.lengths is None:
        return x[:, ::-1]
    if x.lengths.ndim == 2:
        if state.lost is not None:
            state.lost.append("reverse_steps")  # lengths would put other steps in front
        y = without_lengths(x)[:, ::-1]
        y.lengths = x.lengths[:, ::-1]
        return y
    y = execute(_REVERSE, (without_lengths(x), x.lengths))[0]
    y.lengths = x.lengths
    return y


def walk_lengths(lengths: Tensor, mul: int = 1, add: int = -1, step: int = 1, most: int = NO_LIMIT) -> Tensor:
    """Return floor((lengths * mul + add) / step) + 1, from 0 to `most`."""
    return execute(_Walked, (lengths,), {"mul": mul, "add": add, "step": step, "most": most})[0]  # type: ignore[arg-type]


__all__ = ["mask_steps", "reverse_steps", "with_lengths", "without_lengths"]
