"""What several processes run together in tests: python -P jobs.py NAME [ARGUMENT ...], under mpiexec or alone."""

import ctypes
import hashlib
import json
import os
import signal
import sys
import warnings

import numpy as np

import pynn
from pynn import nn
from pynn.distributed.gang import Gang
from pynn.train import Callback, ModelCheckpoint

R = np.random.default_rng(0)
X, Y = R.standard_normal((603, 20)).astype("float32"), R.integers(0, 3, 603)
IMAGES, FEW = R.standard_normal((101, 8, 8, 1)).astype("float32"), R.integers(0, 3, 101)
WORDS = R.integers(1, 50, (101, 9))
SEGMENTS = 8


def digest(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def mlp(seed=1):
    layers = [nn.Input((20,)), nn.Dense(350, activation="relu", kernel_regularizer="l2"), nn.BatchNormalization()]
    return compiled([*layers, nn.Dropout(0.2), nn.Dense(3)], seed)


def cnn(seed=1):
    layers = [nn.Input((8, 8, 1)), nn.Conv2D(4, 3, activation="relu"), nn.BatchNormalization(), nn.MaxPool2D(2)]
    return compiled([*layers, nn.Flatten(), nn.Dense(3)], seed)


def mixed(seed=1):
    layers = [nn.Input((20,)), nn.Dense(9), nn.BatchNormalization(sync=False), nn.Dropout(0.2), nn.Dense(5)]
    return compiled([*layers, nn.BatchNormalization(), nn.Dense(3)], seed)


def lstm(seed=1):
    return compiled([nn.Input((9,)), nn.Embedding(50, 8), nn.LSTM(6), nn.Dense(3)], seed)


def wide(seed=1):
    layers = [nn.Input((20,)), nn.Dense(300, activation="relu"), nn.Dropout(0.1), nn.Dense(300, activation="relu")]
    return compiled([*layers, nn.Dense(3)], seed)


def words(seed=1):
    return compiled([nn.Input((9,)), nn.Embedding(4000, 8), nn.LSTM(6), nn.Dense(3)], seed)


def sparse(seed=1):
    return compiled([nn.Input((9,)), nn.Embedding(50, 8, sparse=True), nn.LSTM(6), nn.Dense(3)], seed)


def compiled(layers, seed, metrics=("accuracy", "auc")):
    model = nn.Sequential(layers)
    optimizer = pynn.optim.Adam(0.01, clip_norm=1.0)
    model.compile(optimizer, "cross_entropy", metrics=metrics, seed=seed)
    return model


def fit(model, x, y=None, **more):
    accumulate = SEGMENTS if pynn.distributed.info().ranks == 1 else None
    settings = {"batch_size": 25, "epochs": 2, "verbose": 0, "accumulate": accumulate, **more}
    return model.fit(x, y, **settings)


def tell(value):
    if pynn.distributed.info().rank == 0:
        print(json.dumps(value), flush=True)


def bits():
    """Weights, logs, evaluations and predictions of three networks: batches of 25 rows, and tails of 3, 1 and 16."""
    found = {}
    networks = [("mlp", mlp, X, Y), ("cnn", cnn, IMAGES, FEW), ("mixed", mixed, X, Y), ("lstm", lstm, WORDS, FEW)]
    networks += [("wide", wide, X, Y), ("words", words, WORDS, FEW), ("sparse", sparse, WORDS, FEW)]
    for name, make, x, y in networks:
        model = make()
        history = fit(model, x, y, validation_data=(np.tile(x, (6, *[1] * (x.ndim - 1))), np.tile(y, 6)))
        predicted = model.predict(np.concatenate([x] * 5))
        found[name] = [digest(model.get_weights()), history.history, digest([predicted])]
    model = nn.Sequential([nn.Input((9,)), nn.Embedding(50, 8), nn.GRU(6, stateful=True), nn.Dense(3)])
    model.compile("adam", "cross_entropy", seed=1)
    fit(model, WORDS[:100], FEW[:100], shuffle=False)
    kept = [t.numpy() for m in model.modules() for t in getattr(m, "_kept", None) or ()]
    found["stateful"] = [digest(model.get_weights()), digest(kept)]
    model = mlp()
    model.train_on_batch(X[:40], Y[:40])
    loss = model.train_on_batch(X[:5], Y[:5])["loss"]
    found["on batches"] = [digest(model.get_weights()), loss]
    tell(found)


def shards(folder):
    """Batches from files, of which each process reads its rows."""
    model = compiled([nn.Input((20,)), nn.Dense(30, activation="relu"), nn.Dense(3)], 1, ["accuracy"])
    model.build((None, 20))
    batches, read = pynn.distributed.Shards(folder, batch_size=25), []
    part = batches.part
    batches.part = lambda i, rows: read.append(len(rows)) or part(i, rows)
    fit(model, batches)
    share = sum(read) / (2 * batches.rows)
    assert abs(share - 1 / pynn.distributed.info().ranks) < 0.1, share
    tell(digest(model.get_weights()))


class Quit(Callback):
    def __init__(self, step):
        self.step = step

    def on_safe_point(self, point):
        if point.step >= self.step:
            raise KeyError("cut short")


def cut(folder, step):
    """A training that ends in the middle, after it wrote a checkpoint."""
    saver = ModelCheckpoint(folder, every_batches=5)
    try:
        fit(mlp(), X, Y, callbacks=[saver, Quit(int(step))], epochs=3)
    except KeyError:
        tell("cut")


def resumed(folder):
    """The rest of it."""
    model = mlp()
    history = fit(model, X, Y, callbacks=[ModelCheckpoint(folder, every_batches=5)], epochs=3, resume=folder)
    tell([digest(model.get_weights()), history.history])


def whole():
    """All of it at once."""
    model = mlp()
    history = fit(model, X, Y, epochs=3)
    tell([digest(model.get_weights()), history.history])


class Trouble(Callback):
    def __init__(self, how):
        self.how = how

    def on_epoch_end(self, epoch, logs=None):
        info = pynn.distributed.info()
        if epoch == 1 and info.rank == 0 and "PIDS" in os.environ:
            with open(os.environ["PIDS"], "w") as file:
                file.write(" ".join(map(str, info.pids)) + "\n")
        if epoch == 2 and info.rank == 1 and self.how == "raise":
            raise ValueError("trouble of one rank alone")
        if epoch == 2 and info.rank == 1 and self.how == "leave":
            raise SystemExit(0)


def endless(how="none"):
    """A training until something happens to it."""
    fit(mlp(), X, Y, epochs=100_000, callbacks=[Trouble(how)])


def stopping(where):
    """One rank is stopped for good, before start() or after all is done."""
    if pynn.distributed.info().rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP)


