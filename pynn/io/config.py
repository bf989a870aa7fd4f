"""Settings as JSON and back: numbers and texts, and objects as the name of a class with its constructor's arguments."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn.checks import plain
from pynn.errors import DataError
from pynn.io import registry

__all__ = ["construct", "decode", "encode", "encode_object"]

NUMBER_LIMIT = 2**63


def encode(value: Any, place: str, inner: Callable[[Any, str], Any] | None = None) -> Any:
    """Return JSON for a setting.

    Parameters
    ----------
    value
        None, numbers, texts, lists, tuples, dicts, dtypes, functions and classes that are registered, and objects of
        pynn's classes or registered ones.
    place : str
        For messages.
    inner : callable, optional
        Takes values that are modules.

    Raises
    ------
    DataError
        If it cannot be held.
    """
    value = plain(value)
    if value is None or isinstance(value, (bool, np.bool_)):
        return value if value is None else bool(value)
    if isinstance(value, (int, np.integer)):
        if abs(int(value)) >= NUMBER_LIMIT:
            raise DataError(f"[save] {place}: expected an integer below 2**63. Received: {value}.")
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return [encode(item, f"{place}[{i}]", inner) for i, item in enumerate(value)]
    if isinstance(value, tuple):
        return {"tuple": [encode(item, f"{place}[{i}]", inner) for i, item in enumerate(value)]}
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            pairs = [[encode(k, place, inner), encode(v, f"{place}[{k!r}]", inner)] for k, v in value.items()]
            return {"pairs": pairs}
        return {"dict": {key: encode(item, f"{place}[{key!r}]", inner) for key, item in value.items()}}
    if isinstance(value, np.dtype):
        return {"dtype": value.str}
    if inner is not None:
        found = inner(value, place)
        if found is not None:
            return found
    name = registry.name_of(value) if isinstance(value, type) or inspect.isroutine(value) else None
    if name is not None and not isinstance(value, type):
        return {"function": name}
    if callable(value) and (inspect.isroutine(value) or isinstance(value, type)):
        raise DataError(
            f"[save] {place}: a file cannot hold {value!r}. "
            "help: give it a name that a file can hold with pynn.register(...), a function made by def."
        )
    return encode_object(value, place, inner)


def encode_object(value: Any, place: str, inner: Callable[[Any, str], Any] | None = None) -> dict[str, Any]:
    """Return JSON for an object: its class, and the attributes that are named like its constructor's parameters."""
    name = registry.name_of(type(value))
    if name is None:
        kind = type(value).__name__
        raise DataError(
            f"[save] {place}: a file cannot hold {value!r}. help: pynn.register({kind}) lets files name its class."
        )
    settings = {}
    for key in _parameters(type(value)):
        attribute = "_rate" if key == "learning_rate" and hasattr(value, "_rate") else key
        if not hasattr(value, attribute):
            raise DataError(
                f"[save] {place}: {type(value).__name__} has no attribute {key!r}, which its constructor takes. "
                f"help: keep it, self.{key} = {key}."
            )
        settings[key] = encode(getattr(value, attribute), f"{place}.{key}", inner)
    return {"class": name, "config": settings}


def decode(value: Any, place: str, inner: Callable[[dict[str, Any], str], Any] | None = None) -> Any:
    """Return the setting that JSON from a file stands for.

    Raises
    ------
    DataError
        If it does not stand for one: every field is checked, and every class is looked up in the registry.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        if abs(value) >= NUMBER_LIMIT:
            raise DataError(
                f"[load] {place}: expected an integer below 2**63. Received: one of {len(str(value))} digits."
            )
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DataError(f"[load] {place}: expected a finite number. Received: {value}.")
        return value
    if isinstance(value, list):
        return [decode(item, f"{place}[{i}]", inner) for i, item in enumerate(value)]
    found = None if inner is None else inner(value, place)
    if found is not None:
        return found
    if "class" in value:
        return construct(value, object, place, inner)
    if len(value) != 1:
        raise DataError(f"[load] {place}: expected a setting. Received: a table of {sorted(value)[:5]}.")
    ((kind, content),) = value.items()
    if kind == "tuple" and isinstance(content, list):
        return tuple(decode(item, f"{place}[{i}]", inner) for i, item in enumerate(content))
    if kind == "dict" and isinstance(content, dict):
        return {key: decode(item, f"{place}[{key!r}]", inner) for key, item in content.items()}
    if kind == "pairs" and isinstance(content, list) and all(isinstance(p, list) and len(p) == 2 for p in content):
        keys = [decode(key, place) for key, _ in content]
        if not all(isinstance(key, (bool, int, float, str)) for key in keys) or len(set(keys)) < len(keys):
            raise DataError(f"[load] {place}: expected different numbers or texts as keys.")
        return {key: decode(item, f"{place}[{key!r}]", inner) for key, (_, item) in zip(keys, content, strict=True)}
    if kind == "float" and content in ("inf", "-inf", "nan"):
        return float(content)
    if kind == "dtype" and content in ("<f4", "<f8", "<i4", "<i8", "|u1", "|b1"):
        return np.dtype(content)
    if kind == "function":
        return registry.find(content, None, place)
    raise DataError(f"[load] {place}: expected a setting. Received: a table of {kind[:40]!r}.")


def construct(record: Any, kind: type, place: str, inner: Callable[[dict[str, Any], str], Any] | None = None) -> Any:
    """Make an object of a registered class, a subclass of `kind`, as a record {"class", "config"} says.

    Raises
    ------
    DataError
        If the record is no such thing, or if the constructor refuses the settings.
    """
    if not isinstance(record, dict) or set(record) != {"class", "config"} or not isinstance(record["config"], dict):
        raise DataError(f"[load] {place}: expected a table of class and config.")
    cls = registry.find(record["class"], kind, place)
    known = _parameters(cls)
    for key in record["config"]:
        if key not in known:
            raise DataError(f"[load] {place}: {record['class']} takes no {key[:40]!r}. Known: {', '.join(known)}.")
    settings = {key: decode(item, f"{place}.{key}", inner) for key, item in record["config"].items()}
    try:
        return cls(**settings)
    except Exception as error:
        raise DataError(f"[load] {place}: {record['class']} cannot be made: {error}") from error


def _parameters(cls: type) -> list[str]:
    """Return the names that a constructor takes, those that it hands on to a base as ``**options`` included."""
    from pynn.optim.base import Optimizer  # here: layers are made without one

    names: list[str] = []
    for base in cls.__mro__:
        if "__init__" not in base.__dict__ or base is object:
            continue
        kinds = [inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD]
        if names and issubclass(cls, Optimizer):
            kinds.pop()  # AMSGrad fixes what Adam takes; what all optimizers share is taken by keyword alone
        found = list(inspect.signature(base.__dict__["__init__"]).parameters.values())[1:]
        names += [p.name for p in found if p.kind in kinds and p.name not in names]
        if not any(p.kind is p.VAR_KEYWORD for p in found):
            break
    return names
