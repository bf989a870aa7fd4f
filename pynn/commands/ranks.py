"""Running a recipe by several processes: ``pynn run RECIPE --ranks N``, which calls mpiexec."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["launch", "places_of"]


def launch(arguments: Sequence[str], ranks: int, hostfile: Path | None = None, segments: int | None = None) -> int:
    """Start ``pynn`` with these arguments in so many processes; returns the exit status of mpiexec.

    Raises
    ------
    FileNotFoundError
        If there is no mpiexec, or no such file of hosts.
    ValueError
        If the ranks cannot share the segments equally.
    """
    count = segments or int(os.environ.get("PYNN_SEGMENTS") or 8)
    if count % ranks:
        raise ValueError(
            f"[run] expected a number of ranks that divides {count} segments. Received: --ranks {ranks}. "
            f"help: --segments {ranks * max(1, count // ranks)}."
        )
    if hostfile is not None and not hostfile.is_file():
        raise FileNotFoundError(f"[run] expected a file of hosts, one a line. Received: {str(hostfile)!r}.")
    command = [_mpiexec(), "-n", str(ranks), *(["-hostfile", str(hostfile)] if hostfile is not None else [])]
    environment = {**os.environ, "PYNN_DISTRIBUTED": "mpi", "PYNN_SEGMENTS": str(count)}
    process = subprocess.Popen([*command, sys.executable, "-P", "-m", "pynn", *arguments], env=environment)
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _mpiexec() -> str:
    """Return the mpiexec that belongs to this Python, or that of the system."""
    beside = Path(sys.executable).parent / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise FileNotFoundError('[run] --ranks needs mpiexec. help: pip install "pynn-dl[mpi]".')
    return found


@contextmanager
def places_of(out: Path | None, json: Path | None) -> Iterator[Callable[[], dict[str, Path | None]]]:
    """Give places for results: those asked for on rank 0, and nowhere that lasts on the others, which compute alike."""
    from pynn.distributed.joined import current

    gang = current()
    if gang is None or gang.rank == 0:
        yield lambda: {"out": out, "json": json}
        return
    with tempfile.TemporaryDirectory() as folder:
        yield lambda: {"out": None if out is None else Path(folder) / "out", "json": None}
