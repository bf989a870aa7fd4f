"""Recurrent layers: SimpleRNN, LSTM, GRU (names, defaults and weight layouts of Keras)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn import init, ops, regularizers
from pynn._blocks import Held
from pynn.checks import of_kind, positive, rate
from pynn.core.graph import execute
from pynn.core.state import state
from pynn.core.tensor import Tensor, tensor
from pynn.errors import DataError, ShapeError, unknown_name
from pynn.nn.module import Module
from pynn.nn.symbol import Symbol
from pynn.ops.embedding import check_lengths
from pynn.ops.random import _Dropout
from pynn.ops.rnn import RNN_ACTIVATIONS
from pynn.ops.steps import assign

__all__ = ["GRU", "LSTM", "SimpleRNN", "reset_states"]


def mask_to_lengths(mask: Any, x: Tensor, place: str) -> Tensor:
    """Return what a mask [N, T] of true steps says: lengths, if padding stands at the end, else the mask, int32."""
    t = mask if isinstance(mask, Tensor) else tensor(mask)
    if t.shape != x.shape[:2]:
        raise ShapeError(f"[{place}] expected a mask of shape {x.shape[:2]}. Received: {t.shape}.")
    if isinstance(mask, Tensor):  # of which a replay may bring another
        return ops.not_equal(t, 0).astype("int32") if t.dtype != np.bool_ else t.astype("int32")
    on = t.view() != 0
    if not (some := on.any(1)).all():
        n = int(np.flatnonzero(~some)[0])
        raise DataError(
            f"[{place}] expected at least one real step in every sequence. Received: mask[{n}] is false everywhere. "
            "help: leave empty sequences out of the batch."
        )
    if (~on[:, :-1] & on[:, 1:]).any():
        return Tensor.state(on.astype("int32"))
    return ops.sequence_lengths(t.astype("int32"))


class _Recurrent(Module):
    """What recurrent layers share: settings, masks, dropout, and states that are kept, given or returned."""

    w: Tensor
    u: Tensor
    b: Tensor
    _kept: Any  # of a stateful layer, its states; None before the first call
    _others: dict[int, Any]

    place = "rnn"
    recurrent = True
    blocks = 1  # of columns of the weights
    state_count = 1  # tensors of state
    # What they hold stays where it is, or chooses among ways to the same numbers.
    _unwatched = frozenset({"_others", "_trained", "_steps"})
    _trained = False  # whether the kept states are a training's
    _steps = 0  # of the sequences that came last

    def __init__(
        self,
        units: int,
        use_bias: bool,
        kernel_initializer: str | Callable[..., Any],
        recurrent_initializer: str | Callable[..., Any],
        bias_initializer: str | Callable[..., Any],
        kernel_regularizer: str | Callable[..., Any] | None,
        recurrent_regularizer: str | Callable[..., Any] | None,
        bias_regularizer: str | Callable[..., Any] | None,
        dropout: float,
        recurrent_dropout: float,
        return_sequences: bool,
        return_state: bool,
        go_backwards: bool,
        stateful: bool,
        name: str | None,
        seed: int | None,
    ):
        super().__init__(name, seed)
        self.units = positive(self.place, "units", units)
        self.use_bias = bool(use_bias)
        self.dropout = rate(self.place, "dropout", dropout)
        self.recurrent_dropout = rate(self.place, "recurrent_dropout", recurrent_dropout)
        self.return_sequences, self.return_state = bool(return_sequences), bool(return_state)
        self.go_backwards, self.stateful = bool(go_backwards), bool(stateful)
        self._initializers = tuple(map(init.get, (kernel_initializer, recurrent_initializer, bias_initializer)))
        self._penalties = tuple(map(regularizers.get, (kernel_regularizer, recurrent_regularizer, bias_regularizer)))
        self._aligned = False  # whether outputs of go_backwards stay at their time steps (inside Bidirectional)
        object.__setattr__(self, "_kept", None)
        object.__setattr__(self, "_others", {})  # by the number of sequences: states of predictions of other sizes

    def build(self, input_shape: tuple[int, ...]) -> None:
        if len(input_shape) != 3:
            more = " help: look token ids up with nn.Embedding first." if len(input_shape) == 2 else ""
            raise ShapeError(
                f"[{self.place}] expected sequences [N, T, features]. Received: x.shape={input_shape}.{more}"
            )
        kernel, recurrent, bias = self._initializers
        columns = self.blocks * self.units
        self.add_weight("w", (input_shape[-1], columns), kernel, regularizer=self._penalties[0])
        self.add_weight("u", (self.units, columns), recurrent, regularizer=self._penalties[1])
        if self.use_bias:
            self.add_weight("b", self._bias_shape(), bias, regularizer=self._penalties[2])

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.blocks * self.units,)

    def _run(self, x: Tensor, states: list[Any], **options: Any) -> tuple[Any, ...]:
        """Return (y or None, states ...)."""
        raise NotImplementedError

    def __call__(  # type: ignore[override]
        self, x: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None, *, lengths: Any = None
    ) -> Any:
        """Compute the output for a batch of sequences.

        Parameters
        ----------
        x : Tensor or array_like [N, T, features]
        initial_state : Tensor [N, units] or sequence of them, optional
            The state (for LSTM: h and c) before the first step.
        mask : bool array_like [N, T], optional
            Which steps are real. The state stays as it is over the others, whose outputs are 0.
        training : bool, optional
        lengths : int array_like [N], optional
            The mask as numbers of real steps. By default those that x carries.
        """
        x = x if isinstance(x, (Tensor, Symbol)) else tensor(x, dtype=self.dtype)
        if mask is not None:
            if lengths is not None:
                raise ValueError(f"[{self.place}] expected a mask or lengths. Received: both.")
            lengths = mask_to_lengths(mask, x, self.place)
        elif lengths is not None and not isinstance(lengths, Tensor):
            from pynn.ops.rnn import checked_lengths

            lengths = checked_lengths(self.place, lengths, x)
        given = (initial_state,) if isinstance(initial_state, (Tensor, np.ndarray)) else tuple(initial_state or ())
        if given and len(given) != self.state_count:
            raise ShapeError(f"[{self.place}] expected {self.state_count} initial states. Received: {len(given)}.")
        return super().__call__(x, lengths, *given, training=training)

    def forward(self, x: Tensor, lengths: Tensor | None = None, *given: Tensor) -> Any:
        if lengths is None:
            lengths = x.lengths
        elif lengths.ndim == 1:
            lengths = check_lengths(lengths, x)
        n = x.shape[0]
        if x.ndim == 3 and x.shape[1] != self._steps:
            object.__setattr__(self, "_steps", x.shape[1])
        stateful = self.stateful and not given and not state.trial
        states: list[Any] = list(given) or (self._before(n) if stateful else [None] * self.state_count)
        options: dict[str, Any] = {"lengths": lengths, "reverse": self.go_backwards}
        if state.training and self.dropout:
            x = ops.mul(x, ops.reshape(self._random(self.dropout, (n, x.shape[2]))[0], (n, 1, x.shape[2])))
        if state.training and self.recurrent_dropout:
            options["mask"] = self._random(self.recurrent_dropout, (n, self.units))[1]
            options["keep"] = 1.0 - self.recurrent_dropout
        y, *last = self._run(ops.without_lengths(x), states, sequences=self.return_sequences, **options)
        if stateful:
            for new, kept in zip(last, self._states_of(n), strict=True):
                assign(new.detach(), kept)
        if not self.return_sequences:
            y = last[0]
        else:
            y.lengths = lengths
            if self.go_backwards and not self._aligned:
                y = ops.reverse_steps(y)
        return (y, *last) if self.return_state else y

    def _random(self, rate: float, shape: tuple[int, ...]) -> Any:
        """Return ones after dropout, and which of them were kept: one draw for all steps."""
        rng = state.rng
        return execute(_Dropout, (ops.ones(shape, self.dtype), rng.seed, rng.step), {"rate": rate}, salt=rng.salt())  # type: ignore[arg-type]

    def product_of_rows(self) -> tuple[int, int]:
        """Return its weights, and the numbers that it holds for a sequence (for pynn.train.segments)."""
        inputs, columns = self.w.shape
        return self.w.size + self.u.size, self._steps * (inputs + 2 * columns + 3 * self.units)

    # States that outlive a call

    def _before(self, n: int) -> list[Tensor]:
        """Return copies of the kept states; zeros at first."""
        return [ops.copy(t) for t in self._states_of(n)]

    def _states_of(self, n: int) -> list[Tensor]:
        """Return the states for n sequences; a prediction of another number than the training's has its own.

        A segment of a batch has a window on those of its rows.
        """
        if state.training and state.rows is not None and n == state.rows[1] - state.rows[0]:
            first, _, whole = state.rows
            with Held(state, rows=None):
                return [_window(t, first, n) for t in self._states_of(whole)]
        kept = self._kept
        if kept is not None and kept[0].shape[0] != n:
            if not state.training:
                if n not in self._others:
                    self._others[n] = self._zeros(n)
                return self._others[n]
            if self._trained and any(t.view().any() for t in kept):  # unlike what reset_states() leaves
                raise ShapeError(
                    f"[{self.place}] a stateful layer expected batches of {kept[0].shape[0]} sequences. "
                    f"Received: {n}. help: call reset_states() before changing the batch size, and drop an incomplete "
                    "last batch."
                )
            self._others[kept[0].shape[0]] = kept
            object.__setattr__(self, "_kept", self._others.pop(n, None))
        if self._kept is None:
            object.__setattr__(self, "_kept", self._zeros(n))
        if state.training:
            object.__setattr__(self, "_trained", True)
        return self._kept

    def _zeros(self, n: int) -> list[Tensor]:
        return [Tensor.state(np.zeros((n, self.units), self.dtype)) for _ in range(self.state_count)]

    def reset_states(self) -> None:
        """Set the states of a stateful layer back to zero; the batch size may change afterwards."""
        for t in (*(self._kept or ()), *(t for states in self._others.values() for t in states)):
            t.view()[...] = 0  # where they are: a program that was recorded with them goes on

    def extra_repr(self) -> str:
        flags = ("return_sequences", "return_state", "go_backwards", "stateful")
        return ", ".join([str(self.units), *(f"{flag}=True" for flag in flags if getattr(self, flag))])


def _window(t: Tensor, first: int, n: int) -> Tensor:
    row = t.nbytes // t.shape[0]
    return Tensor(t.buffer.view(first * row, n * row), (n, *t.shape[1:]), t.dtype)


def reset_states(model: Module) -> None:
    """Set the states of all stateful layers of a model back to zero."""
    for module in of_kind("reset_states", "model", model, "a model", "modules").modules():
        if isinstance(module, _Recurrent):
            module.reset_states()


def _fixed(place: str, **settings: tuple[Any, str]) -> None:
    """Raise ValueError for activations other than those that the fused steps have."""
    for name, (value, only) in settings.items():
        if value != only:
            raise ValueError(
                f"[{place}] expected {name} {only!r}, which is the only one. Received: {name}={value!r}. "
                "help: nn.SimpleRNN takes others; a cell of one's own is written like nn.LayerNormLSTM."
            )


class SimpleRNN(_Recurrent):
    """h_t = act(x_t w + h_(t-1) u + b) (Elman 1990).

    Parameters
    ----------
    units : int
        Size of the state.
    activation : {"tanh", "relu", "sigmoid", "linear"}, default "tanh"
    use_bias : bool, default True
    kernel_initializer : str or initializer, default "glorot_uniform"
        First values of ``w``; see :mod:`pynn.init`.
    recurrent_initializer : str or initializer, default "orthogonal"
        First values of ``u``.
    bias_initializer : str or initializer, default "zeros"
        First values of ``b``.
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
        Return all outputs [N, T, units] instead of the last one [N, units].
    return_state : bool, default False
        Return the last state too.
    go_backwards : bool, default False
        Run from the last step to the first; outputs come in that order, padding still at the end.
    stateful : bool, default False
        Begin a batch with the states at the end of the batch before (see reset_states). While training all batches have
        one size; predictions of another number of sequences begin with zeros, and carry states of their own.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `units` is not a positive integer, or `dropout` or `recurrent_dropout` is not a number in [0, 1), or the
        name of an activation, initializer or regularizer is not known.
    ShapeError
        If the input is not sequences [N, T, features].

    Notes
    -----
    Input [N, T, D]; weights ``w`` [D, units], ``u`` [units, units], ``b`` [units]. Outputs beyond a sequence's length
    are 0 and the state stays as it was.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.SimpleRNN(5, return_sequences=True)(np.ones((2, 3, 4), "float32")).shape
    (2, 3, 5)
    """

    place = "simple_rnn"

    def __init__(
        self,
        units: int,
        activation: str | None = "tanh",
        use_bias: bool = True,
        *,
        kernel_initializer: str | Callable[..., Any] = "glorot_uniform",
        recurrent_initializer: str | Callable[..., Any] = "orthogonal",
        bias_initializer: str | Callable[..., Any] = "zeros",
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
            units, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
            recurrent_regularizer, bias_regularizer, dropout, recurrent_dropout, return_sequences, return_state,
            go_backwards, stateful, name, seed,
        )  # fmt: skip
        self.activation = activation or "linear"
        if self.activation not in RNN_ACTIVATIONS:
            raise ValueError("[simple_rnn] " + unknown_name("activation", activation, RNN_ACTIVATIONS))

    def _run(self, x: Tensor, states: list[Any], **options: Any) -> tuple[Any, ...]:
        b = self.b if self.use_bias else None
        return ops.simple_rnn(x, self.w, self.u, b, h0=states[0], activation=self.activation, **options)


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000).

    i, f, g, o = x w + h u + b;  c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c)

    Parameters
    ----------
    units : int
        Size of the states h and c.
    activation : {"tanh"}, default "tanh"
    recurrent_activation : {"sigmoid"}, default "sigmoid"
        As in Keras, for code from there: the fused steps have no others.
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
        i and f also see the old c, o the new one, each unit its own (Gers, Schraudolph and Schmidhuber 2002).
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
        If `units` is not a positive integer, or `activation` is not "tanh", or `recurrent_activation` is not
        "sigmoid", or `dropout` or `recurrent_dropout` is not a number in [0, 1), or the name of an initializer or
        regularizer is not known.
    ShapeError
        If the input is not sequences [N, T, features].

    Notes
    -----
    Input [N, T, D]; weights ``w`` [D, 4 units], ``u`` [units, 4 units], ``b`` [4 units], gates in the order i, f, g, o;
    ``p`` [3, units] with peephole.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> y, h, c = nn.LSTM(5, return_state=True)(np.ones((2, 3, 4), "float32"))
    >>> y.shape, c.shape
    ((2, 5), (2, 5))
    """

    p: Tensor

    place, blocks, state_count = "lstm", 4, 2

    def __init__(
        self,
        units: int,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        use_bias: bool = True,
        *,
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
        _fixed(self.place, activation=(activation, "tanh"), recurrent_activation=(recurrent_activation, "sigmoid"))
        super().__init__(
            units, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
            recurrent_regularizer, bias_regularizer, dropout, recurrent_dropout, return_sequences, return_state,
            go_backwards, stateful, name, seed,
        )  # fmt: skip
        self.unit_forget_bias, self.peephole = bool(unit_forget_bias), bool(peephole)

    def build(self, input_shape: tuple[int, ...]) -> None:
        super().build(input_shape)
        if self.use_bias and self.unit_forget_bias and not state.shapes:
            self.b.view()[self.units : 2 * self.units] = 1.0
        if self.peephole:
            self.add_weight("p", (3, self.units), self._initializers[0])

    def _run(self, x: Tensor, states: list[Any], **options: Any) -> tuple[Any, ...]:
        b, p = self.b if self.use_bias else None, self.p if self.peephole else None
        return ops.lstm(x, self.w, self.u, b, h0=states[0], c0=states[1], peephole=p, **options)


class GRU(_Recurrent):
    """Gated recurrent units (Cho and others 2014).

    z, r = sigmoid(x w + h u + b);  h = z h + (1 - z) tanh(x w_g + b_g + inner)

    Parameters
    ----------
    units : int
        Size of the state.
    activation : {"tanh"}, default "tanh"
    recurrent_activation : {"sigmoid"}, default "sigmoid"
        As in Keras, for code from there: the fused steps have no others.
    use_bias : bool, default True
    kernel_initializer : str or initializer, default "glorot_uniform"
        First values of ``w``; see :mod:`pynn.init`.
    recurrent_initializer : str or initializer, default "orthogonal"
        First values of ``u``.
    bias_initializer : str or initializer, default "zeros"
        First values of ``b``.
    reset_after : bool, default True
        inner is r (h u_g + b'_g), with a second bias b' (as cuDNN has it); else (r h) u_g, as in the paper.
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
        If `units` is not a positive integer, or `activation` is not "tanh", or `recurrent_activation` is not
        "sigmoid", or `dropout` or `recurrent_dropout` is not a number in [0, 1), or the name of an initializer or
        regularizer is not known.
    ShapeError
        If the input is not sequences [N, T, features].

    Notes
    -----
    Input [N, T, D]; weights ``w`` [D, 3 units], ``u`` [units, 3 units], gates in the order z, r, g; ``b`` [2, 3 units]
    (of the input, of the state) with reset_after, else [3 units].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.GRU(5)(np.ones((2, 3, 4), "float32")).shape
    (2, 5)
    """

    place, blocks = "gru", 3

    def __init__(
        self,
        units: int,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        use_bias: bool = True,
        *,
        kernel_initializer: str | Callable[..., Any] = "glorot_uniform",
        recurrent_initializer: str | Callable[..., Any] = "orthogonal",
        bias_initializer: str | Callable[..., Any] = "zeros",
        reset_after: bool = True,
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
        _fixed(self.place, activation=(activation, "tanh"), recurrent_activation=(recurrent_activation, "sigmoid"))
        super().__init__(
            units, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, kernel_regularizer,
            recurrent_regularizer, bias_regularizer, dropout, recurrent_dropout, return_sequences, return_state,
            go_backwards, stateful, name, seed,
        )  # fmt: skip
        self.reset_after = bool(reset_after)

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def _run(self, x: Tensor, states: list[Any], **options: Any) -> tuple[Any, ...]:
        b = self.b if self.use_bias else None
        return ops.gru(x, self.w, self.u, b, h0=states[0], reset_after=self.reset_after, **options)
