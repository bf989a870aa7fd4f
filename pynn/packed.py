"""Reading what was packed: the errors of Python's unpackers, and no more memory than what is there takes."""

from __future__ import annotations

import io
import struct
import types
import zipfile
import zlib
from typing import IO, Any

__all__ = ["UNPACKING", "bz2", "lzma", "read_at_most"]


def _missing(name: str) -> Any:
    """Return what stands for a module that Python was compiled without: it says so once a file needs it."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(f"this Python was compiled without {name}, by which the file is packed")

    return types.SimpleNamespace(open=refuse, decompress=refuse, LZMAError=EOFError)


bz2: Any
lzma: Any
try:
    import bz2
except ImportError:
    bz2 = _missing("bz2")
try:
    import lzma
except ImportError:
    lzma = _missing("lzma")

# What unpackers raise for damaged files; a DataError, which is a ValueError, is caught before.
UNPACKING = (OSError, EOFError, ValueError, RuntimeError, ArithmeticError, struct.error, zlib.error, lzma.LZMAError,
             zipfile.BadZipFile)  # fmt: skip
PIECE = 1 << 22  # bytes


def read_at_most(file: IO[Any] | io.BufferedIOBase, size: int) -> bytearray:
    """Return the next bytes of a file, at most so many; memory is taken as they come, whatever the file says of itself.

    Examples
    --------
    >>> bytes(read_at_most(io.BytesIO(b"12345"), 3))
    b'123'
    """
    content = bytearray()
    while len(content) < size:
        piece = file.read(min(PIECE, size - len(content)))
        if not piece:
            break
        content += piece
    return content
