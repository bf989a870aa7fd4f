"""The computational graph as a picture: values on the nodes, derivatives on the edges; SVG, drawn without help."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

from pynn.core.tensor import Tensor
from pynn.errors import printable
from pynn.keywords import spelled
from pynn.language import said
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
LINE, PAD, GAP, COLUMN, ROW = 17, 9, 26, 56, 40
WIDEST = 760  # pixels: what is wider from left to right is drawn from top to bottom, so that it can be read on a page
DIRECTIONS = {"right": False, "down": True, None: None}


class GraphDrawing:
    """A drawn graph; notebooks show it, ``str()`` of it is the SVG text.

    Attributes
    ----------
    boxes : list of Box
    arrows : list of Arrow
    svg : str
    """

    def __init__(self, boxes: list[Box], arrows: list[Arrow], title: str, down: bool | None = None):
        self.boxes, self.arrows = boxes, arrows
        self.svg = _svg(boxes, arrows, title, down)

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
    direction: str | None = None,
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
    direction : {"right", "down"}, optional
        Where values flow to. Default: to the right, and down where the picture would be wider than 760 pixels.

    Returns
    -------
    GraphDrawing

    Raises
    ------
    ValueError
        If the tensor is detached or a leaf, its graph is too large even with its layers collapsed, or the direction
        is not known.
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
    if direction not in DIRECTIONS:
        raise ValueError(f"[draw_graph] expected direction 'right' or 'down'. Received: {direction!r}.")
    boxes, arrows = collect(tensor, dict(names or {}), local, max_nodes, collapse)
    title = said(f"computational graph of {len(boxes)} boxes")
    drawing = GraphDrawing(boxes, arrows, title, DIRECTIONS[direction])
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


def _svg(boxes: list[Box], arrows: list[Arrow], title: str, down: bool | None) -> str:
    """Return the picture; from left to right, or from top to bottom, which by default wide graphs are."""
    widths = [max(len(text) for text, _ in _lines(box)) * WIDTH + 2 * PAD for box in boxes]
    heights = [float(len(_lines(box)) * LINE + 2 * PAD) for box in boxes]
    edges = [(arrow.start, arrow.end) for arrow in arrows]
    if down is None:
        ranks, _, _ = layered(heights, edges, GAP)
        down = sum(_ranked(widths, ranks)) + COLUMN * max(ranks, default=0) > WIDEST
    # "Along" is the way from cause to effect, "across" the other one.
    along, across = (heights, widths) if down else (widths, heights)
    ranks, middles, bends = layered(across, edges, GAP)
    longest = [0.0] * (max(ranks, default=0) + 1)
    for arrow in arrows:
        longest[ranks[arrow.end] - 1] = max(longest[ranks[arrow.end] - 1], len(arrow.derivative) * WIDTH)
    room = [ROW if down else COLUMN + text for text in longest]  # for the derivatives on the edges
    deep = _ranked(along, ranks)
    firsts = [PAD + sum(deep[:c]) + sum(room[:c]) for c in range(len(deep))]
    places = [first + size / 2 for first, size in zip(firsts, deep, strict=True)]
    every = [*zip(middles, across, strict=True), *((v, float(LINE)) for path in bends for _, v in path)]
    if down:  # what is said of an edge stands beside it
        every += [(middles[a.end], across[a.end] + 2 * len(a.derivative) * WIDTH / 2) for a in arrows]
    low = min(v - size / 2 for v, size in every) - LINE
    high = max(v + size / 2 for v, size in every) + LINE
    total = firsts[-1] + deep[-1] + PAD
    box_of_all = (low, 0.0, high - low, total) if down else (0.0, low, total, high - low)

    def at(u: float, v: float) -> tuple[float, float]:
        return (v, u) if down else (u, v)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{" ".join(f"{value:.1f}" for value in box_of_all)}" '
        f'width="{box_of_all[2]:.0f}" height="{box_of_all[3]:.0f}" '
        'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" '
        f'font-size="{FONT}" role="img"><title>{escape(title)}</title>',
        f"<style>.t{{font-weight:bold}}.n{{fill:#666;font-size:11px}}.d,.e{{fill:{DERIVATIVE}}}.e{{font-size:11px;"
        "paint-order:stroke;stroke:#fff;stroke-width:3px}"
        "path{fill:none;stroke:#555;stroke-width:1.3}</style>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0L8,4L0,8z" style="fill:#555;stroke:none"/></marker></defs>',
    ]
    labels, beside = [], {}  # type: list[str], dict[tuple[int, int], int]
    for arrow, path in zip(arrows, bends, strict=True):
        twin = beside.get((arrow.start, arrow.end), 0)  # x * x has two edges between the same boxes
        beside[arrow.start, arrow.end] = twin + 1
        shift = (twin + 1) // 2 * (1 if twin % 2 else -1) * LINE * (3 if down else 1) if twin else 0
        start = (places[ranks[arrow.start]] + along[arrow.start] / 2, middles[arrow.start])
        end = (places[ranks[arrow.end]] - along[arrow.end] / 2, middles[arrow.end])
        points = [start, *((places[rank], v) for rank, v in path), end]
        parts.append(f'<path d="{_curve(points, shift, at)}" marker-end="url(#a)"/>')
        if arrow.derivative:
            (u0, v0), (u1, v1) = points[-2:]
            u = (u0 + u1) / 2 if len(points) == 2 else u1 - room[ranks[arrow.end] - 1] / 2
            v = (v0 + v1) / 2 if len(points) == 2 else v1 + (v0 - v1) * 0.3
            x, y = at(u + (4 if down else 0), v + shift - (0 if down else 5))
            labels.append(_text(x, y, arrow.derivative, "e", "middle"))
    parts += labels  # over all edges
    for box, rank, v, width, height in zip(boxes, ranks, middles, widths, heights, strict=True):
        fill, line = STYLES[box.kind]
        (x, y), corner = at(places[rank], v), 3 if box.kind == "layer" else 9
        parts.append(
            f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'rx="{corner}" fill="{fill}" stroke="{line}" stroke-width="1.4"/>'
        )
        for i, (text, style) in enumerate(_lines(box)):
            parts.append(_text(x, y - height / 2 + PAD + LINE * (i + 0.75), text, style, "middle"))
    return "\n".join([*parts, "</svg>\n"])


def _ranked(sizes: list[float], ranks: list[int]) -> list[float]:
    """Return the largest size of each rank."""
    return [
        max((size for size, r in zip(sizes, ranks, strict=True) if r == rank), default=0.0)
        for rank in range(max(ranks, default=0) + 1)
    ]


def _text(x: float, y: float, text: str, style: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(printable(text))}</text>'


def _curve(points: list[tuple[float, float]], shift: float, at: Callable[[float, float], tuple[float, float]]) -> str:
    """Return a smooth path through the points (along, across); `shift` bends it aside between its ends."""

    def said(u: float, v: float) -> str:
        return "{:.1f},{:.1f}".format(*at(u, v))

    (u, v), *rest = points
    path = f"M{said(u, v)}"
    for i, (u1, v1) in enumerate(rest):
        middle = (u + u1) / 2
        a = v + (shift if i == 0 else 0) * 1.3
        b = v1 + (shift if i == len(rest) - 1 else 0) * 1.3
        path += f"C{said(middle, a)} {said(middle, b)} {said(u1, v1)}"
        u, v = u1, v1
    return path
