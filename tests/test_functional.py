"""Networks with branches: calls of layers on symbols."""

import io

import numpy as np
import pytest

import pynn
from pynn import nn, ops, optim
from pynn.errors import DataError, DTypeError, ShapeError

RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((12, 8, 8, 2)).astype("float32")
LABELS = RNG.integers(0, 3, 12)
A = RNG.standard_normal((9, 4)).astype("float32")
B = RNG.standard_normal((9, 5)).astype("float32")


def branches():
    image = nn.Input((8, 8, 2))
    wide = nn.MaxPool2D(2)(nn.Conv2D(4, 5, padding="same", activation="relu")(image))
    fine = nn.AvgPool2D(2)(nn.Conv2D(3, 3, padding="same", activation="tanh")(image))
    both = nn.Dropout(0.25)(nn.Flatten()(nn.Concatenate()([wide, fine])))
    return nn.Model(image, nn.Dense(3, activation="softmax")(both))


class Branches(nn.Module):
    """The same network as a Module."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2D(4, 5, padding="same", activation="relu")
        self.most = nn.MaxPool2D(2)
        self.fine = nn.Conv2D(3, 3, padding="same", activation="tanh")
        self.mean = nn.AvgPool2D(2)
        self.merge = nn.Concatenate()
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.25)
        self.head = nn.Dense(3, activation="softmax")

    def forward(self, x):
        both = self.merge(self.most(self.wide(x)), self.mean(self.fine(x)))
        return self.head(self.dropout(self.flatten(both)))


def residual():
    """Two residual blocks."""
    image = nn.Input((8, 8, 2))
    h = nn.Conv2D(4, 3, padding="same", activation="relu")(image)
    for _ in range(2):
        inner = nn.BatchNormalization()(nn.Conv2D(4, 3, padding="same")(h))
        inner = nn.Conv2D(4, 3, padding="same")(nn.Activation("relu")(inner))
        h = nn.Activation("relu")(nn.Add()([h, inner]))
    return nn.Model(image, nn.Dense(3)(nn.GlobalAvgPool()(h)))


def trained(model, x=IMAGES, y=LABELS, **options):
    model.compile(optimizer=optim.Adam(0.01), loss="cross_entropy", seed=3)
    losses = model.fit(x, y, batch_size=5, epochs=3, verbose=0, **options).history["loss"]
    return losses, model.get_weights()


def same(ones, others):
    return len(ones) == len(others) and all(np.array_equal(a, b) for a, b in zip(ones, others, strict=True))


def summary(model, *args):
    out = io.StringIO()
    model.summary(*args, file=out)
    return out.getvalue()


# The same numbers as other ways to write a network


def test_functional_equals_module():
    model, module = branches(), Branches()
    losses, weights = trained(model)
    module(IMAGES)
    model = branches()
    model.compile(optimizer=optim.Adam(0.01), loss="cross_entropy", seed=3)
    module.compile(optimizer=optim.Adam(0.01), loss="cross_entropy", seed=3)
    module.set_weights(model.get_weights())
    assert np.array_equal(model.predict(IMAGES), module.predict(IMAGES))
    history = module.fit(IMAGES, LABELS, batch_size=5, epochs=3, verbose=0)
    assert history.history["loss"] == losses
    assert same(module.get_weights(), weights)


def test_functional_chain_equals_sequential():
    def layers():
        return [nn.Conv2D(4, 3, activation="relu"), nn.Flatten(), nn.Dropout(0.5), nn.Dense(3)]

    h = image = nn.Input((8, 8, 2))
    for layer in layers():
        h = layer(h)
    one, two = trained(nn.Model(image, h)), trained(nn.Sequential([nn.Input((8, 8, 2)), *layers()]))
    assert one[0] == two[0]
    assert same(one[1], two[1])


def test_call_computes_what_predict_computes():
    model = branches()
    np.testing.assert_array_equal(model(IMAGES).numpy(), model.predict(IMAGES))


def test_float64():
    model = branches().astype("float64")
    assert model.predict(IMAGES.astype("float64")).dtype == np.float64


# Building


@pytest.mark.parametrize("how", ["layers", "build", "call", "predict", "summary", "get_weights", "fit"])
def test_same_weights_however_the_model_is_built(how):
    model, expected = branches(), branches()
    for m in (model, expected):
        m.compile(optimizer=optim.SGD(0.0), loss="cross_entropy", seed=5)
        assert not m.built
    {
        "layers": lambda: model.layers,
        "build": lambda: model.build(),
        "call": lambda: model(IMAGES),
        "predict": lambda: model.predict(IMAGES),
        "summary": lambda: summary(model),
        "get_weights": lambda: model.get_weights(),
        "fit": lambda: model.fit(IMAGES, LABELS, verbose=0),
    }[how]()
    assert model.built
    assert same(model.get_weights(), expected.get_weights())


def test_seeds():
    one, again, other = branches(), branches(), branches()
    for model, seed in ((one, 1), (again, 1), (other, 2)):
        model.compile(seed=seed)
    assert same(one.get_weights(), again.get_weights())
    assert not same(one.get_weights(), other.get_weights())


def test_layers_stand_in_the_order_of_their_calls_with_names_of_their_own():
    model = branches()
    assert [layer.name for layer in model.layers] == [
        "conv2d", "maxpool2d", "conv2d_1", "avgpool2d", "concatenate", "flatten", "dropout", "dense",
    ]  # fmt: skip
    assert [name for name, _ in model.named_parameters()] == [
        "layers.0.w", "layers.0.b", "layers.2.w", "layers.2.b", "layers.7.w", "layers.7.b",
    ]  # fmt: skip
    assert model.input_shapes == [(8, 8, 2)]
    assert model.count_parameters() == 5 * 5 * 2 * 4 + 4 + 3 * 3 * 2 * 3 + 3 + 4 * 4 * 7 * 3 + 3
    assert repr(model).startswith("Model([\n  Input((8, 8, 2)),\n  Conv2D(4,")


def test_calls_that_the_output_does_not_need_are_left_out():
    x = nn.Input((4,))
    h = nn.Dense(3)(x)
    nn.Dense(100)(h)
    assert len(nn.Model(x, nn.Dense(1)(h)).layers) == 2


def test_failed_build_leaves_nothing_behind():
    x = nn.Input((4,))
    model = nn.Model(x, nn.Reshape((5,))(nn.Dense(4)(x)))
    with pytest.raises(ShapeError):
        model.build()
    assert not model.built
    assert not list(model.named_parameters())


# Sharing


def test_shared_layer_has_one_set_of_weights():
    left, right = nn.Input((4,)), nn.Input((4,))
    code = nn.Dense(3, activation="tanh")
    model = nn.Model([left, right], nn.Dense(1)(nn.Multiply()(code(left), code(right))))
    assert len(model.layers) == 3
    w, b, v, c = model.get_weights()
    x, y = A, A[::-1].copy()
    expected = np.tanh(x @ w + b) * np.tanh(y @ w + b) @ v + c
    np.testing.assert_allclose(model.predict((x, y)), expected, rtol=1e-5, atol=1e-6)
    text = summary(model)
    assert f"{4 * 3 + 3 + 3 + 1} parameters" in text
    assert text.count("(shared)") == 1


def test_shared_layer_learns_from_both_places():
    x = nn.Input((4,))
    layer = nn.Dense(4, use_bias=False)
    model = nn.Model(x, layer(layer(x)))
    ops.sum(model(A)).backward()
    w = layer.w.numpy().astype("float64")
    ones = np.ones((9, 4))
    expected = A.T @ (ones @ w.T) + (A @ w).T @ ones
    np.testing.assert_allclose(layer.w.grad.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_model_as_a_layer_of_a_model():
    inner_in = nn.Input((4,))
    inner = nn.Model(inner_in, nn.Add()(inner_in, nn.Dense(4)(inner_in)))
    x = nn.Input((4,))
    model = nn.Model(x, nn.Dense(4)(inner(inner(x))))
    model.compile(optimizer="sgd", loss="mse", seed=0)
    w, b, v, c = model.get_weights()
    assert not np.array_equal(w, v)
    h = A + A @ w + b
    h = h + h @ w + b
    np.testing.assert_allclose(model.predict(A), h @ v + c, rtol=1e-4, atol=1e-5)
    model.fit(A, A, verbose=0)
    assert not np.array_equal(model.get_weights()[0], w)


def test_model_as_a_layer_of_a_chain():
    x = nn.Input((4,))
    chain = nn.Sequential([nn.Input((4,)), nn.Model(x, nn.Dense(4)(x)), nn.Dense(2)], seed=0)
    assert chain.predict(A).shape == (9, 2)
    assert chain.count_parameters() == 20 + 10


def test_module_as_a_layer_of_a_model():
    class Distance(nn.Module):
        def forward(self, a, b):
            return ops.sum(ops.square(a - b), -1, True)

    a, b = nn.Input((4,)), nn.Input((4,))
    model = nn.Model([a, b], Distance()(a, b))
    other = A[::-1].copy()
    expected = np.square(A - other).sum(1, keepdims=True)
    np.testing.assert_allclose(model.predict((A, other)), expected, rtol=1e-5)


def test_two_models_share_layers():
    image = nn.Input((8, 8, 2))
    features = nn.GlobalAvgPool()(nn.Conv2D(4, 3, activation="relu")(image))
    scores, other = nn.Model(image, nn.Dense(3)(features)), nn.Model(image, features)
    trained(scores)
    w, b = scores.get_weights()[2:]
    np.testing.assert_allclose(other.predict(IMAGES) @ w + b, scores.predict(IMAGES), rtol=1e-4, atol=1e-5)


# Several inputs


def two_inputs():
    a, b = nn.Input((4,)), nn.Input((5,))
    h = nn.Concatenate()([nn.Dense(6, activation="tanh")(a), b])
    return nn.Model([a, b], nn.Dense(1)(h))


def test_two_inputs():
    model = two_inputs()
    model.compile(optimizer=optim.Adam(0.01), loss="mse", seed=0)
    w, b, v, c = model.get_weights()
    expected = np.concatenate([np.tanh(A @ w + b), B], 1) @ v + c
    np.testing.assert_allclose(model.predict((A, B)), expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(model([A, B]).numpy(), model(A, B).numpy())
    y = (A[:, :1] * B[:, :1]).copy()
    before = model.evaluate((A, B), y)["loss"]
    history = model.fit((A, B), y, batch_size=4, epochs=20, verbose=0, validation_split=0.2)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.evaluate((A, B), y)["loss"] < before
    assert isinstance(model.train_on_batch((A, B), y)["loss"], float)


def test_words_beside_numbers():
    words, numbers = nn.Input((3,)), nn.Input((4,))
    h = nn.Flatten()(nn.Embedding(10, 2)(words))
    model = nn.Model([words, numbers], nn.Dense(1)(nn.Concatenate()([h, numbers])))
    ids = RNG.integers(0, 10, (9, 3))
    model.compile(optimizer="sgd", loss="mse", seed=0)
    table, w, b = model.get_weights()
    expected = np.concatenate([table[ids].reshape(9, 6), A], 1) @ w + b
    np.testing.assert_allclose(model.predict((ids, A)), expected, rtol=1e-5, atol=1e-5)
    model.fit((ids, A), A[:, :1].copy(), verbose=0)
    with pytest.raises(DataError, match=r"\[predict\].*10"):
        model.predict((ids + 1 + 9 * (ids == 9), A))
    with pytest.raises(DTypeError, match=r"(?s)\[fit\] expected floating-point numbers for input 1.*help:.*astype"):
        model.fit((ids, np.ones((9, 4), np.uint8)), A[:, :1].copy(), verbose=0)


# Training


@pytest.mark.parametrize("make", [branches, residual])
def test_eager_and_program_give_the_same_bits(make):
    program, eager = trained(make()), trained(make(), run_eagerly=True)
    assert program[0] == eager[0]
    assert same(program[1], eager[1])


def test_residual_blocks_train():
    x = RNG.standard_normal((60, 8, 8, 2)).astype("float32")
    y = (x[..., 0].mean((1, 2)) > 0).astype(int)
    x[..., 1] += y[:, None, None]
    model = residual()
    model.compile(optimizer=optim.Adam(0.01), loss="cross_entropy", metrics=["accuracy"], seed=0)
    history = model.fit(x, y, batch_size=20, epochs=8, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    assert history["loss"][-1] < 0.5 * history["loss"][0]


def test_softmax_at_the_end_belongs_to_the_loss():
    model = branches()
    trained(model)
    np.testing.assert_allclose(model.predict(IMAGES).sum(1), 1, rtol=1e-5)


# What is refused


def parts():
    x = nn.Input((4,))
    return x, nn.Input((4,)), nn.Dense(3)(x)


BAD_MODELS = [
    (lambda x, y, h: nn.Model(y, h), ValueError, r"(?s)not connected to the inputs.*needs Input\(\(4,\)\) too.*help:"),
    (lambda x, y, h: nn.Model([x, y], h), ValueError, r"does not depend on inputs\[1\], Input\(\(4,\)\)"),
    (lambda x, y, h: nn.Model(x, []), ValueError, r"at least one output. Received: none"),
    (lambda x, y, h: nn.Model([], h), ValueError, r"at least one input"),
    (lambda x, y, h: nn.Model([x, x], h), ValueError, r"every Input once"),
    (lambda x, y, h: nn.Model(x, x), TypeError, r"what a layer returned.*Received: Input"),
    (lambda x, y, h: nn.Model(x, A), TypeError, r"what a layer returned"),
    (
        lambda x, y, h: nn.Model(h, nn.Dense(2)(h)),
        TypeError,
        r"(?s)made by nn.Input. Received: <output of dense>.*help:",
    ),
    (lambda x, y, h: nn.Model(A, h), TypeError, r"made by nn.Input. Received: a value of type ndarray"),
    (lambda x, y, h: nn.Add()(h, np.ones((9, 3))), TypeError, r"(?s)\[add\] expected symbols alone.*ndarray.*help:"),
    (lambda x, y, h: nn.Dense(2)(h, training=True), TypeError, r"\[dense\].*decides whether to train.*help:"),
    (lambda x, y, h: nn.Dense(2)(h, training="no"), ValueError, r"\[dense\] expected training to be True or False"),
    (lambda x, y, h: h + h, TypeError, r"(?s)<output of dense> has no values yet.*help: use nn.Add"),
    (lambda x, y, h: 2.0 * h, TypeError, r"no values yet"),
    (lambda x, y, h: np.ones(3) @ h, TypeError, r"no values yet"),
    (lambda x, y, h: ops.relu(h), TypeError, r"no values yet"),
    (lambda x, y, h: nn.Dense(2)([h]), TypeError, r"no values yet"),
    (lambda x, y, h: h[0], TypeError, r"no values yet"),
]


@pytest.mark.parametrize("case", range(len(BAD_MODELS)))
def test_bad_model_is_refused(case):
    make, error, message = BAD_MODELS[case]
    with pytest.raises(error, match=message):
        make(*parts())


BAD_DATA = [
    (lambda m: m.predict(A), r"\[predict\] expected 2 inputs. Received: 1"),
    (lambda m: m.fit((A, B, B), A, verbose=0), r"\[fit\] expected 2 inputs. Received: 3"),
    (lambda m: m(A), r"\[model\] expected 2 inputs. Received: 1"),
    (lambda m: m.predict((B, A)), r"\[predict\] expected input 0 of shape \(N, 4\). Received: \(9, 5\)"),
    (lambda m: m(A, A), r"\[model\] expected input 1 of shape \(N, 5\). Received: \(9, 4\)"),
    (lambda m: m(A, None), r"\[model\] expected input 1 .* Received: None"),
]


@pytest.mark.parametrize("case", range(len(BAD_DATA)))
def test_bad_data_are_refused(case):
    call, message = BAD_DATA[case]
    model = two_inputs()
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(ShapeError, match=message):
        call(model)


def test_images_without_channels_are_refused_with_a_hint():
    x = nn.Input((8, 8, 1))
    model = nn.Model(x, nn.Flatten()(x))
    with pytest.raises(ShapeError, match=r"(?s)shape \(N, 8, 8, 1\). Received: \(12, 8, 8\).*help:.*x\[\.\.\., None\]"):
        model.predict(IMAGES[..., 0].copy())


def test_layer_with_several_results_is_refused():
    class Two(nn.Module):
        def forward(self, x):
            return x, x

    x = nn.Input((4,))
    model = nn.Model(x, nn.Dense(1)(Two()(x)))
    with pytest.raises(TypeError, match=r"layers that return one tensor. Received: tuple from layer 'two'"):
        model.build()


def test_a_nested_sequential_has_weights_of_its_own():
    model = nn.Sequential([nn.Input((4,)), nn.Dense(4), nn.Sequential([nn.Dense(4), nn.Dense(4)])])
    weights = [w for w in model.get_weights() if w.ndim == 2]
    assert len(weights) == 3
    assert not any(np.array_equal(a, b) for i, a in enumerate(weights) for b in weights[:i])


def test_a_shared_softmax_layer_that_also_ends_the_model_predicts_what_the_call_gives():
    shared = nn.Dense(4, activation="softmax")
    model = nn.Sequential([nn.Input((4,)), shared, shared])
    model.compile("sgd", pynn.losses.CrossEntropy(from_logits=False))
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    np.testing.assert_array_equal(model.predict(x), model(x).numpy())
    model.compile("sgd", "cross_entropy")
    np.testing.assert_array_equal(model.predict(x), model(x).numpy())


@pytest.mark.parametrize("layer", [nn.LSTM(3), nn.GRU(3), nn.SimpleRNN(3), nn.Bidirectional(nn.LSTM(2))], ids=repr)
def test_recurrent_layers_take_symbols(layer):
    a = nn.Input((5, 2))
    model = nn.Model(a, nn.Dense(1)(layer(a)))
    x = np.ones((4, 5, 2), "float32")
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((4, 1), "float32"), verbose=0)
    assert model.predict(x).shape == (4, 1)


def test_a_base_that_is_called_without_training_keeps_its_statistics(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 2, (60, 4)).astype("float32"), rng.integers(0, 3, 60)
    base = nn.Sequential([nn.Input((4,)), nn.Dense(5), nn.BatchNormalization(), nn.Dropout(0.5)])

    def trained(eagerly, **said):
        start = nn.Input((4,))
        model = nn.Model(start, nn.Dense(3)(base(start, **said)), seed=1)
        base.set_weights([np.ones_like(w) for w in base.get_weights()])
        model.compile(optim.SGD(0.01), "cross_entropy", seed=2)
        model.fit(x, y, batch_size=20, epochs=2, verbose=0, run_eagerly=eagerly)
        return model

    left = [(trained(eagerly, training=False), base.get_weights()) for eagerly in (False, True)]
    for _, weights in left:
        assert all((w == 1).all() for w in weights[4:]), "moving mean and variance"
        assert not (weights[0] == 1).all(), "weights are trained all the same"
    for one, two in zip(left[0][1], left[1][1], strict=True):
        assert np.array_equal(one, two)
    model = trained(False, training=False)
    model.save(tmp_path / "model.pynn")
    again = pynn.load(tmp_path / "model.pynn")
    again.fit(x, y, batch_size=20, verbose=0)
    model.fit(x, y, batch_size=20, verbose=0)
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(one, two)
    trained(False)
    assert not (base.get_weights()[4] == 1).all()
