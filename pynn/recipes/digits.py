"""The first network: real handwritten digits, learnt in seconds, no download."""

from __future__ import annotations

import pynn
from pynn import nn
from pynn.recipes.registry import Options, Recipe, Result, recipe
from pynn.recipes.runner import hold_out, train_classifier

__all__ = ["digits"]


@recipe(
    "digits",
    shows="a first network: one hidden layer reads handwritten digits of 8 x 8",
    data="scikit-learn's digits (extra demo)",
    expected=0.97,
    epochs=60,
    batch_size=32,
)
def digits(recipe: Recipe, options: Options) -> Result:
    """Train 64-64-10 with ReLU, dropout and Adam on 1,295 images, watch 143 meanwhile; test on 359 others."""
    train, test = pynn.datasets.digits()
    train, validation = hold_out(*train)
    model = nn.Sequential(
        [
            nn.Input((8, 8)),
            nn.Flatten(),
            nn.Dense(64, activation="relu"),
            nn.Dropout(0.2),
            nn.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer=pynn.optim.Adam(1e-3), loss="cross_entropy", metrics=["accuracy"], seed=options.seed)
    return train_classifier(recipe, options, model, train, validation, test)
