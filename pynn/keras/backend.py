"""``keras.backend``: functions of tensors under the names that Keras had before 3."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pynn import ops as of
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.keras import config, ops
from pynn.keras.config import backend as backend
from pynn.keras.config import epsilon as epsilon
from pynn.keras.config import floatx as floatx
from pynn.keras.config import image_data_format as image_data_format
from pynn.keras.config import set_epsilon as set_epsilon
from pynn.keras.config import set_floatx as set_floatx
from pynn.keras.config import set_image_data_format as set_image_data_format
from pynn.keras.derivatives import gradients as gradients
from pynn.keras.names import absent
from pynn.keras.names import reset_uids as reset_names
from pynn.keras.ops import arithmetic, arrays
from pynn.keras.ops.arrays import convert_to_numpy, op, sizes, tensor_of, value
from pynn.keras.symbols import KerasTensor

_SAME = (
    "abs all any arange argmax argmin binary_crossentropy cast categorical_crossentropy clip concatenate cos "
    "cumsum dot elu equal exp expand_dims eye greater greater_equal in_top_k l2_normalize less less_equal log "
    "logsumexp max maximum mean min minimum ndim not_equal one_hot ones_like prod relu reshape round "
    "sigmoid sign sin size softmax softplus softsign sparse_categorical_crossentropy sqrt square squeeze stack "
    "std stop_gradient sum tanh tile transpose var zeros_like "
)
globals().update({name: getattr(ops, name) for name in _SAME.split()})
pow = ops.power
random_normal = arithmetic.random_normal
random_uniform = arithmetic.random_uniform
random_binomial = random_bernoulli = arithmetic.random_binomial
truncated_normal = arithmetic.truncated_normal
is_tensor = arrays.is_tensor
learning_phases = [None]


def cast_to_floatx(x):
    """Return an array, or a tensor, of floatx()."""
    return ops.cast(x, floatx()) if is_tensor(x) else np.asarray(x, floatx())


def image_dim_ordering() -> str:
    """Return "tf" or "th", as Keras 1 has it."""
    return "tf" if image_data_format() == "channels_last" else "th"


def set_image_dim_ordering(dim_ordering: str):
    """Set "tf" or "th", as Keras 1 has it."""
    config.set_image_data_format({"tf": "channels_last", "th": "channels_first"}.get(dim_ordering, dim_ordering))


def variable(value, dtype=None, name: str | None = None, constraint=None):
    """Return a tensor whose values set_value() and update() change."""
    made = Tensor.state(convert_to_numpy(tensor_of(value, dtype or (None if is_tensor(value) else floatx()))))
    made.requires_grad, made.name = True, name or "variable"
    return made


def constant(value, dtype=None, shape=None, name: str | None = None) -> Tensor:
    """Return a tensor of these values."""
    x = tensor_of(value, dtype or floatx())
    return x if shape is None else of.expand(x, sizes(shape)) if x.size == 1 else x.reshape(sizes(shape))


def placeholder(shape=None, ndim: int | None = None, dtype=None, sparse: bool = False, name: str | None = None):
    """Return a symbol whose values function() is given."""
    from pynn.keras import Input

    if sparse:
        raise TypeError("[placeholder] expected dense data. Received: sparse=True.")
    dims = tuple(shape) if shape is not None else (None,) * (ndim or 1)
    return Input(batch_shape=dims, dtype=dtype, name=name)


def zeros(shape, dtype=None, name: str | None = None):
    """Return a variable of zeros."""
    return variable(np.zeros(sizes(shape)), dtype, name)


def ones(shape, dtype=None, name: str | None = None):
    """Return a variable of ones."""
    return variable(np.ones(sizes(shape)), dtype, name)


def random_normal_variable(shape, mean: float, scale: float, dtype=None, name: str | None = None, seed=None):
    """Return a variable of normal random numbers."""
    return variable(random_normal(shape, mean, scale), dtype, name)


def random_uniform_variable(shape, low: float, high: float, dtype=None, name: str | None = None, seed=None):
    """Return a variable of random numbers that are equally likely between two."""
    return variable(random_uniform(shape, low, high), dtype, name)


def eval(x):
    """Return the values as an array."""
    return convert_to_numpy(x)


get_value = eval


def set_value(x, value):
    """Write values into a variable."""
    held = _held(x)
    held.view()[...] = np.asarray(value)


def batch_get_value(tensors: Sequence[Any]) -> list[Any]:
    """Return the values of several."""
    return [get_value(x) for x in tensors]


def batch_set_value(tuples: Sequence[tuple[Any, Any]]):
    """Write the values of several."""
    for x, new in tuples:
        set_value(x, new)


def update(x, new_x):
    """Write values into a variable, now."""
    set_value(x, convert_to_numpy(new_x))
    return x


def update_add(x, increment):
    """Add to a variable, now."""
    return update(x, ops.add(x, increment))


def update_sub(x, decrement):
    """Subtract from a variable, now."""
    return update(x, ops.subtract(x, decrement))


def _held(x):
    held = value(x)
    if not isinstance(held, Tensor):
        raise TypeError(f"[backend] expected a variable. Received: {type(x).__name__}.")
    return held


def int_shape(x):
    """Return the sizes of the axes; None where a symbol leaves one open."""
    return tuple(x.shape) if hasattr(x, "shape") else ops.shape(x)


def dtype(x) -> str:
    """Return the name of a tensor's dtype."""
    return str(getattr(value(x), "dtype", floatx()))


