"""The base of all metrics: checked arrays in, one running result out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pynn.errors import DataError, DTypeError, ShapeError
from pynn.keywords import Spelled

Array = NDArray[Any]


class Metric(Spelled):
    """A quantity gathered over batches: `reset`, then `update` for every batch, then `result`.

    A subclass defines `add(y_true, y_pred, weight)` and `value()`, and extends `reset` to clear its sums. The result
    of several batches must equal that of one batch with all of their rows.

    Parameters
    ----------
    name : str, optional
        Key of the result in logs and history; by default that of the class.

    Attributes
    ----------
    from_logits : bool
        Whether a binary score is a logit, for which 0 means even odds. A model sets it for its metrics.
    weighted : bool
        Whether the weights of samples, and of classes, count.
    higher_is_better : bool
        Whether training should raise the result; EarlyStopping reads it.
    streams : bool
        Whether an evaluation or an epoch may hand over the predictions part by part. If not, it keeps all of them for
        the metric.

    Examples
    --------
    >>> class Bias(Metric):
    ...     name = "bias"
    ...     def reset(self):
    ...         super().reset()
    ...         self.total, self.count = 0.0, 0
    ...     def add(self, y_true, y_pred, weight):
    ...         self.total += float((y_pred - y_true).sum())
    ...         self.count += len(y_true)
    ...     def value(self):
    ...         return self.total / self.count
    >>> bias = Bias()
    >>> bias.update([1.0, 2.0], [1.5, 2.5])
    >>> bias.result()
    0.5
    """

    name = "metric"
    higher_is_better = True
    from_logits = False
    streams = True
    weighted = True  # whether sample weights, and those of classes, count

    def __init__(self, name: str | None = None) -> None:
        if name is not None:
            self.name = name
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._empty = True

    def expect(self, kind: str, y_true: Array, shape: tuple[int, ...]) -> None:
        """Learn from a model what its targets are, before there are predictions.

        Parameters
        ----------
        kind : {"labels", "rows", "binary", "multilabel", "values"}
            One class per row, as numbers or as one-hot rows; one question; several; numbers. The loss and the first
            targets decide it.
        y_true : ndarray
            Targets, as the loss takes them.
        shape : tuple of int
            Of the output.

        Raises
        ------
        DataError
            If the metric means nothing for such targets.
        """

    def update(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take in one batch.

        Parameters
        ----------
        y_true : array_like [N, ...]
            Targets.
        y_pred : array_like [N, ...]
            Predictions.
        sample_weight : array_like [N], optional
            A finite weight >= 0 for every row.

        Raises
        ------
        ShapeError
            If the numbers of rows differ or the shapes do not fit each other.
        DTypeError
            If an array is not numeric.
        DataError
            If a label or a weight is out of range.
        """
        true, pred = self._numeric("y_true", y_true), self._numeric("y_pred", y_pred)
        weight = None if sample_weight is None else self._numeric("sample_weight", sample_weight)
        if len(true) != len(pred):
            self._fail("y_true and y_pred with the same number of rows", y_true=true, y_pred=pred)
        if weight is not None:
            if weight.ndim == 2 and weight.shape[1] == 1:
                weight = weight[:, 0]
            if weight.shape != true.shape[: weight.ndim]:
                self._fail("one sample_weight for every row", y_true=true, sample_weight=weight)
            if not (np.isfinite(weight).all() and (weight >= 0).all()):
                raise DataError(f"[{self.name}] expected finite sample weights >= 0.")
        if len(true):
            self.add(true, pred, weight)
            self._empty = False

    def result(self) -> Any:
        """Return the result over all batches since `reset`, a float unless the class says otherwise.

        Raises
        ------
        DataError
            If there was no batch, or only empty ones.
        """
        if self._empty:
            raise DataError(f"[{self.name}] expected at least one sample. Received: none. help: call update first.")
        return self.value()

    def add(self, y_true: Array, y_pred: Array, weight: Array | None) -> None:
        """Take in a batch of checked arrays with at least one row."""
        raise NotImplementedError(f"[{self.name}] a metric must define add(y_true, y_pred, weight).")

    def value(self) -> Any:
        """Return the result of at least one row."""
        raise NotImplementedError(f"[{self.name}] a metric must define value().")

    def __repr__(self) -> str:
        shown = "no samples" if self._empty else repr(self.result())
        return f"<{type(self).__name__} {self.name!r}: {shown}>"

    def _numeric(self, argument: str, values: ArrayLike) -> Array:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise DTypeError(f"[{self.name}] expected {argument} to hold numbers. Received: dtype={array.dtype}.")
        if array.ndim == 0:
            raise ShapeError(f"[{self.name}] expected {argument} to be an array of rows. Received: a scalar.")
        return array

    def _fail(self, wanted: str, help: str = "", **arrays: Array) -> None:
        came = ", ".join(f"{key}.shape={value.shape}" for key, value in arrays.items())
        raise ShapeError(f"[{self.name}] expected {wanted}. Received: {came}.{help and f' help: {help}'}")


