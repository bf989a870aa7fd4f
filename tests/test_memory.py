"""Memory: a model goes with its last reference, and many calls need no more than one."""

import contextlib
import gc
import os
import subprocess
import sys
import textwrap
import weakref

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.core import _core

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc and limits the address space")

R = np.random.default_rng(5)
X, Y = R.standard_normal((64, 20), np.float32), R.integers(0, 2, 64)
IMAGES, IDS = R.standard_normal((16, 8, 8, 3), np.float32), R.integers(1, 20, (16, 6))


def mlp():
    model = nn.Sequential([nn.Input((20,)), nn.Dense(8, activation="relu"), nn.Dropout(0.2), nn.Dense(2)])
    model.build((1, 20))
    return model


def used(model, x=X, y=Y, **options):
    """The model after everything that is done with models."""
    model.compile(metrics=["accuracy"], seed=0, **options)
    model.fit(x, y[: len(x)], epochs=2, batch_size=8, validation_split=0.25, verbose=0)
    model.evaluate(x, y[: len(x)])
    for rows in (1, 1, 3, len(x)):
        model.predict(x[:rows])
    f = model.predict_fn()
    f(x[:2])
    f(x[:2])
    return model


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.rest = nn.Dense(4), [nn.Dense(2)]

    def forward(self, x):
        return self.rest[0](self.first(x).relu())


def predicted():
    model = mlp()
    model.predict(X)
    model.predict(X[:1])
    return model


def stepped():
    model = mlp()
    model.compile()
    pynn.train.steps(model, X, Y).run(9)
    return model


def functional():
    x = nn.Input((20,))
    return used(nn.Model(x, nn.Dense(2)(nn.Add()([nn.Dense(4)(x), nn.Dense(4)(x)]))))


def images():
    layers = [nn.Conv2D(4, 3, kernel_regularizer="l2"), nn.BatchNormalization(), nn.MaxPool2D(2), nn.Flatten()]
    return used(nn.Sequential([nn.Input((8, 8, 3)), *layers, nn.Dense(2)]), IMAGES, optimizer=pynn.optim.SGD(0.1))


def batches():
    model = mlp()
    model.compile()
    model.fit([(X, Y), (X[:5], Y[:5])], epochs=2, verbose=0)
    model.train_on_batch(X, Y)
    model.profile(X, Y, steps=2)
    return model


def in_a_file(tmp_path):
    model = used(mlp())
    model.save(tmp_path / "m.pynn")
    again = pynn.load(tmp_path / "m.pynn")
    again.fit(X, Y, verbose=0)
    return again


def after_errors():
    model = mlp()
    model.compile()
    for x in (X[:, :3].copy(), np.full_like(X, np.nan)):
        with contextlib.suppress(ValueError):  # pytest.raises would keep the frames
            model.fit(x, Y, verbose=0)
    return used(model)


def graph():
    x = pynn.tensor(X, requires_grad=True)
    optimizer = pynn.optim.Adam().bind([x])
    (x * x).sum().backward()
    optimizer.step()
    return x


def estimator():
    from pynn.estimators import MLPClassifier

    return MLPClassifier(tol=10.0, n_iter_no_change=1).fit(X, Y).model_


MAKERS = {
    "built": mlp, "predicted": predicted, "used": lambda: used(mlp()),
    "twice compiled": lambda: used(used(mlp())), "eager": lambda: used(mlp(), run_eagerly=True), "stepped": stepped,
    "one layer, softmax": lambda: used(nn.Sequential([nn.Input((20,)), nn.Dense(2, activation="softmax")])),
    "a layer alone": lambda: used(nn.Dense(2, activation="softmax")), "of one's own": lambda: used(Own()),
    "functional": functional, "images": images, "batches": batches, "after errors": after_errors, "graph": graph,
    "ids": lambda: used(nn.Sequential([nn.Embedding(20, 8), nn.Bidirectional(nn.LSTM(4)), nn.Dense(2)]), IDS),
}  # fmt: skip


