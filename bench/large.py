"""One training step of AlexNet and GoogLeNet at full size, pynn and PyTorch, each in a process of its own.

    python -m bench.large [--threads N] [--batch N] [--network NAME] [--out FILE]

Images of 227 x 227 and 224 x 224 pixels, drawn at random, with labels of 1,000 classes; SGD with momentum; GoogLeNet
with its two auxiliary heads. Of each side the median time of a step (with one thread its processor time, which
neighbours disturb less) and the greatest resident memory while steps are taken, beyond what was resident before the
network was made. The loss at first and at last, all on the same images, tells whether it learns. Needs Linux.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from .memory import CANNOT, settle, status
from .peers import limit_threads
from .report import lines, number, save

SIDES = {"pynn": "large", "torch eager": "large_torch"}
SIZES = {"alexnet": 227, "googlenet": 224}
WEIGHTS = {"main": 1.0, "first": 0.3, "second": 0.3}  # of GoogLeNet's three losses
RATE, MOMENTUM = 0.01, 0.9
STEPS = 6

Step = Callable[[], float]


def data(name: str, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Images [N, H, W, 3] and labels."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, SIZES[name], SIZES[name], 3), np.float32)
    return x, rng.integers(0, 1000, batch)


def made(name: str, batch: int, threads: int) -> tuple[Step, int]:
    """pynn's step, which returns the loss before its update, and the number of weights."""
    import pynn
    from pynn.recipes import networks

    pynn.set_num_threads(threads)
    x, y = data(name, batch)
    several = name == "googlenet"
    model: Any = networks.googlenet(auxiliary=True) if several else networks.alexnet()
    optimizer = pynn.optim.SGD(RATE, momentum=MOMENTUM)
    if several:
        model.compile(optimizer, dict.fromkeys(WEIGHTS, "cross_entropy"), loss_weights=WEIGHTS, seed=0)
    else:
        model.compile(optimizer, "cross_entropy", seed=0)
    model.build((1, *x.shape[1:]))
    targets: Any = dict.fromkeys(WEIGHTS, y) if several else y

    def step() -> float:
        history = model.fit(x, targets, batch_size=batch, epochs=1, shuffle=False, verbose=0)
        return float(history.history["loss"][-1])

    return step, model.count_parameters()


def measure(side: str, name: str, batch: int, threads: int) -> dict[str, float]:
    """Seconds, bytes and losses of one side, in this process."""
    source = importlib.import_module(f"bench.{SIDES[side]}")
    if side == "pynn":
        import pynn.recipes.networks  # noqa: F401  (imports are no part of what a network takes)
    settle()
    before = status("VmRSS")
    step, parameters = source.made(name, batch, threads)
    first = step()  # recorded on the way, and the momentum is made
    settle()
    times = []
    last = first
    clock = time.process_time if threads == 1 else time.perf_counter
    for _ in range(STEPS):
        started = clock()
        last = step()
        times.append(clock() - started)
    return {
        "seconds": median(times), "bytes": status("VmHWM") - before, "parameters": parameters, "first": first,
        "last": last,
    }  # fmt: skip


def in_process(side: str, name: str, batch: int, threads: int) -> dict[str, float] | None:
    """Measure in a process of its own; None where the side cannot run."""
    command = [sys.executable, "-m", "bench.large", "--threads", str(threads), "--batch", str(batch)]
    done = subprocess.run([*command, "--one", side, name], capture_output=True, text=True, check=False)
    if done.returncode == CANNOT:
        print(f"skipped {side}: {done.stderr.strip()}", file=sys.stderr)
        return None
    if done.returncode:
        raise RuntimeError(f"{side} failed on {name}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a table."""
    body = [
        [
            f"{row['network']}, batch {row['batch']}, {row['side']}", number(row["seconds"], ".3f"),
            number(row["bytes"] / 1e6, ",.0f"), number(row["parameters"], ",.0f"), number(row["first"], ".3f"),
            number(row["last"], ".3f"),
        ]
        for row in rows
    ]  # fmt: skip
    return "\n\n".join(
        [
            f"Seconds of a training step (the median of {STEPS}), peak memory beyond the imports in MB, and the loss "
            f"before the first update and before the last of {STEPS + 1}, all on the same images.",
            lines(["network", "seconds", "MB", "parameters", "loss at first", "loss at last"], body),
        ]
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.large", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of every side (default 1)")
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="images of a step (default 8)")
    parser.add_argument("--network", choices=list(SIZES), help="one of them (default both)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write FILE with .json and with .md in place of its end"
    )
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "NETWORK"), help="one side, in this process")
    options = parser.parse_args(argv)
    limit_threads(options.threads)
    if options.one:
        side, name = options.one
        try:
            print(json.dumps(measure(side, name, options.batch, options.threads)))
        except ImportError as error:
            print(error, file=sys.stderr)
            sys.exit(CANNOT)
        return
    rows = []
    for name in SIZES if options.network is None else [options.network]:
        for side in SIDES:
            print(f"{name}, {side} ...", file=sys.stderr, flush=True)
            found = in_process(side, name, options.batch, options.threads)
            if found is not None:
                rows.append({"network": name, "side": side, "batch": options.batch, **found})
    text = markdown(rows)
    print(text)
    if options.out:
        from .machine import cpu_name, versions

        described = {"cpu": cpu_name(), "threads": options.threads, "versions": versions()}
        save(options.out, {"machine": described, "rows": rows}, text)


if __name__ == "__main__":
    main()
