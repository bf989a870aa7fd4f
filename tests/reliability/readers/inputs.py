"""Whole files of what the command line reads and what a training logs, and what reads them."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn

from .packing import Files


@functools.cache
def asked() -> Any:
    """Return the model that is asked about tables and arrays."""
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2)])
    model.build((None, 3))
    return model


@functools.cache
def seeing() -> Any:
    """Return the model that is asked about images."""
    model = nn.Sequential([nn.Input((4, 4, 3)), nn.Flatten(), nn.Dense(2)])
    model.build((None, 4, 4, 3))
    return model


def read_input(model: Callable[[], Any]) -> Callable[[Path], Any]:
    """Return the reader of ``pynn predict``."""
    from pynn.commands import predict

    return lambda path: predict.read_input(model(), [path])


def tables() -> Files:
    """Return tables of numbers."""
    return {"a.csv": b"a,b,c\n1,2,3\n4.5,-1e3,0\n", "b.tsv": b"1\t2\t3\n4\t5\t6\n", "c.txt": b'"1";2;3\r\n4;5;6\r\n'}


def arrays() -> Files:
    """Return arrays of NumPy."""
    files = {}
    for name, array in (("f4", np.ones((2, 3), "float32")), ("i8", np.asfortranarray(np.ones((2, 3), "int64")))):
        content = io.BytesIO()
        np.save(content, array)
        files[f"{name}.npy"] = content.getvalue()
    return files


@functools.cache
def pictures() -> Files:
    """Return images of some formats."""
    from PIL import Image

    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (5, 6, 3), "uint8"))
    files = {}
    for form in ("png", "jpeg", "gif", "bmp"):
        content = io.BytesIO()
        image.save(content, form)
        files[f"a.{form}"] = content.getvalue()
    return files


def go_on_logging(path: Path) -> Any:
    """Go on with a table of a training, from epoch 1."""
    logger = pynn.train.CSVLogger(path, append=True)
    logger.set_params({"resumed": True, "initial_epoch": 1})
    logger.on_train_begin()
    try:
        logger.on_epoch_end(1, {"loss": 0.5})
    finally:
        logger.on_train_end()
    return path.read_bytes()


def logs() -> Files:
    """Return the table of a training."""
    return {"log.csv": b"epoch,loss\n0,1.5\n1,1.25\n"}


def read_points(path: Path) -> Any:
    """Return the points of a playground's table."""
    from pynn.commands.playground import _points

    return _points(path)
