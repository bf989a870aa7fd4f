"""Output-to-hidden recurrence: one op through all time steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import pynn.core.kernels.jordan  # noqa: F401  (registers its kernels)
from pynn.core import _core
from pynn.core.card import Card, Fan, Grad, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import DataError, DTypeError, ShapeError, unknown_name
from pynn.ops.common import Rng, as_tensor, need_float
from pynn.ops.dense import dense
from pynn.ops.elementwise import FUSED
from pynn.ops.lengths import without_lengths
from pynn.ops.masks import takes_masks
from pynn.ops.rnn import BAD_LENGTHS, INT32, PACKED_TO, RNN_ACTIVATIONS, checked_lengths, place_parts
from pynn.ops.rnn_ref import act

OUTPUT_ACTIVATIONS = (*RNN_ACTIVATIONS, "softmax")
SOFTMAX = -1  # pynn/core/kernels/jordan.pyx


def _codes(activation: str, output_activation: str) -> tuple[tuple[int, int], tuple[float, float]]:
    out = (SOFTMAX, None, 0.0) if output_activation == "softmax" else FUSED[output_activation]
    return (FUSED[activation][0], out[0]), (FUSED[activation][2], out[2])


def _expect(what: str, t: Tensor, shape: tuple[int, ...]) -> None:
    if t.shape != shape:
        raise ShapeError(f"[jordan_rnn] expected {what} of shape {shape}. Received: {t.shape}.")


def _packed(rows: int, columns: int) -> int:
    """Return the elements that weights may take when they are packed, or packed as pairs of terms."""
    return (rows + rows % 2) * (-(-columns // PACKED_TO) * PACKED_TO)


@op("jordan_rnn", "jordan_fwd", hidden=(1,), blas=True, failure=BAD_LENGTHS)
class _Jordan:
    """h = act(z + o v), o = act_out(h w_out + b_out) through time, o of the step before; time-major."""

    def infer(z: Tensor, v: Tensor, w_out: Tensor, b_out: Tensor, lengths: Tensor | None, activation: str = "tanh",
              output_activation: str = "linear") -> Lowered:  # fmt: skip
        need_float("jordan_rnn", z, v, w_out, b_out)
        if z.ndim != 3 or z.shape[0] < 1 or z.shape[2] < 1:
            raise ShapeError(f"[jordan_rnn] expected at least one step [T, N, H]. Received: z.shape={z.shape}.")
        for name, known in ((activation, RNN_ACTIVATIONS), (output_activation, OUTPUT_ACTIVATIONS)):
            if name not in known:
                raise ValueError("[jordan_rnn] " + unknown_name("activation", name, known))
        t, n, h = z.shape
        o = b_out.shape[0] if b_out.ndim == 1 else -1
        if o < 1:
            raise ShapeError(f"[jordan_rnn] expected a bias [O] of the output. Received: b_out.shape={b_out.shape}.")
        _expect("feedback weights", v, (o, h))
        _expect("output weights", w_out, (h, o))
        if lengths is not None:
            _expect("lengths", lengths, (n,))
            if lengths.dtype != INT32:
                raise DTypeError(f"[jordan_rnn] expected lengths of dtype int32. Received: {lengths.dtype}.")
        item, (acts, pars) = z.dtype.itemsize, _codes(activation, output_activation)
        at, scratch = place_parts(
            {"v": _packed(o, h) * item, "w": _packed(h, o) * item, "h": n * h * item, "o": n * o * item}
        )
        dims = (n, t, h, o, *acts, *at.values())
        return Lowered((Spec((t, n, o), z.dtype), Spec(z.shape, z.dtype)), dims, pars, z.dtype, scratch)

    def vjp(g: Grad, dy: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        _, v, w_out, b_out, lengths = g.inputs
        attrs = {**g.attrs, "needs": g.needs[1:4]}
        inputs = (dy, g.outs[0], g.outs[1], v, w_out, b_out, lengths)
        dz, dv, dw, db = execute(_JORDAN_GRAD, inputs, attrs, out=(None, *g.dest[1:4]))
        return dz, dv, dw, db, None

    def fan(inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: Any) -> Fan:
        (t, n, h), terms = inputs[0].shape, inputs[1].size + inputs[2].size
        return Fan(n * (h + inputs[3].size), n * terms, n * t * terms, after=0, steps=t)

    def ref(z: np.ndarray, v: np.ndarray, w_out: np.ndarray, b_out: np.ndarray, lengths: Any, activation: str = "tanh",
            output_activation: str = "linear") -> tuple[Any, ...]:  # fmt: skip
        o, out = np.zeros((z.shape[1], len(b_out)), z.dtype), []
        for t in range(len(z)):
            a = act(activation, z[t] + o @ v) @ w_out + b_out
            if output_activation == "softmax":
                e = np.exp(a - a.max(1, keepdims=True, initial=-np.inf))
                o = e / e.sum(1, keepdims=True)
            else:
                o = act(output_activation, a)
            out.append(o if lengths is None else np.where(t < lengths[:, None], o, 0))
        return np.stack(out), None

    def samples(r: Rng) -> Iterator[Sample]:
        for t, n, h, o, acts, long in (
            (4, 3, 5, 2, ("tanh", "linear"), True), (4, 3, 5, 2, ("tanh", "tanh"), True),
            (5, 4, 3, 4, ("tanh", "softmax"), True), (5, 4, 3, 4, ("sigmoid", "softmax"), False),
            (3, 5, 4, 3, ("linear", "sigmoid"), False), (1, 1, 1, 1, ("tanh", "sigmoid"), True),
            (3, 0, 4, 2, ("tanh", "tanh"), True), (3, 19, 33, 17, ("tanh", "tanh"), False),
        ):  # fmt: skip
            lengths = None if long else (r.integers(t, n) + 1).astype(INT32)
            weights = (r(o, h) / 2, r(h, o) / np.sqrt(h), r(o))
            yield Sample((r(t, n, h), *weights, lengths), {"activation": acts[0], "output_activation": acts[1]})

    def errors(r: Rng) -> Iterator[Any]:
        z, v, w, b = r(3, 2, 4), r(5, 4), r(4, 5), r(5)
        yield (r(2, 4), v, w, b, None), {}, ShapeError, r"\[T, N, H\]"
        yield (z, r(4, 4), w, b, None), {}, ShapeError, r"feedback weights of shape \(5, 4\)"
        yield (z, v, r(4, 4), b, None), {}, ShapeError, r"output weights of shape \(4, 5\)"
        yield (z, v, w, r(1, 5), None), {}, ShapeError, r"bias \[O\]"
        yield (z, v, w, b, np.ones(3, "int32")), {}, ShapeError, r"lengths of shape \(2,\)"
        yield (z, v, w, b, np.ones(2)), {}, DTypeError, "int32"
        yield (z, v, w, b, np.array([1, 4], "int32")), {}, DataError, "0 to T"
        yield (z, v, w, b, None), {"output_activation": "sofmax"}, ValueError, "softmax"


def _grad_infer(dy: Tensor, y: Tensor, kept: Tensor, v: Tensor, w_out: Tensor, b_out: Tensor, lengths: Tensor | None,
                needs: tuple[bool, ...], activation: str = "tanh", output_activation: str = "linear",
                ) -> Lowered:  # fmt: skip
    (t, n, h), o, item = kept.shape, b_out.shape[0], dy.dtype.itemsize
    gemm = max(_core.gemm_scratch(o, h, t * n, True, False, item), _core.gemm_scratch(h, o, t * n, True, False, item))
    at, scratch = place_parts(
        {"gemm": gemm, "v": _packed(h, o) * item, "w": _packed(o, h) * item, "h": n * h * item, "o": n * o * item,
         "dout": t * n * o * item}
    )  # fmt: skip
    acts, pars = _codes(activation, output_activation)
    outs = (Spec(kept.shape, dy.dtype), *(Spec(x.shape, dy.dtype) if need else None
            for x, need in zip((v, w_out, b_out), needs, strict=True)))  # fmt: skip
    dims = (n, t, h, o, *acts, *list(at.values())[1:], gemm)
    return Lowered(outs, dims, pars, dy.dtype, scratch, args=(dy, y, kept, v, w_out, lengths))


_JORDAN_GRAD = register(Card("jordan_rnn.grad", _grad_infer, "jordan_bwd", extra={"blas": True}))


@takes_masks
def jordan_rnn(x: Any, w: Any, v: Any, b: Any, w_out: Any, b_out: Any, lengths: Any = None, activation: str = "tanh",
               output_activation: str = "linear") -> Tensor:  # fmt: skip
    """Run a layer whose output feeds its next step through sequences (Jordan 1986).

    h_t = act(x_t w + o_(t-1) v + b);  o_t = act_out(h_t w_out + b_out);  o_0 = 0

    Parameters
    ----------
    x : Tensor [N, T, D]
    w : Tensor [D, H]
    v : Tensor [O, H]
    b : Tensor [H]
    w_out : Tensor [H, O]
    b_out : Tensor [O]
    lengths : int32 [N], optional
        By default those that x carries. Outputs from a sequence's length on are 0 and change nothing.
    activation : {"tanh", "relu", "sigmoid", "linear"}, default "tanh"
    output_activation : {"tanh", "relu", "sigmoid", "linear", "softmax"}, default "linear"

    Returns
    -------
    Tensor [N, T, O]

    Raises
    ------
    ShapeError, DTypeError, DataError, ValueError

    Examples
    --------
    >>> import numpy as np
    >>> import pynn
    >>> one = np.ones((1, 1), "float32")
    >>> y = pynn.ops.jordan_rnn(np.ones((1, 3, 1), "float32"), one, one, [0.0], one, [0.0], activation="linear")
    >>> y.numpy().ravel()
    array([1., 2., 3.], dtype=float32)
    """
    x = as_tensor(x)
    if x.ndim != 3:
        raise ShapeError(f"[jordan_rnn] expected sequences [N, T, features]. Received: x.shape={x.shape}.")
    w, v, b, w_out, b_out = (as_tensor(t, x) for t in (w, v, b, w_out, b_out))
    lengths = checked_lengths("jordan_rnn", lengths, x)
    z = dense(without_lengths(x).transpose((1, 0, 2)), w, b)
    attrs = {"activation": activation, "output_activation": output_activation}
    y = execute(_Jordan, (z, v, w_out, b_out, lengths), attrs)[0].transpose((1, 0, 2))  # type: ignore[arg-type]
    y.lengths = lengths
    return y


__all__ = ["jordan_rnn"]
