"""Let two threads use one model at once: every pair of public calls, each pair in a process of its own.

    python tests/reliability/thread_pairs.py --seconds 1 [--pairs 40] [--seed 1] [--only fit] [--together]

Each thread calls its own function again and again, for so many seconds. No crash, no end that does not come; a call
ends well or is refused by an error of the documented kinds; what reads a model that nobody writes gives what one
thread alone gives, bit for bit. Afterwards the model predicts and evaluates as the one that it is saved and loaded as,
and trains on. Prints the figures and a line for each finding; exits with 1 if there are any. Functions are those of
ACTIONS, and LEFT_OUT says why a public method of a model is not among them; a new one has to stand in either.
"""

from __future__ import annotations

import argparse
import copy
import io
import itertools
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
from typing import Any

import numpy as np

sys.path.insert(0, os.path.dirname(__file__))
import common

import pynn
from pynn import nn
from pynn.train import EarlyStopping, ModelCheckpoint

_one_at_a_time = threading.Lock()
LEFT_OUT = {
    "add_loss": "for a layer's own forward()", "add_weight": "for a layer's own build()",
    "assign_seeds": "part of build()", "check_inputs": "part of a call",
    "children": "part of named_modules()", "example": "part of build()", "extra_repr": "part of repr()",
    "forward": "is the call", "from_config": "makes a model of its own",
    "modules": "named_modules() without names", "takes_bytes": "part of a call",
}  # fmt: skip


class World:
    """A model and its data, which two threads share."""

    def __init__(self, kind: str, folder: str):
        rng = np.random.default_rng(3)
        self.folder = folder
        self.count = itertools.count()
        layers, shape = MODELS[kind]
        self.x = rng.normal(size=(24, *shape)).astype("f4")
        self.y = rng.integers(0, 3, 24)
        self.model = nn.Sequential([nn.Input(shape), *layers(), nn.Dense(3, activation="softmax")])
        self.compile()
        self.model.fit(self.x, self.y, batch_size=8, verbose=0)
        self.weights = self.model.get_weights()
        self.path = os.path.join(folder, "shared.pynn")
        self.model.save(self.path)

    def compile(self) -> None:
        """Compile the model as it was at first."""
        self.model.compile(pynn.optim.Adam(1e-3), "cross_entropy", ["accuracy"], seed=1)

    def own(self, ending: str) -> str:
        """Return a path that no other call has."""
        return os.path.join(self.folder, f"{next(self.count)}{ending}")


MODELS: dict[str, tuple[Callable[[], list[Any]], tuple[int, ...]]] = {
    "dense": (lambda: [nn.Dense(16, "relu"), nn.BatchNormalization(), nn.Dropout(0.3), nn.Dense(8, "tanh")], (5,)),
    "images": (lambda: [nn.Conv2D(4, 3, activation="relu"), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(8)], (6, 6, 2)),
    "steps": (lambda: [nn.LSTM(6, return_sequences=True), nn.GRU(5)], (4, 3)),
}


def _fit(w: World) -> None:
    w.model.fit(w.x, w.y, batch_size=8, epochs=2, verbose=0)


def _fit_held(w: World) -> None:
    callbacks = [ModelCheckpoint(w.own(""), monitor="val_loss"), EarlyStopping("val_loss")]
    w.model.fit(w.x, w.y, batch_size=8, verbose=0, validation_data=(w.x, w.y), callbacks=callbacks)


def _freeze(w: World) -> None:
    layer = w.model.layers[1]
    layer.trainable = not layer.trainable


def _save(w: World) -> Any:
    path = w.own(".pynn")
    w.model.save(path)
    return pynn.load(path).predict(w.x)


def _copy(w: World) -> Any:
    return copy.deepcopy(w.model).predict(w.x)


def _backward(w: World) -> None:
    w.model(w.x).sum().backward()


def _profile(w: World) -> None:
    w.model.profile(w.x, w.y, steps=2)


def _astype(w: World) -> None:
    w.model.astype("float64")
    w.model.astype("float32")


def _threads(w: World) -> None:
    pynn.set_num_threads(1)
    pynn.set_num_threads(2)


def _precision(w: World) -> None:
    pynn.set_precision("medium")
    pynn.set_precision("highest")


def _isa(w: World) -> None:
    # A setting of the process: blocks of two threads that end in another order leave the first one's.
    with _one_at_a_time, pynn.config.use_isa("generic"):
        w.model.predict(w.x)


def _debug(w: World) -> None:
    pynn.config.set_debug(True)
    pynn.config.set_debug(False)


def _c(w: World) -> Any:
    return pynn.export.c_source(w.model, "net", "net.h")


def _onnx(w: World) -> Any:
    return pynn.onnx.to_model(w.model).SerializeToString()


