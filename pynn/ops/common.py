"""What op cards share: operands, broadcasting, axes, and the random arrays of their samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pynn.checks import written
from pynn.core.card import Laid, Lowered, Spec
from pynn.core.tensor import FLOATS, MAX_RANK, Tensor, tensor, to_array
from pynn.errors import DataError, DTypeError, ShapeError

BOOL = np.dtype("bool")
INT64 = np.dtype("int64")
INTS = (np.dtype("int32"), np.dtype("int64"))
LAID_FROM = 1 << 14  # bytes


def size(shape: Sequence[int]) -> int:
    """Return the number of elements of a shape."""
    n = 1
    for d in shape:
        n *= d
    return n


def as_tensor(x: Any, like: Tensor | None = None) -> Tensor:
    """Return x as a tensor; a number or an array, which are no tensors, takes the dtype of `like`."""
    if isinstance(x, Tensor):
        return x
    if like is not None and isinstance(x, (int, float, np.integer, np.floating)) and not isinstance(x, bool):
        if isinstance(x, (float, np.floating)) and like.dtype not in FLOATS:
            raise DTypeError(
                f"a float cannot join a tensor of dtype {like.dtype}. Received: {x!r}. "
                "help: convert the tensor first, x.astype('float32')."
            )
        try:
            return Tensor.state(np.asarray(x, dtype=like.dtype))
        except OverflowError:
            raise DataError(
                f"expected a number that {like.dtype} can hold. Received: {written(x)}. "
                "help: convert the tensor first, x.astype('float64')."
            ) from None
    stands_for = getattr(type(x), "stands_for", None)  # as symbols of a façade do, where a value of theirs is at hand
    if stands_for is not None:
        return stands_for(x)
    if like is None:
        return tensor(x)
    return tensor(x, dtype=like.dtype) if isinstance(x, (list, tuple)) else tensor(_yielding(x, like))


def _yielding(x: Any, like: Tensor) -> np.ndarray:
    """Return an array in the dtype of the tensor that it meets: arrays are weak, as numbers are."""
    array = to_array(x, "tensor")
    if array.dtype == like.dtype or like.dtype == BOOL:
        return array
    if array.dtype in FLOATS and like.dtype not in FLOATS:
        raise DTypeError(
            f"an array of {array.dtype} cannot join a tensor of dtype {like.dtype}. Received: shape={array.shape}. "
            "help: convert the tensor first, x.astype('float32')."
        )
    with np.errstate(over="ignore"):
        made = array.astype(like.dtype)
    whole = like.dtype not in FLOATS
    if (made != array).any() if whole else (np.isinf(made) & np.isfinite(array)).any():
        raise DataError(
            f"expected numbers that {like.dtype} can hold. Received: an array of {array.dtype} with others. "
            f"help: convert the tensor first, x.astype({str(array.dtype)!r})."
        )
    return made


def pair(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Return two operands as tensors; numbers take the other's dtype."""
    if isinstance(a, Tensor):
        return a, as_tensor(b, a)
    if isinstance(b, Tensor):
        return as_tensor(a, b), b
    return as_tensor(a), as_tensor(b)


