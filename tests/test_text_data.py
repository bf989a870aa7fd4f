"""Data sets of texts: files of any text, Tiny Shakespeare, and IMDB from a folder, an archive or Keras's file."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import pickle
import struct
import sys
import tarfile
import zipfile

import numpy as np
import pytest

import pynn
from pynn.datasets import cache, imdb_files
from pynn.datasets.pickled import PickleError, integer_lists
from pynn.errors import DataError, DTypeError

REVIEWS = {
    "train/pos/0_9.txt": "A great film! A great, great film.<br /><br />Go.",
    "train/pos/1_10.txt": "I liked the film",
    "train/pos/10_7.txt": "the café scene is great",
    "train/neg/0_1.txt": "A bad film",
    "train/neg/1_2.txt": "not great",
    "test/pos/0_8.txt": "Great fun",
    "test/pos/1_8.txt": "A FILM",
    "test/neg/0_3.txt": "bad bad bad",
}
OTHERS = {
    "README": "about",
    "imdb.vocab": "the\n",
    "train/unsup/0_0.txt": "unlabelled",
    "train/labeledBow.feat": "9 0:1",
    "train/pos/notes.txt": "no review",
    "test/urls_pos.txt": "http://x",
}


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    """Keep the user's cache out of it."""
    monkeypatch.delenv("PYNN_DATA", raising=False)
    folder = tmp_path / "cache"
    monkeypatch.setattr(cache, "user_cache", lambda: folder)
    return folder


def write_folder(root, **replaced):
    for name, content in {**REVIEWS, **OTHERS, **replaced}.items():
        if content is not None:
            path = root / "aclImdb" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root / "aclImdb"


def write_archive(path, **replaced):
    with tarfile.open(path, f"w:{path.suffix[1:] if path.suffix != '.tar' else ''}") as archive:
        for name, content in {**REVIEWS, **OTHERS, **replaced}.items():
            if content is not None:
                data = content if isinstance(content, bytes) else content.encode()
                member = tarfile.TarInfo(f"aclImdb/{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


def rows(x):
    return [row.tolist() for row in x]


def same(one, other):
    for (x, y), (x2, y2) in zip(one, other, strict=True):
        assert rows(x) == rows(x2)
        np.testing.assert_array_equal(y, y2)


# Any text


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_text_in_any_packing(pack, tmp_path):
    path = tmp_path / "poem"
    path.write_bytes(pack("\ufeffTyger,\r\nBurning\rbright\n😀".encode()))
    assert pynn.datasets.text(path) == "Tyger,\nBurning\nbright\n😀"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected text. Received: an empty file"),
        (b"\xef\xbb\xbf", "an empty file"),
        (b"ab\ncaf\xe9 x", r"byte 0xe9 at offset 6, line 2 .*LATIN1"),
        (gzip.compress(b"abc" * 100)[:-9], "whole, intact packed file"),
        (lzma.compress(b"abc" * 100)[:-9], "whole, intact packed file"),
        (b"\x1f\x8b\x08rubbish", "whole, intact packed file"),
    ],
)
def test_bad_texts_are_told(content, message, tmp_path):
    path = tmp_path / "poem.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"poem\.txt: .*{message}"):
        pynn.datasets.text(path)


