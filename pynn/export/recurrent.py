"""How recurrent layers become steps."""

from __future__ import annotations

from typing import Any

from pynn import nn
from pynn.export.steps import Builder, lowers, unsupported
from pynn.export.walk import Value


def _one_input(layer: Any, more: tuple[Value, ...]) -> None:
    if more:
        raise unsupported(layer, "expected a sequence as its only input, no states, lengths or targets")


@lowers(nn.SimpleRNN, nn.LSTM, nn.GRU)
def _recurrent(b: Builder, layer: Any, x: Value, *more: Value) -> Value:
    _one_input(layer, more)
    if layer.stateful:
        raise unsupported(layer, "it is stateful, and what is exported keeps nothing. help: set stateful=False")
    weights = {"w": layer.w, "u": layer.u, "b": layer.b if layer.use_bias else None}
    op, settings = "simple_rnn", {}
    if isinstance(layer, nn.LSTM):
        op = "lstm"
        weights["p"] = layer.p if layer.peephole else None
    elif isinstance(layer, nn.GRU):
        op = "gru"
        settings = {"reset_after": layer.reset_after}
    else:
        settings = {"activation": layer.activation}
    shape = (x.shape[0], layer.units) if layer.return_sequences else (layer.units,)
    return b.add(
        op, x, shape, weights, sequences=layer.return_sequences, reverse=layer.go_backwards,
        turned=layer.go_backwards and layer.return_sequences and not layer._aligned, lengths=b.lengths, **settings,
    )  # fmt: skip


@lowers(nn.JordanRNN)
def _jordan(b: Builder, layer: Any, x: Value, *more: Value) -> Value:
    _one_input(layer, more)
    weights = {name: getattr(layer, name) for name in ("w", "v", "b", "w_out", "b_out")}
    return b.add(
        "jordan_rnn", x, b.out_shape, weights, activation=layer.activation, out_activation=layer.output_activation,
        lengths=b.lengths,
    )  # fmt: skip


@lowers(nn.Bidirectional)
def _bidirectional(b: Builder, layer: Any, x: Value, *more: Value) -> Value:
    _one_input(layer, more)
    halves = (layer.forward_layer, layer.backward_layer)
    if any(type(half) not in (nn.SimpleRNN, nn.LSTM, nn.GRU) for half in halves):
        raise unsupported(layer, "expected SimpleRNN, LSTM or GRU inside")
    one, two = (_recurrent(b, half, x) for half in halves)
    if layer.merge_mode == "concat":
        return b.add("concat", [one, two], b.out_shape, axis=len(one.shape))
    if layer.merge_mode == "mul":
        return b.add("multiply", [one, two], one.shape)
    y = b.add("add", [one, two], one.shape)
    return y if layer.merge_mode == "sum" else b.add("scale", y, y.shape, factor=0.5)
