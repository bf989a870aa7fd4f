"""``keras.datasets``: real data, found as :mod:`pynn.datasets` finds them, in the shapes that Keras gives them."""

from __future__ import annotations

import json
import os
import sys
import types
import zipfile
from pathlib import Path

import numpy as np

from pynn import datasets as own
from pynn.checks import choice
from pynn.datasets.imdb import _object_array
from pynn.errors import DataError
from pynn.keras.config import image_data_format
from pynn.keras.names import absent, refused
from pynn.npy import read_header

_COLUMNS = ("longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms", "population", "households",
            "median_income", "median_house_value")  # fmt: skip
_LABELS = (
    "cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing", "money-supply", "coffee", "sugar",
    "trade", "reserves", "ship", "cotton", "carcass", "crude", "nat-gas", "cpi", "money-fx", "interest", "gnp",
    "meal-feed", "alum", "oilseed", "gold", "tin", "strategic-metal", "livestock", "retail", "ipi", "iron-steel",
    "rubber", "heat", "jobs", "lei", "bop", "zinc", "orange", "pet-chem", "dlr", "gas", "silver", "wpi", "hog", "lead",
)  # fmt: skip
_OFFSET = 3


def _cut(parts):
    """Return ((x, y), (xt, yt)) with at most so many rows as the runner was told."""
    from pynn.keras.runner import limits

    n = limits.rows
    return parts if n is None else tuple(tuple(a[:n] for a in part) for part in parts)


def _parted(x, y, test_split):
    end = int(len(x) * (1 - test_split))
    return _cut(((x[:end], y[:end]), (x[end:], y[end:])))


def _found(name, path, where, source):
    """Return a file of a data set: the path itself, or one in PYNN_DATA or in Keras's own cache."""
    names = list(where)
    folders = [Path(folder) for folder in (os.environ.get("PYNN_DATA"),) if folder]
    folders.append(Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "datasets")
    tried = [Path(path)] if path is not None and os.path.isabs(path) else []
    tried += [folder / place for folder in folders for place in names]
    for place in tried:
        if place.is_file():
            return place
    raise DataError(
        f"[{name}] expected one of the files {', '.join(map(str, tried))}. Received: none is there. "
        f"help: fetch {source} and put it there; pynn does not distribute it."
    )


