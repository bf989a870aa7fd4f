"""Export of embeddings and of loops over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn.export.trace import Op, Value
from pynn.onnx.builder import Builder, converter
from pynn.onnx.emit.elementwise import unary
from pynn.onnx.emit.norm import layer_normalized
from pynn.ops.elementwise import ELEMENTWISE

BLOCKS = {"LSTM": (0, 3, 1, 2), "GRU": (0, 1, 2), "RNN": (0,)}  # pynn has i f g o, ONNX i o f c
TIME_FIRST = (1, 0, 2)


@converter("embedding")
def _embedding(b: Builder, op: Op) -> None:
    w, ids = op.inputs
    b.put(op.y, tuple(range(ids.ndim + 1)), b.node("Gather", [b.plain(w), b.plain(ids)], axis=0))


@converter("sequence_lengths")
def _lengths(b: Builder, op: Op) -> None:
    if op.y is None:
        return
    number = {k: b.constant(np.array(k, np.int64), "number") for k in (0, 1)}
    one, steps = b.ints([1]), op.x.extent(1)
    real = b.cast(b.node("Not", [b.node("Equal", [b.plain(op.x), number[0]])]), np.int64)
    count = b.reduce("ReduceSum", real, [1], False)
    last = b.reduce("ReduceMax", b.node("Mul", [real, b.node("Add", [b.steps(steps), one])]), [1], False)
    # Where padding stands before an id, the last id stands further back than there are ids: beyond a table of lengths.
    size = b.node("Add", [b.length(steps), one])
    table = b.node("Range", [number[0], b.node("Squeeze", [size, b.ints([0])]), number[1]])
    at = b.node("Add", [count, b.node("Mul", [b.node("Sub", [last, count]), size])])
    b.put(op.y, (0,), b.node("Gather", [table, at], hint="padding_must_stand_at_the_end"))


@converter("walked_lengths")
def _walked(b: Builder, op: Op) -> None:
    mul, add, step, most = (op.attrs[key] for key in ("mul", "add", "step", "most"))
    one = [b.node("Mul", [b.plain(op.x), b.ints([mul])]), b.ints([add + step])]
    count = b.node("Div", [b.node("Max", [b.node("Add", one), b.ints([0])]), b.ints([step])])
    b.put(op.y, (0,), b.node("Min", [count, b.length(op.varied.get("most", most))]))


@converter("mask_steps")
def _mask(b: Builder, op: Op) -> None:
    x, lengths = op.inputs
    perm, name = b.at_hand(x)
    ends = b.node("Reshape", [b.plain(lengths), b.ints([-1 if a == 0 else 1 for a in perm])])
    form = [-1 if a == 1 else 1 for a in perm]
    if 1 in x.open:
        steps = b.node("Reshape", [b.steps(x.extent(1)), b.ints(form)])
    else:
        steps = b.constant(np.arange(x.shape[1]).reshape(form), "steps")
    real = b.node("Less", [steps, ends])
    if op.attrs["scale"] == 1:
        count = b.cast(b.node("Max", [ends, b.ints([1])]), b.dtype)
        all_of_it = b.cast(b.length(x.extent(1)), b.dtype) if 1 in x.open else b.number(x.shape[1])
        name = b.node("Mul", [name, b.node("Div", [all_of_it, count])])
    b.put(op.y, perm, b.node("Where", [real, name, b.number(op.attrs["value"])]))


@converter("reverse_steps")
def _reverse(b: Builder, op: Op) -> None:
    x, lengths = op.inputs
    if 1 in x.open:
        steps = b.node("Unsqueeze", [b.steps(x.extent(1)), b.ints([0])])
    else:
        steps = b.constant(np.arange(x.shape[1])[None], "steps")
    ends = b.node("Reshape", [b.plain(lengths), b.ints([-1, 1])])
    turned = b.node("Sub", [b.node("Sub", [ends, b.ints([1])]), steps])
    at = b.node("Where", [b.node("Less", [steps, ends]), turned, steps])
    at = b.node("Unsqueeze", [at, b.ints([2])])
    b.put(op.y, tuple(range(x.ndim)), b.node("GatherND", [b.plain(x), at], batch_dims=1))


@converter("step_order")
def _order(b: Builder, op: Op) -> None:
    mask, steps = b.cast(b.plain(op.x), np.int64), b.length(op.x.extent(1))
    late = b.node("Sub", [b.ints([1]), b.node("Min", [mask, b.ints([1])])])
    key = b.node("Add", [b.node("Mul", [late, steps]), b.steps(op.x.extent(1))])
    order, back, lengths = op.outs
    found = _sorted(b, key, steps)
    if order is not None:
        b.put(order, (0, 1), found)
    if back is not None:
        b.put(back, (0, 1), _sorted(b, found, steps))
    if lengths is not None:
        b.put(lengths, (0,), b.reduce("ReduceSum", mask, [1], False))


def _sorted(b: Builder, key: str, steps: str) -> str:
    """Return which elements of each row come first, from the smallest on."""
    return b.node("TopK", [key, steps], outputs=2, axis=1, largest=0, sorted=1)[1]


@converter("permute_steps")
def _permute(b: Builder, op: Op) -> None:
    x, order, _ = op.inputs
    at = b.node("Unsqueeze", [b.plain(order), b.ints([2])])
    b.put(op.y, tuple(range(x.ndim)), b.node("GatherND", [b.plain(x), at], batch_dims=1))


def reordered(kind: str, array: np.ndarray) -> np.ndarray:
    """Return an array [..., gates * units] with the gates in ONNX's order."""
    parts = np.split(array, len(BLOCKS[kind]), axis=-1)
    return np.concatenate([parts[k] for k in BLOCKS[kind]], axis=-1)


