"""What several processes run together in tests: python -P jobs.py NAME [ARGUMENT ...], under mpiexec or alone."""

import ctypes
import gc
import hashlib
import json
import os
import signal
import sys
import warnings
from pathlib import Path

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


def rules():
    """Return rules of all kinds; those of its own have names that a process gives once."""

    @pynn.register
    class Signs(pynn.optim.Optimizer):
        """An elementwise rule without a kernel."""

        elementwise = True

        def slot_names(self):
            return ("m",)

        def update(self, param, grad, rate, step, m):
            mean = m * 0.9 + grad * 0.1
            return param - rate * mean.tanh(), {"m": mean}

    @pynn.register
    class Normed(Signs):
        """A rule that reads the shape of its parameter."""

        elementwise = False

        def update(self, param, grad, rate, step, m):
            return super().update(param, grad / (1.0 + (grad * grad).sum().sqrt()), rate, step, m)

    return {
        "sgd": lambda: pynn.optim.SGD(0.1, momentum=0.9, nesterov=True, clip_value=0.01),
        "adam": lambda: pynn.optim.Adam(0.01, amsgrad=True, weight_decay=0.1),
        "clipped": lambda: pynn.optim.Adam(0.01, clip_norm=0.1, clip_value=0.01),
        "averaged": lambda: pynn.optim.RMSprop(0.01, 0.9, 0.5, centered=True, use_ema=True, ema_overwrite_frequency=7),
        "nadam": lambda: pynn.optim.Nadam(0.01, use_ema=True),
        "adagrad": lambda: pynn.optim.Adagrad(0.01, initial_accumulator=0.5),
        "signs": lambda: Signs(0.01, use_ema=True),
        "normed": lambda: Normed(0.01),
        "keras": lambda: pynn.keras.optimizers.Adam(0.01, clipnorm=0.1),
    }


def taken(optimizer):
    """Return the bytes that the slots of an optimizer take here."""
    kept = [optimizer.table[t].slots.values() for t in optimizer._flat.tensors]
    roots = {id(slot.buffer.root()): slot.buffer.root().nbytes for some in kept for slot in some}
    return sum(roots.values())


def large(rule, seed=1, units=301):
    layers = [nn.Input((20,)), nn.Dense(units, activation="relu", kernel_constraint=pynn.regularizers.MaxNorm(0.9))]
    layers += [nn.BatchNormalization(), nn.Dense(203, activation="relu", kernel_regularizer="l2"), nn.Dense(3)]
    model = nn.Sequential(layers)
    model.compile(rule, "cross_entropy", seed=seed)
    return model


def slots():
    """Weights, slots and what these take of every kind of rule, with layers that are frozen and freed."""
    found, sizes = {}, {}
    for name, rule in rules().items():
        model = large(rule(), units=2601 if name == "clipped" else 301)
        fit(model, X, Y, validation_data=(X, Y))
        model.layers[0].trainable = model.layers[3].trainable = False
        log = fit(model, X, Y, epochs=1).history
        model.layers[3].trainable = True
        fit(model, X, Y, epochs=1)
        sizes[name] = taken(model.optimizer)
        state = model.optimizer.state()
        model.optimizer.load_state({key: value + (key == "m") for key, value in state.items()})
        fit(model, X, Y, epochs=1)
        state = model.optimizer.state()
        found[name] = [digest(model.get_weights()), digest(state.values()), log]
        if name != "keras":
            found[name].append(hashlib.sha256(pynn.io.dumps(model)).hexdigest())
        model.optimizer.bind(list(model.parameters()))  # each process for itself
        for _ in range(2):
            model(X[:5]).sum().backward()
            model.optimizer.step()
        found[name].append([digest(model.get_weights()), digest(model.optimizer.state().values())])
        fit(model, X, Y, epochs=1)
        found[name].append(digest(model.get_weights()))
    tell([found, sizes])


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


NETWORKS = {"mlp": mlp, "large": lambda: large(pynn.optim.Adam(0.01, clip_norm=0.1, use_ema=True))}


class Quit(Callback):
    def __init__(self, step):
        self.step = step

    def on_safe_point(self, point):
        if point.step >= self.step:
            raise KeyError("cut short")


def cut(folder, step, name="mlp"):
    """A training that ends in the middle, after it wrote a checkpoint."""
    saver = ModelCheckpoint(folder, every_batches=5)
    try:
        fit(NETWORKS[name](), X, Y, callbacks=[saver, Quit(int(step))], epochs=3)
    except KeyError:
        tell("cut")
    gc.collect()  # the model is gone on ranks that are here while rank 0 still writes


def resumed(folder, name="mlp"):
    """The rest of it."""
    model = NETWORKS[name]()
    history = fit(model, X, Y, callbacks=[ModelCheckpoint(folder, every_batches=5)], epochs=3, resume=folder)
    tell([digest(model.get_weights()), history.history])


def whole(name="mlp"):
    """All of it at once."""
    model = NETWORKS[name]()
    history = fit(model, X, Y, epochs=3)
    tell([digest(model.get_weights()), history.history])


class Saving(Callback):
    """Saves the model on rank 0 alone."""

    writes = True

    def __init__(self, path):
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        self.model.save(self.path)

    def on_train_end(self, logs=None):
        self.model.save(self.path)


class Predicting(Callback):
    """Makes all ranks meet while rank 0 saves."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.predict(np.concatenate([X] * 5))


def saving(folder):
    """Files that rank 0 writes alone, in callbacks and after them, and that all write, as one process writes them."""
    model, rank = large(pynn.optim.Adam(0.01, use_ema=True)), pynn.distributed.info().rank
    for turn in range(2):
        callbacks = [ModelCheckpoint(f"{folder}/{turn}", keep_last=9), Saving(f"{folder}/{turn}.pynn"), Predicting()]
        fit(model, X, Y, callbacks=callbacks)
        if not rank:
            model.save(f"{folder}/one-{turn}.pynn")
        model.layers[0].trainable = False
        model.save(f"{folder}/all-{turn}.pynn")
        pynn.distributed.barrier()
    if not rank:  # the others are at the end
        model.save(f"{folder}/end.pynn")
        paths = sorted(Path(folder).rglob("*.pynn"))
        tell([[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in paths])


def lonely(what):
    """One rank alone asks for slots of which each has a share: another than rank 0, or rank 0 for what was changed."""
    model, rank = large("adam"), pynn.distributed.info().rank
    fit(model, X, Y)
    state = model.optimizer.state()
    if what == "changed" and rank == 1:
        model.optimizer.load_state(state)
    if rank == (what == "other"):
        model.optimizer.state()


def given():
    """Other slots on each rank, of which each keeps a share."""
    model = large("adam")
    fit(model, X, Y)
    state = model.optimizer.state()
    model.optimizer.load_state({**state, "m": state["m"] + pynn.distributed.info().rank})
    fit(model, X, Y)


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
