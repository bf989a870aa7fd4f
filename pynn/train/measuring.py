"""Loss and metrics of a model on data, part by part, so that no more outputs are kept than a metric asks for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pynn.core.context import training
from pynn.core.state import gathered_losses, no_grad
from pynn.core.tensor import Tensor
from pynn.losses.logits import Scores
from pynn.ops import pixels
from pynn.train.data import Data, external
from pynn.train.gathered import cleared, result_of, take, twin
from pynn.train.head import alone_of
from pynn.train.padding import lengths_in, marked, real_steps
from pynn.train.predictor import ROWS, logits

__all__ = ["PART", "measure"]

PART = 1 << 24  # bytes of outputs that are held at a time


def measure(
    trainer: Any, given: Iterable[Data], eagerly: bool = False, batch_size: int | None = None, hooks: Any = None
) -> dict[str, float]:
    """Return loss and metrics of a model on pieces of data.

    Parameters
    ----------
    trainer : Trainer
    given : iterable of Data
    eagerly : bool
    batch_size : int, optional
        Rows per pass, by default 256, or fewer where their outputs are large.
    hooks : CallbackList, optional
        Whose on_test_batch hooks are called, pass by pass, if one is listened to.
    """
    watched = hooks is not None and hooks.needs_test_batches
    totals = Totals(trainer)
    done = 0
    for data in given:
        rows = _rows_of(trainer, data) if batch_size is None else batch_size
        for part in _parts(trainer, data, rows, watched):
            if watched:
                hooks.on_test_batch_begin(done)
            totals.add(part, logits(trainer).outputs(part.xs, rows, eagerly))
            if watched:
                hooks.on_test_batch_end(done, totals.loss())
            done += 1
    return totals.result()


def _row_bytes(trainer: Any, data: Data) -> int:
    return max(1, trainer.head.row_size(trainer.output_shape(data.xs)) * trainer.model.dtype.itemsize)


def _rows_of(trainer: Any, data: Data) -> int:
    """Return how many rows a pass takes where the caller does not say."""
    return max(1, min(ROWS, PART // _row_bytes(trainer, data)))


def _parts(trainer: Any, data: Data, rows: int, single: bool) -> Iterator[Data]:
    """Cut data into parts of whole passes, of which the outputs are held; into single passes if asked to."""
    step = rows if single else max(1, PART // _row_bytes(trainer, data) // rows) * rows
    if step >= len(data):
        yield data
        return
    for i in range(0, len(data), step):
        yield data.cut(slice(i, i + step))


class Totals:
    """The sums of an evaluation under way."""

    def __init__(self, trainer: Any):
        self.trainer = trainer
        self.outputs = [_Output(head, trainer.loss) for head in trainer.head.each()]
        self.added: list[tuple[float, int]] = []  # what modules add to the loss, and of how many rows

    def add(self, data: Data, out: Any, activated: bool = False) -> None:
        """Take in a part and what the model puts out for it, an array or a list of those that have a loss.

        With `activated`, what loss functions take off was applied: logits became probabilities.
        """
        if len(self.outputs) != len(self.trainer.head.each()):  # the first batch has shown how many there are
            self.outputs = [_Output(head, self.trainer.loss) for head in self.trainer.head.each()]
        if self.trainer.adds_losses:
            self.added += added_by_modules(self.trainer, data)
        for output in self.outputs if activated else ():
            output.form = "probabilities" if output.head.form == "logits" else output.head.form
        if not self.trainer.head.several:
            self.outputs[0].add(data.y, alone_of(out), data.w)
            return
        weights = [None] * len(self.outputs) if data.w is None else data.w
        for output, y, found, w in zip(self.outputs, data.y, out, weights, strict=True):
            output.add(y, found, w)

    def loss(self) -> dict[str, float]:
        """Return the mean loss of the rows so far, with the penalties on the weights; then that of each output."""
        means = [output.mean() for output in self.outputs]
        mean = self.trainer.head.total(means)
        if self.added:
            mean += sum(value * n for value, n in self.added) / sum(n for _, n in self.added)
        with no_grad():
            loss = self.trainer.penalties(Tensor.state(np.array(mean, self.trainer.model.dtype)))
        parts = dict(zip(self.trainer.head.loss_names, means, strict=True)) if self.trainer.head.several else {}
        return {"loss": float(loss.item()), **parts}

    def result(self) -> dict[str, float]:
        """Return the loss and the metrics."""
        found = self.loss()
        found |= {metric.name: result_of(metric) for output in self.outputs for metric in output.metrics}
        return {name: found[name] for name in self.trainer.head.log_names()}


def added_by_modules(trainer: Any, data: Data) -> list[tuple[float, int]]:
    """Return what modules add to the loss of data (add_loss), and of how many rows, pass by pass."""
    found = []
    for i in range(0, len(data), ROWS):
        xs = [pixels.real(Tensor.state(a[i : i + ROWS]), trainer.model.dtype) for a in data.xs]
        terms: list[Any] = []
        with no_grad(), training(False), gathered_losses(terms):
            trainer.model(*xs)
        found.append((sum(float(np.mean(t.view() if isinstance(t, Tensor) else t)) for t in terms), len(xs[0])))
    return found


class _Output:
    """The sums of one output: its losses, and the metrics that measure it."""

    def __init__(self, head: Any, loss: Any):
        self.head = head
        self.form: str | None = None  # that of the head
        self.losses: list[float] = []  # of each part
        self.rows: list[int] = []
        self.metrics = [twin(metric) for metric in head.metrics]  # another thread may evaluate at the same time
        for metric in self.metrics:
            cleared(metric)

    def add(self, y: np.ndarray, out: np.ndarray, w: np.ndarray | None) -> None:
        """Take in a part."""
        head, predictions = self.head, None
        with no_grad():
            values = external(out)
            if head.padded:
                lengths = lengths_in(out)
                values.lengths = Tensor.state(lengths)
            scores = Scores(values, self.form or head.form)
            loss = scores.loss(head.loss, external(y), None if w is None else external(w))
            self.losses.append(float(loss.item()))
            stepwise = head.padded and y.shape[:2] == out.shape[:2]
            self.rows.append(int(lengths.sum()) if stepwise else len(y))
            if self.metrics:
                predictions = marked(scores.activated(head.loss)).view()
        if predictions is None:
            return
        found = y, predictions, w
        if stepwise:
            found = real_steps(*found)
        for metric in self.metrics:
            take(metric, found)

    def mean(self) -> float:
        """Return the mean loss of the rows so far."""
        return math.fsum(x * n for x, n in zip(self.losses, self.rows, strict=True)) / max(1, sum(self.rows))