def _read_npz(path):
    """Return the arrays x and y of an .npz file; nothing is unpickled."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["x"], file["y"]
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected arrays x, y. Received: {error}.") from error


def _digits(name, read):
    def load_data(path=None):
        folder = path if path is not None and Path(path).is_dir() else None
        return _cut(tuple((x, y.astype(np.uint8)) for x, y in read(folder)))

    load_data.__doc__ = f"""Return (x, y), (xt, yt): images uint8 [n, 28, 28] and labels uint8 [n]; see :func:`pynn.datasets.{name}`.

    Parameters
    ----------
    path : str, optional
        A folder of the files, if there is one of this name.
    """  # noqa: E501
    return load_data


def _cifar10():
    """Return (x, y), (xt, yt): images uint8 [n, 32, 32, 3] and labels uint8 [n, 1]; see :func:`pynn.datasets.cifar10`.

    With ``channels_first`` images are [n, 3, 32, 32].
    """
    first = image_data_format() == "channels_first"
    return _cut(tuple((x.transpose(0, 3, 1, 2) if first else x, y.reshape(-1, 1).astype(np.uint8))
                      for x, y in own.cifar10()))  # fmt: skip


def _cifar100(label_mode="fine"):
    """Refuse: pynn reads CIFAR-10 alone.

    Parameters
    ----------
    label_mode : str
    """
    refused("keras.datasets.cifar100", "its files are pickles, which are not read; CIFAR-10 is there")


def _boston(path="boston_housing.npz", test_split=0.2, seed=113):
    """Return (x, y), (xt, yt): 13 columns of each of 506 towns, and prices of houses.

    The set has a column that scores towns by the race of who lives there; ``california_housing`` is the better choice.

    Parameters
    ----------
    path : str, default "boston_housing.npz"
        Keras's file, in PYNN_DATA or in ``~/.keras/datasets``; pynn does not distribute it.
    test_split : float, default 0.2
        The part that is for the test.
    seed : int, default 113
        Of the order.
    """
    x, y = _read_npz(_found("boston_housing", path, (path, f"boston_housing/{path}"), "boston_housing.npz of Keras"))
    rows = np.random.RandomState(seed).permutation(len(x))
    return _parted(x[rows], y[rows], test_split)


def _california(version="large", path="california_housing.npz", test_split=0.2, seed=113):
    """Return (x, y), (xt, yt): 8 columns of each of 20,640 districts, and median prices of houses.

    Parameters
    ----------
    version : {"large", "small"}, default "large"
        "small": 600 districts.
    path : str, default "california_housing.npz"
        Keras's file, or else a table ``california_housing.csv`` of the same columns, in PYNN_DATA (also in its folder
        ``tabular``) or in ``~/.keras/datasets``.
    test_split : float, default 0.2
        The part that is for the test.
    seed : int, default 113
        Of the order.
    """
    choice("california_housing", "version", version, ("large", "small"))
    names = (path, f"california_housing/{path}", "tabular/california_housing.csv", "california_housing.csv")
    file = _found("california_housing", path, names, "california_housing.npz of Keras")
    if file.suffix == ".csv":
        with open(file, encoding="utf-8") as lines:
            head = [name.strip().strip('"') for name in lines.readline().split(",")]
            if not set(_COLUMNS) <= set(head):
                raise DataError(f"{file}: expected the columns {', '.join(_COLUMNS)}. Received: {', '.join(head)}.")
            table = np.genfromtxt(lines, delimiter=",", usecols=[head.index(name) for name in _COLUMNS])
        table = table[np.isfinite(table).all(axis=1)]
        x, y = table[:, :-1], table[:, -1]
    else:
        x, y = _read_npz(file)
    rows = np.random.RandomState(seed).permutation(len(x))
    rows = rows[:600] if version == "small" else rows
    return _parted(x.astype(np.float32)[rows], y.astype(np.float32)[rows], test_split)


def _encoded(ids, num_words, skip_top, start, unknown, offset):
    """Return the ids of a text; those of pynn are 1 for the start and rank + 3 for words."""
    words = ids[1:] - _OFFSET + offset
    if start is not None:
        words = np.concatenate([np.array([start], words.dtype), words])
    known = words >= skip_top
    if num_words:
        known &= words < num_words
    return np.where(known, words, unknown).tolist() if unknown is not None else words[known].tolist()


def _texts(texts, labels, maxlen):
    """Return those that are short enough, lists in an array."""
    if maxlen:
        kept = [i for i, text in enumerate(texts) if len(text) < maxlen]
        texts, labels = [texts[i] for i in kept], labels[kept]
    out = np.empty(len(texts), object)
    out[:] = texts
    return out, labels


def _imdb(path="imdb.npz", num_words=None, skip_top=0, maxlen=None, seed=113, start_char=1, oov_char=2, index_from=3,
          nb_words=None):  # fmt: skip
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
    parts = []
    for (ids, y), order in zip(own.imdb(path if path and Path(path).exists() else None), (seed, seed * 2), strict=True):
        rows = np.random.RandomState(order).permutation(len(ids))
        x = [_encoded(ids[i], num_words, skip_top, start_char, oov_char, index_from) for i in rows]
        parts.append(_texts(x, y[rows], maxlen))
    return _cut(tuple(parts))


def _imdb_words(path="imdb_word_index.json"):
    """Return the rank of each word, from 1; ids of reviews are 3 larger.

    Parameters
    ----------
    path : str
        Not used: the words are those of the reviews themselves.
    """
    return {word: i - _OFFSET for word, i in own.imdb_tokenizer().index.items()}


def _reuters(path="reuters.npz", num_words=None, skip_top=0, maxlen=None, test_split=0.2, seed=113, start_char=1,
             oov_char=2, index_from=3, nb_words=None):  # fmt: skip
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
    num_words = nb_words if num_words is None else num_words
    file = _found("reuters", path, (path, f"reuters/{path}"), "reuters.npz of Keras")
    try:
        with zipfile.ZipFile(file) as archive, archive.open("x.npy") as x_file, archive.open("y.npy") as y_file:
            ranks = _object_array(file, "x", x_file)
            dtype = read_header(y_file)[2]
            y = np.frombuffer(y_file.read(), dtype)
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{file}: expected Keras's reuters.npz. Received: {error}.") from error
    rows = np.random.RandomState(seed).permutation(len(ranks))
    x = [_encoded(np.array([1, *ranks[i]]) + 3, num_words, skip_top, start_char, oov_char, index_from) for i in rows]
    return _parted(*_texts(x, y[rows], maxlen), test_split)


def _reuters_words(path="reuters_word_index.json"):
    """Return the rank of each word.

    Parameters
    ----------
    path : str
        In PYNN_DATA or in ``~/.keras/datasets``.
    """
    file = _found("reuters", path, (path, f"reuters/{path}"), "reuters_word_index.json of Keras")
    return json.loads(file.read_text(encoding="utf-8"))


def _reuters_labels():
    """Return the names of the topics."""
    return _LABELS


# Each set is a module of Keras's: what is in it, by name.
_MODULES = {
    "boston_housing": {"load_data": _boston}, "california_housing": {"load_data": _california, "COLUMNS": _COLUMNS},
    "cifar10": {"load_data": _cifar10}, "cifar100": {"load_data": _cifar100},
    "fashion_mnist": {"load_data": _digits("fashion_mnist", own.fashion_mnist)},
    "imdb": {"load_data": _imdb, "get_word_index": _imdb_words},
    "mnist": {"load_data": _digits("mnist", own.mnist)},
    "reuters": {"load_data": _reuters, "get_word_index": _reuters_words, "get_label_names": _reuters_labels},
}  # fmt: skip
__all__ = list(_MODULES)
for _name, _functions in _MODULES.items():
    _made = types.ModuleType(f"{__name__}.{_name}", f"``keras.datasets.{_name}``.")
    vars(_made).update(_functions, __all__=[_key for _key in _functions if _key.islower()])
    for _key in _made.__all__:
        _functions[_key].__name__ = _functions[_key].__qualname__ = _key
    globals()[_name] = sys.modules[_made.__name__] = _made

__getattr__ = absent("pynn.keras.datasets", __all__)
