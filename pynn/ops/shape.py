"""Moving elements: reshape, transpose, cast, gather, and constant tensors; parts.py has slice and concat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pynn.core.card import Card, Grad, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.tensor import DTYPE_INDEX, Tensor, as_dtype
from pynn.errors import DTypeError, ShapeError
from pynn.ops.common import (
    INTS,
    Rng,
    as_tensor,
    contiguous_strides,
    merge_axes,
    need_held,
    need_rank,
    pad6,
    size,
)


def strided(dtype: np.dtype, shape: Sequence[int], strides: Sequence[int], offset: int, other: int) -> tuple[int, ...]:
    """Return the dims of strided_copy and strided_place (see csrc/kernels/move.h)."""
    if size(shape) == 0:
        return (0, 1, *pad6([0]), *pad6([1]), 0, dtype.itemsize, other)
    merged, (steps,) = merge_axes(shape, strides)
    return (size(shape), len(merged), *pad6(merged), *pad6(steps), offset, dtype.itemsize, other)


@op("reshape")
class _Reshape:
    """The same memory with another shape: no kernel runs."""

    def infer(x: Tensor, shape: tuple[int, ...]) -> Lowered:
        need_rank("reshape", shape)
        free = [i for i, d in enumerate(shape) if d == -1]
        known = size([d for d in shape if d != -1])
        full = list(shape)
        if len(free) == 1 and known > 0 and x.size % known == 0:
            full[free[0]] = x.size // known
        if len(free) > 1 or any(d < 0 for d in full) or size(full) != x.size:
            raise ShapeError(
                f"[reshape] expected a shape with {x.size} elements. Received: {tuple(shape)} for a tensor of shape "
                f"{x.shape}."
            )
        return Lowered((Spec(tuple(full), x.dtype),))

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (reshape(dy, g.inputs[0].shape),)

    ref = np.reshape

    def samples(r: Rng) -> Iterator[Sample]:
        yield Sample((r(3, 4),), {"shape": (2, 6)})
        yield Sample((r(3, 4),), {"shape": (-1,)})
        yield Sample((r(1),), {"shape": ()})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(3, 4),), {"shape": (5, -1)}, ShapeError, r"12 elements.*\(5, -1\)"


@op("transpose", "strided_copy")
class _Transpose:
    """y = x with its axes permuted, as a copy."""

    def infer(x: Tensor, axes: tuple[int, ...]) -> Lowered:
        if not isinstance(axes, tuple) or sorted(axes) != list(range(x.ndim)):
            raise ShapeError(f"[transpose] expected a permutation of {tuple(range(x.ndim))}. Received: axes={axes}.")
        own = contiguous_strides(x.shape)
        shape = tuple(x.shape[a] for a in axes)
        return Lowered((Spec(shape, x.dtype),), strided(x.dtype, shape, [own[a] for a in axes], 0, x.size))

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        axes = g.attrs["axes"]
        return (transpose(dy, tuple(axes.index(i) for i in range(len(axes)))),)

    ref = np.transpose

    def samples(r: Rng) -> Iterator[Sample]:
        yield Sample((r(3, 4),), {"axes": (1, 0)})
        yield Sample((r(2, 3, 4, 5),), {"axes": (2, 0, 3, 1)})
        yield Sample((r(37, 70),), {"axes": (1, 0)})
        yield Sample((r(2, 35, 2, 33),), {"axes": (0, 2, 3, 1)})
        yield Sample((r(0, 3),), {"axes": (1, 0)})
        yield Sample((r(1, 1),), {"axes": (1, 0)})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(3, 4),), {"axes": (0, 0)}, ShapeError, "permutation"


@op("cast", "cast")
class _Cast:
    """y = x in another dtype; gradients pass between floating dtypes."""

    def infer(x: Tensor, dtype: np.dtype) -> Lowered:
        return Lowered((Spec(x.shape, dtype),), (x.size, DTYPE_INDEX[x.dtype], DTYPE_INDEX[dtype]))

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (cast(dy, g.inputs[0].dtype),)

    def ref(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
        return x.astype(dtype)

    def samples(r: Rng) -> Iterator[Sample]:
        for to in DTYPE_INDEX:
            yield Sample((np.round(np.abs(r(3, 4))),), {"dtype": to}, smooth=False)
        yield Sample((r.integers(3, 4),), {"dtype": np.dtype("float32")})


def _take_dims(x: Tensor, index: Tensor, axis: int, inner: int) -> tuple[int, ...]:
    return (size(x.shape[:axis]), x.shape[axis], index.size, inner, int(index.dtype == np.int32))


@op("take", "take")
class _Take:
    """y[a, i, :] = x[a, index[i], :]; dx adds up the rows that were taken more than once, in the order of i."""

    def infer(x: Tensor, index: Tensor, axis: int) -> Lowered:
        if index.dtype not in INTS:
            raise DTypeError(
                f"[gather] expected int32 or int64 indices. Received: dtype={index.dtype}. "
                "help: turn a mask into indices with numpy.flatnonzero(mask)."
            )
        inner = size(x.shape[axis + 1 :])
        dims = _take_dims(x, index, axis, inner * x.dtype.itemsize)
        shape = x.shape[:axis] + index.shape + x.shape[axis + 1 :]
        need_rank("gather", shape)
        return Lowered((Spec(shape, x.dtype),), dims)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (*execute(_TAKE_GRAD, (dy, g.inputs[1], g.inputs[0]), g.attrs, out=(g.dest[0],)), None)

    def ref(x: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
        return np.take(x, index, axis)

    def samples(r: Rng) -> Iterator[Sample]:
        yield Sample((r(5, 3), np.array([4, 0, 0, -1])), {"axis": 0})
        yield Sample((r(2, 5, 17), r.integers(5, 2, 3, dtype="int32")), {"axis": 1})
        yield Sample((r(5), np.zeros((0,), "int64")), {"axis": 0})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(5, 3), np.array([5])), {"axis": 0}, IndexError, "outside the table"
        yield (r(5, 3), r(2)), {"axis": 0}, DTypeError, "int32 or int64"


def _take_grad_infer(dy: Tensor, index: Tensor, x: Tensor, axis: int) -> Lowered:
    dims = _take_dims(x, index, axis, size(x.shape[axis + 1 :]))
    need_held("take.grad", "a gradient", dy, x.dtype, x.shape[:axis] + index.shape + x.shape[axis + 1 :])
    return Lowered((Spec(x.shape, x.dtype),), dims, args=(dy, index))


def _take_grad_vjp(g: Grad, dz: Tensor) -> tuple[Tensor | None, ...]:
    return (*execute(_Take, (dz, g.inputs[1]), g.attrs), None, None)  # type: ignore[arg-type]


_TAKE_GRAD = register(Card("take.grad", _take_grad_infer, "take_bwd", vjp=_take_grad_vjp))


@op("copy", "copy", inplace=True)
class _Copy:
    """y = x."""

    def infer(x: Tensor) -> Lowered:
        return Lowered((Spec(x.shape, x.dtype),), (x.nbytes,))

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (dy,)

    def ref(x: np.ndarray) -> np.ndarray:
        return x

    def samples(r: Rng) -> Iterator[Sample]:
        yield Sample((r(3, 5),))


@op("zeros", "fill", differentiable=False)
class _Zeros:
    """y = 0."""

    def infer(shape: tuple[int, ...], dtype: np.dtype) -> Lowered:
        need_rank("zeros", shape)
        return Lowered((Spec(shape, dtype),), (size(shape) * dtype.itemsize,), dtype=dtype)

    def ref(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return np.zeros(shape, dtype)

    def samples(r: Rng) -> Iterator[Sample]:
        yield Sample((), {"shape": (3, 4), "dtype": np.dtype("float32")})


def reshape(x: Any, shape: Sequence[int]) -> Tensor:
    """Return the same memory with another shape; one size may be -1."""
    return execute(_Reshape, (as_tensor(x),), {"shape": tuple(int(d) for d in shape)})[0]  # type: ignore[arg-type]


def transpose(x: Any, axes: Sequence[int] | None = None) -> Tensor:
    """Return a copy with permuted axes (reversed by default).

    Parameters
    ----------
    x : array_like
    axes : sequence of int, optional
        Reversed by default.
    """
    x = as_tensor(x)
    order = tuple(range(x.ndim))[::-1] if axes is None else tuple(a + x.ndim if a < 0 else a for a in axes)
    return execute(_Transpose, (x,), {"axes": order})[0]  # type: ignore[arg-type]


def gather(x: Any, index: Any, axis: int = 0) -> Tensor:
    """Return the slices of x that an integer tensor names, along an axis (numpy.take); negative indices count back.

    Parameters
    ----------
    x : array_like
    index : array_like of int
    axis : int, default 0

    Raises
    ------
    IndexError
        If an index lies outside the axis.
    """
    x = as_tensor(x)
    index = as_tensor(np.asarray(index, np.int64) if isinstance(index, list) and not index else index)
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"[gather] axis out of range. Received: axis={axis} for {x.ndim} dimensions.")
    return execute(_Take, (x, index), {"axis": axis % x.ndim})[0]  # type: ignore[arg-type]


def cast(x: Any, dtype: Any) -> Tensor:
    """Return a copy of x with another dtype."""
    return execute(_Cast, (as_tensor(x),), {"dtype": as_dtype(dtype)})[0]  # type: ignore[arg-type]


def copy(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Return a copy of x, in `out` if given.

    Parameters
    ----------
    x : array_like
    out : Tensor, optional
        Where the result is written.
    """
    return execute(_Copy, (x,), out=(out,))[0]  # type: ignore[arg-type]


