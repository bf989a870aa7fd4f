"""Images turned, shifted, sheared, enlarged, brightened: one at a time, by matrices, as ImageDataGenerator does it."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "apply_affine_transform",
    "random_brightness",
    "random_channel_shift",
    "random_rotation",
    "random_shear",
    "random_shift",
    "random_zoom",
    "resized",
]


def apply_affine_transform(
    x: Any, theta: float = 0, tx: float = 0, ty: float = 0, shear: float = 0, zx: float = 1, zy: float = 1,
    row_axis: int = 0, col_axis: int = 1, channel_axis: int = 2, fill_mode: str = "nearest", cval: float = 0.0,
    order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Return an image turned, shifted, sheared and zoomed about its middle.

    Parameters
    ----------
    x : array_like, of three axes
    theta, shear : float
        Degrees.
    tx, ty : float
        Rows and columns.
    zx, zy : float
        Below 1 enlarges.
    row_axis, col_axis, channel_axis : int
    fill_mode : {"nearest", "constant", "reflect", "wrap"}
        What stands where the image is not.
    cval : float, default 0.0
        With "constant".
    order : int, default 1
        Of the interpolation: 0 nearest, 1 linear.
    """
    from scipy import ndimage

    turn, slant = np.deg2rad(theta), np.deg2rad(shear)
    matrix = np.eye(3)
    if theta:
        matrix = matrix @ [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    if tx or ty:
        matrix = matrix @ [[1, 0, tx], [0, 1, ty], [0, 0, 1]]
    if shear:
        matrix = matrix @ [[1, -np.sin(slant), 0], [0, np.cos(slant), 0], [0, 0, 1]]
    if zx != 1 or zy != 1:
        matrix = matrix @ np.diag([zx, zy, 1])
    x = np.asarray(x)
    if np.array_equal(matrix, np.eye(3)):
        return x
    planes = np.moveaxis(x, (channel_axis, row_axis, col_axis), (0, 1, 2))
    middle = (np.array(planes.shape[1:]) - 1) / 2
    offset = middle - matrix[:2, :2] @ middle + matrix[:2, 2]
    out = [ndimage.affine_transform(p, matrix[:2, :2], offset, order=order, mode=fill_mode, cval=cval) for p in planes]
    return np.moveaxis(np.stack(out), (0, 1, 2), (channel_axis, row_axis, col_axis)).astype(x.dtype)


def _axes(row_axis: int, col_axis: int, channel_axis: int, fill_mode: str, cval: float, order: int) -> dict[str, Any]:
    return {
        "row_axis": row_axis, "col_axis": col_axis, "channel_axis": channel_axis, "fill_mode": fill_mode, "cval": cval,
        "order": order,
    }  # fmt: skip


def random_rotation(
    x: Any, rg: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0, fill_mode: str = "nearest",
    cval: float = 0.0, interpolation_order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Return an image turned by up to rg degrees either way; the other arguments are those of the affine transform."""
    axes = _axes(row_axis, col_axis, channel_axis, fill_mode, cval, interpolation_order)
    return apply_affine_transform(x, theta=np.random.uniform(-rg, rg), **axes)


def random_shift(
    x: Any, wrg: float, hrg: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, interpolation_order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Return an image shifted by up to these parts of its width and height."""
    h, w = np.shape(x)[row_axis], np.shape(x)[col_axis]
    axes = _axes(row_axis, col_axis, channel_axis, fill_mode, cval, interpolation_order)
    return apply_affine_transform(x, tx=np.random.uniform(-hrg, hrg) * h, ty=np.random.uniform(-wrg, wrg) * w, **axes)


def random_shear(
    x: Any, intensity: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0, fill_mode: str = "nearest",
    cval: float = 0.0, interpolation_order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Return an image sheared by up to so many degrees either way."""
    axes = _axes(row_axis, col_axis, channel_axis, fill_mode, cval, interpolation_order)
    return apply_affine_transform(x, shear=np.random.uniform(-intensity, intensity), **axes)


def random_zoom(
    x: Any, zoom_range: Any, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0, fill_mode: str = "nearest",
    cval: float = 0.0, interpolation_order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Return an image zoomed by factors between two, each axis by its own."""
    zx, zy = np.random.uniform(zoom_range[0], zoom_range[1], 2)
    axes = _axes(row_axis, col_axis, channel_axis, fill_mode, cval, interpolation_order)
    return apply_affine_transform(x, zx=zx, zy=zy, **axes)


def random_channel_shift(x: Any, intensity_range: float, channel_axis: int = 0) -> np.ndarray:
    """Return an image with up to so much added to or taken from all values, within those that it has."""
    x = np.asarray(x)
    return np.clip(x + np.random.uniform(-intensity_range, intensity_range), x.min(), x.max())


def random_brightness(x: Any, brightness_range: Any, scale: bool = True) -> np.ndarray:
    """Return an image made darker or brighter by a factor between two; values are spread over 0 to 255 first."""
    low, high = brightness_range
    x = np.asarray(x, np.float32)
    if scale:
        x = x - x.min()
        x = x / (x.max() or 1) * 255
    return np.clip(x * np.random.uniform(low, high), 0, 255)


def resized(x: np.ndarray, size: Any, interpolation: str = "bilinear") -> np.ndarray:
    """Return images [..., rows, columns, channels] in another size, by "nearest" or "bilinear" interpolation."""
    for axis, n in ((-3, size[0]), (-2, size[1])):
        old = x.shape[axis]
        at = (np.arange(n) + 0.5) * old / n - 0.5
        if interpolation == "nearest":
            x = np.take(x, np.clip(np.floor(at + 0.5), 0, old - 1).astype(int), axis)
            continue
        if interpolation != "bilinear":
            raise ValueError(f"[resize] expected interpolation 'bilinear' or 'nearest'. Received: {interpolation!r}.")
        at = np.clip(at, 0, old - 1)
        low = np.floor(at).astype(int)
        part = (at - low).astype(x.dtype).reshape([-1 if a == axis else 1 for a in range(-3, 0)])
        below, above = np.take(x, low, axis), np.take(x, np.minimum(low + 1, old - 1), axis)
        x = below + (above - below) * part
    return x
