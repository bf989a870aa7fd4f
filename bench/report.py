"""The results of bench.peers in Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pynn.files import write_whole

from .machine import BUSY_LIMIT

STEP_PEERS = ("torch eager", "torch.compile", "jax jit", "jax scan", "mlx", "tinygrad", "scikit-learn")
PREDICT_PEERS = ("numpy", "onnxruntime", "torch eager")
STEPS_TITLE = (
    "Microseconds of one training step: the median of the rounds, half the distance of pynn's quartiles in per cent of "
    "it, and the best peer's time over pynn's. The bound is the time of the multiply-adds alone, at their measured "
    "peak; the last column says how many times faster than the best peer a float32 step at the bound would be."
)


def save(out: Path | None, found: dict[str, Any], text: str) -> None:
    """Write what was found to `out`, if it is given, with .json and the text with .md in place of its end."""
    if out:
        write_whole(out.with_suffix(".json"), (json.dumps(found, indent=1) + "\n").encode())
        write_whole(out.with_suffix(".md"), (text + "\n").encode())


def number(value: float | None, form: str = ",.1f") -> str:
    return "-" if value is None else format(value, form)


def lines(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    rule = "|---" + "|---:" * (len(head) - 1) + "|"
    return "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in body)])


def named(row: dict[str, Any]) -> str:
    """The row's name, with an asterisk where other processes were busy."""
    return row["workload"] + ("*" if (row.get("others_busy") or 0) > BUSY_LIMIT else "")


def width(row: dict[str, Any], name: str) -> str:
    """Half the distance of the quartiles, in per cent of the median."""
    values = row["spread"].get(name)
    return "-" if values is None else f"{50 * (values['high'] - values['low']) / values['median']:.1f}"


def bound(row: dict[str, Any], machine: dict[str, Any]) -> float | None:
    """Microseconds of the row's multiply-adds at the peak of all its threads; None where either is not known."""
    peak, flops = machine["fma_gflops_one_core"], row.get("flops")
    if not peak or not flops or machine.get("precision", "highest") != "highest":
        return None
    return float(flops / (1e3 * peak * machine["threads"]))


def present(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The peers that ran in some row."""
    return [name for name in STEP_PEERS if any(row["peers"].get(name) for row in rows)]


def steps(rows: Sequence[dict[str, Any]], machine: dict[str, Any]) -> str:
    peers = present(rows)
    head = [
        "workload", "pynn", "+- %", *peers, "best step / pynn", "target", "best of all / pynn", "bound",
        "best step / bound",
    ]  # fmt: skip
    body = []
    for row in rows:
        least, ratio = bound(row, machine), row["ratio"]
        body.append(
            [
                named(row), number(row["pynn_us"]), width(row, "pynn"),
                *(number(row["peers"].get(name)) for name in peers), number(ratio, ".2f"),
                number(row["target"], ".1f"), number(row["ratio_whole_pass"], ".2f"), number(least),
                number(ratio * row["pynn_us"] / least if ratio and least else None, ".2f"),
            ]
        )  # fmt: skip
    return lines(head, body)


def tokens(rows: Sequence[dict[str, Any]]) -> str:
    names = present(rows)

    def rate(row: dict[str, Any], microseconds: float | None) -> str:
        return number(microseconds and row["tokens"] / microseconds * 1e6, ",.0f")

    body = [
        [named(row), rate(row, row["pynn_us"]), *(rate(row, row["peers"].get(name)) for name in names)] for row in rows
    ]
    return lines(["workload", "pynn", *names], body)


def predictions(rows: Sequence[dict[str, Any]]) -> str:
    head = ["workload", "pynn predict_fn", "+- %", "pynn predict", *PREDICT_PEERS, "best / pynn", "target"]
    body = [
        [
            named(row), number(row["pynn_us"], ".2f"), width(row, "pynn"), number(row["pynn_predict_us"], ".2f"),
            *(number(row["peers"].get(name), ".2f") for name in PREDICT_PEERS), number(row["ratio"], ".2f"),
            number(row["target"], ".2f"),
        ]
        for row in rows
    ]  # fmt: skip
    return lines(head, body)


def others(rows: Sequence[dict[str, Any]], what: str, peers: tuple[str, ...]) -> str:
    body = [
        [named(row), number(row["pynn_us"]), width(row, "pynn"), *(number(row["peers"].get(name)) for name in peers),
         number(row["ratio"], ".2f")]
        for row in rows
    ]  # fmt: skip
    return lines([what, "pynn", "+- %", *peers, "best / pynn"], body)


def markdown(machine: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """All tables, with what they were measured on."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    peak, copy = machine["fma_gflops_one_core"], machine["copy_gbytes_one_core"]
    parts = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; {machine['threads']} thread(s) for every "
        f"side; FMA peak of one core {number(peak)} GFLOP/s, copy {number(copy)} GB/s. {packages}.",
    ]
    if machine.get("precision", "highest") != "highest":
        unit = machine["matrix_unit"] or "no unit for it here, so float32"
        against = "bfloat16 autocast" if machine["precision"] == "medium" else "float32"
        parts.append(f"pynn at precision {machine['precision']} ({unit}), the peers with {against}.")
    known = "training step", "prediction", "pass over a text", "changed images"
    if machine.get("clock") == "processor":
        parts.append("Times are of the processor, not of the clock on the wall.")
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in known}
    for title, table, chosen in (
        (STEPS_TITLE, partial(steps, machine=machine), kinds["training step"]),
        ("Tokens per second.", tokens, [row for row in rows if row["tokens"]]),
        ("Microseconds of one prediction, including the call.", predictions, kinds["prediction"]),
        ("Microseconds of one pass over a text.", partial(others, what="text", peers=("gensim",)),
         kinds["pass over a text"]),
        ("Microseconds for all images.", partial(others, what="images", peers=("scipy", "torchvision")),
         kinds["changed images"]),
    ):  # fmt: skip
        if chosen:
            parts += [title, table(chosen)]
    if any(named(row).endswith("*") for row in rows):
        parts.append("* Other processes were busy meanwhile; the figures are not to be trusted.")
    return "\n\n".join(parts)
