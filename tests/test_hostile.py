"""Hostile arguments, files, names and moments: a clear error, nothing half-changed, no process lost."""

import contextlib
import csv
import gzip
import io
import os
import random
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest

import pynn
from pynn import nn, ops
from pynn.cli import main
from pynn.commands import dialect
from pynn.commands import predict as command
from pynn.commands.images import read_image
from pynn.commands.tables import Reading, read_table
from pynn.convert.hdf5 import Arrays
from pynn.convert.torch_weights import _natural
from pynn.core.state import state
from pynn.datasets import cache, idx, kaggle, unpack
from pynn.datasets.idx import read_idx
from pynn.datasets.imdb import _from_keras
from pynn.datasets.imdb_files import read_reviews
from pynn.errors import DataError, DTypeError, printable
from pynn.onnx.plan import Plan, dtype_of
from pynn.text import corpus

X = np.ones((2, 6, 6, 4), "float32")
W = np.ones((3, 3, 4, 4), "float32")


# Arguments


@pytest.mark.parametrize("activation", ["foo", "exp", 3, [], None, np.ones(2)])
def test_unknown_activations_are_refused_with_the_nearest_name(activation):
    with pytest.raises(ValueError, match=r"\[conv2d\] unknown activation.*Received"):
        ops.conv2d(X, W, activation=activation)
    with pytest.raises(ValueError, match=r"\[dense\] unknown activation.*Received"):
        ops.dense(np.ones((2, 4), "float32"), W[0, 0], activation=activation)


@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize("op", [ops.simple_rnn, ops.lstm, ops.gru])
def test_none_for_a_weight_is_refused(op, missing):
    """The kernel read memory at address 0."""
    columns = {ops.simple_rnn: 4, ops.lstm: 16, ops.gru: 12}[op]
    weights = [np.ones((4, columns), "float32")] * 2
    weights[missing] = None
    with pytest.raises(DTypeError, match=r"expected a tensor as operand.*Received: None"):
        op(np.ones((2, 5, 4), "float32"), *weights)


@pytest.mark.parametrize("big", [10**400, -(10**400)])
def test_numbers_that_no_tensor_holds_are_refused(big):
    floats, whole = pynn.tensor([1.0, 2.0]), pynn.tensor(np.array([1, 2]))
    for use in (lambda: floats + big, lambda: floats**big, lambda: ops.where(floats > 0, floats, big),
                lambda: ops.maximum(floats, big), lambda: whole + big, lambda: whole > big,
                lambda: ops.clip(floats, 0, big), lambda: pynn.set_num_threads(big)):  # fmt: skip
        with pytest.raises(ValueError, match="Received"):
            use()
    with pytest.raises(ValueError, match="int64 can hold"):
        whole + 2**64


@pytest.mark.parametrize("count", ["99999999999", "9" * 30, "9" * 5000, "2147483648", "²", "-1", "1025"])
def test_numbers_of_threads_beyond_reason_are_refused(count):
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import pynn"], env={**os.environ, "PYNN_NUM_THREADS": count},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1].startswith("ValueError: PYNN_NUM_THREADS must be a positive integer. Received")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_token_ids_that_are_no_integers_are_refused(value):
    model = nn.Sequential([nn.Input((2,)), nn.Embedding(3, 2), nn.Flatten(), nn.Dense(1)])
    model.compile("sgd", "mse")
    for use in (lambda x: model.predict(x), lambda x: model.fit(x, np.ones((1, 1)), verbose=0)):
        with pytest.raises(DataError, match=r"expected token ids from 0 to 2. Received: x\[0, 0\]"):
            use(np.array([[value, 1.0]]))


# Files


def made(path, content):
    path.write_bytes(content)
    return path


