"""From an ONNX file to a network: what is known beforehand is computed, and what is a weight is found."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from pynn.checks import MOST, integer
from pynn.core.tensor import FLOATS
from pynn.errors import DataError, DTypeError, ShapeError, unknown_name
from pynn.onnx.network import Network
from pynn.onnx.operators import OPERATORS, Body, Node
from pynn.onnx.operators.recurrent import BLOCKS, layout
from pynn.onnx.operators.run import is_folded, run_node
from pynn.onnx.reader import Graph, check_supported, needed, read
from pynn.onnx.tensors import held, held_dtype
from pynn.onnx.value import Value

__all__ = ["load", "loads"]

OPERANDS = ("Add", "Mul", "MatMul", "Gather")  # whose constants are weights only if the file lists them as such
SMALL = 16  # constants up to this size are kept in the description


def load(
    path: str | os.PathLike[str],
    outputs: list[str] | None = None,
    max_bytes: int = 2**31,
    inputs: Mapping[str, Any] | None = None,
) -> Network:
    """Return the network in an ONNX file, as a module that runs and trains.

    Nothing but the file itself is read: data in other files are refused. What ONNX cannot say of training (which loss,
    which optimizer) is for compile().

    Parameters
    ----------
    path : path-like
    outputs : list of str, optional
        The values to compute, inner ones too; by default the outputs of the file.
    max_bytes : int, default 2**31
        The most bytes that all weights together, and any one result, may take.
    inputs : dict of str to array_like, optional
        Values of inputs that never change, such as a rate of sampling on which a branch depends: they are no inputs of
        the network then, and what follows from them is computed here.

    Raises
    ------
    DataError
        If it is no ONNX model, if it is malformed, or if it holds an operator, a setting or a dtype that is not
        supported; the message names the node.
    ImportError
        If the package onnx is missing.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> import pynn.onnx
    >>> model = pynn.nn.Sequential([pynn.nn.Input((4,)), pynn.nn.Dense(3, activation="tanh")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pynn.onnx.export(model, f"{folder}/model.onnx")
    ...     network = pynn.onnx.load(f"{folder}/model.onnx")
    ...     network.predict(np.ones((2, 4), "float32")).shape
    (2, 3)
    """
    limit = max(integer("onnx.load", "max_bytes", max_bytes, -MOST), 0)
    path = os.fspath(path)
    if os.path.isdir(path):
        raise DataError(f"[onnx] expected an ONNX file. Received: {os.fspath(path)!r}, a folder.{_inside(path)}")
    if os.path.getsize(path) > limit + 2**20:
        raise DataError(f"[onnx] {os.fspath(path)!r} has more than max_bytes, {limit:,} bytes.")
    with open(path, "rb") as file:
        data = file.read()
    try:
        return loads(data, outputs, limit, inputs)
    except (DataError, DTypeError, ShapeError) as error:
        raise type(error)(f"{error} File: {os.fspath(path)!r}.") from error


def _inside(path: str | os.PathLike[str]) -> str:
    """Return what a folder seems to be."""
    names = sorted(os.listdir(path))
    if "saved_model.pb" in names:
        return " help: it is a TensorFlow SavedModel; python -m tf2onnx.convert --saved-model FOLDER --output FILE."
    files = [name for name in names if name.endswith(".onnx")]
    return f" help: {os.path.join(path, files[0])!r} lies in it." if files else ""


def loads(
    data: bytes,
    outputs: list[str] | None = None,
    max_bytes: int = 2**31,
    inputs: Mapping[str, Any] | None = None,
) -> Network:
    """Return the network in the bytes of an ONNX model; see :func:`load`.

    Parameters
    ----------
    data : bytes
        Of an ONNX file.
    outputs : sequence of str, optional
        Which outputs the network computes; by default all.
    max_bytes : int, default 2**31
        The most memory that weights may take.
    inputs : dict of str to array_like, optional
        Values of inputs that never change.
    """
    graph = read(bytes(data), max_bytes, outputs)
    settle(graph, inputs or {})
    fold(graph, max_bytes)
    description, values = describe(graph, max_bytes)
    del graph  # arrays go as the weights come
    network = Network(description)
    network.start(values)
    return network


def settle(graph: Graph, inputs: Mapping[str, Any]) -> None:
    """Make constants of inputs that have a value."""
    for name, value in inputs.items():
        port = next((p for p in graph.inputs if p.name == name), None)
        if port is None:
            raise DataError(f"[onnx] {unknown_name('input', name, [p.name for p in graph.inputs])}")
        array = held(np.asarray(value).astype(port.dtype), f"input {name!r}")
        sizes = port.shape
        if sizes is not None and (
            len(sizes) != array.ndim
            or any(isinstance(d, int) and d != n for d, n in zip(sizes, array.shape, strict=True))
        ):
            raise ShapeError(f"[onnx] expected the input {name!r} of shape {tuple(sizes)}. Received: {array.shape}.")
        graph.constants[name] = array
        graph.inputs.remove(port)


def fold(graph: Graph, max_bytes: int) -> None:
    """Compute the nodes whose inputs are all known, and take them out of the graph; of a known If, take the branch."""
    folding = _Folding(graph, max_bytes)
    graph.nodes = needed(folding.rest(graph.nodes), [port.name for port in graph.outputs])
    for node in graph.nodes:
        for body in node.bodies:
            _check_body(body)


class _Folding:
    """What is known of a graph, and how much room it takes."""

    def __init__(self, graph: Graph, max_bytes: int):
        self.constants, self.max_bytes = graph.constants, max_bytes
        self.total = sum(array.nbytes for array in graph.constants.values())

    def rest(self, nodes: list[Node]) -> list[Node]:
        """Return the nodes that cannot be computed beforehand; those of bodies too are computed where they can."""
        rest: list[Node] = []
        queue = deque(nodes)
        while queue:
            node = queue.popleft()
            if node.op == "If" and node.inputs[0] in self.constants:
                queue.extendleft(reversed(_taken(node, self.constants[node.inputs[0]])))
                continue
            for body in node.bodies:
                body.nodes = self.rest(body.nodes)
            _take_from_around(node)
            if not self._computed(node):
                rest.append(node)
        return rest

    def _computed(self, node: Node) -> bool:
        """Compute a node if its inputs are known; return whether it was."""
        known = [self.constants.get(name) for name in node.inputs if name]
        if node.op not in OPERATORS or node.bodies or not is_folded(node, [array is not None for array in known]):
            return False
        outs = run_node(node, [Value.known(self.constants[name]) if name else None for name in node.inputs])
        if any(value.names is not None for value in outs):
            return False
        made = {name: value.constant for name, value in zip(node.outputs, outs, strict=False) if name}
        self.constants.update(made)
        self._count(node, list(made.values()))
        return True

    def _count(self, node: Node, arrays: list[np.ndarray]) -> None:
        self.total += sum(array.nbytes for array in arrays)
        if self.total > self.max_bytes:
            raise DataError(
                f"[onnx] node {node.label}: the constants of the model take more than max_bytes, {self.max_bytes:,}. "
                "help: load(..., max_bytes=...) if the file is to be trusted."
            )


def _take_from_around(node: Node) -> None:
    """Let the inputs of a node be its own, and what its bodies take from around them."""
    if not node.bodies:
        return
    taken: dict[str, None] = {}
    for body in node.bodies:
        own = {*body.inputs, *(name for inner in body.nodes for name in inner.outputs)}
        names = [name for inner in body.nodes for name in inner.inputs if name]
        taken.update(dict.fromkeys(name for name in [*names, *body.outputs] if name not in own))
    node.inputs[node.own :] = taken


def _taken(node: Node, condition: np.ndarray) -> list[Node]:
    """Return the nodes of the branch that is taken; its outputs get the names of the node's."""
    if condition.size != 1:
        raise DataError(f"[onnx] node {node.label}: expected a condition of one element.")
    body = node.attributes.get("then_branch" if condition.reshape(())[()] else "else_branch")
    if not isinstance(body, Body) or len(body.outputs) != len(node.outputs):
        raise DataError(f"[onnx] node {node.label}: expected two branches with {len(node.outputs)} outputs.")
    for inner in body.nodes:
        check_supported(inner)
    names = [(given, name) for given, name in zip(body.outputs, node.outputs, strict=True) if name]
    return [
        *body.nodes,
        *(Node("Identity", node.name, [given], [name], {}, node.version, node.limit) for given, name in names),
    ]


def _check_body(body: Body) -> None:
    for node in body.nodes:
        check_supported(node)
        for inner in node.bodies:
            _check_body(inner)


def _uses(graph: Graph) -> dict[str, list[tuple[Node, int]]]:
    found: dict[str, list[tuple[Node, int]]] = {}

    def note(node: Node) -> None:
        for slot, name in enumerate(node.inputs[: node.own]):
            if name in graph.constants:
                found.setdefault(name, []).append((node, slot))
        for body in node.bodies:
            for inner in body.nodes:
                note(inner)
            for name in body.outputs:
                if name in graph.constants:
                    found.setdefault(name, [])

    for node in graph.nodes:
        note(node)
    for port in graph.outputs:
        if port.name in graph.constants:
            found.setdefault(port.name, [])
    return found


def _is_weight(name: str, array: np.ndarray, uses: list[tuple[Node, int]], graph: Graph) -> bool:
    listed = name in graph.initializers and array.size > 1 and array.ndim > 0
    return any(slot in OPERATORS[node.op].weights and (listed or node.op not in OPERANDS) for node, slot in uses)


def _kept_order(uses: list[tuple[Node, int]], rank: int) -> list[int] | None:
    """Return the order of axes that all users of a weight want it in; None if they differ."""
    orders = set()
    for node, slot in uses:
        choose = OPERATORS[node.op].weights.get(slot)
        orders.add(None if choose is None else choose(node, rank))
    order = orders.pop() if len(orders) == 1 else None
    return None if order is None or len(order) != rank else list(order)


def _layout(uses: list[tuple[Node, int]]) -> dict[str, Any] | None:
    """Return how recurrent operators want a weight to be kept, if they are all that use it, and agree."""
    found = [layout(node, slot) if node.op in BLOCKS else None for node, slot in uses]
    return found[0] if found and all(how == found[0] for how in found) else None


def _network_dtype(graph: Graph) -> np.dtype:
    for dtype in (*(p.dtype for p in graph.inputs), *(a.dtype for a in graph.constants.values())):
        if dtype in FLOATS:
            return dtype
    return np.dtype("float32")


def describe(graph: Graph, max_bytes: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the plain description that :class:`Network` takes, and the weights' values."""
    dtype = _network_dtype(graph)
    weights, constants, values = [], [], {}
    for name, uses in _uses(graph).items():
        array = graph.constants[name]
        trained = array.dtype == dtype and _is_weight(name, array, uses, graph)
        is_state = any(slot in OPERATORS[node.op].states for node, slot in uses)
        if array.dtype == dtype and (trained or is_state or array.size > SMALL):
            order = _kept_order(uses, array.ndim) if trained else None
            record = {"name": name, "shape": list(array.shape), "perm": order, "trainable": trained and not is_state}
            weights.append(record | ({"laid": how} if (how := _layout(uses)) and trained else {}))
            values[name] = array
        else:
            kind = graph.types.get(name)
            constants.append(_plain(array) | {"name": name} | ({"type": kind} if kind else {}))
    description = {
        "dtype": dtype.name,
        "limit": max_bytes,
        "inputs": [{"name": p.name, "dtype": held_dtype(p.dtype).name, "shape": p.shape} for p in graph.inputs],
        "outputs": [{"name": p.name, "dtype": p.dtype.str} for p in graph.outputs],
        "weights": weights,
        "constants": constants,
        "nodes": [_node_record(node) for node in graph.nodes],
    }
    return description, values


def _plain(array: np.ndarray) -> dict[str, Any]:
    dtype = "str" if array.dtype.kind == "U" else array.dtype.name
    return {"dtype": dtype, "shape": list(array.shape), "values": array.reshape(-1).tolist()}


def _attribute_record(value: Any) -> Any:
    if isinstance(value, Body):
        return {"inputs": value.inputs, "outputs": value.outputs, "nodes": [_node_record(n) for n in value.nodes]}
    return _plain(value) if isinstance(value, np.ndarray) else value


def _node_record(node: Node) -> dict[str, Any]:
    attributes = {key: _attribute_record(value) for key, value in node.attributes.items()}
    return {
        "op": node.op, "name": node.name, "inputs": node.inputs, "outputs": node.outputs, "attributes": attributes,
        "version": node.version,
    }  # fmt: skip
