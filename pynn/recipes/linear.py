"""Linear models as networks of one layer, and what new features or a hidden layer add to them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn, optim, viz
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, hold_out, timed_fit, train_classifier
from pynn.recipes.tables import breast_cancer, diabetes, standardized

__all__ = ["basis_functions", "gaussians", "linear_regression", "logistic_regression", "polynomials"]

FRAMES = 12  # of a picture that moves, or so


@recipe(
    "linear-regression",
    shows="one linear neuron and the squared error: descent reaches the least-squares solution",
    data="scikit-learn's diabetes data (extra demo)",
    expected=0.40,
    epochs=300,
    batch_size=32,
    measure=Measure("r2", "test R2", ""),
)
def linear_regression(recipe: Recipe, options: Options) -> Result:
    """Train 10-1 on 318 patients, beside numpy.linalg.lstsq; R2 is the share of the variance that is explained."""
    (x, y), (xt, yt) = standardized(*diabetes())
    mean, deviation = y.mean(), y.std()
    y, yt = (y - mean) / deviation, (yt - mean) / deviation
    (x, y), validation = hold_out(x, y)
    model = nn.Sequential([nn.Input((x.shape[1],)), nn.Dense(1)])
    steps = math.ceil(len(x) / (options.batch_size or 32)) * (options.epochs or 1)
    model.compile(optim.SGD(pynn.schedules.Cosine(0.05, steps), momentum=0.9), "mse", seed=options.seed)
    history, seconds = timed_fit(options, model, x, y, validation_data=validation, verbose=0)
    exact = np.linalg.lstsq(np.concatenate([x, np.ones((len(x), 1))], axis=1), y, rcond=None)[0].ravel()
    learnt = np.append(model.layers[0].w.numpy().ravel(), model.layers[0].b.numpy())
    gap = float(np.abs(learnt - exact).max())
    predicted = model.predict(xt)
    r2 = float(1 - np.square(yt - predicted).sum() / np.square(yt - yt.mean()).sum())
    if not options.quiet:
        print(f"weights by descent       {_short(learnt)}")
        print(f"weights by least squares {_short(exact)}")
        print(f"largest difference {gap:.4f}")
    curve = {"patients": {"predicted": (yt.ravel(), predicted.ravel())}}
    report.write_pictures(
        options,
        {
            "history.png": lambda path: viz.plot_history(history, path),
            "predicted.png": lambda path: _scatter(*curve["patients"]["predicted"], path),
        },
    )
    return conclude(
        recipe,
        options,
        {"r2": r2, "loss": float(np.square(yt - predicted).mean())},
        epochs=len(history.epoch),
        seconds=seconds,
        parameters=model.count_parameters(),
        details={"largest_difference_from_least_squares": gap},
    )


def _short(values: np.ndarray) -> str:
    return np.array2string(values, precision=3, suppress_small=True, max_line_width=200).replace("\n", "")


def _scatter(true: np.ndarray, predicted: np.ndarray, path: Path) -> Any:
    from pynn.figure import COLORS, GREY, finish, new_figure, tidy

    figure = new_figure(4.8, 4.6)
    ax = figure.add_subplot()
    ends = (float(true.min()), float(true.max()))
    ax.plot(ends, ends, color=GREY, linewidth=1)
    ax.scatter(true, predicted, s=16, color=COLORS[0], linewidths=0)
    ax.set_xlabel("measured (standardized)")
    ax.set_ylabel("predicted")
    tidy(ax)
    return finish(figure, path)


@recipe(
    "logistic-regression",
    shows="one neuron that answers with a probability: benign or malignant",
    data="scikit-learn's breast cancer data (extra demo)",
    expected=0.96,
    epochs=60,
    batch_size=32,
)
def logistic_regression(recipe: Recipe, options: Options) -> Result:
    """Train 30-1 with sigmoid and cross-entropy on 410 tumours, watch 45 meanwhile; test on 114 others."""
    train, test = standardized(*breast_cancer())
    model = nn.Sequential(
        [nn.Input((30,)), nn.Dense(1, activation="sigmoid", kernel_regularizer=pynn.regularizers.L2(1e-3))]
    )
    model.compile(optim.Adam(0.01), "binary_cross_entropy", ["accuracy"], seed=options.seed)
    train, test = (train[0], train[1].astype(int).ravel()), (test[0], test[1].astype(int).ravel())
    train, validation = hold_out(*train)
    return train_classifier(recipe, options, model, train, validation, test)


def polynomials(x: np.ndarray, degree: int) -> np.ndarray:
    """Return all products of at most `degree` of the columns of x [N, D], without the constant.

    Examples
    --------
    >>> polynomials(np.array([[2.0, 3.0]]), 2)
    array([[2., 3., 4., 6., 9.]], dtype=float32)
    """
    from itertools import combinations_with_replacement

    columns = [
        np.prod(x[:, list(chosen)], axis=1)
        for size in range(1, degree + 1)
        for chosen in combinations_with_replacement(range(x.shape[1]), size)
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def gaussians(x: np.ndarray, centres: np.ndarray, width: float) -> np.ndarray:
    """Return exp(-|x - c|^2 / 2 width^2) for every row of x [N, D] and every centre c [M, D], as float32 [N, M].

    Examples
    --------
    >>> gaussians(np.array([[0.0, 0.0]]), np.array([[0.0, 0.0], [2.0, 0.0]]), 1.0).round(3)
    array([[1.   , 0.135]], dtype=float32)
    """
    squares = np.square(x[:, None, :] - centres[None]).sum(axis=2)
    return np.exp(-squares / (2 * width * width)).astype(np.float32)


@recipe(
    "basis-functions",
    shows="a linear classifier of new features: Gaussian and polynomial bases bend its frontier, at a price",
    data="points made on the spot: two moons",
    expected=0.96,
    epochs=200,
    batch_size=32,
    measure=Measure("accuracy", "accuracy with Gaussian bases"),
)
def basis_functions(recipe: Recipe, options: Options) -> Result:
    """Train one neuron on x, on polynomials of x and on Gaussians of x, beside a hidden layer that finds its own.

    The number of quadratic terms grows with the square of the inputs: 100 inputs have 4,950 products of two different
    ones. A hidden layer's features are learnt, and their number is chosen.
    """
    (x, y), (xt, yt) = pynn.datasets.moons(400, noise=0.2, seed=1), pynn.datasets.moons(400, noise=0.2, seed=2)
    side = np.linspace(0, 1, 5)
    low, high = x.min(axis=0), x.max(axis=0)
    centres = low + np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2) * (high - low)
    bases: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
        "x itself": (lambda p: np.asarray(p, np.float32), 0),
        "quadratic": (lambda p: polynomials(p, 2), 0),
        "cubic": (lambda p: polynomials(p, 3), 0),
        "25 Gaussians": (lambda p: gaussians(p, centres, 0.5), 0),
        "a hidden layer of 8": (lambda p: np.asarray(p, np.float32), 8),
    }
    models, details, seconds = {}, {}, 0.0
    for name, (basis, hidden) in bases.items():
        layers = [nn.Dense(hidden, activation="tanh")] if hidden else []
        model = nn.Sequential([nn.Input((basis(x[:1]).shape[1],)), *layers, nn.Dense(1, activation="sigmoid")])
        model.compile(optim.Adam(0.03), "binary_cross_entropy", ["accuracy"], seed=options.seed)
        _, spent = timed_fit(options, model, basis(x), y, verbose=0)
        seconds += spent
        accuracy = model.evaluate(basis(xt), yt)["accuracy"]
        details[name] = {"accuracy": accuracy, "parameters": model.count_parameters()}
        models[name] = lambda p, model=model, basis=basis: model.predict(basis(p))
        if not options.quiet:
            print(f"{name:20} {model.count_parameters():3} numbers, test accuracy {accuracy:.2%}")
    inputs = np.array([2, 5, 10, 20, 50, 100])
    growth = {str(n): math.comb(int(n), 2) for n in inputs}
    if not options.quiet:
        print("products of two different inputs: " + ", ".join(f"{n} inputs {count:,}" for n, count in growth.items()))
    hidden_layer = inputs * 8.0
    report.write_pictures(
        options,
        {
            "frontiers.png": lambda path: viz.plot_frontier(models, xt, yt, path),
            "growth.png": lambda path: viz.plot_curves(
                {
                    "what quadratic terms and hidden units cost": {
                        "products of two inputs": (inputs, list(growth.values())),
                        "8 hidden units": (inputs, hidden_layer),
                    }
                },
                path,
                x="inputs",
                y="numbers",
            ),
        },
    )
    return conclude(
        recipe,
        options,
        {"accuracy": details["25 Gaussians"]["accuracy"]},
        epochs=options.epochs or recipe.epochs,
        seconds=seconds,
        parameters=int(details["25 Gaussians"]["parameters"]),
        details={**details, "products": growth},
    )


@recipe(
    "decision-frontiers",
    shows="what a hidden layer of 1 to 16 units can carve out of moons, circles and spirals, unit by unit",
    data="points made on the spot",
    expected=0.95,
    epochs=300,
    batch_size=32,
    measure=Measure("accuracy", "least accuracy of 16 units"),
)
def decision_frontiers(recipe: Recipe, options: Options) -> Result:
    """Train 2-n-1 (2-n-3 on spirals) for growing n; print W and b of the hidden layers, draw every unit's frontier."""
    makers = {"moons": pynn.datasets.moons, "circles": pynn.datasets.circles, "spirals": pynn.datasets.spirals}
    widths = (1, 2, 4, 16)
    details: dict[str, Any] = {}
    pictures: dict[str, Callable[[Path], Any]] = {}
    seconds, parameters = 0.0, 0
    for name, make in makers.items():
        (x, y), (xt, yt) = make(seed=1), make(seed=2)
        classes = int(y.max()) + 1
        models: dict[str, Any] = {}
        for width in widths:
            model = _carver(width, classes, options.seed)
            _, spent = timed_fit(options, model, x, y, verbose=0)
            accuracy = model.evaluate(xt, yt)["accuracy"]
            seconds, parameters = seconds + spent, model.count_parameters()
            models[f"{name}, {width} unit{'s' if width > 1 else ''}"] = model
            details[f"{name}, {width}"] = accuracy
            if not options.quiet:
                print(f"{name:8} {width:2} hidden units: test accuracy {accuracy:.2%}")
                w, b = model.layers[0].w.numpy(), model.layers[0].b.numpy()
                print(f"         W = {_short(w)}\n         b = {_short(b)}")
        pictures |= _drawings(name, models, xt, yt)
        pictures[f"{name}.gif"] = _moving(_carver(widths[-1], classes, options.seed), x, y, options)
    report.write_pictures(options, pictures)
    least = min(details[f"{name}, 16"] for name in makers)
    return conclude(
        recipe, options, {"accuracy": least}, epochs=options.epochs or recipe.epochs, seconds=seconds,
        parameters=parameters, details=details,
    )  # fmt: skip


