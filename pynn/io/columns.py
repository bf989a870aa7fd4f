"""Steps of preprocessing that a model file holds: each works on named columns, as scikit-learn's of that name does.

A step is made from numbers and texts that were checked, whether they come from an object or from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pynn.errors import DataError

__all__ = ["KINDS", "Chain", "Column", "Columns", "Encode", "Impute", "Scale", "Standardize", "Step", "made"]

Tensors = dict[str, np.ndarray]
Where = Callable[[int, int], str]
NUMBER, TEXT = "number", "text"
MOST_STEPS = 100


class Column(NamedTuple):
    """The values of a column, numbers or texts (None for a gap), and the column of the table that it was made of."""

    values: np.ndarray
    origin: int


class Step:
    """What is done to some columns.

    Attributes
    ----------
    kind : str
        Its name in a file.
    width : int
        How many columns it takes.
    """

    kind: ClassVar[str]
    width: int

    @property
    def makes(self) -> int:
        """How many columns come out."""
        return self.width

    def describe(self) -> dict[str, Any]:
        """Return what a file says of it; numbers go to :meth:`tensors`."""
        raise NotImplementedError

    def tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield its numbers, by name."""
        return iter(())

    def kinds(self) -> list[tuple[str, bool]]:
        """Return for each column whether it is read as numbers or texts, and whether gaps may be in it."""
        return [(NUMBER, False)] * self.width

    def words(self) -> list[set[str]]:
        """Return for each column the texts that it knows, be it that they look like gaps."""
        return [set() for _ in range(self.width)]

    def __call__(self, columns: list[Column], where: Where) -> list[Column]:
        """Return the columns that come out."""
        raise NotImplementedError


class Standardize(Step):
    """(x - center) / scale: StandardScaler, RobustScaler, MaxAbsScaler."""

    kind = "standardize"

    def __init__(self, center: np.ndarray, scale: np.ndarray) -> None:
        self.width = len(center)
        self.center, self.scale = center, scale
        if not (scale != 0).all():
            raise ValueError("a scale of 0")

    @classmethod
    def read(cls, record: _Record) -> Standardize:
        """Return the step that a file holds."""
        width = record.size("width")
        return cls(record.numbers("center", width), record.numbers("scale", width))

    def describe(self) -> dict[str, Any]:
        return {"width": self.width}

    def tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        yield "center", self.center
        yield "scale", self.scale

    def __call__(self, columns: list[Column], where: Where) -> list[Column]:
        return [Column((c.values - self.center[k]) / self.scale[k], c.origin) for k, c in enumerate(columns)]


class Scale(Step):
    """x * scale + offset, perhaps held within a range: MinMaxScaler."""

    kind = "scale"

    def __init__(self, scale: np.ndarray, offset: np.ndarray, bounds: tuple[float, float] | None) -> None:
        self.width = len(scale)
        self.scale, self.offset, self.bounds = scale, offset, bounds

    @classmethod
    def read(cls, record: _Record) -> Scale:
        """Return the step that a file holds."""
        width = record.size("width")
        clip = record.flag("clip")
        low, high = record.numbers("bounds", 2) if clip else (0.0, 1.0)
        if low > high:
            raise ValueError("bounds in the wrong order")
        return cls(record.numbers("scale", width), record.numbers("offset", width), (low, high) if clip else None)

    def describe(self) -> dict[str, Any]:
        return {"width": self.width, "clip": self.bounds is not None}

    def tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        yield "scale", self.scale
        yield "offset", self.offset
        if self.bounds is not None:
            yield "bounds", np.array(self.bounds, np.float64)

    def __call__(self, columns: list[Column], where: Where) -> list[Column]:
        found = []
        for k, column in enumerate(columns):
            values = column.values * self.scale[k] + self.offset[k]
            found.append(Column(values if self.bounds is None else np.clip(values, *self.bounds), column.origin))
        return found


