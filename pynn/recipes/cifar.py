"""CIFAR-10: small photographs, and ten years of convolutional networks."""

from __future__ import annotations

from typing import Any

import pynn
from pynn import nn
from pynn.recipes.images import cosine, pictures
from pynn.recipes.registry import Options, Recipe, Result, recipe
from pynn.recipes.runner import hold_out, train_classifier

__all__ = ["cifar_cnn"]


@recipe(
    "cifar-cnn",
    shows="photographs: Krizhevsky's small network of 2010 beside one with batch normalization, flips and crops",
    data="CIFAR-10 (170 MB: --data, PYNN_DATA, or a download)",
    expected=0.85,
    epochs=20,
    batch_size=128,
)
def cifar_cnn(recipe: Recipe, options: Options) -> Result:
    """Train both networks; the result is that of the second, Krizhevsky's stands in the details.

    Krizhevsky's, which has no augmentation to need them, gets half the epochs.
    """
    train, test = pynn.datasets.cifar10(options.data, progress=not options.quiet)
    train, validation = hold_out(*train)
    first = _compiled(_krizhevsky(), pynn.optim.Adam(1e-3), options)
    epochs = max(1, (options.epochs or recipe.epochs) // 2)
    if not options.quiet:
        print(f"Krizhevsky's network, {first.count_parameters():,} parameters")
    settings: dict[str, Any] = {
        "batch_size": options.batch_size,
        "epochs": epochs,
        "verbose": 0 if options.quiet else 1,
    }
    history = first.fit(*train, validation_data=validation, **settings)
    if history.interrupted:
        raise KeyboardInterrupt
    scores = first.evaluate(*test)
    print(f"Krizhevsky's network: test accuracy {scores['accuracy']:.2%}, test loss {scores['loss']:.4f}")
    optimizer = pynn.optim.AdamW(cosine(options, len(train[0]), 4e-3), weight_decay=0.02)
    second = _compiled(_normalized(), optimizer, options)
    details = {
        "krizhevsky": {
            "accuracy": float(scores["accuracy"]),
            "loss": float(scores["loss"]),
            "epochs": epochs,
            "parameters": first.count_parameters(),
        }
    }
    drawn = pictures(second, test[0][0], test[0][:6])
    krizhevsky = pictures(first, test[0][0])
    drawn |= {f"krizhevsky-{name}": draw for name, draw in krizhevsky.items()}
    return train_classifier(recipe, options, second, train, validation, test, details=details, pictures=drawn)


def _compiled(layers: list[nn.Module], optimizer: Any, options: Options) -> nn.Sequential:
    model = nn.Sequential([nn.Input((32, 32, 3)), *layers])
    model.compile(optimizer=optimizer, loss="cross_entropy", metrics=["accuracy"], seed=options.seed)
    return model


def _krizhevsky() -> list[nn.Module]:
    """Return cuda-convnet's network of 18 % error: 5 x 5 filters, pools of 3 with stride 2, local normalization."""
    return [
        nn.Conv2D(32, 5, padding="same"),
        nn.MaxPool2D(3, strides=2, padding="same"),
        nn.Activation("relu"),
        nn.LocalResponseNormalization(bias=1.0, alpha=0.05),
        nn.Conv2D(32, 5, padding="same", activation="relu"),
        nn.AvgPool2D(3, strides=2, padding="same"),
        nn.LocalResponseNormalization(bias=1.0, alpha=0.05),
        nn.Conv2D(64, 5, padding="same", activation="relu"),
        nn.AvgPool2D(3, strides=2, padding="same"),
        nn.Flatten(),
        nn.Dense(10, activation="softmax"),
    ]


def _normalized() -> list[nn.Module]:
    """Return 32-64-64-128-128 filters of 3 x 3, each normalized, on mirrored and shifted photographs."""
    return [
        nn.RandomFlip(),
        nn.RandomCrop(padding=4),
        nn.BatchNormalization(center=False, scale=False),  # brings the pixels to mean 0 and variance 1
        *_block(32),
        nn.MaxPool2D(3, strides=2, padding="same"),
        *_block(64),
        *_block(64),
        nn.MaxPool2D(3, strides=2, padding="same"),
        *_block(128),
        *_block(128),
        nn.GlobalAvgPool(),
        nn.Dropout(0.1),
        nn.Dense(10, activation="softmax"),
    ]


def _block(filters: int) -> list[nn.Module]:
    convolution = nn.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")
    return [convolution, nn.BatchNormalization(), nn.Activation("relu")]
