"""Weights from files of Keras and PyTorch: the model then computes what it computed there."""

import importlib.util
import io
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.convert import hdf5
from pynn.convert.keras_layers import in_keras_order
from pynn.convert.keras_weights import load_keras_weights
from pynn.convert.torch_weights import load_torch_weights
from pynn.errors import DataError

HAS_H5PY = importlib.util.find_spec("h5py") is not None
needs_h5py = pytest.mark.skipif(not HAS_H5PY, reason="h5py is not installed")

KERAS = r"""
import sys, numpy as np, keras
from keras import layers as L
I = keras.Input
rng = np.random.default_rng(0)

def branches():
    x = I((6,))
    one = L.Dense(4, activation="tanh")(L.Dense(6)(L.Dense(6)(x)))
    two = L.Dense(4, activation="tanh")(x)
    three = L.Dense(4)(L.Dropout(0.5)(one))
    return keras.Model(x, L.Dense(2)(L.Concatenate()([L.Add()([two, one]), three])))

def nested():
    x = I((5,))
    inner = keras.Sequential([I((5,)), L.Dense(4), L.Dense(5)])
    y = I((5,))
    block = keras.Model(y, L.Add()([L.Dense(5)(y), y]))
    return keras.Model(x, L.Dense(2)(block(inner(inner(x)))))

def outputs():
    x = I((5, 3))
    h = L.PReLU(shared_axes=[1])(L.Dense(4)(x))
    near = L.Dense(2)(L.LeakyReLU()(h))
    far = L.Dense(2)(L.ReLU(6.0)(L.Dense(4)(L.ELU()(h))))
    return keras.Model(x, [near, far])

L.Dense(1)  # so that names go on from dense_1
CASES = {
    "mlp": lambda: keras.Sequential([I((6,)), L.Dense(5, activation="relu"), L.BatchNormalization(), L.Dropout(0.2),
        L.Dense(4, use_bias=False), L.LayerNormalization(), L.Dense(3, activation="softmax")]),
    "images": lambda: keras.Sequential([I((8, 8, 3)), L.Conv2D(4, 3, padding="same", strides=2, activation="relu"),
        L.BatchNormalization(center=False), L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), L.MaxPooling2D(),
        L.SeparableConv2D(4, 3, padding="same"), L.Conv2DTranspose(3, 3, strides=2, padding="same"),
        L.GroupNormalization(3), L.Conv2D(4, 3, groups=1), L.Flatten(), L.Dense(2)]),
    "text": lambda: keras.Sequential([I((7,), dtype="int32"), L.Embedding(11, 5), L.Conv1D(4, 3, padding="causal"),
        L.Bidirectional(L.LSTM(3, return_sequences=True)), L.TimeDistributed(L.Dense(4)),
        L.GRU(4, return_sequences=True), L.GRU(4, reset_after=False, return_sequences=True), L.LSTM(3, use_bias=False,
        return_sequences=True), L.SimpleRNN(3), L.Dense(2)]),
    "branches": branches,
    "nested": nested,
    "outputs": outputs,
    "named": lambda: keras.Sequential([I((4,)), L.Dense(4, name="second"), L.Dense(4, name="first")]),
}
for name, make in CASES.items():
    model = make()
    for w in model.weights:
        value = rng.normal(size=w.shape) * 0.5
        w.assign(np.abs(value) + 0.1 if w.name.endswith("variance") else value)
    shape = (4, *model.inputs[0].shape[1:])
    x = rng.integers(0, 11, shape).astype("int32") if name == "text" else rng.normal(size=shape).astype("float32")
    y = np.asarray(model.predict(x, verbose=0))
    np.savez(f"{sys.argv[1]}/{name}.npz", x=x, y=y)
    model.compile("adam", "mse")
    if name == "mlp":
        model.fit(x, y, verbose=0, batch_size=4)  # an optimizer's state in the file
        np.savez(f"{sys.argv[1]}/{name}.npz", x=x, y=np.asarray(model.predict(x, verbose=0)))
    model.save(f"{sys.argv[1]}/{name}.keras")
    model.save_weights(f"{sys.argv[1]}/{name}.weights.h5")
"""

