"""Where the batches of a training come from: arrays, or what gives batches."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pynn.core import _core
from pynn.errors import DataError
from pynn.train.data import Data, mapped
from pynn.train.feed import Feed, Part, parts_of
from pynn.train.measuring import PART
from pynn.train.resume import Position, fingerprint
from pynn.train.trainer import Trainer

__all__ = ["Arrays", "Batches", "Source", "permutation"]

MOST_ORDERED = 1 << 24  # batches: of more, as endless data say they have, no list of an order is made


def permutation(seed: int, epoch: int, n: int, shuffle: bool) -> np.ndarray:
    """Return the order of samples of the epoch-th epoch of all; a resumed run repeats it."""
    if not shuffle:
        return np.arange(n)
    return _core.permutation(n, _core.order_key(abs(seed), epoch, seed < 0))


def _spread(seed: int, epoch: int, n: int) -> Iterator[int]:
    """Yield 0 .. n - 1 in an order that takes no memory: i a + b modulo n, where a and n have no common divisor."""
    rng = np.random.default_rng([abs(seed), epoch, int(seed < 0)])
    step, at = int(rng.integers(n // 4, n // 2)), int(rng.integers(n))
    while math.gcd(step, n) > 1:
        step += 1
    for _ in range(n):
        yield at
        at = (at + step) % n


class Source:
    """Where batches come from: pieces of data, with the number of equal batches in each."""

    trainer: Trainer
    batches: int | None
    steps_per_call = 1
    shift = 0  # what earlier calls of fit() add to the epoch, for the order of its samples
    shows = False  # whether only its batches show that they are those of before
    watched = False  # whether checkpoints are made, so that passed() must answer

    def begin(self, epoch: int, resumed: bool) -> None:
        """Stand before the first batch of an epoch; a resumed training was there before."""

    def describe(self) -> dict[str, Any]:
        """Return what must be the same for a training to resume."""
        raise NotImplementedError

    def _cut(self) -> dict[str, int]:
        """Return into how many segments batches are cut, if they are."""
        segments = self.trainer.segments
        return {} if segments.alone else {"segments": segments.count}

    def passed(self) -> str | None:
        """Return a digest of the batches of this epoch so far, None if describe() covers them."""
        return None

    def permutation_digest(self, epoch: int) -> str | None:
        """Return a digest of the order of an epoch's samples."""
        return None

    def check_passed(self, position: Position) -> None:
        """Raise if the batches so far are not those before a checkpoint."""
        if self.passed() != position.passed:
            raise DataError(
                f"[fit] cannot resume: the first {position.batch} batches of epoch {position.epoch + 1} are not those "
                "before the checkpoint. help: give an iterable that yields the same batches again."
            )

    def predictions_before(self, batch: int) -> Any:
        """Return the shape of the predictions that are held after so many batches of an epoch, None if none are.

        Of several outputs it is a list of shapes.
        """
        return None

    def pieces(self, epoch: int) -> Iterator[tuple[Data, np.ndarray, int, int]]:
        """Yield (data, permutation, rows per batch, batches) parts of an epoch."""
        raise NotImplementedError

    def finish(self, data: Data, rows: np.ndarray) -> None:
        """Take in what a piece left for the metrics: predictions of these rows, in this order."""


