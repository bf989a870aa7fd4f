"""IMDB: 50,000 film reviews that are for or against, as ids of words."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from pynn.checks import integer, positive
from pynn.datasets.cache import Arrays, cached_arrays
from pynn.datasets.imdb_files import find_reviews, fingerprint, in_fixed_order, read_reviews
from pynn.datasets.pickled import PickleError, integer_lists
from pynn.errors import DataError
from pynn.npy import read_header
from pynn.packed import UNPACKING, read_at_most
from pynn.text.sequences import pad_sequences
from pynn.text.tokenizer import SPECIALS, START, UNKNOWN, Tokenizer

__all__ = ["imdb", "imdb_texts", "imdb_tokenizer"]

Part = tuple[np.ndarray, np.ndarray]
Place = str | os.PathLike[str]

OFFSET = len(SPECIALS) - 1  # id of a word = its rank, from 1, + OFFSET
NAMES = {f"{what}_{part}" for what in ("ids", "ends", "y") for part in ("train", "test")}
LARGEST = 1 << 28  # bytes of an array in imdb.npz; the largest has 17 million


def imdb(
    data: Place | None = None,
    num_words: int | None = None,
    maxlen: int | None = None,
    skip_top: int = 0,
    *,
    truncating: str = "pre",
    progress: bool = True,
) -> tuple[Part, Part]:
    """Return the Large Movie Review Dataset: ``(x, y), (xt, yt)`` with 25,000 reviews each.

    Words are encoded as Keras's data set has them: 0 padding, 1 the start of a review, 2 an unknown word, and from 4 on
    the words of the training part, the most frequent first.

    Parameters
    ----------
    data : path-like, optional
        The folder ``aclImdb``, a tar archive of it (plain, ``.gz`` or ``.xz``; read without unpacking it to disk), or
        Keras's ``imdb.npz`` (read without unpickling); or a folder that holds one of these, itself or in its folder
        ``imdb``. Default: the folder named by the environment variable ``PYNN_DATA``; without one, the archive (84 MB)
        is downloaded once into the user's cache.
    num_words : int, optional
        Ids are below this number; rarer words become 2. Default: all words, some 90,000.
    maxlen : int, optional
        Cut or pad each review to this many ids, padding on the right. Default: x and xt are arrays of arrays. (Keras
        drops longer reviews.)
    skip_top : int, default 0
        So many of the most frequent words become 2, too.
    truncating : {"pre", "post"}, default "pre"
        The side that `maxlen` cuts: "pre" keeps the end of a review.
    progress : bool, default True
        Show the progress of a download.

    Returns
    -------
    (x, y), (xt, yt) : tuples of ndarray
        x int32 [n, maxlen], or object [n] of int32 [words]; labels y int64 [n], 0 against and 1 for the film. Their
        order is fixed and mixes the labels.

    Raises
    ------
    DataError
        If the data are missing, damaged or of another kind; the message names the file.
    ImportError
        If a download is needed and pooch (extra ``data``) is not installed.

    See Also
    --------
    imdb_tokenizer : From ids back to words.
    imdb_texts : The reviews as they were written.

    Notes
    -----
    The encoded reviews are kept in the user's cache, for the same file with the same size and time of change.

    References
    ----------
    A. L. Maas, R. E. Daly, P. T. Pham, D. Huang, A. Y. Ng and C. Potts, "Learning word vectors for sentiment
    analysis", ACL, 2011.

    Examples
    --------
    >>> (x, y), (xt, yt) = imdb(num_words=20_000, maxlen=80)  # doctest: +SKIP
    >>> x.shape, x.dtype  # doctest: +SKIP
    ((25000, 80), dtype('int32'))
    """
    if num_words is not None:
        num_words = positive("imdb", "num_words", num_words)
        if num_words <= OFFSET + 1:
            raise ValueError(f"[imdb] expected num_words of {OFFSET + 2} or more. Received: {num_words}.")
    skip_top = integer("imdb", "skip_top", skip_top)
    if maxlen is not None:
        maxlen = positive("imdb", "maxlen", maxlen)
    arrays = _encoded(find_reviews(data, progress))
    parts = []
    for part in ("train", "test"):
        ids = arrays[f"ids_{part}"]
        word = ids > OFFSET
        unknown = word & (ids <= OFFSET + skip_top)
        if num_words is not None:
            unknown |= ids >= num_words
        reviews = np.split(np.where(unknown, np.int32(UNKNOWN), ids), arrays[f"ends_{part}"][:-1])
        if maxlen is None:
            x = np.empty(len(reviews), object)
            x[:] = reviews
        else:
            x = pad_sequences(reviews, maxlen, truncating=truncating)
        parts.append((x, arrays[f"y_{part}"]))
    return parts[0], parts[1]


def imdb_tokenizer(data: Place | None = None, num_words: int | None = None, *, progress: bool = True) -> Tokenizer:
    """Return the tokenizer that gives the ids of :func:`imdb`, for reading reviews and for texts of one's own.

    Parameters
    ----------
    data : path-like, optional
        As for :func:`imdb`; Keras's ``imdb.npz`` has no words and does not do.
    num_words : int, optional
        As for :func:`imdb`.
    progress : bool, default True
        Show a bar while data are fetched.

    Examples
    --------
    >>> imdb_tokenizer(num_words=20_000).encode("A great film!")  # doctest: +SKIP
    array([ 1,  6, 88, 22], dtype=int32)
    """
    path = find_reviews(data, progress)
    if _is_keras(path):
        raise DataError(
            f"{path}: expected the words of the reviews. Received: Keras's file, which has ids alone. "
            "help: name the folder aclImdb or its archive."
        )
    words = bytes(_encoded(path)["words"]).decode("utf-8").split("\n")
    tokenizer = Tokenizer(num_words=num_words, start=True)
    room = None if num_words is None else num_words - len(SPECIALS)
    return Tokenizer.from_config(tokenizer.to_config() | {"words": words[:room]})


def imdb_texts(
    data: Place | None = None, *, progress: bool = True
) -> tuple[tuple[list[str], np.ndarray], tuple[list[str], np.ndarray]]:
    """Return the reviews as they were written: ``(texts, y), (texts_t, y_t)``, in the order of :func:`imdb`.

    Parameters
    ----------
    data : path-like, optional
        As for :func:`imdb`; Keras's ``imdb.npz`` has no texts and does not do.
    progress : bool, default True
        Show a bar while data are fetched.
    """
    path = find_reviews(data, progress)
    if _is_keras(path):
        raise DataError(
            f"{path}: expected the texts of the reviews. Received: Keras's file, which has ids alone. "
            "help: name the folder aclImdb or its archive."
        )
    return read_reviews(path)


def _encoded(path: Path) -> Arrays:
    """Return all reviews with all words, from the cache if they are there."""
    if _is_keras(path):
        return cached_arrays("imdb", ["keras", 1, *fingerprint(path)], NAMES, lambda: _from_keras(path))
    settings = Tokenizer(start=True).to_config()
    return cached_arrays("imdb", [settings, *fingerprint(path)], {*NAMES, "words"}, lambda: _from_texts(path))


def _from_texts(path: Path) -> Arrays:
    parts = dict(zip(("train", "test"), read_reviews(path), strict=True))
    tokenizer = Tokenizer(start=True).fit(parts["train"][0])
    words = "\n".join(tokenizer.vocabulary[len(SPECIALS) :]).encode("utf-8")
    arrays = {"words": np.frombuffer(words, np.uint8)}
    for part, (texts, y) in parts.items():
        arrays |= _flat(part, tokenizer.encode_batch(texts), y)
    return arrays


def _flat(part: str, rows: list[np.ndarray], y: np.ndarray) -> Arrays:
    ends = np.cumsum([len(row) for row in rows])
    return {f"ids_{part}": np.concatenate(rows), f"ends_{part}": ends, f"y_{part}": y.astype(np.int64)}


def _is_keras(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:  # of a download that was cut off is_zipfile() would not see that it is one
        return path.suffix == ".npz" or file.read(4) == b"PK\x03\x04"


def _from_keras(path: Path) -> Arrays:
    """Return Keras's data; it has the ranks of words, to which its load_data adds the start and the offset."""
    arrays: Arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for part in ("train", "test"):
                with archive.open(f"x_{part}.npy") as file:
                    ranks = _object_array(path, f"x_{part}", file)
                with archive.open(f"y_{part}.npy") as file:
                    y = _labels(path, f"y_{part}", file, len(ranks))
                rows = [np.array([START, *(rank + OFFSET for rank in row)], np.int32) for row in ranks]
                order = in_fixed_order(len(rows))
                arrays |= _flat(part, [rows[i] for i in order], y[order])
    except KeyError as error:
        raise _bad(path, "x_train, y_train, x_test and y_test", str(error.args[0])) from error
    except UNPACKING as error:
        if isinstance(error, DataError) and str(path) in str(error):
            raise
        raise _bad(path, "Keras's imdb.npz", f"a damaged file ({error})") from error
    return arrays


