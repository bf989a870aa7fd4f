"""Where random layers find their numbers: the seed and step of the training step that is under way."""

from __future__ import annotations

import threading
from typing import Any

from pynn._blocks import Held
from pynn.core.flat import Slots
from pynn.core.state import state
from pynn.core.tensor import Tensor

__all__ = ["StepRandom", "loading", "training"]


class _Loading(threading.local):
    """Where weights come from while a model is loaded from a file."""

    values: Any = None  # (module, name, shape) -> array, instead of an initializer


loading = _Loading()


class StepRandom:
    """Seed, step and cursor by pointer, and a fresh salt for each random op of one step, in the order of execution."""

    def __init__(self, slots: Slots):
        self.seed: Tensor = slots.seed
        self.step: Tensor = slots.step
        self.cursor: Tensor = slots.cursor
        self._next = 0

    def salt(self) -> int:
        """Return the next salt."""
        self._next += 1
        return self._next


def training(on: bool, slots: Slots | None = None) -> Held:
    """Set the training flag, and where random ops take their numbers from, inside a ``with`` block.

    Inside a block of the same slots the numbers go on.
    """
    rng = None
    if slots is not None:
        goes_on = state.rng is not None and state.rng.step is slots.step
        rng = state.rng if goes_on else StepRandom(slots)
    return Held(state, training=on, rng=rng)
