"""The code of a page in Spanish: its comments and strings are exchanged, the rest stays as it is.

docs/code/es/PAGE.json says what stands for what: English to Spanish, each a part of a comment or of a string, the
longest first. What a page prints is then printed in Spanish, and pynn.viz speaks Spanish while it draws.
"""

from __future__ import annotations

import io
import json
import re
import tokenize
from pathlib import Path

__all__ = ["comments", "table", "translated"]

LITERALS = {tokenize.COMMENT, tokenize.STRING}
BEGIN, END = getattr(tokenize, "FSTRING_START", None), getattr(tokenize, "FSTRING_END", None)


def table(path: Path) -> dict[str, str] | None:
    """Return the exchanges for the code in `path`, docs/code/PAGE.py; None where there are none."""
    root = next(parent for parent in path.parents if parent.name == "code")
    found = root / "es" / path.relative_to(root).with_suffix(".json")
    return json.loads(found.read_text(encoding="utf-8")) if found.exists() else None


def translated(text: str, exchanges: dict[str, str]) -> str:
    """Return the code with its comments and strings exchanged.

    Raises
    ------
    ValueError
        If something to exchange is not there.

    Examples
    --------
    >>> translated('print("cost")  # of cost', {"cost": "costo", "of": "de"})
    'print("costo")  # de costo'
    """
    pattern = re.compile("|".join(re.escape(key) for key in sorted(exchanges, key=len, reverse=True)) or r"(?!)")
    met: set[str] = set()

    def said(match: re.Match[str]) -> str:
        met.add(match[0])
        return exchanges[match[0]]

    parts, at = [], 0
    for start, end in _spans(text):
        parts += [text[at:start], pattern.sub(said, text[start:end])]
        at = end
    if missing := sorted(exchanges.keys() - met):
        raise ValueError(f"not in the comments and strings of the code: {missing}")
    return "".join([*parts, text[at:]])


def comments(text: str) -> list[str]:
    """Return the comments of code, without those that begin a cell or speak to a linter."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return [comment for comment in found if not comment.startswith(("# %%", "# noqa", "# type:", "# fmt:"))]


def _spans(text: str) -> list[tuple[int, int]]:
    """Return where comments and strings begin and end, f-strings with all that is in them."""
    lines = [0]
    for line in text.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    found, opened = [], []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        start, end = (lines[row - 1] + column for row, column in (token.start, token.end))
        if token.type == BEGIN:
            opened.append(start)
        elif token.type == END:
            begun = opened.pop()
            if not opened:
                found.append((begun, end))
        elif token.type in LITERALS and not opened and not token.string.startswith("# %%"):
            found.append((start, end))
    return found