def test_a_missing_text_is_told(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt: cannot be read"):
        pynn.datasets.text(tmp_path / "none.txt")


# Shakespeare


def test_tiny_shakespeare_is_found(tmp_path, monkeypatch):
    folder = tmp_path / "tinyshakespeare"
    folder.mkdir()
    (folder / "input.txt").write_text("First Citizen:")
    for place in (tmp_path, folder, folder / "input.txt"):
        assert pynn.datasets.tiny_shakespeare(place) == "First Citizen:"
    monkeypatch.setenv("PYNN_DATA", str(tmp_path))
    assert pynn.datasets.tiny_shakespeare() == "First Citizen:"
    with pytest.raises(DataError, match=r"expected the file input\.txt in data="):
        pynn.datasets.tiny_shakespeare(tmp_path / "nowhere")


def test_the_real_shakespeare(data_dir):
    whole = pynn.datasets.tiny_shakespeare(data_dir)
    assert len(whole) == 1_115_394
    train, validation = pynn.datasets.split_text(whole)
    assert (len(train), len(validation)) == (1_003_854, 111_540)
    assert train + validation == whole
    tokenizer = pynn.text.Tokenizer("char").fit(whole)
    assert len(tokenizer) == 65
    assert tokenizer.decode(tokenizer.encode(whole)) == whole


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("abc", 0.1), DataError, "neither part empty. Received: 3 characters"),
        (("", 0.5), DataError, "Received: 0 characters"),
        (("abc", 1.0), ValueError, r"share to be a number in \(0, 1\)"),
        ((b"abc", 0.5), DTypeError, "expected a string"),
    ],
)
def test_bad_splits_are_told(arguments, error, message):
    with pytest.raises(error, match=message):
        pynn.datasets.split_text(*arguments)


# IMDB from a folder and from archives


def test_reviews_are_encoded_as_keras_does(tmp_path):
    (x, y), (xt, yt) = pynn.datasets.imdb(write_folder(tmp_path))
    assert (x.dtype, len(x), len(xt)) == (object, 5, 3)
    assert y.dtype == np.int64
    assert sorted(y.tolist()) == [0, 0, 1, 1, 1]
    tokenizer = pynn.datasets.imdb_tokenizer(tmp_path)
    # great 5, film 4, a 3, br 2, the 2, then by their letters
    assert tokenizer.vocabulary[4:9] == ("great", "film", "a", "br", "the")
    by_text = {tokenizer.decode(ids): (ids.tolist(), int(label)) for ids, label in zip(x, y, strict=True)}
    assert by_text["a great film a great great film br br go"] == ([1, 6, 4, 5, 6, 4, 4, 5, 7, 7, 11], 1)
    assert by_text["a bad film"][1] == by_text["not great"][1] == 0
    tested = {tuple(ids.tolist()): int(label) for ids, label in zip(xt, yt, strict=True)}
    assert tested == {(1, 4, 2): 1, (1, 6, 5): 1, (1, 9, 9, 9): 0}  # "fun" stands in no training review
    np.testing.assert_array_equal(tokenizer.encode("Great fun"), [1, 4, 2])


def test_texts_stand_in_the_order_of_their_ids(tmp_path):
    folder = write_folder(tmp_path)
    tokenizer = pynn.datasets.imdb_tokenizer(folder)
    for (texts, y), (x, y2) in zip(pynn.datasets.imdb_texts(folder), pynn.datasets.imdb(folder), strict=True):
        np.testing.assert_array_equal(y, y2)
        assert [tokenizer.encode(text).tolist() for text in texts] == rows(x)
    assert any("café" in text for text in pynn.datasets.imdb_texts(folder)[0][0])


@pytest.mark.parametrize("name", ["aclImdb.tar", "aclImdb_v1.tar.gz", "aclImdb.tar.xz"])
def test_an_archive_equals_the_folder(name, tmp_path, caches):
    expected = pynn.datasets.imdb(write_folder(tmp_path / "unpacked"))
    packed = tmp_path / "packed" / "imdb"
    packed.mkdir(parents=True)
    path = write_archive(packed / name)
    for place in (path, packed, packed.parent):
        same(pynn.datasets.imdb(place), expected)
    assert [entry.name for entry in packed.iterdir()] == [name]  # nothing was unpacked
    assert len(list((caches / "imdb").iterdir())) == 2


