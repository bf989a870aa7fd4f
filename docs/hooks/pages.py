"""What the site adds to Markdown: lines ``{{ word: argument }}`` for code that was run, recipes, scripts, the API.

========================  ==============================================================================================
``{{ run: CELL | ALT }}``   a cell of docs/code/PAGE.py, what it printed, and its figures, described by ALT
``{{ recipe: NAME }}``      how a recipe is run, what it should reach, and what it reached (docs/results/NAME.json)
``{{ sides: NAME | A }}``   docs/scripts/original/NAME.py, headed A, beside docs/scripts/NAME.py
``{{ gallery }}``           a table of all recipes; ``{{ gallery: FOLDER }}`` of those that the pages of a folder name
``{{ ops }}``               a table of all op cards
``{{ api: MODULE }}``       the documentation of everything in a module's ``__all__``
``{{ command }}``           the help of the command ``pynn`` and of all of its parts
========================  ==============================================================================================

A page of docs/en and its namesake in docs/es show the same cells; each links to the other.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

import api
import course_code
from pynn import recipes
from pynn.recipes import Measure

DOCS = Path(__file__).resolve().parents[1]
LINE = re.compile(r"^\{\{ (\w+)(?:: (.*?))? \}\}$", re.MULTILINE)
API = re.compile(r"\{\{ api: (\S+) \}\}")
LANGUAGES = {"en": "English", "es": "Español"}
TEXTS = {
    "en": {
        "expected": "expected", "reached": "reached", "training": "training", "data": "data", "time": "time",
        "code": "The code of this page", "recipe": "recipe", "shows": "what it shows",
        "made": "{epochs} epochs, seed {seed}, {parameters:,} numbers learnt",
        "mean": "mean of {count} seeds, {low} to {high}",
        "took": "{seconds} s, threads: {threads}",
        "other": "Esta página en español", "measure": "measure",
    },
    "es": {
        "expected": "esperado", "reached": "alcanzado", "training": "entrenamiento", "data": "datos", "time": "tiempo",
        "code": "El código de esta página", "recipe": "receta", "shows": "qué muestra",
        "made": "{epochs} épocas, semilla {seed}, {parameters:,} números aprendidos",
        "mean": "media de {count} semillas, de {low} a {high}",
        "took": "{seconds} s, hilos: {threads}",
        "other": "This page in English", "measure": "medida",
    },
}  # fmt: skip
# What recipes say of themselves, in the languages other than theirs: by kind of text and then by name or text.
TRANSLATED = {"es": json.loads((Path(__file__).parent / "recipes_es.json").read_text(encoding="utf-8"))}
# Figures of a result that stand below the one by which the recipe is judged, with their place in its file.
MORE = json.loads((Path(__file__).parent / "figures.json").read_text(encoding="utf-8"))
_KNOWN = recipes.known()  # before a page of the guide adds one
_runs: dict[Path, tuple[str, dict[str, course_code.Cell]]] = {}


def on_files(files: Any, config: Any) -> Any:
    """Run the code of every page and add its figures to the site."""
    for path in sorted((DOCS / "code").rglob("*.py")):
        stem = path.relative_to(DOCS / "code").with_suffix("").as_posix()
        for name, content in _figures(path).items():
            files.append(File.generated(config, f"figures/{stem}/{name}", content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Replace the lines in braces, and link to the page in the other language."""
    uri = page.file.src_uri.removesuffix(".md")
    language, stem = _place(uri)
    texts = TEXTS.get(language, TEXTS["en"])

    def replaced(match: re.Match[str]) -> str:
        word, argument = match[1], match[2] or ""
        if word not in WORDS:
            raise PluginError(f"{page.file.src_uri}: expected one of {', '.join(WORDS)}. Received: {match[0]}")
        try:
            return WORDS[word](argument, uri, texts)
        except (KeyError, ValueError, OSError) as error:
            raise PluginError(f"{page.file.src_uri}: {match[0]}: {type(error).__name__}: {error}") from error

    markdown = LINE.sub(replaced, markdown)
    if language in LANGUAGES:
        other = next(name for name in LANGUAGES if name != language)
        title, _, rest = markdown.partition("\n")
        up = "../" * uri.count("/")
        markdown = f"{title}\n\n[{texts['other']}]({up}{other}/{stem}.md){{ .other lang={other} }}\n{rest}"
        if (DOCS / "code" / f"{stem}.py").exists():
            name = stem.rpartition("/")[2]
            markdown += f"\n\n---\n\n{texts['code']}: [{name}.py]({up}code/{stem}.py)\n"
    return markdown


