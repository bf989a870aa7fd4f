"""How training by several processes scales: measured here, and what a cost model says of more machines.

    python -m bench.scaling --ranks 1 2 [--rows PATTERN] [--seconds S] [--out FILE]
    python -m bench.scaling --segments 1 2 4 8 [--rows PATTERN]

The second form tells what segments cost one process, as a ratio to the step on the whole batch.

Each row is measured with mpiexec on this machine, one thread per rank: weak scaling (the row's batch on every rank) and
strong scaling (the row's batch shared). The model of a step on p ranks with G bytes of gradients is

    T(p) = T(1) + m(p) o + b(p) / B,    m = 2 (p - 1) messages, b = 2 (p - 1) / p G bytes

(one round of p - 1 messages and (p - 1) G bytes for less than 64 KB of gradients). The cost of a
message o and the bandwidth B of this machine are measured, and the model's efficiency stands beside the measured one;
between machines o is assumed, B is the link's, and every round costs its latency besides. Efficiency is T(1) / T(p). On
a busy machine all this tells of the others.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

LATENCY = 30e-6  # seconds of a round between machines, over Ethernet
LINKS = (1, 10, 25, 100)  # Gb/s
RANKS = (8, 64, 256, 1024)
SMALL = 1 << 16  # bytes that are sent to all at once; see pynn/distributed/exchange.py
MARK = "scaling: "


def cost(ranks: int, nbytes: int, per_message: float, bandwidth: float, latency: float = 0.0) -> float:
    """Return the seconds that an exchange of gradients takes.

    >>> cost(2, 10**6, 0.0, 1e9)
    0.001
    """
    if ranks == 1:
        return 0.0
    at_once = nbytes <= SMALL
    rounds = 1 if at_once else 2
    sent = (ranks - 1) * nbytes if at_once else 2 * (ranks - 1) / ranks * nbytes
    return rounds * ((ranks - 1) * per_message + latency) + sent / bandwidth


def worker(pattern: str, seconds: float) -> None:
    """Measure all rows as one of the ranks."""
    import pynn

    from .side_pynn import build
    from .workloads import WORKLOADS

    ranks = int(os.environ["RANKS"])
    pynn.set_num_threads(1)
    info = pynn.distributed.start(segments=ranks, threads=1)
    found: dict[str, dict[str, float]] = {}

    def best(work) -> float:  # type: ignore[no-untyped-def]
        work(), work()
        times = []
        for _ in range(5):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        return min(times)

    from pynn.distributed.gang import known

    gang = known()
    assert gang is not None
    found["machine"] = {"message": 0.0, "bandwidth": 0.0}
    if ranks > 1:
        found["machine"]["message"] = best(lambda: [gang.agree([1, 0, 0], "a measurement") for _ in range(200)]) / (
            200 * (ranks - 1)
        )
        many = [np.zeros(1 << 24, np.uint8) for _ in range(ranks)]
        found["machine"]["bandwidth"] = (
            (1 << 24) * (ranks - 1) / best(lambda: gang._all(many, 99, "a measurement", None))
        )
    for row in WORKLOADS:
        if not fnmatch.fnmatch(row.name, pattern):
            continue
        times = {}
        for kind, batch in (("weak", row.batch * ranks), ("strong", row.batch)):
            x, y = row.data()
            repeats = -(-2 * batch // len(x))
            x, y = (np.concatenate([a] * repeats) for a in (x, y))
            model = build(row)
            stepper = pynn.train.steps(model, x, y, batch_size=batch, accumulate=ranks)
            once = best(lambda run=stepper.run: run(1))
            count = int(gang.agree([max(1, int(seconds / 6 / once))], "a measurement").min())
            times[kind] = best(lambda run=stepper.run, count=count: run(count)) / count
        size = model._trainer.flat.grads.nbytes
        found[row.name] = {**times, "bytes": size}
    if info.rank == 0:
        print(MARK + json.dumps(found), flush=True)


def segments(counts: Sequence[int], pattern: str) -> None:
    """Print what a step in so many segments takes, as a ratio to one in a single segment; blocks take turns."""
    import pynn

    from .side_pynn import build
    from .workloads import WORKLOADS

    pynn.set_num_threads(1)
    for row in WORKLOADS:
        if not fnmatch.fnmatch(row.name, pattern):
            continue
        x, y = row.data()
        steppers = {s: pynn.train.steps(build(row), x, y, row.batch, accumulate=s) for s in sorted({1, *counts})}
        least = dict.fromkeys(steppers, float("inf"))
        for turn in range(8):
            for s, stepper in steppers.items():
                start = time.perf_counter()
                stepper.run(1 if turn == 0 else 4)
                if turn:
                    least[s] = min(least[s], (time.perf_counter() - start) / 4)
        ratios = "  ".join(f"S={s} {value / least[1]:.2f}" for s, value in least.items())
        print(f"{row.name:66} {1e3 * least[1]:9.3f} ms  {ratios}", flush=True)


def launched(ranks: int, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return what so many ranks measured."""
    beside = Path(sys.executable).parent / "mpiexec"
    command = [str(beside) if beside.exists() else "mpiexec", "-n", str(ranks), sys.executable, "-P", "-m"]
    command += ["bench.scaling", "--worker", "--rows", arguments.rows, "--seconds", str(arguments.seconds)]
    root = str(Path(__file__).resolve().parent.parent)
    variables = {**os.environ, "PYTHONPATH": root, "PYNN_NUM_THREADS": "1", "RANKS": str(ranks)}
    done = subprocess.run(command, cwd=root, env=variables, stdout=subprocess.PIPE, text=True, check=True)
    [line] = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    return dict(json.loads(line.removeprefix(MARK)))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, fit and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2], help="how many processes, 1 among them")
    parser.add_argument("--segments", type=int, nargs="+", help="of one process: how many to measure")
    parser.add_argument("--rows", default="*", help="pattern of the names of rows")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--message", type=float, default=5.0, help="us of a message between machines (default: 5)")
    parser.add_argument("--out", type=Path, help="write what was measured as JSON")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.worker:
        worker(arguments.rows, arguments.seconds)
        return
    if arguments.segments:
        segments(arguments.segments, arguments.rows)
        return
    found = {ranks: launched(ranks, arguments) for ranks in sorted({1, *arguments.ranks})}
    for ranks, rows in found.items():
        if ranks > 1:
            here = rows["machine"]
            print(f"{ranks} ranks here: {1e6 * here['message']:.1f} us a message, {here['bandwidth'] / 1e9:.2f} GB/s")
    print(f"\n{'row':66} {'ranks':>5} {'ms of one':>9} {'weak':>6} {'model':>6} {'strong':>6}")
    for name, one in found[1].items():
        for ranks, rows in found.items():
            if name == "machine" or ranks == 1:
                continue
            here, many = rows["machine"], rows[name]
            told = one["weak"] + cost(ranks, int(one["bytes"]), here["message"], here["bandwidth"])
            weak, strong = one["weak"] / many["weak"], one["strong"] / (ranks * many["strong"])
            print(f"{name:66} {ranks:5} {1e3 * one['weak']:9.3f} {weak:6.2f} {one['weak'] / told:6.2f} {strong:6.2f}")
    per_message = 1e-6 * arguments.message
    print(f"\nweak efficiency by the model, {arguments.message:g} us a message, {1e6 * LATENCY:.0f} us a round:")
    print(f"{'row':66} {'Gb/s':>5} " + " ".join(f"{ranks:>6}" for ranks in RANKS))
    for name, one in found[1].items():
        for link in LINKS if name != "machine" else ():
            shares = [
                one["weak"] / (one["weak"] + cost(p, int(one["bytes"]), per_message, link * 1.25e8, LATENCY))
                for p in RANKS
            ]
            print(f"{name:66} {link:5} " + " ".join(f"{share:6.2f}" for share in shares))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
