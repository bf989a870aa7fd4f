"""Exported networks, in C and in Python, compute what the model computes."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from onnx_chains import Tied

import pynn
from pynn import cli, nn
from pynn.errors import DataError
from pynn.export import c_source, lower, numpy_source, to_c, to_numpy
from pynn.ops.activation import NAMES

COMPILER = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
FLAGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", "-g"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ACTIVATIONS = tuple(NAMES)


def branches(shape, *layers, ids=False):
    """A model that applies each layer to the same input and joins what comes out."""
    x = nn.Input(shape)
    source = nn.Embedding(20, 5)(x) if ids else x
    return nn.Model(x, nn.Concatenate()([nn.Flatten()(layer(source)) for layer in layers]))


def merged():
    image, ids, gate = nn.Input((4, 5, 3)), nn.Input((6,)), nn.Input((1, 1, 3))
    conv = nn.Conv2D(3, 3, padding="same", activation="relu")
    shortcut = nn.Add()([conv(conv(image)), image, gate])
    weighed = nn.Multiply()(shortcut, gate)
    wide = nn.Concatenate(axis=1)([weighed, image])
    words = nn.LSTM(4)(nn.Embedding(9, 3, mask_zero=True)(ids))
    return nn.Model([image, ids, gate], nn.Dense(3)(nn.Concatenate()([nn.GlobalAvgPool()(wide), words])))


def nested():
    inner = nn.Sequential([nn.Dense(4, activation="tanh"), nn.BatchNormalization()])
    a = nn.Input((4,))
    block = nn.Model(a, nn.Add()([inner(a), a]))
    return nn.Sequential([nn.Input((6,)), nn.Dense(4), block, block, nn.Dropout(0.5), nn.Dense(2)])


def double():
    return nn.Sequential([nn.Input((3, 4)), nn.GRU(3), nn.Dense(2, activation="gelu")]).astype("float64")


IMAGE = (9, 8, 4)
LINE = (11, 6)
CASES = {
    "mlp": lambda: nn.Sequential(
        [nn.Input((7,)), nn.Dense(9, "relu"), nn.Dense(8, "tanh", use_bias=False), nn.Dropout(0.5), nn.Maxout(6, 3),
         nn.Dense(4, "softmax")]
    ),
    "activations": lambda: branches(
        (3, 5), *map(nn.Activation, ACTIVATIONS), nn.Activation("leaky_relu", slope=0.3),
        nn.Activation("elu", alpha=0.5), nn.Activation("gelu", approximate=True), nn.Activation("softmax", axis=2),
    ),
    "convolutions": lambda: branches(
        IMAGE, nn.Conv2D(6, 3, strides=2, padding="same", activation="relu"),
        nn.Conv2D(4, (3, 2), dilation_rate=(2, 3), groups=2, activation="gelu"),
        nn.Conv2D(3, 3, padding=(1, 0, 2, 1), use_bias=False), nn.DepthwiseConv2D(3, depth_multiplier=2, strides=2),
        nn.DepthwiseConv2D((2, 3), padding="same", activation="tanh"),
        nn.SeparableConv2D(5, 3, padding="same", depth_multiplier=2, activation="relu"),
    ),
    "transposed": lambda: branches(
        IMAGE, nn.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu"),
        nn.Conv2DTranspose(2, (4, 3), strides=(3, 1), output_padding=(1, 0)), nn.Conv2DTranspose(2, 2, use_bias=False),
        nn.Conv2DTranspose(2, 3, dilation_rate=2, padding=(1, 2, 0, 1)),
        nn.LocallyConnected2D(3, 3, strides=2, padding="same", activation="tanh"),
        nn.LocallyConnected2D(2, (2, 3), use_bias=False),
        Tied(nn.LocallyConnected2D(2, (2, 3))), Tied(nn.LocallyConnected2D(3, 2, strides=3)),
        Tied(nn.LocallyConnected2D(3, 3, strides=(2, 1), padding="same")),
    ),
    "transposed, wider than high": lambda: branches(
        (3, 7, 2), nn.Conv2DTranspose(3, 3, strides=2, padding="same"), nn.Conv2DTranspose(2, (1, 4), strides=(1, 3)),
    ),
    "pools": lambda: branches(
        IMAGE, nn.MaxPool2D(), nn.MaxPool2D(3, strides=2, padding="same"),
        nn.AvgPool2D(3, strides=2, padding=(1, 1, 0, 2)),
        nn.L2Pool2D(3, strides=2, padding="same"), nn.L2Pool2D(2, epsilon=0.1),
        nn.AvgPool2D((2, 3)), nn.GlobalAvgPool(), nn.GlobalMaxPool(keepdims=True), nn.ZeroPadding2D(((1, 0), (2, 3))),
        nn.Cropping2D(((1, 2), (0, 3))), nn.UpSampling2D((2, 3)), nn.UpSampling2D((3, 2), interpolation="bilinear"),
        nn.UpSampling2D((1, 4), interpolation="bilinear"), nn.RandomCrop((5, 4)), nn.RandomFlip(0.5),
        nn.SpatialDropout2D(0.5),
    ),
    "norms": lambda: branches(
        IMAGE, nn.BatchNormalization(), nn.BatchNormalization(center=False, epsilon=0.1),
        nn.BatchNormalization(scale=False),
        nn.LayerNormalization(), nn.LayerNormalization(axis=(-2, -1), center=False), nn.GroupNormalization(2),
        nn.GroupNormalization(-1, scale=False), nn.LocalResponseNormalization(1, alpha=0.5),
    ),
    "lines": lambda: branches(
        LINE, nn.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
        nn.Conv1D(6, 4, strides=3, groups=3),
        nn.Conv1D(4, 3, padding=(2, 0)), nn.MaxPool1D(3, 2, "same"), nn.AvgPool1D(2, padding=(1, 0)),
        nn.GlobalMaxPool(),
        nn.GlobalAvgPool(), nn.TimeDistributed(nn.Dense(3, "softmax")), nn.Reshape((6, 11)), nn.LayerNormalization(),
    ),
    "recurrent": lambda: branches(
        LINE, nn.SimpleRNN(5), nn.SimpleRNN(3, "relu", return_sequences=True),
        nn.SimpleRNN(3, "sigmoid", use_bias=False),
        nn.SimpleRNN(2, None, go_backwards=True, return_sequences=True), nn.LSTM(4), nn.LSTM(3, peephole=True),
        nn.LSTM(3, use_bias=False, return_sequences=True, go_backwards=True), nn.GRU(4), nn.GRU(3, use_bias=False),
        nn.GRU(3, reset_after=False, return_sequences=True), nn.GRU(2, reset_after=False, use_bias=False),
        nn.JordanRNN(4, 3, "sigmoid", "softmax"), nn.JordanRNN(3, 2),
    ),
    "bidirectional": lambda: branches(
        LINE, nn.Bidirectional(nn.LSTM(3)), nn.Bidirectional(nn.GRU(3, return_sequences=True), "sum"),
        nn.Bidirectional(nn.SimpleRNN(3, return_sequences=True), "mul"), nn.Bidirectional(nn.GRU(3), "ave"),
        nn.Bidirectional(nn.LSTM(2, return_sequences=True)),
    ),
    "masked": lambda: nn.Sequential(
        [nn.Input((6,)), nn.Embedding(9, 5, mask_zero=True), nn.Dense(4, "tanh"),
         nn.Bidirectional(nn.GRU(3, return_sequences=True)), nn.JordanRNN(4, 3),
         nn.LSTM(3, go_backwards=True, return_sequences=True), nn.SimpleRNN(4)]
    ),
    "masked mean": lambda: nn.Sequential(
        [nn.Input((6,)), nn.Embedding(9, 5, mask_zero=True), nn.Conv1D(4, 3, padding="causal"),
         nn.LayerNormalization(), nn.GlobalAvgPool()]
    ),
    "masked largest": lambda: nn.Sequential(
        [nn.Input((6,)), nn.Embedding(9, 5, mask_zero=True), nn.Maxout(4, 2), nn.GlobalMaxPool()]
    ),
    "ids": lambda: branches((5,), nn.Flatten(), nn.GRU(3), nn.Conv1D(4, 2), ids=True),
    "video": lambda: nn.Sequential(
        [nn.Input((3, 6, 5, 2)), nn.TimeDistributed(nn.Sequential([
            nn.Conv2D(3, 3, activation="relu"), nn.MaxPool2D(), nn.AvgPool2D(1), nn.GroupNormalization(3),
            nn.UpSampling2D(2), nn.ZeroPadding2D(1), nn.Cropping2D(1), nn.Conv2DTranspose(2, 2), nn.Flatten(),
            nn.Dense(4),
            nn.Reshape((2, 2)), nn.LSTM(3)])), nn.LayerNormalization(), nn.GRU(3)]
    ),
    "merged": merged,
    "nested": nested,
    "double": double,
    "nothing": lambda: nn.Sequential([nn.Input((2, 3)), nn.Flatten()]),
}  # fmt: skip


def made(name, rng, samples=4):
    """Return a case's model with random weights, and inputs."""
    model = CASES[name]()
    model.build(None if hasattr(model, "input_shapes") else (1, *model._input))
    for path, weight in model.named_parameters():
        values = rng.normal(size=weight.shape) * 0.5
        weight.view()[...] = np.abs(values) + 0.1 if path.endswith("variance") else values
    xs = []
    examples = model.examples() if hasattr(model, "examples") else [model.example((1, *model._input))]
    for example in examples:
        shape = (samples, *example.shape[1:])
        if example.dtype.kind == "i":
            ids = rng.integers(1, 9, shape)
            ids[0, 2:] = 0
            xs.append(ids.astype("int32"))
        else:
            xs.append(rng.normal(size=shape).astype(example.dtype))
    return model, xs[0] if len(xs) == 1 else tuple(xs)


