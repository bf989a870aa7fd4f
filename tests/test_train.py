"""What training means: compared with NumPy, and with itself under another way of doing the same."""

import numpy as np
import pytest
from training import ONE_HOT, C, D, N, R, X, Y, bits, cross_entropy, forward, linear, mlp, programs_of, softmax

from pynn import nn, optim
from pynn.errors import DataError
from pynn.train import Callback, History, LambdaCallback, steps

# fit against NumPy


def test_history_has_one_value_per_epoch():
    model = mlp()
    history = model.fit(X, Y, epochs=4, validation_split=0.25, verbose=0)
    assert isinstance(history, History)
    assert history.epoch == [0, 1, 2, 3]
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(len(values) == 4 for values in history.history.values())
    assert all(type(v) is float for values in history.history.values() for v in values)
    assert not history.interrupted


def test_training_learns():
    history = mlp().fit(X, Y, epochs=60, batch_size=10, verbose=0).history
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    assert history["accuracy"][-1] > 0.95


def test_full_batch_is_gradient_descent():
    model, x = mlp(dtype="float64"), X.astype("float64")
    w1, b1, w2, b2 = model.get_weights()
    losses = []
    for _ in range(5):
        h = np.tanh(x @ w1 + b1)
        z = h @ w2 + b2
        losses.append(cross_entropy(z, Y).mean())
        dz = (softmax(z) - ONE_HOT) / N
        dh = dz @ w2.T * (1 - h * h)
        w2, b2 = w2 - 0.1 * h.T @ dz, b2 - 0.1 * dz.sum(0)
        w1, b1 = w1 - 0.1 * x.T @ dh, b1 - 0.1 * dh.sum(0)
    history = model.fit(x, Y, batch_size=None, epochs=5, verbose=0).history
    for a, b in zip(model.get_weights(), (w1, b1, w2, b2), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-12)


def test_minibatches_follow_the_order_of_the_data():
    """shuffle=False: batches in order, the partial one last, its mean over its own rows."""
    model = linear()
    x, y = X[:25].astype("float64"), X[:25, :1] * 2.0
    w, b = model.get_weights()
    total = 0.0
    for i in range(0, 25, 10):
        xb, e = x[i : i + 10], x[i : i + 10] @ w + b - y[i : i + 10]
        total += float(np.square(e).sum())
        w, b = w - 0.2 * xb.T @ e / len(xb), b - 0.2 * e.mean(0)
    history = model.fit(x, y, batch_size=10, shuffle=False, verbose=0).history
    np.testing.assert_allclose(model.layers[0].w.numpy(), w, rtol=1e-12)
    np.testing.assert_allclose(model.layers[0].b.numpy(), b, rtol=1e-12)
    np.testing.assert_allclose(history["loss"], [total / 25], rtol=1e-12)  # every row counts once


class Order(Callback):
    """Learns which rows each batch had, from the gradient of a linear model on unit vectors."""

    def __init__(self):
        self.seen = []

    def on_epoch_begin(self, epoch, logs=None):
        self.model.set_weights([np.zeros_like(w) for w in self.model.get_weights()])
        self.before = np.zeros(len(self.model.get_weights()[0]))

    def on_train_batch_end(self, batch, logs=None):
        after = self.model.get_weights()[0][:, 0]
        self.seen.append(tuple(np.flatnonzero(after != self.before)))
        self.before = after


def order_of(n=10, batch_size=3, **options):
    model = nn.Sequential([nn.Input((n,)), nn.Dense(1, use_bias=False)])
    model.compile(optimizer=optim.SGD(0.1), loss="mse", seed=options.pop("seed", 0))
    order = Order()
    model.fit(np.eye(n, dtype="float32"), np.ones((n, 1), "float32"), batch_size=batch_size, callbacks=order,
              verbose=0, **options)  # fmt: skip
    return order.seen


def test_shuffle_takes_every_row_once_per_epoch_in_a_new_order():
    seen = order_of(epochs=3)
    assert [len(batch) for batch in seen] == [3, 3, 3, 1] * 3
    epochs = [seen[i : i + 4] for i in (0, 4, 8)]
    for epoch in epochs:
        assert sorted(i for batch in epoch for i in batch) == list(range(10))
    assert epochs[0] != epochs[1]
    assert epochs[1] != epochs[2]


def test_shuffle_is_decided_by_the_seed():
    assert order_of(epochs=2, seed=5) == order_of(epochs=2, seed=5)
    assert order_of(epochs=2, seed=5) != order_of(epochs=2, seed=6)


