"""One neuron: what its two learning rules can do, where they stop, and how three neurons go on."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pynn import viz
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude

__all__ = ["adaline", "perceptron", "separable"]

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
TABLES = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XNOR": [1, 0, 0, 1], "NOR": [1, 0, 0, 0]}


@recipe(
    "perceptron",
    shows="the error-correcting rule learns AND and OR, fails at XNOR, and three such neurons together do it",
    data="truth tables",
    expected=1.0,
    epochs=100,
    batch_size=1,
    measure=Measure("accuracy", "XNOR by three neurons"),
)
def perceptron(recipe: Recipe, options: Options) -> Result:
    """Learn three truth tables with one neuron each, printing every update of AND; then XNOR from AND, NOR and OR."""
    from pynn.estimators import Perceptron

    start = time.perf_counter()
    units: dict[str, Any] = {}
    details: dict[str, Any] = {}
    for name, table in TABLES.items():
        unit = Perceptron(max_iter=options.epochs or recipe.epochs, shuffle=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # XNOR is not separable: that is the lesson
            unit.fit(CORNERS, table)
        units[name] = unit
        details[name] = {
            "accuracy": unit.score(CORNERS, table),
            "updates": sum(map(sum, unit.errors_)),
            "converged": bool(unit.converged_),
            "theta": [float(unit.intercept_[0]), *map(float, unit.coef_[0])],
        }
        if not options.quiet:
            if name == "AND":
                print("AND, update by update: theta_j += (y - g(theta . x)) x_j, with x_0 = 1")
                for update in unit.trace_:
                    print(
                        f"  epoch {update.epoch}, x = {CORNERS[update.sample].astype(int).tolist()}, "
                        f"error {update.error:+d}: theta = {update.theta.tolist()}"
                    )
            state = "converged" if unit.converged_ else f"did not converge in {unit.n_iter_} epochs"
            row = details[name]
            print(f"{name:5} {row['accuracy']:.0%} right after {row['updates']} updates, {state}: theta {row['theta']}")

    def network(x: np.ndarray) -> np.ndarray:
        hidden = np.stack([units["AND"].predict(x), units["NOR"].predict(x)], axis=1).astype(float)
        return units["OR"].predict(hidden)

    accuracy = float(np.mean(network(CORNERS) == TABLES["XNOR"]))
    if not options.quiet:
        print("XNOR = (x1 AND x2) OR (x1 NOR x2), two neurons and a third upon them:")
        for corner, y in zip(CORNERS.astype(int).tolist(), network(CORNERS), strict=True):
            print(f"  {corner} -> {int(y)}")
    seconds = time.perf_counter() - start
    models = {name: _score(units[name].predict) for name in ("AND", "OR", "XNOR")} | {"three neurons": _score(network)}
    report.write_pictures(options, {"frontiers.png": lambda path: _frontiers(models, path)})
    return conclude(
        recipe, options, {"accuracy": accuracy}, epochs=options.epochs or recipe.epochs, seconds=seconds, parameters=9,
        details=details,
    )  # fmt: skip


def _score(predict: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: predict(x).astype(float).reshape(-1, 1)


def _frontiers(models: dict[str, Any], path: Path) -> Any:
    """Draw the four models, each over its own truth table."""
    from pynn.figure import COLORS, finish, new_figure, tidy

    figure = new_figure(3.4 * len(models), 3.4)
    side = np.linspace(-0.4, 1.4, 181)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    for i, (name, model) in enumerate(models.items()):
        ax = figure.add_subplot(1, len(models), i + 1)
        ax.contourf(
            side, side, model(grid).reshape(181, 181), [-0.5, 0.5, 1.5], colors=[COLORS[0], COLORS[1]], alpha=0.25
        )
        table = np.array(TABLES[name if name in TABLES else "XNOR"])
        for y, marker in ((0, "o"), (1, "s")):
            points = CORNERS[table == y]
            ax.scatter(points[:, 0], points[:, 1], s=90, marker=marker, color=COLORS[y], label=f"{y}", zorder=3)
        ax.set_xlabel("x1")
        ax.set_ylabel("x2")
        ax.set_title(name, loc="left", fontweight="bold", fontsize=11)
        tidy(ax)
    figure.axes[0].legend(frameon=False)
    return finish(figure, path)


SIDE, TRIALS = 4, 40


def separable(x: np.ndarray, y: np.ndarray) -> bool:
    """Return whether some theta has y (theta . x + theta_0) >= 1 for every row: a linear program without a goal.

    Parameters
    ----------
    x : ndarray [N, D]
    y : ndarray of 1 and -1 [N]

    Examples
    --------
    >>> corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> separable(corners, np.array([-1, -1, -1, 1])), separable(corners, np.array([1, -1, -1, 1]))
    (True, False)
    """
    from scipy.optimize import linprog

    signed = -y[:, None] * np.concatenate([np.ones((len(x), 1)), x], axis=1)
    return bool(linprog(np.zeros(signed.shape[1]), signed, -np.ones(len(x)), bounds=(None, None)).status == 0)


@recipe(
    "adaline",
    shows="how many patterns one neuron can hold: about twice its inputs, and what Widrow and Hoff's rule finds",
    data="random patterns of 4 x 4 points",
    expected=1.8,
    epochs=300,
    batch_size=1,
    measure=Measure("capacity", "patterns per weight where half can be separated", ""),
)
def adaline(recipe: Recipe, options: Options) -> Result:
    """Label random 4 x 4 patterns at random, and count how often one neuron with 17 weights can tell them apart.

    Cover (1965): of P patterns in general position, half of all labellings can be separated where P is twice the number
    of weights. The least-mean-squares rule minimizes another thing than errors, so it misses some that could be.
    """
    from pynn.estimators import Adaline

    rng = np.random.default_rng(options.seed)
    start = time.perf_counter()
    weights = SIDE * SIDE + 1
    counts = list(range(weights - 9, 3 * weights + 1, 4))
    can, does = [], []
    for count in counts:
        possible = learnt = 0
        for trial in range(TRIALS):
            x = rng.choice([-1.0, 1.0], (count, SIDE * SIDE))
            y = rng.choice([-1.0, 1.0], count)
            possible += separable(x, y)
            if trial < TRIALS // 4 and len(np.unique(y)) == 2:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the rule is stopped early on purpose
                    unit = Adaline(max_iter=options.epochs or recipe.epochs).fit(x, y)
                learnt += unit.score(x, y) == 1
        can.append(possible / TRIALS)
        does.append(learnt / (TRIALS // 4))
        if not options.quiet:
            print(f"{count:3} patterns: {can[-1]:4.0%} separable, {does[-1]:4.0%} learnt without error by Adaline")
    half = float(np.interp(0.5, can[::-1], counts[::-1]))
    seconds = time.perf_counter() - start
    report.write_pictures(
        options,
        {
            "capacity.png": lambda path: viz.plot_curves(
                {"4 x 4 patterns, 17 weights": {"separable": (counts, can), "learnt by Adaline": (counts, does)}},
                path,
                x="patterns",
                y="share of the labellings",
            )
        },
    )
    return conclude(
        recipe,
        options,
        {"capacity": half / weights},
        epochs=options.epochs or recipe.epochs,
        seconds=seconds,
        parameters=weights,
        details={"patterns": counts, "separable": can, "learnt": does, "half": half},
    )
