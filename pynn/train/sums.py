"""The memory of steps that compute batches in segments: a place for each sum, and what exchanges work on."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn import ops
from pynn.core.flat import Flat, Slots, windows
from pynn.core.kernels.hook import add_hook, drop_hook
from pynn.core.tensor import Tensor
from pynn.distributed.exchange import Gathering
from pynn.ops import segments as cards
from pynn.train.abreast import Table

if TYPE_CHECKING:
    from pynn.train.segments import Segments

__all__ = ["Node", "Plan"]

FEW = 1 << 16  # bytes of a table that are not worth a list of its rows


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


def _part(whole: Tensor, first: int, end: int) -> Tensor:
    if (first, end) == (0, whole.size):
        return whole
    item = whole.dtype.itemsize
    return Tensor(whole.buffer.view(first * item, (end - first) * item), (end - first,), whole.dtype)


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
                made.hook = add_hook(Gathering(self.segments.gang, made.parts.view(), self.segments.of))
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
            at = first + places[i].size
        return [(a, b) for a, b in (*found, (at, self.flat.grads.size)) if a < b]

    def join(self, chain: list[int]) -> None:
        """Add up the gradients of these nodes in the first of them."""
        nodes = [self.nodes[i] for i in chain]
        for range_ in self.ranges(self.joined):
            parts = [_part(node.grads, *range_) for node in nodes]
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
