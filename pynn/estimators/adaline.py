"""The adaptive linear element: a linear unit that learns by least mean squares."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from pynn.checks import choice, integer, number
from pynn.core._linear import Unit
from pynn.estimators.parameters import keep
from pynn.estimators.units import LinearUnits, Task, wrong_share

__all__ = ["Adaline"]


class Adaline(LinearUnits):
    """theta_j += eta (y - theta . x) x_j, sample by sample, with targets y of 1 and -1 and x_0 = 1.

    This is the rule of Widrow and Hoff, stochastic gradient descent on the squared error of the linear output, before
    the threshold. A constant rate leaves the weights going round a small cycle at a distance of order eta from the
    least-squares solution. So whenever an epoch hardly moves them the rate is halved; `halvings` halvings shrink that
    distance 2**halvings times. More than two classes have a unit each, trained against the rest.

    Their first rule, alpha-LMS, corrects the same share alpha of every sample's error, whatever the sample's length:
    theta_j += alpha (y - theta . x) x_j / |x|**2. It is the rule above on samples, targets with them, divided by |x|.

    Parameters
    ----------
    learning_rate : float or "auto", default "auto"
        eta of the first epoch. "auto" is 0.5 / max |x|**2 (x with its x_0), which is stable for every sample; with
        weights, over the largest one too. With ``rule="alpha-lms"`` it is alpha, between 0 and 2, and "auto" 0.5.
    rule : {"mu-lms", "alpha-lms"}, default "mu-lms"
        Whether the steps are in proportion to |x|, or divided by |x|**2.
    eta0 : float, optional
        The same by scikit-learn's name; it counts where it is given.
    penalty : {None, "l2", "l1", "elasticnet"}, default None
        What draws the weights (not the bias) to 0 after each sample.
    alpha : float, default 1e-4
        How strong the penalty is.
    l1_ratio : float, default 0.15
        The share of l1 in "elasticnet".
    max_iter : int, default 1000
        The most epochs.
    tol : float or None, default 1e-4
        The rate is halved when an epoch moves no weight by more than tol, relative to the largest weight and to what
        is left of the rate. With early stopping, by how much the score must rise to count as better. None never ends
        learning before `max_iter`.
    halvings : int, default 6
        How often the rate is halved before learning ends.
    fit_intercept : bool, default True
        Whether there is a bias theta_0.
    shuffle : bool, default True
        Whether the order of the samples is drawn, once; else it is that of the data.
    random_state : int, RandomState or None, default 0
        For the order.
    early_stopping : bool, default False
        Whether the share of right answers on samples that are held out ends learning, with the last weights; the rate
        then stays as it is.
    validation_fraction : float, default 0.1
        Their share, in (0, 1), the same of each class.
    n_iter_no_change : int, default 5
        With early stopping, epochs in a row without a better score after which learning ends.
    class_weight : dict, "balanced" or None, default None
        Updates are multiplied by the weight of the sample's class.
    warm_start : bool, default False
        Whether fit goes on from the weights of the last call.

    Attributes
    ----------
    coef_ : ndarray of float64 [units, features], or of float32 for data of float32
    intercept_ : ndarray [units]
    classes_ : ndarray
    n_iter_ : int
        Epochs.
    loss_curve_ : list of float
        Of every epoch the mean of (y - theta . x)**2 / 2, weighted, each sample measured before its update.
    validation_scores_ : list of float
        With early stopping, of every epoch the share of right answers on what is held out, in the mean of the units.
    learning_rate_ : float
        The last eta.
    t_ : int
        1, and the samples that these epochs, or calls of partial_fit, went through.
    n_features_in_, feature_names_in_
        As in all estimators of scikit-learn.

    Raises
    ------
    ValueError
        If a parameter is out of range, if there are fewer than two classes, or if data are not finite; for an alpha
        of 2 or more, with which errors grow.
    pynn.errors.NonFiniteError
        If a learning rate of one's own is too large.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` epochs do not suffice.

    Notes
    -----
    With standardised features whose correlation matrix has a condition number below 100, ``max_iter=20000``,
    ``tol=1e-6`` and ``halvings=9`` the weights are those of ``numpy.linalg.lstsq`` within 1e-3 of the largest.
    With a constant rate the mean squared error stays above the least one by a share, the misadjustment, of about
    eta tr R / (2 - eta tr R) with R the mean of x x^T, or alpha / (2 - alpha): recipe ``adaline-lms`` measures it.

    References
    ----------
    Widrow and Hoff, "Adaptive switching circuits", 1960. Widrow and Lehr, "30 years of adaptive neural networks:
    perceptron, madaline, and backpropagation", Proceedings of the IEEE 78, 1990. Luo, "On the
    convergence of the LMS algorithm with adaptive learning rate for linear feedforward networks", 1991.

    Examples
    --------
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> unit = Adaline(halvings=12, max_iter=100000).fit(X, [0, 0, 0, 1])
    >>> unit.predict(X).tolist()
    [0, 0, 0, 1]
    >>> unit.coef_.round(2).tolist(), unit.intercept_.round(2).tolist()
    ([[1.0, 1.0]], [-1.5])
    """

    def __init__(
        self,
        *,
        learning_rate: float | str = "auto",
        max_iter: int = 1000,
        tol: float | None = 1e-4,
        halvings: int = 6,
        fit_intercept: bool = True,
        shuffle: bool = True,
        random_state: Any = 0,
        eta0: float | None = None,
        penalty: str | None = None,
        alpha: float = 1e-4,
        l1_ratio: float | None = 0.15,
        class_weight: Any = None,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        rule: str = "mu-lms",
    ):
        keep(locals())

    def _learn(self, task: Task) -> str:
        most = integer("Adaline", "max_iter", self.max_iter, 1)
        halvings = integer("Adaline", "halvings", self.halvings, 0)
        rate = first = self._rate(task)
        early = bool(self.early_stopping)
        tol = None if self.tol is None else number("Adaline", "tol", self.tol, 0, open_low=not early)
        patience = integer("Adaline", "n_iter_no_change", self.n_iter_no_change, 1)
        units = [self._unit(theta, self._rule()) for theta in task.thetas]
        order, held = self._order(task), None
        if early:
            train, held = self._split(task)
            order = order[np.isin(order, train)]
            self.validation_scores_: list[float] = []
        self.loss_curve_: list[float] = []
        before, resting, best, stale = task.thetas.copy(), False, -np.inf, 0
        while len(self.loss_curve_) < most and not resting:
            self.loss_curve_.append(self._epoch(task, units, order, rate))
            if not np.isfinite(task.thetas).all():
                break
            if held is not None:
                self.validation_scores_.append(score := self._score(task, held))
                stale = 0 if tol is None or score >= best + tol else stale + 1
                resting, best = stale >= patience, max(best, score)
                continue
            if tol is None:
                continue
            moved = float(np.abs(task.thetas - before).max())
            before = task.thetas.copy()
            if moved <= tol * (rate / first) * float(np.abs(before).max()):
                resting = rate <= first * 0.5**halvings
                rate = rate if resting else rate / 2
        self.n_iter_, self.learning_rate_ = len(self.loss_curve_), rate
        self.t_ = 1 + self.n_iter_ * len(order)
        if resting or tol is None:
            return ""
        if early:
            return f"the score still rises after max_iter={most} epochs. help: raise max_iter."
        return (
            f"the weights still move after max_iter={most} epochs. "
            "help: standardise the features, raise max_iter, or accept less with tol or halvings."
        )

    def _learn_once(self, task: Task) -> None:
        if not hasattr(self, "learning_rate_"):
            self.learning_rate_, self.loss_curve_ = self._rate(task), []
        units = [self._unit(theta, self._rule()) for theta in task.thetas]
        self.loss_curve_.append(self._epoch(task, units, self._order(task), self.learning_rate_))
        self.n_iter_ = 1
        self.t_ += task.rows.n

    @staticmethod
    def _score(task: Task, held: np.ndarray) -> float:
        """Return the share of right answers among some samples, in the mean of the units."""
        weights = [None] * len(task.thetas) if task.weight is None else task.weight
        each = zip(task.thetas, task.signs, weights, strict=True)
        return 1 - float(np.mean([wrong_share(task, theta, y, w, held) for theta, y, w in each]))

    def _order(self, task: Task) -> np.ndarray:
        n = task.rows.n
        return check_random_state(self.random_state).permutation(n) if self.shuffle else np.arange(n)

    @staticmethod
    def _epoch(task: Task, units: list[Unit], order: np.ndarray, rate: float) -> float:
        """Go through the samples once; returns the mean loss."""
        total = 0.0
        for k, (unit, signs) in enumerate(zip(units, task.signs, strict=True)):
            weight = None if task.weight is None else task.weight[k]
            total += unit.run(task.rows, signs, weight, order, 0, rate)[2]
        return total / (len(order) if task.weight is None else float(task.weight.mean(axis=0)[np.sort(order)].sum()))

    def _rule(self) -> str:
        """Return the native rule."""
        choice("Adaline", "rule", self.rule, ("mu-lms", "alpha-lms"))
        return "normalized" if self.rule == "alpha-lms" else "least_squares"

    def _rate(self, task: Task) -> float:
        given: Any = self.learning_rate if self.eta0 is None else self.eta0
        name = "learning_rate" if self.eta0 is None else "eta0"
        heaviest = 1.0 if task.weight is None else float(task.weight.max())
        if self._rule() == "normalized":
            if isinstance(given, str) and given == "auto":
                return 0.5 / max(heaviest, np.finfo(float).tiny)
            return number("Adaline", name, given, 0, 2, open_low=True, open_high=True)
        if isinstance(given, str) and given == "auto":
            largest = (task.rows.largest() + bool(self.fit_intercept)) * heaviest
            if not np.isfinite(largest):
                raise ValueError(
                    f"[Adaline] expected samples whose squared length is finite, from which {name}='auto' follows. "
                    "Received: values above 1e150. help: scale the features, as StandardScaler does."
                )
            return 0.5 / max(float(largest), np.finfo(float).tiny)
        return number("Adaline", name, given, 0, open_low=True)