@pytest.fixture
def without_collector():
    """Let references alone decide."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def goes_with_its_last_reference(make):
    made = make()
    refs = [weakref.ref(made)]
    if isinstance(made, nn.Module):
        refs += [weakref.ref(w) for _, w in made.named_parameters()]
        refs += [weakref.ref(t) for t in (made._trainer, made._runner) if t is not None]
        assert len(refs) > 2
    del made
    return [r for r in refs if r() is not None] == []


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("name", MAKERS)
def test_a_model_goes_with_its_last_reference(name):
    assert goes_with_its_last_reference(MAKERS[name])


@pytest.mark.usefixtures("without_collector")
def test_a_loaded_model_goes_with_its_last_reference(tmp_path):
    assert goes_with_its_last_reference(lambda: in_a_file(tmp_path))


@pytest.mark.usefixtures("without_collector")
def test_an_estimators_model_goes_with_its_last_reference():
    pytest.importorskip("sklearn")
    assert goes_with_its_last_reference(estimator)


@pytest.mark.usefixtures("without_collector")
def test_training_leaves_no_cycles():
    used(mlp())
    gc.collect()
    used(mlp())
    assert gc.collect() == 0


@pytest.mark.usefixtures("without_collector")
def test_what_was_prepared_keeps_its_model():
    model = used(mlp())
    expected, gone = model.predict(X[:3]), weakref.ref(model)
    f, stepper = model.predict_fn(), pynn.train.steps(model, X, Y)
    del model
    np.testing.assert_array_equal(f(X[:3]), expected)
    np.testing.assert_array_equal(f(X[:3].tolist()), expected)
    stepper.run(3)
    del stepper
    assert not np.array_equal(f(X[:3]), expected)
    del f
    assert gone() is None


@pytest.mark.usefixtures("without_collector")
def test_old_programs_go_when_a_model_is_compiled_anew():
    model = used(mlp())
    trainer = weakref.ref(model._trainer)
    expected = model.predict(X[:3])
    model.compile("sgd", "mse")
    assert trainer() is None
    np.testing.assert_array_equal(model.predict(X[:3]), expected)


def python(code, *arguments):
    """Run code in a fresh interpreter; what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *arguments],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


GROWTH = """
    import gc, os
    import numpy as np
    from pynn import nn

    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    model = nn.Sequential([nn.Input((20,)), nn.Dense(64, activation="relu"), nn.Dense(2)], seed=0)
    model.compile("adam", "cross_entropy", ["accuracy"], seed=0)
    r = np.random.default_rng(0)
    x, y = r.standard_normal((256, 20)).astype("float32"), r.integers(0, 2, 256)
    f, row = model.predict_fn(), x[:1].copy()
    cases = {
        "predict_fn": (lambda: f(row), 50_000), "predict": (lambda: model.predict(row), 20_000),
        "fit": (lambda: model.fit(x, y, verbose=0, validation_split=0.25), 40),
        "evaluate": (lambda: model.evaluate(x, y), 200),
        "another shape": (lambda: f(x[: int(r.integers(1, 60))]), 300),
        "another model": (lambda: nn.Dense(500)(np.ones((1, 500), "float32")), 200),
    }
    for call, times in cases.values():
        for _ in range(min(times, 200)):
            call()
    for name, (call, times) in cases.items():
        gc.collect()
        before = resident()
        for _ in range(times):
            call()
        assert resident() - before < 1 << 20, (name, resident() - before)
"""


@linux
@pytest.mark.timeout(240)
def test_memory_does_not_grow():
    python(GROWTH)


@linux
def test_large_memory_asks_for_large_pages():
    """The mapping of a big buffer is marked for them, where the kernel knows such pages."""
    if not os.path.exists("/sys/kernel/mm/transparent_hugepage"):
        pytest.skip("this kernel has no transparent huge pages")
    held = _core.Buffer.new(1 << 26)
    middle = np.frombuffer(held, np.uint8).ctypes.data + held.nbytes // 2
    flags, inside = None, False
    with open("/proc/self/smaps", encoding="ascii") as file:
        for line in file:
            head = line.split(maxsplit=1)[0]
            if "-" in head:
                low, high = (int(part, 16) for part in head.split("-"))
                inside = low <= middle < high
            elif inside and head == "VmFlags:":
                flags = line.split()[1:]
    assert flags is not None
    assert "hg" in flags
