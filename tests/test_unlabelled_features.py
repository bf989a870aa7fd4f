"""Features that need no labels: whitening, K-means, sparse codes."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.cluster import KMeans
from sklearn.decomposition import SparseCoder
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from pynn.errors import DataError, ShapeError
from pynn.estimators import PSD, ZCA, KMeansFeatures, fista, ista
from pynn.estimators.lloyd import lloyd, nearest
from pynn.estimators.patches import all_patches, normalized, some_patches


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([ZCA(), PSD(n_components=3, max_iter=2)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_whitening_gives_the_identity_and_goes_back(rng):
    x = rng.standard_normal((400, 5)) @ rng.standard_normal((5, 5)) + 3
    zca = ZCA(eps=0.0).fit(x)
    y = zca.transform(x)
    np.testing.assert_allclose(np.cov(y.T, bias=True), np.eye(5), atol=1e-8)
    np.testing.assert_allclose(zca.whitening_, zca.whitening_.T, atol=1e-10)
    np.testing.assert_allclose(zca.inverse_transform(y), x, atol=1e-8)


def test_whitening_of_flat_directions_needs_eps(rng):
    x = np.repeat(rng.standard_normal((50, 2)), 2, axis=1)
    with pytest.raises(ValueError, match=r"\[ZCA\] expected data that vary in all 4 directions"):
        ZCA(eps=0.0).fit(x)
    assert np.isfinite(ZCA(eps=0.1).fit_transform(x)).all()


def test_lloyd_reaches_what_scikit_learn_reaches_from_the_same_start(rng):
    x = rng.standard_normal((600, 4)).astype("float32")
    found = lloyd(x, 7, 200, 0.0, np.random.RandomState(3))
    chosen = x[np.random.RandomState(3).choice(len(x), 7, replace=False)]
    start = chosen / np.linalg.norm(chosen, axis=1, keepdims=True) * 0.015 * np.sqrt((x * x).sum(1).mean())
    theirs = KMeans(7, init=start, n_init=1, tol=0, algorithm="lloyd").fit(x)
    assert found.converged
    np.testing.assert_allclose(found.inertia[-1], theirs.inertia_ / len(x), rtol=1e-5)
    assert all(a >= b for a, b in zip(found.inertia, found.inertia[1:], strict=False))


def test_no_cluster_keeps_one_far_sample(rng):
    """Many directions, and lengths that differ, as of whitened patches."""
    x = (rng.standard_normal((8000, 100)) * np.exp(rng.standard_normal((8000, 1)) / 2)).astype("float32")
    found = lloyd(x, 64, 30, 0.0, np.random.RandomState(0))
    counts = np.bincount(nearest(x, found.centroids)[0], minlength=64)
    assert np.mean(counts <= 2) < 0.05  # a third of them, if they begin at the samples themselves


def test_empty_clusters_begin_anew(rng):
    """Two far groups, and all starts but one in the first: without new starts the second group would have one."""
    x = np.concatenate([np.zeros((97, 2)), rng.standard_normal((60, 2)) + 50]).astype("float32")
    found = lloyd(x, 12, 50, 0.0, np.random.RandomState(0))
    assert found.reseeded > 0
    assert found.empty == 0
    assert len(np.unique(nearest(x, found.centroids)[0])) == 12


def test_more_clusters_than_different_patches_are_said():
    images = np.zeros((4, 8, 8, 1), "uint8")
    with pytest.warns(ConvergenceWarning, match=r"\[KMeansFeatures\] [0-9]+ of 5 clusters are empty"):
        KMeansFeatures(n_features=5, n_patches=50, random_state=0).fit(images)


def test_patches_are_cut_row_by_row(rng):
    images = rng.integers(0, 256, (2, 7, 6, 3), dtype=np.uint8)
    patches = all_patches(images, 4, 2)
    assert patches.shape == (2, 2, 2, 48)
    np.testing.assert_array_equal(patches[1, 1, 0].reshape(4, 4, 3), images[1, 2:6, 0:4])
    some = some_patches(images, 7 - 1, 20, np.random.RandomState(0))
    whole = all_patches(images, 6, 1).reshape(-1, 108)
    assert all((whole == patch).all(1).any() for patch in some)
    flat = normalized(patches.copy(), 10.0)
    np.testing.assert_allclose(flat.mean(-1), 0, atol=1e-5)


@pytest.mark.parametrize(("stride", "pool"), [(1, 2), (2, 3)])
def test_features_are_those_of_the_formula(stride, pool, rng):
    images = rng.integers(0, 256, (5, 11, 12, 3), dtype=np.uint8)
    made = KMeansFeatures(
        n_features=6, patch_size=4, stride=stride, pool=pool, n_patches=300, max_iter=100, tol=0, random_state=0
    ).fit(images)
    patches = all_patches(images, 4, stride).astype("float64")
    patches -= patches.mean(-1, keepdims=True)
    patches /= np.sqrt(patches.var(-1, keepdims=True) + 10)
    white = (patches - made.zca_.mean_) @ made.zca_.whitening_
    z = np.linalg.norm(white[:, :, :, None] - made.centroids_, axis=-1)
    f = np.maximum(z.mean(-1, keepdims=True) - z, 0)
    rows, columns = (np.array_split(np.arange(n), pool) for n in f.shape[1:3])
    ends = [[round(p * n / pool) for p in range(pool + 1)] for n in f.shape[1:3]]
    expected = [
        f[:, ends[0][i] : ends[0][i + 1], ends[1][j] : ends[1][j + 1]].sum((1, 2))
        for i in range(len(rows))
        for j in range(len(columns))
    ]
    np.testing.assert_allclose(made.transform(images), np.concatenate(expected, 1), rtol=1e-3, atol=1e-3)


def test_features_of_an_image_do_not_depend_on_the_others(rng):
    images = rng.integers(0, 256, (9, 10, 10, 1), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = KMeansFeatures(n_features=8, n_patches=200, max_iter=3, random_state=0).fit(images)
    np.testing.assert_array_equal(made.transform(images)[4:5], made.transform(images[4:5]))


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        ((4, 5, 9, 3), {}, r"at least 6 x 6 pixels.*5 x 9.*smaller patch_size"),
        ((4, 6, 9, 3), {}, r"a patch for each of 2 parts of 6 pixels"),
        ((4, 27), {}, r"expected images of numbers"),
        ((4, 9, 9, 3), {"n_patches": 10}, r"a patch for each centroid.*n_patches=10"),
        ((4, 9, 9, 3), {"stride": 0}, r"stride"),
    ],
)
def test_images_that_do_not_fit_are_refused(shape, settings, message):
    with pytest.raises((ShapeError, ValueError), match=message):
        KMeansFeatures(n_features=16, **{"n_patches": 100, **settings}).fit(np.ones(shape, "uint8"))


def test_images_of_other_channels_or_that_are_not_finite_are_refused(rng):
    images = rng.standard_normal((6, 8, 8, 3)) * 50
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = KMeansFeatures(n_features=4, n_patches=100, max_iter=2, random_state=0).fit(images)
    with pytest.raises(ShapeError, match=r"3 channels, as in fit\. Received: 1"):
        made.transform(images[..., :1])
    images[0, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="finite"):
        made.transform(images)


# Sparse codes


def objective(x, d, z, alpha):
    return ((x - z @ d) ** 2).sum() / 2 + alpha * np.abs(z).sum()


@pytest.mark.parametrize("solver", [ista, fista])
def test_sparse_codes_are_scikit_learns(solver, rng):
    d = rng.standard_normal((7, 5))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    x = rng.standard_normal((6, 5))
    theirs = SparseCoder(d, transform_algorithm="lasso_cd", transform_alpha=0.3, transform_max_iter=10_000).transform(x)
    ours = solver(x, d, 0.3, max_iter=20_000, tol=1e-10)
    np.testing.assert_allclose(objective(x, d, ours, 0.3), objective(x, d, theirs, 0.3), rtol=1e-6)
    np.testing.assert_allclose(ours, theirs, atol=1e-2)
    assert (ours == 0).any()


def test_fista_is_ahead_of_ista(rng):
    d = rng.standard_normal((40, 20))
    x = rng.standard_normal((3, 20))
    least = objective(x, d, fista(x, d, 0.5, max_iter=20_000, tol=0.0), 0.5)
    slow, quick = (objective(x, d, solve(x, d, 0.5, max_iter=60, tol=0.0), 0.5) - least for solve in (ista, fista))
    assert quick < 0.5 * slow


def test_codes_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"\[fista\] expected samples"):
        fista(np.ones((2, 3)), np.ones((4, 5)))
    with pytest.raises(ShapeError, match=r"\[ista\] expected start of shape \(2, 4\)"):
        ista(np.ones((2, 3)), np.ones((4, 3)), start=np.ones((2, 3)))
    with pytest.raises(ValueError, match="alpha"):
        fista(np.ones((2, 3)), np.ones((4, 3)), -1.0)


def test_psd_finds_the_atoms_that_made_the_data(rng):
    atoms = np.linalg.qr(rng.standard_normal((10, 10)))[0][:6]
    codes = rng.standard_normal((4000, 6)) * (rng.random((4000, 6)) < 0.2) * 3
    x = codes @ atoms
    made = PSD(n_components=6, alpha=2.0, max_iter=15, learning_rate=0.1, random_state=1).fit(x)
    assert made.loss_curve_[-1] < 0.7 * made.loss_curve_[0]
    match = np.abs(made.components_ @ atoms.T).max(0)
    assert (match > 0.9).sum() >= 5
    np.testing.assert_allclose(np.linalg.norm(made.components_, axis=1), 1, rtol=1e-12)


def test_the_encoder_predicts_the_codes(rng):
    x = rng.laplace(size=(2000, 6)) @ rng.standard_normal((6, 6)) / 3
    made = PSD(n_components=8, max_iter=10, random_state=0).fit(x)
    best = fista(x, made.components_, made.alpha / 2)
    guess = made.transform(x)
    assert np.corrcoef(best.ravel(), guess.ravel())[0, 1] > 0.7
