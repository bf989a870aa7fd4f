"""The code of the course pages: one file a page in docs/code, cut into cells, run as it stands.

A cell begins with a line ``# %% name`` and goes on in the names of the cells above it. What it prints is its output,
the pictures that it writes into the working directory are its figures. Both languages show the same cells, in Spanish
with the comments and strings of docs/code/es (see spanish.py).
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pynn
import spanish

__all__ = ["Cell", "cells", "run", "source"]

HEAD = re.compile(r"^# %% (\w+)$", re.MULTILINE)
PICTURES = {".svg", ".png", ".gif"}


@dataclass
class Cell:
    """A piece of code and what came of it.

    Attributes
    ----------
    name : str
    line : int
        Where its source begins in the file, from 1.
    source : str
    output : str
        What it printed.
    figures : dict of str to bytes
        The pictures that it wrote, by file name.
    """

    name: str
    line: int
    source: str
    output: str = ""
    figures: dict[str, bytes] = field(default_factory=dict)


def cells(text: str) -> dict[str, Cell]:
    r"""Return the cells of a file in their order.

    Raises
    ------
    ValueError
        If code stands above the first cell, or two cells have one name.

    Examples
    --------
    >>> [(cell.name, cell.line, cell.source) for cell in cells("# %% one\nx = 1").values()]
    [('one', 2, 'x = 1')]
    """
    heads = list(HEAD.finditer(text))
    if not heads or text[: heads[0].start()].strip():
        raise ValueError("expected a line '# %% name' above all code")
    found: dict[str, Cell] = {}
    for head, end in zip(heads, [*(h.start() for h in heads[1:]), len(text)], strict=True):
        body = text[head.end() : end]
        line = text.count("\n", 0, head.end()) + 1 + (len(body) - len(body.lstrip("\n")))
        if head[1] in found:
            raise ValueError(f"two cells are called {head[1]!r}")
        found[head[1]] = Cell(head[1], line, body.strip("\n"))
    return found


def source(path: Path, language: str = "en") -> str:
    """Return the code of a page in a language."""
    text = path.read_text(encoding="utf-8")
    exchanges = spanish.table(path) if language == "es" else None
    return text if exchanges is None else spanish.translated(text, exchanges)


def run(path: Path, folder: Path | None = None, language: str = "en") -> dict[str, Cell]:
    """Run all cells of a file, with `folder`, which is empty, as working directory; warnings are errors.

    Parameters
    ----------
    path : Path
        The file.
    folder : Path, optional
        Where the cells write their pictures. Default: one that is removed afterwards.
    language : {"en", "es"}

    Returns
    -------
    dict of str to Cell
        With output and figures.

    Raises
    ------
    RuntimeError
        If a cell raises; the place in the file is named.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as made:
            return run(path, Path(made), language)
    try:
        found = cells(source(path, language))
    except ValueError as error:
        raise RuntimeError(f"{path} ({language}): {error}") from error
    pynn.viz.language(language)
    names: dict[str, Any] = {"__name__": "__main__"}
    seen: set[Path] = set()
    for cell in found.values():
        printed = io.StringIO()
        # As many empty lines as there are above the cell in its file, so that tracebacks name the right line.
        code = compile("\n" * (cell.line - 1) + cell.source, str(path), "exec")
        with contextlib.chdir(folder), contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                exec(code, names)
            except Exception as error:
                raise RuntimeError(f"cell {cell.name!r} of {path}: {type(error).__name__}: {error}") from error
        cell.output = printed.getvalue().rstrip()
        new = [p for p in folder.iterdir() if p.suffix in PICTURES and p not in seen]
        cell.figures = {p.name: p.read_bytes() for p in sorted(new, key=lambda p: p.stat().st_mtime_ns)}
        seen.update(new)
    return found
