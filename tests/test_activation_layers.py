"""Activations as layers, and Normalization: what they compute, how they are told, saved and exported."""

import numpy as np
import pytest
from test_export_modules import TARGETS, assert_same

import pynn
from pynn import nn, ops
from pynn.errors import DataError, ShapeError
from pynn.nn import activations
from pynn.ops.elementwise import ELEMENTWISE

R = np.random.default_rng(0)
X = (R.normal(size=(6, 5)) * 4).astype("float32")
PLAIN = {"abs", "step", "exp", "square", "gelu_tanh"}  # functions that layers know by name alone


def test_every_function_of_the_table_that_layers_know_has_a_layer():
    lower = {name.lower() for name in activations.__all__}
    rows = {name for name, row in ELEMENTWISE.items() if row.layer}
    assert {name.replace("_", "") for name in rows - PLAIN} <= lower
    assert rows >= PLAIN


@pytest.mark.parametrize("name", [n for n in activations.__all__ if n not in ("PReLU", "LeakyReLU")])
def test_a_layer_is_the_function_of_its_name(name):
    layer = getattr(nn, name)()
    known = {"leakyrelu": "leaky_relu", "logsoftmax": "log_softmax"}.get(name.lower(), name.lower())
    expected = nn.Activation(known)(X).numpy()
    assert np.array_equal(layer(X).numpy(), expected)
    model = nn.Sequential([nn.Input((5,)), layer])
    assert np.array_equal(model.predict(X), expected)
    assert np.array_equal(pynn.io.loads(pynn.io.dumps(model)).predict(X), expected)


def where(condition, a, b):
    return np.where(condition, a, b).astype("float32")


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.LeakyReLU(), where(X > 0, X, 0.3 * X)),  # Keras's default
        (nn.LeakyReLU(0.05), where(X > 0, X, 0.05 * X)),
        (nn.ELU(0.5), where(X > 0, X, 0.5 * np.expm1(X))),
        (nn.ReLU(), where(X > 0, X, 0)),
        (nn.ReLU(6), np.clip(X, 0, 6)),
        (nn.ReLU(2.5), np.clip(X, 0, 2.5)),
        (nn.ReLU(negative_slope=0.25), where(X > 0, X, 0.25 * X)),
        (nn.ReLU(3.0, 0.5, 1.0), np.minimum(where(X >= 1, X, 0.5 * (X - 1)), 3)),
        (nn.ReLU(threshold=1.0), where(X >= 1, X, 0)),
        (nn.GELU("tanh"), nn.Activation("gelu_tanh")(X).numpy()),
        (nn.GELU("none"), nn.Activation("gelu")(X).numpy()),
        (nn.Softmax(axis=1), ops.softmax(X).numpy()),
        (nn.PReLU(pynn.init.Constant(0.25)), where(X > 0, X, 0.25 * X)),
    ],
    ids=lambda v: repr(v) if isinstance(v, nn.Module) else "",
)
def test_settings(layer, expected, tmp_path):
    model = nn.Sequential([nn.Input((5,)), layer])
    np.testing.assert_allclose(assert_same(model, [X], "python", tmp_path), expected, rtol=1e-6, atol=1e-6)
    again = pynn.io.loads(pynn.io.dumps(model))
    assert repr(again.layers[0]) == repr(layer)
    assert np.array_equal(again.predict(X), model.predict(X))


@pytest.mark.parametrize("target", TARGETS)
def test_settings_in_exports(target, tmp_path):
    x = nn.Input((5,))
    layers = [nn.LeakyReLU(0.05), nn.ELU(0.5), nn.ReLU(6), nn.ReLU(3.0, 0.5, 1.0), nn.GELU("tanh")]
    layers += [nn.PReLU(pynn.init.Constant(0.25)), nn.Softmax(1)]
    assert_same(nn.Model(x, nn.Concatenate()([layer(x) for layer in layers])), [X], target, tmp_path)


def test_softmax_over_another_axis():
    x = R.normal(size=(2, 3, 4)).astype("float32")
    np.testing.assert_allclose(nn.Softmax(axis=1)(x).numpy().sum(1), np.ones((2, 4)), rtol=1e-6)
    np.testing.assert_allclose(np.exp(nn.LogSoftmax(axis=-2)(x).numpy()).sum(1), np.ones((2, 4)), rtol=1e-6)


