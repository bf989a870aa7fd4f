"""Settings of operators that ONNX's own tests leave out, against onnxruntime; and what costs nothing."""

import numpy as np
import pytest

import pynn
import pynn.onnx

onnx = pytest.importorskip("onnx")  # an extra
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from pynn.onnx.operators.logic import arctangent  # noqa: E402

IMAGE, KERNEL = (2, 4, 9, 8), (6, 4, 3, 2)


def numbers(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def build(op, arrays, outputs, opset, attributes, fixed=()):
    """Return a model of one node; the arrays whose places are `fixed` are initializers."""
    names = ["" if a is None else f"x{i}" for i, a in enumerate(arrays)]
    ports, known = [], []
    for i, a in enumerate(arrays):
        if a is None:
            continue
        if i in fixed:
            known.append(numpy_helper.from_array(a, names[i]))
        else:
            ports.append(helper.make_tensor_value_info(names[i], helper.np_dtype_to_tensor_dtype(a.dtype), a.shape))
    ends = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, ends, **attributes)
    infos = [helper.make_empty_tensor_value_info(name) for name in ends]
    graph = helper.make_graph([node], "g", ports, infos, known)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def in_onnxruntime(model, feeds):
    model = onnx.shape_inference.infer_shapes(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip([i.name for i in session.get_inputs()], feeds, strict=True)))


def conv(**attributes):
    return "Conv", [numbers(*IMAGE), numbers(*KERNEL), numbers(6)], 1, 13, attributes