class Arrays(Source):
    """Batches of arrays, in an order that depends on the seed and on how many epochs went before."""

    def __init__(self, trainer: Trainer, data: Data, batch_size: int, shuffle: bool):
        self.trainer, self.data, self.shuffle = trainer, data, shuffle
        data.token = object()
        self.n = min(batch_size, len(data))
        self.batches = -(-len(data) // self.n)
        self._described: dict[str, Any] | None = None
        self._order: tuple[int, str] | None = None
        self.held = len(data)  # rows whose predictions are held for the metrics, whole batches if not all
        if trainer.logged:
            shape = trainer.output_shape(data.xs)
            if all(metric.streams for metric in trainer.logged):
                row = trainer.head.row_size(shape) * trainer.model.dtype.itemsize
                self.held = min(self.held, max(1, PART // max(1, row) // self.n) * self.n)
            data.predictions = trainer.head.room(shape, self.held, trainer.model.dtype)

    def describe(self) -> dict[str, Any]:
        """Return sizes, settings and a digest of the data."""
        data = self.data
        if self._described is None:
            plain = Data(data.xs, data.y)
            arrays = [f"{a.dtype} {list(a.shape)}" for a in plain.arrays()]
            weighted = data.w is not None
            self._described = {"batch_size": self.n, "shuffle": bool(self.shuffle), "arrays": arrays}
            self._described |= {"sample_weight": weighted, "digest": _fingerprint(data)}
        return {**self._described, **self._cut()}

    def permutation_digest(self, epoch: int) -> str | None:
        """Return a digest of the order of an epoch's samples."""
        if self._order is None or self._order[0] != epoch + self.shift:
            order = permutation(self.trainer.seed, epoch + self.shift, len(self.data), self.shuffle)
            self._order = epoch + self.shift, fingerprint(order)
        return self._order[1]

    def predictions_before(self, batch: int) -> Any:
        """Return the shape of the predictions that are held after so many batches of an epoch, None if none are."""
        held = self.data.predictions
        whole = len(self.data) // self.n
        done = batch % (whole if self.held == len(self.data) else self.held // self.n) if batch < whole else 0
        return mapped(lambda room: (done * self.n, *room.shape[1:]), held) if done else None

    def pieces(self, epoch: int) -> Iterator[tuple[Data, np.ndarray, int, int]]:
        """Yield the whole batches, at once if their predictions can be held, then the partial last one."""
        perm = permutation(self.trainer.seed, epoch + self.shift, len(self.data), self.shuffle)
        whole, rest = divmod(len(perm), self.n)
        if self.held == len(perm):
            yield self.data, perm, self.n, whole
        else:
            step = self.held // self.n
            for i in range(0, whole, step):
                yield self.data, perm[i * self.n : (i + step) * self.n].copy(), self.n, min(step, whole - i)
        if rest:  # the partial last batch is a second, small program on the rows that remain
            yield self._tail(rest), perm[whole * self.n :].copy(), rest, 1

    def _tail(self, rest: int) -> Data:
        data = self.data
        if data.predictions is None:
            return data
        room = mapped(lambda room: room[len(room) - rest :], data.predictions)
        return Data(data.xs, data.y, data.w, room, data.token)

    def finish(self, data: Data, rows: np.ndarray) -> None:
        """Give the metrics the predictions of the rows."""
        if data.predictions is None or not len(rows):
            return
        y, w = (mapped(lambda a: a[rows], part) for part in (data.y, data.w))
        self.trainer.head.gather(y, mapped(lambda room: room[: len(rows)], data.predictions), w)


class Batches(Source):
    """Batches of (x, y) or (x, y, sample_weight) that were given as such.

    What is asked by index is asked in an order of its own in every pass, as arrays are; anything else as it comes.
    """

    shows = True

    def __init__(self, trainer: Trainer, feed: Feed, class_weight: Any, shuffle: bool = False):
        self.trainer, self.feed, self.class_weight, self.shuffle = trainer, feed, class_weight, shuffle
        self.batches = feed.batches
        self._passed = ""

    def begin(self, epoch: int, resumed: bool) -> None:
        """Stand before the first batch of an epoch."""
        self.feed.begin(epoch, resumed)

    def _ordering(self, number: int, count: int) -> Iterable[int]:
        if not self.shuffle:
            return range(count)
        if count > MOST_ORDERED:
            return _spread(self.trainer.seed, number + self.shift, count)
        return permutation(self.trainer.seed, number + self.shift, count, True)

    def describe(self) -> dict[str, Any]:
        """Return the number of batches."""
        return {"batches": self.batches, **self._cut()}

    def passed(self) -> str | None:
        """Return a digest of the batches of this epoch so far."""
        return self._passed

    def pieces(self, epoch: int) -> Iterator[tuple[Data, np.ndarray, int, int]]:
        """Yield each batch."""
        self._passed = ""
        if self.trainer.segments.gang is not None and hasattr(self.feed.given, "part") and not self.trainer.logged:
            self.feed.rows = self.trainer.segments.rows
        for batch in self.feed.read(epoch, self._ordering):
            if isinstance(batch, Part):  # the rows of this process; the order of the batch leads to them
                order = np.zeros(batch.n, np.int64)
                order[batch.rows.start : batch.rows.stop] = np.arange(len(batch.rows))
                yield self.trainer.data(*parts_of(batch.batch, "fit"), self.class_weight), order, batch.n, 1
                continue
            data = self.trainer.data(*parts_of(batch, "fit"), self.class_weight)
            if self.watched:  # a chain: the digest of what was before, and of this batch
                digest = self._passed + _fingerprint(data)
                self._passed = hashlib.sha256(digest.encode()).hexdigest()
            if self.trainer.logged:
                shape = self.trainer.output_shape(data.xs)
                data.predictions = self.trainer.head.room(shape, len(data), self.trainer.model.dtype)
            yield data, np.arange(len(data)), len(data), 1

    def finish(self, data: Data, rows: np.ndarray) -> None:
        """Give the metrics the predictions of the batch."""
        self.trainer.head.gather(data.y, data.predictions, data.w)


def _fingerprint(data: Data) -> str:
    """Return a digest of inputs, targets and weights."""
    parts = [a for part in (data.y, data.w) for a in (part if type(part) is list else (part,))]
    return fingerprint(*data.xs, *parts)
