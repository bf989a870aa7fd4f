"""Layers and models as plain data and back: get_config, from_config, and the tables of Keras's files."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from pynn import keras
from pynn.keras import activations, constraints, initializers, regularizers
from pynn.keras.layer import InputLayer, Layer, Operation
from pynn.keras.names import custom, known_to, refused
from pynn.keras.symbols import RECORDED, KerasTensor, flat, mapped

_KINDS = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints}


def config_of(layer) -> dict[str, Any]:
    """Return what makes a layer like this one: the arguments of the library's constructor, as they are now."""
    found = {"name": layer.name, "trainable": bool(layer._trainable), "dtype": layer.dtype.name}
    given = layer.__dict__.get("_given")
    values = {} if given is None else given.values
    for key, value in values.items():
        if key in ("name", "trainable", "dtype", "weights", "input_shape", "batch_input_shape", "input_dim") and not (
            key == "input_dim" and "input_dim" in known_to(type(layer).__init__)
        ):
            continue
        if not isinstance(layer, Layer) or key not in _all_known(layer):
            continue
        found[key] = plain(layer.__dict__.get(key, value) if is_setting(layer.__dict__.get(key, value)) else value, key)
    return found


def _all_known(layer):
    names = set()
    for cls in type(layer).__mro__:
        if cls.__module__.startswith("pynn.keras") and "__init__" in cls.__dict__:
            names |= set(known_to(cls.__init__))
    return names


def is_setting(value) -> bool:
    """Tell whether a value can stand in a config as it is."""
    return value is None or isinstance(value, (bool, int, float, str, list, tuple))


