"""``tf.strings`` for arrays of texts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn.keras.missing import missing

__all__ = ["join", "length", "lower", "regex_replace", "strip", "upper"]


def _each(texts: Any, function: Callable[[str], Any]) -> Any:
    x = np.asarray(texts)
    made = [function(t.decode() if isinstance(t, bytes) else str(t)) for t in x.reshape(-1).tolist()]
    return np.array(made).reshape(x.shape)


def lower(input: Any, encoding: str = "", name: str | None = None) -> Any:
    """Return texts in small letters."""
    return _each(input, str.lower)


def upper(input: Any, encoding: str = "", name: str | None = None) -> Any:
    """Return texts in capitals."""
    return _each(input, str.upper)


def strip(input: Any, name: str | None = None) -> Any:
    """Return texts without blanks at their ends."""
    return _each(input, str.strip)


def length(input: Any, unit: str = "BYTE", name: str | None = None) -> Any:
    """Return how long texts are."""
    return _each(input, lambda text: len(text.encode()) if unit == "BYTE" else len(text))


def regex_replace(input: Any, pattern: str, rewrite: str, replace_global: bool = True, name: str | None = None) -> Any:
    """Return texts in which what fits a pattern is written otherwise."""
    return _each(input, lambda text: re.sub(pattern, rewrite, text, count=0 if replace_global else 1))


def join(inputs: Any, separator: str = "", name: str | None = None) -> Any:
    """Return texts joined, element by element."""
    parts = np.broadcast_arrays(*(np.asarray(x) for x in inputs))
    rows = zip(*(p.reshape(-1).tolist() for p in parts), strict=True)
    return np.array([separator.join(map(str, row)) for row in rows]).reshape(parts[0].shape)


def __getattr__(name: str) -> Any:
    missing("tensorflow.strings", name, __all__)
