"""Curves of training: each measure over the epochs, training beside validation."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.checks import of_kind, reals
from pynn.figure import COLORS, INK, finish, new_figure, tidy
from pynn.keywords import spelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_history"]

# Measures for which more is better; the others are marked at their lowest point.
MORE_IS_BETTER = ("accuracy", "precision", "recall", "f1", "auc", "r2", "top")


@spelled
def plot_history(history: Any, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw one panel for each measure of a training history, with its validation curve and its best epoch.

    Parameters
    ----------
    history : History or dict of str to list of float
        What ``fit`` returned, or its ``history`` dict. ``val_loss`` is drawn with ``loss``, and so on.
    path : path-like, optional
        File to write, for instance ``history.png``.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If the history holds no epoch.
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    Examples
    --------
    >>> figure = plot_history({"loss": [0.9, 0.4, 0.3], "val_loss": [0.8, 0.5, 0.6]})
    >>> len(figure.axes)
    1
    """
    if not isinstance(history, Mapping):
        of_kind("plot_history", "history", history, "a History, or a dict of lists", "history")
    records: Mapping[str, Sequence[float]] = history if isinstance(history, Mapping) else history.history
    for name, values in records.items():
        if all(isinstance(value, Number) for value in values):
            reals("plot_history", f"the values of {name}", values)
    curves = [name for name, values in records.items() if all(np.ndim(value) == 0 for value in values)]  # no matrices
    names = [name for name in curves if not (name.startswith("val_") and name.removeprefix("val_") in records)]
    if not any(len(records[name]) for name in names):
        raise ValueError("[plot_history] expected a history of at least one epoch. Received: an empty one.")
    figure = new_figure(5.2 * len(names), 3.8)
    for i, name in enumerate(names):
        ax = figure.add_subplot(1, len(names), i + 1)
        numbers = getattr(history, "epoch", None)
        _panel(ax, name, records[name], records.get(f"val_{name}"), numbers)
    return finish(figure, path)


def _panel(
    ax: Axes, name: str, train: Sequence[float], validation: Sequence[float] | None, numbers: Sequence[int] | None
) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    # Epochs are counted from 0 inside and from 1 for people.
    first = numbers[0] + 1 if numbers else 1
    epochs = range(first, first + len(train))
    marker = "o" if len(epochs) <= 30 else None
    style: dict[str, Any] = {"linewidth": 1.8, "markersize": 3.5, "marker": marker}
    ax.plot(epochs, train, color=COLORS[0], label="training", **style)
    best_of, color = train, COLORS[0]
    if validation is not None:
        ax.plot(range(first, first + len(validation)), validation, "--", color=COLORS[1], label="validation", **style)
        best_of, color = validation, COLORS[1]
    percent = "accuracy" in name
    known = [i for i, value in enumerate(best_of) if math.isfinite(value)]
    if known and name != "learning_rate":
        more = any(word in name for word in MORE_IS_BETTER)
        at = (max if more else min)(known, key=lambda i: best_of[i])
        text = f"{best_of[at]:.2%}" if percent else f"{best_of[at]:.4g}"
        best = f"best {text}, epoch {first + at}"
        ax.plot(first + at, best_of[at], "o", markersize=9, mfc="none", mec=color, mew=1.6, label=best)
    if percent:
        ax.yaxis.set_major_formatter(PercentFormatter(xmax=1.0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    title = name.replace("_", " ")
    ax.set_title(title, loc="left", fontweight="bold", fontsize=11)
    ax.set_xlabel("epoch")
    ax.set_ylabel(title)
    tidy(ax)
    ax.legend(loc="best", frameon=False, fontsize=9, labelcolor=INK)  # said, it is not warned of
