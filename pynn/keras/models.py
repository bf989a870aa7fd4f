"""Models: made, read from files and copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pynn import keras
from pynn.errors import unknown_name
from pynn.keras.layer import Input
from pynn.keras.missing import missing, used_by
from pynn.keras.model import Model
from pynn.keras.saving import load_model, save_model
from pynn.keras.sequential import Sequential
from pynn.keras.serial import deserialized, own_class

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def class_of(name: str, record: Mapping[str, Any], custom: Mapping[str, Any]) -> Any:
    """Return the class that a record names: the library's own, or one of the program's."""
    for key in (record.get("registered_name"), name):
        if key and key in custom:
            return custom[key]
        if key and key.rpartition(">")[2] in custom:
            return custom[key.rpartition(">")[2]]
    table = {"Functional": Model, "Model": Model, "Sequential": Sequential}
    found = table.get(name) or own_class(name)
    if found is None:
        text = unknown_name("layer", name, [*keras.layers.CLASSES, *custom])
        raise ValueError(
            f"[load_model] {text.partition(' Known')[0]} help: pass custom_objects={{{name!r}: {name}}}{used_by()}."
        )
    return found


def clone_model(model, input_tensors=None, clone_function=None, call_function=None, recursive=False, **kwargs):
    """Return a model of the same layers with weights of its own."""
    config = model.get_config()
    return type(model).from_config(config)


def model_from_json(json_string, custom_objects=None):
    """Return the model of an architecture that to_json() wrote."""
    import json

    return deserialized(json.loads(json_string), custom_objects)


def model_from_config(config, custom_objects=None):
    """Return the model of an architecture."""
    return deserialized(config, custom_objects)


def __getattr__(name: str) -> Any:
    if name == "Input":
        return Input
    missing(__name__, name, __all__)
