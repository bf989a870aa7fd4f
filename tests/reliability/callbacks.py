"""Callbacks that do each of many things at each of the hooks: right, or refused with an error that is documented.

    python tests/reliability/callbacks.py                              every thing at every hook
    python tests/reliability/callbacks.py --only save --hook on_train_batch_end
    python tests/reliability/callbacks.py --pairs 60 --seed 1          some of them

A fit with validation, an evaluation and a prediction run with the callback. What ought to be harmless must leave the
training the bits of one without it; what raises must be raised, or end the training where it is Ctrl-C; and whatever it
was, afterwards settings are as before, and the model, compiled anew and with its first weights, comes to the bits of a
fresh one. Prints the figures, and exits with 1 if a pair did otherwise, or ended the process.
"""

from __future__ import annotations

import argparse
import copy
import gc
import io
import json
import os
import pickle
import random
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from common import apart, documented
from interrupts import SHELF, X, Y, bits, built, changed, compiled, expected, in_a_thread, settings_now

import pynn
from pynn import nn
from pynn.train import Callback
from pynn.train.hooks import HOOKS

SILENT = {"verbose": 0, "batch_size": 4, "epochs": 2}


class World:
    """What a thing is done with."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.model = built()
        self.x, self.y = X.copy(), Y.copy()
        self.other = nn.Sequential([nn.Input((3,)), nn.Dense(2)])
        self.other.compile("sgd", "mse", seed=1)
        self.callback: Any = None


def other_fit(w: World) -> None:
    w.other.fit(X[:, 0], Y, verbose=0, epochs=1)


def by_threads(w: World) -> None:
    works = [lambda: w.model.predict(X), lambda: w.model.evaluate(X, Y), lambda: w.model.save(w.folder / "thread.pynn")]
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "a thread waits for ever"


def fit_in_a_thread(w: World) -> None:
    wrong = in_a_thread(lambda: w.model.fit(X, Y, verbose=0))
    assert not wrong or "another thread" in wrong, wrong


def same_weights(w: World) -> None:
    w.model.set_weights(w.model.get_weights())


def frozen_and_back(w: World) -> None:
    w.model.layers[0].trainable = False
    w.model.layers[0].trainable = True


def threads_and_back(w: World) -> None:
    before = pynn.get_num_threads()
    pynn.set_num_threads(2)
    w.model.predict(X)
    pynn.set_num_threads(before)


def reseeded(w: World) -> None:
    np.random.seed(5)
    random.seed(5)
    np.random.random(3)


def other_isa(w: World) -> None:
    with pynn.config.use_isa("generic"):
        w.model.predict(X)


def same_rate(w: World) -> None:
    w.model.optimizer.learning_rate = float(w.model.optimizer.learning_rate)


def graph(w: World) -> None:
    t = pynn.tensor([1.0, 2.0], requires_grad=True)
    (t * t).sum().backward()
    w.model(X, training=False).sum().backward()


def exported(w: World) -> None:
    pynn.export.to_c(w.other, w.folder / "net.c")
    pynn.export.to_numpy(w.other, w.folder / "net.py")


# The training must not notice these.
HARMLESS: dict[str, Callable[[World], Any]] = {
    "predict": lambda w: w.model.predict(X[:5]),
    "predict_fn": lambda w: w.model.predict_fn()(X),
    "evaluate": lambda w: w.model.evaluate(X, Y, batch_size=5),
    "call": lambda w: w.model(X),
    "get_weights": lambda w: w.model.get_weights(),
    "same_weights": same_weights,
    "save": lambda w: w.model.save(w.folder / "model.pynn"),
    "save_and_load": lambda w: (w.model.save(w.folder / "m.pynn"), pynn.load(w.folder / "m.pynn").predict(X)),
    "deepcopy": lambda w: copy.deepcopy(w.model).fit(X, Y, verbose=0),
    "pickle": lambda w: pickle.loads(pickle.dumps(w.model)).predict(X),
    "summary": lambda w: w.model.summary(input_shape=(4, 3), file=io.StringIO()),
    "repr": lambda w: (repr(w.model), w.model._repr_html_(), w.model.count_parameters()),
    "collect": lambda w: gc.collect(),
    "threads": by_threads,
    "fit_in_a_thread": fit_in_a_thread,
    "frozen_and_back": frozen_and_back,
    "threads_and_back": threads_and_back,
    "reseeded": reseeded,
    "other_isa": other_isa,
    "same_rate": same_rate,
    "other_fit": other_fit,
    "graph": graph,
    "exported": exported,
    "optimizer_state": lambda w: w.model.optimizer.state(),
    "bad_predict": lambda w: w.model.predict(np.ones((2, 9), "float32")),
    "bad_weights": lambda w: w.model.set_weights([np.ones(3)]),
    "bad_load": lambda w: pynn.load(w.folder / "none.pynn"),
    "profile": lambda w: w.model.profile(X, Y, batch_size=4, steps=2),
}


def in_place(w: World) -> None:
    w.x[:] = w.x[::-1].copy()
    w.y *= 0.5


def added(w: World) -> None:
    w.model.add(nn.Dense(2))


def without_model(w: World) -> None:
    w.callback.model = None
    w.callback.params.clear()


def smaller(w: World) -> None:
    w.model.set_weights([a * 0 for a in w.model.get_weights()])


def other_dropout(w: World) -> None:
    w.model.layers[2].rate = 0.1


def other_activation(w: World) -> None:
    w.model.layers[0].activation = "relu"


def other_precision(w: World) -> None:
    pynn.set_precision("medium")
    w.model.predict(X)


# These change it, or are refused.
CHANGES: dict[str, Callable[[World], Any]] = {
    "fit": lambda w: w.model.fit(X[:7], Y[:7], verbose=0, batch_size=3),
    "fit_with_callbacks": lambda w: w.model.fit(X, Y, verbose=0, callbacks=[pynn.train.EarlyStopping("loss")]),
    "train_on_batch": lambda w: w.model.train_on_batch(X[:3], Y[:3]),
    "train_fn": lambda w: [w.model.train_fn()(X[:3], Y[:3]) for _ in range(2)],
    "zero_weights": smaller,
    "compile": lambda w: compiled(w.model),
    "compile_otherwise": lambda w: w.model.compile("sgd", "mae"),
    "freeze": lambda w: setattr(w.model.layers[0], "trainable", False),
    "freeze_all": lambda w: setattr(w.model, "trainable", False),
    "rate": lambda w: setattr(w.model.optimizer, "learning_rate", 0.5),
    "schedule": lambda w: setattr(w.model.optimizer, "learning_rate", pynn.schedules.Cosine(0.1, steps=9)),
    "clip": lambda w: setattr(w.model.optimizer, "clip_norm", 0.1),
    "add": added,
    "stop": lambda w: setattr(w.model, "stop_training", True),
    "in_place": in_place,
    "without_model": without_model,
    "dropout": other_dropout,
    "activation": other_activation,
    "precision": other_precision,
    "astype": lambda w: w.model.astype("float64"),
    "build": lambda w: w.model.build((None, 4, 3)),
    "resume": lambda w: w.model.fit(X, Y, verbose=0, resume=w.folder),
    "no_layers": lambda w: w.model.layers.clear(),
    "optimizer": lambda w: w.model.optimizer.load_state(w.model.optimizer.state()),
    "debug": lambda w: pynn.config.set_debug(True),
    "logs": lambda w: None,
}


class Own(Exception):
    """An error of the program."""


ERRORS: dict[str, type[BaseException]] = {
    f"raise_{kind.__name__}": kind
    for kind in (
        Own, ValueError, MemoryError, KeyboardInterrupt, SystemExit, StopIteration, GeneratorExit, RecursionError,
        OSError, RuntimeError,
    )
}  # fmt: skip
THINGS = [*HARMLESS, *CHANGES, *ERRORS]


def once(hook: str, thing: str, world: World, times: int) -> Callback:
    """Return a callback that does a thing at a hook, so many times."""
    left = [times]

    def method(self: Callback, *arguments: Any) -> None:
        if not left[0]:
            return
        left[0] -= 1
        if thing in ERRORS:
            raise ERRORS[thing](thing)
        if thing == "logs" and arguments and isinstance(arguments[-1], dict):
            arguments[-1].clear()
            arguments[-1]["mine"] = 1.0
        try:
            {**HARMLESS, **CHANGES}[thing](world)
        except Exception as error:
            if not documented(error):
                raise
            self.refused = error

    made = type("Made", (Callback,), {hook: method, "refused": None})()
    made.told = left
    return made


def wrong(thing: str, hook: str, times: int = 1) -> tuple[list[str], bool]:
    """Do a thing at a hook; return what is not as it should be, and whether the hook was ever called."""
    first, _ = expected()
    _, usual = _plain()
    found: list[str] = []
    raised: BaseException | None = None
    with tempfile.TemporaryDirectory(prefix="pynn-callbacks-", dir=SHELF) as there, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        world = World(Path(there))
        before = settings_now()
        callback = world.callback = once(hook, thing, world, times)
        trained = None
        try:
            history = world.model.fit(world.x, world.y, validation_data=(X, Y), callbacks=[callback], **SILENT)
            trained = bits(world.model)
            world.model.evaluate(X, Y, callbacks=[callback])
            world.model.predict(X, callbacks=[callback])
            if thing == "raise_KeyboardInterrupt" and hook in _IN_FIT and not history.interrupted:
                found.append("fit does not say interrupted")
        except BaseException as error:
            raised = error
        met = callback.told[0] < times
        if thing in ERRORS:
            if met and thing != "raise_KeyboardInterrupt" and not isinstance(raised, ERRORS[thing]):
                found.append(f"{type(raised).__name__} instead of {ERRORS[thing].__name__}: {raised}")
        elif raised is not None and not documented(raised):
            found.append(f"{type(raised).__name__}: {str(raised)[:200]}")
        if thing in HARMLESS:
            if raised is not None:
                found.append(f"it was raised: {type(raised).__name__}: {str(raised)[:200]}")
            elif trained != usual:
                found.append("the training came to other weights")
        pynn.set_precision("highest")
        pynn.config.set_debug(False)
        ignored = {"debug", "numpy", "random", "target"} if thing in ("reseeded", "precision") else {"target"}
        found += [what for what in changed(before) if what.split()[0] not in ignored]
        found += _goes_on(thing, world.model, first)
    return found, met


_IN_FIT = [hook for hook in HOOKS if "test" not in hook and "predict" not in hook]
_cached: list[Any] = []


def _plain() -> tuple[Any, list[bytes]]:
    """Return a model that was trained with no callback, and its weights."""
    if not _cached:
        model = built()
        model.fit(X, Y, validation_data=(X, Y), **SILENT)
        _cached.extend((model, bits(model)))
    return _cached[0], _cached[1]


def _goes_on(thing: str, model: Any, first: list[np.ndarray]) -> list[str]:
    """Return what is wrong with a model afterwards: it comes to the weights of a fresh one."""
    if thing in ("add", "no_layers", "dropout", "activation"):  # another model by now
        try:
            model.predict(X)
        except Exception as error:
            return [] if documented(error) else [f"predict: {type(error).__name__}: {error}"]
        return []
    model.trainable = True
    found = in_a_thread(lambda: model.fit(X, Y, verbose=0, batch_size=4))
    compiled(model)
    model.set_weights(first)
    model.fit(X, Y, verbose=0, batch_size=4)
    same = bits(model) == expected()[1]
    return [f"in another thread: {found}"] * bool(found) + ["trained anew it comes to other weights"] * (not same)


def main() -> int:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=THINGS, action="append")
    parser.add_argument("--hook", choices=HOOKS, action="append")
    parser.add_argument("--pairs", type=int, help="so many, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    pairs = [(thing, hook) for thing in arguments.only or THINGS for hook in arguments.hook or HOOKS]
    if arguments.pairs is not None:
        pairs = random.Random(arguments.seed).sample(pairs, min(arguments.pairs, len(pairs)))
    figures = {"things": len(THINGS), "hooks": len(HOOKS), "pairs": 0, "met": 0, "findings": 0, "ended": 0}
    begun = time.monotonic()
    while pairs:
        rest = pairs

        def work(tell: Callable[[Any], None], rest: list[tuple[str, str]] = rest) -> None:
            for thing, hook in rest:
                tell([thing, hook])
                for times in (1, 1000):
                    found, met = wrong(thing, hook, times)
                    if found or not met:
                        break
                tell({"found": found, "met": met, "times": times})

        outcome = apart(work, 300)
        done = [line for line in outcome.lines if isinstance(line, dict)]
        for (thing, hook), line in zip(rest, done, strict=False):
            figures["pairs"] += 1
            figures["met"] += line["met"]
            if line["found"]:
                figures["findings"] += 1
                told = f"--only {thing} --hook {hook} (done {line['times']} times)"
                print(told, *line["found"], sep="\n  ", flush=True)
        pairs = rest[len(done) :]
        if outcome.ended:
            figures["ended"] += 1
            print(f"--only {pairs[0][0]} --hook {pairs[0][1]}: {outcome.ended}\n{outcome.errors[-2000:]}", flush=True)
            pairs = pairs[1:]
    print(json.dumps({**figures, "seconds": round(time.monotonic() - begun, 1)}))
    return int(bool(figures["findings"] or figures["ended"]))


if __name__ == "__main__":
    sys.exit(main())
