"""What a newcomer tries in the first hour: slips in names, NumPy beside tensors, copies, input of every layout."""

import copy
import importlib.machinery
import os
import pickle
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from building import ROOT, needs_a_build

import pynn
from pynn import losses, nn, ops, optim, train
from pynn.core.missing import explained
from pynn.errors import ShapeError

R = np.random.default_rng(5)
X = R.standard_normal((40, 6)).astype("float32")
Y = R.integers(0, 3, 40)


def classifier(*first, epochs=1):
    model = nn.Sequential([*first, nn.Dense(5, activation="tanh"), nn.Dense(3)])
    model.compile(optimizer="adam", loss="cross_entropy", metrics=["accuracy"], seed=0)
    if epochs:
        model.fit(X, Y, epochs=epochs, verbose=0)
    return model


class Own(nn.Module):
    def __init__(self, units):
        super().__init__()
        self.inner = nn.Dense(units, activation="relu")
        self.last = nn.Dense(3)

    def forward(self, x):
        return self.last(self.inner(x))


# Names

SLIPS = {
    "epoch": (lambda: classifier(epochs=0).fit(X, Y, epoch=3), r"^\[fit\] .*Received: epoch=3.*mean epochs=\?"),
    "batchsize": (lambda: classifier().evaluate(X, Y, batchsize=3), r"^\[evaluate\] .*mean batch_size=\?"),
    "metric": (lambda: classifier(epochs=0).compile(metric=["mse"]), r"^\[compile\] .*mean metrics=\?"),
    "lr": (lambda: optim.Adam(lr=0.1), r"^\[Adam\] .*Received: lr=0.1.*mean learning_rate=\?.*beta_1, beta_2"),
    "epsilon": (lambda: optim.Adam(epsilon=0.1), r"mean eps=\?"),
    "of a base": (lambda: optim.SGD(clipnorm=1.0), r"^\[SGD\] .*mean clip_norm=\?"),
    "unit": (lambda: nn.Dense(unit=3), r"^\[Dense\] .*mean units=\?"),
    "kernel": (lambda: nn.Conv2D(3, kernel=3), r"^\[Conv2D\] .*mean kernel_size=\?"),
    "stride": (lambda: nn.Conv2D(3, 3, stride=2), r"mean strides=\?"),
    "p": (lambda: nn.Dropout(p=0.3), r"mean rate=\?"),
    "input_shape": (lambda: nn.Dense(3, input_shape=(3,)), r"begin the model with nn.Input\(shape\)"),
    "patients": (lambda: train.EarlyStopping(patients=3), r"mean patience=\?"),
    "from_logit": (lambda: losses.CrossEntropy(from_logit=True), r"mean from_logits=\?"),
    "batchsize of predict": (lambda: classifier().predict(X, batchsize=3), r"^\[predict\] .*mean batch_size=\?"),
    "batch": (lambda: classifier().predict_fn(batch=3), r"^\[predict_fn\] .*mean batch_size=\?"),
    "sample_weights": (
        lambda: classifier().train_on_batch(X, Y, sample_weights=[1]),
        r"^\[train_on_batch\] .*mean sample_weight=\?",
    ),
    "overwrit": (lambda: classifier().save("x", metadat=3), r"^\[save\] .*mean metadata=\?"),
    "complie": (lambda: pynn.load(pathh="x"), r"^\[load\] .*mean path=\?"),
    "lr of compile": (
        lambda: classifier().compile(lr=0.1),
        r"help: the optimizer takes it: optimizer=pynn.optim.Adam\(",
    ),
    "bias": (lambda: nn.Dense(3, bias=False), r"mean use_bias=\?"),
    "weights of Embedding": (
        lambda: nn.Embedding(3, 2, weights=[X]),
        r"help: embeddings_initializer=pynn.init.Constant",
    ),
    "num_embeddings": (lambda: nn.Embedding(num_embeddings=3), r"^\[Embedding\] .*mean input_dim=\?"),
    "shap": (lambda: nn.Input(shap=(3,)), r"^\[Input\] .*mean shape=\?"),
    "step": (lambda: pynn.schedules.Cosine(0.1, step=3), r"^\[Cosine\] .*mean steps=\?"),
    "stddev": (lambda: pynn.init.Normal(stdd=3), r"^\[Normal\] .*mean std=\?"),
    "lamda": (lambda: pynn.regularizers.L2(l3=1), r"^\[L2\] .*mean l2=\?"),
    "require_grad": (lambda: pynn.tensor(X, require_grad=True), r"^\[tensor\] .*mean requires_grad=\?"),
    "vectorsize": (lambda: pynn.text.Word2Vec(vectorsize=3), r"^\[Word2Vec\] .*Known: "),
    "input_shap": (lambda: classifier().summary(input_shap=3), r"^\[summary\] .*mean input_shape=\?"),
    "pth": (lambda: pynn.viz.plot_history({}, pth="x"), r"^\[plot_history\] .*mean path=\?"),
    "unlike all": (lambda: nn.Dense(3, qqqqqq=1), r"Received: qqqqqq=1. help: Known: activation"),
}


