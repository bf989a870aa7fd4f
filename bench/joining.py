"""What it saves that the updates of large weights go with the products of their gradients (pynn.core.joining).

    python -m bench.joining [--threads N] [--rounds R] [--only PATTERN] [--out FILE]

Each workload of bench.peers whose step does so is timed beside itself without, round by round, in both precisions.
"""

from __future__ import annotations

import argparse
import fnmatch
from pathlib import Path
from statistics import median
from typing import Any

from .peers import limit_threads

APART = 1 << 62  # elements that no weights have


def row(workload: Any, rounds: int, threads: int) -> list[str]:
    """Milliseconds of a step with and without, and their ratio."""
    from pynn.core import joining
    from pynn.train.stepper import steps

    from . import side_pynn
    from .measure import measure
    from .side import Side

    least, found = joining.LEAST, []
    x, y = workload.data()
    try:
        for name, elements in (("joined", least), ("apart", APART)):
            joining.LEAST = elements
            stepper = steps(side_pynn.build(workload), x, y, workload.batch)
            stepper.gradients = False  # as in calls of fit() but the last of an epoch
            stepper.run(1)
            found.append(Side(name, stepper.run, lambda: 0.0))
    finally:
        joining.LEAST = least
    times = {name: median(values) / 1e3 for name, values in measure(found, rounds, threads).items()}
    return [f"{times['joined']:.3f}", f"{times['apart']:.3f}", f"{times['apart'] / times['joined']:.3f}"]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.joining", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument(
        "--only", default="MLP 784-512*|MLP 1024*|Conv 32*", metavar="PATTERN", help="rows of these names, by |"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write FILE with .md in place of its end")
    options = parser.parse_args(argv)
    limit_threads(options.threads)
    import pynn

    from .machine import header
    from .report import lines
    from .workloads import WORKLOADS

    pynn.set_num_threads(options.threads)
    machine, body = header(options.threads), []
    for precision in ("highest", "medium"):
        pynn.set_precision(precision)
        for each in WORKLOADS:
            if any(fnmatch.fnmatch(each.name, f"{pattern}*") for pattern in options.only.split("|")):
                body.append([each.name, precision, *row(each, options.rounds, options.threads)])
    head = ["workload", "precision", "joined, ms", "apart, ms", "apart / joined"]
    text = f"{machine['cpu']}, {options.threads} thread(s).\n\n" + lines(head, body)
    print(text)
    if options.out:
        options.out.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
