"""Where random layers find their numbers: the seed and step of the training step that is under way."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

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


@contextlib.contextmanager
def training(on: bool, slots: Slots | None = None) -> Iterator[None]:
    """Set the training flag, and where random ops take their numbers from, inside a ``with`` block.

    Inside a block of the same slots the numbers go on.
    """
    before = state.training, state.rng
    state.training = on
    if slots is None:
        state.rng = None
    elif state.rng is None or state.rng.step is not slots.step:
        state.rng = StepRandom(slots)
    try:
        yield
    finally:
        state.training, state.rng = before
