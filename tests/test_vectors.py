"""KeyedVectors: questions, scores, the word2vec formats, and gensim as the second opinion where it is installed."""

import gzip
import os
import pickle

import numpy as np
import pytest

from pynn.errors import DataError, ShapeError
from pynn.text import KeyedVectors, UnknownWordError


def some(rng, words=60, size=10):
    return KeyedVectors([f"word{i}" for i in range(words)], rng.standard_normal((words, size)).astype(np.float32))


@pytest.fixture
def royal():
    words = ["king", "queen", "man", "woman", "apple"]
    return KeyedVectors(words, [[2, 1, 0], [2, -1, 0], [0.2, 1, 0], [0.2, -1, 0], [-1, 0, 1]])


def test_questions(royal):
    assert royal.analogy("man", "king", "woman")[0][0] == "queen"
    assert royal.doesnt_match(["king", "queen", "man", "woman", "apple"]) == "apple"
    assert royal.doesnt_match("king queen apple") == "apple"
    assert royal.similarity("king", "king") == pytest.approx(1)
    assert royal.similarity("king", "apple") == pytest.approx(-2 / 10**0.5)
    assert "king" in royal
    assert "kong" not in royal
    assert len(royal) == 5
    assert royal["king"].tolist() == [2, 1, 0]
    assert royal[["king", "man"]].shape == (2, 3)


def test_most_similar_takes_vectors_and_weights(royal):
    by_word = royal.most_similar("king", topn=3)
    assert by_word[0][0] == "man"
    by_vector = royal.most_similar(royal["king"], topn=4)
    assert by_vector[0] == ("king", pytest.approx(1))
    assert [word for word, _ in by_vector[1:]] == [word for word, _ in by_word]
    assert royal.most_similar(("king", 1.0)) == royal.most_similar("king")
    assert royal.most_similar(("king", -1.0)) == royal.most_similar(negative="king")
    assert royal.most_similar([("king", 1.0), ("man", -1.0)]) == royal.most_similar("king", "man")
    assert [word for word, _ in royal.most_similar("king", restrict_vocab=3)] == ["man", "queen"]
    assert royal.most_similar("king", topn=0) == []


def test_an_unknown_word_brings_the_nearest_spellings(royal):
    with pytest.raises(UnknownWordError, match=r"5 words\)\. Received: 'qeen'\. help: did you mean 'queen'\?"):
        royal["qeen"]
    with pytest.raises(KeyError):
        royal.similarity("king", "Kinng")
    with pytest.raises(DataError, match="did you mean 'king'"):
        royal.most_similar("King")
    with pytest.raises(UnknownWordError, match=r"Received: 'zzzz'\.$"):
        royal.doesnt_match(["king", "zzzz"])
    with pytest.raises(UnknownWordError, match="Received: 7"):
        royal.index(7)


def test_bad_questions_and_vectors_are_refused(royal):
    with pytest.raises(ValueError, match="at least one word"):
        royal.most_similar()
    with pytest.raises(ValueError, match="expected words"):
        royal.doesnt_match([])
    with pytest.raises(ShapeError, match=r"a vector \[3\]. Received: \(2,\)"):
        royal.most_similar(np.ones(2, np.float32))
    with pytest.raises(ShapeError, match=r"expected vectors \[2, D\]"):
        KeyedVectors(["a", "b"], np.ones((3, 2)))
    with pytest.raises(DataError, match="'a' twice"):
        KeyedVectors(["a", "b", "a"], np.ones((3, 2)))


@pytest.mark.parametrize("binary", [False, True])
def test_files_are_read_as_they_were_written(tmp_path, rng, binary):
    words = ["the", "naïve", "東京", "a_b", "..."]
    wv = KeyedVectors(words, rng.standard_normal((5, 7)).astype(np.float32) * 10.0 ** rng.integers(-30, 30, (5, 1)))
    path = tmp_path / "v.bin"
    wv.save_word2vec_format(path, binary=binary)
    for kind in (binary, None):
        other = KeyedVectors.load_word2vec_format(path, binary=kind)
        assert other.index_to_key == words
        np.testing.assert_array_equal(other.vectors, wv.vectors)
    assert len(KeyedVectors.load_word2vec_format(path, limit=2)) == 2
    packed = tmp_path / "v.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(KeyedVectors.load_word2vec_format(packed).vectors, wv.vectors)


