"""Whole files of data sets, and what reads them."""

from __future__ import annotations

import functools
import importlib
import io
import lzma
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn.errors import DataError

from .packing import Files, gzipped, tarred, zipped


def idx(array: np.ndarray, code: int = 8) -> bytes:
    """Return an IDX file."""
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, code, array.ndim]) + shape + array.astype(array.dtype.newbyteorder(">")).tobytes()


def idx_files() -> Files:
    """Return arrays of images, labels and others."""
    plain = {
        "images": idx(np.arange(32, dtype="uint8").reshape(2, 4, 4)), "labels": idx(np.arange(3, dtype="uint8")),
        "reals": idx(np.ones((2, 2), "float32"), 13), "none": idx(np.ones((0, 3), "uint8")),
    }  # fmt: skip
    return {**plain, "images.gz": gzipped(plain["images"])}


def mnist_files() -> Files:
    """Return an archive that holds the four files of a small MNIST, each packed."""
    files = {}
    for part in ("train", "t10k"):
        files[f"{part}-images-idx3-ubyte.gz"] = gzipped(idx(np.zeros((2, 28, 28), "uint8")), 1)
        files[f"{part}-labels-idx1-ubyte.gz"] = gzipped(idx(np.arange(2, dtype="uint8")), 1)
    return {"train-labels-idx1-ubyte.gz": files["train-labels-idx1-ubyte.gz"]}


def read_mnist(path: Path) -> Any:
    """Read the four files, of which one is given."""
    for part in ("train", "t10k"):
        for name, data in (
            (f"{part}-images-idx3-ubyte.gz", gzipped(idx(np.zeros((2, 28, 28), "uint8")), 1)),
            (f"{part}-labels-idx1-ubyte.gz", gzipped(idx(np.arange(2, dtype="uint8")), 1)),
        ):
            if not (path.parent / name).exists():
                (path.parent / name).write_bytes(data)
    return pynn.datasets.mnist(path.parent)


SMALL_RECORDS = 2


@functools.cache
def cifar_parts() -> Files:
    """Return the files of a small CIFAR-10, of which the digests are known: see :func:`small_sizes`."""
    from pynn.datasets import cifar

    rng = np.random.default_rng(0)
    parts = {}
    for name in cifar.BATCHES:
        records = rng.integers(0, 256, (SMALL_RECORDS, cifar.RECORD_BYTES), "uint8")
        records[:, 0] %= 10
        parts[name] = records.tobytes()
    return parts


def cifar_files() -> Files:
    """Return archives of them."""
    plain = tarred({f"cifar-10-batches-bin/{name}": data for name, data in cifar_parts().items()})
    return {"cifar-10-binary.tar.gz": gzipped(plain, 1), "a.tar": plain}


def read_cifar(path: Path) -> Any:
    """Read an archive, or a folder in which one of the six files is given."""
    if path.suffix != ".bin" and path.suffixes[-2:] != [".bin", ".xz"]:
        return pynn.datasets.cifar10(path)
    for name, data in cifar_parts().items():
        if name not in (path.name, path.stem):
            (path.parent / name).write_bytes(data)
    return pynn.datasets.cifar10(path.parent)


def cifar_single() -> Files:
    """Return one of the six files, plain and packed."""
    name, data = next(iter(cifar_parts().items()))
    return {name: data, f"{name}.xz": lzma.compress(data)}


REVIEWS = {f"aclImdb/{part}/{side}/{i}_{i}.txt": f"a film é {i}".encode()
           for part in ("train", "test") for side in ("neg", "pos") for i in range(2)}  # fmt: skip


def review_files() -> Files:
    """Return archives of reviews."""
    plain = tarred(REVIEWS)
    pax = tarred({**REVIEWS, "x" * 200: b"x"}, tarfile.PAX_FORMAT)
    return {"a.tar": plain, "b.tar.gz": gzipped(pax, 1), "c.tar.xz": lzma.compress(plain, preset=0),
            "d.tar": tarred({**REVIEWS, "y" * 300: b"y"}, tarfile.GNU_FORMAT)}  # fmt: skip


