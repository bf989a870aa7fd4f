"""Data sets: what they hold, and what is said of files that are missing or damaged."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import os
import struct
import sys
import threading
import types

import numpy as np
import pytest

import pynn
from pynn.datasets import fetch, images
from pynn.datasets.idx import read_idx
from pynn.errors import DataError

NAMES = tuple(images.MNIST.files)
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = NAMES


def idx_bytes(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def small():
    """Return the content of four small files, by name."""
    random = np.random.RandomState(0)
    return {
        TRAIN_IMAGES: random.randint(0, 256, (20, 28, 28)),
        TRAIN_LABELS: np.arange(20) % 10,
        TEST_IMAGES: random.randint(0, 256, (10, 28, 28)),
        TEST_LABELS: np.arange(10),
    }


@pytest.fixture
def write(small, tmp_path, monkeypatch):
    """Return a function that writes the files into a folder, some of them replaced."""
    monkeypatch.delenv("PYNN_DATA", raising=False)

    def write(place="mnist", packed=True, **replaced):
        folder = tmp_path / place
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in small.items():
            content = replaced.get(name.split("-ubyte")[0].replace("-", "_"), array)
            if not isinstance(content, bytes):
                content = gzip.compress(idx_bytes(content)) if packed else idx_bytes(content)
            (folder / (name if packed else name.removesuffix(".gz"))).write_bytes(content)
        return tmp_path

    return write


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["mnist", "."])
def test_a_folder_is_read_packed_or_not_with_or_without_the_subfolder(write, small, packed, place):
    (x, y), (xt, yt) = pynn.datasets.mnist(write(place, packed))
    assert x.dtype == xt.dtype == np.uint8
    assert y.dtype == yt.dtype == np.int64
    np.testing.assert_array_equal(x, small[TRAIN_IMAGES])
    np.testing.assert_array_equal(y, small[TRAIN_LABELS])
    np.testing.assert_array_equal(xt, small[TEST_IMAGES])
    np.testing.assert_array_equal(yt, small[TEST_LABELS])
    x[0, 0, 0] = 1  # the arrays are the caller's own


def test_the_environment_names_the_folder_and_the_argument_wins(write, tmp_path, monkeypatch):
    folder = write("fashion-mnist")
    monkeypatch.setenv("PYNN_DATA", str(folder))
    assert len(pynn.datasets.fashion_mnist()[0][0]) == 20
    with pytest.raises(DataError, match="no such folder"):
        pynn.datasets.fashion_mnist(tmp_path / "elsewhere")


def test_a_folder_without_the_files_says_what_was_looked_for_and_downloads_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "_download", lambda *a: pytest.fail("a download"))
    with pytest.raises(DataError) as caught:
        pynn.datasets.mnist(tmp_path)
    for part in (TRAIN_IMAGES, str(tmp_path), os.path.join("mnist", TRAIN_IMAGES), "the folder lacks it", "help:"):
        assert part in str(caught.value)
    monkeypatch.setenv("PYNN_DATA", str(tmp_path))
    with pytest.raises(DataError, match="PYNN_DATA="):
        pynn.datasets.mnist()


GOOD = idx_bytes(np.zeros((20, 28, 28), np.uint8))


def _flipped(content):
    packed = bytearray(gzip.compress(content))
    packed[-6] ^= 0xFF  # within the checksum
    return bytes(packed)


@pytest.mark.parametrize(
    ("replaced", "name", "message"),
    [
        ({"train_images_idx3": gzip.compress(GOOD)[:-30]}, TRAIN_IMAGES, "ends too early"),
        ({"train_images_idx3": gzip.compress(GOOD[:-1])}, TRAIN_IMAGES, "truncated"),
        ({"train_images_idx3": gzip.compress(GOOD + b"\0")}, TRAIN_IMAGES, "Received: more"),
        ({"train_images_idx3": _flipped(GOOD)}, TRAIN_IMAGES, "CRC check failed"),
        ({"train_images_idx3": gzip.compress(GOOD)[:40] + b"\xff" * 40}, TRAIN_IMAGES, "damaged|too early"),
        ({"train_images_idx3": b"<html>404</html>"}, TRAIN_IMAGES, "magic number"),
        ({"train_images_idx3": b""}, TRAIN_IMAGES, "Received: nothing"),
        ({"train_images_idx3": gzip.compress(b"\1" + GOOD[1:])}, TRAIN_IMAGES, "magic number"),
        ({"train_images_idx3": gzip.compress(GOOD[:9])}, TRAIN_IMAGES, "3 dimensions"),
        ({"train_images_idx3": np.zeros((20, 27, 28))}, TRAIN_IMAGES, r"\[20, 27, 28\]"),
        ({"train_images_idx3": np.zeros((0, 28, 28))}, TRAIN_IMAGES, r"\[0, 28, 28\]"),
        ({"train_labels_idx1": np.zeros(19)}, TRAIN_LABELS, "19 labels"),
        ({"t10k_labels_idx1": np.full(10, 10)}, TEST_LABELS, "10 at index 0"),
        ({"t10k_labels_idx1": np.zeros((10, 1))}, TEST_LABELS, r"\[10, 1\]"),
    ],
)
def test_a_damaged_file_is_named(write, replaced, name, message):
    with pytest.raises(DataError, match=message) as caught:
        pynn.datasets.mnist(write(**replaced))
    assert name in str(caught.value)


def test_a_lying_header_takes_no_memory(tmp_path):
    file = tmp_path / "huge"
    file.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1) + b"few")
    with pytest.raises(DataError, match="3 bytes"):
        read_idx(file)


@pytest.mark.parametrize(("code", "dtype"), [(8, "u1"), (9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")])
def test_idx_types_come_in_native_byte_order(tmp_path, code, dtype):
    array = np.arange(6).reshape(2, 3)
    file = tmp_path / "array"
    file.write_bytes(struct.pack(">BBBB2I", 0, 0, code, 2, 2, 3) + array.astype(f">{dtype}").tobytes())
    got = read_idx(file)
    assert got.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(got, array)


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match=r"none.*No such file"):
        read_idx(tmp_path / "none")


class Pooch(types.ModuleType):
    """Stand for pooch: serve local files by name, refuse some mirrors."""

    def __init__(self, folder, refused=(), error=None):
        super().__init__("pooch")
        self.folder, self.refused, self.error, self.asked = folder, refused, error or OSError("no route to host"), []

    def os_cache(self, name):
        return self.folder / "cache" / name

    def HTTPDownloader(self, progressbar, timeout):
        return ("downloader", progressbar)

    def retrieve(self, url, known_hash, fname, path, downloader):
        self.asked.append((url, known_hash, downloader))
        if any(url.startswith(mirror) for mirror in self.refused):
            raise self.error
        return str(self.folder / "mnist" / fname)


def test_without_a_folder_the_files_are_downloaded_and_their_checksums_asked_for(write, monkeypatch):
    pooch = Pooch(write())
    monkeypatch.setitem(sys.modules, "pooch", pooch)
    (x, _), _ = pynn.datasets.mnist()
    assert len(x) == 20
    assert [(url, known) for url, known, _ in pooch.asked] == [
        (images.MNIST.mirrors[0] + name, f"sha256:{sha}") for name, sha in images.MNIST.files.items()
    ]
    assert all(downloader == ("downloader", True) for _, _, downloader in pooch.asked)


def test_the_next_mirror_is_tried_when_one_fails_or_serves_another_file(write, monkeypatch):
    refusal = ValueError("SHA256 hash of downloaded file does not match the known hash")
    pooch = Pooch(write(), refused=images.MNIST.mirrors[:1], error=refusal)
    monkeypatch.setitem(sys.modules, "pooch", pooch)
    assert len(pynn.datasets.mnist(progress=False)[0][0]) == 20
    assert len(pooch.asked) == 8


def test_no_mirror_at_all_says_what_was_tried(write, monkeypatch):
    pooch = Pooch(write(), refused=images.MNIST.mirrors)
    monkeypatch.setitem(sys.modules, "pooch", pooch)
    with pytest.raises(DataError) as caught:
        pynn.datasets.mnist()
    for part in (*images.MNIST.mirrors, TRAIN_IMAGES, "no route to host", "help:"):
        assert part in str(caught.value)


@pytest.fixture
def server(tmp_path):
    """Return the address of a server of the folder `tmp_path`."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    serve = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=serve.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serve.server_port}/"
    serve.shutdown()
    serve.server_close()
    thread.join()


