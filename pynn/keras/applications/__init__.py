"""``keras.applications``: well-known networks for images, with Keras's names of layers and its files of weights.

Pretrained weights are not distributed with pynn: ``weights="imagenet"`` reads the file that Keras keeps in
``~/.keras/models``, and says which one that is where it is missing; ``weights=None`` begins at random numbers.
"""

from __future__ import annotations

import importlib

from pynn.keras.names import missing

_HOMES = {
    "VGG16": "vgg16", "VGG19": "vgg19", "ResNet50": "resnet", "ResNet101": "resnet", "ResNet152": "resnet",
    "InceptionV3": "inception_v3", "Xception": "xception", "MobileNet": "mobilenet", "MobileNetV2": "mobilenet_v2",
    "DenseNet121": "densenet", "DenseNet169": "densenet", "DenseNet201": "densenet",
}  # fmt: skip
_MODULES = {*_HOMES.values(), "resnet50", "imagenet_utils"}

__all__ = sorted({*_HOMES, *_MODULES})


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"pynn.keras.applications.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"pynn.keras.applications.{_HOMES[name]}"), name)
    missing("pynn.keras.applications", name, __all__)


def __dir__():
    return __all__
