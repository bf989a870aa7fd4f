"""LSTM with layer normalization: a loop over time made of ordinary ops, which exporters write as one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.core.card import Fan, Sample, composite
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.activation import sigmoid, tanh
from pynn.ops.common import Rng, need_float
from pynn.ops.lengths import without_lengths
from pynn.ops.masks import takes_masks
from pynn.ops.math import add, less, matmul, mul, where
from pynn.ops.norm import layer_norm
from pynn.ops.parts import concat
from pynn.ops.reduce import expand
from pynn.ops.rnn import CELLS, as_mask, as_operands, check_operands, checked_lengths, expect, recurrent_fan
from pynn.ops.rnn_ref import bad, dropped, unrolled, variants
from pynn.ops.rnn_ref import sigmoid as _sigmoid
from pynn.ops.shape import reshape

__all__ = ["layer_norm_lstm"]

NAME = "layer_norm_lstm"


def _operands(
    x: Any, w: Any, u: Any, b: Any, h0: Any, c0: Any, gamma_x: Any, gamma_h: Any, gamma_c: Any, beta_c: Any,
    lengths: Any, mask: Any, keep: float, epsilon: float, reverse: bool, sequences: bool,
) -> tuple[tuple[Any, ...], dict[str, Any]]:  # fmt: skip
    """Return the tensors and the attributes, checked."""
    x, (w, u, b, h0, c0, *norms) = as_operands(x, w, u, b, h0, c0, gamma_x, gamma_h, gamma_c, beta_c)
    lengths, mask = checked_lengths(NAME, lengths, x), as_mask(mask)
    need_float(NAME, x, *norms)
    *_, h = check_operands(NAME, CELLS["lstm"], keep, x, w, u, b, h0, c0, None, lengths, mask)
    for key, p, n in zip(("gamma_x", "gamma_h", "gamma_c", "beta_c"), norms, (4, 4, 1, 1), strict=True):
        expect(NAME, key, p, (n * h,))
    attrs = {"keep": keep, "epsilon": epsilon, "reverse": reverse, "sequences": sequences}
    return (x, w, u, b, h0, c0, *norms, lengths, mask), attrs


def _fan(inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: Any) -> Fan:
    return recurrent_fan(inputs[:3], outs, attrs)


def _ref(x: Any, w: Any, u: Any, b: Any, h0: Any, c0: Any, gamma_x: Any, gamma_h: Any, gamma_c: Any, beta_c: Any,
         lengths: Any, mask: Any, keep: float, reverse: bool, sequences: bool,
         epsilon: float = 1e-3) -> tuple[Any, ...]:  # fmt: skip
    m, zero = dropped(mask, keep), np.zeros((len(x), len(u)), x.dtype)

    def norm(a: Any, gamma: Any, beta: Any = None) -> Any:
        z = (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + epsilon)
        return z * (1 if gamma is None else gamma) + (0 if beta is None else beta)

    def step(xt: Any, h: Any, c: Any) -> tuple[Any, Any]:
        z = norm(xt @ w, gamma_x) + norm((h * m) @ u, gamma_h) + (0 if b is None else b)
        i, f, g, o = np.split(z, 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        return _sigmoid(o) * np.tanh(norm(c, gamma_c, beta_c)), c

    y, (h, c) = unrolled(x, (zero if h0 is None else h0, zero if c0 is None else c0), step, reverse, lengths)
    return y if sequences else None, h, c


def _samples(r: Rng) -> Iterator[Sample]:
    for s in variants(r, 4, lambda h: r(4 * h), 2):
        *first, _peephole, lengths, mask = s.inputs
        h = len(s.inputs[2])
        norms = (r(4 * h), r(4 * h), r(h), r(h)) if first[3] is not None else (None,) * 4
        yield s._replace(inputs=(*first, *norms, lengths, mask))


def _errors(r: Rng) -> Iterator[Any]:
    yield from (case for case in bad(r, NAME, 4, 5) if case[2] in (ShapeError, ValueError))  # the others are a card's
    norms = (None, r(20), None, r(4))
    yield (r(2, 3, 4), r(4, 20), r(5, 20), None, None, None, *norms, None, None), {}, ShapeError, r"beta_c .*\(5,\)"


def _going(lengths: Tensor, t: int) -> list[Tensor]:
    """Return, for each step, which sequences have not ended: bool [N, 1]."""
    ends = reshape(lengths, (lengths.shape[0], 1))
    return [less(Tensor.state(np.full((1, 1), at, ends.dtype)), ends) for at in range(t)]


@takes_masks
@composite(ref=_ref, samples=_samples, errors=_errors, operands=_operands, fan=_fan)
def layer_norm_lstm(
    x: Any, w: Any, u: Any, b: Any = None, h0: Any = None, c0: Any = None, gamma_x: Any = None, gamma_h: Any = None,
    gamma_c: Any = None, beta_c: Any = None, lengths: Any = None, mask: Any = None, keep: float = 1.0,
    epsilon: float = 1e-3, reverse: bool = False, sequences: bool = True,
) -> tuple[Tensor | None, Tensor, Tensor]:  # fmt: skip
    """Run an LSTM whose sums are normalized at every step (Ba, Kiros and Hinton 2016).

    i, f, g, o = norm(x_t w; gamma_x) + norm(h u; gamma_h) + b;  c = sigmoid(f) c + sigmoid(i) tanh(g);
    h = sigmoid(o) tanh(norm(c; gamma_c, beta_c))

    norm(a; gamma, beta) = gamma (a - mean) / sqrt(var + epsilon) + beta, over each row.

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
    gamma_x : Tensor [4 H], [4 H], [H], [H], optional
        Ones and zeros by default.
    gamma_h : Tensor [4 H], [4 H], [H], [H], optional
        Ones and zeros by default.
    gamma_c : Tensor [4 H], [4 H], [H], [H], optional
        Ones and zeros by default.
    beta_c : Tensor [4 H], [4 H], [H], [H], optional
        Ones and zeros by default.
    lengths : Tensor, int32 [N], optional
        Real steps of each sequence; all by default.
    mask : Tensor [N, H], optional
        What recurrent dropout keeps of the state.
    keep : float, default 1.0
        The share that the mask keeps.
    epsilon : float, default 1e-3
    reverse : bool, default False
        Begin with the last real step.
    sequences : bool, default True
        Return the states of all steps.

    Returns
    -------
    y : Tensor [N, T, H] or None
    h, c : Tensor [N, H]
        The last states.

    Raises
    ------
    ShapeError, DTypeError, DataError, ValueError

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> y, h, c = ops.layer_norm_lstm(np.ones((2, 3, 4)), np.ones((4, 20)), np.ones((5, 20)))
    >>> y.shape, h.shape
    ((2, 3, 5), (2, 5))
    """
    operands, _ = _operands(
        x, w, u, b, h0, c0, gamma_x, gamma_h, gamma_c, beta_c, lengths, mask, keep, epsilon, reverse, sequences
    )
    x, w, u, b, h0, c0, gamma_x, gamma_h, gamma_c, beta_c, lengths, mask = operands
    n, steps, units = x.shape[0], x.shape[1], u.shape[0]
    t = steps if n else 1  # without rows only shapes are asked for, and one step has those of all
    if t < steps:
        x = x[:, :t]
    h, c = (Tensor.state(np.zeros((n, units), x.dtype)) if s is None else s for s in (h0, c0))
    wx = layer_norm(matmul(without_lengths(x), w), gamma_x, None, epsilon)
    xs = [wx[:, t] for t in range(wx.shape[1])]
    kept = None if mask is None else mul(mask.astype(x.dtype), 1 / keep)
    going = None if lengths is None else _going(lengths, t)
    ys: list[Any] = [None] * t
    for at in range(t)[:: -1 if reverse else 1]:
        met = matmul(h if kept is None else mul(h, kept), u)
        z = add(xs[at], layer_norm(met, gamma_h, None, epsilon))
        if b is not None:
            z = add(z, b)
        i, f, g, o = (z[:, k * units : (k + 1) * units] for k in range(4))
        c_new = add(mul(sigmoid(f), c), mul(sigmoid(i), tanh(g)))
        h_new = mul(sigmoid(o), tanh(layer_norm(c_new, gamma_c, beta_c, epsilon)))
        if going is None:
            h, c, ys[at] = h_new, c_new, h_new
        else:
            on = going[at]
            h, c, ys[at] = where(on, h_new, h), where(on, c_new, c), where(on, h_new, 0.0)
    if not sequences:
        return None, h, c
    y = concat([reshape(one, (n, 1, units)) for one in ys], axis=1)
    if t < steps:
        y = expand(y, (n, steps, units))
    y.lengths = lengths
    return y, h, c
