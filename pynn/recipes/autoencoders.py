"""Autoencoders: digits through a narrow place and back, and digits out of noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn, viz
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, hold_out, timed_fit

__all__ = ["autoencoder", "denoising", "noisy", "principal_error"]

MNIST = "MNIST (11 MB: --data, PYNN_DATA, or a download)"
PIXELS = 784
SHOWN = 10
MOVED = 1000  # digits in the picture that moves
GRID = 15  # digits across and down in the picture of the plane
NOISE = 0.5


@recipe(
    "autoencoder",
    shows="digits through 32 numbers and back, beside principal components; and through 2, which is a map",
    data=MNIST,
    expected=0.0055,
    epochs=10,
    batch_size=128,
    measure=Measure("mse", "error with 32 numbers", "", higher=False),
)
def autoencoder(recipe: Recipe, options: Options) -> Result:
    """Train 784-512-128-c-128-512-784 for c = 32 and c = 2; the figure is the first's mean squared error on test."""
    (images, digits), (tested, labels) = pynn.datasets.mnist(options.data, progress=not options.quiet)
    (x, _), (watched, _) = hold_out(_flat(images), digits)
    xt = _flat(tested)
    models, errors, seconds = {}, {}, 0.0
    frames: list[viz.Frames] = []
    film: dict[str, Callable[[Path], Any]] = {}
    for code in (32, 2):
        encoder, decoder = _mirrored(code)
        model = nn.Sequential([nn.Input((PIXELS,)), *encoder, *decoder])
        _compile(model, options, len(x))
        if not options.quiet:
            print(f"bottleneck of {code} numbers, {model.count_parameters():,} parameters")
        own = _own_checkpoint(options, f"code-{code}")
        if code == 2:
            frames, film = report.moving(options, "map.gif", _map_of(encoder, xt[:MOVED], labels[:MOVED]))
        history, took = timed_fit(own, model, x, x, validation_data=(watched, watched), callbacks=frames)
        seconds += took
        errors[code] = float(model.evaluate(xt, xt)["mse"])
        parts = (nn.Sequential([nn.Input((PIXELS,)), *encoder]), nn.Sequential([nn.Input((code,)), *decoder]))
        models[code] = (model, *parts, history)
        if history.interrupted:
            raise KeyboardInterrupt
    principal = {code: principal_error(x, xt, code) for code in errors}
    for code, error in errors.items():
        print(f"{code:2} numbers: error {error:.4f}; as many principal components: {principal[code]:.4f}")
    _draw(options, models, errors, xt, labels, film)
    wide = models[32]
    if options.out is not None:
        wide[0].save(options.out / "model.pynn", include_optimizer=False, metadata={"recipe": recipe.name})
        models[2][0].save(options.out / "map.pynn", include_optimizer=False, metadata={"recipe": recipe.name})
        wide[3].to_csv(options.out / "history.csv")
    return conclude(
        recipe,
        options,
        {"mse": errors[32], "mse_2": errors[2]},
        epochs=len(wide[3].epoch),
        seconds=seconds,
        parameters=wide[0].count_parameters(),
        details={"principal_components": {str(code): error for code, error in principal.items()}},
    )


@recipe(
    "denoising-conv-autoencoder",
    shows="digits out of noise: a convolutional autoencoder that halves the image twice and brings it back",
    data=MNIST,
    expected=0.014,
    epochs=4,
    batch_size=128,
    measure=Measure("mse", "error after denoising", "", higher=False),
)
def denoising(recipe: Recipe, options: Options) -> Result:
    """Train on pairs of a noisy and a clean image; the figure is the mean squared error on the test part.

    Beside it stand the error of the noisy images themselves and that of a median filter.
    """
    from scipy.ndimage import median_filter

    (images, _), (tested, _) = pynn.datasets.mnist(options.data, progress=not options.quiet)
    (x, y), validation = hold_out(noisy(images, options.seed), _flat(images).reshape(-1, 28, 28, 1))
    xt, yt = noisy(tested, options.seed + 1), _flat(tested).reshape(-1, 28, 28, 1)
    model = nn.Sequential(
        [
            nn.Input((28, 28, 1)),
            nn.Conv2D(16, 3, padding="same", activation="relu"),
            nn.MaxPool2D(2),
            nn.Conv2D(32, 3, padding="same", activation="relu"),
            nn.MaxPool2D(2),
            nn.Conv2D(32, 3, padding="same", activation="relu"),
            nn.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
            nn.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
            nn.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ]
    )
    _compile(model, options, len(x))
    if not options.quiet:
        model.summary()
    history, seconds = timed_fit(options, model, x, y, validation_data=validation)
    error = float(model.evaluate(xt, yt)["mse"])
    seen = xt / np.float32(255)
    median = median_filter(seen, (1, 3, 3, 1))
    before = {"noisy": _error(seen, yt), "median filter": _error(median, yt)}
    print(f"error of the noisy images {before['noisy']:.4f}, of a median filter {before['median filter']:.4f}")
    out = model.predict(xt[:SHOWN])
    shown = {"noisy": seen[:SHOWN], "median filter": median[:SHOWN], "denoised": out, "clean": yt[:SHOWN]}
    rows = {name: images.reshape(-1, 28, 28) for name, images in shown.items()}
    if options.out is not None:
        model.save(options.out / "model.pynn", include_optimizer=False, metadata={"recipe": recipe.name})
        history.to_csv(options.out / "history.csv")
    report.write_pictures(
        options,
        {
            "denoised.png": lambda path: viz.plot_rows(rows, path, "Digits out of noise"),
            "history.png": lambda path: viz.plot_history(history, path),
            "features.png": lambda path: viz.plot_feature_maps(model, xt[0], path),
        },
    )
    result = conclude(
        recipe,
        options,
        {"mse": error},
        epochs=len(history.epoch),
        seconds=seconds,
        parameters=model.count_parameters(),
        details={"errors_before": before},
    )
    if history.interrupted:
        raise KeyboardInterrupt
    return result


