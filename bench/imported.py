"""Imported networks beside onnxruntime, one thread: python -m bench.imported [NAME ...] [--seconds S] [--bytes]

Files are made with onnx's helper: products with weights of 33 MB, perceptrons, recurrent and convolutional networks, at
batches of 1 and 32. The two sides take turns in short blocks; what counts is the median of the blocks' ratios. Times
are those of the thread, so that neighbours take part of the caches and of memory's speed, but no turns.

With --bytes each network is quantized (pynn.onnx.quantize), and is compared with itself in float32 and with onnxruntime
on the same bytes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

BLOCK = 0.02  # seconds
Network = tuple[list[Any], dict[str, np.ndarray], list[Any]]


def weights(*shape: int, terms: int) -> np.ndarray:
    """Random weights of products of so many terms."""
    return (np.random.default_rng(1).standard_normal(shape) / np.sqrt(terms)).astype(np.float32)


def gemm(terms: int, columns: int) -> Network:
    from onnx import helper

    held = {"w": weights(columns, terms, terms=terms), "b": weights(columns, terms=1)}
    return [helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)], held, ["n", terms]


def perceptron(*sizes: int) -> Network:
    from onnx import helper

    nodes, held, x = [], {}, "x"
    for i, (a, b) in enumerate(pairwise(sizes)):
        held[f"w{i}"], held[f"b{i}"] = weights(a, b, terms=a), weights(b, terms=1)
        nodes.append(helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], [f"z{i}"]))
        nodes.append(helper.make_node("Relu", [f"z{i}"], [x := f"a{i}"]))
    return [*nodes[:-2], helper.make_node("Gemm", [*nodes[-2].input], ["y"])], held, ["n", sizes[0]]


def recurrent(op: str, gates: int, units: int) -> Network:
    from onnx import helper

    held = {
        "w": weights(2, gates * units, units, terms=units),
        "r": weights(2, gates * units, units, terms=units),
        "b": weights(2, 2 * gates * units, terms=units),
    }
    more = {"linear_before_reset": 1} if op == "GRU" else {}
    node = helper.make_node(op, ["x", "w", "r", "b"], ["y"], direction="bidirectional", hidden_size=units, **more)
    return [node], held, ["t", "n", units]


def convolutional(channels: int, side: int, *layers: tuple[int, int]) -> Network:
    """3 x 3 kernels with so many outputs and such strides, a mean and a product."""
    from onnx import helper

    nodes, held, x, before = [], {}, "x", channels
    for i, (outputs, stride) in enumerate(layers):
        held[f"w{i}"], held[f"b{i}"] = weights(outputs, before, 3, 3, terms=9 * before), weights(outputs, terms=1)
        step = {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [stride] * 2}
        nodes.append(helper.make_node("Conv", [x, f"w{i}", f"b{i}"], [f"z{i}"], **step))
        nodes.append(helper.make_node("Relu", [f"z{i}"], [x := f"a{i}"]))
        before = outputs
    nodes += [helper.make_node("GlobalAveragePool", [x], ["p"]), helper.make_node("Flatten", ["p"], ["f"])]
    held["w"] = weights(before, 10, terms=before)
    return [*nodes, helper.make_node("MatMul", ["f", "w"], ["y"])], held, ["n", channels, side, side]


# Name: how it is made, and the values of n and t.
NETWORKS: dict[str, tuple[Callable[[], Network], list[dict[str, int]]]] = {
    "Gemm 1024-8210": (lambda: gemm(1024, 8210), [{"n": 1}, {"n": 15}, {"n": 480}]),
    "MLP 20-64-64-2": (lambda: perceptron(20, 64, 64, 2), [{"n": 1}, {"n": 32}]),
    "MLP 784-512-512-10": (lambda: perceptron(784, 512, 512, 10), [{"n": 1}, {"n": 32}]),
    "MLP 2048-2048-2048-10": (lambda: perceptron(2048, 2048, 2048, 10), [{"n": 1}, {"n": 32}]),
    "2-way LSTM 512": (lambda: recurrent("LSTM", 4, 512), [{"n": n, "t": t} for n in (1, 32) for t in (15, 40)]),
    "2-way LSTM 128": (lambda: recurrent("LSTM", 4, 128), [{"n": n, "t": 40} for n in (1, 32)]),
    "2-way GRU 256": (lambda: recurrent("GRU", 3, 256), [{"n": n, "t": 40} for n in (1, 32)]),
    "Conv 16-32-64, 28x28": (lambda: convolutional(1, 28, (16, 1), (32, 2), (64, 2)), [{"n": 1}, {"n": 32}]),
    "Conv 64-128-256-512, 32x32": (
        lambda: convolutional(3, 32, (64, 1), (128, 2), (256, 2), (512, 2)),
        [{"n": 1}, {"n": 32}],
    ),
}


def as_file(network: Network) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    nodes, held, shape = network
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    made.ir_version = 8
    return bytes(made.SerializeToString())


def taken(run: Callable[[], Any], times: int) -> float:
    start = time.thread_time()
    for _ in range(times):
        run()
    return (time.thread_time() - start) / times


def compared(ours: Callable[[], Any], theirs: Callable[[], Any], seconds: float) -> tuple[float, float, float]:
    """Median milliseconds of both sides, and the median of the ratios of neighbouring blocks."""
    for _ in range(3):
        ours()
        theirs()
    times = max(1, round(BLOCK / max(taken(ours, 1), 1e-6)))
    found, end = [], time.thread_time() + seconds
    while time.thread_time() < end or len(found) < 5:
        found.append((taken(ours, times), taken(theirs, times)))
    a, b = np.array(found).T
    return float(np.median(a)) * 1e3, float(np.median(b)) * 1e3, float(np.median(a / b))


def onnx_session(file: bytes) -> Any:
    """Return onnxruntime's session of a file, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def rows(names: list[str], seconds: float) -> Iterator[str]:
    import pynn

    pynn.set_num_threads(1)
    yield "| network | n | t | pynn, ms | onnxruntime, ms | pynn / onnxruntime |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, (make, sizes) in NETWORKS.items():
        if names and not any(part in name for part in names):
            continue
        network = make()
        file = as_file(network)
        session = onnx_session(file)
        model = pynn.onnx.loads(file)
        for size in sizes:
            shape = [size.get(d, d) for d in network[2]]
            x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
            ours, theirs = partial(model.run, x), partial(session.run, None, {"x": x})
            np.testing.assert_allclose(ours()[0], theirs()[0], rtol=1e-3, atol=1e-4)
            a, b, ratio = compared(ours, theirs, seconds)
            yield f"| {name} | {size['n']} | {size.get('t', '')} | {a:.3f} | {b:.3f} | {ratio:.2f} |"


