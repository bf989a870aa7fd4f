"""Arrays of bytes: numbers in tables, and pixels of images from three axes on, of which 255 is one."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.checks import reals
from pynn.core.flat import Slots
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.ops import steps

__all__ = ["as_real", "check_range", "is_image", "real"]

IMAGE_AXES = 3  # [N, H, W] of grey images, [N, H, W, C] of all others


def is_image(x: Any) -> bool:
    """Tell whether an array or a tensor holds images of bytes.

    Examples
    --------
    >>> is_image(np.zeros((9, 28, 28), "uint8")), is_image(np.zeros((9, 28), "uint8")), is_image(np.zeros((9, 2, 2)))
    (True, False, False)
    """
    return bool(x.dtype == np.uint8) and x.ndim >= IMAGE_AXES


def as_real(array: np.ndarray, dtype: Any, numbers: bool = False) -> np.ndarray:
    """Return an array as a floating dtype: images of bytes in 0..1, all else as it is.

    Parameters
    ----------
    array : ndarray
    dtype : dtype
    numbers : bool, default False
        Whether bytes are numbers in any case, as for a model that begins with Rescaling.
    """
    if is_image(array) and not numbers:
        return np.multiply(array, np.dtype(dtype).type(1 / 255), dtype=dtype)
    return reals("predict", "the data", array, dtype)


def real(x: Tensor, dtype: Any) -> Tensor:
    """Return images of bytes as a floating tensor in 0..1, by the op of a training step; any other tensor as it is."""
    if not is_image(x):
        return x
    return steps.batch(x, Tensor.state(np.arange(len(x))), Slots(), len(x), dtype)


def check_range(arrays: list[np.ndarray], place: str, least: int) -> None:
    """Raise DataError if images of bytes do not go up to `least`: they would be numbers, made 255 times smaller."""
    for array in arrays:
        if is_image(array) and 0 < (highest := int(array.max(initial=0))) < least:
            raise DataError(
                f"[{place}] expected images of bytes, 0 to 255, as uint8 arrays of three axes and more are divided by "
                f"255. Received: values up to {highest}, shape {array.shape}. help: x.astype('float32') if they are "
                "numbers, x.astype('float32') / 255 if they are dark images, or nn.Rescaling first in the model."
            )
