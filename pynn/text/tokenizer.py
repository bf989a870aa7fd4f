"""Words or characters, and their ids."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pynn.checks import is_integer
from pynn.errors import DataError, DTypeError, unknown_name
from pynn.keywords import Spelled
from pynn.text.config import check_config, unique_keys

__all__ = ["FILTERS", "PAD", "SPECIALS", "START", "UNKNOWN", "Tokenizer"]

PAD, START, UNKNOWN = 0, 1, 2
SPECIALS = ("<pad>", "<start>", "<unknown>", "<unused>")  # Keras counts words from 1 and adds 3, so that 3 stays free
FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'  # what parts words besides blanks; the apostrophe belongs to them

LEVELS = ("word", "char")
ERRORS = ("raise", "unknown")


class Tokenizer(Spelled):
    """Texts to ids and back: the more frequent a word or character, the smaller its id.

    id = 3 + rank with the special ids 0 (padding), 1 (start), 2 (unknown), as in Keras's IMDB data; rank - 1 without.
    Equally frequent ones stand in the order of their code points.

    Parameters
    ----------
    level : {"word", "char"}, default "word"
    num_words : int, optional
        Ids are below this number, the special ones included; rarer words are unknown. Default: no limit.
    lower : bool, optional
        Take capitals as small letters. Default: for words, not for characters.
    filters : str, optional
        Characters that part words, as blanks do. Default: Keras's, which leave the apostrophe. None for characters.
    specials : bool, optional
        Keep the ids 0 to 3. Default: for words, not for characters.
    start : bool, default False
        Begin each encoded text with id 1.
    errors : {"raise", "unknown"}, optional
        What becomes of a token that is not known: an error that names it and its place, or id 2. Default: id 2 where
        there are special ids, else an error.

    Raises
    ------
    ValueError
        If the settings are out of range or contradict each other.

    References
    ----------
    F. Chollet and others, Keras, ``keras.datasets.imdb``, 2015.

    Examples
    --------
    >>> tokenizer = Tokenizer().fit(["The cat sat.", "The dog!"])
    >>> tokenizer.vocabulary
    ('<pad>', '<start>', '<unknown>', '<unused>', 'the', 'cat', 'dog', 'sat')
    >>> tokenizer.encode("The cow sat")
    array([4, 2, 7], dtype=int32)
    >>> tokenizer.decode([4, 2, 7])
    'the <unknown> sat'
    >>> Tokenizer("char").fit("abba").encode("bab")
    array([1, 0, 1], dtype=int32)
    """

    def __init__(
        self,
        level: str = "word",
        *,
        num_words: int | None = None,
        lower: bool | None = None,
        filters: str | None = None,
        specials: bool | None = None,
        start: bool = False,
        errors: str | None = None,
    ):
        if level not in LEVELS:
            raise ValueError("[tokenizer] " + unknown_name("level", level, LEVELS))
        words = level == "word"
        self.level = level
        self.lower = words if lower is None else bool(lower)
        self.filters = (FILTERS if words else "") if filters is None else filters
        self.specials = words if specials is None else bool(specials)
        self.start = bool(start)
        self.errors = ("unknown" if self.specials else "raise") if errors is None else errors
        self.num_words = num_words
        self._words: tuple[str, ...] = ()
        self._index: dict[str, int] = {}
        self._codes: np.ndarray = np.zeros(0, np.int64)  # of characters, sorted
        self._ids: np.ndarray = np.zeros(0, np.int32)  # of these characters
        self._check_settings()

    def _check_settings(self) -> None:
        least = self._offset + 1
        n = self.num_words
        if n is not None and not is_integer(n, least):
            raise ValueError(f"[tokenizer] expected num_words of {least} or more, or None. Received: {n!r}.")
        self.num_words = None if n is None else int(n)
        if self.errors not in ERRORS:
            raise ValueError("[tokenizer] " + unknown_name("setting of errors", self.errors, ERRORS))
        if not isinstance(self.filters, str):
            raise DTypeError(f"[tokenizer] expected filters to be a string. Received: {self.filters!r}.")
        if self.level == "char" and self.filters:
            raise ValueError(f"[tokenizer] filters part words; level='char' has none. Received: {self.filters!r}.")
        for name, on in (("start", self.start), ("errors='unknown'", self.errors == "unknown")):
            if on and not self.specials:
                raise ValueError(f"[tokenizer] {name} needs an id of its own. help: pass specials=True.")

    @property
    def _offset(self) -> int:
        return len(SPECIALS) if self.specials else 0

    # The vocabulary

    def fit(self, texts: str | Iterable[str]) -> Tokenizer:
        """Learn the vocabulary, in place of one learnt before.

        Parameters
        ----------
        texts : iterable of str, or str
            Each is read once. A single string is one text.

        Returns
        -------
        Tokenizer
            Itself.

        Raises
        ------
        DataError
            If the texts hold no words (characters) at all.
        """
        counts: Counter[str] = Counter()
        for i, text in enumerate([texts] if isinstance(texts, str) else texts):
            counts.update(self._split(text, f"texts[{i}]"))
        if not counts:
            raise DataError(
                f"[tokenizer] expected texts that hold at least one {self._unit}. Received: none, or empty ones."
            )
        room = None if self.num_words is None else self.num_words - self._offset
        self._learn(sorted(counts, key=lambda word: (-counts[word], word))[:room])
        return self

    def _learn(self, words: Iterable[str]) -> None:
        self._words = tuple(words)
        self._index = {word: i for i, word in enumerate(self._words, self._offset)}
        if self.level == "char":
            codes = np.array([ord(c) for c in self._words], np.int64)
            order = np.argsort(codes)
            self._codes, self._ids = codes[order], (order + self._offset).astype(np.int32)

    @property
    def _unit(self) -> str:
        return "word" if self.level == "word" else "character"

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The token of each id; the special ones have names in angle brackets."""
        return (*SPECIALS[: self._offset], *self._words)

    @property
    def index(self) -> dict[str, int]:
        """A new dict from word (character) to id, without the special ids."""
        return dict(self._index)

    def __len__(self) -> int:
        """Return the number of ids: what an Embedding takes as input_dim."""
        return self._offset + len(self._words)

    def __contains__(self, word: object) -> bool:
        return word in self._index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.to_config() == other.to_config()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Tokenizer({self.level!r}, {len(self)} ids)"

    def _need_words(self) -> None:
        if not self._words:
            raise RuntimeError("[tokenizer] the vocabulary is empty. help: call fit(texts) first, or load one.")

    # Texts to ids

    def _split(self, text: str, name: str = "text") -> Iterable[str]:
        if not isinstance(text, str):
            raise DTypeError(
                f"[tokenizer] expected {name} to be a string. Received: {type(text).__name__} {str(text)[:40]!r}."
            )
        if self.lower:
            text = text.lower()
        if self.level == "char":
            return text
        if self.filters:
            text = text.translate(dict.fromkeys(map(ord, self.filters), " "))
        return text.split()

    def encode(self, text: str) -> np.ndarray:
        """Return the ids of a text, int32 [tokens].

        Raises
        ------
        DataError
            With errors="raise": naming a token that is not known and where it stands.

        Examples
        --------
        >>> Tokenizer("char").fit("hello").encode("hex")
        Traceback (most recent call last):
        pynn.errors.DataError: [tokenizer] expected characters that the vocabulary of 4 has. Received: 'x' at position \
2 of the text.
        """
        self._need_words()
        ids = self._characters(text) if self.level == "char" else self._of_words(text)
        return np.concatenate([np.array([START], np.int32), ids]) if self.start else ids

    def encode_batch(self, texts: Iterable[str]) -> list[np.ndarray]:
        """Return the ids of each text, as :meth:`encode` does."""
        if isinstance(texts, str):
            raise DTypeError("[tokenizer] expected a list of texts. Received: one string. help: call encode(text).")
        return [self.encode(text) for text in texts]

    def _of_words(self, text: str) -> np.ndarray:
        words = list(self._split(text))
        ids = np.fromiter(map(self._index.get, words, [-1] * len(words)), np.int32, len(words))
        return self._known(ids, lambda at: f"{words[at]!r}, word {at} of the text")

    def _characters(self, text: str) -> np.ndarray:
        split = str(self._split(text))
        codes = np.frombuffer(split.encode("utf-32-le", "surrogatepass"), "<u4")
        near = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        ids = np.where(self._codes[near] == codes, self._ids[near], np.int32(-1))
        return self._known(ids, lambda at: f"{split[at]!r} at position {at} of the text")

    def _known(self, ids: np.ndarray, name: Any) -> np.ndarray:
        """Return ids in which -1, a token that is not known, became UNKNOWN or an error."""
        missing = ids < 0
        if self.errors == "unknown":
            ids[missing] = UNKNOWN
        elif missing.any():
            raise DataError(
                f"[tokenizer] expected {self._unit}s that the vocabulary of {len(self)} has. "
                f"Received: {name(int(np.argmax(missing)))}."
            )
        return ids

    # Ids to texts

    def decode(self, ids: Any) -> str:
        """Return the text of ids [tokens]; padding and start are left out, words are joined by blanks.

        Raises
        ------
        DataError
            Naming the place of an id that the vocabulary does not have.
        """
        self._need_words()
        array = np.asarray(ids)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise DTypeError(f"[tokenizer] expected integer ids [tokens]. Received: {array.dtype} {list(array.shape)}.")
        wrong = (array < 0) | (array >= len(self))
        if wrong.any():
            at = int(np.argmax(wrong))
            raise DataError(f"[tokenizer] expected ids 0 to {len(self) - 1}. Received: {array[at]} at position {at}.")
        if self.specials:
            array = array[array > START]
        vocabulary = self.vocabulary
        return (" " if self.level == "word" else "").join([vocabulary[i] for i in array.tolist()])

    def decode_batch(self, batch: Iterable[Any]) -> list[str]:
        """Return the text of each row or sequence of ids, as :meth:`decode` does."""
        return [self.decode(ids) for ids in batch]

    # Files

    def to_config(self) -> dict[str, Any]:
        """Return settings and vocabulary as a dict of what JSON knows."""
        return {
            "format": "pynn.tokenizer",
            "version": 1,
            "level": self.level,
            "num_words": self.num_words,
            "lower": self.lower,
            "filters": self.filters,
            "specials": self.specials,
            "start": self.start,
            "errors": self.errors,
            "words": list(self._words),
        }

    @classmethod
    def from_config(cls, config: Any) -> Tokenizer:
        """Return the tokenizer that a dict of :meth:`to_config` describes.

        Raises
        ------
        DataError
            If anything in it is missing, unknown, of the wrong type, out of range or there twice.
        """
        settings = dict(check_config(config))
        words = settings.pop("words")
        try:
            tokenizer = cls(**settings)
        except (ValueError, TypeError) as error:
            raise DataError(f"[tokenizer] expected settings that fit together. Received: {error}") from error
        if tokenizer.num_words is not None and tokenizer._offset + len(words) > tokenizer.num_words:
            raise DataError(
                f"[tokenizer] expected ids below num_words={tokenizer.num_words}. "
                f"Received: {tokenizer._offset + len(words)} of them."
            )
        tokenizer._learn(words)
        return tokenizer

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write settings and vocabulary as JSON; a reader, or a crash, meets the old file or the whole new one.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "tokenizer.json")
        ...     Tokenizer().fit("to be or not to be").save(path)
        ...     Tokenizer.load(path).encode("not to be")
        array([6, 5, 4], dtype=int32)
        """
        from pynn.files import write_whole

        self._need_words()
        write_whole(Path(path), (json.dumps(self.to_config(), indent=0) + "\n").encode("ascii"))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """Return the tokenizer that :meth:`save` wrote.

        Raises
        ------
        DataError
            If the file is missing, no JSON, or not what save() writes; the message names it.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read. Received: {error.strerror or error}.") from error
        try:
            config = json.loads(content.decode("utf-8"), object_pairs_hook=unique_keys)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: expected JSON, as Tokenizer.save() writes it. Received: {error}.") from error
        try:
            return cls.from_config(config)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
