"""The table of a model's layers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from pynn.errors import printable
from pynn.language import said
from pynn.nn.counting import ratio, short
from pynn.nn.survey import Survey, surveyed

__all__ = ["model_html", "summary"]


def summary(model: Any, input_shape: Sequence[Any] | None = None) -> str:
    """Return the summary of a model as text.

    Units, connections and multiply-adds are those of :func:`pynn.nn.count`, by its rule. A model with convolutions or
    pooling has a column of receptive fields: how many rows and columns of the input (or steps of a sequence) one place
    of the output depends on at most; borders, and the statistics that normalization takes of a whole image, are left
    out of account. They follow from each layer's window and stride, r <- r + (window - 1) jump and
    jump <- jump stride, where branches that come together give the largest.

    Parameters
    ----------
    model : Module
    input_shape : sequence of int, optional
        Of one sample, without the batch axis; needed unless the model begins with Input. A list of shapes for a module
        with several inputs.

    Raises
    ------
    RuntimeError
        If the input's shape is not known.
    """
    found = surveyed(model, input_shape, "summary", fields=True, build=True)
    total = found.total
    columns = {
        "layer": True, "output": True, "receptive field": found.fields, "parameters": True, "bytes": True,
        "flops": True, "units": True, "connections": True, "per unit": True, "mult-adds": True,
        "pools": total.pools > 0,
    }  # fmt: skip
    rows = [[said(name) for name in columns], *_rows(model, found)]
    rows = [[cell for cell, on in zip(row, columns.values(), strict=True) if on] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    rule = "-" * len(lines[0])
    trained = found.parameters - sum(row.frozen for row in found.rows)
    size = said(f"{total.units:,} units, {total.connections:,} connections")
    if total.units:
        size += said(f" ({ratio(total.connections / total.units) or '0'} per unit)")
    if total.pools:
        size += f", {total.pools:,} pools"
    tail = [
        said(f"{found.parameters:,} parameters ({trained:,} trainable), {short(found.nbytes, 'B')}")
        + said("; flops are of one sample, forward"),
        size + said(f", {total.products:,} multiply-adds"),
    ]
    return "\n".join([lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:]), rule, *tail])


def model_html(model: Any) -> str:
    """Return a model's summary; one that is not built yet as its text."""
    text = summary(model) if model.built else repr(model)
    return f"<pre>{escape(text)}</pre>"


def _input_names(model: Any, count: int) -> list[str]:
    """Return the names by which fit() takes inputs in a dict; "input" for one that has none."""
    names = getattr(model, "input_names", None)
    if names is None or len(names) != count or names == ["input_1"]:
        return ["input" if i == 0 else f"input_{i + 1}" for i in range(count)]
    return [printable(name) for name in names]


def _rows(model: Any, found: Survey) -> list[list[str]]:
    rows = []
    for name, shape in zip(_input_names(model, len(found.inputs)), found.inputs, strict=True):
        seen = {2: "1", 3: "1 x 1"}.get(len(shape), "")
        rows.append([name, _batch(shape), seen, "0", *[""] * 7])
    for row in found.rows:
        tally = row.tally
        rows.append(
            [
                f"{printable(row.name)} ({printable(row.kind)}){said(' (shared)') if row.shared else ''}",
                "" if row.output is None else _batch(row.output),
                row.field,
                f"{row.parameters:,}",
                short(row.nbytes, "B"),
                short(tally.flops),
                f"{tally.units:,}" if tally.units else "",
                short(tally.connections) if tally.connections else "",
                ratio(tally.connections / tally.units) if tally.units else "",
                short(tally.products) if tally.products else "",
                f"{tally.pools:,}" if tally.pools else "",
            ]
        )
    return rows


def _batch(shape: tuple[int, ...]) -> str:
    return str(("N", *shape)).replace("'", "")
