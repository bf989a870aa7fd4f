"""Whole files of weights and networks as other libraries write them, and what reads them."""

from __future__ import annotations

import contextlib
import functools
import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from pynn import nn
from pynn.errors import DataError, DTypeError, ShapeError

from .packing import Files, zipped


@functools.cache
def foreign() -> Any:
    """Return the model that others' weights are for."""
    model = nn.Sequential([nn.Input((4,)), nn.Dense(3), nn.BatchNormalization(), nn.Dense(2)])
    model.build((None, 4))
    return model


def weights() -> list[np.ndarray]:
    """Return its weights."""
    return [weight.copy() for weight in foreign().get_weights()]


KERAS = {"dense": [(4, 3), (3,)], "batch_normalization": [(3,)] * 4, "dense_1": [(3, 2), (2,)]}


@functools.cache
def hdf5() -> Files:
    """Return files as Keras writes them, plain and packed."""
    import h5py

    files = {}
    for kind, options in (("plain", {}), ("gzip", {"compression": "gzip", "chunks": True})):
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            for layer, shapes in KERAS.items():
                group = file.create_group(f"layers/{layer}/vars")
                group.attrs["name"] = layer
                for i, shape in enumerate(shapes):
                    group.create_dataset(str(i), data=np.full(shape, 0.5, "float32"), **options)
            file.create_group("optimizer/vars").create_dataset("0", data=np.int64(3))
        files[f"{kind}.weights.h5"] = content.getvalue()
    return files


@functools.cache
def keras_models() -> Files:
    """Return a small model as Keras's files have it, of today and of before."""
    import pynn.keras as k

    model = k.Sequential([k.Input((4,)), k.layers.Dense(3, activation="relu"), k.layers.Dense(2)])
    model.compile("adam", "mse")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.keras", "a.h5"):
            model.save(f"{folder}/{name}")
            found[name] = Path(folder, name).read_bytes()
    return found


def read_keras_model(path: Path) -> Any:
    """Return the weights of a model."""
    import pynn.keras as k

    return k.models.load_model(str(path)).get_weights()


def keras() -> Files:
    """Return archives as Keras writes them."""
    texts = {"metadata.json": b'{"keras_version": "3.9.0"}', "config.json": b'{"class_name": "Sequential"}'}
    return {
        f"{method}.keras": zipped({**texts, "model.weights.h5": data}, method)
        for method, data in zip((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), hdf5().values(), strict=True)
    }


@functools.cache
def torch() -> Files:
    """Return weights as PyTorch writes them."""
    from safetensors.numpy import save

    arrays = {"0.weight": (3, 4), "0.bias": (3,), "2.weight": (2, 3), "2.bias": (2,)}
    norm = dict.fromkeys(("1.weight", "1.bias", "1.running_mean", "1.running_var"), (3,))
    tensors = {name: np.full(shape, 0.5, "float32") for name, shape in {**arrays, **norm}.items()}
    tensors["1.num_batches_tracked"] = np.array(3, "int64")
    halves = {name: a.astype("float16") if a.dtype.kind == "f" else a for name, a in tensors.items()}
    return {"net.safetensors": save(tensors, {"format": "pt"}), "half.safetensors": save(halves)}


@functools.cache
def networks() -> Files:
    """Return networks of ONNX."""
    import pynn.onnx

    chains = {
        "dense": [nn.Input((4,)), nn.Dense(3, activation="relu"), nn.BatchNormalization(), nn.Dense(2)],
        "image": [nn.Input((4, 4, 1)), nn.Conv2D(2, 2, padding="same"), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(2)],
        "sequence": [nn.Input((3, 2)), nn.LSTM(2, return_sequences=True), nn.GRU(2)],
    }
    return {
        f"{name}.onnx": pynn.onnx.to_model(nn.Sequential(chain)).SerializeToString() for name, chain in chains.items()
    }


def run_network(path: Path) -> Any:
    """Load a network and run it on ones, where its inputs are small."""
    import pynn.onnx

    network = pynn.onnx.load(path, max_bytes=1 << 20)
    shapes = [[d if isinstance(d, int) else 2 for d in (sizes or [2])] for _, _, sizes in network._plan.inputs]
    if all(len(shape) < 7 and np.prod(shape, dtype=object) < 4096 for shape in shapes):
        inputs = [np.ones(s, dtype) for s, (_, dtype, _) in zip(shapes, network._plan.inputs, strict=True)]
        with contextlib.suppress(DataError, DTypeError, ShapeError):  # the file was read
            return network.run(*inputs)
    return None
