"""Word2Vec: what it learns, that threads do not matter, and what it says of bad input (the kernel: test_ops.py)."""

import gzip
import math
import signal
import zipfile

import numpy as np
import pytest

import pynn
from pynn.core.graph import execute
from pynn.errors import DataError, DTypeError, NonFiniteError
from pynn.files import write_whole
from pynn.io.container import pack, read
from pynn.text import KeyedVectors, Phrases, Word2Vec
from pynn.text.corpus import END, encode
from pynn.text.sampling import alias_table, huffman, join, keep_probability
from pynn.train import LambdaCallback

METHODS = {
    "cbow": {},
    "skip-gram": {"sg": True},
    "cbow, tree": {"hs": True, "negative": 0},
    "skip-gram, tree": {"sg": True, "hs": True, "negative": 0},
    "both": {"hs": True, "negative": 3},
}


def two_worlds(rng, sentences=600):
    """Sentences about animals or about tools; words of one kind never meet those of the other."""
    kinds = [[f"animal{i}" for i in range(8)], [f"tool{i}" for i in range(8)]]
    return [list(rng.choice(kinds[i % 2], 8)) for i in range(sentences)]


def small(**settings):
    return Word2Vec(**{"vector_size": 16, "window": 3, "min_count": 1, "sample": 0, "seed": 3, **settings})


def fitted(corpus, epochs=2, **settings):
    model = small(**settings)
    model.fit(corpus, epochs, verbose=0)
    return model


