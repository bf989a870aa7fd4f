"""The progress of a training: a bar for people who watch, plain lines for a pipe or a file."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, TextIO

import numpy as np

from pynn.checks import is_integer, of_kind, written
from pynn.train.cell import Cell, bar_class, in_notebook, told
from pynn.train.hooks import Callback, Logs

__all__ = ["ProgressBar", "say"]

BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
COLUMNS = 80  # where nobody says how many there are
BAR_COLUMNS = 44  # of a line that is drawn: the epoch, a bar of ten columns, the time and what is left of it


class ProgressBar(Callback):
    """Show epochs, batches, the loss and the metrics while a model trains.

    Every finished epoch leaves one line. A terminal and a notebook get a tqdm bar below these for the whole training,
    with the values of the epoch under way and the time left. Anything else, such as a pipe, a file or a dumb terminal,
    gets the lines alone and no carriage return. Where someone watches, a line that is too long for the terminal, or for
    80 columns in a notebook, tells the values of validation in brackets. Bars and the lines above them go to stderr, or
    into the output of the notebook's cell; lines alone go to stdout.

    Parameters
    ----------
    verbose : {0, 1, 2}, default 1
        0 shows nothing, 1 a bar where there is someone to see it and else lines, 2 always lines.
    file : text file, optional
        Where to write instead of stderr and stdout.

    Raises
    ------
    ValueError
        If `verbose` is none of these.

    Examples
    --------
    >>> bar = ProgressBar(verbose=2)
    >>> bar.set_params({"epochs": 20})
    >>> bar.on_epoch_begin(2)
    >>> bar.on_epoch_end(2, {"loss": 0.0421, "accuracy": 0.9871})  # doctest: +ELLIPSIS
    epoch  3/20  ... s  loss 0.0421  accuracy 0.9871
    """

    writes = True

    def __init__(self, verbose: int = 1, file: TextIO | None = None) -> None:
        if not isinstance(verbose, bool) and not is_integer(verbose, 0, 2):
            raise ValueError(f"[ProgressBar] expected verbose to be 0, 1 or 2. Received: verbose={written(verbose)}.")
        self.verbose = int(verbose)
        self.file = None if file is None else of_kind("ProgressBar", "file", file, "a text file", "write", "isatty")
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget any earlier training."""
        self.bar: Any = None
        self.cell: Cell | None = None
        self.steps = self.params.get("steps")
        self.epoch_began = 0.0
        self.batches_before = 0
        self.under_way = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the clock, and with the first epoch the bar."""
        before, self.epoch_began = self.epoch_began, time.perf_counter()
        if self.bar is None and self.verbose == 1 and self._watched():
            self.epochs_left = self.params.get("epochs", epoch + 1) - epoch
            stream = self.file or sys.stderr
            if self.file is None and in_notebook():
                self.cell = Cell()
            options = {"desc": self._title(epoch), "unit": "batch", "miniters": 1, "leave": False}
            self.bar = _bar_class(self.cell)(file=stream, **options, **self._total(), **self._width(stream))
        if self.bar is not None:
            self.under_way = True
            self.batches_before = self.bar.n
            self.bar.set_postfix_str("", refresh=False)  # the values of another epoch
            slow = self.epoch_began - before > 0.1  # else the bar was drawn just now, and will be soon
            self.bar.set_description_str(self._title(epoch), refresh=slow)

    def on_progress(self, done: int, total: int | None, logs: Logs | None = None) -> None:
        """Move the bar; tqdm draws at most ten times a second."""
        if self.bar is not None:
            self._show(logs)
            self.bar.update(self.batches_before + done - self.bar.n)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Leave the epoch's line, above the bar if there is one."""
        seconds = time.perf_counter() - self.epoch_began
        self.under_way = False
        if self.bar is None:
            if self.verbose:
                print(_line(self._title(epoch), seconds, logs or {}), file=self.file or sys.stdout, flush=True)
            return
        self._show(logs)
        if self.steps is None:
            self.steps = self.bar.n - self.batches_before or None
            vars(self.bar).update(self._total())
        self.bar.update(self.batches_before + (self.steps or 0) - self.bar.n)
        line = _line(self._title(epoch), seconds, logs or {}, self._columns())
        if self.cell is not None:
            self.cell.add(line)
        else:
            type(self.bar).write(line, file=self.bar.fp)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Take the bar away; that of an epoch in which training ended stays."""
        if self.bar is not None:
            self.bar.leave = self.under_way
            self.bar.close()
            if self.cell is not None:
                self.cell.changing = str(self.bar) if self.under_way else ""
                self.cell.close()
            self.bar = self.cell = None

    def _watched(self) -> bool:
        if self.file is None and in_notebook():
            return True
        stream = self.file or sys.stderr
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"

    def _width(self, stream: TextIO) -> dict[str, Any]:
        """Return tqdm's options: follow the width of a terminal, or take 80x24 where it is not known or is 0."""
        known = self.cell is None and _terminal_columns(stream) is not None
        return {"dynamic_ncols": True} if known else {"ncols": COLUMNS, "nrows": 24}

    def _columns(self) -> int:
        return COLUMNS if self.cell is not None else _terminal_columns(self.bar.fp) or COLUMNS

    def _total(self) -> dict[str, Any]:
        """Return tqdm's options for a known number of batches."""
        return {} if self.steps is None else {"total": self.epochs_left * self.steps, "bar_format": BAR_FORMAT}

    def _show(self, logs: Logs | None) -> None:
        """Put what fits of the epoch's values beside the bar."""
        room, texts = self._columns() - BAR_COLUMNS, list[str]()
        for text in _texts(logs or {}):
            room -= len(text) + 2
            if texts and room < 0:
                break
            texts.append(text)
        self.bar.set_postfix_str("  ".join(texts), refresh=False)

    def _title(self, epoch: int) -> str:
        epochs = self.params.get("epochs")
        return f"epoch {epoch + 1}" if epochs is None else f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}"


