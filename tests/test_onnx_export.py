"""Models written as ONNX files give in onnxruntime what they give here, layer by layer."""

import numpy as np
import pytest
from onnx_chains import CHAINS, LONG, chain, in_onnxruntime, samples, shaken

import pynn
import pynn.onnx
from pynn import nn
from pynn.errors import DataError, ShapeError

onnx = pytest.importorskip("onnx")  # an extra
onnxruntime = pytest.importorskip("onnxruntime")

NEWEST = 23  # what onnxruntime reads of operator sets, at least


def assert_same(model, rng, opset=13):
    shaken(model, rng)
    proto = pynn.onnx.to_model(model, opset=opset)
    for n in (1, 4):
        xs = samples(model, n, rng)
        with pynn.no_grad():
            expected = model(*xs).numpy()
        found = in_onnxruntime(proto, xs)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    names = [node.name for node in proto.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    return proto


@pytest.mark.parametrize("name", CHAINS)
def test_every_layer_gives_the_same_in_onnxruntime(name, rng):
    assert_same(CHAINS[name](), rng)


@pytest.mark.parametrize("name", ["layer norm", "group norm", "maxout", "contrast norm", "padded LayerNormLSTM"])
@pytest.mark.parametrize("opset", [17, 18, NEWEST])
def test_newer_operator_sets_too(name, opset, rng):
    assert_same(CHAINS[name](), rng, opset)


def branched():
    image, more = nn.Input((8, 8, 2)), nn.Input((5,))
    shared = nn.Conv2D(4, 3, padding="same", activation="relu")
    a = shared(image)
    b = nn.Conv2D(4, 1)(a)
    c = nn.Add()([a, b, nn.Multiply()([a, nn.GlobalAvgPool(keepdims=True)(b)])])
    d = nn.Concatenate()([c, nn.MaxPool2D(3, strides=1, padding="same")(b)])
    e = nn.Concatenate(axis=1)([nn.GlobalMaxPool()(d), nn.Dense(3)(more)])
    return nn.Model([image, more], nn.Dense(2)(e))


def test_branches_and_shared_layers(rng):
    proto = assert_same(branched(), rng)
    assert [i.name for i in proto.graph.input] == ["input_0", "input_1"]


def test_a_shared_weight_is_written_once(rng):
    x, shared = nn.Input((4,)), nn.Dense(4, activation="tanh")
    proto = assert_same(nn.Model(x, shared(shared(x))), rng)
    assert len(proto.graph.initializer) == 2


def test_between_convolutions_nothing_is_transposed(rng):
    model = chain(
        (12, 12, 1), nn.Conv2D(4, 3, activation="relu"), nn.BatchNormalization(), nn.MaxPool2D(2), nn.Dropout(0.2),
        nn.Conv2D(4, 3, activation="silu"), nn.GlobalAvgPool(), nn.Dense(3),
    )  # fmt: skip
    ops = [node.op_type for node in assert_same(model, rng).graph.node]
    assert ops.count("Transpose") <= 1


def test_versions_are_low_and_the_batch_is_free():
    proto = pynn.onnx.to_model(chain((4,), nn.Dense(2)))
    assert (proto.opset_import[0].version, proto.ir_version) == (13, 7)
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_float64(rng):
    model = chain((4,), nn.Dense(3, activation="tanh")).astype("float64")
    proto = pynn.onnx.to_model(model)
    x = rng.normal(size=(2, 4))
    np.testing.assert_allclose(in_onnxruntime(proto, [x]), model(x).numpy(), rtol=1e-12)


def test_the_file_is_written_whole(tmp_path):
    path = tmp_path / "model.onnx"
    pynn.onnx.export(chain((4,), nn.Dense(2)), path)
    onnx.checker.check_model(str(path), full_check=True)
    before = path.read_bytes()
    with pytest.raises(DataError, match="stateful"):
        pynn.onnx.export(chain(LONG, nn.LSTM(2, stateful=True)), path)
    assert path.read_bytes() == before


class _Returns(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.form, self.dense = form, nn.Dense(3)

    def forward(self, x):
        y = self.dense(x)
        return self.form(y, y * 2)


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (nn.Bidirectional(nn.LSTM(2), merge_mode=None), ["output_0", "output_1"]),
        (nn.LSTM(2, return_state=True), ["output_0", "output_1", "output_2"]),
        (nn.GRU(2, return_sequences=True, return_state=True), ["output_0", "output_1"]),
        (_Returns(lambda a, b: {"one": a, "two": b}), ["one", "two"]),
        (_Returns(lambda a, b: [a, b]), ["output_0", "output_1"]),
    ],
    ids=str,
)
def test_several_outputs(layer, names):
    model = nn.Sequential([nn.TimeDistributed(nn.Dense(4)), layer])
    proto = pynn.onnx.to_model(model, input_shape=LONG)
    assert [y.name for y in proto.graph.output] == names
    x = np.random.default_rng(0).normal(size=(3, *LONG)).astype("float32")
    expected = model(pynn.tensor(x), training=False)
    expected = list(expected.values()) if isinstance(expected, dict) else expected
    again = pynn.onnx.loads(proto.SerializeToString())
    assert again.output_names == names
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    input_name = proto.graph.input[0].name
    rewritten = pynn.onnx.to_model(again, input_shape=LONG)
    assert [y.name for y in rewritten.graph.output] == names
    other = onnxruntime.InferenceSession(rewritten.SerializeToString()).run(None, {input_name: x})
    results = session.run(None, {input_name: x}), again(pynn.tensor(x)), other
    for found in zip(expected, *results, strict=True):
        for y in found[1:]:
            np.testing.assert_allclose(np.asarray(y), found[0].numpy(), rtol=1e-5, atol=1e-6)


def test_outputs_of_a_functional_model_go_by_their_names(tmp_path):
    x = nn.Input((4,))
    h = nn.Dense(6, "tanh")(x)
    model = nn.Model(x, [nn.Dense(1, name="price")(h), nn.Dense(3, "softmax", name="kind")(h)])
    proto = pynn.onnx.to_model(model)
    assert [y.name for y in proto.graph.output] == model.output_names == ["price", "kind"]
    one = nn.Model(x, nn.Dense(1, name="price")(h))
    assert [y.name for y in pynn.onnx.to_model(one).graph.output] == ["output"]


def test_what_is_no_tensor_is_named():
    model = nn.Sequential([nn.TimeDistributed(nn.Dense(4)), _Returns(lambda a, b: (a, 3))])
    with pytest.raises(DataError, match=r"a tensor, or a tuple, list.*a tuple of something else from layer '_returns'"):
        pynn.onnx.to_model(model, input_shape=LONG)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"opset of 13 to .*Received: opset=9"):
        pynn.onnx.to_model(chain((4,), nn.Dense(2)), opset=9)
    with pytest.raises((ShapeError, RuntimeError), match="input"):
        pynn.onnx.to_model(nn.Dense(2))


def test_a_saved_imported_network_loads_in_a_fresh_process(tmp_path):
    import subprocess
    import sys

    model = nn.Sequential([nn.Input((3,)), nn.Dense(2, "tanh")])
    model.build((1, 3))
    pynn.onnx.export(model, tmp_path / "m.onnx")
    network = pynn.onnx.load(tmp_path / "m.onnx")
    x = np.ones((1, 3), "float32")
    expected = network.predict(x)
    network.save(tmp_path / "m.pynn")
    code = "import sys, numpy as np, pynn; print(pynn.load(sys.argv[1]).predict(np.ones((1, 3), 'float32')).tolist())"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "m.pynn"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(expected.tolist())
