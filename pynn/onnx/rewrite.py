"""Export of networks that were imported: their nodes as they were read."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.errors import DataError
from pynn.onnx.builder import Builder
from pynn.onnx.network import Network
from pynn.onnx.operators import Body, Node
from pynn.onnx.operators.recurrent import unlaid
from pynn.onnx.tensors import DTYPES

HALVES = (10, 16)  # types of half precision
OWN_ATTRIBUTES = ("own", "types", "most")  # which nodes have here alone


def rewritten(b: Builder, network: Network, inputs: list[str]) -> list[str]:
    """Add the nodes of a network; return its outputs. Constants that were computed beforehand stay constants."""
    plan = network._plan
    versions = {node.version for node in plan.nodes} or {b.opset}
    if versions != {b.opset}:
        raise _refused(network, f"is of operator set {max(versions)}.", f"opset={max(versions)}.")
    names = {"": ""}
    for (name, dtype, _), x in zip(plan.inputs, inputs, strict=True):
        names[name] = b.cast(x, dtype) if dtype.kind != "f" and dtype != np.int64 else x
    for name, array in plan.constants.items():
        kind = DTYPES.get(plan.types.get(name, 0))
        array = array.astype(object) if array.dtype.kind == "U" else array
        as_held = kind is None or kind == "float16"  # half precision was widened, in weights too
        names[name] = b.constant(array if as_held else array.astype(kind), name)
    for weight in plan.weights:
        if "laid" in weight:
            parts = [network._weights[name].numpy() for name in plan.parts[weight["name"]]]
            names[weight["name"]] = b.constant(unlaid(weight["laid"], parts), weight["name"])
            continue
        array, perm = network._weights[weight["name"]].numpy(), weight["perm"]
        names[weight["name"]] = b.constant(array if perm is None else array.transpose(np.argsort(perm)), weight["name"])
    _write(b, plan.nodes, names)
    return [names[name] for name, _ in plan.outputs]


def _write(b: Builder, nodes: list[Node], names: dict[str, str]) -> None:
    """Add nodes; `names` says how values go by in the graph that is written, and learns the new ones."""
    for node in nodes:
        attributes = {
            key: _attribute(b, value, names) for key, value in node.attributes.items() if key not in OWN_ATTRIBUTES
        }
        names |= {name: b.name(name) for name in node.outputs if name}
        given, outs = ([names.get(name, "") for name in side] for side in (node.inputs[: node.own], node.outputs))
        if attributes.get("to") in HALVES:
            attributes["to"] = 1
        domain, _, op = node.op.rpartition("::")
        if op == "ZipMap":  # its columns as they are
            domain, op, attributes = "", "Identity", {}
        if domain:
            b.root.domains.add(domain)
        made = b.helper.make_node(op, given, outs, name=b.name(f"{op}_node"), domain=domain or None, **attributes)
        b.nodes.append(made)


def _attribute(b: Builder, value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, np.ndarray):
        return b.numpy_helper.from_array(value.astype(object) if value.dtype.kind == "U" else value)
    if not isinstance(value, Body):
        return value
    inner, known = Builder(b.opset, b.dtype, parent=b), dict(names)
    known |= {name: b.name(name) for name in value.inputs}
    _write(inner, value.nodes, known)
    outs = [inner.node("Identity", [known[name]]) for name in value.outputs]
    ports = [
        [b.helper.make_empty_tensor_value_info(name) for name in side]
        for side in ([known[name] for name in value.inputs], outs)
    ]
    return b.helper.make_graph(inner.nodes, b.name("body"), *ports)


def _refused(network: Network, why: str, help: str) -> DataError:
    return DataError(f"[onnx.export] layer {network.name!r} (Network) {why} help: {help}")
