"""How pynn behaves towards its process, other processes and other libraries; PyTorch beside it, in the same run.

    python -m bench.manners [--quick] [--only PART ...] [--alone] [--out FILE]

Parts: "threads", the default number of threads against one; "busy", a training step while another process keeps every
core busy; "rest", processor time between calls, forked, spawned and joblib's children, several threads of the caller,
growth of memory; "imports", NumPy, scikit-learn, PyTorch and pynn imported in every order. All is measured in
processes of their own, and each part is printed when it has been measured. Needs Linux; about six minutes, with --quick
less than one (that checks, it does not measure).
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .machine import OthersBusy, autogroup, header, usable_cores
from .report import lines, named, number, save
from .training import Neighbours, TimeUp, Training, environment
from .workloads import WORKLOADS, Workload

PARTS = ("threads", "busy", "rest", "imports")
BUSY_PEER = ("MLP 784-512-512*", "LeNet*", "*LSTM 128*")  # where a step of the peer beside busy neighbours is timed
MOST_SLOWER = 1.05  # default threads, of one thread's time
MOST_BUSY = 2.5  # beside busy neighbours, of the quiet time
MOST_GROWTH = 1024  # kilobytes
MOST_IDLE = 2.0  # milliseconds of processor time in a second, most of it of going to sleep
HANG = 120  # seconds until a process is taken to hang
CUT = " ^"  # marks a figure of fewer rounds than wanted


@dataclass(frozen=True)
class Effort:
    """How much is done; times in seconds."""

    workloads: tuple[Workload, ...] = WORKLOADS
    rounds: int = 7
    peer_rounds: int = 3
    block: float = 0.12  # of training between changes of side
    neighbour_rounds: int = 5
    neighbour_block: float = 0.4
    row: float = 6.0  # after which no other round of a row begins
    step: float = 15.0  # that a step beside busy neighbours may take before it is given up
    forks: int = 1000
    calls: int = 1_000_000
    peer_calls: int = 50_000
    orders: int | None = None


QUICK = Effort(WORKLOADS[:2], 1, 1, 0.02, 1, 0.1, 6.0, 15.0, 20, 10_000, 2_000, 2)


def probe(name: str, side: str, count: int = 0) -> dict[str, Any]:
    """Run a probe of bench.manner_probes in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "bench.manner_probes", name, side, str(count)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=HANG, env=environment(None)
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"hangs for {HANG} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def alternating(sides: Sequence[Callable[[], float]], rounds: int, seconds: float) -> tuple[list[float], int]:
    """The median of each side's figures, the sides taken in turn, and of how many rounds: time may be up before."""
    found: list[list[float]] = [[] for _ in sides]
    deadline = time.monotonic() + seconds
    for turn in range(rounds):
        if turn and time.monotonic() > deadline:
            break
        for k in (range(len(sides)), reversed(range(len(sides))))[turn % 2]:
            found[k].append(sides[k]())
    return [median(values) for values in found], len(found[0])


def default_against_one(trainings: Sequence[Training], workload: str, rounds: int, effort: Effort) -> dict[str, Any]:
    """Microseconds of a step with one thread and with the default number, in two processes that take turns."""
    for training in trainings:
        training.load(workload)
    one, default = trainings
    sides = [lambda: one.microseconds(effort.block), lambda: default.microseconds(effort.block)]
    (single, several), done = alternating(sides, rounds, effort.row)
    return {"one_us": single, "default_us": several, "ratio": several / single, "threads": default.threads,
            "rounds": done, "cut": done < rounds}  # fmt: skip


