"""Names, classes and objects are resolved alike, for every kind of thing; checks of arguments have one wording."""

from __future__ import annotations

import importlib
from fractions import Fraction

import numpy as np
import pytest

from pynn import checks, init, losses, metrics, nn, optim, recipes, regularizers, schedules
from pynn.errors import nearest
from pynn.names import Registry
from pynn.ops import activation

KINDS = {
    "losses": (losses.NAMES, losses.get),
    "metrics": (metrics.NAMES, metrics.get),
    "optim": (optim.NAMES, optim.get),
    "init": (init.NAMES, init.get),
    "regularizers": (regularizers.NAMES, regularizers.get),
    "schedules": (schedules.NAMES, schedules.get),
}
GETS = [get for _, get in KINDS.values()] + [recipes.find, activation.get]


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_a_class_and_an_object_are_resolved_alike(kind: str) -> None:
    names, get = KINDS[kind]
    assert names
    for name in names:
        if kind == "schedules":  # all need numbers of their own
            for given in (name, names[name]):
                with pytest.raises(TypeError, match=r"\[schedules\] expected an object, since .* has no default for"):
                    get(given)
            continue
        by_name = get(name)
        by_class = get(type(by_name))
        assert type(by_class) is type(by_name)
        assert get(by_name) is by_name
        assert get(name) is not by_name, "a name makes a new object"


@pytest.mark.parametrize("get", GETS)
@pytest.mark.parametrize("given", [3.5j, object(), [], object])
def test_other_things_are_refused_in_one_wording(get, given) -> None:
    with pytest.raises(TypeError, match=r"^\[\w+\] expected a .*\. Received: "):
        get(given)


@pytest.mark.parametrize("get", GETS)
def test_a_wrong_name_brings_the_nearest(get) -> None:
    with pytest.raises(ValueError, match=r"^unknown \w+\. Received: 'zzzzzzz'\. help: Known: "):
        get("zzzzzzz")


def test_activations_and_recipes_are_resolved_like_the_others() -> None:
    class Halved:
        def __call__(self, x):
            return x * 0.5

    assert activation.get("relu") is activation.get(activation.relu) is activation.relu
    assert activation.get(None) is activation.linear
    assert nn.Dense(1, activation=Halved)._function(4.0) == 2.0
    assert nn.Dense(1, activation="swish").activation == "swish"
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        nn.Dense(1, activation="rleu")
    with pytest.raises(TypeError, match=r"\[activation\] expected a name or a function of a tensor"):
        nn.Dense(1, activation=3)
    xor = recipes.find("xor")
    assert recipes.find(xor) is xor
    with pytest.raises(ValueError, match="did you mean 'digits'"):
        recipes.find("digtis")


def test_aliases_stand_for_their_names() -> None:
    assert type(losses.get("categorical_crossentropy")) is losses.CrossEntropy
    assert losses.NAMES.aliases["mean_squared_error"] == "mse"
    assert set(losses.NAMES.aliases.values()) <= set(losses.NAMES)


def test_a_class_of_ones_own_counts_if_it_needs_nothing() -> None:
    class Flat:
        def __call__(self, shape, dtype="float32", seed=0):
            return np.ones(shape, dtype)

    class Needy(optim.SGD):
        def __init__(self, what):
            super().__init__()

    assert init.get(Flat)((2,)).tolist() == [1, 1]
    with pytest.raises(
        TypeError, match=r"\[optimizer\] .*Needy has no default for what.*help: pass Needy\(what=\.\.\."
    ):
        optim.get(Needy)
    with pytest.raises(TypeError, match="has no default for"):
        metrics.get(metrics.Mean)


@pytest.mark.parametrize(
    ("given", "known", "found"),
    [
        ("adma", optim.NAMES, "adam"),
        ("Adam", optim.NAMES, "adam"),
        ("ADAM-W", optim.NAMES, "adamw"),
        ("rms", optim.NAMES, "rmsprop"),
        ("crossentropy", losses.NAMES, "cross_entropy"),
        ("accuarcy", metrics.NAMES, "accuracy"),
        ("he normal", init.NAMES, "he_normal"),
        ("qqqqqqq", optim.NAMES, None),
        ("", optim.NAMES, None),
    ],
)
def test_the_nearest_name_is_what_a_slip_makes(given, known, found) -> None:
    assert nearest(given, known) == found


def test_a_registry_takes_new_names() -> None:
    things: Registry[Fraction] = Registry("thing", Fraction, {}, {"a_half": "half"})
    things.add("half", lambda: Fraction(1, 2))
    assert things.resolve("half") == things.resolve("a_half") == Fraction(1, 2)
    assert list(things) == ["half", "a_half"]
    assert len(things) == 2


NUMPY = [np.int8(3), np.int64(3), np.uint32(3), np.float32(3), np.float64(3), 3]


@pytest.mark.parametrize("value", NUMPY)
def test_integers_of_numpy_become_those_of_python(value) -> None:
    for found in (
        checks.integer("t", "n", value),
        checks.positive("t", "n", value),
        checks.pair("t", "n", value)[1],
        checks.pair("t", "n", np.array([3, value]))[1],
        checks.integers("t", "n", [value] * 3, 3)[2],
    ):
        assert found == 3
        assert type(found) is int


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), 0.5, Fraction(1, 2)])
def test_numbers_of_numpy_become_those_of_python(value) -> None:
    for found in (checks.number("t", "p", value, 0), checks.rate("t", "p", value)):
        assert found == 0.5
        assert type(found) is float


