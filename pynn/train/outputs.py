"""What a model returns: one tensor, or tuples, lists and dicts of them, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn.core.tensor import Tensor

__all__ = ["Form", "by_rows", "taken_apart"]


class Form:
    """How the outputs of a model are put together.

    Parameters
    ----------
    build : callable (list) -> object
    single : bool
        Whether there is one output, which is what is returned.
    """

    def __init__(self, build: Callable[[list[Any]], Any], single: bool):
        self.build, self.single = build, single


def taken_apart(out: Any, place: str) -> tuple[list[Tensor], Form]:
    """Return the tensors of an output, and how they were put together.

    Raises
    ------
    TypeError
        If something else than tensors and None is among them.

    Examples
    --------
    >>> import pynn
    >>> tensors, form = taken_apart((pynn.tensor(1.0), {"a": [pynn.tensor(2.0)]}), "predict")
    >>> form.build([t.item() for t in tensors])
    (1.0, {'a': [2.0]})
    """
    tensors: list[Tensor] = []
    build = _part(out, tensors, place)
    return tensors, Form(build, isinstance(out, Tensor))


def _part(item: Any, tensors: list[Tensor], place: str) -> Callable[[list[Any]], Any]:
    """Note the tensors of a part of an output; returns what makes that part of a list of values."""
    if isinstance(item, Tensor):
        at = len(tensors)
        tensors.append(item)
        return lambda found: found[at]
    if item is None:
        return lambda found: None
    if isinstance(item, dict):
        parts = {key: _part(value, tensors, place) for key, value in item.items()}
        return lambda found: {key: build(found) for key, build in parts.items()}
    if isinstance(item, (tuple, list)):
        builds, kind = [_part(value, tensors, place) for value in item], type(item)
        if hasattr(kind, "_fields"):  # a named tuple
            return lambda found: kind(*(build(found) for build in builds))
        return lambda found: kind(build(found) for build in builds)
    raise TypeError(
        f"[{place}] expected forward() to return a tensor, or tuples, lists and dicts of tensors. "
        f"Received: {type(item).__name__}."
    )


def by_rows(found: list[np.ndarray], count: int) -> bool:
    """Tell whether the first axis of all outputs is that of so many samples."""
    return all(y.ndim > 0 and len(y) == count for y in found)
