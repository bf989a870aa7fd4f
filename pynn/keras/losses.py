"""Losses, in Keras's names and orders: (y_true, y_pred)."""

from __future__ import annotations

import functools

import numpy as np

import pynn.losses as own
from pynn import ops
from pynn.core.tensor import Tensor
from pynn.keras.names import Configured, Named, absent, constructor, refused
from pynn.keras.symbols import KerasTensor
from pynn.losses.base import like
from pynn.ops.common import as_tensor

__all__ = [
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalHinge", "CosineSimilarity", "Hinge", "Huber", "KLDivergence", "LogCosh", "Loss", "MeanAbsoluteError",
    "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson",
    "SparseCategoricalCrossentropy", "SquaredHinge", "binary_crossentropy", "binary_focal_crossentropy",
    "categorical_crossentropy", "categorical_hinge", "cosine_similarity", "deserialize", "get", "hinge", "huber",
    "kl_divergence", "log_cosh", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error", "poisson", "serialize", "sparse_categorical_crossentropy", "squared_hinge",
]  # fmt: skip

EPSILON = 1e-7


def lifting(function):
    """Return a function that takes symbols, too: losses are terms of add_loss() in functional models."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        return KerasTensor.lifted(function, *args, **kwargs)

    return call


def _last(x):
    return ops.mean(x, axis=-1) if x.ndim else x


def _pair(y_true, y_pred):
    y_pred = as_tensor(y_pred if isinstance(y_pred, Tensor) else np.asarray(y_pred, "float32"))
    y_true = as_tensor(y_true if isinstance(y_true, Tensor) else np.asarray(y_true))
    return like(y_true, y_pred), y_pred


@lifting
def mean_squared_error(y_true, y_pred):
    """Return the mean of (y_true - y_pred)**2 over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    return _last(ops.square(y_pred - y_true))


@lifting
def mean_absolute_error(y_true, y_pred):
    """Return the mean of |y_true - y_pred| over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    return _last(ops.abs(y_pred - y_true))


@lifting
def mean_absolute_percentage_error(y_true, y_pred):
    """Return 100 times the mean of |(y_true - y_pred) / y_true| over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    return _last(ops.abs((y_true - y_pred) / ops.maximum(ops.abs(y_true), EPSILON))) * 100.0


@lifting
def mean_squared_logarithmic_error(y_true, y_pred):
    """Return the mean of (log(y_true + 1) - log(y_pred + 1))**2 over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    a, b = (ops.log(ops.maximum(y, EPSILON) + 1.0) for y in (y_pred, y_true))
    return _last(ops.square(a - b))


@lifting
def huber(y_true, y_pred, delta=1.0):
    """Return the mean of d**2 / 2 for small differences d, and of delta |d| - delta**2 / 2 for large ones."""
    y_true, y_pred = _pair(y_true, y_pred)
    d = ops.abs(y_pred - y_true)
    return _last(ops.where(ops.less(delta, d), d * delta - 0.5 * delta**2, ops.square(d) * 0.5))


@lifting
def log_cosh(y_true, y_pred):
    """Return the mean of log(cosh(y_pred - y_true)) over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    d = y_pred - y_true
    return _last(d + ops.softplus(d * -2.0) - float(np.log(2.0)))


@lifting
def poisson(y_true, y_pred):
    """Return the mean of y_pred - y_true log(y_pred) over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    return _last(y_pred - y_true * ops.log(y_pred + EPSILON))


@lifting
def kl_divergence(y_true, y_pred):
    """Return the sum of y_true log(y_true / y_pred) over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    a, b = (ops.clip(y, EPSILON, 1.0) for y in (y_true, y_pred))
    return ops.sum(a * (ops.log(a) - ops.log(b)), axis=-1)


def _signs(y_true):
    if not np.isin(y_true.view() if not isinstance(y_true, np.ndarray) else y_true, (0, 1)).all():
        return y_true
    return y_true * 2.0 - 1.0


@lifting
def hinge(y_true, y_pred):
    """Return the mean of max(1 - y_true y_pred, 0) over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    return _last(ops.relu(1.0 - _signs(y_true) * y_pred))


@lifting
def squared_hinge(y_true, y_pred):
    """Return the mean of max(1 - y_true y_pred, 0)**2 over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    return _last(ops.square(ops.relu(1.0 - _signs(y_true) * y_pred)))


@lifting
def categorical_hinge(y_true, y_pred):
    """Return max(neg - pos + 1, 0), with the score of the right class and the best of the others."""
    y_true, y_pred = _pair(y_true, y_pred)
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.relu(wrong - right + 1.0)


def _unit(x, axis):
    return x / ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), 1e-12))