def test_pooch_itself_refuses_a_wrong_file_and_keeps_the_right_one(server, tmp_path, monkeypatch, capfd):
    pooch = pytest.importorskip("pooch")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("PYNN_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    for folder, content in (("wrong", b"something else"), ("right", b"the file")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.gz").write_bytes(content)
    sha = hashlib.sha256(b"the file").hexdigest()
    files = fetch.FileSet("some-set", (f"{server}none/", f"{server}wrong/", f"{server}right/"), {"a.gz": sha})
    path = fetch.locate(files)["a.gz"]
    assert path == tmp_path / "cache" / "pynn" / "some-set" / "a.gz"
    assert path.read_bytes() == b"the file"
    assert "100%" in capfd.readouterr().err
    (tmp_path / "right" / "a.gz").unlink()
    assert fetch.locate(files)["a.gz"] == path  # from the cache
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"404.*does not match the known hash"):
        fetch.locate(files)


def test_missing_extras_are_named(monkeypatch):
    monkeypatch.delenv("PYNN_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"pynn-dl\[data\]"):
        pynn.datasets.mnist()
    with pytest.raises(ImportError, match=r"pynn-dl\[demo\]"):
        pynn.datasets.digits()


def test_digits_are_split_by_class_and_always_the_same():
    pytest.importorskip("sklearn")
    (x, y), (xt, yt) = pynn.datasets.digits()
    assert (x.shape, xt.shape) == ((1438, 8, 8), (359, 8, 8))
    assert x.dtype == np.float32
    assert y.dtype == np.int64
    assert x.min() == 0
    assert x.max() == 1
    assert np.bincount(yt).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    again = pynn.datasets.digits()
    np.testing.assert_array_equal(x, again[0][0])
    assert not np.array_equal(y, pynn.datasets.digits(seed=1)[0][1])
    rows = {image.tobytes() for image in x}
    assert sum(image.tobytes() in rows for image in xt) == 0
    with pytest.raises(ValueError, match=r"test_size.*Received: test_size=1"):
        pynn.datasets.digits(test_size=1)


@pytest.mark.parametrize(("name", "classes"), [("xor", 2), ("moons", 2), ("circles", 2), ("spirals", 3), ("blobs", 3)])
def test_planes_of_points(name, classes):
    make = getattr(pynn.datasets, name)
    x, y = make(n=300, seed=3)
    assert x.shape == (300, 2)
    assert x.dtype == np.float32
    assert y.dtype == np.int64
    assert np.bincount(y).tolist() == [300 // classes] * classes
    np.testing.assert_array_equal(x, make(n=300, seed=3)[0])
    assert not np.array_equal(x, make(n=300, seed=4)[0])
    assert not np.array_equal(x, make(n=300, seed=3, noise=0.2)[0])
    assert make(n=1)[0].shape == (1, 2)
    for bad in ({"n": 0}, {"n": 2.5}, {"noise": -1}, {"noise": np.nan}):
        with pytest.raises(ValueError, match=rf"\[{name}\].*Received"):
            make(**bad)


def test_planes_without_noise_lie_where_their_equations_say():
    x, y = pynn.datasets.xor(100, noise=0)
    np.testing.assert_array_equal(x[:, 0] != x[:, 1], y.astype(bool))
    x, y = pynn.datasets.circles(100, noise=0, factor=0.3)
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 0, 1, 0.3), rtol=1e-6)
    with pytest.raises(ValueError, match="factor"):
        pynn.datasets.circles(factor=1)
    with pytest.raises(ValueError, match="arms"):
        pynn.datasets.spirals(arms=0)
    with pytest.raises(ValueError, match="centers"):
        pynn.datasets.blobs(centers=0)


