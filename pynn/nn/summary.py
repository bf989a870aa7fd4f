"""The table of a model's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn.graph import no_grad, state, trial
from pynn.nn.context import training
from pynn.program import record
from pynn.tensor import Tensor

__all__ = ["summary"]


def _size(n: float, unit: str) -> str:
    for prefix, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= 10 * scale:
            return f"{n / scale:.1f} {prefix}{unit}"
    return f"{n:.0f} {unit}".rstrip()


def summary(model: Any, input_shape: Sequence[int] | None = None) -> str:
    """Return the summary of a model as text.

    Parameters
    ----------
    model : Module
    input_shape : sequence of int, optional
        Of one sample, without the batch axis; needed unless the model begins with Input.

    Raises
    ------
    RuntimeError
        If the input's shape is not known.
    """
    shape = tuple(input_shape) if input_shape is not None else getattr(model, "_input", None)
    if shape is None:
        model._require_built("summary")
        shape = _first_width(model)
    seen: list[tuple[Any, tuple[int, ...]]] = []
    direct = {id(child) for _, child in model.children()} or {id(model)}

    def note(module: Any, out: Any) -> None:
        if id(module) in direct and isinstance(out, Tensor):
            seen.append((module, out.shape))

    x = model.example((1, *shape))
    with no_grad(), training(False), trial():
        if not model.built:
            if hasattr(model, "_layers"):
                model.build((1, *shape))
            else:
                model(x)
        state.observer = note
        try:
            with record() as recorder:
                model(x)
        finally:
            state.observer = None
    flops: dict[str, float] = {}
    for instr in recorder.instrs:
        parts = instr.info.scope.split("/")
        key = parts[1] if len(parts) > 1 else parts[0]
        flops[key] = flops.get(key, 0.0) + (instr.info.flops or sum(int(np.prod(s[0])) for s in instr.info.outs if s))
    return _table(model, shape, seen, flops)


def _first_width(model: Any) -> tuple[int, ...]:
    for module in model.modules():
        if "w" in module._weights:
            return (module._weights["w"].shape[0],)
    raise RuntimeError("[summary] the input's shape is not known. help: pass input_shape.")


def _table(model: Any, shape: tuple[int, ...], seen: list[Any], flops: dict[str, float]) -> str:
    rows = [["layer", "output", "parameters", "bytes", "flops"]]
    if getattr(model, "_input", None) is not None:
        rows.append(["input", str(("N", *shape)).replace("'", ""), "0", "", ""])
    counted: set[int] = set()
    frozen = 0
    for module, out in seen:
        weights = [w for _, w in module.named_parameters() if id(w) not in counted]
        counted.update(id(w) for w in weights)
        trainable = {id(w) for w in module.parameters()}
        frozen += sum(w.size for w in weights if id(w) not in trainable)
        again = "" if weights or not list(module.named_parameters()) else " (shared)"
        rows.append(
            [
                f"{module.name} ({type(module).__name__}){again}",
                str(("N", *out[1:])).replace("'", ""),
                f"{sum(w.size for w in weights):,}",
                _size(sum(w.nbytes for w in weights), "B"),
                _size(flops.pop(module.name, 0.0), ""),
            ]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
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
