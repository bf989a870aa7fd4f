"""What the two historical units share: one unit for two classes, one for each class beyond, and a linear decision."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from pynn.estimators.data import validated
from pynn.keywords import Spelled

__all__ = ["LinearUnits"]


class LinearUnits(Spelled, ClassifierMixin, BaseEstimator):
    """A classifier of linear units z = theta . x with x_0 = 1: z > 0 says that the sample is of the unit's class."""

    coef_: np.ndarray
    intercept_: np.ndarray
    classes_: np.ndarray

    def _checked(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the samples and, one column for each unit, whether they are of its class; sets `classes_`."""
        place = type(self).__name__
        X, y = validated(self, X, y, dtype=np.float64, order="C")
        check_classification_targets(y)
        self.classes_, index = np.unique(y, return_inverse=True)
        count = len(self.classes_)
        if count < 2:
            raise ValueError(f"[{place}] expected samples of at least 2 classes. Received: {count} class.")
        units = [1] if count == 2 else range(count)
        return X, np.stack([index == unit for unit in units], axis=1)

    def _learn(self, X: np.ndarray, members: np.ndarray) -> str:
        """Learn `coef_` and `intercept_`; returns what speaks against them, or nothing."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any) -> Self:
        """Learn until the rule comes to rest, or for `max_iter` epochs.

        Parameters
        ----------
        X : array_like [N, features]
        y : array_like [N]
            Classes of any kind.

        Returns
        -------
        This estimator.
        """
        complaint = self._learn(*self._checked(X, y))
        if complaint:
            warnings.warn(f"[{type(self).__name__}] {complaint}", ConvergenceWarning, stacklevel=2)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return z = theta . x of every unit; positive where a sample is of the unit's class.

        Parameters
        ----------
        X : array_like [N, features]

        Returns
        -------
        ndarray of float64, [N] for two classes (the unit is that of ``classes_[1]``), else [N, classes]
        """
        check_is_fitted(self)
        X = validated(self, X, dtype=np.float64, reset=False)
        # einsum sums each row in one fixed order, whatever the threads of the BLAS
        z = np.einsum("ij,kj->ik", X, self.coef_) + self.intercept_
        return z[:, 0] if z.shape[1] == 1 else z

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of every sample, that of the largest z where there is a unit for each class.

        Parameters
        ----------
        X : array_like [N, features]

        Returns
        -------
        ndarray [N]
        """
        z = self.decision_function(X)
        return self.classes_[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]
