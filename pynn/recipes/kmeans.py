"""One layer of features without labels, and what shared fields do for speed: Coates and Ng's networks."""

from __future__ import annotations

import dataclasses
import time
import warnings
from typing import Any

import numpy as np

import pynn
from pynn import nn, viz
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, hold_out

__all__ = ["cots", "kmeans_features"]

FEATURES, MANY = 1600, 4000
MANY_EXPECTED = 0.79
PATCHES = 400_000
CS = (0.00025, 0.0005, 0.001, 0.002)
ITERATIONS = 600
SPREAD_EPS = 0.01  # added to the deviation of a feature before it is divided by

FIELD, STEP, IMAGES = 8, 4, 64
UNITS = (1, 4, 16, 64, 256)
SECONDS = 1.0  # each size is timed for about so long


@recipe(
    "kmeans-features",
    shows="one layer without labels: K-means on whitened patches, and a linear classifier on top",
    data="CIFAR-10 (170 MB: --data, PYNN_DATA, or a download)",
    expected=0.77,
    epochs=50,
    batch_size=1,
    full_epochs=50,
)
def kmeans_features(recipe: Recipe, options: Options) -> Result:
    """Learn 1,600 centroids of 6 x 6 patches (``--full``: 4,000), sum the features over quarters, classify linearly.

    Epochs are the rounds of K-means. The constant C of the classifier is chosen on held-out training images. A test
    image is judged together with its mirror image.
    """
    from pynn.estimators import KMeansFeatures  # it needs scikit-learn

    (x, y), (xt, yt) = pynn.datasets.cifar10(options.data, progress=not options.quiet)
    count = MANY if options.full else FEATURES
    if options.full:
        recipe = dataclasses.replace(recipe, expected=MANY_EXPECTED)
    start = time.perf_counter()
    features = KMeansFeatures(
        n_features=count,
        n_patches=PATCHES,
        max_iter=options.epochs or recipe.epochs,
        tol=0.0,
        random_state=options.seed,
    )
    _fitted(features, x)
    learned = time.perf_counter() - start
    say = _speaker(options)
    say(
        f"{count:,} centroids after {features.n_iter_} rounds, {learned:.0f} s; "
        f"{features.n_reseeded_} empty clusters were begun anew"
    )
    (held_in, _), (held, _) = hold_out(np.arange(len(x)), y)
    order = np.concatenate([held_in, held])
    rows, labels = features.transform(x[order]), y[order]
    scale = _standardize(rows)
    encoded = time.perf_counter() - start - learned
    say(f"{rows.shape[1]:,} features of {len(rows):,} images, {encoded:.0f} s")
    n = len(held_in)
    chosen, tried = _choose(rows[:n], labels[:n], rows[n:], labels[n:], say)
    classifier = _fitted(_classifier(chosen), rows, labels)
    seconds = time.perf_counter() - start
    training = classifier.score(rows, labels)
    del rows
    views = [_decisions(classifier, features.transform(seen), scale) for seen in (xt, xt[:, :, ::-1])]
    accuracy, one_view = (float(np.mean(found.argmax(1) == yt)) for found in (views[0] + views[1], views[0]))
    details: dict[str, Any] = {
        "features": count,
        "C": chosen,
        "held out": tried,
        "accuracy of one view": one_view,
        "training accuracy": float(training),
        "reseeded": features.n_reseeded_,
        "rounds": features.n_iter_,
        "seconds": {"centroids": round(learned, 1), "features": round(encoded, 1)},
    }
    result = conclude(
        recipe,
        options,
        {"accuracy": accuracy},
        epochs=options.epochs or recipe.epochs,
        seconds=seconds,
        parameters=features.centroids_.size + 10 * (4 * count + 1),
        details=details,
    )
    filters = features.centroids_.reshape(count, 6, 6, 3).transpose(1, 2, 3, 0)
    title = f"64 of {count:,} centroids of whitened patches"
    report.write_pictures(options, {"centroids.svg": lambda path: viz.plot_filters(filters, path, title)})
    return result


def _speaker(options: Options) -> Any:
    return (lambda text: None) if options.quiet else lambda text: print(text, flush=True)


