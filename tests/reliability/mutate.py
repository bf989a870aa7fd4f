"""Damaged files: bits, lengths and parts changed at random, and changes that know the format.

``mutated(data, chance, others, form)`` returns a changed file; the same random.Random gives the same one. A form is the
name of a format that the changes of `FORMS` know; all files are also changed as plain bytes.
"""

# ruff: noqa: E501  (tables of changes)
from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

Chance = random.Random
EDGES = (0, 1, -1, 2, 7, 127, 128, 255, 256, 32767, 65535, 65536, 10**6, 10**9, 2**31 - 1, 2**31, 2**32 - 1, 2**53 + 1,
         2**62, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
TEXTS = ("", "\x1b[31mred", "a\nb", "\x00", "\u202e", "é漢", "a" * 3000, "=1+1", "../x", "/etc/passwd", "nan", "inf",
         "-inf", "1e999", "9" * 400, "-1", "__class__", "true", "None", "1_0", "٣", '"', "'", ",", "\\", "{}",
         "[]")  # fmt: skip
VALUES: tuple[Any, ...] = (None, True, False, [], {}, [[]], 0.5, -0.0, 1e308, [0, 1], {"class": "x"})


def mutated(data: bytes, chance: Chance, others: Sequence[bytes], form: str = "") -> bytes:
    """Return a changed file; `others` are whole ones, for splices."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        knows = FORMS.get(form)
        change = knows if knows is not None and chance.random() < 0.5 else plain
        try:
            data = change(data, chance) if change is not plain else plain(data, chance, others)
        except Exception:
            data = plain(data, chance, others)  # an earlier change left nothing of that format
    return data


def plain(data: bytes, chance: Chance, others: Sequence[bytes]) -> bytes:
    """Change bytes, whatever they mean."""
    kind = chance.randrange(10)
    size = len(data)
    at, end = sorted((chance.randint(0, size), chance.randint(0, size)))
    end = min(end, at + chance.choice((1, 8, 64, 1 << 30)))
    if kind < 2:
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 8))):
            if changed:
                changed[chance.randrange(size)] ^= 1 << chance.randrange(8)
        return bytes(changed)
    if kind == 2:
        return data[:at]
    if kind == 3:
        return data[:at] + data[end:]
    if kind == 4:
        return data[:end] + data[at:end] * chance.choice((1, 1, 50)) + data[end:]
    if kind == 5 and others:
        other = chance.choice(others)
        return data[:at] + other[chance.randint(0, len(other)) :]
    if kind == 6:  # two neighbours exchanged
        return data[:at] + data[end : end + (end - at)] + data[at:end] + data[end + (end - at) :]
    if kind == 7:
        return data[:at] + chance.randbytes(min(end - at, 64) or 1) + data[end:]
    return number(data, chance, 0, size)


def number(data: bytes, chance: Chance, low: int, high: int) -> bytes:
    """Write an extreme number over some bytes between two places."""
    width = chance.choice((1, 2, 4, 8))
    at = chance.randint(low, max(low, min(high, len(data)) - width))
    value = chance.choice(EDGES) % (1 << 8 * width)
    return data[:at] + value.to_bytes(width, chance.choice(("little", "big"))) + data[at + width :]


def of_json(value: Any, chance: Chance) -> Any:
    """Change one value somewhere in JSON: another one, one less, one twice, another name."""
    places: list[tuple[Any, Any]] = []

    def visit(inner: Any) -> None:
        for key, below in inner.items() if isinstance(inner, dict) else enumerate(inner):
            places.append((inner, key))
            if isinstance(below, (dict, list)):
                visit(below)

    visit([value]) if not isinstance(value, (dict, list)) else visit(value)
    if not places:
        return chance.choice(VALUES)
    where, key = chance.choice(places)
    now, kind = where[key], chance.randrange(8)
    if kind == 0:
        del where[key]
    elif kind == 1 and isinstance(where, list):
        where.insert(key, now)
    elif kind == 1:
        where[chance.choice(TEXTS)] = where.pop(key)
    elif kind == 2:
        other, there = chance.choice(places)
        if isinstance(other, dict) or there < len(other):
            where[key] = json.loads(json.dumps(other[there])) if there in other or isinstance(other, list) else now
    elif kind == 3:
        for _ in range(chance.choice((1, 10, 300))):
            now = [now] if chance.random() < 0.5 else {"a": now}
        where[key] = now
    elif isinstance(now, int) and not isinstance(now, bool) and kind < 7:
        where[key] = chance.choice((*EDGES, now + 1, now - 1, -now, 10**400))
    elif isinstance(now, str) and kind < 7:
        where[key] = chance.choice(TEXTS) if chance.random() < 0.7 else now + chance.choice(TEXTS)
    else:
        where[key] = chance.choice((*VALUES, chance.choice(EDGES), chance.choice(TEXTS)))
    return value


def safetensors(data: bytes, chance: Chance) -> bytes:
    """Change the header; mostly the digest, if there is one, is made to fit again."""
    from pynn.errors import DataError
    from pynn.io import container

    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    texts = header.get("__metadata__", {})
    inner = [key for key, text in texts.items() if text[:1] in ("{", "[")]
    kind = chance.random()
    if kind < 0.2:
        text = json.dumps(of_json(header, chance)).encode()
        return len(text).to_bytes(8, "little") + text + data[8 + length :]
    found = container.unpack(data, "")
    tensors, texts = dict(found.tensors), dict(found.metadata)
    if kind < 0.8 and inner:
        part = chance.choice(inner)
        texts[part] = json.dumps(of_json(json.loads(texts[part]), chance))
    elif kind < 0.9 and texts:
        texts[chance.choice(list(texts))] = chance.choice(TEXTS)
    elif tensors:
        name = chance.choice(list(tensors))
        array = tensors.pop(name).copy()
        how = chance.randrange(5)
        if how == 0:
            array = array.reshape(-1)[: chance.randint(0, array.size)]
        elif how == 1 and array.size:
            array.reshape(-1)[chance.randrange(array.size)] = chance.choice((0, 1, 255, 127))
        elif how == 2:
            array = array.astype(chance.choice(("f4", "f8", "i8", "u1")))
        elif how == 3:
            name = chance.choice((name + ".", *TEXTS))
        if how != 4:
            tensors[name] = array
    if container.DIGEST in texts:
        del texts[container.DIGEST]
    try:
        return b"".join(container.pack(tensors, texts))
    except DataError:
        return data[:-1]


def packed(inner: str) -> Callable[[bytes, Chance], bytes]:
    """Return the change of what gzip, bzip2 or xz packed."""

    def change(data: bytes, chance: Chance) -> bytes:
        for magic, unpack, pack in (
            (b"\x1f\x8b", gzip.decompress, lambda d: gzip.compress(d, 1, mtime=0)),
            (b"BZh", bz2.decompress, lambda d: bz2.compress(d, 1)),
            (b"\xfd7zXZ", lzma.decompress, lambda d: lzma.compress(d, preset=0)),
        ):
            if data.startswith(magic):
                content = unpack(data)
                changed = mutated(content, chance, [content], inner)
                parts = [changed[: len(changed) // 2], changed[len(changed) // 2 :]]
                return b"".join(map(pack, parts)) if chance.random() < 0.2 else pack(changed)
        return FORMS[inner](data, chance) if inner in FORMS else number(data, chance, 0, 64)

    return change


def archive(data: bytes, chance: Chance, inner: str = "") -> bytes:
    """Change a zip archive: a member's content, name, number, or how it is packed; or the fields of its directory."""
    if chance.random() < 0.3:  # what the records of an archive say
        marks = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")
        places = [i for mark in marks for i in range(len(data)) if data.startswith(mark, i)]
        at = chance.choice(places)
        return number(data, chance, at + 4, at + 46)
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        members = [(info.filename, opened.read(info)) for info in opened.infolist()]
    i, kind = chance.randrange(len(members)), chance.randrange(6)
    name, content = members[i]
    if kind == 0:
        del members[i]
    elif kind == 1:
        members.insert(i, members[chance.randrange(len(members))])
    elif kind == 2:
        members[i] = (name + chance.choice(TEXTS).replace("\0", "") or "x", content)
    else:
        members[i] = (name, mutated(content, chance, [c for _, c in members], inner))
    result = io.BytesIO()
    method = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2))
    import warnings

    with zipfile.ZipFile(result, "w", method) as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in members:
            opened.writestr(name, content)
    return result.getvalue()


