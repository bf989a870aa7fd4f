"""Updates of weights that go with the products of their gradients: where they may, and that nobody can tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.core import _core, joining
from pynn.core.card import CARDS
from pynn.ops.math import product
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
        counts.extend((*i.plain()[0], *[0] * 8)[7] for i in instrs if i.card.updates)

    monkeypatch.setattr("pynn.core.program.join_updates", counted)
    return counts


def digits(rows: int = 96) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(0)
    return r.random((rows, 37), np.float32), r.integers(0, 5, rows)


def network(optimizer: Optimizer, eagerly: bool = False, **first: Any) -> nn.Sequential:
    model = nn.Sequential(
        [
            nn.Input(37),
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
    assert found == [4]
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
            model = nn.Sequential([nn.Input(300), nn.Dense(400, activation="tanh"), nn.Dense(1)])
            model.astype(dtype).compile(Adam(), "mse", seed=0, run_eagerly=eagerly)
            model.fit(x, y, epochs=2, batch_size=350, verbose=0)
            models.append(model)
    finally:
        pynn.set_num_threads(before)
    assert found == [2]
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
    assert found == [4]
    assert same(*models)


def twice(eagerly: bool) -> nn.Module:
    """Return a network with a layer that is used twice: its gradient is a sum."""
    inputs, shared = nn.Input(37), nn.Dense(37, activation="tanh")
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
    assert sum(found) == joined
    assert same(*models)


def test_frozen_layers_and_a_rate_that_changes(found: list[Any]) -> None:
    x, y = digits()
    models = [network(SGD(pynn.schedules.Polynomial(0.1, steps=9)), eagerly) for eagerly in (False, True)]
    for model in models:
        model.layers[0].trainable = False
        model.fit(x, y, epochs=2, batch_size=32, verbose=0)
        model.layers[0].trainable = True
        model.fit(x, y, epochs=2, batch_size=32, verbose=0)
    assert found == [3, 1, 3]  # the first layer has had fewer updates than the others
    assert same(*models)


def test_gradients_in_segments(found: list[Any]) -> None:
    """Sums of several segments are read by the optimizer alone, as before."""
    x, y = digits()
    models = [network(Adam(), eagerly) for eagerly in (False, True)]
    for model in models:
        model.fit(x, y, epochs=2, batch_size=48, accumulate=3, verbose=0)
    assert same(*models)


class Own(nn.Module):
    """A layer of a user's own, with products as people write them: one weight is used twice."""

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
        model = nn.Sequential([nn.Input(37), Own(), nn.Dense(5, activation="softmax")]).astype(dtype)
        model.compile(Adam(), "cross_entropy", seed=0, run_eagerly=eagerly)
        model.fit(x.astype(dtype), y, epochs=3, batch_size=32, verbose=0)
        models.append(model)
    assert found[0] >= 2
    assert same(*models)


def bodies() -> dict[str, str]:
    """Return the kernels that are written out, by name."""
    root, found = Path(__file__).parents[1], dict[str, str]()
    for path in (root / "csrc/kernels").glob("*.h"):
        begin = r"^static int (\w+)\(const pn_instr \*I\) \{"
        found |= dict(re.findall(begin + r"(.*)\}$", path.read_text(), re.M))
        found |= dict(re.findall(begin + r"\n(.*?)^\}", path.read_text(), re.M | re.S))
    for path in (root / "pynn/core/kernels").glob("*.pyx"):
        kernel = r"^cdef int (\w+)\(const pn_instr \*I\)(.*?)(?=\n\n\n|\Z)"
        found |= dict(re.findall(kernel, path.read_text(), re.M | re.S))
    return found


def test_what_comes_between_cannot_fail() -> None:
    """Kernels that may stand between a product and the optimizer return PN_OK; those of macros always do."""
    written, read = bodies(), 0
    assert "PN_BAD_INDEX" in written["take_bwd"]
    for card in CARDS.values():
        gradient = card.name.endswith(".grad") and card.name not in joining.RISKY
        if "failure" not in card.extra and (card.name in joining.SAFE or gradient) and card.kernel in written:
            read += 1
            assert not re.search("PN_BAD_INDEX|PN_NONFINITE", written[card.kernel]), card.name
    assert read > 20
    assert set(CARDS) >= joining.SAFE | joining.RISKY


def large(optimizer: Optimizer | None = None) -> nn.Sequential:
    model = nn.Sequential([nn.Input(37), nn.Dense(40, activation="tanh", seed=0), nn.Dense(1, seed=1)])
    model.compile(optimizer or SGD(0.01), "mse", seed=0)
    return model


def targets(rows: int = 64) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(0)
    return r.standard_normal((rows, 37)).astype(np.float32), r.random((rows, 1)).astype(np.float32)


def test_gradients_after_a_call_are_those_of_its_last_step(found: list[Any]) -> None:
    x, y = targets()
    seen: dict[bool, list[np.ndarray]] = {}
    for eagerly in (False, True):
        model, norms = large(), []
        model.compile(SGD(0.01), "mse", seed=0, run_eagerly=eagerly)

        class Look(pynn.train.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                norms.append(model.parameters()[0].grad.numpy().copy())  # noqa: B023

        model.fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=[Look()])
        model.fit(x, y, batch_size=16, epochs=2, verbose=0)
        norms.append(model.parameters()[0].grad.numpy().copy())
        for _ in range(2):  # the second one takes a short cut
            model.train_on_batch(x[:16], y[:16])
            norms.append(model.parameters()[0].grad.numpy().copy())
        step = model.train_fn()
        step(x[16:32], y[16:32])
        norms.append(model.parameters()[0].grad.numpy().copy())
        seen[eagerly] = norms
    assert found == [1]
    assert len(seen[True]) == 12
    assert all(np.array_equal(a, b) for a, b in zip(seen[False], seen[True], strict=True))


