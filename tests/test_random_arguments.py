"""Hostile arguments and threads: bounded runs of two programs of tests/reliability, and what their long runs found."""

import os
import subprocess
import sys

import numpy as np
import pytest

import pynn
from pynn import nn, ops
from pynn.core.card import CARDS
from pynn.core.graph import execute
from pynn.errors import DTypeError, ShapeError

HERE = os.path.join(os.path.dirname(__file__), "reliability")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory and of time are Linux's")


def run(name, *words):
    """Run a program of the folder; it has no findings."""
    command = [sys.executable, "-P", os.path.join(HERE, name), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@linux
def test_cards_take_or_refuse_random_arguments():
    run("random_arguments.py", "--calls", "300", "--seed", "7", "--kinds", "cards")


@linux
def test_public_names_survive_random_arguments():
    """Kinds of errors are for longer runs: every new name is another draw here."""
    run("random_arguments.py", "--calls", "250", "--seed", "7", "--kinds", "examples,calls", "--grave")


@linux
def test_pairs_of_calls_in_two_threads():
    run("thread_pairs.py", "--pairs", "24", "--seconds", "0.1", "--seed", "7")


def test_pairs_of_calls_in_two_threads_of_this_process():
    """As above without a process of its own, for a sanitizer that does not follow forks, and calls an update beside a
    prediction a race, which reads weights as they are."""
    run("thread_pairs.py", "--pairs", "12", "--seconds", "0.1", "--seed", "8", "--together", "--reading")


# What the first long runs found


def t(*shape, dtype="float32"):
    return pynn.tensor(np.zeros(shape, dtype))


@pytest.mark.parametrize(
    ("name", "operands", "attrs"),
    [
        ("batch_scaled", (t(4, 2, dtype="uint8"), t(4, dtype="int64"), t(0, dtype="int64")), {"n": 1}),
        ("batch_scaled", (t(4, 2), t(4, dtype="int64"), t(1, dtype="int64")), {"n": 1}),
        ("batch_rows", (t(4, 2), t(4, dtype="int64"), t(0, dtype="int64")), {"n": 1}),
        ("batch_rows", (t(4, 2), t(4), t(1, dtype="int64")), {"n": 1}),
        ("max", (t(4, 2),), {"axis": 0, "stop": 10**30}),
        ("sum", (t(4, 2),), {"axis": 1, "stop": 7}),
        ("silu.grad", (t(1), t(4, 2)), {}),
        ("slice", (t(4, 2),), {"starts": (1, 0), "steps": (1, 1), "sizes": (3, 6)}),
        ("slice", (t(4, 2),), {"starts": (0, 1), "steps": (1, -1), "sizes": (4, 3)}),
        ("slice", (t(4, 2),), {"starts": (-1, 0), "steps": (1, 1), "sizes": (1, 1)}),
        ("slice", (t(4, 2),), {"starts": (0,), "steps": (1,), "sizes": (1,)}),
        ("clip_value", (np.ones((2, 3), "f4"),), {"limit": 1.0}),
        ("cast", (t(4, 2),), {"dtype": "float32 or so"}),
        ("zeros", (), {"shape": (3,), "dtype": 3.5}),
    ],
)
def test_a_card_refuses_what_its_kernel_cannot_read(name, operands, attrs):
    if name == "batch_scaled":
        attrs = {**attrs, "dtype": np.dtype("float32"), "scale": 1.0}
    with pytest.raises((ShapeError, DTypeError), match=rf"\[{name}\] .*Received"):
        execute(CARDS[name], operands, attrs)


def test_erasing_areas_that_are_none_are_refused():
    """The kernel looked for a rectangle without end."""
    images, draws = t(2, 4, 4, 1), t(2, 5)
    for area, aspect in (((-1.0, -1.0), (0.5, 2.0)), ((0.1, 0.2), (-1.0, 1.0)), ((np.nan, 1), (1, 1))):
        with pytest.raises(ValueError, match=r"\[erase\] expected (area|aspect)"):
            execute(CARDS["erase"], (images, draws), {"p": 1.0, "area": area, "aspect": aspect})


def _nested():
    made = []
    for _ in range(5000):
        made = [made]
    return made


@pytest.mark.parametrize(
    "call",
    [
        lambda: pynn.io.loads(2**40),
        lambda: pynn.io.save(3, "file"),
        lambda: pynn.jacobian(lambda x: 3, [1.0]),
        lambda: pynn.graph(np.ones(3)),
        lambda: nn.reset_states(3),
        lambda: pynn.metrics.higher_is_better(3),
        lambda: pynn.audio.mono([[[1.0]]]),
        lambda: pynn.init.fans((np.inf, 3)),
        lambda: pynn.random.normal((2,), mean=10**400),
        lambda: ops.copy(t(2), "out"),
        lambda: pynn.random.uniform((np.inf,)),
        lambda: pynn.viz.plot_frontier(lambda x: x[:, 0], [[1j, 2.0]], [0]),
        lambda: pynn.export.c_source(nn.Dense(2), "a b", "a.h"),
        lambda: pynn.train.ProgressBar(file=[1]),
        lambda: ops.dropout(t(2), 0.5, seed=2**70),
        lambda: pynn.optim.SGD(_nested()),
        lambda: nn.Input(_nested()),
        lambda: nn.Sequential([_nested()]),
        lambda: pynn.losses.get(_nested()),
        lambda: pynn.schedules.get(10**400),
    ],
)
def test_arguments_of_another_kind_are_refused(call):
    """They were AttributeError, OverflowError, RecursionError, or 2**40 bytes of zeros."""
    with pytest.raises((ValueError, TypeError), match="expected") as caught:
        call()
    assert len(str(caught.value)) < 1000


def test_a_model_that_gets_a_layer_while_it_is_saved_is_refused(tmp_path):
    """The file told of a layer that had no record, and replaced a good one."""
    path = tmp_path / "a.pynn"

    @pynn.register
    class Growing(nn.Dense):
        grows = False

        def _record(self, scribe, place):
            if self.grows:
                model.add(nn.Activation("tanh"))
            return super()._record(scribe, place)

    model = nn.Sequential([nn.Input((3,)), Growing(2)])
    model.save(path)
    Growing.grows = True
    with pytest.raises(RuntimeError, match=r"\[save\] expected a model whose layers stay"):
        model.save(path)
    assert len(pynn.load(path).layers) == 1


def test_a_trace_leaves_the_activations_in():
    """They were taken out of the layers for a moment, for whoever predicted in another thread, or saved."""
    seen = []

    class Watched(nn.Dense):
        def forward(self, x):
            seen.append(model.layers[0]._function)
            return super().forward(x)

    model = nn.Sequential([nn.Input((3,)), Watched(4, "tanh"), nn.Dense(2, "softmax")])
    model.compile("sgd", "mse")
    before = model.layers[0]._function
    pynn.viz.trace(model, np.ones((1, 3)), np.ones((1, 2)))
    assert seen
    assert set(seen) == {before}
    bare = model.layers[0].without_activation()
    assert bare.w is model.layers[0].w
    assert not np.array_equal(bare(np.ones((1, 3), "f4")).numpy(), model.layers[0](np.ones((1, 3), "f4")).numpy())
