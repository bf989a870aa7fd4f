"""Model files: what goes in comes out; anything else is refused with a clear error."""

import hashlib
import io
import json
import os
import pickle
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from layers_by_class import made

import pynn
from pynn import files, nn
from pynn.errors import DataError
from pynn.io import container, dumps, loads, read_info, read_metadata, write_whole
from pynn.io.arguments import current_arguments
from pynn.io.registry import _classes
from pynn.nn.rnn import _Recurrent

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def custom():
    """Forget what a test registers."""
    from pynn.io import registry

    before = dict(registry._custom)
    yield pynn.register
    registry._custom.clear()
    registry._custom.update(before)


def small(seed=0):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(5, activation="tanh"), nn.Dense(3, activation="softmax")])
    model.compile(pynn.optim.Adam(0.01), "cross_entropy", ["accuracy"], seed=seed)
    return model


def trained():
    model = small()
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(32, 4)).astype("float32"), np.arange(32) % 3, epochs=2, verbose=0)
    return model


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
    "vectors": {"Activation", "Dense", "Dropout", "Maxout", "Reshape", "Flatten"},
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
    data = dumps(model)
    again = loads(data)
    assert type(again.layers[0]) is type(layer)
    assert (again(x).numpy() == before).all()
    assert dumps(again) == data


@pytest.mark.parametrize(
    "name", [n for n in _classes() if n.startswith(("optim.", "losses.", "metrics.")) and n != "metrics.Mean"]
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
    pynn.schedules.Piecewise([3, 5], [0.3, 0.2, 0.1]),
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
    with pytest.raises(DataError, match=r"'Double' is of the program.*not registered here.*pynn.register\(Double\)"):
        loads(data)

    class Other:
        pass

    custom(Double)
    custom(Other)
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


# Files that are none


def keras_archive():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"")
    return data.getvalue()


def torch_archive():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    return data.getvalue()


def npz():
    data = io.BytesIO()
    np.savez(data, a=np.ones(2))
    return data.getvalue()


def npy():
    data = io.BytesIO()
    np.save(data, np.ones(2))
    return data.getvalue()


def plain_safetensors():
    from safetensors.numpy import save

    return save({"w": np.ones(2, "float32")})


