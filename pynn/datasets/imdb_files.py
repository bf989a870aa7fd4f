"""The film reviews of the Large Movie Review Dataset: found, and read from a folder or out of an archive."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pynn.datasets.fetch import FileSet, locate
from pynn.datasets.unpack import archive
from pynn.errors import DataError
from pynn.packed import UNPACKING

__all__ = ["PARTS", "find_reviews", "fingerprint", "in_fixed_order", "read_reviews"]

ARCHIVE = FileSet(
    "imdb",
    ("https://ai.stanford.edu/~amaas/data/sentiment/",),
    {"aclImdb_v1.tar.gz": "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"},
)
ARCHIVES = tuple(f"{stem}.tar{packed}" for stem in ("aclImdb", "aclImdb_v1") for packed in ("", ".gz", ".xz"))
KERAS = "imdb.npz"
PARTS = ("train/neg", "train/pos", "test/neg", "test/pos")
REVIEW = re.compile(r"(?:^|/)((?:train|test)/(?:neg|pos))/(\d+_\d+)\.txt$")
LONGEST = 1 << 20  # bytes of a review; the longest has 14,000

Texts = tuple[list[str], np.ndarray]


def find_reviews(data: str | os.PathLike[str] | None, progress: bool) -> Path:
    """Return the folder aclImdb, its archive, or Keras's imdb.npz, whichever is there; the archive is downloaded."""
    given = data if data is not None else os.environ.get("PYNN_DATA") or None
    if given is None:
        [archive] = locate(ARCHIVE, None, progress).values()
        return archive
    place = Path(given)
    if place.is_file():
        return place
    for folder in (place / "imdb", place):
        candidates = (folder / "aclImdb", *(folder / name for name in ARCHIVES), folder / KERAS, folder)
        for path in candidates:
            if path.is_file() or (path / "train" / "pos").is_dir():
                return path
    reason = "the folder has none of them" if place.is_dir() else "there is no such file or folder"
    raise DataError(
        f"[imdb] expected the folder aclImdb, an archive of it ({', '.join(ARCHIVES)}) or {KERAS} in "
        f"{'data' if data is not None else 'PYNN_DATA'}={os.fspath(place)!r} or its folder imdb. Received: {reason}. "
        "help: name the place that holds the reviews, or leave out data and PYNN_DATA to download them."
    )


def fingerprint(path: Path) -> list[Any]:
    """Return what changes when the file or folder does: name, size and time of change (of every review)."""
    if path.is_file():
        status = path.stat()
        return [str(path.resolve()), status.st_size, status.st_mtime_ns]
    digest, count = hashlib.sha256(), 0
    for part in PARTS:
        for entry in sorted(_entries(path, part), key=lambda entry: entry.name):
            status = entry.stat()
            digest.update(f"{part}/{entry.name} {status.st_size} {status.st_mtime_ns}\n".encode())
            count += 1
    return [str(path.resolve()), count, digest.hexdigest()]


def read_reviews(path: Path) -> tuple[Texts, Texts]:
    """Return the texts and labels (0 negative, 1 positive) of both parts, in a fixed order that mixes the labels.

    Raises
    ------
    DataError
        If the folder or archive is damaged, holds a review that is not UTF-8, or lacks one of the four parts.
    """
    reviews: dict[str, dict[str, str]] = {part: {} for part in PARTS}
    for part, name, content in _members(path) if path.is_file() else _files(path):
        try:
            reviews[part][name] = content.decode("utf-8")
        except UnicodeDecodeError as error:
            place = path / part / f"{name}.txt"
            raise DataError(f"{place}: expected text in UTF-8. Received: a bad byte at {error.start}.") from error
    lacking = [part for part in PARTS if not reviews[part]]
    if lacking:
        raise DataError(
            f"{path}: expected reviews in {', '.join(PARTS)}, named like 123_9.txt. Received: none in "
            f"{', '.join(lacking)}. help: the folder aclImdb is meant, or an archive of it."
        )
    return _part(reviews, "train"), _part(reviews, "test")


def _part(reviews: dict[str, dict[str, str]], part: str) -> Texts:
    sides = [reviews[f"{part}/{side}"] for side in ("neg", "pos")]
    texts = [side[name] for side in sides for name in sorted(side)]
    y = np.repeat(np.arange(2), [len(side) for side in sides])
    order = in_fixed_order(len(texts))
    return [texts[i] for i in order], y[order]


def in_fixed_order(count: int) -> np.ndarray:
    """Return the order of items that validation_split, which takes the last ones, needs: labels mixed."""
    return np.random.RandomState(113).permutation(count)  # a stream that NumPy keeps for ever


def _entries(path: Path, part: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path / part) as entries:
            return [entry for entry in entries if REVIEW.search(f"{part}/{entry.name}")]
    except OSError as error:
        raise DataError(f"{path / part}: cannot be read. Received: {error.strerror or error}.") from error


def _files(path: Path) -> Iterator[tuple[str, str, bytes]]:
    for part in PARTS:
        for entry in _entries(path, part):
            try:
                content = Path(entry.path).read_bytes()
            except OSError as error:
                raise DataError(f"{entry.path}: cannot be read. Received: {error.strerror or error}.") from error
            yield part, entry.name.removesuffix(".txt"), content


def _members(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield the reviews of an archive in one pass; nothing is written to disk."""
    try:
        with archive(path) as opened:
            for member in opened:
                opened.members = []  # type: ignore[attr-defined]  # 100,000 headers need not be kept
                match = REVIEW.search(member.name)
                content = opened.extractfile(member) if match and member.isfile() else None
                if match is None or content is None:
                    continue
                if member.size > LONGEST:
                    raise DataError(f"{path / member.name}: expected a review. Received: {member.size} bytes.")
                yield match[1], match[2], content.read()
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read. Received: {error.strerror or error}.") from error
    except (tarfile.TarError, *UNPACKING) as error:
        raise DataError(
            f"{path}: expected a whole, intact tar archive. Received: a damaged one, or none ({error})."
        ) from error
