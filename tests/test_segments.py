"""Batches in segments: the numbers of the whole batch, added up in one fixed order."""

import itertools
import threading
import types

import numpy as np
import pytest

import pynn
from pynn import nn, optim
from pynn.core.gradients import gradients
from pynn.errors import DataError, NonFiniteError, ShapeError
from pynn.ops import segments as cards
from pynn.ops import steps
from pynn.train import Callback, ModelCheckpoint
from pynn.train.segments import Segments, bounds

R = np.random.default_rng(5)
X, Y = R.standard_normal((53, 6)).astype("float32"), R.integers(0, 3, 53)
IMAGES = R.standard_normal((21, 8, 8, 2)).astype("float32")
WORDS = R.integers(1, 30, (21, 7))
FEW = R.integers(0, 3, 21)


def compiled(layers, **settings):
    model = nn.Sequential(layers)
    model.compile(**{"optimizer": optim.Adam(0.01), "loss": "cross_entropy", "seed": 3, **settings})
    return model


def mlp(**settings):
    return compiled([nn.Input((6,)), nn.Dense(9, activation="tanh"), nn.Dense(3)], **settings)


def dropping(**settings):
    layers = [nn.Input((6,)), nn.Dense(9, activation="relu", kernel_regularizer="l2")]
    return compiled([*layers, nn.BatchNormalization(), nn.Dropout(0.3), nn.Dense(3)], **settings)


def cnn(**settings):
    layers = [nn.Input((8, 8, 2)), nn.Conv2D(4, 3, activation="relu"), nn.BatchNormalization(), nn.MaxPool2D(2)]
    return compiled([*layers, nn.Flatten(), nn.Dense(3)], **settings)


def lstm(**settings):
    return compiled([nn.Input((7,)), nn.Embedding(30, 5), nn.LSTM(6), nn.Dense(3)], **settings)


def ghost(**settings):
    layers = [nn.Input((6,)), nn.Dense(9), nn.BatchNormalization(sync=False), nn.Dropout(0.3), nn.Dense(5)]
    return compiled([*layers, nn.BatchNormalization(), nn.Dropout(0.3), nn.Dense(3)], **settings)


MODELS = {
    "ghost": (ghost, X, Y),
    "mlp": (mlp, X, Y),
    "dropping": (dropping, X, Y),
    "cnn": (cnn, IMAGES, FEW),
    "lstm": (lstm, WORDS, FEW),
}


def trained(make, x, y, accumulate, threads=1, epochs=2, batch=8, **fit):
    pynn.set_num_threads(threads)
    settings = {"metrics": ["accuracy"], **fit.pop("compile", {})}
    model = make(**settings)
    history = model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0, accumulate=accumulate, **fit)
    return [w.copy() for w in model.get_weights()], history.history


def same(a, b):
    return all(np.array_equal(v, w) for v, w in zip(a, b, strict=True))


@pytest.mark.parametrize("accumulate", [3, 8])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore:.*one value per channel")
def test_the_same_bits_eagerly_and_for_any_number_of_threads(name, accumulate):
    """Tails of 5 rows, batches smaller than the number of segments, and segments of one row are among them."""
    weights, history = trained(*MODELS[name], accumulate)
    for more in ({"threads": 3}, {"run_eagerly": True}):
        again, logs = trained(*MODELS[name], accumulate, **more)
        assert same(weights, again)
        assert history == logs
    other, _ = trained(*MODELS[name], accumulate + 1)
    assert not same(weights, other)


@pytest.mark.parametrize("fit", [{}, {"sample_weight": np.abs(R.standard_normal(53)) + 0.1}])
@pytest.mark.parametrize("settings", [{}, {"optimizer": optim.SGD(0.1, momentum=0.9, clip_norm=0.5)}])
@pytest.mark.parametrize("accumulate", [2, 5, 16])
def test_the_numbers_of_the_whole_batch_but_for_rounding(accumulate, settings, fit):
    settings = {"metrics": ["accuracy", "auc"], **settings}
    weights, history = trained(mlp, X, Y, accumulate, compile=settings, **fit)
    whole, expected = trained(mlp, X, Y, None, compile=settings, **fit)
    for a, b in zip(weights, whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)
    for key, values in expected.items():
        np.testing.assert_allclose(history[key], values, rtol=1e-4)


def test_one_segment_is_the_whole_batch():
    weights, history = trained(dropping, X, Y, None)
    again, logs = trained(dropping, X, Y, 1)
    assert same(weights, again)
    assert history == logs


