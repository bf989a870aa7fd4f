"""What is timed: one way of training one workload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Side:
    """`run(k)` takes k training steps and returns when they are done; `loss()` is the loss on the first batch now.

    k is a multiple of `quantum`. A side with `whole_pass` takes many steps in one call of its framework.
    """

    name: str
    run: Callable[[int], None]
    loss: Callable[[], float]
    quantum: int = 1
    whole_pass: bool = False


class Unavailable(RuntimeError):
    """This side cannot run here; the message says why."""