def both_biases(bias: np.ndarray) -> np.ndarray:
    """Return the biases of input and state, [2, gates * units]."""
    return bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])


@converter("lstm", "gru", "simple_rnn")
def _recurrent(b: Builder, op: Op) -> None:
    kind = {"lstm": "LSTM", "gru": "GRU", "simple_rnn": "RNN"}[op.name]
    x, lengths = op.x, op.inputs[-1]
    inputs = [b.form(x, TIME_FIRST), *(b.weight(op, at, lambda w: reordered(kind, w).T[None]) for at in (1, 2))]
    inputs.append(b.weight(op, 3, lambda w: reordered(kind, both_biases(w)).reshape(1, -1)))
    inputs.append("" if lengths is None else b.cast(b.plain(lengths), np.int32))
    states = op.inputs[4:6] if kind == "LSTM" else op.inputs[4:5]
    inputs += ["" if s is None else b.node("Unsqueeze", [b.plain(s), b.ints([0])]) for s in states]
    attributes: dict[str, Any] = {"hidden_size": op.inputs[2].shape[0]}
    if op.attrs["reverse"]:
        attributes["direction"] = "reverse"
    if kind == "LSTM":
        inputs.append(b.weight(op, 6, lambda p: p[[0, 2, 1]].reshape(1, -1)))
    if kind == "GRU":
        attributes["linear_before_reset"] = int(op.attrs["reset_after"])
    if kind == "RNN":
        name = op.attrs["activation"]
        if name == "linear":
            attributes |= {"activations": ["Affine"], "activation_alpha": [1.0], "activation_beta": [0.0]}
        else:
            attributes["activations"] = [ELEMENTWISE[name].onnx.op]
    while not inputs[-1]:
        inputs.pop()
    found = b.node(kind, inputs, outputs=len(op.outs), **attributes)
    for y, name, axis, perm in zip(op.outs, found, (1, 0, 0), (TIME_FIRST, (0, 1), (0, 1)), strict=False):
        if y is not None:
            b.put(y, perm, b.node("Squeeze", [name, b.ints([axis])]))


Body = Callable[["Builder", list[str], str], list[str]]  # (builder, states, what a step sees) -> new states


