"""How functions of ``keras.ops`` are called; shapes, dtypes, and the moving of values about."""

from __future__ import annotations

import builtins
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from pynn import ops as of
from pynn.core.tensor import FLOATS, Tensor, as_dtype
from pynn.errors import DTypeError
from pynn.keras.config import floatx
from pynn.keras.symbols import KerasTensor
from pynn.keywords import spelled
from pynn.ops import cast as cast_to
from pynn.ops import concat as join

__all__ = ["FUNCTIONS", "both", "dtype_of", "op", "replaced", "tensor_of", "value"]

FUNCTIONS = {}
F = TypeVar("F", bound=Callable[..., Any])
BEYOND = {"float": "float32", "int": "int32", "float16": "float32", "bfloat16": "float32", "half": "float32",
          "int8": "int32", "int16": "int32",
          "uint16": "int32", "uint32": "int64", "uint64": "int64", "string": None, "complex64": None}  # fmt: skip


def op(function: F) -> F:
    """Return a function that takes symbols, too, and whose error for an unknown argument has the nearest name."""
    told = spelled(function)

    @functools.wraps(function)
    def call(*args, **kwargs):
        for x in _flat((*args, *kwargs.values())):
            later = getattr(type(x), "_deferred", None)
            if later is not None:
                return later(x, call, args, kwargs)
            if isinstance(x, KerasTensor):
                return KerasTensor.lifted(call, *args, **kwargs)
        return told(*args, **kwargs)

    FUNCTIONS[function.__name__] = call
    return call  # type: ignore[return-value]


def _flat(values):
    for x in values:
        if isinstance(x, (list, tuple)):
            yield from _flat(x)
        elif isinstance(x, dict):
            yield from _flat(x.values())
        else:
            yield x


def replaced(value, wanted: Callable[[Any], Any]):
    """Return a structure of lists, tuples and dicts with each leaf as wanted(leaf)."""
    if isinstance(value, (list, tuple)):
        return type(value)(replaced(x, wanted) for x in value)
    if isinstance(value, dict):
        return {key: replaced(x, wanted) for key, x in value.items()}
    return wanted(value)


def value(x):
    """Return what a variable holds, and anything else as it is."""
    held = getattr(x, "_tensor", None)
    return held if isinstance(held, Tensor) else x


def dtype_of(dtype) -> np.dtype:
    """Return the dtype of pynn for a name of Keras's or TensorFlow's; the narrower ones widen."""
    name = getattr(dtype, "name", dtype)
    if isinstance(name, str) and name in BEYOND:
        if BEYOND[name] is None:
            raise DTypeError(f"[cast] expected a dtype of numbers. Received: {name}.")
        name = BEYOND[name]
    return as_dtype(name if isinstance(name, str) else dtype)


def tensor_of(x, dtype=None) -> Tensor:
    """Return a tensor; arrays of double precision become those of floatx(), as Keras's layers would have it."""
    x = value(x)
    if not isinstance(x, Tensor):
        for kind in ("RaggedTensor", "SparseTensor"):
            if type(x).__name__ == kind:
                raise DTypeError(
                    f"[ops] expected a dense tensor. Received: a {kind}. help: pad it to one length first."
                )
        if isinstance(x, (list, tuple)) and any(isinstance(value(part), Tensor) for part in _flat(x)):
            parts = [tensor_of(part) for part in x]
            return tensor_of(join([part.reshape((1, *part.shape)) for part in parts], 0), dtype)
        array = np.asarray(x)
        if array.dtype.kind not in "fiub":
            raise DTypeError(f"[ops] expected numbers. Received: {array.dtype} {str(x)[:40]!r}.")
        wanted = floatx() if array.dtype.kind == "f" else None
        narrow = array.dtype.kind in "iu" and array.dtype.itemsize < 4 and array.dtype != np.uint8
        x = Tensor.state(array.astype(wanted or ("int32" if narrow else array.dtype)))
    return x if dtype is None or x.dtype == dtype_of(dtype) else cast_to(x, dtype_of(dtype))


def both(a, b) -> tuple[Any, Any]:
    """Return two operands of one dtype: whole numbers become real beside real ones."""
    a, b = value(a), value(b)
    plain = isinstance(a, (bool, int, float)), isinstance(b, (bool, int, float))
    if plain == (True, True):
        return tensor_of(a), tensor_of(b)
    if plain[0] or plain[1]:
        x = tensor_of(b if plain[0] else a)
        number = a if plain[0] else b
        if isinstance(number, float) and x.dtype not in FLOATS:
            x = cast_to(x, floatx())
        return (number, x) if plain[0] else (x, number)
    x, y = tensor_of(a), tensor_of(b)
    if x.dtype != y.dtype:
        wide = np.result_type(x.dtype, y.dtype)
        if wide.kind == "f":
            reals = [t.dtype for t in (x, y) if t.dtype in FLOATS]
            wide = max(reals, key=lambda d: d.itemsize)
        x, y = tensor_of(x, wide), tensor_of(y, wide)
    return x, y


