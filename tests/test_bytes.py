"""Bytes are numbers in tables and pixels in images, in every call alike."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

import pynn
from pynn import nn, optim
from pynn.errors import DataError
from pynn.train.batches import _spread

R = np.random.default_rng(0)
N, D, C = 37, 4, 3
X = R.normal(size=(N, D)).astype("float32")
Y = R.integers(0, C, N)


def classifier(optimizer="adam", metrics=("accuracy",), seed=0, **more):
    model = nn.Sequential([nn.Input((D,)), nn.Dense(8, activation="tanh"), nn.Dropout(0.2), nn.Dense(C)])
    model.compile(optimizer, "cross_entropy", metrics=list(metrics), seed=seed, **more)
    return model


def bits(model):
    return [w.tobytes() for w in model.get_weights()]


# Bytes: numbers in tables, pixels in images


def table_model(first=()):
    model = nn.Sequential([nn.Input((D,)), *first, nn.Dense(5, activation="tanh"), nn.Dense(1)])
    model.compile(optim.Adam(0.05), "mse", metrics=["mae"], seed=0)
    return model


def image_model(first=(), shape=(6, 5, 1)):
    layers = [nn.Conv2D(3, 3, activation="relu"), nn.Flatten(), nn.Dense(1)]
    model = nn.Sequential([nn.Input(shape), *first, *layers])
    model.compile(optim.Adam(0.01), "mse", seed=0)
    return model


def answers(model, x, tmp_path):
    """Return what a model says of x, in every way there is."""
    n = len(x)
    model.save(tmp_path / "model.pynn")
    loaded = pynn.load(tmp_path / "model.pynn")
    return {
        "predict": model.predict(x),
        "predict row by row": np.concatenate([model.predict(x[i : i + 1]) for i in range(n)]),
        "predict in passes": model.predict(x, batch_size=7),
        "predict_fn": model.predict_fn()(x),
        "batches": model.predict([(x[: n // 2], None), (x[n // 2 :], None)]),
        "call": model(x).numpy(),
        "call of a tensor": model(pynn.tensor(x)).numpy(),
        "loaded": loaded.predict(x),
        "loaded call": loaded(x).numpy(),
    }


def assert_all_say(expected, model, x, tmp_path):
    for name, found in answers(model, x, tmp_path).items():
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int8", "int64", "uint16"])
def test_whole_numbers_of_a_table_are_numbers_everywhere(dtype, tmp_path):
    x = R.integers(0, 2 if dtype == "bool" else 100, (N, D)).astype(dtype)
    floats, y = x.astype("float32"), R.normal(size=N).astype("float32")
    one, two = table_model(), table_model()
    a = one.fit(floats, y, epochs=3, verbose=0, validation_data=(floats, y)).history
    b = two.fit(x, y, epochs=3, verbose=0, validation_data=(x, y)).history
    assert a == b
    assert bits(one) == bits(two)
    assert one.evaluate(x, y) == two.evaluate(floats, y)
    assert one.train_on_batch(floats, y) == two.train_on_batch(x, y)
    assert_all_say(one.predict(floats), two, x, tmp_path)


def test_images_of_bytes_are_fractions_of_255_everywhere(tmp_path):
    for shape in ((6, 5, 1), (6, 5, 3)):
        x = R.integers(0, 256, (N, *shape)).astype("uint8")
        floats, y = x.astype("float32") / 255, R.normal(size=N).astype("float32")
        one, two = image_model(shape=shape), image_model(shape=shape)
        a = one.fit(floats, y, epochs=2, verbose=0, validation_data=(floats, y)).history
        b = two.fit(x, y, epochs=2, verbose=0, validation_data=(x, y)).history
        for key in a:
            assert a[key] == pytest.approx(b[key], rel=1e-4)
        assert two.evaluate(x, y)["loss"] == pytest.approx(two.evaluate(floats, y)["loss"], rel=1e-5)
        assert_all_say(two.predict(floats), two, x, tmp_path)


@pytest.mark.parametrize("offset", [0.0, -1.0])
def test_a_model_that_begins_with_rescaling_takes_bytes_as_numbers(tmp_path, offset):
    x = R.integers(0, 256, (N, 6, 5, 1)).astype("uint8")
    y = R.normal(size=N).astype("float32")
    plain, own = image_model(), image_model([nn.Rescaling(1 / 255, offset)])
    plain.layers, own.layers  # noqa: B018  built
    own.set_weights(plain.get_weights())
    plain.fit(x.astype("float32") / 255 + np.float32(offset), y, epochs=2, verbose=0)
    own.fit(x, y, epochs=2, verbose=0)
    for u, v in zip(plain.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-3, atol=1e-5)
    expected = own.predict(x.astype("float32"))
    assert_all_say(expected, own, x, tmp_path)
    assert_all_say(expected, own, x.astype("int64"), tmp_path)
    nested = nn.Sequential([nn.Input((6, 5, 1)), own])
    np.testing.assert_allclose(nested.predict(x), expected, rtol=1e-5)


def test_every_input_has_its_own_way_with_bytes():
    raw, seen = nn.Input((2, 2)), nn.Input((2, 2))
    both = nn.Add()([nn.Flatten()(nn.Rescaling(2.0)(raw)), nn.Flatten()(seen)])
    model = nn.Model([raw, seen], both)
    model.build()
    x = np.full((3, 2, 2), 255, "uint8")
    assert (model.takes_bytes(0), model.takes_bytes(1)) == (True, False)
    np.testing.assert_allclose(model.predict((x, x)), 511.0)
    np.testing.assert_allclose(model(x, x).numpy(), 511.0)


def test_gradients_pass_rescaling():
    x = pynn.tensor(X, requires_grad=True)
    nn.Rescaling(3.0, 1.0)(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full_like(X, 3.0))
    layer = nn.Rescaling(2.0)
    model = nn.Sequential([nn.Input((D,)), layer])
    np.testing.assert_array_equal(model.predict(X), 2 * X)
    layer.scale = 4.0
    np.testing.assert_array_equal(model.predict(X), 4 * X)
    for bad in (np.nan, "a", None, True):
        with pytest.raises(ValueError, match=r"\[rescaling\] expected scale"):
            nn.Rescaling(bad)


def test_bytes_that_are_no_image_are_refused_before_anything_is_built():
    """Three axes of 0 and 1, or of small numbers, would be made 255 times smaller without a word."""
    y = np.zeros(N, "float32")
    model = nn.Sequential([nn.Flatten(), nn.Dense(1)])
    model.compile("sgd", "mse", seed=0)
    for highest in (1, 9, 127):
        x = R.integers(0, highest + 1, (N, 3, 4)).astype("uint8")
        x[0] = highest
        with pytest.raises(DataError, match=rf"values up to {highest}.*help: x.astype"):
            model.fit(x, y, verbose=0)
        assert not model.built
    one_hot = R.integers(0, 2, (N, 3, 4)).astype("uint8")
    for call in (model.train_on_batch, model.evaluate, lambda x, y: model.fit([(x, y)], verbose=0)):
        with pytest.raises(DataError, match="values up to 1, shape"):
            call(one_hot, y)
    dark = np.full((N, 3, 4), 9, "uint8")
    model.train_on_batch(dark, y)  # a batch may be dark
    model.fit(one_hot.astype(bool), y, verbose=0)
    own = nn.Sequential([nn.Rescaling(1.0), nn.Flatten(), nn.Dense(1)])
    own.compile("sgd", "mse", seed=0)
    own.fit(one_hot, y, verbose=0)


@pytest.mark.filterwarnings("ignore:.*the loss still improves")
def test_estimators_take_bytes_as_models_do():
    pytest.importorskip("sklearn")
    from pynn.estimators import MLPRegressor, NetworkRegressor

    y = R.normal(size=N)
    x = R.integers(0, 256, (N, D)).astype("uint8")
    a = MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0, tol=0).fit(x, y)
    b = MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0, tol=0).fit(x.astype("float64"), y)
    np.testing.assert_array_equal(a.predict(x), b.predict(x.astype("float64")))
    images = R.integers(0, 256, (N, 4, 4)).astype("uint8")
    for first, factor in (([], 255), ([nn.Rescaling(1 / 9)], 1)):

        def make(inputs, outputs, first=first):
            return nn.Sequential([nn.Input(inputs), *first, nn.Flatten(), nn.Dense(*outputs)])

        net = NetworkRegressor(make, max_iter=3, random_state=0)
        net.fit(images, y, validation_data=(images, y))
        floats = (images / factor).astype("float32")
        np.testing.assert_allclose(net.predict(images), net.predict(floats), rtol=1e-4, atol=1e-5)
        own = net.model_.predict(images)
        np.testing.assert_allclose(own, net.model_.predict(floats), rtol=1e-4, atol=1e-5)


def test_attribution_takes_bytes_as_models_do():
    model = nn.Sequential([nn.Input((D,)), nn.Dense(2)])
    x = R.integers(0, 256, (3, D)).astype("uint8")
    floats = x.astype("float32")
    np.testing.assert_array_equal(pynn.viz.attribution(model, x), pynn.viz.attribution(model, floats))


@pytest.mark.parametrize("first", [[], [nn.Rescaling(1 / 255, -0.5)]])
def test_onnx_files_say_the_same(first, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    x = R.integers(0, 256, (N, 6, 5, 1)).astype("uint8")
    model = image_model(first)
    model.layers  # noqa: B018
    pynn.onnx.export(model, tmp_path / "model.onnx")
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    floats = x.astype("float32") if first else x.astype("float32") / 255
    (given,) = session.get_inputs()
    (found,) = session.run(None, {given.name: np.moveaxis(floats, -1, 1) if given.shape[1] == 1 else floats})
    np.testing.assert_allclose(found, model.predict(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("first", [[], [nn.Rescaling(1 / 255, -0.5)]])
def test_exports_to_python_and_c_say_the_same(first, tmp_path):
    import runpy

    from pynn.export import to_c, to_numpy

    x = R.integers(0, 256, (N, 6, 5, 1)).astype("uint8")
    floats = x.astype("float32") if first else x.astype("float32") / 255
    model = image_model(first)
    model.layers  # noqa: B018
    expected = model.predict(x)
    to_numpy(model, tmp_path / "model.py")
    written = runpy.run_path(str(tmp_path / "model.py"))["predict"]
    for given in (x, floats):
        np.testing.assert_allclose(written(given), expected, rtol=1e-4, atol=1e-5)
    to_c(model, tmp_path / "model.c")
    header = (tmp_path / "model.h").read_text()
    assert ("x: floats of shape [6, 5, 1]; images of bytes divided by 255" in header) == (not first)
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path / "model.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", tmp_path / "model.c", "-o", library, "-lm"], check=True)
    function = ctypes.CDLL(str(library)).model_predict
    work, y = np.zeros(1 << 16, "float32"), np.zeros(1, "float32")
    for row, wanted in zip(floats[:5], expected, strict=False):
        assert function(*(a.ctypes.data_as(ctypes.c_void_p) for a in (row, y, work))) == 0
        np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)


def test_an_exported_table_takes_bytes_as_numbers(tmp_path):
    import runpy

    from pynn.export import to_numpy

    model = table_model()
    model.layers  # noqa: B018
    x = R.integers(0, 256, (N, D)).astype("uint8")
    to_numpy(model, tmp_path / "model.py")
    written = runpy.run_path(str(tmp_path / "model.py"))["predict"]
    np.testing.assert_allclose(written(x), model.predict(x), rtol=1e-5, atol=1e-6)


class Endless:
    """Says that it has more batches than anyone would count."""

    def __init__(self, count):
        self.count, self.asked = count, []

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        assert 0 <= i < self.count
        self.asked.append(i)
        return np.full((2, 3), i % 7, np.float32), np.zeros((2, 1), np.float32)


@pytest.mark.parametrize("count", [10**15, (1 << 24) + 1, 600_000_000])
def test_batches_without_end_have_an_order_that_takes_no_memory(count):
    found = []
    for _ in range(2):
        model = nn.Sequential([nn.Input((3,)), nn.Dense(1)], seed=0)
        model.compile("sgd", "mse", seed=1)
        given = Endless(count)
        model.fit(given, epochs=2, steps_per_epoch=3, verbose=0)
        found.append(given.asked)
    assert found[0] == found[1]
    assert len(set(found[0])) == 6
    assert found[0][:3] != sorted(range(3))
    given = Endless(count)
    model.fit(given, epochs=1, steps_per_epoch=3, shuffle=False, verbose=0, validation_data=given, validation_steps=2)
    assert given.asked == [0, 1, 2, 0, 1]


def test_an_order_that_takes_no_memory_is_one():
    for n in (4, 60, 97):
        assert sorted(_spread(3, 1, n)) == list(range(n))


class Scales(nn.Module):
    def __init__(self, takes=False):
        super().__init__()
        self.scale, self.flat, self.out = nn.Rescaling(1 / 255), nn.Flatten(), nn.Dense(2)
        self.takes = takes

    def takes_bytes(self, i=0):
        return self.takes

    def forward(self, x):
        return self.out(self.flat(self.scale(x)))


@pytest.mark.parametrize("make", [
    lambda: nn.Sequential([nn.Input((4, 4)), nn.Reshape((4, 4, 1)), nn.Rescaling(1 / 255), nn.Flatten(), nn.Dense(2)]),
    lambda: nn.Sequential([nn.Input((4, 4)), nn.Reshape((4, 4, 1)), nn.ZeroPadding2D(1), nn.RandomFlip(),
                           nn.Rescaling(1 / 255), nn.Flatten(), nn.Dense(2)]),
    Scales,
])  # fmt: skip
def test_bytes_that_are_scaled_twice_bring_a_warning(make):
    x = R.integers(0, 256, (20, 4, 4)).astype(np.uint8)
    model = make()
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match=r"\[rescaling\] images of bytes were divided by 255 before"):
        model.fit(x, np.zeros((20, 2)), verbose=0)
    model.fit(x.astype(np.float32), np.zeros((20, 2)), verbose=0)


def test_bytes_that_are_scaled_once_bring_none():
    x = R.integers(0, 256, (20, 4, 4)).astype(np.uint8)
    model = Scales(takes=True)
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((20, 2)), verbose=0)
    np.testing.assert_array_equal(model.predict(x), model.predict(x.astype(np.float32)))
    model = nn.Sequential([nn.Input((4, 4)), nn.Dense(4), nn.Rescaling(2.0), nn.Flatten(), nn.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((20, 2)), verbose=0)


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int16", "int64"])
def test_token_ids_of_any_whole_type_are_taken_in_every_call(dtype):
    ids = R.integers(0, 2 if dtype == "bool" else 9, (20, 4))
    model = nn.Sequential([nn.Embedding(9, 3), nn.Flatten(), nn.Dense(1)], seed=0)
    model(ids)
    expected = model.predict(ids)
    for call in (lambda x: model(x).numpy(), model.predict, model.predict_fn()):
        np.testing.assert_allclose(call(ids.astype(dtype)), expected, rtol=1e-6)
    model.compile("sgd", "mse")
    assert model.evaluate(ids.astype(dtype), expected)["loss"] < 1e-10


@pytest.mark.parametrize("dtype", ["uint32", "int64", "uint64"])
def test_token_ids_that_do_not_fit_are_refused_with_their_place(dtype):
    """As int32 they would be other tokens."""
    model = nn.Sequential([nn.Embedding(9, 2), nn.Flatten(), nn.Dense(1)])
    model(np.zeros((1, 3), "int32"))
    x = np.array([[1, 2, 8], [0, 2**31 + 1, 3]], dtype)
    with pytest.raises(DataError, match=rf"token ids below 2\*\*31. Received: x\[1, 1\] = {2**31 + 1}"):
        model.predict(x)
    if dtype == "int64":
        with pytest.raises(DataError, match="token ids below"):
            model.predict(np.array([[1, 2, -(2**31) - 1]]))
    assert model.predict(x[:1]).shape == (1, 1)
