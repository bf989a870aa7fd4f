"""``keras.utils``: labels, files, folders of images and texts, pictures of models, bars of progress."""

from __future__ import annotations

import hashlib
import importlib
import math
import os
import random as of_python
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np

from pynn import random
from pynn.errors import DataError, ShapeError
from pynn.keras.history import Progbar
from pynn.keras.making import next_seed, set_random_seed
from pynn.keras.names import missing, refused
from pynn.keras.preprocessing.sequence import pad_sequences
from pynn.keras.utils.folders import (
    image_dataset_from_directory,
    text_dataset_from_directory,
    timeseries_dataset_from_array,
)
from pynn.keras.utils.picture import model_to_dot, plot_model
from pynn.keywords import Spelled


def to_categorical(y=None, num_classes: int | None = None, dtype="float32", x=None,
                   nb_classes: int | None = None) -> np.ndarray:  # fmt: skip
    """Return a row for each label: 1 at its class, 0 elsewhere.

    Parameters
    ----------
    y : array_like of int, shape [...] or [..., 1]
    num_classes : int, optional
        The largest label and 1 by default.
    dtype : dtype, default "float32"
    x : array_like, optional
        What Keras 3 calls y.
    nb_classes : int, optional
        What Keras 1 calls num_classes.

    Raises
    ------
    DataError
        If a label is not in [0, num_classes).

    Examples
    --------
    >>> to_categorical([0, 2], 3)
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    labels = np.asarray(x if y is None else y)
    if labels.dtype.kind not in "iubf":
        raise DataError(f"[to_categorical] expected labels that are whole numbers. Received: dtype={labels.dtype}.")
    labels = labels.astype(np.int64)
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    labels = labels.reshape(-1)
    given = nb_classes if num_classes is None else num_classes
    classes = int(labels.max(initial=-1)) + 1 if given is None else int(given)
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        at = int(np.argmax((labels < 0) | (labels >= classes)))
        raise DataError(f"[to_categorical] expected labels 0 to {classes - 1}. Received: {labels[at]} at index {at}.")
    out = np.zeros((labels.size, classes), dtype)
    out[np.arange(labels.size), labels] = 1
    return out.reshape((*shape, classes))


def normalize(x, axis: int = -1, order: int = 2) -> np.ndarray:
    """Return x / its norm along an axis; where the norm is 0, x.

    Parameters
    ----------
    x : array_like
    axis : int, default -1
    order : int, default 2
    """
    size = np.atleast_1d(np.linalg.norm(x, order, axis))
    size[size == 0] = 1
    return np.asarray(x) / np.expand_dims(size, axis)


def split_dataset(dataset, left_size=None, right_size=None, shuffle: bool = False, seed: int | None = None,
                  **_) -> tuple[Any, Any]:  # fmt: skip
    """Return two data sets: the first rows, and the others.

    Parameters
    ----------
    dataset : array_like, tuple of array_like, or tf.data.Dataset
    left_size, right_size : int or float, optional
        Rows, or a part of them.
    shuffle : bool, default False
        Mix the rows before.
    seed : int, optional
        Of the mixing.
    """
    from pynn.keras.tensorflow.data import Dataset

    source = dataset if isinstance(dataset, Dataset) else Dataset.from_tensor_slices(dataset)
    elements = list(source._walk())
    if shuffle:
        elements = [elements[i] for i in np.random.default_rng(seed).permutation(len(elements))]
    n = len(elements)

    def rows(size):
        return math.floor(size * n) if isinstance(size, float) else int(size)

    if left_size is None and right_size is None:
        raise ValueError("[split_dataset] expected left_size or right_size. Received: neither.")
    left = rows(left_size) if left_size is not None else n - rows(right_size)
    right = n - left if right_size is None else rows(right_size)
    if not 0 < left < n or left + right > n:
        raise ShapeError(f"[split_dataset] expected two parts of {n} rows. Received: {left} and {right}.")
    a, b = elements[:left], elements[left : left + right]
    return Dataset(lambda: iter(a), len(a)), Dataset(lambda: iter(b), len(b))


def get_file(fname: str | None = None, origin: str | None = None, untar: bool = False, md5_hash: str | None = None,
             file_hash: str | None = None, cache_subdir: str = "datasets", hash_algorithm: str = "auto",
             extract: bool = False, archive_format: str = "auto", cache_dir: str | None = None,
             force_download: bool = False) -> str:  # fmt: skip
    """Return the path of a file that is here: in ``PYNN_DATA`` or in Keras's cache. Nothing is downloaded.

    Parameters
    ----------
    fname : str, optional
        Its name; that of the address by default. An absolute path is the place itself.
    origin : str, optional
        An address; ``file://`` and paths are copied.
    untar, extract : bool, default False
        Unpack it; returns the folder.
    md5_hash, file_hash : str, optional
        What its sum must be.
    cache_subdir : str, default "datasets"
    hash_algorithm : {"auto", "md5", "sha256"}, default "auto"
    archive_format : str, default "auto"
        Zip and tar files are told apart by themselves.
    cache_dir : str, optional
        ``~/.keras`` by default.
    force_download : bool, default False
        Taken; it changes nothing.

    Raises
    ------
    DataError
        If the file is not there, with the places where it may be put; or if its sum is another.
    """
    if fname is None and origin is None:
        raise ValueError("[get_file] expected a name or an address. Received: neither.")
    name = str(fname or os.path.basename(unquote(urlparse(str(origin)).path)))
    cache = Path(cache_dir or os.environ.get("KERAS_HOME") or Path.home() / ".keras") / cache_subdir
    endings = ("", ".tar.gz", ".tgz", ".zip", ".tar") if untar or extract else ("",)
    places = [cache / f"{name}{ending}" for ending in endings]
    data = os.environ.get("PYNN_DATA")
    if data:
        inner = [Path(data), *sorted(p for p in Path(data).iterdir() if p.is_dir())] if Path(data).is_dir() else []
        places += [folder / f"{name}{ending}" for folder in inner for ending in endings]
    if os.path.isabs(name):
        places = [Path(name)]
    local = urlparse(origin or "")
    if origin and local.scheme in ("", "file"):
        places.append(Path(local.path))
    path = next((place for place in places if place.exists()), None)
    if path is None:
        raise DataError(
            f"[get_file] expected the file {name!r} in {cache} or in PYNN_DATA. Received: it is in neither, and pynn "
            f"downloads nothing. help: fetch {origin or name} and put it there."
        )
    if path.is_dir() or not (untar or extract):
        _check(path, file_hash or md5_hash, hash_algorithm)
        return str(path)
    _check(path, file_hash or md5_hash, hash_algorithm)
    return _unpacked(path, cache, name)


def _check(path, wanted, algorithm):
    if wanted is None or path.is_dir():
        return
    kind = algorithm if algorithm != "auto" else "sha256" if len(wanted) == 64 else "md5"
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
    if found != wanted:
        raise DataError(f"{path}: expected {kind} {wanted}. Received: {found}. help: fetch the file again.")


def _unpacked(path, cache, name):
    """Unpack an archive into the cache, whole or not at all; returns the folder as Keras names it."""
    target = cache / name.removesuffix(".zip").removesuffix(".gz").removesuffix(".tgz").removesuffix(".tar")
    if target.exists():
        return str(target)
    cache.mkdir(parents=True, exist_ok=True)
    scratch = cache / f".unpacking-{os.getpid()}"
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                archive.extractall(scratch)
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as archive_t:
                archive_t.extractall(scratch, filter="data")
        else:
            raise DataError(f"{path}: expected a zip or tar file.")
        for item in scratch.iterdir():
            place = cache / item.name
            if not place.exists():
                item.rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return str(target if target.exists() else cache)


class PyDataset(Spelled):
    """Batches by number: write ``__len__`` and ``__getitem__``; fit takes it as x.

    Parameters
    ----------
    workers : int, default 1
    use_multiprocessing : bool, default False
    max_queue_size : int, default 10
        All three are taken and change nothing: batches are made when they are needed.
    """

    def __init__(self, workers=1, use_multiprocessing=False, max_queue_size=10):
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __getitem__(self, index):
        raise NotImplementedError(f"[Sequence] write __getitem__(self, index) in class {type(self).__name__}.")

    def __len__(self):
        raise NotImplementedError(f"[Sequence] write __len__(self) in class {type(self).__name__}.")

    @property
    def num_batches(self) -> int:
        """The number of batches."""
        return len(self)

    def on_epoch_begin(self):
        """Do what is to be done before each pass."""

    def on_epoch_end(self):
        """Do what is to be done after each pass."""

    def __iter__(self):
        return (self[i] for i in range(len(self)))


Sequence = PyDataset


# Names that live elsewhere.
_HOMES = {
    **dict.fromkeys(("array_to_img", "img_to_array", "load_img", "save_img"), "preprocessing.image"),
    **dict.fromkeys(("CustomObjectScope", "custom_object_scope", "get_custom_objects", "get_registered_name",
                     "get_registered_object", "register_keras_serializable", "serialize_keras_object",
                     "deserialize_keras_object"), "saving"),
    "is_keras_tensor": "backend", "clear_session": "backend",
}  # fmt: skip
_REFUSED = {
    "multi_gpu_model": "pynn runs on processors",
    "HDF5Matrix": "open the file with h5py; fit takes what slices give",
    "GeneratorEnqueuer": "fit takes the generator itself",
    "OrderedEnqueuer": "fit takes the sequence itself",
    "audio_dataset_from_directory": "pynn.audio reads sounds",
}


def __getattr__(name):
    if name in _HOMES:
        return getattr(importlib.import_module(f"pynn.keras.{_HOMES[name]}"), name)
    if name in ("np_utils", "generic_utils", "data_utils", "vis_utils", "visualize_util", "layer_utils", "io_utils"):
        return importlib.import_module(__name__)
    if name in _REFUSED:
        refused(f"keras.utils.{name}", _REFUSED[name])
    missing("pynn.keras.utils", name, __all__)


__all__ = sorted(
    [
        "Progbar",
        "PyDataset",
        "Sequence",
        "get_file",
        "image_dataset_from_directory",
        "model_to_dot",
        "normalize",
        "pad_sequences",
        "plot_model",
        "set_random_seed",
        "split_dataset",
        "text_dataset_from_directory",
        "timeseries_dataset_from_array",
        "to_categorical",
        *_HOMES,
        "np_utils",
        "generic_utils",
        "data_utils",
        "vis_utils",
    ]
)
