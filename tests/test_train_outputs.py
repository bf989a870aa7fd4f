"""What training means for outputs: how a model ends, which metrics it has, which targets it takes."""

import numpy as np
import pytest
from training import ONE_HOT, C, D, N, R, X, Y, bits, cross_entropy, forward, linear, mlp, softmax

from pynn import metrics, nn, ops, optim
from pynn.train import LambdaCallback

# Endings


@pytest.mark.parametrize("how", ["activation", "layer"])
@pytest.mark.parametrize("targets", ["labels", "one-hot"])
def test_softmax_ending_is_trained_through_the_logits(how, targets):
    y = Y if targets == "labels" else ONE_HOT
    logits = mlp()
    fused = mlp(ending="softmax")
    if how == "layer":
        fused = nn.Sequential([nn.Input((D,)), nn.Dense(8, activation="tanh"), nn.Dense(C), nn.Activation("softmax")])
        fused.compile(optimizer=optim.SGD(0.1), loss="cross_entropy", metrics=["accuracy"], seed=1)
        fused.set_weights(logits.get_weights())
    a = logits.fit(X, y, epochs=3, validation_split=0.2, verbose=0).history
    b = fused.fit(X, y, epochs=3, validation_split=0.2, verbose=0).history
    assert bits(logits) == bits(fused)
    assert a == b
    np.testing.assert_allclose(fused.predict(X), softmax(logits.predict(X)), rtol=1e-5, atol=1e-7)


def test_function_of_ones_own_has_its_softmax_taken_off_and_not_another():
    def own(x):
        return ops.softmax(x * 2.0)

    own.__name__ = "softmax"
    model = mlp(ending=own)
    p = softmax(2 * forward(model.get_weights(), X))
    np.testing.assert_allclose(model.predict(X), p, rtol=1e-4, atol=1e-6)
    assert model.evaluate(X, Y)["loss"] == pytest.approx(-np.log(p[np.arange(len(Y)), Y]).mean(), rel=1e-5)


def test_softmax_ending_survives_large_logits():
    model = mlp(ending="softmax", optimizer=optim.SGD(0.01))
    model.set_weights([w * 3000 for w in model.get_weights()])
    history = model.fit(X, Y, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][0] > 100


def test_one_hot_equals_labels():
    one, two = mlp(), mlp()
    a = one.fit(X, Y, epochs=2, verbose=0).history
    b = two.fit(X, ONE_HOT, epochs=2, verbose=0).history
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
    assert a["accuracy"] == b["accuracy"]


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
@pytest.mark.parametrize("dtype", ["int64", "float32", "bool", "uint8"])
def test_binary_sigmoid_ending(shape, dtype):
    y = (Y == 1).astype(dtype).reshape(shape)
    w = [np.linspace(-1, 1, D, dtype="float32")[:, None], np.zeros(1, "float32")]
    histories = []
    for ending in ("sigmoid", None):
        model = nn.Sequential([nn.Input((D,)), nn.Dense(1, activation=ending)])
        loss = "binary_cross_entropy"
        model.compile(optimizer=optim.SGD(0.1), loss=loss, metrics=["binary_accuracy", "accuracy"], seed=0)
        model.set_weights(w)
        z = X @ w[0] + w[1]
        result = model.evaluate(X, y)
        expected = np.logaddexp(0, np.where(Y == 1, -z[:, 0], z[:, 0])).mean()
        assert result["loss"] == pytest.approx(expected, rel=1e-5)
        right = ((z[:, 0] > 0) == (Y == 1)).mean()
        assert result["binary_accuracy"] == right
        assert result["accuracy"] == right
        history = model.fit(X, y, epochs=2, verbose=0).history
        histories.append((history, bits(model)))
        p = model.predict(X)
        assert p.shape == (N, 1)
        if ending:
            assert 0 <= p.min() <= p.max() <= 1
    assert histories[0] == histories[1]


