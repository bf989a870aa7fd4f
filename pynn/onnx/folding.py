"""Batch normalization that follows a product goes into its weights."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["fold_batch_norm", "names_of", "unused"]

SINGLE = np.dtype("float32")
EPSILON = 1e-5  # of ONNX


def names_of(graph: Any) -> tuple[dict[str, int], set[str]]:
    """Return how often nodes read each name, and all names, in the bodies of branches and loops too."""
    read, every = dict[str, int](), {t.name for t in (*graph.initializer, *graph.input)}

    def note(name: str, times: int = 1) -> None:
        read[name] = read.get(name, 0) + times

    for node in graph.node:
        for name in node.input:
            note(name)
        every |= {*node.input, *node.output}
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs) if attribute.type in (5, 10) else ():
                more, all_of_them = names_of(body)
                for name, times in more.items():
                    note(name, times)
                for port in body.output:  # a body may return what is around it
                    note(port.name)
                every |= all_of_them
    return read, every


def fold_batch_norm(onnx: Any, graph: Any) -> None:
    """Let weights w and biases b of convolutions and dense layers do what a batch normalization alone does with them.

    With k = gamma / sqrt(variance + epsilon): w k and (b - mean) k + beta, in float64, rounded once. What is not finite
    then, or no float32, stays as it is.
    """
    to_array, known = onnx.numpy_helper.to_array, {t.name: t for t in graph.initializer}
    read, taken = names_of(graph)
    made = {name: node for node in graph.node for name in node.output}
    outputs, gone = {port.name for port in graph.output}, []
    for norm in graph.node:
        if norm.op_type != "BatchNormalization" or norm.domain or len([name for name in norm.output if name]) != 1:
            continue
        node, settings = made.get(norm.input[0]), _settings(onnx, norm)
        if (
            node is None
            or not _is_product(onnx, node)
            or read[norm.input[0]] != 1
            or norm.input[0] in outputs
            or settings.get("training_mode")
            or not all(name in known for name in (*node.input[1:], *norm.input[1:]))
        ):
            continue
        w, *bias = (to_array(known[name]) for name in node.input[1:])
        numbers = [to_array(known[name]) for name in norm.input[1:]]
        turned = node.op_type == "Conv" or _settings(onnx, node).get("transB")
        columns = w.shape[0 if turned else -1]
        if any(a.dtype != SINGLE for a in (w, *bias, *numbers)) or {n.shape for n in numbers} != {(columns,)}:
            continue
        gamma, beta, mean, variance = (n.astype(float) for n in numbers)
        with np.errstate(all="ignore"):
            k = gamma / np.sqrt(variance + settings.get("epsilon", EPSILON))
            before = np.broadcast_to(bias[0].reshape(-1), (columns,)) if bias else 0.0
            new = [w * (k.reshape(-1, *(1,) * (w.ndim - 1)) if turned else k), (before - mean) * k + beta]
            new = [a.astype(SINGLE) for a in new]
        if not all(np.isfinite(a).all() for a in new):
            continue
        names = [unused(f"{norm.output[0]}/{part}", taken) for part in "wb"]
        graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for a, name in zip(new, names, strict=True))
        del node.input[1:]
        node.input.extend(names)
        node.output[0] = norm.output[0]
        gone.append(norm)
    for norm in gone:
        graph.node.remove(norm)


def _settings(onnx: Any, node: Any) -> dict[str, Any]:
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _is_product(onnx: Any, node: Any) -> bool:
    """Return whether columns of results belong to those of weights, with a bias of one number for each, or none."""
    settings = _settings(onnx, node)
    plain = all(settings.get(key, 1) == 1 for key in ("alpha", "beta")) and not settings.get("transA")
    return node.op_type in ("Conv", "Gemm") and not node.domain and plain and len(node.input) > 1 and all(node.input)


def unused(hint: str, taken: set[str]) -> str:
    """Return a name that is not taken, and take it."""
    name, k = hint, 0
    while name in taken:
        k += 1
        name = f"{hint}_{k}"
    taken.add(name)
    return name
