"""The one writer of files: a reader, or a crash, meets the old content or the new, never a part of it.

What is no regular file (a pipe, a device) is written into and never replaced.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import re
import secrets
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from pynn._blocks import Leaving, Opened, context

fcntl: Any = None  # Windows has none: there temporaries that were left are not swept
with contextlib.suppress(ImportError):
    import fcntl

__all__ = ["as_csv", "atomic", "sweep", "write_whole"]

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")
_swept: set[tuple[int, str]] = set()  # (process, folder): once each


_writing = True


def set_writing(on: bool) -> None:
    """Say whether this process writes files; of those that train together one does, and the others leave it out."""
    global _writing
    _writing = on


def writing() -> bool:
    """Tell whether this process writes files."""
    return _writing


def as_csv(rows: Iterable[Iterable[Any]], separator: str = ",") -> str:
    r"""Return rows as a table of text, each ended by a newline; a cell with any end of a line in it is quoted.

    Examples
    --------
    >>> as_csv([["a", "b\rc"], [1, 2.5]])
    'a,"b\rc"\n1,2.5\n'
    """
    lines = []
    for row in rows:
        line = io.StringIO()
        csv.writer(line, delimiter=separator).writerow(row)  # ends in \r\n: of these it quotes both, of \n that alone
        lines.append(line.getvalue()[:-2] + "\n")
    return "".join(lines)


def write_whole(
    path: str | os.PathLike[str], content: bytes | Iterable[Any], verify: Callable[[bytes, str], object] | None = None
) -> None:
    """Write a file whole, or leave what was there.

    Parameters
    ----------
    path : path-like
        A link is followed.
    content : bytes or iterable of bytes-like
        All of the file, or its parts in order.
    verify : callable (content, name), optional
        Is given what a plain file holds after it was written; if it raises, the old file stays.

    Raises
    ------
    OSError
        If it cannot be written, with the reason (a full disk, no permission). The file is as it was before.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(f"{folder}/a.txt", b"whole")
    ...     (os.listdir(folder), Path(folder, "a.txt").read_bytes())
    (['a.txt'], b'whole')
    """
    with atomic(path) as file:
        parts: Iterable[Any] = (content,) if isinstance(content, bytes) else content
        for part in parts:
            file.write(part)
        if verify is not None and _writing and file.seekable() and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.flush()
            file.seek(0)
            verify(file.read(), os.fspath(path))


@context
def atomic(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file for writing in a ``with`` block; it takes its place when the block ends without an error.

    It is written under a unique name in the same folder, synchronized with the disk and renamed, and so is its folder.
    Temporaries that killed processes left in the folder are removed; those of running ones are locked, and stay.

    Parameters
    ----------
    path : path-like
        A link is followed. A file that is there keeps its owner, group, permissions and extended attributes where that
        is allowed, with a UserWarning where it is not, but no set-user-id or set-group-id; other names of the same file
        (hard links) go on naming the old content. A pipe or a device is written into as it is.

    Yields
    ------
    binary file

    Raises
    ------
    OSError
        See :func:`write_whole`.
    """
    if not _writing:
        yield io.BytesIO()
        return
    target, before = _target(path)
    if before is not None and not stat.S_ISREG(before.st_mode):
        try:
            with open(target, "wb", opener=_open_existing) as file:
                yield file
        except OSError as error:
            raise type(error)(error.errno, f"could not write into {os.fspath(path)!r}: {_reason(error)}") from error
        return
    lost: list[str] = []
    try:
        _sweep_once(target.parent)
        written = False
        while not written:
            temporary = _temporary(target)
            # Before it is made, so that it is gone whatever comes, Ctrl-C between two lines too.
            with Leaving((os.unlink, os.fspath(temporary)), ignore=OSError), open(temporary, "x+b") as file:
                if not _locked(file):
                    continue  # another process took it for a rest, between making and locking
                yield file
                written = True
                file.flush()
                if before is not None:
                    lost = _keep(before, target, temporary)
                os.fsync(file.fileno())
                if os.name == "nt":
                    file.close()  # an open file cannot be renamed there
                os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise _told(error, path, before is not None) from error
    if lost:
        warnings.warn(f"{os.fspath(path)}: written, but not with its {' and '.join(lost)} of before", stacklevel=4)


