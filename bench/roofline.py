"""How near each kernel comes to what bounds it: the FMA peak of one core, or the memory bandwidth.

    python -m bench.roofline [--rows PATTERN] [--out FILE]

Every op that has a card, on a sample made large, forward and backward; products and layers of the sizes that matter;
all float32 on one thread. The bound of a kernel is the longer of flops / peak and bytes / bandwidth, where the
bandwidth is that of a copy with a working set of the same size: what fits in a cache is held to the cache's speed.
Peaks and kernels are measured in the same run; a kernel's time is the least of some repetitions.
"""

from __future__ import annotations

import argparse
import fnmatch
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .peers import limit_threads
from .report import lines, save

if TYPE_CHECKING:
    from .kernels import Timed

BLOCK_SECONDS = 0.004
REPEATS = 7
LEAST_BYTES = 1 << 12  # of a copy whose speed is measured


@dataclass(frozen=True)
class Point:
    """One kernel under its roof. Rates are of one core: GFLOP/s and GB/s."""

    name: str
    seconds: float
    flops: float
    bytes: int
    peak: float | None
    bandwidth: float

    @property
    def compute_seconds(self) -> float:
        """The least time for the arithmetic; 0 where it is not counted, or the peak is not known."""
        return self.flops / (self.peak * 1e9) if self.peak else 0.0

    @property
    def memory_seconds(self) -> float:
        """The least time for the bytes."""
        return self.bytes / (self.bandwidth * 1e9)

    @property
    def bound(self) -> str:
        """What bounds the kernel."""
        return "FMA" if self.compute_seconds > self.memory_seconds else "memory"

    @property
    def share(self) -> float:
        """The least possible time over the time taken, 0 to 1; more where the working set is kept nearer."""
        return max(self.compute_seconds, self.memory_seconds) / self.seconds if self.seconds else 0.0

    def row(self) -> list[str]:
        return [
            self.name, f"{self.seconds * 1e6:,.1f}", f"{self.flops / self.seconds / 1e9:.1f}" if self.flops else "",
            f"{self.bytes / self.seconds / 1e9:.1f}", self.bound, f"{100 * self.share:.0f}",
        ]  # fmt: skip


def working_set(nbytes: int) -> int:
    """The power of two at or above nbytes, so that few copies need to be measured."""
    return max(LEAST_BYTES, 1 << max(nbytes - 1, 1).bit_length())


def best_time(timed: Timed) -> float:
    """The least mean time of a run among some blocks, each of about BLOCK_SECONDS."""
    timed.run()
    started = time.perf_counter()
    timed.run()
    times = max(1, round(BLOCK_SECONDS / max(time.perf_counter() - started, 1e-7)))
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        timed.run(times)
        best = min(best, (time.perf_counter() - started) / times)
    return best


def kernels(pattern: str) -> Iterator[tuple[str, Timed]]:
    """All that is measured, by name."""
    import pynn

    from .kernels import (
        Timed,
        forward_and_backward,
        image_layers,
        product,
        scaled_samples,
        timed_image_layer,
    )
    from .test_kernels import PRODUCTS

    def wanted(name: str) -> bool:
        return fnmatch.fnmatch(name.lower(), f"*{pattern.lower()}*")

    for shape in PRODUCTS:
        name = f"product {'x'.join(map(str, shape))}"
        if wanted(name):
            a, b = product(*shape)
            yield name, Timed(lambda a=a, b=b: pynn.ops.matmul(a, b))
    for name, layer in image_layers().items():
        for direction in ("forward", "backward"):
            if wanted(f"{name}, {direction}"):
                yield f"{name}, {direction}", timed_image_layer(*layer, direction)
    for card, sample in scaled_samples():
        if any(wanted(f"{card.name}, {direction}") for direction in ("forward", "backward")):
            for direction, timed in forward_and_backward(card, sample):
                if wanted(f"{card.name}, {direction}"):
                    yield f"{card.name}, {direction}", timed


def points(pattern: str) -> Iterator[Point]:
    from .machine import copy_bandwidth, fma_peak

    for name, timed in kernels(pattern):
        bandwidth = copy_bandwidth(working_set(timed.bytes))
        yield Point(name, best_time(timed), timed.flops, timed.bytes, fma_peak(), bandwidth)


def markdown(machine: dict[str, Any], found: Sequence[Point]) -> str:
    peak, copy = machine["fma_gflops_one_core"] or 0.0, machine["copy_gbytes_one_core"]
    text = f"{machine['cpu']}: FMA peak {peak:.1f} GFLOP/s, copy {copy:.1f} GB/s, one core."
    head = ["kernel", "us", "GFLOP/s", "GB/s", "bound", "% of bound"]
    return f"{text}\n\n{lines(head, [point.row() for point in found])}"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.roofline", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="*", metavar="PATTERN", help="kernels whose name contains this (a glob)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write FILE with .json and with .md in place of its end"
    )
    options = parser.parse_args(argv)
    limit_threads(1)
    import pynn

    from .machine import header

    pynn.set_num_threads(1)
    machine = header(1)
    found = list(points(options.rows))
    if not found:
        parser.error(f"no kernel matches {options.rows!r}")
    text = markdown(machine, found)
    print(text)
    rows = [{**asdict(point), "bound": point.bound, "share": point.share} for point in found]
    save(options.out, {"machine": machine, "rows": rows}, text)


if __name__ == "__main__":
    main()