def different():
    """Ranks that do not run the same, in one way after the other; what each of them is told."""
    rank, told = pynn.distributed.info().rank, {}
    for what in ("data", "columns", "rows", "seed", "weights", "slots", "layers", "batch size", "predicted"):
        x, y = X + (what == "data") * rank, Y
        if what == "columns":
            x = x[:, rank:]
        if what in ("rows", "predicted"):
            x, y = x[25 * rank :], y[25 * rank :]
        layers = [nn.Dense(9, activation=["relu", "tanh"][rank * (what == "layers")]), nn.Dense(3)]
        model = compiled(layers, 1 + (what == "seed") * rank)
        if what in ("weights", "slots", "predicted"):
            model.build((None, 20))
        if what == "slots":
            fit(model, x, y)
            state = model.optimizer.state()
            model.optimizer.load_state({**state, "m": state["m"] + rank})
        if what == "weights":
            model.set_weights([w + rank for w in model.get_weights()])
        try:
            if what == "predicted":
                model.predict(x)
            else:
                fit(model, x, y, batch_size=25 + (what == "batch size") * rank)
        except pynn.errors.DataError as error:
            told[what] = str(error)
    tell(told)


def apart():
    """Scripts that go different ways."""
    model = mlp()
    model.build((None, 20))
    if pynn.distributed.info().rank:
        model.predict(X)
    else:
        fit(model, X, Y)


class Slower(pynn.schedules.Schedule):
    def values(self, step, count):
        return 0.1 / (1.0 + np.arange(step, step + count))


def functions():
    """Functions and objects of one's own have other places in the memory of every process."""
    model = nn.Sequential([nn.Input((20,)), nn.Dense(3)])
    model.compile(pynn.optim.SGD(Slower()), lambda p, y: ((p - y) ** 2.0).mean(), seed=1)
    fit(model, X, X[:, :3])
    tell("trained")


def uneven():
    """Batches of other sizes on one rank."""
    model = mlp()
    model.build((None, 20))
    rank = pynn.distributed.info().rank
    fit(model, [(X[: 25 + rank], Y[: 25 + rank])] * 3)


class Stream:
    """Batches that do not say how many they are: fewer on rank 1."""

    def __iter__(self):
        for i in range(8 - pynn.distributed.info().rank):
            yield X[25 * i : 25 * i + 25], Y[25 * i : 25 * i + 25]


def early():
    """What gives batches ends early on one rank."""
    model = mlp()
    model.build((None, 20))
    fit(model, Stream())


def nonfinite():
    """A loss that one rank alone meets: of row 20 of the second batch."""
    x = X.copy()
    x[45] = 3e38
    model = nn.Sequential([nn.Input((20,)), nn.Dense(3)])
    model.compile(pynn.optim.SGD(0.0), "cross_entropy", seed=1)
    fit(model, x, Y, shuffle=False)


def twice():
    """start() after start()."""
    pynn.distributed.start()


def late():
    """start() after a training."""


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    name, *arguments = sys.argv[1:]
    if name == "late":
        fit(mlp(), X, Y)
    if arguments == ["before"] and "1" in (os.environ.get("PMI_RANK"), os.environ.get("OMPI_COMM_WORLD_RANK")):
        os.kill(os.getpid(), signal.SIGSTOP)
    if os.environ.get("ALONE") != "1":
        pynn.distributed.start()
    if "BLOCKED" in os.environ:  # as MPI_Abort does where a machine cannot be reached, and keeps all of Python waiting
        Gang.abort = lambda self, status=1: ctypes.PyDLL(None).sleep(600)
    globals()[name](*arguments)
