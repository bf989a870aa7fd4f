"""Preprocessing that goes into a model's file: scikit-learn's transformers as numbers and texts, without pickle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pynn.checks import of_kind
from pynn.errors import DataError
from pynn.io.columns import (
    TEXT,
    Chain,
    Column,
    Columns,
    Encode,
    Impute,
    Scale,
    Standardize,
    Step,
    applied,
    described,
    made,
)

__all__ = ["Preprocessing", "of_file", "preprocessing_of"]

Table = dict[str, Any]


class Preprocessing:
    """What is done to the columns of a table before a model sees them, as a model file holds it.

    Parameters
    ----------
    step : Step
    names : list of str, optional
        Of the columns.
    """

    def __init__(self, step: Step, names: list[str] | None = None) -> None:
        of_kind("Preprocessing", "step", step, "what read_preprocessing() returns the steps of", "kinds", "width")
        if names is not None and (len(names) != step.width or len(set(names)) != len(names)):
            raise ValueError("names that are not those of its columns")
        self.step, self.names = step, names
        self.columns = [(kind, gaps) for kind, gaps in step.kinds()]

    @property
    def width(self) -> int:
        """How many columns it takes."""
        return self.step.width

    def __repr__(self) -> str:
        return f"<Preprocessing of {self.width} columns>"

    def transform(self, x: Any, where: Callable[[int, int], str] | None = None) -> np.ndarray:
        """Return what the model sees of a table, as the transformer's own ``transform`` does.

        Parameters
        ----------
        x : ndarray [N, columns], DataFrame, or list of columns
            Numbers; texts where the transformer was fitted on texts. A DataFrame is read by the names of its columns.
        where : callable (row, column), optional
            Returns the place of a cell, for messages.

        Returns
        -------
        ndarray [N, features]
            float64.

        Raises
        ------
        DataError
            If columns are missing, or hold values that the transformer has not met and does not provide for.
        """
        given = self._given(x)
        if len(given) != self.width:
            raise DataError(f"[preprocessing] expected {self.width} columns. Received: {len(given)}.")
        place = where or (lambda i, k: f"row {i}, column {k if self.names is None else repr(self.names[k])}")
        columns = [Column(self._values(values, k, place), k) for k, values in enumerate(given)]
        with np.errstate(over="ignore", invalid="ignore"):
            found = applied(self.step, columns, place)
        if not found:
            raise DataError("[preprocessing] expected columns for the model. Received: none.")
        for column in found:
            if column.values.dtype == object:
                raise DataError(
                    "[preprocessing] expected numbers for the model. Received: texts, which no step encodes."
                )
            good = np.isfinite(column.values)
            if not good.all():
                i = int(np.argmin(good))
                raise DataError(
                    f"[preprocessing] {place(i, column.origin)}: expected a number that gives a finite one. "
                    f"Received: {columns[column.origin].values[i]!r}."
                )
        return np.stack([column.values for column in found], axis=1)

    def _given(self, x: Any) -> Sequence[Any]:
        if hasattr(x, "columns") and hasattr(x, "__getitem__"):
            if self.names is None:
                return [np.asarray(x[name]) for name in x.columns]
            used = [name for name, (kind, _) in zip(self.names, self.columns, strict=True) if kind]
            lacking = [name for name in used if name not in list(x.columns)]
            if lacking:
                raise DataError(
                    f"[preprocessing] expected a column {lacking[0]!r}. Received: {list(x.columns)!r:.200}."
                )
            return [np.asarray(x[name]) if name in list(x.columns) else np.zeros(len(x)) for name in self.names]
        if isinstance(x, list) and all(isinstance(column, np.ndarray) for column in x):
            return x
        array = np.asarray(x)
        if array.ndim != 2:
            raise DataError(f"[preprocessing] expected a table [N, {self.width}]. Received: shape {array.shape}.")
        return list(array.T)

    def _values(self, values: np.ndarray, k: int, place: Callable[[int, int], str]) -> np.ndarray:
        """Return a column as numbers, or as texts with None for gaps."""
        kind, _ = self.columns[k]
        if kind == TEXT:
            items = [None if value is None or value != value else value for value in values.tolist()]
            bad = next((i for i, value in enumerate(items) if value is not None and not isinstance(value, str)), None)
            if bad is not None:
                raise DataError(f"[preprocessing] {place(bad, k)}: expected a text. Received: {items[bad]!r}.")
            return np.array([*items, None], object)[:-1]
        if not kind:
            return np.zeros(len(values))
        try:
            return values.astype(np.float64)
        except (TypeError, ValueError):
            for i, value in enumerate(values.tolist()):
                if not isinstance(value, int | float):
                    raise DataError(f"[preprocessing] {place(i, k)}: expected a number. Received: {value!r}.") from None
            raise

    def describe(self) -> tuple[Table, dict[str, np.ndarray]]:
        """Return what a file says of it: a table for JSON, and tensors by name."""
        steps, tensors = described(self.step)
        return {"names": self.names, "step": steps}, tensors


def of_file(table: Any, tensors: Mapping[str, np.ndarray]) -> Preprocessing:
    """Return the preprocessing that a file describes, after everything in it was checked.

    Raises
    ------
    DataError
        If something is missing, left over or of another kind.
    """
    left = dict(tensors)
    try:
        if not isinstance(table, dict) or set(table) != {"names", "step"}:
            raise ValueError("no table of names and steps")
        names = table["names"]
        if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise ValueError("names that are no texts")
        found = Preprocessing(made(table["step"], left), names)
    except ValueError as error:
        raise DataError(f"[load] expected whole preprocessing. Received: {str(error)[:200]}.") from None
    if left:
        raise DataError(f"[load] no step of the preprocessing has the tensor {sorted(left)[0][:60]!r}.")
    return found


def preprocessing_of(transformer: Any) -> Preprocessing:
    """Return the numbers and texts of a fitted transformer of scikit-learn.

    Raises
    ------
    DataError
        If it, or one within it, is none that a file can hold, is not fitted, or has a setting that is not known here.
    """
    if isinstance(transformer, Preprocessing):
        return transformer
    names = getattr(transformer, "feature_names_in_", None)
    texts = None if names is None else [str(name) for name in names]
    try:
        step = _step(transformer)
        return Preprocessing(step, texts)
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"[save] expected preprocessing that a file can hold. Received: {error}.") from None


# What scikit-learn's transformers learned. Only its own classes are known by their names: a subclass may do anything.


def _step(thing: Any) -> Step:
    kind = type(thing).__name__
    known = MAKERS.get(kind) if type(thing).__module__.startswith("sklearn.") else None
    if known is None:
        raise DataError(
            f"[save] expected preprocessing of {', '.join(MAKERS)}. Received: {type(thing).__module__}.{kind}."
        )
    if not hasattr(thing, "n_features_in_"):
        raise DataError(
            f"[save] expected fitted preprocessing. Received: {kind}, not fitted. help: call its fit first."
        )
    return known(thing)


def _refuse(thing: Any, **settings: Any) -> None:
    """Refuse settings other than those given."""
    for name, usual in settings.items():
        value = getattr(thing, name, usual)
        if value is not usual and value != usual:
            raise DataError(f"[save] expected a {type(thing).__name__} with {name}={usual!r}. Received: {value!r}.")


def _numbers(value: Any, width: int, default: float) -> np.ndarray:
    return np.full(width, default) if value is None else np.asarray(value, np.float64).copy()


def _standardize(thing: Any) -> Step:
    width = thing.n_features_in_
    center = getattr(thing, "mean_", None) if getattr(thing, "with_mean", True) else None
    return Standardize(_numbers(center, width, 0.0), _numbers(thing.scale_, width, 1.0))


def _robust(thing: Any) -> Step:
    width = thing.n_features_in_
    return Standardize(_numbers(thing.center_, width, 0.0), _numbers(thing.scale_, width, 1.0))


def _largest(thing: Any) -> Step:
    _refuse(thing, clip=False)
    width = thing.n_features_in_
    return Standardize(np.zeros(width), _numbers(thing.scale_, width, 1.0))


def _range(thing: Any) -> Step:
    low, high = thing.feature_range
    width = thing.n_features_in_
    bounds = (float(low), float(high)) if thing.clip else None
    return Scale(_numbers(thing.scale_, width, 1.0), _numbers(thing.min_, width, 0.0), bounds)


def _known(categories: Any) -> Any:
    """Return the categories of a column: numbers, or texts with None for a gap."""
    values = np.asarray(categories).tolist()
    filled = [value for value in values if value is not None and value == value]
    if filled and all(isinstance(value, str) for value in filled):
        return [value if isinstance(value, str) else None for value in values]
    if all(isinstance(value, bool | int | float) for value in filled):
        numbers = np.array([np.nan if value is None else value for value in values], np.float64)
        if numbers.tolist() == values or len(filled) < len(values):
            return numbers
    raise DataError(f"[save] expected categories that are all numbers or all texts. Received: {values!r:.200}.")


def _hot(thing: Any) -> Step:
    _refuse(thing, min_frequency=None, max_categories=None)
    drop = thing.drop_idx_
    dropped = [-1 if drop is None or k is None else int(k) for k in (drop if drop is not None else thing.categories_)]
    if drop is None:
        dropped = [-1] * len(thing.categories_)
    unknown = None if thing.handle_unknown == "error" else 0.0
    return Encode(
        [_known(c) for c in thing.categories_], True, dropped, unknown, np.full(len(thing.categories_), np.nan)
    )


def _ordinal(thing: Any) -> Step:
    _refuse(thing, min_frequency=None, max_categories=None)
    unknown = float(thing.unknown_value) if thing.handle_unknown == "use_encoded_value" else None
    # A gap that is None keeps its place among the categories; one that is NaN has a number of its own.
    last = [(c.tolist()[-1], len(c) - 1) for c in thing.categories_]
    gap = [place if value is None else thing.encoded_missing_value for value, place in last]
    return Encode([_known(c) for c in thing.categories_], False, [], unknown, np.array(gap, np.float64))


def _impute(thing: Any) -> Step:
    _refuse(thing, add_indicator=False)
    missing = thing.missing_values
    if not (missing is None or missing != missing):
        raise DataError(f"[save] expected a SimpleImputer of gaps (NaN or None). Received: missing_values={missing!r}.")
    values = [None if value is None or value != value else value for value in thing.statistics_.tolist()]
    texts = [isinstance(value, str) for value in values if value is not None]
    if any(texts) and not all(texts):
        raise DataError("[save] expected a SimpleImputer of columns that are all numbers or all texts.")
    if None in values and (any(texts) or thing.keep_empty_features):
        raise DataError("[save] expected a SimpleImputer with a value for each column.")
    return Impute([value if value is None or isinstance(value, str) else float(value) for value in values])


def _chain(thing: Any) -> Step:
    steps = [_step(step) for _, step in thing.steps if step is not None and not _passes(step)]
    return Chain(steps, int(thing.n_features_in_))


def _passes(thing: Any) -> bool:
    """Return whether a step changes nothing."""
    if isinstance(thing, str):
        return thing == "passthrough"
    return type(thing).__name__ == "FunctionTransformer" and thing.func is None and thing.inverse_func is None


def _columns(thing: Any) -> Step:
    _refuse(thing, transformer_weights=None)
    names = [str(name) for name in getattr(thing, "feature_names_in_", ())]
    parts: list[tuple[list[int], Step | None]] = []
    for _, step, chosen in thing.transformers_:
        places = _places(chosen, names, thing.n_features_in_)
        if places and not (isinstance(step, str) and step == "drop"):
            parts.append((places, None if _passes(step) else _step(step)))
    return Columns(parts, int(thing.n_features_in_))


def _places(chosen: Any, names: list[str], width: int) -> list[int]:
    """Return the places of columns that are given as scikit-learn takes them."""
    if isinstance(chosen, slice):
        if isinstance(chosen.start, str) or isinstance(chosen.stop, str):
            low = names.index(chosen.start) if chosen.start is not None else 0
            return list(range(low, (names.index(chosen.stop) if chosen.stop is not None else width - 1) + 1))
        return list(range(width))[chosen]
    items = [chosen] if isinstance(chosen, str | int) else np.asarray(chosen).tolist()
    if items and all(isinstance(item, bool) for item in items):
        return [k for k, item in enumerate(items) if item]
    return [names.index(item) if isinstance(item, str) else range(width)[item] for item in items]


MAKERS: dict[str, Callable[[Any], Step]] = {
    "StandardScaler": _standardize,
    "MinMaxScaler": _range,
    "MaxAbsScaler": _largest,
    "RobustScaler": _robust,
    "OneHotEncoder": _hot,
    "OrdinalEncoder": _ordinal,
    "SimpleImputer": _impute,
    "ColumnTransformer": _columns,
    "Pipeline": _chain,
}
