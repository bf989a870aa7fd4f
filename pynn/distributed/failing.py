"""How a job ends when one rank fails: at once, for all, with a word that names it."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pynn.distributed.waiting import LostRankError

if TYPE_CHECKING:
    from pynn.distributed.gang import Gang

__all__ = ["install", "note_training", "trained"]

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


def _end(gang: Gang, status: int) -> None:
    try:
        gang.abort(status)
    finally:
        os._exit(status)
