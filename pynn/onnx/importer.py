"""From an ONNX file to a network: what is known beforehand is computed, and what is a weight is found."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pynn.core.tensor import FLOATS
from pynn.errors import DataError
from pynn.onnx.network import Network, run_node
from pynn.onnx.operators import OPERATORS, Node
from pynn.onnx.reader import Graph, read
from pynn.onnx.tensors import held_dtype
from pynn.onnx.value import Value

__all__ = ["load", "loads"]

OPERANDS = ("Add", "Mul", "MatMul", "Gather")  # whose constants are weights only if the file lists them as such
SMALL = 16  # constants up to this size are kept in the description


def load(path: str | os.PathLike[str], outputs: list[str] | None = None, max_bytes: int = 2**31) -> Network:
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
    limit = max(int(max_bytes), 0)
    if os.path.getsize(path) > limit + 2**20:
        raise DataError(f"[onnx] {os.fspath(path)!r} has more than max_bytes, {limit:,} bytes.")
    with open(path, "rb") as file:
        data = file.read()
    return loads(data, outputs, limit)


def loads(data: bytes, outputs: list[str] | None = None, max_bytes: int = 2**31) -> Network:
    """Return the network in the bytes of an ONNX model; see :func:`load`."""
    graph = read(bytes(data), max_bytes, outputs)
    fold(graph, max_bytes)
    description, values = describe(graph, max_bytes)
    del graph  # arrays go as the weights come
    network = Network(description)
    network.start(values)
    return network


def fold(graph: Graph, max_bytes: int) -> None:
    """Compute the nodes whose inputs are all known, and take them out of the graph."""
    rest: list[Node] = []
    total = sum(array.nbytes for array in graph.constants.values())
    for node in graph.nodes:
        names = [name for name in node.inputs if name]
        if not names or any(name not in graph.constants for name in names):
            rest.append(node)
            continue
        outs = run_node(node, [Value.known(graph.constants[name]) if name else None for name in node.inputs])
        for name, value in zip(node.outputs, outs, strict=False):
            if name:
                graph.constants[name] = value.constant
                total += value.constant.nbytes
        if total > max_bytes:
            raise DataError(
                f"[onnx] node {node.label}: the constants of the model take more than max_bytes, {max_bytes:,}. "
                "help: load(..., max_bytes=...) if the file is to be trusted."
            )
    graph.nodes = rest


def _uses(graph: Graph) -> dict[str, list[tuple[Node, int]]]:
    found: dict[str, list[tuple[Node, int]]] = {}
    for node in graph.nodes:
        for slot, name in enumerate(node.inputs):
            if name in graph.constants:
                found.setdefault(name, []).append((node, slot))
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
            weights.append(
                {"name": name, "shape": list(array.shape), "perm": order, "trainable": trained and not is_state}
            )
            values[name] = array
        else:
            constants.append(_plain(array) | {"name": name})
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
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": array.reshape(-1).tolist()}


def _node_record(node: Node) -> dict[str, Any]:
    attributes = {k: _plain(v) if isinstance(v, np.ndarray) else v for k, v in node.attributes.items()}
    return {
        "op": node.op, "name": node.name, "inputs": node.inputs, "outputs": node.outputs, "attributes": attributes,
        "version": node.version,
    }  # fmt: skip
