"""What ranks exchange of the gradients of tables, of which few rows are not 0: those rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Few", "Listed", "Rows", "added"]

VALUES = 5  # tag of messages


class Few(NamedTuple):
    """Some rows of a table, in increasing order, and their values; all others are 0."""

    rows: np.ndarray
    values: np.ndarray


def added(a: Few, b: Few) -> Few:
    """Add two, as if they were whole tables: what one has alone is added to 0.

    Examples
    --------
    >>> added(Few(np.array([1, 4]), np.ones((2, 1))), Few(np.array([4]), np.ones((1, 1))))
    Few(rows=array([1, 4]), values=array([[1.],
           [2.]]))
    """
    rows = np.union1d(a.rows, b.rows)
    values, others = (np.zeros((len(rows), a.values.shape[1]), a.values.dtype) for _ in range(2))
    values[np.searchsorted(rows, a.rows)] = a.values
    others[np.searchsorted(rows, b.rows)] = b.values
    values += others
    return Few(rows, values)


class Listed(NamedTuple):
    """A gradient of a table in memory: its values, and the list of its rows."""

    table: np.ndarray
    marked: np.ndarray
    rows: np.ndarray
    length: np.ndarray

    def few(self) -> Few:
        """Return the rows that are listed."""
        rows = np.sort(self.rows[: self.length[0]])
        return Few(rows, self.table[rows])

    def take(self, found: Few) -> None:
        """Hold these rows, and no others."""
        old = self.rows[: self.length[0]]
        self.table[old], self.marked[old] = 0, 0
        self.table[found.rows], self.marked[found.rows] = found.values, 1
        self.rows[: len(found.rows)], self.length[0] = found.rows, len(found.rows)


class Rows:
    """The exchange of one table.

    Parameters
    ----------
    gang : Gang
    own : list of Listed
        The sums that this rank holds.
    total : Listed
        Where the total goes.
    """

    def __init__(self, gang: Any, own: list[Listed], total: Listed):
        self.gang, self.own, self.total = gang, own, total
        self.held: list[Few] = []

    def counts(self) -> list[int]:
        """Return how many rows each sum of this rank has, which others are told first."""
        self.held = [one.few() for one in self.own]
        return [len(few.rows) for few in self.held]

    def send(self, counts: list[list[int]]) -> tuple[dict[int, list[Any]], list[list[Few]]]:
        """Begin to send this rank's rows and to receive the others'; returns the requests, and where rows will be.

        Parameters
        ----------
        counts : list of list of int
            Of each rank, of each of its sums.
        """
        gang, comm, dtype = self.gang, self.gang.comm, self.total.table.dtype
        width = self.total.table.shape[1]
        pending: dict[int, list[Any]] = {r: [] for r in gang.others}
        places = [[Few(np.empty(k, np.int32), np.empty((k, width), dtype)) for k in some] for some in counts]
        places[gang.rank] = self.held
        for r in gang.others:
            pending[r] += [comm.Irecv(part, source=r, tag=VALUES) for part in _parts(places[r])]
        for r in gang.others:
            pending[r] += [comm.Isend(part, dest=r, tag=VALUES) for part in _parts(self.held)]
        return pending, places


def _parts(some: list[Few]) -> list[np.ndarray]:
    return [part.reshape(-1).view(np.uint8) for few in some if len(few.rows) for part in few]
