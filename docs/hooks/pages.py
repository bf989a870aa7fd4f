"""What the site adds to Markdown: lines ``{{ word: argument }}`` for code that was run, recipes, scripts, the API.

========================  ==============================================================================================
``{{ run: CELL | ALT }}``   a cell of docs/code/PAGE.py, what it printed, and its figures, described by ALT
``{{ recipe: NAME }}``      how a recipe is run, what it should reach, and what it reached (docs/results/NAME.json)
``{{ sides: NAME | A }}``   docs/scripts/original/NAME.py, headed A, beside docs/scripts/NAME.py
``{{ gallery }}``           a table of all recipes; ``{{ gallery: FOLDER }}`` of those that the pages of a folder name
``{{ figures }}``           the figures of the course, each with the page that it is on
``{{ recipes }}``           every recipe: what it shows, its pictures, its figure and its command
``{{ ops }}``               a table of all op cards
``{{ api: MODULE }}``       the documentation of everything in a module's ``__all__``
``{{ command }}``           the help of the command ``pynn`` and of all of its parts
========================  ==============================================================================================

A page of docs/en or docs/guide and its namesake in docs/es show the same cells; each links to the other.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import re
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

import api
import beside
import course_code
import drawn
import narrow
import navigation
import notebooks
import spanish
import told
from wording import TEXTS

DOCS = Path(__file__).resolve().parents[1]
LINE = re.compile(r"^\{\{ (\w+)(?:: (.*?))? \}\}$", re.MULTILINE)
API = re.compile(r"\{\{ api: (\S+) \}\}")
LANGUAGES = {"en": "English", "es": "Español"}
COLUMN = 88  # letters of code that fit beside the navigation on 1,300 pixels
_runs: dict[tuple[Path, str], tuple[str, dict[str, course_code.Cell]]] = {}
_pictures: dict[tuple[str, str], dict[str, bytes]] = {}  # of recipes, by name and language


def on_files(files: Any, config: Any) -> Any:
    """Run the code of every page, add its figures to the site, in Spanish too where that differs, and MathJax."""
    paths = sorted((DOCS / "code").rglob("*.py"))
    _run_all([(path, language) for path in paths for language in _spoken(path)])
    for path in paths:
        stem = path.relative_to(DOCS / "code").with_suffix("").as_posix()
        for language in _spoken(path):
            for name, content in _figures(path, language).items():
                files.append(File.generated(config, f"{told.figures(language)}/{stem}/{name}", content=content))
            if language != "en":
                text = course_code.source(path, language)
                files.append(File.generated(config, f"code/{language}/{stem}.py", content=text))
    _draw_all()
    for (name, language), pictures in _pictures.items():
        for picture, content in pictures.items():
            files.append(File.generated(config, f"{told.figures(language)}/recipes/{name}/{picture}", content=content))
    for stem in notebooks.stems(DOCS):
        for language in LANGUAGES:
            content = notebooks.notebook(DOCS, stem, language)
            files.append(File.generated(config, f"notebooks/{language}/{stem}.ipynb", content=content))
    for name, place in {"tex-svg.js": "static/mathjax/es5/tex-svg.js", "MathJax.txt": "static/mathjax/LICENSE"}.items():
        files.append(File.generated(config, f"assets/{name}", content=(_mathjax() / place).read_bytes()))
    _keep({file.src_uri: file.content_bytes for file in files if not file.src_uri.endswith(".md")})
    return files


def _keep(contents: dict[str, bytes]) -> None:
    """Write files below the folder that PYNN_PAGES names: the site as plain Markdown, for any other generator."""
    if folder := os.environ.get("PYNN_PAGES"):
        for uri, content in contents.items():
            path = Path(folder) / uri
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Replace the lines in braces, and link to the page in the other language."""
    uri = page.file.src_uri.removesuffix(".md")
    language, stem = _place(uri)
    texts = TEXTS[language]

    def replaced(match: re.Match[str]) -> str:
        word, argument = match[1], match[2] or ""
        if word not in WORDS:
            raise PluginError(f"{page.file.src_uri}: expected one of {', '.join(WORDS)}. Received: {match[0]}")
        try:
            return WORDS[word](argument, uri, texts)
        except (KeyError, ValueError, OSError) as error:
            raise PluginError(f"{page.file.src_uri}: {match[0]}: {type(error).__name__}: {error}") from error

    shown = any(match[1] == "run" for match in LINE.finditer(markdown))
    markdown = LINE.sub(replaced, markdown)
    up = "../" * uri.count("/")
    if twin := navigation.twin(uri, DOCS):
        other = next(name for name in LANGUAGES if name != language)
        title, _, rest = markdown.partition("\n")
        markdown = f"{title}\n\n[{texts['other']}]({up}{twin}.md){{ .other lang={other} }}\n{rest}"
    if shown:
        name, spoken = stem.rpartition("/")[2], f"{language}/" if language in _spoken(_code(stem)) else ""
        markdown += f"\n\n---\n\n{texts['code']}: [{name}.py]({up}code/{spoken.removeprefix('en/')}{stem}.py)"
        noted = stem in notebooks.stems(DOCS)
        markdown += f", [{name}.ipynb]({up}notebooks/{language}/{stem}.ipynb)\n" if noted else "\n"
    _keep({page.file.src_uri: markdown.encode()})
    return markdown


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Let tables of sentences be read on small screens."""
    return narrow.with_headings(html)


def on_page_context(context: Any, page: Any, config: Any, nav: Any) -> Any:
    """Let theme and navigation speak the page's language; the way on never leads into the other one."""
    uri = page.file.src_uri.removesuffix(".md")
    language, twin = navigation.spoken_on(page), navigation.twin(uri, DOCS)
    config.theme["language"] = language
    config.extra["alternate"] = [
        {"name": name, "link": f"{(uri if code == language else twin) if twin else f'{code}/index'}.html", "lang": code}
        for code, name in LANGUAGES.items()
    ]
    context["nav"] = navigation.in_language(nav, language)
    navigation.keep_apart(page)
    return context


