"""LSTM with layer normalization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pynn import init, ops
from pynn.checks import number
from pynn.core.tensor import Tensor
from pynn.nn.rnn import LSTM

__all__ = ["LayerNormLSTM"]


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
    activation : {"tanh"}, default "tanh"
        As in Keras: there is no other.
    recurrent_activation : {"sigmoid"}, default "sigmoid"
        As in Keras: there is no other.
    use_bias : bool, default True
    kernel_initializer : str or initializer, default "glorot_uniform"
        First values of ``w``; see :mod:`pynn.init`.
    recurrent_initializer : str or initializer, default "orthogonal"
        First values of ``u``.
    bias_initializer : str or initializer, default "zeros"
        First values of ``b``.
    unit_forget_bias : bool, default True
        Begin with a bias of 1 for f, so that memory is kept.
    peephole : bool, default False
        Refused if True; see :class:`LSTM`.
    kernel_regularizer : regularizer, optional
        Penalty on ``w``; see :mod:`pynn.regularizers`.
    recurrent_regularizer : regularizer, optional
        Penalty on ``u``.
    bias_regularizer : regularizer, optional
        Penalty on ``b``.
    dropout : float, default 0.0
        Share of the input's values that are set to 0 while training: one draw for all steps.
    recurrent_dropout : float, default 0.0
        Share of the state's values that are set to 0 on their way back while training.
    return_sequences : bool, default False
        Return the state of every step, not of the last one alone.
    return_state : bool, default False
        Return the last states too.
    go_backwards : bool, default False
        Begin with the last step.
    stateful : bool, default False
        Begin with the states that the batch before has left.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `units` is not a positive integer, or `epsilon` is not a finite number above 0, or `activation` is not
        "tanh", or `recurrent_activation` is not "sigmoid", or `dropout` or `recurrent_dropout` is not a number in
        [0, 1), or the name of an initializer or regularizer is not known.
    ShapeError
        If the input is not sequences [N, T, features].

    Notes
    -----
    The loop over time is made of ordinary ops (see pynn/ops/rnn_norm.py), so it is the pattern for a recurrent cell of
    one's own (override ``_run``), and slower than the fused layers. Weights ``w`` [D, 4 units], ``u`` [units, 4 units],
    ``b`` [4 units], ``gamma_x``, ``gamma_h`` [4 units], ``gamma_c``, ``beta_c`` [units].

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

    gamma_x: Tensor
    gamma_h: Tensor
    gamma_c: Tensor
    beta_c: Tensor

    place = "layer_norm_lstm"

    def __init__(
        self,
        units: int,
        epsilon: float = 1e-3,
        *,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: str | Callable[..., Any] = "glorot_uniform",
        recurrent_initializer: str | Callable[..., Any] = "orthogonal",
        bias_initializer: str | Callable[..., Any] = "zeros",
        unit_forget_bias: bool = True,
        peephole: bool = False,
        kernel_regularizer: str | Callable[..., Any] | None = None,
        recurrent_regularizer: str | Callable[..., Any] | None = None,
        bias_regularizer: str | Callable[..., Any] | None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(
            units, activation, recurrent_activation, use_bias, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias, peephole=peephole, kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer, bias_regularizer=bias_regularizer, dropout=dropout,
            recurrent_dropout=recurrent_dropout, return_sequences=return_sequences, return_state=return_state,
            go_backwards=go_backwards, stateful=stateful, name=name, seed=seed,
        )  # fmt: skip
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

    def _run(self, x: Tensor, states: list[Any], **options: Any) -> tuple[Any, ...]:
        b = self.b if self.use_bias else None
        norms = {key: self._weights[key] for key in ("gamma_x", "gamma_h", "gamma_c", "beta_c")}
        return ops.layer_norm_lstm(x, self.w, self.u, b, *states, **norms, epsilon=self.epsilon, **options)
