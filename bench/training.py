"""A process that trains workloads on demand, so that its threads, its neighbours and its rivals can be chosen.

python -m bench.training SIDE        serves one: a line of JSON on standard input, its answer on the output
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .side import Side

ROOT = str(Path(__file__).resolve().parent.parent)
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYNN_NUM_THREADS")
PATIENCE = 120.0  # seconds for an answer, where none are named


class TimeUp(RuntimeError):
    """A process that trains did not answer in time, and was ended."""


def environment(threads: int | None) -> dict[str, str]:
    """The environment that finds this package, with so many threads for every library; None leaves the defaults."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    kept["PYTHONPATH"] = os.pathsep.join(p for p in (kept.get("PYTHONPATH"), ROOT) if p)
    return kept if threads is None else kept | dict.fromkeys(VARIABLES, str(threads))


class Training:
    """A child that trains whatever workload it is told to; close it, or use it in a ``with`` block.

    It starts with the first workload, imports its library once, and starts again after :class:`TimeUp`.

    Parameters
    ----------
    side : {"pynn", "torch"}
    threads : int or None
        None for the library's default.
    """

    child: subprocess.Popen[str] | None = None
    threads = 0  # that the child uses, once it has a workload

    def __init__(self, side: str, threads: int | None):
        self.side, self.asked = side, threads

    def _ask(self, patience: float, **question: Any) -> dict[str, Any]:
        assert self.child is not None
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(json.dumps(question) + "\n")
        self.child.stdin.flush()
        if not select.select([self.child.stdout], [], [], patience)[0]:
            self.child.kill()
            self.close()
            raise TimeUp(f"no answer within {patience:.0f} s")
        line = self.child.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError("a process that trains has ended; see above")
        return json.loads(line)

    def load(self, workload: str) -> None:
        """Make the named one of `bench.workloads.WORKLOADS` ready to train."""
        if self.child is None:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "bench.training", self.side],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(self.asked),
            )  # fmt: skip
        self.threads = self._ask(PATIENCE, load=workload)["threads"]

    def microseconds(self, seconds: float, patience: float = PATIENCE) -> float:
        """Train for so many seconds, or one step if that takes longer, and return the mean time of a step."""
        answer = self._ask(patience, train=seconds)
        return answer["seconds"] / answer["steps"] * 1e6

    def close(self) -> None:
        child, self.child = self.child, None
        if child is None:
            return
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        child.wait()
        child.stdout.close()

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


def train(side: Side, wanted: float, block: int) -> dict[str, float]:
    """Take steps, in blocks of that many but not of more than an eighth of the time; the steps and their seconds."""
    started = time.perf_counter()
    side.run(1)  # wakes threads and fetches data; beside busy neighbours it may be all that there is time for
    if (first := time.perf_counter() - started) > wanted:
        return {"steps": 1, "seconds": first}
    block = min(block, max(1, int(wanted / 8 / first)))
    steps, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < wanted or not steps:
        side.run(block)
        steps += block
    return {"steps": steps, "seconds": seconds}


def serve(name: str) -> None:
    """Answer {"load": workload} with the threads in use, {"train": seconds} with the steps made and their time."""
    from .measure import steps_per_block
    from .workloads import WORKLOADS

    if name == "torch":
        import torch

        from . import peer_torch as source

        threads = torch.get_num_threads()
    else:
        import pynn

        from . import side_pynn as source  # type: ignore[no-redef]

        threads = pynn.get_num_threads()
    side, block = None, 1
    for line in sys.stdin:
        match json.loads(line):
            case {"load": workload}:
                side = None  # one at a time
                gc.collect()
                side = next(source.sides(next(w for w in WORKLOADS if w.name == workload), threads))
                block = steps_per_block(side)
                answer: dict[str, float] = {"threads": threads}
            case {"train": seconds}:
                assert side is not None
                answer = train(side, seconds, block)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
