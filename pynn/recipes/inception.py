"""GoogLeNet's nine modules on small photographs, at a quarter of its width, beside a plain network of the same cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pynn
from pynn import nn, viz
from pynn.recipes import report
from pynn.recipes.images import cosine, pictures
from pynn.recipes.networks import AUXILIARY, GOOGLENET, inception
from pynn.recipes.registry import Options, Recipe, Result, recipe
from pynn.recipes.runner import apart, conclude, hold_out, rounded, timed_fit

__all__ = ["inception_cifar", "narrow_googlenet", "plain_network"]

HEADS = ("main", "first", "second")
WEIGHTS = {"main": 1.0, "first": 0.3, "second": 0.3}
# Filters of 3 x 3 of the plain network; None is a pool that halves the sides.
PLAIN = (24, None, 56, 56, None, 80, 80, 80, None, 112, 112)


def _beginning() -> tuple[Any, Any]:
    """Return the image, and what becomes of it before the first convolution."""
    image = nn.Input((32, 32, 3))
    x = nn.RandomCrop(padding=4)(nn.RandomFlip()(image))
    return image, nn.BatchNormalization(center=False, scale=False)(x)


def _normalized(filters: int, size: int) -> Callable[[Any], Any]:
    """Return a convolution with batch normalization and ReLU."""
    convolution = nn.Conv2D(filters, size, padding="same", use_bias=False, kernel_initializer="he_normal")
    return lambda x: nn.Activation("relu")(nn.BatchNormalization()(convolution(x)))


def narrow_googlenet(share: int = 4, auxiliary: bool = True) -> tuple[nn.Model, nn.Model]:
    """Return GoogLeNet for 32 x 32 pixels with all widths divided, and the same with its main output alone.

    A convolution of 3 x 3 and a pool stand for the first layers; then the nine modules see 16, 8 and 4 pixels.

    Parameters
    ----------
    share : int, default 4
        What widths are divided by.
    auxiliary : bool, default True
        Whether the first model has the two heads after modules 4a and 4d. Its outputs are a dict then.

    Examples
    --------
    >>> whole, main = narrow_googlenet()
    >>> [layer.units for layer in whole.layers if isinstance(layer, nn.Dense)]
    [256, 10, 256, 10, 10]
    """
    image, x = _beginning()
    x = nn.MaxPool2D(3, strides=2, padding="same")(_normalized(192 // share, 3)(x))
    outputs = {}
    for i, widths in enumerate(GOOGLENET):
        if widths is None:
            x = nn.MaxPool2D(3, strides=2, padding="same")(x)
            continue
        x = inception(x, tuple(n // share for n in widths), _normalized)
        if auxiliary and i in AUXILIARY:
            y = nn.Flatten()(_normalized(128 // share, 1)(nn.AvgPool2D(5, strides=3)(x)))
            y = nn.Dropout(0.7)(nn.Dense(1024 // share, activation="relu")(y))
            outputs[HEADS[1 + AUXILIARY.index(i)]] = nn.Dense(10, activation="softmax")(y)
    main = nn.Dense(10, activation="softmax")(nn.Dropout(0.1)(nn.GlobalAvgPool()(x)))
    alone = nn.Model(image, main)
    return (nn.Model(image, {"main": main, **outputs}) if auxiliary else alone), alone


def plain_network() -> nn.Model:
    """Return convolutions of 3 x 3 one after the other, of about as many multiply-adds as the narrow GoogLeNet."""
    image, x = _beginning()
    for filters in PLAIN:
        x = nn.MaxPool2D(3, strides=2, padding="same")(x) if filters is None else _normalized(filters, 3)(x)
    return nn.Model(image, nn.Dense(10, activation="softmax")(nn.Dropout(0.1)(nn.GlobalAvgPool()(x))))


@recipe(
    "inception-cifar",
    shows="GoogLeNet's modules on photographs, with two heads on the way, beside a plain network of the same cost",
    data="CIFAR-10 (170 MB: --data, PYNN_DATA, or a download)",
    expected=0.86,
    epochs=20,
    batch_size=128,
    full_epochs=40,
)
def inception_cifar(recipe: Recipe, options: Options) -> Result:
    """Train the nine modules at a quarter of their width with auxiliary heads, then a plain network of equal cost.

    With --full the modules are trained a second time without the heads. Convolutions of 3 x 3 go by Winograd's
    algorithm. All are tested on one view of each image.
    """
    train, test = pynn.datasets.cifar10(options.data, progress=not options.quiet)
    train, validation = hold_out(*train)
    whole, main = narrow_googlenet()
    start = time.perf_counter()
    history = _fit(options, "inception", whole, train, validation, WEIGHTS)
    details: dict[str, Any] = {"inception": _measured(options, main, test)}
    others = {"plain": plain_network()} | (
        {"without heads": narrow_googlenet(auxiliary=False)[0]} if options.full else {}
    )
    curves = {"inception": history.history["val_main_accuracy"]}
    for name, model in others.items():
        fitted = _fit(options, name, model, train, validation)
        curves[name] = fitted.history["val_accuracy"]
        details[name] = _measured(options, model, test)
    seconds = time.perf_counter() - start
    details["curves"] = rounded(curves)
    if options.out is not None:
        drawn = pictures(main, test[0][0], test[0][:6])
        shown = [layer.name for layer in main.layers if isinstance(layer, nn.Concatenate)]
        drawn["features.png"] = lambda path: viz.plot_feature_maps(main, test[0][0], path, shown)
        drawn["held-out.png"] = lambda path: viz.plot_curves({"held-out accuracy": curves}, path)
        written = report.write(options.out, recipe.name, main, history, *test, drawn)
        if not options.quiet:
            print(f"wrote to {options.out}: {', '.join(written)}")
    figures = {"accuracy": details["inception"]["accuracy"], "loss": details["inception"]["loss"]}
    return conclude(
        recipe,
        options,
        figures | {f"accuracy of {name}": details[name]["accuracy"] for name in others},
        epochs=len(history.epoch),
        seconds=seconds,
        parameters=main.count_parameters(),
        details=details,
    )


def _fit(
    options: Options, name: str, model: nn.Model, train: Any, validation: Any, weights: dict[str, float] | None = None
) -> Any:
    """Compile and train a model; one with heads, which `weights` name, gets the labels for each."""
    optimizer = pynn.optim.AdamW(cosine(options, len(train[0]), 4e-3), weight_decay=0.02)
    model.compile(optimizer, "cross_entropy", ["accuracy"], seed=options.seed, loss_weights=weights)

    def labels(y: Any) -> Any:
        return y if weights is None else dict.fromkeys(weights, y)

    held = validation[0], labels(validation[1])
    history, _ = timed_fit(apart(options, name), model, train[0], labels(train[1]), validation_data=held)
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def _measured(options: Options, model: nn.Model, test: Any) -> dict[str, float]:
    """Return what a trained network reaches, and what it costs."""
    model.compile("sgd", "cross_entropy", ["accuracy"], seed=options.seed)
    scores = model.evaluate(*test)
    cost = nn.count(model)
    found = {
        "accuracy": float(scores["accuracy"]),
        "loss": float(scores["loss"]),
        "multiply_adds": int(cost.multiply_adds),
        "parameters": model.count_parameters(),
    }
    print(
        f"{found['parameters']:,} parameters, {found['multiply_adds'] / 1e6:.1f} million multiply-adds: "
        f"test accuracy {found['accuracy']:.2%}"
    )
    return found
