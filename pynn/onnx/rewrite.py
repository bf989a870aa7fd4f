"""Export of networks that were imported: their nodes as they were read."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.errors import DataError
from pynn.onnx.builder import Builder
from pynn.onnx.network import Network


def rewritten(b: Builder, network: Network, inputs: list[str]) -> str:
    """Add the nodes of a network; return its output. Constants that were computed beforehand stay constants."""
    plan = network._plan
    if len(plan.outputs) != 1:
        raise _refused(network, "has several outputs.", "pynn.onnx.load(..., outputs=[name]) takes one of them.")
    versions = {node.version for node in plan.nodes} or {b.opset}
    if versions != {b.opset}:
        raise _refused(network, f"is of operator set {max(versions)}.", f"opset={max(versions)}.")
    names = {"": ""}
    for (name, dtype, _), x in zip(plan.inputs, inputs, strict=True):
        names[name] = b.cast(x, dtype) if dtype.kind != "f" and dtype != np.int64 else x
    for name, array in plan.constants.items():
        names[name] = b.constant(array, name)
    for weight in plan.weights:
        array, perm = network._weights[weight["name"]].numpy(), weight["perm"]
        names[weight["name"]] = b.constant(array if perm is None else array.transpose(np.argsort(perm)), weight["name"])
    for node in plan.nodes:
        attributes: dict[str, Any] = {
            key: b.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
            for key, value in node.attributes.items()
        }
        names |= {name: b.name(name) for name in node.outputs if name}
        given, outs = ([names.get(name, "") for name in side] for side in (node.inputs, node.outputs))
        b.nodes.append(b.helper.make_node(node.op, given, outs, name=b.name(f"{node.op}_node"), **attributes))
    return names[plan.outputs[0][0]]


def _refused(network: Network, why: str, help: str) -> DataError:
    return DataError(f"[onnx.export] layer {network.name!r} (Network) {why} help: {help}")
