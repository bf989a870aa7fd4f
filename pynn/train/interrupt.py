"""Ctrl-C at safe places: between steps, never halfway through one or through the writing of the history."""

from __future__ import annotations

import signal
import threading
import weakref
from types import FrameType, TracebackType

__all__ = ["Interrupts"]


class Interrupts:
    """A ``with`` block in which Ctrl-C is noted and raised at the next :meth:`check`; a second one is raised at once.

    Only the main thread receives signals, and a handler that the program has set itself is left alone.
    """

    def __init__(self) -> None:
        self.noted = False
        self._before: object = None

    def __enter__(self) -> Interrupts:
        """Begin to note Ctrl-C."""
        mine = threading.current_thread() is threading.main_thread()
        if mine and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            note = weakref.WeakMethod(self._note)

            def handler(number: int, frame: FrameType | None) -> None:
                # What interrupts __exit__ before its first line leaves this handler behind: it is then the usual one.
                noting = note()
                if noting is None:
                    signal.default_int_handler(number, frame)
                else:
                    noting(number, frame)

            self._before = signal.signal(signal.SIGINT, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give Ctrl-C its usual meaning again."""
        if self._before is not None:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.noted:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # now: __exit__ itself may be what is left
            raise KeyboardInterrupt
        self.noted = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self.noted:
            raise KeyboardInterrupt
