"""Sequences of different lengths as arrays, pairs of words, and windows of time series."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pynn.checks import choice, positive
from pynn.errors import DTypeError
from pynn.keras.names import absent

__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams"]


def pad_sequences(sequences: Iterable[Any], maxlen: int | None = None, dtype="int32", padding: str = "pre",
                  truncating: str = "pre", value=0.0) -> np.ndarray:  # fmt: skip
    """Return sequences as the rows of one array.

    Parameters
    ----------
    sequences : iterable of sequences
        Of numbers, or of rows of numbers.
    maxlen : int, optional
        Columns; the length of the longest by default.
    dtype : dtype, default "int32"
        ``object`` for texts.
    padding : {"pre", "post"}, default "pre"
        The side that short ones are filled up on; :func:`pynn.text.pad_sequences` does it on the right by default.
    truncating : {"pre", "post"}, default "pre"
        The side that long ones lose.
    value : float, default 0.0
        What is filled in.

    Examples
    --------
    >>> pad_sequences([[5, 6, 7, 8], [9]], maxlen=3)
    array([[6, 7, 8],
           [0, 0, 9]], dtype=int32)
    """
    choice("pad_sequences", "padding", padding, ("pre", "post"))
    choice("pad_sequences", "truncating", truncating, ("pre", "post"))
    rows = list(sequences)
    for row in rows:
        if not hasattr(row, "__len__") or isinstance(row, str):
            raise DTypeError(f"[pad_sequences] expected sequences. Received: {str(row)[:40]!r} among them.")
    columns = max(map(len, rows), default=0) if maxlen is None else positive("pad_sequences", "maxlen", int(maxlen))
    inner = next((np.shape(row)[1:] for row in rows if len(row)), ())
    out = np.full((len(rows), columns, *inner), value, dtype)
    for target, row in zip(out, rows, strict=True):
        kept = row[len(row) - columns :] if truncating == "pre" and len(row) > columns else row[:columns]
        if len(kept):
            target[slice(len(kept)) if padding == "post" else slice(columns - len(kept), None)] = kept
    return out


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> np.ndarray:
    """Return the chance with which each rank of words is kept, by Zipf's law.

    Parameters
    ----------
    size : int
        How many ranks.
    sampling_factor : float, default 1e-5
    """
    gamma = 0.577
    rank = np.arange(size)
    rank[0] = 1
    expected = rank * (np.log(rank) + gamma) + 0.5 - 1.0 / (12.0 * rank)
    f = sampling_factor * expected
    return np.minimum(1.0, f / np.sqrt(f))


def skipgrams(sequence: Sequence[int], vocabulary_size: int, window_size: int = 4, negative_samples: float = 1.0,
              shuffle: bool = True, categorical: bool = False, sampling_table=None,
              seed: int | None = None) -> tuple[list[list[int]], list[Any]]:  # fmt: skip
    """Return pairs of words that stand near each other, pairs that do not, and which is which.

    Parameters
    ----------
    sequence : sequence of int
        Ids of words; 0 is none.
    vocabulary_size : int
    window_size : int, default 4
        How far the words of a pair are apart at most.
    negative_samples : float, default 1.0
        So many pairs of words by chance for each pair that is there.
    shuffle : bool, default True
    categorical : bool, default False
        Labels as [0, 1] and [1, 0].
    sampling_table : ndarray, optional
        The chance with which a word is kept.
    seed : int, optional
    """
    rng = random.Random(seed)
    couples = []
    for i, word in enumerate(sequence):
        if not word or (sampling_table is not None and sampling_table[word] < rng.random()):
            continue
        for k in range(max(0, i - window_size), min(len(sequence), i + window_size + 1)):
            if k != i and sequence[k]:
                couples.append([int(word), int(sequence[k])])
    yes, no = ([0, 1], [1, 0]) if categorical else (1, 0)
    labels = [yes] * len(couples)
    words = [c[0] for c in couples]
    rng.shuffle(words)
    for i in range(int(len(couples) * negative_samples)):
        couples.append([words[i % len(words)], rng.randint(1, vocabulary_size - 1)])
        labels.append(no)
    if shuffle:
        order = list(range(len(couples)))
        rng.shuffle(order)
        couples, labels = [couples[i] for i in order], [labels[i] for i in order]
    return couples, labels


class TimeseriesGenerator:
    """Batches of windows of a series and of what follows each.

    Parameters
    ----------
    data, targets : array_like
        Of equally many rows.
    length : int
        Rows of a window.
    sampling_rate, stride, start_index, end_index, shuffle, reverse, batch_size : optional
        As in Keras.
    """

    def __init__(self, data, targets, length, sampling_rate=1, stride=1, start_index=0, end_index=None, shuffle=False,
                 reverse=False, batch_size=128):  # fmt: skip
        self.data, self.targets = np.asarray(data), np.asarray(targets)
        if len(self.data) != len(self.targets):
            raise ValueError(
                f"[TimeseriesGenerator] expected as many targets as rows. Received: {len(self.targets)} and "
                f"{len(self.data)}."
            )
        self.length, self.sampling_rate, self.stride, self.shuffle = length, sampling_rate, stride, shuffle
        self.reverse, self.batch_size, self.start_index = reverse, batch_size, start_index + length
        self.end_index = len(self.data) - 1 if end_index is None else end_index
        if self.start_index > self.end_index:
            raise ValueError(f"[TimeseriesGenerator] expected a series longer than length={length}.")

    def __len__(self):
        return math.ceil((self.end_index - self.start_index + 1) / (self.batch_size * self.stride))

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        if self.shuffle:
            rows = np.random.randint(self.start_index, self.end_index + 1, self.batch_size)
        else:
            first = self.start_index + self.batch_size * self.stride * index
            rows = np.arange(first, min(first + self.batch_size * self.stride, self.end_index + 1), self.stride)
        x = np.stack([self.data[row - self.length : row : self.sampling_rate] for row in rows])
        return (x[:, ::-1] if self.reverse else x), self.targets[rows]


__getattr__ = absent("pynn.keras.preprocessing.sequence", __all__)
