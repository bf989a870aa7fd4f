"""Predictions that are compared: one row through a small perceptron, including the call from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .side import Side, Unavailable
from .workloads import perceptron


@dataclass(frozen=True)
class Prediction:
    """One row through a perceptron with relu. `target` is the least ratio (best peer / pynn)."""

    name: str
    sizes: tuple[int, ...]
    target: float

    def weights(self) -> list[tuple[np.ndarray, ...]]:
        return perceptron(self.name, self.sizes, "relu", 1, "sgd", self.target).weights()

    def sides(self, threads: int, skipped: Callable[[str, Exception], None]) -> Iterator[Side]:
        """pynn, and every peer that can run here."""
        yield from pynn_sides(self, threads)
        for source in PEERS:
            try:
                yield from source(self, threads)
            except (ImportError, Unavailable) as error:
                skipped(source.__name__.removesuffix("_sides"), error)

    def row(self) -> np.ndarray:
        return np.random.default_rng(2).standard_normal((1, self.sizes[0]), np.float32)


# 5 us where NumPy took 6.4
PREDICTIONS = (Prediction("One row predicted, MLP 20-64-64-2", (20, 64, 64, 2), 1.28),)


def calling(name: str, function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> Side:
    def run(times: int) -> None:
        for _ in range(times):
            function(x)

    return Side(name, run, lambda: np.asarray(function(x)))


def pynn_sides(prediction: Prediction, threads: int) -> Iterator[Side]:
    """What predict_fn() returns, and predict()."""
    import pynn
    from pynn import nn

    pynn.set_num_threads(threads)
    hidden = [nn.Dense(n, activation="relu") for n in prediction.sizes[1:-1]]
    model = nn.Sequential([nn.Input(prediction.sizes[:1]), *hidden, nn.Dense(prediction.sizes[-1])])
    model.build((1, prediction.sizes[0]))
    model.set_weights([w for layer in prediction.weights() for w in layer])
    x = prediction.row()
    yield calling("pynn", model.predict_fn(), x)
    yield calling("pynn predict", model.predict, x)


def numpy_sides(prediction: Prediction, threads: int) -> Iterator[Side]:
    """The products and sums as anyone would write them."""
    *hidden, (last_w, last_b) = prediction.weights()

    def predict(x: np.ndarray) -> np.ndarray:
        for w, b in hidden:
            x = np.maximum(x @ w + b, 0)
        return x @ last_w + last_b

    yield calling("numpy", predict, prediction.row())


def torch_sides(prediction: Prediction, threads: int) -> Iterator[Side]:
    """From array to array, in inference mode."""
    import torch

    torch.set_num_threads(threads)
    layers: list[torch.nn.Module] = []
    for w, b in prediction.weights():
        linear = torch.nn.Linear(*w.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w.T.copy()))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1]).eval()

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(x)).numpy()

    yield calling("torch eager", predict, prediction.row())


def onnxruntime_sides(prediction: Prediction, threads: int) -> Iterator[Side]:
    """The same layers as Gemm and Relu of an ONNX model."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, name = [], [], "x"
    weights = prediction.weights()
    for i, (w, b) in enumerate(weights):
        constants += [numpy_helper.from_array(w, f"w{i}"), numpy_helper.from_array(b, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [f"z{i}"]))
        name = f"z{i}"
        if i + 1 < len(weights):
            nodes.append(helper.make_node("Relu", [name], [f"y{i}"]))
            name = f"y{i}"
    ends = [
        helper.make_tensor_value_info(end, TensorProto.FLOAT, [None, n])
        for end, n in (("x", prediction.sizes[0]), (name, prediction.sizes[-1]))
    ]
    graph = helper.make_graph(nodes, "perceptron", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    yield calling("onnxruntime", lambda x: session.run(None, {"x": x})[0], prediction.row())


PEERS = (numpy_sides, torch_sides, onnxruntime_sides)