def test_limits(tmp_path):
    folder = write_folder(tmp_path)
    (whole, _), _ = pynn.datasets.imdb(folder)
    (few, _), _ = pynn.datasets.imdb(folder, num_words=7)
    assert rows(few) == [[i if i < 7 else 2 for i in row] for row in rows(whole)]
    (rare, _), _ = pynn.datasets.imdb(folder, skip_top=2)
    assert rows(rare) == [[2 if i in (4, 5) else i for i in row] for row in rows(whole)]
    (cut, _), (cut_t, _) = pynn.datasets.imdb(folder, maxlen=3)
    assert cut.dtype == np.int32
    assert cut.shape == (5, 3)
    assert cut_t.shape == (3, 3)
    assert cut.tolist() == [[*row[-3:], 0, 0, 0][:3] for row in rows(whole)]
    (first, _), _ = pynn.datasets.imdb(folder, maxlen=2, truncating="post")
    assert first.tolist() == [row[:2] for row in rows(whole)]
    assert len(pynn.datasets.imdb_tokenizer(folder, num_words=7)) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_words": 4}, "num_words of 5 or more"),
        ({"num_words": 2.5}, "num_words"),
        ({"maxlen": 0}, "maxlen"),
        ({"skip_top": -1}, "skip_top"),
        ({"truncating": "left", "maxlen": 2}, "truncating"),
    ],
)
def test_wrong_limits_are_told(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        pynn.datasets.imdb(write_folder(tmp_path), **options)


def test_the_cache_is_used_and_kept_up_to_date(tmp_path, caches, monkeypatch):
    path = write_archive(tmp_path / "aclImdb.tar.gz")
    expected = pynn.datasets.imdb(path)
    [kept] = (caches / "imdb").iterdir()
    with monkeypatch.context() as patch:
        module = sys.modules["pynn.datasets.imdb"]  # the function has the same name
        patch.setattr(module, "read_reviews", lambda path: pytest.fail("read again"))
        same(pynn.datasets.imdb(path), expected)
        pynn.datasets.imdb_tokenizer(path)
    with np.load(kept, allow_pickle=False) as arrays:
        assert {array.dtype.kind for array in arrays.values()} == {"i", "u"}
    whole = kept.read_bytes()
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    for damage in (
        b"",
        b"PK",
        whole[:-30],
        whole[: len(whole) // 2],
        whole.replace(b"\x00", b"\x01"),
        array.getvalue(),
    ):
        kept.write_bytes(damage)
        same(pynn.datasets.imdb(path), expected)
        assert len(kept.read_bytes()) > 1000
    np.savez(kept, ids_train=np.zeros(3))  # not what belongs there
    same(pynn.datasets.imdb(path), expected)
    write_archive(path, **{"train/pos/2_9.txt": "one more"})
    os.utime(path, (1, 1))
    assert len(pynn.datasets.imdb(path)[0][0]) == 6


def test_a_changed_folder_is_read_again(tmp_path):
    folder = write_folder(tmp_path)
    assert len(pynn.datasets.imdb(folder)[0][0]) == 5
    (folder / "train" / "neg" / "7_1.txt").write_text("worse")
    assert len(pynn.datasets.imdb(folder)[0][0]) == 6


def test_without_a_cache_that_can_be_written(tmp_path, caches):
    caches.write_text("a file in the way")
    (x, _), _ = pynn.datasets.imdb(write_folder(tmp_path))
    assert len(x) == 5


def damaged(path, how):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if how == "cut" else content[:40] + b"\xff" * 40 + content[80:])
    return path


@pytest.mark.parametrize("name", ["aclImdb.tar.gz", "aclImdb.tar.xz"])
@pytest.mark.parametrize("how", ["cut", "overwritten"])
def test_damaged_archives_are_told(name, how, tmp_path):
    path = damaged(write_archive(tmp_path / name), how)
    with pytest.raises(DataError, match=f"{name}: expected a whole, intact tar archive"):
        pynn.datasets.imdb(path)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"test/neg/0_3.txt": None}, r"none in test/neg|test/neg: cannot be read"),
        ({"train/neg/0_1.txt": b"caf\xe9"}, r"train/neg/0_1\.txt: expected text in UTF-8. Received: a bad byte at 3"),
    ],
)
def test_bad_reviews_are_told(replaced, message, tmp_path):
    for place in (write_archive(tmp_path / "aclImdb.tar", **replaced), write_folder(tmp_path, **replaced)):
        with pytest.raises(DataError, match=message):
            pynn.datasets.imdb(place)


def test_a_review_of_a_gigabyte_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(imdb_files, "LONGEST", 10)
    with pytest.raises(DataError, match=r"expected a review. Received: \d+ bytes"):
        pynn.datasets.imdb(write_archive(tmp_path / "aclImdb.tar"))


