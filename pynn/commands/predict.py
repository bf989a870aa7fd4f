"""``pynn predict``: a model file's outputs for a table, an array, images or sounds."""

from __future__ import annotations

import io
import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn.commands.dialect import is_number
from pynn.commands.images import IMAGES, read_image
from pynn.commands.sound import is_sound, read_sounds
from pynn.commands.tables import Reading, Table, read_table
from pynn.errors import DataError
from pynn.files import as_csv
from pynn.io import Preprocessing, read_metadata, read_preprocessing, write_whole
from pynn.npy import read_npy
from pynn.ops.activation import named

__all__ = ["read_input", "run", "table"]

FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # what begins one in a spreadsheet


def run(
    file: Path,
    inputs: Sequence[Path],
    output: Path | None,
    batch_size: int | None = None,
    reading: Reading | None = None,
    background: str | None = None,
) -> None:
    """Write the outputs of a model for a file of samples, as CSV or (``.npy``) as an array: probabilities, not logits.

    Parameters
    ----------
    file : Path
        A model file.
    inputs : sequence of Path
        One table (``.csv``, ``.tsv``, ``.txt``) or ``.npy`` file, images, or sounds.
    output : Path, optional
        By default CSV goes to the standard output.
    batch_size : int, optional
        Rows per pass.
    reading : Reading, optional
        How a table is to be read.
    background : str, optional
        The color behind transparent parts of images.

    Raises
    ------
    DataError
        If an input cannot be read or does not fit the model.
    OSError
        If a file is missing or cannot be written.
    """
    model = pynn.load(file)
    metadata = read_metadata(file)
    if is_sound(inputs):
        x = read_sounds(metadata, inputs)
    else:
        x = read_input(model, inputs, reading, background, _names(metadata), read_preprocessing(file))
    y: Any = probabilities(model, x, model.predict(x, batch_size=batch_size))
    if not isinstance(y, np.ndarray):
        names, rows = _side_by_side(model, y, output)
        text = table(rows, names, columns=True)
    elif output is not None and output.suffix == ".npy":
        packed = io.BytesIO()
        np.save(packed, y, allow_pickle=False)
        write_whole(output, packed.getvalue())
        return
    else:
        classes = metadata.get("classes")
        if isinstance(classes, list) and len(classes) == 2 and y.ndim == 2 and y.shape[1] == 1 and _asks(model):
            y = np.concatenate([1 - y, y], axis=1)  # the probabilities of both classes
        text = table(y, classes, _classifies(model))
    if output is None:
        sys.stdout.write(text)
    else:
        write_whole(output, text.encode())


def probabilities(model: Any, x: Any, y: Any) -> Any:
    """Return outputs; those that are logits, as the loss takes them, as the probabilities that they stand for.

    Parameters
    ----------
    model : Module
    x : ndarray
        The samples, at least one.
    y : ndarray, or a tuple, list or dict of them
        What predict() gave for them.
    """
    trainer = model._trainer
    if trainer is None or not len(x):
        return y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what speaks against the outputs is for who trains
        trainer.output_shape([a[:1] for a in trainer.inputs(x, "predict")])
    head = trainer.head
    if not head.several:
        return _activated(head, y)
    heads = dict(zip(head.names, head.each(), strict=True))
    if isinstance(y, dict):
        return {name: _activated(heads.get(name), one) for name, one in y.items()}
    return [_activated(heads.get(name), one) for name, one in zip(_output_names(model, y), y, strict=True)]


def _activated(head: Any, y: np.ndarray) -> np.ndarray:
    """Return what an output stands for."""
    if head is None or not head.gives_logits:
        return y
    with pynn.no_grad():
        return named(head.loss.activation)(pynn.tensor(y)).numpy()


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


