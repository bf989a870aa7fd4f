"""Files made on purpose: of sizes beyond reason, bombs, deep nesting, odd encodings, names that move a terminal.

``files(reader)`` returns the names and contents for a reader of readers/; the same ones every time.
"""

from __future__ import annotations

import lzma
import warnings

import readers
from readers.datasets import REVIEWS
from readers.packing import zipped

from .archives import arrays, bomb, caches, pickles, tars, wide_zips
from .media import idxs, images, spoken, waves
from .model_files import headers, records
from .networks import hdf5s, onnxs
from .odd import ESC, Made, zeros
from .texts import digits, jsons, odd_texts, packed_texts, tables, word_vectors

__all__ = ["files"]


def files(reader: str) -> list[tuple[str, bytes]]:
    """Return the crafted files of a reader."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(_files(reader))


def _files(reader: str) -> Made:
    first = {r.name: r.files for r in readers.READERS}[reader]
    whole = next(iter(first().values()))
    if reader in ("model", "model, its info", "bytes of a model"):
        yield from headers(whole)
        yield from records()
    elif reader in ("checkpoint", "language model", "PyTorch", "Word2Vec"):
        yield from headers(whole)
    elif reader == "Keras, HDF5":
        yield from hdf5s()
    elif reader == "Keras, zip":
        inside = "model.weights.h5"
        yield from wide_zips(inside, next(iter(readers.hdf5().values())))
        for name, data in hdf5s():
            yield f"{name}.keras", zipped({inside: data})
    elif reader == "Keras, zip without weights":
        yield from wide_zips("config.json", b"{}")
    elif reader == "ONNX":
        yield from onnxs()
    elif reader == "word vectors":
        yield from word_vectors()
    elif reader in ("analogies", "word pairs"):
        yield from odd_texts(".txt", whole)
        yield "many.txt", whole + b"king queen the king\n" * 20_000
        yield "pairs.txt", b"king,queen,nan\nking,the,inf\nthe,queen,1e999\n"
        yield "esc.txt", ESC.encode() + b" a b c\n"
    elif reader == "tokenizer":
        yield from jsons(whole)
    elif reader in ("corpus", "text"):
        yield from odd_texts(".txt", whole)
        yield from packed_texts(whole)
        if reader == "corpus":
            yield "bomb.zip", bomb("a.txt")
            yield "two.zip", zipped({"a": b"x", ESC: b"x"})
            yield from ((f"{name}.zip", data) for name, data in wide_zips("a.txt", whole))
    elif reader in ("IDX", "MNIST"):
        for name, data in idxs():
            yield (name if reader == "IDX" else "train-labels-idx1-ubyte.gz"), data
    elif reader == "CIFAR, archive":
        yield from tars({f"cifar-10-batches-bin/{name}": data for name, data in readers.cifar_parts().items()})
    elif reader == "CIFAR, files":
        name, data = next(iter(readers.cifar_parts().items()))
        yield name, data + b"\0"
        yield name, data[:-1]
        yield name, bytes(len(data))
        yield f"{name}.xz", lzma.compress(data) + zeros("xz")
        yield f"{name}.xz", zeros("xz")
    elif reader == "reviews":
        yield from tars(REVIEWS)
    elif reader == "reviews, Keras":
        yield from pickles()
    elif reader == "cache":
        yield from caches()
    elif reader == "Kaggle digits":
        yield from digits()
    elif reader == "spoken digits":
        yield from spoken()
    elif reader == "WAV":
        yield from waves()
    elif reader == "table of numbers":
        yield from tables()
    elif reader == "array (.npy)":
        yield from arrays()
    elif reader == "image":
        yield from images()
    elif reader == "CSVLogger":
        yield from odd_texts(".csv", whole)
        yield "field.csv", b'epoch,loss\n0,"' + b"x" * 200_000 + b'"\n'
        yield "digits.csv", "epoch,loss\n²,1\n".encode() + b"9" * 5000 + b",1\n"
        yield "header.csv", b"\n0,1\n"
