"""What the two historical units share: one unit for two classes, one for each class beyond, and a linear decision."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from pynn.checks import choice, number
from pynn.core._linear import Rows, Unit
from pynn.estimators.data import checked_weights, validated
from pynn.keywords import Spelled

__all__ = ["LinearUnits", "Task", "wrong_share"]


class Task(NamedTuple):
    """What a rule learns from.

    Attributes
    ----------
    rows : Rows
    coded : ndarray of int [N]
        The place of each sample's class in ``classes_``.
    signs : ndarray of float64 [units, N]
        1 where a sample is of the unit's class, else -1.
    weight : ndarray of float64 [units, N] or None
        The products of sample and class weights; among several units the weight of a class counts in its own alone.
    thetas : ndarray of float64 [units, features + 1]
        Where the units begin, each bias first; a rule changes them in place.
    """

    rows: Rows
    coded: np.ndarray
    signs: np.ndarray
    weight: np.ndarray | None
    thetas: np.ndarray


def wrong_share(task: Task, theta: np.ndarray, y: np.ndarray, weight: np.ndarray | None, held: np.ndarray) -> float:
    """Return the weighted share of wrong samples of a unit among some."""
    bad = ((task.rows.outputs(theta) > 0) != (y > 0))[held]
    return float(np.average(bad, weights=None if weight is None else weight[held]))


class LinearUnits(Spelled, ClassifierMixin, BaseEstimator):
    """A classifier of linear units z = theta . x with x_0 = 1: z > 0 says that the sample is of the unit's class."""

    coef_: Any
    intercept_: np.ndarray
    classes_: np.ndarray
    # Parameters that both have, set by the constructors.
    penalty: str | None
    alpha: float
    l1_ratio: float | None
    fit_intercept: bool
    class_weight: Any
    warm_start: bool
    random_state: Any
    early_stopping: bool
    validation_fraction: float

    def _learn(self, task: Task) -> str:
        """Change `thetas` until the rule rests; returns what speaks against them, or nothing."""
        raise NotImplementedError

    def _learn_once(self, task: Task) -> None:
        """Change `thetas` by one epoch."""
        raise NotImplementedError

    def _refuse_partial(self) -> None:
        """Raise if the parameters do not go with partial_fit."""
        if self.early_stopping:
            raise ValueError(
                f"[{type(self).__name__}] early_stopping should be False with partial_fit, which makes a single epoch. "
                f"Received: early_stopping={self.early_stopping!r}."
            )

    def fit(self, X: Any, y: Any, coef_init: Any = None, intercept_init: Any = None, sample_weight: Any = None) -> Self:
        """Learn until the rule comes to rest, or for `max_iter` epochs.

        Parameters
        ----------
        X : array_like or sparse matrix [N, features]
        y : array_like [N]
            Classes of any kind.
        coef_init : array_like [units, features], optional
            Where the weights begin; by default at 0, or with ``warm_start=True`` where the last call left them.
        intercept_init : array_like [units], optional
            Where the biases begin.
        sample_weight : array_like [N], optional
            Of at least 0; updates are multiplied by them.

        Returns
        -------
        This estimator.
        """
        place = type(self).__name__
        goes_on = bool(self.warm_start) and hasattr(self, "coef_")
        rows, y = self._rows_and_targets(X, y, reset=not goes_on)
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(f"[{place}] expected samples of at least 2 classes. Received: {len(classes)} class.")
        if goes_on and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"[{place}] expected the classes of the last fit, with which warm_start=True goes on. "
                f"Received: {classes.tolist()}, known are {self.classes_.tolist()}."
            )
        self.classes_ = classes
        units = 1 if len(classes) == 2 else len(classes)
        thetas = self._thetas() if goes_on else np.zeros((units, rows.features + 1))
        self._begin(thetas, "coef_init", coef_init, slice(1, None))
        self._begin(thetas, "intercept_init", intercept_init, slice(0, 1))
        complaint = self._finish(self._task(rows, y, sample_weight, thetas), self._learn)
        if complaint:
            warnings.warn(f"[{place}] {complaint}", ConvergenceWarning, stacklevel=2)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Learn from one epoch of some data, from where the last call left the weights.

        Parameters
        ----------
        X : array_like or sparse matrix [N, features]
        y : array_like [N]
        classes : array_like, optional
            All classes that will come; needed in the first call.
        sample_weight : array_like [N], optional

        Returns
        -------
        This estimator.
        """
        place = type(self).__name__
        self._refuse_partial()
        first = not hasattr(self, "coef_")
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"[{place}] expected class_weight to be a dict in partial_fit, which does not see all samples. "
                f"Received: class_weight={self.class_weight!r}. "
                "help: sklearn.utils.class_weight.compute_class_weight gives the numbers."
            )
        if first and classes is None:
            raise ValueError(f"[{place}] expected classes in the first call of partial_fit. Received: none.")
        rows, y = self._rows_and_targets(X, y, reset=first)
        if classes is not None:
            given = np.unique(classes)
            if not first and not np.array_equal(given, self.classes_):
                raise ValueError(
                    f"[{place}] expected the classes of the calls before, `classes={self.classes_.tolist()}`. "
                    f"Received: classes={given.tolist()}."
                )
            self.classes_ = given
        units = 1 if len(self.classes_) == 2 else len(self.classes_)
        if first:
            self.t_ = 1
        thetas = np.zeros((units, rows.features + 1)) if first else self._thetas()
        self._finish(self._task(rows, y, sample_weight, thetas), self._learn_once)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return z = theta . x of every unit; positive where a sample is of the unit's class.

        Parameters
        ----------
        X : array_like or sparse matrix [N, features]

        Returns
        -------
        ndarray of float64, [N] for two classes (the unit is that of ``classes_[1]``), else [N, classes]
        """
        check_is_fitted(self)
        rows = self._rows(validated(self, X, dtype=np.float64, order="C", accept_sparse="csr", reset=False))
        z = np.stack([rows.outputs(theta) for theta in self._thetas()], axis=1)
        return z[:, 0] if z.shape[1] == 1 else z

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of every sample, that of the largest z where there is a unit for each class.

        Parameters
        ----------
        X : array_like or sparse matrix [N, features]

        Returns
        -------
        ndarray [N]
        """
        z = self.decision_function(X)
        return self.classes_[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]

    def sparsify(self) -> Self:
        """Keep `coef_` as a sparse matrix, which is small if a penalty of l1 made most of it 0."""
        check_is_fitted(self)
        self.coef_ = sparse.csr_matrix(self.coef_)
        return self

    def densify(self) -> Self:
        """Keep `coef_` as an array again."""
        check_is_fitted(self)
        self.coef_ = self._thetas()[:, 1:].copy()
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # What the rules ask for

    def _unit(self, theta: np.ndarray, rule: str) -> Unit:
        """Return what changes the weights of one unit; its penalties are those of the parameters."""
        place = type(self).__name__
        l1 = l2 = 0.0
        if self.penalty is not None:
            choice(place, "penalty", self.penalty, ("l2", "l1", "elasticnet"))
            alpha = number(place, "alpha", self.alpha, 0)
            share = {"l1": 1.0, "l2": 0.0}.get(self.penalty)
            if share is None:
                if self.l1_ratio is None:
                    raise ValueError(f"[{place}] l1_ratio must be set when penalty is 'elasticnet'. Received: None.")
                share = number(place, "l1_ratio", self.l1_ratio, 0, 1)
            l1, l2 = alpha * share, alpha * (1 - share)
        return Unit(theta, rule, bool(self.fit_intercept), l2, l1)

    def _split(self, task: Task) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows to learn from and those to be scored on, which have the same share of each class."""
        place = type(self).__name__
        share = number(place, "validation_fraction", self.validation_fraction, 0, 1, open_low=True, open_high=True)
        split = StratifiedShuffleSplit(test_size=share, random_state=self.random_state)
        train, held = next(split.split(np.zeros((task.rows.n, 1)), task.coded))
        if task.weight is not None and not task.weight[:, held].any():
            raise ValueError(f"[{place}] sample weights of the samples for validation are all zero.")
        return np.sort(train), np.sort(held)

    def _rows_and_targets(self, X: Any, y: Any, reset: bool) -> tuple[Rows, np.ndarray]:
        X, y = validated(self, X, y, dtype=[np.float64, np.float32], order="C", accept_sparse="csr", reset=reset)
        check_classification_targets(y)
        self._dtype = X.dtype
        return self._rows(X.astype(np.float64, copy=False)), y

    @staticmethod
    def _rows(X: Any) -> Rows:
        if not sparse.issparse(X):
            return Rows(np.ascontiguousarray(X))
        return Rows(None, X.data, X.indices.astype(np.int32), X.indptr.astype(np.int64), X.shape[1])

    def _task(self, rows: Rows, y: np.ndarray, sample_weight: Any, thetas: np.ndarray) -> Task:
        place = type(self).__name__
        coded = np.searchsorted(self.classes_, y)
        strange = self.classes_[np.minimum(coded, len(self.classes_) - 1)] != y
        if strange.any():
            raise ValueError(
                f"[{place}] `y` has classes not in `self.classes_`. Received: {np.unique(y[strange]).tolist()}, "
                f"known are {self.classes_.tolist()}."
            )
        units = [1] if len(thetas) == 1 else range(len(thetas))
        signs = np.stack([np.where(coded == unit, 1.0, -1.0) for unit in units])
        weight = None
        if sample_weight is not None:
            weight = np.tile(checked_weights(place, sample_weight, rows.n), (len(signs), 1))
        if self.class_weight is not None:
            of_class = compute_class_weight(self.class_weight, classes=self.classes_, y=y)[coded]
            of_class = of_class if len(units) == 1 else np.where(signs > 0, of_class, 1.0)
            weight = np.broadcast_to(of_class, signs.shape).copy() if weight is None else weight * of_class
        return Task(rows, coded, signs, weight, thetas)

    def _finish(self, task: Task, learn: Any) -> Any:
        """Run a rule, and take over what it learned."""
        found = learn(task)
        with np.errstate(over="ignore"):  # rules count in float64; what they learned is kept in the data's precision
            thetas = task.thetas.astype(self._dtype)
        if not np.isfinite(thetas).all():
            from pynn.errors import NonFiniteError

            raise NonFiniteError(
                f"[{type(self).__name__}] weights became infinite or NaN. help: scale the data, or take a smaller eta0."
            )
        self.coef_, self.intercept_ = thetas[:, 1:].copy(), thetas[:, 0].copy()
        return found

    def _thetas(self) -> np.ndarray:
        coef = self.coef_.toarray() if sparse.issparse(self.coef_) else np.asarray(self.coef_)
        return np.concatenate([np.reshape(self.intercept_, (-1, 1)), coef], axis=1, dtype=np.float64)

    def _begin(self, thetas: np.ndarray, name: str, given: Any, columns: slice) -> None:
        if given is None:
            return
        there = thetas[:, columns]
        values = np.asarray(given, dtype=np.float64)
        if values.size != there.size or (values.ndim == 2 and values.shape != there.shape):
            shape = there.shape if columns.start else (len(thetas),)
            raise ValueError(
                f"[{type(self).__name__}] Provided {name} does not match dataset: expected shape {shape}. "
                f"Received: {values.shape}."
            )
        there[:] = values.reshape(there.shape)
