"""Nested lists, tuples and dicts of arguments and results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["flat", "mapped", "reset_uids", "snake_case", "unique_name"]

_uids: Counter[str] = Counter()


def mapped(function: Callable[[Any], Any], nested: Any) -> Any:
    """Return the same structure with function(item) in the place of every item."""
    if isinstance(nested, dict):
        return {key: mapped(function, value) for key, value in nested.items()}
    if isinstance(nested, tuple) and hasattr(nested, "_fields"):
        return type(nested)(*(mapped(function, value) for value in nested))
    if isinstance(nested, (list, tuple)):
        return type(nested)(mapped(function, value) for value in nested)
    return function(nested)


def flat(nested: Any) -> Iterator[Any]:
    """Yield the items of a structure."""
    if isinstance(nested, dict):
        nested = list(nested.values())
    if isinstance(nested, (list, tuple)):
        for value in nested:
            yield from flat(value)
    else:
        yield nested


def snake_case(name: str) -> str:
    """Return the name that Keras gives to things of a class.

    Examples
    --------
    >>> snake_case("MaxPooling2D"), snake_case("Conv2DTranspose"), snake_case("ReLU"), snake_case("LSTM")
    ('max_pooling2d', 'conv2d_transpose', 're_lu', 'lstm')
    """
    import re

    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def unique_name(base: str) -> str:
    """Return dense, dense_1, dense_2 and so on: a name that nothing has had yet."""
    _uids[base] += 1
    return base if _uids[base] == 1 else f"{base}_{_uids[base] - 1}"


def reset_uids() -> None:
    """Begin counting anew, as ``clear_session`` does."""
    _uids.clear()
