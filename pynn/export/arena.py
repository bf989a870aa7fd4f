"""Where the values of a network lie while it runs: one block of memory, whose parts are used again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pynn.export.trace import Op, Trace, Value

__all__ = ["Arena"]


@dataclass
class _Room:
    """A stretch of memory: what it holds, from the op that writes it to the last one that reads it."""

    size: int
    first: int
    last: int
    offset: int = 0


@dataclass
class Arena:
    """The places of a network's values; constants have none.

    Parameters
    ----------
    plan : Trace
    alias : function
        Whether an op leaves its input's memory as it is.
    inplace : function
        Whether an op may write over its first input.
    scratch : function
        How many numbers an op needs for itself.

    Attributes
    ----------
    total : int
        Numbers that the block has.
    owner : dict of int to int
        The value (by number) whose memory a value shares: its own, or that of what it was made of.
    """

    plan: Trace
    alias: Callable[[Op], bool]
    inplace: Callable[[Op], bool]
    scratch: Callable[[Op], int]
    total: int = 0
    owner: dict[int, int] = field(default_factory=dict)
    _rooms: dict[int, _Room] = field(default_factory=dict)
    _scratch: dict[int, _Room] = field(default_factory=dict)

    def __post_init__(self) -> None:
        last = self._last_uses()
        self.owner.update((x.number, x.number) for x in self.plan.inputs)
        for i, op in enumerate(self.plan.ops):
            outs = [y for y in op.outs if y is not None]
            shared = self._shared(i, op, last)
            for y in outs:
                self.owner[y.number] = y.number if shared is None else shared
                if shared is None:
                    self._rooms[y.number] = _Room(y.size, i, last.get(y.number, i))
                elif shared in self._rooms:
                    last[shared] = self._rooms[shared].last = max(last[shared], last.get(y.number, i))
            if needed := self.scratch(op):
                self._scratch[i] = _Room(needed, i, i)
        result = self.owner[self.plan.output.number]
        placed: list[_Room] = []
        wanted = [room for number, room in self._rooms.items() if number != result]
        for room in sorted([*wanted, *self._scratch.values()], key=lambda r: -r.size):
            room.offset = self._lowest(room, placed)
            placed.append(room)
        self.total = max((room.offset + room.size for room in placed), default=0)

    def _shared(self, i: int, op: Op, last: dict[int, int]) -> int | None:
        """Return the value whose memory the output takes, if it does."""
        x = op.inputs[0] if op.inputs else None
        if x is None or x.number not in self.owner:
            return None
        owner = self.owner[x.number]
        if self.alias(op):
            return owner
        # Nobody else may read what is written over: neither later, nor this very op in another order.
        others = [self.owner.get(other.number) for other in op.inputs[1:] if other is not None]
        free = owner in self._rooms and last[owner] == i and owner not in others
        return owner if free and self.inplace(op) else None

    def _last_uses(self) -> dict[int, int]:
        """Return the last op that reads each value, or what shares its memory."""
        last: dict[int, int] = {self.plan.output.number: len(self.plan.ops)}
        for i, op in reversed(list(enumerate(self.plan.ops))):
            y = op.y
            for x in op.inputs:
                if x is not None:
                    until = last.get(y.number, i) if y is not None and self.alias(op) else i
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

    def scratch_offset(self, op: int) -> int:
        """Return where the scratch of an op lies in the block."""
        return self._scratch[op].offset
