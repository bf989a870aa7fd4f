"""A deep Boltzmann machine: two layers of features from digits without labels, then the labels."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pynn
from pynn import nn, schedules, viz
from pynn.recipes import report
from pynn.recipes.autoencoders import MNIST, PIXELS
from pynn.recipes.pretraining import balanced
from pynn.recipes.registry import Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, hold_out
from pynn.train import minimize

__all__ = ["dbm"]

UNITS = (500, 1000)
LABELS = (1000, 100)
LABEL_ITERATIONS = 30  # of conjugate gradients with few labels
RATE, DECAY = 0.05, 1e-3  # of a machine by itself, with momentum 0.5
JOINT_DECAY = 2e-4
LAST = 0.02  # what is left of a rate at its end
TUNE_RATE, DROPOUT, MORE = 1e-3, 0.2, 0.4  # with labels; MORE before the inner layers where there is time for it
LONG = 100  # epochs with labels
BOUND_UPDATES, ANNEALED, WANDERED = 15, 50, 500
SHOWN = 12


class Size(NamedTuple):
    """How long the stages are.

    Attributes
    ----------
    machines : int
        Epochs of each machine by itself.
    labels : int
        Epochs with labels.
    dropout : tuple of float
        Shares that are left out before each layer meanwhile.
    temperatures : int
        Of annealed importance sampling.
    updates, gibbs : int
        Rounds of mean field and of Gibbs sampling in a joint step.
    chains : int
        That are sampled. The sharper the machine, the slower they wander, and the more of them it takes for their
        mean to follow: 100 lead the larger size astray in long trainings.
    rate : float
        At which the joint training begins.
    """

    machines: int
    labels: int
    dropout: tuple[float, float, float]
    temperatures: int
    updates: int
    gibbs: int
    chains: int
    rate: float

    @classmethod
    def of(cls, options: Options) -> Size:
        """Return lengths in proportion to the epochs of the joint training; of the larger size, the paper's rounds."""
        epochs = options.epochs or 1
        joint = (10, 5, 500, 0.006) if options.full else (3, 1, 100, 0.01)
        labels = min(2 * epochs, 180)
        inner = MORE if labels >= LONG else DROPOUT
        return cls(
            min(-(-2 * epochs // 3), 60), labels, (DROPOUT, inner, inner), min(200 * epochs, 20_000), *joint
        )  # fmt: skip


@recipe(
    "dbm",
    shows="a deep Boltzmann machine 784-500-1000: features without labels, a bound on log P, digits it dreams, labels",
    data=MNIST,
    expected=0.98,
    epochs=12,
    batch_size=100,
    full_epochs=150,
)
def dbm(recipe: Recipe, options: Options) -> Result:
    """Pre-train two machines, train both layers together, measure log Z, then fine-tune a classifier with labels.

    `epochs` are those of the joint training. The bound is that of pixels drawn as on or off by their grey values, once;
    the classifier takes the grey values. 5,000 images of the training part are held out for the figures told on the
    way; the test part is looked at once, at the end, by all: bound, error, and errors with few labels.

    References
    ----------
    R. Salakhutdinov and G. E. Hinton, "Deep Boltzmann machines", AISTATS 2009.
    """
    size = Size.of(options)
    (images, digits), test = pynn.datasets.mnist(options.data, progress=not options.quiet)
    (x, y), (held, held_y) = hold_out(images.reshape(-1, PIXELS) / np.float32(255), digits)
    xt, yt = test[0].reshape(-1, PIXELS) / np.float32(255), test[1]
    tell = _Teller(options)
    machine = nn.DBM(UNITS, updates=size.updates, seed=options.seed)
    _pretrain(machine, x, size, options, tell)
    _together(machine, x, size, options, tell)
    log_z = machine.ais(ANNEALED, size.temperatures, data=x, seed=options.seed)
    back = machine.ais(ANNEALED, size.temperatures, data=x, backwards=WANDERED, seed=options.seed)
    for way, z in (("", log_z), (", backwards", back)):
        tell(f"log Z{way} {z.value:.2f}, three standard errors {z.low:.2f} to {z.high:.2f}")
    tell(f"bound on 1,000 held-out images {machine.bound(_drawn(held[:1000]), log_z, BOUND_UPDATES).mean():.2f} nats")
    few = _few_labels(machine, (x, y), (xt, yt), options, tell)
    model = _tune(machine, (x, y), (held, held_y), size, options, tell)
    seconds = tell.seconds()
    accuracy = float(model.evaluate(machine.augmented(xt), yt)["accuracy"])
    bounds = machine.bound(_drawn(xt), log_z, BOUND_UPDATES)
    details = {
        "log_z": _finite(log_z),
        "log_z backwards": _finite(back),
        "bound_error": float(bounds.std() / np.sqrt(len(bounds))),
        "few_labels": few,
        "stages": tell.stages,
        "settings": size._asdict(),
    }
    wrong = f"test error {1 - accuracy:.2%} (paper 0.95%)"
    lower = bounds.mean() + log_z.value - back.value
    tell(f"bound on test images {bounds.mean():.2f} nats (paper -84.62), with log Z backwards {lower:.2f}; {wrong}")
    report.write_pictures(options, _pictures(machine, xt, options.seed))
    if options.out is not None:
        machine.save(options.out / "machine.pynn", metadata={"recipe": "dbm"})
        model.save(options.out / "model.pynn", include_optimizer=False, metadata={"recipe": "dbm"})
    return conclude(
        recipe,
        options,
        {"accuracy": accuracy, "bound": float(bounds.mean())},
        epochs=options.epochs or recipe.epochs,
        seconds=seconds,
        parameters=machine.count_parameters(),
        details=details,
    )


class _Teller:
    """Says what came of a stage, unless the run is quiet, and keeps it."""

    def __init__(self, options: Options) -> None:
        self.options, self.stages = options, list[str]()
        self.started = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def __call__(self, text: str) -> None:
        self.stages.append(f"{self.seconds():.0f} s: {text}")
        if not self.options.quiet:
            print(self.stages[-1], flush=True)


def _finite(found: Any) -> dict[str, float | None]:
    return {name: v if np.isfinite(v) else None for name, v in found._asdict().items()}


def _drawn(x: np.ndarray) -> np.ndarray:
    """Return pixels that are on with the probability of their grey value; the same ones in every run."""
    return (np.random.default_rng(0).random(x.shape, np.float32) < x).astype(np.float32)


def _need_whole(history: Any) -> None:
    if history.interrupted:
        raise KeyboardInterrupt


def _falling(rate: float, rows: int, batch: int, epochs: int) -> schedules.Schedule:
    return schedules.Polynomial(rate, steps=epochs * -(-rows // batch), final=rate * LAST)


def _pretrain(machine: nn.DBM, x: np.ndarray, size: Size, options: Options, tell: _Teller) -> None:
    """Train a machine for each layer, on pixels that are drawn anew in every step and on what the first one says."""
    machines, batch = machine.stack(), options.batch_size or 1
    for i, one in enumerate(machines):
        history = one.fit(
            x, epochs=size.machines, batch_size=batch, learning_rate=_falling(RATE, len(x), batch, size.machines),
            momentum=0.5, weight_decay=DECAY, binarize=True, centered=True, seed=options.seed, verbose=0,
        )  # fmt: skip
        _need_whole(history)
        tell(f"machine {i + 1}: error of reconstructions {history.history['error'][-1]:.4f}")
        if i < len(machines) - 1:
            x = one.transform(x)
    machine.from_stack(machines)


def _together(machine: nn.DBM, x: np.ndarray, size: Size, options: Options, tell: _Teller) -> None:
    batch, epochs = options.batch_size or 1, options.epochs or 1
    history = machine.fit(
        x, epochs=epochs, batch_size=batch, chains=size.chains, k=size.gibbs, momentum=0.0, weight_decay=JOINT_DECAY,
        learning_rate=_falling(size.rate, len(x), batch, epochs), binarize=True, centered=True, seed=options.seed,
        verbose=0,
    )  # fmt: skip
    _need_whole(history)
    tell(f"together: error of reconstructions {history.history['error'][-1]:.4f}")


def _tune(machine: nn.DBM, train: Any, held: Any, size: Size, options: Options, tell: _Teller) -> Any:
    """Return the network after training with all labels and dropout, which Adam does."""
    model = machine.classifier(10, dropout=size.dropout, seed=options.seed)
    batch = options.batch_size or 1
    steps = size.labels * -(-len(train[0]) // batch)
    model.compile(pynn.optim.Adam(schedules.Cosine(TUNE_RATE, steps)), "cross_entropy", ["accuracy"], seed=options.seed)
    x, xv = machine.augmented(train[0]), machine.augmented(held[0])
    history = model.fit(x, train[1], validation_data=(xv, held[1]), epochs=size.labels, batch_size=batch, verbose=0)
    _need_whole(history)
    wrong = 1.0 - history.history["val_accuracy"][-1]
    loss = history.history["loss"][-1]
    tell(f"{size.labels} epochs with labels: loss {loss:.4f}, error on held-out images {wrong:.2%}")
    return model


def _few_labels(machine: nn.DBM, train: Any, test: Any, options: Options, tell: _Teller) -> dict[str, Any]:
    """Return test errors with few labels, of the machine as a network and of 784-500-1000-10 from random weights."""
    (x, y), (xt, yt) = train, test
    xt_augmented = machine.augmented(xt)
    found: dict[str, Any] = {}
    for labels in LABELS:
        chosen = balanced(y, labels, options.seed)
        plain = [nn.Input((PIXELS,)), *(nn.Dense(n, activation="sigmoid") for n in UNITS), nn.Dense(10, "softmax")]
        rivals = {
            "pre-trained": (machine.classifier(10, seed=options.seed), machine.augmented(x[chosen]), xt_augmented),
            "random": (nn.Sequential(plain), x[chosen], xt),
        }
        for name, (model, inputs, tested) in rivals.items():
            model.compile("sgd", "cross_entropy", ["accuracy"], seed=options.seed)
            result = minimize(model, inputs, y[chosen], method="cg", iterations=LABEL_ITERATIONS, seed=options.seed)
            if result.interrupted:
                raise KeyboardInterrupt
            wrong = 1.0 - float(model.evaluate(tested, yt)["accuracy"])
            found.setdefault(name, {})[str(labels)] = wrong
    for count in map(str, LABELS):
        tell(f"{count} labels: {', '.join(f'{name} {by[count]:.2%} wrong' for name, by in found.items())}")
    return found


def _pictures(machine: nn.DBM, xt: np.ndarray, seed: int) -> dict[str, Callable[[Path], Any]]:
    """Return what draws the filters of the first layer, digits that the machine dreams, and reconstructions."""
    filters = machine.get_weights()[0][:, :64].reshape(28, 28, 1, -1)
    seen = xt[:SHOWN]
    pynn.random.seed(seed)
    rounds = (1, 10, 100, 500)
    dreams = {f"after {n} rounds": machine.sample(SHOWN, n, start=seen).reshape(-1, 28, 28) for n in rounds}
    dreams |= {f"by chance, {i}": machine.sample(SHOWN, 1000).reshape(-1, 28, 28) for i in (1, 2)}
    again = {"seen": seen.reshape(-1, 28, 28), "reconstructed": machine.reconstruct(seen).reshape(-1, 28, 28)}
    return {
        "filters.png": lambda path: viz.plot_filters(filters, path, title="weights of 64 units of the first layer"),
        "samples.png": lambda path: viz.plot_rows(
            {"begun at": seen.reshape(-1, 28, 28), **dreams}, path, title="digits that the machine dreams"
        ),
        "reconstructions.png": lambda path: viz.plot_rows(again, path),
    }
