"""Model files and other safetensors whose headers or records are beyond reason."""

# ruff: noqa: E501  (tables of files, a line or two each)

from __future__ import annotations

import json
import pickle
from typing import Any

import readers
from readers.packing import zipped

from .odd import ESC, Command, Made


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
    yield "zip.pynn", zipped({"data.pkl": pickle.dumps(Command()), **{f"{i}{ESC}": b"" for i in range(50)}})


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
