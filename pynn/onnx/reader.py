"""Reading the bytes of an ONNX file into nodes and arrays; every part is checked, none is believed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pynn.errors import DataError, DTypeError, unknown_name
from pynn.onnx.extra import need_memory, onnx_package
from pynn.onnx.operators import OPERATORS, Node
from pynn.onnx.tensors import array_of, dtype_of

__all__ = ["Graph", "Port", "read"]

NEWEST = 28  # the newest operator set whose changes are known here
MOST_NODES = 100_000
OWN_DOMAINS = ("", "ai.onnx")


@dataclass
class Port:
    """An input or output: its dtype in the file, and its sizes, None or a name where they are open."""

    name: str
    dtype: np.dtype
    shape: list[Any] | None = None


@dataclass
class Graph:
    """A graph: what it takes, what it gives, its nodes in order, and the arrays that are known."""

    inputs: list[Port]
    outputs: list[Port]
    nodes: list[Node]
    constants: dict[str, np.ndarray]
    initializers: set[str] = field(default_factory=set)  # those of the constants that the file lists as weights


def read(data: bytes, max_bytes: int, outputs: list[str] | None = None) -> Graph:
    """Return the graph in the bytes of a model.

    Parameters
    ----------
    data : bytes
        A serialized ModelProto.
    max_bytes : int
        The most bytes that all arrays together may take.
    outputs : list of str, optional
        The values to compute, by default the graph's outputs.

    Raises
    ------
    DataError
        If it is no model, or if part of it is malformed or not supported; the message names the node.
    """
    onnx = onnx_package("onnx.load")
    malformed = importlib.import_module("google.protobuf.message").DecodeError
    need_memory("onnx.load", len(data))
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (malformed, RuntimeError, ValueError) as error:
        raise DataError(f"[onnx] expected an ONNX model. Received: bytes that are none ({error}).") from None
    if not model.HasField("graph") or not len(model.graph.output):
        raise DataError("[onnx] expected an ONNX model. Received: one without a graph that has outputs.")
    try:
        return _Reader(model, max_bytes, onnx.AttributeProto).graph(outputs)
    except UnicodeDecodeError as error:
        raise DataError(f"[onnx] a name in the model is no valid text: {error}.") from None


class _Reader:
    def __init__(self, model: Any, max_bytes: int, kinds: Any):
        self.model, self.max_bytes, self.kinds = model, max_bytes, kinds
        self.left = max_bytes
        self.version = self._version()

    def _version(self) -> int:
        own = [o.version for o in self.model.opset_import if o.domain in OWN_DOMAINS]
        if len(own) > 1:
            raise DataError(f"[onnx] expected one operator set of ONNX. Received: {own}.")
        version = own[0] if own else 1
        if not 1 <= version <= NEWEST:
            raise DataError(
                f"[onnx] expected an operator set of 1 to {NEWEST}. Received: {version}. "
                "help: onnx.version_converter.convert_version turns a newer one into an older."
            )
        return version

    def graph(self, wanted: list[str] | None) -> Graph:
        graph = self.model.graph
        if len(graph.sparse_initializer):
            raise DataError("[onnx] sparse initializers are not supported.")
        constants: dict[str, np.ndarray] = {}
        for tensor in graph.initializer:
            if not tensor.name or tensor.name in constants:
                raise DataError(f"[onnx] expected initializers of different names. Received: {tensor.name!r}.")
            constants[_text(tensor.name)] = self._array(tensor, f"initializer {tensor.name!r}")
        initializers = set(constants)
        inputs = [self._port(v, "input") for v in graph.input if v.name not in constants]
        if len({p.name for p in inputs}) < len(inputs):
            raise DataError("[onnx] expected inputs of different names.")
        nodes = self._nodes(graph.node, {p.name for p in inputs} | initializers, constants)
        outputs = self._outputs(
            wanted, {p.name for p in inputs} | set(constants) | {o for n in nodes for o in n.outputs}
        )
        needed = _needed(nodes, [p.name for p in outputs])
        for node in needed:
            self._check_supported(node)
        return Graph(inputs, outputs, needed, constants, initializers)

    def _outputs(self, wanted: list[str] | None, known: set[str]) -> list[Port]:
        declared = {v.name: v for v in (*self.model.graph.value_info, *self.model.graph.output)}
        names = [_text(v.name) for v in self.model.graph.output] if wanted is None else list(wanted)
        if not names:
            raise DataError("[onnx] expected at least one output.")
        for name in names:
            if name not in known:
                raise DataError(f"[onnx] {unknown_name('value', name[:80], [k for k in known if k])}")
        return [self._port(declared[n], "output") if n in declared else Port(n, np.dtype("V")) for n in names]

    def _array(self, tensor: Any, place: str) -> np.ndarray:
        array = array_of(tensor, place, self.left)
        self.left -= array.nbytes
        return array

    def _port(self, value: Any, what: str) -> Port:
        place = f"{what} {_text(value.name)!r}"
        if not value.name:
            raise DataError(f"[onnx] expected every {what} to have a name.")
        kind = value.type.WhichOneof("value")
        if kind not in ("tensor_type", None):
            raise DTypeError(f"[onnx] {place}: expected a tensor. Received: {kind.removesuffix('_type')}.")
        tensor = value.type.tensor_type
        if what == "output" and not tensor.elem_type:
            return Port(value.name, np.dtype("V"))
        dtype = dtype_of(tensor.elem_type, place)
        if not tensor.HasField("shape"):
            return Port(value.name, dtype)
        sizes: list[Any] = []
        for d in tensor.shape.dim:
            which = d.WhichOneof("value")
            if which == "dim_value" and d.dim_value < 0:
                raise DataError(f"[onnx] {place}: expected sizes of at least 0. Received: {d.dim_value}.")
            sizes.append(d.dim_value if which == "dim_value" else _text(d.dim_param) or None)
        return Port(value.name, dtype, sizes)

    def _nodes(self, protos: Any, known: set[str], constants: dict[str, np.ndarray]) -> list[Node]:
        if len(protos) > MOST_NODES:
            raise DataError(f"[onnx] expected at most {MOST_NODES} nodes. Received: {len(protos)}.")
        known, found = set(known), []
        for proto in protos:
            op = _text(proto.op_type)
            op = op if proto.domain in OWN_DOMAINS else f"{_text(proto.domain)}::{op}"
            inputs, outputs = ([_text(name) for name in side] for side in (proto.input, proto.output))
            node = Node(op, _text(proto.name), inputs, outputs, {}, self.version, self.max_bytes)
            if not any(node.outputs):
                raise DataError(f"[onnx] node {op} {proto.name!r}: expected outputs. Received: none.")
            for name in node.inputs:
                if name and name not in known:
                    raise DataError(
                        f"[onnx] node {node.label}: its input {name!r} is not known there. "
                        "help: nodes must come after those whose outputs they take."
                    )
            for name in filter(None, node.outputs):
                if name in known:
                    raise DataError(f"[onnx] node {node.label}: its output {name!r} exists already.")
                known.add(name)
            for attribute in proto.attribute:
                if attribute.name in node.attributes:
                    raise DataError(f"[onnx] node {node.label}: the attribute {attribute.name!r} comes twice.")
                node.attributes[_text(attribute.name)] = self._attribute(attribute, node)
            if node.op == "Constant":
                constants[node.outputs[0]] = self._constant(node)
            else:
                found.append(node)
        return found

    def _attribute(self, a: Any, node: Node) -> Any:
        k, place = self.kinds, f"node {node.label}: attribute {a.name!r}"
        if a.ref_attr_name:
            raise DataError(f"[onnx] {place} refers to a function's, which is not supported.")
        if a.type == k.FLOAT:
            return float(a.f)
        if a.type == k.INT:
            return int(a.i)
        if a.type == k.STRING:
            return a.s.decode()
        if a.type == k.FLOATS:
            return [float(v) for v in a.floats]
        if a.type == k.INTS:
            return [int(v) for v in a.ints]
        if a.type == k.STRINGS:
            return [v.decode() for v in a.strings]
        if a.type == k.TENSOR and a.HasField("t"):
            return self._array(a.t, place)
        return _Unsupported(f"{place} is of a type that is not supported")

    def _constant(self, node: Node) -> np.ndarray:
        if len(node.attributes) != 1:
            raise DataError(f"[onnx] node {node.label}: expected one value. Received: {len(node.attributes)}.")
        ((key, value),) = node.attributes.items()
        if key == "value" and isinstance(value, np.ndarray):
            return value
        if key in ("value_int", "value_ints") and isinstance(value, (int, list)):
            return np.array(value, np.int64)
        if key in ("value_float", "value_floats") and isinstance(value, (float, list)):
            return np.array(value, np.float32)
        raise DataError(f"[onnx] node {node.label}: a constant given by {key!r} is not supported.")

    def _check_supported(self, node: Node) -> None:
        if node.op not in OPERATORS:
            raise DataError(f"[onnx] node {node.label}: {unknown_name('operator', node.op[:80], OPERATORS)}")
        for value in node.attributes.values():
            if isinstance(value, _Unsupported):
                raise DataError(f"[onnx] {value.text}.")
        rule = OPERATORS[node.op]
        if not rule.least <= len(node.inputs) <= rule.most or not all(node.inputs[: rule.least]):
            most = "" if rule.most >= 2**31 else f" to {rule.most}"
            raise DataError(
                f"[onnx] node {node.label}: expected {rule.least}{most} inputs. Received: {node.inputs[:10]}."
            )


def _text(value: Any) -> str:
    """Return a name; protobuf hands on what is no UTF-8 as bytes."""
    if not isinstance(value, str):
        raise DataError(f"[onnx] expected names that are valid texts. Received: {value[:40]!r}.")
    return value


class _Unsupported:
    """Stands for an attribute that only matters if its node is needed."""

    def __init__(self, text: str):
        self.text = text


def _needed(nodes: list[Node], outputs: list[str]) -> list[Node]:
    """Return the nodes that the outputs depend on."""
    wanted, found = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(filter(None, node.outputs)):
            found.append(node)
            wanted |= set(node.inputs)
    return found[::-1]