def test_training_accuracy_of_a_binary_model_is_that_of_evaluate():
    y = (Y == 1).astype("float32")
    model = nn.Sequential([nn.Input((D,)), nn.Dense(1, activation="sigmoid")])
    model.compile(optimizer=optim.SGD(1e-30), loss="binary_cross_entropy", metrics=["accuracy"], seed=0)
    history = model.fit(X, y, batch_size=16, verbose=0).history
    assert history["accuracy"][0] == pytest.approx(model.evaluate(X, y)["accuracy"])


@pytest.mark.parametrize("ending", ["sigmoid", None])
def test_accuracy_of_many_binary_labels_is_the_same_in_training_and_evaluation(ending):
    y = (R.random((N, C)) < 0.4).astype("float32")
    model = mlp(ending=ending, loss="binary_cross_entropy", metrics=["accuracy"], optimizer=optim.SGD(1e-30))
    w = np.linspace(0, 2, N).astype("float32")
    for weights in (None, w):
        history = model.fit(X, y, sample_weight=weights, batch_size=16, verbose=0).history
        result = model.evaluate(X, y, sample_weight=weights)
        assert history["accuracy"][0] == pytest.approx(result["accuracy"], rel=1e-6)
        assert history["loss"][0] == pytest.approx(result["loss"], rel=1e-5)


def test_accuracy_with_settings_of_its_own():
    """The program counts plain accuracy only; another threshold may not be lost."""
    y = (Y == 1).astype("float32")
    model = nn.Sequential([nn.Input((D,)), nn.Dense(1, activation="sigmoid")])
    chosen = [metrics.Accuracy(threshold=0.9), metrics.BinaryAccuracy(threshold=0.1, name="low")]
    model.compile(optimizer=optim.SGD(1e-30), loss="binary_cross_entropy", metrics=chosen, seed=0)
    history = model.fit(X, y, batch_size=16, verbose=0).history
    p = model.predict(X)[:, 0]
    assert history["accuracy"][0] == pytest.approx(((p > 0.9) == (Y == 1)).mean())
    assert history["low"][0] == pytest.approx(((p > 0.1) == (Y == 1)).mean())


def test_accuracy_of_rows_of_rows():
    """One label per step of a sequence."""
    x = R.standard_normal((20, 5, D)).astype("float32")
    y = R.integers(0, C, (20, 5))
    model = nn.Sequential([nn.Input((5, D)), nn.Dense(C)])
    model.compile(optimizer=optim.SGD(1e-30), loss="cross_entropy", metrics=["accuracy"], seed=0)
    history = model.fit(x, y, batch_size=8, verbose=0).history
    z = model.predict(x)
    assert history["accuracy"][0] == pytest.approx((z.argmax(-1) == y).mean())
    assert model.evaluate(x, y)["accuracy"] == pytest.approx((z.argmax(-1) == y).mean())


def test_regression():
    model = linear(out=2, optimizer=optim.SGD(0.05), metrics=["mae", "mse", "r2"])
    x = X.astype("float64")
    target = x @ R.standard_normal((D, 2)) + 1
    history = model.fit(x, target, epochs=200, batch_size=20, verbose=0).history
    assert history["loss"][-1] < 1e-3
    assert history["r2"][-1] > 0.999
    result = model.evaluate(x, target)
    e = model.predict(x) - target
    assert result["mse"] == pytest.approx(np.square(e).mean(), rel=1e-6)
    assert result["mae"] == pytest.approx(np.abs(e).mean(), rel=1e-6)
    assert result["loss"] == pytest.approx(np.square(e).mean(), rel=1e-6)


def test_regression_with_one_output_takes_a_vector_of_targets():
    """[N] and [N, 1] mean the same: nothing is broadcast to [N, N]."""
    one, two = linear(metrics=["mae"]), linear(metrics=["mae"])
    y = X[:, 0] * 2.0
    a = one.fit(X, y, epochs=2, verbose=0).history
    b = two.fit(X, y[:, None], epochs=2, verbose=0).history
    assert bits(one) == bits(two)
    assert a == b
    assert one.evaluate(X, y) == one.evaluate(X, y[:, None])


