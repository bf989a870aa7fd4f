"""Files made on purpose: of sizes beyond reason, bombs, deep nesting, odd encodings, names that move a terminal.

``files(reader)`` returns the names and contents for a reader of readers.py; the same ones every time.
"""

# ruff: noqa: E501  (tables of files, a line or two each)
from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import readers

ESC = "\x1b[31mred\n\u202e"
BOMB = 80 << 20  # more than readers.small_sizes allows
Made = Iterator[tuple[str, bytes]]


class Command:
    """What a pickle runs, if anything unpickles it."""

    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


@functools.cache
def zeros(form: str) -> bytes:
    """Return a packed bomb of zeros."""
    if form == "gz":
        return gzip.compress(bytes(1 << 20), mtime=0) * (BOMB >> 20)
    if form == "bz2":
        return bz2.compress(bytes(1 << 20)) * (BOMB >> 20)
    return lzma.compress(bytes(1 << 20), preset=0) * (BOMB >> 20)


@functools.cache
def bomb(inside: str) -> bytes:
    """Return an archive whose member is a bomb."""
    return readers.zipped({inside: bytes(BOMB)})


def odd_texts(suffix: str, whole: bytes) -> Made:
    """Yield texts that are odd, whatever they should hold."""
    text = whole.decode()
    for name, data in {
        "empty": b"", "nul": bytes(1000), "mark": b"\xef\xbb\xbf" + whole, "cr": whole.replace(b"\n", b"\r"),
        "utf16": text.encode("utf-16"), "utf32": text.encode("utf-32"), "latin": "é".encode("latin-1") * 9 + whole,
        "newlines": b"\n" * 200_000, "line": b"x" * (3 << 20), "commas": b"," * (1 << 20), "quote": b'"' + whole,
        "blanks": b" " * (1 << 20), "surrogate": b"\xed\xa0\x80" + whole, "separators": "\u2028\x1c\x85".encode() * 9,
        "digits": b"9" * 6000 + b" " + whole, "arabic": "٣ ٣\n".encode() + whole, "esc": ESC.encode() + whole,
        "long digits": b"9" * 6000 + b" 3\n" + whole, "nan": b"nan,inf,-inf\n" * 3, "hex": b"0x10,1_0,1e5\n" * 3,
    }.items():  # fmt: skip
        yield f"{name}{suffix}", data


