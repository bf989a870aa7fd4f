"""Recipes about what convolutional networks look for and what they are tolerant of."""

import numpy as np
import pytest

from pynn import recipes
from pynn.recipes import insight, invariance


def images(n, rng):
    """Return pictures of a bar at a height, the class, and some noise: MNIST in small."""
    y = np.arange(n) % 10
    x = rng.integers(0, 40, (n, 28, 28))
    for i, k in enumerate(y):
        x[i, 4 + 2 * k : 6 + 2 * k, 4:24] = 220
    return x.astype(np.uint8), y


@pytest.fixture
def _bars(monkeypatch, rng):
    data = images(600, rng), images(100, rng)
    monkeypatch.setattr("pynn.datasets.mnist", lambda *a, **k: data)


def test_larger_pools_forgive_more():
    changes = np.array([[invariance.changed_by_shift(pool, by) for by in (1, 2, 4)] for pool in (1, 2, 4, 8)])
    assert (np.diff(changes, axis=0) < 0).all()
    assert (np.diff(changes, axis=1) > -0.02).all()
    assert invariance.changed_by_shift(2, 0) == 0


def test_images_turn_about_their_middle(rng):
    x = rng.random((2, 9, 9, 1))
    np.testing.assert_allclose(invariance.turned(x, 90)[..., 0], np.rot90(x[..., 0], axes=(1, 2)), atol=1e-9)
    np.testing.assert_allclose(invariance.turned(x, 0), x)


def test_as_many_fives_as_others_at_every_angle(rng):
    x, y = images(600, rng)
    small, five, angles = invariance._fives(x, y, 100, seed=0)
    assert small.shape == (100, 16, 16, 1)
    assert five.sum() == 50
    assert set(angles) == set(invariance.ANGLES)
    upright = small[(angles == 0) & (five == 1)][0, :, :, 0]
    assert upright[8:10].sum() > 3 * upright[3:5].sum()  # the bar of five lies there


@pytest.mark.usefixtures("_bars")
def test_pooled_filters_find_what_is_turned(tmp_path):
    pytest.importorskip("matplotlib")
    result = recipes.find("invariances").run(recipes.Options(epochs=30, quiet=True, out=tmp_path))
    assert result.test["accuracy"] > 0.95
    assert result.test["accuracy"] >= result.test["one"]
    leads = np.array(result.details["3 filters"]["leads"])
    np.testing.assert_allclose(leads.sum(axis=1), 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["filters.png", "translation.png"]


@pytest.mark.usefixtures("_bars")
def test_stimuli_are_taken_for_their_class_and_drive_it_more_than_images_do(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(insight, "STEPS", 30)
    result = recipes.find("best-stimuli").run(recipes.Options(epochs=6, quiet=True, out=tmp_path))
    assert result.test["accuracy"] > 0.9
    assert result.test["recognized"] >= 0.9
    assert np.mean(np.array(result.details["reached"]) > result.details["best_image"]) >= 0.9
    assert {"first.png", "second.png", "scores.png"} <= {path.name for path in tmp_path.iterdir()}
