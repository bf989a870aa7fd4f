"""Arrays in ONNX files, checked before anything is allocated; and the dtypes of pynn that hold their values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pynn.core.tensor import DTYPE_INDEX
from pynn.errors import DataError, DTypeError

__all__ = ["DTYPES", "array_of", "held", "shape_text"]

# Element types of ONNX by number, and the field that holds values which are not raw.
DTYPES: dict[int, str] = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip
_FIELDS = {1: "float_data", 7: "int64_data", 11: "double_data", 12: "uint64_data", 13: "uint64_data"}
_OTHER = {
    8: "string", 14: "complex64", 15: "complex128", 16: "bfloat16", 17: "float8", 18: "float8",
    19: "float8", 20: "float8", 21: "uint4", 22: "int4", 23: "float4", 24: "float8", 25: "uint2", 26: "int2",
}  # fmt: skip
_WIDER = {
    "int8": "int32", "int16": "int32", "uint16": "int32", "uint32": "int64", "uint64": "int64", "float16": "float32",
}  # fmt: skip
TEXT, BFLOAT16 = 8, 16
MOST_DIMENSIONS = 6
MOST_ELEMENTS = 2**60  # an empty array's other sizes count too: NumPy takes their product


def dtype_of(number: int, place: str) -> np.dtype:
    """Return the dtype of an element type of ONNX; raise DTypeError for one that pynn does not have."""
    if number not in DTYPES:
        raise DTypeError(
            f"[onnx] {place}: elements of type {_OTHER.get(number, number)} are not supported. "
            f"help: pynn has {', '.join(DTYPES.values())}."
        )
    return np.dtype(DTYPES[number])


def held_dtype(dtype: np.dtype) -> np.dtype:
    """Return the dtype in which pynn computes with values of a dtype."""
    return np.dtype(_WIDER.get(dtype.name, dtype))


def held(array: np.ndarray, place: str) -> np.ndarray:
    """Return an array in the dtype in which pynn computes.

    Small integers become int32, unsigned ones int64, and numbers of half precision float32.

    Raises
    ------
    DTypeError, DataError
        If pynn has no such dtype, or a value is above the largest int64.
    """
    array = np.asarray(array)
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise DataError(f"[onnx] {place}: expected integers below 2**63. Received: {array.max()}.")
    wide = array.astype(held_dtype(array.dtype), copy=False)
    if wide.dtype not in DTYPE_INDEX:
        raise DTypeError(
            f"[onnx] {place}: elements of type {array.dtype} are not supported. "
            f"help: pynn has {', '.join(DTYPES.values())}."
        )
    return np.ascontiguousarray(wide).reshape(wide.shape)


def shape_text(dims: Any) -> str:
    """Return dimensions as a text of bearable length."""
    listed = [str(d) for d in list(dims)[:8]]
    return f"({', '.join(listed)}{', ...' if len(dims) > 8 else ''})"


def array_of(tensor: Any, place: str, room: int) -> np.ndarray:
    """Return the array that a TensorProto holds.

    Parameters
    ----------
    tensor : onnx.TensorProto
    place : str
        For messages.
    room : int
        The most bytes that it may take.

    Raises
    ------
    DataError
        If its data lie in another file, do not have the size that is declared, or take too much room.
    """
    if tensor.data_location == 1 or len(tensor.external_data):
        raise DataError(
            f"[onnx] {place}: its data lie in another file, which is not read: a model could name any file. "
            "help: save the model in one piece, onnx.save(onnx.load(path), new_path)."
        )
    dims = list(tensor.dims)
    kind = tensor.data_type
    if kind == TEXT:
        return _texts(tensor, place)
    # Numbers of bfloat16 are the upper halves of numbers of float32.
    dtype = np.dtype("uint16") if kind == BFLOAT16 else dtype_of(kind, place)
    if len(dims) > MOST_DIMENSIONS or any(d < 0 for d in dims) or math.prod(d or 1 for d in dims) > MOST_ELEMENTS:
        raise DataError(
            f"[onnx] {place}: expected at most {MOST_DIMENSIONS} sizes of at least 0, not beyond all bounds. "
            f"Received: {shape_text(dims)}."
        )
    count = math.prod(dims)
    if count * dtype.itemsize > room:
        raise DataError(
            f"[onnx] {place}: shape {shape_text(dims)} takes {count * dtype.itemsize:,} bytes, more than max_bytes "
            "allows. help: load(..., max_bytes=...) if the file is to be trusted."
        )
    if tensor.HasField("segment"):
        raise DataError(f"[onnx] {place}: tensors in segments are not supported.")
    if tensor.HasField("raw_data"):
        if len(tensor.raw_data) != count * dtype.itemsize:
            raise DataError(
                f"[onnx] {place}: expected {count * dtype.itemsize} bytes for shape {shape_text(dims)}. "
                f"Received: {len(tensor.raw_data)}."
            )
        found = np.frombuffer(tensor.raw_data, dtype.newbyteorder("<")).astype(dtype)
    else:
        name = _FIELDS.get(tensor.data_type, "int32_data")
        values = getattr(tensor, name)
        if len(values) != count:
            raise DataError(
                f"[onnx] {place}: expected {count} values for shape {shape_text(dims)}. Received: {len(values)}."
            )
        real = dtype.kind == "f" and dtype != np.float16  # whose bits stand among the integers
        wide = dtype if real else np.dtype("uint64" if name == "uint64_data" else "int64")
        found = np.array(values, wide).astype(np.uint16 if dtype == np.float16 else dtype)
        found = found.view(np.float16) if dtype == np.float16 else found
    if kind == BFLOAT16:
        found = (found.astype(np.uint32) << 16).view(np.float32)
    return held(found.reshape(dims), place)


def _texts(tensor: Any, place: str) -> np.ndarray:
    """Return the texts that a TensorProto holds."""
    dims = list(tensor.dims)
    if any(d < 0 for d in dims) or math.prod(dims) != len(tensor.string_data):
        raise DataError(
            f"[onnx] {place}: expected a text for each element of {shape_text(dims)}. "
            f"Received: {len(tensor.string_data)}."
        )
    try:
        return np.array([text.decode() for text in tensor.string_data], np.str_).reshape(dims)
    except UnicodeDecodeError as error:
        raise DataError(f"[onnx] {place}: expected texts in UTF-8: {error}.") from None