@pytest.mark.parametrize("name", SLIPS)
def test_an_unknown_keyword_brings_the_nearest(name):
    call, message = SLIPS[name]
    with pytest.raises(TypeError, match=message):
        call()


def test_an_optimizer_s_rate_has_one_name():
    model = classifier()
    with pytest.raises(AttributeError, match=r"^Adam has no attribute 'lr'. help: did you mean 'learning_rate'\?$"):
        _ = model.optimizer.lr
    with pytest.raises(AttributeError, match=r"^\[adam\] expected learning_rate to be set. Received: lr=0.5. help"):
        model.optimizer.lr = 0.5
    assert not hasattr(model.optimizer, "momentum")
    assert copy.deepcopy(model.optimizer).learning_rate == 0.001


def test_weights_of_a_layer_whose_network_knows_its_input():
    def sequential(layer):
        return nn.Sequential([nn.Input((6,)), nn.Dense(4), nn.Sequential([layer])])

    def model(layer):
        start = nn.Input((6,))
        return nn.Model(start, layer(nn.Dense(4)(start)))

    for make in (sequential, model):
        layer = nn.Dense(3)
        network = make(layer)
        assert [w.shape for w in layer.get_weights()] == [(4, 3), (3,)]
        layer.set_weights([np.ones((4, 3)), np.zeros(3)])
        assert np.array_equal(network.get_weights()[2], np.ones((4, 3)))
    with pytest.raises(RuntimeError, match="the input's shape is not known yet"):
        nn.Sequential([nn.Dense(3)]).layers[0].get_weights()


def test_other_errors_of_types_are_left_alone():
    class Broken(nn.Module):
        def __init__(self, units):
            super().__init__()
            len(units)

    class Open(train.Callback):
        def __init__(self, **options):
            super().__init__(**options)

    with pytest.raises(TypeError, match="has no len"):
        Broken(units=3)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'units'"):
        nn.Dense(activation="relu")
    with pytest.raises(TypeError, match=r"Open|takes no arguments|exactly one argument"):
        Open(anything=3)


def test_an_unknown_attribute_brings_the_nearest():
    model = classifier()
    with pytest.raises(AttributeError, match=r"no attribute 'fitt'. help: did you mean 'fit'\?"):
        model.fitt(X, Y)
    with pytest.raises(AttributeError, match=r"no attribute 'kernel'. Its weights: w, b\."):
        _ = model.layers[0].kernel
    with pytest.raises(AttributeError, match="help: weights exist once"):
        _ = nn.Dense(3).w
    with pytest.raises(AttributeError, match=r"help: did you mean 'fit'\?$"):
        _ = nn.Dense(3).fitt


def test_dir_shows_weights():
    layer = nn.BatchNormalization()
    assert "gamma" not in dir(layer)
    layer(X)
    assert {"gamma", "beta", "moving_mean", "moving_variance", "momentum", "fit"} <= set(dir(layer))
    assert "_weights" in dir(layer)


