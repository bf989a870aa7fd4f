"""Adaline as an adaptive filter: what a constant rate costs, and ten of them on digits beside the direct solution."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import pynn
from pynn import viz
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, hold_out

__all__ = ["LETTERS", "adaline_lms", "flipped", "greyed", "least_squares", "misadjustment"]

#: Patterns of 4 x 4 points, row by row; "#" is 1 and "." is -1.
LETTERS = {"T": "####.##..##..##.", "G": ".####...#.##.###", "F": "#####...###.#..."}
RATES = (0.05, 0.1, 0.2, 0.5, 1.0)
SETTLING, MEASURED = 50_000, 200_000  # samples before and while errors are counted
FLIPPED, GREYED = 0.1, 0.6
ALPHA = 0.01  # on MNIST, chosen on the part of the training images that is held out

Make = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def _patterns() -> np.ndarray:
    return np.array([[1.0 if point == "#" else -1.0 for point in letter] for letter in LETTERS.values()])


def flipped(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return letters with a tenth of their points flipped, [n, 16] of 1 and -1, and their places in `LETTERS`.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator

    Examples
    --------
    >>> x, y = flipped(3, np.random.default_rng(0))
    >>> x.shape, np.square(x).sum(axis=1).tolist(), y.shape
    ((3, 16), [16.0, 16.0, 16.0], (3,))
    """
    y = rng.integers(0, len(LETTERS), n)
    return _patterns()[y] * np.where(rng.random((n, 16)) < FLIPPED, -1.0, 1.0), y


