"""Between which values an output must lie, by the ops that made it: probabilities are known by that."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pynn.core.tape import Entry, Tape
from pynn.core.tensor import FLOATS, Tensor
from pynn.ops.activation import ELEMENTWISE

__all__ = ["bounds", "descends_from"]

Range = tuple[float, float]
ANY: Range = (-math.inf, math.inf)
UNIT: Range = (0.0, 1.0)

#: what a function of anything gives; also what one that is fused into another op gives
FUNCTIONS: dict[str, Range] = {name: row.bounds for name, row in ELEMENTWISE.items() if row.bounds != ANY} | {
    "softmax": UNIT
}
#: ops whose results are values of their inputs, unchanged
KEEPS = {"reshape", "transpose", "slice", "expand", "concat", "take", "copy", "max_pool2d", "max", "min", "dropout",
         "permute_steps", "reverse_steps"}  # fmt: skip
#: the same, with zeros or means among them
MIXES = {"pad2d", "avg_pool2d", "mask_steps"}


def bounds(t: Tensor, tape: Tape) -> Range:
    """Return (least, largest) that the values of a tensor can be, infinite where nothing is known.

    Values that dropout scales up count as what they were before.
    """
    entry = tape.maker(t)
    if entry is None:
        return _constant(t)
    name, attrs = entry.card.name, entry.attrs
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    fused = attrs.get("output_activation", attrs.get("activation"))
    if fused is not None:
        return FUNCTIONS.get(fused, ANY)
    if name in ("lstm", "gru") and t is not entry.outs[2]:  # the cell's state grows without bounds
        return -1.0, 1.0
    if name == "clip":
        return attrs["low"], attrs["high"]
    if name == "mask_steps" and (attrs["value"] or attrs.get("scale")):
        return ANY
    if name in KEEPS or name in MIXES:
        return _union([bounds(x, tape) for x in _floats(entry)] + ([(0.0, 0.0)] if name in MIXES else []))
    if name in _ARITHMETIC:
        return _ARITHMETIC[name](*(bounds(x, tape) for x in _floats(entry)))
    if name == "sum":
        (x,) = _floats(entry)
        return _mul(bounds(x, tape), (x.size / max(t.size, 1) * attrs.get("scale", 1.0),) * 2)
    return ANY


def descends_from(t: Tensor, tape: Tape, activation: str) -> bool:
    """Tell whether an output is made of what an activation gave, by ops that keep and mix values."""
    entry = tape.maker(t)
    if entry is None:
        return False
    if activation in (entry.card.name, entry.attrs.get("output_activation", entry.attrs.get("activation"))):
        return True
    if entry.card.name in KEEPS or entry.card.name in MIXES or entry.card.name in _ARITHMETIC:
        return any(descends_from(x, tape, activation) for x in _floats(entry))
    return entry.card.name in ("sum", "clip") and descends_from(entry.inputs[0], tape, activation)


def _floats(entry: Entry) -> list[Tensor]:
    return [x for x in entry.inputs if isinstance(x, Tensor) and x.dtype in FLOATS]


def _constant(t: Tensor) -> Range:
    """Return the value of a number that the forward pass was written with; data may be anything."""
    if t.ndim or t.requires_grad:
        return ANY
    value = float(t.view())
    return value, value


def _union(ranges: list[Range]) -> Range:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _of_ends(function: Callable[[float, float], float], a: Range, b: Range) -> Range:
    ends = [function(p, q) for p in a for q in b]
    return ANY if any(math.isnan(v) for v in ends) else (min(ends), max(ends))


def _mul(a: Range, b: Range) -> Range:
    # 0 * inf: the infinite end is never reached, so the product with 0 is 0
    return _of_ends(lambda p, q: 0.0 if p == 0 or q == 0 else p * q, a, b)


def _div(a: Range, b: Range) -> Range:
    if b[0] < 0 or b == (0.0, 0.0):
        return ANY
    return _mul(a, (0.0 if b[1] == math.inf else 1 / b[1], math.inf if b[0] == 0 else 1 / b[0]))


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: _of_ends(lambda p, q: p + q, a, b),
    "sub": lambda a, b: _of_ends(lambda p, q: p - q, a, b),
    "mul": _mul,
    "div": _div,
    "neg": lambda a: (-a[1], -a[0]),
    "maximum": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "minimum": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
}