@pytest.mark.parametrize(
    "value",
    [
        True,
        np.True_,
        np.False_,
        2.0,
        np.float32(2.5),
        np.float64("inf"),
        np.float64("nan"),
        np.array(2),
        "3",
        None,
        0,
        -1,
        2**31,
        pytest.param(10**5000, id="of 5001 digits"),
    ],
)
def test_what_is_no_size_is_refused(value) -> None:
    with pytest.raises(ValueError, match=r"^\[t\] expected n to be .*\. Received: n="):
        checks.positive("t", "n", value)
    with pytest.raises(ValueError, match=r"^\[t\] expected n to be one or two positive integers.*\. Received: n="):
        checks.pair("t", "n", value)
    with pytest.raises(ValueError, match=r"^\[t\] expected n to be one or two .*\. Received: n="):
        checks.pair("t", "n", [1, value])


@pytest.mark.parametrize("value", [True, np.True_, "0.5", None, np.nan, np.inf, -0.1, 1, 10**400, np.array(0.5), 0.5j])
def test_what_is_no_rate_is_refused(value) -> None:
    with pytest.raises(ValueError, match=r"^\[t\] expected p to be a number in \[0, 1\)\. Received: p="):
        checks.rate("t", "p", value)


def test_the_wording_says_the_range() -> None:
    for call, wanted in [
        (lambda: checks.integer("t", "n", 0, 1), "a positive integer"),
        (lambda: checks.integer("t", "n", -1), "an integer of at least 0"),
        (lambda: checks.integer("t", "n", 300, 0, 255), "an integer from 0 to 255"),
        (lambda: checks.positive("t", "n", 2**31), "an integer from 1 to 2147483647"),
        (lambda: checks.number("t", "n", -1, 0), "a finite number of at least 0"),
        (lambda: checks.number("t", "n", 0, 0, open_low=True), "a finite number above 0"),
        (lambda: checks.number("t", "n", np.inf), "a finite number"),
        (lambda: checks.number("t", "n", 2, 0, 1), r"a number in \[0, 1\]"),
        (lambda: checks.number("t", "n", 2, 0, 1, open_low=True), r"a number in \(0, 1\]"),
        (lambda: checks.flag("t", "n", "yes"), "True or False"),
    ]:
        with pytest.raises(ValueError, match=rf"^\[t\] expected n to be {wanted}\. Received: n="):
            call()
    assert [checks.flag("t", "n", v) for v in (True, np.False_, 1, 0)] == [True, False, True, False]
    assert checks.choice("t", "kind", "a", ("a", "b")) == "a"
    with pytest.raises(ValueError, match=r"^\[t\] unknown kind\. Received: 'bb'\. help: did you mean 'b'\?"):
        checks.choice("t", "kind", "bb", ("aa", "b"))


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint8])
def test_layers_take_integers_of_numpy(kind) -> None:
    n = kind(3)
    layers = [
        nn.Dense(n), nn.Maxout(n, n), nn.Conv2D(n, n, strides=n), nn.Conv1D(n, n, padding=n), nn.MaxPool2D(n),
        nn.MaxPool1D(n), nn.UpSampling2D(n), nn.Embedding(n, n), nn.LSTM(n), nn.GRU(n), nn.SimpleRNN(n),
        nn.Input(n), nn.Input((n, n)), nn.LayerNormalization(axis=n), nn.RandomCrop(n), nn.Conv2DTranspose(n, n),
    ]  # fmt: skip
    for layer in layers:
        for value in vars(layer).values():
            for item in value if isinstance(value, tuple) else (value,):
                assert not isinstance(item, np.integer), layer
    assert nn.Dropout(np.float32(0.5)).rate == 0.5


@pytest.mark.parametrize("make", [nn.Dense, nn.LSTM, nn.Dropout, nn.Embedding, nn.MaxPool2D, nn.RandomCrop])
def test_layers_refuse_bools_as_sizes_and_rates(make) -> None:
    for given in (True, np.True_):
        with pytest.raises(ValueError, match=r"^\[\w+\] expected .*Received: \w+=.*True"):
            make(given, given) if make is nn.Embedding else make(given)


@pytest.mark.parametrize(
    ("module", "slip", "meant"),
    [
        ("ops", "concatenate", "concat"),
        ("text", "pad_sequence", "pad_sequences"),
        ("onnx", "exports", "export"),
        ("train", "EarlyStoping", "EarlyStopping"),
        ("io", "read_meta_data", "read_metadata"),
    ],
)
def test_modules_that_load_their_names_late_bring_the_nearest(module: str, slip: str, meant: str) -> None:
    with pytest.raises(AttributeError) as raised:
        getattr(importlib.import_module(f"pynn.{module}"), slip)
    assert str(raised.value) == f"module 'pynn.{module}' has no attribute {slip!r}. help: did you mean {meant!r}?"
    with pytest.raises(AttributeError) as raised:
        importlib.import_module(f"pynn.{module}").__wrapped__  # noqa: B018  (inspect asks for it)
    assert str(raised.value) == f"module 'pynn.{module}' has no attribute '__wrapped__'"


def test_an_optimizer_says_when_a_model_has_parameters() -> None:
    model = nn.Sequential([nn.Dense(1)])
    with pytest.raises(ValueError, match=r"\[adam\] expected parameters. .*help: .*build\(\(None, ...\)\)"):
        optim.Adam().bind(model.parameters())
    model.build((None, 2))
    optim.Adam().bind(model.parameters())


@pytest.mark.parametrize("kind", ["metrics", "losses", "schedules", "init", "optim"])
def test_what_is_no_name_brings_the_remedy_of_its_kind(kind):
    module = importlib.import_module(f"pynn.{kind}")
    remedy = module.NAMES._remedy
    with pytest.raises(TypeError) as caught:
        module.get(3j)
    assert str(caught.value).endswith(remedy)
    assert remedy.startswith(" help: ") or kind == "optim"