def noisy(images: np.ndarray, seed: int, deviation: float = NOISE) -> np.ndarray:
    """Return images with Gaussian noise, cut off at black and white: ``clip(x + deviation * N(0, 1), 0, 1)``.

    Parameters
    ----------
    images : ndarray uint8 [n, H, W]
    seed : int
    deviation : float, default 0.5
        Of the noise, where white is 1.

    Returns
    -------
    ndarray uint8 [n, H, W, 1]
    """
    random = np.random.default_rng(seed)
    out = np.empty((*images.shape, 1), np.uint8)
    for at in range(0, len(images), 4096):  # the numbers in between would fill four times the memory
        part = images[at : at + 4096]
        noise = random.standard_normal(part.shape, np.float32) * (255 * deviation)
        out[at : at + 4096, ..., 0] = np.clip(part + noise, 0, 255).round()
    return out


def principal_error(x: np.ndarray, xt: np.ndarray, count: int) -> float:
    """Return the mean squared error of rows `xt` rebuilt from the first principal components of `x`.

    It is the least that any linear encoder and decoder with as many numbers can have on `x` (Baldi and Hornik 1989).

    Parameters
    ----------
    x, xt : ndarray [n, D], [m, D]
    count : int
        Components.

    Examples
    --------
    >>> plane = np.random.default_rng(0).normal(size=(50, 2)) @ np.ones((2, 5))
    >>> round(principal_error(plane, plane, 1), 6)
    0.0
    """
    mean = x.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
    basis = vectors[:, len(vectors) - count :].astype(x.dtype)
    centred = xt - mean
    return _error(centred @ basis @ basis.T, centred)


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / np.float32(255)


def _error(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean((x - y) ** 2, dtype=np.float64))


def _mirrored(code: int) -> tuple[list[nn.Module], list[nn.Module]]:
    down: list[nn.Module] = [nn.Dense(512, activation="relu"), nn.Dense(128, activation="relu"), nn.Dense(code)]
    up: list[nn.Module] = [nn.Dense(128, activation="relu"), nn.Dense(512, activation="relu")]
    return down, [*up, nn.Dense(PIXELS, activation="sigmoid")]


def _compile(model: Any, options: Options, items: int) -> None:
    steps = -(-items // (options.batch_size or 1)) * (options.epochs or 1)
    schedule = pynn.schedules.Cosine(2e-3, steps, warmup=steps // 20)
    # Like squared errors, a cross-entropy is least at the expected pixel; but its gradient does not vanish where a
    # sigmoid is near 0, as it is for most pixels: with squared errors some networks stay black.
    model.compile(optimizer=pynn.optim.Adam(schedule), loss="binary_cross_entropy", metrics=["mse"], seed=options.seed)


def _own_checkpoint(options: Options, name: str) -> Options:
    return dataclasses.replace(options, checkpoint=options.checkpoint and options.checkpoint / name)


def _map_of(encoder: list[nn.Module], x: np.ndarray, labels: np.ndarray) -> Callable[[Any], Any]:
    """Return a drawing of what layers that learn as part of a network make of `x`."""
    coder = nn.Sequential([nn.Input((PIXELS,)), *encoder])
    return lambda model: viz.plot_embedding(coder.predict(x), labels, title="The test digits as 2 numbers")


def _draw(
    options: Options, models: dict[int, Any], errors: dict[int, float], xt: np.ndarray, labels: np.ndarray,
    film: dict[str, Callable[[Path], Any]],
) -> None:  # fmt: skip
    rows = {"the digits": xt[:SHOWN].reshape(-1, 28, 28)}
    for code, (model, *_) in models.items():
        rows[f"through {code} numbers: mean squared error {errors[code]:.4f}"] = model.predict(xt[:SHOWN]).reshape(
            -1, 28, 28
        )
    codes = models[2][1].predict(xt)
    across, down = (np.quantile(codes[:, axis], np.linspace(0.02, 0.98, GRID)) for axis in (0, 1))
    points = np.array([(a, d) for d in down[::-1] for a in across], np.float32)
    sheet = models[2][2].predict(points).reshape(GRID, GRID, 28, 28).transpose(0, 2, 1, 3).reshape(GRID * 28, -1)
    text = "from the 2nd to the 98th percentile of each of the two numbers"
    history = {f"{code} numbers": model[3].history["val_mse"] for code, model in models.items()}
    pictures: dict[str, Callable[[Path], Any]] = {
        "reconstructions.png": lambda path: viz.plot_rows(rows, path, "Digits through a narrow place"),
        "map.png": lambda path: viz.plot_embedding(codes, labels, path, title="The test digits as 2 numbers"),
        "plane.png": lambda path: viz.plot_rows({text: sheet[None]}, path, "What the decoder draws over the map", 6.5),
        "history.png": lambda path: viz.plot_curves({"test error": history}, path, y="mean squared error", log_y=True),
    }
    report.write_pictures(options, pictures | film)
