"""No stale program: whatever a pass reads may change between calls, and the next call sees it."""

import array
import collections
import functools
import types
import warnings

import numpy as np
import pytest

import pynn
from pynn import nn, ops
from pynn.core._watch import Watch
from pynn.core.program import MOST_PROGRAMS, ProgramCache
from pynn.core.tensor import Tensor
from pynn.train import LambdaCallback

X = np.ones((8, 2), np.float32)
Y = np.zeros((8, 1), np.float32)
FACTOR = 1.0
TABLE = [1.0]


class Settings:
    """Not a module: what people keep their numbers in."""

    def __init__(self):
        self.factor = 1.0


class Slotted:
    __slots__ = ("factor",)

    def __init__(self):
        self.factor = 1.0


class Constants:
    """Never made: its numbers are read by the name of the class."""

    factor = 1.0


class AttributeDict(dict):
    __getattr__ = dict.__getitem__  # KeyError where an AttributeError is expected


class Stack(list):
    pass


OTHER_FILE = types.ModuleType("settings_of_mine")
OTHER_FILE.factor = 1.0
BY_NAME = collections.OrderedDict(a=1.0)


class Reads(nn.Module):
    """Multiplies by a number that it finds by `how`."""

    shared = 1.0

    def __init__(self, how):
        super().__init__()
        self._how = how
        self.lin = nn.Dense(1, use_bias=False, kernel_initializer="ones")
        self._number, self.number, self._scalar = 1.0, 1.0, np.float32(1)
        self._list, self._dict, self._array = [1.0], {"a": 1.0}, np.ones(1, np.float32)
        self._deep = {"a": [(np.ones((), np.float32),)]}
        self._settings, self._slotted, self._space = Settings(), Slotted(), types.SimpleNamespace(factor=1.0)
        box = [1.0]
        self._box, self._closed = box, lambda: box[0]
        self._partial = functools.partial(lambda factor: factor, factor=1.0)
        self._set = {1.0}
        self._class = type("Numbers", (Constants,), {})
        self._default, self._user = collections.defaultdict(float, a=1.0), collections.UserDict(a=1.0)
        self._attributes, self._stack, self._typed = AttributeDict(a=1.0), Stack([1.0]), array.array("d", [1.0])
        self._flag = True

    def forward(self, x):
        return self.lin(x) * float(HOW[self._how][0](self))


def set_global(_, value):
    global FACTOR
    FACTOR = value


def read_global(_):
    return FACTOR


def read_table(_):
    return TABLE[0]


def set_closed(m, value):
    m._box[0] = value


HOW = {
    "private": (lambda m: m._number, lambda m, v: setattr(m, "_number", v)),
    "public": (lambda m: m.number, lambda m, v: setattr(m, "number", v)),
    "past setattr": (lambda m: m._number, lambda m, v: m.__dict__.update(_number=v)),
    "NumPy scalar": (lambda m: m._scalar, lambda m, v: setattr(m, "_scalar", np.float32(v))),
    "list": (lambda m: m._list[0], lambda m, v: m._list.__setitem__(0, v)),
    "dict": (lambda m: m._dict["a"], lambda m, v: m._dict.update(a=v)),
    "set": (lambda m: max(m._set), lambda m, v: (m._set.clear(), m._set.add(v))),
    "array": (lambda m: m._array[0], lambda m, v: m._array.fill(v)),
    "array in depth": (lambda m: m._deep["a"][0][0], lambda m, v: m._deep["a"][0][0].fill(v)),
    "object": (lambda m: m._settings.factor, lambda m, v: setattr(m._settings, "factor", v)),
    "object with slots": (lambda m: m._slotted.factor, lambda m, v: setattr(m._slotted, "factor", v)),
    "namespace": (lambda m: m._space.factor, lambda m, v: setattr(m._space, "factor", v)),
    "closure": (lambda m: m._closed(), set_closed),
    "partial": (lambda m: m._partial(), lambda m, v: m._partial.keywords.update(factor=v)),
    "class": (lambda m: m.shared, lambda m, v: setattr(Reads, "shared", v)),
    "global": (read_global, set_global),
    "variable of another file": (lambda m: OTHER_FILE.factor, lambda m, v: setattr(OTHER_FILE, "factor", v)),
    "class by name": (lambda m: Constants.factor, lambda m, v: setattr(Constants, "factor", v)),
    "class in an attribute": (lambda m: m._class.factor, lambda m, v: setattr(m._class, "factor", v)),
    "ordered dict": (lambda m: BY_NAME["a"], lambda m, v: BY_NAME.update(a=v)),
    "default dict": (lambda m: m._default["a"], lambda m, v: m._default.update(a=v)),
    "user dict": (lambda m: m._user["a"], lambda m, v: m._user.update(a=v)),
    "dict of attributes": (lambda m: m._attributes.a, lambda m, v: m._attributes.update(a=v)),
    "list of a class": (lambda m: m._stack[0], lambda m, v: m._stack.__setitem__(0, v)),
    "typed array": (lambda m: m._typed[0], lambda m, v: m._typed.__setitem__(0, v)),
    "global list": (read_table, lambda m, v: TABLE.__setitem__(0, v)),
    "another function": (lambda m: m._how2(), lambda m, v: setattr(m, "_how2", lambda: v)),
}