@pytest.mark.parametrize(("rows", "accumulate"), [(8, 4), (7, 3), (8, 8), (6, 6), (3, 5)])
def test_gradients_are_joined_as_neighbours_are(rows, accumulate):
    """The sum is that of one gradient per segment, each scaled by its share, in the order of in_order()."""
    model = mlp(optimizer=optim.SGD(1.0))
    before = [w.copy() for w in model.get_weights()]
    at, found = bounds(rows, accumulate), []
    for first, end in itertools.pairwise(at):
        if first == end:
            found.append(None)
            continue
        loss = pynn.losses.CrossEntropy()(model(X[first:end]), Y[first:end].astype("int32"))
        scale = pynn.tensor(np.float32((end - first) / rows))
        got = gradients(loss, scale, model.parameters())
        found.append(np.concatenate([got[id(p)][1].numpy().ravel() for p in model.parameters()]))
    expected = np.concatenate([w.ravel() for w in before]) - cards.in_order(found)
    model.fit(X[:rows], Y[:rows], batch_size=rows, shuffle=False, verbose=0, accumulate=accumulate)
    assert np.array_equal(np.concatenate([w.ravel() for w in model.get_weights()]), expected)


@pytest.mark.parametrize("accumulate", [2, 5, 16])
@pytest.mark.parametrize("make", ["mixed", "cnn"])
@pytest.mark.filterwarnings("ignore:.*one value per channel")
def test_batches_are_normalized_as_a_whole(make, accumulate):
    """The weights and running statistics, beginning with those of the first update, are as without segments."""

    def mixed(**settings):  # two of them, the second behind another; a third that is not trained
        layers = [nn.Input((6,)), nn.Dense(9, activation="relu"), nn.BatchNormalization(momentum=0.9)]
        layers += [nn.Dense(7), nn.BatchNormalization(scale=False), nn.BatchNormalization(center=False), nn.Dense(3)]
        layers[-2].trainable = False
        return compiled(layers, optimizer=optim.SGD(0.05), **settings)

    x, y = (X[:16], Y[:16]) if make == "mixed" else (IMAGES, FEW)
    make = mixed if make == "mixed" else lambda **s: cnn(optimizer=optim.SGD(0.05), **s)
    weights, _ = trained(make, x, y, accumulate)
    whole, _ = trained(make, x, y, None)
    for a, b in zip(weights, whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)


def test_statistics_of_values_far_from_zero_do_not_cancel():
    model = compiled([nn.Input((6,)), nn.BatchNormalization(momentum=0.0), nn.Dense(3)], optimizer=optim.SGD(0.0))
    x = X[:40] + np.float32(3000)
    model.fit(x, Y[:40], batch_size=40, verbose=0, accumulate=8)
    layer = next(m for m in model.modules() if isinstance(m, nn.BatchNormalization))
    np.testing.assert_allclose(layer.moving_variance.numpy(), x.astype(float).var(0), rtol=1e-4)


def test_other_states_beside_shared_statistics_are_means_of_the_segments():
    def both(second):
        layers = [nn.Input((6,)), nn.BatchNormalization(momentum=0.9, sync=second), nn.Dense(5)]
        return compiled([*layers, nn.BatchNormalization(), nn.Dense(3)], optimizer=optim.SGD(0.0))

    found = []
    for second in (True, False):
        model = both(second)
        model.fit(X[:8], Y[:8], batch_size=8, shuffle=False, verbose=0, accumulate=2)
        found.append(model.modules())
    shared, own = (next(m for m in modules if isinstance(m, nn.BatchNormalization)) for modules in found)
    np.testing.assert_allclose(shared.moving_variance.numpy(), 0.9 + 0.1 * X[:8].var(0), rtol=1e-5)
    halves = [X[:4], X[4:8]]
    np.testing.assert_allclose(
        own.moving_variance.numpy(), 0.9 + 0.1 * np.mean([h.var(0) for h in halves], 0), rtol=1e-5
    )
    np.testing.assert_allclose(own.moving_mean.numpy(), 0.1 * X[:8].mean(0), rtol=1e-4, atol=1e-7)


