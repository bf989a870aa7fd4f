"""How networks grew: ten of them counted at their full size, beside the figures of the book and beside animals."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pynn import nn
from pynn.figure import COLORS, GREY, INK, finish, new_figure, tidy
from pynn.recipes import report
from pynn.recipes.networks import ANIMALS, TEN
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["connections", "counted", "draw_growth", "table"]

NEAR = 0.03  # a dot of the book's figure can be read to 2 %


def counted() -> dict[str, nn.Count]:
    """Return the sizes of the ten networks by name; no weight is made."""
    return {network.name: nn.count(network.build()) for network in TEN}


def table(found: dict[str, nn.Count]) -> str:
    """Return the counts beside the book's figures, a row for each network, as text.

    Parameters
    ----------
    found : dict of str to Count
        As :func:`counted` returns them.
    """
    rows = [["", "year", "units", "book", "connections", "per unit", "book", "pools", "multiply-adds", "parameters"]]
    for network in TEN:
        one = found[network.name]
        rows.append(
            [
                network.name, str(network.year), f"{one.units:,}", f"{network.units:,.0f}", f"{one.connections:,}",
                f"{one.per_unit:,.1f}", f"{network.per_unit:,.4g}", f"{one.pools:,}", f"{one.multiply_adds:,}",
                f"{one.parameters:,}",
            ]
        )  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return "\n".join(lines)


def draw_growth(found: dict[str, nn.Count], what: str, path: Path | str | None = None) -> Figure:
    """Draw connections per unit, or units, against the year: ours as discs, the book's as rings, animals as lines.

    Parameters
    ----------
    found : dict of str to Count
        As :func:`counted` returns them.
    what : {"per_unit", "units"}
        Which of the two figures.
    path : path-like, optional
        File to write.

    Raises
    ------
    ValueError
        If `what` is something else.
    """
    if what not in ("per_unit", "units"):
        raise ValueError(f"[draw_growth] expected what to be 'per_unit' or 'units'. Received: {what!r}.")
    figure = new_figure(7.6, 4.8)
    ax = figure.add_subplot()
    for i, network in enumerate(TEN, start=1):
        ours, book = getattr(found[network.name], what), getattr(network, what)
        ax.plot([network.year, network.drawn], [ours, book], color=GREY, linewidth=0.8, zorder=1)
        ax.scatter([network.drawn], [book], s=44, facecolors="white", edgecolors=COLORS[1], zorder=2)
        ax.scatter([network.year], [ours], s=34, color=COLORS[0], zorder=3)
        shift = (-5, -14) if network.name == "AlexNet" else (-5, 4)  # as many units as the cat neuron
        ax.annotate(f"{i}", (network.year, ours), shift, textcoords="offset points", ha="right", color=INK, fontsize=9)
    for name, (per_unit, neurons) in ANIMALS.items():
        height = per_unit if what == "per_unit" else neurons
        ax.axhline(height, color=COLORS[2], linewidth=0.9, linestyle="--", zorder=0)
        above = not (what == "per_unit" and name == "cat")  # cats and people are close together
        ax.annotate(
            name, (1956, height), (0, 2 if above else -2), textcoords="offset points",
            va="bottom" if above else "top", color=COLORS[2], fontsize=9,
        )  # fmt: skip
    ax.scatter([], [], s=34, color=COLORS[0], label="counted by one rule")
    ax.scatter([], [], s=44, facecolors="white", edgecolors=COLORS[1], label="the book's dot")
    ax.set_yscale("log")
    ax.set_xlim(1955, 2017)
    ax.set_xlabel("year")
    ax.set_ylabel("connections per neuron" if what == "per_unit" else "neurons")
    tidy(ax)
    names = "   ".join(f"{i} {network.name}" for i, network in enumerate(TEN, start=1))
    half = names.index("6 ")
    ax.set_title(f"{names[:half].rstrip()}\n{names[half:]}", loc="left", fontsize=8.5, color=INK)
    ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0.16, 0.9 if what == "units" else 0.86))
    return finish(figure, path)


@recipe(
    "connections",
    shows="ten networks from 1960 to 2014 counted at full size, without their weights: connections per neuron, neurons",
    data="none",
    expected=10,
    epochs=1,
    batch_size=1,
    measure=Measure("networks", "networks counted", ""),
)
def connections(recipe: Recipe, options: Options) -> Result:
    """Build the ten networks, count them, and set the counts beside those of the book."""
    start = time.perf_counter()
    found = counted()
    seconds = time.perf_counter() - start
    near = [n.name for n in TEN if abs(found[n.name].per_unit / n.per_unit - 1) <= NEAR]
    if not options.quiet:
        print(table(found))
        print("\nConnections: the sum of the fan-in over all units, without biases; pools are no units.")
        print(f"Within {NEAR:.0%} of the book's connections per unit: {', '.join(near)}.")
        for network in TEN:
            if network.remark:
                print(f"{network.name}: {network.remark}.")
    report.write_pictures(
        options,
        {
            "connections.png": lambda path: draw_growth(found, "per_unit", path),
            "neurons.png": lambda path: draw_growth(found, "units", path),
        },
    )
    details: dict[str, Any] = {
        network.name: {
            "year": network.year,
            "units": found[network.name].units,
            "connections": found[network.name].connections,
            "per_unit": round(found[network.name].per_unit, 1),
            "multiply_adds": found[network.name].multiply_adds,
            "pools": found[network.name].pools,
            "parameters": found[network.name].parameters,
            "book": {"per_unit": network.per_unit, "units": network.units},
            "remark": network.remark,
        }
        for network in TEN
    }
    figures = {"networks": float(len(found)), "near": float(len(near))}
    return conclude(recipe, options, figures, epochs=1, seconds=seconds, details=details)
