"""The computational graph as a picture: values on the nodes, derivatives on the edges; SVG, drawn without help."""

from __future__ import annotations

import os
from collections.abc import Mapping
from html import escape
from pathlib import Path

from pynn.core.tensor import Tensor
from pynn.errors import printable
from pynn.keywords import spelled
from pynn.viz.expression import Arrow, Box, collect
from pynn.viz.layout import layered

__all__ = ["GraphDrawing", "draw_graph"]

# ruff: noqa: RUF002 (signs of arithmetic are meant)
# Fill and line of each kind of box; words and shapes tell them apart too.
STYLES = {
    "op": ("#FFFFFF", "#222222"),
    "variable": ("#D9ECF7", "#0072B2"),
    "constant": ("#F0F0F0", "#8A8A8A"),
    "layer": ("#FBE9DD", "#D55E00"),
}
DERIVATIVE = "#B34700"
FONT, WIDTH = 13, 7.9  # of a letter, in pixels
LINE, PAD, GAP, COLUMN = 17, 9, 26, 56


class GraphDrawing:
    """A drawn graph; notebooks show it, ``str()`` of it is the SVG text.

    Attributes
    ----------
    boxes : list of Box
    arrows : list of Arrow
    svg : str
    """

    def __init__(self, boxes: list[Box], arrows: list[Arrow], title: str):
        self.boxes, self.arrows = boxes, arrows
        self.svg = _svg(boxes, arrows, title)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the SVG to a file, whole or not at all."""
        from pynn.files import write_whole

        write_whole(Path(path), self.svg.encode())

    def _repr_svg_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<GraphDrawing of {len(self.boxes)} boxes and {len(self.arrows)} arrows>"


@spelled
def draw_graph(
    tensor: Tensor,
    path: str | os.PathLike[str] | None = None,
    *,
    names: Mapping[str, Tensor] | None = None,
    local: bool = False,
    collapse: bool | None = None,
    max_nodes: int = 60,
) -> GraphDrawing:
    """Draw the computational graph of a tensor: values on its nodes, derivatives on its edges.

    Every box shows an op with its value and, below, the derivative of `tensor` by that value. The number on an edge
    is the part of the derivative that flows back along it: by the chain rule, what arrives at a box is the sum over
    the edges that leave it. Arrays of more than four numbers show their shape and root mean square.

    Parameters
    ----------
    tensor : Tensor
        The result of an expression, for instance a loss. With more than one element, the derivatives are those of
        the sum of its elements.
    path : path-like, optional
        File to write, for instance ``graph.svg``.
    names : dict of str to Tensor, optional
        What to call leaves and results; weights of layers have names already.
    local : bool, default False
        Show on every edge the derivative of its own op alone (dy/dx of one step), the factors of the chain rule.
    collapse : bool, optional
        Draw the ops of a layer as one box. Default: only if there would be more than `max_nodes` boxes.
    max_nodes : int, default 60
        Boxes at the most.

    Returns
    -------
    GraphDrawing

    Raises
    ------
    ValueError
        If the tensor is detached or a leaf, or its graph is too large even with its layers collapsed.
    TypeError
        If it is no tensor.

    Examples
    --------
    >>> import pynn
    >>> x = pynn.tensor(1.0, requires_grad=True)
    >>> drawing = draw_graph((x * x).exp(), names={"x": x})
    >>> [(box.title, box.value, box.derivative) for box in drawing.boxes]
    [('×', '1', '2.718'), ('x', '1', '5.437'), ('exp', '2.718', '1')]
    >>> [arrow.derivative for arrow in drawing.arrows]
    ['2.718', '2.718', '2.718']
    """
    boxes, arrows = collect(tensor, dict(names or {}), local, max_nodes, collapse)
    drawing = GraphDrawing(boxes, arrows, f"computational graph of {len(boxes)} boxes")
    if path is not None:
        drawing.save(path)
    return drawing


def _lines(box: Box) -> list[tuple[str, str]]:
    """Return the lines of a box as (text, style)."""
    lines = [(box.title, "t")] if box.title else []
    if box.kind == "layer" and box.count > 1:
        lines.append((f"{box.count} ops", "n"))
    lines.append((box.value, "v"))
    if box.derivative:
        lines.append((f"∂ {box.derivative}", "d"))
    return lines


def _svg(boxes: list[Box], arrows: list[Arrow], title: str) -> str:
    widths = [max(len(text) for text, _ in _lines(box)) * WIDTH + 2 * PAD for box in boxes]
    heights = [len(_lines(box)) * LINE + 2 * PAD for box in boxes]
    edges = [(arrow.start, arrow.end) for arrow in arrows]
    ranks, ys, bends = layered(heights, edges, GAP)
    columns = max(ranks, default=0) + 1
    room = [
        COLUMN + max((len(a.derivative) * WIDTH for a in arrows if ranks[a.end] == c + 1), default=0.0)
        for c in range(columns)
    ]  # for the derivatives on the edges
    wide = [max((w for w, r in zip(widths, ranks, strict=True) if r == c), default=0.0) for c in range(columns)]
    lefts = [PAD + sum(wide[:c]) + sum(room[:c]) for c in range(columns)]
    middles = [left + width / 2 for left, width in zip(lefts, wide, strict=True)]
    every = [(y, h) for y, h in zip(ys, heights, strict=True)] + [(y, LINE) for path in bends for _, y in path]
    top = min(y - h / 2 for y, h in every) - LINE
    bottom = max(y + h / 2 for y, h in every) + LINE
    total = lefts[-1] + wide[-1] + PAD
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {top:.1f} {total:.1f} {bottom - top:.1f}" '
        f'width="{total:.0f}" height="{bottom - top:.0f}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" '
        f'font-size="{FONT}" role="img"><title>{escape(title)}</title>',
        f"<style>.t{{font-weight:bold}}.n{{fill:#666;font-size:11px}}.d,.e{{fill:{DERIVATIVE}}}.e{{font-size:11px;"
        "paint-order:stroke;stroke:#fff;stroke-width:3px}"
        "path{fill:none;stroke:#555;stroke-width:1.3}</style>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0L8,4L0,8z" style="fill:#555;stroke:none"/></marker></defs>',
    ]
    labels = []
    beside: dict[tuple[int, int], int] = {}
    for arrow, path in zip(arrows, bends, strict=True):
        twin = beside.get((arrow.start, arrow.end), 0)  # x * x has two edges between the same boxes
        beside[arrow.start, arrow.end] = twin + 1
        shift = (twin + 1) // 2 * (1 if twin % 2 else -1) * LINE if twin else 0
        start = (middles[ranks[arrow.start]] + widths[arrow.start] / 2, ys[arrow.start])
        end = (middles[ranks[arrow.end]] - widths[arrow.end] / 2, ys[arrow.end])
        points = [start, *((middles[rank], y) for rank, y in path), end]
        parts.append(f'<path d="{_curve(points, shift)}" marker-end="url(#a)"/>')
        if arrow.derivative:
            (x0, y0), (x1, y1) = points[-2:]
            labels.append((x0 + x1) / 2 if len(points) == 2 else x1 - room[ranks[arrow.end] - 1] / 2)
            y = (y0 + y1) / 2 if len(points) == 2 else y1 + (y0 - y1) * 0.3
            parts.append(_text(labels[-1], y + shift - 5, arrow.derivative, "e", "middle"))
    for box, rank, y, width, height in zip(boxes, ranks, ys, widths, heights, strict=True):
        fill, line = STYLES[box.kind]
        left, corner = middles[rank] - width / 2, 3 if box.kind == "layer" else 9
        parts.append(
            f'<rect x="{left:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{corner}" '
            f'fill="{fill}" stroke="{line}" stroke-width="1.4"/>'
        )
        for i, (text, style) in enumerate(_lines(box)):
            parts.append(_text(middles[rank], y - height / 2 + PAD + LINE * (i + 0.75), text, style, "middle"))
    return "\n".join([*parts, "</svg>\n"])


def _text(x: float, y: float, text: str, style: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(printable(text))}</text>'


def _curve(points: list[tuple[float, float]], shift: float) -> str:
    """Return a smooth path through the points; `shift` bends it aside between its ends."""
    (x, y), *rest = points
    path = f"M{x:.1f},{y:.1f}"
    for i, (x1, y1) in enumerate(rest):
        middle = (x + x1) / 2
        a = y + (shift if i == 0 else 0) * 1.3
        b = y1 + (shift if i == len(rest) - 1 else 0) * 1.3
        path += f"C{middle:.1f},{a:.1f} {middle:.1f},{b:.1f} {x1:.1f},{y1:.1f}"
        x, y = x1, y1
    return path
