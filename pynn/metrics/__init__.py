"""Metrics: what training reports beside the loss.

Every metric is an object with `reset`, `update` and `result`, has a name for `compile(metrics=["accuracy"])`, and is
also a function of whole arrays.

Examples
--------
>>> from pynn import metrics
>>> metrics.accuracy([0, 1], [[0.9, 0.1], [0.6, 0.4]])
0.5
"""

from __future__ import annotations

from typing import Any

from pynn.checks import of_kind
from pynn.metrics import functions
from pynn.metrics.base import Mean, Metric
from pynn.metrics.classification import Accuracy, BinaryAccuracy, ConfusionMatrix, TopK
from pynn.metrics.functions import (
    accuracy,
    auc,
    binary_accuracy,
    confusion_matrix,
    f1,
    mae,
    mse,
    precision,
    r2,
    recall,
    top_k_accuracy,
)
from pynn.metrics.perclass import F1, Precision, Recall
from pynn.metrics.ranking import AUC
from pynn.metrics.regression import MAE, MSE, R2
from pynn.names import Registry

__all__ = [
    "AUC",
    "F1",
    "MAE",
    "MSE",
    "NAMES",
    "R2",
    "Accuracy",
    "BinaryAccuracy",
    "ConfusionMatrix",
    "Mean",
    "Metric",
    "Precision",
    "Recall",
    "TopK",
    "accuracy",
    "auc",
    "binary_accuracy",
    "confusion_matrix",
    "f1",
    "get",
    "higher_is_better",
    "mae",
    "mse",
    "precision",
    "r2",
    "recall",
    "top_k_accuracy",
]

_CLASSES: tuple[type[Metric], ...] = (Accuracy, TopK, BinaryAccuracy, Precision, Recall, F1, AUC, MSE, MAE, R2)
# Passed as a metric, one of our functions means the exact metric over all batches, not a mean of its batch values.
_FUNCTIONS = {getattr(functions, "top_k_accuracy" if cls is TopK else cls.name): cls for cls in _CLASSES}


def _of_function(function: Any) -> Metric | None:
    if not callable(function):
        return None
    return _FUNCTIONS[function]() if function in _FUNCTIONS else Mean(function)


NAMES: Registry[Metric] = Registry(
    "metric",
    Metric,
    {cls.name: cls for cls in _CLASSES},
    convert=_of_function,
    expected="a name, a Metric or a function",
    place="metrics",
    remedy="pass for instance 'accuracy' or pynn.metrics.TopK(k=3).",
)


def get(metric: Any) -> Metric:
    """Return the metric of a name, a class, a function or an object.

    Parameters
    ----------
    metric : str, Metric, type or callable
        A name or a class gives a new object. A function of (y_true, y_pred) gives the mean of its values.

    Raises
    ------
    ValueError
        If the name is not known; the message gives the nearest known one.
    TypeError
        If it is none of these.

    Examples
    --------
    >>> get("accuracy"), get(Accuracy)
    (<Accuracy 'accuracy': no samples>, <Accuracy 'accuracy': no samples>)
    >>> get(f1)
    <F1 'f1': no samples>
    """
    return NAMES.resolve(metric)


def higher_is_better(name: str) -> bool | None:
    """Return whether more of a logged value is better, None if its name does not tell.

    Examples
    --------
    >>> higher_is_better("val_accuracy"), higher_is_better("loss"), higher_is_better("mine")
    (True, False, None)
    >>> higher_is_better("val_price_mae")  # of the output price
    False
    """
    name = of_kind("higher_is_better", "name", name, "the name of a logged value", "removeprefix").removeprefix("val_")
    if name == "loss" or name.endswith("_loss"):
        return False
    known = [cls for cls in _CLASSES if cls.name == name] or [c for c in _CLASSES if name.endswith(f"_{c.name}")]
    return max(known, key=lambda cls: len(cls.name)).higher_is_better if known else None
