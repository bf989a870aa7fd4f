"""One update per call, in little more than its own time: prepared once for each shape of batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pynn.core._predict import PreparedStep
from pynn.core.config import get_device
from pynn.core.state import state
from pynn.train.data import Data
from pynn.train.network import Network
from pynn.train.results import Results
from pynn.train.stepping import recording

if TYPE_CHECKING:
    from pynn.train.trainer import Trainer

__all__ = ["ShortCut", "TrainFunction", "plain_batch", "shapes_of", "update"]

MOST_PREPARED = 32  # shapes of batches
Spec = tuple[tuple[int, ...], np.dtype]  # shape and dtype
Specs = list[Spec]
PLAIN_TASKS = ("classes", "binary", "values")  # whose targets are right or wrong number by number


class ShortCut:
    """What a trainer has at hand for batches like those before: a recorded step, and what it was prepared under.

    Everything that a recording does not watch itself is compared; whatever is new goes the long way, through
    train_on_batch(), which checks, converts and records.
    """

    def __init__(self) -> None:
        self.prepared: dict[Any, tuple[PreparedStep, tuple[Any, ...]]] = {}  # by the shapes of inputs and targets
        self.seen = np.inf, -np.inf  # targets that are numbers were between these
        self.measured: dict[Any, Any] = {}  # as prepared, of evaluations; see pynn.train.short

    def ready(self, trainer: Trainer, x: Any, y: Any) -> PreparedStep | None:
        """Return the step that is prepared for a batch, if there is one and it stands for what would be done now."""
        if type(y) is not np.ndarray or state.recorder is not None:
            return None
        found = self.prepared.get((shapes_of(x), y.shape))
        if found is None:
            return None
        prepared, under = found
        return prepared if under == _settings(trainer) and prepared.fits(x, y) and prepared.holds() else None

    def quick(self, trainer: Trainer, x: Any, y: Any) -> tuple[float, float, float, float] | None:
        """Make the update of a batch, if it is prepared; returns the sums of loss and hits, or None."""
        prepared = self.ready(trainer, x, y)
        if prepared is None:
            return None
        with trainer.turns.training("train_on_batch") as inside:
            return None if inside else update(trainer, prepared, x, y)

    def prepare(self, trainer: Trainer, x: Any, y: Any) -> None:
        """Keep what the next batch of this kind needs, if it is one that can be taken as it is."""
        plain = None if trainer.logged else plain_batch(trainer, x, y, self)
        found = None if plain is None else recording(trainer, plain.data, len(plain.data), True)
        if plain is None or found is None:
            return
        if len(self.prepared) >= MOST_PREPARED:
            self.prepared.clear()
        step = PreparedStep(found, *plain.specs, len(plain.data), list(trainer.ledger.buffers))
        self.prepared[shapes_of(x), y.shape] = step, _settings(trainer)


def update(
    trainer: Trainer, prepared: PreparedStep, x: Any, y: Any, order: np.ndarray | None = None
) -> tuple[float, float, float, float] | None:
    """Make the step of a batch, its rows in an order; returns the sums of loss and hits, None if it was not made."""
    optimizer = trainer.optimizer
    with trainer.turns:
        step, rate = trainer.slots.get("step"), optimizer._rate
        if type(rate) is float:
            optimizer.iterations = step + 1
        else:
            rate = float(optimizer.rates(step, 1)[0])
        return prepared.step(x, y, rate, order)


class Plain(NamedTuple):
    """A batch that programs take as it is, and what tells others of its kind."""

    data: Data
    inputs: Specs
    given: Spec  # of the targets
    kept: Spec
    low: float  # targets between these are valid
    high: float

    @property
    def specs(self) -> tuple[Specs, Spec, Spec, float, float]:
        """What a prepared batch is told of."""
        return self.inputs, self.given, self.kept, self.low, self.high


def plain_batch(trainer: Trainer, x: Any, y: Any, seen: Any, place: str = "train_on_batch") -> Plain | None:
    """Return what programs need to know of a batch that needs no conversion but that of labels to int32; or None.

    Parameters
    ----------
    trainer : Trainer
    x, y
    seen : object
        Whose attribute ``seen`` holds between which numbers targets were found valid.
    place : str
        For messages.
    """
    dtype, head = trainer.model.dtype, trainer.head
    xs = list(x) if isinstance(x, (tuple, list)) else [x]
    if get_device() != "cpu":  # what is prepared runs on the CPU
        return None
    if trainer.run_eagerly or head.several or head.loss.task not in PLAIN_TASKS:
        return None
    if not type(head.loss).__module__.startswith("pynn.losses."):  # its checks are its own
        return None
    if any(type(a) is not np.ndarray or a.dtype not in (dtype, np.int32) for a in (*xs,)) or not xs:
        return None
    if type(y) is not np.ndarray or y.dtype not in (dtype, np.int64, np.int32):
        return None
    data = trainer.data(x, y, place=place)
    n, kept = len(data), data.y
    same = len(xs) == len(data.xs) and all(a.shape == b.shape for a, b in zip(xs, data.xs, strict=True))
    same = same and all(a.dtype == b.dtype for a, b in zip(xs, data.xs, strict=True)) and kept.size == y.size
    if not same or data.w is not None or n != len(y):
        return None
    if head.loss.task == "classes":
        low, high = 0.0, float(trainer.output_shape(data.xs)[-1] - 1)
        if kept.dtype != np.int32 or y.dtype.kind != "i":
            return None
    elif kept.dtype != y.dtype:
        return None
    else:
        least, most = seen.seen
        low, high = seen.seen = min(least, float(y.min())), max(most, float(y.max()))
    inputs = [(a.shape, a.dtype) for a in data.xs]
    return Plain(data, inputs, (y.shape, y.dtype), (kept.shape, kept.dtype), low, high)


def shapes_of(x: Any) -> Any:
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