def _target(path: str | os.PathLike[str]) -> tuple[Path, os.stat_result | None]:
    """Return the file that is meant, behind links, and what is there."""
    try:
        before = os.stat(os.fspath(path))
    except FileNotFoundError:  # nothing, or a link to where nothing is yet
        return Path(os.path.realpath(path)), None
    except OSError as error:
        raise _told(error, path, True) from error
    if stat.S_ISDIR(before.st_mode):
        raise IsADirectoryError(errno.EISDIR, f"expected a file to write. Received: a folder, {str(path)!r}")
    return Path(os.path.realpath(path)), before


def _open_existing(path: str, flags: int) -> int:
    # A pipe waits here for its reader. Not made: a device that has gone meanwhile must not become a file.
    return os.open(path, flags & ~(os.O_CREAT | os.O_TRUNC))


def _keep(before: os.stat_result, target: Path, temporary: Path) -> list[str]:
    """Give a new file the owner, group, permissions and attributes of the old one; return what could not be kept.

    The bits that run a program as its owner or group are dropped: they were given to other content.
    """
    lost = []
    if hasattr(os, "chown"):
        now = os.stat(temporary)
        for name, there, here in (("owner", before.st_uid, now.st_uid), ("group", before.st_gid, now.st_gid)):
            if there != here:
                try:
                    os.chown(temporary, *((there, -1) if name == "owner" else (-1, there)))
                except OSError:
                    lost.append(name)
    mode = stat.S_IMODE(before.st_mode) & ~(stat.S_ISUID | stat.S_ISGID)
    if "group" in lost:
        mode &= ~stat.S_IRWXG  # what the old group was allowed is not for the new one
    with contextlib.suppress(OSError):  # a file system without permissions
        os.chmod(temporary, mode)
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):  # a file system without attributes
            for name in os.listxattr(target):
                try:
                    os.setxattr(temporary, name, os.getxattr(target, name))
                except OSError:
                    lost.append(f"attribute {name}")
    return lost


def sweep(folder: str | os.PathLike[str]) -> int:
    """Remove the temporaries that killed processes left in a folder; return how many.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     open(f"{folder}/.model.0123456789abcdef.tmp", "w").close()
    ...     sweep(folder), os.listdir(folder)
    (1, [])
    """
    if fcntl is None:
        return 0
    removed = 0
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if TEMPORARY.fullmatch(name):
                removed += _remove_if_left(os.path.join(folder, name))
    return removed


def _remove_if_left(path: str) -> bool:
    try:
        with Opened(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while the writer lives
            os.unlink(path)
    except OSError:
        return False
    return True


def _sweep_once(folder: Path) -> None:
    key = (os.getpid(), str(folder))
    if key not in _swept:
        _swept.add(key)
        sweep(folder)


def _temporary(target: Path) -> Path:
    """Return a new name beside the target."""
    stem = os.fsencode(target.name)[:200].decode("utf-8", "ignore")  # most systems take 255 bytes
    return target.with_name(f".{stem}.{secrets.token_hex(8)}.tmp")


def _locked(file: IO[bytes]) -> bool:
    """Lock a new file, so that nobody sweeps it away; tell whether it is still there."""
    if fcntl is None:
        return True
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
    return os.fstat(file.fileno()).st_nlink > 0


def _sync_folder(folder: Path) -> None:
    """Make the renaming last through a power cut, where the system can."""
    with contextlib.suppress(OSError), Opened(folder, os.O_RDONLY) as descriptor:
        os.fsync(descriptor)


def _told(error: OSError, path: str | os.PathLike[str], existed: bool) -> OSError:
    """Return the error with the path that was meant and what became of it."""
    after = "the file is as it was before" if existed else "no file was made"
    return type(error)(error.errno, f"could not write {os.fspath(path)!r}: {_reason(error)}; {after}")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
