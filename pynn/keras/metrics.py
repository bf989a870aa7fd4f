"""Metrics, in Keras's names: update_state, result, reset_state."""

from __future__ import annotations

import inspect

import numpy as np

import pynn.metrics as own
from pynn.core.state import no_grad
from pynn.core.tensor import Tensor, tensor
from pynn.keras import losses
from pynn.keras.names import Named, absent, constructor, snake_case

__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "CategoricalAccuracy", "CategoricalCrossentropy",
    "CategoricalHinge", "CosineSimilarity", "F1Score", "FalseNegatives", "FalsePositives", "Hinge", "KLDivergence",
    "LogCoshError", "Mean", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanIoU", "MeanMetricWrapper",
    "MeanSquaredError", "MeanSquaredLogarithmicError", "Metric", "Poisson", "Precision", "R2Score", "Recall",
    "RootMeanSquaredError", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "SquaredHinge", "Sum", "TopKCategoricalAccuracy", "TrueNegatives", "TruePositives",
    "binary_accuracy", "categorical_accuracy", "deserialize", "get", "serialize", "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy", "top_k_categorical_accuracy",
]  # fmt: skip


def as_array(x):
    """Return a tensor, or what is like an array, as an array."""
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)


class Value:
    """A number, or an array of them, that a metric gathers in."""

    def __init__(self, shape=(), first=0.0, dtype=None):
        self.first = np.broadcast_to(np.asarray(first, "float64"), shape).copy()
        self.now = self.first.copy()

    def assign(self, value):
        """Set it."""
        self.now = np.broadcast_to(np.asarray(as_array(value), "float64"), self.now.shape).copy()
        return self

    def assign_add(self, value):
        """Add to it."""
        return self.assign(self.now + as_array(value))

    def assign_sub(self, value):
        """Subtract from it."""
        return self.assign(self.now - as_array(value))

    def numpy(self):
        """Return the value."""
        return self.now.astype("float32")

    @property
    def value(self):
        """The value."""
        return self.now

    @property
    def shape(self):
        """Its shape."""
        return self.now.shape

    def __array__(self, dtype=None, copy=None):
        return self.now.astype(dtype or "float64")

    def __float__(self):
        return float(self.now)


for _name in ("add", "sub", "mul", "truediv", "radd", "rmul"):
    setattr(Value, f"__{_name}__", lambda self, other, f=f"__{_name}__": getattr(self.now, f)(as_array(other)))


class Metric(own.Metric):
    """The base of metrics: write ``update_state(y_true, y_pred, sample_weight=None)`` and ``result()``."""

    def __init__(self, dtype=None, name=None, **kwargs):
        self._values = []
        self._made = False  # a class of one's own has no variables yet
        super().__init__(name or snake_case(type(self).__name__))
        self._made = True

    def add_weight(self, *args, shape=(), initializer="zeros", dtype=None, name=None, **kwargs):
        """Return a variable to gather in; it is 0, or what the initializer says, after reset_state()."""
        if args and not isinstance(args[0], str):
            shape = args[0]
        kind = initializer if isinstance(initializer, str) else type(initializer).__name__.lower()
        self._values.append(Value(shape, 1.0 if kind in ("ones", "one") else 0.0))
        return self._values[-1]

    add_variable = add_weight

    @property
    def variables(self):
        """The variables."""
        return self._values

    def update_state(self, y_true, y_pred=None, sample_weight=None):
        """Take in a batch."""
        raise NotImplementedError(f"[{self.name}] a metric must define update_state(y_true, y_pred, sample_weight).")

    def reset_state(self):
        """Forget all batches."""
        for value in self._values:
            value.assign(value.first)

    reset_states = reset_state

    def result(self):
        """Return the result of all batches."""
        raise NotImplementedError(f"[{self.name}] a metric must define result().")

    def __call__(self, *args, **kwargs):
        """Take in a batch, and return the result."""
        self.update_state(*args, **kwargs)
        return self.result()

    # What training calls

    def reset(self):
        """Forget all batches."""
        super().reset()
        if self._made:
            self.reset_state()

    def add(self, y_true, y_pred, weight):
        """Take in a batch of arrays."""
        with no_grad():
            given = {} if weight is None else {"sample_weight": tensor(weight)}
            self.update_state(tensor(y_true), tensor(y_pred), **given)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}>"

    def get_config(self):
        """Return the settings."""
        names = inspect.signature(type(self).__init__).parameters
        return {key: getattr(self, key, None) for key in list(names)[1:] if key not in ("kwargs", "dtype", "fn")}

    @classmethod
    def from_config(cls, config):
        """Return the metric of these settings."""
        return cls(**config)


