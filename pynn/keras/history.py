"""What fit shows and keeps: logged values under their old and new names, the history, and the lines of an epoch."""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from pynn import train
from pynn.keras.layer import Spelling
from pynn.train.progress import ProgressBar

__all__ = ["History", "Logs", "ProgbarLogger", "other_name", "told", "values_text"]

_SAME = {"acc": "accuracy", "lr": "learning_rate", "mse": "mean_squared_error", "mae": "mean_absolute_error"}
_SAME |= {new: old for old, new in _SAME.items()}


def other_name(name: str) -> str:
    """Return what a logged value was called before, or is called now."""
    head, tail = ("val_", name[4:]) if name.startswith("val_") else ("", name)
    return head + _SAME.get(tail, tail)


class Logs(dict):
    """Values by name; ``acc`` and ``accuracy`` are the same one."""

    def __missing__(self, key: str) -> Any:
        other = other_name(key)
        if other != key and dict.__contains__(self, other):
            return dict.__getitem__(self, other)
        raise KeyError(f"{key!r}; logged: {', '.join(self)}")

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or the default."""
        try:
            return self[key]
        except KeyError:
            return default


class History(train.History, metaclass=Spelling):
    """What happened, epoch by epoch, which fit returns."""

    def on_train_begin(self, logs=None):
        """Begin, or go on with what was told before the training went on."""
        if not getattr(self, "history", None):
            self.history = Logs()
        else:
            self.history = Logs(self.history)
        super().on_train_begin(logs)
        self.history = Logs()

    def on_epoch_end(self, epoch, logs=None):
        """Add the values of an epoch."""
        logs = logs or {}
        for name, value in logs.items():
            array = np.asarray(value)
            self.history.setdefault(name, []).append(float(array) if array.ndim == 0 else array)
        self.epoch.append(epoch)


class ProgbarLogger(ProgressBar, metaclass=Spelling):
    """The lines that fit shows: a bar in a terminal, a line for each epoch elsewhere."""

    def __init__(self, verbose=1, *_, **__):
        super().__init__(0)
        self.level, self.shown = int(verbose), False

    def on_train_begin(self, logs=None):
        """Begin."""
        self.steps = self.params.get("steps")
        self.began = self.last = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Say which epoch begins."""
        self.began, self.last = time.perf_counter(), 0.0
        epochs = self.params.get("epochs") or 1
        if self.level and (epochs > 1 or self.level == 1):
            print(f"Epoch {epoch + 1}/{epochs}", flush=True)

    def on_progress(self, done, total, logs=None):
        """Move the bar."""
        now = time.perf_counter()
        if self.level == 1 and sys.stdout is not None and sys.stdout.isatty() and now - self.last > 0.1:
            self.last = now
            print("\r" + self._line(done, total, logs or {}), end="", flush=True)

    def on_epoch_end(self, epoch, logs=None):
        """Say what the epoch brought."""
        steps = self.steps
        if self.level == 1 and sys.stdout is not None and sys.stdout.isatty():
            print("\r" + self._line(steps or 1, steps, logs or {}), flush=True)
        elif self.level:
            seconds = time.perf_counter() - self.began
            print(f"{_count(steps)} - {_time(seconds)} - {_each(seconds, steps)}{values_text(logs or {})}", flush=True)

    def _line(self, done: int, total: Any, logs: Any) -> str:
        seconds = time.perf_counter() - self.began
        filled = 30 if not total else int(30 * done / total)
        bar = "=" * filled + ">" * (filled < 30) + "." * max(0, 29 - filled)
        return f"{done}/{total or '?'} [{bar}] - {_time(seconds)} - {_each(seconds, done)}{values_text(logs)}"

    def on_train_end(self, logs=None):
        """End."""


def _count(steps: Any) -> str:
    return "?/?" if not steps else f"{steps}/{steps}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f}s" if seconds < 3600 else f"{seconds / 3600:.0f}:{seconds % 3600 / 60:02.0f}h"


def _each(seconds: float, steps: Any) -> str:
    each = seconds / max(steps or 1, 1)
    return (
        f"{each:.0f}s/step" if each >= 1 else f"{each * 1e3:.0f}ms/step" if each >= 1e-3 else f"{each * 1e6:.0f}us/step"
    )


def values_text(logs: Any) -> str:
    """Return names and values as text."""
    shown = {name: np.asarray(value) for name, value in logs.items() if np.ndim(value) == 0}
    return "".join(
        f" - {name}: {v:.4f}" if v == 0 or abs(v) > 1e-3 else f" - {name}: {v:.4e}" for name, v in shown.items()
    )


def told(logs: Any, model: Any) -> None:
    """Print the values of an evaluation."""
    print(values_text(logs).removeprefix(" - "), flush=True)
