"""What is asked for and not there: the name, the nearest one, and the line of the caller's that asks."""

from __future__ import annotations

import dis
import os
import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any, NoReturn

import pynn
from pynn.errors import nearest

__all__ = ["NotInPynn", "missing", "refused", "used_by"]

_PACKAGE = os.path.dirname(pynn.__file__) + os.sep


class NotInPynn(NotImplementedError):
    """Something of Keras or TensorFlow that pynn does not do."""


def caller() -> FrameType | None:
    """Return the frame outside pynn, and outside the machinery of imports, that asks."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE) and not file.startswith("<frozen") and "importlib" not in file:
            return frame
        frame = frame.f_back
    return None


def used_by() -> str:
    """Return the line of the caller's program that asks, as text; empty if nobody's does."""
    frame = caller()
    if frame is None:
        return ""
    name = os.path.basename(frame.f_code.co_filename)
    return f"; used by: line {frame.f_lineno}" + ("" if name.startswith("<") else f" of {name}")


def told(name: str, known: Iterable[str]) -> str:
    """Return the message for a name that is not there."""
    tail, names = name.rpartition(".")[2], list(known)
    lower = {n.lower(): n for n in names}
    near = lower.get(tail.lower()) or nearest(tail, names)
    return f"not in pynn: {name}" + (f"; nearest: {near}" if near else "") + used_by()


def missing(module: str, name: str, known: Iterable[str]) -> NoReturn:
    """Raise for a name that a module does not have: ImportError in ``from module import name``, else AttributeError.

    Python looks for names such as ``__path__`` itself, which is nobody's slip.
    """
    if name.startswith("__") or _asked_by_import_system():
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    shown = module.replace("pynn.keras", "keras", 1)
    text = told(f"{shown}.{name}", known)
    frame = caller()
    if frame is not None and dis.opname[frame.f_code.co_code[frame.f_lasti]] == "IMPORT_FROM":
        raise ImportError(text, name=module)
    raise AttributeError(text)


def _asked_by_import_system() -> bool:
    return sys._getframe(2).f_back is not None and sys._getframe(3).f_code.co_filename.startswith("<frozen")


def refused(name: str, why: str) -> Any:
    """Raise NotInPynn for something that is known and not done, with the reason and the caller's line."""
    raise NotInPynn(f"not in pynn: {name}; {why}{used_by()}")
