"""Data on their way into a model: checked once, converted once, then fetched batch by batch inside the program."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn.checks import number
from pynn.core import _core
from pynn.core.foreign import is_array
from pynn.core.tape import Tape
from pynn.core.tensor import Tensor, to_array
from pynn.errors import DataError, DTypeError, ShapeError, unknown_name, warn
from pynn.losses.bounds import KEEPS, MIXES
from pynn.ops import pixels
from pynn.train.network import Network

__all__ = [
    "Data",
    "as_inputs",
    "by_input",
    "check_finite",
    "external",
    "input_count",
    "mapped",
    "split_last",
    "to_dtype",
    "warn_of_bytes_scaled_twice",
]


def external(array: np.ndarray) -> Tensor:
    """Return a tensor on a NumPy array's own memory."""
    return Tensor(_core.Buffer.of(array), array.shape, array.dtype)


def to_dtype(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Convert; numbers that are too large become infinite, which check_finite reports."""
    with np.errstate(over="ignore"):
        return array.astype(dtype, copy=False)


def check_finite(array: np.ndarray, name: str, place: str) -> None:
    """Raise DataError with the place of the first NaN or infinity."""
    if array.dtype.kind != "f" or array.size == 0:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):  # a finite sum has finite terms
            return
    bad = ~np.isfinite(array)
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"[{place}] {name} contains {array[at]} at {list(at)} ({int(bad.sum())} such values in all). "
            "help: remove or impute those rows (np.isfinite finds them)."
        )


def as_inputs(x: Any, place: str, model: Network) -> list[np.ndarray]:
    """Return a model's inputs as arrays: images of bytes stay, for the program to scale; numbers become its dtype.

    Parameters
    ----------
    x : array_like or tuple of array_like
    place : str
        For messages.
    model : Module
        Integers stay integers if it looks them up.
    """
    arrays, dtype, integers = [], model.dtype, model.takes_integers
    for i, item in enumerate(x if isinstance(x, (tuple, list)) and _all_arrays(x) else (x,)):
        given = to_array(item, place)
        if given.ndim == 0:
            raise ShapeError(f"[{place}] expected an array with one row per sample. Received: a single number.")
        if len(given) == 0 or given.size == 0:
            raise DataError(f"[{place}] expected at least one sample. Received: x.shape={given.shape}.")
        if integers and given.dtype.kind in "iub":
            given = _narrowed(given, place)
        elif given.dtype.kind in "iub" and (not pixels.is_image(given) or model.takes_bytes(i)):
            given = given.astype(dtype)
        elif given.dtype.kind == "f" and given.dtype != dtype:
            given = to_dtype(given, dtype)
        arrays.append(given)
    if len({len(a) for a in arrays}) > 1:
        raise ShapeError(f"[{place}] expected inputs of one length. Received: {[len(a) for a in arrays]}.")
    return arrays


def _narrowed(ids: np.ndarray, place: str) -> np.ndarray:
    """Return integers as int32; one that does not fit would come out as another."""
    if ids.dtype.itemsize >= 4 and ids.dtype != np.int32:
        limit = np.iinfo(np.int32)
        for at in (int(ids.argmax()), int(ids.argmin())):
            if not limit.min <= int(ids.flat[at]) <= limit.max:
                where = ", ".join(map(str, np.unravel_index(at, ids.shape)))
                raise DataError(f"[{place}] expected token ids below 2**31. Received: x[{where}] = {ids.flat[at]}.")
    return ids.astype(np.int32)


def warn_of_bytes_scaled_twice(model: Network, xs: list[np.ndarray], rows: list[Tensor], tape: Tape) -> None:
    """Warn if images of bytes, which become 0..1 on their way in, are then read by a layer that expects 0..255.

    Parameters
    ----------
    model : Module
    xs : list of array
        As as_inputs() returned them: what is still uint8 will be divided.
    rows, tape
        The inputs of a forward pass that stands for theirs, and its tape.
    """
    divided = {id(row) for a, row in zip(xs, rows, strict=True) if a.dtype == np.uint8}
    for entry in tape.entries if divided else ():
        layer = entry.module
        if not any(id(x) in divided for x in entry.inputs):
            continue
        if entry.card.name in KEEPS | MIXES:  # they are as many times too small
            divided.update(id(y) for y in entry.outs)
        elif layer is not None and layer is not model and layer.takes_bytes():
            warn(
                f"[{layer.name}] images of bytes were divided by 255 before this layer scales them. help: begin the "
                "model with it, pass x.astype('float32'), or say in a module of one's own that it takes bytes as "
                "numbers: def takes_bytes(self, i=0): return True."
            )
            return


def input_count(model: Network) -> int | None:
    """Return how many inputs a model takes, None if it does not say."""
    shapes = getattr(model, "input_shapes", None)
    if isinstance(shapes, list):
        return len(shapes)
    kinds = [p.kind for p in inspect.signature(model.forward).parameters.values() if p.default is p.empty]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return None
    return sum(kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds)


def input_names(model: Network) -> list[str]:
    """Return what the inputs of a model are called: as Model's Inputs are named, or the parameters of forward()."""
    named = getattr(model, "input_names", None)
    if isinstance(named, list):
        return named
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [p.name for p in inspect.signature(model.forward).parameters.values() if p.kind in kinds]


def by_input(x: Mapping[str, Any], model: Network, place: str) -> Any:
    """Return the arrays of a dict in the order of the inputs that its keys name; alone, if there is one input.

    Raises
    ------
    DataError
        If an input is missing, or if there is none of a name.
    """
    names = input_names(model)
    for key in x:
        if key not in names:
            raise DataError(f"[{place}] {unknown_name('input', key, names)}")
    missing = [name for name in names[: input_count(model)] if name not in x]
    if missing:
        raise DataError(
            f"[{place}] expected an array for each of the inputs {', '.join(names)}. Received: none for {missing[0]!r}."
        )
    given = tuple(x[name] for name in names if name in x)
    return given[0] if len(given) == 1 else given


def _all_arrays(items: Sequence[Any]) -> bool:
    return len(items) > 0 and all(is_array(i) for i in items)


@dataclass
class Data:
    """Inputs, targets and weights, as arrays that a program can be pointed at.

    Attributes
    ----------
    xs : list of array [N, ...]
    y : array [N, ...]
    w : array [N], or of more leading axes of the output's shape, or None
    predictions : array, or None
        Room for what the metrics are given.
    token : object, optional
        While it is the same, what was read of the arrays before need not be read again (see Recording.run).

    Notes
    -----
    Of a model with several outputs y, w and predictions are lists, with an entry for each output that has a loss.
    """

    xs: list[np.ndarray]
    y: Any
    w: Any = None
    predictions: Any = None
    token: Any = None

    def __len__(self) -> int:
        return len(self.xs[0])

    def arrays(self) -> list[np.ndarray]:
        """Return what is there, in the order of a program's input slots."""
        rest = [a for part in (self.y, self.w, self.predictions) for a in (part if type(part) is list else (part,))]
        return [a for a in (*self.xs, *rest) if a is not None]

    def cut(self, rows: slice | np.ndarray) -> Data:
        """Return some rows of inputs, targets and weights."""
        y, w = (mapped(lambda a: a[rows], part) for part in (self.y, self.w))
        return Data([x[rows] for x in self.xs], y, w)


def mapped(function: Callable[..., Any], part: Any, *others: Any) -> Any:
    """Return function(part), or a list of it for each entry of a list; None stays None."""
    if type(part) is list:
        rest = [other if type(other) is list else [other] * len(part) for other in others]
        return [mapped(function, *entry) for entry in zip(part, *rest, strict=True)]
    return None if part is None else function(part, *others)


def sample_weights(weights: Any, shape: tuple[int, ...], dtype: np.dtype, place: str) -> np.ndarray | None:
    """Return weights as an array [N], or of more leading axes of the output's shape, or None."""
    if weights is None:
        return None
    w, n = to_dtype(to_array(weights, place), dtype), shape[0]
    if w.shape == (n, 1):
        w = w.reshape(n)
    if w.shape != (n,) and not (1 < w.ndim < len(shape) and w.shape == shape[: w.ndim]):
        raise ShapeError(f"[{place}] expected one sample_weight per row, shape ({n},). Received: {w.shape}.")
    if not np.isfinite(w).all() or (w < 0).any():
        raise DataError(f"[{place}] expected finite sample weights of at least 0.")
    return np.ascontiguousarray(w)


def by_entry(weights: np.ndarray | None, by_class: np.ndarray) -> np.ndarray:
    """Return weights of samples times those of classes, each of which may be one per step."""
    if weights is None:
        return by_class
    axes = max(weights.ndim, by_class.ndim)
    both = (a.reshape(a.shape + (1,) * (axes - a.ndim)) for a in (weights, by_class))
    return np.ascontiguousarray(np.multiply(*both))


def split_last(data: tuple[Any, ...], share: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Split arrays (or tuples of them, or None) into the first rows and the last `share` of them."""
    share = number("fit", "validation_split", share, 0, 1, open_low=True, open_high=True)
    x = data[0]
    inner = next(iter(x.values()), ()) if isinstance(x, Mapping) else x
    inner = inner[0] if isinstance(inner, (tuple, list)) and _all_arrays(inner) else inner
    try:
        n = len(inner)
    except TypeError:
        raise DTypeError("[fit] validation_split needs arrays. help: pass validation_data instead.") from None
    at = n - int(n * share)
    if at in (0, n):
        raise ValueError(f"[fit] validation_split={share} of {n} samples leaves one part empty.")
    first = tuple(_cut(a, slice(None, at)) for a in data)
    return first, tuple(_cut(a, slice(at, None)) for a in data)


def _cut(a: Any, rows: slice) -> Any:
    if a is None:
        return None
    if isinstance(a, Mapping):
        return {key: _cut(b, rows) for key, b in a.items()}
    if isinstance(a, (tuple, list)) and _all_arrays(a):
        return tuple(b[rows] for b in a)
    return a[rows]
