"""The bytes that a profile says are moved."""

import types

import numpy as np

from pynn import nn, optim, schedules
from pynn.train import profile as profiling


def rows_by_op(model, x, y, **options):
    profile = model.profile(x, y, steps=2, **options)
    return profile, {row.op: row for row in profile.rows}


def test_bytes_of_a_perceptron():
    model = nn.Sequential([nn.Input((10,)), nn.Dense(16), nn.Dense(16)])
    model.compile(optim.Adam(1e-3), "mse", seed=0)
    x = np.ones((64, 10), np.float32)
    profile, rows = rows_by_op(model, x, np.ones((64, 16), np.float32), batch_size=8)
    sizes = 10 * 16, 16, 16 * 16, 16  # each on a 64-byte border: all are multiples of 16 numbers
    adam = rows["adam"]
    counts = 4 * 8  # how often each parameter was updated
    assert adam.written == 3 * 4 * sum(sizes) + counts  # parameters and two slots
    assert adam.read == 4 * 4 * sum(sizes) + counts + 2 * 8  # and gradients, the rate, the cursor
    first = profile.rows[[row.op for row in profile.rows].index("dense")]
    assert (first.read, first.written) == (4 * (8 * 10 + 10 * 16 + 16), 4 * 8 * 16)
    assert rows["batch_rows"].read == rows["batch_rows"].written + 8 * 8 + 0
    assert min(row.flops for row in profile.rows) == 0  # ops that only move numbers
    assert first.flops >= 2 * 8 * 10 * 16
    assert profile.read == sum(row.read for row in profile.rows)
    assert profile.written == sum(row.written for row in profile.rows)
    head, *_, total = profile.table()
    assert head[-2:] == ["KB read", "KB written"]
    assert total[-2:] == [f"{profile.read / 1e3:.1f}", f"{profile.written / 1e3:.1f}"]


def test_of_a_table_only_the_rows_that_are_looked_up():
    model = nn.Sequential([nn.Embedding(1000, 4), nn.Flatten(), nn.Dense(2)])
    model.compile("sgd", "cross_entropy", seed=0)
    ids = np.arange(60).reshape(20, 3)
    _, rows = rows_by_op(model, ids, np.zeros(20, int), batch_size=5)
    looked_up = 5 * 3 * 4 * 4
    ids_read = 5 * 3 * 4
    assert (rows["embedding"].read, rows["embedding"].written) == (looked_up + ids_read, looked_up)
    backward = rows["embedding.rows"]
    assert (backward.read, backward.written) == (2 * looked_up + ids_read, 2 * looked_up)


def test_a_profile_times_steps_in_the_middle_of_a_native_call(monkeypatch):
    """The first step may clear the whole table of an embedding, later ones clear the touched rows."""
    model = nn.Sequential([nn.Embedding(1000, 4), nn.Flatten(), nn.Dense(2)])
    model.compile(optim.SGD(schedules.Exponential(0.1, rate=0.5, every=10)), "cross_entropy", seed=0)
    ids = np.arange(60).reshape(20, 3)
    model.fit(ids, np.zeros(20, int), batch_size=5, verbose=0)
    trainer, cursors = model._trainer, []
    find = profiling.recording

    class Spied:
        def __init__(self, inner):
            self.inner = inner

        def __len__(self):
            return len(self.inner)

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def start(self):
            return Spied(self.inner.start())

        def run_timed(self, times):
            cursors.append(trainer.slots.get("cursor"))
            return self.inner.run_timed(times)

    def spied(*args):
        found = find(*args)
        return types.SimpleNamespace(program=Spied(found.program))

    monkeypatch.setattr(profiling, "recording", spied)
    rate, step = model.optimizer.learning_rate, trainer.slots.get("step")
    model.profile(ids, np.zeros(20, int), batch_size=5, steps=3)
    assert cursors == [0, 1, 1, 1]  # the first is not counted
    assert (model.optimizer.learning_rate, trainer.slots.get("step")) == (rate, step)
