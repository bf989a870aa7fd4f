"""RNN, LSTM and GRU: pynn's fused loops over time, one for each direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn import ops
from pynn.core.tensor import Tensor
from pynn.errors import DataError, ShapeError
from pynn.onnx.operators.registry import Node, floating, operator
from pynn.onnx.operators.steps import functions, plain, walked
from pynn.onnx.value import Value
from pynn.ops.byte_products import byte_lstm

BLOCKS = {"RNN": 1, "LSTM": 4, "GRU": 3}
ORDER = {"RNN": (0,), "LSTM": (0, 2, 3, 1), "GRU": (0, 1, 2)}  # ONNX has i o f c, pynn i f g o
USUAL = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"]}
SIMPLE = ("tanh", "relu", "sigmoid")
ONNX_T = {0: (1, 0, 2), 1: (0, 1, 2)}  # layout -> the form [N, T, features] of the input


def _in_order(node: Node, rows: Tensor) -> Tensor:
    """Return blocks of rows in pynn's order."""
    order, units = ORDER[node.op], rows.shape[0] // BLOCKS[node.op]
    if order == tuple(range(len(order))):
        return rows
    return ops.concat([rows[k * units : (k + 1) * units] for k in order], 0)


# Weights are kept as pynn's loops want them, an array for each direction, so that no run has to lay them out.


def layout(node: Node, slot: int) -> dict[str, Any] | None:
    """Return how a weight of a recurrent operator is kept; None for settings that are walked step by step."""
    directions = 2 if node.attributes.get("direction") == "bidirectional" else 1
    try:
        if slot not in (1, 2, 3, 7) or not _fused(node, _activations(node, directions), directions):
            return None
    except DataError:  # which running the node will say too
        return None
    after = node.op == "GRU" and bool(node.integer("linear_before_reset", 0))
    return {"op": node.op, "slot": slot, "both": after}


def laid(how: dict[str, Any], array: np.ndarray) -> list[np.ndarray]:
    """Return the parts of a weight of ONNX, one for each direction."""
    op, slot = how["op"], how["slot"]
    order, blocks = ORDER[op], BLOCKS[op]
    if slot == 7:
        return [rows.reshape(3, -1)[[0, 2, 1]] for rows in array]
    if slot == 3:
        pairs = [rows.reshape(2, blocks, -1)[:, list(order)].reshape(2, -1) for rows in array]
        return [pair if how["both"] else pair[0] + pair[1] for pair in pairs]
    return [
        np.ascontiguousarray(rows.reshape(blocks, -1, rows.shape[-1])[list(order)].reshape(rows.shape).T)
        for rows in array
    ]


