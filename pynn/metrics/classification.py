"""Metrics of classifiers: right or wrong, top k, and the confusion matrix.

The form of the task is read from the shapes, after a last dimension of 1 is dropped:

====================  ====================  ==============================================
y_pred                y_true                meaning
====================  ====================  ==============================================
[N, C] scores         [N] whole numbers     labels 0 ... C-1
[N, C] scores         [N, C]                one-hot or soft targets; their largest counts
[N] floats            [N] of 0/1 or -1/+1   one binary score per row
[N] whole numbers     [N] whole numbers     labels against labels
====================  ====================  ==============================================

Scores may be probabilities or logits: the largest is the same. N may be several dimensions, as in [batch, time].
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynn.checks import number, positive
from pynn.errors import DataError
from pynn.metrics.base import Array, Metric, drop_last, ratio, spread

__all__ = ["Accuracy", "BinaryAccuracy", "Classifier", "ConfusionMatrix", "TopK"]

Labels = NDArray[np.int64]


class Classifier(Metric):
    """Base of metrics that compare class labels.

    Parameters
    ----------
    threshold : float, default 0.5
        A binary score above it is class 1; a probability in (0, 1), also when the scores are logits.
    from_logits : bool, default False
        Whether a binary score is a logit; the threshold becomes log(threshold / (1 - threshold)).
    name : str, optional
        Key of the result in logs and history.
    """

    def __init__(self, *, threshold: float = 0.5, from_logits: bool = False, name: str | None = None) -> None:
        self.threshold = number(type(self).__name__, "threshold", threshold, 0, 1, open_low=True, open_high=True)
        self.from_logits = from_logits
        super().__init__(name)

    def above(self, scores: Array) -> NDArray[np.bool_]:
        """Return which binary scores mean class 1."""
        cut = math.log(self.threshold / (1 - self.threshold)) if self.from_logits else self.threshold
        return scores > cut

    def positive(self, y_true: Array) -> NDArray[np.bool_]:
        """Return which binary targets, 0/1 or -1/+1, are class 1; soft ones count from above one half."""
        if not (y_true.min() >= -1 and y_true.max() <= 1):
            raise DataError(
                f"[{self.name}] expected binary targets, 0 and 1 or -1 and +1. "
                f"Received: values from {y_true.min()} to {y_true.max()}. "
                "help: a model of C classes needs an output of size C."
            )
        return y_true > 0.5

    def labels(self, y_true: Array, y_pred: Array) -> tuple[Labels, Labels, int]:
        """Return the true labels, the predicted labels and the number of classes, 0 if it cannot be known."""
        true, pred = drop_last(y_true), drop_last(y_pred)
        if pred.ndim == y_pred.ndim and pred.ndim > 1:
            classes = pred.shape[-1]
            if y_true.shape == pred.shape:
                return y_true.argmax(-1), pred.argmax(-1), classes
            if true.shape != pred.shape[:-1]:
                self._fail(
                    "y_true of labels [N] or of one-hot rows [N, C] for y_pred [N, C]",
                    help="the output of the model needs one unit per class.",
                    y_true=y_true,
                    y_pred=y_pred,
                )
            return self.whole(true, classes), pred.argmax(-1), classes
        if true.shape != pred.shape:
            self._fail(
                "y_true and y_pred of one shape for binary scores or labels",
                help="one-hot targets need an output of one unit per class.",
                y_true=y_true,
                y_pred=y_pred,
            )
        if pred.dtype.kind == "f":
            return self.positive(true).astype(np.int64), self.above(pred).astype(np.int64), 2
        return self.whole(true, 0), self.whole(pred, 0), 0

    def whole(self, labels: Array, classes: int) -> Labels:
        """Return labels as int64 after a check that they are whole numbers in [0, classes)."""
        if labels.dtype.kind == "f" and not (np.isfinite(labels) & (np.rint(labels) == labels)).all():
            raise DataError(f"[{self.name}] expected labels that are whole numbers.")
        whole = labels.astype(np.int64)
        low, high = int(whole.min()), int(whole.max())
        if low < 0 or (classes and high >= classes):
            limit = f"0 to {classes - 1}" if classes else "0 or more"
            raise DataError(f"[{self.name}] expected labels {limit}. Received: labels from {low} to {high}.")
        return whole


class Accuracy(Classifier):
    """accuracy = right / all, with the form of the task read from the shapes.

    Examples
    --------
    >>> metric = Accuracy()
    >>> metric.update([2, 0], [[0.1, 0.2, 0.7], [0.1, 0.9, 0.0]])
    >>> metric.update([1, 1], [[0.1, 0.8, 0.1], [0.1, 0.9, 0.0]])
    >>> metric.result()
    0.75
    """

    name = "accuracy"

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self.right = self.count = 0.0

    def add(self, y_true: Array, y_pred: Array, weight: Array | None) -> None:
        """Count the right predictions of a batch."""
        hits = self.hits(y_true, y_pred)
        weights = spread(weight, hits.shape)
        self.right += float(weights[hits].sum())
        self.count += float(weights.sum())

    def hits(self, y_true: Array, y_pred: Array) -> NDArray[np.bool_]:
        """Return which predictions are right."""
        true, pred, _ = self.labels(y_true, y_pred)
        return true == pred

    def value(self) -> float:
        """Return the part that is right."""
        return ratio(self.right, self.count)


class BinaryAccuracy(Accuracy):
    """The part of all elements that are on the right side of the threshold; rows may hold several (multi-label).

    Examples
    --------
    >>> metric = BinaryAccuracy(from_logits=True)
    >>> metric.update([1, 0, 1, 1], [2.0, -1.0, 0.3, -0.2])
    >>> metric.result()
    0.75
    """

    name = "binary_accuracy"

    def hits(self, y_true: Array, y_pred: Array) -> NDArray[np.bool_]:
        """Return which elements are right."""
        true, pred = drop_last(y_true), drop_last(y_pred)
        if true.shape != pred.shape:
            self._fail("y_true and y_pred of one shape", y_true=y_true, y_pred=y_pred)
        return self.positive(true) == self.above(pred)


class TopK(Accuracy):
    """The part of rows whose true class is among the k highest scores; equal scores share the better place.

    Parameters
    ----------
    k : int, default 5
        How many places count, >= 1.
    name : str, default "top_k"
        Key of the result in logs and history.

    Examples
    --------
    >>> metric = TopK(k=2)
    >>> metric.update([0, 0], [[0.3, 0.2, 0.5], [0.1, 0.2, 0.7]])
    >>> metric.result()
    0.5
    """

    name = "top_k"

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        self.k = positive("TopK", "k", k)
        super().__init__(name=name)

    def hits(self, y_true: Array, y_pred: Array) -> NDArray[np.bool_]:
        """Return which rows have their true class among the first k."""
        if y_pred.ndim < 2 or y_pred.shape[-1] == 1:
            self._fail("y_pred of scores [N, C] with C > 1", y_true=y_true, y_pred=y_pred)
        true, _, _ = self.labels(y_true, y_pred)
        own = np.take_along_axis(y_pred, true[..., None], axis=-1)
        # A NaN is above nothing; count it as a miss instead of a hit.
        return ((y_pred > own).sum(-1) < self.k) & ~np.isnan(own[..., 0])


class ConfusionMatrix(Classifier):
    """m[i, j] = number (or weight) of samples of class i that were predicted as class j.

    `result` returns [C, C]: int64, or float64 once there were sample weights.

    Parameters
    ----------
    classes : int, optional
        Number of classes; by default that of the scores, or the largest label + 1.
    threshold, from_logits, name
        As for `Classifier`.

    Examples
    --------
    >>> metric = ConfusionMatrix()
    >>> metric.update([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    >>> metric.result().tolist()
    [[1, 1], [0, 1]]
    """

    name = "confusion_matrix"

    def __init__(self, *, classes: int | None = None, **settings: Any) -> None:
        self.classes = None if classes is None else positive("ConfusionMatrix", "classes", classes)
        super().__init__(**settings)

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self.counts = np.zeros((self.classes or 0, self.classes or 0))
        self.weighted = False

    def add(self, y_true: Array, y_pred: Array, weight: Array | None) -> None:
        """Count the pairs of a batch."""
        true, pred, classes = self.labels(y_true, y_pred)
        needed = max(classes, int(true.max()) + 1, int(pred.max()) + 1)
        have = len(self.counts)
        if self.classes is not None and needed > self.classes:
            raise DataError(f"[{self.name}] expected labels 0 to {self.classes - 1}. Received: {needed} classes.")
        if needed > have:
            self.counts = np.pad(self.counts, (0, needed - have))
        size = len(self.counts)
        weights = None if weight is None else spread(weight, true.shape).ravel()
        pairs = np.bincount((true * size + pred).ravel(), weights, minlength=size * size)
        self.counts += pairs.reshape(size, size)
        self.weighted |= weight is not None

    def value(self) -> Array:
        """Return the matrix."""
        return self.counts.copy() if self.weighted else self.counts.astype(np.int64)
