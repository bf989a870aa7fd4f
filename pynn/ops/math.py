"""Arithmetic with broadcasting, comparisons, selection, and matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pynn.core import _core
from pynn.core.card import Card, Fan, Grad, Lowered, Sample, Spec, op
from pynn.core.graph import execute
from pynn.core.joining import room
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops.common import (
    BOOL,
    Rng,
    as_tensor,
    broadcast_dims,
    broadcast_shape,
    laid,
    need_float,
    need_same_dtype,
    pair,
)
from pynn.ops.lengths import mask_steps
from pynn.ops.reduce import sum_to
from pynn.ops.shape import zeros


def _lower_binary(name: str, a: Tensor, b: Tensor, floats: bool = False, out: np.dtype | None = None) -> Lowered:
    if floats:
        need_float(name, a, b)
    need_same_dtype(name, a, b)
    if a.dtype.itemsize == 1:
        raise DTypeError(
            f"[{name}] is not defined for {a.dtype}. help: convert the operands first, x.astype('float32')."
        )
    shape = broadcast_shape(name, a.shape, b.shape)
    return Lowered((Spec(shape, out or a.dtype),), broadcast_dims(shape, a.shape, b.shape), dtype=a.dtype)


def _shapes(r: Rng, second: Callable[..., np.ndarray] | None = None) -> Iterator[Sample]:
    second = second or r
    for left, right in [
        ((3, 5), (3, 5)),
        ((4, 3, 5), (5,)),
        ((2, 1, 5), (3, 1)),
        ((), (7,)),
        ((2, 33), ()),
        ((0, 4), (4,)),
        ((1, 1), (1, 1)),
        ((3, 1, 2, 1), (1, 4, 1, 5)),
    ]:
        yield Sample((r(*left), second(*right)))


def _binary_errors(r: Rng) -> Iterator[Any]:
    yield (r(2, 3), r(4)), {}, ShapeError, r"broadcast.*Received: \(2, 3\) and \(4,\)"
    yield (r(2), np.ones(2, "int64")), {}, DTypeError, "one dtype|float32 or float64"


def _both(g: Grad, da: Callable[[], Tensor], db: Callable[[], Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """Compute the gradients that are needed, summed over broadcast axes."""
    a, b = g.inputs
    return (
        sum_to(da(), a.shape, g.dest[0]) if g.needs[0] else None,
        sum_to(db(), b.shape, g.dest[1]) if g.needs[1] else None,
    )


@op("add", "add_fwd", inplace=True)
class _Add:
    """y = a + b."""

    def infer(a: Tensor, b: Tensor) -> Lowered:
        return _lower_binary("add", a, b)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return _both(g, lambda: dy, lambda: dy)

    ref = np.add
    samples = _shapes
    errors = _binary_errors


@op("sub", "sub_fwd", inplace=True)
class _Sub:
    """y = a - b."""

    def infer(a: Tensor, b: Tensor) -> Lowered:
        return _lower_binary("sub", a, b)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return _both(g, lambda: dy, lambda: -dy)

    ref = np.subtract
    samples = _shapes
    errors = _binary_errors


@op("mul", "mul_fwd", inplace=True)
class _Mul:
    """y = a * b (Hadamard): da = dy * b, db = dy * a."""

    def infer(a: Tensor, b: Tensor) -> Lowered:
        return _lower_binary("mul", a, b)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        a, b = g.inputs
        return _both(g, lambda: dy * b, lambda: dy * a)

    ref = np.multiply
    samples = _shapes
    errors = _binary_errors


@op("div", "div_fwd", inplace=True)
class _Div:
    """y = a / b: da = dy / b, db = -dy * y / b."""

    def infer(a: Tensor, b: Tensor) -> Lowered:
        return _lower_binary("div", a, b, floats=True)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        b, y = g.inputs[1], g.outs[0]
        return _both(g, lambda: dy / b, lambda: -(dy * y / b))

    ref = np.divide

    def samples(r: Rng) -> Iterator[Sample]:
        return _shapes(r, lambda *s: r.away(*s, gap=0.3))

    errors = _binary_errors


@op("pow", "pow_fwd", inplace=True)
class _Pow:
    """y = a ** b: da = dy * b * a**(b-1), db = dy * y * log(a)."""

    def infer(a: Tensor, b: Tensor) -> Lowered:
        return _lower_binary("pow", a, b, floats=True)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        (a, b), y = g.inputs, g.outs[0]

        def db() -> Tensor:  # 0 ** b has slope 0 in b, not 0 * log(0)
            safe = where(a == 0.0, 1.0, a)
            return dy * y * safe.log()

        return _both(g, lambda: dy * (b * a ** (b - 1.0)), db)

    ref = np.power

    def samples(r: Rng) -> Iterator[Sample]:
        for s in _shapes(r):
            yield Sample((np.abs(s.inputs[0]) + 0.2, s.inputs[1]))

    errors = _binary_errors


@op("max_share", "max_share_fwd")
class _MaxShare:
    """1 where a > b, one half where a = b, else 0: the share of a maximum's gradient that belongs to a."""

    def infer(a: Tensor, b: Tensor) -> Lowered:
        return _lower_binary("max_share", a, b, floats=True)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return tuple(zeros(x.shape, x.dtype) for x in g.inputs)

    def ref(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.where(a > b, 1.0, np.where(a == b, 0.5, 0.0))

    samples = _shapes


@op("maximum", "maximum_fwd", inplace=True)
class _Maximum:
    """y = max(a, b); at a tie each operand receives half of the gradient."""

    def infer(a: Tensor, b: Tensor) -> Lowered:
        return _lower_binary("maximum", a, b)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        a, b = g.inputs
        return _both(g, lambda: dy * _share(a, b), lambda: dy * _share(b, a))

    ref = np.maximum
    samples = _shapes
    errors = _binary_errors


@op("minimum", "minimum_fwd", inplace=True)
class _Minimum:
    """y = min(a, b); at a tie each operand receives half of the gradient."""

    def infer(a: Tensor, b: Tensor) -> Lowered:
        return _lower_binary("minimum", a, b)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        a, b = g.inputs
        return _both(g, lambda: dy * _share(b, a), lambda: dy * _share(a, b))

    ref = np.minimum
    samples = _shapes
    errors = _binary_errors


def _compare(name: str, function: Callable[..., Any]) -> Card:
    @op(name, f"{name}_fwd", differentiable=False)
    class _Compare:
        """Element by element comparison; a bool tensor without gradient."""

        def infer(a: Tensor, b: Tensor) -> Lowered:
            return _lower_binary(name, a, b, out=BOOL)

        ref = function

        def samples(r: Rng) -> Iterator[Sample]:
            for s in _shapes(r):
                yield Sample(tuple(np.round(x) for x in s.inputs))

        errors = _binary_errors

    return _Compare  # type: ignore[return-value]


_EQUAL = _compare("equal", np.equal)
_NOT_EQUAL = _compare("not_equal", np.not_equal)
_LESS = _compare("less", np.less)
_LESS_EQUAL = _compare("less_equal", np.less_equal)


@op("where", "where_fwd")
class _Where:
    """y = a where the condition holds, else b; the gradient goes where the value came from."""

    def infer(c: Tensor, a: Tensor, b: Tensor) -> Lowered:
        if c.dtype != BOOL:
            raise DTypeError(f"[where] expected a bool condition. Received: dtype={c.dtype}.")
        need_same_dtype("where", a, b)
        shape = broadcast_shape("where", c.shape, a.shape, b.shape)
        dims = broadcast_dims(shape, c.shape, a.shape, b.shape)
        return Lowered((Spec(shape, a.dtype),), dims, dtype=a.dtype)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        c, a, b = g.inputs
        zero = zeros((), dy.dtype)
        return (
            None,
            sum_to(where(c, dy, zero), a.shape, g.dest[1]) if g.needs[1] else None,
            sum_to(where(c, zero, dy), b.shape, g.dest[2]) if g.needs[2] else None,
        )

    ref = np.where

    def samples(r: Rng) -> Iterator[Sample]:
        for s in _shapes(r):
            yield Sample((r(*s.inputs[0].shape) > 0, *s.inputs))

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(3), r(3), r(3)), {}, DTypeError, "bool condition"


