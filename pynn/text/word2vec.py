"""Word vectors learnt from text: word2vec, by CBOW or skip-gram, with negative sampling or hierarchical softmax."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from pynn._blocks import Interrupts
from pynn.checks import integer, number
from pynn.core.graph import execute
from pynn.core.tensor import Tensor, tensor
from pynn.errors import DataError, NonFiniteError
from pynn.keywords import Spelled
from pynn.ops.word2vec import BLOCK, CHUNK, ROW
from pynn.text import word2vec_file
from pynn.text.corpus import encode
from pynn.text.sampling import (
    Tree,
    alias_table,
    huffman,
    join,
    keep_probability,
    safe_batch,
    thresholds,
    word_loads,
)
from pynn.text.vectors import KeyedVectors
from pynn.train.callbacks import CallbackList
from pynn.train.history import History
from pynn.train.hooks import Callback

__all__ = ["Word2Vec"]

BLOCK_WORDS = 1 << 16  # words of one native call: a fraction of a second
BATCH_BYTES = 1 << 20  # of intermediate rows: what stays in a cache
LARGEST_BATCH = 512
MOST_WINDOW, MOST_NEGATIVE = 1000, 1000


class Word2Vec(Spelled):
    """Vectors of words, such that a word's vector predicts its neighbours: word2vec.

    Every word w has a vector x_w and one as a prediction, y_w. With the words c around it in the text, the loss of w is

        CBOW        -log sigmoid(y_w . h) - sum over k of log sigmoid(-y_k . h),   h = mean of x_c
        skip-gram   the sum over c of the same with h = x_c

    with `negative` words k drawn in proportion to count**ns_exponent. Hierarchical softmax takes, instead of y_w and
    y_k, the inner nodes of a Huffman tree on the way to w. The window has 1 to `window` words on each side, drawn anew
    each time; frequent words are dropped with probability 1 - sqrt(t/f) - t/f, f their frequency and t = `sample`.

    Vectors begin uniform in (-1, 1) / vector_size, predictions at 0. The result is the same bits for any number of
    threads and in every run: gradients of a few hundred neighbouring words are computed from the same vectors, in
    parallel, and added in the order of the text. There is no other mode.

    Parameters
    ----------
    vector_size : int, default 100
    window : int, default 5
        The most words on each side that a word is predicted from.
    min_count : int, default 5
        Rarer words are left out of the text.
    sg : bool, default False
        Skip-gram instead of CBOW.
    hs : bool, default False
        Hierarchical softmax; both it and negative sampling are used unless ``negative=0``.
    negative : int, default 5
        Negative words for each word; 0 for none (then `hs` must be set).
    ns_exponent : float, default 0.75
    cbow_mean : bool, default True
        Let h be the mean of the words of the window, not their sum.
    sample : float, default 1e-3
        Frequency above which words are dropped at times; 0 keeps all.
    shrink_windows : bool, default True
        Draw the size of each window.
    alpha : float, optional
        Learning rate at the beginning. Default: 0.025 for skip-gram and 0.05 for CBOW, as the authors' program has it.
    min_alpha : float, default 1e-4
        Learning rate at the end; it falls in a straight line.
    max_final_vocab : int, optional
        Keep so many words at most, the most frequent ones.
    seed : int, default 0

    Attributes
    ----------
    wv : KeyedVectors
        The vectors; the most frequent word comes first.
    counts : ndarray of int64 [V]
        How often each word came.
    history : History
        Of the last `fit`.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    T. Mikolov, K. Chen, G. Corrado, J. Dean, "Efficient estimation of word representations in vector space", 2013.
    T. Mikolov, I. Sutskever, K. Chen, G. Corrado, J. Dean, "Distributed representations of words and phrases and their
    compositionality", 2013.

    Examples
    --------
    >>> sentences = [["the", "cat", "sat"], ["the", "dog", "sat"], ["the", "dog", "ran"]] * 20
    >>> model = Word2Vec(vector_size=8, window=2, min_count=1, seed=1)
    >>> history = model.fit(sentences, epochs=3, verbose=0)
    >>> model.wv["cat"].shape, len(history.history["loss"])
    ((8,), 3)
    """

    def __init__(
        self,
        vector_size: int = 100,
        window: int = 5,
        min_count: int = 5,
        *,
        sg: bool = False,
        hs: bool = False,
        negative: int = 5,
        ns_exponent: float = 0.75,
        cbow_mean: bool = True,
        sample: float = 1e-3,
        shrink_windows: bool = True,
        alpha: float | None = None,
        min_alpha: float = 1e-4,
        max_final_vocab: int | None = None,
        seed: int = 0,
    ) -> None:
        self.vector_size = integer("Word2Vec", "vector_size", vector_size, 1)
        self.window = integer("Word2Vec", "window", window, 1, MOST_WINDOW)
        self.min_count = integer("Word2Vec", "min_count", min_count, 0)
        self.sg, self.hs, self.cbow_mean = bool(sg), bool(hs), bool(cbow_mean)
        self.negative = integer("Word2Vec", "negative", negative, 0, MOST_NEGATIVE)
        self.ns_exponent = number("Word2Vec", "ns_exponent", ns_exponent)
        self.sample = number("Word2Vec", "sample", sample, 0)
        self.shrink_windows = bool(shrink_windows)
        self.alpha = number("Word2Vec", "alpha", (0.025 if sg else 0.05) if alpha is None else alpha, 0)
        self.min_alpha = number("Word2Vec", "min_alpha", min_alpha, 0)
        self.max_final_vocab = (
            None if max_final_vocab is None else integer("Word2Vec", "max_final_vocab", max_final_vocab, 1)
        )
        self.seed = integer("Word2Vec", "seed", seed, 0, 2**63 - 1)
        if not (self.hs or self.negative):
            raise ValueError("[Word2Vec] expected hs=True or negative of 1 or more. Received: hs=False, negative=0.")
        self.words: list[str] = []
        self.counts = np.zeros(0, np.int64)
        self.epochs_trained = 0
        self.history = History()
        self._rows = Tensor.state(np.zeros((0, 0), np.float32))
        self._tree: Tree | None = None
        self._wv: KeyedVectors | None = None
        self.stop_training = False

    @property
    def wv(self) -> KeyedVectors:
        """The vectors as they are now; training goes on with others."""
        if not self.words:
            raise DataError("[Word2Vec] expected a model with words. Received: an untrained one. help: fit it.")
        if self._wv is None:
            self._wv = KeyedVectors(self.words, self._part(0).copy(), counts=self.counts.copy())
        return self._wv

    def fit(
        self,
        corpus: Any,
        epochs: int = 5,
        *,
        new_words: bool = False,
        verbose: int = 1,
        callbacks: Callback | Iterable[Callback] | None = None,
    ) -> History:
        """Learn from text. The first time the vocabulary is made; later calls go on with it, on any text.

        Parameters
        ----------
        corpus : iterable or path-like
            Sentences (each a list of words), or one stream of words, or the path of a file of text in UTF-8 with words
            between blanks, perhaps packed (gzip, bzip2, xz, zip); a line of any length is a sentence. It is read once,
            so a generator will do, and kept as numbers; those of more than 2**28 words in a temporary file.
        epochs : int, default 5
        new_words : bool, default False
            Take up words of this text that are not known yet and reach `min_count` in it. They come after the known
            ones, whose vectors stay; Huffman's tree, if there is one, is joined with a tree of theirs.
        verbose : {0, 1, 2}, default 1
            As for :class:`pynn.train.ProgressBar`.
        callbacks : Callback or iterable of Callback, optional
            Their hooks of training, epochs and progress are called.

        Returns
        -------
        History
            For every epoch ``loss``, the true mean over its predictions (a word's by CBOW, a pair's by skip-gram), and
            ``words_per_second`` of text, dropped words included. After Ctrl-C ``interrupted`` is True, and the model
            holds what was learnt until then.

        Raises
        ------
        DataError
            If the text cannot be read, no word reaches `min_count`, or no word has a neighbour.
        NonFiniteError
            If the learning rate was so large that the vectors overflowed; they are then as they were before.
        """
        epochs = integer("Word2Vec", "epochs", epochs, 1)
        text = encode(corpus, "Word2Vec")
        ids = text.mapped(self._learn_words(text.words, text.counts(), new_words))
        inside = ids >= 0
        if not (inside[1:] & inside[:-1]).any():
            raise DataError(
                f"[Word2Vec] expected words with neighbours to be predicted from. Received: {int(inside.sum())} known "
                f"words, each alone in its sentence. help: give sentences as lists of words, or lower min_count."
            )
        hooks = CallbackList(
            callbacks,
            model=self,
            params={"epochs": epochs, "initial_epoch": 0, "steps": -(-len(ids) // BLOCK_WORDS), "metrics": ["loss"]},
            verbose=int(verbose),
        )
        self.stop_training = False
        self.history = hooks.history
        self.history.interrupted = False
        before = self._rows.numpy()
        with Interrupts() as interrupts:
            try:
                hooks.on_train_begin()
                for epoch in range(epochs):
                    hooks.on_epoch_begin(epoch)
                    logs = self._epoch(ids, epoch, epochs, hooks, interrupts)
                    self.epochs_trained += 1
                    self._wv = None
                    hooks.on_epoch_end(epoch, logs)
                    if self.stop_training:
                        break
            except KeyboardInterrupt:
                self.stop_training = self.history.interrupted = True
            except NonFiniteError:
                self._rows = Tensor.state(before)
                raise
            finally:
                self._wv = None
                try:
                    hooks.on_train_end()
                except BaseException:
                    hooks.on_train_end()  # of those that were not told, as a second Ctrl-C came before
                    raise
        self.history.interrupted |= interrupts.noted
        return self.history

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model, with all that further training needs, into one safetensors file.

        The vectors alone, for other programs: ``model.wv.save_word2vec_format(path)``.
        """
        word2vec_file.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Word2Vec:
        """Read what :meth:`save` wrote.

        Raises
        ------
        DataError
            If the file is damaged or is another one; the format that it seems to have is named.
        """
        return word2vec_file.load(path, cls)

    def __repr__(self) -> str:
        kind = "skip-gram" if self.sg else "CBOW"
        return f"<Word2Vec {kind}: {len(self.words):,} words of {self.vector_size} numbers>"

    def _learn_words(self, words: list[str], counts: np.ndarray, new_words: bool) -> np.ndarray:
        """Take up the words of a text where that is due; return the id of each, -1 for those that are left out."""
        index = {word: i for i, word in enumerate(self.words)}
        known = np.array([index.get(word, -1) for word in words], np.int64)
        if self.words and not new_words:
            return known
        fresh = np.flatnonzero((known < 0) & (counts >= self.min_count))
        order = sorted(fresh.tolist(), key=lambda i: (-counts[i], words[i]))[: self.max_final_vocab]
        if not self.words and not order:
            raise DataError(_no_words(words, counts, self.min_count))
        old = len(self.words)
        more = self.counts.copy()
        np.add.at(more, known[known >= 0], counts[known >= 0])
        more = np.concatenate([more, counts[order]])
        known[order] = np.arange(old, old + len(order))
        # In one step: words without vectors would be left if Ctrl-C came between.
        vars(self).update(self._grown(more), words=self.words + [words[i] for i in order], counts=more)
        return known

    def _grown(self, counts: np.ndarray) -> dict[str, Any]:
        """Return what changes with new words: random vectors, zero predictions and, if there is one, a larger tree."""
        old, total, stride = len(self.words), len(counts), -(-self.vector_size // ROW) * ROW
        if total == old:
            return {}
        parts = [self._part(i) for i in range(1 + bool(self.negative) + self.hs)] if old else []
        rows = np.zeros((total * (1 + bool(self.negative)) + (total - 1) * self.hs, stride), np.float32)
        for i, part in enumerate(parts):
            rows[i * total : i * total + len(part), : self.vector_size] = part
        random = np.random.Generator(np.random.Philox(key=[self.seed, old]))
        fresh = random.random((total - old, self.vector_size), np.float32)
        rows[old:total, : self.vector_size] = (2 * fresh - 1) / np.float32(self.vector_size)
        tree = self._tree
        if self.hs:
            tree = huffman(counts[old:], max(old - 1, 0))
            tree = join(self._tree, tree, total - 2) if self._tree is not None else tree
        return {"_rows": Tensor.state(rows), "_tree": tree, "_wv": None}

    def _part(self, i: int) -> np.ndarray:
        """Return a view of the vectors (0), of the predictions, or of the nodes of the tree, which come last."""
        n = len(self.words)
        return self._rows.view()[i * n : (i + 1) * n, : self.vector_size]

    def _tables(self) -> tuple[Tensor | None, ...]:
        """Return what the kernel draws with; unsigned numbers travel as signed ones."""
        keep = alias = None
        if self.sample:
            keep = Tensor.state(thresholds(keep_probability(self.counts, self.sample)).view(np.int32))
        if self.negative:
            weights = np.maximum(self.counts, 1).astype(float) ** self.ns_exponent
            alias = Tensor.state(alias_table(weights).view(np.int32))
        tree = self._tree
        branches = (None,) * 3 if tree is None else tuple(map(Tensor.state, (tree.path, tree.node, tree.code)))
        return (keep, alias, *branches)

    def _batch(self) -> int:
        """Return how many words are worked on from the same vectors."""
        loads = word_loads(self.counts, self.sample, self.negative, self.ns_exponent, self._tree)
        batch = safe_batch(loads, max(1.0, self.alpha / 0.05), self.window / 2 if self.sg else 1.0)
        row = 4 * self._rows.shape[1]
        by_memory = BATCH_BYTES / (row * (float(loads.sum()) + 1 if self.sg else 2))
        batch = int(min(batch, max(by_memory, CHUNK), LARGEST_BATCH))
        return batch // CHUNK * CHUNK if batch > CHUNK else max(batch, 1)

    def _epoch(
        self, ids: np.ndarray, epoch: int, epochs: int, hooks: CallbackList, interrupts: Interrupts
    ) -> dict[str, float]:
        tables = self._tables()
        longest = 0 if self._tree is None else self._tree.longest
        attrs = {
            "words": len(self.words), "stride": self._rows.shape[1], "window": self.window, "skipgram": self.sg,
            "shrink": self.shrink_windows, "mean": self.cbow_mean, "negative": self.negative, "batch": self._batch(),
            "longest": longest,
        }  # fmt: skip
        sums = Tensor.state(np.zeros(3))
        began = time.perf_counter()
        blocks = range(0, len(ids), BLOCK_WORDS)
        for done, start in enumerate(blocks, 1):
            interrupts.check()
            block = np.ascontiguousarray(ids[start : start + BLOCK_WORDS])
            at = (epoch + np.array([start, start + len(block)]) / len(ids)) / epochs
            rate = (self.alpha + (self.min_alpha - self.alpha) * at).astype(np.float32)
            key = _key(self.seed, self.epochs_trained, start)
            execute(BLOCK, (tensor(rate), tensor(block), *tables), {**attrs, "key": key}, out=(self._rows, sums))
            loss, predictions, _ = sums.view().tolist()
            if not math.isfinite(loss):
                raise NonFiniteError(
                    f"[Word2Vec] expected a finite loss. Received: {loss} in epoch {epoch + 1}. "
                    f"help: a smaller learning rate than alpha={self.alpha}."
                )
            hooks.on_progress(done, len(blocks), {"loss": loss / max(predictions, 1)})
        words = int((ids >= 0).sum())
        return {
            "loss": loss / max(predictions, 1),
            "words_per_second": words / max(time.perf_counter() - began, 1e-9),
        }


def _key(*numbers: int) -> int:
    """Return 63 bits that stand for these numbers."""
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _no_words(words: list[str], counts: np.ndarray, min_count: int) -> str:
    if not words:
        return "[Word2Vec] expected text. Received: a corpus without words. help: a generator can be read only once."
    most = int(counts.argmax())
    return (
        f"[Word2Vec] expected words that come min_count={min_count} times or more. Received: {len(words):,} words, the "
        f"most frequent of which, {words[most]!r}, comes {counts[most]} times. help: more text, or a smaller min_count."
    )
