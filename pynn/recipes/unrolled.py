"""The graphs of recurrent networks: as a loop, and unrolled through time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pynn.figure import COLORS, GREY, INK, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["TOPOLOGIES", "plot_unrolled"]

TOPOLOGIES = ("hidden", "output", "last")
STEPS = 4
RADIUS = 0.3
ROWS = {"x": 0.0, "h": 1.25, "o": 2.5, "L": 3.75, "y": 5.0}
FILLS = {"x": COLORS[5], "h": COLORS[0], "o": COLORS[1], "L": GREY, "y": COLORS[2]}
TITLES = {
    "hidden": "hidden to hidden, an output at every step",
    "output": "output to hidden",
    "last": "hidden to hidden, one output at the end",
}


@dataclass(frozen=True)
class _Arrow:
    """An edge between two points, with the weight that it carries."""

    start: tuple[float, float]
    end: tuple[float, float]
    label: str = ""
    color: str = INK


def plot_unrolled(topology: str, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw the computational graph of a recurrent network: folded, with a loop, beside unrolled over four steps.

    x, h, o are input, hidden layer and output, L the loss and y the target. The black square is a delay of one step.
    Edges carry the weights' names of `nn.SimpleRNN` and `nn.JordanRNN`: the same weights at every step.

    Parameters
    ----------
    topology : {"hidden", "output", "last"}
        What recurs: the hidden layer with an output at every step; the output, drawn also with teacher forcing; the
        hidden layer with one output after the last step.
    path : path-like, optional
        File to write.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If there is no such topology.
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    References
    ----------
    Goodfellow, Bengio and Courville, "Deep Learning", 2016, figures 10.3 to 10.6.

    Examples
    --------
    >>> len(plot_unrolled("last").axes)
    2
    """
    from pynn.errors import unknown_name

    if topology not in TOPOLOGIES:
        raise ValueError("[plot_unrolled] " + unknown_name("topology", topology, TOPOLOGIES))
    taught = topology == "output"
    figure = new_figure(13.6 if taught else 8.6, 4.9)
    widths = [1.0, 2.6, 2.6] if taught else [1.0, 2.6]
    panels: Any = figure.subplots(1, len(widths), width_ratios=widths)
    _folded(panels[0], topology)
    _unrolled(panels[1], topology)
    if taught:
        panels[1].set_title("running: its own outputs come back", fontsize=10)
        _unrolled(panels[2], topology, taught=True)
        panels[2].set_title("learning by teacher forcing: the targets come back", fontsize=10)
    figure.suptitle(TITLES[topology], fontsize=12, fontweight="bold", color=INK)
    return finish(figure, path)


def _folded(ax: Axes, topology: str) -> None:
    _column(ax, 0.0, "", True)
    source = "o" if topology == "output" else "h"
    top, bottom = ROWS[source], ROWS["h"]
    side = -0.95
    gap = 0.0 if topology == "output" else 0.2  # a loop leaves and enters the same circle above and below its middle
    low, high, rim = bottom - gap, top + gap, -((RADIUS**2 - gap**2) ** 0.5)
    ax.plot([rim, side, side], [high, high, low], color=INK, linewidth=1.4, zorder=1)
    _draw(ax, _Arrow((side, low), (rim, low), "v" if topology == "output" else "u"))
    ax.plot([side], [(low + high) / 2], marker="s", markersize=9, color=INK, zorder=2)
    if topology == "last":
        ax.text(
            -0.08, (ROWS["h"] + ROWS["o"]) / 2, "after the\nlast step", fontsize=8, color=INK, ha="right", va="center"
        )
    ax.set_title("with a loop", fontsize=10)
    _frame(ax, -1.5, 1.0)


def _unrolled(ax: Axes, topology: str, taught: bool = False) -> None:
    for t in range(STEPS):
        _column(ax, float(t) * 1.6, f"({t + 1})", topology != "last" or t == STEPS - 1)
        if t + 1 == STEPS:
            break
        here, there = t * 1.6, (t + 1) * 1.6
        if taught:  # from the target, beside the loss and the output, down to the next hidden layer
            arrow = _Arrow((here, ROWS["y"]), (there, ROWS["h"]), "v", COLORS[2])
        elif topology == "output":
            arrow = _Arrow((here, ROWS["o"]), (there, ROWS["h"]), "v")
        else:
            arrow = _Arrow((here, ROWS["h"]), (there, ROWS["h"]), "u")
        _draw(ax, _shortened(arrow))
    ax.set_title("unrolled", fontsize=10)
    _frame(ax, -0.6, (STEPS - 1) * 1.6 + 0.6)


def _column(ax: Axes, at: float, step: str, output: bool) -> None:
    """Draw what happens at one step: x to h, and if there is an output, h to o to L, and y to L."""
    edges = [("x", "h", "w")]
    if output:
        edges += [("h", "o", "w_out"), ("o", "L", ""), ("y", "L", "")]
    for name in dict.fromkeys(name for edge in edges for name in edge[:2]):
        ax.add_patch(_circle(at, ROWS[name], FILLS[name]))
        text = rf"$\mathbf{{{name}}}^{{{step}}}$" if step else rf"$\mathbf{{{name}}}$"
        ax.text(at, ROWS[name], text, ha="center", va="center", fontsize=11, color="white", zorder=4)
    for start, end, label in edges:
        _draw(ax, _shortened(_Arrow((at, ROWS[start]), (at, ROWS[end]), label)))


def _circle(x: float, y: float, color: str) -> Any:
    from matplotlib.patches import Circle

    return Circle((x, y), RADIUS, facecolor=color, edgecolor="white", linewidth=1.0, zorder=3)


def _shortened(arrow: _Arrow) -> _Arrow:
    """Return the arrow from rim to rim instead of from centre to centre."""
    (x, y), (u, v) = arrow.start, arrow.end
    length = ((u - x) ** 2 + (v - y) ** 2) ** 0.5
    dx, dy = (u - x) / length * RADIUS, (v - y) / length * RADIUS
    return _Arrow((x + dx, y + dy), (u - dx, v - dy), arrow.label, arrow.color)


def _draw(ax: Axes, arrow: _Arrow) -> None:
    style = {"arrowstyle": "-|>", "color": arrow.color, "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", arrow.end, arrow.start, arrowprops=style, zorder=2)
    if arrow.label:
        (x, y), (u, v) = arrow.start, arrow.end
        steep = abs(u - x) < abs(v - y)
        label = r"$w_{out}$" if arrow.label == "w_out" else f"${arrow.label}$"
        right, up = (0.08 if u == x else 0.14, 0.0) if steep else (0.0, 0.1)
        ha, va = ("left", "center") if steep else ("center", "bottom")
        ax.text((x + u) / 2 + right, (y + v) / 2 + up, label, fontsize=11, color=arrow.color, ha=ha, va=va)


def _frame(ax: Axes, left: float, right: float) -> None:
    ax.set_xlim(left, right)
    ax.set_ylim(-0.5, ROWS["y"] + 0.5)
    ax.set_aspect("equal")
    ax.set_axis_off()
