"""Archives, and arrays of NumPy, that are bombs, lie about their sizes or run something."""

# ruff: noqa: E501  (tables of files, a line or two each)

from __future__ import annotations

import functools
import io
import pickle
import struct
import tarfile
import warnings
import zipfile

import numpy as np
import readers
from readers.packing import EPOCH, gzipped, tarred, zipped

from .odd import BOMB, ESC, Command, Made, zeros


@functools.cache
def bomb(inside: str) -> bytes:
    """Return an archive whose member is a bomb."""
    return zipped({inside: bytes(BOMB)})


def wide_zips(inside: str, member: bytes) -> Made:
    """Yield archives that unpack to too much, or whose directory lies."""
    yield "bomb.keras", bomb(inside)
    lying = bytearray(bomb(inside))
    at = lying.index(b"PK\x01\x02")
    lying[at + 24 : at + 28] = struct.pack("<I", 1000)
    yield "lying.keras", bytes(lying)
    yield "many.keras", zipped({**{f"{i}": b"" for i in range(20_000)}, inside: member})
    yield "names.keras", zipped({f"../{ESC}": b"x", "/etc/passwd": b"x", inside: member})
    yield "nested.keras", zipped({inside: zipped({inside: member})})
    locked = bytearray(zipped({inside: member}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(mark) + offset] |= 1
    yield "locked.keras", bytes(locked)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            archive.writestr(zipfile.ZipInfo(inside, EPOCH), member)
    yield "thrice.keras", content.getvalue()
    yield "none.keras", zipped({})
    packed = bytearray(zipped({inside: member * 50}, zipfile.ZIP_LZMA))
    packed[len(packed) // 3] ^= 255
    yield "lzma.keras", bytes(packed)
    for place, value in ((20, 2**32 - 2), (24, 2**32 - 2), (42, 2**31), (10, 99)):  # of a record: sizes, offset, method
        moved = bytearray(zipped({inside: member}))
        struct.pack_into("<H" if place == 10 else "<I", moved, moved.index(b"PK\x01\x02") + place, value)
        yield f"record {place}.keras", bytes(moved)
    early = bytearray(zipped({inside: member}))
    struct.pack_into("<I", early, early.index(b"PK\x05\x06") + 16, 2**31)
    yield "directory.keras", bytes(early)
    new = bytearray(zipped({inside: member}))
    new[new.index(b"PK\x01\x02") + 6] = 255
    yield "version.keras", bytes(new)
    strange = zipped({"aé": b"", inside: member})
    yield "name.keras", strange.replace("é".encode(), b"\xff\xff")


def tars(members: dict[str, bytes]) -> Made:
    """Yield archives with odd members."""
    plain = tarred(members)
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
        yield f"{what}.tar.gz", gzipped(start + plain, 1)
    negative = entry("x" * 200, form=tarfile.PAX_FORMAT, comment="9").replace(b"comment=9", b"size=-100")
    yield "negative.tar", negative + plain
    yield "many.tar.gz", gzipped(b"".join(entry(f"{i}") for i in range(5000)) + plain, 1)
    head = bytearray(entry("x" * 200)[:512])
    head[124:136] = b"%011o\0" % (200 << 20)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    yield "header.tar.gz", gzipped(bytes(head)) + zeros("gz")
    yield "zeros.tar.gz", zeros("gz")
    yield "zeros.tar.xz", zeros("xz")
    yield "none.tar", bytes(10240)
    yield "text.tar.gz", gzipped(b"no archive" * 999)
    yield "zip.tar", zipped(members)


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
        yield f"{name}.npz", zipped({**members, "x_train.npy": head + data})
    yield "bomb.npz", zipped({**members, "x_train.npy": head + bytes(BOMB)})
    yield "labels.npz", zipped({**members, "y_train.npy": members["y_train.npy"].replace(b"(2,)", b"(-2,)")})
    for name, head_ in npy_heads():
        yield (
            f"{name}z",
            zipped({**members, "y_train.npy": head_ + bytes(16), "x_train.npy": head_ + good[len(head) :]}),
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
        yield f"{name}.npz", zipped({"a.npy": head + bytes(32), "b.npy": head})
    yield "bomb.npz", zipped({"a.npy": _saved(np.zeros(BOMB >> 3)), "b.npy": b""})
    yield "pickle.npz", zipped({"a.npy": _saved(np.array([Command()], object)), "b.npy": b""})
    yield "names.npz", zipped({ESC: b"", "a": b""})
    yield "pickle", pickle.dumps(Command())
