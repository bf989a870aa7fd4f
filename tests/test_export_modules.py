"""Whatever a module computes of ops is exported, to C, to Python and to ONNX, without a word about the module."""

import inspect
import shutil
import subprocess

import numpy as np
import pytest

import pynn
from pynn import nn, ops
from pynn.core.card import CARDS, COMPOSITES
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.export import c_source, lower, numpy_source, to_c
from pynn.export.c_calls import CALLS as C
from pynn.export.numpy_file import CALLS, EXPRESSIONS

COMPILER = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
FLAGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all"]  # fmt: skip


# Running what was written


def in_c(model, xs, folder, **options):
    if COMPILER is None:
        pytest.skip("no C compiler here")
    to_c(model, folder / "net.c", main=True, **options)
    done = subprocess.run(
        [COMPILER, *FLAGS, folder / "net.c", "-o", folder / "net", "-lm"], capture_output=True, text=True
    )
    if "cannot find" in done.stderr:
        line = [COMPILER, *FLAGS[:-2], folder / "net.c", "-o", folder / "net", "-lm"]
        done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = np.concatenate([x.reshape(len(x), -1).astype("float64") for x in xs], axis=1)
    text = "".join(",".join(f"{v:.17g}" for v in row) + "\n" for row in rows)
    done = subprocess.run([folder / "net"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return np.array([[float(v) for v in line.split(",")] for line in done.stdout.splitlines()])


def in_python(model, xs, folder, **options):
    space = {}
    exec(compile(numpy_source(model, **options), "net.py", "exec"), space)
    return space["predict"](*xs)


def in_onnx(model, xs, folder, **options):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    import pynn.onnx

    data = pynn.onnx.to_model(model, **options).SerializeToString()
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: x for i, x in zip(session.get_inputs(), xs, strict=True)})[0]


TARGETS = {"c": in_c, "python": in_python, "onnx": in_onnx}


def assert_same(model, xs, target, folder, **options):
    expected = model.predict(xs if len(xs) > 1 else xs[0])
    given = [x.astype("int64") if x.dtype.kind == "i" else x for x in xs]
    found = TARGETS[target](model, given, folder, **options)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=2e-5, atol=2e-5)
    return expected


def shaken(model, rng):
    """Give all weights values that differ, so that none can be left out unnoticed."""
    for path, weight in model.named_parameters():
        values = rng.normal(size=weight.shape) * 0.5
        weight.view()[...] = np.abs(values) + 0.2 if path.endswith("variance") else values
    return model


def chain(shape, *layers, rng, samples=4):
    model = nn.Sequential([nn.Input(shape), *layers], seed=1)
    model.build((1, *shape))
    shaken(model, rng)
    if not model.takes_integers:
        return model, [rng.normal(size=(samples, *shape)).astype(model.dtype)]
    ids = rng.integers(1, 9, (samples, *shape)).astype("int32")
    ids[0, 2:] = 0
    return model, [ids]


# Every layer

IMAGE, LINE = (6, 5, 4), (7, 4)
LAYERS = {
    nn.RBM: ((7,), (3,), {}),
    nn.DBM: ((7,), ([4, 3],), {}),
    nn.Activation: (LINE, ("gelu",), {}),
    nn.Bidirectional: (LINE, (lambda: nn.LSTM(3),), {}),
    nn.TimeDistributed: (LINE, (lambda: nn.Dense(3),), {}),
    nn.Embedding: ((6,), (9, 3), {"mask_zero": True}),
    nn.Reshape: (LINE, ((4, 7),), {}),
    nn.RandomCrop: (IMAGE, ((4, 8),), {"padding": 2, "fill": "nearest"}),
    nn.LocalContrastNormalization: (IMAGE, (3,), {}),
    nn.GroupNormalization: (IMAGE, (2,), {}),
    nn.SCells: (IMAGE, (3, 3), {"initial": 1.0}),
    nn.CCells: (IMAGE, (3,), {}),
}


