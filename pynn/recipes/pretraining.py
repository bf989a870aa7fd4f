"""Few labels, many images: what an autoencoder learns without labels helps a classifier that has few."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn, viz
from pynn.recipes import report
from pynn.recipes.autoencoders import MNIST, PIXELS
from pynn.recipes.records import spread
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, timed_fit

__all__ = ["balanced", "pretraining"]

SEEDS = 5
LABELS = (1000, 100)
UNITS = (500, 500, 500)
MASKED = 0.3  # the share of the pixels that the autoencoder does not see
UPDATES = 1200  # of each classifier
BATCH = 50


@recipe(
    "pretraining",
    shows="few labels, many images: unsupervised pre-training against random initial weights, over five seeds",
    data=MNIST,
    expected=0.91,
    epochs=5,
    batch_size=128,
    measure=Measure("accuracy", "accuracy with 1,000 labels"),
)
def pretraining(recipe: Recipe, options: Options) -> Result:
    """Train three denoising autoencoders on 60,000 images, then their encoders as a classifier of 1,000 and 100 labels.

    The network is one of its time, 784-500-500-500-10 with sigmoid units, which learns slowly from random weights. The
    same network, with the same labels, the same settings and random initial weights stands beside it. Every seed
    chooses labels and weights anew; the figure is the mean of the pre-trained ones with 1,000 labels. Nothing is chosen
    by the test part: all classifiers make the same number of updates.

    References
    ----------
    P. Vincent, H. Larochelle, Y. Bengio and P.-A. Manzagol, "Extracting and composing robust features with denoising
    autoencoders", ICML 2008.
    """
    (images, y), test = pynn.datasets.mnist(options.data, progress=not options.quiet)
    x = images.reshape(-1, PIXELS) / np.float32(255)
    xt, yt = test[0].reshape(-1, PIXELS) / np.float32(255), test[1]
    found: dict[str, dict[int, list[float]]] = {name: {n: [] for n in LABELS} for name in ("pre-trained", "random")}
    seconds, filters = 0.0, {}
    for seed in range(options.seed, options.seed + SEEDS):
        start = time.perf_counter()
        weights, losses = _learn_without_labels(options, x, seed)
        seconds += time.perf_counter() - start
        for labels in LABELS:
            chosen = balanced(y, labels, seed)
            for name, initial in (("pre-trained", weights), ("random", None)):
                start = time.perf_counter()
                model = _classifier(seed, initial)
                epochs = UPDATES * BATCH // labels
                history = model.fit(x[chosen], y[chosen], batch_size=BATCH, epochs=epochs, verbose=0)
                if history.interrupted:
                    raise KeyboardInterrupt
                seconds += time.perf_counter() - start
                found[name][labels].append(float(model.evaluate(xt, yt)["accuracy"]))
                filters[name] = model.layers[0].w.numpy()
        if not options.quiet:
            told = "; ".join(
                f"{labels:,} labels {found['pre-trained'][labels][-1]:.2%} against {found['random'][labels][-1]:.2%}"
                for labels in LABELS
            )
            print(f"seed {seed}: autoencoder's error {losses[-1]:.4f}; pre-trained against random: {told}")
    details = {name: {str(n): spread(values) for n, values in by.items()} for name, by in found.items()}
    for labels in LABELS:
        row = {name: details[name][str(labels)] for name in found}
        shown = ", ".join(f"{name} {100 * v['mean']:.2f} +- {100 * v['deviation']:.2f} %" for name, v in row.items())
        print(f"{labels:5,} labels, {SEEDS} seeds: {shown}")
    report.write_pictures(options, _pictures(found, filters, options.seed))
    return conclude(
        recipe,
        options,
        {
            "accuracy": details["pre-trained"][str(LABELS[0])]["mean"],
            "random": details["random"][str(LABELS[0])]["mean"],
        },
        epochs=len(losses),
        seconds=seconds,
        parameters=model.count_parameters(),
        details=details,
    )


def balanced(y: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return the places of `count` labels chosen at random, as many of each class.

    Parameters
    ----------
    y : ndarray of int [N]
    count : int
        A multiple of the number of classes; each class has enough.
    seed : int

    Examples
    --------
    >>> y = np.arange(40) % 4
    >>> np.bincount(y[balanced(y, 8, seed=0)])
    array([2, 2, 2, 2])
    """
    order = np.random.default_rng(seed).permutation(len(y))
    classes = np.unique(y)
    return np.concatenate([order[y[order] == label][: count // len(classes)] for label in classes])


def _learn_without_labels(options: Options, x: np.ndarray, seed: int) -> tuple[list[np.ndarray], list[float]]:
    """Train one denoising autoencoder on what the last one's units say, layer by layer; the first sees images.

    Returns the weights of all encoders, and the losses of the first autoencoder.
    """
    weights: list[np.ndarray] = []
    losses: list[float] = []
    for i, units in enumerate(UNITS):
        width = x.shape[1]
        encoder = nn.Dense(units, activation="sigmoid")
        decoder = nn.Dense(width, activation="sigmoid")
        model = nn.Sequential([nn.Input((width,)), nn.Dropout(MASKED), encoder, decoder])
        steps = -(-len(x) // (options.batch_size or 1)) * (options.epochs or 1)
        model.compile(pynn.optim.Adam(pynn.schedules.Cosine(2e-3, steps)), "binary_cross_entropy", seed=seed)
        folder = options.checkpoint and options.checkpoint / f"seed-{seed}-layer-{i}"
        history, _ = timed_fit(dataclasses.replace(options, quiet=True, checkpoint=folder), model, x, x)
        if history.interrupted:
            raise KeyboardInterrupt
        weights += [np.array(value.numpy()) for value in (encoder.w, encoder.b)]
        losses = losses or history.history["loss"]
        x = nn.Sequential([nn.Input((width,)), encoder]).predict(x, batch_size=1000)
    return weights, losses


def _classifier(seed: int, initial: list[np.ndarray] | None) -> nn.Sequential:
    """Return the classifier, compiled; `initial` are the first layers' weights, None leaves the random ones."""
    hidden = [nn.Dense(units, activation="sigmoid") for units in UNITS]
    model = nn.Sequential([nn.Input((PIXELS,)), *hidden, nn.Dense(10, activation="softmax")])
    schedule = pynn.schedules.Cosine(1e-3, UPDATES)
    model.compile(pynn.optim.Adam(schedule), "cross_entropy", ["accuracy"], seed=seed)
    if initial is not None:
        own = model.get_weights()
        model.set_weights([*initial, *own[len(initial) :]])
    return model


def _pictures(
    found: dict[str, dict[int, list[float]]], filters: dict[str, np.ndarray], first: int
) -> dict[str, Callable[[Path], Any]]:
    panels = {
        f"{labels:,} labels": {
            name: (range(first, first + SEEDS), [100 * v for v in by[labels]]) for name, by in found.items()
        }
        for labels in LABELS
    }
    images = {name: w[:, :64].reshape(28, 28, 1, -1) for name, w in filters.items()}

    def draw_filters(name: str) -> Callable[[Path], Any]:
        title = f"units of the first layer, {name}, after {LABELS[-1]} labels"
        return lambda path: viz.plot_filters(images[name], path, title=title)

    return {
        "pretraining.png": lambda path: viz.plot_curves(panels, path, x="seed", y="test accuracy, %", dots=True),
        **{f"filters-{name}.png": draw_filters(name) for name in images},
    }