@pytest.mark.parametrize("method", METHODS)
def test_words_of_one_kind_come_together(method, rng):
    model = small(**METHODS[method])
    losses = model.fit(two_worlds(rng), epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    same = model.wv.similarity("animal0", "animal5")
    other = model.wv.similarity("animal0", "tool5")
    assert same > other + 0.5
    assert {word[:4] for word, _ in model.wv.most_similar("tool1", topn=7)} == {"tool"}


@pytest.mark.parametrize("method", METHODS)
def test_the_vectors_are_the_same_bits_for_any_number_of_threads(method, rng):
    corpus = two_worlds(rng)
    results = []
    for threads in (1, 2, 4):
        pynn.set_num_threads(threads)
        model = small(**METHODS[method], sample=0.05)
        history = model.fit(corpus, epochs=2, verbose=0).history["loss"]
        results.append((model._rows.numpy().tobytes(), history))
    assert results[0] == results[1] == results[2]


def test_seeds_matter():
    corpus = [["a", "b", "c"]] * 50
    vectors = [fitted(corpus, seed=seed).wv.vectors for seed in (1, 1, 2)]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert not np.allclose(vectors[0], vectors[2])


def test_the_loss_is_the_mean_over_predictions_of_what_an_untrained_model_must_have():
    # Predictions are 0 at first, so each of the 1 + k terms is log 2; a negative word that is the word is left out.
    corpus = [[f"w{i}" for i in range(1000)]]
    for sg in (False, True):
        model = small(sg=sg, alpha=0.0, min_alpha=0.0, negative=4)
        [loss] = model.fit(corpus, epochs=1, verbose=0).history["loss"]
        assert loss == pytest.approx(5 * math.log(2), rel=2e-3)
        assert loss <= 5 * math.log(2)


def test_the_loss_of_a_long_run_is_that_of_its_vectors(rng):
    # With a learning rate of 0 nothing moves, so an epoch's loss can be computed from outside, exactly.
    model = fitted(two_worlds(rng), epochs=5, hs=True, negative=0, window=1, shrink_windows=False)
    x, nodes, tree = model.wv.vectors.astype(float), model._part(1).astype(float), model._tree
    corpus = two_worlds(rng, 40)
    total = count = 0
    for sentence in corpus:
        ids = [model.wv.key_to_index[word] for word in sentence]
        for at, word in enumerate(ids):
            h = np.mean([x[ids[i]] for i in (at - 1, at + 1) if 0 <= i < len(ids)], axis=0)
            total += sum(np.logaddexp(0, (2 * side - 1) * (nodes[node] @ h)) for node, side in tree.branches(word))
            count += 1
    model.alpha = model.min_alpha = 0.0
    [loss] = model.fit(corpus, epochs=1, verbose=0).history["loss"]
    assert loss == pytest.approx(total / count, rel=1e-6)


def test_more_epochs_go_on_from_what_was_learnt(rng):
    corpus = two_worlds(rng)
    model = small()
    first = model.fit(corpus, epochs=3, verbose=0).history["loss"]
    again = model.fit(corpus, epochs=3, verbose=0).history["loss"]
    assert again[0] < first[0] - 0.1
    assert again[-1] < first[0] - 0.1
    assert model.epochs_trained == 6
    assert model.counts.sum() == 600 * 8  # not counted twice


@pytest.mark.parametrize("method", METHODS)
def test_new_words_join_the_known_ones(method, rng):
    model = fitted(two_worlds(rng), epochs=15, **METHODS[method])
    before = model.wv
    corpus = [["newcomer" if word == "animal0" else word for word in words] for words in two_worlds(rng)]
    model.fit(corpus, epochs=1, verbose=0)
    assert "newcomer" not in model.wv
    rows = model._part(0)[:16].copy()
    model._learn_words(["newcomer", "rare"], np.array([300, 0]), True)
    np.testing.assert_array_equal(model._part(0)[:16], rows)
    model.fit(corpus, epochs=15, new_words=True, verbose=0)
    assert list(model.wv.index_to_key) == [*before.index_to_key, "newcomer"]
    assert model.wv.similarity("newcomer", "animal1") > model.wv.similarity("newcomer", "tool1") + 0.3
    assert len(before) == 16  # vectors that were taken out stay as they were


def test_a_joined_tree_gives_every_word_its_own_code():
    a, b = huffman(np.array([9, 5, 3, 1])), huffman(np.array([4, 2, 2]), 3)
    tree = join(a, b, 5)
    codes = ["".join(str(side) for _, side in tree.branches(i)) for i in range(7)]
    assert len(set(codes)) == 7
    assert not any(x != y and y.startswith(x) for x in codes for y in codes)
    assert sorted({node for i in range(7) for node, _ in tree.branches(i)}) == [0, 1, 2, 3, 4, 5]
    assert all(tree.branches(i)[0][0] == 5 for i in range(7))


def test_huffman_codes_are_as_short_as_can_be(rng):
    counts = rng.integers(1, 1000, 50)
    lengths = np.diff(huffman(counts).path)
    assert (2.0**-lengths).sum() == 1  # Kraft
    entropy = -(counts / counts.sum() * np.log2(counts / counts.sum())).sum()
    assert entropy <= (counts * lengths).sum() / counts.sum() < entropy + 1


def test_the_alias_table_has_the_given_shares(rng):
    weights = rng.integers(1, 1000, 37).astype(float) ** 0.75
    table = alias_table(weights).astype(float)
    shares = np.bincount(np.arange(37), table[:, 0] / 2**32, 37)
    shares += np.bincount(table[:, 1].astype(int), 1 - table[:, 0] / 2**32, 37)
    np.testing.assert_allclose(shares / 37, weights / weights.sum(), atol=1e-8)


def test_frequent_words_are_dropped_as_often_as_they_should_be(monkeypatch):
    corpus = [["often"] * 9 + ["seldom"]] * 4000
    model = small(sample=0.1)
    kept = keep_probability(np.array([36000, 4000]), 0.1)
    assert kept == pytest.approx([math.sqrt(1 / 9) + 1 / 9, 1.0])
    seen = []

    def spy(card, inputs, attrs, out):
        result = execute(card, inputs, attrs, out=out)
        seen.append(out[1].view()[2])
        return result

    monkeypatch.setattr("pynn.text.word2vec.execute", spy)
    model.fit(corpus, 1, verbose=0)
    assert seen[-1] == pytest.approx(36000 * kept[0] + 4000, rel=0.02)


def test_sentences_streams_and_files_say_the_same(tmp_path):
    words = [f"w{i % 50}" for i in range(30_000)]
    sentences = [words[i : i + 100] for i in range(0, len(words), 100)]
    lines, stream = tmp_path / "lines.txt", tmp_path / "stream.txt.gz"
    lines.write_text("\n".join(map(" ".join, sentences)) + "\n")
    with gzip.open(stream, "wt") as file:
        file.write(" ".join(words))
    by_sentences = [sentences, (list(s) for s in sentences), lines, str(lines), np.array(sentences)]
    results = [fitted(corpus, 1, window=2).wv.vectors for corpus in by_sentences]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)
    archive = tmp_path / "text8.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("text8", " ".join(words))
    as_stream = [fitted(corpus, 1, window=2).wv.vectors for corpus in (words, iter(words), stream, archive)]
    for other in as_stream[1:]:
        np.testing.assert_array_equal(as_stream[0], other)


