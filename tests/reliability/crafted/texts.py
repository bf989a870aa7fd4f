"""Texts, tables, JSON and word vectors that are odd or are bombs."""

# ruff: noqa: E501  (tables of files, a line or two each)

from __future__ import annotations

import bz2
import json
import lzma

import readers
from readers.packing import gzipped

from .odd import ESC, Made, zeros


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
    for form, pack in (("gz", gzipped), ("bz2", bz2.compress), ("xz", lzma.compress)):
        packed = pack(whole)
        yield f"bomb.{form}", packed + zeros(form)
        yield f"zeros.{form}", zeros(form)
        yield f"cut.{form}", packed[:-3]
        yield f"more.{form}", packed + b"and more"
        yield f"twice.{form}", pack(pack(whole))
        yield f"empty.{form}", pack(b"")
        yield f"word.{form}", pack(b"x" * (5 << 20))


def word_vectors() -> Made:
    """Yield vectors whose first lines lie."""
    rows = b"king 1 2 3\nqueen 4 5 6\n"
    for name, head in {
        "many": b"999999999999 3\n", "wide": b"2 999999999\n", "negative": b"-1 3\n", "none": b"0 0\n", "real": b"2.0 3\n",
        "both": b"99999999 99999999\n", "zero": b"2 0\n",
    }.items():  # fmt: skip
        yield f"{name}.txt", head + rows
        yield f"{name}.gz", gzipped(head + rows)
        yield f"{name}.bin", head + b"king " + bytes(12) + b"\nqueen " + b"\xff" * 12
    yield "bomb.gz", gzipped(b"2 3\n") + gzipped(b"king 1 2 3\n" * 100_000) * 10
    yield "zeros.gz", gzipped(b"2 3\nking ") + zeros("gz")
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


def digits() -> Made:
    """Yield tables of images that are odd."""
    whole = readers.digit_tables()["train.csv"]
    yield from odd_texts(".csv", whole)
    yield from packed_texts(whole)
    head, row = whole.split(b"\n")[:2]
    yield "rows.csv.gz", gzipped(head + b"\n") + gzipped((row + b"\n") * 400) * 200
    yield "cells.csv", head + b"\n" + row.replace(b",7,", b",256,") + b"\n"
    yield "label.csv", head + b"\n" + b"99" + row[1:] + b"\n"
    yield "quoted.csv", head + b"\n" + b",".join(b'"%s"' % c for c in row.split(b",")) + b"\n"
    yield "header.csv", (ESC + "," * 784 + "\n").encode()


def tables() -> Made:
    """Yield tables that are odd."""
    yield from odd_texts(".csv", b"a,b,c\n1,2,3\n")
    for name, text in {
        "wide": "1," * 300_000 + "1\n", "ragged": "1,2,3\n1,2\n", "field": '"' + "x" * 200_000 + '",1,2\n', "names": f"{ESC},b,c\n1,2,{ESC}\n",
        "huge": "1e999,1,2\n", "digits": "9" * 5000 + ",1,2\n", "bool": "True,1,2\n", "tabs": "1\t2\t3\n", "mixed": "1;2,5;3\n",
        "header": "a,b,c\n" * 3, "formula": "=1+1,2,3\n", "under": "1_0,2,3\n", "nul": "1,2,\0\n", "cr": "1,2,3\r4,5,6\r", "quote": '1,2,"3\n',
    }.items():  # fmt: skip
        yield f"{name}.csv", text.encode()
