"""Vectors of words: learnt from plain text, tried on analogies, and set against one neuron for each word."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn, optim, viz
from pynn.datasets.fetch import FileSet, locate
from pynn.errors import DataError
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude
from pynn.viz.moving import Steady

__all__ = ["localist_distributed", "polar_words", "word2vec", "words_of"]

REVIEWS = "IMDB's 50,000 reviews (84 MB: --data, PYNN_DATA, or a download)"
QUESTIONS = FileSet(
    "word-similarity",
    ("https://raw.githubusercontent.com/tmikolov/word2vec/master/",),
    {"questions-words.txt": "8c29b3332afc46f3fb8be04cb5297bf96f39aa7131272dff57869b4485b22a36"},
)
PAIRS = "wordsim353-combined.csv"
ASKED = ("good", "actor", "london", "seven")  # whose neighbours are told
KNOWN_WORDS = 30_000  # of analogies, as the word2vec program's demonstration has it
WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
TEXT8_EXPECTED = 0.50
FAMILIES = {
    "people": "man woman boy girl father mother son daughter brother sister husband wife king queen prince princess",
    "numbers": "one two three four five six seven eight nine ten",
    "praise": "good great excellent wonderful brilliant superb",
    "blame": "bad terrible awful horrible poor dreadful",
    "kinds": "comedy drama thriller horror western musical romance documentary",
    "places": "london paris america england france germany japan china india",
    "makers": "director writer producer actor actress composer editor",
}
POLAR_WORDS = 1000  # on each side
LEAST_COUNT = 100


def words_of(text: str) -> list[str]:
    """Return the words of a review, in small letters.

    Examples
    --------
    >>> words_of("It's GOOD.<br />Isn't it?")
    ["it's", 'good', "isn't", 'it']
    """
    return WORD.findall(text.lower().replace("<br />", " "))


@recipe(
    "word2vec",
    shows="vectors learnt from plain text: analogies, neighbours, how near king - man + woman comes to queen, a map",
    data=f"text8 if --data has it, else {REVIEWS}; questions-words.txt",
    expected=0.25,
    epochs=15,
    batch_size=1,
    measure=Measure("analogies", "analogies right"),
)
def word2vec(recipe: Recipe, options: Options) -> Result:
    """Train word2vec: on text8 with the settings of the program's demonstration, else on the film reviews.

    text8: CBOW, 200 numbers, window 8, 25 negative words. Reviews: CBOW, 100, window 5, 5 negative words.
    """
    folder = options.data or os.environ.get("PYNN_DATA")
    questions = locate(QUESTIONS, options.data, not options.quiet)["questions-words.txt"]
    pairs = questions.with_name(PAIRS)
    text8 = _find_text8(folder)
    corpus: Any = text8
    if text8 is None:
        source, corpus = "IMDB", (words_of(text) for text in _reviews(options)[0])
        model = pynn.text.Word2Vec(100, window=5, negative=5, seed=options.seed)
    else:
        source = "text8"
        recipe = dataclasses.replace(recipe, expected=TEXT8_EXPECTED)
        model = pynn.text.Word2Vec(200, window=8, negative=25, sample=1e-4, seed=options.seed)
    steady = Steady()
    frames, film = report.moving(options, "map.gif", lambda model: _draw_map(model.wv, steady=steady))
    history, seconds = _learn(model, corpus, options, frames)
    wv = model.wv
    analogies, sections = wv.evaluate_word_analogies(questions, restrict_vocab=KNOWN_WORDS)
    details: dict[str, Any] = {
        "text": source,
        "words": len(wv),
        "loss": history.history["loss"][-1],
        "words_per_second": round(max(history.history["words_per_second"])),
        "questions": sum(len(sections[-1][kind]) for kind in ("correct", "incorrect")),
        "man_woman": wv.similarity("man", "woman"),
        "king_man_woman": wv.most_similar(["king", "woman"], ["man"], 5, restrict_vocab=KNOWN_WORDS),
        "rank_of_queen": _rank(wv, "queen", ["king", "woman"], ["man"]),
        "neighbours": {w: wv.most_similar(w, topn=4, restrict_vocab=KNOWN_WORDS) for w in ASKED if w in wv},
        "sections": {s["section"]: [len(s["correct"]), len(s["correct"]) + len(s["incorrect"])] for s in sections},
    }
    test = {"analogies": analogies}
    if pairs.is_file():
        test["wordsim353"] = wv.evaluate_word_pairs(pairs)[1][0]
    if not options.quiet:
        _tell(details, test)
    if options.out is not None:
        wv.save_word2vec_format(options.out / "vectors.bin", binary=True)
        history.to_csv(options.out / "history.csv")
    report.write_pictures(
        options,
        {
            "history.png": lambda path: viz.plot_history(history, path),
            "map.png": lambda path: _draw_map(wv, path),
            **film,
        },
    )
    result = conclude(
        recipe,
        options,
        test,
        epochs=len(history.epoch),
        seconds=seconds,
        parameters=model._rows.shape[0] * model.vector_size,
        details=details,
    )
    if history.interrupted:
        raise KeyboardInterrupt
    return result


@recipe(
    "localist-distributed",
    shows="what is learnt of some words holds for others where words are vectors, not where each has a neuron",
    data=REVIEWS,
    expected=0.93,
    epochs=3,
    batch_size=32,
    measure=Measure("accuracy", "unseen words told right"),
)
def localist_distributed(recipe: Recipe, options: Options) -> Result:
    """Learn from half of 2,000 words whether they are for or against a film, and tell it of the other half.

    A word's side is found by counting (which reviews of the training part it is in). One linear neuron sees the words
    either as one-hot rows (localist) or as vectors that word2vec learnt from the text alone (distributed).
    """
    texts, y = _reviews(options)
    reviews = [words_of(text) for text in texts]
    half = len(reviews) // 2  # the training part comes first
    words, sides = polar_words(reviews[:half], y[:half])
    model = pynn.text.Word2Vec(100, window=5, sg=True, seed=options.seed)
    history, seconds = _learn(model, reviews, options)
    order = np.random.RandomState(options.seed).permutation(len(words))
    seen, unseen = order[: len(words) // 2], order[len(words) // 2 :]
    vectors = model.wv.unit_vectors()[[model.wv.index(word) for word in words]]
    accuracy = {
        name: _linear(x, sides, seen, unseen, options.seed)
        for name, x in (("localist", np.eye(len(words), dtype=np.float32)), ("distributed", vectors))
    }
    cosine = vectors @ vectors.T
    alike = sides[:, None] == sides
    details: dict[str, Any] = {
        "numbers_of_a_word": {"localist": len(model.wv), "distributed": model.vector_size},
        "localist": accuracy["localist"],
        "cosine_of_words": {"same_side": float(cosine[alike].mean()), "other_side": float(cosine[~alike].mean())},
        "examples": {
            w: model.wv.most_similar(w, topn=4) for w in ("excellent", "awful", "actor", "seven") if w in model.wv
        },
    }
    if not options.quiet:
        print("\nwords as         numbers   told right of words seen   of words unseen")
        for name, (known, new) in accuracy.items():
            print(f"{name:16} {details['numbers_of_a_word'][name]:7,}   {known:24.1%}   {new:15.1%}")
        print("two different one-hot words are never alike: cosine 0; learnt vectors:")
        for word, near in details["examples"].items():
            print(f"  {word:10} {_near(near)}")
    shown = np.concatenate([np.flatnonzero(sides == side)[:60] for side in (0, 1)])
    names = np.array(["against", "for"])[sides[shown]]
    report.write_pictures(
        options,
        {
            "words.png": lambda path: viz.plot_embedding(
                vectors[shown], names, path, words=[words[i] for i in shown], title="words for and against"
            )
        },
    )
    result = conclude(
        recipe,
        options,
        {"accuracy": accuracy["distributed"][1], "localist": accuracy["localist"][1]},
        epochs=len(history.epoch),
        seconds=seconds,
        parameters=model._rows.shape[0] * model.vector_size,
        details=details,
    )
    if history.interrupted:
        raise KeyboardInterrupt
    return result


def polar_words(reviews: list[list[str]], y: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the words that most surely stand in reviews for (side 1) or against (0), as many of each, alternating.

    They are ranked by the z-score of their share of reviews: z = (p1 - p0) / sqrt(2 p (1 - p) / n), with n reviews on
    each side and p the share of all. Words of fewer than 100 reviews are left out.
    """
    found: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for words, side in zip(reviews, y, strict=True):
        found[int(side)].update(set(words))
    n = len(reviews) / 2
    rank: list[tuple[float, str]] = []
    for word in set(found[0]) | set(found[1]):
        both = found[0][word] + found[1][word]
        if both >= LEAST_COUNT:
            p = both / (2 * n)
            rank.append(((found[1][word] - found[0][word]) / n / np.sqrt(2 * p * (1 - p) / n + 1e-12), word))
    rank.sort()
    count = min(POLAR_WORDS, len(rank) // 2)
    sides = [[word for _, word in rank[:count]], [word for _, word in reversed(rank[-count:])]]
    return [word for both in zip(*sides, strict=True) for word in both], np.tile([0, 1], count)


def _linear(x: np.ndarray, y: np.ndarray, seen: np.ndarray, unseen: np.ndarray, seed: int) -> tuple[float, float]:
    """Return how often one linear neuron is right, on the words that it learnt from and on the others."""
    model = nn.Sequential([nn.Input((x.shape[1],)), nn.Dense(1, activation="sigmoid")])
    model.compile(optim.Adam(0.01), "binary_crossentropy", metrics=["accuracy"], seed=seed)
    model.fit(x[seen], y[seen], batch_size=32, epochs=60, verbose=0)
    return tuple(float(model.evaluate(x[part], y[part], verbose=0)["accuracy"]) for part in (seen, unseen))  # type: ignore[return-value]


def _reviews(options: Options) -> tuple[list[str], np.ndarray]:
    """Return all reviews, the training part first, and their labels."""
    (texts, y), (more, yt) = pynn.datasets.imdb_texts(options.data, progress=not options.quiet)
    return [*texts, *more], np.concatenate([y, yt])


def _learn(
    model: pynn.text.Word2Vec, corpus: Any, options: Options, callbacks: Sequence[Any] = ()
) -> tuple[Any, float]:
    """Train; return the history and the seconds without reading and drawing."""
    verbose = 0 if options.quiet else 1
    history = model.fit(corpus, epochs=options.epochs or 1, callbacks=callbacks, verbose=verbose)
    if not history.epoch:
        raise KeyboardInterrupt
    words = float(model.counts.sum())
    return history, sum(words / speed for speed in history.history["words_per_second"])


def _find_text8(folder: str | os.PathLike[str] | None) -> Path | None:
    for path in _text8_places(Path(folder)) if folder else ():
        if path.is_file():
            return path
    return None


def _text8_places(folder: Path) -> Iterator[Path]:
    for place in (folder, folder / "text8"):
        for name in ("text8", "text8.zip", "text8.gz"):
            yield place / name


def _tell(details: dict[str, Any], test: dict[str, float]) -> None:
    print(f"\n{details['text']}: {details['words']:,} words learnt, {details['words_per_second']:,} a second")
    for name, (right, asked) in details["sections"].items():
        if asked:
            print(f"{name:28} {right:6,} of {asked:6,}  {right / asked:6.1%}")
    print(f"king - man + woman           {_near(details['king_man_woman'])}")
    if details["rank_of_queen"]:
        print(f"{'':29}queen is number {details['rank_of_queen']:,} of the words nearest to it")
    print(f"similarity of man and woman  {details['man_woman']:.3f}")
    for word, near in details["neighbours"].items():
        print(f"{'nearest to ' + word:28} {_near(near)}")
    if "wordsim353" in test:
        print(f"wordsim353 (Spearman)        {test['wordsim353']:.3f}")


def _near(found: list[tuple[str, float]]) -> str:
    return ", ".join(f"{word} {value:.3f}" for word, value in found)


def _rank(wv: Any, word: str, positive: list[str], negative: list[str]) -> int:
    """Return which of the nearest of the usual words this one is, from 1; 0 if it is none of them."""
    near = wv.most_similar(positive, negative, KNOWN_WORDS, restrict_vocab=KNOWN_WORDS)
    return next((i for i, (other, _) in enumerate(near, 1) if other == word), 0)


def _draw_map(wv: Any, path: Path | None = None, steady: Callable[[Any], Any] = np.asarray) -> Any:
    words, labels = [], []
    for family, members in FAMILIES.items():
        known = [word for word in members.split() if word in wv]
        words += known
        labels += [family] * len(known)
    if len(words) < 2:
        raise DataError(f"[word2vec] expected some of the words to be drawn to be known. Received: {words}.")
    unit = wv.unit_vectors()[[wv.index(word) for word in words]]
    return viz.plot_embedding(steady(unit), labels, path, words=words, title="words by their vectors")
