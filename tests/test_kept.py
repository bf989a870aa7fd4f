"""Weights that predictions keep laid out: the same bits, and never those of weights that have changed since."""

import gc
import threading
import weakref

import numpy as np
import pytest

import pynn
from pynn import config, nn, ops
from pynn.core import _core, program
from pynn.core.card import CARDS
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.train.predictor import runner

ISAS = [name for name in _core.isa_available() if name != "generic"]
pytestmark = pytest.mark.skipif(not ISAS, reason="without vectors nothing is laid out")
RNG = np.random.default_rng(7)


def held(model):
    """Return what a model keeps at the moment: (bytes, bytes, ...)."""
    return sorted(kept.held for kept in runner(model).cache.room.kept.values() if kept.held)


def predicted(model, x, times=4):
    """Return a prediction; the first is recorded, the last ones run with what was laid out."""
    found = [model.predict(x) for _ in range(times)]
    assert all(y.tobytes() == found[0].tobytes() for y in found)
    return found[-1]


def mlp():
    return nn.Sequential([nn.Input((150,)), nn.Dense(203, activation="tanh"), nn.Dense(330)], seed=1)


def turned(x, w):
    return execute(CARDS["matmul"], (x, w), {"tb": True})[0]


class Products(nn.Module):
    """Matrix products with a weight, as it is and turned."""

    def build(self, shape):
        self.a = self.add_weight("a", (shape[-1], 201), "glorot_uniform")
        self.b = self.add_weight("b", (333, 201), "glorot_uniform")

    def forward(self, x):
        return turned(ops.matmul(x, self.a), self.b)


class Turned(Products):
    def build(self, shape):
        self.a = self.add_weight("a", (150, 150), "glorot_uniform")

    def forward(self, x):
        return turned(ops.matmul(x, self.a), self.a)


def recurrent(layer):
    return nn.Sequential([nn.Input((6, 90)), layer, nn.Dense(5)], seed=1)


def images(*layers):
    return nn.Sequential([nn.Input((12, 13, 20)), *layers], seed=1)


MODELS = {
    "dense": (mlp, (150,)),
    "matmul": (lambda: nn.Sequential([nn.Input((150,)), Products()], seed=1), (150,)),
    "one weight both ways": (lambda: nn.Sequential([nn.Input((150,)), Turned()], seed=1), (150,)),
    "lstm": (lambda: recurrent(nn.LSTM(70)), (6, 90)),
    "both ways": (lambda: recurrent(nn.Bidirectional(nn.LSTM(70))), (6, 90)),
    "gru": (lambda: recurrent(nn.GRU(70)), (6, 90)),
    "gru before": (lambda: recurrent(nn.GRU(70, reset_after=False)), (6, 90)),
    "simple": (lambda: recurrent(nn.SimpleRNN(150)), (6, 90)),
    "conv": (lambda: images(nn.Conv2D(70, 3), nn.Conv2D(66, 2, strides=2, activation="relu")), (12, 13, 20)),
    "groups": (lambda: images(nn.Conv2D(80, 3, groups=4, padding="same")), (12, 13, 20)),
    "few outputs": (lambda: images(nn.Conv2D(3, 9, padding="same")), (12, 13, 20)),
    "winograd": (lambda: images(nn.Conv2D(40, 3, padding="same", algorithm="winograd")), (12, 13, 20)),
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", MODELS)
def test_bits_are_those_of_weights_as_they_lie(name, isa, monkeypatch):
    make, shape = MODELS[name]
    with config.use_isa(isa):
        model = make()
        xs = [RNG.standard_normal((n, *shape), np.float32) for n in (1, 2, 5, 31, 140)]
        kept = [predicted(model, x) for x in xs]
        assert held(model)
        plain = make()
        plain.predict(xs[0])
        plain.set_weights(model.get_weights())
        monkeypatch.setattr(program, "MOST_KEPT", 0)
        for x, y in zip(xs, kept, strict=True):
            assert predicted(plain, x).tobytes() == y.tobytes()
        assert not held(plain)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ["dense", "lstm", "conv"])
