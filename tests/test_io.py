"""Model files: what goes in comes out."""

import hashlib
import json

import numpy as np
import pytest
from layers_by_class import made
from model_files import GOLDEN, remade, small, trained

import pynn
from pynn import nn
from pynn.errors import DataError
from pynn.io import config, dumps, loads, read_info, read_metadata
from pynn.io.arguments import current_arguments
from pynn.io.registry import _classes
from pynn.nn.rnn import _Recurrent


@pytest.fixture
def custom():
    """Forget what a test registers."""
    from pynn.io import registry

    before = dict(registry._custom)
    yield pynn.register
    registry._custom.clear()
    registry._custom.update(before)


# Every layer

VECTORS, SEQUENCES, IMAGES = (4, 8), (4, 6, 5), (4, 12, 12, 4)
ARGUMENTS = {
    "Activation": (("leaky_relu",), {"slope": 0.3}),
    "Bidirectional": ((nn.LSTM(3, return_sequences=True, peephole=True),), {"merge_mode": "sum"}),
    "Conv1D": ((4, 3), {}),
    "Conv2D": ((4, 3), {"strides": (2, 1), "padding": "same", "activation": "relu"}),
    "Conv2DTranspose": ((4, 3), {"strides": 2}),
    "Dense": (
        (3,),
        {"kernel_regularizer": pynn.regularizers.L1L2(0.1, 0.2), "kernel_constraint": pynn.regularizers.MaxNorm(1.5)},
    ),
    "DepthwiseConv2D": ((3,), {}),
    "Dropout": ((0.25,), {}),
    "Embedding": ((10, 4), {"mask_zero": True, "embeddings_initializer": pynn.init.Normal(std=2.0)}),
    "GRU": ((3,), {"reset_after": False, "recurrent_dropout": 0.1}),
    "GroupNormalization": ((2,), {}),
    "JordanRNN": ((3, 2), {}),
    "LSTM": ((3,), {"return_sequences": True, "kernel_initializer": "he_normal"}),
    "LayerNormalization": ((), {"axis": (-2, -1)}),
    "LocallyConnected2D": ((3, 3), {}),
    "Maxout": ((3,), {"pieces": 3}),
    "RandomRotation": ((), {"rotation": 10.0}),
    "RandomShear": ((), {"shear": 10.0}),
    "RandomShift": (((0.1, 0.2),), {}),
    "RandomZoom": ((), {"zoom": 0.1}),
    "Rescaling": ((0.5,), {"offset": -1.0}),
    "Reshape": (((2, -1),), {}),
    "SeparableConv2D": ((4, 3), {"depth_multiplier": 2}),
    "SimpleRNN": ((3,), {"activation": "relu", "go_backwards": True}),
    "SpatialDropout2D": ((0.5,), {}),
    "TimeDistributed": ((nn.Dense(3),), {}),
}
SHAPES = {
    "sequences": {
        "Bidirectional",
        "Conv1D",
        "GRU",
        "JordanRNN",
        "LSTM",
        "SimpleRNN",
        "TimeDistributed",
        "MaxPool1D",
        "AvgPool1D",
    },
    "vectors": {"Activation", "DBM", "Dense", "Dropout", "Maxout", "RBM", "Reshape", "Flatten"},
}
MERGES = {"Add", "Concatenate", "Multiply"}
LAYERS = sorted(
    name.removeprefix("nn.")
    for name, cls in _classes().items()
    if name.startswith("nn.") and cls not in (nn.Sequential, nn.Model)
)


