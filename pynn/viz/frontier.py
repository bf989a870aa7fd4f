"""The decision of a model of two inputs, drawn as a map under the points."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.checks import reals
from pynn.figure import COLORS, INK, finish, new_figure, tidy
from pynn.keywords import spelled
from pynn.language import said

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_frontier"]

STEPS = 241
MARGIN = 0.12
MARKERS = "osD^vP*X"
NEUTRAL = "PuOr"  # of values that are no class: purple and orange, with white at the threshold


@spelled
def plot_frontier(
    model: Any,
    x: Any,
    y: Any,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    threshold: float = 0.5,
    mistakes: bool = True,
    values: bool = False,
) -> Figure:
    """Draw which class a model gives to each place of the plane, the frontier between them, and the points.

    The map is paler where the model is less sure.

    Parameters
    ----------
    model : model, callable, or dict of str to either
        Something with ``predict``, or a function, from points float32 [m, 2] to one column (class 1 above
        `threshold`) or to one column for each class (the largest wins). A dict draws its models side by side under
        their names.
    x : array_like
        Points [n, 2].
    y : array_like of int
        Classes [n], from 0.
    path : path-like, optional
        File to write.
    title : str, optional
        Heading for one model. Default: none.
    threshold : float, default 0.5
        Where the frontier lies for a model of one column.
    mistakes : bool, default True
        Ring the points that are on the wrong side. A hidden unit has a frontier, but no classes to get wrong.
    values : bool, default False
        Draw the value of a model of one column in colours that stand for no class, with a bar that tells them: for
        what answers no class, such as a hidden unit. One that is the same everywhere is named so.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If `x` is not [n, 2], or `y` has another length.
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    Examples
    --------
    >>> import pynn
    >>> x, y = pynn.datasets.moons()
    >>> figure = plot_frontier(lambda p: p[:, :1] > 0.5, x, y)
    """
    x, y = reals("plot_frontier", "x", x, np.float32), reals("plot_frontier", "y", y).ravel().astype(int)
    if x.ndim != 2 or x.shape[1] != 2 or len(x) != len(y) or len(x) == 0:
        raise ValueError(f"[plot_frontier] expected x [n, 2] and y [n]. Received: {x.shape} and {y.shape}.")
    models: Mapping[str, Any] = model if isinstance(model, Mapping) else {title or "": model}
    figure = new_figure(4.7 * len(models) + 0.5, 4.6)
    for i, (name, one) in enumerate(models.items()):
        ax = figure.add_subplot(1, len(models), i + 1)
        grid = _grid(x)
        out = _outputs(one.predict if hasattr(one, "predict") else one, grid[2])
        image = _panel(
            ax, one.predict if hasattr(one, "predict") else one, x, y, threshold, mistakes, values, grid, out
        )
        if values:
            figure.colorbar(image, ax=ax, shrink=0.8)
            if np.ptp(out) < 1e-6:
                name = said(f"{name}: {out.flat[0] or 0:.2g} everywhere")
        ax.set_title(name, loc="left", fontweight="bold", fontsize=11)
    entries = {text: handle for ax in figure.axes for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    columns = min(len(entries), 6)
    figure.legend(entries.values(), entries, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return finish(figure, path)


def _grid(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the columns, the rows and the points of the plane that are asked."""
    low, high = x.min(axis=0), x.max(axis=0)
    margin = MARGIN * np.maximum(high - low, 1e-6)
    columns, rows = (np.linspace(low[k] - margin[k], high[k] + margin[k], STEPS) for k in (0, 1))
    return columns, rows, np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.float32)


def _panel(
    ax: Axes, predict: Callable[[np.ndarray], Any], x: np.ndarray, y: np.ndarray, threshold: float, mistakes: bool,
    values: bool, grid: tuple[np.ndarray, np.ndarray, np.ndarray], out: np.ndarray,
) -> Any:  # fmt: skip
    columns, rows, _ = grid
    extent = (columns[0], columns[-1], rows[0], rows[-1])
    style: dict[str, Any] = {"origin": "lower", "extent": extent, "aspect": "auto"}
    if values:
        top = float(np.abs(out[:, 0] - threshold).max()) or 1.0
        style |= {"cmap": NEUTRAL, "vmin": threshold - top, "vmax": threshold + top, "alpha": 0.6}
        image = ax.imshow(out[:, 0].reshape(STEPS, STEPS), **style)
    else:
        image = ax.imshow(_map_colors(out, threshold).reshape(STEPS, STEPS, 3), **style)
    levels = [out[:, 0] - threshold] if out.shape[1] == 1 else [_lead(out, k) for k in range(out.shape[1])]
    for level in levels:
        if level.min() < 0 < level.max():
            heights = _smooth(level.reshape(STEPS, STEPS))
            ax.contour(columns, rows, heights, [0.0], colors=[INK], linewidths=1.6)
    size = float(np.clip(3000 / len(x), 20, 110))
    for label in np.unique(y):
        dots: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.7, "label": f"class {label}", "zorder": 3}
        marker, color = MARKERS[label % len(MARKERS)], COLORS[label % len(COLORS)]
        ax.scatter(x[y == label, 0], x[y == label, 1], size, color=color, marker=marker, **dots)
    wrong = x[_winner(_outputs(predict, x), threshold) != y] if mistakes else x[:0]
    if len(wrong):
        rings: dict[str, Any] = {
            "facecolors": "none",
            "edgecolors": INK,
            "linewidths": 0.9,
            "label": "wrong",
            "zorder": 3,
        }
        ax.scatter(wrong[:, 0], wrong[:, 1], size * 2.8, **rings)
    tidy(ax)
    ax.grid(False)
    ax.set_xlabel("x0")
    ax.set_ylabel("x1")
    return image


def _smooth(level: np.ndarray) -> np.ndarray:
    """Return heights whose zero line is drawn without steps, also where a model answers yes or no and nothing between.

    A step is smoothed over a few cells, which leaves straight lines where they are.
    """
    if len(np.unique(level)) > 8:
        return level
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(np.where(level > 0, 1.0, -1.0), 2.5)


def _outputs(predict: Callable[[np.ndarray], Any], points: np.ndarray) -> np.ndarray:
    return np.asarray(predict(points), dtype=np.float64).reshape(len(points), -1)


def _winner(out: np.ndarray, threshold: float) -> np.ndarray:
    return (out[:, 0] > threshold).astype(int) if out.shape[1] == 1 else out.argmax(axis=1)


def _lead(out: np.ndarray, k: int) -> np.ndarray:
    """Return how far class k is ahead of the best other class."""
    return out[:, k] - np.delete(out, k, axis=1).max(axis=1)


def _map_colors(out: np.ndarray, threshold: float) -> np.ndarray:
    from matplotlib.colors import to_rgb

    palette = np.array([to_rgb(color) for color in COLORS])
    if out.shape[1] == 1:
        lead = np.abs(out[:, 0] - threshold)
    else:
        ordered = np.sort(out, axis=1)
        lead = ordered[:, -1] - ordered[:, -2]
    strength = 0.10 + 0.35 * (lead / max(lead.max(), 1e-12))[:, None]
    return 1.0 + strength * (palette[_winner(out, threshold) % len(palette)] - 1.0)
