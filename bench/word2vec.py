"""Train word vectors with pynn and with gensim on the same text, and compare speed and quality.

    python -m bench.word2vec [--threads 1 2] [--methods cbow skip-gram] [--reviews N] [--epochs E] [--rounds R]
                             [--data DIR] [--json FILE]

The text is IMDB's reviews, or any file with --text; both sides read the same words, and alternate. Words per second are
of the text, dropped words included, by the clock and by processor time, which other processes disturb less; the
vocabulary is made before. One evaluator asks both the same questions: the share of analogies that are right, and
Spearman's correlation with wordsim353. The figures are medians over the rounds, which differ in the seed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from pathlib import Path
from statistics import median

SETTINGS = {"vector_size": 100, "window": 5, "min_count": 5, "negative": 5, "sample": 1e-3}
RATES = {"cbow": 0.05, "skip-gram": 0.025}


def read_text(options: argparse.Namespace) -> list[list[str]]:
    """Sentences as lists of words: the reviews, or the lines of a file in pieces of 1,000 words."""
    if options.text is not None:
        words = options.text.read_text(encoding="utf-8").split()
        return [words[i : i + 1000] for i in range(0, len(words), 1000)]
    from pynn.datasets import imdb_texts
    from pynn.recipes.vectors import words_of

    (texts, _), (more, _) = imdb_texts(options.data, progress=False)
    return [words_of(text) for text in [*texts, *more][: options.reviews]]


def train_pynn(text: list[list[str]], method: str, epochs: int, threads: int, seed: int) -> tuple[object, float, float]:
    """The vectors, and the seconds by the clock and of processor time."""
    import pynn

    pynn.set_num_threads(threads)
    model = pynn.text.Word2Vec(**SETTINGS, sg=method == "skip-gram", alpha=RATES[method], seed=seed)
    cpu: list[float] = []
    watch = pynn.train.LambdaCallback(
        on_epoch_begin=lambda *_: cpu.append(-time.process_time()),
        on_epoch_end=lambda *_: cpu.append(time.process_time()),
    )
    history = model.fit(text, epochs, verbose=0, callbacks=watch)
    known = float(model.counts.sum())
    return model.wv, sum(known / speed for speed in history.history["words_per_second"]), sum(cpu)


def train_gensim(
    text: list[list[str]], method: str, epochs: int, threads: int, seed: int
) -> tuple[object, float, float]:
    """The same with gensim; its threads race, so more than one gives other vectors in every run."""
    from gensim.models import Word2Vec

    import pynn

    model = Word2Vec(
        **SETTINGS, sg=int(method == "skip-gram"), alpha=RATES[method], min_alpha=1e-4, workers=threads, seed=seed
    )
    model.build_vocab(text)
    clock, cpu = time.perf_counter(), time.process_time()
    model.train(text, total_examples=len(text), epochs=epochs)
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    # In pynn's order of words, so that the most frequent ones, and with them the questions, are the same.
    order = sorted(model.wv.index_to_key, key=lambda word: (-model.wv.get_vecattr(word, "count"), word))
    return pynn.text.KeyedVectors(order, model.wv[order]), clock, cpu


SIDES = {"pynn": train_pynn, "gensim": train_gensim}


def main() -> None:
    parser = argparse.ArgumentParser(description="Word vectors: pynn beside gensim.")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--methods", nargs="+", choices=list(RATES), default=list(RATES))
    parser.add_argument("--reviews", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3, help="trainings of each side, with seeds 1, 2, ...")
    parser.add_argument("--data", type=Path, default=os.environ.get("PYNN_DATA"))
    parser.add_argument("--text", type=Path, help="a file of words instead of the reviews")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # gensim's threads each call BLAS
    try:
        import gensim
    except ImportError:
        sys.exit("gensim is not installed. help: pip install gensim")
    from pynn.datasets.fetch import locate
    from pynn.recipes.vectors import KNOWN_WORDS, PAIRS, QUESTIONS

    from .machine import header

    [questions] = locate(QUESTIONS, options.data).values()
    text = read_text(options)
    words = sum(map(len, text))
    report: dict[str, object] = {**header(max(options.threads)), "gensim": gensim.__version__, "words": words,
                                 "epochs": options.epochs, **SETTINGS}  # fmt: skip
    print(f"{words:,} words, {options.epochs} epochs, {options.rounds} rounds")
    print("method     threads side     words/s   per CPU second   analogies  wordsim353")
    rows = []
    for method, threads in itertools.product(options.methods, options.threads):
        found: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
        for seed in range(1, options.rounds + 1):
            for name in sorted(SIDES, reverse=bool(seed % 2)):
                wv, clock, cpu = SIDES[name](text, method, options.epochs, threads, seed)
                score, _ = wv.evaluate_word_analogies(questions, restrict_vocab=KNOWN_WORDS)
                pairs = wv.evaluate_word_pairs(questions.with_name(PAIRS))[1][0]
                total = words * options.epochs
                found[name].append(
                    {"speed": total / clock, "cpu_speed": total / cpu, "analogies": score, "wordsim353": pairs}
                )
        middle = {name: {key: median(run[key] for run in runs) for key in runs[0]} for name, runs in found.items()}
        for name, m in middle.items():
            spread = max(run["analogies"] for run in found[name]) - min(run["analogies"] for run in found[name])
            print(
                f"{method:10} {threads:7} {name:8} {m['speed']:8,.0f}   {m['cpu_speed']:14,.0f}   "
                f"{m['analogies']:7.2%} (±{spread / 2:.2%})  {m['wordsim353']:.3f}",
                flush=True,
            )
        ratio = {key: middle["pynn"][key] / middle["gensim"][key] for key in ("speed", "cpu_speed")}
        print(f"{'':19}pynn / gensim: {ratio['speed']:.2f} by the clock, {ratio['cpu_speed']:.2f} by processor time")
        rows.append({"method": method, "threads": threads, "ratio": ratio, "median": middle, "runs": found})
    if options.json is not None:
        options.json.write_text(json.dumps({**report, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
