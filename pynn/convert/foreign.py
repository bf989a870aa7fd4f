"""What reading other libraries' weights has in common: which weight of a model stands where in a file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn.errors import DataError, printable
from pynn.nn.module import Module

__all__ = ["Target", "fill", "first"]

SHOWN = 20


@dataclass(frozen=True)
class Target:
    """A weight of the model and the tensors of a file that it is made of.

    Attributes
    ----------
    path : str
        Of the weight, as in named_parameters().
    weight : Tensor
    sources : tuple of str
        Names in the file.
    shapes : tuple of tuple of int
        That they must have.
    convert : function
        From these arrays to the weight's value.
    note : str
        How, in words.
    """

    path: str
    weight: Any
    sources: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    convert: Callable[..., np.ndarray]
    note: str = ""


def first(array: np.ndarray, *_: Any) -> np.ndarray:
    """Return the first of some arrays as it is.

    Examples
    --------
    >>> first(np.ones(2))
    array([1., 1.])
    """
    return array


def fill(
    model: Module,
    targets: list[Target],
    found: Mapping[str, tuple[tuple[int, ...], np.dtype]],
    read: Callable[[str], np.ndarray],
    ignored: Collection[str],
    place: str,
    source: str,
    verbose: bool,
) -> dict[str, str]:
    """Write every weight of a model, or none.

    Parameters
    ----------
    model : Module
    targets : list of Target
    found : mapping of str to (shape, dtype)
        What the file holds.
    read : function
        From a name to its array.
    ignored : collection of str
        Names in the file that are no weights (an optimizer's state).
    place, source : str
        For messages: the function, the file.
    verbose : bool
        Whether to print the map.

    Returns
    -------
    dict of str to str
        The name map: path of the weight to what it was made of.

    Raises
    ------
    DataError
        If anything is missing, left over, or of another shape: all of it is listed.
    """
    problems = []
    used: set[str] = set()
    for target in targets:
        for name, shape in zip(target.sources, target.shapes, strict=True):
            used.add(name)
            if name not in found:
                problems.append(f"missing: {name} of shape {shape}, for {target.path}")
                continue
            there, dtype = found[name]
            if there != shape:
                problems.append(f"wrong shape: {name} has {there}, {target.path} needs {shape}")
            elif dtype.kind != "f":
                problems.append(f"wrong dtype: {name} holds {dtype}, {target.path} needs floating-point numbers")
    filled = {target.path for target in targets}
    for path, weight in model.named_parameters():
        if path not in filled:
            problems.append(f"missing: nothing fits {path} of shape {weight.shape}")
    for name in sorted(set(found) - used - set(ignored)):
        problems.append(f"extra: {name} of shape {found[name][0]} has no place in the model")
    if problems:
        more = [f"... and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        listed = "".join(f"\n  {line}" for line in problems[:SHOWN] + more)
        raise DataError(f"[{place}] {source!r} does not fit the model, which stays as it was:{listed}")
    values = []
    for target in targets:
        value = target.convert(*(read(name) for name in target.sources))
        if value.shape != target.weight.shape:
            raise DataError(f"[{place}] {target.path}: expected {target.weight.shape}. Received: {value.shape}.")
        values.append(value)
    for target, value in zip(targets, values, strict=True):
        target.weight.view()[...] = value
    names = {
        target.path: " + ".join(target.sources) + (f" ({target.note})" if target.note else "") for target in targets
    }
    if verbose:
        width = max(map(len, names), default=0)
        for path, origin in names.items():
            print(f"{printable(path):{width}}  <-  {printable(origin)}")
    return names
