"""Event files as TensorBoard reads them: records with checksums, in them messages of protocol buffers, written by hand.

A record is its length (u64), the checksum of the length, the data, the checksum of the data; checksums are CRC-32C,
turned by 15 bits and moved by a constant. A message is a row of fields, each led by ``number << 3 | kind``.
"""

from __future__ import annotations

import os
import socket
import struct
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

__all__ = ["EventFile", "graph", "histogram", "image", "scalar", "text"]

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5


def _table() -> list[int]:
    found = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        found.append(value)
    return found


TABLE = _table()


def masked_crc(data: bytes) -> int:
    """Return the checksum of a record.

    Examples
    --------
    >>> hex(masked_crc(b"123456789"))
    '0xc78ab0e5'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number: int, value: Any, kind: int | None = None) -> bytes:
    """Return a field: a text or bytes, an integer, or a float of 4 or 8 bytes."""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return _varint(number << 3 | BYTES) + _varint(len(value)) + value
    if kind == FOUR:
        return _varint(number << 3 | FOUR) + struct.pack("<f", value)
    if kind == EIGHT:
        return _varint(number << 3 | EIGHT) + struct.pack("<d", value)
    return _varint(number << 3 | VARINT) + _varint(value)


def scalar(tag: str, value: float) -> bytes:
    """Return a value of a summary: a number."""
    return field(1, field(1, tag) + field(2, value, FOUR))


def histogram(tag: str, values: np.ndarray, bins: int = 30) -> bytes:
    """Return a value of a summary: how numbers are spread."""
    x = np.asarray(values, np.float64).ravel()
    x = x[np.isfinite(x)]
    x = x if x.size else np.zeros(1)
    counts, edges = np.histogram(x, bins=bins)
    numbers = (x.min(), x.max(), float(x.size), x.sum(), np.square(x).sum())
    told = b"".join(field(i + 1, float(value), EIGHT) for i, value in enumerate(numbers))
    told += field(6, edges[1:].astype("<f8").tobytes()) + field(7, counts.astype("<f8").tobytes())
    return field(1, field(1, tag) + field(5, told))


def image(tag: str, pixels: np.ndarray) -> bytes:
    """Return a value of a summary: a picture [H, W] or [H, W, 3], of bytes or of numbers from 0 to 1."""
    x = np.asarray(pixels)
    if x.dtype != np.uint8:
        x = (255 * np.clip(x, 0, 1) + 0.5).astype(np.uint8)
    height, width = x.shape[:2]
    channels = 1 if x.ndim == 2 else x.shape[2]
    told = field(1, height) + field(2, width) + field(3, channels) + field(4, png(x))
    return field(1, field(1, tag) + field(4, told))


def png(x: np.ndarray) -> bytes:
    """Return the file of a picture of bytes [H, W] or [H, W, 3]."""
    height, width = x.shape[:2]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = np.ascontiguousarray(x).reshape(height, -1)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if x.ndim == 2 else 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def text(tag: str, words: str) -> bytes:
    """Return a value of a summary: Markdown, such as settings."""
    plugin = field(9, field(1, field(1, "text")))
    tensor = field(8, field(1, 7) + field(2, field(2, field(1, 1))) + field(8, words))
    return field(1, field(1, tag) + plugin + tensor)


def graph(nodes: Iterable[tuple[str, str, list[str]]]) -> bytes:
    """Return a graph of nodes (name, kind, names of the inputs)."""
    return b"".join(
        field(1, field(1, name) + field(2, kind) + b"".join(field(3, one) for one in inputs))
        for name, kind, inputs in nodes
    )


class EventFile:
    """An event file that grows; each event is in it, whole, when its call returns.

    Parameters
    ----------
    folder : path-like
        Made if it is not there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self.file: BinaryIO = open(place / name, "xb")  # noqa: SIM115
        self._write(field(3, "brain.Event:2"), 0)

    def summary(self, step: int, *values: bytes) -> None:
        """Write values of one step."""
        self._write(field(5, b"".join(values)), step)

    def graph(self, definition: bytes) -> None:
        """Write a graph."""
        self._write(field(4, definition), 0)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _write(self, what: bytes, step: int) -> None:
        data = field(1, time.time(), EIGHT) + field(2, step) + what
        length = struct.pack("<Q", len(data))
        self.file.write(length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data)))
        self.file.flush()
