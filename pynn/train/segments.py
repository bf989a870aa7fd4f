"""A batch in segments: each is computed by itself, and what they give is joined in an order that is fixed.

So a step costs the memory of one segment, and its bits do not depend on who computes which segment: one process all of
them, or several processes a share each.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn import ops
from pynn._blocks import Held
from pynn.checks import integer
from pynn.core.flat import Flat, Slots, windows
from pynn.core.kernels.hook import add_hook, drop_hook
from pynn.core.program import Recorder
from pynn.core.state import state
from pynn.core.tensor import FLOATS, Tensor
from pynn.distributed.exchange import Exchange, merged
from pynn.distributed.failing import note_training
from pynn.distributed.joined import current
from pynn.errors import ShapeError
from pynn.ops import segments as cards
from pynn.ops import steps

if TYPE_CHECKING:
    from pynn.train.trainer import Trainer

__all__ = ["Node", "Plan", "Segments", "bounds", "not_finite", "segmented_step", "segments_of"]


def bounds(n: int, count: int) -> list[int]:
    """Return where `count` segments of n rows begin, and n; of fewer rows than segments some are empty.

    Examples
    --------
    >>> bounds(10, 4)
    [0, 2, 5, 7, 10]
    """
    return [s * n // count for s in range(count + 1)]


class Segments:
    """How the batches of a training are cut.

    Parameters
    ----------
    count : int
        Segments of a batch.
    gang : pynn.distributed.Gang, optional
        The processes that share them, each as many, one after the other.
    """

    def __init__(self, count: int, gang: Any = None):
        self.count = integer("fit", "accumulate", count, 1)
        self.gang = gang
        ranks, rank = (1, 0) if gang is None else (gang.ranks, gang.rank)
        if self.count % ranks:
            raise ValueError(
                f"[fit] expected a number of segments that {ranks} processes can share equally. Received: {count}. "
                f"help: start as many processes as divide it, or choose a multiple of {ranks} segments."
            )
        self.ranks, self.rank = ranks, rank
        self.mine = self.of(rank)

    @property
    def alone(self) -> bool:
        """Whether a batch is computed as a whole, here."""
        return self.count == 1

    def of(self, rank: int) -> range:
        """Return the segments that a process computes."""
        share = self.count // self.ranks
        return range(rank * share, (rank + 1) * share)

    def owner(self, segment: int) -> int:
        """Return which process computes a segment."""
        return segment // (self.count // self.ranks)

    def rows(self, n: int, rank: int | None = None) -> range:
        """Return the rows of a batch that a process computes, by default this one."""
        at, mine = bounds(n, self.count), self.mine if rank is None else self.of(rank)
        return range(at[mine.start], at[mine.stop])

    @property
    def key(self) -> tuple[Any, ...]:
        """What a recorded step depends on."""
        return self.count, self.ranks, self.rank


def segments_of(accumulate: int | None) -> Segments:
    """Return how batches are cut: as asked for, or as the processes that train together have agreed, or not at all."""
    gang = current()
    note_training()
    if gang is None:
        return Segments(1 if accumulate is None else accumulate)
    return Segments(gang.segments if accumulate is None else accumulate, gang)


class Node:
    """Memory for the sum of neighbouring segments: the gradients, and the states that a forward pass writes to.

    Attributes
    ----------
    grads : Tensor [size]
    into : dict of int to Tensor
        As :class:`pynn.core.flat.Flat` has them.
    states : list of Tensor
    whole : Tensor
        The states side by side.
    """

    def __init__(self, flat: Flat, first: bool):
        self.flat = flat
        if first:
            self.grads, self.into = flat.grads, flat.into
        else:
            places = windows(flat.tensors)
            self.into = {id(t): place for t, place in zip(flat.tensors, places, strict=True)}
            whole = places[0].buffer.root()
            self.grads = Tensor(whole, flat.grads.shape, flat.dtype)
        self.states: list[Tensor] = []
        self.whole: Tensor | None = None

    def make_room(self, states: list[Tensor]) -> None:
        """Make room for these states, once."""
        if states and len(self.states) != len(states):
            self.states = windows(states)
            root = self.states[0].buffer.root()
            self.whole = Tensor(root, (root.nbytes // states[0].dtype.itemsize,), states[0].dtype)


class Plan:
    """The memory of the segmented steps of one set of parameters, and what an exchange works on.

    Attributes
    ----------
    nodes : list of Node
        The first one's gradients are those that the optimizer reads.
    notes : Tensor, float64 [segments, columns]
        What each segment logs: (loss * rows, rows), the same of each of several outputs, and (right, all).
    held : list of int
        Segments of the sums that this process has left over, in nodes 0, 1, ...: of each the number of the first.
    """

    def __init__(self, segments: Segments, flat: Flat, slots: Slots, columns: int):
        self.segments, self.flat = segments, flat
        self.nodes = [Node(flat, True)]
        self.notes = Tensor.state(np.zeros((segments.count, columns)))
        self.rows: list[Tensor] = []  # of the notes
        root = self.notes.buffer
        for s in range(segments.count):
            self.rows.append(Tensor(root.view(8 * columns * s, 8 * columns), (columns,), self.notes.dtype))
        self.inner = slots.beside()
        self.inner.step = Tensor.state(np.zeros(1, np.int64))
        self.losses = Tensor.state(np.zeros(1))  # of a segment, which nobody reads
        self.states: list[Tensor] = []  # that a forward pass writes to
        self.hooks: dict[int, int] = {}  # by rows of a batch: the exchange with other processes

    def pair(self, segment: int, place: int) -> Tensor:
        """Return two numbers of a segment's note."""
        row = self.rows[segment].buffer
        return Tensor(row.root().view(row.offset + 16 * place, 16), (2,), self.notes.dtype)

    def node(self, depth: int) -> Node:
        """Return a place for a sum."""
        while len(self.nodes) <= depth:
            self.nodes.append(Node(self.flat, False))
        return self.nodes[depth]