def say(text: str) -> None:
    """Print a line to stdout without tearing a bar that is being shown."""
    if told(text):
        return
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(text)
    else:
        print(text)


def _line(title: str, seconds: float, logs: Logs, columns: int | None = None) -> str:
    """Return the line of a finished epoch; one that is too long for the columns is told shorter, or folded."""
    begin = f"{title}  {seconds:.1f} s"
    line = "  ".join([begin, *_texts(logs)])
    if columns is None or len(line) <= columns:
        return line
    lines, indent = [begin], len(title) if columns >= COLUMNS else 0
    texts = _texts(logs, pairs=True)
    if max(map(len, texts), default=0) + indent + 2 > columns:
        texts = _texts(logs)
    for text in texts:
        if len(lines[-1]) + 2 + len(text) > columns:
            lines.append(" " * indent)
        lines[-1] += f"  {text}"
    return "\n".join(lines)


def _texts(logs: Logs, pairs: bool = False) -> list[str]:
    """Return names and values; as pairs, those of validation stand behind the others."""
    plain = {name: _number(value) for name, value in logs.items() if np.ndim(value) == 0}  # no matrices
    if not pairs:
        return [f"{name} {value}" for name, value in plain.items()]
    return [
        f"{name} {value}" + (f" (val {plain[other]})" if (other := f"val_{name}") in plain else "")
        for name, value in plain.items()
        if not (name.startswith("val_") and name.removeprefix("val_") in plain)
    ]


def _number(value: float) -> str:
    plain = value == 0 or 1e-3 <= abs(value) < 1e5
    return f"{value:.4f}" if plain else f"{value:.3e}"


def _terminal_columns(stream: Any) -> int | None:
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


def _bar_class(cell: Cell | None) -> Any:
    """Return tqdm's bar for this place, without its monitor thread, which would not survive a fork."""
    from tqdm import tqdm

    return type("Bar", (tqdm if cell is None else bar_class(tqdm, cell),), {"monitor_interval": 0})
