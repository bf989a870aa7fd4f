"""XOR: what one layer cannot do, and one hidden layer can."""

from __future__ import annotations

import pynn
from pynn import nn, viz
from pynn.recipes.registry import Options, Recipe, Result, recipe
from pynn.recipes.runner import hold_out, train_classifier

__all__ = ["xor"]


@recipe(
    "xor",
    shows="a perceptron fails at XOR (at most 75 %), one hidden layer of 8 succeeds",
    data="made on the spot",
    expected=1.0,
    epochs=40,
    batch_size=32,
)
def xor(recipe: Recipe, options: Options) -> Result:
    """Train 2-1 and 2-8-1 on the same 360 points; the result is that of the hidden layer."""
    train, test = pynn.datasets.xor(400, seed=0), pynn.datasets.xor(400, seed=1)
    train, validation = hold_out(*train)
    perceptron = _compiled([nn.Dense(1, activation="sigmoid")], options)
    if perceptron.fit(
        *train, batch_size=options.batch_size, epochs=options.epochs or recipe.epochs, verbose=0
    ).interrupted:
        raise KeyboardInterrupt
    failure = perceptron.evaluate(*test)
    if not options.quiet:
        print(
            f"perceptron: test accuracy {failure['accuracy']:.2%} (expected at most 75 %), loss {failure['loss']:.4f}\n"
        )
    hidden = _compiled([nn.Dense(8, activation="tanh"), nn.Dense(1, activation="sigmoid")], options)
    models = {"a perceptron": perceptron, "one hidden layer": hidden}
    return train_classifier(
        recipe,
        options,
        hidden,
        train,
        validation,
        test,
        details={"perceptron": {name: float(failure[name]) for name in ("loss", "accuracy")}},
        pictures={"frontier.png": lambda path: viz.plot_frontier(models, test[0], test[1], path)},
    )


def _compiled(layers: list[nn.Module], options: Options) -> nn.Sequential:
    model = nn.Sequential([nn.Input((2,)), *layers])
    model.compile(optimizer=pynn.optim.Adam(0.02), loss="binary_cross_entropy", metrics=["accuracy"], seed=options.seed)
    return model