def test_segments_that_normalize_in_other_places_are_refused():
    class Sometimes(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNormalization()

        def forward(self, x):
            return self.norm(x) if x.shape[0] == 2 else x

    model = compiled([nn.Input((6,)), nn.Dense(4), Sometimes(), nn.Dense(3)])
    with pytest.raises(ShapeError, match=r"other places in one segment.*sync=False"):
        model.fit(X[:5], Y[:5], batch_size=5, verbose=0, accumulate=3)


def test_an_error_in_one_segment_beside_others_is_told():
    class Fails(nn.Module):
        def forward(self, x):
            if pynn.core.state.state.rows == (4, 8, 8):
                raise KeyError("of one segment")
            return x

    model = compiled([nn.Input((6,)), nn.BatchNormalization(), Fails(), nn.Dense(3)])
    with pytest.raises(KeyError, match="of one segment"):
        model.fit(X[:8], Y[:8], batch_size=8, verbose=0, accumulate=2)
    assert threading.active_count() < 20
    assert not [t for t in threading.enumerate() if "_run" in str(t)]


def test_running_statistics_are_the_mean_of_the_segments():
    model = compiled([nn.Input((6,)), nn.BatchNormalization(momentum=0.9, sync=False), nn.Dense(3)])
    model.fit(X[:8], Y[:8], batch_size=8, shuffle=False, verbose=0, accumulate=2)
    layer = next(m for m in model.modules() if isinstance(m, nn.BatchNormalization))
    mean, var = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    halves = [X[:4], X[4:8]]
    np.testing.assert_allclose(mean, 0.1 * np.mean([h.mean(0) for h in halves], 0), rtol=1e-4, atol=1e-6)
    assert np.isfinite(var).all()
    assert not np.allclose(var, 0.9 + 0.1 * X[:8].var(0, ddof=1), rtol=1e-4)


@pytest.mark.parametrize("layer", [nn.SimpleRNN, nn.LSTM, nn.GRU])
def test_stateful_layers_keep_the_states_of_their_rows(layer):
    x = R.standard_normal((32, 5, 2)).astype("float32")
    found = []
    for accumulate in (None, 1, 2, 3):
        model = compiled([nn.Input((5, 2)), layer(4, stateful=True), nn.Dense(3)], optimizer=optim.SGD(0.01))
        model.fit(x, np.arange(32) % 3, batch_size=8, epochs=2, verbose=0, shuffle=False, accumulate=accumulate)
        kept = [t.numpy() for m in model.modules() for t in getattr(m, "_kept", None) or ()]
        assert kept[0].shape == (8, 4)
        found.append([*model.get_weights(), *kept])
    assert same(found[0], found[1])
    for other in found[2:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def words(sparse=False, large=True, **settings):
    size = (4000, 5) if large else (30, 5)
    return compiled([nn.Input((7,)), nn.Embedding(*size, sparse=sparse), nn.LSTM(6), nn.Dense(3)], **settings)


@pytest.mark.parametrize("optimizer", [optim.Adam(0.01), optim.SGD(0.1, momentum=0.9, clip_norm=0.1)])
@pytest.mark.parametrize("accumulate", [2, 3, 8])
def test_tables_are_added_up_by_row(accumulate, optimizer, monkeypatch):
    """The rows that were looked up alone are added, to the bits of the whole tables."""
    found = []
    for few in (1 << 16, 1 << 30):
        monkeypatch.setattr("pynn.train.sums.FEW", few)
        for eagerly in (False, True):
            weights, _ = trained(words, WORDS, FEW, accumulate, compile={"optimizer": optimizer}, run_eagerly=eagerly)
            found.append(weights)
    assert all(same(found[0], other) for other in found[1:])


@pytest.mark.parametrize("accumulate", [2, 8])
def test_sparse_tables_in_segments_leave_other_rows_alone(accumulate):
    found = []
    for count in (None, accumulate):
        model = words(sparse=True, large=False, optimizer=optim.SGD(0.1, weight_decay=0.1))
        model.fit(WORDS % 9 + 1, FEW, batch_size=8, epochs=2, verbose=0, accumulate=count)
        found.append(model.get_weights())
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)
    fresh = words(sparse=True, large=False).get_weights()[0]
    assert np.array_equal(fresh[10:], found[1][0][10:])
    assert not np.array_equal(fresh[1:10], found[1][0][1:10])


def test_segments_draw_other_numbers():
    seen = []

    class Noise(nn.Module):
        def forward(self, x):
            return x + pynn.random.normal(x.shape)

    class Watch(nn.Module):
        def forward(self, x):
            seen.append(x.detach().view().copy())
            return x

    model = compiled([nn.Input((6,)), Noise(), Watch(), nn.Dense(3)])
    seen.clear()
    model.fit(np.zeros((8, 6), "float32"), Y[:8], batch_size=8, verbose=0, accumulate=2, run_eagerly=True)
    first, second = seen[-2:]
    assert first.shape == second.shape == (4, 6)
    assert not (first == second).any()


class Stop(Callback):
    def __init__(self, step):
        self.step = step

    def on_safe_point(self, point):
        if point.step >= self.step:
            raise KeyError("stopped")


@pytest.mark.filterwarnings("ignore:.*one value per channel")
def test_a_checkpoint_goes_on_to_the_same_bits_with_as_many_segments_alone(tmp_path):
    def run(folder, model, *more, accumulate=4, **fit):
        saver = ModelCheckpoint(folder, every_batches=2)
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[saver, *more], accumulate=accumulate, **fit)

    whole, resumed = dropping(), dropping()
    run(tmp_path / "whole", whole)
    with pytest.raises(KeyError):
        run(tmp_path / "cut", dropping(), Stop(3))
    run(tmp_path / "cut", resumed, resume=tmp_path / "cut")
    assert same(whole.get_weights(), resumed.get_weights())
    with pytest.raises(DataError, match="segments"):
        run(tmp_path / "cut", dropping(), accumulate=2, resume=tmp_path / "cut")