class Mean(Metric):
    """The weighted mean of numbers."""

    def __init__(self, name="mean", dtype=None):
        super().__init__(dtype, name)
        self.total, self.count = self.add_weight(), self.add_weight()

    def update_state(self, values, sample_weight=None):
        values = np.asarray(as_array(values), "float64")
        w = np.ones(values.shape)
        if sample_weight is not None:
            given = np.asarray(as_array(sample_weight), "float64")
            while given.ndim > values.ndim and given.shape[-1] == 1:
                given = given[..., 0]
            w = np.broadcast_to(given.reshape(given.shape + (1,) * (values.ndim - given.ndim)), values.shape)
        self.total.assign_add((values * w).sum())
        self.count.assign_add(w.sum())

    def result(self):
        return float(self.total.now / self.count.now) if self.count.now else 0.0


class Sum(Metric):
    """The weighted sum of numbers."""

    def __init__(self, name="sum", dtype=None):
        super().__init__(dtype, name)
        self.total = self.add_weight()

    def update_state(self, values, sample_weight=None):
        values = np.asarray(as_array(values), "float64")
        self.total.assign_add((values if sample_weight is None else values * as_array(sample_weight)).sum())

    def result(self):
        return float(self.total.now)


class MeanMetricWrapper(Mean):
    """The mean of fn(y_true, y_pred)."""

    def __init__(self, fn, name=None, dtype=None, **kwargs):
        super().__init__(name or getattr(fn, "__name__", "mean"), dtype)
        self._fn, self._options = fn, kwargs

    def update_state(self, y_true, y_pred, sample_weight=None):
        with no_grad():
            y_true, y_pred = (y if isinstance(y, Tensor) else tensor(np.asarray(y)) for y in (y_true, y_pred))
            super().update_state(self._fn(y_true, y_pred, **self._options), sample_weight)


def _squeezed(a, b):
    a, b = as_array(a), as_array(b)
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        a = a[..., 0]
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        b = b[..., 0]
    return a, b


def accuracy(y_true, y_pred):
    """Return where both are equal, as 1 and 0."""
    a, b = _squeezed(y_true, y_pred)
    return (a == b).astype("float32")


def binary_accuracy(y_true, y_pred, threshold=0.5):
    """Return the share of answers, yes above the threshold, that are right."""
    a, b = _squeezed(y_true, y_pred)
    right = (a == (b > threshold)).astype("float32")
    return right.mean(-1) if right.ndim > 1 else right


def categorical_accuracy(y_true, y_pred):
    """Return where the largest of the last axis is that of the one-hot target."""
    return (as_array(y_true).argmax(-1) == as_array(y_pred).argmax(-1)).astype("float32")


def sparse_categorical_accuracy(y_true, y_pred):
    """Return where the largest of the last axis is the number of the class."""
    y, p = as_array(y_true), as_array(y_pred)
    y = y[..., 0] if y.ndim == p.ndim and y.shape[-1] == 1 else y
    return (y == p.argmax(-1)).astype("float32")


