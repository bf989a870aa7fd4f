"""Segments of a batch that are computed side by side, where one has to know something of all: batch normalization.

Each runs in a thread of its own, one at a time: until it asks for something that all have to give their share of, when
the next one has its turn. What they compute is recorded one after the other, as everything is; a program that is
replayed knows nothing of threads.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pynn import ops
from pynn._blocks import Held
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops import segments as cards
from pynn.ops import steps

__all__ = ["Abreast", "Strand", "Table"]


class Table:
    """What all segments give at one place: two rows of numbers each, and how many values these stand for.

    Parameters
    ----------
    counts : sequence of float
        Of each segment.
    channels : int
    dtype : dtype
    """

    def __init__(self, counts: Sequence[float], channels: int, dtype: Any):
        self.parts = Tensor.state(np.zeros((len(counts), 2, channels), dtype))
        self.counts = Tensor.state(np.array(counts, np.float64))
        self.hook: int | None = None  # gives it to all ranks

    def pair(self, segment: int) -> tuple[Tensor, Tensor]:
        """Return where a segment writes."""
        _, _, channels = self.parts.shape
        nbytes, whole = channels * self.parts.dtype.itemsize, self.parts.buffer
        first, second = (
            Tensor(whole.view((2 * segment + k) * nbytes, nbytes), (channels,), self.parts.dtype) for k in range(2)
        )
        return first, second


class _Dropped(BaseException):
    """Another segment has failed."""


class Strand:
    """The computation of one segment, which pauses where it needs something of the others.

    Attributes
    ----------
    segment, rows : int
    saved : list of Tensor
        What it has made of the states that a forward pass writes to, so far.
    places : int
        How many times it has paused.
    """

    def __init__(self, segment: int, rows: int, function: Callable[[], None]):
        self.segment, self.rows, self.function = segment, rows, function
        self.saved: list[Tensor] = []
        self.places = 0
        self.done = self.dropped = False
        self.asked: Any = None
        self.answer: Any = None
        self.error: BaseException | None = None
        self.turn, self.back = threading.Semaphore(0), threading.Semaphore(0)
        self.held = dict(vars(state))  # of this thread
        self.thread = threading.Thread(target=contextvars.copy_context().run, args=(self._run,), daemon=True)

    def _run(self) -> None:
        self.turn.acquire()
        vars(state).update(self.held)
        try:
            if not self.dropped:
                self.function()
        except BaseException as error:
            self.error = error
        finally:
            self.done = True
            self.back.release()

    def go(self) -> None:
        """Let it run until it pauses or is done; raises what it raised."""
        if self.thread.ident is None:
            self.thread.start()
        self.turn.release()
        try:
            self.back.acquire()
        except BaseException:  # Ctrl-C: nothing else may run beside it
            self.dropped = True
            self.back.acquire()
            raise
        if self.error is not None:
            raise self.error

    def pause(self, asked: Any) -> Any:
        """Wait, in its thread, for an answer."""
        self.asked = asked
        self.back.release()
        self.turn.acquire()
        if self.dropped:
            raise _Dropped
        return self.answer

    def drop(self) -> None:
        """End it, if it has begun."""
        if self.thread.ident is not None and not self.done:
            self.dropped = True
            self.turn.release()
            self.back.acquire()


class Abreast:
    """Segments side by side.

    Parameters
    ----------
    at : sequence of int
        Where the segments of a batch begin, and its rows.
    table : callable (place, counts, channels, dtype) -> Table
        Returns the one for a place of the computation, which lasts as long as a program does.
    whole : bool
        Whether products may be those of all rows of this process.

    Attributes
    ----------
    products : dict of int to object
        Of all rows, by their numbers.
    joined : set of int
        id() of the parameters whose gradients are joined already, in the place of the first segment.
    """

    def __init__(self, at: Sequence[int], table: Callable[..., Table], whole: bool):
        self.at, self.table, self.whole = at, table, whole
        self.running: Strand | None = None
        self.strands: list[Strand] = []
        self.products: dict[int, Any] = {}
        self.joined: set[int] = set()

    def together(
        self, x: Tensor, give: Callable[[Tensor, Tensor], None], finish: Callable[[Tensor, Tensor], Any]
    ) -> Any:
        """Give this segment's share and return what is made of all of them.

        Parameters
        ----------
        x : Tensor [N, ..., C]
            What the share is made of.
        give : callable (Tensor [C], Tensor [C])
            Writes it there.
        finish : callable (parts, counts) -> result
            Called once, with the shares of all segments [S, 2, C], and how many values of x they stand for.
        """
        strand = self.running
        assert strand is not None
        each = x.size // x.shape[-1] / strand.rows
        counts = [each * (b - a) for a, b in zip(self.at, self.at[1:], strict=False)]
        table = self.table(strand.places, counts, x.shape[-1], x.dtype)
        strand.places += 1
        give(*table.pair(strand.segment))

        def answer(asked: list[Any]) -> list[Any]:
            if table.hook is not None:
                cards.call(table.hook, [table.parts])
            return [finish(table.parts, table.counts)] * len(asked)

        return self.ask(("table", id(table)), None, answer, apart=False)

    def ask(self, key: Any, given: Any, answer: Callable[[list[Any]], list[Any]], apart: bool) -> Any:
        """Give this segment's part, and return its part of what is made of all that ask the same.

        Parameters
        ----------
        key : tuple
            What is asked.
        given : object
        answer : callable
            Takes what the segments gave, of those that asked, and returns what each of them gets.
        apart : bool
            Whether some may ask this and others something else; else it has to be all of them, of all processes.
        """
        assert self.running is not None
        return self.running.pause((key, given, answer, apart, state.scope))

    def cuts(self, counts: list[int]) -> Tensor | None:
        """Return where the parts of a product begin, of so many rows, if all segments have one and become one sum."""
        all_of_them = len(counts) == len(self.strands) and len(counts) & (len(counts) - 1) == 0
        if not all_of_them or not self.whole:
            return None
        return Tensor.state(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    def run(self, strands: list[Strand], states: list[Tensor], before: list[Tensor]) -> None:
        """Run all to their ends; `states` are for each what they were `before`, and left so."""
        self.strands = ready = strands
        try:
            while ready:
                for strand in ready:
                    for t, kept in zip(states, strand.saved, strict=False):
                        steps.assign(kept, t)
                    self.running = strand
                    strand.go()
                    strand.saved = [ops.copy(t) for t in states]
                    for t, old in zip(states, before, strict=True):
                        steps.assign(old, t)
                waiting = [strand for strand in strands if not strand.done]
                ready = [strand for strand in waiting if strand.asked[3]] or waiting
                groups: dict[Any, list[Strand]] = {}
                for strand in ready:
                    groups.setdefault(strand.asked[0], []).append(strand)
                if ready and not ready[0].asked[3] and (len(groups) > 1 or len(ready) < len(strands)):
                    raise ShapeError(
                        "[fit] the forward pass normalizes in other places in one segment of a batch than in another. "
                        "help: BatchNormalization(sync=False)."
                    )
                for group in groups.values():
                    with Held(state, shared=self, scope=group[0].asked[4]):
                        answers = group[0].asked[2]([strand.asked[1] for strand in group])
                    for strand, answer in zip(group, answers, strict=True):
                        strand.answer = answer
        finally:
            for strand in strands:
                strand.drop()
