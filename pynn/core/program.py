"""Recording what eager runs, planning its memory, and replaying it.

A program is the list of instructions that eager just ran, less those that nobody needs, with every temporary placed in
an arena by its first and last use. State (parameters, optimizer slots, running statistics) is never moved; data that
change from call to call are input slots.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

from pynn._blocks import Held
from pynn.core import _core
from pynn.core._kept import Kept, key_of
from pynn.core.joining import join_updates
from pynn.core.state import state
from pynn.core.status import failure
from pynn.errors import CaptureError, warn

__all__ = [
    "Placed", "ProgramCache", "Recorder", "Recording", "placed", "plan", "record",
    "refuse_inside", "set_kind",
]  # fmt: skip

ALIGN = 64
MANY_SHAPES = 24  # of so many a model is warned of
MOST_PROGRAMS = 256  # that a model keeps
MOST_BYTES = 1 << 26  # of memory that they take
MOST_ALIKE = 4  # programs for the same inputs, recorded from different settings
MOST_KEPT = 1 << 28  # bytes of laid out weights that a model keeps for predictions
PER_INSTRUCTION = 1500  # bytes of Python's objects


class Recorder:
    """The instructions executed so far, and the tensors that are inputs of the program.

    With `direct`, for slots that nobody reads before the end of a run, what is copied into a slot is made there. The
    memory of temporaries is not kept, which a program places anew, but with `holds`.
    """

    def __init__(self, inputs: tuple[Any, ...] = (), holds: bool = False):
        self.instrs: list[Any] = []
        self.inputs = inputs
        self.direct = False
        self.holds = holds
        self.mark = object()

    def append(self, instr: Any) -> None:
        """Take in an instruction that was just run."""
        if not self.holds:
            instr.leave(self.mark)
        self.instrs.append(instr)


def refuse_inside() -> None:
    """Raise CaptureError while a program is being recorded: a run would be no part of it."""
    if state.recorder is not None:
        raise CaptureError(
            "a recording is already under way. help: do not call fit, predict or evaluate inside a model's forward()."
        )


def record(*inputs: Any, cached: bool = False, holds: bool = False) -> Held:
    """Record every instruction executed inside a ``with`` block.

    Parameters
    ----------
    inputs : Tensor
        Tensors on other people's memory (data, permutation, results): slot i of the program is inputs[i].
    cached : bool, default False
        Whether it is for a ProgramCache, and what its device does not have is an error.
    holds : bool, default False
        Whether the instructions keep the memory that they ran in.

    Raises
    ------
    CaptureError
        If a recording is already under way.
    """
    refuse_inside()
    recorder = (_kind if cached else Recording).recorder(inputs, holds)
    return Held(state, recorder, recorder=recorder)


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


def _directed(instrs: list[Any], slots: dict[int, int]) -> list[Any]:
    """Give temporaries that are copied into a slot, whole, that slot; returns the instructions without these copies."""
    uses: dict[int, int] = {}
    made: set[int] = set()
    kept = []
    for instr in instrs:
        roots = [b.root() for b in instr.buffers if b is not None]
        for root in roots:
            uses[id(root)] = uses.get(id(root), 0) + 1
        made.update(id(b.root()) for b in instr.buffers[: instr.n_out] if b is not None)
    for instr in instrs:
        if instr.card.name == "copy":
            (to, end), (source, root) = ((b, b.root()) for b in instr.buffers)
            whole = 0 < source.nbytes == root.nbytes == to.nbytes == end.nbytes
            temporary = root.kind == _core.TEMP and id(root) in made and id(root) not in slots
            if whole and temporary and id(end) in slots and uses[id(end)] == 1:
                slots[id(root)] = slots[id(end)]
                continue
        kept.append(instr)
    return kept


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


class Placed(NamedTuple):
    """What a recording needs, and where its temporaries lie.

    Attributes
    ----------
    instrs : list of Instr
    places : list of (instruction, operand, arena offset)
        Operand -1 is the scratch memory.
    inputs : list of (instruction, operand, slot, byte offset, bytes, dim)
        See Program in _core.pyx.
    arena_bytes : int
    """

    instrs: list[Any]
    places: list[tuple[int, int, int]]
    inputs: list[tuple[int, int, int, int, int, int]]
    arena_bytes: int


def placed(recorder: Recorder) -> Placed:
    """Prune a recording, find lifetimes, and place its temporaries in an arena.

    Offsets are chosen largest block first, each at the lowest place where it overlaps no block that lives at the same
    time.
    """
    instrs = _needed(recorder.instrs)
    slots = {id(t.buffer.recorded(recorder.mark)): s for s, t in enumerate(recorder.inputs)}
    if recorder.direct:
        instrs = _directed(instrs, slots)
    blocks = {root: block for root, block in _blocks(instrs).items() if root not in slots}
    _merge_in_place(instrs, blocks)
    scratch = {}
    for i, instr in enumerate(instrs):
        if instr.scratch_bytes:
            scratch[i] = _Block(instr.scratch_bytes, i)
    done: list[_Block] = []
    total = 0
    todo = [b for b in blocks.values() if b.merged is None] + list(scratch.values())
    for block in sorted(todo, key=lambda b: (-b.nbytes, b.first)):
        offset = 0
        alive = sorted((b for b in done if b.first <= block.last and block.first <= b.last), key=lambda b: b.offset)
        for other in alive:
            if offset + block.nbytes <= other.offset:
                break
            offset = max(offset, -(-(other.offset + other.nbytes) // ALIGN) * ALIGN)
        block.offset = offset
        done.append(block)
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
                inputs.append((i, k, slots[id(root)], b.offset, b.nbytes, instr.card.extents.get(k, -1)))
        if i in scratch:
            places.append((i, -1, scratch[i].offset))
    return Placed(instrs, places, inputs, total)


def plan(recorder: Recorder) -> Any:
    """Make a program of a recording."""
    return _program(placed(recorder))


def _program(found: Placed) -> Any:
    elsewhere: dict[int, set[int]] = {}
    for i, k, *_ in (*found.places, *found.inputs):
        elsewhere.setdefault(i, set()).add(k)
    for i, instr in enumerate(found.instrs):
        # The recording's own memory is no longer needed: temporaries live in the arena, inputs are bound per call.
        instr.forget(elsewhere.get(i, set()))
    return _core.Program(*found)


class Recording:
    """A program, with all that tells whether it may be used: its key, and a watch on what it was recorded from.

    The program is immutable; each use has memory of its own. Any number of them may be under way at once, in threads or
    one inside another.

    Parameters
    ----------
    key : hashable
        What the caller knows of its inputs: their shapes and dtypes, and what is computed.
    found : Placed
    watch : Watch or None
        On everything else that the recorded function read.
    arenas : Arenas

    Attributes
    ----------
    program : Program
    """

    recorder: type[Recorder] = Recorder  # what it is recorded with
    joins = True  # whether kernels of products may update weights

    def __init__(self, key: Hashable, found: Placed, watch: Any, arenas: Any):
        if self.joins:
            join_updates(found.instrs)
        self.key, self.program, self.watch, self.arenas = key, _program(found), watch, arenas
        self.used = 0  # when, for the cache
        self.prepared: Any = None  # what a prediction makes of it
        self.idle: list[Any] = []

    def holds(self) -> bool:
        """Tell whether a run gives what the recorded function would give now."""
        return self.watch is None or bool(self.watch.unchanged())

    def passes(self, outputs: list[tuple[Any, Any]]) -> Any:
        """Return what predicts with outputs of these shapes and dtypes; None where pynn.core._predict does."""
        return None

    def run(self, bound: list[Any], times: int = 1, token: Any = None, store: bool = True) -> None:
        """Replay the program with these arrays (or buffers) in its input slots.

        A token promises, to devices that have copies, that arrays that are only read are as when it came last. Without
        `store` gradients that the program does not need are not stored (see pynn.core.joining).

        Raises
        ------
        Exception
            What the kernel's card says of a failure.
        """
        arena = self.arenas.take(self.program.arena_bytes)
        try:
            run = self.idle.pop()
        except IndexError:
            run = _core.Run(self.program)
        try:
            run.place(arena)
            run.bind_all(bound)
            _, status = run.run(times, store)
            if status:
                raise failure(status, self.program.instrs[run.failed_at])
        finally:
            run.release()
            self.arenas.give(arena)
            self.idle.append(run)


_kind: type[Recording] = Recording  # of what is recorded from now on


def set_kind(kind: type[Recording] = Recording) -> None:
    """Say what caches make of recordings: on a device, another class."""
    global _kind
    _kind = kind


class Room:
    """How much memory a model has for laid out weights. What lies in it knows it, and it knows no programs."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.kept: weakref.WeakValueDictionary[Hashable, Kept] = weakref.WeakValueDictionary()

    def has(self, nbytes: int) -> bool:
        """Tell whether a model may lay out so many bytes more of its weights."""
        with self.lock:
            return sum(kept.held for kept in self.kept.values()) + nbytes <= MOST_KEPT


