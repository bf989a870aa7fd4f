"""What a stored tokenizer must look like before anything is made of it."""

from __future__ import annotations

from typing import Any

from pynn.errors import DataError

__all__ = ["check_config", "unique_keys"]

HEAD = {"format": "pynn.tokenizer", "version": 1}
TYPES: dict[str, tuple[type, ...]] = {
    "level": (str,),
    "num_words": (int, type(None)),
    "lower": (bool,),
    "filters": (str,),
    "specials": (bool,),
    "start": (bool,),
    "errors": (str,),
    "words": (list,),
}


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dict; ValueError if a key stands in it twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:60]!r} twice")
        found[key] = value
    return found


def check_config(config: Any) -> dict[str, Any]:
    """Return the settings and words of a stored tokenizer, checked one by one.

    Raises
    ------
    DataError
        Naming what is missing, too much, of the wrong type, or there twice.
    """
    if not isinstance(config, dict) or config.get("format") != HEAD["format"]:
        raise _bad(f"a dict with format {HEAD['format']!r}", f"{str(config)[:60]!r}")
    if type(config.get("version")) is not int or config["version"] != HEAD["version"]:
        help_line = "help: a newer pynn wrote it." if isinstance(config.get("version"), int) else ""
        raise _bad(f"version {HEAD['version']}", f"{config.get('version')!r}", help_line)
    expected = {*HEAD, *TYPES}
    if set(config) != expected:
        lacking, strange = sorted(expected - set(config)), sorted(map(str, set(config) - expected))
        raise _bad(f"the keys {', '.join(sorted(expected))}", f"without {lacking}, and with {strange}")
    for key, kinds in TYPES.items():
        if type(config[key]) not in kinds:  # not isinstance: true is no number
            names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise _bad(f"{key} to be {names}", f"{str(config[key])[:60]!r}")
    _check_words(config["words"], config["level"])
    return {key: config[key] for key in TYPES}


def _check_words(words: list[Any], level: str) -> None:
    seen: dict[str, int] = {}
    for i, word in enumerate(words):
        if not isinstance(word, str) or not word or (level == "char" and len(word) != 1):
            unit = "one character" if level == "char" else "a string"
            raise _bad(f"words[{i}] to be {unit}", f"{str(word)[:60]!r}")
        if word in seen:
            raise _bad("each word once", f"{word[:60]!r} as words[{seen[word]}] and words[{i}]")
        seen[word] = i


def _bad(expected: str, received: str, remedy: str = "") -> DataError:
    return DataError(f"[tokenizer] expected {expected}. Received: {received}. {remedy}".rstrip())
