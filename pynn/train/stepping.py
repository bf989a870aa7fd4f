"""Training steps: one is written down once, recorded at the first batch, and replayed for all that follow."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pynn import ops
from pynn.core._watch import Watch
from pynn.core.context import training
from pynn.core.flat import Flat, Slots
from pynn.core.frozen import no_foreign_random
from pynn.core.gradients import backward
from pynn.core.program import ProgramCache, Recording, record, refuse_inside
from pynn.core.state import gathered_losses, no_grad, observed, state, trial
from pynn.core.tensor import Tensor
from pynn.errors import CaptureError, DeviceError, NonFiniteError, warn
from pynn.ops import pixels, steps
from pynn.ops.segments import DRAW
from pynn.train.data import Data, external, mapped
from pynn.train.network import Network
from pynn.train.padding import marked
from pynn.train.segments import bounds, not_finite, plan_of, segmented_step
from pynn.train.sums import Plan

if TYPE_CHECKING:
    from pynn.train.trainer import Trainer

__all__ = ["layout_of", "may_keep", "record_step", "recording", "run_steps", "with_added"]


# One step


def train_step(trainer: Trainer, tensors: list[Tensor], perm: Tensor, n: int, check: bool) -> None:
    """One training step: fetch, forward, loss, backward, update. Everything goes through execute()."""
    slots, ledger = trainer.slots, trainer.ledger
    assert trainer.flat is not None
    if trainer.segments.alone:
        logged = Logged(ledger.sums, ledger.hits, ledger.parts, ledger.losses, ledger.spare)
        loss = computed(trainer, tensors, perm, n, slots, logged, check)
        write_gradients(loss, trainer.flat, slots, trainer.flat.into)
    else:

        def compute(inner: Slots, rows: int, plan: Plan, s: int) -> Tensor:
            parts = [plan.pair(s, 2 + i) for i in range(len(ledger.parts))]
            logged = Logged(plan.pair(s, 0), plan.pair(s, 1), parts, plan.losses, plan.losses)
            return computed(trainer, tensors, perm, rows, inner, logged, False)

        segmented_step(trainer, n, check, compute, write_gradients)
    if trainer.before_update:
        for place in trainer.flat.into.values():
            if place.rows is not None:  # a hook may write to every row
                place.rows.live = place.rows.live and place.rows.sparse
                ops.zeros((2,), np.int64, out=place.rows.known)
    for hook in trainer.before_update:
        hook(trainer.flat.grads)
    limits = trainer.constraints()
    plan = None if trainer.segments.ranks == 1 else plan_of(trainer)
    if plan is None or not plan.divided:
        trainer.optimizer.apply(trainer.flat, slots)
    else:
        trainer.optimizer.apply(trainer.flat, slots, plan.norm(trainer.optimizer.table))
        plan.tell(trainer.optimizer.table)
    for constraint, weight in limits:
        constraint.apply(weight)
    steps.advance(slots, 1, n)


def with_added(loss: Tensor, added: list[Any]) -> Tensor:
    """Return the loss plus what modules added to it (add_loss)."""
    for value in added:
        if isinstance(value, Tensor):
            value = (ops.mean(value) if value.ndim else value).astype(loss.dtype)
            value = value.reshape(loss.shape) if value.shape != loss.shape else value
        loss = ops.add(loss, value)
    return loss


class Logged(NamedTuple):
    """Where a forward pass logs: sums of the loss, of hits, of the losses of several outputs; the losses of steps."""

    sums: Tensor
    hits: Tensor
    parts: list[Tensor]
    losses: Tensor
    spare: Tensor


def computed(
    trainer: Trainer, tensors: list[Tensor], perm: Tensor, n: int, slots: Slots, logged: Logged, check: bool
) -> Tensor:
    """Fetch n rows, run the model forward and log; returns the loss."""
    dtype = trainer.model.dtype
    data = named_slots(trainer, tensors)
    xs, y, w = (mapped(lambda t: steps.batch(t, perm, slots, n, dtype), data[key]) for key in ("xs", "y", "w"))
    added: list[Any] = []
    with training(True, slots):  # what the loss draws comes after what the layers did
        with gathered_losses(added):
            scores = trainer.forward(xs, train=True, slots=slots)
        if state.recorder is None:
            loss = scores.loss(trainer.loss, y, w)
        else:
            with no_foreign_random(trainer.loss):
                loss = scores.loss(trainer.loss, y, w)
    for change in trainer.after_loss:
        loss = change(loss, w, n)
    loss = with_added(trainer.penalties(loss), added)
    steps.log_loss(loss, n, slots, logged.sums, logged.losses, check)
    for part, sums in zip(scores.parts, logged.parts, strict=False):  # of several outputs
        steps.log_loss(part, n, slots, sums, logged.spare, False)
    if trainer.counted is not None:
        kind, threshold = trainer.head.counting(scores, y)
        w = w if trainer.counted.weighted else None
        steps.count_correct(scores.values.detach(), y, w, logged.hits, kind, threshold)
    if data["predictions"] is not None:
        with no_grad():
            outputs = scores.activated(trainer.loss)
            mapped(lambda room, y: steps.store_rows(marked(y), slots, room, n), data["predictions"], outputs)
    return loss


def write_gradients(loss: Tensor, flat: Flat, slots: Slots, into: dict[int, Tensor], share: float = 1.0) -> None:
    """Write the gradients of what a model trains, and of nothing else; those of a share of the batch, as that.

    They are written to `into`: where the optimizer reads them, or where they wait to be joined.
    """
    for t in flat.tensors:
        t.grad, rows = None, into[id(t)].rows
        if rows is not None:
            rows.begin(into[id(t)])
    with training(True, slots):
        scale = None if share == 1.0 else Tensor.state(np.full(loss.shape, share, loss.dtype))
        backward(loss, scale, targets=flat.tensors, into=into)
    for t in flat.tensors:
        if t.grad is None:  # this step did not use the parameter
            t.grad = ops.zeros(t.shape, t.dtype, out=into[id(t)])


def eager_step(trainer: Trainer, tensors: list[Tensor], n: int, check: bool) -> None:
    """Make a step by hand; if memory runs out or it cannot be recorded, running statistics are as before."""
    held = [module._weights[key] for module in trainer.model.modules() for key in module._frozen]
    before = [t.view().copy() for t in held]
    try:
        train_step(trainer, tensors[:-1], tensors[-1], n, check)
        assert trainer.flat is not None
        for place in trainer.flat.into.values():
            if place.rows is not None and place.rows.live and not trainer.before_update:
                place.rows.settle(place)
    except (MemoryError, CaptureError, DeviceError):
        for t, values in zip(held, before, strict=True):
            t.view()[...] = values
        raise


def layout_of(data: Data) -> tuple[Any, ...]:
    """Return which input slots there are: how many inputs, which targets, weights and predictions."""
    return len(data.xs), *(_present(part) for part in (data.y, data.w, data.predictions))


def _present(part: Any) -> Any:
    """Return whether an array is there; of a list, which of its arrays."""
    return tuple(a is not None for a in part) if type(part) is list else part is not None


def named_slots(trainer: Trainer, tensors: list[Tensor]) -> dict[str, Any]:
    """Name the input slots, which stand in the order of Data.arrays()."""
    layout, rest = trainer.layout, list(tensors)
    found: dict[str, Any] = {"xs": [rest.pop(0) for _ in range(layout[0])]}
    for key, present in zip(("y", "w", "predictions"), layout[1:], strict=True):
        if type(present) is tuple:
            found[key] = [rest.pop(0) if one else None for one in present]
        else:
            found[key] = rest.pop(0) if present else None
    return found


# Many steps


def run_steps(
    trainer: Trainer,
    data: Data,
    perm: np.ndarray,
    n: int,
    count: int,
    eagerly: bool,
    check: bool,
    again: bool = False,
    store: bool = True,
) -> None:
    """Make `count` updates on batches of n rows, from slots.offset on; slots.rate holds the learning rates.

    `again` promises that data, n, check and the settings of loss and optimizer are those of the last call. Without
    `store`, gradients may afterwards be those of an earlier step.
    """
    refuse_inside()
    arrays = [*data.arrays(), perm]
    trainer.slots.set(cursor=0)
    ledger = trainer.ledger
    with trainer.turns:
        try:
            if eagerly:
                ledger.held = None
                trainer.flatten()
                trainer.layout = layout_of(data)
                tensors = [external(a) for a in arrays]
                for _ in range(count):
                    eager_step(trainer, tensors, n, check)
                return
            held = ledger.held if again else None
            if held is None or not held.holds():
                key = _key(trainer, data, n, check)
                held = trainer.cache.find(key)
                if held is None:
                    trainer.flatten()  # which may make slots, that the key tells of
                    key = _key(trainer, data, n, check)
                    held = trainer.cache.find(key)
                while held is None and count:
                    held = _recorded(trainer, key, data, arrays, n, check)
                    count -= 1
                ledger.held = held
            if held is not None and count:
                held.run([*arrays, *ledger.buffers], count, data.token, store)
        except NonFiniteError:
            raise _where_not_finite(trainer, data, perm, n) from None


def _key(trainer: Trainer, data: Data, n: int, check: bool) -> Hashable:
    """Return what a program of training steps depends on, but for what is watched."""
    shapes = tuple((a.shape[1:], a.dtype) for a in data.arrays())
    head, counted = trainer.head, trainer.counted
    trained_through = head.form, head.kind, head.rank, head.padded, type(counted), getattr(counted, "several", None)
    hooks = tuple(trainer.after_loss), tuple(trainer.before_update)
    optimizer = trainer.optimizer, trainer.optimizer.table.version  # its settings are watched
    parts = trainer.segments.key, len(trainer.ledger.parts)
    return "train", n, check, layout_of(data), shapes, trained_through, optimizer, trainer.loss, hooks, parts


def recording(trainer: Trainer, data: Data, n: int, check: bool) -> Recording | None:
    """Return the program of training steps that holds for such data, if there is one."""
    return trainer.cache.find(_key(trainer, data, n, check))


def _recorded(
    trainer: Trainer, key: Hashable, data: Data, arrays: list[np.ndarray], n: int, check: bool
) -> Recording | None:
    """Make one step and return its recording; None if the step itself changed what it depends on."""
    trainer.layout = layout_of(data)
    watch = Watch(trainer.model, trainer.loss, trainer.optimizer, *trainer.after_loss, *trainer.before_update)
    tensors = [external(a) for a in arrays]
    with record(*tensors, *trainer.ledger.tensors, cached=True) as recorder:
        eager_step(trainer, tensors, n, check)
    if not may_keep(watch, trainer.cache, trainer.model, "fit"):
        return None
    return trainer.cache.add(key, recorder, watch)


def record_step(trainer: Trainer, data: Data, perm: np.ndarray, n: int) -> Any:
    """Make one step on n rows by hand; return the recorder, whose inputs are data.arrays(), perm and the ledger's."""
    trainer.flatten()
    trainer.slots.set(cursor=0, offset=0)
    trainer.layout = layout_of(data)
    tensors = [external(a) for a in (*data.arrays(), perm)]
    with record(*tensors, *trainer.ledger.tensors) as recorder:
        eager_step(trainer, tensors, n, True)
    return recorder


