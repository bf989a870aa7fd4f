"""Losses of classes and probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pynn import checks, ops
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.losses import targets
from pynn.losses.base import Loss, like
from pynn.losses.logits import EPS
from pynn.ops.common import size

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "Hinge", "KLDivergence", "SquaredHinge"]


class CrossEntropy(Loss):
    """l = -log(p[t]) for labels t, -sum(t * log(p)) for one-hot or soft targets t; p = softmax(y_pred).

    Parameters
    ----------
    from_logits : bool, default True
        Whether predictions are logits. In training, a model that ends in softmax hands over its logits either way.
        False is for probabilities: each row is divided by its sum, and at least 1e-7 is assumed. It is what Keras's
        names "categorical_crossentropy" and "sparse_categorical_crossentropy" mean.
    label_smoothing : float, default 0.0
        In [0, 1): the share of each target that is spread evenly over all classes, of labels and of rows.

    Raises
    ------
    ValueError
        If label_smoothing is out of range.

    Notes
    -----
    Predictions are [N, ..., C]. Targets are labels [N, ...] of 0 ... C - 1 or distributions [N, ..., C]; gradients
    flow to the latter too.

    Examples
    --------
    >>> loss = CrossEntropy()
    >>> round(loss([[2.0, 0.0], [0.0, 2.0]], [0, 1]).item(), 4)
    0.1269
    >>> round(loss([[2.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]]).item(), 4)
    0.1269
    """

    name = "cross_entropy"
    activation = "softmax"
    task = "classes"

    def __init__(self, from_logits: bool = True, label_smoothing: float = 0.0):
        self.from_logits = bool(from_logits)
        self.label_smoothing = checks.rate("cross_entropy", "label_smoothing", label_smoothing)

    def each(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return the loss of every row, [N]."""
        if y_pred.ndim > 0 and y_true.shape == (*y_pred.shape[:-1], 1) and y_true.dtype.kind == "i":
            y_true = ops.reshape(y_true, y_pred.shape[:-1])
        if y_true.shape == y_pred.shape:
            y_true = like(y_true, y_pred)
        if not self.from_logits and y_pred.ndim > 0:
            y_pred = y_pred / ops.maximum(y_pred.sum(-1, keepdims=True), EPS)
        if not self.label_smoothing:
            return ops.cross_entropy(y_pred, y_true, self.from_logits)
        share, classes = self.label_smoothing, y_pred.shape[-1]
        if y_true.dtype.kind != "i":
            smooth = ops.add(ops.mul(y_true, 1.0 - share), share / classes)
            return ops.cross_entropy(y_pred, smooth, self.from_logits)
        # of labels no rows are made: -sum of t log p is that of the label and the mean over all classes
        log_p = ops.log_softmax(y_pred) if self.from_logits else ops.log(ops.clip(y_pred, EPS, math.inf))
        even = ops.reshape(ops.mean(log_p, axis=-1), (size(y_true.shape),))
        hit = ops.cross_entropy(y_pred, y_true, self.from_logits)
        return ops.sub(ops.mul(hit, 1.0 - share), ops.mul(even, share))

    def check_targets(self, y: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return labels as int32, or distributions."""
        return targets.check_classes(self.name, y, shape)


class BinaryCrossEntropy(Loss):
    """l = mean of -t * log(p) - (1 - t) * log(1 - p), p = sigmoid(y_pred), for labels t of 0 and 1 or values between.

    Parameters
    ----------
    from_logits : bool, default True
        Whether predictions are logits. In training, a model that ends in sigmoid hands over its logits either way.
        False is for probabilities, which are limited to [1e-7, 1 - 1e-7]. It is what Keras's name
        "binary_crossentropy" means.
    label_smoothing : float, default 0.0
        In [0, 1): the share by which targets are moved towards 1/2.

    Raises
    ------
    ValueError
        If label_smoothing is out of range.

    Examples
    --------
    >>> round(BinaryCrossEntropy()([[0.0], [2.0]], [0, 1]).item(), 4)
    0.41
    """

    name = "binary_cross_entropy"
    activation = "sigmoid"
    task = "binary"

    def __init__(self, from_logits: bool = True, label_smoothing: float = 0.0):
        self.from_logits = bool(from_logits)
        self.label_smoothing = checks.rate("binary_cross_entropy", "label_smoothing", label_smoothing)

    def each(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return the loss of every sample, [N]."""
        y_true = like(y_true, y_pred)
        if self.label_smoothing:
            y_true = ops.add(ops.mul(y_true, 1.0 - self.label_smoothing), 0.5 * self.label_smoothing)
        return ops.binary_cross_entropy(y_pred, y_true, self.from_logits)

    def check_targets(self, y: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return targets from 0 to 1 in the output's shape."""
        return targets.check_binary(self.name, y, shape)


class KLDivergence(Loss):
    """l = sum(t * log(t / p)) over the last axis, for distributions t; gradients flow to both.

    Parameters
    ----------
    from_logits : bool, default False
        Whether predictions are logits rather than probabilities p, of which at least 1e-7 is assumed.

    References
    ----------
    Kullback and Leibler, "On information and sufficiency", 1951.

    Examples
    --------
    >>> round(KLDivergence()([[0.5, 0.5]], [[1.0, 0.0]]).item(), 4)
    0.6931
    """

    name = "kl_divergence"
    task = "classes"

    def __init__(self, *, from_logits: bool = False):
        self.from_logits = bool(from_logits)
        self.activation = "softmax" if from_logits else None

    def each(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return the loss of every row, [N]."""
        return ops.kl_divergence(y_pred, like(y_true, y_pred), self.from_logits)

    def check_targets(self, y: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return distributions in the output's shape."""
        if len(shape) < 2 or shape[-1] < 2:
            raise ShapeError(f"[{self.name}] expected an output per class, at least 2. Received: {shape}.")
        return targets.check_distributions(self.name, y, shape)


class Hinge(Loss):
    """l = mean of max(0, 1 - t * y_pred), for labels t of -1 and 1 (0 and 1 in arrays are converted).

    References
    ----------
    Cortes and Vapnik, "Support-vector networks", 1995.

    Examples
    --------
    >>> Hinge()([[0.5], [2.0]], [-1, 1]).item()
    0.75
    """

    name = "hinge"
    from_logits = True
    task = "binary"

    def each(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return the loss of every sample, [N]."""
        return ops.hinge(y_pred, like(y_true, y_pred))

    def check_targets(self, y: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return labels of -1 and 1 in the output's shape."""
        return targets.check_signs(self.name, y, shape)


class SquaredHinge(Hinge):
    """l = mean of max(0, 1 - t * y_pred)**2, for labels t of -1 and 1 (0 and 1 in arrays are converted).

    Examples
    --------
    >>> SquaredHinge()([[0.5], [2.0]], [-1, 1]).item()
    1.125
    """

    name = "squared_hinge"

    def each(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return the loss of every sample, [N]."""
        return ops.squared_hinge(y_pred, like(y_true, y_pred))