def test_a_weight_may_be_kept_as_the_attribute_of_its_name():
    class Scale(nn.Module):
        def build(self, input_shape):
            self.scale = self.add_weight("scale", input_shape[-1:], "ones")
            self.calls = self.add_weight("calls", (), "zeros", trainable=False)

        def forward(self, x):
            return x * self.scale

    model = nn.Sequential([nn.Input((6,)), Scale(), nn.Dense(3)])
    model.compile("sgd", "cross_entropy", seed=0)
    model.fit(X, Y, verbose=0)
    layer = model.layers[0]
    assert layer.scale.numpy().std() > 0
    assert [name for name, _ in layer.named_parameters()] == ["scale", "calls"]
    with pytest.raises(AttributeError, match="'scale' cannot be replaced"):
        layer.scale = pynn.tensor(np.ones(6, "float32"))
    layer.calls = 3
    assert layer.calls.item() == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [("Sequential", "pynn.nn.Sequential"), ("optm", "did you mean 'optim'"), ("Adam", "pynn.optim.Adam")],
)
def test_an_unknown_name_of_the_package_tells_where_it_is(name, message):
    with pytest.raises(AttributeError, match=message):
        getattr(pynn, name)


# Shapes


def test_shapes_in_messages_are_those_that_were_given():
    model = classifier()
    with pytest.raises(ShapeError, match=r"last dimension 6. Received: x.shape=\(40, 5\)"):
        model.fit(X[:, :5], Y, verbose=0)
    with pytest.raises(ShapeError, match=r"Received: x.shape=\(40, 5\)"):
        model.evaluate(X[:, :5], Y)
    with pytest.raises(ShapeError, match=r"^\[fit: validation_data\] .*Received: x.shape=\(7, 5\)"):
        model.fit(X, Y, validation_data=(X[:7, :5], Y[:7]), verbose=0)
    with pytest.raises(ShapeError, match=r"^\[fit: validation_data\] .* output's shape \(7, 3\).*y.shape=\(7, 4\)"):
        model.fit(X, Y, validation_data=(X[:7], np.eye(7, 4)), verbose=0)
    with pytest.raises(ValueError, match=r"^\[fit: validation_data\] .*labels from 0 to 2. Received: y\[0\] = "):
        model.fit(X, Y, validation_data=(X[:7], Y[:7] + 5), verbose=0)
    with pytest.raises(ShapeError, match=r"Received: x.shape=\(6,\)"):
        model.predict(X[0])


def test_the_shape_inside_a_model_comes_with_that_of_its_input():
    images = R.random((20, 9, 9, 1)).astype("float32")
    model = nn.Sequential([nn.Conv2D(2, 3), nn.Flatten(), nn.Dense(3)])
    model.compile(loss="cross_entropy", seed=0)
    model.fit(images[:, 1:, 1:], Y[:20], verbose=0)
    told = r"built for inputs of shape \(N, 8, 8, 1\) and got x.shape=\(20, 9, 9, 1\)\."
    for call in (model.predict, model, model.predict_fn(), lambda x: model.fit(x, Y[:20], verbose=0)):
        with pytest.raises(ShapeError, match=r"^\[dense\] .*x.shape=\(20, 98\). The model was " + told):
            call(images)
    with pytest.raises(ShapeError, match=rf"^\[fit: validation_data\] .*{told}"):
        model.fit(images[:, 1:, 1:], Y[:20], validation_data=(images, Y[:20]), verbose=0)
    with pytest.raises(ShapeError, match=r"^\[conv2d\] .*x.shape=\(9, 9, 1\). help: ") as told_of_one:
        model.predict(images[0])
    assert "was built for" not in str(told_of_one.value)


# Copies

COPIES = {"pickle": lambda found: pickle.loads(pickle.dumps(found)), "deepcopy": copy.deepcopy, "copy": copy.copy}
MODELS = {
    "built by fit": classifier,
    "with Input": lambda: classifier(nn.Input((6,))),
    "one's own": lambda: compiled(Own(4)),
    "with state": lambda: classifier(nn.BatchNormalization()),
}