def test_binary_files_without_line_ends_and_large_ones_are_read(tmp_path, rng):
    vectors = rng.standard_normal((3000, 300)).astype(np.float32)
    path = tmp_path / "v.bin"
    path.write_bytes(b"3000 300\n" + b"".join(f"w{i} ".encode() + v.tobytes() for i, v in enumerate(vectors)))
    np.testing.assert_array_equal(KeyedVectors.load_word2vec_format(path).vectors, vectors)


def test_glove_files_are_read(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 0.5 1 2\n, 0 1 -2e-3\n")
    wv = KeyedVectors.load_word2vec_format(path)
    assert wv.index_to_key == ["the", ","]
    np.testing.assert_array_equal(wv.vectors, np.float32([[0.5, 1, 2], [0, 1, -2e-3]]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"\x89HDF\r\n\x1a\nxxxx", "HDF5"),
        (pickle.dumps([1, 2, 3]), "pickle"),
        (b"\x93NUMPY\x01\x00", "NumPy array"),
        ((793712314).to_bytes(4, "little") + b"\x0c" * 60, "fastText model"),
        (b"PK\x03\x04" + b"0" * 100, "zip archive"),
        (b"Once upon a time\nthere was a text\n", "a text file"),
        (bytes(range(128, 256)), "no known format"),
    ],
)
def test_another_format_is_named(tmp_path, content, message):
    path = tmp_path / "vectors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        KeyedVectors.load_word2vec_format(path)


def test_text_taken_for_binary_and_the_reverse_are_told(tmp_path, rng):
    path = tmp_path / "v"
    some(rng).save_word2vec_format(path, binary=False)
    with pytest.raises(DataError, match=r"expected word2vec binary\. Received: .* word2vec text\. help: binary=False"):
        KeyedVectors.load_word2vec_format(path, binary=True)
    some(rng).save_word2vec_format(path, binary=True)
    with pytest.raises(DataError, match=r"expected word2vec text\. Received: .* word2vec binary\. help: binary=True"):
        KeyedVectors.load_word2vec_format(path, binary=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"3 2\na 1 2\nb 1 2\n", "tells of 3 words, and 2 are there"),
        (b"2 2\na 1 2\nb 1\n", "1 numbers instead of 2|b 1"),
        (b"2 2\na 1 2\nb 1 x\n", "damaged"),
        (b"900000000 300\na 1 2\n", "tells of 900000000 words"),
        (b"1 2\n\xff\xfe 1 2\n", "UTF-8.*errors='replace'"),
        (b"2 2\na " + b"\x00\x00\x80\x3f" * 2 + b"\nb \x00\x00", "ends inside a vector"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, message):
    path = tmp_path / "v"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        KeyedVectors.load_word2vec_format(path)


def test_a_word_that_is_there_twice_counts_once(tmp_path):
    path = tmp_path / "v"
    path.write_bytes(b"3 1\na 1\nb 2\na 3\n")
    with pytest.warns(UserWarning, match="'a' is there twice"):
        wv = KeyedVectors.load_word2vec_format(path)
    assert wv["a"].tolist() == [1]


def test_words_with_blanks_cannot_be_written_and_the_file_stays(tmp_path):
    path = tmp_path / "v"
    path.write_text("before")
    with pytest.raises(DataError, match="'new york'"):
        KeyedVectors(["a", "new york"], np.ones((2, 2))).save_word2vec_format(path)
    assert path.read_text() == "before"
    with pytest.raises(DataError, match="cannot be read"):
        KeyedVectors.load_word2vec_format(tmp_path / "missing")


def test_analogies_by_hand(royal, tmp_path):
    path = tmp_path / "q.txt"
    path.write_text(": family\nman king woman queen\nMan King Woman apple\nman king woman uncle\n: none\n")
    score, sections = royal.evaluate_word_analogies(path)
    assert score == 0.5
    assert [s["section"] for s in sections] == ["family", "none", "Total accuracy"]
    assert sections[0]["correct"] == [("MAN", "KING", "WOMAN", "QUEEN")]
    assert royal.evaluate_word_analogies(path, dummy4unknown=True)[0] == pytest.approx(1 / 3)
    assert royal.evaluate_word_analogies(path, case_insensitive=False)[0] == 1.0
    path.write_text("man king woman queen\n")
    with pytest.raises(DataError, match=r"before the first question .* in line 1"):
        royal.evaluate_word_analogies(path)
    with pytest.raises(DataError, match="cannot be read"):
        royal.evaluate_word_analogies(tmp_path / "missing")


