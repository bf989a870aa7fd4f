"""Updates of weights that go with the products of their gradients: where they may, and that nobody can tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.core import joining
from pynn.optim import SGD, Adadelta, Adagrad, Adam, AdaMax, AdamW, AMSGrad, Nadam, Optimizer, RMSprop

SETTINGS: dict[str, Callable[[], Optimizer]] = {
    "sgd": lambda: SGD(0.1),
    "momentum": lambda: SGD(0.1, momentum=0.9),
    "nesterov": lambda: SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": Adam,
    "amsgrad": AMSGrad,
    "adamw": lambda: AdamW(weight_decay=0.1),
    "adamax": AdaMax,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "rmsprop": lambda: RMSprop(momentum=0.5, centered=True),
    "average": lambda: Adam(use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3),
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "LEAST", 100)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """How many weights each recording leaves to the products of their gradients."""
    counts: list[Any] = []

    def counted(instrs: list[Any]) -> None:
        joining.join_updates(instrs)
        counts.extend(i.plain()[0][7:8] for i in instrs if i.card.updates)

    monkeypatch.setattr("pynn.core.program.join_updates", counted)
    return counts


def digits(rows: int = 96) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(0)
    return r.random((rows, 37), np.float32), r.integers(0, 5, rows)


def network(optimizer: Optimizer, eagerly: bool = False, **first: Any) -> nn.Sequential:
    model = nn.Sequential(
        [
            nn.Input((37,)),
            nn.Dense(33, activation="relu", **first),
            nn.Dense(70, activation="tanh"),
            nn.Dense(40),
            nn.Dense(5, activation="softmax"),
        ]
    )
    model.compile(optimizer, "cross_entropy", seed=0, run_eagerly=eagerly)
    return model


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.mark.parametrize("batch", [32, 96])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_program_is_eager_to_the_bit(name: str, batch: int, found: list[Any]) -> None:
    x, y = digits()
    joined, eager = network(SETTINGS[name]()), network(SETTINGS[name](), eagerly=True)
    for model in (joined, eager):
        model.fit(x, y, epochs=4, batch_size=batch, verbose=0)
    assert found == [(4,)]
    assert same(joined, eager)
    states = joined._trainer.optimizer.state(), eager._trainer.optimizer.state()
    assert all(np.array_equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 3])
def test_many_terms_and_threads(threads: int, dtype: str, found: list[Any]) -> None:
    """A batch of more terms than a block of a product has, on several threads, in both dtypes."""
    r = np.random.default_rng(1)
    x, y = r.random((700, 300)).astype(dtype), r.random((700, 1)).astype(dtype)
    before, models = pynn.get_num_threads(), []
    try:
        pynn.set_num_threads(threads)
        for eagerly in (False, True):
            model = nn.Sequential([nn.Input((300,)), nn.Dense(400, activation="tanh"), nn.Dense(1)])
            model.astype(dtype).compile(Adam(), "mse", seed=0, run_eagerly=eagerly)
            model.fit(x, y, epochs=2, batch_size=350, verbose=0)
            models.append(model)
    finally:
        pynn.set_num_threads(before)
    assert found == [(2,)]
    assert same(*models)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_products_of_bfloat16(precision: str, found: list[Any]) -> None:
    x, y = digits()
    before = pynn.get_precision()
    try:
        pynn.set_precision(precision)
        models = [network(Adam(), eagerly) for eagerly in (False, True)]
        for model in models:
            model.fit(x, y, epochs=2, batch_size=48, verbose=0)
    finally:
        pynn.set_precision(before)
    assert found == [(4,)]
    assert same(*models)


def twice(eagerly: bool) -> nn.Module:
    """Return a network with a layer that is used twice: its gradient is a sum."""
    inputs, shared = nn.Input((37,)), nn.Dense(37, activation="tanh")
    model = nn.Model(inputs, nn.Dense(5, activation="softmax")(shared(shared(inputs))))
    model.compile(SGD(0.1), "cross_entropy", seed=0, run_eagerly=eagerly)
    return model


def hooked(eagerly: bool) -> nn.Module:
    model = network(SGD(0.1), eagerly)
    model._need_trainer("fit").before_update.append(lambda grads: pynn.ops.clip_value(grads, 0.01))
    return model


@pytest.mark.parametrize(
    ("make", "joined"),
    [
        (lambda eagerly: network(SGD(0.1, clip_norm=1.0), eagerly), 0),
        (lambda eagerly: network(SGD(0.1, clip_value=0.1), eagerly), 0),
        (lambda eagerly: network(Nadam(), eagerly), 0),
        (hooked, 0),
        (twice, 1),
        (lambda eagerly: network(SGD(0.1), eagerly, kernel_regularizer="l2"), 3),
        (lambda eagerly: network(SGD(0.1), eagerly, kernel_constraint="max_norm"), 4),
    ],
    ids=["norm", "value", "numbers", "hook", "twice", "regularizer", "constraint"],
)
def test_who_needs_the_gradient_finds_it(make: Callable[[bool], Any], joined: int, found: list[Any]) -> None:
    x, y = digits()
    models = [make(eagerly) for eagerly in (False, True)]
    for model in models:
        model.fit(x, y, epochs=2, batch_size=32, verbose=0)
    assert sum(n for counts in found for n in counts) == joined
    assert same(*models)


def test_frozen_layers_and_a_rate_that_changes(found: list[Any]) -> None:
    x, y = digits()
    models = [network(SGD(pynn.schedules.Polynomial(0.1, steps=9)), eagerly) for eagerly in (False, True)]
    for model in models:
        model.layers[0].trainable = False
        model.fit(x, y, epochs=2, batch_size=32, verbose=0)
        model.layers[0].trainable = True
        model.fit(x, y, epochs=2, batch_size=32, verbose=0)
    assert found == [(3,), (1,), (3,)]  # the first layer has had fewer updates than the others
    assert same(*models)


def test_gradients_in_segments(found: list[Any]) -> None:
    """Sums of several segments are read by the optimizer alone, as before."""
    x, y = digits()
    models = [network(Adam(), eagerly) for eagerly in (False, True)]
    for model in models:
        model.fit(x, y, epochs=2, batch_size=48, accumulate=3, verbose=0)
    assert same(*models)


class Own(nn.Module):
    """A layer of a user's own, with products as people write them: of its three weights one is read after its gradient."""

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.w = self.add_weight("w", (input_shape[-1], 60), "glorot_uniform")
        self.v = self.add_weight("v", (30, 60), "glorot_uniform")
        self.u = self.add_weight("u", (30, 30), "glorot_uniform")

    def forward(self, x: Any) -> Any:
        h = pynn.ops.tanh(x @ self.w) @ self.v.transpose((1, 0))
        return h + h @ self.u @ self.u


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_a_users_layer(dtype: str, found: list[Any]) -> None:
    x, y = digits()
    models = []
    for eagerly in (False, True):
        model = nn.Sequential([nn.Input((37,)), Own(), nn.Dense(5, activation="softmax")]).astype(dtype)
        model.compile(Adam(), "cross_entropy", seed=0, run_eagerly=eagerly)
        model.fit(x.astype(dtype), y, epochs=3, batch_size=32, verbose=0)
        models.append(model)
    assert found[0][0] >= 2
    assert same(*models)
