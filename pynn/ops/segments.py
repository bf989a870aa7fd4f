"""What a step is made of that computes a batch in segments: where one begins, joining, logging, and calls of Python."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pynn.checks import is_integer, written
from pynn.core.card import Card, Lowered, Sample, Spec, register
from pynn.core.graph import execute
from pynn.core.kernels.hook import add_hook
from pynn.core.tensor import Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops.common import INT64, Rng, need_float, need_held

__all__ = ["DRAW", "MOST_JOINED", "begin", "call", "in_order", "join", "join_rows", "log"]

FLOAT64, INT32 = np.dtype("float64"), np.dtype("int32")
MOST_JOINED = 20  # inputs of one join (csrc/kernels/segments.h)
MOST_SEGMENTS = 1 << 30
DRAW = 32  # bits by which the number of a segment is shifted in the step that random ops read


def in_order(values: Sequence[Any]) -> Any:
    """Return the sum of what segments give, in their fixed order: neighbours first, then neighbours of these.

    What is left over where their number is no power of two is added from the right. None stands for an empty segment.

    Examples
    --------
    >>> in_order([1.0, 2.0, None, 4.0, 5.0])
    12.0
    """
    held: list[Any] = []
    for s, value in enumerate(values):
        total, bits = value, s
        while bits & 1:
            total, bits = _plus(held.pop(), total), bits >> 1
        held.append(total)
    while len(held) > 1:
        last = held.pop()
        held[-1] = _plus(held[-1], last)
    return held[0]


def _plus(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else a + b


def _begin_infer(offset: Tensor, step: Tensor, number: int, first: int, columns: int) -> Lowered:
    need_held("segment_begin", "the place of the batch", offset, INT64)
    need_held("segment_begin", "the number of the step", step, INT64)
    if not (is_integer(number, 0, MOST_SEGMENTS) and is_integer(first, 0) and is_integer(columns, 1)):
        raise ShapeError(
            "[segment_begin] expected a segment, its first row and columns to clear. "
            f"Received: {written(number)}, {written(first)} and {written(columns)}."
        )
    one = Spec((1,), INT64)
    return Lowered((one, one, Spec((columns,), FLOAT64)), (number, first, columns))


def _begin_ref(
    offset: np.ndarray, step: np.ndarray, place: Any, draw: Any, note: Any, number: int, first: int, columns: int
) -> tuple[np.ndarray, ...]:
    return offset + first, step + (number << DRAW), np.zeros(columns)


def _begin_samples(r: Rng) -> Iterator[Sample]:
    for number, columns in ((0, 2), (5, 4)):
        state = (np.array([1]), np.array([2]), Tensor.state(np.full(columns, 7.0)))
        attrs = {"number": number, "first": 3 * number, "columns": columns}
        yield Sample((np.array([64]), np.array([9])), attrs, state=state)


_BEGIN = register(
    Card(
        "segment_begin",
        _begin_infer,
        "segment_begin",
        mutates=True,
        differentiable=False,
        ref=_begin_ref,
        samples=_begin_samples,
        needed=(0, 1),
        doc="place = offset + first, draw = step + (number << 32), note = 0.",
    )
)


def _join_infer(*parts: Tensor) -> Lowered:
    if not 1 <= len(parts) <= MOST_JOINED or any(x is None for x in parts):
        raise ShapeError(f"[join] expected 1 to {MOST_JOINED} tensors. Received: {len(parts)}.")
    need_float("join", *parts)
    if len({x.shape for x in parts}) > 1:
        raise ShapeError(f"[join] expected tensors of one shape. Received: {[x.shape for x in parts]}.")
    return Lowered((Spec(parts[0].shape, parts[0].dtype),), (parts[0].size, len(parts)))


def _join_ref(*parts: np.ndarray) -> np.ndarray:
    total = parts[-1]
    for x in parts[-2::-1]:
        total = x + total
    return total


def _join_samples(r: Rng) -> Iterator[Sample]:
    for count, n in ((2, 70), (1, 5), (4, 20000), (3, 0)):
        yield Sample(tuple(r(n) for _ in range(count)))


def _join_errors(r: Rng) -> Iterator[Any]:
    yield (r(3), r(4)), {}, ShapeError, "one shape"
    yield (), {}, ShapeError, "1 to 20"
    yield (np.array([1]), np.array([2])), {}, DTypeError, "float32 or float64"


_JOIN = register(
    Card(
        "join",
        _join_infer,
        "join",
        inplace=True,
        differentiable=False,
        ref=_join_ref,
        samples=_join_samples,
        errors=_join_errors,
        doc="y = a0 + (a1 + (... + am)).",
    )
)


def _join_rows_infer(table: Tensor, marked: Tensor, rows: Tensor, count: Tensor) -> Lowered:
    need_float("join_rows", table)
    if table.ndim != 2:
        raise ShapeError(f"[join_rows] expected a table [V, D]. Received: {table.shape}.")
    need_held("join_rows", "marks", marked, INT32, table.shape[:1])
    need_held("join_rows", "rows", rows, INT32, table.shape[:1])
    need_held("join_rows", "how many are listed", count, INT64, (1,))
    lists = Spec(table.shape[:1], INT32)
    return Lowered((Spec(table.shape, table.dtype), lists, lists, Spec((1,), INT64)), table.shape, dtype=table.dtype)


def _join_rows_ref(
    b: np.ndarray, b_marked: Any, b_rows: np.ndarray, b_count: np.ndarray, a: np.ndarray, marked: np.ndarray,
    rows: np.ndarray, count: np.ndarray,
) -> tuple[Any, ...]:  # fmt: skip
    order = list(dict.fromkeys([*rows[: count[0]].tolist(), *b_rows[: b_count[0]].tolist()]))
    listed = rows.copy()
    listed[: len(order)] = order
    return a + b, np.isin(np.arange(len(marked)), order).astype(INT32), listed, np.array([len(order)])


def _join_rows_samples(r: Rng) -> Iterator[Sample]:
    for v, d, left, right in ((9, 3, [4, 1], [1, 7, 0]), (40, 130, [], [39]), (5, 17, [0, 1, 2, 3, 4], [2])):
        tables = []
        for chosen in (left, right):
            table, listed = np.zeros((v, d)), np.zeros(v, INT32)
            table[chosen] = r(len(chosen), d)
            listed[: len(chosen)] = chosen
            marks = np.isin(np.arange(v), chosen).astype(INT32)
            tables.append((table, Tensor.state(marks), Tensor.state(listed), Tensor.state(np.array([len(chosen)]))))
        yield Sample(tables[1], state=tables[0])


_JOIN_ROWS = register(
    Card(
        "join_rows",
        _join_rows_infer,
        "join_rows",
        mutates=True,
        extra={"failure": "expected lists of rows that the tables have"},
        differentiable=False,
        ref=_join_rows_ref,
        samples=_join_rows_samples,
        needed=(0, 1, 2, 3),
        doc="a += b, of tables of which few rows are not 0, and which list these.",
    )
)


def _log_infer(notes: Tensor, cursor: Tensor, check: bool) -> Lowered:
    need_held("log_segments", "the number of the step", cursor, INT64)
    if notes.dtype != FLOAT64 or notes.ndim != 2 or not notes.size or notes.shape[1] % 2 or notes.shape[1] > 40:
        raise ShapeError(
            f"[log_segments] expected float64 [segments, columns], columns in pairs. Received: {notes.dtype} "
            f"{notes.shape}."
        )
    sums = [Spec((2,), FLOAT64)] * (notes.shape[1] // 2)
    return Lowered((Spec((1,), FLOAT64), *sums), (*notes.shape, int(check)))


def _log_ref(notes: np.ndarray, cursor: np.ndarray, losses: np.ndarray, *sums: Any, check: bool) -> tuple[Any, ...]:
    total = in_order(list(notes))
    losses = losses.copy()
    losses[cursor[0]] = total[0] / total[1]
    return losses, *(old + total[2 * i : 2 * i + 2] for i, old in enumerate(sums))


def _log_samples(r: Rng) -> Iterator[Sample]:
    for segments in (1, 3, 8):
        for columns in (2, 6):
            sums = [Tensor.state(np.array([1.0, 2.0])) for _ in range(columns // 2)]
            notes = Tensor.state(np.abs(r(segments, columns)) + 1)
            yield Sample((notes, np.array([0])), {"check": True}, state=(Tensor.state(np.zeros(1)), *sums))


_LOG = register(
    Card(
        "log_segments",
        _log_infer,
        "log_segments",
        mutates=True,
        differentiable=False,
        ref=_log_ref,
        samples=_log_samples,
        needed=(0, 1),
        places=((1, 0),),
        doc="sums += the notes of all segments, joined in their order; losses[cursor] = their mean loss.",
    )
)


def _nothing() -> None:
    """Do nothing."""


_NOTHING = add_hook(_nothing)


def _call_infer(*read: Tensor, hook: int, writes: tuple[Any, ...]) -> Lowered:
    if not is_integer(hook):
        raise ShapeError(f"[call_hook] expected the number of a function. Received: {written(hook)}.")
    return Lowered(tuple(Spec(shape, np.dtype(dtype)) for shape, dtype in writes), (hook,))


def _call_samples(r: Rng) -> Iterator[Sample]:
    yield Sample((), {"hook": _NOTHING, "writes": (((2,), "float64"),)}, state=(Tensor.state(np.ones(2)),))


_CALL = register(
    Card(
        "call_hook",
        _call_infer,
        "call_hook",
        mutates=True,
        differentiable=False,
        ref=lambda old, hook, writes: (old,),
        samples=_call_samples,
        doc="A Python function is called, which writes to the outputs.",
    )
)


def begin(number: int, first: int, note: Tensor, outer: Any, inner: Any) -> None:
    """Let a segment begin: its place in the data and its random numbers, and an empty note of what it logs.

    Parameters
    ----------
    number, first : int
        Of the segment, and of its first row within the batch.
    note : Tensor, float64 [k]
    outer, inner : pynn.core.flat.Slots
        Of the batch, and of the segment.
    """
    attrs = {"number": number, "first": first, "columns": note.size}
    execute(_BEGIN, (outer.offset, outer.step), attrs, out=(inner.offset, inner.step, note))


def join(parts: Sequence[Tensor], out: Tensor) -> None:
    """Write a0 + (a1 + (... + am)) to `out`, which may be one of them."""
    parts = list(parts)
    while len(parts) > MOST_JOINED:
        execute(_JOIN, tuple(parts[-MOST_JOINED:]), out=(parts[-MOST_JOINED],))
        del parts[1 - MOST_JOINED :]
    execute(_JOIN, tuple(parts), out=(out,))


def join_rows(a: Tensor, b: Tensor) -> None:
    """Add the gradient b of a table to the gradient a, both with lists of their rows."""
    execute(_JOIN_ROWS, (b, *_listed(b)), out=(a, *_listed(a)))


def _listed(gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return gradient.rows.marked, gradient.rows.rows, gradient.rows.count


def log(notes: Tensor, slots: Any, losses: Tensor, sums: Sequence[Tensor], check: bool) -> None:
    """Add what all segments noted to the sums of the epoch; stop the program if the loss is not finite."""
    execute(_LOG, (notes, slots.cursor), {"check": check}, out=(losses, *sums))


def call(hook: int, writes: Sequence[Tensor]) -> None:
    """Call a function in every run of the program; it writes to state that does not move."""
    shapes = tuple((t.shape, str(t.dtype)) for t in writes)
    execute(_CALL, (), {"hook": hook, "writes": shapes}, out=tuple(writes))
