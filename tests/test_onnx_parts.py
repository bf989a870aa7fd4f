"""What stands in ONNX files beside chains of tensors: branches and loops, bytes, texts, half precision, open sizes."""

import importlib.util

import numpy as np
import onnx_chains
import pytest

import pynn
import pynn.export
import pynn.onnx
from pynn import nn
from pynn.errors import DataError, ShapeError

onnx = pytest.importorskip("onnx")  # an extra
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

FLOAT, INT64, BOOL, UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.UINT8
STRING = TensorProto.STRING


def port(name, kind=FLOAT, shape=("N", 3)):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, inputs, outputs, known=None, opset=18, ml=None, name="g"):
    arrays = [numpy_helper.from_array(np.asarray(a), k) for k, a in (known or {}).items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, arrays)
    sets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    sets += [helper.make_opsetid("ai.onnx.ml", ml)] if ml else []
    return helper.make_model(graph, opset_imports=sets, ir_version=8)


def load(proto, **options):
    return pynn.onnx.loads(proto.SerializeToString(), **options)


def reference(proto, *xs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # its LSTMs of bytes give other numbers with more
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip([i.name for i in session.get_inputs()], xs, strict=True)))


def assert_same(proto, *xs, rtol=1e-5, atol=1e-6, **options):
    network = load(proto, **options)
    expected = reference(proto, *xs)
    for found in (network.run(*xs), network.run(*xs)):  # prepared, and run once more
        for e, f in zip(expected, found, strict=True):
            if isinstance(e, list):
                assert [set(row) for row in f] == [set(row) for row in e]
                e, f = ([[row[key] for key in e[0]] for row in rows] for rows in (e, f))
            elif e.dtype == object:
                assert e.tolist() == f.tolist()
                continue
            else:
                assert (f.shape, f.dtype) == (e.shape, e.dtype)
            np.testing.assert_allclose(f, e, rtol=rtol, atol=atol)
    return network


def saved(network, tmp_path):
    network.save(tmp_path / "m.pynn")
    return pynn.load(tmp_path / "m.pynn")


def exported(network, *xs, **options):
    proto = pynn.onnx.to_model(network, **options)
    return reference(proto, *xs)


# Branches and loops


