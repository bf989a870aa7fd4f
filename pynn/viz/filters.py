"""What convolution learns and computes: filters, feature maps, and what augmentation makes of images."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.checks import of_kind
from pynn.figure import GREY, INK, finish, new_figure
from pynn.keywords import spelled
from pynn.ops import pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["feature_maps", "plot_augmented", "plot_feature_maps", "plot_filters", "plot_images"]

MOST_FILTERS = 64
MOST_MAPS = 16


@spelled
def plot_filters(layer: Any, path: str | os.PathLike[str] | None = None, title: str | None = None) -> Figure:
    """Draw the filters of a convolution, side by side.

    Filters of one channel are blue where negative, red where positive and white at 0, on one scale for all. Filters of
    three channels are drawn in colour, each from its least to its largest weight. Of other filters the channel with the
    largest weights is drawn. The first 64 are shown.

    Parameters
    ----------
    layer : Conv2D or array_like
        A layer that is built, or its weights [rows, columns, channels, filters].
    path : path-like, optional
        File to write.
    title : str, optional
        Heading. Default: how many there are, and how large.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If the weights do not have four axes.
    TypeError
        If it is a model.
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    Examples
    --------
    >>> figure = plot_filters(np.random.default_rng(0).normal(size=(3, 3, 1, 8)))
    """
    if hasattr(layer, "layers"):
        raise TypeError(
            f"[plot_filters] expected a convolution or its weights. Received: a {type(layer).__name__}. help: "
            "plot_filters(model.layers[i]), or plot_weights(model) for all of them."
        )
    w = layer.w.numpy() if hasattr(layer, "w") else np.asarray(layer)
    if w.ndim != 4 or w.size == 0:
        raise ValueError(
            f"[plot_filters] expected weights [rows, columns, channels, filters]. Received: shape {w.shape}."
        )
    rows, columns, channels, count = w.shape
    shown = min(count, MOST_FILTERS)
    filters = w[..., :shown].transpose(3, 0, 1, 2)
    style: dict[str, Any] = {}
    if channels == 3:
        low, high = filters.min(axis=(1, 2, 3), keepdims=True), filters.max(axis=(1, 2, 3), keepdims=True)
        filters = (filters - low) / np.maximum(high - low, 1e-12)
    else:
        strongest = np.abs(filters).sum(axis=(1, 2)).argmax(axis=1)
        filters = filters[np.arange(shown), :, :, strongest]
        top = max(float(np.abs(filters).max()), 1e-12)
        style = {"cmap": "RdBu_r", "vmin": -top, "vmax": top}
    heading = title or f"{count} filters of {rows} x {columns}" + (f" x {channels}" if channels > 1 else "")
    if channels not in (1, 3):
        heading += ", the strongest channel of each"
    return _page(filters, heading, path, columns=min(8 if shown <= 32 else 16, shown), size=0.8, **style)


@spelled
def plot_feature_maps(
    model: Any, image: Any, path: str | os.PathLike[str] | None = None, layers: Sequence[str] | None = None
) -> Figure:
    """Draw what the layers of a model make of one image: a row of feature maps for each layer.

    The maps of a layer share one scale, which the bar at the end of its row tells: from the least value (black) to the
    largest (white). The first 16 are shown.

    Parameters
    ----------
    model : Module
        Built.
    image : array_like [H, W] or [H, W, C]
        One image as the model takes it; uint8 is scaled to 0..1.
    path : path-like, optional
        File to write.
    layers : sequence of str, optional
        Names of the layers. Default: all convolution and pooling layers.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If no layer, or a layer that is not there, was asked for.
    ImportError
        If matplotlib (extra ``plot``) is not installed.
    """
    maps = feature_maps(model, image, layers)
    shown = {name: y[:, :, :MOST_MAPS] for name, y in maps.items()}
    columns = max(y.shape[2] for y in shown.values()) + 1
    figure = new_figure(0.72 * columns + 1.2, 1.02 * len(shown) + 0.5)
    grid = figure.add_gridspec(len(shown), columns + 1, width_ratios=[1.0] * columns + [0.12])
    for r, (name, y) in enumerate(shown.items()):
        low, high = float(y.min()), float(y.max())
        for c in range(y.shape[2]):
            ax = figure.add_subplot(grid[r, c + 1])
            drawn = _picture(ax, y[:, :, c], cmap="gray", vmin=low, vmax=high if high > low else low + 1.0)
            if c == 0:
                sizes = " x ".join(map(str, maps[name].shape))
                ax.set_title(f"{name}, {sizes}", fontsize=8, color=INK, loc="left", in_layout=False)
        figure.colorbar(drawn, cax=figure.add_subplot(grid[r, columns])).ax.tick_params(labelsize=8)
    ax = figure.add_subplot(grid[0, 0])
    _picture(ax, np.asarray(image).squeeze(), cmap="gray_r" if np.asarray(image).squeeze().ndim == 2 else None)
    return finish(figure, path)


@spelled
def feature_maps(model: Any, image: Any, layers: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Return what layers make of one image: name to array [H, W, C]; see :func:`plot_feature_maps`.

    Parameters
    ----------
    model : Module
    image : array_like [H, W, C]
        One image.
    layers : sequence of str, optional
        Names; by default all that give images.
    """
    from pynn.core.state import no_grad, observed

    of_kind("feature_maps", "model", model, "a model", "takes_bytes", "dtype")
    x = np.asarray(image)
    x = pixels.as_real(x[None], model.dtype, model.takes_bytes())
    found: dict[str, np.ndarray] = {}

    def look(module: Any, out: Any) -> None:
        wanted = any(word in type(module).__name__ for word in ("Conv", "Pool")) if layers is None else True
        if wanted and (layers is None or module.name in layers) and getattr(out, "ndim", 0) == 4:
            found[module.name] = out.numpy()[0]

    with observed(look), no_grad():
        model(x, training=False)
    missing = [name for name in layers or () if name not in found]
    if missing or not found:
        what = f"layers with feature maps. Received: {', '.join(missing)}" if missing else "a model that has any"
        raise ValueError(f"[feature_maps] expected {what}.")
    return found


