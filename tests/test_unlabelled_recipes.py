"""Recipes that learn features without labels: what they compute before and beside their training."""

import itertools

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.metrics import roc_auc_score

import pynn
from pynn import nn, recipes
from pynn.recipes import cat_neuron, kmeans, two_stages


def test_areas_are_scikit_learns(rng):
    outputs, labels = rng.integers(0, 6, (60, 4)).astype("float32"), rng.integers(0, 3, 60)
    found = cat_neuron.areas(outputs, labels, 3)
    for c, unit in itertools.product(range(3), range(4)):
        np.testing.assert_allclose(found[c, unit], roc_auc_score(labels == c, outputs[:, unit]))


def test_the_cost_of_a_stage_is_reconstruction_and_pools(rng):
    x = rng.standard_normal((3, 14, 14, 2)).astype("float32")
    stage = cat_neuron._stage(x.shape[1:], 0)
    learner = cat_neuron._Learner(stage)
    parts = learner(x).numpy()
    filters, pool = stage.layers[-3:-1]
    h = filters(x)
    rest, pools = filters.transpose(h).numpy() - x, pool(h).numpy()
    cost = (rest**2).sum() + cat_neuron.SPARSITY * pools.sum()
    np.testing.assert_allclose((parts**2).sum(), cost, rtol=1e-5)


def test_a_unit_is_chosen_on_training_images_and_told_by_test_images(rng):
    images, labels = rng.standard_normal((200, 2, 2, 1)).astype("float32"), rng.integers(0, 10, 200)
    images[:, 1, 0, 0] = labels == 3
    other = rng.standard_normal((200, 2, 2, 1)).astype("float32")
    other[:, 0, 1, 0] = labels == 3  # the unit that would be best there is not the one that was chosen
    best = cat_neuron._best_units([], (images, labels), (other, labels))[3]
    assert best["unit"] == 2
    assert best["auc where chosen"] == 1.0
    assert best["auc"] < 0.8


@pytest.mark.parametrize("kind", two_stages.KINDS)
def test_stages_begin_with_filters_of_either_kind(kind, rng, monkeypatch):
    monkeypatch.setattr(two_stages, "PATCHES", 300)
    images = rng.standard_normal((20, 28, 28, 1)).astype("float32")
    model = two_stages._network((4, 6), "abs, LCN", "max")
    two_stages._begin(model, images, kind, 0)
    convolutions = [layer for layer in model.layers if isinstance(layer, nn.Conv2D)]
    assert [layer.w.shape for layer in convolutions] == [(7, 7, 1, 4), (5, 5, 4, 6)]
    norms = [np.sqrt((layer.w.numpy() ** 2).sum((0, 1, 2))) for layer in convolutions]
    assert all(np.ptp(n) < 1e-3 for n in norms) == (kind == "random")
    assert model.predict(images).shape == (20, 10)


def test_every_kind_of_stage_is_built():
    for rectified, pool in itertools.product(two_stages.RECTIFIED, two_stages.POOLS):
        names = [type(layer).__name__ for layer in two_stages._network((2, 3), rectified, pool).layers]
        assert ("LocalContrastNormalization" in names) == ("LCN" in rectified)
        assert ("Activation" in names) == ("abs" in rectified)
        assert ("AvgPool2D" in names) == (pool == "average")


def test_features_are_standardized_by_the_training_part(rng):
    rows, more = ((rng.standard_normal((n, 5)) * [1, 10, 0, 2, 3] + 4).astype("float32") for n in (2500, 30))
    before = more.copy()
    mean, deviation = rows.mean(0), rows.std(0) + kmeans.SPREAD_EPS
    scale = kmeans._standardize(rows)
    np.testing.assert_allclose(rows.std(0)[[0, 1, 3, 4]], 1, atol=0.02)
    kmeans._standardize(more, scale)
    np.testing.assert_allclose(more, (before - mean) / deviation, rtol=1e-3, atol=1e-3)


def test_shared_fields_are_timed_on_one_and_two_threads(monkeypatch):
    monkeypatch.setattr(kmeans, "SECONDS", 0.01)
    monkeypatch.setattr(kmeans, "UNITS", (1, 4))
    before = pynn.get_num_threads()
    result = recipes.find("cots").run(recipes.Options(batch_size=2, quiet=True))
    assert pynn.get_num_threads() == before
    assert set(result.details["weights per second"]) == {"1", "4"}
    assert result.test["gain"] > 0
