"""Export of embeddings and recurrent layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn import nn
from pynn.onnx.builder import Builder, Wire, converter, refuse

BLOCKS = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2), "RNN": (0,)}  # pynn has i f g o, ONNX i o f c
TIME_FIRST = (1, 0, 2)
KINDS = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid", "linear": "Affine"}


@converter(nn.Embedding)
def _embedding(b: Builder, layer: Any, x: Wire) -> Wire:
    shape, ids = b.shape_of(layer, x), b.plain(x)
    y = b.node("Gather", [b.weight(layer.w, "w"), ids], axis=0)
    lengths = None
    if layer.mask_zero:
        real = b.node("Not", [b.node("Equal", [ids, b.constant(np.array(0, np.int64), "padding")])])
        count = b.reduce("ReduceSum", b.node("Cast", [real], to=7), [1], False)
        lengths = b.node("Cast", [count], to=6)
    return Wire(shape, {tuple(range(len(shape))): y}, lengths)


def blocks(op: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that puts weights [features, gates * units] in ONNX's order, [1, gates * units, features]."""

    def change(w: np.ndarray) -> np.ndarray:
        parts = np.split(w, len(BLOCKS[op]), axis=-1)
        return np.concatenate([parts[k] for k in BLOCKS[op]], -1).T[None]

    change.__name__ = op
    return change


def _bias(op: str, layer: Any, bias: np.ndarray) -> np.ndarray:
    """Return biases of input and state, one after the other."""
    both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    parts = [np.split(row, len(BLOCKS[op])) for row in both]
    return np.concatenate([row[k] for row in parts for k in BLOCKS[op]])[None]


def peepholes(p: np.ndarray) -> np.ndarray:
    """Return peepholes of i, f, o as ONNX has them: i, o, f."""
    return p[[0, 2, 1]].reshape(1, -1)


def _check(layer: Any) -> None:
    if layer.stateful:
        raise refuse(layer, "is stateful: ONNX keeps nothing from call to call.", "export it with stateful=False.")
    if layer.return_state:
        raise refuse(layer, "returns its states too, which a model cannot hand on.", "use return_state=False.")


def _finished(b: Builder, layer: Any, x: Wire, sequence: str, last: str) -> Wire:
    """Return the output: all steps [T, N, units], or the last state [N, units]."""
    units = layer.units
    if not layer.return_sequences:
        return Wire((None, units), {(0, 1): last})
    shape = (None, x.shape[1], units)
    if layer.go_backwards and not layer._aligned:  # outputs in the order of time as the layer sees it
        if x.lengths:
            ends = b.node("Cast", [x.lengths], to=7)
            turned = b.node("ReverseSequence", [sequence, ends], batch_axis=1, time_axis=0)
            return Wire(shape, {TIME_FIRST: turned}, x.lengths)
        ends = [b.ints([v]) for v in (-1, -(2**31), 0, -1)]
        return Wire(shape, {TIME_FIRST: b.node("Slice", [sequence, *ends])})
    return Wire(shape, {TIME_FIRST: sequence}, x.lengths)


@converter(nn.LSTM, nn.GRU, nn.SimpleRNN)
def _recurrent(b: Builder, layer: Any, x: Wire) -> Wire:
    _check(layer)
    op = "LSTM" if isinstance(layer, nn.LSTM) else "GRU" if isinstance(layer, nn.GRU) else "RNN"
    inputs = [b.form(x, TIME_FIRST), b.weight(layer.w, "w", blocks(op)), b.weight(layer.u, "u", blocks(op))]
    inputs.append(b.weight(layer.b, "b", lambda bias: _bias(op, layer, bias)) if layer.use_bias else "")
    inputs.append(x.lengths or "")
    attributes: dict[str, Any] = {"hidden_size": layer.units}
    if layer.go_backwards:
        attributes["direction"] = "reverse"
    if op == "LSTM" and layer.peephole:
        inputs += ["", "", b.weight(layer.p, "p", peepholes)]
    if op == "GRU":
        attributes["linear_before_reset"] = int(layer.reset_after)
    if op == "RNN":
        attributes["activations"] = [KINDS[layer.activation]]
        if layer.activation == "linear":
            attributes |= {"activation_alpha": [1.0], "activation_beta": [0.0]}
    while not inputs[-1]:
        inputs.pop()
    y, h = b.node(op, inputs, outputs=2, **attributes)
    return _finished(b, layer, x, b.node("Squeeze", [y, b.ints([1])]), b.node("Squeeze", [h, b.ints([0])]))


@converter(nn.Bidirectional)
def _bidirectional(b: Builder, layer: Any, x: Wire) -> Wire:
    if layer.merge_mode is None:
        raise refuse(layer, "returns two outputs, which a model cannot hand on.", "use another merge_mode.")
    one, two = b.layer(layer.forward_layer, x), b.layer(layer.backward_layer, x)
    perm, left = one.at_hand
    right, units = b.form(two, perm), one.shape[-1]
    if layer.merge_mode == "concat":
        y, units = b.node("Concat", [left, right], axis=perm.index(one.ndim - 1)), units + two.shape[-1]
    else:
        y = b.node("Mul" if layer.merge_mode == "mul" else "Add", [left, right])
        y = b.node("Mul", [y, b.number(0.5)]) if layer.merge_mode == "ave" else y
    return Wire((*one.shape[:-1], units), {perm: y}, one.lengths)