def _fitted(estimator: Any, *data: Any) -> Any:
    """Return an estimator after `fit`; how many iterations it may take is the recipe's choice."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(*data)


def _standardize(rows: np.ndarray, scale: Any = None) -> Any:
    """Bring features to mean 0 and deviation 1 in place, block by block; return the means and deviations."""
    if scale is None:
        mean = rows.mean(0, dtype=np.float64)
        squares = np.zeros_like(mean)
        for at in range(0, len(rows), 1000):
            squares += np.square(rows[at : at + 1000] - mean).sum(0)
        scale = mean.astype(np.float32), (np.sqrt(squares / len(rows)) + SPREAD_EPS).astype(np.float32)
    for at in range(0, len(rows), 1000):
        part = rows[at : at + 1000]
        part -= scale[0]
        part /= scale[1]
    return scale


def _classifier(c: float, **more: Any) -> Any:
    """Return |w|**2 / 2 + C sum of max(0, 1 - y w x)**2 against the rest for each class, by L-BFGS."""
    from pynn.estimators import MLPClassifier

    settings = {"solver": "lbfgs", "loss": "squared_hinge", "max_iter": ITERATIONS, "tol": 1e-5, "random_state": 0}
    return MLPClassifier((), alpha=_alpha(c), **{**settings, **more})


def _alpha(c: float) -> float:
    """Return the constant of the estimator, whose loss is the mean over the ten classes, beside alpha |w|**2 / 2."""
    return 1 / (10 * c)


def _decisions(classifier: Any, rows: np.ndarray, scale: Any) -> Any:
    """Return how far features are on each class's side; they are brought to `scale` in place."""
    _standardize(rows, scale)
    return classifier.decision_function(rows)


def _choose(x: np.ndarray, y: np.ndarray, xv: np.ndarray, yv: np.ndarray, say: Any) -> tuple[float, dict[str, float]]:
    """Return the C that is best on held-out images, and the accuracy of each; each fit goes on from the last one."""
    tried: dict[str, float] = {}
    classifier = _classifier(CS[0], warm_start=True, max_iter=ITERATIONS // 3)
    for c in CS:
        _fitted(classifier.set_params(alpha=_alpha(c)), x, y)
        tried[str(c)] = float(classifier.score(xv, yv))
        say(f"C {c}: {tried[str(c)]:.2%} of the images held out, after {len(x):,} images")
    return CS[int(np.argmax(list(tried.values())))], tried


@recipe(
    "cots",
    shows="units that share a field of view become one dense product: weights per second as the blocks grow",
    data="made on the spot",
    expected=3.0,
    epochs=1,
    batch_size=IMAGES,
    measure=Measure("gain", "speed of blocks of 256 beside single units", "times"),
)
def cots(recipe: Recipe, options: Options) -> Result:
    """Time training steps of a tied local autoencoder whose fields hold 1 to 256 units, on one and on two threads.

    Blocks over several machines are not part of it.
    """
    rng = np.random.default_rng(options.seed)
    images = rng.standard_normal((options.batch_size or recipe.batch_size, 32, 32, 3)).astype(np.float32)
    before, start = pynn.get_num_threads(), time.perf_counter()
    speeds: dict[str, dict[str, float]] = {}
    say = _speaker(options)
    say(f"{'units a field':>14} {'weights':>10}   million weights a second, on 1 and 2 threads")
    weights = 0
    try:
        for units in UNITS:
            model = _Blocks(units)
            model.compile(pynn.optim.SGD(1e-4), "mse", seed=options.seed)
            model.train_on_batch(images, images)
            weights = model.count_parameters()
            speeds[str(units)] = {str(n): _speed(model, images, n) for n in (1, 2)}
            one, two = (speeds[str(units)][n] for n in ("1", "2"))
            say(f"{units:>14} {weights:>10,}   {one / 1e6:8.0f} {two / 1e6:8.0f}")
    finally:
        pynn.set_num_threads(before)
    gain = speeds[str(UNITS[-1])]["1"] / speeds[str(UNITS[0])]["1"]
    result = conclude(
        recipe,
        options,
        {"gain": gain, "threads": speeds[str(UNITS[-1])]["2"] / speeds[str(UNITS[-1])]["1"]},
        epochs=1,
        seconds=time.perf_counter() - start,
        parameters=weights,
        details={"weights per second": speeds},
    )
    report.write_pictures(options, {"blocks.svg": lambda path: draw_blocks(speeds, path)})
    return result


class _Blocks(nn.Module):
    """x' = W'(W x) with blocks of units that see the same 8 x 8 field, 4 pixels from field to field."""

    def __init__(self, units: int):
        super().__init__()
        self.fields = nn.LocallyConnected2D(units, FIELD, strides=STEP, use_bias=False)

    def forward(self, x: Any) -> Any:
        return self.fields.transpose(self.fields(x))


def _speed(model: Any, images: np.ndarray, threads: int) -> float:
    """Return weights, times images, that are trained in a second."""
    pynn.set_num_threads(threads)
    model.train_on_batch(images, images)
    steps, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < SECONDS:
        model.train_on_batch(images, images)
        steps += 1
    return model.count_parameters() * len(images) * steps / passed


def draw_blocks(speeds: dict[str, dict[str, float]], path: Any) -> None:
    from pynn.figure import finish, new_figure, tidy

    figure = new_figure(5.2, 3.4)
    ax = figure.add_subplot()
    units = [int(u) for u in speeds]
    for threads, mark in (("1", "o-"), ("2", "s--")):
        word = "thread" if threads == "1" else "threads"
        ax.plot(units, [speeds[str(u)][threads] / 1e6 for u in units], mark, label=f"{threads} {word}")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlabel("units that share a field")
    ax.set_ylabel("million weights a second")
    tidy(ax)
    ax.legend(frameon=False)
    finish(figure, path)
