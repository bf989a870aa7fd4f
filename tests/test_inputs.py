"""Bad input: a clear error that names place, expectation, what came and a remedy, and nothing is changed by it."""

import sys
import warnings

import numpy as np
import pytest

import pynn
from pynn import nn, ops, optim
from pynn.errors import DataError, DTypeError, NonFiniteError, ShapeError

R = np.random.default_rng(3)
N, D, C = 24, 6, 3
X = R.standard_normal((N, D)).astype("float32")
Y = R.integers(0, C, N)
ONE_HOT = np.eye(C, dtype="float32")[Y]


def classifier(loss="cross_entropy", optimizer="adam", out=C, ending=None, **settings):
    """Return a model that was trained a little, so that there is state to protect."""
    model = nn.Sequential([nn.Input((D,)), nn.Dense(5, activation="tanh"), nn.Dense(out, activation=ending)])
    model.compile(optimizer=optimizer, loss=loss, seed=0, **settings)
    target = {"cross_entropy": Y}.get(loss, np.zeros((N, out), "float32"))
    model.fit(X, target, batch_size=10, verbose=0)
    return model


def everything(model):
    """Return weights, optimizer state and step as bytes."""
    trainer = model._trainer

    def flat(value):
        if isinstance(value, dict):
            return [flat(v) for v in value.values()]
        if isinstance(value, (list, tuple)):
            return [flat(v) for v in value]
        return np.asarray(value).tobytes()

    return [
        [w.tobytes() for w in model.get_weights()],
        flat(trainer.optimizer.state()),
        int(trainer.slots.step.view()[0]),
    ]


def with_value(a, value, at=(4, 2)):
    a = np.array(a, dtype="float64")
    a[at[: a.ndim]] = value
    return a


OBJECTS = np.empty(N, dtype=object)
OBJECTS[:] = [[1, 2]] * N

