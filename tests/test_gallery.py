"""The recipes of the course gallery: what they find, and the pictures that they write."""

from __future__ import annotations

import numpy as np
import pytest

import pynn
from pynn import optim, recipes
from pynn.recipes import descents, linear, neuron
from pynn.recipes.tables import breast_cancer, split, standardized

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

PICTURES = {
    "perceptron": ["frontiers.png"],
    "linear-regression": ["history.png", "predicted.png"],
    "logistic-regression": ["confusion.png", "history.csv", "history.png", "model.pynn"],
    "basis-functions": ["frontiers.png", "growth.png"],
    "decision-frontiers": [
        f"{name}{end}" for name in ("circles", "moons", "spirals") for end in ("-units.png", ".gif", ".png")
    ],
    "gradient-descent": ["time.png", "updates.png"],
    "activations": ["activations.png"],
    "initialization": ["loss.png", "spread.png"],
}
SHORT = {"decision-frontiers": 24, "initialization": 3}


@pytest.mark.parametrize("name", PICTURES)
def test_gallery_recipes_write_their_pictures_and_reach_their_figure(name, tmp_path, capsys):
    recipe = recipes.find(name)
    result = recipe.run(recipes.Options(out=tmp_path, threads=1, epochs=SHORT.get(name)))
    assert sorted(path.name for path in tmp_path.iterdir()) == PICTURES[name]
    for path in tmp_path.glob("*.png"):
        assert path.stat().st_size > 5000
    printed = capsys.readouterr().out
    assert recipe.measure.name in printed
    assert f"expected {recipe.measure.text(recipe.expected)}" in printed
    if name not in SHORT:
        assert recipe.measure.reached(result.test[recipe.measure.key], recipe.expected), result.test


def test_the_perceptron_recipe_shows_where_one_neuron_stops():
    details = recipes.find("perceptron").run(recipes.Options(quiet=True)).details
    assert [details[name]["converged"] for name in ("AND", "OR", "NOR", "XNOR")] == [True, True, True, False]
    assert details["XNOR"]["accuracy"] <= 0.75


def test_patterns_that_can_be_separated():
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    assert neuron.separable(corners, np.array([-1, 1, 1, 1]))
    assert not neuron.separable(corners, np.array([-1, 1, 1, -1]))
    rng = np.random.default_rng(0)
    few, many = rng.choice([-1.0, 1.0], (10, 16)), rng.choice([-1.0, 1.0], (120, 16))
    assert neuron.separable(few, rng.choice([-1.0, 1.0], 10))
    assert not neuron.separable(many, rng.choice([-1.0, 1.0], 120))


def test_descent_reaches_the_least_squares_solution():
    result = recipes.find("linear-regression").run(recipes.Options(quiet=True))
    assert result.details["largest_difference_from_least_squares"] < 0.05


def test_new_features():
    x = np.array([[2.0, 3.0], [1.0, -1.0]])
    np.testing.assert_array_equal(linear.polynomials(x, 2), [[2, 3, 4, 6, 9], [1, -1, 1, -1, 1]])
    assert linear.polynomials(np.ones((1, 4)), 3).shape == (1, 4 + 10 + 20)
    np.testing.assert_allclose(linear.gaussians(x, x, 1.0), [[1, np.exp(-8.5)], [np.exp(-8.5), 1]], rtol=1e-5)


def test_optimizers_walk_down_the_surfaces():
    assert set(descents.RATES) <= set(optim.NAMES)
    start = descents.beale(*descents.walk("sgd", "beale")[0])
    for name in ("nesterov", "rmsprop", "adam"):
        path = descents.walk(name, "beale")
        assert path.shape == (401, 2)
        assert descents.beale(*path[-1]) < 0.2 * start, name
    np.testing.assert_array_equal(descents.walk("adam", "saddle")[0], [-1.0, 0.005])
    assert abs(descents.walk("momentum", "saddle")[-1][1]) > 1  # it leaves along the way down


def test_sgd_on_beales_function_equals_the_formula():
    point = np.array([1.0, 1.5])
    path = descents.walk("sgd", "beale")
    for step in range(3):
        x, y = point
        parts = np.array([1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3])
        slope = [2 * parts @ [y - 1, y**2 - 1, y**3 - 1], 2 * parts @ [x, 2 * x * y, 3 * x * y**2]]
        point = point - descents.RATES["sgd"][0] * np.array(slope)
        np.testing.assert_allclose(path[step + 1], point, rtol=1e-12)


def test_tables_are_split_and_standardized_by_the_training_part():
    train, test = breast_cancer()
    assert (len(train[0]), len(test[0])) == (455, 114)
    (x, _), (xt, _) = standardized(train, test)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-5)
    assert not np.allclose(xt.mean(axis=0), 0, atol=1e-3)
    (a, _), (b, _) = split(np.arange(10)[:, None], np.arange(10))
    assert sorted([*a.ravel(), *b.ravel()]) == list(range(10))


def test_curves_share_colours_over_panels(tmp_path):
    figure = pynn.viz.plot_curves(
        {"one": {"a": [1, 2], "b": [2, 1]}, "two": {"b": ([1, 5], [3, 4])}}, tmp_path / "c.png", log_x=True
    )
    colours = [{line.get_label(): line.get_color() for line in ax.get_lines()} for ax in figure.axes]
    assert colours[0]["b"] == colours[1]["b"] != colours[0]["a"]
    with pytest.raises(ValueError, match="at least one curve"):
        pynn.viz.plot_curves({"one": {}})


def test_every_activation_of_a_single_number_is_drawn():
    from pynn.recipes import learning

    errors = recipes.find("activations").run(recipes.Options(quiet=True)).details["errors"]
    assert set(errors) == set(learning.ACTIVATIONS)
    assert max(errors.values()) < learning.TOLERANCE


def test_initial_weights_of_bad_scales_do_not_learn():
    details = recipes.find("initialization").run(recipes.Options(quiet=True, threads=1)).details
    for name in ("too small", "too large"):
        assert details[f"tanh, {name}"]["accuracy"] < 0.2
        assert details[f"relu, {name}"]["accuracy"] < 0.2
    assert details["tanh, too large"]["saturated"] > 0.5 > 0.01 > details["tanh, Glorot"]["saturated"]
    assert details["relu, too large"]["loss_overflowed"]
    assert not details["relu, He"]["loss_overflowed"]
    assert details["relu, He"]["accuracy"] > details["relu, Glorot"]["accuracy"]
    assert min(details[name]["accuracy"] for name in ("tanh, Glorot", "tanh, He", "relu, He")) > 0.9
