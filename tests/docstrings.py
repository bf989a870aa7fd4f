"""Docstrings in numpydoc's form, taken apart for tests that compare them with signatures."""

import ast
import inspect
import re
from dataclasses import dataclass

ENTRY = re.compile(r"^(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: : (?P<kind>.*))?$")
DEFAULT = re.compile(r",? ?(?:default (?P<value>.+)|optional)$")
SIMPLE = {"bool": "bool", "int": ("int", "{"), "float": ("float", "int or inf"), "str": ("str", "{")}
LITERAL = (bool, int, float, str, tuple, list, dict)


@dataclass
class Entry:
    """A parameter of a docstring: its names (more than one is a fault), what it is, and its text."""

    names: list[str]
    kind: str
    text: list[str]


def sections(text):
    """Return heading -> lines of a docstring; "" is what stands above all headings."""
    lines = inspect.cleandoc(text or "").splitlines()
    found, name = {"": []}, ""
    for i, line in enumerate(lines):
        if i + 1 < len(lines) and re.fullmatch("-{3,}", lines[i + 1]) and line and not line.startswith(" "):
            found[name := line] = []
        elif not (re.fullmatch("-{3,}", line) and i and lines[i - 1] == name):
            found[name].append(line)
    return found


def entries(lines):
    """Return the entries of a section of parameters."""
    found = []
    for line in lines:
        if line and not line.startswith(" "):
            match = ENTRY.match(line)
            names, kind = (match["names"].split(", "), match["kind"] or "") if match else ([line], "")
            found.append(Entry(names, kind, []))
        elif found:
            found[-1].text.append(line)
    return found


def parameters(thing):
    """Return the parameters that callers see of a function, method or class."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return []
    hidden = ("self", "cls", "_", "__")
    return [p for p in signature.parameters.values() if p.name not in hidden and p.name != "args"]


def faults(thing, wanted=False):
    """Yield what a docstring says of parameters that the signature does not; `wanted`: it must have the section."""
    found = sections(thing.__doc__)
    own = parameters(thing)
    if "Parameters" not in found:
        wanted &= "Attributes" not in found  # of what pynn itself makes
        if wanted and any(p.default is not p.empty for p in own):
            yield f"no Parameters: {[p.name for p in own]}"
        return
    known = {}
    for entry in entries(found["Parameters"]):
        if len(entry.names) > 1:
            yield f"{', '.join(entry.names)} share a line"
        known |= {name.lstrip("*"): entry for name in entry.names}
    named = [p.name for p in own]
    for name in known.keys() - set(named):
        yield f"{name} is no parameter"
    for p in own:
        if p.name not in known:
            yield f"{p.name} is not documented"
        elif len(known[p.name].names) == 1:
            yield from of_parameter(p, known[p.name].kind)


def of_parameter(p, kind):
    """Yield what is said wrong of one parameter."""
    match = DEFAULT.search(kind)
    if not (kind[: match.start()] if match else kind).strip():
        yield f"{p.name} has no type"
    if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
        return
    if p.default is p.empty:
        if match:
            yield f"{p.name} has no default, but the text says {match[0]!r}"
    elif isinstance(p.default, type):  # a dtype
        if not match or match["value"] != f'"{p.default.__name__}"':
            yield f"{p.name} has the default {p.default!r}, but the text says {kind!r}"
    elif p.default is not None and not isinstance(p.default, LITERAL):  # it has no short text
        if not match:
            yield f"{p.name} has a default, but the text says {kind!r}"
    elif p.default is None:
        if not match or match["value"] not in (None, "None"):
            yield f"{p.name} is None by default, but the text says {kind!r}"
    elif not match or not match["value"]:
        yield f"{p.name} has the default {p.default!r}, but the text says {kind!r}"
    elif not same(match["value"], p.default):
        yield f"{p.name} has the default {p.default!r}, but the text says {match['value']!r}"
    simple = SIMPLE.get(str(p.annotation).removesuffix(" | None"))
    if simple and not kind.startswith(simple):
        yield f"{p.name} is annotated {p.annotation}, but the text says {kind!r}"


def same(text, value):
    """Tell whether the text of a default is that of a value."""
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    try:
        said = 2 ** int(text[3:]) if text.startswith("2**") else ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text in (repr(value), str(value), getattr(value, "__name__", ""))
    return said == value and isinstance(said, bool) == isinstance(value, bool)
