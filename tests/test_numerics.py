"""Accuracy of the vectorized elementary functions over the whole float32 range, per instruction set."""

import numpy as np
import pytest

import pynn
from pynn import config, ops
from pynn.core import _core
from pynn.core.tensor import Tensor
from pynn.ops.activation import ELEMENTWISE

STEP = 509  # every 509th of the 2**32 float32 values; a prime, so that no bit of the mantissa is left out
LIMIT = 4.0
DENORMAL = np.float32(2.0**-149)
BIG = 2.0**128  # where float32 would go on: infinity counts as this


def _sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


FUNCTIONS = {
    "exp": (ops.exp, np.exp),
    "log": (ops.log, np.log),
    "tanh": (ops.tanh, np.tanh),
    "sigmoid": (ops.sigmoid, _sigmoid),
}


@pytest.fixture(scope="module")
def sweep():
    """Sorted by bit pattern: zeros, denormals, normals, infinity and NaN of both signs."""
    bits = np.arange(0, 2**32, STEP, dtype=np.uint64).astype(np.uint32)
    return bits.view(np.float32)


@pytest.fixture(scope="module")
def exact(sweep):
    """name -> float64 values on the sweep (float64 has 29 more bits than the result needs)."""
    with np.errstate(all="ignore"):  # some NaNs are signalling ones
        x = sweep.astype(np.float64)
        return {name: reference(x) for name, (_, reference) in FUNCTIONS.items()}


def ulp_error(y, expected):
    """The distance of float32 y from the exact value, in units of the last place of that value."""
    with np.errstate(over="ignore", invalid="ignore"):
        nearest = np.abs(expected.astype(np.float32))
        unit = np.where(np.isinf(nearest), 2.0**104, np.spacing(np.minimum(nearest, np.finfo(np.float32).max)))
        return np.abs(np.clip(y.astype(np.float64), -BIG, BIG) - np.clip(expected, -BIG, BIG)) / unit


@pytest.mark.parametrize("isa", _core.isa_available())
@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_at_most_four_ulp_over_the_whole_range(name, isa, sweep, exact):
    function, _ = FUNCTIONS[name]
    with config.use_isa(isa):
        y = function(Tensor.state(sweep)).numpy()
    expected = exact[name]
    nan = np.isnan(expected)
    assert np.array_equal(np.isnan(y), nan)
    error = ulp_error(y[~nan], expected[~nan])
    worst = int(np.argmax(error))
    assert error[worst] <= LIMIT, f"{name}({sweep[~nan][worst]!r}) = {y[~nan][worst]!r}: {error[worst]:.2f} ULP"


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_the_vector_units_agree_bit_for_bit(name, sweep):
    if not {"avx2", "avx512"} <= set(_core.isa_available()):
        pytest.skip("this machine has one vector unit only")
    function, _ = FUNCTIONS[name]
    results = []
    for isa in ("avx2", "avx512"):
        with config.use_isa(isa):
            results.append(function(Tensor.state(sweep)).numpy())
    nan = np.isnan(results[0])
    assert np.array_equal(nan, np.isnan(results[1]))
    assert np.array_equal(results[0][~nan].view(np.uint32), results[1][~nan].view(np.uint32))


INF, NAN = np.inf, np.nan
SPECIALS = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (NAN, NAN), (DENORMAL, 1.0), (-DENORMAL, 1.0),
            (89.0, INF), (-104.0, 0.0), (3e38, INF), (-3e38, 0.0)],
    "log": [(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (-INF, NAN), (NAN, NAN), (-1.0, NAN), (-DENORMAL, NAN),
            (DENORMAL, np.float32(np.log(2.0**-149)))],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (NAN, NAN), (DENORMAL, DENORMAL),
             (-DENORMAL, -DENORMAL), (3e38, 1.0), (-3e38, -1.0)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (NAN, NAN), (DENORMAL, 0.5), (3e38, 1.0),
                (-3e38, 0.0), (-104.0, 0.0)],
    "sqrt": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-1.0, NAN), (NAN, NAN), (4.0, 2.0)],
    "relu": [(0.0, 0.0), (-1.0, 0.0), (INF, INF), (-INF, 0.0), (NAN, NAN), (DENORMAL, DENORMAL)],
    "leaky_relu": [(INF, INF), (-INF, -INF), (NAN, NAN), (2.0, 2.0)],
    "elu": [(INF, INF), (-INF, -1.0), (NAN, NAN), (0.0, 0.0)],
    "softplus": [(INF, INF), (-INF, 0.0), (NAN, NAN), (3e38, 3e38), (-3e38, 0.0), (100.0, 100.0)],
    "silu": [(INF, INF), (NAN, NAN), (0.0, 0.0), (100.0, 100.0)],
    "gelu": [(INF, INF), (NAN, NAN), (0.0, 0.0), (100.0, 100.0), (-100.0, -0.0)],
    "abs": [(-0.0, 0.0), (-INF, INF), (NAN, NAN), (-DENORMAL, DENORMAL)],
    "neg": [(0.0, -0.0), (INF, -INF), (NAN, NAN)],
    "square": [(-INF, INF), (NAN, NAN), (1e30, INF)],
    "step": [(0.0, 1.0), (-0.0, 1.0), (-DENORMAL, 0.0), (INF, 1.0), (-INF, 0.0)],
}  # fmt: skip


