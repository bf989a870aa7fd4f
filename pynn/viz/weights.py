"""The weights of a model: their values as maps, and how they are spread."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.checks import of_kind
from pynn.figure import COLORS, INK, finish, new_figure, tidy
from pynn.keywords import spelled
from pynn.language import said

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_weights"]

MOST = 16
SIDE = 256  # cells of a map along each axis; of a larger matrix every k-th row and column is drawn


@spelled
def plot_weights(model: Any, path: str | os.PathLike[str] | None = None, title: str | None = None) -> Figure:
    """Draw every weight of a model twice: its values as a map, blue below and red above 0, and their histogram.

    Parameters
    ----------
    model : Module, or dict of str to array_like
        A model that is built, or weights by name. The first 16 are drawn.
    path : path-like, optional
        File to write.
    title : str, optional
        Heading. Default: none.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If there are no weights.
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    Examples
    --------
    >>> from pynn import nn
    >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(8, "tanh"), nn.Dense(2)])
    >>> model.build((1, 4))
    >>> len(plot_weights(model).axes)  # a map, its bar and a histogram for each of four
    12
    """
    if hasattr(model, "named_parameters"):
        model.count_parameters()  # builds what knows its input's shape
        weights = {name: w.numpy() for name, w in model.named_parameters()}
    else:
        of_kind("plot_weights", "model", model, "a model, or a dict of arrays", "items")
        weights = {str(name): np.asarray(w) for name, w in model.items()}
    weights = {name: w for name, w in weights.items() if w.size}
    if not weights:
        raise ValueError("[plot_weights] expected a built model with weights. Received: one without.")
    shown = dict(list(weights.items())[:MOST])
    figure = new_figure(8.0, 1.75 * len(shown) + 0.3)
    grid = figure.add_gridspec(len(shown), 2, width_ratios=(2, 1))
    for row, (name, w) in enumerate(shown.items()):
        matrix = w.reshape(-1, w.shape[-1]) if w.ndim > 1 else w.reshape(1, -1)
        steps = [max(1, -(-n // SIDE)) for n in matrix.shape]
        top = float(np.abs(w).max()) or 1.0
        ax = figure.add_subplot(grid[row, 0])
        image = ax.imshow(matrix[:: steps[0], :: steps[1]], cmap="RdBu_r", vmin=-top, vmax=top, aspect="auto")
        figure.colorbar(image, ax=ax, pad=0.01, aspect=12).ax.tick_params(labelsize=8)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_title(f"{name}  [{', '.join(map(str, w.shape))}]", loc="left", fontsize=9, color=INK)
        ax = figure.add_subplot(grid[row, 1])
        ax.hist(w.ravel(), bins=min(60, max(5, w.size // 4)), color=COLORS[0])
        ax.set_ylabel(said("weights"), fontsize=8)
        ax.tick_params(labelsize=8)
        ax.set_title(f"mean {w.mean():.3g}, deviation {w.std():.3g}", loc="left", fontsize=8, color=INK)
        tidy(ax)
    if title:
        figure.suptitle(title, fontweight="bold", color=INK)
    return finish(figure, path)
