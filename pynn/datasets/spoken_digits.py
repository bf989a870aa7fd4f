"""The Free Spoken Digit Dataset: six people say the ten digits, fifty times each."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pynn.errors import DataError, unknown_name
from pynn.packed import UNPACKING, read_at_most

__all__ = ["SpokenDigits", "spoken_digits"]

RATE = 8000
TESTED_TAKES = 5  # of each digit and speaker, the first so many are the test part
LARGEST = 1 << 22  # bytes of one recording: the longest has 37,000
NAME = re.compile(r"(?:^|/)([0-9])_([A-Za-z]+)_(\d{1,4})\.wav$")
PLACES = ("fsdd", "free-spoken-digit-dataset", "free-spoken-digit-dataset-master")
ARCHIVES = ("free-spoken-digit-dataset.zip", "free-spoken-digit-dataset-master.zip", "fsdd.zip")
SOURCE = "https://github.com/Jakobovski/free-spoken-digit-dataset"


@dataclass(frozen=True)
class SpokenDigits:
    """Recordings of spoken digits, in the order of their names.

    Parameters
    ----------
    recordings : tuple of ndarray [n]
        Samples float32 from -1 to 1, 8,000 a second; each recording has its own length.
    y : ndarray [N]
        int64, the digit.
    speaker : ndarray [N]
        str, who speaks.
    take : ndarray [N]
        int64, the number of the recording among those of the same digit and speaker.
    rate : int, default 8000
        Samples per second.
    """

    recordings: tuple[np.ndarray, ...]
    y: np.ndarray
    speaker: np.ndarray
    take: np.ndarray
    rate: int = RATE

    def __len__(self) -> int:
        return len(self.y)

    @property
    def speakers(self) -> list[str]:
        """The names of those who speak."""
        return sorted(set(self.speaker.tolist()))

    @property
    def test(self) -> np.ndarray:
        """The official test part, bool [N]: recordings 0 to 4 of each digit and speaker. All speakers are in both."""
        return self.take < TESTED_TAKES

    def spoken_by(self, name: str) -> np.ndarray:
        """Return which recordings are of one speaker, bool [N]: the test part of leave-one-speaker-out.

        Raises
        ------
        ValueError
            If nobody has the name.
        """
        if name not in self.speakers:
            raise ValueError(f"[spoken_digits] {unknown_name('speaker', name, self.speakers)}")
        return self.speaker == name


def spoken_digits(data: str | os.PathLike[str] | None = None) -> SpokenDigits:
    """Return the Free Spoken Digit Dataset: 3,000 recordings of 10 digits by 6 speakers, 8 kHz.

    Parameters
    ----------
    data : path-like, optional
        The archive ``free-spoken-digit-dataset.zip``, which is read without unpacking it, or a folder that holds it
        (in it or in its folder ``fsdd``), or a folder with the recordings. Default: the folder named by the
        environment variable ``PYNN_DATA``. It is not downloaded.

    Returns
    -------
    SpokenDigits
        2,700 of its recordings are the training part, 300 (``.test``) the official test part.

    Raises
    ------
    DataError
        If there is no such archive or folder, or a recording is missing or damaged; the message names it.

    References
    ----------
    Z. Jackson and others, "Free Spoken Digit Dataset", github.com/Jakobovski/free-spoken-digit-dataset.

    Examples
    --------
    >>> digits = spoken_digits()  # doctest: +SKIP
    >>> len(digits), digits.speakers[0], int(digits.test.sum())  # doctest: +SKIP
    (3000, 'george', 300)
    """
    source = "data" if data is not None else "PYNN_DATA"
    place = data if data is not None else os.environ.get("PYNN_DATA") or None
    if place is None:
        raise DataError(
            "[spoken_digits] expected a folder in data or PYNN_DATA. Received: neither. "
            f"help: download {SOURCE}/archive/refs/heads/master.zip, and name the folder that holds it."
        )
    files = _files(Path(place), source)
    found = []
    for name, content in files:
        matched = NAME.search(name)
        if matched:
            found.append((int(matched[1]), matched[2], int(matched[3]), name, content))
    if not found:
        raise DataError(
            f"[spoken_digits] {os.fspath(place)}: expected recordings named 7_jackson_32.wav. Received: none."
        )
    found.sort(key=lambda item: item[:3])
    return _complete(
        SpokenDigits(
            tuple(_recording(name, content) for *_, name, content in found),
            np.array([item[0] for item in found], np.int64),
            np.array([item[1] for item in found]),
            np.array([item[2] for item in found], np.int64),
        ),
        place,
    )


def _files(place: Path, source: str) -> Iterator[tuple[str, bytes]]:
    folders = [place / name for name in PLACES] + [place]
    archives = [place] if place.is_file() else [folder / name for folder in folders for name in ARCHIVES]
    for archive in archives:
        if archive.is_file():
            return _from_archive(archive)
    for folder in [folder / "recordings" for folder in folders] + [place]:
        if any(folder.glob("[0-9]_*_*.wav")):
            return ((str(path), path.read_bytes()) for path in sorted(folder.glob("*.wav")))
    reason = "neither is there" if place.is_dir() else "there is no such file or folder"
    raise DataError(
        f"[spoken_digits] expected {ARCHIVES[0]} or a folder 'recordings' in {source}={os.fspath(place)!r}. "
        f"Received: {reason}; looked in {', '.join(map(str, folders))}. "
        f"help: download {SOURCE}/archive/refs/heads/master.zip, and name the folder that holds it."
    )


def _from_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if not NAME.search(member.filename):
                    continue
                if member.file_size > LARGEST:
                    raise DataError(
                        f"[spoken_digits] {path}: {member.filename[-100:]}: expected at most {LARGEST:,} bytes."
                    )
                with archive.open(member) as file:
                    content = bytes(read_at_most(file, LARGEST + 1))
                yield os.path.join(path, member.filename[-100:]), content
    except DataError:
        raise
    except UNPACKING as error:
        raise DataError(
            f"[spoken_digits] {path}: expected a whole zip archive. Received: {str(error)[:200]}."
        ) from None


def _recording(name: str, content: bytes) -> np.ndarray:
    from pynn.audio import mono, read_wav

    samples, rate = read_wav(name, content)
    if rate != RATE:
        raise DataError(f"[spoken_digits] {name}: expected {RATE:,} samples per second. Received: {rate:,}.")
    return mono(samples)


def _complete(digits: SpokenDigits, place: str | os.PathLike[str]) -> SpokenDigits:
    """Refuse a set in which a speaker has a gap: the official split would mean something else."""
    takes = set(digits.take.tolist())
    there = set(zip(digits.y.tolist(), digits.speaker.tolist(), digits.take.tolist(), strict=True))
    for digit in range(10):
        for speaker in digits.speakers:
            for take in takes:
                if (digit, speaker, take) not in there:
                    raise DataError(
                        f"[spoken_digits] {os.fspath(place)}: expected {digit}_{speaker}_{take}.wav, as of others. "
                        "Received: no such recording."
                    )
    return digits
