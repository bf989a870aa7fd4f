"""What an optimizer keeps of every parameter, wherever the sets of parameters go that it is trained with."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from pynn.core import _core
from pynn.core.flat import ALIGN, Flat, aligned, windows, within
from pynn.core.tensor import Tensor
from pynn.ops.optim import CHUNK_OF_SUMS

__all__ = ["Held", "Part", "Table"]

INT64, FLOAT64 = np.dtype("int64"), np.dtype("float64")
SHARES = "shares of the slots of the optimizer"


class Held:
    """The slots of one parameter.

    Attributes
    ----------
    slots : dict of str to Tensor
        Like the parameter, on memory that never moves.
    numbers : dict of str to Tensor, float64 [1]
    count : Tensor, int64 [1]
        How often it was updated.
    group : int
        Parameters of one group have always been updated together.
    share : (int, int) or None
        Which elements of the parameter the slots are of, as a vector, where other processes keep those of the others.
    """

    __slots__ = ("count", "group", "numbers", "place", "share", "slots")

    def __init__(self, slots: dict[str, Tensor], numbers: dict[str, Tensor], count: Tensor, group: int):
        self.slots, self.numbers, self.count, self.group = slots, numbers, count, group
        self.share: tuple[int, int] | None = None
        self.place = 0  # among those that were divided

    def named(self) -> dict[str, Tensor]:
        """Return slots and numbers by name, and the count as ``step``."""
        return {**self.slots, **self.numbers, "step": self.count}

    def alike(self) -> list[Tensor]:
        """Return what all processes keep the same."""
        return [*self.numbers.values(), self.count, *(() if self.share else self.slots.values())]


class Part(NamedTuple):
    """Parameters that one instruction updates: they lie side by side and were updated equally often.

    Attributes
    ----------
    tensors : sequence of Tensor
    param, grad : Tensor [n]
        Of divided parameters, this process's share.
    slots : dict of str to Tensor [n]
    numbers : dict of str to Tensor, float64 [k]
    counts : Tensor, int64 [k]
    """

    tensors: Sequence[Tensor]
    param: Tensor
    grad: Tensor
    slots: dict[str, Tensor]
    numbers: dict[str, Tensor]
    counts: Tensor


class Table:
    """The slots of all parameters that an optimizer has met. A parameter that is frozen keeps its own as they are.

    Attributes
    ----------
    version : int
        Changes when parameters that were updated together no longer are: programs that do so no longer hold.
    """

    def __init__(self) -> None:
        self._held: dict[int, tuple[weakref.ref[Tensor], Held]] = {}  # by id: == of tensors is an op
        self._groups = itertools.count()
        self.version = 0
        self.gang: Any = None  # the processes that share slots
        self.number = 0  # which of their tables it is
        self.given = ""  # a digest of what shares were taken from
        self.changes = 0  # how often shares were written to but by updates
        self._order: list[weakref.ref[Tensor]] = []  # parameters, as they were divided

    def get(self, parameter: Tensor) -> Held | None:
        """Return what is kept of a parameter; None if it was never to be updated."""
        found = self._held.get(id(parameter))
        return found[1] if found is not None and found[0]() is parameter else None

    def __getitem__(self, parameter: Tensor) -> Held:
        held = self.get(parameter)
        assert held is not None
        return held

    def add(
        self, tensors: Sequence[Tensor], slots: Sequence[str], numbers: Sequence[str], first: Callable[[str], float]
    ) -> None:
        """Make the slots of those of these parameters that have none, side by side, and note that all go together."""
        tensors = list({id(t): t for t in tensors}.values())
        new = [t for t in tensors if self.get(t) is None]
        group, table = next(self._groups), self._held
        for t, count in zip(new, _numbers(len(new), INT64, 0), strict=True):
            table[id(t)] = weakref.ref(t, _forgetting(table, id(t))), Held({}, {}, count, group)
        for name in slots:  # a setting that was changed may ask for one more
            lacking = [t for t in tensors if name not in self[t].slots]
            for t, place in zip(lacking, windows([self.mine(t) for t in lacking]), strict=True):
                if value := first(name):  # zeros are there already, on pages that nobody touched
                    place.view()[...] = value
                self[t].slots[name] = place
        for name in numbers:
            lacking = [t for t in tensors if name not in self[t].numbers]
            for t, one in zip(lacking, _numbers(len(lacking), FLOAT64, first(name)), strict=True):
                self[t].numbers[name] = one
        self._split([self[t] for t in tensors])

    def _split(self, together: list[Held]) -> None:
        """Give those members of a group that are here without the others a group of their own."""
        here = {id(held) for held in together}
        apart = {held.group for _, held in self._held.values() if id(held) not in here}
        fresh: dict[int, int] = {}
        for held in together:
            if held.group in apart:
                held.group = fresh.setdefault(held.group, next(self._groups))
        self.version += bool(fresh)

    def parts(self, flat: Flat, cuts: frozenset[int] = frozenset()) -> Iterator[Part]:
        """Cut a set of parameters into parts, as few as there can be; those with an id in `cuts` stand alone."""
        tensors = flat.tensors
        held = [self[t] for t in tensors]

        def follows(i: int) -> bool:
            if held[i].group != held[i - 1].group or held[i].count.view()[0] != held[i - 1].count.view()[0]:
                return False
            if (held[i].share is None) != (held[i - 1].share is None):
                return False
            if id(tensors[i]) in cuts or id(tensors[i - 1]) in cuts:
                return False
            like = [(held[i - 1].slots[name].buffer, slot.buffer) for name, slot in held[i].slots.items()]
            room = aligned(self.mine(tensors[i - 1]).nbytes)
            small = [(held[i - 1].count.buffer, held[i].count.buffer)]
            small += [(held[i - 1].numbers[name].buffer, one.buffer) for name, one in held[i].numbers.items()]
            if not _beside(tensors[i - 1].buffer, tensors[i].buffer, aligned(tensors[i - 1].nbytes)):
                return False
            return all(_beside(a, b, room) for a, b in like) and all(_beside(a, b, 8) for a, b in small)

        first = 0
        for i in range(1, len(tensors) + 1):
            if i < len(tensors) and follows(i):
                continue
            whole, inside = slice(first, i), held[first:i]
            yield Part(
                tensors[whole],
                _span([within(t, h.share) for t, h in zip(tensors[whole], inside, strict=True)]),
                _span([within(flat.into[id(t)], h.share) for t, h in zip(tensors[whole], inside, strict=True)]),
                {name: _span([h.slots[name] for h in inside]) for name in inside[0].slots},
                {name: _span([h.numbers[name] for h in inside]) for name in inside[0].numbers},
                _span([h.count for h in inside]),
            )
            first = i

    # Slots of which each process keeps a share

    def piece(self, parameter: Tensor, rank: int) -> tuple[int, int]:
        """Return which elements of a parameter are a process's: those in its part of the memory that many lie in."""
        room, at, ranks = parameter.buffer.root().nbytes, parameter.buffer.offset, self.gang.ranks
        unit = CHUNK_OF_SUMS * parameter.dtype.itemsize  # for one process to know what a norm is made of
        if room < 16 * ranks * unit:  # it would be uneven
            unit = ALIGN
        ends = (unit * (r * -(-room // unit) // ranks) - at for r in (rank, rank + 1))
        first, end = (min(max(end, 0), parameter.nbytes) // parameter.dtype.itemsize for end in ends)
        return first, end

    def mine(self, parameter: Tensor) -> Tensor:
        """Return what of a parameter this process updates."""
        return within(parameter, self[parameter].share)

    def divided(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return those of which each process keeps a share of the slots."""
        return [t for t in tensors if (held := self.get(t)) is not None and held.share is not None]

    def divide(self, tensors: Sequence[Tensor], gang: Any) -> None:
        """Keep this process's share of the slots of these parameters alone."""
        new = [t for t in tensors if self[t].share is None]
        if new and self.gang is None:
            self.gang, self.number = gang, gang.enroll(self)
        for t in new:
            self[t].share, self[t].place = self.piece(t, gang.rank), len(self._order)
            self._order.append(weakref.ref(t))
        gang.newest = self, tensors
        self._move(new, lambda t, slot: within(slot, self[t].share).view())

    def unite(self, tensors: Sequence[Tensor]) -> None:
        """Keep the whole slots of these parameters again; all processes must."""
        cut = self.divided(tensors)
        whole = self.collected(cut) if cut else {}
        for t in cut:
            self[t].share = None
        self._move(cut, lambda t, slot: whole[id(slot)])

    def _move(self, tensors: Sequence[Tensor], value: Callable[[Tensor, Tensor], np.ndarray]) -> None:
        for name in self._names(tensors):
            some = [t for t in tensors if name in self[t].slots]
            for t, place in zip(some, windows([self.mine(t) for t in some]), strict=True):
                place.view()[...] = value(t, self[t].slots[name])
                self[t].slots[name] = place
        self.version += bool(tensors)

    def _names(self, tensors: Sequence[Tensor]) -> list[str]:
        return list(dict.fromkeys(name for t in tensors for name in self[t].slots))

    def whole(self, tensors: Sequence[Tensor]) -> dict[int, np.ndarray]:
        """Return the whole of divided slots, by the id of the share that is here; see Gang.ask."""
        cut = self.divided(tensors)
        if not cut:
            return {}
        self.gang.ask(self)
        return self.collected(cut)

    def collected(self, cut: Sequence[Tensor] = ()) -> dict[int, np.ndarray]:
        """Put whole slots together with all processes, of the parameters that rank 0 says; by the id of the share here.

        None is kept where none was asked for.
        """
        chosen = self.gang.gather(np.array([self[t].place for t in cut], np.int64), SHARES)[0]
        tensors = [t for place in chosen if (t := self._order[place]()) is not None]
        found = {}
        for name in self._names(tensors):
            slots = {id(t): slot for t in tensors if (slot := self[t].slots.get(name)) is not None}
            some = [t for t in tensors if id(t) in slots]
            for t, whole in self._together(some, lambda t: slots[id(t)], SHARES):  # noqa: B023  (called at once)
                if cut:
                    found[id(slots[id(t)])] = whole
        return found

    def tell(self, tensors: Sequence[Tensor]) -> None:
        """Give all processes what each has written to its share of these parameters."""
        for t, whole in self._together(self.divided(tensors), self.mine, "the parameters"):
            t.view()[...] = whole

    def _together(
        self, cut: Sequence[Tensor], mine: Callable[[Tensor], Tensor], what: str
    ) -> Iterator[tuple[Tensor, np.ndarray]]:
        if not cut:
            return
        found = self.gang.gather(np.concatenate([mine(t).view().ravel() for t in cut]), what)
        at = [0] * len(found)
        for t in cut:
            whole = np.empty(t.size, t.dtype)
            for rank, values in enumerate(found):
                first, end = self.piece(t, rank)
                whole[first:end] = values[at[rank] : at[rank] + end - first]
                at[rank] += end - first
            yield t, whole.reshape(t.shape)


def _forgetting(table: dict[int, Any], key: int) -> Callable[[Any], None]:
    return lambda _: table.pop(key, None)


def _numbers(n: int, dtype: np.dtype, value: float) -> list[Tensor]:
    if not n:
        return []
    whole = _core.Buffer.new(8 * n, _core.STATE)
    whole.array(dtype, (n,))[...] = value
    return [Tensor(whole.view(8 * i, 8), (1,), dtype) for i in range(n)]


def _beside(one: _core.Buffer, other: _core.Buffer, room: int) -> bool:
    return other.root() is one.root() and other.offset == one.offset + room


def _span(tensors: Sequence[Tensor]) -> Tensor:
    """Return the memory from the first of these tensors to the end of the last, as one vector."""
    some = [t for t in tensors if t.size] or tensors[:1]
    first, last = some[0].buffer, some[-1].buffer
    nbytes = last.offset + last.nbytes - first.offset
    return Tensor(first.root().view(first.offset, nbytes), (nbytes // tensors[0].dtype.itemsize,), tensors[0].dtype)
