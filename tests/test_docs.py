"""The documentation: its code runs, and what it names exists; tests/test_translation.py compares its languages."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from pynn import recipes, viz
from pynn.core import card
from pynn.io import registry

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted((DOCS / "code").rglob("*.py"))
LINE = re.compile(r"^\{\{ (\w+)(?:: (.*?))? \}\}$", re.MULTILINE)
LANGUAGES = ("en", "es")
SPREAD = 0.002
# page: what it needs besides what all need
NEEDED = {
    "tables": ["pandas"],
    "missing-values": ["pandas"],
    "large-data": ["pandas"],
    "deploy": ["onnx", "onnxruntime"],
}
NUMBERS = re.compile(r"\d[\d.,]*")


def _course_code():
    """Return docs/hooks/course_code.py, which is no package of its own."""
    path = DOCS / "hooks" / "course_code.py"
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # for what lies beside it
    spec = importlib.util.spec_from_file_location("course_code", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["course_code"] = module
    spec.loader.exec_module(module)
    return module


course_code = _course_code()


COLUMN = 88  # letters of code that a page shows beside its navigation on 1,300 pixels


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DOCS / "code").with_suffix("")))
def test_code_fits_the_column(path):
    assert [line for line in path.read_text(encoding="utf-8").splitlines() if len(line) > COLUMN] == []


# Comments that are the same in both languages.
SAME = {"# AND", "# OR", "# [N, 8, 8, 1]: NHWC"}


@pytest.mark.parametrize(
    "path",
    [path for path in PAGES if (DOCS / "es" / path.relative_to(DOCS / "code").with_suffix(".md")).exists()],
    ids=lambda path: str(path.relative_to(DOCS / "code").with_suffix("")),
)
def test_the_code_of_the_course_speaks_spanish_too(path):
    """The build of the site runs it; here: whatever is to be exchanged is there, and no comment stays in English."""
    spanish = sys.modules["spanish"]
    said = course_code.source(path, "es")
    assert list(course_code.cells(said)) == list(course_code.cells(path.read_text(encoding="utf-8")))
    compile(said, str(path), "exec")
    english = set(spanish.comments(path.read_text(encoding="utf-8")))
    assert english & set(spanish.comments(said)) <= SAME
    assert [line for line in said.splitlines() if len(line) > COLUMN + 12] == []


def lines(path):
    """Return the lines in braces of a page as (word, argument)."""
    return LINE.findall(path.read_text(encoding="utf-8"))


def names(path, word):
    """Return what the lines of one word name, without descriptions."""
    return [argument.partition("|")[0].strip() for found, argument in lines(path) if found == word]


def markdown():
    """Return all pages."""
    return sorted(DOCS.rglob("*.md"))


@pytest.fixture
def _tables_restored():
    """Take back what the guide's pages register."""
    tables = (card.COMPOSITES, recipes.registry._RECIPES._makers, registry._custom)
    before = [dict(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        own = {name: item for name, item in table.items() if getattr(item, "__module__", "").startswith("pynn.")}
        table.clear()
        table.update(own | content)  # a module of pynn's may have been imported for the first time


def code(page):
    """Return where the code of a page lies: at the place of the page below the folder of its language, if any."""
    parts = page.relative_to(DOCS).with_suffix(".py").parts
    return (DOCS / "code").joinpath(*(parts[1:] if parts[0] in LANGUAGES else parts))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DOCS / "code").with_suffix("")))
@pytest.mark.usefixtures("_tables_restored")
def test_the_code_of_a_page_runs_and_is_shown(path, tmp_path, monkeypatch):
    for needed in ("matplotlib", "sklearn", *NEEDED.get(path.stem, ())):
        pytest.importorskip(needed)
    if path.stem == "deploy" and shutil.which("cc") is None:
        pytest.skip("no C compiler")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    found = course_code.run(path, tmp_path)
    pages = [page for page in markdown() if code(page) == path and "run" in [word for word, _ in lines(page)]]
    assert pages, "no page shows this code"
    for page in pages:
        assert names(page, "run") == list(found), f"{page}: the cells, in their order"
        for word, argument in lines(page):
            if word == "run":
                name, _, alt = (part.strip() for part in argument.partition("|"))
                assert bool(found[name].figures) == bool(alt), f"{page}, {name}: a figure and its description"


def test_every_task_is_a_program_that_runs():
    folder = DOCS / "en" / "tasks"
    pages = sorted(page for page in folder.glob("*.md") if page.stem != "index")
    assert len(pages) >= 16
    listed = (folder / "index.md").read_text(encoding="utf-8")
    for page in pages:
        assert DOCS / "code/tasks" / f"{page.stem}.py" in PAGES, f"{page}: no docs/code/tasks/{page.stem}.py"
        assert names(page, "run"), f"{page} shows no code"
        assert f"({page.name})" in listed, f"{page} is not in tasks/index.md"


def _index(language):
    """Return the rows of the index by concept: (pages that it leads to, what runs or is called)."""
    text = (DOCS / language / "concepts.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ") and "](" in line]
    return [(re.findall(r"\]\(([\w/-]+)\.md", row[1]), re.findall(r"`(.*?)`", row[2])) for row in rows]


