"""What targets mean: one class per entry, a question, several labels, or numbers; and class weights by that.

==============  ==========================================================  ===========================
kind            targets, for an output of shape S                           an answer is
==============  ==========================================================  ===========================
"labels"        whole numbers S[:-1], the number of the class               the largest of the last axis
"rows"          S, one-hot or a distribution on the last axis               the largest of the last axis
"binary"        one question: 0 and 1, or -1 and 1, with one output for it  above or below the border
"multilabel"    the same with several outputs, each a question of its own   each above or below it
"values"        numbers                                                     none
==============  ==========================================================  ===========================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pynn.checks import is_integer
from pynn.errors import ShapeError
from pynn.losses.base import Loss
from pynn.losses.targets import SUM_TOLERANCE

__all__ = ["class_weights_to_sample_weights", "kind_of"]

HELP = "help: pass sample_weight instead, a weight for every sample."


def kind_of(loss: Loss, y: np.ndarray, shape: tuple[int, ...]) -> str:
    """Return the kind of targets.

    Parameters
    ----------
    loss : Loss
        Its `task` decides as far as it can. Of numbers (mse and the like), those that can only be answers to
        questions, or one-hot rows, are taken as such.
    y : ndarray
        As the loss's `check_targets` returns them.
    shape : tuple of int
        Of the output.

    Returns
    -------
    {"labels", "rows", "binary", "multilabel", "values"}
    """
    if loss.task == "classes":
        return "rows" if y.shape == tuple(shape) else "labels"
    one = len(shape) < 2 or shape[-1] == 1
    if not one and y.shape == tuple(shape[:-1]):  # what a loss of one's own takes
        return "values" if y.dtype.kind == "f" and (y % 1).any() else "labels"
    margins = loss.task == "binary" and loss.activation is None  # -1 and 1
    if loss.task == "binary" and (one or not margins):
        return "binary" if one else "multilabel"
    answers = _answers(y)
    if one:
        return "binary" if answers else "values"
    if answers:
        return "rows" if ((y == 1).sum(-1) == 1).all() else "multilabel"
    shares = y.size and (y >= 0).all() and (np.abs(y.sum(-1, dtype=np.float64) - 1) <= SUM_TOLERANCE).all()
    return "rows" if shares else "values"


def _answers(y: np.ndarray) -> bool:
    """Tell whether there is nothing but 0 and 1, or but -1 and 1."""
    one = y == 1
    return bool((one | (y == 0)).all() or (one | (y == -1)).all())


def class_weights_to_sample_weights(
    y: Any, class_weight: Mapping[int, float] | str, kind: str | None = None, classes: int | None = None
) -> np.ndarray:
    """Return the weight of every target, from the weights of the classes.

    Parameters
    ----------
    y : array_like
        Labels [N], or [N, 1], or one-hot rows [N, C]. Labels of -1 and 1 are the classes 0 and 1. Labels for each step
        of sequences are [N, T], with ``kind="labels"``.
    class_weight : dict or "balanced"
        Class -> weight, finite and >= 0. A class that is not named weighs 1. "balanced": n / (k count) for a class
        that stands `count` times among n targets of k different classes, so that all classes weigh the same.
    kind : {"labels", "rows", "binary", "multilabel", "values"}, optional
        What the targets are; by default that is read from their shape and values.
    classes : int, optional
        How many classes there are. A weight of another class is refused then.

    Returns
    -------
    ndarray, float32
        [N], or [N, T].

    Raises
    ------
    ValueError
        If a class or a weight is out of range.
    ShapeError
        If `y` has no single class per entry: numbers, or several labels per row.

    Examples
    --------
    >>> class_weights_to_sample_weights([0, 1, 1], {0: 2.0}).tolist()
    [2.0, 1.0, 1.0]
    >>> class_weights_to_sample_weights([0, 1, 1], "balanced").tolist()
    [1.5, 0.75, 0.75]
    """
    if isinstance(class_weight, str) and class_weight == "balanced":
        found, places, counts = np.unique(_labels(np.asarray(y), kind), return_inverse=True, return_counts=True)
        each = counts.sum() / (len(found) * counts)
        return each.astype(np.float32)[places].reshape(_labels(np.asarray(y), kind).shape)
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"[class_weight] expected a dict of class -> weight, or 'balanced'. Received: {class_weight!r}."
        )
    for label, weight in class_weight.items():
        if not is_integer(label, 0):
            raise ValueError(f"[class_weight] expected classes from 0 on. Received: {label!r}.")
        if classes is not None and label >= classes:
            raise ValueError(
                f"[class_weight] expected classes from 0 to {classes - 1}. Received: {label}, which does not exist."
            )
        if not (np.isfinite(weight) and weight >= 0):
            raise ValueError(f"[class_weight] expected finite weights >= 0. Received: {label}: {weight!r}.")
    labels = _labels(np.asarray(y), kind)
    weights = np.ones(labels.shape, np.float32)
    for label, weight in class_weight.items():
        weights[labels == label] = weight
    return weights


def _labels(y: np.ndarray, kind: str | None) -> np.ndarray:
    """Return the class of every entry."""
    came = f"y.shape={y.shape}, dtype={y.dtype}"
    if kind == "values":
        raise ShapeError(f"[class_weight] expected targets that are classes. Received: numbers, {came}. {HELP}")
    wide = y.ndim > 1 and y.shape[-1] > 1
    if kind in ("rows", "multilabel") or (kind is None and wide):
        sums = y.sum(-1, dtype=np.float64)
        single = (y >= 0).all() and (np.abs(sums - 1) <= SUM_TOLERANCE).all()
        if not (single or (kind == "rows" and ((y == 1).sum(-1) == 1).all())):
            raise ShapeError(
                f"[class_weight] expected targets with one class per sample. Received: rows of several labels, {came}. "
                + HELP
            )
        return y.argmax(-1)
    labels = y[..., 0] if y.ndim > 1 and y.shape[-1] == 1 and kind != "labels" else y
    if labels.dtype.kind == "f" and (labels % 1).any():
        raise ShapeError(f"[class_weight] expected targets with one class per sample. Received: {came}. {HELP}")
    labels = labels.astype(np.int64)
    if labels.size and labels.min() == -1:
        labels = (labels + 1) // 2
    return labels