def packed_texts(whole: bytes) -> Made:
    """Yield packed texts that are bombs, cut or followed by something."""
    for form, pack in (("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)):
        packed = pack(whole)
        yield f"bomb.{form}", packed + zeros(form)
        yield f"zeros.{form}", zeros(form)
        yield f"cut.{form}", packed[:-3]
        yield f"more.{form}", packed + b"and more"
        yield f"twice.{form}", pack(pack(whole))
        yield f"empty.{form}", pack(b"")
        yield f"word.{form}", pack(b"x" * (5 << 20))


def headers(whole: bytes) -> Made:
    """Yield safetensors whose headers are beyond reason."""
    length = int.from_bytes(whole[:8], "little")
    body, head = whole[8 + length :], json.loads(whole[8 : 8 + length])

    def made(header: Any) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + body

    first = next(key for key in head if key != "__metadata__")
    for name, header in {
        "deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "unclosed": b"{" * 1_000_000, "quote": b'{"' + b"\\" * 999_999,
        "twice": json.dumps(head).encode()[:-1] + b',"' + first.encode() + b'":1}', "number": b'{"a":' + b"9" * 9999 + b"}",
        "nan": b'{"a": NaN}', "utf16": json.dumps(head).encode("utf-16"), "list": b"[]", "none": b"{}",
        "huge": {**head, first: {"dtype": "F32", "shape": [1 << 61], "data_offsets": [0, 1 << 63]}},
        "zero": {**head, "z": {"dtype": "F32", "shape": [0, 1 << 61, 1 << 61], "data_offsets": [len(body)] * 2}},
        "rank": {**head, "z": {"dtype": "F32", "shape": [0] * 70, "data_offsets": [len(body)] * 2}},
        "many": {**head, **{f"t{i}": {"dtype": "U8", "shape": [0], "data_offsets": [len(body)] * 2} for i in range(9999)}},
        "esc": {**head, ESC: {"dtype": "U8", "shape": [0], "data_offsets": [len(body)] * 2}},
        "texts": {**head, "__metadata__": {**head.get("__metadata__", {}), ESC: ESC, "x" * 9999: "y" * 99_999}},
        "objects": {**head, "__metadata__": [1]},
    }.items():  # fmt: skip
        yield f"{name}.pynn", made(header)
    yield "length.pynn", (2**63).to_bytes(8, "little") + b"{" + bytes(99)
    yield "cut.pynn", whole[:-1]
    yield "more.pynn", whole + b"\0"
    yield "pickle.pynn", pickle.dumps(Command())
    yield "zip.pynn", readers.zipped({"data.pkl": pickle.dumps(Command()), **{f"{i}{ESC}": b"" for i in range(50)}})


def records() -> Made:
    """Yield model files, digests included, whose records ask for much."""
    from pynn.io import container

    for name, data in readers.models().items():
        found = container.unpack(data, "")
        texts = {key: text for key, text in found.metadata.items() if key != container.DIGEST}
        for part in ("architecture", "training", "metadata"):
            if part not in texts:
                continue
            for kind, text in {
                "deep": '{"a":' * 5000 + "1" + "}" * 5000, "wide": json.dumps({"a": [0] * 300_000}), "null": "null",
                "esc": texts[part].replace('"name"', f'"{ESC.encode("unicode_escape").decode()}"').replace("\\x", "\\u00"),
                "long": texts[part].replace('"', '"' + "x" * 200, 9), "cut": texts[part][:-1],
                "number": texts[part].replace("3", "9" * 5000, 1), "big": texts[part].replace("3", str(2**62)),
            }.items():  # fmt: skip
                packed = container.pack(found.tensors, {**texts, part: text})
                try:
                    yield f"{part}-{kind}-{name}", b"".join(packed)
                except ValueError:
                    continue


def wide_zips(inside: str, member: bytes) -> Made:
    """Yield archives that unpack to too much, or whose directory lies."""
    yield "bomb.keras", bomb(inside)
    lying = bytearray(bomb(inside))
    at = lying.index(b"PK\x01\x02")
    lying[at + 24 : at + 28] = struct.pack("<I", 1000)
    yield "lying.keras", bytes(lying)
    yield "many.keras", readers.zipped({**{f"{i}": b"" for i in range(20_000)}, inside: member})
    yield "names.keras", readers.zipped({f"../{ESC}": b"x", "/etc/passwd": b"x", inside: member})
    yield "nested.keras", readers.zipped({inside: readers.zipped({inside: member})})
    locked = bytearray(readers.zipped({inside: member}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(mark) + offset] |= 1
    yield "locked.keras", bytes(locked)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            archive.writestr(inside, member)
    yield "thrice.keras", content.getvalue()
    yield "none.keras", readers.zipped({})
    packed = bytearray(readers.zipped({inside: member * 50}, zipfile.ZIP_LZMA))
    packed[len(packed) // 3] ^= 255
    yield "lzma.keras", bytes(packed)
    for place, value in ((20, 2**32 - 2), (24, 2**32 - 2), (42, 2**31), (10, 99)):  # of a record: sizes, offset, method
        moved = bytearray(readers.zipped({inside: member}))
        struct.pack_into("<H" if place == 10 else "<I", moved, moved.index(b"PK\x01\x02") + place, value)
        yield f"record {place}.keras", bytes(moved)
    early = bytearray(readers.zipped({inside: member}))
    struct.pack_into("<I", early, early.index(b"PK\x05\x06") + 16, 2**31)
    yield "directory.keras", bytes(early)
    new = bytearray(readers.zipped({inside: member}))
    new[new.index(b"PK\x01\x02") + 6] = 255
    yield "version.keras", bytes(new)
    strange = readers.zipped({"aé": b"", inside: member})
    yield "name.keras", strange.replace("é".encode(), b"\xff\xff")


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


def word_vectors() -> Made:
    """Yield vectors whose first lines lie."""
    rows = b"king 1 2 3\nqueen 4 5 6\n"
    for name, head in {
        "many": b"999999999999 3\n", "wide": b"2 999999999\n", "negative": b"-1 3\n", "none": b"0 0\n", "real": b"2.0 3\n",
        "both": b"99999999 99999999\n", "zero": b"2 0\n",
    }.items():  # fmt: skip
        yield f"{name}.txt", head + rows
        yield f"{name}.gz", gzip.compress(head + rows)
        yield f"{name}.bin", head + b"king " + bytes(12) + b"\nqueen " + b"\xff" * 12
    yield "bomb.gz", gzip.compress(b"2 3\n") + gzip.compress(b"king 1 2 3\n" * 100_000) * 10
    yield "zeros.gz", gzip.compress(b"2 3\nking ") + zeros("gz")
    yield "twice.txt", b"2 3\n" + b"king 1 2 3\n" * 2
    yield "word.bin", b"1 3\n" + b"x" * (3 << 20)
    yield "nan.txt", b"1 3\nking nan inf 1e999\n"
    yield "esc.txt", f"1 3\n{ESC.split()[0]} 1 2 x\n".encode()
    yield "esc twice.txt", b"2 3\n" + b"\x1b[31m 1 2 3\n" * 2
    yield from odd_texts(".txt", b"2 3\n" + rows)


def jsons(whole: bytes) -> Made:
    """Yield JSON that is odd."""
    table = json.loads(whole)
    for name, change in {
        "deep": b"[" * 100_000, "deep table": b'{"a":' * 100_000, "nan": b'{"format": NaN}', "number": b"9" * 9999,
        "many": {**table, "words": [str(i) for i in range(200_000)]}, "one": {**table, "words": [ESC, ESC]},
        "types": {**table, "words": {"a": 1}}, "huge": {**table, "num_words": 10**400}, "negative": {**table, "num_words": -5},
        "surrogate": whole.replace(b"to", b"\\ud800"), "twice": whole[:-2] + b',"words":[]}', "unknown": {**table, ESC: 1},
        "filters": {**table, "filters": "x" * 1_000_000}, "level": {**table, "level": ESC}, "version": {**table, "version": 1 << 70},
    }.items():  # fmt: skip
        yield f"{name}.json", change if isinstance(change, bytes) else json.dumps(change).encode()
    yield from odd_texts(".json", whole)


def idxs() -> Made:
    """Yield IDX files of impossible sizes."""
    for name, data in {
        "rank": bytes([0, 0, 8, 255]) + b"\0\0\0\1" * 255, "huge": bytes([0, 0, 8, 3]) + b"\xff" * 12,
        "zero": bytes([0, 0, 8, 3]) + bytes(4) + b"\xff" * 8, "kind": bytes([0, 0, 9, 1, 0, 0, 0, 1, 255]), "none": b"\0\0\x08\0",
        "nan": bytes([0, 0, 13, 1, 0, 0, 0, 1]) + b"\xff" * 4, "empty": b"", "text": b"hello", "wide": bytes([0, 0, 14, 1]) + b"\x7f" * 4,
    }.items():  # fmt: skip
        yield name, data
        yield f"{name}.gz", gzip.compress(data)
    yield "bomb.gz", gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 3 << 30)) + zeros("gz")
    yield "short.gz", gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 16)) + zeros("gz")


def tars(members: dict[str, bytes]) -> Made:
    """Yield archives with odd members."""
    plain = readers.tarred(members)
    name, data = next(iter(members.items()))

    def entry(
        name: str, size: int = 0, kind: bytes = b"0", link: str = "", form: int = tarfile.GNU_FORMAT, **pax: str
    ) -> bytes:
        info = tarfile.TarInfo(name)
        info.size, info.type, info.linkname, info.pax_headers = size, kind, link, dict(pax)
        return info.tobuf(form, "utf-8", "surrogateescape")

    for what, start in {
        "huge": entry(name, 1 << 40), "link": entry(name, kind=b"2", link="/etc/passwd"), "hard": entry(name, kind=b"1", link=name),
        "self": entry(name, kind=b"2", link=name), "device": entry(name, kind=b"3"), "pipe": entry(name, kind=b"6"),
        "folder": entry(name, kind=b"5"), "sparse": entry(name, 512, b"S") + bytes(512), "long": entry("x" * 100_000),
        "esc": entry(ESC, len(data)) + data.ljust(512, b"\0")[:512], "up": entry("../../" + name, 1),
        "pax": entry(name, form=tarfile.PAX_FORMAT, path="a\0b"), "records": entry("x", form=tarfile.PAX_FORMAT, **{
            f"k{i}": "v" * 99 for i in range(2000)}), "unknown": entry(name, kind=b"Z"),
        "map": entry("s", form=tarfile.PAX_FORMAT, **{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name,
            "GNU.sparse.realsize": str(1 << 50)}),
    }.items():  # fmt: skip
        yield f"{what}.tar", start + plain
        yield f"{what}.tar.gz", gzip.compress(start + plain, 1)
    negative = entry("x" * 200, form=tarfile.PAX_FORMAT, comment="9").replace(b"comment=9", b"size=-100")
    yield "negative.tar", negative + plain
    yield "many.tar.gz", gzip.compress(b"".join(entry(f"{i}") for i in range(5000)) + plain, 1)
    head = bytearray(entry("x" * 200)[:512])
    head[124:136] = b"%011o\0" % (200 << 20)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    yield "header.tar.gz", gzip.compress(bytes(head)) + zeros("gz")
    yield "zeros.tar.gz", zeros("gz")
    yield "zeros.tar.xz", zeros("xz")
    yield "none.tar", bytes(10240)
    yield "text.tar.gz", gzip.compress(b"no archive" * 999)
    yield "zip.tar", readers.zipped(members)


def pickles() -> Made:
    """Yield archives of arrays whose pickles run something or grow beyond reason."""
    whole = readers.keras_reviews()["imdb.npz"]
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    good = members["x_train.npy"]
    head = good[: good.index(b"\n") + 1]
    lists = b"]\x94" + b"(" + b"h\0" * 200 + b"e"
    grown = b"\x80\x04]q\0" + b"".join(b"]q%c(" % (i + 1) + b"h%c" % i * 10 + b"e" for i in range(20)) + b"."
    for name, data in {
        "run": pickle.dumps(Command()), "global": b"cos\nsystem\n(S'touch ran'\ntR.", "lists": b"\x80\x04" + lists + b".",
        "grown": grown, "deep": b"\x80\x04" + b"(" * 100_000, "tuples": b"\x80\x04)" + b"\x85" * 100_000 + b".",
        "long": b"\x80\x04\x8a\xff" + b"\xff" * 255 + b".", "put": b"\x80\x04Nr\xff\xff\xff\xff.", "bytes": b"\x80\x04B\xff\xff\xff\xff.",
        "esc": b"c" + ESC.split("\n")[0].encode() + b"\nx\n.", "ids": pickle.dumps([[2**31] * 3]), "cut": good[len(head) : -9],
        "nan": pickle.dumps([["a"]]), "frame": b"\x80\x04\x95" + b"\xff" * 8 + b".",
    }.items():  # fmt: skip
        yield f"{name}.npz", readers.zipped({**members, "x_train.npy": head + data})
    yield "bomb.npz", readers.zipped({**members, "x_train.npy": head + bytes(BOMB)})
    yield "labels.npz", readers.zipped({**members, "y_train.npy": members["y_train.npy"].replace(b"(2,)", b"(-2,)")})
    for name, head_ in npy_heads():
        yield (
            f"{name}z",
            readers.zipped({**members, "y_train.npy": head_ + bytes(16), "x_train.npy": head_ + good[len(head) :]}),
        )


def npy_heads() -> Made:
    """Yield headers of arrays that no array has."""

    def head(text: str, version: int = 1) -> bytes:
        data = text.encode("latin-1", "replace")
        return b"\x93NUMPY" + bytes([version, 0]) + len(data).to_bytes(2 if version == 1 else 4, "little") + data

    form = "{'descr': %s, 'fortran_order': False, 'shape': %s}"
    for name, (descr, shape) in {
        "huge": ("'<f8'", "(1 << 40,)"), "big": ("'<f8'", f"({1 << 50},)"), "zero": ("'<f8'", f"(0, {1 << 62}, {1 << 62})"),
        "rank": ("'<f8'", "(" + "1," * 200 + ")"), "object": ("'|O'", "(2,)"), "void": ("'|V100000000'", "(2,)"),
        "record": ("[('a', '<f8')]", "(2,)"), "nested": ("[('a', " * 50 + "'<f8'" + ")]" * 50, "(2,)"), "half": ("'<f2'", "(2, 3)"),
        "long double": ("'<f16'", "(2,)"), "complex": ("'<c8'", "(2, 3)"), "time": ("'<M8[s]'", "(2, 3)"), "text": ("'<U9999'", "(2,)"),
        "bool": ("'|b1'", "(2, 3)"), "code": ("__import__('os').system('touch ran')", "(2,)"), "plus": ("'<f8'", "(1" + "+1" * 5000 + ",)"),
        "negative": ("'<f8'", "(-6,)"), "true": ("'<f8'", "(True, True)"), "float": ("'<f8'", "(2.0,)"), "digits": ("'<f8'", "9" * 5000),
    }.items():  # fmt: skip
        yield f"{name}.npy", head(form % (descr, shape) + "\n")
    yield "deep.npy", head("(" * 5000)
    yield "long.npy", head("{" + " " * (3 << 20) + "}", 2)
    yield "version.npy", head("{}", 9)
    yield "empty.npy", head("")


def arrays() -> Made:
    """Yield arrays that are odd."""
    for name, head in npy_heads():
        yield name, head + bytes(24)
    yield "pickle.npy", _saved(np.array([Command()], object))
    yield "nan.npy", _saved(np.full((2, 3), np.nan))
    yield "zip.npy", readers.cached()["cached.npz"]
    yield "none.npy", b""
    yield "long double.npy", _saved(np.ones((2, 3), "g"))
    yield "scalar.npy", _saved(np.array(1.0))
    yield "no rows.npy", _saved(np.ones((0, 3)))


def _saved(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def caches() -> Made:
    """Yield files of the cache that are odd."""
    for name, head in npy_heads():
        yield f"{name}.npz", readers.zipped({"a.npy": head + bytes(32), "b.npy": head})
    yield "bomb.npz", readers.zipped({"a.npy": _saved(np.zeros(BOMB >> 3)), "b.npy": b""})
    yield "pickle.npz", readers.zipped({"a.npy": _saved(np.array([Command()], object)), "b.npy": b""})
    yield "names.npz", readers.zipped({ESC: b"", "a": b""})
    yield "pickle", pickle.dumps(Command())


def digits() -> Made:
    """Yield tables of images that are odd."""
    whole = readers.digit_tables()["train.csv"]
    yield from odd_texts(".csv", whole)
    yield from packed_texts(whole)
    head, row = whole.split(b"\n")[:2]
    yield "rows.csv.gz", gzip.compress(head + b"\n") + gzip.compress((row + b"\n") * 400) * 200
    yield "cells.csv", head + b"\n" + row.replace(b",7,", b",256,") + b"\n"
    yield "label.csv", head + b"\n" + b"99" + row[1:] + b"\n"
    yield "quoted.csv", head + b"\n" + b",".join(b'"%s"' % c for c in row.split(b",")) + b"\n"
    yield "header.csv", (ESC + "," * 784 + "\n").encode()


def waves() -> Made:
    """Yield sounds that are odd."""

    def made(
        form: bytes, data: bytes = bytes(64), start: bytes = b"RIFF", before: bytes = b"", size: int | None = None
    ) -> bytes:
        order = ">" if start == b"RIFX" else "<"
        body = b"WAVE" + before + b"fmt " + struct.pack(order + "I", len(form)) + form + b"data"
        body += struct.pack(order + "I", len(data) if size is None else size) + data
        return start + struct.pack(order + "I", len(body)) + body

    def form(
        kind: int = 1, channels: int = 1, rate: int = 8000, bytes_: int = 16000, block: int = 2, bits: int = 16
    ) -> bytes:
        return struct.pack("<HHIIHH", kind, channels, rate, bytes_ % 2**32, block % 2**16, bits)

    for name, data in {
        "channels": made(form(channels=65535, block=65535 * 2, bytes_=8000 * 131070)), "none": made(form(channels=0, block=0, bytes_=0)),
        "rate": made(form(rate=0, bytes_=0)), "fast": made(form(rate=2**32 - 1, bytes_=(2**32 - 1) * 2)), "bits": made(form(bits=0)),
        "many bits": made(form(bits=65535, block=8192, bytes_=8000 * 8192)), "odd bits": made(form(bits=12)), "block": made(form(block=0)),
        "mp3": made(form(kind=0x55)), "alaw": made(form(kind=6, bits=8, block=1, bytes_=8000)), "adpcm": made(form(kind=2, bits=4)),
        "short": made(form()[:10]), "data": made(form(), b""), "odd": made(form(), bytes(3)), "beyond": made(form(), size=2**31 - 9),
        "open": made(form(), size=2**32 - 1), "zero": made(form(), size=0), "lists": made(form(), before=(b"LIST" + bytes(4)) * 50_000),
        "esc": made(form(), before=b"\x1b[3m\0\0\0\0"), "bytes": made(form(), before=b"\xff\xfe\xfd\xfc\0\0\0\0"),
        "nan": made(form(kind=3, bits=32, block=4, bytes_=32000), b"\xff" * 64), "f16": made(form(kind=3)), "f128": made(form(kind=3, bits=128, block=16, bytes_=128000)),
        "extensible": made(form(kind=0xFFFE) + struct.pack("<HHI", 22, 16, 4) + bytes(16)), "extra": made(form() + b"\xff\xff"),
        "rf64": made(form(), start=b"RF64", before=b"ds64" + struct.pack("<IQQQI", 28, 2**63, 2**63, 2**60, 0)),
        "rf64 none": made(form(), start=b"RF64"), "rifx": made(form(), start=b"RIFX"), "empty": b"", "head": b"RIFF\0\0\0\0WAVE",
        "inf": made(form(kind=3, bits=64, block=8, bytes_=64000), struct.pack("<d", 1e300) * 8),
    }.items():  # fmt: skip
        yield f"{name}.wav", data


def spoken() -> Made:
    """Yield archives of sounds that are odd."""
    wave = readers.sounds()["b16.wav"]
    good = {f"{i}_ann_0.wav": wave for i in range(10)}
    for name, change in {
        "esc": {f"{ESC}/1_bob_0.wav": b"x"}, "up": {"../../2_ann_1.wav": wave}, "bomb": {"3_ann_0.wav": bytes(BOMB)},
        "big": {"3_ann_0.wav": wave + bytes(3 << 20)}, "many": {f"4_ann_{i}.wav": wave for i in range(2000)}, "gap": {"5_bob_0.wav": wave},
    }.items():  # fmt: skip
        yield f"{name}.zip", readers.zipped({**good, **change})
    for i, (name, data) in enumerate(waves()):
        if i % 3 == 0:
            yield f"{name}.zip", readers.zipped({**good, "0_ann_0.wav": data})
    yield from ((f"{name}.zip", data) for name, data in wide_zips("0_ann_0.wav", wave))


def tables() -> Made:
    """Yield tables that are odd."""
    yield from odd_texts(".csv", b"a,b,c\n1,2,3\n")
    for name, text in {
        "wide": "1," * 300_000 + "1\n", "ragged": "1,2,3\n1,2\n", "field": '"' + "x" * 200_000 + '",1,2\n', "names": f"{ESC},b,c\n1,2,{ESC}\n",
        "huge": "1e999,1,2\n", "digits": "9" * 5000 + ",1,2\n", "bool": "True,1,2\n", "tabs": "1\t2\t3\n", "mixed": "1;2,5;3\n",
        "header": "a,b,c\n" * 3, "formula": "=1+1,2,3\n", "under": "1_0,2,3\n", "nul": "1,2,\0\n", "cr": "1,2,3\r4,5,6\r", "quote": '1,2,"3\n',
    }.items():  # fmt: skip
        yield f"{name}.csv", text.encode()


def images() -> Made:
    """Yield images that are odd, and other files under their names."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def png(width: int, height: int, rows: bytes = b"", bits: int = 8, color: int = 2, *more: bytes) -> bytes:
        head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
        end = chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(more) + end

    rows, zeros_ = (b"\0" + bytes(12)) * 4, zlib.compress(bytes(BOMB))
    made = {
        "huge.png": png(2**31 - 1, 2**31 - 1), "wide.png": png(2**31 - 1, 1), "bomb.png": png(30_000, 30_000, rows, 1, 0, chunk(b"IDAT", zeros_)),
        "many.png": png(3000, 3000, rows, 8, 2, chunk(b"IDAT", zeros_)), "none.png": png(0, 0), "text.png": png(4, 4, rows, 8, 2, chunk(b"zTXt", b"a\0\0" + zeros_)),
        "profile.png": png(4, 4, rows, 8, 2, chunk(b"iCCP", b"a\0\0" + zeros_)), "long.png": png(4, 4, rows, 8, 2, chunk(b"IDAT", zeros_)),
        "esc.png": png(4, 4, rows, 8, 2, chunk(b"tEXt", ESC.encode() + b"\0" + ESC.encode())), "palette.png": png(4, 4, rows, 8, 3), "bits.png": png(4, 4, rows, 3),
        "script.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n(ran) (w) file\nshowpage\n%%EOF\n",
        "page.png": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "pickle.png": pickle.dumps(Command()), "empty.png": b"",
        "huge.gif": b"GIF89a" + b"\xff" * 4 + b"\xf7\0\0" + bytes(768) + b"," + bytes(4) + b"\xff" * 4 + b"\0\2\1\0\0;",
        "huge.bmp": b"BM" + bytes(12) + struct.pack("<IiiHHIIiiII", 40, 2**31 - 1, -(2**31), 1, 24, 0, 0, 0, 0, 0, 0), "huge.ppm": b"P6 999999999 999999999 255\n",
        "text.ppm": b"P3 " + b"9" * 5000 + b" 1 255\n1 2 3\n", "depth.ppm": b"P6 4 4 0\n" + bytes(48), "deep.ppm": b"P6 4 4 65535\n" + bytes(96),
        "huge.tif": b"II*\0\x08\0\0\0\2\0\0\1\4\0\1\0\0\0\xff\xff\xff\x7f\1\1\4\0\1\0\0\0\xff\xff\xff\x7f\0\0\0\0", "loop.tif": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "huge.webp": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6, "huge.jpg": b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\3\1\x22\0\2\x11\1\3\x11\1\xff\xd9",
    }  # fmt: skip
    yield from made.items()


def files(reader: str) -> list[tuple[str, bytes]]:
    """Return the crafted files of a reader."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(_files(reader))


def _files(reader: str) -> Made:
    first = {r.name: r.files for r in readers.READERS}[reader]
    whole = next(iter(first().values()))
    if reader in ("model", "model, its info", "bytes of a model"):
        yield from headers(whole)
        yield from records()
    elif reader in ("checkpoint", "language model", "PyTorch", "Word2Vec"):
        yield from headers(whole)
    elif reader == "Keras, HDF5":
        yield from hdf5s()
    elif reader == "Keras, zip":
        inside = "model.weights.h5"
        yield from wide_zips(inside, next(iter(readers.hdf5().values())))
        for name, data in hdf5s():
            yield f"{name}.keras", readers.zipped({inside: data})
    elif reader == "Keras, zip without weights":
        yield from wide_zips("config.json", b"{}")
    elif reader == "ONNX":
        yield from onnxs()
    elif reader == "word vectors":
        yield from word_vectors()
    elif reader in ("analogies", "word pairs"):
        yield from odd_texts(".txt", whole)
        yield "many.txt", whole + b"king queen the king\n" * 20_000
        yield "pairs.txt", b"king,queen,nan\nking,the,inf\nthe,queen,1e999\n"
        yield "esc.txt", ESC.encode() + b" a b c\n"
    elif reader == "tokenizer":
        yield from jsons(whole)
    elif reader in ("corpus", "text"):
        yield from odd_texts(".txt", whole)
        yield from packed_texts(whole)
        if reader == "corpus":
            yield "bomb.zip", bomb("a.txt")
            yield "two.zip", readers.zipped({"a": b"x", ESC: b"x"})
            yield from ((f"{name}.zip", data) for name, data in wide_zips("a.txt", whole))
    elif reader in ("IDX", "MNIST"):
        for name, data in idxs():
            yield (name if reader == "IDX" else "train-labels-idx1-ubyte.gz"), data
    elif reader == "CIFAR, archive":
        yield from tars({f"cifar-10-batches-bin/{name}": data for name, data in readers.cifar_parts().items()})
    elif reader == "CIFAR, files":
        name, data = next(iter(readers.cifar_parts().items()))
        yield name, data + b"\0"
        yield name, data[:-1]
        yield name, bytes(len(data))
        yield f"{name}.xz", lzma.compress(data) + zeros("xz")
        yield f"{name}.xz", zeros("xz")
    elif reader == "reviews":
        yield from tars(readers.REVIEWS)
    elif reader == "reviews, Keras":
        yield from pickles()
    elif reader == "cache":
        yield from caches()
    elif reader == "Kaggle digits":
        yield from digits()
    elif reader == "spoken digits":
        yield from spoken()
    elif reader == "WAV":
        yield from waves()
    elif reader == "table of numbers":
        yield from tables()
    elif reader == "array (.npy)":
        yield from arrays()
    elif reader == "image":
        yield from images()
    elif reader == "CSVLogger":
        yield from odd_texts(".csv", whole)
        yield "field.csv", b'epoch,loss\n0,"' + b"x" * 200_000 + b'"\n'
        yield "digits.csv", "epoch,loss\n²,1\n".encode() + b"9" * 5000 + b",1\n"
        yield "header.csv", b"\n0,1\n"