def plan_of(trainer: Trainer) -> Plan:
    """Return the plan of a trainer's present parameters and segments."""
    segments, ledger = trainer.segments, trainer.ledger
    columns = 4 + 2 * len(ledger.parts)
    assert trainer.flat is not None
    key = (*segments.key, id(trainer.flat), columns)
    if key not in trainer.plans:
        trainer.plans.clear()
        trainer.plans[key] = Plan(segments, trainer.flat, ledger.slots, columns)
    return trainer.plans[key]


Forward = Callable[[Slots, int, Plan, int], Tensor]


def segmented_step(trainer: Trainer, n: int, check: bool, compute: Forward, write: Callable[..., None]) -> None:
    """Compute the gradients of a batch of n rows, segment by segment, and log what they give.

    Parameters
    ----------
    trainer : Trainer
    n : int
    check : bool
        Whether a loss that is not finite stops the program.
    compute : callable (inner slots, rows, plan, segment) -> loss
        Fetch, forward pass, loss, and what is logged, of a segment.
    write : callable (loss, flat, slots, into, share)
        The backward pass.
    """
    segments, plan = trainer.segments, plan_of(trainer)
    _refuse_state(trainer)
    at = bounds(n, segments.count)
    frozen = [module._weights[key] for module in trainer.model.modules() for key in sorted(module._frozen)]
    before = [ops.copy(t) for t in frozen]  # what nobody reads is no part of the program
    held: list[tuple[int, int]] = []  # (level, node) of each sum, -1 of an empty one
    changed: list[Tensor] = []
    for s in segments.mine:
        first, rows = at[s], at[s + 1] - at[s]
        cards.begin(s, first, plan.rows[s], trainer.slots, plan.inner)
        level, node = 0, -1
        chain: list[int] = []
        if rows:
            node = sum(place >= 0 for _, place in held)
            for t, old in zip(frozen, before, strict=True):
                if any(t is c for c in changed):
                    steps.assign(old, t)
            with Held(state, rows=(first, first + rows, n)):
                loss = compute(plan.inner, rows, plan, s)
            changed = _changed(trainer, frozen, changed)
            here = plan.node(node)
            write(loss, plan.flat, plan.inner, here.into, rows / n)
            _forget_rows(here)
            if changed:
                here.make_room(changed)
                for t, place in zip(changed, here.states, strict=True):
                    steps.assign(ops.mul(t, rows / n), place)
            chain = [node]
        index = s
        while index & 1 and held and held[-1][0] == level:
            _, other = held.pop()
            chain = [other, *chain] if other >= 0 else chain
            level, index = level + 1, index >> 1
        _join(plan, chain, changed)
        held.append((level, chain[0] if chain else -1))
    if segments.gang is not None:
        if not changed and not len(segments.rows(n)) and frozen:
            changed = _changed_without_rows(trainer, frozen, plan, compute, segments.mine.start, n)
        plan.states = changed
    for t, old in zip(frozen, before, strict=True):
        if any(t is c for c in changed):
            steps.assign(old, t)
    if segments.gang is None:
        _join(plan, [node for _, node in held if node >= 0], changed)
    else:
        _exchange(plan, n, changed, sum(node >= 0 for _, node in held))
    ledger = trainer.ledger
    cards.log(plan.notes, ledger.slots, ledger.losses, (ledger.sums, ledger.hits, *ledger.parts), check)
    for t, place in zip(changed, plan.nodes[0].states, strict=False):
        steps.assign(place, t)


