"""Tables of text for ``pynn predict``: read strictly, so that no row and no column is lost or moved.

The standard library's reader takes the cells apart. What it does not know is found out from all cells: which separator
and decimal mark the file has, and whether its first line holds names.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pynn.commands.dialect import GAPS, TRUTH, Record, decoded, is_number, number, records, written_with
from pynn.errors import DataError

__all__ = ["Reading", "Table", "read_table"]

UNNAMED = ("", "Unnamed: 0")  # of a column of row numbers, as pandas writes and reads it
THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+")
MARK_OF_NAMES = re.compile(r"#+\s*")
NAMED = {"tab": "\t", "\\t": "\t", "blank": " ", "space": " ", "none": ""}


@dataclass(frozen=True)
class Reading:
    """How a table is to be read; None where that is found out.

    Attributes
    ----------
    header : bool, optional
        Whether the first line holds names.
    columns : str, optional
        Names, numbers from 1 or ranges of them, with commas between: those that the model takes, in its order.
    separator, decimal, encoding : str, optional
    index : bool, optional
        Whether the first column names or counts rows.
    missing : {"error", "mean"}
        What becomes of gaps.
    """

    header: bool | None = None
    columns: str | None = None
    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    index: bool | None = None
    missing: str = "error"


@dataclass(frozen=True)
class Table:
    """The cells of a table.

    Attributes
    ----------
    path : Path
    names : list of str, optional
        Of the columns.
    places : list of int
        The place of each column in the file, from 1.
    rows : list of Record
    point : str
        The decimal mark.
    hint : str
        Help for a cell of the first line.
    """

    path: Path
    names: list[str] | None
    places: list[int]
    rows: list[Record]
    point: str
    hint: str = ""

    def where(self, i: int, k: int) -> str:
        """Return the place of a cell, in words."""
        name = f" ({self.names[k][:40]!r})" if self.names else ""
        return f"{self.path}: line {self.rows[i].line}, column {self.places[k]}{name}"

    def column(self, k: int, missing: str = "error") -> np.ndarray:
        """Return a column as numbers; gaps are refused, the mean of the others, or NaN ("keep").

        Raises
        ------
        DataError
            Naming the line and the column of what is no number.
        """
        values = np.empty(len(self.rows))
        for i, record in enumerate(self.rows):
            cell = record.cells[k]
            value = number(cell, self.point)
            if value is None and cell.strip() in GAPS and missing != "error":
                value = np.nan
            elif value is None or not np.isfinite(value):
                raise self._no_number(i, k)
            values[i] = value
        gaps = np.isnan(values)
        if missing == "mean" and gaps.any():
            if gaps.all():
                raise DataError(f"[predict] {self.where(0, k)}: expected numbers to take the mean of. Received: none.")
            values[gaps] = values[~gaps].mean()
        return values

    def texts(self, k: int, known: Container[str] = ()) -> np.ndarray:
        """Return a column as texts, None for gaps; what is `known` is none."""
        cells = [record.cells[k].strip() for record in self.rows]
        return np.array([None if c in GAPS and c not in known else c for c in cells] + [None], object)[:-1]

    def numbers(self, missing: str = "error") -> np.ndarray:
        """Return all columns as numbers [rows, columns]; see :meth:`column`."""
        for i, record in enumerate(self.rows):  # of several faults the first in the file is named
            for k, cell in enumerate(record.cells):
                value = number(cell, self.point)
                gap = value is None and cell.strip() in GAPS and missing != "error"
                if not gap and (value is None or not np.isfinite(value)):
                    raise self._no_number(i, k)
        return np.stack([self.column(k, missing) for k in range(len(self.places))], axis=1)

    def _no_number(self, i: int, k: int) -> DataError:
        cell = self.rows[i].cells[k]
        text = cell.strip()
        kind = "a finite number" if text.lower().lstrip("+-") in ("nan", "inf", "infinity") else "a number"
        if number(cell, self.point) is not None:
            kind = "a finite number"  # 1e999
        helps = [self.hint] if self.hint and i == 0 else []
        if text in GAPS:
            helps.append("--missing mean fills gaps")
        elif not helps:
            helps.append("--columns picks those that the model takes")
        return DataError(
            f"[predict] {self.where(i, k)}: expected {kind}. Received: {cell[:40]!r}. help: {'; '.join(helps)}."
        )


def read_table(path: Path, reading: Reading, wanted: Sequence[str] | None = None) -> Table:
    """Return the cells of a table of text.

    Parameters
    ----------
    path : Path
    reading : Reading
    wanted : sequence of str, optional
        Names of the columns that the model takes, where it says so: a table with names is read by them.

    Raises
    ------
    DataError
        If it is no table, rows differ in width, or it can be read in two ways; the message tells what decides.
    OSError
        If it cannot be read.
    """
    text, told = decoded(path.read_bytes(), reading.encoding, path)
    text, separator = _without_separator_line(text, _separator(reading.separator))
    separator, point = written_with(_without_comments(text)[0], separator, reading.decimal)
    body, comment = _without_comments(text)
    try:
        rows = [Record(line + comment.count("\n"), cells) for line, cells in records(body, separator)]
        title = next(records(MARK_OF_NAMES.sub("", comment.splitlines()[-1]), separator), None) if comment else None
    except csv.Error as error:
        raise DataError(
            f"[predict] {path}: expected a table with {separator!r} between cells. Received: {error}."
        ) from None
    table = Table(path, None, [], _without_ends(rows), point)
    table = _titled(table, title, reading, wanted)
    if not table.rows:
        raise DataError(f"[predict] {path}: expected at least one row of numbers.")
    table = _of_one_width(table, reading)
    if reading.decimal is None:
        _clear_of_thousands(table)
    table, left = _chosen(table, reading, wanted)
    for sentence in filter(None, (told, left)):
        print(sentence, file=sys.stderr)
    return table


def _separator(text: str | None) -> str | None:
    if text is None:
        return None
    mark = NAMED.get(text, text)
    if len(mark) > 1 or mark in ('"', "\r", "\n"):
        raise DataError(f"[predict] expected one letter, tab, blank or none as separator. Received: {text!r}.")
    return mark


def _without_separator_line(text: str, separator: str | None) -> tuple[str, str | None]:
    """Take Excel's first line "sep=;" at its word; it stays as an empty line, so that lines are counted right."""
    found = re.match(r'"?sep=(.)"?(?=\r|\n)', text)
    return (text[found.end() :], separator or found[1]) if found else (text, separator)