# Metrics in training


def test_metrics_of_training_equal_numpy():
    """With a vanishing learning rate the logs of an epoch are those of the whole data set, whatever the batches."""
    model = mlp(optimizer=optim.SGD(1e-30), metrics=["accuracy", metrics.TopK(k=2)])
    history = model.fit(X, Y, batch_size=16, verbose=0).history
    z = forward(model.get_weights(), X)
    assert history["accuracy"][0] == pytest.approx((z.argmax(1) == Y).mean())
    top2 = (np.argsort(-z, 1)[:, :2] == Y[:, None]).any(1).mean()
    name = next(k for k in history if k.startswith("top"))
    assert history[name][0] == pytest.approx(top2)
    assert model.evaluate(X, Y)[name] == pytest.approx(top2)
    assert history["loss"][0] == pytest.approx(cross_entropy(z, Y).mean(), rel=1e-5)


def test_metric_that_is_a_function():
    def largest_error(y_true, y_pred):
        return np.abs(y_true - y_pred).max()

    model = linear(metrics=[largest_error, "mae"])
    y = X[:, :1] * 3.0
    history = model.fit(X, y, batch_size=None, verbose=0).history
    assert history["largest_error"][0] >= history["mae"][0]


def test_metrics_of_an_epoch_that_was_cut_short():
    """Only rows that were seen count."""
    model = mlp(optimizer=optim.SGD(1e-30), metrics=["accuracy", metrics.TopK(k=2)])

    def stop(batch, logs):
        if batch == 1:
            model.stop_training = True

    stopper = LambdaCallback(on_train_batch_end=stop)
    history = model.fit(X, Y, batch_size=16, shuffle=False, callbacks=stopper, verbose=0).history
    z = forward(model.get_weights(), X[:32])
    assert history["accuracy"][0] == pytest.approx((z.argmax(1) == Y[:32]).mean())
    name = next(k for k in history if k.startswith("top"))
    assert history[name][0] == pytest.approx((np.argsort(-z, 1)[:, :2] == Y[:32, None]).any(1).mean())


# uint8


def test_uint8_images_are_scaled_everywhere():
    images = R.integers(0, 256, (N, 2, 3)).astype("uint8")
    floats = (images / np.float32(255)).astype("float32")
    one, two = (nn.Sequential([nn.Input((2, 3)), nn.Flatten(), nn.Dense(C)]) for _ in range(2))
    for model in (one, two):
        model.compile(optimizer=optim.SGD(0.1), loss="cross_entropy", metrics=["accuracy"], seed=0)
    a = one.fit(images, Y, epochs=3, validation_split=0.2, verbose=0).history
    b = two.fit(floats, Y, epochs=3, validation_split=0.2, verbose=0).history
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
    np.testing.assert_allclose(a["val_loss"], b["val_loss"], rtol=1e-5)
    np.testing.assert_allclose(one.predict(images), one.predict(floats), rtol=1e-5, atol=1e-5)
    assert one.evaluate(images, Y)["loss"] == pytest.approx(one.evaluate(floats, Y)["loss"], rel=1e-5)
    for u, v in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-4, atol=1e-6)


def test_uint8_labels_are_classes():
    one, two = mlp(), mlp()
    one.fit(X, Y.astype("uint8"), verbose=0)
    two.fit(X, Y, verbose=0)
    assert bits(one) == bits(two)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint16", "uint32", "uint64"])
def test_labels_of_every_integer_type(dtype):
    one, two = mlp(), mlp()
    one.fit(X, Y.astype(dtype), verbose=0)
    two.fit(X, Y, verbose=0)
    assert bits(one) == bits(two)


def test_other_integers_are_not_scaled():
    one, two = mlp(), mlp()
    x = (X * 3).astype("int32")
    one.fit(x, Y, verbose=0)
    two.fit(x.astype("float32"), Y, verbose=0)
    assert bits(one) == bits(two)
