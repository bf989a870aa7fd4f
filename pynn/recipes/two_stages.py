"""Which parts of a stage matter: filters, rectification, contrast normalization, pooling (Jarrett et al. 2009)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn, ops, viz
from pynn.recipes import report
from pynn.recipes.images import MNIST
from pynn.recipes.registry import Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, hold_out
from pynn.train import LambdaCallback

__all__ = ["draw_cells", "two_stages"]

FILTERS, TUNED, LABELS, JUDGED = (16, 32), (50, 64), 300, 2000
SIZES = (7, 5)  # of the filters of each stage
PATCHES, UNLABELLED = 10_000, 1000  # patches, of so many digits
RECTIFIED = {"tanh": (), "abs": ("abs",), "abs, LCN": ("abs", "lcn")}
POOLS = {"average": nn.AvgPool2D, "max": nn.MaxPool2D}
KINDS = ("random", "PSD")
GRID_EPOCHS, GRID_RATE = 10, 3e-4
SECONDS, FULL_SECONDS = 480.0, 7200.0  # the last network stops at the first epoch that ends later
SHALLOW = 20  # epochs of a classifier on fixed features
DEFORMED: Any = {"rotation": 8.0, "zoom": 0.08, "shift": 0.04, "fill": "nearest"}

Cells = dict[tuple[str, str, str, bool], float]


def rectify(x: Any) -> Any:
    """Return the absolute values."""
    return ops.abs(x)


@recipe(
    "two-stages",
    shows="what matters in a stage: learning the filters, rectification, contrast normalization, the kind of pool",
    data=MNIST,
    expected=0.99,
    epochs=8,
    batch_size=50,
    full_epochs=40,
)
def two_stages(recipe: Recipe, options: Options) -> Result:
    """Train 24 small networks of two stages on 300 digits; then the best kind on all of MNIST.

    Filters are random or those of predictive sparse decomposition, fixed or fine-tuned. The kind is chosen on 2,000
    digits that are held out. The last network learns digits that are turned, zoomed and shifted a little, since it
    would soon know the others by heart; it stops after eight minutes (``--full``: two hours, 50 and 64 filters).
    """
    (x, y), (xt, yt) = pynn.datasets.mnist(options.data, progress=not options.quiet)
    (x, y), (xv, yv) = hold_out(_images(x), y)
    xt, xv, yv = _images(xt), xv[:JUDGED], yv[:JUDGED]
    few = x[:LABELS], y[:LABELS]
    cells: Cells = {}
    start = time.perf_counter()
    for rectified, pool in itertools.product(RECTIFIED, POOLS):
        for kind in KINDS:
            model = _network(FILTERS, rectified, pool)
            _begin(model, x[:UNLABELLED], kind, options.seed)
            both = _judge(model, few, (xv, yv), options.seed)
            cells |= {(rectified, pool, kind, bool(tuned)): both[tuned] for tuned in (0, 1)}
    if not options.quiet:
        print(_table(cells))
    searched = time.perf_counter() - start
    rectified, pool, kind, _ = max(cells, key=lambda cell: cells[cell] if cell[3] else 0.0)
    model = _network(TUNED if options.full else FILTERS, rectified, pool)
    _begin(model, x[:UNLABELLED], kind, options.seed)
    if not options.quiet:
        print(f"\n{kind} filters, {rectified}, {pool} pools, on {len(x):,} digits")
    epochs = options.epochs or recipe.epochs
    learner = nn.Sequential([nn.Input((28, 28, 1)), nn.RandomAffine(**DEFORMED), *model.layers])
    made = _fit_within(learner, (x, y), epochs, options, FULL_SECONDS if options.full else SECONDS)
    accuracy = float((model.predict(xt).argmax(1) == yt).mean())
    details: dict[str, Any] = {
        "held out": {
            " / ".join((*map(str, cell[:3]), "tuned" if cell[3] else "fixed")): v for cell, v in cells.items()
        },
        "labels": LABELS,
        "kind": [kind, rectified, pool],
        "epochs made": made,
        "seconds of the grid": round(searched, 1),
    }
    result = conclude(
        recipe,
        options,
        {"accuracy": accuracy},
        epochs=epochs,
        seconds=time.perf_counter() - start,
        parameters=model.count_parameters(),
        details=details,
    )
    report.write_pictures(options, _pictures(model, cells))
    return result


def _images(x: np.ndarray) -> np.ndarray:
    """Return digits [N, 28, 28, 1] with mean 0 and deviation 1 over all of them (those of MNIST's training part)."""
    return ((x.reshape(-1, 28, 28, 1).astype(np.float32) / 255) - 0.1307) / 0.3081


def _network(filters: tuple[int, int], rectified: str, pool: str) -> nn.Sequential:
    """Return two stages and a classifier; a stage is filters, tanh, gains, rectification and normalization, a pool."""
    layers: list[Any] = [nn.Input((28, 28, 1)), nn.ZeroPadding2D(3)]
    for count, size in zip(filters, SIZES, strict=True):
        layers += [nn.Conv2D(count, size, activation="tanh"), nn.DepthwiseConv2D(1, use_bias=False)]
        if "abs" in RECTIFIED[rectified]:
            layers.append(nn.Activation(rectify))
        if "lcn" in RECTIFIED[rectified]:
            layers.append(nn.LocalContrastNormalization(9))
        layers.append(POOLS[pool](2))
    return nn.Sequential([*layers, nn.Flatten(), nn.Dense(10, activation="softmax")])


def _begin(model: nn.Sequential, images: np.ndarray, kind: str, seed: int) -> None:
    """Give both stages their filters, the second one with the first in place; no labels are needed."""
    from pynn.estimators import PSD  # it needs scikit-learn
    from pynn.estimators.patches import some_patches

    model.compile(pynn.optim.Adam(GRID_RATE), "cross_entropy", ["accuracy"], seed=seed)
    model.build((1, 28, 28, 1))
    rng = np.random.RandomState(seed)
    seen, layers = images, list(model.layers)
    for layer, following in itertools.pairwise(layers):
        if isinstance(layer, nn.Conv2D):
            rows, columns = layer.kernel_size
            patches = some_patches(seen, rows, PATCHES, rng)
            scale = float(patches.std()) or 1.0
            if kind == "PSD":
                codes = PSD(n_components=layer.filters, alpha=1.0, random_state=rng).fit(patches / scale)
                w, b, gain = codes.coef_ / scale, codes.intercept_, codes.gain_
            else:
                w = rng.standard_normal((patches.shape[1], layer.filters))
                w, b, gain = w / np.linalg.norm(w, axis=0) / scale, np.zeros(layer.filters), np.ones(layer.filters)
            layer.set_weights([w.reshape(rows, columns, -1, layer.filters), b])
            following.set_weights([np.asarray(gain).reshape(1, 1, -1, 1)])
        seen = _through(layer, seen)


def _through(layer: nn.Module, x: np.ndarray) -> np.ndarray:
    """Return what a layer makes of images, in blocks."""
    with pynn.no_grad():
        return np.concatenate([layer(x[at : at + 250]).numpy() for at in range(0, len(x), 250)])


def _judge(
    model: nn.Sequential, few: tuple[np.ndarray, np.ndarray], judged: tuple[np.ndarray, np.ndarray], seed: int
) -> tuple[float, float]:
    """Return the accuracies on digits held out with the filters as they are, and learned further.

    A classifier learns on the features first; it is where learning all layers goes on from.
    """
    features = few[0]
    for layer in list(model.layers)[:-1]:
        features = _through(layer, features)
    mean, deviation = features.mean(0), features.std(0) + 0.01
    top = nn.Sequential([nn.Input(features.shape[1:]), nn.Dense(10, activation="softmax")])
    top.compile(pynn.optim.Adam(1e-3), "cross_entropy", seed=seed)
    top.fit((features - mean) / deviation, few[1], batch_size=10, epochs=SHALLOW, verbose=0)
    w, b = top.get_weights()
    w = w / deviation[:, None]
    model.layers[-1].set_weights([w, b - mean @ w])
    fixed = float((model.predict(judged[0]).argmax(1) == judged[1]).mean())
    model.fit(*few, batch_size=10, epochs=GRID_EPOCHS, verbose=0)
    return fixed, float((model.predict(judged[0]).argmax(1) == judged[1]).mean())


def _fit_within(model: nn.Sequential, train: Any, epochs: int, options: Options, seconds: float) -> int:
    """Fit with a rate that falls to 0, for `epochs` or until time is over; return the epochs made."""
    size = options.batch_size or 50
    steps = epochs * -(-len(train[0]) // size)
    rate = pynn.schedules.Cosine(1e-3, steps)
    model.compile(pynn.optim.Adam(rate), "cross_entropy", ["accuracy"], seed=options.seed)
    start = time.perf_counter()

    def late(epoch: int, logs: Any) -> None:
        if time.perf_counter() - start > seconds:
            model.stop_training = True

    history = model.fit(
        *train,
        batch_size=size,
        epochs=epochs,
        verbose=0 if options.quiet else 1,
        callbacks=[LambdaCallback(on_epoch_end=late)],
    )
    if history.interrupted:
        raise KeyboardInterrupt
    return len(history.epoch)


def _table(cells: Cells) -> str:
    columns = [(kind, tuned) for kind in KINDS for tuned in (False, True)]
    heads = [f"{kind}, {'tuned' if tuned else 'fixed'}" for kind, tuned in columns]
    lines = [f"{'wrong of digits held out':26}" + "".join(f"{head:>16}" for head in heads)]
    for rectified, pool in itertools.product(RECTIFIED, POOLS):
        wrong = [1 - cells[rectified, pool, kind, tuned] for kind, tuned in columns]
        lines.append(f"{rectified + ', ' + pool:26}" + "".join(f"{w:>16.2%}" for w in wrong))
    return "\n".join(lines)


def _pictures(model: nn.Sequential, cells: Cells) -> dict[str, Callable[[Path], Any]]:
    first = next(layer for layer in model.layers if isinstance(layer, nn.Conv2D))
    return {
        "filters.svg": lambda path: viz.plot_filters(first, path, "Filters of the first stage, fine-tuned"),
        "parts.svg": lambda path: draw_cells(cells, path),
    }


def draw_cells(cells: Cells, path: Path) -> None:
    """Draw the errors of the 24 networks as bars, kind by kind."""
    from pynn.figure import COLORS, finish, new_figure

    figure = new_figure(7.2, 3.6)
    ax = figure.add_subplot()
    rows = list(itertools.product(RECTIFIED, POOLS))
    for at, (kind, tuned) in enumerate(itertools.product(KINDS, (False, True))):
        wrong = [100 * (1 - cells[rectified, pool, kind, tuned]) for rectified, pool in rows]
        places = np.arange(len(rows)) + (at - 1.5) * 0.2
        ax.bar(places, wrong, 0.18, color=COLORS[at], label=f"{kind}, {'fine-tuned' if tuned else 'fixed'}")
    ax.set_xticks(range(len(rows)), ["\n".join(row) for row in rows], fontsize=8)
    ax.set_ylabel("% wrong of digits held out")
    ax.legend(frameon=False, fontsize=8)
    finish(figure, path)