def build(folder, name="net"):
    """Compile a file with main(), all warnings as errors, with sanitizers where the compiler has them."""
    if COMPILER is None:
        pytest.skip("no C compiler here")
    program = folder / "program"
    line = [COMPILER, *FLAGS, str(folder / f"{name}.c"), "-o", str(program), "-lm"]
    done = subprocess.run([*line, *SANITIZE], capture_output=True, text=True)
    if "asan" in done.stderr and "cannot find" in done.stderr:
        done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


def csv(xs):
    parts = xs if isinstance(xs, tuple) else (xs,)
    rows = np.concatenate([x.reshape(len(x), -1).astype("float64") for x in parts], axis=1)
    return "".join(",".join(f"{v:.17g}" for v in row) + "\n" for row in rows)


def numbers(text):
    return np.array([[float(v) for v in line.split(",")] for line in text.splitlines()])


@pytest.mark.parametrize("name", CASES)
def test_c_computes_what_the_model_computes(name, rng, tmp_path):
    model, x = made(name, rng)
    to_c(model, tmp_path / "net.c", main=True)
    done = subprocess.run([build(tmp_path)], input=csv(x), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    expected = model.predict(x)
    np.testing.assert_allclose(numbers(done.stdout), expected.reshape(len(expected), -1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_python_computes_what_the_model_computes(name, rng, tmp_path):
    model, x = made(name, rng)
    assert to_numpy(model, tmp_path / "net.py") == [str(tmp_path / "net.py")]
    space = {}
    exec(compile((tmp_path / "net.py").read_text(), "net.py", "exec"), space)
    y = space["predict"](*(x if isinstance(x, tuple) else (x,)))
    expected = model.predict(x)
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_python_needs_numpy_alone(rng, tmp_path):
    model, x = made("video", rng)
    to_numpy(model, tmp_path / "net.py")
    np.save(tmp_path / "x.npy", x)
    code = "import sys, numpy as np, net; np.save('y.npy', net.predict(np.load('x.npy'))); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": "."}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not {"pynn", "scipy", "safetensors"} & set(done.stdout.split())
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model.predict(x), rtol=1e-5, atol=1e-5)


def test_python_refuses_other_inputs(rng):
    space = {}
    exec(numpy_source(made("masked", rng)[0]), space)
    for x, said in (
        (np.ones((2, 5)), "shape"), (np.ones((2, 6)) * 0.5, "whole numbers"), (np.full((1, 6), 9), "0 to 8"),
        ([[0, 1, 1, 1, 1, 1]], "at the end"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            space["predict"](x)


def test_the_program_that_reads_csv(rng, tmp_path):
    model, x = made("masked", rng)
    to_c(model, tmp_path / "net.c", main=True)
    program = build(tmp_path)

    def run(text):
        done = subprocess.run([program], input=text, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    plain = run(csv(x))[1]
    named_columns = '"a","b";c\td, e,f\r\n' + csv(x).replace("\n", "\r\n").rstrip()
    assert run(named_columns) == (0, plain, "")
    assert run("")[:2] == (0, "")
    assert run("\n\n1,2,3,4,5,6\n\n")[0] == 0
    for text, said in (
        ("1,2,3,4,5\n", "line 1: expected 6"), ("1,2,3,4,5,6,7\n", "line 1: expected 6"),
        ("1,2,3,4,5,9\n", "refused the input (1)"),
        ("1,2,3,4,5,6\n1,2,x,4,5,6\n", "line 2"), ("\n1,2,3,4,5,1.5\n", "line 2"), ("\n1,2,3,4,5,1e99\n", "line 2"),
        ("1,0,3,4,5,6\n", "refused the input (2)"), ("\n1,2,3,4,5,nan\n", "line 2"), ("1" * 300 + "\n", "too long"),
    ):  # fmt: skip
        status, out, err = run(text)
        assert (status, said in err) == (1, True), (text, out, err)


def test_several_threads_may_predict_at_once(rng):
    source, header = c_source(made("recurrent", rng)[0], "net", "net.h")
    assert "malloc" not in source
    assert "main(" not in source
    for line in source.splitlines():
        assert not line.startswith("static") or line.startswith("static const") or "(" in line
    assert "#define NET_WORK_SIZE" in header


def test_memory_is_used_again(rng):
    layers = [nn.Dense(100, activation="tanh") for _ in range(20)]
    model = nn.Sequential([nn.Input((50,)), *layers, nn.Dense(2)])
    _, header = c_source(model, "net", "net.h")
    assert "#define NET_WORK_SIZE 200\n" in header


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.TimeDistributed(nn.GRU(3, stateful=True)), r"'gru' \(GRU\): it is stateful"),
    ],
)
def test_layers_that_cannot_be_exported(layer, said, tmp_path):
    shape = (2, 3, 4) if isinstance(layer, nn.TimeDistributed) else (8, 8, 2)
    model = nn.Sequential([nn.Input(shape), layer])
    for write, name in ((to_c, "net.c"), (to_numpy, "net.py")):
        with pytest.raises(DataError, match=said):
            write(model, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_models_that_cannot_be_exported(tmp_path):
    with pytest.raises(RuntimeError, match=r"\[export\] the model is not built"):
        lower(nn.Sequential([nn.Dense(3)]))
    with pytest.raises(TypeError, match=r"\[export\] expected a model"):
        lower("model.pynn")
    assert len(lower(nn.Sequential([nn.Input((3, 2)), nn.GRU(2, return_state=True)])).outputs) == 2
    layer = nn.Dense(3)
    layer.build((1, 2))
    for write, name in ((to_c, "net.h"), (to_c, ".c"), (to_numpy, "net")):
        with pytest.raises(DataError, match="ends in"):
            write(layer, tmp_path / name)


def test_names_cannot_break_out_of_comments(rng, tmp_path):
    name = 'x*/ #error\n"""\nraise SystemExit # \\'
    model = nn.Sequential([nn.Input((2,)), nn.Dense(2, name=name), nn.Dense(2, name="x*? #error")])
    to_c(model, tmp_path / "double.c", main=True)
    build(tmp_path, "double")
    space = {}
    exec(numpy_source(model), space)
    x = rng.normal(size=(3, 2)).astype("float32")
    np.testing.assert_allclose(space["predict"](x), model.predict(x), atol=1e-6)


def test_extreme_weights(rng, tmp_path):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(1)])
    values = np.array([[3.4028235e38], [1e-45], [-0.0], [np.inf]], "float32")
    model.set_weights([values, np.array([np.nan], "float32")])
    source, _ = c_source(model, "net", "net.h")
    assert "3.40282347e+38f, 1.40129846e-45f, -0.0f, INFINITY" in source
    to_c(model, tmp_path / "net.c", main=True)
    done = subprocess.run([build(tmp_path)], input="1,1,1,1\n", capture_output=True, text=True)
    assert "nan" in done.stdout


