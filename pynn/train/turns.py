"""Who trains a model: one thread at a time, each training with a ledger of its own, and no step inside a step."""

from __future__ import annotations

import contextlib
import copy
import functools
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar, cast

import numpy as np

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


class Turns:
    """Locks of one model. As a context manager it is one native call, or one eager step, of a training."""

    def __init__(self) -> None:
        self._training = threading.Lock()
        self._owner: int | None = None
        self._depth = 0
        self._step = threading.RLock()
        self._stepping = False
        self._waiting = 0

    @contextlib.contextmanager
    def training(self, place: str) -> Iterator[bool]:
        """Be the one that trains, inside a ``with`` block; yields whether it is inside another training.

        Raises
        ------
        RuntimeError
            If another thread trains the model, or the call comes from the middle of a step.
        """
        me = threading.get_ident()
        if not self._training.acquire(blocking=False) and self._owner != me:
            raise RuntimeError(
                f"[{place}] expected a model that no other thread trains. Received: one that another thread is "
                "training. help: train one after the other, or a copy, saved and loaded."
            )
        self._owner = me
        if self._stepping:
            raise RuntimeError(
                f"[{place}] expected a call between two steps. Received: one in the middle of a step, from a signal "
                "handler or from a model's forward(). help: let the handler set a flag, and train in a callback."
            )
        self._depth += 1
        try:
            yield self._depth > 1
        finally:
            self._depth -= 1
            if not self._depth:
                self._owner = None
                self._training.release()

    def __enter__(self) -> None:
        """Begin a step, or many in one native call."""
        while self._waiting and not self._stepping:  # a lock is not fair: who has just released it has it again
            time.sleep(0.0002)
        self._step.acquire()
        if self._stepping:
            self._step.release()
            raise RuntimeError(
                "[fit] expected no step of this model to be under way. Received: one inside another. "
                "help: do not train a model in its own forward(), loss or metric."
            )
        self._stepping = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the step."""
        self._stepping = False
        self._step.release()

    @property
    def elsewhere(self) -> bool:
        """Whether another thread trains."""
        return self._owner not in (None, threading.get_ident())

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """Hold up training between two updates, inside a ``with`` block: weights and slots belong together."""
        self._waiting += 1
        try:
            self._step.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._step.release()


def exclusive(function: F) -> F:
    """Make a function of a compiled model one that trains it: refused beside another thread's, nested in one's own."""

    @functools.wraps(function)
    def guarded(model: Network, *args: Any, **kwargs: Any) -> Any:
        trainer = model._need_trainer(function.__name__)
        with trainer.turns.training(function.__name__) as inside:
            if not inside:
                return function(model, *args, **kwargs)
            head, stop = trainer.head, model.stop_training
            outer, trainer.ledger = trainer.ledger, trainer.ledger.inner()
            running, head.running = head.running, copy.deepcopy(head.running)
            try:
                return function(model, *args, **kwargs)
            finally:
                trainer.ledger, head.running, model.stop_training = outer, running, stop

    return cast("F", guarded)
