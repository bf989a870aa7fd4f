"""Many dimensions on paper: points by principal components, or by t-SNE."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.checks import integer, reals
from pynn.errors import ShapeError
from pynn.figure import COLORS, GREY, INK, finish, label_texts, new_figure, tidy
from pynn.keywords import spelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_embedding", "principal_components"]

# Of a word, in printer's points: its size, the width of a letter, what stays free beside it, and its height.
FONT, LETTER, GAP, LINE = 8, 4.7, 4, 9.7
ROUNDS = 800
CROWD = 200  # words: more are not moved, since each is compared with each
FEW = 300


def principal_components(x: Any, count: int = 2) -> np.ndarray:
    """Return x V: points in the directions of greatest variance, ``x - mean = U S V^T`` (Pearson 1901).

    Each direction's largest part is made positive, so that the picture does not flip from run to run.

    Parameters
    ----------
    x : array_like [N, D]
    count : int, default 2

    Returns
    -------
    ndarray [N, count]

    Raises
    ------
    ShapeError
        If x is no table of numbers, or an empty one.

    Examples
    --------
    >>> principal_components([[0.0, 0.0], [3.0, 4.0]], 1).round(3)
    array([[-2.5],
           [ 2.5]])
    """
    points, count = reals("principal_components", "x", x), integer("principal_components", "count", count, 1)
    if points.ndim != 2 or not points.size:
        raise ShapeError(
            f"[principal_components] expected points [N, D], at least one, of at least one number. "
            f"Received: shape={points.shape}."
        )
    centred = points - points.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:count]
    strongest = np.abs(directions).argmax(axis=1)
    directions = directions * np.sign(directions[np.arange(len(directions)), strongest])[:, None]
    return centred @ directions.T


@spelled
def plot_embedding(
    x: Any,
    labels: Sequence[Any] | np.ndarray | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    method: str = "pca",
    words: Sequence[str] | None = None,
    title: str | None = None,
    seed: int = 0,
) -> Figure:
    """Draw vectors as points of a plane.

    Parameters
    ----------
    x : array_like [N, D]
        Vectors; with D = 2 they are drawn as they are.
    labels : sequence [N], optional
        Classes, which are coloured.
    path : path-like, optional
        File to write.
    method : {"pca", "tsne"}, default "pca"
        Principal components, or t-SNE (van der Maaten and Hinton 2008) through scikit-learn.
    words : sequence of str [N], optional
        Texts to write at the points.
    title : str, optional
        Heading. Default: none.
    seed : int, default 0
        Of t-SNE.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If `x` is no matrix of at least two rows and columns, or there is not one label or word for each row.
    ImportError
        If matplotlib (extra ``plot``) or, for t-SNE, scikit-learn (extra ``sklearn``) is not installed.

    Examples
    --------
    >>> figure = plot_embedding(np.eye(4), labels=[0, 0, 1, 1])
    """
    points = np.asarray(x)
    if points.ndim != 2 or len(points) < 2 or points.shape[1] < 2:
        raise ValueError(
            f"[plot_embedding] expected vectors [N, D], two or more of each. Received: shape {points.shape}."
        )
    for name, given in (("labels", labels), ("words", words)):
        if given is not None and len(given) != len(points):
            raise ValueError(f"[plot_embedding] expected {len(points)} {name}. Received: {len(given)}.")
    if method not in ("pca", "tsne"):
        raise ValueError(f"[plot_embedding] expected method 'pca' or 'tsne'. Received: {method!r}.")
    if points.shape[1] > 2:
        points = principal_components(points) if method == "pca" else _tsne(points, seed)
    figure = new_figure(7.0, 6.4)
    ax = figure.add_subplot()
    size = 10 if words else 8 if len(points) > 500 else 22
    inks: list[Any] = [INK] * len(points)
    if labels is None:
        ax.scatter(points[:, 0], points[:, 1], s=size, color=COLORS[0], linewidths=0)
    else:
        given, kinds = np.asarray(labels), np.unique(np.asarray(labels))
        from matplotlib import colormaps

        many = colormaps["tab10" if len(kinds) <= 10 else "tab20"].colors  # type: ignore[attr-defined]
        palette = COLORS if len(kinds) <= len(COLORS) else many
        for i, (kind, text) in enumerate(zip(kinds, label_texts(list(kinds), len(kinds)), strict=True)):
            mine = points[given == kind]
            inks = [palette[i % len(palette)] if own else ink for own, ink in zip(given == kind, inks, strict=True)]
            ax.scatter(mine[:, 0], mine[:, 1], s=size, color=palette[i % len(palette)], label=text, linewidths=0)
        side: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}  # looking for room takes seconds
        ax.legend(frameon=False, fontsize=8, labelcolor=INK, markerscale=max(1.0, 20 / size) ** 0.5, **side)
    if title:
        ax.set_title(title, loc="left", fontweight="bold", fontsize=11)
    tidy(ax)
    if words:
        ax.margins(0.09)
        _write(figure, ax, points, words, inks)
    return finish(figure, path)


def _write(figure: Figure, ax: Axes, points: np.ndarray, words: Sequence[str], inks: list[Any]) -> None:
    """Write each word beside its point, moved as far as no other word is under it, with a line back to the point."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()  # places the axes, so that points have their pixels
    at = ax.transData.transform(points) * (72 / figure.dpi)  # in printer's points, as letters are measured
    size = np.array([[LETTER * len(word) + GAP, LINE] for word in words])
    centre = at + size / 2 + 2
    offset = (_apart(centre, size) if len(words) <= CROWD else centre) - size / 2 - at
    for point, (dx, dy), word, ink in zip(points, offset, words, inks, strict=True):
        line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 1}
        ax.annotate(
            word, point, fontsize=FONT, color=ink, xytext=(dx, dy), textcoords="offset points",
            arrowprops=line if np.hypot(dx, dy) > 1.5 * LINE else None,
        )  # fmt: skip


def _apart(centre: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the centres of boxes [N, 2] moved until none overlap, each pair on the axis where they overlap least."""
    centre = centre + 1e-3 * np.arange(len(centre))[:, None]  # so that equal places have a direction
    room = (size[:, None] + size[None]) / 2
    for _ in range(ROUNDS):
        between = centre[:, None] - centre[None]
        overlap = room - np.abs(between)
        touching = (overlap > 0).all(axis=2) & ~np.eye(len(centre), dtype=bool)
        if not touching.any():
            break
        least = np.arange(2) == overlap.argmin(axis=2)[..., None]
        push = np.where(touching[..., None] & least, np.sign(between) * (overlap + 0.5), 0.0)
        centre = centre + 0.8 * push.sum(axis=1) / np.maximum(touching.sum(axis=1), 1)[:, None]
    return centre


def _tsne(points: np.ndarray, seed: int) -> np.ndarray:
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ImportError('[plot_embedding] t-SNE needs scikit-learn. help: pip install "pynn-dl[sklearn]"') from error
    perplexity = min(30.0, max(1.0, (len(points) - 1) / 3))
    # Of few points the exact gradient is cheap, and it waits for no threads.
    method = "exact" if len(points) <= FEW else "barnes_hut"
    return TSNE(2, perplexity=perplexity, random_state=seed, init="pca", method=method).fit_transform(points)
