"""Names that NumPy and SciPy have dropped, and scripts of their time use: they are there while a script runs."""

from __future__ import annotations

import contextlib
import importlib
import sys
import types
import warnings
from collections.abc import Iterator

import numpy as np

from pynn.keras.preprocessing.pictures import _pillow, choice

__all__ = ["imread", "imresize", "imsave", "restored"]

# Dropped in 1.24 and 2.0.
NUMPY = {
    "float": float, "int": int, "object": object, "str": str, "complex": complex, "long": int, "unicode": str,
    "Inf": np.inf, "Infinity": np.inf, "PINF": np.inf, "NINF": -np.inf, "NaN": np.nan, "float_": np.float64,
    "product": np.prod, "cumproduct": np.cumprod, "alltrue": np.all, "sometrue": np.any,
}  # fmt: skip
FILTERS = {"nearest": "NEAREST", "lanczos": "LANCZOS", "bilinear": "BILINEAR", "bicubic": "BICUBIC", "cubic": "BICUBIC"}


def imread(name, flatten=False, mode=None):
    """Return an image as an array; as gray numbers, or in one of Pillow's modes."""
    with _pillow().open(name) as image:
        return np.array(image.convert("F" if flatten else mode or ("RGB" if image.mode == "P" else image.mode)))


def imsave(name, arr, format=None):
    """Write an array as an image; numbers that are no bytes are spread over 0 to 255."""
    _image(arr).save(name, format)


def imresize(arr, size, interp="bilinear", mode=None):
    """Return an image in another size: per cent, a factor, or (rows, columns)."""
    image = _image(arr, mode)
    if isinstance(size, (int, float, np.number)):
        factor = size / 100 if isinstance(size, (int, np.integer)) else size
        columns, rows = (int(n * factor) for n in image.size)
    else:
        rows, columns = (int(n) for n in size[:2])
    way = FILTERS[choice("imresize", "interp", interp, FILTERS)]
    return np.array(image.resize((columns, rows), _pillow().Resampling[way]))


def _image(arr, mode=None):
    x = np.asarray(arr)
    if (x.ndim == 3 and x.shape[2] not in (3, 4)) or x.ndim not in (2, 3):
        raise ValueError(f"[scipy.misc] expected an image of gray, or of 3 or 4 channels. Received: shape={x.shape}.")
    if mode == "F":
        return _pillow().fromarray(x.astype(np.float32))
    if x.dtype != np.uint8:
        low, high = float(x.min()), float(x.max())
        x = ((x - low) * (255 / ((high - low) or 1)) + 0.5).astype(np.uint8)
    image = _pillow().fromarray(x)
    return image if mode is None else image.convert(mode)


@contextlib.contextmanager
def restored(source: bytes) -> Iterator[None]:
    """Let a script of this text find the names; those of ``scipy.misc`` if it has that."""
    places = [(np, NUMPY)]
    if b"scipy" in source and b"misc" in source:
        with contextlib.suppress(ImportError):
            importlib.import_module("scipy")
            places.append((_misc(), {"imread": imread, "imresize": imresize, "imsave": imsave}))
    given = [(module, name) for module, names in places for name in names if name not in vars(module)]
    for module, names in places:
        vars(module).update({name: value for name, value in names.items() if name not in vars(module)})
    try:
        yield
    finally:
        for module, name in given:
            vars(module).pop(name, None)


def _misc():
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module("scipy.misc")
    except ModuleNotFoundError:  # since SciPy 2.0
        found = types.ModuleType("scipy.misc")
        sys.modules["scipy.misc"] = sys.modules["scipy"].misc = found  # type: ignore[attr-defined]
        return found
