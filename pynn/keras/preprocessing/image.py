"""Images as arrays and files, and ImageDataGenerator."""

from __future__ import annotations

from typing import Any

from pynn.keras.missing import missing
from pynn.keras.preprocessing.generator import DirectoryIterator, ImageDataGenerator, Iterator, NumpyArrayIterator
from pynn.keras.preprocessing.moves import (
    apply_affine_transform,
    random_brightness,
    random_channel_shift,
    random_rotation,
    random_shear,
    random_shift,
    random_zoom,
)
from pynn.keras.preprocessing.pictures import (
    array_to_img,
    img_to_array,
    list_pictures,
    load_img,
    save_img,
    smart_resize,
)

__all__ = [
    "DirectoryIterator",
    "ImageDataGenerator",
    "Iterator",
    "NumpyArrayIterator",
    "apply_affine_transform",
    "array_to_img",
    "img_to_array",
    "list_pictures",
    "load_img",
    "random_brightness",
    "random_channel_shift",
    "random_rotation",
    "random_shear",
    "random_shift",
    "random_zoom",
    "save_img",
    "smart_resize",
]


def __getattr__(name: str) -> Any:
    missing("pynn.keras.preprocessing.image", name, __all__)
