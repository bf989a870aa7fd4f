"""The callback that watches a training the way scikit-learn's perceptrons do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pynn.train.hooks import Callback, Logs

__all__ = ["Rates", "Watch"]

LEAST_RATE = 1e-6  # of learning_rate="adaptive"


class Rates(NamedTuple):
    """How the learning rate of an optimizer goes from epoch to epoch.

    Attributes
    ----------
    first : float
        That of the first epoch.
    kind : {"constant", "invscaling", "adaptive"}
    power : float
        Of "invscaling": after an epoch the rate is first / (samples seen so far + 1)**power.
    """

    first: float
    kind: str
    power: float


class Watch(Callback):
    """Note loss and score of each epoch, stop when neither improves, set the learning rate between epochs.

    Parameters
    ----------
    estimator
        Whose ``loss_curve_`` and so on are written.
    tol, patience : float
        Training has converged after more than `patience` epochs in a row that improve by less than `tol`.
    rates : Rates
    samples : int
        In one epoch.
    score : callable, optional
        Returns the score on the held-out data.
    by_score : bool
        Whether the score decides, and the best weights come back at the end.
    """

    def __init__(
        self,
        estimator: Any,
        tol: float,
        patience: float,
        rates: Rates,
        samples: int,
        score: Callable[[], float] | None,
        by_score: bool,
    ):
        self.estimator = estimator
        self.tol, self.patience = tol, patience
        self.rates, self.samples = rates, samples
        self.score, self.by_score = score, by_score
        self.wait = 0
        self.converged = False
        self.best_weights: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch; stop, or lower the rate, when patience is at its end."""
        logs = {} if logs is None else logs
        e = self.estimator
        e.n_iter_ += 1
        e.t_ += self.samples
        e.loss_ = float(logs["loss"])
        e.loss_curve_.append(e.loss_)
        if self.score is not None:
            logs["val_score"] = score = self.score()
            e.validation_scores_.append(score)
        if self.by_score:
            better = score >= e.best_validation_score_ + self.tol
            if score > e.best_validation_score_:
                e.best_validation_score_ = score
                self.best_weights = self.model.get_weights()
        else:
            better = e.loss_ <= e.best_loss_ - self.tol
            e.best_loss_ = min(e.best_loss_, e.loss_)
        self.wait = 0 if better else self.wait + 1
        if self.rates.kind == "invscaling":
            self._set_rate(self.rates.first / (e.t_ + 1) ** self.rates.power)
        if self.wait > self.patience:
            rate = self.model.optimizer.learning_rate
            if self.rates.kind == "adaptive" and rate > LEAST_RATE:
                self._set_rate(rate / 5)
                self.wait = 0
            else:
                self.converged = True
                self.model.stop_training = True

    def _set_rate(self, rate: float) -> None:
        """Set the learning rate of the epochs to come.

        scikit-learn's velocity has the rate of each gradient in it, pynn's is multiplied with that of the step. So it
        is scaled here, to move the weights as far as it would have.
        """
        optimizer = self.model.optimizer
        before, optimizer.learning_rate = optimizer.learning_rate, rate
        for weight in self.model.parameters():
            velocity = optimizer.table[weight].slots.get("velocity")
            if velocity is not None:
                velocity.view()[...] *= before / rate

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Bring back the best weights."""
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
