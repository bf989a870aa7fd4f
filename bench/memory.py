"""The memory of a training step: pynn, PyTorch and JAX, each in a process of its own.

    python -m bench.memory [--threads N] [--rows PATTERN] [--out FILE]

What counts is the greatest resident memory while steps are taken, beyond what was resident when the library had been
imported and had trained the smallest network: weights, gradients, optimizer, two batches of data and temporaries. The
first step, in which programs are recorded and compiled, comes before; what it left behind and freed is given back to
the system. Needs Linux.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import fnmatch
import gc
import importlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .peers import limit_threads
from .report import lines, number, save

if TYPE_CHECKING:
    from .side import Side
    from .workloads import Workload

SIDES = {
    "pynn": ("side_pynn", "pynn"),
    "torch eager": ("peer_torch", "torch eager"),
    "jax jit": ("peer_jax", "jax jit"),
}
STEPS = 4
LITTLE = 100_000  # bytes below which two sides take the same: a few pages more or less
CANNOT = 3  # exit status of a side that cannot run here


def status(field: str) -> int:
    """Bytes that a field of /proc/self/status names in kB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def settle() -> None:
    """Give freed memory back to the system, and begin the high-water mark anew."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def small(workload: Workload) -> Workload:
    """The workload with two batches of data."""
    return dataclasses.replace(workload, most_steps=2)


def measure(workload: Workload, name: str, threads: int) -> int:
    """Bytes of the high-water mark beyond the imports, in this process."""
    from .workloads import WORKLOADS

    module, wanted = SIDES[name]
    source = importlib.import_module(f"bench.{module}")

    def stepped(workload: Workload) -> Side:
        side = next(side for side in source.sides(small(workload), threads) if side.name == wanted)
        side.run(max(2, side.quantum))
        return side

    stepped(WORKLOADS[0])  # what a library sets up when it first trains is no part of a step
    settle()
    before = status("VmRSS")
    side = stepped(workload)
    settle()
    side.run(STEPS)
    return status("VmHWM") - before


def in_process(workload: Workload, side: str, threads: int) -> int | None:
    """Measure in a process of its own; None where the side cannot run."""
    command = [sys.executable, "-m", "bench.memory", "--threads", str(threads), "--one", side, workload.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == CANNOT:
        print(f"skipped {side}: {done.stderr.strip()}", file=sys.stderr)
        return None
    if done.returncode:
        raise RuntimeError(f"{side} failed on {workload.name}:\n{done.stderr}")
    return int(done.stdout.split()[-1])


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The rows, in MB."""

    def cell(value: int | None) -> str:
        return "-" if value is None else f"{value / 1e6:,.1f}"

    def share(found: dict[str, int | None]) -> float | None:
        """pynn's bytes over those of the more frugal peer; 1 where both are little."""
        own, peers = found["pynn"], [value for side, value in found.items() if side != "pynn" and value is not None]
        if own is None or not peers:
            return None
        return 1.0 if max(own, min(peers)) < LITTLE else own / max(min(peers), 1)

    shares = [share(row["bytes"]) for row in rows]
    body = [
        [row["workload"], *(cell(row["bytes"].get(side)) for side in SIDES), number(part, ".2f")]
        for row, part in zip(rows, shares, strict=True)
    ]
    more = [row["workload"] for row, part in zip(rows, shares, strict=True) if part is not None and part > 1]
    return "\n\n".join(
        [
            "Peak memory of a training step beyond the imports, MB; and pynn's over that of the more frugal peer, 1 "
            f"where both are below {LITTLE / 1e6:.1f}.",
            lines(["workload", *SIDES, "pynn / less"], body),
            f"pynn takes more than a peer in: {'; '.join(more) or 'none'}.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of every side (default 1)")
    parser.add_argument("--rows", default="*", metavar="PATTERN", help="workloads whose name contains this (a glob)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write FILE with .json and with .md in place of its end"
    )
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "WORKLOAD"), help="one figure, in this process")
    options = parser.parse_args(argv)
    limit_threads(options.threads)
    from .workloads import WORKLOADS

    if options.one:
        side, name = options.one
        try:
            print(measure(next(w for w in WORKLOADS if w.name == name), side, options.threads))
        except ImportError as error:
            print(error, file=sys.stderr)
            sys.exit(CANNOT)
        return
    chosen = [w for w in WORKLOADS if fnmatch.fnmatch(w.name.lower(), f"*{options.rows.lower()}*")]
    if not chosen:
        parser.error(f"no workload matches {options.rows!r}; there are: {'; '.join(w.name for w in WORKLOADS)}")
    rows = []
    for workload in chosen:
        print(f"{workload.name} ...", file=sys.stderr, flush=True)
        found = {side: in_process(workload, side, options.threads) for side in SIDES}
        rows.append({"workload": workload.name, "threads": options.threads, "bytes": found})
    text = markdown(rows)
    print(text)
    if options.out:
        from .machine import cpu_name, versions

        described = {"cpu": cpu_name(), "threads": options.threads, "versions": versions()}
        save(options.out, {"machine": described, "rows": rows}, text)


if __name__ == "__main__":
    main()
