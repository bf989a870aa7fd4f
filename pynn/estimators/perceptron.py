"""The perceptron: a threshold unit that learns from its errors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from pynn.checks import integer
from pynn.estimators.parameters import keep
from pynn.estimators.units import LinearUnits

__all__ = ["Perceptron", "Update"]

FIRST_LOOK = 8  # samples that are looked at together after an update
SMALL = 1 << 10  # numbers in data on which the errors of all weights are counted, which costs little there


class Update(NamedTuple):
    """One update of a perceptron.

    Attributes
    ----------
    epoch : int
        Counted from 0.
    sample : int
        The row of the training data.
    unit : int
        The class (its place in ``classes_``) of the unit that was wrong.
    error : int
        y - g(theta . x): 1 or -1.
    theta : ndarray
        The weights after the update, the bias theta_0 first.
    """

    epoch: int
    sample: int
    unit: int
    error: int
    theta: np.ndarray


class Perceptron(LinearUnits):
    """theta_j += (y - g(theta . x)) x_j, sample by sample, with g(z) = 1 if z > 0 else 0 and x_0 = 1.

    The rule stops after an epoch without errors. If a hyperplane separates the classes, that happens after at most
    (R / gamma)**2 updates (R the largest norm of a sample, gamma the margin). If none does, it would go on for ever:
    after `max_iter` epochs the weights with the fewest errors on the training data are kept, and a ConvergenceWarning
    says so. (All weights are counted on small data; on large data those at the ends of epochs and those that were right
    longer in a row than any before.) More than two classes have a unit each, trained against the rest.

    Parameters
    ----------
    max_iter : int, default 1000
        The most epochs.
    fit_intercept : bool, default True
        Whether there is a bias theta_0.
    shuffle : bool, default True
        Whether each epoch has an order of its own; else the order is that of the data, as in a calculation by hand.
    random_state : int, RandomState or None, default 0
        For the order.
    trace : int, default 1000
        How many updates, the first ones, are kept in `trace_`.

    Attributes
    ----------
    coef_ : ndarray of float64 [units, features]
        theta_1 ... of each unit; one unit for two classes, else one for each class.
    intercept_ : ndarray of float64 [units]
        theta_0 of each unit.
    classes_ : ndarray
    n_iter_ : int
        Epochs of the unit that took longest.
    errors_ : list of list of int
        For each unit the number of updates in each epoch.
    trace_ : list of Update
    converged_ : bool
        Whether all units ended with an epoch without errors.
    n_features_in_, feature_names_in_
        As in all estimators of scikit-learn.

    Raises
    ------
    ValueError
        If a parameter is out of range, if there are fewer than two classes, or if data are not finite.

    Warns
    -----
    ConvergenceWarning
        If errors remain after `max_iter` epochs.

    References
    ----------
    Rosenblatt, "The perceptron: a probabilistic model for information storage and organization in the brain", 1958.
    Novikoff, "On convergence proofs on perceptrons", 1962. Gallant, "Perceptron-based learning algorithms", 1990 (the
    best weights, with ratchet).

    Examples
    --------
    The conjunction, learned in the order of its table:

    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> unit = Perceptron(shuffle=False).fit(X, [0, 0, 0, 1])
    >>> unit.predict(X).tolist(), unit.coef_.tolist(), unit.intercept_.tolist()
    ([0, 0, 0, 1], [[2.0, 1.0]], [-2.0])
    >>> unit.trace_[0]
    Update(epoch=0, sample=3, unit=1, error=1, theta=array([1., 1., 1.]))
    """

    def __init__(
        self,
        *,
        max_iter: int = 1000,
        fit_intercept: bool = True,
        shuffle: bool = True,
        random_state: Any = 0,
        trace: int = 1000,
    ):
        keep(locals())

    def _learn(self, X: np.ndarray, members: np.ndarray) -> str:
        most, room = integer("Perceptron", "max_iter", self.max_iter, 1), integer("Perceptron", "trace", self.trace, 0)
        rng = check_random_state(self.random_state)
        samples = np.concatenate([np.full((len(X), 1), float(bool(self.fit_intercept))), X], axis=1)
        self.trace_: list[Update] = []
        self.errors_: list[list[int]] = []
        thetas, left = [], 0
        for unit, target in enumerate(members.T):
            name = 1 if members.shape[1] == 1 else unit
            theta, errors, wrong = self._learn_unit(samples, target, name, most, room, rng)
            thetas.append(theta)
            self.errors_.append(errors)
            left += wrong
        self.intercept_, self.coef_ = np.array(thetas)[:, 0], np.array(thetas)[:, 1:]
        self.n_iter_ = max(map(len, self.errors_))
        self.converged_ = all(errors[-1] == 0 for errors in self.errors_)
        if self.converged_:
            return ""
        return (
            f"errors remain after max_iter={most} epochs: no hyperplane that separates the classes was found. "
            f"The best weights are kept; they are wrong {left} times on {len(X)} samples. "
            "help: the data may not be linearly separable; a hidden layer (MLPClassifier) can separate them."
        )

    def _learn_unit(
        self, x: np.ndarray, y: np.ndarray, unit: int, most: int, room: int, rng: Any
    ) -> tuple[np.ndarray, list[int], int]:
        """Return the weights of one unit, its errors in each epoch, and those of the weights."""
        n = len(x)
        theta = np.zeros(x.shape[1])
        best, fewest = theta, int(y.sum())
        run = longest = 0  # correct samples in a row
        errors: list[int] = []
        while len(errors) < most and (not errors or errors[-1]):
            order = rng.permutation(n) if self.shuffle else np.arange(n)
            xs, ys = (x[order], y[order]) if self.shuffle else (x, y)
            at, wrong, look = 0, 0, FIRST_LOOK
            while at < n:
                # Weights change only at an error, so all samples up to the next one can be looked at together.
                fired = _fires(xs[at : at + look], theta)
                bad = fired != ys[at : at + look]
                k = int(bad.argmax())
                if not bad[k]:
                    run, at, look = run + len(bad), at + len(bad), 2 * look
                    continue
                run, look = run + k, FIRST_LOOK
                if run > longest or x.size <= SMALL:  # weights that go further may be better
                    longest = max(run, longest)
                    best, fewest = _better(x, y, theta, best, fewest)
                error = 1 - 2 * int(fired[k])
                theta = theta + error * xs[at + k]
                if len(self.trace_) < room:
                    self.trace_.append(Update(len(errors), int(order[at + k]), unit, error, theta))
                run, at, wrong = 0, at + k + 1, wrong + 1
            errors.append(wrong)
            best, fewest = (theta, 0) if not wrong else _better(x, y, theta, best, fewest)
        return best, errors, fewest


def _fires(x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return g(theta . x) for every row; einsum sums each in the same order, however many there are."""
    return np.einsum("ij,j->i", x, theta) > 0


def _better(x: np.ndarray, y: np.ndarray, theta: np.ndarray, best: np.ndarray, fewest: int) -> tuple[np.ndarray, int]:
    """Return those of two vectors of weights that err less, and how often."""
    wrong = int((_fires(x, theta) != y).sum())
    return (theta, wrong) if wrong < fewest else (best, fewest)
