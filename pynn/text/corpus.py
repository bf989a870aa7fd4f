"""Text of any size as a row of word ids, read in one pass."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import tempfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from pynn.errors import DataError, DTypeError
from pynn.packed import bz2, lzma

__all__ = ["END", "Encoded", "encode", "pieces"]

END = -1  # between sentences
PIECE = 10_000  # words of a stream that are taken at a time
BLOCK_CHARS = 1 << 20
BUFFER_IDS = 1 << 20
SPILL_IDS = 1 << 28  # beyond a gigabyte the ids are kept in a temporary file


@dataclass
class Encoded:
    """A corpus in numbers.

    Attributes
    ----------
    words : list of str
        In the order in which they first appear; a word's place is its id.
    ids : ndarray of int32
        The text, with -1 after every sentence.
    """

    words: list[str]
    ids: np.ndarray

    def counts(self) -> np.ndarray:
        """Return how often each word appears, int64 [words]."""
        found = np.zeros(len(self.words), np.int64)
        for part in np.array_split(self.ids, max(1, len(self.ids) // BUFFER_IDS)):
            found += np.bincount(part[part >= 0], minlength=len(self.words))
        return found

    def mapped(self, ids: np.ndarray) -> np.ndarray:
        """Return the text in other ids, int32: word i becomes ids[i], and disappears if that is negative.

        The memory of `ids` is used again, so this can be asked for once.
        """
        table = np.append(np.where(ids < 0, END - 1, ids), END).astype(np.int32)
        end = 0
        for start in range(0, len(self.ids), BUFFER_IDS):
            part = table[self.ids[start : start + BUFFER_IDS]]
            part = part[part >= END]
            self.ids[end : end + len(part)] = part
            end += len(part)
        return self.ids[:end]


def encode(corpus: Any, place: str) -> Encoded:
    """Read a corpus, once, and give its words numbers.

    Parameters
    ----------
    corpus : path-like, or iterable
        See :meth:`pynn.text.Word2Vec.fit`.
    place : str
        Named in errors.

    Raises
    ------
    DataError
        If a file cannot be read or is no text, or a sentence is no row of words.
    DTypeError
        If a word is no string.
    """
    index: defaultdict[str, int] = defaultdict()
    index.default_factory = index.__len__
    ids = _Ids()
    single = False
    for words, ends, stream in pieces(corpus, place):
        single = stream
        try:
            ids.extend(map(index.__getitem__, words))
        except TypeError as error:
            raise DTypeError(f"[{place}] expected words to be strings. Received: a word that is {error}.") from error
        if ends:
            ids.end()
    words = list(index)
    for word in words:
        if not isinstance(word, str):
            raise DTypeError(f"[{place}] expected words to be strings. Received: {word!r}.")
        if single and len(word.split()) > 1:
            raise DataError(
                f"[{place}] expected a stream of single words, or sentences that are lists of words. "
                f"Received: {word[:60]!r}. help: split each sentence, as in [s.split() for s in sentences]."
            )
    return Encoded(words, ids.done())


def pieces(corpus: Any, place: str) -> Iterator[tuple[Any, bool, bool]]:
    """Yield words, whether a sentence ends with them, and whether they came one by one."""
    if isinstance(corpus, (str, os.PathLike)):
        for words, ends in _from_file(Path(corpus), place):
            yield words, ends, False
        return
    if isinstance(corpus, (bytes, dict)) or not isinstance(corpus, Iterable):
        raise DataError(
            f"[{place}] expected sentences (lists of words), a stream of words, or the path of a text file. "
            f"Received: {type(corpus).__name__}."
        )
    items = iter(corpus)
    for first in items:
        items = itertools.chain([first], items)
        if isinstance(first, str):
            while words := list(itertools.islice(items, PIECE)):
                yield words, False, True
            yield [], True, True
            return
        break
    for i, sentence in enumerate(items):
        if isinstance(sentence, (str, bytes)) or not isinstance(sentence, Iterable):
            raise DataError(
                f"[{place}] expected sentence {i} to be a list of words. Received: {str(sentence)[:60]!r} "
                f"({type(sentence).__name__}). help: split it, as in [s.split() for s in sentences]."
            )
        yield sentence, True, False


def _from_file(path: Path, place: str) -> Iterator[tuple[list[str], bool]]:
    """Yield the words of a file, which may be one line of any length; every end of a line ends a sentence."""
    try:
        with _opened(path) as file:
            rest = ""
            while block := file.read(BLOCK_CHARS):
                lines = (rest + block).split("\n")
                for line in lines[:-1]:
                    yield line.split(), True
                # The last word may go on in the next block.
                words = lines[-1].split()
                whole = not lines[-1] or lines[-1][-1].isspace()
                rest = "" if whole or not words else words.pop()
                if len(rest) > LONGEST_WORD:
                    raise DataError(
                        f"[{place}] expected words of at most {LONGEST_WORD:,} letters. "
                        f"Received: {str(path)!r}, with a longer one."
                    )
                if words:
                    yield words, False
            yield rest.split(), True
    except UnicodeDecodeError as error:
        raise DataError(
            f"[{place}] expected {str(path)!r} to be text in UTF-8. Received: {error.reason}. "
            "help: convert text of another encoding (iconv -f LATIN1 -t UTF-8)."
        ) from error
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile, RuntimeError) as error:
        raise DataError(f"[{place}] expected {str(path)!r} to be an intact packed file. Received: {error}.") from error
    except OSError as error:
        long = len(str(path)) > 200 or "\n" in str(path)
        text = "a string that is no path. help: split text into words first, text.split()" if long else error.strerror
        raise DataError(
            f"[{place}] expected the path of a text file. Received: {str(path)[:60]!r}: {text or error}."
        ) from error


def _from_zip(path: Path, mode: str, encoding: str) -> IO[str]:
    """Open the only file of an archive."""
    archive = zipfile.ZipFile(path)
    names = archive.namelist()
    if len(names) != 1:
        raise zipfile.BadZipFile(f"an archive of {len(names)} files, where one is expected")
    return io.TextIOWrapper(archive.open(names[0]), encoding)


LONGEST_WORD = 1 << 20  # letters: a packed file may hold any number
OPENERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open, b"PK\x03\x04": _from_zip,
}  # fmt: skip


def _opened(path: Path) -> IO[str]:
    with open(path, "rb") as file:
        start = file.read(6)
    for magic, opener in OPENERS.items():
        if start.startswith(magic):
            opened: IO[str] = opener(path, "rt", encoding="utf-8")
            return opened
    return open(path, encoding="utf-8")


class _Ids:
    """A growing row of int32, in memory or, when it is long, in a temporary file."""

    def __init__(self) -> None:
        self.buffer: list[int] = []
        self.parts: list[np.ndarray] = []
        self.length = 0
        self.last = END
        self.file: Any = None

    def extend(self, ids: Iterable[int]) -> None:
        self.buffer.extend(ids)
        if len(self.buffer) > BUFFER_IDS:
            self.flush()

    def end(self) -> None:
        """End the sentence, unless nothing was said since the last one."""
        if self.buffer[-1] != END if self.buffer else self.last != END:
            self.buffer.append(END)

    def flush(self) -> None:
        part = np.array(self.buffer, np.int32)
        self.last = self.buffer[-1] if self.buffer else self.last
        self.buffer.clear()
        self.length += len(part)
        self.parts.append(part)
        if self.length > SPILL_IDS:
            if self.file is None:
                self.file = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the ids)
            for part in self.parts:
                part.tofile(self.file)
            self.parts.clear()

    def done(self) -> np.ndarray:
        self.flush()
        if self.file is None:
            return np.concatenate(self.parts)
        self.file.flush()
        with self.file:  # the mapping outlives it
            return np.memmap(self.file, np.int32, "r+", shape=(self.length,))
