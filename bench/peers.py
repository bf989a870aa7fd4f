"""Train the same networks with pynn and with its peers, interleaved in one run.

    python -m bench.peers [--threads N] [--set SET] [--rows PATTERN] [--precision P] [--algorithm A] [--out FILE]
                          [--json FILE] [--rounds N] [--clock CLOCK] [--device D] [--check] [--strict]

Every side runs in short blocks that alternate, so a change of the machine's speed meets all of them. The figure of a
side is the median over the rounds; the ratio is that of the best peer to pynn. Before it is timed, all sides of a row
start from the same weights and must agree on the loss, then and after a pass over the data. A peer that is not
installed is skipped.

At the precision "high", pynn is compared with its peers in float32; at "medium", with PyTorch's bfloat16 autocast.
The set "calls" compares steps that are called one by one, with arrays, for a loss; the set "wide" what else people
train and run. With the algorithm "direct" or "winograd" the convolutional networks are compared, pynn's layers with
that option. On the device "cuda" the training steps are compared with PyTorch's there, in float32; what has no kernel
there is skipped.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .predictions import Prediction
    from .side import Side
    from .workloads import Workload

SIDES = ("side_pynn", "peer_torch", "peer_jax", "peer_mlx", "peer_tinygrad", "peer_sklearn")
ON_CUDA = ("side_pynn", "peer_torch_cuda")


def limit_threads(threads: int) -> None:
    """Set what the libraries read when they are imported. XLA heeds only NPROC for the size of its pool."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYNN_NUM_THREADS", "NPROC"):
        os.environ[name] = str(threads)
    eigen = "true" if threads > 1 else "false"
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={threads}"
    os.environ["JAX_PLATFORMS"] = "cpu"


def precision_of(what: Workload | Prediction) -> str:
    return getattr(what, "precision", "highest")


def skipped(name: str, error: Exception) -> None:
    print(f"skipped {name}: {error}", file=sys.stderr)


def available_sides(what: Workload | Prediction, threads: int) -> Iterator[Side]:
    """Every side that can run here; a word on stderr about the others."""
    import pynn

    from .side import Unavailable
    from .workloads import Workload

    if not isinstance(what, Workload):
        yield from what.sides(threads, skipped)
        return
    for name in SIDES if pynn.get_device() == "cpu" else ON_CUDA:
        try:
            yield from importlib.import_module(f"bench.{name}").sides(what, threads)
        except (ImportError, Unavailable) as error:
            if name == "side_pynn":
                raise
            skipped(name.split("_")[1], error)


def compare(
    what: Workload | Prediction, rounds: int, threads: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Any]:
    """One row of the result."""
    from .machine import OthersBusy
    from .measure import measure, spread, verify

    sides = list(available_sides(what, threads))
    steps = getattr(what, "steps", 0)
    verified = verify(sides, steps, learns=steps > 0 and getattr(what, "learns", True), precision=precision_of(what))
    with OthersBusy() as others:
        times = {name: spread(values) for name, values in measure(sides, rounds, threads, clock).items()}
    tokens, kind = getattr(what, "tokens", 0), getattr(what, "kind", "training step" if steps else "prediction")
    return {**summary(times, {side.name for side in sides if side.whole_pass}),
            "workload": what.name, "kind": kind, "threads": threads,
            "target": what.target, "tokens": tokens, "verified": verified, "others_busy": others.cores,
            "flops": getattr(what, "flops", int)()}  # fmt: skip


def summary(times: dict[str, dict[str, float]], whole_pass: set[str]) -> dict[str, Any]:
    """What follows from the times of all sides: medians, and ratios of the best peer to pynn."""
    medians = {name: values["median"] for name, values in times.items()}
    pynn = medians.get("pynn")
    peers = {name: value for name, value in medians.items() if not name.startswith("pynn")}
    by_step = [value for name, value in peers.items() if name not in whole_pass]
    return {
        "pynn_us": pynn,
        "pynn_predict_us": medians.get("pynn predict"),
        "peers": peers,
        "ratio": min(by_step) / pynn if pynn and by_step else None,
        "ratio_whole_pass": min(peers.values()) / pynn if pynn and peers else None,
        "spread": times,
    }