def compiled(model):
    model.compile(optimizer=optim.Adam(0.01), loss="cross_entropy", seed=3)
    model.fit(X, Y, epochs=2, verbose=0)
    return model


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", MODELS)
def test_a_copy_of_a_model_predicts_and_trains_on_alike(name, how):
    model = MODELS[name]()
    before = model.predict(X)
    other = COPIES[how](model)
    assert type(other) is type(model)
    assert np.array_equal(other.predict(X), before)
    other.fit(X, Y, verbose=0)
    assert np.array_equal(model.predict(X), before), "the first is left alone"
    model.fit(X, Y, verbose=0)
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(one, two)
    assert pynn.io.registered().keys().isdisjoint({"Own"})


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_of_a_model_without_weights_is_one(how):
    model = classifier(epochs=0)
    model.note = "kept"
    other = COPIES[how](model)
    assert other.note == "kept"
    model.fit(X, Y, verbose=0)
    other.fit(X, Y, verbose=0)
    assert np.array_equal(other.predict(X), model.predict(X))
    assert other.layers[0] is not model.layers[0] or how == "copy"


def test_a_layer_is_copied_alone():
    layer = classifier().layers[0]
    other = copy.deepcopy(layer)
    assert np.array_equal(other.w.numpy(), layer.w.numpy())
    other.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    assert layer.w.numpy().any()


def test_scikit_learn_clones_models():
    base = pytest.importorskip("sklearn.base", reason="scikit-learn is not installed")
    model = classifier()
    assert np.array_equal(base.clone(model, safe=False).predict(X), model.predict(X))


# Numbers of NumPy's


def test_sizes_and_rates_may_be_numpy_s_in_files_too(tmp_path):
    labels = Y.astype("float64")  # as np.loadtxt gives them
    size, rate = np.max(labels) + 1, np.float16(0.25)
    model = nn.Sequential([nn.Input(X.shape[1:]), nn.Dropout(rate), nn.Dense(size)])
    model.compile(optim.Adam(pynn.schedules.Exponential(rate, rate=rate, every=size)), "cross_entropy", seed=np.int8(3))
    model.fit(X, Y, epochs=np.float32(2), batch_size=np.float64(8), verbose=0)
    assert model.predict(X, batch_size=np.float64(8)).shape == (40, 3)
    model.save(tmp_path / "model.pynn")
    again = pynn.load(tmp_path / "model.pynn")
    assert np.array_equal(again.predict(X), model.predict(X))
    assert repr(again) == repr(model)
    made = pynn.schedules.Piecewise([np.int16(3), np.float64(5)], [rate, 1.0, np.float64(2)])
    assert repr(made) == "Piecewise(boundaries=(3, 5), levels=(0.25, 1.0, 2))"
    assert repr(pynn.init.Normal(std=rate)) == "Normal(mean=0.0, std=0.25)"
    assert all(type(value) in (int, float) for value in (*made.boundaries, *made.levels))


# Callbacks


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (lambda epoch: 0.1 / (epoch + 1), [0.1, 0.05]),
        (lambda epoch, lr: lr / 2, [0.0005, 0.00025]),
        (lambda epoch, *, by=0.5: by, [0.5, 0.5]),
    ],
)
def test_a_schedule_takes_the_epoch_alone_or_the_rate_too(schedule, rates):
    run = classifier(epochs=0).fit(X, Y, epochs=2, callbacks=[train.LearningRateScheduler(schedule)], verbose=0)
    assert run.history["learning_rate"] == pytest.approx(rates)


def test_a_schedule_of_nothing_is_refused():
    with pytest.raises(TypeError, match=r"expected a function \(epoch, lr\) -> lr, or \(epoch\) -> lr.*takes \(\)"):
        train.LearningRateScheduler(lambda: 0.1)


# NumPy beside tensors

