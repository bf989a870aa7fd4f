"""Models of word vectors as files: safetensors, with the words and settings, every value checked on the way in."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.files import write_whole
from pynn.io.container import DIGEST, checked_json, digest, pack, read, verify
from pynn.ops.word2vec import ROW
from pynn.text.sampling import Tree

if TYPE_CHECKING:
    from pynn.text.word2vec import Word2Vec

__all__ = ["load", "save"]

FORMAT, VERSION = "pynn.word2vec", "1"
SETTINGS = (
    "vector_size", "window", "min_count", "sg", "hs", "negative", "ns_exponent", "cbow_mean", "sample",
    "shrink_windows", "alpha", "min_alpha", "max_final_vocab", "seed",
)  # fmt: skip
BRANCHES = {"path": np.int32, "node": np.int32, "code": np.uint8}


def save(model: Word2Vec, path: str | os.PathLike[str]) -> None:
    """Write a model; see :meth:`Word2Vec.save`."""
    lengths = np.array([len(word.encode()) for word in model.words], np.int64)
    tensors = {
        "rows": model._rows.view()[:, : model.vector_size],
        "counts": model.counts,
        "words": np.frombuffer("".join(model.words).encode(), np.uint8),
        "lengths": lengths,
    }
    if model._tree is not None:
        tensors.update({name: getattr(model._tree, name) for name in BRANCHES})
    settings = {name: getattr(model, name) for name in SETTINGS}
    texts = {
        "format": FORMAT,
        "format_version": VERSION,
        "settings": json.dumps(settings),
        "epochs_trained": str(model.epochs_trained),
    }
    write_whole(path, pack(tensors, texts), verify)


def load(path: str | os.PathLike[str], make: Callable[..., Word2Vec]) -> Word2Vec:
    """Read a model; see :meth:`Word2Vec.load`."""
    contents = read(path)
    source = os.fspath(path)
    texts = contents.metadata
    if texts.get("format") != FORMAT:
        raise DataError(
            f"[Word2Vec] expected a file of Word2Vec.save. Received: {source!r}, a safetensors file of format "
            f"{texts.get('format', 'unknown')[:40]!r}."
        )
    if texts.get("format_version") != VERSION:
        raise DataError(
            f"[Word2Vec] expected format version {VERSION}. Received: {source!r} of version "
            f"{texts.get('format_version', '')[:20]!r}. help: a newer pynn wrote it."
        )
    if texts.get(DIGEST) != digest(contents.tensors, texts):
        raise _damaged(source, "its contents do not have the digest that was written with them")
    settings = checked_json(texts.get("settings", "").encode(), 2, source, "settings")
    epochs = texts.get("epochs_trained", "")
    counted = epochs.isdecimal() and len(epochs) < 19
    if not isinstance(settings, dict) or set(settings) != set(SETTINGS) or not counted:
        raise _damaged(source, "settings are missing")
    try:
        model = make(**settings)
    except (ValueError, TypeError) as error:
        raise _damaged(source, str(error)) from None
    model.epochs_trained = int(epochs)
    model.words, model.counts = _words(contents.tensors, source)
    model._tree = _tree(contents.tensors, len(model.words), source) if model.hs and model.words else None
    rows = _tensor(contents.tensors, "rows", np.float32, 2, source)
    n = len(model.words)
    expected = n * (1 + bool(model.negative)) + max(n - 1, 0) * model.hs
    if n and rows.shape != (expected, model.vector_size):
        raise _damaged(source, f"{expected} rows of {model.vector_size} are needed, and {rows.shape} are there")
    if not np.isfinite(rows).all():
        raise _damaged(source, "a vector is not finite")
    padded = np.zeros((len(rows), -(-model.vector_size // ROW) * ROW if n else 0), np.float32)
    padded[:, : rows.shape[1]] = rows
    model._rows = Tensor.state(padded)
    return model


def _words(tensors: dict[str, np.ndarray], source: str) -> tuple[list[str], np.ndarray]:
    letters = _tensor(tensors, "words", np.uint8, 1, source).tobytes()
    lengths = _tensor(tensors, "lengths", np.int64, 1, source)
    counts = _tensor(tensors, "counts", np.int64, 1, source)
    if len(counts) != len(lengths) or (counts < 0).any() or (lengths < 0).any() or (lengths > len(letters)).any():
        raise _damaged(source, "the counts and lengths of words do not fit")
    ends = np.cumsum(lengths)
    if (int(ends[-1]) if len(ends) else 0) != len(letters):
        raise _damaged(source, "the lengths of words do not fit")
    try:
        words = [letters[end - length : end].decode() for end, length in zip(ends, lengths, strict=True)]
    except UnicodeDecodeError:
        raise _damaged(source, "a word is not UTF-8") from None
    if len(set(words)) != len(words):
        raise _damaged(source, "a word is there twice")
    return words, counts.copy()


def _tree(tensors: dict[str, np.ndarray], words: int, source: str) -> Tree:
    path, node, code = (_tensor(tensors, name, dtype, 1, source) for name, dtype in BRANCHES.items())
    whole = len(path) == words + 1 and path[0] == 0 and (np.diff(path) >= 0).all() and path[-1] == len(node)
    if not whole or len(node) != len(code) or ((node < 0) | (node >= words - 1)).any() or (code > 1).any():
        raise _damaged(source, "the tree of words does not fit")
    return Tree(path.copy(), node.copy(), code.copy())


def _tensor(tensors: dict[str, np.ndarray], name: str, dtype: Any, rank: int, source: str) -> np.ndarray:
    array = tensors.get(name)
    if array is None or array.dtype != dtype or array.ndim != rank:
        found = "is missing" if array is None else f"is {array.dtype} of shape {array.shape}"
        raise _damaged(source, f"the tensor {name!r} {found}")
    return array


def _damaged(source: str, what: str) -> DataError:
    return DataError(f"[Word2Vec] {source!r} is damaged: {what}.")
