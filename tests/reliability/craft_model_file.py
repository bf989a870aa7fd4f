"""Make model files whose records ask for much, load them under limits of memory and time, and save random models.

    python tests/reliability/craft_model_file.py --files 2000 --models 300 --seed 0

A crafted file is a whole one, digest included, of which one to three numbers of the architecture are others: it loads,
or is a DataError, within 2 GiB and 10 seconds. A random chain of layers, built, saved and loaded, has the same weights
and predicts the same bits. Prints the figures, and exits with 1 if any file or model did neither.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import pynn
from pynn import nn
from pynn.errors import DataError, ShapeError
from pynn.io import container, model_file

sys.path.insert(0, os.path.dirname(__file__))
from common import limits

EDGES = (0, 1, -1, 2, 3, 7, 255, 1000, 15_000, 65_536, 10**6, 10**7, 10**9, 2**31 - 1, 2**31, 2**62, 2**63, 10**30)

IMAGES = [
    lambda r: nn.Conv2D(r.randint(1, 4), 3, padding="same", strides=r.choice((1, 2)), activation="tanh"),
    lambda r: nn.Conv2DTranspose(2, 3, strides=r.choice((1, 2))), lambda r: nn.DepthwiseConv2D(2),
    lambda r: nn.SeparableConv2D(3, 2), lambda r: nn.MaxPool2D(2, padding="same"), lambda r: nn.AvgPool2D(2),
    lambda r: nn.UpSampling2D(2, interpolation=r.choice(("nearest", "bilinear"))), lambda r: nn.ZeroPadding2D(1),
    lambda r: nn.BatchNormalization(), lambda r: nn.LayerNormalization(), lambda r: nn.LocalContrastNormalization(3),
    lambda r: nn.LocalResponseNormalization(), lambda r: nn.Dropout(0.5), lambda r: nn.Activation("gelu"),
    lambda r: nn.RandomFlip(0.5), lambda r: nn.Rescaling(0.5),
]  # fmt: skip
SEQUENCES = [
    lambda r: nn.LSTM(2, return_sequences=True), lambda r: nn.GRU(3, return_sequences=True),
    lambda r: nn.SimpleRNN(2, return_sequences=True), lambda r: nn.LayerNormLSTM(2, return_sequences=True),
    lambda r: nn.Bidirectional(nn.LSTM(2, return_sequences=True)), lambda r: nn.Conv1D(3, 2, padding="same"),
    lambda r: nn.Dense(3, kernel_regularizer="l2"), lambda r: nn.LayerNormalization(), lambda r: nn.Dropout(0.2),
]  # fmt: skip


def model(chance: random.Random) -> nn.Sequential:
    """Return a random chain of layers that fit together, built and compiled."""
    while True:
        made = chain(chance)
        with contextlib.suppress(ShapeError):  # an image grew too small for the next layer
            made.build((None, *made._input))
            return made


def chain(chance: random.Random) -> nn.Sequential:
    """Return a random chain of layers."""
    if chance.random() < 0.5:
        layers = [nn.Input((chance.randint(3, 6), 4, 2)), *(chance.choice(IMAGES)(chance) for _ in range(4))]
    else:
        layers = [nn.Input((chance.randint(2, 4), 3)), *(chance.choice(SEQUENCES)(chance) for _ in range(3))]
    made = nn.Sequential([*layers, nn.Flatten(), nn.Dense(2, activation="softmax")])
    metrics = [pynn.metrics.ConfusionMatrix(classes=2), "auc"] if chance.random() < 0.5 else ["accuracy"]
    made.compile(pynn.optim.Adam(pynn.schedules.Cosine(0.1, steps=5)), "cross_entropy", metrics)
    return made


def numbers(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key) of every integer in JSON."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        if type(inner) is int:
            yield value, key
        yield from numbers(inner)


def crafted(made: Any, chance: random.Random) -> bytes:
    """Return the file of a model with other numbers in its records, and a digest that fits."""
    tensors, texts = model_file.contents(made)
    part = chance.choice(("architecture", "architecture", "training"))
    record = json.loads(texts[part])
    for where, key in chance.sample(list(numbers(record)), chance.choice((1, 1, 2, 3))):
        where[key] = chance.choice(EDGES)
    return b"".join(container.pack(tensors, {**texts, part: json.dumps(record)}))


def load(data: bytes) -> str:
    """Load a file; return "loaded" or "refused", and raise what is a finding."""
    try:
        pynn.io.loads(data)
    except DataError:
        return "refused"
    return "loaded"


def same(made: Any) -> bool:
    """Tell whether a model comes back from a file."""
    again = pynn.io.loads(pynn.io.dumps(made))
    x = np.linspace(-1, 1, 2 * int(np.prod(made._input)))
    x = x.astype("float32").reshape((2, *made._input))
    weights = zip(made.get_weights(), again.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in weights) and np.array_equal(made.predict(x), again.predict(x))


def main() -> int:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    figures = {"loaded": 0, "refused": 0, "finding": 0, "models": 0, "different": 0}
    begun = time.monotonic()
    for _ in range(arguments.models):
        figures["models"] += 1
        figures["different"] += not same(model(chance))
    for i in range(arguments.files):
        if i % 20 == 0:
            made = model(chance)
            made.predict(np.ones((1, *made._input), "float32"))
        data = crafted(made, chance)
        try:
            with limits():
                figures[load(data)] += 1
        except Exception as error:
            figures["finding"] += 1
            name = f"crafted-{arguments.seed}-{i}.pynn"
            with open(name, "wb") as file:
                file.write(data)
            print(f"{name}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
    print(json.dumps({**figures, "seconds": round(time.monotonic() - begun, 1)}))
    return int(bool(figures["finding"] or figures["different"]))


if __name__ == "__main__":
    sys.exit(main())
