"""Files of events, as TensorBoard reads them: records of length, checksum and a few fields of a message."""

from __future__ import annotations

import os
import struct
import time
from typing import Any

__all__ = ["Writer"]

_TABLE = []
for _n in range(256):
    for _ in range(8):
        _n = (_n >> 1) ^ (0x82F63B78 if _n & 1 else 0)
    _TABLE.append(_n)


def _checksum(data: bytes) -> int:
    """Return the masked CRC-32C of bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _size(n: int) -> bytes:
    out = b""
    while True:
        out += bytes([n & 0x7F | (0x80 if n > 0x7F else 0)])
        n >>= 7
        if not n:
            return out


def _field(number: int, data: bytes) -> bytes:
    return _size(number << 3 | 2) + _size(len(data)) + data


class Writer:
    """A file of events in a folder.

    Parameters
    ----------
    folder : str
    """

    def __init__(self, folder: str):
        os.makedirs(folder, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.pynn.{os.getpid()}.{id(self)}.v2"
        self.file: Any = open(os.path.join(folder, name), "ab")  # noqa: SIM115
        self._write(_field(3, b"brain.Event:2"))

    def _write(self, rest: bytes) -> None:
        event = b"\x09" + struct.pack("<d", time.time()) + rest
        head = struct.pack("<Q", len(event))
        self.file.write(head + struct.pack("<I", _checksum(head)) + event + struct.pack("<I", _checksum(event)))
        self.file.flush()

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write a number."""
        found = _field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
        self._write(b"\x10" + _size(step) + _field(5, _field(1, found)))

    def close(self) -> None:
        """Close the file."""
        self.file.close()