# name -> (x, y, error, message)
BAD_FIT = {
    "rank of x": (X[:, :, None], Y, ShapeError, r"\[fit\] expected inputs of shape \(N, 6\).*\(24, 6, 1\).*Flatten"),
    "vector for x": (
        X[:, 0].copy(),
        Y,
        ShapeError,
        r"\[fit\] expected inputs of shape \(N, 6\).*Received: x\.shape=\(24,\)",
    ),
    "images without Flatten": (
        X.reshape(N, 2, 3),
        Y,
        ShapeError,
        r"(?s)shape \(N, 6\).* Received: x\.shape=\(24, 2, 3\).*help: .*nn\.Flatten\(\) before Dense",
    ),
    "last dimension of x": (
        X[:, :5].copy(),
        Y,
        ShapeError,
        r"\[fit\] expected inputs of shape \(N, 6\), as nn.Input says. Received: x.shape=\(24, 5\)",
    ),
    "lengths": (X, Y[:-1], ShapeError, r"\[fit\] expected as many targets as samples. Received: 24 samples and 23"),
    "number for x": (
        3.0,
        Y,
        ShapeError,
        r"\[fit\] expected an array with one row per sample. Received: a single number",
    ),
    "number for y": (X, 1, ShapeError, r"\[fit\] .*Received: 24 samples and a single number"),
    "no y": (X, None, DataError, r"(?s)\[fit\] expected targets. Received: y=None. help: call fit\(x, y\)"),
    "empty": (X[:0], Y[:0], DataError, r"\[fit\] expected at least one sample. Received: x\.shape=\(0, 6\)"),
    "empty list": (np.array([]), [], DataError, r"\[fit\] expected at least one sample"),
    "no columns": (X[:, :0].copy(), Y, DataError, r"at least one sample. Received: x\.shape=\(24, 0\)"),
    "nan in x": (
        with_value(X, np.nan),
        Y,
        DataError,
        r"(?s)\[fit\] x contains nan at \[4, 2\] \(1 such.*help: remove or",
    ),
    "inf in x": (with_value(X, np.inf), Y, DataError, r"x contains inf at \[4, 2\]"),
    "-inf in x": (with_value(X, -np.inf).astype("float32"), Y, DataError, r"x contains -inf at \[4, 2\]"),
    "both infinities": (
        with_value(with_value(X, np.inf), -np.inf, (7, 1)),
        Y,
        DataError,
        r"x contains inf at \[4, 2\] \(2 such",
    ),
    "overflow to float32": (with_value(X, 1e60), Y, DataError, r"x contains inf at \[4, 2\]"),
    "overflow to float32 in y": (X, with_value(ONE_HOT, 1e60), DataError, r"y contains inf at \[4, 2\]"),
    "nan in y": (X, with_value(ONE_HOT, np.nan, (4, 1)), DataError, r"\[fit\] y contains nan at \[4, 1\]"),
    "inf in y": (X, with_value(ONE_HOT, np.inf, (4, 1)), DataError, r"y contains inf at \[4, 1\]"),
    "strings in x": (
        X.astype(str),
        Y,
        DTypeError,
        r"(?s)\[fit\] expected numbers. Received: an array of dtype <U.*help",
    ),
    "strings in y": (X, Y.astype(str), DTypeError, r"\[fit\] expected numbers. Received: an array of dtype <U"),
    "names in y": (X, ["a", "b"] * 12, DTypeError, r"(?s)\[fit\] expected numbers.*help: encode text or categories"),
    "objects in x": (OBJECTS, Y, DTypeError, r"\[fit\] expected numbers. Received: an array of dtype object"),
    "objects in y": (X, OBJECTS, DTypeError, r"\[fit\] expected numbers. Received: an array of dtype object"),
    "None in y": (X, [None] * N, DTypeError, r"dtype object"),
    "dates in x": (np.full((N, D), "2020-01-01", "datetime64[D]"), Y, DTypeError, r"dtype datetime64"),
    "complex x": (X + 1j, Y, DTypeError, r"dtype complex"),
    "ragged x": ([[1.0, 2.0], [3.0]], [0, 1], ShapeError, r"rectangular array. Received: ragged"),
    "label too large": (X, np.where(Y == 2, 3, Y), DataError, r"labels? .*0.*2.*Received.*3"),
    "negative label": (X, np.where(Y == 2, -1, Y), DataError, r"labels? .*Received.*-1"),
    "labels from 1": (X, Y + 1, DataError, r"(?s)Received.*3.*help:"),
    "one-hot of another width": (X, np.eye(4, dtype="float32")[Y], ShapeError, r"(?s)\(24, 4\)|24, 4"),
    "one-hot as integers of another width": (X, np.eye(4, dtype=int)[Y], ValueError, r"24, 4"),
    "labels in two columns": (X, np.stack([Y, Y], 1), ValueError, r"24, 2"),
    "fractional labels": (X, Y + 0.5, ValueError, r"(?s)(integer|label|whole).*help|help"),
    "y of more axes": (X, np.zeros((N, C, 2), "float32"), ValueError, r"24, 3, 2"),
    "negative probabilities": (X, ONE_HOT - 0.5, ValueError, r"(?s)-0\.5|negative|probabilit|sum"),
}


@pytest.mark.parametrize("name", BAD_FIT)
def test_bad_data_change_nothing(name):
    x, y, error, message = BAD_FIT[name]
    model = classifier()
    before = everything(model)
    recordings = model._trainer.cache.recordings
    with pytest.raises(error, match=message):
        model.fit(x, y, batch_size=10, verbose=0)
    assert everything(model) == before
    assert model._trainer.cache.recordings == recordings
    for call in (model.evaluate, model.train_on_batch):
        with pytest.raises(error):
            call(x, y)
        assert everything(model) == before
    model.fit(X, Y, batch_size=10, verbose=0)  # it can go on
    assert everything(model) != before