TORCH = r"""
import sys, numpy as np, torch
from torch import nn
from safetensors.torch import save_file
torch.manual_seed(0)

class Rnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(11, 5)
        self.lstm = nn.LSTM(5, 4, num_layers=2, batch_first=True)
        self.both = nn.GRU(4, 3, bidirectional=True, batch_first=True)
        self.last = nn.RNN(6, 3, batch_first=True, nonlinearity="relu", bias=False)
        self.plain = nn.GRU(3, 4, batch_first=True)
        self.head = nn.Linear(4, 2)
    def forward(self, x):
        y = self.plain(self.last(self.both(self.lstm(self.table(x))[0])[0])[0])[0]
        return self.head(y[:, -1])

CASES = {
    "mlp": (nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, 6, bias=False),
        nn.LayerNorm(6, 1e-3), nn.Linear(6, 6)), (4, 6)),
    "images": (nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3, groups=4),
        nn.MaxPool2d(2), nn.ConvTranspose2d(8, 3, 2, stride=2), nn.GroupNorm(3, 3, 1e-3),
        nn.Conv2d(3, 6, 3, groups=3, bias=False),
        nn.Conv2d(6, 4, 1), nn.LayerNorm([4, 4, 4], 1e-3), nn.Flatten(), nn.BatchNorm1d(64),
        nn.Linear(64, 2)), (4, 3, 8, 8)),
    "lines": (nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2)), (4, 3, 8)),
    "words": (Rnn(), (4, 7)),
}
for name, (net, shape) in CASES.items():
    for module in net.modules():
        if hasattr(module, "running_var"):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
        for p in module.parameters(recurse=False):
            torch.nn.init.normal_(p, std=0.5)
    x = torch.randint(0, 11, shape) if name == "words" else torch.randn(shape)
    net.eval()
    np.savez(f"{sys.argv[1]}/{name}.npz", x=x.numpy(), y=net(x).detach().numpy())
    save_file(net.state_dict(), f"{sys.argv[1]}/{name}.safetensors")
torch.save(CASES["mlp"][0].state_dict(), f"{sys.argv[1]}/mlp.pt")
"""


def files(tmp_path_factory, code, needed):
    if importlib.util.find_spec(needed) is None or importlib.util.find_spec("torch") is None:
        pytest.skip(f"{needed} with PyTorch is not installed: no files to read")
    folder = tmp_path_factory.mktemp(needed)
    environment = {**os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def keras_files(tmp_path_factory):
    if not HAS_H5PY:
        pytest.skip("h5py is not installed")
    return files(tmp_path_factory, KERAS, "keras")


@pytest.fixture(scope="module")
def torch_files(tmp_path_factory):
    return files(tmp_path_factory, TORCH, "torch")


def branches():
    x = nn.Input((6,))
    two = nn.Dense(4, "tanh")(x)
    one = nn.Dense(4, "tanh")(nn.Dense(6)(nn.Dense(6)(x)))
    three = nn.Dense(4)(nn.Dropout(0.5)(one))
    return nn.Model(x, nn.Dense(2)(nn.Concatenate()([nn.Add()([two, one]), three])))


def nested():
    x, y = nn.Input((5,)), nn.Input((5,))
    inner = nn.Sequential([nn.Dense(4), nn.Dense(5)])
    block = nn.Model(y, nn.Add()([nn.Dense(5)(y), y]))
    return nn.Model(x, nn.Dense(2)(block(inner(inner(x)))))


def outputs():
    x = nn.Input((5, 3))
    h = nn.PReLU(shared_axes=1)(nn.Dense(4)(x))
    far = nn.Dense(2)(nn.ReLU(6.0)(nn.Dense(4)(nn.ELU()(h))))
    near = nn.Dense(2)(nn.LeakyReLU()(h))
    return nn.Model(x, [near, far])


KERAS_MODELS = {
    "mlp": lambda: nn.Sequential(
        [nn.Input((6,)), nn.Dense(5, "relu"), nn.BatchNormalization(), nn.Dense(4, use_bias=False),
         nn.LayerNormalization(), nn.Dense(3, "softmax")]
    ),
    "images": lambda: nn.Sequential(
        [nn.Input((8, 8, 3)), nn.Conv2D(4, 3, padding="same", strides=2, activation="relu"),
         nn.BatchNormalization(center=False), nn.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), nn.MaxPool2D(),
         nn.SeparableConv2D(4, 3, padding="same"), nn.Conv2DTranspose(3, 3, strides=2, padding="same"),
         nn.GroupNormalization(3), nn.Conv2D(4, 3), nn.Flatten(), nn.Dense(2)]
    ),
    "text": lambda: nn.Sequential(
        [nn.Input((7,)), nn.Embedding(11, 5), nn.Conv1D(4, 3, padding="causal"),
         nn.Bidirectional(nn.LSTM(3, return_sequences=True)), nn.TimeDistributed(nn.Dense(4)),
         nn.GRU(4, return_sequences=True), nn.GRU(4, reset_after=False, return_sequences=True),
         nn.LSTM(3, use_bias=False, return_sequences=True), nn.SimpleRNN(3), nn.Dense(2)]
    ),
    "branches": branches,
    "nested": nested,
    "outputs": outputs,
    "named": lambda: nn.Sequential([nn.Input((4,)), nn.Dense(4, name="second"), nn.Dense(4, name="first")]),
}  # fmt: skip

