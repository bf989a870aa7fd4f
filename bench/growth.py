"""How the time and the memory of a training step grow with batch, width, depth, length and threads: pynn and PyTorch.

    python -m bench.growth [--only NAME] [--out FILE] [--repeats N] [--draw FILE]

Each point is measured in a process of its own, as bench.memory measures: the least time of a step of N blocks, which
neighbours disturb least (processor time with one thread), and the peak memory beyond the imports. The picture, with
both axes logarithmic, is FILE with .svg in place of its end; it needs matplotlib, and --draw makes it of a .json from
before. It is a look at the shape of the curves: nothing fails by it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .memory import CANNOT, settle, small, status
from .peers import limit_threads
from .report import lines, number, save

if TYPE_CHECKING:
    from .workloads import Workload

SIDES = {"pynn": ("side_pynn", "pynn"), "torch eager": ("peer_torch", "torch eager")}
STEPS = 4  # of which the memory is measured
SECONDS = 0.05  # of a block
CORES = os.cpu_count() or 1
# What grows, and through which values; everything else stays as in workload().
SWEEPS: dict[str, tuple[int, ...]] = {
    "batch": (1, 4, 16, 64, 256, 1024),
    "width": (16, 64, 256, 1024, 2048),
    "depth": (1, 2, 4, 8, 16),
    "length": (8, 32, 128, 400),
    "threads": tuple(n for n in (1, 2, 4, 8, 16) if n <= CORES),
}


def workload(name: str, value: int) -> Workload:
    """A perceptron of 2 hidden layers of 256, batch 64, or an LSTM of 64, batch 16, with one thing of another size."""
    from .workloads import LSTM, Dense, Embedding, Workload

    text = f"{name} {value}"
    if name == "length":
        return Workload(text, (value,), (Embedding(1000, 64), LSTM(64, False), Dense(2)), "linear", 16, "adam", 1.0, 2)
    width, depth = value if name == "width" else 1024 if name == "threads" else 256, value if name == "depth" else 2
    layers = (*(Dense(width) for _ in range(depth)), Dense(10))
    batch = value if name == "batch" else 256 if name == "threads" else 64
    return Workload(text, (width,), layers, "relu", batch, "adam", 1.0, 2)


def measure(name: str, value: int, side: str, repeats: int) -> tuple[float, int]:
    """Microseconds of a step, and bytes beyond the imports, in this process."""
    threads = value if name == "threads" else 1
    module, wanted = SIDES[side]
    source = importlib.import_module(f"bench.{module}")

    def stepped(what: Workload) -> Any:
        made = next(one for one in source.sides(small(what), threads) if one.name == wanted)
        made.run(2)
        return made

    stepped(workload("batch", 1))  # what a library sets up when it first trains is no part of a step
    settle()
    before = status("VmRSS")
    made = stepped(workload(name, value))
    settle()
    made.run(STEPS)
    taken = status("VmHWM") - before
    clock = time.process_time if threads == 1 else time.perf_counter
    started = clock()
    made.run(2)
    steps = max(1, round(SECONDS / max((clock() - started) / 2, 1e-7)))
    times = []
    for _ in range(repeats):
        started = clock()
        made.run(steps)
        times.append((clock() - started) / steps * 1e6)
    return min(times), taken


def in_process(name: str, value: int, side: str, repeats: int) -> list[float] | None:
    """Measure in a process of its own; None where the side cannot run."""
    command = [sys.executable, "-m", "bench.growth", "--repeats", str(repeats), "--one", name, str(value), side]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"skipped {side}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The points as a table."""
    body = []
    for row in rows:
        ours, theirs = (row["found"].get(side) or [None, None] for side in SIDES)
        ratio = theirs[0] / ours[0] if ours[0] and theirs[0] else None
        body.append(
            [
                f"{row['sweep']} {row['value']}", number(ours[0]), number(theirs[0]), number(ratio, ".2f"),
                *(number(one[1] / 1e6 if one[1] is not None else None, ",.1f") for one in (ours, theirs)),
            ]
        )  # fmt: skip
    head = ["what grows", "pynn, us", "torch eager, us", "torch / pynn", "pynn, MB", "torch eager, MB"]
    return "\n\n".join(
        [
            "A training step, Adam: a perceptron of two hidden layers of 256, batch 64 (threads: of 1024, batch 256); "
            "length: an LSTM of 64, batch 16. Least time of the blocks, peak memory beyond the imports.",
            lines(head, body),
        ]
    )


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """One column of axes for each thing that grows: time above, memory below."""
    import matplotlib as mpl
    from matplotlib import pyplot

    names = list(dict.fromkeys(row["sweep"] for row in rows))
    mpl.rcParams["svg.hashsalt"] = "growth"
    figure, axes = pyplot.subplots(2, len(names), figsize=(3 * len(names), 5.4), squeeze=False, layout="constrained")
    for j, name in enumerate(names):
        for i, (unit, scale) in enumerate((("microseconds", 1.0), ("MB", 1e-6))):
            for side, style in zip(SIDES, ("o-", "s--"), strict=True):
                points = [(r["value"], r["found"].get(side)) for r in rows if r["sweep"] == name]
                kept = [(x, max(found[i] * scale, 0.1)) for x, found in points if found]
                if kept:
                    axes[i][j].loglog(*zip(*kept, strict=True), style, label=side, markersize=4)
            axes[i][j].set_xlabel(name)
            axes[i][j].set_ylabel(unit if not j else "")
            axes[i][j].grid(alpha=0.3)
    axes[0][0].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=list(SWEEPS), help="one of the things that grow (default: all)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write FILE with .json, .md and .svg as its end")
    parser.add_argument("--repeats", type=int, default=15, metavar="N", help="blocks of a point (default 15)")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="measure nothing, draw what a .json of before holds")
    parser.add_argument("--one", nargs=3, metavar=("WHAT", "VALUE", "SIDE"), help="one point, in this process")
    options = parser.parse_args(argv)
    if options.draw:
        draw(json.loads(options.draw.read_text())["rows"], options.draw.with_suffix(".svg"))
        return
    if options.one:
        name, value, side = options.one[0], int(options.one[1]), options.one[2]
        limit_threads(value if name == "threads" else 1)
        try:
            print(json.dumps(measure(name, value, side, options.repeats)))
        except ImportError as error:
            print(error, file=sys.stderr)
            sys.exit(CANNOT)
        return
    limit_threads(1)
    rows = []
    for name in [options.only] if options.only else SWEEPS:
        for value in SWEEPS[name]:
            print(f"{name} {value} ...", file=sys.stderr, flush=True)
            found = {side: in_process(name, value, side, options.repeats) for side in SIDES}
            rows.append({"sweep": name, "value": value, "found": found})
    text = markdown(rows)
    print(text)
    if options.out:
        from .machine import cpu_name, versions

        save(options.out, {"machine": {"cpu": cpu_name(), "versions": versions()}, "rows": rows}, text)
        draw(rows, options.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
