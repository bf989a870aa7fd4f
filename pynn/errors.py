"""The errors that pynn raises, and the wording they share."""

from __future__ import annotations

import difflib
import os
import sys
import warnings
from collections.abc import Callable, Iterable

__all__ = [
    "CaptureError",
    "DTypeError",
    "DataError",
    "DeviceError",
    "MissingAttributeError",
    "NonFiniteError",
    "ShapeError",
    "nearest",
    "no_such_name",
    "printable",
    "refuse",
    "unknown_name",
    "warn",
]


def _shown(error: Exception) -> str:
    """Return the message of an error; names in it may come from a file, so what moves a terminal is an escape."""
    return printable(Exception.__str__(error), "\n\t")


class ShapeError(ValueError):
    """An array or tensor has the wrong rank or a wrong dimension."""

    __str__ = _shown


class DTypeError(TypeError):
    """An array or tensor has a dtype that the operation does not take."""

    __str__ = _shown


class DataError(ValueError):
    """Data (a file, a set of labels, a batch) is missing, damaged or out of range."""

    __str__ = _shown


class CaptureError(RuntimeError):
    """A value was read, or a layer changed, while a program was being recorded."""


class DeviceError(RuntimeError):
    """There is no such device, or it cannot do what was asked; the CPU can.

    Attributes
    ----------
    status : int
        What the driver returned; 0 if it was not asked.
    """

    def __init__(self, text: str, status: int = 0):
        super().__init__(text)
        self.status = status


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
    near = nearest(str(name), names)
    hint = f"did you mean {near!r}? " if near else ""
    return f"unknown {kind}. Received: {name!r}. help: {hint}Known: {', '.join(names)}."


def refuse(error: ValueError) -> None:
    """End the process with the error's one line where it is the command; return where somebody's program imports pynn.

    For what is wrong with the environment at import, before the command line has its turn.
    """
    interpreter_s = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]  # arguments that are not the program's
    name = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else ""
    module = name == "-m" and interpreter_s[-1] in ("pynn", "-mpynn")
    script = name.removesuffix(".exe").removesuffix("-script.py") == "pynn"
    if (module or script) and os.environ.get("PYNN_DEBUG") != "1":
        print(f"pynn: error: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)


_PACKAGE = os.path.dirname(__file__) + os.sep


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn so that the warning points at the first caller outside pynn, however deep it was found."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def printable(text: str, keep: str = "") -> str:
    r"""Return a text with its control characters as escapes, for a terminal or a page: names come from files, too.

    Parameters
    ----------
    text : str
    keep : str, default ""
        Characters that stay, for instance ends of lines.

    Examples
    --------
    >>> printable("dense\x1b[31m\n")
    'dense\\x1b[31m\\n'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


class MissingAttributeError(AttributeError):
    """An attribute that is not there; what may help is looked up when the message is read, not for each hasattr().

    Parameters
    ----------
    message : str
    hint : callable
        Returns the rest of the message.
    """

    def __init__(self, message: str, hint: Callable[[], str]):
        super().__init__(message)
        self._hint = hint

    def __str__(self) -> str:
        return f"{super().__str__()}{self._hint()}"


def no_such_name(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """Return the error of a module that makes its names when they are first used, with the nearest of them.

    Parameters
    ----------
    module : str
    name : str
        What it does not have.
    known : iterable of str
        What it has.

    Returns
    -------
    AttributeError

    Examples
    --------
    >>> print(no_such_name("pynn.ops", "matmull", ["add", "matmul"]))
    module 'pynn.ops' has no attribute 'matmull'. help: did you mean 'matmul'?
    """

    def hint() -> str:
        near = None if name.startswith("_") else nearest(name, known)
        return f". help: did you mean {near!r}?" if near else ""

    return MissingAttributeError(f"module {module!r} has no attribute {name!r}", hint)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that the fewest slips of a typist turn into `name`; None if none is like it.

    A slip is a letter too many, missing, wrong, or exchanged with its neighbour. To stop before the end is one slip.

    Examples
    --------
    >>> nearest("adma", ["adagrad", "adam", "adamax"]), nearest("ReLU", ["relu", "elu"]), nearest("x", ["relu"])
    ('adam', 'relu', None)
    """
    given = _folded(name)
    best: tuple[int, float, str] | None = None
    for candidate in known:
        other = _folded(candidate)
        ratio = difflib.SequenceMatcher(None, given, other, autojunk=False).ratio()
        slips = 1 if len(given) > 2 and other.startswith(given) and other != given else _slips(given, other)
        if (ratio >= 0.5 or slips <= len(given) // 3) and (best is None or (slips, -ratio, candidate) < best):
            best = slips, -ratio, candidate
    return best and best[2]


def _folded(name: str) -> str:
    return name.casefold().replace("-", "_").replace(" ", "_")[:100]


def _slips(a: str, b: str) -> int:
    """Return the distance of two words in slips (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        earlier, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                least = min(least, earlier[j - 2] + 1)
            row.append(least)
    return row[-1]
