"""Memory runs out: MemoryError, a model that is as it was, and one that goes on when there is memory again."""

import gc
import os
import subprocess
import sys
import textwrap
import types
import weakref

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.core import flat
from pynn.core.flat import Flat

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space by what /proc says")

R = np.random.default_rng(5)
X, Y = R.standard_normal((64, 20), np.float32), R.integers(0, 2, 64)

OUT_OF_MEMORY = """
    import ast, collections, os, resource, sys
    import numpy as np
    import pynn
    from pynn import nn

    pynn.set_num_threads(int(sys.argv[1]))
    r = np.random.default_rng(0)
    x, y = r.standard_normal((64, 24, 24, 3)).astype("float32"), r.integers(0, 4, 64)

    def make():
        layers = [nn.Conv2D(16, 3), nn.BatchNormalization(), nn.Activation("relu"), nn.Flatten(), nn.Dropout(0.2)]
        limit = pynn.regularizers.MaxNorm(2.0)
        layers += [nn.Dense(200, kernel_constraint=limit), nn.Dense(4)]
        model = nn.Sequential([nn.Input((24, 24, 3)), *layers], seed=1)
        model.compile(pynn.optim.Adam(1e-3, clip_norm=1.0), "cross_entropy", seed=0)
        return model

    def state(model):
        slots = model.optimizer.state()
        return [w.tobytes() for w in model.get_weights()], {k: v.tobytes() for k, v in slots.items()}

    def fit(model):
        model.fit(x, y, batch_size=32, verbose=0)
        return state(model)

    def limit(room):
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        most = resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_AS, (most if room is None else size + room, most))

    def child(room):
        model = make()
        before = [w.tobytes() for w in model.get_weights()]
        limit(room)
        try:
            fit(model)
            return b"enough"
        except MemoryError:
            limit(None)
        now = [w.tobytes() for w in model.get_weights()]
        step = int(model._trainer.slots.step.view()[0])
        if step:  # the first step was made, then there was no memory for the others: as if it had been the only one
            other = make()
            pynn.train.steps(other, x, y, 32).run(step)
            return b"whole steps" if state(model) == state(other) else b"half a step"
        if now != before:
            return b"changed"
        limit(room)
        try:
            model.predict(x)
        except MemoryError:
            pass
        limit(None)
        return b"intact" if fit(model) == expected else b"other numbers later"

    # Once in a child, which gives its memory back: this process has none to spare.
    def forked(work):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(write, work())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            got = pipe.read()
        return got if os.waitpid(pid, 0)[1] == 0 else b"died"

    import pynn.train.fit  # a library that cannot be mapped is an ImportError
    make().predict(x[:1])  # imports what else training needs

    def digest():
        return repr(fit(make())).encode()

    expected = ast.literal_eval(forked(digest).decode())
    found = collections.Counter(forked(lambda room=room: child(room)) for room in range(0, 30_000_000, 3_000_000))
    print(sorted(found.items()))
    assert set(found) <= {b"intact", b"whole steps", b"enough"}, found
    assert found[b"intact"] > 3, found
"""


NO_ROOM_FOR_WORKERS = """
    import os, resource, sys
    import numpy as np
    import pynn
    from pynn import nn

    pynn.set_num_threads(3)
    model = nn.Sequential([nn.Input((512,)), nn.Dense(512, activation="relu"), nn.Dense(2)], seed=0)
    model.build((1, 512))
    f, x = model.predict_fn(), np.ones((64, 512), "float32")
    for _ in range(3):
        expected = f(x).tobytes()
    assert len(os.listdir("/proc/self/task")) >= 3
    pid = os.fork()  # the child makes its workers anew, on stacks that are there
    if pid == 0:
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
        hold = []
        for n in (100_000, 4_000, 1_000, 600, 520):
            try:
                while True:
                    hold.append(bytearray(n))
            except MemoryError:
                pass
        for _ in range(20):
            try:
                f(x)
            except MemoryError:
                pass
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os._exit(0 if f(x).tobytes() == expected else 3)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 0, code
"""


def run(code, *arguments):
    """Run code in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *arguments],
        capture_output=True, text=True, timeout=240, check=False, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@linux
@pytest.mark.timeout(240)
@pytest.mark.parametrize("threads", [1, 3])
def test_memory_error_leaves_the_model_as_it_was(threads):
    run(OUT_OF_MEMORY, str(threads))


@linux
@pytest.mark.timeout(60)
def test_workers_start_where_there_is_no_memory():
    """What a thread keeps for itself is not asked for at its first look: where it is refused, the C library aborts."""
    run(NO_ROOM_FOR_WORKERS)


class Once:
    """Raises MemoryError the first time it is called, in place of a function."""

    _unwatched = frozenset({"good"})  # no step depends on it

    def __init__(self, function, good=0):
        self.function, self.good = function, good

    def __call__(self, *args, **options):
        self.good -= 1
        if self.good == -1:
            raise MemoryError("out of memory, for the test")
        return self.function(*args, **options)


def prepared():
    layers = [nn.Dense(8), nn.BatchNormalization(), nn.Dense(2)]
    model = nn.Sequential([nn.Input((20,)), *layers], seed=3)
    model.compile("adam", "cross_entropy", seed=0)
    model.build((1, 20))
    return model


def fitted(model):
    model.fit(X, Y, batch_size=16, verbose=0)
    return model.get_weights()


def same(a, b):
    return all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("where", ["first", "build", "apply"])
def test_memory_runs_out_in_the_optimizer(where, monkeypatch):
    """Slots that could not be made are made at the next try; running statistics are those from before."""
    model, expected = prepared(), fitted(prepared())
    before = model.get_weights()
    monkeypatch.setattr(model.optimizer, where, Once(getattr(model.optimizer, where)))
    with pytest.raises(MemoryError):
        fitted(model)
    assert same(model.get_weights(), before)
    assert same(fitted(model), expected)


@pytest.mark.parametrize("good", range(7))
def test_parameters_move_together_or_not_at_all(good, monkeypatch):
    model = prepared()
    tensors, before = model.parameters(), [t.buffer for t in model.parameters()]
    values = model.get_weights()
    monkeypatch.setattr(flat, "Tensor", Once(flat.Tensor, good))
    with pytest.raises(MemoryError):
        Flat(tensors)
    assert all(t.buffer is b for t, b in zip(tensors, before, strict=True))
    assert same(model.get_weights(), values)


def test_a_prediction_that_fails_during_fit_does_not_disturb_it():
    expected = fitted(prepared())
    model = prepared()

    def predict(batch, logs=None):
        run = model._prepared.one_pass
        model._prepared.one_pass = Once(run)
        with pytest.raises(MemoryError):
            model.predict(X, batch_size=16)
        model._prepared.one_pass = run

    model.predict(X, batch_size=16)
    model.fit(X, Y, batch_size=16, verbose=0, callbacks=[pynn.train.LambdaCallback(on_train_batch_end=predict)])
    assert same(model.get_weights(), expected)


def test_data_are_let_go_when_a_step_fails():
    model = prepared()
    x = X.copy()
    gone = weakref.ref(x)
    trainer = model._trainer
    real = trainer.cache.arenas
    trainer.cache.arenas = types.SimpleNamespace(take=Once(real.take), give=real.give)
    with pytest.raises(MemoryError):
        model.fit(x, Y, batch_size=16, verbose=0)
    del x
    gc.collect()
    assert gone() is None
