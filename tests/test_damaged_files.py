"""Model files that are none, are damaged or hostile: refused with a clear error."""

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from model_files import remade, small, tiny, trained

import pynn
from pynn import nn
from pynn.errors import DataError
from pynn.io import container, dumps, loads

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
    "negative shape of one element": (raw({"a": entry([-1, -1], 0, 4)}, bytes(4)), "shape"),
    "negative offset": (raw({"a": entry([2], -1, 7)}, bytes(7)), "data_offsets"),
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
import test_damaged_files, pynn.io.model_file
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)
refused = 0
for data, _ in test_damaged_files.HEADERS.values():
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
