"""Spoken digits: why samples are bad features, and what MFCCs make of the same recordings."""

from __future__ import annotations

import dataclasses
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn, viz
from pynn.audio import Features
from pynn.datasets import SpokenDigits
from pynn.recipes import report
from pynn.recipes.registry import Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, hold_out, timed_fit

__all__ = ["audio_cnn", "audio_mlp_1", "audio_mlp_2", "similarity"]

DATA = "Free Spoken Digit Dataset (16 MB: --data or PYNN_DATA)"
CLASSES = [str(digit) for digit in range(10)]
MOVED_MS = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 5.0)

Layers = Callable[[], list[nn.Module]]


@recipe(
    "audio-mlp-1",
    shows="a poor result and its reason: a multilayer perceptron on the samples of spoken digits",
    data=DATA,
    expected=0.2,
    epochs=30,
    batch_size=32,
)
def audio_mlp_1(recipe: Recipe, options: Options) -> Result:
    """Train 4000-256-128-10 on half a second of samples: the training part is learnt by heart, the test part is not.

    The reason is measured: the same recordings, moved by less than a millisecond, are strange to the network, and two
    recordings of one word by one speaker have nothing in common, sample by sample.
    """
    digits = pynn.datasets.spoken_digits(options.data)
    features = Features("samples", length=digits.rate // 2)

    def explain(model: Any) -> dict[str, Any]:
        train = [r for r, test in zip(digits.recordings, digits.test, strict=True) if not test]
        y = digits.y[~digits.test]
        moved = {}
        for milliseconds in MOVED_MS:
            silence = np.zeros(round(milliseconds * digits.rate / 1000), np.float32)
            x = features([np.concatenate([silence, recording]) for recording in train])
            moved[milliseconds] = float(model.evaluate(x, y)["accuracy"])
        alike = similarity(digits, features(digits.recordings))
        print(f"learnt by heart: {moved[0.0]:.2%} of the training part is right")
        print(f"not what it sounds like: {moved[0.5]:.2%}, when the same recordings begin 0.5 ms later")
        print(f"why: two recordings of one word by one speaker correlate by {alike:.3f}, sample by sample")
        return {"moved": moved, "correlation": alike}

    def draw(told: dict[str, Any]) -> dict[str, Callable[[Path], Any]]:
        curve = (list(told["moved"]), [100 * value for value in told["moved"].values()])
        panel = {"Recordings it has learnt, heard a moment later": {"MLP on samples": curve}}
        sevens = {f"{take}": digits.recordings[i] for take, i in enumerate(_takes(digits, 7, _voice(digits)))}
        return {
            "moved.png": lambda path: viz.plot_curves(panel, path, x="milliseconds", y="training accuracy, %"),
            "waves.png": lambda path: viz.plot_sounds(
                sevens, digits.rate, path, kind="wave", title="Ten times seven by one speaker: no two waves match"
            ),
        }

    return _play(recipe, options, digits, features, lambda: _perceptron(256, 128), 1e-3, explain, draw)


@recipe(
    "audio-mlp-2",
    shows="the same perceptron on MFCC statistics: good features instead of more layers",
    data=DATA,
    expected=0.95,
    epochs=30,
    batch_size=32,
)
def audio_mlp_2(recipe: Recipe, options: Options) -> Result:
    """Train 80-128-64-10 on the means and deviations of 20 MFCCs and of their slopes."""
    digits = pynn.datasets.spoken_digits(options.data)

    def layers() -> list[nn.Module]:
        scaled = nn.BatchNormalization(center=False, scale=False)  # brings the statistics to mean 0 and variance 1
        return [nn.Flatten(), scaled, *_perceptron(128, 64)]

    return _play(recipe, options, digits, Features("mfcc_statistics"), layers, 2e-3)


@recipe(
    "audio-cnn",
    shows="MFCC frames as an image: a small convolutional network hears when a sound comes, not only which",
    data=DATA,
    expected=0.975,
    epochs=12,
    batch_size=32,
)
def audio_cnn(recipe: Recipe, options: Options) -> Result:
    """Train 16, 32 and 64 filters of 3 x 3 on 64 frames of 20 MFCCs, normalized in each recording."""
    digits = pynn.datasets.spoken_digits(options.data)
    features = Features("mfcc", length=64)

    def layers() -> list[nn.Module]:
        made: list[nn.Module] = [nn.Reshape((*features.shape, 1))]
        for filters, pool in ((16, 2), (32, 2), (64, (4, 1))):
            made += [
                nn.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal"),
                nn.BatchNormalization(),
                nn.Activation("relu"),
                nn.MaxPool2D(pool),
            ]
        return [*made, nn.Flatten(), nn.Dropout(0.4), nn.Dense(10, activation="softmax")]

    return _play(recipe, options, digits, features, layers, 3e-3)


def similarity(digits: SpokenDigits, x: np.ndarray) -> float:
    """Return the mean correlation of two recordings of the same digit by the same speaker, over all such pairs.

    Parameters
    ----------
    digits : SpokenDigits
    x : ndarray [N, ...]
        Features of its recordings.
    """
    rows = x.reshape(len(x), -1).astype(np.float64)
    rows = rows - rows.mean(axis=1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    total, pairs = 0.0, 0
    for speaker in digits.speakers:
        for digit in range(10):
            same = rows[_takes(digits, digit, speaker, None)]
            products = same @ same.T
            total += products.sum() - np.trace(products)
            pairs += len(same) * (len(same) - 1)
    return float(total / max(pairs, 1))


def _perceptron(*units: int) -> list[nn.Module]:
    hidden = [layer for n in units for layer in (nn.Dense(n, activation="relu"), nn.Dropout(0.3))]
    return [*hidden, nn.Dense(10, activation="softmax")]


def _voice(digits: SpokenDigits) -> str:
    """Return the speaker whose recordings are drawn."""
    return digits.speakers[min(1, len(digits.speakers) - 1)]


def _takes(digits: SpokenDigits, digit: int, speaker: str, count: int | None = 10) -> np.ndarray:
    return np.flatnonzero((digits.y == digit) & (digits.speaker == speaker))[:count]


def _play(
    recipe: Recipe,
    options: Options,
    digits: SpokenDigits,
    features: Features,
    layers: Layers,
    rate: float,
    explain: Callable[[Any], dict[str, Any]] | None = None,
    draw: Callable[[dict[str, Any]], dict[str, Callable[[Path], Any]]] | None = None,
) -> Result:
    """Train and test on the official split, then leave each speaker out in turn; tell, and fill ``--out``."""
    x, y = features(digits.recordings), digits.y
    train, test = ~digits.test, digits.test
    learnt, validation = hold_out(x[train], y[train])
    model = _compiled(layers, features, options, rate, len(learnt[0]))
    if not options.quiet:
        model.summary()
        print(f"\n{len(learnt[0]):,} recordings to learn from, {test.sum():,} to be tested on")
    history, seconds = timed_fit(options, model, *learnt, validation_data=validation)
    scores = model.evaluate(x[test], y[test])
    confusion = _confusion(model, x[test], y[test])
    details: dict[str, Any] = {"features": features.get_config()}
    if explain is not None:
        details |= explain(model)
    pictures: dict[str, Callable[[Path], Any]] = {
        "history.png": lambda path: viz.plot_history(history, path),
        "confusion.png": lambda path: viz.plot_confusion(confusion, path=path, title="official split"),
        **(draw(details) if draw else {}),
        **_sounds(digits),
    }
    if not history.interrupted:
        alone, strangers = _leave_one_out(recipe, options, digits, x, layers, features, rate)
        details["leave_one_speaker_out"] = alone
        title = "speakers never heard before"
        pictures["strangers.png"] = lambda path: viz.plot_confusion(strangers, path=path, title=title)
    result = conclude(
        recipe,
        options,
        {name: float(scores[name]) for name in ("loss", "accuracy")},
        epochs=len(history.epoch),
        seconds=seconds,
        parameters=model.count_parameters(),
        details=details,
    )
    if options.out is not None:
        metadata = {"recipe": recipe.name, "classes": CLASSES, "audio": features.get_config()}
        model.save(options.out / "model.pynn", include_optimizer=False, metadata=metadata)
        history.to_csv(options.out / "history.csv")
        report.write_pictures(options, pictures)
        if not options.quiet:
            print(f"pynn predict {options.out / 'model.pynn'} --input FILE.wav hears your own recordings")
    if history.interrupted:  # what was learnt until then is told and written all the same
        raise KeyboardInterrupt
    return result


def _compiled(layers: Layers, features: Features, options: Options, rate: float, items: int) -> nn.Sequential:
    model = nn.Sequential([nn.Input(features.shape), *layers()])
    steps = -(-items // (options.batch_size or 1)) * (options.epochs or 1)
    schedule = pynn.schedules.Cosine(rate, steps, warmup=steps // 20)
    optimizer = pynn.optim.AdamW(schedule, weight_decay=0.02)
    model.compile(optimizer=optimizer, loss="cross_entropy", metrics=["accuracy"], seed=options.seed)
    return model


def _leave_one_out(
    recipe: Recipe,
    options: Options,
    digits: SpokenDigits,
    x: np.ndarray,
    layers: Layers,
    features: Features,
    rate: float,
) -> tuple[dict[str, Any], np.ndarray]:
    """Train without each speaker in turn and test on that one; return the accuracies and one confusion of all."""
    accuracies: dict[str, float] = {}
    confusion = np.zeros((10, 10), int)
    for speaker in digits.speakers:
        out = digits.spoken_by(speaker)
        own = None if options.checkpoint is None else options.checkpoint / f"without-{speaker}"
        settings = dataclasses.replace(options, quiet=True, checkpoint=own)
        model = _compiled(layers, features, options, rate, int((~out).sum()))
        history, _ = timed_fit(settings, model, x[~out], digits.y[~out])
        if history.interrupted:
            raise KeyboardInterrupt
        accuracies[speaker] = float(model.evaluate(x[out], digits.y[out])["accuracy"])
        confusion += _confusion(model, x[out], digits.y[out])
        if not options.quiet:
            print(f"without {speaker:10} in the training: {accuracies[speaker]:.2%} of {speaker}'s {out.sum()} right")
    mean = float(np.mean(list(accuracies.values())))
    print(f"{recipe.name}: leave-one-speaker-out accuracy {mean:.2%}, the speakers never heard before")
    return {"accuracy": mean, "speakers": accuracies}, confusion


def _confusion(model: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (y, model.predict(x).argmax(axis=1)), 1)
    return confusion


def _sounds(digits: SpokenDigits) -> dict[str, Callable[[Path], Any]]:
    speaker = _voice(digits)
    spoken = {str(d): digits.recordings[_takes(digits, d, speaker)[0]] for d in range(10)}
    return {
        "sound.png": lambda path: viz.plot_sound(spoken["7"], digits.rate, path, f"A seven, spoken by {speaker}"),
        "spectrograms.png": lambda path: viz.plot_sounds(
            spoken, digits.rate, path, title=f"Spectrograms of the ten digits, spoken by {speaker}"
        ),
        "mfcc.png": lambda path: viz.plot_sounds(
            spoken, digits.rate, path, kind="mfcc", title=f"MFCCs of the ten digits, spoken by {speaker}"
        ),
        "classes.png": lambda path: viz.plot_sounds(
            spoken, digits.rate, path, kind="wave", title=f"The sound of each class, spoken by {speaker}"
        ),
        **{f"{name}.wav": _written(samples, digits.rate) for name, samples in spoken.items()},
    }


def _written(samples: np.ndarray, rate: int) -> Callable[[Path], Any]:
    """Return what writes a recording as a file to be listened to, 16 bits a sample."""

    def write(path: Path) -> None:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(np.round(samples.clip(-1, 1) * 32767).astype("<i2").tobytes())

    return write