def laid_shape(how: dict[str, Any], shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of each part of a weight of ONNX of some shape."""
    if how["slot"] == 7:
        return (3, shape[1] // 3)
    if how["slot"] == 3:
        return (2, shape[1] // 2) if how["both"] else (shape[1] // 2,)
    return (shape[2], shape[1])


def unlaid(how: dict[str, Any], parts: list[np.ndarray]) -> np.ndarray:
    """Return the weight of ONNX that the parts are; of two biases that were added, the second is 0."""
    op, slot = how["op"], how["slot"]
    back, blocks = np.argsort(ORDER[op]), BLOCKS[op]
    if slot == 7:
        return np.stack([part[[0, 2, 1]].reshape(-1) for part in parts])
    if slot == 3:
        pairs = [part if how["both"] else np.stack([part, np.zeros_like(part)]) for part in parts]
        return np.stack([pair.reshape(2, blocks, -1)[:, back].reshape(-1) for pair in pairs])
    return np.stack([part.T.reshape(blocks, -1, part.shape[0])[back].reshape(part.T.shape) for part in parts])


def _activations(node: Node, directions: int) -> list[str]:
    """Return the names of the activations, one direction after the other."""
    usual = USUAL.get(node.op, ["tanh"])
    given = node.attributes.get("activations", [])
    if not isinstance(given, list) or not all(isinstance(a, str) for a in given):
        raise DataError("expected the attribute activations to be a list of texts.")
    names = [a.lower() for a in given] or usual * directions
    if len(names) != len(usual) * directions:
        raise DataError(f"expected {len(usual) * directions} activations. Received: {given}.")
    return names


def _fused(node: Node, names: list[str], directions: int) -> bool:
    """Return whether pynn's loop over time has these settings; `names` get pynn's own."""
    if node.number("clip", 0.0) or node.integer("input_forget", 0):
        return False
    if node.op != "RNN":
        return names == USUAL[node.op] * directions
    straight = all(v == 1 for v in node.attributes.get("activation_alpha") or [1.0]) and not any(
        node.attributes.get("activation_beta") or []
    )
    names[:] = ["linear" if name == "affine" and straight else name for name in names]
    return set(names) <= {*SIMPLE, "linear"}


@operator("LSTM", "GRU", "RNN", inputs=(3, 8), weights={1: None, 2: None, 3: None, 7: None})
def recurrent(node: Node, x: Value, w: Value, r: Value, *more: Value | None) -> tuple[Any, ...]:
    """Return all outputs, the last state and, for LSTM, the last cell state."""
    b, lengths, h0, c0, peephole = [*more, None, None, None, None, None][:5]
    direction = node.text("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional"):
        raise DataError(f"expected the direction forward, reverse or bidirectional. Received: {direction!r}.")
    count, layout = 2 if direction == "bidirectional" else 1, node.integer("layout", 0)
    if layout not in (0, 1):
        raise DataError(f"expected the layout 0 or 1. Received: {layout}.")
    names = _activations(node, count)
    if x.ndim != 3 or r.ndim != 3 or w.ndim != 3:
        raise ShapeError(f"expected an input and weights of rank 3. Received: {x.shape}, {w.shape}, {r.shape}.")
    units, blocks = r.shape[2], BLOCKS[node.op]
    if units < 1 or w.shape != (count, blocks * units, x.shape[2]) or r.shape != (count, blocks * units, units):
        raise ShapeError(
            f"expected weights of {count} directions and {blocks} gates. Received: {w.shape} and {r.shape} for an "
            f"input of {x.shape}."
        )
    line = floating(x.form(ONNX_T[layout]))
    for value, what, shape in (
        (b, "a bias", (count, 2 * blocks * units)),
        (lengths, "lengths", (line.shape[0],)),
        (peephole, "peepholes", (count, 3 * units)),
    ):
        if value is not None and value.shape != shape:
            raise ShapeError(f"expected {what} of shape {shape}. Received: {value.shape}.")
    ends = None if lengths is None else lengths.plain.astype("int32")
    fused = _fused(node, names, count)
    acts = [] if fused else functions(node, names)
    each = len(acts) // count
    if not fused:
        node.room((line.shape[0], line.shape[1], blocks * units), np.float64)
    runs = []
    for d in range(count):
        start = [None if s is None else (s.form((1, 0, 2)) if layout == 0 else s.plain)[:, d] for s in (h0, c0)]
        reverse = d == 1 or direction == "reverse"
        if not fused:
            own = [plain(v, d) for v in (w, r, b, peephole)]
            runs.append(walked(node, line, own, start, ends, reverse, acts[d * each : (d + 1) * each]))
            continue
        if w.bytes is not None and r.bytes is not None:
            added = _additions(node, b, peephole, d, units)
            runs.append(byte_lstm(line, *w.bytes[d], *r.bytes[d], added[0], *start, added[1], reverse=reverse))
            continue
        parameters = _parameters(node, w, r, b, peephole, d, units)
        y, *last = _run(node, line, parameters, start, ends, reverse, names[d] if node.op == "RNN" else "")
        runs.append((ops.without_lengths(y), *last))  # ONNX's other operators know of no padding
    n, t = line.shape[:2]
    y = ops.concat([ops.reshape(run[0], (n, t, 1, units)) for run in runs], 2)
    states = [
        Value.of(
            ops.concat([ops.reshape(run[k], (n, 1, units)) for run in runs], 1), (1, 0, 2) if layout == 0 else None
        )
        for k in range(1, len(runs[0]))
    ]
    return (Value.of(y, (2, 0, 1, 3) if layout == 0 else None), *states)[: len(node.outputs)]


def runs_fused(node: Node) -> bool:
    """Return whether pynn's own loop over time runs a node."""
    count = 2 if node.text("direction", "forward") == "bidirectional" else 1
    return _fused(node, _activations(node, count), count)


def _parameters(
    node: Node, w: Value, r: Value, b: Value | None, peephole: Value | None, d: int, units: int
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return one direction's weights, bias and peepholes as pynn lays them out."""
    kernel, inner = (
        ops.transpose(_in_order(node, value.plain[d])) if value.parts is None else value.parts[d] for value in (w, r)
    )
    return kernel, inner, *_additions(node, b, peephole, d, units)


def _additions(
    node: Node, b: Value | None, peephole: Value | None, d: int, units: int
) -> tuple[Tensor | None, Tensor | None]:
    """Return one direction's bias and peepholes as pynn lays them out."""
    wide = BLOCKS[node.op] * units
    bias = None
    if b is not None and b.parts is not None:
        bias = b.parts[d]
    elif b is not None:
        both = b.plain[d]
        if node.op == "GRU" and node.integer("linear_before_reset", 0):
            bias = ops.reshape(both, (2, wide))
        else:
            bias = _in_order(node, ops.add(both[:wide], both[wide:]))
    peeps = None
    if peephole is not None and peephole.parts is not None:
        peeps = peephole.parts[d]
    elif peephole is not None:  # ONNX has i o f, pynn i f o
        three = ops.reshape(peephole.plain[d], (3, units))
        peeps = ops.concat([three[k : k + 1] for k in (0, 2, 1)], 0)
    return bias, peeps


def _run(
    node: Node, x: Tensor, parameters: Any, start: list[Any], lengths: Any, reverse: bool, activation: str
) -> tuple[Any, ...]:
    w, u, b, peephole = parameters
    if node.op == "LSTM":
        return ops.lstm(x, w, u, b, start[0], start[1], peephole, lengths, reverse=reverse)
    if node.op == "RNN":
        return ops.simple_rnn(x, w, u, b, start[0], lengths, activation=activation, reverse=reverse)
    after = bool(node.integer("linear_before_reset", 0))
    return ops.gru(x, w, u, b, start[0], lengths, reset_after=after, reverse=reverse)
