"""Training by a rule that is no gradient of a loss: a step is recorded once and replayed, as those of `fit` are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from pynn._blocks import Interrupts
from pynn.core.context import training
from pynn.core.flat import STEPS_PER_CALL, Flat, Slots
from pynn.core.program import ProgramCache, record, refuse_inside
from pynn.core.state import no_grad
from pynn.core.tensor import Tensor
from pynn.ops import steps
from pynn.train.batches import permutation
from pynn.train.callbacks import CallbackList
from pynn.train.data import external
from pynn.train.history import History
from pynn.train.hooks import Callback

__all__ = ["Loop", "fit_loop"]

STEPS = 16  # of one native call, between which Ctrl-C is heard and progress told
Step = Callable[[list[Tensor], Tensor, int], None]


class Loop:
    """The programs of steps, and the slots that change from one to the next.

    Parameters
    ----------
    seed : int
        Of what the steps draw, and of the order of the samples.

    Attributes
    ----------
    slots : Slots
    sums : Tensor, float64 [2]
        Of the epoch: (what a step logs * n, n).
    losses : Tensor, float64 [STEPS_PER_CALL]
    epochs : int
        Made so far: the next one has an order of samples of its own.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.slots = Slots(seed)
        self.sums = Tensor.state(np.zeros(2))
        self.losses = Tensor.state(np.zeros(STEPS_PER_CALL))
        self.epochs = 0
        self._cache = ProgramCache()

    def run(self, step: Step, key: Hashable, arrays: Sequence[np.ndarray], n: int, count: int) -> None:
        """Make `count` steps on n rows each, from slots.offset on.

        Parameters
        ----------
        step : callable (data, order, n)
            Computes with tensors; it is called once for each key, and what it ran is replayed from then on.
        key : hashable
            All that the step depends on beside its data and the slots.
        arrays : sequence of ndarray
            Data of one dtype and shape for each key, and last the order of their rows, int64.
        n, count : int
        """
        refuse_inside()
        self.slots.set(cursor=0)
        whole = (key, n, *((a.shape[1:], a.dtype) for a in arrays))
        held = self._cache.find(whole)
        if held is None:
            tensors = [external(a) for a in arrays]
            with record(*tensors, cached=True) as recorder, no_grad(), training(True, self.slots):
                step(tensors[:-1], tensors[-1], n)
                steps.advance(self.slots, 1, n)
            held = self._cache.add(whole, recorder, counts=False)
            count -= 1
        if count:
            held.run(list(arrays), count)

    def log(self, value: Tensor, n: int) -> None:
        """Log a number of a step, inside of it; one that is not finite stops the program."""
        steps.log_loss(value, n, self.slots, self.sums, self.losses, True)


def fit_loop(
    model: Any,
    loop: Loop,
    step: Step,
    key: Hashable,
    data: np.ndarray,
    *,
    optimizer: Any,
    flat: Flat,
    epochs: int,
    batch_size: int,
    shuffle: bool,
    verbose: int,
    callbacks: Callback | Iterable[Callback] | None,
    logged: str,
) -> History:
    """Go through data `epochs` times; return what was logged under the name `logged`.

    Ctrl-C ends it after the steps that are under way, with the weights as they are then.
    """
    optimizer.build(flat)
    rows, n = len(data), min(batch_size, len(data))
    parts = [(n, rows // n), (rows % n, 1)] if rows % n else [(n, rows // n)]
    total = sum(count for _, count in parts)
    hooks = CallbackList(
        callbacks,
        model=model,
        params={"epochs": epochs, "initial_epoch": 0, "steps": total, "batch_size": batch_size, "metrics": [logged]},
        verbose=verbose,
    )
    model.stop_training = False
    hooks.history.interrupted = False

    def logs() -> dict[str, float]:
        value, count = loop.sums.view()
        return {logged: float(value / max(count, 1.0))}

    with Interrupts() as interrupts:
        try:
            hooks.on_train_begin()
            for epoch in range(epochs):
                hooks.on_epoch_begin(epoch)
                loop.sums.view()[:] = 0
                loop.slots.set(offset=0)
                order = permutation(loop.seed, loop.epochs, rows, shuffle)
                loop.epochs += 1
                done = 0
                for size, count in parts:
                    while count:
                        now = min(count, STEPS)
                        loop.slots.set(rate=optimizer.rates(loop.slots.get("step"), now))
                        loop.run(step, key, [data, order], size, now)
                        count, done = count - now, done + now
                        hooks.on_progress(done, total, logs())
                        interrupts.check()
                hooks.on_epoch_end(epoch, logs())
                if model.stop_training:
                    break
        except KeyboardInterrupt:
            model.stop_training = True
            hooks.history.interrupted = True
        finally:
            try:
                hooks.on_train_end()
            except BaseException:
                hooks.on_train_end()  # of those that were not told, as a second Ctrl-C came before
                raise
    hooks.history.interrupted |= interrupts.noted
    return hooks.history