def test_summary_names_them(capsys):
    nn.Sequential([nn.Input((5,)), nn.Dense(4), nn.ReLU(), nn.PReLU(), nn.Normalization(), nn.Softmax()]).summary()
    shown = capsys.readouterr().out
    for text in ("relu (ReLU)", "prelu (PReLU)", "normalization (Normalization)", "softmax (Softmax)"):
        assert text in shown


def test_a_softmax_layer_is_trained_through_the_logits():
    y = R.integers(0, 3, 6)
    models = []
    for last in ([nn.Dense(3, "softmax")], [nn.Dense(3), nn.Softmax()]):
        model = nn.Sequential([nn.Input((5,)), *last])
        model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"], seed=0)
        models.append((model.fit(X, y, epochs=3, verbose=0).history, [w.tobytes() for w in model.get_weights()]))
    assert models[0] == models[1]


def test_the_slope_of_a_prelu_is_learned():
    x = R.normal(size=(200, 3)).astype("float32")
    slopes = np.array([0.1, 0.5, -0.7], "float32")
    model = nn.Sequential([nn.Input((3,)), nn.PReLU()])
    model.compile(pynn.optim.Adam(0.05), "mse", seed=0)
    model.fit(x, np.where(x > 0, x, slopes * x), epochs=60, verbose=0)
    np.testing.assert_allclose(model.layers[0].alpha.numpy(), slopes, atol=1e-2)


def test_gradient_of_a_prelu():
    x = R.normal(size=(2, 2, 2, 3))
    layer = nn.PReLU(pynn.init.Constant(0.3), shared_axes=(1, 2)).astype("float64")
    layer(x)
    pynn.testing.gradcheck(lambda t, a: ops.relu(t) + ops.minimum(t, 0.0) * a, [x, layer.alpha.numpy()])
    t = pynn.tensor(x, requires_grad=True)
    layer(t).sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), np.where(x > 0, 1, 0.3))
    np.testing.assert_allclose(layer.alpha.grad.numpy()[0, 0], np.minimum(x, 0).sum((0, 1, 2)))


@pytest.mark.parametrize(
    ("make", "error", "pattern"),
    [
        (lambda: nn.LeakyReLU(-1.0), ValueError, "negative_slope to be a finite number of at least 0"),
        (lambda: nn.ELU("1"), ValueError, r"\[elu\] expected alpha"),
        (lambda: nn.ReLU(max_value=-1), ValueError, "max_value"),
        (lambda: nn.GELU("tahn"), ValueError, "did you mean 'tanh'"),
        (lambda: nn.Softmax(0), ValueError, "axis other than 0"),
        (lambda: nn.PReLU(shared_axes=0), ValueError, "shared_axes other than 0"),
        (lambda: nn.PReLU(shared_axes=3)(X), ShapeError, "expected an axis of x"),
        (lambda: nn.LeakyReLU(alpha=0.1), TypeError, "alpha"),
        (lambda: nn.Normalization(0), ValueError, "axes other than 0"),
        (lambda: nn.Normalization(mean=1.0), ValueError, "both mean and variance"),
        (lambda: nn.Normalization(mean=1.0, variance=-1.0), ValueError, "variance of at least 0"),
        (lambda: nn.Normalization(mean=[1.0, 2.0], variance=1.0)(X), ShapeError, r"a mean for \(5,\)"),
        (lambda: nn.Normalization().adapt([1.0, 2.0]), ShapeError, r"x\[:, None\]"),
        (lambda: nn.Normalization().adapt([[np.nan, 2.0]]), DataError, r"contains nan at \[0, 0\]"),
        (lambda: nn.Normalization().adapt(X[:0]), DataError, "at least one sample"),
        (lambda: nn.Normalization(mean=1.0, variance=2.0).adapt(X), RuntimeError, "nothing to adapt"),
        (lambda: nn.Normalization().adapt(X, steps=2), ValueError, "steps with an iterable"),
    ],
)
def test_what_is_refused(make, error, pattern):
    with pytest.raises(error, match=pattern):
        make()


# Normalization


def features():
    return (R.normal(size=(500, 4)) * [1, 10, 0.1, 0] + [0, 1000, -3, 7]).astype("float32")