def _carver(width: int, classes: int, seed: int) -> nn.Sequential:
    out = nn.Dense(1, activation="sigmoid") if classes == 2 else nn.Dense(classes, activation="softmax")
    model = nn.Sequential([nn.Input((2,)), nn.Dense(width, activation="tanh"), out])
    loss = "binary_cross_entropy" if classes == 2 else "cross_entropy"
    model.compile(optim.Adam(0.03), loss, ["accuracy"], seed=seed)
    return model


def _moving(model: nn.Sequential, x: np.ndarray, y: np.ndarray, options: Options) -> Callable[[Path], Any]:
    """Return what trains the model once more, from the same weights, and draws its frontier meanwhile."""
    epochs, batch_size = options.epochs or 1, options.batch_size or 32
    every = max(1, epochs // FRAMES)
    return lambda path: viz.animate(model, x, y, path, every=every, epochs=epochs, batch_size=batch_size)


def _drawings(name: str, models: dict[str, Any], x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[Path], Any]]:
    units = _units(models[f"{name}, 4 units"])
    return {
        f"{name}.png": lambda path: viz.plot_frontier(models, x, y, path),
        f"{name}-units.png": lambda path: viz.plot_frontier(
            units, x, y, path, threshold=0.0, mistakes=False, values=True
        ),
    }


def _units(model: nn.Sequential) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return each hidden unit as a classifier of its own: the line where its value is 0."""
    layer = model.layers[0]
    w, b = layer.w.numpy(), layer.b.numpy()
    return {
        f"unit {i + 1}": lambda p, i=i: np.tanh(p @ w[:, i : i + 1] + b[i])  # type: ignore[misc]
        for i in range(w.shape[1])
    }
