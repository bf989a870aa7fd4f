"""What a layer makes of padded sequences, found by what it runs: for those who write layers in another form."""

from __future__ import annotations

from typing import Any

from pynn.core.program import record
from pynn.core.state import no_grad, trial
from pynn.core.tensor import Tensor

__all__ = ["traced"]

READS = ("mask_steps", "reverse_steps")


def traced(layer: Any, xs: list[Tensor]) -> tuple[Any, bool]:
    """Return a layer's output in inference, and whether its values depend on where padding begins.

    Recurrent layers take lengths as an operand; they do not count.
    """
    if not any(x.lengths is not None for x in xs):
        return layer(*xs), False
    with no_grad(), trial(), record() as recorder:
        out = layer(*xs)
    return out, any(instr.card.name in READS for instr in recorder.instrs)