def check(what: Workload | Prediction, threads: int) -> None:
    """Verify a row and print how well its sides agree."""
    from .measure import verify

    sides = list(available_sides(what, threads))
    steps = getattr(what, "steps", 0)
    worst = verify(sides, steps, learns=steps > 0 and getattr(what, "learns", True), precision=precision_of(what))
    text = ", ".join(f"{when} {value:.1e}" for when, value in worst.items())
    print(f"{what.name}: {', '.join(side.name for side in sides)} agree: {text}", flush=True)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of every side (default 1)")
    parser.add_argument(
        "--rows", "--only", default="*", metavar="PATTERN", help="rows whose name contains this (a glob)"
    )
    parser.add_argument(
        "--set", choices=("steps", "calls", "wide"), default="steps", help="which rows there are (default: steps)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write FILE, JSON alone")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write FILE with .json and with .md in place of its end"
    )
    parser.add_argument(
        "--rounds", type=int, default=15, metavar="N", help="blocks of every side, at most (default 15)"
    )
    parser.add_argument(
        "--precision",
        choices=("highest", "high", "medium"),
        default="highest",
        help="of pynn's products (default: highest)",
    )
    parser.add_argument(
        "--algorithm",
        choices=("auto", "direct", "winograd"),
        default="auto",
        help="of pynn's convolutions (default: auto)",
    )
    parser.add_argument(
        "--clock",
        choices=("wall", "processor"),
        default="wall",
        help="whose time is measured; the processor's, with one thread, where neighbours are busy (default: wall)",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where all run (default: cpu)")
    parser.add_argument("--check", action="store_true", help="time nothing; check that all sides compute the same")
    parser.add_argument("--strict", action="store_true", help="refuse to measure while other processes are busy")
    found = parser.parse_args(argv)
    if found.threads < 1 or found.rounds < 1:
        parser.error("--threads and --rounds must be at least 1")
    if found.clock == "processor" and found.threads > 1:
        parser.error("--clock processor adds up the time of all threads: it is for --threads 1")
    if found.precision != "highest" and found.algorithm != "auto":
        parser.error(f"--algorithm {found.algorithm} is for float32: it cannot be joined with --precision")
    plain = found.precision == "highest" and found.algorithm == "auto"
    if found.set != "steps" and not plain:
        parser.error(f"--set {found.set} is of plain float32: it cannot be joined with --precision or --algorithm")
    if found.device != "cpu" and (found.set != "steps" or not plain or found.clock != "wall"):
        parser.error(f"--device {found.device} is for the training steps in plain float32, by the wall clock")
    limit_threads(found.threads)
    from .predictions import PREDICTIONS
    from .wide import WIDE
    from .workloads import at_precision, by_algorithm, one_a_call

    steps = at_precision(found.precision) if found.algorithm == "auto" else by_algorithm(found.algorithm)
    predictions = PREDICTIONS if plain and found.device == "cpu" else ()
    sets = {"steps": (*steps, *predictions), "calls": one_a_call(), "wide": WIDE}
    rows = sets[found.set]
    found.chosen = [w for w in rows if fnmatch.fnmatch(w.name.lower(), f"*{found.rows.lower()}*")]
    if not found.chosen:
        parser.error(f"no row matches {found.rows!r}; there are: {'; '.join(w.name for w in rows)}")
    return found


def main(argv: list[str] | None = None) -> None:
    options = arguments(argv)
    import pynn
    from pynn.errors import DeviceError
    from pynn.files import write_whole

    from .machine import BUSY_LIMIT, header
    from .report import markdown, save

    pynn.set_device(options.device)
    if options.check:
        for what in options.chosen:
            check(what, options.threads)
        return
    machine = header(options.threads, options.precision)
    if options.strict and (machine["busy_cores"] or 0) > BUSY_LIMIT:
        sys.exit(2)
    rows = []
    clock = time.process_time if options.clock == "processor" else time.perf_counter
    machine["clock"] = options.clock
    for what in options.chosen:
        print(f"{what.name} ...", file=sys.stderr, flush=True)
        try:
            rows.append(compare(what, options.rounds, options.threads, clock))
        except DeviceError as error:
            skipped(what.name, error)
    text = markdown(machine, rows)
    print(text)
    save(options.out, {"machine": machine, "rows": rows}, text)
    if options.json:
        write_whole(options.json, (json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
