"""Recurrent layers, the cells that they are made of, and layers around layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import nn, ops
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.keras import activations
from pynn.keras.layer import Layer, mask_of
from pynn.keras.names import refused
from pynn.keras.symbols import flat, mapped
from pynn.nn.rnn import mask_to_lengths
from pynn.ops.rnn import RNN_ACTIVATIONS

__all__ = ["GRU", "LSTM", "RNN", "Bidirectional", "CuDNNGRU", "CuDNNLSTM", "GRUCell", "LSTMCell", "SimpleRNN",
           "SimpleRNNCell", "StackedRNNCells", "TimeDistributed", "Wrapper"]  # fmt: skip

NAMES = {"kernel": "w", "recurrent_kernel": "u", "bias": "b"}


def simple_step(cell, x, states):
    """Return the new states of a simple unit, for its input."""
    z = ops.dense(x, cell.w, cell.b if cell.use_bias else None) + ops.matmul(states[0], cell.u)
    return [cell.activation(z)]


def lstm_step(cell, x, states):
    """Return the new h and c of an LSTM."""
    z = ops.dense(x, cell.w, cell.b if cell.use_bias else None) + ops.matmul(states[0], cell.u)
    n = cell.units
    i, f, g, o = (z[:, k * n : (k + 1) * n] for k in range(4))
    gate = cell.recurrent_activation
    c = gate(f) * states[1] + gate(i) * cell.activation(g)
    return [gate(o) * cell.activation(c), c]


def gru_step(cell, x, states):
    """Return the new state of a GRU."""
    n, [h], gate = cell.units, states, cell.recurrent_activation
    b = cell.b if cell.use_bias else None
    after = cell.reset_after
    x = ops.dense(x, cell.w, (b[0] if after else b) if b is not None else None)
    if after:
        inner = ops.matmul(h, cell.u)
        inner = inner if b is None else inner + b[1]
        z, r = gate(x[:, :n] + inner[:, :n]), gate(x[:, n : 2 * n] + inner[:, n : 2 * n])
        g = cell.activation(x[:, 2 * n :] + r * inner[:, 2 * n :])
    else:
        inner = ops.matmul(h, cell.u[:, : 2 * n])
        z, r = gate(x[:, :n] + inner[:, :n]), gate(x[:, n : 2 * n] + inner[:, n:])
        g = cell.activation(x[:, 2 * n :] + ops.matmul(r * h, cell.u[:, 2 * n :]))
    return [z * h + (1.0 - z) * g]


def walked(step, x, states, mask, backwards: bool) -> tuple[list[Any], list[Any]]:
    """Return (outputs of every step, last states) of a cell along time; over steps that are not real states stay."""
    found = []
    rows, steps = next(flat(x)).shape[:2]
    for t in reversed(range(steps)) if backwards else range(steps):
        new = step(mapped(lambda v, t=t: v[:, t], x), states)
        if mask is not None:
            new = [ops.where(ops.reshape(mask[:, t], (rows, *(1,) * (a.ndim - 1))), a, b)
                   for a, b in zip(new, states, strict=True)]  # fmt: skip
        states = new
        found.append(states[0])
    return found, states


def stacked(steps: list[Any]):
    """Return [N, T, ...] of the steps."""
    return ops.concat([ops.reshape(y, (y.shape[0], 1, *y.shape[1:])) for y in steps], 1)


class _Recurrent(Layer):
    """What SimpleRNN, LSTM and GRU share: pynn's fused steps, or others where activations ask for them."""

    _base = None
    _aliases = NAMES
    _cell_path = "cell/"
    _reads_lengths = supports_masking = True
    _step = None

    def _recur(self, given):
        kwargs = given["kwargs"]
        for old in ("unroll", "use_cudnn", "implementation", "time_major", "zero_output_for_mask", "consume_less"):
            kwargs.pop(old, None)
        activation, gate = given["activation"], given.get("recurrent_activation")
        self._make_of(self._base, given)
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(gate)
        mine = activations.for_layer(activation)
        if self._base is nn.SimpleRNN:
            self._fused = mine in RNN_ACTIVATIONS
            self._name = mine
        else:
            self._fused = mine == "tanh" and activations.for_layer(gate) == "sigmoid"

    @property
    def states(self):
        """The states that a stateful layer has kept; None before its first call."""
        return self._kept

    @property
    def state_size(self):
        """The size of the state, or of each."""
        return self.units if self.state_count == 1 else [self.units] * self.state_count

    @property
    def output_size(self):
        """The size of the output."""
        return self.units

    def build(self, input_shape=None):
        """Declare the weights."""
        if isinstance(input_shape, list):
            input_shape = input_shape[0]
        self._base.build(self, input_shape)

    def call(self, sequences, initial_state=None, mask=None, training=False):
        """Compute the output, and the last states if asked for."""
        if isinstance(sequences, (list, tuple)):
            sequences, initial_state = sequences[0], list(sequences[1:])
        given = [initial_state] if isinstance(initial_state, Tensor) else list(initial_state or ())
        x = sequences
        lengths = x.lengths if mask is None else mask_to_lengths(mask, x, self.name)
        if self._fused:
            return self._base.forward(self, x, lengths, *given)
        if self.dropout and training:
            n = x.shape[0]
            x = x * nn.Dropout.forward(_Rate(self.dropout), ops.ones((n, 1, x.shape[2]), x.dtype))
        plain = ops.without_lengths(x)
        plain.lengths = None
        if not given:
            given = [ops.zeros((x.shape[0], self.units), x.dtype) for _ in range(self.state_count)]
        if lengths is not None:
            plain = ops.with_lengths(plain, lengths)
            mask = mask_of(plain)
            plain = ops.without_lengths(plain)
        steps, last = walked(lambda a, b: type(self)._step(self, a, b), plain, given, mask, self.go_backwards)
        if not self.return_sequences:
            y = last[0]
        else:
            y = stacked(steps[::-1] if self.go_backwards and self._aligned else steps)
            y.lengths = lengths
        return (y, *last) if self.return_state else y

    def _run(self, x, states, **options):
        if self._base is nn.SimpleRNN:
            b = self.b if self.use_bias else None
            return ops.simple_rnn(x, self.w, self.u, b, h0=states[0], activation=self._name, **options)
        return self._base._run(self, x, states, **options)

    def reset_states(self, states=None):
        """Set the states of a stateful layer back to zero, or to values."""
        nn.rnn._Recurrent.reset_states(self)
        if states is not None and self._kept is not None:
            given = [states] if self.state_count == 1 and not isinstance(states, list) else states
            for t, value in zip(self._kept, given, strict=True):
                t.view()[...] = np.asarray(value)

    reset_state = reset_states

    def get_initial_state(self, batch_size):
        """Return zeros for so many sequences."""
        return [ops.zeros((batch_size, self.units)) for _ in range(self.state_count)]


