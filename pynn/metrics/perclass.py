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
        the number of true samples. "micro": over all samples at once. "auto": "binary" for two classes, else "macro";
        for several labels per row "micro", over all questions at once, as in Keras.
    threshold : float, default 0.5
        From which probability on it is class 1.
    from_logits : bool, default False
        Whether predictions are logits.
    name : str, optional
        In logs and results.
    multilabel : bool, default False
        Whether columns are labels of their own; what is said of classes then holds for labels.

    Notes
    -----
    A quotient 0/0 counts as 0.
    """

    def __init__(
        self,
        *,
        average: str = "auto",
        threshold: float = 0.5,
        from_logits: bool = False,
        name: str | None = None,
        multilabel: bool = False,
    ) -> None:
        if average not in AVERAGES:
            raise ValueError(f"[{type(self).__name__}] {unknown_name('average', average, AVERAGES)}")
        self.average = average
        super().__init__(threshold=threshold, from_logits=from_logits, name=name, multilabel=multilabel)

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self.tallies = np.zeros((3, 2))

    def add(self, y_true: Array, y_pred: Array, weight: Array | None) -> None:
        """Count what is right, predicted and true per class."""
        counts = self.per_label(y_true, y_pred, weight) if self.several else self.per_class(y_true, y_pred, weight)
        size = max(counts.shape[1], self.tallies.shape[1])
        self.tallies, counts = (np.pad(t, ((0, 0), (0, size - t.shape[1]))) for t in (self.tallies, counts))
        self.tallies += counts

    def per_class(self, y_true: Array, y_pred: Array, weight: Array | None) -> Array:
        """Return (right, predicted, true) of every class, [3, C]."""
        true, pred, classes = self.labels(y_true, y_pred)
        size = max(classes, int(true.max()) + 1, int(pred.max()) + 1)
        weights = spread(weight, true.shape)
        hits = true == pred
        parts = (true[hits], weights[hits]), (pred.ravel(), weights.ravel()), (true.ravel(), weights.ravel())
        return np.stack([np.bincount(which, w, minlength=size) for which, w in parts])

    def per_label(self, y_true: Array, y_pred: Array, weight: Array | None) -> Array:
        """Return (right, predicted, true) of every label, [3, L]."""
        true, pred = self.questions(y_true, y_pred)
        columns = y_pred.shape[-1] if y_pred.ndim > 1 else 1
        weights = spread(weight, true.shape)
        return np.stack([(weights * yes).reshape(-1, columns).sum(0) for yes in (true & pred, pred, true)])

    def value(self) -> float:
        """Return the average over classes."""
        size = self.tallies.shape[1]
        average = self.average
        if self.several and average in ("auto", "binary"):
            average = "micro"
        elif average == "auto":
            average = "binary" if size == 2 else "macro"
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

    Parameters
    ----------
    average : {"auto", "binary", "macro", "micro", "weighted"}, default "auto"
        See :class:`Precision`.
    threshold : float, default 0.5
        From which probability on it is class 1.
    from_logits : bool, default False
        Whether predictions are logits.
    name : str, optional
        In logs and results.
    multilabel : bool, default False
        Whether columns are labels of their own, several of which may be true.

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

    Parameters
    ----------
    average : {"auto", "binary", "macro", "micro", "weighted"}, default "auto"
        See :class:`Precision`.
    threshold : float, default 0.5
        From which probability on it is class 1.
    from_logits : bool, default False
        Whether predictions are logits.
    name : str, optional
        In logs and results.
    multilabel : bool, default False
        Whether columns are labels of their own, several of which may be true.

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

    Parameters
    ----------
    average : {"auto", "binary", "macro", "micro", "weighted"}, default "auto"
        See :class:`Precision`.
    threshold : float, default 0.5
        From which probability on it is class 1.
    from_logits : bool, default False
        Whether predictions are logits.
    name : str, optional
        In logs and results.
    multilabel : bool, default False
        Whether columns are labels of their own, several of which may be true.

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
