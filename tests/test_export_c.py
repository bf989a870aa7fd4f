"""Exported C: products in tiles, own exp and tanh, steps with states, C++, and the program that reads a file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pynn import nn
from pynn.errors import DataError
from pynn.export import c_source, to_c
from pynn.export.c_math import math_source

COMPILER = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
STRICT = ["-pedantic", "-Wall", "-Wextra", "-Werror"]
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler here")


def compiled(source, *flags, language="c", standard="c99"):
    """Compile a file with all warnings as errors and return the program."""
    program = source.with_suffix(f".{language}.out")
    line = [COMPILER, "-x", language, f"-std={standard}", *STRICT, *flags, str(source), "-o", str(program), "-lm"]
    done = subprocess.run(line, capture_output=True, text=True)
    if language == "c++" and ("cc1plus" in done.stderr or "stdc++" in done.stderr):
        pytest.skip("no C++ compiler here")
    assert done.returncode == 0, done.stderr
    return program


def run(program, *arguments, text=""):
    done = subprocess.run([program, *map(str, arguments)], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return np.array([[float(v) for v in line.split(",")] for line in done.stdout.splitlines()])


def csv(rows):
    return "".join(",".join(f"{v:.9g}" for v in row.ravel()) + "\n" for row in rows)


def agree(model, x, folder, *flags, **more):
    to_c(model, folder / "net.c", main=True)
    got = run(compiled(folder / "net.c", *flags, **more), text=csv(x))
    expected = model.predict(x)
    np.testing.assert_allclose(got, expected.reshape(len(expected), -1), rtol=1e-5, atol=1e-5)


# outputs around a block of 16, widths around a tile of 6, borders on every side, one channel and several
CONVOLUTIONS = [
    (nn.Conv2D(1, 3), (3, 3, 1)),
    (nn.Conv2D(15, 3, padding="same"), (5, 6, 2)),
    (nn.Conv2D(17, (2, 5), padding="same"), (4, 7, 1)),
    (nn.Conv2D(16, 3, strides=2, padding="same"), (8, 13, 3)),
    (nn.Conv2D(33, 3, dilation_rate=2), (7, 12, 2)),
    (nn.Conv2D(5, 3, strides=(1, 3), dilation_rate=(2, 1), padding="same", use_bias=False), (9, 10, 4)),
    (nn.Conv2D(4, 2, strides=3), (10, 11, 2)),
    (nn.Conv2D(8, 3, padding="same", groups=8), (5, 5, 8)),
    (nn.Conv2D(8, 3, padding="same", groups=2), (5, 5, 4)),
]


def test_convolutions_in_tiles(rng, tmp_path):
    for layer, shape in CONVOLUTIONS:
        model = nn.Sequential([nn.Input(shape), layer])
        x = rng.normal(size=(2, *shape)).astype("float32")
        agree(model, x, tmp_path, "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.mark.parametrize("outputs", [1, 7, 8, 16, 31, 64, 65, 130])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_any_width(outputs, dtype, rng, tmp_path):
    rows = nn.Sequential([nn.Input((5, 3)), nn.Dense(outputs), nn.Flatten(), nn.Dense(outputs, use_bias=False)])
    agree(rows.astype(dtype), rng.normal(size=(2, 5, 3)).astype(dtype), tmp_path, "-O2")


def test_a_last_block_is_filled_with_zeros_and_few_outputs_have_none(rng):
    wide, _ = c_source(nn.Sequential([nn.Input((4,)), nn.Dense(9)]), "net", "net.h")
    narrow, _ = c_source(nn.Sequential([nn.Input((4,)), nn.Dense(7)]), "net", "net.h")
    assert "dense_w[64] = { /* [1][4][16] */" in wide
    assert "dense_w[28] = { /* [4][7] */" in narrow


@pytest.mark.parametrize("flags", [["-O2"], ["-O3", "-march=native"], ["-O3", "-ffast-math"]])
def test_compilers_may_do_what_they_like(flags, rng, tmp_path):
    layers = [nn.Conv2D(9, 3, activation="tanh"), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(20, "sigmoid"), nn.Dense(3)]
    model = nn.Sequential([nn.Input((8, 8, 1)), *layers, nn.Softmax()])
    agree(model, rng.normal(size=(3, 8, 8, 1)).astype("float32"), tmp_path, *flags)


def test_exp_and_tanh_are_right_to_the_last_bits(tmp_path):
    (tmp_path / "math.c").write_text(
        "#include <math.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <string.h>\n"
        + math_source("EXP(v) TANH(v)", np.dtype("float32"))
        + """
/* The error in units of the last place of the exact result */
static double error(float got, double exact)
{
    int e;
    const float rounded = (float)exact;
    if (isnan(exact) || isinf(rounded))
        return isnan(exact) ? !isnan(got) * 1e9 : !isinf(got) * 1e9;
    frexp(exact, &e);
    return fabs((double)got - exact) / ldexp(1.0, (e < -125 ? -125 : e) - 24);
}

