"""What ranks exchange between the gradients and the update of a step.

Every rank holds the sums of its own segments. Each takes over one part of all gradients: it is sent that part of every
sum, and adds them in the one order of all segments. Then it updates these parameters, and sends them to all. So as much
is sent as by a ring, and the order of additions depends on the segments alone. Where all need a total, that is sent
instead; if it is few numbers, all are sent all sums at once, and each rank adds them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from pynn.distributed.rows import Rows, added

__all__ = ["Exchange", "Gathering", "merged"]

T = TypeVar("T")
SMALL = 1 << 16  # bytes that are sent to all at once
LINE = 64  # bytes; parts begin on a cache line
NOTES, PARTS, TOTALS, ROWS = 1, 2, 3, 4  # tags of messages
Sum = tuple[int, int, Any]  # (its number on its level, level, value), of 2**level neighbouring segments


def merged(sums: Iterable[Sum], plus: Callable[[Any, Any], Any]) -> list[Sum]:
    """Add sums up wherever two are neighbours on their level; of None, an empty segment, the other is left.

    Parameters
    ----------
    sums : iterable of (number, level, value)
        From left to right.
    plus : callable (left, right) -> value

    Returns
    -------
    list of (number, level, value)

    Examples
    --------
    >>> merged([(2, 0, "c"), (3, 0, "d"), (4, 0, "e")], lambda a, b: f"({a}+{b})")
    [(1, 1, '(c+d)'), (4, 0, 'e')]
    """
    held: list[Sum] = []
    for number, level, value in sums:
        while number & 1 and held and held[-1][:2] == (number - 1, level):
            _, _, left = held.pop()
            value = value if left is None else left if value is None else plus(left, value)
            number, level = number >> 1, level + 1
        held.append((number, level, value))
    return held


def total_of(sums: Iterable[Sum], plus: Callable[[Any, Any], Any]) -> Any:
    """Return the sum of all, joined as :func:`pynn.ops.segments.in_order` does."""
    held = [value for _, _, value in merged(sums, plus)]
    while len(held) > 1:
        right, left = held.pop(), held.pop()
        held.append(right if left is None else left if right is None else plus(left, right))
    return held[0]


def _add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.add(a, b, out=a)


class Exchange:
    """The exchange of steps on batches of one size.

    Parameters
    ----------
    gang : Gang
    sums : list of list of Sum
        Of each rank, the sums that it holds, with True where there is one and None where all its segments are empty.
    nodes : list of ndarray
        Where this rank holds its own, in order; the first is where the total goes.
    states : list of ndarray
        The same of states that the forward pass writes to; empty if there are none.
    notes : ndarray, float64 [segments, columns]
    mine : range
        The rows of the notes that this rank writes.
    total, total_states : ndarray
        Where the sums of all go.
    ranges : list of (first, end)
        What of the nodes is added up for all.
    owned : list of list of (first, end)
        Of each rank, what of the nodes is added up for it.
    told : list of list of (first, end)
        What of these sums all are told.
    tables : list of Rows
        What is exchanged by row.
    """

    def __init__(
        self, gang: Any, sums: Sequence[Sequence[Sum]], nodes: list[np.ndarray], states: list[np.ndarray],
        notes: np.ndarray, mine: range, total: np.ndarray, total_states: np.ndarray | None,
        ranges: Sequence[tuple[int, int]], owned: Sequence[Sequence[tuple[int, int]]],
        told: Sequence[Sequence[tuple[int, int]]], tables: Sequence[Rows],
    ):  # fmt: skip
        self.gang, self.sums, self.nodes, self.states = gang, sums, nodes, states
        self.notes, self.mine = notes, mine
        self.total, self.total_states = total, total_states
        self.counts = [sum(value is not None for _, _, value in held) for held in sums]
        self.tables = tables
        size = sum(end - first for first, end in ranges)
        ranks, item = gang.ranks, total.itemsize
        line = LINE // item
        blocks = -(-size // line)
        cuts = [min(size, line * (r * blocks // ranks)) for r in range(ranks + 1)]
        shared = [_within(ranges, cuts[r], cuts[r + 1]) for r in range(ranks)]
        own, self.told = ([[slice(*one) for one in some] for some in given] for given in (owned, told))
        if ranks == 2 or size * item <= SMALL:
            shared = [_within(ranges, 0, size)] * ranks
        else:
            self.told = [a + b for a, b in zip(shared, self.told, strict=True)]
        self.places = [a + b for a, b in zip(shared, own, strict=True)]  # of each rank, what it adds up
        width = 0 if total_states is None else total_states.size
        noted = len(mine) * notes.shape[1]
        # Of each rank: its notes, its states, and of each table how many rows each of its sums has.
        self.small = [np.zeros(8 * noted + (item * width + 8 * len(tables)) * count, np.uint8) for count in self.counts]
        self._split = 8 * noted
        ends = list(itertools.accumulate((p.stop - p.start for p in self.places[gang.rank]), initial=0))
        self.at = list(map(slice, ends, ends[1:]))  # where the parts hold these places
        self.parts = [
            np.empty((0 if r == gang.rank else count, ends[-1]), total.dtype) for r, count in enumerate(self.counts)
        ]
        self.scratch = np.empty((self.counts[gang.rank], ends[-1]), total.dtype)
        self._requests = self._made()

    def _made(self) -> tuple[dict[int, list[Any]], ...]:
        """Make the requests, once: to receive and to send, in two rounds."""
        gang, comm, total = self.gang, self.gang.comm, self.total
        first: dict[int, list[Any]] = {r: [] for r in gang.others}
        second: dict[int, list[Any]] = {r: [] for r in gang.others}
        for r in gang.others:
            if self.small[r].size:
                first[r].append(comm.Recv_init(self.small[r], source=r, tag=NOTES))
            first[r] += [
                comm.Recv_init(_bytes(part[at]), source=r, tag=PARTS) for part in self.parts[r] for at in self.at
            ]
            second[r] += [comm.Recv_init(_bytes(total[place]), source=r, tag=TOTALS) for place in self.told[r]]
        for r in gang.others:
            if self.small[gang.rank].size:
                first[r].append(comm.Send_init(self.small[gang.rank], dest=r, tag=NOTES))
            for node in self.nodes:
                first[r] += [comm.Send_init(_bytes(node[place]), dest=r, tag=PARTS) for place in self.places[r]]
            second[r] += [comm.Send_init(_bytes(total[place]), dest=r, tag=TOTALS) for place in self.told[gang.rank]]
        return first, second

    def __call__(self) -> None:
        """Exchange what this rank holds: afterwards total, states and notes are those of all ranks."""
        gang, me = self.gang, self.gang.rank
        own, columns = self.small[me], self.notes.shape[1]
        own[: self._split] = self.notes[self.mine.start : self.mine.stop].reshape(-1).view(np.uint8)
        at = self._split
        for state in self.states:
            own[at : at + state.nbytes] = state.view(np.uint8)
            at += state.nbytes
        own[at:] = np.array([table.counts() for table in self.tables], np.int64).reshape(-1).view(np.uint8)
        first, second = self._requests
        self._round(first, "the gradients of a step")
        for r in gang.others:
            start = r * len(self.mine)
            found = self.small[r][: self._split].view(np.float64).reshape(-1, columns)
            self.notes[start : start + len(self.mine)] = found
        self._add_parts()
        if self.total_states is not None:
            self._add_states()
        if any(self.told):
            self._round(second, "the sums of the gradients of a step")
        if self.tables:
            self._add_rows()

    def _round(self, requests: dict[int, list[Any]], what: str) -> None:
        for some in requests.values():
            for request in some:
                request.Start()
        self.gang.wait(requests, what)

    def _add_parts(self) -> None:
        """Add up this rank's part; those of others are no longer needed, its own nodes are still being sent."""
        me, places = self.gang.rank, list(self.parts)
        mine = list(zip(self.at, self.places[me], strict=True))
        for to, node in zip(self.scratch, self.nodes, strict=True):
            for at, place in mine:
                to[at] = node[place]
        places[me] = self.scratch
        found = total_of(self._placed(places), _add)
        for at, place in mine:
            self.total[place] = found[at]

    def _add_rows(self) -> None:
        """Exchange the rows of all tables and add them up, on every rank."""
        counts: list[list[list[int]]] = []
        pending: dict[int, list[Any]] = {r: [] for r in self.gang.others}
        places = []
        for r, count in enumerate(self.counts):
            told = self.small[r][self.small[r].size - 8 * len(self.tables) * count :].tobytes()
            counts.append(np.frombuffer(told, np.int64).reshape(len(self.tables), count).tolist())
        for k, table in enumerate(self.tables):
            requests, found = table.send([some[k] for some in counts])
            places.append(found)
            for r, some in requests.items():
                pending[r] += some
        self.gang.wait(pending, "the rows of the gradients of tables")
        for table, found in zip(self.tables, places, strict=True):
            table.total.take(total_of(self._placed(found), added))

    def _add_states(self) -> None:
        me, width = self.gang.rank, self.total_states.size if self.total_states is not None else 0
        places = []
        for r, count in enumerate(self.counts):
            end = self._split + count * width * self.total.itemsize
            found = self.small[r][self._split : end].view(self.total.dtype).reshape(count, width)
            places.append(found.copy() if r == me else found)
        self.total_states[...] = total_of(self._placed(places), _add)  # type: ignore[index]

    def _placed(self, places: Sequence[Any]) -> Iterable[Sum]:
        for held, rows in zip(self.sums, places, strict=True):
            left = iter(rows)
            for number, level, value in held:
                yield number, level, None if value is None else next(left)


class Gathering:
    """Numbers, of which each rank has its own, and afterwards all.

    Parameters
    ----------
    gang : Gang
    places : list of list of ndarray
        Where those of each rank are.
    what : str
        They are called in messages.
    """

    def __init__(self, gang: Any, places: Sequence[Sequence[np.ndarray]], what: str):
        self.gang, self.what = gang, what
        self.requests = {
            r: [gang.comm.Recv_init(_bytes(place), source=r, tag=ROWS) for place in places[r]]
            + [gang.comm.Send_init(_bytes(place), dest=r, tag=ROWS) for place in places[gang.rank]]
            for r in gang.others
        }

    def __call__(self) -> None:
        """Exchange them."""
        for some in self.requests.values():
            for request in some:
                request.Start()
        self.gang.wait(self.requests, self.what)


def _within(ranges: Sequence[tuple[int, int]], low: int, high: int) -> list[slice]:
    """Return where numbers low ... high - 1 of the ranges lie."""
    found, before = [], 0
    for first, end in ranges:
        a, b = max(low, before), min(high, before + end - first)
        if a < b:
            found.append(slice(first + a - before, first + b - before))
        before += end - first
    return found


def _bytes(array: np.ndarray) -> Any:
    return array.reshape(-1).view(np.uint8)