def beside_neighbours(training: Training, neighbours: Neighbours, workload: str, effort: Effort) -> dict[str, Any]:
    """Microseconds of a step of two threads (the default where it is more), quiet and with a busy process per core."""
    training.load(workload)
    quiet_us: list[float] = []

    def quiet() -> float:
        quiet_us.append(training.microseconds(effort.neighbour_block))
        return quiet_us[-1]

    def beside() -> float:
        with neighbours.busy():
            return training.microseconds(effort.neighbour_block, effort.step)

    row = {"threads": training.threads}
    try:
        (alone, busy), done = alternating([quiet, beside], effort.neighbour_rounds, effort.row)
    except TimeUp:
        alone, busy = median(quiet_us), effort.step * 1e6
        row |= {"at_least": True}
        done = len(quiet_us)
    return row | {"quiet_us": alone, "busy_us": busy, "ratio": busy / alone, "rounds": done,
                  "cut": done < effort.neighbour_rounds}  # fmt: skip


def timed(part: str, sides: Sequence[str], effort: Effort) -> list[dict[str, Any]]:
    """The rows of "threads" or of "busy"."""
    rows = []
    several = None if usable_cores() >= 2 else 2
    counts = (1, None) if part == "threads" else (several,)
    with ExitStack() as stack:
        trainings = {side: [stack.enter_context(Training(side, n)) for n in counts] for side in sides}
        neighbours = stack.enter_context(Neighbours()) if part == "busy" else None
        for workload in effort.workloads:
            print(f"{part}: {workload.name} ...", file=sys.stderr, flush=True)
            row: dict[str, Any] = {"workload": workload.name}
            with OthersBusy() as others:
                for side in sides:
                    first = side == sides[0]
                    try:
                        if neighbours is None:
                            rounds = effort.rounds if first else effort.peer_rounds
                            row[side] = default_against_one(trainings[side], workload.name, rounds, effort)
                        elif first or any(fnmatch.fnmatch(workload.name, p) for p in BUSY_PEER):
                            row[side] = beside_neighbours(trainings[side][0], neighbours, workload.name, effort)
                    except TimeUp as error:
                        row[side] = {"failed": str(error)}
            rows.append(row | {"others_busy": others.cores})
    return rows


def rest(sides: Sequence[str], effort: Effort) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for side in sides:
        first = side == sides[0]
        counts = {"forks": effort.forks, "growth": effort.calls if first else effort.peer_calls}
        found[side] = {}
        for name in ("idle", "forks", "callers", "children", "growth"):
            print(f"{name}: {side} ...", file=sys.stderr, flush=True)
            found[side][name] = probe(name, side, counts.get(name, 0))
    return found


def imports(sides: Sequence[str], effort: Effort) -> dict[str, Any]:
    """All orders of what is installed; the counts of threads are compared with those of an order without pynn.

    Nothing is timed, so as many processes as there are cores run at once.
    """
    names = [n for n in ("numpy", "sklearn", "pynn", "torch") if n in sides or importlib.util.find_spec(n)]
    others = [n for n in names if n != "pynn"]
    orders = [",".join(order) for order in itertools.islice(itertools.permutations(names), effort.orders)]
    print(f"imports: {len(orders)} orders ...", file=sys.stderr, flush=True)
    with ThreadPoolExecutor(usable_cores()) as pool:
        without, *all_found = pool.map(lambda text: probe("imports", text), [",".join(others), *orders])
    for got in all_found:
        if "failed" not in got:
            for library, count in without.get("counts", {}).items():
                if got["counts"].get(library, count) != count:
                    got["changed"][f"{library} with pynn"] = [count, got["counts"][library]]
    found = {"names": names, "without_pynn": without, "orders": dict(zip(orders, all_found, strict=True))}
    bits = {got.get("bits") for got in all_found}
    good = sum(not got.get("failed") and not got["changed"] for got in all_found)
    return found | {"good": good, "same_bits": len(bits) == 1 and None not in bits}


# Tables


