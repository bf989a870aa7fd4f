"""Data of estimators, checked as scikit-learn does, after what it would misread is refused."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import validate_data

from pynn.core.foreign import refuse

__all__ = ["Held", "checked_weights", "validated"]


class Held(NamedTuple):
    """Samples that a fit is scored on and does not train on.

    Attributes
    ----------
    x, coded : ndarray
    weight : ndarray or None
    given : bool
        Whether they are the user's validation_data, of which the loss is measured too.
    """

    x: np.ndarray
    coded: np.ndarray
    weight: np.ndarray | None
    given: bool


def checked_weights(place: str, given: Any, n: int) -> np.ndarray:
    """Return sample weights.

    Raises
    ------
    ValueError
        If they are not `n` finite numbers of at least 0, or all are zero.
    """
    w = np.asarray(given, np.float64)
    if w.shape != (n,) or not np.isfinite(w).all() or (w < 0).any():
        raise ValueError(
            f"[{place}] expected sample_weight to be {n} finite numbers of at least 0. "
            f"Received: sample_weight of shape {w.shape}."
        )
    if not w.any():
        raise ValueError(f"[{place}] sample weights are all zero.")
    return w


def validated(estimator: Any, *arrays: Any, **options: Any) -> Any:
    """Return what scikit-learn's validate_data returns.

    Raises
    ------
    DataError, DTypeError
        For masked values, dicts and objects that give items by index, which NumPy would ask for items without end.
    """
    for array in arrays:
        refuse(array, type(estimator).__name__)
    return validate_data(estimator, *arrays, **options)
