"""Every reader of files, and small whole files for each.

A new place in the library that opens or parses files needs a reader here; places.py says which reader reaches which.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn.errors import DataError, DTypeError, ShapeError

from .datasets import (
    SMALL_RECORDS,
    cached,
    cifar_files,
    cifar_parts,
    cifar_single,
    digit_tables,
    idx_files,
    keras_reviews,
    mnist_files,
    packed_sounds,
    read_cached,
    read_cifar,
    read_digit_table,
    read_mnist,
    read_review,
    read_reviews,
    read_spoken,
    refused_archive,
    review_files,
    sounds,
    spoken,
)
from .foreign import foreign, hdf5, keras, keras_models, networks, read_keras_model, run_network, torch, weights
from .inputs import arrays, asked, go_on_logging, logs, pictures, read_input, read_points, seeing, tables
from .models import checkpoints, fit_on, language, models, resumed, same_model, state
from .packing import Files, zipped
from .words import PAIRS, QUESTIONS, corpora, encoded, same_words, texts, tokenizers, vectors, word2vec, word_vectors


@dataclass(frozen=True)
class Reader:
    """A way into the library for a file.

    Attributes
    ----------
    name : str
    files : callable
        Returns whole files by their names.
    read : callable (path)
        Reads one; returns what can be compared.
    form : str
        Of `mutate.FORMS`.
    kinds : tuple of type
        The errors that are documented.
    whole : bool
        The file carries a digest of its content: it is refused, or says the same as before it was changed.
    held : callable
        Returns what must be as before when reading failed.
    """

    name: str
    files: Callable[[], Files]
    read: Callable[[Path], Any]
    form: str = ""
    kinds: tuple[type[BaseException], ...] = (DataError,)
    whole: bool = False
    held: Callable[[], Any] | None = None


READERS = [
    Reader("model", models, lambda path: same_model(pynn.load(path)), "safetensors", whole=True),
    Reader("model, its info", models, pynn.io.read_info, "safetensors"),
    Reader("checkpoint", checkpoints, fit_on, "safetensors", whole=True, held=lambda: state(resumed()[0])),
    Reader("language model", language, lambda path: same_model(pynn.text.load_language_model(path)[0]), "safetensors"),
    Reader("bytes of a model", models, lambda path: same_model(pynn.io.loads(path.read_bytes())), "safetensors",
           whole=True),
    Reader("Keras, HDF5", hdf5, lambda p: pynn.io.load_keras_weights(foreign(), p, verbose=False), "hdf5",
           held=weights),
    Reader("Keras, zip", keras, lambda p: pynn.io.load_keras_weights(foreign(), p, verbose=False), "zip", held=weights),
    Reader("Keras, model", keras_models, read_keras_model, "zip"),
    Reader("playground's points", lambda: {"a.csv": b"x,y,class\n0.5,1,0\n-1,2.5,1\n"}, read_points, "table"),
    Reader("PyTorch", torch, lambda p: pynn.io.load_torch_weights(foreign(), p, verbose=False), "safetensors",
           held=weights),
    Reader("ONNX", networks, run_network, "protobuf", (DataError, DTypeError, ShapeError)),
    Reader("Word2Vec", word2vec, same_words, "safetensors", whole=True),
    Reader("word vectors", vectors, lambda p: pynn.text.KeyedVectors.load_word2vec_format(p).vectors, "packed table"),
    Reader("analogies", lambda: {"q.txt": QUESTIONS}, lambda p: word_vectors().evaluate_word_analogies(p), "table"),
    Reader("word pairs", lambda: {"p.csv": PAIRS}, lambda p: word_vectors().evaluate_word_pairs(p), "table"),
    Reader("tokenizer", tokenizers, lambda path: pynn.text.Tokenizer.load(path).to_config(), "json"),
    Reader("corpus", corpora, encoded, "packed table"),
    Reader("text", texts, pynn.datasets.text, "packed table"),
    Reader("IDX", idx_files, lambda path: pynn.datasets.idx.read_idx(path), "packed idx"),
    Reader("MNIST", mnist_files, read_mnist, "packed idx"),
    Reader("CIFAR, archive", cifar_files, read_cifar, "packed tar", whole=True),
    Reader("CIFAR, files", cifar_single, read_cifar, "packed ", whole=True),
    Reader("reviews", review_files, pynn.datasets.imdb_texts, "packed tar"),
    Reader("reviews, Keras", keras_reviews, read_reviews, "zip of npy"),
    Reader("cache", cached, read_cached, "zip of npy"),
    Reader("Kaggle digits", digit_tables, read_digit_table, "packed table"),
    Reader("spoken digits", spoken, lambda path: pynn.datasets.spoken_digits(path).recordings, "zip of wav"),
    Reader("review", lambda: {"7_7.txt": b"a film"}, read_review, "table"),
    Reader("spoken digit", lambda: {"0_ann_0.wav": sounds()["b16.wav"]}, read_spoken, "wav"),
    Reader("Keras, zip without weights", lambda: {"a.keras": zipped({"config.json": b"{}"})}, refused_archive, "zip"),
    Reader("WAV", sounds, lambda path: pynn.audio.read_wav(path), "wav"),
    Reader("sound, packed", packed_sounds, lambda path: pynn.audio.read_sound(path)),
    Reader("table of numbers", tables, read_input(asked), "table"),
    Reader("array (.npy)", arrays, read_input(asked), "npy"),
    Reader("image", pictures, read_input(seeing), "png"),
    Reader("CSVLogger", logs, go_on_logging, "table"),
]  # fmt: skip


def claimed(data: bytes) -> str | None:
    """Return the digest that a file of safetensors says it has; None if it says none."""
    try:
        return str(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["digest"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def small_sizes(put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Make the library's limits of size and the official data sets small, by a function like setattr."""
    from pynn.convert import keras_weights
    from pynn.datasets import cifar, idx, unpack

    imdb = importlib.import_module("pynn.datasets.imdb")  # the package has a function of that name
    for module, name in ((unpack, "LARGEST"), (idx, "LARGEST"), (imdb, "LARGEST"), (keras_weights, "SIZE_LIMIT")):
        put(module, name, 1 << 26)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in cifar_parts().items()}
    if importlib.util.find_spec("PIL"):
        from PIL import Image

        put(Image, "MAX_IMAGE_PIXELS", 1 << 22)
    put(cifar, "RECORDS", SMALL_RECORDS)
    put(cifar, "BATCHES", digests)


def reprint(value: Any) -> str:
    """Return a digest of what a reader returned."""
    found = hashlib.sha256()

    def visit(inner: Any) -> None:
        if isinstance(inner, np.ndarray):
            found.update(f"{inner.dtype}{inner.shape}".encode())
            visit(inner.tolist()) if inner.dtype == object else found.update(np.ascontiguousarray(inner).tobytes())
        elif isinstance(inner, dict):
            for key in sorted(inner, key=str):
                found.update(repr(key).encode("utf-8", "surrogatepass"))
                visit(inner[key])
        elif isinstance(inner, (list, tuple)):
            found.update(b"[")
            for part in inner:
                visit(part)
        else:
            found.update(repr(inner).encode("utf-8", "surrogatepass"))

    visit(value)
    return found.hexdigest()


__all__ = ["READERS", "Reader", "claimed", "reprint", "small_sizes"]
