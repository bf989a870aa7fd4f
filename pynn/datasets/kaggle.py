"""Kaggle's competition "Digit Recognizer": MNIST as comma-separated text, and the submission it takes."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from pynn.datasets.unpack import Bounded
from pynn.errors import DataError
from pynn.files import write_whole

__all__ = ["kaggle_digits", "write_submission"]

SIDE = 28
PIXELS = SIDE * SIDE
CLASSES = 10
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 22
COMMA, NEWLINE, ZERO = b",\n0"


def kaggle_digits(
    train_csv: str | os.PathLike[str], test_csv: str | os.PathLike[str]
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Return the data of Kaggle's Digit Recognizer: ``(x, y), xt``.

    Parameters
    ----------
    train_csv : path-like
        ``train.csv``: a header ``label,pixel0,...,pixel783`` and a line for each image. Plain or packed by gzip.
    test_csv : path-like
        ``test.csv``: the same without the labels.

    Returns
    -------
    (x, y) : tuple of ndarray
        Images uint8 [n, 28, 28] and labels int64 [n]; 42,000 in the competition.
    xt : ndarray
        Images uint8 [m, 28, 28] to label; 28,000 in the competition.

    Raises
    ------
    DataError
        If a file is missing, damaged or malformed; the message names the line, and what is wrong with it.

    Examples
    --------
    >>> (x, y), xt = kaggle_digits("train.csv", "test.csv")  # doctest: +SKIP
    >>> x.shape, xt.shape  # doctest: +SKIP
    ((42000, 28, 28), (28000, 28, 28))
    """
    train = _read(Path(train_csv), ["label", *_pixels()])
    test = _read(Path(test_csv), _pixels())
    x = np.ascontiguousarray(train[:, 1:]).reshape(-1, SIDE, SIDE)
    return (x, train[:, 0].astype(np.int64)), test.reshape(-1, SIDE, SIDE)


def write_submission(path: str | os.PathLike[str], labels: Any) -> None:
    """Write predicted labels as Kaggle takes them: a header ``ImageId,Label``, then ``1,7`` and so on.

    A reader, or a crash, meets the old file or the whole new one.

    Parameters
    ----------
    path : path-like
        File to write.
    labels : array_like of int
        Predicted digits [n], in the order of the test images.

    Raises
    ------
    DataError
        If the labels are not digits, one for each image.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_submission(pathlib.Path(folder, "submission.csv"), [7, 2])
    ...     pathlib.Path(folder, "submission.csv").read_text().split()
    ['ImageId,Label', '1,7', '2,2']
    """
    digits = np.asarray(labels)
    if digits.ndim != 1 or digits.dtype.kind not in "iu":
        raise DataError(
            f"[write_submission] expected one integer for each image, [n]. Received: {digits.dtype} {digits.shape}. "
            "help: take the largest column of the predictions, model.predict(x).argmax(axis=1)."
        )
    if len(digits) and not 0 <= digits.min() <= digits.max() < CLASSES:
        raise DataError(f"[write_submission] expected digits 0 to 9. Received: {digits.min()} to {digits.max()}.")
    text = "ImageId,Label\n" + "".join(f"{i},{label}\n" for i, label in enumerate(digits.tolist(), 1))
    write_whole(path, text.encode("ascii"))


def _pixels() -> list[str]:
    return [f"pixel{i}" for i in range(PIXELS)]


def _read(path: Path, columns: list[str]) -> np.ndarray:
    """Return the values of a file, uint8 [lines, columns]."""
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                    return _table(unpacked, path, columns)
            return _table(file, path, columns)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: expected a whole, intact gzip file. Received: a damaged one ({error}).") from error
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read. Received: {error.strerror or error}. "
            "help: download train.csv and test.csv from kaggle.com/c/digit-recognizer/data."
        ) from error


