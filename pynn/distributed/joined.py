"""Who trains together: what everything else asks."""

from __future__ import annotations

import os

from pynn.distributed.gang import Gang, known
from pynn.distributed.starting import Info, start, told

__all__ = ["barrier", "current", "info"]


def current() -> Gang | None:
    """Return the ranks that train together; None where this process is alone.

    With ``PYNN_DISTRIBUTED=mpi`` in the environment, they are started if they have not been.

    Raises
    ------
    ValueError
        If ``PYNN_DISTRIBUTED`` names something else.
    """
    wanted = os.environ.get("PYNN_DISTRIBUTED")
    if wanted and known() is None:
        if wanted != "mpi":
            raise ValueError(f"[distributed] expected PYNN_DISTRIBUTED to be mpi. Received: {wanted!r}.")
        start()
    return known()


def info() -> Info:
    """Return who trains together: ranks, hosts, threads, segments.

    Examples
    --------
    >>> info().ranks
    1
    """
    return told(current())


def barrier() -> None:
    """Wait for the other ranks, for instance until rank 0 has written a file that all read; alone, do nothing."""
    gang = current()
    if gang is not None:
        gang.agree([0], "a barrier")
