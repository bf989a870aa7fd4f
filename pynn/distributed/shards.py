"""Data that no rank holds whole: a folder of .npy files, of which each rank reads its own rows."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pynn.checks import integer
from pynn.errors import DataError, ShapeError

__all__ = ["Shards"]


class Shards:
    """Batches of (x, y) from a folder of ``x-*.npy`` and ``y-*.npy`` files, side by side in the order of their names.

    Nothing is loaded whole: files are mapped into memory, and of each batch a rank reads the rows that it computes (all
    of them where metrics need every prediction). Batches come in an order of their own in every epoch; the rows of one
    are neighbours in the files, so shuffle before writing these.

    Parameters
    ----------
    folder : path-like
    batch_size : int
    x : str, default "x-*.npy"
        The pattern of the names of inputs.
    y : str, default "y-*.npy"
        The pattern of the names of targets; as many, of as many rows.

    Raises
    ------
    DataError
        If there are no files, or not as many of both.
    ShapeError
        If a file has another shape of rows, or x and y are of different lengths.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(3):
    ...         np.save(f"{folder}/x-{i}.npy", np.full((10, 4), i, "float32"))
    ...         np.save(f"{folder}/y-{i}.npy", np.full(10, i))
    ...     shards = Shards(folder, batch_size=8)
    ...     len(shards), shards[1][0].shape, shards[1][1].tolist()
    (4, (8, 4), [0, 0, 1, 1, 1, 1, 1, 1])
    """

    def __init__(self, folder: str | PathLike[str], batch_size: int, x: str = "x-*.npy", y: str = "y-*.npy"):
        self.batch_size = integer("Shards", "batch_size", batch_size, 1)
        self.folder = Path(folder)
        self.x, self.y = _Column(self.folder, x), _Column(self.folder, y)
        if self.x.lengths != self.y.lengths:
            raise ShapeError(
                f"[Shards] expected as many rows of {x} as of {y}, file by file. Received: {self.x.lengths} and "
                f"{self.y.lengths}."
            )
        self.rows = int(self.x.starts[-1])

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        return self.part(i, range(self.batch_rows(i)))

    def batch_rows(self, i: int) -> int:
        """Return how many rows batch i has."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"[Shards] expected a batch below {len(self)}. Received: {i}.")
        return min(self.batch_size, self.rows - i % len(self) * self.batch_size)

    def part(self, i: int, rows: range) -> tuple[np.ndarray, np.ndarray]:
        """Return some neighbouring rows of batch i."""
        start = i % len(self) * self.batch_size
        low, high = start + rows.start, start + rows.stop
        return self.x.read(low, high), self.y.read(low, high)


class _Column:
    """Files that are one array, end to end."""

    def __init__(self, folder: Path, pattern: str):
        paths = sorted(folder.glob(pattern))
        if not paths:
            raise DataError(f"[Shards] expected files {pattern} in {str(folder)!r}. Received: none.")
        self.files: list[Any] = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
        shapes = {(a.shape[1:], a.dtype) for a in self.files}
        if len(shapes) > 1 or self.files[0].ndim == 0:
            raise ShapeError(
                f"[Shards] expected files {pattern} of one dtype and shape of rows. Received: "
                f"{sorted(map(str, shapes))[:2]}."
            )
        self.lengths = [len(a) for a in self.files]
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])

    def read(self, low: int, high: int) -> np.ndarray:
        """Return rows low ... high - 1."""
        found = []
        for file, start in zip(self.files, self.starts, strict=False):
            a, b = max(low, int(start)), min(high, int(start) + len(file))
            if a < b:
                found.append(np.array(file[a - start : b - start]))
        return found[0] if len(found) == 1 else np.concatenate(found) if found else np.array(self.files[0][:0])
