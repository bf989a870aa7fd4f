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
        As :func:`refuse` does, for a sparse matrix, and for a table with columns that are no numbers.
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
    if found.dtype == object and hasattr(data, "dtypes") and found.ndim in (1, 2):
        return _numbers(data, found, place)  # a table, for instance of numbers and truth values beside each other
    return found


def _numbers(table: Any, found: np.ndarray, place: str) -> np.ndarray:
    """Return the values of a table as float64, or name the columns that are no numbers."""
    columns = found.reshape(len(found), -1).T
    names = list(table.columns) if hasattr(table, "columns") else [getattr(table, "name", None)]
    wrong, missing = [], False
    for name, values in zip(names, columns, strict=True):
        gaps = [v is None or type(v).__name__ in ("NAType", "NaTType") for v in values]
        kinds = {type(v).__name__ for v, gap in zip(values, gaps, strict=True) if not gap and not _is_real(v)}
        if kinds or any(gaps):
            why = f"of {' and '.join(sorted(kinds))}" if kinds else "with gaps"
            wrong.append(f"{name!r} {why}" if name is not None else why)
            missing |= not kinds
    if not wrong:
        return found.astype(np.float64)
    more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
    help = "encode text or categories as numbers first (pandas.get_dummies, np.unique(..., return_inverse=True))."
    if missing:
        help = "fill the gaps or leave these rows out first (fillna, dropna)."
    raise DTypeError(f"[{place}] expected numbers. Received: column {', column '.join(wrong[:4])}{more}. help: {help}")


def _is_real(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating))
