"""Export of networks that were imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.onnx.builder import Builder, Wire, converter, refuse
from pynn.onnx.network import Network


@converter(Network)
def _network(b: Builder, layer: Any, *xs: Wire) -> Wire:
    """Write the nodes as they were read; constants that were computed beforehand stay constants."""
    plan = layer._plan
    if len(plan.outputs) != 1:
        raise refuse(layer, "has several outputs.", "pynn.onnx.load(..., outputs=[name]) takes one of them.")
    versions = {node.version for node in plan.nodes} or {b.opset}
    if versions != {b.opset}:
        raise refuse(layer, f"is of operator set {max(versions)}.", f"opset={max(versions)}.")
    names = {"": ""}
    for (name, dtype, _), x in zip(plan.inputs, xs, strict=True):
        names[name] = b.plain(x)
        if dtype.kind != "f" and dtype != np.int64:
            names[name] = b.node("Cast", [names[name]], to=b.helper.np_dtype_to_tensor_dtype(dtype))
    for name, array in plan.constants.items():
        names[name] = b.constant(array, name)
    for weight in plan.weights:
        array, perm = layer._weights[weight["name"]].numpy(), weight["perm"]
        names[weight["name"]] = b.constant(array if perm is None else array.transpose(np.argsort(perm)), weight["name"])
    for node in plan.nodes:
        attributes = {
            key: b.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
            for key, value in node.attributes.items()
        }
        names |= {name: b.name(name) for name in node.outputs if name}
        inputs, outputs = ([names.get(name, "") for name in side] for side in (node.inputs, node.outputs))
        b.nodes.append(b.helper.make_node(node.op, inputs, outputs, name=b.name(f"{node.op}_node"), **attributes))
    shape = b.shape_of(layer, *xs)
    return Wire(shape, {tuple(range(len(shape))): names[plan.outputs[0][0]]})
