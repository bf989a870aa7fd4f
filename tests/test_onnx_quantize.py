"""Networks of bytes made of trained ones: what is computed, where it goes, and what is refused."""

import shutil

import numpy as np
import pytest

import pynn
import pynn.export
import pynn.onnx
from pynn import nn
from pynn.errors import DataError, DTypeError, ShapeError
from pynn.export.web import web_data

onnx = pytest.importorskip("onnx")  # an extra
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import helper  # noqa: E402
from test_export_c import compiled, csv, run  # noqa: E402
from test_onnx_parts import exported, load, model, port, saved  # noqa: E402


def dense(*units, inputs=40):
    layers = [nn.Dense(n, activation="relu") for n in units]
    return nn.Sequential([nn.Input((inputs,)), *layers, nn.Dense(5, activation="softmax")])


def images():
    layers = nn.Conv2D(12, 3, activation="relu"), nn.Conv2D(16, 3, padding="same", strides=2, activation="relu")
    return nn.Sequential([nn.Input((12, 11, 4)), *layers, nn.MaxPool2D(2), nn.Flatten(), nn.Dense(6)])


def operators(network):
    return [node.op_type for node in pynn.onnx.to_model(network).graph.node]


def test_the_sums_are_those_of_the_formula(rng):
    net = nn.Sequential([nn.Input((40,)), nn.Dense(7)])
    w, b = (p.numpy() for p in net.parameters())
    b[:] = rng.normal(size=7)
    net.set_weights([w, b])
    x = rng.normal(size=(100, 40)).astype("float32")
    found = pynn.onnx.quantize(net, x).predict(x, verbose=0)
    low, high = float(x.min()), float(x.max())
    s = np.float32((high - low) / 255)
    z = np.rint(-low / s)
    t = np.abs(w).max(0) / np.float32(127)
    a, v = np.clip(np.rint(x / s) + z, 0, 255), np.rint(w / t)
    np.testing.assert_allclose(found, s * t * ((a - z) @ v) + b, rtol=2e-6, atol=2e-6)
    exact = net.predict(x, verbose=0)
    assert 0 < np.abs(found - exact).max() < 0.05 * np.abs(exact).max()


def test_ends_are_those_of_the_calibration_data(rng):
    net = nn.Sequential([nn.Input((40,)), nn.Dense(7, use_bias=False)])
    x = rng.uniform(0, 1, (60, 40)).astype("float32")
    few = pynn.onnx.quantize(net, x, batch_size=7, max_batches=100)
    assert few.predict(3 * x, verbose=0).tobytes() != pynn.onnx.quantize(net, 3 * x).predict(3 * x, verbose=0).tobytes()
    clipped = few.predict(np.minimum(3 * x, x.max()), verbose=0)
    np.testing.assert_array_equal(few.predict(3 * x, verbose=0), clipped)
    first = pynn.onnx.quantize(net, np.concatenate([x, 3 * x]), batch_size=20, max_batches=3)
    np.testing.assert_array_equal(first.predict(x, verbose=0), few.predict(x, verbose=0))


each_net = pytest.mark.parametrize(("net", "shape"), [(dense(64, 33), (40,)), (images(), (12, 11, 4))])