def _same(y, expected):
    """Equal values, with the sign of zero, and NaN for NaN."""
    return (np.isnan(y) and np.isnan(expected)) or (y == expected and np.signbit(y) == np.signbit(expected))


@pytest.mark.parametrize("isa", _core.isa_available())
@pytest.mark.parametrize("name", list(SPECIALS))
def test_special_values(name, isa):
    """One value alone, and in every lane among ordinary values."""
    for x, expected in SPECIALS[name]:
        expected = np.float32(expected)
        with config.use_isa(isa):
            alone = getattr(ops, name)(pynn.tensor(np.full(1, x, np.float32))).numpy()[0]
            assert _same(alone, expected), f"{name}({x}) = {alone}, expected {expected}"
            plain = getattr(ops, name)(pynn.tensor(np.full(33, 0.5, np.float32))).numpy()
            for lane in (0, 5, 15, 31, 32):
                mixed = np.full(33, 0.5, np.float32)
                mixed[lane] = x
                y = getattr(ops, name)(pynn.tensor(mixed)).numpy()
                assert _same(y[lane], expected)
                assert np.array_equal(np.delete(y, lane), np.delete(plain, lane))


@pytest.mark.parametrize("isa", _core.isa_available())
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_extremes_of_two_let_nan_through(name, isa):
    a = np.array([NAN, 1.0, NAN, INF, -INF] * 7, np.float32)
    b = np.array([1.0, NAN, NAN, 2.0, 2.0] * 7, np.float32)
    with config.use_isa(isa):
        y = getattr(ops, name)(pynn.tensor(a), pynn.tensor(b)).numpy()
    assert np.array_equal(y, getattr(np, name)(a, b), equal_nan=True)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_extremes_and_argmax_let_nan_through(axis):
    x = np.arange(35, dtype=np.float32).reshape(5, 7) % 11
    x[2, 3] = NAN
    t = pynn.tensor(x)
    assert np.array_equal(t.max(axis).numpy(), x.max(axis), equal_nan=True)
    assert np.array_equal(t.min(axis).numpy(), x.min(axis), equal_nan=True)
    if axis is not None:
        assert np.array_equal(t.argmax(axis).numpy(), x.argmax(axis))


@pytest.mark.parametrize("isa", _core.isa_available())
def test_a_long_sum_is_accurate(isa, rng):
    """Pieces and lanes keep the error of a float32 sum of a million terms near the rounding of the result."""
    x = rng.uniform(0, 1, 1_000_003).astype(np.float32)
    with config.use_isa(isa):
        got = pynn.tensor(x).sum().item()
    assert abs(got - x.astype(np.float64).sum()) / x.astype(np.float64).sum() < 1e-5


@pytest.mark.parametrize("isa", _core.isa_available())
def test_gradients_at_the_tails_are_finite(isa):
    x = np.array([-3e38, -200.0, -100.0, -20.0, 20.0, 100.0, 200.0, 3e38], np.float32)
    for name in (name for name, row in ELEMENTWISE.items() if row.layer and row.saves):
        found = []
        for dtype in ("float64", "float32"):
            t = pynn.tensor(x.astype(dtype), requires_grad=True)
            with config.use_isa(isa):
                getattr(ops, name)(t).sum().backward()
            found.append(t.grad.numpy())
        with np.errstate(over="ignore"):  # exp and its like leave float32 in earnest
            expected = np.isfinite(found[0].astype(np.float32))
        assert np.isfinite(found[1])[expected].all(), name


