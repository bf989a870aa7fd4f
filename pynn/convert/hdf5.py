"""The numbers in an HDF5 file, read so that the file can neither open others nor fill the memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pynn.errors import DataError

__all__ = ["Arrays"]

OBJECT_LIMIT = 100_000
DEPTH_LIMIT = 50
CHUNK_LIMIT = 1 << 24  # bytes of a part, which is unpacked whole
_FILTERS = {1, 2, 3}  # gzip, shuffle, checksums: what HDF5 has by itself, so that no plugin is loaded


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
