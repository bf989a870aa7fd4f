"""Sounds in other files than .wav: FLAC, Ogg and MP3, through the package soundfile."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from pynn.audio.wav import STARTS, checked, mono, read_wav, resample
from pynn.errors import DataError

__all__ = ["SOUNDS", "load", "read_sound"]

SOUNDS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3")
FORMATS = ("FLAC", "OGG", "MP3", "MPEG")  # alone: of others libsndfile reads what is left when the end is missing
LONGEST_PAGE = 65_307  # bytes, of Ogg
BLOCK = 1 << 18  # steps in time that are unpacked at once: a small file may say that it holds any number
LARGEST = 1 << 29  # numbers


def read_sound(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Return what a file of sound holds: samples from -1 to 1 and their rate.

    Parameters
    ----------
    path : path-like
        A .wav file, which :func:`read_wav` reads, or FLAC, Ogg (Vorbis, Opus) or MP3.

    Returns
    -------
    samples : ndarray [n, channels]
        float32.
    rate : int
        Samples per second.

    Raises
    ------
    DataError
        If the file is empty, cut off, damaged, of another format, or without samples.
    ImportError
        If it is no .wav file and soundfile is not installed (extra ``audio``).
    OSError
        If it cannot be read.

    Examples
    --------
    >>> samples, rate = read_sound("seven.flac")  # doctest: +SKIP
    >>> samples.shape, rate  # doctest: +SKIP
    ((3457, 1), 8000)
    """
    with open(path, "rb") as file:
        start = file.read(4)
        if start in STARTS or os.fspath(path).lower().endswith(".wav"):
            return read_wav(path)
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - LONGEST_PAGE))
        end = file.read()
    try:
        import soundfile
    except ImportError:
        raise ImportError(f'reading {os.fspath(path)} needs soundfile. help: pip install "pynn-dl[audio]"') from None
    blocks: list[np.ndarray] = []
    size = 0
    try:
        with soundfile.SoundFile(os.fspath(path)) as sound:
            rate, promised = sound.samplerate, sound.frames
            if sound.format not in FORMATS:
                raise _damaged(path, f"{sound.format}. help: save it as .wav")
            while len(block := sound.read(BLOCK, dtype="float32", always_2d=True)):
                blocks.append(block)
                size += block.size
                if size > LARGEST:
                    raise _damaged(path, f"more than {LARGEST:,} samples")
    except soundfile.SoundFileError as error:
        raise _damaged(path, str(error)[-100:].rstrip(".")) from None
    if start == b"OggS" and not _ended(end):
        raise _damaged(path, "a stream whose last page is missing")
    samples = np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)
    if len(samples) < promised < 2**62:
        raise _damaged(path, f"{len(samples):,} of {promised:,} samples: the end is missing")
    return checked(path, samples, rate)


def load(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    rate: int = 8000,
    tell: Callable[[str], object] | None = None,
) -> list[np.ndarray]:
    """Return recordings as one channel of one rate; what had to be converted is said once for all files.

    Parameters
    ----------
    paths : path-like, or sequence of path-like
        .wav, .flac, .ogg or .mp3 files.
    rate : int, default 8000
        Samples per second that are wanted.
    tell : callable (str), optional
        Takes the sentence about what was converted. Default: a UserWarning.

    Returns
    -------
    list of ndarray [n]
        float32, from -1 to 1.

    Raises
    ------
    DataError, ImportError, OSError
        As :func:`read_sound`.
    """
    files = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    recordings, converted = [], []
    for path in files:
        samples, given = read_sound(path)
        if given != rate or samples.shape[1] != 1:
            converted.append((path, given, samples.shape[1]))
        recordings.append(resample(mono(samples), given, rate))
    if converted:
        path, given, channels = converted[0]
        more = f" (and {len(converted) - 1} more files)" if len(converted) > 1 else ""
        kind = {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")
        sentence = f"{os.fspath(path)}{more}: converted from {given:,} Hz {kind} to {rate:,} Hz mono"
        if tell is None:
            warnings.warn(sentence, stacklevel=2)
        else:
            tell(sentence)
    return recordings


def _ended(end: bytes) -> bool:
    """Tell whether the last page of Ogg is whole and says that it is the last."""
    page = end[end.rfind(b"OggS") :]
    if len(page) < 28 or len(page) < 27 + page[26]:
        return False
    return bool(page[5] & 4) and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])


def _damaged(path: str | os.PathLike[str], what: str) -> DataError:
    return DataError(f"[sound] {os.fspath(path)}: expected a whole file of sound. Received: {what}.")