def tar(data: bytes, chance: Chance) -> bytes:
    """Change fields of a tar header, mostly with a sum that fits."""
    changed = bytearray(data)
    heads = [i for i in range(0, len(data) - 511, 512) if data[i + 257 : i + 262] == b"ustar"]
    at = chance.choice(heads)
    begin, width = chance.choice(((0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155)))
    value = chance.choice((b"0", b"7" * 12, b"-1", b"\x80" + b"\0" * 4 + b"\xff" * 7, b"\xff" * 12, b"x", b"g", b"L",
                           b"K", b"S", b"2", b"5", b"\x1b[31m", b"../../x", b"\xff\xfe", b""))  # fmt: skip
    changed[at + begin : at + begin + width] = value[:width].ljust(width, b"\0")
    if chance.random() < 0.9:
        changed[at + 148 : at + 156] = b" " * 8
        changed[at + 148 : at + 156] = b"%06o\0 " % sum(changed[at : at + 512])
    return bytes(changed)


def riff(data: bytes, chance: Chance) -> bytes:
    """Change the chunks of a sound: a size, a field of the format, their order and number."""
    order = ">I" if data[:4] == b"RIFX" else "<I"
    chunks, at = [], 12
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(order, data, at + 4)
        chunks.append([data[at : at + 4], size, data[at + 8 : at + 8 + size]])
        at += 8 + size + size % 2
    chunk, kind = chance.choice(chunks), chance.randrange(7)
    if kind == 0:
        chunk[1] = chance.choice(EDGES) % 2**32
    elif kind == 1:
        chunks.remove(chunk)
    elif kind == 2:
        chunks.insert(chance.randrange(len(chunks) + 1), list(chunk))
    elif kind == 3:
        chance.shuffle(chunks)
    elif kind == 4:
        chunk[0] = chance.choice((b"LIST", b"fact", b"data", b"fmt ", b"\x1b[3m", b"\xff\xfe\0\0", b"ds64"))
    elif chunks[0][2]:
        chunks[0][2] = number(chunks[0][2], chance, 0, len(chunks[0][2]))
    body = b"".join(c[0] + struct.pack(order, c[1]) + c[2] + b"\0" * (len(c[2]) % 2) for c in chunks)
    total = len(body) + 4 if chance.random() < 0.8 else chance.choice(EDGES) % 2**32
    return data[:4] + struct.pack(order, total) + data[8:12] + body


