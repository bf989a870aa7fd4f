"""Recurrent layers: one op per layer and direction, through all time steps.

Sequences are [N, T, features]. A sequence that ends before T (see `lengths`) keeps its state from there on, puts out 0,
and has no gradient there. Kept for the gradient, per sequence and step: the activated gates (H values for simple_rnn,
4 H for lstm, 3 H or, with reset_after, 4 H for gru) and, for lstm, the cell state (H).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import pynn.core.kernels.rnn  # noqa: F401  (registers its kernels)
from pynn.checks import number
from pynn.core import _core
from pynn.core.card import CARDS, Card, Fan, Grad, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.tensor import Tensor, to_array
from pynn.errors import DataError, DTypeError, ShapeError, unknown_name
from pynn.ops.common import Rng, as_tensor, laid, need_float
from pynn.ops.dense_shared import WAITING
from pynn.ops.elementwise import FUSED
from pynn.ops.masks import takes_masks
from pynn.ops.rnn_ref import bad, gru_ref, lstm_ref, simple_rnn_ref, variants
from pynn.ops.rnn_shared import shared_rnn, shares_steps

INT32, UINT8 = np.dtype("int32"), np.dtype("uint8")
CELLS = {"simple_rnn": 0, "lstm": 1, "gru": 2, "gru_after": 3}
COLUMNS = (1, 4, 3, 3)  # blocks of H columns of w and u
GATES = (1, 4, 3, 4)  # blocks of H that are kept for the gradient
WIDE = 512  # features and units of which the gradients of all weights are one product
PACKED_TO = 16  # columns of packed weights are rounded up to this
BAD_LENGTHS = "expected lengths from 0 to T, the steps of a sequence"
RNN_ACTIVATIONS = ("tanh", "relu", "sigmoid", "linear")


def expect(name: str, what: str, x: Tensor | None, shape: tuple[int, ...], help: str = "") -> None:
    if x is not None and x.shape != shape:
        raise ShapeError(f"[{name}] expected {what} of shape {shape}. Received: {x.shape}.{help}")


def check_operands(name: str, cell: int, keep: float, x: Tensor, w: Tensor, u: Tensor, b: Any, h0: Any, c0: Any,
                   peep: Any, lengths: Any, mask: Any) -> tuple[int, int, int, int]:  # fmt: skip
    """Return N, T, D, H; raise unless shapes and dtypes fit each other."""
    need_float(name, x, w, u, b, h0, c0, peep)
    if x.ndim != 3:
        more = " help: give every step its features, x[..., None], or look ids up with nn.Embedding." * (x.ndim == 2)
        raise ShapeError(f"[{name}] expected sequences [N, T, features]. Received: x.shape={x.shape}.{more}")
    n, t, d = x.shape
    columns = COLUMNS[cell]
    h = u.shape[0] if u.ndim == 2 else -1
    if h < 1 or u.shape != (h, columns * h):
        raise ShapeError(f"[{name}] expected recurrent weights [H, {columns} H]. Received: u.shape={u.shape}.")
    if t < 1 or d < 1:
        raise ShapeError(f"[{name}] expected at least one step and one feature. Received: x.shape={x.shape}.")
    expect(name, "input weights", w, (d, columns * h))
    expect(name, "a bias", b, (2, columns * h) if cell == CELLS["gru_after"] else (columns * h,))
    expect(name, "an initial state", h0, (n, h), " help: one row per sequence of the batch.")
    expect(name, "an initial cell state", c0, (n, h), " help: one row per sequence of the batch.")
    expect(name, "peephole weights", peep, (3, h))
    expect(name, "lengths", lengths, (n,), " help: one number per sequence.")
    expect(name, "a recurrent dropout mask", mask, (n, h))
    if lengths is not None and lengths.dtype != INT32:
        raise DTypeError(f"[{name}] expected lengths of dtype int32. Received: {lengths.dtype}.")
    if mask is not None and mask.dtype != UINT8:
        raise DTypeError(f"[{name}] expected a recurrent dropout mask of dtype uint8. Received: {mask.dtype}.")
    number(name, "keep", keep, 0, 1, open_low=True)
    return n, t, d, h


def place_parts(sizes: dict[str, int]) -> tuple[dict[str, int], int]:
    """Return offsets of parts of the scratch memory, and its size."""
    offsets, end = {}, 0
    for key, nbytes in sizes.items():
        offsets[key] = end
        end += -(-nbytes // 64) * 64
    return offsets, end


def _head(cell: int, sizes: tuple[int, ...], reverse: bool, activation: str, gemm: int) -> tuple[int, ...]:
    return (*sizes, cell, int(reverse), FUSED[activation][0], gemm)


def _packed(cell: int, h: int, transposed: bool) -> dict[str, int]:
    h += h % 2  # room for pairs of terms
    up = -(-h // PACKED_TO) * PACKED_TO if transposed else h
    first = COLUMNS[cell] if cell < CELLS["gru"] else 2
    wide = first * h if transposed else -(-first * h // PACKED_TO) * PACKED_TO
    return {"packed": 4 * up * wide, "packed2": 4 * (up * h if transposed else h * (-(-h // PACKED_TO) * PACKED_TO))}


def _lower(name: str, cell: int, inputs: tuple[Any, ...], reverse: bool, sequences: bool, keep: float,
           activation: str = "tanh") -> Lowered:  # fmt: skip
    n, t, d, h = sizes = check_operands(name, cell, keep, *inputs)
    x, mask = inputs[0], inputs[-1]
    item = x.dtype.itemsize
    gemm = _core.gemm_scratch(t * n, COLUMNS[cell] * h, d, False, False, item)
    parts = {"gemm": gemm, "x": n * t * d * item if n > 1 and t > 1 else 0}
    parts |= {key: size * item // 4 for key, size in _packed(cell, h, False).items()}
    parts |= {"mask": 2 * n * h * item if mask is not None else 0, "bias": COLUMNS[cell] * h * item}
    parts |= {"spare": n * h * item if cell == CELLS["gru"] else 0}
    at, scratch = place_parts(parts)
    lstm = cell == CELLS["lstm"]
    last, kept = Spec((n, h), x.dtype), Spec((t, n, GATES[cell] * h), x.dtype)
    outs = (Spec((n, t, h), x.dtype) if sequences else None, last, last if lstm else None, kept,
            Spec((t, n, h), x.dtype) if lstm else None)  # fmt: skip
    places = (at[key] for key in ("x", "packed", "packed2", "mask", "bias", "spare"))
    dims = (*_head(cell, sizes, reverse, activation, gemm), *places)
    columns = COLUMNS[cell] * h if cell < CELLS["gru"] else 2 * h
    weights = laid((6, 7), item, (d, COLUMNS[cell] * h), (h, columns), (h, COLUMNS[cell] * h - columns))
    return Lowered(outs, dims, (FUSED[activation][2], 1 / keep), x.dtype, scratch, args=inputs, laid=weights)


def _grad_infer(*inputs: Any, needs: dict[str, bool], cell: int, reverse: bool = False, sequences: bool = True,
                keep: float = 1.0, activation: str = "tanh") -> Lowered:  # fmt: skip
    gates, dy, dh, dc, x, w, u, b, h0, c0, peep, lengths, mask, cells, *cuts = inputs
    (n, t, d), h = x.shape, u.shape[0]
    item, columns, rows = x.dtype.itemsize, COLUMNS[cell] * u.shape[0], x.shape[0] * x.shape[1]
    # Gradients of small weights are one product, of [x, h, 1], since a product of few rows reads dz slowly.
    wide = cell < CELLS["gru"] and d + h <= WIDE
    gemm = max(
        _core.gemm_scratch(d + h + 1 if wide else max(d, h), columns, rows, True, False, item),
        _core.gemm_scratch(rows, d, columns, False, True, item),
        _core.gemm_pieces_scratch(d + h + 1 if wide else max(d, h), columns, rows, item) if cuts else 0,
    )
    gru = cell == CELLS["gru"]
    parts = {"gemm": gemm, "x": n * t * d * item if n > 1 and t > 1 else 0}
    parts |= {key: size * item // 4 for key, size in _packed(cell, h, True).items()}
    parts |= {"weights": (d + h + 1) * columns * item if wide else 0}
    parts |= {"mask": 2 * n * h * item if mask is not None else 0, "dh": 2 * n * h * item}
    parts |= {
        "states": n * t * (d + h + 1 if wide else h) * item,
        "resets": n * t * h * item if gru else 0,
        "sums": GATES[cell] * h * item,
        "apart": rows * GATES[cell] * h * item if cuts else 0,
        "rows": max(rows * (d + h + 1 if wide else max(d, h)), WAITING * GATES[cell] * h) * item if cuts else 0,
    }
    at, scratch = place_parts(parts)

    def wanted(key: str, given: Any) -> Spec | None:
        return Spec(given.shape, given.dtype) if given is not None and needs[key] else None

    outs = (Spec(gates.shape, gates.dtype), wanted("x", x), wanted("w", w), wanted("u", u), wanted("b", b),
            wanted("h0", h0), wanted("c0", c0), wanted("peep", peep))  # fmt: skip
    dims = (*_head(cell, (n, t, d, h), reverse, activation, gemm), at["x"], at["packed"], at["packed2"], at["mask"], 0,
            at["dh"], at["states"], at["resets"], at["sums"], at["weights"] if wide else -1,
            cuts[0].size - 1 if cuts else 0, at["apart"], at["rows"])  # fmt: skip
    args = (gates, dy, dh, dc, x, w, u, h0, c0, peep, lengths, mask, cells, *cuts)
    return Lowered(outs, dims, (FUSED[activation][2], 1 / keep), x.dtype, scratch, args=args)


def _flops(low: Lowered) -> float:
    n, t, d, h, cell = low.dims[:5]
    return 2.0 * n * t * COLUMNS[cell] * h * (d + h)


def recurrent_fan(inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: Any) -> Fan:
    """Return the units of (x, w, u, ...): a cell with its gates is one, and every step uses the same."""
    (n, t, _), w, u = inputs[0].shape, inputs[1], inputs[2]
    peep = inputs[6].size if len(inputs) == 9 and inputs[6] is not None else 0
    terms = n * (w.size + u.size)
    return Fan(n * u.shape[0], terms + n * peep, t * terms)


def _grad_flops(low: Lowered) -> float:
    n, t, d, h, cell = low.dims[:5]
    return 2.0 * n * t * COLUMNS[cell] * h * (d * ((low.outs[1] is not None) + (low.outs[2] is not None)) + 2 * h)


# The gradient may overwrite the gates: nobody else reads them.
_GRADS = {
    name: register(
        Card(f"{name}.grad", _grad_infer, "rnn_bwd", inplace=True, flops=_grad_flops, extra={"blas": True})
    )
    for name in ("lstm", "gru", "simple_rnn")
}  # fmt: skip
_NAMES = ("x", "w", "u", "b", "h0", "c0", "peep")


def _vjp(name: str, cell: int, g: Grad, dys: tuple[Any, ...], names: tuple[str, ...]) -> tuple[Tensor | None, ...]:
    """Run the fused gradient; `names` are those of the op's inputs."""
    given = dict(zip(names, g.inputs, strict=True))
    dest = dict(zip(names, g.dest, strict=True))
    attrs = {key: value for key, value in g.attrs.items() if key != "reset_after"}
    attrs |= {"cell": cell, "needs": dict(zip(names, g.needs, strict=True))}
    operands = (g.outs[3], *dys[:3], *(given.get(key) for key in (*_NAMES, "lengths", "mask")), g.outs[4])
    out = execute(_GRADS[name], operands, attrs, out=(None, *(dest.get(key) for key in _NAMES)))
    found = dict(zip(_NAMES, out[1:], strict=True))
    return tuple(found.get(key) for key in names)


