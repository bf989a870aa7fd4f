"""Feed damaged and made-up ONNX files to the importer, guided by coverage, and run what it accepts.

    pip install atheris
    python tests/reliability/fuzz_onnx_import.py -max_total_time=1200 -rss_limit_mb=2048 -timeout=20 CORPUS

A file either becomes a network, which then runs and is saved, or gives an error of pynn; anything else, a hang or a
blow-up of memory included, is a finding. Bytes alone would hardly ever get past protobuf, so most mutations change a
parsed model: attributes, shapes, weights, the wiring, nodes of other models. CORPUS is filled with small models first,
if it is empty: those of ONNX's own tests of every operator that pynn runs, and networks that pynn wrote. Findings are
made small by ``-minimize_crash=1``; ``python tests/reliability/fuzz_onnx_import.py FILE`` runs one input again.
"""

from __future__ import annotations

import contextlib
import math
import random
import sys
import warnings
from pathlib import Path
from typing import Any

import atheris
import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests

import pynn.io
from pynn import nn
from pynn.errors import DataError, DTypeError, ShapeError

with atheris.instrument_imports(include=["pynn.onnx"]):
    import pynn.onnx
    from pynn.onnx import importer, network, reader, tensors, value  # noqa: F401
    from pynn.onnx.operators import OPERATORS

MAX_BYTES = 2**20  # of weights and of any one result
MOST_ELEMENTS = 2**12  # of a made-up input
SEED_BYTES = 4096
EDGES = (0, 1, -1, 2, 3, 5, 7, 8, 13, 255, 2**16, 100_003, 2**31 - 1, 2**31, -(2**31), 2**62, -(2**63), 2**63 - 1)
REALS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, float("inf"), -float("inf"), float("nan"))
TEXTS = ("", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "reflect", "edge", "wrap", "constant", "bidirectional",
         "reverse", "forward", "Relu", "Tanh", "Sigmoid", "tanh", "none", "DCR", "CRD", "x" * 300)  # fmt: skip


def one(data: bytes) -> None:
    """Load one model, run it on made-up inputs, and read what is written of it."""
    try:
        found = pynn.onnx.loads(data, max_bytes=MAX_BYTES)
        inputs = [made_up(dtype, sizes, len(data)) for _, dtype, sizes in found._plan.inputs]
        if all(x is not None for x in inputs):
            first = found.run(*inputs)
            again = pynn.io.loads(pynn.io.dumps(found)).run(*inputs)
            random_ones = any(node.op == "Dropout" for node in found._plan.nodes)
            if not random_ones and not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again)):  # noqa: B905
                raise AssertionError("the saved network computes something else")
    except (DataError, DTypeError, ShapeError):
        pass


