"""Reading the bytes of an ONNX file into nodes and arrays; every part is checked, none is believed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn.errors import DataError, DTypeError, nearest, unknown_name
from pynn.onnx.extra import need_memory, onnx_package
from pynn.onnx.operators import OPERATORS, Body, Node
from pynn.onnx.tensors import TEXT, array_of, dtype_of

__all__ = ["Graph", "Port", "check_supported", "needed", "read"]

NEWEST = 28  # the newest operator set whose changes are known here
ALONE = 13  # the set of a graph that has no operators of ONNX's own
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
    initializers: set[str]  # those of the constants that the file lists as weights
    types: dict[str, int]  # the types in the file of inputs and constants, by number


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
        self.types: dict[str, int] = {}
        self.initializers: set[str] = set()
        self.constants: dict[str, np.ndarray] = {}
        self.count = self.bodies = 0  # of all nodes, and of graphs inside nodes

    def _version(self) -> int:
        own = {o.version for o in self.model.opset_import if o.domain in OWN_DOMAINS}  # one may be listed twice
        if len(own) > 1:
            raise DataError(f"[onnx] expected one operator set of ONNX. Received: {sorted(own)}.")
        foreign = all(node.domain not in OWN_DOMAINS for node in self.model.graph.node)
        version = own.pop() if own else ALONE if foreign else 1
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
        self._initializers(graph.initializer, {})
        constants, initializers = self.constants, self.initializers
        inputs = [self._port(v, "input") for v in graph.input if v.name not in constants]
        if len({p.name for p in inputs}) < len(inputs):
            raise DataError("[onnx] expected inputs of different names.")
        self.types |= {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input)}
        nodes = self._nodes(graph.node, {p.name for p in inputs} | initializers, {})
        outputs = self._outputs(
            wanted, {p.name for p in inputs} | set(constants) | {o for n in nodes for o in n.outputs}
        )
        wants = needed(nodes, [p.name for p in outputs])
        for node in wants:
            check_supported(node)
        return Graph(inputs, outputs, wants, constants, initializers, self.types)

    def _initializers(self, tensors: Any, names: dict[str, str]) -> None:
        """Read arrays; inside a node they go by new names."""
        for tensor in tensors:
            name = names.get(_text(tensor.name), tensor.name)
            if not name or name in self.constants:
                raise DataError(f"[onnx] expected initializers of different names. Received: {tensor.name!r}.")
            self.constants[name] = self._array(tensor, f"initializer {tensor.name!r}")
            self.types[name] = tensor.data_type
            self.initializers.add(name)

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
        if kind == "sequence_type" and what == "output":
            kind = value.type.sequence_type.elem_type.WhichOneof("value")
            if kind == "map_type":  # what ZipMap gives
                return Port(value.name, np.dtype("O"))
        if kind not in ("tensor_type", None):
            hint = " help: load(..., outputs=[name, ...]) names the outputs that are computed." * (what == "output")
            raise DTypeError(f"[onnx] {place}: expected a tensor. Received: {kind.removesuffix('_type')}.{hint}")
        tensor = value.type.tensor_type
        if what == "output" and not tensor.elem_type:
            return Port(value.name, np.dtype("V"))
        if what == "output" and tensor.elem_type == TEXT:
            return Port(value.name, np.dtype("U"))
        dtype = dtype_of(tensor.elem_type, place)
        if not tensor.HasField("shape"):
            return Port(value.name, dtype)
        sizes: list[Any] = []
        for d in tensor.shape.dim:
            which = d.WhichOneof("value")
            if which == "dim_value":
                sizes.append(d.dim_value if d.dim_value >= 0 else None)  # some programs write -1 for an open one
            else:
                sizes.append(_text(d.dim_param) or None)
        return Port(value.name, dtype, sizes)

    def _nodes(self, protos: Any, known: set[str], renamed: dict[str, str]) -> list[Node]:
        """Return nodes.

        Parameters
        ----------
        known : set of str
            The names that exist before them.
        renamed : dict of str to str
            The names that those of a body go by, so that each is the only one.
        """
        self.count += len(protos)
        if self.count > MOST_NODES:
            raise DataError(f"[onnx] expected at most {MOST_NODES} nodes. Received: {self.count}.")
        known, found = set(known), []
        for proto in protos:
            op = _text(proto.op_type)
            op = op if proto.domain in OWN_DOMAINS else f"{_text(proto.domain)}::{op}"
            inputs, outputs = ([renamed.get(_text(n), n) for n in side] for side in (proto.input, proto.output))
            node = Node(op, _text(proto.name), inputs, outputs, {}, self.version, self.max_bytes)
            if not any(node.outputs):
                raise DataError(f"[onnx] node {op} {proto.name!r}: expected outputs. Received: none.")
            for name in node.inputs:
                if name and name not in known:
                    raise DataError(
                        f"[onnx] node {node.label}: its input {name!r} is not known there. "
                        "help: nodes must come after those whose outputs they take."
                    )
            for attribute in proto.attribute:
                if attribute.name in node.attributes:
                    raise DataError(f"[onnx] node {node.label}: the attribute {attribute.name!r} comes twice.")
                if attribute.type == self.kinds.GRAPH:
                    node.attributes.setdefault("own", len(proto.input))
                    node.attributes[_text(attribute.name)] = self._body(attribute, node, known, renamed)
                else:
                    node.attributes[_text(attribute.name)] = self._attribute(attribute, node)
            for name in filter(None, node.outputs):
                if name in known:
                    raise DataError(f"[onnx] node {node.label}: its output {name!r} exists already.")
                known.add(name)
            if op in OPERATORS and OPERATORS[op].typed:
                node.attributes["types"] = [self.types.get(name, 0) for name in node.inputs]
            if node.op == "Constant":
                self.constants[node.outputs[0]] = self._constant(node)
                tensors = [a.t.data_type for a in proto.attribute if a.type == self.kinds.TENSOR]
                self.types.update((node.outputs[0], kind) for kind in tensors)
            else:
                found.append(node)
        return found

    def _body(self, attribute: Any, node: Node, known: set[str], renamed: dict[str, str]) -> Body:
        """Return a graph inside a node; what it takes from around it becomes inputs of the node."""
        graph = attribute.g
        self.bodies += 1
        place = f"{node.name or node.outputs[0]}/{attribute.name}#{self.bodies}"
        made = [*(t.name for t in graph.initializer), *(v.name for v in graph.input)]
        made += [name for inner in graph.node for name in inner.output if name]
        inside = {_text(name): f"{place}/{name}" for name in made}
        names = {**renamed, **inside}
        self._initializers(graph.initializer, names)
        inputs = [names[v.name] for v in graph.input if names[v.name] not in self.constants]
        nodes = self._nodes(graph.node, known | set(inputs) | {names[t.name] for t in graph.initializer}, names)
        outputs = [names.get(v.name, v.name) for v in graph.output]
        own = {*inputs, *(name for inner in nodes for name in inner.outputs)}
        taken = [name for inner in nodes for name in inner.inputs if name] + outputs
        for name in taken:
            if name not in own and name not in node.inputs[node.own :]:
                node.inputs.append(name)
        return Body(inputs, outputs, nodes)

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
        if key in ("value_string", "value_strings") and isinstance(value, (str, list)):
            return np.array(value, np.str_)
        if key in ("value_int", "value_ints") and isinstance(value, (int, list)):
            return np.array(value, np.int64)
        if key in ("value_float", "value_floats") and isinstance(value, (float, list)):
            return np.array(value, np.float32)
        raise DataError(f"[onnx] node {node.label}: a constant given by {key!r} is not supported.")


def check_supported(node: Node) -> None:
    """Raise DataError for a node that cannot be run; say how to do without it."""
    before = [repr(name) for name in node.inputs[:3] if name]
    hint = f" load(..., outputs=[{', '.join(before)}]) computes what comes before it." if before else ""
    if node.op not in OPERATORS:
        near = nearest(node.op[:80], list(OPERATORS))
        also = f" did you mean {near!r}?" if near else ""
        raise DataError(
            f"[onnx] node {node.label}: unknown operator. Received: {node.op[:80]!r}. help:{also}{hint} "
            f"pynn has {len(OPERATORS)} operators."
        )
    for value in node.attributes.values():
        if isinstance(value, _Unsupported):
            raise DataError(f"[onnx] {value.text}. help:{hint}" if hint else f"[onnx] {value.text}.")
    rule, given = OPERATORS[node.op], node.inputs[: node.own]
    if not rule.least <= len(given) <= rule.most or not all(given[: rule.least]):
        most = "" if rule.most >= 2**31 else f" to {rule.most}"
        raise DataError(f"[onnx] node {node.label}: expected {rule.least}{most} inputs. Received: {given[:10]}.")


def _text(value: Any) -> str:
    """Return a name; protobuf hands on what is no UTF-8 as bytes."""
    if not isinstance(value, str):
        raise DataError(f"[onnx] expected names that are valid texts. Received: {value[:40]!r}.")
    return value


class _Unsupported:
    """Stands for an attribute that only matters if its node is needed."""

    def __init__(self, text: str):
        self.text = text


def needed(nodes: list[Node], outputs: list[str]) -> list[Node]:
    """Return the nodes that the outputs depend on."""
    wanted, found = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(filter(None, node.outputs)):
            found.append(node)
            wanted |= set(node.inputs)
    return found[::-1]