def branching(condition):
    """An If whose branches use the same names, weights of their own and values from around them."""

    def branch(name, op, weight):
        nodes = [helper.make_node("MatMul", ["x", "w"], ["inner"]), helper.make_node(op, ["inner", "shift"], ["out"])]
        return helper.make_graph(nodes, name, [], [port("out", shape=None)], [numpy_helper.from_array(weight, "w")])

    rng = np.random.default_rng(0)
    one, two = (rng.normal(size=(3, 4)).astype("float32") for _ in range(2))
    nodes, inputs, known = [], [port("x")], {"shift": np.arange(4, dtype="float32")}
    if condition == "known":
        known["c"] = np.array(True)
    elif condition == "value":
        inputs.append(port("rate", INT64, ()))
        known["of"] = np.array(16000, "int64")
        nodes.append(helper.make_node("Equal", ["rate", "of"], ["c"]))
    else:
        nodes += [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s", "at"], ["n"])]
        nodes.append(helper.make_node("Greater", ["n", "least"], ["c"]))
        known |= {"at": np.array(0, "int64"), "least": np.array(2, "int64")}
    nodes.append(
        helper.make_node("If", ["c"], ["y"], then_branch=branch("t", "Add", one), else_branch=branch("e", "Sub", two))
    )
    return model(nodes, inputs, [port("y", shape=("N", 4))], known)


@pytest.mark.parametrize("rows", [2, 3])
def test_a_branch_that_shapes_choose(rows, rng, tmp_path):
    x = rng.normal(size=(rows, 3)).astype("float32")
    network = assert_same(branching("shape"), x)
    assert not network._by_values
    np.testing.assert_array_equal(saved(network, tmp_path).run(x)[0], network.run(x)[0])
    np.testing.assert_allclose(exported(network, x)[0], network.run(x)[0], rtol=1e-6)


def test_a_known_branch_is_taken_when_the_file_is_read(rng):
    x = rng.normal(size=(2, 3)).astype("float32")
    network = assert_same(branching("known"), x)
    assert {node.op for node in network._plan.nodes} <= {"MatMul", "Add", "Identity"}
    assert [path.split("/")[-1] for path, _ in network.named_parameters()] == ["w", "shift"]


@pytest.mark.parametrize("rate", [16000, 8000])
def test_a_branch_that_an_input_chooses(rate, rng):
    x, rate = rng.normal(size=(2, 3)).astype("float32"), np.array(rate, "int64")
    network = assert_same(branching("value"), x, rate)
    assert network._by_values
    fixed = load(branching("value"), inputs={"rate": rate})
    assert fixed.input_names == ["x"]
    np.testing.assert_array_equal(fixed.predict(x), network.run(x, rate)[0])


def test_inputs_that_never_change_are_checked():
    with pytest.raises(DataError, match=r"unknown input.*'rat'.*did you mean 'rate'"):
        load(branching("value"), inputs={"rat": 1})
    with pytest.raises(ShapeError, match=r"'rate' of shape \(\)\. Received: \(2,\)"):
        load(branching("value"), inputs={"rate": [1, 2]})


def test_what_is_known_inside_a_branch_is_computed_when_the_file_is_read(rng):
    """The gates of an LSTM in a branch are put in order there, as PyTorch writes it."""
    out = [port("out", shape=None)]
    w, r = rng.normal(size=(12, 4)).astype("float32"), rng.normal(size=(1, 12, 3)).astype("float32")
    gates = [helper.make_node("Split", ["w"], ["i", "f", "g", "o"], axis=0)]
    gates += [
        helper.make_node("Concat", ["i", "o", "f", "g"], ["all"], axis=0),
        helper.make_node("Unsqueeze", ["all", "at"], ["gates"]),
    ]
    lstm = helper.make_node("LSTM", ["x", "gates", "r"], ["out"], hidden_size=3)
    one = helper.make_graph([*gates, lstm], "t", [], out, [numpy_helper.from_array(np.array([0]), "at")])
    other = helper.make_graph([helper.make_node("Unsqueeze", ["x", "zero"], ["out"])], "e", [], out)
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Size", ["s"], ["n"]),
        helper.make_node("Equal", ["n", "three"], ["c"]),
        helper.make_node("If", ["c"], ["y"], then_branch=one, else_branch=other),
    ]  # fmt: skip
    known = {"w": w, "r": r, "three": np.array(3), "zero": np.array([0])}
    proto = model(nodes, [port("x", shape=(5, "N", 4))], [port("y", shape=None)], known, 17)
    network = assert_same(proto, rng.normal(size=(5, 2, 4)).astype("float32"))
    (branch,) = [node for node in network._plan.nodes if node.op == "If"]
    assert [node.op for node in branch.attributes["then_branch"].nodes] == ["LSTM"]
    assert all("laid" in weight for weight in network._plan.weights)


def test_weights_of_branches_are_trained(rng):
    network = load(branching("known"))
    network.compile(optimizer="sgd", loss="mse")
    before = network.parameters()[0].numpy().copy()
    network.fit(rng.normal(size=(8, 3)).astype("float32"), np.zeros((8, 4), "float32"), epochs=1, verbose=0)
    assert not np.array_equal(network.parameters()[0].numpy(), before)


def test_what_a_branch_lacks_is_named():
    other = helper.make_graph([helper.make_node("Made", ["x"], ["out"])], "e", [], [port("out", shape=None)])
    good = helper.make_graph([helper.make_node("Relu", ["x"], ["out"])], "t", [], [port("out", shape=None)])
    node = helper.make_node("If", ["c"], ["y"], then_branch=good, else_branch=other)
    inputs = [port("x"), port("c", BOOL, ())]
    with pytest.raises(DataError, match=r"node Made.*unknown operator"):
        load(model([node], inputs, [port("y")]))
    taken = model([node], inputs[:1], [port("y")], {"c": np.array(True)})
    np.testing.assert_array_equal(load(taken).run(np.ones((1, 3), "float32"))[0], np.ones((1, 3)))