def on_post_build(config: Any) -> None:
    """Write the index of the search for pages that come from a folder; refuse a site that lacks a public name.

    What mkdocstrings has documented is in the inventory.
    """
    index = Path(config.site_dir) / "search" / "search_index.json"
    index.with_suffix(".js").write_text(f"var __index = {index.read_text(encoding='utf-8')}", encoding="utf-8")
    lines = (Path(config.site_dir) / "objects.inv").read_bytes().split(b"\n", 4)
    known = {line.split()[0].decode() for line in zlib.decompress(lines[4]).splitlines()}
    modules = [match for page in (DOCS / "reference").glob("*.md") for match in API.findall(page.read_text("utf-8"))]
    wanted = {api.identifier(name, thing) for module in modules for name, thing in api.listed(module)} - {None}
    if missing := sorted(wanted - known):
        raise PluginError(f"the reference lacks {', '.join(missing)}")


def _place(uri: str) -> tuple[str, str]:
    """Return the language of a page, and where its code lies below docs/code.

    What lies in no folder of a language is English.
    """
    language, _, stem = uri.partition("/")
    return (language, stem) if language in LANGUAGES else ("en", uri)


def _code(stem: str) -> Path:
    return DOCS / "code" / f"{stem}.py"


def _spoken(path: Path) -> list[str]:
    """Return the languages that the code of a page is run in."""
    return ["en"] if spanish.table(path) is None else list(LANGUAGES)


def _run_all(jobs: list[tuple[Path, str]]) -> None:
    """Run the code of pages, two at a time; `mkdocs serve`, which builds again and again, runs what has changed."""
    texts = {}
    for path, language in jobs:
        try:
            texts[path, language] = course_code.source(path, language)
        except ValueError as error:
            raise PluginError(f"{path} ({language}): {error}") from error
    left = [job for job in jobs if job not in _runs or _runs[job][0] != texts[job]]
    if not left:
        return
    with _processes() as pool:
        waiting = {job: pool.submit(course_code.run, job[0], None, job[1]) for job in left}
        for job, result in waiting.items():
            try:
                _runs[job] = texts[job], result.result()
            except (RuntimeError, SyntaxError) as error:
                raise PluginError(str(error)) from error


def _draw_all() -> None:
    """Draw the pictures of recipes in all languages, two at a time, once."""
    left = [(name, code) for name in drawn.ALL for code in LANGUAGES if (name, code) not in _pictures]
    if not left:
        return
    with _processes() as pool:
        waiting = {job: pool.submit(drawn.draw, *job) for job in left}
        _pictures.update({job: result.result() for job, result in waiting.items()})


def _processes() -> ProcessPoolExecutor:
    if str(Path(__file__).parent) not in sys.path:
        sys.path.append(str(Path(__file__).parent))  # where the processes find what lies beside this file
    return ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))


