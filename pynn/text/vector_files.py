"""The word2vec formats: a line ``words size``, then each word and its numbers, as text or as float32.

Text is read as people have it: words with blanks in them, tabs, several blanks, a byte-order mark, decimal commas.
"""

from __future__ import annotations

import gzip
import os
import re
import warnings
import zlib
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from pynn.detect import name_format
from pynn.errors import DataError
from pynn.files import write_whole

if TYPE_CHECKING:
    from pynn.text.vectors import KeyedVectors

__all__ = ["detect", "read", "write"]

HEADER = re.compile(rb"(\d{1,18})[ \t]+(\d{1,18})[ \t]*\r?\n")
MARK = b"\xef\xbb\xbf"  # of byte order, which some editors write before UTF-8
WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
GZIP = b"\x1f\x8b"
FASTTEXT = (793712314).to_bytes(4, "little")
PEEK = 1 << 16
LONGEST_WORD = 1 << 14
MOST_NUMBERS = 1 << 20  # of a vector
TEXT, BINARY, GLOVE = "word2vec text", "word2vec binary", "GloVe text (no header line)"


def detect(start: bytes, path: str = "") -> str:
    r"""Return the format of a file that begins with these bytes, in words; "" if that is not known.

    Parameters
    ----------
    start : bytes
        The first few thousand bytes.
    path : str, optional

    Examples
    --------
    >>> detect(b"2 3\nking 0.5 1 2\n"), detect(b"king 0.5 1 2\nqueen 0 1 2\n")
    ('word2vec text', 'GloVe text (no header line)')
    """
    if start[:2] in WIDE_MARKS:
        return "a text in UTF-16 (save it as UTF-8)"
    start = start.removeprefix(MARK)
    header = HEADER.match(start)
    if header:
        return TEXT if _textual(start[header.end() :], int(header[2])) else BINARY
    if start.startswith(FASTTEXT):
        return "a fastText model (.bin); its .vec file is meant"
    if start[8:9] == b"{" and b'"__metadata__"' in start[:200]:
        return "a safetensors file (Word2Vec.load reads those that Word2Vec.save wrote)"
    return GLOVE if _size(start) >= 2 else name_format(start[:64], path)


def _textual(rows: bytes, size: int) -> bool:
    """Tell whether what follows the header is text: a row of numbers, or at least nothing that no text has."""
    first = rows.lstrip(b"\r\n").split(b"\n", 1)[0].rsplit(None, size)[1:]
    if len(first) == size and all(map(_is_number, first)):
        return True
    try:
        text = rows.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(rows):  # else the last letter is cut
            return False
        text = rows[: error.start].decode("utf-8")
    return not any(ord(letter) < 32 and letter not in "\t\r\n" for letter in text)


def _size(start: bytes) -> int:
    """Return how many numbers follow a word where no header says so: the fewest of the first rows; 0 if not all do."""
    rows = start.split(b"\n")
    whole = [row for row in (rows[:-1] if len(rows) > 1 else rows)[:100] if row.strip()]
    counts = [_numbers_at_end(row) for row in whole]
    if len(counts) > 1 and 0 < counts[0] < min(counts[1:]):
        return min(counts[1:])  # the first one is no vector, but names of columns or another program's header
    return min(counts, default=0)


def _numbers_at_end(row: bytes) -> int:
    parts = row.split()
    count = 0
    while count < len(parts) - 1 and _is_number(parts[-1 - count]):
        count += 1
    return count


def _is_number(text: bytes) -> bool:
    try:
        float(text.replace(b",", b".", 1))
    except ValueError:
        return False
    return True


def read(
    path: str | os.PathLike[str], binary: bool | None, limit: int | None, errors: str
) -> tuple[list[str], np.ndarray]:
    """Return words and vectors; see :meth:`pynn.text.KeyedVectors.load_word2vec_format`."""
    name = os.fspath(path)
    try:
        with _opened(name) as file:
            start = file.peek(PEEK)[:PEEK]  # type: ignore[attr-defined]
            found = detect(start, name)
            wanted = {None: (TEXT, BINARY, GLOVE), True: (BINARY,), False: (TEXT, GLOVE)}[binary]
            if found not in wanted:
                expected = "a word2vec file" if binary is None else wanted[0]
                more = f" help: binary={not binary}." if found in (TEXT, BINARY, GLOVE) else ""
                raise DataError(
                    f"[load_word2vec_format] expected {expected}. Received: {name!r}, "
                    f"{found or 'of no known format'}.{more}"
                )
            if found == GLOVE:
                count, size = None, _size(start.removeprefix(MARK))
            else:
                count, size = (int(part) for part in file.readline().removeprefix(MARK).split())
                _plausible(name, count, size, found)
            records = _binary(file, size, name) if found == BINARY else _lines(file, size, name)
            return _collected(records, count, size, limit, errors, name)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"[load_word2vec_format] {name!r} is damaged: {error}.") from error
    except OSError as error:
        raise DataError(f"[load_word2vec_format] {name!r} cannot be read: {error.strerror or error}.") from error


def _opened(name: str) -> IO[bytes]:
    file: Any = open(name, "rb", buffering=PEEK)  # noqa: SIM115  (the caller closes it)
    if file.peek(2)[:2] == GZIP:
        file.close()
        file = gzip.open(name, "rb")  # noqa: SIM115
    opened: IO[bytes] = file
    return opened