@op("lstm", "rnn_fwd", hidden=(3, 4), blas=True, flops=_flops, fan=recurrent_fan, failure=BAD_LENGTHS)
class _LSTM:
    """i f g o = x w + h u + b;  c = sig(f) c + sig(i) tanh(g);  h = sig(o) tanh(c), through time."""

    def infer(x: Tensor, w: Tensor, u: Tensor, b: Any, h0: Any, c0: Any, peep: Any, lengths: Any, mask: Any,
              reverse: bool = False, sequences: bool = True, keep: float = 1.0) -> Lowered:  # fmt: skip
        return _lower("lstm", 1, (x, w, u, b, h0, c0, peep, lengths, mask), reverse, sequences, keep)

    def vjp(g: Grad, *dys: Any) -> tuple[Tensor | None, ...]:
        return _vjp("lstm", 1, g, dys, (*_NAMES, "lengths", "mask"))

    ref = lstm_ref

    def samples(r: Rng) -> Iterator[Sample]:
        yield from variants(r, 4, lambda h: r(4 * h), 2)

    def errors(r: Rng) -> Iterator[Any]:
        yield from bad(r, "lstm", 4, 2)
        yield (r(2, 3, 4), r(4, 20), r(5, 20), None, None, r(2, 4), None, None, None), {}, ShapeError, "cell state"
        yield (r(2, 3, 4), r(4, 20), r(5, 20), None, None, None, r(5), None, None), {}, ShapeError, "peephole"