def of(kind, rng):
    """Return a model of a layer, whatever it takes, and inputs."""
    if issubclass(kind, (nn.Add, nn.Multiply, nn.Concatenate)):
        a, b = nn.Input(LINE), nn.Input(LINE)
        return nn.Model([a, b], kind()([a, b])), [rng.normal(size=(3, *LINE)).astype("float32") for _ in "ab"]
    if kind is nn.Sequential:
        return chain(LINE, nn.Sequential([nn.Dense(3)]), rng=rng)
    if kind is nn.Model:
        x = nn.Input(LINE)
        return nn.Model(x, nn.Dense(2)(x)), [rng.normal(size=(3, *LINE)).astype("float32")]
    if kind in LAYERS:
        shape, arguments, options = LAYERS[kind]
        return chain(shape, kind(*(a() if callable(a) else a for a in arguments), **options), rng=rng)
    wanted = [
        p for p in inspect.signature(kind).parameters.values() if p.default is p.empty and p.kind != p.VAR_KEYWORD
    ]
    given = {p.name: 0.3 if "float" in str(p.annotation) else 2 for p in wanted}
    name = kind.__name__
    shape = IMAGE if "2D" in name or name.startswith(("Random", "Elastic")) else LINE
    return chain(shape, kind(**given), rng=rng)


EVERY = sorted(
    {c for c in vars(nn).values() if isinstance(c, type) and issubclass(c, nn.Module) and c is not nn.Module},
    key=lambda c: c.__name__,
)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", EVERY, ids=lambda c: c.__name__)
def test_every_layer(kind, target, rng, tmp_path):
    assert_same(*of(kind, rng), target, tmp_path)


# Modules of one's own


class Gated(nn.Module):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        for weight, gate in (("w", "v"), ("b", "c")):
            size = (shape[-1], self.units) if weight == "w" else (self.units,)
            self.add_weight(weight, size)
            self.add_weight(gate, size)

    def forward(self, x):
        return (x @ self.w + self.b) * (x @ self.v + self.c).sigmoid()


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = [nn.Conv2D(4, 3, padding="same", activation="relu"), nn.Conv2D(4, 3, padding="same")]
        self.norm = nn.BatchNormalization()

    def forward(self, x):
        return ops.relu(x + self.norm(self.body[1](self.body[0](x))))


class Attention(nn.Module):
    def __init__(self, units, axis=-1):
        super().__init__()
        self.axis, self.scale = axis, units**-0.5
        self.query, self.key, self.value = nn.Dense(units), nn.Dense(units), nn.Dense(units)

    def forward(self, x):
        scores = self.query(x) @ ops.transpose(self.key(x), (0, 2, 1)) * self.scale
        return ops.softmax(scores, self.axis) @ self.value(x)


class TimeMajor(nn.Module):
    """Time first, and time and samples on one axis, as other libraries have it."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(3)

    def forward(self, x):
        n, t, c = x.shape
        y = self.dense(ops.reshape(ops.transpose(x, (1, 0, 2)), (t * n, c)))
        return ops.transpose(ops.reshape(y, (t, n, 3)), (1, 0, 2))


class Pieces(nn.Module):
    """Slices, gathers, comparisons, reductions, casts."""

    def forward(self, x):
        last, back = x[:, -1], x[:, ::-2]
        some = ops.gather(x, np.array([0, 2, -1]), 1)
        chosen = ops.where(some > 0.0, some, back[:, :3] * -0.5)
        where = ops.argmax(x, 1).astype("float32")
        spread = ops.maximum(x.max(1, keepdims=True) - x, ops.minimum(x, 0.5)).sum((1, 2), keepdims=True)
        low = ops.equal(ops.step(x), 1.0).astype("float32").mean(1)
        return ops.concat([last, chosen.sum(1), where, low, ops.reshape(spread, (x.shape[0], 1))], 1)


class Functions(nn.Module):
    def forward(self, x):
        y = ops.sqrt(ops.square(x) + 0.5) / (ops.abs(x) + 1.0) + ops.log(ops.exp(x) + 1.0)
        z = ops.sin(y) * ops.cos(-x) + ops.clip(x, -0.3, 0.4) - ops.pow(ops.abs(x) + 0.1, 1.3)
        return z + ops.log_softmax(x, 1) + ops.var(x, -1, keepdims=True) + 2.0 * ops.expand(x[:, :1], x.shape)


class Stateful(nn.Module):
    """A cell of one's own, with states that begin as zeros, and a layer that is given them."""

    def __init__(self):
        super().__init__()
        self.gru, self.dense = nn.GRU(3, return_state=True, return_sequences=True), nn.Dense(3)

    def forward(self, x):
        h = ops.zeros((x.shape[0], 3), x.dtype)
        for t in range(x.shape[1]):
            h = ops.tanh(self.dense(x[:, t]) + h)
        y, last = self.gru(x, h)
        return y[:, 1] * last