def scan(
    b: Builder, op: Op, seen: str, states: list[str], sizes: list[int], lengths: Value | None, body: Body
) -> tuple[list[str], str]:
    """Write a loop that ONNX has no operator for; return the last states, and the first one after each step, [T, N, H].

    Parameters
    ----------
    seen : str
        What steps see, [T, N, features].
    states : list of str
        The first states, [N, H] each.
    sizes : list
        The number of steps (or what stands for an open one), of the features seen, and of those of each state.
    lengths : Value, optional
        From there on states stay as they are, and the output is 0.
    """
    steps: Any = sizes[0]
    features, *units = sizes[1:]
    inner = Builder(b.opset, b.dtype, parent=b)

    def port(name: str, size: int) -> Any:
        kind = b.helper.np_dtype_to_tensor_dtype(b.dtype)
        return b.helper.make_tensor_value_info(name, kind, [None, size])

    ports = [port(b.name("state"), n) for n in units] + [port(b.name("now"), features)]
    *before, now = (p.name for p in ports)
    after, scanned = body(inner, before, now), [seen]
    out = after[0]
    if lengths is not None:
        if isinstance(steps, tuple):
            times = b.node("Reshape", [b.steps(steps), b.ints([-1, 1, 1])])
        else:
            times = b.constant(np.arange(steps).reshape(-1, 1, 1), "steps")
        ends = b.node("Reshape", [b.plain(lengths), b.ints([1, -1, 1])])
        scanned.append(b.cast(b.node("Less", [times, ends]), b.dtype))
        ports.append(port(b.name("going"), 1))
        on = inner.node("Greater", [ports[-1].name, b.number(0.5)])
        out = inner.node("Where", [on, out, b.number(0.0)])
        after = [inner.node("Where", [on, *pair]) for pair in zip(after, before, strict=True)]
    made = [inner.node("Identity", [name]) for name in (*after, out)]
    outs = [port(name, n) for name, n in zip(made, [*units, units[0]], strict=True)]
    graph = b.helper.make_graph(inner.nodes, b.name("step"), ports, outs)
    turned = int(op.attrs.get("reverse", False))
    *last, y = b.node(
        "Scan", [*states, *scanned], outputs=len(states) + 1, body=graph, num_scan_inputs=len(scanned),
        scan_input_directions=[turned] * len(scanned), scan_output_directions=[turned],
    )  # fmt: skip
    return last, y


@converter("jordan_rnn")
def _jordan(b: Builder, op: Op) -> None:
    z, *weights, lengths = op.inputs
    steps, units, outputs = z.extent(0), z.shape[2], op.y.shape[2]
    v, w_out, bias = (b.plain(w) for w in weights)
    act, out_act = op.attrs["activation"], op.attrs["output_activation"]

    def body(c: Builder, states: list[str], now: str) -> list[str]:
        h = unary(c, act, c.node("Add", [now, c.node("MatMul", [states[0], v])]))
        o = c.node("Gemm", [h, w_out, bias])
        return [c.node("Softmax", [o], axis=1) if out_act == "softmax" else unary(c, out_act, o)]

    sizes = [steps, units, outputs]
    b.put(op.y, (0, 1, 2), scan(b, op, b.plain(z), [b.zeros(z, outputs)], sizes, lengths, body)[1])


@converter("layer_norm_lstm")
def _layer_norm_lstm(b: Builder, op: Op) -> None:
    x, w, u, bias, h0, c0, gamma_x, gamma_h, gamma_c, beta_c, lengths = op.inputs
    units, epsilon, recurrent = u.shape[0], float(op.attrs["epsilon"]), b.plain(u)
    of_state, of_cell = ([*map(b.optional, ps)] for ps in ((gamma_h, bias), (gamma_c, beta_c)))
    seen = b.node("MatMul", [b.form(x, TIME_FIRST), b.plain(w)])
    seen = layer_normalized(b, seen, 2, epsilon, b.optional(gamma_x), "")

    def body(c: Builder, states: list[str], now: str) -> list[str]:
        h, cell = states
        z = c.node("Add", [now, layer_normalized(c, c.node("MatMul", [h, recurrent]), 1, epsilon, *of_state)])
        i, f, g, o = c.node("Split", [z, c.ints([units] * 4)], outputs=4, axis=1)
        kept = c.node("Mul", [c.node("Sigmoid", [f]), cell])
        cell = c.node("Add", [kept, c.node("Mul", [c.node("Sigmoid", [i]), c.node("Tanh", [g])])])
        out = c.node("Tanh", [layer_normalized(c, cell, 1, epsilon, *of_cell)])
        return [c.node("Mul", [c.node("Sigmoid", [o]), out]), cell]

    states = [b.zeros(x, units) if s is None else b.plain(s) for s in (h0, c0)]
    last, y = scan(b, op, seen, states, [x.extent(1), 4 * units, units, units], lengths, body)
    for value, perm, name in zip(op.outs, (TIME_FIRST, (0, 1), (0, 1)), (y, *last), strict=True):
        b.put(value, perm, name)
