"""Random models through files of other programs: ONNX there and back, weights as Keras and PyTorch write them.

    python tests/reliability/foreign_trips.py --models 300 --seed 0
    python tests/reliability/foreign_trips.py --way torch --number 17 --seed 0      one of them, as a failure prints it

ONNX: a model of round_trips.py is exported or refused by a documented error; what was written is loaded, predicts the
same to 1e-4 of the largest number, and so does what the loaded network is exported as. Keras, PyTorch: the weights of a
random chain are written as the other program lays them out, which this file says for itself, and loaded into a model
of other weights: all weights are then the same bits. Prints the figures, and exits with 1 if anything differed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import round_trips
from common import documented

import pynn
from pynn import nn

CLOSE = 1e-4  # of the largest number of a prediction: kernels of other shapes add in another order


# Random chains whose layers the others have


Layers = list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]  # class, arguments, options


def plan(r: random.Random) -> tuple[tuple[int, ...], Layers]:
    """Return the shape of the inputs, and layers."""
    kind = r.choice(("rows", "images", "words", "series"))
    layers: Layers = []
    if kind == "rows":
        shape: tuple[int, ...] = (r.randint(1, 6),)
        for _ in range(r.randint(1, 5)):
            layers.append(r.choice((_dense, _dense, _norm))(r))
    elif kind == "images":
        shape = (r.randint(7, 9), r.randint(7, 9), r.randint(1, 3))
        for _ in range(r.randint(1, 3)):
            layers.append(r.choice((_conv, _conv, _depthwise, _norm, _activation))(r))
        layers.append((nn.Flatten, (), {}))
        layers += [(nn.BatchNormalization, (), {})] * r.randint(0, 1)
    else:
        shape = (5,) if kind == "words" else (5, r.randint(1, 4))
        layers += [(nn.Embedding, (9, r.randint(1, 5)), {})] * (kind == "words")
        for _ in range(r.randint(1, 3)):
            layers.append(r.choice((_recurrent, _recurrent, _both_ways, _dense, _norm))(r))
        layers.append((r.choice((nn.LSTM, nn.GRU, nn.SimpleRNN)), (r.randint(1, 4),), {}))
    return shape, [*layers, (nn.Dense, (2,), {})]


def _dense(r: random.Random) -> Any:
    return nn.Dense, (r.randint(1, 6),), {"activation": r.choice((None, "tanh", "relu")), "use_bias": r.random() < 0.7}


def _norm(r: random.Random) -> Any:
    return r.choice((nn.BatchNormalization, nn.LayerNormalization)), (), {}


def _conv(r: random.Random) -> Any:
    return (
        nn.Conv2D,
        (r.randint(1, 4), r.randint(1, 3)),
        {"use_bias": r.random() < 0.7, "padding": r.choice(("valid", "same"))},
    )


def _depthwise(r: random.Random) -> Any:
    return nn.DepthwiseConv2D, (r.randint(1, 2),), {"depth_multiplier": r.randint(1, 3), "use_bias": r.random() < 0.7}


def _activation(r: random.Random) -> Any:
    return nn.Activation, (r.choice(("relu", "tanh")),), {}


def _recurrent(r: random.Random) -> Any:
    kind = r.choice((nn.LSTM, nn.GRU, nn.SimpleRNN))
    return kind, (r.randint(1, 4),), {"return_sequences": True, "use_bias": r.random() < 0.8}


def _both_ways(r: random.Random) -> Any:
    kind, arguments, options = _recurrent(r)
    return (lambda *a, **o: nn.Bidirectional(kind(*a, **o))), arguments, options


def built(number: int, seed: int) -> tuple[tuple[int, ...], Any, Any]:
    """Return the shape of the inputs, and two models of one construction with other weights."""
    shape, layers = plan(random.Random(f"{seed}-{number}-chain"))
    models = []
    for which in range(2):
        made = nn.Sequential([nn.Input(shape), *(cls(*arguments, **options) for cls, arguments, options in layers)])
        made.build((None, *shape))
        rng = np.random.default_rng((seed, number, which))
        made.set_weights([np.abs(rng.standard_normal(w.shape)).astype(w.dtype) + 0.1 for w in made.get_weights()])
        models.append(made)
    return shape, models[0], models[1]


def _weights(layer: Any) -> dict[str, np.ndarray]:
    return {name: weight.numpy() for name, weight in layer._weights.items()}


# As Keras writes them: its layouts are pynn's; a layer's arrays are numbered in the order of their making


ORDER = ("w", "u", "pointwise", "b", "gamma", "beta", "moving_mean", "moving_variance")
KERAS_NAMES = {
    nn.Dense: "dense", nn.Conv2D: "conv2d", nn.DepthwiseConv2D: "depthwise_conv2d", nn.Embedding: "embedding",
    nn.BatchNormalization: "batch_normalization", nn.LayerNormalization: "layer_normalization", nn.LSTM: "lstm",
    nn.GRU: "gru", nn.SimpleRNN: "simple_rnn", nn.Bidirectional: "bidirectional", nn.Flatten: "flatten",
    nn.Activation: "activation",
}  # fmt: skip


def write_keras(model: Any, path: Path, r: random.Random) -> None:
    """Write a file of weights, or an archive with one."""
    import h5py

    content, count = io.BytesIO(), Counter[str]()
    with h5py.File(content, "w") as file:
        for layer in model.layers:
            base = KERAS_NAMES[type(layer)]
            name = base if not count[base] else f"{base}_{count[base]}"
            count[base] += 1
            group = file.create_group(f"layers/{name}")
            group.create_group("vars").attrs["name"] = name
            parts = {"": layer}
            if isinstance(layer, nn.Bidirectional):
                parts = {"forward_layer/": layer.forward_layer, "backward_layer/": layer.backward_layer}
            for place, part in parts.items():
                inside = "cell/" if isinstance(part, (nn.LSTM, nn.GRU, nn.SimpleRNN)) else ""
                arrays = [_weights(part)[key] for key in ORDER if key in part._weights]
                for i, array in enumerate(arrays):
                    group.create_dataset(f"{place}{inside}vars/{i}", data=array)
    data = content.getvalue()
    if path.suffix == ".keras":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", r.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
            archive.writestr("metadata.json", '{"keras_version": "3.9.0"}')
            archive.writestr("config.json", '{"class_name": "Sequential"}')
            archive.writestr("model.weights.h5", data)
        data = packed.getvalue()
    path.write_bytes(data)


# As PyTorch writes them: [out, in], channels first, gates of a GRU in the order r, z, n


def write_torch(model: Any, shape: tuple[int, ...], path: Path) -> None:
    """Write a file of safetensors with the names of a Sequential of PyTorch."""
    from safetensors.numpy import save

    y = pynn.tensor(np.zeros((1, *shape), np.int32 if isinstance(model.layers[0], nn.Embedding) else np.float32))

    state: dict[str, np.ndarray] = {}
    order: np.ndarray | None = None  # of features: where each of channels last is among channels first
    for i, layer in enumerate(model.layers):
        w = _weights(layer)
        if isinstance(layer, nn.Flatten):
            h, wide, c = y.shape[1:]
            order = np.arange(h * wide * c).reshape(h, wide, c).transpose(2, 0, 1).ravel()
        elif isinstance(layer, nn.Dense):
            kernel = w["w"] if order is None else w["w"][order]
            state[f"{i}.weight"], order = kernel.T, None
        elif isinstance(layer, nn.Conv2D):
            state[f"{i}.weight"] = w["w"].transpose(3, 2, 0, 1)
        elif isinstance(layer, nn.DepthwiseConv2D):
            h, wide, c, m = w["w"].shape
            state[f"{i}.weight"] = w["w"].reshape(h, wide, 1, c * m).transpose(3, 2, 0, 1)
        elif isinstance(layer, nn.Embedding):
            state[f"{i}.weight"] = w["w"]
        elif isinstance(layer, (nn.BatchNormalization, nn.LayerNormalization)):
            pairs = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
            for name, suffix in pairs.items():
                if name in w:
                    state[f"{i}.{suffix}"] = w[name] if order is None else w[name][order]
            if isinstance(layer, nn.BatchNormalization):
                state[f"{i}.num_batches_tracked"] = np.array(3, np.int64)
        elif isinstance(layer, nn.Bidirectional):
            state |= _cell(f"{i}.", "_l0", layer.forward_layer) | _cell(f"{i}.", "_l0_reverse", layer.backward_layer)
        elif isinstance(layer, (nn.LSTM, nn.GRU, nn.SimpleRNN)):
            state |= _cell(f"{i}.", "_l0", layer)
        if "b" in w and not isinstance(layer, (nn.LSTM, nn.GRU, nn.SimpleRNN)):
            state[f"{i}.bias"] = w["b"]
        y = layer(y)
    path.write_bytes(save({name: np.ascontiguousarray(a) for name, a in state.items()}, {"format": "pt"}))


def _cell(place: str, suffix: str, layer: Any) -> dict[str, np.ndarray]:
    def gates(array: np.ndarray) -> np.ndarray:
        if not isinstance(layer, nn.GRU):
            return array
        z, r, n = np.split(array, 3, axis=-1)
        return np.concatenate([r, z, n], axis=-1)

    w = _weights(layer)
    found = {f"{place}weight_ih{suffix}": gates(w["w"]).T, f"{place}weight_hh{suffix}": gates(w["u"]).T}
    if "b" in w:
        b = gates(w["b"])
        inner, outer = (b[0], b[1]) if isinstance(layer, nn.GRU) else (b, np.zeros_like(b))
        found |= {f"{place}bias_ih{suffix}": inner, f"{place}bias_hh{suffix}": outer}
    return found


def same_weights(one: Any, two: Any) -> list[str]:
    """Return the weights that differ."""
    pairs = zip(one.get_weights(), two.get_weights(), strict=True)
    return [f"weight {i} differs" for i, (a, b) in enumerate(pairs) if a.tobytes() != b.tobytes()]


def keras(number: int, seed: int, folder: Path) -> list[str] | None:
    """Return what differs after a file as Keras writes it; None if pynn has refused."""
    r = random.Random(f"{seed}-{number}-file")
    _, made, other = built(number, seed)
    path = folder / r.choice(("a.keras", "a.weights.h5"))
    write_keras(made, path, r)
    pynn.io.load_keras_weights(other, path, verbose=False)
    return same_weights(made, other)


def torch(number: int, seed: int, folder: Path) -> list[str] | None:
    """Return what differs after a file as PyTorch writes it."""
    shape, made, other = built(number, seed)
    write_torch(made, shape, folder / "a.safetensors")
    pynn.io.load_torch_weights(other, folder / "a.safetensors", verbose=False)
    return same_weights(made, other)


def onnx(number: int, seed: int, folder: Path) -> list[str] | None:
    """Return what differs after ONNX; None if the model has no counterpart there, or no number fitted."""
    found = round_trips.model(number, seed, sorted(round_trips.classes("nn")))
    if found is None:
        return None
    made, x = found[:2]
    try:
        pynn.onnx.export(made, folder / "a.onnx")
    except Exception as error:
        if not documented(error):
            raise
        return None
    network = pynn.onnx.load(folder / "a.onnx")
    wrong = _apart("loaded", made.predict(x), network.predict(x))
    pynn.onnx.export(network, folder / "b.onnx")
    return wrong + _apart("exported again", made.predict(x), pynn.onnx.load(folder / "b.onnx").predict(x))


def _apart(what: str, one: np.ndarray, two: np.ndarray) -> list[str]:
    if one.shape != two.shape or (np.isnan(one) != np.isnan(two)).any():
        return [f"{what}: {two.shape} instead of {one.shape}, or other NaN"]
    worst = np.abs(one - two).max(initial=0, where=np.isfinite(one))
    return (
        [f"{what}: {worst:.2g} apart"]
        if worst > CLOSE * (1 + np.abs(one).max(initial=0, where=np.isfinite(one)))
        else []
    )


WAYS = {"onnx": onnx, "keras": keras, "torch": torch}


def main() -> int:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=100, help="of each way")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--way", choices=sorted(WAYS), action="append")
    parser.add_argument("--number", type=int)
    parser.add_argument("--first", type=int, default=0, help="the number of the first model")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    numbers = range(arguments.first, arguments.first + arguments.models)
    figures: dict[str, Any] = {}
    begun = time.monotonic()
    for way in arguments.way or WAYS:
        figures[way] = {"same": 0, "refused": 0, "different": 0}
        for number in numbers if arguments.number is None else [arguments.number]:
            with tempfile.TemporaryDirectory(dir=round_trips.SHELF) as folder:
                try:
                    wrong = WAYS[way](number, arguments.seed, Path(folder))
                except Exception:
                    wrong = [traceback.format_exc()]
            figures[way]["refused" if wrong is None else "different" if wrong else "same"] += 1
            if wrong:
                print(f"--way {way} --number {number} --seed {arguments.seed}", *wrong, sep="\n  ", flush=True)
    print(json.dumps({**figures, "seconds": round(time.monotonic() - begun, 1)}))
    return int(any(figures[way]["different"] for way in figures))


if __name__ == "__main__":
    sys.exit(main())
