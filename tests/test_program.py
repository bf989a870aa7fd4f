"""The rules of capture, each as the footgun that it rules out, and the planner of a program's memory."""

import ctypes
import gc
import re
import warnings

import numpy as np
import pytest

import pynn
from pynn import config, nn, ops, optim, regularizers
from pynn.core import _core
from pynn.core.card import CARDS
from pynn.core.program import plan, record
from pynn.core.tensor import Tensor
from pynn.errors import CaptureError
from pynn.ops.activation import ELEMENTWISE, NAMES, named
from pynn.train.data import external

# Helpers


def blobs(n=50, d=6, classes=3, seed=0, dtype="float32"):
    """Return points that a small network can tell apart."""
    r = np.random.default_rng(seed)
    y = r.integers(0, classes, n)
    x = r.standard_normal((n, d)) + 1.5 * r.standard_normal((classes, d))[y]
    return x.astype(dtype), y


def mlp(*inner, d=6, out=3, hidden=8, **settings):
    """Return a compiled classifier with `inner` layers after the first."""
    options = {"optimizer": "sgd", "loss": "cross_entropy", "seed": 3, **settings}
    model = nn.Sequential([nn.Input((d,)), nn.Dense(hidden, activation="tanh"), *inner, nn.Dense(out)])
    model.compile(**options)
    return model


def bits(model):
    """Return all weights as bytes, to be compared exactly."""
    return [w.tobytes() for w in model.get_weights()]


def addresses(model):
    """Return where every parameter and every slot of the optimizer lies."""
    trainer = model._trainer
    slots = [t for t in vars(trainer.optimizer).values() if isinstance(t, Tensor)]
    return [w.buffer.address for _, w in model.named_parameters()] + [t.buffer.address for t in slots]


def programs(model):
    """Return the model's training programs."""
    return [r.program for r in model._trainer.cache if r.key[0] == "train"]


class Replay:
    """A function of arrays, recorded on one set of them and replayed on others, as a model's step is."""

    def __init__(self, function, *arrays):
        self.function = function
        inputs = [external(a) for a in arrays]
        with record(*inputs) as recorder:
            results = function(*inputs)
            self.results = [ops.copy(r, out=Tensor.state(np.zeros(r.shape, r.dtype))) for r in results]
        self.recorded = list(recorder.instrs)
        self.temporaries = {}
        for instr in self.recorded:
            for b in instr.buffers:
                if b is not None and b.kind == _core.TEMP:
                    self.temporaries[id(b.root())] = b.root().nbytes
        self.program = plan(recorder)
        self.arena = _core.Buffer.new(self.program.arena_bytes, _core.STATE)
        self.arena.array(np.uint8, (self.arena.nbytes,))[:] = 0xFF  # every float in it is NaN until it is written
        self.run = self.program.start(self.arena)

    def __call__(self, *arrays):
        for slot, array in enumerate(arrays):
            self.run.bind(slot, array)
        done, status = self.run.run(1)
        assert (done, status) == (1, 0)
        return [r.numpy() for r in self.results]

    def eager(self, *arrays):
        return [r.numpy() for r in self.function(*[pynn.tensor(a) for a in arrays])]


