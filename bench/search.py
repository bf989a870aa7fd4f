"""Trials of an Optuna study on one thread, on two threads, and in two processes:

    python -m bench.search [--trials 200] [--epochs 60] [--prune]

The trials are trainings of the recipe digits' network, with one thread of pynn's each. Told besides is the share of a
thread's time that is replay, without the interpreter's lock: threads that wait for nothing but the lock are at most
1 / (1 - share) times as fast as one. Two processes tell what the machine has left for a second thread.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pynn
from pynn import nn
from pynn.core.program import Recording


class Replay:
    """The time of the processor that a thread spends in recorded programs, from entering to leaving."""

    def __enter__(self) -> Replay:
        self.seconds, self.whole, run = 0.0, Recording.run, Recording.run

        def timed(recording: Recording, *arguments: Any, **settings: Any) -> None:
            start = time.thread_time()
            run(recording, *arguments, **settings)
            self.seconds += time.thread_time() - start

        Recording.run = timed  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        Recording.run = self.whole  # type: ignore[method-assign]


def objective(epochs: int, prune: bool) -> Callable[[Any], float]:
    """Return what a study makes smaller: the loss on held-out digits."""
    (x, y), held = pynn.datasets.digits()
    x, held = x.reshape(len(x), -1), (held[0].reshape(len(held[0]), -1), held[1])

    def trained(trial: Any) -> float:
        model = nn.Sequential([nn.Input((64,)), nn.Dense(64, activation="relu"), nn.Dense(10)])
        rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        model.compile(pynn.optim.Adam(rate), "cross_entropy", metrics=["accuracy"], seed=0)
        more: dict[str, Any] = {}
        if prune:
            more = {"validation_data": held, "callbacks": [pynn.train.OptunaPruning(trial)]}
        model.fit(x, y, batch_size=32, epochs=epochs, verbose=0, **more)
        return float(model.evaluate(*held, verbose=0)["loss"])

    return trained


def main(argv: Sequence[str] | None = None) -> None:
    """Measure in turns and print."""
    import optuna

    parser = argparse.ArgumentParser(prog="python -m bench.search")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--prune", action="store_true", help="measure the loss on held-out digits after every epoch")
    arguments = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pynn.set_num_threads(1)
    work = objective(arguments.epochs, arguments.prune)

    def study(trials: int, threads: int = 1) -> float:
        made = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), pruner=optuna.pruners.NopPruner())
        start = time.perf_counter()
        made.optimize(work, n_trials=trials, n_jobs=threads)
        return time.perf_counter() - start

    def processes(trials: int) -> float:
        start = time.perf_counter()
        children = []
        for _ in range(2):
            child = os.fork()
            if not child:
                study(trials // 2)
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        return time.perf_counter() - start

    study(2)
    with Replay() as replay:
        start = time.thread_time()
        study(10)
        share = replay.seconds / (time.thread_time() - start)
    print(f"replay is {share:.2f} of a trial: two threads are at most {min(2.0, 1 / (1 - share)):.2f} times as fast")
    for _ in range(3):
        one, two, apart = study(arguments.trials), study(arguments.trials, 2), processes(arguments.trials)
        print(f"{arguments.trials} trials: {one:.2f} s on one thread; two threads {one / two:.2f} times as fast, "
              f"two processes {one / apart:.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
