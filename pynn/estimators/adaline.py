"""The adaptive linear element: a linear unit that learns by least mean squares."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from pynn import nn, optim
from pynn.checks import integer, number
from pynn.estimators.parameters import keep
from pynn.estimators.units import LinearUnits
from pynn.train import steps

__all__ = ["Adaline"]


class Adaline(LinearUnits):
    """theta_j += eta (y - theta . x) x_j, sample by sample, with targets y of 1 and -1 and x_0 = 1.

    This is the rule of Widrow and Hoff, stochastic gradient descent on the squared error of the linear output, before
    the threshold. A constant rate leaves the weights going round a small cycle at a distance of order eta from the
    least-squares solution. So whenever an epoch hardly moves them the rate is halved; `halvings` halvings shrink that
    distance 2**halvings times. More than two classes have a unit each, trained against the rest.

    Parameters
    ----------
    learning_rate : float or "auto", default "auto"
        eta of the first epoch. "auto" is 0.5 / max |x|**2 (x with its x_0), which is stable for every sample.
    max_iter : int, default 1000
        The most epochs.
    tol : float, default 1e-4
        The rate is halved when an epoch moves no weight by more than tol, relative to the largest weight and to what
        is left of the rate.
    halvings : int, default 6
        How often the rate is halved before learning ends.
    fit_intercept : bool, default True
        Whether there is a bias theta_0.
    shuffle : bool, default True
        Whether the order of the samples is drawn, once; else it is that of the data.
    random_state : int, RandomState or None, default 0
        For the order.

    Attributes
    ----------
    coef_ : ndarray of float64 [units, features]
    intercept_ : ndarray of float64 [units]
    classes_ : ndarray
    n_iter_ : int
        Epochs.
    loss_curve_ : list of float
        Of every epoch the mean of (y - theta . x)**2 / 2, each sample measured before its update.
    learning_rate_ : float
        The last eta.
    n_features_in_, feature_names_in_
        As in all estimators of scikit-learn.

    Raises
    ------
    ValueError
        If a parameter is out of range, if there are fewer than two classes, or if data are not finite.
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

    References
    ----------
    Widrow and Hoff, "Adaptive switching circuits", 1960. Luo, "On the convergence of the LMS algorithm with adaptive
    learning rate for linear feedforward networks", 1991.

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
        tol: float = 1e-4,
        halvings: int = 6,
        fit_intercept: bool = True,
        shuffle: bool = True,
        random_state: Any = 0,
    ):
        keep(locals())

    def _learn(self, X: np.ndarray, members: np.ndarray) -> str:
        most = integer("Adaline", "max_iter", self.max_iter, 1)
        halvings = integer("Adaline", "halvings", self.halvings, 0)
        n, units = members.shape
        targets = 2.0 * members - 1.0
        rate = first = self._rate(X)
        tol = number("Adaline", "tol", self.tol, 0, open_low=True)
        layer = nn.Dense(units, use_bias=bool(self.fit_intercept), kernel_initializer="zeros")
        model = nn.Sequential([nn.Input(X.shape[1]), layer]).astype(np.float64)
        # the loss is a mean over the units, which the rate makes a sum; a batch of one sample is the rule itself
        model.compile(optim.SGD(rate * units), "mse_half", seed=0)
        stepper = steps(model, X, targets, batch_size=1)
        stepper.perm = check_random_state(self.random_state).permutation(n) if self.shuffle else np.arange(n)
        sums = stepper.trainer.sums.view()
        self.loss_curve_: list[float] = []
        before, resting = model.get_weights(), False
        while len(self.loss_curve_) < most and not resting:
            sums[:] = 0
            model.optimizer.learning_rate = rate * units
            stepper.run(n)
            self.loss_curve_.append(float(sums[0] / sums[1]) * units)
            after = model.get_weights()
            moved = max(float(np.abs(a - b).max()) for a, b in zip(after, before, strict=True))
            largest = max(float(np.abs(a).max()) for a in after)
            before = after
            if moved <= tol * (rate / first) * largest:
                resting = rate <= first * 0.5**halvings
                rate = rate if resting else rate / 2
        self.coef_ = before[0].T.copy()
        self.intercept_ = before[1].copy() if len(before) > 1 else np.zeros(units)
        self.n_iter_, self.learning_rate_ = len(self.loss_curve_), rate
        if resting:
            return ""
        return (
            f"the weights still move after max_iter={most} epochs. "
            "help: standardise the features, raise max_iter, or accept less with tol or halvings."
        )

    def _rate(self, X: np.ndarray) -> float:
        if isinstance(self.learning_rate, str) and self.learning_rate == "auto":
            return 0.5 / max(float((X * X).sum(axis=1).max()) + bool(self.fit_intercept), np.finfo(float).tiny)
        return number("Adaline", "learning_rate", self.learning_rate, 0, open_low=True)
