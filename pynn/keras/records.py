"""Architectures of chains and of functions of symbols, as plain data and back."""

from __future__ import annotations

from typing import Any

from pynn.keras.layer import InputLayer
from pynn.keras.serial import deserialized, plain, revived, serialized
from pynn.keras.symbols import KerasTensor
from pynn.keras.tree import flat, mapped

__all__ = ["chain_config", "chain_of", "graph_config", "graph_of"]


def chain_config(model: Any) -> dict[str, Any]:
    """Return the architecture of a chain."""
    layers = [serialized(layer) for layer in model._layers]
    if model._graph is not None:
        layers.insert(0, serialized(model._graph.inputs[0].call.layer))
    found = {"name": model.name, "trainable": model._trainable, "layers": layers}
    if model._built_for:
        found["build_input_shape"] = [None, *model._built_for[1:]]
    return found


def chain_of(cls: Any, config: Any, custom_objects: Any = None) -> Any:
    """Return the chain of an architecture."""
    if isinstance(config, list):  # Keras before 2.2.3
        config = {"layers": config}
    model = cls(name=config.get("name"))
    for record in config["layers"]:
        model.add(deserialized(record, custom_objects))
    shape = config.get("build_input_shape")
    if model._graph is None and shape and isinstance(shape, (list, tuple)):
        model.build(tuple(shape))
    return model


def _key(x: KerasTensor, nodes: dict[int, tuple[str, int]]) -> list[Any]:
    name, at = nodes[id(x.call)]
    return [name, at, x.index]


def graph_config(model: Any) -> dict[str, Any]:
    """Return the architecture of a function of symbols."""
    graph = model._graph
    nodes: dict[int, tuple[str, int]] = {}
    counts: dict[int, int] = {}
    calls = [x.call for x in graph.inputs] + graph.calls
    for call in calls:
        key = id(call.layer)
        nodes[id(call)] = (call.layer.name, counts.get(key, 0))
        counts[key] = counts.get(key, 0) + 1

    def told(value: Any) -> Any:
        if isinstance(value, KerasTensor):
            return {
                "class_name": "__keras_tensor__",
                "config": {"shape": list(value.shape), "dtype": value.dtype, "keras_history": _key(value, nodes)},
            }
        return plain(value)

    layers = []
    for layer in graph.layers:
        own = [call for call in calls if call.layer is layer and call.parents]
        record = {**serialized(layer), "name": layer.name}
        record["inbound_nodes"] = [
            {"args": mapped(told, list(call.args)), "kwargs": mapped(told, call.kwargs)} for call in own
        ]
        layers.append(record)
    ends = mapped(lambda x: _key(x, nodes), graph.structure)
    starts = mapped(lambda x: _key(x, nodes), graph.given)
    return {
        "name": model.name, "trainable": model._trainable, "layers": layers, "input_layers": starts,
        "output_layers": ends,
    }  # fmt: skip


def graph_of(cls: Any, config: Any, custom_objects: Any = None) -> Any:
    """Return the model of an architecture."""
    layers: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = []
    made: dict[tuple[str, int], list[Any]] = {}
    for record in config["layers"]:
        layer = deserialized(record, custom_objects)
        name = record.get("name") or record["config"]["name"]
        layers[name] = layer
        if isinstance(layer, InputLayer):
            made[name, 0] = list(layer._nodes.calls[0].outputs)
        first = len(layer._nodes.calls) if isinstance(layer, InputLayer) else 0
        waiting += [(name, (first + i, node)) for i, node in enumerate(record.get("inbound_nodes") or [])]
    while waiting:
        left = []
        for name, (at, node) in waiting:
            try:
                args, kwargs = _arguments(node, made)
            except KeyError:
                left.append((name, (at, node)))
                continue
            out = layers[name](*args, **kwargs)
            made[name, at] = list(flat(out))
        if len(left) == len(waiting):
            raise ValueError(f"[load_model] the layers {sorted({n for n, _ in left})} have inputs that are not there.")
        waiting = left
    starts, ends = (_symbols(config[key], made) for key in ("input_layers", "output_layers"))
    model = cls(inputs=starts, outputs=ends, name=config.get("name"))
    return model


def _symbols(told: Any, made: Any) -> Any:
    if isinstance(told, dict):
        return {key: _symbols(value, made) for key, value in told.items()}
    if len(told) == 3 and isinstance(told[0], str):
        return made[told[0], told[1]][told[2]]
    found = [_symbols(item, made) for item in told]
    return found[0] if len(found) == 1 else found


def _arguments(node: Any, made: Any) -> tuple[Any, Any]:
    """Return the arguments of a call: of Keras 3, a table; of Keras 2, a list of [layer, node, output, options]."""
    if isinstance(node, dict):
        kwargs = {key: value for key, value in node["kwargs"].items() if key != "training" and value is not None}
        return _revived(node["args"], made), _revived(kwargs, made)
    if node and isinstance(node[0], str):
        node = [node]
    symbols = [made[item[0], item[1]][item[2]] for item in node]
    kwargs: dict[str, Any] = {}
    for item in node:
        for key, value in (item[3] if len(item) > 3 else {}).items():
            known = isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str)
            kwargs[key] = made[value[0], value[1]][value[2]] if known else value
    kwargs.pop("mask", None), kwargs.pop("training", None)
    return (symbols[0] if len(symbols) == 1 else symbols,), kwargs


def _revived(value: Any, made: Any) -> Any:
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            name, at, index = value["config"]["keras_history"]
            return made[name, at][index]
        if "class_name" in value:
            return revived(value)
        return {key: _revived(item, made) for key, item in value.items()}
    if isinstance(value, list):
        return [_revived(item, made) for item in value]
    return value
