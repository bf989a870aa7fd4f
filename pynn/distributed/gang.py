"""The ranks that train together: who they are, and how they tell each other things."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn.distributed.waiting import LostRankError, wait
from pynn.errors import DataError

__all__ = ["Gang", "known", "set_current"]

NUMBERS, ARRAYS = 11, 12  # tags of messages
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
        self.begun = False  # whether anything was trained

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
                "or killed, or its script went another way. help: every rank must make the same calls of fit, "
                "evaluate and predict; start(deadline=...) sets how long one may take."
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
        """Return the numbers of each rank, [ranks, k]; raises DataError, on all ranks, if one is at another place."""
        table = np.zeros((self.ranks, WORDS + MOST), np.int64)
        place, mine = table[:, :WORDS], table[:, WORDS : WORDS + len(numbers)]
        text = what.encode()[: 8 * WORDS]
        place[self.rank].view(np.uint8)[: len(text)] = np.frombuffer(text, np.uint8)
        mine[self.rank] = numbers
        self._all(list(table), NUMBERS, what, seconds)
        odd = next((r for r in range(self.ranks) if (place[r] != place[0]).any()), None)
        if odd is not None:
            there, here = (place[r].tobytes().rstrip(b"\0").decode(errors="replace") for r in (odd, 0))
            raise DataError(
                f"[distributed] expected all ranks at one place. Received: {self.name(odd)} gives {there}, and "
                f"{self.name(0)} {here}. help: every rank must make the same calls of fit, evaluate and predict."
            )
        return mine

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