@lifting
def cosine_similarity(y_true, y_pred, axis=-1):
    """Return the cosine between both."""
    y_true, y_pred = _pair(y_true, y_pred)
    return ops.sum(_unit(y_true, axis) * _unit(y_pred, axis), axis=axis)


def _smoothed(y_true, smoothing, classes):
    return y_true * (1.0 - smoothing) + smoothing / classes if smoothing else y_true


def _log_softmax(y_pred, from_logits, axis=-1):
    if axis not in (-1, y_pred.ndim - 1):
        refused("a cross-entropy along another axis than the last", "transpose the outputs")
    if from_logits:
        return ops.log_softmax(y_pred)
    p = y_pred / ops.sum(y_pred, axis=-1, keepdims=True)
    return ops.log(ops.clip(p, EPSILON, 1.0 - EPSILON))


@lifting
def categorical_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """Return -sum(y_true log(y_pred)) over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing, y_pred.shape[-1])
    return -ops.sum(y_true * _log_softmax(y_pred, from_logits, axis), axis=-1)


@lifting
def sparse_categorical_crossentropy(y_true, y_pred, from_logits=False, ignore_class=None, axis=-1):
    """Return -log(y_pred[y_true]), for numbers of classes."""
    y_pred = as_tensor(y_pred if isinstance(y_pred, Tensor) else np.asarray(y_pred, "float32"))
    y = as_tensor(y_true if isinstance(y_true, Tensor) else np.asarray(y_true)).astype("int32")
    if y.ndim == y_pred.ndim and y.shape[-1] == 1:
        y = ops.reshape(y, y.shape[:-1])
    rows, classes = y.size, y_pred.shape[-1]
    hot = ops.reshape(ops.eye_rows(ops.reshape(y, (rows,)), classes, y_pred.dtype), (*y.shape, classes))
    found = -ops.sum(hot * _log_softmax(y_pred, from_logits, axis), axis=-1)
    return found if ignore_class is None else found * ops.not_equal(y, ignore_class).astype(found.dtype)


@lifting
def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """Return the mean of -y_true log(y_pred) - (1 - y_true) log(1 - y_pred) over the last axis."""
    y_true, y_pred = _pair(y_true, y_pred)
    return _last(_binary(_smoothed(y_true, label_smoothing, 2), y_pred, from_logits))


def _binary(y_true, y_pred, from_logits):
    if from_logits:
        return ops.softplus(y_pred) - y_true * y_pred
    p = ops.clip(y_pred, EPSILON, 1.0 - EPSILON)
    return -(y_true * ops.log(p) + (1.0 - y_true) * ops.log(1.0 - p))


@lifting
def binary_focal_crossentropy(y_true, y_pred, apply_class_balancing=False, alpha=0.25, gamma=2.0, from_logits=False,
                              label_smoothing=0.0, axis=-1):  # fmt: skip
    """Return the binary cross-entropy times (1 - p of the truth)**gamma."""
    y_true, y_pred = _pair(y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing, 2)
    p = ops.sigmoid(y_pred) if from_logits else y_pred
    truth = y_true * p + (1.0 - y_true) * (1.0 - p)
    found = ops.pow(ops.clip(1.0 - truth, EPSILON, 1.0), gamma) * _binary(y_true, p, False)
    if apply_class_balancing:
        found = found * (y_true * alpha + (1.0 - y_true) * (1.0 - alpha))
    return _last(found)


@lifting
def categorical_focal_crossentropy(y_true, y_pred, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0,
                                   axis=-1):  # fmt: skip
    """Return the cross-entropy, with every class weighed by alpha (1 - p)**gamma."""
    y_true, y_pred = _pair(y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing, y_pred.shape[-1])
    log_p = _log_softmax(y_pred, from_logits, axis)
    p = ops.exp(log_p)
    return -ops.sum(ops.pow(ops.clip(1.0 - p, EPSILON, 1.0), gamma) * y_true * log_p * alpha, axis=-1)


class Loss(Configured):
    """The base of losses: write ``call(y_true, y_pred)``."""

    def __init__(self, name=None, reduction="sum_over_batch_size", dtype=None):
        self.name = name or type(self).__name__
        self.reduction = "sum_over_batch_size" if reduction in (None, "auto", "mean") else reduction
        if reduction in (None, "none"):
            self.reduction = None

    def call(self, y_true, y_pred):
        """Return the loss of every sample."""
        raise NotImplementedError(f"[{type(self).__name__}] a loss must define call(y_true, y_pred).")

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Return the loss, reduced."""
        y_pred = as_tensor(y_pred if isinstance(y_pred, Tensor) else np.asarray(y_pred, "float32"))
        y_true = as_tensor(y_true if isinstance(y_true, Tensor) else np.asarray(y_true))
        each = self.call(y_true, y_pred)
        if sample_weight is not None:
            w = as_tensor(np.asarray(sample_weight, "float32"))
            each = each * (ops.reshape(w, (*w.shape, *(1,) * (each.ndim - w.ndim))) if w.ndim < each.ndim else w)
        if self.reduction is None:
            return each
        return ops.sum(each) if self.reduction == "sum" else ops.mean(each)

    def for_training(self):
        """Return the loss as pynn's training takes it."""
        made = own.FunctionLoss(lambda y_true, y_pred: self.call(y_true, y_pred), self.name)
        return _Summed(made) if self.reduction == "sum" else made


