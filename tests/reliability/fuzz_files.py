"""Feed damaged and crafted files to every reader, in processes with limits of memory and time.

    python tests/reliability/fuzz_files.py --files 2000 --seed 1             all readers of readers/
    python tests/reliability/fuzz_files.py --reader ONNX --file FOUND.onnx   one file again

For each file one of these holds: it loads; it is refused by an error of the documented kind, whose message names the
file and has no control characters. Nothing else is changed by a refusal; no file is written, no code of the file runs,
nothing is asked of the network; the process lives, within 10 seconds and so much memory. What carries a digest says the
same as before or is refused. A finding is saved with the command that shows it again. Prints figures for each reader.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import common
import crafted
import mutate
import readers

SECONDS = common.SECONDS  # of the processor
MEMORY = 768 << 20  # more than any file here may ask for
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
CODE = {"pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect",
        "socket.bind", "ctypes.dlopen", "code.__new__"}  # fmt: skip
CHANGES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.truncate",
           "shutil.rmtree"}  # fmt: skip


def made(reader: readers.Reader, seed: int, i: int) -> tuple[str, bytes]:
    """Return the i-th damaged file of a reader: its name and what it holds."""
    chance = random.Random(f"{seed}/{reader.name}/{i}")
    files = reader.files()
    name = chance.choice(list(files))
    return name, mutate.mutated(files[name], chance, list(files.values()), reader.form)


class Watch:
    """Notes what no reader does: writing, running code, asking others."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.allowed = ""
        self.on = False
        sys.addaudithook(self.note)

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take an event of the interpreter."""
        if not self.on:
            return
        if event in CODE or (event in CHANGES and not str(arguments[0]).startswith(self.allowed)):
            self.seen.append(f"{event} {str(arguments)[:100]}")
        elif event == "open" and (
            (isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"))
            or (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        ):
            if not isinstance(arguments[0], int) and not str(arguments[0]).startswith(self.allowed):
                self.seen.append(f"open {str(arguments)[:100]}")
        elif event == "exec" and getattr(arguments[0], "co_filename", "") == "<string>":
            frame: Any = sys._getframe()
            while frame is not None and "importlib" not in frame.f_code.co_filename:
                frame = frame.f_back
            if frame is None:
                self.seen.append(f"exec {str(arguments)[:100]}")


def late(number: int, frame: Any) -> None:
    """End a reader that takes too long."""
    raise TimeoutError(f"more than {SECONDS} seconds")


def outcome(reader: readers.Reader, name: str, data: bytes, known: set[str], watch: Watch, folder: Path) -> str:
    """Read one file; return "loaded", "refused", or what is wrong."""
    place = folder / "files"
    place.mkdir()
    path = place / name
    path.write_bytes(data)
    before = readers.reprint(reader.held()) if reader.held is not None else ""
    watch.seen.clear()
    watch.allowed, watch.on = str(place), True
    problems = []
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        result = readers.reprint(reader.read(path))
        signal.setitimer(signal.ITIMER_PROF, 0)
        end = "loaded"
        told = readers.claimed(data) if reader.form == "safetensors" else None
        if reader.whole and result not in known and (told is None or told in known):
            problems.append("other content was loaded")
    except reader.kinds as error:
        signal.setitimer(signal.ITIMER_PROF, 0)
        end = "refused"
        text = str(error)
        if name not in text and reader.name != "bytes of a model":
            problems.append(f"the message does not name the file: {text[:200]!r}")
        if CONTROL.search(text):
            problems.append(f"the message has control characters: {text[:300]!r}")
        if len(text) > 5000:
            problems.append(f"a message of {len(text)} letters")
    except BaseException as error:
        signal.setitimer(signal.ITIMER_PROF, 0)
        end = "other"
        where = traceback.extract_tb(error.__traceback__)[-1]
        problems.append(f"{type(error).__name__}: {str(error)[:200]} ({where.filename}:{where.lineno})")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        watch.on = False
    if end != "loaded" and reader.held is not None and readers.reprint(reader.held()) != before:
        problems.append("what was refused changed something")
    problems += watch.seen
    shutil.rmtree(place)
    return "; ".join(problems) or end


def several(
    reader: readers.Reader, seed: int, numbers: range, extra: list[tuple[str, bytes]], tell: Callable[[Any], None]
) -> None:
    """Read many files; tell of each before and after."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, late)
    watch = Watch()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        os.chdir(folder)
        known: set[str] = set()
        for name, data in reader.files().items():  # also loads what is imported late
            place = Path(folder, "whole")
            place.mkdir()
            (place / name).write_bytes(data)
            known |= {readers.reprint(reader.read(place / name)), readers.claimed(data) or ""}
            shutil.rmtree(place)
        at_first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for i in [*numbers, *range(-1, -1 - len(extra), -1)]:
            name, data = made(reader, seed, i) if i >= 0 else extra[-1 - i]
            tell(["try", i])
            begun = time.monotonic()
            what = outcome(reader, name, data, known, watch, Path(folder))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - at_first
            tell(["end", i, what, round(time.monotonic() - begun, 2), peak >> 10])


