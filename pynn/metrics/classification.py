"""Metrics of classifiers: right or wrong, top k, and the confusion matrix.

The form of the task is read from the shapes, after a last dimension of 1 is dropped:

====================  ====================  ==============================================
y_pred                y_true                meaning
====================  ====================  ==============================================
[N, C] scores         [N] whole numbers     labels 0 ... C-1
[N, C] scores         [N, C]                one-hot or soft targets; their largest counts
[N] floats            [N] of 0/1 or -1/+1   one binary score per row
[N] whole numbers     [N] whole numbers     labels against labels
[N, L] scores         [N, L] of 0/1, -1/+1  with ``multilabel``: a question for each column
====================  ====================  ==============================================

A model tells its metrics of what kind its targets are, so several labels per row need no setting there. Scores may be
probabilities or logits: the largest is the same. N may be several dimensions, as in [batch, time].
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pynn.checks import number, positive
from pynn.errors import DataError
from pynn.metrics.base import Array, Metric, alike, drop_last, ratio, spread

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
    multilabel : bool, default False
        Whether every column of [N, L] is a question of its own, instead of one class of many. A model that is trained
        with several labels per row sets it for its metrics.
    name : str, optional
        Key of the result in logs and history.
    """

    kinds: tuple[str, ...] = ("labels", "rows", "binary", "multilabel")  # of targets, for which there is a result
    _kind: str | None = None  # of the targets of the model that the metric belongs to
    _begun: bool | None = None  # whether the batches since reset() held several labels

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        from_logits: bool = False,
        name: str | None = None,
        multilabel: bool = False,
    ) -> None:
        self.threshold = number(type(self).__name__, "threshold", threshold, 0, 1, open_low=True, open_high=True)
        self.from_logits = from_logits
        self.multilabel = multilabel
        super().__init__(name)

    @property
    def several(self) -> bool:
        """Whether every column is a question of its own."""
        return self.multilabel or self._kind == "multilabel"

    def expect(self, kind: str, y_true: Array, shape: tuple[int, ...]) -> None:
        """Refuse targets that are not classes."""
        if kind == "values":
            bad = (y_true != 0) & (np.abs(y_true) != 1)
            at = tuple(int(i) for i in np.argwhere(bad)[0]) if bad.any() else (0,) * y_true.ndim
            raise DataError(
                f"[{self.name}] expected targets that are classes: labels with a cross-entropy, 0 and 1, or one-hot "
                f"rows. Received: numbers, y[{', '.join(map(str, at))}] = {y_true[at].item():g}. "
                "help: 'mae', 'mse' and 'r2' are metrics of a regression."
            )
        if kind == "labels" and self.multilabel:
            raise DataError(
                f"[{self.name}] expected rows of several labels, as multilabel=True says. Received: one label per row, "
                f"{y_true.shape}. help: multilabel=False."
            )
        if kind not in self.kinds:
            raise DataError(
                f"[{self.name}] expected one class per row. Received: rows of several labels {y_true.shape}. "
                "help: for those there are 'accuracy', 'precision', 'recall', 'f1' and 'auc'."
            )
        self._kind = kind

    def update(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take in one batch; see `Metric.update`."""
        if not self._empty and self._begun != self.several:
            raise DataError(
                f"[{self.name}] expected batches of one kind. Received: one-hot rows, and rows of several labels. "
                "help: for several labels use loss='binary_cross_entropy', or a metric with multilabel=True."
            )
        self._begun = self.several
        super().update(y_true, y_pred, sample_weight)

    def questions(self, y_true: Array, y_pred: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return for every element whether the answer is yes, and whether it is said to be."""
        true, pred = alike(y_true, y_pred)
        if true.shape != pred.shape:
            self._fail("y_true and y_pred of one shape", y_true=y_true, y_pred=y_pred)
        return self.positive(true), self.above(pred)

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
        if y_pred.ndim > 1 and y_pred.shape[-1] > 1:
            pred, classes = y_pred, y_pred.shape[-1]
            if y_true.shape == pred.shape:
                self.one_hot(y_true)
                return y_true.argmax(-1), pred.argmax(-1), classes
            true = y_true if y_true.shape == pred.shape[:-1] else drop_last(y_true)
            if true.shape != pred.shape[:-1]:
                self._fail(
                    "y_true of labels [N] or of one-hot rows [N, C] for y_pred [N, C]",
                    help="the output of the model needs one unit per class.",
                    y_true=y_true,
                    y_pred=y_pred,
                )
            return self.whole(true, classes), pred.argmax(-1), classes
        true, pred = alike(y_true, y_pred)
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

    def one_hot(self, y_true: Array) -> None:
        """Refuse rows of 0 and 1 that name more or fewer classes than one."""
        sums = y_true.sum(-1)
        if (sums != 1).any() and ((y_true == 0) | (y_true == 1)).all():
            at = tuple(int(i) for i in np.argwhere(sums != 1)[0])
            raise DataError(
                f"[{self.name}] expected one-hot rows, with one class each. Received: {int(sums[at])} classes in row "
                f"{at[0] if len(at) == 1 else at}. help: for several labels per row pass multilabel=True."
            )

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

    Parameters
    ----------
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
        if weight is None:
            self.right += float(np.count_nonzero(hits))
            self.count += float(hits.size)
            return
        weights = spread(weight, hits.shape)
        self.right += float(weights[hits].sum())
        self.count += float(weights.sum())

    def hits(self, y_true: Array, y_pred: Array) -> NDArray[np.bool_]:
        """Return which predictions are right."""
        if self.several:
            yes, said = self.questions(y_true, y_pred)
            return yes == said
        true, pred, _ = self.labels(y_true, y_pred)
        return true == pred

    def value(self) -> float:
        """Return the part that is right."""
        return ratio(self.right, self.count)


class BinaryAccuracy(Accuracy):
    """The part of all elements that are on the right side of the threshold; rows may hold several (multi-label).

    Parameters
    ----------
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
    >>> metric = BinaryAccuracy(from_logits=True)
    >>> metric.update([1, 0, 1, 1], [2.0, -1.0, 0.3, -0.2])
    >>> metric.result()
    0.75
    """

    name = "binary_accuracy"

    def expect(self, kind: str, y_true: Array, shape: tuple[int, ...]) -> None:
        """Refuse labels: an output per class is no question of its own."""
        super().expect(kind, y_true, shape)
        if kind == "labels":
            raise DataError(
                f"[{self.name}] expected targets of the output's shape {shape}. Received: labels {y_true.shape}. "
                "help: 'accuracy' is the metric of one class out of many."
            )

    def hits(self, y_true: Array, y_pred: Array) -> NDArray[np.bool_]:
        """Return which elements are right."""
        true, pred = self.questions(y_true, y_pred)
        return true == pred


class TopK(Accuracy):
    """The part of rows whose true class is among the k highest scores; equal scores share the better place.

    Parameters
    ----------
    k : int, default 5
        How many places count, >= 1.
    name : str, optional
        Key of the result in logs and history.

    Examples
    --------
    >>> metric = TopK(k=2)
    >>> metric.update([0, 0], [[0.3, 0.2, 0.5], [0.1, 0.2, 0.7]])
    >>> metric.result()
    0.5
    """

    name = "top_k"
    kinds = ("labels", "rows")

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
    >>> metric = ConfusionMatrix()
    >>> metric.update([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    >>> metric.result().tolist()
    [[1, 1], [0, 1]]
    """

    name = "confusion_matrix"
    kinds = ("labels", "rows", "binary")

    def __init__(
        self,
        *,
        classes: int | None = None,
        threshold: float = 0.5,
        from_logits: bool = False,
        name: str | None = None,
        multilabel: bool = False,
    ) -> None:
        self.classes = None if classes is None else positive("ConfusionMatrix", "classes", classes)
        super().__init__(threshold=threshold, from_logits=from_logits, name=name, multilabel=multilabel)

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self.counts = np.zeros((0, 0))  # memory is taken when labels come
        self.weighted = False

    def add(self, y_true: Array, y_pred: Array, weight: Array | None) -> None:
        """Count the pairs of a batch."""
        true, pred, classes = self.labels(y_true, y_pred)
        needed = max(classes, int(true.max()) + 1, int(pred.max()) + 1)
        have = len(self.counts)
        if self.classes is not None and needed > self.classes:
            raise DataError(f"[{self.name}] expected labels 0 to {self.classes - 1}. Received: {needed} classes.")
        size = self.classes or max(needed, have)
        if size > have:
            self.counts = np.pad(self.counts, (0, size - have))
        weights = None if weight is None else spread(weight, true.shape).ravel()
        pairs = np.bincount((true * size + pred).ravel(), weights, minlength=size * size)
        self.counts += pairs.reshape(size, size)
        self.weighted |= weight is not None

    def value(self) -> Array:
        """Return the matrix."""
        return self.counts.copy() if self.weighted else self.counts.astype(np.int64)