def test_scan_goes_both_ways_along_any_axis(rng, tmp_path):
    body = helper.make_graph(
        [
            helper.make_node("Add", ["state", "now"], ["sum"]),
            helper.make_node("Mul", ["sum", "rate"], ["next"]),
            helper.make_node("Identity", ["next"], ["seen"]),
        ],
        "body", [port("state", shape=("N",)), port("now", shape=("N",))],
        [port("next", shape=("N",)), port("seen", shape=("N",))],
    )  # fmt: skip
    node = helper.make_node(
        "Scan", ["s", "x"], ["last", "y"], body=body, num_scan_inputs=1, scan_input_axes=[1],
        scan_input_directions=[1], scan_output_axes=[-1], scan_output_directions=[1],
    )  # fmt: skip
    outputs = [port("last", shape=("N",)), port("y", shape=("N", 5))]
    proto = model([node], [port("s", shape=("N",)), port("x", shape=("N", 5))], outputs, {"rate": np.float32(0.5)})
    xs = [rng.normal(size=shape).astype("float32") for shape in ((2,), (2, 5))]
    network = assert_same(proto, *xs)
    for a, b in zip(saved(network, tmp_path).run(*xs), network.run(*xs), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_loops_that_pynn_writes_are_read_back(reverse, rng):
    made = nn.Sequential(
        [nn.Input((5, 4)), nn.LayerNormLSTM(3, return_sequences=True, go_backwards=reverse), nn.JordanRNN(3, 2)], seed=1
    )
    x = rng.normal(size=(2, 5, 4)).astype("float32")
    network = load(pynn.onnx.to_model(made))
    np.testing.assert_allclose(network.predict(x), made.predict(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", ["ScatterND", "GatherND", "ScatterElements", "GatherElements"])
@pytest.mark.parametrize("prepared", [False, True])
def test_indices_beyond_the_axis_are_refused(op, prepared):
    shape = (2, 1) if op.endswith("ND") else (2, 4)
    inputs = [port("x", shape=(2, 4)), port("i", INT64, shape)]
    names = ["x", "i"]
    if op.startswith("Scatter"):
        inputs.append(port("u", shape=(2, 4)))
        names.append("u")
    network = load(model([helper.make_node(op, names, ["y"])], inputs, [port("y", shape=None)]))
    arrays = [np.ones((2, 4), "float32"), np.zeros(shape, "int64"), np.ones((2, 4), "float32")][: len(names)]
    if prepared:
        network.run(*arrays)
    for bad in (2, -3, 2**40):
        arrays[1] = np.full(shape, bad)
        with pytest.raises((DataError, IndexError), match="outside"):
            network.run(*arrays)


# Numbers of eight bits


def quantized(rng, terms, columns, kind="int8"):
    # Signed weights of 7 bits: onnxruntime's products saturate beyond on x86 without VNNI.
    low, high = {"int8": (-64, 64), "uint8": (0, 128)}[kind]
    w = rng.integers(low if terms < 3000 else high - 14, high, (terms, columns)).astype(kind)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("MatMulInteger", ["q", "w", "z", "wz"], ["m"]),
    ]
    known = {"w": w, "wz": np.array(3, kind)}
    return model(nodes, [port("x", shape=("N", terms))], [port("m", TensorProto.INT32, ("N", columns))], known)


@pytest.mark.parametrize(("terms", "kind"), [(40, "int8"), (40, "uint8"), (3000, "int8")])
def test_products_of_bytes_are_exact(terms, kind, rng, tmp_path):
    """3,000 terms of this size leave what float32 holds exactly."""
    x = rng.uniform(0.5, 1, (4, terms)).astype("float32")
    network = assert_same(quantized(rng, terms, 7, kind), x, rtol=0, atol=0)
    assert np.abs(network.run(x)[0]).max() > 2**24 or terms < 3000
    np.testing.assert_array_equal(saved(network, tmp_path).run(x)[0], network.run(x)[0])
    np.testing.assert_array_equal(exported(network, x)[0], network.run(x)[0])


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("axis", [None, 1])
def test_numbers_that_are_quantized_and_back(kind, axis, rng):
    many = axis is not None
    scale = np.float32([0.1, 0.2, 0.05]) if many else np.float32(0.1)
    zero = np.array([3, 5, 7] if many else 4, kind)
    settings = {"axis": 1} if many else {}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **settings),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **settings),
    ]
    numbers = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    proto = model(nodes, [port("x")], [port("q", numbers), port("y")], {"s": scale, "z": zero})
    assert_same(proto, (rng.normal(size=(5, 3)) * 20).astype("float32"))


