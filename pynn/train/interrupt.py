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
        if mine and _is_usual(signal.getsignal(signal.SIGINT)):
            self._before = signal.signal(signal.SIGINT, _Handler(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give Ctrl-C its usual meaning again."""
        if self._before is not None:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def note(self) -> None:
        """Note Ctrl-C; raise KeyboardInterrupt if it is the second."""
        if self.noted:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt
        self.noted = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self.noted:
            raise KeyboardInterrupt


class _Handler:
    """Notes Ctrl-C for a block while it lives; what interrupts ``__exit__`` before its first line leaves it behind."""

    def __init__(self, block: Interrupts) -> None:
        self.block = weakref.ref(block)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        block = self.block()
        if block is None:
            raise KeyboardInterrupt
        block.note()


def _is_usual(handler: object) -> bool:
    return handler is signal.default_int_handler or (isinstance(handler, _Handler) and handler.block() is None)
