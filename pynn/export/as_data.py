"""Recorded programs as plain data: names of kernels, sizes, parameters, places in memory, and the state.

A program is a table of instructions. An operand is null or [place, offset]: place 0 is the arena, 1 the state, 2 + s
the input slot s. What a program has beside its arena and its slots is the state, which all programs of a bundle share.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pynn.core.program import Recorder, placed
from pynn.errors import DataError
from pynn.export.composed import in_c

__all__ = ["State", "as_data"]

ALIGN = 64
ARENA, STATE, SLOT = 0, 1, 2


class State:
    """The memory that programs share: parameters, slots of optimizers, running statistics, counters.

    Parameters
    ----------
    known : iterable of Tensor
        Whose contents now are what a run starts from. Other state that programs write starts at zero, which only fits
        sums and results.
    """

    def __init__(self, known: Iterable[Any]):
        self.roots: dict[int, tuple[Any, int]] = {}  # id -> (buffer, offset)
        self.nbytes = 0
        self.before: dict[int, bytes] = {}
        self._held = []
        for t in known:
            root = t.buffer.root()
            if id(root) not in self.before:
                self.before[id(root)] = bytes(memoryview(root))
                self._held.append(root)

    def place(self, buffer: Any, written: bool) -> list[int]:
        """Return where a buffer is, [STATE, offset]."""
        root = buffer.root()
        if id(root) not in self.roots:
            self.roots[id(root)] = root, self.nbytes
            self.nbytes += -(-max(root.nbytes, 1) // ALIGN) * ALIGN
        if written and id(root) not in self.before:
            self.before[id(root)] = bytes(root.nbytes)
        return [STATE, self.roots[id(root)][1] + (buffer.offset if root is not buffer else 0)]

    def contents(self) -> bytes:
        """Return the first contents of all of it."""
        made = bytearray(self.nbytes)
        for key, (root, offset) in self.roots.items():
            held = self.before.get(key)
            data = bytes(memoryview(root)) if held is None else held
            made[offset : offset + len(data)] = data
        return bytes(made)

    def described(self, name: str, tensor: Any) -> dict[str, Any]:
        """Return what a page needs to find a tensor: name, shape, dtype, offset."""
        offset = self.place(tensor.buffer, False)[1]
        return {"name": name, "shape": list(tensor.shape), "dtype": str(tensor.dtype), "offset": offset}


def as_data(recorder: Recorder, slots: Iterable[str], state: State) -> dict[str, Any]:
    """Return a recording as a program of C kernels, in numbers and texts alone.

    Parameters
    ----------
    recorder : Recorder
    slots : iterable of str
        The names of its inputs, in order.
    state : State
        Takes in what the program has beside its arena and its slots.

    Raises
    ------
    DataError
        If a kernel has no composition of C kernels, or the model's dtype is not float32.
    """
    found = placed(in_c(recorder))
    names = list(slots)
    arena = {(i, k): offset for i, k, offset in found.places}
    bound = {(i, k): (slot, offset) for i, k, slot, offset, _, _ in found.inputs}
    instrs = []
    for i, instr in enumerate(found.instrs):
        if instr.dtype == 1:
            raise DataError(
                "[export] expected a model of float32 for a page. Received: float64. help: model.astype('float32')."
            )
        args: list[Any] = []
        for k, b in enumerate(instr.buffers):
            if b is None:
                args.append(None)
            elif (i, k) in arena:
                args.append([ARENA, arena[i, k]])
            elif (i, k) in bound:
                slot, offset = bound[i, k]
                args.append([SLOT + slot, offset])
            else:
                args.append(state.place(b, k < instr.n_out))
        dims, pars, salt = instr.plain()
        made: dict[str, Any] = {"kernel": instr.card.kernel, "dtype": instr.dtype, "args": args, "outs": instr.n_out}
        made |= {key: list(value) for key, value in (("dims", dims), ("pars", pars)) if value}
        if salt:
            made["salt"] = salt
        if (i, -1) in arena:
            made["scratch"] = [arena[i, -1], instr.scratch_bytes]
        if instr.card.extents:
            made["extents"] = [[k, dim] for k, dim in instr.card.extents.items()]
        if instr.info.scope:
            made["scope"] = instr.info.scope
        made["shapes"] = [None if spec is None else list(spec[0]) for spec in instr.info.outs]
        instrs.append(made)
    return {"slots": names, "arena": found.arena_bytes, "instrs": instrs}
