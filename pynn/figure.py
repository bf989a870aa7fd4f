"""What the pictures share: one way to make a figure, one palette, one way to save."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pynn.files import write_whole
from pynn.language import language, said

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLORS", "GREY", "INK", "finish", "label_texts", "new_figure", "tidy"]

# Okabe and Ito's palette, told apart by people with any kind of colour vision; yellow is too pale for lines.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK = "#222222"
GREY = "#8A8A8A"
DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of the given size in inches, or explain how to get matplotlib."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError('[viz] drawing needs matplotlib. help: pip install "pynn-dl[plot]"') from error
    return _figure_class()(figsize=(width, height), layout="constrained", facecolor="white")


@functools.cache
def _figure_class() -> Any:
    """Return matplotlib's Figure that a notebook also shows where neither pyplot nor %matplotlib came before."""
    from matplotlib.figure import Figure

    def png(figure: Figure) -> bytes:
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png")
        return drawn.getvalue()

    return type("Figure", (Figure,), {"__module__": __name__, "_repr_png_": png})


def __getattr__(name: str) -> Any:  # unpickling asks for the class by name
    if name == "Figure":
        return _figure_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def tidy(ax: Axes) -> None:
    """Leave only the lines that carry meaning."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(colors=INK, width=0.8)
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)


def finish(figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    """Write the figure to `path`, if there is one, whole or not at all, and return it; with no ending it is a PNG.

    Its texts are put into the language that is set (:func:`pynn.viz.language`).
    """
    if language() != "en":
        _translate(figure)
    if path is not None:
        target = Path(path) if Path(path).suffix else Path(f"{os.fspath(path)}.png")
        drawn = io.BytesIO()
        figure.savefig(drawn, format=target.suffix[1:], dpi=DPI)
        write_whole(target, drawn.getvalue())
    return figure


def _translate(figure: Figure) -> None:
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter

    for text in figure.findobj(Text):
        text.set_text("\n".join(said(line) for line in text.get_text().split("\n")))
    for ax in figure.axes:  # what ticks say is written anew whenever they are drawn
        for axis in (ax.xaxis, ax.yaxis):
            found: Any = axis.get_major_formatter()
            if isinstance(found, FixedFormatter):
                axis.set_major_formatter(FixedFormatter([said(word) for word in found.seq]))


def label_texts(labels: Sequence[Any] | None, classes: int) -> list[str]:
    """Return the text of each class: those given, or its number."""
    if labels is None:
        return [str(i) for i in range(classes)]
    if len(labels) != classes:
        raise ValueError(f"[viz] expected {classes} labels, one for each class. Received: {len(labels)}.")
    return [str(label) for label in labels]
