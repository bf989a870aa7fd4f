"""What the reference lists: every public name once, on the page of the module that it is at home in.

A page asks for a module with ``{{ api: MODULE }}``; ``{{ command }}`` is the command line.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import re
from collections.abc import Iterator
from typing import Any

import pynn
from pynn.cli import main
from pynn.names import Registry

__all__ = ["command", "constant", "identifier", "listed"]


def listed(module: str) -> list[tuple[str, Any]]:
    """Return (name, thing) of a module's page: its ``__all__`` but for modules and what pynn has itself."""
    found = importlib.import_module(module)
    top = () if found is pynn else tuple(getattr(pynn, name) for name in pynn.__all__)
    things = [(name, getattr(found, name)) for name in found.__all__]
    return sorted(
        ((name, thing) for name, thing in things if not inspect.ismodule(thing) and not any(thing is t for t in top)),
        key=lambda item: item[0].lower(),
    )


def identifier(name: str, thing: Any) -> str | None:
    """Return the path by which the inventory of the site knows a class or function; None for other things."""
    return f"{thing.__module__}.{name}" if inspect.isclass(thing) or inspect.isfunction(thing) else None


def constant(module: str, name: str, thing: Any) -> str:
    """Return the Markdown of what is neither class nor function."""
    if isinstance(thing, Registry):
        told = "The names that are known: " + ", ".join(f"`{known}`" for known in thing) + "."
    else:
        shown = repr(thing)
        told = f"`{shown}`" if len(shown) < 200 else f"A {type(thing).__name__} of {len(thing)} items."
    return f"## {name} {{ #{module}.{name} }}\n\n{told}"


def command() -> str:
    """Return the help of the command and of all of its parts, as it is printed."""
    parts = [("pynn", _help())]
    commands = re.findall(r"(?m)^    (\w+) ", _help())
    parts += [(f"pynn {name}", _help(name)) for name in commands]
    return "\n\n".join(f"## {title}\n\n````text\n{text.rstrip()}\n````" for title, text in parts)


def _help(*words: str) -> str:
    printed = io.StringIO()
    with _columns(100), contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return printed.getvalue()


@contextlib.contextmanager
def _columns(width: int) -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(width)
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before
