"""Checks of arguments, in the library's wording: each returns the value as plain Python, or raises.

Integers and numbers may be Python's or NumPy's (a whole float of NumPy's is an integer); True and False are neither.
Every message reads ``[place] expected NAME to be ... Received: NAME=value.``

Examples
--------
>>> positive("dense", "units", np.int64(3))
3
>>> rate("dropout", "rate", 1.5)
Traceback (most recent call last):
...
ValueError: [dropout] expected rate to be a number in [0, 1). Received: rate=1.5.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np

from pynn.errors import DTypeError, unknown_name

__all__ = [
    "choice",
    "flag",
    "integer",
    "integers",
    "is_integer",
    "is_number",
    "number",
    "of_kind",
    "pair",
    "plain",
    "plain_fields",
    "positive",
    "rate",
    "reals",
    "written",
]

MOST_SIZE = 2**31 - 1  # of one dimension: beyond, products of sizes leave 64 bits
MOST = 2**63 - 1


def is_integer(value: Any, least: float = -math.inf, most: float = math.inf) -> TypeGuard[int]:
    """Tell whether a value is an integer in [least, most], Python's or NumPy's, and no bool.

    A whole number that NumPy gives as a float is one, as the largest of labels that were read from a file may be.
    """
    if type(value) is not int:
        if isinstance(value, bool) or not isinstance(value, (numbers.Integral, np.floating)):
            return False
        if isinstance(value, np.floating) and not value.is_integer():
            return False
    return bool(least <= int(value) <= most)


def is_number(value: Any) -> TypeGuard[float]:
    """Tell whether a value is a finite real number, Python's or NumPy's, and no bool."""
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False


def plain(value: Any) -> Any:
    """Return a number of NumPy's as Python's, a whole one as an integer; anything else as it is.

    Examples
    --------
    >>> plain(np.float32(0.5)), plain(np.float64(3.0)), plain("same")
    (0.5, 3, 'same')
    """
    if not isinstance(value, (np.integer, np.floating)):
        return value
    return int(value) if is_integer(value) else value.item()


def plain_fields(made: Any) -> None:
    """Make the numbers among the fields of a dataclass that was just made Python's, in tuples too."""
    for name, value in vars(made).items():
        found = tuple(map(plain, value)) if isinstance(value, tuple) else plain(value)
        if found is not value:
            object.__setattr__(made, name, found)


def integer(place: str, name: str, value: Any, least: int = 0, most: int = MOST) -> int:
    """Return an integer in [least, most].

    Raises
    ------
    ValueError
        If the value is no integer, or is out of range.

    Examples
    --------
    >>> integer("fit", "initial_epoch", -1)
    Traceback (most recent call last):
    ...
    ValueError: [fit] expected initial_epoch to be an integer of at least 0. Received: initial_epoch=-1.
    """
    if is_integer(value, least, most):
        return int(value)
    if is_integer(value, most) or (most < MOST_SIZE and least < most):
        wanted = f"an integer from {least} to {most}"
    else:
        wanted = "a positive integer" if least == 1 else f"an integer of at least {least}"
    raise ValueError(f"[{place}] expected {name} to be {wanted}. Received: {name}={written(value)}.")


def positive(place: str, name: str, value: Any, most: int = MOST_SIZE) -> int:
    """Return a size: an integer of at least 1, and below 2**31."""
    return integer(place, name, value, 1, most)


def integers(place: str, name: str, value: Any, count: int, least: int = 1, most: int = MOST_SIZE) -> tuple[int, ...]:
    """Return one integer, or `count` of them, as `count`, each in [least, most].

    Raises
    ------
    ValueError
        If there are more or fewer, or if one of them is no integer or is out of range.

    Examples
    --------
    >>> integers("conv2d", "strides", 2, 2), integers("conv2d", "strides", np.array([1, 2]), 2)
    ((2, 2), (1, 2))
    """
    given = (value,) * count if is_integer(value) else tuple(value) if _is_listed(value) else ()
    if len(given) == count and all(is_integer(v, least, most) for v in given):
        return tuple(int(v) for v in given)
    words = {2: "two", 3: "three", 4: "four"}.get(count, str(count))
    kind = "positive integers" if least == 1 else f"integers of at least {least}"
    limit = f" up to {most}" if len(given) == count and any(is_integer(v, most + 1) for v in given) else ""
    raise ValueError(
        f"[{place}] expected {name} to be one or {words} {kind}{limit}. Received: {name}={written(value)}."
    )


