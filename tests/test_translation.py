"""The pages in both languages: the same ones, of the same parts; the guide's with the same code, names and numbers.

What one of two pages says anew and the other does not is found by these.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections import Counter
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
LINE = re.compile(r"^\{\{ (\w+)(?:: (.*?))? \}\}$", re.MULTILINE)
FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADINGS = re.compile(r"^#+(?= )", re.MULTILINE)
FORMULAS = re.compile(r"\$\$(.*?)\$\$", re.DOTALL)
CODE = re.compile(r"``.+?``|`[^`\n]+`")
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]+)?\)")
NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")
ROWS = re.compile(r"^\|.*\|$", re.MULTILINE)


def pages(language):
    """Return name -> page of a language; the guide in English lies in docs/guide, the rest in docs/en."""
    found = {path.relative_to(DOCS / language).as_posix(): path for path in (DOCS / language).rglob("*.md")}
    if language == "en":
        found |= {path.relative_to(DOCS).as_posix(): path for path in (DOCS / "guide").glob("*.md")}
    return found


ENGLISH, SPANISH = pages("en"), pages("es")
GUIDE = sorted(name for name in ENGLISH if name.startswith("guide/"))


def both(name):
    """Return the texts of a page in English and in Spanish."""
    return ENGLISH[name].read_text(encoding="utf-8"), SPANISH[name].read_text(encoding="utf-8")


def told(text, word):
    """Return what the lines in braces of one word name, without descriptions."""
    return [argument.partition("|")[0].strip() for found, argument in LINE.findall(text) if found == word]


def test_both_languages_have_the_same_pages():
    assert ENGLISH.keys() == SPANISH.keys()
    assert len(ENGLISH) > 75
    assert len(GUIDE) >= 20


@pytest.mark.parametrize("name", sorted(ENGLISH))
def test_a_page_has_the_same_parts_in_both_languages(name):
    one, other = both(name)
    for word in ("run", "recipe", "recipes", "sides", "gallery"):
        assert told(one, word) == told(other, word)
    one, other = (FENCE.sub("", text) for text in (one, other))
    assert HEADINGS.findall(one) == HEADINGS.findall(other)
    assert len(FORMULAS.findall(one)) == len(FORMULAS.findall(other))
    assert [row.count("|") for row in ROWS.findall(one)] == [row.count("|") for row in ROWS.findall(other)]


def without_comments(kind, text):
    """Return what a block of code does, line by line; of Python without comments, of others without what follows #."""
    if kind != "python":
        return [re.split(r"\s+(?:#|//) ", line)[0] for line in text.splitlines()]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.string for token in tokens if token.type not in (tokenize.COMMENT, tokenize.NL)]


@pytest.mark.parametrize("name", GUIDE)
def test_a_page_of_the_guide_has_the_same_code_in_both_languages(name):
    """Blocks with a title are files of the library, comments and all; of others the comments are translated."""
    english, spanish = (FENCE.findall(text) for text in both(name))
    assert [kind for kind, _ in english] == [kind.replace(": debajo de `", ": below `") for kind, _ in spanish]
    for (kind, one), (_, other) in zip(english, spanish, strict=True):
        if "title=" in kind:
            assert one == other
        elif kind == "text":  # commands, or a picture, beside what is said of them
            said = [[re.split(r"\s{2,}", line)[0] for line in text.splitlines()] for text in (one, other)]
            assert said[0] == said[1]
        else:
            assert without_comments(kind, one) == without_comments(kind, other)


@pytest.mark.parametrize("name", GUIDE)
def test_a_page_of_the_guide_has_the_same_names_and_numbers_in_both_languages(name):
    one, other = (FENCE.sub("", text) for text in both(name))
    english, spanish = (Counter(CODE.findall(text)) for text in (one, other))
    assert (english - spanish, spanish - english) == (Counter(), Counter())
    english, spanish = (Counter(NUMBERS.findall(CODE.sub("", LINK.sub("]", text)))) for text in (one, other))
    assert (english - spanish, spanish - english) == (Counter(), Counter())


@pytest.mark.parametrize("name", GUIDE)
def test_a_page_of_the_guide_leads_to_the_same_places_in_both_languages(name):
    def places(text, page):
        """Return where links lead: pages by their name in any language, other places as they stand."""
        known = {path: key for paths in (ENGLISH, SPANISH) for key, path in paths.items()}
        found = [address for address, _ in LINK.findall(text)]
        paths = [(page.parent / address).resolve() for address in found]
        return Counter(known.get(path, str(path)) for path in paths if path.suffix == ".md")

    english, spanish = (places(text, paths[name]) for text, paths in zip(both(name), (ENGLISH, SPANISH), strict=True))
    assert english == spanish
    assert not [place for place in english if not place.startswith("/") and place not in ENGLISH]


def test_spanish_pages_lead_to_spanish_ones():
    """A page in Spanish leads to one in English where there is none in Spanish alone: to the reference."""
    english = {path.resolve() for path in ENGLISH.values()}
    for name, page in SPANISH.items():
        found = [(page.parent / address).resolve() for address, _ in LINK.findall(page.read_text(encoding="utf-8"))]
        assert not english.intersection(found), name
