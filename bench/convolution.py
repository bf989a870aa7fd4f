"""What Winograd's algorithm brings and costs in convolutions: the time and the error of each pass of a layer.

    python -m bench.convolution [--threads N] [--out FILE]

Every pass (forward, dx, dw with db) is computed by both algorithms in turn. The times are medians, with one thread of
its processor time. GFLOP/s are those of the direct convolution's operations. The error is the Frobenius norm of what is
wrong over that of the float64 result, for a few images; x are rectified normal numbers, and the layers have relu.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, thread_time
from typing import Any, NamedTuple

import numpy as np

import pynn
from pynn.core.card import CARDS
from pynn.core.graph import execute
from pynn.ops.window import Window

from .kernels import Timed
from .machine import header
from .report import lines, number, save

ROUNDS = 9
EXACT_IMAGES = 4  # that are computed in float64 too
PASSES = ("forward", "dx", "dw")
ALGORITHMS = ("direct", "winograd")


class Layer(NamedTuple):
    """Images [n, size, size, channels] and 3 x 3 filters; with padding 1 the outputs are of the same size."""

    n: int
    size: int
    channels: int
    filters: int
    padding: int

    def __str__(self) -> str:
        return f"{self.channels}-{self.filters}, {self.size}x{self.size}, pad {self.padding}, batch {self.n}"


LAYERS = (
    Layer(64, 32, 64, 64, 1), Layer(64, 15, 64, 128, 1), Layer(64, 15, 128, 128, 1), Layer(128, 26, 32, 64, 0),
    Layer(64, 8, 256, 256, 1), Layer(64, 32, 16, 16, 1), Layer(64, 32, 32, 32, 1), Layer(64, 7, 64, 64, 1),
    Layer(64, 13, 64, 64, 1), Layer(8, 14, 512, 512, 1), Layer(1, 14, 64, 64, 1), Layer(1, 56, 64, 64, 1),
)  # fmt: skip


def arrays_of(layer: Layer, dtype: type = np.float32) -> tuple[np.ndarray, ...]:
    """Return x, w, b and dy."""
    rng = np.random.default_rng(0)
    n, size, c, o, padding = layer
    out = size - 2 + 2 * padding
    shapes = (n, size, size, c), (3, 3, c, o), (o,), (n, out, out, o)
    x, w, b, dy = (rng.standard_normal(shape, np.float32) for shape in shapes)
    return np.maximum(x, 0).astype(dtype), (w / np.sqrt(4.5 * c)).astype(dtype), b.astype(dtype), dy.astype(dtype)


def passes_of(
    layer: Layer, algorithm: str, dtype: type = np.float32, seen: np.ndarray | None = None
) -> dict[str, Timed]:
    """Return the three passes of a layer, each ready to be run; `seen` are outputs for the gradients to take."""
    x, w, b, dy = map(pynn.tensor, arrays_of(layer, dtype))
    window = Window(padding=(layer.padding,) * 4)
    attrs = {"window": window, "activation": "relu", "algorithm": algorithm}
    with pynn.no_grad():
        forward = Timed(partial(execute, CARDS["conv2d"], (x, w, b), attrs))
        y = forward.result[0] if seen is None else pynn.tensor(seen.astype(dtype))
        needs = {"dx": (True, False, False), "dw": (False, True, True)}
        return {"forward": forward} | {
            name: Timed(partial(execute, CARDS["conv2d.grad"], (dy, y, x, w, b), {**attrs, "needs": need}))
            for name, need in needs.items()
        }


def errors(layer: Layer, algorithm: str) -> dict[str, float]:
    """Return the relative error of each pass of a few images; relu's slopes are those of the exact outputs."""
    few = layer._replace(n=min(layer.n, EXACT_IMAGES))
    exact = passes_of(few, "direct", np.float64)
    got = passes_of(few, algorithm, seen=exact["forward"].result[0].numpy())
    found = {}
    for name in PASSES:
        y, true = (next(t for t in timed[name].result if t is not None).numpy() for timed in (got, exact))
        found[name] = float(np.linalg.norm(y - true) / np.linalg.norm(true))
    return found


def rows_of(layer: Layer, threads: int) -> list[dict[str, Any]]:
    """Return what was measured of each pass."""
    clock = thread_time if threads == 1 else perf_counter
    sides = {algorithm: passes_of(layer, algorithm) for algorithm in ALGORITHMS}
    wrong = {algorithm: errors(layer, algorithm) for algorithm in ALGORITHMS}
    found = []
    for name in PASSES:
        times: dict[str, list[float]] = {algorithm: [] for algorithm in ALGORITHMS}
        flops = sides["direct"][name].flops
        repeats = max(1, round(2e9 / flops))
        for _ in range(ROUNDS):
            for algorithm, timed in sides.items():
                timed[name].run()
                started = clock()
                timed[name].run(repeats)
                times[algorithm].append((clock() - started) / repeats)
        found.append({
            "layer": str(layer), "pass": name, "flops": flops,
            "us": {algorithm: 1e6 * median(times[algorithm]) for algorithm in ALGORITHMS},
            "error": {algorithm: wrong[algorithm][name] for algorithm in ALGORITHMS},
        })  # fmt: skip
    return found


def markdown(machine: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """What was measured, as a table."""
    head = ["layer", "pass", "direct us", "winograd us", "times faster", "direct GFLOP/s", "winograd GFLOP/s",
            "direct error", "winograd error"]  # fmt: skip
    body = [
        [
            row["layer"], row["pass"], *(number(row["us"][a], ",.0f") for a in ALGORITHMS),
            number(row["us"]["direct"] / row["us"]["winograd"], ".2f"),
            *(number(1e-3 * row["flops"] / row["us"][a], ",.0f") for a in ALGORITHMS),
            *(f"{row['error'][a]:.1e}" for a in ALGORITHMS),
        ]
        for row in rows
    ]  # fmt: skip
    peak = number(machine["fma_gflops_one_core"])
    about = f"{machine['cpu']}, {machine['threads']} thread(s), float32 FMA peak of one core {peak} GFLOP/s."
    return f"{about}\n\n{lines(head, body)}"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.convolution", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads (default 1)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write FILE with .json and with .md in place of its end"
    )
    options = parser.parse_args(argv)
    machine = header(options.threads)
    pynn.set_num_threads(options.threads)
    rows = [row for layer in LAYERS for row in rows_of(layer, options.threads)]
    text = markdown(machine, rows)
    print(text)
    save(options.out, {"machine": machine, "rows": rows}, text)


if __name__ == "__main__":
    main()
