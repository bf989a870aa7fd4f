"""Averages of the weights (use_ema): what they are, when a model has them, and that a training goes on with them."""

import numpy as np
import pytest
from trajectories import RULES, gradient

import pynn
from pynn import nn, optim
from pynn.errors import DataError
from pynn.train import Callback, EarlyStopping, ModelCheckpoint

r = np.random.default_rng(0)
X, Y = r.normal(size=(70, 6)).astype("float32"), r.integers(0, 3, 70)


def mlp(optimizer, eagerly=False, dtype="float32"):
    layers = [nn.Input((6,)), nn.Dense(9, activation="tanh"), nn.BatchNormalization(), nn.Dense(3)]
    model = nn.Sequential(layers, seed=1).astype(dtype)
    model.compile(optimizer, "cross_entropy", ["accuracy"], seed=0, run_eagerly=eagerly)
    return model


def same(a, b):
    assert all(u.tobytes() == v.tobytes() for u, v in zip(a.get_weights(), b.get_weights(), strict=True))


def stepped(optimizer, steps, dtype="float64"):
    """Make steps on parameters of several shapes; returns them, and their values after each."""
    shapes = ((7, 5), (5,), (2100,), (1,))
    params = [pynn.tensor(np.cos(np.arange(np.prod(s))).reshape(s).astype(dtype)) for s in shapes]
    optimizer.bind(params)
    path = []
    for t in range(steps):
        for p in params:
            p.grad = pynn.tensor(gradient(p.numpy(), t))
        optimizer.step()
        path.append([p.numpy().copy() for p in params])
    return params, path


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", RULES)
def test_the_average_is_that_of_the_weights_after_each_update(name, fused):
    make, _, _, rate = RULES[name]
    plain = make(rate)
    optimizer = make(rate)
    optimizer.use_ema, optimizer.ema_momentum = True, 0.8
    if not fused:
        plain.fused = optimizer.fused = None
    _, expected = stepped(plain, 6)
    params, path = stepped(optimizer, 6)
    for mine, theirs in zip(path[-1], expected[-1], strict=True):
        np.testing.assert_array_equal(mine, theirs)  # the average changes nothing of the update
    averages = path[0]
    for values in path[1:]:
        averages = [0.8 * a + 0.2 * v for a, v in zip(averages, values, strict=True)]
    with optimizer.averaged():
        for p, a in zip(params, averages, strict=True):
            np.testing.assert_allclose(p.numpy(), a, rtol=1e-12)
    for p, last in zip(params, path[-1], strict=True):
        np.testing.assert_array_equal(p.numpy(), last)
    optimizer.take_averages()
    for p, a in zip(params, averages, strict=True):
        np.testing.assert_allclose(p.numpy(), a, rtol=1e-12)


@pytest.mark.parametrize("fused", [True, False])
def test_weights_become_their_averages_every_so_often(fused):
    optimizer = optim.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3)
    if not fused:
        optimizer.fused = None
    _, path = stepped(optimizer, 4)
    _, plain = stepped(optim.SGD(0.1), 3)
    average = plain[0]
    for values in plain[1:]:
        average = [0.5 * a + 0.5 * v for a, v in zip(average, values, strict=True)]
    for mine, a in zip(path[2], average, strict=True):
        np.testing.assert_allclose(mine, a, rtol=1e-12)
    for i, mine in enumerate(path[3]):
        np.testing.assert_allclose(mine, path[2][i] - 0.1 * gradient(path[2][i], 3), rtol=1e-12)


