"""Networks in C that take one time step after another."""

from __future__ import annotations

from typing import Any

from pynn.errors import DataError
from pynn.export.plan import LOOPS
from pynn.export.trace import Op, Trace

__all__ = ["check_steps", "one_step"]


def one_step(examples: list[Any]) -> list[tuple[int, ...]]:
    """Return the shapes of one sample of inputs [1, steps, ...], with one step each."""
    short = [x.shape for x in examples if x.ndim < (3 if x.dtype.kind == "f" else 2)]
    if short:
        raise DataError(f"[export] expected inputs of sequences for step=True. Received: one of shape {short[0][1:]}.")
    return [(1, *x.shape[2:]) for x in examples]


def check_steps(plan: Trace) -> None:
    """Refuse what does not compute a step from the steps before alone.

    Raises
    ------
    DataError
        If no layer is recurrent, if one runs backwards or takes its first state from elsewhere, or if an op joins
        neighbouring steps.
    """
    if not any(op.name in LOOPS for op in plan.ops):
        raise DataError("[export] expected a model with recurrent layers for step=True. Received: one without.")
    for op in plan.ops:
        if op.name in LOOPS:
            if op.attrs["reverse"]:
                raise op.refused("runs backwards", "leave step=True out; the future is not known step by step.")
            states = 2 if "lstm" in op.name else 1
            if any(x is not None for x in op.inputs[4 : 4 + states]):
                raise op.refused("takes its first state from another layer", "leave step=True out.")
        elif op.name == "jordan_rnn" or _joins_steps(op):
            raise op.refused("needs other steps than the one that is there", "leave step=True out.")


def _joins_steps(op: Op) -> bool:
    """Tell whether an op would compute something of several steps, had the sequence more than one."""
    if op.name in ("sum", "max", "min", "argmax"):
        return any(n == 1 for n in op.x.shape[max(op.attrs["axis"], 1) : op.attrs["stop"]])
    kernel = op.attrs.get("kernel") or (op.inputs[1].shape[:2] if op.name.startswith("conv2d") else (1, 1))
    return op.name.endswith("2d") and tuple(op.x.shape[1:3]) == (1, 1) and tuple(kernel) != (1, 1)
