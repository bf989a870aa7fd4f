"""Files of data: those that are here."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from pynn.errors import DataError

__all__ = ["get_file"]


def get_file(
    fname: str | None = None, origin: str | None = None, untar: bool = False, md5_hash: str | None = None,
    file_hash: str | None = None, cache_subdir: str = "datasets", hash_algorithm: str = "auto", extract: bool = False,
    archive_format: str = "auto", cache_dir: str | None = None, force_download: bool = False,
) -> str:  # fmt: skip
    """Return the path of a file that is here: in ``PYNN_DATA`` or in Keras's cache. Nothing is downloaded.

    Parameters
    ----------
    fname : str, optional
        Its name; that of the address by default. An absolute path is the place itself.
    origin : str, optional
        An address; ``file://`` and paths are copied.
    untar, extract : bool, default False
        Unpack it; returns the folder.
    md5_hash, file_hash : str, optional
        What its sum must be.
    cache_subdir : str, default "datasets"
    hash_algorithm : {"auto", "md5", "sha256"}, default "auto"
    archive_format : str, default "auto"
        Zip and tar files are told apart by themselves.
    cache_dir : str, optional
        ``~/.keras`` by default.
    force_download : bool, default False
        Taken; it changes nothing.

    Raises
    ------
    DataError
        If the file is not there, with the places where it may be put; or if its sum is another.
    """
    if fname is None and origin is None:
        raise ValueError("[get_file] expected a name or an address. Received: neither.")
    name = str(fname or os.path.basename(unquote(urlparse(str(origin)).path)))
    cache = Path(cache_dir or os.environ.get("KERAS_HOME") or Path.home() / ".keras") / cache_subdir
    endings = ("", ".tar.gz", ".tgz", ".zip", ".tar") if untar or extract else ("",)
    places = [cache / f"{name}{ending}" for ending in endings]
    data = os.environ.get("PYNN_DATA")
    if data:
        inner = [Path(data), *sorted(p for p in Path(data).iterdir() if p.is_dir())] if Path(data).is_dir() else []
        places += [folder / f"{name}{ending}" for folder in inner for ending in endings]
    if os.path.isabs(name):
        places = [Path(name)]
    local = urlparse(origin or "")
    if origin and local.scheme in ("", "file"):
        places.append(Path(local.path))
    path = next((place for place in places if place.exists()), None)
    if path is None:
        raise DataError(
            f"[get_file] expected the file {name!r} in {cache} or in PYNN_DATA. Received: it is in neither, and pynn "
            f"downloads nothing. help: fetch {origin or name} and put it there."
        )
    if path.is_dir() or not (untar or extract):
        _check(path, file_hash or md5_hash, hash_algorithm)
        return str(path)
    _check(path, file_hash or md5_hash, hash_algorithm)
    return _unpacked(path, cache, name)


def _check(path: Path, wanted: str | None, algorithm: str) -> None:
    if wanted is None or path.is_dir():
        return
    kind = algorithm if algorithm != "auto" else "sha256" if len(wanted) == 64 else "md5"
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
    if found != wanted:
        raise DataError(f"{path}: expected {kind} {wanted}. Received: {found}. help: fetch the file again.")


def _unpacked(path: Path, cache: Path, name: str) -> str:
    """Unpack an archive into the cache, whole or not at all; returns the folder as Keras names it."""
    target = cache / name.removesuffix(".zip").removesuffix(".gz").removesuffix(".tgz").removesuffix(".tar")
    if target.exists():
        return str(target)
    cache.mkdir(parents=True, exist_ok=True)
    scratch = cache / f".unpacking-{os.getpid()}"
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                archive.extractall(scratch)
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as archive_t:
                archive_t.extractall(scratch, filter="data")
        else:
            raise DataError(f"{path}: expected a zip or tar file.")
        for item in scratch.iterdir():
            place: Any = cache / item.name
            if not place.exists():
                item.rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return str(target if target.exists() else cache)
