"""One update per call: the short way is the long way's numbers, and sees every change."""

import threading

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.errors import DataError, NonFiniteError, ShapeError


def made(loss="cross_entropy", optimizer="adam", metrics=("accuracy",), out=3, **options):
    model = nn.Sequential([nn.Input((5,)), nn.Dense(8, activation="relu"), nn.Dropout(0.2), nn.Dense(out)])
    if optimizer == "falling":
        optimizer = pynn.optim.SGD(pynn.schedules.Exponential(0.1, rate=0.5, every=2))
    model.compile(optimizer, loss, metrics=list(metrics), seed=3, **options)
    return model


def batches(rng, count=6, n=7):
    return [(rng.normal(size=(n, 5)).astype("f4"), rng.integers(0, 3, n)) for _ in range(count)]


def long_way(model, x, y):
    model._trainer.shortcut.prepared.clear()
    return model.train_on_batch(x, y)


def is_prepared(model, n=7):
    return any(y[0] == n for _, y in model._trainer.shortcut.prepared)


def same_weights(a, b):
    return all(np.array_equal(p, q) for p, q in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "falling"])
@pytest.mark.parametrize("labels", ["int64", "int32"])
def test_the_short_way_is_the_long_way(optimizer, labels, rng):
    short, long = made(optimizer=optimizer), made(optimizer=optimizer)
    f = short.train_fn()
    for i, (x, y) in enumerate(batches(rng)):
        y = y.astype(labels)
        expected = long_way(long, x, y)
        if i % 2:
            assert f(x, y) == expected["loss"]
        else:
            assert dict(short.train_on_batch(x, y)) == dict(expected)
        assert is_prepared(short)
    assert same_weights(short, long)
    assert short.optimizer.iterations == long.optimizer.iterations == 6
    assert short.optimizer.learning_rate == long.optimizer.learning_rate


@pytest.mark.parametrize("loss", ["mse", "mae", "binary_cross_entropy"])
def test_targets_that_are_numbers(loss, rng):
    short, long = (made(loss, metrics=()) for _ in range(2))
    f = short.train_fn()
    for x, _ in batches(rng):
        y = rng.uniform(0, 1, (7, 3)).astype("f4")
        assert f(x, y) == long_way(long, x, y)["loss"]
    assert is_prepared(short)
    assert same_weights(short, long)


def test_the_prepared_step_is_the_one_that_runs(rng, monkeypatch):
    model, (x, y) = made(), batches(rng, 1)[0]
    f = model.train_fn()
    f(x, y)
    monkeypatch.setattr(type(model._trainer), "data", None)  # the long way would need it
    before = model.get_weights()
    f(x, y)
    assert not all(np.array_equal(p, q) for p, q in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m.optimizer, "learning_rate", 0.5),
        lambda m: setattr(m.optimizer, "beta_1", 0.5),
        lambda m: m.set_weights([w * 2 for w in m.get_weights()]),
        lambda m: setattr(m.layers[0], "trainable", False),
        lambda m: setattr(m.layers[1], "rate", 0.7),
        lambda m: m.compile("sgd", "cross_entropy", metrics=["accuracy"], seed=3),
        lambda m: m.compile("adam", "cross_entropy", metrics=["accuracy"], seed=3, run_eagerly=True),
        lambda m: m._trainer.after_loss.append(lambda loss, w, n: loss * 2.0),
    ],
)
def test_changes_between_two_calls_are_seen(change, rng):
    short, long = made(), made()
    f = short.train_fn()
    for i, (x, y) in enumerate(batches(rng)):
        if i == 3:
            change(short)
            change(long)
        assert f(x, y) == long_way(long, x, y)["loss"]
    assert same_weights(short, long)


def test_other_calls_between_two(rng):
    short, long = made(), made()
    f = short.train_fn()
    for i, (x, y) in enumerate(batches(rng)):
        if i % 2:
            for model in (short, long):
                model.fit(x, y, batch_size=3, epochs=2, verbose=0)
                model.evaluate(x, y, verbose=0)
        assert f(x, y) == long_way(long, x, y)["loss"]
    assert same_weights(short, long)


