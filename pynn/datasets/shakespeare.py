"""Tiny Shakespeare: 1.1 million characters of his plays, in one text."""

from __future__ import annotations

import os
from pathlib import Path

from pynn.checks import number
from pynn.datasets.fetch import FileSet, locate
from pynn.datasets.text import text
from pynn.errors import DataError, DTypeError

__all__ = ["split_text", "tiny_shakespeare"]

TINY_SHAKESPEARE = FileSet(
    "tinyshakespeare",
    ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",),
    {"input.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"},
)


def tiny_shakespeare(data: str | os.PathLike[str] | None = None, *, progress: bool = True) -> str:
    """Return parts of Shakespeare's plays as one text of 1,115,394 characters, 65 of them distinct.

    Parameters
    ----------
    data : path-like, optional
        The file, or a folder that holds ``input.txt`` (in it or in its folder ``tinyshakespeare``). Default: the
        folder named by the environment variable ``PYNN_DATA``; without one, the file (1.1 MB) is downloaded once into
        the user's cache.
    progress : bool, default True
        Show the progress of a download.

    Raises
    ------
    DataError
        If the file is missing, empty or not text.
    ImportError
        If a download is needed and pooch (extra ``data``) is not installed.

    See Also
    --------
    split_text : The usual split, 90 % to learn from and 10 % to validate on.

    References
    ----------
    A. Karpathy, "The unreasonable effectiveness of recurrent neural networks", 2015.

    Examples
    --------
    >>> tiny_shakespeare()[:14]  # doctest: +SKIP
    'First Citizen:'
    """
    if data is not None and Path(data).is_file():
        return text(data)
    return text(locate(TINY_SHAKESPEARE, data, progress)["input.txt"])


def split_text(whole: str, share: float = 0.9) -> tuple[str, str]:
    """Cut a text in two: the first int(share * characters) to learn from, the rest to validate on.

    Parameters
    ----------
    whole : str
    share : float, default 0.9

    Raises
    ------
    DataError
        If one of the parts would be empty.

    Examples
    --------
    >>> split_text("0123456789")
    ('012345678', '9')
    """
    if not isinstance(whole, str):
        raise DTypeError(f"[split_text] expected a string. Received: {type(whole).__name__}.")
    number("split_text", "share", share, 0, 1, open_low=True, open_high=True)
    at = int(len(whole) * share)
    if at in (0, len(whole)):
        raise DataError(
            f"[split_text] expected a text that leaves neither part empty. Received: {len(whole)} characters, "
            f"share={share}."
        )
    return whole[:at], whole[at:]
