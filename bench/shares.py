"""Where the time of pynn's training steps goes: products, optimizer and the rest; and the rate of the products.

    python -m bench.shares [--rows PATTERN] [--algorithm auto|direct|winograd] [--out FILE]

Each workload of bench.peers is profiled on one thread, instruction by instruction. Instructions that count operations
(dense, convolutional and recurrent layers, forward and backward, with what is fused into them) are products.
"""

from __future__ import annotations

import argparse
import fnmatch
from pathlib import Path
from typing import Any

from .peers import limit_threads

SECONDS = 1.5  # about, for each workload


def row(workload: Any) -> dict[str, Any]:
    """Microseconds of one step by kind of instruction, and the rate of its products in GFLOP/s."""
    from . import side_pynn

    x, y = workload.data()
    x, y = x[: workload.batch], y[: workload.batch]
    model = side_pynn.build(workload)
    once = model.profile(x, y, batch_size=workload.batch, steps=2).seconds
    steps = max(3, min(2000, int(SECONDS / once)))
    profile = model.profile(x, y, batch_size=workload.batch, steps=steps)
    optimizer = type(model.optimizer).__name__.lower()
    times = {"products": 0.0, "optimizer": 0.0, "rest": 0.0}
    flops = 0.0
    for each in profile.rows:
        kind = "products" if each.flops else "optimizer" if each.op == optimizer else "rest"
        times[kind] += each.seconds * 1e6
        flops += each.flops or 0.0
    found = {"workload": workload.name, "us": profile.seconds * 1e6, **times}
    return found | {"gflops": flops / times["products"] / 1e3, "gbytes": (profile.read + profile.written) / 1e9}


def markdown(machine: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """What was measured, as a table."""
    from .report import lines, number

    peak = machine["fma_gflops_one_core"]
    body = [
        [
            each["workload"], number(each["us"]), *(f"{100 * each[kind] / each['us']:.0f}" for kind in
                                                    ("products", "optimizer", "rest")),
            number(each["gflops"]), number(100 * each["gflops"] / peak if peak else None, ".0f"),
            number(1e3 * each["gbytes"], ",.2f"),
        ]
        for each in rows
    ]  # fmt: skip
    head = [
        "workload", "step, us", "products, %", "optimizer, %", "rest, %", "products, GFLOP/s", "of the peak, %",
        "MB moved",
    ]  # fmt: skip
    return f"{machine['cpu']}, 1 thread; FMA peak {number(peak)} GFLOP/s.\n\n" + lines(head, body)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.shares", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="*", metavar="PATTERN", help="rows whose name contains this (a glob)")
    parser.add_argument("--algorithm", choices=("auto", "direct", "winograd"), default="auto", help="of convolutions")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write FILE with .json and with .md in place of its end"
    )
    options = parser.parse_args(argv)
    limit_threads(1)
    from .machine import header
    from .report import save
    from .workloads import by_algorithm

    machine = header(1)
    chosen = by_algorithm(options.algorithm)
    rows = [row(each) for each in chosen if fnmatch.fnmatch(each.name.lower(), f"*{options.rows.lower()}*")]
    text = markdown(machine, rows)
    print(text)
    save(options.out, {"machine": machine, "rows": rows}, text)


if __name__ == "__main__":
    main()
