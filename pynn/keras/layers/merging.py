"""Layers that bring branches together, and the functions that call them."""

from __future__ import annotations

from functools import reduce
from typing import Any

from pynn import ops
from pynn.errors import ShapeError
from pynn.keras.layer import Layer
from pynn.keras.missing import refused

__all__ = ["Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract", "add", "average",
           "concatenate", "dot", "maximum", "merge", "minimum", "multiply", "subtract"]  # fmt: skip


def _of_one_rank(xs: list[Any]) -> list[Any]:
    """Return inputs with as many axes as the one that has most: [N, C] beside [N, T, C] stands for every step."""
    most = max(x.ndim for x in xs)
    return [x if x.ndim == most else x.reshape((x.shape[0], *(1,) * (most - x.ndim), *x.shape[1:])) for x in xs]


class Merge(Layer):
    """What merging layers share: a list of inputs."""

    _reads_lengths = True

    def call(self, inputs):
        """Merge."""
        if not isinstance(inputs, (list, tuple)) or not inputs:
            raise ValueError(f"[{self.name}] expected a list of inputs. Received: {type(inputs).__name__}.")
        return self.merged(list(inputs))

    def merged(self, xs):
        """Return what becomes of the inputs."""
        raise NotImplementedError


class Add(Merge):
    """y = a + b + ..."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def merged(self, xs):
        return reduce(ops.add, _of_one_rank(xs))


class Subtract(Merge):
    """y = a - b."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def merged(self, xs):
        if len(xs) != 2:
            raise ValueError(f"[{self.name}] expected two inputs. Received: {len(xs)}.")
        return ops.sub(*_of_one_rank(xs))


class Multiply(Merge):
    """y = a * b * ..."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def merged(self, xs):
        return reduce(ops.mul, _of_one_rank(xs))


class Average(Merge):
    """The mean of the inputs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def merged(self, xs):
        return reduce(ops.add, _of_one_rank(xs)) * (1.0 / len(xs))


class Maximum(Merge):
    """The largest of the inputs, element by element."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def merged(self, xs):
        return reduce(ops.maximum, _of_one_rank(xs))


class Minimum(Merge):
    """The least of the inputs, element by element."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def merged(self, xs):
        return reduce(ops.minimum, _of_one_rank(xs))


class Concatenate(Merge):
    """The inputs one after the other along an axis."""

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def merged(self, xs):
        rank, axis = xs[0].ndim, self.axis % xs[0].ndim
        others = {(*x.shape[:axis], *x.shape[axis + 1 :]) for x in xs}
        if len(others) > 1 or any(x.ndim != rank for x in xs):
            raise ShapeError(
                f"[{self.name}] expected inputs whose sizes agree on all axes but {self.axis}. "
                f"Received: shapes {[x.shape for x in xs]}."
            )
        return ops.concat(xs, axis)


class Dot(Merge):
    """The products of two inputs, summed over an axis of each."""

    def __init__(self, axes, normalize=False, **kwargs):
        super().__init__(**kwargs)
        self.axes, self.normalize = axes, normalize

    def merged(self, xs):
        a, b = xs
        one, two = (self.axes,) * 2 if isinstance(self.axes, int) else self.axes
        one, two = one % a.ndim, two % b.ndim
        if self.normalize:
            a, b = (x / ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=k, keepdims=True), 1e-12))
                    for x, k in ((a, one), (b, two)))  # fmt: skip
        return batch_dot(a, b, one, two)


def batch_dot(a: Any, b: Any, one: int, two: int) -> Any:
    """Return the products of the rows of two batches, summed over an axis of each."""
    n, size = a.shape[0], a.shape[one]
    rest_a = [i for i in range(1, a.ndim) if i != one]
    rest_b = [i for i in range(1, b.ndim) if i != two]
    left = ops.reshape(ops.transpose(a, (0, *rest_a, one)), (n, -1, size))
    right = ops.reshape(ops.transpose(b, (0, two, *rest_b)), (n, size, -1))
    shape = (n, *(a.shape[i] for i in rest_a), *(b.shape[i] for i in rest_b))
    return ops.reshape(ops.matmul(left, right), shape if len(shape) > 1 else (n, 1))


def _of_list(cls: Any) -> Any:
    def function(inputs: Any, **kwargs: Any) -> Any:
        return cls(**kwargs)(inputs)

    function.__name__ = cls.__name__.lower()
    function.__doc__ = f"Return {cls.__name__}(...)(inputs)."
    return function


add, subtract, multiply, average = _of_list(Add), _of_list(Subtract), _of_list(Multiply), _of_list(Average)
maximum, minimum = _of_list(Maximum), _of_list(Minimum)


def concatenate(inputs, axis=-1, **kwargs):
    """Return Concatenate(axis)(inputs)."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs, axes=-1, **kwargs):
    """Return Dot(axes)(inputs)."""
    return Dot(axes=axes, **kwargs)(inputs)


def merge(inputs, mode="sum", dot_axes=-1, concat_axis=-1, output_shape=None, name=None, **kwargs):
    """Merge symbols as Keras 1 did."""
    if callable(mode):
        refused("merge with a function", "use a Lambda layer")
    if mode == "concat":
        return Concatenate(axis=concat_axis, name=name)(inputs)
    if mode in ("dot", "cos"):
        return Dot(axes=dot_axes, normalize=mode == "cos", name=name)(inputs)
    table = {"sum": Add, "mul": Multiply, "ave": Average, "max": Maximum}
    if mode not in table:
        raise ValueError(f"[merge] expected mode to be one of {[*table, 'concat', 'dot', 'cos']}. Received: {mode!r}.")
    return table[mode](name=name)(inputs)
