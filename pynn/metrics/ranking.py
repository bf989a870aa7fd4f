"""The area under the ROC curve, exact."""

from __future__ import annotations

import math

import numpy as np

from pynn.errors import DataError
from pynn.metrics.base import Array, spread
from pynn.metrics.classification import Classifier

__all__ = ["AUC"]


class AUC(Classifier):
    """AUC = P(score of a positive > score of a negative) + P(equal) / 2, from the ranks of all scores.

    Binary scores are [N] or [N, 1]; of two columns the difference counts. With more classes it is the mean over the
    classes of one against the rest, with several labels per row the mean over the labels. It keeps every score until
    `reset`.

    Parameters
    ----------
    from_logits : bool, default False
        Whether rows of scores are logits. It matters for more than two classes only, where the softmax is taken.
    name : str, optional
        Key of the result in logs and history.
    multilabel : bool, default False
        As for `Classifier`.

    Notes
    -----
    The result is NaN while a class has no sample, or no sample has another class.

    References
    ----------
    Fawcett, An introduction to ROC analysis, 2006. Hanley and McNeil, The meaning and use of the area under a receiver
    operating characteristic (ROC) curve, 1982.

    Examples
    --------
    >>> metric = AUC()
    >>> metric.update([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> metric.result()
    0.75
    """

    name = "auc"

    def __init__(self, *, from_logits: bool = False, name: str | None = None, multilabel: bool = False) -> None:
        super().__init__(from_logits=from_logits, name=name, multilabel=multilabel)

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self.batches: list[tuple[Array, Array, Array]] = []

    def add(self, y_true: Array, y_pred: Array, weight: Array | None) -> None:
        """Keep the labels, scores [M] or [M, C], and weights of a batch."""
        if np.isnan(y_pred).any():
            raise DataError(f"[{self.name}] expected scores that can be ordered. Received: NaN in y_pred.")
        # Whole numbers are scores here, not labels, so they go in as floats.
        scores = y_pred.astype(np.float64)
        if self.several:
            yes, _ = self.questions(y_true, scores)
            columns = scores.shape[-1] if scores.ndim > 1 else 1
            weights = spread(weight, yes.shape).reshape(-1, columns)[:, 0]
            self.batches.append((yes.reshape(-1, columns), scores.reshape(-1, columns), weights))
            return
        true, _, classes = self.labels(y_true, scores)
        columns = scores.reshape(-1, max(scores.shape[-1], 1)) if classes > 2 else self.margin(scores, true)
        self.batches.append((true.ravel(), columns, spread(weight, true.shape).ravel()))

    def margin(self, scores: Array, true: Array) -> Array:
        """Return the binary scores as [M]."""
        return scores.ravel() if scores.size == true.size else (scores[..., 1] - scores[..., 0]).ravel()

    def value(self) -> float:
        """Return the area."""
        true, scores, weight = (np.concatenate(parts) for parts in zip(*self.batches, strict=True))
        if self.several:
            return float(np.mean([area(true[:, c], scores[:, c], weight) for c in range(scores.shape[1])]))
        if scores.ndim == 1:
            return area(true == 1, scores, weight)
        if self.from_logits:
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
        return float(np.mean([area(true == c, scores[:, c], weight) for c in range(scores.shape[1])]))


def area(positive: Array, scores: Array, weight: Array) -> float:
    """Return the area for bool [N], float [N] and weights [N]: all pairs, summed by groups of equal scores."""
    _, group = np.unique(scores, return_inverse=True)
    above = np.bincount(group, weight * positive)
    below = np.bincount(group, weight * ~positive)
    pairs = above.sum() * below.sum()
    if pairs == 0:
        return math.nan
    lower = np.cumsum(below) - below
    return float((above * (lower + 0.5 * below)).sum() / pairs)
