"""What others read while a model trains: lines of JSON, event files of TensorBoard, a curve in a notebook."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from pynn.checks import integer
from pynn.train import events
from pynn.train.history import as_text
from pynn.train.hooks import Callback, Logs
from pynn.train.plot import plot_history

__all__ = ["JSONLogger", "LiveCurve", "TensorBoard"]


class JSONLogger(Callback):
    """Write one line of JSON per epoch, at once: its number from 1, the seconds since the start, and the logs.

    What is not finite is written as null.

    Parameters
    ----------
    path : path-like
        The file, usually ``something.jsonl``.
    append : bool, default False
        Continue a file instead of replacing it; a training that resumes always does.

    Raises
    ------
    OSError
        Before the first epoch, if the file cannot be written.

    Examples
    --------
    >>> logger = JSONLogger("training.jsonl")
    """

    writes = True

    def __init__(self, path: str | PathLike[str], append: bool = False) -> None:
        self.path = path
        self.append = append
        self.file: TextIO | None = None
        self._begun = 0.0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        keep = self.append or bool(self.params.get("resumed"))
        self.file = open(self.path, "a" if keep else "w", encoding="utf-8")  # noqa: SIM115
        self._begun = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the line of an epoch."""
        if self.file is None:
            return
        row = {"epoch": epoch + 1, "seconds": round(time.perf_counter() - self._begun, 6)}
        line = json.dumps({**row, **{name: _finite(value) for name, value in (logs or {}).items()}})
        self.file.write(line + "\n")
        self.file.flush()

    may_end_twice = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()
            self.file = None


def _finite(value: Any) -> Any:
    value = as_text(np.asarray(value)) if np.ndim(value) else float(value)
    return value if not isinstance(value, float) or math.isfinite(value) else None


class TensorBoard(Callback):
    """Write event files for TensorBoard, without it and without TensorFlow: ``tensorboard --logdir logs`` shows them.

    Measures are curves over the epochs, those of validation in a folder of their own beside the training's, so that
    the two lie over each other. The layers are a graph, the settings of the training a text.

    Parameters
    ----------
    log_dir : path-like, default "logs"
        Folder of the run; ``train`` and ``validation`` are made in it.
    histogram_freq : int, default 0
        How many epochs lie between histograms of the weights; 0 writes none.
    write_graph : bool, default True
        Whether the layers of a chain are written as a graph.
    images : callable, optional
        ``images(epoch) -> {name: array}``, [H, W] or [H, W, 3], bytes or numbers from 0 to 1; asked after every epoch.

    Raises
    ------
    OSError
        Before the first epoch, if the folder cannot be written.

    Examples
    --------
    >>> callback = TensorBoard("logs/first", histogram_freq=1)
    """

    writes = True

    def __init__(
        self,
        log_dir: str | PathLike[str] = "logs",
        histogram_freq: int = 0,
        *,
        write_graph: bool = True,
        images: Callable[[int], Mapping[str, Any]] | None = None,
    ) -> None:
        self.log_dir = log_dir
        self.histogram_freq = integer("TensorBoard", "histogram_freq", histogram_freq, 0)
        self.write_graph = write_graph
        self.images = images
        self._files: dict[str, events.EventFile] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file of the training, and write what is trained and how."""
        self._files = {}
        file = self._file("train")
        model = self.model
        layers = getattr(model, "layers", None)
        if self.write_graph and layers:
            names = ["input", *(layer.name for layer in layers)]
            chain = zip(names[1:], layers, names[:-1], strict=True)
            nodes = [("input", "Placeholder", []), *((name, type(one).__name__, [near]) for name, one, near in chain)]
            file.graph(events.graph(nodes))
        told = {"loss": getattr(model.loss, "name", model.loss), "optimizer": model.optimizer, **self.params}
        rows = "\n".join(f"| {name} | {value} |" for name, value in told.items())
        file.summary(0, events.text("settings", f"| name | value |\n|---|---|\n{rows}"))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the measures of an epoch, and histograms and images where they are asked for."""
        parts: dict[str, list[bytes]] = {"train": [], "validation": []}
        for name, value in (logs or {}).items():
            if np.ndim(value) == 0:
                side = "validation" if name.startswith("val_") else "train"
                parts[side].append(events.scalar(name.removeprefix("val_"), float(value)))
        if self.histogram_freq and (epoch + 1) % self.histogram_freq == 0:
            parts["train"] += [events.histogram(name, w.numpy()) for name, w in self.model.named_parameters()]
        if self.images is not None:
            parts["train"] += [events.image(name, x) for name, x in self.images(epoch).items()]
        for side, values in parts.items():
            if values:
                self._file(side).summary(epoch + 1, *values)

    may_end_twice = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the files."""
        while self._files:
            self._files.popitem()[1].close()

    def _file(self, side: str) -> events.EventFile:
        if side not in self._files:
            self._files[side] = events.EventFile(Path(os.fspath(self.log_dir)) / side)
        return self._files[side]


class LiveCurve(Callback):
    """Draw the curves in a notebook while a model trains, anew after every epoch; elsewhere nothing is shown.

    Parameters
    ----------
    every : int, default 1
        How many epochs lie between two drawings.

    Examples
    --------
    >>> callback = LiveCurve(every=5)
    """

    writes = True

    def __init__(self, every: int = 1) -> None:
        self.every = integer("LiveCurve", "every", every, 1)
        self._records: dict[str, list[float]] = {}
        self._shown: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget any earlier training."""
        self._records, self._shown = {}, None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Draw what there is."""
        for name, value in (logs or {}).items():
            if np.ndim(value) == 0:
                self._records.setdefault(name, []).append(float(value))
        if (epoch + 1) % self.every == 0 and self._records:
            self._draw()

    def _draw(self) -> None:
        from pynn.train.cell import in_notebook

        if not in_notebook():
            return
        from IPython.display import display

        figure = plot_history(self._records)
        if self._shown is None:
            self._shown = display(figure, display_id=True)
        else:
            self._shown.update(figure)