@pytest.mark.parametrize("name", [n for n in BAD_FIT if n.endswith("x") and "nan" not in n and "inf" not in n])
def test_bad_data_in_predict(name):
    x, _, error, message = BAD_FIT[name]
    model = classifier()
    with pytest.raises(error, match=message.replace(r"\[fit\]", r"\[predict\]")):
        model.predict(x)


def test_good_one_hot_integers_are_taken():
    model = classifier()
    other = classifier()
    model.fit(X, ONE_HOT.astype(int), batch_size=10, verbose=0)
    other.fit(X, ONE_HOT, batch_size=10, verbose=0)
    assert everything(model) == everything(other)


def test_labels_in_one_column_are_taken():
    model = classifier()
    other = classifier()
    model.fit(X, Y[:, None], batch_size=10, verbose=0)
    other.fit(X, Y, batch_size=10, verbose=0)
    assert everything(model) == everything(other)


REGRESSION_TARGETS = {
    "width": (np.zeros((N, 3), "float32"), ShapeError, r"(?s)24, 2.*24, 3"),
    "vector": (np.zeros(N, "float32"), ShapeError, r"(?s)24, 2.*\(24,\)"),
    "rank": (np.zeros((N, 2, 2), "float32"), ShapeError, r"24, 2, 2"),
}


@pytest.mark.parametrize("name", REGRESSION_TARGETS)
def test_targets_of_a_wrong_shape_are_not_broadcast(name):
    y, error, message = REGRESSION_TARGETS[name]
    model = classifier("mse", out=2)
    before = everything(model)
    with pytest.raises(error, match=message):
        model.fit(X, y, verbose=0)
    assert everything(model) == before


@pytest.mark.parametrize("bad", [np.full((N, 1), 2.0), np.full((N, 1), -0.5), np.full((N, 1), 2), np.full((N, 1), -1)])
def test_binary_targets_outside_0_and_1(bad):
    model = classifier("binary_cross_entropy", out=1, ending="sigmoid")
    before = everything(model)
    with pytest.raises(DataError, match=r"(?s)0.*1.*Received"):
        model.fit(X, bad, verbose=0)
    assert everything(model) == before


# Weights, validation and the options of fit

