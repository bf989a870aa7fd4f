"""The language of pictures and reports: English, or Spanish by PYNN_LANG=es, --lang es, ``pynn.viz.language("es")``.

Whoever draws or prints writes English; what the catalogue knows is exchanged where it comes out (:func:`said`).
"""

from __future__ import annotations

import functools
import os
import re

__all__ = ["LANGUAGES", "language", "said"]

LANGUAGES = ("en", "es")
_chosen: list[str] = []


def language(name: str | None = None) -> str:
    """Return the language of pictures, traces, summaries and reports of recipes, after setting it if `name` is given.

    Parameters
    ----------
    name : {"en", "es"}, optional
        English or Spanish. Default: what is set is kept; at first what PYNN_LANG begins with, else "en".

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If `name` is neither.

    Examples
    --------
    >>> before = language()
    >>> language("es"), said("epoch"), said("class 3"), said("what is not known stays")
    ('es', 'época', 'clase 3', 'what is not known stays')
    >>> language(before) == before
    True
    """
    if name is not None:
        if name not in LANGUAGES:
            raise ValueError(f"[language] expected one of {', '.join(LANGUAGES)}. Received: {name!r}.")
        _chosen[:] = [name]
    if not _chosen:
        given = os.environ.get("PYNN_LANG", "en")[:2].lower()
        _chosen[:] = [given if given in LANGUAGES else "en"]
    return _chosen[0]


def said(text: str) -> str:
    """Return a text in the language that is set; one that its catalogue does not know is returned as it is."""
    if language() == "en" or not text:
        return text
    exact, patterns = _catalogue()
    if text in exact:
        return exact[text]
    for pattern, template in patterns:
        if match := pattern.fullmatch(text):
            return template.format(*(said(part) for part in match.groups()))
    return text


@functools.cache
def _catalogue() -> tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]:
    """Return the texts, and those with places to fill, ``{}``, as patterns."""
    from pynn.spanish import TEXTS

    exact = {text: other for text, other in TEXTS.items() if "{" not in text}
    patterns = [
        (re.compile(r"(.+?)".join(re.escape(part) for part in re.split(r"\{\d?\}", text)), re.DOTALL), other)
        for text, other in sorted(TEXTS.items(), key=lambda item: -len(item[0]))  # what says most is tried first
        if "{" in text
    ]
    return exact, patterns
