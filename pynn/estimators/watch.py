"""The callback that watches a training the way scikit-learn's perceptrons do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn.train.hooks import Callback, Logs

__all__ = ["Watch"]

LEAST_RATE = 1e-6  # of learning_rate="adaptive"


class Watch(Callback):
    """Note loss and score of each epoch, stop when neither improves, set the learning rate between epochs.

    Parameters
    ----------
    estimator
        Whose ``loss_curve_`` and so on are written.
    tol, patience : float
        Training has converged after more than `patience` epochs in a row that improve by less than `tol`.
    rate : float
        The first learning rate.
    kind : {"constant", "invscaling", "adaptive"}
    power : float
        Of "invscaling": rate / (samples seen so far + 1)**power.
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
        rate: float,
        kind: str,
        power: float,
        samples: int,
        score: Callable[[], float] | None,
        by_score: bool,
    ):
        self.estimator = estimator
        self.tol, self.patience = tol, patience
        self.rate, self.kind, self.power, self.samples = rate, kind, power, samples
        self.score, self.by_score = score, by_score
        self.wait = 0
        self.converged = False
        self.best_weights: list[np.ndarray] | None = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the learning rate that follows the number of samples seen."""
        if self.kind == "invscaling":
            self.model.optimizer.learning_rate = self.rate / (self.estimator.t_ + 1) ** self.power

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
        if self.wait > self.patience:
            rate = self.model.optimizer.learning_rate
            if self.kind == "adaptive" and rate > LEAST_RATE:
                self.model.optimizer.learning_rate = rate / 5
                self.wait = 0
            else:
                self.converged = True
                self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Bring back the best weights."""
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
