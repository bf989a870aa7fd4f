"""Files of Keras: .keras archives and .h5, written and read without pickle and without any code of theirs."""

from __future__ import annotations

import datetime
import functools
import io
import json
import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.convert.hdf5 import Arrays, endless
from pynn.errors import DataError
from pynn.files import write_whole
from pynn.keras import losses, optimizers
from pynn.keras.layer import Layer
from pynn.keras.names import absent, custom, snake_case, used_by
from pynn.keras.serial import deserialized, serialized

__all__ = ["CustomObjectScope", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
           "get_registered_name", "get_registered_object", "load_model", "register_keras_serializable", "save_model",
           "serialize_keras_object"]  # fmt: skip

INSIDE = "model.weights.h5"
LIMIT = 1 << 32


def _h5py():
    try:
        import h5py
    except ImportError:
        raise ImportError("[save] files of Keras need the package h5py. help: pip install 'pynn-dl[keras]'.") from None
    return h5py


# Where Keras 3 puts weights


def stores(layer, path: str = "") -> Iterator[tuple[str, Any, list[Any]]]:
    """Yield (group of the file, layer, weights) of a layer and of all that it holds."""
    seen = set()
    yield from _stores(layer, path, seen)


def _stores(layer, path, seen):
    if id(layer) in seen:
        return
    seen.add(id(layer))
    inner = getattr(layer, "_cell_path", "")
    weights = list(layer._weights.values())
    yield f"{path}{inner}", layer, weights
    if getattr(layer, "_graph", None) is not None or hasattr(layer, "_chain"):
        yield from _contained(layer.layers, f"{path}layers/", seen)
    named = getattr(layer, "_parts", None)
    attributes = named() if named is not None else sorted(vars(layer).items())
    for key, value in attributes:
        if key in ("_layers", "_given", "_nodes") or (key.startswith("_") and named is None):
            continue
        if isinstance(value, Layer):
            yield from _stores(value, f"{path}{key}/", seen)
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Layer) for item in value):
            yield from _contained(value, f"{path}{key}/", seen)


def _contained(layers, path, seen):
    counts = Counter()
    for layer in layers:
        if isinstance(layer, Layer):
            name = snake_case(class_name(layer))
            counts[name] += 1
            tail = f"_{counts[name] - 1}" if counts[name] > 1 else ""
            yield from _stores(layer, f"{path}{name}{tail}/", seen)


def class_name(layer) -> str:
    """Return the name of a layer's class in files."""
    name = type(layer).__name__
    return "Functional" if name == "Model" and getattr(layer, "_graph", None) is not None else name


def _weights_bytes(model):
    h5py = _h5py()
    raw = io.BytesIO()
    with h5py.File(raw, "w") as file:
        for path, layer, weights in stores(model):
            group = file.require_group(f"{path}vars")
            group.attrs["name"] = layer.name
            for i, weight in enumerate(weights):
                group.create_dataset(str(i), data=weight.numpy())
    return raw.getvalue()


def save(model, filepath, overwrite: bool, include_optimizer: bool, save_format=None):
    """Write a model into a .keras or .h5 file."""
    path = os.fspath(filepath)
    if os.path.exists(path) and not overwrite:
        raise ValueError(f"[save] {path!r} is there already. help: overwrite=True.")
    if not model.built:
        raise ValueError(f"[save] the model {model.name!r} is not built yet: call fit or build first.")
    if path.endswith((".h5", ".hdf5")) or save_format == "h5":
        write_whole(path, _legacy_bytes(model, include_optimizer))
        return
    if not path.endswith(".keras"):
        raise ValueError(
            f"[save] expected a path that ends in .keras or .h5. Received: {path!r}{used_by()}. "
            "help: TensorFlow's folders are not written."
        )
    record = serialized(model)
    told = model._compiled_with if include_optimizer else None
    if told is not None:
        record["compile_config"] = _compiled(model, told)
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        now = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.12.0", "date_saved": now}))
        archive.writestr("config.json", json.dumps(record))
        archive.writestr(INSIDE, _weights_bytes(model))
    write_whole(path, raw.getvalue())


