"""Functions of tensors under TensorFlow's names and arguments, those of version 1 among them."""

from __future__ import annotations

import itertools

import numpy as np

from pynn import ops as of
from pynn.core.tensor import Tensor
from pynn.keras import ops
from pynn.keras.config import floatx
from pynn.keras.ops import arithmetic
from pynn.keras.ops.arrays import convert_to_numpy, dtype_of, op, sizes, tensor_of


def _axes(options, axis, keepdims):
    """Return axis and keepdims, which were called otherwise in version 1."""
    axis = options.pop("reduction_indices", options.pop("axis", axis))
    keepdims = options.pop("keep_dims", keepdims)
    for name in options:
        if name != "name":
            raise TypeError(f"[reduce] unknown keyword argument. Received: {name}=. Known: axis, keepdims, name.")
    return axis, bool(keepdims)


def _reduced(function, title):
    def call(input_tensor, axis=None, keepdims=False, name=None, **options):
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


def constant(value, dtype=None, shape=None, name: str | None = None, verify_shape: bool = False):
    """Return a tensor of these values."""
    x = tensor_of(value, dtype)
    if dtype is None and x.dtype == np.int64:
        x = tensor_of(x, "int32")
    return x if shape is None else of.expand(x, sizes(shape)) if x.size == 1 else x.reshape(sizes(shape))


def convert_to_tensor(value, dtype=None, dtype_hint=None, name: str | None = None):
    """Return a tensor of what can be one."""
    return ops.convert_to_tensor(value, dtype)


def zeros(shape, dtype="float32", name: str | None = None):
    """Return zeros."""
    return ops.zeros(shape, dtype)


def ones(shape, dtype="float32", name: str | None = None):
    """Return ones."""
    return ops.ones(shape, dtype)


def zeros_like(input, dtype=None, name: str | None = None):
    """Return zeros in the shape of a tensor."""
    return ops.zeros_like(input, dtype)


def ones_like(input, dtype=None, name: str | None = None):
    """Return ones in the shape of a tensor."""
    return ops.ones_like(input, dtype)


def fill(dims, value, name: str | None = None):
    """Return one value all over."""
    return ops.full(dims, value, "int32" if isinstance(value, int) else floatx())


def range_(start, limit=None, delta=1, dtype=None, name: str | None = None):
    """Return the numbers from start to before the limit."""
    return ops.arange(start, limit, delta, dtype)


def linspace(start, stop, num: int, name: str | None = None):
    """Return numbers at equal distances."""
    return ops.linspace(start, stop, num)


def eye(num_rows: int, num_columns: int | None = None, dtype="float32", name: str | None = None):
    """Return ones on the diagonal."""
    return ops.eye(num_rows, num_columns, 0, dtype)


def cast(x, dtype, name: str | None = None):
    """Return x in another dtype."""
    return ops.cast(x, dtype)


def reshape(tensor, shape, name: str | None = None):
    """Return the same values in another shape; one size may be -1."""
    return ops.reshape(tensor, shape)


def transpose(a, perm=None, conjugate: bool = False, name: str | None = None):
    """Return the axes in another order."""
    return ops.transpose(a, perm)


def expand_dims(input, axis=None, name: str | None = None, dim=None):
    """Return a tensor with an axis of size 1 more."""
    return ops.expand_dims(input, dim if axis is None else axis)


def squeeze(input, axis=None, name: str | None = None, squeeze_dims=None):
    """Return a tensor without axes of size 1."""
    return ops.squeeze(input, squeeze_dims if axis is None else axis)


def concat(values, axis, name: str | None = None):
    """Return tensors one after the other; version 0 had the axis first."""
    return ops.concatenate(axis, values) if isinstance(values, int) else ops.concatenate(values, axis)


def stack(values, axis: int = 0, name: str | None = None):
    """Return tensors along a new axis."""
    return ops.stack(values, axis)


def unstack(value, num: int | None = None, axis: int = 0, name: str | None = None):
    """Return the slices along an axis."""
    if isinstance(value, Tensor):
        return ops.unstack(value, num, axis)
    count = value.shape[axis] if num is None else num
    lead = (slice(None),) * (axis % len(value.shape))
    return [value[(*lead, i)] for i in range(count)]


