"""Reading .wav files: what is damaged is refused, another rate or stereo is converted and said once."""

from __future__ import annotations

import io
import math
import os
import struct
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pynn.errors import DataError, DTypeError, ShapeError

__all__ = ["load", "mono", "read_wav", "resample"]

# Sizes from here on, and 0, were written into a pipe, where a program cannot go back to say how much it wrote.
UNKNOWN = 0x7FFFF000
SLOWEST, FASTEST = 1_000, 768_000  # rates in Hz that a recording can have; a damaged header gives others


def read_wav(path: str | os.PathLike[str], content: bytes | None = None) -> tuple[np.ndarray, int]:
    """Return what a .wav file holds: samples from -1 to 1 and their rate.

    Parameters
    ----------
    path : path-like
        The file; PCM of 8 to 64 bits or floating-point numbers. Sizes that a program writing into a pipe left open (0
        or about 2**31 or 2**32) mean all that is there.
    content : bytes, optional
        What is in the file, where it was read already (out of an archive); `path` is then its name for messages.

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
    OSError
        If it cannot be read.

    Examples
    --------
    >>> samples, rate = read_wav("seven.wav")  # doctest: +SKIP
    >>> samples.shape, rate  # doctest: +SKIP
    ((3457, 1), 8000)
    """
    data = Path(path).read_bytes() if content is None else content
    data = _with_true_sizes(path, data)
    from scipy.io import wavfile  # here, because importing scipy.io takes a quarter of a second

    try:
        with warnings.catch_warnings():
            # Chunks of text after the samples are no fault, and the ends of chunks were checked.
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            rate, samples = wavfile.read(io.BytesIO(data))
    except (ValueError, struct.error, EOFError, ArithmeticError, TypeError, UnboundLocalError, MemoryError) as error:
        raise _damaged(path, f"{error or type(error).__name__}") from None
    if samples.size == 0:
        raise _damaged(path, "no samples")
    if not SLOWEST <= rate <= FASTEST:
        raise _damaged(path, f"{rate} samples per second")
    samples = samples.reshape(len(samples), -1)
    if samples.dtype.kind == "u":  # 8 bits, 128 is silence
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = (samples / 2.0 ** (8 * samples.dtype.itemsize - 1)).astype(np.float32)
    samples = np.ascontiguousarray(samples, np.float32)
    if not np.isfinite(samples).all():
        raise _damaged(path, "samples that are not finite")
    return samples, int(rate)


def load(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    rate: int = 8000,
    tell: Callable[[str], object] | None = None,
) -> list[np.ndarray]:
    """Return recordings as one channel of one rate; what had to be converted is said once for all files.

    Parameters
    ----------
    paths : path-like, or sequence of path-like
        .wav files.
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
    DataError, OSError
        As :func:`read_wav`.
    """
    files = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    recordings, converted = [], []
    for path in files:
        samples, given = read_wav(path)
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


def mono(samples: np.ndarray) -> np.ndarray:
    """Return the mean of the channels [n] of samples [n, channels].

    Examples
    --------
    >>> mono(np.array([[0.0, 1.0], [0.5, 0.5]]))
    array([0.5, 0.5])
    """
    samples = np.asarray(samples)
    if samples.ndim != 2 or not samples.shape[1]:
        raise ShapeError(f"[mono] expected samples [n, channels]. Received: shape {samples.shape}.")
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)


def resample(x: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Return a recording at another rate, by a polyphase filter that lets nothing above half the lower rate pass.

    Parameters
    ----------
    x : ndarray [n]
    rate : int
        Samples per second of `x`.
    wanted : int
        Samples per second of the result.
        Samples per second, of `x` and of the result.

    Returns
    -------
    ndarray [ceil(n * wanted / rate)]
        float32; `x` itself where the rates are equal.

    Examples
    --------
    >>> len(resample(np.zeros(44100, "float32"), 44100, 8000))
    8000
    """
    x = np.asarray(x)
    if x.dtype.kind == "c":
        raise DTypeError(f"[resample] expected real samples. Received: {x.dtype}.")
    if x.ndim != 1 or not len(x):
        raise ShapeError(f"[resample] expected samples [n], at least one. Received: shape {x.shape}.")
    if rate == wanted:
        return x
    from scipy.signal import resample_poly

    common = math.gcd(rate, wanted)
    return resample_poly(x.astype(np.float64), wanted // common, rate // common).astype(np.float32)


def _with_true_sizes(path: str | os.PathLike[str], data: bytes) -> bytes:
    """Return the file with its sizes filled in, where it was written into a pipe.

    What is no RIFF file is refused, and one whose chunks end behind the file's end: readers take those in silence.
    """
    if not data:
        raise _damaged(path, "an empty file")
    if len(data) < 12 or data[:4] not in (b"RIFF", b"RIFX", b"RF64") or data[8:12] != b"WAVE":
        raise _damaged(path, f"a file that begins with {data[:12]!r}")
    if data[:4] == b"RF64":  # sizes of 64 bits stand elsewhere; the samples of such a file fill gigabytes
        return data
    order = "<I" if data[:4] == b"RIFF" else ">I"
    at, found, block = 12, [], 1
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from(order, data, at + 4)[0]
        found.append(name)
        begin, at = at + 8, at + 8 + size
        if name == b"fmt " and begin + 14 <= len(data):
            block = max(1, struct.unpack_from(order[0] + "H", data, begin + 12)[0])
        if name == b"data":
            there = len(data) - begin
            if (size >= UNKNOWN and at > len(data)) or (size == 0 and not _only_chunks(data, begin, order)):
                whole = there - there % block  # the last sample may be cut
                head = bytearray(data[:begin])
                struct.pack_into(order, head, 4, begin - 8 + whole)
                struct.pack_into(order, head, begin - 4, whole)
                return bytes(head) + data[begin : begin + whole]
            if at > len(data):
                raise _damaged(path, f"{len(data):,} bytes of {at:,}: the end is missing")
            break
        at += size % 2
    missing = [name.decode() for name in (b"fmt ", b"data") if name not in found]
    if missing:
        raise _damaged(path, f"no part {missing[0]!r}")
    return data


def _only_chunks(data: bytes, at: int, order: str) -> bool:
    """Tell whether nothing or whole chunks lie from `at` to the end."""
    while at + 8 <= len(data) and data[at : at + 4].isascii() and data[at : at + 4].isalnum():
        size = struct.unpack_from(order, data, at + 4)[0]
        at += 8 + size + size % 2
    return at >= len(data)


def _damaged(path: str | os.PathLike[str], what: str) -> DataError:
    return DataError(f"[wav] {os.fspath(path)}: expected a whole .wav file. Received: {what}.")