def sizes(shape) -> tuple[int, ...]:
    """Return a shape as integers; what it is made of may be tensors."""
    if isinstance(shape, (int, np.integer)):
        return (int(shape),)
    if isinstance(shape, Tensor):
        shape = shape.numpy().tolist()
    return tuple(int(n) for n in shape)


def shape(x) -> tuple[int | None, ...]:
    """Return the sizes of the axes; None where a symbol leaves one open."""
    later = getattr(type(x), "_deferred", None)
    return later(x, shape, (x,), {}) if later is not None else tuple(x.shape if hasattr(x, "shape") else np.shape(x))


def ndim(x) -> int:
    """Return the number of axes."""
    return len(x.shape) if hasattr(x, "shape") else np.ndim(x)


@op
def size(x) -> int:
    """Return the number of elements."""
    return tensor_of(x).size


@op
def cast(x, dtype) -> Tensor:
    """Return x in another dtype; half precision is float32 here."""
    return tensor_of(x, dtype)


@op
def convert_to_tensor(x, dtype=None, sparse: bool | None = None, ragged: bool | None = None) -> Tensor:
    """Return a tensor of what can be one."""
    if sparse or ragged:
        raise TypeError("[convert_to_tensor] expected dense data. Received: sparse or ragged. help: pad to one length.")
    return tensor_of(x, dtype)


def convert_to_numpy(x) -> np.ndarray:
    """Return a copy of the values as an array."""
    x = value(x)
    return x.numpy() if isinstance(x, Tensor) else np.array(x)


def is_tensor(x) -> bool:
    """Tell whether x is a tensor or a symbol of one."""
    return isinstance(value(x), (Tensor, KerasTensor))


@op
def reshape(x, newshape) -> Tensor:
    """Return the same values in another shape; one size may be -1."""
    return tensor_of(x).reshape(sizes(newshape))


@op
def expand_dims(x, axis) -> Tensor:
    """Return x with an axis of size 1 more."""
    x = tensor_of(x)
    for a in sorted([axis] if isinstance(axis, int) else axis):
        a = a % (x.ndim + 1)
        x = x.reshape((*x.shape[:a], 1, *x.shape[a:]))
    return x


@op
def squeeze(x, axis=None) -> Tensor:
    """Return x without axes of size 1, all of them by default."""
    x = tensor_of(x)
    gone = {i for i, d in enumerate(x.shape) if d == 1} if axis is None else {
        a % x.ndim for a in ([axis] if isinstance(axis, int) else axis)
    }  # fmt: skip
    if builtins.any(x.shape[a] != 1 for a in gone):
        raise ValueError(f"[squeeze] expected axes of size 1. Received: x.shape={x.shape}, axis={axis}.")
    return x.reshape([d for i, d in enumerate(x.shape) if i not in gone])


@op
def ravel(x) -> Tensor:
    """Return all values in one axis."""
    return tensor_of(x).reshape((-1,))


@op
def transpose(x, axes=None) -> Tensor:
    """Return x with its axes in another order, reversed by default."""
    return of.transpose(tensor_of(x), None if axes is None else tuple(axes))