def _object_array(path: Path, name: str, file: IO[bytes]) -> list[list[int]]:
    shape, _, dtype = read_header(file)
    content = bytes(read_at_most(file, LARGEST + 1))
    if dtype.kind != "O" or len(content) > LARGEST:
        raise _bad(path, f"{name} to be lists of ids", f"{dtype} {shape}")
    try:
        ranks = integer_lists(content)
    except PickleError as error:
        expected = f"{name} to be pickled lists of ids, which are read without running the pickle"
        raise _bad(path, expected, str(error)) from error
    if shape != (len(ranks),) or not ranks or not all(ranks):
        raise _bad(path, f"{name} to be lists of ids, none of them empty", f"{len(ranks)} lists, some empty")
    if any(min(row) < 1 for row in ranks) or max(map(max, ranks)) > 2**31 - 1 - OFFSET:
        raise _bad(path, f"{name} to hold the ranks of words, from 1", "other numbers")
    return ranks


def _labels(path: Path, name: str, file: IO[bytes], count: int) -> np.ndarray:
    shape, _, dtype = read_header(file)
    if dtype.kind not in "iu" or shape != (count,):
        raise _bad(path, f"{name} to be a label for each of {count} reviews", f"{dtype} {list(shape)}")
    y = np.frombuffer(read_at_most(file, count * dtype.itemsize), dtype)
    if len(y) != count or y.min() < 0 or y.max() > 1:
        raise _bad(path, f"{name} to be {count} labels, 0 or 1", f"{len(y)}, from {y.min()} to {y.max()}")
    return y


def _bad(path: Path, expected: str, received: str) -> DataError:
    return DataError(f"{path}: expected {expected}. Received: {received}. help: fetch the file again.")
