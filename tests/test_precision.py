"""Products of bfloat16: accuracy, gradients, threads, programs, and where there is no unit for them."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest

import pynn
from pynn import config, nn, ops
from pynn.core import _core
from pynn.core.card import CARDS
from pynn.core.graph import execute

UNITS = _core.units_available()
PLANES = {"medium": 1, "high": 2}
# Of a product: |error| <= ROUNDING |a| |b|. Rounding to bfloat16 is off by at most 2^-9 of each operand; what the
# second plane leaves of it by 2^-17 at most, and the product of two second planes, left out, is 2^-18.
ROUNDING = {"medium": 2**-8 + 2**-16, "high": 2**-15}
CASES = [(unit, precision) for unit in UNITS for precision in PLANES]
SHAPES = [
    (16, 16, 32),
    (33, 70, 101),
    (17, 257, 513),
    (40, 20, 1601),
    (64, 64, 64),
    (600, 37, 45),
    (16, 16, 31),
    (1, 64, 64),
]

needs_unit = pytest.mark.skipif(not UNITS, reason="no bfloat16 instructions in this processor")
each_case = pytest.mark.parametrize(("unit", "precision"), CASES)


@contextlib.contextmanager
def using(precision, unit=None):
    before = pynn.get_precision()
    pynn.set_precision(precision)
    try:
        with config.use_matrix_unit(unit) if unit else contextlib.nullcontext():
            yield
    finally:
        pynn.set_precision(before)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def scaled(*kernel):
    """Weights of a convolution whose outputs saturate no activation."""
    return normal(*kernel, seed=1) / np.float32(np.sqrt(np.prod(kernel[:3])))


def bf16(x):
    """Round to bfloat16, to the nearest and ties to even."""
    bits = np.asarray(x, "float32").view("uint32").astype("uint64")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype("uint32").view("float32")


def backward(dtype, function, *arrays):
    """Return the value of a function of arrays and the gradients of a fixed combination of it."""
    inputs = [pynn.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    y = function(*inputs)
    weights = np.cos(np.arange(y.numpy().size)).reshape(y.shape).astype(dtype)
    (y * pynn.tensor(weights)).sum().backward()
    return [y.numpy(), *(t.grad.numpy() for t in inputs)]


@each_case
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
def test_product_is_as_exact_as_promised(unit, precision, transposed, m, n, k):
    a, b = normal(m, k), normal(k, n, seed=1)
    with using(precision, unit):
        left, right = (
            pynn.tensor(np.ascontiguousarray(x.T) if t else x) for x, t in zip((a, b), transposed, strict=True)
        )
        y = execute(CARDS["matmul"], (left, right), {"ta": transposed[0], "tb": transposed[1]})[0].numpy()
    exact, bound = a.astype("d") @ b, np.abs(a).astype("d") @ np.abs(b)
    assert (np.abs(y - exact) <= (ROUNDING[precision] + 4e-7) * bound).all()
    relative = np.linalg.norm(y - exact) / np.linalg.norm(exact)
    assert relative < (4e-3 if precision == "medium" else 6e-6)


@needs_unit
@pytest.mark.parametrize("unit", UNITS)
def test_medium_is_the_float32_product_of_rounded_operands(unit):
    a, b = normal(32, 48), normal(48, 64, seed=1)
    with using("medium", unit):
        y = ops.matmul(pynn.tensor(a), pynn.tensor(b)).numpy()
    exact = bf16(a).astype("d") @ bf16(b)
    np.testing.assert_allclose(y, exact, rtol=0, atol=4e-6 * np.abs(exact).max())
    assert np.abs(y - a @ b).max() > 1e-3  # it is not float32 in disguise


WALKS = [
    ((2, 9, 9, 4), (3, 3, 4, 6), {"padding": "same"}),
    ((3, 12, 11, 32), (3, 3, 32, 64), {}),
    ((2, 9, 10, 34), (3, 3, 34, 18), {"padding": "same", "strides": 2}),
    ((17, 10, 10, 6), (5, 5, 6, 16), {}),
    ((2, 11, 9, 8), (3, 3, 8, 24), {"dilation": 2}),
    ((2, 7, 8, 16), (3, 3, 8, 20), {"groups": 2, "padding": "same"}),
    ((2, 17, 17, 64), (3, 3, 64, 48), {"padding": "same", "activation": "relu"}),
    ((1, 30, 26, 40), (3, 3, 40, 36), {"activation": "tanh"}),
    ((2, 20, 21, 48), (5, 5, 48, 80), {"padding": "same", "dilation": 2}),
    ((40, 5, 6, 34), (2, 3, 34, 66), {"activation": "tanh"}),  # several images in a unit of work
    ((2, 70, 65, 32), (3, 3, 32, 34), {}),  # several bands of an image
    ((3, 12, 13, 64), (1, 1, 64, 32), {}),
    ((2, 8, 8, 3), (3, 3, 3, 20), {}),  # an odd number of channels: float32
]


@each_case
@pytest.mark.parametrize(("image", "kernel", "options"), WALKS)
def test_convolution_and_its_gradients(unit, precision, image, kernel, options):
    def walk(x, w, b):
        return ops.conv2d(x, w, b, **options)

    arrays = normal(*image), scaled(*kernel), normal(kernel[-1], seed=2)
    with using(precision, unit):
        found = backward("float32", walk, *arrays)
    if options.get("activation") == "relu":  # whose gradient jumps where rounding crosses 0
        found = found[:1]
    for y, exact in zip(found, backward("float64", walk, *arrays), strict=False):
        assert np.linalg.norm(y - exact) <= (5e-3 if precision == "medium" else 1e-5) * np.linalg.norm(exact)


@each_case
@pytest.mark.parametrize("image", [(3, 14, 15, 64), (33, 6, 5, 32), (2, 60, 70, 32)])
def test_gradients_of_a_first_convolution(unit, precision, image):
    """Where nobody wants dx, dz is made block by block."""
    x, w, b = normal(*image), scaled(3, 3, image[-1], 48), normal(48, seed=2)

    def first(dtype):
        fixed = pynn.tensor(x.astype(dtype))
        return backward(dtype, lambda w, b: ops.conv2d(fixed, w, b, activation="tanh"), w, b)

    with using(precision, unit):
        found = first("float32")
    for y, exact in zip(found, first("float64"), strict=True):
        assert np.linalg.norm(y - exact) <= (5e-3 if precision == "medium" else 1e-5) * np.linalg.norm(exact)


@each_case
def test_a_pixel_that_is_not_finite_stays_in_its_patches(unit, precision):
    x, w = normal(2, 13, 15, 32), normal(3, 3, 32, 32, seed=1)
    x[0, 6, 7, 3] = np.nan
    with using(precision, unit):
        y = ops.conv2d(pynn.tensor(x), pynn.tensor(w), padding="same").numpy()
    hidden = np.isnan(y)
    assert hidden[0, 5:8, 6:9].all()
    hidden[0, 5:8, 6:9] = False
    assert not hidden.any()


def run_lstm(x, w, u, b):
    return ops.lstm(x, w, u, b)[0]


def run_gru(x, w, u, b):
    return ops.gru(x, w, u, b, reset_after=False)[0]


def run_gru_after(x, w, u, b):
    return ops.gru(x, w, u, ops.reshape(ops.concat([b, b]), (2, -1)))[0]


def run_simple(x, w, u, b):
    return ops.simple_rnn(x, w, u, b)[0]


@each_case
@pytest.mark.parametrize(("run", "columns"), [(run_lstm, 4), (run_gru, 3), (run_gru_after, 3), (run_simple, 1)])
@pytest.mark.parametrize(("n", "steps", "features", "units"), [(32, 4, 64, 48), (19, 3, 33, 37)])
def test_recurrent_layers_and_their_gradients(unit, precision, run, columns, n, steps, features, units):
    arrays = (
        normal(n, steps, features),
        normal(features, columns * units, seed=1) / 8,
        normal(units, columns * units, seed=2) / 8,
        normal(columns * units, seed=3),
    )
    with using(precision, unit):
        found = backward("float32", run, *arrays)
    exact, plain = backward("float64", run, *arrays), backward("float32", run, *arrays)
    for y, true in zip(found, exact, strict=True):
        assert np.linalg.norm(y - true) <= (1e-2 if precision == "medium" else 2e-5) * np.linalg.norm(true)
    assert all(np.abs(a - b).max() > 1e-7 for a, b in zip(found, plain, strict=True))


def small_network():
    layers = [
        nn.Input((12, 12, 2)),
        nn.Conv2D(16, 3, activation="relu"),
        nn.Conv2D(32, 3, padding="same", activation="relu"),
        nn.MaxPool2D(2),
        nn.Flatten(),
        nn.Dense(48, activation="tanh"),
        nn.Dense(10, activation="softmax"),
    ]
    model = nn.Sequential(layers)
    model.compile(optimizer=pynn.optim.Adam(1e-3), loss="cross_entropy", seed=0)
    return model


def weights_after_training(threads):
    x, y = normal(96, 12, 12, 2), np.arange(96, dtype="int32") % 10
    pynn.set_num_threads(threads)
    try:
        model = small_network()
        model.fit(x, y, epochs=2, batch_size=32, verbose=0)
        return [w.copy() for w in model.get_weights()]
    finally:
        pynn.set_num_threads(None)


@each_case
def test_same_bits_for_any_number_of_threads(unit, precision):
    with using(precision, unit):
        one, two, four = (weights_after_training(threads) for threads in (1, 2, 4))
    for a, b, c in zip(one, two, four, strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()


@each_case
def test_eager_equals_program(unit, precision):
    x = normal(40, 12, 12, 2)
    with using(precision, unit):
        model = small_network()
        model.build((1, 12, 12, 2))
        assert model.predict(x, batch_size=40, verbose=0).tobytes() == model(pynn.tensor(x)).numpy().tobytes()


@needs_unit
def test_a_change_of_precision_reaches_recorded_programs():
    x = normal(40, 12, 12, 2)
    model = small_network()
    model.build((1, 12, 12, 2))
    before = model.predict(x, verbose=0)
    with using("medium", UNITS[0]):
        within = model.predict(x, verbose=0)
    assert not np.array_equal(before, within)
    np.testing.assert_allclose(before, within, atol=0.02)
    assert model.predict(x, verbose=0).tobytes() == before.tobytes()


@needs_unit
def test_units_agree():
    a, b = normal(50, 130), normal(130, 70, seed=1)
    found = []
    for unit in UNITS:
        with using("high", unit):
            found.append(ops.matmul(pynn.tensor(a), pynn.tensor(b)).numpy())
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=0, atol=3e-6 * np.abs(found[0]).max())


@each_case
def test_what_is_not_finite_is_not_hidden(unit, precision):
    a, b = normal(32, 64), normal(64, 32, seed=1)
    a[3, 5], a[7, 1] = np.nan, np.inf
    with using(precision, unit):
        y = ops.matmul(pynn.tensor(a), pynn.tensor(b)).numpy()
    assert not np.isfinite(y[[3, 7]]).any()
    assert np.isfinite(np.delete(y, [3, 7], axis=0)).all()


@needs_unit
def test_float64_does_not_change():
    a, b = normal(32, 64).astype("d"), normal(64, 32, seed=1).astype("d")
    exact = ops.matmul(pynn.tensor(a), pynn.tensor(b)).numpy()
    with using("medium", UNITS[0]):
        assert ops.matmul(pynn.tensor(a), pynn.tensor(b)).numpy().tobytes() == exact.tobytes()


@needs_unit
def test_other_instruction_sets_have_float32():
    a, b = normal(32, 64), normal(64, 32, seed=1)
    with config.use_isa("avx2"):
        plain = ops.matmul(pynn.tensor(a), pynn.tensor(b)).numpy()
        with using("medium"):
            assert config.matrix_unit() is None
            assert ops.matmul(pynn.tensor(a), pynn.tensor(b)).numpy().tobytes() == plain.tobytes()


def test_without_a_unit_everything_is_float32(monkeypatch):
    monkeypatch.setattr(_core, "units_available", lambda: [])
    a, b = normal(32, 64), normal(64, 32, seed=1)
    plain = ops.matmul(pynn.tensor(a), pynn.tensor(b)).numpy()
    for precision in PLANES:
        with using(precision):
            assert config.matrix_unit() is None
            assert pynn.get_precision() == precision
            assert ops.matmul(pynn.tensor(a), pynn.tensor(b)).numpy().tobytes() == plain.tobytes()


def test_the_fastest_worthwhile_unit_is_chosen(monkeypatch):
    def chosen(precision, available, quick=True):
        monkeypatch.setattr(_core, "dots_quick", lambda: quick)
        monkeypatch.setattr(_core, "units_available", lambda: available)
        with using(precision):
            return config.matrix_unit()

    if config.info()["isa"] == "avx512":
        assert chosen("medium", ["avx512_bf16", "amx", "amx_emulated"]) == "amx"
        assert chosen("medium", ["avx512_bf16", "amx_emulated"]) == "avx512_bf16"
        assert chosen("medium", ["avx512_bf16", "amx_emulated"], quick=False) is None
        assert chosen("high", ["avx512_bf16", "amx", "amx_emulated"]) == "amx"
        assert chosen("high", ["avx512_bf16", "amx_emulated"]) is None  # float32 is faster
    assert chosen("highest", ["avx512_bf16", "amx"]) is None


def test_unknown_names_change_nothing():
    with pytest.raises(ValueError, match="medium"):
        pynn.set_precision("meduim")
    assert pynn.get_precision() == "highest"
    with pytest.raises(ValueError, match="use_matrix_unit"), config.use_matrix_unit("tpu"):
        pass


@pytest.mark.parametrize(("value", "text"), [("medium", "medium"), ("low", "PYNN_PRECISION")])
def test_precision_from_the_environment(value, text):
    program = "import pynn; print(pynn.get_precision())"
    found = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYNN_PRECISION": value}, capture_output=True, text=True
    )
    assert text in found.stdout + found.stderr
    assert (found.returncode == 0) == (value == "medium")


@each_case
def test_digits_are_learned_as_well(unit, precision):
    data = pytest.importorskip("sklearn.datasets").load_digits()
    x, y = (data.images[..., None] / 16).astype("float32"), data.target.astype("int32")
    scores = {}
    for name, one in (("highest", None), (precision, unit)):
        with using(name, one):
            model = nn.Sequential(
                [nn.Input((8, 8, 1)), nn.Conv2D(16, 3, activation="relu"), nn.Conv2D(32, 3, activation="relu"),
                 nn.Flatten(), nn.Dense(64, activation="relu"), nn.Dense(10, activation="softmax")]
            )  # fmt: skip
            model.compile(optimizer=pynn.optim.Adam(2e-3), loss="cross_entropy", metrics=["accuracy"], seed=0)
            model.fit(x[:1200], y[:1200], epochs=4, batch_size=32, verbose=0)
            scores[name] = model.evaluate(x[1200:], y[1200:], verbose=0)["accuracy"]
    assert scores["highest"] > 0.9
    assert abs(scores["highest"] - scores[precision]) < 0.02
