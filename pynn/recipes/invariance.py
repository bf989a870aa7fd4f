"""Where invariance comes from: max-pooling over neighbouring places, and over filters that learnt rotated digits."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import pynn
from pynn import nn, ops, viz
from pynn.recipes import report
from pynn.recipes.filters import CLASSIC, drawn_picture
from pynn.recipes.neocognitron import SIZE, shrunk
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, timed_fit

__all__ = ["changed_by_shift", "invariances", "turned"]

POOLS, MOVES = (1, 2, 4, 8), (0, 1, 2, 3, 4)
ANGLES = (-45, 0, 45)
FIVE, ITEMS = 5, 6000


def changed_by_shift(pool: int, by: int) -> float:
    """Return how much pooled edges of a picture change when it moves: |f(moved) - f(picture)| / |f(picture)|.

    f is the absolute value of Sobel's filter, then the largest of pool x pool neighbours at every place.

    Parameters
    ----------
    pool : int
        1 is no pooling.
    by : int
        Pixels to the right; what leaves comes in again.

    Examples
    --------
    >>> changed_by_shift(1, 0), changed_by_shift(1, 2) > changed_by_shift(4, 2) > changed_by_shift(8, 2)
    (0.0, True)
    """
    picture = drawn_picture()

    def pooled(image: np.ndarray) -> np.ndarray:
        edges = abs(ops.correlate2d(image, CLASSIC["Sobel, across"], "same").numpy())
        return ops.max_pool2d(edges[None, :, :, None], pool, 1).numpy()

    still, moved = pooled(picture), pooled(np.roll(picture, by, axis=1))
    return float(np.linalg.norm(moved - still) / np.linalg.norm(still))


def turned(images: np.ndarray, angle: float) -> np.ndarray:
    """Return images [N, H, W, 1] turned by degrees, anticlockwise, about their middle; 0 follows.

    Parameters
    ----------
    images : ndarray
    angle : float

    Examples
    --------
    >>> x = np.zeros((1, 3, 3, 1))
    >>> x[0, 1, 2] = 1
    >>> turned(x, 90)[0, :, :, 0].round(3).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    from scipy.ndimage import rotate

    return rotate(images, angle, axes=(2, 1), reshape=False, order=1).astype(images.dtype)


@recipe(
    "invariances",
    shows="two ways to invariance: pooling over neighbouring places, and over filters that learnt rotated digits",
    data="MNIST (11 MB: --data, PYNN_DATA, or a download)",
    expected=0.9,
    epochs=20,
    batch_size=64,
    measure=Measure("accuracy", "accuracy of three pooled filters on rotated digits"),
)
def invariances(recipe: Recipe, options: Options) -> Result:
    """Move a picture below max-pools of four sizes; teach one filter, and a pool of three, to find rotated fives.

    A pool over places is invariant to what moves a feature within it. A pool over filters is invariant to whatever the
    filters learnt to differ in: here each of three comes to answer to fives of another angle, and their maximum to all.
    """
    start = time.perf_counter()
    changed = {str(pool): [changed_by_shift(pool, by) for by in MOVES] for pool in POOLS}
    if not options.quiet:
        for pool, values in changed.items():
            print(f"pool {pool} x {pool}: moved by {MOVES[1]} to {MOVES[-1]} pixels, edges change by", end=" ")
            print(", ".join(f"{value:.0%}" for value in values[1:]))
    (x, y), (xt, yt) = pynn.datasets.mnist(options.data, progress=not options.quiet)
    learnt, tested = _fives(x, y, ITEMS, options.seed), _fives(xt, yt, None, options.seed)
    found: dict[str, Any] = {}
    filters: dict[str, np.ndarray] = {}
    for pieces in (1, len(ANGLES)):
        model = nn.Sequential(
            [
                nn.Input((SIZE, SIZE, 1)),
                nn.Flatten(),
                nn.Maxout(1, pieces, kernel_initializer="he_normal"),  # from smaller weights one of three never leads
                nn.Activation("sigmoid"),
            ]
        )
        optimizer = pynn.optim.AdamW(3e-3, weight_decay=0.05)
        model.compile(optimizer, "binary_cross_entropy", ["accuracy"], seed=options.seed)
        timed_fit(options, model, learnt[0], learnt[1], verbose=0)
        name = f"{pieces} filter{'s' if pieces > 1 else ''}"
        found[name] = {"accuracy": float(model.evaluate(tested[0], tested[1])["accuracy"])}
        w, b = (weight.numpy() for weight in model.layers[1].parameters())
        w, b = w.reshape(SIZE * SIZE, pieces), b.reshape(pieces)
        filters |= {f"{name}, {k + 1}": w[:, k].reshape(SIZE, SIZE) for k in range(pieces)}
        five = tested[1] == 1
        leads = (tested[0][five].reshape(five.sum(), -1) @ w + b).argmax(axis=1)
        found[name]["leads"] = [
            [float(np.mean(leads[tested[2][five] == angle] == k)) for k in range(pieces)] for angle in ANGLES
        ]
        if not options.quiet:
            print(f"{name:10} {found[name]['accuracy']:.2%} of digits turned by {ANGLES} are told five or not")
    for angle, shares in zip(ANGLES, found[f"{len(ANGLES)} filters"]["leads"], strict=True):
        if not options.quiet:
            print(f"fives at {angle:3}: the filters lead in", ", ".join(f"{share:.0%}" for share in shares))
    seconds = time.perf_counter() - start
    curves = {f"pool {pool} x {pool}": (MOVES, values) for pool, values in changed.items()}
    report.write_pictures(
        options,
        {
            "translation.png": lambda path: viz.plot_curves(
                {"Edges below a moving picture": curves}, path, x="pixels moved", y="change", dots=True
            ),
            "filters.png": lambda path: viz.plot_images(filters, path, "One filter, and three that are pooled", 4, 1.6),
        },
    )
    return conclude(
        recipe,
        options,
        {"accuracy": found[f"{len(ANGLES)} filters"]["accuracy"], "one": found["1 filter"]["accuracy"]},
        epochs=options.epochs or recipe.epochs,
        seconds=seconds,
        parameters=len(ANGLES) * (SIZE * SIZE + 1),
        details={**found, "changed": changed},
    )


def _fives(x: np.ndarray, y: np.ndarray, items: int | None, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return digits turned by one of the angles each, as many fives as others; whether each is one; and its angle."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    fives, others = order[y[order] == FIVE], order[y[order] != FIVE]
    count = min(len(fives), len(others), (items or len(x)) // 2)
    chosen = rng.permutation(np.concatenate([fives[:count], others[:count]]))
    small, angles = shrunk(x[chosen]), rng.choice(ANGLES, len(chosen))
    for angle in ANGLES:
        small[angles == angle] = turned(small[angles == angle], angle)
    return small, (y[chosen] == FIVE).astype(np.int64), angles
