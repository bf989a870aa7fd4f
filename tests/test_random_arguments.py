"""Hostile arguments and threads: bounded runs of two programs of tests/reliability, and what their long runs found."""

import os
import subprocess
import sys

import numpy as np
import pytest

import pynn
from pynn import nn, ops, testing
from pynn.core.card import CARDS
from pynn.core.graph import execute
from pynn.errors import DataError, DTypeError, ShapeError

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
    """Every new name is another draw here: what fails may be older than the change that shows it."""
    run("random_arguments.py", "--calls", "250", "--seed", "7", "--kinds", "examples,calls")


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
        ("slice.grad", (t(3, 1), t(4, 2)), {"starts": (0, 0), "steps": (1, 1), "sizes": (3, 2)}),
        ("slice.grad", (t(3, 2, dtype="float64"), t(4, 2)), {"starts": (0, 0), "steps": (1, 1), "sizes": (3, 2)}),
        ("take.grad", (t(1, 2), t(3, dtype="int64"), t(4, 2)), {"axis": 0}),
        ("transpose", (t(4, 2),), {"axes": np.array([1, 0])}),
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


def ints(*values):
    return pynn.tensor(np.array(values, np.int64))


RATE, NUMBERS = t(2, dtype="float64"), {"decay": 0.0, "slots": (), "numbers": ()}
SGD, LISTED = {**NUMBERS, "momentum": 0.0, "nesterov": False}, (t(2, dtype="int32"), t(2, dtype="int32"))


@pytest.mark.parametrize(
    ("name", "operands", "attrs", "state"),
    [
        ("sgd", (t(4), RATE, ints(0)), SGD, (t(4), None, None, None, None, None)),
        ("sgd", (t(4), RATE, ints(0)), SGD, (t(4), None, None, None, ints(1), None)[:4]),
        ("sgd", (t(4), RATE, ints(2)), SGD, (t(4), None, None, None, ints(1), None)),
        ("sgd", (t(4), RATE, ints(-1)), SGD, (t(4), None, None, None, ints(1), None)),
        ("sgd", (t(4), t(2), ints(0)), SGD, (t(4), None, None, None, ints(1), None)),
        ("sgd", (t(4), RATE, t(1)), SGD, (t(4), None, None, None, ints(1), None)),
        ("sgd", (t(4), RATE, ints()), SGD, (t(4), None, None, None, ints(1), None)),
        ("sgd", (t(4), RATE, ints(0)), {**SGD, "momentum": 0.5}, (t(4), None, None, None, ints(1), None)),
        ("sgd", (t(4), RATE, ints(0)), {**SGD, "k": 0}, (t(4), None, None, None, ints(1), None)),
        ("sgd", (t(4), RATE, ints(0)), {**SGD, "k": 3}, (t(4), None, None, None, ints(1), None)),
        (
            "sgd",
            (t(4), RATE, ints(0), *LISTED, ints(3)),
            {**SGD, "lazy": True},
            (t(4), None, None, None, ints(1), None),
        ),
        ("sgd", (t(4), RATE, ints(0), *LISTED, t(1)), {**SGD, "lazy": True}, (t(4), None, None, None, ints(1), None)),
        ("sgd", (t(4), RATE, ints(0), t(2), *LISTED), SGD, (t(4), None, None, None, ints(1), None)),
        ("log_loss", (t(), ints(1)), {"n": 3, "check": True}, (t(2, dtype="float64"), t(1, dtype="float64"))),
        ("log_loss", (t(0), ints(0)), {"n": 3, "check": True}, (t(2, dtype="float64"), t(1, dtype="float64"))),
        ("log_loss", (t(), ints(0)), {"n": 3, "check": True}, (t(2), t(1))),
        ("log_loss", (t(), ints(0)), {"n": 3, "check": True}, ()),
        (
            "count_correct",
            (t(2, 0), t(2, dtype="int32"), None),
            {"kind": 0, "threshold": 0.0},
            (t(2, dtype="float64"),),
        ),
        ("store_rows", (t(3, 2), ints(0)), {"rows": -7}, (t(4, 2),)),
        ("store_rows", (t(), ints(0)), {"rows": 1}, (t(4, 2),)),
        ("store_rows", (t(3, 2), ints(2)), {"rows": 4}, (t(4, 2),)),
        ("advance", (), {"steps": 1, "n": 2}, (ints(0), ints(0), t(1))),
        ("norm_track", (t(4), t(1)), {"momentum": 0.9}, (t(4), t(1))),
        ("norm_track", (t(4), t(4, dtype="float64")), {"momentum": 0.9}, (t(4), t(4, dtype="float64"))),
        ("embedding.rows", (t(1, 2), ints(5)), {"shape": (2, 2)}, (t(2, 2), *LISTED, ints(0), ints(0, 0))),
        ("embedding.rows", (t(1, 2), ints(1)), {"shape": (2, 2)}, (t(2, 2), *LISTED, ints(9), ints(1, 0))),
        ("embedding.rows", (t(1, 3), ints(1)), {"shape": (2, 2)}, (t(2, 2), *LISTED, ints(0), ints(0, 0))),
        ("embedding.rows", (t(1, 2), t(1)), {"shape": (2, 2)}, (t(2, 2), *LISTED, ints(0), ints(0, 0))),
    ],
)
def test_a_card_that_updates_state_refuses_state_that_is_none(name, operands, attrs, state):
    """Their kernels read and wrote outside it."""
    before = [None if s is None else s.numpy() for s in state]
    with pytest.raises((ShapeError, DTypeError, DataError, IndexError), match=rf"\[{name}\] .*expected"):
        execute(testing.all_ops()[name], operands, attrs, out=state)
    for was, now in zip(before, state, strict=True):
        assert was is None or np.array_equal(was, now.numpy())


