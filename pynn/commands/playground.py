"""``pynn playground``: a page in which small networks learn, in the browser."""

from __future__ import annotations

import csv
import tempfile
import webbrowser
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pynn.errors import DataError

__all__ = ["run"]


def run(data: Path | None = None, lang: str = "en", out: Path | None = None, page: str = "network") -> None:
    """Write the page and print its name; open it unless it was said where it goes.

    Parameters
    ----------
    data : Path, optional
        For the page of networks a CSV of points: two columns, and a target that is one of two classes or a number. For
        that of letters a text in UTF-8.
    lang : {"en", "es"}, default "en"
    out : Path, optional
    page : {"network", "convolution", "letters", "words", "descent"}, default "network"

    Raises
    ------
    DataError
        If a line has not two numbers and a target; it is named. If a text is too short, or its letters are too many.
    FileNotFoundError
        If this pynn was built without the kernels for pages.
    OSError
        If a file cannot be read or written.
    """
    if data is not None and page not in ("network", "letters"):
        raise DataError(f"[playground] expected --data with --page network or letters. Received: --page {page}.")
    made = _page(page, data, lang)
    where = out or Path(tempfile.mkdtemp(prefix="pynn-"), "playground.html")
    made.save(where)
    print(where)
    if out is None:
        webbrowser.open(where.resolve().as_uri())


def _page(page: str, data: Path | None, lang: str) -> Any:
    if page == "letters":
        from pynn.datasets.text import text
        from pynn.viz.letters import letters

        return letters(lang, None if data is None else text(data))
    if page == "words":
        from pynn.viz.word_map import word_map

        return word_map(lang)
    if page == "descent":
        from pynn.commands.descent_page import descent

        return descent(lang)
    from pynn.viz.playground import MOST_POINTS, convolution, playground

    if page == "convolution":
        return convolution(lang)
    x, y = (None, None) if data is None else _points(data)
    made = playground(x, y, lang)
    if x is not None and len(x) > MOST_POINTS:
        print(f"{data}: {MOST_POINTS:,} of {len(x):,} points, drawn at random")
    return made


def _rows(file: Path, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    try:
        yield from enumerate(csv.reader(lines), 1)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"[playground] {file}: expected a table in UTF-8, with commas. Received: {error}.") from error


def _points(file: Path) -> tuple[list[list[float]], list[Any]]:
    """Return the points and targets of a CSV file, whose first line may hold names."""
    x: list[list[float]] = []
    y: list[Any] = []
    with open(file, newline="", encoding="utf-8-sig") as lines:
        for number, row in _rows(file, lines):
            if not any(cell.strip() for cell in row):
                continue
            try:
                point = [float(cell) for cell in row[:2]]
                target = row[2].strip()
            except (ValueError, IndexError):
                if not x and number == 1:
                    continue
                raise DataError(
                    f"[playground] {file}, line {number}: expected two numbers and a target. Received: "
                    f"{','.join(row)[:60]!r}. help: keep two columns and the target, in this order."
                ) from None
            x.append(point)
            y.append(target)
    try:
        return x, [float(one) for one in y]
    except ValueError:
        if len(set(y)) != 2:
            raise DataError(
                f"[playground] {file}: expected numbers or two classes as targets. Received: {len(set(y))} classes."
            ) from None
        return x, [sorted(set(y)).index(one) for one in y]