class _Rate:
    def __init__(self, rate):
        self.rate = rate


class SimpleRNN(_Recurrent, nn.SimpleRNN):
    """h = act(x kernel + h recurrent_kernel + bias)."""

    _base, _step = nn.SimpleRNN, staticmethod(simple_step)

    def __init__(self, units, activation="tanh", use_bias=True, kernel_initializer="glorot_uniform",
                 recurrent_initializer="orthogonal", bias_initializer="zeros", kernel_regularizer=None,
                 recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
                 recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0,
                 return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False,
                 seed=None, **kwargs):  # fmt: skip
        self._recur(locals())


class LSTM(_Recurrent, nn.LSTM):
    """Long short-term memory."""

    _base, _step = nn.LSTM, staticmethod(lstm_step)

    def __init__(self, units, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
                 kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal", bias_initializer="zeros",
                 unit_forget_bias=True, kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None,
                 activity_regularizer=None, kernel_constraint=None, recurrent_constraint=None, bias_constraint=None,
                 dropout=0.0, recurrent_dropout=0.0, seed=None, return_sequences=False, return_state=False,
                 go_backwards=False, stateful=False, unroll=False, use_cudnn="auto", **kwargs):  # fmt: skip
        self._recur(locals())


class GRU(_Recurrent, nn.GRU):
    """Gated recurrent units."""

    _base, _step = nn.GRU, staticmethod(gru_step)

    def __init__(self, units, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
                 kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal", bias_initializer="zeros",
                 kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None,
                 kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0,
                 recurrent_dropout=0.0, seed=None, return_sequences=False, return_state=False, go_backwards=False,
                 stateful=False, unroll=False, reset_after=True, use_cudnn="auto", **kwargs):  # fmt: skip
        self._recur(locals())


class CuDNNLSTM(LSTM):
    """An LSTM, as Keras 2 had it for CUDA."""


class CuDNNGRU(GRU):
    """A GRU, as Keras 2 had it for CUDA."""


