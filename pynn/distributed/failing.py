"""How a job ends when one rank fails: at once, for all, with a word that names it."""

from __future__ import annotations

import atexit
import faulthandler
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pynn.distributed.waiting import LostRankError
from pynn.distributed.watching import Meeting, outlive, stopped
from pynn.errors import DataError

if TYPE_CHECKING:
    from pynn.distributed.gang import Gang

__all__ = ["install", "note_training", "trained", "watch"]

LOOK = 0.05  # seconds between looks, once this rank has nothing more to do
ABORT = 3.0  # seconds that MPI may take to end this process
LAUNCHER = 5.0  # and what launched it

_trained = False


def note_training() -> None:
    """Remember that something was trained: it is too late to start then."""
    global _trained
    _trained = True


def trained() -> bool:
    """Tell whether something was trained."""
    return _trained


def install(gang: Gang) -> None:
    """Let an error that nobody catches, in any thread, end all ranks."""

    def report(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            print(f"pynn: interrupted: {gang.name(gang.rank)}", file=sys.stderr, flush=True)
            _end(gang, 130)
        lost = isinstance(error, LostRankError)  # who is missing counts, and not where the others were
        lines = f"{error}\n" if lost else "".join(traceback.format_exception(kind, error, trace))
        print(
            f"{lines}pynn: {gang.name(gang.rank)} ended with {kind.__name__}; all {gang.ranks} ranks end.",
            file=sys.stderr,
            flush=True,
        )
        _end(gang, 1)

    def of_thread(args: Any) -> None:
        report(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = report
    threading.excepthook = of_thread


def watch(gang: Gang, meeting: Meeting, addresses: Sequence[str]) -> None:
    """Tell at once of a rank of this machine that ends before the job does, and at the end of one that does not."""
    here = {gang.pids[r]: r for r in range(gang.ranks) if gang.hosts[r] == gang.hosts[gang.rank]}
    meeting.begin(addresses[min(here.values())], len(here), gang.name(gang.rank))

    def wait_for_all() -> None:
        try:
            since = time.monotonic()
            for _ in gang.until_all_end():  # without a limit: rank 0 may have results to draw
                time.sleep(LOOK)
                lost = [r for pid, r in here.items() if stopped(pid)]
                if not lost:
                    since = time.monotonic()
                elif time.monotonic() - since > gang.deadline:
                    names = ", ".join(map(gang.name, lost))
                    print(f"pynn: {names} was stopped at the end; all ranks end.", file=sys.stderr, flush=True)
                    _end(gang, 1)
        except (DataError, LostRankError) as error:
            print(error, file=sys.stderr, flush=True)
            _end(gang, 1)
        except RuntimeError:  # of MPI: it has ended already
            pass
        meeting.leave()

    atexit.register(wait_for_all)


def _end(gang: Gang, status: int) -> None:
    """End all ranks, and this one in any case.

    MPI_Abort does not come back where another machine cannot be reached, and keeps all of Python waiting, so that what
    ends the process then is a thread in C.
    """
    faulthandler.dump_traceback_later(ABORT, exit=True, file=os.open(os.devnull, os.O_WRONLY))
    try:
        if len(set(gang.hosts)) > 1:
            outlive(LAUNCHER)
        gang.abort(status)
    finally:
        os._exit(status)
