"""Whole files of words, their vectors and texts, and what reads them."""

from __future__ import annotations

import bz2
import functools
import lzma
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import pynn

from .packing import Files, gzipped, zipped

WORDS = ["king", "queen", "né", "漢字", "the"]


@functools.cache
def vectors() -> Files:
    """Return vectors in every layout."""
    table = np.linspace(-1, 1, 15, dtype="float32").reshape(5, 3)
    wv = pynn.text.KeyedVectors(WORDS, table)
    with tempfile.TemporaryDirectory() as folder:
        for binary in (False, True):
            wv.save_word2vec_format(f"{folder}/{binary}", binary)
        text, packed = (Path(folder, name).read_bytes() for name in ("False", "True"))
    glove = text.partition(b"\n")[2]
    return {"a.txt": text, "b.bin": packed, "c.txt": glove, "d.gz": gzipped(text), "e.gz": gzipped(packed)}


@functools.cache
def word2vec() -> Files:
    """Return models of word vectors."""
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for hs in (False, True):
            model = pynn.text.Word2Vec(vector_size=4, min_count=1, hs=hs, negative=0 if hs else 3, seed=1)
            model.fit([WORDS, WORDS[:3]] * 3, epochs=1, verbose=0)
            model.save(f"{folder}/{hs}")
            files[f"{hs}.safetensors"] = Path(folder, str(hs)).read_bytes()
    return files


def same_words(path: Path) -> Any:
    """Load a model of word vectors."""
    model = pynn.text.Word2Vec.load(path)
    return model.words, model.counts, model.wv.vectors, model.epochs_trained


QUESTIONS = b": capitals\nking queen the n\xc3\xa9\nking queen queen king\n: two\nthe king the queen\n"
PAIRS = b"# words\nking,queen,7.5\nking,the,1.25\nthe,queen,2\n"


def word_vectors() -> Any:
    """Return vectors to ask."""
    return pynn.text.KeyedVectors(WORDS, np.linspace(-1, 1, 15, dtype="float32").reshape(5, 3))


@functools.cache
def tokenizers() -> Files:
    """Return tokenizers of words and of characters."""
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for level in ("word", "char"):
            pynn.text.Tokenizer(level).fit("to be or not to be é").save(f"{folder}/{level}.json")
            files[f"{level}.json"] = Path(folder, f"{level}.json").read_bytes()
    return files


LINES = "to be or not to be\nthat is the question\r\nné 漢字\n".encode() * 3


def texts() -> Files:
    """Return a text, plain and packed."""
    return {"a.txt": LINES, "b.gz": gzipped(LINES), "c.bz2": bz2.compress(LINES), "d.xz": lzma.compress(LINES)}


def corpora() -> Files:
    """Return a corpus, plain and packed."""
    return {**texts(), "e.zip": zipped({"a.txt": LINES})}


def encoded(path: Path) -> Any:
    """Return the words and ids of a corpus."""
    from pynn.text.corpus import encode

    found = encode(path, "corpus")
    return found.words, np.array(found.ids)