def test_files_may_name_every_layer_that_people_can_make_and_no_other():
    public = {name: getattr(nn, name) for name in nn.__all__}
    made = {name for name, cls in public.items() if isinstance(cls, type) and issubclass(cls, nn.Module)}
    assert {name.removeprefix("nn.") for name in _classes() if name.startswith("nn.")} == made - {"Module"}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_comes_back(name, rng):
    args, options = ARGUMENTS.get(name, ((), {}))
    cls = getattr(nn, name)
    recurrent = issubclass(cls, _Recurrent)
    layer = cls(*args, **options) if name in ARGUMENTS else made(cls)
    if name == "Embedding":
        x = rng.integers(1, 10, (4, 6))
    else:
        kind = next((k for k, names in SHAPES.items() if name in names), "sequences" if recurrent else "images")
        x = rng.normal(size={"sequences": SEQUENCES, "vectors": VECTORS, "images": IMAGES}[kind]).astype("float32")
    if name in MERGES:
        a = nn.Input(IMAGES[1:])
        model = nn.Model(a, layer([a, a]))
    else:
        model = nn.Sequential([layer])
    before = model(x).numpy()
    assert isinstance(layer.extra_repr(), str)
    assert repr(layer).startswith(name)
    data = dumps(model)
    again = loads(data)
    assert repr(again.layers[0]) == repr(model.layers[0])
    assert type(again.layers[0]) is type(layer)
    assert (again(x).numpy() == before).all()
    assert dumps(again) == data


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in _classes()
        if n.startswith(("optim.", "losses.", "metrics.")) and n not in ("metrics.Mean", "losses.FunctionLoss")
    ],
)
def test_every_optimizer_loss_and_metric_comes_back(name):
    made = _classes()[name]()
    options = {"optimizer": "sgd", "loss": "mse", "metrics": []}
    key = {"optim": "optimizer", "losses": "loss", "metrics": "metrics"}[name.split(".")[0]]
    if key == "optimizer":
        made = _classes()[name](
            pynn.schedules.WarmUp(pynn.schedules.Cosine(0.1, steps=9), 3), weight_decay=0.125, clip_norm=2.0
        )
    model = nn.Sequential([nn.Input((2,)), nn.Dense(2)])
    model.compile(**{**options, key: [made] if key == "metrics" else made})
    again = loads(dumps(model))
    found = again._trainer.metrics[0] if key == "metrics" else getattr(again, key)
    assert type(found) is type(made)
    assert repr(found) == repr(made)
    plain = {k: v for k, v in vars(made).items() if isinstance(v, (int, float, str))}
    assert {k: v for k, v in vars(found).items() if k in plain} == plain


@pytest.mark.parametrize("schedule", [
    pynn.schedules.Constant(0.1), pynn.schedules.Exponential(0.1, rate=0.5, every=10, staircase=True),
    pynn.schedules.StepDecay(0.1, 0.5, 3), pynn.schedules.InverseTime(0.1, rate=0.5, every=3),
    pynn.schedules.Cosine(0.1, steps=10), pynn.schedules.OneCycle(0.1, 50),
    pynn.schedules.Piecewise([3, 5], [0.3, 0.2, 0.1]), pynn.schedules.InverseSqrt(0.1, every=3),
    pynn.schedules.Polynomial(0.1, 50, power=0.5, cycle=True),
])  # fmt: skip
def test_every_schedule_comes_back(schedule):
    model = small()
    model.compile(pynn.optim.SGD(schedule), "mse")
    assert loads(dumps(model)).optimizer._rate == schedule


def test_a_trained_model_goes_on_as_if_it_had_not_been_saved(tmp_path, rng):
    x = rng.normal(size=(64, 8, 8, 3)).astype("float32")
    y = rng.integers(0, 3, 64)
    model = nn.Sequential(
        [
            nn.Input((8, 8, 3)),
            nn.Conv2D(4, 3, activation="relu", use_bias=False),
            nn.BatchNormalization(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Dense(3, activation="softmax"),
        ]
    )
    model.layers[0].trainable = False
    model.compile(pynn.optim.Nadam(pynn.schedules.Cosine(0.01, steps=30)), "cross_entropy", ["accuracy", "f1"], seed=5)
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "model.pynn")
    again = pynn.load(tmp_path / "model.pynn")
    assert [layer.trainable for layer in again.layers] == [layer.trainable for layer in model.layers]
    histories = [m.fit(x, y, initial_epoch=2, epochs=5, verbose=0).history for m in (model, again)]
    assert histories[0] == histories[1]
    assert all((a == b).all() for a, b in zip(model.get_weights(), again.get_weights(), strict=True))
    assert model.evaluate(x, y) == again.evaluate(x, y)


def test_without_the_optimizer_the_file_is_small_and_predicts_the_same(tmp_path):
    model = trained()
    x = np.eye(4, dtype="float32")
    model.save(tmp_path / "whole.pynn")
    model.save(tmp_path / "small.pynn", include_optimizer=False)
    assert not [name for name in read_info(tmp_path / "small.pynn")["tensors"] if "/" in name]
    assert (tmp_path / "small.pynn").stat().st_size < (tmp_path / "whole.pynn").stat().st_size
    again = pynn.load(tmp_path / "small.pynn")
    assert (again.predict(x) == model.predict(x)).all()
    with pytest.raises(RuntimeError, match="not compiled"):
        again.fit(x, [0, 1, 2, 0])