BAD_OPTIONS = {
    "batch size 0": ({"batch_size": 0}, ValueError, r"expected batch_size to be a positive integer.*=0"),
    "batch size -1": ({"batch_size": -1}, ValueError, r"batch_size=-1"),
    "batch size 2.5": ({"batch_size": 2.5}, ValueError, r"batch_size=2\.5"),
    "batch size True": ({"batch_size": True}, ValueError, r"batch_size=True"),
    "batch size text": ({"batch_size": "32"}, ValueError, r"batch_size='32'"),
    "epochs 0": ({"epochs": 0}, ValueError, r"expected epochs.*epochs=0"),
    "epochs 1.5": ({"epochs": 1.5}, ValueError, r"epochs=1\.5"),
    "initial epoch": ({"initial_epoch": -1}, ValueError, r"expected initial_epoch.*at least 0.*initial_epoch=-1"),
    "verbose": ({"verbose": 7}, ValueError, r"expected verbose.*verbose=7"),
    "split 1.5": ({"validation_split": 1.5}, ValueError, r"to be a number in \(0, 1\).*validation_split=1\.5"),
    "split -0.1": ({"validation_split": -0.1}, ValueError, r"validation_split=-0\.1"),
    "split too small": ({"validation_split": 0.01}, ValueError, r"split=0\.01 of 24 samples leaves one part empty"),
    "weights too few": ({"sample_weight": np.ones(5)}, ShapeError, r"one sample_weight.*\(24,\). Received: \(5,\)"),
    "weights matrix": ({"sample_weight": np.ones((N, 2))}, ShapeError, r"sample_weight.*Received: \(24, 2\)"),
    "weights negative": ({"sample_weight": -np.ones(N)}, DataError, r"finite sample weights of at least 0"),
    "weights nan": ({"sample_weight": np.full(N, np.nan)}, DataError, r"finite sample weights"),
    "weights text": ({"sample_weight": ["a"] * N}, DTypeError, r"\[fit\] expected numbers"),
    "class weights as list": ({"class_weight": [1.0, 2.0]}, TypeError, r"\[class_weight\] expected a dict of class"),
    "class unknown": ({"class_weight": {0: 1.0, 1: 1.0, 2: 1.0, "x": 2.0}}, (ValueError, TypeError), r"class"),
    "class negative": ({"class_weight": {0: 1.0, 1: -1.0, 2: 1.0}}, ValueError, r"class"),
    "class nan": ({"class_weight": {0: 1.0, 1: float("nan"), 2: 1.0}}, ValueError, r"class"),
    "validation lengths": ({"validation_data": (X, Y[:-1])}, ShapeError, r"24 samples and 23 targets"),
    "validation without y": ({"validation_data": X}, ValueError, r"(?s)expected targets|validation_data"),
    "validation nan": ({"validation_data": (with_value(X, np.nan), Y)}, DataError, r"contains nan"),
    "callbacks": ({"callbacks": [print]}, TypeError, r"(?s)\[fit\] expected callbacks to be Callback.*help: subclass"),
    "unknown option": ({"batchsize": 3}, TypeError, r"batchsize"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_option_of_fit_changes_nothing(name):
    options, error, message = BAD_OPTIONS[name]
    model = classifier()
    before = everything(model)
    with pytest.raises(error, match=message):
        model.fit(X, Y, **{"verbose": 0, **options})
    assert everything(model) == before


@pytest.mark.parametrize("call", ["predict", "evaluate"])
@pytest.mark.parametrize("rows", [0, -3, 2.5, True, "8"])
def test_bad_batch_size_elsewhere(call, rows):
    model = classifier()
    data = (X,) if call == "predict" else (X, Y)
    with pytest.raises(
        ValueError, match=rf"\[{call}\] expected batch_size to be a positive integer. Received: batch_size={rows!r}"
    ):
        getattr(model, call)(*data, batch_size=rows)


# compile

BAD_COMPILE = {
    "loss": ({"loss": "cross_entropi"}, ValueError, r"loss.*'cross_entropi'.*did you mean 'cross_entropy'"),
    "loss mes": ({"loss": "mes"}, ValueError, r"did you mean 'mse'"),
    "optimizer": ({"optimizer": "adm"}, ValueError, r"unknown optimizer. Received: 'adm'. help: did you mean 'adam'"),
    "metric": ({"metrics": ["acuracy"]}, ValueError, r"unknown metric.*'acuracy'. help: did you mean 'accuracy'"),
    "loss number": ({"loss": 3}, (TypeError, ValueError), r"loss.*3"),
    "optimizer None": ({"optimizer": None}, (TypeError, ValueError), r"(?s)optimizer.*None"),
    "metric number": ({"metrics": [3]}, TypeError, r"\[metrics\].*Received: 3"),
    "seed": ({"seed": 1.5}, ValueError, r"\[compile\] expected seed to be an integer.*Received: seed=1\.5"),
    "negative seed": ({"seed": -1}, ValueError, r"seed to be an integer of at least 0. Received: seed=-1"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_COMPILE)
def test_bad_compile_keeps_the_earlier_one(name):
    settings, error, message = BAD_COMPILE[name]
    model = classifier()
    before = everything(model)
    with pytest.raises(error, match=message):
        model.compile(**{"optimizer": "sgd", "loss": "cross_entropy", **settings})
    assert everything(model) == before
    model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf"), "fast", None, [0.1]])
@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.RMSprop, optim.Adagrad])
def test_learning_rate_out_of_range(make, rate):
    with pytest.raises((ValueError, TypeError), match=r"learning_rate.*Received"):
        make(rate)


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf"), "fast", None])
def test_learning_rate_out_of_range_when_set(rate):
    model = classifier()
    before = everything(model)
    kept = model.optimizer.learning_rate
    with pytest.raises((ValueError, TypeError), match=r"learning_rate.*Received"):
        model.optimizer.learning_rate = rate
    assert model.optimizer.learning_rate == kept
    assert everything(model) == before


BAD_OPTIMIZERS = {
    "momentum 1": lambda: optim.SGD(0.1, momentum=1.0),
    "momentum -1": lambda: optim.SGD(0.1, momentum=-1.0),
    "beta_1": lambda: optim.Adam(0.1, beta_1=1.0),
    "beta_2": lambda: optim.Adam(0.1, beta_2=-0.5),
    "epsilon": lambda: optim.Adam(0.1, eps=-1e-8),
    "clip_norm": lambda: optim.SGD(0.1, clip_norm=-1.0),
    "clip_value": lambda: optim.SGD(0.1, clip_value=0.0),
    "weight_decay": lambda: optim.AdamW(0.1, weight_decay=-1.0),
    "rho": lambda: optim.RMSprop(0.1, rho=1.5),
}


@pytest.mark.parametrize("name", BAD_OPTIMIZERS)
def test_optimizer_setting_out_of_range(name):
    with pytest.raises((ValueError, TypeError)) as caught:
        BAD_OPTIMIZERS[name]()
    assert "unexpected keyword" not in str(caught.value)
    assert "Received" in str(caught.value)


# Order of calls


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.fit(X, Y, verbose=0), r"\[fit\] the model is not compiled. help: call model.compile"),
        (lambda m: m.evaluate(X, Y), r"\[evaluate\] the model is not compiled"),
        (lambda m: m.train_on_batch(X, Y), r"\[train_on_batch\] the model is not compiled"),
        (lambda m: m.profile(X, Y), r"\[profile\] the model is not compiled"),
        (lambda m: m.predict(X), r"(?s)\[predict\] the model is not built.*help: begin Sequential with nn\.Input"),
        (lambda m: m.get_weights(), r"(?s)\[get_weights\] the model is not built.*help"),
        (lambda m: m.set_weights([]), r"\[set_weights\] the model is not built"),
        (lambda m: m.optimizer, r"\[optimizer\] the model is not compiled"),
    ],
)
def test_calls_before_their_time(call, message):
    with pytest.raises(RuntimeError, match=message):
        call(nn.Sequential([nn.Dense(3)]))