def pair(place: str, name: str, value: Any, least: int = 1) -> tuple[int, int]:
    """Return one integer, or two of them, as two, each of at least `least` and below 2**31."""
    a, b = integers(place, name, value, 2, least)
    return a, b


def number(
    place: str,
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return a finite number in [low, high], with either end left out where it is open, as a float.

    Raises
    ------
    ValueError
        If the value is no number, is not finite, or is out of range.

    Examples
    --------
    >>> number("adam", "eps", 0, 0, open_low=True)
    Traceback (most recent call last):
    ...
    ValueError: [adam] expected eps to be a finite number above 0. Received: eps=0.
    """
    if is_number(value):
        given = float(value)
        if (low < given if open_low else low <= given) and (given < high if open_high else given <= high):
            return given
    if math.isinf(high):
        bound = "" if math.isinf(low) else f" {'above' if open_low else 'of at least'} {low:g}"
        wanted = f"a finite number{bound}"
    else:
        wanted = f"a number in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
    raise ValueError(f"[{place}] expected {name} to be {wanted}. Received: {name}={written(value)}.")


def rate(place: str, name: str, value: Any) -> float:
    """Return a share that is dropped or kept of what was: a number in [0, 1)."""
    return number(place, name, value, 0, 1, open_high=True)


def flag(place: str, name: str, value: Any) -> bool:
    """Return True or False; 0, 1 and NumPy's bools count as such.

    Raises
    ------
    ValueError
        If the value is anything else.
    """
    if isinstance(value, (bool, np.bool_)) or is_integer(value, 0, 1):
        return bool(value)
    raise ValueError(f"[{place}] expected {name} to be True or False. Received: {name}={written(value)}.")


def choice(place: str, name: str, value: Any, known: Iterable[str]) -> str:
    """Return one of some words.

    Raises
    ------
    ValueError
        If the value is none of them; the message gives the nearest one.
    """
    if not isinstance(value, str) or value not in (known := list(known)):
        raise ValueError(f"[{place}] {unknown_name(name, value, known)}")
    return value


def of_kind(place: str, name: str, value: Any, wanted: str, *attributes: str) -> Any:
    """Return a value that has some attributes, and so is what is wanted.

    Raises
    ------
    TypeError
        If it lacks one of them.

    Examples
    --------
    >>> of_kind("save", "model", 3, "a model", "get_weights")
    Traceback (most recent call last):
    ...
    TypeError: [save] expected model to be a model. Received: model=3.
    """
    if all(hasattr(value, attribute) for attribute in attributes):
        return value
    raise TypeError(f"[{place}] expected {name} to be {wanted}. Received: {name}={written(value)}.")


def reals(place: str, name: str, value: Any, dtype: Any = np.float64) -> np.ndarray:
    """Return real numbers as an array of floats.

    Raises
    ------
    DTypeError
        If they are complex.
    ValueError, TypeError
        If they are no numbers, or some integer is beyond all floats.

    Examples
    --------
    >>> reals("plot_curves", "a curve", [1, 2])
    array([1., 2.])
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind != "c":
            return array.astype(dtype, copy=False)
    except OverflowError:
        raise ValueError(
            f"[{place}] expected {name} to hold numbers that are floats. Received: {name}={written(value)}."
        ) from None
    raise DTypeError(f"[{place}] expected {name} to hold real numbers. Received: {array.dtype}.")


def _is_listed(value: Any) -> bool:
    return isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim == 1)


def written(value: Any) -> str:
    """Return a value as a message shows it: cut, and whatever it is."""
    try:
        text = repr(value)
    except ValueError:  # Python does not write integers of more than 4300 digits
        text = "an integer of too many digits to write"
    except RecursionError:  # lists in lists in lists
        text = f"a {type(value).__name__} that is nested too deep to write"
    return text if len(text) <= 80 else text[:77] + "..."
