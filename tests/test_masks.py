"""Masks: padding in front and in between, which recurrent layers pass over and means leave out."""

import warnings

import numpy as np
import pytest
from test_export_modules import TARGETS, assert_same

import pynn
from pynn import nn, ops, optim
from pynn.core.tensor import Tensor
from pynn.errors import DataError, DTypeError, ShapeError

N, T, D = 4, 6, 3
MASK = np.array([[0, 0, 1, 1, 1, 1], [1, 0, 1, 0, 0, 1], [1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]], "int32")


def sequences(rng, d=D):
    """Sequences with rubbish where the mask is 0, and the real steps of each alone."""
    x = rng.normal(size=(N, T, d)).astype("float32")
    x[MASK == 0] += 50
    return x, [x[n : n + 1][:, MASK[n] == 1].copy() for n in range(N)]


RECURRENT = {
    "simple": nn.SimpleRNN,
    "lstm": nn.LSTM,
    "peephole": lambda *a, **k: nn.LSTM(*a, peephole=True, **k),
    "gru": nn.GRU,
    "gru before": lambda *a, **k: nn.GRU(*a, reset_after=False, **k),
    "norm": nn.LayerNormLSTM,
}


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_layers_run_through_the_real_steps_alone(kind, backwards, rng):
    x, rows = sequences(rng)
    layer = RECURRENT[kind](5, return_sequences=True, return_state=True, go_backwards=backwards)
    y, h, *_ = layer(ops.with_lengths(x, MASK))
    assert np.array_equal(y.lengths.numpy(), MASK[:, ::-1] if backwards else MASK)
    for n, row in enumerate(rows):
        alone, state, *_ = layer(row)
        real = y.lengths.numpy()[n] == 1
        np.testing.assert_allclose(y.numpy()[n, real], alone.numpy()[0], rtol=1e-5, atol=1e-6)
        assert not y.numpy()[n, ~real].any()
        np.testing.assert_allclose(h.numpy()[n], state.numpy()[0], rtol=1e-5, atol=1e-6)