def on_page_context(context: Any, page: Any, config: Any, nav: Any) -> Any:
    """Let the theme speak the page's language, and its language button lead to the same page in the other one."""
    language, stem = _place(page.file.src_uri.removesuffix(".md"))
    config.theme["language"] = language if language in LANGUAGES else "en"
    end = stem.removesuffix("index") if language in LANGUAGES else ""
    end += "/" if end and not end.endswith("/") else ""
    config.extra["alternate"] = [
        {"name": name, "link": f"{code}/{end}", "lang": code} for code, name in LANGUAGES.items()
    ]
    return context


def on_post_build(config: Any) -> None:
    """Refuse a site that lacks a public name: what mkdocstrings has documented is in the inventory."""
    lines = (Path(config.site_dir) / "objects.inv").read_bytes().split(b"\n", 4)
    known = {line.split()[0].decode() for line in zlib.decompress(lines[4]).splitlines()}
    modules = [match for page in (DOCS / "reference").glob("*.md") for match in API.findall(page.read_text("utf-8"))]
    wanted = {api.identifier(name, thing) for module in modules for name, thing in api.listed(module)} - {None}
    if missing := sorted(wanted - known):
        raise PluginError(f"the reference lacks {', '.join(missing)}")


def _place(uri: str) -> tuple[str, str]:
    """Return the language of a page, and where its code lies below docs/code.

    A page of a language has its code at the same place; of the others the last name alone counts.
    """
    language, _, stem = uri.partition("/")
    if language in LANGUAGES:
        return language, stem
    language, _, stem = uri.rpartition("/")
    return language, stem


def _cells(path: Path) -> dict[str, course_code.Cell]:
    text = path.read_text(encoding="utf-8")
    if path not in _runs or _runs[path][0] != text:  # `mkdocs serve` builds again and again
        with tempfile.TemporaryDirectory() as folder:
            try:
                _runs[path] = text, course_code.run(path, Path(folder))
            except (RuntimeError, SyntaxError, ValueError) as error:
                raise PluginError(str(error)) from error
    return _runs[path][1]


def _figures(path: Path) -> dict[str, bytes]:
    return {name: content for cell in _cells(path).values() for name, content in cell.figures.items()}


def _fence(text: str, language: str) -> str:
    return f"````{language}\n{text}\n````"


def _run(argument: str, uri: str, texts: dict[str, str]) -> str:
    name, _, alt = (part.strip() for part in argument.partition("|"))
    stem = _place(uri)[1]
    cell = _cells(DOCS / "code" / f"{stem}.py")[name]
    parts = [_fence(cell.source, "python")]
    if cell.output:
        parts.append(f'<div class="output" markdown>\n\n{_fence(cell.output, "text")}\n\n</div>')
    if cell.figures and not alt:
        raise ValueError("expected a description of the figure after '|'")
    where = "../" * uri.count("/") + f"figures/{stem}"
    parts += [f"[![{alt}]({where}/{figure})]({where}/{figure})" for figure in cell.figures]  # opens at full size
    return "\n\n".join(parts)


