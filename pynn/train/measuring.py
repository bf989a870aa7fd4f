"""Loss and metrics of a model on data, part by part, so that no more outputs are kept than a metric asks for."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pynn.core.state import no_grad
from pynn.core.tensor import Tensor
from pynn.losses.logits import Scores
from pynn.train.data import Data, external
from pynn.train.padding import lengths_in, marked, real_steps
from pynn.train.predictor import ROWS, logits

__all__ = ["cleared", "measure", "result_of", "take"]

Part = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # targets, predictions, weights
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
    return max(1, math.prod(trainer.output_shape(data.xs)[1:]) * trainer.model.dtype.itemsize)


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
        cut = slice(i, i + step)
        yield Data([x[cut] for x in data.xs], data.y[cut], None if data.w is None else data.w[cut])


class Totals:
    """The sums of an evaluation under way."""

    def __init__(self, trainer: Any):
        self.trainer = trainer
        self.losses: list[float] = []  # of each part
        self.rows: list[int] = []
        self.metrics = copy.deepcopy(trainer.metrics)  # another thread may evaluate at the same time
        for metric in self.metrics:
            cleared(metric)

    def add(self, data: Data, out: np.ndarray) -> None:
        """Take in a part and the model's outputs for it."""
        trainer, predictions = self.trainer, None
        with no_grad():
            values = external(out)
            if trainer.head.padded:
                lengths = lengths_in(out)
                values.lengths = Tensor.state(lengths)
            scores = Scores(values, trainer.head.form)
            loss = scores.loss(trainer.loss, external(data.y), None if data.w is None else external(data.w))
            self.losses.append(float(loss.item()))
            stepwise = trainer.head.padded and data.y.shape[:2] == out.shape[:2]
            self.rows.append(int(lengths.sum()) if stepwise else len(data))
            if self.metrics:
                predictions = marked(scores.activated(trainer.loss)).view()
        if predictions is None:
            return
        found = data.y, predictions, data.w
        if stepwise:
            found = real_steps(*found)
        for metric in self.metrics:
            take(metric, found)

    def loss(self) -> dict[str, float]:
        """Return the mean loss of the rows so far, with the penalties on the weights."""
        mean = math.fsum(x * n for x, n in zip(self.losses, self.rows, strict=True)) / max(1, sum(self.rows))
        with no_grad():
            loss = self.trainer.penalties(Tensor.state(np.array(mean, self.trainer.model.dtype)))
        return {"loss": float(loss.item())}

    def result(self) -> dict[str, float]:
        """Return the loss and the metrics."""
        return {**self.loss(), **{metric.name: result_of(metric) for metric in self.metrics}}


def take(metric: Any, found: Part) -> None:
    """Hand a metric a part of the rows; one that wants all of them at once holds it, and a checkpoint has it so."""
    if metric.streams:
        metric.update(*found)
    else:
        vars(metric).setdefault("_held", []).append(found)


def cleared(metric: Any) -> None:
    """Make a metric forget all parts."""
    vars(metric).pop("_held", None)
    metric.reset()


def result_of(metric: Any) -> Any:
    """Return the result of all parts."""
    for found in _in_one(vars(metric).pop("_held", [])):
        metric.update(*found)
    return metric.result()


def _in_one(kept: list[Any]) -> list[Any]:
    """Return all parts as one, if their shapes and weights allow it."""
    kinds = {(y.shape[1:], p.shape[1:], w is None) for y, p, w in kept}
    if len(kept) < 2 or len(kinds) > 1:
        return kept
    ys, ps, ws = zip(*kept, strict=True)
    return [(np.concatenate(ys), np.concatenate(ps), None if ws[0] is None else np.concatenate(ws))]