def count_params(x) -> int:
    """Return the number of elements."""
    return int(np.prod(int_shape(x)))


def _extent(x, axis):
    return np.int64(x.shape[axis])


def shape(x) -> tuple[Any, ...]:
    """Return the sizes of the axes; where a symbol leaves one open, a symbol of it."""
    found = ops.shape(x)
    if not isinstance(x, KerasTensor):
        return found
    return tuple(KerasTensor.lifted(_extent, x, i) if n is None else n for i, n in enumerate(found))


def permute_dimensions(x, pattern: Sequence[int]):
    """Return x with its axes in another order."""
    return ops.transpose(x, tuple(pattern))


def flatten(x):
    """Return all values in one axis."""
    return ops.ravel(x)


@op
def batch_flatten(x) -> Tensor:
    """Return each sample as one row."""
    x = tensor_of(x)
    return x.reshape((x.shape[0], -1))


@op
def batch_dot(x, y, axes=None) -> Tensor:
    """Return the product of each sample of x with that of y, summed over an axis of each."""
    x, y = tensor_of(x), tensor_of(y)
    if axes is None:
        axes = [x.ndim - 1, y.ndim - 2 if y.ndim > 2 else 1]
    a, b = (axes, axes) if isinstance(axes, int) else axes
    a, b = a % x.ndim, b % y.ndim
    left, right = ops.moveaxis(x, a, -1), ops.moveaxis(y, b, 1)
    n = x.shape[a]
    out = of.matmul(left.reshape((x.shape[0], -1, n)), right.reshape((y.shape[0], n, -1)))
    shape = (x.shape[0], *left.shape[1:-1], *right.shape[2:])
    return out.reshape(shape if len(shape) > 1 else (x.shape[0], 1))


@op
def repeat_elements(x, rep: int, axis: int) -> Tensor:
    """Return x with each slice along an axis so many times."""
    return ops.repeat(x, rep, axis)


@op
def repeat(x, n: int) -> Tensor:
    """Return rows [N, F] n times each, [N, n, F]."""
    x = tensor_of(x)
    return of.expand(x.reshape((x.shape[0], 1, x.shape[1])), (x.shape[0], n, x.shape[1]))


@op
def reverse(x, axes) -> Tensor:
    """Return x with the order along axes turned round."""
    return ops.flip(x, axes)


@op
def gather(reference, indices) -> Tensor:
    """Return the slices along the first axis that the indices name."""
    return ops.take(reference, indices, 0)


@op
def hard_sigmoid(x) -> Tensor:
    """Return 0.2 x + 0.5 within 0 and 1, as Keras 2 has it."""
    return of.clip(tensor_of(x, floatx()) * 0.2 + 0.5, 0.0, 1.0)


@op
def bias_add(x, bias, data_format: str | None = None) -> Tensor:
    """Return x with a number for each channel added."""
    b = tensor_of(bias)
    first = (data_format or image_data_format()) == "channels_first"
    x = tensor_of(x)
    return of.add(x, b.reshape((-1, *(1,) * (x.ndim - 2))) if first and x.ndim > 2 else b)


@op
def conv1d(x, kernel, strides: int = 1, padding: str = "valid", data_format: str | None = None) -> Tensor:
    """Return the convolution of sequences."""
    return arithmetic.conv(x, kernel, strides, padding, data_format)


@op
def conv2d(x, kernel, strides=(1, 1), padding: str = "valid", data_format: str | None = None) -> Tensor:
    """Return the convolution of images."""
    return arithmetic.conv(x, kernel, strides, padding, data_format)


@op
def pool2d(x, pool_size, strides=(1, 1), padding: str = "valid", data_format: str | None = None,
           pool_mode: str = "max") -> Tensor:  # fmt: skip
    """Return the largest value, or the mean, of each window."""
    pool = arithmetic.max_pool if pool_mode == "max" else arithmetic.average_pool
    return pool(x, pool_size, strides, padding, data_format)


@op
def resize_images(x, height_factor: int, width_factor: int, data_format: str | None = None,
                  interpolation: str = "nearest") -> Tensor:  # fmt: skip
    """Return images enlarged by whole factors."""
    images, first = arithmetic._images(x, data_format)
    return arithmetic._back(of.upsample2d(images, (height_factor, width_factor), interpolation), first)


@op
def spatial_2d_padding(x, padding=((1, 1), (1, 1)), data_format: str | None = None) -> Tensor:
    """Return images with zeros round them."""
    images, first = arithmetic._images(x, data_format)
    return arithmetic._back(of.pad2d(images, (*padding[0], *padding[1])), first)


