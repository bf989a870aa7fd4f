"""What crafted files of all kinds are made of."""

from __future__ import annotations

import bz2
import functools
import gzip
import lzma
import os
from collections.abc import Iterator
from typing import Any

ESC = "\x1b[31mred\n\u202e"
BOMB = 80 << 20  # more than readers.small_sizes allows
Made = Iterator[tuple[str, bytes]]


class Command:
    """What a pickle runs, if anything unpickles it."""

    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


@functools.cache
def zeros(form: str) -> bytes:
    """Return a packed bomb of zeros."""
    if form == "gz":
        return gzip.compress(bytes(1 << 20), mtime=0) * (BOMB >> 20)
    if form == "bz2":
        return bz2.compress(bytes(1 << 20)) * (BOMB >> 20)
    return lzma.compress(bytes(1 << 20), preset=0) * (BOMB >> 20)
