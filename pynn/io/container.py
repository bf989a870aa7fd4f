"""The container of model files: safetensors, written in a fixed order and read with every field checked.

Eight bytes give the length of a JSON header; it maps names of tensors to dtype, shape and place, and holds a table of
texts, ``__metadata__``. The bytes of the tensors follow without gaps. Among the texts is a digest of all the others and
of the tensors, so that no damaged file is taken for a whole one.

The reader is pynn's own, and stricter than the package safetensors: it bounds depth and items of the JSON before it is
parsed, refuses keys that come twice, names the format of other files, and checks the digest.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn.detect import name_format
from pynn.errors import DataError

__all__ = ["Contents", "beyond_limits", "checked_json", "digest", "pack", "read", "unpack", "verify"]

HEADER_LIMIT = 1 << 24
DEPTH_LIMIT = 4  # of the header: the table, an entry, a list
ITEM_LIMIT = 2_000_000
RANK_LIMIT = 8
DIGEST = "digest"
METADATA = "__metadata__"
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1", "U64": "<u8",
    "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "|b1",
}  # fmt: skip
NARROW = {"F16": "<f2", "BF16": "<u2"}  # what others' files hold in half the bits of float32, whose values they all are
_CODES = {np.dtype(text): code for code, text in DTYPES.items()}
_TOKEN = re.compile(
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL
)  # linear, also where no quote closes


@dataclass
class Contents:
    """What a file holds.

    Attributes
    ----------
    tensors : dict of str to ndarray
        Read-only.
    metadata : dict of str to str
    """

    tensors: dict[str, np.ndarray]
    metadata: dict[str, str]


def pack(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Iterator[Any]:
    """Yield the parts of a file; the same contents give the same bytes.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        Copied only where they are not contiguous.
    metadata : mapping of str to str
        The digest is added.

    Examples
    --------
    >>> data = b"".join(pack({"w": np.ones(2, "float32")}, {"format": "mine"}))
    >>> unpack(data, "memory").tensors["w"]
    array([1., 1.], dtype=float32)
    """
    arrays = {name: np.ascontiguousarray(a).reshape(np.shape(a)) for name, a in tensors.items()}
    for name, array in arrays.items():
        if array.dtype.newbyteorder("<") not in _CODES:
            raise DataError(f"[save] expected numbers that a file can hold. Received: {name} of dtype {array.dtype}.")
    arrays = {name: a.astype(a.dtype.newbyteorder("<"), copy=False) for name, a in arrays.items()}
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # so that all stay aligned
    texts = dict(sorted({**metadata, DIGEST: digest(arrays, metadata)}.items()))
    header: dict[str, Any] = {METADATA: texts}
    end = 0
    for name in order:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": _CODES[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    problem = beyond_limits(text, DEPTH_LIMIT)
    if len(text) > HEADER_LIMIT or problem:
        what = problem or f"has {len(text):,} bytes, and at most {HEADER_LIMIT:,} can be read"
        raise DataError(f"[save] expected names, settings and metadata that fit into a file's header. It {what}.")
    for name, array in arrays.items():
        if array.ndim > RANK_LIMIT:
            raise DataError(
                f"[save] expected tensors of at most {RANK_LIMIT} dimensions. Received: {name}, {array.shape}."
            )
    yield len(text).to_bytes(8, "little")
    yield text
    for name in order:
        yield arrays[name].reshape(-1).view(np.uint8).data


def digest(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """Return a SHA-256 over all texts (but the digest) and all tensors, whatever their order in the file."""
    found = hashlib.sha256()
    texts = sorted((key, value) for key, value in metadata.items() if key != DIGEST)
    found.update(json.dumps(texts).encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        found.update(json.dumps([name, _CODES[array.dtype], list(np.shape(tensors[name]))]).encode())
        found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def read(path: str | os.PathLike[str], widen: bool = False) -> Contents:
    """Read and check a file.

    Parameters
    ----------
    path : path-like
    widen : bool, default False
        Return tensors of float16 and bfloat16, which other programs write, as float32; no value changes.

    Raises
    ------
    DataError
        If it is no safetensors file (the format that it seems to have is named) or is damaged.
    OSError
        If it cannot be read.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        raise DataError(f"[load] expected a model file. Received: {path!r}, a folder.{_inside(path)}")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        kind = os.fstat(file.fileno())
        if not stat.S_ISREG(kind.st_mode):
            raise DataError(f"[load] expected a model file. Received: {path!r}, which is no ordinary file.")
        start = file.read(64)
        _check_start(start, kind.st_size, path)
        file.seek(0)
        return unpack(file.read(), path, widen)


