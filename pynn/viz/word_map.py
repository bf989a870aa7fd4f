"""The page of word vectors: a map, analogies by sums of vectors, and the company that each word keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn import nn, optim
from pynn._version import __version__
from pynn.checks import choice
from pynn.export.web import web_data
from pynn.viz.playground import LANGUAGES, Playground
from pynn.viz.small_language import LANGUAGE
from pynn.web import page

__all__ = ["company", "word_map"]

NUMBERS, WINDOW, RATE, EPOCHS = 16, 3, 0.03, 300


def company(sentences: Sequence[str], window: int = WINDOW) -> tuple[list[str], np.ndarray]:
    """Return the words of sentences, and how often each stands near each other one.

    Parameters
    ----------
    sentences : sequence of str
    window : int, default 3
        Words to the left and to the right that are near.

    Returns
    -------
    words : list of str
        In the order of their first appearance.
    counts : float32 [words, words]

    Examples
    --------
    >>> company(["a dog barks", "a cat sleeps"], window=1)[0]
    ['a', 'dog', 'barks', 'cat', 'sleeps']
    """
    words = list(dict.fromkeys(word for sentence in sentences for word in sentence.split()))
    counts = np.zeros((len(words), len(words)), np.float32)
    for sentence in sentences:
        ids = [words.index(word) for word in sentence.split()]
        for i, word in enumerate(ids):
            near = ids[max(0, i - window) : i] + ids[i + 1 : i + 1 + window]
            np.add.at(counts[word], near, 1)
    return words, counts


def word_map(lang: str = "en") -> Playground:
    """Return the page of word vectors: a map of them, analogies, neighbours and company.

    The network is the skip-gram of word2vec with a softmax over all words: from a word's vector it says which words
    stand near it. It is trained here, in a moment, on the sentences of a small language; the page can begin anew and
    go on.

    Parameters
    ----------
    lang : {"en", "es"}, default "en"
        Of the page and of the sentences.

    Raises
    ------
    ValueError
        If the language is not known.
    FileNotFoundError
        If this pynn was built without the kernels for pages.

    Returns
    -------
    Playground
    """
    choice("word_map", "lang", lang, LANGUAGES)
    language = LANGUAGE[lang]
    sentences = language.sentences()
    words, counts = company(sentences)
    n = len(words)
    model = nn.Sequential(
        [
            nn.Input((1,)),
            nn.Embedding(n, NUMBERS, seed=1, name="vectors"),
            nn.Flatten(),
            nn.Dense(n, activation="softmax", seed=2),
        ]
    )
    model.compile(optim.Adam(RATE), "categorical_crossentropy", seed=0)
    fresh = web_data(model, True, batch_size=n)["state"]
    x, y = np.arange(n, dtype=np.int32)[:, None], counts / counts.sum(1, keepdims=True)
    history = model.fit(x, y, epochs=EPOCHS, batch_size=n, verbose=0)
    groups: dict[str, Any] = {
        name: [word for words_ in rows for word in words_.split()] for name, (_, rows, _) in language.groups.items()
    }
    bundle = {
        "version": __version__, "lang": lang, "words": words, "counts": counts.astype(int).tolist(), "groups": groups,
        "analogies": language.analogies(), "sentences": sentences, "model": web_data(model, True, batch_size=n),
        "fresh": fresh, "loss": history.history["loss"][-1], "epochs": EPOCHS,
    }  # fmt: skip
    return Playground(page("words", json.dumps(bundle, ensure_ascii=False, separators=(",", ":"))))
