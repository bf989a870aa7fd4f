"""Packed files, unpacked no further than what a data set can hold: a small file may stand for terabytes."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Iterator
from typing import IO, Any

from pynn._blocks import context
from pynn.errors import DataError
from pynn.packed import bz2, lzma

__all__ = ["Bounded", "archive", "unpacked"]

LARGEST = 1 << 30  # bytes of a file when it is unpacked; ten times the largest of those that are read
LONGEST_READ = 1 << 26  # bytes of one read: of an archive's member, or of what describes one
OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


class Bounded(io.RawIOBase):
    """A file that is read from its beginning, and refused when it goes on beyond a number of bytes.

    Parameters
    ----------
    file : binary file
    name : str
        For messages.
    most, longest : int
        Bytes of the file, and of one read.
    """

    def __init__(self, file: IO[bytes], name: str, most: int | None = None, longest: int = LONGEST_READ):
        self.file, self.name, self.most, self.longest = file, name, LARGEST if most is None else most, longest

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; all that are left without a size."""
        if size is None or size < 0:
            size = self.most + 1
        elif size > self.longest:
            raise DataError(f"{self.name}: expected parts of at most {self.longest:,} bytes. Received: {size:,}.")
        data = self.file.read(size)
        self._check()
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place, which is no further than the file may be long."""
        if whence == 0 and offset < 0:  # an archive's member of a size below 0
            raise DataError(f"{self.name}: expected sizes of at least 0. Received: a step to before the beginning.")
        if whence == 0 and offset > self.most:
            raise DataError(f"{self.name}: expected at most {self.most:,} bytes, unpacked. Received: more.")
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place in the file."""
        return self.file.tell()

    def seekable(self) -> bool:
        """Return True."""
        return True

    def _check(self) -> None:
        if self.file.tell() > self.most:
            raise DataError(f"{self.name}: expected at most {self.most:,} bytes, unpacked. Received: more.")


@context
def unpacked(path: str | os.PathLike[str]) -> Iterator[Bounded]:
    """Open a file that may be packed by gzip, bzip2 or xz, for reading inside a ``with`` block."""
    with open(path, "rb") as plain:
        start = plain.read(6)
        plain.seek(0)
        opener = next((opener for magic, opener in OPENERS.items() if start.startswith(magic)), None)
        if opener is None:
            yield Bounded(plain, os.fspath(path), max(LARGEST, os.fstat(plain.fileno()).st_size))
            return
        with opener(plain) as file:
            yield Bounded(file, os.fspath(path))


@context
def archive(path: str | os.PathLike[str]) -> Iterator[tarfile.TarFile]:
    """Open a tar archive, packed or not, for reading inside a ``with`` block."""
    with unpacked(path) as file, tarfile.open(fileobj=file, mode="r:") as opened:
        yield opened
