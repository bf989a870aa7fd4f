"""The ways that optimizers take down a surface, as a picture or a moving one."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.checks import of_kind, reals
from pynn.figure import COLORS, DPI, INK, finish, new_figure, tidy
from pynn.files import write_whole
from pynn.keywords import spelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["animate_optimizer_paths", "plot_optimizer_paths"]

STEPS = 161
LEVELS = 26
FRAMES = 60
FRAME_MS, LAST_MS = 80, 1500


@spelled
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


@spelled
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
    """Write the same picture as a GIF in which the paths grow, 60 frames at the most; see plot_optimizer_paths.

    Parameters
    ----------
    surface : callable (x, y) -> z
        Of arrays.
    paths : dict of str to array_like [n, 2]
        Optimizer -> the points it visited.
    path : path-like
        File to write.
    bounds : (x0, x1, y0, y1)
    minimum : (x, y), optional
        Marked with a star.
    title : str, optional
        Heading.
    log : bool, default True
        Whether heights are drawn by their logarithm.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image  # without which there is no matplotlib

    figure, lines = _draw(surface, paths, bounds, minimum, title, log, "animate_optimizer_paths")
    figure.set_dpi(DPI * 0.6)
    canvas = FigureCanvasAgg(figure)
    moving = [artist for ax in figure.axes for artist in ax.get_lines()]
    for artist in moving:
        artist.set_animated(True)
    canvas.draw()
    behind = canvas.copy_from_bbox(figure.bbox)  # the contours take most of the time, and do not move
    longest = max(len(points) for _, points in lines)
    frames = []
    for end in np.unique(np.linspace(1, longest, min(FRAMES, longest)).astype(int)):
        canvas.restore_region(behind)
        for line, points in lines:
            line.set_data(points[:end, 0], points[:end, 1])
        for artist in moving:
            figure.draw_artist(artist)
        frames.append(Image.fromarray(np.array(canvas.buffer_rgba())[..., :3]))
    palette = Image.new("P", (1, 1))
    palette.putpalette(_palette())
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    file = io.BytesIO()
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    write_whole(path, file.getvalue())


def _palette() -> list[int]:
    """Return red, green and blue of the 256 colours of a GIF: greys, and each line's colour on its way to light grey.

    A palette chosen by counting pixels would give thin lines the colours of others.
    """
    from matplotlib.colors import to_rgb

    steps = 14
    greys = [(value,) * 3 for value in np.linspace(0, 1, 256 - steps * (len(COLORS) - 1))]
    lines = [
        tuple(0.85 + (part - 0.85) * share for part in to_rgb(color))
        for color in COLORS[:-1]  # the last one is black
        for share in np.linspace(1 / steps, 1, steps)
    ]
    return [round(255 * part) for color in greys + lines for part in color]


def _draw(
    surface: Callable[[np.ndarray, np.ndarray], Any],
    paths: Mapping[str, Any],
    bounds: tuple[float, float, float, float],
    minimum: tuple[float, float] | None,
    title: str | None,
    log: bool,
    place: str,
) -> tuple[Figure, list[tuple[Any, np.ndarray]]]:
    of_kind(place, "paths", paths, "a dict of points", "items")
    given = {name: reals(place, "points", points) for name, points in paths.items()}
    for name, points in given.items():
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise ValueError(f"[{place}] expected paths [steps, 2]. Received: {name!r} of shape {points.shape}.")
    if not given:
        raise ValueError(f"[{place}] expected at least one path. Received: none.")
    figure = new_figure(7.2, 5.6)
    ax = figure.add_subplot()
    _contours(ax, surface, bounds, log)
    styles, lines = ("-", (0, (2.2, 1.4)), ":", "-."), []
    dots = "." if len(given) <= len(COLORS) else ""  # dashes, which more paths need, are not seen among dots
    for i, (name, points) in enumerate(given.items()):
        color, style = COLORS[i % len(COLORS)], styles[i // len(COLORS) % 4]
        [line] = ax.plot(
            *points.T, linestyle=style, color=color, linewidth=1.9, label=name, marker=dots, markersize=3.5
        )
        lines.append((line, points))
    start = next(iter(given.values()))[0]
    ax.plot(*start, "o", color=INK, markersize=6)
    if minimum is not None:
        ax.plot(*minimum, "*", color=INK, markersize=13)
    ax.set_xlim(bounds[0], bounds[1])
    ax.set_ylim(bounds[2], bounds[3])
    ax.set_xlabel("x")
    ax.set_ylabel("y")
    if title:
        ax.set_title(title, loc="left", fontweight="bold", fontsize=11)
    tidy(ax)
    ax.legend(frameon=False, fontsize=8, labelcolor=INK, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=3.2)
    return figure, lines


def _contours(ax: Axes, surface: Callable[..., Any], bounds: tuple[float, float, float, float], log: bool) -> None:
    x, y = np.meshgrid(np.linspace(*bounds[:2], STEPS), np.linspace(*bounds[2:], STEPS))
    z = np.asarray(surface(x, y), dtype=np.float64)
    if log:
        above = z - z.min()
        z = np.log10(above + max(float(above.max()), 1e-12) * 1e-5)
    ax.contourf(x, y, z, LEVELS, cmap="Greys", alpha=0.35)
    ax.contour(x, y, z, LEVELS, colors="white", linewidths=0.5)