@each_net
def test_it_goes_where_other_networks_go(net, shape, rng, tmp_path):
    before = [p.numpy().tobytes() for p in net.parameters()]
    x = rng.normal(size=(30, *shape)).astype("float32")
    small = pynn.onnx.quantize(net, x, convolutions=True)
    found, exact = small.predict(x, verbose=0), net.predict(x, verbose=0)
    assert np.abs(found - exact).max() < 0.05 * np.abs(exact).max()
    np.testing.assert_array_equal(saved(small, tmp_path).predict(x, verbose=0), found)
    np.testing.assert_allclose(exported(small, x)[0], found, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(small.predict_fn()(x), found)
    proto = pynn.onnx.to_model(small)
    np.testing.assert_array_equal(load(proto).predict(x, verbose=0), found)
    assert [p.numpy().tobytes() for p in net.parameters()] == before


@each_net
def test_what_follows_a_product_is_computed_with_it(net, shape, rng):
    """The bits are those of single steps, which run where factors may be trained, as gradients need them."""
    x = rng.normal(size=(30, *shape)).astype("float32")
    small = pynn.onnx.quantize(net, x, convolutions=True)
    products = [node for node in small._plan.nodes if node.ends]
    assert [len(node.ends) for node in products] == [2, 2, 2]
    assert len(small._plan.fused) == 3 * 3 + 2  # cast, factors and bias; two of them have a relu
    np.testing.assert_array_equal(small.predict(x, verbose=0), small(x).numpy())


def test_chains_of_other_programs(rng):
    """Factors that come first, one for all, for each row; sums that are taken twice; no bias; another activation."""
    w = {f"w{i}": rng.integers(-128, 128, (40, 6)).astype("int8") for i in range(6)}
    held = {
        **w, "each": rng.random(6).astype("float32"), "one": np.array([0.01], "float32"),
        "rows": rng.random((9, 1)).astype("float32"), "b": rng.normal(size=(1, 6)).astype("float32"),
    }  # fmt: skip
    nodes = []
    for i, (factor, then) in enumerate(
        [("each", "Relu"), ("one", "Relu"), ("rows", "Relu"), ("each", "Sigmoid"), ("each", None), ("each", "Relu")]
    ):
        nodes.append(helper.make_node("MatMulInteger", ["x", f"w{i}"], [f"p{i}"]))
        nodes.append(helper.make_node("Cast", [f"p{i}"], [f"r{i}"], to=1))
        nodes.append(helper.make_node("Mul", [factor, f"r{i}"] if i % 2 == 0 else [f"r{i}", factor], [f"s{i}"]))
        last = f"s{i}"
        if i != 4:
            nodes.append(helper.make_node("Add", ["b", last], [f"a{i}"]))
            last = f"a{i}"
        nodes.append(helper.make_node(then or "Identity", [last], [f"y{i}"]))
    nodes.append(helper.make_node("Cast", ["p5"], ["again"], to=1))
    outs = [port(name, shape=(9, 6)) for name in (*(f"y{i}" for i in range(6)), "again")]
    proto = model(nodes, [port("x", onnx.TensorProto.UINT8, ("N", 40))], outs, held)
    net, x = load(proto), rng.integers(0, 256, (9, 40)).astype("uint8")
    assert [len(node.ends) for node in net._plan.nodes if node.op == "MatMulInteger"] == [2, 2, 0, 2, 1, 0]
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})
    for found, eager, wanted in zip(net.run(x), net(x), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(found, eager.numpy())


def chain(op, w, columns, **attributes):
    """A product of bytes, a factor of one, a bias of 5 and relu."""
    behind = (1, 1) if op == "ConvInteger" else ()
    held = {"w": w, "f": np.ones((columns, *behind), "f"), "b": np.full((columns, *behind), 5, "f")}
    nodes = [
        helper.make_node(op, ["x", "w"], ["s"], **attributes), helper.make_node("Cast", ["s"], ["c"], to=1),
        helper.make_node("Mul", ["c", "f"], ["m"]), helper.make_node("Add", ["m", "b"], ["a"]),
        helper.make_node("Relu", ["a"], ["y"]),
    ]  # fmt: skip
    shape = ("N", w.shape[1] * attributes.get("group", 1), 9, 9) if behind else ("N", w.shape[0])
    outs = [port("y", shape=("N", columns, *(None,) * len(behind)))]
    return model(nodes, [port("x", onnx.TensorProto.UINT8, shape)], outs, held)


@pytest.mark.parametrize(("channels", "attributes"), [(32, {}), (4, {"group": 2}), (32, {"kernel_shape": [3, 3]})])
def test_relu_comes_after_the_bias_whatever_computes_the_sums(channels, attributes, rng, tmp_path):
    """Eager calls, exports and groups have convolutions of floats: exact sums, and no relu before the factor."""
    w = rng.integers(-128, 128, (6, channels, 3, 3)).astype("int8")
    proto = chain("ConvInteger", w, 6, **attributes)
    net, x = load(proto), rng.integers(0, 256, (2, channels * attributes.get("group", 1), 9, 9)).astype("uint8")
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})[0]
    assert 0.2 < np.mean(expected == 0) < 0.8
    np.testing.assert_array_equal(net.run(x)[0], expected)
    np.testing.assert_array_equal(net(x).numpy(), expected)