def test_tables_of_words_that_lead_nowhere_are_refused():
    """Ids outside an alias table, a path, or the vectors were followed."""
    card = testing.all_ops()["word2vec_block"]
    found = 0
    for sample in testing.samples("word2vec_block"):
        operands = [None if x is None else pynn.tensor(x) for x in sample.inputs]
        state = tuple(map(pynn.core.tensor.Tensor.state, (np.asarray(s) for s in sample.state)))
        wrong = [(i, x) for i, x in enumerate(operands) if i >= 3 and x is not None and i != 6]
        for i, x in wrong:
            for value in (x.numpy() + 1000, x.numpy().astype(np.int64), x.numpy()[:-1]):
                given = [*operands[:i], pynn.tensor(value), *operands[i + 1 :]]
                with pytest.raises((ShapeError, DTypeError), match=r"\[word2vec_block\] expected"):
                    execute(card, tuple(given), sample.attrs, out=state)
                found += 1
    assert found > 20


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
        lambda: pynn.viz.principal_components(np.zeros((0, 3))),
        lambda: pynn.viz.principal_components([]),
        lambda: pynn.text.KeyedVectors([1, 2], [[1.0], [2.0]]),
        lambda: pynn.text.KeyedVectors(3, [[1.0]]),
        lambda: pynn.init.Zeros()((2**62, 2)),
        lambda: pynn.init.Initializer()((0, 10**400)),
        lambda: pynn.init.Zeros()((2,), "9" * 5000),
        lambda: t(2).astype("9" * 5000),
        lambda: pynn.random.normal((2,), dtype=("a", "b")),
        lambda: ops.huber(t(2, 2), t(2, 2), np.complex64(1)),
        lambda: ops.penalty(t(2), np.complex64(1)),
        lambda: ops.dropout(t(2), np.complex64(0)),
        lambda: ops.local_response_norm(t(2, 2), bias=np.complex64(1)),
        lambda: ops.mask_steps(t(2, 3), 1.0, 1),
        lambda: ops.mask_steps(t(2, 3), np.complex64(1), pynn.tensor(np.array([1, 2], np.int32))),
    ],
)
def test_arguments_of_another_kind_are_refused(call):
    """They were AttributeError, OverflowError, RecursionError, SyntaxError, or 2**40 bytes of zeros."""
    with pytest.raises((ValueError, TypeError), match=r"expected|unknown dtype") as caught:
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
