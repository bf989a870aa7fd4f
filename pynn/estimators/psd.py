"""Predictive sparse decomposition: a dictionary, and a network that guesses the codes."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from pynn.checks import integer, number
from pynn.estimators.parameters import keep
from pynn.estimators.sparse import shrink
from pynn.keywords import Spelled

__all__ = ["PSD"]


class PSD(Spelled, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Minimize |x - z D|**2 + alpha |z|_1 + beta |z - g tanh(x W + b)|**2 over codes z, D, W, b and g.

    For each batch the codes are found by FISTA, from what the encoder g tanh(x W + b) predicts; then D, W, b and g take
    a step of gradient descent, and the atoms, the rows of D, are brought back to length 1. The encoder alone is what
    :meth:`transform` computes: sparse codes without iterations, and a layer to begin a network with.

    Parameters
    ----------
    n_components : int, default 32
        Atoms.
    alpha : float, default 0.5
        More makes codes sparser.
    beta : float, default 1.0
        How much the codes keep to what the encoder predicts.
    learning_rate : float, default 0.05
        Of D, W, b and g; it falls to 0 along a line.
    batch_size : int, default 100
    max_iter : int, default 5
        Passes over the samples.
    n_steps : int, default 20
        Of FISTA for each batch.
    random_state : int, RandomState or None, default None

    Attributes
    ----------
    components_ : ndarray [n_components, features]
        D, rows of length 1.
    coef_ : ndarray [features, n_components]
        W.
    intercept_ : ndarray [n_components]
        b.
    gain_ : ndarray [n_components]
        g.
    loss_curve_ : list of float
        The mean cost of a sample in each pass.
    n_iter_ : int
        Passes.
    n_features_in_, feature_names_in_
        As in all estimators of scikit-learn.

    Raises
    ------
    ValueError
        If a parameter is out of range, or data are not finite, or the cost grew beyond all numbers.

    References
    ----------
    Kavukcuoglu, Ranzato, LeCun: Fast inference in sparse coding algorithms with applications to object recognition
    (2008). Jarrett, Kavukcuoglu, Ranzato, LeCun: What is the best multi-stage architecture for object recognition?
    (ICCV 2009).

    Examples
    --------
    >>> x = np.random.default_rng(0).laplace(size=(500, 4)) @ np.random.default_rng(1).normal(size=(4, 8))
    >>> codes = PSD(n_components=6, random_state=0).fit(x)
    >>> codes.transform(x).shape, np.linalg.norm(codes.components_, axis=1).round(6).tolist()
    ((500, 6), [1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """

    def __init__(
        self,
        *,
        n_components: int = 32,
        alpha: float = 0.5,
        beta: float = 1.0,
        learning_rate: float = 0.05,
        batch_size: int = 100,
        max_iter: int = 5,
        n_steps: int = 20,
        random_state: Any = None,
    ):
        keep(locals())

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the dictionary and the encoder.

        Parameters
        ----------
        X : array_like [N, features]
        y : object, optional
            Not looked at.

        Returns
        -------
        self
        """
        k, epochs = integer("PSD", "n_components", self.n_components, 1), integer("PSD", "max_iter", self.max_iter, 1)
        size, steps = integer("PSD", "batch_size", self.batch_size, 1), integer("PSD", "n_steps", self.n_steps, 1)
        alpha, beta = number("PSD", "alpha", self.alpha, 0), number("PSD", "beta", self.beta, 0)
        rate = number("PSD", "learning_rate", self.learning_rate, 0, open_low=True)
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        rng = check_random_state(self.random_state)
        kind = X.dtype.type
        self.components_ = _unit(rng.standard_normal((k, X.shape[1])).astype(X.dtype))
        self.coef_ = np.ascontiguousarray(self.components_.T)
        self.intercept_, self.gain_ = np.zeros(k, X.dtype), np.ones(k, X.dtype)
        self.loss_curve_: list[float] = []
        batches = -(-len(X) // size)
        self.n_iter_ = epochs
        for epoch in range(epochs):
            order, total = rng.permutation(len(X)), 0.0
            for number_of_batch in range(batches):
                x = X[order[number_of_batch * size : (number_of_batch + 1) * size]]
                left = 1 - (epoch * batches + number_of_batch) / (epochs * batches)
                total += self._step(x, kind(rate * left / len(x)), alpha, kind(beta), steps)
            self.loss_curve_.append(total / len(X))
            if not np.isfinite(total):
                raise ValueError(
                    "[PSD] the cost grew beyond all numbers. help: a smaller learning_rate, or scaled data."
                )
        return self

    def _step(self, x: np.ndarray, rate: Any, alpha: float, beta: Any, steps: int) -> float:
        """Learn from a batch; return the sum of its costs before."""
        d = self.components_
        with np.errstate(over="ignore", invalid="ignore"):
            t = np.tanh(x @ self.coef_ + self.intercept_)
            predicted = self.gain_ * t
            gram = d @ d.T + beta * np.eye(len(d), dtype=d.dtype)
            if not np.isfinite(gram).all():
                return float("nan")
            z = shrink(gram, x @ d.T + beta * predicted, alpha / 2, predicted, steps)
            rest, error = z @ d - x, predicted - z
            cost = (rest * rest).sum() + alpha * np.abs(z).sum() + beta * (error * error).sum()
            slope = beta * error * self.gain_ * (1 - t * t)
            self.components_ = _unit(d - 2 * rate * (z.T @ rest))
            self.coef_ -= 2 * rate * (x.T @ slope)
            self.intercept_ -= 2 * rate * slope.sum(0)
            self.gain_ -= 2 * rate * beta * (error * t).sum(0)
        return float(cost)

    def transform(self, X: Any) -> np.ndarray:
        """Return what the encoder predicts, g tanh(x W + b).

        Parameters
        ----------
        X : array_like [N, features]

        Returns
        -------
        ndarray [N, n_components]
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return self.gain_ * np.tanh(X @ self.coef_ + self.intercept_)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(rows.dtype).tiny)
