"""Arrays in NumPy's files, whose headers are text and not to be trusted."""

from __future__ import annotations

import math
import os
from typing import IO, Any

import numpy as np

from pynn.errors import DataError

__all__ = ["read_array", "read_header", "read_npy"]

KINDS = "fiub"
RANK = 32  # that every NumPy has


def read_header(file: IO[Any]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Return (shape, Fortran order, dtype) of an array in a file that stands at its beginning.

    Raises
    ------
    DataError
        If there is none, or a damaged one: whatever NumPy makes of it.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except OSError:
        raise
    except Exception as error:  # of its parser: ValueError, OverflowError, TokenError, SyntaxError, RecursionError ...
        raise DataError(f"a damaged header ({str(error)[:100]})") from None
    if len(shape) > RANK or not all(type(d) is int and 0 <= d < 2**63 for d in shape):
        raise DataError(f"a damaged header (shape {str(shape)[:60]})")
    return shape, fortran, dtype


def read_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """Return the numbers in a ``.npy`` file; no memory is taken for what the file does not hold.

    Raises
    ------
    DataError
        If it is no such file, is damaged, or holds something else than numbers; the message is what came, in words.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/a.npy", np.ones((2, 1)))
    ...     read_npy(f"{folder}/a.npy").shape
    (2, 1)
    """
    with open(path, "rb") as file:
        return read_array(file, os.fstat(file.fileno()).st_size)


def read_array(file: IO[Any], length: int, kinds: str = KINDS) -> np.ndarray:
    """Return what a stream of so many bytes holds that is a ``.npy`` file, of some kinds of dtypes; see `read_npy`.

    Raises
    ------
    DataError
        If it is none, is damaged, or holds something else.
    """
    shape, fortran, dtype = read_header(file)
    if dtype.kind not in kinds or dtype.names is not None:
        raise DataError(f"an array of {str(dtype)[:40]}")
    size, there = math.prod(shape) * dtype.itemsize, length - file.tell()
    if size != there:
        raise DataError(f"{there:,} bytes for shape {str(shape)[:60]}, {dtype}, where {size:,} are expected")
    flat = np.frombuffer(bytearray(file.read()), dtype)
    try:
        return flat.reshape(shape, order="F" if fortran else "C")
    except ValueError as error:  # sizes that overflow, beside a 0
        raise DataError(f"shape {str(shape)[:60]} ({error})") from None
