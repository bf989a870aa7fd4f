"""A model card: what a model file holds, in Markdown, for people who are given it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
from typing import Any

import numpy as np

from pynn.core import config
from pynn.errors import printable
from pynn.io.model_file import read_info

__all__ = ["fingerprint", "model_card"]


def fingerprint(*arrays: Any) -> str:
    """Return a hash of arrays, SHA-256 over their kinds, shapes and numbers: of data, of weights, of predictions.

    Parameters
    ----------
    *arrays : array_like
        Such as ``x, y``; their order counts.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> fingerprint([1.0, 2.0])[:12], fingerprint([1.0, 2.5])[:12]
    ('78706631777b', '5c814dca3d64')
    """
    found = hashlib.sha256()
    for array in arrays:
        a = np.ascontiguousarray(array)
        found.update(f"{a.dtype.str}{a.shape}".encode())
        found.update(a.tobytes() if a.dtype.kind != "O" else repr(a.tolist()).encode())
    return found.hexdigest()


def model_card(path: str | os.PathLike[str], model: Any, here: bool = True) -> str:
    """Return the card of a model file: layers, counts, training, hash of the weights, and what was written beside them.

    Parameters
    ----------
    path : path-like
        The file.
    model : Module
        What it holds, as it was saved or loaded.
    here : bool, default True
        Whether it was trained here: the card then also names the seed and the machine.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    DataError, OSError
        As :func:`pynn.load`.

    Examples
    --------
    >>> import pynn, tempfile
    >>> model = pynn.nn.Sequential([pynn.nn.Input((4,)), pynn.nn.Dense(3)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.pynn", metadata={"test accuracy": 0.97})
    ...     print(model_card(f"{folder}/model.pynn", model).splitlines()[0])
    # model.pynn
    """
    info = read_info(path)
    training = info["training"]
    rows = [
        ("file", f"{os.path.basename(os.fspath(path))}, {os.path.getsize(path):,} bytes"),
        ("written by", f"pynn {info['pynn_version']}, format version {info['format_version']}"),
        ("parameters", f"{model.count_parameters():,}"),
        ("weights, SHA-256", fingerprint(*model.get_weights())),
    ]
    if training is not None:
        rows += [("updates", f"{training['step']:,}"), ("optimizer", model.optimizer), ("loss", model.loss.name)]
    if here:
        seed = model._given_seed if model._given_seed is not None else model._seed[0]
        known = config.info()
        rows += [
            ("seed", seed),
            ("machine", f"{platform.system()} {platform.machine()}, {known['isa']}, {known['threads']} threads"),
            ("with", f"Python {platform.python_version()}, NumPy {np.__version__}"),
        ]
    parts = [f"# {os.path.basename(os.fspath(path))}", _table(rows)]
    if info["metadata"]:
        told = [
            (key, value if isinstance(value, str) else json.dumps(value)) for key, value in info["metadata"].items()
        ]
        parts += ["## What was written beside it", _table(told)]
    parts += [
        "## Layers", f"```text\n{_summary(model)}\n```",
        "## The same again",
        'The same program with the same data, seed and precision "highest" gives weights of the same hash, on any '
        "number of threads: `pynn.io.fingerprint(*model.get_weights())`. `pynn.io.fingerprint(x, y)` is that of data.",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _table(rows: list[tuple[str, Any]]) -> str:
    lines = [f"| {printable(str(name))} | {printable(str(value)).replace('|', '/')} |" for name, value in rows]
    return "\n".join(["| | |", "|---|---|", *lines])


def _summary(model: Any) -> str:
    printed = io.StringIO()
    declared = getattr(model, "_input", None) is not None or hasattr(model, "input_shapes")
    with contextlib.redirect_stdout(printed):
        model.summary(input_shape=None if declared or not model._built_for else model._built_for[1:])
    return printed.getvalue().rstrip()