def _plausible(name: str, count: int, size: int, found: str) -> None:
    """Refuse a header that promises more than the file can hold, before memory is taken for it."""
    nbytes = os.path.getsize(name)
    with open(name, "rb") as file:
        packed = file.read(2) == GZIP
    needed = count * (size * (4 if found == BINARY else 2) + 1)
    if not 0 < size <= MOST_NUMBERS or (needed > nbytes and not packed):
        raise DataError(
            f"[load_word2vec_format] {name!r} is damaged: its first line tells of {count} words of {size} numbers, "
            f"and the file has {nbytes} bytes."
        )


def _binary(file: IO[bytes], size: int, name: str) -> Iterator[tuple[bytes, Any]]:
    rest, at, width = b"", 0, 4 * size
    while True:
        blank = rest.find(b" ", at)
        if blank < 0 or len(rest) - blank - 1 < width:
            block = file.read(max(1 << 20, width))
            if not block:
                if rest[at:].strip():
                    raise DataError(f"[load_word2vec_format] {name!r} is damaged: it ends inside a vector.")
                return
            if blank < 0 and len(rest) - at > LONGEST_WORD:
                raise DataError(
                    f"[load_word2vec_format] {name!r} is damaged: a word of more than {LONGEST_WORD} bytes."
                )
            rest, at = rest[at:] + block, 0
            continue
        end = blank + 1 + width
        yield rest[at:blank].lstrip(b"\n"), np.frombuffer(rest, "<f4", size, blank + 1)
        at = end


def _lines(file: IO[bytes], size: int, name: str) -> Iterator[tuple[bytes, Any]]:
    longest = LONGEST_WORD + 64 * (size + 1)  # bytes: a packed file may hold any number
    for i, line in enumerate(iter(lambda: file.readline(longest + 1), b"")):
        if len(line) > longest:
            raise DataError(f"[load_word2vec_format] {name!r} is damaged: a line of more than {longest:,} bytes.")
        if not line.strip():
            continue
        if i == 0:
            line = line.removeprefix(MARK)
        word, *numbers = line.rsplit(None, size)
        try:
            if len(numbers) != size:
                found = _numbers_at_end(line)
                raise ValueError(f"a word and {found} number{'s' * (found != 1)} instead of {size}")
            if b"\r" in line.rstrip(b"\r\n"):
                raise ValueError("line ends of old Macintosh computers")
            if any(b"_" in number for number in numbers):
                raise ValueError("numbers with underscores")
            if any(b"," in number for number in numbers):
                if any(b"." in number for number in numbers):
                    raise ValueError("numbers with both decimal commas and points")
                numbers = [number.replace(b",", b".", 1) for number in numbers]
            with np.errstate(over="ignore"):
                vector = np.array(numbers, "S").astype(np.float64).astype(np.float32)
            if not np.isfinite(vector).all():
                raise ValueError("numbers that are not finite")
        except ValueError as error:
            raise DataError(
                f"[load_word2vec_format] {name!r} is damaged: the line {line[:40].decode(errors='replace')!r} "
                f"has {error}."
            ) from None
        yield word.strip(), vector


def _collected(
    records: Iterator[tuple[bytes, Any]], count: int | None, size: int, limit: int | None, errors: str, name: str
) -> tuple[list[str], np.ndarray]:
    most = count if limit is None else limit if count is None else min(count, limit)
    index: dict[str, int] = {}
    vectors: list[np.ndarray] = []
    seen = 0
    while most is None or seen < most:
        record = next(records, None)
        if record is None:
            if most is not None and count is not None:
                raise DataError(
                    f"[load_word2vec_format] {name!r} is damaged: its first line tells of {count} words, and {seen} "
                    "are there."
                )
            break
        seen += 1
        try:
            word = record[0].decode("utf-8", errors)
        except UnicodeDecodeError as error:
            raise DataError(
                f"[load_word2vec_format] {name!r}: expected words in UTF-8. Received: {record[0]!r} ({error.reason}). "
                "help: errors='replace'."
            ) from error
        if word in index:
            warnings.warn(f"{name}: the word {word!r} is there twice; the first counts", stacklevel=4)
            continue
        index[word] = len(vectors)
        vectors.append(record[1])
    if limit is None and count is not None and next(records, None) is not None:
        raise DataError(
            f"[load_word2vec_format] {name!r} is damaged: its first line tells of {count} words, and more follow. "
            f"help: limit={count} reads those alone."
        )
    return list(index), np.array(vectors, np.float32).reshape(len(vectors), size)


def write(wv: KeyedVectors, path: str | os.PathLike[str], binary: bool) -> None:
    """Write words and vectors; see :meth:`pynn.text.KeyedVectors.save_word2vec_format`."""
    for word in wv.index_to_key:
        if not word or word.split() != [word]:
            raise DataError(
                f"[save_word2vec_format] expected words without blanks. Received: {word!r}. "
                "help: join its parts, as with '_'."
            )
    write_whole(path, _records(wv, binary))


def _records(wv: KeyedVectors, binary: bool) -> Iterator[bytes]:
    yield f"{len(wv)} {wv.vector_size}\n".encode()
    form = " ".join(["%.9g"] * wv.vector_size)  # nine digits tell any two float32 apart
    for word, vector in zip(wv.index_to_key, wv.vectors, strict=True):
        if binary:
            yield word.encode() + b" " + vector.astype("<f4").tobytes() + b"\n"
        else:
            yield f"{word} {form % tuple(vector.tolist())}\n".encode()
