"""The input that drives a unit most."""

import numpy as np
import pytest

from pynn import nn, viz


@pytest.fixture
def model():
    layers = [
        nn.Conv2D(3, 3, padding="same", activation="tanh", name="filters"),
        nn.MaxPool2D(2, name="pool"),
        nn.Flatten(),
        nn.Dense(4, name="scores"),
    ]
    made = nn.Sequential([nn.Input((6, 6, 1)), *layers], seed=1)
    made.build((None, 6, 6, 1))
    return made


def test_of_a_linear_unit_it_is_the_direction_of_its_weights():
    model = nn.Sequential([nn.Input((5,)), nn.Dense(3)], seed=2)
    model.build((None, 5))
    w = model.layers[0].w.numpy()
    for unit in range(3):
        found = viz.best_stimulus(model, 0, unit, norm=2.0)
        np.testing.assert_allclose(found, 2 * w[:, unit] / np.linalg.norm(w[:, unit]), atol=0.02)


def test_a_filter_finds_its_own_picture_in_the_middle(model):
    found = viz.best_stimulus(model, "filters", 1, norm=0.5, steps=300)
    assert found.shape == (6, 6, 1)
    assert np.linalg.norm(found) == pytest.approx(0.5, rel=1e-5)
    kernel = model.layers[0].w.numpy()[:, :, 0, 1]
    seen = found[2:5, 2:5, 0]  # the place (3, 3) sees these pixels
    assert (seen * kernel).sum() / np.linalg.norm(kernel) == pytest.approx(0.5, rel=0.01)


def test_nothing_else_of_that_length_found_by_chance_drives_it_more(model, rng):
    best = viz.best_stimulus(model, "scores", 2)
    others = rng.normal(size=(2000, 6, 6, 1)).astype("float32")
    others *= np.linalg.norm(best) / np.linalg.norm(others.reshape(2000, -1), axis=1)[:, None, None, None]
    assert model.predict(best[None])[0, 2] > model.predict(others)[:, 2].max()
    np.testing.assert_array_equal(best, viz.best_stimulus(model, "scores", 2))


def test_a_silent_unit_is_left_by_chance():
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1, activation="relu")])
    model.build((None, 2))
    model.layers[0].set_weights([np.array([[1.0], [0.0]]), np.zeros(1)])
    assert viz.best_stimulus(model, 0, 0, start=[-1.0, 0.1])[0] > 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("filter", 0, {}), "layer.*'filter'"),
        ((9, 0, {}), "layer"),
        (("scores", 4, {}), "unit"),
        (("scores", 0, {"start": np.ones((5, 6, 1))}), r"shape \(6, 6, 1\)"),
        (("scores", 0, {"start": np.zeros((6, 6, 1))}), "not 0"),
        (("scores", 0, {"norm": 0}), "norm"),
        (("scores", 0, {"steps": 0}), "steps"),
        (("scores", 0, {"rate": -1}), "rate"),
    ],
)
def test_what_cannot_be_looked_for(model, arguments, message):
    layer, unit, options = arguments
    with pytest.raises(ValueError, match=message):
        viz.best_stimulus(model, layer, unit, **options)
