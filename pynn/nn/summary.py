"""The table of a model's layers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from pynn.core.context import training
from pynn.core.program import record
from pynn.core.state import no_grad, observed, trial
from pynn.core.tensor import Tensor
from pynn.errors import printable
from pynn.nn.field import Fields

__all__ = ["model_html", "summary"]


def _size(n: float, unit: str) -> str:
    for prefix, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= 10 * scale:
            return f"{n / scale:.1f} {prefix}{unit}"
    return f"{n:.0f} {unit}".rstrip()


def summary(model: Any, input_shape: Sequence[Any] | None = None) -> str:
    """Return the summary of a model as text.

    A model with convolutions or pooling has a column of receptive fields: how many rows and columns of the input (or
    steps of a sequence) one place of the output depends on at most; borders, and the statistics that normalization
    takes of a whole image, are left out of account. They follow from each layer's window and stride,
    r <- r + (window - 1) jump and jump <- jump stride, where branches that come together give the largest.

    Parameters
    ----------
    model : Module
    input_shape : sequence of int, optional
        Of one sample, without the batch axis; needed unless the model begins with Input. A list of shapes for a module
        with several inputs.

    Raises
    ------
    RuntimeError
        If the input's shape is not known.
    """
    declared = _declared(model)
    shapes = declared
    if input_shape is not None:
        several = len(input_shape) > 0 and all(isinstance(d, (tuple, list)) for d in input_shape)
        shapes = [tuple(d) for d in input_shape] if several else [tuple(input_shape)]
    elif not shapes:
        model._require_built("summary")
        seen_before = model._built_for[1:] if hasattr(model, "_layers") and not _windowed(model) else ()
        shapes = [tuple(seen_before) or _first_width(model)]
    same = shapes == declared and hasattr(model, "examples")
    xs = model.examples() if same else [model.example((1, *shape)) for shape in shapes]
    with no_grad(), training(False), trial():
        if not model.built:
            if hasattr(model, "_layers"):
                model.build((1, *shapes[0]))
            else:
                model(*xs)
        with record() as recorder:
            seen = _watch(model, xs, lambda module, out: out.shape)
    parts = getattr(model, "parts", None)
    if parts is not None:  # of an imported network: what its nodes are
        seen = parts(seen[-1][1] if seen else None)
    fields = _watch(model, xs, Fields(xs).note) if _windowed(model) else None
    flops: dict[str, float] = {}
    for instr in recorder.instrs:
        layers = instr.info.scope.split("/")
        key = layers[1] if len(layers) > 1 else layers[0]
        key = key if parts is None else instr.info.scope.partition("/")[2]
        flops[key] = flops.get(key, 0.0) + (instr.info.flops or sum(int(np.prod(s[0])) for s in instr.info.outs if s))
    return _table(model, shapes if declared else [], seen, [text for _, text in fields or ()], flops)


def model_html(model: Any) -> str:
    """Return a model's summary; one that is not built yet as its text."""
    text = summary(model) if model.built else repr(model)
    return f"<pre>{escape(text)}</pre>"


def _declared(model: Any) -> list[tuple[int, ...]]:
    """Return the shapes of the Inputs that the model begins with."""
    if hasattr(model, "input_shapes"):
        return model.input_shapes
    first = getattr(model, "_input", None)
    return [] if first is None else [first]


def _input_names(model: Any, count: int) -> list[str]:
    """Return the names by which fit() takes inputs in a dict; "input" for one that has none."""
    names = getattr(model, "input_names", None)
    if names is None or len(names) != count or names == ["input_1"]:
        return ["input" if i == 0 else f"input_{i + 1}" for i in range(count)]
    return [printable(name) for name in names]


def _windowed(model: Any) -> bool:
    return any(hasattr(module, "window") for module in model.modules())


def _first_width(model: Any) -> tuple[int, ...]:
    """Return the shape of a sample for a model whose first weight takes vectors."""
    first = next((module._weights["w"] for module in model.modules() if "w" in module._weights), None)
    if first is None or first.ndim != 2 or _windowed(model):
        raise RuntimeError(
            "[summary] the input's shape is not known. help: begin with nn.Input(shape), or pass input_shape."
        )
    return (first.shape[0],)


def _watch(model: Any, xs: list[Tensor], look: Any) -> list[tuple[Any, Any]]:
    """Run a model; return (module, what `look` says of its output) for each call of a module directly below.

    `look` is asked about the calls of all modules.
    """
    direct = {id(child) for _, child in model.children()} or {id(model)}
    seen: list[tuple[Any, Any]] = []

    def note(module: Any, out: Any) -> None:
        if isinstance(out, Tensor):
            said = look(module, out)
            if id(module) in direct:
                seen.append((module, said))

    with observed(note), training(False), trial():
        model(*xs)
    return seen


def _table(
    model: Any, shapes: list[tuple[int, ...]], seen: list[Any], fields: list[str], flops: dict[str, float]
) -> str:
    rows = [["layer", "output", "receptive field", "parameters", "bytes", "flops"]]
    for name, shape in zip(_input_names(model, len(shapes)), shapes, strict=True):
        rows.append([name, _batch(shape), {2: "1", 3: "1 x 1"}.get(len(shape), ""), "0", "", ""])
    counted: set[int] = set()
    frozen = 0
    for i, (module, shape) in enumerate(seen):
        weights = [w for _, w in module.named_parameters() if id(w) not in counted]
        counted.update(id(w) for w in weights)
        trainable = {id(w) for w in module.parameters()}
        frozen += sum(w.size for w in weights if id(w) not in trainable)
        again = "" if weights or not list(module.named_parameters()) else " (shared)"
        rows.append(
            [
                f"{printable(module.name)} ({printable(getattr(module, 'kind', type(module).__name__))}){again}",
                "" if shape is None else _batch(shape[1:]),
                fields[i] if fields else "",
                f"{sum(w.size for w in weights):,}",
                _size(sum(w.nbytes for w in weights), "B"),
                _size(sum(flops.pop(key, 0.0) for key in getattr(module, "scopes", (module.name,))), ""),
            ]
        )
    if not fields:
        rows = [[*row[:2], *row[3:]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True)))
        for r in rows
    ]
    total = model.count_parameters()
    nbytes = sum(w.nbytes for _, w in model.named_parameters())
    rule = "-" * len(lines[0])
    tail = (
        f"{total:,} parameters ({total - frozen:,} trainable), {_size(nbytes, 'B')}; flops are of one sample, forward"
    )
    return "\n".join([lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:]), rule, tail])


def _batch(shape: tuple[int, ...]) -> str:
    return str(("N", *shape)).replace("'", "")
