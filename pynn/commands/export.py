"""``pynn export``: a model file as a network for other programs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pynn
from pynn.errors import DataError, unknown_name
from pynn.export.target import check_name

__all__ = ["KINDS", "run"]

KINDS = ("c", "onnx", "numpy", "web")


def run(
    file: Path,
    kind: str,
    out: Path,
    main: bool = False,
    input_shape: Any = None,
    step: bool = False,
    train: bool = False,
    batch_size: int = 32,
) -> None:
    """Write what a model file holds as C, ONNX, Python or JavaScript, and print the names of the files.

    Parameters
    ----------
    file : Path
        A model file.
    kind : {"c", "onnx", "numpy", "web"}
    out : Path
        The file to write; for C the header stands beside it.
    main : bool, default False
        Add a main() to the C file.
    input_shape : list of tuple, optional
        Of one sample of each input; None is a size that an ONNX file leaves open.
    step : bool, default False
        Write a C function of one time step, which keeps states.
    train : bool, default False
        Let a web page go on training the model.
    batch_size : int, default 32
        Samples of one step of that training.

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
    for option, given, of in (("--main", main, "c"), ("--step", step, "c"), ("--train", train, "web")):
        if given and kind != of:
            raise DataError(f"[export] expected {option} with --to {of} alone. Received: --to {kind}.")
    if kind != "onnx" and any(None in shape for shape in input_shape or []):
        raise DataError(f"[export] expected sizes left open with --to onnx alone. Received: --to {kind}.")
    shape = input_shape[0] if input_shape and len(input_shape) == 1 else input_shape
    model = pynn.load(file)
    if kind == "c":
        from pynn.export.c import to_c

        files = to_c(model, out, main, shape, step)
    elif kind == "numpy":
        from pynn.export.numpy_file import to_numpy

        files = to_numpy(model, out, shape)
    elif kind == "web":
        from pynn.export.web import to_web

        files = to_web(model, out, train, shape, batch_size)
    else:
        from pynn import onnx

        check_name(os.fspath(out), ".onnx", "onnx")
        onnx.export(model, out, shape)
        files = [os.fspath(out)]
    for name in files:
        print(f"{name} ({os.path.getsize(name):,} bytes)")
