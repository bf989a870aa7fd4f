"""Layers and modules: shapes, weights, names, trees of modules, summaries, seeds."""

import io

import numpy as np
import pytest

from pynn import nn, ops, optim, regularizers
from pynn.errors import ShapeError
from pynn.ops.activation import ELEMENTWISE

X = np.random.default_rng(0).standard_normal((5, 6)).astype("float32")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


REFERENCE = {
    "linear": lambda z: z,
    **{name: row.body for name, row in ELEMENTWISE.items() if row.layer},
    "softmax": softmax,
    "log_softmax": lambda z: np.log(softmax(z)),
}

# name -> (layer, shape of x, weights by name, NumPy of x and the weights, text in repr)
LAYERS = {
    **{
        f"dense {name}": (
            lambda name=name: nn.Dense(4, activation=name),
            (5, 6),
            {"w": (6, 4), "b": (4,)},
            lambda x, w, f=f: f(x @ w["w"] + w["b"]),
            f"Dense(4, activation='{name}')",
        )
        for name, f in REFERENCE.items()
    },
    "dense plain": (
        lambda: nn.Dense(4),
        (5, 6),
        {"w": (6, 4), "b": (4,)},
        lambda x, w: x @ w["w"] + w["b"],
        "Dense(4, activation='linear')",
    ),
    "dense without bias": (
        lambda: nn.Dense(4, use_bias=False),
        (5, 6),
        {"w": (6, 4)},
        lambda x, w: x @ w["w"],
        "Dense(4",
    ),
    "dense on more axes": (
        lambda: nn.Dense(4, activation="tanh", bias_initializer="ones"),
        (2, 3, 6),
        {"w": (6, 4), "b": (4,)},
        lambda x, w: np.tanh(x @ w["w"] + 1),
        "Dense(4",
    ),
    "dense of a function": (
        lambda: nn.Dense(4, activation=ops.square),
        (5, 6),
        {"w": (6, 4), "b": (4,)},
        lambda x, w: np.square(x @ w["w"] + w["b"]),
        "Dense(4",
    ),
    **{
        f"activation {name}": (
            lambda name=name: nn.Activation(name),
            (5, 6),
            {},
            lambda x, w, f=f: f(x),
            f"Activation('{name}')",
        )
        for name, f in REFERENCE.items()
    },
    "activation with a parameter": (
        lambda: nn.Activation("leaky_relu", slope=0.4),
        (5, 6),
        {},
        lambda x, w: np.where(x > 0, x, 0.4 * x),
        "Activation('leaky_relu')",
    ),
    "dropout": (lambda: nn.Dropout(0.5), (5, 6), {}, lambda x, w: x, "Dropout(0.5)"),
    "flatten": (nn.Flatten, (5, 2, 3), {}, lambda x, w: x.reshape(5, 6), "Flatten()"),
    "flatten of vectors": (nn.Flatten, (5, 6), {}, lambda x, w: x, "Flatten()"),
    "flatten of numbers": (nn.Flatten, (5,), {}, lambda x, w: x.reshape(5, 1), "Flatten()"),
    "reshape": (lambda: nn.Reshape((3, 2)), (5, 6), {}, lambda x, w: x.reshape(5, 3, 2), "Reshape((3, 2))"),
    "reshape with a free size": (
        lambda: nn.Reshape((-1, 2)),
        (5, 2, 3),
        {},
        lambda x, w: x.reshape(5, 3, 2),
        "Reshape((-1, 2))",
    ),
    "maxout": (
        lambda: nn.Maxout(4, pieces=3),
        (5, 6),
        {"w": (6, 12), "b": (12,)},
        lambda x, w: (x @ w["w"] + w["b"]).reshape(5, 4, 3).max(-1),
        "Maxout(4, pieces=3)",
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name, dtype, rng):
    make, shape, weights, reference, text = LAYERS[name]
    layer = make().astype(dtype)
    assert not layer.built
    x = rng.standard_normal(shape).astype(dtype)
    y = layer(x)
    assert layer.built
    found = {key: w.numpy() for key, w in layer.named_parameters()}
    assert {key: w.shape for key, w in found.items()} == weights
    assert layer.count_parameters() == sum(int(np.prod(s)) for s in weights.values())
    assert [w.shape for w in layer.get_weights()] == list(weights.values())
    assert all(w.dtype == dtype for w in found.values())
    assert y.dtype == dtype
    expected = reference(x, found)
    assert y.shape == expected.shape
    assert repr(layer).startswith(text)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(y.numpy(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_computes_the_same_inside_a_model(name, rng):
    make, shape, _, reference, _ = LAYERS[name]
    layer = make()
    model = nn.Sequential([nn.Input(shape[1:]), layer])
    x = rng.standard_normal(shape).astype("float32")
    y = model.predict(x)
    expected = reference(x, {key: w.numpy() for key, w in layer.named_parameters()})
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_default_initializers_are_glorot_and_zeros():
    layer = nn.Dense(300, seed=1)
    layer(np.zeros((1, 200), "float32"))
    limit = np.sqrt(6 / 500)
    w = layer.w.numpy()
    assert np.abs(w).max() <= limit
    assert np.abs(w).max() > 0.99 * limit
    assert abs(w.std() - limit / np.sqrt(3)) < 0.01 * limit
    assert not np.any(layer.b.numpy())


def test_build_without_data():
    layer = nn.Dense(4)
    layer.build((None, 6))
    assert layer.w.shape == (6, 4)
    model = nn.Sequential([nn.Dense(4), nn.Dense(2)])
    model.build((32, 6))
    assert model.built
    assert model.count_parameters() == 6 * 4 + 4 + 4 * 2 + 2


def test_weights_do_not_exist_before_build():
    with pytest.raises(AttributeError, match=r"(?s)Dense 'dense' has no attribute 'w'.*help:.*build"):
        nn.Dense(4).w  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        nn.Sequential([nn.Input((3,)), nn.Dense(4)]).nonsense  # noqa: B018


# Names and trees


def test_layers_of_a_chain_have_different_names():
    model = nn.Sequential([nn.Dense(4), nn.Dense(4), nn.Dropout(0.1), nn.Dense(2, name="head"), nn.Dense(2)])
    names = [layer.name for layer in model.layers]
    assert names == ["dense", "dense_1", "dropout", "head", "dense_2"]


class Tree(nn.Module):
    """Modules as attributes, in lists, in dicts, nested, and one of them twice."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Dense(4, activation="tanh")
        self.rows = [nn.Dense(4), nn.Sequential([nn.Dense(5), nn.Dense(4)])]
        self.heads = {"a": nn.Dense(2), "b": nn.Dense(2, use_bias=False)}
        self.again = self.shared
        self.rate = 0.5

    def forward(self, x):
        h = self.shared(x)
        for row in self.rows:
            h = self.again(row(h))
        return ops.concat([self.heads["a"](h), self.heads["b"](h)], -1)


def test_modules_are_found_wherever_they_are():
    model = Tree()
    y = model(X[:, :4].copy())
    assert y.shape == (5, 4)
    names = [name for name, _ in model.named_parameters()]
    assert names == [
        "shared.w", "shared.b", "rows.0.w", "rows.0.b", "rows.1.layers.0.w", "rows.1.layers.0.b",
        "rows.1.layers.1.w", "rows.1.layers.1.b", "heads.a.w", "heads.a.b", "heads.b.w",
    ]  # fmt: skip
    assert model.count_parameters() == 20 + 20 + (25 + 24) + 10 + 8
    assert len(list(model.modules())) == 1 + 1 + 1 + 3 + 2
    assert "heads.a=Dense(2" in repr(model)


def test_tree_computes_what_it_says():
    model = Tree().astype("float64")
    x = X[:, :4].astype("float64")
    y = model(x).numpy()
    w = {name: t.numpy() for name, t in model.named_parameters()}

    def shared(h):
        return np.tanh(h @ w["shared.w"] + w["shared.b"])

    h = shared(x)
    h = shared(h @ w["rows.0.w"] + w["rows.0.b"])
    h = h @ w["rows.1.layers.0.w"] + w["rows.1.layers.0.b"]
    h = shared(h @ w["rows.1.layers.1.w"] + w["rows.1.layers.1.b"])
    expected = np.concatenate([h @ w["heads.a.w"] + w["heads.a.b"], h @ w["heads.b.w"]], 1)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


def test_tree_trains_all_its_weights():
    model = Tree()
    model.compile(optimizer=optim.SGD(0.1), loss="mse", seed=0)
    x = X[:, :4].copy()
    model(x)
    before = model.get_weights()
    model.fit(x, np.ones((5, 4), "float32"), verbose=0)
    for name, a, b in zip([n for n, _ in model.named_parameters()], before, model.get_weights(), strict=True):
        assert not np.array_equal(a, b), name


def test_shared_layer_of_a_chain_counts_once():
    shared = nn.Dense(6, activation="tanh")
    model = nn.Sequential([nn.Input((6,)), shared, shared, nn.Dense(2)])
    assert model.count_parameters() == 42 + 14
    assert len(model.get_weights()) == 4
    w, b, w2, b2 = model.get_weights()
    h = np.tanh(np.tanh(X @ w + b) @ w + b)
    np.testing.assert_allclose(model.predict(X), h @ w2 + b2, rtol=1e-5, atol=1e-6)


def test_module_with_several_inputs():
    class Distance(nn.Module):
        def __init__(self):
            super().__init__()
            self.code = nn.Dense(3)

        def forward(self, a, b):
            return ops.sum(ops.square(self.code(a) - self.code(b)), -1, True)

    model = Distance()
    model.compile(optimizer="sgd", loss="mse", seed=0)
    a, b = X, X[::-1].copy()
    model.fit((a, b), np.ones((5, 1), "float32"), batch_size=2, verbose=0)
    w, bias = model.get_weights()
    expected = np.square((a @ w + bias) - (b @ w + bias)).sum(1, keepdims=True)
    np.testing.assert_allclose(model.predict((a, b)), expected, rtol=1e-4, atol=1e-6)


def test_module_with_state_that_is_not_trained():
    class Centre(nn.Module):
        def build(self, input_shape):
            self.add_weight("offset", (input_shape[-1],), "ones", trainable=False)
            self.add_weight("scale", (input_shape[-1],), "ones")

        def forward(self, x):
            return (x - self.offset) * self.scale

    model = nn.Sequential([nn.Input((6,)), Centre(), nn.Dense(1)])
    model.compile(optimizer=optim.SGD(0.1), loss="mse", seed=0)
    assert len(model.get_weights()) == 4
    assert len(model.parameters()) == 3
    model.fit(X, np.ones((5, 1), "float32"), verbose=0)
    assert np.array_equal(model.layers[0].offset.numpy(), np.ones(6))
    assert not np.array_equal(model.layers[0].scale.numpy(), np.ones(6))


# Freezing


def test_frozen_weights_do_not_change_and_thaw():
    model = nn.Sequential([nn.Input((6,)), nn.Dense(4, activation="tanh"), nn.Dense(1)])
    model.compile(optimizer="adam", loss="mse", seed=0)
    y = np.ones((5, 1), "float32")
    model.fit(X, y, verbose=0)
    first, last = model.layers
    first.trainable = False
    assert not first.trainable
    assert len(model.parameters()) == 2
    before = model.get_weights()
    model.fit(X, y, epochs=3, verbose=0)
    after = model.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(before[:2], after[:2], strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(before[2:], after[2:], strict=True))
    first.trainable = True
    last.trainable = False
    model.fit(X, y, epochs=3, verbose=0)
    thawed = model.get_weights()
    assert not np.array_equal(thawed[0], after[0])
    assert all(np.array_equal(a, b) for a, b in zip(after[2:], thawed[2:], strict=True))


def test_frozen_before_the_first_fit():
    model = nn.Sequential([nn.Input((6,)), nn.Dense(4, activation="tanh"), nn.Dense(1)])
    model.layers[0].trainable = False
    model.compile(optimizer="sgd", loss="mse", seed=0)
    before = model.get_weights()
    model.fit(X, np.ones((5, 1), "float32"), verbose=0)
    assert np.array_equal(model.get_weights()[0], before[0])
    assert not np.array_equal(model.get_weights()[2], before[2])


def test_frozen_model_is_an_error():
    model = nn.Sequential([nn.Input((6,)), nn.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    model.trainable = False
    assert not model.layers[0].trainable
    with pytest.raises(ValueError, match=r"(?s)no trainable parameters.*help:.*trainable = True"):
        model.fit(X, np.ones((5, 1), "float32"), verbose=0)


def test_frozen_weights_are_not_penalised_out_of_place():
    """A regularizer on a frozen layer adds to the loss but moves nothing."""
    model = nn.Sequential([nn.Input((6,)), nn.Dense(1, kernel_regularizer=regularizers.L2(1.0)), nn.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", seed=0)
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(X, np.ones((5, 1), "float32"), verbose=0)
    assert np.array_equal(model.get_weights()[0], before[0])


# Weights in and out


def small():
    return nn.Sequential([nn.Input((6,)), nn.Dense(4), nn.Dense(2)], seed=0)


def test_set_weights_restores():
    model, other = small(), small()
    other.set_weights([w + 1 for w in other.get_weights()])
    assert not np.array_equal(model.predict(X), other.predict(X))
    other.set_weights(model.get_weights())
    assert np.array_equal(model.predict(X), other.predict(X))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w[:-1], r"\[set_weights\] expected 4 arrays. Received: 3"),
        (lambda w: [*w, w[0]], r"expected 4 arrays. Received: 5"),
        (lambda w: [*w[:3], np.zeros(3)], r"expected layers\.1\.b of shape \(2,\). Received: \(3,\)"),
        (lambda w: [w[0].T, *w[1:]], r"expected layers\.0\.w of shape \(6, 4\)"),
        (lambda w: [*w[:3], np.array(["a", "b"])], r"expected numbers for layers\.1\.b"),
    ],
)
def test_set_weights_is_all_or_nothing(spoil, message):
    model = small()
    before = model.get_weights()
    with pytest.raises((ShapeError, TypeError), match=message):
        model.set_weights(spoil([w + 1 for w in before]))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_weights_cannot_be_replaced_by_assignment():
    """It would hide the weight that the optimizer updates."""
    model = small()
    with pytest.raises(AttributeError, match=r"(?s)\[dense\] .*'w'.*help:.*set_weights"):
        model.layers[0].w = np.zeros((6, 4), "float32")
    assert model.layers[0].w.shape == (6, 4)


# Seeds


def test_same_seed_same_weights():
    def weights(seed):
        model = nn.Sequential([nn.Input((6,)), nn.Dense(6), nn.Dense(6)])
        model.compile(optimizer="sgd", loss="mse", seed=seed)
        return model.get_weights()

    one, same, other = weights(1), weights(1), weights(2)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])
    assert not np.array_equal(one[0], one[2])  # two layers of one shape


def test_same_seed_same_weights_however_the_model_is_built():
    x = X

    def built(how):
        model = nn.Sequential([nn.Dense(4), nn.Sequential([nn.Dense(4), nn.Dense(4)]), nn.Dense(1)])
        model.compile(optimizer="sgd", loss="mse", seed=4)
        if how == "build":
            model.build((1, 6))
        elif how == "call":
            model(x)
        elif how == "predict":
            model.build((32, 6))
            model.predict(x)
        else:
            model.summary(input_shape=(6,), file=io.StringIO())
        return [w.tobytes() for w in model.get_weights()]

    ways = [built(how) for how in ("build", "call", "predict", "summary")]
    assert all(way == ways[0] for way in ways)


def test_layer_has_a_seed_of_its_own():
    one, two = nn.Dense(4, seed=9), nn.Dense(4, seed=9)
    one(X)
    two(np.ones((2, 6), "float32"))
    nn.Dense(4, seed=1)
    other = nn.Dense(4, seed=10)
    other(X)
    assert np.array_equal(one.w.numpy(), two.w.numpy())
    assert not np.array_equal(one.w.numpy(), other.w.numpy())


def test_unseeded_model_is_the_same_in_every_process():
    def weights():
        model = nn.Sequential([nn.Input((6,)), nn.Dense(4), nn.Dense(2)])
        return [w.tobytes() for w in model.get_weights()]

    assert weights() == weights()


def test_dropout_outside_a_model_draws_new_numbers():
    layer = nn.Dropout(0.5, seed=1)
    x = np.ones((1, 64), "float32")
    one, two = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    assert not np.array_equal(one, two)
    assert set(np.unique(one)) == {0.0, 2.0}
    assert np.array_equal(layer(x).numpy(), x)
    again = nn.Dropout(0.5, seed=1)
    assert np.array_equal(again(x, training=True).numpy(), one)


def test_dropout_keeps_the_mean():
    y = nn.Dropout(0.3, seed=0)(np.ones((100, 1000), "float32"), training=True).numpy()
    assert abs((y == 0).mean() - 0.3) < 0.01
    assert abs(y.mean() - 1) < 0.01


# Summary


def test_summary_has_exact_numbers():
    model = nn.Sequential(
        [nn.Input((28, 28)), nn.Flatten(), nn.Dense(64, activation="relu"), nn.Dropout(0.2), nn.Dense(10)]
    )
    out = io.StringIO()
    model.summary(file=out)
    lines = [line.split() for line in out.getvalue().splitlines()]
    table = {words[0]: words for words in lines if words}
    assert lines[0][:5] == ["layer", "output", "parameters", "bytes", "flops"]
    assert table["input"][1:5] == ["(N,", "28,", "28)", "0"]
    assert table["flatten"][1:5] == ["(Flatten)", "(N,", "784)", "0"]
    assert table["dense"][1:5] == ["(Dense)", "(N,", "64)", "50,240"]
    assert table["dense"][5:9] == ["201.0", "kB", "100.4", "k"]  # 2 * 784 * 64 = 100352 flops
    assert table["dropout"][1:5] == ["(Dropout)", "(N,", "64)", "0"]
    assert table["dense_1"][1:] == ["(Dense)", "(N,", "10)", "650", "2600", "B", "1280", "10", "640", "64", "640"]
    assert "50,890 parameters (50,890 trainable), 203.6 kB" in out.getvalue()


def test_summary_counts_what_is_shared_once_and_what_is_frozen():
    shared = nn.Dense(6)
    model = nn.Sequential([nn.Input((6,)), shared, shared, nn.Dense(2)])
    shared.trainable = False
    out = io.StringIO()
    model.summary(file=out)
    text = out.getvalue()
    assert "(shared)" in text
    assert "56 parameters (14 trainable)" in text


def test_summary_of_a_module():
    model = Tree()
    out = io.StringIO()
    model.summary(input_shape=(4,), file=out)
    text = out.getvalue()
    assert "107 parameters" in text
    assert text.count("(shared)") >= 1


def test_summary_leaves_the_model_as_it_was():
    model = small()
    model.compile(optimizer="adam", loss="mse")
    before = model.get_weights()
    model.summary(file=io.StringIO())
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    model.fit(X, np.ones((5, 2), "float32"), verbose=0)


def test_summary_needs_a_shape():
    model = nn.Sequential([nn.Dense(3)])
    with pytest.raises(RuntimeError, match=r"(?s)\[summary\].*not known.*help:"):
        model.summary()