def test_words_are_whole_where_a_long_line_is_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("pynn.text.corpus.BLOCK_CHARS", 7)
    path = tmp_path / "text.txt"
    path.write_text("one three  five\nseven\n\nabcdefghijklmnop end", encoding="utf-8")
    text = encode(path, "test")
    ids = [text.words[i] if i >= 0 else "." for i in text.ids]
    assert [x for x, after in zip(ids, [*ids[1:], ""], strict=True) if (x, after) != (".", ".")] == [
        "one", "three", "five", ".", "seven", ".", "abcdefghijklmnop", "end", ".",
    ]  # fmt: skip


def test_a_long_text_is_kept_in_a_temporary_file(monkeypatch):
    monkeypatch.setattr("pynn.text.corpus.BUFFER_IDS", 100)
    words = [f"w{i % 50}" for i in range(3000)]
    in_memory = fitted(words, 1, min_count=1).wv.vectors
    monkeypatch.setattr("pynn.text.corpus.SPILL_IDS", 500)
    text = encode(words, "test")
    assert isinstance(text.ids, np.memmap)
    assert len(text.ids) == 3001
    assert text.ids[-1] == END
    np.testing.assert_array_equal(fitted(words, 1, min_count=1).wv.vectors, in_memory)


def test_rare_words_are_left_out():
    corpus = [["a", "b", "c", "rare"], ["a", "b"], ["a", "c"]]
    model = small(min_count=2)
    model.fit(corpus, 1, verbose=0)
    assert model.wv.index_to_key == ["a", "b", "c"]
    assert model.counts.tolist() == [3, 2, 2]
    model = small(min_count=1, max_final_vocab=2)
    model.fit(corpus, 1, verbose=0)
    assert model.wv.index_to_key == ["a", "b"]


def test_ctrl_c_leaves_a_usable_model():
    model = small()
    stop = LambdaCallback(on_progress=lambda done, total, logs: done == 2 and signal.raise_signal(signal.SIGINT))
    history = model.fit([["a", "b", "c", "d"]] * 60_000, epochs=5, verbose=0, callbacks=stop)
    assert history.interrupted
    assert len(history.epoch) == 0
    assert np.isfinite(model.wv["a"]).all()
    assert not model.fit([["a", "b"]], epochs=1, verbose=0).interrupted


def test_a_callback_ends_training():
    model = small()
    callback = LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", epoch == 1))
    assert len(model.fit([["a", "b"]] * 9, epochs=5, verbose=0, callbacks=callback).epoch) == 2


def test_progress_is_shown(capsys):
    small().fit([["a", "b"]] * 9, epochs=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:9] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert "loss" in lines[0]