def test_places_without_reviews_are_told(tmp_path):
    with pytest.raises(DataError, match=r"in data='.*'.*the folder has none of them"):
        pynn.datasets.imdb(tmp_path)
    with pytest.raises(DataError, match="there is no such file or folder"):
        pynn.datasets.imdb(tmp_path / "nowhere")
    (tmp_path / "file.txt").write_text("no archive")
    with pytest.raises(DataError, match=r"file\.txt: expected a whole, intact tar archive"):
        pynn.datasets.imdb(tmp_path / "file.txt")


def test_the_real_reviews(data_dir):
    (x, y), (xt, yt) = pynn.datasets.imdb(data_dir, num_words=20_000, maxlen=80)
    assert x.shape == xt.shape == (25_000, 80)
    assert y.sum() == yt.sum() == 12_500
    assert x.max() == 19_999
    assert 0.4 < y[-5000:].mean() < 0.6  # the labels are mixed: validation_split may take the last ones
    assert pynn.datasets.imdb_tokenizer(data_dir).vocabulary[4:8] == ("the", "and", "a", "of")


# Keras's file


def object_array(lists):
    array = np.empty(len(lists), object)
    array[:] = lists
    return array


def write_keras(path, **replaced):
    arrays = {
        "x_train": object_array([[1, 14, 300], [5], [70_000, 2]]),
        "y_train": np.array([1, 0, 1]),
        "x_test": object_array([[7, 7], [1]]),
        "y_test": np.array([0, 1]),
    }
    np.savez(path, **{name: array for name, array in {**arrays, **replaced}.items() if array is not None})
    return path


def test_keras_file(tmp_path):
    path = write_keras(tmp_path / "imdb.npz")
    for place in (path, tmp_path):
        (x, y), (xt, yt) = pynn.datasets.imdb(place)
        found = sorted(zip(rows(x), y.tolist(), strict=True))
        assert found == [([1, 4, 17, 303], 1), ([1, 8], 0), ([1, 70_003, 5], 1)]
        assert sorted(zip(rows(xt), yt.tolist(), strict=True)) == [([1, 4], 1), ([1, 10, 10], 0)]
    (x, _), _ = pynn.datasets.imdb(path, num_words=100, maxlen=2)
    assert sorted(x.tolist()) == [[1, 8], [2, 5], [17, 2]]
    for function in (pynn.datasets.imdb_tokenizer, pynn.datasets.imdb_texts):
        with pytest.raises(DataError, match="Keras's file, which has ids alone"):
            function(path)


def npy(pickled, shape):
    """Return the content of an .npy file around a pickle."""
    header = f"{{'descr': '|O', 'fortran_order': False, 'shape': {shape!r}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pickled


def repack(path, name, content):
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, old in members.items():
            archive.writestr(member, content if member == name else old)
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickles_is_read(protocol, tmp_path):
    lists = [[i % 88_000 + 1 for i in range(n)] for n in (1, 2, 999, 1000, 1001, 2500)] + [
        [255, 256, 65_536, 2**31 - 1]
    ]
    assert integer_lists(pickle.dumps(object_array(lists), protocol)) == lists
    shared = [7, 8]
    assert integer_lists(pickle.dumps(object_array([shared, shared, [1] * 50]), protocol)) == [shared, shared, [1] * 50]
    path = write_keras(tmp_path / "imdb.npz")
    repack(path, "x_test.npy", npy(pickle.dumps(object_array([[3], [4, 5]]), protocol), (2,)))
    (_, _), (xt, _) = pynn.datasets.imdb(path)
    assert sorted(rows(xt)) == [[1, 6], [1, 7, 8]]


