"""Random numbers in layers of one's own: counter-based, recorded, others in every step; foreign ones are refused."""

import random
import threading

import numpy as np
import pytest

import pynn
from pynn import nn, ops
from pynn.errors import CaptureError

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 2, 40)


class Noise(nn.Module):
    def __init__(self, draw):
        super().__init__()
        self._draw = draw

    def forward(self, x):
        return x + self._draw(x.shape)


DRAWS = {
    "normal": lambda shape: pynn.random.normal(shape),
    "uniform": lambda shape: pynn.random.uniform(shape, -1.0, 1.0),
    "bernoulli": lambda shape: pynn.random.bernoulli(shape, 0.3),
    "integers": lambda shape: pynn.random.integers(shape, -3, 4).astype("float32"),
}


def net(draw, **options):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(8), Noise(draw), nn.Dense(2)], seed=0)
    model.compile("sgd", "cross_entropy", seed=3, **options)
    return model


@pytest.mark.parametrize("draw", DRAWS.values(), ids=list(DRAWS))
def test_draws_train_the_same_eagerly_and_recorded(draw):
    found = []
    for eagerly in (False, True):
        model = net(draw, run_eagerly=eagerly)
        model.fit(X, Y, batch_size=8, epochs=3, verbose=0)
        found.append([w.tobytes() for w in model.get_weights()])
    assert found[0] == found[1]


class Seen(nn.Module):
    """Adds numbers that the output shows."""

    def forward(self, x):
        return x * 0.0 + pynn.random.normal(x.shape)


def test_every_step_and_every_draw_has_its_own_numbers():
    class Two(nn.Module):
        def forward(self, x):
            return ops.concat([pynn.random.normal(x.shape), pynn.random.normal(x.shape)], axis=1)

    layer, x = Two(), np.zeros((4, 5), np.float32)
    seen = [layer(x, training=True).numpy() for _ in range(3)] + [layer(x).numpy() for _ in range(3)]
    halves = [half for y in seen for half in (y[:, :5], y[:, 5:])]
    assert len({half.tobytes() for half in halves}) == len(halves)


def test_predict_draws_anew_and_a_seed_brings_it_back():
    model = nn.Sequential([nn.Input((3,)), Seen()])
    for rows in (4, 40, 600):
        x = np.zeros((rows, 3), np.float32)
        pynn.random.seed(5)
        a, b = model.predict(x), model.predict(x)
        assert (a != b).all()
        pynn.random.seed(5)
        assert (model.predict(x) == a).all()
        assert (model.predict(x) == b).all()
        assert len(np.unique(a)) == a.size  # also from pass to pass
    with pytest.raises(RuntimeError, match="help: call predict"):
        model.predict_fn()(x)


def test_eager_predictions_draw_the_same():
    found = []
    for eagerly in (False, True):
        model = net(DRAWS["normal"], run_eagerly=eagerly)
        pynn.random.seed(1)
        found.append((model.predict(X).tobytes(), model.predict(X[:5]).tobytes(), model.evaluate(X, Y)["loss"]))
    assert found[0] == found[1]


def test_distributions():
    pynn.random.seed(0)
    n = pynn.random.normal((20000,), 2.0, 3.0).numpy()
    assert n.mean() == pytest.approx(2.0, abs=0.1)
    assert n.std() == pytest.approx(3.0, abs=0.1)
    u = pynn.random.uniform((20000,), -1.0, 3.0, dtype="float64").numpy()
    assert u.dtype == np.float64
    assert (u.min() >= -1, u.max() < 3) == (True, True)
    assert u.mean() == pytest.approx(1.0, abs=0.05)
    assert pynn.random.bernoulli((20000,), 0.2).numpy().mean() == pytest.approx(0.2, abs=0.02)
    each = pynn.random.bernoulli((2, 5000), pynn.tensor([[0.0], [1.0]])).numpy()
    assert each.mean(1).tolist() == [0.0, 1.0]
    assert pynn.random.bernoulli((3,), 1.0, "bool").numpy().tolist() == [True] * 3
    counts = np.bincount(pynn.random.integers((60000,), 0, 6).numpy(), minlength=6)
    assert counts.min() > 9500
    assert pynn.random.integers((3,), -5, -4, "int64").numpy().tolist() == [-5] * 3
    top = pynn.random.integers((200000,), 0, 2**24 - 1).numpy()
    assert (top.min() >= 0, top.max() < 2**24 - 1) == (True, True)


