"""One update per call, in little more than its own time: prepared once for each shape of batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.core._predict import PreparedStep
from pynn.core.state import state
from pynn.train.network import Network
from pynn.train.results import Results
from pynn.train.stepping import recording

if TYPE_CHECKING:
    from pynn.train.trainer import Trainer

__all__ = ["ShortCut", "TrainFunction"]

MOST_PREPARED = 32  # shapes of batches
PLAIN_TASKS = ("classes", "binary", "values")  # whose targets are right or wrong number by number


class ShortCut:
    """What a trainer has at hand for batches like those before: a recorded step, and what it was prepared under.

    Everything that a recording does not watch itself is compared; whatever is new goes the long way, through
    train_on_batch(), which checks, converts and records.
    """

    def __init__(self) -> None:
        self.prepared: dict[Any, tuple[PreparedStep, tuple[Any, ...]]] = {}  # by the shapes of inputs and targets
        self.seen = np.inf, -np.inf  # targets that are numbers were between these

    def quick(self, trainer: Trainer, x: Any, y: Any) -> tuple[float, float, float, float] | None:
        """Make the update of a batch, if it is prepared; returns the sums of loss and hits, or None."""
        if type(y) is not np.ndarray or state.recorder is not None:
            return None
        found = self.prepared.get((_shapes(x), y.shape))
        if found is None:
            return None
        prepared, under = found
        if under != _settings(trainer) or not prepared.fits(x, y) or not prepared.holds():
            return None
        optimizer = trainer.optimizer
        with trainer.turns.training("train_on_batch") as inside:
            if inside:
                return None
            with trainer.turns:
                step, rate = trainer.slots.get("step"), optimizer._rate
                if type(rate) is float:
                    optimizer.iterations = step + 1
                else:
                    rate = float(optimizer.rates(step, 1)[0])
                return prepared.step(x, y, rate)

    def prepare(self, trainer: Trainer, x: Any, y: Any) -> None:
        """Keep what the next batch of this kind needs, if it is one that can be taken as it is."""
        dtype, head = trainer.model.dtype, trainer.head
        xs = list(x) if isinstance(x, (tuple, list)) else [x]
        if trainer.run_eagerly or head.several or trainer.logged or head.loss.task not in PLAIN_TASKS:
            return
        if not type(head.loss).__module__.startswith("pynn.losses."):  # its checks are its own
            return
        if any(type(a) is not np.ndarray or a.dtype not in (dtype, np.int32) for a in (*xs,)) or not xs:
            return
        if type(y) is not np.ndarray or y.dtype not in (dtype, np.int64, np.int32):
            return
        data = trainer.data(x, y, place="train_on_batch")
        n, kept = len(data), data.y
        same = len(xs) == len(data.xs) and all(a.shape == b.shape for a, b in zip(xs, data.xs, strict=True))
        same = same and all(a.dtype == b.dtype for a, b in zip(xs, data.xs, strict=True)) and kept.size == y.size
        if not same or data.w is not None or n != len(y):
            return
        if head.loss.task == "classes":
            low, high = 0.0, float(trainer.output_shape(data.xs)[-1] - 1)
            if kept.dtype != np.int32 or y.dtype.kind != "i":
                return
        elif kept.dtype != y.dtype:
            return
        else:
            least, most = self.seen
            low, high = self.seen = min(least, float(y.min())), max(most, float(y.max()))
        found = recording(trainer, data, n, True)
        if found is None:
            return
        if len(self.prepared) >= MOST_PREPARED:
            self.prepared.clear()
        inputs = [(a.shape, a.dtype) for a in data.xs]
        step = PreparedStep(
            found, inputs, (y.shape, y.dtype), (kept.shape, kept.dtype), low, high, n, list(trainer.ledger.buffers)
        )
        self.prepared[_shapes(x), y.shape] = step, _settings(trainer)


def _shapes(x: Any) -> Any:
    """Return the shape of an array, or the shapes of several; None of anything else."""
    if isinstance(x, (tuple, list)):
        return tuple(a.shape if type(a) is np.ndarray else None for a in x)
    return x.shape if type(x) is np.ndarray else None


def _settings(trainer: Trainer) -> tuple[Any, ...]:
    """Return what a recording of training steps depends on without watching it, but for the batch."""
    head = trainer.head
    return (
        head, head.form, head.kind, head.rank, head.padded, trainer.ledger, trainer.optimizer,
        trainer.optimizer.table.version, trainer.run_eagerly, *trainer.after_loss, *trainer.before_update,
    )  # fmt: skip


class TrainFunction:
    """f(x, y) makes one update of a compiled model and returns its loss; see Module.train_fn."""

    _unwatched = frozenset({"model", "long"})  # by models that hold one

    def __init__(self, model: Network, long: Callable[[Any, Any], Results]):
        self.model, self.long = model, long

    def __call__(self, x: Any, y: Any) -> float:
        """Make one update on a batch; returns its loss."""
        trainer = self.model._trainer
        found = None if trainer is None else trainer.shortcut.quick(trainer, x, y)
        if found is None:
            return float(self.long(x, y)["loss"])
        return found[0] / found[1]
