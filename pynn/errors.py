"""The errors that pynn raises, and the wording they share."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["CaptureError", "DTypeError", "DataError", "NonFiniteError", "ShapeError", "refuse", "unknown_name"]


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


def refuse(error: ValueError) -> None:
    """End the process with the error's one line where it is the command; return where somebody's program imports pynn.

    For what is wrong with the environment at import, before the command line has its turn.
    """
    interpreter_s = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]  # arguments that are not the program's
    name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else ""
    module = name == "-m" and interpreter_s[-1] in ("pynn", "-mpynn")
    script = name.removesuffix(".exe").removesuffix("-script.py") == "pynn"
    if (module or script) and os.environ.get("PYNN_DEBUG") != "1":
        print(f"pynn: error: {error}", file=sys.stderr)
        sys.exit(2)
