"""The progress of a training: a bar for people who watch, plain lines for a pipe or a file."""

from __future__ import annotations

import os
import sys
import time
import warnings
from typing import Any, TextIO

import numpy as np

from pynn.train.hooks import Callback, Logs

__all__ = ["ProgressBar", "say"]

BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


class ProgressBar(Callback):
    """Show epochs, batches, the loss and the metrics while a model trains.

    A terminal and a notebook get one tqdm bar for the whole training, with the time left. Anything else, such as a
    pipe, a file or a dumb terminal, gets one plain line per epoch and no carriage return. Bars go to stderr, lines to
    stdout.

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

    def __init__(self, verbose: int = 1, file: TextIO | None = None) -> None:
        if verbose not in (0, 1, 2):
            raise ValueError(f"[ProgressBar] expected verbose to be 0, 1 or 2. Received: verbose={verbose!r}.")
        self.verbose = int(verbose)
        self.file = file
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget any earlier training."""
        self.bar: Any = None
        self.steps = self.params.get("steps")
        self.epoch_began = 0.0
        self.batches_before = 0
        self.shown: Logs = {}

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the clock, and with the first epoch the bar."""
        self.epoch_began = time.perf_counter()
        if self.bar is None and self.verbose == 1 and self._watched():
            self.epochs_left = self.params.get("epochs", epoch + 1) - epoch
            stream = self.file or sys.stderr
            self.bar = _bar_class()(file=stream, unit="batch", miniters=1, **_width(stream))
            self._set_total()
        if self.bar is not None:
            self.batches_before = self.bar.n
            self.bar.set_description_str(self._title(epoch))

    def on_progress(self, done: int, total: int | None, logs: Logs | None = None) -> None:
        """Move the bar; tqdm draws at most ten times a second."""
        if self.bar is not None:
            self._show(logs)
            self.bar.update(self.batches_before + done - self.bar.n)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Finish the epoch's part of the bar, or print its line."""
        if self.bar is not None:
            self._show(logs)
            if self.steps is None:
                self.steps = self.bar.n - self.batches_before or None
                self._set_total()
            self.bar.update(self.batches_before + (self.steps or 0) - self.bar.n)
            self.bar.refresh()
        elif self.verbose:
            seconds = time.perf_counter() - self.epoch_began
            text = "  ".join([self._title(epoch), f"{seconds:.1f} s", *_texts(logs or {})])
            print(text, file=self.file or sys.stdout, flush=True)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Leave the bar as it stands."""
        if self.bar is not None:
            # A training that was stopped on purpose is complete; a notebook would colour its bar red.
            if getattr(self.model, "stop_training", False):
                self.bar.total = self.bar.n
            self.bar.close()
            self.bar = None

    def _watched(self) -> bool:
        if self.file is None and _in_notebook():
            return True
        stream = self.file or sys.stderr
        return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"

    def _set_total(self) -> None:
        if self.steps is not None:
            self.bar.total = self.epochs_left * self.steps
            self.bar.bar_format = BAR_FORMAT

    def _show(self, logs: Logs | None) -> None:
        # Validation values stay in sight during the next epoch.
        self.shown.update(logs or {})
        self.bar.set_postfix_str("  ".join(_texts(self.shown)), refresh=False)

    def _title(self, epoch: int) -> str:
        epochs = self.params.get("epochs")
        return f"epoch {epoch + 1}" if epochs is None else f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}"


def say(text: str) -> None:
    """Print a line to stdout without tearing a bar that is being shown."""
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(text)
    else:
        print(text)


def _texts(logs: Logs) -> list[str]:
    return [f"{name} {_number(value)}" for name, value in logs.items() if np.ndim(value) == 0]  # no matrices


def _number(value: float) -> str:
    plain = value == 0 or 1e-3 <= abs(value) < 1e5
    return f"{value:.4f}" if plain else f"{value:.3e}"


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def _width(stream: TextIO) -> dict[str, Any]:
    """Return tqdm's options: follow the width of the terminal, or take 80x24 where it is not known or said to be 0."""
    try:
        known = os.get_terminal_size(stream.fileno()).columns > 0
    except (OSError, ValueError, AttributeError):
        known = False
    return {"dynamic_ncols": True} if known or _in_notebook() else {"ncols": 80, "nrows": 24}


def _bar_class() -> Any:
    """Return tqdm's bar for this place, without its monitor thread, which would not survive a fork."""
    if _in_notebook():
        with warnings.catch_warnings():
            # Without ipywidgets tqdm warns and falls back to text, which a notebook shows well.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
    else:
        from tqdm import tqdm
    return type("Bar", (tqdm,), {"monitor_interval": 0})