def tried(reader: readers.Reader, seed: int, count: int, extra: list[tuple[str, bytes]]) -> dict[str, Any]:
    """Try damaged and crafted files on a reader; return the figures, and the findings as (number, what is wrong)."""
    figures: Counter[str] = Counter()
    findings: list[tuple[int, str]] = []
    reader.files()
    ends: dict[int, list[Any]] = {}
    begun = time.monotonic()
    while len(ends) < count + len(extra):
        damaged = sum(i >= 0 for i in ends)
        rest = range(damaged, count), extra[len(ends) - damaged :]
        found = common.apart(lambda tell, rest=rest: several(reader, seed, *rest, tell), 6 * SECONDS, MEMORY)
        at = None
        past = len(ends) - damaged
        for kind, i, *more in found.lines:
            at = (i if i >= 0 else i - past) if kind == "try" else None
            if kind == "end":
                ends[i if i >= 0 else i - past] = more
        if found.ended and at is None:
            raise RuntimeError(f"{reader.name}: {found.ended}\n{found.errors[-3000:]}")
        if at is not None:
            ends[at] = [f"the process did not live: {found.ended}; {found.errors[-300:]}", 0, 0]
    for i, (what, _, _) in ends.items():
        figures["files" if i >= 0 else "crafted"] += 1
        if what in ("loaded", "refused"):
            figures[what] += 1
        else:
            findings.append((i, what))
    slowest, i = max(((more[1], i) for i, more in ends.items()), default=(0, 0))
    peak = max((more[2] for more in ends.values()), default=0)
    seconds = round(time.monotonic() - begun, 1)
    return {**figures, "findings": findings, "peak_mib": peak, "slowest": [slowest, i], "seconds": seconds}


def main() -> int:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000, help="damaged files for each reader")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--reader", help="one reader alone, by its name")
    parser.add_argument("--file", type=Path, help="read this file again, without limits")
    parser.add_argument("--out", type=Path, default=Path("findings"))
    arguments = parser.parse_args()
    readers.small_sizes()
    wanted = [r for r in readers.READERS if arguments.reader in (None, r.name)]
    if not wanted:
        parser.error(f"no reader {arguments.reader!r}. Known: {', '.join(r.name for r in readers.READERS)}")
    if arguments.file is not None:
        print(wanted[0].read(arguments.file))
        return 0
    print(f"seed {arguments.seed}", flush=True)
    total: Counter[str] = Counter()
    for reader in wanted:
        extra = crafted.files(reader.name)
        result = tried(reader, arguments.seed, arguments.files, extra)
        findings = result.pop("findings")
        print(f"{reader.name:18} {json.dumps(result)}", flush=True)
        total.update({key: value for key, value in result.items() if key not in ("peak_mib", "seconds", "slowest")})
        shown: Counter[str] = Counter()
        for number, what in findings:
            total["finding"] += 1
            kind = re.sub(r"[0-9]+|'.*?'", "", what)[:40]
            shown[kind] += 1
            if shown[kind] > 3:
                continue
            name, data = made(reader, arguments.seed, number) if number >= 0 else extra[-1 - number]
            folder = arguments.out / f"{reader.name.replace(' ', '_')}-{arguments.seed}-{number}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
            again = f"python {sys.argv[0]} --reader {reader.name!r} --file '{folder / name}'"
            print(f"  {number}: {what}\n    {again}", flush=True)
        for kind, count in shown.items():
            if count > 3:
                print(f"  {count} in all like: {kind}", flush=True)
    print(json.dumps(total))
    return int(bool(total["finding"]))


if __name__ == "__main__":
    sys.exit(main())