def drop_last(array: Array) -> Array:
    """Return [N, ..., 1] as [N, ...], anything else as it is."""
    return array[..., 0] if array.ndim > 1 and array.shape[-1] == 1 else array


def alike(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Return both without a last dimension of 1, which may also be missing on one side alone: steps of one element."""
    if (*y_true.shape, 1) == y_pred.shape:
        return y_true, y_pred[..., 0]
    if y_true.shape == (*y_pred.shape, 1):
        return y_true[..., 0], y_pred
    return drop_last(y_true), drop_last(y_pred)


def spread(weight: Array | None, shape: tuple[int, ...]) -> Array:
    """Return the weights of all elements of an array of `shape`, float64: 1, or those of the rows."""
    if weight is None:
        return np.ones(shape)
    if weight.ndim > len(shape):
        raise ShapeError(f"[metrics] expected weights for rows {shape}. Received: sample_weight.shape={weight.shape}.")
    rows = weight.astype(np.float64).reshape(weight.shape + (1,) * (len(shape) - weight.ndim))
    return np.broadcast_to(rows, shape)


def ratio(part: float, whole: float) -> float:
    """Return part / whole, and NaN if all weights were 0."""
    return part / whole if whole else math.nan


class Mean(Metric):
    """The mean over samples of ``function(y_true, y_pred)``, weighted with the sample weights.

    Parameters
    ----------
    function : callable
        Takes two arrays; returns one value per row or a scalar, which counts for all rows of its batch. An evaluation
        or an epoch gives it all rows at once, and keeps their predictions until then.
    name : str, optional
        By default the name of the function.

    Examples
    --------
    >>> def worst(y_true, y_pred):
    ...     return abs(y_true - y_pred).max(axis=1)
    >>> metric = Mean(worst)
    >>> metric.update([[0.0, 0.0], [1.0, 1.0]], [[3.0, 1.0], [1.0, 2.0]])
    >>> metric.name, metric.result()
    ('worst', 2.0)
    """

    streams = False  # the function may need all rows at once, as a rank correlation does

    def __init__(self, function: Callable[[Array, Array], ArrayLike], name: str | None = None) -> None:
        self.function = function
        super().__init__(name or getattr(function, "__name__", type(function).__name__))

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self.total = self.count = 0.0

    def add(self, y_true: Array, y_pred: Array, weight: Array | None) -> None:
        """Add the values of a batch."""
        values = np.asarray(self.function(y_true, y_pred), np.float64)
        if values.ndim == 0:
            values = np.full(len(y_true), values)
        if len(values) != len(y_true):
            self._fail("one value per row from the function", y_true=y_true, values=values)
        weights = spread(weight, values.shape)
        self.total += float((values * weights).sum())
        self.count += float(weights.sum())

    def value(self) -> float:
        """Return the weighted mean."""
        return ratio(self.total, self.count)
