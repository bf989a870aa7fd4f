"""The recipes of word vectors, on a few made-up reviews."""

import json

import numpy as np
import pytest

from pynn import recipes
from pynn.errors import DataError
from pynn.recipes.vectors import polar_words, words_of
from pynn.text import KeyedVectors

ROYAL = ["king", "queen", "man", "woman", "prince", "princess", "boy", "girl"]


@pytest.fixture
def reviews(tmp_path, rng):
    """A folder with 4 x 150 reviews in which words for, against and neither stand, and with the questions."""
    neutral = [*ROYAL, *(f"thing{i}" for i in range(12))]
    for part in ("train", "test"):
        for side in ("pos", "neg"):
            folder = tmp_path / "aclImdb" / part / side
            folder.mkdir(parents=True)
            own = [f"{side}{i}" for i in range(20)]
            for i in range(150):
                words = rng.choice([*own, *neutral], 60)
                (folder / f"{i}_{9 if side == 'pos' else 2}.txt").write_text(" ".join(words).capitalize() + ".<br />")
    folder = tmp_path / "word-similarity"
    folder.mkdir()
    (folder / "questions-words.txt").write_text(": family\nman king woman queen\nboy prince girl princess\n")
    (folder / "wordsim353-combined.csv").write_text("Word 1,Word 2,Mean\nking,queen,8\nman,thing1,1\nboy,girl,7\n")
    return tmp_path


def test_word2vec_on_reviews(reviews, tmp_path, capsys):
    out = tmp_path / "out"
    result = recipes.find("word2vec").run(
        recipes.Options(data=reviews, epochs=2, out=out, json=tmp_path / "r.json", quiet=False)
    )
    assert result.details["text"] == "IMDB"
    assert result.details["words"] == 60
    assert result.details["questions"] == 2
    assert 0 <= result.test["analogies"] <= 1
    assert -1 <= result.test["wordsim353"] <= 1
    assert len(KeyedVectors.load_word2vec_format(out / "vectors.bin")) == 60
    assert {path.name for path in out.iterdir()} == {"vectors.bin", "history.csv", "history.png", "map.png", "map.gif"}
    assert json.loads((tmp_path / "r.json").read_text())["details"]["words"] == 60
    said = capsys.readouterr().out
    near = [word for word, _ in result.details["king_man_woman"]]
    rank = result.details["rank_of_queen"]
    assert (near[rank - 1] == "queen") if rank <= len(near) else ("queen" not in near)
    assert f"queen is number {rank} of the words nearest to it" in said
    assert set(result.details["neighbours"]) <= {"good", "actor", "london", "seven"}
    assert "king - man + woman" in said
    assert "similarity of man and woman" in said


def test_word2vec_prefers_text8(reviews, rng, monkeypatch):
    (reviews / "text8").write_text(" ".join(rng.choice([*ROYAL, *"abcdefgh"], 4000)))
    result = recipes.find("word2vec").run(recipes.Options(data=reviews, epochs=1, quiet=True))
    assert result.details["text"] == "text8"
    assert (result.details["words"], result.expected) == (16, 0.5)


def test_word2vec_says_which_file_of_questions_is_missing(reviews):
    (reviews / "word-similarity" / "questions-words.txt").unlink()
    with pytest.raises(DataError, match=r"expected the file questions-words\.txt"):
        recipes.find("word2vec").run(recipes.Options(data=reviews, quiet=True))


def test_localist_and_distributed(reviews, tmp_path, capsys):
    result = recipes.find("localist-distributed").run(
        recipes.Options(data=reviews, epochs=15, out=tmp_path / "out", quiet=False)
    )
    # One-hot rows of unseen words meet weights that never moved: the bias alone answers.
    assert 0.3 <= result.test["localist"] <= 0.7
    assert result.details["localist"][0] == 1.0
    assert result.test["accuracy"] > result.test["localist"]
    assert (tmp_path / "out" / "words.png").stat().st_size > 10_000
    assert "localist" in capsys.readouterr().out


def test_polar_words_are_those_of_one_side(rng):
    reviews = [["good", "film"] if side else ["bad", "film"] for side in (0, 1) * 200]
    words, sides = polar_words(reviews, np.array((0, 1) * 200))
    assert dict(zip(words, sides, strict=True)) == {"bad": 0, "good": 1}


def test_words_of_a_review():
    assert words_of("Isn't it<br /><br />GREAT? 10/10!") == ["isn't", "it", "great", "10", "10"]
