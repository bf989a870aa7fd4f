"""The pages of the course as notebooks: text and code in turns, links among them, pictures inside, folded answers."""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import re
from pathlib import Path
from typing import Any

import course_code

__all__ = ["notebook", "stems"]

LINE = re.compile(r"^\{\{ (\w+)(?:: (.*?))? \}\}$", re.MULTILINE)
FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
FOLDED = re.compile(r'^( *)\?\?\? \w+ "(.*?)"\n((?:\1    .*\n?|\n)+)', re.MULTILINE)
ASSET = re.compile(r"!\[(.*?)\]\((?:\.\./)+assets/(.*?\.svg)\)")
PAGE = re.compile(r"\[([^\[\]]+)\]\(([\w/.-]+?)\.md(#[\w-]+)?\)")
NEEDS = {"en": "Needs", "es": "Necesita"}
MORE = {"tasks": ("pandas", "onnx", "onnxruntime")}  # what the pages of a folder need besides


def stems(docs: Path) -> list[str]:
    """Return the pages of the course that have code."""
    pages = sorted((docs / "en").rglob("*.md"))
    names = [page.relative_to(docs / "en").with_suffix("").as_posix() for page in pages]
    return [name for name in names if (docs / "code" / f"{name}.py").exists() and name != "index"]


def notebook(docs: Path, stem: str, language: str) -> str:
    """Return the notebook of a page, as JSON (nbformat 4.5)."""
    text = FRONT.sub("", (docs / language / f"{stem}.md").read_text(encoding="utf-8"))
    found = course_code.cells(course_code.source(docs / "code" / f"{stem}.py", language))
    text = PAGE.sub(lambda match: _beside(match, stem, set(stems(docs))), text)
    cells: list[dict[str, Any]] = []
    at, first = 0, True
    for match in LINE.finditer(text):
        _say(cells, text[at : match.start()], docs)
        at = match.end()
        word, argument = match[1], (match[2] or "").partition("|")[0].strip()
        if word == "run":
            source = found[argument].source
            if first and language != "en":
                source = f'import pynn\npynn.viz.language("{language}")\n\n{source}'
            if first:
                needed = " ".join(['pip install "pynn-dl[demo,audio]"', *MORE.get(stem.partition("/")[0], ())])
                _say(cells, f"{NEEDS[language]}: `{needed}`", docs)
            first = False
            cells.append(
                {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}
            )
        elif word == "recipe":
            _say(cells, f"`pynn run {argument}`", docs)
    _say(cells, text[at:], docs)
    for i, cell in enumerate(cells):
        cell["id"] = hashlib.sha256(f"{stem}{i}".encode()).hexdigest()[:8]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _say(cells: list[dict[str, Any]], text: str, docs: Path) -> None:
    text = FOLDED.sub(_unfolding, text)
    text = ASSET.sub(lambda match: _inside(match, docs), text).strip()
    if text and cells and cells[-1]["cell_type"] == "markdown":
        cells[-1]["source"] += f"\n\n{text}"
    elif text:
        cells.append({"cell_type": "markdown", "metadata": {}, "source": text})


def _beside(match: re.Match[str], stem: str, known: set[str]) -> str:
    """Return a link to the notebook of a page; the words alone where a page has none."""
    place = posixpath.normpath(posixpath.join(posixpath.dirname(stem), match[2]))
    return f"[{match[1]}]({match[2]}.ipynb)" if place in known else match[1]


def _unfolding(match: re.Match[str]) -> str:
    lines = [line.removeprefix(match[1] + "    ") for line in match[3].rstrip("\n").split("\n")]
    inside = "\n".join(f"{match[1]}{line}".rstrip() for line in lines)
    return f"{match[1]}<details><summary>{match[2]}</summary>\n\n{inside}\n\n{match[1]}</details>\n\n"


def _inside(match: re.Match[str], docs: Path) -> str:
    data = base64.b64encode((docs / "assets" / match[2]).read_bytes()).decode()
    return f"![{match[1]}](data:image/svg+xml;base64,{data})"
