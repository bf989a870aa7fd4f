"""Words that belong together: new_york as one word."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pynn.checks import number, positive
from pynn.errors import DataError, unknown_name
from pynn.keywords import Spelled
from pynn.text.corpus import encode, pieces

__all__ = ["Phrases"]

SCORINGS = ("default", "npmi")


class Phrases(Spelled):
    """Find pairs of words that come together more often than by chance, and join them: ``new york`` to ``new_york``.

    A pair is a phrase if it comes at least `min_count` times and its score is above `threshold`:

        default   (count(a b) - min_count) N / (count(a) count(b)),   N the number of different words
        npmi      log(p(a b) / (p(a) p(b))) / -log p(a b), from -1 to 1

    Apply it again to its own result for phrases of more words.

    Parameters
    ----------
    min_count : int, default 5
    threshold : float, default 10.0
        For ``npmi`` something like 0.5.
    delimiter : str, default "_"
        What stands between the words of a phrase.
    scoring : {"default", "npmi"}, default "default"
    connector_words : iterable of str, default ()
        Words such as "of" that neither begin nor end a phrase.

    Attributes
    ----------
    phrases : dict of (str, str) to float
        The pairs and their scores, the highest first.

    Raises
    ------
    ValueError
        If a setting is out of range.

    References
    ----------
    T. Mikolov and others, "Distributed representations of words and phrases and their compositionality", 2013.
    G. Bouma, "Normalized (pointwise) mutual information in collocation extraction", 2009.

    Examples
    --------
    >>> text = [["i", "love", "new", "york"], ["new", "york", "is", "big"], ["i", "love", "it"]]
    >>> phrases = Phrases(min_count=1, threshold=1.0).fit(text)
    >>> list(phrases.transform([["big", "new", "york"]]))
    [['big', 'new_york']]
    """

    def __init__(
        self,
        min_count: int = 5,
        threshold: float = 10.0,
        *,
        delimiter: str = "_",
        scoring: str = "default",
        connector_words: Iterable[str] = (),
    ) -> None:
        if scoring not in SCORINGS:
            raise ValueError("[Phrases] " + unknown_name("scoring", scoring, SCORINGS))
        self.min_count = positive("Phrases", "min_count", min_count)
        self.threshold = number("Phrases", "threshold", threshold)
        self.delimiter = delimiter
        self.scoring = scoring
        self.connector_words = frozenset(connector_words)
        self.phrases: dict[tuple[str, str], float] = {}

    def fit(self, corpus: Any) -> Phrases:
        """Count the pairs of a corpus (see :meth:`pynn.text.Word2Vec.fit`) and choose those that are phrases.

        Raises
        ------
        DataError
            If the corpus cannot be read or has no words.
        """
        text = encode(corpus, "Phrases")
        if not text.words:
            raise DataError("[Phrases] expected text. Received: a corpus without words.")
        counts = text.counts().astype(float)
        total = counts.sum()
        first, second = text.ids[:-1].astype(np.int64), text.ids[1:].astype(np.int64)
        beside = (first >= 0) & (second >= 0)
        pairs, often = np.unique(first[beside] * len(counts) + second[beside], return_counts=True)
        enough = often >= self.min_count
        a, b = np.divmod(pairs[enough], len(counts))
        n = often[enough].astype(float)
        if self.scoring == "default":
            score = (n - self.min_count) * len(counts) / (counts[a] * counts[b])
        else:
            p = n / total
            with np.errstate(divide="ignore", invalid="ignore"):
                score = np.log(p * total * total / (counts[a] * counts[b])) / -np.log(p)
            score = np.where(p >= 1, 1.0, score)
        found = {
            (text.words[i], text.words[j]): float(s)
            for s, i, j in sorted(zip(score, a, b, strict=True), key=lambda item: -item[0])
            if s > self.threshold
        }
        self.phrases = {pair: s for pair, s in found.items() if not self.connector_words.intersection(pair)}
        return self

    def transform(self, corpus: Any) -> Joined:
        """Return the corpus with its phrases joined: an iterable of sentences that can be gone through again.

        Parameters
        ----------
        corpus : iterable of lists of str, or path-like
            A stream of single words is one sentence in parts of some thousand words.
        """
        return Joined(self, corpus)

    def join(self, words: list[str]) -> list[str]:
        """Return a sentence with its phrases joined, from left to right."""
        joined: list[str] = []
        i = 0
        while i < len(words):
            if i + 1 < len(words) and (words[i], words[i + 1]) in self.phrases:
                joined.append(f"{words[i]}{self.delimiter}{words[i + 1]}")
                i += 2
            else:
                joined.append(words[i])
                i += 1
        return joined


class Joined:
    """Sentences with their phrases joined; read anew each time it is gone through, if the corpus can be."""

    def __init__(self, phrases: Phrases, corpus: Any) -> None:
        self.phrases = phrases
        self.corpus = os.fspath(corpus) if isinstance(corpus, os.PathLike) else corpus

    def __iter__(self) -> Iterator[list[str]]:
        for words, _, _ in pieces(self.corpus, "Phrases"):
            if joined := self.phrases.join(list(words)):
                yield joined
