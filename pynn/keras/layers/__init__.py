"""Layers, in Keras's names."""

from __future__ import annotations

import importlib
from typing import Any

from pynn.keras.layer import Input, InputLayer, Layer
from pynn.keras.layers import core, merging, pictures, recurrent, spatial, text, volumes
from pynn.keras.names import absent

CLASSES = {"Layer": Layer, "InputLayer": InputLayer}
for _module in (core, merging, pictures, recurrent, spatial, text, volumes):
    for _name in _module.__all__:
        globals()[_name] = _thing = getattr(_module, _name)
        if isinstance(_thing, type):
            CLASSES[_name] = _thing
# Names of the same layers.
_SAME = {
    "MaxPool1D": "MaxPooling1D", "MaxPool2D": "MaxPooling2D", "AvgPool1D": "AveragePooling1D",
    "AvgPool2D": "AveragePooling2D", "GlobalMaxPool1D": "GlobalMaxPooling1D", "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "GlobalAvgPool1D": "GlobalAveragePooling1D", "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "MaxPool3D": "MaxPooling3D", "AvgPool3D": "AveragePooling3D", "Convolution3D": "Conv3D",
    "GlobalAvgPool3D": "GlobalAveragePooling3D", "GlobalMaxPool3D": "GlobalMaxPooling3D",
    "Convolution1DTranspose": "Conv1DTranspose",
    "SeparableConvolution2D": "SeparableConv2D", "SeparableConvolution1D": "SeparableConv1D",
    "Convolution2DTranspose": "Conv2DTranspose", "Deconvolution2D": "Conv2DTranspose", "Deconv2D": "Conv2DTranspose",
    "BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization",
    "LayerNorm": "LayerNormalization", "TimeDistributedDense": "Dense", "MaxoutDense": "Dense",
}  # fmt: skip
del _SAME["MaxoutDense"], _SAME["LayerNorm"]
for _name, _same in _SAME.items():
    globals()[_name] = CLASSES[_name] = CLASSES[_same]
# Modules of Keras that its layers stood in, over the years: scripts import from them.
_OLD = ("advanced_activations", "convolutional", "convolutional_recurrent", "embeddings", "experimental", "local",
        "merge", "noise", "normalization", "pooling", "wrappers", "legacy")  # fmt: skip
__all__ = sorted({*CLASSES, *merging.__all__, *spatial.__all__, "Input"})
experimental = importlib.import_module(__name__)

__getattr__ = absent(__name__, __all__)
