"""The pages of the course as notebooks: whole, and each of them runs; PYNN_NOTEBOOKS=all runs all in both languages."""

from __future__ import annotations

import importlib.util
import json
import os
import posixpath
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
sys.path.append(str(DOCS / "hooks"))
spec = importlib.util.spec_from_file_location("notebooks", DOCS / "hooks" / "notebooks.py")
notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebooks)

LANGUAGES = ("en", "es")
STEMS = notebooks.stems(DOCS)
FEW = ("backpropagation", "graph")
# In Spanish all: what they run in English, tests/test_docs.py runs too.
RUN = [
    (stem, language)
    for stem in STEMS
    for language in LANGUAGES
    if language == "es" or stem in FEW or os.environ.get("PYNN_NOTEBOOKS") == "all"
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("stem", STEMS)
def test_a_notebook_holds_the_whole_page(stem, language):
    made = json.loads(notebooks.notebook(DOCS, stem, language))
    kinds = [cell["cell_type"] for cell in made["cells"]]
    assert kinds[0] == "markdown"
    page = (DOCS / language / f"{stem}.md").read_text(encoding="utf-8")
    assert kinds.count("code") == len(re.findall(r"^\{\{ run: ", page, re.MULTILINE))
    text = "\n".join(cell["source"] for cell in made["cells"] if cell["cell_type"] == "markdown")
    for left in ("{{", "??? ", ".md", "../assets"):
        assert left not in text, left
    for link in re.findall(r"\]\(([^)]+)\.ipynb", text):  # leads to a notebook that there is
        assert posixpath.normpath(f"{posixpath.dirname(stem)}/{link}".lstrip("/")) in STEMS, link
    assert len({cell["id"] for cell in made["cells"]}) == len(kinds)


def test_notebooks_are_valid():
    nbformat = pytest.importorskip("nbformat")
    for language in LANGUAGES:
        for stem in STEMS:
            nbformat.validate(nbformat.reads(notebooks.notebook(DOCS, stem, language), as_version=4))


@pytest.mark.parametrize(("stem", "language"), RUN)
def test_a_notebook_runs(stem, language, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    made = nbformat.reads(notebooks.notebook(DOCS, stem, language), as_version=4)
    nbclient.NotebookClient(made, timeout=280, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [out for cell in made.cells if cell.cell_type == "code" for out in cell.outputs]
    assert outputs
    if stem == "graph":  # figures appear by themselves
        assert any("image/svg+xml" in out.get("data", {}) for out in outputs)
    if stem == "backpropagation":
        said = {"en": "the four equations of backpropagation", "es": "las cuatro ecuaciones de la retropropagación"}
        assert any(said[language] in out.get("text", "") for out in outputs)
