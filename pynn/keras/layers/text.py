"""Layers of texts and categories: they work on arrays of texts, before a model, and learn their words by adapt()."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from pynn.checks import choice, positive
from pynn.errors import DataError, DTypeError
from pynn.keras.names import refused
from pynn.keras.symbols import KerasTensor
from pynn.keywords import Spelled

__all__ = ["IntegerLookup", "StringLookup", "TextVectorization"]

PUNCTUATION = re.compile(r"""[!"#$%&()\*\+,-\./:;<=>?@\[\\\]^_`{|}~\']""")
STANDARDS = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
MODES = ("int", "multi_hot", "count", "tf_idf", "one_hot", "binary", "tf-idf")
UNKNOWN = "[UNK]"


def _texts(x, place):
    if isinstance(x, KerasTensor):
        refused(
            f"{place} inside a model", "pynn's models take numbers: call the layer on the texts, and fit on the ids"
        )
    array = np.asarray(x)
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8")
    if array.dtype == object:
        array = np.array([t.decode() if isinstance(t, bytes) else str(t) for t in array.reshape(-1)]).reshape(
            array.shape
        )
    if array.dtype.kind != "U":
        raise DTypeError(f"[{place}] expected texts. Received: dtype={array.dtype}.")
    return array


def _elements(data):
    """Return the parts of what adapt() is given: an array, a list, or batches of a data set."""
    return data._walk() if hasattr(data, "_walk") else [data]


def _ranked(counts, most):
    """Return what was counted, the most frequent first; of equally frequent ones the last by their order first."""
    order = sorted(counts, reverse=True)
    return sorted(order, key=lambda token: -counts[token])[:most]


class _Vocabulary(Spelled):
    """What looks tokens up."""

    special: list[Any]

    def __init__(self, place, most, special, name):
        self.name = name or place.lower()
        self._place, self._most, self.special = place, most, special
        self._tokens = []
        self._index = {}
        self._documents = 0
        self._in_documents = Counter()

    def _learn(self, tokens):
        self._tokens = list(tokens)
        self._index = {token: i for i, token in enumerate(self._tokens, len(self.special))}

    def get_vocabulary(self, include_special_tokens=True):
        """Return the token of each id.

        Parameters
        ----------
        include_special_tokens : bool, default True
        """
        return [*(self.special if include_special_tokens else []), *self._tokens]

    def vocabulary_size(self):
        """Return the number of ids."""
        return len(self.special) + len(self._tokens)

    def set_vocabulary(self, vocabulary, idf_weights=None):
        """Take a list of tokens, or a file with one in each line.

        Parameters
        ----------
        vocabulary : sequence or path-like
        idf_weights : sequence of float, optional
        """
        if isinstance(vocabulary, (str, Path)):
            vocabulary = Path(vocabulary).read_text(encoding="utf-8").splitlines()
        given = [v.item() if isinstance(v, np.generic) else v for v in vocabulary]
        while given and self.special and given[0] in self.special:
            given = given[1:]
        if len(set(given)) < len(given):
            raise DataError(f"[{self._place}] expected each token once. Received: one twice.")
        self._learn(given)
        self._weights = None if idf_weights is None else np.asarray(idf_weights, np.float32)

    _weights = None

    def reset_state(self):
        """Forget the tokens."""
        self._learn([])

    def _need(self):
        if not self._tokens:
            raise RuntimeError(f"[{self._place}] the vocabulary is empty. help: call adapt(data) first.")

    def _coded(self, rows, mode, width):
        """Return rows of ids as columns: there or not, how often, or weighed by rarity."""
        out = np.zeros((len(rows), width), np.float32)
        for row, ids in zip(out, rows, strict=True):
            for i, count in Counter(ids).items():
                row[i] = 1 if mode in ("multi_hot", "binary", "one_hot") else count
        if mode in ("tf_idf", "tf-idf"):
            out *= self._rarity(width)
        return out

    def _rarity(self, width):
        if self._weights is not None:
            known = self._weights
        else:
            counts = np.array([self._in_documents[t] for t in self._tokens])
            known = np.log(1 + self._documents / (1 + counts))
        lead = np.full(len(self.special), known.mean() if len(known) else 1.0)
        return np.concatenate([lead, known])[:width].astype(np.float32)


