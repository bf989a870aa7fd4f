"""Functions of tensors under TensorFlow's names and arguments, those of version 1 among them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from pynn import ops as of
from pynn.core.tensor import Tensor
from pynn.keras import ops
from pynn.keras.config import floatx
from pynn.keras.ops import networks
from pynn.keras.ops.arrays import convert_to_numpy, sizes
from pynn.keras.ops.calls import dtype_of, op, tensor_of


def _axes(options: dict[str, Any], axis: Any, keepdims: Any) -> tuple[Any, bool]:
    """Return axis and keepdims, which were called otherwise in version 1."""
    axis = options.pop("reduction_indices", options.pop("axis", axis))
    keepdims = options.pop("keep_dims", keepdims)
    for name in options:
        if name != "name":
            raise TypeError(f"[reduce] unknown keyword argument. Received: {name}=. Known: axis, keepdims, name.")
    return axis, bool(keepdims)


def _reduced(function: Any, title: str) -> Any:
    def call(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None, **options: Any) -> Any:
        axis, keepdims = _axes(options, axis, keepdims)
        return function(input_tensor, axis, keepdims)

    call.__name__ = title
    call.__doc__ = f"Return {title} over the axes (all by default)."
    return call


reduce_mean = _reduced(ops.mean, "reduce_mean")
reduce_sum = _reduced(ops.sum, "reduce_sum")
reduce_max = _reduced(ops.max, "reduce_max")
reduce_min = _reduced(ops.min, "reduce_min")
reduce_prod = _reduced(ops.prod, "reduce_prod")
reduce_any = _reduced(ops.any, "reduce_any")
reduce_all = _reduced(ops.all, "reduce_all")
reduce_logsumexp = _reduced(ops.logsumexp, "reduce_logsumexp")
reduce_std = _reduced(ops.std, "reduce_std")
reduce_variance = _reduced(ops.var, "reduce_variance")


def constant(
    value: Any, dtype: Any = None, shape: Any = None, name: str | None = None, verify_shape: bool = False
) -> Any:
    """Return a tensor of these values."""
    x = tensor_of(value, dtype)
    if dtype is None and x.dtype == np.int64:
        x = tensor_of(x, "int32")
    return x if shape is None else of.expand(x, sizes(shape)) if x.size == 1 else x.reshape(sizes(shape))


def convert_to_tensor(value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None) -> Any:
    """Return a tensor of what can be one."""
    return ops.convert_to_tensor(value, dtype)


def zeros(shape: Any, dtype: Any = "float32", name: str | None = None) -> Any:
    """Return zeros."""
    return ops.zeros(shape, dtype)


def ones(shape: Any, dtype: Any = "float32", name: str | None = None) -> Any:
    """Return ones."""
    return ops.ones(shape, dtype)


def zeros_like(input: Any, dtype: Any = None, name: str | None = None) -> Any:
    """Return zeros in the shape of a tensor."""
    return ops.zeros_like(input, dtype)


def ones_like(input: Any, dtype: Any = None, name: str | None = None) -> Any:
    """Return ones in the shape of a tensor."""
    return ops.ones_like(input, dtype)


def fill(dims: Any, value: Any, name: str | None = None) -> Any:
    """Return one value all over."""
    return ops.full(dims, value, "int32" if isinstance(value, int) else floatx())


def range_(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = None) -> Any:
    """Return the numbers from start to before the limit."""
    return ops.arange(start, limit, delta, dtype)


def linspace(start: Any, stop: Any, num: int, name: str | None = None) -> Any:
    """Return numbers at equal distances."""
    return ops.linspace(start, stop, num)


def eye(num_rows: int, num_columns: int | None = None, dtype: Any = "float32", name: str | None = None) -> Any:
    """Return ones on the diagonal."""
    return ops.eye(num_rows, num_columns, 0, dtype)


def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
    """Return x in another dtype."""
    return ops.cast(x, dtype)


def reshape(tensor: Any, shape: Any, name: str | None = None) -> Any:
    """Return the same values in another shape; one size may be -1."""
    return ops.reshape(tensor, shape)


def transpose(a: Any, perm: Any = None, conjugate: bool = False, name: str | None = None) -> Any:
    """Return the axes in another order."""
    return ops.transpose(a, perm)


def expand_dims(input: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Any:
    """Return a tensor with an axis of size 1 more."""
    return ops.expand_dims(input, dim if axis is None else axis)


def squeeze(input: Any, axis: Any = None, name: str | None = None, squeeze_dims: Any = None) -> Any:
    """Return a tensor without axes of size 1."""
    return ops.squeeze(input, squeeze_dims if axis is None else axis)


def concat(values: Any, axis: Any, name: str | None = None) -> Any:
    """Return tensors one after the other; version 0 had the axis first."""
    return ops.concatenate(axis, values) if isinstance(values, int) else ops.concatenate(values, axis)


def stack(values: Any, axis: int = 0, name: str | None = None) -> Any:
    """Return tensors along a new axis."""
    return ops.stack(values, axis)


def unstack(value: Any, num: int | None = None, axis: int = 0, name: str | None = None) -> Any:
    """Return the slices along an axis."""
    if isinstance(value, Tensor):
        return ops.unstack(value, num, axis)
    count = value.shape[axis] if num is None else num
    lead = (slice(None),) * (axis % len(value.shape))
    return [value[(*lead, i)] for i in range(count)]


def split(value: Any, num_or_size_splits: Any, axis: int = 0, num: Any = None, name: str | None = None) -> Any:
    """Return the parts along an axis: so many equal ones, or of these sizes."""
    if isinstance(num_or_size_splits, int):
        count = num_or_size_splits
        step = value.shape[axis] // count
        bounds = [(i * step, (i + 1) * step) for i in range(count)]
    else:
        ends = np.cumsum([0, *num_or_size_splits]).tolist()
        bounds = list(itertools.pairwise(ends))
    lead = (slice(None),) * (axis % len(value.shape))
    return [value[(*lead, slice(a, b))] for a, b in bounds]


def gather(params: Any, indices: Any, axis: Any = 0, name: str | None = None) -> Any:
    """Return the slices that indices name."""
    return ops.take(params, indices, axis or 0)


def tile(input: Any, multiples: Any, name: str | None = None) -> Any:
    """Return copies side by side."""
    return ops.tile(input, multiples)


def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0, name: str | None = None) -> Any:
    """Return a tensor with a border."""
    return ops.pad(tensor, paddings, mode, constant_values)


def one_hot(
    indices: Any, depth: int, on_value: Any = None, off_value: Any = None, axis: int = -1, dtype: Any = None,
    name: str | None = None,
) -> Any:  # fmt: skip
    """Return a vector for each class."""
    return ops.one_hot(indices, depth, -1 if axis is None else axis, dtype)


def argmax(
    input: Any, axis: Any = None, dimension: Any = None, output_type: Any = None, name: str | None = None
) -> Any:
    """Return the index of the first largest value along an axis, the first one by default."""
    axis = dimension if axis is None else axis
    return ops.argmax(input, 0 if axis is None else axis)


def argmin(input: Any, axis: Any = None, name: str | None = None) -> Any:
    """Return the index of the first smallest value along an axis, the first one by default."""
    return ops.argmin(input, 0 if axis is None else axis)


def matmul(
    a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, name: str | None = None, **options: Any
) -> Any:
    """Return the product of the last two axes."""
    return ops.matmul(ops.swapaxes(a, -1, -2) if transpose_a else a, ops.swapaxes(b, -1, -2) if transpose_b else b)


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Any:
    """Return t limited to a range."""
    return ops.clip(t, clip_value_min, clip_value_max)


def clip_by_norm(t: Any, clip_norm: float, axes: Any = None, name: str | None = None) -> Any:
    """Return t, made shorter where it is longer than the norm."""
    return ops.multiply(t, ops.divide(clip_norm, ops.maximum(ops.norm(t), clip_norm)))


def add_n(inputs: Any, name: str | None = None) -> Any:
    """Return the sum of tensors."""
    y = inputs[0]
    for x in inputs[1:]:
        y = ops.add(y, x)
    return y


@op
def equal(x: Any, y: Any, name: str | None = None) -> Any:
    """Tell where two are equal."""
    return ops.equal(x, y)


@op
def random_shuffle(value: Any, seed: Any = None, name: str | None = None) -> Any:
    """Return the slices along the first axis in another order."""
    order = np.random.default_rng(seed).permutation(len(value))
    return of.gather(tensor_of(value), order, 0)


def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: Any = None, name: str | None = None) -> Any:
    """Return the norm over the axes."""
    return ops.norm(tensor, ord, axis, bool(keepdims))


def cond(pred: Any, true_fn: Any = None, false_fn: Any = None, name: str | None = None, **old: Any) -> Any:
    """Return what one of two functions returns."""
    true_fn, false_fn = old.get("fn1", true_fn), old.get("fn2", false_fn)
    if getattr(type(pred), "_deferred", None) is not None:
        return ops.where(pred, true_fn(), false_fn())
    return true_fn() if bool(convert_to_numpy(pred)) else false_fn()


def random_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32", seed: Any = None,
    name: str | None = None,
) -> Any:  # fmt: skip
    """Return normal random numbers."""
    return networks.random_normal(shape, mean, stddev, dtype)


def random_uniform(
    shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32", seed: Any = None, name: str | None = None
) -> Any:
    """Return random numbers that are equally likely between two."""
    return networks.random_uniform(shape, minval, 1 if maxval is None else maxval, dtype)


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32", seed: Any = None,
    name: str | None = None,
) -> Any:  # fmt: skip
    """Return normal random numbers within two standard deviations."""
    return networks.truncated_normal(shape, mean, stddev, dtype, seed)


def shape(input: Any, out_type: Any = None, name: str | None = None) -> Any:
    """Return the sizes of the axes."""
    return ops.shape(input)


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype."""
    return str(dtype_of(dtype))
