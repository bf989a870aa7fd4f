"""Forward passes whose lengths are left open: what differs between runs of several lengths follows the length.

Where :func:`pynn.export.trace` finds what follows the batch, this finds, in the same way, which sizes and attributes
follow an open axis of an input: a model is lowered for a few lengths, and its ops are put side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.checks import is_integer
from pynn.errors import DataError, ShapeError
from pynn.export.plan import lower
from pynn.export.runs import examples
from pynn.export.trace import Op, Trace, Value

__all__ = ["is_open", "lower_open"]

# Lengths that leave different rests after division by 2, 3 and 4, as strides do; and how much longer models may need.
LENGTHS, LONGER = (29, 40, 54), (0, 96, 960)


def is_open(input_shape: Any) -> bool:
    """Return whether a size is None: for one sample, or for one of several inputs."""
    shapes = input_shape if isinstance(input_shape, list) else [input_shape]
    return any(isinstance(s, (tuple, list)) and None in s for s in shapes)


def lower_open(model: Any, input_shape: Any) -> Trace:
    """Return the ops of a model of which some input sizes are None, which stands for any size.

    All open axes have the same size. Values say in `open` which of their axes follow it, ops in `varied` which of their
    attributes do.

    Raises
    ------
    DataError
        If weights, or what is computed beforehand, depend on the size.
    """
    if not getattr(model, "built", False) and getattr(model, "_input", None) is not None:
        examples(model)
    shapes = [(s,) if s is None or is_integer(s) else tuple(s) for s in _listed(input_shape)]
    traces: list[Trace] = []
    for longer in LONGER:
        try:
            traces = [lower(model, _filled(shapes, n + longer)) for n in LENGTHS]
            break
        except ShapeError as error:
            if longer == LONGER[-1]:
                raise DataError(
                    f"[export] the size that is left open is one that the model depends on: {error} Nothing was "
                    "written. help: give the size in input_shape, or reduce the axis (nn.GlobalAvgPool) before "
                    "weights meet it."
                ) from error
    _Side(traces).align()
    return traces[0]


def _listed(input_shape: Any) -> list[Any]:
    return input_shape if isinstance(input_shape, list) else [input_shape]


def _filled(shapes: list[tuple[Any, ...]], length: int) -> list[tuple[int, ...]]:
    return [tuple(length if d is None else d for d in shape) for shape in shapes]


class _Side:
    """Traces of one model side by side."""

    def __init__(self, traces: list[Trace]):
        self.traces = traces
        self.known: list[dict[int, Value]] = [{} for _ in traces]  # numbers of the other traces -> values of the first

    def align(self) -> None:
        """Say what follows the length."""
        first = self.traces[0]
        for values in zip(*(t.inputs for t in self.traces), strict=True):
            self._same(values)
        if len({len(t.ops) for t in self.traces}) != 1:
            raise _differs(first.ops[0] if first.ops else None)
        for ops in zip(*(t.ops for t in self.traces), strict=True):
            self._op(ops)

    def _op(self, ops: tuple[Op, ...]) -> None:
        op = ops[0]
        if len({(o.name, len(o.inputs), len(o.outs)) for o in ops}) != 1:
            raise _differs(op)
        for values in zip(*(o.inputs for o in ops), strict=True):
            if len({x is None for x in values}) != 1:
                raise _differs(op)
            if values[0] is None:
                continue
            if values[0].constant:
                if any(not x.constant or not _equal(values[0].array, x.array) for x in values[1:]):
                    raise DataError(
                        f"[export] {op.place}: the op {op.name!r} takes numbers that depend on the size that is left "
                        "open. Nothing was written. help: give the size in input_shape."
                    )
            elif any(self.known[k].get(x.number) is not values[0] for k, x in enumerate(values) if k):
                raise _differs(op)
        op.varied = {
            key: tuple(o.attrs.get(key) for o in ops)
            for key, value in op.attrs.items()
            if any(not _equal_settings(value, o.attrs.get(key)) for o in ops[1:])
        }
        for values in zip(*(o.outs for o in ops), strict=True):
            if len({x is None for x in values}) != 1:
                raise _differs(op)
            if values[0] is not None:
                self._same(values)

    def _same(self, values: tuple[Value, ...]) -> None:
        """Note that these are one value, and which of its axes follow the length."""
        first = values[0]
        if len({(x.ndim, x.axis) for x in values}) != 1:
            raise DataError("[export] the rank of a value depends on the size that is left open. Nothing was written.")
        sizes = list(zip(*(x.shape for x in values), strict=True))
        first.open = {axis: each for axis, each in enumerate(sizes) if len(set(each)) > 1}
        for k, x in enumerate(values):
            self.known[k][x.number] = first


def _equal(a: Any, b: Any) -> bool:
    return a is b or (a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f")))


def _equal_settings(a: Any, b: Any) -> bool:
    return a == b or (isinstance(a, float) and a != a and b != b)


def _differs(op: Op | None) -> DataError:
    place = "the model" if op is None else op.place
    return DataError(
        f"[export] {place}: it runs other ops when the size that is left open changes. Nothing was written. "
        "help: give the size in input_shape."
    )