class ProgramCache:
    """The programs of one model; the least recently used ones are forgotten.

    Attributes
    ----------
    recordings : int
        How many programs were recorded. A model of which ever new shapes are recorded is warned of once.
    """

    def __init__(self) -> None:
        self.arenas = _core.Arenas()
        self.recordings = 0
        self.unsettled = ""  # what changed during the last recording, if something did
        self.room = Room()
        self._lock = self.room.lock
        self._held: dict[Hashable, list[Recording]] = {}
        self._keys = 0  # of which programs were recorded
        self._clock = 0

    def __iter__(self) -> Iterator[Recording]:
        with self._lock:
            return iter([recording for held in self._held.values() for recording in held])

    def find(self, key: Hashable) -> Recording | None:
        """Return the recording under a key that holds, or None if it must be made."""
        with self._lock:
            for recording in reversed(self._held.get(key, ())):
                if recording.holds():
                    self._clock += 1
                    recording.used = self._clock
                    return recording
        return None

    def add(self, key: Hashable, recorder: Recorder, watch: Any = None, counts: bool = True) -> Recording:
        """Plan what was recorded and keep it; `counts` says whether a new key is one shape too many some day."""
        made = _kind(key, placed(recorder), watch, self.arenas)
        with self._lock:
            known = key in self._held
            held = self._held.setdefault(key, [])
            self._clock += 1
            made.used = self._clock
            held.append(made)
            if len(held) > MOST_ALIKE:  # settings that go to and fro find theirs again, those that went on never will
                held.remove(min(held, key=lambda r: r.used))
            self._forget()
            self.recordings += 1
            self._keys += counts and not known
            many = counts and not known and self._keys == MANY_SHAPES
        if many:
            warn(
                f"this model has recorded {self.recordings} different programs; each new batch shape costs one. "
                "help: pad or bucket batches to a few shapes, or use run_eagerly=True.",
                RuntimeWarning,
            )
        return made

    def kept(self, program: Any) -> list[tuple[int, Kept]]:
        """Return what of its weights a program for predictions may keep: (number of the instruction, weights).

        Programs for inputs of other shapes share them; they go with the last of these. What the program itself writes
        to is not among them.
        """
        state = {id(b.root()) for instr in program.instrs for b in instr.buffers[: instr.n_out] if b is not None}
        found = []
        with self._lock:
            for i, instr in enumerate(program.instrs):
                key = key_of(instr)
                if key is None or any(id(instr.buffers[k].root()) in state for k in instr.laid.weights):
                    continue
                kept = self.room.kept.get(key)
                if kept is None:
                    kept = self.room.kept[key] = Kept(instr, self.room)
                found.append((i, kept))
        return found

    def _forget(self) -> None:
        """Let go of the least recently used programs until the others are few and small enough."""
        by_age = sorted(self, key=lambda r: r.used)
        size = sum(_size(r) for r in by_age)
        for gone, left in zip(by_age, range(len(by_age), 1, -1), strict=False):
            if left <= MOST_PROGRAMS and size <= MOST_BYTES:
                return
            size -= _size(gone)
            self._held[gone.key].remove(gone)
            if not self._held[gone.key]:
                del self._held[gone.key]

    def clear(self) -> None:
        """Forget every program, when what they depend on has changed for good."""
        with self._lock:
            self._held.clear()


def _size(recording: Recording) -> int:
    """Return about how many bytes a recording takes, without its share of the arenas."""
    program = recording.program
    return int((1 + len(recording.idle)) * program.nbytes) + PER_INSTRUCTION * len(program)