def test_the_index_leads_to_the_same_places_in_both_languages():
    english, spanish = map(_index, LANGUAGES)
    assert english == spanish
    assert len(english) > 90
    known = {recipe.name for recipe in recipes.known()}
    named = [name for _, names in english for name in names]
    assert {name.removeprefix("pynn run ") for name in named if name.startswith("pynn run ")} <= known
    for name in named:  # nn.Dense, pynn.grad, ops.softmax
        room, _, last = name.removeprefix("pynn.").rpartition(".")
        if re.fullmatch(r"(pynn\.)?[a-z_]+\.\w+|pynn\.\w+", name) and room not in ("model", "tensor", "history"):
            assert hasattr(importlib.import_module(f"pynn.{room}".rstrip(".")), last), name


CHAPTERS = [
    path.relative_to(DOCS / "code").with_suffix(".md")
    for path in PAGES
    if (DOCS / "en" / path.relative_to(DOCS / "code").with_suffix(".md")).exists()
    if path.parent.name != "tasks" and path != DOCS / "code" / "index.py"
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", CHAPTERS, ids=str)
def test_a_chapter_has_exercises_with_folded_answers(page, language):
    head, answer = {"en": ("Exercises", "Answer"), "es": ("Ejercicios", "Respuesta")}[language]
    text = (DOCS / language / page).read_text(encoding="utf-8")
    exercises = text.partition(f"\n## {head}\n")[2].partition("\n## ")[0]
    numbers = [int(number) for number in re.findall(r"(?m)^(\d+)\. ", exercises)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 3 <= len(numbers) <= 6
    assert len(re.findall(rf'(?m)^    \?\?\? note "{answer}"\n        \S', exercises)) == len(numbers)


@pytest.mark.parametrize("page", [*CHAPTERS, Path("classic.md")], ids=str)
def test_a_chapter_ends_with_further_reading(page):
    found = []
    for language, head in (("en", "Further reading"), ("es", "Para leer más")):
        text = (DOCS / language / page).read_text(encoding="utf-8").partition(f"\n## {head}\n")[2]
        assert "\n## " not in text
        found.append(re.findall(r"(?s)\*([^*]+)\*", " ".join(text.split())) + re.findall(r"\((\d{4})\)", text))
    assert found[0] == found[1]
    assert len(found[0]) >= 2  # a title and a year at least


def test_pictures_of_recipes_are_drawn_small_and_in_the_language(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    drawn = importlib.import_module("drawn")  # docs/hooks/drawn.py
    assert set(drawn.ALL) <= {recipe.name for recipe in recipes.known()}
    assert len(set(drawn.ALL)) == len(drawn.ALL)
    before = viz.language()
    try:
        english, spanish = (drawn.draw("outliers", language) for language in LANGUAGES)
        digits = drawn.draw("mnist-softmax", "en")
    finally:
        viz.language(before)
    assert list(english) == list(spanish) == ["outliers.png", "collinear.png"]
    assert all(english[name] != spanish[name] for name in english)
    assert "confusion.png" in digits
    for content in [*english.values(), *spanish.values(), *digits.values()]:
        assert content.startswith(b"\x89PNG")
        assert len(content) < 100_000


def test_pictures_of_long_recipes_come_from_their_results(monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    drawn, recorded = importlib.import_module("drawn"), importlib.import_module("recorded")
    before = viz.language()
    try:
        for name in recorded.PICTURES:
            english, spanish = (drawn.draw(name, language) for language in LANGUAGES)
            assert list(english) == list(spanish) == list(recorded.PICTURES[name])
            for file, content in english.items():
                assert content.startswith(b"\x89PNG")
                assert 2_000 < len(content) < 60_000
                assert spanish[file] != content, (name, file)
    finally:
        viz.language(before)
    for name, write in recorded.WRITTEN.items():
        result = json.loads((DOCS / "results" / f"{name}.json").read_text(encoding="utf-8"))
        assert 3 < len(write(result["details"]).split("\n")) < 20


def test_recipes_named_in_the_docs_exist():
    known = {recipe.name for recipe in recipes.known()}
    named = {name for page in markdown() for name in names(page, "recipe")}
    assert named <= known
    assert len(named) > 15


@pytest.mark.parametrize("path", sorted((DOCS / "results").glob("*.json")), ids=lambda path: path.stem)
def test_recorded_results_are_as_good_as_expected(path):
    result = json.loads(path.read_text(encoding="utf-8"))
    recipe = recipes.find(path.stem)
    assert result["recipe"] == recipe.name
    assert result["epochs"] == recipe.epochs
    # The page shows both figures. What several seeds reach is not what each does: shares may miss by their spread.
    value, spread = result["test"][recipe.measure.key], SPREAD if recipe.measure.unit == "%" else 0.0
    assert recipe.measure.reached(value + spread, recipe.expected)


def test_nothing_else_is_translated_than_what_recipes_say():
    """What is missing is shown in English; the building of the site lists it."""
    from pynn.recipes.spanish import TRANSLATED as translated

    own = [recipe for recipe in recipes.known() if recipe.play.__module__.startswith("pynn.recipes.")]
    assert translated["shows"].keys() <= {recipe.name for recipe in own}
    assert translated["measure"].keys() <= {recipe.measure.name for recipe in own}
    assert translated["data"].keys() <= {recipe.data for recipe in own}
    assert len(translated["shows"]) >= 34
    for kind, texts in translated.items():
        for key, text in texts.items():
            assert text.strip(), (kind, key)
            if kind == "shows":
                assert text != recipes.find(key).shows
                # The same figures in both languages, so that a change of one is not forgotten in the other.
                assert sorted(NUMBERS.findall(text)) == sorted(NUMBERS.findall(recipes.find(key).shows)), key


def test_further_figures_are_found_in_the_results():
    more = json.loads((DOCS / "hooks" / "figures.json").read_text(encoding="utf-8"))
    assert more.keys() <= {recipe.name for recipe in recipes.known()}
    for name, figures in more.items():
        path = DOCS / "results" / f"{name}.json"
        if not path.exists():
            continue
        for figure in figures:
            value = json.loads(path.read_text(encoding="utf-8"))
            for key in figure["at"]:
                value = value[key]
            assert isinstance(value, (int, float)), (name, figure)
            assert figure["unit"] in ("%", "", "count")
            assert figure["en"]
            assert figure["es"]


def test_every_line_in_braces_is_understood():
    for page in markdown():
        assert {word for word, _ in lines(page)} <= {
            "run",
            "recipe",
            "sides",
            "gallery",
            "figures",
            "recipes",
            "ops",
            "api",
            "command",
        }, page
        loose = [line for line in page.read_text(encoding="utf-8").splitlines() if line.strip().startswith("{{")]
        assert len(loose) == len(lines(page)), f"{page}: a line in braces that is not read"


@pytest.mark.parametrize("path", markdown(), ids=lambda path: path.relative_to(DOCS).as_posix())
def test_headings_stand_apart(path):
    """A heading right below a table or a paragraph would be a row or a line of it."""
    text = re.sub(r"(?ms)\A---\n.*?^---$|^```.*?^```$", "", path.read_text(encoding="utf-8"))
    assert not re.findall(r"(?m)^(?!#).*\S.*\n#+ .*", text)


def test_no_line_of_the_changelog_stands_twice():
    changes = (DOCS.parent / "CHANGELOG.md").read_text(encoding="utf-8").partition("\n## [0.1.0]")[0]
    found = [" ".join(line.split()) for line in re.split(r"(?m)^(?:- |### .*)", changes)[1:] if line.strip()]
    assert sorted(found) == sorted(set(found))


def test_every_page_is_in_the_navigation():
    site = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    for page in markdown():
        assert re.search(rf"\s{re.escape(page.relative_to(DOCS).as_posix())}$", site, re.MULTILINE), page


def test_cells_have_names_and_places():
    found = course_code.cells("# %% one\nx = 1\n\n# %% two\n\nprint(x)\n")
    assert [(cell.name, cell.line, cell.source) for cell in found.values()] == [
        ("one", 2, "x = 1"),
        ("two", 6, "print(x)"),
    ]
    with pytest.raises(ValueError, match="above all code"):
        course_code.cells("x = 1\n# %% one\n")
    with pytest.raises(ValueError, match="two cells are called 'one'"):
        course_code.cells("# %% one\n# %% one\n")


def test_a_cell_that_fails_or_warns_is_named(tmp_path):
    page = tmp_path / "page.py"
    page.write_text("# %% fine\nx = 1\n\n# %% broken\nprint(x)\nx / 0\n", encoding="utf-8")
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(RuntimeError, match=r"cell 'broken' of .*page\.py: ZeroDivisionError") as raised:
        course_code.run(page, folder)
    assert raised.value.__cause__.__traceback__.tb_next.tb_lineno == 6  # the line of the file, not of the cell
    page.write_text("# %% warns\nimport warnings\nwarnings.warn('old')\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="UserWarning: old"):
        course_code.run(page, folder)


def test_output_and_figures_belong_to_their_cell(tmp_path):
    page = tmp_path / "page.py"
    page.write_text(
        "# %% one\nprint('seen')\n\n# %% two\nopen('b.svg', 'w').close()\n\n"
        "# %% three\nopen('notes.txt', 'w').close()\n",
        encoding="utf-8",
    )
    folder = tmp_path / "out"
    folder.mkdir()
    with_output = course_code.run(page, folder)
    assert [(cell.output, list(cell.figures)) for cell in with_output.values()] == [
        ("seen", []),
        ("", ["b.svg"]),
        ("", []),
    ]


def test_semantics_says_each_thing_once():
    lines = (DOCS / "guide/semantics.md").read_text(encoding="utf-8").splitlines()
    rows, width = [], None
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("## "):
            assert not before, line
        if not line.startswith("|"):
            width = None
            continue
        width = width or line.count("|")
        assert line.count("|") == width, line
        rows.append(line.split("|")[1].strip())
    labels = [row for row in rows if row and not row.startswith("---")]
    assert sorted(set(labels)) == sorted(labels)