def _recipe(argument: str, uri: str, texts: dict[str, str]) -> str:
    recipe = recipes.find(argument)
    rows = [
        (texts["measure"], _said(texts, "measure", recipe.measure.name)),
        (texts["data"], _said(texts, "data", recipe.data)),
        (texts["expected"], recipe.measure.text(recipe.expected)),
    ]
    result = _result(recipe.name)
    if result is not None:
        rows += [
            (
                texts["reached"],
                f"**{recipe.measure.text(result['test'][recipe.measure.key])}**{_range(recipe, result, texts)}",
            ),
            *((figure[_language(texts)], _figure(result, figure)) for figure in MORE.get(recipe.name, ())),
            (texts["training"], texts["made"].format(**result)),
            (texts["time"], texts["took"].format(seconds=_seconds(result), **result)),
        ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    shows = _said(texts, "shows", recipe.shows, recipe.name)
    head = f"| {texts['recipe']} | `{recipe.name}` |\n|---|---|"
    return f"{shows[:1].upper()}{shows[1:]}.\n\n{_fence(f'pynn run {recipe.name}', 'sh')}\n\n{head}\n{table}"


def _range(recipe: Any, result: dict[str, Any], texts: dict[str, str]) -> str:
    """Return how far the seeds of a result lie apart; nothing for a single one."""
    if "seeds" not in result["details"]:
        return ""
    values = result["details"]["seeds"][recipe.measure.key]["all"]
    low, high = (recipe.measure.text(value) for value in (min(values), max(values)))
    return f" ({texts['mean'].format(count=len(values), low=low, high=high)})"


def _gallery(argument: str, uri: str, texts: dict[str, str]) -> str:
    names = [texts[name] for name in ("recipe", "shows", "data", "measure", "expected", "reached", "time")]
    lines = [f"| {' | '.join(names)} |", "|---|---|---|---|---:|---:|---:|"]
    shown = _named(f"{uri.split('/', maxsplit=1)[0]}/{argument}") if argument else [recipe.name for recipe in _KNOWN]
    for recipe in (recipe for recipe in _KNOWN if recipe.name in shown):
        result = _result(recipe.name)
        cells = [
            f"`{recipe.name}`",
            _said(texts, "shows", recipe.shows, recipe.name),
            _said(texts, "data", recipe.data),
            _said(texts, "measure", recipe.measure.name),
            recipe.measure.text(recipe.expected),
            "" if result is None else recipe.measure.text(result["test"][recipe.measure.key]),
            "" if result is None else f"{_seconds(result)} s",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _named(folder: str) -> list[str]:
    """Return the recipes that the pages of a folder name."""
    texts = [page.read_text(encoding="utf-8") for page in sorted((DOCS / folder).glob("*.md"))]
    return [match[2] for text in texts for match in LINE.finditer(text) if match[1] == "recipe"]


def _result(name: str) -> dict[str, Any] | None:
    """Return what ``pynn run NAME --json`` wrote for the documentation, if it did."""
    path = DOCS / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _seconds(result: dict[str, Any]) -> str:
    seconds = result["train_seconds"]
    return f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.1f}" if seconds >= 0.1 else "< 0.1"


def _said(texts: dict[str, str], kind: str, text: str, key: str = "") -> str:
    """Return what a recipe says in the language of a page; English, and a line on stderr, where that is missing."""
    language = _language(texts)
    if language not in TRANSLATED:
        return text
    found = TRANSLATED[language][kind].get(key or text)
    if found is None:
        print(f"not translated ({language}, {kind}): {text}", file=sys.stderr)
    return found or text


def _language(texts: dict[str, str]) -> str:
    return next(name for name, own in TEXTS.items() if own is texts)


def _figure(result: dict[str, Any], figure: dict[str, Any]) -> str:
    value: Any = result
    for key in figure["at"]:
        value = value[key]
    return f"{value:,}" if figure["unit"] == "count" else Measure("", "", figure["unit"]).text(value)


def _sides(argument: str, uri: str, texts: dict[str, str]) -> str:
    name, _, heading = (part.strip() for part in argument.partition("|"))
    columns = {heading: DOCS / "scripts" / "original" / f"{name}.py", "pynn": DOCS / "scripts" / f"{name}.py"}
    parts = [
        f"<div markdown>\n\n**{title}**\n\n{_fence(_code(path), 'python')}\n\n</div>" for title, path in columns.items()
    ]
    return '<div class="sides" markdown>\n\n' + "\n\n".join(parts) + "\n\n</div>"


def _code(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def _ops(argument: str, uri: str, texts: dict[str, str]) -> str:
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


def _api(argument: str, uri: str, texts: dict[str, str]) -> str:
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


def _command(argument: str, uri: str, texts: dict[str, str]) -> str:
    return api.command()


WORDS: dict[str, Callable[[str, str, dict[str, str]], str]] = {
    "run": _run, "recipe": _recipe, "sides": _sides, "gallery": _gallery, "ops": _ops, "api": _api,
    "command": _command,
}  # fmt: skip