class Spread(nn.Module):
    """Axes that are turned round, and operands that are repeated along every second one."""

    def build(self, shape):
        self.add_weight("a", (2, 1, 4, 1, 5), "glorot_uniform")
        self.add_weight("b", (5, 1, 2, 1, 3), "glorot_uniform")

    def forward(self, x):
        y = ops.maximum(x * self.a, x[:, :, :1, :, :1] - self.a)
        z = ops.transpose(y, (0, 5, 3, 1, 4, 2))
        return ops.where(ops.less(z, 0.1), z * 0.5, self.b)


class Counted(nn.Module):
    """Ids that are counted and compared, beside being looked up."""

    takes_integers = True

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(9, 3)

    def forward(self, ids):
        known = ops.not_equal(ids, 0).astype("float32")
        words = self.table(ids) * ops.reshape(known, (*known.shape, 1))
        return words.sum(1) / ops.reshape(known.sum(1), (ids.shape[0], 1))


class Two(nn.Module):
    """Two inputs: a question and what it is asked of, with the lengths of these."""

    def __init__(self):
        super().__init__()
        self.lstm, self.dense = nn.LSTM(4), nn.Dense(4)

    def forward(self, x, question):
        return self.lstm(x) * self.dense(question) + question[:, :1]


class Halved(nn.Dense):
    def forward(self, x):
        return super().forward(x) * 0.5