@op
def temporal_padding(x, padding: tuple[int, int] = (1, 1)) -> Tensor:
    """Return sequences with zeros before and after."""
    return ops.pad(x, [(0, 0), padding, (0, 0)])


@op
def dropout(x, level: float, noise_shape=None, seed=None) -> Tensor:
    """Return x with a part of it 0 and the others larger in turn."""
    return arithmetic.dropout(x, level, noise_shape, seed)


@op
def in_train_phase(x, alt, training=None):
    """Return x while a model trains, else the alternative; both may be functions."""
    chosen = x if (state.training if training is None else training) else alt
    return chosen() if callable(chosen) and not isinstance(chosen, Tensor) else chosen


def in_test_phase(x, alt, training=None):
    """Return x unless a model trains."""
    return in_train_phase(alt, x, training)


@op
def switch(condition, then_expression, else_expression):
    """Return one of two, element by element where the condition is a tensor of more than one."""
    a, b = (e() if callable(e) and not isinstance(e, Tensor) else e for e in (then_expression, else_expression))
    return ops.where(condition, a, b)


def map_fn(fn: Callable[..., Any], elems, name: str | None = None, dtype=None):
    """Return fn of each slice along the first axis, stacked."""
    return ops.stack([fn(x) for x in ops.unstack(elems)])


def learning_phase() -> int:
    """Return 1 while a model trains, else 0."""
    return int(state.training) if learning_phases[0] is None else learning_phases[0]


def set_learning_phase(value: int):
    """Take note: functions of models that are called by hand run as in this phase."""
    learning_phases[0] = int(value)


class _Function:
    """What function() returns: values of symbols for values of others."""

    def __init__(self, inputs, outputs):
        from pynn.keras import Model

        self.single = not isinstance(outputs, (list, tuple))
        self.wanted = [outputs] if self.single else list(outputs)
        phase = [isinstance(x, (int, bool)) for x in inputs]
        self.phase = phase.index(True) if True in phase else None
        given = [x for x, is_phase in zip(inputs, phase, strict=True) if not is_phase]
        self.model = Model(given, [x for x in self.wanted if isinstance(x, KerasTensor)])

    def __call__(self, inputs):
        xs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        xs = [x if is_tensor(x) or isinstance(x, (bool, int)) else np.asarray(x) for x in xs]
        training = bool(learning_phases[0])
        if self.phase is not None:
            training = bool(xs.pop(self.phase))
        given = xs if len(xs) > 1 else xs[0]
        rows = {np.shape(x)[:1] for x in xs}
        if training or len(rows) > 1 or rows == {()} or rows == {(0,)}:
            found = self.model(given, training=training)
        else:  # recorded at the first call; all rows at once, as sums over them may be among the outputs
            found = self.model.predict(given, batch_size=len(xs[0]), verbose=0)
        values = iter(found if isinstance(found, (list, tuple)) else [found])
        out = [convert_to_numpy(next(values) if isinstance(x, KerasTensor) else x) for x in self.wanted]
        return out[0] if self.single else out


def function(inputs: Sequence[Any], outputs, updates=None, name: str | None = None) -> Callable[..., Any]:
    """Return a function from values of the inputs to values of the outputs, as arrays.

    Parameters
    ----------
    inputs : list of symbols
        learning_phase() may be among them.
    outputs : symbol or list of symbols
    updates : optional
        None: there is no graph that would be changed later.
    name : str, optional
    """
    if updates:
        raise NotImplementedError("[function] expected no updates. Received: some. help: write Model.train_step().")
    return _Function(inputs, outputs)


def print_tensor(x, message: str = ""):
    """Print a value where there is one, and return it."""
    if state.recorder is None and not isinstance(x, KerasTensor):
        print(message, x)
    return x


def is_keras_tensor(x) -> bool:
    """Tell whether x is a symbol of a functional model."""
    return isinstance(x, KerasTensor)


def clear_session():
    """Forget how many layers were named; nothing else is kept between models."""
    learning_phases[0] = None
    reset_uids()


def get_uid(prefix: str = "") -> int:
    """Return 1, 2, ... for each call with a prefix."""
    _uids[prefix] = _uids.get(prefix, 0) + 1
    return _uids[prefix]


_uids = {}


def reset_uids():
    """Count from 1 again."""
    _uids.clear()
    reset_names()


def set_session(session):
    """Do nothing: there is no session that could be set up otherwise."""


def manual_variable_initialization(value: bool):
    """Do nothing: variables have values from the start."""


@contextlib.contextmanager
def name_scope(name: str, values=None):
    """Do nothing inside a ``with`` block."""
    yield name


_HIDDEN = [
    "Any", "Callable", "KerasTensor", "Sequence", "Tensor", "annotations", "arithmetic", "arrays", "config",
    "contextlib", "convert_to_numpy", "dtype_of", "learning_phases", "missing", "np", "of", "op", "ops",
    "replaced", "reset_names", "sizes", "state", "tensor_of", "value",
]  # fmt: skip
__all__ = sorted(name for name in globals() if not name.startswith("_") and name not in _HIDDEN)

__getattr__ = absent(__name__, __all__)