def test_exports_of_many_terms(rng, tmp_path):
    """Sums that float32 does not hold are float64 there, and floats again before the factor."""
    net = dense(32, inputs=2000)
    x = rng.normal(size=(20, 2000)).astype("float32")
    small = pynn.onnx.quantize(net, x)
    pynn.export.to_c(small, tmp_path / "net.c", main=True)
    assert "double" in (tmp_path / "net.c").read_text()


def test_pages_have_what_bytes_stand_for(rng):
    x = rng.normal(size=(20, 40)).astype("float32")
    names = str(web_data(pynn.onnx.quantize(dense(8), x))["programs"])
    assert "matmul" in names
    assert "byte" not in names


def test_who_is_wrong_is_named(rng):
    w = rng.integers(-9, 9, (40, 4)).astype("int8")
    nodes = [
        helper.make_node("MatMulInteger", ["x", "w"], ["s"]), helper.make_node("Cast", ["s"], ["c"], to=1),
        helper.make_node("Mul", ["c", "f"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"], name="adding"),
    ]  # fmt: skip
    held = {"w": w, "f": np.ones(4, "f"), "b": np.ones(3, "f")}
    ports = [port("x", onnx.TensorProto.UINT8, ("N", 40))]
    net = load(model(nodes, ports, [port("y", shape=("N", 4))], held))
    with pytest.raises(ShapeError, match="adding"):
        net.run(np.zeros((5, 40), "uint8"))


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler here")
@each_net
def test_c_has_the_same_integers(net, shape, rng, tmp_path):
    x = rng.normal(size=(30, *shape)).astype("float32")
    small = pynn.onnx.quantize(net, x, convolutions=True)
    pynn.export.to_c(small, tmp_path / "net.c", main=True)
    got = run(compiled(tmp_path / "net.c", "-O2"), text=csv(x))
    # One step of any product is hundreds of times as much as rounding.
    np.testing.assert_allclose(got, small.predict(x, verbose=0), rtol=1e-5, atol=1e-5)
    assert np.abs(got - net.predict(x, verbose=0)).max() > 1e-4


def test_files_are_a_quarter_of_the_size():
    net = dense(256, 256, inputs=256)
    small = pynn.onnx.quantize(net, np.ones((4, 256), "float32"))
    assert len(pynn.onnx.to_model(small).SerializeToString()) < 0.3 * len(pynn.onnx.to_model(net).SerializeToString())


def test_convolutions_are_asked_for(rng):
    x = rng.normal(size=(10, 12, 11, 4)).astype("float32")
    plain, all_of_them = (operators(pynn.onnx.quantize(images(), x, convolutions=flag)) for flag in (False, True))
    assert (plain.count("Conv"), plain.count("ConvInteger"), plain.count("MatMulInteger")) == (2, 0, 1)
    assert (all_of_them.count("Conv"), all_of_them.count("ConvInteger")) == (0, 2)


def test_batch_normalization_goes_into_weights(rng):
    first = [nn.Conv2D(8, 3, use_bias=False), nn.BatchNormalization(), nn.Activation("relu"), nn.Conv2D(6, 3)]
    rest = [nn.BatchNormalization(epsilon=0.1), nn.Flatten(), nn.Dense(12), nn.BatchNormalization(), nn.Dense(3)]
    net = nn.Sequential([nn.Input((9, 8, 4)), *first, *rest])
    net.set_weights([w + rng.uniform(0.1, 0.4, w.shape).astype("float32") for w in net.get_weights()])
    x = rng.normal(size=(40, 9, 8, 4)).astype("float32")
    exact = net.predict(x, verbose=0)
    small = pynn.onnx.quantize(net, x, convolutions=True)
    assert operators(net).count("BatchNormalization") == 3
    assert "BatchNormalization" not in operators(small)
    assert np.abs(small.predict(x, verbose=0) - exact).max() < 0.05 * np.abs(exact).max()


def test_batch_normalization_that_cannot_go_stays(rng):
    """What its product gives is taken by others too; its numbers are computed; they are not finite. One goes."""
    held = {
        "w": rng.normal(size=(40, 5)).astype("float32"), "one": np.ones(5, "f"), "zero": np.zeros(5, "f"),
        "low": np.full(5, -1, "f"),
    }  # fmt: skip
    norms = (
        ["p", "one", "zero", "zero", "one"],
        ["q", "t", "zero", "zero", "one"],
        ["r", "one", "zero", "zero", "low"],
    )
    nodes = [
        *(helper.make_node("Gemm", ["x", "w"], [name]) for name in "pqr"),
        helper.make_node("Gemm", ["x", "w", "one"], ["u"]),
        helper.make_node("ReduceMin", ["x"], ["m"], keepdims=0),
        helper.make_node("Add", ["m", "one"], ["t"]),
        *(helper.make_node("BatchNormalization", n, [f"y{n[0]}"]) for n in norms),
        helper.make_node("BatchNormalization", ["u", "one", "one", "zero", "one"], ["yu"], epsilon=3.0),
    ]
    outs = [port(name, shape=("N", 5)) for name in ("yp", "p", "yq", "yr", "yu")]
    net = load(model(nodes, [port("x", shape=("N", 40))], outs, held))
    x = rng.normal(size=(9, 40)).astype("float32")
    small = pynn.onnx.quantize(net, x)
    assert operators(small).count("BatchNormalization") == 3
    for found, exact in zip(small.run(x), net.run(x), strict=True):
        if np.isfinite(exact).all():
            assert np.abs(found - exact).max() < 0.05 * np.abs(exact).max()


def test_small_products_stay_as_they_are(rng):
    net = nn.Sequential([nn.Input((9, 9, 1)), nn.Conv2D(8, 3), nn.Conv2D(8, 3, groups=8), nn.Flatten(), nn.Dense(3)])
    names = operators(pynn.onnx.quantize(net, rng.normal(size=(4, 9, 9, 1)).astype("float32"), convolutions=True))
    assert (names.count("Conv"), names.count("ConvInteger"), names.count("MatMulInteger")) == (2, 0, 1)


def test_one_input_is_made_bytes_once(rng):
    taken = nn.Input((50,))
    net = nn.Model(taken, [nn.Dense(4)(taken), nn.Dense(3)(taken)])
    x = rng.normal(size=(20, 50)).astype("float32")
    small = pynn.onnx.quantize(net, x)
    assert operators(small).count("QuantizeLinear") == 1
    for found, exact in zip(small.predict(x, verbose=0), net.predict(x, verbose=0), strict=True):
        assert np.abs(found - exact).max() < 0.05 * np.abs(exact).max()


def test_several_inputs(rng):
    a, b = nn.Input((40,)), nn.Input((50,))
    net = nn.Model([a, b], nn.Dense(4)(nn.Concatenate()([nn.Dense(20)(a), nn.Dense(30)(b)])))
    xs = [rng.normal(size=(20, n)).astype("float32") for n in (40, 50)]
    found, exact = pynn.onnx.quantize(net, xs).predict(xs, verbose=0), net.predict(xs, verbose=0)
    assert np.abs(found - exact).max() < 0.08 * np.abs(exact).max()
    with pytest.raises(ShapeError, match="2 inputs"):
        pynn.onnx.quantize(net, xs[:1])


def test_images_of_bytes_are_divided_as_predict_does(rng):
    net = nn.Sequential([nn.Input((6, 6, 1)), nn.Flatten(), nn.Dense(4)])
    x = rng.integers(0, 256, (30, 6, 6, 1)).astype("uint8")
    small = pynn.onnx.quantize(net, x)
    exact = net.predict(x, verbose=0)
    assert np.abs(small.predict(x, verbose=0) - exact).max() < 0.05 * np.abs(exact).max()


def test_products_of_other_programs(rng):
    """Gemm with weights turned round, and MatMul of sequences with a bias of one number."""
    w, v = rng.normal(size=(8, 40)).astype("float32"), rng.normal(size=(40, 6)).astype("float32")
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1),
        helper.make_node("MatMul", ["s", "v"], ["p"]),
        helper.make_node("Gemm", ["x", "w"], ["twice"], transB=1, alpha=2.0),  # stays as it is
    ]
    ports = [port("x", shape=("N", 40)), port("s", shape=("N", 3, 40))]
    outs = [port("y", shape=("N", 8)), port("p", shape=("N", 3, 6)), port("twice", shape=("N", 8))]
    net = load(model(nodes, ports, outs, {"w": w, "v": v, "b": np.ones(1, "float32")}))
    x, s = rng.normal(size=(9, 40)).astype("float32"), rng.normal(size=(9, 3, 40)).astype("float32")
    small = pynn.onnx.quantize(net, [x, s])
    y, p, twice = small.run(x, s)
    for found, exact in ((y, x @ w.T + 1), (p, s @ v)):
        assert 0 < np.abs(found - exact).max() < 0.05 * np.abs(exact).max()
    np.testing.assert_allclose(twice, 2 * x @ w.T, rtol=1e-4, atol=1e-4)


