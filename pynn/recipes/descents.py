"""Every optimizer on surfaces that can be seen, and on MNIST."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn, optim, viz
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, hold_out, timed_fit

__all__ = ["SURFACES", "beale", "optimizers", "saddle", "walk"]


def beale(x: Any, y: Any) -> Any:
    """Return (1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2, least (0) at (3, 0.5) (Beale 1958).

    Examples
    --------
    >>> beale(3.0, 0.5)
    0.0
    """
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y * y) ** 2 + (2.625 - x + x * y * y * y) ** 2


def saddle(x: Any, y: Any) -> Any:
    """Return x^2 - y^2, flat at (0, 0), where it is least along x and largest along y.

    Examples
    --------
    >>> saddle(0.0, 2.0)
    -4.0
    """
    return x * x - y * y


# function, where to start, steps, what is drawn, where it is least
SURFACES: dict[str, tuple[Callable[..., Any], tuple[float, float], int, tuple[float, float, float, float], Any]] = {
    "beale": (beale, (1.0, 1.5), 400, (-0.5, 4.5, -1.5, 2.0), (3.0, 0.5)),
    "saddle": (saddle, (-1.0, 0.005), 100, (-1.3, 1.3, -1.1, 1.1), None),
}

# Learning rates on Beale's function, on the saddle, and on MNIST, where the best of five for each was chosen by the
# accuracy on the last 10,000 training images. An optimizer that is not here takes its own default.
RATES = {
    "sgd": (0.005, 0.05, 0.4), "momentum": (0.002, 0.02, 0.05), "nesterov": (0.002, 0.02, 0.1),
    "adagrad": (0.3, 0.1, 0.08), "adadelta": (1.0, 1.0, 2.0), "rmsprop": (0.02, 0.02, 0.002),
    "adam": (0.05, 0.02, 0.004), "amsgrad": (0.05, 0.02, 0.004), "adamax": (0.05, 0.02, 0.008),
    "nadam": (0.05, 0.02, 0.004), "adamw": (0.05, 0.02, 0.004),
}  # fmt: skip


def walk(name: str, surface: str) -> np.ndarray:
    """Return the points [steps + 1, 2] that an optimizer visits on a surface.

    Parameters
    ----------
    name : str
        Of the optimizer, as for ``compile``.
    surface : str
        A name of :data:`SURFACES`.
    """
    function, start, steps, *_ = SURFACES[surface]
    x = pynn.tensor(start[0], dtype="float64", requires_grad=True)
    y = pynn.tensor(start[1], dtype="float64", requires_grad=True)
    optimizer = _optimizer(name, list(SURFACES).index(surface)).bind([x, y])
    points = [start]
    for _ in range(steps):
        function(x, y).backward()
        optimizer.step()
        points.append((x.item(), y.item()))
        if max(map(abs, points[-1])) > 20:  # down the saddle and out of the picture
            break
    return np.array(points)


def _optimizer(name: str, task: int) -> optim.Optimizer:
    """Return an optimizer with its learning rate for a surface, or for MNIST (2)."""
    optimizer = optim.get(name)
    if name in RATES:
        optimizer.learning_rate = RATES[name][task]
    return optimizer


@recipe(
    "optimizers",
    shows="every optimizer on Beale's function and on a saddle, as pictures that move, and a table on MNIST",
    data="MNIST (11 MB: --data, PYNN_DATA, or a download)",
    expected=0.965,
    epochs=2,
    batch_size=128,
    measure=Measure("accuracy", "test accuracy on MNIST of the best"),
)
def optimizers(recipe: Recipe, options: Options) -> Result:
    """Walk down two surfaces, then train 784-128-10 on MNIST with each optimizer for two passes.

    The figure is the test accuracy of the one that is best on the validation part.
    """
    train, test = pynn.datasets.mnist(options.data, progress=not options.quiet)
    train, validation = hold_out(*train)
    details: dict[str, Any] = {}
    seconds, parameters = 0.0, 0
    for name in optim.NAMES:
        model = nn.Sequential(
            [nn.Input((28, 28)), nn.Flatten(), nn.Dense(128, activation="relu"), nn.Dense(10, activation="softmax")]
        )
        model.compile(_optimizer(name, 2), "cross_entropy", ["accuracy"], seed=options.seed)
        history, spent = timed_fit(options, model, *train, verbose=0)
        watched, scores = model.evaluate(*validation), model.evaluate(*test)
        to_minimum = float(np.hypot(*(walk(name, "beale")[-1] - np.array([3.0, 0.5]))))
        details[name] = {
            "validation_accuracy": watched["accuracy"],
            "accuracy": scores["accuracy"],
            "loss": scores["loss"],
            "beale": to_minimum,
        }
        seconds, parameters = seconds + spent, model.count_parameters()
        if not options.quiet:
            print(
                f"{name:9} MNIST: test accuracy {scores['accuracy']:.2%}, training loss "
                f"{history.history['loss'][-1]:.4f}, {spent:.2f} s; Beale: ends {to_minimum:.3f} from the minimum"
            )
    if options.out is not None:
        report.write_pictures(options, _pictures())
    best = max(details, key=lambda name: details[name]["validation_accuracy"])
    epochs = options.epochs or recipe.epochs
    return conclude(
        recipe, options, {"accuracy": details[best]["accuracy"]}, epochs=epochs, seconds=seconds, parameters=parameters,
        details={"best": best, **details},
    )  # fmt: skip


def _pictures() -> dict[str, Callable[[Path], Any]]:
    drawn: dict[str, Callable[[Path], Any]] = {}
    for surface, (function, _, _, bounds, minimum) in SURFACES.items():
        paths = {name: walk(name, surface) for name in optim.NAMES}
        titles = {"beale": "Beale's function", "saddle": "A saddle"}
        settings: dict[str, Any] = {"bounds": bounds, "minimum": minimum, "title": titles[surface]}
        settings["log"] = minimum is not None

        def still(path: Path, f: Any = function, p: Any = paths, s: Any = settings) -> Any:
            return viz.plot_optimizer_paths(f, p, path, **s)

        def moving(path: Path, f: Any = function, p: Any = paths, s: Any = settings) -> Any:
            return viz.animate_optimizer_paths(f, p, path, **s)

        drawn |= {f"{surface}.png": still, f"{surface}.gif": moving}
    return drawn
