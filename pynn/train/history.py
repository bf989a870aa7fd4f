"""What happened in training, epoch by epoch."""

from __future__ import annotations

import html
import math
from os import PathLike
from typing import Any

import numpy as np

from pynn.errors import DataError, printable
from pynn.files import as_csv
from pynn.train.hooks import Callback, Logs, a_count, a_number
from pynn.train.network import Network
from pynn.train.plot import plot_history

__all__ = ["History", "as_text"]


class History(Callback):
    """The record of a training, which `fit` returns.

    Attributes
    ----------
    history : dict of str to list of float
        For every logged name its values, one per epoch; NaN where an epoch did not log it. Of a metric that is a vector
        or a matrix, an array per epoch.
    epoch : list of int
        The epochs, counted from 0.
    params : dict
        The settings of the training.
    interrupted : bool
        Whether Ctrl-C ended the training.

    Examples
    --------
    >>> history = History()
    >>> history.on_train_begin()
    >>> history.on_epoch_end(0, {"loss": 0.5})
    >>> history.on_epoch_end(1, {"loss": 0.25})
    >>> history.history
    {'loss': [0.5, 0.25]}
    >>> history
    <History of 2 epochs: loss=0.2500>
    """

    state_names = ("history", "epoch")

    def check_state(self, state: dict[str, Any], model: Network) -> None:
        """Raise DataError unless a checkpoint holds a value of every name for every epoch."""
        history, epoch = state.get("history", {}), state.get("epoch", [])
        whole = isinstance(epoch, list) and all(map(a_count, epoch)) and isinstance(history, dict)
        if not whole or not all(
            isinstance(name, str)
            and isinstance(values, list)
            and len(values) == len(epoch)
            and all(a_number(value) or isinstance(value, np.ndarray) for value in values)
            for name, values in history.items()
        ):
            raise DataError("[load] callbacks: expected the history to have a number for every name and epoch.")

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self.interrupted = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget any earlier training."""
        self.history = {}
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the values of an epoch."""
        logs = logs or {}
        for name in {**self.history, **logs}:
            values = self.history.setdefault(name, [math.nan] * len(self.epoch))
            values.append(_kept(logs.get(name, math.nan)))
        self.epoch.append(epoch)

    def rows(self) -> list[list[Any]]:
        """Return a header row and one row per epoch, counted from 1 (the list `epoch` counts from 0)."""
        columns = zip(*self.history.values(), strict=True) if self.history else [()] * len(self.epoch)
        return [["epoch", *self.history], *([epoch + 1, *row] for epoch, row in zip(self.epoch, columns, strict=True))]

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write one row per epoch, with a header and every digit of the numbers."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            file.write(as_csv([as_text(v) for v in row] for row in self.rows()))

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draw the curves with matplotlib, into the file `path` if it is given; return the figure."""
        return plot_history(self, path)

    def __repr__(self) -> str:
        last = ", ".join(
            f"{printable(name)}={v[-1]:.4f}" for name, v in self.history.items() if isinstance(v[-1], float)
        )
        return f"<History of {len(self.epoch)} epochs{last and ': ' + last}>"

    def _repr_html_(self) -> str:
        header, *rows = self.rows()
        head = "".join(f"<th>{html.escape(printable(name))}</th>" for name in header)
        body = "".join(
            f"<tr><td>{epoch + 1}</td>"
            + "".join(f"<td>{html.escape(_shown(value))}</td>" for value in values)
            + "</tr>"
            for epoch, *values in rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _kept(value: Any) -> Any:
    """Return a number as a float, and a metric's vector or matrix as an array of its own."""
    array = np.array(value)
    return float(array) if array.ndim == 0 else array


def as_text(value: Any) -> Any:
    """Return what a cell of a table of text holds: an array becomes nested lists."""
    return value.tolist() if isinstance(value, np.ndarray) else value


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(as_text(value))