@pytest.mark.parametrize(("call", "match"), [
    (lambda: pynn.random.bernoulli((2,), 1.5), r"p in \[0, 1\]. Received: p=1.5"),
    (lambda: pynn.random.integers((2,), 3, 3), "high - low"),
    (lambda: pynn.random.integers((2,), 0, 2**25), "high - low"),
    (lambda: pynn.random.seed(-1), "seed"),
    (lambda: pynn.random.normal((2,), std=-1.0), "std >= 0"),
])  # fmt: skip
def test_bad_settings_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


GLOBAL = np.random.default_rng(0)


class OfNumpy(nn.Module):
    def forward(self, x):
        return x + np.random.normal(size=x.shape).astype(np.float32)


class OfAttribute(nn.Module):
    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(0)

    def forward(self, x):
        return x * float(self.rng.random())


class OfList(nn.Module):
    def __init__(self):
        super().__init__()
        self._rngs = [np.random.RandomState(0)]

    def forward(self, x):
        return x * float(self._rngs[0].rand())


class OfModule(nn.Module):
    def forward(self, x):
        return x * float(GLOBAL.random())


class OfPython(nn.Module):
    def forward(self, x):
        return x * random.random()


class Held:
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def draw(self):
        return self.rng.normal()


def of_module():
    return GLOBAL.normal()


class OfHelpers(nn.Module):
    def __init__(self):
        super().__init__()
        self.by_name = {"rng": np.random.default_rng(0)}
        self.held = Held()

    def own(self):
        return self.by_name["rng"].normal()


class OfFunction(OfHelpers):
    def forward(self, x):
        return x * of_module()


class OfMethod(OfHelpers):
    def forward(self, x):
        return x * self.own()


class OfObject(OfHelpers):
    def forward(self, x):
        return x * self.held.draw()


class MadeAnew(nn.Module):
    def forward(self, x):
        return x * np.random.default_rng().normal()


class Spawned(nn.Module):
    def forward(self, x):
        return x * GLOBAL.spawn(1)[0].normal()


@pytest.mark.parametrize("layer", [
    OfNumpy, OfAttribute, OfList, OfModule, OfPython, OfFunction, OfMethod, OfObject, MadeAnew, Spawned
])  # fmt: skip
def test_foreign_numbers_are_refused_where_they_would_be_frozen(layer):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(4), nn.BatchNormalization(), layer(), nn.Dense(2)], seed=0)
    model.compile("sgd", "cross_entropy")
    model.build((1, 3))
    before = [w.tobytes() for w in model.get_weights()]
    for call in (lambda: model.fit(X, Y, verbose=0), lambda: model.predict(X), lambda: model.predict(X[:2])):
        with pytest.raises(CaptureError, match=r"repeat them.*help: use pynn.random.normal"):
            call()
    assert [w.tobytes() for w in model.get_weights()] == before
    model.fit(X, Y, run_eagerly=True, verbose=0)
    model(X)


@pytest.mark.parametrize("draws", [0, 1])
def test_the_second_normal_number_of_a_pair_is_seen(draws):
    class OneNormal(nn.Module):
        def forward(self, x):
            return x * np.random.normal()

    model = OneNormal()
    np.random.seed(0)
    model(X)
    for _ in range(draws):
        np.random.normal()  # NumPy's old generators draw them in pairs, and hold the second
    with pytest.raises(CaptureError, match=r"numpy\.random was asked"):
        model.predict(X)