OTHERS = {
    "empty file": b"",
    "Keras file": keras_archive(),
    "PyTorch file": torch_archive(),
    r"NumPy archive \(.npz\)": npz(),
    r"NumPy array \(.npy\)": npy(),
    "zip archive": b"PK\x03\x04" + bytes(60),
    "HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "Python pickle": pickle.dumps({"a": 1}),
    "ONNX network": b"\x08\x08\x12\x07pytorch\x1a\x05" + bytes(50),
    "safetensors file without a pynn architecture": plain_safetensors(),
    "gzip file": b"\x1f\x8b" + bytes(50),
    "PNG image": b"\x89PNG\r\n\x1a\n" + bytes(50),
    "JSON text": b'{"a": 1, "something": [1, 2, 3]}',
    "text file": b"a,b,c\n1,2,3\n4,5,6\n",
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n",
    "no known format": bytes(range(200, 256)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_formats_are_named(name, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(OTHERS[name])
    with pytest.raises(DataError, match=rf"\[load\] expected a pynn model file. Received: '.*file', .*{name}"):
        pynn.load(path)


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        pynn.load(tmp_path / "none.pynn")
    with pytest.raises(DataError, match="a folder"):
        pynn.load(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(DataError, match="SavedModel"):
        pynn.load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="no ordinary file"):  # and does not wait for a writer
        pynn.load(tmp_path / "pipe")


# Damaged and hostile files


def remade(model, change=None, **texts):
    """Return a file with a right digest, in which things were changed."""
    from pynn.io.model_file import contents

    tensors, metadata = contents(model)
    tensors = {name: array.copy() for name, array in tensors.items()}
    if change is not None:
        change(tensors, metadata)
    metadata.update(texts)
    return b"".join(container.pack(tensors, metadata))


def test_a_newer_format_is_refused_with_both_versions():
    with pytest.raises(
        DataError, match=r"format version 2, written by pynn 9.1.*reads versions up to 1. help: upgrade"
    ):
        loads(remade(small(), format_version="2", pynn_version="9.1"))


def test_missing_extra_and_misshapen_tensors():
    model = trained()
    for change, message in (
        (lambda t, m: t.pop("layers.0.w"), r"tensor 'layers.0.w' is missing: .* float32 of shape \(4, 5\)"),
        (lambda t, m: t.update(extra=np.ones(2, "float32")), "no layer has the tensors 'extra'"),
        (
            lambda t, m: t.update({"layers.0.b": np.ones(6, "float32")}),
            r"'layers.0.b' of shape \(5,\).*Received: \(6,\)",
        ),
        (
            lambda t, m: t.update({"layers.0.b": np.ones(5)}),
            r"'layers.0.b' of shape \(5,\), float32. Received: .*float64",
        ),
        (lambda t, m: t.pop("optimizer/m/layers.0.w"), "lacks a tensor of its optimizer: 'm/layers.0.w'"),
        (lambda t, m: t.update({"optimizer/z": np.ones(1)}), "tensor that its optimizer has not: 'z'"),
        (lambda t, m: t.update({"state/layers.0/0": np.ones((1, 1))}), "no layer keeps the states"),
    ):
        with pytest.raises(DataError, match=message):
            loads(remade(model, change))


def edited(change):
    """Return a file whose architecture was changed by a function of its JSON."""

    def edit(tensors, metadata):
        table = json.loads(metadata["architecture"])
        metadata["architecture"] = json.dumps(change(table) or table)

    return remade(trained(), edit)


SGD = {"class": "optim.SGD", "config": {}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["root"]["layers"][0].update({"class": "os.system"}), "unknown class. Received: 'os.system'"),
        (lambda t: t["root"]["layers"][0].update({"class": "nn.Densee"}), "did you mean 'nn.Dense'"),
        (lambda t: t["root"]["layers"][0].update({"class": "init.Zeros"}), "expected a Module"),
        (lambda t: t["root"]["layers"][0].update({"class": ["nn.Dense"]}), "expected the name of a class"),
        (lambda t: t["root"]["layers"][0]["config"].update(units=-1), "cannot be made.*positive integer"),
        (lambda t: t["root"]["layers"][0]["config"].update(units=10**9), "expected tensor 'layers.0.w' of shape"),
        (lambda t: t["root"]["layers"][0]["config"].update(units=10**30), r"integer below 2\*\*63"),
        (lambda t: t["root"]["layers"][0]["config"].update(units=2.5), "positive integer"),
        (lambda t: t["root"]["layers"][0]["config"].update(bogus=1), "takes no 'bogus'"),
        (lambda t: t["root"]["layers"][0]["config"].update({"*units": None}), r"takes no '\*units'"),
        (lambda t: t["root"]["layers"][0]["config"].update(activation="evil"), "unknown activation"),
        (lambda t: t["root"]["layers"][0]["config"].update(activation={"function": "eval"}), "unknown activation"),
        (lambda t: t["root"]["layers"][0]["config"].update(activation={"a": 1, "b": 2}), "expected a setting"),
        (lambda t: t["root"]["layers"][0]["config"].update(kernel_initializer=SGD), "cannot be made"),
        (lambda t: t["root"].update(input=[4, -1]), "expected a shape"),
        (lambda t: t["root"].update(input=[2**40]), "expected a shape"),
        (lambda t: t["root"].update(input=[5]), "layers do not fit together"),
        (lambda t: t["root"].update(layers={"ref": 0}), "expected a list"),
        (lambda t: t["root"].update(layers=[{"ref": 0}]), "does not come before"),
        (lambda t: t["root"].update(layers=[{"ref": 99}]), "does not come before"),
        (lambda t: t.update(more=1), "expected a table of modules, root, seed"),
        (lambda t: t.update(seed=-1), "seed"),
        (lambda t: t.update(modules=[]), "the file does not tell of it"),
        (lambda t: t["modules"].append(t["modules"][0]), "a path is given twice"),
        (lambda t: t["modules"][1].update(built=[1, 2**31]), "expected a shape"),
        (lambda t: t["modules"][1].update(built=[1, 2**30]), "expected tensor 'layers.0.w' of shape"),
        (lambda t: t["modules"][1].update(built=[]), "cannot be built"),
        (lambda t: t["modules"][1].update(dtype="object"), "expected dtype float32 or float64"),
        (lambda t: t["modules"][1].update(path="layers.9"), "expected a nn.Dense. Received: nothing"),
        (lambda t: [1], "expected a table"),
    ],
)  # fmt: skip
def test_a_hostile_architecture_is_refused(change, message):
    with pytest.raises(DataError, match=message):
        loads(edited(change))


def misfit(*layers):
    """Return the bytes of a file whose layers were built apart, so that none fits the one before."""
    parts = [nn.Sequential([nn.Input(shape), layer]) for shape, layer in layers]
    for i, part in enumerate(parts):
        part.build((1, *part._input))
        object.__setattr__(part._layers[0], "name", f"layer_{i}")
    whole = nn.Sequential([nn.Input(layers[0][0])])
    whole._layers.extend(part._layers[0] for part in parts)
    object.__setattr__(whole, "_built_for", (1, *layers[0][0]))
    object.__setattr__(whole, "built", True)
    return pynn.io.dumps(whole)


@pytest.mark.parametrize(
    "layers",
    [
        [((3,), nn.Dense(4)), ((5,), nn.Dense(2))],
        [((8, 8, 1), nn.Conv2D(2, 3)), ((8, 8, 3), nn.Conv2D(2, 3))],
        [((4, 4, 1), nn.Conv2D(2, 3)), ((4, 4, 2), nn.MaxPool2D(3))],
        [((4, 3), nn.LSTM(2)), ((4, 2), nn.GRU(2))],
        [((9,), nn.Dense(8)), ((9,), nn.Reshape((3, 3)))],
        [((9,), nn.Dense(8)), ((9,), nn.Reshape((3, -1)))],
        [((6,), nn.BatchNormalization()), ((7,), nn.BatchNormalization())],
        [((6,), nn.Dense(3)), ((4,), nn.Embedding(5, 2))],
    ],
)
def test_layers_that_do_not_fit_together_are_refused(layers):
    data = misfit(*layers)
    with pytest.raises(DataError, match=r"\[load\] the layers do not fit together: .*File: 'bytes'"):
        loads(data)


def test_layers_that_fit_are_loaded_whatever_their_input():
    assert loads(misfit(((9,), nn.Dense(8)), ((8,), nn.Reshape((2, -1))))).predict(np.ones((3, 9))).shape == (3, 2, 4)
    branches = nn.Input((4,))
    model = nn.Model(branches, nn.Add()([nn.Dense(4)(branches), branches]))
    model.build()
    text = container.unpack(pynn.io.dumps(model), "x")
    table = json.loads(text.metadata["architecture"])
    table["root"]["inputs"] = [[5]]
    changed = {**text.metadata, "architecture": json.dumps(table)}
    with pytest.raises(DataError, match="layers do not fit together"):
        loads(b"".join(container.pack(text.tensors, changed)))


def test_a_hostile_training_is_refused():
    def edit(change):
        def apply(tensors, metadata):
            table = json.loads(metadata["training"])
            change(table)
            metadata["training"] = json.dumps(table)

        return remade(trained(), apply)

    for change, message in (
        (lambda t: t.update(step=-1), "training.step"),
        (lambda t: t.update(seed=2**64), "training.seed"),
        (lambda t: t.update(metrics=3), "list of metrics"),
        (lambda t: t.update(more=3), "expected a table"),
        (lambda t: t["optimizer"].update({"class": "losses.MSE"}), "expected a Optimizer"),
        (lambda t: t["optimizer"]["config"].update(learning_rate=-1.0), "learning_rate"),
        (lambda t: t["optimizer"]["config"].update(beta_1={"float": "nan"}), "beta_1"),
        (lambda t: t["loss"].update(config=[]), "class and config"),
    ):
        with pytest.raises(DataError, match=message):
            loads(edit(change))


def raw(header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


SCALAR = b'{"dtype":"F32","shape":[],"data_offsets":[0,4]}'
MARKS = {"format": "pynn", "format_version": "1"}
HEADERS = {
    "huge length": (raw({}, length=2**63), "of no known format|at most"),
    "length beyond the limit": (raw({}, bytes(100), length=100_000_000), "at most"),
    "length beyond the file": (raw({}, length=1000), "cut off"),
    "overlapping ranges": (raw({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)), "overlap"),
    "same range twice": (raw({"a": entry([2], 0, 8), "b": entry([2], 0, 8)}, bytes(8)), "overlap"),
    "gap": (raw({"a": entry([2], 0, 8), "b": entry([2], 12, 20)}, bytes(20)), "gap"),
    "missing range": (raw({"a": entry([2], 8, 16)}, bytes(16)), "gap"),
    "bytes left over": (raw({"a": entry([2], 0, 8)}, bytes(9)), "1 bytes follow"),
    "range beyond the file": (raw({"a": entry([2], 0, 8)}, bytes(7)), "cut off"),
    "reversed range": (raw({"a": entry([2], 8, 0)}, bytes(8)), "needs 8 bytes"),
    "duplicate keys": (raw(b'{"a":' + SCALAR + b',"a":' + SCALAR + b"}", bytes(4)), "'a' twice"),
    "duplicate inner keys": (raw(b'{"a":' + SCALAR[:-1] + b',"dtype":"F64"}}', bytes(4)), "'dtype' twice"),
    "unknown dtype": (raw({"a": entry([2], 0, 8, "Q99")}, bytes(8)), "not supported"),
    "unsupported dtype": (raw({"a": entry([4], 0, 8, "BF16")}, bytes(8)), "not supported"),
    "dtype is a list": (raw({"a": entry([2], 0, 8, ["F32"])}, bytes(8)), "not supported"),
    "dtype of another size": (raw({"a": entry([2], 0, 8, "F64")}, bytes(8)), "needs 16 bytes"),
    "negative shape": (raw({"a": entry([-2, -1], 0, 8)}, bytes(8)), "shape"),
    "enormous shape": (raw({"a": entry([2**61, 2**61, 8], 0, 8)}, bytes(8)), "needs"),
    "overflowing shape": (raw({"a": entry([2**32, 2**32], 0, 0)}), "needs"),
    "too many axes": (raw({"a": entry([1] * 9, 0, 4)}, bytes(4)), "shape"),
    "shape of floats": (raw({"a": entry([2.0], 0, 8)}, bytes(8)), "shape"),
    "shape of booleans": (raw({"a": entry([True], 0, 4)}, bytes(4)), "shape"),
    "offsets of texts": (raw({"a": entry([2], "0", "8")}, bytes(8)), "data_offsets"),
    "more keys": (raw({"a": {**entry([2], 0, 8), "x": 1}}, bytes(8)), "needs dtype"),
    "entry is a list": (raw({"a": [1, 2]}), "needs dtype"),
    "metadata of numbers": (raw({"__metadata__": {"format": 1}}), "something else than texts"),
    "metadata is a list": (raw({"__metadata__": ["a"]}), "something else than texts"),
    "deep JSON": (raw(b'{"a":' + b"[" * 5_000_000), "nested more than 4 deep"),
    "deep JSON in a text": (raw({"__metadata__": {**MARKS, "architecture": "[" * 100_000}}), "damaged"),
    "many items": (raw(b"{" + b'"a":1,' * 2_100_000), "more than 2,000,000 items"),
    "many quotes": (raw(b'{"' + b'\\"' * 4_000_000), "no JSON"),
    "NUL padding": (raw(b'{"__metadata__":{}}\x00\x00\x00'), "no JSON"),
    "bad UTF-8": (raw(b'{"\xff\xfe": 1}'), "no JSON"),
    "NaN": (raw(b'{"a": NaN}'), "holds NaN"),
    "a number of many digits": (raw(b'{"a": ' + b"9" * 100_000 + b"}"), "no JSON|needs dtype"),
    "not JSON": (raw(b"{" + b"x" * 50), "no JSON"),
    "a long version": (raw({"__metadata__": {"format": "pynn", "format_version": "9" * 5000}}), "format_version"),
    "a version that is none": (raw({"__metadata__": {"format": "pynn", "format_version": "²"}}), "format_version"),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_malformed_headers_are_refused(name, tmp_path):
    data, message = HEADERS[name]
    path = tmp_path / "model.pynn"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        pynn.load(path)
    with pytest.raises(DataError, match=message):
        loads(data)


def test_refusals_take_little_memory():
    """Each malformed header, in a process that may have 300 MB beyond what it starts with."""
    code = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import test_io, pynn.io.model_file
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)
refused = 0
for data, _ in test_io.HEADERS.values():
    try:
        pynn.io.loads(data)
    except pynn.errors.DataError:
        refused += 1
print(refused)
"""
    folder = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, env=environment)
    assert ran.stdout.strip() == str(len(HEADERS)), ran.stderr


def same_values(found, model):
    mine, theirs = (dict(m.named_parameters()) for m in (found, model))
    return mine.keys() == theirs.keys() and all((mine[k].numpy() == theirs[k].numpy()).all() for k in mine)


def test_a_file_cut_anywhere_is_refused():
    data = dumps(trained())
    for length in range(len(data)):
        with pytest.raises(DataError, match=r"^\[load\]"):
            loads(data[:length])


def tiny():
    model = nn.Sequential([nn.Input((1,)), nn.Dense(1)])
    model.layers[0].set_weights([[[0.5]], [0.25]])
    return model


def test_a_flipped_bit_changes_nothing_or_is_refused():
    model = tiny()
    data = bytearray(dumps(model))
    loaded = 0
    for at in range(len(data)):
        for bit in range(8):
            data[at] ^= 1 << bit
            try:
                found = loads(bytes(data))
            except DataError as error:
                assert str(error).startswith("[load]")  # noqa: PT017
            else:
                assert same_values(found, model)
                loaded += 1
            data[at] ^= 1 << bit
    assert loaded < 20  # a flip in a name of the header's own order, or none at all


# Writing


def test_a_file_is_replaced_whole_and_its_mode_and_link_stay(tmp_path):
    path, link = tmp_path / "a", tmp_path / "link"
    write_whole(path, b"old")
    os.chmod(path, 0o640)
    link.symlink_to(path)
    write_whole(link, [b"ne", memoryview(b"w")])
    assert path.read_bytes() == b"new"
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(IsADirectoryError, match="a folder"):
        write_whole(tmp_path, b"")
    with pytest.raises(FileNotFoundError, match=r"could not write .*none/a.*no file was made"):
        write_whole(tmp_path / "none" / "a", b"")
    write_whole(tmp_path / ("ä" * 120), b"x")


def test_temporaries_of_dead_processes_are_swept_those_of_living_stay(tmp_path):
    left = tmp_path / ".model.pynn.0123456789abcdef.tmp"
    left.touch()
    (tmp_path / ".other.tmp").touch()
    with files.atomic(tmp_path / "mine") as file:
        file.write(b"x")
        assert not left.exists()
        left.touch()
        assert files.sweep(tmp_path) == 1  # not the one that is open
        assert len(list(tmp_path.glob("*.tmp")) + list(tmp_path.glob(".*.tmp"))) >= 2
    assert sorted(os.listdir(tmp_path)) == [".other.tmp", "mine"]


def test_an_error_inside_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    write_whole(path, b"old")

    def parts():
        yield b"new"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_whole(path, parts())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


LIMITED = """
import os, resource, sys
import numpy as np, pynn
from pynn import nn
path, how = sys.argv[1:]
model = nn.Sequential([nn.Input((100,)), nn.Dense(100)])
model.save(path + ".first")
os.unlink(path + ".first")
if how == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
else:
    os.chmod(os.path.dirname(path), 0o555)
    os.setgid(65534)
    os.setuid(65534)
try:
    model.save(path)
except OSError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("how", ["limit", "read-only"])
def test_a_full_disk_or_a_read_only_folder_leaves_the_old_file(how, tmp_path):
    if how == "read-only" and os.getuid() != 0:
        pytest.skip("needs a user that can become another")
    folder = tmp_path / "folder"
    folder.mkdir()
    for parent in [tmp_path, *tmp_path.parents][:3]:
        if how == "read-only" and parent.stat().st_uid == os.getuid():
            os.chmod(parent, 0o755)
    path = folder / "model.pynn"
    tiny().save(path)
    before = path.read_bytes()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", LIMITED, str(path), how]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    os.chmod(folder, 0o755)
    reason = "OSError.*File too large" if how == "limit" else "PermissionError.*Permission denied"
    assert re.search(f"{reason}; the file is as it was before", ran.stdout), (ran.stdout, ran.stderr)
    assert path.read_bytes() == before
    assert os.listdir(folder) == ["model.pynn"]


def test_loading_never_imports_evaluates_or_unpickles(tmp_path):
    """An audit hook watches a process that loads a file."""
    path = tmp_path / "model.pynn"
    trained().save(path)
    code = """
import sys
import pynn, pynn.nn, pynn.optim, pynn.io.model_file
pynn.load(sys.argv[1])
seen = []
sys.addaudithook(lambda event, args: seen.append((event, args)) if event in WATCHED else None)
WATCHED = {"exec", "compile", "pickle.find_class", "import", "os.system", "subprocess.Popen", "marshal.loads"}
pynn.load(sys.argv[1])
print(seen)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=environment)
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr


def test_io_hands_on_the_writer_of_files():
    assert files.write_whole is write_whole


# What save accepts, load reads


@pynn.register
class Namesakes(nn.Module):
    """Two layers whose attributes differ by an underscore alone."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(4)
        self._dense = nn.Dense(4)

    def forward(self, x):
        return self._dense(self.dense(x))


@pynn.register
class Dotted(nn.Module):
    """Keys of dicts that give two layers one path."""

    def __init__(self, other="a"):
        super().__init__()
        self.parts = {"a.b": nn.Dense(4), other: {"b": nn.Dense(4)}}

    def forward(self, x):
        for part in self.parts.values():
            x = (part if isinstance(part, nn.Module) else part["b"])(x)
        return x


def test_layers_whose_names_differ_by_an_underscore_are_two(tmp_path):
    model = Namesakes()
    model(np.ones((1, 4), "float32"))
    assert [path for path, _ in model.named_parameters()] == ["dense.w", "dense.b", "_dense.w", "_dense.b"]
    model.save(tmp_path / "m.pynn")
    again = pynn.load(tmp_path / "m.pynn")
    assert all((a == b).all() for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


def refused_and_kept(model, tmp_path, message, **more):
    """Check that save() refuses, and that the file which was there is as it was."""
    path = tmp_path / "f.pynn"
    nn.Sequential([nn.Input((4,)), nn.Dense(2)]).save(path)
    before = path.read_bytes()
    with pytest.raises(DataError, match=message):
        model.save(path, **more)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["f.pynn"]


def test_two_layers_of_one_path_are_refused(tmp_path):
    model = Dotted()
    model(np.ones((1, 4), "float32"))
    refused_and_kept(model, tmp_path, r"different paths\. Received: 'parts\.a\.b' twice, a Dense and a Dense")
    other = Dotted("c")
    other(np.ones((1, 4), "float32"))
    other.save(tmp_path / "f.pynn")
    assert len(pynn.load(tmp_path / "f.pynn").get_weights()) == 4


def test_a_vocabulary_of_many_words_is_metadata(tmp_path):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    words = [f"word{i}" for i in range(400_000)]
    model.save(tmp_path / "m.pynn", metadata={"words": words})
    assert read_metadata(tmp_path / "m.pynn") == {"words": words}


def test_what_a_reader_would_refuse_is_refused_before_the_old_file_goes(tmp_path):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    deep = []
    for _ in range(250):
        deep = [deep]
    refused_and_kept(model, tmp_path, "metadata is nested more than 200 deep", metadata={"x": deep})
    refused_and_kept(model, tmp_path, "metadata has more than 2,000,000 items", metadata={"x": [0] * 2_100_000})
    refused_and_kept(model, tmp_path, "bytes, and at most", metadata={"x": "y" * (1 << 24)})
    nested = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    for _ in range(100):
        nested = nn.Sequential([nn.Input((4,)), nested])
    refused_and_kept(nested, tmp_path, "architecture is nested more than 200 deep")


def test_nested_sequentials_that_are_saved_are_loaded(tmp_path):
    nested = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    for _ in range(40):
        nested = nn.Sequential([nn.Input((4,)), nested])
    nested.save(tmp_path / "m.pynn")
    x = np.ones((3, 4), "float32")
    assert (pynn.load(tmp_path / "m.pynn").predict(x) == nested.predict(x)).all()


def test_long_schedules_are_read(tmp_path):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    steps = list(range(1, 150_000))
    rate = pynn.schedules.Piecewise(steps, [0.1] * 150_000)
    model.compile(pynn.optim.SGD(rate), "mse")
    model.save(tmp_path / "m.pynn")
    again = pynn.load(tmp_path / "m.pynn")
    assert list(again._trainer.optimizer._rate.boundaries) == steps


def test_what_was_written_is_read_again_before_it_takes_the_place(tmp_path, monkeypatch):
    path = tmp_path / "m.pynn"
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    model.save(path)
    before = path.read_bytes()
    true = container.digest
    calls = []

    def drifting(tensors, metadata):
        calls.append(1)
        return true(tensors, metadata) if len(calls) > 1 else "0" * 64  # as if the memory had changed meanwhile

    monkeypatch.setattr(container, "digest", drifting)
    with pytest.raises(DataError, match="do not have the digest"):
        model.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.pynn"]