def top_k_categorical_accuracy(y_true, y_pred, k=5):
    """Return where the right class is among the k largest, of one-hot targets."""
    return sparse_top_k_categorical_accuracy(as_array(y_true).argmax(-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true, y_pred, k=5, from_sorted_ids=False):
    """Return where the right class is among the k largest, of numbers of classes."""
    y, p = as_array(y_true).astype("int64"), as_array(y_pred)
    y = y[..., 0] if y.ndim == p.ndim else y
    score = np.take_along_axis(p, y[..., None], -1)
    return ((p > score).sum(-1) < k).astype("float32")


def _accuracy_by_shape(y_true, y_pred):
    """Return what "accuracy" means beside a loss that does not tell: it goes by the shapes, as in Keras."""
    y, p = as_array(y_true), as_array(y_pred)
    if p.shape[-1] == 1:
        return binary_accuracy(y, p)
    return (categorical_accuracy if y.shape == p.shape else sparse_categorical_accuracy)(y, p)


def _mean_of(name, function, label=None, **defaults):
    """Return the class of a metric that is the mean of a function, with its options."""
    label = label or snake_case(name)

    def make(self, given):
        MeanMetricWrapper.__init__(self, function, given["name"], None, **{k: given[k] for k in defaults})
        vars(self).update({k: given[k] for k in defaults})

    lead = {"k": defaults["k"]} if "k" in defaults else {}
    first = {**lead, "name": label, "dtype": None, **{k: v for k, v in defaults.items() if k not in lead}}
    return type(name, (MeanMetricWrapper,), {"__init__": constructor(first, make, name), "__module__": __name__,
                                             "__doc__": f"The mean of {function.__name__}."})  # fmt: skip


Accuracy = _mean_of("Accuracy", accuracy)
BinaryAccuracy = _mean_of("BinaryAccuracy", binary_accuracy, threshold=0.5)
CategoricalAccuracy = _mean_of("CategoricalAccuracy", categorical_accuracy)
SparseCategoricalAccuracy = _mean_of("SparseCategoricalAccuracy", sparse_categorical_accuracy)
TopKCategoricalAccuracy = _mean_of("TopKCategoricalAccuracy", top_k_categorical_accuracy, k=5)
SparseTopKCategoricalAccuracy = _mean_of(
    "SparseTopKCategoricalAccuracy", sparse_top_k_categorical_accuracy, k=5, from_sorted_ids=False
)
MeanSquaredError = _mean_of("MeanSquaredError", losses.mean_squared_error)
MeanAbsoluteError = _mean_of("MeanAbsoluteError", losses.mean_absolute_error)
MeanAbsolutePercentageError = _mean_of("MeanAbsolutePercentageError", losses.mean_absolute_percentage_error)
MeanSquaredLogarithmicError = _mean_of("MeanSquaredLogarithmicError", losses.mean_squared_logarithmic_error)
LogCoshError = _mean_of("LogCoshError", losses.log_cosh, "logcosh")
CosineSimilarity = _mean_of("CosineSimilarity", losses.cosine_similarity, axis=-1)
KLDivergence = _mean_of("KLDivergence", losses.kl_divergence)
Poisson = _mean_of("Poisson", losses.poisson)
Hinge, SquaredHinge = _mean_of("Hinge", losses.hinge), _mean_of("SquaredHinge", losses.squared_hinge)
CategoricalHinge = _mean_of("CategoricalHinge", losses.categorical_hinge)
BinaryCrossentropy = _mean_of("BinaryCrossentropy", losses.binary_crossentropy, from_logits=False, label_smoothing=0)
CategoricalCrossentropy = _mean_of(
    "CategoricalCrossentropy", losses.categorical_crossentropy, from_logits=False, label_smoothing=0, axis=-1
)
SparseCategoricalCrossentropy = _mean_of(
    "SparseCategoricalCrossentropy",
    losses.sparse_categorical_crossentropy,
    from_logits=False,
    ignore_class=None,
    axis=-1,
)


class RootMeanSquaredError(MeanMetricWrapper):
    """The root of the mean squared error."""

    def __init__(self, name="root_mean_squared_error", dtype=None):
        super().__init__(losses.mean_squared_error, name, dtype)

    def result(self):
        return float(np.sqrt(super().result()))


class F1Score(Metric):
    """2 precision recall / (precision + recall), of each class or of their mean."""

    def __init__(self, average=None, threshold=None, name="f1_score", dtype=None):
        super().__init__(dtype, name)
        self.average, self.threshold = average, threshold
        self._sums = np.zeros((4, 1))

    def reset_state(self):
        self._sums = np.zeros((4, 1))

    def update_state(self, y_true, y_pred, sample_weight=None):
        y, p = as_array(y_true).astype("float64"), as_array(y_pred).astype("float64")
        p = (p == p.max(-1, keepdims=True)) * 1.0 if self.threshold is None else (p > self.threshold) * 1.0
        w = np.ones((len(y), 1)) if sample_weight is None else as_array(sample_weight).reshape(-1, 1)
        found = [(w * a).sum(0) for a in (y * p, (1 - y) * p, y * (1 - p), y)]
        self._sums = self._sums + np.stack(found)

    def result(self):
        tp, fp, fn, count = self._sums
        if self.average == "micro":
            tp, fp, fn = tp.sum(), fp.sum(), fn.sum()
        f1 = 2 * tp / np.maximum(2 * tp + fp + fn, 1e-7)
        if self.average == "macro":
            f1 = f1.mean()
        if self.average == "weighted":
            f1 = (f1 * count).sum() / max(count.sum(), 1e-7)
        return float(f1) if np.ndim(f1) == 0 else f1.astype("float32")


class MeanIoU(Metric):
    """The mean over classes of what targets and predictions share, by what they have together."""

    def __init__(self, num_classes, name=None, dtype=None, ignore_class=None, sparse_y_true=True, sparse_y_pred=True,
                 axis=-1):  # fmt: skip
        super().__init__(dtype, name or "mean_io_u")
        self.num_classes, self.ignore_class, self.axis = num_classes, ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred
        self.total_cm = self.add_weight((num_classes, num_classes))

    def update_state(self, y_true, y_pred, sample_weight=None):
        y, p = as_array(y_true), as_array(y_pred)
        y = y if self.sparse_y_true else y.argmax(self.axis)
        p = p if self.sparse_y_pred else p.argmax(self.axis)
        y, p = y.reshape(-1).astype("int64"), p.reshape(-1).astype("int64")
        w = np.ones(len(y)) if sample_weight is None else as_array(sample_weight).reshape(-1)
        if self.ignore_class is not None:
            w = w * (y != self.ignore_class)
            y = np.where(y == self.ignore_class, 0, y)
        table = np.zeros((self.num_classes, self.num_classes))
        np.add.at(table, (y, p), w)
        self.total_cm.assign_add(table)

    def result(self):
        table = self.total_cm.now
        both, whole = np.diag(table), table.sum(0) + table.sum(1) - np.diag(table)
        there = whole > 0
        return float((both[there] / whole[there]).mean()) if there.any() else 0.0


class R2Score(own.R2):
    """The coefficient of determination."""

    def __init__(self, class_aggregation="uniform_average", num_regressors=0, name="r2_score", dtype=None):
        super().__init__(name=name)

    update_state, reset_state = own.R2.update, own.R2.reset


class AUC(own.AUC):
    """The area under the curve of true against false positives; exact, whatever num_thresholds says."""

    def __init__(self, num_thresholds=200, curve="ROC", summation_method="interpolation", name=None, dtype=None,
                 thresholds=None, multi_label=False, num_labels=None, label_weights=None,
                 from_logits=False):  # fmt: skip
        if curve != "ROC":
            from pynn.keras.names import refused

            refused(f"AUC(curve={curve!r})", "there is 'ROC'")
        super().__init__(name=name or "auc")

    update_state, reset_state = own.AUC.update, own.AUC.reset


class _Counts(Metric):
    """Sums of right and wrong answers at a threshold."""

    def __init__(self, thresholds=None, top_k=None, class_id=None, name=None, dtype=None):
        super().__init__(dtype, name)
        self.thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        at = [0.5] if thresholds is None else [thresholds] if np.ndim(thresholds) == 0 else list(thresholds)
        self._at = np.asarray(at, "float64")
        self._counts = [self.add_weight(len(at)) if len(at) > 1 else self.add_weight((1,)) for _ in range(4)]

    def update_state(self, y_true, y_pred, sample_weight=None):
        y, p = _squeezed(y_true, y_pred)
        y, p = y.astype("float64"), p.astype("float64")
        w = np.ones(y.shape) if sample_weight is None else np.broadcast_to(
            as_array(sample_weight).reshape((-1,) + (1,) * (y.ndim - 1)), y.shape)  # fmt: skip
        if self.top_k is not None:
            p = (p >= np.sort(p, -1)[..., -self.top_k][..., None]).astype("float64")
        if self.class_id is not None:
            y, p, w = (a[..., self.class_id] for a in (y, p, w))
        yes = p.reshape(1, -1) > self._at[:, None]
        true, weight = y.reshape(1, -1) > 0.5, w.reshape(1, -1)
        for count, of in zip(self._counts, (yes & true, yes & ~true, ~yes & true, ~yes & ~true), strict=True):
            count.assign_add((of * weight).sum(1))

    def _told(self, value):
        return float(value[0]) if len(value) == 1 else value.astype("float32")


class Precision(_Counts):
    """True positives among all that are called positive."""

    def result(self):
        tp, fp, *_ = (c.now for c in self._counts)
        return self._told(tp / np.maximum(tp + fp, 1e-7))


class Recall(_Counts):
    """True positives among all that are positive."""

    def result(self):
        tp, _, fn, _ = (c.now for c in self._counts)
        return self._told(tp / np.maximum(tp + fn, 1e-7))


class _Count(_Counts):
    place = 0

    def __init__(self, thresholds=None, name=None, dtype=None):
        super().__init__(thresholds, name=name, dtype=dtype)

    def result(self):
        return self._told(self._counts[self.place].now)


class TruePositives(_Count):
    """How many positives are called so."""


class FalsePositives(_Count):
    """How many negatives are called positive."""

    place = 1


class FalseNegatives(_Count):
    """How many positives are called negative."""

    place = 2


class TrueNegatives(_Count):
    """How many negatives are called so."""

    place = 3


_CLASSES = [globals()[name] for name in __all__ if name[0].isupper() and name != "Metric"]
_ALIASES = {"mse": MeanSquaredError, "mae": MeanAbsoluteError, "mape": MeanAbsolutePercentageError,
            "msle": MeanSquaredLogarithmicError, "rmse": RootMeanSquaredError, "auc": AUC, "AUC": AUC,
            "logcosh": LogCoshError, "log_cosh": LogCoshError, "cosine_proximity": CosineSimilarity,
            "kullback_leibler_divergence": KLDivergence, "kl_divergence": KLDivergence,
            "fmeasure": None}  # fmt: skip
_NAMES = Named("metric", own.Metric, _CLASSES, {k: v for k, v in _ALIASES.items() if v is not None})
mse = MSE = mean_squared_error = losses.mean_squared_error
mae = MAE = mean_absolute_error = losses.mean_absolute_error
mape = MAPE = losses.mean_absolute_percentage_error
binary_crossentropy, categorical_crossentropy = losses.binary_crossentropy, losses.categorical_crossentropy
sparse_categorical_crossentropy = losses.sparse_categorical_crossentropy


def get(identifier):
    """Return the metric of a name, a class or a config; functions and objects as they are."""
    return _NAMES.get(identifier)


def serialize(metric):
    """Return the config of a metric."""
    return _NAMES.serialize(metric)


def deserialize(config, custom_objects=None):
    """Return the metric of a config."""
    return _NAMES.deserialize(config, custom_objects)


def for_training(identifier, loss):
    """Return the metric as pynn's training takes it; "accuracy" is that of the loss and its targets."""
    if isinstance(identifier, dict):
        identifier = deserialize(identifier)
    if identifier in ("accuracy", "acc"):
        binary = getattr(loss, "activation", None) == "sigmoid"
        if getattr(loss, "task", None) == "values":  # mse and the like
            return MeanMetricWrapper(_accuracy_by_shape, identifier)
        return (own.BinaryAccuracy if binary else own.Accuracy)(name=identifier)
    if isinstance(identifier, str):
        found = _NAMES.find(identifier)
        made = found(name=identifier)
        return made
    if isinstance(identifier, type):
        return identifier()
    if isinstance(identifier, own.Metric):
        return identifier
    if isinstance(identifier, losses.Loss):
        return MeanMetricWrapper(identifier.call, identifier.name)
    return MeanMetricWrapper(identifier)


__getattr__ = absent(__name__, __all__)
