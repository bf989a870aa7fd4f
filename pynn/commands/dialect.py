"""How a table of text is written, found out from all of its columns: its encoding, separator and decimal mark."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pynn.errors import DataError

__all__ = ["GAPS", "Record", "decoded", "is_number", "number", "records", "written_with"]

# A longer mark of byte order begins like a shorter one.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
SEPARATORS = (",", ";", "\t", "|", " ", "")  # the likelier first; "" for a table of one column
ROWS, CELLS = 1000, 20_000  # that are looked at
NUMBER = {
    mark: re.compile(rf"[+-]?(?:[0-9]+(?:{end})?|{begin})(?:[eE][+-]?[0-9]+)?")
    for mark, end, begin in ((".", r"\.[0-9]*", r"\.[0-9]+"), (",", r",[0-9]+", r",[0-9]+"))
}
GAPS = {"", "NA", "N/A", "n/a", "na", "#N/A", "NaN", "nan", "NAN", "null", "NULL", "None", "?", "-"}
TRUTH = {"True": 1.0, "TRUE": 1.0, "true": 1.0, "False": 0.0, "FALSE": 0.0, "false": 0.0}
UNUSED = "\x1f"  # separates nothing: no text has it


class Record(NamedTuple):
    """A row of a table and the line where it begins."""

    line: int
    cells: list[str]


def decoded(data: bytes, encoding: str | None, path: Path) -> tuple[str, str]:
    """Return the text that bytes are, and a sentence about what had to be guessed, perhaps "".

    Raises
    ------
    DataError
        If they are no text, or not of this encoding.
    """
    told = ""
    if encoding is None:
        encoding = next((name for mark, name in MARKS if data.startswith(mark)), "utf-8")
        if not encoding.startswith(("utf-16", "utf-32")) and 0 in data:
            raise DataError(
                f"[predict] {path}: expected a table of text. Received: byte {data.index(0) + 1:,} is zero. "
                "help: --encoding utf-16-le, if it is text of that kind."
            )
        if encoding == "utf-8":
            try:
                data.decode()
            except UnicodeDecodeError as error:
                encoding = "cp1252"
                told = f"{path}: no UTF-8 at byte {error.start + 1:,}; read as Windows-1252 (--encoding says otherwise)"
    try:
        text = data.decode(encoding)
    except (UnicodeError, LookupError) as error:
        raise DataError(
            f"[predict] {path}: expected text in {encoding}. Received: {str(error)[:200]}. "
            "help: --encoding NAME, or save the table as UTF-8."
        ) from None
    text = text.removeprefix("\ufeff")
    odd = next((letter for letter in text if ord(letter) < 32 and letter not in "\t\r\n"), None)
    if odd is not None:
        raise DataError(f"[predict] {path}: expected a table of text. Received: one with {odd!r} in it.")
    return text, told


def records(text: str, separator: str) -> Iterator[Record]:
    """Yield the rows of a text. Lines without anything are none, except within a table of one column.

    Raises
    ------
    csv.Error
        If quotes are not closed, or text follows them.
    """
    lines: Iterator[str] = iter(io.StringIO(text.rstrip("\r\n"), newline=""))
    if separator == " ":
        lines = (line.rstrip(" \r\n").lstrip(" ") + "\n" for line in lines)
    reader = csv.reader(lines, delimiter=separator or UNUSED, skipinitialspace=True, strict=True)
    before, empty = 0, []
    for cells in reader:
        line, before = before + 1, reader.line_num
        if not cells or (len(cells) == 1 and not cells[0].strip()):
            empty.append(line)  # at the end of a file it is no gap
            continue
        if empty:
            if len(cells) == 1:
                yield from (Record(gap, [""]) for gap in empty)
            empty = []
        yield Record(line, cells)


def written_with(text: str, separator: str | None, decimal: str | None) -> tuple[str, str]:
    """Return the separator and the decimal mark with which all rows have one width and the most cells are numbers."""
    found = []
    for mark in SEPARATORS if separator is None else (separator,):
        try:
            rows = _first(records(text, mark))
        except csv.Error:
            continue
        if mark and separator is None and max(map(len, rows), default=1) == 1:
            continue  # it separates nothing
        for point in (".", ",") if decimal is None else (decimal,):
            if point == "," and mark == "," and '"' not in text:
                continue
            if mark == "" and separator is None and rows and _may_have_separators(rows[0][0], point, decimal):
                continue
            found.append((_score(rows, point), mark, point))
    if not found:
        return "," if separator is None else separator, "." if decimal is None else decimal
    _, mark, point = max(found, key=lambda item: item[0])  # of equals the first
    return mark, point


def _may_have_separators(cell: str, point: str, decimal: str | None) -> bool:
    """Tell whether a table may be of several columns rather than one, by its first cell as of one."""
    if is_number(cell, point):
        return point == "," and decimal is None  # 1,5 above 2: rows of two cells, one of them lost
    return any(mark in cell for mark in SEPARATORS if mark not in ("", " "))


def _first(found: Iterator[Record]) -> list[list[str]]:
    rows, cells = [], 0
    for record in found:
        rows.append(record.cells)
        cells += len(record.cells)
        if len(rows) == ROWS or cells > CELLS:
            break
    return rows


def _score(rows: Sequence[Sequence[str]], point: str) -> tuple[bool, float, bool]:
    widths = Counter(map(len, rows))
    titled = bool(rows) and not any(is_number(cell, point) for cell in rows[0])
    cells = [cell.strip() for row in rows[titled:] for cell in row]
    filled = [cell for cell in cells if cell not in GAPS]
    share = sum(is_number(cell, point) for cell in filled) / max(1, len(filled))
    alike = len(widths) == 1
    return alike and share > 0, share, alike and 1 not in widths


def is_number(text: str, point: str = ".") -> bool:
    """Return whether a text is a number written in digits, with this decimal mark; blanks round it do not count."""
    return NUMBER[point].fullmatch(text.strip()) is not None


def number(text: str, point: str = ".") -> float | None:
    """Return the number that a text is, 1 or 0 for a truth value, None if it is none.

    Examples
    --------
    >>> number(" 1e3"), number("0,5", ","), number("True"), number("1_0"), number("1,000")
    (1000.0, 0.5, 1.0, None, None)
    """
    text = text.strip()
    if NUMBER[point].fullmatch(text) is not None:
        return float(text.replace(",", "."))
    return TRUTH.get(text)