def test_no_shuffle_keeps_the_order():
    assert order_of(epochs=2, shuffle=False) == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9,)] * 2


def test_resumed_run_repeats_the_order():
    """initial_epoch continues where the first part stopped: the epochs have the orders they would have had."""
    assert order_of(epochs=4)[8:] == order_of(epochs=4, initial_epoch=2)


def test_initial_epoch_continues_exactly():
    model, parts = mlp(optimizer="adam"), mlp(optimizer="adam")
    whole = model.fit(X, Y, epochs=4, verbose=0)
    parts.fit(X, Y, epochs=2, verbose=0)
    second = parts.fit(X, Y, epochs=4, initial_epoch=2, verbose=0)
    assert bits(model) == bits(parts)
    assert second.epoch == [2, 3]
    assert second.history["loss"] == whole.history["loss"][2:]


def test_nothing_to_do():
    model = mlp()
    before = bits(model)
    history = model.fit(X, Y, epochs=2, initial_epoch=2, verbose=0)
    assert history.epoch == []
    assert bits(model) == before


# Weights of samples and classes


def test_sample_weights_equal_repeated_rows():
    """Weight 2 is a row that is there twice, when the loss is the weighted sum over the sum of weights or over N."""
    times = R.integers(1, 4, N)
    weighted, repeated = mlp(dtype="float64"), mlp(dtype="float64")
    x, y = np.repeat(X, times, 0), np.repeat(Y, times)
    scale = N / times.sum()  # the mean is over rows: weights that add up to N give the mean of the repeated rows
    weighted.fit(X, Y, sample_weight=times * scale, batch_size=None, epochs=3, verbose=0)
    repeated.fit(x, y, batch_size=None, epochs=3, verbose=0)
    for a, b in zip(weighted.get_weights(), repeated.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_sample_weight_zero_is_a_row_that_is_not_there():
    model, other = mlp(dtype="float64"), mlp(dtype="float64")
    w = np.ones(N)
    w[20:] = 0
    x = X.copy()
    x[20:] = 1e3
    model.fit(x, Y, sample_weight=w * (N / 20), batch_size=None, epochs=2, verbose=0)
    other.fit(X[:20], Y[:20], batch_size=None, epochs=2, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_class_weights_are_sample_weights():
    model, other, both = mlp(), mlp(), mlp()
    by_class = {0: 1.0, 1: 3.0, 2: 0.5}
    w = np.array([by_class[int(c)] for c in Y], "float32")
    model.fit(X, Y, class_weight=by_class, epochs=2, verbose=0)
    other.fit(X, Y, sample_weight=w, epochs=2, verbose=0)
    both.fit((X, Y, np.full(N, 2.0, "float32")), class_weight=by_class, epochs=2, verbose=0)
    assert bits(model) == bits(other)
    assert bits(both) != bits(other)


def test_weights_weigh_in_evaluate_too():
    model = mlp()
    w = np.linspace(0, 2, N).astype("float32")
    result = model.evaluate(X, Y, sample_weight=w)
    z = forward(model.get_weights(), X)
    assert result["loss"] == pytest.approx((cross_entropy(z, Y) * w).sum() / N, rel=1e-5) or result[
        "loss"
    ] == pytest.approx((cross_entropy(z, Y) * w).sum() / w.sum(), rel=1e-5)
    assert result["accuracy"] == pytest.approx(((z.argmax(1) == Y) * w).sum() / w.sum(), rel=1e-5)


def test_weights_in_training_accuracy():
    model = mlp(optimizer=optim.SGD(1e-30))
    w = np.linspace(0, 2, N).astype("float32")
    history = model.fit(X, Y, sample_weight=w, batch_size=16, verbose=0).history
    z = forward(model.get_weights(), X)
    assert history["accuracy"][0] == pytest.approx(((z.argmax(1) == Y) * w).sum() / w.sum(), rel=1e-5)


# Validation


def test_validation_split_takes_the_last_part():
    one, two, three = mlp(), mlp(), mlp()
    a = one.fit(X, Y, validation_split=0.25, epochs=2, verbose=0).history
    b = two.fit(X[:45], Y[:45], validation_data=(X[45:], Y[45:]), epochs=2, verbose=0).history
    assert bits(one) == bits(two)
    assert a == b
    three.fit(X[:45], Y[:45], epochs=2, verbose=0)
    assert bits(three) == bits(one)  # validation takes no part in training
    assert three.evaluate(X[45:], Y[45:])["loss"] == a["val_loss"][-1]


def test_validation_split_divides_the_weights_too():
    one, two = mlp(), mlp()
    w = np.linspace(0.5, 2, N).astype("float32")
    a = one.fit(X, Y, sample_weight=w, validation_split=0.25, verbose=0).history
    b = two.fit(X[:45], Y[:45], sample_weight=w[:45], validation_data=(X[45:], Y[45:], w[45:]), verbose=0).history
    assert a == b


def test_validation_data_go_before_the_split():
    model = mlp()
    seen = []
    model.fit(X, Y, validation_data=(X[:5], Y[:5]), validation_split=0.5, batch_size=N, verbose=0,
              callbacks=LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch)))  # fmt: skip
    assert seen == [0]
    assert programs_of(model) == {N}