def keras_reviews() -> Files:
    """Return Keras's file of ids."""
    rows = np.empty(2, object)
    rows[:] = [[1, 2, 3], [4, 500, 70_000]]
    arrays = {"x_train": rows, "x_test": rows, "y_train": np.array([0, 1]), "y_test": np.array([1, 0])}
    members = {}
    for name, array in arrays.items():
        content = io.BytesIO()
        np.save(content, array, allow_pickle=True)
        members[f"{name}.npy"] = content.getvalue()
    return {"imdb.npz": zipped(members)}


def read_reviews(path: Path) -> Any:
    """Read Keras's file, without a cache from before."""
    return importlib.import_module("pynn.datasets.imdb")._from_keras(path)


def read_cached(path: Path) -> Any:
    """Read what an earlier call left in the cache, or make it anew: never anything else."""
    from pynn.datasets import cache

    kept = cache._read(path)
    return kept if kept is not None and set(kept) == {"a", "b"} else ARRAYS


ARRAYS = {"a": np.arange(4), "b": np.ones((2, 2), "float32")}


def cached() -> Files:
    """Return a file of the cache."""
    content = io.BytesIO()
    np.savez(content, **ARRAYS)
    return {"cached.npz": content.getvalue()}


def digit_tables() -> Files:
    """Return a table of Kaggle's, plain and packed."""
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    rows = [",".join([str(i), *(str((i * 7 + k) % 256) for k in range(784))]) for i in range(3)]
    plain = "\n".join([header, *rows, ""]).encode()
    return {"train.csv": plain, "crlf.csv": plain.replace(b"\n", b"\r\n"), "train.csv.gz": gzipped(plain, 1)}


def read_digit_table(path: Path) -> Any:
    """Read a table of labelled images."""
    from pynn.datasets import kaggle

    return kaggle._read(path, ["label", *kaggle._pixels()])


@functools.cache
def sounds() -> Files:
    """Return sounds of every kind of number."""
    from scipy.io import wavfile

    wave = np.sin(np.arange(40) / 3)
    kinds = {
        "a8": (128 + 100 * wave).astype("uint8"), "b16": (30000 * wave).astype("int16"),
        "c32": (2e9 * wave).astype("int32"), "f32": wave.astype("float32"),
        "s16": (30000 * np.stack([wave, wave], 1)).astype("int16"), "r16": (30000 * wave).astype(">i2"),
    }  # fmt: skip
    files = {}
    for name, samples in kinds.items():
        content = io.BytesIO()
        wavfile.write(content, 8000, samples)
        files[f"{name}.wav"] = content.getvalue()
    return files


def packed_sounds() -> Files:
    """Return sounds that libsndfile reads."""
    import soundfile

    wave, files = np.sin(np.arange(4000) / 30) / 2, {}
    for form, coding in (("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")):
        content = io.BytesIO()
        soundfile.write(content, wave, 8000, format=form, subtype=coding)
        files[f"a.{form.lower()}"] = content.getvalue()
    return files


def spoken() -> Files:
    """Return an archive of spoken digits."""
    return {"fsdd.zip": zipped({f"recordings/{i}_ann_0.wav": sounds()["b16.wav"] for i in range(10)})}


def read_review(path: Path) -> Any:
    """Read a folder of reviews, of which one is given."""
    for name, data in REVIEWS.items():
        place = path.parent / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    (path.parent / "aclImdb/train/pos" / path.name).write_bytes(path.read_bytes())
    return pynn.datasets.imdb_texts(path.parent / "aclImdb")


def read_spoken(path: Path) -> Any:
    """Read a folder of spoken digits, of which one is given."""
    for i in range(1, 10):
        (path.parent / f"{i}_ann_0.wav").write_bytes(sounds()["b16.wav"])
    return pynn.datasets.spoken_digits(path.parent).recordings


def refused_archive(path: Path) -> Any:
    """Name what an archive is that holds no model; it must be refused."""
    try:
        pynn.load(path)
    except DataError as error:
        return path.name in str(error)
    raise AssertionError("an archive was taken for a model")
