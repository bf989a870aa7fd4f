"""Images for ``pynn predict``: bytes of the model's size and channels, or refused where that would be a guess."""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from pynn.errors import DataError

__all__ = ["IMAGES", "read_image"]

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # alone: for PostScript, Pillow runs another program
PLAIN = ("1", "L", "RGB", "P", "LA", "PA", "RGBA", "RGBX", "YCbCr")


def read_image(path: Path, shape: tuple[int, ...], background: str | None = None) -> np.ndarray:
    """Return an image as bytes; the model scales them to 0..1.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        Height, width and channels (1 or 3) that the model takes.
    background : str, optional
        The color behind transparent parts: "white" or "#ff8800".

    Raises
    ------
    DataError
        If it is damaged, too large, an animation, or has no values from 0 to 255 that all programs agree on.
    ImportError
        If Pillow is not installed.
    OSError
        If it cannot be read.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise ImportError('reading images needs Pillow. help: pip install "pynn-dl[plot]"') from None
    plain = len(shape) == 2
    if not plain and not (len(shape) == 3 and shape[2] in (1, 3)):
        raise DataError(f"[predict] {path}: the model takes no images, but samples of shape {shape}.")
    gray = plain or shape[2] == 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # it would warn, and read on
            with Image.open(path, formats=FORMATS) as opened:
                image = _upright(path, opened, background).convert("L" if gray else "RGB")
    except UnidentifiedImageError:
        raise DataError(f"[predict] {path}: expected an image. Received: a file of another kind.") from None
    except DataError:
        raise
    except Exception as error:  # of its many readers
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
            raise  # the system's: no such file
        raise DataError(f"[predict] {path}: expected a whole image. Received: {str(error)[:200]}.") from None
    height, width = shape[:2]
    if image.size != (width, height):
        print(f"{path}: resized from {image.size[0]}x{image.size[1]} to {width}x{height}", file=sys.stderr)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(shape)


def _upright(path: Path, image: Any, background: str | None) -> Any:
    """Return an opened image as its viewers show it: turned as its camera says, in 8 bits, without transparency."""
    from PIL import Image, ImageOps

    frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1  # of those the first is the photograph
    if frames > 1:
        raise DataError(
            f"[predict] {path}: expected one image. Received: {frames} frames. help: save the one that counts."
        )
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or (
        image.mode == "I" and image.format in ("PNG", "PPM", None) and _sixteen(image)
    ):
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode not in PLAIN:
        kind = {"F": "floating-point numbers", "I": "numbers of 32 bits", "CMYK": "CMYK, colors for a printer"}
        remedy = "save it as RGB" if image.mode in ("CMYK", "LAB", "HSV") else "save its values as .npy"
        raise DataError(
            f"[predict] {path}: expected gray values or colors of 8 or 16 bits. "
            f"Received: {kind.get(image.mode, image.mode)}. help: {remedy}."
        )
    if "transparency" in image.info or "A" in image.mode:
        image = _opaque(path, image.convert("RGBA"), background)
    return image


def _sixteen(image: Any) -> bool:
    low, high = image.getextrema()
    return low >= 0 and high <= 65535


def _opaque(path: Path, image: Any, background: str | None) -> Any:
    """Return an image before a background, where it shows through."""
    from PIL import Image

    if image.getchannel("A").getextrema()[0] == 255:
        return image
    if background is None:
        raise DataError(
            f"[predict] {path}: expected an image without transparent parts, whose color is not known. "
            "help: --background white, or another color such as #ff8800."
        )
    behind = Image.new("RGBA", image.size, color(background))
    return Image.alpha_composite(behind, image)


def color(text: str) -> tuple[int, int, int, int]:
    """Return the color that a text names, by a name or as #rrggbb."""
    from PIL import ImageColor

    try:
        if re.fullmatch(r"[a-zA-Z]+|#[0-9a-fA-F]{6}", text) is None:
            raise ValueError
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise DataError(
            f"[predict] --background: expected a color such as white or #ff8800. Received: {text!r}."
        ) from None
    return red, green, blue, 255
