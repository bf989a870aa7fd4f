"""Random models of every layer, loss, metric, optimizer, schedule, initializer and regularizer, there and back.

    python tests/reliability/round_trips.py --models 400 --seed 0
    python tests/reliability/round_trips.py --number 17 --seed 0           one of them, as a failure prints it

Each model is trained a little and goes through a file, bytes, pickle and deepcopy: the copy has the same weights and
states, predicts the same bits, and its next training comes to the same bits and figures. Its weights alone, set on a
model of the same construction, predict the same. A training that is resumed from a checkpoint, callbacks included,
comes to the bits of one that went through. Prints the figures and what never occurred, and exits with 1 if anything
differed, or if a class that files may name was in none.
"""

from __future__ import annotations

import argparse
import copy
import inspect
import json
import os
import pickle
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from typing import Any

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from common import documented
from interrupts import SHELF

import pynn
import pynn.models
from pynn import nn
from pynn.io import registry
from pynn.train import EarlyStopping, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau

ROWS = 8
SHAPES: list[tuple[int, ...]] = [(6,), (5, 3), (6, 6, 2)]
NEEDED = {  # arguments without a default that are no plain 2
    "layer": lambda r: r.choice((nn.LSTM(2, return_sequences=True), nn.GRU(2), nn.Dense(3))),
    "target_shape": lambda r: (-1,), "activation": lambda r: r.choice(("tanh", "gelu", "relu")),
    "learning_rate": lambda r: 0.01, "boundaries": lambda r: [2, 5], "levels": lambda r: [0.1, 0.05, 0.01],
    "steps": lambda r: 7, "rate": lambda r: 0.3, "scale": lambda r: 0.5, "initial": lambda r: 0.05,
    "drop": lambda r: 0.5, "max_lr": lambda r: 0.05, "shift": lambda r: 0.1, "zoom": lambda r: 0.2,
    "rotation": lambda r: 9.0, "shear": lambda r: 5.0, "schedule": lambda r: pynn.schedules.Cosine(0.05, steps=9),
}  # fmt: skip
MERGES = {"Add", "Concatenate", "Multiply"}


@pynn.register
def of_ones_own(y: Any, p: Any) -> Any:
    """Return a loss for each row."""
    return ((p - y) * (p - y)).mean(axis=-1)


@pynn.register
def mean_of_errors(y: np.ndarray, p: np.ndarray) -> float:
    """Return a metric."""
    return float(np.abs(y - p).mean())


def classes(prefix: str) -> dict[str, Any]:
    """Return the classes of a room that files may name."""
    return {k.split(".")[1]: c for k, c in registry._classes().items() if k.split(".")[0] == prefix}


def called(cls: Any, r: random.Random, **given: Any) -> Any:
    """Return an object with what it needs, and now and then with what it does not."""
    settings: dict[str, Any] = dict(given)
    for p in inspect.signature(cls).parameters.values():
        if p.name in settings or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        if p.name == "groups":  # that divide any number of channels
            settings[p.name] = 1
        elif p.default is p.empty:
            settings[p.name] = NEEDED.get(p.name, lambda r: 2)(r)
        elif r.random() < 0.4:
            settings |= _other(p, r)
    return cls(**settings)


def _other(p: inspect.Parameter, r: random.Random) -> dict[str, Any]:
    """Return another value of a setting that has a default, if one is known."""
    if p.name in ("name", "seed", "stateful", "return_state", "from_logits"):
        return {}
    if p.name.endswith("initializer"):
        return {p.name: called(r.choice(list(classes("init").values())), r)}
    if p.name.endswith("regularizer"):
        return {p.name: called(classes("regularizers")[r.choice(("L1", "L2", "L1L2"))], r)}
    if p.name.endswith("constraint"):
        return {p.name: called(classes("regularizers")["MaxNorm"], r)}
    if p.name.endswith("activation"):
        return {p.name: r.choice(("tanh", "relu", "gelu", "softplus", "sigmoid"))}
    if isinstance(p.default, bool):
        return {p.name: not p.default}
    if isinstance(p.default, float) and 0 < p.default < 1:
        return {p.name: p.default * r.choice((0.9, 0.95, 1.0))}
    return {}


def layer(name: str, r: random.Random) -> Any:
    """Return a layer of a class; a model as a layer, too."""
    if name == "Sequential":
        return nn.Sequential([nn.Dense(3, activation="tanh"), nn.Dropout(0.2)])
    if name == "Model":
        x = nn.Input((6,))
        return nn.Model(x, nn.Add()([nn.Dense(3)(x), nn.Dense(3, activation="relu")(x)]))
    return called(classes("nn")[name], r)


