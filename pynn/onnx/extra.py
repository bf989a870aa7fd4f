"""The optional package onnx, imported when something needs it."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

__all__ = ["need_memory", "onnx_package"]

COPIES = 8  # of the weights: arrays, messages, what is checked and what is written
SLACK = 64 << 20


def onnx_package(place: str) -> Any:
    """Return the package onnx.

    Raises
    ------
    ImportError
        Naming the extra, if it is not installed.
    """
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise ImportError(
            f"[{place}] needs the package onnx, which cannot be imported: {error}. help: pip install 'pynn-dl[onnx]'."
        ) from error


def need_memory(place: str, nbytes: int) -> None:
    """Raise MemoryError unless there is room for a model of so many bytes, as protobuf handles it.

    Protobuf ends the process (a segmentation fault) where memory is refused to it, so that is asked for before.
    """
    needed = COPIES * nbytes + SLACK
    try:
        np.empty(needed, np.uint8)  # given back at once, and never touched
    except MemoryError:
        raise MemoryError(
            f"[{place}] expected room for {needed:,} bytes, {COPIES} times the weights and some for protobuf, which "
            "would end the process. Received: less. help: raise the limit of memory (ulimit -v)."
        ) from None