class _Summed(own.Loss):
    """The sum of the losses of a batch in the place of their mean."""

    def __init__(self, inner):
        self.inner, self.name = inner, inner.name
        self.task, self.activation, self.from_logits = inner.task, inner.activation, inner.from_logits

    def each(self, y_pred, y_true):
        return self.inner.each(y_pred, y_true) * float(y_pred.shape[0])

    def check_targets(self, y, shape):
        return self.inner.check_targets(y, shape)

    def of_logits(self):
        return _Summed(self.inner.of_logits())


def _loss_class(name, function, made=None, **defaults):
    """Return the class of a loss that is a function, with its options."""
    label = "huber_loss" if name == "Huber" else function.__name__
    all_defaults = {**defaults, "reduction": "sum_over_batch_size", "name": label, "dtype": None}
    if "ignore_class" in defaults:  # as Keras has it, the axis comes after the reduction
        all_defaults = {key: all_defaults[key] for key in ("from_logits", "ignore_class", "reduction", "axis", "name",
                                                           "dtype")}  # fmt: skip

    def make(self, given):
        Loss.__init__(self, *(given.pop(key) for key in ("name", "reduction", "dtype")))
        vars(self).update(given)

    def call(self, y_true, y_pred):
        return function(y_true, y_pred, **{key: getattr(self, key) for key in defaults})

    def for_training(self):
        settings = {key: getattr(self, key) for key in defaults}
        found = None if made is None else made(**settings)
        if found is None:
            return Loss.for_training(self)
        return _Summed(found) if self.reduction == "sum" else found

    doc = f"{(function.__doc__ or '').removeprefix('Return ').splitlines()[0].capitalize()}"
    return type(name, (Loss,), {
        "__init__": constructor(all_defaults, make, name), "call": call, "for_training": for_training, "__doc__": doc,
        "__module__": __name__,
    })  # fmt: skip


class _Rows(own.CrossEntropy):
    """Cross-entropy whose rows of targets may sum to anything, as in Keras: a row of zeros is padding."""

    name = "cross_entropy"

    def check_targets(self, y, shape):
        y = np.asarray(y)
        return y.astype("float32") if y.shape == shape and y.dtype.kind in "fiub" else super().check_targets(y, shape)


def _cross(from_logits, label_smoothing, axis):
    return _Rows(from_logits=from_logits, label_smoothing=label_smoothing) if axis == -1 else None


def _sparse(ignore_class, from_logits, axis):
    return own.CrossEntropy(from_logits=from_logits) if ignore_class is None and axis == -1 else None


class _Labels(own.BinaryCrossEntropy):
    """Binary cross-entropy whose labels may lie beyond 0 and 1, as in Keras: those of some GANs are noisy."""

    name = "binary_cross_entropy"

    def check_targets(self, y, shape):
        y = np.asarray(y)
        if y.dtype.kind == "f" and y.shape == shape and np.isfinite(y).all():
            return y.astype("float32")
        return super().check_targets(y, shape)


def _binary_cross(from_logits, label_smoothing, axis):
    return _Labels(from_logits=from_logits, label_smoothing=label_smoothing)


