"""Tokens and ids, padded batches, buckets of like lengths, and windows of long texts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pynn import nn, text
from pynn.errors import DataError, DTypeError, ShapeError
from pynn.text import Tokenizer, bptt_windows, bucket_by_length, pad_sequences, sequence_lengths

TEXTS = ["The cat sat on the mat.", "The dog ate the cat!", "a dog"]


# Vocabulary


def test_words_are_numbered_by_frequency_after_the_special_ids():
    tokenizer = Tokenizer().fit(TEXTS)
    words = ("the", "cat", "dog", "a", "ate", "mat", "on", "sat")  # equally frequent ones by their letters
    assert tokenizer.vocabulary == ("<pad>", "<start>", "<unknown>", "<unused>", *words)
    assert len(tokenizer) == 12
    assert tokenizer.index == {word: i for i, word in enumerate(words, 4)}
    assert "cat" in tokenizer
    assert "cow" not in tokenizer


def test_the_vocabulary_does_not_depend_on_the_order_of_texts():
    assert Tokenizer().fit(TEXTS) == Tokenizer().fit(TEXTS[::-1])
    assert Tokenizer().fit(iter(TEXTS)) == Tokenizer().fit(TEXTS)
    assert Tokenizer().fit(TEXTS) != Tokenizer().fit(TEXTS[:2])


def test_num_words_is_a_bound_on_ids():
    tokenizer = Tokenizer(num_words=7).fit(TEXTS)
    assert len(tokenizer) == 7
    ids = tokenizer.encode("the cat sat on a dog")
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, [4, 5, 2, 2, 2, 6])
    assert len(Tokenizer("char", num_words=2).fit("aab")) == 2


def test_options_of_words():
    assert Tokenizer(lower=False).fit("The the").vocabulary[4:] == ("The", "the")
    assert Tokenizer(filters="").fit("it's. a-b").vocabulary[4:] == ("a-b", "it's.")
    assert Tokenizer().fit("it's. a-b").vocabulary[4:] == ("a", "b", "it's")
    bare = Tokenizer(specials=False).fit("a b")
    assert bare.vocabulary == ("a", "b")
    with pytest.raises(DataError, match=r"'c', word 1 of the text"):
        bare.encode("a c")
    np.testing.assert_array_equal(Tokenizer(start=True).fit("a b").encode("b"), [1, 5])
    strict = Tokenizer(errors="raise").fit("a b")
    with pytest.raises(DataError, match=r"expected words that the vocabulary of 6 has\. Received: 'x', word 0"):
        strict.encode("x")


def test_characters_have_no_special_ids_unless_asked_for():
    tokenizer = Tokenizer("char").fit("abba b")
    assert tokenizer.vocabulary == ("b", "a", " ")
    np.testing.assert_array_equal(tokenizer.encode("ab "), [1, 0, 2])
    special = Tokenizer("char", specials=True, start=True).fit("abb")
    np.testing.assert_array_equal(special.encode("bax"), [1, 4, 5, 2])
    assert special.decode([1, 4, 5, 0, 0]) == "ba"
    assert Tokenizer("char").fit("aA").vocabulary == ("A", "a")
    assert Tokenizer("char", lower=True).fit("aA").vocabulary == ("a",)


def test_an_unknown_character_is_named_with_its_position():
    tokenizer = Tokenizer("char").fit("hello")
    with pytest.raises(DataError, match=r"'x' at position 2 of the text"):
        tokenizer.encode("hexe")


@pytest.mark.parametrize("sample", ["naïve café €", "line\nline\ttab", "日本語 🙂🙂", "\udcff lone"])
def test_characters_come_back(sample):
    tokenizer = Tokenizer("char").fit(sample)
    ids = tokenizer.encode(sample)
    assert ids.dtype == np.int32
    assert len(ids) == len(sample)
    assert tokenizer.decode(ids) == sample


def test_batches():
    tokenizer = Tokenizer().fit(TEXTS)
    batch = tokenizer.encode_batch(["the cat", "dog"])
    assert [row.tolist() for row in batch] == [[4, 5], [6]]
    assert tokenizer.decode_batch(pad_sequences(batch)) == ["the cat", "dog"]
    assert tokenizer.decode_batch([[4, 2, 3]]) == ["the <unknown> <unused>"]
    assert tokenizer.encode("").shape == (0,)
    with pytest.raises(DTypeError, match="call encode"):
        tokenizer.encode_batch("one string")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Tokenizer("words"), ValueError, "did you mean 'word'"),
        (lambda: Tokenizer(num_words=4), ValueError, "num_words of 5 or more"),
        (lambda: Tokenizer(num_words=True), ValueError, "num_words"),
        (lambda: Tokenizer(errors="ignore"), ValueError, "unknown setting of errors"),
        (lambda: Tokenizer("char", filters="."), ValueError, "filters part words"),
        (lambda: Tokenizer("char", start=True), ValueError, "specials=True"),
        (lambda: Tokenizer("char", errors="unknown"), ValueError, "specials=True"),
        (lambda: Tokenizer(filters=3), DTypeError, "filters to be a string"),
        (lambda: Tokenizer().fit([]), DataError, "at least one word"),
        (lambda: Tokenizer().fit(["", " ... "]), DataError, "at least one word"),
        (lambda: Tokenizer("char").fit(""), DataError, "at least one character"),
        (lambda: Tokenizer().fit(["a", None]), DTypeError, r"texts\[1\] to be a string. Received: NoneType"),
        (lambda: Tokenizer().encode("a"), RuntimeError, r"call fit\(texts\) first"),
        (lambda: Tokenizer().fit("a").encode(b"a"), DTypeError, "Received: bytes"),
        (lambda: Tokenizer().fit("a").decode([4, 9]), DataError, r"ids 0 to 4. Received: 9 at position 1"),
        (lambda: Tokenizer().fit("a").decode([-1]), DataError, r"Received: -1 at position 0"),
        (lambda: Tokenizer().fit("a").decode([0.5]), DTypeError, "integer ids"),
        (lambda: Tokenizer().fit("a").decode([[4]]), DTypeError, "integer ids"),
    ],
)
def test_wrong_use_of_a_tokenizer_is_told(make, error, message):
    with pytest.raises(error, match=message):
        make()


# Files


@pytest.mark.parametrize(
    "tokenizer",
    [
        Tokenizer(num_words=9, start=True).fit(TEXTS),
        Tokenizer("char").fit("tyger\ud800 🙂"),
        Tokenizer("char", specials=True, lower=True).fit("Tyger"),
        Tokenizer(errors="raise", filters="|").fit("a|b"),
    ],
)
def test_a_tokenizer_comes_back_from_its_file(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    loaded = Tokenizer.load(path)
    assert loaded == tokenizer
    assert loaded.vocabulary == tokenizer.vocabulary
    assert Tokenizer.from_config(json.loads(json.dumps(tokenizer.to_config()))) == tokenizer
    sample = tokenizer.decode(np.arange(len(tokenizer))[-2:])
    np.testing.assert_array_equal(loaded.encode(sample), tokenizer.encode(sample))
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokenizer.json"]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    Tokenizer().fit("a").save(path)
    before = path.read_bytes()

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        Tokenizer().fit("b").save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def without(key):
    return {name: value for name, value in Tokenizer().fit(TEXTS).to_config().items() if name != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "format 'pynn.tokenizer'"),
        ({"version": 2}, "a newer pynn"),
        ({"version": True}, "version 1"),
        ({"level": "line"}, "unknown level"),
        ({"level": None}, "level to be str"),
        ({"num_words": 7.0}, "num_words to be int or null"),
        ({"num_words": True}, "num_words to be int or null"),
        ({"num_words": 6}, "below num_words=6. Received: 12"),
        ({"num_words": 1}, "num_words of 5 or more"),
        ({"lower": 1}, "lower to be bool"),
        ({"words": "abc"}, "words to be list"),
        ({"words": ["a", 3]}, r"words\[1\] to be a string. Received: '3'"),
        ({"words": ["a", ""]}, r"words\[1\] to be a string"),
        ({"words": ["a", "b", "a"]}, r"each word once. Received: 'a' as words\[0\] and words\[2\]"),
        ({"level": "char", "filters": "", "words": ["ab"]}, r"words\[0\] to be one character"),
        ({"level": "char", "words": ["a"]}, "filters part words"),
        ({"errors": "ignore"}, "unknown setting of errors"),
        ({"extra": 1}, r"with \['extra'\]"),
    ],
)
def test_a_config_is_checked(change, message):
    with pytest.raises(DataError, match=message):
        Tokenizer.from_config(Tokenizer().fit(TEXTS).to_config() | change)


@pytest.mark.parametrize("key", ["format", "version", "level", "words", "specials"])
def test_a_config_must_be_complete(key):
    with pytest.raises(DataError, match=r"\[tokenizer\] expected"):
        Tokenizer.from_config(without(key))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"format": "pynn.tokenizer", "format": "pynn.tokenizer"}',
        b'{"format": "pynn.tokenizer", "version": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_corrupt_file_is_named(content, tmp_path):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.json: "):
        Tokenizer.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.json: cannot be read"):
        Tokenizer.load(tmp_path / "nowhere.json")


def test_every_cut_of_a_file_is_told(tmp_path):
    path = tmp_path / "cut.json"
    Tokenizer("char").fit("ab").save(path)
    whole = path.read_bytes()
    for length in range(len(whole) - 2):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut\.json"):
            Tokenizer.load(path)


# Padding


def test_padding_and_truncating_on_either_side():
    rows = [[1, 2, 3, 4], [5], []]
    expected = {
        ("post", "pre"): [[2, 3, 4], [5, 0, 0], [0, 0, 0]],
        ("post", "post"): [[1, 2, 3], [5, 0, 0], [0, 0, 0]],
        ("pre", "pre"): [[2, 3, 4], [0, 0, 5], [0, 0, 0]],
        ("pre", "post"): [[1, 2, 3], [0, 0, 5], [0, 0, 0]],
    }
    for (padding, truncating), result in expected.items():
        out = pad_sequences(rows, 3, padding=padding, truncating=truncating)
        assert out.dtype == np.int32
        assert out.tolist() == result
    assert pad_sequences(rows, value=9).tolist() == [[1, 2, 3, 4], [5, 9, 9, 9], [9, 9, 9, 9]]
    assert sequence_lengths(rows).tolist() == [4, 1, 0]
    assert sequence_lengths(rows, 3).tolist() == [3, 1, 0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pad_sequences([[1]], 0), ValueError, "maxlen to be a positive integer. Received: maxlen=0"),
        (lambda: pad_sequences([[1]], 2.0), ValueError, "maxlen"),
        (lambda: pad_sequences([[1]], padding="left"), ValueError, "padding to be 'pre' or 'post'"),
        (lambda: pad_sequences([[1]], truncating="right"), ValueError, "truncating to be 'pre' or 'post'"),
        (lambda: pad_sequences([]), DataError, "at least one sequence"),
        (lambda: pad_sequences([[], []]), DataError, "not empty, or maxlen"),
        (lambda: pad_sequences("text"), DTypeError, "encode texts first"),
        (lambda: pad_sequences([[1], [0.5]]), DTypeError, r"sequences\[1\] to be integer token ids"),
        (lambda: pad_sequences([1, 2]), DTypeError, r"sequences\[0\]"),
        (lambda: pad_sequences([[2**31]]), DataError, "fit into int32"),
        (lambda: sequence_lengths([[1]], -1), ValueError, "maxlen"),
        (lambda: sequence_lengths([]), DataError, "at least one sequence"),
    ],
)
def test_wrong_padding_is_told(call, error, message):
    with pytest.raises(error, match=message):
        call()


# Buckets


def sequences(rng, count=50):
    lengths = rng.integers(1, 30, count)
    rows = [np.full(length, i + 1) for i, length in enumerate(lengths)]
    return rows, np.arange(count)


def test_buckets_hold_every_sequence_once_with_its_target(rng):
    rows, y = sequences(rng)
    batches = bucket_by_length(rows, y, 8, buckets=4)
    seen = []
    for x, targets in batches:
        assert len(x) == len(targets) <= 8
        for row, target in zip(x, targets, strict=True):
            np.testing.assert_array_equal(row[row != 0], rows[target])
            seen.append(int(target))
    assert sorted(seen) == list(range(50))
    assert len(batches) == len(list(batches))
    assert sum(count for count, _ in batches.shapes) == 50
    widths = [width for _, width in batches.shapes]
    assert widths == sorted(widths)
    assert len(widths) <= 4
    assert widths[-1] == max(map(len, rows))


def test_buckets_save_padding(rng):
    rows, y = sequences(rng, 400)
    batches = bucket_by_length(rows, y, 8, buckets=6)
    assert sum(x.size for x, _ in batches) < 0.7 * pad_sequences(rows).size


def test_buckets_are_shuffled_by_seed_and_pass(rng):
    rows, y = sequences(rng)

    def order(batches):
        return [targets.tolist() for _, targets in batches]

    one, two = (bucket_by_length(rows, y, 8, seed=3) for _ in range(2))
    first = order(one)
    assert first == order(two)
    second = order(one)
    assert second != first
    assert second == order(two)
    assert order(bucket_by_length(rows, y, 8, seed=4)) != first
    plain = bucket_by_length(rows, y, 8, shuffle=False)
    assert order(plain) == order(plain)


def test_long_sequences_are_cut_to_the_last_bucket():
    [(x, _)] = bucket_by_length([[1, 2, 3], [4]], [0, 1], buckets=[2])
    assert x.tolist() in ([[2, 3], [4, 0]], [[4, 0], [2, 3]])
    [(x, _)] = bucket_by_length([[1, 2, 3]], [0], buckets=[2], truncating="post")
    assert x.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: bucket_by_length([[1], []], [0, 1]), DataError, r"sequences\[1\] is empty"),
        (lambda: bucket_by_length([[1]], [0, 1]), ShapeError, "for each of 1 sequences. Received: 2"),
        (lambda: bucket_by_length([[1]], 1), ShapeError, "a single number"),
        (lambda: bucket_by_length([[1]], [0], 0), ValueError, "batch_size"),
        (lambda: bucket_by_length([[1]], [0], buckets=0), ValueError, "buckets"),
        (lambda: bucket_by_length([[1]], [0], buckets=[]), ValueError, "increasing lengths"),
        (lambda: bucket_by_length([[1]], [0], buckets=[4, 2]), ValueError, "increasing lengths"),
        (lambda: bucket_by_length([[1]], [0], seed=-1), ValueError, "seed"),
    ],
)
def test_wrong_buckets_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_fit_takes_buckets_and_learns(rng):
    rows = [rng.integers(1, 5, n) for n in rng.integers(2, 12, 96)]
    y = np.array([int(row[0] > 2) for row in rows])
    model = nn.Sequential([nn.Embedding(5, 4, mask_zero=True), nn.LSTM(8), nn.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_cross_entropy", metrics=["accuracy"], seed=0)
    model.optimizer.learning_rate = 0.03
    history = model.fit(bucket_by_length(rows, y, 16, buckets=(6, 12)), epochs=25, verbose=0)
    assert history.history["accuracy"][-1] > 0.95


# Windows


@pytest.mark.parametrize(
    ("tokens", "batch_size", "steps"), [(101, 4, 5), (13, 2, 3), (1000, 7, 11), (7, 1, 6), (2, 1, 1)]
)
def test_windows_follow_each_other_in_each_row(tokens, batch_size, steps):
    x, y = bptt_windows(np.arange(tokens), batch_size, steps)
    windows = (tokens - 1) // (batch_size * steps)
    assert x.shape == y.shape == (windows * batch_size, steps)
    assert x.dtype == y.dtype == np.int32
    np.testing.assert_array_equal(y, x + 1)
    batches = x.reshape(windows, batch_size, steps)
    streams = batches.transpose(1, 0, 2).reshape(batch_size, -1)
    np.testing.assert_array_equal(streams, np.arange(windows * batch_size * steps).reshape(batch_size, -1))


def test_a_stateful_network_on_windows_equals_one_run_over_each_stream(rng):
    ids = rng.integers(0, 6, 97)
    batch_size, steps = 3, 4
    x, _ = bptt_windows(ids, batch_size, steps)
    model = nn.Sequential([nn.Embedding(6, 5), nn.LSTM(7, return_sequences=True, stateful=True)], seed=1)
    pieces = np.stack([model(x[at : at + batch_size]).numpy() for at in range(0, len(x), batch_size)])
    nn.reset_states(model)
    streams = x.reshape(-1, batch_size, steps).transpose(1, 0, 2).reshape(batch_size, -1)
    whole = model(np.ascontiguousarray(streams)).numpy()
    joined = pieces.transpose(1, 0, 2, 3).reshape(batch_size, -1, 7)
    np.testing.assert_allclose(joined, whole, rtol=1e-5, atol=1e-6)


def test_fit_on_windows_equals_updates_by_hand(rng):
    x, y = bptt_windows(rng.integers(0, 6, 97), 3, 4)

    def built():
        layers = [nn.Input((4,)), nn.Embedding(6, 5), nn.GRU(7, return_sequences=True, stateful=True), nn.Dense(6)]
        model = nn.Sequential(layers)
        model.compile("sgd", "cross_entropy", seed=0)
        return model

    fitted, stepped = built(), built()
    fitted.fit(x, y, batch_size=3, epochs=1, shuffle=False, verbose=0)
    for at in range(0, len(x), 3):
        stepped.train_on_batch(x[at : at + 3], y[at : at + 3])
    for one, other in zip(fitted.parameters(), stepped.parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: bptt_windows([], 2, 3), DataError, "at least 7 tokens.*Received: 0. help: the text is empty"),
        (lambda: bptt_windows([1], 1, 1), DataError, "one token alone"),
        (lambda: bptt_windows(range(6), 2, 3), DataError, "Received: 6. help: pass steps=2 or less"),
        (lambda: bptt_windows(range(3), 8, 3), DataError, "pass batch_size=2 or less"),
        (lambda: bptt_windows(range(9), 0, 3), ValueError, "batch_size"),
        (lambda: bptt_windows(range(9), 1, 2.5), ValueError, "steps"),
        (lambda: bptt_windows([0.5], 1, 1), DTypeError, "integer token ids"),
        (lambda: bptt_windows([[1, 2]], 1, 1), DTypeError, r"integer token ids \[tokens\]"),
        (lambda: bptt_windows("text", 1, 1), DTypeError, "Tokenizer.encode"),
    ],
)
def test_wrong_windows_are_told(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_what_the_help_says_works():
    bptt_windows(range(6), 2, 2)
    bptt_windows(range(3), 2, 1)


def test_names_are_loaded_when_used():
    assert "Tokenizer" in dir(text)
    assert text.Tokenizer is Tokenizer
    with pytest.raises(AttributeError, match="no attribute 'tokeniser'"):
        text.tokeniser  # noqa: B018