def rows_of_bytes(names: list[str], seconds: float) -> Iterator[str]:
    """What quantized networks take beside the same in float32, and beside onnxruntime with the same bytes."""
    import pynn

    pynn.set_num_threads(1)
    yield "| network | n | bytes, ms | float32, ms | float32 / bytes | onnxruntime's bytes / bytes |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, (make, sizes) in NETWORKS.items():
        if (names and not any(part in name for part in names)) or "way" in name:
            continue
        network = make()
        model = pynn.onnx.loads(as_file(network))
        x = np.random.default_rng(3).standard_normal([64, *network[2][1:]]).astype(np.float32)
        small = pynn.onnx.quantize(model, x, convolutions=True)
        file = pynn.onnx.to_model(small).SerializeToString()
        session = onnx_session(file)
        (port,) = (i.name for i in session.get_inputs())
        for size in sizes:
            rows = np.random.default_rng(2).standard_normal([size["n"], *network[2][1:]]).astype(np.float32)
            ours = small.predict_fn()
            a, b, ratio = compared(partial(ours, rows), partial(model.predict_fn(), rows), seconds)
            _, _, beside = compared(partial(ours, rows), partial(session.run, None, {port: rows}), seconds)
            yield f"| {name} | {size['n']} | {a:.3f} | {b:.3f} | {1 / ratio:.2f} | {1 / beside:.2f} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of networks")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each row")
    parser.add_argument("--bytes", action="store_true", help="quantized networks, beside themselves in float32")
    arguments = parser.parse_args()
    for line in (rows_of_bytes if arguments.bytes else rows)(arguments.names, arguments.seconds):
        print(line, flush=True)
