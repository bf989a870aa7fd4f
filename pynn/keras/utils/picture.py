"""A model as a picture: a box for each layer, drawn as SVG without Graphviz."""

from __future__ import annotations

from html import escape
from pathlib import Path

from pynn.errors import printable
from pynn.files import write_whole
from pynn.viz.layout import layered

__all__ = ["ModelDrawing", "model_to_dot", "plot_model"]

FONT, LETTER, LINE, PAD, GAP, STEP = 13, 7.9, 17, 9, 26, 42


class ModelDrawing:
    """A drawn model; notebooks show it, ``str()`` of it is the SVG text.

    Parameters
    ----------
    svg : str
    path : str, optional
        Where it was written.
    """

    def __init__(self, svg, path=None):
        self.svg, self.path = svg, path

    def _repr_svg_(self):
        return self.svg

    def __str__(self):
        return self.svg

    def create(self, prog=None, format: str = "svg") -> bytes:
        """Return the SVG text as bytes, as what model_to_dot() returns is asked for."""
        return self.svg.encode()


def plot_model(model, to_file="model.svg", show_shapes: bool = False, show_dtype: bool = False,
               show_layer_names: bool = True, rankdir: str = "TB", expand_nested: bool = False, dpi: int | None = 200,
               show_layer_activations: bool = False, show_trainable: bool = False, layer_range=None,
               subgraph: bool = False, **kwargs) -> ModelDrawing:  # fmt: skip
    """Draw the layers of a model and how they are joined; the file is SVG, whatever its ending.

    Parameters
    ----------
    model : Model
    to_file : path-like, optional
        ``model.png`` is written as ``model.svg``. None writes nothing.
    show_shapes : bool, default False
    show_dtype : bool, default False
    show_layer_names : bool, default True
    rankdir : {"TB", "LR"}, default "TB"
        From top to bottom, or from left to right.
    expand_nested : bool, default False
        Taken; models inside are one box.
    dpi : int, optional
        Taken; SVG has no resolution.
    show_layer_activations : bool, default False
    show_trainable : bool, default False
    layer_range, subgraph, **kwargs
        Refused, if given.

    Returns
    -------
    ModelDrawing
    """
    if layer_range is not None or kwargs:
        raise TypeError(f"[plot_model] unknown keyword argument. Received: {next(iter(kwargs), 'layer_range')}=.")
    layers, edges = _joined(model)
    boxes = [
        _lines(layer, show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
        for layer in layers
    ]
    svg = _drawn(boxes, edges, rankdir.upper() == "LR")
    if to_file is None:
        return ModelDrawing(svg)
    path = Path(to_file).with_suffix(".svg")
    write_whole(path, svg.encode())
    return ModelDrawing(svg, str(path))


def model_to_dot(model, *args, **kwargs) -> ModelDrawing:
    """Return the picture of plot_model() without writing it; ``create(format="svg")`` gives its text."""
    for name in ("to_file", "prog"):
        kwargs.pop(name, None)
    return plot_model(model, None, *args, **kwargs)


def _joined(model):
    """Return the layers, and from which to which values go."""
    layers = list(model.layers)
    places = {id(layer): i for i, layer in enumerate(layers)}
    edges = []
    for i, layer in enumerate(layers):
        calls = getattr(getattr(layer, "_nodes", None), "calls", ())
        for call in calls:
            for symbol in call.parents:
                start = places.get(id(symbol.call.layer))
                if start is not None and start < i and (start, i) not in edges:
                    edges.append((start, i))
    if not edges:  # a chain, or a model of one's own class
        edges = [(i, i + 1) for i in range(len(layers) - 1)]
    return layers, edges


def _lines(layer, shapes, dtype, names, activations, trainable):
    kind = type(layer).__name__
    lines = [(f"{layer.name} ({kind})" if names else kind, True)]
    if activations and getattr(layer, "activation", None) is not None:
        activation = layer.activation
        lines.append((f"activation: {getattr(activation, '__name__', activation)}", False))
    if shapes:
        for label in ("input_shape", "output_shape"):
            try:
                lines.append((f"{label.partition('_')[0]}: {getattr(layer, label)}", False))
            except (AttributeError, RuntimeError):
                continue
    if dtype:
        lines.append((f"dtype: {layer.dtype}", False))
    if trainable:
        lines.append((f"trainable: {layer.trainable}", False))
    return [(printable(text), bold) for text, bold in lines]


def _drawn(boxes, edges, across):
    wide = [max(len(text) for text, _ in box) * LETTER + 2 * PAD for box in boxes]
    high = [float(len(box) * LINE + 2 * PAD) for box in boxes]
    ranks, places, bends = layered(high if across else wide, edges, GAP)
    depth = wide if across else high
    room = [
        max((d for d, r in zip(depth, ranks, strict=True) if r == k), default=0.0)
        for k in range(max(ranks, default=0) + 1)
    ]
    along = [PAD + sum(room[:k]) + STEP * k + room[k] / 2 for k in range(len(room))]

    def at(rank, place):
        return (along[rank], place) if across else (place, along[rank])

    middles = [at(r, p) for r, p in zip(ranks, places, strict=True)]
    left = min((x - w / 2 for (x, _), w in zip(middles, wide, strict=True)), default=0) - PAD
    right = max((x + w / 2 for (x, _), w in zip(middles, wide, strict=True)), default=0) + PAD
    top = min((y - h / 2 for (_, y), h in zip(middles, high, strict=True)), default=0) - PAD
    bottom = max((y + h / 2 for (_, y), h in zip(middles, high, strict=True)), default=0) + PAD
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left:.1f} {top:.1f} {right - left:.1f} {bottom - top:.1f}" '
        f'width="{right - left:.0f}" height="{bottom - top:.0f}" font-size="{FONT}" role="img" '
        'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace">'
        f"<title>model of {len(boxes)} layers</title>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0L8,4L0,8z" fill="#555"/></marker></defs>',
    ]
    for (start, end), through in zip(edges, bends, strict=True):
        (x0, y0), (x1, y1) = middles[start], middles[end]
        first = (x0 + wide[start] / 2, y0) if across else (x0, y0 + high[start] / 2)
        last = (x1 - wide[end] / 2, y1) if across else (x1, y1 - high[end] / 2)
        points = [first, *(at(rank, place) for rank, place in through), last]
        path = " ".join(f"{'L' if i else 'M'}{x:.1f},{y:.1f}" for i, (x, y) in enumerate(points))
        parts.append(f'<path d="{path}" fill="none" stroke="#555" stroke-width="1.3" marker-end="url(#a)"/>')
    for box, (x, y), w, h in zip(boxes, middles, wide, high, strict=True):
        parts.append(
            f'<rect x="{x - w / 2:.1f}" y="{y - h / 2:.1f}" width="{w:.1f}" height="{h:.1f}" rx="4" fill="#FBE9DD" '
            'stroke="#D55E00" stroke-width="1.4"/>'
        )
        for i, (text, bold) in enumerate(box):
            weight = ' font-weight="bold"' if bold else ""
            parts.append(
                f'<text x="{x:.1f}" y="{y - h / 2 + PAD + LINE * (i + 0.75):.1f}" text-anchor="middle"{weight}>'
                f"{escape(text)}</text>"
            )
    return "\n".join([*parts, "</svg>\n"])
