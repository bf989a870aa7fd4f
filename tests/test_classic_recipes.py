"""Recipes of the oldest machines and of regression's troubles: their data, their parts, what they find."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from pynn import nn, recipes
from pynn.recipes import neocognitron, regions, robust, rosenblatt


def test_shapes_lie_anywhere_and_none_is_like_another():
    x, y = rosenblatt.shapes(800, seed=0)
    pictures = x.reshape(-1, 20, 20)
    assert set(np.unique(x)) == {0, 1}
    for k in range(len(rosenblatt.SHAPES)):
        lit = pictures[y == k].mean(axis=0)
        assert 0.02 < lit[10, 10] < 1.01
        assert lit[:3].max() < lit[10].max()  # all of a shape is before the cells
        rows = (pictures[y == k].sum(axis=2) * np.arange(20)).sum(axis=1) / pictures[y == k].sum(axis=(1, 2))
        assert rows.std() > 1.5
    assert not np.array_equal(rosenblatt.shapes(800, seed=1)[0], x)


def test_random_units_make_shapes_separable(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    for name, value in (("LEARNT_FROM", 500), ("TESTED", 300), ("UNITS", (50, 700))):
        monkeypatch.setattr(rosenblatt, name, value)
    found = recipes.find("rosenblatt").run(recipes.Options(epochs=4, quiet=True, out=tmp_path)).details
    assert found["50 units"] < 0.5 < 0.55 < found["700 units"]
    assert found["400 cells"] < found["700 units"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shapes.png", "units.png"]


def test_outliers_pull_the_squared_error_alone(tmp_path):
    pytest.importorskip("matplotlib")
    result = recipes.find("outliers").run(recipes.Options(quiet=True, out=tmp_path))
    found = result.details
    assert found["squared error"]["error"] > 0.3 > 0.1 > found["Huber"]["error"]
    assert found["absolute error"]["error"] < 0.1
    assert found["least squares"]["deviation"] > 20 * found["penalty 0.1"]["deviation"]
    assert found["least squares"]["of the sum"] < 0.1
    assert found["condition"] > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["collinear.png", "outliers.png"]
    x, y = robust.with_outliers(30, 3, seed=1)
    assert ((y - robust.SLOPE * x - robust.OFFSET) < -4).sum() == 3


def test_each_layer_encloses_more(tmp_path):
    pytest.importorskip("matplotlib")
    found = recipes.find("decision-regions").run(recipes.Options(quiet=True, out=tmp_path)).details
    hardest = "in pieces, with a hole"
    assert found["half-plane, one layer"] > 0.98
    assert found["convex, two layers"] > 0.95 > 0.85 > found["convex, one layer"]
    assert found[f"{hardest}, three layers"] > 0.95 > 0.9 > found[f"{hardest}, two layers"]
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_threshold_units_written_down_enclose_a_triangle_and_a_square(rng):
    p = rng.uniform(-1, 1, (5000, 2))
    triangle = (p[:, 1] > -0.6) & (-1.6 * p[:, 0] - p[:, 1] - 0.2 > 0) & (1.6 * p[:, 0] - p[:, 1] + 1.4 > 0)
    square = (abs(p[:, 0] - 0.6) < 0.3) & (abs(p[:, 1] - 0.5) < 0.3)
    np.testing.assert_array_equal(regions.built()(p).ravel() > 0, triangle | square)
    np.testing.assert_array_equal(regions.built(steps=False)(p), np.stack([triangle, square], axis=1))
    assert 0.1 < triangle.mean() < 0.3


def test_the_network_of_1980_has_the_papers_sizes():
    model = neocognitron.of_1980()
    x, sizes = neocognitron.five_digits()[:1], []
    for layer in model.layers:
        x = layer(x)
        sizes.append(x.shape[1:])
    assert sizes == [(s, s, 24) for s in (16, 10, 8, 6, 2, 1)]


def test_digits_and_images_are_moved_whole():
    assert all(neocognitron.five_digits(i, j).sum() == 89 for i, j in ((0, 0), (7, 9), (3, 4)))
    x = np.zeros((200, 7, 7, 1))
    x[:, 3, 3] = 1
    moved = neocognitron.shifted(x, 2)
    places = {tuple(np.argwhere(image[:, :, 0])[0] - 3) for image in moved}
    assert places == {(i, j) for i in (-2, 0, 2) for j in (-2, 0, 2)} - {(0, 0)}
    np.testing.assert_array_equal(neocognitron.shifted(x, 0), x)


def test_a_digit_learnt_in_one_place_is_recognized_in_others():
    model = neocognitron.of_1980(planes=12)
    one = neocognitron.five_digits()[4:]
    nn.self_organize(model, one, rates=(1.0, 16.0, 16.0), columns=(5, 5, 2), passes=6)
    answers = model.predict(np.concatenate([neocognitron.five_digits(i, 4)[4:] for i in (1, 3, 5)])).reshape(3, -1)
    assert len({int(answer.argmax()) for answer in answers}) == 1
    assert answers.max(axis=1).min() > 0.05
    assert (answers > 0.01).sum(axis=1).tolist() == [1, 1, 1]
    drawn = neocognitron.strongest(model, one[0])
    assert len(drawn) == 5 * 8


def test_cells_that_are_shared_are_no_recognition():
    model = neocognitron.of_1980(planes=2)  # fewer cells than digits
    assert neocognitron.recognized(model)[1] == 0