class TextVectorization(_Vocabulary):
    """Texts to rows of ids of words, the most frequent first: 0 is padding, 1 stands for unknown words.

    Parameters
    ----------
    max_tokens : int, optional
        Ids are below this number.
    standardize : str, callable or None, default "lower_and_strip_punctuation"
        "lower", "strip_punctuation", a function of an array of texts, or nothing.
    split : str, callable or None, default "whitespace"
        "character", a function of a text, or nothing.
    ngrams : int or tuple of int, optional
        Runs of words besides the words.
    output_mode : {"int", "multi_hot", "count", "tf_idf"}, default "int"
    output_sequence_length : int, optional
        Columns; the longest text of a batch by default.
    pad_to_max_tokens : bool, default False
        Columns for all `max_tokens`, in the other modes.
    vocabulary : sequence of str, optional
    idf_weights : sequence of float, optional
    sparse, ragged : bool, default False
        Refused.
    encoding : str, default "utf-8"
    name : str, optional
    dtype : dtype, optional
    trainable : bool, default True
        Both are taken and change nothing.

    Examples
    --------
    >>> layer = TextVectorization(output_sequence_length=3)
    >>> layer.adapt(["The cat sat.", "The dog!"])
    >>> layer(["the cow sat"]), layer.get_vocabulary()
    (array([[2, 1, 3]]), ['', '[UNK]', 'the', 'sat', 'dog', 'cat'])
    """

    def __init__(self, max_tokens=None, standardize=STANDARDS[0], split="whitespace", ngrams=None, output_mode="int",
                 output_sequence_length=None, pad_to_max_tokens=False, vocabulary=None, idf_weights=None, sparse=False,
                 ragged=False, encoding="utf-8", name=None, dtype=None, trainable=True):  # fmt: skip
        if sparse or ragged:
            raise TypeError("[TextVectorization] expected dense rows. Received: sparse or ragged.")
        self.output_mode = choice("TextVectorization", "output_mode", output_mode, MODES)
        special = ["", UNKNOWN] if output_mode == "int" else [UNKNOWN]
        most = None if max_tokens is None else positive("TextVectorization", "max_tokens", max_tokens)
        super().__init__("TextVectorization", most, special, name)
        if isinstance(standardize, str):
            choice("TextVectorization", "standardize", standardize, STANDARDS)
        if isinstance(split, str):
            choice("TextVectorization", "split", split, ("whitespace", "character"))
        self.standardize, self.split, self.ngrams = standardize, split, ngrams
        self.output_sequence_length, self.pad_to_max_tokens = output_sequence_length, pad_to_max_tokens
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    def _words(self, texts):
        how = self.standardize
        if callable(how):
            texts = _texts(how(texts), self._place)
        words = []
        for text in map(str, texts.reshape(-1)):
            if isinstance(how, str):
                text = text.lower() if "lower" in how else text
                text = PUNCTUATION.sub("", text) if "strip" in how else text
            if callable(self.split):
                found = list(map(str, np.asarray(self.split(text)).reshape(-1)))
            else:
                found = [text] if self.split is None else list(text) if self.split == "character" else text.split()
            words.append(_with_runs(found, self.ngrams))
        return words

    def adapt(self, data, batch_size: int | None = None, steps: int | None = None):
        """Learn the words of texts, in place of those learnt before.

        Parameters
        ----------
        data : array_like of str, or tf.data.Dataset
        batch_size : int, optional
            Taken; it changes nothing.
        steps : int, optional
            Batches of a data set.
        """
        counts = Counter()
        self._documents, self._in_documents = 0, Counter()
        for k, part in enumerate(_elements(data)):
            if steps is not None and k >= steps:
                break
            for words in self._words(_texts(part[0] if isinstance(part, tuple) else part, self._place)):
                counts.update(words)
                self._in_documents.update(set(words))
                self._documents += 1
        if not counts:
            raise DataError("[TextVectorization] expected texts with words. Received: none.")
        counts.pop("", None)
        self._learn(_ranked(counts, None if self._most is None else self._most - len(self.special)))

    def __call__(self, inputs):
        """Return the ids, or the columns, of texts.

        Parameters
        ----------
        inputs : str, or array_like of str, shape [n] or [n, 1]
        """
        texts = _texts(inputs, self._place)
        self._need()
        unknown = len(self.special) - 1
        rows = [[self._index.get(w, unknown) for w in words] for words in self._words(texts)]
        if self.output_mode != "int":
            width = self._most if self.pad_to_max_tokens and self._most else self.vocabulary_size()
            out = self._coded(rows, self.output_mode, width)
        else:
            columns = self.output_sequence_length or max(map(len, rows), default=0)
            out = np.zeros((len(rows), columns), np.int64)
            for row, ids in zip(out, rows, strict=True):
                row[: len(ids)] = ids[:columns]
        return out[0] if texts.ndim == 0 else out

    call = __call__

    def get_config(self) -> dict[str, Any]:
        """Return the settings."""
        return {
            "name": self.name, "max_tokens": self._most, "standardize": self.standardize, "split": self.split,
            "ngrams": self.ngrams, "output_mode": self.output_mode, "vocabulary": list(self._tokens),
            "output_sequence_length": self.output_sequence_length, "pad_to_max_tokens": self.pad_to_max_tokens,
        }  # fmt: skip


def _with_runs(words, ngrams):
    if ngrams is None:
        return words
    sizes = range(1, ngrams + 1) if isinstance(ngrams, int) else ngrams
    return [" ".join(words[i : i + n]) for n in sizes for i in range(len(words) - n + 1)]


