"""The numbers in an HDF5 file, read so that the file can neither open others nor fill the memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pynn.errors import DataError

__all__ = ["Arrays", "endless"]

OBJECT_LIMIT = 100_000
DEPTH_LIMIT = 50
CHUNK_LIMIT = 1 << 24  # bytes of a part, which is unpacked whole
_FILTERS = {1, 2, 3}  # gzip, shuffle, checksums: what HDF5 has by itself, so that no plugin is loaded


HEAP = b"GCOL\x01\0\0\0"  # where texts lie
PIECE = 1 << 24


def endless(file: Any) -> bool:
    """Tell whether a file holds a list of texts that the HDF5 library would follow for ever: an entry of no size.

    Parameters
    ----------
    file : binary file
        It stands at its beginning afterwards.
    """
    before, at = b"", 0
    found = False
    while not found and (piece := file.read(PIECE)):
        block = before + piece
        start = block.find(HEAP)
        while start >= 0 and not found:
            place = at - len(before) + start
            file.seek(place + 8)
            size = min(int.from_bytes(file.read(8), "little"), PIECE)
            found = _stands_still(file.read(max(size - 16, 0)))
            start = block.find(HEAP, start + 1)
        at += len(piece)
        before = block[-len(HEAP) + 1 :]
        file.seek(at)
    file.seek(0)
    return found


def _stands_still(heap: bytes) -> bool:
    """Tell whether the entries of a list (number, users, 4 bytes, size; the text, to a multiple of 8) do not go on."""
    at = 0
    while at + 16 <= len(heap):
        number, size = int.from_bytes(heap[at : at + 2], "little"), int.from_bytes(heap[at + 8 : at + 16], "little")
        step = size if number == 0 else (16 + (size + 7 & ~7)) % 2**64  # what is free counts its own head
        if step < 16:
            return step == 0
        at += step
    return False


class Arrays:
    """The datasets of an open file.

    Parameters
    ----------
    file : h5py.File
    source : str
        For messages.

    Attributes
    ----------
    found : dict of str to (shape, dtype)
    names : dict of str to str
        The attribute ``name`` of groups that have it.
    """

    def __init__(self, file: Any, source: str):
        self._file, self._source = file, source
        self.found: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        self.names: dict[str, str] = {}
        self._seen = 0
        self._visit(file, "", 0)

    def _visit(self, group: Any, path: str, depth: int) -> None:
        import h5py  # type: ignore[import-untyped,unused-ignore]

        self._seen += len(group)
        if self._seen > OBJECT_LIMIT or depth > DEPTH_LIMIT:
            raise DataError(f"{self._damaged()} it has too many groups, or they are nested too deep.")
        name = group.attrs.get("name")
        if isinstance(name, str):
            self.names[path] = name[:200]
        for key in group:
            below = f"{path}/{key}" if path else key
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise DataError(f"{self._damaged()} {below[:80]!r} is a link to something else.")
            item = group[key]
            if isinstance(item, h5py.Group):
                self._visit(item, below, depth + 1)
            elif isinstance(item, h5py.Dataset):
                self.found[below] = self._checked(item, below)

    def _checked(self, item: Any, path: str) -> tuple[tuple[int, ...], np.dtype]:
        settings = item.id.get_create_plist()
        filters = {settings.get_filter(i)[0] for i in range(settings.get_nfilters())}
        if item.is_virtual or item.external is not None or not filters <= _FILTERS:
            raise DataError(f"{self._damaged()} {path[:80]!r} is stored elsewhere, or by an unknown filter.")
        size = item.dtype.itemsize * math.prod(item.shape or ())
        if item.chunks and item.dtype.itemsize * math.prod(item.chunks) > max(CHUNK_LIMIT, 2 * size):
            raise DataError(f"{self._damaged()} {path[:80]!r} is stored in parts that are larger than the whole.")
        if item.shape is None:
            raise DataError(f"{self._damaged()} {path[:80]!r} is empty.")
        return tuple(item.shape), item.dtype

    def read(self, path: str) -> np.ndarray:
        """Return an array; whoever asks knows that its shape is not too large."""
        return np.asarray(self._file[path][()])

    def _damaged(self) -> str:
        return f"[load_keras_weights] {self._source!r} is no file of weights that can be read:"
