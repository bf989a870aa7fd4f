"""Names for the weights of an exported network; those of a layer that is used twice have one name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import numpy as np

__all__ = ["Constants"]


class Constants:
    """Weights by name, in the order of their first use.

    Parameters
    ----------
    taken : collection of str
        Names that they cannot have.

    Examples
    --------
    >>> weights = Constants()
    >>> weights.name("dense-1", "w", np.ones(2)), weights.name("dense-1", "w", np.ones(2))
    ('dense_1_w', 'dense_1_w')
    >>> weights.name("dense-1", "w", np.zeros(2))
    'dense_1_w_2'
    """

    def __init__(self, taken: Collection[str] = ()) -> None:
        self._taken = taken
        self._names: dict[tuple[str, str, tuple[int, ...], bytes], str] = {}
        self._arrays: dict[str, np.ndarray] = {}

    def name(self, layer: str, key: str, array: np.ndarray) -> str:
        """Return the identifier of a layer's weight."""
        stem = re.sub(r"[^A-Za-z0-9_]", "_", f"{layer}_{key}")
        stem = stem if stem[0].isalpha() else f"layer_{stem}"
        same = (stem, array.dtype.str, array.shape, array.tobytes())
        if same not in self._names:
            name, k = stem, 1
            while name in self._arrays or name in self._taken:
                k += 1
                name = f"{stem}_{k}"
            self._names[same] = name
            self._arrays[name] = array
        return self._names[same]

    def items(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (name, array)."""
        yield from self._arrays.items()