class Impute(Step):
    """A value for gaps in each column; columns without one are left out: SimpleImputer."""

    kind = "impute"

    def __init__(self, values: Sequence[float | str | None]) -> None:
        self.width = len(values)
        self.values = list(values)

    @classmethod
    def read(cls, record: _Record) -> Impute:
        """Return the step that a file holds."""
        width = record.size("width")
        texts = record.texts("texts", gaps=True)
        if texts is None:
            numbers = record.numbers("values", width, gaps=True)
            return cls([None if np.isnan(value) else float(value) for value in numbers])
        if len(texts) != width:
            raise ValueError(f"{len(texts)} texts for {width} columns")
        return cls(texts)

    @property
    def makes(self) -> int:
        return self.width - self.values.count(None)

    def _is_text(self) -> bool:
        return any(isinstance(value, str) for value in self.values)

    def describe(self) -> dict[str, Any]:
        return {"width": self.width, "texts": self.values if self._is_text() else None}

    def tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        if not self._is_text():
            yield "values", np.array([np.nan if value is None else value for value in self.values], np.float64)

    def kinds(self) -> list[tuple[str, bool]]:
        return [(TEXT if self._is_text() else NUMBER, True)] * self.width

    def __call__(self, columns: list[Column], where: Where) -> list[Column]:
        found = []
        for column, value in zip(columns, self.values, strict=True):
            if value is None:
                continue
            values = column.values.copy()
            values[gaps(values)] = value
            found.append(Column(values, column.origin))
        return found


class Encode(Step):
    """The place of each value among the categories of its column, or a column for each: OrdinalEncoder, OneHotEncoder.

    Parameters
    ----------
    categories : list of (ndarray or list)
        Numbers, or texts with None for a gap.
    dropped : list of int
        The category of each column that gets no column; -1 for none. For one column each: [].
    unknown : float, optional
        What stands for a value that is no category, which is refused if None; with columns any number, and they are 0.
    gap : ndarray [width]
        What stands for a gap that is a category of a column, where it gets no column of its own.
    """

    kind = "encode"

    def __init__(
        self, categories: Sequence[Any], hot: bool, dropped: Sequence[int], unknown: float | None, gap: np.ndarray
    ) -> None:
        self.width = len(categories)
        self.categories, self.hot, self.dropped = list(categories), hot, list(dropped)
        self.unknown, self.gap = unknown, gap
        self._places: list[dict[Any, int]] = []
        for known in self.categories:
            places = {_key(value): i for i, value in enumerate(known)}
            if not places or len(places) < len(known):
                raise ValueError("no categories" if not places else "a category that is there twice")
            self._places.append(places)
        sizes = [len(known) for known in self.categories]
        if hot and (len(dropped) != self.width or not all(-1 <= k < n for k, n in zip(dropped, sizes, strict=True))):
            raise ValueError("dropped categories that are not there")

    @classmethod
    def read(cls, record: _Record) -> Encode:
        """Return the step that a file holds."""
        width, hot = record.size("width"), record.flag("hot")
        categories: list[Any] = []
        for k in range(width):
            texts = record.texts(f"texts {k}", gaps=True)
            categories.append(record.numbers(f"categories {k}", None, gaps=True) if texts is None else texts)
        dropped = record.numbers("dropped", width).astype(np.int64).tolist() if hot else []
        unknown = record.numbers("unknown", 1, gaps=True)[0] if record.flag("takes_unknown") else None
        gap = record.numbers("gap", width, gaps=True)
        return cls(categories, hot, dropped, None if unknown is None else float(unknown), gap)

    def words(self) -> list[set[str]]:
        return [{word for word in places if isinstance(word, str)} for places in self._places]

    @property
    def makes(self) -> int:
        if not self.hot:
            return self.width
        return sum(len(places) for places in self._places) - sum(k >= 0 for k in self.dropped)

    def describe(self) -> dict[str, Any]:
        texts = {f"texts {k}": known if isinstance(known, list) else None for k, known in enumerate(self.categories)}
        return {"width": self.width, "hot": self.hot, "takes_unknown": self.unknown is not None, **texts}

    def tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        for k, known in enumerate(self.categories):
            if not isinstance(known, list):
                yield f"categories {k}", known
        if self.hot:
            yield "dropped", np.array(self.dropped, np.float64)
        if self.unknown is not None:
            yield "unknown", np.array([self.unknown], np.float64)
        yield "gap", self.gap

    def kinds(self) -> list[tuple[str, bool]]:
        return [
            (TEXT if isinstance(known, list) else NUMBER, self.unknown is not None or None in places)
            for known, places in zip(self.categories, self._places, strict=True)
        ]

    def __call__(self, columns: list[Column], where: Where) -> list[Column]:
        found = []
        for k, column in enumerate(columns):
            places = self._places[k]
            index = np.array([places.get(_key(value), -1) for value in column.values.tolist()], np.int64)
            if self.unknown is None and (index < 0).any():
                i = int(np.argmax(index < 0))
                known = ", ".join("a gap" if c is None else str(c)[:40] for c in list(places)[:10])
                more = f" ... ({len(places)} in all)" if len(places) > 10 else ""
                raise DataError(
                    f"[preprocessing] {where(i, column.origin)}: expected one of {known}{more}. "
                    f"Received: {column.values[i]!r}."
                )
            if not self.hot:
                codes = index.astype(np.float64)
                codes[index < 0] = np.nan if self.unknown is None else self.unknown
                if None in places:
                    codes[index == places[None]] = self.gap[k]
                found.append(Column(codes, column.origin))
                continue
            kept = [c for c in range(len(places)) if c != self.dropped[k]]
            found += [Column((index == c).astype(np.float64), column.origin) for c in kept]
        return found


