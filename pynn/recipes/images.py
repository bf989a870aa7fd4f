"""Convolutional networks on grey images: MNIST, Fashion-MNIST, and Kaggle's digits."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn, viz
from pynn.errors import DataError
from pynn.recipes.files import check_file
from pynn.recipes.registry import Options, Recipe, Result, recipe
from pynn.recipes.runner import hold_out, train_classifier

__all__ = ["cosine", "fashion_cnn", "kaggle_digits", "lenet5", "mnist_best", "mnist_cnn", "pictures"]

MNIST = "MNIST (11 MB: --data, PYNN_DATA, or a download)"
TESTED = 10  # one image of so many of Kaggle's training part is what the network is tested on


def pictures(model: Any, image: np.ndarray, changed: np.ndarray | None = None) -> dict[str, Callable[[Path], Any]]:
    """Return the pictures of a convolutional network: its first filters, and what it makes of an image.

    With `changed`, also what its layers for augmentation make of those images.
    """
    first = next(layer for layer in model.layers if isinstance(layer, nn.Conv2D))
    drawn: dict[str, Callable[[Path], Any]] = {
        "filters.png": lambda path: viz.plot_filters(first, path, title=f"{first.filters} filters of the first layer"),
        "features.png": lambda path: viz.plot_feature_maps(model, image, path),
    }
    if changed is not None:
        homes = nn.RandomAffine.__module__, nn.RandomPCAColor.__module__
        layers = [layer for layer in model.layers if type(layer).__module__ in homes]
        drawn["augmented.png"] = lambda path: viz.plot_augmented(changed, layers, path)
    return drawn


def cosine(options: Options, images: int, rate: float) -> pynn.schedules.Schedule:
    """Return a learning rate that rises during the first twentieth of the training and falls to 0 by its end."""
    steps = math.ceil(images / (options.batch_size or 1)) * (options.epochs or 1)
    return pynn.schedules.Cosine(rate, steps, warmup=steps // 20)


def _compiled(layers: Sequence[Any], optimizer: Any, options: Options) -> nn.Sequential:
    model = nn.Sequential([nn.Input((28, 28)), nn.Reshape((28, 28, 1)), *layers])
    model.compile(optimizer=optimizer, loss="cross_entropy", metrics=["accuracy"], seed=options.seed)
    return model


def _block(filters: int, padding: str) -> list[nn.Module]:
    """Return a convolution of 3 x 3, normalized, with ReLU."""
    convolution = nn.Conv2D(filters, 3, padding=padding, use_bias=False, kernel_initializer="he_normal")
    return [convolution, nn.BatchNormalization(), nn.Activation("relu")]


@recipe(
    "mnist-cnn",
    shows="what convolution adds: two layers of 3 x 3, the network of the Keras example",
    data=MNIST,
    expected=0.9925,
    epochs=12,
    batch_size=128,
)
def mnist_cnn(recipe: Recipe, options: Options) -> Result:
    """Train 32 and 64 filters, a pool, 128 units and dropout, the layers of Keras's mnist_cnn.py, with AdamW.

    With that script's Adadelta at a constant rate of 1, single epochs pass 99.25 % too, but not the mean over seeds.
    """
    train, test = pynn.datasets.mnist(options.data, progress=not options.quiet)
    train, validation = hold_out(*train)
    layers = [
        nn.Conv2D(32, 3, activation="relu"),
        nn.Conv2D(64, 3, activation="relu"),
        nn.MaxPool2D(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Dense(128, activation="relu"),
        nn.Dropout(0.5),
        nn.Dense(10, activation="softmax"),
    ]
    model = _compiled(layers, pynn.optim.AdamW(cosine(options, len(train[0]), 2e-3), weight_decay=0.05), options)
    return train_classifier(recipe, options, model, train, validation, test, pictures=pictures(model, test[0][0]))


@recipe(
    "lenet5",
    shows="the classic: LeNet-5, with 61,706 numbers",
    data=MNIST,
    expected=0.99,
    epochs=20,
    batch_size=64,
)
def lenet5(recipe: Recipe, options: Options) -> Result:
    """Train LeNet-5 (6 and 16 filters of 5 x 5, average pools, 120-84-10, tanh) with Adam and a falling rate."""
    train, test = pynn.datasets.mnist(options.data, progress=not options.quiet)
    train, validation = hold_out(*train)
    layers = [
        nn.Conv2D(6, 5, padding="same", activation="tanh"),
        nn.AvgPool2D(2),
        nn.Conv2D(16, 5, activation="tanh"),
        nn.AvgPool2D(2),
        nn.Flatten(),
        nn.Dense(120, activation="tanh"),
        nn.Dense(84, activation="tanh"),
        nn.Dense(10, activation="softmax"),
    ]
    model = _compiled(layers, pynn.optim.AdamW(cosine(options, len(train[0]), 2e-3), weight_decay=0.05), options)
    return train_classifier(recipe, options, model, train, validation, test, pictures=pictures(model, test[0][0]))


@recipe(
    "fashion-cnn",
    shows="a small network on harder images: clothes, 87,274 numbers, batch normalization and flips",
    data="Fashion-MNIST (30 MB: --data, PYNN_DATA, or a download)",
    expected=0.925,
    epochs=15,
    batch_size=128,
)
def fashion_cnn(recipe: Recipe, options: Options) -> Result:
    """Train 32, 64 and 64 filters of 3 x 3 with batch normalization, mirrored and shifted images, and Adam."""
    train, test = pynn.datasets.fashion_mnist(options.data, progress=not options.quiet)
    train, validation = hold_out(*train)
    layers = [
        nn.RandomFlip(),
        nn.RandomCrop(padding=2),
        *_block(32, "same"),
        nn.MaxPool2D(2),
        *_block(64, "same"),
        *_block(64, "same"),
        nn.MaxPool2D(2),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Dense(10, activation="softmax"),
    ]
    model = _compiled(layers, pynn.optim.Adam(cosine(options, len(train[0]), 3e-3)), options)
    drawn = pictures(model, test[0][0], test[0][:6])
    return train_classifier(recipe, options, model, train, validation, test, pictures=drawn)


def _best(options: Options, images: int) -> nn.Sequential:
    """Return the network of mnist-best and kaggle-digits, compiled."""
    layers = [
        nn.RandomAffine(shift=0.08, rotation=12.0, zoom=0.12, shear=8.0),
        *_block(32, "valid"),
        *_block(32, "valid"),
        nn.MaxPool2D(2),
        nn.Dropout(0.2),
        *_block(64, "valid"),
        *_block(64, "valid"),
        nn.MaxPool2D(2),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Dense(128, use_bias=False, kernel_initializer="he_normal"),
        nn.BatchNormalization(),
        nn.Activation("relu"),
        nn.Dropout(0.4),
        nn.Dense(10, activation="softmax"),
    ]
    return _compiled(layers, pynn.optim.Adam(cosine(options, images, 3e-3)), options)


@recipe(
    "mnist-best",
    shows="what augmentation and batch normalization add: a new variant of every digit in every epoch",
    data=MNIST,
    expected=0.996,
    epochs=40,
    batch_size=128,
)
def mnist_best(recipe: Recipe, options: Options) -> Result:
    """Train 32-32-64-64 filters of 3 x 3 and 128 units on digits that are shifted, turned, zoomed and slanted."""
    train, test = pynn.datasets.mnist(options.data, progress=not options.quiet)
    train, validation = hold_out(*train)
    model = _best(options, len(train[0]))
    drawn = pictures(model, test[0][0], test[0][:6])
    return train_classifier(recipe, options, model, train, validation, test, pictures=drawn)


@recipe(
    "kaggle-digits",
    shows="a competition entry: train.csv in, submission.csv out, a tenth held out to know what it is worth",
    data="Kaggle's Digit Recognizer: train.csv and test.csv in --data",
    expected=0.994,
    epochs=20,
    batch_size=128,
)
def kaggle_digits(recipe: Recipe, options: Options) -> Result:
    """Train the network of mnist-best, test it on every tenth image, and label Kaggle's test images.

    The submission goes into ``--out``, or without it into the current folder.
    """
    submission = (options.out or Path()) / "submission.csv"
    check_file(submission, "submission.csv")
    (x, y), unknown = pynn.datasets.kaggle_digits(_csv(options, "train.csv"), _csv(options, "test.csv"))
    tested = np.arange(len(x)) % TESTED == TESTED - 1
    train, test = (x[~tested], y[~tested]), (x[tested], y[tested])
    if not len(test[0]):
        raise DataError(f"[kaggle-digits] expected at least {TESTED} images in train.csv. Received: {len(x)}.")
    train, validation = hold_out(*train)
    model = _best(options, len(train[0]))
    drawn = pictures(model, unknown[0], unknown[:6])
    details = {"submission": str(submission), "labelled": len(unknown)}
    result = train_classifier(recipe, options, model, train, validation, test, details=details, pictures=drawn)
    pynn.datasets.write_submission(submission, model.predict(unknown).argmax(axis=1))
    if not options.quiet:
        print(f"wrote {submission}: {len(unknown):,} labels, as kaggle.com/c/digit-recognizer takes them")
    return result


def _csv(options: Options, name: str) -> Path:
    folder = options.data or os.environ.get("PYNN_DATA")
    if not folder:
        raise DataError(
            f"[kaggle-digits] expected {name} in --data DIR. Received: no folder. "
            "help: download it from kaggle.com/c/digit-recognizer/data, and name its folder by --data."
        )
    places = [Path(folder), Path(folder) / "digit-recognizer"]
    tried = [place / spelling for place in places for spelling in (name, f"{name}.gz")]
    for path in tried:
        if path.is_file():
            return path
    raise DataError(
        f"[kaggle-digits] expected {name}. Received: no such file; looked for {', '.join(map(str, tried))}. "
        "help: download it from kaggle.com/c/digit-recognizer/data, and name its folder by --data."
    )
