"""What recipes look at while they train: a part that is held out, never the test part."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from pynn import recipes
from pynn.recipes.runner import hold_out
from pynn.train.trainable import Trainable

pytest.importorskip("sklearn")


def rows(x):
    """Return the rows of an array as hashes."""
    return {hash(row.tobytes()) for row in np.ascontiguousarray(x)}


@pytest.mark.parametrize("n", [5, 50, 359, 60000])
def test_a_tenth_is_held_out_but_no_more_than_5000(n):
    (x, y), (xv, yv) = hold_out(np.arange(n), np.arange(n) * 2)
    assert len(xv) == min(max(n // 10, 1), 5000)
    np.testing.assert_array_equal(np.sort(np.concatenate([x, xv])), np.arange(n))
    np.testing.assert_array_equal(np.concatenate([y, yv]), 2 * np.concatenate([x, xv]))
    again = hold_out(np.arange(n), np.arange(n))
    np.testing.assert_array_equal(again[1][0], xv)


SMALL = ["digits", "xor", "linear-regression", "logistic-regression", "overfitting"]
LARGE = ["mnist-softmax", "optimizers"]


@pytest.mark.parametrize("name", SMALL + LARGE)
def test_the_test_part_is_not_seen_before_training_ends(name, monkeypatch, capsys):
    if name in LARGE and not os.environ.get("PYNN_DATA"):
        pytest.skip("PYNN_DATA has no MNIST")
    learnt, watched, tested = [], [], []
    fit, evaluate, predict = Trainable.fit, Trainable.evaluate, Trainable.predict

    def noting_fit(model, x, y=None, **more):
        learnt.append(x)
        if more.get("validation_data") is not None:
            watched.append(more["validation_data"][0])
        return fit(model, x, y, **more)

    def noting(kept):
        def call(model, x, *more, **named):
            tested.append(x)
            return kept(model, x, *more, **named)

        return call

    monkeypatch.setattr(Trainable, "fit", noting_fit)
    monkeypatch.setattr(Trainable, "evaluate", noting(evaluate))
    monkeypatch.setattr(Trainable, "predict", noting(predict))
    recipes.find(name).run(recipes.Options(epochs=1, quiet=True, threads=1))
    assert learnt
    assert tested
    seen = set().union(*map(rows, learnt))
    held = set().union(set(), *map(rows, watched))
    last = rows(tested[-1])  # the figure comes from the test part
    assert len(last & held) < 0.02 * len(last)  # pictures may be equal by chance
    assert len(last & seen) < 0.02 * len(last)
    assert len(held & seen) <= 0.02 * len(held)


def test_several_seeds_give_their_mean_and_their_spread(tmp_path, capsys):
    options = recipes.Options(epochs=2, seed=3, seeds=3, threads=1, out=tmp_path / "out", json=tmp_path / "result.json")
    pytest.importorskip("matplotlib")
    result = recipes.find("digits").run(options)
    single = [
        recipes.find("digits").run(recipes.Options(epochs=2, seed=seed, quiet=True, threads=1)).test["accuracy"]
        for seed in (3, 4, 5)
    ]
    assert result.details["seeds"]["accuracy"]["all"] == single
    assert result.test["accuracy"] == pytest.approx(np.mean(single))
    assert result.details["seeds"]["accuracy"]["deviation"] == pytest.approx(np.std(single, ddof=1))
    assert json.loads((tmp_path / "result.json").read_text())["test"] == result.test
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["seed-3", "seed-4", "seed-5"]
    assert "in the mean of 3 seeds" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"\[digits\] expected seeds of 1 or more. Received: 0"):
        recipes.find("digits").run(recipes.Options(seeds=0))
