"""Krizhevsky's network for CIFAR-10 with local response normalization and without, and in two columns."""

from __future__ import annotations

import time
from typing import Any

import pynn
from pynn import nn, viz
from pynn.recipes import report
from pynn.recipes.images import cosine, pictures
from pynn.recipes.registry import Options, Recipe, Result, recipe
from pynn.recipes.runner import apart, conclude, hold_out, rounded, timed_fit

__all__ = ["SIDE", "krizhevsky", "lrn_cifar"]

SIDE = 24  # of the crops
COLUMNS = (90, 90, 46, 44)  # filters of the four layers where they stand in two columns, of about as many weights


def krizhevsky(normalized: bool = True, columns: bool = False) -> nn.Sequential:
    """Return cuda-convnet's network of 11 % error: two convolutions of 5 x 5, two unshared of 3 x 3, for crops of 24.

    Parameters
    ----------
    normalized : bool, default True
        Whether responses are normalized over 9 neighbouring maps after both convolutions.
    columns : bool, default False
        Whether the second convolution is two, each of half of the maps, with more maps to have as many weights.

    Examples
    --------
    >>> import numpy as np
    >>> krizhevsky()(np.zeros((1, 32, 32, 3), "float32")).shape
    (1, 10)
    """
    first, second, third, fourth = COLUMNS if columns else (64, 64, 64, 32)

    def response() -> list[nn.Module]:
        return [nn.LocalResponseNormalization(4, bias=1.0, alpha=0.05, beta=0.75)] if normalized else []

    return nn.Sequential(
        [
            nn.Input((32, 32, 3)),
            nn.RandomCrop(SIDE),
            nn.RandomFlip(),
            nn.RandomPCAColor(0.1),
            nn.BatchNormalization(center=False, scale=False),  # brings the pixels to mean 0 and variance 1
            nn.Conv2D(first, 5, padding="same", activation="relu"),
            nn.MaxPool2D(3, strides=2, padding="same"),
            *response(),
            nn.Conv2D(second, 5, padding="same", activation="relu", groups=2 if columns else 1),
            *response(),
            nn.MaxPool2D(3, strides=2, padding="same"),
            nn.LocallyConnected2D(third, 3, padding="same", activation="relu"),
            nn.LocallyConnected2D(fourth, 3, padding="same", activation="relu"),
            nn.Flatten(),
            nn.Dense(10, activation="softmax"),
        ]
    )


@recipe(
    "lrn-cifar",
    shows="what local response normalization brings: one network with it and without, tested on ten views",
    data="CIFAR-10 (170 MB: --data, PYNN_DATA, or a download)",
    expected=0.83,
    epochs=20,
    batch_size=128,
    full_epochs=60,
)
def lrn_cifar(recipe: Recipe, options: Options) -> Result:
    """Train the network with and without the normalization, equal otherwise; with --full also in two columns.

    Crops of 24 x 24, mirror images, and colours moved along their principal components; tested on the mean of the
    corners, the middle, and their mirror images. ``--seeds 3`` tells what of the difference is chance.
    """
    train, test = pynn.datasets.cifar10(options.data, progress=not options.quiet)
    train, validation = hold_out(*train)
    kinds: dict[str, dict[str, Any]] = {"with": {}, "without": {"normalized": False}}
    if options.full:
        kinds["two columns"] = {"columns": True}
    start = time.perf_counter()
    curves: dict[str, Any] = {}
    details: dict[str, Any] = {}
    models, histories = {}, {}
    for name, kind in kinds.items():
        model = models[name] = krizhevsky(**kind)
        next(layer for layer in model.layers if isinstance(layer, nn.RandomPCAColor)).adapt(train[0])
        optimizer = pynn.optim.AdamW(cosine(options, len(train[0]), 2e-3), weight_decay=0.02)
        model.compile(optimizer, "cross_entropy", ["accuracy"], seed=options.seed)
        history = histories[name] = timed_fit(apart(options, name), model, *train, validation_data=validation)[0]
        if history.interrupted:
            raise KeyboardInterrupt
        curves[name] = history.history["val_accuracy"]
        views = pynn.train.evaluate_views(model, *test, SIDE)
        details[name] = {
            "accuracy": float(views["accuracy"]),
            "loss": float(views["loss"]),
            "accuracy_of_one_view": float(model.evaluate(*test)["accuracy"]),
            "parameters": model.count_parameters(),
        }
        one = details[name]["accuracy_of_one_view"]
        print(f"{name}: test accuracy {views['accuracy']:.2%} on ten views, {one:.2%} on one")
    seconds = time.perf_counter() - start
    if options.out is not None:
        drawn = pictures(models["with"], test[0][0], test[0][:6])
        drawn["held-out.png"] = lambda path: viz.plot_curves({"held-out accuracy": curves}, path)
        written = report.write(options.out, recipe.name, models["with"], histories["with"], *test, drawn)
        if not options.quiet:
            print(f"wrote to {options.out}: {', '.join(written)}")
    others = {f"accuracy {name}": found["accuracy"] for name, found in details.items() if name != "with"}
    details["curves"] = rounded(curves)
    figures = {"accuracy": details["with"]["accuracy"], "loss": details["with"]["loss"]}
    return conclude(
        recipe,
        options,
        figures | others,
        epochs=len(histories["with"].epoch),
        seconds=seconds,
        parameters=models["with"].count_parameters(),
        details=details,
    )