@pytest.fixture(autouse=True)
def ones():
    yield
    set_global(None, 1.0)
    TABLE[0] = Reads.shared = Constants.factor = OTHER_FILE.factor = BY_NAME["a"] = 1.0


@pytest.fixture
def reading(request):
    model = Reads(request.param)
    model._how2 = lambda: 1.0
    model.compile(pynn.optim.SGD(0.0), "mse")
    return model, HOW[request.param][1]


every_way = pytest.mark.parametrize("reading", HOW, indirect=True)


@every_way
def test_training_sees_changes_between_epochs(reading):
    model, change = reading
    anneal = LambdaCallback(on_epoch_begin=lambda epoch, logs: change(model, float(epoch + 1)))
    got = model.fit(X, Y, epochs=3, verbose=0, callbacks=[anneal]).history["loss"]
    np.testing.assert_allclose(got, [4, 16, 36])


@every_way
def test_training_sees_changes_between_batches(reading):
    model, change = reading
    losses = []
    for value in (1.0, 3.0, 1.0):
        change(model, value)
        losses.append(model.train_on_batch(X, Y)["loss"])
    np.testing.assert_allclose(losses, [4, 36, 4])


@every_way
def test_predictions_see_changes(reading):
    model, change = reading
    model(X)
    f = model.predict_fn()
    for value in (1.0, 3.0, 2.0):
        change(model, value)
        for call in (f, model.predict, f, model.predict):
            np.testing.assert_array_equal(call(X), np.full((8, 1), 2 * value))
        assert model.evaluate(X, Y)["loss"] == 4 * value**2


def test_what_goes_to_and_fro_is_recorded_once_for_each():
    model = Reads("private")
    model.compile(pynn.optim.SGD(0.0), "mse")
    for value in (1.0, 2.0) * 5:
        model._number = value
        model.train_on_batch(X, Y)
    assert model._trainer.cache.recordings == 2


def test_the_same_value_again_records_nothing():
    model = Reads("private")
    model.compile(pynn.optim.SGD(0.0), "mse")
    for _ in range(5):
        model._number = float("1.5")
        model._scalar = np.float32(1)
        model.train_on_batch(X, Y)
    assert model._trainer.cache.recordings == 1


def test_a_value_that_changes_every_epoch_warns_of_no_shapes():
    model = Reads("private")
    model.compile(pynn.optim.SGD(0.0), "mse")
    anneal = LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(model, "_number", 1.0 + epoch / 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = model.fit(X, Y, epochs=60, verbose=0, callbacks=[anneal]).history["loss"]
    np.testing.assert_allclose(got, 4 * (1 + np.arange(60) / 8) ** 2, rtol=1e-6)
    assert len(list(model._trainer.cache)) < 10  # those of the past are let go


# What else a step reads


def penalised(regularizer):
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1, kernel_initializer="ones", kernel_regularizer=regularizer)])
    model.compile(pynn.optim.SGD(0.0), "mse")
    return model