class _Cell(Layer):
    """One step of a recurrent layer."""

    _aliases = NAMES
    blocks, state_count, _step = 1, 1, staticmethod(simple_step)
    reset_after = True

    def _cell(self, given):
        Layer.__init__(self, **given.pop("kwargs"))
        vars(self).update((k, v) for k, v in given.items() if not k.endswith(("self", "_regularizer", "_constraint")))
        self.units = int(self.units)
        self.activation = activations.get(given["activation"])
        self.recurrent_activation = activations.get(given.get("recurrent_activation"))

    @property
    def state_size(self):
        """The size of the state, or of each."""
        return self.units if self.state_count == 1 else [self.units] * self.state_count

    @property
    def output_size(self):
        """The size of the output."""
        return self.units

    def build(self, input_shape=None):
        """Declare the weights."""
        width = self.blocks * self.units
        self.add_weight("w", (input_shape[-1], width), initializer=self.kernel_initializer)
        self.add_weight("u", (self.units, width), initializer=self.recurrent_initializer)
        if self.use_bias:
            shape = (2, width) if self.blocks == 3 and self.reset_after else (width,)
            b = self.add_weight("b", shape, initializer=self.bias_initializer)
            if getattr(self, "unit_forget_bias", False):
                b.view()[self.units : 2 * self.units] = 1.0

    def call(self, inputs, states, training=False):
        """Return (output, new states)."""
        given = [states] if isinstance(states, Tensor) else list(states)
        if training and self.dropout:
            inputs = nn.Dropout.forward(_Rate(self.dropout), inputs)
        new = type(self)._step(self, inputs, given)
        return new[0], new

    def get_initial_state(self, batch_size=None, **_):
        """Return zeros for so many rows."""
        return [ops.zeros((batch_size, self.units)) for _ in range(self.state_count)]


class SimpleRNNCell(_Cell):
    """One step of SimpleRNN."""

    def __init__(self, units, activation="tanh", use_bias=True, kernel_initializer="glorot_uniform",
                 recurrent_initializer="orthogonal", bias_initializer="zeros", kernel_regularizer=None,
                 recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None, recurrent_constraint=None,
                 bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, seed=None, **kwargs):  # fmt: skip
        self._cell(locals())


class LSTMCell(_Cell):
    """One step of LSTM."""

    blocks, state_count, _step = 4, 2, staticmethod(lstm_step)

    def __init__(self, units, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
                 kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal", bias_initializer="zeros",
                 unit_forget_bias=True, kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None,
                 kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0,
                 recurrent_dropout=0.0, seed=None, **kwargs):  # fmt: skip
        self._cell(locals())


class GRUCell(_Cell):
    """One step of GRU."""

    blocks, _step = 3, staticmethod(gru_step)

    def __init__(self, units, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
                 kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal", bias_initializer="zeros",
                 kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None,
                 recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, reset_after=True,
                 seed=None, **kwargs):  # fmt: skip
        self._cell(locals())


class StackedRNNCells(Layer):
    """Cells one after the other as one."""

    def __init__(self, cells, **kwargs):
        super().__init__(**kwargs)
        self.cells = list(cells)

    @property
    def state_size(self):
        """The sizes of all states."""
        return [size for cell in self.cells for size in _sizes(cell)]

    def call(self, inputs, states, training=False):
        """Return (output, new states)."""
        left, new = list(states), []
        for cell in self.cells:
            count = len(_sizes(cell))
            inputs, found = cell(inputs, left[:count])
            new += list(found) if isinstance(found, (list, tuple)) else [found]
            left = left[count:]
        return inputs, new


def _sizes(cell):
    size = cell.state_size  # a number or a shape, or a list of them
    return list(size) if isinstance(size, list) or (isinstance(size, tuple) and not hasattr(size, "ndims")) else [size]