def test_bits_do_not_depend_on_threads(name, isa):
    make, shape = MODELS[name]
    x = RNG.standard_normal((300, *shape), np.float32)
    with config.use_isa(isa):
        model = make()
        one = predicted(model, x)
        before = config.get_num_threads()
        for threads in (2, 3):
            config.set_num_threads(threads)
            try:
                assert predicted(model, x).tobytes() == one.tobytes()
            finally:
                config.set_num_threads(before)


def test_float64_too():
    model = nn.Sequential([nn.Input((150,)), nn.Dense(203)], seed=1).astype("float64")
    x = RNG.standard_normal((9, 150))
    y = predicted(model, x)
    if held(model):  # its table may be the generic one
        assert np.allclose(y, x @ model.layers[-1].w.numpy() + model.layers[-1].b.numpy(), rtol=1e-12)


def by_set_weights(model):
    model.set_weights([w * 2 for w in model.get_weights()])


def by_a_view(model):
    for _, w in model.named_parameters():
        w.view()[...] *= 2


def by_a_view_that_stays(model):
    model.views = [w.view() for _, w in model.named_parameters()]
    for w in model.views:
        w *= 2


def by_an_op(model):
    for _, w in model.named_parameters():
        ops.copy(w * 2.0, out=w)


def by_fit(model):
    x = RNG.standard_normal((40, 150), np.float32)
    model.compile(optimizer="sgd", loss="mse")
    model.fit(x, RNG.standard_normal((40, 330), np.float32), batch_size=10, epochs=2, verbose=0)


def reference(model, x):
    a, b = (layer for layer in model.layers if isinstance(layer, nn.Dense))
    return np.tanh(x @ a.w.numpy() + a.b.numpy()) @ b.w.numpy() + b.b.numpy()


@pytest.mark.parametrize(
    "change", [by_set_weights, by_a_view, by_a_view_that_stays, by_an_op, by_fit], ids=lambda f: f.__name__
)
def test_changed_weights_are_seen_at_once(change):
    model = mlp()
    xs = [RNG.standard_normal((n, 150), np.float32) for n in (1, 20)]
    before = [predicted(model, x) for x in xs]
    assert held(model)
    change(model)
    for x, y in zip(xs, before, strict=True):
        now = predicted(model, x)
        np.testing.assert_allclose(now, reference(model, x), rtol=2e-4, atol=2e-4)
        assert not np.allclose(now, y, atol=1e-3)


def test_an_array_on_a_weight_can_write_at_any_time():
    model = mlp()
    x = RNG.standard_normal((3, 150), np.float32)
    predicted(model, x)
    array = model.layers[-1].w.view()
    for k in range(4):
        array[0, k] += 5
        for _ in range(2):
            np.testing.assert_allclose(model.predict(x), reference(model, x), rtol=2e-4, atol=2e-4)


def test_a_changed_weight_is_laid_out_anew_in_the_same_memory():
    model = mlp()
    x = RNG.standard_normal((3, 150), np.float32)
    predicted(model, x)
    before = held(model)
    assert before == [150 * 208 * 4, 203 * 336 * 4]
    for _ in range(3):
        by_a_view(model)
        predicted(model, x)
    assert held(model) == before


def test_numbers_of_rows_share_what_is_kept():
    model = mlp()
    predicted(model, RNG.standard_normal((1, 150), np.float32))
    before = held(model)
    predicted(model, RNG.standard_normal((17, 150), np.float32))
    assert held(model) == before


def test_small_weights_are_read_where_they_lie():
    model = nn.Sequential([nn.Input((20,)), nn.Dense(30), nn.Dense(4)], seed=1)
    predicted(model, RNG.standard_normal((3, 20), np.float32))
    assert not runner(model).cache.room.kept