def test_a_weight_of_zeros_and_an_input_of_zeros():
    net = nn.Sequential([nn.Input((40,)), nn.Dense(3)])
    w, b = (p.numpy() for p in net.parameters())
    w[:, 1] = 0
    net.set_weights([w, b + 1])
    x = np.zeros((4, 40), "float32")
    np.testing.assert_array_equal(pynn.onnx.quantize(net, x).predict(x, verbose=0), np.ones((4, 3), "float32"))


@pytest.mark.parametrize(
    ("net", "x", "error", "words"),
    [
        (nn.Sequential([nn.Input((4,)), nn.Dense(3)]), np.ones((2, 4), "f"), DataError, "32 terms"),
        (nn.Sequential([nn.Input((40,)), nn.Dense(3)]), np.ones((0, 40), "f"), ShapeError, "at least one"),
        (nn.Sequential([nn.Input((40,)), nn.Dense(3)]), np.full((2, 40), np.nan, "f"), DataError, "finite numbers"),
        (dense(64), np.full((2, 40), np.inf, "f"), DataError, "finite numbers"),
    ],
)
def test_what_cannot_be_done_is_said(net, x, error, words):
    with pytest.raises(error, match=words):
        pynn.onnx.quantize(net, x)


def test_weights_that_are_not_finite_are_named():
    net = nn.Sequential([nn.Input((40,)), nn.Dense(3, name="broken")])
    w, b = (p.numpy() for p in net.parameters())
    w[3, 1] = np.inf
    net.set_weights([w, b])
    with pytest.raises(DataError, match="broken"):
        pynn.onnx.quantize(net, np.ones((2, 40), "float32"))


