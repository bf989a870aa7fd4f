"""Images, sounds and IDX files that are odd."""

# ruff: noqa: E501  (tables of files, a line or two each)

from __future__ import annotations

import pickle
import struct
import zlib

import readers
from readers.packing import gzipped, zipped

from .archives import wide_zips
from .odd import BOMB, ESC, Command, Made, zeros


def idxs() -> Made:
    """Yield IDX files of impossible sizes."""
    for name, data in {
        "rank": bytes([0, 0, 8, 255]) + b"\0\0\0\1" * 255, "huge": bytes([0, 0, 8, 3]) + b"\xff" * 12,
        "zero": bytes([0, 0, 8, 3]) + bytes(4) + b"\xff" * 8, "kind": bytes([0, 0, 9, 1, 0, 0, 0, 1, 255]), "none": b"\0\0\x08\0",
        "nan": bytes([0, 0, 13, 1, 0, 0, 0, 1]) + b"\xff" * 4, "empty": b"", "text": b"hello", "wide": bytes([0, 0, 14, 1]) + b"\x7f" * 4,
    }.items():  # fmt: skip
        yield name, data
        yield f"{name}.gz", gzipped(data)
    yield "bomb.gz", gzipped(bytes([0, 0, 8, 1]) + struct.pack(">I", 3 << 30)) + zeros("gz")
    yield "short.gz", gzipped(bytes([0, 0, 8, 1]) + struct.pack(">I", 16)) + zeros("gz")


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
        yield f"{name}.zip", zipped({**good, **change})
    for i, (name, data) in enumerate(waves()):
        if i % 3 == 0:
            yield f"{name}.zip", zipped({**good, "0_ann_0.wav": data})
    yield from ((f"{name}.zip", data) for name, data in wide_zips("0_ann_0.wav", wave))


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
