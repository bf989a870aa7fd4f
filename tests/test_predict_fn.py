"""Prepared predictions: what predict_fn() returns, and predict() of few rows, which uses the same."""

import threading

import numpy as np
import pytest

import pynn
from pynn import nn, ops
from pynn.core.state import state
from pynn.errors import CaptureError, DataError, DTypeError, ShapeError

RNG = np.random.default_rng(7)
X = RNG.standard_normal((300, 20), np.float32)
Y = RNG.integers(0, 2, 300)


def mlp(**options):
    layers = [nn.Dense(64, activation="relu"), nn.Dense(64, activation="relu"), nn.Dense(2, **options)]
    return nn.Sequential([nn.Input((20,)), *layers], seed=3)


def image_model():
    return nn.Sequential(
        [nn.Input((8, 8, 3)), nn.Conv2D(4, 3), nn.BatchNormalization(), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(3)],
        seed=1,
    )


def text_model(**options):
    return nn.Sequential([nn.Embedding(30, 8, mask_zero=True), nn.LSTM(6, **options), nn.Dense(3)], seed=2)


def eager(model, x):
    model.compile("sgd", "mse", run_eagerly=True)
    return model.predict(x)


@pytest.mark.parametrize("rows", [1, 2, 31, 32, 33, 256, 300])
def test_a_prepared_prediction_is_that_of_eager(rows):
    model = mlp(activation="softmax")
    f = model.predict_fn()
    first, second, alike = f(X[:rows]), f(X[:rows]), model.predict(X[:rows])
    expected = eager(model, X[:rows])
    assert first.dtype == np.float32
    for got in (first, second, alike):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("compiled", [False, True])
def test_images_as_bytes_and_as_numbers(compiled):
    model = image_model()
    if compiled:
        model.compile("sgd", "cross_entropy")
    images = RNG.integers(0, 256, (5, 8, 8, 3)).astype("uint8")
    f = model.predict_fn()
    for x in (images, (images / 255).astype("float32"), images):
        for _ in range(2):
            np.testing.assert_array_equal(f(x), model.predict(x))
    np.testing.assert_array_equal(f(images), eager(model, images))


def test_token_ids():
    model = text_model()
    ids = np.array([[3, 4, 0], [29, 0, 0]])
    model.build(ids.shape)
    f = model.predict_fn()
    expected = eager(model, ids)
    for x in (ids, ids.astype("int32"), ids.tolist(), ids.astype("uint8"), ids.astype("int32")):
        np.testing.assert_array_equal(f(x), expected)
    for _ in range(2):  # also when such arrays need no conversion any more
        with pytest.raises(DataError, match=r"\[predict_fn\].*30.*\[1, 0\]|\[predict_fn\].*30"):
            f((ids + (ids == 29)).astype("int32"))
    np.testing.assert_array_equal(f(ids.astype("int32")), expected)


def test_several_inputs():
    a, b = nn.Input((4,)), nn.Input((3,))
    model = nn.Model((a, b), nn.Dense(2, seed=1)(nn.Concatenate()([a, b])))
    f = model.predict_fn(batch_size=8)
    x = X[:20, :4].copy(), X[:20, 4:7].copy()
    for _ in range(2):
        np.testing.assert_array_equal(f(x), model.predict(x, batch_size=8))
    few = tuple(part[:3] for part in x)
    for given in (few, list(few), few):
        np.testing.assert_array_equal(f(given), model.predict(few))
    with pytest.raises(ShapeError, match=r"\[predict_fn\] expected 2 inputs. Received: 1"):
        f(few[0])


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(X[:3].astype("float64"), id="float64"),
        pytest.param(X[:3].tolist(), id="list"),
        pytest.param(np.asfortranarray(X[:3]), id="fortran"),
        pytest.param(X[:3].astype(">f4"), id="byte order"),
        pytest.param(np.frombuffer(b"0" + X[:3].tobytes(), "f4", offset=1).reshape(3, 20), id="unaligned"),
        pytest.param(X[:3].view(np.recarray), id="subclass"),
        pytest.param(pynn.tensor(X[:3]), id="tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # conversions are noted
def test_other_arrays_are_converted(x):
    model = mlp()
    f = model.predict_fn()
    expected = f(X[:3])
    for call in (f, f, model.predict, model.predict):
        np.testing.assert_array_equal(call(x), expected)


def test_input_is_not_written_and_output_is_fresh():
    f = mlp().predict_fn()
    x = X[:2].copy()
    x.flags.writeable = False
    one, two = f(x), f(x)
    assert not np.shares_memory(one, two)
    one[:] = 0
    np.testing.assert_array_equal(f(x), two)
    np.testing.assert_array_equal(x, X[:2])


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            X[:1, :19].copy(),
            ShapeError,
            r"\[predict_fn\] expected inputs of shape \(N, 20\).* Received: x.shape=\(1, 19\)",
        ),
        (X[0], ShapeError, r"\[predict_fn\] .*x\[None\] is a batch of one"),
        (1.0, ShapeError, r"\[predict_fn\] expected an array with one row per sample"),
        (X[:0], DataError, r"\[predict_fn\] expected at least one sample. Received: x.shape=\(0, 20\)"),
        (np.array([["a"] * 20]), DTypeError, r"\[predict_fn\] expected numbers"),
        ([], DataError, r"\[predict_fn\] expected at least one sample"),
    ],
)
def test_bad_input_after_good(x, error, message):
    f = mlp().predict_fn()
    expected = f(X[:1])
    with pytest.raises(error, match=message):
        f(x)
    np.testing.assert_array_equal(f(X[:1]), expected)


