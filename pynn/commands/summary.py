"""``pynn summary``: what a model file holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn.errors import printable
from pynn.io import read_info

__all__ = ["run"]


def run(file: Path) -> None:
    """Print the origin, the training and the layers of a model file.

    Raises
    ------
    DataError, OSError
        As :func:`pynn.load`.
    """
    info = read_info(file)
    model = pynn.load(file)
    numbers = sum(int(np.prod(shape)) for _, shape in info["tensors"].values())
    lines = [
        ("file", f"{file} ({os.path.getsize(file):,} bytes, {len(info['tensors'])} tensors, {numbers:,} numbers)"),
        ("written by", f"pynn {info['pynn_version']}, format version {info['format_version']}"),
        ("training", _training(model, info)),
    ]
    if info["metadata"]:
        lines.append(("metadata", ", ".join(f"{key}={_short(value)}" for key, value in info["metadata"].items())))
    for name, text in lines:
        print(f"{name:10}  {printable(text)}")
    print()
    declared = getattr(model, "_input", None) is not None or hasattr(model, "input_shapes")
    model.summary(input_shape=None if declared or not model._built_for else model._built_for[1:])


def _training(model: Any, info: dict[str, Any]) -> str:
    if info["training"] is None:
        return "left out: for predictions alone"
    text = f"{info['training']['step']:,} updates with {model.optimizer!r}, loss {model.loss.name}"
    if info["progress"] is not None:
        text += f"; a checkpoint in epoch {info['progress']['epoch'] + 1}, batch {info['progress']['batch']}"
    return text


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
