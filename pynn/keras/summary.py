"""The table that summary() prints."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.keras.tree import flat

__all__ = ["printed"]


def printed(model: Any, line_length: Any, print_fn: Any, expand_nested: bool, show_trainable: bool) -> None:
    """Print the layers of a model with their output shapes and weights, as Keras does."""
    say = print_fn or print
    chain = hasattr(model, "_chain")
    rows = [["Layer (type)", "Output Shape", "Param #", *([] if chain else ["Connected to"])]]
    if show_trainable:
        rows[0].append("Trainable")
    for layer, depth in _layers(model, expand_nested, 0):
        row = ["  " * depth + f"{layer.name} ({type(layer).__name__})", _shape(layer), f"{layer.count_params():,}"]
        if not chain:
            row.append(_before(layer))
        if show_trainable:
            row.append("Y" if layer.trainable else "N")
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) + 2 for i in range(len(rows[0]))]
    wide = max(sum(widths), line_length or 65)
    say(f'Model: "{model.name}"')
    say("_" * wide)
    for i, row in enumerate(rows):
        say("".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        if i == 0:
            say("=" * wide)
    say("=" * wide)
    trained = {id(w) for w in model.trainable_weights}
    counts = {True: [0, 0], False: [0, 0]}
    for w in model.weights:
        counts[id(w) in trained][0] += w.size
        counts[id(w) in trained][1] += w.nbytes
    total, size = (counts[True][i] + counts[False][i] for i in range(2))
    say(f"Total params: {total:,} ({_bytes(size)})")
    say(f"Trainable params: {counts[True][0]:,} ({_bytes(counts[True][1])})")
    say(f"Non-trainable params: {counts[False][0]:,} ({_bytes(counts[False][1])})")
    say("_" * wide)


def _layers(model: Any, expand: bool, depth: int) -> Any:
    for layer in model.layers:
        yield layer, depth
        if expand and hasattr(layer, "layers"):
            yield from _layers(layer, expand, depth + 1)


def _shape(layer: Any) -> str:
    try:
        shapes = list(flat_shapes(layer.output_shape))
    except AttributeError:
        return "?"
    return str(shapes[0]) if len(shapes) == 1 else ", ".join(map(str, shapes))


def flat_shapes(shapes: Any) -> Any:
    """Yield the shapes of a structure of shapes."""
    if isinstance(shapes, tuple) and all(d is None or isinstance(d, (int, np.integer)) for d in shapes):
        yield shapes
    else:
        for shape in shapes.values() if isinstance(shapes, dict) else shapes:
            yield from flat_shapes(shape)


def _before(layer: Any) -> str:
    calls = layer._nodes.calls
    if not calls or not calls[0].parents:
        return "-"
    return ", ".join(f"{x.call.layer.name}[{x.index}]" for x in flat(calls[0].parents))


def _bytes(n: int) -> str:
    return f"{n / 1024**2:.2f} MB" if n >= 1024**2 else f"{n / 1024:.2f} KB" if n >= 1024 else f"{n} B"
