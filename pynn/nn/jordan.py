"""A recurrent layer whose output, not whose state, feeds the next step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn import init, ops
from pynn.checks import positive
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError, unknown_name
from pynn.nn.module import Module
from pynn.ops.activation import named
from pynn.ops.jordan import OUTPUT_ACTIVATIONS
from pynn.ops.rnn import RNN_ACTIVATIONS

__all__ = ["JordanRNN"]


class JordanRNN(Module):
    """Output-to-hidden recurrence: h_t = act(x_t w + o_(t-1) v + b), o_t = act_out(h_t w_out + b_out), o_0 = 0.

    Parameters
    ----------
    units : int
        Size of the hidden layer.
    outputs : int
        Size of the output.
    activation : {"tanh", "relu", "sigmoid", "linear"}, default "tanh"
    output_activation : {"linear", "tanh", "relu", "sigmoid", "softmax"}, default "linear"
        Of what is put out and fed back. With "linear", a loss that takes logits applies its softmax or sigmoid itself;
        with "softmax" or "sigmoid" probabilities feed back, and the loss takes them (from_logits=False).
    kernel_initializer : str or initializer, default "glorot_uniform"
        First values of ``w``, ``v`` and ``w_out``; see :mod:`pynn.init`.
    bias_initializer : str or initializer, default "zeros"
        First values of ``b`` and ``b_out``.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `units` or `outputs` is not a positive integer, or the name of an activation or initializer is not known.
    ShapeError
        If the input is not sequences [N, T, features].

    Notes
    -----
    Input x [N, T, D] and, for teacher forcing, the targets [N, T, outputs]: then o_(t-1) is the target of the step
    before instead of the layer's own output, and no step waits for another. Output [N, T, outputs]; beyond a sequence's
    length it is 0 without teacher forcing. Weights ``w`` [D, units], ``v`` [outputs, units], ``b`` [units], ``w_out``
    [units, outputs], ``b_out`` [outputs].

    References
    ----------
    Jordan: Serial order: a parallel distributed processing approach (1986). Williams and Zipser: A learning algorithm
    for continually running fully recurrent neural networks (1989; teacher forcing).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.JordanRNN(5, 2, output_activation="softmax")
    >>> x, targets = np.ones((3, 4, 6), "float32"), np.ones((3, 4, 2), "float32")
    >>> layer(x).shape, layer(x, targets).shape
    ((3, 4, 2), (3, 4, 2))
    """

    w: Tensor
    v: Tensor
    b: Tensor
    w_out: Tensor
    b_out: Tensor

    recurrent = True

    def __init__(
        self,
        units: int,
        outputs: int,
        activation: str = "tanh",
        output_activation: str = "linear",
        *,
        kernel_initializer: str | Callable[..., Any] = "glorot_uniform",
        bias_initializer: str | Callable[..., Any] = "zeros",
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(name, seed)
        self.units = positive("jordan_rnn", "units", units)
        self.outputs = positive("jordan_rnn", "outputs", outputs)
        if activation not in RNN_ACTIVATIONS:
            raise ValueError("[jordan_rnn] " + unknown_name("activation", activation, RNN_ACTIVATIONS))
        if output_activation not in OUTPUT_ACTIVATIONS:
            raise ValueError("[jordan_rnn] " + unknown_name("activation", output_activation, OUTPUT_ACTIVATIONS))
        self.activation, self.output_activation = activation, output_activation
        self._initializers = init.get(kernel_initializer), init.get(bias_initializer)

    def build(self, input_shape: tuple[int, ...]) -> None:
        if len(input_shape) != 3:
            raise ShapeError(f"[jordan_rnn] expected sequences [N, T, features]. Received: x.shape={input_shape}.")
        kernel, bias = self._initializers
        self.add_weight("w", (input_shape[-1], self.units), kernel)
        self.add_weight("v", (self.outputs, self.units), kernel)
        self.add_weight("b", (self.units,), bias)
        self.add_weight("w_out", (self.units, self.outputs), kernel)
        self.add_weight("b_out", (self.outputs,), bias)

    def forward(self, x: Tensor, targets: Tensor | None = None) -> Tensor:
        if targets is not None:
            return self._taught(x, targets)
        return ops.jordan_rnn(
            x, self.w, self.v, self.b, self.w_out, self.b_out, x.lengths, self.activation, self.output_activation
        )

    def _taught(self, x: Tensor, targets: Tensor) -> Tensor:
        expected = (*x.shape[:2], self.outputs)
        if targets.shape != expected:
            raise ShapeError(f"[jordan_rnn] expected targets of shape {expected}. Received: {targets.shape}.")
        first = Tensor.state(np.zeros((x.shape[0], 1, self.outputs), x.dtype))
        before = ops.concat([first, targets[:, :-1]], axis=1)
        both, w = ops.concat([x, before], axis=2), ops.concat([self.w, self.v], axis=0)
        y = ops.dense(ops.dense(both, w, self.b, self.activation), self.w_out, self.b_out)
        return y if self.output_activation == "linear" else named(self.output_activation)(y)

    def extra_repr(self) -> str:
        activations = f"activation={self.activation!r}, output_activation={self.output_activation!r}"
        return f"{self.units}, {self.outputs}, {activations}"
