"""Quantized networks from ONNX files: products of bytes on every unit, as onnxruntime computes them."""

import importlib.util

import numpy as np
import pytest

import pynn
import pynn.export
import pynn.onnx
from pynn.core import _core
from pynn.core.tensor import Tensor
from pynn.errors import DataError, ShapeError
from pynn.ops.byte_products import byte_conv, byte_matmul, packed, static_bytes

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper
from test_onnx_parts import UINT8, assert_same, exported, load, model, port, reference, saved

UNITS, FEATURES = 20, 7


@pytest.fixture
def units():
    yield
    _core.set_byte_units(7)


@pytest.mark.parametrize("least", [0, 1, 3, 7])
@pytest.mark.parametrize("isa", pynn.config.ISA_NAMES)
@pytest.mark.parametrize(("m", "k", "n"), [(53, 131, 150), (16, 128, 16), (97, 320, 37), (33, 257, 64), (15, 64, 40)])
def test_every_unit_gives_the_same_integers(m, k, n, least, isa, rng, units):
    if isa not in _core.isa_available():
        pytest.skip(f"this machine has no {isa}")
    a = rng.integers(0, 256, (m, k)).astype("uint8")
    a[0], w = 255, rng.integers(-128, 128, (k, n)).astype("int8")
    w[:, 0], w[:, 1] = -128, 127  # the largest sums there are
    _core.set_byte_units(least)
    for small, zero in ((w, 0), ((w.astype("int16") + 128).astype("uint8"), 77)):
        table = packed(small, zero)
        assert table is not None
        with pynn.config.use_isa(isa):
            y = byte_matmul(Tensor.state(a), Tensor.state(np.array([9], "uint8")), *map(Tensor.state, table))
        np.testing.assert_array_equal(y.numpy(), (a.astype("int64") - 9) @ (small.astype("int64") - zero))


