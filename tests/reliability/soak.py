"""A long random sequence of what the library does, in one process; a fresh process must come to the same bits.

    python tests/reliability/soak.py --minutes 10 --seed 0

In between: callbacks that do odd things, Ctrl-C and MemoryErrors at random places, models there and back, settings that
change. After every few of these a model of a number is made, trained and measured here and in a process of its own: the
digests are equal. Memory, threads, open files and handlers of signals must not grow; what an act adds that imports
modules (scikit-learn alone is 90 MB) is counted apart. Prints the figures, and exits with 1 if anything differed or
grew.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import callbacks
import interrupts
import round_trips

import pynn
from pynn.train.hooks import HOOKS

GROWTH = 64 << 20  # bytes that the second half of a run may add


def digest(number: int, seed: int) -> str:
    """Return a digest of all that comes of a model of a number."""
    found = round_trips.model(number, seed, sorted(round_trips.classes("nn")))
    if found is None:
        return "none"
    return hashlib.sha256(b"".join(round_trips.next_steps(*found[:3]))).hexdigest()


def afresh(number: int, seed: int) -> str:
    """Return the same from a process of its own."""
    command = [sys.executable, *(["-P"] if sys.flags.safe_path else []), __file__, "--digest", str(number)]
    result = subprocess.run([*command, "--seed", str(seed)], capture_output=True, text=True, timeout=300)
    return result.stdout.strip() or result.stderr[-300:]


def odd(chance: random.Random) -> tuple[str, list[str]]:
    """Do something; return what, and what is wrong."""
    kind = chance.choice(("callback", "interrupt", "trip", "settings"))
    if kind == "callback":
        thing, hook = chance.choice(callbacks.THINGS), chance.choice(HOOKS)
        return f"{thing} at {hook}", callbacks.wrong(thing, hook)[0]
    if kind == "interrupt":
        name, act = chance.choice(list(interrupts.MOMENTS)), chance.choice(list(interrupts.ACTS))
        at, gap = chance.randint(1, 20_000), chance.choice((0, 3))
        return f"{name} --kind {act} --at {at} --gap {gap}", interrupts.tried(name, at, gap, act)[0]
    if kind == "trip":
        number = chance.randrange(10_000)
        found = round_trips.differences(number, 0, sorted(round_trips.classes("nn")))
        return f"model {number}", found[0] if found else []
    pynn.set_num_threads(chance.choice((1, 2, 4, None)))
    return "threads", []


def now() -> dict[str, int]:
    """Return what this process takes."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        memory = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    return {"memory": memory, "threads": threading.active_count(), "files": len(os.listdir("/proc/self/fd"))}


def main() -> int:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=10, help="acts between two comparisons")
    parser.add_argument("--digest", type=int, help="print that of a number, and end")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.digest is not None:
        print(digest(arguments.digest, arguments.seed))
        return 0
    chance = random.Random(arguments.seed)
    figures: dict[str, Any] = {"acts": 0, "findings": 0, "compared": 0, "different": 0}
    begun = time.monotonic()
    half: dict[str, int] | None = None
    imported = 0  # bytes of the second half
    while time.monotonic() - begun < 60 * arguments.minutes or not figures["compared"]:
        for _ in range(arguments.every):
            modules, before = len(sys.modules), now()["memory"]
            what, found = odd(chance)
            if half is not None and len(sys.modules) > modules:
                imported += max(0, now()["memory"] - before)
            figures["acts"] += 1
            if found:
                figures["findings"] += 1
                print(f"act {figures['acts']}, {what}", *found, sep="\n  ", flush=True)
        number = chance.randrange(10_000)
        figures["compared"] += 1
        mine, theirs = digest(number, arguments.seed), afresh(number, arguments.seed)
        if mine != theirs:
            figures["different"] += 1
            print(f"after {figures['acts']} acts: --digest {number} is {theirs} afresh, and {mine} here", flush=True)
        if half is None and time.monotonic() - begun > 30 * arguments.minutes:
            half = now()
    pynn.set_num_threads(None)
    end, half = now(), half or now()
    grown = {key: value - half[key] for key, value in end.items()}
    more = grown["memory"] - imported > GROWTH or grown["threads"] > 0 or grown["files"] > 0
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print(
        json.dumps(
            {
                **figures,
                "in_the_second_half": {**grown, "imported": imported},
                "memory": end["memory"],
                "usual_handler": usual,
            }
        )
    )
    return int(bool(figures["findings"] or figures["different"] or more or not usual))


if __name__ == "__main__":
    sys.exit(main())
