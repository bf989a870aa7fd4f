"""``pynn predict``: a model file's outputs for a table, an array, images or sounds."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn.commands.sound import is_sound, read_sounds
from pynn.errors import DataError
from pynn.files import as_csv
from pynn.io import read_metadata, write_whole
from pynn.npy import read_npy

__all__ = ["read_input", "run", "table"]

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # alone: for PostScript, Pillow runs another program

FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # what begins one in a spreadsheet


def run(
    file: Path, inputs: Sequence[Path], output: Path | None, batch_size: int | None = None, header: bool | None = None
) -> None:
    """Write the outputs of a model for a file of samples, as CSV or (``.npy``) as an array.

    Parameters
    ----------
    file : Path
        A model file.
    inputs : sequence of Path
        One ``.csv`` or ``.npy`` file, images, or ``.wav`` files.
    output : Path, optional
        By default CSV goes to the standard output.
    batch_size : int, optional
        Rows per pass.
    header : bool, optional
        Whether the first line of a table holds names. By default it does if none of its fields is a number or empty.

    Raises
    ------
    DataError
        If an input cannot be read or does not fit the model.
    OSError
        If a file is missing or cannot be written.
    """
    model = pynn.load(file)
    x = read_sounds(read_metadata(file), inputs) if is_sound(inputs) else read_input(model, inputs, header)
    y: Any = model.predict(x, batch_size=batch_size)
    if not isinstance(y, np.ndarray):
        names, rows = _side_by_side(model, y, output)
        text = table(rows, names, columns=True)
    elif output is not None and output.suffix == ".npy":
        packed = io.BytesIO()
        np.save(packed, y, allow_pickle=False)
        write_whole(output, packed.getvalue())
        return
    else:
        text = table(y, read_metadata(file).get("classes"), _classifies(model))
    if output is None:
        sys.stdout.write(text)
    else:
        write_whole(output, text.encode())


def _side_by_side(model: Any, outputs: Any, file: Path | None) -> tuple[list[str], np.ndarray]:
    """Return names of columns, and the outputs of a model with several as one table."""
    found = outputs if isinstance(outputs, dict) else dict(zip(_output_names(model, outputs), outputs, strict=True))
    if file is not None and file.suffix == ".npy":
        raise DataError(f"[predict] expected a .csv file for the outputs {', '.join(found)}. Received: {str(file)!r}.")
    names, columns = [], []
    for name, y in found.items():
        rows = y.reshape(len(y), -1)
        names += [name] if rows.shape[1] == 1 else [f"{name}_{i}" for i in range(rows.shape[1])]
        columns.append(rows)
    return names, np.concatenate(columns, axis=1)


def _output_names(model: Any, outputs: Any) -> list[str]:
    return getattr(model, "output_names", None) or [f"output_{i + 1}" for i in range(len(outputs))]


def read_input(model: Any, paths: Sequence[Path], header: bool | None = None) -> np.ndarray:
    """Return the samples in files, in the shape that the model takes."""
    shape = _input_shape(model)
    kinds = {path.suffix.lower() for path in paths}
    if kinds <= set(IMAGES):
        return np.stack([_image(path, shape) for path in paths])
    if len(paths) > 1:
        raise DataError(f"[predict] expected one table or array, or images. Received: {', '.join(map(str, paths))}.")
    (path,) = paths
    if path.suffix.lower() == ".npy":
        x = _array(path)
    elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
        x = _csv(path, header)
    else:
        raise DataError(
            f"[predict] expected a .csv or .npy file, or images ({', '.join(IMAGES)}). Received: {str(path)!r}."
        )
    return _integers(_shaped(x, shape, path), model, path)


def table(y: np.ndarray, classes: Any = None, classifier: bool = False, columns: bool = False) -> str:
    """Return outputs as CSV, one row per sample; those of a classifier begin with the likeliest class.

    With `columns` the names are those of columns and not of classes.

    Examples
    --------
    >>> print(table(np.array([[0.25, 0.75]]), ["no", "yes"], True), end="")
    class,no,yes
    yes,0.25,0.75

    Names of classes that a spreadsheet would run as a formula get an apostrophe.
    """
    rows = y.reshape(len(y), -1)
    count = rows.shape[1]
    named = isinstance(classes, list) and len(classes) == count and all(isinstance(c, str) for c in classes)
    names = (
        [_cell(c) for c in classes] if named else ["output"] if count == 1 else [f"output_{i}" for i in range(count)]
    )
    first = y.ndim == 2 and count > 1 and (classifier or named) and not columns
    digits = 9 if y.dtype == np.float32 else 17
    lines: list[list[Any]] = [[*(["class"] if first else []), *names]]
    for row in rows:
        best = int(row.argmax())
        head = [names[best] if named else best] if first else []
        lines.append([*head, *(f"{value:.{digits}g}" for value in row)])
    return as_csv(lines)


def _cell(text: str) -> str:
    """Return a name that no spreadsheet takes for a formula: those that begin like one get an apostrophe."""
    return "'" + text if text and text[0] in FORMULA and not _is_number(text) else text


def _classifies(model: Any) -> bool:
    if model._trainer is not None:
        return model._trainer.loss.activation == "softmax"
    last = [layer for layer in model.modules() if hasattr(layer, "activation")][-1:]
    return bool(last) and last[0].activation == "softmax"


def _input_shape(model: Any) -> tuple[int, ...]:
    shapes = getattr(model, "input_shapes", None) or [getattr(model, "_input", None) or model._built_for[1:]]
    if len(shapes) != 1:
        raise DataError(
            f"[predict] expected a model of one input. Received: one of {len(shapes)}. help: use pynn.load() in Python."
        )
    return tuple(shapes[0])


def _array(path: Path) -> np.ndarray:
    try:
        return read_npy(path)
    except DataError as error:
        raise DataError(f"[predict] {path}: expected an array of numbers (.npy). Received: {error}.") from None


def _csv(path: Path, header: bool | None = None) -> np.ndarray:
    """Return the numbers of a table; its first line may hold names. A row is never dropped: a gap in it is an error."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            sample = file.readline()
            delimiter = next((mark for mark in ",;\t" if mark in sample), ",")
            file.seek(0)
            lines = [(number, row) for number, row in enumerate(csv.reader(file, delimiter=delimiter), 1) if row]
    except UnicodeDecodeError as error:
        raise DataError(
            f"[predict] {path}: expected text in UTF-8. Received: byte 0x{error.object[error.start]:02x} "
            f"({error.reason}). help: save the table as UTF-8 (iconv -f LATIN1 -t UTF-8)."
        ) from None
    except csv.Error as error:
        raise DataError(f"[predict] {path}: expected comma-separated numbers. Received: {error}.") from None
    if header is None:
        header = bool(lines) and not any(_is_number(text) or not text.strip() for text in lines[0][1])
    lines = lines[header:]
    if not lines:
        raise DataError(f"[predict] {path}: expected at least one row of numbers.")
    width = len(lines[0][1])
    values = np.empty((len(lines), width))
    for i, (number, row) in enumerate(lines):
        if len(row) != width:
            raise DataError(f"[predict] {path}: line {number}: expected {width} values. Received: {len(row)}.")
        try:
            values[i] = row
        except ValueError:
            bad = next(k for k, text in enumerate(row) if not _is_number(text))
            hint = " help: --header, if this line holds the names of the columns." if number == 1 else ""
            raise DataError(
                f"[predict] {path}: line {number}, column {bad + 1}: expected a number. "
                f"Received: {row[bad][:40]!r}.{hint}"
            ) from None
        if not np.isfinite(values[i]).all():
            bad = int(np.argmin(np.isfinite(values[i])))
            raise DataError(
                f"[predict] {path}: line {number}, column {bad + 1}: expected a finite number. "
                f"Received: {row[bad][:40]!r}."
            )
    return values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shaped(x: np.ndarray, shape: tuple[int, ...], path: Path) -> np.ndarray:
    if x.shape == shape and x.ndim > 0:
        return x[None]
    if x.ndim > 0 and x.size == len(x) * math.prod(shape):
        return x.reshape(len(x), *shape)
    each = math.prod(shape)
    hint = " help: take out the column of targets." if x.ndim == 2 and x.shape[1] == each + 1 else ""
    raise DataError(
        f"[predict] {path}: expected samples of {each} values, shape {shape}. Received: {x.shape} in all.{hint}"
    )


