"""Runs: programs have no memory, so any number of trainings, evaluations and predictions may be under way at once."""

import ctypes
import threading

import numpy as np
import pytest

import pynn
from pynn import models, nn, ops
from pynn.core import _core
from pynn.core.card import Card, Lowered, Spec
from pynn.core.flat import Slots
from pynn.core.graph import execute
from pynn.core.program import plan, record
from pynn.core.tensor import DTYPE_INDEX, Tensor
from pynn.errors import DataError, ShapeError
from pynn.io import model_file
from pynn.ops import steps
from pynn.train import LambdaCallback
from pynn.train.data import external

RNG = np.random.default_rng(3)
X = RNG.standard_normal((64, 6), np.float32)
Y = RNG.integers(0, 3, 64)


def mlp(*inner, **settings):
    model = nn.Sequential([nn.Input((6,)), nn.Dense(8, activation="tanh"), *inner, nn.Dense(3)], seed=1)
    model.compile(**{"optimizer": "adam", "loss": "cross_entropy", "seed": 5, **settings})
    return model


def bits(model):
    return [w.tobytes() for w in model.get_weights()]


def at_once(*works):
    """Run functions in threads of their own; raises what the first of them raised."""
    failed = []

    def run(work):
        try:
            work()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not any(t.is_alive() for t in threads)
    if failed:
        raise failed[0]


# A program and its runs


def doubling(n=5):
    x, y = external(np.ones(n, np.float32)), external(np.zeros(n, np.float32))
    with record(x, y) as recorder:
        ops.copy(ops.exp(x) + 1.0, out=y)
    return plan(recorder)


def test_runs_of_one_program_do_not_see_each_other():
    program = doubling()
    first, second = program.start(), program.start()
    xs = [np.full(5, value, np.float32) for value in (0, 1)]
    ys = [np.zeros(5, np.float32) for _ in xs]
    for run, x, y in zip((first, second), xs, ys, strict=True):
        run.bind(0, x)
        run.bind(1, y)
    for run in (first, second, first):
        assert run.run() == (1, 0)
    np.testing.assert_allclose(ys[0], 2)
    np.testing.assert_allclose(ys[1], np.e + 1, rtol=1e-6)


def test_a_run_needs_all_its_inputs():
    run = doubling().start()
    with pytest.raises(RuntimeError, match=r"2 not bound"):
        run.run()
    run.bind(0, np.ones(5, np.float32))
    run.bind(1, np.ones(5, np.float32))
    run.run()
    run.release()
    with pytest.raises(RuntimeError, match=r"2 not bound"):
        run.run()


def test_what_is_bound_is_as_large_as_what_was_recorded():
    run = doubling().start()
    with pytest.raises(ValueError, match=r"slot 0 was recorded with 20 bytes\. Received: 16"):
        run.bind(0, np.ones(4, np.float32))


def test_all_inputs_at_once():
    run, y = doubling().start(), np.zeros(5, np.float32)
    run.bind_all([np.zeros(5, np.float32), y])
    run.run()
    assert (y == 2).all()
    with pytest.raises(ValueError, match=r"slot 1 was recorded with 20 bytes\. Received: 16"):
        run.bind_all([np.zeros(5, np.float32), y[:4]])
    with pytest.raises(RuntimeError, match="2 not bound"):
        run.run()
    with pytest.raises(ValueError, match=r"2 input slots\. Received: 1"):
        run.bind_all([y])


def test_an_arena_must_be_large_enough():
    with pytest.raises(ValueError, match="too small"):
        doubling().start(_core.Buffer.new(1))


# Kernels that move rows keep within what is bound


@pytest.mark.parametrize(
    ("rows", "order", "room", "offset"),
    [(10, 10, 10, 7), (10, 10, 10, -1), (10, 3, 10, 0), (3, 10, 10, 0), (10, 10, 3, 0), (10, 10, 10, 2**62)],
    ids=["end", "before", "order", "data", "room", "far"],
)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_rows_beyond_the_data_are_refused(rows, order, room, offset, dtype):
    x = np.ones((10, 3), dtype)
    tensors = [external(a) for a in (x, np.arange(10), np.zeros((10, 3), np.float32))]
    slots = Slots()
    with record(*tensors, slots.offset) as recorder:
        found = steps.batch(tensors[0], tensors[1], slots, 4, np.float32)
        steps.store_rows(found, slots, tensors[2], 4)
    run = plan(recorder).start()
    out = np.full((room + 4, 3), 9, np.float32)  # what lies behind the room must stay
    for slot, array in enumerate((x[:rows].copy(), np.arange(order), out[:room], np.array([offset]))):
        run.bind(slot, array)
    _, status = run.run()
    assert status == 2
    assert (out == 9).all()
    run.bind(0, x)
    run.bind(1, np.arange(10))
    run.bind(2, out[:10] if room == 10 else np.zeros((10, 3), np.float32))
    run.bind(3, np.array([6]))
    assert run.run() == (1, 0)