def change_weights(model):
    model.set_weights([w * 0.5 for w in model.get_weights()])


def train(model):
    model.compile("adam", "cross_entropy", seed=0)
    model.fit(X, Y, epochs=1, verbose=0)


def train_twice(model):
    train(model)
    train(model)


def freeze(model):
    train(model)
    model.layers[0].trainable = False
    train(model)


def add_layer(model):
    model.add(nn.Dense(5, seed=4))
    model.build((1, 20))


@pytest.mark.parametrize("change", [change_weights, train, train_twice, freeze, add_layer])
def test_later_changes_are_seen(change):
    model = mlp()
    f = model.predict_fn()
    before, also = f(X[:3]), model.predict(X[:3])
    np.testing.assert_array_equal(before, also)
    change(model)
    after = f(X[:3])
    assert after.shape != before.shape or not np.array_equal(after, before)
    np.testing.assert_array_equal(after, model.predict(X[:3]))
    np.testing.assert_array_equal(after, eager(model, X[:3]))


@pytest.mark.parametrize("where", ["inner", "_hidden", "_later", "rows", "nested", "table"])
def test_replaced_layers_are_seen(where):
    class Swaps(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self._hidden, self._later = nn.Activation("tanh"), nn.Activation("tanh"), None
            self.rows, self.nested = [nn.Activation("tanh")], ([nn.Activation("tanh")],)
            self.table = {"a": nn.Activation("tanh")}
            self.out = nn.Dense(3)

        def forward(self, x):
            for layer in (self.inner, self._hidden, *self.rows, *self.nested[0], self.table["a"]):
                x = layer(x)
            return self.out(x if self._later is None else self._later(x))

    model, other = Swaps(), nn.Activation("exp")
    model.build((1, 20))
    model(X[:1])
    f = model.predict_fn()
    f(X[:3])
    model.predict(X[:3])
    if where in ("rows", "nested"):
        (model.rows if where == "rows" else model.nested[0])[0] = other
    elif where == "table":
        model.table["a"] = other
    else:
        setattr(model, where, other)
    expected = model(X[:3]).numpy()
    np.testing.assert_array_equal(f(X[:3]), expected)
    np.testing.assert_array_equal(model.predict(X[:3]), expected)


def test_changes_of_settings_are_seen():
    f = mlp().predict_fn()
    expected = f(X[:3])
    with pynn.config.use_isa("generic"):
        np.testing.assert_allclose(f(X[:3]), expected, rtol=1e-4, atol=1e-5)
        f(X[:3])
    np.testing.assert_array_equal(f(X[:3]), expected)


def test_running_statistics_are_seen():
    model = image_model()
    x = RNG.standard_normal((40, 8, 8, 3), np.float32)
    f = model.predict_fn()
    before = f(x[:2])
    model.compile("sgd", "cross_entropy", seed=0)
    model.fit(x, RNG.integers(0, 3, 40), verbose=0)
    assert not np.array_equal(f(x[:2]), before)
    np.testing.assert_array_equal(f(x[:2]), eager(model, x[:2]))


def test_an_eager_model_is_run_eagerly_by_predict():
    calls = []

    class Counting(nn.Module):
        def forward(self, x):
            calls.append(x.shape)
            return x * 2.0

    model = nn.Sequential([nn.Input((20,)), nn.Dense(3), Counting()])
    model.predict(X[:2])
    model.predict(X[:2])
    seen = len(calls)
    model.predict(X[:2])
    assert len(calls) == seen  # replayed
    model.compile("sgd", "mse", run_eagerly=True)
    for k in range(2):
        model.predict(X[:2])
        assert len(calls) > seen + k


def test_eight_threads_predict_what_one_does():
    model = mlp(activation="softmax")
    f = model.predict_fn(batch_size=64)
    sizes = [1, 5, 64, 100]
    expected = {n: f(X[:n]) for n in sizes}
    failures, start = [], threading.Barrier(8)

    def work(k):
        start.wait()
        for i in range(300):
            n = sizes[(i + k) % len(sizes)]
            if not np.array_equal(f(X[:n]), expected[n]):
                failures.append((k, i, n))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_eight_threads_prepare_at_once():
    model = mlp()
    model.build((1, 20))
    f = model.predict_fn()
    got, start = {}, threading.Barrier(8)

    def work(k):
        start.wait()
        got[k] = [f(X[: n + 1]) for n in range(k % 3, 6)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k, results in got.items():
        for n, y in zip(range(k % 3, 6), results, strict=True):
            np.testing.assert_array_equal(y, model.predict(X[: n + 1]))


def test_threads_meet_changes_of_layers_without_harm():
    """Programs are forgotten by one thread while others run them."""
    model = mlp()
    f = model.predict_fn()
    expected, stop, failures = f(X[:40]), threading.Event(), []

    def work():
        while not stop.is_set():
            if not np.array_equal(f(X[:40]), expected):
                failures.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for i in range(50):
        model.mark = i
        f(X[:40])
    stop.set()
    for t in threads:
        t.join()
    assert not failures


def test_more_shapes_than_are_kept():
    model = mlp()
    f = model.predict_fn()
    for n in (*range(1, 50), 1, 2):
        np.testing.assert_array_equal(f(X[:n]), model.predict(X[:n]))


def test_stateful_models():
    model = text_model(stateful=True)
    ids = np.array([[3, 4, 5]], np.int32)
    model.build(ids.shape)
    with pytest.raises(RuntimeError, match=r"\[predict_fn\].*stateful.*help: call predict"):
        model.predict_fn()
    runs = [model.predict(ids) for _ in range(3)]
    assert not np.array_equal(runs[0], runs[1])
    nn.reset_states(model)
    for run in runs:
        np.testing.assert_array_equal(model.predict(ids), run)


class Counter(nn.Module):
    """Adds how often it was called."""

    def build(self, input_shape):
        self.add_weight("calls", (1,), "zeros", trainable=False)

    def forward(self, x):
        if not state.trial:
            ops.steps.assign(self.calls + 1.0, self.calls)
        return x + self.calls


def test_a_model_of_ones_own_that_changes_state():
    model = nn.Sequential([nn.Input((20,)), Counter()])
    calls = [float(model.predict(X[:1] * 0)[0, 0]) for _ in range(4)]
    assert calls == [1, 2, 3, 4]
    with pytest.raises(RuntimeError, match=r"\[predict_fn\] expected a model whose output depends on its input"):
        model.predict_fn()(X[:1])


def test_not_built_and_bad_batch_size():
    with pytest.raises(RuntimeError, match=r"\[predict_fn\] the model is not built"):
        nn.Sequential([nn.Dense(3)]).predict_fn()
    with pytest.raises(ValueError, match=r"\[predict_fn\] expected batch_size to be a positive integer"):
        mlp().predict_fn(batch_size=0)


def test_inside_a_recording_it_is_refused():
    f = mlp().predict_fn()
    f(X[:1])
    inner = mlp()
    inner.predict(X[:1])
    inner.predict(X[:1])

    class Bad(nn.Module):
        def __init__(self, call):
            super().__init__()
            object.__setattr__(self, "call", call)

        def forward(self, x):
            if state.recorder is not None:
                self.call(X[:1])
            return x * 2.0

    for call in (f, inner.predict):
        with pytest.raises(CaptureError, match="recording is already under way"):
            nn.Sequential([nn.Input((20,)), Bad(call)]).predict(X)


def test_hooks_are_called_for_prepared_predictions():
    seen = []
    model = mlp()
    hook = pynn.train.LambdaCallback(on_predict_begin=lambda logs: seen.append(1))
    for k in range(3):
        model.predict(X[:1], callbacks=[hook])
        assert len(seen) == k + 1


def test_fit_after_a_change_between_native_calls():
    """A program that is found without a key is not one of other layers."""

    class Freeze(pynn.train.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 4:
                self.model.layers[0].trainable = False

    weights = {}
    for eagerly in (False, True):
        model = mlp()
        model.compile("sgd", "cross_entropy", seed=0, run_eagerly=eagerly)
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=[Freeze()])
        weights[eagerly] = model.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(weights[False], weights[True], strict=True))


def test_many_native_calls_are_one_run():
    """Steps in one call, and one call for each step, give the same bits: the key is left out from the third call on."""
    results = []
    for calls in ([18], [1] * 18, [5, 7, 6]):
        model = mlp()
        model.compile("adam", "cross_entropy", seed=0)
        stepper = pynn.train.steps(model, X[:96], Y[:96], batch_size=16)
        for k in calls:
            stepper.run(k)
        results.append(model.get_weights())
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


class Above(nn.Module):
    """Tells by integers which features lie highest above the mean of all rows: rows depend on each other."""

    def forward(self, x):
        return ops.argmax(x - ops.mean(x, 0, keepdims=True), axis=1)


def test_integers_that_depend_on_all_rows_are_predicted_in_one_pass():
    x = np.random.default_rng(0).normal(size=(90, 5)).astype("float32") + np.arange(5, dtype="float32")
    y = nn.Sequential([nn.Input((5,)), Above()]).predict(x, batch_size=7)
    np.testing.assert_array_equal(y, (x - x.mean(0)).argmax(1))
