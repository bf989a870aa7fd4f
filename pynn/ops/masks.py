"""Masks of sequences [N, T, ...]: which steps are real, where padding stands in front or in between.

A tensor carries a mask where it would carry lengths: int32 [N, T], 1 for real steps. What works step by step and what
reduces over time goes by it; recurrent layers run through the real steps alone, brought to the front, and put their
outputs back. See pynn.ops.lengths for lengths, which tell of padding at the end and cost less.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import numpy as np

import pynn.core.kernels.lengths  # noqa: F401  (registers its kernels)
from pynn.core.card import Grad, Lowered, Sample, Spec, op
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops.common import Rng, as_tensor, size
from pynn.ops.lengths import INT32, without_lengths

__all__ = ["compacted", "is_mask", "permute_steps", "step_order", "takes_masks"]

F = TypeVar("F", bound=Callable[..., Any])


def is_mask(lengths: Any) -> bool:
    """Tell whether what a tensor carries, or an argument, is a mask rather than lengths."""
    return lengths is not None and (lengths.ndim if isinstance(lengths, Tensor) else np.ndim(lengths)) == 2


def _mask_samples(r: Rng) -> Iterator[Sample]:
    for shape in ((4, 5), (3, 1), (0, 4), (2, 17)):
        yield Sample((Tensor.state(r.integers(2, *shape, dtype="int32")),))
    yield Sample((Tensor.state(np.array([[0, 0, 0], [1, 1, 1]], INT32)),))


@op("step_order", "step_order", differentiable=False)
class _StepOrder:
    """order[n] = the real steps of a mask, then the others; back, its inverse; lengths[n] = how many are real."""

    def infer(mask: Tensor) -> Lowered:
        if mask.dtype != INT32:
            raise DTypeError(f"[step_order] expected a mask of dtype int32. Received: {mask.dtype}.")
        if mask.ndim != 2:
            raise ShapeError(f"[step_order] expected a mask [N, T]. Received: shape={mask.shape}.")
        spec = Spec(mask.shape, INT32)
        return Lowered((spec, spec, Spec(mask.shape[:1], INT32)), mask.shape)

    def ref(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        order = np.argsort(mask == 0, axis=1, kind="stable")
        return order.astype(INT32), np.argsort(order, axis=1).astype(INT32), (mask != 0).sum(1).astype(INT32)

    samples = _mask_samples

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(3, 4),), {}, DTypeError, "int32"
        yield (np.ones(3, INT32),), {}, ShapeError, r"mask \[N, T\]"


@op("permute_steps", "permute_steps")
class _PermuteSteps:
    """y[n, k] = x[n, order[n, k]]; `back` is the inverse, for the gradient."""

    def infer(x: Tensor, order: Tensor, back: Tensor) -> Lowered:
        if order.dtype != INT32 or back.dtype != INT32:
            raise DTypeError(f"[permute_steps] expected int32 orders. Received: {order.dtype} and {back.dtype}.")
        if x.ndim < 2 or order.shape != x.shape[:2] or back.shape != x.shape[:2]:
            raise ShapeError(
                f"[permute_steps] expected sequences [N, T, ...] and orders [N, T]. Received: x.shape={x.shape}, "
                f"{order.shape} and {back.shape}."
            )
        dims = (*x.shape[:2], size(x.shape[2:]) * x.dtype.itemsize)
        return Lowered((Spec(x.shape, x.dtype),), dims, args=(x, order))

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        _, order, back = g.inputs
        return execute(_PermuteSteps, (dy, back, order), out=g.dest[:1])[0], None, None  # type: ignore[arg-type]

    def ref(x: np.ndarray, order: np.ndarray, back: np.ndarray) -> np.ndarray:
        return np.take_along_axis(x, order.reshape(*order.shape, *(1,) * (x.ndim - 2)).astype(np.int64), 1)

    def samples(r: Rng) -> Iterator[Sample]:
        for shape in ((4, 5, 3), (3, 4), (2, 1, 2, 2)):
            order = r.generator.permuted(np.tile(np.arange(shape[1], dtype=INT32), (shape[0], 1)), axis=1)
            back = np.argsort(order, axis=1).astype(INT32)
            yield Sample((r(*shape), Tensor.state(order), Tensor.state(back)))

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(3, 4), np.ones((3, 5), INT32), np.ones((3, 4), INT32)), {}, ShapeError, r"orders \[N, T\]"
        yield (r(3, 4), r(3, 4), np.ones((3, 4), INT32)), {}, DTypeError, "int32 orders"


def step_order(mask: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return the real steps of each row first, then the others; the inverse of that order; and how many are real.

    Parameters
    ----------
    mask : int32 Tensor [N, T]
        0 for steps that are not real.

    Returns
    -------
    order, back : int32 Tensor [N, T]
    lengths : int32 Tensor [N]

    Examples
    --------
    >>> import numpy as np
    >>> order, back, lengths = step_order(np.array([[0, 1, 0, 1]], "int32"))
    >>> order.numpy().tolist(), back.numpy().tolist(), lengths.numpy().tolist()
    ([[1, 3, 0, 2]], [[2, 0, 3, 1]], [2])
    """
    return cast("tuple[Tensor, Tensor, Tensor]", tuple(execute(_StepOrder, (as_tensor(mask),))))  # type: ignore[arg-type]


def permute_steps(x: Any, order: Any, back: Any) -> Tensor:
    """Return the steps of each sequence [N, T, ...] in an order [N, T], of which `back` is the inverse."""
    x = as_tensor(x)
    return execute(_PermuteSteps, (x, as_tensor(order), as_tensor(back)))[0]  # type: ignore[arg-type]


def compacted(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """Return sequences with their real steps in front, how many these are, and what puts outputs back in place."""
    order, back, lengths = step_order(mask)
    moved = permute_steps(without_lengths(x), order, back)

    def restored(y: Tensor) -> Tensor:
        found = permute_steps(without_lengths(y), back, order)
        found.lengths = mask
        return found

    return moved, lengths, restored


def takes_masks(function: F) -> F:
    """Let an op of sequences that takes `lengths`, by default those of x, go by a mask, through real steps alone."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def through(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        x, given = as_tensor(bound.arguments["x"]), bound.arguments.get("lengths")
        mask = x.lengths if given is None else given
        if not is_mask(mask):
            return function(*args, **kwargs)
        if not isinstance(mask, Tensor):
            mask = Tensor.state((np.asarray(mask) != 0).astype(INT32))
        if mask.shape != x.shape[:2]:
            raise ShapeError(
                f"[{function.__name__}] expected a mask of shape {x.shape[:2]}. Received: {mask.shape}. "
                "help: lengths are one number per sequence."
            )
        mask = mask if mask.dtype == INT32 else mask.astype(INT32)
        bound.arguments["x"], bound.arguments["lengths"], restored = compacted(x, mask)
        out = function(*bound.args, **bound.kwargs)
        if isinstance(out, Tensor):
            return restored(out)
        return (None if out[0] is None else restored(out[0]), *out[1:])

    return cast("F", through)
