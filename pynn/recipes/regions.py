"""What one, two and three layers can enclose: a half-plane, a convex region, and any region."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pynn import nn, optim, viz
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, timed_fit

__all__ = ["REGIONS", "built", "decision_regions", "points"]


def _half(p: np.ndarray) -> np.ndarray:
    return p[:, 0] + 0.5 * p[:, 1] > 0.1


def _triangle(p: np.ndarray) -> np.ndarray:
    return (p[:, 1] > -0.6) & (1.6 * abs(p[:, 0]) + p[:, 1] < 0.7)


def _pieces(p: np.ndarray) -> np.ndarray:
    ring = (np.hypot(p[:, 0] + 0.4, p[:, 1]) < 0.5) & (np.hypot(p[:, 0] + 0.4, p[:, 1]) > 0.22)
    return ring | (np.maximum(abs(p[:, 0] - 0.6), abs(p[:, 1] - 0.45)) < 0.28)


#: Functions from points [n, 2] to whether each lies in the region.
REGIONS = {"half-plane": _half, "convex": _triangle, "in pieces, with a hole": _pieces}
#: Units of the hidden layers.
LAYERS: dict[str, tuple[int, ...]] = {"one layer": (), "two layers": (3,), "three layers": (24, 12)}


def points(region: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points of the square from -1 to 1, [n, 2], and whether they lie in a region of `REGIONS`, 1 or 0.

    Parameters
    ----------
    region : str
    n : int
    seed : int

    Examples
    --------
    >>> x, y = points("convex", 4, seed=1)
    >>> x.shape, y.tolist()
    ((4, 2), [0, 0, 1, 0])
    """
    x = np.random.default_rng(seed).uniform(-1, 1, (n, 2)).astype(np.float32)
    return x, REGIONS[region](x).astype(np.int64)


def built(steps: bool = True) -> Any:
    """Return a function from points [n, 2] to 1 in a triangle and a square, else 0, by threshold units alone.

    First layer: seven half-planes. Second: of three of them and of four of them, whether all hold. Third: whether
    either does.

    Parameters
    ----------
    steps : bool, default True
        False returns what the second layer says, [n, 2].

    Examples
    --------
    >>> built()(np.array([[-0.5, 0.0], [0.5, 0.5], [0.0, -0.9]])).ravel().tolist()
    [1.0, 1.0, 0.0]
    """
    w1 = np.array([[0, 1], [-1.6, -1], [1.6, -1], [1, 0], [-1, 0], [0, 1], [0, -1]], float).T
    b1 = np.array([0.6, -0.2, 1.4, -0.3, 0.9, -0.2, 0.8])
    w2 = np.array([[1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1]], float).T
    b2, w3, b3 = np.array([-2.5, -3.5]), np.ones((2, 1)), -0.5

    def network(x: np.ndarray) -> np.ndarray:
        second = ((x @ w1 + b1 > 0) @ w2 + b2 > 0).astype(float)
        return (second @ w3 + b3 > 0).astype(float) if steps else second

    return network


@recipe(
    "decision-regions",
    shows="what one, two and three layers enclose: a half-plane, a convex region, a region in pieces with a hole",
    data="points made on the spot",
    expected=0.95,
    epochs=150,
    batch_size=32,
    measure=Measure("accuracy", "accuracy of three layers on the region in pieces"),
)
def decision_regions(recipe: Recipe, options: Options) -> Result:
    """Train networks without and with one and two hidden layers on three regions, all nine pairs of them.

    References
    ----------
    R. P. Lippmann, "An introduction to computing with neural nets", IEEE ASSP Magazine, 1987.
    """
    details: dict[str, Any] = {}
    pictures: dict[str, Any] = {}
    seconds, parameters = 0.0, 0
    for region in REGIONS:
        (x, y), (xt, yt) = points(region, 1500, 1), points(region, 2000, 2)
        models: dict[str, Any] = {}
        for name, hidden in LAYERS.items():
            layers = [nn.Dense(units, activation="tanh") for units in hidden]
            model = nn.Sequential([nn.Input((2,)), *layers, nn.Dense(1, activation="sigmoid")])
            model.compile(optim.Adam(0.02), "binary_cross_entropy", ["accuracy"], seed=options.seed)
            _, spent = timed_fit(options, model, x, y, verbose=0)
            accuracy = float(model.evaluate(xt, yt)["accuracy"])
            seconds, parameters = seconds + spent, model.count_parameters()
            details[f"{region}, {name}"], models[name] = accuracy, model
            if not options.quiet:
                print(f"{region:23} {name:13} {accuracy:.2%}")
        name = region.split(",")[0].replace(" ", "-")
        pictures[f"{name}.png"] = _drawing(models, xt[:300], yt[:300])
    report.write_pictures(options, pictures)
    hardest = list(REGIONS)[-1]
    return conclude(
        recipe, options, {"accuracy": details[f"{hardest}, three layers"]}, epochs=options.epochs or recipe.epochs,
        seconds=seconds, parameters=parameters, details=details,
    )  # fmt: skip


def _drawing(models: dict[str, Any], x: np.ndarray, y: np.ndarray) -> Callable[[Path], Any]:
    return lambda path: viz.plot_frontier(models, x, y, path, mistakes=False)
