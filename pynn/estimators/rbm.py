"""The restricted Boltzmann machine with the interface of scikit-learn's."""

from __future__ import annotations

import time
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from pynn import nn
from pynn.checks import integer, number
from pynn.core.tensor import Tensor
from pynn.estimators.data import validated
from pynn.estimators.files import from_bytes, to_bytes
from pynn.estimators.parameters import keep
from pynn.keywords import Spelled

__all__ = ["BernoulliRBM"]

SEEDS = np.iinfo(np.int32).max


class BernoulliRBM(Spelled, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A restricted Boltzmann machine of units that are off or on: P(v, h) = exp(v . c + h . b + v W h) / Z.

    The parameters, methods and attributes are those of ``sklearn.neural_network.BernoulliRBM``, which it stands in for:
    stochastic maximum likelihood with `batch_size` persistent chains. :class:`pynn.nn.RBM` can more.

    Parameters
    ----------
    n_components : int, default 256
        Hidden units.
    learning_rate : float, default 0.1
    batch_size : int, default 10
        Also how many chains go on from step to step.
    n_iter : int, default 10
        Passes over the data.
    verbose : bool, default False
        Whether to print the pseudo-likelihood after each pass.
    random_state : int, RandomState or None, default None
        Of the first weights, which are scikit-learn's, and of sampling, which is other numbers.

    Attributes
    ----------
    model_ : pynn.nn.RBM
        The machine itself.
    components_ : ndarray [n_components, features]
        Copies of the weights, as are the biases.
    intercept_hidden_ : ndarray [n_components]
    intercept_visible_ : ndarray [features]
    h_samples_ : ndarray [batch_size, n_components]
        The hidden units of the chains.
    n_features_in_, feature_names_in_
        As in all estimators of scikit-learn.

    Raises
    ------
    ValueError
        If a parameter is out of range, or if data are not finite.
    pynn.errors.NonFiniteError
        If the weights overflow.

    Warns
    -----
    UserWarning
        If data are not in 0..1, as they are taken for probabilities.

    Notes
    -----
    Computed in the dtype of X. The last batch of a pass may be smaller; scikit-learn spreads the samples evenly.
    Sparse matrices are made dense.

    References
    ----------
    T. Tieleman, "Training restricted Boltzmann machines using approximations to the likelihood gradient", ICML 2008.

    Examples
    --------
    >>> X = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    >>> BernoulliRBM(n_components=2, random_state=0).fit(X).transform(X).shape
    (4, 2)
    """

    model_: Any

    def __init__(
        self,
        n_components: int = 256,
        *,
        learning_rate: float = 0.1,
        batch_size: int = 10,
        n_iter: int = 10,
        verbose: bool = False,
        random_state: Any = None,
    ):
        keep(locals())

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from data.

        Parameters
        ----------
        X : array_like or sparse matrix [N, features]
        y : object, optional
            Ignored.
        """
        X = self._rows(X, reset=True)
        n_iter = integer(type(self).__name__, "n_iter", self.n_iter)
        self._begin(X)
        for i in range(n_iter):
            started = time.perf_counter()
            self._pass(X)
            if self.verbose:
                seconds = time.perf_counter() - started
                likelihood = self.score_samples(X).mean()
                print(
                    f"[{type(self).__name__}] Iteration {i + 1}, pseudo-likelihood = {likelihood:.2f}, "
                    f"time = {seconds:.2f}s"
                )
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Make one update on all of X.

        Parameters
        ----------
        X : array_like or sparse matrix [N, features]
        y : object, optional
            Ignored.
        """
        fresh = not hasattr(self, "model_")
        X = self._rows(X, reset=fresh)
        if fresh:
            self._begin(X)
        self._pass(X, whole=True)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the probabilities of the hidden units, [N, n_components]."""
        check_is_fitted(self, "model_")
        X = self._rows(X, reset=False)
        hidden: np.ndarray = self.model_.transform(X)
        return hidden.astype(X.dtype, copy=False)

    def gibbs(self, v: Any) -> np.ndarray:
        """Sample hidden units given v, and visible ones given these: bool, in the shape of v.

        Parameters
        ----------
        v : array_like [N, features]
        """
        check_is_fitted(self, "model_")
        if not hasattr(self, "random_state_"):
            self.random_state_ = check_random_state(self.random_state)
        rng, model = self.random_state_, self.model_
        told = model.transform(np.asarray(v))
        hidden = rng.uniform(size=told.shape) < told
        (w,), (c, _) = model._parameters64()
        z = hidden @ w.T + c
        return np.asarray(rng.uniform(size=z.shape) < 0.5 * (1 + np.tanh(z / 2)))

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the pseudo-likelihood, features * log P(v_i | all others) for a feature i by chance, [N].

        Parameters
        ----------
        X : array_like or sparse matrix [N, features]
            Of zeros and ones.
        """
        check_is_fitted(self, "model_")
        v = self._rows(X, reset=False)
        rng = check_random_state(self.random_state)
        other = v.copy()
        at = np.arange(len(v)), rng.randint(0, v.shape[1], len(v))
        other[at] = 1 - other[at]
        difference = self.model_.free_energy(other) - self.model_.free_energy(v)
        return np.asarray(-v.shape[1] * np.logaddexp(0, -difference))

    @property
    def components_(self) -> np.ndarray:
        """Copies of the weights, [n_components, features]."""
        return np.ascontiguousarray(self._need("components_").w.numpy().T)

    @property
    def intercept_hidden_(self) -> np.ndarray:
        """Copies of the hidden units' biases."""
        return np.asarray(self._need("intercept_hidden_").b.numpy())

    @property
    def intercept_visible_(self) -> np.ndarray:
        """Copies of the visible units' biases."""
        return np.asarray(self._need("intercept_visible_").c.numpy())

    @property
    def h_samples_(self) -> np.ndarray:
        """Copies of the chains' hidden units, [batch_size, n_components]."""
        return np.asarray(self._need("h_samples_")._chains[0].numpy())

    @property
    def _n_features_out(self) -> int:
        return int(self._need("n_features_out").units)

    def _need(self, name: str) -> Any:
        if "model_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r} before it is fitted.")
        return self.model_

    def _rows(self, X: Any, reset: bool) -> np.ndarray:
        X = validated(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=reset)
        X = np.ascontiguousarray(X.toarray() if hasattr(X, "toarray") else X)
        if reset and (X.min() < 0 or X.max() > 1):
            warnings.warn(
                f"[{type(self).__name__}] expected X in 0..1. Received: values from {X.min():g} to {X.max():g}, which "
                "are no probabilities. help: sklearn.preprocessing.MinMaxScaler.",
                stacklevel=3,
            )
        return X

    def _begin(self, X: np.ndarray) -> None:
        place = type(self).__name__
        units = integer(place, "n_components", self.n_components, 1)
        chains = integer(place, "batch_size", self.batch_size, 1)
        number(place, "learning_rate", self.learning_rate, 0, open_low=True)
        rng = self.random_state_ = check_random_state(self.random_state)
        weights = rng.normal(0, 0.01, (units, X.shape[1]))
        model = nn.RBM(units, seed=int(rng.randint(SEEDS))).astype(X.dtype)
        model._bounded = False  # scikit-learn's takes any numbers
        model._build_now((Tensor.state(X[:0]),))
        model.set_weights([weights.T, np.zeros(units), np.zeros(X.shape[1])])
        model._chains = [Tensor.state(np.zeros((chains, units), X.dtype))]
        self.model_ = model

    def _pass(self, X: np.ndarray, whole: bool = False) -> None:
        place = type(self).__name__
        chains = self.model_._chains[0].shape[0]
        self.model_.fit(
            X, epochs=1, batch_size=len(X) if whole else chains, persistent=chains, momentum=0.0, shuffle=False,
            learning_rate=number(place, "learning_rate", self.learning_rate, 0, open_low=True), verbose=0,
        )  # fmt: skip

    # What scikit-learn and pickle ask

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "model_" in state:
            state["_chains"] = self.h_samples_
            state["_model_file"] = to_bytes(state.pop("model_"))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        data, chains = state.pop("_model_file", None), state.pop("_chains", None)
        super().__setstate__(state)
        if data is not None:
            self.model_ = from_bytes(data)
            self.model_._bounded = False
            self.model_._chains = [Tensor.state(chains)]
