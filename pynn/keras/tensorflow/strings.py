"""``tf.strings`` for arrays of texts."""

from __future__ import annotations

import re

import numpy as np

from pynn.keras.names import absent

__all__ = ["join", "length", "lower", "regex_replace", "strip", "upper"]


def _each(texts, function):
    x = np.asarray(texts)
    made = [function(t.decode() if isinstance(t, bytes) else str(t)) for t in x.reshape(-1).tolist()]
    return np.array(made).reshape(x.shape)


def lower(input, encoding: str = "", name: str | None = None):
    """Return texts in small letters."""
    return _each(input, str.lower)


def upper(input, encoding: str = "", name: str | None = None):
    """Return texts in capitals."""
    return _each(input, str.upper)


def strip(input, name: str | None = None):
    """Return texts without blanks at their ends."""
    return _each(input, str.strip)


def length(input, unit: str = "BYTE", name: str | None = None):
    """Return how long texts are."""
    return _each(input, lambda text: len(text.encode()) if unit == "BYTE" else len(text))


def regex_replace(input, pattern: str, rewrite: str, replace_global: bool = True, name: str | None = None):
    """Return texts in which what fits a pattern is written otherwise."""
    return _each(input, lambda text: re.sub(pattern, rewrite, text, count=0 if replace_global else 1))


def join(inputs, separator: str = "", name: str | None = None):
    """Return texts joined, element by element."""
    parts = np.broadcast_arrays(*(np.asarray(x) for x in inputs))
    rows = zip(*(p.reshape(-1).tolist() for p in parts), strict=True)
    return np.array([separator.join(map(str, row)) for row in rows]).reshape(parts[0].shape)


__getattr__ = absent("tensorflow.strings", __all__)