def _without_comments(text: str) -> tuple[str, str]:
    """Return a text without the lines that begin with # at its top, and these."""
    found = re.match(r"(?:[ \t]*\r?\n)*(?:#[^\r\n]*(?:\r\n|\r|\n|$))+", text)
    comment = found[0] if found else ""
    return text[len(comment) :], re.sub("\r\n|\r", "\n", comment)


def _without_ends(rows: list[Record]) -> list[Record]:
    """Take off a last cell that is empty in all rows: a separator stands at the end of each line."""
    if len({len(row.cells) for row in rows}) == 1 and not any(row.cells[-1].strip() for row in rows):
        return [Record(row.line, row.cells[:-1]) for row in rows if len(row.cells) > 1]
    return rows


def _titled(table: Table, title: Record | None, reading: Reading, wanted: Sequence[str] | None) -> Table:
    """Return the table with the names of its columns, if it has some."""
    rows, header = table.rows, reading.header
    if not rows:
        return table
    first = [cell.strip() for cell in rows[0].cells]
    if header is None:
        header = _is_header(table, first, wanted)
    if header:
        table = replace(table, names=first, rows=rows[1:])
    elif title is not None and reading.header is None and len(title.cells) == len(first):
        return replace(table, names=[cell.strip() for cell in title.cells])  # behind a #, as numpy.savetxt writes it
    elif reading.header is None:
        return replace(table, hint="--header, if this line holds the names of the columns")
    return table


def _is_header(table: Table, first: list[str], wanted: Sequence[str] | None) -> bool:
    """Return whether the first row holds names, from the kinds of cells in it and in the columns under it."""
    if wanted is not None and set(wanted) <= set(first):
        return True
    if any(is_number(cell, table.point) or cell in TRUTH for cell in first):
        return False
    names = first[1:] if first[0] in UNNAMED else first
    if not names or all(cell in GAPS for cell in names):
        return False
    under = [row for row in table.rows[1 : 1 + 100] if len(row.cells) == len(first)]
    numeric = any(number(cell, table.point) is not None for row in under for cell in row.cells)
    if "" in names or (not numeric and under):
        if "" in names:
            return False  # an error names the gap, and the way out
        raise DataError(
            f"[predict] {table.path}: line {table.rows[0].line}: expected names, or values: both are text here. "
            f"Received: {', '.join(first)[:60]!r}. help: --header or --no-header."
        )
    doubtful = [cell for cell in names if cell in GAPS]
    if doubtful:
        raise DataError(
            f"[predict] {table.path}: line {table.rows[0].line}: expected names, or values. Received: "
            f"{doubtful[0]!r} among them, which marks gaps. help: --header or --no-header."
        )
    return True


