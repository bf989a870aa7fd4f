"""The navigation in the language of a page: what is in it, tabs named in it, and a way on that stays in it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

__all__ = ["in_language", "keep_apart", "spoken_on", "twin"]

# Tabs that a language does not show.
OF_THE_OTHER = {"es": {"Course", "Tasks", "Guide"}, "en": {"Curso", "Tareas", "Guía"}}
TABS = {"Reference": "Referencia", "pynn": "pynn"}


def spoken_on(page: Any) -> str:
    """Return the language of a page; what lies in no folder of a language is English."""
    return "es" if page.file.src_uri.startswith("es/") else "en"


def twin(uri: str, docs: Path) -> str | None:
    """Return the same page in the other language, if there is one; the first page speaks both.

    The guide in English lies in docs/guide, as what speaks of it has it, all else in docs/en.
    """
    language, _, stem = uri.partition("/")
    if not stem:
        return None
    names = [f"en/{stem}", stem] if language == "es" else [f"es/{stem if language == 'en' else uri}"]
    return next((name for name in names if (docs / f"{name}.md").exists()), None)


def in_language(nav: Any, language: str) -> Any:
    """Return the navigation without what is in the other language, its tabs named in this one."""
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