def chain(name: str, r: random.Random) -> tuple[Any, np.ndarray]:
    """Return a model with a layer of a class, and inputs, or raise what says that they do not fit."""
    dims = r.choice(SHAPES)
    rng = np.random.default_rng(r.randrange(2**32))
    inputs = rng.standard_normal((ROWS, *dims)).astype("float32")
    if name == "Embedding" or (len(dims) == 1 and name in ("SimpleRNN", "LSTM", "GRU") and r.random() < 0.3):
        inputs = rng.integers(0, 2, (ROWS, 5)).astype("int32")
        first = [nn.Input((5,)), layer(name, r) if name == "Embedding" else nn.Embedding(2, 3)]
        more = [] if name == "Embedding" else [layer(name, r)]
        return nn.Sequential([*first, *more, nn.Flatten(), nn.Dense(2)]), inputs
    if name in MERGES:
        x = nn.Input(dims)
        parts = [nn.Flatten()(x), nn.Flatten()(x)]
        merged = layer(name, r)([nn.Dense(3)(parts[0]), nn.Dense(3, activation="tanh")(parts[1])])
        return nn.Model(x, nn.Dense(2)(merged)), inputs
    before = [layer(r.choice(("Dense", "Dropout", "LayerNormalization")), r)] if r.random() < 0.5 else []
    return nn.Sequential([nn.Input(dims), *before, layer(name, r), nn.Flatten(), nn.Dense(2)]), inputs


def head(model: Any, r: random.Random, wanted: dict[str, str]) -> np.ndarray:
    """Compile a model with the wanted classes; return targets that fit the loss."""
    rng = np.random.default_rng(r.randrange(2**32))
    loss_name = wanted["losses"]
    loss: Any = of_ones_own if loss_name == "FunctionLoss" else called(classes("losses")[loss_name], r)
    real = rng.standard_normal((ROWS, 2)).astype("float32")
    labels = rng.integers(0, 2, ROWS)
    targets = {
        "CrossEntropy": labels, "BinaryCrossEntropy": (real > 0).astype("float32"), "Poisson": np.abs(real),
        "Hinge": np.sign(real), "SquaredHinge": np.sign(real),
        "KLDivergence": np.exp(real) / np.exp(real).sum(-1, keepdims=True),
    }.get(loss_name, real)  # fmt: skip
    metric: Any = mean_of_errors if wanted["metrics"] == "Mean" else called(classes("metrics")[wanted["metrics"]], r)
    settings = {}
    if r.random() < 0.6:
        settings["learning_rate"] = called(classes("schedules")[wanted["schedules"]], r)
    optimizer = called(classes("optim")[wanted["optim"]], r, **settings)
    model.compile(optimizer, loss, [metric], seed=r.randrange(100))
    return targets


def model(number: int, seed: int, names: list[str]) -> tuple[Any, np.ndarray, np.ndarray, list[str]] | None:
    """Return the model of a number, built, with inputs and targets; None if nothing fitted in 40 attempts."""
    r = random.Random(f"{seed}-{number}")
    name = names[number % len(names)]
    for _ in range(40):
        wanted = {room: r.choice(list(classes(room))) for room in ("losses", "metrics", "optim", "schedules")}
        made = None
        try:
            made, x = chain(name, r)
            if r.random() < 0.15:
                made.astype("float64")
            if wanted["losses"] in ("KLDivergence", "Poisson"):
                made.add(nn.Activation("softmax" if wanted["losses"] == "KLDivergence" else "softplus"))
            y = head(made, r, wanted)
            made.fit(x, y, epochs=1, batch_size=4, verbose=0)
            made.predict(x)
        except Exception as error:
            if not documented(error) and not isinstance(error, AttributeError):
                raise
            continue
        return made, x, y, [f"nn.{name}", *_used(made)]
    return None


def _used(made: Any) -> list[str]:
    """Return the names of the classes in a model's record."""
    texts = pynn.io.model_file.contents(made)[1]
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("class"), str):
                found.append(value["class"])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    for key in ("architecture", "training"):
        walk(json.loads(texts[key]))
    return found


def through_file(made: Any) -> Any:
    with tempfile.TemporaryDirectory(dir=SHELF) as folder:
        made.save(f"{folder}/model.pynn")
        return pynn.load(f"{folder}/model.pynn")


TRIPS = {
    "file": through_file,
    "bytes": lambda made: pynn.io.loads(pynn.io.dumps(made)),
    "pickle": lambda made: pickle.loads(pickle.dumps(made)),
    "deepcopy": copy.deepcopy,
    "twice": lambda made: pynn.io.loads(pynn.io.dumps(pynn.io.loads(pynn.io.dumps(made)))),
}