def npy(header, body=b"abc"):
    text = header.encode("latin1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + body


SHAPES = ["9" * 30, "9" * 5000, str(2**62), "-1", "10**12", "1000000000000", "(" * 900 + ")" * 900, "True", "1.5"]
HEADERS = [f"{{'descr':'<f4','fortran_order':False,'shape':({shape},)}}" for shape in SHAPES] + [
    "{'descr':'V2000000000','fortran_order':False,'shape':(1,)}", "{'descr':'|O','fortran_order':False,'shape':(1,)}",
    "{'descr':'|O','fortran_order':False,'shape':(1,)", "junk", "\\\n'",
    "{'descr': [], 'fortran_order':False,'shape':(1,)}",
]  # fmt: skip


@pytest.mark.parametrize("header", HEADERS)
def test_damaged_arrays_are_refused(tmp_path, header):
    with pytest.raises(DataError, match=r"expected an array of numbers \(\.npy\)\. Received"):
        command._array(made(tmp_path / "a.npy", npy(header)))


def test_mutated_arrays_are_read_or_refused(tmp_path):
    content = io.BytesIO()
    np.save(content, np.ones((3, 4), "float32"))
    chance = random.Random(0)
    for _ in range(500):
        changed = bytearray(content.getvalue())
        for _ in range(chance.choice((1, 1, 2, 4))):
            changed[chance.randrange(128)] = chance.choice((chance.randrange(256), *b"()[]{}'\\,:0x\n\0"))
        with contextlib.suppress(DataError):
            command._array(made(tmp_path / "a.npy", bytes(changed)))


@pytest.mark.parametrize("header", HEADERS)
def test_damaged_files_of_keras_reviews_are_refused(tmp_path, header):

    path = tmp_path / "imdb.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{name}.npy", npy(header))
    with pytest.raises(DataError, match=r"imdb\.npz: expected .* Received"):
        _from_keras(path)


def test_a_damaged_cache_takes_no_memory_for_what_it_does_not_hold(tmp_path, monkeypatch):
    """NumPy's reader asked for 2**53 bytes, as a header said."""
    monkeypatch.setattr(cache, "user_cache", lambda: tmp_path)
    made = []

    def arrays():
        made.append(1)
        return {"a": np.arange(6).reshape(2, 3), "words": np.array(["one", "two"]), "f": np.asfortranarray(np.eye(2))}

    def cached():
        return cache.cached_arrays("set", [1], {"a", "words", "f"}, arrays)

    for found in (cached(), cached()):
        assert all(
            np.array_equal(found[name], array) and found[name].flags.writeable for name, array in arrays().items()
        )
    made.clear()
    [path] = (tmp_path / "set").iterdir()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (2**27,), "fortran_order": False, "descr": "<i8"})
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(path, "w", method) as archive:
            for name in ("a", "words", "f"):
                archive.writestr(f"{name}.npy", header.getvalue() + bytes(8))
        tracemalloc.start()
        cached()
        assert tracemalloc.get_traced_memory()[1] < 1 << 25
        tracemalloc.stop()
    assert len(made) == 2


@pytest.mark.parametrize("dims", [[1] * 255, [1] * 65, [2**32 - 1, 0, 2**32 - 1], [2**32 - 1] * 31 + [0]])
def test_idx_files_of_impossible_shapes_are_refused(tmp_path, dims):
    content = bytes([0, 0, 8, len(dims)]) + struct.pack(f">{len(dims)}I", *dims) + b"\1" * min(dims)
    with pytest.raises(DataError, match="Received"):
        read_idx(made(tmp_path / "a", content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,\xe9\n", "line 2, column 2 .*expected a number"),
        (b"a,b\n1,\x81\n", "expected text in cp1252"),
        ("a,b\n1,2\n".encode("utf-16-le"), "byte 2 is zero"),
        ("a,b\n1,2\n".encode("utf16")[:-1], "expected text in utf-16"),
        (b"\x00\x00\xfe\xff\x00\x20\x00\x00", "expected text in utf-32"),
        (b"a,b\n1,\x1b[31m\n", r"one with '\\x1b' in it"),
    ],
)
def test_tables_that_are_no_text_are_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_table(made(tmp_path / "a.csv", content), Reading()).numbers()


def test_names_with_numbers_of_any_length_are_sorted():
    names = ["a.10", "a.9", "a." + "9" * 5000, "a.²", "b"]
    assert sorted(names, key=_natural)[:3] == ["a.9", "a.10", "a." + "9" * 5000]