def test_bidirectional_and_jordan_with_masks(rng):
    x, rows = sequences(rng)
    for layer in (nn.Bidirectional(nn.GRU(4, return_sequences=True)), nn.JordanRNN(4, 2)):
        y = layer(ops.with_lengths(x, MASK))
        for n, row in enumerate(rows):
            found = y.numpy()[n, MASK[n] == 1]
            np.testing.assert_allclose(found, layer(row).numpy()[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", RECURRENT)
def test_gradients_are_those_of_the_real_steps(kind, rng):
    x, rows = sequences(rng)
    layer = RECURRENT[kind](3, return_sequences=True)
    t = pynn.tensor(x, requires_grad=True)
    layer(ops.with_lengths(t, MASK)).square().sum().backward()
    assert not t.grad.numpy()[MASK == 0].any()
    whole = {name: w.grad.numpy() for name, w in layer.named_parameters()}
    sums = {name: 0 for name in whole}
    for n, row in enumerate(rows):
        s = pynn.tensor(row, requires_grad=True)
        layer(s).square().sum().backward()
        np.testing.assert_allclose(t.grad.numpy()[n, MASK[n] == 1], s.grad.numpy()[0], rtol=1e-4, atol=1e-5)
        sums = {name: total + dict(layer.named_parameters())[name].grad.numpy() for name, total in sums.items()}
    for name, value in whole.items():
        np.testing.assert_allclose(value, sums[name], rtol=1e-3, atol=1e-4)


def test_a_mask_is_an_argument_too(rng):
    x, _ = sequences(rng)
    layer = nn.LSTM(4)
    expected = layer(ops.with_lengths(x, MASK)).numpy()
    assert np.array_equal(layer(x, mask=MASK).numpy(), expected)
    assert np.array_equal(layer(x, mask=MASK.astype(bool)).numpy(), expected)
    assert np.array_equal(layer(x, mask=Tensor.state(MASK)).numpy(), expected)
    w = {name: t for name, t in layer.named_parameters()}
    assert np.array_equal(ops.lstm(x, w["w"], w["u"], w["b"], lengths=MASK)[1].numpy(), expected)
    with pytest.raises(ShapeError, match=r"mask of shape \(4, 6\)"):
        layer(x, mask=MASK[:, :4])
    with pytest.raises(DataError, match=r"mask\[1\] is false everywhere"):
        layer(x, mask=MASK * np.array([[1], [0], [1], [1]]))


def test_masks_at_the_end_are_lengths(rng):
    x, _ = sequences(rng)
    ends = np.arange(T) < np.array([[3], [6], [1], [2]])
    for make in RECURRENT.values():
        layer = make(4, return_sequences=True)
        a = layer(ops.with_lengths(x, ends.astype("int32"))).numpy()
        b = layer(ops.with_lengths(x, ends.sum(1))).numpy()
        assert a.tobytes() == b.tobytes()


def test_reductions_and_softmax_take_real_steps(rng):
    x, rows = sequences(rng)
    t = ops.with_lengths(x, MASK)
    for name, function in (
        ("mean", lambda a: ops.mean(a, axis=1)),
        ("sum", lambda a: ops.sum(a, axis=1)),
        ("max", lambda a: ops.max(a, axis=1)),
        ("min", lambda a: ops.min(a, axis=1)),
        ("var", lambda a: ops.var(a, axis=1)),
        ("global average", nn.GlobalAvgPool()),
        ("global maximum", nn.GlobalMaxPool()),
    ):
        found = function(t)
        assert found.lengths is None, name
        for n, row in enumerate(rows):
            np.testing.assert_allclose(found.numpy()[n], function(row).numpy()[0], rtol=1e-4, atol=1e-5, err_msg=name)
    weights = ops.softmax(t, axis=1).numpy()
    np.testing.assert_allclose(weights.sum(1), np.ones((N, D)), rtol=1e-5)
    assert not weights[MASK == 0].any()
    empty = ops.with_lengths(x, MASK * 0)
    assert not nn.GlobalMaxPool()(empty).numpy().any()
    assert not nn.GlobalAvgPool()(empty).numpy().any()
    both = ops.mean(t, axis=(0, 1)).numpy()
    np.testing.assert_allclose(both, x[MASK == 1].mean(0), rtol=1e-5)


def test_batch_statistics_are_of_real_steps(rng):
    x, _ = sequences(rng)
    one, two = nn.BatchNormalization(), nn.BatchNormalization()
    y = one(ops.with_lengths(x, MASK), training=True).numpy()[MASK == 1]
    np.testing.assert_allclose(y, two(x[MASK == 1], training=True).numpy(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(one.moving_mean.numpy(), two.moving_mean.numpy(), rtol=1e-4, atol=1e-6)


def test_how_masks_travel(rng):
    x, _ = sequences(rng)
    t = ops.with_lengths(x, MASK)
    for y in (ops.relu(t), t * 2.0, nn.Dense(2)(t), ops.reshape(t, (N, T, D, 1)), nn.LayerNormalization()(t)):
        assert np.array_equal(y.lengths.numpy(), MASK)
    both = t + ops.with_lengths(x, [6, 2, 3, 6])
    ends = (np.arange(T) < np.array([[6], [2], [3], [6]])).astype("int32")
    assert np.array_equal(both.lengths.numpy(), MASK & ends)
    assert np.array_equal(t[:, 1:4].lengths.numpy(), MASK[:, 1:4])
    assert np.array_equal(t[:, ::-1].lengths.numpy(), MASK[:, ::-1])
    assert np.array_equal(t[1:3].lengths.numpy(), MASK[1:3])
    assert np.array_equal(ops.concat([t, x], axis=1).lengths.numpy(), np.c_[MASK, np.ones_like(MASK)])
    assert np.array_equal(ops.concat([x, t], axis=0).lengths.numpy(), np.r_[np.ones_like(MASK), MASK])
    assert np.array_equal(ops.concat([t, t], axis=2).lengths.numpy(), MASK)
    assert np.array_equal(ops.gather(t, [2, 0]).lengths.numpy(), MASK[[2, 0]])
    assert np.array_equal(nn.TimeDistributed(nn.Dense(2))(t).lengths.numpy(), MASK)
    with pytest.warns(UserWarning, match="mixes or moves the time steps"):
        nn.Flatten()(t)
    with pytest.raises(ShapeError, match=r"mask of shape \(4, 6\)"):
        ops.with_lengths(x, MASK.T)


def test_windows_see_zeros_in_place_of_padding(rng):
    x, _ = sequences(rng)
    layer = nn.Conv1D(2, 3, padding="same")
    y = layer(ops.with_lengths(x, MASK))
    assert np.array_equal(y.lengths.numpy(), MASK)
    clean = np.where(MASK[..., None] == 1, x, 0)
    np.testing.assert_allclose(y.numpy()[MASK == 1], layer(clean).numpy()[MASK == 1], rtol=1e-5, atol=1e-5)
    pooled = nn.MaxPool1D(2, 1, padding="same")(ops.with_lengths(x, MASK))
    assert pooled.numpy()[MASK == 1].max() < 40
    with pytest.warns(UserWarning, match="with strides or without padding"):
        y = nn.MaxPool1D(2)(ops.with_lengths(x, MASK))
    assert y.lengths is None


# Masking


def test_masking(rng):
    x = rng.normal(size=(3, 4, 2)).astype("float32")
    x[0, :2] = -1
    x[1, 2] = [-1, 0.5]  # one feature alone says nothing
    y = nn.Masking(-1)(x)
    expected = np.ones((3, 4), int)
    expected[0, :2] = 0
    assert np.array_equal(y.lengths.numpy(), expected)
    assert np.array_equal(y.numpy(), np.where(expected[..., None] == 1, x, 0))
    both = nn.Masking(-1)(ops.with_lengths(x, [4, 3, 1]))
    assert both.lengths.numpy().tolist() == [[0, 0, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]]
    with pytest.raises(ShapeError, match=r"\[N, T, features\]"):
        nn.Masking()(x[..., 0])
    with pytest.raises(ValueError, match="mask_value"):
        nn.Masking(np.nan)
    t = pynn.tensor(x, requires_grad=True)
    nn.Masking(-1)(t).sum().backward()
    assert np.array_equal(t.grad.numpy(), np.broadcast_to(expected[..., None], x.shape))


# Values of Keras 3.15 (PyTorch backend) for the same weights; there an output at a masked step repeats the last one.

KERAS_MASK = np.array([[0, 0, 1, 1, 1], [1, 0, 1, 0, 0], [1, 1, 1, 1, 1]])
KERAS_LAST = [[0.00296, -0.34091, -0.11431], [0.00068, -0.41869, -0.10419], [0.04183, -0.25194, -0.30872]]
KERAS_BOTH = [[0.04701, -0.16342, -0.29214], [0.01363, -0.28875, -0.2338], [0.06485, 0.14284, -0.55001]]
KERAS_STEPS = [[[0, 0, 0], [0, 0, 0], [0.05419, -0.01575, -0.20348], [0.16235, 0.04817, -0.30642], KERAS_LAST[0]],
               [[0.03741, -0.16441, -0.18554], [0, 0, 0], KERAS_LAST[1], [0, 0, 0], [0, 0, 0]]]  # fmt: skip


def keras_case():
    r = np.random.default_rng(0)
    x = r.normal(size=(3, 5, 2)).astype("float32")
    x[KERAS_MASK == 0] = 0
    weights = [r.normal(size=s).astype("float32") * 0.7 for s in ((2, 12), (3, 12), (12,))]
    dense = [r.normal(size=(3, 2)).astype("float32"), np.array([0.1, -0.2], "float32")]
    return x, weights, dense


def test_values_of_keras():
    x, weights, dense = keras_case()
    last = nn.Sequential([nn.Input((5, 2)), nn.Masking(), nn.LSTM(3)])
    last.layers[1].set_weights(weights)
    np.testing.assert_allclose(last.predict(x), KERAS_LAST, atol=2e-5)
    both = nn.Sequential([nn.Input((5, 2)), nn.Masking(), nn.Bidirectional(nn.LSTM(3))])
    both.layers[1].set_weights(weights + weights)
    np.testing.assert_allclose(both.predict(x), np.c_[KERAS_LAST, KERAS_BOTH], atol=2e-5)
    steps = nn.Sequential([nn.Input((5, 2)), nn.Masking(), nn.LSTM(3, return_sequences=True)])
    steps.layers[1].set_weights(weights)
    np.testing.assert_allclose(steps.predict(x)[:2], KERAS_STEPS, atol=2e-5)
    model = nn.Sequential([*steps._layers, nn.Dense(2, "softmax")])
    model.build((1, 5, 2))
    model.layers[2].set_weights(dense)
    model.compile(optim.SGD(1e-30), "sparse_categorical_crossentropy", metrics=["accuracy"], seed=0)
    t = np.array([[0, 1, 1, 0, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 0]])
    for found in (model.evaluate(x, t), model.evaluate(x, t, batch_size=1), model.train_on_batch(x, t)):
        assert found["loss"] == pytest.approx(0.65061, abs=2e-5)
        assert found["accuracy"] == pytest.approx(0.6)
    w = np.linspace(0.2, 2, 15).reshape(3, 5)
    weighted = model.evaluate(x, t, sample_weight=w)
    assert weighted["accuracy"] == pytest.approx(0.66628, abs=1e-5)
    assert weighted["loss"] == pytest.approx(0.78362, abs=2e-5)


# Training


def tagger(first, last=True):
    model = nn.Sequential([*first, nn.LSTM(5, return_sequences=True), nn.Dense(3, "softmax" if last else None)])
    model.compile(optim.SGD(0.1), "cross_entropy", metrics=["accuracy", pynn.metrics.TopK(k=2)], seed=2)
    return model


@pytest.mark.parametrize("eagerly", [False, True])
def test_losses_and_metrics_of_steps_are_of_real_ones(eagerly, rng):
    x = np.where(MASK[..., None] == 1, rng.normal(size=(N, T, D)), 0).astype("float32")
    tags = rng.integers(0, 3, (N, T))
    model = tagger([nn.Input((T, D)), nn.Masking()])
    model.compile(optim.SGD(1e-30), "cross_entropy", metrics=["accuracy"], seed=2, run_eagerly=eagerly)
    history = model.fit(x, tags, batch_size=N, validation_data=(x, tags), verbose=0).history
    p, real = model.predict(x), MASK == 1
    loss = -np.log(np.take_along_axis(p, tags[..., None], 2)[..., 0])[real].mean()
    right = (p.argmax(2) == tags)[real].mean()
    for prefix in ("", "val_"):
        assert history[f"{prefix}loss"][0] == pytest.approx(loss, rel=1e-5)
        assert history[f"{prefix}accuracy"][0] == pytest.approx(right)


def test_recorded_steps_are_the_eager_ones_whatever_each_batch_masks(rng):
    mask = rng.random((30, T)) < 0.6
    mask[:, 0] = True
    x = np.where(mask[..., None], rng.normal(size=(30, T, D)), 0).astype("float32")
    tags = rng.integers(0, 3, (30, T))
    one, two = tagger([nn.Input((T, D)), nn.Masking()]), tagger([nn.Input((T, D)), nn.Masking()])
    a = one.fit(x, tags, batch_size=7, epochs=3, verbose=0).history
    b = two.fit(x, tags, batch_size=7, epochs=3, verbose=0, run_eagerly=True).history
    assert a == b
    assert [w.tobytes() for w in one.get_weights()] == [w.tobytes() for w in two.get_weights()]


IDS = np.array([[0, 0, 3, 1, 2], [4, 5, 1, 2, 3], [0, 2, 2, 4, 1], [0, 0, 0, 0, 5]])
POST = np.array([[3, 1, 2, 0, 0], [4, 5, 1, 2, 3], [2, 2, 4, 1, 0], [5, 0, 0, 0, 0]])


def classifier(padding="auto"):
    layers = [nn.Embedding(6, 4, mask_zero=True, padding=padding), nn.LSTM(5), nn.Dense(3)]
    model = nn.Sequential([nn.Input((5,)), *layers])
    model.compile(optim.SGD(0.1), "cross_entropy", metrics=["accuracy"], seed=0)
    return model


def test_padding_in_front_is_that_at_the_end(tmp_path):
    y = np.array([0, 1, 2, 1])
    front, end = classifier(), classifier()
    a = front.fit(IDS, y, epochs=4, verbose=0, shuffle=False).history
    b = end.fit(POST, y, epochs=4, verbose=0, shuffle=False).history
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
    np.testing.assert_allclose(front.predict(IDS), end.predict(POST), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(front.predict(POST), front.predict(IDS), rtol=1e-5, atol=1e-6)
    assert (front.layers[0].padding, end.layers[0].padding) == ("any", "auto")
    front.save(tmp_path / "front.pynn")
    again = pynn.load(tmp_path / "front.pynn")
    assert again.layers[0].padding == "any"
    assert np.array_equal(again.predict(IDS), front.predict(IDS))


@pytest.mark.parametrize("call", ["predict", "evaluate", "call", "batches", "predict one by one"])
def test_padding_in_front_is_found_wherever_it_comes(call):
    model = classifier()
    expected = model.predict(POST)
    if call == "call":
        found = model(IDS).numpy()
    elif call == "batches":
        found = model.predict([IDS[:2], IDS[2:]])
    elif call == "predict one by one":
        found = np.concatenate([model.predict(row[None].astype("int32")) for row in np.r_[POST, IDS]])[4:]
    else:
        loss = model.evaluate(POST, [0, 1, 2, 1])["loss"]
        assert model.evaluate(IDS, [0, 1, 2, 1])["loss"] == pytest.approx(loss, rel=1e-5)
        found = model.predict(IDS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert model.layers[0].padding == "any"


def test_padding_that_is_said_to_be_at_the_end():
    with pytest.raises(DataError, match=r"at the end of a sequence alone.*padding='any'"):
        classifier("post").predict(IDS)
    with pytest.raises(ValueError, match="did you mean 'post'"):
        nn.Embedding(3, 2, mask_zero=True, padding="pots")
    np.testing.assert_allclose(classifier("any").predict(POST), classifier().predict(POST), rtol=1e-6, atol=1e-7)


def test_resume_of_a_training_that_has_seen_padding_in_front(tmp_path):
    y = np.array([0, 1, 2, 1])
    batches = [(POST, y), (IDS, y), (POST, y)]
    whole, part, other = classifier(), classifier(), classifier()
    expected = whole.fit(batches, epochs=3, verbose=0).history["loss"]
    part.fit(batches, epochs=2, callbacks=pynn.train.ModelCheckpoint(tmp_path), verbose=0)
    found = other.fit(batches, epochs=3, resume=tmp_path, verbose=0).history["loss"]
    assert found[-1:] == expected[-1:]
    assert [w.tobytes() for w in whole.get_weights()] == [w.tobytes() for w in other.get_weights()]


@pytest.mark.parametrize("target", TARGETS)
def test_masks_in_exports(target, tmp_path, rng):
    x = np.where(MASK[..., None] == 1, rng.normal(size=(N, T, D)), 0).astype("float32")
    layers = [nn.Masking(), nn.GRU(4, return_sequences=True), nn.Dense(3), nn.GlobalAvgPool()]
    model = nn.Sequential([nn.Input((T, D)), *layers], seed=1)
    model.build((1, T, D))
    assert_same(model, [x], target, tmp_path)
    ids = classifier("any")
    assert_same(ids, [IDS.astype("int32")], target, tmp_path)


def test_nothing_warns(rng):
    x = np.where(MASK[..., None] == 1, rng.normal(size=(N, T, D)), 0).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.Sequential([nn.Masking(), nn.LSTM(3, return_sequences=True), nn.Dense(2), nn.GlobalMaxPool()])(x)


def test_whole_numbers_are_masked_too():
    x = np.array([[[0, 0], [1, 2], [0, 0]]])
    y = nn.Masking()(x)
    assert y.dtype == np.float32
    assert y.lengths.numpy().tolist() == [[0, 1, 0]]


def test_lengths_are_whole_numbers():
    with pytest.raises(DTypeError, match=r"whole numbers as lengths. Received: float64"):
        ops.with_lengths(np.ones((2, 3)), [1.5, 2.0])


def test_balanced_classes_do_not_count_padding():
    model = nn.Sequential([nn.Masking(), nn.GRU(3, return_sequences=True), nn.Dense(2)])
    model.compile("sgd", "cross_entropy")
    x = np.ones((4, 6, 2), "float32") * MASK[:, :, None]
    y = MASK * np.arange(6) % 2
    with pytest.raises(ValueError, match=r"padding would count. Received: 'balanced'.*of real steps"):
        model.fit(x, y, class_weight="balanced", verbose=0)
    model.fit(x, y, class_weight={0: 2.0}, verbose=0)
    ends = nn.Sequential([nn.Masking(), nn.GRU(3), nn.Dense(2)])
    ends.compile("sgd", "cross_entropy")
    ends.fit(x, y[:, 1], class_weight="balanced", verbose=0)
