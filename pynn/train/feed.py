"""What gives batches: lists of them, iterables, generators, and objects that are asked by index."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pynn.core.foreign import by_index, is_array
from pynn.errors import DataError, ShapeError, warn

__all__ = ["Feed", "Part", "gives_batches", "inputs_of", "is_batch", "is_packed", "joined", "parts_of", "unpack"]

Order = Callable[[int, int], Iterable[int]]  # (pass, number of batches) -> the order in which they are asked for

_NO_BATCHES = (tuple, str, bytes, bytearray, memoryview, range, array.array, np.generic, Mapping)


def gives_batches(x: Any) -> bool:
    """Tell whether x gives batches of (x, y), and is neither data nor the pair (x, y) itself.

    Examples
    --------
    >>> a, b = np.ones((4, 2)), np.ones(4)
    >>> gives_batches([(a, b), (a, b)]), gives_batches([a, b]), gives_batches(a)
    (True, False, False)
    """
    if isinstance(x, _NO_BATCHES) or is_array(x):
        return False
    if isinstance(x, list):
        return not is_packed(x)
    return isinstance(x, Iterable) or by_index(x)


def is_packed(x: Any) -> bool:
    """Tell whether x is a pair (x, y) or a triple (x, y, sample_weight), rather than a list of batches."""
    if not isinstance(x, (tuple, list)) or len(x) not in (2, 3):
        return False
    return isinstance(x, tuple) or not all(is_batch(item) for item in x)


def is_batch(item: Any) -> bool:
    """Tell whether an element of a list looks like (x, y) or (x, y, sample_weight)."""
    if isinstance(item, tuple):
        return True
    return isinstance(item, list) and len(item) in (2, 3) and all(is_array(part) for part in item)


def unpack(x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
    """Return (x, y, weight) of what may be packed in a tuple."""
    if y is None and isinstance(x, (tuple, list)) and len(x) in (2, 3):
        y, weight = x[1], x[2] if len(x) == 3 else weight
        x = x[0]
    return x, y, weight


class Part(NamedTuple):
    """Some rows of a batch of n, as what gives batches has them."""

    batch: Any
    rows: range
    n: int


class Feed:
    """Batches as they were given, pass by pass.

    Parameters
    ----------
    given : iterable, iterator or object with __len__ and __getitem__
    place : str
        For messages.
    steps : int, optional
        Batches per pass. They are then read on from pass to pass; what ends and can be read again begins anew.
    steps_name : str
        What the caller's argument is called.

    Attributes
    ----------
    batches : int or None
        Batches per pass, if that is known.
    indexed : bool
        Whether batches are asked for by index, in any order.
    """

    def __init__(self, given: Any, place: str, steps: int | None = None, steps_name: str = "steps"):
        self.given, self.place, self.steps, self.steps_name = given, place, steps, steps_name
        self.indexed = by_index(given)
        self.passing = isinstance(given, Iterator)  # can be read once, for all one knows
        length = _length(given)
        self.batches = length if steps is None else steps
        self._stream: Iterator[Any] | None = None
        self._start = 0  # the batch of the stream that comes first
        self._read_before = False
        self.rows: Callable[[int], range] | None = None  # of so many, which are wanted of a batch
        self._short = False  # it has been said that there are fewer batches than len() tells

    def again(self) -> Feed:
        """Return what reads the same from the beginning; an iterator goes on where it stands."""
        return self if self.passing else Feed(self.given, self.place, self.steps, self.steps_name)

    def refuse_passes(self, passes: int, what: str) -> None:
        """Raise before anything is read if so many passes are not to be had."""
        # Only an iterator of Python's own is known to give nothing again; a class may rewind in __iter__.
        if passes > 1 and self.steps is None and self.passing and type(self.given).__module__ in _PYTHON:
            raise DataError(
                f"[{self.place}] {what} is a {type(self.given).__name__}, which can be read once: {passes} epochs read "
                f"it {passes} times. help: give a list of batches, an object whose __iter__ begins anew, or "
                f"{self.steps_name} with a generator that goes on."
            )

    def begin(self, number: int, resumed: bool) -> None:
        """Make pass `number` the first one; a resumed reading leaves out the batches of those before."""
        if self.steps is not None and (resumed or self.indexed):
            self._start = number * self.steps

    def read(self, number: int = 0, order: Order | None = None) -> Iterator[Any]:
        """Yield the batches of a pass."""
        if self.steps is None:
            given = 0
            for batch in self._pass(number, order):
                given += 1
                yield batch
            if not given:
                self._refuse_empty(number)
            if self.batches is not None and given < self.batches and not self._short:
                self._short = True
                warn(
                    f"[{self.place}] expected {self.batches} batches, as len() of the {type(self.given).__name__} "
                    f"says. Received: {given}. help: correct its __len__, or make it give all of them."
                )
            self._read_before = True
            return
        if self._stream is None:
            self._stream = self._endless(order)
        for done in range(self.steps):
            try:
                batch = next(self._stream)
            except StopIteration:
                raise DataError(
                    f"[{self.place}] expected {self.steps_name}={self.steps} batches. Received: {done}, then the "
                    f"{type(self.given).__name__} was used up. help: give one that goes on (while True: ...), a list, "
                    "or an object whose __iter__ begins anew."
                ) from None
            yield batch

    def _refuse_empty(self, number: int) -> None:
        again = " again" if self._read_before or (number and self.passing) else ""
        remedy = "give a list of batches, or an object whose __iter__ begins anew." if again else "it gave no batch."
        raise DataError(
            f"[{self.place}] the iterable of batches is empty{again}. help: pass one that can be read once per epoch: "
            f"{remedy}"
        )

    def _pass(self, number: int, order: Order | None) -> Iterator[Any]:
        if not self.indexed:
            # "yield from" would close a generator with which the program goes on.
            for batch in self.given:  # noqa: UP028
                yield batch
            return
        count = _need_length(self.given, self.place)
        for i in range(count) if order is None else order(number, count):
            yield self.given[int(i)] if self.rows is None else self._part(int(i), self.rows)
        ended = getattr(self.given, "on_epoch_end", None)  # what Keras calls, for an order of one's own
        if callable(ended):
            ended()

    def _part(self, i: int, rows: Callable[[int], range]) -> Part:
        """Return some rows of a batch, at least one."""
        n = self.given.batch_rows(i)
        wanted = rows(n) or range(1)
        return Part(self.given.part(i, wanted), wanted, n)

    def _endless(self, order: Order | None) -> Iterator[Any]:
        number, skip = 0, self._start
        if self.indexed:
            number, skip = divmod(self._start, max(1, _need_length(self.given, self.place)))
        while True:
            given = 0
            for batch in self._pass(number, order):
                given += 1
                if skip:
                    skip -= 1
                    continue
                yield batch
            if not given or self.passing:
                return
            number += 1


_PYTHON = ("builtins", "itertools")


def _length(given: Any) -> int | None:
    """Return len(given), None if it does not say: some loaders have the method and raise."""
    try:
        return len(given)
    except (TypeError, NotImplementedError):
        return None


def _need_length(given: Any, place: str) -> int:
    count = _length(given)
    if count is None:
        raise DataError(
            f"[{place}] expected len() to tell how many batches there are. Received: a {type(given).__name__} whose "
            "len() fails. help: define __len__, or __iter__."
        )
    return count


def parts_of(batch: Any, place: str) -> tuple[Any, Any, Any]:
    """Return (x, y, sample_weight) of a batch."""
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        raise DataError(
            f"[{place}] expected batches of (x, y) or (x, y, sample_weight). "
            f"Received: {type(batch).__name__}{f' of {len(batch)}' if hasattr(batch, '__len__') else ''}."
        )
    if batch[1] is not None and not isinstance(batch[1], Mapping) and not is_array(batch[1]) and _is_single(batch[1]):
        raise ShapeError(
            f"[{place}] expected batches of (x, y), with a row for each sample. Received: y={batch[1]!r}, a single "
            "sample. help: torch.utils.data.DataLoader(dataset, batch_size=32) makes batches of samples."
        )
    return unpack(tuple(batch), None, None)


def _is_single(y: Any) -> bool:
    """Tell whether y is one number or text, rather than a row for each sample, or arrays of several outputs."""
    return not isinstance(y, (list, tuple)) and np.ndim(y) == 0


def inputs_of(batch: Any, count: int | None) -> Any:
    """Return what of a batch the model takes, if predictions are asked for: targets are left out.

    Parameters
    ----------
    batch : array_like, or tuple (x,), (x, y) or (x, y, sample_weight)
    count : int or None
        How many inputs the model has, if that is known.
    """
    if not isinstance(batch, tuple) and not (isinstance(batch, list) and all(is_array(part) for part in batch)):
        return batch
    several = count is not None and count > 1
    if several and len(batch) == count and not isinstance(batch[0], (tuple, list)):
        return tuple(batch)
    return batch[0] if len(batch) in (1, 2, 3) else batch


def joined(outs: Sequence[np.ndarray], place: str) -> np.ndarray:
    """Return the rows of all batches in one array."""
    if len(outs) == 1:
        return outs[0]
    shapes = {out.shape[1:] for out in outs}
    if len(shapes) > 1:
        first, other = sorted(shapes)[:2]
        raise ShapeError(
            f"[{place}] expected batches whose outputs have one shape. Received: (N, {str(first)[1:-1]}) and "
            f"(N, {str(other)[1:-1]}). help: pad the batches to one length, or predict them one by one."
        )
    return np.concatenate(outs)