class RNN(Layer):
    """A recurrent layer of a cell, also of one's own: a layer with state_size whose call(x, states) returns both."""

    _reads_lengths = True

    def __init__(self, cell, return_sequences=False, return_state=False, go_backwards=False, stateful=False,
                 unroll=False, zero_output_for_mask=False, **kwargs):  # fmt: skip
        super().__init__(**kwargs)
        self.cell = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell
        self.return_sequences, self.return_state = bool(return_sequences), bool(return_state)
        self.go_backwards, self._aligned = bool(go_backwards), False
        if stateful:
            refused("RNN(stateful=True)", "SimpleRNN, LSTM and GRU are stateful if asked for")

    def call(self, sequences, initial_state=None, mask=None, training=False):
        """Walk along time."""
        x, first = sequences, next(flat(sequences))
        if mask is None:
            mask = mask_of(x)
        if initial_state is None:
            shapes = [size if isinstance(size, tuple) else (size,) for size in _sizes(self.cell)]
            initial_state = [ops.zeros((first.shape[0], *shape), first.dtype) for shape in shapes]
        outs = []

        def step(a, states):
            y, new = self.cell(a, states)
            outs.append(y)
            return list(new) if isinstance(new, (list, tuple)) else [new]

        states = [initial_state] if isinstance(initial_state, Tensor) else list(initial_state)
        _, last = walked(step, mapped(ops.without_lengths, x), states, mask, self.go_backwards)
        y = outs[-1] if mask is None else last[0]
        if self.return_sequences:
            parts = zip(*(list(flat(out)) for out in (outs[::-1] if self._aligned and self.go_backwards else outs)),
                        strict=True)  # fmt: skip
            joined = iter([stacked(list(part)) for part in parts])
            y = mapped(lambda _: next(joined), outs[0])
            if isinstance(y, Tensor):
                y.lengths = first.lengths
        return (y, *last) if self.return_state else y


class Wrapper(Layer):
    """A layer around a layer."""

    _reads_lengths = True

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise TypeError(f"[{self.name}] expected a layer. Received: {layer!r}.")
        self.layer = layer


class TimeDistributed(Wrapper):
    """A layer applied to every step."""

    def __init__(self, layer, **kwargs):
        super().__init__(layer, **kwargs)

    def call(self, inputs, mask=None):
        """Compute the layer on all steps at once."""
        if inputs.ndim < 3:
            raise ShapeError(f"[time_distributed] expected sequences [N, T, ...]. Received: x.shape={inputs.shape}.")
        n, t = inputs.shape[:2]
        y = self.layer(ops.reshape(ops.without_lengths(inputs), (n * t, *inputs.shape[2:])))
        y = ops.reshape(y, (n, t, *y.shape[1:]))
        y.lengths = inputs.lengths
        return y


class Bidirectional(Layer):
    """A recurrent layer forwards and another backwards."""

    _reads_lengths = True

    def __init__(self, layer, merge_mode="concat", weights=None, backward_layer=None, **kwargs):
        super().__init__(weights=weights, **kwargs)
        if merge_mode not in ("concat", "sum", "mul", "ave", None):
            raise ValueError(f"[bidirectional] expected merge_mode 'concat', 'sum', 'mul', 'ave' or None. "
                             f"Received: {merge_mode!r}.")  # fmt: skip
        if not hasattr(layer, "go_backwards"):
            raise TypeError(f"[bidirectional] expected a recurrent layer. Received: {layer!r}.")
        self.merge_mode = merge_mode
        if self._known_shape is None:
            self.__dict__["_known_shape"] = layer._known_shape
        config = layer.get_config()
        self.forward_layer = type(layer).from_config({**config, "name": f"forward_{layer.name}"})
        if backward_layer is None:
            backward_layer = type(layer).from_config(
                {**config, "go_backwards": not layer.go_backwards, "name": f"backward_{layer.name}"}
            )
        self.backward_layer = backward_layer
        object.__setattr__(backward_layer, "_aligned", True)
        object.__setattr__(self.forward_layer, "_aligned", True)

    @property
    def layer(self):
        """The layer that runs forwards."""
        return self.forward_layer

    def call(self, sequences, initial_state=None, mask=None, training=False):
        """Compute both directions, and merge them."""
        layers = (self.forward_layer, self.backward_layer)
        if isinstance(sequences, (list, tuple)):
            sequences, initial_state = sequences[0], list(sequences[1:])
        half = len(initial_state) // 2 if initial_state is not None else 0
        starts = (None, None) if not half else (initial_state[:half], initial_state[half:])
        outs = [layer(sequences, initial_state=s, mask=mask) for layer, s in zip(layers, starts, strict=True)]
        states = []
        if self.forward_layer.return_state:
            states = [t for out in outs for t in out[1:]]
            outs = [out[0] for out in outs]
        a, b = outs
        if self.merge_mode is None:
            return [a, b, *states]
        merged = {"concat": lambda: ops.concat([a, b], -1), "sum": lambda: a + b, "mul": lambda: a * b,
                  "ave": lambda: (a + b) * 0.5}[self.merge_mode]()  # fmt: skip
        if self.forward_layer.return_sequences:
            merged.lengths = a.lengths
        return (merged, *states) if states else merged
