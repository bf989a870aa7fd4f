"""Recurrent operators step by step, for the settings that pynn's fused loops do not have.

Other activations, limits on what they see (clip), and a forget gate that is what the input gate leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pynn import ops
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.onnx.operators.registry import Node
from pynn.onnx.value import Value

Function = Callable[[Tensor], Tensor]

# Name -> the function of (x, alpha, beta), and the defaults of alpha and beta.
FUNCTIONS: dict[str, tuple[Callable[..., Tensor], float, float]] = {
    "relu": (lambda x, a, b: ops.relu(x), 0, 0),
    "tanh": (lambda x, a, b: ops.tanh(x), 0, 0),
    "sigmoid": (lambda x, a, b: ops.sigmoid(x), 0, 0),
    "affine": (lambda x, a, b: ops.add(ops.mul(x, a), b), 1.0, 0.0),
    "leakyrelu": (lambda x, a, b: ops.where(ops.less(x, 0.0), ops.mul(x, a), x), 0.01, 0),
    "thresholdedrelu": (lambda x, a, b: ops.where(ops.less_equal(a, x), x, 0.0), 1.0, 0),
    "scaledtanh": (lambda x, a, b: ops.mul(ops.tanh(ops.mul(x, b)), a), 1.0, 1.0),
    "hardsigmoid": (lambda x, a, b: ops.clip(ops.add(ops.mul(x, a), b), 0.0, 1.0), 0.2, 0.5),
    "elu": (lambda x, a, b: ops.elu(x, a), 1.0, 0),
    "softsign": (lambda x, a, b: ops.softsign(x), 0, 0),
    "softplus": (lambda x, a, b: ops.softplus(x), 0, 0),
}
WITH_BETA = ("affine", "scaledtanh", "hardsigmoid")
WITH_ALPHA = (*WITH_BETA, "leakyrelu", "thresholdedrelu", "elu")


def functions(node: Node, names: list[str]) -> list[Function]:
    """Return the activations of all directions, with their parameters as the attributes list them.

    Raises
    ------
    DataError
        If one is not known.
    """
    given = {key: list(node.attributes.get(f"activation_{key}") or []) for key in ("alpha", "beta")}
    limit = node.number("clip", 0.0)
    found = []
    for at, name in enumerate(names):
        if name not in FUNCTIONS:
            raise DataError(f"expected activations among {', '.join(FUNCTIONS)}. Received: {name!r}.")
        function, alpha, beta = FUNCTIONS[name]
        alpha = given["alpha"].pop(0) if name in WITH_ALPHA and given["alpha"] else alpha
        beta = given["beta"].pop(0) if name in WITH_BETA and given["beta"] else beta
        of_cell = node.op == "LSTM" and at % 3 == 2  # which sees the cell as it is, as in onnxruntime
        found.append(_with(function, float(alpha), float(beta), 0.0 if of_cell else abs(limit)))
    return found


def _with(function: Callable[..., Tensor], alpha: float, beta: float, limit: float) -> Function:
    return lambda x: function(ops.clip(x, -limit, limit) if limit else x, alpha, beta)


def walked(
    node: Node,
    x: Tensor,
    operands: Sequence[Tensor | None],
    start: list[Any],
    lengths: Tensor | None,
    reverse: bool,
    act: list[Function],
) -> tuple[Tensor, ...]:
    """Return the outputs [N, T, H] and the last states of one direction; all in ONNX's layout and order of gates.

    Parameters
    ----------
    x : Tensor, [N, T, C]
    operands : sequence of Tensor
        The weights [gates * H, C] and [gates * H, H]; biases [2 * gates * H] and peepholes [3 * H], or None.
    """
    w, r, b, peephole = operands
    assert w is not None
    assert r is not None
    n, steps = x.shape[:2]
    units, wide = r.shape[1], r.shape[0]
    recurrent = ops.transpose(r, (1, 0))
    before = ops.dense(x, ops.transpose(w, (1, 0)), None if b is None else b[:wide])
    bias = None if b is None else b[wide:]
    states = [ops.zeros((n, units), x.dtype) if s is None else s for s in start[: 2 if node.op == "LSTM" else 1]]
    step = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}[node.op]
    outs: list[Any] = [None] * steps
    for t in range(steps - 1, -1, -1) if reverse else range(steps):
        now = ops.reshape(before[:, t : t + 1], (n, wide))
        new = step(node, now, states, recurrent, bias, peephole, units, act)
        if lengths is not None:
            on = ops.reshape(ops.less(t, lengths), (n, 1))
            states = [ops.where(on, a, s) for a, s in zip(new, states, strict=True)]
            out = ops.where(on, new[0], 0.0)
        else:
            states, out = new, new[0]
        outs[t] = ops.reshape(out, (n, 1, units))
    return (ops.concat(outs, 1) if steps > 1 else outs[0], *states)


def _gates(z: Tensor, units: int) -> list[Tensor]:
    return [z[:, k * units : (k + 1) * units] for k in range(z.shape[1] // units)]


def _biased(x: Tensor, b: Tensor | None) -> Tensor:
    return x if b is None else ops.add(x, b)


def _rnn(node: Node, now: Tensor, states: Any, r: Tensor, b: Any, p: Any, units: int, act: Any) -> list[Tensor]:
    return [act[0](_biased(ops.add(now, ops.matmul(states[0], r)), b))]


def _lstm(node: Node, now: Tensor, states: Any, r: Tensor, b: Any, p: Any, units: int, act: Any) -> list[Tensor]:
    h, c = states
    i, o, f, g = _gates(_biased(ops.add(now, ops.matmul(h, r)), b), units)
    peeps = None if p is None else [p[k * units : (k + 1) * units] for k in range(3)]
    if peeps:
        i, f = ops.add(i, ops.mul(peeps[0], c)), ops.add(f, ops.mul(peeps[2], c))
    taken = act[0](i)
    kept = ops.sub(1.0, taken) if node.integer("input_forget", 0) else act[0](f)
    c = ops.add(ops.mul(kept, c), ops.mul(taken, act[1](g)))
    if peeps:
        o = ops.add(o, ops.mul(peeps[1], c))
    return [ops.mul(act[0](o), act[2](c)), c]


def _gru(node: Node, now: Tensor, states: Any, r: Tensor, b: Any, p: Any, units: int, act: Any) -> list[Tensor]:
    (h,) = states
    z, reset, g = _gates(now, units)
    of_state = _gates(_biased(ops.matmul(h, r[:, : 2 * units]), None if b is None else b[: 2 * units]), units)
    z, reset = act[0](ops.add(z, of_state[0])), act[0](ops.add(reset, of_state[1]))
    inner, last = r[:, 2 * units :], None if b is None else b[2 * units :]
    if node.integer("linear_before_reset", 0):
        seen = ops.mul(reset, _biased(ops.matmul(h, inner), last))
    else:
        seen = _biased(ops.matmul(ops.mul(reset, h), inner), last)
    g = act[1](ops.add(g, seen))
    return [ops.add(ops.mul(ops.sub(1.0, z), g), ops.mul(z, h))]


def plain(value: Value | None, d: int) -> Tensor | None:
    """Return one direction's part of an operand."""
    return None if value is None else ops.reshape(value.plain[d : d + 1], value.shape[1:])


__all__ = ["FUNCTIONS", "functions", "plain", "walked"]
