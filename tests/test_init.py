"""Every initializer: moments, bounds, shapes, seeds, names and refusals."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from pynn import init, nn
from pynn.errors import DTypeError, ShapeError

NAMES = [
    "zeros",
    "ones",
    "constant",
    "uniform",
    "normal",
    "truncated_normal",
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "orthogonal",
]
RANDOM = NAMES[3:]

DENSE = (200, 300)
CONV = (3, 3, 40, 50)

# Variance times n, and n as a function of (n_in, n_out).
VARIANCES = {
    "glorot_uniform": lambda n_in, n_out: 2 / (n_in + n_out),
    "glorot_normal": lambda n_in, n_out: 2 / (n_in + n_out),
    "he_uniform": lambda n_in, n_out: 2 / n_in,
    "he_normal": lambda n_in, n_out: 2 / n_in,
    "lecun_uniform": lambda n_in, n_out: 1 / n_in,
    "lecun_normal": lambda n_in, n_out: 1 / n_in,
}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((7,), (7, 7)), ((784, 100), (784, 100)), ((3, 5, 4, 6), (60, 90)), ((5, 4, 6), (20, 30))],
)
def test_fans(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert init.fans(shape) == expected


@pytest.mark.parametrize(("shape", "fan"), [(DENSE, (200, 300)), (CONV, (360, 450))])
@pytest.mark.parametrize("name", VARIANCES)
def test_variance_scaling_has_the_moments_and_bounds_of_its_formula(name, shape, fan) -> None:
    variance = VARIANCES[name](*fan)
    w = init.get(name)(shape, dtype=np.float64, seed=3)
    # Four standard errors: of the mean, and of the variance, whose relative error is below sqrt(2 / n).
    assert abs(w.mean()) < 4 * math.sqrt(variance / w.size)
    assert abs(w.var() / variance - 1) < 4 * math.sqrt(2 / w.size)
    if name.endswith("uniform"):
        limit = math.sqrt(3 * variance)
        assert 0.999 * limit < abs(w).max() <= limit
    else:
        limit = 2 * math.sqrt(variance) / init.TRUNCATED_STD
        assert 0.98 * limit < abs(w).max() <= limit


def test_truncated_std_is_that_of_the_truncated_normal_distribution() -> None:
    density = math.exp(-2.0) / math.sqrt(2 * math.pi)
    mass = math.erf(2 / math.sqrt(2))
    assert math.isclose(init.TRUNCATED_STD, math.sqrt(1 - 4 * density / mass), rel_tol=1e-12)


def test_glorot_uniform_bound_in_float32() -> None:
    limit = math.sqrt(6 / (784 + 512))
    w = init.get("glorot_uniform")((784, 512), seed=0)
    assert w.dtype == np.float32
    assert abs(w).max() <= np.float32(limit)
    assert abs(w).max() > 0.9999 * limit


def test_uniform_and_normal_have_their_moments() -> None:
    u = init.Uniform(1.0, 3.0)((100_000,), dtype=np.float64, seed=5)
    assert 1.0 <= u.min() < 1.001
    assert 2.999 < u.max() <= 3.0
    assert abs(u.mean() - 2.0) < 4 * math.sqrt(1 / 3 / u.size)
    n = init.Normal(mean=-1.0, std=2.0)((100_000,), dtype=np.float64, seed=5)
    assert abs(n.mean() + 1.0) < 4 * 2 / math.sqrt(n.size)
    assert abs(n.std() / 2.0 - 1) < 4 / math.sqrt(2 * n.size)
    assert abs(n + 1.0).max() > 6.0
    t = init.TruncatedNormal(mean=-1.0, std=2.0)((100_000,), dtype=np.float64, seed=5)
    assert 3.99 < abs(t + 1.0).max() <= 4.0
    assert abs(t.std() / (2.0 * init.TRUNCATED_STD) - 1) < 0.01


def test_constants() -> None:
    assert (init.get("zeros")((3, 4)) == 0).all()
    assert (init.get("ones")((3, 4)) == 1).all()
    assert (init.Constant(0.25)((3, 4)) == 0.25).all()
    assert init.get("constant") == init.Constant(0.0)


@pytest.mark.parametrize("shape", [(40, 40), (60, 20), (20, 60), (3, 3, 4, 50), (3, 3, 4, 10), (1, 1)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    w = init.Orthogonal(gain=1.5)(shape, dtype=np.float64, seed=2)
    assert w.shape == shape
    w = w.reshape(-1, shape[-1]) / 1.5
    product = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(product, np.eye(min(w.shape)), atol=1e-13)


def test_orthogonal_is_not_biased_to_one_orientation() -> None:
    matrices = [init.Orthogonal()((3, 3), dtype=np.float64, seed=s) for s in range(2000)]
    # Each entry of a uniform orthogonal 3x3 matrix has mean 0 and variance 1/3.
    assert abs(np.mean(matrices, axis=0)).max() < 4 * math.sqrt(1 / 3 / 2000)
    assert 0.4 < np.mean([np.linalg.det(m) > 0 for m in matrices]) < 0.6


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shape_dtype_and_layout(name: str, dtype) -> None:
    w = init.get(name)((6, 4), dtype=dtype, seed=1)
    assert w.shape == (6, 4)
    assert w.dtype == dtype
    assert w.flags.c_contiguous
    assert w.flags.writeable
    assert init.get(name)((0, 4)).shape == (0, 4)


SEEDS = (0, 1, [], [0, 0], [0, 1], [1, 0], [1, 0, 0], [0, 1, 2], 2**32, 2**32 + 1, 2**63)


@pytest.mark.parametrize("name", RANDOM)
def test_seeds(name: str) -> None:
    initializer = init.get(name)
    same = [initializer((8, 5), seed=s) for s in (7, 7, np.int64(7))]
    assert same[0].tobytes() == same[1].tobytes() == same[2].tobytes()
    different = [initializer((8, 5), seed=s).tobytes() for s in SEEDS]
    assert len(set(different)) == len(different)
    # float32 is float64 rounded, so that a check in float64 starts from the same weights.
    exact = initializer((8, 5), dtype=np.float64, seed=7)
    assert exact.astype(np.float32).tobytes() == same[0].tobytes()


def test_the_global_generator_is_left_alone() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    init.get("he_normal")((10, 10), seed=3)
    assert (np.random.get_state()[1] == before).all()


def test_orthogonal_has_the_same_bits_for_any_number_of_blas_threads() -> None:
    code = (
        "import hashlib, numpy as np; from pynn import init; "
        "print(hashlib.sha256(init.Orthogonal()((150, 150), np.float64, seed=4)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "4")
    }
    assert len(digests) == 1


def test_names_and_objects() -> None:
    assert isinstance(init.get("glorot_uniform"), init.GlorotUniform)
    assert repr(init.get("he_normal")) == "HeNormal()"
    mine = init.Normal(std=0.01)
    assert init.get(mine) is mine
    assert init.GlorotUniform() == init.GlorotUniform()
    assert init.Normal(std=0.01) != init.Normal(std=0.02)


def test_an_unknown_name_gives_the_nearest_one() -> None:
    with pytest.raises(
        ValueError, match=r"unknown initializer. Received: 'glorot_unifrom'.*did you mean 'glorot_uniform'"
    ):
        init.get("glorot_unifrom")


@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "bool"])
def test_weights_have_the_dtype_of_their_layer_whatever_an_initializer_returns(dtype) -> None:
    layer = nn.Dense(3, kernel_initializer=lambda shape, *_: np.ones(shape, dtype))
    assert layer(np.ones((2, 4), "float32")).dtype == np.float32
    assert layer.w.dtype == np.float32
    assert (layer.w.numpy() == 1).all()


@pytest.mark.parametrize("wrong", [3, None, init.Initializer])
def test_things_that_are_no_initializers(wrong) -> None:
    with pytest.raises(TypeError, match="expected a name or an initializer object"):
        init.get(wrong)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: init.Constant(math.nan), "finite value"),
        (lambda: init.Uniform(1, 0), r"\[Uniform\] expected finite low <= high. Received: low=1, high=0"),
        (lambda: init.Uniform(0, math.inf), "finite"),
        (lambda: init.Normal(std=-1), "std >= 0"),
        (lambda: init.TruncatedNormal(std=math.nan), r"\[TruncatedNormal\]"),
        (lambda: init.VarianceScaling(scale=0), "scale > 0"),
        (lambda: init.VarianceScaling(mode="fan_inn"), "did you mean 'fan_in'"),
        (lambda: init.VarianceScaling(distribution="unifrom"), "did you mean 'uniform'"),
        (lambda: init.Orthogonal(gain=math.inf), "finite gain"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, "7", None, [1, -1]])
def test_seeds_that_are_refused(seed) -> None:
    with pytest.raises(ValueError, match="expected seed to be whole numbers"):
        init.Normal()((3,), seed=seed)


def test_shapes_and_dtypes_that_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"two or more dimensions. Received: shape=\(5,\)"):
        init.Orthogonal()((5,))
    for shape in ((3, -1), (3, 2.0), ("3",)):
        with pytest.raises(ShapeError, match="whole numbers >= 0"):
            init.Zeros()(shape)
    for dtype in (np.int32, np.float16, bool):
        with pytest.raises(DTypeError, match=r"float32(,| or) float64"):
            init.Zeros()((3,), dtype=dtype)


@pytest.mark.parametrize("name", ["ones", "zeros", "normal", "uniform"])
def test_a_single_number_has_no_axis(name):
    assert init.get(name)((), "float32", 0).shape == ()
