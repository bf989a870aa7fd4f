"""The output of a notebook's cell in which a training shows its progress: one display that is written anew."""

from __future__ import annotations

import io
import sys
import time
import uuid
from typing import Any

__all__ = ["Cell", "bar_class", "in_notebook", "told"]

SECONDS = 0.1  # between two updates; more for long texts, which are sent whole
LINES_PER_SECOND = 5000

_open: list[Cell] = []


def in_notebook() -> bool:
    """Tell whether this is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def told(text: str) -> bool:
    """Add a line to the training that shows itself in a cell now; returns whether there is one."""
    if _open:
        _open[-1].add(text)
    return bool(_open)


class Cell:
    """Lines that stay, and below them one that changes; what a saved or exported notebook keeps is the last state.

    A display of plain text and no stream: streams keep what a carriage return wrote over, and those of stderr are red.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.changing = ""
        self._id = uuid.uuid4().hex
        self._shown: str | None = None
        self._time = 0.0
        _open.append(self)

    def add(self, line: str) -> None:
        """Add a line that stays."""
        self.lines.append(line)
        self.show()

    def change(self, text: str) -> None:
        """Write the last line anew."""
        self.changing = text
        self.show()

    def show(self, now: bool = False) -> None:
        """Send the text, unless that was done a moment ago."""
        from IPython import display

        if not now and time.monotonic() - self._time < max(SECONDS, len(self.lines) / LINES_PER_SECOND):
            return
        text = "\n".join([*self.lines, self.changing] if self.changing else self.lines)
        if text != self._shown:
            send = display.display if self._shown is None else display.update_display
            send({"text/plain": text}, raw=True, display_id=self._id)
            self._shown = text
        self._time = time.monotonic()

    def close(self) -> None:
        """Show the end."""
        if self in _open:
            _open.remove(self)
        self.show(now=True)


def bar_class(base: Any, cell: Cell) -> Any:
    """Return a class of tqdm bars that write themselves into a cell."""

    class InCell(base):
        def __init__(self, **options: Any) -> None:
            super().__init__(**{**options, "file": io.StringIO(), "ascii": False})

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            cell.change(str(self) if msg is None else msg)

        def clear(self, nolock: bool = False) -> None:
            pass

    return InCell
