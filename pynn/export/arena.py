"""Where the values of a network lie while it runs: one block of memory, whose parts are used again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

from pynn.export.steps import Plan, Step
from pynn.export.walk import Value

__all__ = ["Arena"]


def size(value: Value) -> int:
    """Return how many numbers a value has."""
    return prod(value.shape) * value.repeat


@dataclass
class _Room:
    """A stretch of memory: what it holds, from the step that writes it to the last one that reads it."""

    size: int
    first: int
    last: int
    offset: int = 0


@dataclass
class Arena:
    """The places of a plan's values.

    Parameters
    ----------
    plan : Plan
    inplace : function
        Whether a step may write over its input.
    scratch : function
        How many numbers a step needs for itself.

    Attributes
    ----------
    total : int
        Numbers that the block has.
    owner : dict of int to int
        The value (by number) whose memory a value shares: its own, or that of what it was made of.
    """

    plan: Plan
    inplace: Callable[[Step], bool]
    scratch: Callable[[Step], int]
    total: int = 0
    owner: dict[int, int] = field(default_factory=dict)
    _rooms: dict[int, _Room] = field(default_factory=dict)
    _scratch: dict[int, _Room] = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps = self.plan.steps
        last = self._last_uses()
        self.owner.update((x.number, x.number) for x in self.plan.inputs)
        for i, step in enumerate(steps):
            y = step.output.number
            if step.op == "lengths":
                continue
            x = self.owner[step.inputs[0].number]
            if step.op == "reshape" or (x in self._rooms and last[x] == i and self.inplace(step)):
                self.owner[y] = x
                if x in self._rooms:
                    last[x] = self._rooms[x].last = max(last[x], last.get(y, i))
            else:
                self.owner[y] = y
                self._rooms[y] = _Room(size(step.output), i, last.get(y, i))
            if needed := self.scratch(step):
                self._scratch[i] = _Room(needed, i, i)
        result = self.owner[self.plan.output.number]
        placed: list[_Room] = []
        wanted = [room for number, room in self._rooms.items() if number != result]
        for room in sorted([*wanted, *self._scratch.values()], key=lambda r: -r.size):
            room.offset = self._lowest(room, placed)
            placed.append(room)
        self.total = max((room.offset + room.size for room in placed), default=0)

    def _last_uses(self) -> dict[int, int]:
        """Return the last step that reads each value, or a reshaped one of it."""
        last: dict[int, int] = {self.plan.output.number: len(self.plan.steps)}
        for i, step in reversed(list(enumerate(self.plan.steps))):
            for x in step.inputs:
                until = last.get(step.output.number, i) if step.op == "reshape" else i
                last[x.number] = max(last.get(x.number, 0), until)
        return last

    @staticmethod
    def _lowest(room: _Room, placed: list[_Room]) -> int:
        at = 0
        beside = [p for p in placed if p.first <= room.last and room.first <= p.last]
        for other in sorted(beside, key=lambda p: p.offset):
            if at + room.size <= other.offset:
                break
            at = max(at, other.offset + other.size)
        return at

    def is_result(self, value: Value) -> bool:
        """Tell whether a value lies in the memory of the output."""
        return self.owner[value.number] == self.owner[self.plan.output.number]

    def offset(self, value: Value) -> int:
        """Return where a value lies in the block."""
        return self._rooms[self.owner[value.number]].offset

    def scratch_offset(self, step: int) -> int:
        """Return where the scratch of a step lies in the block."""
        return self._scratch[step].offset
