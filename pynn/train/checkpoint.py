"""The callback that writes checkpoints: the last k, and the best."""

from __future__ import annotations

import contextlib
import math
import os
import time
from pathlib import Path
from typing import Any

from pynn.checks import integer, number
from pynn.io.model_file import refuse_name
from pynn.train.hooks import Logs, a_count_or_none
from pynn.train.monitor import Monitor
from pynn.train.resume import CHECKPOINT, SafePoint

__all__ = ["ModelCheckpoint"]

FILES = (".keras", ".pynn", ".safetensors")  # endings of names that are those of one file


class ModelCheckpoint(Monitor):
    """Write checkpoints while training, from which ``fit(..., resume=folder)`` goes on to the same bits.

    The folder gets ``step-0000001234.pynn`` after update 1234, of which the newest are kept, and ``best.pynn`` after
    the best epoch so far. Each is a model file too, for :func:`pynn.load`, and replaces an old one in one go: a crash,
    even a power cut, leaves the old file or the new one. A name that ends in ``.pynn``, ``.keras`` or ``.safetensors``
    is that of one file instead of a folder, which holds the best epoch, or without `monitor` the last one.

    Parameters
    ----------
    folder : path-like
        Made if need be. Or a file, ``"best.keras"``; in ``"{epoch:02d}-{val_loss:.3f}.keras"`` the epoch, counted from
        1, and what is logged have their places: then every epoch has its file.
    monitor : str or None, default None
        Keep the best epoch by this value of the logs, for instance ``"val_loss"``.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; "auto" knows the losses and the metrics by name.
    save_best_only : bool, default False
        Keep the best epoch alone, by "val_loss" if `monitor` does not say otherwise.
    keep_last : int, default 1
        How many of the newest to keep; 0 keeps the best alone.
    every_epochs : int, optional
        When to write; whichever comes first, if several are given. By default after every epoch. The last epoch of a
        training is always written.
    every_batches : int, optional
        As every_epochs.
    every_seconds : float, optional
        As every_epochs.
    overwrite : bool, default False
        Remove the checkpoints of another training that are in the folder, instead of raising an error. One file is
        always replaced.
    verbose : int, default 0
        1 prints a line for every file.

    Attributes
    ----------
    best, best_epoch
        The best value and its epoch.

    Raises
    ------
    ValueError
        If a parameter is out of range, if the value is not logged (the message names what is), or if the name is that
        of a file of another format.
    OSError
        If the folder or a file cannot be written: it ends training, and the files before it stay whole.
    FileExistsError
        If the folder has checkpoints and training does not resume from one.

    Examples
    --------
    >>> import numpy as np, pynn, tempfile
    >>> model = pynn.nn.Sequential([pynn.nn.Input((4,)), pynn.nn.Dense(2)])
    >>> model.compile("adam", "mse")
    >>> x, y = np.ones((64, 4), "float32"), np.ones((64, 2), "float32")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = model.fit(x, y, epochs=2, verbose=0, callbacks=[ModelCheckpoint(folder, monitor="loss")])
    ...     print(sorted(os.listdir(folder)))
    ...     print(model.fit(x, y, epochs=5, verbose=0, resume=folder).epoch)
    ['best.pynn', 'step-0000000004.pynn']
    [0, 1, 2, 3, 4]
    """

    state_names = ("best", "best_epoch")
    writes = True
    state_kinds = Monitor.state_kinds | {"best_epoch": a_count_or_none}

    def __init__(
        self,
        folder: str | os.PathLike[str],
        monitor: str | None = None,
        *,
        mode: str = "auto",
        save_best_only: bool = False,
        keep_last: int = 1,
        every_epochs: int | None = None,
        every_batches: int | None = None,
        every_seconds: float | None = None,
        overwrite: bool = False,
        verbose: int = 0,
    ) -> None:
        if save_best_only:
            monitor, keep_last = "val_loss" if monitor is None else monitor, 0
        super().__init__("loss" if monitor is None else monitor, 0.0, 0, mode, verbose)
        place = type(self).__name__
        if every_epochs is not None:
            every_epochs = integer(place, "every_epochs", every_epochs, 1)
        if every_batches is not None:
            every_batches = integer(place, "every_batches", every_batches, 1)
        keep_last = integer(place, "keep_last", keep_last)
        if every_seconds is not None:
            every_seconds = number(place, "every_seconds", every_seconds, 0)
        self.require(keep_last > 0 or monitor is not None, "keep_last > 0 or a monitor", keep_last=keep_last)
        refuse_name(place, folder)
        given = Path(folder)
        # One file, whose name may have places for the epoch and what is logged; else None.
        self.file = given if given.suffix in FILES and not given.is_dir() else None
        self.folder = given if self.file is None else given.parent
        self.keep_best = monitor is not None
        self.keep_last = keep_last
        none_given = every_epochs is None and every_batches is None and every_seconds is None
        self.every_epochs = 1 if none_given else every_epochs
        self.every_batches, self.every_seconds = every_batches, every_seconds
        self.overwrite = overwrite
        self.best_epoch: int | None = None
        self.best = -self.sign * math.inf

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Make the folder, and complain before the first step of whatever would fail later."""
        from pynn.files import sweep
        from pynn.io.model_file import contents

        self.best, self.best_epoch = -self.sign * math.inf, None
        if self.keep_best and "metrics" in self.params:
            self.check(self.params["metrics"])
        contents(self.model)  # whether a file can hold the model
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep(self.folder)
        if self.file is not None:
            logs = dict.fromkeys(self.params.get("metrics", ()), 0.0)
            self._name(self.file, 0, logs)
        there = self._written() if self.file is None else []
        if there and not self.params.get("resumed"):
            if not self.overwrite:
                raise FileExistsError(
                    f"[ModelCheckpoint] {str(self.folder)!r} has checkpoints already. "
                    f"help: fit(..., resume={str(self.folder)!r}) goes on from them; overwrite=True begins anew."
                )
            for path in [*there, self.folder / "best.pynn"]:
                path.unlink(missing_ok=True)
        self._last_step = int(self.model._trainer.slots.step.view()[0])
        self._last_time = time.monotonic()

    def steps_to_safe_point(self, step: int) -> int | None:
        """Return after how many more updates a checkpoint is due, None if that does not depend on updates."""
        return None if self.every_batches is None else self.every_batches - step % self.every_batches

    def on_safe_point(self, point: SafePoint) -> None:
        """Write what is due."""
        if point.logs is not None and self.keep_best:
            value = self.read(point.logs)
            if self.better(value, self.best):
                self.best, self.best_epoch = value, point.epoch - 1
                best = self.folder / "best.pynn"
                if self.file is not None:
                    best = self._name(self.file, point.epoch, point.logs)
                self._write(point, best, f"{self.monitor} {value:.6g}")
        if self.file is not None and self.keep_best:
            return
        if self.keep_last and self._due(point):
            self._last_step, self._last_time = point.step, time.monotonic()
            if self.file is not None:
                logs = point.logs or dict.fromkeys(self.params.get("metrics", ()), math.nan)
                name = self._name(self.file, point.epoch + (point.logs is None), logs)
                self._write(point, name, f"batch {point.batch}")
                return
            self._write(point, self.folder / f"step-{point.step:010d}.pynn", f"batch {point.batch}")
            earlier = [path for path in self._written() if _number(path) <= point.step]
            for path in earlier[: -self.keep_last]:
                with contextlib.suppress(OSError):  # somebody else removed it
                    path.unlink()

    def _due(self, point: SafePoint) -> bool:
        if point.logs is not None and (point.last or (self.every_epochs and point.epoch % self.every_epochs == 0)):
            return True
        if self.every_batches and point.step // self.every_batches > self._last_step // self.every_batches:
            return True
        return self.every_seconds is not None and time.monotonic() - self._last_time >= self.every_seconds

    def _name(self, file: Path, epoch: int, logs: Logs) -> Path:
        """Return the file of an epoch, counted from 1."""
        try:
            return file.with_name(file.name.format(epoch=epoch, **logs))
        except (KeyError, IndexError, ValueError) as error:
            known = ", ".join(["epoch", *logs])
            raise ValueError(
                f"[ModelCheckpoint] expected a name with places for {known}. Received: {file.name!r} ({error!r})."
            ) from None

    def _write(self, point: SafePoint, path: Path, why: str) -> None:
        point.write(path)
        self.say(point.epoch - (point.logs is not None), f"wrote {path.name} ({why})")

    def _written(self) -> list[Path]:
        """Return the checkpoints in the folder but the best, oldest first."""
        return sorted((path for path in self.folder.iterdir() if CHECKPOINT.fullmatch(path.name)), key=_number)


def _number(path: Path) -> int:
    match: Any = CHECKPOINT.fullmatch(path.name)
    return int(match[1])
