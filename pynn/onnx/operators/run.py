"""Running a node, and the nodes of a graph inside a node."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from pynn._blocks import Held
from pynn.core.state import state
from pynn.errors import CaptureError, DataError, ShapeError
from pynn.onnx.operators.registry import OPERATORS, Body, Node
from pynn.onnx.value import Value

__all__ = ["is_folded", "run_body", "run_node", "unrecorded"]


def unrecorded() -> Held:
    """Compute at once, beside a program that is being recorded, without a graph."""
    return Held(state, recorder=None, grad_enabled=False)


def is_folded(node: Node, known: Sequence[bool]) -> bool:
    """Return whether a node's outputs are known, where it is said which of its inputs are."""
    return bool(known) and all(known) and not OPERATORS[node.op].varies


def run_node(node: Node, values: list[Value | None], ends: Sequence[Value | None] = ()) -> list[Value]:
    """Return a node's outputs; of inputs that are all known they are known too. `ends` are the values of `node.ends`.

    Raises
    ------
    DataError
        Naming the node, whatever its function raises.
    """
    known = is_folded(node, [v is None or v.constant is not None for v in values])
    try:
        if not OPERATORS[node.op].texts and any(v is not None and v.names is not None for v in values):
            raise DataError("expected numbers. Received: texts.")
        with unrecorded() if known else contextlib.nullcontext():
            found = OPERATORS[node.op].run(node, *values, **({"ends": ends} if ends else {}))
            outs = [
                v if isinstance(v, Value) else Value.of(v) for v in (found if isinstance(found, tuple) else (found,))
            ]
            if known:
                outs = [v if v.constant is not None else _known(v) for v in outs]
    except (CaptureError, MemoryError, RecursionError):
        raise
    except Exception as error:
        kind = type(error) if type(error) in (ShapeError, DataError) else DataError
        raise kind(f"[onnx] node {node.label}: {error}") from error
    if len(outs) < len(node.outputs) and any(node.outputs[len(outs) :]):
        raise DataError(f"[onnx] node {node.label}: the output {node.outputs[len(outs)]!r} is not supported.")
    return outs


def _known(v: Value) -> Value:
    y = Value.known(v.plain.view().copy())
    y.names = v.names
    return y


def run_body(body: Body, given: dict[str, Value | None]) -> list[Value]:
    """Return the outputs of a graph inside a node, from the values of all names that it knows."""
    values = {"": None, **given}
    for node in body.nodes:
        if node.op not in OPERATORS:
            raise DataError(f"[onnx] node {node.label}: the operator is not supported.")
        outs = run_node(node, [values[name] for name in node.inputs])
        values.update((name, value) for name, value in zip(node.outputs, outs, strict=False) if name)
    found = [values.get(name) for name in body.outputs]
    if any(v is None for v in found):
        raise DataError(f"expected the outputs {body.outputs}, which nothing computes.")
    return found  # type: ignore[return-value]
