"""Arrays that took time to make, kept in the user's cache."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from pynn.errors import DataError
from pynn.npy import KINDS, read_array

__all__ = ["cached_arrays", "user_cache"]

Arrays = dict[str, np.ndarray]


def user_cache() -> Path:
    """Return the folder for what pynn may keep between runs; downloads lie in it too."""
    return Path(platformdirs.user_cache_dir("pynn"))


def cached_arrays(name: str, key: Any, names: set[str], make: Callable[[], Arrays]) -> Arrays:
    """Return what `make` returns, from a file if an earlier call left one for the same key.

    Parameters
    ----------
    name : str
        Name of the data set: of a folder in the cache.
    key : JSON value
        Everything that the arrays depend on.
    names : set of str
        The names of the arrays.
    make : callable
        Returns the arrays, none of objects.

    Notes
    -----
    A file that is damaged is made anew, and a cache that cannot be written to is done without.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
    path = user_cache() / name / f"{digest}.npz"
    kept = _read(path)
    if kept is not None and set(kept) == names:
        return kept
    arrays = make()
    _write(path, arrays)
    return arrays


def _read(path: Path) -> Arrays | None:
    try:
        with zipfile.ZipFile(path) as archive:
            return {info.filename.removesuffix(".npy"): _member(archive, info) for info in archive.infolist()}
    except Exception:  # missing or damaged, in whatever way: NumPy's and Python's readers have many errors
        return None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """Return an array of an archive that np.savez has written; no memory is taken for what it does not hold."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise DataError("a packed array")
    with archive.open(info) as file:
        return read_array(file, info.file_size, KINDS + "U")


def _write(path: Path, arrays: Arrays) -> None:
    from pynn.files import write_whole

    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getvalue())
    except OSError:
        return
