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
from pynn.core.config import get_device
from pynn.core.flat import Slots
from pynn.core.kernels.hook import add_hook, drop_hook
from pynn.core.state import state
from pynn.core.tensor import FLOATS, Tensor
from pynn.distributed.exchange import Exchange, merged
from pynn.distributed.failing import note_training
from pynn.distributed.joined import current
from pynn.distributed.rows import Listed, Rows
from pynn.errors import ShapeError
from pynn.ops import segments as cards
from pynn.ops import steps
from pynn.train.abreast import Abreast, Strand
from pynn.train.sums import Node, Plan

if TYPE_CHECKING:
    from pynn.train.trainer import Trainer

__all__ = ["Segments", "bounds", "not_finite", "segmented_step", "segments_of"]


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
    plan.by_rows, plan.joined = None, ()
    at = bounds(n, segments.count)
    modules = list(trainer.model.modules())
    shares = any(_shares(module) for module in modules)
    frozen = [m._weights[key] for m in modules if not _shares(m) for key in sorted(m._frozen)]
    before = [ops.copy(t) for t in frozen]  # what nobody reads is no part of the program
    way = _side_by_side if shares or _whole_products(segments, modules, n) else _one_after_the_other
    nodes, changed = way(trainer, plan, n, at, frozen, before, compute, write)
    for t, old in zip(frozen, before, strict=True):
        if any(t is c for c in changed):
            steps.assign(old, t)
    if segments.gang is None:
        _join(plan, nodes, changed)
    else:
        plan.divide(trainer.optimizer)
        _exchange(trainer, plan, n, changed, nodes)
    ledger = trainer.ledger
    cards.log(plan.notes, ledger.slots, ledger.losses, (ledger.sums, ledger.hits, *ledger.parts), check)
    for t, place in zip(changed, plan.nodes[0].states, strict=False):
        steps.assign(place, t)


FEW_ROWS = 64  # of a segment: products of so many take no longer than those of more


def _whole_products(segments: Segments, modules: list[Any], n: int) -> bool:
    """Tell whether dense and recurrent layers are worth computing for all segments at once.

    They are if that takes no more memory than a sum.
    """
    products = [m.product_of_rows() for m in modules if hasattr(m, "product_of_rows") and "w" in m._weights]
    weights, numbers = sum(product[0] for product in products), sum(product[1] for product in products)
    few = get_device() == "cpu" and len(segments.mine) > 1 and 2 * segments.count <= n < FEW_ROWS * segments.count
    return few and weights >= LARGE and n * numbers <= MEMORY * weights


LARGE = 1 << 16  # weights that are worth it
MEMORY = 2  # numbers that may be held for each of them


def _shares(module: Any) -> bool:
    """Tell whether a layer, while it is trained, has to know something of all segments."""
    return bool(getattr(module, "sync", False)) and module.trainable


Way = tuple[list[int], list[Tensor]]  # nodes of the sums that are left over, and states that were written to


def _one_after_the_other(
    trainer: Trainer, plan: Plan, n: int, at: list[int], frozen: list[Tensor], before: list[Tensor],
    compute: Forward, write: Callable[..., None],
) -> Way:  # fmt: skip
    """Compute each segment from its beginning to its end: in the memory of one."""
    segments = trainer.segments
    held: list[tuple[int, int]] = []  # (level, node) of each sum, -1 of an empty one
    changed: list[Tensor] = []
    full = _full(segments, at)
    for s in segments.mine:
        node = -1
        rows, first = (at[s + 1] - at[s], at[s]) if full else (int(s == segments.mine.start), 0)
        cards.begin(s, first, plan.rows[s], trainer.slots, plan.inner)
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
            _keep(plan, here, changed, changed, rows, n)
        if full:
            _merge(plan, held, s, node, changed)
        elif rows:
            cards.begin(s, at[s], plan.rows[s], trainer.slots, plan.inner)  # what it noted does not count
    return [node for _, node in held if node >= 0], changed


def _full(segments: Segments, at: list[int]) -> list[int]:
    """Return which segments of this process have rows.

    One that has none computes another's row beside the others, so that it makes the same program, and drops what comes.
    """
    return [s for s in segments.mine if at[s] < at[s + 1]]


