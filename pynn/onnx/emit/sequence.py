"""Export of embeddings and of loops over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn.export.trace import Op, Value
from pynn.onnx.builder import Builder, converter
from pynn.onnx.emit.elementwise import unary

BLOCKS = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2), "RNN": (0,)}  # pynn has i f g o, ONNX i o f c
TIME_FIRST = (1, 0, 2)
KINDS = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid", "linear": "Affine"}


@converter("embedding")
def _embedding(b: Builder, op: Op) -> None:
    w, ids = op.inputs
    b.put(op.y, tuple(range(ids.ndim + 1)), b.node("Gather", [b.plain(w), b.plain(ids)], axis=0))


@converter("sequence_lengths")
def _lengths(b: Builder, op: Op) -> None:
    if op.y is None:
        return
    zero = b.constant(np.array(0, np.int64), "padding")
    real = b.node("Not", [b.node("Equal", [b.plain(op.x), zero])])
    b.put(op.y, (0,), b.reduce("ReduceSum", b.cast(real, np.int64), [1], False))


@converter("walked_lengths")
def _walked(b: Builder, op: Op) -> None:
    mul, add, step, most = (op.attrs[key] for key in ("mul", "add", "step", "most"))
    one = [b.node("Mul", [b.plain(op.x), b.ints([mul])]), b.ints([add + step])]
    count = b.node("Div", [b.node("Max", [b.node("Add", one), b.ints([0])]), b.ints([step])])
    b.put(op.y, (0,), b.node("Min", [count, b.ints([most])]))


@converter("mask_steps")
def _mask(b: Builder, op: Op) -> None:
    x, lengths = op.inputs
    perm, name = b.at_hand(x)
    ends = b.node("Reshape", [b.plain(lengths), b.ints([-1 if a == 0 else 1 for a in perm])])
    steps = np.arange(x.shape[1]).reshape([-1 if a == 1 else 1 for a in perm])
    real = b.node("Less", [b.constant(steps, "steps"), ends])
    if op.attrs.get("scale", 0) == 1:
        count = b.cast(b.node("Max", [ends, b.ints([1])]), b.dtype)
        name = b.node("Mul", [name, b.node("Div", [b.number(x.shape[1]), count])])
    b.put(op.y, perm, b.node("Where", [real, name, b.number(op.attrs["value"])]))


@converter("reverse_steps")
def _reverse(b: Builder, op: Op) -> None:
    x, lengths = op.inputs
    steps = b.constant(np.arange(x.shape[1])[None], "steps")
    ends = b.node("Reshape", [b.plain(lengths), b.ints([-1, 1])])
    turned = b.node("Sub", [b.node("Sub", [ends, b.ints([1])]), steps])
    at = b.node("Where", [b.node("Less", [steps, ends]), turned, steps])
    at = b.node("Unsqueeze", [at, b.ints([2])])
    b.put(op.y, tuple(range(x.ndim)), b.node("GatherND", [b.plain(x), at], batch_dims=1))


def blocks(op: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that puts weights [features, gates * units] in ONNX's order, [1, gates * units, features]."""

    def change(w: np.ndarray) -> np.ndarray:
        parts = np.split(w, len(BLOCKS[op]), axis=-1)
        return np.concatenate([parts[k] for k in BLOCKS[op]], -1).T[None]

    change.__name__ = op
    return change