@pytest.mark.parametrize("name", ["l1", "l2"])
def test_a_regularizer_that_changes(name):
    regularizer = pynn.regularizers.L1L2(0.1, 0.1)
    model = penalised(regularizer)
    for value in (0.1, 10.0, 3.0):
        setattr(regularizer, name, value)
        loss = model.fit(X, Y, verbose=0).history["loss"][0]
        assert loss == pytest.approx(model.evaluate(X, Y)["loss"], rel=1e-6)
        assert loss == pytest.approx(4 + 2 * value + 0.2, rel=1e-5)


def test_a_regularizer_that_is_a_function_of_a_list():
    factors = [0.5]
    model = penalised(lambda w: ops.sum(w) * factors[0])
    for value in (0.5, 2.0):
        factors[0] = value
        assert model.fit(X, Y, verbose=0).history["loss"][0] == pytest.approx(4 + 2 * value)


def test_a_constraint_that_changes():
    limit = pynn.regularizers.MaxNorm(1.0)
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1, kernel_initializer="ones", kernel_constraint=limit)])
    model.compile(pynn.optim.SGD(0.0), "mse")
    for value in (1.0, 0.5, 0.25):
        limit.limit = value
        model.train_on_batch(X, Y)
        assert np.linalg.norm(model.get_weights()[0]) == pytest.approx(value, rel=1e-5)


def test_a_loss_that_changes():
    class Scaled(pynn.losses.Loss):
        name = "scaled"

        def __init__(self):
            self._weights = np.ones(1, np.float32)

        def each(self, y_pred, y_true):
            return ops.mean(ops.square(y_pred - y_true), axis=1) * float(self._weights[0])

    loss = Scaled()
    model = penalised(None)
    model.compile(pynn.optim.SGD(0.0), loss)
    for value in (1.0, 2.0, 5.0):
        loss._weights[0] = value
        assert model.train_on_batch(X, Y)["loss"] == pytest.approx(4 * value)


def test_an_optimizer_that_changes():
    model, other = penalised(None), penalised(None)
    model.compile(pynn.optim.SGD(0.1, momentum=0.5), "mse")
    other.compile(pynn.optim.SGD(0.1, momentum=0.5), "mse", run_eagerly=True)
    for value in (0.5, 0.9):
        for m in (model, other):
            m.optimizer.momentum = value
            m.fit(X, Y, verbose=0, epochs=2)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("setting", ["momentum", "weight_decay", "clip_norm"])
def test_a_setting_of_an_optimizer_that_changes_every_epoch_warns_of_no_shapes(setting):
    model = penalised(None)
    model.compile(pynn.optim.SGD(0.01, momentum=0.5), "mse")
    anneal = LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(model.optimizer, setting, 0.5 + epoch / 1000))
    model.fit(X, Y, epochs=40, verbose=0, callbacks=[anneal])
    assert len(list(model._trainer.cache)) < 10


# What a pass changes itself


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Dense(1, use_bias=False, kernel_initializer="ones")
        self._calls, self._seen = 0.0, []

    def forward(self, x):
        self._calls += 1
        self._seen.append(x.shape)
        return self.lin(x) * self._calls


def test_a_pass_that_changes_what_it_reads_is_run_each_time():
    model = Counts()
    model(X)
    model._calls = 0.0
    with pytest.warns(RuntimeWarning, match=r"'counts\._calls' changes while the model is computed.*help"):
        got = [float(model.predict(X)[0, 0]) for _ in range(3)]
    assert got == [2, 4, 6]


