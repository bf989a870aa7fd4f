"""Data of estimators, checked as scikit-learn does, after what it would misread is refused."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import validate_data

from pynn.core.foreign import refuse

__all__ = ["Held", "validated"]


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