def test_the_command(rng, tmp_path, capsys):
    model, _ = made("mlp", rng)
    model.save(tmp_path / "model.pynn")
    cases = [("c", "my-net.c", ["my-net.c", "my-net.h"]), ("numpy", "net.py", ["net.py"])]
    for kind, name, files in cases:
        arguments = ["export", str(tmp_path / "model.pynn"), "--to", kind, "--out", str(tmp_path / name)]
        assert cli.main(arguments) == 0
        printed = capsys.readouterr().out
        assert all(file in printed and (tmp_path / file).exists() for file in files)
    assert "int my_net_predict(" in (tmp_path / "my-net.h").read_text()
    assert "main(" not in (tmp_path / "my-net.c").read_text()
    assert cli.main([*arguments[:3], "c", "--out", str(tmp_path / "net.c"), "--main"]) == 0
    assert "int main(int argc, char **argv)" in (tmp_path / "net.c").read_text()
    capsys.readouterr()
    for extra, said in ((["--main"], "--to c alone"), (["--out", "net.txt"], "ends in .py")):
        assert cli.main([*arguments, *extra]) == 2
        assert said in capsys.readouterr().err
    pynn.nn.Sequential([nn.Input((3, 2)), nn.GRU(2, stateful=True)]).save(tmp_path / "model.pynn")
    before = sorted(tmp_path.iterdir())
    assert cli.main([*arguments[:3], "c", "--out", str(tmp_path / "other.c")]) == 2
    assert "(GRU): it is stateful" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_the_header_says_what_is_returned_for_which_input(tmp_path):
    plain, looked_up = [nn.Input((3,)), nn.Dense(2)], [nn.Input((4,)), nn.Embedding(5, 3), nn.LSTM(2)]
    for layers, said in ((plain, "Returns 0. */"), (looked_up, "Returns 0; 1 if a token id is outside")):
        to_c(nn.Sequential(layers), tmp_path / "net.c")
        assert said in (tmp_path / "net.h").read_text()
