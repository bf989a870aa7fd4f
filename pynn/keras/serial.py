"""Layers as plain data and back: get_config, from_config, and the tables of class names in Keras's files."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from pynn import keras
from pynn.keras import activations, constraints, initializers, regularizers
from pynn.keras.layer import Layer, Operation
from pynn.keras.missing import refused
from pynn.keras.named import custom
from pynn.keras.spelling import known_to
from pynn.keras.symbols import RECORDED
from pynn.keras.tree import mapped

__all__ = ["config_of", "deserialized", "from_config", "own_class", "serialized"]

_KINDS = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints}


def config_of(layer: Any) -> dict[str, Any]:
    """Return what makes a layer like this one: the arguments of the library's constructor, as they are now."""
    found: dict[str, Any] = {"name": layer.name, "trainable": bool(layer._trainable), "dtype": layer.dtype.name}
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


def _all_known(layer: Any) -> set[str]:
    names: set[str] = set()
    for cls in type(layer).__mro__:
        if cls.__module__.startswith("pynn.keras") and "__init__" in cls.__dict__:
            names |= set(known_to(cls.__init__))
    return names


def is_setting(value: Any) -> bool:
    """Tell whether a value can stand in a config as it is."""
    return value is None or isinstance(value, (bool, int, float, str, list, tuple))


def plain(value: Any, key: str = "") -> Any:
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


def serialized(layer: Any) -> dict[str, Any]:
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


def _module(layer: Any) -> str:
    if type(layer).__name__ == "Model":
        return "keras.src.models.functional"
    return "keras" if hasattr(layer, "layers") else "keras.layers"


def own_class(name: str) -> Any:
    """Return a layer class of the library's by name; None if there is none."""
    return keras.layers.CLASSES.get(name)


def deserialized(record: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
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


def _of_operator(record: Mapping[str, Any]) -> bool:
    """Tell whether a record without a module is of arithmetic with symbols: a layer of that name takes a list."""
    nodes = record.get("inbound_nodes") or [{}]
    args = nodes[0].get("args") if isinstance(nodes[0], dict) else None
    return bool(args) and not isinstance(args[0], list)


def from_config(cls: Any, config: Mapping[str, Any]) -> Any:
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


def revived(value: Any) -> Any:
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