def transposed(bias=True, groups=1, **attributes):
    w = numbers(4, 6 // groups, 3, 2)
    return "ConvTranspose", [numbers(*IMAGE), w, numbers(6) if bias else None], 1, 13, attributes | {"group": groups}


def pool(op, x=IMAGE, outputs=1, **attributes):
    return op, [numbers(*x)], outputs, 19, attributes


def recurrent(op, gates, count=1, states=1, outputs=2, lengths=True, **attributes):
    t, n, d, h = 5, 3, 4, 2
    arrays = [numbers(t, n, d), numbers(count, gates * h, d), numbers(count, gates * h, h)]
    arrays += [numbers(count, 2 * gates * h), np.array([2, 5, 3], "int32") if lengths else None]
    arrays += [numbers(count, n, h) * (1 + i) for i in range(states)]
    return op, arrays, outputs, 14, attributes | {"hidden_size": h}


BOTH = {"direction": "bidirectional"}
CASES = {
    "conv strides, gaps": conv(strides=[2, 1], dilations=[2, 3], pads=[3, 0, 1, 2]),
    "conv same upper": conv(auto_pad="SAME_UPPER", strides=[2, 3]),
    "conv same lower": conv(auto_pad="SAME_LOWER", strides=[2, 3]),
    "conv valid": conv(auto_pad="VALID", strides=[2, 2]),
    "conv groups": ("Conv", [numbers(*IMAGE), numbers(6, 2, 3, 2)], 1, 13, {"group": 2}),
    "conv 1d": ("Conv", [numbers(2, 4, 9), numbers(6, 4, 3)], 1, 13, {"pads": [2, 1], "dilations": [2]}),
    "conv 3d": (
        "Conv", [numbers(2, 4, 5, 6, 7), numbers(6, 2, 3, 2, 3), numbers(6)], 1, 13,
        {"pads": [1, 0, 2, 1, 1, 0], "strides": [2, 1, 2], "dilations": [1, 2, 1], "group": 2},
    ),
    "transposed": transposed(strides=[2, 3], pads=[1, 0, 0, 1], output_padding=[1, 2]),
    "transposed, gaps": transposed(bias=False, strides=[2, 1], dilations=[2, 3]),
    "transposed groups": transposed(groups=2, strides=[3, 3], output_padding=[2, 1]),
    "transposed to a size": transposed(strides=[2, 3], output_shape=[17, 25]),
    "transposed same": transposed(strides=[2, 1], auto_pad="SAME_UPPER"),
    "transposed same lower": transposed(strides=[3, 1], auto_pad="SAME_LOWER"),
    "transposed 1d": ("ConvTranspose", [numbers(2, 4, 5), numbers(4, 3, 3)], 1, 13, {"strides": [2], "pads": [1, 1]}),
    "transposed 3d": (
        "ConvTranspose", [numbers(2, 4, 3, 4, 3), numbers(4, 3, 3, 2, 2), numbers(3)], 1, 13,
        {"strides": [2, 1, 2], "pads": [1, 0, 1, 0, 1, 0], "dilations": [2, 1, 1]},
    ),
    "max pool indices": pool("MaxPool", outputs=2, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
    "max pool indices by column": pool("MaxPool", outputs=2, kernel_shape=[3, 2], storage_order=1),
    "max pool indices 1d": pool("MaxPool", (2, 3, 9), outputs=2, kernel_shape=[3], strides=[2], pads=[1, 1]),
    "max pool up": pool("MaxPool", kernel_shape=[3, 3], strides=[2, 3], ceil_mode=1, pads=[1, 1, 1, 1]),
    "max pool gaps": pool("MaxPool", kernel_shape=[2, 3], dilations=[3, 2], strides=[2, 1], pads=[1, 2, 0, 2]),
    "mean pool up": pool("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, pads=[1, 1, 1, 1]),
    "mean pool with padding": pool(
        "AveragePool", kernel_shape=[4, 3], strides=[3, 2], pads=[2, 1, 1, 0], count_include_pad=1
    ),
    "mean pool gaps": pool("AveragePool", kernel_shape=[2, 2], dilations=[3, 2], pads=[1, 1, 1, 1]),
    "mean pool 1d": pool("AveragePool", (2, 3, 9), kernel_shape=[4], strides=[3], pads=[1, 2]),
    "mean pool 3d": pool("AveragePool", (1, 2, 4, 5, 6), kernel_shape=[2, 3, 2], pads=[1, 1, 0, 0, 1, 1]),
    "nearest": ("Resize", [numbers(*IMAGE), None, np.array([1, 1, 2, 3], "float32")], 1, 13, {}),
    "linear": ("Resize", [numbers(*IMAGE), None, np.array([1, 1, 3, 2], "float32")], 1, 13, {"mode": "linear"}),
    "softmax of channels": ("Softmax", [numbers(*IMAGE)], 1, 13, {"axis": 1}),
    "softmax of old": ("Softmax", [numbers(*IMAGE)], 1, 11, {"axis": 2}),
    "prelu of channels": ("PRelu", [numbers(*IMAGE), numbers(4, 1, 1)], 1, 13, {}),
    "erf": ("Erf", [np.array([0, 1e-30, -1e-8, 0.1, -0.7, 3, -9, 50], "float32")], 1, 13, {}),
    "slice backwards": (
        "Slice", [numbers(5, 6), *map(np.array, ([-1, 9], [-9, -99], [0, 1], [-2, -1]))], 1, 13, {}
    ),
    "LSTM": recurrent("LSTM", 4, count=2, states=2, outputs=3, **BOTH),
    "LSTM backwards": recurrent("LSTM", 4, states=2, outputs=3, direction="reverse"),
    "GRU": recurrent("GRU", 3, count=2, **BOTH),
    "GRU, reset after": recurrent("GRU", 3, count=2, linear_before_reset=1, **BOTH),
    "RNN": recurrent("RNN", 1, count=2, activations=["Relu", "Tanh"], **BOTH),
    "LSTM of Keras": recurrent(
        "LSTM", 4, count=2, states=2, outputs=3, **BOTH,
        activations=["HardSigmoid", "Tanh", "Tanh", "Sigmoid", "Relu", "Tanh"],
    ),
    "LSTM with parameters": recurrent(
        "LSTM", 4, states=2, outputs=3, activations=["HardSigmoid", "LeakyRelu", "ScaledTanh"],
        activation_alpha=[0.3, 0.2, 1.5], activation_beta=[0.4, 0.7], direction="reverse",
    ),
    "LSTM, clipped": recurrent("LSTM", 4, states=2, outputs=3, clip=0.4),
    "LSTM, forget gate of the rest": recurrent("LSTM", 4, states=2, outputs=3, input_forget=1),
    "GRU of Keras": recurrent("GRU", 3, activations=["HardSigmoid", "Softsign"], linear_before_reset=1),
    "GRU, others": recurrent(
        "GRU", 3, count=2, **BOTH, activations=["Sigmoid", "Relu", "HardSigmoid", "Tanh"], clip=0.5
    ),
    "GRU without lengths": recurrent("GRU", 3, lengths=False, activations=["Sigmoid", "Elu"], activation_alpha=[0.5]),
    "RNN, others": recurrent(
        "RNN", 1, count=2, activations=["Softplus", "ThresholdedRelu"], activation_alpha=[0.7], **BOTH
    ),
    "RNN, straight": recurrent("RNN", 1, activations=["Affine"], activation_alpha=[1.0], activation_beta=[0.0]),
    "RNN, affine": recurrent("RNN", 1, activations=["Affine"], activation_alpha=[0.5], activation_beta=[0.1]),
    "sequences backwards": ("ReverseSequence", [numbers(5, 3, 2), np.array([2, 5, 3])], 1, 13, {}),
    "sequences backwards, batch first": (
        "ReverseSequence", [numbers(3, 5), np.array([2, 5, 1])], 1, 13, {"batch_axis": 0, "time_axis": 1}
    ),
    "leak that turns round": ("LeakyRelu", [numbers(4, 9)], 1, 13, {"alpha": -0.3}),
    "bytes of zeros": ("DynamicQuantizeLinear", [np.zeros((3, 4), "float32")], 3, 13, {}),
    "bytes of one number": ("DynamicQuantizeLinear", [np.full((3, 4), -2.5, "float32")], 3, 13, {}),
    "stacks of matrices": ("MatMul", [numbers(2, 1, 3, 4), numbers(5, 4, 6)], 1, 13, {}),
    "stacks of matrices, the second longer": ("MatMul", [numbers(2, 3, 4), numbers(5, 1, 4, 6)], 1, 13, {}),
    "top 3": ("TopK", [numbers(4, 9), np.array([3])], 2, 13, {}),
    "bottom 40, along an axis": ("TopK", [numbers(50, 3), np.array([40])], 2, 13, {"axis": 0, "largest": 0}),
    "elements of an axis": ("GatherElements", [numbers(4, 5), np.array([[0, -1, 2], [3, 1, 1]])], 1, 13, {"axis": 1}),
    "tuples": ("GatherND", [numbers(2, 3, 4), np.array([[[-1], [0]], [[2], [1]]])], 1, 13, {"batch_dims": 1}),
    "set elements": (
        "ScatterElements", [numbers(3, 3), np.array([[1, 0, -1], [0, 2, 1]]), numbers(2, 3)], 1, 13, {"axis": 0},
    ),
    "add to elements": (
        "ScatterElements", [numbers(3, 3), np.array([[1, 1, -1]]), numbers(1, 3)], 1, 18,
        {"axis": 1, "reduction": "add"},
    ),
    "set slices": ("ScatterND", [numbers(4, 3, 2), np.array([[0, 1], [-1, 2]]), numbers(2, 2)], 1, 13, {}),
    "product": ("ReduceProd", [numbers(3, 7, 2)], 1, 13, {"axes": [1, 2]}),
    "depth to space": ("DepthToSpace", [numbers(2, 12, 3, 2)], 1, 13, {"blocksize": 2, "mode": "CRD"}),
    "rest": ("Mod", [np.array([5, -5, 7, -2**40]), np.array([3, 3, -4, 1000])], 1, 13, {}),
    "rest of floats": ("Mod", [np.float32([5.3, -5.3, 1e9]), np.float32([2.5, 2.5, 3])], 1, 13, {"fmod": 1}),
    "arctangent": ("Atan", [np.array([0, 1e-30, -1e-4, 0.3, -1, 9, 1e20, -np.inf, np.nan], "float32")], 1, 13, {}),
    "arcsine": ("Asin", [np.array([0, 1e-30, -1e-4, 0.3, -0.999, 1, -1, 1.1], "float32")], 1, 13, {}),
    "arccosine": ("Acos", [np.array([0, 0.3, -0.999, 1, -1], "float32")], 1, 13, {}),
    "inverse of sinh": ("Asinh", [np.array([0, 1e-20, -1e-4, 0.3, -7, 1e4], "float32")], 1, 13, {}),
    "inverse of cosh": ("Acosh", [np.array([1, 1.01, 7, 1e4], "float32")], 1, 13, {}),
    "inverse of tanh": ("Atanh", [np.array([0, 1e-20, -1e-4, 0.3, -0.999, 1], "float32")], 1, 13, {}),
    "groups": ("GroupNormalization", [numbers(*IMAGE), numbers(2), numbers(2)], 1, 18, {"num_groups": 2}),
    "groups, by channels": ("GroupNormalization", [numbers(*IMAGE), numbers(4), numbers(4)], 1, 21, {"num_groups": 2}),
    "size of rows": ("LpNormalization", [numbers(4, 5), ], 1, 13, {"axis": 0}),
    "sum of rows": ("LpNormalization", [numbers(4, 5), ], 1, 13, {"p": 1}),
    "mean and variance": ("MeanVarianceNormalization", [numbers(*IMAGE)], 1, 13, {}),
    "RNN without lengths": recurrent("RNN", 1, lengths=False, activations=["Sigmoid"], direction="reverse"),
}  # fmt: skip


@pytest.mark.parametrize("fixed", [False, True], ids=["data", "weights"])
@pytest.mark.parametrize("name", CASES)
def test_as_in_onnxruntime(name, fixed):
    op, arrays, outputs, opset, attributes = CASES[name]
    given = [i for i, a in enumerate(arrays) if a is not None]
    places = given[1:] if fixed else []
    model = build(op, arrays, outputs, opset, attributes, places)
    feeds = [arrays[i] for i in given if i not in places]
    network = pynn.onnx.loads(model.SerializeToString())
    for found, expected in zip(network.run(*feeds), in_onnxruntime(model, feeds), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_inverse_functions_in_float64_and_their_slopes():
    """onnxruntime has them for float32 alone."""
    x = np.concatenate([np.geomspace(1e-9, 1e9, 41), -np.geomspace(1e-9, 1e9, 41), [0.0]])
    for op, function, of in [
        ("Atan", np.arctan, x),
        ("Asin", np.arcsin, np.linspace(-1, 1, 41)),
        ("Acos", np.arccos, np.linspace(-1, 1, 41)),
        ("Asinh", np.arcsinh, x),
        ("Acosh", np.arccosh, abs(x) + 1),
        ("Atanh", np.arctanh, np.linspace(-0.99, 0.99, 41)),
    ]:
        network = pynn.onnx.loads(build(op, [of], 1, 13, {}).SerializeToString())
        np.testing.assert_allclose(network.run(of)[0], function(of), rtol=1e-13, atol=1e-15)
    t = pynn.tensor(np.array([-3.0, -0.2, 0.0, 0.4, 50.0]), requires_grad=True)
    arctangent(t).sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), 1 / (1 + t.numpy() ** 2), rtol=1e-12)


def test_between_convolutions_nothing_is_transposed(monkeypatch):
    nodes, known, before = [], {}, "x"
    for i in range(3):
        known |= {f"w{i}": numbers(4, 4, 3, 3), f"scale{i}": numbers(4), f"bias{i}": numbers(4, 1, 1)}
        known |= {f"mean{i}": numbers(4), f"var{i}": np.abs(numbers(4)) + 1, f"beta{i}": numbers(4)}
        normal = [f"a{i}", f"scale{i}", f"beta{i}", f"mean{i}", f"var{i}"]
        nodes += [
            helper.make_node("Conv", [before, f"w{i}"], [f"a{i}"], pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", normal, [f"b{i}"]),
            helper.make_node("Add", [f"b{i}", f"bias{i}"], [f"c{i}"]),
            helper.make_node("Relu", [f"c{i}"], [f"d{i}"]),
            helper.make_node("Add", [f"d{i}", f"a{i}"], [f"e{i}"]),
            helper.make_node("MaxPool", [f"e{i}"], [f"f{i}"], kernel_shape=[2, 2]),
        ]
        before = f"f{i}"
    nodes += [helper.make_node("GlobalAveragePool", [before], ["g"]), helper.make_node("Flatten", ["g"], ["y"])]
    port = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 9, 9])
    end = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [port], [end], [numpy_helper.from_array(a, n) for n, a in known.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    network = pynn.onnx.loads(model.SerializeToString())
    x = numbers(2, 4, 9, 9)
    moved, transpose = [], pynn.ops.transpose
    monkeypatch.setattr(pynn.ops, "transpose", lambda t, axes=None: moved.append(t.shape) or transpose(t, axes))
    np.testing.assert_allclose(network.run(x), in_onnxruntime(model, [x]), rtol=1e-4, atol=1e-4)
    moved = [shape for shape in moved if shape[0] == 2]  # the others are of trials that find the batch's axis
    assert moved == [(2, 4, 9, 9)]


def test_transposed_to_size_times_stride_where_the_kernel_is_smaller():
    """The standard's size; onnxruntime leaves out what no tap reaches."""
    x, w = numbers(1, 1, 3, 3), np.ones((1, 1, 1, 2), "float32")
    model = build("ConvTranspose", [x, w], 1, 13, {"strides": [2, 3], "auto_pad": "SAME_UPPER"})
    (y,) = pynn.onnx.loads(model.SerializeToString()).run(x, w)
    assert y.shape == (1, 1, 6, 9)
    np.testing.assert_allclose(y.sum(), 2 * x.sum(), rtol=1e-5)


def test_lrn_of_an_even_size():
    """One neighbour more after than before, as the standard has it; onnxruntime refuses."""
    x = numbers(2, 7, 3, 3)
    model = build("LRN", [x], 1, 13, {"size": 4, "alpha": 0.3, "bias": 2.0})
    (y,) = pynn.onnx.loads(model.SerializeToString()).run(x)
    sums = np.stack([(x[:, max(c - 1, 0) : c + 3] ** 2).sum(1) for c in range(7)], 1)
    np.testing.assert_allclose(y, x / (2 + 0.3 / 4 * sums) ** 0.75, rtol=1e-5)


def test_operands_of_old_operator_sets_lie_at_an_axis():
    a, b = numbers(2, 3, 4, 5), numbers(3, 4)
    model = build("Add", [a, b], 1, 6, {"broadcast": 1, "axis": 1})
    (y,) = pynn.onnx.loads(model.SerializeToString()).run(a, b)
    np.testing.assert_array_equal(y, a + b[None, :, :, None])