_GRU_NAMES = ("x", "w", "u", "b", "h0", "lengths", "mask")


@op("gru", "rnn_fwd", hidden=(3, 4), blas=True, flops=_flops, fan=recurrent_fan, failure=BAD_LENGTHS)
class _GRU:
    """z r = sig(x w + h u + b);  h = z h + (1 - z) tanh(g), through time; g as reset_after says."""

    def infer(x: Tensor, w: Tensor, u: Tensor, b: Any, h0: Any, lengths: Any, mask: Any, reset_after: bool = True,
              reverse: bool = False, sequences: bool = True, keep: float = 1.0) -> Lowered:  # fmt: skip
        return _lower("gru", 2 + reset_after, (x, w, u, b, h0, None, None, lengths, mask), reverse, sequences, keep)

    def vjp(g: Grad, *dys: Any) -> tuple[Tensor | None, ...]:
        return _vjp("gru", 2 + g.attrs.get("reset_after", True), g, dys, _GRU_NAMES)

    ref = gru_ref

    def samples(r: Rng) -> Iterator[Sample]:
        yield from variants(r, 3, lambda h: r(2, 3 * h), 0)
        for s in variants(r, 3, lambda h: r(3 * h), 0):
            yield s._replace(attrs={**s.attrs, "reset_after": False})

    def errors(r: Rng) -> Iterator[Any]:
        yield from bad(r, "gru", 3, 0)


