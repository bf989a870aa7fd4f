"""MNIST, the classic: 60,000 handwritten digits to learn from, 10,000 to be tested on."""

from __future__ import annotations

import pynn
from pynn import nn
from pynn.recipes.images import cosine
from pynn.recipes.registry import Options, Recipe, Result, recipe
from pynn.recipes.runner import hold_out, train_classifier

__all__ = ["mnist_mlp", "mnist_softmax"]


@recipe(
    "mnist-softmax",
    shows="how far a single layer gets: softmax regression, 7,850 numbers",
    data="MNIST (11 MB: --data, PYNN_DATA, or a download)",
    expected=0.92,
    epochs=10,
    batch_size=128,
)
def mnist_softmax(recipe: Recipe, options: Options) -> Result:
    """Train 784-10 with Adam; each class has one template, and 92 % is all that templates can do."""
    train, test = pynn.datasets.mnist(options.data, progress=not options.quiet)
    train, validation = hold_out(*train)
    model = nn.Sequential([nn.Input((28, 28)), nn.Flatten(), nn.Dense(10, activation="softmax")])
    model.compile(optimizer=pynn.optim.Adam(1e-3), loss="cross_entropy", metrics=["accuracy"], seed=options.seed)
    return train_classifier(recipe, options, model, train, validation, test)


@recipe(
    "mnist-mlp",
    shows="what two hidden layers with dropout add: the network of the Keras example",
    data="MNIST (11 MB: --data, PYNN_DATA, or a download)",
    expected=0.984,
    epochs=20,
    batch_size=128,
)
def mnist_mlp(recipe: Recipe, options: Options) -> Result:
    """Train 784-512-512-10 with ReLU, dropout of 0.2 and RMSprop, as the example mnist_mlp.py of Keras does.

    The learning rate rises and falls; the example's is constant.
    """
    train, test = pynn.datasets.mnist(options.data, progress=not options.quiet)
    train, validation = hold_out(*train)
    model = nn.Sequential(
        [
            nn.Input((28, 28)),
            nn.Flatten(),
            nn.Dense(512, activation="relu"),
            nn.Dropout(0.2),
            nn.Dense(512, activation="relu"),
            nn.Dropout(0.2),
            nn.Dense(10, activation="softmax"),
        ]
    )
    optimizer = pynn.optim.RMSprop(cosine(options, len(train[0]), 1e-3))
    model.compile(optimizer=optimizer, loss="cross_entropy", metrics=["accuracy"], seed=options.seed)
    return train_classifier(recipe, options, model, train, validation, test)