MeanSquaredError = _loss_class("MeanSquaredError", mean_squared_error, own.MSE)
MeanAbsoluteError = _loss_class("MeanAbsoluteError", mean_absolute_error, own.MAE)
MeanAbsolutePercentageError = _loss_class("MeanAbsolutePercentageError", mean_absolute_percentage_error)
MeanSquaredLogarithmicError = _loss_class("MeanSquaredLogarithmicError", mean_squared_logarithmic_error)
Huber = _loss_class("Huber", huber, own.Huber, delta=1.0)
LogCosh = _loss_class("LogCosh", log_cosh)
Poisson = _loss_class("Poisson", poisson)
KLDivergence = _loss_class("KLDivergence", kl_divergence)
Hinge = _loss_class("Hinge", hinge, own.Hinge)
SquaredHinge = _loss_class("SquaredHinge", squared_hinge, own.SquaredHinge)
CategoricalHinge = _loss_class("CategoricalHinge", categorical_hinge)
CategoricalCrossentropy = _loss_class(
    "CategoricalCrossentropy", categorical_crossentropy, _cross, from_logits=False, label_smoothing=0.0, axis=-1
)
SparseCategoricalCrossentropy = _loss_class(
    "SparseCategoricalCrossentropy", sparse_categorical_crossentropy, _sparse, from_logits=False, ignore_class=None,
    axis=-1,
)  # fmt: skip
BinaryCrossentropy = _loss_class(
    "BinaryCrossentropy", binary_crossentropy, _binary_cross, from_logits=False, label_smoothing=0.0, axis=-1
)
BinaryFocalCrossentropy = _loss_class(
    "BinaryFocalCrossentropy", binary_focal_crossentropy, apply_class_balancing=False, alpha=0.25, gamma=2.0,
    from_logits=False, label_smoothing=0.0, axis=-1,
)  # fmt: skip
CategoricalFocalCrossentropy = _loss_class(
    "CategoricalFocalCrossentropy", categorical_focal_crossentropy, alpha=0.25, gamma=2.0, from_logits=False,
    label_smoothing=0.0, axis=-1,
)  # fmt: skip


def _negative_cosine(y_true, y_pred, axis=-1):
    return -cosine_similarity(y_true, y_pred, axis)


_negative_cosine.__name__, _negative_cosine.__doc__ = "cosine_similarity", "Return minus the cosine between both."
CosineSimilarity = _loss_class("CosineSimilarity", _negative_cosine, axis=-1)

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh, bce, BCE, cosine, cosine_proximity = log_cosh, binary_crossentropy, binary_crossentropy, None, None
cosine_proximity = cosine = _negative_cosine

_CLASSES = [
    MeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredLogarithmicError, Huber, LogCosh,
    Poisson, KLDivergence, Hinge, SquaredHinge, CategoricalHinge, CategoricalCrossentropy,
    SparseCategoricalCrossentropy, BinaryCrossentropy, BinaryFocalCrossentropy, CategoricalFocalCrossentropy,
    CosineSimilarity,
]  # fmt: skip
_ALIASES = {"mse": MeanSquaredError, "mae": MeanAbsoluteError, "mape": MeanAbsolutePercentageError,
            "msle": MeanSquaredLogarithmicError, "kld": KLDivergence, "kullback_leibler_divergence": KLDivergence,
            "logcosh": LogCosh, "bce": BinaryCrossentropy, "cosine_proximity": CosineSimilarity,
            "kl_divergence": KLDivergence, "huber_loss": Huber, "cosine": CosineSimilarity}  # fmt: skip
_NAMES = Named("loss", Loss, _CLASSES, _ALIASES)
_BY_FUNCTION = {thing: _NAMES.table[key] for key, thing in list(globals().items()) if key in _NAMES.table}


def get(identifier):
    """Return the function of a name, or the object of a config; functions and objects as they are."""
    if isinstance(identifier, str):
        found = _NAMES.find(identifier)
        functions = {made: function for function, made in _BY_FUNCTION.items() if not isinstance(function, type)}
        return functions.get(found, found() if isinstance(found, type) else found)
    return _NAMES.get(identifier)


def serialize(loss):
    """Return the name of a function, or the config of an object."""
    return _NAMES.serialize(loss)


def deserialize(name, custom_objects=None):
    """Return the loss of a name or config."""
    return _NAMES.deserialize(name, custom_objects)


class Nothing(own.Loss):
    """No loss: what layers add (add_loss) is all that is minimized."""

    name = "none"

    def each(self, y_pred, y_true):
        return ops.zeros((y_pred.shape[0],), "float32")

    def check_targets(self, y, shape: tuple[int, ...]):
        return np.zeros((shape[0],), "float32")


def for_training(identifier):
    """Return the loss as pynn's training takes it, of whatever compile() takes."""
    if identifier is None or isinstance(identifier, own.Loss):
        return identifier
    if isinstance(identifier, str):
        identifier = _NAMES.find(identifier)
        identifier = identifier() if isinstance(identifier, type) else identifier
    if callable(identifier) and not isinstance(identifier, (Loss, type)) and identifier in _BY_FUNCTION:
        identifier = _BY_FUNCTION[identifier]()
    if isinstance(identifier, type):
        identifier = identifier()
    if isinstance(identifier, dict):
        identifier = deserialize(identifier)
    if isinstance(identifier, Loss):
        return identifier.for_training()
    return own.FunctionLoss(lambda y_true, y_pred: identifier(y_true, y_pred), getattr(identifier, "__name__", "loss"))


__getattr__ = absent(__name__, __all__)
