"""The metrics as functions of whole arrays. Shapes, options and errors are those of the classes."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from pynn.metrics.base import Array, Metric
from pynn.metrics.classification import Accuracy, BinaryAccuracy, ConfusionMatrix, TopK
from pynn.metrics.perclass import F1, Precision, Recall
from pynn.metrics.ranking import AUC
from pynn.metrics.regression import MAE, MSE, R2

__all__ = [
    "accuracy",
    "auc",
    "binary_accuracy",
    "confusion_matrix",
    "f1",
    "mae",
    "mse",
    "precision",
    "r2",
    "recall",
    "top_k_accuracy",
]


def _once(metric: Metric, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> Any:
    metric.update(y_true, y_pred, sample_weight)
    return metric.result()


def accuracy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    from_logits: bool = False,
    multilabel: bool = False,
) -> float:
    """Return the part of predictions that is right; see `Accuracy`.

    Parameters
    ----------
    y_true : array_like
        Targets.
    y_pred : array_like
        Predictions.
    sample_weight : array_like [N], optional
        Weights of samples.
    from_logits : bool, default False
        Whether predictions are logits.
    multilabel : bool, default False
        Whether columns are labels of their own, several of which may be true.

    Examples
    --------
    >>> accuracy([0, 1], [[0.9, 0.1], [0.8, 0.2]])
    0.5
    """
    return float(_once(Accuracy(from_logits=from_logits, multilabel=multilabel), y_true, y_pred, sample_weight))


def binary_accuracy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    threshold: float = 0.5,
    from_logits: bool = False,
) -> float:
    """Return the part of elements on the right side of the threshold; see `BinaryAccuracy`.

    Parameters
    ----------
    y_true : array_like
        Targets.
    y_pred : array_like
        Predictions.
    sample_weight : array_like [N], optional
        Weights of samples.
    threshold : float, default 0.5
        From which probability on it is class 1.
    from_logits : bool, default False
        Whether predictions are logits.

    Examples
    --------
    >>> binary_accuracy([0, 1], [0.2, 0.4]), binary_accuracy([0, 1], [0.2, 0.4], threshold=0.3)
    (0.5, 1.0)
    """
    return float(_once(BinaryAccuracy(threshold=threshold, from_logits=from_logits), y_true, y_pred, sample_weight))


def top_k_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None, k: int = 5
) -> float:
    """Return the part of rows whose true class is among the k highest scores; see `TopK`.

    Parameters
    ----------
    y_true : array_like
        Targets.
    y_pred : array_like
        Predictions.
    sample_weight : array_like [N], optional
        Weights of samples.
    k : int, default 5
        Among how many of the highest scores the class must be.

    Examples
    --------
    >>> top_k_accuracy([0, 0], [[0.3, 0.2, 0.5], [0.1, 0.2, 0.7]], k=2)
    0.5
    """
    return float(_once(TopK(k), y_true, y_pred, sample_weight))


def confusion_matrix(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    classes: int | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    threshold: float = 0.5,
    from_logits: bool = False,
) -> Array:
    """Return [C, C] with the number of samples of class i (row) predicted as class j; see `ConfusionMatrix`.

    Parameters
    ----------
    y_true : array_like
        Targets.
    y_pred : array_like
        Predictions.
    classes : int, optional
        By default those that occur.
    sample_weight : array_like [N], optional
        Weights of samples.
    threshold : float, default 0.5
        From which probability on it is class 1.
    from_logits : bool, default False
        Whether predictions are logits.

    Examples
    --------
    >>> confusion_matrix([0, 0, 1], [0, 2, 1]).tolist()
    [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    """
    metric = ConfusionMatrix(classes=classes, threshold=threshold, from_logits=from_logits)
    matrix: Array = _once(metric, y_true, y_pred, sample_weight)
    return matrix


def precision(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    average: str = "auto",
    threshold: float = 0.5,
    from_logits: bool = False,
    multilabel: bool = False,
) -> float:
    """Return right / predicted, averaged over classes; see `Precision`.

    Parameters
    ----------
    y_true : array_like
        Targets.
    y_pred : array_like
        Predictions.
    sample_weight : array_like [N], optional
        Weights of samples.
    average : {"auto", "binary", "macro", "micro", "weighted"}, default "auto"
        See :class:`Precision`.
    threshold : float, default 0.5
        From which probability on it is class 1.
    from_logits : bool, default False
        Whether predictions are logits.
    multilabel : bool, default False
        Whether columns are labels of their own, several of which may be true.

    Examples
    --------
    >>> precision([1, 0, 0, 1], [1, 1, 0, 0])
    0.5
    """
    metric = Precision(average=average, threshold=threshold, from_logits=from_logits, multilabel=multilabel)
    return float(_once(metric, y_true, y_pred, sample_weight))


def recall(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    average: str = "auto",
    threshold: float = 0.5,
    from_logits: bool = False,
    multilabel: bool = False,
) -> float:
    """Return right / actual, averaged over classes; see `Recall`.

    Parameters
    ----------
    y_true : array_like
        Targets.
    y_pred : array_like
        Predictions.
    sample_weight : array_like [N], optional
        Weights of samples.
    average : {"auto", "binary", "macro", "micro", "weighted"}, default "auto"
        See :class:`Precision`.
    threshold : float, default 0.5
        From which probability on it is class 1.
    from_logits : bool, default False
        Whether predictions are logits.
    multilabel : bool, default False
        Whether columns are labels of their own, several of which may be true.

    Examples
    --------
    >>> recall([1, 0, 0, 1], [1, 1, 0, 1])
    1.0
    """
    metric = Recall(average=average, threshold=threshold, from_logits=from_logits, multilabel=multilabel)
    return float(_once(metric, y_true, y_pred, sample_weight))


def f1(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    average: str = "auto",
    threshold: float = 0.5,
    from_logits: bool = False,
    multilabel: bool = False,
) -> float:
    """Return the harmonic mean of precision and recall, averaged over classes; see `F1`.

    Parameters
    ----------
    y_true : array_like
        Targets.
    y_pred : array_like
        Predictions.
    sample_weight : array_like [N], optional
        Weights of samples.
    average : {"auto", "binary", "macro", "micro", "weighted"}, default "auto"
        See :class:`Precision`.
    threshold : float, default 0.5
        From which probability on it is class 1.
    from_logits : bool, default False
        Whether predictions are logits.
    multilabel : bool, default False
        Whether columns are labels of their own, several of which may be true.

    Examples
    --------
    >>> f1([1, 0, 0, 1], [1, 1, 0, 0])
    0.5
    """
    metric = F1(average=average, threshold=threshold, from_logits=from_logits, multilabel=multilabel)
    return float(_once(metric, y_true, y_pred, sample_weight))


def auc(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    from_logits: bool = False,
    multilabel: bool = False,
) -> float:
    """Return the area under the ROC curve; see `AUC`.

    Parameters
    ----------
    y_true : array_like
        Targets.
    y_pred : array_like
        Predictions.
    sample_weight : array_like [N], optional
        Weights of samples.
    from_logits : bool, default False
        Whether predictions are logits.
    multilabel : bool, default False
        Whether columns are labels of their own, several of which may be true.

    Examples
    --------
    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    return float(_once(AUC(from_logits=from_logits, multilabel=multilabel), y_true, y_pred, sample_weight))


def mse(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the mean squared error; see `MSE`.

    Parameters
    ----------
    y_true : array_like
        Targets.
    y_pred : array_like
        Predictions.
    sample_weight : array_like [N], optional
        Weights of samples.

    Examples
    --------
    >>> mse([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    return float(_once(MSE(), y_true, y_pred, sample_weight))


def mae(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the mean absolute error; see `MAE`.

    Parameters
    ----------
    y_true : array_like
        Targets.
    y_pred : array_like
        Predictions.
    sample_weight : array_like [N], optional
        Weights of samples.

    Examples
    --------
    >>> mae([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    return float(_once(MAE(), y_true, y_pred, sample_weight))


def r2(y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """Return the coefficient of determination; see `R2`.

    Parameters
    ----------
    y_true : array_like
        Targets.
    y_pred : array_like
        Predictions.
    sample_weight : array_like [N], optional
        Weights of samples.

    Examples
    --------
    >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    0.5
    """
    return float(_once(R2(), y_true, y_pred, sample_weight))
