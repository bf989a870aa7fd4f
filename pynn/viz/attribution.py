"""Which pixels a decision rests on: the gradient of an output to the input."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.checks import of_kind
from pynn.figure import INK, finish, new_figure
from pynn.keywords import spelled
from pynn.ops import pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["attribution", "plot_attribution"]


@spelled
def attribution(model: Any, images: Any, classes: Any = None) -> np.ndarray:
    """Return d y[n, c] / d x[n]: how an output changes with every input value (Simonyan et al. 2013, saliency).

    Parameters
    ----------
    model : Module
        Built; its output is [N, classes]. A last softmax is part of it.
    images : array_like [N, ...]
        Inputs as the model takes them; images of uint8 are scaled to 0..1.
    classes : array_like of int [N], optional
        The outputs to explain. Default: the largest of each.

    Returns
    -------
    ndarray, of the shape of `images`

    Raises
    ------
    ValueError
        If the output is not [N, classes], or a class is out of range.

    Examples
    --------
    >>> from pynn import nn
    >>> model = nn.Sequential([nn.Input((3,)), nn.Dense(2, kernel_initializer="ones")])
    >>> attribution(model, [[1.0, 2.0, 3.0]])
    array([[1., 1., 1.]], dtype=float32)
    """
    from pynn.core.gradients import gradients
    from pynn.core.tensor import tensor

    of_kind("attribution", "model", model, "a model", "takes_bytes", "dtype")
    x = np.asarray(images)
    x = pixels.as_real(x, model.dtype, model.takes_bytes())
    at = tensor(x, requires_grad=True)
    out = model(at, training=False)
    if out.ndim != 2:
        raise ValueError(f"[attribution] expected a model with outputs [N, classes]. Received: {out.shape}.")
    chosen = out.numpy().argmax(axis=1) if classes is None else np.asarray(classes)
    if chosen.shape != (len(x),) or chosen.min(initial=0) < 0 or chosen.max(initial=0) >= out.shape[1]:
        raise ValueError(
            f"[attribution] expected {len(x)} classes below {out.shape[1]}. Received: {np.asarray(classes).tolist()}."
        )
    one = np.zeros(out.shape, out.dtype)
    one[np.arange(len(x)), chosen] = 1
    return gradients(out, tensor(one), [at])[id(at)][1].numpy()


@spelled
def plot_attribution(
    model: Any, images: Any, path: str | os.PathLike[str] | None = None, classes: Any = None
) -> Figure:
    """Draw images and, below each, the gradient of its class to the pixels: red raises, blue lowers the output.

    One scale serves all, and a bar tells it.

    Parameters
    ----------
    model : Module
        Built.
    images : array_like [N, H, W] or [N, H, W, C]
        At most 12 are drawn. Gradients of several channels are added up.
    path : path-like, optional
        File to write.
    classes : array_like of int [N], optional
        The outputs to explain. Default: the largest of each.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If these are no images, or for a class out of range.
    ImportError
        If matplotlib (extra ``plot``) is not installed.
    """
    x = np.asarray(images)[:12]
    if x.ndim not in (3, 4) or not len(x):
        raise ValueError(f"[plot_attribution] expected images [N, H, W] or [N, H, W, C]. Received: shape {x.shape}.")
    slopes = attribution(model, x, None if classes is None else np.asarray(classes)[:12])
    if slopes.ndim == 4:
        slopes = slopes.sum(axis=-1)
    chosen = model.predict(x).argmax(axis=1) if classes is None else np.asarray(classes)[:12]
    figure = new_figure(max(1.5 * len(x), 3.0) + 0.9, 3.4)
    top = float(np.abs(slopes).max()) or 1.0
    below = []
    for i, (image, slope) in enumerate(zip(x, slopes, strict=True)):
        picture = image.squeeze()
        for row in range(2):
            ax = figure.add_subplot(2, len(x), row * len(x) + i + 1)
            if row:
                drawn = ax.imshow(slope, cmap="RdBu_r", vmin=-top, vmax=top)
                below.append(ax)
            else:
                ax.imshow(picture, cmap="gray_r" if picture.ndim == 2 else None)
            ax.set_xticks([])
            ax.set_yticks([])
            if not row:
                ax.set_title(f"class {chosen[i]}", fontsize=9, color=INK)
    figure.colorbar(drawn, ax=below, label="gradient of the output", fraction=0.1).ax.tick_params(labelsize=8)
    return finish(figure, path)
