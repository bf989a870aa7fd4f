"""How data come to a model: orders of samples, what Input promises, bytes, and batches from everywhere."""

from __future__ import annotations

import numpy as np
import pytest

import pynn
from pynn import nn, optim
from pynn.errors import ShapeError
from pynn.train import LambdaCallback, ModelCheckpoint

R = np.random.default_rng(0)
N, D, C = 37, 4, 3
X = R.normal(size=(N, D)).astype("float32")
Y = R.integers(0, C, N)


def classifier(optimizer="adam", metrics=("accuracy",), seed=0, **more):
    model = nn.Sequential([nn.Input((D,)), nn.Dense(8, activation="tanh"), nn.Dropout(0.2), nn.Dense(C)])
    model.compile(optimizer, "cross_entropy", metrics=list(metrics), seed=seed, **more)
    return model


def bits(model):
    return [w.tobytes() for w in model.get_weights()]


# The order of samples


def orders(model, n=6, calls=1, **options):
    """Return the order in which fit() takes samples, told by the loss of each."""
    seen = []

    def note(batch, logs):
        seen.append(logs["loss"] * (batch + 1))

    found = []
    for _ in range(calls):
        seen.clear()
        hook = LambdaCallback(on_train_batch_end=note)
        model.fit(np.arange(n)[:, None], np.zeros(n), batch_size=1, verbose=0, callbacks=hook, **options)
        for epoch in np.reshape(seen, (-1, n)):
            found.append(tuple(np.sqrt(np.diff(epoch, prepend=0)).round().astype(int).tolist()))
    return found


def counter():
    model = nn.Sequential([nn.Input((1,)), nn.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(optim.SGD(0.0), "mse", seed=0)
    return model


def test_every_call_of_fit_has_an_order_of_its_own():
    once = orders(counter(), calls=5)
    assert len(set(once)) > 1
    assert all(sorted(order) == list(range(6)) for order in once)
    assert once == orders(counter(), calls=5)  # the same seed, the same orders
    assert once == orders(counter(), epochs=5)  # as of five epochs in one call
    assert set(orders(counter(), calls=2, shuffle=False)) == {tuple(range(6))}


def test_epochs_one_by_one_are_the_bits_of_epochs_in_one_call():
    one, two, three = classifier(), classifier(), classifier()
    for _ in range(3):
        one.fit(X, Y, batch_size=10, verbose=0)
    two.fit(X, Y, batch_size=10, epochs=3, verbose=0)
    for epoch in range(3):
        three.fit(X, Y, batch_size=10, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
    assert bits(one) == bits(two) == bits(three)


def test_a_file_keeps_how_many_orders_were_used(tmp_path):
    one, two = classifier(), classifier()
    for model in (one, two):
        model.fit(X, Y, batch_size=10, epochs=2, verbose=0)
    two.save(tmp_path / "two.pynn")
    two = pynn.load(tmp_path / "two.pynn")
    for model in (one, two):
        model.fit(X, Y, batch_size=10, verbose=0)
    assert bits(one) == bits(two)


@pytest.mark.parametrize("batch", [None, 2])
def test_resume_in_a_second_fit(tmp_path, batch):
    """A checkpoint of the second call of fit() is gone on from in that call's order."""
    one = classifier()
    one.fit(X, Y, batch_size=10, verbose=0)
    folder = tmp_path / "run"
    one.fit(X, Y, batch_size=10, epochs=3, verbose=0, callbacks=ModelCheckpoint(folder, every_batches=batch))
    files = sorted(folder.glob("step-*.pynn"))
    other = classifier()
    rest = other.fit(X, Y, batch_size=10, epochs=3, verbose=0, resume=files[0]).history["loss"]
    assert rest
    assert bits(one) == bits(other)
    for model in (one, other):
        model.fit(X, Y, batch_size=10, verbose=0)  # and the orders after it
    assert bits(one) == bits(other)


# nn.Input is a promise


def test_input_is_enforced_before_anything_is_built(tmp_path):
    model = nn.Sequential([nn.Input((6,)), nn.Dense(4), nn.Dense(1)])
    model.compile("adam", "mse", seed=0)
    wrong, y = np.ones((5, 3), "float32"), np.ones((5, 1), "float32")
    calls = (
        lambda: model(wrong),
        lambda: model.fit(wrong, y, verbose=0),
        lambda: model.evaluate(wrong, y),
        lambda: model.train_on_batch(wrong, y),
        lambda: nn.Sequential([model])(wrong),
    )
    for call in calls:
        with pytest.raises(ShapeError, match=r"shape \(N, 6\), as nn.Input says. Received: x.shape=\(5, 3\)"):
            call()
        assert not any(layer.built for layer in model._layers)
    with pytest.raises(ShapeError, match=r"\[predict\] .*\(N, 6\).*\(5, 3\)"):
        model.predict(wrong)
    right = np.ones((5, 6), "float32")
    model.fit(right, y, verbose=0)
    model.save(tmp_path / "model.pynn")
    assert np.array_equal(pynn.load(tmp_path / "model.pynn").predict(right), model.predict(right))


@pytest.mark.parametrize(
    ("shape", "given", "help"),
    [
        ((8, 8, 1), (5, 8, 8), r"x\[..., None\]"),
        ((8, 8, 1), (8, 8, 1), r"x\[None\]"),
        ((64,), (5, 8, 8), r"reshape\(len\(x\), -1\)"),
        ((8, 3), (5, 9, 3), r"nn.Input\(\(9, 3\)\)"),
    ],
)
def test_input_says_what_to_do(shape, given, help):
    model = nn.Sequential([nn.Input(shape), nn.Flatten(), nn.Dense(2)])
    model.layers  # noqa: B018  built
    with pytest.raises(ShapeError, match=help):
        model.predict(np.zeros(given, "float32"))