def _compiled(model, told):
    def plain(value, kind):
        if isinstance(value, dict):
            return {k: plain(v, kind) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v, kind) for v in value]
        if isinstance(value, str) and value in losses._NAMES.table:  # "mse" of an .h5 is not found by all of Keras 3
            return getattr(losses.get(value), "__name__", value)
        return kind(value)

    from pynn.keras import metrics

    return {
        "optimizer": optimizers.serialize(model.optimizer),
        "loss": plain(told["loss"], losses.serialize),
        "loss_weights": told["loss_weights"],
        "metrics": plain(told["metrics"], metrics.serialize),
        "weighted_metrics": None, "run_eagerly": False, "steps_per_execution": 1, "jit_compile": False,
    }  # fmt: skip


# The older format


def legacy_weights(layer) -> list[Any]:
    """Return a layer's weights in the order of .h5 files: those that are trained, then the others."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _legacy_group(group, model):
    layers = [layer for layer in model.layers if layer is not model]
    group.attrs["layer_names"] = [layer.name.encode() for layer in layers]
    group.attrs["backend"], group.attrs["keras_version"] = b"tensorflow", b"3.12.0"
    for layer in layers:
        inner = group.create_group(layer.name)
        names, own = [], {id(w): path for path, w in layer.named_parameters()}
        aliases = {v: k for k, v in getattr(layer, "_aliases", {}).items()}
        for weight in legacy_weights(layer):
            tail = own[id(weight)]
            name = f"{layer.name}/{aliases.get(tail, tail).replace('.', '/')}:0"
            names.append(name.encode())
            inner.create_dataset(name, data=weight.numpy())
        inner.attrs["weight_names"] = names if names else np.zeros((0,), "S1")


def _legacy_bytes(model, include_optimizer):
    h5py = _h5py()
    raw = io.BytesIO()
    with h5py.File(raw, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = b"3.12.0", b"tensorflow"
        record = serialized(model)
        file.attrs["model_config"] = json.dumps(record).encode()
        told = model._compiled_with if include_optimizer else None
        if told is not None:
            settings = _compiled(model, told)
            rest = {key: value for key, value in settings.items() if key != "optimizer"}
            file.attrs["training_config"] = json.dumps({**rest, "optimizer_config": settings["optimizer"]}).encode()
        _legacy_group(file.create_group("model_weights"), model)
    return raw.getvalue()


def save_weights(model, filepath, overwrite: bool = True):
    """Write weights into a .weights.h5 file, or in the older format into another .h5."""
    path = os.fspath(filepath)
    if os.path.exists(path) and not overwrite:
        raise ValueError(f"[save_weights] {path!r} is there already. help: overwrite=True.")
    if not model.built:
        raise ValueError(f"[save_weights] the model {model.name!r} is not built yet: call fit or build first.")
    if path.endswith(".weights.h5"):
        write_whole(path, _weights_bytes(model))
        return
    h5py = _h5py()
    raw = io.BytesIO()
    with h5py.File(raw, "w") as file:
        _legacy_group(file, model)
    write_whole(path, raw.getvalue())


# Reading


def _told_as_damage(function):
    """Return a reader whose errors about a file are DataErrors; what pynn says, and what the system says, stays."""

    @functools.wraps(function)
    def read(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except (FileNotFoundError, IsADirectoryError, PermissionError, ImportError, MemoryError):
            raise
        except Exception as error:
            if type(error).__module__.startswith("pynn."):
                raise
            place = function.__name__
            path = next((str(a) for a in (*args, *kwargs.values()) if isinstance(a, (str, os.PathLike))), "")
            raise DataError(
                f"[{place}] {path!r} is damaged, or was not written by Keras: {type(error).__name__}: "
                f"{str(error)[:300]}{used_by()}."
            ) from error

    return read


def _opened(path, place):
    """Return the record of the architecture (None of weights alone), and the open HDF5 file."""
    h5py = _h5py()
    with open(path, "rb") as raw:
        data = raw.read()
    record = None
    try:
        if data[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for name in ("config.json", INSIDE):
                    if archive.getinfo(name).file_size > LIMIT:
                        raise DataError(f"[{place}] {path!r}: its {name} is too large.")
                record = json.loads(archive.read("config.json"))
                data = archive.read(INSIDE)
        elif data[:8] != b"\x89HDF\r\n\x1a\n":
            raise DataError(f"[{place}] expected a .keras or .h5 file. Received: {path!r}{used_by()}.")
        source = io.BytesIO(data)
        if endless(source):
            raise DataError(f"[{place}] {path!r} is damaged: a list of its texts has no end.")
        file = h5py.File(source, "r")
    except DataError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"[{place}] {path!r} is damaged: {str(error)[:200]}.") from None
    if record is None and "model_config" in file.attrs:
        told = file.attrs["model_config"]
        record = json.loads(told.decode() if isinstance(told, bytes) else told)
        version = file.attrs.get("keras_version", b"2")
        record["keras_version"] = version.decode() if isinstance(version, bytes) else version
        settings = file.attrs.get("training_config")
        if settings is not None:
            settings = json.loads(settings.decode() if isinstance(settings, bytes) else settings)
            record["compile_config"] = {**settings, "optimizer": settings.get("optimizer_config")}
    return record, file


@_told_as_damage
def load_model(filepath, custom_objects=None, compile=True, safe_mode=True, **kwargs):
    """Return the model in a .keras or .h5 file."""
    path = os.fspath(filepath)
    if os.path.isdir(path):
        raise DataError(f"[load_model] expected a .keras or .h5 file. Received: {path!r}, a folder. "
                        "help: TensorFlow's saved models are not read; save as .keras.")  # fmt: skip
    record, file = _opened(path, "load_model")
    with file:
        if record is None:
            raise DataError(f"[load_model] {path!r} holds weights alone. help: build the model, then load_weights().")
        _refuse_code(record)
        old = str(record.get("keras_version", "3")).startswith(("1", "2"))
        with custom_object_scope(custom_objects or {}):
            model = deserialized(_of_keras_2(record) if old else record, custom_objects)
            _fill(model, file, path, "load_model")
            settings = record.get("compile_config")
            if compile and settings and settings.get("optimizer"):
                _compile(model, settings)
    return model


def _refuse_code(record):
    """Refuse an architecture with a Lambda: its code would have to be run."""
    if isinstance(record, dict):
        if record.get("class_name") == "Lambda":
            name = (record.get("config") or {}).get("name", "lambda")
            raise DataError(
                f"[load_model] layer {name!r} is a Lambda: the file holds its code, which is never run{used_by()}. "
                "help: build the model in the program, then load_weights()."
            )
        for value in record.values():
            _refuse_code(value)
    elif isinstance(record, list):
        for value in record:
            _refuse_code(value)


def _of_keras_2(record):
    """Return a record of Keras 2 with today's meanings: its hard sigmoid has another slope."""
    if isinstance(record, dict):
        return {
            key: "hard_sigmoid_2" if value == "hard_sigmoid" and key.endswith("activation") else _of_keras_2(value)
            for key, value in record.items()
        }
    return [_of_keras_2(value) for value in record] if isinstance(record, list) else record