@pytest.mark.parametrize("least", [0, 1, 3, 7])
@pytest.mark.parametrize("isa", pynn.config.ISA_NAMES)
def test_patches_of_every_unit(least, isa, rng, units):
    """Those that are copied and those that are read where they lie; padded and not, with sums that shift."""
    if isa not in _core.isa_available():
        pytest.skip(f"this machine has no {isa}")
    _core.set_byte_units(least)
    for h, wide, c, o, kernel, pads in (
        (24, 26, 32, 70, (3, 3), (0, 0, 0, 0)), (9, 31, 36, 16, (3, 3), (1, 2, 0, 1)),
        (50, 5, 44, 20, (2, 3), (1, 1, 1, 1)),
        (3, 3, 64, 33, (3, 3), (0, 0, 0, 0)), (7, 20, 6, 18, (3, 2), (1, 1, 1, 1)), (10, 9, 5, 7, (3, 3), (1, 1, 1, 1)),
    ):  # fmt: skip
        x = rng.integers(0, 256, (2, h, wide, c)).astype("uint8")
        x[0] = 255
        for zero in (0, 77):
            w = rng.integers(0, 256, (kernel[0] * kernel[1] * c, o)) - (0 if zero else 128)
            table = [Tensor.state(part) for part in packed(w, zero)]
            with pynn.config.use_isa(isa):
                y = byte_conv(Tensor.state(x), Tensor.state(np.array([9], "uint8")), *table, kernel=kernel, pads=pads)
            whole = np.pad(x.astype("int64") - 9, ((0, 0), pads[:2], pads[2:], (0, 0)))
            seen = np.lib.stride_tricks.sliding_window_view(whole, kernel, axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
            np.testing.assert_array_equal(y.numpy(), seen.reshape(*seen.shape[:3], -1) @ (w - zero))


def test_scaled_sums_are_those_of_single_steps(rng):
    a, w = rng.integers(0, 256, (37, 70)).astype("uint8"), rng.integers(-128, 128, (70, 53)).astype("int8")
    scale, bias = rng.normal(size=(2, 53)).astype("float32")
    scale[:2], bias[2] = [0, np.inf], np.nan
    table = [Tensor.state(part) for part in packed(w)]
    whole = byte_matmul(Tensor.state(a), None, *table).numpy().astype("float32")
    with np.errstate(invalid="ignore"):
        plain = whole * scale
        for more, expected in (((), plain), ((Tensor.state(bias),), plain + bias)):
            found = byte_matmul(Tensor.state(a), None, *table, Tensor.state(scale), *more).numpy()
            np.testing.assert_array_equal(found, expected)
            found = byte_matmul(Tensor.state(a), None, *table, Tensor.state(scale), *more, relu=True).numpy()
            np.testing.assert_array_equal(found, np.where(expected < 0, 0, expected))


def test_given_steps(rng):
    x = np.concatenate([rng.normal(size=500) * 2, [np.inf, -np.inf, np.nan, 1e30, 0.005, 0.015]]).astype("float32")
    one = Tensor.state(np.array([0.01], "float32")), Tensor.state(np.array([100], "uint8"))
    y = np.rint(x / np.float32(0.01)) + 100
    expected = np.clip(np.where(np.isnan(y), 100, y), 0, 255)
    np.testing.assert_array_equal(static_bytes(Tensor.state(x), *one).numpy(), expected)


def test_weights_without_columns(rng):
    table = packed(np.zeros((40, 0), np.int8))
    y = byte_matmul(Tensor.state(np.ones((3, 40), "uint8")), None, *map(Tensor.state, table))
    assert y.shape == (3, 0)


def test_weights_that_are_no_bytes_are_not_packed(rng):
    assert packed(np.array([[-1, 200]])) is None
    assert packed(np.array([[256]])) is None
    assert packed(np.full((2**17, 1), 255, np.uint8)) is None  # sums might leave 32 bits


@pytest.mark.parametrize("kind", ["int8", "uint8"])
@pytest.mark.parametrize("shape", [(1, 9), (2, 3, 9)])
def test_products_of_signed_and_unsigned_rows(kind, shape, rng):
    low = np.iinfo(kind).min
    w = rng.integers(low, low + 256, (9, 21)).astype("int8" if kind == "int8" else "uint8")
    known = {"w": w, "az": np.array(3, kind), "wz": np.array(low + 100, kind)}
    node = helper.make_node("MatMulInteger", ["a", "w", "az", "wz"], ["y"])
    number = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    proto = model([node], [port("a", number, shape)], [port("y", TensorProto.INT32, (*shape[:-1], 21))], known)
    assert_same(proto, rng.integers(low, low + 256, shape).astype(kind), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("size", "settings"),
    [
        ((1, 1), {}),
        ((1, 1), {"strides": [2, 1]}),
        ((3, 3), {"pads": [1, 1, 1, 1]}),
        ((3, 2), {"strides": [2, 3], "dilations": [2, 1], "pads": [2, 0, 1, 1]}),
        ((5, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ],
)
def test_convolutions_of_bytes(size, settings, rng):
    x = rng.integers(0, 256, (2, 5, 11, 9)).astype("uint8")
    known = {"w": rng.integers(-128, 128, (70, 5, *size)).astype("int8"), "xz": np.uint8(130)}
    node = helper.make_node("ConvInteger", ["x", "w", "xz"], ["y"], **settings)
    proto = model([node], [port("x", UINT8, x.shape)], [port("y", TensorProto.INT32, (2, 70, None, None))], known)
    assert_same(proto, x, rtol=0, atol=0)


def test_convolutions_of_bytes_along_a_line(rng):
    x, w = rng.integers(0, 256, (2, 5, 30)).astype("uint8"), rng.integers(-128, 128, (8, 5, 3)).astype("int8")
    node = helper.make_node("ConvInteger", ["x", "w", "xz"], ["y"], strides=[2], pads=[1, 0])
    out = port("y", TensorProto.INT32, (2, 8, None))
    network = load(model([node], [port("x", UINT8, x.shape)], [out], {"w": w, "xz": np.uint8(9)}))
    wide = np.pad(x.astype("int64") - 9, ((0, 0), (0, 0), (1, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(wide, 3, 2)[:, :, ::2]
    np.testing.assert_array_equal(network.run(x)[0], np.einsum("nctk,ock->not", windows, w))


def lstm_of_bytes(rng, directions, each, zero, settings=None, lengths=False):
    """Return the model, and the model of an LSTM of the floats that its weights stand for."""
    known, floats = {}, {}
    # Signed weights of 7 bits: onnxruntime's products saturate beyond on x86 without VNNI.
    kind, low, high = ("uint8", 0, 256) if zero else ("int8", -64, 64)
    for key, terms in (("w", FEATURES), ("r", UNITS)):
        table = rng.integers(low, high, (directions, terms, 4 * UNITS)).astype(kind)
        shape = (directions, 4 * UNITS) if each else (directions,)
        scale, zeros = rng.uniform(0.001, 0.003, shape).astype("float32"), np.full(shape, zero, kind)
        known |= {key: table, f"{key}s": scale, f"{key}z": zeros}
        many = scale[:, None] if each else scale[:, None, None]
        floats[key] = np.ascontiguousarray(((table.astype("float32") - zero) * many).transpose(0, 2, 1))
    bias = {"b": rng.normal(size=(directions, 8 * UNITS)).astype("float32")}
    more = {"n": np.array([6, 4], "int32")} if lengths else {}
    settings = {"hidden_size": UNITS, "direction": "bidirectional" if directions == 2 else "forward"} | (settings or {})
    ends = "n" if lengths else ""
    bytes_ = helper.make_node(
        "DynamicQuantizeLSTM", ["x", "w", "r", "b", ends, "", "", "", "ws", "wz", "rs", "rz"], ["y", "h", "c"],
        domain="com.microsoft", **settings,
    )  # fmt: skip
    plain = helper.make_node("LSTM", ["x", "w", "r", "b", ends], ["y", "h", "c"], **settings)
    out = [port("y", shape=(6, directions, "N", UNITS)), *(port(k, shape=(directions, "N", UNITS)) for k in "hc")]
    inputs = [port("x", shape=(6, "N", FEATURES))]
    return (model([node], inputs, out, made | bias | more) for node, made in ((bytes_, known), (plain, floats)))


@pytest.mark.parametrize("zero", [0, 121])
@pytest.mark.parametrize("each", [False, True], ids=["one scale", "a scale for each gate"])
@pytest.mark.parametrize("directions", [1, 2])
def test_an_lstm_of_bytes_is_onnxruntimes(directions, each, zero, rng, tmp_path):
    proto, plain = lstm_of_bytes(rng, directions, each, zero)
    for n in (1, 3):
        x = rng.normal(size=(6, n, FEATURES)).astype("float32")
        network = load(proto)
        expected, found = reference(proto, x)[0], network.run(x)[0]
        floats = reference(plain, x)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found, floats, atol=0.05)
        assert np.abs(found - floats).max() > 1e-5
        np.testing.assert_array_equal(saved(network, tmp_path).run(x)[0], found)


def test_with_lengths_the_lstm_of_the_floats_runs(rng):
    x = rng.normal(size=(6, 2, FEATURES)).astype("float32")
    proto, plain = lstm_of_bytes(rng, 1, True, 0, lengths=True)
    for e, f in zip(reference(plain, x), load(proto).run(x), strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-4, atol=1e-6)


def test_onnx_files_keep_the_bytes_and_other_exports_have_the_floats(rng, tmp_path):
    protos = list(lstm_of_bytes(rng, 2, True, 0))
    for proto in protos:
        graph = proto.graph
        for node in graph.node:
            node.input[0], node.output[0] = "turned", "steps"
            del node.output[1:]
        turn = helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0, 2])
        nodes = [turn, *graph.node, helper.make_node("Transpose", ["steps"], ["y"], perm=[2, 0, 1, 3])]
        del graph.node[:], graph.output[1:]
        graph.node.extend(nodes)
        for value, shape in ((graph.input[0], ("N", 6, FEATURES)), (graph.output[0], ("N", 6, 2, UNITS))):
            value.CopyFrom(port(value.name, shape=shape))
    x = rng.normal(size=(3, 6, FEATURES)).astype("float32")
    network, floats = load(protos[0]), reference(protos[1], x)[0]
    found = network.predict(x)
    assert np.abs(found - floats).max() > 1e-5
    np.testing.assert_allclose(exported(network, x)[0], found, rtol=1e-5, atol=1e-6)
    (path,) = pynn.export.to_numpy(network, tmp_path / "m.py")
    spec = importlib.util.spec_from_file_location("m", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    np.testing.assert_allclose(module.predict(x), floats, rtol=1e-4, atol=1e-6)


def test_weights_that_do_not_fit_are_refused(rng):
    proto, _ = lstm_of_bytes(rng, 1, True, 0)
    for name, change, kind in (("ws", lambda a: a[:, :-1], DataError), ("r", lambda a: a[:, :-1], ShapeError)):
        broken = type(proto)()
        broken.CopyFrom(proto)
        for tensor in broken.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(
                    numpy_helper.from_array(np.ascontiguousarray(change(numpy_helper.to_array(tensor))), name)
                )
        with pytest.raises(kind, match="DynamicQuantizeLSTM"):
            load(broken).run(np.zeros((6, 1, FEATURES), "float32"))