OWN = {
    "gated": (LINE, lambda: [Gated(5), nn.Dense(2)]),
    "residual": (IMAGE, lambda: [Residual(), Residual(), nn.GlobalAvgPool(), nn.Dense(2)]),
    "attention": (LINE, lambda: [Attention(5), nn.Dense(2)]),
    "attention over another axis": (LINE, lambda: [Attention(5, axis=1)]),
    "softmax over rows": (IMAGE, lambda: [nn.Conv2D(3, 2), nn.Activation("softmax", axis=1), nn.Conv2D(2, 2)]),
    "time first": (LINE, lambda: [TimeMajor()]),
    "pieces": (LINE, lambda: [Pieces()]),
    "functions": (LINE, lambda: [Functions()]),
    "states": (LINE, lambda: [Stateful()]),
    "states of every step": ((3, *LINE), lambda: [nn.TimeDistributed(Stateful())]),
    "padded steps": (
        (3, 6),
        lambda: [nn.TimeDistributed(nn.Sequential([nn.Embedding(9, 3, mask_zero=True), nn.GRU(2)]))],
    ),
    "walks over padded steps": (
        (6,),
        lambda: [nn.Embedding(9, 3, mask_zero=True), nn.Conv1D(3, 3, padding="same"), nn.MaxPool1D(2), nn.LSTM(3)],
    ),
    "padded steps turned round": (
        (6,),
        lambda: [nn.Embedding(9, 3, mask_zero=True), nn.GRU(4, return_sequences=True, go_backwards=True), nn.GRU(2)],
    ),
    "pools over padded steps": (
        (6,),
        lambda: [nn.Embedding(9, 3, mask_zero=True), nn.Dense(3, "relu"), nn.AvgPool1D(2, 1), nn.GlobalAvgPool()],
    ),
    "largest of padded steps": ((6,), lambda: [nn.Embedding(9, 3, mask_zero=True), nn.GlobalMaxPool()]),
    "spread": ((2, 3, 4, 2, 5), lambda: [Spread()]),
    "counted ids": ((6,), lambda: [Counted()]),
    "a subclass": (LINE, lambda: [Halved(3), nn.Dense(3, activation=lambda x: x * 2.0)]),
    "padded cells": ((6,), lambda: [nn.Embedding(9, 3, mask_zero=True), nn.LayerNormLSTM(3)]),
    "float64": (LINE, lambda: [nn.Dense(3), nn.BatchNormalization(), Attention(4)]),
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", OWN)
def test_modules_of_ones_own(name, target, rng, tmp_path):
    shape, layers = OWN[name]
    if name == "float64":
        model = nn.Sequential([nn.Input(shape), *layers()]).astype("float64")
        model.build((1, *shape))
        xs = [rng.normal(size=(3, *shape))]
        assert assert_same(model, xs, target, tmp_path).dtype == "float64"
        return
    assert_same(*chain(shape, *layers(), rng=rng), target, tmp_path)


@pytest.mark.parametrize("target", TARGETS)
def test_the_functional_model_with_modules_of_ones_own(target, rng, tmp_path):
    x, question = nn.Input(LINE), nn.Input((4,))
    model = nn.Model([x, question], nn.Dense(2)(Two()(Gated(4)(x), question)))
    model.layers  # noqa: B018  (builds them)
    xs = [rng.normal(size=(3, *LINE)).astype("float32"), rng.normal(size=(3, 4)).astype("float32")]
    assert_same(shaken(model, rng), xs, target, tmp_path)


@pytest.mark.parametrize("target", TARGETS)
def test_a_module_of_several_inputs_says_their_shapes(target, rng, tmp_path):
    xs = [rng.normal(size=(3, *LINE)).astype("float32"), rng.normal(size=(3, 4)).astype("float32")]
    model = Two()
    expected = model(*xs).numpy()
    found = TARGETS[target](model, xs, tmp_path, input_shape=[LINE, (4,)])
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


# Loops over time


class Told(nn.Module):
    """A loop that begins with states that are computed, and all that it returns."""

    def __init__(self, backwards):
        super().__init__()
        self.cell = nn.LayerNormLSTM(4, return_sequences=True, return_state=True, go_backwards=backwards)

    def forward(self, x):
        y, h, c = self.cell(x, (x.mean(1), x.mean(1) * 2.0))
        return ops.sum(y, 1) + h * 2.0 - c


LOOPS = {
    "all steps": lambda **options: [nn.LayerNormLSTM(4, return_sequences=True, **options)],
    "the last step": lambda **options: [nn.LayerNormLSTM(4, use_bias=False, **options)],
    "states": lambda go_backwards: [Told(go_backwards)],
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("steps", "name"), [(1, "all steps"), *((7, name) for name in LOOPS), (200, "all steps")])
def test_a_loop_over_time_is_one_op(steps, padded, backwards, name, target, rng, tmp_path):
    layers = LOOPS[name](go_backwards=backwards)
    if padded:
        model, xs = chain((steps,), nn.Embedding(9, 4, mask_zero=True), *layers, rng=rng)
    else:
        model, xs = chain((steps, 4), *layers, rng=rng)
    assert sum(op.name == "layer_norm_lstm" for op in lower(model).ops) == 1
    assert_same(model, xs, target, tmp_path)


def test_a_longer_loop_takes_no_longer_file(rng):
    pytest.importorskip("onnx")
    import pynn.onnx

    short, long = (chain((steps, 4), nn.LayerNormLSTM(4), rng=rng)[0] for steps in (3, 40))
    assert [op.name for op in lower(short).ops] == [op.name for op in lower(long).ops] == ["layer_norm_lstm"]
    assert len(pynn.onnx.to_model(short).graph.node) == len(pynn.onnx.to_model(long).graph.node)


@pytest.mark.parametrize("target", TARGETS)
def test_a_loop_without_weights_of_its_norms(target, rng, tmp_path):
    w, u = (pynn.tensor(rng.normal(size=(4, 12)).astype("float32")[:n]) for n in (4, 3))
    model = nn.Sequential([nn.Input(LINE), nn.Activation(lambda x: ops.layer_norm_lstm(x, w, u)[1])])
    model.build((1, *LINE))
    assert_same(model, [rng.normal(size=(3, *LINE)).astype("float32")], target, tmp_path)


@pytest.mark.parametrize("target", TARGETS)
def test_a_loop_sees_the_lengths_that_its_input_carries(target, rng, tmp_path):
    class Bare(nn.Module):
        def build(self, shape):
            self.add_weight("w", (3, 8), "glorot_uniform")
            self.add_weight("u", (2, 8), "orthogonal")

        def forward(self, x):
            return ops.layer_norm_lstm(x, self.w, self.u)[1]

    model, xs = chain((6,), nn.Embedding(9, 3, mask_zero=True), Bare(), rng=rng)
    assert [op.inputs[-1] is None for op in lower(model).ops if op.name == "layer_norm_lstm"] == [False]
    assert_same(model, xs, target, tmp_path)


# What is refused


class Centred(nn.Module):
    def forward(self, x):
        return x - x.sum(0)


class Weighed(nn.Module):
    def forward(self, x):
        return x * (1 / x.shape[0])


class Others(nn.Module):
    def forward(self, x):
        return x + x[:1]


class Gram(nn.Module):
    def forward(self, x):
        return x @ ops.transpose(x) @ x


class Read(nn.Module):
    def forward(self, x):
        return x * float(x.mean())


class Noisy(nn.Module):
    def forward(self, x):
        one = Tensor.state(np.zeros(1, "int64"))
        return x + pynn.core.graph.execute(CARDS["normal"], (one, one), {"shape": x.shape})[0]


class Fixed(nn.Module):
    def forward(self, x):
        return ops.zeros((x.shape[0], 2), x.dtype)


class Flat(nn.Module):
    def forward(self, x):
        return ops.reshape(x, (-1,))


class First(nn.Module):
    """Adds the first sample to each."""

    def forward(self, x):
        return x + ops.gather(x, [0])


class Second(nn.Module):
    """Adds the second sample to each."""

    def forward(self, x):
        return x + ops.gather(x, [min(1, x.shape[0] - 1)])


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Centred(), r"layer 'centred' \(Centred\): its op 'sum' mixes samples.*help"),
        (Weighed(), r"'weighed'.*when the number of samples changes.*help"),
        (Others(), r"'others'.*its op 'slice' mixes samples"),
        (Gram(), r"'gram'.*\(2, 2\) of 2 samples and \(3, 3\) of 3"),
        (Read(), r"cannot be recorded behind layer 'read'.*op 'sum': a value was read"),
        (Noisy(), r"'noisy'.*the op 'normal' draws random numbers.*help"),
        (Fixed(), r"does not depend on it"),
        (Flat(), r"returns \(8,\) for 2 samples and \(12,\) for 3"),
        (First(), r"'first'.*mixes samples"),
        (Second(), r"'second'.*mixes samples"),
    ],
    ids=lambda p: p.name if isinstance(p, nn.Module) else "",
)
def test_what_is_refused(layer, said):
    model = nn.Sequential([nn.Input((4,)), layer])
    for write in (numpy_source, lambda m: c_source(m, "net", "net.h")):
        with pytest.raises(DataError, match=said):
            write(model)


