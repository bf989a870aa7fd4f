"""Steps of training that a model writes itself, updates with gradients of pynn.grad, and records of layers as data."""

import json

import numpy as np
import pytest

import pynn
from pynn import nn, optim
from pynn.errors import DataError, NonFiniteError
from pynn.train import EarlyStopping, LambdaCallback

R = np.random.default_rng(7)
X = R.normal(size=(37, 4)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5], [3.0]]) + 1).astype("float32")


class Own(nn.Module):
    """A line, whose step is written out."""

    def __init__(self):
        super().__init__(seed=3)
        self.layer = nn.Dense(1, seed=3)
        self.seen = []

    def forward(self, x):
        return self.layer(x)

    def error(self, batch):
        x, y, *weight = batch
        each = (self(x, training=True) - y) ** 2
        return (each * weight[0].reshape((-1, 1))).mean() if weight else each.mean()

    def train_step(self, batch):
        self.seen.append(len(batch[0]))
        loss = self.error(batch)
        weights = self.parameters()
        self.optimizer.apply_gradients(zip(pynn.grad(loss, weights), weights, strict=True))
        return {"loss": loss}

    def test_step(self, batch):
        with pynn.no_grad():
            return {"loss": self.error(batch)}


def fitted(**options):
    model = Own()
    model.compile(optim.SGD(0.05), "mse")
    options = {"epochs": 3, "batch_size": 8, "verbose": 0, **options}
    return model, model.fit(X, Y, **options)


def test_a_step_of_one_s_own_is_the_recorded_one():
    model, history = fitted(shuffle=False)
    other = nn.Sequential([nn.Dense(1, seed=3)])
    other.compile(optim.SGD(0.05), "mse", seed=3)
    wanted = other.fit(X, Y, epochs=3, batch_size=8, shuffle=False, verbose=0)
    np.testing.assert_allclose(history.history["loss"], wanted.history["loss"], rtol=1e-5)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert model.seen == [8, 8, 8, 8, 5] * 3


def test_validation_weights_and_callbacks():
    seen = []
    model, history = fitted(
        epochs=30, validation_split=0.2, sample_weight=np.ones(37), shuffle=True,
        callbacks=[EarlyStopping("val_loss", patience=3), LambdaCallback(on_batch_end=lambda i, _: seen.append(i))],
    )  # fmt: skip
    assert set(history.history) == {"loss", "val_loss"}
    assert history.history["val_loss"][-1] < history.history["val_loss"][0] / 5
    assert seen[:4] == [0, 1, 2, 3]
    assert sum(model.seen[:4]) == 30


def test_batches_that_something_gives():
    def endless():
        while True:
            yield X, Y

    model = Own()
    model.compile("sgd", "mse")
    history = model.fit(endless(), epochs=2, steps_per_epoch=3, verbose=0)
    assert len(model.seen) == 6
    assert len(history.history["loss"]) == 2


def test_two_optimizers_and_no_compile():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__(seed=1)
            self.maker, self.judge = nn.Dense(2, seed=1), nn.Dense(1, seed=2)
            self.rules = [optim.Adam(0.01), optim.SGD(0.1)]

        def forward(self, x):
            return self.maker(x)

        def train_step(self, batch):
            made = self.maker(batch, training=True)
            losses = {"judge": (self.judge(made.detach()) ** 2).mean(), "maker": ((made - 1.0) ** 2).mean()}
            for rule, part, loss in zip(
                self.rules, (self.maker, self.judge), (losses["maker"], losses["judge"]), strict=True
            ):
                weights = part.parameters()
                rule.apply_gradients(zip(pynn.grad(loss, weights), weights, strict=True))
            return losses

    history = Pair().fit(X, epochs=20, verbose=0).history
    assert history["maker"][-1] < history["maker"][0]
    assert history["judge"][-1] < history["judge"][0]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"class_weight": {0: 2.0}}, "takes no class_weight"),
        ({"accumulate": 2}, "takes no accumulate"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_what_it_does_not_take(options, match):
    with pytest.raises(ValueError, match=match):
        fitted(**options)


def test_slips():
    class Nothing(Own):
        def train_step(self, batch):
            pass

    class Bad(Own):
        def train_step(self, batch):
            return {"loss": float("nan")}

    for kind, error, match in (
        (Nothing, TypeError, r"\[train_step\] expected a dict.*return statement"),
        (Bad, NonFiniteError, "'loss' became nan in epoch 1, batch 1"),
    ):
        model = kind()
        model.compile("sgd", "mse")
        with pytest.raises(error, match=match):
            model.fit(X, Y, verbose=0)


def test_updates_with_given_gradients():
    w = pynn.tensor([1.0, 2.0], requires_grad=True)
    b = pynn.tensor([3.0], requires_grad=True)
    rule = optim.SGD(0.5)
    rule.apply_gradients([(pynn.tensor([2.0, 4.0]), w), (None, b)])
    assert (w.numpy().tolist(), b.numpy().tolist()) == ([0.0, 0.0], [3.0])
    rule.apply_gradients([(np.array([1.0, 1.0], "float32"), w), (np.array([2.0], "float32"), b)])
    assert (w.numpy().tolist(), b.numpy().tolist()) == ([-0.5, -0.5], [2.0])
    with pytest.raises(ValueError, match=r"expected pairs"):
        rule.apply_gradients([])
    with pytest.raises(ValueError, match=r"shape"):
        rule.apply_gradients([(np.ones(3, "float32"), w), (None, b)])


def test_layers_tell_what_makes_one_like_them():
    layer = nn.Conv2D(8, 3, strides=2, activation="relu", name="first")
    config = json.loads(json.dumps(layer.get_config()))
    again = nn.Conv2D.from_config(config)
    assert (again.filters, again.strides, again.name) == (layer.filters, layer.strides, "first")
    chain = nn.Sequential([nn.Input((4,)), nn.Dense(3, activation="tanh"), nn.Dense(2)])
    other = nn.Module.from_config(chain.get_config())
    assert type(other) is nn.Sequential
    assert [type(x).__name__ for x in other.layers] == [type(x).__name__ for x in chain.layers]
    assert other(X).shape == (37, 2)
    with pytest.raises(DataError, match=r"expected a Dense. Received: a Conv2D"):
        nn.Dense.from_config(config)
    with pytest.raises(DataError, match="expected the record of a layer"):
        nn.Dense.from_config({"class": "nn.Dense"})
    with pytest.raises(DataError, match="not registered"):
        Own().get_config()
