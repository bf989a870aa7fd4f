"""Patches of images: cut, and made equal in brightness and contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pynn.errors import DataError, ShapeError

__all__ = ["all_patches", "as_images", "normalized", "some_patches"]


def as_images(place: str, X: Any, patch_size: int) -> np.ndarray:
    """Return images [N, H, W, C] of any type, or refuse what is none or is smaller than a patch."""
    X = np.asarray(X)
    if X.ndim == 3:
        X = X[..., None]
    if X.ndim != 4 or X.dtype.kind not in "uif":
        raise ShapeError(
            f"[{place}] expected images of numbers, [N, H, W] or [N, H, W, C]. Received: shape {X.shape}, {X.dtype}."
        )
    if min(X.shape[1:3]) < patch_size:
        raise ShapeError(
            f"[{place}] expected images of at least {patch_size} x {patch_size} pixels, the size of a patch. "
            f"Received: {X.shape[1]} x {X.shape[2]}. help: a smaller patch_size."
        )
    if X.dtype.kind == "f" and not np.isfinite(X).all():
        raise DataError(f"[{place}] expected finite images. Received: NaN or infinity.")
    return X


def all_patches(images: np.ndarray, size: int, stride: int) -> np.ndarray:
    """Return every patch, [N, rows, columns, size * size * C], as float32."""
    n, _, _, c = images.shape
    seen = sliding_window_view(images, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    out = np.empty((*seen.shape[:3], size, size, c), np.float32)
    out[...] = seen.transpose(0, 1, 2, 4, 5, 3)
    return out.reshape(n, *out.shape[1:3], -1)


def some_patches(images: np.ndarray, size: int, count: int, rng: np.random.RandomState) -> np.ndarray:
    """Return patches from places by chance, [count, size * size * C], as float32."""
    n, h, w, c = images.shape
    image, row, column = (rng.randint(0, most, count) for most in (n, h - size + 1, w - size + 1))
    seen = sliding_window_view(images, (size, size), axis=(1, 2))
    out = np.empty((count, size, size, c), np.float32)
    for at in range(0, count, 10_000):
        part = slice(at, at + 10_000)
        out[part] = seen[image[part], row[part], column[part]].transpose(0, 2, 3, 1)
    return out.reshape(count, -1)


def normalized(patches: np.ndarray, offset: float) -> np.ndarray:
    """Return (p - mean of p) / sqrt(variance of p + offset) of each row, computed in place."""
    patches -= patches.mean(-1, keepdims=True)
    patches /= np.sqrt(np.einsum("...i,...i->...", patches, patches) / patches.shape[-1] + offset)[..., None]
    return patches