def test_exporting_changes_nothing(rng):
    model, (x,) = chain(LINE, nn.BatchNormalization(), nn.GRU(3, stateful=False), nn.Dropout(0.5), Gated(2), rng=rng)
    before, y = model.get_weights(), model.predict(x)
    lower(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    np.testing.assert_array_equal(model.predict(x), y)


# The tables


def test_every_target_writes_the_same_ops():
    ops.load_all()
    pytest.importorskip("onnx")
    from pynn.onnx import emit  # noqa: F401  (enters the converters)
    from pynn.onnx.builder import CONVERTERS

    cards = {*CARDS, *(name for name, made in COMPOSITES.items() if made.operands)}
    assert cards & set(C) == cards & {*CALLS, *EXPRESSIONS} == cards & set(CONVERTERS)


@pytest.mark.parametrize("target", TARGETS)
def test_an_op_that_no_table_has_is_refused_by_name(target, tmp_path):
    model = nn.Sequential([nn.Input((4,)), nn.Activation(lambda x: ops.reshape(ops.mse(x, x), (x.shape[0], 1)) + x)])
    model.build((1, 4))
    with pytest.raises(DataError, match=r"layer 'activation' \(Activation\): the op 'mse' is not written.*help: "):
        TARGETS[target](model, [np.ones((1, 4), "float32")], tmp_path)


class Rows(nn.Module):
    def build(self, shape):
        self.add_weight("rows", shape[-1:], "ones")

    def forward(self, x):
        return x[:, None] + self.rows * 2.0 - ops.reshape(x, (x.shape[0], 4, 1))


def test_weights_have_no_names_of_functions(rng, tmp_path):
    model, xs = chain((4,), Rows(name="add"), rng=rng)
    assert_same(model, xs, "c", tmp_path)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
@pytest.mark.parametrize("name", ["residual", "attention", "pieces", "states"])
def test_the_c_file_is_c_plus_plus_too(name, rng, tmp_path):
    shape, layers = OWN[name]
    to_c(chain(shape, *layers(), rng=rng)[0], tmp_path / "net.c")
    line = ["g++", "-x", "c++", "-std=c++20", "-fsyntax-only", tmp_path / "net.c"]
    assert subprocess.run(line, capture_output=True, text=True).stderr == ""


def test_file_names_that_c_cannot_hold_are_refused(tmp_path):
    model = nn.Sequential([nn.Input((2,)), nn.Dense(2)])
    for name in ('a"b.c', "a\nb.c", "a\\b.c"):
        with pytest.raises(DataError, match="file name"):
            to_c(model, tmp_path / name)
    assert not list(tmp_path.iterdir())