def test_predict_after_compile_before_build():
    model = nn.Sequential([nn.Dense(3)])
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises((RuntimeError, DataError), match=r"(?s)\[predict\].*help: .*build"):
        model.predict(X)
    assert not model.built


def test_predict_with_an_input_layer_needs_no_build():
    assert nn.Sequential([nn.Input((D,)), nn.Dense(3)]).predict(X).shape == (N, 3)


# NaN on the way


def exploding(**options):
    """Return a model whose second layer overflows in the third batch of four rows, and its data."""
    model = nn.Sequential(
        [nn.Input((D,)), nn.Dense(4, name="first"), nn.Activation("exp", name="boom"), nn.Dense(1, name="last")]
    )
    model.compile(optimizer=optim.Adam(0.001), loss="mse", metrics=["mae"], seed=0, **options)
    x = np.full((N, D), 0.1, "float32")
    x[8:12] = 1e4
    model.set_weights([np.ones((D, 4)), np.zeros(4), np.full((4, 1), 0.1), np.zeros(1)])
    return model, x, np.ones((N, 1), "float32")


@pytest.mark.parametrize("eager", [False, True])
def test_loss_that_is_not_finite_names_batch_and_layer(eager):
    model, x, y = exploding(run_eagerly=eager)
    with pytest.raises(
        NonFiniteError, match=r"(?s)batch 2.*'boom' is the first.*update was not made.*help: lower the l"
    ):
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    other, _, _ = exploding(run_eagerly=eager)
    other.fit(x[:8], y[:8], batch_size=4, shuffle=False, verbose=0)
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in other.get_weights()]
    assert everything(model)[2] == 2


