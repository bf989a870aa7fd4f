"""Places where Python looks for signals, counted, and what happens at one of them: Ctrl-C, or an error.

Python looks at the beginning of a function, after a call has returned, and where a loop goes back. Nowhere else can
Ctrl-C arrive; what is compiled is one step.
"""

from __future__ import annotations

import dis
import functools
import inspect
import signal
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

__all__ = ["Points", "interrupt"]

LOOKS = ("RESUME", "CALL", "JUMP_BACKWARD", "POP_JUMP_BACKWARD")


def interrupt() -> None:
    """Send this process the signal of Ctrl-C; its handler runs before this returns."""
    signal.raise_signal(signal.SIGINT)


@functools.cache
def _looks(code: CodeType) -> dict[int, tuple[bool, tuple[int, ...]]]:
    """Return by offset whether Python looks for signals after an instruction, and the handlers of its errors."""
    table = dis._parse_exception_table(code)  # type: ignore[attr-defined]
    return {
        i.offset: (
            i.opname.startswith(LOOKS),
            tuple(entry.target for entry in table if entry.start <= i.offset < entry.end),
        )
        for i in dis.get_instructions(code)
    }


class Points:
    """Inside a ``with`` block, act at place number `at`, and again `gap` places later.

    Parameters
    ----------
    at : int
        Counted from 1; 0 counts alone.
    act : callable ()
        What happens there; it may raise.
    gap : int, default 0
        0 is once. Where the first act raised, the places of the second are beginnings of functions and ends of calls of
        what is compiled.

    Attributes
    ----------
    count : int
        The places so far.
    where : list of str
        The places where it acted, innermost function first.
    """

    def __init__(self, at: int = 0, act: Callable[[], None] = interrupt, gap: int = 0):
        self.at, self.act, self.gap = at, act, gap
        self.count = 0
        self.where: list[str] = []

    def __enter__(self) -> Points:
        """Begin to count."""
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        """Let everything run as it does."""
        sys.settrace(None)
        sys.setprofile(None)

    def _reached(self, frame: FrameType) -> None:
        self.count += 1
        if self.count != self.at:
            return
        self.where.append(_shown(frame))
        self.at = self.count + self.gap if self.gap and len(self.where) == 1 else 0
        try:
            self.act()
        except BaseException:  # Python stops tracing now
            if self.at:
                sys.setprofile(self._profiled)
            raise

    def _called(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code is Points.__exit__.__code__:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        looks, nothing = _looks(frame.f_code), (False, ())
        last = nothing

        def step(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            if event == "opcode":
                looked, last = last, looks.get(frame.f_lasti, nothing)
                # The error is one of the instruction that looks, and this is the next. Where another handler waits for
                # those of the next, as at the end of a with block, a trace function cannot stand for it.
                if looked[0] and looked[1] == last[1]:
                    self._reached(frame)
            return step

        return step

    def _profiled(self, frame: FrameType, event: str, argument: Any) -> None:
        # An error that is thrown into a generator is a call here, and no place.
        begins = event == "call" and not frame.f_code.co_flags & inspect.CO_GENERATOR
        if (begins or event == "c_return") and frame.f_code is not Points.__exit__.__code__:
            self._reached(frame)


def _shown(frame: FrameType | None) -> str:
    """Return the innermost places of a stack, this program's own left out."""
    shown = []
    while frame is not None and len(shown) < 6:
        name = frame.f_code.co_filename
        if name == __file__:
            break
        shown.append(f"{'/'.join(name.split('/')[-3:])}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(shown)
