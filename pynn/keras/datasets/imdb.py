"""``keras.datasets.imdb``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pynn import datasets
from pynn.keras.datasets.common import cut

__all__ = ["get_word_index", "load_data"]

OFFSET = 3
FIRST = 4  # id of the most frequent word, with the usual settings


def load_data(
    path: str = "imdb.npz", num_words: int | None = None, skip_top: int = 0, maxlen: int | None = None, seed: int = 113,
    start_char: int | None = 1, oov_char: int | None = 2, index_from: int = 3, nb_words: int | None = None,
) -> Any:  # fmt: skip
    """Return (x, y), (xt, yt): reviews as lists of ids, and 1 for those that praise the film.

    Parameters
    ----------
    path : str, default "imdb.npz"
        Keras's file or a folder, if there is one of this name; else as :func:`pynn.datasets.imdb` finds them.
    num_words : int, optional
        Words of this rank and rarer ones become `oov_char`.
    skip_top : int, default 0
        So many of the most frequent words become `oov_char`, too.
    maxlen : int, optional
        Longer reviews are left out.
    seed : int, default 113
        Of the order.
    start_char : int, optional
        Begins each review. None: nothing does.
    oov_char : int, optional
        Stands for what is left out. None: it is dropped.
    index_from : int, default 3
        Is added to the ranks of words.
    nb_words : int, optional
        What `num_words` was called.
    """
    num_words = nb_words if num_words is None else num_words
    place = path if path and Path(path).exists() else None
    parts = []
    for (ids, y), order in zip(datasets.imdb(place), (seed, seed * 2), strict=True):
        rows = np.random.RandomState(order).permutation(len(ids))
        x = [_encoded(ids[i], num_words, skip_top, start_char, oov_char, index_from) for i in rows]
        labels = y[rows]
        if maxlen:
            kept = [i for i, review in enumerate(x) if len(review) < maxlen]
            x, labels = [x[i] for i in kept], labels[kept]
        reviews = np.empty(len(x), object)
        reviews[:] = x
        parts.append((reviews, labels))
    return cut(tuple(parts))


def _encoded(
    ids: np.ndarray, num_words: int | None, skip_top: int, start: int | None, unknown: int | None, offset: int
) -> list[int]:
    """Return the ids of a review; those of pynn are 1 for the start and rank + 3 for words."""
    words = ids[1:] - OFFSET + offset
    if start is not None:
        words = np.concatenate([np.array([start], words.dtype), words])
    known = words >= skip_top
    if num_words:
        known &= words < num_words
    if unknown is not None:
        return np.where(known, words, unknown).tolist()
    return words[known].tolist()


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """Return the rank of each word, from 1; ids of reviews are 3 larger.

    Parameters
    ----------
    path : str
        Not used: the words are those of the reviews themselves.
    """
    return {word: i - OFFSET for word, i in datasets.imdb_tokenizer().index.items()}