def test_normalization_adapts():
    x = features()
    layer = nn.Normalization()
    layer.adapt(x, batch_size=64)
    y = layer(x).numpy()
    np.testing.assert_allclose(y.mean(0), np.zeros(4), atol=1e-4)
    np.testing.assert_allclose(y.std(0), [1, 1, 1, 0], atol=1e-4)
    np.testing.assert_allclose(layer.mean.numpy(), x.mean(0, dtype="float64"), rtol=1e-6)
    np.testing.assert_allclose(layer.variance.numpy(), x.var(0, dtype="float64"), rtol=1e-5, atol=1e-12)
    layer.adapt(x * 2)  # begins anew
    np.testing.assert_allclose(layer.mean.numpy(), 2 * x.mean(0, dtype="float64"), rtol=1e-6)
    back = nn.Normalization(invert=True, mean=layer.mean.numpy(), variance=layer.variance.numpy())
    np.testing.assert_allclose(back(layer(x)).numpy()[:, :3], x[:, :3], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "give",
    [
        lambda x: [x[:100], x[100:]],
        lambda x: ((part, part[:, 0]) for part in (x[:7], x[7:])),
        lambda x: x.tolist(),
        lambda x: __import__("pandas").DataFrame(x),
    ],
    ids=["list of batches", "generator of (x, y)", "nested lists", "table"],
)
def test_normalization_adapts_to_whatever_predict_takes(give):
    x = features()
    layer = nn.Normalization()
    layer.adapt(give(x))
    np.testing.assert_allclose(layer.mean.numpy(), x.mean(0, dtype="float64"), rtol=1e-6)
    np.testing.assert_allclose(layer.variance.numpy(), x.var(0, dtype="float64"), rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize(("axis", "shape"), [(-1, (3,)), ((1, 3), (4, 3)), (None, ()), (2, (5,))])
def test_axes_of_normalization(axis, shape):
    x = R.normal(2, 3, size=(6, 4, 5, 3)).astype("float32")
    layer = nn.Normalization(axis)
    layer.adapt(x)
    assert layer.mean.shape == shape
    rest = (0, 1, 2, 3) if axis is None else tuple(a for a in range(4) if a not in np.atleast_1d(axis) % 4)
    expected = (x - x.mean(rest, keepdims=True)) / x.std(rest, keepdims=True)
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", TARGETS)
def test_normalization_in_a_model_its_file_and_its_exports(target, tmp_path):
    x = features()[:20]
    layer = nn.Normalization()
    layer.adapt(x)
    model = nn.Sequential([nn.Input((4,)), layer, nn.Dense(3, "tanh")])
    model.compile("adam", "mse", seed=0)
    before = layer.get_weights()
    model.fit(x, x[:, :3], epochs=2, verbose=0)
    for a, b in zip(before, layer.get_weights(), strict=True):
        assert np.array_equal(a, b)  # it is not trained
    assert len(model.parameters()) == 2
    y = assert_same(model, [x], target, tmp_path)
    model.save(tmp_path / "model.pynn")
    assert np.array_equal(pynn.load(tmp_path / "model.pynn").predict(x), y)
    layer.adapt(x + 1)  # what was recorded reads the new numbers
    assert not np.array_equal(model.predict(x), y)


def test_normalization_of_numbers_that_are_known(tmp_path):
    given = nn.Normalization(mean=np.array([1.0, 2.0]), variance=4.0)
    model = nn.Sequential([nn.Input((2,)), given])
    x = np.array([[3, 4], [1, 0]])
    assert model.predict(x).tolist() == [[1, 1], [0, -1]]
    model.save(tmp_path / "model.pynn")
    assert pynn.load(tmp_path / "model.pynn").predict(x).tolist() == [[1, 1], [0, -1]]


def test_bytes_are_numbers_for_normalization():
    images = R.integers(0, 256, (10, 4, 4, 1)).astype("uint8")
    layer = nn.Normalization()
    layer.adapt(images)
    model = nn.Sequential([nn.Input((4, 4, 1)), layer])
    expected = (images - images.mean()) / images.std()
    np.testing.assert_allclose(model.predict(images), expected, rtol=1e-4, atol=1e-4)


def test_a_layer_that_was_adapted_says_what_it_takes():
    layer = nn.Normalization()
    layer.adapt(X)
    with pytest.raises(ShapeError, match=r"sizes of the axes.*\(2, 3\)"):
        layer(np.ones((2, 3), "float32"))
    with pytest.raises(ShapeError, match="sizes of the axes"):
        layer.adapt(np.ones((2, 3)))