@pytest.mark.parametrize(
    ("kind", "low", "zero"), [("int8", -128, []), ("uint8", 0, [200]), ("uint8", 0, [9, 0, 7, 255])]
)
def test_images_of_bytes(kind, low, zero, rng):
    x = rng.integers(0, 256, (2, 3, 6, 5)).astype("uint8")
    w = rng.integers(low, low + 256, (4, 3, 3, 2)).astype(kind)
    node = helper.make_node("ConvInteger", ["x", "w", "xz", *(["wz"] if zero else [])], ["y"], pads=[1, 0, 1, 1])
    outputs = [port("y", TensorProto.INT32, ("N", 4, 6, 5))]
    proto = model([node], [port("x", UINT8, x.shape)], outputs, {"w": w, "xz": np.uint8(7)})
    if zero:
        proto.graph.initializer.append(
            numpy_helper.from_array(np.array(zero if len(zero) > 1 else zero[0], kind), "wz")
        )
    if len(zero) < 2:  # onnxruntime has one for all
        assert_same(proto, x, rtol=0, atol=0)
        return
    centred = w.astype("int64") - np.array(zero)[:, None, None, None]
    wide = np.pad(x.astype("int64") - 7, ((0, 0), (0, 0), (1, 1), (0, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(wide, (3, 2), (2, 3))
    np.testing.assert_array_equal(load(proto).run(x)[0], np.einsum("nchwij,ocij->nohw", windows, centred))


@pytest.mark.parametrize("padding", [0, 2])
def test_images_of_one_column(padding, rng):
    w = rng.normal(size=(4, 3, 5, 1)).astype("float32")
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 1], dilations=[2, 1], pads=[padding, 0, 1, 0])
    proto = model([node], [port("x", shape=("N", 3, 20, 1))], [port("y", shape=("N", 4, None, 1))], {"w": w})
    assert_same(proto, rng.normal(size=(2, 3, 20, 1)).astype("float32"))


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("more", [False, True], ids=["", "more"])
def test_recurrent_weights_are_kept_as_loops_want_them(op, direction, more, rng, tmp_path):
    gates, count, units = {"LSTM": 4, "GRU": 3, "RNN": 1}[op], 1 + (direction == "bidirectional"), 3
    sizes = {"w": (gates * units, 4), "r": (gates * units, units), "b": (2 * gates * units,), "p": (3 * units,)}
    known = {key: rng.normal(size=(count, *size)).astype("float32") for key, size in sizes.items()}
    inputs = ["x", "w", "r", "b", *(["", "", "", "p"] if more and op == "LSTM" else [])]
    settings = {"linear_before_reset": 1} if more and op == "GRU" else {}
    node = helper.make_node(op, inputs, ["y"], hidden_size=units, direction=direction, **settings)
    out = [port("y", shape=(5, count, "N", units))]
    proto = model([node], [port("x", shape=(5, "N", 4))], out, {k: a for k, a in known.items() if k in inputs})
    x = rng.normal(size=(5, 2, 4)).astype("float32")
    network = assert_same(proto, x)
    np.testing.assert_array_equal(saved(network, tmp_path).run(x)[0], network.run(x)[0])
    written = pynn.onnx.to_model(network, input_shape=(2, 4))
    tensors = {t.name: numpy_helper.to_array(t) for t in written.graph.initializer}
    np.testing.assert_array_equal(tensors["w"], known["w"])
    np.testing.assert_array_equal(tensors["r"], known["r"])
    assert set(network._weights) >= {"w" if count == 1 else "w/backward"}


# Half precision


def test_half_precision_is_computed_in_float32(rng):
    w = rng.normal(size=(3, 20)).astype("float16")
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["h", "w"], ["m"]),
        helper.make_node("Cast", ["m"], ["y"], to=FLOAT),
    ]
    outputs = [port("m", TensorProto.FLOAT16, ("N", 20)), port("y", shape=("N", 20))]
    proto = model(nodes, [port("x")], outputs, {"w": w})
    x = rng.normal(size=(4, 3)).astype("float32")
    network = assert_same(proto, x, rtol=5e-3, atol=5e-3)
    assert network.parameters()[0].dtype == np.float32
    one = load(proto, outputs=["y"])
    np.testing.assert_allclose(exported(one, x)[0], x @ w.astype("float32"), rtol=1e-5, atol=1e-5)


def test_numbers_of_half_precision_that_are_listed():
    listed = helper.make_tensor("w", TensorProto.FLOAT16, [2], [1.5, -2.0])
    upper = helper.make_tensor("b", TensorProto.BFLOAT16, [2], [3.0, -0.5])
    nodes = [helper.make_node("Cast", [k], [k + "f"], to=FLOAT) for k in "wb"] + [
        helper.make_node("Add", ["wf", "bf"], ["s"]), helper.make_node("Add", ["x", "s"], ["y"])
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "g", [port("x", shape=("N", 2))], [port("y", shape=("N", 2))], [listed, upper])
    network = load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))
    np.testing.assert_array_equal(network.run(np.zeros((1, 2), "float32"))[0], [[4.5, -2.5]])