# Files that ask for much: refused, or taken, in a moment and within the memory of what they hold


def test_layers_take_no_memory_for_what_they_might_compute():
    """Matrices of interpolation, of coverage and of confusion took gigabytes before there was a pixel or a label."""
    none = np.ones((0, 3, 3, 1), "float32")
    assert ops.upsample2d(none, 10**6, "bilinear").shape == (0, 3 * 10**6, 3 * 10**6, 1)
    assert ops.local_contrast_norm(np.ones((0, 15_000, 15_000, 1), "float32")).shape[1] == 15_000
    assert ops.local_contrast_norm(none, window=10**9 + 1).shape == none.shape
    metric = pynn.metrics.ConfusionMatrix(classes=10**6)
    assert metric.counts.size == 0
    assert nn.LayerNormLSTM(2, return_sequences=True)(np.ones((0, 65_536, 2), "float32")).shape == (0, 65_536, 2)
    assert ops.conv2d_transpose(none, np.ones((3, 3, 1, 1), "float32"), strides=10**9).shape[1] == 2 * 10**9 + 3


@pytest.mark.parametrize(("op", "pixels", "padding"), [(ops.conv2d, 6, 10**6), (ops.conv2d_transpose, 2, 10**6 // 2)])
def test_strides_far_beyond_the_image_are_refused(op, pixels, padding):
    """Gradients walked over the square of a stride."""
    x, w = np.ones((1, pixels, pixels, 1), "float32"), np.ones((3, 3, 1, 1), "float32")
    with pytest.raises(ValueError, match="expected strides within the image"):
        op(x, w, strides=10**6, padding=padding)


def test_a_wide_window_of_local_contrast_sees_the_whole_image():
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 2))
    wide = ops.local_contrast_norm(x, window=2001).numpy()
    v = x - x.mean((1, 2, 3), keepdims=True)  # a Gaussian far wider than the image is flat
    sigma = np.sqrt((v**2).mean((1, 2, 3), keepdims=True) + 1e-6)
    np.testing.assert_allclose(wide, v / sigma, atol=1e-3)


@pytest.mark.parametrize("dtype", ["V500000000", "<U500000000", "V200", "x" * 10**6, 3, None])
def test_records_of_networks_name_dtypes_of_numbers(dtype):
    with pytest.raises(DataError, match="dtype"):
        dtype_of(dtype)


def test_limits_in_records_of_networks_are_those_of_the_machine():
    record = {"dtype": "float32", "inputs": [], "outputs": [], "weights": [], "constants": [], "limit": 2**62}
    record["nodes"] = [{"op": "Relu", "name": "", "inputs": [], "outputs": [], "attributes": {}, "version": 13}]
    [node] = Plan(record).nodes
    assert 2**28 < node.limit < 2**50
    with pytest.raises(ValueError, match="limit"):
        Plan({**record, "limit": -1})


def bomb(start=b"", count=3):
    return gzip.compress(start) + gzip.compress(bytes(1 << 20)) * count


def test_packed_files_are_unpacked_no_further_than_a_data_set_may_be(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "LARGEST", 1 << 20)
    with pytest.raises(DataError, match=r"at most 1,048,576 bytes, unpacked"):
        pynn.datasets.text(made(tmp_path / "a.gz", bomb(b"text")))
    header = b"label," + b",".join(b"pixel%d" % i for i in range(784)) + b"\n"
    row = b",".join([b"0"] * 785) + b"\n"
    with pytest.raises(DataError, match="unpacked"):
        kaggle._read(
            made(tmp_path / "a.csv.gz", gzip.compress(header + row * 2000)), header.decode().strip().split(",")
        )
    monkeypatch.setattr(idx, "LARGEST", 1 << 20)
    with pytest.raises(DataError, match="in a packed file"):
        read_idx(made(tmp_path / "a", bomb(bytes([0, 0, 8, 1]) + struct.pack(">I", 3 << 20))))


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_headers_and_gaps_of_archives_are_bounded(tmp_path, monkeypatch, form):
    """What describes a member may be packed to nothing, and was read whole."""
    monkeypatch.setattr(unpack, "LARGEST", 200 << 20)
    info = tarfile.TarInfo("x" * 300)
    head = bytearray(info.tobuf(form)[:512])
    head[124:136] = b"%011o\0" % (100 << 20)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    for name, kind in (("long.tar.gz", head), ("gap.tar.gz", tarfile.TarInfo("a").tobuf())):
        path = made(tmp_path / name, gzip.compress(bytes(kind)) + gzip.compress(bytes(1 << 20)) * 300)
        with pytest.raises(DataError, match=r"parts of at most|unpacked|expected the files|expected reviews|damaged"):
            read_reviews(path)
    with pytest.raises(DataError, match="parts of at most"):
        read_reviews(tmp_path / "long.tar.gz")


def test_words_and_lines_of_packed_texts_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "LONGEST_WORD", 1 << 16)
    path = made(tmp_path / "a.gz", gzip.compress(b"x" * (1 << 22)))
    with pytest.raises(DataError, match="words of at most"):
        list(corpus._from_file(path, "corpus"))
    before = (corpus.BLOCK_CHARS - (1 << 16)) // 2
    path = made(tmp_path / "b.gz", gzip.compress(b"a " * before + b"x" * (1 << 16) + b" y"))  # a block ends behind x
    found = [len(word) for words, _ in corpus._from_file(path, "corpus") for word in words]
    assert found[before:] == [1 << 16, 1]
    path = made(tmp_path / "v.gz", gzip.compress(b"2 3\nking 1 2 3\n" + b"x" * (1 << 22)))
    with pytest.raises(DataError, match="a line of more than"):
        pynn.text.KeyedVectors.load_word2vec_format(path)


