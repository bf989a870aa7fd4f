"""Sizes that an ONNX file leaves open: sequences of any length, images of any size, from one export."""

import numpy as np
import onnx_chains
import pytest

import pynn
import pynn.onnx
from pynn import cli, nn
from pynn.errors import DataError, ShapeError

onnx = pytest.importorskip("onnx")  # an extra
pytest.importorskip("onnxruntime")

LENGTHS = [(1, 9), (3, 6), (2, 17), (4, 12)]  # samples, steps
CHAINS = {
    f"{name} {shape}": (make, shape)
    for name, make in onnx_chains.CHAINS.items()
    for shape in onnx_chains.open_shapes(name)
}


@pytest.mark.parametrize("name", CHAINS)
def test_any_length_gives_what_the_model_gives(name, rng):
    make, shape = CHAINS[name]
    model = onnx_chains.shaken(make(), rng)
    proto = pynn.onnx.to_model(model, input_shape=shape)
    network = pynn.onnx.loads(proto.SerializeToString())
    for n, steps in LENGTHS:
        (x,) = onnx_chains.samples(model, n, rng, [tuple(steps if d is None else d for d in shape)])
        with pynn.no_grad():
            expected = model(x).numpy()
        for found in (onnx_chains.in_onnxruntime(proto, [x]), network.run(x)[0]):
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)


def test_inputs_and_outputs_name_the_open_size():
    model = nn.Sequential([nn.Input((5, 4)), nn.Conv1D(3, 2), nn.LSTM(3, return_sequences=True)])
    graph = pynn.onnx.to_model(model, input_shape=(None, 4)).graph
    sizes = [
        [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (graph.input[0], graph.output[0])
    ]
    assert sizes == [["N", "T", 4], ["N", 0, 3]]


def test_several_inputs(rng):
    a, b = nn.Input((5, 4)), nn.Input((3,))
    seen = nn.LSTM(4, return_sequences=True)(a)
    model = nn.Model([a, b], nn.Concatenate()([nn.GlobalMaxPool()(nn.Multiply()([seen, a])), nn.Dense(2)(b)]))
    proto = pynn.onnx.to_model(model, input_shape=[(None, 4), (3,)])
    for n, steps in LENGTHS:
        xs = [rng.normal(size=(n, *shape)).astype("float32") for shape in ((steps, 4), (3,))]
        expected = model(*xs).numpy()
        np.testing.assert_allclose(onnx_chains.in_onnxruntime(proto, xs), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 5, 11])
def test_padding_anywhere(rng, steps):
    layers = [nn.Masking(), nn.Bidirectional(nn.LSTM(3, return_sequences=True)), nn.Dense(2)]
    model = nn.Sequential([nn.Input((5, 4)), *layers])
    proto = pynn.onnx.to_model(model, input_shape=(None, 4))
    x = rng.normal(size=(3, steps, 4)).astype("float32")
    x[rng.random((3, steps)) < 0.5] = 0
    np.testing.assert_allclose(onnx_chains.in_onnxruntime(proto, [x]), model.predict(x), rtol=1e-5, atol=1e-6)


def test_a_model_that_is_not_built_yet(rng):
    model = nn.Sequential([nn.GRU(3, return_sequences=True), nn.GlobalAvgPool(), nn.Dense(2)])
    proto = pynn.onnx.to_model(model, input_shape=(None, 4))
    x = rng.normal(size=(2, 7, 4)).astype("float32")
    np.testing.assert_allclose(onnx_chains.in_onnxruntime(proto, [x]), model(x).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Flatten(), nn.Dense(2)], r"the size that is left open is one that the model depends on.*\[dense\]"),
        ([nn.LayerNormalization((1, 2))], r"depends on.*\[reshape\]"),
    ],
    ids=["dense", "norm"],
)
def test_what_depends_on_the_size_is_named(layers, message):
    model = nn.Sequential([nn.Input((5, 4)), *layers])
    with pytest.raises(DataError, match=message):
        pynn.onnx.to_model(model, input_shape=(None, 4))