def _table(file: IO[bytes] | io.BufferedIOBase, path: Path, columns: list[str]) -> np.ndarray:
    header = file.readline(1 << 16).decode("utf-8-sig", "replace")
    _check_header(path, [name.strip().strip('"') for name in header.split(",")], columns)
    tables, line = [], 2
    for block in _blocks(Bounded(file, str(path))):  # type: ignore[arg-type]
        table = _parse(block, len(columns))
        if table is None:
            raise _first_fault(path, block, line, len(columns))
        tables.append(table)
        line += len(table)
    if not tables:
        raise DataError(f"{path}: expected a line for each image after the header. Received: nothing.")
    values = np.concatenate(tables)
    if len(columns) > PIXELS and values[:, 0].max() >= CLASSES:
        at = int(np.argmax(values[:, 0] >= CLASSES))
        raise DataError(f"{path}: line {at + 2}: expected a label 0 to 9. Received: {values[at, 0]}.")
    return values


def _check_header(path: Path, found: list[str], columns: list[str]) -> None:
    if found == columns:
        return
    hint = ""
    if len(found) == len(columns) + 1 and found[0] == "label":
        hint = " help: this file has labels; test.csv has none."
    elif len(found) == len(columns) - 1 and found[0] == "pixel0":
        hint = " help: this file has no labels; train.csv has."
    shown = ",".join(found[:3]) + ("..." if len(found) > 3 else "")
    raise DataError(
        f"{path}: line 1: expected the {len(columns)} names {columns[0]},{columns[1]},...,{columns[-1]}. "
        f"Received: {len(found)} names, {shown[:80]!r}.{hint}"
    )


def _blocks(file: IO[bytes] | io.BufferedIOBase) -> Iterator[bytes]:
    """Yield whole lines, some CHUNK bytes at a time, each ended by one newline; blank lines at the end are left out."""
    rest = b""
    while chunk := file.read(CHUNK):
        whole, newline, begun = (rest + chunk).replace(b"\r\n", b"\n").rpartition(b"\n")
        lines = whole.rstrip(b"\n")
        rest = whole[len(lines) :] + newline + begun
        if lines:
            rest = rest.removeprefix(b"\n")
            yield lines + b"\n"
    if rest.strip():
        yield rest.removesuffix(b"\r") + b"\n"


def _parse(block: bytes, columns: int) -> np.ndarray | None:
    """Return a block of lines as uint8 [lines, columns], or None if anything is wrong with it."""
    text = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero((text == COMMA) | (text == NEWLINE))
    digits = text - ZERO  # what is no digit wraps to a number above 9
    if len(ends) % columns or np.count_nonzero(digits < 10) != len(text) - len(ends):
        return None
    marks = text[ends].reshape(-1, columns)
    widths = np.diff(ends, prepend=-1) - 1
    if (marks[:, -1] != NEWLINE).any() or (marks[:, :-1] != COMMA).any() or widths.min() < 1 or widths.max() > 3:
        return None
    values = digits[ends - 1].astype(np.int16)
    for place, factor in ((2, 10), (3, 100)):
        long = np.flatnonzero(widths >= place)
        values[long] += factor * digits[ends[long] - place].astype(np.int16)
    return None if values.max() > 255 else values.astype(np.uint8).reshape(-1, columns)


def _first_fault(path: Path, block: bytes, line: int, columns: int) -> DataError:
    """Return the error for the first bad line of a block that begins at a line of the file."""
    for number, text in enumerate(block.decode("utf-8", "replace").removesuffix("\n").split("\n"), line):
        values = text.split(",")
        place = f"{path}: line {number}"
        if len(values) != columns:
            return DataError(f"{place}: expected {columns} values. Received: {len(values) if text else 0}.")
        for column, value in enumerate(values, 1):
            if not (value.isascii() and value.isdigit() and len(value) <= 3 and int(value) <= 255):
                received = f"{value[:40]!r}" if value else "nothing"
                return DataError(f"{place}, column {column}: expected an integer 0 to 255. Received: {received}.")
    return DataError(f"{path}: from line {line} on: expected {columns} integers 0 to 255 on each line.")
