"""What a file is that is no model file of pynn, by its first bytes."""

from __future__ import annotations

import contextlib
import zipfile

from pynn.packed import UNPACKING

__all__ = ["name_format"]

_STARTS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras .h5 or .weights.h5)"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x1f\x8b", "a gzip file"),
    (b"GGUF", "a GGUF file (llama.cpp)"),
    (b"TFL3", "a TensorFlow Lite file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself (git lfs pull fetches it)"),
)


def name_format(start: bytes, path: str) -> str:
    """Return what a file is that begins with these bytes, in words; "" if that is not known.

    Parameters
    ----------
    start : bytes
        The first 64 bytes or so.
    path : str
        Archives are told apart by the names inside, if it can be opened.

    Examples
    --------
    >>> name_format(b"GGUF....", "")
    'a GGUF file (llama.cpp)'
    """
    if not start:
        return "an empty file"
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _archive(path)
    for magic, name in _STARTS:
        if start.startswith(magic):
            return name
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite file"
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05" and len(start) > 1:
        return "a Python pickle (old PyTorch .pt, joblib); pynn opens no pickles: they can run code"
    if _is_onnx(start):
        return "an ONNX network (protobuf)"
    if start.lstrip()[:1] in (b"{", b"["):
        return "a JSON text"
    if start.isascii() and all(byte >= 32 or byte in b"\t\r\n" for byte in start):
        return "a text file"
    return ""


def _archive(path: str) -> str:
    with contextlib.suppress(*UNPACKING), zipfile.ZipFile(path) as archive:
        names = archive.namelist()[:1000]
        if "model.weights.h5" in names or "config.json" in names:
            return "a Keras file (.keras, a zip archive)"
        if any(name.endswith("data.pkl") for name in names):
            return (
                "a PyTorch file (.pt or .pth: a zip archive with a pickle); pynn opens none, as that can run any code"
            )
        if names and all(name.endswith(".npy") for name in names):
            return "a NumPy archive (.npz)"
    return "a zip archive (.keras, PyTorch .pt, .npz or the like)"


def _is_onnx(start: bytes) -> bool:
    # ModelProto: field 1, ir_version, a small varint; then text fields or another varint.
    return (
        len(start) > 3 and start[0] == 0x08 and 1 <= start[1] < 32 and start[2] in (0x12, 0x1A, 0x22, 0x28, 0x3A, 0x42)
    )
