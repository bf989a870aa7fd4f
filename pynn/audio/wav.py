"""Reading .wav files: what is damaged is refused, another rate or stereo is converted and said once."""

from __future__ import annotations

import io
import math
import os
import struct
import warnings
from pathlib import Path

import numpy as np

from pynn.errors import DataError, DTypeError, ShapeError

__all__ = ["STARTS", "checked", "mono", "read_wav", "resample"]

# Sizes from here on, and 0, were written into a pipe, where a program cannot go back to say how much it wrote.
UNKNOWN, UNKNOWN_LONG = 0x7FFFF000, 1 << 62
LONG = 0xFFFFFFFF  # the size of what has its size in 64 bits elsewhere
STARTS = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<", b"BW64": "<"}  # and the order of bytes
PCM, FLOAT, A_LAW, MU_LAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
CODINGS = {2: "ADPCM", 0x11: "IMA ADPCM", 0x31: "GSM 6.10", 0x50: "MPEG", 0x55: "MP3", 0xFF: "AAC"}
SLOWEST, FASTEST = 1_000, 768_000  # rates in Hz that a recording can have; a damaged header gives others


def read_wav(path: str | os.PathLike[str], content: bytes | None = None) -> tuple[np.ndarray, int]:
    """Return what a .wav file holds: samples from -1 to 1 and their rate.

    Parameters
    ----------
    path : path-like
        The file; PCM of 8 to 64 bits, floating-point numbers, A-law or mu-law, also with sizes of 64 bits (RF64). Sizes
        that a program writing into a pipe left open (0 or about 2**31 or 2**32) mean all that is there.
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
    form, part = _parts(path, data)
    order = STARTS[data[:4]]
    kind, channels, rate, block, bits = _described(path, form, order)
    if kind in (A_LAW, MU_LAW) and bits == 8 and 0 < channels == block:
        values = _law(kind)[np.frombuffer(part, np.uint8)[: len(part) - len(part) % channels]]
        return checked(path, values.reshape(-1, channels), rate)
    if kind not in (PCM, FLOAT):
        name = CODINGS.get(kind, f"coding {kind}")
        raise _damaged(path, f"sound in {name}", " help: save it as PCM.")
    if not 0 < channels * -(-bits // 8) == block:
        raise _damaged(path, f"{channels} numbers of {bits} bits in {block} bytes")
    if len(part) > LONG - 1000:
        raise _damaged(path, "more than 4 GiB of samples")
    from scipy.io import wavfile  # here, because importing scipy.io takes a quarter of a second

    try:
        with warnings.catch_warnings():
            # Chunks of text after the samples are no fault, and the ends of chunks were checked.
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            rate, samples = wavfile.read(io.BytesIO(_whole(form, part, order, rate, block)))
    except (ValueError, struct.error, EOFError, ArithmeticError, TypeError, UnboundLocalError, MemoryError) as error:
        raise _damaged(path, f"{error or type(error).__name__}") from None
    samples = samples.reshape(-1, channels)
    if samples.dtype.kind == "u":  # 8 bits, 128 is silence
        samples = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        samples = (samples / 2.0 ** (8 * samples.dtype.itemsize - 1)).astype(np.float32)
    return checked(path, samples, rate)


def checked(path: str | os.PathLike[str], samples: np.ndarray, rate: int) -> tuple[np.ndarray, int]:
    """Return samples as float32 and their rate; refuse none, numbers that are not finite, and rates that none has."""
    if samples.size == 0:
        raise _damaged(path, "no samples")
    if not SLOWEST <= rate <= FASTEST:
        raise _damaged(path, f"{rate} samples per second")
    with np.errstate(over="ignore"):  # larger than float32 can be: not finite, either
        samples = np.ascontiguousarray(samples, np.float32)
    if not np.isfinite(samples).all():
        raise _damaged(path, "samples that are not finite")
    return samples, int(rate)


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


def _parts(path: str | os.PathLike[str], data: bytes) -> tuple[bytes, memoryview]:
    """Return the description and the samples of a .wav file, whatever its sizes say that was written into a pipe.

    What is no such file is refused, and one whose samples end behind the file's end: readers take those in silence.
    """
    if not data:
        raise _damaged(path, "an empty file")
    if len(data) < 12 or data[:4] not in STARTS or data[8:12] != b"WAVE":
        raise _damaged(path, f"a file that begins with {data[:12]!r}")
    order, long = STARTS[data[:4]], 0
    at, form = 12, b""
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from(order + "I", data, at + 4)[0]
        begin, at = at + 8, at + 8 + size
        if name == b"ds64" and size >= 16 and begin + 16 <= len(data):
            long = struct.unpack_from("<Q", data, begin + 8)[0]  # the size of the samples in 64 bits
        if name == b"fmt " and not form:
            form = data[begin:at]
        if name == b"data":
            if not form:
                raise _damaged(path, "no part 'fmt '")
            there = len(data) - begin
            if size == LONG and 0 < long < UNKNOWN_LONG:
                size = long
            elif (size >= UNKNOWN and at > len(data)) or (size == 0 and not _only_chunks(data, begin, order + "I")):
                block = max(1, struct.unpack_from(order + "H", form, 12)[0]) if len(form) >= 14 else 1
                size = there - there % block  # the last sample may be cut
            if size > there:
                raise _damaged(path, f"{len(data):,} bytes of {begin + size:,}: the end is missing")
            return form, memoryview(data)[begin : begin + size]
        at += size % 2
    raise _damaged(path, "no part 'data'" if form else "no part 'fmt '")


def _described(path: str | os.PathLike[str], form: bytes, order: str) -> tuple[int, int, int, int, int]:
    """Return (kind, channels, rate, bytes of a step in time, bits of a number)."""
    if len(form) < 16:
        raise _damaged(path, f"a part 'fmt ' of {len(form)} bytes")
    kind, channels, rate, _, block, bits = struct.unpack_from(order + "HHIIHH", form)
    if kind == EXTENSIBLE and len(form) >= 26:
        kind = struct.unpack_from(order + "H", form, 24)[0]
    return kind, channels, rate, block, bits


def _whole(form: bytes, samples: memoryview, order: str, rate: int, block: int) -> bytes:
    """Return a plain file of these parts alone: nothing else in it matters, and no reader stumbles over it."""
    form = form[:8] + struct.pack(order + "I", rate * block % 2**32) + form[12:]  # programs write any rate of bytes
    form += bytes(len(form) % 2)
    size = 20 + len(form) + len(samples)
    head = (b"RIFF" if order == "<" else b"RIFX") + struct.pack(order + "I", min(size, LONG)) + b"WAVEfmt "
    head += struct.pack(order + "I", len(form)) + form + b"data" + struct.pack(order + "I", len(samples))
    return head + bytes(samples)


def _law(kind: int) -> np.ndarray:
    """Return the 256 values of A-law or mu-law, the coding of telephones (ITU-T G.711), from -1 to 1."""
    code = np.arange(256) ^ (0x55 if kind == A_LAW else 0xFF)
    exponent, mantissa = code >> 4 & 7, code & 15
    if kind == A_LAW:
        size = np.where(exponent > 0, (mantissa << 4) + 264 << np.maximum(exponent - 1, 0), (mantissa << 4) + 8)
        sign = np.where(code & 0x80, 1, -1)
    else:
        size = ((mantissa << 3) + 132 << exponent) - 132
        sign = np.where(code & 0x80, -1, 1)
    return (sign * size / 32768).astype(np.float32)


def _only_chunks(data: bytes, at: int, order: str) -> bool:
    """Tell whether nothing or whole chunks lie from `at` to the end."""
    while at + 8 <= len(data) and data[at : at + 4].isascii() and data[at : at + 4].isalnum():
        size = struct.unpack_from(order, data, at + 4)[0]
        at += 8 + size + size % 2
    return at >= len(data)


def _damaged(path: str | os.PathLike[str], what: str, remedy: str = "") -> DataError:
    return DataError(f"[wav] {os.fspath(path)}: expected a whole .wav file. Received: {what}.{remedy}")
