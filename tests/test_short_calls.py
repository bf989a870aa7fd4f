"""Evaluations, trainings and predictions of little data: the short way is the long way's numbers, and sees changes."""

import threading

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.errors import DataError, NonFiniteError
from pynn.train import short

METRICS = {"none": [], "accuracy": ["accuracy"], "several": ["accuracy", "f1", "top_k"]}


def made(loss="cross_entropy", metrics=(), optimizer="adam", out=6, penalty=None, **options):
    model = nn.Sequential(
        [nn.Input((5,)), nn.Dense(8, activation="relu", kernel_regularizer=penalty), nn.Dropout(0.2), nn.Dense(out)]
    )
    model.compile(optimizer, loss, metrics=list(metrics), seed=3, **options)
    return model


def data(rng, n=7, classes=6):
    return rng.normal(size=(n, 5)).astype("f4"), rng.integers(0, classes, n)


def long_way(monkeypatch, function):
    """Call a function while nothing that is prepared is used."""
    with monkeypatch.context() as m:
        m.setattr("pynn.train.evaluate.evaluated", lambda *_: None)
        m.setattr("pynn.train.fit.fitted", lambda *_: None)
        return function()


def only_short(monkeypatch, model, function):
    """Call a function without what the long way needs."""
    with monkeypatch.context() as m:
        m.setattr(type(model._trainer), "data", None)
        return function()


def same(a, b):
    return all(np.array_equal(p, q) for p, q in zip(a.get_weights(), b.get_weights(), strict=True))


# Evaluations


@pytest.mark.parametrize("penalty", [None, "l2"])
@pytest.mark.parametrize("name", list(METRICS))
@pytest.mark.parametrize("labels", ["int64", "int32"])
def test_an_evaluation_is_the_same_bits(name, penalty, labels, rng, monkeypatch):
    model, (x, y) = made(metrics=METRICS[name], penalty=penalty), data(rng)
    y = y.astype(labels)
    long = long_way(monkeypatch, lambda: model.evaluate(x, y))
    for _ in range(3):
        model.evaluate(x, y)
    for batch_size in (None, 7, 32):
        found = only_short(monkeypatch, model, lambda b=batch_size: model.evaluate(x, y, b))
        assert list(found.items()) == list(long.items())
    other = data(rng)[0], y[::-1].copy()
    found = only_short(monkeypatch, model, lambda: model.evaluate(*other))
    assert dict(found) == dict(long_way(monkeypatch, lambda: model.evaluate(*other)))


@pytest.mark.parametrize("loss", ["mse", "binary_cross_entropy", "huber"])
def test_an_evaluation_of_targets_that_are_numbers(loss, rng, monkeypatch):
    model, x = made(loss, metrics=["mae"] if loss != "binary_cross_entropy" else []), data(rng)[0]
    y = rng.uniform(0, 1, (7, 6)).astype("f4")
    long = long_way(monkeypatch, lambda: model.evaluate(x, y))
    for _ in range(3):
        model.evaluate(x, y)
    assert dict(only_short(monkeypatch, model, lambda: model.evaluate(x, y))) == dict(long)


def test_a_last_activation_that_the_loss_takes_off(rng, monkeypatch):
    model = nn.Sequential([nn.Input((5,)), nn.Dense(6, activation="softmax")])
    model.compile("sgd", "cross_entropy", metrics=["accuracy"], seed=0)
    x, y = data(rng)
    long = long_way(monkeypatch, lambda: model.evaluate(x, y))
    for _ in range(3):
        model.evaluate(x, y)
    assert dict(only_short(monkeypatch, model, lambda: model.evaluate(x, y))) == dict(long)


