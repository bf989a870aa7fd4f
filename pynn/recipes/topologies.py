"""The three ways in which a recurrent network can be wired, each on a task that it can solve."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn
from pynn.recipes import report
from pynn.recipes.pace import fit_sequences
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude
from pynn.recipes.unrolled import TOPOLOGIES, plot_unrolled

__all__ = ["binary_addition", "rnn_topologies", "running_parity", "symbol_order"]

ITEMS, TESTED = 4000, 1000
STEPS = 16
LONGER = {"hidden": 64, "output": 256, "last": STEPS}  # steps of the sequences that each is tested on
SYMBOLS = 8
NOISE = 0.2
SHOWS = {
    "hidden": "adds binary numbers: the hidden layer keeps the carry",
    "output": "parity so far: the output itself is the memory",
    "last": "which of two marks came first among 6 other symbols",
}


def binary_addition(n: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of numbers, bit by bit from the lowest, x [n, steps, 2], and the bits of their sums [n, steps, 1].

    Examples
    --------
    >>> x, y = binary_addition(1, 4, seed=0)
    >>> x[0].T.astype(int).tolist(), y[0, :, 0].astype(int).tolist()
    ([[1, 1, 0, 0], [1, 0, 0, 0]], [0, 0, 1, 0])
    """
    x = np.random.default_rng(seed).integers(0, 2, (n, steps, 2))
    x[:, -1] = 0  # room for the last carry
    y, carry = np.empty((n, steps, 1), np.float32), np.zeros(n, int)
    for t in range(steps):
        total = x[:, t].sum(axis=1) + carry
        y[:, t, 0], carry = total % 2, total // 2
    return x.astype(np.float32), y


def running_parity(n: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return bits x [n, steps, 1] as -1 and 1, and whether the ones among them so far are odd, y in the same form.

    Examples
    --------
    >>> x, y = running_parity(1, 5, seed=0)
    >>> x[0, :, 0].astype(int).tolist(), y[0, :, 0].astype(int).tolist()
    ([1, 1, 1, -1, -1], [1, -1, 1, 1, 1])
    """
    bits = np.random.default_rng(seed).integers(0, 2, (n, steps, 1))
    return (2 * bits - 1).astype(np.float32), (2 * (bits.cumsum(axis=1) % 2) - 1).astype(np.float32)


def symbol_order(n: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return symbols, one-hot, x [n, steps, 8], and y [n]: 1 if symbol 0 stands before symbol 1, else 0.

    Examples
    --------
    >>> x, y = symbol_order(2, 5, seed=0)
    >>> x.argmax(axis=2).tolist(), y.tolist()
    ([[7, 1, 5, 0, 3], [2, 0, 2, 1, 6]], [0, 1])
    """
    rng = np.random.default_rng(seed)
    symbols = rng.integers(2, SYMBOLS, (n, steps))
    places = rng.random((n, steps)).argsort(axis=1)[:, :2]
    symbols[np.arange(n), places[:, 0]], symbols[np.arange(n), places[:, 1]] = 0, 1
    return np.eye(SYMBOLS, dtype=np.float32)[symbols], (places[:, 0] < places[:, 1]).astype(np.int64)


@dataclass(frozen=True)
class _Trained:
    """What came of one topology."""

    accuracy: float
    seconds: float
    speed: int  # tokens per second
    parameters: int
    history: Any


@recipe(
    "rnn-topologies",
    shows="three recurrent networks: an output at every step, outputs that come back, one output at the end",
    data="made on the spot",
    expected=0.99,
    epochs=20,
    batch_size=32,
    measure=Measure("accuracy", "lowest test accuracy"),
)
def rnn_topologies(recipe: Recipe, options: Options) -> Result:
    """Train the three; the result is the worst of them, and each stands in the details with its tokens per second.

    The first two learn from 16 steps and are tested on more. The second learns by teacher forcing, from targets with
    some noise: what it must bear when its own outputs, never quite 1 or -1, come back to it.
    """
    plays: dict[str, Callable[[Options], _Trained]] = {"hidden": _hidden, "output": _output, "last": _last}
    done: dict[str, _Trained] = {}
    details: dict[str, Any] = {}
    for name in TOPOLOGIES:
        run = done[name] = plays[name](options)
        details[name] = {
            "accuracy": run.accuracy,
            "tested_steps": LONGER[name],
            "parameters": run.parameters,
            "tokens_per_second": run.speed,
        }
        if not options.quiet:
            print(
                f"{name:8}{SHOWS[name]}: {run.accuracy:.2%} on {LONGER[name]} steps, "
                f"{details[name]['tokens_per_second']:,} tokens/s"
            )
        if run.history.interrupted:
            raise KeyboardInterrupt
    pictures: dict[str, Callable[[Path], Any]] = {
        f"unrolled-{name}.png": functools.partial(plot_unrolled, name) for name in TOPOLOGIES
    }
    report.write_pictures(options, pictures)
    runs = done.values()
    return conclude(
        recipe,
        options,
        {"accuracy": min(run.accuracy for run in runs)},
        epochs=min(len(run.history.epoch) for run in runs),
        seconds=sum(run.seconds for run in runs),
        parameters=sum(run.parameters for run in runs),
        details=details,
    )


def _hidden(options: Options) -> _Trained:
    layers = [nn.SimpleRNN(16, return_sequences=True), nn.Dense(1, activation="sigmoid")]
    model = nn.Sequential([nn.Input((STEPS, 2)), *layers])
    return _classified(model, options, binary_addition, "hidden", 1e-2)


def _last(options: Options) -> _Trained:
    model = nn.Sequential([nn.Input((STEPS, SYMBOLS)), nn.SimpleRNN(32), nn.Dense(1, activation="sigmoid")])
    return _classified(model, options, symbol_order, "last", 3e-3)


def _classified(model: nn.Sequential, options: Options, make: Any, name: str, rate: float) -> _Trained:
    optimizer = _adam(rate, options)
    model.compile(optimizer=optimizer, loss="binary_cross_entropy", metrics=["accuracy"], seed=options.seed)
    x, y = make(ITEMS, STEPS, seed=0)
    history, seconds, speed = fit_sequences(options, model, x, y, tokens=ITEMS * STEPS, part=name, verbose=0)
    accuracy = model.evaluate(*make(TESTED, LONGER[name], seed=1))["accuracy"]
    return _Trained(float(accuracy), seconds, speed, model.count_parameters(), history)


def _output(options: Options) -> _Trained:
    model = nn.JordanRNN(8, 1)
    model.compile(optimizer=_adam(1e-2, options), loss="mse", seed=options.seed)
    x, y = running_parity(ITEMS, STEPS, seed=0)
    taught = y + NOISE * np.random.default_rng([0, 1]).standard_normal(y.shape, np.float32)
    settings: dict[str, Any] = {"tokens": ITEMS * STEPS, "part": "output", "verbose": 0}
    history, seconds, speed = fit_sequences(options, model, (x, taught), y, **settings)
    x, y = running_parity(TESTED, LONGER["output"], seed=1)
    accuracy = np.mean((model.predict(x) > 0) == (y > 0))  # without targets its own outputs come back
    return _Trained(float(accuracy), seconds, speed, model.count_parameters(), history)


def _adam(rate: float, options: Options) -> pynn.optim.Adam:
    steps = (options.epochs or 1) * -(-ITEMS // (options.batch_size or 1))
    return pynn.optim.Adam(pynn.schedules.Cosine(rate, steps=steps), clip_norm=1.0)