def zeros(shape: Sequence[int], dtype: Any = np.float32, out: Tensor | None = None) -> Tensor:
    """Return a tensor of zeros, in `out` if given.

    Parameters
    ----------
    shape : sequence of int
    dtype : dtype, default "float32"
    out : Tensor, optional
        Where the result is written.
    """
    return execute(_Zeros, (), {"shape": tuple(shape), "dtype": as_dtype(dtype)}, out=(out,))[0]  # type: ignore[arg-type]


def ones(shape: Sequence[int], dtype: Any = np.float32) -> Tensor:
    """Return a tensor of ones.

    Parameters
    ----------
    shape : sequence of int
    dtype : dtype, default "float32"
    """
    return Tensor.state(np.ones(tuple(shape), as_dtype(dtype)))


def eye_rows(labels: Tensor, classes: int, dtype: Any = np.float32) -> Tensor:
    """Return one row of zeros with a single 1 per label (one-hot).

    Parameters
    ----------
    labels : array_like of int [...]
    classes : int
    dtype : dtype, default "float32"
    """
    return gather(Tensor.state(np.eye(classes, dtype=as_dtype(dtype))), labels)


__all__ = [
    "cast",
    "copy",
    "eye_rows",
    "gather",
    "ones",
    "reshape",
    "transpose",
    "zeros",
]
