"""What the library does to its process and to others, without a clock: each probe runs in a process of its own.

python -m bench.manner_probes PROBE SIDE [NUMBER]
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import itertools
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

HANGS = 2  # forked children that hang before a side is given up
PATIENCE = 5.0  # seconds until a child is taken to hang
SIZES, BATCH, STEPS = (784, 512, 512, 10), 128, 4
FORKED = (784, 128, 10)  # large enough for threads, small enough to be copied a thousand times
SMALL = (20, 64, 64, 2)  # for a million predictions in seconds


def batches(sizes: Sequence[int] = SIZES) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    n = STEPS * BATCH
    return rng.standard_normal((n, sizes[0]), np.float32), rng.integers(0, sizes[-1], n)


class Model(Protocol):
    """A perceptron on random data."""

    def train(self) -> None: ...
    def predict(self, x: np.ndarray) -> np.ndarray: ...
    def weights(self) -> list[np.ndarray]: ...


class Pynn:
    def __init__(self, seed: int = 0, sizes: tuple[int, ...] = SIZES):
        import pynn
        from pynn import nn

        hidden = [nn.Dense(n, activation="relu") for n in sizes[1:-1]]
        self.model = nn.Sequential([nn.Input(sizes[:1]), *hidden, nn.Dense(sizes[-1])], seed=seed)
        self.model.compile(pynn.optim.Adam(1e-3), "cross_entropy", seed=seed)
        self.data = batches(sizes)
        self.predict = self.model.predict_fn()

    def train(self) -> None:
        self.model.fit(*self.data, batch_size=BATCH, verbose=0)

    def weights(self) -> list[np.ndarray]:
        return self.model.get_weights()


class Torch:
    def __init__(self, seed: int = 0, sizes: tuple[int, ...] = SIZES):
        import torch

        torch.manual_seed(seed)
        self.torch = torch
        layers: list[torch.nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
        self.model = torch.nn.Sequential(*layers[:-1])
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-3, fused=True)
        self.data = [torch.from_numpy(a) for a in batches(sizes)]

    def train(self) -> None:
        for x, y in zip(*(a.split(BATCH) for a in self.data), strict=True):
            self.optimizer.zero_grad(set_to_none=True)
            self.torch.nn.functional.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()

    def predict(self, x: np.ndarray) -> np.ndarray:
        with self.torch.inference_mode():
            return self.model(self.torch.from_numpy(x)).numpy()

    def weights(self) -> list[np.ndarray]:
        return [p.detach().numpy() for p in self.model.parameters()]


MAKERS: dict[str, Callable[..., Model]] = {"pynn": Pynn, "torch": Torch}


def digest(arrays: list[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()


def trained(side: str, seed: int = 0) -> str:
    model = MAKERS[side](seed)
    model.train()
    return digest(model.weights())


def idle(side: str, number: int) -> dict[str, Any]:
    """Milliseconds of processor time in each of two seconds of rest after training."""
    model = MAKERS[side](0)
    for _ in range(10):
        model.train()
    spent = []
    for _ in range(2):
        before = time.process_time()
        time.sleep(1.0)
        spent.append((time.process_time() - before) * 1e3)
    return {"first": spent[0], "second": spent[1]}


def forks(side: str, number: int) -> dict[str, Any]:
    """Train, fork, train in the child, again and again."""
    model = MAKERS[side](0, FORKED)
    model.train()
    finished, hangs, tried, seen = 0, 0, 0, set()
    while tried < number and hangs < HANGS:
        tried += 1
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                model.train()
                os.write(write, digest(model.weights()).encode())
            finally:
                os._exit(0)
        os.close(write)
        deadline = time.monotonic() + PATIENCE
        while not (ended := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < deadline:
            time.sleep(0.001)
        if ended[0]:
            finished += ended[1] == 0
            seen.add(os.read(read, 64))
        else:
            hangs += 1
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(read)
    return {"tried": tried, "finished": finished, "hangs": hangs, "same_bits": len(seen) == 1 if seen else None}


def native_threads(callers: Sequence[threading.Thread] = ()) -> int:
    """Threads of this process that Python did not start; one that is ending counts as Python's still."""
    started = {t.native_id for t in (*threading.enumerate(), *callers)}
    return len({int(t) for t in os.listdir("/proc/self/task")} - started)


def at_once(work: Callable[[int], Any], count: int) -> tuple[list[Any], int]:
    """work(0), work(1), ... in threads at once: the results, and the most native threads meanwhile."""
    results: list[Any] = [None] * count
    start = threading.Barrier(count + 1)

    def one(k: int) -> None:
        start.wait()
        results[k] = work(k)

    threads = [threading.Thread(target=one, args=(k,)) for k in range(count)]
    for t in threads:
        t.start()
    start.wait()
    most = 0
    while any(t.is_alive() for t in threads):
        most = max(most, native_threads(threads))
        time.sleep(0.002)
    while {t.native_id for t in threads} & {int(t) for t in os.listdir("/proc/self/task")}:
        time.sleep(0.002)  # a thread that Python has done with may still be there for the system to end
    return results, most