def test_integers_wrap_as_in_numpy():
    for dtype in ("int32", "int64"):
        x = np.array([np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)
        with np.errstate(over="ignore"):
            assert np.array_equal((pynn.tensor(x) + 1).numpy(), x + np.array(1, dtype))
            assert np.array_equal((pynn.tensor(x) * 3).numpy(), x * np.array(3, dtype))
            assert np.array_equal((-pynn.tensor(x)).numpy(), -x)


# Reductions, powers and transposes take other paths for short, long and odd sizes.


@pytest.mark.parametrize("isa", _core.isa_available())
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_extremes_of_rows_of_every_length(isa, dtype):
    rng = np.random.default_rng(0)
    with config.use_isa(isa):
        for n in (*range(1, 70), 127, 128, 129, 1000):
            x = rng.integers(-9, 9, (3, n)).astype(dtype)  # many are equal
            t = Tensor.state(x)
            assert np.array_equal(ops.max(t, 1).numpy(), x.max(1)), n
            assert np.array_equal(ops.min(t, 1).numpy(), x.min(1)), n
            assert np.array_equal(ops.argmax(t, 1).numpy(), x.argmax(1)), n
            t = Tensor.state(x.reshape(1, 3, n))
            assert np.array_equal(ops.max(t, 1).numpy()[0], x.max(0)), n
            assert np.array_equal(ops.argmax(t, 1).numpy()[0], x.argmax(0)), n


@pytest.mark.parametrize("isa", _core.isa_available())
@pytest.mark.parametrize("n", [1, 7, 16, 33, 100])
def test_nan_comes_through_an_extreme_wherever_it_stands(isa, n):
    with config.use_isa(isa):
        for at in range(n):
            x = np.linspace(-1, 1, n, dtype=np.float32)
            x[at] = np.nan
            for shape, axis in (((1, n), 1), ((n, 1), 0), ((1, n, 3), 1)):
                t = Tensor.state(np.broadcast_to(x.reshape(shape[:2] + (1,) * (len(shape) - 2)), shape).copy())
                assert np.isnan(ops.max(t, axis).numpy()).all()
                assert np.isnan(ops.min(t, axis).numpy()).all()
                assert (ops.argmax(t, axis).numpy() == at).all()


@pytest.mark.parametrize("isa", _core.isa_available())
@pytest.mark.parametrize("power", [-1.0, 1.0, 2.0, 3.0, 2.5])
def test_powers(isa, power):
    x = np.array([-np.inf, -3.0, -0.0, 0.0, 1e-30, 0.7, 3.0, 1e13, np.inf, np.nan] * 5, np.float32)
    with config.use_isa(isa), np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), power).astype(np.float32)
        y = ops.pow(Tensor.state(x), Tensor.state(np.float32(power))).numpy()
        np.testing.assert_allclose(y, exact, rtol=3e-7)
        sure = ~np.isnan(exact)  # the sign of NaN is each processor's own
        assert np.array_equal(np.signbit(y[sure]), np.signbit(exact[sure]))
        each = ops.pow(Tensor.state(x), Tensor.state(np.full(50, power, np.float32))).numpy()
        np.testing.assert_allclose(each, exact, rtol=3e-7)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "int64"])
def test_transposes_of_odd_sizes(dtype):
    rng = np.random.default_rng(0)
    for shape in ((1, 5), (5, 1), (4, 4), (31, 67), (64, 3), (2, 33, 35), (3, 5, 2, 37)):
        x = rng.integers(0, 200, shape).astype(dtype)
        for axes in ((*range(len(shape) - 2), len(shape) - 1, len(shape) - 2), tuple(range(len(shape)))[::-1]):
            assert np.array_equal(ops.transpose(Tensor.state(x), axes).numpy(), x.transpose(axes)), (shape, axes)
    column = rng.integers(0, 200, (7, 1)).astype(dtype)
    assert np.array_equal(ops.expand(Tensor.state(column), (7, 19)).numpy(), np.broadcast_to(column, (7, 19)))


@pytest.mark.parametrize("isa", _core.isa_available())
def test_sine_and_cosine_of_every_size(isa, rng):
    x = np.concatenate([
        np.ldexp(rng.uniform(0.5, 1, 60_000), rng.integers(-149, 129, 60_000)).astype(np.float32),
        (np.arange(1, 4000) * np.pi / 2).astype(np.float32),  # where little is left
        np.float32([1e6, 1.0485761e6, 16367173 * 2.0**72, 3.4028235e38, 1e-45, 0.0]),
    ])  # fmt: skip
    x = np.concatenate([x, -x])
    with config.use_isa(isa):
        for op, function in ((ops.sin, np.sin), (ops.cos, np.cos)):
            y, exact = op(Tensor.state(x)).numpy(), function(x.astype(np.float64)).astype(np.float32)
            assert (np.abs(y - exact) <= np.spacing(np.abs(exact))).all()
            assert np.array_equal(np.signbit(y), np.signbit(exact))
            odd = op(Tensor.state(np.float32([np.inf, -np.inf, np.nan]))).numpy()
            assert np.isnan(odd).all()
            assert not np.signbit(odd[:2]).any()