def _join(plan: Plan, chain: list[int], changed: list[Tensor]) -> None:
    """Add neighbouring sums up in the first of their nodes."""
    if len(chain) < 2:
        return
    nodes = [plan.nodes[i] for i in chain]
    cards.join([node.grads for node in nodes], nodes[0].grads)
    if changed:
        cards.join([node.whole for node in nodes if node.whole is not None], nodes[0].whole)  # type: ignore[arg-type]


def _changed_without_rows(
    trainer: Trainer, frozen: list[Tensor], plan: Plan, compute: Forward, segment: int, n: int
) -> list[Tensor]:
    """Return which states a forward pass writes to, where this process has no row of the batch: from another row."""
    if not plan.states:
        values = [t.view().copy() for t in frozen]
        with Held(state, recorder=Recorder(), rows=(0, 1, n)):  # it is no part of the program
            steps.assign(trainer.slots.offset, plan.inner.offset)
            compute(plan.inner, 1, plan, segment)
        for t, value in zip(frozen, values, strict=True):
            t.view()[...] = value
        plan.notes.view()[...] = 0
        plan.states = _changed(trainer, frozen, [])
    return plan.states


def _exchange(plan: Plan, n: int, changed: list[Tensor], count: int) -> None:
    """Join what all processes hold, once per run of the program."""
    segments, at = plan.segments, bounds(n, plan.segments.count)
    first = plan.nodes[0]
    if changed:
        first.make_room(changed)
    if n not in plan.hooks:

        def held_by(rank: int) -> list[Any]:
            leaves = ((s, 0, True if at[s] < at[s + 1] else None) for s in segments.of(rank))
            return merged(leaves, lambda a, b: True)

        made = Exchange(
            segments.gang,
            [held_by(rank) for rank in range(segments.ranks)],
            [node.grads.view() for node in plan.nodes[:count]],
            [node.whole.view() for node in plan.nodes[:count] if node.whole is not None],
            plan.notes.view(),
            segments.mine,
            first.grads.view(),
            None if first.whole is None else first.whole.view(),
        )
        plan.hooks[n] = add_hook(made)
        weakref.finalize(plan, drop_hook, plan.hooks[n])
    writes = [first.grads, plan.notes, *([] if first.whole is None else [first.whole])]
    cards.call(plan.hooks[n], writes)


def _forget_rows(node: Node) -> None:
    """Let the whole gradient of a table count, and be cleared the next time: those of other segments join it."""
    for place in node.into.values():
        if place.rows is not None:
            place.rows.live = False
            ops.zeros((2,), np.int64, out=place.rows.known)


def _refuse_state(trainer: Trainer) -> None:
    for module in trainer.model.modules():
        if getattr(module, "sparse", False) is True and trainer.segments.count > 1:
            raise ShapeError(
                f"[fit] layer {module.name!r} has sparse=True, which is not known for batches in segments. "
                "help: sparse=False, or train in one process without accumulate."
            )


def _changed(trainer: Trainer, frozen: list[Tensor], known: list[Tensor]) -> list[Tensor]:
    """Return which states a forward pass writes to."""
    written = {id(y.buffer) for y in trainer.written}
    found = [t for t in frozen if id(t.buffer) in written]
    if known and [id(t) for t in known] != [id(t) for t in found]:
        raise ShapeError("[fit] the forward pass writes to other states in one segment of a batch than in another.")
    for t in found:
        if t.dtype not in FLOATS or t.dtype != found[0].dtype:
            raise ShapeError(
                f"[fit] a state of {t.dtype} cannot be averaged over the segments of a batch. help: keep it in the "
                "dtype of the weights, or train in one process without accumulate."
            )
    return found


def not_finite(trainer: Trainer) -> int | None:
    """Return the first segment of the last step whose loss was not finite."""
    for plan in trainer.plans.values():
        bad = np.flatnonzero(~np.isfinite(plan.notes.view()[:, 0]))
        return int(bad[0]) if len(bad) else None
    return None
