"""CIFAR-10 and Kaggle's digits: what is read, what is said of files that are wrong, and the recipes on them."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import tarfile

import numpy as np
import pytest

import pynn
from pynn import nn, recipes, viz
from pynn.datasets import cifar, kaggle
from pynn.errors import DataError
from pynn.recipes import filters

RECORDS = 30


@pytest.fixture
def batches(monkeypatch):
    """Return small batches by name; their checksums take the place of the official ones."""
    monkeypatch.delenv("PYNN_DATA", raising=False)
    random = np.random.RandomState(0)
    content = {}
    for name in cifar.BATCHES:
        records = random.randint(0, 256, (RECORDS, cifar.RECORD_BYTES)).astype(np.uint8)
        records[:, 0] = np.arange(RECORDS) % 10
        content[name] = records.tobytes()
    monkeypatch.setattr(cifar, "RECORDS", RECORDS)
    monkeypatch.setattr(cifar, "BATCHES", {name: hashlib.sha256(part).hexdigest() for name, part in content.items()})
    return content


def _archive(path, content):
    with tarfile.open(path, "w:gz") as archive:
        for name, part in {**content, "readme.html": b"<html>"}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(part)
            archive.addfile(member, io.BytesIO(part))


def _write(folder, content, kind="plain", place="cifar10"):
    (folder / place).mkdir(parents=True, exist_ok=True)
    if kind == "archive":
        _archive(folder / place / "cifar-10-binary.tar.gz", content)
    for name, part in content.items():
        if kind == "plain":
            (folder / place / name).write_bytes(part)
        elif kind == "xz":
            (folder / place / f"{name}.xz").write_bytes(lzma.compress(part, preset=0))
    return folder


@pytest.mark.parametrize("kind", ["plain", "xz", "archive"])
@pytest.mark.parametrize("place", ["cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "."])
def test_cifar_is_read_from_where_it_may_lie(batches, tmp_path, monkeypatch, kind, place):
    folder = _write(tmp_path, batches, kind, place)
    if kind == "archive" and "batches-bin" not in place:
        assert len(pynn.datasets.cifar10(folder / place / "cifar-10-binary.tar.gz")[0][0]) == 5 * RECORDS
    monkeypatch.setenv("PYNN_DATA", str(folder))
    (x, y), (xt, yt) = pynn.datasets.cifar10()
    assert x.shape == (5 * RECORDS, 32, 32, 3)
    assert xt.shape == (RECORDS, 32, 32, 3)
    assert x.dtype == np.uint8
    assert y.dtype == yt.dtype == np.int64
    assert x.flags.c_contiguous
    last = np.frombuffer(batches["data_batch_5.bin"], np.uint8).reshape(RECORDS, -1)[-1]
    assert y[-1] == last[0]
    red, green, blue = last[1:].reshape(3, 32, 32)
    np.testing.assert_array_equal(x[-1], np.stack([red, green, blue], axis=-1))


LAST = "data_batch_5.bin"


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda part: part[:-1], "plain", r"expected 92190 bytes \(30 records of 3073\). Received: 92189 bytes"),
        (lambda part: part + b"\0", "plain", "Received: more"),
        (lambda part: part[:-1], "xz", "Received: 92189 bytes"),
        (lambda part: b"", "plain", "Received: 0 bytes"),
        (lambda part: part[:-1], "archive", "Received: 92189 bytes"),
        (lambda part: part[:3073] + b"\x0a" + part[3074:], "plain", "labels 0 to 9. Received: 10 in record 1"),
        (lambda part: part[:9] + bytes([part[9] ^ 1]) + part[10:], "plain", "the official file, sha256"),
    ],
)
def test_a_damaged_cifar_file_is_named(batches, tmp_path, change, kind, message):
    batches[LAST] = change(batches[LAST])
    with pytest.raises(DataError, match=message) as caught:
        pynn.datasets.cifar10(_write(tmp_path, batches, kind))
    assert LAST in str(caught.value)
    assert "help:" in str(caught.value)


def test_a_damaged_package_is_named(batches, tmp_path):
    folder = _write(tmp_path, batches, "xz")
    packed = folder / "cifar10" / f"{LAST}.xz"
    packed.write_bytes(packed.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"data_batch_5.bin.xz: expected a whole, intact xz file"):
        pynn.datasets.cifar10(folder)
    _archive(tmp_path / "a.tar.gz", batches)
    whole = (tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a.tar.gz: expected a whole, intact tar archive"):
        pynn.datasets.cifar10(tmp_path / "a.tar.gz")
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(DataError, match="text: expected a whole, intact tar archive"):
        pynn.datasets.cifar10(tmp_path / "text")
    del batches[LAST]
    _archive(tmp_path / "b.tar.gz", batches)
    with pytest.raises(DataError, match=r"an archive without data_batch_5.bin"):
        pynn.datasets.cifar10(tmp_path / "b.tar.gz")


def test_a_missing_cifar_file_says_where_it_was_looked_for(batches, tmp_path):
    folder = _write(tmp_path, batches)
    (folder / "cifar10" / LAST).unlink()
    with pytest.raises(DataError) as caught:
        pynn.datasets.cifar10(folder)
    for part in (LAST, "cifar-10-binary.tar.gz", "cifar-10-batches-bin", "the folder lacks it", "help:"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match="there is no such file or folder"):
        pynn.datasets.cifar10(tmp_path / "nowhere")


def test_the_real_cifar(data_dir):
    (x, y), (xt, yt) = pynn.datasets.cifar10(data_dir)
    assert np.bincount(y).tolist() == [5000] * 10
    assert np.bincount(yt).tolist() == [1000] * 10
    np.testing.assert_allclose(x.mean(axis=(0, 1, 2)) / 255, [0.4914, 0.4822, 0.4465], atol=1e-4)
    assert len(xt) == 10_000
    assert pynn.datasets.CIFAR10_LABELS[yt[0]] == "cat"


# Kaggle's digits

PIXELS = ",".join(f"pixel{i}" for i in range(784))


def _lines(images, labels=None):
    rows = images.reshape(len(images), -1)
    table = rows if labels is None else np.concatenate([labels[:, None].astype(np.uint8), rows], axis=1)
    return [",".join(map(str, row)) for row in table.tolist()]


@pytest.fixture
def digits():
    random = np.random.RandomState(1)
    y = np.arange(40) % 10
    x = random.randint(0, 60, (40, 28, 28))
    x[np.arange(40), 2 * y] = 255  # a bright row tells the class
    return x.astype(np.uint8), y


@pytest.fixture
def write_csv(tmp_path, digits):
    """Return a function that writes train.csv and test.csv, some lines of train.csv changed."""

    def write(change=lambda lines: lines, end="\n", newline="\n", packed=False):
        x, y = digits
        texts = {
            "train.csv": newline.join(change([f"label,{PIXELS}", *_lines(x, y)])) + end,
            "test.csv": newline.join([PIXELS, *_lines(x[:7])]) + end,
        }
        for name, text in texts.items():
            content = text.encode()
            path = tmp_path / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(content) if packed else content)
        ending = ".gz" if packed else ""
        return tmp_path / f"train.csv{ending}", tmp_path / f"test.csv{ending}"

    return write


@pytest.mark.parametrize("chunk", [1, 1000, 1 << 22])
@pytest.mark.parametrize(
    ("end", "newline", "packed"),
    [("\n", "\n", False), ("", "\n", False), ("\r\n", "\r\n", False), ("\n\n\n", "\n", False), ("\n", "\n", True)],
)
def test_kaggles_digits_are_read(write_csv, digits, monkeypatch, chunk, end, newline, packed):
    if chunk == 1:
        monkeypatch.setattr(kaggle, "_blocks", lambda file, whole=kaggle._blocks: whole(_Slow(file)))
    else:
        monkeypatch.setattr(kaggle, "CHUNK", chunk)
    (x, y), xt = pynn.datasets.kaggle_digits(*write_csv(end=end, newline=newline, packed=packed))
    assert x.dtype == xt.dtype == np.uint8
    assert y.dtype == np.int64
    np.testing.assert_array_equal(x, digits[0])
    np.testing.assert_array_equal(y, digits[1])
    np.testing.assert_array_equal(xt, digits[0][:7])


class _Slow:
    """A file that gives 997 bytes at a time, so that borders fall everywhere."""

    def __init__(self, file):
        self.file = file

    def read(self, size):
        return self.file.read(min(size, 997))


def _replace(at, f):
    return lambda lines: [f(line) if i == at else line for i, line in enumerate(lines, 1)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_replace(12, lambda line: f"{line},0"), "train.csv: line 12: expected 785 values. Received: 786"),
        (_replace(12, lambda line: line[2:]), "line 12: expected 785 values. Received: 784"),
        (_replace(12, lambda line: ""), "line 12: expected 785 values. Received: 0"),
        (_replace(5, lambda line: "x" + line[1:]), "line 5, column 1: expected an integer 0 to 255. Received: 'x'"),
        (_replace(5, lambda line: line + "9999"), "line 5, column 785: expected an integer.*9999'"),
        (_replace(5, lambda line: line[: line.rindex(",")] + ",256"), "line 5, column 785.*Received: '256'"),
        (_replace(5, lambda line: line[: line.rindex(",")] + ",-1"), "column 785.*Received: '-1'"),
        (_replace(5, lambda line: line[: line.rindex(",")] + ",0.5"), "column 785.*Received: '0.5'"),
        (_replace(5, lambda line: line[: line.rindex(",")] + ","), "column 785.*Received: nothing"),
        (_replace(41, lambda line: "10" + line[1:]), "line 41: expected a label 0 to 9. Received: 10"),
        (lambda lines: lines[1:], "line 1: expected the 785 names label,pixel0,...,pixel783"),
        (lambda lines: lines[:1], "a line for each image after the header. Received: nothing"),
        (lambda lines: [PIXELS, *lines[1:]], "help: this file has no labels; train.csv has"),
        (lambda lines: [], "line 1: expected the 785 names"),
    ],
)
def test_a_malformed_line_is_named(write_csv, change, message):
    with pytest.raises(DataError, match=message):
        pynn.datasets.kaggle_digits(*write_csv(change))


def test_other_faults_of_a_file_are_named(write_csv, tmp_path):
    train, test = write_csv()
    with pytest.raises(DataError, match=r"help: this file has labels; test.csv has none"):
        pynn.datasets.kaggle_digits(train, train)
    with pytest.raises(DataError, match=r"nothing.csv: cannot be read.*help: download"):
        pynn.datasets.kaggle_digits(tmp_path / "nothing.csv", test)
    packed, _ = write_csv(packed=True)
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"train.csv.gz: expected a whole, intact gzip file"):
        pynn.datasets.kaggle_digits(packed, test)


def test_a_submission_is_what_kaggle_takes(tmp_path):
    path = tmp_path / "submission.csv"
    pynn.datasets.write_submission(path, np.array([3, 0, 9], np.uint8))
    assert path.read_bytes() == b"ImageId,Label\n1,3\n2,0\n3,9\n"
    for labels, message in (
        (np.zeros((3, 10)), r"argmax\(axis=1\)"),
        ([0.5], "one integer"),
        ([10], "0 to 9. Received: 10"),
        ([-1], "0 to 9"),
    ):
        with pytest.raises(DataError, match=message):
            pynn.datasets.write_submission(path, labels)
    assert path.read_bytes().startswith(b"ImageId")
    with pytest.raises(OSError, match="nowhere"):
        pynn.datasets.write_submission(tmp_path / "nowhere" / "s.csv", [1])
    assert [file.name for file in tmp_path.iterdir()] == ["submission.csv"]


# Pictures and recipes


def test_pictures_of_filters_and_feature_maps(tmp_path, rng):
    pytest.importorskip("matplotlib")
    layers = [nn.Conv2D(5, 3, activation="relu"), nn.MaxPool2D(2), nn.Conv2D(20, 3), nn.Flatten(), nn.Dense(2)]
    model = nn.Sequential([nn.Input((12, 12, 3)), *layers])
    image = rng.integers(0, 256, (12, 12, 3), np.uint8)
    maps = viz.feature_maps(model, image)
    assert {name: y.shape for name, y in maps.items()} == {
        "conv2d": (10, 10, 5),
        "maxpool2d": (5, 5, 5),
        "conv2d_1": (3, 3, 20),
    }
    np.testing.assert_array_equal(maps["conv2d"], model.layers[0](image[None]).numpy()[0])
    np.testing.assert_allclose(maps["conv2d"], model.layers[0](image[None] / np.float32(255)).numpy()[0], atol=1e-5)
    figure = viz.plot_feature_maps(model, image, tmp_path / "maps.png", layers=["conv2d_1"])
    *drawn, whole = [ax.images[0] for ax in figure.axes if ax.images]  # the others are scales of colours
    assert len(drawn) == 16
    assert {picture.get_cmap().name for picture in drawn} == {"gray"}
    np.testing.assert_array_equal(drawn[3].get_array(), maps["conv2d_1"][:, :, 3])
    np.testing.assert_array_equal(whole.get_array(), image)
    for layer in (model.layers[0], model.layers[2], rng.normal(size=(5, 5, 1, 70))):
        viz.plot_filters(layer, tmp_path / "filters.png")
    viz.plot_augmented(image[None], [nn.RandomFlip(), nn.RandomCrop(padding=1)], tmp_path / "augmented.png", times=2)
    viz.plot_images({"a": image, "b": image[:, :, 0]}, tmp_path / "images.png")
    assert all(path.stat().st_size > 2000 for path in tmp_path.iterdir())
    with pytest.raises(ValueError, match="Received: no_such"):
        viz.feature_maps(model, image, ["no_such"])
    with pytest.raises(ValueError, match=r"rows, columns"):
        viz.plot_filters(np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"\[n, H, W\]"):
        viz.plot_augmented(image[0], nn.RandomFlip())


def test_the_statements_about_filters_hold(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    result = recipes.find("filters").run(recipes.Options(out=tmp_path))
    assert result.test["accuracy"] == 1
    assert result.test["loss"] < 1e-5
    assert capsys.readouterr().out.count("holds: ") == 3
    assert {path.name for path in tmp_path.iterdir()} == {"filters.png", "equivariance.png", "banded.png"}


def test_the_banded_matrix_is_the_convolution(rng):
    x, k = rng.normal(size=(7, 9)), rng.normal(size=(3, 2))
    windows = np.lib.stride_tricks.sliding_window_view(x, k.shape)
    expected = (windows * k).sum(axis=(2, 3))
    matrix = filters.banded_matrix(k, 7, 9)
    np.testing.assert_allclose((matrix @ x.ravel()).reshape(expected.shape), expected)
    assert (matrix != 0).sum(axis=1).max() == 6


def test_the_kaggle_recipe_writes_a_submission(write_csv, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    write_csv(packed=True)
    out = tmp_path / "out"
    options = recipes.Options(data=tmp_path, out=out, epochs=1, batch_size=12, seed=1)
    result = recipes.find("kaggle-digits").run(options)
    assert {**result.details, "curves": None} == {
        "submission": str(out / "submission.csv"),
        "labelled": 7,
        "curves": None,
    }
    assert [len(values) for values in result.details["curves"].values()] == [1, 1, 1, 1]
    lines = (out / "submission.csv").read_text().splitlines()
    assert lines[0] == "ImageId,Label"
    assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(1, 8))
    assert {int(line.split(",")[1]) for line in lines[1:]} <= set(range(10))
    assert "kaggle.com" in capsys.readouterr().out
    assert {"filters.png", "features.png", "augmented.png", "history.png"} <= {path.name for path in out.iterdir()}


def test_the_kaggle_recipe_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.delenv("PYNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"train.csv in --data DIR.*kaggle.com"):
        recipes.find("kaggle-digits").run()
    with pytest.raises(DataError, match=r"no such file; looked for .*train.csv.gz"):
        recipes.find("kaggle-digits").run(recipes.Options(data=tmp_path))


def test_the_cifar_recipe_trains_both_networks(batches, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    _write(tmp_path, batches)
    out = tmp_path / "out"
    options = recipes.Options(data=tmp_path, out=out, epochs=1, batch_size=50)
    result = recipes.find("cifar-cnn").run(options)
    assert set(result.details["krizhevsky"]) == {"accuracy", "loss", "epochs", "parameters"}
    assert "Krizhevsky's network: test accuracy" in capsys.readouterr().out
    assert {"filters.png", "krizhevsky-filters.png", "augmented.png"} <= {path.name for path in out.iterdir()}