def test_pairs_by_hand(royal, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("Word 1,Word 2,Human\nking,man,9\nman,apple,1\nking,queen,8\nman,uncle,3\n")
    pearson, spearman, unknown = royal.evaluate_word_pairs(path)
    assert spearman[0] == pytest.approx(1)
    assert 0.9 < pearson[0] <= 1
    assert unknown == 25
    path.write_text("a,b,3\n")
    with pytest.raises(DataError, match=r"at least two pairs .*Received: 0, and 1 of unknown"):
        royal.evaluate_word_pairs(path)


@pytest.mark.parametrize("binary", [False, True])
def test_gensim_gives_the_same_scores_on_the_same_file(tmp_path, rng, data_dir, binary):
    models = pytest.importorskip("gensim.models")
    questions = data_dir / "word-similarity" / "questions-words.txt"
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text((data_dir / "word-similarity" / "wordsim353-combined.csv").read_text().replace(",", "\t"))
    # Vectors in which analogies hold to some degree: sums of a direction for each word of a question, and noise.
    quads = [line.split() for line in questions.read_text().splitlines() if not line.startswith(":")][:3000:3]
    vectors: dict[str, np.ndarray] = {}
    for a, b, c, d in quads:
        for word in (a, b, c):
            vectors.setdefault(word, rng.standard_normal(20))
        vectors.setdefault(d, vectors[b] - vectors[a] + vectors[c] + rng.standard_normal(20))
    for line in pairs.read_text().splitlines()[1:300]:
        vectors.setdefault(line.split("\t")[0], rng.standard_normal(20))
        vectors.setdefault(line.split("\t")[1].upper(), rng.standard_normal(20))
    vectors.update({word.upper(): rng.standard_normal(20) for word in list(vectors)[:50]})
    ours = KeyedVectors(list(vectors), np.array(list(vectors.values()), np.float32))
    ours.save_word2vec_format(tmp_path / "v", binary=binary)
    theirs = models.KeyedVectors.load_word2vec_format(tmp_path / "v", binary=binary)
    np.testing.assert_array_equal(theirs.vectors, ours.vectors)
    theirs.save_word2vec_format(os.fspath(tmp_path / "w"), binary=binary)
    back = KeyedVectors.load_word2vec_format(tmp_path / "w")
    assert back.index_to_key == ours.index_to_key
    np.testing.assert_array_equal(back.vectors, ours.vectors)
    for settings in ({}, {"restrict_vocab": 500}, {"case_insensitive": False}, {"dummy4unknown": True}):
        score, sections = ours.evaluate_word_analogies(questions, **settings)
        expected, theirs_sections = theirs.evaluate_word_analogies(os.fspath(questions), **settings)
        assert score == expected
        assert 0.02 < score < 0.95
        for mine, peer in zip(sections, theirs_sections, strict=True):
            assert {k: sorted(v) if k != "section" else v for k, v in mine.items()} == {
                k: sorted(v) if k != "section" else v for k, v in peer.items()
            }
        got = ours.evaluate_word_pairs(pairs, **settings)
        want = theirs.evaluate_word_pairs(os.fspath(pairs), **settings)
        assert got[2] == pytest.approx(want[2])
        for mine, peer in zip(got[:2], want[:2], strict=True):
            np.testing.assert_allclose(mine, tuple(peer), rtol=1e-4)
    word, other = ours.index_to_key[3], ours.index_to_key[7]
    assert ours.similarity(word, other) == pytest.approx(float(theirs.similarity(word, other)), abs=1e-6)
    mine, peer = (wv.most_similar(positive=[word, other], negative=[ours.index_to_key[9]]) for wv in (ours, theirs))
    assert [w for w, _ in mine] == [w for w, _ in peer]
    np.testing.assert_allclose([x for _, x in mine], [x for _, x in peer], atol=1e-6)
    group = ours.index_to_key[10:16]
    assert ours.doesnt_match(group) == theirs.doesnt_match(group)


# Text as people have it


TEXTS = {
    "a word of two words": ("2 2\nnew york 0.5 1\nqueen 0 -2\n", ["new york", "queen"]),
    "several blanks": ("2  2 \nnew  york  0.5   1 \nqueen 0 -2\n", ["new  york", "queen"]),
    "tabs": ("2\t2\nking\t0.5\t1\nqueen\t0\t-2\n", ["king", "queen"]),
    "a tab behind the word": ("new york\t0.5 1\nqueen\t0 -2\n", ["new york", "queen"]),
    "a byte-order mark": ("\ufeffking 0.5 1\nqueen 0 -2\n", ["king", "queen"]),
    "a byte-order mark before the header": ("\ufeff2 2\nking 0.5 1\nqueen 0 -2\n", ["king", "queen"]),
    "decimal commas": ("2 2\nking 0,5 1\nqueen 0 -2,0\n", ["king", "queen"]),
    "decimal commas without header": ("king 0,5 1,0\nqueen 0 -2,0\n", ["king", "queen"]),
    "Windows": ("2 2\r\nking 0.5 1\r\nqueen 0 -2\r\n", ["king", "queen"]),
    "a number as a word": ("king 0.5 1\n1984 0 -2\n", ["king", "1984"]),
    "a first word that ends in a number": ("apollo 11 0.5 1\nqueen 0 -2\n", ["apollo 11", "queen"]),
    "dots as a word": (". . 0.5 1\nqueen 0 -2\n", [". .", "queen"]),
    "exponents": ("2 2\nking 5e-1 1e0\nqueen 0 -2\n", ["king", "queen"]),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", TEXTS)
def test_text_is_read_as_people_have_it(tmp_path, kind, packed):
    content, words = TEXTS[kind]
    path = tmp_path / "v.vec"
    data = content.encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    for binary in (None, False):
        wv = KeyedVectors.load_word2vec_format(path, binary=binary)
        assert wv.index_to_key == words
        assert wv.vectors.tolist() == [[0.5, 1], [0, -2]]


def test_a_long_text_of_phrases_is_text(tmp_path, rng):
    vectors = rng.standard_normal((500, 50)).round(6)
    rows = [f"new york {i} " + " ".join(map(str, row)) for i, row in enumerate(vectors)]
    path = tmp_path / "v.vec"
    path.write_text("500 50\n" + "\n".join(rows) + "\n")
    wv = KeyedVectors.load_word2vec_format(path)
    assert wv.index_to_key[7] == "new york 7"
    np.testing.assert_allclose(wv.vectors, vectors, rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"2 2\nking 0.5 1\nqueen 0\n", r"the line 'queen 0\\n' has a word and 1 number instead of 2"),
        (b"2 2\nking 0.5 1\nqueen one 2\n", r"a word and 1 number instead of 2|could not convert"),
        (b"2 2\nking 0,5 1.5\nqueen 0 1\n", "both decimal commas and points"),
        (b"1 2\nking 0.5 1\nqueen 0 1\n", r"tells of 1 words, and more follow\. help: limit=1"),
        (b"1 2\na \x00\x00\x80?\x00\x00\x80?\nrest", "more follow|is damaged"),
        ("king 0.5 1\n".encode("utf-16"), "UTF-16"),
        (b"word,x,y\nking,0.5,1\n", r"expected a word2vec file\. Received: .*a text file"),
        (b"2 3\nking 0.5\n", "instead of 3|is damaged"),
        (b"\t0\t1\nking\t0.5\t1\nqueen\t0\t-2\n", "a word and 1 number instead of 2"),
        (b"2 4 5\nking 1 2 3 4\nqueen 1 2 3 4\n", "a word and 2 numbers instead of 4"),
        (b"2 2\nking nan 1\nqueen 0 -2\n", "numbers that are not finite"),
        (b"2 2\nking 1e99 1\nqueen 0 -2\n", "numbers that are not finite"),
        (b"2 2\nking 0.5 1_0\nqueen 0 -2\n", "numbers with underscores"),
        (b"2 2\rking 0.5 1\rqueen 0 -2\r", "old Macintosh"),
        (b"word d0 d1\nking 0.5 1\nqueen 0 -2\n", "expected a word2vec file"),
    ],
)
def test_text_that_does_not_fit_is_never_read_as_binary(tmp_path, content, message):
    path = tmp_path / "v.vec"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        KeyedVectors.load_word2vec_format(path)
    assert "binary=True" not in str(caught.value)


def test_a_limit_takes_the_first_words_of_more(tmp_path):
    path = tmp_path / "v.vec"
    path.write_text("1 2\nking 0.5 1\nqueen 0 1\n")
    assert KeyedVectors.load_word2vec_format(path, limit=1).index_to_key == ["king"]