def test_saved_models_go_on_as_if_never_saved(tmp_path, rng):
    corpus = two_worlds(rng, 100)
    for method in METHODS.values():
        model = fitted(corpus, 1, **method)
        model.save(tmp_path / "m.safetensors")
        other = Word2Vec.load(tmp_path / "m.safetensors")
        for each in (model, other):
            each.fit([["animal0", "neu", "tool1"]] * 20, 1, new_words=True, verbose=0)
        assert model.words == other.words
        np.testing.assert_array_equal(model._rows.numpy(), other._rows.numpy())


def test_damaged_models_are_refused(tmp_path, rng):
    path = tmp_path / "m.safetensors"
    fitted(two_worlds(rng, 20), 1, hs=True).save(path)
    whole = read(path)
    for name, change in {
        "node": lambda a: a + 100,
        "path": lambda a: a[::-1],
        "code": lambda a: a + 2,
        "counts": lambda a: a[:-1],
        "lengths": lambda a: a - 1,
        "rows": lambda a: a * np.float32("nan"),
        "words": lambda a: a[:0],
    }.items():
        write_whole(path, pack({**whole.tensors, name: change(whole.tensors[name])}, whole.metadata))
        with pytest.raises(DataError, match="is damaged"):
            Word2Vec.load(path)
    for name, array in whole.tensors.items():
        others = {key: a for key, a in whole.tensors.items() if key != name}
        wrong = "float64" if array.dtype.kind == "f" else "int16"
        for tensors, said in (
            (others, "is missing"), ({**others, name: array.astype(wrong)}, f"is {wrong}"),
            ({**others, name: array[..., None]}, "of shape"),
        ):  # fmt: skip
            write_whole(path, pack(tensors, whole.metadata))
            with pytest.raises(DataError, match=f"is damaged: the tensor {name!r}.*{said}"):
                Word2Vec.load(path)
    write_whole(path, pack(whole.tensors, {**whole.metadata, "settings": '{"sg": 1}'}))
    with pytest.raises(DataError, match="settings are missing"):
        Word2Vec.load(path)
    write_whole(path, pack(whole.tensors, whole.metadata))
    data = bytearray(path.read_bytes())
    for at in range(len(data) - 400, len(data), 7):  # vectors that are other numbers than those that were saved
        data[at] ^= 1
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"digest|damaged"):
            Word2Vec.load(path)
        data[at] ^= 1
    write_whole(path, pack({}, {"format": "other"}))
    with pytest.raises(DataError, match=r"expected a file of Word2Vec.save. Received: .*'other'"):
        Word2Vec.load(path)


@pytest.mark.parametrize(
    ("corpus", "error", "message"),
    [
        ([], DataError, r"without words\. help: a generator"),
        ([["a", "b"]] * 2, DataError, r"min_count=3 .*2 words, the most frequent of which, 'a', comes 2 times"),
        (["the cat sat", "a dog ran"], DataError, r"stream of single words.*'the cat sat'.*split each"),
        ([["a"], "b c"], DataError, r"sentence 1 to be a list of words\. Received: 'b c'"),
        ([["a", 3]], DTypeError, r"words to be strings\. Received: 3"),
        ([[["a"]]], DTypeError, r"words to be strings"),
        (b"text", DataError, r"Received: bytes"),
        (7, DataError, r"Received: int"),
        ("no/such/file.txt", DataError, r"path of a text file.*no/such/file"),
        ("the cat sat\non the mat", DataError, r"no path\. help: split"),
        ([["a"], ["a"], ["a"]], DataError, r"each alone in its sentence"),
    ],
)
def test_a_bad_corpus_is_refused(corpus, error, message):
    model = Word2Vec(min_count=3)
    with pytest.raises(error, match=message):
        model.fit(corpus, verbose=0)


def test_files_that_are_no_text_are_refused(tmp_path):
    binary, cut = tmp_path / "x.bin", tmp_path / "x.gz"
    binary.write_bytes(b"\xff\xfe\x00abc" * 10)
    cut.write_bytes(gzip.compress(b"some words " * 1000)[:40])
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a", "b")
        file.writestr("c", "d")
    with pytest.raises(DataError, match="an archive of 2 files"):
        Word2Vec().fit(archive)
    with pytest.raises(DataError, match="UTF-8"):
        Word2Vec().fit(binary)
    with pytest.raises(DataError, match="intact packed file"):
        Word2Vec().fit(cut)


