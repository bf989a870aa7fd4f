"""CIFAR-10: 60,000 colour images of 32 x 32, in ten classes, from the official binary batches."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from pynn.datasets.fetch import FileSet, locate
from pynn.datasets.unpack import archive
from pynn.errors import DataError
from pynn.packed import UNPACKING, lzma

__all__ = ["CIFAR10_LABELS", "cifar10"]

Part = tuple[np.ndarray, np.ndarray]

CIFAR10_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

XZ_MAGIC = b"\xfd7zXZ\x00"
RECORDS = 10_000
RECORD_BYTES = 1 + 3 * 32 * 32  # the label, then the red, the green and the blue plane
ARCHIVE = FileSet(
    "cifar10",
    ("https://www.cs.toronto.edu/~kriz/",),
    {"cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
)
# Name -> sha256 of the unpacked file; five for training, the last for the test.
BATCHES = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}


def cifar10(data: str | os.PathLike[str] | None = None, *, progress: bool = True) -> tuple[Part, Part]:
    """Return CIFAR-10, small photographs (`CIFAR10_LABELS`): ``(x, y), (xt, yt)`` with 50,000 and 10,000 images.

    Parameters
    ----------
    data : path-like, optional
        The archive ``cifar-10-binary.tar.gz``, or a folder that holds it or the six files of the binary version
        (``data_batch_1.bin`` ... ``test_batch.bin``), plain or packed by xz (``.bin.xz``); they may lie in its folder
        ``cifar10`` or ``cifar-10-batches-bin``. Default: the folder named by the environment variable ``PYNN_DATA``;
        without one, the archive (170 MB) is downloaded once into the user's cache.
    progress : bool, default True
        Show the progress of a download.

    Returns
    -------
    (x, y), (xt, yt) : tuples of ndarray
        Images uint8 [n, 32, 32, 3] (height, width, red-green-blue); labels int64 [n], 0 to 9.

    Raises
    ------
    DataError
        If a file is missing, damaged, of the wrong length or not the official one; the message names it.
    ImportError
        If a download is needed and pooch (extra ``data``) is not installed.

    References
    ----------
    A. Krizhevsky, "Learning multiple layers of features from tiny images", technical report, 2009.

    Examples
    --------
    >>> (x, y), (xt, yt) = cifar10()  # doctest: +SKIP
    >>> x.shape, x.dtype  # doctest: +SKIP
    ((50000, 32, 32, 3), dtype('uint8'))
    >>> CIFAR10_LABELS[6]
    'frog'
    """
    given = data if data is not None else os.environ.get("PYNN_DATA") or None
    if given is None:
        [archive] = locate(ARCHIVE, None, progress).values()
        parts = _from_archive(archive)
    else:
        parts = _from_place(Path(given), "data" if data is not None else "PYNN_DATA")
    training = [parts[name] for name in BATCHES if name.startswith("data")]
    x, y = (np.concatenate([part[k] for part in training]) for k in (0, 1))
    return (x, y), parts["test_batch.bin"]


def _from_place(place: Path, source: str) -> dict[str, Part]:
    if place.is_file():
        return _from_archive(place)
    folders = [place / "cifar10", place / "cifar10" / "cifar-10-batches-bin", place / "cifar-10-batches-bin", place]
    found = {name: _first(folders, name, f"{name}.xz") for name in BATCHES}
    archive = _first(folders, *ARCHIVE.files)
    if archive is not None and not all(found.values()):
        return _from_archive(archive)
    for name, path in found.items():
        if path is None:
            reason = "the folder lacks it" if place.is_dir() else "there is no such file or folder"
            raise DataError(
                f"[cifar10] expected the file {name}, {name}.xz or the archive {', '.join(ARCHIVE.files)} in "
                f"{source}={os.fspath(place)!r}. Received: {reason}; looked in {', '.join(map(str, folders))}. "
                "help: name the folder that holds the binary version, or leave out data and PYNN_DATA to download it."
            )
    # Unpacking and hashing release the interpreter's lock.
    with ThreadPoolExecutor(min(len(found), os.cpu_count() or 1)) as pool:
        return dict(zip(found, pool.map(_from_file, found, found.values()), strict=True))


def _first(folders: list[Path], *names: str) -> Path | None:
    return next((path for folder in folders for name in names if (path := folder / name).is_file()), None)


def _from_file(name: str, path: Path) -> Part:
    limit = RECORDS * RECORD_BYTES + 1  # no more is unpacked than is needed to see that it is too much
    try:
        with open(path, "rb") as file:
            packed = file.read(len(XZ_MAGIC)) == XZ_MAGIC
            file.seek(0)
            if packed:
                with lzma.open(file) as unpacked:
                    return _parse(name, path, unpacked.read(limit))
            return _parse(name, path, file.read(limit))
    except (lzma.LZMAError, EOFError) as error:
        raise _bad(path, "a whole, intact xz file", f"a damaged one ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read. Received: {error.strerror or error}.") from error


def _from_archive(path: Path) -> dict[str, Part]:
    try:
        with archive(path) as opened:
            parts = dict(_members(path, opened))
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read. Received: {error.strerror or error}.") from error
    except (tarfile.TarError, *UNPACKING) as error:
        raise _bad(path, "a whole, intact tar archive", f"a damaged one, or none ({error})") from error
    missing = [name for name in BATCHES if name not in parts]
    if missing:
        raise _bad(path, f"the files {', '.join(BATCHES)}", f"an archive without {', '.join(missing)}")
    return parts


def _members(path: Path, opened: tarfile.TarFile) -> Iterator[tuple[str, Part]]:
    for member in opened:
        name = member.name.rpartition("/")[2]
        content = opened.extractfile(member) if name in BATCHES and member.isfile() else None
        if content is not None:
            yield name, _parse(name, path / member.name, content.read(RECORDS * RECORD_BYTES + 1))


def _parse(name: str, path: Path, content: bytes) -> Part:
    size = RECORDS * RECORD_BYTES
    if len(content) != size:
        came = "more" if len(content) > size else f"{len(content)} bytes"
        raise _bad(path, f"{size} bytes ({RECORDS} records of {RECORD_BYTES})", came)
    records = np.frombuffer(content, np.uint8).reshape(RECORDS, RECORD_BYTES)
    y = records[:, 0].astype(np.int64)
    if y.max() >= len(CIFAR10_LABELS):
        at = int(np.argmax(y >= len(CIFAR10_LABELS)))
        raise _bad(path, f"labels 0 to {len(CIFAR10_LABELS) - 1}", f"{y[at]} in record {at}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != BATCHES[name]:
        raise _bad(path, f"the official file, sha256 {BATCHES[name]}", digest)
    return np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), y


def _bad(path: Path, expected: str, received: str) -> DataError:
    remedy = "the file is damaged or of another kind (the binary version is meant); fetch it again"
    return DataError(f"{path}: expected {expected}. Received: {received}. help: {remedy}.")
