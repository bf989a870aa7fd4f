"""Dense layers of a batch in segments that are computed side by side: one product for all rows.

A row of a product does not depend on the others, so that the product of all segments gives each its own bits; of few
rows each they would take longer one by one. The gradient of the weights is a sum over rows: each segment's is formed by
itself, and they are joined in their order, in the cache. See pynn/train/abreast.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from pynn.core import _core, config
from pynn.core.card import CARDS, Card, Grad, Lowered, Sample, Spec, register
from pynn.core.config import ISA_NAMES
from pynn.core.graph import execute
from pynn.core.state import no_grad, state
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.common import INT64, Rng, need_float, need_held, size
from pynn.ops.segments import in_order

__all__ = ["MOST_TERMS", "cut", "numbers", "shared_dense", "shares", "vectors", "whole_of"]

MOST_TERMS = 2560  # of more, blocks would be too narrow (pn_gemm_pieces_nc of csrc/gemm_scratch.h)
MOST_PIECES = 64  # GEMM_PIECES of csrc/kernels/gemm.h
WAITING = 8  # sums of them that wait for a neighbour (pynn/core/kernels/pieces.pxd): one of each power of two, and one
numbers = itertools.count(1)


def _joined_infer(dz: Tensor, x: Tensor, cuts: Tensor, biased: bool) -> Lowered:
    need_float("dense_joined", dz, x)
    need_held("dense_joined", "cuts", cuts, INT64)
    m, k, n, pieces = size(x.shape[:-1]), x.shape[-1], dz.shape[-1], cuts.size - 1
    if size(dz.shape[:-1]) != m or not 0 < m <= MOST_TERMS or min(k, n) < 2 or not 1 < pieces <= MOST_PIECES:
        raise ShapeError(
            f"[dense_joined] expected 2 to {MOST_PIECES} pieces of at most {MOST_TERMS} rows, of 2 columns or more. "
            f"Received: {dz.shape}, {x.shape} and {pieces} pieces."
        )
    item = x.dtype.itemsize
    scratch = max(_core.gemm_pieces_scratch(k, n, m, item), WAITING * n * item)
    outs = Spec((k, n), x.dtype), Spec((n,), x.dtype) if biased else None
    return Lowered(outs, (m, n, k, pieces), dtype=x.dtype, scratch=scratch)


def _joined_ref(dz: np.ndarray, x: np.ndarray, cuts: np.ndarray, biased: bool) -> tuple[Any, ...]:
    dz, x = dz.reshape(-1, dz.shape[-1]), x.reshape(-1, x.shape[-1])
    pieces = [slice(a, b) for a, b in itertools.pairwise(cuts.tolist())]
    dw = in_order([x[at].T @ dz[at] for at in pieces])
    return dw, in_order([dz[at].sum(0) for at in pieces]) if biased else None


def _joined_samples(r: Rng) -> Iterator[Sample]:
    for cuts, k, n in (
        ([0, 5, 9], 7, 4),
        ([0, 3, 5, 8, 16], 33, 70),
        ([0, 2, 4, 6, 9, 13], 130, 300),
        ([0, 1, 2], 2, 2),
        ([0, 340, 350], 7, 70),
        ([0, 300, 601], 50, 300),
    ):
        for biased in (True, False):
            operands = (r(cuts[-1], n), r(cuts[-1], k), Tensor.state(np.array(cuts)))
            yield Sample(operands, {"biased": biased})


_JOINED = register(
    Card(
        "dense_joined",
        _joined_infer,
        "dense_joined",
        differentiable=False,
        ref=_joined_ref,
        samples=_joined_samples,
        needed=(0, 1, 2),
        flops=lambda low: 2.0 * low.dims[0] * low.dims[1] * low.dims[2],
        extra={"failure": "expected cuts between its rows, in order"},
        doc="x^T dz and the sums of columns of dz, of pieces of the rows, joined in their order.",
    )
)


class _Product(NamedTuple):
    """A product of the rows of several segments."""

    x: Tensor
    y: Tensor
    w: Tensor
    b: Tensor | None


def _piece_infer(y: Tensor, *_: Any, activation: str, par: Any, number: int) -> Lowered:
    return Lowered((Spec(y.shape, y.dtype),))


def _piece_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
    y, x, w, b = g.inputs
    _, *needs = g.needs
    product: _Product = state.shared.products[g.attrs["number"]]
    attrs = {"activation": g.attrs["activation"], "par": g.attrs["par"]}
    # Another use of the weights has a share in their gradient.
    fit = all(place is not None and g.alone[i] for i, place in enumerate(g.dest) if i > 1 and g.inputs[i] is not None)
    fit = fit and all(n for n, t in zip(needs[1:], (w, b), strict=True) if t is not None)
    key = ("dense.grad", g.attrs["number"], tuple(needs), fit)

    def answer(asked: list[Any]) -> list[Any]:
        found = _pulled_back(product, [dy for dy, _ in asked], attrs, needs[0])
        cuts = state.shared.cuts([size(dy.shape[:-1]) for dy, _ in asked]) if fit else None
        joined = cuts is not None and product.x.shape[-1] > 1 and w.shape[1] > 1 and cuts.view()[-1] <= MOST_TERMS
        if joined:
            execute(_JOINED, (found[0], product.x, cuts), {"biased": b is not None}, out=asked[0][1])
            state.shared.joined.update(id(t) for t in (w, b) if t is not None)
        counts = [dy.shape[0] for dy, _ in asked]
        return [(dx, dz, joined) for dx, dz in zip(cut(found[1], counts), cut(found[0], counts), strict=True)]

    dx, dz, joined = state.shared.ask(key, (dy, g.dest[2:]), answer, apart=True)
    if joined:  # all went to the first segment's place
        return None, dx, *g.dest[2:]
    found = execute(CARDS["dense.grad"], (dz, y, x, w, b), {"needs": (False, *needs[1:])}, out=(None, *g.dest[2:]))
    return None, dx, *found[1:3]


_PIECE = Card("dense_piece", _piece_infer, vjp=_piece_vjp)  # some rows of a product, which is no op of the table


def _pulled_back(product: _Product, dys: list[Tensor], attrs: dict[str, Any], wanted: bool) -> tuple[Any, Any]:
    """Return dz and dx of all rows."""
    dy = whole_of(dys)
    if not wanted and attrs["activation"] == "linear":
        return dy, None
    operands = (dy, product.y, product.x, product.w, product.b)
    dx, _, _, dz = execute(CARDS["dense.grad"], operands, {**attrs, "needs": (wanted, False, False)})
    return dy if dz is None else dz, dx


def whole_of(parts: Sequence[Tensor]) -> Tensor:
    """Return tensors one after the other: as they lie, where they lie so."""
    first, at = parts[0], parts[0].buffer.offset
    root = first.buffer.root()
    for t in parts:
        if t.buffer.root() is not root or t.buffer.offset != at:
            out = execute(CARDS["concat"], tuple(t.detach() for t in parts), {"axis": 0})[0]
            return out
        at += t.nbytes
    shape = (sum(t.shape[0] for t in parts), *first.shape[1:])
    return Tensor(root.view(first.buffer.offset, at - first.buffer.offset), shape, first.dtype)


def cut(whole: Tensor | None, counts: list[int]) -> list[Any]:
    """Return parts of so many rows, where they lie."""
    if whole is None:
        return [None] * len(counts)
    made, at, row = [], 0, whole.nbytes // max(whole.shape[0], 1)
    for count in counts:
        made.append(Tensor(whole.buffer.view(at, count * row), (count, *whole.shape[1:]), whole.dtype))
        at += count * row
    return made


def shares(x: Tensor, w: Tensor, activation: str) -> bool:
    """Tell whether a product may be one of all rows.

    Not that of a single row, whose gradient sums in another order, and not where a loss may look for what an
    activation was given.
    """
    plain = activation in ("linear", "relu") and x.lengths is None and w.node is None
    return vectors() and plain and size(x.shape[:-1]) > 1 and x.dtype == w.dtype


def vectors() -> bool:
    """Tell whether rows of products do not depend on each other, as those of BLAS and of bfloat16 do."""
    return config.matrix_unit() is None and not ISA_NAMES[config.isa()].startswith("generic")


def shared_dense(x: Tensor, w: Tensor, b: Tensor | None, activation: str, par: float | None) -> Tensor:
    """Return act(x w + b) of the segment under way, from the product of all rows of the segments."""
    attrs = {"activation": activation, "par": par}
    CARDS["dense"].infer(x, w, b, **attrs)  # raises as it does
    key = ("dense", id(w), id(b), x.shape[1:], activation, par)

    def answer(xs: list[Tensor]) -> list[Any]:
        with no_grad():
            whole = whole_of(xs)
            y = execute(CARDS["dense"], (whole, w, b), attrs)[0]
        number = next(numbers)
        state.shared.products[number] = _Product(whole, y, w, b)
        return [(part, number) for part in cut(y, [x.shape[0] for x in xs])]

    y, number = state.shared.ask(key, x.detach(), answer, apart=True)
    return execute(_PIECE, (y, x, w, b), {**attrs, "number": number})[0]