def unpack(data: bytes, source: str, widen: bool = False) -> Contents:
    """Read and check the bytes of a file; `source` names them in errors, `widen` as in :func:`read`.

    Raises
    ------
    DataError
        See :func:`read`.
    """
    _check_start(data[:64], len(data), source)
    length = int.from_bytes(data[:8], "little")
    header = checked_json(data[8 : 8 + length], DEPTH_LIMIT, source, "header")
    if not isinstance(header, dict):
        raise DataError(f"{_damaged(source)} its header is no table.")
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise DataError(f"{_damaged(source)} {METADATA} holds something else than texts.")
    body = memoryview(data)[8 + length :]
    dtypes = {**DTYPES, **NARROW} if widen else DTYPES
    places = sorted(_entry(name, entry, source, dtypes) for name, entry in header.items())
    tensors, at = {}, 0
    for begin, end, name, code, shape in places:
        if begin != at:
            how = "overlap" if begin < at else "leave a gap"
            raise DataError(f"{_damaged(source)} its tensors {how} before {name!r}, at byte {begin}.")
        at = end
        if end > len(body):
            raise DataError(
                f"{_damaged(source)} tensor {name!r} ends at byte {end} of {len(body)}: the file was cut off."
            )
        try:
            array = np.frombuffer(body[begin:end], dtypes[code]).reshape(shape)
        except ValueError:  # sizes that overflow, beside a 0
            raise DataError(f"{_damaged(source)} tensor {name!r} has the shape {str(shape)[:60]}.") from None
        read = _widened(array, code) if widen and code in NARROW else array
        tensors[name] = read.astype(read.dtype.newbyteorder("="), copy=False)  # files are little-endian
    if at != len(body):
        raise DataError(f"{_damaged(source)} {len(body) - at} bytes follow the last tensor.")
    return Contents(tensors, metadata)


def checked_json(text: bytes, depth_limit: int, source: str, what: str) -> Any:
    """Parse JSON that may be hostile: depth, number of items and repeated keys are checked first.

    Raises
    ------
    DataError
        If it is no JSON, too deep or too long, or if a key is given twice.
    """
    problem = beyond_limits(text, depth_limit)
    if problem:
        raise DataError(f"{_damaged(source)} its {what} {problem}.")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise DataError(f"{_damaged(source)} its {what} has the key {twice!r} twice.")
        return table

    def constant(name: str) -> Any:
        raise DataError(f"{_damaged(source)} its {what} holds {name}, which is no JSON.")

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=once, parse_constant=constant)
    except DataError:
        raise
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, a number of thousands of digits
        raise DataError(f"{_damaged(source)} its {what} is no JSON ({str(error)[:100]}).") from None


def beyond_limits(text: bytes, depth_limit: int) -> str:
    """Return what of a JSON text a reader would refuse for its size, in words; "" if nothing is."""
    depth = items = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in b"[{":
            depth += 1
        elif token in b"]}":
            depth -= 1
        items += token in b"[{,"
        if depth > depth_limit:
            return f"is nested more than {depth_limit} deep"
        if items > ITEM_LIMIT:
            return f"has more than {ITEM_LIMIT:,} items"
    return ""


def verify(data: bytes, source: str) -> None:
    """Raise DataError unless the bytes of a file are whole and have the digest that was written with them."""
    found = unpack(data, source)
    if found.metadata.get(DIGEST) != digest(found.tensors, found.metadata):
        raise DataError(f"{_damaged(source)} its contents do not have the digest that was written with them.")


def _check_start(start: bytes, size: int, source: str) -> None:
    """Raise unless the first bytes are a length that fits the file, and the opening of a header."""
    length = int.from_bytes(start[:8], "little")
    if len(start) >= 9 and start[8:9] == b"{" and length <= HEADER_LIMIT:
        if 8 + length > size:
            raise DataError(f"{_damaged(source)} its header of {length} bytes was cut off: the file has {size}.")
        return
    other = name_format(start, source)
    if other:
        raise DataError(f"[load] expected a pynn model file. Received: {source!r}, {other}.")
    if len(start) >= 9 and start[8:9] == b"{":
        raise DataError(f"{_damaged(source)} its header is said to have {length} bytes; at most {HEADER_LIMIT} can be.")
    raise DataError(f"[load] expected a pynn model file. Received: {source!r}, of no known format ({size} bytes).")


def _widened(array: np.ndarray, code: str) -> np.ndarray:
    """Return float32 of what was read of one of the NARROW dtypes: a bfloat16 is its upper half."""
    return (array.astype("<u4") << 16).view("<f4") if code == "BF16" else array.astype("<f4")


def _entry(name: str, entry: Any, source: str, dtypes: Mapping[str, str]) -> tuple[int, int, str, str, tuple[int, ...]]:
    """Return (begin, end, name, dtype, shape) of a tensor, checked."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise DataError(f"{_damaged(source)} tensor {name!r} needs dtype, shape and data_offsets.")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in dtypes:
        raise DataError(f"{_damaged(source)} tensor {name!r} has the dtype {str(code)[:20]!r}, which is not supported.")
    if not isinstance(shape, list) or len(shape) > RANK_LIMIT or not all(map(_is_size, shape)):
        raise DataError(f"{_damaged(source)} tensor {name!r} has the shape {str(shape)[:60]}.")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)):
        raise DataError(f"{_damaged(source)} tensor {name!r} has the data_offsets {str(offsets)[:60]}.")
    nbytes = np.dtype(dtypes[code]).itemsize
    for size in shape:
        nbytes *= size  # Python's integers do not overflow
    begin, end = offsets
    if end - begin != nbytes:
        raise DataError(
            f"{_damaged(source)} tensor {name!r} of shape {shape} needs {nbytes} bytes and has {end - begin}."
        )
    return begin, end, name, code, tuple(shape)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _damaged(source: str) -> str:
    return f"[load] {source!r} is damaged:"


def _inside(path: str) -> str:
    if os.path.exists(os.path.join(path, "saved_model.pb")):
        return " help: it is a TensorFlow SavedModel."
    files = sorted(name for name in os.listdir(path) if name.endswith(".pynn"))
    if files:
        name = "best.pynn" if "best.pynn" in files else files[-1]
        return f" help: it has model files, such as {os.path.join(path, name)!r}."
    return ""
