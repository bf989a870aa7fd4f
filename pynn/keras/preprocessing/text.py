"""Texts as ids of words, in the way of Keras before 3."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from pynn.checks import choice
from pynn.errors import DataError
from pynn.keras.names import absent
from pynn.keywords import Spelled

__all__ = ["FILTERS", "Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence", "tokenizer_from_json"]

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
MODES = ("binary", "count", "tfidf", "freq")


def text_to_word_sequence(text: str, filters: str = FILTERS, lower: bool = True, split: str = " ") -> list[str]:
    """Return the words of a text.

    Parameters
    ----------
    text : str
    filters : str
        Characters that part words.
    lower : bool, default True
    split : str, default " "
        What parts words besides.

    Examples
    --------
    >>> text_to_word_sequence("The cat, the hat!")
    ['the', 'cat', 'the', 'hat']
    """
    text = text.lower() if lower else text
    return [word for word in text.translate({ord(c): split for c in filters}).split(split) if word]


def hashing_trick(text: str, n: int, hash_function=None, filters: str = FILTERS, lower: bool = True, split: str = " ",
                  analyzer: Callable[[str], list[str]] | None = None) -> list[int]:  # fmt: skip
    """Return a number from 1 to n - 1 for each word; different words may have the same.

    Parameters
    ----------
    text : str
    n : int
    hash_function : callable or "md5", optional
        Python's ``hash`` by default, which differs from process to process.
    filters, lower, split : optional
        As in text_to_word_sequence().
    analyzer : callable, optional
        Returns the words of a text.
    """

    def md5(word):
        return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)

    function = md5 if hash_function == "md5" else hash_function or hash
    words = text_to_word_sequence(text, filters, lower, split) if analyzer is None else analyzer(text)
    return [int(function(word)) % (n - 1) + 1 for word in words]


def one_hot(input_text: str, n: int, filters: str = FILTERS, lower: bool = True, split: str = " ",
            analyzer=None) -> list[int]:  # fmt: skip
    """Return hashing_trick(text, n): Keras's name for it.

    Parameters
    ----------
    input_text : str
    n : int
    filters, lower, split, analyzer : optional
        As in hashing_trick().
    """
    return hashing_trick(input_text, n, None, filters, lower, split, analyzer)


class Tokenizer(Spelled):
    """Texts to lists of ids, the most frequent word first; ids begin at 1.

    Parameters
    ----------
    num_words : int, optional
        Ids are below this number; other words are left out, or become that of `oov_token`.
    filters : str
        Characters that part words.
    lower : bool, default True
    split : str, default " "
    char_level : bool, default False
        Characters instead of words.
    oov_token : str, optional
        Stands for words that are not known; its id is 1.
    analyzer : callable, optional
        Returns the words of a text.
    document_count : int, default 0

    Examples
    --------
    >>> tokenizer = Tokenizer()
    >>> tokenizer.fit_on_texts(["the cat", "the dog"])
    >>> tokenizer.texts_to_sequences(["the dog sat"]), tokenizer.word_index
    ([[1, 3]], {'the': 1, 'cat': 2, 'dog': 3})
    """

    def __init__(self, num_words=None, filters=FILTERS, lower=True, split=" ", char_level=False, oov_token=None,
                 analyzer=None, document_count=0, nb_words=None):  # fmt: skip
        self.num_words = nb_words if num_words is None else num_words
        self.filters, self.lower, self.split, self.char_level = filters, lower, split, char_level
        self.oov_token, self.analyzer, self.document_count = oov_token, analyzer, document_count
        self.word_counts = OrderedDict()
        self.word_docs = Counter()
        self.index_docs = Counter()
        self.word_index = {}
        self.index_word = {}

    def _words(self, text):
        if self.char_level or isinstance(text, list):
            words = list(text)
            return [w.lower() for w in words] if self.lower else words
        if self.analyzer is not None:
            return self.analyzer(text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[Any]):
        """Count the words of texts, and give out ids.

        Parameters
        ----------
        texts : iterable of str, or of lists of str
        """
        for text in texts:
            self.document_count += 1
            words = self._words(text)
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            self.word_docs.update(set(words))
        ranked = [w for w, _ in sorted(self.word_counts.items(), key=lambda item: -item[1])]
        if self.oov_token is not None:
            ranked = [self.oov_token, *(w for w in ranked if w != self.oov_token)]
        self.word_index = {word: i for i, word in enumerate(ranked, 1)}
        self.index_word = {i: word for word, i in self.word_index.items()}
        self.index_docs = Counter({self.word_index[w]: n for w, n in self.word_docs.items()})

    def fit_on_sequences(self, sequences: Iterable[Iterable[int]]):
        """Count the ids of sequences, for sequences_to_matrix().

        Parameters
        ----------
        sequences : iterable of sequences of int
        """
        for ids in sequences:
            self.document_count += 1
            self.index_docs.update(set(ids))

    def texts_to_sequences(self, texts: Iterable[Any]) -> list[list[int]]:
        """Return the ids of the words of each text.

        Parameters
        ----------
        texts : iterable of str, or of lists of str
        """
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[Any]) -> Iterator[list[int]]:
        """Yield the ids of the words of each text.

        Parameters
        ----------
        texts : iterable of str, or of lists of str
        """
        unknown = self.word_index.get(self.oov_token) if self.oov_token is not None else None
        for text in texts:
            ids = (self.word_index.get(word) for word in self._words(text))
            kept = (unknown if i is None or (self.num_words and i >= self.num_words) else i for i in ids)
            yield [i for i in kept if i is not None]

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """Return the words of ids.

        Parameters
        ----------
        sequences : iterable of sequences of int
        """
        unknown = self.oov_token
        found = []
        for ids in sequences:
            words = (None if self.num_words and i >= self.num_words else self.index_word.get(i) for i in ids)
            found.append(" ".join(w if w is not None else unknown for w in words if w is not None or unknown))  # type: ignore[misc]
        return found

    def texts_to_matrix(self, texts: Iterable[Any], mode: str = "binary") -> np.ndarray:
        """Return a row for each text and a column for each id.

        Parameters
        ----------
        texts : iterable of str
        mode : {"binary", "count", "tfidf", "freq"}
        """
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences, mode: str = "binary") -> np.ndarray:
        """Return a row for each sequence and a column for each id.

        Parameters
        ----------
        sequences : sequence of sequences of int
        mode : {"binary", "count", "tfidf", "freq"}
        """
        choice("sequences_to_matrix", "mode", mode, MODES)
        if not self.num_words and not self.word_index:
            raise DataError("[Tokenizer] expected num_words, or texts that were read. help: call fit_on_texts(texts).")
        if mode == "tfidf" and not self.document_count:
            raise DataError("[Tokenizer] expected texts that were read. help: call fit_on_texts(texts) first.")
        columns = self.num_words or len(self.word_index) + 1
        x = np.zeros((len(sequences), columns))
        for row, ids in zip(x, sequences, strict=True):
            kept = [i for i in ids if i < columns]
            for i, count in Counter(kept).items():
                if mode == "tfidf":
                    rarity = np.log(1 + self.document_count / (1 + self.index_docs.get(i, 0)))
                    row[i] = (1 + np.log(count)) * rarity
                else:
                    row[i] = {"binary": 1, "count": count, "freq": count / len(ids)}[mode]
        return x

    def get_config(self) -> dict[str, Any]:
        """Return settings and counts."""
        return {
            "num_words": self.num_words, "filters": self.filters, "lower": self.lower, "split": self.split,
            "char_level": self.char_level, "oov_token": self.oov_token, "document_count": self.document_count,
            "word_counts": json.dumps(self.word_counts), "word_docs": json.dumps(self.word_docs),
            "index_docs": json.dumps(self.index_docs), "index_word": json.dumps(self.index_word),
            "word_index": json.dumps(self.word_index),
        }  # fmt: skip

    def to_json(self, **kwargs) -> str:
        """Return settings and counts as JSON.

        Parameters
        ----------
        **kwargs
            For ``json.dumps``.
        """
        return json.dumps({"class_name": "Tokenizer", "config": self.get_config()}, **kwargs)


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """Return the tokenizer that to_json() told.

    Parameters
    ----------
    json_string : str
    """
    config = json.loads(json_string)["config"]
    kept = {name: json.loads(config.pop(name)) for name in list(config) if name.startswith(("word_", "index_"))}
    made = Tokenizer(**config)
    made.word_counts, made.word_docs = OrderedDict(kept["word_counts"]), Counter(kept["word_docs"])
    made.word_index = kept["word_index"]
    made.index_docs = Counter({int(i): n for i, n in kept["index_docs"].items()})
    made.index_word = {int(i): word for i, word in kept["index_word"].items()}
    return made


__getattr__ = absent("pynn.keras.preprocessing.text", __all__)
