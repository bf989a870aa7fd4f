"""Bare training steps, without callbacks."""

from __future__ import annotations

from typing import Any

from pynn.checks import of_kind
from pynn.core.flat import STEPS_PER_CALL
from pynn.train.batches import permutation
from pynn.train.network import Network
from pynn.train.segments import segments_of

__all__ = ["Stepper", "steps"]


class Stepper:
    """Bare training steps on arrays, without callbacks: what fit() is measured against.

    Parameters
    ----------
    model : Module
        Compiled.
    x, y : array_like
    batch_size : int
    accumulate : int, optional

    Attributes
    ----------
    gradients : bool
        Whether those of the last step can be looked at after run(), as after fit(), of whose calls few store them.
    """

    gradients = True

    def __init__(self, model: Network, x: Any, y: Any, batch_size: int = 32, accumulate: int | None = None):
        of_kind("steps", "model", model, "a compiled model", "_need_trainer")
        self.model, self.trainer = model, model._need_trainer("steps")  # a trainer does not keep its model
        self.trainer.segments = segments_of(accumulate)
        self.data = self.trainer.data(x, y)
        self.data.token = object()
        self.n = min(batch_size, len(self.data))
        self.whole = len(self.data) // self.n
        self.perm = permutation(self.trainer.seed, 0, len(self.data), True)
        self.at = 0
        self.trainer.flatten()

    def run(self, k: int) -> None:
        """Make k updates, going round the data."""
        trainer, again = self.trainer, False
        while k:
            if self.at == self.whole:
                self.at = 0
            trainer.slots.set(offset=self.at * self.n)
            count = min(k, self.whole - self.at, STEPS_PER_CALL)
            trainer.slots.set(rate=trainer.optimizer.rates(trainer.slots.get("step"), count))
            store = self.gradients and count == k
            trainer.run_steps(self.data, self.perm, self.n, count, False, True, again, store)
            again = True
            self.at += count
            k -= count


def steps(model: Network, x: Any, y: Any, batch_size: int = 32, accumulate: int | None = None) -> Stepper:
    """Return an object whose run(k) makes k compiled training steps in as few native calls as possible.

    Parameters
    ----------
    model : Module
        Compiled.
    x : array_like [N, ...]
    y : array_like [N, ...]
    batch_size : int, default 32
    accumulate : int, optional
        In how many segments a batch is computed; see :meth:`pynn.nn.Module.fit`.
    """
    return Stepper(model, x, y, batch_size, accumulate)
