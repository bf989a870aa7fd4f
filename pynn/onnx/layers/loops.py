"""Export of recurrent layers that ONNX has no operator for: a Scan over the time steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pynn import nn
from pynn.onnx.builder import Builder, Wire, converter, refuse
from pynn.onnx.layers.basic import EMIT
from pynn.onnx.layers.norm import normalized
from pynn.onnx.layers.sequence import TIME_FIRST, _check, _finished

Body = Callable[..., tuple[list[str], str]]  # (builder, states, values of a step) -> (new states, output)


def scan(
    b: Builder, states: list[tuple[str, int]], values: list[tuple[str, int]], reverse: bool, body: Body
) -> tuple[list[str], str]:
    """Return the last states, and the outputs of all steps [T, N, features].

    Parameters
    ----------
    states, values : list of (name, features)
        The first states [N, features], and what steps see: [T, N, features].
    """
    inner = Builder(b.opset, b.dtype, parent=b)
    kind = b.helper.np_dtype_to_tensor_dtype(b.dtype)

    def port(name: str, features: int) -> Any:
        return b.helper.make_tensor_value_info(name, kind, ["N", features])

    given = [port(b.name("state"), f) for _, f in states] + [port(b.name("now"), f) for _, f in values]
    names = [p.name for p in given]
    new, out = body(inner, names[: len(states)], names[len(states) :])
    made = [inner.node("Identity", [name]) for name in (*new, out)]
    sizes = [f for _, f in states]
    ports = [port(name, size) for name, size in zip(made, [*sizes, sizes[0]], strict=True)]
    if len(states) and out not in new:
        ports[-1] = b.helper.make_tensor_value_info(made[-1], kind, ["N", None])
    graph = b.helper.make_graph(inner.nodes, b.name("step"), given, ports)
    found = b.node(
        "Scan", [name for name, _ in (*states, *values)], outputs=len(states) + 1, body=graph,
        num_scan_inputs=len(values), scan_input_directions=[int(reverse)] * len(values),
        scan_output_directions=[int(reverse)],
    )  # fmt: skip
    return found[:-1], found[-1]


def _going(b: Builder, x: Wire) -> str:
    """Return which steps are real, 1 or 0: [T, N, 1]."""
    steps = b.constant(np.arange(x.shape[1], dtype=np.int32).reshape(-1, 1, 1), "steps")
    ends = b.node("Reshape", [x.lengths or "", b.ints([1, -1, 1])])
    return b.node("Cast", [b.node("Less", [steps, ends])], to=b.helper.np_dtype_to_tensor_dtype(b.dtype))


def _kept(b: Builder, on: str, new: str, old: str) -> str:
    """Return new where a sequence goes on, else old."""
    return b.node("Where", [b.node("Greater", [on, b.number(0.5)]), new, old])


@converter(nn.JordanRNN)
def _jordan(b: Builder, layer: Any, *xs: Wire) -> Wire:
    if len(xs) > 1:
        raise refuse(layer, "is taught with targets, which exist while training alone.", "call it with x alone.")
    (x,) = xs
    values = [(b.form(x, TIME_FIRST), x.shape[2])]
    if x.lengths:
        values.append((_going(b, x), 1))
    w, v, w_out = (b.weight(layer._weights[key], key) for key in ("w", "v", "w_out"))
    bias, bias_out = b.weight(layer.b, "b"), b.weight(layer.b_out, "b_out")

    def body(c: Builder, states: list[str], now: list[str]) -> tuple[list[str], str]:
        z = c.node("Add", [c.node("Gemm", [now[0], w, bias]), c.node("MatMul", [states[0], v])])
        o = c.node("Gemm", [EMIT[layer.activation](c, z, 1), w_out, bias_out])
        o = EMIT[layer.output_activation](c, o, 1)
        if len(now) == 1:
            return [o], o
        zero = c.node("Mul", [o, c.number(0.0)])
        return [_kept(c, now[1], o, states[0])], _kept(c, now[1], o, zero)

    _, y = scan(b, [(b.zeros(x, layer.outputs), layer.outputs)], values, False, body)
    return Wire((None, x.shape[1], layer.outputs), {TIME_FIRST: y})


@converter(nn.LayerNormLSTM)
def _layer_norm_lstm(b: Builder, layer: Any, x: Wire) -> Wire:
    _check(layer)
    units = layer.units
    u, bias = b.weight(layer.u, "u"), b.weight(layer.b, "b") if layer.use_bias else ""
    gammas = {key: b.weight(layer._weights[key], key) for key in ("gamma_x", "gamma_h", "gamma_c", "beta_c")}
    seen = b.node("MatMul", [b.form(x, TIME_FIRST), b.weight(layer.w, "w")])
    seen = b.node("Mul", [normalized(b, seen, [2], layer.epsilon), gammas["gamma_x"]])
    values = [(seen, 4 * units)] + ([(_going(b, x), 1)] if x.lengths else [])

    def body(c: Builder, states: list[str], now: list[str]) -> tuple[list[str], str]:
        h, cell = states
        met = normalized(c, c.node("MatMul", [h, u]), [1], layer.epsilon)
        z = c.node("Add", [now[0], c.node("Mul", [met, gammas["gamma_h"]])])
        z = c.node("Add", [z, bias]) if bias else z
        i, f, g, o = c.node("Split", [z, c.ints([units] * 4)], outputs=4, axis=1)
        kept = c.node("Mul", [c.node("Sigmoid", [f]), cell])
        new = c.node("Add", [kept, c.node("Mul", [c.node("Sigmoid", [i]), c.node("Tanh", [g])])])
        normal = c.node("Mul", [normalized(c, new, [1], layer.epsilon), gammas["gamma_c"]])
        out = c.node("Tanh", [c.node("Add", [normal, gammas["beta_c"]])])
        out = c.node("Mul", [c.node("Sigmoid", [o]), out])
        if len(now) == 1:
            return [out, new], out
        zero = c.node("Mul", [out, c.number(0.0)])
        return [_kept(c, now[1], out, h), _kept(c, now[1], new, cell)], _kept(c, now[1], out, zero)

    zeros = b.zeros(x, units)
    last, y = scan(b, [(zeros, units), (zeros, units)], values, layer.go_backwards, body)
    return _finished(b, layer, x, y, last[0])