def timed_table(rows: Sequence[dict[str, Any]], before: str, after: str, titles: Sequence[str]) -> str:
    """Two columns of microseconds and the ratio, for pynn and for the peer."""
    sides = [s for s in ("pynn", "torch") if any(s in row for row in rows)]
    head = ["workload", *(f"{side} {title}" for side in sides for title in (*titles, "ratio"))]

    def cells(row: dict[str, Any], side: str) -> list[str]:
        got = row.get(side)
        if got is None:
            return ["-"] * 3
        if "failed" in got:
            return ["-", got["failed"], "-"]
        more, cut = "> " if got.get("at_least") else "", CUT if got.get("cut") else ""
        return [number(got[before]), f"{more}{number(got[after])}{cut}", f"{more}{number(got['ratio'], '.2f')}"]

    table = lines(head, [[named(row), *(cell for side in sides for cell in cells(row, side))] for row in rows])
    notes = [f"{CUT.strip()} the median of fewer rounds: the row's time was up."] if CUT in table else []
    if any(named(row).endswith("*") for row in rows):
        notes.append("* Other processes were busy meanwhile; the figures are not to be trusted.")
    return "\n\n".join([table, *notes])


def yes(value: Any) -> str:
    return "-" if value is None else "yes" if value else "NO"


def rest_table(found: dict[str, dict[str, Any]]) -> str:
    """One line for each kind of manners, one column for each side."""

    def calls(text: str) -> Callable[[dict[str, Any]], str]:
        return lambda g: number(g[text]["kilobytes"], ",.0f") + f" in {g[text]['calls']:,}" if text in g else "-"

    what: list[tuple[str, str, Callable[[dict[str, Any]], str]]] = [
        ("idle", "processor time in the second after training, ms", lambda g: number(g["first"], ".2f")),
        ("idle", "and in the second after that, ms", lambda g: number(g["second"], ".2f")),
        ("forks", "forked children that trained on, of those tried", lambda g: f"{g['finished']:,} of {g['tried']:,}"),
        ("forks", "all to the same bits", lambda g: yes(g["same_bits"])),
        ("children", "a spawned process: the same bits", lambda g: yes(g["spawned"])),
        ("children", "joblib's processes: the same bits", lambda g: yes(g.get("joblib_loky"))),
        ("children", "joblib's threads: the same bits", lambda g: yes(g.get("joblib_threading"))),
        ("callers", "two threads train two models: as alone", lambda g: yes(g["trainings_as_alone"])),
        ("callers", "eight threads predict with one model: as alone", lambda g: yes(g["predictions_as_alone"])),
        ("callers", "native threads beside Python's: one caller", lambda g: str(g["threads_alone"])),
        ("callers", "two trainings", lambda g: str(g["threads_of_two_trainings"])),
        ("callers", "eight predictors", lambda g: str(g["threads_of_eight_predictors"])),
        ("growth", "growth of memory over prepared predictions, kB", calls("predict_fn")),
        ("growth", "over predict(), kB", calls("predict")),
        ("growth", "over fits, kB", calls("fit")),
    ]

    def cell(got: dict[str, Any], show: Callable[[dict[str, Any]], str]) -> str:
        return f"failed: {got['failed']}" if "failed" in got else show(got)

    body = [[text, *(cell(found[side][name], show) for side in found)] for name, text, show in what]
    return lines(["", *found], body)


def imports_text(found: dict[str, Any]) -> str:
    orders = found["orders"]
    parts = [
        f"{found['good']} of {len(orders)} orders of importing {', '.join(found['names'])}: no hang, no crash, "
        f"nobody's number of threads changed; pynn's bits the same in all: {yes(found['same_bits'])}."
    ]
    parts += [
        f"{order}: {got.get('failed') or got['changed']}"
        for order, got in orders.items()
        if got.get("failed") or got["changed"]
    ]
    return "\n".join(parts)


