"""Digests of the weights of four recipes' networks after a few steps, by any number of ranks:

    mpiexec -n 4 python -P -m bench.ranks [--data DIR]

The lines of 1, 2, 4 and 8 ranks must be the same but for the seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import time
import warnings
from typing import Any

import pynn
from pynn import nn
from pynn.recipes import characters


def digest(model: Any) -> str:
    """Return the beginning of a SHA-256 of a model's weights."""
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()[:16]


def networks(data: str | None) -> Any:
    """Yield (name, model, x, y, loss, optimizer, settings of fit)."""
    (x, y), _ = pynn.datasets.mnist(data, progress=False)
    mlp = nn.Sequential([nn.Flatten(), nn.Dense(128, activation="relu"), nn.Dense(10)])
    yield "mnist-mlp", mlp, x[:12800], y[:12800], "cross_entropy", "adam", {"batch_size": 128}
    layers = [nn.Conv2D(32, 3, activation="relu"), nn.Conv2D(64, 3, activation="relu"), nn.MaxPool2D(2)]
    layers += [nn.Dropout(0.25), nn.Flatten(), nn.Dense(128, activation="relu"), nn.Dropout(0.5), nn.Dense(10)]
    images = x[:640][..., None] if x.ndim == 3 else x[:640]
    yield "mnist-cnn", nn.Sequential(layers), images, y[:640], "cross_entropy", "adam", {"batch_size": 128}
    text = pynn.datasets.tiny_shakespeare(data, progress=False)[:20000]
    tokenizer = pynn.text.Tokenizer("char").fit(text)
    x, y = pynn.text.bptt_windows(tokenizer.encode(text), 32, 64)
    settings = {"batch_size": 32, "shuffle": False}
    adam = pynn.optim.Adam(2e-3, clip_norm=1.0)
    yield "char-rnn", characters.build(len(tokenizer)), x[:128], y[:128], "cross_entropy", adam, settings
    (x, y), _ = pynn.datasets.imdb(data, 20_000, 80, progress=False)
    lstm = nn.LSTM(128, dropout=0.4, recurrent_dropout=0.2)
    layers = [nn.Input((80,)), nn.Embedding(20_000, 128, mask_zero=True), lstm, nn.Dense(1, activation="sigmoid")]
    adam = pynn.optim.Adam(1e-3)
    yield "imdb-lstm", nn.Sequential(layers), x[:640], y[:640], "binary_cross_entropy", adam, {"batch_size": 64}


def main() -> None:
    """Train and print, once."""
    parser = argparse.ArgumentParser(prog="python -m bench.ranks")
    parser.add_argument("--data", help="folder of data (default: PYNN_DATA)")
    arguments = parser.parse_args()
    pynn.distributed.start()
    warnings.simplefilter("ignore")
    for name, model, x, y, loss, optimizer, settings in networks(arguments.data):
        model.compile(optimizer, loss, seed=0)
        start = time.perf_counter()
        model.fit(x, y, verbose=0, **settings)
        print(f"{name:10} {digest(model)}  {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
