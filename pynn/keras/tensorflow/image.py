"""``tf.image`` and ``tf.io`` for arrays, before a model: in ``Dataset.map`` and by hand."""

from __future__ import annotations

import io as of_python
from pathlib import Path

import numpy as np

from pynn.keras.names import absent
from pynn.keras.ops.arrays import convert_to_numpy
from pynn.keras.preprocessing.pictures import img_to_array, load_img, resized

__all__ = [
    "central_crop", "convert_image_dtype", "crop_to_bounding_box", "decode_image", "flip_left_right", "flip_up_down",
    "random_crop", "random_flip_left_right", "random_flip_up_down", "read_file", "resize", "rgb_to_grayscale",
]  # fmt: skip


def _array(x):
    return np.asarray(convert_to_numpy(x))


def resize(images, size, method: str = "bilinear", **options) -> np.ndarray:
    """Return images [..., rows, columns, channels] in another size, real numbers.

    Parameters
    ----------
    images : array_like
    size : (rows, columns)
    method : {"bilinear", "nearest"}
    **options
        ``antialias=False`` and ``preserve_aspect_ratio=False`` alone.
    """
    for name, value in options.items():
        if value and name != "name":
            raise TypeError(f"[tf.image.resize] expected {name}=False. Received: {value!r}.")
    return resized(_array(images).astype(np.float32), tuple(int(n) for n in size), method)


def convert_image_dtype(image, dtype, saturate: bool = False, name: str | None = None) -> np.ndarray:
    """Return an image in another dtype, with its range: bytes from 0 to 255 are real numbers from 0 to 1."""
    x, kind = _array(image), np.dtype(dtype)
    if x.dtype.kind in "iu" and kind.kind == "f":
        return x.astype(kind) / np.iinfo(x.dtype).max
    if x.dtype.kind == "f" and kind.kind in "iu":
        return np.clip(x * (np.iinfo(kind).max + 0.5), 0, np.iinfo(kind).max).astype(kind)
    return x.astype(kind)


def flip_left_right(image) -> np.ndarray:
    """Return images with their columns turned round."""
    return _array(image)[..., :, ::-1, :]


def flip_up_down(image) -> np.ndarray:
    """Return images with their rows turned round."""
    return _array(image)[..., ::-1, :, :]


def random_flip_left_right(image, seed=None) -> np.ndarray:
    """Return an image with its columns turned round, or as it is."""
    return flip_left_right(image) if np.random.random() < 0.5 else _array(image)


def random_flip_up_down(image, seed=None) -> np.ndarray:
    """Return an image with its rows turned round, or as it is."""
    return flip_up_down(image) if np.random.random() < 0.5 else _array(image)


def crop_to_bounding_box(image, offset_height: int, offset_width: int, target_height: int,
                         target_width: int) -> np.ndarray:  # fmt: skip
    """Return a part of images."""
    rows, columns = (
        slice(offset_height, offset_height + target_height),
        slice(offset_width, offset_width + target_width),
    )
    return _array(image)[..., rows, columns, :]


def central_crop(image, central_fraction: float) -> np.ndarray:
    """Return the middle of images: so much of each side."""
    x = _array(image)
    h, w = x.shape[-3:-1]
    top, left = int((h - h * central_fraction) / 2), int((w - w * central_fraction) / 2)
    return crop_to_bounding_box(x, top, left, h - 2 * top, w - 2 * left)


def random_crop(value, size, seed=None, name: str | None = None) -> np.ndarray:
    """Return a part of an array by chance."""
    x = _array(value)
    begins = [np.random.randint(0, d - n + 1) for d, n in zip(x.shape, size, strict=True)]
    return x[tuple(slice(b, b + n) for b, n in zip(begins, size, strict=True))]


def rgb_to_grayscale(images, name: str | None = None) -> np.ndarray:
    """Return images of one channel, as bright as those of three look."""
    x = _array(images)
    return (x @ np.array([[0.2989], [0.587], [0.114]])).astype(x.dtype)


def read_file(filename, name: str | None = None) -> bytes:
    """Return what a file holds."""
    path = filename.numpy() if hasattr(filename, "numpy") else filename
    return Path(path.decode() if isinstance(path, bytes) else str(path)).read_bytes()


def decode_image(contents, channels: int | None = 3, dtype=None, **options) -> np.ndarray:
    """Return the image of a file's content, as bytes."""
    mode = {1: "grayscale", 4: "rgba"}.get(channels or 3, "rgb")
    data = contents if isinstance(contents, bytes) else bytes(np.asarray(contents).item())
    return img_to_array(load_img(of_python.BytesIO(data), color_mode=mode), "channels_last", "uint8")


decode_png = decode_jpeg = decode_gif = decode_bmp = decode_image

__getattr__ = absent("tensorflow.image", __all__)