def assert_same_bits(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()


# The planner

UNARY = [name for name in ELEMENTWISE if name not in ("log", "sqrt", "clip")]  # of any number, without parameters
BINARY = ["add", "sub", "mul", "maximum", "minimum"]


def random_graph(r, shapes):
    """Return a function of three arrays: a random graph with shared results, aliases, reductions and dead ends."""
    steps = []
    count = len(shapes)
    for _ in range(int(r.integers(4, 25))):
        kind = r.choice(["unary", "binary", "binary", "same", "reshape", "row", "scalar", "product", "split"])
        steps.append((str(kind), int(r.integers(count)), int(r.integers(count)), int(r.integers(100))))
        count += 1
    chosen = sorted({int(i) for i in r.integers(0, count, 3)})

    def function(*inputs):
        values = list(inputs)
        for kind, i, j, k in steps:
            a, b = values[i], values[j]
            if kind == "unary":
                y = getattr(ops, UNARY[k % len(UNARY)])(ops.tanh(a))  # stays finite
            elif kind == "binary":
                y = getattr(ops, BINARY[k % len(BINARY)])(a, b.reshape(a.shape))
            elif kind == "same":
                y = ops.mul(a, a)
                y = ops.tanh(y)
            elif kind == "reshape":
                y = a.reshape(a.shape[::-1])
            elif kind == "row":
                y = ops.sub(a, ops.max(a, -1, True))
            elif kind == "scalar":
                y = ops.add(a * 0.5, ops.mean(b))
            elif kind == "product":
                y = ops.tanh(ops.dense(a, b.reshape(a.shape[::-1])))
                y = ops.dense(y, a)
                y = ops.tanh(y)
            else:
                y = ops.concat([a[1:], a[:1]], 0)
            values.append(y)
        return [values[i] for i in chosen]

    return function


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_replay_as_eager(seed):
    """In-place merging, sharing of memory and pruning change no bit, whatever the graph."""
    r = np.random.default_rng(seed)
    shape = tuple(int(n) for n in r.integers(2, 7, 2))

    def fresh():
        return [r.standard_normal(shape).astype("float32") for _ in range(3)]

    replay = Replay(random_graph(r, [shape] * 3), *fresh())
    for _ in range(2):
        arrays = fresh()
        kept = [a.copy() for a in arrays]
        assert_same_bits(replay(*arrays), replay.eager(*kept))
        assert_same_bits(arrays, kept)  # the inputs are somebody else's memory


def test_random_graphs_with_gradients_replay_as_eager():
    """The same with a backward pass in the program."""
    for seed in range(25):
        r = np.random.default_rng(1000 + seed)
        shape = tuple(int(n) for n in r.integers(2, 6, 2))
        graph = random_graph(r, [shape] * 3)

        def function(*inputs, graph=graph):
            leaves = [x.detach() for x in inputs]
            for leaf in leaves:
                leaf.requires_grad = True
            total = None
            for y in graph(*leaves):
                total = ops.mean(y) if total is None else total + ops.mean(y)
            found = []
            if total.requires_grad:
                total.backward()
                found = [leaf.grad for leaf in leaves if leaf.grad is not None]
            return [total, *found]

        arrays = [r.standard_normal(shape).astype("float32") for _ in range(3)]
        replay = Replay(function, *arrays)
        arrays = [r.standard_normal(shape).astype("float32") for _ in range(3)]
        assert_same_bits(replay(*arrays), replay.eager(*arrays))


def test_output_takes_the_input_that_is_dead():
    x = np.ones((64, 64), "float32")
    replay = Replay(lambda x: [ops.relu(ops.neg(ops.exp(x)))], x)
    assert replay.program.arena_bytes == x.nbytes  # one block for three results


@pytest.mark.parametrize("residual", [False, True])
def test_gradients_of_dense_layers_take_the_memory_of_what_is_dead(residual, monkeypatch):
    """dz lies where dy was and dx where y was, which saves two blocks; with a second reader of y or dy, it does not."""

    def trained():
        x = h = nn.Input((32,))
        for _ in range(4):
            y = nn.Dense(32, activation="tanh")(h)
            h = nn.Add()([y, h]) if residual else y
        model = nn.Model(x, nn.Dense(3)(h))
        model.compile(optimizer="sgd", loss="cross_entropy", seed=3)
        r = np.random.default_rng(0)
        model.fit(r.standard_normal((256, 32), np.float32), r.integers(0, 3, 256), batch_size=64, verbose=0)
        return model

    sharing = trained()
    monkeypatch.setattr(CARDS["dense.grad"], "inplace", False)
    apart = trained()
    assert bits(sharing) == bits(apart)
    less = programs(apart)[0].arena_bytes - programs(sharing)[0].arena_bytes
    block = 64 * 32 * 4
    assert less >= (0 if residual else 2 * block)


def test_input_that_is_read_again_is_not_overwritten():
    def function(x):
        a = ops.exp(x)
        b = ops.neg(a)  # must not take a's memory
        return [a + b, a * 2.0]

    x = np.linspace(-1, 1, 300, dtype="float32")
    replay = Replay(function, x)
    assert_same_bits(replay(x), replay.eager(x))


def test_operand_given_twice_is_not_merged_wrongly():
    def function(x):
        a = ops.exp(x)
        return [ops.sub(ops.mul(a, a), a)]

    x = np.linspace(-1, 1, 300, dtype="float32")
    replay = Replay(function, x)
    assert_same_bits(replay(x), replay.eager(x))


def test_alias_keeps_its_memory_alive():
    """A reshape has no instruction: the memory under it lives as long as the last reader of any of its shapes."""

    def function(x):
        a = ops.exp(x)
        flat = a.reshape(-1)
        b = ops.neg(a)
        c = ops.relu(b + 3.0)
        return [flat + c.reshape(-1)]

    x = np.linspace(-1, 1, 300, dtype="float32").reshape(10, 30)
    replay = Replay(function, x)
    assert_same_bits(replay(x), replay.eager(x))


def test_what_nobody_reads_is_dropped():
    def function(x):
        for _ in range(5):
            ops.exp(ops.dense(x, x))  # a dead end
        return [ops.neg(x)]

    replay = Replay(function, np.ones((8, 8), "float32"))
    assert [i.card.name for i in replay.program.instrs] == ["neg", "copy"]
    assert len(replay.recorded) == 12


def test_state_is_changed_even_if_nobody_reads_it():
    model = mlp(optimizer="adam")
    x, y = blobs(32)
    model.fit(x, y, batch_size=16, verbose=0)
    names = [instr.card.name for instr in programs(model)[0].instrs]
    assert names[-1] == "advance"
    assert any("adam" in name for name in names)
    assert "log_loss" in names


def test_arena_is_smaller_than_the_sum_of_temporaries():
    def function(x):
        for _ in range(20):
            x = ops.tanh(ops.dense(x, x))
        return [x]

    replay = Replay(function, np.full((32, 32), 0.01, "float32"))
    assert replay.program.arena_bytes < 0.2 * sum(replay.temporaries.values())


def test_blocks_that_live_together_do_not_overlap():
    """Many results that are all read at the end: each needs a place of its own, in spite of odd sizes."""

    def function(x):
        parts = [ops.exp(x[: k + 1]) for k in range(20)]
        total = ops.sum(parts[0])
        for p in parts[1:]:
            total = total + ops.sum(p)
        return [total, *parts]

    x = np.linspace(-1, 1, 37 * 20, dtype="float32").reshape(20, 37)
    replay = Replay(function, x)
    assert_same_bits(replay(x), replay.eager(x))


def test_unused_output_of_a_kernel_still_has_a_place():
    """dense.grad makes dx, dw and db in one kernel: where only dw is read, the others may not fall on live memory."""

    def function(x, w):
        leaf = w.detach()
        leaf.requires_grad = True
        inner = x.detach()
        inner.requires_grad = True
        h = ops.dense(inner, leaf, None, "tanh")
        loss = ops.mean(ops.square(h))
        loss.backward()
        return [leaf.grad + ops.mean(h)]

    r = np.random.default_rng(0)
    x, w = r.standard_normal((9, 5)).astype("float32"), r.standard_normal((5, 4)).astype("float32")
    replay = Replay(function, x, w)
    assert_same_bits(replay(x, w), replay.eager(x, w))


def test_guard_bytes_stay_intact_under_debugging():
    config.set_debug(True)
    try:
        model = mlp(nn.Dropout(0.2), nn.Maxout(4), optimizer="adam")
        x, y = blobs(37)
        model.fit(x, y, batch_size=16, epochs=2, verbose=0)
        trainer = model._trainer
        buffers = [model.parameters()[0].buffer, trainer.flat.grads.buffer, trainer.cache.arenas.idle[0]]
        for instr in (i for r in trainer.cache for i in r.program.instrs):
            buffers += [b for b in instr.buffers if b is not None]
        assert len(buffers) > 10
        assert all(b.guards_intact() for b in buffers)
        outside = ctypes.c_char.from_address(trainer.cache.arenas.idle[0].address - 1)
        kept, outside.value = outside.value, b"!"
        assert not trainer.cache.arenas.idle[0].guards_intact()  # the check can fail
        outside.value = kept
    finally:
        config.set_debug(False)


def test_arena_grows_and_old_programs_move_along():
    model = mlp()
    x, _ = blobs(200)
    model.predict(x[:2], batch_size=2)  # recorded, which is eager
    small = model.predict(x[:2], batch_size=2)
    before = model._trainer.cache.arenas.idle[0]
    for _ in range(2):
        model.predict(x, batch_size=200)
    after = model._trainer.cache.arenas.idle[0]
    assert after.nbytes > before.nbytes
    assert after is not before
    assert np.array_equal(model.predict(x[:2], batch_size=2), small)


# Rule 1: a program is keyed by all that it depends on


def test_partial_last_batch_is_a_second_program_in_the_same_arena():
    model = mlp()
    x, y = blobs(50)
    model.fit(x, y, batch_size=16, epochs=3, verbose=0)
    cache = model._trainer.cache
    assert cache.recordings == 2  # of 16 rows and of 2 rows, however many epochs
    assert len(programs(model)) == 2
    assert cache.arenas.idle[0].nbytes >= max(p.arena_bytes for p in programs(model))
    assert cache.arenas.idle[0].nbytes < sum(p.arena_bytes for p in programs(model))


def test_every_new_shape_is_recorded_anew_and_none_twice():
    model = mlp()
    cache = model._trainer.cache
    x, y = blobs(60)
    for n in (20, 30, 20, 30, 60):
        model.fit(x, y, batch_size=n, verbose=0)
    assert cache.recordings == 3
    model.predict(x)
    assert cache.recordings == 4
    model.predict(x)
    assert cache.recordings == 4


def test_other_rows_of_the_same_shape_replay_the_same_program():
    """The program must look at the data of this call, not at those it was recorded with."""
    model, other = mlp(), mlp()
    x, y = blobs(40)
    model.fit(x, y, batch_size=10, shuffle=False, verbose=0)
    model.fit(-x[::-1].copy(), y, batch_size=10, shuffle=False, verbose=0)
    assert model._trainer.cache.recordings == 1
    other.fit(x, y, batch_size=10, shuffle=False, run_eagerly=True, verbose=0)
    other.fit(-x[::-1].copy(), y, batch_size=10, shuffle=False, run_eagerly=True, verbose=0)
    assert bits(model) == bits(other)


def test_data_are_kept_alive_while_a_program_points_at_them():
    model, other = mlp(), mlp()
    model.fit(*blobs(40), batch_size=10, verbose=0)
    gc.collect()
    junk = [np.full((40, 6), np.nan, "float32") for _ in range(20)]  # where the freed data might have been
    model.fit(*blobs(40), batch_size=10, verbose=0)
    for _ in range(2):
        other.fit(*blobs(40), batch_size=10, run_eagerly=True, verbose=0)
    assert bits(model) == bits(other)
    assert len(junk) == 20


def test_training_and_inference_are_different_programs():
    model = mlp(nn.Dropout(0.9))
    x, y = blobs(16)
    model.fit(x, y, batch_size=16, verbose=0)
    one, two = model.predict(x, batch_size=16), model.predict(x, batch_size=16)
    assert np.array_equal(one, two)  # no dropout in predict


def test_weighted_batches_are_another_program():
    model, other = mlp(), mlp()
    x, y = blobs(32)
    w = np.linspace(0, 2, 32).astype("float32")
    for m, eager in ((model, False), (other, True)):
        m.fit(x, y, batch_size=16, verbose=0, run_eagerly=eager)
        m.fit(x, y, batch_size=16, sample_weight=w, verbose=0, run_eagerly=eager)
        m.fit(x, y, batch_size=16, verbose=0, run_eagerly=eager)
    assert bits(model) == bits(other)


def test_changed_layer_is_never_replayed_silently():
    x, y = blobs(32)
    model, other = mlp(nn.Dropout(0.1)), mlp(nn.Dropout(0.1))
    for m, eager in ((model, False), (other, True)):
        m.fit(x, y, batch_size=16, verbose=0, run_eagerly=eager)
        m.layers[1].rate = 0.8
        m.fit(x, y, batch_size=16, verbose=0, run_eagerly=eager)
    assert bits(model) == bits(other)


def test_replaced_layer_is_never_replayed_silently():
    """Whatever the new layer is: numbers of changes may not cancel out."""

    class Swaps(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Activation("tanh")
            self.rows = [nn.Dropout(0.1), nn.Activation("relu")]
            self.out = nn.Dense(3)

        def forward(self, x):
            x = self.inner(x)
            for row in self.rows:
                x = row(x)
            return self.out(x)

    x, y = blobs(32)
    others = [nn.Activation("exp"), nn.Dropout(0.9), nn.Flatten(), nn.Activation("sigmoid"), nn.Reshape((6,))]
    for other in others:
        for how in ("attribute", "list"):
            model = Swaps()
            model.compile(optimizer="sgd", loss="cross_entropy", seed=0)
            model.fit(x, y, verbose=0)
            model.predict(x)
            if how == "attribute":
                model.inner = other
            else:
                model.rows[1] = other
            expected = model(x).numpy()
            for _ in range(2):
                assert np.array_equal(model.predict(x), expected), (other, how)


def test_changed_optimizer_setting_is_never_replayed_silently():
    x, y = blobs(32)
    models = [mlp(optimizer=optim.SGD(0.1, momentum=0.5)) for _ in range(2)]
    for m, eager in zip(models, (False, True), strict=True):
        m.fit(x, y, batch_size=16, verbose=0, run_eagerly=eager)
        m.optimizer.momentum = 0.95
        m.fit(x, y, batch_size=16, verbose=0, run_eagerly=eager)
    assert bits(models[0]) == bits(models[1])


def test_threads_changed_between_fits():
    x, y = blobs(64)
    model, other = mlp(), mlp()
    pynn.set_num_threads(2)
    model.fit(x, y, batch_size=16, verbose=0)
    pynn.set_num_threads(1)
    model.fit(x, y, batch_size=16, verbose=0)
    for _ in range(2):
        other.fit(x, y, batch_size=16, verbose=0)
    assert bits(model) == bits(other)


def test_instruction_set_changed_between_calls():
    model = mlp(d=64, hidden=64)
    x = blobs(50, d=64)[0]
    for isa in [*_core.isa_available(), *_core.isa_available()]:
        with config.use_isa(isa):
            eager = model(x).numpy()
            for _ in range(2):
                assert model.predict(x).tobytes() == eager.tobytes(), isa


def test_model_that_records_without_end_warns_once():
    model = mlp()
    x, _ = blobs(100)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n in range(2, 60):
            model.predict(x[:n], batch_size=n)
    assert len(caught) == 1
    assert caught[0].category is RuntimeWarning
    assert re.search(r"recorded \d+ different programs.*help: pad or bucket", str(caught[0].message))


def test_ordinary_training_does_not_warn():
    model = mlp()
    x, y = blobs(50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(30):
            model.fit(x, y, batch_size=16, validation_data=(x, y), verbose=0)
    assert model._trainer.cache.recordings < 6


# Rule 2: what changes from step to step is a slot


def test_learning_rate_between_epochs_is_obeyed_without_recording():
    model = mlp(optimizer=optim.SGD(0.1))
    x, y = blobs(32)
    model.fit(x, y, batch_size=16, verbose=0)
    model.optimizer.learning_rate = 1e-30
    before = bits(model)
    model.fit(x, y, batch_size=16, verbose=0)
    assert bits(model) == before
    model.optimizer.learning_rate = 0.1
    model.fit(x, y, batch_size=16, verbose=0)
    assert bits(model) != before
    assert model._trainer.cache.recordings == 1


def test_schedule_runs_inside_one_program():
    """Many steps are one native call: each must still get its own rate."""
    x, y = blobs(64)
    # From step 3 on, the rate is too small to change a weight.
    schedule = pynn.schedules.Piecewise([3], [0.1, 1e-30])
    model = mlp(optimizer=optim.SGD(schedule))
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)  # 16 steps
    assert model._trainer.cache.recordings == 1
    three = mlp(optimizer=optim.SGD(0.1))
    three.fit(x[:12], y[:12], batch_size=4, shuffle=False, verbose=0)
    assert bits(model) == bits(three)


def test_step_number_goes_on_inside_one_program():
    """Adam's bias correction depends on the step; a frozen step would keep it at its first value."""
    x, y = blobs(40, dtype="float64")
    model = nn.Sequential([nn.Input((6,)), nn.Dense(1)]).astype("float64")
    model.compile(optimizer=optim.Adam(0.01), loss="mse", seed=0)
    w = [a.copy() for a in model.get_weights()]
    target = y[:, None].astype("float64")
    model.fit(x, target, batch_size=10, epochs=3, shuffle=False, verbose=0)
    m = [np.zeros_like(a) for a in w]
    v = [np.zeros_like(a) for a in w]
    t = 0
    for _ in range(3):
        for i in range(0, 40, 10):
            t += 1
            e = 2 * (x[i : i + 10] @ w[0] + w[1] - target[i : i + 10]) / 10
            for k, g in enumerate((x[i : i + 10].T @ e, e.sum(0))):
                m[k] = 0.9 * m[k] + 0.1 * g
                v[k] = 0.999 * v[k] + 0.001 * g * g
                w[k] -= 0.01 * (m[k] / (1 - 0.9**t)) / (np.sqrt(v[k] / (1 - 0.999**t)) + 1e-8)
    for a, b in zip(model.get_weights(), w, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert model._trainer.cache.recordings == 1


def test_dropout_differs_from_step_to_step_of_one_program():
    """With a vanishing learning rate and the same batch, only the mask can change the loss."""
    model = mlp(nn.Dropout(0.5), optimizer=optim.SGD(1e-30))
    x, y = blobs(16)
    seen = [model.train_on_batch(x, y)["loss"] for _ in range(8)]
    assert len(set(seen)) == 8
    assert model._trainer.cache.recordings == 1


def test_seed_is_a_slot_and_decides():
    x, y = blobs(32)
    runs = []
    for seed in (1, 1, 2):
        model = mlp(nn.Dropout(0.5), seed=0)
        model._trainer.slots.set(seed=seed)
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
        runs.append(bits(model))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_two_dropouts_of_one_step_have_different_masks():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Dropout(0.5), nn.Dropout(0.5)

        def forward(self, x):
            return self.first(x) - self.second(x)

    assert np.any(Two()(np.ones((1, 100), "float32"), training=True).numpy() != 0)


def test_offset_moves_through_the_epoch_inside_one_call():
    """Each of the batches of one native call must see its own rows: with SGD on a linear model this is exact."""
    x = np.eye(8, dtype="float32")
    model = nn.Sequential([nn.Input((8,)), nn.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(optimizer=optim.SGD(0.5), loss="mse", seed=0)
    y = np.arange(8, dtype="float32")[:, None]
    model.fit(x, y, batch_size=1, shuffle=False, verbose=0)  # w_i = 0.5 * 2 * y_i
    assert np.array_equal(model.get_weights()[0], y)


# Rule 3: reading a value while recording is refused


def reading(how):
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Dense(3)

        def forward(self, x):
            out = self.dense(x)
            how(out)
            return out

    return Reads()


READS = {
    "numpy": lambda t: t.numpy(),
    "item": lambda t: ops.mean(t).item(),
    "float": lambda t: float(ops.mean(t)),
    "int": lambda t: int(ops.mean(t)),
    "bool": lambda t: bool(ops.mean(t) > 0),
    "not": lambda t: not ops.mean(t),
    "tolist": lambda t: t.tolist(),
    "asarray": lambda t: np.asarray(t),
    "array function": lambda t: np.exp(t),
    "tensor": lambda t: pynn.tensor(t),
}


@pytest.mark.parametrize("how", READS)
def test_reading_a_value_while_recording_changes_nothing(how):
    model = reading(READS[how])
    model.compile(optimizer="adam", loss="cross_entropy", seed=1)
    x, y = blobs(32)
    model.build(x.shape)
    model(x)  # builds the inner layer
    before = bits(model)
    with pytest.raises(CaptureError, match=r"(?s)read while a step was being recorded.*help:.*run_eagerly=True"):
        model.fit(x, y, batch_size=16, verbose=0)
    assert bits(model) == before
    assert not list(model._trainer.cache)
    # The state of the process is usable again: values can be read, and the same model can be trained.
    assert pynn.tensor([1.0]).numpy() == 1
    assert int(model._trainer.slots.step.view()[0]) == 0
    model.fit(x, y, batch_size=16, verbose=0, run_eagerly=True)
    assert bits(model) != before


def test_reading_in_predict_is_refused_too():
    model = reading(lambda t: t.numpy())
    model.compile(optimizer="sgd", loss="cross_entropy")
    x, _ = blobs(8)
    model(x)
    with pytest.raises(CaptureError):
        model.predict(x)


def test_printing_a_tensor_while_recording_is_allowed():
    seen = []
    model = reading(lambda t: seen.append(repr(t)))
    model.compile(optimizer="sgd", loss="cross_entropy")
    x, y = blobs(8)
    model.fit(x, y, batch_size=8, verbose=0)
    assert any("recording" in text for text in seen)


def test_changing_a_layer_while_recording_is_refused():
    class Grows(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Dense(3)
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return self.dense(x)

    model = Grows()
    model.compile(optimizer="sgd", loss="cross_entropy")
    x, y = blobs(8)
    model(x)
    before = bits(model)
    with pytest.raises(CaptureError, match=r"(?s)\[grows\] attribute 'calls' was changed.*help:"):
        model.fit(x, y, verbose=0)
    assert bits(model) == before
    model.fit(x, y, verbose=0, run_eagerly=True)


@pytest.mark.parametrize("change", ["trainable", "add", "rate"])
def test_every_way_to_change_a_model_while_recording_is_refused(change):
    class Changes(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential([nn.Dense(4), nn.Dropout(0.1)])
            self.last = nn.Dense(3)

        def forward(self, x):
            out = self.last(self.inner(x))
            if self.__dict__.get("_armed"):
                if change == "trainable":
                    self.last.trainable = False
                elif change == "add":
                    self.inner.add(nn.Dense(4))
                else:
                    self.inner.layers[1].rate = 0.5
            return out

    model = Changes()
    model.compile(optimizer="sgd", loss="cross_entropy")
    x, y = blobs(8)
    model(x)
    trainer = model._trainer
    data = trainer.data(x, y)
    before = bits(model)
    object.__setattr__(model, "_armed", True)
    trainer.slots.set(offset=0, rate=trainer.optimizer.rates(0, 1))
    with pytest.raises(CaptureError):
        trainer.run_steps(data, np.arange(8), 8, 1, False, True)
    assert bits(model) == before


def test_fit_inside_forward_is_refused():
    class Nested(nn.Module):
        def __init__(self, other):
            super().__init__()
            self.dense = nn.Dense(3)
            self._other = other

        def forward(self, x):
            self._other.predict(np.zeros((1, 6), "float32"))
            return self.dense(x)

    inner = mlp()
    model = Nested(inner)
    model.compile(optimizer="sgd", loss="cross_entropy")
    x, y = blobs(8)
    model(x)
    before = bits(model)
    with pytest.raises(CaptureError, match="already under way"):
        model.fit(x, y, verbose=0)
    assert bits(model) == before


# Rule 4: what leaves a program is a copy


def test_predictions_of_two_calls_do_not_alias():
    model = mlp()
    x, _ = blobs(16)
    one = model.predict(x)
    kept = one.copy()
    two = model.predict(-x)
    assert not np.shares_memory(one, two)
    assert np.array_equal(one, kept)
    two[:] = 0
    assert np.array_equal(model.predict(x), kept)


def test_weights_that_were_read_do_not_follow_the_training():
    model = mlp()
    x, y = blobs(16)
    weights = model.get_weights()
    kept = [w.copy() for w in weights]
    model.fit(x, y, verbose=0)
    assert_same_bits(weights, kept)
    weights[0][:] = 1e9
    assert not np.any(model.get_weights()[0] == 1e9)


def test_user_data_are_never_written():
    model = mlp(nn.Dropout(0.5), optimizer="adam")
    x, y = blobs(50)
    w = np.ones(50, "float32")
    kept = x.copy(), y.copy(), w.copy()
    for a in (x, y, w):
        a.setflags(write=False)
    model.fit(x, y, sample_weight=w, batch_size=16, epochs=2, verbose=0)
    model.evaluate(x, y)
    model.predict(x)
    assert_same_bits([x, y, w], list(kept))


# Rule 5: state is never moved


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adadelta"])
def test_state_stays_where_it_is(optimizer):
    model = mlp(nn.Dropout(0.1), optimizer=optimizer)
    x, y = blobs(50)
    model.fit(x, y, batch_size=16, verbose=0)
    before = addresses(model)
    assert len(before) >= 4
    model.fit(x, y, batch_size=7, epochs=2, validation_split=0.2, verbose=0)
    model.predict(x)
    model.evaluate(x, y)
    model.set_weights([w * 0.5 for w in model.get_weights()])
    model.profile(x, y, steps=2)
    model.fit(x, y, batch_size=16, verbose=0)
    assert addresses(model) == before


def test_parameters_lie_in_one_flat_buffer_in_order():
    model = mlp()
    x, y = blobs(16)
    model.fit(x, y, verbose=0)
    home = model.parameters()[0].buffer.root()
    assert all(w.buffer.root() is home for w in model.parameters())
    at = [w.buffer.offset for w in model.parameters()]
    assert at == sorted(at)
    assert all(a % 64 == 0 for a in at)


def test_only_mutating_kernels_write_state():
    model = mlp(nn.Dropout(0.3), optimizer="adam")
    x, y = blobs(32)
    model.fit(x, y, batch_size=16, verbose=0)
    home = model.parameters()[0].buffer.root()
    low, high = home.address, home.address + home.nbytes
    writers = set()
    for program in programs(model):
        for instr in program.instrs:
            for b in instr.buffers[: instr.n_out]:
                if b is not None and low <= b.address < high:
                    writers.add(instr.card.name)
                    assert instr.card.mutates
    assert len(writers) == 1  # the optimizer's one pass


def test_prediction_follows_weights_that_another_model_took_over():
    """Also in a model that was never compiled, and so has no flat buffer of its own."""
    shared = nn.Dense(8, activation="tanh")
    plain = nn.Sequential([nn.Input((6,)), shared])
    x, y = blobs(32)
    for _ in range(2):
        plain.predict(x)
    model = nn.Sequential([nn.Input((6,)), shared, nn.Dense(3)])
    model.compile(optimizer=optim.SGD(0.5), loss="cross_entropy", seed=0)
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(plain.predict(x), plain(x).numpy())
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(plain.predict(x), plain(x).numpy())


def test_momentum_survives_the_moving_of_weights():
    """Two models that share a layer and are trained in turns keep the state of their optimizers."""
    x, y = blobs(32)
    shared = nn.Dense(3, seed=1)
    one, two = nn.Sequential([nn.Input((6,)), shared]), nn.Sequential([nn.Input((6,)), shared])
    for model in (one, two):
        model.compile(optimizer=optim.SGD(0.1, momentum=0.9), loss="cross_entropy", seed=0)
    alone = nn.Sequential([nn.Input((6,)), nn.Dense(3, seed=1)])
    alone.compile(optimizer=optim.SGD(0.1, momentum=0.9), loss="cross_entropy", seed=0)
    one.fit(x, y, batch_size=32, verbose=0)
    kept = one.get_weights()
    two.fit(x, y, batch_size=32, verbose=0)
    one.set_weights(kept)
    one.fit(x, y, batch_size=32, epochs=2, initial_epoch=1, verbose=0)
    alone.fit(x, y, batch_size=32, epochs=2, verbose=0)
    assert bits(one) == bits(alone)


def test_layer_shared_by_two_models_is_trained_by_both():
    """The second model moves the shared weights to a flat buffer of its own; the first must not train dead memory."""

    def two(eager):
        shared = nn.Dense(8, activation="tanh", seed=5)
        one = nn.Sequential([nn.Input((6,)), shared, nn.Dense(3)])
        two = nn.Sequential([nn.Input((6,)), shared, nn.Dense(2)])
        for model in (one, two):
            model.compile(optimizer=optim.SGD(0.1), loss="cross_entropy", seed=1, run_eagerly=eager)
        x, y = blobs(32)
        for model, labels in ((one, y), (two, y % 2), (one, y), (two, y % 2)):
            before = model.get_weights()
            model.fit(x, labels, batch_size=16, verbose=0)
            assert not np.array_equal(shared.get_weights()[0], before[0])
            model.predict(x)
        np.testing.assert_array_equal(one.layers[0].w.numpy(), two.layers[0].w.numpy())
        return bits(one) + bits(two), one.predict(x).tobytes()

    assert two(False) == two(True)


# Rule 6: eager and program agree bit for bit


class Residual(nn.Module):
    """Nested modules in a list, a shared layer, weights used twice, and plain ops in between."""

    def __init__(self):
        super().__init__()
        self.first = nn.Dense(8, activation="relu")
        self.blocks = [nn.Sequential([nn.Dense(8, activation="selu"), nn.Dropout(0.2)]) for _ in range(2)]
        self.shared = nn.Dense(8, activation="tanh")
        self.out = nn.Dense(3)

    def forward(self, x):
        h = self.first(x)
        for block in self.blocks:
            h = h + self.shared(block(h))
        h = ops.concat([h, self.shared(h)], -1)
        gate = ops.sigmoid(h[:, :8])
        return self.out(gate * h[:, 8:] + ops.mean(h, -1, True))


class Tied(nn.Module):
    """One weight as it is and transposed."""

    def build(self, input_shape):
        self.add_weight("w", (input_shape[-1], 4))
        self.add_weight("b", (3,), "zeros")

    def forward(self, x):
        code = ops.tanh(ops.matmul(x, self.w))
        return ops.matmul(code, self.w.T)[:, :3] + self.b + ops.mean(ops.square(self.w))


def sequential(*layers):
    return lambda: nn.Sequential([nn.Input((6,)), *(layer() for layer in layers), nn.Dense(3)])


def dense(activation, **options):
    return lambda: nn.Dense(7, activation=activation, **options)


ACTIVATIONS = [None, *(name for name in NAMES if getattr(named(name), "row", None) is None or named(name).row.saves)]

MODELS = {
    **{f"dense {name}": sequential(dense(name)) for name in ACTIVATIONS},
    **{
        f"activation {name}": sequential(dense(None), lambda name=name: nn.Activation(name))
        for name in ACTIVATIONS
        if name
    },
    "function": sequential(dense(lambda x: ops.tanh(x) * ops.sigmoid(x))),
    "no bias": sequential(dense("relu", use_bias=False)),
    "dropout": sequential(dense("relu"), lambda: nn.Dropout(0.4), dense("relu"), lambda: nn.Dropout(0.1)),
    "maxout": sequential(lambda: nn.Maxout(5, pieces=3)),
    "reshape": sequential(lambda: nn.Reshape((2, 3)), dense("tanh"), lambda: nn.Reshape((-1, 7)), nn.Flatten),
    "l1": sequential(dense("tanh", kernel_regularizer=regularizers.L1(0.01))),
    "l2": sequential(
        dense("tanh", kernel_regularizer=regularizers.L2(0.01), bias_regularizer=regularizers.L2(0.1)),
    ),
    "max norm": sequential(dense("tanh", kernel_constraint=regularizers.MaxNorm(0.7))),
    "deep": sequential(*[dense("relu")] * 6),
    "softmax end": lambda: nn.Sequential([nn.Input((6,)), nn.Dense(5), nn.Dense(3, activation="softmax")]),
    "softmax layer": lambda: nn.Sequential([nn.Input((6,)), nn.Dense(3), nn.Activation("softmax")]),
    "residual": Residual,
    "tied": Tied,
}

OPTIMIZERS = {name: (lambda name=name: optim.get(name)) for name in optim.NAMES}
OPTIMIZERS["clip value"] = lambda: optim.SGD(0.5, clip_value=0.01)
OPTIMIZERS["clip norm"] = lambda: optim.Adam(0.01, clip_norm=0.1)
OPTIMIZERS["schedule"] = lambda: optim.Adam(pynn.schedules.Cosine(0.01, 9))
OPTIMIZERS["weight decay"] = lambda: optim.AdamW(0.01, weight_decay=0.1)


def assert_eager_is_program(make, optimizer="adam", loss="cross_entropy", x=None, y=None, metrics=("accuracy",), **fit):
    """Train the same model both ways, with a partial last batch, and compare weights, logs and predictions."""
    if x is None:
        x, y = blobs(38)
    results = []
    for eager in (False, True):
        model = make()
        model.compile(optimizer() if callable(optimizer) else optimizer, loss, metrics, seed=7, run_eagerly=eager)
        options = {"batch_size": 16, "epochs": 2, "verbose": 0, **fit}
        history = model.fit(x, y, **options).history
        logs = {key: np.array(values).tobytes() for key, values in history.items()}
        evaluated = model.evaluate(x, y, batch_size=16)
        results.append((bits(model), logs, evaluated, model.predict(x, batch_size=16).tobytes()))
        recordings = model._trainer.cache.recordings  # 16 and 6 rows: training, evaluation, and a softmax on top
        assert recordings == 0 if eager else recordings in (4, 6)
        assert all(np.isfinite(w).all() for w in model.get_weights())
    assert results[0] == results[1]


@pytest.mark.parametrize("name", MODELS)
def test_eager_is_program_for_every_layer(name):
    assert_eager_is_program(MODELS[name])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_eager_is_program_for_every_optimizer(name):
    assert_eager_is_program(sequential(dense("tanh"), lambda: nn.Dropout(0.2)), OPTIMIZERS[name])


@pytest.mark.parametrize("name", ["residual", "maxout", "dropout", "l2", "tied", "softmax end"])
def test_eager_is_program_in_float64(name):
    assert_eager_is_program(lambda: MODELS[name]().astype("float64"), x=blobs(38)[0].astype("float64"), y=blobs(38)[1])


def test_eager_is_program_with_weights_and_metrics():
    assert_eager_is_program(
        sequential(dense("relu")),
        sample_weight=np.linspace(0, 1, 38),
        class_weight={0: 1.0, 1: 2.0, 2: 0.5},
        metrics=["accuracy", pynn.metrics.TopK(k=2)],
    )


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "hinge", "binary_cross_entropy", "poisson"])
def test_eager_is_program_for_losses(loss):
    x, y = blobs(38)
    target = np.eye(3, dtype="float32")[y] * (2 if loss == "hinge" else 1) - (1 if loss == "hinge" else 0)
    ending = "softplus" if loss == "poisson" else None
    make = lambda: nn.Sequential([nn.Input((6,)), nn.Dense(5, activation="tanh"), nn.Dense(3, activation=ending)])  # noqa: E731
    assert_eager_is_program(make, loss=loss, x=x, y=target, metrics=["mae"])


def test_eager_is_program_for_uint8():
    r = np.random.default_rng(0)
    x = r.integers(0, 256, (38, 3, 2)).astype("uint8")
    make = lambda: nn.Sequential([nn.Input((3, 2)), nn.Flatten(), nn.Dense(5, activation="relu"), nn.Dense(3)])  # noqa: E731
    assert_eager_is_program(make, x=x, y=r.integers(0, 3, 38).astype("uint8"))


@pytest.mark.parametrize("isa", _core.isa_available())
def test_eager_is_program_on_every_instruction_set(isa):
    with config.use_isa(isa):
        assert_eager_is_program(sequential(dense("gelu"), lambda: nn.Dropout(0.2)))


# Rule 7: gradients are written, not accumulated


def test_weight_of_two_layers_gets_the_sum():
    class Twice(nn.Module):
        def build(self, input_shape):
            self.add_weight("w", (4, 4))

        def forward(self, x):
            return ops.matmul(ops.tanh(ops.matmul(x, self.w)), self.w)

    r = np.random.default_rng(0)
    x = r.standard_normal((5, 4))
    model = Twice().astype("float64")
    model.compile(optimizer=optim.SGD(1.0), loss="mse", seed=0)
    model(x)
    w = model.w.numpy()
    target = np.zeros((5, 4))
    for _ in range(3):
        h = np.tanh(x @ w)
        e = 2 * (h @ w) / 20
        w = w - (h.T @ e + x.T @ ((e @ w.T) * (1 - h * h)))
        model.train_on_batch(x, target)
        np.testing.assert_allclose(model.w.numpy(), w, rtol=1e-12)


@pytest.mark.parametrize("eager", [False, True])
def test_same_batch_twice_needs_no_zeroing(eager):
    x, y = blobs(16, dtype="float64")
    model = nn.Sequential([nn.Input((6,)), nn.Dense(1)]).astype("float64")
    model.compile(optimizer=optim.SGD(0.01), loss="mse", seed=0, run_eagerly=eager)
    w, b = model.get_weights()
    target = y[:, None].astype("float64")
    for _ in range(5):
        model.train_on_batch(x, target)
        e = 2 * (x @ w + b - target) / 16
        w, b = w - 0.01 * x.T @ e, b - 0.01 * e.sum(0)
    np.testing.assert_allclose(model.layers[0].w.numpy(), w, rtol=1e-12)
    np.testing.assert_allclose(model.layers[0].b.numpy(), b, rtol=1e-12)


def test_backward_twice_writes_the_same_gradient():
    w = pynn.tensor([2.0, 3.0], requires_grad=True)
    for _ in range(3):
        (w * w).sum().backward()
        assert w.grad.tolist() == [4.0, 6.0]


@pytest.mark.parametrize("eager", [False, True])
def test_unused_parameter_gets_gradient_zero(eager):
    """Also when its memory holds the gradient of an earlier use."""

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Dense(3), nn.Dense(3)
            self._use_b = True

        def forward(self, x):
            return self.a(x) + self.b(x) if self._use_b else self.a(x)

    model = Branches()
    model.compile(optimizer=optim.SGD(0.1), loss="cross_entropy", seed=0, run_eagerly=eager)
    x, y = blobs(16)
    model.train_on_batch(x, y)
    model._use_b = False
    model.renewed = True  # so that the step is recorded anew
    before_a, before_b = model.a.w.numpy(), model.b.w.numpy()
    model.train_on_batch(x, y)
    assert np.any(before_b != 0)
    assert np.array_equal(model.b.w.numpy(), before_b)
    assert not np.array_equal(model.a.w.numpy(), before_a)
    assert not np.any(model._trainer.flat.into[id(model.b.w)].view())


def test_unused_parameter_of_a_module_is_not_moved_by_momentum_of_garbage():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Dense(3), nn.Dense(3)

        def forward(self, x):
            if not self.idle.built:
                self.idle(x)
            return self.used(x)

    for name in OPTIMIZERS:
        if name == "weight decay" or name == "adamw":
            continue  # decays what it does not use
        model = Idle()
        model.compile(optimizer=OPTIMIZERS[name](), loss="cross_entropy", seed=0)
        x, y = blobs(16)
        model(x)
        before = model.idle.w.numpy()
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        assert np.array_equal(model.idle.w.numpy(), before), name


# Rule 9: a fused gradient has no second derivative


def test_second_derivative_through_a_fused_gradient_is_refused():
    w = np.ones((3, 2), "float32")
    f = lambda x: ops.sum(ops.square(ops.dense(x, w, None, "tanh")))  # noqa: E731
    assert pynn.grad(f)(np.ones((1, 3), "float32")).shape == (1, 3)
    with pytest.raises(RuntimeError, match=r"(?s)fused gradient.*second derivative.*help: write the expression"):
        pynn.grad(lambda x: ops.sum(pynn.grad(f)(x)))(np.ones((1, 3), "float32"))


def test_second_derivative_of_elementary_ops_is_right():
    second = pynn.grad(pynn.grad(lambda x: ops.exp(x * x)))
    assert second(pynn.tensor(0.5, dtype="float64")).item() == pytest.approx((2 + 4 * 0.25) * np.exp(0.25))
