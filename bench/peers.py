"""Train the same networks with pynn and with its peers, interleaved in one run.

    python -m bench.peers [--threads N] [--only PATTERN] [--json FILE] [--rounds N] [--check]

Every side runs in short blocks that alternate, so a change of the machine's speed meets all of them. The figure of a
side is the median over the rounds; the ratio is that of the best peer to pynn. A peer that is not installed is skipped.
"""

from __future__ import annotations

import argparse
import fnmatch
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .side import Side
    from .workloads import Workload

SIDES = ("side_pynn", "peer_torch", "peer_jax", "peer_sklearn")
COLUMNS = ("torch eager", "torch.compile", "jax jit", "jax scan", "scikit-learn")
BLOCK_SECONDS = 0.03
ROW_SECONDS = 25.0  # enough for all rounds of all but the slowest workloads, which take fewer
LEAST_ROUNDS = 3


def limit_threads(threads: int) -> None:
    """Set what the libraries read when they are imported. XLA heeds only NPROC for the size of its pool."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYNN_NUM_THREADS", "NPROC"):
        os.environ[name] = str(threads)
    eigen = "true" if threads > 1 else "false"
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={threads}"
    os.environ["JAX_PLATFORMS"] = "cpu"


def available_sides(workload: Workload, threads: int) -> Iterator[Side]:
    """Every side that can run here; a word on stderr about the others."""
    from .side import Unavailable

    for name in SIDES:
        try:
            yield from importlib.import_module(f"bench.{name}").sides(workload, threads)
        except (ImportError, Unavailable) as error:
            print(f"skipped {name.split('_')[1]}: {error}", file=sys.stderr)


def steps_per_block(side: Side) -> int:
    """Warm the side up, then choose a number of steps that takes about BLOCK_SECONDS."""
    side.run(side.quantum)
    steps = side.quantum
    while True:
        started = time.perf_counter()
        side.run(steps)
        if (elapsed := time.perf_counter() - started) > BLOCK_SECONDS / 4:
            break
        steps *= 4
    return side.quantum * max(1, round(steps * BLOCK_SECONDS / elapsed / side.quantum))


def measure(sides: list[Side], rounds: int, threads: int) -> dict[str, list[float]]:
    """Microseconds of one step, per side and round; fewer rounds where ROW_SECONDS do not suffice."""
    steps = {side.name: steps_per_block(side) for side in sides}
    times: dict[str, list[float]] = {side.name: [] for side in sides}
    gc.collect()
    gc.disable()
    deadline = time.perf_counter() + ROW_SECONDS
    for turn in range(rounds):
        if turn >= LEAST_ROUNDS and time.perf_counter() > deadline:
            break
        shift = turn % len(sides)
        for side in sides[shift:] + sides[:shift]:
            if threads > 1:
                time.sleep(0.03)  # the threads of the side before still spin for a while
            if not side.whole_pass:  # which is long enough to warm itself
                side.run(side.quantum)
            started = time.perf_counter()
            side.run(steps[side.name])
            times[side.name].append((time.perf_counter() - started) / steps[side.name] * 1e6)
    gc.enable()
    return times


def compare(workload: Workload, rounds: int, threads: int) -> dict[str, object]:
    """One row of the result."""
    sides = list(available_sides(workload, threads))
    times = measure(sides, rounds, threads)
    peers = {name: median(values) for name, values in times.items() if name != "pynn"}
    by_step = {side.name: peers[side.name] for side in sides if side.name in peers and not side.whole_pass}
    pynn = median(times["pynn"]) if "pynn" in times else None
    return {
        "workload": workload.name,
        "threads": threads,
        "pynn_us": pynn,
        "peers": peers,
        "ratio": min(by_step.values()) / pynn if pynn and by_step else None,
        "ratio_whole_pass": min(peers.values()) / pynn if pynn and peers else None,
        "target": workload.target,
        "spread": {name: (min(values), max(values)) for name, values in times.items()},
    }


def check(workload: Workload, threads: int) -> None:
    """Print the loss of every side before and after three passes: all must have learned something."""
    for side in available_sides(workload, threads):
        before = side.loss()
        side.run(3 * workload.steps)
        after = side.loss()
        print(f"{workload.name}: {side.name}: loss {before:.4f} -> {after:.4f}", flush=True)
        if not after < before:
            sys.exit(f"{side.name} does not learn")


def table(rows: list[dict]) -> str:
    """The rows in Markdown, times in microseconds."""

    def cell(value: float | None, form: str = ",.1f") -> str:
        return "-" if value is None else format(value, form)

    head = ["workload", "pynn", *COLUMNS, "best step / pynn", "target", "best of all / pynn"]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for row in rows:
        cells = [row["workload"], cell(row["pynn_us"]), *(cell(row["peers"].get(name)) for name in COLUMNS)]
        cells += [cell(row["ratio"], ".2f"), cell(row["target"], ".1f"), cell(row["ratio_whole_pass"], ".2f")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of every side (default 1)")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="workloads whose name contains this (a glob)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows, the machine and the versions here")
    parser.add_argument(
        "--rounds", type=int, default=15, metavar="N", help="blocks of every side, at most (default 15)"
    )
    parser.add_argument("--check", action="store_true", help="time nothing; check that every side learns")
    arguments = parser.parse_args()
    if arguments.threads < 1 or arguments.rounds < 1:
        parser.error("--threads and --rounds must be at least 1")
    limit_threads(arguments.threads)

    from .machine import header
    from .workloads import WORKLOADS

    chosen = [w for w in WORKLOADS if fnmatch.fnmatch(w.name.lower(), f"*{arguments.only.lower()}*")]
    if not chosen:
        parser.error(f"no workload matches {arguments.only!r}; there are: {', '.join(w.name for w in WORKLOADS)}")
    if arguments.check:
        for workload in chosen:
            check(workload, arguments.threads)
        return
    machine = header(arguments.threads)
    print(json.dumps(machine))
    rows = []
    for workload in chosen:
        print(f"{workload.name} ...", file=sys.stderr, flush=True)
        rows.append(compare(workload, arguments.rounds, arguments.threads))
    print("Microseconds of one training step, median over the rounds:\n")
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
