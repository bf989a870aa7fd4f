"""Docstrings are written for people who read them in Python; here their few Sphinx roles become Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

__all__ = ["Roles"]

ROLE = re.compile(r":(?:py:)?(?:class|func|meth|mod|attr|data|exc|obj):`~?\.?([^`<]+?)(?: <[^`>]+>)?`")


class Roles(griffe.Extension):
    """Turn ``:class:`Name``` and its like into code."""

    def on_object(self, *, obj: Any, **options: Any) -> None:
        """Change the docstring of everything that has one."""
        if not obj.is_alias and obj.docstring is not None:
            text = ROLE.sub(r"`\1`", obj.docstring.value)
            obj.docstring.value = text.replace("path-like", "path_like")  # a hyphen would be shown as a minus
