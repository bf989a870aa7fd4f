"""Losses: objects that turn predictions and targets into one number, and their names.

Predictions come first. Every loss is a mean over samples, weighted with sample weights if there are any (the sum of
w[n] * l[n], divided by the number of samples).
"""

from __future__ import annotations

from typing import Any

from pynn.errors import unknown_name
from pynn.losses.base import Loss
from pynn.losses.classification import BinaryCrossEntropy, CrossEntropy, Hinge, KLDivergence, SquaredHinge
from pynn.losses.regression import MAE, MSE, Huber, MSEHalf, Poisson
from pynn.losses.targets import class_weights_to_sample_weights

__all__ = [
    "MAE",
    "MSE",
    "NAMES",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Hinge",
    "Huber",
    "KLDivergence",
    "Loss",
    "MSEHalf",
    "Poisson",
    "SquaredHinge",
    "class_weights_to_sample_weights",
    "get",
]

#: name -> class, with the names of Keras
NAMES: dict[str, type[Loss]] = {
    "mse": MSE,
    "mean_squared_error": MSE,
    "mse_half": MSEHalf,
    "mae": MAE,
    "mean_absolute_error": MAE,
    "huber": Huber,
    "poisson": Poisson,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "binary_cross_entropy": BinaryCrossEntropy,
    "binary_crossentropy": BinaryCrossEntropy,
    "cross_entropy": CrossEntropy,
    "categorical_crossentropy": CrossEntropy,
    "sparse_categorical_crossentropy": CrossEntropy,
    "kl_divergence": KLDivergence,
}


def get(loss: Any) -> Loss:
    """Return a loss of a name, or the loss itself.

    Raises
    ------
    ValueError
        If no loss has the name; the nearest known name is given.
    TypeError
        If it is neither a name nor a loss.

    Examples
    --------
    >>> get("huber")
    Huber(delta=1.0)
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type) and issubclass(loss, Loss):
        return loss()
    if isinstance(loss, str):
        if loss not in NAMES:
            raise ValueError(unknown_name("loss", loss, NAMES))
        return NAMES[loss]()
    raise TypeError(
        f"[loss] expected a name or a pynn.losses.Loss. Received: {loss!r}. "
        "help: for a loss of your own, subclass pynn.losses.Loss and define each(y_pred, y_true)."
    )