def made_up(dtype: np.dtype, sizes: list[Any] | None, kind: int) -> np.ndarray | None:
    """Return an input of a declared shape, open sizes being 2 or 3; None if it is too large to be tried."""
    shape = [d if isinstance(d, int) else 2 + kind % 2 for d in ((2,) if sizes is None else sizes)]
    if math.prod(d or 1 for d in shape) > MOST_ELEMENTS or len(shape) > 6:
        return None
    count = math.prod(shape)
    if dtype.kind == "f":
        return np.linspace(-2, 2, count).astype(dtype).reshape(shape)
    values = np.arange(count) % (3 + kind % 5) - (kind % 7 == 0 and dtype.kind == "i")
    return values.astype(dtype).reshape(shape)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Return changed bytes: those of a changed model, or, at times, just changed bytes."""
    rng = random.Random(seed)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
        whole = len(model.graph.node) > 0
    except Exception:  # protobuf's, of which there are several
        whole = False
    if not whole:
        model.CopyFrom(rng.choice(POOL))
    elif rng.random() < 0.15:
        return atheris.Mutate(data, max_size)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        with contextlib.suppress(ValueError):  # earlier mutations left a name that is no text, or protobuf refuses
            rng.choice(MUTATIONS)(model, rng)
    changed = model.SerializeToString()
    return changed if len(changed) <= max_size else data[:max_size]


# Mutations of a parsed model. Each takes the model and a source of chance, and changes the model in place.


def _some_node(model: Any, rng: random.Random) -> Any:
    return rng.choice(model.graph.node) if len(model.graph.node) else model.graph.node.add(op_type="Relu")


def _names(model: Any) -> list[str]:
    graph = model.graph
    found = [v.name for v in (*graph.input, *graph.initializer)] + [o for n in graph.node for o in n.output]
    return [name for name in found if name] or ["x"]


def _number(rng: random.Random, near: int = 0) -> int:
    small = near + rng.choice((-2, -1, 1, 2))
    return rng.choice(EDGES) if rng.random() < 0.5 or abs(small) >= 2**63 else small


def change_attribute(model: Any, rng: random.Random) -> None:
    """Change one value of an attribute, or the number of its values."""
    node = _some_node(model, rng)
    if not len(node.attribute):
        return add_attribute(model, rng)
    a = rng.choice(node.attribute)
    if a.type == onnx.AttributeProto.INTS and len(a.ints) and rng.random() < 0.7:
        at = rng.randrange(len(a.ints))
        a.ints[at] = _number(rng, a.ints[at])
    elif a.type == onnx.AttributeProto.INTS:
        a.ints.append(_number(rng)) if rng.random() < 0.5 or not len(a.ints) else a.ints.pop()
    elif a.type == onnx.AttributeProto.INT:
        a.i = _number(rng, a.i)
    elif a.type == onnx.AttributeProto.FLOAT:
        a.f = rng.choice(REALS)
    elif a.type == onnx.AttributeProto.STRING:
        a.s = rng.choice(TEXTS).encode() if rng.random() < 0.9 else b"\xff\xfe"
    elif a.type == onnx.AttributeProto.TENSOR:
        _change_tensor(a.t, rng)
    elif len(a.strings):
        a.strings[rng.randrange(len(a.strings))] = rng.choice(TEXTS).encode()
    elif len(a.floats):
        a.floats[rng.randrange(len(a.floats))] = rng.choice(REALS)
    return None


def add_attribute(model: Any, rng: random.Random) -> None:
    """Give a node an attribute of another one, of any model."""
    _some_node(model, rng).attribute.add().CopyFrom(rng.choice(ATTRIBUTES))


def drop_attribute(model: Any, rng: random.Random) -> None:
    """Take an attribute from a node, or change its type."""
    node = _some_node(model, rng)
    if len(node.attribute):
        at = rng.randrange(len(node.attribute))
        if rng.random() < 0.7:
            del node.attribute[at]
        else:
            node.attribute[at].type = rng.randrange(15)


def change_operator(model: Any, rng: random.Random) -> None:
    """Make a node one of another operator."""
    _some_node(model, rng).op_type = rng.choice(NAMES)


def rewire(model: Any, rng: random.Random) -> None:
    """Change what a node takes or gives."""
    node, names = _some_node(model, rng), _names(model)
    way = rng.randrange(5)
    if way == 0 and len(node.input):
        node.input[rng.randrange(len(node.input))] = rng.choice([*names, ""])
    elif way == 1:
        node.input.append(rng.choice([*names, ""]))
    elif way == 2 and len(node.input):
        node.input.pop()
    elif way == 3 and len(node.output):
        model.graph.output.add().CopyFrom(onnx.helper.make_empty_tensor_value_info(rng.choice(node.output)))
    else:
        node.output.append(f"more{rng.randrange(100)}")


def insert_node(model: Any, rng: random.Random) -> None:
    """Append a node of any model, which takes values of this one and gives another output."""
    other = rng.choice(POOL)
    node, names = model.graph.node.add(), _names(model)
    node.CopyFrom(rng.choice(other.graph.node))
    known = {t.name: t for t in other.graph.initializer}
    for i, name in enumerate(node.input):
        if name in known and rng.random() < 0.7:
            t = model.graph.initializer.add()
            t.CopyFrom(known[name])
            t.name = node.input[i] = f"w{len(model.graph.initializer)}"
        elif name:
            node.input[i] = rng.choice(names)
    for i in range(len(node.output)):
        node.output[i] = f"n{len(model.graph.node)}_{i}" if node.output[i] else ""
    if len(node.output) and node.output[0]:
        model.graph.output.add().CopyFrom(onnx.helper.make_empty_tensor_value_info(node.output[0]))


def drop_node(model: Any, rng: random.Random) -> None:
    """Remove a node."""
    if len(model.graph.node) > 1:
        del model.graph.node[rng.randrange(len(model.graph.node))]


def change_weight(model: Any, rng: random.Random) -> None:
    """Change an initializer, or make an input one."""
    graph = model.graph
    if len(graph.initializer) and rng.random() < 0.7:
        _change_tensor(rng.choice(graph.initializer), rng)
    elif len(graph.input):
        at = rng.randrange(len(graph.input))
        shape = [rng.choice((0, 1, 2, 3, 4)) for _ in range(rng.randrange(5))]
        dtype = rng.choice(("float32", "float32", "int64", "int32", "float64", "bool"))
        values = np.arange(int(np.prod(shape, dtype=int))).reshape(shape).astype(dtype)
        graph.initializer.add().CopyFrom(onnx.numpy_helper.from_array(values, graph.input[at].name))
        del graph.input[at]


def change_input(model: Any, rng: random.Random) -> None:
    """Change the declared shape or dtype of an input."""
    if not len(model.graph.input):
        return
    tensor = rng.choice(model.graph.input).type.tensor_type
    dims, way = tensor.shape.dim, rng.randrange(5)
    if way == 0 and len(dims):
        del dims[rng.randrange(len(dims))]
    elif way == 1:
        dims.add().dim_value = rng.choice((0, 1, 2, 3, 5))
    elif way == 2:
        tensor.elem_type = rng.choice((1, 1, 11, 7, 6, 9, 2, 3, 10, 99))
    elif len(dims):
        dim = rng.choice(dims)
        dim.dim_value = rng.choice((0, 1, 2, 3, 4, 8, _number(rng)))


def change_version(model: Any, rng: random.Random) -> None:
    """Change the set of operators."""
    if len(model.opset_import):
        model.opset_import[0].version = rng.choice((*range(1, 26), 10**9, -1))


def _change_tensor(t: Any, rng: random.Random) -> None:
    way = rng.randrange(7)
    if way == 0 and len(t.dims):
        at = rng.randrange(len(t.dims))
        t.dims[at] = _number(rng, t.dims[at])
    elif way == 1:
        t.data_type = rng.randrange(24)
    elif way == 2 and len(t.raw_data):
        raw = bytearray(t.raw_data)
        size = 8 if t.data_type == onnx.TensorProto.INT64 else 4
        at = rng.randrange(len(raw)) // size * size
        new = np.array(_number(rng) if size == 8 else rng.choice(REALS), "int64" if size == 8 else "float32").tobytes()
        raw[at : at + size] = new
        t.raw_data = bytes(raw)
    elif way == 3 and len(t.dims):
        t.dims.pop()
    elif way == 4:
        t.dims.append(rng.choice((0, 1, 1, 1, 2)))
    elif way == 5 and len(t.int64_data):
        t.int64_data[rng.randrange(len(t.int64_data))] = _number(rng)
    else:  # other values, of a shape that goes with them
        shape = [rng.choice((0, 1, 2, 3)) for _ in range(rng.randrange(4))]
        values = np.array([_number(rng) for _ in range(int(np.prod(shape, dtype=int)))], "int64").reshape(shape)
        wanted = rng.choice(("int64", "int64", "float32"))
        t.CopyFrom(onnx.numpy_helper.from_array(values.astype(wanted), t.name))


MUTATIONS = [change_attribute] * 4 + [rewire] * 2 + [change_weight] * 3 + [change_input] * 3 + [
    add_attribute, drop_attribute, change_operator, insert_node, drop_node, change_version,
]  # fmt: skip
NAMES = sorted(OPERATORS)


def networks() -> list[nn.Module]:
    """Return small models of many kinds of layers, for the exporter to write."""
    ids, image, series = nn.Input((5,)), nn.Input((6, 6, 2)), nn.Input((4, 3))
    return [
        nn.Sequential(
            [nn.Input((3,)), nn.Dense(4, activation="gelu"), nn.Dropout(0.5), nn.Dense(2, activation="softmax")]
        ),
        nn.Sequential([image, nn.Conv2D(3, 3, padding="same"), nn.BatchNormalization(), nn.MaxPool2D(2), nn.Flatten()]),
        nn.Sequential([image, nn.DepthwiseConv2D(3), nn.Activation("leaky_relu"), nn.AvgPool2D(2), nn.GlobalMaxPool()]),
        nn.Sequential([image, nn.Conv2DTranspose(2, 3, strides=2), nn.ZeroPadding2D(1), nn.UpSampling2D(2)]),
        nn.Sequential([series, nn.Conv1D(2, 2), nn.LayerNormalization(), nn.Flatten(), nn.Dense(2)]),
        nn.Sequential([ids, nn.Embedding(7, 2, mask_zero=True), nn.Bidirectional(nn.LSTM(2)), nn.Dense(1)]),
        nn.Sequential([series, nn.GRU(2, return_sequences=True), nn.SimpleRNN(2), nn.Reshape((1, 2))]),
    ]


def seeds() -> list[Any]:
    """Return models to begin with."""
    found = [pynn.onnx.to_model(model) for model in networks()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of operators that pynn does not run are made too
        for case in load_model_tests(kind="node"):
            if case.model is not None and {node.op_type for node in case.model.graph.node} <= set(OPERATORS):
                found.append(case.model)
    return [model for model in found if model.ByteSize() <= SEED_BYTES and len(model.graph.node)]


POOL = seeds()
ATTRIBUTES = [a for model in POOL for node in model.graph.node for a in node.attribute]


def main() -> None:
    """Fuzz with the arguments of libFuzzer."""
    for folder in (Path(word) for word in sys.argv[1:] if not word.startswith("-")):
        if folder.is_file():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            for i, model in enumerate(POOL):
                (folder / f"seed-{i}").write_bytes(model.SerializeToString())
    arguments = sys.argv if any(word.startswith("-max_len") for word in sys.argv) else [*sys.argv, "-max_len=8192"]
    atheris.Setup(arguments, one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