class Chain(Step):
    """Steps one after another: Pipeline."""

    kind = "chain"

    def __init__(self, steps: Sequence[Step], width: int) -> None:
        self.steps, self.width = list(steps), width
        count = width
        for step in self.steps:
            if step.width != count:
                raise ValueError(f"a step for {step.width} columns after one that makes {count}")
            count = step.makes

    def words(self) -> list[set[str]]:
        found = super().words()
        for step in self.steps:
            found = [known | more for known, more in zip(found, step.words(), strict=True)]
            if step.makes != step.width or isinstance(step, Encode | Columns):
                break  # what comes out is no longer column for column
        return found

    @property
    def makes(self) -> int:
        return self.steps[-1].makes if self.steps else self.width

    def describe(self) -> dict[str, Any]:
        return {"width": self.width}

    def kinds(self) -> list[tuple[str, bool]]:
        found = self.steps[0].kinds() if self.steps else [(NUMBER, False)] * self.width
        if len(self.steps) > 1 and isinstance(self.steps[0], Standardize | Scale):  # which leave gaps as they are
            after = Chain(self.steps[1:], self.width).kinds()
            return [(kind, gap) for (kind, _), (_, gap) in zip(found, after, strict=True)]
        return found

    def __call__(self, columns: list[Column], where: Where) -> list[Column]:
        for step in self.steps:
            columns = applied(step, columns, where)
        return columns


class Columns(Step):
    """A step for each choice of columns, what comes out side by side: ColumnTransformer. Without a step they pass."""

    kind = "columns"

    def __init__(self, parts: Sequence[tuple[Sequence[int], Step | None]], width: int) -> None:
        self.parts, self.width = [(list(places), step) for places, step in parts], width
        for places, step in self.parts:
            if not all(0 <= k < width for k in places) or (step is not None and step.width != len(places)):
                raise ValueError("columns that are not there")

    def words(self) -> list[set[str]]:
        found = super().words()
        for places, step in self.parts:
            for k, known in zip(places, step.words() if step else [], strict=step is not None):
                found[k] |= known
        return found

    @property
    def makes(self) -> int:
        return sum(len(places) if step is None else step.makes for places, step in self.parts)

    def describe(self) -> dict[str, Any]:
        return {"width": self.width, "places": [places for places, _ in self.parts]}

    def kinds(self) -> list[tuple[str, bool]]:
        found: list[list[tuple[str, bool]]] = [[] for _ in range(self.width)]
        for places, step in self.parts:
            for k, kind in zip(places, step.kinds() if step else [(NUMBER, False)] * len(places), strict=True):
                found[k].append(kind)
        for k, kinds in enumerate(found):
            if len({kind for kind, _ in kinds}) > 1:
                raise ValueError(f"column {k + 1} as numbers and as texts")
        return [(kinds[0][0], all(gap for _, gap in kinds)) if kinds else ("", True) for kinds in found]

    def __call__(self, columns: list[Column], where: Where) -> list[Column]:
        found: list[Column] = []
        for places, step in self.parts:
            some = [columns[k] for k in places]
            found += some if step is None else applied(step, some, where)
        return found


KINDS: dict[str, Any] = {step.kind: step for step in (Standardize, Scale, Impute, Encode, Chain, Columns)}


def applied(step: Step, columns: list[Column], where: Where) -> list[Column]:
    """Return what a step makes of columns, of which there must be as many as it takes."""
    if len(columns) != step.width:
        raise DataError(f"[preprocessing] expected {step.width} columns. Received: {len(columns)}.")
    for column, (kind, _) in zip(columns, step.kinds(), strict=True):
        if kind and (kind == TEXT) != (column.values.dtype == object):
            raise DataError(f"[preprocessing] a step of kind {step.kind!r} expected {kind}s. Received: others.")
    return step(columns, where)


