"""The callbacks that come with the library, and the list that `fit` calls them through."""

from __future__ import annotations

import csv
import inspect
import math
import os
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from typing import Any, TextIO

from pynn.checks import is_number, written
from pynn.core.flat import STEPS_PER_CALL
from pynn.errors import DataError
from pynn.files import as_csv, write_whole, writing
from pynn.train.checkpoint import ModelCheckpoint
from pynn.train.history import History, as_text
from pynn.train.hooks import BATCH_HOOKS, HOOKS, Callback, LambdaCallback, Logs, overrides
from pynn.train.monitor import EarlyStopping, ReduceLROnPlateau, require_fixed_rate
from pynn.train.network import Followed
from pynn.train.progress import ProgressBar, say

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgressBar",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]


class LearningRateScheduler(Callback):
    """Set the learning rate before every epoch with a function of your own, and add it to the logs.

    To change it at every step, give the optimizer one of `pynn.schedules` instead.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, lr) -> lr``, with the epoch counted from 0 and the learning rate so far, or
        ``schedule(epoch) -> lr``.

    Raises
    ------
    ValueError
        If the function returns anything but a finite number >= 0.

    Examples
    --------
    >>> scheduler = LearningRateScheduler(lambda epoch, lr: lr if epoch < 10 else lr * 0.9)
    """

    def __init__(self, schedule: Callable[[int, float], float] | Callable[[int], float]) -> None:
        if not callable(schedule):
            raise TypeError(
                f"[LearningRateScheduler] expected a function (epoch, lr) -> lr. Received: {written(schedule)}."
            )
        self.schedule: Callable[..., float] = schedule
        self._both = _takes_two(schedule)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Complain before the first epoch if the learning rate cannot be set."""
        require_fixed_rate(self.model)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the learning rate."""
        so_far = float(self.model.optimizer.learning_rate)
        rate: Any = self.schedule(epoch, so_far) if self._both else self.schedule(epoch)
        if not is_number(rate) or rate < 0:
            raise ValueError(
                f"[LearningRateScheduler] expected the function to return a finite number >= 0 for epoch {epoch}. "
                f"Received: {written(rate)}."
            )
        self.model.optimizer.learning_rate = float(rate)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the learning rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_two(schedule: Callable[..., Any]) -> bool:
    """Tell whether a function is to be given the epoch and the rate, or the epoch alone.

    Raises
    ------
    TypeError
        If it takes neither.
    """
    try:
        signature = inspect.signature(schedule)
    except (TypeError, ValueError):  # a function of C that tells nothing
        return True
    for arguments in ((0, 0.1), (0,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) == 2
    raise TypeError(
        "[LearningRateScheduler] expected a function (epoch, lr) -> lr, or (epoch) -> lr. "
        f"Received: {written(schedule)}, which takes {signature}."
    )


class CSVLogger(Callback):
    """Write one row per epoch to a CSV file, at once, so that the file is complete up to the last epoch.

    The columns are ``epoch``, counted from 1 as on the screen, and the names in the logs of the first epoch; a value
    that is missing later is written as ``NA``. Numbers have all their digits.

    Parameters
    ----------
    path : path-like
        The file.
    separator : str, default ","
        One character between values.
    append : bool, default False
        Continue a file instead of replacing it; its header is kept.

    Raises
    ------
    DataError
        Before the first epoch, if the file that is to be continued is no table in UTF-8.
    OSError
        Before the first epoch, if the file cannot be written.

    Examples
    --------
    >>> logger = CSVLogger("training.csv", append=True)
    """

    def __init__(self, path: str | PathLike[str], separator: str = ",", append: bool = False) -> None:
        if len(separator) != 1:
            raise ValueError(f"[CSVLogger] expected separator to be one character. Received: {written(separator)}.")
        self.path = path
        self.separator = separator
        self.append = append
        self.file: TextIO | None = None
        self.columns: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        self.columns = None
        keep = self.append
        if self.params.get("resumed") and os.path.exists(self.path):
            self._drop_from(self.params["initial_epoch"])
            keep = True
        if keep and os.path.exists(self.path):
            self.columns = next(self._rows(), None)
        self.file = open(self.path, "a" if keep else "w", newline="", encoding="utf-8")  # noqa: SIM115

    def _rows(self) -> Iterator[list[str]]:
        """Yield the rows that are in the file."""
        try:
            with open(self.path, newline="", encoding="utf-8") as file:
                yield from csv.reader(file, delimiter=self.separator)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(
                f"[CSVLogger] expected a table in UTF-8 to go on with. Received: {os.fspath(self.path)!r}: {error}. "
                "help: give another path, or remove the file."
            ) from error

    def _drop_from(self, epoch: int) -> None:
        """Take out the rows of epochs that were trained after the checkpoint, and will be again."""
        header, *rows = list(self._rows()) or [[]]
        at = header.index("epoch") if "epoch" in header else 0
        while rows and not (len(rows[-1]) == len(header) > at and _below(rows[-1][at], epoch + 1)):
            rows.pop()
        write_whole(self.path, as_csv([header, *rows] if header else [], self.separator).encode())

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the row of an epoch."""
        row = {"epoch": epoch + 1, **(logs or {})}
        if self.file is None:
            return
        if self.columns is None:
            self.columns = list(row)
            self.file.write(as_csv([self.columns], self.separator))
        self.file.write(as_csv([[as_text(row.get(name, "NA")) for name in self.columns]], self.separator))
        self.file.flush()

    writes = True
    may_end_twice = True  # what cuts its first line short leaves the file open

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        if self.file is not None:
            self.file.close()
            self.file = None


def _below(text: str, number: int) -> bool:
    """Tell whether a cell holds a number below another."""
    return text.isascii() and text.isdigit() and len(text) < 19 and int(text) < number


class TerminateOnNaN(Callback):
    """End training with a printed line when the loss is NaN or infinite, instead of the error that `fit` raises.

    Examples
    --------
    >>> callback = TerminateOnNaN()
    """

    def on_progress(self, done: int, total: int | None, logs: Logs | None = None) -> None:
        """Look at the mean loss of the epoch so far, which one bad batch makes bad."""
        self._look(f"batch {done}", logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the mean loss of the epoch."""
        self._look(f"epoch {epoch + 1}", logs)

    def _look(self, place: str, logs: Logs | None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss) and not self.model.stop_training:
            say(f"{place}: the loss is {loss}, training ends")
            self.model.stop_training = True


OLD_NAMES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


class CallbackList:
    """All callbacks of one training, called in order: the user's, then the progress, then the history.

    Parameters
    ----------
    callbacks : Callback or iterable of Callback, optional
        Those of the user. A `ProgressBar` or `History` among them is used instead of a new one.
    model : Model
        The model that is trained.
    params : dict, optional
        The settings of the training, see `Callback`.
    verbose : {0, 1, 2}, default 0
        As for `ProgressBar`.

    Attributes
    ----------
    history : History
        The record of this training.
    needs_batches : bool
        Whether a callback has a batch hook. If not, training runs many steps per call.
    needs_test_batches, needs_predict_batches : bool
        Whether a callback has a hook for the batches of evaluations or predictions, which then run one by one.
    takes_safe_points : bool
        Whether a callback may write checkpoints.
    takes_nonfinite : bool
        Whether a callback deals with a loss that is NaN or infinite, so that `fit` should not raise an error.

    Raises
    ------
    TypeError
        If something in the list is no `Callback`.

    Examples
    --------
    >>> callbacks = CallbackList([EarlyStopping()], model=None)
    >>> callbacks.needs_batches
    False
    >>> CallbackList(LambdaCallback(on_batch_end=print), model=None).needs_batches
    True
    """

    def __init__(
        self,
        callbacks: Callback | Iterable[Callback] | None = None,
        *,
        model: Followed | None,
        params: dict[str, Any] | None = None,
        verbose: int = 0,
    ) -> None:
        self.verbose = verbose
        given = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or ())
        for callback in given:
            if not isinstance(callback, Callback):
                raise TypeError(
                    f"[fit] expected callbacks to be Callback objects. Received: {written(callback)}. "
                    "help: subclass pynn.train.Callback, or use LambdaCallback(on_epoch_end=function)."
                )
        given = [callback for callback in given if writing() or not callback.writes]
        histories = [callback for callback in given if isinstance(callback, History)] or [History()]
        self.callbacks = [callback for callback in given if not isinstance(callback, History)]
        if verbose and writing() and not any(isinstance(callback, ProgressBar) for callback in given):
            self.callbacks.append(ProgressBar(verbose))
        self.callbacks += histories
        self.history = histories[0]
        self._hooks = {
            hook: [getattr(callback, hook) for callback in self.callbacks if _listens(callback, hook)] for hook in HOOKS
        }
        self._to_end = list(self._hooks["on_train_end"])  # whom on_train_end has not told yet
        self.needs_batches = any(self._hooks[hook] for hook in BATCH_HOOKS)
        self.needs_test_batches = bool(self._hooks["on_test_batch_begin"] or self._hooks["on_test_batch_end"])
        self.needs_predict_batches = bool(self._hooks["on_predict_batch_begin"] or self._hooks["on_predict_batch_end"])
        self.takes_safe_points = bool(self._hooks["on_safe_point"])
        self.takes_progress = bool(self._hooks["on_progress"])
        self._savers = [callback for callback in self.callbacks if isinstance(callback, ModelCheckpoint)]
        self.takes_nonfinite = any(isinstance(callback, TerminateOnNaN) for callback in self.callbacks)
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(dict(params or {}))

    def _call(self, hook: str, *arguments: Any) -> None:
        for method in self._hooks[hook]:
            method(*arguments)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Call the hook of every callback."""
        self._to_end = list(self._hooks["on_train_end"])
        self._call("on_train_begin", {} if logs is None else logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Call the hook of every callback, also of those after one that fails; then raise the first error.

        Where it was cut short, it is called again, for those that it had not come to.
        """
        errors: list[BaseException] = []
        while self._to_end:
            try:
                self._to_end[0]({} if logs is None else logs)
            except BaseException as error:
                errors.append(error)
                if getattr(getattr(self._to_end[0], "__self__", None), "may_end_twice", False):
                    try:
                        self._to_end[0]({} if logs is None else logs)
                    except BaseException as again:
                        errors.append(again)
            del self._to_end[0]
        if errors:
            raise errors[0]

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Call the hook of every callback."""
        self._call("on_epoch_begin", epoch, {} if logs is None else logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Call the hook of every callback; each sees what those before it added to the logs."""
        self._call("on_epoch_end", epoch, {} if logs is None else logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of every callback."""
        self._call("on_train_batch_begin", batch, {} if logs is None else logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of every callback."""
        self._call("on_train_batch_end", batch, {} if logs is None else logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Call the hook of every callback."""
        self._call("on_test_begin", {} if logs is None else logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Call the hook of every callback."""
        self._call("on_test_end", {} if logs is None else logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of every callback."""
        self._call("on_test_batch_begin", batch, {} if logs is None else logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of every callback."""
        self._call("on_test_batch_end", batch, {} if logs is None else logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of every callback."""
        self._call("on_predict_batch_begin", batch, {} if logs is None else logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Call the hook of every callback."""
        self._call("on_predict_batch_end", batch, {} if logs is None else logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Call the hook of every callback."""
        self._call("on_predict_begin", {} if logs is None else logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Call the hook of every callback."""
        self._call("on_predict_end", {} if logs is None else logs)

    def on_progress(self, done: int, total: int | None, logs: Logs | None = None) -> None:
        """Call the hook of every callback."""
        self._call("on_progress", done, total, {} if logs is None else logs)

    def on_safe_point(self, point: Any) -> None:
        """Call the hook of every callback."""
        self._call("on_safe_point", point)

    def steps_to_safe_point(self, step: int) -> int:
        """Return how many updates may be made before a checkpoint is due."""
        limits = [limit for saver in self._savers if (limit := saver.steps_to_safe_point(step)) is not None]
        return min(limits, default=STEPS_PER_CALL)


def _listens(callback: Callback, hook: str) -> bool:
    # on_train_batch_end of the base calls on_batch_end, so it is needed for either.
    return overrides(callback, hook) or (hook in OLD_NAMES and overrides(callback, OLD_NAMES[hook]))
