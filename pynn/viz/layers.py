"""A network as blocks: the size of what each layer returns, and how many connections lead to it."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.errors import printable
from pynn.figure import COLORS, GREY, INK, finish, new_figure
from pynn.keywords import spelled
from pynn.nn.counting import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_layers"]

SLANT = 0.3  # how far a block goes back, as a part of its side
KINDS = {
    "Conv": 0,
    "Depthwise": 0,
    "Separable": 0,
    "Locally": 3,
    "SCells": 0,
    "CCells": 2,
    "Dense": 1,
    "pool": 2,
    "input": 6,
}


@spelled
def plot_layers(
    model: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    input_shape: Sequence[Any] | None = None,
    kinds: Collection[str] | None = None,
    columns: int = 8,
    title: str | None = None,
) -> Figure:
    """Draw what each layer returns as a block: images as boxes, the deeper the more channels; vectors as bars.

    Below a block stands its shape, above it the layer's class and its connections (see :func:`pynn.nn.count`). Layers
    that have neither units nor pools and return the shape that they take are left out. No weight is made.

    Parameters
    ----------
    model : Module
    path : path-like, optional
        File to write.
    input_shape : sequence of int, optional
        Of one sample; needed unless the model begins with Input or is built.
    kinds : collection of str, optional
        Names of classes: which layers are drawn, instead of all that change something.
    columns : int, default 8
        Blocks in a row.
    title : str, optional
        Heading. Default: none.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ValueError
        If no layer is left, or `columns` is not positive.
    RuntimeError
        If the model is not built and the input's shape is not known.
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    Examples
    --------
    >>> from pynn import nn
    >>> net = nn.Sequential([nn.Input((28, 28, 1)), nn.Conv2D(6, 5), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(10)])
    >>> figure = plot_layers(net)
    >>> [text.get_text() for text in figure.axes[0].texts if " x " in text.get_text()]
    ['28 x 28 x 1', '24 x 24 x 6', '12 x 12 x 6']
    """
    if columns < 1:
        raise ValueError(f"[plot_layers] expected columns of 1 or more. Received: columns={columns}.")
    blocks = _blocks(model, input_shape, kinds)
    if len(blocks) < 2:
        raise ValueError(f"[plot_layers] expected layers that change something. Received: none, with kinds={kinds}.")
    rows = -(-len(blocks) // columns)
    across = min(columns, len(blocks))
    figure = new_figure(1.25 * across + 0.2, 2.2 * rows + (0.4 if title else 0.1))
    ax = figure.add_subplot()
    sides = [max(shape[:-1]) for shape, _ in blocks if len(shape) > 1] or [1]
    depths = [shape[-1] for shape, _ in blocks if len(shape) > 1] or [1]
    widths = [shape[0] for shape, _ in blocks if len(shape) == 1] or [1]
    for i, (shape, told) in enumerate(blocks):
        x, y = i % columns * 1.25, -(i // columns) * 2.2
        color = next((COLORS[k] for key, k in KINDS.items() if key.lower() in told.lower()), GREY)
        if len(shape) > 1:
            high, wide = (0.18 + 0.72 * np.sqrt(n / max(sides)) for n in (shape[0], shape[-2]))
            _box(
                ax,
                (x, y),
                float(high),
                float(wide) * SLANT,
                0.08 + 0.42 * float(np.sqrt(shape[-1] / max(depths))),
                color,
            )
        else:
            _box(ax, (x, y), 0.2 + 1.0 * float(np.sqrt(shape[0] / max(widths))), 0.04, 0.1, color)
        if i and i % columns:
            ax.annotate("", (x - 0.33, y), (x - 0.66, y), arrowprops={"arrowstyle": "->", "color": GREY, "lw": 0.9})
        label = " x ".join(map(str, shape))
        ax.text(x, y - 0.72, label, ha="center", va="top", fontsize=8, color=INK)
        ax.text(x, y + 0.74, told, ha="center", va="bottom", fontsize=8, color=INK)
    ax.set_xlim(-0.65, (across - 1) * 1.25 + 0.65)
    ax.set_ylim(-(rows - 1) * 2.2 - 1.0, 1.15)
    ax.set_aspect("equal")
    ax.set_axis_off()
    if title:
        ax.set_title(title, loc="left", fontweight="bold", fontsize=11, color=INK)
    return finish(figure, path)


def _blocks(
    model: Any, input_shape: Sequence[Any] | None, kinds: Collection[str] | None
) -> list[tuple[tuple[int, ...], str]]:
    """Return the shapes of what is drawn, with what is said of each; the inputs first."""
    found = count(model, input_shape)
    first = getattr(model, "_input", None)
    inputs = getattr(model, "input_shapes", None) or ([first] if first else [])
    blocks: list[tuple[tuple[int, ...], str]] = [(tuple(shape), "input") for shape in inputs]
    before: tuple[int, ...] = blocks[-1][0] if blocks else ()
    for row in found:
        kept = bool(row.units or row.pools or row.output != before) if kinds is None else row.kind in kinds
        if kept and row.output:
            n = row.connections or row.pool_connections
            blocks.append((row.output, f"{printable(row.kind)}\n{_few(n)}".rstrip()))
        before = row.output
    return blocks


def _few(n: int) -> str:
    """Return a number with three digits; nothing for 0."""
    for prefix, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= scale:
            return f"{n / scale:.3g} {prefix}"
    return str(n) if n else ""


def _box(ax: Axes, at: tuple[float, float], high: float, back: float, thick: float, color: str) -> None:
    """Draw a box whose front is `thick` wide and `high`, and which goes back to the right and up."""
    from matplotlib.patches import Polygon

    x, y = at[0] - (thick + back) / 2, at[1] - (high + back) / 2
    front = [(x, y), (x + thick, y), (x + thick, y + high), (x, y + high)]
    top = [(x, y + high), (x + thick, y + high), (x + thick + back, y + high + back), (x + back, y + high + back)]
    side = [(x + thick, y), (x + thick + back, y + back), (x + thick + back, y + high + back), (x + thick, y + high)]
    for corners, alpha in ((front, 0.55), (top, 0.3), (side, 0.8)):
        ax.add_patch(Polygon(corners, closed=True, facecolor=color, alpha=alpha, edgecolor="none"))
        ax.add_patch(Polygon(corners, closed=True, fill=False, edgecolor=INK, linewidth=0.5))
