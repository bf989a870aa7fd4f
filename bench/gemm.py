"""The float32 matrix product beside MKL (PyTorch's) and OpenBLAS (NumPy's), by shape and by transposition.

    python -m bench.gemm [--threads N] [--rounds N] [--out FILE]

All sides multiply the same operands in turn, into memory that they hold already. The share is of the fused
multiply-adds of as many cores, measured in the same run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from .peers import limit_threads

# m, n, k: square; forward passes, gradients of weights (A transposed) and of inputs (B transposed) of layers.
SHAPES = (
    (64, 64, 64, "nn"), (256, 256, 256, "nn"), (512, 512, 512, "nn"), (1024, 1024, 1024, "nn"),
    (2048, 2048, 2048, "nn"),
    (32, 784, 128, "nn"), (32, 128, 784, "nn"), (784, 128, 32, "tn"), (32, 784, 128, "nt"),
    (128, 512, 784, "nn"), (784, 512, 128, "tn"), (128, 512, 512, "nt"),
    (256, 1024, 1024, "nn"), (1024, 1024, 256, "tn"), (256, 1024, 1024, "nt"),
    (256, 100, 32, "nn"), (1000, 10, 128, "nn"), (1, 512, 784, "nn"), (2560, 512, 128, "nn"), (700, 2600, 650, "nn"),
)  # fmt: skip
BLOCK_SECONDS = 0.02


def numpy_side(a: Any, b: Any) -> Callable[[int], object]:
    import numpy as np

    out = np.empty((len(a), b.shape[1]), np.float32)

    def run(times: int) -> None:
        for _ in range(times):
            np.matmul(a, b, out=out)

    return run


def torch_side(a: Any, b: Any) -> Callable[[int], object]:
    import torch

    left, right = torch.from_numpy(a), torch.from_numpy(b)
    out = torch.empty((len(a), b.shape[1]))

    def run(times: int) -> None:
        for _ in range(times):
            torch.mm(left, right, out=out)

    return run


def row(m: int, n: int, k: int, kind: str, rounds: int) -> dict[str, Any]:
    """GFLOP/s of one shape on every side."""
    import numpy as np

    from .kernels import Timed
    from .precision import product_of

    rng = np.random.default_rng(0)
    ta, tb = kind[0] == "t", kind[1] == "t"
    left = rng.standard_normal((k, m) if ta else (m, k), np.float32)
    right = rng.standard_normal((n, k) if tb else (k, n), np.float32)
    a, b = left.T if ta else left, right.T if tb else right
    sides = {
        "pynn": Timed(partial(product_of, left, right, ta, tb)).run,
        "MKL": torch_side(a, b),
        "OpenBLAS": numpy_side(a, b),
    }
    repeats = max(1, round(BLOCK_SECONDS * 5e10 / (2 * m * n * k)))
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            run(1)
            started = perf_counter()
            run(repeats)
            times[name].append((perf_counter() - started) / repeats)
    found = {name: 2e-9 * m * n * k / median(each) for name, each in times.items()}
    return {"shape": [m, n, k], "kind": kind, "gflops": found}


def markdown(machine: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """What was measured, as a table."""
    from .report import lines, number

    peak = machine["fma_gflops_one_core"]
    body = []
    for each in rows:
        rates = each["gflops"]
        share = 100 * rates["pynn"] / (peak * machine["threads"]) if peak else None
        best = rates["pynn"] / max(rates["MKL"], rates["OpenBLAS"])
        names = [number(rates[name], ",.0f") for name in ("pynn", "MKL", "OpenBLAS")]
        body.append([", ".join(map(str, each["shape"])), each["kind"], *names, number(share, ",.0f"), f"{best:.2f}"])
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return "\n\n".join(
        [
            f"{machine['cpu']}, {machine['threads']} thread(s) for every side; FMA peak of one core "
            f"{number(peak)} GFLOP/s. {versions}.",
            lines(["m, n, k", "kind", "pynn", "MKL", "OpenBLAS", "pynn, % of peak", "pynn / better of both"], body),
        ]
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.gemm", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of every side (default 1)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="rounds (default 15)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write FILE with .json and with .md in place of its end"
    )
    options = parser.parse_args(argv)
    limit_threads(options.threads)
    import torch

    import pynn

    from .machine import header
    from .report import save

    torch.set_num_threads(options.threads)
    pynn.set_num_threads(options.threads)
    machine = header(options.threads)
    rows = [row(*shape, options.rounds) for shape in SHAPES]
    text = markdown(machine, rows)
    print(text)
    save(options.out, {"machine": machine, "rows": rows}, text)


if __name__ == "__main__":
    main()