def split(value, num_or_size_splits, axis: int = 0, num=None, name: str | None = None):
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


def gather(params, indices, axis=0, name: str | None = None):
    """Return the slices that indices name."""
    return ops.take(params, indices, axis or 0)


def tile(input, multiples, name: str | None = None):
    """Return copies side by side."""
    return ops.tile(input, multiples)


def pad(tensor, paddings, mode: str = "CONSTANT", constant_values=0, name: str | None = None):
    """Return a tensor with a border."""
    return ops.pad(tensor, paddings, mode, constant_values)


def one_hot(indices, depth: int, on_value=None, off_value=None, axis: int = -1, dtype=None, name: str | None = None):
    """Return a vector for each class."""
    return ops.one_hot(indices, depth, -1 if axis is None else axis, dtype)


def argmax(input, axis=None, dimension=None, output_type=None, name: str | None = None):
    """Return the index of the first largest value along an axis, the first one by default."""
    axis = dimension if axis is None else axis
    return ops.argmax(input, 0 if axis is None else axis)


def argmin(input, axis=None, name: str | None = None):
    """Return the index of the first smallest value along an axis, the first one by default."""
    return ops.argmin(input, 0 if axis is None else axis)


def matmul(a, b, transpose_a: bool = False, transpose_b: bool = False, name: str | None = None, **options):
    """Return the product of the last two axes."""
    return ops.matmul(ops.swapaxes(a, -1, -2) if transpose_a else a, ops.swapaxes(b, -1, -2) if transpose_b else b)


def clip_by_value(t, clip_value_min, clip_value_max, name: str | None = None):
    """Return t limited to a range."""
    return ops.clip(t, clip_value_min, clip_value_max)


def clip_by_norm(t, clip_norm: float, axes=None, name: str | None = None):
    """Return t, made shorter where it is longer than the norm."""
    return ops.multiply(t, ops.divide(clip_norm, ops.maximum(ops.norm(t), clip_norm)))


def add_n(inputs, name: str | None = None):
    """Return the sum of tensors."""
    y = inputs[0]
    for x in inputs[1:]:
        y = ops.add(y, x)
    return y


@op
def equal(x, y, name: str | None = None):
    """Tell where two are equal."""
    return ops.equal(x, y)


@op
def random_shuffle(value, seed=None, name: str | None = None):
    """Return the slices along the first axis in another order."""
    order = np.random.default_rng(seed).permutation(len(value))
    return of.gather(tensor_of(value), order, 0)


def norm(tensor, ord="euclidean", axis=None, keepdims=None, name: str | None = None):
    """Return the norm over the axes."""
    return ops.norm(tensor, ord, axis, bool(keepdims))


def cond(pred, true_fn=None, false_fn=None, name: str | None = None, **old):
    """Return what one of two functions returns."""
    true_fn, false_fn = old.get("fn1", true_fn), old.get("fn2", false_fn)
    if getattr(type(pred), "_deferred", None) is not None:
        return ops.where(pred, true_fn(), false_fn())
    return true_fn() if bool(convert_to_numpy(pred)) else false_fn()


def random_normal(shape, mean: float = 0.0, stddev: float = 1.0, dtype="float32", seed=None, name: str | None = None):
    """Return normal random numbers."""
    return arithmetic.random_normal(shape, mean, stddev, dtype)


def random_uniform(shape, minval=0, maxval=None, dtype="float32", seed=None, name: str | None = None):
    """Return random numbers that are equally likely between two."""
    return arithmetic.random_uniform(shape, minval, 1 if maxval is None else maxval, dtype)


def truncated_normal(shape, mean: float = 0.0, stddev: float = 1.0, dtype="float32", seed=None,
                     name: str | None = None):  # fmt: skip
    """Return normal random numbers within two standard deviations."""
    return arithmetic.truncated_normal(shape, mean, stddev, dtype, seed)


def shape(input, out_type=None, name: str | None = None):
    """Return the sizes of the axes."""
    return ops.shape(input)


def dtype_name(dtype) -> str:
    """Return the name of a dtype."""
    return str(dtype_of(dtype))
