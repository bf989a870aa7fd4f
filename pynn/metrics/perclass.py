"""Precision, recall and F1 of classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.errors import unknown_name
from pynn.metrics.base import Array, ratio, spread
from pynn.metrics.classification import Classifier

__all__ = ["F1", "Precision", "Recall"]

AVERAGES = ("auto", "binary", "macro", "micro", "weighted")


class PerClass(Classifier):
    """Base of precision, recall and F1: for every class what was right, predicted and true.

    Parameters
    ----------
    average : {"auto", "binary", "macro", "micro", "weighted"}, default "auto"
        "binary": class 1 of two. "macro": the mean over all classes that occur. "weighted": the same, weighted with
        the number of true samples. "micro": over all samples at once. "auto": "binary" for two classes, else "macro".
    threshold, from_logits, name
        As for `Classifier`.

    Notes
    -----
    A quotient 0/0 counts as 0. Multi-label rows [N, L] are not told from one-hot rows: flatten them first.
    """

    def __init__(self, *, average: str = "auto", **settings: Any) -> None:
        if average not in AVERAGES:
            raise ValueError(f"[{type(self).__name__}] {unknown_name('average', average, AVERAGES)}")
        self.average = average
        super().__init__(**settings)

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self.tallies = np.zeros((3, 2))

    def add(self, y_true: Array, y_pred: Array, weight: Array | None) -> None:
        """Count what is right, predicted and true per class."""
        true, pred, classes = self.labels(y_true, y_pred)
        needed = max(classes, int(true.max()) + 1, int(pred.max()) + 1)
        have = self.tallies.shape[1]
        if needed > have:
            self.tallies = np.pad(self.tallies, ((0, 0), (0, needed - have)))
        size = self.tallies.shape[1]
        weights = spread(weight, true.shape)
        hits = true == pred
        self.tallies += [
            np.bincount(true[hits], weights[hits], minlength=size),
            np.bincount(pred.ravel(), weights.ravel(), minlength=size),
            np.bincount(true.ravel(), weights.ravel(), minlength=size),
        ]

    def value(self) -> float:
        """Return the average over classes."""
        size = self.tallies.shape[1]
        average = ("binary" if size == 2 else "macro") if self.average == "auto" else self.average
        if average == "micro":
            return float(self.score(*self.tallies.sum(axis=1)))
        right, predicted, actual = self.tallies
        scores = self.score(right, predicted, actual)
        if average == "binary":
            if size > 2:
                raise ValueError(
                    f"[{self.name}] expected two classes for average='binary'. Received: {size} classes. "
                    "help: use average='macro', 'micro' or 'weighted'."
                )
            return float(scores[1])
        occurs = predicted + actual > 0
        weights = actual if average == "weighted" else occurs.astype(np.float64)
        return ratio(float((scores * weights).sum()), float(weights.sum()))

    def score(self, right: Any, predicted: Any, actual: Any) -> Any:
        """Return the quantity from the numbers of right, predicted and actual samples, scalars or [C]."""
        raise NotImplementedError


def _quotient(part: Any, whole: Any) -> Any:
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


class Precision(PerClass):
    """precision = right / predicted, per class, then averaged.

    Examples
    --------
    >>> metric = Precision()
    >>> metric.update([1, 0, 0, 1], [0.9, 0.8, 0.1, 0.2])
    >>> metric.result()
    0.5
    """

    name = "precision"

    def score(self, right: Any, predicted: Any, actual: Any) -> Any:
        """Return right / predicted."""
        return _quotient(right, predicted)


class Recall(PerClass):
    """recall = right / actual, per class, then averaged.

    Examples
    --------
    >>> metric = Recall()
    >>> metric.update([1, 0, 0, 1], [0.9, 0.8, 0.1, 0.2])
    >>> metric.result()
    0.5
    """

    name = "recall"

    def score(self, right: Any, predicted: Any, actual: Any) -> Any:
        """Return right / actual."""
        return _quotient(right, actual)


class F1(PerClass):
    """F1 = 2 * right / (predicted + actual), the harmonic mean of precision and recall, per class, then averaged.

    Examples
    --------
    >>> metric = F1()
    >>> metric.update([1, 0, 0, 1], [0.9, 0.1, 0.1, 0.2])
    >>> round(metric.result(), 4)
    0.6667
    """

    name = "f1"

    def score(self, right: Any, predicted: Any, actual: Any) -> Any:
        """Return 2 * right / (predicted + actual)."""
        return _quotient(2 * right, predicted + actual)