# Iterators


def batches(size=16, weights=None):
    for i in range(0, N, size):
        row = (X[i : i + size], Y[i : i + size])
        yield row if weights is None else (*row, weights[i : i + size])


def test_list_of_batches_equals_arrays():
    one, two = mlp(), mlp()
    a = one.fit(X, Y, batch_size=16, shuffle=False, epochs=3, verbose=0).history
    b = two.fit(list(batches()), epochs=3, verbose=0).history
    assert bits(one) == bits(two)
    assert a == b


def test_iterable_that_restarts():
    class Loader:
        def __iter__(self):
            return batches()

    one, two = mlp(), mlp()
    one.fit(X, Y, batch_size=16, shuffle=False, epochs=3, verbose=0)
    two.fit(Loader(), epochs=3, verbose=0)
    assert bits(one) == bits(two)


def test_generator_lasts_one_epoch():
    one, two = mlp(), mlp()
    one.fit(X, Y, batch_size=16, shuffle=False, verbose=0)
    two.fit(batches(), verbose=0)
    assert bits(one) == bits(two)
    before = bits(two)
    with pytest.raises(DataError, match=r"(?s)generator, which can be read once: 2 epochs.*help:.*steps_per_epoch"):
        two.fit(batches(), epochs=2, verbose=0)
    assert bits(two) == before


def test_a_generator_is_enough_for_the_one_epoch_that_is_left():
    """Epochs that were before are not read."""
    model = mlp()
    found = model.fit(batches(), epochs=3, initial_epoch=2, validation_data=batches(), verbose=0).history
    assert len(found["loss"]) == len(found["val_loss"]) == 1
    for more in ({"validation_data": batches()}, {}):
        with pytest.raises(DataError, match="can be read once: 2 epochs"):
            model.fit(X if more else batches(), *[Y] * bool(more), epochs=4, initial_epoch=2, verbose=0, **more)


def test_batches_with_weights_and_metrics():
    w = np.linspace(0, 2, N).astype("float32")
    one, two = (mlp(metrics=["accuracy", "top_k"]) for _ in range(2))
    a = one.fit(X, Y, sample_weight=w, batch_size=16, shuffle=False, verbose=0).history
    b = two.fit(list(batches(weights=w)), verbose=0).history
    assert bits(one) == bits(two)
    assert a == b


def test_batches_with_class_weights():
    by_class = {0: 1.0, 1: 3.0, 2: 0.5}
    one, two = mlp(), mlp()
    one.fit(X, Y, class_weight=by_class, batch_size=16, shuffle=False, verbose=0)
    two.fit(list(batches()), class_weight=by_class, verbose=0)
    assert bits(one) == bits(two)


@pytest.mark.parametrize("bad", [[X[:4], X[4:8]], [(X[:4],)], [{"x": X}], ["ab"]])
def test_batches_of_something_else_are_refused(bad):
    model = mlp()
    before = bits(model)
    with pytest.raises((DataError, TypeError, ValueError), match=r"\[fit\]|\[cross_entropy\]"):
        model.fit(bad, verbose=0)
    assert bits(model) == before


def test_tuple_of_arrays_is_unpacked():
    one, two = mlp(), mlp()
    one.fit(X, Y, verbose=0)
    two.fit((X, Y), verbose=0)
    assert bits(one) == bits(two)
    assert one.evaluate((X, Y)) == one.evaluate(X, Y)


# One batch at a time


def test_train_on_batch_is_one_step_of_fit():
    one, two = mlp(), mlp()
    one.fit(X, Y, batch_size=16, shuffle=False, verbose=0)
    for x, y in batches():
        logs = two.train_on_batch(x, y)
    assert list(logs.keys()) == ["loss", "accuracy"]
    assert bits(one) == bits(two)


def test_train_on_batch_reports_the_loss_before_its_update():
    model = mlp()
    z = forward(model.get_weights(), X)
    logs = model.train_on_batch(X, Y)
    assert logs["loss"] == pytest.approx(cross_entropy(z, Y).mean(), rel=1e-5)
    assert logs["accuracy"] == pytest.approx((z.argmax(1) == Y).mean())


