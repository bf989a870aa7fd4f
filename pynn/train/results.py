"""What evaluate() returns: numbers by name and in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["Results"]


class Results(dict[str, Any]):
    """Loss and metrics: a dict whose values also unpack and count, in the order of its names.

    Both uses are common: Keras returns a list, or a dict if asked for. Unlike a dict's, its iterator gives the values;
    ``keys()`` and ``items()`` are a dict's. With the loss alone it is a number too, for ``float`` and formatting.

    Examples
    --------
    >>> results = Results(loss=0.25, accuracy=0.9)
    >>> results["accuracy"], results[1]
    (0.9, 0.9)
    >>> loss, accuracy = results
    >>> loss
    0.25
    >>> "accuracy" in results, dict(results)
    (True, {'loss': 0.25, 'accuracy': 0.9})
    >>> f"{Results(loss=0.25):.3f}"
    '0.250'
    """

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())

    def __reversed__(self) -> Iterator[Any]:
        return iter(list(self.values())[::-1])

    def __getitem__(self, key: Any) -> Any:
        """Return a value by its name, or by its place."""
        if isinstance(key, (int, slice)):
            return list(self.values())[key]
        return super().__getitem__(key)

    def __float__(self) -> float:
        if len(self) != 1:
            raise TypeError(f"[evaluate] expected the loss alone as a number. Received: {list(self.keys())}.")
        return float(self[0])

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec and len(self) == 1 else super().__format__(spec)
