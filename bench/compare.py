"""Find what became slower between two runs of bench.peers.

    python -m bench.compare OLD NEW [--tolerance PERCENT]

OLD and NEW are files that `python -m bench.peers --out FILE` wrote. The peers are the same in both runs, so the median
of their changes tells how the machine's speed changed, and pynn's changes are judged beyond that. A row has become
slower if it did by more than the tolerance and by more than the noise of both runs: their quartiles do not overlap.

Exit status: 0 nothing became slower, 1 something did, 2 the files cannot be compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .report import lines

TOLERANCE = 5.0
SAME_MACHINE = ("cpu", "cores", "threads")


@dataclass(frozen=True)
class Change:
    """One of pynn's figures in both runs, in microseconds; `new` is corrected for the machine's speed."""

    row: str
    side: str
    old: dict[str, float]
    new: dict[str, float]

    @property
    def percent(self) -> float:
        """How much longer it takes now."""
        return 100 * (self.new["median"] / self.old["median"] - 1)

    @property
    def beyond_noise(self) -> bool:
        """Whether the quartiles of the two runs do not overlap."""
        return self.new["low"] > self.old["high"] or self.new["high"] < self.old["low"]

    def verdict(self, tolerance: float) -> str:
        if not self.beyond_noise or abs(self.percent) <= tolerance:
            return ""
        return "slower" if self.percent > 0 else "faster"


def key(row: dict[str, Any]) -> tuple[str, int]:
    return row["workload"], row["threads"]


def common(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The rows that are in both, in the order of the new run."""
    by_key = {key(row): row for row in old["rows"]}
    return [(by_key[key(row)], row) for row in new["rows"] if key(row) in by_key]


def machine_speed(old: dict[str, Any], new: dict[str, Any]) -> float:
    """How many times as long the peers take in the new run: the median over rows and peers; 1 without peers."""
    changes = [
        after["peers"][name] / before["peers"][name]
        for before, after in common(old, new)
        for name in after["peers"]
        if name in before["peers"]
    ]
    return median(changes) if changes else 1.0


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Every figure of pynn that is in both runs."""
    speed = machine_speed(old, new)
    return [
        Change(
            f"{after['workload']}, {after['threads']} thread(s)",
            side,
            before["spread"][side],
            {name: value / speed if name != "rounds" else value for name, value in after["spread"][side].items()},
        )
        for before, after in common(old, new)
        for side in after["spread"]
        if side.startswith("pynn") and side in before["spread"]
    ]


def load(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
        for row in found["rows"]:
            key(row), row["spread"]["pynn"]["median"], row["peers"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"{path} is no result of bench.peers: {error!r}")
    return found


def fail(message: str) -> None:
    print(message, file=sys.stderr)
    sys.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, metavar="PERCENT", help=f"default {TOLERANCE:g}")
    options = parser.parse_args(argv)
    old, new = load(options.old), load(options.new)
    for what in SAME_MACHINE:
        if old["machine"].get(what) != new["machine"].get(what):
            fail(f"the runs differ in {what}: {old['machine'].get(what)!r} and {new['machine'].get(what)!r}")
    found = changes(old, new)
    if not found:
        fail("the runs have no row in common")
    verdicts = [change.verdict(options.tolerance) for change in found]
    body = [
        [f"{c.row} ({c.side})" if c.side != "pynn" else c.row, f"{c.old['median']:,.2f}", f"{c.new['median']:,.2f}",
         f"{c.percent:+.1f}", verdict]
        for c, verdict in zip(found, verdicts, strict=True)
    ]  # fmt: skip
    print(
        f"The peers take {machine_speed(old, new):.3f} times as long in the new run; its figures are divided by that.\n"
    )
    print(lines(["row", "old us", "new us", "change %", "beyond noise"], body))
    slower = verdicts.count("slower")
    print(f"\n{slower} of {len(found)} became slower, {verdicts.count('faster')} faster.")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
