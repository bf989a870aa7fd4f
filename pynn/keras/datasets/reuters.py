"""``keras.datasets.reuters``, where its file is there."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pynn.datasets.imdb import _object_array
from pynn.errors import DataError
from pynn.keras.datasets.common import cut, found
from pynn.keras.datasets.imdb import _encoded
from pynn.npy import read_header

__all__ = ["get_label_names", "get_word_index", "load_data"]

LABELS = (
    "cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing", "money-supply", "coffee", "sugar",
    "trade", "reserves", "ship", "cotton", "carcass", "crude", "nat-gas", "cpi", "money-fx", "interest", "gnp",
    "meal-feed", "alum", "oilseed", "gold", "tin", "strategic-metal", "livestock", "retail", "ipi", "iron-steel",
    "rubber", "heat", "jobs", "lei", "bop", "zinc", "orange", "pet-chem", "dlr", "gas", "silver", "wpi", "hog", "lead",
)  # fmt: skip


def load_data(
    path: str = "reuters.npz", num_words: int | None = None, skip_top: int = 0, maxlen: int | None = None,
    test_split: float = 0.2, seed: int = 113, start_char: int | None = 1, oov_char: int | None = 2,
    index_from: int = 3, nb_words: int | None = None,
) -> Any:  # fmt: skip
    """Return (x, y), (xt, yt): news as lists of ids, and their topics, 0 to 45.

    Parameters
    ----------
    path : str, default "reuters.npz"
        Keras's file, in PYNN_DATA (or its folder ``reuters``) or in ``~/.keras/datasets``.
    num_words, skip_top, maxlen, seed, start_char, oov_char, index_from, nb_words : optional
        As for imdb.
    test_split : float, default 0.2
        The part that is for the test.
    """
    import zipfile

    num_words = nb_words if num_words is None else num_words
    file = found("reuters", path, (path, f"reuters/{path}"), "reuters.npz of Keras")
    try:
        with zipfile.ZipFile(file) as archive, archive.open("x.npy") as x_file, archive.open("y.npy") as y_file:
            ranks = _object_array(file, "x", x_file)
            _, _, dtype = read_header(y_file)
            y = np.frombuffer(y_file.read(), dtype)
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{file}: expected Keras's reuters.npz. Received: {error}.") from error
    rows = np.random.RandomState(seed).permutation(len(ranks))
    x = [_encoded(np.array([1, *ranks[i]]) + 3, num_words, skip_top, start_char, oov_char, index_from) for i in rows]
    labels = y[rows]
    if maxlen:
        kept = [i for i, news in enumerate(x) if len(news) < maxlen]
        x, labels = [x[i] for i in kept], labels[kept]
    every = np.empty(len(x), object)
    every[:] = x
    end = int(len(x) * (1 - test_split))
    return cut(((every[:end], labels[:end]), (every[end:], labels[end:])))


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """Return the rank of each word.

    Parameters
    ----------
    path : str
        In PYNN_DATA or in ``~/.keras/datasets``.
    """
    file = found("reuters", path, (path, f"reuters/{path}"), "reuters_word_index.json of Keras")
    return json.loads(file.read_text(encoding="utf-8"))


def get_label_names() -> tuple[str, ...]:
    """Return the names of the topics."""
    return LABELS