@op("simple_rnn", "rnn_fwd", hidden=(3, 4), blas=True, flops=_flops, fan=recurrent_fan, failure=BAD_LENGTHS)
class _SimpleRNN:
    """h = act(x w + h u + b), through time."""

    def infer(x: Tensor, w: Tensor, u: Tensor, b: Any, h0: Any, lengths: Any, mask: Any, activation: str = "tanh",
              reverse: bool = False, sequences: bool = True, keep: float = 1.0) -> Lowered:  # fmt: skip
        if activation not in RNN_ACTIVATIONS:
            raise ValueError("[simple_rnn] " + unknown_name("activation", activation, RNN_ACTIVATIONS))
        inputs = (x, w, u, b, h0, None, None, lengths, mask)
        return _lower("simple_rnn", 0, inputs, reverse, sequences, keep, activation)

    def vjp(g: Grad, *dys: Any) -> tuple[Tensor | None, ...]:
        return _vjp("simple_rnn", 0, g, dys, _GRU_NAMES)

    ref = simple_rnn_ref

    def samples(r: Rng) -> Iterator[Sample]:
        yield from variants(r, 1, lambda h: r(h), 0)
        for activation in RNN_ACTIVATIONS[1:]:
            x = r(3, 4, 2, low=0.5)
            yield Sample(
                (x, r(2, 3, low=0.1), r(3, 3, low=0.1) / 3, None, None, None, None), {"activation": activation}
            )

    def errors(r: Rng) -> Iterator[Any]:
        yield from bad(r, "simple_rnn", 1, 0)
        inputs = (r(2, 3, 4), r(4, 5), r(5, 5), None, None, None, None)
        yield inputs, {"activation": "tahn"}, ValueError, "tanh"


