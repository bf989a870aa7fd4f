"""Losses of real values."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import ops
from pynn.checks import number
from pynn.core.tensor import Tensor
from pynn.losses import targets
from pynn.losses.base import Loss, like

__all__ = ["MAE", "MSE", "Huber", "MSEHalf", "Poisson"]


class MSE(Loss):
    """l = mean of (y_pred - y_true)**2, the mean squared error.

    Examples
    --------
    >>> MSE()([1.0, 2.0], [0.0, 0.0]).item()
    2.5
    """

    name = "mse"

    def each(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return the loss of every sample, [N]."""
        return ops.mse(y_pred, like(y_true, y_pred))


class MSEHalf(Loss):
    """l = mean of (y_pred - y_true)**2 / 2, whose gradient is the plain difference.

    Examples
    --------
    >>> MSEHalf()([1.0, 2.0], [0.0, 0.0]).item()
    1.25
    """

    name = "mse_half"

    def each(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return the loss of every sample, [N]."""
        return ops.mse_half(y_pred, like(y_true, y_pred))


class MAE(Loss):
    """l = mean of |y_pred - y_true|, the mean absolute error; the gradient at 0 is 0.

    Examples
    --------
    >>> MAE()([1.0, -2.0], [0.0, 0.0]).item()
    1.5
    """

    name = "mae"

    def each(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return the loss of every sample, [N]."""
        return ops.mae(y_pred, like(y_true, y_pred))


class Huber(Loss):
    """l = mean of r**2 / 2 where |r| <= delta, else of delta * (|r| - delta / 2); r = y_pred - y_true.

    Parameters
    ----------
    delta : float, default 1.0
        Where the loss turns from quadratic to linear, > 0.

    Raises
    ------
    ValueError
        If `delta` is not finite and > 0.

    References
    ----------
    Huber, "Robust estimation of a location parameter", 1964.

    Examples
    --------
    >>> Huber()([1.0, 3.0], [0.0, 0.0]).item()
    1.5
    """

    name = "huber"

    def __init__(self, delta: float = 1.0):
        self.delta = number("huber", "delta", delta, 0, open_low=True)

    def each(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return the loss of every sample, [N]."""
        return ops.huber(y_pred, like(y_true, y_pred), self.delta)


class Poisson(Loss):
    """l = mean of y_pred - y_true * log(y_pred + 1e-7), for counts y_true and rates y_pred > 0.

    The model should end in an activation that gives rates, for instance "softplus" or "exp".

    Parameters
    ----------
    deviance : bool, default False
        Whether l is the mean of y_pred - y_true + y_true * log(y_true / y_pred), half of Poisson's deviance, which is 0
        where predictions are right. Nothing is added inside the logarithm then.

    Examples
    --------
    >>> round(Poisson()([1.0, 1.0], [0, 3]).item(), 6)
    1.0
    >>> round(Poisson(deviance=True)([1.0, 3.0], [0, 3]).item(), 6)
    0.5
    """

    name = "poisson"

    def __init__(self, *, deviance: bool = False):
        self.deviance = bool(deviance)

    def each(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return the loss of every sample, [N]."""
        y_true = like(y_true, y_pred)
        if not self.deviance:
            return ops.poisson(y_pred, y_true)
        least = float(np.finfo(y_pred.dtype).tiny)  # 0 log 0 is 0
        logs = ops.log(ops.maximum(y_true, least)) - ops.log(ops.maximum(y_pred, least))
        found = y_pred - y_true + y_true * logs
        return found.mean(tuple(range(1, found.ndim))) if found.ndim > 1 else found

    def check_targets(self, y: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return counts, >= 0."""
        return targets.check_values(self.name, y, shape, least=0.0)
