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

from pynn.errors import unknown_name
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

__all__ = [
    "AUC",
    "F1",
    "MAE",
    "MSE",
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
_NAMES = {cls.name: cls for cls in _CLASSES}
# Passed as a metric, one of our functions means the exact metric over all batches, not a mean of its batch values.
_FUNCTIONS = {getattr(functions, "top_k_accuracy" if name == "top_k" else name): cls for name, cls in _NAMES.items()}


def get(metric: Any) -> Metric:
    """Return the metric of a name, a function or an object.

    Parameters
    ----------
    metric : str, Metric or callable
        A name gives a new object. A function of (y_true, y_pred) gives the mean of its values.

    Raises
    ------
    ValueError
        If the name is not known; the message gives the nearest known one.
    TypeError
        If it is none of these.

    Examples
    --------
    >>> get("accuracy")
    <Accuracy 'accuracy': no samples>
    >>> get(f1)
    <F1 'f1': no samples>
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        if metric not in _NAMES:
            raise ValueError(unknown_name("metric", metric, _NAMES))
        return _NAMES[metric]()
    if isinstance(metric, type) or not callable(metric):
        raise TypeError(
            f"[metrics] expected a name, a Metric or a function. Received: {metric!r}. "
            "help: pass for instance 'accuracy' or pynn.metrics.TopK(k=3)."
        )
    return _FUNCTIONS[metric]() if metric in _FUNCTIONS else Mean(metric)


def higher_is_better(name: str) -> bool | None:
    """Return whether more of a logged value is better, None if its name does not tell.

    Examples
    --------
    >>> higher_is_better("val_accuracy"), higher_is_better("loss"), higher_is_better("mine")
    (True, False, None)
    """
    name = name.removeprefix("val_")
    if name == "loss":
        return False
    return _NAMES[name].higher_is_better if name in _NAMES else None