def callers(side: str, number: int) -> dict[str, Any]:
    """Two models trained by two threads of the caller, and one that eight predict with: as alone?"""
    alone = [trained(side, seed) for seed in range(2)]
    before = native_threads()
    models = [MAKERS[side](seed) for seed in range(2)]

    def train(k: int) -> str:
        models[k].train()
        return digest(models[k].weights())

    together, training = at_once(train, 2)
    x = batches()[0][:256]
    model = models[0]
    expected = model.predict(x)
    same, predicting = at_once(lambda k: all(np.array_equal(model.predict(x), expected) for _ in range(30)), 8)
    return {"trainings_as_alone": together == alone, "predictions_as_alone": all(same), "threads_alone": before,
            "threads_of_two_trainings": training, "threads_of_eight_predictors": predicting}  # fmt: skip


def children(side: str, number: int) -> dict[str, Any]:
    """A spawned process and joblib's workers: the same bits as here?"""
    here = trained(side)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: dict[str, Any] = {"spawned": pool.apply(trained, (side,)) == here}
    try:
        from joblib import Parallel, delayed
    except ImportError:
        return found
    for backend in ("loky", "threading"):
        got = Parallel(n_jobs=2, backend=backend)(delayed(trained)(side) for _ in range(4))
        found[f"joblib_{backend}"] = set(got) == {here}
    return found


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(side: str, number: int) -> dict[str, Any]:
    """Kilobytes by which the resident memory grows over many predictions of one row, and over `number` / 10000 fits."""
    model, trains = MAKERS[side](0, SMALL), MAKERS[side](0)
    x = batches(SMALL)[0][:1].copy()
    calls: dict[str, tuple[int, Callable[[], Any]]] = {"predict_fn": (number, lambda: model.predict(x))}
    if isinstance(model, Pynn):
        inner = model.model
        calls["predict"] = (number, lambda: inner.predict(x))
    calls["fit"] = (max(number // 10_000, 1), trains.train)
    found: dict[str, Any] = {}
    for name, (times, call) in calls.items():
        for _ in range(min(times, 1000)):
            call()
        gc.collect()
        before = resident()
        for _ in range(times):
            call()
        found[name] = {"calls": times, "kilobytes": (resident() - before) / 1024}
    return found


# Imports in every order


def thread_counts() -> dict[str, int]:
    """What each loaded library says of its number of threads; that of torch as torch says it."""
    from threadpoolctl import threadpool_info

    found = {os.path.basename(lib["filepath"]): lib["num_threads"] for lib in threadpool_info()}
    if "torch" in sys.modules:
        found["torch"] = sys.modules["torch"].get_num_threads()
    return found


def _use_numpy() -> None:
    a = np.ones((300, 300), np.float32)
    a @ a


def _use_sklearn() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    x, y = batches()
    HistGradientBoostingClassifier(max_iter=3).fit(x[:, :8], y % 2)


def _use_pynn() -> None:
    import pynn

    default = pynn.get_num_threads()
    for threads in (1, 3, None):
        pynn.set_num_threads(threads)
        trained("pynn")
    assert pynn.get_num_threads() == default


USES: dict[str, Callable[[], Any]] = {
    "numpy": _use_numpy,
    "sklearn": _use_sklearn,
    "pynn": _use_pynn,
    "torch": lambda: trained("torch"),
}


def imports(order: str, number: int) -> dict[str, Any]:
    """Import what the comma-separated names say, use all, and tell whether anybody's number of threads has changed."""
    names = order.split(",")
    counts: dict[str, int] = {}
    changed: dict[str, Any] = {}

    def look(when: str) -> None:
        for library, now in thread_counts().items():
            if counts.setdefault(library, now) != now:
                changed[f"{library} {when}"] = [counts[library], now]

    for name in names:
        importlib.import_module(name)
        look(f"after import {name}")
    for name in names:
        USES[name]()
        look(f"after {name} was used")
    return {"changed": changed, "counts": counts, "bits": trained("pynn") if "pynn" in names else None}


PROBES: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "idle": idle, "forks": forks, "callers": callers, "children": children, "growth": growth, "imports": imports
}  # fmt: skip


if __name__ == "__main__":
    from bench import manner_probes  # a spawned child finds the functions under this name, not under __main__

    print(json.dumps(manner_probes.PROBES[sys.argv[1]](sys.argv[2], int(*sys.argv[3:4]))))
