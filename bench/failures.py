"""What becomes of jobs of which one rank is killed, or stopped, at a random moment; every outcome is counted.

    python -m bench.failures --kills 100 --stops 100 [--ranks 2 4] [--seed 0] [--together 2]

Moments are drawn from the launch of mpiexec on, so that they fall on imports, on the meeting of the ranks, on the
recording of a step and on training. A job that has not ended 30 seconds after its
deadlines has hung; there must be none.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LATEST = 4.0  # seconds after the launch
DEADLINE, BEGINNING = 5.0, 10.0
PATIENCE = 30.0
KILLED = re.compile(r"PID (\d+) RUNNING AT")


def worker() -> None:
    """Train without an end, as one of the ranks."""
    import numpy as np

    import pynn
    from pynn import nn

    pynn.distributed.start()
    r = np.random.default_rng(0)
    model = nn.Sequential([nn.Dense(64, activation="relu"), nn.Dense(3)])
    model.compile("adam", "cross_entropy", seed=1)
    x = r.standard_normal((600, 20)).astype("float32")
    model.fit(x, r.integers(0, 3, 600), batch_size=25, epochs=10**6, verbose=0)


def ranks_of(launcher: int) -> list[int]:
    """Return the processes that run this file's worker below a launcher."""
    parents, workers = {}, []
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdigit():
                parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                if (place / "cmdline").read_bytes().endswith(b"--worker\0"):
                    workers.append(int(place.name))
        except (OSError, ValueError):  # it has ended meanwhile
            continue

    def below(pid: int) -> bool:
        while pid in parents and pid != launcher:
            pid = parents[pid]
        return pid == launcher

    return sorted(pid for pid in workers if pid != launcher and below(pid))


def job(number: int, what: signal.Signals, ranks: int, moment: float, which: float) -> tuple[str, float]:
    """Start one, hit one of its ranks, and return what came of it, and after how many seconds."""
    beside = Path(sys.executable).parent / "mpiexec"
    command = [str(beside) if beside.exists() else "mpiexec", "-n", str(ranks)]
    root = str(Path(__file__).resolve().parent.parent)
    settings = {"PYTHONPATH": root, "PYNN_NUM_THREADS": "1", "PYNN_DEADLINE": str(DEADLINE)}
    settings["PYNN_BEGINNING"] = str(BEGINNING)
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(
            [*command, sys.executable, "-P", "-m", "bench.failures", "--worker"],
            cwd=root, env={**os.environ, **settings}, stdout=out, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        time.sleep(moment)
        found = ranks_of(process.pid)
        while len(found) < ranks and process.poll() is None:
            found = ranks_of(process.pid)
        if process.poll() is not None:
            return "ended before", 0.0
        hit = found[int(which * len(found))]
        os.kill(hit, what)
        begun = time.monotonic()
        try:
            status = process.wait(DEADLINE + BEGINNING + PATIENCE)
        except subprocess.TimeoutExpired:
            for pid in ranks_of(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.kill()
            process.wait()
            return "HUNG", time.monotonic() - begun
        passed = time.monotonic() - begun
        out.seek(0)
        text = out.read()
    left = [pid for pid in found if Path(f"/proc/{pid}").exists() and pid in ranks_of(1)]
    if left:
        return "PROCESSES LEFT", passed
    if status == 0:
        return "ENDED WITHOUT AN ERROR", passed
    if re.search(rf"from [^.]*pid {hit}\)|pid {hit}\).*(has ended before|was stopped)", text):
        return "pynn named the rank", passed
    if str(hit) in KILLED.findall(text):
        return "mpiexec named the process", passed
    if "wait_until_all_ranks_have_begun" in text or re.search(r"rank \d+ waited", text):
        return "pynn said that not all ranks began", passed
    if what == signal.SIGKILL and "pynn: rank 0 (" not in text:
        return "mpiexec ended the job before the ranks had met", passed
    sys.stderr.write(f"--- job {number}, {what.name} of {hit} after {moment:.2f} s\n{text}")
    return "ended with another error", passed


def main(argv: Sequence[str] | None = None) -> None:
    """Run all and print the counts."""
    parser = argparse.ArgumentParser(prog="python -m bench.failures")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--stops", type=int, default=100)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--together", type=int, default=1, help="jobs that run at the same time")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.worker:
        worker()
        return
    draw = random.Random(arguments.seed)
    for what, count in ((signal.SIGKILL, arguments.kills), (signal.SIGSTOP, arguments.stops)):
        plans = [(i, what, draw.choice(arguments.ranks), draw.uniform(0, LATEST), draw.random()) for i in range(count)]
        with ThreadPoolExecutor(arguments.together) as pool:
            found = list(pool.map(lambda plan: job(*plan), plans))
        counts = collections.Counter(outcome for outcome, _ in found)
        longest = max((passed for _, passed in found), default=0.0)
        print(f"{count} times {what.name}, the longest {longest:.1f} s:", flush=True)
        for outcome, times in counts.most_common():
            print(f"  {times:4} {outcome}", flush=True)


if __name__ == "__main__":
    main()
