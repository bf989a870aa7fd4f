"""Weights in HDF5 and networks of ONNX that refer elsewhere or ask for much."""

# ruff: noqa: E501  (tables of files, a line or two each)

from __future__ import annotations

import io
from typing import Any

import numpy as np
import readers

from .odd import ESC, Made


def hdf5s() -> Made:
    """Yield HDF5 files that refer elsewhere, ask for much, or hold no numbers."""
    import h5py

    def made(change: Any, **options: Any) -> bytes:
        content = io.BytesIO()
        with (
            h5py.File(io.BytesIO(next(iter(readers.hdf5().values()))), "r") as whole,
            h5py.File(content, "w", **options) as file,
        ):
            for key in whole:
                whole.copy(key, file)
            change(file)
        return content.getvalue()

    place = "layers/dense/vars/0"

    def instead(*arguments: Any, **options: Any) -> Any:
        def change(file: Any) -> None:
            del file[place]
            file.create_dataset(place, *arguments, **options)

        return change

    def linked(link: Any) -> Any:
        def change(file: Any) -> None:
            del file[place]
            file[place] = link

        return change

    def cycle(file: Any) -> None:
        file["layers/self"] = file["layers"]

    def deep(file: Any) -> None:
        group = file
        for _ in range(500):
            group = group.create_group("g")

    def wide(file: Any) -> None:
        for i in range(3000):
            file.create_group(f"g{i}")

    def named(file: Any) -> None:
        file["layers/dense/vars"].attrs["name"] = ESC * 1000
        file.create_dataset(f"layers/{ESC}", data=np.ones(2, "f4"))

    def elsewhere(file: Any) -> None:
        del file[place]
        file.create_dataset(place, (4, 3), "f4", external=[("/etc/passwd", 0, 48)])

    def virtual(file: Any) -> None:
        del file[place]
        layout = h5py.VirtualLayout((4, 3), "f4")
        layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4, 3))
        file.create_virtual_dataset(place, layout)

    changes = {
        "soft": linked(h5py.SoftLink("/layers/dense_1/vars/0")), "external": linked(h5py.ExternalLink("/etc/passwd", "/x")),
        "cycle": cycle, "deep": deep, "wide": wide, "named": named, "elsewhere": elsewhere, "virtual": virtual,
        "huge": instead(shape=(1 << 40,), dtype="f4", chunks=(1 << 20,)), "chunk": instead(shape=(4, 3), maxshape=(None, None),
            chunks=(1 << 14, 1 << 14), dtype="f4", compression="gzip"),
        "zeros": instead(shape=(4, 3), dtype="f4"), "wide number": instead(shape=(4, 3), dtype="f8"), "text": instead(data="x"),
        "texts": instead(data=[["x"] * 3] * 4, dtype=h5py.string_dtype()), "long": instead(shape=(4, 3), dtype="S100000000"),
        "compound": instead(shape=(4, 3), dtype=[("a", "f4")]), "reference": instead(shape=(4, 3), dtype=h5py.ref_dtype),
        "lists": instead(shape=(4, 3), dtype=h5py.vlen_dtype("f4")), "empty": instead(data=h5py.Empty("f4")),
        "bool": instead(data=np.ones((4, 3), bool)), "complex": instead(data=np.ones((4, 3), "c8")),
        "array": instead(shape=(4, 3), dtype=np.dtype(("f4", (1000, 1000)))), "long double": instead(data=np.ones((4, 3), "g")),
        "scale": instead(shape=(4, 3), dtype="i4", chunks=(4, 3), scaleoffset=4), "half": instead(data=np.ones((4, 3), "f2")),
    }  # fmt: skip
    for name, change in changes.items():
        yield f"{name}.weights.h5", made(change)
    still = bytearray(next(iter(readers.hdf5().values())))
    heap = still.index(b"GCOL") + 16
    still[heap : heap + 16] = bytes(16)
    yield "heap.weights.h5", bytes(still)
    yield "block.weights.h5", made(lambda file: None, userblock_size=512)
    yield "latest.weights.h5", made(lambda file: None, libver="latest")