def biases(op: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that puts the biases of input and state one after the other."""

    def change(bias: np.ndarray) -> np.ndarray:
        both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
        parts = [np.split(row, len(BLOCKS[op])) for row in both]
        return np.concatenate([row[k] for row in parts for k in BLOCKS[op]])[None]

    change.__name__ = f"{op} bias"
    return change


def peepholes(p: np.ndarray) -> np.ndarray:
    """Return peepholes of i, f, o as ONNX has them: i, o, f."""
    return p[[0, 2, 1]].reshape(1, -1)


@converter("lstm", "gru", "simple_rnn")
def _recurrent(b: Builder, op: Op) -> None:
    kind = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "RNN"}[op.name]
    x, lengths = op.x, op.inputs[-1]
    inputs = [b.form(x, TIME_FIRST), *(b.weight(op, at, blocks(kind)) for at in (1, 2)), b.weight(op, 3, biases(kind))]
    inputs.append("" if lengths is None else b.cast(b.plain(lengths), np.int32))
    states = op.inputs[4:6] if kind == "LSTM" else op.inputs[4:5]
    inputs += ["" if s is None else b.node("Unsqueeze", [b.plain(s), b.ints([0])]) for s in states]
    attributes: dict[str, Any] = {"hidden_size": op.inputs[2].shape[0]}
    if op.attrs.get("reverse"):
        attributes["direction"] = "reverse"
    if kind == "LSTM":
        inputs.append(b.weight(op, 6, peepholes))
    if kind == "GRU":
        attributes["linear_before_reset"] = int(op.attrs.get("reset_after", True))
    if kind == "RNN":
        attributes["activations"] = [KINDS[op.attrs.get("activation", "tanh")]]
        if attributes["activations"] == ["Affine"]:
            attributes |= {"activation_alpha": [1.0], "activation_beta": [0.0]}
    while not inputs[-1]:
        inputs.pop()
    found = b.node(kind, inputs, outputs=3 if kind == "LSTM" else 2, **attributes)
    for y, name, axis, perm in zip(op.outs, found, (1, 0, 0), (TIME_FIRST, (0, 1), (0, 1)), strict=False):
        if y is not None:
            b.put(y, perm, b.node("Squeeze", [name, b.ints([axis])]))


Body = Callable[..., tuple[list[str], str]]  # (builder, states, values of a step) -> (new states, output)


def scan(b: Builder, states: list[tuple[str, int]], values: list[tuple[str, int]], body: Body) -> str:
    """Return the outputs of all steps [T, N, features] of a loop that ONNX has no operator for.

    Parameters
    ----------
    states, values : list of (name, features)
        The first states [N, features], and what steps see: [T, N, features].
    """
    inner = Builder(b.opset, b.dtype, parent=b)
    kind = b.helper.np_dtype_to_tensor_dtype(b.dtype)

    def port(name: str, features: int) -> Any:
        return b.helper.make_tensor_value_info(name, kind, [None, features])

    given = [port(b.name("state"), f) for _, f in states] + [port(b.name("now"), f) for _, f in values]
    names = [p.name for p in given]
    new, out = body(inner, names[: len(states)], names[len(states) :])
    made = [inner.node("Identity", [name]) for name in (*new, out)]
    sizes = [f for _, f in states]
    ports = [port(name, size) for name, size in zip(made, [*sizes, sizes[0]], strict=True)]
    graph = b.helper.make_graph(inner.nodes, b.name("step"), given, ports)
    given_names = [name for name, _ in (*states, *values)]
    return b.node("Scan", given_names, outputs=len(states) + 1, body=graph, num_scan_inputs=len(values))[-1]


def _going(b: Builder, lengths: Value, steps: int) -> str:
    """Return which steps are real, 1 or 0: [T, N, 1]."""
    times = b.constant(np.arange(steps).reshape(-1, 1, 1), "steps")
    ends = b.node("Reshape", [b.plain(lengths), b.ints([1, -1, 1])])
    return b.cast(b.node("Less", [times, ends]), b.dtype)


@converter("jordan_rnn")
def _jordan(b: Builder, op: Op) -> None:
    z, v, w_out, bias, lengths = op.inputs
    steps, units, outputs = z.shape[0], z.shape[2], bias.shape[0]
    values = [(b.plain(z), units)]
    if lengths is not None:
        values.append((_going(b, lengths, steps), 1))
    weights = [b.plain(w) for w in (v, w_out, bias)]
    act, out_act = op.attrs.get("activation", "tanh"), op.attrs.get("output_activation", "linear")

    def body(c: Builder, states: list[str], now: list[str]) -> tuple[list[str], str]:
        h = unary(c, act, c.node("Add", [now[0], c.node("MatMul", [states[0], weights[0]])]))
        o = c.node("Gemm", [h, weights[1], weights[2]])
        o = c.node("Softmax", [o], axis=1) if out_act == "softmax" else unary(c, out_act, o)
        if len(now) == 1:
            return [o], o
        on = c.node("Greater", [now[1], c.number(0.5)])
        zero = c.node("Mul", [o, c.number(0.0)])
        return [c.node("Where", [on, o, states[0]])], c.node("Where", [on, o, zero])

    b.put(op.y, (0, 1, 2), scan(b, [(b.zeros(z, outputs), outputs)], values, body))
