"""The perceptron: a threshold unit that learns from its errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count, repeat
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from pynn.checks import integer, number
from pynn.core._linear import Unit, shuffled
from pynn.estimators.parameters import keep
from pynn.estimators.units import LinearUnits, Task, wrong_share

__all__ = ["Perceptron", "Update"]

SMALL = 1 << 10  # numbers in data on which the errors of all weights are counted, which costs little there
MOST = 2**31 - 1  # above the seeds of orders
TOL = 1e-3  # where "auto" is that of the loss


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

    With a penalty, with early stopping, or if `tol` is None or a number, training ends as in scikit-learn: by the loss
    max(0, -yz), y of 1 and -1, with the last weights; then a sample with z = 0 is wrong whichever its class, and the
    same `random_state` gives the samples the same order.

    Parameters
    ----------
    penalty : {None, "l2", "l1", "elasticnet"}, default None
        What draws the weights (not the bias) to 0 after each sample.
    alpha : float, default 1e-4
        How strong the penalty is.
    l1_ratio : float, default 0.15
        The share of l1 in "elasticnet".
    fit_intercept : bool, default True
        Whether there is a bias theta_0.
    max_iter : int, default 1000
        The most epochs.
    tol : float, None or "auto", default "auto"
        Training ends when the mean loss of `n_iter_no_change` epochs in a row is not by `tol` below the least before;
        None never ends it. "auto" waits for an epoch without errors instead, and is 0.001 with a penalty or with early
        stopping.
    shuffle : bool, default True
        Whether each epoch has an order of its own; else the order is that of the data, as in a calculation by hand.
    verbose : int, default 0
        1 prints a line for every epoch of every unit.
    eta0 : float, default 1.0
        A factor of the updates. From weights of 0, and without a penalty, it changes nothing but their length.
    n_jobs : int, optional
        Taken for scikit-learn's sake: units learn one after the other.
    random_state : int, RandomState or None, default 0
        For the order.
    early_stopping : bool, default False
        Whether the score on samples that are held out ends training, instead of the loss.
    validation_fraction : float, default 0.1
        Their share, in (0, 1).
    n_iter_no_change : int, default 5
        Epochs without progress after which training ends.
    class_weight : dict, "balanced" or None, default None
        Updates are multiplied by the weight of the sample's class.
    warm_start : bool, default False
        Whether fit goes on from the weights of the last call.
    trace : int, default 1000
        How many updates, the first ones, are kept in `trace_`.

    Attributes
    ----------
    coef_ : ndarray of float64 [units, features], or of float32 for data of float32
        theta_1 ... of each unit; one unit for two classes, else one for each class.
    intercept_ : ndarray [units]
        theta_0 of each unit.
    classes_ : ndarray
    n_iter_ : int
        Epochs of the unit that took longest.
    t_ : int
        1, and the samples that these epochs, or calls of partial_fit, went through.
    errors_ : list of list of int
        For each unit the number of wrong samples in each epoch.
    trace_ : list of Update
    converged_ : bool
        Whether all units came to rest.
    n_features_in_, feature_names_in_
        As in all estimators of scikit-learn.

    Raises
    ------
    ValueError
        If a parameter is out of range, if there are fewer than two classes, or if data are not finite.

    Warns
    -----
    ConvergenceWarning
        If units do not come to rest within `max_iter` epochs.

    References
    ----------
    Rosenblatt, "The perceptron: a probabilistic model for information storage and organization in the brain", 1958.
    Novikoff, "On convergence proofs on perceptrons", 1962. Gallant, "Perceptron-based learning algorithms", 1990 (the
    best weights, with ratchet). Tsuruoka et al., "Stochastic gradient descent training for L1-regularized log-linear
    models with cumulative penalty", 2009.

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
        penalty: str | None = None,
        alpha: float = 1e-4,
        l1_ratio: float | None = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | str | None = "auto",
        shuffle: bool = True,
        verbose: int = 0,
        eta0: float = 1.0,
        n_jobs: int | None = None,
        random_state: Any = 0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: Any = None,
        warm_start: bool = False,
        trace: int = 1000,
    ):
        keep(locals())

    def _learn(self, task: Task) -> str:
        most, self._room = integer("Perceptron", "max_iter", self.max_iter, 1), self._traced()
        by_errors = self._by_errors()
        order = np.arange(task.rows.n)
        held = None
        if self.early_stopping:
            order, held = self._split(task)
        orders = self._orders(task, order, by_errors)
        self.trace_: list[Update] = []
        self.errors_: list[list[int]] = []
        left, self.converged_ = 0, True
        for number_of_unit, of_unit in enumerate(orders):
            learner = _Learner(self, task, number_of_unit, by_errors)
            rested, wrong = self._epochs(learner, most, of_unit, len(order), held)
            self.converged_ &= rested
            left += wrong
        self.n_iter_ = max(map(len, self.errors_))
        self.t_ = 1 + self.n_iter_ * len(order)
        if self.converged_:
            return ""
        if not by_errors:
            return (
                ""
                if self.tol is None
                else f"the loss still improves after max_iter={most} epochs. help: raise max_iter."
            )
        return (
            f"errors remain after max_iter={most} epochs: no hyperplane that separates the classes was found. "
            f"The best weights are kept; they are wrong {left} times on {task.rows.n} samples. "
            "help: the data may not be linearly separable; a hidden layer (MLPClassifier) can separate them."
        )

    def _orders(self, task: Task, order: np.ndarray, by_errors: bool) -> list[Iterator[np.ndarray]]:
        """Return for each unit the orders of its epochs, without end."""
        units = range(len(task.thetas))
        if not self.shuffle:
            return [repeat(order) for _ in units]
        rng = check_random_state(self.random_state)
        if by_errors:
            return [(rng.permutation(order) for _ in count()) for _ in units]
        # As in scikit-learn, where each unit exchanges samples, those held out among them, by the second number of its
        # own generator.
        trained = np.isin(np.arange(task.rows.n), order)
        if len(units) == 1:
            generators = [rng]
        else:
            generators = [np.random.RandomState(seed) for seed in rng.randint(MOST, size=len(units))]
        return [
            _exchanged(shuffled(task.rows.n, (one.randint(1, MOST), one.randint(MOST))[1]), trained)
            for one in generators
        ]

    def _epochs(
        self, learner: _Learner, most: int, orders: Iterator[np.ndarray], n: int, held: np.ndarray | None
    ) -> tuple[bool, int]:
        """Let a unit learn; returns whether it came to rest, and how often its weights are wrong."""
        tol = self._tolerance()
        patience = integer("Perceptron", "n_iter_no_change", self.n_iter_no_change, 1)
        errors: list[int] = []
        self.errors_.append(errors)
        best, stale = math.inf, 0
        rested = False
        while len(errors) < most and not rested:
            wrong, loss = learner.epoch(next(orders), len(errors))
            errors.append(wrong)
            if self.verbose:
                print(f"unit {learner.name}, epoch {len(errors)}: {wrong} errors, loss {loss / n:.6g}")
            if learner.by_errors:
                rested = not wrong
                continue
            # What should fall: the loss, or the share of wrong samples among those held out.
            value, step = (loss, n) if held is None else (learner.wrong_share(held), 1)
            if tol is not None:
                stale = stale + 1 if value > best - tol * step else 0
                rested = stale >= patience
            best = min(best, value)
        return rested, learner.close(rested)

    def _learn_once(self, task: Task) -> None:
        self._room = 0
        for number_of_unit, orders in enumerate(self._orders(task, np.arange(task.rows.n), by_errors=False)):
            _Learner(self, task, number_of_unit, by_errors=False).epoch(next(orders), 0)
        self.n_iter_ = 1
        self.t_ += task.rows.n

    def _traced(self) -> int:
        return integer("Perceptron", "trace", self.trace, 0)

    def _by_errors(self) -> bool:
        return isinstance(self.tol, str) and self.penalty is None and not self.early_stopping

    def _tolerance(self) -> float | None:
        if isinstance(self.tol, str):
            if self.tol != "auto":
                raise ValueError(
                    f"[Perceptron] expected tol to be a number, None or 'auto'. Received: tol={self.tol!r}."
                )
            return TOL
        return None if self.tol is None else number("Perceptron", "tol", self.tol)


def _exchanged(places: np.ndarray, trained: np.ndarray) -> Iterator[np.ndarray]:
    """Yield an order, exchanged once more for every epoch, of those samples alone that are trained on."""
    order = places
    while True:
        yield order[trained[order]]
        order = order[places]


class _Learner:
    """One unit of a perceptron, that learns; where errors decide, it keeps its best weights in the pocket."""

    def __init__(self, perceptron: Perceptron, task: Task, unit: int, by_errors: bool):
        self.perceptron, self.task, self.by_errors = perceptron, task, by_errors
        self.name = 1 if len(task.thetas) == 1 else unit
        self.theta, self.y = task.thetas[unit], task.signs[unit]
        self.weight = None if task.weight is None else task.weight[unit]
        self.rate = number("Perceptron", "eta0", perceptron.eta0, 0, open_low=True)
        self.rule: Unit = perceptron._unit(self.theta, "perceptron" if by_errors else "strict")
        self.small = task.rows.n * (task.rows.features + 1) <= SMALL
        self.run = self.longest = 0  # right samples in a row
        self.best, self.fewest = self.theta.copy(), math.inf
        if by_errors:
            self.look(self.theta)

    def epoch(self, order: np.ndarray, number_of_epoch: int) -> tuple[int, float]:
        """Go through the samples; returns the wrong ones and the loss."""
        task, trace, room = self.task, self.perceptron.trace_ if self.perceptron._room else [], self.perceptron._room
        at, wrong, total = 0, 0, 0.0
        while at < len(order):
            alone = self.by_errors or len(trace) < room
            before, start = (self.theta.copy() if self.by_errors else None), at
            at, updates, loss = self.rule.run(task.rows, self.y, self.weight, order, at, self.rate, alone)
            wrong, total = wrong + updates, total + loss
            self.run += at - start - updates
            if not alone or not updates:
                continue
            if before is not None and (self.run > self.longest or self.small):  # weights that go further may be better
                self.longest = max(self.run, self.longest)
                self.look(before)
            self.run, row = 0, int(order[at - 1])
            if len(trace) < room:
                trace.append(Update(number_of_epoch, row, self.name, int(self.y[row]), self.theta.copy()))
        if self.by_errors:
            self.look(self.theta)
        return wrong, total

    def look(self, theta: np.ndarray) -> None:
        """Keep these weights if they err less than any before."""
        bad = (self.task.rows.outputs(theta) > 0) != (self.y > 0)
        wrong = float(bad.sum() if self.weight is None else self.weight[bad].sum())
        if wrong < self.fewest:
            self.best, self.fewest = theta.copy(), wrong

    def wrong_share(self, held: np.ndarray) -> float:
        """Return the weighted share of wrong samples among some."""
        return wrong_share(self.task, self.theta, self.y, self.weight, held)

    def close(self, rested: bool) -> int:
        """Take the weights that are to be kept; returns how often they are wrong."""
        if self.by_errors and not rested:
            self.theta[:] = self.best
        return int(((self.task.rows.outputs(self.theta) > 0) != (self.y > 0)).sum())
