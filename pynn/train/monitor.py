"""Callbacks that watch a logged value and act when it stops improving."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from pynn.checks import choice, integer, number
from pynn.errors import DataError, unknown_name
from pynn.metrics import higher_is_better
from pynn.train.hooks import Callback, Logs, a_count, a_count_or_none, a_number
from pynn.train.network import Network
from pynn.train.progress import say

__all__ = ["EarlyStopping", "ReduceLROnPlateau", "require_fixed_rate"]


class Monitor(Callback):
    """Base of callbacks that watch one logged value.

    Parameters
    ----------
    monitor : str
        Name of the value in the logs of an epoch.
    min_delta : float
        The least change that counts as an improvement, >= 0.
    patience : int
        Epochs without improvement before something is done, >= 0.
    mode : {"auto", "min", "max"}
        Whether less or more is better; "auto" knows the losses and the metrics by name.
    verbose : int
        1 prints a line when something is done.

    Raises
    ------
    ValueError
        If a parameter is out of range, or if "auto" does not know the name.
    """

    state_kinds: dict[str, Callable[[Any], bool]] = {"wait": a_count, "best": a_number}  # noqa: RUF012

    def __init__(self, monitor: str, min_delta: float, patience: int, mode: str, verbose: int) -> None:
        place = type(self).__name__
        choice(place, "mode", mode, ("auto", "min", "max"))
        more = higher_is_better(monitor) if mode == "auto" else mode == "max"
        if more is None:
            raise ValueError(
                f"[{type(self).__name__}] cannot tell whether more of {monitor!r} is better. "
                "Received: mode='auto'. help: pass mode='min' or mode='max'."
            )
        self.monitor = monitor
        self.min_delta = number(place, "min_delta", min_delta, 0)
        self.patience = integer(place, "patience", patience)
        self.sign = 1.0 if more else -1.0
        self.verbose = verbose

    def require(self, ok: bool, wanted: str, **received: object) -> None:
        """Raise a ValueError that names this callback unless `ok`."""
        if not ok:
            came = ", ".join(f"{key}={value!r}" for key, value in received.items())
            raise ValueError(f"[{type(self).__name__}] expected {wanted}. Received: {came}.")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start anew, and complain before the first epoch if the value will not be logged."""
        self.wait = 0
        self.best = -self.sign * math.inf
        if "metrics" in self.params:
            self.check(self.params["metrics"])

    def check(self, names: Iterable[str]) -> None:
        """Raise a ValueError if the value is not among the logged names."""
        names = list(names)
        if self.monitor not in names:
            more = " Values of val_ need validation_data or validation_split in fit." * self.monitor.startswith("val_")
            message = unknown_name("logged value to monitor", self.monitor, names)
            raise ValueError(f"[{type(self).__name__}] {message}{more}")

    def read(self, logs: Logs) -> float:
        """Return the value from the logs of an epoch."""
        self.check(logs)
        value = np.asarray(logs[self.monitor])
        self.require(value.ndim == 0, f"{self.monitor!r} to be a number", shape=value.shape)
        return float(value)

    def better(self, value: float, than: float) -> bool:
        """Return whether a value is an improvement; NaN never is."""
        return self.sign * (value - than) > self.min_delta

    def say(self, epoch: int, text: str) -> None:
        """Print a line if the user wants to know."""
        if self.verbose:
            say(f"epoch {epoch + 1}: {text}")


