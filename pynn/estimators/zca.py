"""Whitening that stays in the space of its data."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from pynn.checks import number
from pynn.estimators.parameters import keep
from pynn.keywords import Spelled

__all__ = ["ZCA"]


class ZCA(Spelled, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """y = (x - m) V (L + eps)^(-1/2) V', with the mean m and the covariance V L V' of the training data.

    Features become uncorrelated with variances of almost 1; of all such rotations this one changes the data least, so
    that whitened images still look like images. Directions whose variance is far below `eps` are not blown up.

    Parameters
    ----------
    eps : float, default 0.1
        Added to every variance; at least 0.

    Attributes
    ----------
    mean_ : ndarray [features]
    whitening_ : ndarray [features, features]
        The symmetric matrix V (L + eps)^(-1/2) V'.
    unwhitening_ : ndarray [features, features]
        Its inverse.
    n_features_in_, feature_names_in_
        As in all estimators of scikit-learn.

    Raises
    ------
    ValueError
        If `eps` is below 0, or data are not finite, or `eps` is 0 and a direction has no variance.

    References
    ----------
    Bell, Sejnowski: The "independent components" of natural scenes are edge filters (Vision Research 1997).

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(500, 3)) @ [[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.2]]
    >>> bool(np.allclose(np.cov(ZCA(eps=0.0).fit_transform(x).T, bias=True), np.eye(3), atol=1e-3))
    True
    """

    def __init__(self, *, eps: float = 0.1):
        keep(locals())

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the mean and the covariance.

        Parameters
        ----------
        X : array_like [N, features]
        y : object, optional
            Not looked at.

        Returns
        -------
        self
        """
        eps = number("ZCA", "eps", self.eps, 0)
        X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        mean = X.mean(0, dtype=np.float64)
        centred = X - mean.astype(X.dtype)
        variances, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64) / len(X))
        roots = np.sqrt(np.maximum(variances, 0) + eps)
        if roots.min() <= 1e-9 * max(float(roots.max()), 1e-300):
            raise ValueError(
                f"[ZCA] expected data that vary in all {X.shape[1]} directions for eps={eps}. "
                "Received: some do not vary. help: an eps above 0."
            )
        self.mean_ = mean.astype(X.dtype)
        self.whitening_ = ((vectors / roots) @ vectors.T).astype(X.dtype)
        self.unwhitening_ = ((vectors * roots) @ vectors.T).astype(X.dtype)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return whitened data.

        Parameters
        ----------
        X : array_like [N, features]

        Returns
        -------
        ndarray [N, features]
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return (X - self.mean_) @ self.whitening_

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Return the data that whitening made these of.

        Parameters
        ----------
        X : array_like [N, features]

        Returns
        -------
        ndarray [N, features]
        """
        check_is_fitted(self)
        return np.asarray(X) @ self.unwhitening_ + self.mean_