def _graph(w: World) -> None:
    pynn.viz.draw_graph(w.model(w.x).sum())


def _add(w: World) -> None:
    w.model.add(nn.Activation("linear"))


def _predict_fn(w: World) -> Any:
    function = w.model.predict_fn()
    return [function(w.x).copy() for _ in range(3)]


def _rate(w: World) -> None:
    w.model.optimizer.learning_rate = 1e-3


def _summary(w: World) -> str:
    file = io.StringIO()
    w.model.summary(file=file)
    return file.getvalue()


def _observe(w: World) -> Any:
    return pynn.viz.attribution(w.model, w.x[:2])


def _train_fn(w: World) -> Any:
    f = w.model.train_fn()
    return [f(w.x[:8], w.y[:8]) for _ in range(2)]


# Name -> (function, what it does to the model: "" reads, "w" writes weights, "k" changes what a model or process is).
ACTIONS: dict[str, tuple[Callable[[World], Any], str]] = {
    "fit": (_fit, "w"), "fit held": (_fit_held, "w"),
    "train_on_batch": (lambda w: w.model.train_on_batch(w.x[:8], w.y[:8]), "w"), "train_fn": (_train_fn, "w"),
    "evaluate": (lambda w: w.model.evaluate(w.x, w.y, verbose=0), ""), "predict": (lambda w: w.model.predict(w.x), ""),
    "predict part": (lambda w: w.model.predict(w.x[:5], batch_size=2), ""), "predict_fn": (_predict_fn, ""),
    "call": (lambda w: w.model(w.x).numpy(), ""), "backward": (_backward, "g"), "save": (_save, ""),
    "save same path": (lambda w: w.model.save(w.path), ""), "load": (lambda w: pynn.load(w.path).predict(w.x), "f"),
    "dumps": (lambda w: pynn.io.loads(pynn.io.dumps(w.model)).predict(w.x), ""), "summary": (_summary, "p"),
    "trace": (lambda w: pynn.viz.trace(w.model, w.x, w.y), "p"),
    "repr": (lambda w: (repr(w.model), w.model._repr_html_()), "p"),
    "get_config": (lambda w: str(w.model.get_config()), ""),
    "get_weights": (lambda w: w.model.get_weights(), ""),
    "set_weights": (lambda w: w.model.set_weights(w.weights), "w"),
    "named_parameters": (lambda w: [name for name, _ in w.model.named_parameters()], ""),
    "parameters": (lambda w: [p.shape for p in w.model.parameters()], ""),
    "named_modules": (lambda w: [name for name, _ in w.model.named_modules()], ""),
    "count_parameters": (lambda w: w.model.count_parameters(), "p"), "freeze": (_freeze, "k"),
    "compile": (World.compile, "k"), "build": (lambda w: w.model.build((None, *w.x.shape[1:])), ""),
    "astype": (_astype, "k"), "add": (_add, "k"), "deepcopy": (_copy, ""),
    "copy": (lambda w: copy.copy(w.model).predict(w.x), ""),
    "pickle": (lambda w: pickle.loads(pickle.dumps(w.model)).predict(w.x), ""), "profile": (_profile, "w"),
    "c_source": (_c, ""), "numpy_source": (lambda w: pynn.export.numpy_source(w.model), ""), "to_onnx": (_onnx, ""),
    "draw_graph": (_graph, "p"), "attribution": (_observe, ""), "learning_rate": (_rate, "w"),
    "reset_states": (lambda w: nn.reset_states(w.model), "w"),
    "no_grad": (lambda w: pynn.no_grad()(w.model)(w.x).numpy(), ""), "set_num_threads": (_threads, "s"),
    "set_precision": (_precision, "k"), "use_isa": (_isa, "k"), "set_debug": (_debug, "s"),
    "random.seed": (lambda w: pynn.random.seed(3), "s"),
}  # fmt: skip


def missing() -> list[str]:
    """Return the public methods of a model that stand neither in ACTIONS nor in LEFT_OUT."""
    found = [n for n in dir(nn.Sequential) if not n.startswith("_") and callable(getattr(nn.Sequential, n))]
    return [name for name in found if name not in ACTIONS and name not in LEFT_OUT]


def same(a: Any, b: Any) -> bool:
    """Tell whether two results are the same bits."""
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(p, q) for p, q in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    return np.array_equal(a, b, equal_nan=True) if isinstance(a, (np.ndarray, float)) else bool(a == b)