class EarlyStopping(Monitor):
    """Stop when a value has not improved for `patience` epochs, and bring back the weights of the best epoch.

    The best weights come back however training ends: stopped, after its last epoch, by Ctrl-C or by an error.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Name of the value in the logs of an epoch.
    min_delta : float, default 0
        The least change that counts as an improvement, >= 0.
    patience : int, default 0
        Epochs in a row without improvement after which training stops, >= 0; 0 and 1 both stop at the first.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; "auto" knows the losses and the metrics by name.
    baseline : float, optional
        An improvement counts for the patience only if it is also better than this.
    restore_best_weights : bool, default True
        Whether the best weights come back; else the last ones stay.
    start_from_epoch : int, default 0
        Watch from this epoch on, >= 0.
    verbose : int, default 0
        1 prints a line when training is stopped.

    Attributes
    ----------
    best, best_epoch, stopped_epoch
        The best value and its epoch, and the epoch after which training was stopped; None if that did not happen.

    Raises
    ------
    ValueError
        If a parameter is out of range, or if the value is not logged; the message names what is.

    Examples
    --------
    >>> stopping = EarlyStopping(monitor="val_accuracy", patience=3)
    """

    state_names = ("wait", "best", "best_weights", "best_epoch", "stopped_epoch")
    state_kinds = Monitor.state_kinds | {"best_epoch": a_count_or_none, "stopped_epoch": a_count_or_none}

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        *,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
        verbose: int = 0,
    ) -> None:
        super().__init__(monitor, min_delta, patience, mode, verbose)
        self.baseline = None if baseline is None else number("EarlyStopping", "baseline", baseline)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = integer("EarlyStopping", "start_from_epoch", start_from_epoch)
        self.best_weights: list[np.ndarray] | None = None
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None

    def check_state(self, state: dict[str, Any], model: Network) -> None:
        """Raise DataError if a checkpoint holds another kind of state, or best weights of another model."""
        super().check_state(state, model)
        best = state.get("best_weights")
        if best is not None:
            mine = [weight.shape for weight in model.get_weights()]
            whole = isinstance(best, list) and all(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in best)
            if not whole or [a.shape for a in best] != mine:
                raise DataError(
                    f"[load] callbacks: expected {len(mine)} best weights like the model's for EarlyStopping."
                )

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget any earlier training."""
        self.best_weights = self.best_epoch = self.stopped_epoch = None
        super().on_train_begin(logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Remember the weights if they are the best so far; else lose patience."""
        if epoch < self.start_from_epoch:
            return
        current = self.read(logs or {})
        self.wait += 1
        if self.better(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = [np.array(weight) for weight in self.model.get_weights()]
            if self.baseline is None or self.better(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Bring back the best weights."""
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
            self.best_weights = None
        if self.stopped_epoch is not None:
            best = (
                "never improved" if self.best_epoch is None else f"best {self.best:.6g} in epoch {self.best_epoch + 1}"
            )
            self.say(self.stopped_epoch, f"stopped early, {self.monitor} {best}")


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by `factor` when a value has not improved for `patience` epochs.

    It adds ``learning_rate`` to the logs. The optimizer must have a fixed learning rate, not a schedule.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Name of the value in the logs of an epoch.
    factor : float, default 0.1
        In (0, 1).
    patience : int, default 10
        Epochs in a row without improvement, >= 0.
    min_delta : float, default 1e-4
        The least change that counts as an improvement, >= 0.
    cooldown : int, default 0
        Epochs to wait after a reduction before watching again, >= 0.
    min_lr : float, default 0
        The learning rate never goes below it, >= 0.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; "auto" knows the losses and the metrics by name.
    verbose : int, default 0
        1 prints a line for every reduction.

    Raises
    ------
    ValueError
        If a parameter is out of range, or if the value is not logged; the message names what is.

    Examples
    --------
    >>> plateau = ReduceLROnPlateau(monitor="loss", factor=0.5, patience=3)
    """

    state_names = ("wait", "best", "resting")
    state_kinds = Monitor.state_kinds | {"resting": a_count}

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        *,
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        mode: str = "auto",
        verbose: int = 0,
    ) -> None:
        super().__init__(monitor, min_delta, patience, mode, verbose)
        place = type(self).__name__
        self.factor = number(place, "factor", factor, 0, 1, open_low=True, open_high=True)
        self.cooldown = integer(place, "cooldown", cooldown)
        self.min_lr = number(place, "min_lr", min_lr, 0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget any earlier training."""
        super().on_train_begin(logs)
        self.resting = 0
        require_fixed_rate(self.model)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Reduce the learning rate if patience has run out."""
        logs = {} if logs is None else logs
        current = self.read(logs)
        rate = logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        if self.resting:
            self.resting -= 1
            self.wait = 0
        if self.better(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.resting:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                self.model.optimizer.learning_rate = reduced = max(rate * self.factor, self.min_lr)
                self.resting = self.cooldown
                self.wait = 0
                self.say(epoch, f"learning rate reduced from {rate:.6g} to {reduced:.6g}")


def require_fixed_rate(model: Network) -> None:
    """Raise the optimizer's own error if its learning rate cannot be set.

    Setting the rate to what it is changes nothing, but an optimizer with a schedule refuses, now instead of later.
    """
    model.optimizer.learning_rate = model.optimizer.learning_rate
