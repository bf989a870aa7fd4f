"""Plain text from any file."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

from pynn.datasets.unpack import unpacked
from pynn.errors import DataError
from pynn.packed import lzma

__all__ = ["text"]


def text(path: str | os.PathLike[str]) -> str:
    """Return the content of a text file in UTF-8, plain or packed by gzip, bzip2 or xz; unpacked it has at most 1 GiB.

    A byte order mark is left out, and line ends become newlines.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    DataError
        If the file is missing, damaged, empty, or not UTF-8; the message names the byte.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "poem.txt")
    ...     _ = path.write_text("Tyger Tyger", encoding="utf-8")
    ...     text(path)
    'Tyger Tyger'
    """
    content = _unpacked(Path(path))
    try:
        decoded = content.decode("utf-8")
    except UnicodeDecodeError as error:
        byte, line = content[error.start], content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: expected text in UTF-8. Received: byte 0x{byte:02x} at offset {error.start}, line {line} "
            f"({error.reason}). help: if it is text of another encoding, convert it (iconv -f LATIN1 -t UTF-8)."
        ) from error
    decoded = decoded.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not decoded:
        raise DataError(f"{path}: expected text. Received: an empty file.")
    return decoded


def _unpacked(path: Path) -> bytes:
    try:
        with unpacked(path) as file:
            return file.read()
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise DataError(f"{path}: expected a whole, intact packed file. Received: a damaged one ({error}).") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read. Received: {error.strerror or error}.") from error
