"""A process that trains one workload on demand, so that its threads, its neighbours and its rivals can be chosen.

python -m bench.training SIDE WORKLOAD        serves one: "SECONDS" on standard input, steps and seconds on the output
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from .machine import usable_cores

ROOT = str(Path(__file__).resolve().parent.parent)
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYNN_NUM_THREADS")


def environment(threads: int | None) -> dict[str, str]:
    """The environment that finds this package, with so many threads for every library; None leaves the defaults."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    kept["PYTHONPATH"] = os.pathsep.join(p for p in (kept.get("PYTHONPATH"), ROOT) if p)
    return kept if threads is None else kept | dict.fromkeys(VARIABLES, str(threads))


class Training:
    """A child that trains a workload whenever it is told to; close it, or use it in a ``with`` block.

    Parameters
    ----------
    side : {"pynn", "torch"}
    workload : str
        Name of one of `bench.workloads.WORKLOADS`.
    threads : int or None
        None for the library's default.
    """

    def __init__(self, side: str, workload: str, threads: int | None):
        self.child = subprocess.Popen(
            [sys.executable, "-m", "bench.training", side, workload],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(threads),
        )  # fmt: skip
        self.threads: int = self._answer()["threads"]

    def _answer(self) -> dict[str, Any]:
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError("a process that trains has ended; see above")
        return json.loads(line)

    def microseconds(self, seconds: float) -> float:
        """Train for so many seconds and return the mean time of a step."""
        assert self.child.stdin is not None
        self.child.stdin.write(f"{seconds}\n")
        self.child.stdin.flush()
        answer = self._answer()
        return answer["seconds"] / answer["steps"] * 1e6

    def close(self) -> None:
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()

    def __enter__(self) -> Training:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Neighbours:
    """One process for every core that computes without end, and rests until :meth:`busy`."""

    def __enter__(self) -> Neighbours:
        cores = sorted(os.sched_getaffinity(0))
        code = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
        self.children = [subprocess.Popen([sys.executable, "-S", "-c", code, str(core)]) for core in cores]
        time.sleep(0.2)
        self._signal(signal.SIGSTOP)
        return self

    def _signal(self, number: int) -> None:
        for child in self.children:
            child.send_signal(number)

    @contextmanager
    def busy(self) -> Iterator[None]:
        self._signal(signal.SIGCONT)
        time.sleep(0.05)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)
            time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        for child in self.children:
            child.kill()
            child.wait()


def serve(name: str, workload_name: str) -> None:
    """Answer each line of standard input, a number of seconds, with the steps made and the time they took."""
    from .measure import steps_per_block
    from .workloads import WORKLOADS

    workload = next(w for w in WORKLOADS if w.name == workload_name)
    if name == "torch":
        import torch

        from . import peer_torch as source

        threads = torch.get_num_threads()
    else:
        import pynn

        from . import side_pynn as source  # type: ignore[no-redef]

        threads = pynn.get_num_threads()
    side = next(source.sides(workload, threads))
    block = steps_per_block(side)
    print(json.dumps({"threads": threads, "cores": usable_cores()}), flush=True)
    for line in sys.stdin:
        wanted, steps, started = float(line), 0, time.perf_counter()
        while (seconds := time.perf_counter() - started) < wanted or not steps:
            side.run(block)
            steps += block
        print(json.dumps({"steps": steps, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:3])
