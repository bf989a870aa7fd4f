"""Recording what eager runs, planning its memory, and replaying it.

A program is the list of instructions that eager just ran, less those that nobody needs, with every temporary placed in
an arena by its first and last use. State (parameters, optimizer slots, running statistics) is never moved; data that
change from call to call are input slots.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Hashable, Iterator
from typing import Any

from pynn.core import _core
from pynn.core.state import state
from pynn.errors import CaptureError

__all__ = ["Arena", "ProgramCache", "Recorder", "plan", "record"]

ALIGN = 64
MANY_RECORDINGS = 24


class Recorder:
    """The instructions executed so far, and the tensors that are inputs of the program."""

    def __init__(self, inputs: tuple[Any, ...] = ()):
        self.instrs: list[Any] = []
        self.inputs = inputs

    def append(self, instr: Any) -> None:
        """Take in an instruction that was just run."""
        self.instrs.append(instr)


@contextlib.contextmanager
def record(*inputs: Any) -> Iterator[Recorder]:
    """Record every instruction executed inside a ``with`` block.

    Parameters
    ----------
    inputs : Tensor
        Tensors on other people's memory (data, permutation, results): slot i of the program is inputs[i].

    Raises
    ------
    CaptureError
        If a recording is already under way.
    """
    if state.recorder is not None:
        raise CaptureError(
            "a recording is already under way. help: do not call fit, predict or evaluate inside a model's forward()."
        )
    recorder = Recorder(inputs)
    state.recorder = recorder
    try:
        yield recorder
    finally:
        state.recorder = None


class Arena:
    """Memory for temporaries, shared by the programs of one model; it grows to the largest."""

    def __init__(self) -> None:
        self.buffer = _core.Buffer.new(ALIGN, _core.STATE)

    def hold(self, nbytes: int) -> Any:
        """Return a buffer of at least nbytes."""
        if self.buffer.nbytes < nbytes:
            self.buffer = _core.Buffer.new(nbytes, _core.STATE)
        return self.buffer


class _Block:
    """A temporary: its size and the instructions between which it lives."""

    __slots__ = ("first", "last", "merged", "nbytes", "offset")

    def __init__(self, nbytes: int, first: int):
        self.nbytes = max(nbytes, 1)
        self.first = self.last = first
        self.offset = 0
        self.merged: _Block | None = None

    def base(self) -> _Block:
        block = self
        while block.merged is not None:
            block = block.merged
        return block


def _needed(instrs: list[Any]) -> list[Any]:
    """Drop instructions whose results nobody reads and that change no state."""
    read: set[int] = set()
    kept = []
    for instr in reversed(instrs):
        outs = [b.root() for b in instr.buffers[: instr.n_out] if b is not None]
        if instr.card.mutates or any(b.kind != _core.TEMP or id(b) in read for b in outs):
            kept.append(instr)
            read.update(id(b.root()) for b in instr.buffers[instr.n_out :] if b is not None)
    return kept[::-1]


def _blocks(instrs: list[Any]) -> dict[int, _Block]:
    """Return the lifetime of every temporary that the program itself makes."""
    blocks: dict[int, _Block] = {}
    for i, instr in enumerate(instrs):
        for k, b in enumerate(instr.buffers):
            if b is None:
                continue
            root = b.root()
            if id(root) in blocks:
                blocks[id(root)].last = i
            elif k < instr.n_out and root.kind == _core.TEMP:
                blocks[id(root)] = _Block(root.nbytes, i)
    return blocks


def _merge_in_place(instrs: list[Any], blocks: dict[int, _Block]) -> None:
    """Let an output take an input's memory where the kernel allows it and nobody reads the input again."""
    for i, instr in enumerate(instrs):
        inputs = instr.buffers[instr.n_out :]
        for to_index, from_index in instr.card.overwrites:
            if to_index >= instr.n_out:
                continue
            out, source = instr.buffers[to_index], inputs[from_index]
            if out is None or source is None:
                continue
            others = [b.root() for k, b in enumerate(inputs) if b is not None and k != from_index]
            if any(b is source.root() for b in others):
                continue
            to, give = blocks.get(id(out.root())), blocks.get(id(source.root()))
            if to is None or give is None or to.first != i or out.nbytes != source.nbytes or to.nbytes != give.nbytes:
                continue
            give = give.base()
            if give.last == i and to.base() is not give:
                give.last = max(give.last, to.last)
                to.merged = give


def plan(recorder: Recorder) -> Any:
    """Make a program of a recording: prune, find lifetimes, place temporaries in an arena.

    Offsets are chosen largest block first, each at the lowest place where it overlaps no block that lives at the same
    time.
    """
    instrs = _needed(recorder.instrs)
    blocks = _blocks(instrs)
    _merge_in_place(instrs, blocks)
    slots = {id(t.buffer.root()): s for s, t in enumerate(recorder.inputs)}
    scratch = {}
    for i, instr in enumerate(instrs):
        if instr.scratch_bytes:
            scratch[i] = _Block(instr.scratch_bytes, i)
    placed: list[_Block] = []
    total = 0
    todo = [b for b in blocks.values() if b.merged is None] + list(scratch.values())
    for block in sorted(todo, key=lambda b: (-b.nbytes, b.first)):
        offset = 0
        alive = sorted((b for b in placed if b.first <= block.last and block.first <= b.last), key=lambda b: b.offset)
        for other in alive:
            if offset + block.nbytes <= other.offset:
                break
            offset = max(offset, -(-(other.offset + other.nbytes) // ALIGN) * ALIGN)
        block.offset = offset
        placed.append(block)
        total = max(total, offset + block.nbytes)
    places, inputs = [], []
    for i, instr in enumerate(instrs):
        for k, b in enumerate(instr.buffers):
            if b is None:
                continue
            root = b.root()
            if id(root) in blocks:
                places.append((i, k, blocks[id(root)].base().offset + b.offset))
            elif id(root) in slots:
                inputs.append((i, k, slots[id(root)], b.offset))
        if i in scratch:
            places.append((i, -1, scratch[i].offset))
        # The recording's own memory is no longer needed: temporaries live in the arena, inputs are bound per call.
        instr.forget(
            {
                k
                for k, b in enumerate(instr.buffers)
                if b is not None and (id(b.root()) in blocks or id(b.root()) in slots)
            }
        )
    return _core.Program(instrs, places, inputs, total)


class ProgramCache:
    """The programs of one model, each under a key that says all that it depends on.

    Attributes
    ----------
    recordings : int
        How many programs were recorded; a model that records without end is warned of once.
    """

    def __init__(self) -> None:
        self.arena = Arena()
        self.programs: dict[Hashable, Any] = {}
        self.recordings = 0

    def get(self, key: Hashable) -> Any:
        """Return the program of a key, or None if it must be recorded."""
        return self.programs.get(key)

    def add(self, key: Hashable, recorder: Recorder) -> Any:
        """Plan a recording and keep it."""
        program = self.programs[key] = plan(recorder)
        self.recordings += 1
        if self.recordings == MANY_RECORDINGS:
            warnings.warn(
                f"this model has recorded {self.recordings} different programs; each new batch shape costs one. "
                "help: pad or bucket batches to a few shapes, or use run_eagerly=True.",
                RuntimeWarning,
                stacklevel=3,
            )
        return program

    def run(self, program: Any, times: int = 1) -> tuple[int, int]:
        """Replay a program; returns (whole runs done, status)."""
        program.place(self.arena.hold(program.arena_bytes))
        return program.run(times)

    def clear(self) -> None:
        """Forget every program, when what they depend on has changed for good."""
        self.programs.clear()
