"""What a kernel's status means, in words."""

from __future__ import annotations

from typing import Any

from pynn.errors import DataError, NonFiniteError

__all__ = ["failure"]


def failure(status: int, instr: Any) -> BaseException:
    """Return the exception for a kernel's status."""
    where = f"{instr.info.scope}: " if instr.info.scope else ""
    if status == 3:
        from pynn.core.kernels.hook import hook_failure

        return hook_failure() or RuntimeError(f"{where}[{instr.card.name}] failed.")
    if status == 1:
        return NonFiniteError(f"{where}[{instr.card.name}] met a NaN or an infinite value.")
    if "failure" in instr.card.extra:
        text = instr.card.extra["failure"]
        return DataError(f"{where}[{instr.card.name}] {text(instr) if callable(text) else text}.")
    return IndexError(f"{where}[{instr.card.name}] an index lies outside the table it points into.")
