"""The adding problem: what a simple recurrent network forgets and an LSTM remembers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

import pynn
from pynn import nn
from pynn.figure import COLORS, GREY, INK, finish, new_figure, tidy
from pynn.recipes import report
from pynn.recipes.pace import fit_sequences
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VARIANCE", "adding_problem", "lstm_memory", "plot_errors"]

STEPS, UNITS = 100, 64
ITEMS, TESTED = 20000, 2000
VARIANCE = 1 / 6  # of the sum of two numbers from [0, 1): the error of answering 1 always


def adding_problem(n: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences x [n, steps, 2] of numbers beside marks, and y [n, 1], the sum of the two marked numbers.

    The numbers are uniform in [0, 1). One mark stands in the first half of the steps, one in the second.

    Parameters
    ----------
    n, steps : int
        At least 2 steps.
    seed : int

    Returns
    -------
    x, y : ndarray
        float32.

    References
    ----------
    Hochreiter and Schmidhuber, "Long short-term memory", 1997, experiment 4, in the form with one mark in each half.

    Examples
    --------
    >>> x, y = adding_problem(3, 100, seed=0)
    >>> x.shape, x[:, :50, 1].sum(), x[:, 50:, 1].sum()
    ((3, 100, 2), np.float32(3.0), np.float32(3.0))
    >>> bool(np.allclose((x[..., 0] * x[..., 1]).sum(axis=1, keepdims=True), y))
    True
    """
    rng = np.random.default_rng(seed)
    x = np.zeros((n, steps, 2), np.float32)
    x[..., 0] = rng.random((n, steps), np.float32)
    rows, first, second = np.arange(n), rng.integers(0, steps // 2, n), rng.integers(steps // 2, steps, n)
    x[rows, first, 1] = x[rows, second, 1] = 1
    return x, (x[rows, first, 0] + x[rows, second, 0])[:, None]


@recipe(
    "lstm-memory",
    shows="adding two of 100 numbers: an LSTM learns it, a simple recurrent network hardly (0.167 is knowing nothing)",
    data="made on the spot",
    expected=0.01,
    epochs=15,
    batch_size=50,
    measure=Measure("mse", "test error of the LSTM", "", higher=False),
)
def lstm_memory(recipe: Recipe, options: Options) -> Result:
    """Train both alike on the same 20,000 sequences; the result is the LSTM's, the other stands in the details."""
    train, test, validation = (adding_problem(n, STEPS, seed) for seed, n in enumerate((ITEMS, TESTED, TESTED)))
    layers: dict[str, nn.Module] = {"simple RNN": nn.SimpleRNN(UNITS), "LSTM": nn.LSTM(UNITS)}
    curves: dict[str, list[float]] = {}
    details: dict[str, Any] = {"baseline": VARIANCE}
    for name, layer in layers.items():
        model = nn.Sequential([nn.Input((STEPS, 2)), layer, nn.Dense(1)])
        steps = (options.epochs or 1) * -(-ITEMS // (options.batch_size or 1))
        optimizer = pynn.optim.Adam(pynn.schedules.Cosine(2e-3, steps=steps), clip_norm=1.0)
        model.compile(optimizer=optimizer, loss="mse", seed=options.seed)
        if not options.quiet:
            print(f"{name} of {UNITS} units, {model.count_parameters():,} parameters")
        part = name.lower().replace(" ", "_")
        history, seconds, speed = fit_sequences(
            options, model, *train, tokens=ITEMS * STEPS, part=part, validation_data=validation
        )
        curves[name] = history.history["val_loss"]
        details[part] = {
            "mse": float(model.evaluate(*test)["loss"]),
            "curve": [float(error) for error in curves[name]],
            "tokens_per_second": speed,
        }
        if not options.quiet:
            print(
                f"{name}: test error {details[part]['mse']:.4f} (answering 1 always: {VARIANCE:.4f}), "
                f"{speed:,} tokens/s\n"
            )
        if history.interrupted:
            raise KeyboardInterrupt
    report.write_pictures(options, {"memory.png": lambda path: plot_errors(curves, path)})
    return conclude(
        recipe,
        options,
        {"mse": details["lstm"]["mse"]},
        epochs=len(curves["LSTM"]),
        seconds=seconds,
        parameters=model.count_parameters(),
        details=details,
    )


def plot_errors(curves: dict[str, list[float]], path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw the error of each network after each epoch, on a logarithmic scale, and the error of knowing nothing.

    Parameters
    ----------
    curves : dict of str to list of float
        Names to mean squared errors on sequences that are not learnt from.
    path : path-like, optional
        File to write.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.

    Raises
    ------
    ImportError
        If matplotlib (extra ``plot``) is not installed.

    Examples
    --------
    >>> len(plot_errors({"LSTM": [0.16, 0.02]}).axes)
    1
    """
    figure = new_figure(6.4, 4.2)
    ax = figure.add_subplot()
    ax.axhline(VARIANCE, color=GREY, linestyle=":", label="answering 1 always")
    for (name, errors), color in zip(curves.items(), COLORS, strict=False):
        ax.plot(range(1, len(errors) + 1), errors, marker="o", markersize=4, color=color, label=name)
    ax.set_yscale("log")
    ax.set_xlabel("epoch")
    ax.set_ylabel("mean squared error on other sequences")
    ax.set_title(f"the adding problem over {STEPS} steps", loc="left", fontweight="bold", fontsize=11)
    tidy(ax)
    ax.legend(frameon=False, fontsize=9, labelcolor=INK)
    return finish(figure, path)