def table(data: bytes, chance: Chance) -> bytes:
    """Change a table or text: a word, a line, its ends, its encoding."""
    ends = chance.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r"))
    lines = data.replace(b"\r\n", b"\n").split(b"\n")
    mark = max((b",", b";", b"\t", b" "), key=lines[0].count)
    i, kind = chance.randrange(len(lines)), chance.randrange(9)
    cells = lines[i].split(mark)
    k = chance.randrange(len(cells))
    if kind < 3:
        cells[k] = chance.choice((*TEXTS, *map(str, EDGES))).encode()
    elif kind == 3:
        del cells[k]
    elif kind == 4:
        cells.insert(k, cells[k])
    lines[i] = mark.join(cells)
    if kind == 5:
        del lines[i]
    elif kind == 6:
        lines.insert(i, lines[chance.randrange(len(lines))])
    elif kind == 7:
        text = ends.join(lines).decode("utf-8")
        return text.encode(chance.choice(("utf-16", "latin-1", "utf-8-sig", "utf-32", "cp037")), "replace")
    elif kind == 8:
        lines[i] = lines[i].replace(mark, chance.choice((b",", b";", b"\t", b"  ", b"\x1c", "\u2003".encode())))
    return ends.join(lines)


def text_json(data: bytes, chance: Chance) -> bytes:
    """Change a file of JSON."""
    if chance.random() < 0.1:
        text = data.decode()
        return (text[:-2] + "," + text[1:]).encode()  # every key twice
    return json.dumps(of_json(json.loads(data), chance)).encode()


def npy(data: bytes, chance: Chance) -> bytes:
    """Change the header of an array, whose length is made to fit."""
    wide = 4 if data[6] > 1 else 2
    size = int.from_bytes(data[8 : 8 + wide], "little")
    head = data[8 + wide : 8 + wide + size].decode("latin-1")
    shape = head[head.index("(") : head.index(")") + 1]
    descr = head.split("'descr':")[1].split(",")[0]
    new = chance.choice((
        head.replace(shape, chance.choice(("()", "(-1,)", f"({chance.choice(EDGES)},)", "(0, 9223372036854775807)", "(2", "1",
                                           "(" + "1, " * 70 + ")", "('a',)", "(1.5,)", "(True,)"))),
        head.replace(descr, chance.choice((" '|O'", " '<f2'", " '>f8'", " '|V4'", " '<U9'", " '|S0'", " '<M8[s]'", " '?'",
                                           " [('a', '<f4')]", " '<f16'", " '" + "x" * 200 + "'", " __import__('os')"))),
        head.replace("False", chance.choice(("True", "None", "1"))),
        "(" * chance.choice((10, 100, 5000)), head[: chance.randint(0, len(head))], head.replace("{", "{{"),
        head.replace("}", ", 'a': 1}"), head + "\0",
    ))  # fmt: skip
    packed = new.encode("latin-1", "replace")
    return data[:8] + len(packed).to_bytes(wide, "little") + packed + data[8 + wide + size :]