@pytest.mark.parametrize("module", ["numpy", "python"])
def test_another_thread_may_ask_the_generators_that_all_share(module, monkeypatch):
    """Dask's threads draw from Python's: a network of pynn's own layers asks neither."""
    forward = nn.Dense.forward

    def meanwhile(self, x):
        thread = threading.Thread(target=np.random.normal if module == "numpy" else random.random)
        thread.start()
        thread.join()
        return forward(self, x)

    meanwhile.__module__ = "pynn.nn.dense"
    monkeypatch.setattr(nn.Dense, "forward", meanwhile)
    model = nn.Sequential([nn.Dense(3), nn.Dense(1)])
    model.compile("sgd", "mse", seed=0)
    model.fit(np.ones((8, 2), np.float32), np.ones((8, 1), np.float32), epochs=2, verbose=0)
    assert model.predict(np.ones((8, 2), np.float32)).shape == (8, 1)


def test_a_seeded_generator_made_anew_gives_the_same_each_time():
    class Seeded(nn.Module):
        def forward(self, x):
            return x * np.random.default_rng(3).normal()

    model = Seeded()
    assert np.array_equal(model(X).numpy(), model.predict(X))


def closed_over(rng):
    def loss(y_pred, y_true):
        return pynn.losses.MSE().each(y_pred, y_true) * float(rng.random())

    return loss


class NoisyLoss(pynn.losses.MSE):
    name = "noisy"

    def __init__(self, function):
        self._function = function

    def each(self, y_pred, y_true):
        return self._function(y_pred, y_true)


@pytest.mark.parametrize("function", [
    lambda y_pred, y_true: pynn.losses.MSE().each(y_pred, y_true) * np.random.rand(),
    lambda y_pred, y_true: pynn.losses.MSE().each(y_pred, y_true) * float(GLOBAL.random()),
    closed_over(np.random.default_rng(0)),
])  # fmt: skip
def test_losses_are_watched_too(function):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(1)], seed=0)
    model.compile("sgd", NoisyLoss(function))
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises(CaptureError, match=r"repeat them.*help: use pynn.random.normal"):
        model.fit(X, Y, verbose=0)
    assert [w.tobytes() for w in model.get_weights()] == before


def test_a_loss_may_draw():
    weights = []
    for eagerly in (False, True):
        model = nn.Sequential([nn.Input((3,)), nn.Dense(1)], seed=0)
        draw = NoisyLoss(lambda p, t: pynn.losses.MSE().each(p, t) * pynn.random.uniform((len(p),)))
        model.compile("sgd", draw, run_eagerly=eagerly)
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
        weights.append([w.tobytes() for w in model.get_weights()])
    assert weights[0] == weights[1]


def test_generators_that_rest_are_no_matter():
    layer = OfAttribute()
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2)], seed=0)
    model.held = [layer.rng, np.random.default_rng(1)]
    model.compile("sgd", "cross_entropy")
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"]).all()


@pytest.mark.parametrize(("low", "high"), [(-2.0, 5.0), (0.0, 1.0), (3.0, 3.5), (-1.0, -0.25)])
def test_uniform_numbers_fill_their_range(low, high):
    values = pynn.random.uniform((4096,), low, high).numpy()
    width = high - low
    assert low <= values.min() < low + 0.01 * width
    assert high - 0.01 * width < values.max() < high
    assert abs(values.mean() - (low + high) / 2) < 0.03 * width


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_numbers_have_the_dtype_that_is_asked_for(dtype):
    for draw in (pynn.random.normal, pynn.random.uniform, pynn.random.bernoulli):
        assert draw((3,)).dtype == np.float32
        assert draw((3,), dtype=dtype).dtype == dtype
    for whole in ("int32", "int64"):
        assert pynn.random.integers((3,), 0, 5, dtype=whole).dtype == whole
    assert pynn.random.integers((3,), 0, 5).dtype == np.int32
