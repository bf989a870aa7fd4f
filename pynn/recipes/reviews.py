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
from pynn.io.atomic import write_whole
from pynn.recipes.images import cosine
from pynn.recipes.pace import fit_sequences
from pynn.recipes.registry import Options, Recipe, Result, recipe
from pynn.recipes.report import write_pictures
from pynn.recipes.runner import conclude

__all__ = ["imdb_best", "imdb_lstm", "with_bigrams"]

IMDB = "IMDB's 50,000 reviews (84 MB: --data, PYNN_DATA, or a download)"
WORDS = 20_000
PAIRS = 200_000  # pairs of words that imdb-best knows
WORST = 100  # mistakes that are written down
LINE = 200  # characters shown of each

Part = tuple[np.ndarray, np.ndarray]


def with_bigrams(x: np.ndarray, others: np.ndarray, words: int, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ids in which those of frequent pairs of neighbours follow the words of each row.

    Parameters
    ----------
    x : ndarray, int [N, T]
        Ids below `words` that the pairs are counted in; 0, 1 and 2 (padding, start, unknown) make no pairs.
    others : ndarray, int [M, T]
        More rows, in which the same pairs are looked for.
    words, pairs : int
        The most frequent `pairs` pairs get the ids from `words` on.

    Returns
    -------
    ndarray, ndarray
        int32, as wide as the row with the most ids, padded on the right.

    Examples
    --------
    >>> x, _ = with_bigrams(np.array([[4, 5, 6], [4, 5, 0]]), np.array([[5, 6, 4]]), words=7, pairs=1)
    >>> x
    array([[4, 5, 6, 7],
           [4, 5, 7, 0]], dtype=int32)
    """

    def joined(ids: np.ndarray) -> np.ndarray:
        left, right = ids[:, :-1].astype(np.int64), ids[:, 1:]
        return np.where((left > 2) & (right > 2), left * words + right, -1)

    codes, counts = np.unique(joined(x), return_counts=True)
    codes, counts = codes[codes >= 0], counts[codes >= 0]
    known = np.sort(codes[np.argsort(-counts, kind="stable")[:pairs]])

    def extended(ids: np.ndarray) -> np.ndarray:
        if not len(known):
            return ids.astype(np.int32)
        found = joined(ids)
        at = np.minimum(np.searchsorted(known, found), len(known) - 1)
        both = np.concatenate([ids, np.where(known[at] == found, at + words, 0)], axis=1).astype(np.int32)
        both = np.take_along_axis(both, np.argsort(both == 0, axis=1, kind="stable"), axis=1)
        return np.ascontiguousarray(both[:, : int((both != 0).sum(axis=1).max())])

    return extended(x), extended(others)


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
    layers = [
        nn.Embedding(WORDS, 128, mask_zero=True),
        nn.LSTM(128, dropout=0.4, recurrent_dropout=0.2),
        nn.Dense(1, activation="sigmoid"),
    ]
    model = _compiled(layers, 80, cosine(options, len(train[0]), 1e-3), options)
    return _train(recipe, options, model, train, test)


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
    x, xt = with_bigrams(x, xt, WORDS, PAIRS)
    columns = max(x.shape[1], xt.shape[1])
    x, xt = (np.pad(ids, ((0, 0), (0, columns - ids.shape[1]))) for ids in (x, xt))
    layers = [nn.Embedding(WORDS + PAIRS, 16), nn.GlobalAvgPool(), nn.Dense(1, activation="sigmoid")]
    model = _compiled(layers, columns, cosine(options, len(x), 1e-2), options)
    return _train(recipe, options, model, (x, y), (xt, yt))


def _compiled(layers: list[nn.Module], columns: int, rate: Any, options: Options) -> nn.Sequential:
    model = nn.Sequential([nn.Input((columns,)), *layers])
    optimizer = pynn.optim.Adam(rate)
    model.compile(optimizer=optimizer, loss="binary_cross_entropy", metrics=["accuracy"], seed=options.seed)
    return model


def _train(recipe: Recipe, options: Options, model: nn.Sequential, train: Part, test: Part) -> Result:
    """Train, test and tell; the test part is only looked at, for the curves and at the end."""
    (x, y), (xt, yt) = train, test
    if not options.quiet:
        model.summary()
        print(f"\n{len(x):,} reviews to learn from, {len(xt):,} to be tested on")
    tokens = int(np.count_nonzero(x))  # padding does not count
    history, seconds, speed = fit_sequences(options, model, x, y, tokens=tokens, validation_data=test)
    scores = model.evaluate(xt, yt)
    result = conclude(
        recipe,
        options,
        {name: float(scores[name]) for name in ("loss", "accuracy")},
        epochs=len(history.epoch),
        seconds=seconds,
        parameters=model.count_parameters(),
        details={"tokens_per_second": speed},
    )
    if not options.quiet:
        print(f"speed          {speed:,} tokens a second, the testing after each epoch included")
    if options.out is not None:
        write_pictures(options, _files(recipe, options, model, history, xt, yt))
    if history.interrupted:  # what was learnt until then is told and written all the same
        raise KeyboardInterrupt
    return result


def _files(
    recipe: Recipe, options: Options, model: nn.Sequential, history: Any, x: np.ndarray, y: np.ndarray
) -> Mapping[str, Callable[[Path], Any]]:
    """Return what is written into ``--out``: file names to functions that write to a path."""
    probability = model.predict(x)[:, 0]
    predicted = (probability >= 0.5).astype(int)
    confusion = np.zeros((2, 2), int)
    np.add.at(confusion, (y, predicted), 1)
    wrong = np.flatnonzero(predicted != y)
    worst = wrong[np.argsort(-np.abs(probability[wrong] - 0.5), kind="stable")][:WORST]
    metadata: dict[str, Any] = {"recipe": recipe.name}
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