def read_input(
    model: Any,
    paths: Sequence[Path],
    reading: Reading | None = None,
    background: str | None = None,
    names: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
) -> np.ndarray:
    """Return the samples in files, in the shape that the model takes.

    Parameters
    ----------
    model : Module
    paths : sequence of Path
    reading : Reading, optional
    background : str, optional
    names : sequence of str, optional
        Of the columns that it was trained on.
    preprocessing : Preprocessing, optional
        What its file holds of that.
    """
    shape = _input_shape(model)
    kinds = {path.suffix.lower() for path in paths}
    if kinds <= set(IMAGES):
        return np.stack([read_image(path, shape, background) for path in paths])
    if len(paths) > 1:
        raise DataError(f"[predict] expected one table or array, or images. Received: {', '.join(map(str, paths))}.")
    (path,) = paths
    if path.suffix.lower() == ".npy":
        x = _array(path)
        if preprocessing is not None:
            return preprocessing.transform(x)
        return _integers(x[None] if x.shape == shape and x.ndim > 0 else x, model, path)
    if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        raise DataError(
            f"[predict] expected a .csv or .npy file, or images ({', '.join(IMAGES)}). Received: {str(path)!r}."
        )
    reading = reading or Reading()
    if preprocessing is not None:
        return _prepared(path, reading, preprocessing)
    found = read_table(path, reading, names)
    return _integers(_shaped(found.numbers(reading.missing), shape, found), model, path)


def _prepared(path: Path, reading: Reading, preprocessing: Preprocessing) -> np.ndarray:
    """Return what the model sees of a table, whose columns go by their names, or else by their places."""
    used = [k for k, (kind, _) in enumerate(preprocessing.columns) if kind]
    names = preprocessing.names
    found = read_table(path, reading, None if names is None else [names[k] for k in used])
    named = names is not None and found.names is not None and reading.columns is None
    width = len(found.places)
    if not named:
        used = list(range(preprocessing.width))
    if width != len(used):
        raise DataError(f"[predict] {path}: expected {len(used)} columns. Received: {width}.")
    columns = [np.zeros(len(found.rows))] * preprocessing.width
    words = preprocessing.step.words()
    for place, k in enumerate(used):
        kind, gaps = preprocessing.columns[k]
        if kind == "text":
            columns[k] = found.texts(place, words[k])
        elif kind:
            columns[k] = found.column(place, "keep" if gaps else reading.missing)
    return preprocessing.transform(columns, lambda i, k: found.where(i, used.index(k)))


def _names(metadata: Mapping[str, Any]) -> list[str] | None:
    """Return the names of the columns that a model was trained on, where its file has them."""
    names = metadata.get("columns")
    known = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if known else None


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
    named = isinstance(classes, list) and len(classes) == count and all(isinstance(c, str | int) for c in classes)
    names = (
        [_cell(str(c)) for c in classes]
        if named
        else ["output"]
        if count == 1
        else [f"output_{i}" for i in range(count)]
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
    return "'" + text if text and text[0] in FORMULA and not is_number(text) else text


def _classifies(model: Any) -> bool:
    if model._trainer is not None:
        return model._trainer.loss.activation == "softmax"
    return _ends(model, "softmax")


def _asks(model: Any) -> bool:
    """Tell whether one output is the probability of the second of two classes."""
    if model._trainer is not None and model._trainer.head.gives_logits:
        return bool(model._trainer.loss.activation == "sigmoid")
    return _ends(model, "sigmoid")


def _ends(model: Any, activation: str) -> bool:
    last = [layer for layer in model.modules() if hasattr(layer, "activation")][-1:]
    return bool(last) and last[0].activation == activation


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


def _shaped(x: np.ndarray, shape: tuple[int, ...], found: Table) -> np.ndarray:
    """Return the rows of a table as samples."""
    if len(shape) == 1 and x.shape[1:] == shape:
        return x
    each = math.prod(shape)
    if x.shape[1] == each:
        return x.reshape(len(x), *shape)
    hint = " help: --columns picks those that the model takes." if x.shape[1] > each else ""
    if x.shape[1] == each + 1:
        hint = " help: --columns, to take out the column of targets or of row numbers."
    raise DataError(
        f"[predict] {found.path}: expected samples of {each} values, shape {shape}. "
        f"Received: {x.shape[1]} columns in {len(x)} rows.{hint}"
    )


def _integers(x: np.ndarray, model: Any, path: Path) -> np.ndarray:
    if not model.takes_integers or x.dtype.kind != "f":
        return x
    if not (np.isfinite(x).all() and (x == np.floor(x)).all() and (np.abs(x) < 2**31).all()):
        raise DataError(f"[predict] {path}: expected whole numbers, which the model looks up.")
    return x.astype(np.int32)