RECORDED = {
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "square": (np.square, lambda x: 2 * x),
    "multiply": (lambda t: np.multiply(X, t), lambda x: X),
    "array first": (lambda t: X * t, lambda x: X),
    "maximum": (lambda t: np.maximum(t, np.zeros_like(X)), lambda x: (x > 0).astype("float32")),
    "sum": (lambda t: np.sum(t, axis=0), np.ones_like),
    "mean": (lambda t: np.mean(t, axis=1), lambda x: np.full_like(x, 1 / 6)),
    "reshape": (lambda t: np.reshape(t, (6, 40)), np.ones_like),
}


@pytest.mark.parametrize("name", RECORDED)
def test_functions_of_numpy_that_have_an_op_are_recorded(name):
    function, slope = RECORDED[name]
    t = pynn.tensor(X, requires_grad=True)
    found = function(t)
    assert isinstance(found, pynn.Tensor)
    np.testing.assert_allclose(found.numpy(), function(X), rtol=1e-5, atol=1e-6)
    found.sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), slope(X), rtol=1e-5, atol=1e-6)


REFUSED = {
    "arctan": lambda t: np.arctan(t),
    "add.reduce": lambda t: np.add.reduce(t),
    "out": lambda t: np.add(X, t, out=np.empty_like(X)),
    "in place": lambda t: np.empty_like(X).__iadd__(t),
    "concatenate": lambda t: np.concatenate([t, t]),
    "where": lambda t: np.where(X > 0, t, 0),
    "mean of a dtype": lambda t: np.mean(t, dtype="float64"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_functions_of_numpy_that_would_lose_a_gradient_are_refused(name):
    t = pynn.tensor(X, requires_grad=True)
    with pytest.raises(TypeError, match=r"^\[np\.\w+(\.reduce)?\] .*NumPy would lose it.*help: .*t\.numpy\(\)\.$"):
        REFUSED[name](t)
    plain = pynn.tensor(X)
    assert isinstance(REFUSED[name](plain), (np.ndarray, np.generic, pynn.Tensor))


def test_what_has_no_gradient_gives_arrays():
    t = pynn.tensor(X, requires_grad=True)
    assert np.isfinite(t).all()
    assert np.array_equal(t, X)
    assert np.allclose(t, X)
    assert np.shape(t) == (40, 6)
    assert np.array_equal(np.sign(t), np.sign(X))
    np.testing.assert_array_equal(t, X)
    assert type(np.sin(pynn.tensor(X))) is np.ndarray
    assert np.array_equal(np.asarray(t), X)


def test_arrays_take_the_dtype_of_the_tensor_they_meet():
    t = pynn.tensor(X, requires_grad=True)
    for array in (X.astype("float64"), np.arange(6), np.arange(6, dtype="uint8"), np.array(3.0), X > 0, np.float64(3)):
        for found, expected in ((t + array, X + array), (array * t, array * X), (ops.maximum(t, array), None)):
            assert found.dtype == np.float32
            if expected is not None:
                np.testing.assert_array_equal(found.numpy(), expected.astype("float32"))
    (t * X.astype("float64")).sum().backward()
    assert np.array_equal(t.grad.numpy(), X)
    layer = nn.Dense(3)
    assert np.array_equal(layer(X.astype("float64")).numpy(), layer(X).numpy())
    assert (pynn.tensor(X.astype("float64")) + X).dtype == np.float64
    assert (pynn.tensor(np.arange(3, dtype="int32")) + np.arange(3)).dtype == np.int32


def test_an_array_that_its_tensor_cannot_hold_is_refused():
    with pytest.raises(TypeError, match=r"an array of float64 cannot join a tensor of dtype int64.*shape=\(3,\). help"):
        pynn.tensor(np.arange(3)) + np.array([0.5, 1, 2])
    with pytest.raises(ValueError, match=r"numbers that float32 can hold. Received: an array of float64 .*'float64'"):
        pynn.tensor(X) + np.full(6, 1e300)
    with pytest.raises(ValueError, match=r"numbers that int32 can hold"):
        pynn.tensor(np.arange(3, dtype="int32")) + np.array([2**40, 0, 0])
    with pytest.raises(TypeError, match=r"one dtype. Received: float32 and float64. help: .*\.astype"):
        pynn.tensor(X) + pynn.tensor(X.astype("float64"))


def test_a_function_of_numpy_is_recorded_with_a_step():
    class Wave(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Dense(3)

        def forward(self, x):
            return np.sin(self.inner(x))

    class Same(Wave):
        def forward(self, x):
            return ops.sin(self.inner(x))

    found = []
    for cls in (Wave, Same):
        model = cls()
        model.compile(loss="mse", seed=1)
        model.fit(X, X[:, :3], epochs=2, verbose=0)
        found.append(model.predict(X))
    assert np.array_equal(*found)


# Input of every layout


def test_layouts_are_converted_without_a_word():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    expected = classifier().predict(X)
    strided = np.repeat(X, 2, 1)[:, ::2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (np.asfortranarray(X), strided, pandas.DataFrame(X), pandas.DataFrame(X.astype("float64"))):
            model = classifier(epochs=0)
            model.fit(x, pandas.Series(Y), verbose=0)
            assert np.array_equal(model.predict(x), expected)
        assert np.array_equal(pynn.tensor(X.T).numpy(), X.T)


def test_tables_of_numbers_are_taken_and_others_name_their_columns():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = pandas.DataFrame(X, columns=list("abcdef"))
    mixed = table.assign(f=table.f > 0)
    expected = mixed.to_numpy("float32")
    model = classifier()
    for given in (mixed, mixed.astype(object), mixed.convert_dtypes()):
        assert np.array_equal(model.predict(given), model.predict(expected))
    for wrong, message in (
        (table.assign(b="x", d=pandas.Timestamp("2020")), r"column 'b' of str, column 'd' of Timestamp. help: encode"),
        (table.convert_dtypes().mask(table > 2), r"column '.' with gaps.* help: fill the gaps .*dropna"),
        (table.assign(a=pandas.Series(list("xy") * 20, dtype="category")), r"column 'a' of str. help: encode text"),
    ):
        with pytest.raises(TypeError, match=rf"^\[predict\] expected numbers. Received: {message}"):
            model.predict(wrong)
    with pytest.raises(TypeError, match=r"expected numbers. Received: column 'label' of str"):
        model.fit(X, pandas.Series(list("xy") * 20, name="label", dtype=object), verbose=0)


def test_filters_of_a_model_are_those_of_a_layer():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    with pytest.raises(TypeError, match=r"\[plot_filters\] expected a convolution.*help: plot_filters\(model.layers"):
        pynn.viz.plot_filters(classifier())


# First steps


def test_the_source_that_is_not_compiled_says_so_in_one_line(tmp_path):
    source = Path(pynn.__file__).parent
    shutil.copytree(source, tmp_path / "pynn", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", "import pynn"], env=env, capture_output=True, text=True, check=False)
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: {tmp_path / 'pynn'} is not compiled for this Python")
    assert "help: start Python in another folder, or compile it here with: pip install -e ." in last
    assert "circular" not in run.stderr


MUSL = "_core.cpython-311-x86_64-linux-musl.so"
HERE = f"_core{importlib.machinery.EXTENSION_SUFFIXES[0]}"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            MUSL,
            rf"compiled for another Python or system: expected {re.escape(HERE)}\. Received: {re.escape(MUSL)}\. help",
        ),
        (HERE, r"pynn's compiled part does not fit this system: .*_core.*\. help: take the wheel for this system: pip"),
    ],
)
def test_a_wheel_of_another_system_says_so_in_one_line(tmp_path, name, expected):
    source = Path(pynn.__file__).parent
    shutil.copytree(source, tmp_path / "pynn", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    (tmp_path / "pynn" / "core" / name).write_bytes(b"\x7fELF of another kind")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", "import pynn"], env=env, capture_output=True, text=True, check=False)
    last = run.stderr.strip().splitlines()[-1]
    assert re.search(expected, last), run.stderr
    assert "During handling" not in run.stderr


def test_a_missing_library_of_openmp_is_named():
    error = ImportError("libgomp.so.1: cannot open shared object file", name="pynn.core._core")
    assert "libgomp.so.1: cannot open shared object file. help: install" in explained(error, "pynn")
    assert explained(ModuleNotFoundError("No module named 'numpy'", name="numpy"), "pynn") is None


LACKING = {
    "compiler": ("no-such-compiler", r"expected a C compiler\. Received: .*no-such-compiler.*build-essential"),
    "headers": (
        """#!/bin/sh
for word in "$@"; do case "$word" in *probe.c) if grep -q Python.h "$word"; then
    echo "probe.c:1:10: fatal error: Python.h: No such file or directory" >&2; exit 1
fi;; esac; done
exec {cc} "$@"
""",
        r"expected a C compiler and Python's header files\. Received: .*Python\.h: No such file.*install python3-dev",
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the packages named are those of Linux")
@pytest.mark.parametrize("what", LACKING)
def test_what_a_build_lacks_is_named_in_one_line(what, tmp_path):
    needs_a_build(compiler=what == "headers")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "csrc", "pynn"):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, tmp_path / name, ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
        else:
            shutil.copy(path, tmp_path)
    compiler, message = LACKING[what]
    if "\n" in compiler:
        script = tmp_path / "cc"
        script.write_text(compiler.format(cc=shutil.which(os.environ.get("CC", "cc").split()[0])))
        script.chmod(0o755)
        compiler = str(script)
    run = subprocess.run(
        [sys.executable, "setup.py", "build_ext"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CC": compiler},
    )
    assert run.returncode != 0
    [line] = run.stderr.strip().splitlines()
    assert re.match(f"pynn: error: {message}", line), line
    assert run.stdout.splitlines() == ["running build_ext"]


def small_source(folder, kernels):
    """Write what setup.py builds, with one file of kernels."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in (kernels, "pynn/core/_core.pyx"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / kernels).write_text("int pn_any(void) { return 1; }\n")
    (folder / "pynn/core/_core.pyx").write_text("x = 1\n")
    (folder / "pynn/_version.py").write_text("__version__ = '0'\n")


def test_a_build_tells_what_it_is_at(tmp_path):
    needs_a_build()
    small_source(tmp_path, "csrc/any.c")
    command = [sys.executable, "setup.py", "build_ext"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[1:3] == [
        "pynn: translating Cython to C",
        "pynn: compiling, which takes one to five minutes",
    ]
    assert [line.split(":")[1] for line in run.stdout.splitlines()[3:]] == [
        " compiled 1 of 2 files",
        " compiled 2 of 2 files",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="the compiler is a script of the shell")
def test_a_compiler_that_lacks_some_of_gccs_flags_builds(tmp_path):
    """Clang calls some of them errors, and warns of others; zig's linker does not know all of ld's."""
    needs_a_build()
    small_source(tmp_path, "csrc/isa_avx2.c")
    script = tmp_path / "cc"
    script.write_text(f"""#!/bin/sh
for arg; do case $arg in
-fvect-cost-model=*|-fno-tree-loop-distribution|*noseparate-code) echo "error: unknown: $arg" >&2; exit 1 ;;
esac; done
exec {shutil.which(os.environ.get("CC", "cc").split()[0])} "$@"
""")
    script.chmod(0o755)
    command = [sys.executable, "setup.py", "-v", "build_ext"]
    environment = {**os.environ, "CC": str(script)}
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr[-500:]


def test_asking_for_an_attribute_costs_no_search_for_names(monkeypatch):
    """fit and predict ask models with hasattr(): the nearest name is looked for when a message is read."""
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1)])
    calls = []
    monkeypatch.setattr("pynn.nn.module.nearest", lambda name, known: calls.append(name) or "fit")
    assert not hasattr(model, "fitt")
    assert calls == []
    with pytest.raises(AttributeError, match="did you mean 'fit'"):
        model.fitt  # noqa: B018
    assert calls[0] == "fitt"
