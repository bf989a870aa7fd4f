"""Beginning: finding the other ranks, and telling who they are."""

from __future__ import annotations

import faulthandler
import os
import platform
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

import pynn.files
from pynn._version import __version__
from pynn.checks import integer, number
from pynn.core import config
from pynn.core.tensor import tensor
from pynn.distributed import failing
from pynn.distributed.gang import Gang, known, set_current
from pynn.distributed.watching import Meeting

__all__ = ["Info", "start", "told"]

SEGMENTS = 8
DEADLINE = 25.0  # seconds
MOST_TOLD = 16  # ranks that are named at the beginning
BEGINNING = 300.0  # seconds that ranks may begin apart: some machines load Python later than others
# MPICH's waits in MPI_Init and MPI_Finalize let others on; ours sleep.
POLITE = {
    "MPIR_CVAR_POLLS_BEFORE_YIELD": "1",
    "MPIR_CVAR_CH4_PROGRESS_THROTTLE": "true",
    "MPIR_CVAR_CH4_PROGRESS_THROTTLE_NO_PROGRESS_COUNT": "1",
}


@dataclass(frozen=True)
class Info:
    """What :func:`info` tells.

    Attributes
    ----------
    rank, ranks : int
        The number of this process, from 0, and how many there are.
    hosts : tuple of str
        The machine of each.
    pids : tuple of int
        The number of each on its machine.
    threads : int
        Of this process.
    segments : int
        Of a batch.
    """

    rank: int = 0
    ranks: int = 1
    hosts: tuple[str, ...] = ("",)
    pids: tuple[int, ...] = (0,)
    threads: int = 1
    segments: int = 1