def test_settings_are_checked():
    for wrong in ({"batch_size": 0}, {"max_batches": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            pynn.onnx.quantize(dense(8), np.ones((2, 40), "float32"), **wrong)


def test_double_precision_is_refused():
    net = nn.Sequential([nn.Input((40,)), nn.Dense(3)]).astype("float64")
    with pytest.raises(DataError, match="float32"):
        pynn.onnx.quantize(net, np.ones((2, 40)))


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential([nn.Input((9, 40)), nn.LSTM(36, return_sequences=True), nn.Dense(12)]),
        nn.Sequential([nn.Input((9, 40)), nn.LayerNormLSTM(36), nn.Dense(4)]),
        nn.Sequential([nn.Input((9, 40)), nn.Bidirectional(nn.GRU(33, return_sequences=True)), nn.Dense(12)]),
    ],
)
def test_sequences(net, rng):
    """Whose inner values have the steps first, and whose loops read weights from around them."""
    x = rng.normal(size=(30, 9, 40)).astype("float32")
    found, exact = pynn.onnx.quantize(net, x).predict(x, verbose=0), net.predict(x, verbose=0)
    assert 0 < np.abs(found - exact).max() < 0.05 * np.abs(exact).max()


def test_branches_that_values_choose(rng):
    def branch(name, op, other):
        return helper.make_graph([helper.make_node(op, ["x", other], ["o"])], name, [], [port("o", shape=None)])

    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["c"]),
        helper.make_node(
            "If", ["c"], ["y"], then_branch=branch("t", "MatMul", "w"), else_branch=branch("e", "Add", "b")
        ),
        helper.make_node("MatMul", ["x", "v"], ["z"]),
        helper.make_node("Add", ["y", "z"], ["q"]),
    ]
    w, b, v = (rng.normal(size=shape).astype("float32") for shape in ((40, 40), 40, (40, 40)))
    known = {"w": w, "b": b, "v": v, "zero": np.float32(0)}
    net = load(model(nodes, [port("x", shape=("N", 40))], [port("q", shape=("N", 40))], known))
    x = rng.normal(size=(30, 40)).astype("float32")
    small = pynn.onnx.quantize(net, x)
    for part in (x, -x):
        (found,), (exact,) = small.run(part), net.run(part)
        assert 0 < np.abs(found - exact).max() < 0.05 * np.abs(exact).max()