class Positions(nn.Module):
    """Adds numbers that depend on the number of steps, or divides by it."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        if self.kind == "numbers":
            return x + np.arange(x.shape[1], dtype="float32")[:, None]
        if self.kind == "ops":
            return x * 2.0 if x.shape[1] > 35 else x + 1.0
        return pynn.ops.clip(x, 0.0, float(x.shape[1]))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("numbers", "takes numbers that depend on the size that is left open"),
        ("ops", "runs other ops when the size that is left open changes"),
        ("settings", "'clip' has high that follow the size that is left open"),
    ],
)
def test_ones_own_module_that_follows_the_length_is_named(kind, message):
    with pytest.raises(DataError, match=message):
        pynn.onnx.to_model(Positions(kind), input_shape=(None, 4))


def test_a_file_that_leaves_sizes_open_is_written_again_with_them_open(rng):
    model = nn.Sequential([nn.Input((5, 4)), nn.LSTM(3, return_sequences=True)])
    network = pynn.onnx.loads(pynn.onnx.to_model(model, input_shape=(None, 4)).SerializeToString())
    again = pynn.onnx.to_model(network)
    assert [d.dim_param or d.dim_value for d in again.graph.input[0].type.tensor_type.shape.dim] == ["N", "T", 4]
    x = rng.normal(size=(2, 9, 4)).astype("float32")
    np.testing.assert_allclose(onnx_chains.in_onnxruntime(again, [x]), network.run(x)[0], rtol=1e-5, atol=1e-6)


def test_a_file_whose_open_sizes_must_be_large_is_written_again(rng):
    """Smaller ones do not fit, which is no reason to refuse it; a size that is given and does not fit is one."""
    model = nn.Sequential([nn.Input((90, 3)), nn.Conv1D(2, 60)])
    network = pynn.onnx.loads(pynn.onnx.to_model(model, input_shape=(None, 3)).SerializeToString())
    again = pynn.onnx.to_model(network)
    x = rng.normal(size=(2, 75, 3)).astype("float32")
    np.testing.assert_allclose(onnx_chains.in_onnxruntime(again, [x]), network.run(x)[0], rtol=1e-5, atol=1e-5)
    with pytest.raises(ShapeError, match="kernel"):
        pynn.onnx.to_model(network, input_shape=(40, 3))


def test_attributes_that_are_arrays_are_written_again():
    helper, proto = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Shape", ["x"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["c"], value=helper.make_tensor("v", proto.FLOAT, [1], [2.5])),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    ports = [helper.make_tensor_value_info(name, proto.FLOAT, ["N", 3]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    again = pynn.onnx.to_model(pynn.onnx.loads(made.SerializeToString()))
    x = np.ones((4, 3), "float32")
    np.testing.assert_array_equal(onnx_chains.in_onnxruntime(again, [x]), x + 2.5)


def test_the_command_line(tmp_path, rng, capsys):
    model = nn.Sequential([nn.Input((5, 4)), nn.GRU(3)])
    model.save(tmp_path / "m.pynn")
    out = tmp_path / "m.onnx"
    command = ["export", str(tmp_path / "m.pynn"), "--to", "onnx", "--out", str(out), "--input-shape", "none,4"]
    assert cli.main(command) == 0
    x = rng.normal(size=(2, 11, 4)).astype("float32")
    found = onnx_chains.in_onnxruntime(onnx.load(out), [x])
    np.testing.assert_allclose(found, model(x).numpy(), rtol=1e-5, atol=1e-6)
    assert cli.main([*command[:3], "c", "--out", str(tmp_path / "m.c"), *command[6:]]) != 0
    assert "--to onnx alone" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main([*command[:-1], "4,x"])
    assert "none,4" in capsys.readouterr().err
