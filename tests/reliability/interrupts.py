"""Ctrl-C, a second Ctrl-C, or a MemoryError at random places of what the library does; then look at what is left.

    python tests/reliability/interrupts.py --tries 2000 --seed 0            all moments, each as often as the others
    python tests/reliability/interrupts.py --only save --at 311 --gap 4     one place, as a failure prints it

The places are those where Python looks for signals (points.py). Afterwards, with the error still held as
``sys.last_traceback`` holds it: settings and the handler of Ctrl-C are those of before, no lock is held, the model
predicts, evaluates and trains in another thread too, trained anew from its first weights it comes to the same bits, so
does a fresh one, files are old or new and whole, none is left over, and the next Ctrl-C is raised. Prints the figures,
and exits with 1 if anything was not so.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import faulthandler
import functools
import gc
import io
import json
import os
import pickle
import random
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from points import Points, interrupt

import pynn
from pynn import nn
from pynn.core.state import state
from pynn.text import Word2Vec
from pynn.train import CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau

RNG = np.random.default_rng(3)
X = RNG.standard_normal((12, 4, 3)).astype("float32")
Y = RNG.standard_normal((12, 2)).astype("float32")
CORPUS = [["a", "b", "c", "d"], ["b", "c", "a"]] * 20
SHELF = "/dev/shm" if os.path.isdir("/dev/shm") else None  # for files: a disk would wait for each
SILENT = {"verbose": 0, "batch_size": 4}


@dataclass
class Moment:
    """What is done, and what must hold when it was cut short.

    Attributes
    ----------
    act : callable ()
    models : list of Module
        That must go on as if nothing had been.
    files : dict of Path to callable (Path)
        Files that may be there, each with what must not raise; anything else in the folder is left over.
    after : callable () -> str, optional
        What is wrong besides.
    repair : callable (), optional
        What is called before anything is looked at: it belongs to the program, not to the library.
    told : list
        What the call said of an interrupt.
    """

    act: Callable[[], Any]
    models: list[Any] = field(default_factory=list)
    files: dict[Path, Callable[[Path], Any]] = field(default_factory=dict)
    after: Callable[[], str] = str
    repair: Callable[[], Any] = str
    told: list[Any] = field(default_factory=list)


def unbuilt(seed: int = 7) -> nn.Sequential:
    """Return a compiled model of several kinds of layers, without weights."""
    layers = [nn.Dense(3, activation="tanh"), nn.BatchNormalization(), nn.Dropout(0.5), nn.Bidirectional(nn.LSTM(2))]
    model = nn.Sequential([*layers, nn.Dense(2, kernel_regularizer="l2")])
    compiled(model, seed)
    return model


@pynn.register
def furthest(y: np.ndarray, p: np.ndarray) -> float:
    """Return the largest error: a metric that needs all rows at once."""
    return float(np.abs(y - p).max())


def compiled(model: nn.Sequential, seed: int = 7) -> None:
    """Compile a model as all are here."""
    model.compile(pynn.optim.Adam(0.01), "mse", ["mae", furthest], seed=seed)


def built() -> nn.Sequential:
    """Return the model with weights."""
    model = unbuilt()
    model.build((None, 4, 3))
    return model


def trained() -> nn.Sequential:
    """Return the model after an epoch, with programs recorded."""
    model = built()
    model.fit(X, Y, **SILENT)
    model.predict(X)
    model.evaluate(X, Y)
    return model


def bits(model: Any) -> list[bytes]:
    """Return the weights as bytes."""
    return [w.tobytes() for w in model.get_weights()]


@functools.cache
def expected() -> tuple[list[np.ndarray], list[bytes]]:
    """Return the first weights of the seed, and those after an epoch."""
    model = built()
    first = model.get_weights()
    model.fit(X, Y, **SILENT)
    return first, bits(model)


# What is done


def build(folder: Path) -> Moment:
    model = unbuilt()
    return Moment(lambda: model.build((None, 4, 3)), [model])


def build_functional(folder: Path) -> Moment:
    def act() -> None:
        x = nn.Input((4, 3))
        model = nn.Model(x, nn.Dense(2)(nn.LSTM(2)(nn.Dense(3)(x))))
        model.compile("sgd", "mse", seed=1)
        model.predict(X)

    return Moment(act)


def first_fit(folder: Path) -> Moment:
    model = unbuilt()
    return Moment(lambda: model.fit(X, Y, epochs=2, validation_data=(X, Y), **SILENT), [model])


def fit(folder: Path) -> Moment:
    model, log = trained(), folder / "log.csv"
    callbacks = [EarlyStopping("loss", patience=1), ReduceLROnPlateau("loss", patience=1), CSVLogger(log)]
    act = functools.partial(model.fit, X, Y, epochs=3, validation_split=0.3, callbacks=callbacks, **SILENT)
    return Moment(act, [model], {log: Path.read_text})


def fit_in_a_callback(folder: Path) -> Moment:
    model = trained()
    inner = pynn.train.LambdaCallback(on_train_batch_end=lambda batch, logs: model.fit(X[:4], Y[:4], **SILENT))
    return Moment(lambda: model.fit(X, Y, callbacks=[inner], **SILENT), [model])


def eager_fit(folder: Path) -> Moment:
    model = trained()
    return Moment(lambda: model.fit(X, Y, run_eagerly=True, **SILENT), [model])


def train_on_batch(folder: Path) -> Moment:
    model = built()
    return Moment(lambda: [model.train_on_batch(X, Y), model.train_on_batch(X[:5], Y[:5])], [model])


def evaluate(folder: Path) -> Moment:
    model = built()
    return Moment(lambda: [model.evaluate(X, Y, batch_size=5), model.evaluate(X, Y)], [model])


def predict(folder: Path) -> Moment:
    model = built()
    return Moment(lambda: [model.predict(X), model.predict(X[:3]), model.predict_fn()(X), model(X)], [model])


def save(folder: Path) -> Moment:
    model, path = trained(), folder / "model.pynn"
    model.save(path)
    return Moment(lambda: model.save(path, metadata={"a": [1]}), [model], {path: pynn.load})


def save_new(folder: Path) -> Moment:
    model, path = trained(), folder / "model.pynn"
    return Moment(lambda: model.save(path), [model], {path: pynn.load})


def load(folder: Path) -> Moment:
    model, path = trained(), folder / "model.pynn"
    model.save(path)
    before = path.read_bytes()
    return Moment(
        lambda: pynn.load(path), [model], {path: pynn.load}, lambda: "" if path.read_bytes() == before else "changed"
    )


def weights(folder: Path) -> Moment:
    model = trained()
    there = model.get_weights()
    return Moment(
        lambda: [model.set_weights(there), model.get_weights(), model.summary(input_shape=(4, 3), file=io.StringIO())],
        [model],
    )


def checkpoint(folder: Path) -> Moment:
    model = trained()
    saver = ModelCheckpoint(folder, monitor="loss", keep_last=2, every_batches=2)
    names = [folder / f"step-{i:010d}.pynn" for i in range(100)] + [folder / "best.pynn"]
    return Moment(
        lambda: model.fit(X, Y, epochs=2, callbacks=[saver], **SILENT), [model], dict.fromkeys(names, pynn.load)
    )


def resume(folder: Path) -> Moment:
    model, other = trained(), trained()
    model.fit(X, Y, epochs=1, callbacks=[ModelCheckpoint(folder, every_batches=2, keep_last=3)], **SILENT)
    there = dict.fromkeys(folder.iterdir(), pynn.load)
    newest = max(there)
    return Moment(lambda: other.fit(X, Y, epochs=2, resume=newest, **SILENT), [model, other], there)


def copies(folder: Path) -> Moment:
    model, plain = trained(), unbuilt()
    return Moment(
        lambda: [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.deepcopy(plain)], [model, plain]
    )


def profile(folder: Path) -> Moment:
    model = trained()
    before = model.get_weights()

    def after() -> str:
        same = all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
        return "" if same else "profile changed the weights"

    return Moment(lambda: model.profile(X, Y, batch_size=4, steps=2), [model], after=after)


def freeze(folder: Path) -> Moment:
    model = trained()

    def act() -> None:
        model.layers[0].trainable = False
        try:
            model.fit(X, Y, **SILENT)
        finally:
            model.layers[0].trainable = True

    return Moment(act, [model], repair=lambda: setattr(model, "trainable", True))


def word_vectors(folder: Path) -> Moment:
    told: list[Any] = []
    model, path, text = Word2Vec(vector_size=4, min_count=1, seed=1), folder / "words.pynn", folder / "words.txt"

    def act() -> None:
        if model.fit(CORPUS, epochs=2, verbose=0).interrupted:
            told.append(model)
        model.save(path)
        model.wv.save_word2vec_format(text)
        Word2Vec.load(path)

    def after() -> str:
        model.fit(CORPUS, epochs=1, verbose=0)
        fine = np.isfinite(model.wv["a"]).all() and not model.history.interrupted
        return "" if fine else "the word vectors do not go on"

    return Moment(act, [], {path: Word2Vec.load, text: Path.read_text}, after, told=told)


def export(folder: Path) -> Moment:
    model = trained()
    small = nn.Sequential([nn.Input((3,)), nn.Dense(4, activation="relu"), nn.Dense(2, activation="softmax")])
    names = {folder / name: Path.read_text for name in ("net.c", "net.h")}
    return Moment(lambda: pynn.export.to_c(small, folder / "net.c"), [model], names)


def estimator(folder: Path) -> Moment:
    from pynn.estimators import MLPClassifier

    x, y = RNG.standard_normal((20, 3)), np.arange(20) % 2
    made = MLPClassifier((4,), max_iter=2, random_state=1)
    told: list[Any] = []

    def fitted() -> None:
        for method in (made.fit, made.partial_fit):
            method(x, y)
            if made.model_.stop_training:
                told.append(method)

    def after() -> str:
        fitted()
        return "" if np.isfinite(made.predict_proba(x)).all() else "the estimator does not go on"

    return Moment(fitted, after=after, told=told)


def generate(folder: Path) -> Moment:
    from pynn.text import Tokenizer
    from pynn.text import generate as go_on

    tokenizer = Tokenizer("char").fit(["abcab cab"])
    n = len(tokenizer)
    model = nn.Sequential([nn.Embedding(n, 3), nn.LSTM(3, return_sequences=True), nn.Dense(n)])
    model.build((None, 4))
    model.layers[-1] = model.layers[-1]

    def after() -> str:
        return "a layer was left stateful" if any(getattr(m, "stateful", False) for m in model.modules()) else ""

    return Moment(lambda: go_on(model, tokenizer, "ab", 4), after=after)


def settings(folder: Path) -> Moment:
    def act() -> None:
        with pynn.config.use_isa("generic"), pynn.no_grad():
            pynn.tensor([1.0, 2.0]).exp().numpy()
        t = pynn.tensor([1.0, 2.0], requires_grad=True)
        (t * t).sum().backward()

    return Moment(act)


def data(folder: Path) -> Moment:
    from pynn.datasets import moons

    table, array, model = folder / "t.csv", folder / "a.npy", built()
    table.write_text("a,b,c\n" + "1,2,0\n3,4,1\n" * 4)
    np.save(array, X)
    there = {table: Path.read_text, array: np.load}

    def act() -> None:
        moons(n=20)
        model.fit(((X[i : i + 4], Y[i : i + 4]) for i in range(0, 12, 4)), steps_per_epoch=3, verbose=0)

    return Moment(act, [model], there)


MOMENTS = {
    f.__name__: f
    for f in (
        build, build_functional, first_fit, fit, fit_in_a_callback, eager_fit, train_on_batch, evaluate, predict, save,
        save_new, load, weights, checkpoint, resume, copies, profile, freeze, word_vectors, export, estimator, generate,
        settings, data,
    )
}  # fmt: skip


# What must hold


def settings_now() -> dict[str, Any]:
    """Return what holds for this thread and process."""
    kept = ("recorder", "grad_enabled", "training", "rng", "carries", "module", "scope", "tape", "trial", "observer")
    return {
        **{name: getattr(state, name) for name in kept},
        "threads": pynn.get_num_threads(), "precision": pynn.get_precision(), "isa": pynn.config.isa(),
        "target": pynn.config.target(), "errstate": np.geterr(), "filters": list(warnings.filters),
        "directory": os.getcwd(), "handler": signal.getsignal(signal.SIGINT), "registered": pynn.io.registered(),
        "loading": pynn.core.context.loading.values, "seeds": np.random.bit_generator.randbits,
        "numpy": np.random.get_state()[1].tobytes(), "random": random.getstate(),
    }  # fmt: skip


def changed(before: dict[str, Any]) -> list[str]:
    """Return what does not hold any more."""
    now = settings_now()
    return [f"{key} is {now[key]!r:.80}" for key, was in before.items() if now[key] is not was and now[key] != was]


def in_a_thread(work: Callable[[], Any]) -> str:
    """Do something in another thread; return what is wrong."""
    wrong: list[str] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            wrong.append(f"{type(error).__name__}: {str(error)[:150]}")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    return "it hangs" if thread.is_alive() else "".join(wrong)


def faults(moment: Moment, folder: Path, before: dict[str, Any], files: int) -> list[str]:
    """Return all that does not hold."""
    found = changed(before)
    try:
        interrupt()
        found.append("the next Ctrl-C is swallowed")
    except KeyboardInterrupt:
        pass
    first, after_one = expected()
    for i, model in enumerate(moment.models):
        if not model.built:
            model.build((None, 4, 3))
            if bits(model) != [w.tobytes() for w in first]:
                found.append(f"model {i}: other first weights")
        wrong = in_a_thread(lambda model=model: [model.save(folder / "x"), model.fit(X, Y, **SILENT)])
        (folder / "x").unlink(missing_ok=True)
        if wrong:
            found.append(f"model {i} in another thread: {wrong}")
            continue
        if model.fit(X, Y, **SILENT).interrupted:
            found.append(f"model {i}: fit says interrupted")
        if not (np.isfinite(model.predict(X)).all() and np.isfinite(model.evaluate(X, Y)["loss"])):
            found.append(f"model {i}: not finite")
        compiled(model)
        model.set_weights(first)
        model.fit(X, Y, **SILENT)
        if bits(model) != after_one:
            found.append(f"model {i}: trained anew it comes to other weights")
    wrong = moment.after()
    if wrong:
        found.append(wrong)
    for path in folder.iterdir():
        try:
            check = moment.files.get(path)
            if check is None:
                found.append(f"{path.name} is left over")
            else:
                check(path)
        except Exception as error:
            found.append(f"{path.name}: {type(error).__name__}: {str(error)[:100]}")
    fresh = built()
    fresh.fit(X, Y, **SILENT)
    if bits(fresh) != after_one:
        found.append("a fresh model of the seed comes to other weights")
    return found


def lack(error: MemoryError | None = None) -> None:
    """Say that there is no memory."""
    raise MemoryError("injected")


ACTS = {"signal": interrupt, "memory": lack}


def tried(name: str, at: int, gap: int = 0, kind: str = "signal") -> tuple[list[str], Points]:
    """Do something, cut short at a place; return what is wrong, and the places."""
    with tempfile.TemporaryDirectory(prefix="pynn-interrupts-", dir=SHELF) as there, contextlib.ExitStack() as kept:
        kept.callback(signal.signal, signal.SIGINT, signal.default_int_handler)
        folder = Path(there).resolve()
        moment = MOMENTS[name](folder)
        gc.collect()
        before, files = settings_now(), len(os.listdir("/proc/self/fd"))
        unraisable: list[Any] = []
        hook, sys.unraisablehook = sys.unraisablehook, lambda told: unraisable.append(told.exc_type)
        held: BaseException | None = None
        out = None
        try:
            with Points(at, ACTS[kind], gap) as points:
                out = moment.act()
        except BaseException as error:
            held = error
        finally:
            sys.unraisablehook = hook
        found = []
        wanted = KeyboardInterrupt if kind == "signal" else MemoryError
        if any("_ufunc_config.py" in place for place in points.where):  # NumPy's own with block is written in Python
            before["errstate"] = np.geterr()
        moment.repair()
        if held is not None and not any(isinstance(error, wanted) for error in causes(held)):
            found.append(f"{type(held).__name__} instead of {wanted.__name__}: {str(held)[:150]}")
        if points.where and held is None and kind == "signal" and not unraisable and not _told(out, moment):
            found.append("the Ctrl-C was swallowed")
        found += faults(moment, folder, before, files)
        held = None
        gc.collect()
        found += [f"later {what}" for what in changed(before)]
        more = len(os.listdir("/proc/self/fd")) - files
        if more > 0:
            found.append(f"{more} more files are open")
        for model in moment.models:
            if not found and bits(model) != expected()[1]:
                found.append("letting go of the error changed the weights")
    return found, points


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _told(out: Any, moment: Moment) -> bool:
    """Tell whether what came back, or the models, speak of an interrupt."""
    return bool(getattr(out, "interrupted", False) or moment.told) or any(m.stop_training for m in moment.models)


@functools.cache
def length(name: str) -> int:
    """Return how many places something has; a few more the first time, while modules are imported."""
    found, points = tried(name, 0)
    if found:
        raise RuntimeError(f"{name} fails where nothing stops it: {found}")
    return points.count


def main() -> int:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(MOMENTS), action="append")
    parser.add_argument("--kind", choices=sorted(ACTS))
    parser.add_argument("--at", type=int)
    parser.add_argument("--gap", type=int, default=0)
    arguments = parser.parse_args()
    names = arguments.only or list(MOMENTS)
    if arguments.at is not None:
        length(names[0])
        found, points = tried(names[0], arguments.at, arguments.gap, arguments.kind or "signal")
        print("\n".join([*points.where, *found]))
        return int(bool(found))
    warnings.simplefilter("ignore")
    chance = random.Random(arguments.seed)
    figures: dict[str, Any] = {"tries": 0, "met": 0, "met_twice": 0, "findings": 0}
    begun = time.monotonic()
    for i in range(arguments.tries):
        name = names[i % len(names)]
        kind = arguments.kind or chance.choice(("signal", "signal", "memory"))
        at = chance.randint(1, length(name))
        gap = chance.choice((0, 0, chance.randint(1, 12), chance.randint(1, 200)))
        faulthandler.dump_traceback_later(120, exit=True)
        found, points = tried(name, at, gap, kind)
        faulthandler.cancel_dump_traceback_later()
        figures["tries"] += 1
        figures["met"] += bool(points.where)
        figures["met_twice"] += len(points.where) > 1
        if found:
            figures["findings"] += 1
            print(
                f"--only {name} --kind {kind} --at {at} --gap {gap}", *points.where, *found, "", sep="\n  ", flush=True
            )
    figures["places"] = {name: length(name) for name in names}
    print(json.dumps({**figures, "seconds": round(time.monotonic() - begun, 1)}))
    return int(bool(figures["findings"]))


if __name__ == "__main__":
    sys.exit(main())
