"""A unit that answers to one kind of thing, from images without labels (Le et al. 2012), at the size of CIFAR-10."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import pynn
from pynn import nn, ops, viz
from pynn.datasets import CIFAR10_LABELS
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude

__all__ = ["cat_neuron"]

MAPS, FIELD, POOL, STAGES = 8, 6, 5, 3
LEARNED, JUDGED = 5000, 5000  # images without labels; images by which the units are chosen
ALL = 50_000
SPARSITY = 0.1
EPS = 1e-4  # below the root of the pools
RATE = 1e-3
ASCENT = 60  # steps to a stimulus


@recipe(
    "cat-neuron",
    shows="three stages learned without labels; is there one unit for each kind of thing?",
    data="CIFAR-10 (170 MB: --data, PYNN_DATA, or a download)",
    expected=6.0,
    epochs=4,
    batch_size=100,
    measure=Measure("classes", "classes whose best unit beats the best of a random network", "of 10"),
    full_epochs=20,
)
def cat_neuron(recipe: Recipe, options: Options) -> Result:
    """Learn three stages without labels; then look for the unit that tells each class from the others best.

    A stage has local filters of 6 x 6 that are not shared, the root of the mean square of 5 x 5 neighbours, and local
    contrast normalization. It learns to rebuild its input from few active pools, stage after stage. The unit of a class
    is the one with the largest area under the curve (AUC) on 5,000 training images; its AUC on the test images counts.
    ``--full`` learns from all 50,000 images.
    """
    (x, y), (xt, yt) = pynn.datasets.cifar10(options.data, progress=not options.quiet)
    x, xt = scaled(x[: ALL if options.full else LEARNED]), scaled(xt)
    start = time.perf_counter()
    learned, costs = _learn(x, options, options.epochs or recipe.epochs)
    seconds = time.perf_counter() - start
    random = _stages(x, options.seed)
    judged = x[:JUDGED], y[: min(JUDGED, len(x))]
    found = {"learned": _best_units(learned, judged, (xt, yt)), "random": _best_units(random, judged, (xt, yt))}
    found["pixel"] = _best_units([], judged, (xt, yt))
    ahead = sum(a["auc"] > b["auc"] for a, b in zip(found["learned"], found["random"], strict=True))
    if not options.quiet:
        print(_table(found))
    means = {kind: float(np.mean([one["auc"] for one in units])) for kind, units in found.items()}
    result = conclude(
        recipe,
        options,
        {"classes": ahead, **means},
        epochs=options.epochs or recipe.epochs,
        seconds=seconds,
        parameters=sum(stage.count_parameters() for stage in learned),
        details={"units": found, "costs": costs},
    )
    if options.out is not None:
        model = nn.Sequential([nn.Input((32, 32, 3)), *learned, nn.Flatten()])
        model.build((1, 32, 32, 3))
        stimuli = _stimuli(model, found["learned"], x)
        title = "What drives the best unit of each class most"
        report.write_pictures(options, {"stimuli.svg": lambda path: viz.plot_images(stimuli, path, title, columns=5)})
    return result


def scaled(images: np.ndarray) -> np.ndarray:
    """Return images with mean 0 and deviation 1 each, float32."""
    x = images.astype(np.float32)
    x -= x.mean((1, 2, 3), keepdims=True)
    x /= x.std((1, 2, 3), keepdims=True) + 1e-3
    return x


class _Learner(nn.Module):
    """sqrt of the parts of the cost |W'W x - x|**2 + sparsity * sum of pools, so that their mean square is its mean.

    The pools are roots of mean squares, sqrt(eps + H (W x)**2), as in topographic independent component analysis.
    """

    def __init__(self, stage: nn.Sequential):
        super().__init__()
        self.filters, self.pool = stage.layers[-3], stage.layers[-2]

    def forward(self, x: Any) -> Any:
        h = self.filters(x)
        rest = self.filters.transpose(h) - x
        pools = (SPARSITY * self.pool(h)).sqrt()
        return ops.concat([rest.reshape((x.shape[0], -1)), pools.reshape((x.shape[0], -1))], axis=1)


def _stage(shape: tuple[int, ...], seed: int) -> nn.Sequential:
    stage = nn.Sequential(
        [
            nn.Input(shape),
            nn.LocallyConnected2D(MAPS, FIELD, use_bias=False),
            nn.L2Pool2D(POOL, strides=1, epsilon=EPS),
            nn.LocalContrastNormalization(POOL),
        ],
        seed=seed,
    )
    stage.build((1, *shape))
    return stage


def _learn(x: np.ndarray, options: Options, epochs: int) -> tuple[list[nn.Sequential], list[float]]:
    """Return the stages, each learned on what the one before makes of images, and their last costs."""
    stages, costs = [], []
    for at in range(STAGES):
        stage = _stage(x.shape[1:], options.seed + at)
        learner = _Learner(stage)
        learner.compile(pynn.optim.Adam(RATE), "mse", seed=options.seed)
        size = learner(x[:1]).shape[1]
        history = learner.fit(
            x,
            np.zeros((len(x), size), np.float32),
            batch_size=options.batch_size or 100,
            epochs=epochs,
            verbose=0 if options.quiet else 1,
        )
        if history.interrupted:
            raise KeyboardInterrupt
        costs.append(float(history.history["loss"][-1]))
        stages.append(stage)
        x = stage.predict(x)
    return stages, costs


def _stages(x: np.ndarray, seed: int) -> list[nn.Sequential]:
    """Return the stages with the filters that they begin with."""
    stages, shape = [], x.shape[1:]
    for at in range(STAGES):
        stages.append(_stage(shape, seed + at))
        shape = stages[-1].predict(np.zeros((1, *shape), np.float32)).shape[1:]
    return stages


def areas(outputs: np.ndarray, labels: np.ndarray, classes: int = 10) -> np.ndarray:
    """Return the area under the curve of every unit for every class against the others, [classes, units].

    It is the chance that the unit answers more to an image of the class than to one of another, ties by half.

    Examples
    --------
    >>> areas(np.array([[1.0], [2.0], [3.0], [0.0]]), np.array([0, 0, 1, 1]), 2).tolist()
    [[0.5], [0.5]]
    """
    from scipy.stats import rankdata

    ranks = rankdata(outputs, axis=0)
    found = []
    for c in range(classes):
        of = labels == c
        n, others = int(of.sum()), int((~of).sum())
        found.append((ranks[of].sum(0) - n * (n + 1) / 2) / max(n * others, 1))
    return np.array(found)


def _best_units(stages: list[nn.Sequential], judged: Any, test: Any) -> list[dict[str, float]]:
    """Return for each class the unit that is best on the judged images, and its area there and on the test images."""
    outputs = []
    for images in (judged[0], test[0]):
        for stage in stages:
            images = stage.predict(images)
        outputs.append(images.reshape(len(images), -1))
    chosen, tested = areas(outputs[0], judged[1]), areas(outputs[1], test[1])
    best = chosen.argmax(1)
    return [
        {"unit": int(unit), "auc": float(tested[c, unit]), "auc where chosen": float(chosen[c, unit])}
        for c, unit in enumerate(best)
    ]


def _table(found: dict[str, list[dict[str, float]]]) -> str:
    lines = [f"{'AUC on test images':20}" + "".join(f"{kind:>10}" for kind in found)]
    for c, name in enumerate(CIFAR10_LABELS):
        lines.append(f"{name:20}" + "".join(f"{units[c]['auc']:>10.3f}" for units in found.values()))
    return "\n".join(lines)


def _stimuli(model: nn.Sequential, units: list[dict[str, float]], x: np.ndarray) -> dict[str, np.ndarray]:
    """Return for each class the image that gradient ascent finds for its unit, from 0 to 1."""
    found = {}
    for name, one in zip(CIFAR10_LABELS, units, strict=True):
        image = viz.best_stimulus(
            model, len(model.layers) - 1, int(one["unit"]), norm=float(np.sqrt(x[0].size)), steps=ASCENT
        )
        found[f"{name}, AUC {one['auc']:.2f}"] = (image - image.min()) / max(float(np.ptp(image)), 1e-6)
    return found