def test_minimizing_reads_gradients_of_every_step() -> None:
    x, _ = targets()
    found = pynn.train.minimize(large(), x, x[:, :1] * 0.5, loss="mse", iterations=10)
    assert found.value < 0.01  # 0.1 where the gradient is that of an earlier step
    assert "ABNORMAL" not in found.complaint


def test_a_hook_that_fails_leaves_all_weights() -> None:
    x, y = targets()
    table, room = pynn.Tensor.state(np.ones((3, 4), np.float32)), pynn.Tensor.state(np.ones((2, 4), np.float32))
    index = pynn.Tensor.state(np.array([0, 1]))
    model = large()
    model._need_trainer("fit").before_update.append(
        lambda grads: pynn.ops.steps.assign(pynn.ops.gather(table, index), room)
    )
    model.fit(x, y, batch_size=16, verbose=0)
    before = model.get_weights()
    index.view()[:] = [0, 9]
    with pytest.raises(IndexError):
        model.fit(x, y, batch_size=16, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_loss_that_is_checked_after_the_gradients_leaves_all_weights() -> None:
    x, y = targets(6)
    model = large()
    model.fit(x[:4], y[:4], batch_size=1, accumulate=2, verbose=0)
    before = model.get_weights()
    with pytest.raises(pynn.errors.NonFiniteError, match="The update was not made"):
        model.fit(x[4:5], y[4:5] + np.float32(1e30), batch_size=1, accumulate=2, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_who_reads_the_gradient_of_the_step_before_finds_it(found: list[Any]) -> None:
    x, y = targets(16)
    losses = []
    for eagerly in (False, True):
        model = large()
        model.compile(SGD(0.01), "mse", seed=0, run_eagerly=eagerly)
        trainer = model._need_trainer("fit")
        model.fit(x, y, batch_size=16, verbose=0)
        grads = trainer.flat.grads
        trainer.after_loss.append(
            lambda loss, w, n, g=grads: pynn.ops.add(
                loss, pynn.ops.sum(pynn.ops.square(g.detach()[:1000])).reshape(loss.shape)
            )
        )
        losses.append(model.fit(x, y, epochs=3, batch_size=16, verbose=0).history["loss"])
    assert losses[0] == losses[1]
    assert found == [1, 0]


class Self(nn.Module):
    """A product of weights with themselves: what is updated is read meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.w = self.add_weight("w", (37, 37), "glorot_uniform")

    def forward(self, x: Any) -> Any:
        return x + 0.01 * pynn.ops.mean(pynn.ops.dense(self.w.detach(), self.w), 0)


def test_a_product_does_not_update_its_own_operand(found: list[Any]) -> None:
    x, _ = targets()
    models = []
    for eagerly in (False, True):
        model = nn.Sequential([nn.Input(37), Self()])
        model.compile(Adam(), "mse", seed=0, run_eagerly=eagerly)
        model.set_weights([np.random.default_rng(1).random((37, 37), np.float32)])
        model.fit(x, x * 2, epochs=2, batch_size=16, verbose=0)
        models.append(model)
    assert found == [0]
    assert same(*models)


def test_more_layers_than_the_optimizer_has_room_for(found: list[Any]) -> None:
    x, y = targets()
    models = []
    for eagerly in (False, True):
        model = nn.Sequential([nn.Input(37), *(nn.Dense(12, seed=i) for i in range(24)), nn.Dense(1, seed=99)])
        model.compile(SGD(0.01), "mse", seed=0, run_eagerly=eagerly)
        model.fit(x, y, epochs=2, batch_size=16, verbose=0)
        models.append(model)
    assert found == [joining.MOST]
    assert same(*models)


class Turned(nn.Module):
    """A product whose first operand is turned, so that neither operand of the weights' gradient is."""

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.w = self.add_weight("w", (input_shape[-1], 256), "glorot_uniform")

    def forward(self, x: Any) -> Any:
        return product(x.transpose((1, 0)), self.w, ta=True)


@pytest.mark.parametrize("threads", [1, 3])
def test_every_product_has_the_room_to_pass_on_what_it_makes(threads: int, found: list[Any]) -> None:
    x = np.random.default_rng(0).random((300, 400), np.float32)
    before, models = pynn.get_num_threads(), []
    try:
        pynn.set_num_threads(threads)
        for eagerly in (False, True):
            model = nn.Sequential([nn.Input((400,)), Turned()])
            model.compile(SGD(0.1), "mse", seed=0, run_eagerly=eagerly)
            model.fit(x, np.ones((300, 256), np.float32), epochs=2, batch_size=60, verbose=0)
            models.append(model)
            if not eagerly:
                [held] = model._trainer.cache
                assert all(i.scratch_bytes >= _core.gemm_room() for i in held.program.instrs if i.stores())
    finally:
        pynn.set_num_threads(before)
    assert found == [1]
    assert same(*models)
