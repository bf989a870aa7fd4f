"""Recurrent layers of a batch in segments that are computed side by side: one loop over time for all rows.

Segments of few rows would stream the recurrent weights from memory at every step for two or three rows of products.
A row's state does not depend on the other rows, so that one loop gives each segment its own bits; the gradients of the
weights are sums over rows: each segment's is formed by itself, and they are joined in their order, in the cache. As
pynn/ops/dense_shared.py does for dense layers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pynn.core.card import CARDS, Card, Grad, Lowered, Spec
from pynn.core.graph import execute
from pynn.core.state import no_grad, state
from pynn.core.tensor import Tensor
from pynn.ops.dense_shared import MOST_TERMS, cut, numbers, vectors, whole_of

__all__ = ["shared_rnn", "shares_steps"]

CARRIED = ("x", "w", "u", "b", "h0", "c0")  # operands, of which those other than weights are rows of the batch
ROWS = (0, 4, 5)


class _Loop(NamedTuple):
    """What all rows have gone through."""

    card: Card
    operands: tuple[Tensor | None, ...]
    outs: tuple[Tensor | None, ...]


def shares_steps(x: Tensor, w: Tensor, u: Tensor, *others: Tensor | None) -> bool:
    """Tell whether a loop over time may be one for all rows: without `others` (peepholes, lengths, masks).

    As dense layers, and not of a single unit or feature, whose sums take another order.
    """
    shared = state.shared
    plain = shared is not None and shared.whole and all(t is None for t in (*others, x.lengths))
    sizes = plain and x.ndim == 3 and min(x.shape[2], u.shape[0]) > 1 and x.shape[0] * x.shape[1] > 1
    return bool(sizes and vectors() and w.node is None and u.node is None and x.dtype == w.dtype)


def _piece_infer(y: Any, h: Tensor, c: Any, *_: Any, **__: Any) -> Lowered:
    return Lowered(tuple(None if t is None else Spec(t.shape, t.dtype) for t in (y, h, c)))


def _piece_vjp(g: Grad, *dys: Any) -> tuple[Tensor | None, ...]:
    number, cell = g.attrs["number"], g.attrs["cell"]
    loop: _Loop = state.shared.products[number]
    needs = dict(zip(CARRIED, g.needs[3:], strict=True))
    weights = [i for i in (4, 5, 6) if g.inputs[i] is not None]
    # Another use of the weights has a share in their gradient.
    fit = all(g.needs[i] and g.dest[i] is not None and g.alone[i] for i in weights)
    key = ("rnn.grad", number, tuple(needs.values()), fit, tuple(dy is None for dy in dys))
    attrs = {name: v for name, v in g.attrs.items() if name not in ("number", "reset_after")} | {"cell": cell}

    def answer(asked: list[Any]) -> list[Any]:
        rows = [operands[0].shape[0] for _, operands, _ in asked]
        cuts = state.shared.cuts(rows) if fit else None
        if cuts is None or sum(rows) * loop.operands[0].shape[1] > MOST_TERMS:  # type: ignore[union-attr]
            kept = [_rows_of(t, rows) for t in loop.outs[3:]]
            return [(False, parts) for parts in zip(*kept, strict=True)]
        given = [_whole_or_none([grads[i] for grads, _, _ in asked]) for i in range(3)]
        found = _pulled_back(loop.card, loop.operands, loop.outs[3:], given, attrs, needs, asked[0][2], cuts)
        state.shared.joined.update(id(g.inputs[i]) for i in weights)
        parts = [[None] * len(rows) if found[i] is None else cut(found[i], rows) for i in ROWS]
        return [(True, part) for part in zip(*parts, strict=True)]

    operands = g.inputs[3:]
    joined, found = state.shared.ask(key, (dys, operands, g.dest[3:]), answer, apart=True)
    if joined:  # the weights' went to the first segment's place
        dx, dh0, dc0 = found
        return None, None, None, dx, *g.dest[4:7], dh0, dc0
    return None, None, None, *_pulled_back(loop.card, operands, found, dys, attrs, needs, g.dest[3:])


_PIECE = Card("rnn_piece", _piece_infer, vjp=_piece_vjp)  # some rows of a loop, which is no op of the table


def _pulled_back(
    card: Card, operands: Any, kept: Any, dys: Any, attrs: dict[str, Any], needs: dict[str, bool], dest: Any,
    *cuts: Tensor,
) -> tuple[Any, ...]:  # fmt: skip
    """Return the gradients by the operands."""
    x, w, u, b, h0, c0 = operands
    inputs = (kept[0], *dys, x, w, u, b, h0, c0, None, None, None, kept[1], *cuts)
    out = (None, None, *dest[1:4], None, None, None)
    return execute(CARDS[f"{card.name}.grad"], inputs, {**attrs, "needs": {**needs, "peep": False}}, out=out)[1:7]


def _rows_of(kept: Tensor | None, counts: list[int]) -> list[Tensor | None]:
    """Return copies of the segments' parts of what is kept by time, [T, N, ...]."""
    if kept is None:
        return [None] * len(counts)
    (t, _, width), made, first = kept.shape, [], 0
    for n in counts:
        attrs = {"starts": (0, first, 0), "steps": (1, 1, 1), "sizes": (t, n, width)}
        made.append(execute(CARDS["slice"], (kept,), attrs)[0])
        first += n
    return made


def _whole_or_none(parts: list[Tensor | None]) -> Tensor | None:
    return None if parts[0] is None else whole_of(parts)  # type: ignore[arg-type]


def shared_rnn(card: Card, cell: int, inputs: tuple[Any, ...], attrs: dict[str, Any]) -> tuple[Tensor | None, ...]:
    """Return y, h, c of the segment under way, from the loop of all rows; `inputs` are x, w, u, b, h0 and c0."""
    x, w, u, b, h0, c0 = inputs
    lstm = card.name == "lstm"
    needed = (x, w, u, b, h0, *((c0, None) if lstm else ()), None, None)
    card.infer(*needed, **attrs)  # raises as it does
    key = (card.name, id(w), id(u), id(b), x.shape[1:], h0 is None, c0 is None, tuple(attrs.items()))

    def answer(asked: list[Any]) -> list[Any]:
        with no_grad():
            x, h0, c0 = (_whole_or_none([given[i] for given in asked]) for i in range(3))
            outs = execute(card, (x, w, u, b, h0, *((c0, None) if lstm else ()), None, None), attrs)
        number = next(numbers)
        state.shared.products[number] = _Loop(card, (x, w, u, b, h0, c0), outs)
        rows = [given[0].shape[0] for given in asked]
        return [(parts, number) for parts in zip(*(cut(t, rows) for t in outs[:3]), strict=True)]

    given = tuple(None if t is None else t.detach() for t in (x, h0, c0))
    parts, number = state.shared.ask(key, given, answer, apart=True)
    return execute(_PIECE, (*parts, *inputs), {**attrs, "cell": cell, "number": number})
