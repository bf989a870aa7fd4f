"""The tests that ONNX has for whatever runs its models, for every operator that pynn runs."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")  # an extra

from onnx import numpy_helper  # noqa: E402
from onnx.backend.test.loader import load_model_tests  # noqa: E402
from onnx.backend.test.runner import Runner  # noqa: E402

from pynn.errors import DataError, DTypeError, ShapeError  # noqa: E402
from pynn.onnx.backend import Backend  # noqa: E402
from pynn.onnx.operators import OPERATORS  # noqa: E402
from pynn.onnx.tensors import DTYPES  # noqa: E402

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "real")

# The operators that are promised: everything about them is tested but for EXCLUDED.
OPERATOR_NAMES = """
Gemm MatMul Add Sub Mul Div Relu LeakyRelu Elu Selu Sigmoid Tanh Softmax LogSoftmax Softplus Gelu Clip Conv
ConvTranspose MaxPool AveragePool GlobalAveragePool GlobalMaxPool Pad Flatten Reshape Transpose Squeeze
Unsqueeze Concat Split Slice Gather Identity Dropout Constant BatchNormalization LayerNormalization LSTM GRU
RNN ReduceSum ReduceMean ReduceMax PRelu Neg Exp Abs Pow Sqrt Sum Max Min Tile InstanceNormalization
ConstantOfShape LRN If Loop MatMulInteger ConvInteger DynamicQuantizeLinear QuantizeLinear DequantizeLinear
QLinearMatMul QLinearConv ArgMax ArgMin TopK HardSwish HardSigmoid Mod And Or Xor Not IsNaN IsInf Floor Ceil Round Sign
GatherND GatherElements ScatterElements ScatterND Scatter ReduceProd ReduceMin ReduceL1 ReduceL2 ReduceSumSquare
ReduceLogSum ReduceLogSumExp DepthToSpace SpaceToDepth RandomNormalLike RandomUniformLike Cast CastLike Where Equal Less
LessOrEqual Greater GreaterOrEqual Expand Shape Size Range OneHot Trilu EyeLike CumSum NonZero Compress Mean Celu Shrink
ThresholdedRelu Swish Mish Softsign Sin Cos Tan Sinh Cosh Asin Acos Atan Asinh Acosh Atanh GroupNormalization
RMSNormalization LpNormalization MeanVarianceNormalization Log Reciprocal Erf ReverseSequence Binarizer
ArrayFeatureExtractor LabelEncoder Einsum
"""
PROMISED = set(OPERATOR_NAMES.split())

# What is not run, and why. Each pattern must match something, and what it matches must fail.
EXCLUDED = {
    r"^test_training_dropout(_default)?(_mask)?$": "expects the very numbers of NumPy's generator",
    r"^test_bernoulli_": "draws random numbers",
    r"_NCd1d2d3d4d5_": "pynn has at most six axes",
}


def _model(case):
    if case.model is not None:
        return case.model
    return onnx.load(_path(case))


def _path(case):
    if case.model_dir is not None:
        return Path(case.model_dir) / "model.onnx"
    return Path(onnx.__file__).parent.parent / case.url  # the light networks lie in the package


def _runs_on_cpu(case):
    return case.model_dir is not None or case.model is not None or (case.url or "").startswith("onnx/")


def _used(graph):
    """Return the operators of a graph, of those inside nodes too."""
    inner = [a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return {node.op_type for node in graph.node}.union(*map(_used, inner))


def _types(graph):
    """Return the types of what a graph takes and gives; 0 for what is no tensor."""
    return {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}


def _collect():
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tests of other operators are made too
        for kind in KINDS:
            for case in filter(_runs_on_cpu, load_model_tests(kind=kind)):
                model = _model(case)
                if _used(model.graph) <= PROMISED and _types(model.graph) <= set(DTYPES):
                    found.setdefault(f"{kind}:{case.name}", case)
    return found


CASES = _collect()


def _excluded(name):
    return any(re.search(pattern, name.split(":")[1]) for pattern in EXCLUDED)


def _array(item):
    return numpy_helper.to_array(item) if isinstance(item, onnx.TensorProto) else item


def _read(path):
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def _in_order(folder, what):
    return [_read(folder / f"{what}_{i}.pb") for i in range(len(list(folder.glob(f"{what}_*.pb"))))]


def _data(case, model):
    """Yield (inputs, outputs) of a case."""
    if case.data_sets is not None:
        for inputs, outputs in case.data_sets:
            yield [_array(x) for x in inputs], [_array(y) for y in outputs]
    elif case.model_dir is not None:
        for folder in sorted(Path(case.model_dir).glob("test_data_set*")):
            yield _in_order(folder, "input"), _in_order(folder, "output")
    else:
        known = {i.name for i in model.graph.initializer}
        inputs = [Runner.generate_dummy_data(i) for i in model.graph.input if i.name not in known]
        prefix = str(_path(case)).removesuffix(".onnx")
        yield inputs, [_read(Path(f"{prefix}_output_{i}.pb")) for i in range(len(model.graph.output))]


def _check(case):
    model = _model(case)
    prepared = Backend.prepare(model)
    for inputs, expected in _data(case, model):
        Runner.assert_similar_outputs(expected, list(prepared.run(inputs)), case.rtol, case.atol)


@pytest.mark.parametrize("name", [name for name in CASES if not _excluded(name)])
def test_case(name):
    _check(CASES[name])


@pytest.mark.parametrize("name", [name for name in CASES if _excluded(name)])
def test_what_is_excluded_fails_indeed(name):
    with pytest.raises((AssertionError, DataError, DTypeError, ShapeError)):
        _check(CASES[name])


def test_the_exclusions_are_few_and_used():
    out = [name for name in CASES if _excluded(name)]
    assert len(out) <= 9, out
    for pattern in EXCLUDED:
        assert any(re.search(pattern, name.split(":")[1]) for name in out), pattern


def test_the_count_does_not_shrink():
    """At onnx 1.23 there are 1183 cases; newer versions add to them."""
    version = tuple(int(part) for part in onnx.__version__.split(".")[:2])
    if version >= (1, 23):
        assert len(CASES) >= 1180
    assert all(f"node:test_lstm_{kind}" in CASES for kind in (
        "defaults", "with_initial_bias", "with_peepholes", "batchwise", "reverse", "bidirectional"
    ))  # fmt: skip
    assert {name.rpartition("::")[2] for name in OPERATORS} | {"Constant"} >= PROMISED


def test_the_runner_of_onnx_takes_the_backend():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test import BackendTest

        suite = BackendTest(Backend, __name__)
    suite.include(r"^test_lstm_\w+_cpu$")
    cases = suite.test_cases["OnnxBackendNodeModelTest"]
    names = [name for name in dir(cases) if re.match(r"test_lstm_\w+_cpu$", name)]
    assert len(names) == 6
    for name in names:
        getattr(cases(name), name)()


def test_a_single_node():
    node = onnx.helper.make_node("Gemm", ["a", "b", ""], ["y"], transB=1)
    a = np.arange(6, dtype="float32").reshape(2, 3)
    (y,) = Backend.run_node(node, [a, a])
    np.testing.assert_array_equal(y, a @ a.T)
    assert Backend.supports_device("CPU")
    assert not Backend.supports_device("CUDA")
