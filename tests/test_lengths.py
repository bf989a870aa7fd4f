"""Padded sequences: lengths travel through layers and ops, and padding is not seen."""

import functools
import inspect
import warnings

import numpy as np
import pytest
from layers_by_class import made

import pynn
from pynn import losses, nn, ops
from pynn.core.card import CARDS
from pynn.core.tensor import Tensor
from pynn.ops.carry import RULES

LENGTHS = [5, 2, 7, 1]
N, T, C = 4, 7, 6


def padded(rng, *more):
    """Sequences with rubbish after their ends, and the same ones cut."""
    x = rng.normal(size=(N, T, *(more or (C,)))).astype(np.float32)
    for row, end in zip(x, LENGTHS, strict=True):
        row[end:] += 50
    return x, [x[n : n + 1, :end] for n, end in enumerate(LENGTHS)]


# What the output of a layer for padded sequences is: "steps" one per step, a function of lengths, "one" no time axis
# any more (padding was left out), "lost" a warning. Of a class that does not stand here it is found out.
KEPT, ONE, LOST, NOT_SEQUENCES, ANY = "kept", "one", "lost", "not called with sequences", "any"


def floor(size, stride):
    return lambda n: max(0, (n - size) // stride + 1)


DECIDED = {
    "Dense": (lambda: nn.Dense(3, "tanh"), KEPT),
    "Activation": (lambda: nn.Activation("softmax"), KEPT),
    "Maxout": (lambda: nn.Maxout(3, 2), KEPT),
    "Dropout": (lambda: nn.Dropout(0.5), KEPT),
    "BatchNormalization": (lambda: nn.BatchNormalization(), KEPT),
    "LayerNormalization": (lambda: nn.LayerNormalization(), KEPT),
    "GroupNormalization": (lambda: nn.GroupNormalization(3), KEPT),
    "LocalResponseNormalization": (lambda: nn.LocalResponseNormalization(), KEPT),
    "TimeDistributed": (lambda: nn.TimeDistributed(nn.Dense(2)), KEPT),
    "Rescaling": (lambda: nn.Rescaling(0.5, 1.0), KEPT),
    "PReLU": (lambda: nn.PReLU(shared_axes=1), KEPT),
    "Reshape": (lambda: nn.Reshape((T, 2, 3)), KEPT),
    "SimpleRNN": (lambda: nn.SimpleRNN(3, return_sequences=True), KEPT),
    "LSTM": (lambda: nn.LSTM(3, return_sequences=True, go_backwards=True), KEPT),
    "GRU": (lambda: nn.GRU(3, return_sequences=True), KEPT),
    "LayerNormLSTM": (lambda: nn.LayerNormLSTM(3, return_sequences=True, go_backwards=True), KEPT),
    "JordanRNN": (lambda: nn.JordanRNN(3, 2), KEPT),
    "Bidirectional": (lambda: nn.Bidirectional(nn.GRU(3, return_sequences=True)), KEPT),
    "Conv1D": (lambda: nn.Conv1D(3, 3, padding="same"), KEPT),
    "MaxPool1D": (lambda: nn.MaxPool1D(2), floor(2, 2)),
    "AvgPool1D": (lambda: nn.AvgPool1D(3, 1, padding="same"), KEPT),
    "GlobalAvgPool": (lambda: nn.GlobalAvgPool(), ONE),
    "GlobalMaxPool": (lambda: nn.GlobalMaxPool(), ONE),
    "Flatten": (lambda: nn.Flatten(), LOST),
    "Sequential": (lambda: nn.Sequential([nn.Dense(3), nn.Conv1D(2, 2, strides=2), nn.LayerNormalization()]),
                   floor(2, 2)),
    "Add": (lambda: Twice(nn.Add()), KEPT),
    "Multiply": (lambda: Twice(nn.Multiply()), KEPT),
    "Concatenate": (lambda: Twice(nn.Concatenate()), KEPT),
    # Maps [N, T, F, C] over time: windows count steps, the rest warns.
    "Conv2D": (lambda: Maps(nn.Conv2D(3, 3, padding="same")), KEPT),
    "DepthwiseConv2D": (lambda: Maps(nn.DepthwiseConv2D((3, 2))), floor(3, 1)),
    "SeparableConv2D": (lambda: Maps(nn.SeparableConv2D(3, 3, padding="same")), KEPT),
    "MaxPool2D": (lambda: Maps(nn.MaxPool2D((2, 1))), floor(2, 2)),
    "AvgPool2D": (lambda: Maps(nn.AvgPool2D(3, 1, padding="same")), KEPT),
    "L2Pool2D": (lambda: Maps(nn.L2Pool2D(3, 1, padding="same")), KEPT),
    "SpatialDropout2D": (lambda: Maps(nn.SpatialDropout2D(0.5)), KEPT),
    "Conv2DTranspose": (lambda: Maps(nn.Conv2DTranspose(2, 2)), LOST),
    "LocallyConnected2D": (lambda: Maps(nn.LocallyConnected2D(2, 2)), LOST),
    "ZeroPadding2D": (lambda: Maps(nn.ZeroPadding2D(1)), LOST),
    "UpSampling2D": (lambda: Maps(nn.UpSampling2D(2)), LOST),
    "Cropping2D": (lambda: Maps(nn.Cropping2D(((1, 1), (0, 0)))), lambda n: min(max(n - 1, 0), T - 2)),
    "LocalContrastNormalization": (lambda: Maps(nn.LocalContrastNormalization(3)), LOST),
    **{name: (None, NOT_SEQUENCES) for name in (
        "Embedding", "Input", "Model", "Module", "RandomAffine", "RandomCrop", "RandomErasing", "RandomFlip",
        "RandomRotation", "RandomShear", "RandomShift", "RandomZoom", "ElasticDeformation", "RandomPCAColor")},
}  # fmt: skip
LAYERS = {
    name: kind for name in nn.__all__ if inspect.isclass(kind := getattr(nn, name)) and issubclass(kind, nn.Module)
}
DECIDED |= {name: (functools.partial(made, layer), ANY) for name, layer in LAYERS.items() if name not in DECIDED}


class Twice(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x, ops.relu(x))


class Maps(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(ops.reshape(x, (*x.shape[:2], 3, x.shape[2] // 3)))


def counted(y):
    """How many steps are real; Masking says it with a mask."""
    lengths = y.lengths.numpy()
    return lengths.sum(1) if lengths.ndim == 2 else lengths


def test_rules_are_of_ops_that_exist():
    """An op without a rule loses lengths, with a warning."""
    ops.load_all()
    assert set(RULES) <= set(CARDS) | {"norm_shared"}  # which is in no table: pynn/ops/norm_shared.py


@pytest.mark.parametrize("name", [name for name, (make, _) in DECIDED.items() if make is not None])
def test_layers_do_not_see_padding(name, rng):
    make, kind = DECIDED[name]
    layer = make()
    x, rows = padded(rng)
    given = ops.with_lengths(x, LENGTHS)
    try:
        layer(x)  # built
    except pynn.errors.ShapeError:
        assert kind == ANY  # one of images
        return
    if kind == LOST:
        with pytest.warns(UserWarning, match=r"mixes or moves the time steps.*help: "):
            y = layer(given)
        assert y.lengths is None
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            layer(given)  # once
        return
    if kind == ANY:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            y = layer(given)
        if y.lengths is None and any("mixes or moves the time steps" in str(w.message) for w in warned):
            return
        kind = ONE if y.lengths is None else lambda n: int(counted(y)[LENGTHS.index(n)])
    y = layer(given)
    if kind == ONE:
        assert y.lengths is None
        for n, row in enumerate(rows):
            np.testing.assert_allclose(y.numpy()[n], layer(row).numpy()[0], rtol=1e-5, atol=1e-5)
        return
    after = LENGTHS if kind == KEPT else [kind(n) for n in LENGTHS]
    assert counted(y).tolist() == after
    if name in ("Reshape", "LayerNormLSTM", "Cropping2D"):  # bound to T, slow, or cut at the end too
        return
    for n, (row, end) in enumerate(zip(rows, after, strict=True)):
        if end and row.shape[1] > 1:
            np.testing.assert_allclose(y.numpy()[n, :end], layer(row).numpy()[0, :end], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("padding", "size", "stride"),
    [
        ("valid", 3, 1),
        ("valid", 2, 2),
        ("causal", 3, 1),
        ("causal", 3, 2),
        ((1, 1), 3, 1),
        ((2, 0), 3, 2),
        ("same", 3, 1),
    ],
)
@pytest.mark.parametrize("kind", ["conv", "max", "avg"])
def test_windows_over_time_count_as_on_the_sequence_alone(kind, padding, size, stride, rng):
    if kind != "conv" and padding == "causal":
        padding = "valid"
    if kind == "conv":
        layer = nn.Conv1D(4, size, strides=stride, padding=padding, dilation_rate=2 if stride == 1 else 1)
    else:
        layer = (nn.MaxPool1D if kind == "max" else nn.AvgPool1D)(size, stride, padding=padding)
    x, rows = padded(rng)
    y = layer(ops.with_lengths(x, LENGTHS))
    for n, row in enumerate(rows):
        try:
            alone = layer(row).numpy()[0]
        except pynn.errors.ShapeError:  # the kernel does not fit
            alone = np.zeros((0, y.shape[2]))
        assert y.lengths.numpy()[n] == len(alone)
        np.testing.assert_allclose(y.numpy()[n, : len(alone)], alone, rtol=1e-4, atol=1e-5)


def test_same_with_strides_gives_the_ceiling():
    x = ops.with_lengths(np.ones((3, 8, 2), "float32"), [8, 5, 1])
    assert nn.Conv1D(2, 3, strides=2, padding="same")(x).lengths.numpy().tolist() == [4, 3, 1]
    assert nn.MaxPool1D(3, 3, padding="same")(x).lengths.numpy().tolist() == [3, 2, 1]


def test_an_empty_sequence_pools_to_zero():
    x = ops.with_lengths(np.full((2, 3, 4), -2.0, "float32"), [0, 3])
    for layer in (nn.GlobalAvgPool(), nn.GlobalMaxPool()):
        assert layer(x).numpy().tolist() == [[0.0] * 4, [-2.0] * 4]
    assert np.isfinite(ops.softmax(ops.with_lengths(np.ones((2, 3)), [0, 2])).numpy()).all()


def test_batch_statistics_are_of_real_steps(rng):
    x, rows = padded(rng)
    real = np.concatenate([row[0] for row in rows])
    one, other = nn.BatchNormalization(momentum=0.5), nn.BatchNormalization(momentum=0.5)
    y = one(ops.with_lengths(x, LENGTHS), training=True)
    alone = other(real, training=True)
    got = np.concatenate([y.numpy()[n, :end] for n, end in enumerate(LENGTHS)])
    np.testing.assert_allclose(got, alone.numpy(), rtol=1e-4, atol=1e-5)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_gradients_do_not_reach_padding(rng):
    x, _ = padded(rng)
    for layer in (
        nn.BatchNormalization(),
        nn.GroupNormalization(2),
        nn.Conv1D(3, 3, padding="same"),
        nn.GlobalAvgPool(),
        nn.GlobalMaxPool(),
        nn.MaxPool1D(2, padding="same"),
        nn.AvgPool1D(2, padding="same"),
        nn.LSTM(3, return_sequences=True, go_backwards=True),
    ):
        t = pynn.tensor(x, requires_grad=True)
        layer(ops.with_lengths(t, LENGTHS), training=True).square().sum().backward()
        for n, end in enumerate(LENGTHS):
            assert not t.grad.numpy()[n, end:].any(), type(layer).__name__
            assert t.grad.numpy()[n, :end].any() or end == 1 or isinstance(layer, nn.MaxPool1D), type(layer).__name__


def test_ops_in_a_forward_of_ones_own(rng):
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.score = nn.Dense(1)

        def forward(self, x):
            weight = ops.softmax(self.score(x)[:, :, 0])
            return ops.sum(x * ops.reshape(weight, (*weight.shape, 1)), axis=1)

    layer = Attention()
    x, rows = padded(rng)
    y = layer(ops.with_lengths(x, LENGTHS)).numpy()
    for n, row in enumerate(rows):
        np.testing.assert_allclose(y[n], layer(row).numpy()[0], rtol=1e-5, atol=1e-5)
    both = ops.concat([ops.with_lengths(x, LENGTHS), ops.with_lengths(x, [7, 1, 3, 7])], axis=2)
    assert both.lengths.numpy().tolist() == [5, 1, 3, 1]
    given = ops.with_lengths(x, LENGTHS)
    assert given[:, 2:].lengths.numpy().tolist() == [3, 0, 5, 0]
    assert given[1:3].lengths.numpy().tolist() == [2, 7]
    assert ops.concat([x[:, :3].copy(), given], axis=1).lengths.numpy().tolist() == [8, 5, 10, 4]
    assert ops.concat([given, x], axis=0).lengths.numpy().tolist() == [*LENGTHS, 7, 7, 7, 7]
    assert ops.gather(given, [2, 0]).lengths.numpy().tolist() == [7, 5]
    assert ops.reverse_steps(given).lengths is given.lengths
    reduced = {ops.mean: np.mean, ops.max: np.max, ops.min: np.min, ops.sum: np.sum, ops.var: np.var}
    for op, function in reduced.items():
        np.testing.assert_allclose(op(given, axis=1).numpy(), [function(r[0], 0) for r in rows], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            op(given, axis=(0, 1)).numpy(), function(np.concatenate([r[0] for r in rows]), 0), rtol=1e-4, atol=1e-4
        )
        assert op(given, axis=2).lengths is given.lengths
    assert ops.argmax(given, axis=1).numpy().tolist() == [np.argmax(r[0], 0).tolist() for r in rows]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ops.without_lengths(given).lengths is None
        assert given.detach().lengths is None
        ops.transpose(ops.without_lengths(given), (0, 2, 1))
    with pytest.warns(UserWarning, match=r"transpose mixes or moves"):
        ops.transpose(given, (0, 2, 1))


TARGETS = {
    "mse": lambda r: r.normal(size=(N, T, C)).astype(np.float32),
    "cross_entropy": lambda r: r.integers(0, C, (N, T)),
    "binary_cross_entropy": lambda r: r.integers(0, 2, (N, T, C)),
    "kl_divergence": lambda r: r.dirichlet(np.ones(C), (N, T)).astype(np.float32),
    "hinge": lambda r: r.integers(0, 2, (N, T, C)),
}


def test_what_mixes_the_sequences_of_a_batch_says_so(rng):
    given = ops.with_lengths(padded(rng)[0], LENGTHS)
    for op in (ops.mean, ops.max, ops.min, ops.sum, ops.var):
        with pytest.warns(UserWarning, match="mixes or moves the time steps"):
            assert op(given, axis=0).lengths is None
        assert op(given, axis=2).lengths is given.lengths


@pytest.mark.parametrize("name", TARGETS)
def test_losses_are_means_over_real_steps(name, rng):
    x, _ = padded(rng)
    x = np.exp(x - x.max(-1, keepdims=True)) / np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)
    y, loss = TARGETS[name](rng), losses.get(name)
    real = np.arange(T) < np.array(LENGTHS)[:, None]
    w = rng.uniform(0.5, 2, N).astype(np.float32)
    given = ops.with_lengths(x, LENGTHS)
    assert loss(given, y).item() == pytest.approx(loss(x[real], y[real]).item(), rel=1e-5)
    assert loss(given, y, w).item() == pytest.approx(loss(x[real], y[real], np.repeat(w, LENGTHS)).item(), rel=1e-5)
    each = rng.uniform(0.5, 2, (N, T)).astype(np.float32)
    assert loss(given, y, each).item() == pytest.approx(loss(x[real], y[real], each[real]).item(), rel=1e-5)


def test_a_loss_of_whole_sequences_is_left_alone(rng):
    class Ends(losses.Loss):
        name = "ends"

        def check_targets(self, y, shape):
            return np.asarray(y, np.float32)

        def each(self, y_pred, y_true):
            return (ops.mean(y_pred, axis=(1, 2)) - y_true) ** 2

    x, rows = padded(rng)
    wanted = np.mean([(row.mean() - 1) ** 2 for row in rows])
    assert Ends()(ops.with_lengths(x, LENGTHS), np.ones(N)).item() == pytest.approx(wanted, rel=1e-4)


def tagger(*between, seed=0, **options):
    layers = [nn.Embedding(9, 5, mask_zero=True), *between, nn.Dense(3)]
    model = nn.Sequential(layers, seed=seed)
    model.compile("sgd", "cross_entropy", **options)
    return model


@pytest.mark.parametrize(
    "between",
    [
        lambda: [nn.LSTM(4, return_sequences=True), nn.BatchNormalization()],
        lambda: [nn.Conv1D(4, 3, padding="same"), nn.LayerNormalization()],
        lambda: [nn.Bidirectional(nn.GRU(3, return_sequences=True)), nn.Dropout(0.3)],
    ],
)
def test_padding_trains_nothing_and_eager_equals_program(between, rng):
    ids = rng.integers(1, 9, (12, 6))
    ends = rng.integers(1, 7, 12)
    ids[np.arange(6) >= ends[:, None]] = 0
    y = rng.integers(0, 3, (12, 6))
    other = np.where(ids == 0, 2 - y, y)  # other targets at padding
    found = []
    for targets, eagerly in ((y, False), (other, False), (y, True)):
        model = tagger(*between(), run_eagerly=eagerly)
        history = model.fit(ids, targets, batch_size=4, epochs=2, verbose=0)
        found.append((history.history["loss"], [w.tobytes() for w in model.get_weights()]))
    assert found[0] == found[1] == found[2]


def test_what_the_cases_of_keras_found(rng):
    for between in (
        [nn.LayerNormalization()],
        [nn.BatchNormalization()],
        [nn.Maxout(4, 2)],
        [nn.Dense(4)],
        [nn.Conv1D(4, 3, padding="causal")],
        [nn.GRU(4, return_sequences=True, go_backwards=True)],
    ):
        model = nn.Sequential(
            [nn.Embedding(9, 4, mask_zero=True), nn.LSTM(4, return_sequences=True), *between, nn.LSTM(3)], seed=1
        )
        model.build((1, 4))
        model.set_weights([w + 0.3 for w in model.get_weights()])
        np.testing.assert_allclose(model.predict([[3, 5, 0, 0]]), model.predict([[3, 5]]), rtol=1e-5, atol=1e-6)


def test_imported_networks_know_no_padding(rng):
    x = Tensor.state(np.ones((2, 3, 4), np.float32))
    assert ops.without_lengths(ops.with_lengths(x, [1, 2])).lengths is None
    leaf = pynn.tensor(np.ones((2, 3)), requires_grad=True)
    ops.with_lengths(leaf, [1, 2]).sum().backward()
    assert leaf.grad.numpy().tolist() == [[1.0] * 1 + [0.0] * 2, [1.0] * 2 + [0.0]]


def test_lengths_are_refused_where_they_do_not_fit():
    with pytest.raises(pynn.errors.ShapeError, match=r"a length for each.*\(2, 3\).*\(3,\)"):
        ops.with_lengths(np.ones((2, 3)), [1, 2, 3])
    with pytest.raises(pynn.errors.DataError, match=r"from 0 to 3\. Received: lengths\[1\] = 4"):
        ops.with_lengths(np.ones((2, 3)), [1, 4])


def texts(rng, n=40, steps=6):
    ids = rng.integers(1, 9, (n, steps))
    ends = rng.integers(1, steps + 1, n)
    ids[np.arange(steps) >= ends[:, None]] = 0
    return ids, rng.integers(0, 3, (n, steps)), ids != 0


@pytest.mark.parametrize("last", [lambda: nn.Dense(3), lambda: nn.TimeDistributed(nn.Dense(3, "softmax"))])
@pytest.mark.parametrize("eagerly", [False, True])
def test_metrics_and_losses_of_fit_and_evaluate_see_real_steps(last, eagerly, rng):
    ids, y, real = texts(rng)

    def right(y_true, y_pred):
        return (y_pred.argmax(-1) == y_true).astype(float)

    measured = ["accuracy", "f1", pynn.metrics.Mean(right)]
    model = nn.Sequential(
        [nn.Input((6,)), nn.Embedding(9, 5, mask_zero=True), nn.GRU(4, return_sequences=True), last()], seed=0
    )
    model.compile(pynn.optim.SGD(0.0), "cross_entropy", metrics=measured, run_eagerly=eagerly)
    weight = rng.uniform(0.5, 2, len(ids)).astype(np.float32)
    for w in (None, weight):
        each = None if w is None else np.broadcast_to(w[:, None], ids.shape)[real]
        outputs = model.predict(ids)[real]
        expected = {
            "accuracy": pynn.metrics.accuracy(y[real], outputs, sample_weight=each),
            "f1": pynn.metrics.f1(y[real], outputs, sample_weight=each),
            "right": np.average(outputs.argmax(-1) == y[real], weights=each),
            "loss": pynn.losses.CrossEntropy(from_logits=not model.layers[-1].name.startswith("time"))(
                outputs, y[real], each
            ).item(),
        }
        for found in (model.evaluate(ids, y, sample_weight=w), model.evaluate(ids, y, sample_weight=w, batch_size=7)):
            for name, value in expected.items():
                assert found[name] == pytest.approx(value, rel=1e-4), name
        logs = model.fit(
            ids, y, batch_size=16, sample_weight=w, validation_data=(ids, y), shuffle=False, verbose=0
        ).history
        for name in ("accuracy", "f1", "right"):
            assert logs[name][0] == pytest.approx(expected[name], rel=1e-4), name
        assert logs["val_accuracy"][0] == model.evaluate(ids, y)["accuracy"]


def test_one_number_a_step(rng):
    ids, _, real = texts(rng)
    y = rng.normal(size=(*ids.shape, 1)).astype(np.float32)
    for loss, targets in (("mse", y), ("binary_cross_entropy", (y > 0).astype(int))):
        model = nn.Sequential([nn.Embedding(9, 5, mask_zero=True), nn.LSTM(4, return_sequences=True), nn.Dense(1)])
        model.compile(pynn.optim.SGD(0.0), loss, metrics=["mae"] if loss == "mse" else ["accuracy"])
        found = model.evaluate(ids, targets)
        out = model.predict(ids)[real]
        assert found["loss"] == pytest.approx(losses.get(loss)(out, targets[real]).item(), rel=1e-4)
        right = np.abs(out - y[real]).mean() if loss == "mse" else ((out > 0) == targets[real]).mean()
        assert found[1] == pytest.approx(right, rel=1e-4)
        history = model.fit(ids, targets, verbose=0).history
        assert history["mae" if loss == "mse" else "accuracy"][0] == pytest.approx(right, rel=1e-4)


def test_predict_marks_nothing(rng):
    ids, y, _ = texts(rng)
    model = tagger()
    model.fit(ids, y, verbose=0)
    model.evaluate(ids, y)
    for out in (model.predict(ids), model.predict(ids[:3]), model.predict_fn()(ids)):
        assert np.abs(out).max() < 100


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.SimpleRNN])
@pytest.mark.parametrize("sizes", [(1, 5, 3, 2), (3, 5, 3, 2), (3, 4, 100, 70), (1, 4, 100, 70)])
@pytest.mark.parametrize("backwards", [False, True])
def test_what_stands_in_padding_reaches_no_gradient(kind, sizes, backwards, rng):
    n, t, d, units = sizes
    layer = kind(units, go_backwards=backwards, seed=1)
    layer.build((n, t, d))
    lengths = rng.integers(1, t, n).astype("int32")
    x = rng.normal(size=(n, t, d)).astype("float32")
    found = []
    for value in (0.0, np.nan, np.inf):
        for i, length in enumerate(lengths):
            x[i, length:] = value
        for weight in layer.parameters():
            weight.grad = None
        given = pynn.tensor(x, requires_grad=True)
        ops.sum(layer(ops.with_lengths(given, lengths)) ** 2).backward()
        found.append([tensor.grad.numpy().copy() for tensor in (*layer.parameters(), given)])
    for gradients in found[1:]:
        for one, other in zip(found[0], gradients, strict=True):
            np.testing.assert_array_equal(one, other)
