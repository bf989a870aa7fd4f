"""The memory of steps that compute batches in segments: a place for each sum, and what exchanges work on."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn import ops
from pynn.core.flat import ALIGN, Flat, Slots, aligned, joined, windows, within
from pynn.core.kernels.hook import add_hook, drop_hook
from pynn.core.tensor import Tensor
from pynn.distributed.exchange import SMALL, Gathering
from pynn.ops import segments as cards
from pynn.ops.optim import CHUNK_OF_SUMS as CHUNK
from pynn.train.abreast import Table

if TYPE_CHECKING:
    from pynn.train.segments import Segments

__all__ = ["Node", "Plan"]

Norm = tuple[Tensor, Callable[[], None]]

FEW = 1 << 16  # bytes of a table that are not worth a list of its rows
WRITTEN = 20  # tensors that an instruction may name


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

    def tables(self) -> tuple[int, ...]:
        """Return which gradients are known by few of their rows: of large tables, and where others are left alone.

        It follows from the network alone, so that all segments and processes say the same.
        """
        found = []
        for i, t in enumerate(self.flat.tensors):
            touched = self.into[id(t)].rows
            if touched is None or not touched.live:
                continue
            if touched.sparse or t.nbytes > FEW:
                found.append(i)
            else:
                self._count_all(i)
        return tuple(found)

    def _count_all(self, i: int) -> None:
        """Let the whole gradient of a table count, and be cleared the next time: those of other segments join it."""
        touched = self.into[id(self.flat.tensors[i])].rows
        touched.live = False
        ops.zeros((2,), np.int64, out=touched.known)

    def make_room(self, states: list[Tensor]) -> None:
        """Make room for these states, once."""
        if states and len(self.states) != len(states):
            self.states = windows(states)
            root = self.states[0].buffer.root()
            self.whole = Tensor(root, (root.nbytes // states[0].dtype.itemsize,), states[0].dtype)


def _runs(parts: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return pairs (first, end) in which those that follow each other are one."""
    found: list[tuple[int, int]] = []
    for first, end in parts:
        if found and found[-1][1] == first:
            first = found.pop()[0]
        found.append((first, end))
    return found


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
        self.joined: tuple[int, ...] = ()  # gradients that are joined already, in the first node
        self.by_rows: tuple[int, ...] | None = None  # gradients that are known by few of their rows
        self.sums: Tensor | None = None  # of squares, where the gradients are clipped by their norm
        self.divided: list[Tensor] = []  # parameters of which each process updates a share
        self.notes = Tensor.state(np.zeros((segments.count, columns)))
        self.rows: list[Tensor] = []  # of the notes
        root = self.notes.buffer
        for s in range(segments.count):
            self.rows.append(Tensor(root.view(8 * columns * s, 8 * columns), (columns,), self.notes.dtype))
        self.inner = slots.beside()
        self.inner.step = Tensor.state(np.zeros(1, np.int64))
        self.inners: dict[int, Slots] = {}  # of each segment, where they are computed side by side
        self.losses = Tensor.state(np.zeros(1))  # of a segment, which nobody reads
        self.hooks: dict[Any, int] = {}  # by rows of a batch and nodes: the exchange with other processes
        self.tables: dict[Any, Table] = {}  # by rows of a batch, place in the step, and shape

    def inner_of(self, segment: int, slots: Slots) -> Slots:
        """Return slots of a segment's own."""
        if segment not in self.inners:
            self.inners[segment] = slots.beside()
            self.inners[segment].step = Tensor.state(np.zeros(1, np.int64))
        return self.inners[segment]

    def table(self, n: int, place: int, counts: list[float], channels: int, dtype: Any) -> Table:
        """Return where the segments of a batch of n rows put together what all have to know."""
        key = n, place, tuple(counts), channels, dtype
        if key not in self.tables:
            made = self.tables[key] = Table(counts, channels, dtype)
            if self.segments.gang is not None:
                rows, of = made.parts.view(), self.segments.of
                places = [[rows[of(r).start : of(r).stop]] for r in range(self.segments.ranks)]
                made.hook = add_hook(Gathering(self.segments.gang, places, "the statistics of a batch"))
                weakref.finalize(self, drop_hook, made.hook)
        return self.tables[key]

    def pair(self, segment: int, place: int) -> Tensor:
        """Return two numbers of a segment's note."""
        row = self.rows[segment].buffer
        return Tensor(row.root().view(row.offset + 16 * place, 16), (2,), self.notes.dtype)

    def ranges(self, without: tuple[int, ...] = ()) -> list[tuple[int, int]]:
        """Return where in the gradients is what is not known by its rows, nor left out: pairs (first, end)."""
        places, found, at = [self.flat.into[id(t)] for t in self.flat.tensors], [], 0
        item = self.flat.dtype.itemsize
        for i in sorted({*(self.by_rows or ()), *without}):
            first = places[i].buffer.offset // item
            found.append((at, first))
            at = first + aligned(places[i].nbytes) // item
        return [(a, b) for a, b in (*found, (at, self.flat.grads.size)) if a < b]

    def divide(self, optimizer: Any) -> None:
        """Let each process keep its share of the slots, but of tables, of few numbers, and where a rule reads more."""
        table, tensors = optimizer.table, self.flat.tensors
        if self.segments.ranks == 1 or not optimizer.divisible:
            self.divided = []
        else:
            self.divided = [t for i, t in enumerate(tensors) if i not in (self.by_rows or ()) and self._divisible(t)]
        chosen = set(map(id, self.divided))
        table.unite([t for t in tensors if id(t) not in chosen])
        table.divide(self.divided, self.segments.gang)

    def _divisible(self, t: Tensor) -> bool:
        rows = self.flat.into[id(t)].rows
        if rows is not None and (rows.sparse or t.nbytes > FEW):
            return False
        return t.buffer.root().nbytes > SMALL and t.buffer.offset % ALIGN == 0

    def owned(self, table: Any) -> list[list[tuple[int, int]]]:
        """Return where in the gradients the share of each process is: pairs (first, end)."""
        item = self.flat.dtype.itemsize
        return [
            [(one.buffer.offset // item, one.buffer.offset // item + one.size) for one in
             joined(within(self.flat.into[id(t)], table.piece(t, r)) for t in self.divided)]
            for r in range(self.segments.ranks)
        ]  # fmt: skip

    def chunks(self, owned: list[list[tuple[int, int]]]) -> tuple[list[list[tuple[int, int]]], ...]:
        """Return, of each process, what it owns of chunks that others own parts of too, and which chunks it owns alone.

        Chunks are those of which :func:`pynn.ops.clip_norm` makes a sum each. Both are pairs (first, end).
        """
        found = [
            [(c, (max(first, c * CHUNK), min(end, (c + 1) * CHUNK))) for first, end in some
             for c in range(first // CHUNK, -(-end // CHUNK))] for some in owned
        ]  # fmt: skip
        theirs = [{c for c, _ in some} for some in found]
        often = Counter(c for some in theirs for c in some)
        alone = [_runs((c, c + 1) for c in sorted(some) if often[c] == 1) for some in theirs]
        return [_runs(part for c, part in some if often[c] > 1) for some in found], alone

    def norm(self, table: Any) -> Norm:
        """Return where the sums of squares go that a norm is made of, and what gives all processes those of all."""
        if self.sums is None:
            self.sums = Tensor.state(np.zeros(-(-self.flat.grads.size // CHUNK)))
        sums, values = self.sums, self.sums.view()

        def places() -> list[list[np.ndarray]]:
            return [[values[a:b] for a, b in some] for some in self.chunks(self.owned(table))[1]]

        return sums, lambda: self._gather("the norm of the gradients", places, [sums])

    def tell(self, table: Any) -> None:
        """Let all processes have what each has written to its share of the parameters."""

        def places() -> list[list[np.ndarray]]:
            shares = ((within(t, table.piece(t, r)) for t in self.divided) for r in range(self.segments.ranks))
            return [[one.view() for one in joined(some)] for some in shares]

        self._gather("the parameters of a step", places, joined(self.divided)[:WRITTEN])

    def _gather(self, what: str, places: Callable[[], list[list[np.ndarray]]], writes: list[Tensor]) -> None:
        key = what, *map(id, self.divided)
        if key not in self.hooks:
            self.hooks[key] = add_hook(Gathering(self.segments.gang, places(), what))
            weakref.finalize(self, drop_hook, self.hooks[key])
        cards.call(self.hooks[key], writes)

    def join(self, chain: list[int]) -> None:
        """Add up the gradients of these nodes in the first of them."""
        nodes = [self.nodes[i] for i in chain]
        for range_ in self.ranges(self.joined):
            parts = [within(node.grads, range_) for node in nodes]
            cards.join(parts, parts[0])
        for i in self.by_rows or ():
            tables = [node.into[id(self.flat.tensors[i])] for node in nodes]
            while len(tables) > 1:
                last = tables.pop()
                cards.join_rows(tables[-1], last)

    def node(self, depth: int) -> Node:
        """Return a place for a sum."""
        while len(self.nodes) <= depth:
            self.nodes.append(Node(self.flat, False))
        return self.nodes[depth]