TORCH_MODELS = {
    "mlp": lambda: nn.Sequential(
        [nn.Input((6,)), nn.Dense(6, "relu"), nn.BatchNormalization(epsilon=1e-5), nn.Dense(6, use_bias=False),
         nn.LayerNormalization(), nn.Dense(6)]
    ),
    "images": lambda: nn.Sequential(
        [nn.Input((8, 8, 3)), nn.Conv2D(4, 3, padding="same", activation="relu"), nn.BatchNormalization(epsilon=1e-5),
         nn.DepthwiseConv2D(3, depth_multiplier=2), nn.MaxPool2D(), nn.Conv2DTranspose(3, 2, strides=2),
         nn.GroupNormalization(3), nn.SeparableConv2D(4, 3, depth_multiplier=2), nn.LayerNormalization((1, 2, 3)),
         nn.Flatten(), nn.BatchNormalization(epsilon=1e-5), nn.Dense(2)]
    ),
    "lines": lambda: nn.Sequential([nn.Input((8, 3)), nn.Conv1D(4, 3, activation="relu"), nn.Flatten(), nn.Dense(2)]),
    "words": lambda: nn.Sequential(
        [nn.Input((7,)), nn.Embedding(11, 5), nn.LSTM(4, return_sequences=True), nn.LSTM(4, return_sequences=True),
         nn.Bidirectional(nn.GRU(3, return_sequences=True)),
         nn.SimpleRNN(3, "relu", use_bias=False, return_sequences=True), nn.GRU(4), nn.Dense(2)]
    ),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
@pytest.mark.parametrize("name", KERAS_MODELS)
def test_keras(name, suffix, keras_files, capsys):
    model = KERAS_MODELS[name]()
    names = load_keras_weights(model, keras_files / f"{name}{suffix}")
    known = np.load(keras_files / f"{name}.npz")
    np.testing.assert_allclose(model.predict(known["x"]), known["y"], rtol=1e-5, atol=1e-5)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(names) == len(list(model.named_parameters()))
    assert all(path in line and origin in line for line, (path, origin) in zip(printed, names.items(), strict=True))


def test_keras_by_the_names_that_both_have(keras_files, capsys):
    known = np.load(keras_files / "named.npz")
    model = nn.Sequential([nn.Input((4,)), nn.Dense(4, name="first"), nn.Dense(4, name="second")])
    names = load_keras_weights(model, keras_files / "named.keras", verbose=False)
    assert names["layers.0.w"] == "layers/dense_1/vars/0"
    assert capsys.readouterr().out == ""
    other = nn.Sequential([nn.Input((4,)), nn.Dense(4, name="a"), nn.Dense(4, name="b")])
    load_keras_weights(other, keras_files / "named.keras", {"a": "first", "layers.1": "layers/dense"}, verbose=False)
    assert (other.predict(known["x"]) == model.predict(known["x"])).all()
    for names, said in (({"c": "first"}, "no layer 'c'"), ({"a": "third"}, "no layer 'third' in the file")):
        with pytest.raises(DataError, match=said):
            load_keras_weights(other, keras_files / "named.keras", names)


def test_keras_branches_that_could_change_places(keras_files):
    x = nn.Input((6,))
    one = nn.Dense(4)(nn.Dense(6)(nn.Dense(6)(x)))
    two = nn.Activation("tanh")(nn.Dense(4)(x))
    three = nn.Dense(4)(one)
    model = nn.Model(x, nn.Dense(2)(nn.Concatenate()([nn.Add()([two, one]), three])))
    with pytest.raises(DataError, match=r"'dense.*' \(Dense\) and layer 'dense.*' .*either could be the first"):
        load_keras_weights(model, keras_files / "branches.keras")


def test_the_order_in_which_keras_counts():
    model = branches()
    dense = [layer.name for layer in in_keras_order(model) if isinstance(layer, nn.Dense)]
    assert dense == ["dense_1", "dense_2", "dense_3", "dense", "dense_4", "dense_5"]


def test_the_order_with_several_outputs():
    names = [layer.name for layer in in_keras_order(outputs()) if isinstance(layer, nn.Dense)]
    assert names == ["dense", "dense_1", "dense_3", "dense_2"]


def changed(model):
    before = model.get_weights()
    return lambda: any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_keras_files_that_do_not_fit(keras_files):
    model = nn.Sequential([nn.Input((6,)), nn.Dense(7), nn.BatchNormalization(), nn.Dense(4), nn.Dense(3)])
    was_changed = changed(model)
    with pytest.raises(DataError) as caught:
        load_keras_weights(model, keras_files / "mlp.keras")
    text = str(caught.value)
    for line in (
        "wrong shape: layers/dense/vars/0 has (6, 5), layers.0.w needs (6, 7)",
        "missing: layers/dense_1/vars/1 of shape (4,), for layers.2.b",
        "extra: layers/layer_normalization/vars/0 of shape (4,)",
    ):
        assert line in text
    assert "optimizer" not in text
    assert not was_changed()


@needs_h5py
def test_keras_arrays_in_parts(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    monkeypatch.setattr(hdf5, "CHUNK_LIMIT", 16)
    w, path = np.arange(6, dtype="f4").reshape(2, 3), tmp_path / "a.weights.h5"
    for rows, loads in ((1, True), (2, True), (40, False)):
        model = nn.Sequential([nn.Input((2,)), nn.Dense(3)])
        with h5py.File(path, "w") as file:
            file.create_dataset("layers/dense/vars/0", data=w, chunks=(rows, 3), maxshape=(None, 3))
            file["layers/dense/vars/1"] = np.ones(3, "f4")
        if loads:
            load_keras_weights(model, path, verbose=False)
            np.testing.assert_array_equal(model.layers[0].w.numpy(), w)
        else:
            with pytest.raises(DataError, match="parts that are larger than the whole"):
                load_keras_weights(model, path, verbose=False)


@needs_h5py
def test_keras_files_that_are_none(tmp_path):
    model = nn.Sequential([nn.Input((2,)), nn.Dense(3)])
    path = tmp_path / "a.keras"
    for content, said in (
        (b"", "an empty file"), (b"hello world", "a text file"), (b"\x89HDF\r\n\x1a\n" + bytes(100), "is damaged"),
        (b"PK\x03\x04" + bytes(100), "is damaged"), (b"\x80\x04abc", "pickle"),
    ):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(DataError, match=said):
            load_keras_weights(model, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(DataError, match=r"holds no model\.weights\.h5"):
        load_keras_weights(model, path)
    with pytest.raises(DataError, match="Sequential or Model"):
        load_keras_weights(nn.Dense(3), path)
    with pytest.raises(RuntimeError, match="not built"):
        load_keras_weights(nn.Sequential([nn.Dense(3)]), path)
    with pytest.raises(FileNotFoundError):
        load_keras_weights(model, tmp_path / "none.keras")


@needs_h5py
def test_keras_files_that_reach_out_or_lie(tmp_path):
    import h5py

    model = nn.Sequential([nn.Input((2,)), nn.Dense(3)])
    (tmp_path / "secret.bin").write_bytes(bytes(24))
    path = tmp_path / "bad.weights.h5"

    def soft(group):
        group["0"] = h5py.SoftLink("/other")

    def outside(group):
        group["0"] = h5py.ExternalLink("other.h5", "/x")

    def stored(group):
        group.create_dataset("0", (2, 3), "f4", external=[(str(tmp_path / "secret.bin"), 0, 24)])

    def virtual(group):
        layout = h5py.VirtualLayout((2, 3), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", (2, 3))
        group.create_virtual_dataset("0", layout)

    def enormous(group):
        group.create_dataset("0", (2**40, 3), "f4", chunks=(1024, 3))

    def texts(group):
        group.create_dataset("0", data=np.full((2, 3), b"abc"))

    def deep(group):
        for _ in range(60):
            group = group.create_group("g")

    for damage, said in (
        (soft, "link"), (outside, "link"), (stored, "elsewhere"), (virtual, "elsewhere"), (deep, "too deep"),
        (enormous, r"wrong shape.*1099511627776"), (texts, "wrong dtype"),
    ):  # fmt: skip
        with h5py.File(path, "w") as file:
            group = file.create_group("layers/dense/vars")
            group.create_dataset("1", data=np.zeros(3, "f4"))
            damage(group)
        with pytest.raises(DataError, match=said):
            load_keras_weights(model, path)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"dense"]
    with pytest.raises(DataError, match="Keras 2"):
        load_keras_weights(model, path)


@needs_h5py
def test_any_cut_of_a_keras_file_is_an_error_or_nothing(tmp_path):
    import h5py

    model = nn.Sequential([nn.Input((2,)), nn.Dense(3)])
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = np.ones((2, 3), "f4"), np.ones(3, "f4")
    data = buffer.getvalue()
    path = tmp_path / "cut.weights.h5"
    for at in range(0, len(data), 61):
        path.write_bytes(data[:at])
        with pytest.raises(DataError):
            load_keras_weights(model, path, verbose=False)


@pytest.mark.parametrize("name", TORCH_MODELS)
def test_torch(name, torch_files, capsys):
    model = TORCH_MODELS[name]()
    names = load_torch_weights(model, torch_files / f"{name}.safetensors")
    known = np.load(torch_files / f"{name}.npz")
    x = known["x"] if known["x"].ndim == 2 else np.moveaxis(known["x"], 1, -1)
    if name == "words":
        x = x.astype("int32")
    np.testing.assert_allclose(model.predict(np.ascontiguousarray(x)), known["y"], rtol=1e-5, atol=2e-5)
    assert len(capsys.readouterr().out.splitlines()) == len(names) == len(list(model.named_parameters()))


def test_torch_pickles_are_not_opened(torch_files):
    model = TORCH_MODELS["mlp"]()
    with pytest.raises(DataError, match="pickle"):
        load_torch_weights(model, torch_files / "mlp.pt")


def saved(path, **shapes):
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    arrays = {name.replace("__", "."): rng.normal(size=shape).astype("f4") for name, shape in shapes.items()}
    save_file(arrays, path)
    return arrays


def test_torch_modules_of_equal_shapes(tmp_path):
    path = tmp_path / "net.safetensors"
    arrays = saved(path, b__weight=(3, 3), a__weight=(3, 3))
    model = nn.Sequential([nn.Input((3,)), nn.Dense(3, use_bias=False), nn.Dense(3, use_bias=False, name="top")])
    was_changed = changed(model)
    with pytest.raises(DataError, match=r"'a' and 'b' have equal shapes.*help: names=\{'dense': 'a'"):
        load_torch_weights(model, path)
    assert not was_changed()
    load_torch_weights(model, path, {"dense": "b", "top": "a"}, verbose=False)
    assert (model.layers[0].w.numpy() == arrays["b.weight"].T).all()
    named = nn.Sequential([nn.Input((3,)), *(nn.Dense(3, use_bias=False, name=name) for name in "ba")])
    load_torch_weights(named, path, verbose=False)
    assert (named.layers[0].w.numpy() == arrays["b.weight"].T).all()
    arrays = saved(path, fc2__weight=(3, 3), fc10__weight=(3, 3))
    load_torch_weights(model, path, verbose=False)
    assert (model.layers[0].w.numpy() == arrays["fc2.weight"].T).all()
    for names, said in (({"x": "fc2"}, "no layer 'x'"), ({"top": "fc3"}, "no module 'fc3'")):
        with pytest.raises(DataError, match=said):
            load_torch_weights(model, path, names)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.into, self.out = nn.Dense(3, use_bias=False), nn.Dense(3, use_bias=False)

    def forward(self, x):
        return self.out(self.into(x))


def test_torch_names_of_attributes(tmp_path):
    path = tmp_path / "net.safetensors"
    arrays = saved(path, out__weight=(3, 3), into__weight=(3, 3))
    model = Net()
    model(np.ones((1, 3), "f4"))
    assert load_torch_weights(model, path, verbose=False) == {
        "into.w": "into.weight (transposed)",
        "out.w": "out.weight (transposed)",
    }
    assert (model.into.w.numpy() == arrays["into.weight"].T).all()


def test_torch_files_that_do_not_fit(tmp_path):
    path = tmp_path / "net.safetensors"
    saved(path, a__weight=(4, 3), a__bias=(4,), b__weight=(2, 5), b__bias=(2,), c__weight=(9, 9))
    model = nn.Sequential([nn.Input((3,)), nn.Dense(4), nn.Dense(2), nn.Dense(1)])
    was_changed = changed(model)
    with pytest.raises(DataError) as caught:
        load_torch_weights(model, path)
    text = str(caught.value)
    for line in (
        "wrong shape: b.weight has (2, 5), layers.1.w needs (2, 4)",
        "missing: ...weight of shape (1, 2), for layers.2.w",
        "extra: c.weight of shape (9, 9)",
    ):  # fmt: skip
        assert line in text
    assert not was_changed()
    model.save(tmp_path / "model.pynn")
    with pytest.raises(DataError, match=r"pynn\.load"):
        load_torch_weights(model, tmp_path / "model.pynn")
    from safetensors.numpy import save_file

    one = nn.Sequential([nn.Input((2,)), nn.Dense(1)])
    save_file({"a.weight": np.ones((1, 2), "i4"), "a.bias": np.ones(1, "i4")}, path)
    with pytest.raises(DataError, match=r"wrong dtype: a\.weight holds int32"):
        load_torch_weights(one, path)


# Every kind of value: zeros of both signs, subnormal numbers, infinities.
HALF_BITS = {
    "F16": [0x0000, 0x8000, 0x3C00, 0xC248, 0x0001, 0x83FF, 0x7BFF, 0x7C00, 0xFC00, 0x3555],
    "BF16": [0x0000, 0x8000, 0x3F80, 0xC049, 0x0001, 0x807F, 0x7F7F, 0x7F80, 0xFF80, 0x3EAB],
}


def half_precision(path, code, **tensors):
    """Write tensors of shape and bits as safetensors, as PyTorch does."""
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, (shape, bits) in tensors.items():
        data = np.array(bits, "<u2").tobytes()
        place = [len(body), len(body) + len(data)]
        header[name.replace("__", ".")] = {"dtype": code, "shape": shape, "data_offsets": place}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


@pytest.mark.parametrize("code", HALF_BITS)
def test_torch_weights_of_half_precision_become_float32_exactly(code, tmp_path):
    bits = HALF_BITS[code]
    path = tmp_path / "net.safetensors"
    half_precision(path, code, fc__weight=([2, 5], bits), fc__bias=([2], bits[:2]))
    model = nn.Sequential([nn.Input((5,)), nn.Dense(2)])
    load_torch_weights(model, path, verbose=False)
    if code == "F16":
        expected = np.array(bits, "u2").view("f2").astype("f4")
    else:  # sign, 8 bits of exponent and 7 of fraction: the upper half of a float32
        expected = (np.array(bits, "u4") << 16).view("f4")
    found = model.layers[0].w.numpy()
    assert found.T.tobytes() == expected.reshape(2, 5).tobytes()
    assert model.layers[0].b.numpy().tobytes() == expected[:2].tobytes()
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match="the file was cut off"):
        load_torch_weights(model, path)
    path.write_bytes(whole)
    with pytest.raises(DataError, match="not supported" if code == "BF16" else "without a pynn architecture"):
        pynn.load(path)


def test_torch_biases_of_half_precision_are_added_in_float32(tmp_path):
    path = tmp_path / "net.safetensors"
    one, small = 0x3C00, 0x1000  # 1 and 2**-11, whose sum float16 would round to 1
    half_precision(
        path, "F16", rnn__weight_ih_l0=([1, 2], [one] * 2), rnn__weight_hh_l0=([1, 1], [one]),
        rnn__bias_ih_l0=([1], [one]), rnn__bias_hh_l0=([1], [small]),
    )  # fmt: skip
    model = nn.Sequential([nn.Input((3, 2)), nn.SimpleRNN(1)])
    load_torch_weights(model, path, verbose=False)
    assert model.layers[0].b.numpy().tolist() == [1 + 2**-11]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_torch_itself_writes_half_precision(dtype, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.Flatten(), torch.nn.Linear(16, 3))
    half = {name: t.to(getattr(torch, dtype)) for name, t in net.state_dict().items()}
    save_file(half, tmp_path / "net.safetensors")
    model = nn.Sequential([nn.Input((4, 4, 2)), nn.Conv2D(4, 3), nn.Flatten(), nn.Dense(3)])
    load_torch_weights(model, tmp_path / "net.safetensors", verbose=False)
    kernel = half["0.weight"].float().numpy()
    assert np.array_equal(model.layers[0].w.numpy(), kernel.transpose(2, 3, 1, 0))
    assert np.array_equal(model.layers[2].b.numpy(), half["2.bias"].float().numpy())
    net.load_state_dict({name: t.float() for name, t in half.items()})
    x = np.random.default_rng(0).normal(size=(5, 4, 4, 2)).astype("f4")
    with torch.no_grad():
        known = net(torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))).numpy()
    np.testing.assert_allclose(model.predict(x), known, rtol=1e-5, atol=1e-6)


def test_torch_has_no_such_layer(tmp_path):
    path = tmp_path / "net.safetensors"
    saved(path, a__weight=(4, 3))
    for layer in (
        nn.GRU(3, reset_after=False),
        nn.LSTM(3, peephole=True),
        nn.Bidirectional(nn.GRU(2, reset_after=False)),
    ):
        with pytest.raises(DataError, match="no counterpart in PyTorch"):
            load_torch_weights(nn.Sequential([nn.Input((4, 3)), layer]), path)
    generator = nn.Sequential([nn.Input((3,)), nn.Dense(8), nn.Reshape((2, 2, 2)), nn.Conv2D(1, 2)])
    with pytest.raises(DataError, match="order of its inputs cannot be known"):
        load_torch_weights(generator, path)