@spelled
def plot_augmented(images: Any, layers: Any, path: str | os.PathLike[str] | None = None, times: int = 9) -> Figure:
    """Draw images (first column) and what layers for augmentation make of them, several times.

    Parameters
    ----------
    images : array_like
        Grey [n, H, W] or with channels [n, H, W, C]; uint8 is scaled to 0..1. A few of them.
    layers : Module or sequence of Module
        For instance ``nn.RandomAffine(rotation=10.0)``; applied one after the other.
    path : path-like, optional
        File to write.
    times : int, default 9
        Columns of changed images.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If the images have another rank.
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    Examples
    --------
    >>> from pynn import nn
    >>> figure = plot_augmented(np.ones((2, 8, 8)), nn.RandomAffine(rotation=20.0), times=3)
    """
    x = np.asarray(images)
    if x.ndim not in (3, 4) or len(x) == 0:
        raise ValueError(f"[plot_augmented] expected images [n, H, W] or [n, H, W, C]. Received: shape {x.shape}.")
    x = pixels.as_real(x, np.float32).reshape(*x.shape[:3], -1)
    columns = [x]
    for _ in range(times):
        y: Any = x
        for layer in layers if isinstance(layers, (list, tuple)) else (layers,):
            y = layer(y, training=True)
        columns.append(y.numpy())
    pages = [column[i] for i in range(len(x)) for column in columns]
    grey = x.shape[3] != 3
    style: dict[str, Any] = {"cmap": "gray_r", "vmin": 0, "vmax": 1} if grey else {}
    pages = [page[:, :, 0] if grey else page.clip(0, 1) for page in pages]
    return _page(pages, "Images, and what augmentation makes of them", path, times + 1, 0.9, **style)


@spelled
def plot_images(
    images: Mapping[str, Any],
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    columns: int = 4,
    size: float = 1.9,
) -> Figure:
    """Draw images under their names, each from its least (black) to its largest value (white).

    Parameters
    ----------
    images : dict of str to array_like
        Grey [H, W] or colour [H, W, 3] images by name.
    path : path-like, optional
        File to write.
    title : str, optional
        Heading.
    columns : int, default 4
        Images in a row.
    size : float, default 1.9
        Inches for each.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Examples
    --------
    >>> figure = plot_images({"noise": np.random.default_rng(0).normal(size=(8, 8))})
    """
    of_kind("plot_images", "images", images, "a dict of images", "values")
    return _page(list(images.values()), title, path, columns, size, names=list(images), cmap="gray")


def _page(
    images: Sequence[Any] | np.ndarray, title: str | None, path: Any, columns: int, size: float,
    names: Sequence[str] = (), **style: Any,
) -> Figure:  # fmt: skip
    rows = math.ceil(len(images) / columns)
    figure = new_figure(max(size * columns + 0.2, 3.2), size * rows * (1.14 if names else 1.0) + 0.5)
    if title:
        figure.suptitle(title, fontweight="bold", fontsize=11, color=INK)
    for i, image in enumerate(images):
        ax = figure.add_subplot(rows, columns, i + 1)
        _picture(ax, np.asarray(image), **style)
        if names:
            ax.set_title(names[i], fontsize=9, color=INK, pad=3)
    return finish(figure, path)


def _picture(ax: Axes, image: np.ndarray, **style: Any) -> Any:
    drawn = ax.imshow(image, interpolation="nearest", **style)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_color(GREY)
    ax.spines[:].set_linewidth(0.5)
    return drawn