@op("matmul", "matmul", blas=True, carries=(0, None, 8))
class _Matmul:
    """C = op(A) op(B) for matrices or stacks of them; op transposes the last two axes where asked."""

    def infer(a: Tensor, b: Tensor, ta: bool = False, tb: bool = False) -> Lowered:
        need_float("matmul", a, b)
        if a.ndim < 2 or b.ndim < 2:
            raise ShapeError(f"[matmul] expected matrices or stacks of them. Received: {a.shape} and {b.shape}.")
        m, k = a.shape[-2:][::-1] if ta else a.shape[-2:]
        kb, n = b.shape[-2:][::-1] if tb else b.shape[-2:]
        if k != kb:
            raise ShapeError(
                f"[matmul] expected the inner dimensions to agree. Received: {a.shape}{'^T' if ta else ''} and "
                f"{b.shape}{'^T' if tb else ''}: {k} against {kb}."
            )
        if a.ndim > 2 and b.ndim > 2 and a.shape[:-2] != b.shape[:-2]:
            raise ShapeError(f"[matmul] expected equal stacks. Received: {a.shape} and {b.shape}.")
        stack = a.shape[:-2] or b.shape[:-2]
        z = 1
        for d in stack:
            z *= d
        scratch = _core.gemm_scratch(m, n, k, ta, tb, a.dtype.itemsize) + room(z * m * n)
        dims = (z, m, n, k, int(ta), int(tb), m * k if a.ndim > 2 else 0, k * n if b.ndim > 2 else 0)
        kept = laid((2,), a.dtype.itemsize, (k, n), turned=tb) if b.ndim == 2 and not (tb and m == 1) else None
        return Lowered((Spec((*stack, m, n), a.dtype),), dims, scratch=scratch, laid=kept)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        (a, b), ta, tb = g.inputs, g.attrs.get("ta", False), g.attrs.get("tb", False)
        da = db = None
        to = g.dest if a.ndim == b.ndim else (None, None)  # otherwise a sum over the stack is still to come
        if g.needs[0]:
            da = product(b, dy, tb, True, to[0]) if ta else product(dy, b, False, not tb, to[0])
            da = sum_to(da, a.shape, g.dest[0])
        if g.needs[1]:
            db = product(dy, a, True, ta, to[1]) if tb else product(a, dy, not ta, False, to[1])
            db = sum_to(db, b.shape, g.dest[1])
        return da, db

    def ref(a: np.ndarray, b: np.ndarray, ta: bool = False, tb: bool = False) -> np.ndarray:
        return np.matmul(a.swapaxes(-1, -2) if ta else a, b.swapaxes(-1, -2) if tb else b)

    def samples(r: Rng) -> Iterator[Sample]:
        for ta in (False, True):
            for tb in (False, True):
                for m, k, n in [(3, 4, 5), (1, 7, 1), (17, 33, 9), (0, 2, 3), (2, 0, 3), (33, 330, 530)]:
                    a, b = r(*((k, m) if ta else (m, k))), r(*((n, k) if tb else (k, n)))
                    yield Sample((a, b), {"ta": ta, "tb": tb})
        yield Sample((r(2, 3, 4), r(2, 4, 5)))
        yield Sample((r(2, 3, 4), r(4, 5)))
        yield Sample((r(3, 4), r(2, 4, 5)))

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(2, 3), r(4, 5)), {}, ShapeError, r"inner dimensions.*3 against 4"
        yield (r(3), r(3, 4)), {}, ShapeError, "expected matrices"
        yield (r(2, 3, 4), r(3, 4, 5)), {}, ShapeError, "equal stacks"

    def flops(low: Lowered) -> float:
        z, m, n, k = low.dims[:4]
        return 2.0 * z * m * n * k

    def fan(inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: Any) -> Fan:
        return Fan(outs[0].size, outs[0].size * inputs[0].shape[-2 if attrs.get("ta") else -1])