def _side_by_side(
    trainer: Trainer, plan: Plan, n: int, at: list[int], frozen: list[Tensor], before: list[Tensor],
    compute: Forward, write: Callable[..., None],
) -> Way:  # fmt: skip
    """Compute all segments at once, for layers that have to know something of all."""
    segments = trainer.segments
    full = _full(segments, at)
    whole = _whole_products(segments, list(trainer.model.modules()), n)
    abreast = Abreast(at, lambda *what: plan.table(n, *what), whole and len(full) == len(segments.mine))
    strands = []
    for node, s in enumerate(full or segments.mine[:1]):
        first, rows = (at[s], at[s + 1] - at[s]) if full else (0, 1)

        def work(s: int = s, node: int = node, first: int = first, rows: int = rows) -> None:
            slots = plan.inner_of(s, trainer.slots)
            with Held(state, shared=abreast, rows=(first, first + rows, n)):
                loss = compute(slots, rows, plan, s)
                write(loss, plan.flat, slots, plan.node(node).into, rows / n)

        strands.append(Strand(s, rows, work))
    for s in segments.mine:
        cards.begin(s, at[s] if full else 0, plan.rows[s], trainer.slots, plan.inner_of(s, trainer.slots))
    abreast.run(strands, frozen, before)
    changed = _changed(trainer, frozen, [])
    plan.joined = tuple(i for i, t in enumerate(plan.flat.tensors) if id(t) in abreast.joined)
    for node, strand in enumerate(strands):
        values = [kept for t, kept in zip(frozen, strand.saved, strict=True) if any(t is c for c in changed)]
        _keep(plan, plan.node(node), changed, values, strand.rows, n)
    if not full:
        s = segments.mine.start
        cards.begin(s, at[s], plan.rows[s], trainer.slots, plan.inner_of(s, trainer.slots))
        return [], changed
    held: list[tuple[int, int]] = []
    for s in segments.mine:
        _merge(plan, held, s, full.index(s) if s in full else -1, changed)
    return [node for _, node in held if node >= 0], changed


def _keep(plan: Plan, node: Node, changed: list[Tensor], values: list[Tensor], rows: int, n: int) -> None:
    """Keep what a segment has made of the states that a forward pass writes to, beside its gradients."""
    tables = node.tables()
    if plan.by_rows not in (None, tables):
        raise ShapeError("[fit] a table is looked up in one segment of a batch, and not in another.")
    plan.by_rows = tables
    if changed:
        node.make_room(changed)
        for value, place in zip(values, node.states, strict=True):
            steps.assign(ops.mul(value, rows / n), place)


def _merge(plan: Plan, held: list[tuple[int, int]], segment: int, node: int, changed: list[Tensor]) -> None:
    """Add a segment's sum to those of its neighbours to the left that are as large."""
    chain, level, index = [node] if node >= 0 else [], 0, segment
    while index & 1 and held and held[-1][0] == level:
        _, other = held.pop()
        chain = [other, *chain] if other >= 0 else chain
        level, index = level + 1, index >> 1
    _join(plan, chain, changed)
    held.append((level, chain[0] if chain else -1))


def _join(plan: Plan, chain: list[int], changed: list[Tensor]) -> None:
    """Add neighbouring sums up in the first of their nodes."""
    if len(chain) < 2:
        return
    plan.join(chain)
    if changed:
        nodes = [plan.nodes[i] for i in chain]
        cards.join([node.whole for node in nodes if node.whole is not None], nodes[0].whole)  # type: ignore[arg-type]


def _exchange(trainer: Trainer, plan: Plan, n: int, changed: list[Tensor], nodes: list[int]) -> None:
    """Join what all processes hold, once per run of the program: of what is divided, each the sums of its share."""
    segments, at = plan.segments, bounds(n, plan.segments.count)
    first = plan.nodes[0]
    if changed:
        first.make_room(changed)
    every = bool(trainer.before_update) or trainer.optimizer.reads_all
    clipped = trainer.optimizer.clip_norm is not None
    key = n, tuple(nodes), plan.by_rows, every, clipped, tuple(map(id, plan.divided))
    if key not in plan.hooks:
        owned = plan.owned(trainer.optimizer.table)
        held = [plan.nodes[i] for i in nodes]

        def held_by(rank: int) -> list[Any]:
            leaves = ((s, 0, True if at[s] < at[s + 1] else None) for s in segments.of(rank))
            return merged(leaves, lambda a, b: True)

        made = Exchange(
            segments.gang,
            [held_by(rank) for rank in range(segments.ranks)],
            [node.grads.view() for node in held],
            [node.whole.view() for node in held if node.whole is not None],
            plan.notes.view(),
            segments.mine,
            first.grads.view(),
            None if first.whole is None else first.whole.view(),
            plan.ranges(tuple(i for i, t in enumerate(plan.flat.tensors) if id(t) in key[-1])),
            owned,
            owned if every else plan.chunks(owned)[0] if clipped else [[] for _ in owned],
            [_rows_of(plan, i, held) for i in plan.by_rows or ()],
        )
        plan.hooks[key] = add_hook(made)
        weakref.finalize(plan, drop_hook, plan.hooks[key])
    writes = [first.grads, plan.notes, *([] if first.whole is None else [first.whole])]
    for i in plan.by_rows or ():
        touched = first.into[id(plan.flat.tensors[i])].rows
        writes += [touched.marked, touched.rows, touched.count]
    cards.call(plan.hooks[key], writes)


def _rows_of(plan: Plan, i: int, held: list[Node]) -> Rows:
    """Return what is exchanged of a table: the rows of this process's sums; the total goes to the first node."""

    def listed(node: Node) -> Listed:
        place = node.into[id(plan.flat.tensors[i])]
        return Listed(place.view(), *(t.view() for t in (place.rows.marked, place.rows.rows, place.rows.count)))

    total = listed(plan.nodes[0])
    return Rows(plan.segments.gang, [total if node is plan.nodes[0] else listed(node) for node in held], total)


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
