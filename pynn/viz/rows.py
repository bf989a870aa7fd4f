"""Rows of images under each other, to compare what became of the same ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.checks import of_kind
from pynn.figure import INK, finish, new_figure
from pynn.keywords import spelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_rows"]


@spelled
def plot_rows(
    rows: Mapping[str, Any], path: str | os.PathLike[str] | None = None, title: str | None = None, size: float = 0.72
) -> Figure:
    """Draw named rows of grey images, dark where they are 1: the same column shows the same image in every row.

    Parameters
    ----------
    rows : dict of str to array_like [n, H, W]
        Values from 0 to 1; images of one size, as many in every row.
    path : path-like, optional
        File to write.
    title : str, optional
        Heading. Default: none.
    size : float, default 0.72
        Inches for each image.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If there is no row, or the shapes differ.
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    Examples
    --------
    >>> figure = plot_rows({"noise": np.random.default_rng(0).random((3, 8, 8)), "nothing": np.zeros((3, 8, 8))})
    """
    strips = {
        name: np.asarray(images)
        for name, images in of_kind("plot_rows", "rows", rows, "a dict of images", "items").items()
    }
    shapes = {images.shape for images in strips.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 3 or 0 in next(iter(shapes)):
        raise ValueError(f"[plot_rows] expected rows of images [n, H, W], all alike. Received: {sorted(shapes)}.")
    [(count, height, width)] = shapes
    figure = new_figure(size * count + 0.2, (size * height / width + 0.22) * len(strips) + (0.45 if title else 0.15))
    for ax, (name, images) in zip(figure.subplots(len(strips), 1, squeeze=False)[:, 0], strips.items(), strict=True):
        ax.imshow(np.concatenate(list(images), axis=1), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        ax.set_axis_off()
        ax.set_title(name, loc="left", fontsize=8, color=INK, pad=2)
    if title:
        figure.suptitle(title, fontweight="bold", fontsize=11, color=INK)
    return finish(figure, path)