def _integers(x: np.ndarray, model: Any, path: Path) -> np.ndarray:
    if not model.takes_integers or x.dtype.kind != "f":
        return x
    if not (np.isfinite(x).all() and (x == np.floor(x)).all() and (np.abs(x) < 2**31).all()):
        raise DataError(f"[predict] {path}: expected whole numbers, which the model looks up.")
    return x.astype(np.int32)


def _image(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return an image as bytes of the model's size and channels; the model scales them to 0..1."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise ImportError('reading images needs Pillow. help: pip install "pynn-dl[plot]"') from None
    plain = len(shape) == 2
    if not plain and not (len(shape) == 3 and shape[2] in (1, 3)):
        raise DataError(f"[predict] {path}: the model takes no images, but samples of shape {shape}.")
    gray = plain or shape[2] == 1
    try:
        with Image.open(path, formats=FORMATS) as opened:
            image = opened.convert("L" if gray else "RGB")
    except UnidentifiedImageError:
        raise DataError(f"[predict] {path}: expected an image. Received: a file of another kind.") from None
    except Exception as error:  # of its many readers; an image of too many pixels has a class of its own
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
            raise  # the system's: no such file
        raise DataError(f"[predict] {path}: expected a whole image. Received: {str(error)[:200]}.") from None
    height, width = shape[:2]
    if image.size != (width, height):
        print(f"{path}: resized from {image.size[0]}x{image.size[1]} to {width}x{height}", file=sys.stderr)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels.reshape(shape)
