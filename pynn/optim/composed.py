"""An update composed of ops: what a rule without a kernel of its own does, and what the kernel of a rule is held to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pynn import ops
from pynn.core.flat import Slots
from pynn.core.state import no_grad
from pynn.core.tensor import Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops import steps
from pynn.ops.embedding import TouchedRows
from pynn.optim.slots import Part, Table

__all__ = ["EMA", "PARAM", "new_values", "update_composed"]

PARAM = "param"
EMA = "ema"  # the slot of the average of a parameter


def new_values(
    rule: Any, param: Tensor, grad: Tensor, rate: Tensor, step: Tensor, slots: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return what ``rule.update`` makes of a parameter and of its slots, after weight decay, and the average.

    Parameters
    ----------
    rule : Optimizer
    param, grad : Tensor
    rate, step : Tensor, float64 []
        Of this update; step counts from 1.
    slots : mapping of str to Tensor

    Returns
    -------
    dict of str to Tensor
        The new values: ``param``, and the slots that change.

    Raises
    ------
    TypeError, ShapeError, DTypeError
        If update() returns something else.
    """
    decayed = param
    if rule.weight_decay:
        decayed = param * (1.0 - rate * rule.weight_decay).astype(param.dtype)
    own = {name: slot for name, slot in slots.items() if name != EMA} if rule.use_ema else slots
    found = rule.update(decayed, grad, rate.astype(param.dtype), step, **own)
    if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Mapping)):
        raise TypeError(
            f"[{rule.name}] expected update() to return the new parameter and a dict of new slots. "
            f"Received: {type(found).__name__}. help: return param - rate * grad, {{}}."
        )
    values = {**found[1], PARAM: found[0]}
    for name, value in values.items():
        like = param if name == PARAM else own.get(name)
        if like is None or not isinstance(value, Tensor):
            raise TypeError(
                f"[{rule.name}] expected update() to return tensors for the slots {', '.join(own) or '(none)'}. "
                f"Received: {name!r}, {type(value).__name__}. help: slot_names() says which slots there are."
            )
        if value.shape != like.shape:
            raise ShapeError(
                f"[{rule.name}] expected update() to return {name} of shape {like.shape}. Received: {value.shape}."
            )
        if value.dtype != like.dtype:
            raise DTypeError(
                f"[{rule.name}] expected update() to return {name} as {like.dtype}. Received: {value.dtype}. "
                "help: bring what was computed from step to the parameter's dtype with .astype(param.dtype)."
            )
    return _averaged(rule, values, slots[EMA], step) if rule.use_ema else values


def _averaged(rule: Any, values: dict[str, Tensor], before: Tensor, step: Tensor) -> dict[str, Tensor]:
    """Return new values with the average of the parameter, which begins as the parameter after its first update."""
    param, every = values[PARAM], rule.ema_overwrite_frequency
    first = ops.equal(step, 1.0)
    average = ops.where(first, param, before + (1.0 - rule.ema_momentum) * (param - before))
    if every:
        due = ops.equal(step - every * ops.floor(step / every), 0.0)
        param = ops.where(due, average, param)
    return values | {PARAM: param, EMA: average}


def update_composed(rule: Any, table: Table, part: Part, grads: Mapping[int, Tensor], slots: Slots,
                    touched: TouchedRows | None) -> None:  # fmt: skip
    """Update the parameters of a part with a rule's own update(), each in its shape, or all as one vector.

    Parameters
    ----------
    rule : Optimizer
    table : Table
    part : Part
    grads : mapping of int to Tensor
        id of a parameter -> its gradient.
    slots : Slots
        The learning rate (rate[cursor]), read by pointer.
    touched : TouchedRows or None
        Of a table of which only the rows that were looked up are updated, if it says so.
    """
    with no_grad():
        rate = ops.gather(slots.rate, slots.cursor).reshape(())
        first = Tensor(part.counts.buffer.view(0, 8), (), part.counts.dtype)
        step = first.astype("float64") + 1.0
        if rule.use_ema and touched is not None and touched.sparse:  # rows left alone are their own average
            steps.assign(ops.where(ops.equal(step, 1.0), part.param, part.slots[EMA]), part.slots[EMA])
        if not part.param.size:  # another process's
            pass
        elif rule.elementwise and not part.numbers:
            held = {PARAM: part.param, **part.slots}
            _write(new_values(rule, part.param, part.grad, rate, step, part.slots), held, touched)
        else:
            for t in part.tensors:
                kept = table[t]
                numbers = {name: Tensor(one.buffer, (), one.dtype) for name, one in kept.numbers.items()}
                held = {PARAM: t.detach(), **kept.slots, **numbers}
                inner = {name: slot for name, slot in held.items() if name != PARAM}
                _write(new_values(rule, held[PARAM], grads[id(t)], rate, step, inner), held, touched)
        steps.assign(part.counts + 1, part.counts)


def _write(values: dict[str, Tensor], held: dict[str, Tensor], touched: TouchedRows | None) -> None:
    """Write new values; what still needs an old one is computed before the first is written."""
    homes = {id(slot.buffer.root()) for slot in held.values()}
    ready = {}
    for name, value in values.items():
        old = held[name]
        if touched is not None and touched.sparse and value.size > 1:
            marked = (touched.marked > 0).reshape((-1,) + (1,) * (old.ndim - 1))
            value = _rows(marked, value, old)
        elif value.buffer is not old.buffer and id(value.buffer.root()) in homes:
            value = ops.copy(value)
        ready[name] = value
    for name, value in ready.items():
        if value.buffer is not held[name].buffer:
            steps.assign(value, held[name])


def _rows(marked: Tensor, new: Tensor, old: Tensor) -> Tensor:
    if old.ndim == 1 and old.shape != marked.shape:  # a table as one vector
        width = old.size // marked.shape[0]
        return _rows(marked.reshape((-1, 1)), new.reshape((-1, width)), old.reshape((-1, width))).reshape(old.shape)
    return ops.where(marked, new, old)
