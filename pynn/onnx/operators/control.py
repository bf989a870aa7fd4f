"""Graphs inside nodes: branches and loops. A program holds the branch that was taken, and every step of a loop."""

from __future__ import annotations

import numpy as np

from pynn import ops
from pynn.errors import DataError, ShapeError
from pynn.onnx.operators.registry import Body, Node, operator
from pynn.onnx.operators.run import run_body
from pynn.onnx.operators.shapes import axis_of
from pynn.onnx.value import Value

MOST_NODES = 200_000  # that the steps of one loop may run, all together
ANY = (1, 2**31)


def _body(node: Node, key: str) -> Body:
    body = node.attributes.get(key)
    if not isinstance(body, Body):
        raise DataError(f"expected the attribute {key} to be a graph.")
    return body


def _outer(node: Node, values: tuple[Value | None, ...]) -> dict[str, Value | None]:
    """Return the values that bodies take from around them: they are inputs of the node, after its own."""
    own = node.own
    return dict(zip(node.inputs[own:], values[own:], strict=True))


@operator("If", inputs=ANY, texts=True)
def branch(node: Node, *values: Value) -> tuple[Value, ...]:
    """Return what one of two graphs gives, as the condition says."""
    found = node.static(values[0], "the condition of If")
    if found is None or found.size != 1:
        raise ShapeError("expected a condition of one element.")
    body = _body(node, "then_branch" if bool(found.reshape(())) else "else_branch")
    return tuple(run_body(body, _outer(node, values)))


def _stacked(parts: list[Value], axis: int, backwards: bool) -> Value:
    """Return the values of all steps along a new axis."""
    parts = parts[::-1] if backwards else parts
    rank = parts[0].ndim + 1
    at = axis + rank if axis < 0 else axis
    if not 0 <= at < rank:
        raise ShapeError(f"expected an axis of {rank} dimensions. Received: {axis}.")
    if any(p.shape != parts[0].shape for p in parts):
        raise ShapeError(f"expected steps of one shape. Received: {[p.shape for p in parts[:4]]}.")
    wide = [ops.reshape(p.plain, (*p.shape[:at], 1, *p.shape[at:])) for p in parts]
    return Value.of(wide[0] if len(wide) == 1 else ops.concat(wide, at))


def _check_steps(node: Node, steps: int, body: Body) -> None:
    if steps * max(len(body.nodes), 1) > MOST_NODES:
        raise DataError(f"expected at most {MOST_NODES:,} nodes in all steps. Received: {steps} of {len(body.nodes)}.")


@operator("Scan", inputs=ANY)
def scan(node: Node, *values: Value) -> tuple[Value, ...]:
    """Return the last states, and the outputs of all steps, of a graph that is run along axes of its inputs."""
    if node.version < 9:
        raise DataError("Scan of operator sets before 9 is not supported. help: onnx.version_converter raises it.")
    body, outer = _body(node, "body"), _outer(node, values)
    count = node.integer("num_scan_inputs", 0)
    states, scanned = list(values[: node.own - count]), values[node.own - count : node.own]
    outs = len(body.outputs) - len(states)
    if not 1 <= count <= node.own or outs < 0 or len(body.inputs) != node.own:
        raise DataError(f"expected a body of {node.own} inputs. Received: {len(body.inputs)}, num_scan_inputs={count}.")
    options = {
        key: node.integers(key, [0] * n)
        for key, n in (
            ("scan_input_axes", count), ("scan_input_directions", count), ("scan_output_axes", outs),
            ("scan_output_directions", outs),
        )
    }  # fmt: skip
    axes = [axis_of(node, a, x.ndim) for a, x in zip(options["scan_input_axes"], scanned, strict=True)]
    sizes = {x.shape[a] for a, x in zip(axes, scanned, strict=True)}
    if len(sizes) != 1 or min(sizes) < 1:
        raise ShapeError(f"expected inputs of one number of steps, at least 1. Received: {sorted(sizes)}.")
    steps = sizes.pop()
    _check_steps(node, steps, body)
    seen: list[list[Value]] = [[] for _ in range(outs)]
    for t in range(steps):
        now = [
            _step(x, a, steps - 1 - t if back else t)
            for x, a, back in zip(scanned, axes, options["scan_input_directions"], strict=True)
        ]
        found = run_body(body, {**outer, **dict(zip(body.inputs, [*states, *now], strict=True))})
        states = found[: len(states)]
        for parts, part in zip(seen, found[len(states) :], strict=True):
            parts.append(part)
    ends = zip(seen, options["scan_output_axes"], options["scan_output_directions"], strict=True)
    return (*states, *(_stacked(parts, axis, bool(back)) for parts, axis, back in ends))


def _step(x: Value, axis: int, t: int) -> Value:
    tensor = ops.slice(x.plain, tuple(slice(t, t + 1) if a == axis else slice(None) for a in range(x.ndim)))
    return Value.of(ops.reshape(tensor, tuple(d for a, d in enumerate(x.shape) if a != axis)))


@operator("Loop", inputs=ANY)
def loop(node: Node, *values: Value) -> tuple[Value, ...]:
    """Return the last values of what a graph carries on, and the outputs of all rounds."""
    body, outer = _body(node, "body"), _outer(node, values)
    own = [*values[: node.own], None, None][: max(node.own, 2)]
    carried: list[Value] = [v for v in own[2:] if v is not None]
    limit = node.static(own[0], "the number of rounds")
    most = MOST_NODES if limit is None else int(limit.reshape(()))
    first = node.static(own[1], "the condition of Loop")
    going = first is None or bool(first.reshape(()))
    if len(body.inputs) != 2 + len(carried) or len(body.outputs) < 1 + len(carried):
        raise DataError(f"expected a body of {2 + len(carried)} inputs. Received: {len(body.inputs)}.")
    seen: list[list[Value]] = [[] for _ in body.outputs[1 + len(carried) :]]
    for i in range(most):
        if not going:
            break
        _check_steps(node, i + 1, body)
        now = [Value.known(np.array(i, np.int64)), Value.known(np.array(True)), *carried]
        goes, *found = run_body(body, {**outer, **dict(zip(body.inputs, now, strict=True))})
        carried = found[: len(carried)]
        for parts, part in zip(seen, found[len(carried) :], strict=True):
            parts.append(part)
        going = bool(node.read(goes, "the condition of Loop").reshape(()))
    if any(not parts for parts in seen):
        raise DataError("a loop of no rounds has no outputs of rounds.")
    return (*carried, *(_stacked(parts, 0, False) for parts in seen))
