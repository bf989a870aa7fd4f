"""What pages say of recipes: how one is run and what it reached, a table of them, all of them with their pictures."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import drawn
import recorded
from pynn import recipes
from pynn.recipes import Measure
from pynn.recipes.spanish import TRANSLATED as recipes_in_spanish
from wording import TEXTS

__all__ = ["every", "fence", "figures", "gallery", "recipe", "spoken"]

DOCS = Path(__file__).resolve().parents[1]
RECIPE = re.compile(r"^\{\{ recipe: (.*?) \}\}$", re.MULTILINE)
# What recipes say of themselves, in the languages other than theirs: by kind of text and then by name or text.
TRANSLATED = {"es": recipes_in_spanish}
# Figures of a result that stand below the one by which the recipe is judged, with their place in its file.
MORE = json.loads((Path(__file__).parent / "figures.json").read_text(encoding="utf-8"))
_KNOWN = recipes.known()  # before a page of the guide adds one


def fence(text: str, language: str) -> str:
    """Return a block of code."""
    return f"````{language}\n{text}\n````"


def figures(language: str) -> str:
    """Return the folder of the site that figures in a language are in."""
    return "figures" if language == "en" else f"figures/{language}"


def spoken(texts: dict[str, Any]) -> str:
    """Return the language of texts."""
    return next(name for name, own in TEXTS.items() if own is texts)


def recipe(argument: str, uri: str, texts: dict[str, Any]) -> str:
    """Return how a recipe is run, what it should reach, and what it reached."""
    found = recipes.find(argument)
    rows = [
        (texts["measure"], _said(texts, "measure", found.measure.name)),
        (texts["data"], _said(texts, "data", found.data)),
        (texts["expected"], _value(found, found.expected, texts)),
    ]
    result = _result(found.name)
    if result is not None:
        rows += [
            (
                texts["reached"],
                f"**{_value(found, result['test'][found.measure.key], texts)}**{_range(found, result, texts)}",
            ),
            *((figure[spoken(texts)], _figure(result, figure)) for figure in MORE.get(found.name, ())),
            (texts["training"], texts["made"].format(passes=texts["passes"][result["epochs"] != 1], **result)),
            (texts["time"], texts["took"].format(seconds=_seconds(result), **result)),
        ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    shows = _said(texts, "shows", found.shows, found.name)
    head = f"| {texts['recipe']} | `{found.name}` |\n|---|---|"
    return f"{shows[:1].upper()}{shows[1:]}.\n\n{fence(f'pynn run {found.name}', 'sh')}\n\n{head}\n{table}"


def gallery(argument: str, uri: str, texts: dict[str, Any]) -> str:
    """Return a table of all recipes, or of those that the pages of a folder name."""
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
            _value(recipe, recipe.expected, texts),
            "" if result is None else _value(recipe, result["test"][recipe.measure.key], texts),
            "" if result is None else f"{_seconds(result)} s",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def every(argument: str, uri: str, texts: dict[str, Any], pictures: dict[tuple[str, str], dict[str, bytes]]) -> str:
    """Return every recipe: what it shows, its pictures by (name, language), its figure and its command."""
    language, parts = spoken(texts), []
    option = "" if language == "en" else f" --lang {language}"
    for one in _KNOWN:
        shows, result = _said(texts, "shows", one.shows, one.name), _result(one.name)
        where = "../" * uri.count("/") + f"{figures(language)}/recipes/{one.name}"
        drawn_here = "\n\n".join(
            f"[![{one.name}: {name}]({where}/{name})]({where}/{name})"
            for name in pictures.get((one.name, language), ())
        )
        figure = f"{texts['expected']} {_value(one, one.expected, texts)}"
        if result is not None:
            reached = _value(one, result["test"][one.measure.key], texts)
            figure = f"**{reached}**, {figure}, {_seconds(result)} s"
        measure = _said(texts, "measure", one.measure.name)
        said = f"{measure[:1].upper()}{measure[1:]}: {figure}. {_of(one, texts)}".rstrip()
        head = f"### {one.name}\n\n{shows[:1].upper()}{shows[1:]}."
        command = fence(f"pynn run {one.name} --out {texts['folder']}{option}", "sh")
        shown = f'<div class="figures" markdown>\n\n{drawn_here}\n\n</div>\n\n' if drawn_here else ""
        written = recorded.WRITTEN.get(one.name)
        if written is not None and result is not None:
            shown += f"{fence(written(result['details']), 'text')}\n\n"
        parts.append(f"{head}\n\n{shown}{said}\n\n{command}")
    return "\n\n".join(parts)


def _of(recipe: Any, texts: dict[str, Any]) -> str:
    """Return of what the pictures of a recipe are, where that has to be said."""
    if recipe.name in drawn.AS_MNIST:
        return texts["short"].format(passes=drawn.AS_MNIST[recipe.name])
    if recipe.name in drawn.SHORT:
        return texts["fewer"].format(passes=drawn.SHORT[recipe.name])
    if recipe.name in drawn.OWN:
        return ""
    if recipe.name in recorded.PICTURES or recipe.name in recorded.WRITTEN:
        return texts["recorded"]
    return texts["long"].format(data=_said(texts, "data", recipe.data))


def _value(recipe: Any, value: float, texts: dict[str, Any]) -> str:
    """Return a value of a recipe's measure with its unit in the language of texts."""
    number, _, unit = recipe.measure.text(value).partition(" ")
    return f"{number} {texts['units'].get(unit, unit)}".rstrip()


def _range(recipe: Any, result: dict[str, Any], texts: dict[str, Any]) -> str:
    """Return how far the seeds of a result lie apart; nothing for a single one."""
    if "seeds" not in result["details"]:
        return ""
    values = result["details"]["seeds"][recipe.measure.key]["all"]
    low, high = (_value(recipe, value, texts) for value in (min(values), max(values)))
    return f" ({texts['mean'].format(count=len(values), low=low, high=high)})"


def _named(folder: str) -> list[str]:
    """Return the recipes that the pages of a folder name."""
    texts = [page.read_text(encoding="utf-8") for page in sorted((DOCS / folder).glob("*.md"))]
    return [match[1] for text in texts for match in RECIPE.finditer(text)]


def _result(name: str) -> dict[str, Any] | None:
    """Return what ``pynn run NAME --json`` wrote for the documentation, if it did."""
    path = DOCS / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _seconds(result: dict[str, Any]) -> str:
    seconds = result["train_seconds"]
    return f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.1f}" if seconds >= 0.1 else "< 0.1"


def _said(texts: dict[str, Any], kind: str, text: str, key: str = "") -> str:
    """Return what a recipe says in the language of a page; English, and a line on stderr, where that is missing."""
    language = spoken(texts)
    if language not in TRANSLATED:
        return text
    found = TRANSLATED[language][kind].get(key or text)
    if found is None:
        print(f"not translated ({language}, {kind}): {text}", file=sys.stderr)
    return found or text


def _figure(result: dict[str, Any], figure: dict[str, Any]) -> str:
    value: Any = result
    for key in figure["at"]:
        value = value[key]
    return f"{value:,}" if figure["unit"] == "count" else Measure("", "", figure["unit"]).text(value)