def test_loss_that_is_not_finite_in_the_first_batch():
    model, x, y = exploding()
    x[:4] = 1e4
    before = model.get_weights()
    with pytest.raises(NonFiniteError, match=r"batch 0.*'boom'"):
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    x[:] = 0.1
    model.fit(x, y, batch_size=4, verbose=0)


def test_loss_that_is_not_finite_in_the_partial_last_batch():
    model, x, y = exploding()
    x[:] = 0.1
    x[-1] = 1e4
    with pytest.raises(NonFiniteError, match=r"batch 2.*'boom'"):
        model.fit(x, y, batch_size=10, shuffle=False, verbose=0)


def test_loss_that_is_not_finite_in_a_batch_of_an_iterator():
    model, x, y = exploding()
    with pytest.raises(NonFiniteError, match=r"batch 2.*'boom'"):
        model.fit([(x[i : i + 4], y[i : i + 4]) for i in range(0, N, 4)], verbose=0)


def test_loss_that_is_not_finite_in_a_later_epoch():
    model = classifier("mse", optimizer=optim.SGD(0.1), out=1)
    model.optimizer.learning_rate = 1e3
    with pytest.raises(NonFiniteError, match=r"batch [012]: (layer 'dense|the loss is the first)"):
        model.fit(X, np.ones((N, 1), "float32"), batch_size=10, epochs=100, verbose=0)
    assert everything(model)[2] > 3 + 3  # beyond the first epoch
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_loss_itself_may_be_the_first_that_overflows():
    model = nn.Sequential([nn.Input((1,)), nn.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", seed=0)
    with pytest.raises(NonFiniteError, match=r"batch 0.*the loss is the first"):
        model.fit(np.full((2, 1), 1e30, "float32"), np.zeros((2, 1), "float32"), verbose=0)


def test_check_finite_can_be_switched_off():
    model, x, y = exploding()
    history = model.fit(x, y, batch_size=4, shuffle=False, verbose=0, check_finite=False)
    assert not np.isfinite(history.history["loss"][0])


def test_training_on_batch_checks_too():
    model, x, y = exploding()
    before = model.get_weights()
    with pytest.raises(NonFiniteError, match="'boom'"):
        model.train_on_batch(x, y)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


# What is converted, and said once


@pytest.fixture
def _forgetful():
    """Let conversions be said again."""
    noted = sys.modules["pynn.core.tensor"]._noted  # `pynn.tensor` is the function
    before = set(noted)
    noted.clear()
    yield
    noted.clear()
    noted.update(before)


CONVERSIONS = {
    "float16": (lambda x: x.astype("float16"), r"float16 array was converted to float32"),
    "big-endian": (lambda x: x.astype(">f4"), r"big-endian array was converted to native"),
}


@pytest.mark.parametrize("name", CONVERSIONS)
@pytest.mark.usefixtures("_forgetful")
def test_conversion_is_said_once(name):
    convert, message = CONVERSIONS[name]
    model, other = classifier(), classifier()
    x = convert(X)
    with pytest.warns(UserWarning, match=rf"\[fit\] a {message}") as caught:
        model.fit(x, Y, batch_size=10, verbose=0)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # it points at the caller
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, Y, batch_size=10, verbose=0)
    for _ in range(2):
        other.fit(np.ascontiguousarray(x, dtype="float32"), Y, batch_size=10, verbose=0)
    assert everything(model) == everything(other)


@pytest.mark.usefixtures("_forgetful")
def test_conversion_of_targets_and_tensors():
    model = classifier()
    with pytest.warns(UserWarning, match="big-endian"):
        model.fit(X, Y.astype(">i8"), batch_size=10, verbose=0)
    with pytest.warns(UserWarning, match=r"\[tensor\] a float16"):
        assert pynn.tensor(X.astype("float16")).dtype == np.float32


def test_ordinary_conversions_are_silent():
    """Lists, float64, every integer type and every layout are everyday input."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, two = classifier(), classifier()
        one.fit(X.astype("float64"), Y.tolist(), batch_size=10, verbose=0)
        two.fit(X, Y, batch_size=10, verbose=0)
        assert everything(one) == everything(two)
        one.predict(X.tolist())
        one.predict(np.asfortranarray(X))
        one.predict(X > 0)
        one.predict((X * 3).astype("int16"))


# Tensors and ops at the edge

BAD_TENSORS = [
    (lambda: pynn.tensor("abc"), DTypeError, r"\[tensor\] expected numbers. Received: an array of dtype <U3"),
    (lambda: pynn.tensor([["a", "b"]]), DTypeError, r"dtype <U1"),
    (lambda: pynn.tensor([object()]), DTypeError, r"dtype object"),
    (lambda: pynn.tensor([[1, 2], [3]]), ShapeError, r"\[tensor\] expected a rectangular array. Received: ragged"),
    (lambda: pynn.tensor([1, 2], requires_grad=True), DTypeError, r"only floating-point tensors have gradients"),
    (lambda: pynn.tensor(np.zeros((1,) * 7)), ShapeError, r"at most 6 dimensions"),
    (lambda: pynn.tensor([1.0], dtype="float16"), DTypeError, r"unknown dtype. Received: 'float16'. help: pynn has"),
    (lambda: pynn.tensor([1.0], dtype="nonsense"), DTypeError, r"unknown dtype. Received: 'nonsense'"),
    (lambda: pynn.tensor([1.0, 2.0]).item(), ShapeError, r"\[item\] expected a tensor with one element"),
    (lambda: pynn.tensor([1.0, 2.0]).backward(), RuntimeError, r"\[backward\] this tensor does not depend.*help"),
    (
        lambda: pynn.tensor([1.0, 2.0], requires_grad=True).exp().backward(),
        ShapeError,
        r"\[backward\] expected a tensor with one element.*help: reduce it first",
    ),
    (
        lambda: ops.add(pynn.tensor(np.zeros(3)), pynn.tensor(np.zeros(4))),
        ShapeError,
        r"\[add\].*broadcast.*\(3,\) and \(4,\)",
    ),
    (
        lambda: ops.add(pynn.tensor(np.zeros(3)), pynn.tensor(np.zeros(3, "float32"))),
        DTypeError,
        r"\[add\] expected operands of one dtype. Received: float64 and float32. help",
    ),
    (
        lambda: ops.matmul(pynn.tensor(np.zeros((2, 3))), pynn.tensor(np.zeros((2, 3)))),
        ShapeError,
        r"\[matmul\].*\(2, 3\)",
    ),
    (
        lambda: pynn.set_num_threads(0),
        ValueError,
        r"\[set_num_threads\] expected a positive integer up to 1024, or None. Received: 0",
    ),
    (lambda: pynn.set_num_threads(1.5), ValueError, r"Received: 1\.5"),
]


@pytest.mark.parametrize("case", range(len(BAD_TENSORS)))
def test_bad_tensor(case):
    call, error, message = BAD_TENSORS[case]
    with pytest.raises(error, match=message):
        call()


def test_images_channels_first_are_told_which_axis_to_move():
    model = nn.Sequential([nn.Input((8, 6, 3)), nn.Flatten(), nn.Dense(2)])
    with pytest.raises(ShapeError, match=r"as nn.Input says.*help: channels stand last here: np.moveaxis\(x, 1, -1\)"):
        model.predict(np.zeros((4, 3, 8, 6), "float32"))
    assert model.predict(np.moveaxis(np.zeros((4, 3, 8, 6), "float32"), 1, -1)).shape == (4, 2)


def test_a_size_of_none_is_told_that_others_pass():
    with pytest.raises(ShapeError, match=r"Received: shape=\(None, 1\). help: .* others pass where"):
        nn.Input((None, 1))
    model = nn.Sequential([nn.Input((5, 1)), nn.GRU(2), nn.Dense(1)])
    assert model.predict(np.zeros((3, 9, 1), "float32")).shape == (3, 1)
