"""What other libraries bring, told apart before NumPy guesses: arrays, tables, and objects that give items by index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pynn.errors import DataError, DTypeError

__all__ = ["by_index", "is_array", "refuse", "to_numpy"]


def is_array(x: Any) -> bool:
    """Tell whether x is an array with axes, of whatever library: NumPy, pynn, pandas, PyTorch, h5py."""
    if isinstance(x, np.ndarray):
        return x.ndim > 0
    shaped = hasattr(x, "__array__") or hasattr(x, "__array_interface__") or hasattr(x, "dtype")
    return shaped and not isinstance(x, np.generic) and len(getattr(x, "shape", ())) > 0


def by_index(x: Any) -> bool:
    """Tell whether x gives items by index alone, without being a sequence or an array.

    NumPy would ask such an object for ever: only IndexError ends what has no ``__iter__``.
    """
    kind = type(x)
    if not (hasattr(kind, "__getitem__") and hasattr(kind, "__len__")):
        return False
    return not hasattr(kind, "__iter__") and not isinstance(x, Mapping) and not is_array(x)


def refuse(data: Any, place: str) -> None:
    """Raise where NumPy would drop a mask in silence, see an object of no use, or ask for items without end.

    Raises
    ------
    DataError
        For masked values.
    DTypeError
        For a dict, and for objects that give items by index alone.
    """
    if isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
        hidden = int(np.ma.getmaskarray(data).sum())
        raise DataError(
            f"[{place}] expected numbers without a mask. Received: a masked array with {hidden} masked values. "
            "help: data.filled(0.0), or impute them."
        )
    if isinstance(data, Mapping):
        raise DTypeError(
            f"[{place}] expected numbers. Received: a {type(data).__name__} with the keys "
            f"{', '.join(map(repr, list(data)[:4]))}. help: give arrays, a tuple of them for several inputs."
        )
    if by_index(data):
        raise DTypeError(
            f"[{place}] expected an array. Received: a {type(data).__name__}, which gives items by index. "
            "help: batches of (x, y) are given alone, model.fit(batches); anything else as an array."
        )


def to_numpy(data: Any, place: str) -> np.ndarray:
    """Return data as NumPy sees them, or raise where it would guess wrongly.

    Raises
    ------
    DataError, DTypeError
        As :func:`refuse` does, and for a sparse matrix.
    """
    if type(data) is np.ndarray:
        return data
    refuse(data, place)
    if isinstance(data, np.ma.MaskedArray):
        return np.asarray(data.data)
    if hasattr(data, "toarray") and not hasattr(data, "__array__"):
        raise DTypeError(
            f"[{place}] expected a dense array. Received: a {type(data).__name__}. help: x.toarray(), in batches if it "
            "is large."
        )
    found = np.asarray(data)
    if found.dtype == object and hasattr(data, "dtypes"):  # a table of numbers and truth values beside each other
        return _numbers(data, found)
    return found


def _numbers(table: Any, found: np.ndarray) -> np.ndarray:
    kinds = table.dtypes if hasattr(table.dtypes, "__iter__") else [table.dtypes]
    if not all(getattr(kind, "kind", "O") in "biuf" for kind in kinds):
        return found
    try:
        return np.asarray(table, dtype=np.float64)
    except (TypeError, ValueError):  # missing values
        return found