def test_a_pickle_of_python_2_is_read():
    """The opcodes that it has beside the others: strings of bytes, and numpy.core."""
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
        b"(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"
        b"\x89](](K\x01M\x2c\x01e]K\x05aetb."
    )
    assert [list(row) for row in pickle.loads(content)] == [[1, 300], [5]]
    assert integer_lists(content) == [[1, 300], [5]]


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_a_pickle_that_calls_something_is_refused(protocol, tmp_path):
    made = tmp_path / "made"
    for evil in (Evil(made), object_array([[1], Evil(made)]), [Evil(made)]):
        content = pickle.dumps(evil, protocol)
        with pytest.raises(PickleError):
            integer_lists(content)
        path = write_keras(tmp_path / "imdb.npz")
        repack(path, "x_train.npy", npy(content, (3,)))
        with pytest.raises(DataError, match=r"imdb\.npz: expected x_train to be pickled lists of ids"):
            pynn.datasets.imdb(path)
    assert not made.exists()


def shared_nest():
    nest = ()
    for _ in range(60):
        nest = (nest, nest)
    return nest


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1]], "no array"),
        (object_array([[1], "text"]), "elements that are no lists"),
        (object_array([[1], [0.5]]), "opcode 0x47"),
        (object_array([[1], [None]]), "not integers"),
        (object_array([[1], [True]]), "not integers"),
        (object_array([[1], [-1]]), "not integers from 0"),
        (object_array([[1], [2**31]]), "not integers from 0"),
        (object_array([[1], [2**400]]), "not integers from 0"),
        (object_array([[1], [[2]]]), "not integers"),
        (object_array([[1] * 1000] * 1000), "share their elements"),
        (shared_nest(), "no array"),
    ],
)
def test_other_pickles_are_refused(value, message):
    if message == "share their elements":
        one = [1] * 1000
        value = object_array([one] * 1000)
    with pytest.raises(PickleError, match=message):
        integer_lists(pickle.dumps(value))


def test_a_name_made_of_nested_tuples_is_refused():
    content = b"\x80\x04)" + b"2\x86" * 60 + b"\x8c\x01x\x93."
    with pytest.raises(PickleError):
        integer_lists(content)
    with pytest.raises(PickleError, match="no text"):
        integer_lists(b"\x80\x04)\x8c\x01x\x93.")


def test_damaged_pickles_are_refused_or_read(rng):
    whole = pickle.dumps(object_array([[1, 2, 300], [70_000], [4] * 20]))
    for length in range(len(whole)):
        with pytest.raises(PickleError):
            integer_lists(whole[:length])
    for _ in range(3000):
        content = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            content[at] = rng.integers(256)
        try:
            lists = integer_lists(bytes(content))
        except PickleError:
            continue
        assert all(type(i) is int for row in lists for i in row)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"x_test": None}, "expected x_train, y_train, x_test and y_test"),
        ({"y_train": np.array([1, 0])}, "y_train to be a label for each of 3 reviews"),
        ({"y_train": np.array([1, 0, 2])}, "3 labels, 0 or 1. Received: 3, from 0 to 2"),
        ({"y_train": np.array([1.0, 0.0, 1.0])}, "y_train to be a label"),
        ({"x_test": np.zeros((2, 3), int)}, "x_test to be lists of ids"),
        ({"x_test": object_array([[1], []])}, "none of them empty"),
        ({"x_test": object_array([[1], [0]])}, "ranks of words, from 1"),
        ({"x_test": object_array([[1], [2**31 - 2]])}, "ranks of words, from 1"),
    ],
)
def test_bad_keras_files_are_told(replaced, message, tmp_path):
    with pytest.raises(DataError, match=rf"imdb\.npz: .*{message}"):
        pynn.datasets.imdb(write_keras(tmp_path / "imdb.npz", **replaced))


def test_damaged_keras_files_are_told(tmp_path):
    path = write_keras(tmp_path / "imdb.npz")
    whole = path.read_bytes()
    for content in (whole[:-40], b"", b"PK\x05\x06" + bytes(18)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"imdb\.npz: expected (Keras's imdb\.npz|x_train, y_train)"):
            pynn.datasets.imdb(path)
    for content in (b"", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x09\x00ab", npy(b"", (2,)), npy(b".", (2,)), b"text"):
        repack(write_keras(path), "x_test.npy", content)
        with pytest.raises(DataError, match=r"imdb\.npz: expected"):
            pynn.datasets.imdb(path)
