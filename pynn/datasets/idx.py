"""The IDX file format of MNIST: a big-endian header, then the numbers."""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from pynn.datasets.unpack import LARGEST
from pynn.errors import DataError
from pynn.packed import read_at_most

__all__ = ["read_idx"]

GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20
RANK = 32  # that every NumPy has
DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one IDX file, packed by gzip or not.

    The header is two zero bytes, a type code, the rank, and one big-endian uint32 per dimension.
    No more memory is taken than the file fills, whatever its header claims.

    Parameters
    ----------
    path : path-like
        The file. Packing is told by its first bytes, not by its name.

    Returns
    -------
    ndarray
        The array in native byte order: uint8, int8, int16, int32, float32 or float64.

    Raises
    ------
    DataError
        If the file is missing, not an IDX file, truncated, longer than its header says, or fails gzip's checksum.

    References
    ----------
    Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", section "File formats".
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                    return _parse(unpacked, path, packed)
            return _parse(file, path, packed)
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _bad(path, "an intact gzip file", f"a damaged one ({error})") from error
    except EOFError as error:
        raise _bad(path, "a whole gzip file", "one that ends too early") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read. Received: {error.strerror or error}.") from error


def _parse(file: io.BufferedIOBase, path: Path, packed: bool) -> np.ndarray:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in DTYPES or not 0 < start[3] <= RANK:
        raise _bad(
            path, f"the magic number of an IDX file (0, 0, type, rank from 1 to {RANK})", start.hex(" ") or "nothing"
        )
    dtype, rank = np.dtype(DTYPES[start[2]]), start[3]
    dims = file.read(4 * rank)
    if len(dims) < 4 * rank:
        raise _bad(path, f"a header with {rank} dimensions", f"only {len(dims)} of its {4 * rank} bytes")
    shape = struct.unpack(f">{rank}I", dims)
    size = math.prod(shape) * dtype.itemsize
    if packed and size > LARGEST:
        raise _bad(path, f"at most {LARGEST:,} bytes in a packed file", f"shape {shape}, {dtype}")
    content = read_at_most(file, size + 1)
    if len(content) != size:
        came = "more" if len(content) > size else f"{len(content)} bytes (truncated)"
        raise _bad(path, f"{size} bytes for shape {shape}", came)
    try:
        array = np.frombuffer(content, dtype).reshape(shape)
    except ValueError as error:  # sizes that overflow, beside a 0
        raise _bad(path, "a shape that NumPy can have", f"{shape} ({error})") from None
    return array.astype(dtype.newbyteorder("="), copy=False)


def _bad(path: Path, expected: str, received: str) -> DataError:
    remedy = "the file is damaged or of another kind; fetch it again"
    return DataError(f"{path}: expected {expected}. Received: {received}. help: {remedy}.")
