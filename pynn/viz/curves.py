"""Curves beside each other: one panel or several, each a set of named lines."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.checks import of_kind, reals
from pynn.figure import COLORS, INK, finish, new_figure, tidy
from pynn.keywords import spelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_curves"]

TITLE = 50  # letters of a panel's heading, which is as wide as the panel


@spelled
def plot_curves(
    panels: Mapping[str, Mapping[str, Any]],
    path: str | os.PathLike[str] | None = None,
    *,
    x: str = "epoch",
    y: str = "",
    log_x: bool = False,
    log_y: bool = False,
    title: str | None = None,
    columns: int = 3,
    dots: bool = False,
) -> Figure:
    """Draw named curves in named panels.

    Parameters
    ----------
    panels : dict of str to (dict of str to array_like)
        Panel -> label -> points: [n] values, drawn over 1..n, or a pair of arrays (x, y). The same label has the same
        colour in every panel.
    path : path-like, optional
        File to write.
    x : str, default "epoch"
        Name of the horizontal axis.
        Names of the axes.
    y : str, default ""
        Name of the vertical axis.
    log_x : bool, default False
        Whether the horizontal axis is logarithmic.
    log_y : bool, default False
        Whether the vertical axis is logarithmic.
        Whether an axis is logarithmic.
    title : str, optional
        Heading. Default: none.
    columns : int, default 3
        Panels in a row, at the most.
    dots : bool, default False
        Mark the points, where the line between them says nothing.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If there is no panel, or one has no curve.
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    Examples
    --------
    >>> figure = plot_curves({"cost": {"batch": [3.0, 2.0, 1.5], "stochastic": ([1, 9], [3.0, 1.0])}})
    >>> len(figure.axes)
    1
    """
    for panel in of_kind("plot_curves", "panels", panels, "a dict of panels", "values").values():
        of_kind("plot_curves", "a panel", panel, "a dict of curves", "items")
    if not panels or not all(panels.values()):
        raise ValueError("[plot_curves] expected panels with at least one curve each. Received: an empty one.")
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    across = min(columns, len(panels))
    down = -(-len(panels) // across)
    figure = new_figure(5.0 * across + 0.4, 3.5 * down + 0.3)
    labels = list(dict.fromkeys(label for curves in panels.values() for label in curves))
    styles = ("-", "--", ":", "-.")
    for i, (name, curves) in enumerate(panels.items()):
        ax = figure.add_subplot(down, across, i + 1)
        for label, points in curves.items():
            at = labels.index(label)
            xs, ys = points if isinstance(points, tuple) else (range(1, len(points) + 1), points)
            color, style = COLORS[at % len(COLORS)], styles[at // len(COLORS) % len(styles)]
            values = reals("plot_curves", f"the curve {label}", ys)
            told = label if np.isfinite(values).any() else f"{label}: not finite"  # a line that cannot be seen
            marker = "o" if dots else ""
            ax.plot(np.asarray(xs), values, style, color=color, linewidth=1.7, label=told, marker=marker, markersize=3)
        ax.set_xscale("log" if log_x else "linear")
        if not log_x and all((np.asarray(line.get_xdata()) % 1 == 0).all() for line in ax.get_lines()):
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))  # there is no epoch 1.5
        ax.set_yscale("log" if log_y else "linear")
        for axis, log in ((ax.xaxis, log_x), (ax.yaxis, log_y)):
            low, high = axis.get_view_interval()
            if log:
                axis.set_minor_formatter(NullFormatter())  # whose numbers would lie over each other
            if log and high < 100 * low:  # powers of ten alone would be one or two
                axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
                axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.set_xlabel(x)
        ax.set_ylabel(y)
        ax.set_title(textwrap.fill(name, TITLE), loc="left", fontweight="bold", fontsize=11)
        tidy(ax)
        if len(curves) > 1 or len(panels) == 1:
            ax.legend(loc="best", frameon=False, fontsize=8, labelcolor=INK)  # said, it is not warned of
    if title:
        figure.suptitle(title, fontweight="bold", color=INK)
    return finish(figure, path)