def checked_lengths(name: str, lengths: Any, x: Tensor) -> Tensor | None:
    """Return lengths as int32, by default those of x; those that are data are checked, naming the sequence."""
    if lengths is None:
        return x.lengths
    if not isinstance(lengths, Tensor):
        array = np.asarray(lengths)
        if array.dtype.kind not in "iu":
            raise DTypeError(f"[{name}] expected whole numbers as lengths. Received: dtype={array.dtype}.")
        bad = np.flatnonzero((array < 1) | (array > x.shape[1]))
        if bad.size:
            raise DataError(
                f"[{name}] expected lengths from 1 to {x.shape[1]}. Received: lengths[{bad[0]}]={array[bad[0]]}."
            )
        lengths = Tensor.state(array.astype(INT32))
    return lengths if lengths.dtype == INT32 else lengths.astype(INT32)


def as_mask(mask: Any) -> Tensor | None:
    """Return a mask of recurrent dropout as bytes: 1 where it is not 0."""
    if mask is None or isinstance(mask, Tensor):
        return mask
    return Tensor.state((to_array(mask, "mask") != 0).astype(UINT8))


def as_operands(x: Any, *others: Any) -> tuple[Tensor, list[Tensor | None]]:
    """Return x, and weights and states of its dtype, as tensors."""
    x = as_tensor(x)
    return x, [None if t is None else as_tensor(t, x) for t in others]


@takes_masks
def lstm(x: Any, w: Any, u: Any, b: Any = None, h0: Any = None, c0: Any = None, peephole: Any = None,
         lengths: Any = None, mask: Any = None, keep: float = 1.0, reverse: bool = False, sequences: bool = True,
         ) -> tuple[Tensor | None, Tensor, Tensor]:  # fmt: skip
    """Run long short-term memory through sequences (Hochreiter and Schmidhuber 1997; Gers and others 2000).

    i, f, g, o = x_t w + h u + b;  c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c)

    Parameters
    ----------
    x : Tensor [N, T, D]
    w : Tensor [D, 4 H]
    u : Tensor [H, 4 H]
    b : Tensor [4 H], optional
    h0 : Tensor [N, H], optional
        First state; 0 by default.
    c0 : Tensor [N, H], optional
        First memory; 0 by default.
    peephole : Tensor [3, H], optional
        i and f also see p_0 c and p_1 c (the old c), o sees p_2 c (the new one).
    lengths : int32 [N], or a mask [N, T], optional
        By default what x carries. Steps from a sequence's length on, and those where a mask is 0, change nothing: its
        state stays, its output there is 0.
    mask : uint8 [N, H], optional
        Recurrent dropout: where it meets u, h is 0 where the mask is, else h / keep.
    keep : float, default 1.0
    reverse : bool, default False
        Run from the last step to the first; y[:, t] still belongs to x[:, t].
    sequences : bool, default True
        Whether all outputs are wanted.

    Returns
    -------
    y : Tensor [N, T, H] or None
    h, c : Tensor [N, H]
        The last states.

    Raises
    ------
    ShapeError, DTypeError, DataError
    """
    x, (w, u, b, h0, c0, peephole) = as_operands(x, w, u, b, h0, c0, peephole)
    lengths = checked_lengths("lstm", lengths, x)
    attrs = {"reverse": reverse, "sequences": sequences, "keep": keep}
    if shares_steps(x, w, u, peephole, lengths, mask):
        y, h, c = shared_rnn(CARDS["lstm"], CELLS["lstm"], (x, w, u, b, h0, c0), attrs)
        return y, h, c  # type: ignore[return-value]
    inputs = (x, w, u, b, h0, c0, peephole, lengths, as_mask(mask))
    out = execute(_LSTM, inputs, attrs)  # type: ignore[arg-type]
    if sequences:
        out[0].lengths = lengths
    return out[0], out[1], out[2]


