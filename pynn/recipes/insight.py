"""What the layers of a trained convolutional network look for: the stimuli that drive their units most."""

from __future__ import annotations

import time

import numpy as np

import pynn
from pynn import nn, viz
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, hold_out, timed_fit

__all__ = ["best_stimuli"]

LEARNT_FROM = 20_000
STEPS = 100


@recipe(
    "best-stimuli",
    shows="what the layers of a trained network look for: for each unit the picture that drives it most",
    data="MNIST (11 MB: --data, PYNN_DATA, or a download)",
    expected=1.0,
    epochs=5,
    batch_size=64,
    measure=Measure("recognized", "classes whose best stimulus is taken for theirs"),
)
def best_stimuli(recipe: Recipe, options: Options) -> Result:
    """Train convolutions of 8 and 16 filters on a third of MNIST; then climb the gradient of every unit.

    All stimuli of a layer have one length, that of the mean digit. Those of the first layer are bars and edges. Those
    of the second join them into bends and ends. Those of the last drive a score higher than any of the 10,000 test
    images does, without looking like digits to us: the network knows what tells digits apart, not what they look like.
    """
    (x, y), (xt, yt) = pynn.datasets.mnist(options.data, progress=not options.quiet)
    chosen = np.random.default_rng(options.seed).permutation(len(x))[:LEARNT_FROM]
    (x, y), validation = hold_out(x[chosen, :, :, None] / np.float32(255), y[chosen])
    xt = xt[..., None] / np.float32(255)
    model = nn.Sequential(
        [
            nn.Input((28, 28, 1)),
            nn.Conv2D(8, 5, activation="relu", name="first"),
            nn.MaxPool2D(2),
            nn.Conv2D(16, 5, activation="relu", name="second"),
            nn.MaxPool2D(2),
            nn.Flatten(),
            nn.Dense(10, name="scores"),
            nn.Activation("softmax"),
        ]
    )
    model.compile(pynn.optim.Adam(2e-3), "cross_entropy", ["accuracy"], seed=options.seed)
    history, seconds = timed_fit(options, model, x, y, validation_data=validation, verbose=0)
    accuracy = float(model.evaluate(xt, yt)["accuracy"])
    length = float(np.linalg.norm(x.reshape(len(x), -1), axis=1).mean())
    start = time.perf_counter()
    stimuli = {
        name: np.stack(
            [viz.best_stimulus(model, name, unit, norm=length, steps=STEPS, seed=options.seed) for unit in range(units)]
        )
        for name, units in (("first", 8), ("second", 16), ("scores", 10))
    }
    spent = time.perf_counter() - start
    taken = model.predict(stimuli["scores"]).argmax(axis=1)
    scores = nn.Sequential([nn.Input((28, 28, 1)), *model.layers[:-1]])
    unit = xt * (length / np.linalg.norm(xt.reshape(len(xt), -1), axis=1))[:, None, None, None]
    reached, best = scores.predict(stimuli["scores"]).diagonal(), scores.predict(unit).max(axis=0)
    if not options.quiet:
        print(f"test accuracy {accuracy:.2%}; {len(taken)} best stimuli of classes are taken for {taken.tolist()}")
        print("scores of the stimuli: ", ", ".join(f"{score:.0f}" for score in reached))
        print("of the best test image:", ", ".join(f"{score:.0f}" for score in best))
    pictures = {
        "first": {f"filter {k}": s[8:19, 8:19, 0] for k, s in enumerate(stimuli["first"])},
        "second": {f"map {k}": s[4:24, 4:24, 0] for k, s in enumerate(stimuli["second"])},
        "scores": {f"class {k}": s[:, :, 0] for k, s in enumerate(stimuli["scores"])},
    }
    report.write_pictures(
        options,
        {
            "history.png": lambda path: viz.plot_history(history, path),
            "first.png": lambda path: viz.plot_images(pictures["first"], path, "First layer", 8, 1.1),
            "second.png": lambda path: viz.plot_images(pictures["second"], path, "Second layer", 8, 1.1),
            "scores.png": lambda path: viz.plot_images(pictures["scores"], path, "Scores of the classes", 5, 1.6),
        },
    )
    return conclude(
        recipe,
        options,
        {"recognized": float(np.mean(taken == np.arange(10))), "accuracy": accuracy},
        epochs=len(history.epoch),
        seconds=seconds,
        parameters=model.count_parameters(),
        details={"reached": reached.tolist(), "best_image": best.tolist(), "ascent_seconds": round(spent, 3)},
    )
