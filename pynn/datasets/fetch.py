"""Find the files of a data set: in a folder that was named, or in the cache, downloading once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pynn.errors import DataError

__all__ = ["FileSet", "locate"]

TIMEOUT_S = 30


@dataclass(frozen=True)
class FileSet:
    """Files that belong together.

    Parameters
    ----------
    name : str
        Name of the set, and of its folder below a data folder and in the cache.
    mirrors : tuple of str
        Addresses that the file names are appended to, tried in turn.
    files : dict of str to str
        File name to the sha256 of the file that the mirrors serve.
    """

    name: str
    mirrors: tuple[str, ...]
    files: dict[str, str]


def locate(files: FileSet, data: str | os.PathLike[str] | None = None, progress: bool = True) -> dict[str, Path]:
    """Return the path of each file of a set.

    A folder named by `data`, or else by the environment variable ``PYNN_DATA``, is searched and nothing is
    downloaded; ``DIR/<set>/<file>`` and ``DIR/<file>`` are looked for, packed (``.gz``) or not. With neither, the
    files are downloaded once into the user's cache and their checksums are verified.

    Raises
    ------
    DataError
        If a named folder lacks a file, or no mirror served it intact.
    ImportError
        If a download is needed and pooch is not installed.
    """
    folder = data if data is not None else os.environ.get("PYNN_DATA") or None
    if folder is not None:
        source = "data" if data is not None else "PYNN_DATA"
        return {name: _find(files.name, name, Path(folder), source) for name in files.files}
    return {name: _download(files, name, progress) for name in files.files}


def _find(set_name: str, name: str, folder: Path, source: str) -> Path:
    plain = name.removesuffix(".gz")
    tried = [place / spelling for place in (folder / set_name, folder) for spelling in (name, plain)]
    for path in tried:
        if path.is_file():
            return path
    reason = "the folder lacks it" if folder.is_dir() else "there is no such folder"
    raise DataError(
        f"[{set_name}] expected the file {name} in {source}={os.fspath(folder)!r}. Received: {reason}; looked for "
        f"{', '.join(str(path) for path in tried)}. "
        f"help: name the folder that holds the files, or leave out data and PYNN_DATA to download them."
    )


def _download(files: FileSet, name: str, progress: bool) -> Path:
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            f"[{files.name}] downloading needs pooch. "
            f'help: pip install "pynn-dl[data]", or name a folder that holds the files by data= or PYNN_DATA.'
        ) from error
    cache = pooch.os_cache("pynn") / files.name
    failures = []
    for mirror in files.mirrors:
        try:
            return Path(
                pooch.retrieve(
                    mirror + name,
                    known_hash=f"sha256:{files.files[name]}",
                    fname=name,
                    path=cache,
                    downloader=pooch.HTTPDownloader(progressbar=progress, timeout=TIMEOUT_S),
                )
            )
        except (OSError, ValueError) as error:  # no connection, a refusal, or another checksum
            failures.append(f"{mirror}{name}: {error}")
    raise DataError(
        f"[{files.name}] expected to download {name}. Received: {'; '.join(failures)}. "
        f"help: check the connection, or name a folder that holds the files by data= or PYNN_DATA."
    )
