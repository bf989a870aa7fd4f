"""The errors that pynn raises, and the wording they share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["CaptureError", "DTypeError", "DataError", "NonFiniteError", "ShapeError", "unknown_name"]


class ShapeError(ValueError):
    """An array or tensor has the wrong rank or a wrong dimension."""


class DTypeError(TypeError):
    """An array or tensor has a dtype that the operation does not take."""


class DataError(ValueError):
    """Data (a file, a set of labels, a batch) is missing, damaged or out of range."""


class CaptureError(RuntimeError):
    """A value was read, or a layer changed, while a program was being recorded."""


class NonFiniteError(ArithmeticError):
    """A loss became NaN or infinite."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the message for a name that is not known, with the nearest known name.

    Parameters
    ----------
    kind : str
        What the name should be, for instance ``"optimizer"``.
    name : object
        What came.
    known : iterable of str
        The names that exist.

    Examples
    --------
    >>> unknown_name("loss", "mse_los", ["mse", "mae"])
    "unknown loss. Received: 'mse_los'. help: did you mean 'mse'? Known: mae, mse."
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind}. Received: {name!r}. help: {hint}Known: {', '.join(names)}."