def test_float64_states_and_shared_layers(rng):
    x = rng.normal(size=(2, 5, 3))
    model = nn.Sequential([nn.GRU(4, stateful=True)]).astype("float64")
    model(x)
    again = loads(dumps(model))
    assert again.layers[0].w.dtype == np.float64
    assert (again(x).numpy() == model(x).numpy()).all()
    assert (again(x).numpy() != again(x).numpy()).any()
    a, b = nn.Input((3,)), nn.Input((3,))
    shared = nn.Dense(3, activation=pynn.ops.gelu)
    model = nn.Model([a, b], nn.Dense(2)(nn.Add()([shared(shared(a)), shared(b)])), name="twins")
    again = loads(dumps(model))
    assert again.count_parameters() == model.count_parameters() == 20
    xs = tuple(rng.normal(size=(2, 4, 3)).astype("float32"))
    assert again.name == "twins"
    assert (again(*xs).numpy() == model(*xs).numpy()).all()
    nested = nn.Sequential([nn.Input((3,)), nn.Sequential([nn.Dense(3), nn.Dropout(0.5)]), shared, shared])
    assert dumps(loads(dumps(nested))) == dumps(nested)


def test_a_class_of_ones_own(custom, rng):
    @custom
    class Net(nn.Module):
        def __init__(self, hidden, *sizes, act="relu"):
            super().__init__()
            self.hidden = nn.Dense(hidden, activation=act)  # an attribute named like an argument, but not the argument
            self.more = [nn.Dense(size) for size in sizes]
            self.drop = nn.Dropout(0.1)
            self.scale = self.add_weight("own", (1,), "ones")

        def forward(self, x):
            x = self.drop(self.hidden(x)) * self.own
            for layer in self.more:
                x = layer(x)
            return x

    x = rng.normal(size=(4, 6)).astype("float32")
    model = Net(5, 4, 3, act="tanh")
    model.drop.rate, model.more[0].activation = 0.4, "sigmoid"  # changed after it was made
    before = model(x).numpy()
    data = dumps(model)
    again = loads(data)
    assert (again(x).numpy() == before).all()
    assert (again.drop.rate, again.more[0].activation) == (0.4, "sigmoid")
    assert dumps(again) == data
    for change in ({"*sizes": None}, {"*sizes": {"tuple": []}}, {"*hidden": []}):

        def edit(tensors, metadata, change=change):
            table = json.loads(metadata["architecture"])
            table["root"]["config"].update(change)
            metadata["architecture"] = json.dumps(table)

        with pytest.raises(DataError, match=r"expected hidden, and a list as \*sizes|takes no '\*hidden'"):
            loads(remade(model, edit))


def test_names_are_registered_in_code_alone(custom):
    class Double(nn.Module):
        def forward(self, x):
            return x * 2.0

    model = nn.Sequential([Double()])
    model(np.ones((1, 2), "float32"))
    with pytest.raises(DataError, match=r"layer Double is not registered.*help: decorate the class"):
        dumps(model)
    custom(Double)
    data = dumps(model)
    from pynn.io import registry

    del registry._custom["Double"]
    refused = r"'Double' is of the program.*not registered here. {} help:.*pynn.register\(Double\)"
    known, registry._custom = registry._custom, {}
    with pytest.raises(DataError, match=refused.format("Nothing is registered.")):
        loads(data)
    registry._custom = known

    class Other:
        pass

    custom(Other)
    with pytest.raises(DataError, match=refused.format("Registered: .*Other.*")):
        loads(data)
    custom(Double)
    with pytest.raises(ValueError, match="the name 'Double' is taken by"):
        custom(Other, "Double")
    with pytest.raises(ValueError, match="expected a name"):
        custom(lambda x: x)
    with pytest.raises(TypeError, match="expected a class or a function"):
        custom(3)
    with pytest.raises(DataError, match="expected a Module"):
        registry.find("custom.Other", nn.Module, "here")
    with pytest.raises(DataError, match="expected a function"):
        registry.find("custom.Other", None, "here")


def test_functions_need_names(custom):
    def cube(x):
        return x * x * x

    model = nn.Sequential([nn.Input((2,)), nn.Dense(2, activation=cube)])
    with pytest.raises(DataError, match=r"layers\[0\].activation: a file cannot hold .*pynn.register"):
        dumps(model)
    custom(cube)
    assert loads(dumps(model)).layers[0]._function is cube
    layers = (layer for layer in (nn.Input((2,)), nn.Dense(2)))
    assert loads(dumps(nn.Sequential(layers, name="from_generator"))).name == "from_generator"