int main(void)
{
    double worst_exp = 0, worst_tanh = 0;
    for (uint64_t i = 0; i < (UINT64_C(1) << 32); i += 1009) {
        const uint32_t bits = (uint32_t)i;
        float v;
        memcpy(&v, &bits, sizeof v);
        worst_exp = fmax(worst_exp, error(EXP(v), exp((double)v)));
        worst_tanh = fmax(worst_tanh, error(TANH(v), tanh((double)v)));
    }
    printf("%g,%g\\n%g,%g\\n", worst_exp, worst_tanh, (double)EXP(-INFINITY), (double)TANH(-INFINITY));
}
"""
    )
    (worst_exp, worst_tanh), ends = run(compiled(tmp_path / "math.c", "-O2"))
    assert worst_exp < 1.1
    assert worst_tanh < 2.6
    assert ends.tolist() == [0.0, -1.0]


def recurrent(*layers):
    return nn.Sequential([nn.Input((6, 3)), *layers])


STEPS = {
    "lstm": lambda: recurrent(nn.LSTM(5, return_sequences=True), nn.LSTM(17), nn.Dense(2)),
    "gru": lambda: recurrent(nn.GRU(4, return_sequences=True), nn.GRU(4, reset_after=False), nn.Dense(2)),
    "simple": lambda: recurrent(nn.SimpleRNN(5), nn.Dense(9, "tanh")),
    "norm": lambda: recurrent(nn.LayerNormLSTM(5), nn.Dense(3)),
    "peepholes": lambda: recurrent(nn.LSTM(4, peephole=True)),
    "sequences": lambda: recurrent(nn.GRU(4, return_sequences=True), nn.Dense(3)),
}


@pytest.mark.parametrize("name", STEPS)
def test_step_by_step_with_states(name, rng, tmp_path):
    model = STEPS[name]()
    x = rng.normal(size=(2, 6, 3)).astype("float32")
    files = to_c(model, tmp_path / "net.c", main=True, step=True)
    assert "int net_step(const float *x, float *y, float *state, float *work);" in Path(files[1]).read_text()
    (tmp_path / "x.csv").write_text(csv(x[0]) + "\n" + csv(x[1]))
    flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    got = run(compiled(tmp_path / "net.c", *flags), tmp_path / "x.csv").reshape(2, 6, -1)
    whole = model.predict(x)
    if whole.ndim == 2:
        whole = np.stack([model(x[:, : t + 1]).numpy() for t in range(6)], axis=1)
    np.testing.assert_allclose(got, whole, rtol=1e-5, atol=1e-5)


def test_tokens_step_by_step(rng, tmp_path):
    model = nn.Sequential([nn.Input((6,)), nn.Embedding(9, 4), nn.LSTM(5), nn.Dense(9, "softmax")])
    ids = rng.integers(0, 9, (1, 6)).astype("int32")
    to_c(model, tmp_path / "net.c", main=True, step=True)
    got = run(compiled(tmp_path / "net.c", "-O2"), text="".join(f"{i}\n" for i in ids[0]))
    np.testing.assert_allclose(got[-1], model.predict(ids)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([nn.Dense(3)], "recurrent layers"),
        ([nn.Bidirectional(nn.LSTM(3))], "runs backwards"),
        ([nn.Conv1D(3, 3, padding="same"), nn.LSTM(3)], "needs other steps"),
        ([nn.GRU(3, return_sequences=True), nn.GlobalAvgPool()], "needs other steps"),
    ],
)
def test_what_cannot_be_computed_step_by_step(layers, said, tmp_path):
    with pytest.raises(DataError, match=said):
        to_c(recurrent(*layers), tmp_path / "net.c", step=True)
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="inputs of sequences"):
        to_c(nn.Sequential([nn.Input((4,)), nn.Dense(2)]), tmp_path / "net.c", step=True)


def test_the_file_is_cpp_too(rng, tmp_path):
    image = [nn.Conv2D(9, 3, activation="relu"), nn.AvgPool2D(2), nn.DepthwiseConv2D(3), nn.UpSampling2D(2)]
    model = nn.Sequential([nn.Input((9, 9, 2)), *image, nn.Flatten(), nn.Dense(20, "gelu"), nn.LayerNormalization()])
    agree(model, rng.normal(size=(2, 9, 9, 2)).astype("float32"), tmp_path, "-O1", language="c++", standard="c++11")
    model = STEPS["lstm"]()
    to_c(model, tmp_path / "net.c", main=True, step=True)
    x = rng.normal(size=(1, 6, 3)).astype("float32")
    got = run(compiled(tmp_path / "net.c", language="c++", standard="c++11"), text=csv(x[0]))
    np.testing.assert_allclose(got[-1], model.predict(x)[0], rtol=1e-5, atol=1e-5)


def test_the_program_reads_the_file_it_is_given(rng, tmp_path):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2)])
    x = rng.normal(size=(4, 3)).astype("float32")
    to_c(model, tmp_path / "net.c", main=True)
    program = compiled(tmp_path / "net.c")
    (tmp_path / "x.csv").write_text("a,b,c\n" + csv(x))
    expected = run(program, text=csv(x))
    np.testing.assert_array_equal(run(program, tmp_path / "x.csv"), expected)
    np.testing.assert_array_equal(run(program, "-", text=csv(x)), expected)
    done = subprocess.run([program, tmp_path / "no.csv"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "no.csv: No such file" in done.stderr