def test_notes_of_a_pass_keep_nobody_from_replaying():
    class Notes(nn.Module):
        def __init__(self):
            super().__init__()
            self._seen, self._names = [], set()

        def forward(self, x):
            self._seen.append(x.shape)
            self._names.add(len(x.shape))
            self._lazily = 2.0
            return x * self._lazily

    model = Notes()
    model(X)
    before = len(model._seen)
    for _ in range(5):
        np.testing.assert_array_equal(model.predict(X), 2 * X)
    assert len(model._seen) - before <= 2


# The watch


def test_a_watch_names_what_changed():
    model = Reads("private")
    watch = Watch(model)
    assert watch.unchanged()
    model._settings.factor = 2.0
    assert not watch.unchanged()
    assert watch.changed == "reads._settings.factor"


def test_read_only_arrays_and_what_a_class_names_are_looked_over():
    class Own(nn.Module):
        _unwatched = frozenset({"_log"})

        def __init__(self):
            super().__init__()
            self._log, self._table = 0, np.arange(3.0)
            self._table.flags.writeable = False

        def forward(self, x):
            return x

    model = Own()
    watch = Watch(model)
    model._log = 1
    model._table.flags.writeable = True
    model._table[0] = 5
    assert watch.unchanged()
    model._slots_of_others = 1
    assert not watch.unchanged()


def test_a_watch_keeps_no_model_alive():
    import gc
    import weakref

    model = nn.Sequential([nn.Input((2,)), nn.Dense(2)])
    gone = weakref.ref(model)
    model.predict(X)
    gc.disable()
    try:
        del model
        assert gone() is None
    finally:
        gc.enable()


# The cache


def test_a_cache_lets_go_of_what_was_used_longest_ago(monkeypatch):
    from pynn.core import program

    cache, to = ProgramCache(), Tensor.state(np.zeros(2))
    for n in range(MOST_PROGRAMS + 10):
        with program.record() as recorder:
            ops.copy(pynn.tensor(np.ones(2)), out=to)
        cache.add(n, recorder, counts=False)
        cache.find(0)
    assert len(list(cache)) == MOST_PROGRAMS
    assert cache.find(0) is not None
    assert cache.find(1) is None
    monkeypatch.setattr(program, "MOST_BYTES", 1)
    with program.record() as recorder:
        ops.copy(pynn.tensor(np.ones(2)), out=to)
    cache.add("last", recorder, counts=False)
    assert [r.key for r in cache] == ["last"]


class Annealed(nn.Module):
    """y = beta (x w), beta being a weight that no optimizer trains."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Dense(1, use_bias=False, kernel_initializer="ones")
        self.add_weight("beta", (), "ones", trainable=False)

    def forward(self, x):
        return self.lin(x) * self.beta


def test_a_number_that_changes_every_epoch_is_a_weight_that_is_set():
    """Recorded steps read it where it lies: one program for all values."""
    model = Annealed()
    model.compile(pynn.optim.SGD(0.0), "mse")
    x, y = np.ones((8, 2), "float32"), np.zeros((8, 1), "float32")
    anneal = pynn.train.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(model, "beta", epoch + 1.0))
    losses = model.fit(x, y, epochs=30, verbose=0, callbacks=[anneal]).history["loss"]
    np.testing.assert_allclose(losses, [4.0 * (epoch + 1) ** 2 for epoch in range(30)], rtol=1e-6)
    assert len(list(model._trainer.cache)) == 1
    model.beta = np.float64(0.5)
    assert model.predict(x).tolist() == [[1.0]] * 8
    model.beta = 3
    assert model.predict(x).tolist() == [[6.0]] * 8
    assert any(name == "beta" for name, _ in model.named_parameters())
    assert model.parameters() == [model.lin.w]


@pytest.mark.parametrize("value", [[1.0, 2.0], "2", True, None])
def test_only_numbers_of_its_shape_are_written_into_a_weight(value):
    model = Annealed()
    model(np.ones((1, 2), "float32"))
    with pytest.raises(ValueError, match=r"expected numbers of shape \(\) for 'beta'"):
        model.beta = value
    assert model.beta.item() == 1
    with pytest.raises(AttributeError, match="cannot be replaced"):
        model.lin.w = np.zeros((2, 1))
