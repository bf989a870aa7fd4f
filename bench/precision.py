"""What the precisions of matrix products cost and bring: their errors against float64, and their speed.

    python -m bench.precision [--threads N] [--unit UNIT] [--out FILE]

Every shape is multiplied at all precisions in turn. The error is the Frobenius norm of what is wrong over that of the
float64 product; operands are normal. Where a precision has no unit that is worth while, it is float32, and the table
says so.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import pynn
from pynn.core.card import CARDS
from pynn.core.graph import execute

from .kernels import Timed
from .machine import header
from .report import lines, number, save

PRECISIONS = ("highest", "high", "medium")
# m, n, k: forward passes, gradients of weights (A transposed) and of inputs (B transposed).
SHAPES = (
    (1024, 1024, 1024, "nn"), (256, 1024, 1024, "nn"), (1024, 1024, 256, "tn"), (256, 1024, 1024, "nt"),
    (128, 512, 512, "nn"), (32, 128, 784, "nn"), (2048, 1024, 256, "nn"), (64, 64, 64, "nn"),
)  # fmt: skip
ROUNDS = 15
BLOCK_SECONDS = 0.02


@contextlib.contextmanager
def at(precision: str, unit: str | None) -> Iterator[None]:
    pynn.set_precision(precision)
    try:
        with pynn.config.use_matrix_unit(unit) if unit and precision != "highest" else contextlib.nullcontext():
            yield
    finally:
        pynn.set_precision("highest")


def product_of(a: np.ndarray, b: np.ndarray, ta: bool, tb: bool) -> Any:
    return execute(CARDS["matmul"], (pynn.tensor(a), pynn.tensor(b)), {"ta": ta, "tb": tb})[0]


def row(m: int, n: int, k: int, kind: str, unit: str | None) -> dict[str, Any]:
    """Errors and GFLOP/s of one shape at all precisions."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    exact = a.astype(np.float64) @ b
    ta, tb = kind[0] == "t", kind[1] == "t"
    left, right = np.ascontiguousarray(a.T if ta else a), np.ascontiguousarray(b.T if tb else b)
    timed = {}
    for precision in PRECISIONS:
        with at(precision, unit), pynn.no_grad():
            timed[precision] = Timed(partial(product_of, left, right, ta, tb))
    repeats = max(1, round(BLOCK_SECONDS * 5e10 / (2 * m * n * k)))
    times: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for _ in range(ROUNDS):
        for precision, product in timed.items():
            product.run()
            started = perf_counter()
            product.run(repeats)
            times[precision].append((perf_counter() - started) / repeats)
    found: dict[str, Any] = {"shape": [m, n, k], "kind": kind}
    for precision, product in timed.items():
        wrong = np.linalg.norm(product.result.numpy() - exact) / np.linalg.norm(exact)
        found[precision] = {"error": float(wrong), "gflops": 2e-9 * m * n * k / median(times[precision])}
    return found


def markdown(machine: dict[str, Any], units: dict[str, str | None], rows: list[dict[str, Any]]) -> str:
    """What was measured, as a table."""
    named = {"highest": "float32", **{p: f"{p} ({units[p] or 'float32'})" for p in PRECISIONS[1:]}}
    head = [
        "m, n, k",
        "kind",
        *(f"{named[p]}: GFLOP/s" for p in PRECISIONS),
        *(f"{name}: error" for name in ("float32", "high", "medium")),
    ]
    body = [
        [
            ", ".join(map(str, row["shape"])), row["kind"], *(number(row[p]["gflops"], ",.0f") for p in PRECISIONS),
            *(f"{row[p]['error']:.1e}" for p in PRECISIONS),
        ]
        for row in rows
    ]  # fmt: skip
    peak = number(machine["fma_gflops_one_core"])
    return "\n\n".join(
        [
            f"{machine['cpu']}, {machine['threads']} thread(s), float32 FMA peak of one core {peak} GFLOP/s.",
            lines(head, body),
        ]
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.precision", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads (default 1)")
    parser.add_argument("--unit", metavar="UNIT", help="the matrix unit to use, even where it is not worth while")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write FILE with .json and with .md in place of its end"
    )
    options = parser.parse_args(argv)
    machine = header(options.threads)
    pynn.set_num_threads(options.threads)
    units = {}
    for precision in PRECISIONS:
        with at(precision, options.unit):
            units[precision] = pynn.config.matrix_unit()
    rows = [row(*shape, options.unit) for shape in SHAPES]
    text = markdown(machine, units, rows)
    print(text)
    save(options.out, {"machine": machine, "units": units, "rows": rows}, text)


if __name__ == "__main__":
    main()