def plain(value, key: str = ""):
    """Return an argument as data: objects as a table of class and settings, functions by name."""
    kind = key.rpartition("_")[2]
    if isinstance(value, str) and kind in _KINDS:
        value = _KINDS[kind].get(value)
    if key in ("activation", "recurrent_activation"):
        return activations.serialize(activations.get(value)) if value is not None else "linear"
    if isinstance(value, Layer):
        return serialized(value)
    if hasattr(value, "get_config"):
        return (_KINDS.get(kind) or initializers).serialize(value)
    if isinstance(value, slice):
        ends = {key: getattr(value, key) for key in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": ends}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple, dict)):
        return mapped(lambda v: plain(v), value)
    return getattr(value, "__name__", value) if callable(value) else value


def serialized(layer) -> dict[str, Any]:
    """Return the record of a layer: its class and config."""
    cls = type(layer)
    if isinstance(layer, Operation):
        name = getattr(layer.function, "recorded", None)
        if name is None:
            refused(f"{layer.name!r} in a file", "a function of one's own cannot be written; write a Layer with call()")
        return {"module": "keras.src.ops.numpy", "class_name": name, "config": layer.get_config(),
                "registered_name": name}  # fmt: skip
    own = cls.__module__.startswith("pynn.keras.")
    record = {
        "module": _module(layer) if own else None,
        "class_name": "Functional" if cls.__name__ == "Model" and own else cls.__name__,
        "config": layer.get_config(),
        "registered_name": ("Functional" if cls.__name__ == "Model" else None)
        if own
        else getattr(cls, "_registered", cls.__name__),
    }
    return record


def _module(layer):
    if type(layer).__name__ == "Model":
        return "keras.src.models.functional"
    return "keras" if hasattr(layer, "layers") else "keras.layers"


def own_class(name: str):
    """Return a layer class of the library's by name; None if there is none."""
    return keras.layers.CLASSES.get(name)


def deserialized(record, custom_objects: Mapping[str, Any] | None = None):
    """Return the layer of a record.

    Raises
    ------
    ValueError
        If its class is not known.
    """
    name = record["class_name"]
    if ".ops." in (record.get("module") or "") or (name in RECORDED and _of_operator(record)):
        if name not in RECORDED:
            refused(f"the operation {name!r} of a file", "write it as a Layer with call()")
        return Operation(RECORDED[name], **(record.get("config") or {}))
    cls = keras.models.class_of(name, record, {**custom, **(custom_objects or {})})
    config = dict(record.get("config") or {})
    takes = "custom_objects" in inspect.signature(cls.from_config).parameters
    return cls.from_config(config, custom_objects=custom_objects) if takes else cls.from_config(config)


def _of_operator(record):
    """Tell whether a record without a module is of arithmetic with symbols: a layer of that name takes a list."""
    nodes = record.get("inbound_nodes") or [{}]
    args = nodes[0].get("args") if isinstance(nodes[0], dict) else None
    return bool(args) and not isinstance(args[0], list)


def from_config(cls, config: Mapping[str, Any]):
    """Return the layer that config_of() told of."""
    config = {key: revived(value) for key, value in config.items()}
    config.pop("registered_name", None)
    dtype = config.get("dtype")
    if isinstance(dtype, dict):  # a policy: its name
        config["dtype"] = (dtype.get("config") or {}).get("name")
    known = known_to(cls.__init__)
    for old in ("fused", "renorm", "ragged", "dtype_policy", "quantization_config", "lora_rank", "lora_alpha"):
        if old not in known and not config.get(old):
            config.pop(old, None)
    return cls(**config)


def revived(value):
    """Return what a value of a config stands for: records of layers become layers."""
    if isinstance(value, dict) and "class_name" in value and "config" in value:
        if value["class_name"] in ("DTypePolicy", "Policy", "function"):
            return value if value["class_name"] != "function" else value["config"]
        if own_class(value["class_name"]) is not None or value["class_name"] in custom:
            return deserialized(value)
    if isinstance(value, dict) and value.get("class_name") == "__slice__":
        return slice(*(value["config"][key] for key in ("start", "stop", "step")))
    if isinstance(value, dict) and value.get("class_name") == "__tuple__":
        return tuple(value["items"])
    return value


def chain_config(model) -> dict[str, Any]:
    """Return the architecture of a chain."""
    layers = [serialized(layer) for layer in model._layers]
    if model._graph is not None:
        layers.insert(0, serialized(model._graph.inputs[0].call.layer))
    found = {"name": model.name, "trainable": model._trainable, "layers": layers}
    if model._built_for:
        found["build_input_shape"] = [None, *model._built_for[1:]]
    return found


def chain_of(cls, config, custom_objects=None):
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


def _key(x, nodes):
    name, at = nodes[id(x.call)]
    return [name, at, x.index]


def graph_config(model) -> dict[str, Any]:
    """Return the architecture of a function of symbols."""
    graph = model._graph
    nodes = {}
    counts = {}
    calls = [x.call for x in graph.inputs] + graph.calls
    for call in calls:
        key = id(call.layer)
        nodes[id(call)] = (call.layer.name, counts.get(key, 0))
        counts[key] = counts.get(key, 0) + 1

    def told(value):
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


def graph_of(cls, config, custom_objects=None):
    """Return the model of an architecture."""
    layers = {}
    waiting = []
    made = {}
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


def _symbols(told, made):
    if isinstance(told, dict):
        return {key: _symbols(value, made) for key, value in told.items()}
    if len(told) == 3 and isinstance(told[0], str):
        return made[told[0], told[1]][told[2]]
    found = [_symbols(item, made) for item in told]
    return found[0] if len(found) == 1 else found


def _arguments(node, made):
    """Return the arguments of a call: of Keras 3, a table; of Keras 2, a list of [layer, node, output, options]."""
    if isinstance(node, dict):
        kwargs = {key: value for key, value in node["kwargs"].items() if key != "training" and value is not None}
        return _revived(node["args"], made), _revived(kwargs, made)
    if node and isinstance(node[0], str):
        node = [node]
    symbols = [made[item[0], item[1]][item[2]] for item in node]
    kwargs = {}
    for item in node:
        for key, value in (item[3] if len(item) > 3 else {}).items():
            known = isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str)
            kwargs[key] = made[value[0], value[1]][value[2]] if known else value
    kwargs.pop("mask", None), kwargs.pop("training", None)
    return (symbols[0] if len(symbols) == 1 else symbols,), kwargs


def _revived(value, made):
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
