"""Products of matrices."""

from __future__ import annotations

import numpy as np

from pynn import ops
from pynn.core.tensor import Tensor
from pynn.errors import DataError, ShapeError
from pynn.onnx.operators.registry import Node, floating, operator
from pynn.onnx.value import Value
from pynn.ops.contraction import largest
from pynn.ops.elementwise import activated


def _turned(node: Node, rank: int) -> tuple[int, ...] | None:
    return (1, 0) if node.integer("transB", 0) else None


@operator("Gemm", inputs=(2, 3), weights={0: None, 1: _turned, 2: None})
def gemm(node: Node, a: Value, b: Value, c: Value | None = None) -> Value:
    """Return alpha a' b' + beta c, where a' and b' are transposed if the attributes say so."""
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeError(f"expected two matrices. Received: {a.shape} and {b.shape}.")
    left = floating(a.form((1, 0)) if node.integer("transA", 0) else a.plain)
    right = floating(b.form((1, 0)) if node.integer("transB", 0) else b.plain)
    if left.shape[1] != right.shape[0]:
        raise ShapeError(f"expected the inner dimensions to agree. Received: {left.shape} and {right.shape}.")
    shape = (left.shape[0], right.shape[1])
    node.room(shape, left.dtype)
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    if c is not None and not _broadcasts(c.shape, shape):
        raise ShapeError(f"expected a c that broadcasts to {shape}. Received: {c.shape}.")
    bias = None if c is None or beta == 0 else c.plain
    if alpha == beta == 1 and bias is not None and bias.shape in ((shape[1],), (1, shape[1])):
        return Value.of(ops.dense(left, right, ops.reshape(bias, (shape[1],)), activation=node.then))
    y = ops.matmul(left, right)
    y = y if alpha == 1 else ops.mul(y, alpha)
    if bias is not None:
        y = ops.add(y, bias if beta == 1 else ops.mul(bias, beta))
    return Value.of(activated(node.then, None, y))


def _broadcasts(small: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(small, shape) == shape
    except ValueError:
        return False


@operator("MatMul", inputs=(2, 2), weights={0: None, 1: None})
def matmul(node: Node, a: Value, b: Value) -> Value:
    """Return the products of stacks of matrices, which broadcast; vectors as in NumPy."""
    x, y = floating(a.plain), floating(b.plain)
    if x.ndim == 0 or y.ndim == 0:
        raise ShapeError(f"expected at least one dimension. Received: {a.shape} and {b.shape}.")
    if x.ndim > 2 and y.ndim == 2 and x.shape[-1] == y.shape[0]:
        node.room((*x.shape[:-1], y.shape[1]), x.dtype)
        return Value.of(ops.dense(x, y))
    left = x if x.ndim > 1 else ops.reshape(x, (1, -1))
    right = y if y.ndim > 1 else ops.reshape(y, (-1, 1))
    stack = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    node.room((*stack, left.shape[-2], right.shape[-1]), x.dtype)
    if left.ndim > 2 or right.ndim > 2:
        left, right = _stacked(left, stack), _stacked(right, stack)
    z = ops.matmul(left, right)
    shape = (*z.shape[:-2], *(z.shape[-2:-1] if x.ndim > 1 else ()), *(z.shape[-1:] if y.ndim > 1 else ()))
    return Value.of(z if z.shape == shape else ops.reshape(z, shape))


@operator("Einsum", inputs=(1, 64))
def einsum(node: Node, *given: Value) -> Value:
    """Return the sum of products that the equation says, letter by letter."""
    equation = node.text("equation", "")
    tensors = [floating(x.plain) for x in given]
    try:
        node.room((largest(equation, tensors),), tensors[0].dtype)
        return Value.of(ops.einsum(equation, *tensors))
    except ShapeError:
        raise
    except ValueError as error:
        raise DataError(f"equation={equation!r}: {error}") from error


def _stacked(x: Tensor, stack: tuple[int, ...]) -> Tensor:
    if x.ndim == 2 or x.shape[:-2] == stack:
        return x
    return ops.expand(x, (*stack, *x.shape[-2:]))