def png(data: bytes, chance: Chance) -> bytes:
    """Change a chunk of a PNG, with a sum that fits."""
    if not data.startswith(b"\x89PNG"):
        return number(data, chance, 0, 64)
    chunks, at = [], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + size]])
        at += 12 + size
    i, kind = chance.randrange(len(chunks)), chance.randrange(5)
    if kind == 0:
        del chunks[i]
    elif kind == 1:
        chunks.insert(i, list(chunks[i]))
    elif kind == 2:
        chunks[i][0] = chance.choice((b"IHDR", b"PLTE", b"tRNS", b"zTXt", b"iCCP", b"eXIf", b"fdAT", b"acTL"))
    elif chunks[i][1]:
        chunks[i][1] = number(chunks[i][1], chance, 0, len(chunks[i][1]))
    return data[:8] + b"".join(
        struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks
    )


def protobuf(data: bytes, chance: Chance, depth: int = 0) -> bytes:
    """Change a field of a message, or of one inside it."""
    fields, at = [], 0  # (number and kind, value)
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
        elif key & 7 in (1, 5):
            width = 8 if key & 7 == 1 else 4
            value, at = data[at : at + width], at + width
        elif key & 7 == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
            if len(value) < size:
                raise ValueError("cut off")
        else:
            raise ValueError("no message")
        if key >> 3 == 0 or key >> 3 > 1000:
            raise ValueError("no message")
        fields.append([key, value])
    if not fields:
        raise ValueError("empty")
    i, kind = chance.randrange(len(fields)), chance.random()
    weights = [1 + len(v) if isinstance(v, bytes) else 1 for _, v in fields]
    if kind < 0.75:
        i = chance.choices(range(len(fields)), weights)[0]
        key, value = fields[i]
        if isinstance(value, int):
            fields[i][1] = chance.choice((*EDGES, value + 1, max(value - 1, 0))) % 2**64
        elif key & 7 == 2 and depth < 8 and chance.random() < 0.95:
            try:
                fields[i][1] = protobuf(value, chance, depth + 1)
            except ValueError:
                fields[i][1] = chance.choice(TEXTS).encode() if chance.random() < 0.5 else plain(value, chance, [value])
        else:
            fields[i][1] = plain(value, chance, [])[: len(value)].ljust(len(value), b"\0")
    elif kind < 0.82:
        del fields[i]
    elif kind < 0.9:
        fields.insert(chance.randrange(len(fields) + 1), list(fields[i]))
    elif kind < 0.95:
        chance.shuffle(fields)
    else:
        fields[i][0] = chance.randint(1, 15) << 3 | fields[i][0] & 7
    result = bytearray()
    for key, value in fields:
        result += _as_varint(key)
        if isinstance(value, int):
            result += _as_varint(value)
        else:
            result += (_as_varint(len(value)) if key & 7 == 2 else b"") + value
    return bytes(result)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if at >= len(data):
            raise ValueError("cut off")
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
        shift += 7
    raise ValueError("no number")


def _as_varint(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes([*result, value])


FORMS: dict[str, Callable[[bytes, Chance], bytes]] = {
    "safetensors": safetensors,
    "zip": archive,
    "zip of npy": lambda data, chance: archive(data, chance, "npy"),
    "zip of wav": lambda data, chance: archive(data, chance, "wav"),
    "tar": tar,
    "wav": riff,
    "table": table,
    "json": text_json,
    "npy": npy,
    "png": png,
    "protobuf": protobuf,
    "idx": lambda data, chance: number(data, chance, 0, 16),
    "hdf5": lambda data, chance: number(data, chance, 0, 2048),
}
for _inner in ("", "table", "tar", "idx"):
    FORMS[f"packed {_inner}"] = packed(_inner)
