"""Archives and packed files that are the same bytes whenever they are made."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

Files = dict[str, bytes]
EPOCH = (1980, 1, 1, 0, 0, 0)


def gzipped(data: bytes, level: int = 9) -> bytes:
    """Return packed bytes, without the time."""
    return gzip.compress(data, level, mtime=0)


def zipped(members: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type, info.external_attr = method, 0o600 << 16
            archive.writestr(info, data)
    return content.getvalue()


def tarred(members: Files, form: int = tarfile.USTAR_FORMAT) -> bytes:
    """Return a tar archive."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()