def test_a_loss_that_is_not_finite_names_segment_and_layer():
    x = X.copy()
    x[13] = 3e38
    model = compiled([nn.Input((6,)), nn.Dense(3)], optimizer=optim.SGD(0.0))
    held = [w.copy() for w in model.get_weights()]
    with pytest.raises(NonFiniteError, match=r"batch 1, segment 2: .*(layer|the loss)"):
        model.fit(x, Y, batch_size=8, verbose=0, shuffle=False, accumulate=4)
    assert same(held, model.get_weights())


def test_what_segments_cannot_do_is_refused():
    with pytest.raises(ValueError, match=r"accumulate.*0"):
        mlp().fit(X, Y, accumulate=0)
    with pytest.raises(ValueError, match="3 processes can share equally"):
        Segments(8, types.SimpleNamespace(ranks=3, rank=0))


def test_a_state_that_cannot_be_averaged_is_refused():
    class Counting(nn.Module):
        def __init__(self, dtype):
            super().__init__()
            self.add_weight("seen", (1,), "zeros", trainable=False)
            self._weights["seen"] = pynn.core.tensor.Tensor.state(np.zeros(1, dtype))

        def forward(self, x):
            steps.assign(self.seen + 1, self.seen)
            return x

    def seen(dtype, **settings):
        layer = Counting(dtype)
        model = compiled([nn.Input((6,)), nn.Dense(4), layer, nn.Dense(3)])
        model.fit(X[:8], Y[:8], batch_size=4, verbose=0, **settings)
        return layer.seen.numpy().tolist()

    assert seen("float32", accumulate=2) == seen("float32") == seen("int64")
    with pytest.raises(ShapeError, match=r"a state of int64 cannot be averaged over the segments.*without accumulate"):
        seen("int64", accumulate=2)


def test_every_row_is_in_one_segment():
    for n in (1, 5, 8, 13):
        for count in (1, 3, 8):
            at = bounds(n, count)
            assert at[0] == 0
            assert at[-1] == n
            sizes = np.diff(at)
            assert sizes.max() - sizes.min() <= 1


def deep(**settings):
    layers = [nn.Input((6,)), nn.Dense(24, activation="relu"), nn.Dropout(0.2), nn.Dense(33, use_bias=False)]
    layers += [nn.Dense(17, activation="relu", kernel_regularizer="l2"), nn.Dense(2, activation="tanh"), nn.Dense(3)]
    return compiled(layers, **settings)


def deep_shared(**settings):
    """A layer that is used twice, one on every step of sequences, and batch normalization between."""
    again = nn.Dense(6, activation="relu")
    layers = [nn.Input((6,)), again, again, nn.BatchNormalization(), nn.Reshape((3, 2)), nn.Dense(5), nn.Flatten()]
    return compiled([*layers, nn.Dense(3)], **settings)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("accumulate", [2, 3, 4, 8])
@pytest.mark.parametrize("make", [deep, deep_shared])
def test_products_of_all_rows_give_the_bits_of_each_segment_s_own(make, accumulate, dtype, monkeypatch):
    found, calls = [], []
    execute = cards.execute

    def noted(card, *more, **options):
        calls.append(card.name)
        return execute(card, *more, **options)

    monkeypatch.setattr("pynn.ops.dense_shared.execute", noted)

    def made(**settings):
        model = make(**settings)
        return model.astype(dtype)

    for least in (1 << 40, 0):
        monkeypatch.setattr("pynn.train.segments.LARGE", least)
        monkeypatch.setattr("pynn.train.segments.MEMORY", 1000)
        for more in ({}, {"run_eagerly": True}, {"threads": 2}):
            settings = {"optimizer": optim.Adam(0.01, clip_norm=1.0)}
            weights, history = trained(made, X[:50], Y[:50], accumulate, batch=20, compile=settings, **more)
            found.append([*weights, np.array(history["loss"])])
    assert all(same(found[0], other) for other in found[1:])
    vectors = pynn.core.config.ISA_NAMES[pynn.core.config.isa()] != "generic"
    assert ("dense_joined" in calls) == (accumulate != 3 and vectors)
