"""``pynn export``: a model file as a network for other programs."""

from __future__ import annotations

import os
from pathlib import Path

import pynn
from pynn.errors import DataError, unknown_name
from pynn.export.target import check_name

__all__ = ["KINDS", "run"]

KINDS = ("c", "onnx", "numpy")


def run(file: Path, kind: str, out: Path, main: bool = False) -> None:
    """Write what a model file holds as C, ONNX or Python, and print the names of the files.

    Parameters
    ----------
    file : Path
        A model file.
    kind : {"c", "onnx", "numpy"}
    out : Path
        The file to write; for C the header stands beside it.
    main : bool, default False
        Add a main() to the C file.

    Raises
    ------
    DataError
        If a layer cannot be exported (it is named); nothing is written.
    ImportError
        If the package onnx is missing.
    OSError
        If a file cannot be read or written.
    """
    if kind not in KINDS:
        raise ValueError("[export] " + unknown_name("kind of file", kind, KINDS))
    if main and kind != "c":
        raise DataError(f"[export] expected --main with --to c alone. Received: --to {kind}.")
    model = pynn.load(file)
    if kind == "c":
        from pynn.export.c import to_c

        files = to_c(model, out, main)
    elif kind == "numpy":
        from pynn.export.numpy_file import to_numpy

        files = to_numpy(model, out)
    else:
        from pynn import onnx

        check_name(os.fspath(out), ".onnx", "onnx")
        onnx.export(model, out)
        files = [os.fspath(out)]
    for name in files:
        print(f"{name} ({os.path.getsize(name):,} bytes)")
