"""The optional package onnx, imported when something needs it."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["onnx_package"]


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
