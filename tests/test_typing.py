"""What type checkers say of programs that use pynn: slips are found, and what the documentation shows is accepted.

The programs are those of tests/typing, where ``# error: text | other text`` ends a line of which a complaint must
mention one of these; one that imports every public name; and, for mypy alone, those of README.md and docs, as they
import much else, which takes pyright a while.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from building import ROOT
from public_names import MODULES

import pynn

SNIPPETS = sorted((Path(__file__).parent / "typing").glob("*.py"))
MARK = "# error: "
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PARTS = {"docs/guide/add-op.md", "docs/es/guide/add-op.md"}  # their blocks are parts of files of the library


def programs(docs=True):
    """Return name -> text of everything that is checked, the programs of docs too or not."""
    found = {path.stem: path.read_text(encoding="utf-8") for path in SNIPPETS}
    if docs and (ROOT / "docs").is_dir():
        folders = [ROOT / "docs" / name for name in ("code", "code/guide", "code/tasks", "scripts")]
        for path in [path for folder in folders for path in folder.glob("*.py")]:
            found[f"docs_{path.parent.name}_{path.stem}"] = path.read_text(encoding="utf-8")
        for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
            name = path.relative_to(ROOT).as_posix()
            if name not in PARTS:
                for i, block in enumerate(BLOCK.findall(path.read_text(encoding="utf-8"))):
                    found[f"{name.removesuffix('.md')}_{i}"] = block
    names = [(module, name) for module in MODULES for name in importlib.import_module(module).__all__]
    found["names"] = "".join(
        f"from {module} import {name} as {module.replace('.', '_')}_{name}\n" for module, name in names
    )
    return {re.sub(r"\W", "_", name): text for name, text in found.items()}


def expected(text):
    """Return line -> what a complaint must mention."""
    lines = enumerate(text.splitlines(), start=1)
    return {i: line.partition(MARK)[2].split(" | ") for i, line in lines if MARK in line}


def run_mypy(folder):
    """Return (program, line, complaint) of each."""
    home = Path(pynn.__file__).parents[1]
    installed = any(Path(path).name == "site-packages" for path in (home, *home.parents))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mypy", "--config-file=", "--check-untyped-defs", "--no-implicit-reexport",
         "--follow-imports=silent", "--ignore-missing-imports", "--no-error-summary", "--hide-error-context",
         f"--cache-dir={folder}/cache", "."],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "MYPYPATH": "" if installed else str(home)},
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    matches = re.finditer(r"^(\w+)\.py:(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    return [(m[1], int(m[2]), m[3]) for m in matches]


def run_pyright(folder):
    """Return (program, line, complaint) of each."""
    env = {**os.environ, "PYTHONPATH": str(Path(pynn.__file__).parents[1]), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    command = [sys.executable, "-P", "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)
    try:
        found = json.loads(done.stdout)["generalDiagnostics"]
    except ValueError:
        pytest.skip(f"pyright does not start here: {(done.stderr or done.stdout)[-300:]}")
    return [
        (Path(one["file"]).stem, one["range"]["start"]["line"] + 1, one["message"])
        for one in found
        if one["severity"] == "error"
    ]


@pytest.fixture(scope="module", params=["mypy", "pyright"])
def complaints(request, tmp_path_factory):
    """What a type checker says of all programs."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed: pip install '.[dev]'")
    folder = tmp_path_factory.mktemp(request.param)
    for name, text in programs(docs=request.param == "mypy").items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return {"mypy": run_mypy, "pyright": run_pyright}[request.param](folder)


def test_slips_are_found(complaints):
    missed, count = [], 0
    for path in SNIPPETS:
        text = path.read_text(encoding="utf-8")
        for line, wanted in expected(text).items():
            said = [c for name, at, c in complaints if (name, at) == (path.stem, line)]
            count += 1
            if not any(word in c for c in said for word in wanted):
                missed.append(f"{path.name}:{line}: {text.splitlines()[line - 1]} -> {said}")
    assert not missed, "\n".join(missed)
    assert count > 70


def test_what_is_right_raises_no_complaint(complaints):
    known = {(name, line) for name, text in programs().items() for line in expected(text)}
    assert [c for c in complaints if c[:2] not in known] == []


def test_every_kind_of_program_is_checked():
    found = programs()
    assert len(SNIPPETS) == 3
    assert len(found["names"].splitlines()) > 300
    if (ROOT / "docs").is_dir():
        assert len(found) > 30
        assert "README_0" in found
