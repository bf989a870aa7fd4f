"""The recipes on film reviews, and what they are made of."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pynn
from pynn import recipes
from pynn.commands import predict
from pynn.datasets import cache
from pynn.errors import DataError
from pynn.recipes.reviews import WordPairs
from pynn.text import Tokenizer


@pytest.fixture
def reviews(tmp_path, monkeypatch):
    """A folder of reviews that are easily told apart, and no other data."""
    monkeypatch.delenv("PYNN_DATA", raising=False)
    monkeypatch.setattr(cache, "user_cache", lambda: tmp_path / "cache")
    for part in ("train", "test"):
        for side, words in (("pos", "a truly wonderful film"), ("neg", "an awful waste of time")):
            folder = tmp_path / "imdb" / "aclImdb" / part / side
            folder.mkdir(parents=True)
            for i in range(24):
                text = f"film {i % 5} is<br />\n {words} " + "indeed " * (i % 4)
                if part == "test" and i == 0:
                    text = "an awful waste of time " * 3 + "x " * 150 if side == "pos" else "a truly wonderful film"
                (folder / f"{i}_{9 if side == 'pos' else 2}.txt").write_text(text)
    return tmp_path


def test_bigrams_are_the_most_frequent_neighbours():
    x = np.array([[1, 4, 5, 4, 5], [4, 5, 6, 0, 0], [2, 4, 2, 5, 6]])
    others = np.array([[5, 6, 4, 5, 2], [6, 5, 0, 0, 0]])
    pairs = WordPairs.most_frequent(x, words=7, count=2)  # (4, 5) three times and (5, 6) twice; (5, 4) but once
    one, other = pairs(x), pairs(others)
    assert one.dtype == other.dtype == np.int32
    assert one.tolist() == [[1, 4, 5, 4, 5, 7, 7], [4, 5, 6, 7, 8, 0, 0], [2, 4, 2, 5, 6, 8, 0]]
    assert other.tolist() == [[5, 6, 4, 5, 2, 8, 7], [6, 5, 0, 0, 0, 0, 0]]
    none = WordPairs.most_frequent(np.array([[1, 2, 4]]), words=7, count=5)
    assert none(np.array([[1, 2, 4]])).tolist() == [[1, 2, 4]]
    for table in (pairs, none):
        again = WordPairs.from_config(json.loads(json.dumps(table.to_config())))
        assert again(others, columns=8).tolist() == [row + [0] * (8 - len(row)) for row in table(others).tolist()]


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"words": 7},
        {"words": 7, "codes": [1]},
        {"words": 7, "codes": "1 -1"},
        {"words": 7, "codes": "1 0"},
        {"words": 7, "codes": "40 9"},
        {"words": 7, "codes": "9" * 19},
        {"words": 7.0, "codes": "1"},
        {"words": 0, "codes": ""},
    ],
)
def test_a_table_of_pairs_that_is_none_is_refused(config):
    with pytest.raises(DataError, match=r"\[pairs\] expected"):
        WordPairs.from_config(config)


@pytest.mark.parametrize("name", ["imdb-lstm", "imdb-best"])
def test_what_a_recipe_saved_predicts_from_texts_what_it_predicted(name, reviews, tmp_path):
    out = tmp_path / "out"
    options = recipes.Options(data=reviews, epochs=3, batch_size=4, seed=1, threads=1, quiet=True, out=out)
    result = recipes.find(name).run(options)
    metadata = pynn.io.read_metadata(out / "model.pynn")
    _, (texts, y) = pynn.datasets.imdb_texts(reviews, progress=False)
    ids = Tokenizer.from_config(metadata["tokenizer"]).encode_batch(texts)
    x = pynn.text.pad_sequences(ids, metadata["maxlen"], truncating="pre")
    if name == "imdb-best":
        x = WordPairs.from_config(metadata["pairs"])(x, columns=metadata["columns"])
    np.save(tmp_path / "x.npy", x)
    predict.run(out / "model.pynn", [tmp_path / "x.npy"], tmp_path / "y.npy")
    found = np.load(tmp_path / "y.npy")[:, 0]
    assert ((found >= 0.5) == y).mean() == result.test["accuracy"]
    loss = -np.log(np.where(y == 1, found, 1 - found)).mean()
    assert loss == pytest.approx(result.test["loss"], rel=1e-5)


@pytest.mark.parametrize("name", ["imdb-lstm", "imdb-best"])
def test_recipes_learn_and_leave_their_files(name, reviews, tmp_path, capsys):
    out, result_file = tmp_path / "out", tmp_path / "result.json"
    options = recipes.Options(data=reviews, epochs=8, batch_size=4, seed=1, threads=1, out=out, json=result_file)
    result = recipes.find(name).run(options)
    assert result.test["accuracy"] == pytest.approx(46 / 48)  # two are labelled wrongly
    assert result.details["tokens_per_second"] > 0
    printed = capsys.readouterr().out
    assert f"{result.details['tokens_per_second']:,} tokens a second" in printed
    assert "test accuracy" in printed
    assert json.loads(result_file.read_text())["details"] == result.details
    names = {"model.pynn", "history.csv", "history.png", "confusion.png", "mistakes.txt"}
    assert {path.name for path in out.iterdir()} == names
    assert len(pynn.load(out / "model.pynn").parameters()) == {"imdb-lstm": 6, "imdb-best": 3}[name]
    tokenizer = Tokenizer.from_config(pynn.io.read_metadata(out / "model.pynn")["tokenizer"])
    assert tokenizer == pynn.datasets.imdb_tokenizer(reviews, 20_000)
    lines = (out / "mistakes.txt").read_text().splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 240
    assert any(line.startswith("for ") and line.endswith("x x x") and "..." in line for line in lines)
    assert any(line.startswith("against ") and line.endswith("a truly wonderful film") for line in lines)


def test_a_recipe_runs_on_kerass_file(tmp_path, monkeypatch):
    monkeypatch.delenv("PYNN_DATA", raising=False)
    monkeypatch.setattr(cache, "user_cache", lambda: tmp_path / "cache")
    x = np.empty(8, object)
    x[:] = [[1 + i % 2, 3] for i in range(8)]
    y = np.arange(8) % 2
    np.savez(tmp_path / "imdb.npz", x_train=x, y_train=y, x_test=x, y_test=1 - y)
    options = recipes.Options(data=tmp_path, epochs=8, batch_size=2, quiet=True, out=tmp_path / "out")
    result = recipes.find("imdb-best").run(options)
    assert result.test["accuracy"] <= 0.5  # its labels are the wrong way round
    assert "(ids alone)" in (tmp_path / "out" / "mistakes.txt").read_text()


@pytest.mark.parametrize("name", ["imdb-lstm", "imdb-best"])
def test_a_recipe_gives_the_same_bits_for_a_seed(name, reviews):
    options = recipes.Options(data=reviews, epochs=2, batch_size=8, quiet=True)
    one, other = (recipes.find(name).run(options) for _ in range(2))
    assert one.test == other.test
    different = recipes.find(name).run(recipes.Options(data=reviews, epochs=2, batch_size=8, quiet=True, seed=5))
    assert different.test["loss"] != one.test["loss"]


def test_missing_reviews_are_told(tmp_path, monkeypatch):
    monkeypatch.delenv("PYNN_DATA", raising=False)
    with pytest.raises(DataError, match="expected the folder aclImdb"):
        recipes.find("imdb-lstm").run(pynn.recipes.Options(data=tmp_path, quiet=True))