def may_keep(watch: Watch, cache: ProgramCache, model: Network, place: str) -> bool:
    """Tell whether a recording can be kept: not if something that it may read changed meanwhile.

    It warns of what changed twice in turn, which the recorded pass itself did; another thread may have done the first.
    """
    if watch.settled():
        cache.unsettled = ""
        return True
    if watch.changed == cache.unsettled:
        warn(
            f"[{place}] {watch.changed!r} changes while the model is computed, so that no pass can stand for the next: "
            "each one is run op by op, which is slower. help: keep what changes in a weight (add_weight(..., "
            f"trainable=False)), or name it in _unwatched of its class if {type(model).__name__} never reads it.",
            RuntimeWarning,
        )
    cache.unsettled = watch.changed
    return False


def _where_not_finite(trainer: Trainer, data: Data, perm: np.ndarray, n: int) -> NonFiniteError:
    """Find the layer: parameters are those before the bad batch, and random numbers are the same again."""
    start = first = trainer.slots.get("offset")
    found: list[str] = []
    segments, slots, where = trainer.segments, trainer.slots, ""
    if not segments.alone and (bad := not_finite(trainer)) is not None:
        at = bounds(n, segments.count)
        first, last, where = start + at[bad], start + at[bad + 1], f", segment {bad}"
        if segments.ranks > 1:
            where += f" (rank {segments.owner(bad)})"
        slots = slots.beside()
        slots.step = Tensor.state(np.array([trainer.slots.get("step") + (bad << DRAW)]))
    else:
        last = start + n

    def look(module: Any, out: Any) -> None:
        if not found and isinstance(out, Tensor) and not np.isfinite(out.view()).all():
            found.append(module.name)

    with observed(look), no_grad(), trial():
        rows = perm[first:last]
        xs = [pixels.real(Tensor.state(a[rows]), trainer.model.dtype) for a in data.xs]
        trainer.forward(xs, train=True, slots=slots)
    place = f"layer {found[0]!r}" if found else "the loss"
    return NonFiniteError(
        f"[fit] the loss is not finite in batch {trainer.batches_before + start // max(n, 1)}{where}: {place} is the "
        "first place with a NaN or an infinite value. The update was not made. help: lower the learning rate, clip "
        "gradients (clip_norm=1.0), or scale the inputs; check_finite=False goes on regardless."
    )
