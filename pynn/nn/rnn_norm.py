"""A recurrent layer made of ordinary ops: LSTM with layer normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import init, ops
from pynn.checks import number
from pynn.core.tensor import Tensor
from pynn.nn.rnn import LSTM

__all__ = ["LayerNormLSTM"]


def _steps(x: Tensor) -> list[Tensor]:
    """Return x[:, 0], x[:, 1], ...; halves of halves, so that the gradient does not fill all of x once per step."""
    n, t = x.shape[:2]
    if t == 1:
        return [ops.reshape(x, (n, *x.shape[2:]))]
    return [*_steps(x[:, : t // 2]), *_steps(x[:, t // 2 :])]


class LayerNormLSTM(LSTM):
    """LSTM whose sums are normalized at every step (Ba, Kiros and Hinton 2016).

    i, f, g, o = norm(x w; gamma_x) + norm(h u; gamma_h) + b;  c = sigmoid(f) c + sigmoid(i) tanh(g);
    h = sigmoid(o) tanh(norm(c; gamma_c, beta_c))

    norm(a; gamma, beta) = gamma (a - mean) / sqrt(var + epsilon) + beta, over each row.

    Parameters
    ----------
    units : int
        Size of the states h and c.
    epsilon : float, default 1e-3
        Added to the variances.
    **options
        As for :class:`LSTM`, but there are no peepholes.

    Notes
    -----
    A composition: the loop over time is made of ordinary ops, so it is the pattern for a recurrent cell of one's own
    (override ``_run``), and slower than the fused layers. Weights ``w`` [D, 4 units], ``u`` [units, 4 units], ``b``
    [4 units], ``gamma_x``, ``gamma_h`` [4 units], ``gamma_c``, ``beta_c`` [units].

    References
    ----------
    Ba, Kiros, Hinton: Layer normalization (2016).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.LayerNormLSTM(5, return_sequences=True)(np.ones((2, 3, 4), "float32")).shape
    (2, 3, 5)
    """

    place = "layer_norm_lstm"

    def __init__(self, units: int, epsilon: float = 1e-3, **options: Any):
        super().__init__(units, **options)
        if self.peephole:
            raise ValueError("[layer_norm_lstm] expected no peepholes. Received: peephole=True. help: use nn.LSTM.")
        self.epsilon = number(self.place, "epsilon", epsilon, 0, open_low=True)

    def build(self, input_shape: tuple[int, ...]) -> None:
        super().build(input_shape)
        ones, zeros = init.get("ones"), init.get("zeros")
        self.add_weight("gamma_x", (4 * self.units,), ones)
        self.add_weight("gamma_h", (4 * self.units,), ones)
        self.add_weight("gamma_c", (self.units,), ones)
        self.add_weight("beta_c", (self.units,), zeros)

    def _run(self, x: Tensor, states: list[Any], lengths: Any = None, reverse: bool = False, sequences: bool = True,
             mask: Any = None, keep: float = 1.0, **_: Any) -> tuple[Any, ...]:  # fmt: skip
        n, t, units = x.shape[0], x.shape[1], self.units
        h, c = (Tensor.state(np.zeros((n, units), self.dtype)) if s is None else s for s in states)
        xs = _steps(ops.layer_norm(ops.matmul(x, self.w), self.gamma_x, None, self.epsilon))
        kept = None if mask is None else ops.mul(mask.astype(self.dtype), 1 / keep)
        going = None if lengths is None else self._going(lengths, t)
        ys: list[Any] = [None] * t
        for at in range(t)[:: -1 if reverse else 1]:
            met = ops.matmul(h if kept is None else ops.mul(h, kept), self.u)
            z = ops.add(xs[at], ops.layer_norm(met, self.gamma_h, None, self.epsilon))
            if self.use_bias:
                z = ops.add(z, self.b)
            i, f, g, o = (z[:, k * units : (k + 1) * units] for k in range(4))
            c_new = ops.add(ops.mul(ops.sigmoid(f), c), ops.mul(ops.sigmoid(i), ops.tanh(g)))
            h_new = ops.mul(ops.sigmoid(o), ops.tanh(ops.layer_norm(c_new, self.gamma_c, self.beta_c, self.epsilon)))
            if going is None:
                h, c, ys[at] = h_new, c_new, h_new
            else:
                on = going[at]
                h, c, ys[at] = ops.where(on, h_new, h), ops.where(on, c_new, c), ops.where(on, h_new, 0.0)
        y = ops.concat([ops.reshape(one, (n, 1, units)) for one in ys], axis=1) if sequences else None
        return y, h, c

    def _going(self, lengths: Any, t: int) -> list[Tensor]:
        """Return, for each step, which sequences have not ended: bool [N, 1]."""
        ends = ops.reshape(lengths, (lengths.shape[0], 1))
        return [ops.less(Tensor.state(np.full((1, 1), at, ends.dtype)), ends) for at in range(t)]
