"""What the measurements ran on: processor, versions, quietness, and the peaks of one core."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import pynn

PACKAGES = ("pynn-dl", "numpy", "scipy", "torch", "jax", "jaxlib", "optax", "scikit-learn", "onnxruntime")
BUSY_LIMIT = 0.05  # of one core


def cpu_name() -> str:
    """The processor's name as the operating system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """The number of logical cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter, of those that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def busy_seconds() -> float | None:
    """Seconds that all cores together were busy since the system started; None where /proc/stat is missing."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Processor seconds of this process and of its children, those that have ended and those that live."""
    total = sum(os.times()[:4])
    for task in Path("/proc/self/task").glob("*/children"):
        for pid in task.read_text().split():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:  # it has just ended
                continue
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def autogroup() -> bool | None:
    """Whether Linux shares the processor among sessions rather than among processes; None where it cannot tell."""
    try:
        return Path("/proc/sys/kernel/sched_autogroup_enabled").read_text().strip() == "1"
    except OSError:
        return None


class OthersBusy:
    """Inside a ``with`` block, count the cores that others kept busy, or the hypervisor: `cores`, None if unknown."""

    cores: float | None = None

    def __enter__(self) -> OthersBusy:
        self._before = busy_seconds(), own_seconds(), time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        busy, own, started = self._before
        now = busy_seconds()
        if busy is not None and now is not None:
            others = now - busy - (own_seconds() - own)
            self.cores = max(0.0, others / (time.perf_counter() - started))


def busy_cores(seconds: float = 1.0) -> float | None:
    """Cores kept busy while this process sleeps, by others or by the hypervisor; None if unknown."""
    with OthersBusy() as others:
        time.sleep(seconds)
    return others.cores


def warn_if_busy() -> float | None:
    """Measure `busy_cores` and say so on stderr when it spoils a measurement."""
    busy = busy_cores()
    if busy is not None and busy > BUSY_LIMIT:
        print(
            f"warning: other processes keep {busy:.2f} cores busy; the figures are not to be trusted", file=sys.stderr
        )
    return busy


def best_rate(amount: float, work: Callable[[], object], repeats: int = 5) -> float:
    """The highest amount per second among some repetitions."""
    rates = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        rates.append(amount / (time.perf_counter() - started))
    return max(rates)


@functools.cache
def fma_peak() -> float | None:
    """Measured fp32 GFLOP/s of one core doing independent fused multiply-adds; None without a C compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "peak.so")
        source = Path(__file__).with_name("peak.c")
        command = [compiler, "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", str(source), "-o", str(library)]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            return None
        fma_flops = ctypes.CDLL(str(library)).fma_flops
    fma_flops.restype = ctypes.c_double
    return best_rate(fma_flops(), fma_flops) / 1e9


@functools.cache
def copy_bandwidth(nbytes: int = 1 << 29) -> float:
    """Measured GB/s (read and written) of copying, on one core; `nbytes` is the size of source and target together.

    By default it is much larger than the caches.
    """
    source = np.ones(max(nbytes // 16, 8))
    target = np.empty_like(source)
    times = max(1, (1 << 27) // nbytes)

    def copies() -> None:
        for _ in range(times):
            np.copyto(target, source)

    copies()
    return best_rate(2 * source.nbytes * times, copies) / 1e9


def header(threads: int, precision: str = "highest") -> dict[str, object]:
    """The description that goes with every set of results."""
    pynn.set_precision(precision)
    return {
        "precision": precision,
        "matrix_unit": pynn.config.matrix_unit(),
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "busy_cores": warn_if_busy(),
        "fma_gflops_one_core": fma_peak(),
        "copy_gbytes_one_core": copy_bandwidth(),
        "versions": versions(),
    }
