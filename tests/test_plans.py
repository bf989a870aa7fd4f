"""The planner of a program's memory: whatever is recorded gives the bits of the eager ops."""

import ctypes

import numpy as np
import pytest
from classifiers import assert_same_bits, bits, blobs, mlp, programs

import pynn
from pynn import config, nn, ops
from pynn.core import _core
from pynn.core.card import CARDS
from pynn.core.program import plan, record
from pynn.core.tensor import Tensor
from pynn.ops.activation import ELEMENTWISE
from pynn.train.data import external


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


@pytest.mark.parametrize("seed", range(60))
def test_results_made_in_the_slots_that_want_them(seed):
    """Predictions have no copies of temporaries at their end: the last op writes where the result belongs."""
    r = np.random.default_rng(seed)
    shape = tuple(int(n) for n in r.integers(2, 7, 2))
    function, given = random_graph(r, [shape] * 3), [r.standard_normal(shape).astype("float32") for _ in range(3)]
    inputs = [external(a) for a in given]
    with record(*inputs) as recorder:
        results = function(*inputs)
        found = [np.empty(y.shape, y.dtype) for y in results]
        for y, to in zip(results, map(external, found), strict=True):
            recorder.inputs = (*recorder.inputs, ops.copy(y, out=to))
    copies = sum(instr.card.name == "copy" for instr in recorder.instrs)
    recorder.direct = True
    program = plan(recorder)
    whole = [y.buffer.root() for y in results if y.nbytes == y.buffer.root().nbytes]
    made = {id(root) for root in whole if root.kind == _core.TEMP}
    assert sum(instr.card.name == "copy" for instr in program.instrs) == copies - len(made)
    run = program.start(_core.Buffer.new(program.arena_bytes, _core.STATE))
    for _ in range(2):
        arrays = [r.standard_normal(shape).astype("float32") for _ in range(3)]
        for array in found:
            array.fill(np.nan)
        run.bind_all([*arrays, *found])
        assert run.run(1) == (1, 0)
        assert_same_bits(found, [y.numpy() for y in function(*map(pynn.tensor, arrays))])


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
