"""The ways that optimizers take down a surface, as a picture or a moving one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.viz.figure import COLORS, DPI, INK, finish, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["animate_optimizer_paths", "plot_optimizer_paths"]

STEPS = 161
LEVELS = 26
FRAMES = 60


def plot_optimizer_paths(
    surface: Callable[[np.ndarray, np.ndarray], Any],
    paths: Mapping[str, Any],
    path: str | os.PathLike[str] | None = None,
    *,
    bounds: tuple[float, float, float, float],
    minimum: tuple[float, float] | None = None,
    title: str | None = None,
    log: bool = True,
) -> Figure:
    """Draw paths over the contour lines of a function of two variables.

    Parameters
    ----------
    surface : callable
        From arrays x and y to the values of the function.
    paths : dict of str to array_like [steps, 2]
        The points that each optimizer visited, in their order.
    path : path-like, optional
        File to write.
    bounds : tuple (x0, x1, y0, y1)
        The part of the plane that is drawn.
    minimum : tuple (x, y), optional
        Where the function is least; marked by a star.
    title : str, optional
        Heading. Default: none.
    log : bool, default True
        Space the contour lines by the logarithm of the height above the lowest point drawn.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If a path is not [steps, 2], or there is none.
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    Examples
    --------
    >>> figure = plot_optimizer_paths(lambda x, y: x**2 + y**2, {"sgd": [[1, 1], [0.5, 0.5]]}, bounds=(-2, 2, -2, 2))
    """
    figure, _ = _draw(surface, paths, bounds, minimum, title, log, "plot_optimizer_paths")
    return finish(figure, path)


def animate_optimizer_paths(
    surface: Callable[[np.ndarray, np.ndarray], Any],
    paths: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    bounds: tuple[float, float, float, float],
    minimum: tuple[float, float] | None = None,
    title: str | None = None,
    log: bool = True,
) -> None:
    """Write the same picture as a GIF in which the paths grow, 60 frames at the most; see plot_optimizer_paths."""
    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, lines = _draw(surface, paths, bounds, minimum, title, log, "animate_optimizer_paths")
    FigureCanvasAgg(figure)
    longest = max(len(points) for _, points in lines)
    ends = np.unique(np.linspace(1, longest, min(FRAMES, longest)).astype(int))

    def show(frame: int) -> list[Any]:
        for line, points in lines:
            line.set_data(points[: ends[frame], 0], points[: ends[frame], 1])
        return [line for line, _ in lines]

    FuncAnimation(figure, show, frames=len(ends)).save(os.fspath(path), writer=PillowWriter(fps=12), dpi=DPI * 0.6)


def _draw(
    surface: Callable[[np.ndarray, np.ndarray], Any],
    paths: Mapping[str, Any],
    bounds: tuple[float, float, float, float],
    minimum: tuple[float, float] | None,
    title: str | None,
    log: bool,
    place: str,
) -> tuple[Figure, list[tuple[Any, np.ndarray]]]:
    given = {name: np.asarray(points, dtype=np.float64) for name, points in paths.items()}
    for name, points in given.items():
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise ValueError(f"[{place}] expected paths [steps, 2]. Received: {name!r} of shape {points.shape}.")
    if not given:
        raise ValueError(f"[{place}] expected at least one path. Received: none.")
    figure = new_figure(7.2, 5.6)
    ax = figure.add_subplot()
    _contours(ax, surface, bounds, log)
    styles, lines = ("-", "--", ":", "-."), []
    for i, (name, points) in enumerate(given.items()):
        color = COLORS[i % len(COLORS)]
        [line] = ax.plot(*points.T, styles[i // len(COLORS) % 4], color=color, linewidth=1.7, label=name, marker=".",
                         markersize=3.5)  # fmt: skip
        lines.append((line, points))
    start = next(iter(given.values()))[0]
    ax.plot(*start, "o", color=INK, markersize=6)
    if minimum is not None:
        ax.plot(*minimum, "*", color=INK, markersize=13)
    ax.set_xlim(bounds[0], bounds[1])
    ax.set_ylim(bounds[2], bounds[3])
    if title:
        ax.set_title(title, loc="left", fontweight="bold", fontsize=11)
    tidy(ax)
    ax.legend(frameon=False, fontsize=8, labelcolor=INK, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure, lines


def _contours(ax: Axes, surface: Callable[..., Any], bounds: tuple[float, float, float, float], log: bool) -> None:
    x, y = np.meshgrid(np.linspace(*bounds[:2], STEPS), np.linspace(*bounds[2:], STEPS))
    z = np.asarray(surface(x, y), dtype=np.float64)
    if log:
        above = z - z.min()
        z = np.log10(above + max(float(above.max()), 1e-12) * 1e-5)
    ax.contourf(x, y, z, LEVELS, cmap="Greys", alpha=0.5)
    ax.contour(x, y, z, LEVELS, colors="white", linewidths=0.5)