def test_a_model_keeps_so_much_and_no_more(monkeypatch):
    monkeypatch.setattr(program, "MOST_KEPT", 150 * 208 * 4)
    model = mlp()
    x = RNG.standard_normal((3, 150), np.float32)
    np.testing.assert_allclose(predicted(model, x), reference(model, x), rtol=2e-4, atol=2e-4)
    assert held(model) == [150 * 208 * 4]


def test_what_is_kept_goes_with_the_programs():
    model = mlp()
    predicted(model, RNG.standard_normal((3, 150), np.float32))
    trainer = runner(model)
    assert trainer.cache.room.kept
    trainer.cache.clear()
    del model, trainer
    gc.collect()
    model = mlp()
    function = model.predict_fn()
    x = RNG.standard_normal((3, 150), np.float32)
    for _ in range(4):
        y = function(x)
    np.testing.assert_allclose(y, reference(model, x), rtol=2e-4, atol=2e-4)
    by_a_view(model)
    np.testing.assert_allclose(function(x), reference(model, x), rtol=2e-4, atol=2e-4)


def test_a_model_and_what_it_laid_out_go_at_once():
    """And do not wait for Python's collector, which does not see how large they are."""
    model = mlp()
    predicted(model, RNG.standard_normal((3, 150), np.float32))
    assert held(model)
    programs, predictor, whole = weakref.ref(runner(model).cache), weakref.ref(runner(model)), weakref.ref(model)
    gc.disable()
    try:
        del model
        assert (whole(), predictor(), programs()) == (None, None, None)
    finally:
        gc.enable()


def test_threads_predict_at_once_while_weights_change_between():
    model = mlp()
    function = model.predict_fn()
    x = RNG.standard_normal((8, 150), np.float32)
    for _ in range(5):
        function(x)  # recorded, and laid out for what follows
        wrong = []
        expected = function(x).tobytes()

        def work(expected=expected, wrong=wrong):
            wrong.extend(1 for _ in range(60) if function(x).tobytes() != expected)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        by_a_view(model)


def test_prediction_beside_a_training_reads_weights_of_the_moment():
    model = mlp()
    x = RNG.standard_normal((200, 150), np.float32)
    y = RNG.standard_normal((200, 330), np.float32)
    model.compile(optimizer="sgd", loss="mse")
    seen = []

    class Watching(pynn.train.Callback):
        def on_batch_end(self, batch, logs=None):
            for _ in range(3):
                found = model.predict(x[:5])
            np.testing.assert_allclose(found, reference(model, x[:5]), rtol=1e-3, atol=1e-3)
            seen.append(found)

    model.fit(x, y, batch_size=50, epochs=2, verbose=0, callbacks=[Watching()])
    assert len({a.tobytes() for a in seen}) == len(seen) > 1


def test_memory_of_others_is_never_trusted():
    array = RNG.standard_normal((150, 200)).astype(np.float32)
    x = RNG.standard_normal((3, 150), np.float32)

    class Foreign(nn.Module):
        _unwatched = frozenset({"w"})

        def __init__(self):
            super().__init__()
            self.w = Tensor(_core.Buffer.of(array), array.shape, array.dtype)

        def forward(self, x):
            return ops.matmul(x, self.w)

    model = Foreign()
    model.build((3, 150))
    predicted(model, x)
    array *= 3
    np.testing.assert_allclose(predicted(model, x), x @ array, rtol=1e-4, atol=1e-4)
    assert not held(model)


def test_a_pass_that_changes_its_own_weights_reads_them():
    class Growing(nn.Module):
        def build(self, shape):
            self.w = self.add_weight("w", (shape[-1], 200), "ones", trainable=False)

        def forward(self, x):
            ops.copy(self.w + 1.0, out=self.w)
            return ops.matmul(x, self.w)

    model = nn.Sequential([nn.Input((150,)), Growing()])
    x = np.ones((2, 150), np.float32)
    found = [float(model.predict(x)[0, 0]) for _ in range(5)]
    assert found == [found[0] + 150 * k for k in range(5)]
