"""Who trains a model: one thread at a time, each training with a ledger of its own, and no step inside a step."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from pynn._blocks import Held, Leaving, Turns
from pynn.core.flat import STEPS_PER_CALL, Slots
from pynn.core.program import Recording
from pynn.core.tensor import Tensor
from pynn.train.network import Network

__all__ = ["Ledger", "Turns", "exclusive"]

F = TypeVar("F", bound=Callable[..., Any])


class Ledger:
    """What belongs to one training and not to the model: where it is in its data, and what it has added up.

    Programs find all of it in input slots, so that a training inside a callback leaves the outer one as it was.

    Attributes
    ----------
    slots : Slots
        Seed and step are the model's, the others the training's own.
    sums, hits : Tensor, float64 [2]
        Of the epoch: (loss * n, n), and (weight of right predictions, weight of all).
    losses : Tensor, float64 [STEPS_PER_CALL]
    held : Recording or None
        That of the last steps.
    """

    def __init__(self, slots: Slots):
        self.slots = slots
        self.parts: list[Tensor] = []  # as sums, of each of several outputs
        self.sums, self.hits = Tensor.state(np.zeros(2)), Tensor.state(np.zeros(2))
        self.losses = self.spare = Tensor.state(np.zeros(STEPS_PER_CALL))
        self.held: Recording | None = None
        self.batches_before = 0  # of this epoch, before the data that slots.offset points into
        self.tensors: tuple[Tensor, ...] = (slots.cursor, slots.offset, slots.rate, self.sums, self.losses, self.hits)
        self.buffers = [t.buffer for t in self.tensors]

    def inner(self) -> Ledger:
        """Return the ledger of a training inside this one."""
        made = Ledger(self.slots.beside())
        made.widen(len(self.parts))
        return made

    def widen(self, outputs: int) -> None:
        """Make room for the losses of several outputs."""
        if outputs <= len(self.parts):
            return
        self.spare = Tensor.state(np.zeros(STEPS_PER_CALL))
        self.parts = [Tensor.state(np.zeros(2)) for _ in range(outputs)]
        self.tensors = (*self.tensors[:6], self.spare, *self.parts)
        self.buffers = [t.buffer for t in self.tensors]

    def clear(self) -> None:
        """Begin an epoch."""
        for sums in (self.sums, self.hits, *self.parts):
            sums.view()[:] = 0


def exclusive(function: F) -> F:
    """Make a function of a compiled model one that trains it: refused beside another thread's, nested in one's own."""

    @functools.wraps(function)
    def guarded(model: Network, *args: Any, **kwargs: Any) -> Any:
        trainer = model._need_trainer(function.__name__)
        with trainer.turns.training(function.__name__) as inside:
            if not inside:
                return function(model, *args, **kwargs)
            inner, running = trainer.ledger.inner(), copy.deepcopy(trainer.head.running)
            stops = object.__setattr__, model, "stop_training", model.stop_training
            with (
                Held(trainer, ledger=inner, segments=trainer.segments),
                Held(trainer.head, running=running),
                Leaving(stops),
            ):
                return function(model, *args, **kwargs)

    return cast("F", guarded)