# The domain of scikit-learn's networks


def classifier(rng, labels, **settings):
    w = rng.normal(size=(3, 4)).astype("float32")
    key = "classlabels_strings" if isinstance(labels[0], str) else "classlabels_ints"
    label = STRING if isinstance(labels[0], str) else INT64
    domain = {"domain": "ai.onnx.ml"}
    nodes = [
        helper.make_node("Scaler", ["x"], ["a"], offset=[1.0, 2.0, 3.0], scale=[0.5, 1.0, 2.0], **domain),
        helper.make_node("Normalizer", ["a"], ["b"], norm="L2", **domain),
        helper.make_node(
            "LinearClassifier", ["b"], ["label", "p"], coefficients=w.T.ravel(), intercepts=[0.1, 0.2, -0.3, 0.4],
            post_transform="SOFTMAX", **{key: labels}, **domain,
        ),
    ]  # fmt: skip
    zipped = "classlabels_strings" if label == STRING else "classlabels_int64s"
    nodes.append(helper.make_node("ZipMap", ["p"], ["rows"], **{zipped: labels}, **domain))
    kind = helper.make_map_type_proto(label, helper.make_tensor_type_proto(FLOAT, []))
    rows = helper.make_value_info("rows", helper.make_sequence_type_proto(kind))
    return model(nodes, [port("x")], [port("label", label, ("N",)), rows], ml=2)


@pytest.mark.parametrize("labels", [["a", "bc", "d", "é"], [3, 1, 7, 2]])
def test_labels_and_rows_of_probabilities(labels, rng, tmp_path):
    x = rng.normal(size=(6, 3)).astype("float32")
    network = assert_same(classifier(rng, labels), x)
    again = saved(network, tmp_path)
    assert again.run(x)[0].tolist() == network.run(x)[0].tolist()
    one = load(classifier(rng, labels), outputs=["rows"])
    assert one.predict(x).shape == (6, 4)
    assert exported(one, x)[0].shape == (6, 4)


def test_texts_are_looked_up_by_number(rng):
    nodes = [
        helper.make_node("ArgMax", ["x"], ["at"], axis=1),
        helper.make_node("ArrayFeatureExtractor", ["names", "at"], ["one"], domain="ai.onnx.ml"),
        helper.make_node("Reshape", ["one", "flat"], ["label"]),
        helper.make_node(
            "LabelEncoder", ["label"], ["number"], domain="ai.onnx.ml", keys_strings=["no", "yes", "maybe"],
            values_int64s=[5, 6, 7],
        ),
    ]  # fmt: skip
    known = {"names": np.array(["yes", "no", "never"], object), "flat": np.array([-1], "int64")}
    outputs = [port("label", STRING, ("N",)), port("number", INT64, ("N",))]
    assert_same(model(nodes, [port("x")], outputs, known, ml=2), rng.normal(size=(9, 3)).astype("float32"))


def test_texts_are_no_numbers():
    nodes = [
        helper.make_node("ArgMax", ["x"], ["at"], axis=1),
        helper.make_node("ArrayFeatureExtractor", ["names", "at"], ["one"], domain="ai.onnx.ml"),
        helper.make_node("Neg", ["one"], ["y"]),
    ]
    proto = model(nodes, [port("x")], [port("y", INT64, None)], {"names": np.array(["a", "b", "c"], object)}, ml=2)
    with pytest.raises(DataError, match=r"expected numbers\. Received: texts"):
        load(proto).run(np.ones((1, 3), "float32"))


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
def test_norms(norm, rng):
    node = helper.make_node("Normalizer", ["x"], ["y"], domain="ai.onnx.ml", norm=norm)
    x = np.abs(rng.normal(size=(4, 3))).astype("float32")
    x[1] = 0
    assert_same(model([node], [port("x")], [port("y")], ml=1), x)


