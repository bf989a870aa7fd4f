"""Ending the trials of a search early, when Optuna says that they come to nothing."""

from __future__ import annotations

from typing import Any

from pynn.checks import of_kind
from pynn.errors import unknown_name
from pynn.train.hooks import Callback, Logs

__all__ = ["OptunaPruning"]


class OptunaPruning(Callback):
    """Report a value of every epoch to a trial of Optuna, and end the training where its pruner says so.

    Parameters
    ----------
    trial : optuna.trial.Trial
        What the objective function is given.
    monitor : str, default "val_loss"
        The value, as the logs name it. The study's direction says whether less is better.

    Raises
    ------
    ValueError
        At the first epoch, if the logs have no such value.
    optuna.TrialPruned
        Out of ``fit``, where the trial is pruned; Optuna takes it for the trial's end.

    Examples
    --------
    A study on two threads: replayed steps hold no GIL.

    >>> import optuna  # doctest: +SKIP
    >>> def objective(trial):
    ...     model = nn.Sequential([nn.Dense(trial.suggest_int("units", 8, 64), activation="relu"), nn.Dense(10)])
    ...     model.compile(pynn.optim.Adam(trial.suggest_float("rate", 1e-4, 1e-1, log=True)), "cross_entropy")
    ...     pruning = OptunaPruning(trial)
    ...     history = model.fit(x, y, validation_data=(xv, yv), epochs=20, verbose=0, callbacks=[pruning])
    ...     return history.history["val_loss"][-1]
    >>> study = optuna.create_study(pruner=optuna.pruners.MedianPruner())  # doctest: +SKIP
    >>> study.optimize(objective, n_trials=200, n_jobs=2)  # doctest: +SKIP
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        self.trial = of_kind("OptunaPruning", "trial", trial, "a trial of Optuna", "report", "should_prune")
        self.monitor = monitor

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Report, and end the training if it is to be pruned."""
        logs = logs or {}
        if self.monitor not in logs:
            raise ValueError(f"[OptunaPruning] {unknown_name('value', self.monitor, list(logs))}")
        self.trial.report(float(logs[self.monitor]), epoch)
        if self.trial.should_prune():
            import optuna

            raise optuna.TrialPruned(f"epoch {epoch + 1}: {self.monitor} {logs[self.monitor]:.6g}")