DATA = os.environ.get("PYNN_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="PYNN_DATA names no folder of data")


@needs_data
def test_the_real_mnist():
    (x, y), (xt, yt) = pynn.datasets.mnist()
    assert (x.shape, xt.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert np.bincount(y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(yt).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert x.mean() / 255 == pytest.approx(0.1307, abs=1e-4)


@needs_data
def test_the_real_fashion_mnist():
    (x, y), (_, yt) = pynn.datasets.fashion_mnist(DATA)
    assert np.bincount(y).tolist() == [6000] * 10
    assert np.bincount(yt).tolist() == [1000] * 10
    assert x.mean() / 255 == pytest.approx(0.2860, abs=1e-4)
    assert len(pynn.datasets.FASHION_LABELS) == 10


def test_where_files_are_looked_for(tmp_path, monkeypatch):
    """In the named folder, else in that of PYNN_DATA: in the set's own folder or beside, packed or not."""
    files = fetch.FileSet("some-set", ("http://127.0.0.1:9/",), {"a.gz": "0" * 64, "b": "0" * 64})
    named, other = tmp_path / "named", tmp_path / "other"
    for folder in (named, other):
        (folder / "some-set").mkdir(parents=True)
        (folder / "b").write_bytes(b"beside")
        (folder / "some-set" / "a").write_bytes(b"not packed")
    monkeypatch.setenv("PYNN_DATA", str(other))
    monkeypatch.setattr(fetch, "_download", lambda files, name, progress: (name, progress))
    assert fetch.locate(files, named) == {"a.gz": named / "some-set" / "a", "b": named / "b"}
    assert fetch.locate(files) == {"a.gz": other / "some-set" / "a", "b": other / "b"}
    (named / "some-set" / "a.gz").write_bytes(b"packed comes first")
    (named / "some-set" / "b").write_bytes(b"the set's folder comes first")
    assert fetch.locate(files, str(named)) == {"a.gz": named / "some-set" / "a.gz", "b": named / "some-set" / "b"}
    with pytest.raises(DataError, match=r"a\.gz in data='.*none'\. Received: there is no such folder; looked for"):
        fetch.locate(files, tmp_path / "none")
    (other / "b").unlink()
    with pytest.raises(DataError, match=r"\[some-set\] expected the file b in PYNN_DATA=.*the folder lacks it"):
        fetch.locate(files)
    for nothing in ("", None):
        monkeypatch.delenv("PYNN_DATA", raising=False)
        if nothing is not None:
            monkeypatch.setenv("PYNN_DATA", nothing)
        assert fetch.locate(files, progress=False) == {"a.gz": ("a.gz", False), "b": ("b", False)}
    assert fetch.locate(files) == {"a.gz": ("a.gz", True), "b": ("b", True)}