def onnxs() -> Made:
    """Yield networks that compute or claim too much, or point elsewhere."""
    import onnx
    from onnx import TensorProto, helper

    def model(nodes: Any, weights: Any = (), shape: Any = (2,), elem: int = TensorProto.FLOAT, **more: Any) -> bytes:
        x = helper.make_tensor_value_info("x", elem, shape)
        y = helper.make_tensor_value_info("y", elem, None)
        graph = helper.make_graph(nodes, "g", [x], [y], list(weights), **more)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()

    def tensor(name: str, values: Any, kind: int = TensorProto.INT64) -> Any:
        return helper.make_tensor(name, kind, [len(values)], values)

    big = tensor("big", [1 << 20, 1 << 20])
    node = helper.make_node
    yield "fill.onnx", model([node("ConstantOfShape", ["big"], ["c"]), node("Identity", ["c"], ["y"])], [big])
    yield "expand.onnx", model([node("Expand", ["x", "big"], ["y"])], [big], (1, 1))
    yield "tile.onnx", model([node("Tile", ["x", "n"], ["y"])], [tensor("n", [1 << 40])])
    yield (
        "tiles.onnx",
        model(
            [node("Concat", [f"v{i}"] * 64, [f"v{i + 1}"], axis=0) for i in range(8)]
            + [node("Identity", ["v8"], ["y"])],
            [tensor("v0", [1.0] * 8, TensorProto.FLOAT)],
        ),
    )
    yield "pad.onnx", model([node("Pad", ["x", "n"], ["y"])], [tensor("n", [1 << 40, 1 << 40])])
    yield "range.onnx", model([node("Range", ["a", "b", "c"], ["y"])], [
        helper.make_tensor(n, TensorProto.INT64, [], [v]) for n, v in (("a", 0), ("b", 1 << 40), ("c", 1))])  # fmt: skip
    yield (
        "resize.onnx",
        model([node("Resize", ["x", "", "s"], ["y"])], [tensor("s", [1.0, 1e9], TensorProto.FLOAT)], (1, 1)),
    )
    yield (
        "deep.onnx",
        model(
            [node("Identity", ["x" if i == 0 else f"n{i}"], [f"n{i + 1}" if i < 4999 else "y"]) for i in range(5000)]
        ),
    )
    inner = helper.make_graph([node("Identity", ["x"], ["z"])], "i", [], [helper.make_tensor_value_info("z", 1, None)])
    for _ in range(30):
        inner = helper.make_graph([node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)] if _ < 3 else
                                  [node("If", ["c"], ["z"], then_branch=inner)], "i", [],
                                  [helper.make_tensor_value_info("z", 1, None)])  # fmt: skip
    yield "branches.onnx", model([node("If", ["c"], ["y"], then_branch=inner)])
    away = tensor("w", [1.0, 2.0], TensorProto.FLOAT)
    away.ClearField("float_data")
    away.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "/etc/passwd"), ("offset", "0"), ("length", "8")):
        entry = away.external_data.add()
        entry.key, entry.value = key, value
    yield "away.onnx", model([node("Add", ["x", "w"], ["y"])], [away])
    for size in (-1, 1 << 62, 0):
        claim = tensor("w", [1.0, 2.0], TensorProto.FLOAT)
        claim.dims[0] = size
        yield f"claim {size}.onnx", model([node("Add", ["x", "w"], ["y"])], [claim])
    names = helper.make_tensor(ESC, TensorProto.FLOAT, [1], [1.0])
    yield "names.onnx", model([node("Add", ["x", "nothing" + ESC], ["y"], name=ESC)], [names])
    yield "names2.onnx", model([node(ESC, ["x"], ["y"], name=ESC, domain=ESC)])
    yield "texts.onnx", model([node("Identity", ["x"], ["y"])], elem=TensorProto.STRING)
    yield "conv.onnx", model([node("Conv", ["x", "w"], ["y"], strides=[1 << 60] * 2, dilations=[1 << 60] * 2)],
                             [helper.make_tensor("w", 1, [1, 1, 2, 2], [1.0] * 4)], (1, 1, 4, 4))  # fmt: skip
    yield (
        "pool.onnx",
        model([node("MaxPool", ["x"], ["y"], kernel_shape=[1 << 40] * 2, pads=[1 << 40] * 4)], (), (1, 1, 4, 4)),
    )
    yield "shape.onnx", model([node("Relu", ["x"], ["y"])], shape=(1 << 40, 1 << 40))
    yield "rank.onnx", model([node("Relu", ["x"], ["y"])], shape=(1,) * 70)
    nested = b"\x0a\x02\x08\x01"
    for _ in range(2000):
        nested = b"\x3a" + _varint(len(nested)) + nested
    yield "nested.onnx", nested
    yield "empty.onnx", b""
    yield "version.onnx", onnx.ModelProto(ir_version=1 << 60).SerializeToString()


def _varint(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes([*result, value])