def gaps(values: np.ndarray) -> np.ndarray:
    """Return where a column has none."""
    if values.dtype == object:
        return np.array([value is None for value in values.tolist()], bool)
    return np.isnan(values)


def _key(value: Any) -> Any:
    return None if value is None or value != value else value


class _Record:
    """What a file says of a step, taken out piece by piece and checked; what is left over is refused."""

    def __init__(self, table: Any, tensors: Tensors, prefix: str) -> None:
        if not isinstance(table, dict):
            raise ValueError("a step that is no table")
        self.table, self.all_tensors, self.prefix = dict(table), tensors, prefix

    def size(self, name: str) -> int:
        value = self.table.pop(name, None)
        if type(value) is not int or not 0 <= value <= 1 << 20:
            raise ValueError(f"{name} {str(value)[:40]!r}")
        return value

    def flag(self, name: str) -> bool:
        value = self.table.pop(name, None)
        if type(value) is not bool:
            raise ValueError(f"{name} {str(value)[:40]!r}")
        return value

    def texts(self, name: str, gaps: bool = False) -> list[Any] | None:
        value = self.table.pop(name, "")
        good = value is None or (
            isinstance(value, list) and all(isinstance(v, str) or (gaps and v is None) for v in value)
        )
        if not good:
            raise ValueError(f"{name} that are no texts")
        return value

    def numbers(self, name: str, size: int | None, gaps: bool = False) -> np.ndarray:
        value = self.all_tensors.pop(f"{self.prefix}{name}", None)
        if value is None:
            raise ValueError(f"no tensor {self.prefix}{name}")
        if value.dtype != np.float64 or value.ndim != 1 or (size is not None and len(value) != size):
            raise ValueError(f"tensor {self.prefix}{name} of shape {value.shape}, {value.dtype}")
        if not (np.isfinite(value) | (np.isnan(value) & gaps)).all():
            raise ValueError(f"tensor {self.prefix}{name} with numbers that are not finite")
        return value

    def children(self, name: str) -> list[Any]:
        value = self.table.pop(name, None)
        if not isinstance(value, list) or len(value) > MOST_STEPS:
            raise ValueError(f"{name} that are no list")
        return value


def described(step: Step, prefix: str = "") -> tuple[dict[str, Any], Tensors]:
    """Return what a file says of a step and those in it, and their numbers by name."""
    table = {"kind": step.kind, **step.describe()}
    tensors = {f"{prefix}{name}": np.asarray(array, np.float64) for name, array in step.tensors()}
    inner: list[Step | None] = []
    if isinstance(step, Chain):
        inner = list(step.steps)
    elif isinstance(step, Columns):
        inner = [child for _, child in step.parts]
    if isinstance(step, Chain | Columns):
        table["steps"] = []
        for i, child in enumerate(inner):
            of_child, more = ({}, {}) if child is None else described(child, f"{prefix}{i}.")
            table["steps"].append(of_child or None)
            tensors.update(more)
    return table, tensors


def made(table: Any, tensors: Tensors, prefix: str = "", depth: int = 0) -> Step:
    """Return the step that a file describes; its numbers are taken out of `tensors`.

    Raises
    ------
    ValueError
        The message is what is wrong, in words.
    """
    if depth > 10:
        raise ValueError("steps within steps, more than 10 deep")
    record = _Record(table, tensors, prefix)
    kind = record.table.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"a step of kind {str(kind)[:40]!r}")
    step: Step
    if kind in (Chain.kind, Columns.kind):
        width = record.size("width")
        inner = [
            None if child is None and kind == Columns.kind else made(child, tensors, f"{prefix}{i}.", depth + 1)
            for i, child in enumerate(record.children("steps"))
        ]
        if kind == Chain.kind:
            step = Chain([child for child in inner if child is not None], width)
        else:
            places = record.children("places")
            if len(places) != len(inner) or not all(
                isinstance(p, list) and all(type(k) is int for k in p) for p in places
            ):
                raise ValueError("places that are no lists of columns")
            step = Columns(list(zip(places, inner, strict=True)), width)
    else:
        step = KINDS[kind].read(record)
    if record.table:
        raise ValueError(f"{sorted(record.table)[0][:40]!r}, which no step of kind {kind!r} has")
    return step
