"""What an optimizer keeps of every parameter, wherever the sets of parameters go that it is trained with."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from pynn.core import _core
from pynn.core.flat import Flat, aligned, windows
from pynn.core.tensor import Tensor

__all__ = ["Held", "Part", "Table"]

INT64, FLOAT64 = np.dtype("int64"), np.dtype("float64")


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
    """

    __slots__ = ("count", "group", "numbers", "slots")

    def __init__(self, slots: dict[str, Tensor], numbers: dict[str, Tensor], count: Tensor, group: int):
        self.slots, self.numbers, self.count, self.group = slots, numbers, count, group

    def named(self) -> dict[str, Tensor]:
        """Return slots and numbers by name, and the count as ``step``."""
        return {**self.slots, **self.numbers, "step": self.count}


class Part(NamedTuple):
    """Parameters that one instruction updates: they lie side by side and were updated equally often.

    Attributes
    ----------
    tensors : sequence of Tensor
    param, grad : Tensor [n]
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
            for t, place in zip(lacking, windows(lacking), strict=True):
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
            if id(tensors[i]) in cuts or id(tensors[i - 1]) in cuts:
                return False
            room = aligned(tensors[i - 1].nbytes)
            like = [(tensors[i - 1].buffer, tensors[i].buffer)]
            like += [(held[i - 1].slots[name].buffer, slot.buffer) for name, slot in held[i].slots.items()]
            small = [(held[i - 1].count.buffer, held[i].count.buffer)]
            small += [(held[i - 1].numbers[name].buffer, one.buffer) for name, one in held[i].numbers.items()]
            return all(_beside(a, b, room) for a, b in like) and all(_beside(a, b, 8) for a, b in small)

        first = 0
        for i in range(1, len(tensors) + 1):
            if i < len(tensors) and follows(i):
                continue
            whole, inside = slice(first, i), held[first:i]
            yield Part(
                tensors[whole],
                _span(tensors[whole]),
                _span([flat.into[id(t)] for t in tensors[whole]]),
                {name: _span([h.slots[name] for h in inside]) for name in inside[0].slots},
                {name: _span([h.numbers[name] for h in inside]) for name in inside[0].numbers},
                _span([h.count for h in inside]),
            )
            first = i


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
    first, last = tensors[0].buffer, tensors[-1].buffer
    nbytes = last.offset + last.nbytes - first.offset
    return Tensor(first.root().view(first.offset, nbytes), (nbytes // tensors[0].dtype.itemsize,), tensors[0].dtype)