class _Lookup(_Vocabulary):
    """Tokens to ids, or back."""

    kind = str

    def __init__(self, place, max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, invert, output_mode,
                 name):  # fmt: skip
        if num_oov_indices not in (0, 1):
            refused(f"{place}(num_oov_indices={num_oov_indices})", "0 and 1 are there")
        self.mask_token, self.oov_token, self.invert = mask_token, oov_token, invert
        self.num_oov_indices = num_oov_indices
        self.output_mode = choice(place, "output_mode", output_mode, MODES)
        masked = [mask_token] if mask_token is not None and output_mode == "int" else []
        super().__init__(place, max_tokens, [*masked, *[oov_token] * num_oov_indices], name)
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

    def _keys(self, x):
        return _texts(x, self._place)

    def adapt(self, data, batch_size=None, steps=None):
        """Learn the tokens of data, in place of those learnt before.

        Parameters
        ----------
        data : array_like, or tf.data.Dataset
        batch_size, steps : int, optional
            Taken; they change nothing.
        """
        counts = Counter()
        for part in _elements(data):
            counts.update(self._keys(part).reshape(-1).tolist())
        for token in (self.mask_token, self.oov_token):
            counts.pop(token, None)
        self._learn(_ranked(counts, None if self._most is None else self._most - len(self.special)))

    def __call__(self, inputs):
        """Return ids of tokens; with ``invert``, tokens of ids.

        Parameters
        ----------
        inputs : array_like
        """
        self._need()
        if self.invert:
            names = np.array(self.get_vocabulary())
            at = np.asarray(inputs)
            return np.where((at >= 0) & (at < len(names)), names[np.clip(at, 0, len(names) - 1)], self.oov_token)
        keys = self._keys(inputs)
        unknown = len(self.special) - 1 if self.num_oov_indices else None
        ids = []
        for key in keys.reshape(-1).tolist():
            i = 0 if key == self.mask_token and self.mask_token is not None else self._index.get(key, unknown)
            if i is None:
                raise DataError(f"[{self._place}] expected tokens of the vocabulary. Received: {key!r}.")
            ids.append(i)
        found = np.array(ids, np.int64).reshape(keys.shape)
        if self.output_mode == "int":
            return found
        if self.output_mode == "one_hot":
            return np.eye(self.vocabulary_size(), dtype=np.float32)[found]
        rows = (found.reshape(1, -1) if found.ndim < 2 else found).tolist()
        out = self._coded(rows, self.output_mode, self.vocabulary_size())
        return out[0] if found.ndim < 2 else out

    call = __call__


class StringLookup(_Lookup):
    """Texts to ids, the most frequent first; id 0 stands for unknown ones.

    Parameters
    ----------
    max_tokens : int, optional
    num_oov_indices : {0, 1}, default 1
        With 0 an unknown text is an error.
    mask_token : str, optional
        Gets id 0.
    oov_token : str, default "[UNK]"
    vocabulary : sequence of str, optional
    idf_weights : optional
        Taken; it changes nothing.
    invert : bool, default False
        Ids to texts.
    output_mode : {"int", "one_hot", "multi_hot", "count"}, default "int"
    name : str, optional
    dtype : dtype, optional
    trainable : bool, default True
        Both are taken and change nothing.

    Examples
    --------
    >>> StringLookup(vocabulary=["cat", "dog"])(["dog", "cow"])
    array([2, 0])
    """

    def __init__(self, max_tokens=None, num_oov_indices=1, mask_token=None, oov_token=UNKNOWN, vocabulary=None,
                 idf_weights=None, invert=False, output_mode="int", name=None, dtype=None,
                 trainable=True):  # fmt: skip
        super().__init__(
            "StringLookup", max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, invert, output_mode, name
        )


class IntegerLookup(_Lookup):
    """Whole numbers to ids, the most frequent first; id 0 stands for unknown ones.

    Parameters
    ----------
    max_tokens : int, optional
    num_oov_indices : {0, 1}, default 1
    mask_token : int, optional
        Gets id 0.
    oov_token : int, default -1
    vocabulary : sequence of int, optional
    vocabulary_dtype : str, default "int64"
    idf_weights : optional
        Taken; it changes nothing.
    invert : bool, default False
        Ids to numbers.
    output_mode : {"int", "one_hot", "multi_hot", "count"}, default "int"
    name : str, optional
    dtype : dtype, optional
    trainable : bool, default True
        Both are taken and change nothing.
    """

    def __init__(self, max_tokens=None, num_oov_indices=1, mask_token=None, oov_token=-1, vocabulary=None,
                 vocabulary_dtype="int64", idf_weights=None, invert=False, output_mode="int", name=None, dtype=None,
                 trainable=True):  # fmt: skip
        super().__init__(
            "IntegerLookup", max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, invert, output_mode, name
        )

    def _keys(self, x):
        if isinstance(x, KerasTensor):
            refused("IntegerLookup inside a model", "call the layer on the data, and fit on the ids")
        array = np.asarray(x)
        if array.dtype.kind not in "iu":
            raise DTypeError(f"[IntegerLookup] expected whole numbers. Received: dtype={array.dtype}.")
        return array
