"""ONNX files read as networks: they compute, train, are saved and written again; what is wrong with them is said."""

import numpy as np
import pytest

import pynn
import pynn.onnx
from pynn import nn
from pynn.errors import DataError, DTypeError, ShapeError

onnx = pytest.importorskip("onnx")  # an extra

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

F = TensorProto.FLOAT


def model_of(nodes, inputs, outputs=("y",), initializers=None, opset=13, ir=None):
    """Return a model; inputs are {name: shape} of float32."""
    ports = [helper.make_tensor_value_info(n, F, s) for n, s in inputs.items()]
    ends = [helper.make_tensor_value_info(n, F, None) for n in outputs]
    known = [numpy_helper.from_array(np.asarray(a), n) for n, a in (initializers or {}).items()]
    graph = helper.make_graph(nodes, "g", ports, ends, known)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir or 8)


def read(model, **options):
    return pynn.onnx.loads(model.SerializeToString(), **options)


def small_cnn(rng):
    """Return a convolutional network as other programs write it, and its arrays."""
    arrays = {
        "conv.weight": rng.normal(size=(4, 1, 3, 3), scale=0.3).astype("float32"),
        "conv.bias": np.zeros(4, "float32"),
        "bn.weight": np.ones(4, "float32"),
        "bn.bias": np.zeros(4, "float32"),
        "bn.mean": np.full(4, 0.1, "float32"),
        "bn.var": np.full(4, 0.9, "float32"),
        "fc.weight": rng.normal(size=(10, 64), scale=0.1).astype("float32"),
        "fc.bias": np.zeros(10, "float32"),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "bn.weight", "bn.bias", "bn.mean", "bn.var"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "fc.weight", "fc.bias"], ["f"], transB=1),
        helper.make_node("Softmax", ["f"], ["y"]),
    ]
    return model_of(nodes, {"x": ["N", 1, 8, 8]}, initializers=arrays), arrays


@pytest.fixture
def digits():
    (x, y), _ = pynn.datasets.digits()
    return x[:, None].astype("float32"), y


def test_an_imported_network_trains(rng, digits):
    network = read(small_cnn(rng)[0])
    x, y = digits
    network.compile(optimizer=pynn.optim.Adam(3e-3), loss="cross_entropy", metrics=["accuracy"], seed=0)
    before = network.evaluate(x, y)["accuracy"]
    moving = network._weights["bn.mean"].numpy()
    network.fit(x[:640], y[:640], batch_size=32, epochs=8, verbose=0)
    assert before < 0.4 < 0.85 < network.evaluate(x[640:], y[640:])["accuracy"]
    assert not np.array_equal(moving, network._weights["bn.mean"].numpy())
    np.testing.assert_allclose(network.predict(x[:40]).sum(1), 1, rtol=1e-5)  # the softmax is still there


