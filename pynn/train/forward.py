"""Forward passes over many rows: recorded once for each number of rows, replayed for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pynn.core.program import record
from pynn.core.state import no_grad
from pynn.core.tensor import Tensor
from pynn.ops import steps
from pynn.train.data import Data, external
from pynn.train.stepping import program_key, replay

if TYPE_CHECKING:
    from pynn.train.trainer import Trainer

__all__ = ["run_forward"]


def run_forward(
    trainer: Trainer, xs: list[np.ndarray], batch_size: int, activate: bool, eagerly: bool = False
) -> np.ndarray:
    """Return the outputs for all rows, computed in passes of batch_size."""
    n = len(xs[0])
    shape = trainer.output_shape(xs)
    activate = activate or trainer.head.form != "logits"
    out = np.zeros((n, *shape[1:]), trainer.model.dtype)
    perm = np.arange(n)
    before = trainer.slots.get("offset")  # a callback may predict in the middle of an epoch
    trainer.slots.set(offset=0, cursor=0)
    data = Data(xs, out)
    done = 0
    try:
        while done < n:
            rows = min(batch_size, n - done)
            count = max(1, (n - done) // batch_size) if rows == batch_size else 1
            forward_pass(trainer, data, perm, rows, count, activate, eagerly)
            done += rows * count
    finally:
        trainer.slots.set(offset=before)
    return out


def forward_step(trainer: Trainer, tensors: list[Tensor], n: int, activate: bool) -> None:
    """One pass: fetch rows, run the model, store its outputs."""
    *xs, out, perm = tensors
    with no_grad():
        rows = [steps.batch(x, perm, trainer.slots, n, trainer.model.dtype) for x in xs]
        y = trainer.outputs(rows) if activate else trainer.forward(rows).values
        steps.store_rows(y, trainer.slots, out)
        steps.advance(trainer.slots, 0, n)


def forward_pass(
    trainer: Trainer, data: Data, perm: np.ndarray, n: int, count: int, activate: bool, eagerly: bool
) -> None:
    """Make `count` passes of n rows."""
    arrays = [*data.xs, data.y, perm]
    key = program_key(trainer, "forward", data, n, activate)
    program = trainer.cache.get(key)
    if program is None or eagerly:
        tensors = [external(a) for a in arrays]
        if eagerly:
            for _ in range(count):
                forward_step(trainer, tensors, n, activate)
            return
        with record(*tensors) as recorder:
            forward_step(trainer, tensors, n, activate)
        program = trainer.cache.add(key, recorder)
        count -= 1
    replay(trainer, program, arrays, count)