def _of_one_width(table: Table, reading: Reading) -> Table:
    """Refuse rows of different widths."""
    rows, names = table.rows, table.names
    width = len(rows[0].cells) if names is None else len(names)
    if names is not None and reading.index and all(len(row.cells) == width + 1 for row in rows):
        names, width = ["", *names], width + 1  # R gives the column of row names no name
    for row in rows:
        if len(row.cells) != width:
            hint = ""
            if names is not None and len(row.cells) == width + 1:
                hint = " help: --index, if the first of them names the row."
            raise DataError(
                f"[predict] {table.path}: line {row.line}: expected {width} values. Received: {len(row.cells)}.{hint}"
            )
    return replace(table, rows=rows, names=names, places=list(range(1, width + 1)))


def _clear_of_thousands(table: Table) -> None:
    """Refuse numbers such as 1,234 where nothing tells whether the comma is a decimal one."""
    if table.point == ".":
        return
    doubtful = None
    for i, row in enumerate(table.rows):
        for k, cell in enumerate(row.cells):
            text = cell.strip()
            if "," in text and is_number(text, ","):
                if THOUSANDS.fullmatch(text) is None:
                    return
                doubtful = doubtful or (i, k, text)
    if doubtful is not None:
        i, k, text = doubtful
        raise DataError(
            f"[predict] {table.where(i, k)}: expected a number. Received: {text!r}, which may be "
            f"{text.replace(',', '.')} or {text.replace(',', '')}. help: --decimal , or take the commas out."
        )


def _chosen(table: Table, reading: Reading, wanted: Sequence[str] | None) -> tuple[Table, str]:
    """Return the table of the columns that the model takes, and a sentence about what was left out."""
    told, places = "", list(range(len(table.places)))
    if reading.columns is not None:
        places = _picked(table, reading.columns)
    elif table.names is not None and wanted is not None:
        _unique(table, wanted)
        lacking = [name for name in wanted if name not in table.names]
        if lacking:
            raise DataError(
                f"[predict] {table.path}: expected a column {lacking[0]!r}, which the model was trained on. "
                f"Received: {', '.join(table.names)[:200]}. help: --columns, with the ones that stand for its columns."
            )
        places = [table.names.index(name) for name in wanted]
    elif len(places) > 1:
        index = reading.index
        if index is None:
            index = table.names is not None and table.names[0] in UNNAMED
            told = f"{table.path}: the first column, which has no name, counts rows and is left out" if index else ""
        places = places[1:] if index else places
    if table.names is not None:
        _unique(table, [table.names[k] for k in places])
    rows = [Record(row.line, [row.cells[k] for k in places]) for row in table.rows]
    names = None if table.names is None else [table.names[k] for k in places]
    return replace(table, rows=rows, names=names, places=[table.places[k] for k in places]), told


def _unique(table: Table, names: Sequence[str]) -> None:
    counts = Counter(table.names)
    for name in names:
        if name and counts[name] > 1:
            raise DataError(
                f"[predict] {table.path}: expected each name of a column once. Received: {name[:40]!r} twice. "
                "help: --no-header, if the first line holds values; --columns with numbers."
            )


def _picked(table: Table, text: str) -> list[int]:
    """Return the places that are meant by names, numbers from 1 and ranges of them."""
    count, found = len(table.places), []
    for part in next(csv.reader([text], skipinitialspace=True)):
        name = part.strip()
        if table.names is not None and name in table.names:
            _unique(table, [name])
            found.append(table.names.index(name))
            continue
        span = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", name)
        low, high = (int(span[1]), int(span[2] or span[1])) if span else (0, 0)
        if not 1 <= low <= high <= count:
            known = f"names ({', '.join(table.names)[:200]}) or " if table.names else ""
            raise DataError(
                f"[predict] {table.path}: --columns: expected {known}numbers from 1 to {count}. Received: {name!r}."
            )
        found.extend(range(low - 1, high))
    return found
