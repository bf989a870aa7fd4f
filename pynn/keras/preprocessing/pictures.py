"""Images as files, as images of Pillow and as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pynn.checks import choice
from pynn.errors import DataError, ShapeError
from pynn.keras.config import floatx, image_data_format
from pynn.keras.preprocessing.moves import resized

__all__ = ["SUFFIXES", "array_to_img", "img_to_array", "list_pictures", "load_img", "save_img", "smart_resize"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".gif", ".tif", ".tiff", ".webp")
MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("[image] reading and writing images needs Pillow. help: pip install pillow") from error
    return Image


def load_img(
    path: Any, grayscale: bool = False, color_mode: str = "rgb", target_size: Any = None,
    interpolation: str = "nearest", keep_aspect_ratio: bool = False,
) -> Any:  # fmt: skip
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


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
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


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
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


def save_img(
    path: Any, x: Any, data_format: str | None = None, file_format: str | None = None, scale: bool = True, **kwargs: Any
) -> None:
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


def smart_resize(x: Any, size: Any, interpolation: str = "bilinear", **kwargs: Any) -> np.ndarray:
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


def list_pictures(directory: Any, ext: Any = SUFFIXES) -> list[str]:
    """Return the paths of the images below a folder.

    Parameters
    ----------
    directory : path-like
    ext : tuple of str
        Endings.
    """
    return sorted(str(p) for p in Path(directory).rglob("*") if p.suffix.lower() in ext)