@pytest.mark.parametrize("frequency", [None, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_recorded_and_eager_steps_give_the_same_bits(dtype, frequency):
    models = []
    for eagerly in (False, True):
        optimizer = optim.Adam(0.01, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=frequency)
        models.append(mlp(optimizer, eagerly, dtype))
        models[-1].fit(X, Y, batch_size=32, epochs=3, verbose=0)
    same(*models)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("fused", [True, False])
def test_rows_of_a_table_that_were_not_looked_up_are_their_own_average(sparse, fused):
    ids = r.integers(0, 20, (40, 5))
    optimizer = optim.Adam(0.01, use_ema=True, ema_momentum=0.9)
    if not fused:
        optimizer.fused = None
    model = nn.Sequential([nn.Embedding(30, 4, sparse=sparse), nn.Flatten(), nn.Dense(2)], seed=0)
    model(ids[:1])
    before = model.layers[0].w.numpy().copy()
    model.compile(optimizer, "cross_entropy", seed=0)
    model.fit(ids, np.arange(40) % 2, batch_size=8, epochs=2, verbose=0)
    after = model.layers[0].w.numpy()
    np.testing.assert_allclose(after[20:], before[20:], rtol=1e-6)  # with the rounding of averages of one number
    assert (np.abs(after[:20] - before[:20]).max(1) > 1e-4).all()


def test_a_model_has_its_averages_while_it_is_validated_and_when_fit_ends():
    seen = []

    class Look(Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(("batch", self.model.get_weights()[0].copy()))

        def on_test_begin(self, logs=None):
            seen.append(("validation", self.model.get_weights()[0].copy()))

    model = mlp(optim.SGD(0.5, use_ema=True, ema_momentum=0.5))
    model.fit(X, Y, batch_size=35, epochs=2, verbose=0, validation_data=(X, Y), callbacks=[Look()])
    kinds = [kind for kind, _ in seen]
    assert kinds == ["batch", "batch", "validation"] * 2
    w = [values for kind, values in seen if kind == "batch"]
    first = 0.5 * w[0] + 0.5 * w[1]
    np.testing.assert_allclose(seen[2][1], first, rtol=1e-5)
    last = 0.5 * (0.5 * first + 0.5 * w[2]) + 0.5 * w[3]
    np.testing.assert_allclose(model.get_weights()[0], last, rtol=1e-5)
    assert not np.allclose(w[3], last, rtol=1e-3)


def test_early_stopping_brings_back_averages():
    stopping = EarlyStopping("val_loss", patience=1)
    model = mlp(optim.SGD(5.0, use_ema=True, ema_momentum=0.9))
    history = model.fit(X, Y, epochs=12, verbose=0, validation_data=(X, Y), callbacks=[stopping])
    assert model.evaluate(X, Y)["loss"] == pytest.approx(min(history.history["val_loss"]), rel=1e-5)


def test_averages_are_held_to_constraints():
    model = nn.Sequential([nn.Input((6,)), nn.Dense(3, kernel_constraint=pynn.regularizers.MaxNorm(0.5))], seed=0)
    model.compile(optim.SGD(5.0, use_ema=True), "cross_entropy", seed=0)
    model.fit(X, Y, epochs=3, verbose=0)
    assert (np.linalg.norm(model.layers[-1].w.numpy(), axis=0) <= 0.5 + 1e-6).all()


@pytest.mark.parametrize("frequency", [None, 3])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(frequency, tmp_path):
    def optimizer():
        return optim.AdamW(0.02, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=frequency)

    whole = mlp(optimizer())
    whole.fit(X, Y, batch_size=16, epochs=4, verbose=0)
    part = mlp(optimizer())
    part.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=[ModelCheckpoint(tmp_path)])
    other = mlp(optimizer())
    other.fit(X, Y, batch_size=16, epochs=4, verbose=0, resume=tmp_path)
    same(whole, other)
    other = mlp(optim.AdamW(0.02))
    with pytest.raises(DataError, match=r"training.optimizer.config.ema"):
        other.fit(X, Y, batch_size=16, epochs=4, verbose=0, resume=tmp_path)


def test_a_file_keeps_averages_and_settings(tmp_path):
    model = mlp(optim.Adam(0.01, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=4))
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(tmp_path / "a.pynn")
    found = pynn.load(tmp_path / "a.pynn")
    optimizer = found.optimizer
    assert (optimizer.use_ema, optimizer.ema_momentum, optimizer.ema_overwrite_frequency) == (True, 0.75, 4)
    for one in (model, found):
        one.fit(X, Y, epochs=1, verbose=0)
    same(model, found)


def test_an_average_that_is_asked_for_later_begins_with_the_weights():
    model = mlp(optim.SGD(0.1))
    model.fit(X, Y, epochs=2, verbose=0)
    model.optimizer.use_ema, model.optimizer.ema_momentum = True, 0.999
    before = model.get_weights()[0].copy()
    model.fit(X, Y, epochs=1, verbose=0)
    assert 0 < np.abs(model.get_weights()[0] - before).max() < 1e-3
    plain = mlp(optim.SGD(0.1))
    plain.fit(X, Y, epochs=3, verbose=0)
    assert np.abs(plain.get_weights()[0] - before).max() > 1e-2


def test_what_is_refused_and_what_is_said():
    with pytest.raises(ValueError, match=r"\[adam\] expected ema_momentum.*Received: .*1"):
        optim.Adam(use_ema=True, ema_momentum=1.0)
    with pytest.raises(ValueError, match="expected use_ema=True with ema_overwrite_frequency"):
        optim.Adam(ema_overwrite_frequency=3)
    with pytest.raises(ValueError, match="ema_overwrite_frequency"):
        optim.Adam(use_ema=True, ema_overwrite_frequency=0)
    assert repr(optim.SGD(0.1, use_ema=True)).endswith("use_ema=True, ema_momentum=0.99)")
    assert "ema" not in repr(optim.SGD(0.1))

    class Own(optim.Optimizer):
        def slot_names(self):
            return ("ema",)

    with pytest.raises(ValueError, match="slots of other names than 'ema'"):
        Own(0.1, use_ema=True).bind([pynn.tensor(1.0)])
