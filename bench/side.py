"""What is timed: one way of training one workload, or of predicting with one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Side:
    """`run(k)` takes k steps and returns when they are done; `result()` is the loss on the first batch now.

    `reset()` returns to the weights and the optimizer that all sides start from, and to the first batch.

    k is a multiple of `quantum`. A side with `whole_pass` takes many steps in one call of its framework.

    Of predictions, a step is one, `result()` is the prediction and there is nothing to reset.
    """

    name: str
    run: Callable[[int], None]
    result: Callable[[], float | np.ndarray]
    reset: Callable[[], None] = lambda: None
    quantum: int = 1
    whole_pass: bool = False


class Unavailable(RuntimeError):
    """This side cannot run here; the message says why."""
