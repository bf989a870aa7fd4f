"""Reading what was packed: the errors of Python's unpackers, and no more memory than what is there takes."""

from __future__ import annotations

import importlib
import io
import struct
import types
import zipfile
import zlib
from typing import IO, Any

__all__ = ["UNPACKING", "bz2", "lzma", "read_at_most"]


def _module(name: str) -> Any:
    """Return a module of Python; where Python was compiled without its library, what says so once a file needs it."""
    try:
        return importlib.import_module(name)
    except ImportError:

        def missing(*_: Any, **__: Any) -> Any:
            raise OSError(f"this Python was compiled without {name}, by which the file is packed")

        return types.SimpleNamespace(open=missing, LZMAError=EOFError)


bz2, lzma = _module("bz2"), _module("lzma")

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
