"""Exported C beside ``predict_fn``: one sample, one thread, microseconds.

``python -m bench.exported`` writes some networks as C, compiles each with -O2, -O3 and -O3 -march=native, and calls
them in turn with ``predict_fn``; the least of many calls counts, since both sides do the same work each time.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn
from pynn.export import to_c

FLAGS = ("-O2", "-O3", "-O3 -march=native")
NETWORKS: dict[str, tuple[tuple[int, ...], Callable[[], list[Any]]]] = {
    "MLP 20-64-64-2": ((20,), lambda: [nn.Dense(64, "relu"), nn.Dense(64, "relu"), nn.Dense(2, "softmax")]),
    "MLP 784-512-512-10": ((784,), lambda: [nn.Dense(512, "relu"), nn.Dense(512, "relu"), nn.Dense(10, "softmax")]),
    "LeNet-5": (
        (28, 28, 1),
        lambda: [
            nn.Conv2D(6, 5, padding="same", activation="tanh"),
            nn.AvgPool2D(2),
            nn.Conv2D(16, 5, activation="tanh"),
            nn.AvgPool2D(2),
            nn.Flatten(),
            nn.Dense(120, "tanh"),
            nn.Dense(84, "tanh"),
            nn.Dense(10, "softmax"),
        ],
    ),
    "CNN 32-64-pool-128-10": (
        (28, 28, 1),
        lambda: [
            nn.Conv2D(32, 3, activation="relu"),
            nn.Conv2D(64, 3, activation="relu"),
            nn.MaxPool2D(2),
            nn.Flatten(),
            nn.Dense(128, "relu"),
            nn.Dense(10, "softmax"),
        ],
    ),
    "LSTM 64, T 50": ((50, 32), lambda: [nn.LSTM(64), nn.Dense(2, "softmax")]),
}


def compiled(model: Any, folder: Path, flags: str, x: np.ndarray, y: np.ndarray) -> Callable[[], Any]:
    """Write a model as C, compile it, and return the call that computes y of x."""
    source, library = folder / "net.c", folder / f"net{flags.replace(' ', '')}.so"
    to_c(model, source)
    compiler = shutil.which("gcc") or shutil.which("clang") or "cc"
    subprocess.run([compiler, "-std=c99", *flags.split(), "-fPIC", "-shared", source, "-o", library, "-lm"], check=True)
    found = re.search(r"WORK_SIZE (\d+)", source.with_suffix(".h").read_text())
    assert found is not None
    work = np.empty(int(found[1]), np.float32)
    function = ctypes.CDLL(os.fspath(library)).net_predict
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (x, y, work)]
    return lambda: (function(*pointers), work)[0]  # the memory lives as long as the call


def least(calls: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Return the least microseconds of each call, made in turn."""
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], 1e6 * (time.perf_counter() - start))
    return best


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300, help="calls of each side (default: 300)")
    rounds = parser.parse_args().rounds
    pynn.set_num_threads(1)
    print(f"{'network':24}{'predict_fn':>12}" + "".join(f"{flags:>26}" for flags in FLAGS))
    for name, (shape, layers) in NETWORKS.items():
        model = nn.Sequential([nn.Input(shape), *layers()])
        predict = model.predict_fn()
        x = np.random.default_rng(0).random((1, *shape), np.float32)
        expected = predict(x)
        with tempfile.TemporaryDirectory() as folder:
            outs = [np.empty_like(expected) for _ in FLAGS]
            calls = [compiled(model, Path(folder), flags, x, y) for flags, y in zip(FLAGS, outs, strict=True)]
            own, *others = least([partial(predict, x), *calls], rounds)
            for y in outs:
                np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
        shown = "".join(f"{f'{micro:,.1f} ({micro / own:.2f})':>26}" for micro in others)
        print(f"{name:24}{own:12,.1f}{shown}")


if __name__ == "__main__":
    main()