def pair(one: str, other: str, kind: str, seconds: float, tell: Callable[[Any], None]) -> None:
    """Let two threads call two functions; tell the figures, and what was wrong."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        world = World(kind, folder)
        effects = ACTIONS[one][1] + ACTIONS[other][1]
        still = not set(effects) & {"w", "k"}
        alone = {name: ACTIONS[name][0](world) for name in (one, other)} if still else {}
        before = common.settings()
        begun, end = threading.Barrier(2), time.monotonic() + seconds
        counts: dict[str, int] = {"calls": 0, "refused": 0}
        wrong: list[str] = []

        def turn(name: str) -> None:
            begun.wait()
            inside = common.settings()
            for i in range(10_000):
                if i and time.monotonic() > end:
                    break
                try:
                    got = ACTIONS[name][0](world)
                except Exception as error:
                    counts["refused"] += 1
                    if not common.documented(error) or still:
                        wrong.append(f"{name}: {type(error).__name__}: {str(error)[:200]}{_place(error)}")
                        break
                else:
                    counts["calls"] += 1
                    if still and ACTIONS[name][1] == "" and not same(got, alone[name]):
                        wrong.append(f"{name}: another result than alone")
                        break
            left = [n for n in common.changed(inside) if n in OWN]
            if left:
                wrong.append(f"{name}: left {left} changed")

        threads = [threading.Thread(target=turn, args=(name,), daemon=True) for name in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wrong += _after(world, before)
        tell([counts, wrong])


OWN = ("recorder", "grad_enabled", "training", "carries", "module", "scope", "tape", "trial", "observer")  # a thread's


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    found = ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if os.sep + "pynn" + os.sep in name:
            found = f" ({os.path.basename(name)}:{trace.tb_lineno})"
        trace = trace.tb_next
    return found


def _after(world: World, before: dict[str, Any]) -> list[str]:
    """Return what is wrong with a model that two threads have used."""
    wrong = []
    pynn.set_num_threads(before["threads"])
    left = [name for name in common.changed(before) if name != "threads"]
    if left:
        wrong.append(f"afterwards: the settings {left} are others")
    model = world.model
    try:
        again = pynn.io.loads(pynn.io.dumps(model))
        if not same(model.predict(world.x), again.predict(world.x)):
            wrong.append("afterwards: predicts other than saved and loaded")
        if not same(model.evaluate(world.x, world.y, verbose=0), again.evaluate(world.x, world.y, verbose=0)):
            wrong.append("afterwards: evaluates other than saved and loaded")
        pynn.load(world.path)
        model.fit(world.x, world.y, verbose=0, batch_size=8)
        again.fit(world.x, world.y, verbose=0, batch_size=8)
        if not same(model.get_weights(), again.get_weights()):
            wrong.append("afterwards: trains other than saved and loaded")
    except Exception as error:
        wrong.append(f"afterwards: {type(error).__name__}: {str(error)[:200]}{_place(error)}")
    return wrong


def main() -> int:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each pair")
    parser.add_argument("--pairs", type=int, default=0, help="so many of them, drawn by chance; 0 is all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="pairs of which one is this")
    parser.add_argument("--reading", action="store_true", help="pairs alone in which nobody changes the model")
    parser.add_argument("--together", action="store_true", help="in this process, for a sanitizer that does not follow")
    arguments = parser.parse_args()
    if missing():
        sys.exit(f"in neither ACTIONS nor LEFT_OUT: {missing()}")
    chance = random.Random(arguments.seed)
    pairs = [
        p for p in itertools.combinations_with_replacement(ACTIONS, 2) if not arguments.only or arguments.only in p
    ]
    if arguments.reading:
        pairs = [p for p in pairs if not any(ACTIONS[name][1] in ("w", "k", "s") for name in p)]
    if arguments.pairs:
        pairs = chance.sample(pairs, min(arguments.pairs, len(pairs)))
    sys.setswitchinterval(1e-5)
    figures = {"pairs": len(pairs), "calls": 0, "refused": 0, "findings": 0}
    began = time.monotonic()
    for one, other in pairs:
        kind = chance.choice(list(MODELS))
        lines: list[Any] = []
        ended, said = "", ""
        if arguments.together:
            pair(one, other, kind, arguments.seconds, lines.append)
        else:
            work = lambda tell, p=(one, other, kind): pair(*p, arguments.seconds, tell)  # noqa: E731
            lines, ended, said = common.apart(work, seconds=60 + arguments.seconds, memory=8 << 30)
        wrong = [f"{ended}\n{said[-6000:]}"] if ended or not lines else []
        for counts, more in lines:
            figures["calls"] += counts["calls"]
            figures["refused"] += counts["refused"]
            wrong += more
        for text in sorted(set(wrong)):
            figures["findings"] += 1
            print(f"== {one} beside {other} ({kind}): {text}", flush=True)
    print(json.dumps({**figures, "seconds": round(time.monotonic() - began, 1)}))
    return int(bool(figures["findings"]))


if __name__ == "__main__":
    sys.exit(main())
