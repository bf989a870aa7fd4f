"""What a classifier gets right and wrong: the confusion matrix, and a page of its worst mistakes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.figure import COLORS, GREY, INK, finish, label_texts, new_figure
from pynn.keywords import spelled
from pynn.language import said

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_confusion", "plot_mistakes"]

COLUMNS = 6


@spelled
def plot_confusion(
    matrix: Any,
    labels: Sequence[Any] | None = None,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a confusion matrix: a row for each true class, a column for each predicted one, counts in the cells.

    Colour shows the share of the row, blue for right and orange for wrong answers, so that rare mistakes and small
    classes stay visible. The share that is right stands at the end of each row.

    Parameters
    ----------
    matrix : array_like of int
        Counts [classes, classes]; ``matrix[i, j]`` are the items of class i that were taken for class j.
    labels : sequence of str, optional
        Names of the classes. Default: their numbers.
    path : path-like, optional
        File to write.
    title : str, optional
        What was tested; it stands before the count of right answers. Default: the count alone.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If `matrix` is not square, or there is not one label for each class.
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    Examples
    --------
    >>> figure = plot_confusion([[8, 2], [1, 9]], labels=["cat", "dog"])
    """
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
        raise ValueError(f"[plot_confusion] expected a square matrix. Received: shape {counts.shape}.")
    classes = len(counts)
    texts = label_texts(labels, classes)
    totals = counts.sum(axis=1, keepdims=True)
    share = counts / np.maximum(totals, 1)
    right = np.eye(classes, dtype=bool)
    figure = new_figure(max(4.6, 0.62 * classes + 1.9), max(3.9, 0.55 * classes + 1.6))
    ax = figure.add_subplot()
    ax.imshow(_cell_colors(share, right), aspect="auto")
    size = 9 if counts.max() < 10_000 and classes <= 12 else 8
    for i, j in np.ndindex(classes, classes):
        if counts[i, j]:
            white = right[i, j] and share[i, j] > 0.55
            ax.text(j, i, f"{counts[i, j]:,}", ha="center", va="center", fontsize=size, color="white" if white else INK)
    beside = ax.get_yaxis_transform()  # x as a share of the width, y as a row
    for i in range(classes):
        ax.text(1.015, i, f"{share[i, i]:.1%}", va="center", fontsize=8, color=INK, transform=beside)
    ax.text(1.015, 1.01, "right", va="bottom", fontsize=8, color=GREY, transform=ax.transAxes)
    turned = max(map(len, texts)) > 3
    ax.set_xticks(range(classes), texts, rotation=40 if turned else 0, ha="right" if turned else "center")
    ax.set_yticks(range(classes), texts)
    ax.set_xticks(np.arange(classes + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(classes + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=1.5)
    ax.tick_params(which="both", length=0, colors=INK)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    n, hits = int(counts.sum()), int(np.trace(counts))
    said = f"{hits:,} of {n:,} right ({hits / max(n, 1):.2%})"
    ax.set_title(f"{title}: {said}" if title else said, loc="left", fontweight="bold", fontsize=11)
    return finish(figure, path)


def _cell_colors(share: np.ndarray, right: np.ndarray) -> np.ndarray:
    from matplotlib.colors import to_rgb

    blue, orange = np.array(to_rgb(COLORS[0])), np.array(to_rgb(COLORS[1]))
    # Wrong shares are small when a model is any good: the root, and a floor, lift one mistake in a thousand into view.
    strength = np.where(right, share, np.where(share > 0, 0.08 + 0.92 * np.sqrt(share), 0.0))[..., None]
    empty = np.full(3, 0.965)
    return empty + strength * (np.where(right[..., None], blue, orange) - empty)


@spelled
def plot_mistakes(
    images: Any,
    true: Any,
    predicted: Any,
    probability: Any,
    path: str | os.PathLike[str] | None = None,
    labels: Sequence[Any] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a page of images with what they are, what they were taken for, and how sure the model was.

    Parameters
    ----------
    images : array_like
        Grey [n, h, w] or colour [n, h, w, 3] images, in the order to draw; 24 make a good page.
    true : array_like of int [n]
        True classes.
    predicted : array_like of int [n]
        Predicted classes.
    probability : array_like of float
        Probability [n] that the model gave to its prediction.
    path : path-like, optional
        File to write.
    labels : sequence of str, optional
        Names of the classes. Default: their numbers.
    title : str, optional
        Heading. Default: how many they are, and that the surest stands first where that is so.

    Returns
    -------
    matplotlib.figure.Figure
        The picture. Without images, a page that says so.

    Raises
    ------
    ValueError
        If the four arrays differ in length or the images have another rank.
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    Examples
    --------
    >>> figure = plot_mistakes(np.zeros((2, 8, 8)), [3, 5], [8, 6], [0.9, 0.6])
    """
    images, true, predicted, probability = map(np.asarray, (images, true, predicted, probability))
    if not len(images) == len(true) == len(predicted) == len(probability):
        lengths = [len(array) for array in (images, true, predicted, probability)]
        raise ValueError(f"[plot_mistakes] expected four arrays of one length. Received: lengths {lengths}.")
    if len(images) == 0:
        figure = new_figure(5, 1.5)
        figure.text(0.5, 0.5, "no mistakes", ha="center", va="center", fontsize=14, color=INK)
        return finish(figure, path)
    if images.ndim not in (3, 4):
        raise ValueError(f"[plot_mistakes] expected images [n, h, w] or [n, h, w, 3]. Received: {images.shape}.")
    texts = label_texts(labels, int(max(true.max(), predicted.max())) + 1 if labels is None else len(labels))
    columns = min(COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    figure = new_figure(max(1.55 * columns, 5.0), 1.95 * rows + 0.5)
    ordered = len(images) > 1 and bool(np.all(np.diff(probability) <= 0))
    heading = f"The {len(images)} worst mistakes, the surest first" if ordered else f"{len(images)} mistakes"
    figure.suptitle(title or said(heading), fontweight="bold", fontsize=12, color=INK)
    for i, image in enumerate(images):
        ax = figure.add_subplot(rows, columns, i + 1)
        ax.imshow(image, cmap="gray_r")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_color("#CCCCCC")
        ax.set_title(f"is {texts[true[i]]}", fontsize=9, color=COLORS[0], pad=3)
        ax.set_xlabel(f"taken for {texts[predicted[i]]}\n{probability[i]:.1%} sure", fontsize=8, color=COLORS[1])
    return finish(figure, path)