def test_train_on_batch_takes_weights():
    one, two = mlp(), mlp()
    w = np.linspace(0, 2, N).astype("float32")
    one.fit(X, Y, sample_weight=w, batch_size=None, shuffle=False, verbose=0)
    two.train_on_batch(X, Y, sample_weight=w)
    assert bits(one) == bits(two)


def test_steps_run_makes_the_same_updates():
    one, two = mlp(), mlp()
    one.fit(X[:48], Y[:48], batch_size=16, verbose=0)
    steps(two, X[:48], Y[:48], batch_size=16).run(3)
    assert bits(one) == bits(two)
    runner = steps(two, X[:48], Y[:48], batch_size=16)
    runner.run(100)
    runner.run(1)
    assert int(two._trainer.slots.step.view()[0]) == 104
    assert two.evaluate(X, Y)["loss"] < one.evaluate(X, Y)["loss"]


def test_steps_in_pieces_are_steps_at_once():
    one, two = mlp(optimizer="adam"), mlp(optimizer="adam")
    steps(one, X, Y, batch_size=7).run(600)
    runner = steps(two, X, Y, batch_size=7)
    for k in (1, 250, 2, 300, 47):
        runner.run(k)
    assert bits(one) == bits(two)


# evaluate and predict


def test_evaluate_equals_numpy():
    model = mlp(metrics=["accuracy", "top_k"])
    model.fit(X, Y, verbose=0)
    z = forward(model.get_weights(), X)
    result = model.evaluate(X, Y)
    assert list(result.keys())[:2] == ["loss", "accuracy"]
    assert result["loss"] == pytest.approx(cross_entropy(z, Y).mean(), rel=1e-5)
    assert result["accuracy"] == (z.argmax(1) == Y).mean()


def test_evaluate_changes_nothing():
    model = mlp(optimizer="adam")
    model.fit(X, Y, verbose=0)
    other = mlp(optimizer="adam")
    other.fit(X, Y, verbose=0)
    for _ in range(3):
        model.evaluate(X, Y)
        model.predict(X)
    model.fit(X, Y, verbose=0)
    other.fit(X, Y, verbose=0)
    assert bits(model) == bits(other)


def test_evaluate_prints_when_asked(capsys):
    mlp().evaluate(X, Y, verbose=1)
    assert "loss:" in capsys.readouterr().out


@pytest.mark.parametrize("rows", [1, 7, 60, 100, None])
def test_predict_does_not_depend_on_the_batch_size(rows):
    model = mlp()
    model.fit(X, Y, verbose=0)
    whole = forward(model.get_weights(), X)
    np.testing.assert_allclose(model.predict(X, batch_size=rows), whole, rtol=1e-4, atol=1e-5)
    assert model.evaluate(X, Y, batch_size=rows)["loss"] == pytest.approx(cross_entropy(whole, Y).mean(), rel=1e-5)


def test_predict_of_one_row_and_of_many():
    model = mlp()
    many = np.tile(X, (20, 1))
    y = model.predict(many)
    assert y.shape == (1200, C)
    assert np.array_equal(y[:N], y[-N:]) or np.allclose(y[:N], y[-N:], rtol=1e-5)
    np.testing.assert_allclose(model.predict(X[3:4]), y[3:4], rtol=1e-5, atol=1e-6)


def test_predict_without_compile():
    model = nn.Sequential([nn.Input((D,)), nn.Dense(C, activation="softmax")])
    y = model.predict(X)
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-5)
    with pytest.raises(RuntimeError, match=r"\[fit\] the model is not compiled"):
        model.fit(X, Y, verbose=0)
    with pytest.raises(RuntimeError, match=r"\[evaluate\] the model is not compiled"):
        model.evaluate(X, Y)


def test_predict_inside_a_batch_hook_does_not_disturb_training():
    """The program reads its place in the data from a slot, which predict uses too."""
    one, two = (mlp(optimizer="adam", metrics=["accuracy", "top_k"]) for _ in range(2))

    class Looks(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.predict(X)

        def on_train_batch_end(self, batch, logs=None):
            self.model.predict(X[:7])
            self.model.evaluate(X, Y)

    a = one.fit(X, Y, batch_size=16, epochs=2, verbose=0).history
    b = two.fit(X, Y, batch_size=16, epochs=2, callbacks=Looks(), verbose=0).history
    assert bits(one) == bits(two)
    assert a == b