def _call(card: Card, a: Any, b: Any, out: Tensor | None = None) -> Tensor:
    return execute(card, pair(a, b), out=(out,))[0]


def add(a: Any, b: Any, out: Tensor | None = None) -> Tensor:
    """Return a + b with broadcasting.

    Parameters
    ----------
    a : array_like
    b : array_like
    out : Tensor, optional
        Where the result is written.
    """
    return _call(_Add, a, b, out)  # type: ignore[arg-type]


def sub(a: Any, b: Any) -> Tensor:
    """Return a - b with broadcasting."""
    return _call(_Sub, a, b)  # type: ignore[arg-type]


def mul(a: Any, b: Any) -> Tensor:
    """Return the product a * b, element by element with broadcasting (Hadamard)."""
    return _call(_Mul, a, b)  # type: ignore[arg-type]


def div(a: Any, b: Any) -> Tensor:
    """Return a / b with broadcasting."""
    return _call(_Div, a, b)  # type: ignore[arg-type]


def pow(a: Any, b: Any) -> Tensor:
    """Return a ** b with broadcasting; squares and roots take their own kernels."""
    if isinstance(b, (int, float)) and isinstance(a, Tensor) and a.dtype in FLOATS:
        if b == 2:
            return a.square()
        if b == 0.5:
            return a.sqrt()
    return _call(_Pow, a, b)  # type: ignore[arg-type]


