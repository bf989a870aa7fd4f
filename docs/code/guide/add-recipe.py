# %% recipe
import pynn
from pynn import nn
from pynn.recipes import Options, Recipe, Result, find, recipe
from pynn.recipes.runner import hold_out, train_classifier


@recipe(
    "circles",
    shows="a ring around a disc: one hidden layer closes the frontier",
    data="points made on the spot",
    expected=0.98,
    epochs=40,
    batch_size=32,
)
def circles(recipe: Recipe, options: Options) -> Result:
    """Train 2-8-1 on 180 points, watch 20 meanwhile; test on 200 others."""
    train, test = pynn.datasets.circles(200, seed=1), pynn.datasets.circles(200, seed=2)
    train, validation = hold_out(*train)
    model = nn.Sequential([
        nn.Input((2,)),
        nn.Dense(8, activation="tanh"),
        nn.Dense(1, activation="sigmoid"),
    ])
    model.compile(
        pynn.optim.Adam(0.03), "binary_cross_entropy", ["accuracy"], seed=options.seed
    )
    return train_classifier(recipe, options, model, train, validation, test)


# %% run
import contextlib
import io

with contextlib.redirect_stdout(io.StringIO()):  # it prints how long it took
    result = find("circles").run(Options(quiet=True, threads=1))
print(
    result.test["accuracy"],
    "of",
    result.expected,
    "expected, with",
    result.parameters,
    "numbers",
)