def test_training_steps_are_those_of_the_same_layers(rng, digits):
    """The imported network takes, to rounding, the steps that pynn's own layers take with the same weights."""
    file, arrays = small_cnn(rng)
    network = read(file)
    own = nn.Sequential([
        nn.Input((8, 8, 1)), nn.Conv2D(4, 3, padding="same"), nn.BatchNormalization(momentum=0.9, epsilon=1e-5),
        nn.Activation("relu"), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(10, activation="softmax"),
    ])  # fmt: skip
    fc = arrays["fc.weight"].reshape(10, 4, 4, 4).transpose(2, 3, 1, 0).reshape(64, 10)
    kernel = arrays["conv.weight"].transpose(2, 3, 1, 0)
    own.layers  # noqa: B018  (builds)
    own.set_weights([kernel, np.zeros(4), np.ones(4), np.zeros(4), np.full(4, 0.1), np.full(4, 0.9), fc, np.zeros(10)])
    x, y = digits
    x, y = x[:96], y[:96]
    histories = []
    for model, data in ((network, x), (own, np.moveaxis(x, 1, -1))):
        model.compile(optimizer=pynn.optim.SGD(0.05), loss="cross_entropy", seed=1)
        histories.append(model.fit(data, y, batch_size=32, epochs=3, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*histories, rtol=2e-5)
    np.testing.assert_allclose(network.predict(x), own.predict(np.moveaxis(x, 1, -1)), rtol=1e-3, atol=1e-5)


def test_recorded_steps_equal_eager_ones(rng, digits):
    file, _ = small_cnn(rng)
    x, y = digits
    found = []
    for eagerly in (False, True):
        network = read(file)
        network.compile(optimizer="adam", loss="cross_entropy", seed=1, run_eagerly=eagerly)
        network.fit(x[:100], y[:100], batch_size=32, epochs=2, verbose=0)
        found.append(np.concatenate([w.ravel() for w in network.get_weights()]))
    np.testing.assert_array_equal(*found)


def test_which_constants_are_weights(rng):
    network = read(small_cnn(rng)[0])
    trained = [name for name, _ in network.named_parameters(trainable_only=True)]
    assert sorted(trained) == ["bn.bias", "bn.weight", "conv.bias", "conv.weight", "fc.bias", "fc.weight"]
    assert network.count_parameters() == 36 + 4 + 16 + 640 + 10


def test_a_frozen_network_runs_as_at_inference(rng, digits):
    network = read(small_cnn(rng)[0])
    network.trainable = False
    x = digits[0][:8]
    np.testing.assert_array_equal(network(x, training=True).numpy(), network(x).numpy())


def test_dropout_is_active_while_training(rng):
    nodes = [helper.make_node("Dropout", ["x"], ["y"])]
    network = read(model_of(nodes, {"x": ["N", 1000]}))
    x = np.ones((2, 1000), "float32")
    np.testing.assert_array_equal(network(x).numpy(), x)
    y = network(x, training=True).numpy()
    assert set(np.unique(y)) == {0.0, 2.0}
    assert 0.4 < (y == 0).mean() < 0.6


def test_saved_and_loaded_like_any_model(rng, digits, tmp_path):
    network = read(small_cnn(rng)[0])
    x, y = digits
    network.compile(optimizer="adam", loss="cross_entropy", seed=1)
    network.fit(x[:64], y[:64], batch_size=32, verbose=0)
    network.save(tmp_path / "model.pynn")
    again = pynn.load(tmp_path / "model.pynn")
    np.testing.assert_array_equal(again.predict(x[:50]), network.predict(x[:50]))
    again.fit(x[:64], y[:64], batch_size=32, verbose=0)


def test_a_network_is_written_again_after_training(rng, digits, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    network = read(small_cnn(rng)[0])
    x, y = digits
    network.compile(optimizer="adam", loss="cross_entropy", seed=1)
    network.fit(x[:64], y[:64], batch_size=32, verbose=0)
    pynn.onnx.export(network, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x[:9]})
    np.testing.assert_allclose(found, network.predict(x[:9]), rtol=1e-5, atol=1e-6)
    again = pynn.onnx.load(tmp_path / "model.onnx")
    np.testing.assert_array_equal(again.predict(x[:9]), network.predict(x[:9]))


def layers_to_read_again():
    image = (6, 6, 2)
    yield nn.Sequential(
        [nn.Input(image), nn.Conv2D(3, 3, activation="gelu"), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(2)]
    )
    yield nn.Sequential(
        [nn.Input(image), nn.DepthwiseConv2D(3), nn.UpSampling2D(2), nn.Conv2DTranspose(2, 3, strides=2)]
    )
    yield nn.Sequential(
        [nn.Input(image), nn.BatchNormalization(), nn.UpSampling2D(2, interpolation="bilinear"), nn.Cropping2D(1)]
    )
    yield nn.Sequential([nn.Input(image), nn.LayerNormalization(), nn.GroupNormalization(2), nn.GlobalAvgPool()])
    yield nn.Sequential([nn.Input((5, 3)), nn.Conv1D(4, 2), nn.Bidirectional(nn.LSTM(3, peephole=True)), nn.Maxout(2)])
    yield nn.Sequential([nn.Input((5, 3)), nn.GRU(3, return_sequences=True), nn.SimpleRNN(3, go_backwards=True)])
    yield nn.Sequential(
        [nn.Input((5,)), nn.Embedding(9, 4, mask_zero=True), nn.LSTM(3), nn.Dense(2, activation="step")]
    )
    yield nn.Sequential([nn.Input(image), nn.LocalContrastNormalization(3), nn.LocalResponseNormalization()])


@pytest.mark.parametrize("model", list(layers_to_read_again()))
def test_what_is_exported_can_be_imported(model, rng):
    network = read(pynn.onnx.to_model(model))
    (shape,) = [model._input]
    x = rng.integers(1, 9, (3, *shape)) if model.takes_integers else rng.normal(size=(3, *shape)).astype("float32")
    np.testing.assert_allclose(network.predict(x), model.predict(x), rtol=1e-5, atol=1e-5)


def test_shapes_that_follow_the_batch(rng):
    """Sizes computed from the input, as exporters write them, are no data: steps can be recorded."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    w = rng.normal(size=(6, 2)).astype("float32")
    constants = {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1]), "w": w}
    network = read(model_of(nodes, {"x": ["N", 2, 3]}, initializers=constants))
    x, y = rng.normal(size=(70, 2, 3)).astype("float32"), rng.normal(size=(70, 2)).astype("float32")
    np.testing.assert_allclose(network.predict(x), x.reshape(70, 6) @ w, rtol=1e-5, atol=1e-6)
    network.compile(optimizer="sgd", loss="mse")
    assert len(network.fit(x, y, batch_size=32, epochs=2, verbose=0).history["loss"]) == 2


def test_a_shape_that_is_data_cannot_be_recorded():
    nodes = [helper.make_node("Cast", ["s"], ["i"], to=7), helper.make_node("Reshape", ["x", "i"], ["y"])]
    network = read(model_of(nodes, {"x": [6], "s": [2]}))
    for shape in ((2, 3), (2, 3), (3, 2)):  # of one shape of inputs
        (y,) = network.run(np.arange(6, dtype="float32"), np.array(shape, "float32"))
        assert y.shape == shape
    from pynn.core.program import record

    with pytest.raises(DataError, match=r"depends on the data.*run_eagerly"), record():
        network(np.arange(6, dtype="float32"), np.array([2, 3], "float32"))


def test_inputs_that_get_a_value_have_the_size_that_the_file_says():
    """A size by name takes any number; one by number that alone."""
    proto = model_of([helper.make_node("Add", ["x", "b"], ["y"])], {"x": ["N", 3], "b": ["M", 3]})
    for rows in (1, 2):
        network = read(proto, inputs={"b": np.full((rows, 3), 2.0)})
        np.testing.assert_array_equal(network.run(np.ones((2, 3), "float32"))[0], np.full((2, 3), 3.0))
    for shape in ((2, 4), (3,), (1, 2, 3)):
        with pytest.raises(ShapeError, match=r"expected the input 'b' of shape \('M', 3\)"):
            read(proto, inputs={"b": np.ones(shape)})


def test_inner_values_as_outputs(rng):
    file, _ = small_cnn(rng)
    network = read(file, outputs=["e"])
    assert network.predict(np.ones((2, 1, 8, 8), "float32")).shape == (2, 64)
    assert "fc.weight" not in dict(network.named_parameters())
    with pytest.raises(DataError, match=r"unknown value.*Received: 'ee'"):
        read(file, outputs=["ee"])


# What is wrong with a file


def relu(**changes):
    node = helper.make_node("Relu", ["x"], ["y"])
    return model_of([node], {"x": [2]}, **changes)


def with_external_data():
    model = relu(initializers={"w": np.ones(2, "float32")})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return model


def changed(change, model=None):
    model = relu(initializers={"w": np.ones(2, "float32")}) if model is None else model
    change(model)
    return model


def set_dims(*dims):
    def change(model):
        model.graph.initializer[0].dims[:] = dims

    return change


BROKEN = {
    "no graph": (onnx.ModelProto(), "one without a graph"),
    "no operator": (
        model_of([helper.make_node("Einsun", ["x"], ["y"], name="node7")], {"x": [2]}),
        r"node Einsun 'node7': unknown operator.*Received: 'Einsun'",
    ),
    "another domain": (
        model_of([helper.make_node("Relu", ["x"], ["y"], domain="com.example")], {"x": [2]}),
        r"com\.example::Relu.*unknown operator",
    ),
    "a subgraph": (
        model_of([helper.make_node("SequenceMap", ["x"], ["y"], body=relu().graph)], {"x": [2]}),
        "unknown operator.*'SequenceMap'",
    ),
    "external data": (with_external_data(), "initializer 'w': its data lie in another file"),
    "too few bytes": (changed(set_dims(3)), r"initializer 'w': expected 12 bytes.*Received: 8"),
    "negative size": (changed(set_dims(-2, -1)), "sizes of at least 0"),
    "enormous size": (changed(set_dims(2**40, 2**20)), "more than max_bytes"),
    "empty, but enormous": (changed(set_dims(2**62, 1, 1, 0)), "not beyond all bounds"),
    "many dimensions": (changed(set_dims(*[1] * 7)), "at most 6"),
    "unknown input": (model_of([helper.make_node("Relu", ["z"], ["y"])], {"x": [2]}), "its input 'z' is not known"),
    "not in order": (
        model_of([helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Relu", ["x"], ["a"])], {"x": [2]}),
        "its input 'a' is not known there",
    ),
    "twice the same": (
        model_of([helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Exp", ["x"], ["y"])], {"x": [2]}),
        "its output 'y' exists already",
    ),
    "no such output": (model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": [2]}, ["z"]), "unknown value"),
    "too many inputs": (model_of([helper.make_node("Relu", ["x", "x"], ["y"])], {"x": [2]}), "expected 1 to 1 inputs"),
    "too new": (relu(opset=99), "expected an operator set of 1 to"),
    "complex numbers": (relu(initializers={"w": np.ones(2, "complex64")}), "type complex64 are not supported"),
    "a graph that takes a name twice": (
        model_of([helper.make_node("Scan", ["x"], ["y"], num_scan_inputs=1, body=helper.make_graph(
            [helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Exp", ["a"], ["b"])], "b",
            [helper.make_tensor_value_info("a", 1, [])], [helper.make_tensor_value_info("b", 1, [])],
        ))], {"x": [2]}),
        "its output .*b' exists already",
    ),
    "no size": (
        model_of([helper.make_node("ConstantOfShape", ["s"], ["y"])], {}, initializers={"s": np.array([2**40])}),
        "more than max_bytes",
    ),
    "negative length": (
        model_of([helper.make_node("ConstantOfShape", ["s"], ["y"])], {}, initializers={"s": np.array([-1])}),
        "would have the shape",
    ),
    "many repeats": (
        model_of([helper.make_node("Tile", ["w", "r"], ["y"])], {}, initializers={
            "w": np.ones(2, "float32"), "r": np.array([2**50])
        }),
        "more than max_bytes",
    ),
    "an outer sum": (
        model_of([helper.make_node("Add", ["a", "b"], ["y"])], {}, initializers={
            "a": np.ones((2**16, 1), "float32"), "b": np.ones((1, 2**16), "float32")
        }),
        "more than max_bytes",
    ),
    "much padding": (
        model_of([helper.make_node("Pad", ["w", "p"], ["y"])], {}, initializers={
            "w": np.ones((2, 2), "float32"), "p": np.array([0, 2**40, 0, 2**40])
        }),
        "more than max_bytes",
    ),
}  # fmt: skip


KINDS = {
    kind: name.lower()
    for name, kind in onnx.TensorProto.DataType.items()
    if kind
    and (name == "BFLOAT16" or name.startswith(("COMPLEX", "FLOAT8", "FLOAT4", "INT4", "UINT4", "INT2", "UINT2")))
}


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_a_kind_that_is_not_there_are_named(kind):
    """float8e4m3fn is one of eight bits, whatever the rest of its name says."""
    proto = model_of([helper.make_node("Identity", ["x"], ["y"])], {"x": [2]})
    proto.graph.input[0].type.tensor_type.elem_type = kind
    name = "float8" if "float8" in KINDS[kind] else "float4" if "float4" in KINDS[kind] else KINDS[kind]
    with pytest.raises(DTypeError, match=f"'x'.*elements of type {name} are not supported"):
        read(proto)


@pytest.mark.parametrize("side", ["input", "output"])
def test_what_is_no_tensor_is_refused_with_a_way_out(side):
    proto = model_of([helper.make_node("Identity", ["x"], ["y"])], {"x": [2]})
    place = getattr(proto.graph, side)[0]
    place.type.CopyFrom(helper.make_optional_type_proto(helper.make_tensor_type_proto(1, [2])))
    with pytest.raises(DTypeError, match=f"{side}.*expected a tensor. Received: optional") as caught:
        read(proto)
    assert ("outputs=[name, ...]" in str(caught.value)) == (side == "output")


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_a_file_is_said(name):
    model, message = BROKEN[name]
    with pytest.raises((DataError, DTypeError), match=message):
        read(model)


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "message"),
    [
        ("Split", {"x": [4]}, {"num_outputs": 2**62}, "expected 1 parts"),  # made a list of as many
        ("MaxPool", {"x": [1, 1, 4]}, {"kernel_shape": [2**30], "pads": [2**30, 0]}, "more than max_bytes"),
        ("Conv", {"x": [1, 2, 4, 4], "w": [3, 5, 3, 3]}, {}, "node Conv 'n': expected images of 5 x group channels"),
        ("Conv", {"x": [1, 2, 4, 4], "w": [3, 2, 5, 5]}, {}, "kernel does not fit"),
        ("Conv", {"x": [1, 2, 4, 4], "w": [3, 2, 3, 3]}, {"pads": [2**31] * 4}, "expected pads"),
        ("Conv", {"x": [1, 2, 4, 4], "w": [3, 2, 3, 3]}, {"pads": [2**30] * 4}, "more than max_bytes"),
        ("Conv", {"x": [1, 2, 4, 4], "w": [3, 2, 3, 3]}, {"strides": [0, 1]}, "expected strides"),
        ("MatMul", {"x": [2, 3], "w": [4, 5]}, {}, "node MatMul 'n'.*inner dimensions"),
        ("Add", {"x": [2, 3], "w": [4]}, {}, "shapes that broadcast"),
        ("Concat", {"x": [2, 3], "w": [4, 3]}, {"axis": 1}, "node Concat 'n'"),
        ("Concat", {"x": [2, 3], "w": [2, 3]}, {"axis": 5}, "different axes of 2 dimensions"),
        ("Gemm", {"x": [2, 3], "w": [3, 5]}, {"alpha": "one"}, "expected the attribute alpha to be a number"),
    ],
)
def test_a_node_that_does_not_fit_is_named(op, shapes, attributes, message):
    model = model_of([helper.make_node(op, list(shapes), ["y"], name="n", **attributes)], shapes, opset=18)
    network = read(model)
    with pytest.raises((DataError, ShapeError), match=message):
        network(*(np.ones(s, "float32") for s in shapes.values()))


def test_an_empty_batch_makes_no_size_harmless():
    attributes = {"kernel_shape": [5, 5], "pads": [2, 2**31 - 1, 2, 2]}
    model = model_of([helper.make_node("MaxPool", ["x"], ["y"], **attributes)], {"x": ["N", 1, 5, 5]})
    with pytest.raises(DataError, match="more than max_bytes"):
        read(model).run(np.zeros((0, 1, 5, 5), "float32"))

    shape = np.array([0, 2**62])
    model = model_of([helper.make_node("Reshape", ["x", "s"], ["y"])], {"x": [0]}, initializers={"s": shape}, opset=14)
    model.graph.node[0].attribute.append(helper.make_attribute("allowzero", 1))
    with pytest.raises(DataError, match="more than max_bytes"):
        read(model).run(np.zeros(0, "float32"))


def test_images_without_rows_are_refused():
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2**30, 1], output_padding=[2**30, 0])
    network = read(model_of([node], {"x": ["N", 1, 0, 3], "w": [1, 1, 3, 3]}))
    with pytest.raises(ShapeError, match="images and a kernel that are not empty"):
        network.run(np.zeros((1, 1, 0, 3), "float32"), np.ones((1, 1, 3, 3), "float32"))


def test_an_output_beside_the_image_is_refused():
    attributes = {"output_padding": [2**31 - 1, 0], "output_shape": [10, 8], "strides": [3, 2]}
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], **attributes)
    network = read(model_of([node], {"x": ["N", 1, 3, 3], "w": [1, 1, 3, 3]}))
    with pytest.raises(ShapeError, match="beside all that is computed"):
        network.run(np.ones((1, 1, 3, 3), "float32"), np.ones((1, 1, 3, 3), "float32"))


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_a_stride_that_is_not_taken_costs_nothing(op, rng):
    """It asked for scratch memory in proportion."""
    x, w = (rng.normal(size=s).astype("float32") for s in ((1, 2, 1, 4), (2, 2, 1, 2)))
    outs = []
    for stride, gap in ((1, 1), (2**30, 2**30)):
        attributes = {"strides": [stride, 1], "dilations": [gap, 1]}
        model = model_of([helper.make_node(op, ["x", "w"], ["y"], **attributes)], {"x": x.shape, "w": w.shape})
        outs.append(read(model, max_bytes=2**16).run(x, w)[0])
    np.testing.assert_array_equal(*outs)


def test_data_of_another_shape_are_refused(rng):
    network = read(small_cnn(rng)[0])
    with pytest.raises(ShapeError, match=r"input 'x' of shape.*Received: \(2, 8, 8, 1\).*moveaxis"):
        network.predict(np.ones((2, 8, 8, 1), "float32"))
    with pytest.raises(ShapeError, match="expected 1 inputs"):
        network(np.ones((2, 1, 8, 8), "float32"), np.ones(2, "float32"))


def test_bytes_that_are_no_model(tmp_path):
    for data in (b"", b"\x00" * 100, b"PK\x03\x04" + bytes(60), b"\xff" * 50):
        with pytest.raises(DataError, match="expected an ONNX model"):
            pynn.onnx.loads(data)
    path = tmp_path / "big.onnx"
    path.write_bytes(bytes(3 * 2**20))
    with pytest.raises(DataError, match="more than max_bytes"):
        pynn.onnx.load(path, max_bytes=2**20)
    with pytest.raises(FileNotFoundError):
        pynn.onnx.load(tmp_path / "none.onnx")


def test_a_name_that_is_no_text():
    data = model_of([helper.make_node("Relu", ["xyzz"], ["y"])], {"xyzz": [2]}).SerializeToString()
    for old in (b"xyzz", b"Relu"):
        with pytest.raises(DataError, match="valid text"):
            pynn.onnx.loads(data.replace(old, b"\xff\xfe\xfd\xfc"))


def test_damaged_models_are_refused_or_run(rng):
    """Every truncation, and a bit flipped in each byte: an error that says so, or a run."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Reshape", ["b", "s"], ["y"]),
    ]
    w = rng.normal(size=(2, 1, 3, 3)).astype("float32")
    data = model_of(nodes, {"x": [1, 1, 4, 4]}, initializers={"w": w, "s": np.array([1, -1])}).SerializeToString()
    x, ran = np.ones((1, 1, 4, 4), "float32"), 0
    damaged = [data[:n] for n in range(len(data))]
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << rng.integers(8)
        damaged.append(bytes(flipped))
    for candidate in damaged:
        try:
            pynn.onnx.loads(candidate, max_bytes=2**24).run(x)
            ran += 1
        except (DataError, DTypeError, ShapeError):
            pass
    assert 0 < ran < len(damaged)


def test_without_the_package_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"needs the package onnx.*pip install 'pynn-dl\[onnx\]'"):
        pynn.onnx.loads(b"")
    with pytest.raises(ImportError, match=r"pynn-dl\[onnx\]"):
        pynn.onnx.to_model(nn.Sequential([nn.Input((4,)), nn.Dense(2)]))