def test_a_row_number_beyond_the_data_is_refused_eagerly_too():
    slots = Slots()
    x = Tensor.state(np.zeros((4, 2), np.float32))
    with pytest.raises(DataError, match="beyond the data"):
        steps.batch(x, Tensor.state(np.array([0, 4])), slots, 2, np.float32)


def test_outputs_of_another_shape_are_not_stored():
    to = Tensor.state(np.zeros((8, 3), np.float32))
    with pytest.raises(ShapeError, match=r"expected outputs of shape \(4, 3\).*Received: \(3,\)"):
        steps.store_rows(Tensor.state(np.zeros(3, np.float32)), Slots(), to, 4)


# Networks whose rows are not what they seem


class Squeezed(nn.Module):
    """Drops the axis of the samples where there is one."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Dense(8)

    def forward(self, x):
        y = self.inner(x)
        return ops.reshape(y, (8,)) if y.shape[0] == 1 else y


class OneBatch(nn.Module):
    """Has a batch of one built into it."""

    def forward(self, x):
        return ops.reshape(x, (1, -1, 2))


class Mixed(nn.Module):
    """Takes the mean over the first axis off, as what treats rows together does."""

    def forward(self, x):
        return x - ops.mean(x, axis=0, keepdims=True)


def test_a_network_that_drops_the_axis_of_one_row():
    model = Squeezed()
    want = model(X).numpy()
    np.testing.assert_array_equal(model.predict(X, batch_size=32), want)
    with pytest.raises(ShapeError, match=r"\[predict\] expected outputs whose first axis.*help"):
        model.predict(X[:33], batch_size=32)
    with pytest.raises(ShapeError, match="first axis"):
        model.predict(X[:1])
    model.compile("sgd", "mse")
    with pytest.raises((ShapeError, DataError)):
        model.fit(X, np.zeros((64, 8), np.float32), batch_size=21, verbose=0)


@pytest.mark.parametrize("n", [1, 5, 64, 300])
def test_a_batch_of_one_runs_row_by_row(n):
    model = OneBatch()
    model(X[:1])
    x = RNG.standard_normal((n, 6), np.float32)
    np.testing.assert_array_equal(model.predict(x), x.reshape(n, 3, 2))
    if n > 1:
        np.testing.assert_array_equal(model.predict(x), x.reshape(n, 3, 2))


@pytest.mark.parametrize("eagerly", [False, True])
def test_rows_that_are_computed_together_stay_together(eagerly):
    model = Mixed()
    model(X)
    if eagerly:
        model.compile("sgd", "mse", run_eagerly=True)
    for _ in range(2):
        np.testing.assert_allclose(model.predict(X, batch_size=16), X - X.mean(0), rtol=1e-5, atol=1e-6)


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Dense(4), nn.Dense(2)

    def forward(self, x):
        h = self.a(x)
        return {"h": h, "both": (self.b(h), None), "sum": [ops.sum(h, axis=1)]}


def test_several_outputs_are_prepared():
    model = Several()
    want = model(X)
    f = model.predict_fn(batch_size=16)
    for call in (f, f, model.predict, model.predict):
        got = call(X)
        assert list(got) == ["h", "both", "sum"]
        np.testing.assert_allclose(got["h"], want["h"].numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(got["both"][0], want["both"][0].numpy(), rtol=1e-5, atol=1e-6)
        assert got["both"][1] is None
        np.testing.assert_allclose(got["sum"][0], want["sum"][0].numpy(), rtol=1e-5, atol=1e-6)


def test_states_that_are_not_by_samples_come_whole_or_not_at_all():
    class States(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Dense(4)

        def forward(self, x):
            h = self.a(x)
            return h, ops.reshape(ops.sum(h, axis=0), (1, 1, 4))

    model = States()
    y, state = model(X)
    f = model.predict_fn()
    for _ in range(2):
        got = f(X)
        np.testing.assert_allclose(got[0], y.numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(got[1], state.numpy(), rtol=1e-5, atol=1e-5)
    with pytest.raises(ShapeError, match=r"batch_size=len\(x\)"):
        model.predict(X, batch_size=16)


# Threads


def test_predictions_and_evaluations_of_many_threads_are_those_of_one():
    model = mlp(metrics=["accuracy", pynn.metrics.TopK(k=2)])
    model.build((1, 6))
    x = RNG.standard_normal((700, 6), np.float32)
    y = RNG.integers(0, 3, 700)
    want, measured = model.predict(x), model.evaluate(x, y)

    def work():
        for _ in range(15):
            np.testing.assert_array_equal(model.predict(x), want)
            assert model.evaluate(x, y) == measured

    at_once(*[work] * 4)


def test_predictions_beside_a_training_change_nothing_of_it():
    model, alone = mlp(nn.Dropout(0.2)), mlp(nn.Dropout(0.2))
    alone.fit(X, Y, batch_size=8, epochs=30, verbose=0)
    done = threading.Event()

    def train():
        try:
            model.fit(X, Y, batch_size=8, epochs=30, verbose=0)
        finally:
            done.set()

    def look():
        while not done.is_set():
            assert np.isfinite(model.predict(X)).all()
            assert np.isfinite(model.evaluate(X, Y)["loss"])

    model.build((1, 6))
    at_once(train, look, look)
    assert bits(model) == bits(alone)


def test_two_threads_that_train_one_model():
    model = mlp()
    inside, go = threading.Event(), threading.Event()

    def hold(batch, logs=None):
        inside.set()
        assert go.wait(30)

    def other():
        assert inside.wait(30)
        try:
            with pytest.raises(RuntimeError, match=r"\[fit\] expected a model that no other thread trains.*help"):
                model.fit(X, Y, verbose=0)
            with pytest.raises(RuntimeError, match=r"\[train_on_batch\]"):
                model.train_on_batch(X, Y)
        finally:
            go.set()

    at_once(lambda: model.fit(X, Y, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=hold)]), other)
    model.fit(X, Y, verbose=0)  # and afterwards it may


def test_what_is_saved_beside_a_training_is_of_one_moment():
    """With no learning but the same rate for all weights, every weight has made as many steps as the others."""
    model = nn.Sequential([nn.Input((4,)), *(nn.Dense(64, kernel_initializer="zeros") for _ in range(3))])
    model.compile(pynn.optim.SGD(1.0), "mse", seed=0)
    model.build((1, 4))
    done = threading.Event()

    def train():
        try:
            model.fit(np.ones((512, 4), np.float32), np.ones((512, 64), np.float32), epochs=20, batch_size=1, verbose=0)
        finally:
            done.set()

    def save():
        while not done.is_set():
            models.loads(model_file.dumps(model))
            model.get_weights()

    at_once(train, save)


# Inside callbacks


INNER = {
    "predict": lambda model: model.predict(X),
    "evaluate": lambda model: model.evaluate(X, Y),
    "predict_fn": lambda model: model.predict_fn()(X[:3]),
    "save": lambda model: model_file.dumps(model),
}


@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end", "on_epoch_begin", "on_epoch_end"])
@pytest.mark.parametrize("what", INNER)
def test_looking_at_a_model_inside_a_callback_changes_nothing(what, hook):
    model, alone = mlp(metrics=["accuracy"]), mlp(metrics=["accuracy"])
    plain = alone.fit(X, Y, batch_size=16, epochs=2, verbose=0).history
    look = LambdaCallback(**{hook: lambda *_: INNER[what](model)})
    model.build((1, 6))
    assert model.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=[look]).history == plain
    assert bits(model) == bits(alone)


@pytest.mark.parametrize("rows", [5, 16, 64])
def test_a_training_inside_a_callback_makes_its_own_steps(rows):
    """The steps of both are those of two trainings one after the other, batch by batch."""
    model, apart = mlp(optimizer="sgd"), mlp(optimizer="sgd")
    inner = LambdaCallback(on_train_batch_end=lambda *_: model.train_on_batch(X[:rows], Y[:rows]))
    model.fit(X, Y, batch_size=16, shuffle=False, verbose=0, callbacks=[inner])
    for i in range(0, 64, 16):
        apart.train_on_batch(X[i : i + 16], Y[i : i + 16])
        apart.train_on_batch(X[:rows], Y[:rows])
    assert bits(model) == bits(apart)
    assert model._trainer.slots.get("step") == 8


def test_the_epoch_of_an_outer_training_counts_its_own_batches():
    model, alone = mlp(optimizer=pynn.optim.SGD(0.0)), mlp(optimizer=pynn.optim.SGD(0.0))
    want = alone.fit(X, Y, batch_size=16, verbose=0).history["loss"]
    inner = LambdaCallback(on_train_batch_end=lambda *_: model.fit(X[:7], Y[:7], epochs=2, verbose=0))
    assert model.fit(X, Y, batch_size=16, verbose=0, callbacks=[inner]).history["loss"] == want


def test_an_inner_training_that_ends_early_does_not_end_the_outer_one():
    model, epochs = mlp(), []

    def inner(epoch, logs=None):
        epochs.append(epoch)
        stop = LambdaCallback(on_epoch_end=lambda *_: setattr(model, "stop_training", True))
        model.fit(X, Y, epochs=5, verbose=0, callbacks=[stop])

    model.fit(X, Y, epochs=3, verbose=0, callbacks=[LambdaCallback(on_epoch_end=inner)])
    assert epochs == [0, 1, 2]


def test_a_step_inside_a_step_is_refused():
    class Trains(pynn.losses.Loss):
        name = "trains"

        def each(self, y_pred, y_true):
            model.train_on_batch(X, Y)
            return ops.mean(ops.square(y_pred), axis=1)

    model = mlp()
    model.compile("sgd", Trains(), run_eagerly=True)
    before = bits(model) if model.built else None
    with pytest.raises(RuntimeError, match=r"\[train_on_batch\] expected a call between two steps.*help"):
        model.fit(X, np.zeros((64, 3), np.float32), verbose=0)
    assert before is None or bits(model) == before


# What comes between backward and update


def test_a_sum_over_two_ranks_is_one_instruction_and_one_process_with_twice_the_batch():
    """Two threads stand for two processes: a kernel meets the other rank's, and adds the gradients of both."""
    meeting, parts = threading.Barrier(2, timeout=30), {}
    kernel_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    kept = []

    def all_reduce(rank, size):
        def kernel(instr):
            address = ctypes.cast(instr + 8, ctypes.POINTER(ctypes.c_void_p))[0]  # arg[0], after fn
            mine = np.ctypeslib.as_array((ctypes.c_float * size).from_address(address))
            parts[rank] = mine.copy()
            meeting.wait()
            mine[:] = (parts[0] + parts[1]) / 2
            meeting.wait()
            return 0

        pointer = kernel_type(kernel)
        kept.append(pointer)
        name = f"mock_sum_{rank}"
        _core.register_kernel(name, DTYPE_INDEX[np.dtype("float32")], ctypes.cast(pointer, ctypes.c_void_p).value)

        def infer(anchor):
            return Lowered((Spec((size,), np.dtype("float32")),), (size,), dtype=np.dtype("float32"))

        card = Card(name, infer, name, mutates=True, differentiable=False)
        anchor = Tensor.state(np.zeros(1, np.float32))
        return lambda grads: execute(card, (anchor,), out=(grads,))

    whole, ranks = mlp(), [mlp(), mlp()]
    whole.fit(X, Y, batch_size=32, epochs=3, shuffle=False, verbose=0)
    for rank, model in enumerate(ranks):
        model.build((1, 6))
        model._trainer.flatten()
        model._trainer.before_update.append(all_reduce(rank, model._trainer.flat.grads.size))

    def train(rank):
        rows = np.concatenate([np.arange(i + 16 * rank, i + 16 * rank + 16) for i in range(0, 64, 32)])
        ranks[rank].fit(X[rows], Y[rows], batch_size=16, epochs=3, shuffle=False, verbose=0)

    at_once(lambda: train(0), lambda: train(1))
    assert bits(ranks[0]) == bits(ranks[1])
    for a, b in zip(ranks[0].get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    (program,) = (r.program for r in ranks[0]._trainer.cache if r.key[0] == "train")
    assert [instr.card.name for instr in program.instrs].count("mock_sum_0") == 1


# States


def test_stateful_layers_are_validated_in_batches_of_the_training():
    model = nn.Sequential([nn.Input((3, 2)), nn.LSTM(4, stateful=True), nn.Dense(1)], seed=0)
    model.compile("sgd", "mse")
    x, y = RNG.standard_normal((32, 3, 2), np.float32), np.zeros((32, 1), np.float32)
    history = model.fit(x, y, batch_size=8, shuffle=False, validation_data=(x[:16], y[:16]), verbose=0).history
    assert np.isfinite(history["val_loss"]).all()
    with pytest.raises(ShapeError, match=r"whole batches of 8 rows.*Received: 12 rows.*help"):
        model.fit(x, y, batch_size=8, shuffle=False, validation_data=(x[:12], y[:12]), verbose=0)


class OfFour(nn.Module):
    """Has its batch size built in."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Dense(2)

    def forward(self, x):
        return ops.reshape(self.lin(x), (4, 2))


def test_a_built_in_batch_size_is_told_where_it_does_not_fit():
    model = OfFour()
    x = np.ones((8, 3), np.float32)
    model(x[:4])
    assert model.predict(x, batch_size=4).shape == (8, 2)
    with pytest.raises(ShapeError) as found:
        model.predict(x)
    assert "This pass had 8 of 8 samples. help: batch_size=" in found.value.__notes__[0]
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError) as found:
        model.fit(x, np.zeros((8, 2)), batch_size=4, verbose=0)
    assert "tried on one sample" in found.value.__notes__[0]
