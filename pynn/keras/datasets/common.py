"""What the data sets share: where a file may lie, and how they are cut short from outside."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pynn.errors import DataError

__all__ = ["cut", "found", "read_npz"]


def cut(parts: Any) -> Any:
    """Return ((x, y), (xt, yt)) with at most so many rows as the runner was told."""
    from pynn.keras.runner import limits

    n = limits.rows
    return parts if n is None else tuple(tuple(a[:n] for a in part) for part in parts)


def found(name: str, path: str | os.PathLike[str] | None, where: Iterable[str], source: str) -> Path:
    """Return a file of a data set: the path itself, or one in PYNN_DATA or in Keras's own cache.

    Raises
    ------
    DataError
        If it lies nowhere.
    """
    names = list(where)
    folders = [Path(folder) for folder in (os.environ.get("PYNN_DATA"),) if folder]
    folders.append(Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "datasets")
    tried = [Path(path)] if path is not None and os.path.isabs(path) else []
    tried += [folder / place for folder in folders for place in names]
    for place in tried:
        if place.is_file():
            return place
    raise DataError(
        f"[{name}] expected one of the files {', '.join(map(str, tried))}. Received: none is there. "
        f"help: fetch {source} and put it there; pynn does not distribute it."
    )


def read_npz(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return arrays of numbers of an .npz file; nothing is unpickled."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected arrays {', '.join(names)}. Received: {error}.") from error
