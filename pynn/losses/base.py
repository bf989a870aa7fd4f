"""What all losses share."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from pynn import ops
from pynn.core.tensor import FLOATS, Tensor, to_array
from pynn.errors import ShapeError
from pynn.keywords import Spelled
from pynn.losses import targets
from pynn.ops.common import as_tensor, size
from pynn.ops.lengths import ALL, mask_steps

__all__ = ["Loss"]


class Loss(Spelled):
    """L = sum over n of w[n] * l[n] / N: the mean of the losses l of N samples, weighted with w (1 by default).

    A subclass defines `each`, and `check_targets` if its targets are not just numbers of the output's shape.

    Attributes
    ----------
    name : str
    from_logits : bool
        Whether predictions are logits (or margins) rather than probabilities or values; 0 is then the border between
        two classes.
    activation : {"softmax", "sigmoid"} or None
        The activation that belongs to the loss. From a model whose outputs have it, `fit` and `evaluate` take the
        logits below it, with `of_logits`; where they cannot, probabilities are turned back into logits.
    task : {"values", "classes", "binary"}
        What targets are: numbers; one class per row of the output; a question for every element of the output.

    Examples
    --------
    A loss of your own:

    >>> import numpy as np
    >>> class Quartic(Loss):
    ...     name = "quartic"
    ...     def each(self, y_pred, y_true):
    ...         return ((y_pred - y_true) ** 4).mean(axis=1)
    >>> Quartic()(np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]])).item()
    8.5
    """

    name = "loss"
    from_logits = False
    activation: str | None = None
    task = "values"

    def of_logits(self) -> Loss:
        """Return the same loss for predictions that are logits."""
        if self.from_logits:
            return self
        made = copy.copy(self)
        made.from_logits = True
        return made

    def each(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return the loss of every sample, [N]."""
        raise NotImplementedError(f"[{type(self).__name__}] a loss must define each(y_pred, y_true).")

    def to_weigh(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        """Return the loss of every sample where samples, or steps of padded sequences, do not count alike."""
        return self.each(y_pred, y_true)

    def check_targets(self, y: Any, shape: tuple[int, ...]) -> np.ndarray:
        """Return targets as the loss takes them, checked against the output's shape.

        Parameters
        ----------
        y : array_like
        shape : tuple of int
            The shape of the predictions, (N, ...).

        Returns
        -------
        ndarray
            int32 labels, or float32 or float64 targets.

        Raises
        ------
        DataError
            If a value is not finite or out of range; position and value are named.
        ShapeError, DTypeError
        """
        return targets.check_values(self.name, y, shape)

    def config(self) -> tuple[Any, ...]:
        """Return what a recorded program depends on, hashable."""
        own = sorted((k, v) for k, v in vars(self).items() if isinstance(v, (int, float, str, bool)))
        return (id(self), *own)

    def __call__(self, y_pred: Any, y_true: Any, weight: Any = None) -> Tensor:
        """Return the weighted mean loss, a scalar.

        Parameters
        ----------
        y_pred : Tensor or array_like, shape [N, ...]
        y_true : Tensor or array_like
            An array is checked (see `check_targets`); a tensor is taken as it is.
        weight : Tensor or array_like, shape [N], optional
            Or a weight for each step and the like, of the shape of y_pred's leading axes [N, T].

        Returns
        -------
        Tensor, shape ()

        Notes
        -----
        Predictions of padded sequences [N, T, ...] with a target for each step are N T samples, of which those of
        padding weigh nothing: the mean is one over real steps.
        """
        y_pred = as_tensor(y_pred)
        if not isinstance(y_true, Tensor):
            y_true = Tensor.state(self.check_targets(to_array(y_true, self.name), y_pred.shape))
        if type(self).check_targets is Loss.check_targets:
            y_true = beside(self.name, y_true, y_pred)
        y_pred, y_true, weight = real_steps(self.name, y_pred, y_true, weight)
        if weight is None:
            return ops.weighted_mean(self.each(y_pred, y_true))
        w = weight if isinstance(weight, Tensor) else as_tensor(np.asarray(weight))
        k = w.ndim
        if 1 < k < y_pred.ndim and w.shape == y_pred.shape[:k] == y_true.shape[:k]:  # each step is a sample
            y_pred, y_true = (ops.reshape(t, (w.size, *t.shape[k:])) for t in (y_pred, y_true))
            w = ops.reshape(w, (w.size,))
        each = self.to_weigh(y_pred, y_true)
        return ops.weighted_mean(each, _per_entry(self.name, w, each, y_pred.shape[0] if y_pred.ndim else 1))

    def __repr__(self) -> str:
        own = ", ".join(f"{k}={v!r}" for k, v in vars(self).items())
        return f"{type(self).__name__}({own})"


def like(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return targets in the predictions' dtype, and in their shape where only a trailing 1 differs."""
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    if y_true.dtype != y_pred.dtype:
        y_true = y_true.astype(y_pred.dtype)
    return _one_less(y_true, y_pred)


def _one_less(y_true: Tensor, y_pred: Tensor) -> Tensor:
    if (*y_true.shape, 1) == y_pred.shape or y_true.shape == (*y_pred.shape, 1):
        return ops.reshape(y_true, y_pred.shape)
    return y_true


def beside(name: str, y_true: Tensor, y_pred: Tensor, help: str = "") -> Tensor:
    """Return targets in the predictions' shape where only a trailing 1 differs.

    Raises
    ------
    ShapeError
        If there is a real number per sample for several outputs: rows would meet columns wherever both are as many.
    """
    y_true = _one_less(y_true, y_pred)
    if y_true.dtype in FLOATS and y_true.ndim < y_pred.ndim:
        raise ShapeError(
            f"[{name}] expected targets of the output's shape {y_pred.shape}. Received: y.shape={y_true.shape}.{help}"
        )
    return y_true


def real_steps(name: str, y_pred: Tensor, y_true: Tensor, weight: Any) -> tuple[Tensor, Tensor, Any]:
    """Return predictions, targets and weights; steps of padded sequences as samples, padding with a weight of 0."""
    if y_pred.lengths is None or y_pred.ndim < 2 or y_true.shape[:2] != y_pred.shape[:2]:
        return y_pred, y_true, weight
    steps = y_pred.shape[:2]
    w = mask_steps(ops.ones(steps, y_pred.dtype), lengths=y_pred.lengths, scale=ALL)
    if weight is not None:
        w = w * _per_entry(name, weight, w, steps[0])
    flat = (ops.reshape(ops.without_lengths(t), (size(steps), *t.shape[2:])) for t in (y_pred, y_true))
    return (*flat, ops.reshape(w, (size(steps),)))  # type: ignore[return-value]


def _per_entry(name: str, weight: Any, losses: Tensor, samples: int) -> Tensor:
    """Return a weight for every loss: those of samples are repeated over their rows."""
    w = weight if isinstance(weight, Tensor) else as_tensor(np.asarray(weight))
    if w.dtype != losses.dtype:
        w = w.astype(losses.dtype)
    if w.ndim == 1 and w.size == samples != losses.size and samples and losses.size % samples == 0:
        w = ops.expand(ops.reshape(w, (w.size, 1)), (w.size, losses.size // w.size))
    if size(w.shape) != losses.size:
        raise ShapeError(
            f"[{name}] expected a weight for each of {losses.size} samples. Received: weight.shape={w.shape}."
        )
    return ops.reshape(w, losses.shape) if w.shape != losses.shape else w
