"""Sequences of different lengths, in one array or in batches of like lengths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from pynn.checks import integer, positive
from pynn.errors import DataError, DTypeError, ShapeError
from pynn.keywords import spelled
from pynn.text.windows import as_ids

__all__ = ["LengthBuckets", "bucket_by_length", "pad_sequences", "sequence_lengths"]

SIDES = ("pre", "post")


@spelled
def pad_sequences(
    sequences: Iterable[Any],
    maxlen: int | None = None,
    *,
    padding: str = "post",
    truncating: str = "pre",
    value: int = 0,
) -> np.ndarray:
    """Return sequences of ids as the rows of one array.

    Parameters
    ----------
    sequences : iterable of int array_like [tokens]
    maxlen : int, optional
        Columns of the array. Default: the length of the longest sequence.
    padding : {"post", "pre"}, default "post"
        The side that short sequences are filled up on. Recurrent layers leave out padding on the right ("post");
        Keras's default is "pre".
    truncating : {"pre", "post"}, default "pre"
        The side that long sequences lose: "pre" keeps the last `maxlen` ids.
    value : int, default 0
        What is filled in.

    Returns
    -------
    ndarray
        int32 [sequences, maxlen].

    Raises
    ------
    DataError
        If there is no sequence, or nothing but empty ones and no `maxlen`.

    See Also
    --------
    sequence_lengths : How many of the columns of each row are real.

    Examples
    --------
    >>> pad_sequences([[5, 6, 7, 8], [9]], maxlen=3)
    array([[6, 7, 8],
           [9, 0, 0]], dtype=int32)
    >>> pad_sequences([[5, 6, 7, 8], [9]], maxlen=3, padding="pre", truncating="post")
    array([[5, 6, 7],
           [0, 0, 9]], dtype=int32)
    """
    place = "pad_sequences"
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in SIDES:
            raise ValueError(f"[{place}] expected {name} to be 'pre' or 'post'. Received: {side!r}.")
    rows = _rows(place, sequences)
    lengths = [len(row) for row in rows]
    columns = max(lengths) if maxlen is None else positive(place, "maxlen", maxlen)
    if columns == 0:
        raise DataError(f"[{place}] expected a sequence that is not empty, or maxlen. Received: empty ones alone.")
    out = np.empty((len(rows), columns), np.int32)
    out[:] = as_ids(place, "value", [value])
    for target, row in zip(out, rows, strict=True):
        if len(row) > columns:
            row = row[-columns:] if truncating == "pre" else row[:columns]
        if len(row):
            target[slice(None, len(row)) if padding == "post" else slice(-len(row), None)] = row
    return out


def sequence_lengths(sequences: Iterable[Any], maxlen: int | None = None) -> np.ndarray:
    """Return the number of ids in each sequence, at most `maxlen`: the columns that pad_sequences fills with them.

    Parameters
    ----------
    sequences : iterable of int array_like [tokens]
    maxlen : int, optional

    Returns
    -------
    ndarray
        int32 [sequences].

    Examples
    --------
    >>> sequence_lengths([[5, 6, 7, 8], [9]], maxlen=3)
    array([3, 1], dtype=int32)
    """
    place = "sequence_lengths"
    limit = np.iinfo(np.int32).max if maxlen is None else positive(place, "maxlen", maxlen)
    return np.array([min(len(row), limit) for row in _rows(place, sequences)], np.int32)


def _rows(place: str, sequences: Iterable[Any]) -> list[np.ndarray]:
    if isinstance(sequences, str):
        raise DTypeError(f"[{place}] expected sequences of ids. Received: a string. help: encode texts first.")
    rows = [as_ids(place, f"sequences[{i}]", row) for i, row in enumerate(sequences)]
    if not rows:
        raise DataError(f"[{place}] expected at least one sequence. Received: none.")
    return rows


class LengthBuckets:
    """Batches of sequences of like lengths, as :func:`bucket_by_length` makes them.

    Each ``iter()`` is a pass over all sequences in an order of its own, which depends on the seed and on the number of
    passes begun before it.
    """

    def __init__(self, buckets: list[tuple[np.ndarray, np.ndarray]], batch_size: int, shuffle: bool, seed: int):
        self._buckets, self._batch_size, self._shuffle, self._seed = buckets, batch_size, shuffle, seed
        self.passes = 0  # begun so far

    def __len__(self) -> int:
        """Return the number of batches of a pass."""
        return sum(-(-len(x) // self._batch_size) for x, _ in self._buckets)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Begin a pass: batches (x, y)."""
        rng = np.random.default_rng([self._seed, self.passes])
        self.passes += 1
        batches = []
        for bucket, (x, _) in enumerate(self._buckets):
            order = rng.permutation(len(x)) if self._shuffle else np.arange(len(x))
            batches += [(bucket, order[at : at + self._batch_size]) for at in range(0, len(x), self._batch_size)]
        if self._shuffle:
            batches = [batches[i] for i in rng.permutation(len(batches))]
        return ((self._buckets[bucket][0][rows], self._buckets[bucket][1][rows]) for bucket, rows in batches)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The number of sequences of each bucket, and the length that they are padded to."""
        return [(len(x), x.shape[1]) for x, _ in self._buckets]


@spelled
def bucket_by_length(
    sequences: Iterable[Any],
    y: Any,
    batch_size: int = 32,
    *,
    buckets: int | Sequence[int] = 8,
    truncating: str = "pre",
    value: int = 0,
    shuffle: bool = True,
    seed: int = 0,
) -> LengthBuckets:
    """Return batches in which sequences have like lengths, so that little time goes into padding.

    Parameters
    ----------
    sequences : iterable of int array_like [tokens]
        None of them empty.
    y : array_like [sequences, ...]
        Their targets.
    batch_size : int, default 32
    buckets : int or sequence of int, default 8
        The lengths to pad to, each sequence to the smallest that holds it; longer ones than the last are truncated.
        A number means that many lengths, for buckets of about equally many sequences. fit() records a training step
        for each of the lengths, and for each incomplete last batch.
    truncating : {"pre", "post"}, default "pre"
        The side that is cut off.
    value : int, default 0
        What is filled in, on the right.
    shuffle : bool, default True
        Shuffle the sequences within their bucket, and the batches, anew in each pass.
    seed : int, default 0

    Returns
    -------
    LengthBuckets
        An iterable of (x [batch_size, length], y) for fit(), which reads it once per epoch.

    Raises
    ------
    DataError
        If there is no sequence, or an empty one.

    Examples
    --------
    >>> batches = bucket_by_length([[1], [2, 3], [4], [5, 6, 7]], [0, 1, 0, 1], 2, buckets=(1, 3))
    >>> sorted(x.shape for x, y in batches)
    [(2, 1), (2, 3)]
    """
    place = "bucket_by_length"
    batch_size = positive(place, "batch_size", batch_size)
    seed = integer(place, "seed", seed)
    rows, targets = _rows(place, sequences), np.asarray(y)
    if targets.ndim == 0 or len(targets) != len(rows):
        came = f"{len(targets)}" if targets.ndim else "a single number"
        raise ShapeError(f"[{place}] expected a target for each of {len(rows)} sequences. Received: {came}.")
    lengths = np.array([len(row) for row in rows])
    if not lengths.all():
        at = int(np.argmin(lengths))
        raise DataError(f"[{place}] expected sequences of one id or more. Received: sequences[{at}] is empty.")
    bounds = _bounds(place, buckets, lengths)
    into = np.minimum(np.searchsorted(bounds, lengths), len(bounds) - 1)
    padded = []
    for bucket, length in enumerate(bounds):
        members = np.flatnonzero(into == bucket)
        if len(members):
            x = pad_sequences([rows[i] for i in members], int(length), truncating=truncating, value=value)
            padded.append((x, targets[members]))
    return LengthBuckets(padded, batch_size, bool(shuffle), seed)


def _bounds(place: str, buckets: int | Sequence[int], lengths: np.ndarray) -> np.ndarray:
    if not isinstance(buckets, Iterable):
        shares = np.arange(1, positive(place, "buckets", buckets) + 1) / buckets
        return np.unique(np.quantile(lengths, shares, method="higher"))
    bounds = [positive(place, "each length of buckets", length) for length in buckets]
    if not bounds or sorted(set(bounds)) != bounds:
        raise ValueError(f"[{place}] expected buckets to be increasing lengths. Received: {buckets!r}.")
    return np.array(bounds)