def laid(weights: tuple[int, ...], itemsize: int, *sizes: tuple[int, int], turned: bool = False) -> Laid | None:
    """Return what is kept of weights, operands of a kernel that packs them as matrices of k rows and n columns.

    Small ones are read as fast where they lie. `turned` says that the operand is the transpose.
    """
    nbytes = sum(k * -(-n // 16) * 16 for k, n in sizes) * itemsize
    return Laid(nbytes, weights, (sizes, turned)) if nbytes >= LAID_FROM else None


def need_float(name: str, *xs: Tensor | None) -> None:
    """Raise DTypeError unless all tensors have one and the same floating dtype."""
    dtype = None
    for x in xs:
        if x is None:
            continue
        if x.dtype not in FLOATS:
            raise DTypeError(
                f"[{name}] expected a float32 or float64 tensor. Received: dtype={x.dtype}. "
                "help: convert it first, x.astype('float32')."
            )
        if dtype is not None and x.dtype != dtype:
            raise DTypeError(
                f"[{name}] expected operands of one dtype. Received: {dtype} and {x.dtype}. "
                "help: convert one of them with .astype(...)."
            )
        dtype = x.dtype


def need_held(name: str, what: str, x: Tensor, dtype: Any, shape: Sequence[int] | None = None) -> None:
    """Raise unless x has the dtype and the shape, or at least one number, that a kernel relies on."""
    if x.dtype != dtype:
        raise DTypeError(f"[{name}] expected {what} of {np.dtype(dtype)}. Received: {x.dtype} {x.shape}.")
    if not x.size if shape is None else x.shape != tuple(shape):
        wanted = "with at least one number" if shape is None else f"of shape {tuple(shape)}"
        raise ShapeError(f"[{name}] expected {what} {wanted}. Received: {x.shape}.")


def need_rank(name: str, shape: Sequence[int]) -> None:
    """Raise ShapeError if a result would have more dimensions than kernels lay out."""
    if len(shape) > MAX_RANK:
        raise ShapeError(f"[{name}] expected at most {MAX_RANK} dimensions. Received: {len(shape)} of them.")


def need_same_dtype(name: str, a: Tensor, b: Tensor) -> None:
    """Raise DTypeError unless the two dtypes are equal."""
    if a.dtype != b.dtype:
        raise DTypeError(
            f"[{name}] expected operands of one dtype. Received: {a.dtype} and {b.dtype}. "
            "help: convert one of them with .astype(...)."
        )


def elementwise(name: str, x: Tensor, *pars: float) -> Lowered:
    """Lower an op that maps each element of a floating tensor."""
    need_float(name, x)
    return Lowered((Spec(x.shape, x.dtype),), (x.size,), pars)


def broadcast_shape(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that NumPy's rules give, or raise ShapeError."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(map(str, shapes))
        raise ShapeError(
            f"[{name}] expected shapes that broadcast (equal, or 1, from the last axis on). Received: {listed}."
        ) from None


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Return strides in elements."""
    strides, n = [], 1
    for d in reversed(shape):
        strides.append(n)
        n *= d
    return tuple(reversed(strides))


def merge_axes(shape: Sequence[int], *strides: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """Drop axes of size 1 and merge neighbours that every operand steps through alike."""
    keep = [i for i, d in enumerate(shape) if d != 1]
    merged: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for i in keep:
        if merged and all(s[-1] == full[i] * shape[i] for s, full in zip(steps, strides, strict=True)):
            merged[-1] *= shape[i]
            for s, full in zip(steps, strides, strict=True):
                s[-1] = full[i]
        else:
            merged.append(shape[i])
            for s, full in zip(steps, strides, strict=True):
                s.append(full[i])
    return (merged, steps) if merged else ([1], [[0] for _ in strides])


def pad6(values: Sequence[int]) -> tuple[int, ...]:
    """Pad to the rank that kernels lay out."""
    return tuple(values) + (0,) * (MAX_RANK - len(values))


@lru_cache(maxsize=4096)
def broadcast_dims(out: tuple[int, ...], *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the dims of a broadcasting kernel (see csrc/kernels/eltwise.h)."""
    n = size(out)
    if n == 0:
        return (0, 1, *pad6([0]), *(0 for _ in range(MAX_RANK * len(shapes))))
    strides = []
    for shape in shapes:
        full = (1,) * (len(out) - len(shape)) + shape
        own = contiguous_strides(full)
        strides.append([0 if d == 1 and o != 1 else s for d, o, s in zip(full, out, own, strict=True)])
    merged, steps = merge_axes(out, *strides)
    dims = [n, len(merged), *pad6(merged)]
    for s in steps:
        dims += pad6(s)
    return tuple(dims)


def normal_axes(name: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """Return axes as sorted non-negative integers; None means all."""
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    for a in axes:
        if not -ndim <= a < ndim:
            raise ShapeError(f"[{name}] axis out of range. Received: axis={axis} for {ndim} dimensions.")
    found = tuple(sorted(int(a) % ndim for a in axes))
    if len(set(found)) != len(found):
        raise ShapeError(f"[{name}] expected each axis once. Received: axis={axis}.")
    return found


class Rng:
    """Random float64 arrays for samples."""

    def __init__(self, seed: int = 0):
        self.generator = np.random.default_rng(seed)

    def __call__(self, *shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
        """Return uniform numbers in [low, high)."""
        return self.generator.uniform(low, high, shape)

    def away(self, *shape: int, kinks: Sequence[float] = (0.0,), gap: float = 0.05) -> np.ndarray:
        """Return values that keep a distance from kinks, so that central differences are right."""
        x = self(*shape)
        for kink in kinks:
            near = np.abs(x - kink) < gap
            x = np.where(near, kink + np.where(x >= kink, gap, -gap) * 2, x)
        return x

    def integers(self, high: int, *shape: int, dtype: str = "int64") -> np.ndarray:
        """Return integers in [0, high)."""
        return self.generator.integers(0, high, shape).astype(dtype)