@pytest.mark.parametrize("gap", [np.nan, -1.0])
@pytest.mark.parametrize("fill", [[7.0], [1.0, 2.0, 3.0]])
def test_gaps_are_filled(gap, fill, rng):
    x = rng.normal(size=(5, 3)).astype("float32")
    x[[0, 2, 4], [0, 1, 2]] = gap
    x[1, 1] = -1.0 if np.isnan(gap) else np.nan  # what stands for no gap here
    settings = {"imputed_value_floats": fill, "replaced_value_float": float(gap)}
    node = helper.make_node("Imputer", ["x"], ["y"], domain="ai.onnx.ml", **settings)
    assert_same(model([node], [port("x")], [port("y")], ml=1), x)


def test_gaps_among_integers_are_filled():
    x = np.array([[0, 1, 2], [2, 0, 0]])
    node = helper.make_node(
        "Imputer", ["x"], ["y"], domain="ai.onnx.ml", imputed_value_int64s=[7, 8, 9], replaced_value_int64=0
    )
    found = load(model([node], [port("x", INT64)], [port("y", INT64)], ml=1)).run(x)[0]
    assert found.tolist() == [[7, 1, 2], [2, 8, 9]]


@pytest.mark.parametrize("after", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_one_score_for_two_classes(after, rng):
    node = helper.make_node(
        "LinearClassifier", ["x"], ["label", "p"], domain="ai.onnx.ml", coefficients=[0.5, -1.0, 0.3],
        intercepts=[0.2], classlabels_ints=[4, 9], post_transform=after,
    )  # fmt: skip
    x = rng.normal(size=(8, 3)).astype("float32")
    network = load(model([node], [port("x")], [port("label", INT64, ("N",)), port("p", shape=("N", 2))], ml=1))
    label, p = network.run(x)
    score = x @ np.float32([0.5, -1.0, 0.3]) + np.float32(0.2)
    assert label.tolist() == [9 if s > 0 else 4 for s in score]
    assert p.shape == (8, 2)
    if after == "LOGISTIC":
        np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-score)), rtol=1e-5)
    assert ((p[:, 1] > p[:, 0]) == (score > 0)).all()


# Sets of operators, sizes, folders


def relu(shape, sets=(13,), nodes=None):
    graph = helper.make_graph(
        nodes or [helper.make_node("Relu", ["x"], ["y"])], "g", [port("x", shape=shape)], [port("y", shape=None)]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", v) for v in sets], ir_version=8)


def test_a_size_of_minus_one_is_open():
    network = load(relu((-1, 3, -1)))
    assert network.predict(-np.ones((2, 3, 5), "float32")).shape == (2, 3, 5)
    with pytest.raises(ShapeError, match=r"\(None, 3, None\)"):
        network.run(np.ones((2, 4, 5), "float32"))


def test_a_set_of_operators_may_be_listed_twice():
    assert load(relu((1, 3), (17, 17))).opset == 17
    with pytest.raises(DataError, match=r"one operator set of ONNX. Received: \[13, 17\]"):
        load(relu((1, 3), (17, 13)))


@pytest.mark.parametrize("opset", [7, 8, 9, 12])
def test_old_sets_are_written_again(opset, rng):
    w = rng.normal(size=(3, 2)).astype("float32")
    proto = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], [port("x")], [port("y", shape=("N", 2))], {"w": w}, opset
    )
    network = load(proto)
    again = pynn.onnx.to_model(network)
    assert (again.opset_import[0].version, again.ir_version >= 4) == (opset, True)
    x = rng.normal(size=(2, 3)).astype("float32")
    np.testing.assert_allclose(reference(again, x)[0], x @ w, rtol=1e-5, atol=1e-6)


def test_refusals_say_how_to_do_without():
    nodes = [helper.make_node("Relu", ["x"], ["before"]), helper.make_node("Made", ["before"], ["y"])]
    with pytest.raises(DataError, match=r"unknown operator. Received: 'Made'.*load\(\.\.\., outputs=\['before'\]\)"):
        load(relu((1, 3), nodes=nodes))
    assert load(relu((1, 3), nodes=nodes), outputs=["before"]).output_names == ["before"]