def maximum(a: Any, b: Any) -> Tensor:
    """Return the larger of a and b, element by element; a NaN comes through."""
    return _call(_Maximum, a, b)  # type: ignore[arg-type]


def minimum(a: Any, b: Any) -> Tensor:
    """Return the smaller of a and b, element by element; a NaN comes through."""
    return _call(_Minimum, a, b)  # type: ignore[arg-type]


def _share(a: Tensor, b: Tensor) -> Tensor:
    return _call(_MaxShare, a, b)  # type: ignore[arg-type]


def equal(a: Any, b: Any) -> Tensor:
    """Return a == b as a bool tensor."""
    return _call(_EQUAL, a, b)


def not_equal(a: Any, b: Any) -> Tensor:
    """Return a != b as a bool tensor."""
    return _call(_NOT_EQUAL, a, b)


def less(a: Any, b: Any) -> Tensor:
    """Return a < b as a bool tensor."""
    return _call(_LESS, a, b)


def less_equal(a: Any, b: Any) -> Tensor:
    """Return a <= b as a bool tensor."""
    return _call(_LESS_EQUAL, a, b)


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """Return a where the condition holds, else b, with broadcasting."""
    a, b = pair(a, b)
    return execute(_Where, (as_tensor(condition), a, b))[0]  # type: ignore[arg-type]


def product(a: Tensor, b: Tensor, ta: bool = False, tb: bool = False, out: Tensor | None = None) -> Tensor:
    """Return op(a) op(b), of which op transposes the last two axes where asked, without a copy; `out` takes it."""
    return execute(_Matmul, (a, b), {"ta": ta, "tb": tb}, out=(out,))[0]  # type: ignore[arg-type]


def matmul(a: Any, b: Any) -> Tensor:
    """Return the matrix product of the last two axes; vectors work as in NumPy.

    Stacks of matrices must be equal in their leading axes, or one operand must be a single matrix.
    """
    a, b = pair(a, b)
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"[matmul] expected at least one dimension. Received: {a.shape} and {b.shape}.")
    if a.ndim == 2:  # sums over the time of padded sequences are sums over real steps
        a = mask_steps(a)
    if b.ndim == 3:
        b = mask_steps(b)
    left, right = a.ndim == 1, b.ndim == 1
    y = product(a.reshape((1, -1)) if left else a, b.reshape((-1, 1)) if right else b, False, False)
    if left or right:
        y = y.reshape(y.shape[:-2] + (() if left else y.shape[-2:-1]) + (() if right else y.shape[-1:]))
    return y
