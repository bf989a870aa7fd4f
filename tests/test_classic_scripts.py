"""The classic scripts of the documentation run as they stand, on small data of the same shape."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn import nn

SCRIPTS = sorted((Path(__file__).resolve().parents[1] / "docs" / "scripts").glob("*.py"))
PARAMETERS = {  # as Keras's summaries have them
    "mnist_softmax": 7_850,
    "mnist_mlp": 669_706,
    "mnist_cnn": 1_199_882,
    "imdb_lstm": 2_691_713,
    "imdb_conv_lstm": 2_638_895,
    "imdb_bidirectional_lstm": 2_658_945,
}
ITEMS = 64


def small_mnist():
    """Return images of 28 x 28 and classes that can be read off them."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, ITEMS)
    x = rng.random((ITEMS, 28, 28), np.float32) * 0.1
    x[np.arange(ITEMS), 2 * y] = 1.0
    return (x, y), (x[:20], y[:20])


def small_imdb(num_words, maxlen):
    """Return reviews of `maxlen` ids below `num_words`, padded on the right, and their labels."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, ITEMS)
    x = rng.integers(4, num_words, (ITEMS, maxlen)).astype(np.int32)
    x[:, ::2] = 10 + y[:, None]
    x[np.arange(maxlen) >= rng.integers(maxlen // 2, maxlen, (ITEMS, 1))] = 0
    return (x, y), (x[:20], y[:20])


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_classic_script_runs_on_small_data(path, monkeypatch, capsys):
    histories = []
    fit = nn.Sequential.fit

    def short_fit(self, x, y, **options):
        histories.append(fit(self, x, y, **options | {"epochs": 2, "verbose": 0}))
        return histories[-1]

    monkeypatch.setattr(pynn.datasets, "mnist", small_mnist)
    monkeypatch.setattr(pynn.datasets, "imdb", small_imdb)
    monkeypatch.setattr(nn.Sequential, "fit", short_fit)
    names = {}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    model = names["model"]
    assert model.count_parameters() == PARAMETERS[path.stem]
    [history] = histories
    assert np.isfinite(history.history["loss"]).all()
    assert history.history["loss"][1] < history.history["loss"][0]
    assert model.predict(names["xt"]).shape == (20, 10 if "mnist" in path.stem else 1)
    assert capsys.readouterr().out.strip(), "the figure is printed"


def test_every_script_has_its_original_beside_it():
    originals = {path.name for path in (SCRIPTS[0].parent / "original").glob("*.py")}
    assert {path.name for path in SCRIPTS} == originals
    assert {path.stem for path in SCRIPTS} == PARAMETERS.keys()
    for path in (SCRIPTS[0].parent / "original").glob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"))