def test_bad_batches_are_refused_in_the_same_words(rng):
    model, (x, y) = made(), batches(rng, 1)[0]
    f = model.train_fn()
    f(x, y)
    before = model.get_weights()
    for bad in (-1, 3):
        z = y.copy()
        z[2] = bad
        with pytest.raises(DataError, match=r"expected labels from 0 to 2. Received: y\[2\]"):
            f(x, z)
    for value in (np.nan, np.inf, -np.inf):
        z = x.copy()
        z[6, 4] = value
        with pytest.raises(DataError, match=r"x contains .* at \[6, 4\]"):
            f(z, y)
    with pytest.raises(ShapeError):
        f(x[:, :4], y)
    with pytest.raises(DataError, match="targets"):
        f(x, None)
    assert all(np.array_equal(p, q) for p, q in zip(before, model.get_weights(), strict=True))
    assert f(x, y) == pytest.approx(f(x, y), rel=1.0)


def test_a_loss_that_is_not_finite_makes_no_update(rng):
    model, (x, y) = made("mse", metrics=()), batches(rng, 1)[0]
    y = rng.normal(size=(7, 3)).astype("f4")
    f = model.train_fn()
    f(x, y)
    before = model.get_weights()
    with pytest.raises(NonFiniteError):
        f(np.full_like(x, 3e38), y)
    assert all(np.array_equal(p, q) for p, q in zip(before, model.get_weights(), strict=True))
    assert np.isfinite(f(x, y))


def test_what_must_be_converted_or_measured_goes_the_long_way(rng):
    model, (x, y) = made(metrics=["accuracy", "f1"]), batches(rng, 1)[0]
    assert set(model.train_on_batch(x, y).keys()) == {"loss", "accuracy", "f1"}
    assert not is_prepared(model)
    model = made()
    for batch in ((x.astype("f8"), y), (x.tolist(), y.tolist()), (x, np.eye(3, dtype="f4")[y])):
        assert np.isfinite(model.train_on_batch(*batch)["loss"])
        assert not is_prepared(model)
    f = model.train_fn()
    wide = np.repeat(x, 2, 1)[:, ::2]  # not contiguous
    assert f(x, y) != f(wide, y)


def test_two_threads_and_a_training_inside_another(rng):
    model, data = made(), batches(rng, 40)
    f, found, refused = model.train_fn(), [], []
    f(*data[0])

    def run():
        for x, y in data:
            try:
                found.append(f(x, y))
            except RuntimeError as error:
                refused.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) + len(refused) == 80
    assert all(np.isfinite(found))
    assert all("no other thread trains" in str(error) for error in refused)
    assert model._trainer.slots.get("step") == 1 + len(found)

    class Inner(pynn.train.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(f(*data[1]))

    losses = []
    model.fit(*data[0], batch_size=7, epochs=2, verbose=0, callbacks=[Inner()])
    assert len(losses) == 2
    assert np.isfinite(losses).all()


def test_a_model_that_is_not_compiled():
    with pytest.raises(RuntimeError, match="compile"):
        nn.Sequential([nn.Dense(2)]).train_fn()


def test_several_inputs(rng):
    def two():
        a, b = nn.Input((5,)), nn.Input((2,))
        model = nn.Model([a, b], nn.Dense(3)(nn.Concatenate()([a, b])))
        model.compile("sgd", "cross_entropy", seed=0)
        return model

    short, long = two(), two()
    f = short.train_fn()
    for x, y in batches(rng):
        both = x, x[:, :2].copy()
        assert f(both, y) == long_way(long, both, y)["loss"]
    assert is_prepared(short)


def test_lengths_that_come_and_go_stay_prepared(rng, monkeypatch):
    model = nn.Sequential([nn.Input((4, 2)), nn.SimpleRNN(4), nn.Dense(3)])
    model.compile("sgd", "cross_entropy", seed=0)
    f, y = model.train_fn(), rng.integers(0, 3, 5)
    several = [rng.normal(size=(5, steps, 2)).astype("f4") for steps in (4, 6, 9)]
    for x in several:
        f(x, y)
    monkeypatch.setattr(type(model._trainer), "data", None)  # the long way would need it
    for x in several * 2:
        assert np.isfinite(f(x, y))
