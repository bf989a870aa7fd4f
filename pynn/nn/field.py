"""Receptive fields: how much of the input a place of an output depends on."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from pynn.core.tensor import FLOATS, Tensor

Number = int | float | Fraction
Field = tuple[tuple[Number, Number], tuple[Number, Number]]  # places seen and the step between neighbours, by axis
PIXEL: Field = ((1, 1), (1, 1))
WHOLE: Field = ((math.inf, math.inf), (1, 1))


class Fields:
    """The receptive fields of what modules returned, found along the graph: ops between modules see single places.

    A module with a method ``window`` says how many places of its input an output sees and how far apart neighbours
    look, (rows, columns) each: r <- r + (window - 1) jump, jump <- jump stride. Steps are below 1 where images are
    enlarged. Images have rows and columns, sequences columns alone.

    Parameters
    ----------
    xs : list of Tensor
        The inputs of the model.
    """

    def __init__(self, xs: list[Tensor]):
        self.known = {id(x): (x, PIXEL) for x in xs}  # with the tensors, so that ids stay theirs
        for x in xs:
            x.requires_grad = x.dtype in FLOATS

    def note(self, module: Any, out: Tensor) -> str:
        """Take in a module's output; return its field as text, empty for what has no places."""
        if id(out) not in self.known:
            self.known[id(out)] = out, self._of(module, out)
        (rows, columns), _ = self.known[id(out)][1]
        if out.ndim not in (3, 4):
            return ""
        if math.inf in (rows, columns):
            return "all"
        return str(math.ceil(columns)) if out.ndim == 3 else f"{math.ceil(rows)} x {math.ceil(columns)}"

    def _of(self, module: Any, out: Tensor) -> Field:
        if out.ndim not in (3, 4):
            return WHOLE  # what is made of a vector depends on all of it
        seen, jump = self._below(out)
        if module.recurrent:
            return WHOLE  # what came before, however long
        if not hasattr(module, "window"):
            return seen, jump
        extent, stride = module.window()
        if math.inf in extent:
            return WHOLE
        return (
            (seen[0] + (extent[0] - 1) * jump[0], seen[1] + (extent[1] - 1) * jump[1]),
            (jump[0] * stride[0], jump[1] * stride[1]),
        )

    def _below(self, out: Tensor) -> Field:
        """Return the largest field, axis by axis, of what a tensor was computed from."""
        found: list[Field] = []
        visited: set[int] = set()
        stack = [out]
        while stack:
            t = stack.pop()
            if id(t) in self.known:
                at, (seen, jump) = self.known[id(t)]
                if at.ndim != out.ndim:  # reshaped: which axis became which is not known
                    seen, jump = (max(seen),) * 2, (max(jump),) * 2
                found.append((seen, jump))
            elif t.node is not None and t.node.id not in visited:
                visited.add(t.node.id)
                stack += [x for x in t.node.inputs if isinstance(x, Tensor)]
        fields = found or [PIXEL]
        seen = max(f[0][0] for f in fields), max(f[0][1] for f in fields)
        return seen, (max(f[1][0] for f in fields), max(f[1][1] for f in fields))
