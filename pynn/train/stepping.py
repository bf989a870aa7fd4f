"""Training steps: one is written down once, recorded at the first batch, and replayed for all that follow."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn import ops
from pynn.core import _predict, config
from pynn.core.context import training
from pynn.core.flat import Flat, Slots
from pynn.core.gradients import backward
from pynn.core.graph import failure
from pynn.core.program import record
from pynn.core.state import no_grad, state, trial
from pynn.core.tensor import Tensor
from pynn.errors import CaptureError, NonFiniteError
from pynn.ops import pixels, steps
from pynn.train.data import Data, external

if TYPE_CHECKING:
    from pynn.train.trainer import Trainer

__all__ = ["layout_of", "program_key", "replay", "run_steps"]


def train_step(trainer: Trainer, tensors: list[Tensor], perm: Tensor, n: int, check: bool) -> None:
    """One training step: fetch, forward, loss, backward, update. Everything goes through execute()."""
    slots, dtype = trainer.slots, trainer.model.dtype
    data = named_slots(trainer, tensors)
    xs = [steps.batch(x, perm, slots, n, dtype) for x in data["xs"]]
    y = steps.batch(data["y"], perm, slots, n, dtype)
    w = steps.batch(data["w"], perm, slots, n, dtype) if data["w"] is not None else None
    scores = trainer.forward(xs, train=True)
    loss = trainer.penalties(scores.loss(trainer.loss, y, w))
    steps.log_loss(loss, n, slots, trainer.sums, trainer.losses, check)
    if trainer.counted is not None:
        kind, threshold = trainer.head.counting(scores, y)
        steps.count_correct(scores.values.detach(), y, w, trainer.hits, kind, threshold)
    if data["predictions"] is not None:
        with no_grad():
            steps.store_rows(scores.activated(trainer.loss), slots, data["predictions"])
    assert trainer.flat is not None
    write_gradients(loss, trainer.flat, slots)
    trained = [module for module in trainer.model.modules() if module._trainable]
    limits = [(limit, module._weights[key]) for module in trained for key, limit in module._constraints.items()]
    trainer.optimizer.apply(trainer.flat, slots)
    for constraint, weight in limits:
        constraint.apply(weight)
    steps.advance(slots, 1, n)


def write_gradients(loss: Tensor, flat: Flat, slots: Slots) -> None:
    """Write the gradients of what a model trains, and of nothing else, to where its optimizer reads them."""
    for t in flat.tensors:
        t.grad, rows = None, flat.into[id(t)].rows
        if rows is not None:
            rows.live = False
    with training(True, slots):  # the gradient of a table depends on the cursor
        backward(loss, targets=flat.tensors, into=flat.into)
    for t in flat.tensors:
        if t.grad is None:  # this step did not use the parameter
            t.grad = ops.zeros(t.shape, t.dtype, out=flat.into[id(t)])


def eager_step(trainer: Trainer, tensors: list[Tensor], n: int, check: bool) -> None:
    """Make a step by hand; if memory runs out or it cannot be recorded, running statistics are as before."""
    held = [module._weights[key] for module in trainer.model.modules() for key in module._frozen]
    before = [t.view().copy() for t in held]
    try:
        train_step(trainer, tensors[:-1], tensors[-1], n, check)
    except (MemoryError, CaptureError):
        for t, values in zip(held, before, strict=True):
            t.view()[...] = values
        raise


def named_slots(trainer: Trainer, tensors: list[Tensor]) -> dict[str, Any]:
    """Name the input slots, which stand in the order of Data.arrays()."""
    layout, rest = trainer.layout, list(tensors)
    xs = [rest.pop(0) for _ in range(layout[0])]
    y = rest.pop(0)
    w = rest.pop(0) if layout[1] else None
    return {"xs": xs, "y": y, "w": w, "predictions": rest.pop(0) if layout[2] else None}


def program_key(trainer: Trainer, kind: str, data: Data, n: int, *more: Hashable) -> Hashable:
    """Return all that a program depends on."""
    shapes = tuple((a.shape[1:], a.dtype.str) for a in data.arrays())
    return (
        kind,
        n,
        shapes,
        trainer.model.version(),
        tuple(w.buffer.address for _, w in trainer.model.named_parameters()),
        config.version(),
        trainer.optimizer.config(),
        trainer.loss.config(),
        *more,
    )


def layout_of(trainer: Trainer, data: Data) -> tuple[Any, ...]:
    """Return which input slots there are, and of what kind the targets are."""
    return len(data.xs), data.w is not None, data.predictions is not None, trainer.head.kind


def key_of_shapes(trainer: Trainer, data: Data, perm: np.ndarray, n: int, check: bool) -> Hashable:
    """Return what a program of training steps depends on, but for what is watched."""
    shapes = tuple((a.shape[1:], a.dtype) for a in data.arrays())
    rows = 0 if data.predictions is None else len(perm)
    return n, check, layout_of(trainer, data), rows, shapes, trainer.optimizer.config(), trainer.loss.config()


def run_steps(
    trainer: Trainer, data: Data, perm: np.ndarray, n: int, count: int, eagerly: bool, check: bool, again: bool = False
) -> None:
    """Make `count` updates on batches of n rows, from slots.offset on; slots.rate holds the learning rates.

    `again` promises that data, n, check and the settings of loss and optimizer are those of the last call.
    """
    arrays = [*data.arrays(), perm]
    trainer.slots.set(cursor=0)
    try:
        if eagerly:
            trainer._last = None
            trainer.flatten()
            trainer.layout = layout_of(trainer, data)
            tensors = [external(a) for a in arrays]
            for _ in range(count):
                eager_step(trainer, tensors, n, check)
            return
        if trainer._watch is None or not trainer._watch.unchanged():
            trainer._ready.clear()
            trainer._last = None
        if not again or trainer._last is None:
            shape_key = key_of_shapes(trainer, data, perm, n, check)
            trainer._last = trainer._ready.get(shape_key)
        if trainer._last is None:
            program, made = recorded(trainer, data, arrays, n, check)
            count -= made
            replay(trainer, program, arrays, count)
            if not trainer._ready:
                trainer._watch = _predict.Watch(trainer.model)
            trainer._ready[shape_key] = trainer._last = program
            return
        replay(trainer, trainer._last, arrays, count)
    except NonFiniteError:
        raise where_not_finite(trainer, data, perm, n) from None


def recorded(trainer: Trainer, data: Data, arrays: list[np.ndarray], n: int, check: bool) -> tuple[Any, int]:
    """Return the program of training steps, and how many of them (0 or 1) were made to record it."""
    trainer.flatten()
    trainer.layout = layout_of(trainer, data)
    key = program_key(
        trainer, "train", data, n, trainer.layout, check, len(arrays[-1]) if data.predictions is not None else 0
    )
    program = trainer.cache.get(key)
    if program is not None:
        return program, 0
    tensors = [external(a) for a in arrays]
    with record(*tensors) as recorder:
        eager_step(trainer, tensors, n, check)
    return trainer.cache.add(key, recorder), 1


def replay(trainer: Trainer, program: Any, arrays: list[np.ndarray], count: int) -> None:
    """Run a program on these arrays, `count` times over."""
    try:
        for slot, array in enumerate(arrays):
            program.bind(slot, array)
        if count:
            _, status = trainer.cache.run(program, count)
            if status:
                raise failure(status, program.instrs[program.failed_at])
    finally:
        program.release()


def where_not_finite(trainer: Trainer, data: Data, perm: np.ndarray, n: int) -> NonFiniteError:
    """Find the layer: parameters are those before the bad batch, and random numbers are the same again."""
    start = trainer.slots.get("offset")
    found: list[str] = []

    def look(module: Any, out: Any) -> None:
        if not found and isinstance(out, Tensor) and not np.isfinite(out.view()).all():
            found.append(module.name)

    state.observer = look
    try:
        with no_grad(), trial():
            rows = perm[start : start + n]
            xs = [pixels.real(Tensor.state(a[rows]), trainer.model.dtype) for a in data.xs]
            trainer.forward(xs, train=True)
    finally:
        state.observer = None
    place = f"layer {found[0]!r}" if found else "the loss"
    return NonFiniteError(
        f"[fit] the loss is not finite in batch {trainer.batches_before + start // max(n, 1)}: {place} is the first "
        "place with a NaN or an infinite value. The update was not made. help: lower the learning rate, clip "
        "gradients (clip_norm=1.0), or scale the inputs; check_finite=False goes on regardless."
    )