def test_folders_are_named(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(DataError, match=r"a folder\. help: it is a TensorFlow SavedModel; python -m tf2onnx"):
        pynn.onnx.load(tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match=r"a folder\.$"):
        pynn.onnx.load(tmp_path / "other")
    (tmp_path / "other" / "m.onnx").write_bytes(b"")
    with pytest.raises(DataError, match=r"m\.onnx' lies in it"):
        pynn.onnx.load(tmp_path / "other")


def test_random_numbers_are_the_same_in_every_pass_but_not_in_training(rng):
    node = helper.make_node("RandomNormalLike", ["x"], ["y"], mean=1.0, scale=2.0)
    nodes = [node, helper.make_node("Mul", ["y", "w"], ["z"])]
    known = {"w": np.ones(500, "float32")}
    network = load(model(nodes, [port("x", shape=("N", 500))], [port("z", shape=("N", 500))], known))
    x = np.zeros((4, 500), "float32")
    (a,), (b,) = network.run(x), network.run(x)
    np.testing.assert_array_equal(a, b)
    assert abs(a.mean() - 1) < 0.2
    assert abs(a.std() - 2) < 0.2
    network.compile(optimizer="sgd", loss="mse")
    losses = network.fit(x, x, epochs=3, batch_size=4, verbose=0).history["loss"]
    assert len(set(losses)) == 3


# Imported networks elsewhere: summary, C and Python


def test_the_summary_shows_nodes_with_weights(capsys):
    made = nn.Sequential(
        [nn.Input((8, 8, 2)), nn.Conv2D(4, 3, activation="relu"), nn.Flatten(), nn.Dense(3, activation="softmax")],
        seed=1,
    )
    network = load(pynn.onnx.to_model(made))
    network.summary()
    text = capsys.readouterr().out
    rows = [line.split() for line in text.splitlines()]
    assert rows[2][0] == "input"
    assert [row[1] for row in rows[3:6]] == ["(Conv)", "(Gemm)", "others"]
    assert "(N, 4, 6, 6)" in text
    assert [line.split()[-5] for line in text.splitlines()[3:5]] == ["5184", "864"]
    made.summary()
    assert f"{made.count_parameters()} parameters" in capsys.readouterr().out
    assert f"{network.count_parameters()} parameters" in text


def test_the_summary_of_several_outputs(capsys, rng):
    load(classifier(rng, ["a", "b", "c", "d"])).summary()
    assert "0 parameters" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["batch norm", "pools 1d", "bidirectional concat", "padded largest", "embedding"])
def test_imported_networks_in_c_and_python(name, rng, tmp_path):
    model = onnx_chains.shaken(onnx_chains.CHAINS[name](), rng)
    network = load(pynn.onnx.to_model(model))
    (x,) = onnx_chains.samples(model, 3, rng)
    (path,) = pynn.export.to_numpy(network, tmp_path / "m.py")
    spec = importlib.util.spec_from_file_location("m", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    np.testing.assert_allclose(module.predict(x), network.predict(x), rtol=1e-4, atol=1e-5)
    assert len(pynn.export.to_c(network, tmp_path / "m.c")) == 2


@pytest.mark.parametrize("inner", [False, True], ids=["", "with what lies between"])
@pytest.mark.parametrize("act", ["Relu", "Sigmoid", "Tanh"])
def test_activations_come_with_products(act, inner, rng, tmp_path):
    known = {
        "w": rng.normal(size=(24, 20, 3, 3)).astype("float32"),
        "b": rng.normal(size=24).astype("float32"),
        "v": rng.normal(size=(24, 4)).astype("float32"),
        "c": rng.normal(size=4).astype("float32"),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["z"], pads=[1, 1, 1, 1]),
        helper.make_node(act, ["z"], ["a"]),
        helper.make_node("GlobalAveragePool", ["a"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "v", "c"], ["g"]),
        helper.make_node(act, ["g"], ["y"]),
    ]
    outputs = [port("y", shape=("N", 4)), *([port("z", shape=("N", 24, 12, 12))] if inner else [])]
    proto = model(nodes, [port("x", shape=("N", 20, 12, 12))], outputs, known)
    x = rng.normal(size=(2, 20, 12, 12)).astype("float32")
    network = assert_same(proto, x, rtol=1e-5, atol=2e-4)  # sums of 180 terms, 30 large
    for e, f in zip(reference(proto, x), saved(network, tmp_path).run(x), strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-5, atol=2e-4)
    if not inner:  # gradients too
        assert [node.op_type for node in pynn.onnx.to_model(network).graph.node].count(act) == 2
        t = pynn.tensor(x, requires_grad=True)
        network(t).sum().backward()
        step = np.zeros_like(x)
        step[0, 3, 5, 5] = 1e-2
        rise = (network.run(x + step)[0].sum() - network.run(x - step)[0].sum()) / 2e-2
        np.testing.assert_allclose(t.grad.numpy()[0, 3, 5, 5], rise, rtol=0.05, atol=1e-3)