def test_parts_of_hdf5_files_are_no_larger_than_the_whole(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("good", data=np.zeros(100), chunks=(100,), compression="gzip")
        file.create_dataset("w", shape=(4,), maxshape=(None,), chunks=(1 << 22,), dtype="f8", compression="gzip")
    with h5py.File(tmp_path / "a.h5") as file, pytest.raises(DataError, match=r"'w' is stored in parts"):
        Arrays(file, "a.h5")


def test_images_of_too_many_pixels_are_refused(tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    image.new("L", (64, 64)).save(tmp_path / "a.png")
    monkeypatch.setattr(image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="expected a whole image"):
        read_image(tmp_path / "a.png", (8, 8))


def test_files_with_other_numbers_load_or_are_refused():
    """A bounded run of tests/reliability/craft_model_file.py."""
    place = os.path.join(os.path.dirname(__file__), "reliability", "craft_model_file.py")
    words = [sys.executable, "-P", place, "--files", "60", "--models", "12", "--seed", "5"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


EXPORT = """
import resource, sys
import pynn.onnx
from pynn import nn

model = nn.Sequential([nn.Input((64,)), *[nn.Dense(64, activation="relu") for _ in range(100)]])
data = pynn.onnx.to_model(model).SerializeToString()
for extra in (1, 5, 10, 20, 40, 60, 80, 100):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (extra << 20), resource.RLIM_INFINITY))
    for use in (lambda: pynn.onnx.export(model, sys.argv[1]), lambda: pynn.onnx.loads(data)):
        try:
            use()
        except MemoryError:
            pass
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
pynn.onnx.export(model, sys.argv[1])
print("alive")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of memory is Linux's")
def test_onnx_without_memory_is_an_error_and_no_crash(tmp_path):
    """Protobuf ended the process."""
    pytest.importorskip("onnx")
    words = [sys.executable, "-P", "-c", EXPORT, str(tmp_path / "a.onnx")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr[-2000:]


# Names on their way to a terminal, a page, a spreadsheet

EVIL = "\x1b[31mred\n<b>\u202e"


def test_names_reach_no_terminal_or_page_raw(capsys):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2, name=EVIL)])
    model.compile("sgd", "mse", ["mae"])
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    model.summary()
    shown = [capsys.readouterr().out, model._repr_html_(), str(model.profile(np.ones((4, 3)), np.ones((4, 2))))]
    x = pynn.tensor(2.0, requires_grad=True)
    shown.append(pynn.viz.draw_graph(x * x, names={EVIL: x}).svg)
    for text in shown:
        assert not {"\x1b", "\u202e"} & set(text)
        assert "red\n" not in text
        assert r"\x1b[31mred\n" in text
    assert printable("a b é 漢") == "a b é 漢"
    assert printable("a\n\x1b", "\n") == "a\n\\x1b"


def test_commands_show_names_as_escapes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2, name=EVIL)])
    model.save("m.pynn", metadata={EVIL: 1})
    assert main(["summary", "m.pynn"]) == 0
    assert main(["summary", "\x1b[31m"]) == 2
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert all(r"\x1b[31m" in text for text in (out, err))


def test_names_of_classes_are_no_formulas():
    names = ["=cmd|' /C calc'!A0", "+1", "-x", "@SUM(1)", "\t=1", "plain", "-1.5"]
    text = command.table(np.eye(7, dtype="float32"), names, True)
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["class", "'=cmd|' /C calc'!A0", "+1", "'-x", "'@SUM(1)", "'\t=1", "plain", "-1.5"]
    assert [row[0] for row in rows] == header[1:]


# Moments


def interrupted_at(k, function):
    """Call a function; raise KeyboardInterrupt at the k-th beginning, or going on, of a Python function inside.

    There, at the ends of loops and after calls Python looks for signals. Return the error, None if there were fewer.
    """
    left = k

    def call(frame, event, argument):
        nonlocal left
        left -= 1
        if left == 0:
            sys.settrace(None)
            raise KeyboardInterrupt

    sys.settrace(call)
    try:
        function()
    except KeyboardInterrupt as error:
        return error
    finally:
        sys.settrace(None)
    return None


def unbuilt():
    layers = [nn.Dense(3, activation="tanh"), nn.BatchNormalization(), nn.Dropout(0.5), nn.Bidirectional(nn.LSTM(2))]
    model = nn.Sequential([*layers, nn.Dense(2)])
    model.compile("sgd", "mse", seed=7)
    return model


def leaked():
    switches = state.grad_enabled, state.carries, state.training, state.trial, state.scope
    places = state.rng, state.module, state.observer, state.tape, state.recorder
    return switches != (True, True, False, False, "") or any(place is not None for place in places)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # met while a generator closes
def test_ctrl_c_while_building_changes_no_weights():
    """The second build drew others for the same seed."""
    wanted = unbuilt()
    wanted.build((None, 4, 3))
    k = 0
    while True:
        k += 1
        model = unbuilt()
        error = interrupted_at(k, lambda model=model: model.build((None, 4, 3)))
        if error is None:
            break
        assert not leaked(), k
        model.build((None, 4, 3))
        weights = zip(model.get_weights(), wanted.get_weights(), strict=True)
        assert all(np.array_equal(a, b) for a, b in weights), k
    assert k > 100


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # met while a generator closes
def test_ctrl_c_at_random_lines_of_a_training_leaves_no_state():
    """Gradients stayed switched off, as long as anything, such as sys.last_traceback, held the error."""
    x, y = np.ones((4, 4, 3), "float32"), np.ones((4, 2), "float32")
    chance = random.Random(1)
    met = 0
    for k in sorted(chance.sample(range(1, 3000), 150)):
        model = unbuilt()
        error = interrupted_at(k, lambda model=model: model.fit(x, y, epochs=2, verbose=0))
        assert not leaked(), k
        met += error is not None
        model.fit(x, y, epochs=1, verbose=0)
    assert met > 50


def test_a_line_of_many_cells_is_looked_at_once(monkeypatch):
    """Each cell of a first line without numbers had all the others looked at: a table of 1 MB took hours."""
    calls = []
    true = dialect.is_number
    monkeypatch.setattr(dialect, "is_number", lambda *arguments: calls.append(1) or true(*arguments))
    assert dialect._score([["a"] * 1000, ["1"] * 1000], ".") == (True, 1.0, True)
    assert len(calls) <= 3000
