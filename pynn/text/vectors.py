"""Vectors of words, and what can be asked of them."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pynn.checks import is_number, of_kind, reals, written
from pynn.errors import DataError, ShapeError
from pynn.text import evaluation

__all__ = ["KeyedVectors", "UnknownWordError"]

TOP = 10
SUGGESTIONS = 3


class UnknownWordError(DataError, KeyError):
    """A word has no vector."""


def _texts(words: Any) -> list[str]:
    """Return a list of words, which are texts."""
    found = list(words) if isinstance(words, Iterable) else [words]
    for word in found:
        if not isinstance(word, str):
            raise TypeError(f"[KeyedVectors] expected words that are texts. Received: {written(word)}.")
    return found


class KeyedVectors:
    """Words and their vectors, the most frequent word first.

    Likeness is the cosine: similarity(a, b) = a . b / (|a| |b|).

    Parameters
    ----------
    words : sequence of str
        Each once.
    vectors : array_like [V, D]
        Kept as float32, without a copy where they are.
    counts : array_like [V], optional
        How often each word came in the text.

    Attributes
    ----------
    index_to_key : list of str
        The words in order.
    key_to_index : dict of str to int
        Their places.
    vectors : ndarray of float32 [V, D]
    vector_size : int
        D.
    counts : ndarray of int64 [V] or None

    Raises
    ------
    ShapeError
        If there are not as many vectors as words.
    DataError
        If a word is there twice.
    TypeError
        If a word is no text.

    Examples
    --------
    >>> wv = KeyedVectors(["king", "queen", "man", "woman"], [[2, 1], [2, -1], [0.2, 1], [0.2, -1]])
    >>> wv.most_similar(positive=["king", "woman"], negative=["man"], topn=1)[0][0]
    'queen'
    >>> round(wv.similarity("man", "woman"), 4)
    -0.9231
    >>> wv["kign"]
    Traceback (most recent call last):
    ...
    pynn.text.vectors.UnknownWordError: [KeyedVectors] expected a word of the vocabulary (4 words). Received: 'kign'.
    help: did you mean 'king'?
    """

    def __init__(self, words: Sequence[str], vectors: Any, counts: Any = None) -> None:
        self.index_to_key = _texts(words)
        self.vectors = reals("KeyedVectors", "vectors", vectors, np.float32)
        self.key_to_index = {word: i for i, word in enumerate(self.index_to_key)}
        self.counts = None if counts is None else np.asarray(counts, np.int64)
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.index_to_key):
            raise ShapeError(
                f"[KeyedVectors] expected vectors [{len(self.index_to_key)}, D], one for each word. "
                f"Received: {self.vectors.shape}."
            )
        if len(self.key_to_index) != len(self.index_to_key):
            [(twice, _)] = Counter(self.index_to_key).most_common(1)
            raise DataError(f"[KeyedVectors] expected each word once. Received: {twice!r} twice.")
        self.vector_size = self.vectors.shape[1]
        self._unit: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.index_to_key)

    def __contains__(self, word: object) -> bool:
        return word in self.key_to_index

    def __getitem__(self, words: str | Iterable[str]) -> np.ndarray:
        """Return the vector of a word, or [n, D] for several."""
        if isinstance(words, str):
            return self.vectors[self.index(words)]
        return self.vectors[[self.index(word) for word in words]]

    def __repr__(self) -> str:
        return f"<KeyedVectors: {len(self):,} words of {self.vector_size} numbers>"

    def index(self, word: str) -> int:
        """Return the place of a word.

        Raises
        ------
        UnknownWordError
            If it is not known; the message names the nearest spellings.
        """
        try:
            return self.key_to_index[word]
        except (KeyError, TypeError):
            near = self.nearest_spellings(word) if isinstance(word, str) else []
            hint = f" help: did you mean {', '.join(map(repr, near))}?" if near else ""
            raise UnknownWordError(
                f"[KeyedVectors] expected a word of the vocabulary ({len(self):,} words). Received: {word!r}.{hint}"
            ) from None

    def nearest_spellings(self, word: str, n: int = SUGGESTIONS) -> list[str]:
        """Return known words that are spelt alike, the nearest first."""
        lower = of_kind("nearest_spellings", "word", word, "a text", "lower").lower()
        pairs = {lower[i : i + 2] for i in range(len(lower) - 1)}
        shared: list[tuple[int, int, str]] = []
        for known in self.index_to_key:
            if abs(len(known) - len(word)) <= 2:
                folded = known.lower()
                common = len(pairs.intersection(folded[i : i + 2] for i in range(len(folded) - 1)))
                if common or sorted(folded) == sorted(lower):
                    shared.append((-common, len(shared), known))
        candidates = [known for _, _, known in sorted(shared)[:200]]  # comparing letter by letter is slow
        return difflib.get_close_matches(word, candidates, n=n, cutoff=0.6)

    def unit_vectors(self) -> np.ndarray:
        """Return the vectors at length 1 (zero ones stay zero), read-only [V, D]."""
        if self._unit is None:
            norm = np.linalg.norm(self.vectors, axis=1, keepdims=True)
            self._unit = self.vectors / np.where(norm > 0, norm, 1)
            self._unit.flags.writeable = False
        return self._unit

    def similarity(self, a: str, b: str) -> float:
        """Return the cosine of the angle between two words, from -1 to 1."""
        unit = self.unit_vectors()
        return float(unit[self.index(a)] @ unit[self.index(b)])

    def most_similar(
        self, positive: Any = (), negative: Any = (), topn: int = TOP, restrict_vocab: int | None = None
    ) -> list[tuple[str, float]]:
        """Return the words nearest to the sum of the positive ones less the negative ones, all at length 1.

        Parameters
        ----------
        positive : str, ndarray [D], or list of them, default ()
            Words that are given are no answers. An item may be a pair of a word or vector and its weight.
        negative : str, ndarray [D], or list of them, default ()
            Words that are given are no answers. An item may be a pair of a word or vector and its weight.
        topn : int, default 10
        restrict_vocab : int, optional
            Look among so many first words alone.

        Returns
        -------
        list of (str, float)
            Words and cosines, the nearest first.

        Raises
        ------
        UnknownWordError
            If a word is not known.
        ValueError
            If nothing was given.
        """
        total, given = np.zeros(self.vector_size, np.float64), []
        items = [(item, 1.0) for item in _listed(positive)] + [(item, -1.0) for item in _listed(negative)]
        if not items:
            raise ValueError("[most_similar] expected at least one word or vector. Received: none.")
        for item, sign in items:
            item, weight = item if isinstance(item, tuple) else (item, 1.0)
            if isinstance(item, str):
                given.append(self.index(item))
                unit = self.unit_vectors()[given[-1]]
            else:
                unit = reals("most_similar", "a vector", item)
                if unit.shape != (self.vector_size,):
                    raise ShapeError(
                        f"[most_similar] expected a word or a vector [{self.vector_size}]. Received: {unit.shape}."
                    )
                unit = unit / (np.linalg.norm(unit) or 1.0)
            total += sign * weight * unit
        total /= np.linalg.norm(total) or 1.0
        cosine = self.unit_vectors()[:restrict_vocab] @ total.astype(np.float32)
        order = evaluation.largest(cosine, topn + len(given))
        return [(self.index_to_key[i], float(cosine[i])) for i in order if i not in given][: max(topn, 0)]

    def analogy(self, a: str, b: str, c: str, topn: int = 1) -> list[tuple[str, float]]:
        """Return what is to `c` as `b` is to `a`: the words nearest to b - a + c.

        Examples
        --------
        >>> wv = KeyedVectors(["king", "queen", "man", "woman"], [[2, 1], [2, -1], [0.2, 1], [0.2, -1]])
        >>> wv.analogy("man", "king", "woman")[0][0]
        'queen'
        """
        return self.most_similar(positive=[b, c], negative=[a], topn=topn)

    def doesnt_match(self, words: Iterable[str]) -> str:
        """Return the word that is farthest from the mean of all, each at length 1.

        Raises
        ------
        UnknownWordError
            If a word is not known.
        ValueError
            If there are no words.
        """
        words = words.split() if isinstance(words, str) else list(words)
        if not words:
            raise ValueError("[doesnt_match] expected words. Received: none.")
        unit = self.unit_vectors()[[self.index(word) for word in words]]
        return words[int((unit @ unit.mean(axis=0)).argmin())]

    def evaluate_word_analogies(
        self,
        analogies: str | os.PathLike[str],
        restrict_vocab: int = 300_000,
        case_insensitive: bool = True,
        dummy4unknown: bool = False,
    ) -> tuple[float, list[dict[str, Any]]]:
        """Return the share of analogies ``a b c d`` of a file that are answered right: d is nearest to b - a + c.

        Parameters
        ----------
        analogies : path-like
            Lines of four words; a line ``: name`` begins a section, as in ``questions-words.txt``.
        restrict_vocab : int, default 300,000
            Look among so many first words alone; questions with other words are left out.
        case_insensitive : bool, default True
            Take all words in capitals, and of those that then are alike the first.
        dummy4unknown : bool, default False
            Count questions with unknown words as wrong instead of leaving them out.

        Returns
        -------
        score : float
            0 to 1.
        sections : list of dict
            ``section`` (its name), ``correct`` and ``incorrect`` (lists of questions); the last one has all.

        Raises
        ------
        DataError
            If the file cannot be read, or a question comes before the first section.

        References
        ----------
        T. Mikolov, K. Chen, G. Corrado, J. Dean, "Efficient estimation of word representations in vector space", 2013.
        """
        return evaluation.word_analogies(self, analogies, restrict_vocab, case_insensitive, dummy4unknown)

    def evaluate_word_pairs(
        self,
        pairs: str | os.PathLike[str],
        delimiter: str | None = None,
        restrict_vocab: int = 300_000,
        case_insensitive: bool = True,
        dummy4unknown: bool = False,
    ) -> tuple[tuple[float, float], tuple[float, float], float]:
        """Return how well the likeness of word pairs agrees with people's: correlations and the share left out.

        Parameters
        ----------
        pairs : path-like
            Lines ``word1 word2 figure``; lines that begin with # and those without a figure are passed over.
        delimiter : str, optional
            Between the parts of a line. Default: tab or comma, whichever a line has.
        restrict_vocab : int, default 300,000
        case_insensitive : bool, default True
        dummy4unknown : bool, default False

        Returns
        -------
        pearson, spearman : (float, float)
            Correlation and p-value.
        oov_ratio : float
            Percentage of pairs with unknown words.

        Raises
        ------
        DataError
            If the file cannot be read or fewer than two pairs are known.
        """
        return evaluation.word_pairs(self, pairs, delimiter, restrict_vocab, case_insensitive, dummy4unknown)

    def save_word2vec_format(self, path: str | os.PathLike[str], binary: bool = False) -> None:
        """Write the words and vectors as the word2vec program does, for other programs to read.

        Parameters
        ----------
        path : path-like
        binary : bool, default False
            Whether the numbers are written as float32, or as text with all their digits.

        Raises
        ------
        DataError
            If a word has a blank or a line break in it, which the format cannot hold.
        """
        from pynn.text.vector_files import write

        write(self, path, binary)

    @classmethod
    def load_word2vec_format(
        cls, path: str | os.PathLike[str], binary: bool | None = None, *, limit: int | None = None,
        errors: str = "strict",
    ) -> KeyedVectors:  # fmt: skip
        """Read words and vectors that word2vec, gensim, fastText (.vec) or GloVe wrote, perhaps packed by gzip.

        Parameters
        ----------
        path : path-like
        binary : bool, optional
            Default: what the file is is found out.
        limit : int, optional
            Read so many first words alone.
        errors : {"strict", "replace", "ignore"}, default "strict"
            What becomes of words that are not UTF-8.

        Raises
        ------
        DataError
            If the file is of another format, which is named, or is damaged.
        """
        from pynn.text.vector_files import read

        return cls(*read(path, binary, limit, errors))


def _listed(items: Any) -> list[Any]:
    single = isinstance(items, (str, tuple)) and (isinstance(items, str) or (len(items) == 2 and _is_weight(items[1])))
    if single or (isinstance(items, np.ndarray) and items.ndim == 1 and items.dtype.kind == "f"):
        return [items]
    return list(items)


def _is_weight(value: Any) -> bool:
    return is_number(value)