@op
def swapaxes(x, axis1: int, axis2: int) -> Tensor:
    """Return x with two axes exchanged."""
    x = tensor_of(x)
    order = list(range(x.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return of.transpose(x, order)


@op
def moveaxis(x, source, destination) -> Tensor:
    """Return x with axes moved to other places."""
    x = tensor_of(x)
    places = np.moveaxis(np.empty(tuple(range(1, x.ndim + 1)), np.bool_), source, destination).shape
    return of.transpose(x, [i - 1 for i in places])


@op
def concatenate(xs: Sequence[Any], axis: int = -1) -> Tensor:
    """Return tensors one after the other along an axis."""
    tensors = [tensor_of(x) for x in xs]
    if len({t.dtype for t in tensors}) > 1:
        wide = next((t.dtype for t in tensors if t.dtype in FLOATS), np.dtype("int64"))
        tensors = [tensor_of(t, wide) for t in tensors]
    return of.concat(tensors, axis)


@op
def stack(x: Sequence[Any], axis: int = 0) -> Tensor:
    """Return tensors of one shape along a new axis."""
    tensors = [tensor_of(part) for part in x]
    a = axis % (tensors[0].ndim + 1)
    return concatenate([expand_dims(t, a) for t in tensors], a)


@op
def unstack(x, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """Return the slices along an axis."""
    x = tensor_of(x)
    a = axis % x.ndim
    return [x[(slice_(None),) * a + (i,)] for i in range(x.shape[a])]


@op
def split(x, indices_or_sections, axis: int = 0) -> list[Tensor]:
    """Return the parts of x along an axis: so many equal ones, or those that begin at the indices."""
    x = tensor_of(x)
    a = axis % x.ndim
    n = x.shape[a]
    if isinstance(indices_or_sections, int):
        if n % indices_or_sections:
            raise ValueError(f"[split] expected a number that divides {n}. Received: {indices_or_sections}.")
        ends = list(range(0, n + 1, n // indices_or_sections))
    else:
        ends = [0, *map(int, indices_or_sections), n]
    return [x[(slice_(None),) * a + (slice_(i, k),)] for i, k in itertools.pairwise(ends)]


slice_ = builtins.slice


@op
def slice(inputs, start_indices, shape) -> Tensor:
    """Return the block of a shape that begins at the indices; a size of -1 goes to the end."""
    x = tensor_of(inputs)
    ends = [slice_(i, None if n == -1 else i + n) for i, n in zip(sizes(start_indices), sizes(shape), strict=True)]
    return x[tuple(ends)]


@op
def flip(x, axis=None) -> Tensor:
    """Return x with the order along axes (all by default) turned round."""
    x = tensor_of(x)
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    turned = {a % x.ndim for a in axes}
    return x[tuple(slice_(None, None, -1 if i in turned else 1) for i in range(x.ndim))]


@op
def tile(x, repeats) -> Tensor:
    """Return copies of x side by side, so many along each axis."""
    x, times = tensor_of(x), sizes(repeats)
    rank = builtins.max(x.ndim, len(times))
    x = x.reshape((1,) * (rank - x.ndim) + x.shape)
    for a, k in enumerate((1,) * (rank - len(times)) + times):
        x = of.concat([x] * k, a) if k != 1 else x
    return x


@op
def repeat(x, repeats: int, axis: int | None = None) -> Tensor:
    """Return x with each slice along an axis so many times."""
    x = tensor_of(x) if axis is not None else tensor_of(x).reshape((-1,))
    a = 0 if axis is None else axis % x.ndim
    wide = of.expand(expand_dims(x, a + 1), (*x.shape[: a + 1], int(repeats), *x.shape[a + 1 :]))
    return wide.reshape((*x.shape[:a], x.shape[a] * int(repeats), *x.shape[a + 1 :]))


@op
def broadcast_to(x, shape) -> Tensor:
    """Return x repeated so that it has a shape."""
    return of.expand(tensor_of(x), sizes(shape))


@op
def pad(x, pad_width, mode: str = "constant", constant_values=None) -> Tensor:
    """Return x with a border, (before, after) of each axis."""
    if mode.lower() != "constant":
        raise ValueError(f"[pad] expected mode 'constant'. Received: mode={mode!r}.")
    x, fill = tensor_of(x), constant_values or 0
    widths = np.broadcast_to(np.asarray(convert_to_numpy(pad_width), int), (x.ndim, 2)).tolist()
    for a, around in enumerate(widths):
        parts = [full((*x.shape[:a], n, *x.shape[a + 1 :]), fill, x.dtype) for n in around]
        x = of.concat([p for p in (parts[0], x, parts[1]) if p.shape[a]], a) if builtins.any(around) else x
    return x


@op
def take(x, indices, axis: int | None = None) -> Tensor:
    """Return the slices of x along an axis that the indices name; of all values without an axis."""
    x, index = tensor_of(x), tensor_of(indices)
    index = index if index.dtype.kind == "i" else tensor_of(index, "int32")
    return of.gather(x.reshape((-1,)) if axis is None else x, index, axis or 0)


@op
def take_along_axis(x, indices, axis: int = -1) -> Tensor:
    """Return for each place the value of x at the index that stands there."""
    x, index = tensor_of(x), tensor_of(indices, "int64")
    a = axis % x.ndim
    at = of.zeros((1,), "int64")
    step = 1
    for i in reversed(range(x.ndim)):
        own = np.arange(index.shape[i], dtype="int64").reshape([-1 if k == i else 1 for k in range(x.ndim)])
        here = index if i == a else tensor_of(own)
        at = of.add(at, of.mul(here, step))
        step *= x.shape[i]
    return of.gather(x.reshape((-1,)), of.expand(at, index.shape), 0)


@op
def one_hot(x, num_classes: int, axis: int = -1, dtype=None, sparse: bool = False) -> Tensor:
    """Return a vector for each class: 1 at its place, 0 elsewhere."""
    x = tensor_of(x)
    x = x if x.dtype.kind == "i" else tensor_of(x, "int32")
    y = of.eye_rows(x.reshape((-1,)), int(num_classes), dtype_of(dtype or floatx())).reshape((*x.shape, num_classes))
    return y if axis in (-1, x.ndim) else moveaxis(y, -1, axis)


@op
def cumsum(x, axis: int = -1) -> Tensor:
    """Return the sums of all values up to each place along an axis."""
    x = tensor_of(x)
    a = axis % x.ndim
    ones_above = tensor_of(np.triu(np.ones((x.shape[a],) * 2)), x.dtype)
    return moveaxis(of.matmul(moveaxis(x, a, -1), ones_above), -1, a)


@op
def argsort(x, axis: int = -1) -> Tensor:
    """Return the indices that sort along an axis. It reads values, so it stands outside of recorded steps."""
    return tensor_of(np.argsort(tensor_of(x).numpy(), axis=axis, kind="stable"))


@op
def sort(x, axis: int = -1) -> Tensor:
    """Return the values in order along an axis."""
    return take_along_axis(x, argsort(x, axis), axis)


@op
def top_k(x, k: int = 1, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """Return the k largest values of the last axis, and where they are."""
    index = tensor_of(np.argsort(-tensor_of(x).numpy(), axis=-1, kind="stable")[..., :k])
    return take_along_axis(x, index, -1), tensor_of(index, "int32")


def zeros(shape, dtype=None) -> Tensor:
    """Return zeros."""
    return full(shape, 0, dtype)


def ones(shape, dtype=None) -> Tensor:
    """Return ones."""
    return full(shape, 1, dtype)


def full(shape, fill_value, dtype=None) -> Tensor:
    """Return one value all over."""
    return Tensor.state(np.full(sizes(shape), fill_value, dtype_of(dtype or floatx())))


@op
def zeros_like(x, dtype=None) -> Tensor:
    """Return zeros in the shape of x."""
    return full(tensor_of(x).shape, 0, dtype or tensor_of(x).dtype)


@op
def ones_like(x, dtype=None) -> Tensor:
    """Return ones in the shape of x."""
    return full(tensor_of(x).shape, 1, dtype or tensor_of(x).dtype)


@op
def full_like(x, fill_value, dtype=None) -> Tensor:
    """Return one value all over, in the shape of x."""
    return full(tensor_of(x).shape, fill_value, dtype or tensor_of(x).dtype)


def eye(N: int, M: int | None = None, k: int = 0, dtype=None) -> Tensor:
    """Return ones on a diagonal."""
    return tensor_of(np.eye(N, M, k), dtype or floatx())


def arange(start, stop=None, step=1, dtype=None) -> Tensor:
    """Return the numbers from start to before stop; int32 if all are whole."""
    start, stop, step = (x.item() if isinstance(x, Tensor) else x for x in (start, stop, step))
    numbers = np.arange(start, step=step) if stop is None else np.arange(start, stop, step)
    return tensor_of(numbers, dtype or ("int32" if numbers.dtype.kind == "i" else floatx()))


def linspace(start: float, stop: float, num: int = 50, endpoint: bool = True, dtype=None) -> Tensor:
    """Return numbers at equal distances."""
    return tensor_of(np.linspace(start, stop, num, endpoint), dtype or floatx())


@op
def tril(x, k: int = 0) -> Tensor:
    """Return x with zeros above a diagonal."""
    x = tensor_of(x)
    return of.mul(x, tensor_of(np.tril(np.ones(x.shape[-2:]), k), x.dtype))


@op
def triu(x, k: int = 0) -> Tensor:
    """Return x with zeros below a diagonal."""
    x = tensor_of(x)
    return of.mul(x, tensor_of(np.triu(np.ones(x.shape[-2:]), k), x.dtype))


@op
def diag(x, k: int = 0) -> Tensor:
    """Return the matrix with these values on a diagonal, or the diagonal of a matrix."""
    x = tensor_of(x)
    if x.ndim == 1:
        return of.mul(x.reshape((1, -1)), tensor_of(np.eye(x.size), x.dtype)) if k == 0 else tensor_of(
            np.diag(x.numpy(), k))  # fmt: skip
    n = builtins.min(x.shape)
    return of.sum(of.mul(x[:n, :n], tensor_of(np.eye(n), x.dtype)), 1)


@op
def stop_gradient(variable) -> Tensor:
    """Return the values, through which no gradient flows."""
    return tensor_of(variable).detach()


@op
def copy(x) -> Tensor:
    """Return the values in memory of their own."""
    return of.add(tensor_of(x), 0)


@op
def isclose(x1, x2, rtol: float = 1e-5, atol: float = 1e-8) -> Tensor:
    """Tell where |x1 - x2| <= atol + rtol |x2|."""
    a, b = both(x1, x2)
    return of.less_equal(of.abs(of.sub(a, b)), of.add(of.mul(of.abs(tensor_of(b)), rtol), atol))