CHANGES = {
    "weights": lambda m: m.set_weights([w * 2 for w in m.get_weights()]),
    "a layer": lambda m: setattr(m.layers[0], "activation", pynn.ops.tanh),
    "the loss": lambda m: setattr(m._trainer.loss, "label_smoothing", 0.3),
    "compile": lambda m: m.compile("sgd", "mse", seed=3),
    "eagerly": lambda m: m.compile("adam", "cross_entropy", metrics=["accuracy"], seed=3, run_eagerly=True),
    "training": lambda m: m.fit(np.ones((9, 5), "f4"), np.zeros(9, int), batch_size=4, verbose=0),
    "precision": lambda m: pynn.set_precision("high"),
    "metrics": lambda m: m._trainer.head.metrics.clear(),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_an_evaluation_sees_changes(name, rng, monkeypatch):
    model, (x, y) = made(metrics=["accuracy"]), data(rng)
    if name == "compile":
        y = rng.normal(size=(7, 6)).astype("f4")
        model = made("mae")
    for _ in range(4):
        before = model.evaluate(x, y)
    try:
        CHANGES[name](model)
        after = [model.evaluate(x, y) for _ in range(4)]
        long = long_way(monkeypatch, lambda: model.evaluate(x, y))
    finally:
        pynn.set_precision("highest")
    assert all(dict(one) == dict(long) for one in after)
    if name not in ("precision", "eagerly"):
        assert dict(before) != dict(long)


def test_what_an_evaluation_refuses_it_refuses_in_the_same_words(rng):
    model, (x, y) = made(), data(rng)
    for _ in range(3):
        model.evaluate(x, y)
    wrong = y.copy()
    wrong[2] = 6
    with pytest.raises(DataError, match=r"labels from 0 to 5. Received: y\[2\]"):
        model.evaluate(x, wrong)
    x[1, 2] = np.nan
    with pytest.raises(DataError, match=r"\[evaluate\] x contains nan at \[1, 2\]"):
        model.evaluate(x, y)


def test_an_evaluation_in_many_threads_while_the_model_is_trained(rng):
    model, (x, y) = made(metrics=["accuracy"], optimizer=pynn.optim.SGD(0.0)), data(rng, 30)
    expected = dict([model.evaluate(x, y) for _ in range(3)][-1])
    found = []

    def run():
        for _ in range(60):
            found.append(dict(model.evaluate(x, y)))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        model.fit(x, y, verbose=0)
    for thread in threads:
        thread.join()
    assert len(found) == 180
    assert all(one == expected for one in found)


def test_what_is_measured_apart_is_never_prepared(rng):
    x, y = data(rng)
    stateful = nn.Sequential([nn.SimpleRNN(4, stateful=True), nn.Dense(6)])
    own = made(lambda y_true, y_pred: (y_pred * y_pred).mean())
    for model, a in ((stateful, x.reshape(7, 5, 1)), (own, x)):
        if not model._trainer:
            model.compile("sgd", "cross_entropy")
        for _ in range(4):
            model.evaluate(a, y if model is stateful else x[:, :1].repeat(6, 1))
        assert not any(found for found, _, _ in model._trainer.shortcut.measured.values())


def test_losses_that_layers_add_are_measured_the_long_way(rng):
    class Adds(nn.Module):
        def forward(self, x):
            self.add_loss((x * x).sum())
            return x

    model = nn.Sequential([nn.Input((5,)), nn.Dense(6), Adds()])
    model.compile("sgd", "cross_entropy", seed=0)
    plain = nn.Sequential([nn.Input((5,)), nn.Dense(6)])
    plain.compile("sgd", "cross_entropy", seed=0)
    x, y = data(rng)
    found = [float(model.evaluate(x, y)) for _ in range(4)]
    assert len(set(found)) == 1
    assert found[0] > float(plain.evaluate(x, y))


# Trainings


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "falling"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [7, 32, None])
def test_a_fit_of_one_step_is_the_same_bits(optimizer, shuffle, batch_size, rng, monkeypatch):
    def of():
        falls = pynn.optim.SGD(pynn.schedules.Exponential(0.1, rate=0.5, every=2))
        return made(metrics=["accuracy"], optimizer=falls if optimizer == "falling" else optimizer)

    quick, slow = of(), of()
    options = {"batch_size": batch_size, "shuffle": shuffle, "verbose": 0}
    for i in range(6):
        x, y = data(rng)
        a = (quick.fit if i < 2 else lambda *a, **k: only_short(monkeypatch, quick, lambda: quick.fit(*a, **k)))(
            x, y, **options
        )
        b = long_way(monkeypatch, lambda x=x, y=y: slow.fit(x, y, **options))
        assert (a.history, a.epoch, a.params, a.interrupted) == (b.history, b.epoch, b.params, b.interrupted)
        assert a.model is quick
        if i == 3:  # longer trainings between go on with the same order of samples
            assert (
                quick.fit(x, y, batch_size=2, epochs=2, verbose=0).history
                == slow.fit(x, y, batch_size=2, epochs=2, verbose=0).history
            )
    assert same(quick, slow)
    assert quick.optimizer.iterations == slow.optimizer.iterations
    assert quick.optimizer.learning_rate == slow.optimizer.learning_rate
    assert (quick._trainer.epochs, quick._trainer.slots.get("step")) == (
        slow._trainer.epochs, slow._trainer.slots.get("step"),
    )  # fmt: skip


def test_a_fit_that_asks_for_more_goes_the_long_way(rng, monkeypatch):
    model, (x, y) = made(), data(rng)
    for _ in range(3):
        model.fit(x, y, verbose=0)
    monkeypatch.setattr("pynn.train.fit.fitted", None)
    told = []
    more = {
        "callbacks": [pynn.train.LambdaCallback(on_epoch_end=lambda *_: told.append(1))], "validation_data": (x, y),
        "validation_split": 0.3, "epochs": 2, "class_weight": {1: 2.0}, "sample_weight": np.ones(7),
        "run_eagerly": True, "check_finite": False, "verbose": 2,
    }  # fmt: skip
    for name, value in more.items():
        assert len(model.fit(x, y, **{"verbose": 0, name: value}).epoch) == (2 if name == "epochs" else 1)
    assert told == [1]


