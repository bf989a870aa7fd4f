"""What may be named in an export: files, and identifiers made of their names."""

from __future__ import annotations

import os
import re

from pynn.errors import DataError

__all__ = ["check_name", "identifier"]

# Words of C and C++ that no function or variable can have as name.
_RESERVED = frozenset(
    {
        "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern",
        "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed",
        "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while", "class",
        "new", "delete", "this", "template", "namespace", "operator", "private", "public", "protected", "try", "catch",
        "throw", "true", "false", "bool", "main",
    }
)  # fmt: skip


def check_name(path: str, suffix: str, kind: str) -> None:
    """Raise DataError unless a path ends as files of its kind do.

    Examples
    --------
    >>> check_name("model.c", ".c", "c")
    >>> check_name("model.h", ".c", "c")
    Traceback (most recent call last):
      ...
    pynn.errors.DataError: [export] expected a file name that ends in .c for c. Received: 'model.h'. help: ...
    """
    name = os.path.basename(path)
    if not name.isprintable() or re.search(r'["\\]|\?\?', name):  # it stands in an #include and in comments
        raise DataError(
            f"[export] expected a file name without quotes, backslashes, ?? and control characters. Received: {path!r}."
        )
    if os.path.splitext(path)[1] != suffix or not os.path.basename(path)[: -len(suffix)]:
        raise DataError(
            f"[export] expected a file name that ends in {suffix} for {kind}. Received: {path!r}. "
            f"help: for instance model{suffix}."
        )


def identifier(path: str) -> str:
    """Return a C identifier made of a file's name.

    Examples
    --------
    >>> identifier("out/my-net.c"), identifier("3d.c"), identifier("double.c")
    ('my_net', 'net_3d', 'net_double')
    """
    stem = re.sub(r"[^A-Za-z0-9_]", "_", os.path.splitext(os.path.basename(path))[0])
    return f"net_{stem}" if not re.match(r"[A-Za-z]", stem) or stem in _RESERVED else stem
