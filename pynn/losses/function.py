"""A function of targets and predictions as a loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn import ops
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import DataError, ShapeError
from pynn.losses.base import Loss, beside
from pynn.ops.common import size

__all__ = ["FunctionLoss"]

# What names of parameters begin with.
PREDICTIONS = ("y_pred", "pred", "y_hat", "yhat", "y_score", "output", "logit", "score", "prob", "input")
TARGETS = ("y_true", "true", "target", "label", "truth", "actual", "expected")
HELP = " help: y[..., None] if each output of a sample is to meet its one number; y.astype(int) if these are labels."


class FunctionLoss(Loss):
    """L = the mean of function(y_true, y_pred): what `compile` makes of a function.

    Parameters
    ----------
    function : callable
        Takes targets and predictions, as tensors, in Keras's order (y_true, y_pred), or in the other one if its
        parameters are named so: ``(y_pred, y_true)``, ``(input, target)``, ``(output, target)``. Returns a tensor: a
        loss for every sample, [N], or more for each, of which the mean counts; or one number, the mean, where neither
        weights nor padding ask for more.
    name : str, optional
        By default the function's name.

    Raises
    ------
    TypeError
        If it is no function of two arguments.

    Notes
    -----
    With a target for each step of padded sequences, and with weights [N, T], every step is a sample: the function
    gets [N T, ...]. Targets come as they were given: whole numbers as int32, unless they have the shape of the output,
    whose dtype they then take. Real numbers have as many axes as the output: one per sample would meet the columns of
    several outputs, not the rows. It is written with operators and :mod:`pynn.ops`, so that its gradient is known; a
    class of one's own says more, such as whether it takes logits: see :class:`pynn.losses.Loss`.

    Examples
    --------
    >>> def cubed(y_true, y_pred):
    ...     return (abs(y_true - y_pred) ** 3).mean(axis=-1)
    >>> loss = FunctionLoss(cubed)
    >>> loss.name, loss([[1.0, 2.0]], [[1.0, 0.0]]).item()
    ('cubed', 4.0)
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None):
        self.function = function
        self.name = str(name or getattr(function, "__name__", type(function).__name__))
        self._swapped = _predictions_first(function)

    def each(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return what the function says of every sample."""
        return self._each_of(self._called(y_pred, y_true), y_pred, y_true)

    def _called(self, y_pred: Tensor, y_true: Tensor) -> Any:
        y_true = beside(self.name, y_true, y_pred, HELP)
        return self.function(*((y_pred, y_true) if self._swapped else (y_true, y_pred)))

    def _each_of(self, found: Any, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return a loss for every sample, of what the function gave."""
        if not isinstance(found, Tensor) or found.dtype not in FLOATS:
            came = f"a tensor of {found.dtype}" if isinstance(found, Tensor) else type(found).__name__
            raise TypeError(
                f"[{self.name}] expected the loss function to return a tensor of real numbers. Received: {came}. "
                "help: compute it of its arguments with operators, methods such as .mean(axis=-1), and pynn.ops."
            )
        n = y_pred.shape[0] if y_pred.ndim else 1
        if found.ndim == 0:
            return ops.expand(ops.reshape(found, (1,)), (n,))
        if found.shape[0] != n:
            raise ShapeError(
                f"[{self.name}] expected the loss function to return one loss per sample, ({n},), or one number. "
                f"Received: shape {found.shape}, for y_true {y_true.shape} and y_pred {y_pred.shape}."
            )
        return found if found.ndim == 1 else ops.mean(ops.reshape(found, (n, size(found.shape[1:]))), axis=1)

    def to_weigh(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return what the function says of every sample; one number cannot be weighed."""
        found = self._called(y_pred, y_true)
        if isinstance(found, Tensor) and found.ndim == 0:
            raise ShapeError(
                f"[{self.name}] expected the loss function to return a loss for each of {y_pred.shape[0]} samples, "
                "which have weights, or are steps of which some are padding. Received: one number. "
                "help: return .mean(axis=-1)."
            )
        return self._each_of(found, y_pred, y_true)

    def check_targets(self, y: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return targets; of the output's shape if only a last axis of 1 is missing, so that nothing is broadcast."""
        y = np.asarray(y)
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise DataError(f"[{self.name}] expected finite targets. help: remove or fill in the missing targets.")
        if y.shape != shape and ((*y.shape, 1) == shape or y.shape == (*shape, 1)):
            y = y.reshape(shape)
        if y.dtype.kind == "f" and y.ndim < len(shape):
            raise ShapeError(
                f"[{self.name}] expected targets of the output's shape {shape}. Received: {y.shape}.{HELP}"
            )
        if y.shape == shape and y.dtype.kind != "f":
            return y.astype(np.float32)
        return y.astype(np.int32) if y.dtype.kind in "iub" else y

    def __repr__(self) -> str:
        return f"FunctionLoss({self.name})"


def _predictions_first(function: Callable[..., Any]) -> bool:
    """Tell whether the names of a function's parameters say that predictions come first."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a function of C that tells nothing
        return False
    try:
        signature.bind(None, None)
    except TypeError:
        raise TypeError(
            f"[loss] expected a function of targets and predictions, (y_true, y_pred). Received: {function!r}, which "
            f"takes {signature}."
        ) from None
    first, second = ([p.name.lower() for p in signature.parameters.values()] + ["", ""])[:2]
    return (first.startswith(PREDICTIONS) and not second.startswith(PREDICTIONS)) or (
        second.startswith(TARGETS) and not first.startswith(TARGETS)
    )
