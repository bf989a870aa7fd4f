"""Names of the columns that a model was trained on: a table with others, or in another order, is refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.errors import DataError

__all__ = ["compare", "named", "remember"]

Names = tuple[str, ...]


def named(x: Any) -> Names | None:
    """Return the names of a table's columns; None if it has none, or not all are texts."""
    if type(x) is np.ndarray or not (hasattr(x, "columns") and hasattr(x, "__array__")):
        return None
    names = tuple(x.columns)
    return names if names and all(isinstance(name, str) for name in names) else None


def _of_inputs(x: Any) -> tuple[Names | None, ...]:
    return tuple(map(named, x)) if isinstance(x, tuple) else (named(x),)


def remember(model: Any, x: Any) -> Any:
    """Keep the names of what a training is given; returns those that were kept before."""
    before = getattr(model, "_columns", None)
    found = _of_inputs(x)
    object.__setattr__(model, "_columns", found if any(found) else None)
    return before


def compare(model: Any, x: Any, place: str) -> None:
    """Refuse a table whose columns are not those of the training, in their order; arrays have no names.

    Raises
    ------
    DataError
        It names what differs.
    """
    known = getattr(model, "_columns", None)
    if known is None:
        return
    for wanted, given in zip(known, _of_inputs(x), strict=False):
        if wanted is None or given is None or given == wanted:
            continue
        new, gone = ([c for c in one if c not in other] for one, other in ((given, wanted), (wanted, given)))
        if new or gone:
            parts = (("without", gone), ("with", new))
            told = " and ".join(f"{word} {', '.join(map(repr, names[:5]))}" for word, names in parts if names)
            raise DataError(f"[{place}] expected the columns that fit() was given. Received: a table {told}.")
        at = next(i for i, (a, b) in enumerate(zip(given, wanted, strict=False)) if a != b)
        raise DataError(
            f"[{place}] expected columns in the order that fit() was given. Received: {given[at]!r} as column {at}, "
            f"which was {wanted[at]!r}. help: x[columns] puts them in order; x.to_numpy() has no names."
        )
