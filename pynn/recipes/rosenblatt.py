"""Rosenblatt's machine: photocells, association units that are wired at random, and a perceptron that reads them."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np

from pynn import viz
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude

__all__ = ["SHAPES", "association", "rosenblatt", "shapes"]

SIDE = 20
SHAPES = ("square", "disc", "triangle", "cross")
LEARNT_FROM, TESTED = 2000, 1000
UNITS = (64, 512, 2048)
WIRES = 20
FLIPPED = 0.01


def shapes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return shapes anywhere before 20 x 20 photocells, [n, 400] of 0 and 1, and their places in `SHAPES`.

    Their radius is 4 to 7 cells, all of a shape lies before the cells, and one cell in a hundred is wrong.

    Parameters
    ----------
    n : int
    seed : int

    Examples
    --------
    >>> x, y = shapes(3, seed=0)
    >>> x.shape, sorted(set(x.ravel().tolist())), y.shape
    ((3, 400), [0.0, 1.0], (3,))
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(0, len(SHAPES), n)
    radius = rng.uniform(4, 7, (n, 1, 1))
    centre = radius - 0.5 + rng.random((2, n, 1, 1)) * (SIDE - 2 * radius)
    rows, columns = (np.arange(SIDE)[:, None] - centre[0]) / radius, (np.arange(SIDE)[None] - centre[1]) / radius
    inside = np.stack(
        [
            np.maximum(abs(rows), abs(columns)) < 0.85,
            np.hypot(rows, columns) < 1,
            (rows < 0.8) & (abs(columns) < (rows + 1) * 0.55),
            (np.minimum(abs(rows), abs(columns)) < 0.25) & (np.maximum(abs(rows), abs(columns)) < 1),
        ]
    )[y, np.arange(n)]
    return (inside ^ (rng.random(inside.shape) < FLIPPED)).reshape(n, -1).astype(float), y


def association(units: int, seed: int, wires: int = WIRES) -> tuple[np.ndarray, np.ndarray]:
    """Return the fixed weights [400, units] of association units, and their thresholds [units].

    Each unit has as many wires to cells chosen at random; half of them excite by 1 and half inhibit by -1. Its
    threshold is 0 or 1, at random. Nothing of this is learnt.

    Parameters
    ----------
    units : int
    seed : int
    wires : int, default 20

    Examples
    --------
    >>> w, threshold = association(5, seed=0)
    >>> w.shape, abs(w).sum(axis=0).tolist(), w.sum(axis=0).tolist()
    ((400, 5), [20.0, 20.0, 20.0, 20.0, 20.0], [0.0, 0.0, 0.0, 0.0, 0.0])
    """
    rng = np.random.default_rng(seed)
    w = np.zeros((SIDE * SIDE, units))
    for unit in range(units):
        w[rng.choice(SIDE * SIDE, wires, replace=False), unit] = np.where(np.arange(wires) % 2, -1.0, 1.0)
    return w, rng.integers(0, 2, units).astype(float)


@recipe(
    "rosenblatt",
    shows="a machine of 20 x 20 photocells: a perceptron tells shapes apart by units that are wired at random",
    data="shapes drawn on the spot",
    expected=0.8,
    epochs=30,
    batch_size=1,
    measure=Measure("accuracy", "test accuracy with 2,048 association units"),
)
def rosenblatt(recipe: Recipe, options: Options) -> Result:
    """Teach squares, discs, triangles and crosses to a perceptron, on the cells and on 64 to 2,048 association units.

    Only the last layer learns, by the rule of error correction. What it reads decides: no line through the cells
    themselves tells shapes that may stand anywhere, but random features in large numbers come closer and closer.

    References
    ----------
    F. Rosenblatt, "The perceptron: a probabilistic model for information storage and organization in the brain",
    Psychological Review 65, 1958.
    """
    from pynn.estimators import Perceptron

    start = time.perf_counter()
    (x, y), (xt, yt) = shapes(LEARNT_FROM, options.seed), shapes(TESTED, options.seed + 1_000_000)
    accuracies: dict[str, float] = {}
    wiring: np.ndarray = np.zeros((SIDE * SIDE, 0))
    for units in (0, *UNITS):
        wiring, threshold = association(units, options.seed)
        seen, asked = ((a @ wiring > threshold).astype(float) if units else a for a in (x, xt))
        unit = Perceptron(max_iter=options.epochs or recipe.epochs, random_state=options.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the cells cannot be separated: that is the lesson
            unit.fit(seen, y)
        name = f"{units:,} units" if units else "400 cells"
        accuracies[name] = float(unit.score(asked, yt))
        if not options.quiet:
            print(f"{name:12} {unit.score(seen, y):.2%} of what was learnt, {accuracies[name]:.2%} of new shapes")
    seconds = time.perf_counter() - start
    shown = {f"{SHAPES[k]}, {i}": x[np.flatnonzero(y == k)[i]].reshape(SIDE, SIDE) for i in (0, 1) for k in range(4)}
    wired = {f"unit {i + 1}": wiring[:, i].reshape(SIDE, SIDE) for i in range(4)}
    curve: dict[str, Any] = {"New shapes": {"right": (UNITS, [accuracies[f"{n:,} units"] for n in UNITS])}}
    report.write_pictures(
        options,
        {
            "shapes.png": lambda path: viz.plot_images({**shown, **wired}, path, columns=4, size=1.4),
            "units.png": lambda path: viz.plot_curves(
                curve, path, x="association units", y="accuracy", log_x=True, dots=True
            ),
        },
    )
    return conclude(
        recipe,
        options,
        {"accuracy": accuracies[f"{UNITS[-1]:,} units"]},
        epochs=options.epochs or recipe.epochs,
        seconds=seconds,
        parameters=len(SHAPES) * (UNITS[-1] + 1),
        details=accuracies,
    )
