"""Two troubles of regression: single points that pull a line away, and inputs that say the same thing twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn, optim
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, timed_fit

__all__ = ["collinear", "outliers", "with_outliers"]

SLOPE, OFFSET = 0.8, 0.3
LOSSES: dict[str, Any] = {"squared error": "mse", "absolute error": "mae", "Huber": pynn.losses.Huber(delta=0.5)}
DRAWS, ALIKE = 30, 0.02
PENALTY = 0.1


def with_outliers(n: int, wrong: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points about y = 0.8 x + 0.3, x [n, 1] and y [n, 1]; the last few, at large x, are read 6 too low.

    Parameters
    ----------
    n, wrong : int
    seed : int

    Examples
    --------
    >>> x, y = with_outliers(20, 2, seed=0)
    >>> (y - 0.8 * x - 0.3 < -5).ravel().sum()
    np.int64(2)
    """
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.uniform(-2, 2, n - wrong), rng.uniform(1.5, 2, wrong)])
    y = SLOPE * x + OFFSET + rng.normal(0, 0.2, n)
    y[n - wrong :] -= 6
    return x.astype(np.float32)[:, None], y.astype(np.float32)[:, None]


def collinear(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x [n, 2] whose columns are almost the same, and y [n, 1] = x1 + x2 with noise.

    Parameters
    ----------
    n : int
    seed : int

    Examples
    --------
    >>> x, y = collinear(100, seed=0)
    >>> bool(np.corrcoef(x.T)[0, 1] > 0.999)
    True
    """
    rng = np.random.default_rng(seed)
    first = rng.normal(size=n)
    x = np.stack([first, first + ALIKE * rng.normal(size=n)], axis=1)
    return x, (x.sum(axis=1) + rng.normal(0, 0.3, n))[:, None]


def _solved(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """Return the w with the least mean of (y - x w)**2 + penalty |w|**2."""
    return np.linalg.solve(x.T @ x / len(x) + penalty * np.eye(x.shape[1]), x.T @ y / len(x)).ravel()


@recipe(
    "outliers",
    shows="two troubles of regression: outliers that pull a line away, and collinear inputs whose weights mean nothing",
    data="points made on the spot",
    expected=0.1,
    epochs=300,
    batch_size=16,
    measure=Measure("slope_error", "error of the slope with Huber's loss", "", higher=False),
)
def outliers(recipe: Recipe, options: Options) -> Result:
    """Fit a line through 54 good points and 6 bad ones by three losses; then two inputs that are almost one.

    The squared error counts an outlier by its square, so six points outvote many. The absolute error and Huber's count
    it by its size. With collinear inputs the sum of the weights is well known, but not the weights: they change from
    sample to sample, until a penalty on their squares prefers the small ones.
    """
    x, y = with_outliers(60, 6, options.seed)
    lines: dict[str, Any] = {}
    details: dict[str, Any] = {}
    seconds = 0.0
    for name, loss in LOSSES.items():
        model = nn.Sequential([nn.Input((1,)), nn.Dense(1)])
        steps = -(-len(x) // (options.batch_size or 1)) * (options.epochs or 1)
        model.compile(optim.Adam(pynn.schedules.Cosine(0.05, steps)), loss, seed=options.seed)
        _, spent = timed_fit(options, model, x, y, verbose=0)
        slope, offset = model.layers[0].w.numpy().item(), model.layers[0].b.numpy().item()
        lines[name], seconds = (slope, offset), seconds + spent
        details[name] = {"slope": slope, "offset": offset, "error": abs(slope - SLOPE)}
        if not options.quiet:
            print(f"{name:15} y = {slope:.2f} x + {offset:.2f}, the good points lie about y = {SLOPE} x + {OFFSET}")
    weights = {
        name: np.array([_solved(*collinear(50, seed), penalty) for seed in range(DRAWS)])
        for name, penalty in (("least squares", 0.0), (f"penalty {PENALTY}", PENALTY))
    }
    details["condition"] = float(np.linalg.cond(collinear(50, 0)[0]) ** 2)
    for name, found in weights.items():
        details[name] = {
            "deviation": float(found.std(axis=0).mean()), "of the sum": float(found.sum(axis=1).std()),
        }  # fmt: skip
        if not options.quiet:
            print(f"{name:15} weights differ by {details[name]['deviation']:.2f} from sample to sample,", end=" ")
            print(f"their sum by {details[name]['of the sum']:.2f}")
    report.write_pictures(
        options,
        {
            "outliers.png": lambda path: _draw_lines(x, y, lines, path),
            "collinear.png": lambda path: _draw_weights(weights, path),
        },
    )
    return conclude(
        recipe,
        options,
        {"slope_error": details["Huber"]["error"]},
        epochs=options.epochs or recipe.epochs,
        seconds=seconds,
        parameters=2,
        details=details,
    )


def _draw_lines(x: np.ndarray, y: np.ndarray, lines: dict[str, tuple[float, float]], path: Path | None) -> Any:
    from pynn.figure import COLORS, INK

    def draw(ax: Any) -> None:
        ax.scatter(x, y, s=18, color=INK, linewidths=0)
        ends = np.array([-2.0, 2.0])
        for color, (name, (slope, offset)) in zip(COLORS, lines.items(), strict=False):
            ax.plot(ends, slope * ends + offset, color=color, label=name)

    return _drawn(draw, "x", "y", path)


def _draw_weights(weights: dict[str, np.ndarray], path: Path | None) -> Any:
    from pynn.figure import COLORS

    def draw(ax: Any) -> None:
        for color, (name, found) in zip(COLORS, weights.items(), strict=False):
            ax.scatter(found[:, 0], found[:, 1], s=18, color=color, linewidths=0, label=name)

    return _drawn(draw, "first weight", "second weight", path)


def _drawn(draw: Callable[[Any], None], across: str, up: str, path: Path | None) -> Any:
    from pynn.figure import finish, new_figure, tidy

    figure = new_figure(6.0, 4.2)
    ax = figure.add_subplot()
    draw(ax)
    ax.legend(frameon=False)
    ax.set_xlabel(across)
    ax.set_ylabel(up)
    tidy(ax)
    return finish(figure, path)
