"""The ranks that train together: who they are, and how they tell each other things."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pynn.distributed.waiting import LostRankError, wait
from pynn.errors import DataError

__all__ = ["Gang", "known", "set_current"]

NUMBERS, ARRAYS = 11, 12  # tags of messages
SLOTS = "the slots of the optimizer"
SAME_CALLS = "every rank must make the same calls of fit, evaluate, predict and save"
WORDS, MOST = 8, 6  # of 8 bytes: of the text that tells what for, and of numbers

_current: Gang | None = None


class Gang:
    """What :func:`pynn.distributed.start` makes: the ranks of a job.

    Attributes
    ----------
    rank, ranks : int
        The number of this process, from 0, and how many there are.
    hosts : list of str
        The machine of each.
    pids : list of int
        The number of each on its machine.
    segments : int
        Of a batch.
    deadline : float
        Seconds that a rank may take to answer.
    beginning : float
        Seconds that ranks may come apart to a beginning.
    """

    def __init__(self, comm: Any, mpi: Any, segments: int, deadline: float, beginning: float):
        self.comm, self.mpi = comm, mpi
        self.rank, self.ranks = int(comm.Get_rank()), int(comm.Get_size())
        self.segments, self.deadline, self.beginning = segments, deadline, beginning
        self.hosts = [""] * self.ranks
        self.pids = [0] * self.ranks
        self.tables: list[weakref.ref[Any]] = []  # of slots of which each rank keeps a share
        # The last of them that was trained with, and its parameters: a rank whose model is gone, as its script is at
        # the end, may still be asked for its share by rank 0, which saves the model.
        self.newest: tuple[Any, Sequence[Any]] | None = None

    @property
    def others(self) -> list[int]:
        """The numbers of the other ranks, each in an order of its own, so that not all write to the same one."""
        return [(self.rank + k) % self.ranks for k in range(1, self.ranks)]

    def name(self, rank: int) -> str:
        """Return what to call a rank in a message."""
        if not self.pids[rank]:  # it has not said so far
            return f"rank {rank}"
        return f"rank {rank} (host {self.hosts[rank]}, pid {self.pids[rank]})"

    def wait(self, pending: dict[int, list[Any]], what: str, seconds: float | None = None) -> None:
        """Wait for requests; raises LostRankError naming the ranks that did not answer in time."""

        def lost(ranks: list[int], passed: float) -> Exception:
            names = ", ".join(map(self.name, ranks))
            return LostRankError(
                f"[distributed] {self.name(self.rank)} waited {passed:.0f} s for {what} from {names}. It was stopped "
                f"or killed, or its script went another way. help: {SAME_CALLS}; start(deadline=...) sets how long one "
                "may take."
            )

        wait(pending, self.deadline if seconds is None else seconds, lost)

    def gather(self, array: np.ndarray, what: str, seconds: float | None = None) -> list[np.ndarray]:
        """Return the arrays of all ranks, of one dtype and as many axes; their first sizes may differ."""
        array = np.ascontiguousarray(array)
        sizes = self.agree([len(array)], what, seconds)
        found = [np.empty((int(size), *array.shape[1:]), array.dtype) for (size,) in sizes]
        found[self.rank] = array
        self._all(found, ARRAYS, what, seconds)
        return found

    def _all(self, places: Sequence[np.ndarray], tag: int, what: str, seconds: float | None) -> None:
        """Send what is in one's own place to all others, whose own come to theirs."""
        pending: dict[int, list[Any]] = {}
        for other in self.others:
            pending[other] = [self.comm.Irecv(_bytes(places[other]), source=other, tag=tag)]
        for other in self.others:
            pending[other].append(self.comm.Isend(_bytes(places[self.rank]), dest=other, tag=tag))
        self.wait(pending, what, seconds)

    def tell(self, value: Any, what: str, seconds: float | None = None) -> list[Any]:
        """Return what each rank told: texts, numbers, lists and dicts of these."""
        text = np.frombuffer(json.dumps(value).encode(), np.uint8)
        return [json.loads(found.tobytes()) for found in self.gather(text, what, seconds)]

    def agree(self, numbers: Sequence[int], what: str, seconds: float | None = None) -> np.ndarray:
        """Return the numbers of each rank, [ranks, k]; raises DataError, on all ranks, if one is at another place.

        What rank 0 asks for meanwhile, it is given first.
        """
        while True:
            table, places = self._told(numbers, what, seconds)
            if not self._answer(table, places):
                break
        odd = None if places[0] == SLOTS else next((r for r in range(self.ranks) if places[r] != places[0]), None)
        if odd is not None:
            raise DataError(
                f"[distributed] expected all ranks at one place. Received: {self.name(odd)} gives {places[odd]}, and "
                f"{self.name(0)} {places[0]}. help: {SAME_CALLS}."
            )
        return table[:, WORDS : WORDS + len(numbers)]

    def _told(self, numbers: Sequence[int], what: str, seconds: float | None) -> tuple[np.ndarray, list[str]]:
        """Return what each rank told, and where each is."""
        table = np.zeros((self.ranks, WORDS + MOST), np.int64)
        text = what.encode()[: 8 * WORDS]
        table[self.rank, :WORDS].view(np.uint8)[: len(text)] = np.frombuffer(text, np.uint8)
        table[self.rank, WORDS : WORDS + len(numbers)] = numbers
        self._all(list(table), NUMBERS, what, seconds)
        return table, [row[:WORDS].tobytes().rstrip(b"\0").decode(errors="replace") for row in table]

    def _answer(self, table: np.ndarray, places: list[str]) -> bool:
        """Give rank 0 the shares of slots that it asks for alone, as it saves a model; tell whether it did."""
        if places[0] != SLOTS or places[self.rank] == SLOTS:
            return False
        number, changes = table[0, WORDS : WORDS + 2].tolist()
        slots = self.tables[number]() if number < len(self.tables) else None
        if slots is None or slots.changes != changes:
            raise DataError(
                f"[distributed] {self.name(0)} asked for {SLOTS}, which {self.name(self.rank)} has changed since or "
                f"does not have. help: {SAME_CALLS}."
            )
        slots.collected()
        return True

    def enroll(self, slots: Any) -> int:
        """Note a table of slots of which each rank keeps a share; returns its number, the same on all ranks."""
        self.tables.append(weakref.ref(slots))
        return len(self.tables) - 1

    def ask(self, slots: Any) -> None:
        """Ask all ranks for their shares of a table of slots: all together, or rank 0 alone."""
        told = self.agree([slots.number, slots.changes], SLOTS)
        if (told[self.rank] != told[0]).any():
            raise DataError(
                f"[distributed] expected all ranks to ask for the same slots. Received: others on "
                f"{self.name(self.rank)} than on {self.name(0)}. help: {SAME_CALLS}."
            )

    def until_all_end(self) -> Iterator[None]:
        """Wait for the other ranks at the end of the script, giving rank 0 what it asks for; yields between looks."""
        done = self.comm.Ibarrier()
        while not done.Test():
            if self.rank and self.comm.Iprobe(source=0, tag=NUMBERS):
                self._answer(*self._told([], "the end of the script", None))
            yield

    def need_same(self, place: str, facts: dict[str, str], seconds: float | None = None) -> None:
        """Raise DataError, on all ranks, naming the first rank whose facts are not those of rank 0."""
        told = self.tell(facts, f"the facts of {place}", seconds)
        for name in dict.fromkeys(key for one in told for key in one):
            values = [one.get(name, "nothing") for one in told]
            odd = next((r for r, value in enumerate(values) if value != values[0]), None)
            if odd is not None:
                here, there = (str(v)[:80] for v in (values[0], values[odd]))
                raise DataError(
                    f"[{place}] expected the same {name} on all ranks. Received: {there} on {self.name(odd)}, and "
                    f"{here} on {self.name(0)}. help: run one script with one version of pynn and the same data and "
                    "seeds on all ranks."
                )

    def fill(self, room: np.ndarray, n: int, segments: Any) -> None:
        """Write to rows of batches of n what the ranks have that computed them."""
        count = len(room) // n
        batches = room[: count * n].reshape(count, n, *room.shape[1:])
        found = self.gather(batches[:, _slice(segments.rows(n))].reshape(-1), "predictions of the epoch")
        for rank, part in enumerate(found):
            rows = _slice(segments.rows(n, rank))
            batches[:, rows] = part.reshape(batches[:, rows].shape)

    def abort(self, status: int = 1) -> None:
        """End all ranks at once."""
        self.comm.Abort(status)


def _slice(rows: range) -> slice:
    return slice(rows.start, rows.stop)


def _bytes(array: np.ndarray) -> Any:
    return array.reshape(-1).view(np.uint8)


def set_current(gang: Gang | None) -> None:
    """Say which ranks train together."""
    global _current
    _current = gang


def known() -> Gang | None:
    """Return the ranks that train together, if they were started."""
    return _current