def _mathjax() -> Path:
    found = importlib.util.find_spec("mathjax")
    if found is None or found.origin is None:
        raise PluginError('formulas need the package django-static-mathjax. help: pip install "pynn-dl[docs]"')
    return Path(found.origin).parent


def _cells(path: Path, language: str = "en") -> dict[str, course_code.Cell]:
    job = path, language if language in _spoken(path) else "en"
    _run_all([job])
    return _runs[job][1]


def _figures(path: Path, language: str) -> dict[str, bytes]:
    return {name: content for cell in _cells(path, language).values() for name, content in cell.figures.items()}


def _run(argument: str, uri: str, texts: dict[str, Any]) -> str:
    name, _, alt = (part.strip() for part in argument.partition("|"))
    stem, language = _place(uri)[1], told.spoken(texts)
    path = _code(stem)
    cell = _cells(path, language)[name]
    parts = [told.fence(cell.source, "python")]
    if cell.output:
        parts.append(f"<div {_style(cell.output)} markdown>\n\n{told.fence(cell.output, 'text')}\n\n</div>")
    if cell.figures and not alt:
        raise ValueError("expected a description of the figure after '|'")
    where = "../" * uri.count("/") + f"{told.figures(language if language in _spoken(path) else 'en')}/{stem}"
    parts += [f"[![{alt}]({where}/{figure})]({where}/{figure})" for figure in cell.figures]  # opens at full size
    return "\n\n".join(parts)


def _style(output: str) -> str:
    """Return how output is set: tables that are wider than the column in smaller letters, sentences on more lines."""
    wide = [len(line) for line in output.splitlines() if len(line) > COLUMN]
    if len(wide) < 3 or max(wide) > 2 * COLUMN:
        return 'class="output"'
    return f'class="output fit" style="--columns: {max(wide)}"'


def _figures_of_all(argument: str, uri: str, texts: dict[str, Any]) -> str:
    language, parts = told.spoken(texts), []
    for page in sorted((DOCS / language).rglob("*.md")):
        stem = page.relative_to(DOCS / language).with_suffix("").as_posix()
        path = _code(stem)
        for word, argument in LINE.findall(page.read_text(encoding="utf-8")) if path.exists() else ():
            name, _, alt = (part.strip() for part in argument.partition("|"))
            where = f"../{told.figures(language if language in _spoken(path) else 'en')}/{stem}"
            figures = _cells(path, language)[name].figures if word == "run" and alt else ()
            parts += [f"[![{alt}]({where}/{figure})]({stem}.md)\n{alt}\n{{ .figure }}" for figure in figures]
    return '<div class="figures" markdown>\n\n' + "\n\n".join(parts) + "\n\n</div>"


def _ops(argument: str, uri: str, texts: dict[str, Any]) -> str:
    from pynn import ops

    ops.load_all()
    lines = ["| op | family | computes | differentiable |", "|---|---|---|---|"]
    for name, card in sorted((name, card) for name, card in ops.CARDS.items() if card.samples is not None):
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in _op_row(name, card)) + " |")
    return "\n".join(lines)


def _op_row(name: str, card: Any) -> tuple[str, ...]:
    family = card.infer.__module__.rpartition(".")[2]
    first = " ".join((card.doc or "").strip().split("\n\n")[0].split())
    return f"`{name}`", family, f"`{first}`" if first else "", "yes" if card.has_gradient else ""


def _api(argument: str, uri: str, texts: dict[str, Any]) -> str:
    parts = []
    for name, thing in api.listed(argument):
        path = api.identifier(name, thing)
        if path is None:
            parts.append(api.constant(argument, name, thing))
        else:
            parts.append(f"::: {path}\n    options:\n      heading: {name}\n      toc_label: {name}")
    if not parts:
        raise ValueError(f"{argument} has no public names")
    return "\n\n".join(parts)


def _recipes(argument: str, uri: str, texts: dict[str, Any]) -> str:
    return told.every(argument, uri, texts, _pictures)


def _command(argument: str, uri: str, texts: dict[str, Any]) -> str:
    return api.command()


WORDS: dict[str, Callable[[str, str, dict[str, Any]], str]] = {
    "run": _run, "recipe": told.recipe, "sides": beside.sides, "gallery": told.gallery, "figures": _figures_of_all,
    "recipes": _recipes,
    "ops": _ops, "api": _api, "command": _command,
}  # fmt: skip
