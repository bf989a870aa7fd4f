"""Recurrent layers as compositions of C kernels, for targets that have no Python: products, and the gates of each step.

The loops over time of ``pynn/core/kernels/rnn.pyx``, written out: the input's projection of all steps is one product,
each step a product with the recurrent weights and one cell; backwards the same in turn, then the products that give the
weights' gradients. Each number is computed from the same terms in the same order, so the bits are the same.
``csrc/web/recurrent.h`` has these kernels, which targets with Python do not need.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pynn.core import _core
from pynn.core.card import CARDS, Card, Lowered
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.ops.rnn import CELLS, COLUMNS, GATES, PACKED_TO, WIDE

__all__ = ["Part", "backward", "forward"]

RNN, LSTM, GRU, GRU_AFTER = CELLS.values()
BACK, RESET_GATES, STATES, STATES_AFTER, RESET_BACK = 4, 8, 9, 10, 11  # csrc/pn.h
F32, ITEM = np.dtype("float32"), 4
#: Operands of rnn_step: what it writes (some of it is read before), and what it only reads.
WRITTEN = ("gates", "cell", "state", "reset", "y", "dz", "dh", "dc", "next", "masked")
READ = ("before", "bias", "dy", "prev", "h0", "mask", "peep", "lengths")


def _nowhere(*_: Any, **__: Any) -> Lowered:
    raise NotImplementedError("a kernel of targets without Python")


KERNELS = ("rnn_gemm", "rnn_pack", "rnn_product", "rnn_mask", "rnn_peep", "rnn_step")
GEMM, PACK, PRODUCT, MASK, PEEP, STEP = (Card(name, _nowhere, name) for name in KERNELS)
PADDED = Card("mask_steps", _nowhere, "mask_steps")


class Part(NamedTuple):
    """An instruction that Python has no kernel for: it is written down, and never run here."""

    card: Card
    buffers: tuple[Any, ...]
    n_out: int
    dims: tuple[int, ...]
    pars: tuple[float, ...]
    scratch_bytes: int
    dtype: int
    info: Any

    def plain(self) -> tuple[tuple[int, ...], tuple[float, ...], int]:
        """Return what the kernel reads beside its operands, as instructions do."""
        return self.dims, self.pars, 0


class _Loop:
    """A recurrent instruction that is being written as others; `made` is what came of it so far."""

    def __init__(self, instr: Any, instruction: Callable[..., Any], sums: Any = None):
        dims, pars, _ = instr.plain()
        self.instr, self.instruction, self.sums = instr, instruction, sums
        self.n, self.t, self.d, self.h, self.cell, self.reverse, self.act = (*dims, 0, 0, 0, 0, 0, 0, 0)[:7]
        self.par, self.scale = (*pars, 0.0, 0.0)[:2]
        self.columns, self.width = COLUMNS[self.cell] * self.h, GATES[self.cell] * self.h
        self.rows = self.t * self.n
        self.made: list[Any] = []
        self.lengths: Any = None

    def refuse(self, what: str, operand: Any) -> None:
        if operand is not None:
            where = f" (layer {self.instr.info.scope!r})" if self.instr.info.scope else ""
            raise DataError(f"[export] expected a recurrent layer without {what} for a page. Received: one{where}.")

    def take(self, lengths: Any, several: bool) -> None:
        """Take the lengths of sequences, if cells may have them."""
        if not several:
            self.refuse("sequences of several lengths", lengths)
        self.lengths = lengths

    def without_padding(self, x: Any) -> Any:
        """Add a copy of x [N, T, D] with zeros as padding: what stands there may be NaN, and 0 NaN is not 0."""
        if self.lengths is None:
            return x
        made = self.room(self.n, self.t, self.d).buffer
        dims = (self.n, self.t, self.d, 0)
        self.made.append(Part(PADDED, (made, x, self.lengths), 1, dims, (0.0,), 0, 0, self.instr.info))
        return made

    def room(self, *shape: int) -> Tensor:
        """Return a temporary."""
        return Tensor(_core.Buffer.new(int(np.prod(shape)) * ITEM), shape, F32)

    def times(self) -> list[int]:
        return list(range(self.t))[:: -1 if self.reverse else 1]

    def use(self, name: str, out: Any, *inputs: Tensor, **attrs: Any) -> None:
        """Add the instruction of an op that writes to a buffer."""
        self.made.append(self.instruction(CARDS[name], (out,), inputs, self.instr, **attrs))

    def set(self, out: Any, source: Any, count: int) -> None:
        """Add a copy of so many numbers from a buffer, or of zeros if there is none."""
        if source is None:
            self.use("zeros", out, shape=(count,), dtype=F32)
        else:
            self.use("copy", out, Tensor(source, (count,), F32))

    def swapped(self, x: Any, a: int, b: int, c: int, out: Any = None) -> Any:
        """Add a copy [b, a, c] of [a, b, c]; return the buffer."""
        if (a == 1 or b == 1) and out is None:
            return x
        out = self.room(b, a, c).buffer if out is None else out
        self.use("transpose", out, Tensor(x, (a, b, c), F32), axes=(1, 0, 2))
        return out

    def add(self, card: Card, buffers: tuple[Any, ...], n_out: int, dims: tuple[int, ...], scratch: int = 0) -> None:
        """Add an instruction that Python has no kernel for."""
        par = self.scale if card is MASK else self.par
        self.made.append(Part(card, buffers, n_out, dims, (par,), scratch, 0, self.instr.info))

    def gemm(self, c: Any, a: Any, b: Any, m: int, n: int, k: int, steps: tuple[int, int, int, int], ldc: int,
             bias: Any = None, most: Any = None) -> None:  # fmt: skip
        """Add C = op(A) op(B) (+ bias); steps: of rows and columns of A and of B; most: of as many terms as it says."""
        scratch = _core.gemm_scratch(m, n, k, steps[1] != 1, steps[3] != 1, ITEM)
        buffers = (c, a, b, bias) if most is None else (c, a, b, bias, most)
        self.add(GEMM, buffers, 1, (m, n, k, *steps, ldc), scratch)

    def weights(self, u: Any, turned: bool = False) -> tuple[Any, Any]:
        """Add the packing of u, or of its transpose; return it, and that of U_g for the cells of a gru."""
        first = self.columns if self.cell < GRU else 2 * self.h
        made = []
        for skip, count in ((0, first), (first, self.columns - first)):
            n, k = (self.h, count) if turned else (count, self.h)
            steps = (1, self.columns) if turned else (self.columns, 1)
            packed = self.room(k, -(-n // PACKED_TO) * PACKED_TO).buffer if count else None
            if packed is not None:
                self.add(PACK, (packed, _window(u, skip, self.h * self.columns - skip)), 1, (n, k, *steps))
            made.append(packed)
        return made[0], made[1]

    def product(self, c: Any, a: Any, packed: Any, n: int, k: int, lda: int, ldc: int, adds: bool = True) -> None:
        """Add C = A B (+ C) with B from weights(), for all sequences."""
        self.add(PRODUCT, (c, a, packed, *((c,) if adds else ())), 1, (self.n, n, k, lda, ldc, int(adds)))

    def step(self, what: int, ldy: int = 0, t: int = 0, **operands: Any) -> None:
        """Add one step of the cell. What it updates stands among what it reads too, so that nobody drops its source."""
        operands["lengths"] = self.lengths
        buffers = [operands.pop(key, None) for key in (*WRITTEN, *READ)]
        assert not operands
        dims = (what, self.n, self.h, self.act, ldy, self.h, t)
        again = tuple(b for b in buffers[: len(WRITTEN)] if b is not None)
        self.add(STEP, (*buffers, *again), len(WRITTEN), dims)

    def mask(self, kept: Any) -> Any:
        """Add what recurrent dropout multiplies states by; return its buffer, or None without any."""
        if kept is None:
            return None
        made = self.room(self.n, self.h).buffer
        self.add(MASK, (made, kept), 1, (self.n * self.h,))
        return made

    def state(self, buffer: Any) -> Tensor:
        """Return a buffer as states [N, H]."""
        return Tensor(buffer, (self.n, self.h), F32)

    def row(self, buffer: Any, t: int, width: int, skip: int = 0) -> Any:
        """Return the rows of time t of a time-major buffer, from column `skip` on."""
        if buffer is None:
            return None
        return _window(buffer, t * self.n * width + skip, self.n * width - skip)

    def output(self, buffer: Any, t: int) -> Any:
        """Return the numbers of time t of [N, T, H]: rows T H apart."""
        if buffer is None:
            return None
        return _window(buffer, t * self.h, (self.n - 1) * self.t * self.h + self.h)


def _window(buffer: Any, first: int, count: int) -> Any:
    return buffer.view(first * ITEM, count * ITEM) if count > 0 else buffer.view(0, 0)  # of no sequences


def forward(instr: Any, instruction: Callable[..., Any], several: bool = False) -> list[Any]:
    """Return the instructions that give what ``rnn_fwd`` gives.

    Parameters
    ----------
    instr : Instr
    instruction : callable
        Returns the instruction of a card; see :func:`pynn.export.composed.instruction`.
    several : bool, default False
        Whether cells may take lengths.

    Raises
    ------
    DataError
        If the sequences have several lengths.
    """
    loop = _Loop(instr, instruction)
    y, h, c, gates, cells, x, w, u, b, h0, c0, peep, lengths, kept = instr.buffers
    loop.take(lengths, several)
    n, t, d, size, cell, width = loop.n, loop.t, loop.d, loop.h, loop.cell, loop.width
    first = width if cell < GRU else 2 * size
    loop.set(h, h0, n * size)
    bias = b
    if cell == GRU_AFTER and b is not None:  # both biases of z and r, that of the input alone for g
        bias = loop.room(3 * size).buffer
        both = (Tensor(_window(b, at, 2 * size), (2 * size,), F32) for at in (0, 3 * size))
        loop.use("add", _window(bias, 0, 2 * size), *both)
        loop.set(_window(bias, 2 * size, size), _window(b, 2 * size, size), size)
    own = None if cell != GRU_AFTER or b is None else _window(b, 5 * size, size)
    moved = loop.swapped(x, n, t, d)
    loop.gemm(gates, moved, w, loop.rows, loop.columns, d, (d, 1, loop.columns, 1), width, bias)
    packed, inner = loop.weights(u)
    reset = loop.room(n, size).buffer if cell == GRU else None
    mask, before, meets = loop.mask(kept), c0, h
    if mask is not None:
        meets = loop.room(n, size).buffer
        loop.use("mul", meets, loop.state(h), loop.state(mask))
    dropped = {"mask": mask, "masked": None if mask is None else meets}
    for i, at in enumerate(loop.times()):
        z = loop.row(gates, at, width)
        if i or h0 is not None:
            loop.product(z, meets, packed, first, size, size, width)
        if cell == GRU_AFTER:  # at the first step of zeros these are zeros
            loop.product(loop.row(gates, at, width, 3 * size), meets, inner, size, size, size, width, adds=False)
        if cell == GRU:
            loop.step(RESET_GATES, t=at, gates=z, state=h, reset=reset, **dropped)
            loop.product(loop.row(gates, at, width, 2 * size), reset, inner, size, size, size, width)
        now = loop.row(cells, at, size)
        seen = {"before": before, "bias": own, "peep": peep, **dropped}
        loop.step(cell, t * size, at, gates=z, cell=now, state=h, y=loop.output(y, at), **seen)
        before = now
    if c is not None:
        loop.set(c, before, n * size)
    return loop.made


def backward(instr: Any, instruction: Callable[..., Any], sums: Callable[..., Any], several: bool = False) -> list[Any]:
    """Return the instructions that give what ``rnn_bwd`` gives.

    Parameters
    ----------
    instr : Instr
    instruction : callable
        Returns the instruction of a card; see :func:`pynn.export.composed.instruction`.
    sums : callable
        Returns the instruction of sums over rows; see :func:`pynn.export.composed.row_sums`.
    several : bool, default False
        Whether cells may take lengths.

    Raises
    ------
    DataError
        If the sequences have several lengths.
    """
    loop = _Loop(instr, instruction, sums)
    dz, dx, dw, du, db, dh0, dc0, dpeep = instr.buffers[: instr.n_out]
    gates, dy, dlast, dcell, x, w, u, h0, c0, peep, lengths, kept, cells = instr.buffers[instr.n_out :]
    loop.take(lengths, several)
    n, t, d, size, cell, width, columns = loop.n, loop.t, loop.d, loop.h, loop.cell, loop.width, loop.columns
    first = width if cell < GRU else 2 * size
    last = (2 if cell == GRU else 3) * size  # the column of dz that met U_g
    dh = loop.room(n, size).buffer
    loop.set(dh, dlast, n * size)
    dc = loop.room(n, size).buffer if cell == LSTM else None
    if dc is not None:
        loop.set(dc, dcell, n * size)
    packed, inner = loop.weights(u, turned=True)
    reset = loop.room(n, size).buffer if cell == GRU else None
    resets = loop.room(t, n, size).buffer if cell == GRU else None
    states, times = loop.room(t, n, size).buffer, loop.times()
    mask = loop.mask(kept)
    to = dh if mask is None else loop.room(n, size).buffer
    loop.set(loop.row(states, times[0], size), h0, n * size)
    if cell >= GRU:  # a gru needs all states again; the others meet them on the way back
        for at, after in itertools.pairwise(times):
            ends = {"prev": loop.row(states, at, size), "next": loop.row(states, after, size)}
            loop.step(STATES if cell == GRU else STATES_AFTER, t=at, gates=loop.row(gates, at, width), **ends)
    for i in range(t - 1, -1, -1):
        at, slope = times[i], loop.row(dz, times[i], width)
        cell_before = c0 if i == 0 else loop.row(cells, times[i - 1], size)
        keeps = loop.row(states, times[i + 1], size) if cell < GRU and i < t - 1 else None
        loop.step(
            cell + BACK, t * size, at, gates=loop.row(gates, at, width), cell=loop.row(cells, at, size), dz=slope,
            dh=dh, dc=dc, next=keeps, before=cell_before if cell == LSTM else None, dy=loop.output(dy, at),
            prev=loop.row(states, at, size), h0=h0, peep=peep,
        )  # fmt: skip
        if cell == GRU:
            loop.product(reset, loop.row(dz, at, width, last), inner, size, size, width, size, adds=False)
            ends = {"prev": loop.row(states, at, size), "next": loop.row(resets, at, size)}
            loop.step(RESET_BACK, t=at, dz=slope, dh=dh, reset=reset, mask=mask, **ends)
        if i or dh0 is not None:
            loop.product(to, slope, packed, size, first, width, size, adds=mask is None)
            if cell == GRU_AFTER:
                loop.product(to, loop.row(dz, at, width, last), inner, size, size, width, size)
            if mask is not None:
                back = loop.room(n, size).buffer
                loop.use("mul", back, loop.state(to), loop.state(mask))
                loop.use("add", dh, loop.state(dh), loop.state(back))
    for out, source in ((dh0, dh), (dc0, dc)):
        if out is not None:
            loop.set(out, source, n * size)
    wide = cell < GRU and d + size <= WIDE
    moved, met = loop.swapped(loop.without_padding(x) if wide or n > 1 else x, n, t, d), states
    if mask is not None:  # u met the masked states
        met = loop.room(t, n, size).buffer
        loop.use("mul", met, Tensor(states, (t, n, size), F32), loop.state(mask))
    if wide:
        _wide(loop, (dw, du, db), (moved, met, dz))
    else:
        _narrow(loop, (dw, du, db), (moved, met, resets, dz), skip=h0 is None)
    if dpeep is not None:
        _peepholes(loop, dpeep, dz, cells, c0)
    if dx is not None:
        moved = loop.room(t, n, d).buffer if n > 1 and t > 1 else dx
        loop.gemm(moved, dz, w, loop.rows, d, columns, (width, 1, 1, columns), d)
        if moved is not dx:
            loop.swapped(moved, t, n, d, dx)
    return loop.made


def _wide(loop: _Loop, to: tuple[Any, ...], operands: tuple[Any, ...]) -> None:
    """Add the gradients of small weights: one product of [x, h, 1] and dz."""
    x, states, dz = operands
    rows, counts = loop.rows, (loop.d, loop.h, 1)
    ones = Tensor.state(np.ones(rows, F32)).buffer
    met = tuple(Tensor(part, (rows, n), F32) for part, n in zip((x, states, ones), counts, strict=True))
    whole, found = loop.room(rows, sum(counts)).buffer, loop.room(sum(counts), loop.columns).buffer
    loop.use("concat", whole, *met, axis=1)
    loop.gemm(found, whole, dz, sum(counts), loop.columns, rows, (1, sum(counts), loop.columns, 1), loop.columns)
    first = 0
    for out, count in zip(to, counts, strict=True):
        if out is not None:
            loop.set(out, _window(found, first * loop.columns, count * loop.columns), count * loop.columns)
        first += count


def _narrow(loop: _Loop, to: tuple[Any, ...], operands: tuple[Any, ...], skip: bool) -> None:
    """Add the gradients of other weights, each a product over all steps; `skip`: of u without the first, met by 0."""
    (dw, du, db), (x, states, resets, dz) = to, operands
    size, width, columns, rows = loop.h, loop.width, loop.columns, loop.rows
    if du is not None:
        from_row, k = loop.n * (skip and not loop.reverse), rows - loop.n * skip
        first = width if loop.cell < GRU else 2 * size
        parts = [(0, first, states, 0)]
        if loop.cell >= GRU:
            parts += [(first, size, resets if loop.cell == GRU else states, 2 if loop.cell == GRU else 3)]
        for column, n, met, at in parts:
            out = _window(du, column, size * columns - column)
            a = _window(met, from_row * size, (rows - from_row) * size)
            b = _window(dz, from_row * width + at * size, (rows - from_row) * width - at * size)
            loop.gemm(out, a, b, size, n, k, (1, size, width, 1), columns)
    if db is not None:
        _bias(loop, db, Tensor(dz, (rows, width), F32))
    if dw is not None:
        most = loop.lengths if loop.n == 1 else None  # the padding of one sequence is not part of the product
        loop.gemm(dw, x, dz, loop.d, columns, rows, (1, loop.d, width, 1), columns, most=most)


def _bias(loop: _Loop, db: Any, slopes: Tensor) -> None:
    size, after = loop.h, loop.cell == GRU_AFTER
    found = loop.room(loop.width).buffer if after else db
    loop.made.append(loop.sums(found, slopes, loop.instr))
    for to, source, count in ((0, 0, 3), (3, 0, 2), (5, 3, 1)) if after else ():
        loop.set(_window(db, to * size, count * size), _window(found, source * size, count * size), count * size)


def _peepholes(loop: _Loop, dpeep: Any, dz: Any, cells: Any, c0: Any) -> None:
    """Add the gradients of peepholes: i and f saw the memory of the step before, o that of its own."""
    n, size, width, rows = loop.n, loop.h, loop.width, loop.rows

    def one(slopes: Any, memory: Any, count: int, both: bool) -> None:
        loop.add(PEEP, (dpeep, slopes, memory, dpeep), 1, (count, size, int(both)))

    loop.set(dpeep, None, 3 * size)
    before = rows - n
    if before:
        dz_at, cells_at = (0, n) if loop.reverse else (n, 0)
        one(_window(dz, dz_at * width, before * width), _window(cells, cells_at * size, before * size), before, True)
    if c0 is not None:
        one(loop.row(dz, loop.times()[0], width), c0, n, True)
    one(dz, cells, rows, False)