def test_a_class_of_ones_own_gives_its_layers_what_a_file_cannot_hold(custom):
    """What the constructor of a registered class gives anew is not written; another value of it is refused."""

    class Cubed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Dense(2, activation=CUBE)

        def forward(self, x):
            return self.inner(x)

    custom(Cubed)
    model = nn.Sequential([Cubed()])
    x = np.ones((1, 3), "float32")
    before = model(x).numpy()
    again = loads(dumps(model))
    assert again.layers[0].inner._function is CUBE
    np.testing.assert_array_equal(again(x).numpy(), before)


def CUBE(x):
    return x * x * x


def test_metadata(tmp_path):
    path = tmp_path / "model.pynn"
    metadata = {"classes": ["cat", "dog"], "threshold": 0.5, "text": "ä\n", "more": {"a": None}}
    small().save(path, metadata=metadata)
    assert read_metadata(path) == metadata
    for bad in ({1: 2}, {"a": object()}, {"a": float("nan")}, {"a": (1, 2)}):
        with pytest.raises(TypeError, match="metadata"):
            small().save(path, metadata=bad)
    assert read_metadata(path) == metadata


def test_other_readers_see_safetensors(tmp_path):
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "model.pynn"
    model = trained()
    model.save(path)
    tensors = load_file(path)
    assert all((tensors[name] == weight.numpy()).all() for name, weight in model.named_parameters())
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    save_file(tensors, tmp_path / "again.pynn", metadata)  # the order in the file may change, the contents do not
    x = np.eye(4, dtype="float32")
    assert (pynn.load(tmp_path / "again.pynn").predict(x) == model.predict(x)).all()
    assert dumps(model) == dumps(model)


def test_constructor_arguments_are_kept_without_being_written_down():
    layer = nn.Conv2D(4, 3, activation="relu")
    layer.activation, layer.strides = "tanh", (2, 2)
    found = current_arguments(layer)
    assert (found["filters"], found["kernel_size"], found["strides"]) == (4, 3, (2, 2))
    assert found["activation"] is pynn.ops.tanh
    assert found["padding"] == "valid"


# Golden files: every format that was ever released stays loadable


def golden_model():
    model = nn.Sequential(
        [
            nn.Input((6, 6, 1)),
            nn.Conv2D(2, 3, activation="relu"),
            nn.BatchNormalization(),
            nn.MaxPool2D(2),
            nn.Flatten(),
            nn.Dense(3, activation="softmax"),
        ]
    )
    model.compile(pynn.optim.SGD(0.1, momentum=0.9), "cross_entropy", ["accuracy"], seed=1)
    return model


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("model-v*.pynn")), ids=lambda path: path.name)
def test_golden_files_load(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    model = pynn.load(path)
    x = np.arange(72, dtype="float32").reshape(2, 6, 6, 1) / 72
    assert np.abs(model.predict(x) - np.array(expected["predictions"])).max() < 1e-6
    digest = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
    assert digest == expected["weights"]
    assert int(model._trainer.slots.step.view()[0]) == expected["step"]
    assert read_metadata(path) == {"note": "golden"}
    model.fit(x, [0, 2], epochs=1, verbose=0)


def test_there_is_a_golden_file():
    assert list(GOLDEN.glob("model-v1.pynn"))


def test_models_come_back_with_their_names_and_seeds():
    x = nn.Input((3,))
    inner = nn.Sequential([nn.Dense(2, name="small")], name="inner")
    model = nn.Model(x, nn.Dense(2, name="last")(inner(nn.Dropout(0.5)(x))), name="mine", seed=7)
    again = loads(dumps(model))
    assert (again.name, again._seed[0]) == ("mine", 7)
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert list(dict(again.named_parameters())) == list(dict(model.named_parameters()))
    line = nn.Sequential([nn.Input((3,)), nn.Dense(2)], name="line", seed=3)
    again = loads(dumps(line))
    assert (again.name, again._seed[0]) == ("line", 3)


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i4", "<i8", "|u1", "|b1"])
def test_dtypes_of_numbers_come_back_as_settings(dtype):
    assert config.decode({"dtype": dtype}, "a setting") == np.dtype(dtype)


@pytest.mark.parametrize("dtype", ["|O", "<c8", "<U9", "V4", ">f4", "float32"])
def test_other_dtypes_are_no_settings(dtype):
    with pytest.raises(DataError, match="a setting: expected a setting"):
        config.decode({"dtype": dtype}, "a setting")