@pytest.mark.parametrize(
    "settings",
    [
        {"vector_size": 0}, {"window": 0}, {"window": 2.5}, {"negative": -1}, {"negative": 0}, {"sample": -1.0},
        {"alpha": math.nan}, {"seed": -1}, {"min_count": True}, {"max_final_vocab": 0}, {"ns_exponent": math.inf},
    ],
)  # fmt: skip
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValueError, match=r"\[Word2Vec\] expected .*Received: "):
        Word2Vec(**settings)


def test_too_large_a_learning_rate_is_said_and_the_vectors_stay(rng):
    corpus = two_worlds(rng)
    model = fitted(corpus)
    before = model.wv.vectors.copy()
    model.alpha = 1e30
    with pytest.raises(NonFiniteError, match="smaller learning rate than alpha=1e"):
        model.fit(corpus, epochs=5, verbose=0)
    np.testing.assert_array_equal(model.wv.vectors, before)


def test_an_untrained_model_has_no_vectors():
    with pytest.raises(DataError, match="help: fit it"):
        _ = Word2Vec().wv


def test_phrases_are_found_and_joined():
    text = [["in", "new", "york", "city"], ["the", "new", "car"], ["york", "is", "far"]] * 10 + [
        [f"w{i}", f"v{i}"] for i in range(50)
    ]
    phrases = Phrases(min_count=3, threshold=1.5).fit(text)
    n = 10
    assert phrases.phrases[("new", "york")] == pytest.approx((n - 3) * 108 / (2 * n * 2 * n))
    joined = phrases.transform([["new", "york", "city", "new"]])
    assert list(joined) == list(joined)  # can be gone through again
    assert Phrases(min_count=3, threshold=0.5, scoring="npmi").fit(text).phrases[("the", "new")] <= 1
    assert ("in", "new") not in Phrases(min_count=3, threshold=1, connector_words=["in"]).fit(text).phrases
    model = Word2Vec(vector_size=8, min_count=3)
    model.fit(phrases.transform(text), 1, verbose=0)
    assert any("_" in word for word in model.words)
    with pytest.raises(ValueError, match="did you mean 'npmi'"):
        Phrases(scoring="nmpi")
    with pytest.raises(DataError, match="without words"):
        Phrases().fit([])


def test_phrases_do_not_reach_over_the_end_of_a_sentence():
    assert Phrases(min_count=1, threshold=0.0).fit([["a"], ["b"]] * 5).phrases == {}


def test_gensim_learns_the_same_from_the_same_text(rng):
    """Equal quality with equal settings: both tell the two kinds apart to the same degree."""
    models = pytest.importorskip("gensim.models")
    corpus = two_worlds(rng, 2000)
    gaps = []
    for sg in (False, True):
        peer = models.Word2Vec(corpus, vector_size=16, window=3, min_count=1, sample=0, sg=int(sg), alpha=0.025,
                               epochs=5, workers=1, seed=1)  # fmt: skip
        model = small(sg=sg, alpha=0.025)
        model.fit(corpus, 5, verbose=0)
        for wv in (peer.wv, model.wv):
            unit = np.array([wv[f"{kind}{i}"] for kind in ("animal", "tool") for i in range(8)])
            unit /= np.linalg.norm(unit, axis=1, keepdims=True)
            cosine = unit @ unit.T
            gaps.append((cosine[:8, :8].sum() - 8) / 56 - cosine[:8, 8:].mean())
    assert gaps[1] == pytest.approx(gaps[0], abs=0.1)
    assert gaps[3] == pytest.approx(gaps[2], abs=0.1)
    assert isinstance(model.wv, KeyedVectors)