def _compile(model, settings):
    from pynn.keras import metrics

    def made(value, kind):
        if isinstance(value, dict) and "class_name" not in value:
            return {k: made(v, kind) for k, v in value.items()}
        return [made(v, kind) for v in value] if isinstance(value, list) else kind(value)

    model.compile(
        optimizer=optimizers.deserialize(settings["optimizer"]),
        loss=made(settings.get("loss"), lambda v: losses.deserialize(v) if isinstance(v, dict) else v),
        metrics=made(settings.get("metrics"), lambda v: metrics.deserialize(v) if isinstance(v, dict) else v),
        loss_weights=settings.get("loss_weights"),
    )


@_told_as_damage
def load_weights(model, filepath, by_name: bool = False, skip_mismatch: bool = False):
    """Read weights of a file into a model, all or none."""
    path = os.fspath(filepath)
    _, file = _opened(path, "load_weights")
    with file:
        if not model.built:
            raise ValueError("[load_weights] the model is not built: its input's shape is not known yet.")
        _fill(model, file, path, "load_weights", by_name, skip_mismatch)


def _fill(model, file, path, place, by_name=False, skip=False):
    arrays = Arrays(file, path)
    legacy = "layer_names" in file.attrs or "model_weights" in file
    pairs = list(_of_legacy(model, file, by_name) if legacy else _of_stores(model, arrays))
    if not model.built:
        raise DataError(f"[{place}] the model in {path!r} is not built: the file does not tell its input's shape.")
    problems, found = [], []
    for weight, source, name in pairs:
        if source not in arrays.found:
            problems.append(f"missing: {source or name}, for {name} of shape {weight.shape}")
        elif arrays.found[source][0] != weight.shape:
            problems.append(f"wrong shape: {source} has {arrays.found[source][0]}, {name} needs {weight.shape}")
        else:
            found.append((weight, source))
    if problems and not skip:
        raise DataError(f"[{place}] {path!r} does not fit the model:\n  " + "\n  ".join(problems[:20]))
    values = [(weight, arrays.read(source)) for weight, source in found]
    for weight, value in values:
        weight.view()[...] = value