def misses(results: dict[str, Any]) -> list[str]:
    """What is not as it should be, in words."""
    found = []
    for part, most in (("threads", MOST_SLOWER), ("busy", MOST_BUSY)):
        for row in results.get(part, ()):
            got = row["pynn"]
            if "failed" in got:
                found.append(f"{part}: {row['workload']}: {got['failed']}")
            elif got["ratio"] > most:
                found.append(f"{part}: {row['workload']}: {got['ratio']:.2f}, at most {most}")
    for name, got in results.get("rest", {}).get("pynn", {}).items():
        if "failed" in got:
            found.append(f"{name}: {got['failed']}")
            continue
        found += [f"{name}: {key}" for key, value in got.items() if value is False]
        if name == "idle" and got["first"] > MOST_IDLE:
            found.append(f"idle: {got['first']:.1f} ms of processor time in a second of rest")
        if name == "forks" and got["finished"] != got["tried"]:
            found.append(f"forks: {got['finished']} of {got['tried']}")
        if (
            name == "callers"
            and max(got["threads_of_two_trainings"], got["threads_of_eight_predictors"]) > (got["threads_alone"])
        ):
            found.append("callers: more callers start more threads")
        if name == "growth":
            found += [f"growth: {k}: {v['kilobytes']:.0f} kB" for k, v in got.items() if v["kilobytes"] >= MOST_GROWTH]
    if "imports" in results:
        got = results["imports"]
        if got["good"] != len(got["orders"]) or not got["same_bits"]:
            found.append(f"imports: {got['good']} of {len(got['orders'])} orders")
    return found


def described(machine: dict[str, Any]) -> str:
    """What it was measured on."""
    sharing = {True: "on", False: "off"}.get(machine.get("autogroup"), "unknown")
    packages = ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())
    busy = number(machine.get("busy_cores"), ".2f")
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; autogroup {sharing} (busy neighbours belong "
        f"to the session of what they disturb); other processes kept {busy} cores busy before. {packages}."
    )


def part_text(part: str, found: Any) -> str:
    """The tables of one part, and what misses its target."""
    wrong = misses({part: found})
    parts = []
    if part == "threads":
        parts += [f"Microseconds of a step with one thread and with the default; a ratio of at most {MOST_SLOWER}.",
                  timed_table(found, "one_us", "default_us", ("one thread", "default"))]  # fmt: skip
    elif part == "busy":
        parts += ["Microseconds of a step of all threads, quiet and with one busy process on every core; at most "
                  f"{MOST_BUSY} times as long.",
                  timed_table(found, "quiet_us", "busy_us", ("quiet", "busy"))]  # fmt: skip
    else:
        parts.append(rest_table(found) if part == "rest" else imports_text(found))
    parts.append(f"Targets missed in {part}: " + ("; ".join(wrong) if wrong else "none") + ".")
    return "\n\n".join(parts)


def markdown(machine: dict[str, Any], results: dict[str, Any]) -> str:
    """All tables, and what misses its target."""
    return "\n\n".join([described(machine), *(part_text(part, found) for part, found in results.items())])


def measured(part: str, sides: Sequence[str], effort: Effort) -> Any:
    if part in ("threads", "busy"):
        return timed(part, sides, effort)
    return (rest if part == "rest" else imports)(sides, effort)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.manners", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a little of everything, to see that it works")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--alone", action="store_true", help="without PyTorch")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write FILE with .json and with .md in place of its end"
    )
    options = parser.parse_args(argv)
    effort = QUICK if options.quick else Effort()
    sides = ["pynn"] if options.alone or importlib.util.find_spec("torch") is None else ["pynn", "torch"]
    machine = header(usable_cores()) | {"autogroup": autogroup()}
    print(described(machine), flush=True)
    results: dict[str, Any] = {}
    for part in PARTS:
        if part not in options.only:
            continue
        started = time.monotonic()
        results[part] = measured(part, sides, effort)
        print(f"\n{part_text(part, results[part])}", flush=True)
        print(f"{part}: {time.monotonic() - started:.0f} seconds", file=sys.stderr, flush=True)
        # After every part, so that whoever stops it keeps what was measured.
        save(options.out, {"machine": machine, **results}, markdown(machine, results))


if __name__ == "__main__":
    main()