@takes_masks
def gru(x: Any, w: Any, u: Any, b: Any = None, h0: Any = None, lengths: Any = None, mask: Any = None, keep: float = 1.0,
        reset_after: bool = True, reverse: bool = False, sequences: bool = True,
        ) -> tuple[Tensor | None, Tensor]:  # fmt: skip
    """Run gated recurrent units through sequences (Cho and others 2014).

    z, r = sigmoid(x_t w + h u + b);  h = z h + (1 - z) tanh(x_t w_g + b_g + inner), where inner is
    r (h u_g + b'_g) with reset_after, else (r h) u_g.

    Parameters
    ----------
    x : Tensor [N, T, D]
    w : Tensor [D, 3 H]
    u : Tensor [H, 3 H]
    b : Tensor [2, 3 H] with reset_after (of the input, of the state), else [3 H], optional
    h0 : Tensor [N, H], optional
        First state; 0 by default.
    lengths : Tensor, int32 [N], optional
        Real steps of each sequence; all by default.
    mask : Tensor [N, H], optional
        What recurrent dropout keeps of the state.
    keep : float, default 1.0
        The share that the mask keeps.
    reset_after : bool, default True
        Whether r is applied after the product with u, as in cuDNN and Keras.
    reverse : bool, default False
        Begin with the last real step.
    sequences : bool, default True
        Return the states of all steps.

    Returns
    -------
    y : Tensor [N, T, H] or None
    h : Tensor [N, H]

    Raises
    ------
    ShapeError, DTypeError, DataError
    """
    x, (w, u, b, h0) = as_operands(x, w, u, b, h0)
    attrs = {"reset_after": bool(reset_after), "reverse": reverse, "sequences": sequences, "keep": keep}
    lengths = checked_lengths("gru", lengths, x)
    if shares_steps(x, w, u, lengths, mask):
        y, h, _ = shared_rnn(CARDS["gru"], CELLS["gru_after" if reset_after else "gru"], (x, w, u, b, h0, None), attrs)
        return y, h  # type: ignore[return-value]
    out = execute(_GRU, (x, w, u, b, h0, lengths, as_mask(mask)), attrs)  # type: ignore[arg-type]
    if sequences:
        out[0].lengths = lengths
    return out[0], out[1]


@takes_masks
def simple_rnn(x: Any, w: Any, u: Any, b: Any = None, h0: Any = None, lengths: Any = None, mask: Any = None,
               keep: float = 1.0, activation: str = "tanh", reverse: bool = False, sequences: bool = True,
               ) -> tuple[Tensor | None, Tensor]:  # fmt: skip
    """Run h = act(x_t w + h u + b) through sequences (Elman 1990).

    Parameters
    ----------
    x : Tensor [N, T, D]
    w : Tensor [D, H]
    u : Tensor [H, H]
    b : Tensor [H], optional
    h0 : Tensor [N, H], optional
        First state; 0 by default.
    lengths : Tensor, int32 [N], optional
        Real steps of each sequence; all by default.
    mask : Tensor [N, H], optional
        What recurrent dropout keeps of the state.
    keep : float, default 1.0
        The share that the mask keeps.
    activation : {"tanh", "relu", "sigmoid", "linear"}, default "tanh"
    reverse : bool, default False
        Begin with the last real step.
    sequences : bool, default True
        Return the states of all steps.

    Returns
    -------
    y : Tensor [N, T, H] or None
    h : Tensor [N, H]

    Raises
    ------
    ShapeError, DTypeError, DataError, ValueError
    """
    x, (w, u, b, h0) = as_operands(x, w, u, b, h0)
    attrs = {"activation": activation, "reverse": reverse, "sequences": sequences, "keep": keep}
    lengths = checked_lengths("simple_rnn", lengths, x)
    if shares_steps(x, w, u, lengths, mask):
        y, h, _ = shared_rnn(CARDS["simple_rnn"], CELLS["simple_rnn"], (x, w, u, b, h0, None), attrs)
        return y, h  # type: ignore[return-value]
    out = execute(_SimpleRNN, (x, w, u, b, h0, lengths, as_mask(mask)), attrs)  # type: ignore[arg-type]
    if sequences:
        out[0].lengths = lengths
    return out[0], out[1]


__all__ = ["gru", "lstm", "simple_rnn"]
