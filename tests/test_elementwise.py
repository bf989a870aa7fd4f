"""The rows of functions of one element: whatever reads them agrees, so that a new row is tested by being one."""

from __future__ import annotations

import ast
import ctypes
import inspect
import math
import shutil
import subprocess
import warnings

import numpy as np
import pytest

import pynn
from pynn import nn, ops
from pynn.core import _core, config
from pynn.export import to_c, to_numpy
from pynn.ops import activation
from pynn.ops.common import Rng
from pynn.ops.elementwise import ELEMENTWISE, FUSED

COMPILER = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
POINTS = np.float32([-7.5, -3.2, -2.9, -1.5, -0.7, -0.05, 0.05, 0.4, 1.2, 2.9, 3.2, 5.8, 6.3, 8.0])
NO_ROW = {"linear", "softmax", "log_softmax"}


def called(row, x):
    """What the public function of a row gives, with parameters for those that have no default."""
    options = next(iter(row.card.samples(Rng()))).attrs
    return getattr(ops, row.name)(ops.abs(x) + 0.1 if row.name in ("log", "sqrt") else x, **options)


class Everything(nn.Module):
    """All functions of one element of the same inputs, side by side."""

    def forward(self, x):
        return ops.concat([called(row, x) for row in ELEMENTWISE.values()], axis=1)


@pytest.fixture(scope="module")
def everything():
    model = Everything()
    x = np.stack([POINTS, POINTS[::-1]])
    model(x)
    return model, x, model.predict(x)


def test_rows_and_kernels_are_the_same_functions():
    assert set(ELEMENTWISE) == set(_core.functions())
    assert set(FUSED) == {"linear"} | {name for name, (act, _) in _core.functions().items() if act is not None}
    assert sorted(code for code, _, _ in FUSED.values()) == list(range(len(FUSED)))


def test_layers_know_every_function_that_says_so_and_its_aliases():
    known = {name for name, row in ELEMENTWISE.items() if row.layer}
    assert set(activation.NAMES) == known | {a for row in ELEMENTWISE.values() for a in row.aliases} | NO_ROW
    for name, row in ELEMENTWISE.items():
        for alias in row.aliases:
            assert activation.named(alias) is getattr(ops, name)
            assert nn.Dense(1, activation=alias)._function is getattr(ops, name)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_public_function_has_the_text_and_the_parameters_of_its_row(name):
    function = getattr(ops, name)
    row = ELEMENTWISE[name]
    assert function.__doc__.startswith("Return ")
    assert list(inspect.signature(function).parameters)[1:] == [*row.parameters, *row.instead]
    many = [0.5] * (len(row.parameters) + len(row.instead) + 1)
    twice = [(many[:1], dict.fromkeys(row.parameters, 0.5))] if row.parameters else []
    for args, options in [((), {"no_such_option": 1}), (many, {}), *twice]:
        with pytest.raises(TypeError):
            function([1.0], *args, **options)


