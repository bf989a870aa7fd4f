"""``pynn card``: the card of a model file."""

from __future__ import annotations

from pathlib import Path

import pynn
from pynn.files import write_whole
from pynn.io import model_card

__all__ = ["run"]


def run(file: Path, out: Path | None = None) -> None:
    """Print the card of a model file, or write it.

    Raises
    ------
    DataError, OSError
        As :func:`pynn.load`.
    """
    text = model_card(file, pynn.load(file), here=False)
    if out is None:
        print(text, end="")
    else:
        write_whole(out, text.encode())
