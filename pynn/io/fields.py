"""Fields of a description that comes from a file, and is not to be trusted."""

from __future__ import annotations

from typing import Any

from pynn.errors import DataError

__all__ = ["items", "shape", "table"]

SIZE_LIMIT = 2**31


def table(value: Any, keys: set[str], place: str) -> dict[str, Any]:
    """Return a table of exactly these keys."""
    if not isinstance(value, dict) or set(value) != keys:
        came = sorted(value)[:8] if isinstance(value, dict) else type(value).__name__
        raise DataError(f"[load] {place}: expected a table of {', '.join(sorted(keys))}. Received: {came}.")
    return value


def items(value: Any, place: str) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list):
        raise DataError(f"[load] {place}: expected a list. Received: {type(value).__name__}.")
    return value


def shape(value: Any, place: str, least: int = 1) -> tuple[int, ...]:
    """Return a shape of at most 8 dimensions."""
    dims = items(value, place)
    if len(dims) > 8 or not all(type(d) is int and least <= d < SIZE_LIMIT for d in dims):
        raise DataError(f"[load] {place}: expected a shape. Received: {str(value)[:60]}.")
    return tuple(dims)