def greyed(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return letters under normal noise of deviation 0.6, [n, 16], and their places in `LETTERS`.

    Parameters
    ----------
    n : int
    rng : numpy.random.Generator

    Examples
    --------
    >>> x, y = greyed(3, np.random.default_rng(0))
    >>> x.shape, y.shape
    ((3, 16), (3,))
    """
    y = rng.integers(0, len(LETTERS), n)
    return _patterns()[y] + rng.normal(0, GREYED, (n, 16)), y


def least_squares(x: np.ndarray, y: np.ndarray, classes: int) -> tuple[np.ndarray, float]:
    """Return the weights of the least squared error, and that error: what no rate of LMS falls below.

    Parameters
    ----------
    x : ndarray [N, D]
    y : ndarray of int [N]
        The unit of class k has the target 1 for it and -1 for all others.
    classes : int

    Returns
    -------
    weights : ndarray [1 + D, classes]
        The biases first; the shortest ones where several do.
    error : float
        Mean over the samples, summed over the units.

    Examples
    --------
    >>> w, error = least_squares(np.array([[0.0], [1.0]]), np.array([0, 1]), 2)
    >>> w.round(3).tolist(), round(error, 3)
    ([[1.0, -1.0], [-2.0, 2.0]], 0.0)
    """
    ones = np.concatenate([np.ones((len(x), 1)), x], axis=1)
    targets = np.where(y[:, None] == np.arange(classes), 1.0, -1.0)
    weights = np.linalg.lstsq(ones.T @ ones, ones.T @ targets, rcond=1e-10)[0]
    return weights, float(np.square(targets - ones @ weights).sum() / len(x))


def misadjustment(rule: str, share: float, make: Make, seed: int) -> float:
    """Return by which share the squared error of Adalines that go on learning exceeds the least one.

    Parameters
    ----------
    rule : {"mu-lms", "alpha-lms"}
    share : float
        alpha, or mu tr R with R = mean of x x^T: the share of a sample's error that one step takes away.
    make : callable
        From a number of samples and a generator to samples and classes.
    seed : int

    Notes
    -----
    Each error is counted before its sample is learnt from, so no sample is measured with weights that know it.
    """
    x, y = make(SETTLING + MEASURED, np.random.default_rng(seed))
    trace = 1 + float(np.square(x).sum(axis=1).mean())
    rate = share if rule == "alpha-lms" else share / trace
    unit = pynn.estimators.Adaline(rule=rule, learning_rate=rate, shuffle=False)
    unit.partial_fit(x[:SETTLING], y[:SETTLING], classes=np.arange(len(LETTERS)))
    unit.partial_fit(x[SETTLING:], y[SETTLING:])
    least = least_squares(x[SETTLING:], y[SETTLING:], len(LETTERS))[1]
    return 2 * unit.loss_curve_[-1] / least - 1


@recipe(
    "adaline-lms",
    shows="what a constant rate costs an Adaline, measured and predicted, and ten Adalines on digits",
    data="letters of 4 x 4 points; MNIST (11 MB: --data, PYNN_DATA, or a download)",
    expected=0.1,
    epochs=5,
    batch_size=1,
    measure=Measure("gap", "largest gap between measured and predicted excess error", higher=False),
)
def adaline_lms(recipe: Recipe, options: Options) -> Result:
    """Measure the excess error of both rules at five rates; then train ten Adalines beside least squares on MNIST.

    A rule that takes the share a of each sample's error away leaves the weights trembling about the best ones. Where
    samples are drawn anew and all have the same length, the mean squared error settles at 1 + a / (2 - a) times the
    least one, exactly; elsewhere nearly so. Errors of digits are counted on the test images, once.
    """
    start = time.perf_counter()
    details: dict[str, Any] = {"predicted": [share / (2 - share) for share in RATES], "rates": list(RATES)}
    kinds: dict[str, tuple[str, Make]] = {
        "alpha-LMS, points flipped": ("alpha-lms", flipped),
        "mu-LMS, grey noise": ("mu-lms", greyed),
    }
    for name, (rule, make) in kinds.items():
        details[name] = [misadjustment(rule, share, make, options.seed) for share in RATES]
        if not options.quiet:
            print(f"{name}: excess of the squared error over the least one")
            for share, found, told in zip(RATES, details[name], details["predicted"], strict=True):
                print(f"  share {share:4}: measured {found:8.2%}, predicted {told:8.2%}")
    gap = max(float(np.max(np.abs(np.divide(details[name], details["predicted"]) - 1))) for name in kinds)
    digits, templates = _digits(options)
    details |= digits
    seconds = time.perf_counter() - start
    panels = {name: {"measured": (RATES, details[name]), "predicted": (RATES, details["predicted"])} for name in kinds}
    letters = dict(zip(LETTERS, _patterns().reshape(-1, 4, 4), strict=True))
    noisy = {f"{name}, flipped": x for name, x in zip("TGF", _examples(flipped), strict=True)}
    grey = {f"{name}, grey": x for name, x in zip("TGF", _examples(greyed), strict=True)}
    report.write_pictures(
        options,
        {
            "misadjustment.png": lambda path: viz.plot_curves(
                panels, path, x="share of a sample's error that a step takes away", y="excess error", dots=True
            ),
            "letters.png": lambda path: viz.plot_images({**letters, **noisy, **grey}, path, columns=3, size=1.3),
            "weights.png": lambda path: viz.plot_images(templates, path, "Weights of ten Adalines", 5, 1.3),
        },
    )
    return conclude(
        recipe,
        options,
        {"gap": gap, "error": digits["adalines"], "least_squares_error": digits["least squares"]},
        epochs=options.epochs or recipe.epochs,
        seconds=seconds,
        parameters=10 * 785,
        details=details,
    )


def _digits(options: Options) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Return the errors of ten Adalines and of least squares on MNIST's test images, and the weights as pictures."""
    train, (xt, yt) = pynn.datasets.mnist(options.data, progress=not options.quiet)
    (x, y), (xv, yv) = hold_out(train[0].reshape(-1, 784) / 255.0, train[1])
    xt = xt.reshape(-1, 784) / 255.0
    weights, least = least_squares(x, y, 10)
    unit = pynn.estimators.Adaline(rule="alpha-lms", learning_rate=ALPHA, random_state=options.seed)
    for epoch in range(options.epochs or 1):
        unit.partial_fit(x, y, classes=np.arange(10))
        if not options.quiet:
            loss = 2 * unit.loss_curve_[-1] / least - 1
            held = 1 - unit.score(xv, yv)
            print(f"epoch {epoch + 1}: squared error {loss:.1%} above the least, {held:.2%} of the held-out wrong")
    wrong = {
        "adalines": 1 - float(unit.score(xt, yt)),
        "least squares": float(np.mean((xt @ weights[1:] + weights[0]).argmax(axis=1) != yt)),
    }
    print(f"test error of ten Adalines {wrong['adalines']:.2%}, of least squares {wrong['least squares']:.2%}")
    return wrong, {str(digit): w.reshape(28, 28) for digit, w in enumerate(unit.coef_)}


def _examples(make: Make) -> list[np.ndarray]:
    """Return one noisy picture of each letter."""
    x, y = make(100, np.random.default_rng(0))
    return [x[np.flatnonzero(y == letter)[0]].reshape(4, 4) for letter in range(len(LETTERS))]
