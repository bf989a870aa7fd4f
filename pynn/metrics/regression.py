"""Metrics of regressions: mean squared and absolute error, and the coefficient of determination."""

from __future__ import annotations

import math

import numpy as np

from pynn.errors import DataError
from pynn.metrics.base import Array, Metric, alike, ratio, spread

__all__ = ["MAE", "MSE", "R2"]


class Regression(Metric):
    """Base of metrics that compare numbers of one shape; a last dimension of 1 may be missing on either side."""

    def expect(self, kind: str, y_true: Array, shape: tuple[int, ...]) -> None:
        """Refuse labels, which no output is a prediction of."""
        if kind == "labels":
            raise DataError(
                f"[{self.name}] expected targets of the output's shape {shape}. Received: labels {y_true.shape}. "
                "help: pass one-hot rows, or a metric of classifiers such as 'accuracy'."
            )

    def pair(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """Return targets and predictions as float64 of one shape."""
        true, pred = alike(y_true, y_pred)
        if true.shape != pred.shape:
            self._fail(
                "y_true and y_pred of one shape",
                help="labels need one-hot rows here, or a metric of classifiers.",
                y_true=y_true,
                y_pred=y_pred,
            )
        return true.astype(np.float64), pred.astype(np.float64)


class MSE(Regression):
    """mse = mean((y_pred - y_true)^2) over all elements, rows weighted with the sample weights.

    Parameters
    ----------
    name : str, optional
        In logs and results.

    Examples
    --------
    >>> metric = MSE()
    >>> metric.update([1.0, 2.0], [1.0, 4.0])
    >>> metric.result()
    2.0
    """

    name = "mse"
    higher_is_better = False

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self.total = self.count = 0.0

    def add(self, y_true: Array, y_pred: Array, weight: Array | None) -> None:
        """Add the errors of a batch."""
        true, pred = self.pair(y_true, y_pred)
        weights = spread(weight, true.shape)
        self.total += float((self.error(pred - true) * weights).sum())
        self.count += float(weights.sum())

    def error(self, difference: Array) -> Array:
        """Return the error of every element."""
        return np.square(difference)

    def value(self) -> float:
        """Return the mean error."""
        return ratio(self.total, self.count)


class MAE(MSE):
    """mae = mean(abs(y_pred - y_true)) over all elements, rows weighted with the sample weights.

    Parameters
    ----------
    name : str, optional
        In logs and results.

    Examples
    --------
    >>> metric = MAE()
    >>> metric.update([1.0, 2.0], [1.0, 4.0])
    >>> metric.result()
    1.0
    """

    name = "mae"

    def error(self, difference: Array) -> Array:
        """Return the error of every element."""
        return np.abs(difference)


class R2(Regression):
    """R2 = 1 - sum((y_true - y_pred)^2) / sum((y_true - mean(y_true))^2), the mean over outputs.

    Constant targets give 1 if they are met exactly, else 0; fewer than two samples give NaN.

    Parameters
    ----------
    name : str, optional
        In logs and results.

    Examples
    --------
    >>> metric = R2()
    >>> metric.update([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    >>> metric.result()
    0.5
    """

    name = "r2"

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name)

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self.samples = 0
        self.weight = 0.0
        self.mean = self.spread = self.error = np.zeros(())

    def add(self, y_true: Array, y_pred: Array, weight: Array | None) -> None:
        """Merge the sums of a batch into those so far (Chan, Golub and LeVeque), which keeps a large mean harmless."""
        true, pred = self.pair(y_true, y_pred)
        weights = spread(weight, true.shape)
        own = float(spread(weight, true.shape[:1]).sum())
        self.samples += len(true)
        if own == 0:
            return
        mean = (weights * true).sum(axis=0) / own
        spread_ = (weights * np.square(true - mean)).sum(axis=0)
        shift, whole = mean - self.mean, self.weight + own
        self.error = self.error + (weights * np.square(true - pred)).sum(axis=0)
        self.spread = self.spread + spread_ + np.square(shift) * (self.weight * own / whole)
        self.mean = self.mean + shift * (own / whole)
        self.weight = whole

    def value(self) -> float:
        """Return the mean over outputs."""
        if self.samples < 2 or self.weight == 0:
            return math.nan
        constant = self.spread == 0
        left = self.error / np.where(constant, 1.0, self.spread)
        return float(np.mean(np.where(constant, self.error == 0, 1.0 - left)))
