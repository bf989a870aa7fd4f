"""Images as files, as images of Pillow and as arrays; turned, shifted, enlarged, brightened."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pynn.checks import choice
from pynn.errors import DataError, ShapeError
from pynn.keras.config import floatx, image_data_format


def apply_affine_transform(x, theta: float = 0, tx: float = 0, ty: float = 0, shear: float = 0, zx: float = 1,
                           zy: float = 1, row_axis: int = 0, col_axis: int = 1, channel_axis: int = 2,
                           fill_mode: str = "nearest", cval: float = 0.0, order: int = 1) -> np.ndarray:  # fmt: skip
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


def _axes(row_axis, col_axis, channel_axis, fill_mode, cval, order):
    return {
        "row_axis": row_axis, "col_axis": col_axis, "channel_axis": channel_axis, "fill_mode": fill_mode, "cval": cval,
        "order": order,
    }  # fmt: skip


def random_rotation(x, rg: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
                    fill_mode: str = "nearest", cval: float = 0.0,
                    interpolation_order: int = 1) -> np.ndarray:  # fmt: skip
    """Return an image turned by up to rg degrees either way; the other arguments are those of the affine transform."""
    axes = _axes(row_axis, col_axis, channel_axis, fill_mode, cval, interpolation_order)
    return apply_affine_transform(x, theta=np.random.uniform(-rg, rg), **axes)


def random_shift(x, wrg: float, hrg: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
                 fill_mode: str = "nearest", cval: float = 0.0,
                 interpolation_order: int = 1) -> np.ndarray:  # fmt: skip
    """Return an image shifted by up to these parts of its width and height."""
    h, w = np.shape(x)[row_axis], np.shape(x)[col_axis]
    axes = _axes(row_axis, col_axis, channel_axis, fill_mode, cval, interpolation_order)
    return apply_affine_transform(x, tx=np.random.uniform(-hrg, hrg) * h, ty=np.random.uniform(-wrg, wrg) * w, **axes)


def random_shear(x, intensity: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
                 fill_mode: str = "nearest", cval: float = 0.0,
                 interpolation_order: int = 1) -> np.ndarray:  # fmt: skip
    """Return an image sheared by up to so many degrees either way."""
    axes = _axes(row_axis, col_axis, channel_axis, fill_mode, cval, interpolation_order)
    return apply_affine_transform(x, shear=np.random.uniform(-intensity, intensity), **axes)


def random_zoom(x, zoom_range, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0, fill_mode: str = "nearest",
                cval: float = 0.0, interpolation_order: int = 1) -> np.ndarray:  # fmt: skip
    """Return an image zoomed by factors between two, each axis by its own."""
    zx, zy = np.random.uniform(zoom_range[0], zoom_range[1], 2)
    axes = _axes(row_axis, col_axis, channel_axis, fill_mode, cval, interpolation_order)
    return apply_affine_transform(x, zx=zx, zy=zy, **axes)


def random_channel_shift(x, intensity_range: float, channel_axis: int = 0) -> np.ndarray:
    """Return an image with up to so much added to or taken from all values, within those that it has."""
    x = np.asarray(x)
    return np.clip(x + np.random.uniform(-intensity_range, intensity_range), x.min(), x.max())


def random_brightness(x, brightness_range, scale: bool = True) -> np.ndarray:
    """Return an image made darker or brighter by a factor between two; values are spread over 0 to 255 first."""
    low, high = brightness_range
    x = np.asarray(x, np.float32)
    if scale:
        x = x - x.min()
        x = x / (x.max() or 1) * 255
    return np.clip(x * np.random.uniform(low, high), 0, 255)


def resized(x: np.ndarray, size, interpolation: str = "bilinear") -> np.ndarray:
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


SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".gif", ".tif", ".tiff", ".webp")
MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}


def _pillow():
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("[image] reading and writing images needs Pillow. help: pip install pillow") from error
    return Image


def load_img(path, grayscale: bool = False, color_mode: str = "rgb", target_size=None, interpolation: str = "nearest",
             keep_aspect_ratio: bool = False):  # fmt: skip
    """Return an image of Pillow.

    Parameters
    ----------
    path : path-like or file object
    grayscale : bool, default False
        What ``color_mode="grayscale"`` was called.
    color_mode : {"rgb", "rgba", "grayscale"}
    target_size : (rows, columns), optional
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"}
    keep_aspect_ratio : bool, default False
        Cut the middle out first, so that nothing is distorted.
    """
    image = _pillow()
    mode = MODES[choice("load_img", "color_mode", "grayscale" if grayscale else color_mode, MODES)]
    try:
        with image.open(path) as opened:
            img = opened.convert(mode)
    except image.UnidentifiedImageError as error:
        raise DataError(f"{path}: expected an image. Received: a file that Pillow does not know.") from error
    if target_size is None:
        return img
    rows, columns = target_size[:2]
    how = getattr(image.Resampling, interpolation.upper(), None)
    if how is None:
        raise ValueError(f"[load_img] expected an interpolation of Pillow's. Received: {interpolation!r}.")
    if keep_aspect_ratio:
        width, height = img.size
        w, h = min(width, height * columns // rows), min(height, width * rows // columns)
        left, top = (width - w) // 2, (height - h) // 2
        return img.resize((columns, rows), how, box=(left, top, left + w, top + h))
    return img if img.size == (columns, rows) else img.resize((columns, rows), how)


def img_to_array(img, data_format: str | None = None, dtype=None) -> np.ndarray:
    """Return an image as an array [rows, columns, channels] of floatx().

    Parameters
    ----------
    img : image of Pillow, or array
    data_format : {"channels_last", "channels_first"}, optional
    dtype : dtype, optional
    """
    x = np.asarray(img, dtype or floatx())
    x = x[..., None] if x.ndim == 2 else x
    if x.ndim != 3:
        raise ShapeError(f"[img_to_array] expected an image. Received: shape={x.shape}.")
    return x.transpose(2, 0, 1) if (data_format or image_data_format()) == "channels_first" else x


def array_to_img(x, data_format: str | None = None, scale: bool = True, dtype=None):
    """Return an array [rows, columns, channels] as an image of Pillow.

    Parameters
    ----------
    x : array_like
    data_format : {"channels_last", "channels_first"}, optional
    scale : bool, default True
        Spread the values over 0 to 255.
    dtype : dtype, optional
    """
    x = np.asarray(x, dtype or floatx())
    if x.ndim != 3:
        raise ShapeError(f"[array_to_img] expected [rows, columns, channels]. Received: shape={x.shape}.")
    x = x.transpose(1, 2, 0) if (data_format or image_data_format()) == "channels_first" else x
    if x.shape[2] not in (1, 3, 4):
        raise ShapeError(f"[array_to_img] expected 1, 3 or 4 channels. Received: shape={x.shape}.")
    if scale:
        x = x - x.min()
        x = x / (x.max() or 1) * 255
    pixels = np.clip(x, 0, 255).astype(np.uint8)
    return _pillow().fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def save_img(path, x, data_format: str | None = None, file_format: str | None = None, scale: bool = True, **kwargs):
    """Write an array as an image.

    Parameters
    ----------
    path : path-like or file object
    x : array_like
    data_format : {"channels_last", "channels_first"}, optional
    file_format : str, optional
        By the path's ending by default.
    scale : bool, default True
        Spread the values over 0 to 255.
    **kwargs
        For Pillow.
    """
    img = array_to_img(x, data_format, scale)
    if img.mode == "RGBA" and str(file_format or path).lower().endswith(("jpg", "jpeg")):
        img = img.convert("RGB")
    img.save(path, format=file_format, **kwargs)


def smart_resize(x, size, interpolation: str = "bilinear", **kwargs) -> np.ndarray:
    """Return an image in another size, without distortion: its middle.

    Parameters
    ----------
    x : array_like, shape [rows, columns, channels]
    size : (rows, columns)
    interpolation : str, default "bilinear"
    **kwargs
        ``data_format``.
    """
    x = np.asarray(x, np.float32)
    height, width = x.shape[-3:-1]
    rows, columns = size
    h, w = min(height, width * rows // columns), min(width, height * columns // rows)
    top, left = (height - h) // 2, (width - w) // 2
    return resized(x[..., top : top + h, left : left + w, :], (rows, columns), interpolation)


def list_pictures(directory, ext=SUFFIXES) -> list[str]:
    """Return the paths of the images below a folder.

    Parameters
    ----------
    directory : path-like
    ext : tuple of str
        Endings.
    """
    return sorted(str(p) for p in Path(directory).rglob("*") if p.suffix.lower() in ext)
