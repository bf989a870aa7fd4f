"""pynn's public names, found by walking it: modules' ``__all__``, public methods, examples of docstrings, op cards."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
from functools import cache
from typing import Any

import pynn
from pynn import testing
from pynn.core.card import Card

# Left out: tools for tests, which raise AssertionError; recipes, which train for minutes; what waits for a person or a
# server; what is there to change the process for good; records that pynn itself makes of its results.
LEFT_OUT = (
    "testing", "recipes.recipe", "recipes.Recipe", "recipes.Options", "recipes.Result", "recipes.Measure", "register",
    "io.register", "onnx.converter", "train.CallbackList", "train.Profile", "train.Results", "viz.GraphDrawing",
    "viz.Trace", "datasets.SpokenDigits",
)  # fmt: skip
# Of methods: the hooks of callbacks, on_..., and what pynn calls of an optimizer, an initializer, a loss and a metric.
CALLED_BY_PYNN = {
    "above", "add", "build", "config", "draw", "each", "expect", "first", "hits", "labels", "margin", "of_call",
    "one_hot", "pair", "per_class", "per_label", "positive", "program_key", "questions", "set_model", "set_params",
    "value", "whole",
}  # fmt: skip


@cache
def names() -> dict[str, Any]:
    """Return every public object by its path below pynn, classes' public methods not included."""
    found: dict[str, Any] = {}
    for name in pynn.__all__:
        thing = getattr(pynn, name)
        if inspect.ismodule(thing):
            for inner in sorted(getattr(thing, "__all__", ())):
                found[f"{name}.{inner}"] = getattr(thing, inner)
        elif not name.startswith("__"):
            found[name] = thing
    return {
        path: thing
        for path, thing in sorted(found.items())
        if callable(thing) and not any(path == out or path.startswith(out + ".") for out in LEFT_OUT)
    }


@cache
def methods(kind: type) -> tuple[str, ...]:
    """Return the public methods of a class."""
    found: list[str] = []
    if issubclass(kind, pynn.optim.Optimizer):
        return ()
    for name in dir(kind):
        try:
            thing = inspect.getattr_static(kind, name)
        except AttributeError:
            continue
        if (
            not name.startswith(("_", "on_"))
            and name not in CALLED_BY_PYNN
            and (callable(thing) or isinstance(thing, (classmethod, staticmethod)))
        ):
            found.append(name)
    return tuple(found)


def parameters(thing: Any) -> list[inspect.Parameter]:
    """Return what a callable takes, without self."""
    try:
        signature = inspect.signature(thing)
    except (ValueError, TypeError):
        return []
    return [p for p in signature.parameters.values() if p.name not in ("self", "cls")]


@cache
def examples() -> dict[str, tuple[str, ...]]:
    """Return the statements of every docstring's example, by the path of its object; those that show errors apart."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found: dict[str, tuple[str, ...]] = {}
    for path, thing in names().items():
        for test in finder.find(thing, path, module=importlib.import_module(thing.__module__), globs={}):
            lines = tuple(e.source.strip() for e in test.examples if e.exc_msg is None)
            if lines and not CALLED_BY_PYNN & set(test.name.split(".")[2:]):
                home = f"from {thing.__module__} import *" if thing.__module__.startswith("pynn") else "pass"
                found[test.name] = (home, *lines)
    return dict(sorted(found.items()))


def places(lines: tuple[str, ...]) -> list[tuple[int, int, int, str]]:
    """Return (line, start, end, source) of every argument of every call in one-line statements."""
    found = []
    for i, line in enumerate(lines):
        if "\n" in line or not line.isascii() or ".on_" in line or ".set_params" in line:
            continue
        try:
            tree = ast.parse(line)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                for value in [*node.args, *(k.value for k in node.keywords)]:
                    if not isinstance(value, ast.Starred) and value.end_col_offset is not None:
                        text = line[value.col_offset : value.end_col_offset]
                        found.append((i, value.col_offset, value.end_col_offset, text))
            elif isinstance(node, (ast.Tuple, ast.List)) and isinstance(node.ctx, ast.Load):
                for value in node.elts:
                    if isinstance(value, ast.Constant) and value.end_col_offset is not None:
                        text = line[value.col_offset : value.end_col_offset]
                        found.append((i, value.col_offset, value.end_col_offset, text))
    return found


@cache
def executed(name: str) -> list[tuple[Card, tuple[Any, ...], dict[str, Any], tuple[Any, ...]]]:
    """Return (card, operands, attributes, state) of what an op's samples execute: for a composite, its parts."""
    op = testing.all_ops()[name]
    found = []
    for sample in testing.samples(name):
        if isinstance(op, Card):
            found.append((op, sample.inputs, sample.attrs, sample.state))
            continue
        found.extend(
            (card, inputs, attrs, ())
            for card, inputs, attrs in testing._executed(op, sample)
            if card is not op and not card.mutates
        )
    return found


@cache
def cards() -> tuple[str, ...]:
    """Return the names of all ops that have samples."""
    return tuple(sorted(testing.all_ops()))
