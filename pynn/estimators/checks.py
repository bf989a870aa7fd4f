"""Checks of parameters, in the library's wording."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any

from pynn.errors import unknown_name

__all__ = ["choice", "flag", "real", "whole"]


def whole(place: str, name: str, value: Any, least: int) -> int:
    """Return a parameter that is an integer of at least `least`, or raise ValueError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"[{place}] expected {name} to be an integer of at least {least}. Received: {name}={value!r}.")
    return int(value)


def real(place: str, name: str, value: Any, low: float, high: float = math.inf, *, open_low: bool = False) -> float:
    """Return a parameter that is a number in [low, high), or in (low, high); else raise ValueError."""
    number = isinstance(value, numbers.Real) and value is not True and value is not False
    given = float(value) if number else math.nan
    if not ((low < given if open_low else low <= given) and given < high):
        left, right = ("above" if open_low else "of at least"), "" if high == math.inf else f" and below {high:g}"
        raise ValueError(f"[{place}] expected a finite {name} {left} {low:g}{right}. Received: {name}={value!r}.")
    return given


def flag(place: str, name: str, value: Any) -> bool:
    """Return a parameter that is True or False (0 and 1 too), or raise ValueError."""
    if not isinstance(value, numbers.Integral) and type(value).__name__ != "bool":  # numpy's bool is no Integral
        raise ValueError(f"[{place}] expected {name} to be True or False. Received: {name}={value!r}.")
    return bool(value)


def choice(place: str, name: str, value: Any, known: Iterable[str]) -> str:
    """Return a parameter that is one of some words, or raise ValueError with the nearest of them."""
    if not isinstance(value, str) or value not in (known := list(known)):
        raise ValueError(f"[{place}] {unknown_name(name, value, known)}")
    return value