def test_every_function_is_written_in_numpy(everything, tmp_path):
    model, x, expected = everything
    to_numpy(model, tmp_path / "net.py", input_shape=x.shape[1:])
    space: dict = {}
    exec(compile((tmp_path / "net.py").read_text(), "net.py", "exec"), space)
    found = space["predict"](x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_every_function_is_written_in_c(everything, tmp_path):
    model, x, expected = everything
    to_c(model, tmp_path / "net.c", input_shape=x.shape[1:])
    library = tmp_path / "net.so"
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
    subprocess.run([COMPILER, *flags, tmp_path / "net.c", "-o", library, "-lm"], check=True)
    predict = ctypes.CDLL(str(library)).net_predict
    for row, wanted in zip(x, expected, strict=True):
        y, work = np.zeros(len(wanted), np.float32), np.zeros(4096, np.float32)
        given = np.ascontiguousarray(row)
        assert predict(*(ctypes.c_void_p(a.ctypes.data) for a in (given, y, work))) == 0
        np.testing.assert_allclose(y, wanted, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("opset", [13, 14, 18, 20])
def test_every_function_is_written_and_read_in_onnx(everything, tmp_path, opset):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    model, x, expected = everything
    path = tmp_path / "net.onnx"
    pynn.onnx.export(model, path, input_shape=x.shape[1:], opset=opset)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=4e-6)
    read = pynn.onnx.load(path).predict(x)
    np.testing.assert_allclose(read, expected, rtol=2e-6, atol=4e-6)


def test_operators_of_onnx_are_read_as_the_function_that_writes_them():
    onnx = pytest.importorskip("onnx")
    from pynn.onnx.operators import OPERATORS

    for row in ELEMENTWISE.values():
        if row.onnx.op:
            assert row.onnx.op in OPERATORS
            assert onnx.defs.get_schema(row.onnx.op).since_version >= 1
            assert row.onnx.since <= 13 or row.onnx.compose is not None, "there are files for older operator sets"


@pytest.mark.parametrize("name", [name for name in FUSED if name != "linear"])
def test_a_fused_function_is_the_function_to_the_bit(name, rng):
    x, w, b = (rng.standard_normal(s).astype(np.float32) * 2 for s in ((9, 20), (20, 37), 37))
    image, kernel = (rng.standard_normal(s).astype(np.float32) for s in ((2, 7, 9, 3), (3, 3, 3, 21)))
    own = getattr(ops, name)
    for isa in _core.isa_available():
        with config.use_isa(isa), pynn.no_grad():
            assert np.array_equal(ops.dense(x, w, b, name).numpy(), own(ops.dense(x, w, b)).numpy())
            assert np.array_equal(
                ops.conv2d(image, kernel, activation=name).numpy(), own(ops.conv2d(image, kernel)).numpy()
            )


@pytest.mark.parametrize("name", [name for name in FUSED if name != "linear"])
def test_a_fused_function_has_the_gradient_of_the_function(name, rng):
    operands = {
        ops.dense: [rng.standard_normal(s) * 2 for s in ((4, 5), (5, 6), (6,))],
        ops.conv2d: [rng.standard_normal(s) for s in ((2, 5, 4, 3), (2, 3, 3, 4), (4,))],
    }
    for f, arrays in operands.items():
        results = []
        for compute in (lambda *xs, f=f: f(*xs, activation=name), lambda *xs, f=f: getattr(ops, name)(f(*xs))):
            leaves = [pynn.tensor(a, requires_grad=True) for a in arrays]
            compute(*leaves).sum().backward()
            results.append([leaf.grad.numpy() for leaf in leaves])
        for one, other in zip(*results, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_layers_fuse_what_kernels_fuse(rng):
    x = rng.standard_normal((3, 4)).astype(np.float32)
    for name in FUSED:
        model = nn.Sequential([nn.Input((4,)), nn.Dense(5, activation=name)], seed=1)
        plain = nn.Sequential([nn.Input((4,)), nn.Dense(5), nn.Activation(name)], seed=1)
        assert np.array_equal(model.predict(x), plain.predict(x))
        histories = []
        for m in (model, plain):
            m.compile("sgd", "mse", seed=0)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                histories.append(m.fit(x, np.ones((3, 5), "float32"), epochs=2, verbose=0).history["loss"])
        assert histories[0] == pytest.approx(histories[1], rel=1e-6)


@pytest.mark.parametrize("name", [name for name, row in ELEMENTWISE.items() if row.card.smooth_vjp or row.card.vjp])
def test_second_derivatives_go_through_the_slope(name):
    row = ELEMENTWISE[name]
    x = np.abs(POINTS[4:8]).astype(np.float64)

    def slope(at):
        return pynn.grad(lambda t: called(row, t).sum())(at)

    second = pynn.grad(lambda t: slope(t).sum())(pynn.tensor(x)).numpy() if name not in ("neg",) else np.zeros(4)
    h = 1e-5
    differences = [(slope(pynn.tensor(x + s * h)).numpy()) for s in (1, -1)]
    np.testing.assert_allclose(second, (differences[0] - differences[1]) / (2 * h), rtol=1e-5, atol=1e-7)


def test_parameters_are_checked_by_name():
    for wrong in (-1.0, math.nan, math.inf, "0.1"):
        with pytest.raises(ValueError, match=r"\[leaky_relu\] expected slope to be a finite number"):
            ops.leaky_relu([1.0], slope=wrong)
    assert ops.leaky_relu([-1.0], np.float32(0.5)).item() == -0.5
    with pytest.raises(TypeError):
        ops.clip([1.0])
    with pytest.raises(TypeError, match=r"\[elu\] expected the options \['alpha'\]"):
        ELEMENTWISE["elu"].chosen({"beta": 1})
    assert ELEMENTWISE["gelu"].chosen({"approximate": True})[0] is ELEMENTWISE["gelu_tanh"]


def test_the_text_in_numpy_stands_alone():
    source = ELEMENTWISE["selu"].numpy_source()
    assert "SELU" not in source
    assert ELEMENTWISE["tanh"].numpy_name == "np.tanh"
    assert ELEMENTWISE["selu"].numpy_name is None
    for row in ELEMENTWISE.values():
        space: dict = {"np": np}
        exec(row.numpy_source(), space)
        values = row.chosen(next(iter(row.card.samples(Rng()))).attrs)[1].values()
        x = np.abs(POINTS)
        assert np.array_equal(space[row.name](x, *values), row.body(x, *values))


def test_values_lie_within_the_bounds_that_a_row_states():
    x = np.concatenate([POINTS, 40 * POINTS, POINTS / 40]).astype(np.float64)
    for name, row in ELEMENTWISE.items():
        y = row.body(np.abs(x) if name in ("log", "sqrt") else x, **next(iter(row.card.samples(Rng()))).attrs)
        assert row.bounds[0] <= y.min() <= y.max() <= row.bounds[1]
    assert ELEMENTWISE["hardsigmoid"].bounds == (0.0, 1.0)


@pytest.mark.parametrize("ending", ["sigmoid", "hardsigmoid"])
def test_a_function_between_0_and_1_gives_probabilities(ending, rng):
    x, y = rng.standard_normal((8, 3)).astype(np.float32), (np.arange(8) % 2).astype(np.float32)[:, None]
    model = nn.Sequential([nn.Input((3,)), nn.Dense(1, activation=ending)], seed=0)
    model.compile("sgd", "binary_cross_entropy")
    p = np.clip(model.predict(x), 1e-7, 1 - 1e-7)
    found = model.evaluate(x, y, verbose=0)
    found = found["loss"] if isinstance(found, dict) else found
    assert found == pytest.approx(-np.mean(y * np.log(p) + (1 - y) * np.log1p(-p)), rel=1e-3)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_what_is_written_into_exported_files_is_code_alone(name):
    source = ELEMENTWISE[name].numpy_source()
    [function] = ast.parse(source).body
    assert ast.get_docstring(function) is None
    assert not function.decorator_list
    assert function.returns is None
