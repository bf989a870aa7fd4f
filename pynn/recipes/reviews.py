"""Film reviews: which are for the film, and which against it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn, viz
from pynn.datasets.imdb_files import find_reviews
from pynn.errors import DataError
from pynn.files import write_whole
from pynn.recipes.images import cosine
from pynn.recipes.pace import fit_sequences
from pynn.recipes.registry import Options, Recipe, Result, recipe
from pynn.recipes.report import write_pictures
from pynn.recipes.runner import conclude, curves, hold_out

__all__ = ["WordPairs", "imdb_best", "imdb_lstm"]

IMDB = "IMDB's 50,000 reviews (84 MB: --data, PYNN_DATA, or a download)"
WORDS = 20_000
PAIRS = 200_000  # pairs of words that imdb-best knows
WORST = 100  # mistakes that are written down
LINE = 200  # characters shown of each

Part = tuple[np.ndarray, np.ndarray]


class WordPairs:
    """Frequent pairs of neighbouring words, which get ids of their own behind those of the words.

    Parameters
    ----------
    words : int
        Ids of words are below; the pair at place i of `codes` has the id words + i.
    codes : ndarray, int64 [pairs]
        left * words + right of each pair, ascending.

    Examples
    --------
    >>> pairs = WordPairs.most_frequent(np.array([[4, 5, 6], [4, 5, 0]]), words=7, count=1)
    >>> pairs(np.array([[4, 5, 6], [4, 5, 0]]))
    array([[4, 5, 6, 7],
           [4, 5, 7, 0]], dtype=int32)
    >>> WordPairs.from_config(pairs.to_config())(np.array([[4, 5]]), columns=4)
    array([[4, 5, 7, 0]], dtype=int32)
    """

    def __init__(self, words: int, codes: np.ndarray):
        self.words, self.codes = words, codes

    @classmethod
    def most_frequent(cls, x: np.ndarray, words: int, count: int) -> WordPairs:
        """Return the `count` pairs that rows of ids hold most often.

        Parameters
        ----------
        x : ndarray, int [N, T]
            Ids below `words`; 0, 1 and 2 (padding, start, unknown) make no pairs.
        words, count : int
        """
        codes, counts = np.unique(_joined(x, words), return_counts=True)
        codes, counts = codes[codes >= 0], counts[codes >= 0]
        return cls(words, np.sort(codes[np.argsort(-counts, kind="stable")[:count]]))

    def __call__(self, x: np.ndarray, columns: int | None = None) -> np.ndarray:
        """Return ids in which those of the known pairs follow the words of each row.

        Parameters
        ----------
        x : ndarray, int [N, T]
        columns : int, optional
            Cut or padded on the right to so many; by default as wide as the row with the most ids.

        Returns
        -------
        ndarray, int32 [N, columns]
        """
        ids = x.astype(np.int32)
        if len(self.codes):
            found = _joined(x, self.words)
            at = np.minimum(np.searchsorted(self.codes, found), len(self.codes) - 1)
            ids = np.concatenate([ids, np.where(self.codes[at] == found, at + self.words, 0).astype(np.int32)], axis=1)
            ids = np.take_along_axis(ids, np.argsort(ids == 0, axis=1, kind="stable"), axis=1)
            ids = np.ascontiguousarray(ids[:, : int((ids != 0).sum(axis=1).max(initial=0))])
        if columns is not None:
            ids = np.pad(ids[:, :columns], ((0, 0), (0, max(0, columns - ids.shape[1]))))
        return ids

    def to_config(self) -> dict[str, Any]:
        """Return the table as JSON; the codes are a text of their differences, which is the shortest."""
        return {"words": self.words, "codes": " ".join(map(str, np.diff(self.codes, prepend=0).tolist()))}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> WordPairs:
        """Return the table that :meth:`to_config` gave, for instance from ``read_metadata(file)["pairs"]``.

        Raises
        ------
        DataError
            If it is no such table.
        """
        words, text = (config.get("words"), config.get("codes")) if isinstance(config, Mapping) else (None, None)
        steps = text.split() if isinstance(text, str) else ["?"]
        if type(words) is not int or not 0 < words < 2**31 or not all(s.isdecimal() and len(s) < 19 for s in steps):
            raise DataError("[pairs] expected a table of words and codes, as to_config() writes it.")
        codes = np.cumsum(np.array(steps, np.int64))
        if len(codes) and not (codes[0] >= 0 and (np.diff(codes) > 0).all() and codes[-1] < words**2):
            raise DataError(f"[pairs] expected codes that ascend and are below {words} squared.")
        return cls(words, codes)


def _joined(ids: np.ndarray, words: int) -> np.ndarray:
    """Return left * words + right for all neighbours, -1 where one of them is no word."""
    left, right = ids[:, :-1].astype(np.int64), ids[:, 1:]
    return np.where((left > 2) & (right > 2), left * words + right, -1)


@recipe(
    "imdb-lstm",
    shows="a network that reads: an LSTM on the last 80 words of a review, as the Keras example",
    data=IMDB,
    expected=0.82,
    epochs=3,
    batch_size=32,
)
def imdb_lstm(recipe: Recipe, options: Options) -> Result:
    """Train Embedding 128 and LSTM 128 as the example imdb_lstm.py of Keras does, with more dropout and a falling rate.

    The example's dropout of 0.2 and constant rate come to one percent less.
    """
    train, test = pynn.datasets.imdb(options.data, WORDS, 80, progress=not options.quiet)
    train, validation = hold_out(*train)
    layers = [
        nn.Embedding(WORDS, 128, mask_zero=True),
        nn.LSTM(128, dropout=0.4, recurrent_dropout=0.2),
        nn.Dense(1, activation="sigmoid"),
    ]
    model = _compiled(layers, 80, cosine(options, len(train[0]), 1e-3), options)
    return _train(recipe, options, model, (train, validation, test), {"maxlen": 80})


@recipe(
    "imdb-best",
    shows="the order of words hardly matters: the mean of vectors of words and pairs of words beats the LSTM",
    data=IMDB,
    expected=0.90,
    epochs=4,
    batch_size=64,
)
def imdb_best(recipe: Recipe, options: Options) -> Result:
    """Train a bag of 20,000 words and 200,000 pairs of words on the last 400 words of a review, as fastText does.

    References
    ----------
    A. Joulin, E. Grave, P. Bojanowski and T. Mikolov, "Bag of tricks for efficient text classification", EACL, 2017.
    """
    (x, y), (xt, yt) = pynn.datasets.imdb(options.data, WORDS, 400, progress=not options.quiet)
    (x, y), (xv, yv) = hold_out(x, y)
    pairs = WordPairs.most_frequent(x, WORDS, PAIRS)
    x, xv, xt = pairs(x), pairs(xv), pairs(xt)
    columns = max(x.shape[1], xv.shape[1], xt.shape[1])
    x, xv, xt = (np.pad(ids, ((0, 0), (0, columns - ids.shape[1]))) for ids in (x, xv, xt))
    layers = [nn.Embedding(WORDS + PAIRS, 16), nn.GlobalAvgPool(), nn.Dense(1, activation="sigmoid")]
    model = _compiled(layers, columns, cosine(options, len(x), 1e-2), options)
    parts = (x, y), (xv, yv), (xt, yt)
    return _train(recipe, options, model, parts, {"maxlen": 400, "pairs": pairs.to_config(), "columns": columns})


def _compiled(layers: list[nn.Module], columns: int, rate: Any, options: Options) -> nn.Sequential:
    model = nn.Sequential([nn.Input((columns,)), *layers])
    optimizer = pynn.optim.Adam(rate)
    model.compile(optimizer=optimizer, loss="binary_cross_entropy", metrics=["accuracy"], seed=options.seed)
    return model


def _train(
    recipe: Recipe,
    options: Options,
    model: nn.Sequential,
    parts: tuple[Part, Part, Part],
    more: Mapping[str, Any],
) -> Result:
    """Train, test and tell, of a training, a validation and a test part; the last is looked at once, at the end.

    The model's file holds `more`, besides the vocabulary, of how texts become ids.
    """
    (x, y), validation, (xt, yt) = parts
    if not options.quiet:
        model.summary()
        print(f"\n{len(x):,} reviews to learn from, {len(xt):,} to be tested on")
    tokens = int(np.count_nonzero(x))  # padding does not count
    history, seconds, speed = fit_sequences(options, model, x, y, tokens=tokens, validation_data=validation)
    scores = model.evaluate(xt, yt)
    result = conclude(
        recipe,
        options,
        {name: float(scores[name]) for name in ("loss", "accuracy")},
        epochs=len(history.epoch),
        seconds=seconds,
        parameters=model.count_parameters(),
        details={"tokens_per_second": speed, "curves": curves(history)},
    )
    if not options.quiet:
        print(f"speed          {speed:,} tokens a second, the testing after each epoch included")
    if options.out is not None:
        write_pictures(options, _files(recipe, options, model, history, xt, yt, more))
    if history.interrupted:  # what was learnt until then is told and written all the same
        raise KeyboardInterrupt
    return result


def _files(
    recipe: Recipe,
    options: Options,
    model: nn.Sequential,
    history: Any,
    x: np.ndarray,
    y: np.ndarray,
    more: Mapping[str, Any],
) -> Mapping[str, Callable[[Path], Any]]:
    """Return what is written into ``--out``: file names to functions that write to a path."""
    probability = model.predict(x)[:, 0]
    predicted = (probability >= 0.5).astype(int)
    confusion = np.zeros((2, 2), int)
    np.add.at(confusion, (y, predicted), 1)
    wrong = np.flatnonzero(predicted != y)
    worst = wrong[np.argsort(-np.abs(probability[wrong] - 0.5), kind="stable")][:WORST]
    metadata: dict[str, Any] = {"recipe": recipe.name, **more}
    if not _keras(options):
        tokenizer = pynn.datasets.imdb_tokenizer(options.data, WORDS, progress=False)
        metadata["tokenizer"] = tokenizer.to_config()
    return {
        "model.pynn": lambda path: model.save(path, include_optimizer=False, metadata=metadata),
        "history.csv": history.to_csv,
        "history.png": lambda path: viz.plot_history(history, path),
        "confusion.png": lambda path: viz.plot_confusion(confusion, path=path),
        "mistakes.txt": lambda path: write_whole(path, _mistakes(options, worst, y, probability).encode()),
    }


def _keras(options: Options) -> bool:
    """Return whether the data are Keras's file, which has no words."""
    return zipfile.is_zipfile(find_reviews(options.data, False))


def _mistakes(options: Options, worst: np.ndarray, y: np.ndarray, probability: np.ndarray) -> str:
    """Return a line for each mistake: what the review is, what it was taken for, and how it ends."""
    texts: list[str] | None = None
    if not _keras(options):
        _, (texts, _) = pynn.datasets.imdb_texts(options.data, progress=False)
    lines = ["truth  probability of 'for'  review (its end)"]
    for i in worst:
        end = "(ids alone)" if texts is None else " ".join(texts[i].replace("<br />", " ").split())
        end = end if len(end) <= LINE else f"...{end[-LINE:]}"
        lines.append(f"{('against', 'for')[y[i]]:7}  {probability[i]:.4f}  {end}")
    return "\n".join(lines) + "\n"