def _of_stores(model, arrays):
    for group, layer, weights in stores(model):
        for i, weight in enumerate(weights):
            yield weight, f"{group}vars/{i}", f"{layer.name}.{weight.name}"


def _of_legacy(model, file, by_name):
    base = "model_weights/" if "model_weights" in file else ""
    root = file["model_weights"] if base else file
    names = [_text(n) for n in root.attrs["layer_names"]]
    told = {n: [_text(w) for w in root[n].attrs["weight_names"]] for n in names}
    full = [n for n in names if told[n]]
    mine = [layer for layer in model.layers if layer.weights]
    if by_name:
        pairs = [(layer, layer.name) for layer in mine if layer.name in told]
    else:
        if len(full) != len(mine):
            raise DataError(f"[load_weights] expected {len(mine)} layers with weights. Received: {len(full)}.")
        pairs = list(zip(mine, full, strict=True))
    for layer, name in pairs:
        weights = legacy_weights(layer)
        if len(weights) != len(told[name]):
            raise DataError(
                f"[load_weights] layer {layer.name!r} has {len(weights)} weights, {name!r} of the file "
                f"{len(told[name])}."
            )
        for weight, source in zip(weights, told[name], strict=True):
            yield weight, f"{base}{name}/{source}", f"{layer.name}.{weight.name}"


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def save_model(model, filepath, overwrite=True, include_optimizer=True, save_format=None, zipped=None, **kwargs):
    """Write a model into a .keras or .h5 file."""
    save(model, filepath, overwrite, include_optimizer, save_format)


# Classes of the program's own


class CustomObjectScope:
    """Let files and names mean classes and functions of one's own inside a ``with`` block."""

    def __init__(self, *custom_objects):
        self.table = {key: value for given in custom_objects for key, value in (given or {}).items()}

    def __enter__(self):
        self.before = dict(custom)
        custom.update(self.table)
        return self

    def __exit__(self, *_):
        custom.clear()
        custom.update(self.before)


custom_object_scope = CustomObjectScope


def get_custom_objects():
    """Return the table of classes and functions of one's own."""
    return custom


def register_keras_serializable(package="Custom", name=None):
    """Let files name a class or function: a decorator."""

    def registered(thing):
        key = f"{package}>{name or thing.__name__}"
        custom[key] = custom[name or thing.__name__] = thing
        if isinstance(thing, type):
            thing._registered = key
        return thing

    return registered


def get_registered_name(obj):
    """Return the name under which a class or function was registered, or its own."""
    return next((name for name, thing in custom.items() if thing is obj and ">" in name), obj.__name__)


def get_registered_object(name, custom_objects=None, module_objects=None):
    """Return the class or function that was registered under a name; None if there is none."""
    return {**custom, **(custom_objects or {}), **(module_objects or {})}.get(name)


def serialize_keras_object(obj):
    """Return a layer as plain data."""
    return serialized(obj) if isinstance(obj, Layer) else optimizers.serialize(obj)


def deserialize_keras_object(config, custom_objects=None, safe_mode=True, **kwargs):
    """Return the layer of plain data."""
    _refuse_code(config)
    return deserialized(config, custom_objects)


__getattr__ = absent(__name__, __all__)