def start(segments: int | None = None, *, deadline: float | None = None, beginning: float | None = None,
          threads: int | None = None, quiet: bool = True) -> Info:  # fmt: skip
    """Join the other ranks of a job that mpiexec started; call it at the top of a script.

    From then on fit, evaluate and predict are computed by all ranks together, and every rank must call them alike. Rank
    0 alone shows progress, writes files and calls the callbacks that write. An error of one rank ends all.

    Parameters
    ----------
    segments : int, optional
        Into how many segments a batch is cut, a multiple of the number of ranks. The weights depend on it, and not on
        the number of ranks. By default what ``PYNN_SEGMENTS`` says, or 8.
    deadline : float, optional
        Seconds that a rank may take to answer, before the job is ended. By default what ``PYNN_DEADLINE`` says, or 25.
    beginning : float, optional
        Seconds that ranks may come apart to start() and to a fit(), as one reads its data more slowly than another. By
        default what ``PYNN_BEGINNING`` says, or 300.
    threads : int, optional
        Of each rank; by default its share of the machine's cores, or what ``PYNN_NUM_THREADS`` says.
    quiet : bool, default True
        Whether what other ranks than 0 print is dropped; their errors are not.

    Returns
    -------
    Info

    Raises
    ------
    ImportError
        Without mpi4py, naming the extra.
    RuntimeError
        If it is called twice, or after something was trained.
    ValueError
        If the ranks cannot share the segments equally.

    Examples
    --------
    >>> start(segments=8)  # doctest: +SKIP
    Info(rank=0, ranks=4, hosts=('a', 'a', 'b', 'b'), pids=(71, 72, 90, 91), threads=2, segments=8)
    """
    if known() is not None:
        raise RuntimeError("[distributed] start() was called before. help: call it once, at the top of the script.")
    if failing.trained():
        raise RuntimeError(
            "[distributed] start() was called after something was trained. help: call it at the top of the script."
        )
    segments = integer("distributed", "segments", _default("PYNN_SEGMENTS", segments, SEGMENTS, int), 1)
    deadline = number("distributed", "deadline", _default("PYNN_DEADLINE", deadline, DEADLINE, float), 0, open_low=True)
    beginning = number(
        "distributed", "beginning", _default("PYNN_BEGINNING", beginning, BEGINNING, float), 0, open_low=True
    )
    made = wait_until_all_ranks_have_begun(segments, deadline, beginning)
    failing.install(made)
    meeting = Meeting()
    names = made.tell([platform.node(), os.getpid(), __version__, meeting.address], "its name", beginning)
    made.hosts, made.pids = [one[0] for one in names], [one[1] for one in names]
    failing.watch(made, meeting, [one[3] for one in names])
    if made.segments % made.ranks:
        fitting = made.ranks * max(1, made.segments // made.ranks)
        raise ValueError(
            f"[distributed] expected a number of ranks that divides {made.segments} segments. Received: {made.ranks}. "
            f"help: mpiexec -n with a divisor of {made.segments}, or start(segments={fitting})."
        )
    made.need_same("distributed", _facts(made))
    here = [r for r in range(made.ranks) if made.hosts[r] == made.hosts[made.rank]]
    if threads is not None or not os.environ.get("PYNN_NUM_THREADS"):
        config.set_num_threads(max(1, config.get_num_threads() // len(here)) if threads is None else threads)
    if made.rank:
        pynn.files.set_writing(False)
        if quiet:
            sys.stdout.flush()
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    elif 1 < made.ranks <= MOST_TOLD:  # what mpiexec says of a process that was killed is its pid
        print(f"pynn: {', '.join(map(made.name, range(made.ranks)))}", file=sys.stderr, flush=True)
    set_current(made)
    return told(made)


def _default(name: str, given: Any, otherwise: Any, kind: Any) -> Any:
    if given is not None:
        return given
    text = os.environ.get(name, "")
    try:
        return kind(text) if text else otherwise
    except ValueError:
        raise ValueError(f"[distributed] expected a number in {name}. Received: {text!r}.") from None


def wait_until_all_ranks_have_begun(segments: int, deadline: float, beginning: float) -> Gang:
    """Begin with MPI, which waits for all ranks.

    It waits inside one call that keeps all of Python waiting too, so that its limit can only be one that ends the
    process from outside and says where it was: in the function of this name.
    """
    if sys.__stderr__ is not None:
        faulthandler.dump_traceback_later(beginning, exit=True, file=sys.__stderr__)
    try:
        mpi = _mpi()
        return Gang(mpi.COMM_WORLD.Dup(), mpi, segments, deadline, beginning)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _mpi() -> Any:
    for name, value in POLITE.items():
        os.environ.setdefault(name, value)
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            f"[distributed] training by several processes needs mpi4py and an MPI ({error}). "
            'help: pip install "pynn-dl[mpi]".'
        ) from error
    return MPI


def _facts(gang: Gang) -> dict[str, str]:
    """Return what must be the same on all ranks before anything is computed."""
    found = config.info()
    return {
        "version of pynn": __version__,
        "number of segments": str(gang.segments),
        "rounding of multiply-adds (fused or not)": str(_fuses()),
        "precision": str(config.get_precision()),
        "matrix unit": str(config.matrix_unit()) if config.get_precision() != "highest" else "",
        "byte order": sys.byteorder,
        "kind of processor": str(found.get("machine", platform.machine())) if not _fuses() else "",
    }


def _fuses() -> bool:
    """Tell whether products fuse multiply-adds here: a b + c is then rounded once."""
    tiny = 2.0**-12
    a, b = np.ones((32, 2), "float32"), np.ones((2, 32), "float32")
    a[:, 1] = b[1] = 1 + tiny
    b[0] = -1 - 2 * tiny
    return bool((tensor(a) @ tensor(b)).numpy()[0, 0] != 0)


def told(gang: Gang | None) -> Info:
    """Return who trains together, in numbers and names."""
    if gang is None:
        return Info(hosts=(platform.node(),), pids=(os.getpid(),), threads=config.get_num_threads())
    return Info(gang.rank, gang.ranks, tuple(gang.hosts), tuple(gang.pids), config.get_num_threads(), gang.segments)
