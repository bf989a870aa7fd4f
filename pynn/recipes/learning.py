"""How networks learn: descents, optimizers, overfitting, initial weights, activations."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn, ops, optim, viz
from pynn.ops.activation import ELEMENTWISE
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, timed_fit
from pynn.recipes.tables import breast_cancer, standardized

__all__ = ["activations", "gradient_descent", "initialization", "overfitting"]


@recipe(
    "gradient-descent",
    shows="batch, mini-batch and stochastic descent on one problem: cost against updates and against time",
    data="scikit-learn's breast cancer data (extra demo)",
    expected=0.96,
    epochs=40,
    batch_size=32,
    measure=Measure("accuracy", "mini-batch accuracy"),
)
def gradient_descent(recipe: Recipe, options: Options) -> Result:
    """Train logistic regression three times with equal passes over the data; the figure is that of mini-batches.

    The learning rate grows with the root of the batch, so that none of the three is held back by it.
    """
    (x, y), (xt, yt) = standardized(*breast_cancer())
    sizes = {"batch": len(x), "mini-batch": options.batch_size or recipe.batch_size, "stochastic": 1}
    by_updates: dict[str, Any] = {}
    by_time: dict[str, Any] = {}
    scores, seconds, parameters = {}, 0.0, 0
    for name, size in sizes.items():
        model = nn.Sequential([nn.Input((x.shape[1],)), nn.Dense(1, activation="sigmoid")])
        rate = min(1.0, 0.01 * size**0.5 * 3)
        model.compile(optim.SGD(rate), "binary_cross_entropy", ["accuracy"], seed=options.seed)
        costs, spent = [model.evaluate(x, y)["loss"]], [0.0]
        for epoch in range(options.epochs or recipe.epochs):
            start = time.perf_counter()
            model.fit(x, y, batch_size=size, epochs=epoch + 1, initial_epoch=epoch, verbose=0)
            spent.append(spent[-1] + time.perf_counter() - start)
            costs.append(model.evaluate(x, y)["loss"])
        updates = np.arange(len(costs)) * -(-len(x) // size)
        by_updates[name], by_time[name] = (np.maximum(updates, 0.5), costs), (spent, costs)
        scores[name] = model.evaluate(xt, yt)["accuracy"]
        seconds, parameters = seconds + spent[-1], model.count_parameters()
        if not options.quiet:
            print(
                f"{name:10}  {updates[-1]:6,} updates of {size:3} items in {spent[-1]:.2f} s: cost {costs[-1]:.4f}, "
                f"test accuracy {scores[name]:.2%}"
            )
    pictures: dict[str, Callable[[Path], Any]] = {
        "updates.png": lambda path: viz.plot_curves(
            {"cost against updates": by_updates},
            path,
            x="updates; the start stands at 1/2",
            y="cost",
            log_x=True,
            dots=True,
        ),
        "time.png": lambda path: viz.plot_curves(
            {"cost against time": by_time}, path, x="seconds", y="cost", dots=True
        ),
    }
    report.write_pictures(options, pictures)
    return conclude(
        recipe,
        options,
        {"accuracy": scores["mini-batch"]},
        epochs=options.epochs or recipe.epochs,
        seconds=seconds,
        parameters=parameters,
        details={"accuracy": scores, "cost": {name: curve[1] for name, curve in by_updates.items()}},
    )


@recipe(
    "overfitting",
    shows="a network too large for its data, and what helps: early stopping, L2, dropout, fewer units",
    data="scikit-learn's digits (extra demo)",
    expected=0.87,
    epochs=80,
    batch_size=16,
    measure=Measure("accuracy", "best remedy's accuracy"),
)
def overfitting(recipe: Recipe, options: Options) -> Result:
    """Train 64-256-256-10 on 200 digits, plainly and with four remedies; the figure is the best one's on test.

    A fifth of the labels is wrong, so that learning them by heart can be seen to hurt. Which remedy is best is decided
    on the validation part.
    """
    (x, y), (xt, yt) = pynn.datasets.digits()
    rng = np.random.default_rng(options.seed)
    learn, validate = slice(0, 200), slice(200, 700)
    labels = y[learn].copy()
    wrong = rng.permutation(len(labels))[: len(labels) // 5]
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, len(wrong))) % 10
    remedies: dict[str, tuple[int, float, float, bool]] = {  # units, L2, dropout, early stopping
        "nothing": (256, 0.0, 0.0, False),
        "early stopping": (256, 0.0, 0.0, True),
        "L2": (256, 3e-2, 0.0, False),
        "dropout": (256, 0.0, 0.7, False),
        "fewer units": (16, 0.0, 0.0, False),
    }
    curves: dict[str, Any] = {}
    details: dict[str, Any] = {}
    seconds, parameters = 0.0, 0
    for name, (units, l2, rate, stop) in remedies.items():
        model = _wide(units, l2, rate)
        model.compile(optim.Adam(1e-3), "cross_entropy", ["accuracy"], seed=options.seed)
        stopping = [pynn.train.EarlyStopping(patience=10)] if stop else []
        history, spent = timed_fit(
            options, model, x[learn], labels, validation_data=(x[validate], y[validate]), callbacks=stopping, verbose=0
        )
        seconds, parameters = seconds + spent, max(parameters, model.count_parameters())
        curves[name] = history.history["val_accuracy"]
        details[name] = {
            "validation_accuracy": model.evaluate(x[validate], y[validate])["accuracy"],
            "train_accuracy": model.evaluate(x[learn], labels)["accuracy"],
            "accuracy": model.evaluate(xt, yt)["accuracy"],
            "epochs": len(history.epoch),
        }
        if not options.quiet:
            row = details[name]
            print(
                f"{name:15} {row['epochs']:3} epochs: training accuracy {row['train_accuracy']:.2%}, validation "
                f"{row['validation_accuracy']:.2%}, test {row['accuracy']:.2%}"
            )
    best = max((name for name in details if name != "nothing"), key=lambda name: details[name]["validation_accuracy"])
    panels = {name: {"nothing": curves["nothing"], name: curves[name]} for name in remedies if name != "nothing"}
    report.write_pictures(
        options,
        {"validation.png": lambda path: viz.plot_curves(panels, path, y="validation accuracy", columns=2)},
    )
    return conclude(
        recipe,
        options,
        {"accuracy": details[best]["accuracy"]},
        epochs=options.epochs or recipe.epochs,
        seconds=seconds,
        parameters=parameters,
        details={"best": best, **details},
    )


def _wide(units: int, l2: float, rate: float) -> nn.Sequential:
    penalty = pynn.regularizers.L2(l2) if l2 else None
    layers: list[Any] = [nn.Input((8, 8)), nn.Flatten()]
    for _ in range(2):
        layers.append(nn.Dense(units, activation="relu", kernel_regularizer=penalty))
        if rate:
            layers.append(nn.Dropout(rate))
    return nn.Sequential([*layers, nn.Dense(10, activation="softmax")])


@recipe(
    "initialization",
    shows="why weights begin as they do: bad scales fade, saturate or overflow, Glorot's and He's do not",
    data="scikit-learn's digits (extra demo)",
    expected=0.90,
    epochs=15,
    batch_size=32,
    measure=Measure("accuracy", "lesser accuracy of Glorot's with tanh, He's with ReLU"),
)
def initialization(recipe: Recipe, options: Options) -> Result:
    """Train ten layers of 64 tanh or ReLU units from four scales of initial weights.

    Before the training the values of every layer are looked at: how far they spread, how many are saturated (tanh
    beyond 0.99) and how many units are silent (ReLU at 0 for every image). The figure is the lesser one of the two
    accuracies that should be good: tanh with Glorot's weights, ReLU with He's. The learning rate was chosen on
    training images.
    """
    (x, y), (xt, yt) = pynn.datasets.digits()
    starts: dict[str, Any] = {
        "too small": pynn.init.Normal(std=0.01),
        "too large": pynn.init.Normal(std=1.0),
        "Glorot": "glorot_uniform",
        "He": "he_normal",
    }
    spreads: dict[str, dict[str, list[float]]] = {"tanh": {}, "relu": {}}
    curves: dict[str, dict[str, list[float]]] = {"tanh": {}, "relu": {}}
    details: dict[str, Any] = {}
    seconds, parameters = 0.0, 0
    for activation in spreads:
        for name, start in starts.items():
            hidden = [nn.Dense(64, activation=activation, kernel_initializer=start) for _ in range(10)]
            model = nn.Sequential([nn.Input((8, 8)), nn.Flatten(), *hidden, nn.Dense(10, activation="softmax")])
            model.compile(optim.SGD(0.01, momentum=0.9), "cross_entropy", ["accuracy"], seed=options.seed)
            values = _layer_values(model, x[:256].reshape(256, -1))
            spreads[activation][name] = [float(a.std()) for a in values]
            told = "saturated" if activation == "tanh" else "silent"
            lost = float(np.mean([np.mean(np.abs(a) > 0.99 if activation == "tanh" else _silent(a)) for a in values]))
            history, spent = timed_fit(options, model, x, y, verbose=0, check_finite=False)
            curves[activation][name] = history.history["loss"]
            overflowed = not np.isfinite(history.history["loss"]).all()
            accuracy = model.evaluate(xt, yt)["accuracy"]
            details[f"{activation}, {name}"] = {"accuracy": accuracy, told: lost, "loss_overflowed": overflowed}
            seconds, parameters = seconds + spent, model.count_parameters()
            if not options.quiet:
                print(
                    f"{activation}, {name:9}: spread {spreads[activation][name][0]:.3g} in the first layer, "
                    f"{spreads[activation][name][-1]:.3g} in the tenth, {lost:.0%} {told}; test accuracy {accuracy:.2%}"
                    f"{', the loss overflowed' if overflowed else ''}"
                )
    report.write_pictures(
        options,
        {
            "spread.png": lambda path: viz.plot_curves(
                spreads, path, x="layer", y="standard deviation of its values", log_y=True
            ),
            "loss.png": lambda path: viz.plot_curves(curves, path, y="training loss"),
        },
    )
    return conclude(
        recipe,
        options,
        {"accuracy": min(details["tanh, Glorot"]["accuracy"], details["relu, He"]["accuracy"])},
        epochs=options.epochs or recipe.epochs,
        seconds=seconds,
        parameters=parameters,
        details=details,
    )


def _silent(a: np.ndarray) -> np.ndarray:
    """Return which units answer 0 to every input."""
    return np.all(a == 0, axis=0)


def _layer_values(model: nn.Sequential, x: np.ndarray) -> list[np.ndarray]:
    """Return what the hidden layers make of inputs."""
    values, a = [], x.astype(np.float32)
    for layer in model.layers[1:-1]:
        a = layer(a).numpy()
        values.append(a)
    return values


# Of one number, with a derivative to learn by.
ACTIVATIONS = ("linear", *(name for name, row in ELEMENTWISE.items() if row.layer and row.saves is not None))
STEP, TOLERANCE = 1e-5, 1e-4


@recipe(
    "activations",
    shows="every activation and its derivative, from the library's own kernels, checked by finite differences",
    data="made on the spot",
    expected=1.0,
    epochs=1,
    batch_size=1,
    measure=Measure("accuracy", "derivatives that hold"),
)
def activations(recipe: Recipe, options: Options) -> Result:
    """Compute and draw every activation f and its derivative f', and compare f' with (f(x+h) - f(x-h)) / 2h."""
    start = time.perf_counter()
    x = np.linspace(-5, 5, 1001) + 1e-3  # no point lies on a kink
    panels: dict[str, dict[str, Any]] = {}
    errors: dict[str, float] = {}
    step = ops.activation.named("step")(pynn.tensor(x)).numpy()
    panels["step, which has no derivative to learn by"] = {"f": (x, step)}
    for name in ACTIVATIONS:
        f = ops.activation.named(name)
        at = pynn.tensor(x, requires_grad=True)
        value = f(at)
        ops.sum(value).backward()
        assert at.grad is not None
        slope = at.grad.numpy()
        differences = (f(pynn.tensor(x + STEP)).numpy() - f(pynn.tensor(x - STEP)).numpy()) / (2 * STEP)
        errors[name] = float(np.abs(slope - differences).max())
        panels[name] = {"f": (x, value.numpy()), "f'": (x, slope)}
        if not options.quiet:
            print(f"{name:10} largest difference of its derivative from finite differences: {errors[name]:.1e}")
    held = float(np.mean([error < TOLERANCE for error in errors.values()]))
    seconds = time.perf_counter() - start
    title = "Activations and derivatives"
    report.write_pictures(
        options, {"activations.png": lambda path: viz.plot_curves(panels, path, x="z", title=title, columns=4)}
    )
    return conclude(recipe, options, {"accuracy": held}, epochs=1, seconds=seconds, details={"errors": errors})