def test_images_for_a_model_that_takes_bytes(rng):
    net = nn.Sequential([nn.Input((6, 6, 3)), nn.Rescaling(1 / 127.5, -1), nn.Flatten(), nn.Dense(40)])
    x = rng.integers(0, 256, (50, 6, 6, 3)).astype("uint8")
    with pytest.raises(DTypeError, match="float32"):
        pynn.onnx.quantize(net, x)
    floats = x.astype("float32")
    exact = net.predict(x, verbose=0)
    assert np.abs(pynn.onnx.quantize(net, floats).predict(floats, verbose=0) - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (np.ones((6, 41)), ShapeError, r"\(40,\)"),
        (np.ones(6), ShapeError, r"\(40,\)"),
        (np.ones((6, 2, 40)), ShapeError, r"\(40,\)"),
        (np.ones((6, 40)) * 1j, DTypeError, "numbers"),
        (np.array([["a"] * 40] * 3), DTypeError, "numbers"),
        ([[1, 2], [3]], ShapeError, "one shape"),
        (np.full((6, 40), 1e300), DataError, "finite"),
    ],
)
def test_calibration_data_are_checked(data, error, words):
    with pytest.raises(error, match=words):
        pynn.onnx.quantize(nn.Sequential([nn.Input((40,)), nn.Dense(3)]), data)


def test_inputs_of_different_lengths():
    a, b = nn.Input((40,)), nn.Input((40,))
    net = nn.Model([a, b], [nn.Dense(3)(a), nn.Dense(3)(b)])
    with pytest.raises(ShapeError, match="as many samples"):
        pynn.onnx.quantize(net, [np.ones((10, 40)), np.ones((20, 40))])
    with pytest.raises(ShapeError, match="shape"):
        pynn.onnx.quantize(net, [np.ones((10, 40)), 3.0])


def test_nan_stays_in_its_sample(rng):
    net = dense(40)
    x = rng.normal(size=(50, 40)).astype("float32")
    small, gone = pynn.onnx.quantize(net, x), x.copy()
    gone[1] = np.nan
    found = small.predict(gone, verbose=0)
    np.testing.assert_array_equal(np.delete(found, 1, 0), np.delete(small.predict(x, verbose=0), 1, 0))