def test_a_loss_that_is_not_finite_stops_a_short_fit(rng):
    model = made("mse")
    x, y = data(rng)[0], rng.normal(size=(7, 6)).astype("f4")
    for _ in range(3):
        model.fit(x, y, verbose=0)
    before, epochs = model.get_weights(), model._trainer.epochs
    with pytest.raises(NonFiniteError, match="batch 0"):
        model.fit(np.full_like(x, 3e38), y, verbose=0)
    assert all(np.array_equal(p, q) for p, q in zip(before, model.get_weights(), strict=True))
    assert model._trainer.epochs == epochs
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"]).all()


def test_a_fit_inside_another_and_averages_go_the_long_way(rng):
    x, y = data(rng)
    model = made(optimizer=pynn.optim.Adam(use_ema=True))
    for _ in range(3):
        model.fit(x, y, verbose=0)
    model = made()
    for _ in range(3):
        model.fit(x, y, verbose=0)

    class Inner(pynn.train.Callback):
        def on_epoch_end(self, epoch, logs=None):
            found.append(model.fit(x, y, verbose=0).history["loss"][0])

    found = []
    outer = model.fit(x, y, batch_size=3, epochs=2, verbose=0, callbacks=[Inner()])
    assert len(found) == 2
    assert len(outer.history["loss"]) == 2


def test_the_order_of_samples_is_that_of_numpy(rng):
    for _ in range(300):
        seed, epoch = int(rng.integers(2 ** int(rng.integers(1, 63)))), int(rng.integers(2 ** int(rng.integers(1, 40))))
        for negative in (False, True):
            (key,) = np.random.SeedSequence([seed, epoch, int(negative)]).generate_state(1, np.uint64)
            assert pynn.core._core.order_key(seed, epoch, negative) == int(key)


# Predictions


@pytest.mark.parametrize("rows", [257, 512, 515, 1100])
def test_predictions_of_many_rows_are_joined_from_passes(rows, rng, monkeypatch):
    model = made()
    x = rng.normal(size=(rows, 5)).astype("f4")
    long = model.predict(x)
    short_way = []
    with monkeypatch.context() as m:
        m.setattr(type(model._prepared), "outputs", None)
        short_way.append(model.predict(x))
        f = x.copy()
        short_way.append(model.predict(f))
    model.predict(x[: rows - 1])
    for y in short_way:
        assert y.tobytes() == long.tobytes()
    parts = [model.predict(x[i : i + 256]) for i in range(0, rows, 256)]
    assert np.concatenate(parts).tobytes() == long.tobytes()
    for change in ("weights", "a layer"):
        CHANGES[change](model)
        parts = [model.predict(x[i : i + 256]) for i in range(0, rows, 256)]
        assert model.predict(x).tobytes() == np.concatenate(parts).tobytes() != long.tobytes()


def test_rows_that_depend_on_each_other_are_not_cut(rng):
    class Centred(nn.Module):
        def forward(self, x):
            return x - pynn.ops.mean(x, 0, keepdims=True)

    model = Centred()
    model.build((1, 5))
    model.predict(rng.normal(size=(256, 5)).astype("f4"))
    for _ in range(3):
        x = rng.normal(size=(600, 5)).astype("f4")
        np.testing.assert_allclose(model.predict(x), x - x.mean(0), atol=1e-5)


def test_many_rows_of_several_inputs_and_outputs(rng):
    a, b = nn.Input((5,)), nn.Input((2,))
    model = nn.Model([a, b], {"first": nn.Dense(3)(a), "second": nn.Dense(2)(nn.Concatenate()([a, b]))})
    x = rng.normal(size=(300, 5)).astype("f4"), rng.normal(size=(300, 2)).astype("f4")
    found = [model.predict(x) for _ in range(3)]
    for name in ("first", "second"):
        assert found[0][name].shape[0] == 300
        assert found[0][name].tobytes() == found[2][name].tobytes()
    wrong = x[0], x[1][:299]
    with pytest.raises(pynn.errors.ShapeError):
        model.predict(wrong)


def test_ids_out_of_range_in_a_later_pass_are_named(rng):
    model = nn.Sequential([nn.Embedding(9, 3), nn.Flatten(), nn.Dense(2)])
    x = rng.integers(0, 9, (700, 4)).astype("int32")
    model(x[:2])
    for _ in range(2):
        model.predict(x)
    x[600, 1] = 9
    with pytest.raises(DataError, match="from 0 to 8"):
        model.predict(x)


def test_prepared_data_is_small():
    x = np.zeros((4, 5), "f4")
    assert short.may_be_short(x, np.zeros(4), 4)
    assert not short.may_be_short(x, np.zeros(4), 3)
    assert not short.may_be_short(np.zeros((1 << 19, 5), "f4"), np.zeros(1 << 19), None)
