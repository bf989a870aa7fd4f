"""The dense layer with a fused activation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import pynn.core.kernels.dense  # noqa: F401  (registers its kernels)
from pynn.checks import choice
from pynn.core import _core
from pynn.core.card import Card, Fan, Grad, Lowered, Sample, Spec, op, register
from pynn.core.graph import execute
from pynn.core.joining import room
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.common import Rng, as_tensor, laid, need_float, size
from pynn.ops.dense_shared import shared_dense, shares
from pynn.ops.elementwise import ELEMENTWISE, FUSED, activated, backwards, fuses, reference, smooth_backwards
from pynn.ops.lengths import mask_steps


def _sizes(x: Tensor, w: Tensor) -> tuple[int, int, int]:
    return size(x.shape[:-1]), w.shape[1], w.shape[0]


def _dims(x: Tensor, w: Tensor, activation: str) -> tuple[int, ...]:
    return (*_sizes(x, w), FUSED[activation][0])


def _par(activation: str, par: float | None) -> tuple[float]:
    return (FUSED[activation][2] if par is None else par,)


@op("dense", "dense_fwd", blas=True)
class _Dense:
    """y = act(x w + b)."""

    def infer(x: Tensor, w: Tensor, b: Tensor | None, activation: str = "linear", par: float | None = None) -> Lowered:
        need_float("dense", x, w, b)
        if w.ndim != 2:
            raise ShapeError(f"[dense] expected weights [in, out]. Received: w.shape={w.shape}.")
        if x.ndim < 2 or x.shape[-1] != w.shape[0]:
            hint = ""
            if x.ndim > 2 and size(x.shape[1:]) == w.shape[0]:
                hint = " help: put nn.Flatten() before Dense."
            elif x.ndim == 1 and x.shape[0] == w.shape[0]:
                hint = " help: pass a batch, x[None]."
            raise ShapeError(
                f"[dense] expected input with last dimension {w.shape[0]}. Received: x.shape={x.shape}.{hint}"
            )
        if b is not None and b.shape != (w.shape[1],):
            raise ShapeError(f"[dense] expected a bias of shape ({w.shape[1]},). Received: b.shape={b.shape}.")
        choice("dense", "activation", activation, FUSED)
        m, n, k = _sizes(x, w)
        return Lowered(
            (Spec((*x.shape[:-1], n), x.dtype),),
            _dims(x, w, activation),
            _par(activation, par),
            scratch=_core.gemm_scratch(m, n, k, False, False, x.dtype.itemsize),
            laid=laid((2,), x.dtype.itemsize, (k, n)),
        )

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w, b = g.inputs
        attrs = {**g.attrs, "needs": g.needs}
        activation, par = g.attrs.get("activation", "linear"), g.attrs.get("par")
        if activation != "linear" and ELEMENTWISE[activation].saves == "in":
            dy = backwards(activation, par, dy, execute(_Dense, (x, w, b), {})[0])  # type: ignore[arg-type]
            attrs = {"needs": g.needs}
        return execute(_DENSE_GRAD, (dy, g.outs[0], x, w, b), attrs, out=g.dest)[:3]

    def smooth_vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w, _ = g.inputs
        name, par = g.attrs.get("activation", "linear"), g.attrs.get("par")
        dz = smooth_backwards(name, par, dy, lambda: execute(_Dense, g.inputs, {})[0], g.outs[0])  # type: ignore[arg-type]
        if dz is None:
            return _Dense.vjp(g, dy)
        m, n, k = _sizes(x, w)
        rows = dz.reshape((m, n))
        return (
            (rows @ w.transpose((1, 0))).reshape(x.shape) if g.needs[0] else None,
            x.reshape((m, k)).transpose((1, 0)) @ rows if g.needs[1] else None,
            rows.sum(0) if g.needs[2] else None,
        )

    def ref(
        x: np.ndarray, w: np.ndarray, b: np.ndarray | None, activation: str = "linear", par: float | None = None
    ) -> np.ndarray:
        z = x @ w if b is None else x @ w + b
        return reference(activation, par, z)

    def samples(r: Rng) -> Iterator[Sample]:
        for activation in FUSED:
            yield Sample((r(5, 7), r(7, 4), r(4)), {"activation": activation})
        yield Sample((r(5, 7), r(7, 4), r(4)), {"activation": "leaky_relu", "par": 0.3})
        yield Sample((r(2, 3, 7), r(7, 1), None), {"activation": "tanh"})
        yield Sample((r(65, 33), r(33, 70), r(70)), {"activation": "sigmoid"})
        yield Sample((r(100, 330), r(330, 130), r(130)))
        yield Sample((r(300, 200), r(200, 130), r(130)), {"activation": "relu"}, smooth=False)
        yield Sample((r(0, 7), r(7, 4), r(4)))
        yield Sample((r(1, 1), r(1, 1), r(1)))

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(2, 28, 28), r(784, 4), r(4)), {}, ShapeError, r"\[dense\].*last dimension 784.*Received.*Flatten"
        yield (r(2, 5), r(6, 4), r(4)), {}, ShapeError, r"last dimension 6.*\(2, 5\)"
        yield (r(6), r(6, 4), r(4)), {}, ShapeError, r"pass a batch"
        yield (r(2, 6), r(6, 4), r(3)), {}, ShapeError, r"bias of shape \(4,\)"

    def flops(low: Lowered) -> float:
        return 2.0 * low.dims[0] * low.dims[1] * low.dims[2]

    def fan(inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: Any) -> Fan:
        return Fan(outs[0].size, outs[0].size * inputs[1].shape[0])


def _grad_infer(
    dy: Tensor,
    y: Tensor,
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    needs: Any,
    activation: str = "linear",
    par: Any = None,
) -> Lowered:
    m, n, k = _sizes(x, w)
    outs = (
        Spec(x.shape, x.dtype) if needs[0] else None,
        Spec(w.shape, w.dtype) if needs[1] else None,
        Spec((n,), w.dtype) if needs[2] and b is not None else None,
        Spec(dy.shape, dy.dtype) if activation != "linear" else None,
    )
    item = x.dtype.itemsize
    scratch = max(_core.gemm_scratch(k, n, m, True, False, item), _core.gemm_scratch(m, k, n, False, True, item))
    if outs[1] is not None:
        scratch += room(k * n)
    return Lowered(outs, _dims(x, w, activation), _par(activation, par), x.dtype, scratch, args=(dy, y, x, w))


def _grad_flops(low: Lowered) -> float:
    products = (low.outs[0] is not None) + (low.outs[1] is not None)
    return 2.0 * products * low.dims[0] * low.dims[1] * low.dims[2]


_DENSE_GRAD = register(
    Card(
        "dense.grad",
        _grad_infer,
        "dense_bwd",
        inplace=((3, 0), (0, 1)),  # dz over dy, dx over y
        flops=_grad_flops,
        carries=(1, 7, 4),
        extra={"blas": True},
    )
)


def dense(x: Any, w: Any, b: Any = None, activation: str = "linear", par: float | None = None) -> Tensor:
    """Return act(x w + b).

    Parameters
    ----------
    x : Tensor, shape [..., in]
    w : Tensor, shape [in, out]
    b : Tensor, shape [out], optional
    activation : str, default "linear"
        A name in ``pynn.ops.elementwise.FUSED``: "linear", "relu", "leaky_relu", "tanh", "sigmoid", "elu", "selu" ...
        Fused: applied to each tile of the product while it is in the cache.
    par : float, optional
        Its parameter: the slope of leaky_relu, the alpha of elu.

    Raises
    ------
    ShapeError, DTypeError
    """
    x = as_tensor(x)
    if x.ndim == 2:  # the sum over the time of padded sequences [N, T] is one over real steps
        x = mask_steps(x)
    inputs = (x, as_tensor(w, x), None if b is None else as_tensor(b, x))
    shared = state.shared
    if shared is not None and shared.whole and shares(inputs[0], inputs[1], activation):
        return shared_dense(*inputs, activation, par)
    if not fuses(activation, *inputs):
        return activated(activation, par, execute(_Dense, inputs, {})[0])  # type: ignore[arg-type]
    return execute(_Dense, inputs, {"activation": activation, "par": par})[0]  # type: ignore[arg-type]
