"""Losses: objects that turn predictions and targets into one number, and their names.

Predictions come first. Every loss is a mean over samples, weighted with sample weights if there are any (the sum of
w[n] * l[n], divided by the number of samples).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from pynn.losses.base import Loss
from pynn.losses.classification import BinaryCrossEntropy, CrossEntropy, Hinge, KLDivergence, SquaredHinge
from pynn.losses.function import FunctionLoss
from pynn.losses.kinds import class_weights_to_sample_weights
from pynn.losses.regression import MAE, MSE, Huber, MSEHalf, Poisson
from pynn.names import Registry

__all__ = [
    "MAE",
    "MSE",
    "NAMES",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "FunctionLoss",
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

#: name -> what makes the loss, with the names of Keras beside pynn's; the cross-entropies take probabilities there
NAMES: Registry[Loss] = Registry(
    "loss",
    Loss,
    {
        "mse": MSE,
        "mse_half": MSEHalf,
        "mae": MAE,
        "huber": Huber,
        "poisson": Poisson,
        "hinge": Hinge,
        "squared_hinge": SquaredHinge,
        "binary_cross_entropy": BinaryCrossEntropy,
        "cross_entropy": CrossEntropy,
        "kl_divergence": KLDivergence,
        "binary_crossentropy": partial(BinaryCrossEntropy, from_logits=False),
        "categorical_crossentropy": partial(CrossEntropy, from_logits=False),
        "sparse_categorical_crossentropy": partial(CrossEntropy, from_logits=False),
    },
    {
        "mean_squared_error": "mse",
        "mean_absolute_error": "mae",
    },
    convert=lambda given: FunctionLoss(given) if callable(given) else None,
    expected="a name, a pynn.losses.Loss or a function",
    remedy="a loss of your own is a function of (y_true, y_pred), or a pynn.losses.Loss.",
)


def get(loss: Any) -> Loss:
    """Return a loss of a name, a class or a function, or the loss itself.

    A function takes (y_true, y_pred), or the other order if its parameters are named so; see :class:`FunctionLoss`.

    Raises
    ------
    ValueError
        If no loss has the name; the nearest known name is given.
    TypeError
        If it is none of these.

    Examples
    --------
    >>> get("huber"), get(Huber)
    (Huber(delta=1.0), Huber(delta=1.0))
    """
    return NAMES.resolve(loss)
