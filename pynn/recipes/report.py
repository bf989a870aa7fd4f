"""The files that a run leaves: weights, curves, and what the model got wrong."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pynn import viz
from pynn.language import said
from pynn.recipes.records import Options

__all__ = ["check_drawing", "moving", "write", "write_pictures"]

WORST = 24


def check_drawing() -> None:
    """Raise ImportError now, not after the training, if there is nothing to draw with."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError('--out writes pictures, which needs matplotlib. help: pip install "pynn-dl[plot]"')


def write(
    folder: Path,
    recipe: str,
    model: Any,
    history: Any,
    x: np.ndarray,
    y: np.ndarray,
    pictures: Mapping[str, Callable[[Path], Any]],
) -> list[str]:
    """Write the report of a classifier tested on `x` and `y` into `folder` and return the names of the files."""
    probability = _probabilities(model, x)
    predicted = probability.argmax(axis=1)
    confusion = np.zeros((probability.shape[1],) * 2, int)
    np.add.at(confusion, (y, predicted), 1)

    def mistakes(path: Path) -> None:
        if x.ndim == 2:
            viz.plot_frontier(model, x, y, path, title="mistakes are ringed")
            return
        wrong = np.flatnonzero(predicted != y)
        # the surest of what is wrong first, which is the order that the captions show
        worst = wrong[np.argsort(-probability[wrong, predicted[wrong]], kind="stable")][:WORST]
        viz.plot_mistakes(x[worst], y[worst], predicted[worst], probability[worst, predicted[worst]], path)

    model.save(folder / "model.pynn", include_optimizer=False, metadata={"recipe": recipe})
    history.to_csv(folder / "history.csv")
    drawn = {
        "history.png": lambda path: viz.plot_history(history, path),
        "confusion.png": lambda path: viz.plot_confusion(confusion, path=path),
        "mistakes.png": mistakes,
        **pictures,
    }
    if x.ndim < 3 and x.shape[1:] != (2,):  # rows of a table cannot be looked at
        del drawn["mistakes.png"]
    for name, draw in drawn.items():
        draw(folder / name)
    return ["model.pynn", "history.csv", *drawn]


def moving(
    options: Options, name: str, draw: Callable[[Any], Any], every: int = 1
) -> tuple[list[viz.Frames], dict[str, Callable[[Path], Any]]]:
    """Return callbacks that draw a model while it learns, and the picture that they make, by its file name.

    Both are empty if no ``--out`` is wanted.
    """
    if options.out is None:
        return [], {}
    frames = viz.Frames(draw, every)
    return [frames], {name: frames.save}


def write_pictures(options: Options, pictures: Mapping[str, Callable[[Path], Any]]) -> None:
    """Draw pictures, by file name, into the folder ``--out`` if it is wanted, and say so."""
    if options.out is None:
        return
    for name, draw in pictures.items():
        draw(options.out / name)
    if not options.quiet:
        print(said(f"wrote to {options.out}: {', '.join(pictures)}"))


def _probabilities(model: Any, x: np.ndarray) -> np.ndarray:
    """Return [n, classes]; one column is the probability of class 1."""
    out = model.predict(x)
    return out if out.shape[1] > 1 else np.concatenate([1 - out, out], axis=1)
