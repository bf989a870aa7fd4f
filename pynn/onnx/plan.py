"""The parsed description of a network: its nodes, what they compute together, and how long values are kept."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pynn.checks import integer
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.onnx.operators import FUSED, OPERATORS, Body, Node

__all__ = ["Plan", "dtype_of", "part_names"]

FLOAT = 1  # of ONNX's dtypes


class Plan:
    """The parsed description: kept out of sight of what walks over modules."""

    def __init__(self, graph: dict[str, Any]):
        self.inputs = [(p["name"], dtype_of(p["dtype"]), p["shape"]) for p in graph["inputs"]]
        self.dtype = dtype_of(graph["dtype"])
        self.outputs = [(p["name"], dtype_of(p["dtype"])) for p in graph["outputs"]]
        self.dtypes = [dtype for _, dtype in self.outputs]
        self.weights = list(graph["weights"])
        self.parts = {w["name"]: part_names(w) for w in self.weights if "laid" in w}
        self.constants = {c["name"]: _array(c) for c in graph["constants"]}
        self.types = {c["name"]: c["type"] for c in graph["constants"] if "type" in c}  # those of the file
        limit = min(integer("onnx", "limit", graph["limit"]), _memory())  # a file may say anything
        self.nodes = [_node(n, limit) for n in graph["nodes"]]
        self.tensors = {name: Tensor.state(array) for name, array in self.constants.items() if array.dtype.kind != "U"}
        self.shapes: dict[str, tuple[int, ...]] = {}  # of the nodes' first outputs, when they were last run
        self.names: dict[str, Any] = {}  # output -> the texts or classes that its numbers stand for
        self.done = self._last_uses()
        self.fused = self._fuse()

    def _fuse(self) -> dict[int, int]:
        """Let products compute what alone takes what they give; return the nodes that do it no more, and their inputs.

        An activation goes to a product of floats; to one of bytes go a Cast to floats, factors, a bias and a Relu.
        """
        uses: dict[str, list[tuple[int, int]]] = {}
        for at, node in enumerate(self.nodes):
            for slot, name in enumerate(node.inputs):
                uses.setdefault(name, []).append((at, slot))
        outputs = {name for name, _ in self.outputs}
        sizes = {c: a.size for c, a in self.constants.items() if a.dtype == "float32"}
        sizes |= {w["name"]: int(np.prod(w["shape"])) for w in self.weights if self.dtype == "float32"}
        fused: dict[int, int] = {}

        def taken(name: str, *ops: str) -> tuple[int, int] | None:
            """Return the node among some that alone takes a value, and as which of its inputs."""
            found = uses.get(name, [])
            return found[0] if len(found) == 1 and name not in outputs and self.nodes[found[0][0]].op in ops else None

        for node in self.nodes:
            if node.op in ("Conv", "Gemm") and (found := taken(node.outputs[0], *FUSED)):
                node.then = FUSED[self.nodes[found[0]].op]
                fused[found[0]] = 0
            if node.op not in ("MatMulInteger", "ConvInteger"):
                continue
            table = self.constants.get(node.inputs[1])
            if table is None or table.ndim < 2:
                continue
            columns = table.shape[0 if node.op == "ConvInteger" else -1]
            chain, name = [], node.outputs[0]
            for op in ("Cast", "Mul", "Add", "Relu"):
                if (found := taken(name, op)) is None:
                    if op in ("Cast", "Mul"):
                        break
                    continue
                at, slot = found
                after = self.nodes[at]
                others = [other for other in after.inputs if other != name]
                wrong = any(sizes.get(other) not in (1, columns) for other in others)  # those nodes say what is wrong
                if wrong or (op == "Cast" and after.attributes.get("to") != FLOAT):
                    break
                chain.append((op, at, slot, others))
                name = after.outputs[0]
            if len(chain) > 1:
                fused |= {at: slot for _, at, slot, _ in chain}
                node.ends = [others[0] for op, _, _, others in chain if op in ("Mul", "Add")]
                node.then = "relu" if chain[-1][0] == "Relu" else "linear"
        return fused

    def _last_uses(self) -> list[list[str]]:
        """Return, for each node, the values that nobody needs after it."""
        last = {name: at for at, node in enumerate(self.nodes) for name in (*node.inputs, *node.outputs) if name}
        done: list[list[str]] = [[] for _ in self.nodes]
        kept = {name for name, _ in self.outputs}
        for name, at in last.items():
            if name not in kept:
                done[at].append(name)
        return done


def part_names(weight: dict[str, Any]) -> list[str]:
    """Return the names of the weights that one of a recurrent operator is kept as."""
    name = weight["name"]
    return [name] if weight["shape"][0] == 1 else [f"{name}/forward", f"{name}/backward"]


def _memory() -> int:
    """Return the bytes of the machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not told on this system
        return 1 << 36


def dtype_of(name: Any) -> np.dtype:
    """Return one of the dtypes that a number has in NumPy, or nothing at all ("|V0"); from a file, so not trusted."""
    if not isinstance(name, str) or len(name) > 8:
        raise DataError(f"[onnx] expected the name of a dtype. Received: {str(name)[:40]!r}.")
    dtype = np.dtype(name)
    if dtype.itemsize > 16:
        raise DataError(f"[onnx] expected the dtype of numbers. Received: {name!r}.")
    return dtype


def _array(record: dict[str, Any]) -> np.ndarray:
    return np.array(record["values"], dtype_of(record["dtype"])).reshape(record["shape"])


def _node(record: dict[str, Any], limit: int, inner: bool = False) -> Node:
    if record["op"] not in OPERATORS and not inner:  # a branch that is never taken may hold anything
        raise DataError(f"[onnx] the operator {record['op']!r} is not supported.")

    def attribute(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if "nodes" not in value:
            return _array(value)
        return Body(list(value["inputs"]), list(value["outputs"]), [_node(n, limit, True) for n in value["nodes"]])

    attributes = {key: attribute(value) for key, value in record["attributes"].items()}
    return Node(
        record["op"], record["name"], list(record["inputs"]), list(record["outputs"]), attributes, record["version"],
        limit,
    )  # fmt: skip
