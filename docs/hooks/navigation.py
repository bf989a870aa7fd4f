"""The navigation in the language of a page: its course and tasks, tabs named in it, and a way on that stays in it."""

from __future__ import annotations

import copy
from typing import Any

__all__ = ["in_language", "keep_apart", "spoken_on"]

OF_THE_OTHER = {"es": {"Course", "Tasks"}, "en": {"Curso", "Tareas"}}  # tabs that a language does not show
TABS = {"Guide": "Guía", "Reference": "Referencia", "pynn": "pynn"}


def spoken_on(page: Any) -> str:
    """Return the language of a page; what lies in no folder of a language is English."""
    return "es" if page.file.src_uri.startswith("es/") else "en"


def in_language(nav: Any, language: str) -> Any:
    """Return the navigation without course and tasks in the other language, its tabs named in this one."""
    own = copy.copy(nav)
    kept = [item for item in nav.items if item.title not in OF_THE_OTHER[language]]
    own.items = [_named(item, language) for item in kept]
    return own


def keep_apart(page: Any) -> None:
    """Take away the ways back and on that lead into the other language; the first page goes on past it."""
    here = spoken_on(page)
    for side in ("previous_page", "next_page"):
        near = getattr(page, side)
        while near is not None and spoken_on(near) != here and page.file.src_uri == "index.md":
            near = getattr(near, side)
        if near is not None and spoken_on(near) != here:
            near = None
        setattr(page, side, near)


def _named(item: Any, language: str) -> Any:
    title = TABS.get(item.title, item.title) if language == "es" else item.title
    if title == item.title:
        return item
    item = copy.copy(item)
    item.title = title
    return item