def bits(made: Any, x: np.ndarray) -> list[bytes]:
    """Return weights, what the optimizer keeps, and predictions as bytes."""
    arrays = pynn.io.model_file.contents(made)[0]
    return [*(name.encode() + array.tobytes() for name, array in sorted(arrays.items())), made.predict(x).tobytes()]


def next_steps(made: Any, x: np.ndarray, y: np.ndarray) -> list[bytes]:
    """Train on; return all that came of it."""
    told = made.train_on_batch(x, y)
    history = made.fit(x, y, epochs=2, batch_size=3, verbose=0).history
    measured = made.evaluate(x, y)
    figures = [repr([np.asarray(v).tolist() for v in values]) for values in (told, history.values(), measured)]
    return [*bits(made, x), *(text.encode() for text in figures)]


def differences(number: int, seed: int, names: list[str]) -> tuple[list[str], list[str]] | None:
    """Return what differs for the model of a number, and its classes."""
    found = model(number, seed, names)
    if found is None:
        return None
    made, x, y, used = found
    wrong = []
    there = bits(made, x)
    copies = {name: trip(made) for name, trip in TRIPS.items()}
    wrong += [f"{name}: other weights or predictions" for name, other in copies.items() if bits(other, x) != there]
    again = model(number, seed, names)
    assert again is not None
    if bits(again[0], x) != there:
        wrong.append("the same program comes to other weights")
    again[0].set_weights([w * 0 for w in made.get_weights()])
    again[0].set_weights(made.get_weights())
    if again[0].predict(x).tobytes() != made.predict(x).tobytes():
        wrong.append("set_weights: other predictions")
    after = next_steps(made, x, y)
    wrong += [f"{name}: trains on otherwise" for name, other in copies.items() if next_steps(other, x, y) != after]
    wrong += resumed(number, seed, names)
    return wrong, used


def resumed(number: int, seed: int, names: list[str]) -> list[str]:
    """Return whether a training that was resumed differs from one that went through."""
    r = random.Random(f"{seed}-{number}-resumed")
    straight, stopped, later = (model(number, seed, names) for _ in range(3))
    assert straight is not None
    assert stopped is not None
    assert later is not None
    x, y = straight[1:3]
    fixed = isinstance(straight[0].optimizer._rate, float)
    kinds = ["stop", *(["plateau", "scheduler"] if fixed else [])]
    chosen = [kind for kind in kinds if r.random() < 0.6]

    def callbacks() -> list[Any]:
        made = {
            "stop": lambda: EarlyStopping("loss", patience=2, restore_best_weights=False),
            "plateau": lambda: ReduceLROnPlateau("loss", patience=0, factor=0.5),
            "scheduler": lambda: LearningRateScheduler(lambda epoch, lr: lr * 0.9),
        }
        return [made[kind]() for kind in chosen]

    options = {"batch_size": 3, "verbose": 0}
    straight[0].fit(x, y, epochs=4, callbacks=callbacks(), **options)
    with tempfile.TemporaryDirectory(dir=SHELF) as folder:
        saver = ModelCheckpoint(folder, every_batches=2)
        stopped[0].fit(x, y, epochs=2, callbacks=[*callbacks(), saver], **options)
        later[0].fit(x, y, epochs=4, callbacks=callbacks(), resume=folder, **options)
    same = bits(later[0], x) == bits(straight[0], x)
    return [] if same else [f"resumed with {chosen}: other weights"]


def main() -> int:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--number", type=int)
    parser.add_argument("--first", type=int, default=0, help="the number of the first model")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    names = sorted(classes("nn"))
    if arguments.number is not None:
        print(differences(arguments.number, arguments.seed, names))
        return 0
    figures: dict[str, Any] = {"models": 0, "none_fitted": 0, "different": 0}
    seen: Counter[str] = Counter()
    begun = time.monotonic()
    for number in range(arguments.first, arguments.first + arguments.models):
        found = differences(number, arguments.seed, names)
        if found is None:
            figures["none_fitted"] += 1
            continue
        figures["models"] += 1
        seen.update(found[1])
        if found[0]:
            figures["different"] += 1
            told = f"--number {number} --seed {arguments.seed}: {', '.join(dict.fromkeys(found[1]))}"
            print(told, *found[0], sep="\n  ", flush=True)
    never = sorted(set(registry._classes()) - set(seen))
    enough = arguments.models >= 2 * len(names)
    print(json.dumps({**figures, "classes": len(seen), "never": never, "seconds": round(time.monotonic() - begun, 1)}))
    return int(bool(figures["different"] or (enough and never)))


if __name__ == "__main__":
    sys.exit(main())
